//! Whether a Service could be reached, over the run.

use std::collections::BTreeMap;

use engine::{SimDuration, SimTime};

/// A Service's reachability.
#[derive(Clone, Debug, Default)]
pub struct ServiceTrack {
    /// Spans without any endpoint that answers, in order. One that lasts is added when it ends.
    pub downtimes: Vec<Downtime>,
    open: Option<Open>,
}

/// A span without any endpoint that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// Its first instant.
    pub from: SimTime,
    /// Its length, longer than zero.
    pub span: SimDuration,
    /// The cause that held for most of it, as the cluster's state told: no pod is ready, a node is silent.
    pub cause: &'static str,
}

/// A span that lasts.
#[derive(Clone, Debug)]
struct Open {
    from: SimTime,
    /// The present cause, and since when it is that.
    cause: &'static str,
    since: SimTime,
    /// How long earlier causes held.
    held: BTreeMap<&'static str, SimDuration>,
}

impl ServiceTrack {
    /// From `now` on the Service can be reached, or cannot for the cause given.
    pub fn set_down(&mut self, now: SimTime, down: Option<&'static str>) {
        match (down, &mut self.open) {
            (Some(cause), None) => {
                let held = BTreeMap::new();
                self.open = Some(Open { from: now, cause, since: now, held });
            }
            (Some(cause), Some(open)) => open.turn_to(now, cause),
            (None, _) => self.finish(now),
        }
    }

    /// Ends what is open. A Service that is down for no time at all was never seen down.
    pub(super) fn finish(&mut self, now: SimTime) {
        let Some(mut open) = self.open.take().filter(|open| open.from < now) else { return };
        open.turn_to(now, open.cause);
        // Of causes that held as long as each other, the last by name: any rule will do.
        let longest = open.held.into_iter().max_by_key(|(_, held)| *held);
        let cause = longest.map_or(open.cause, |(cause, _)| cause);
        self.downtimes.push(Downtime { from: open.from, span: now - open.from, cause });
    }
}

impl Open {
    fn turn_to(&mut self, now: SimTime, cause: &'static str) {
        let held = self.held.entry(self.cause).or_insert(SimDuration::ZERO);
        *held += now - self.since;
        (self.cause, self.since) = (cause, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    #[test]
    fn a_downtime_has_the_cause_that_held_longest() {
        let mut track = ServiceTrack::default();
        track.set_down(at(0), Some("no pod exists"));
        track.set_down(at(1), Some("no pod is ready"));
        track.set_down(at(20), None);
        track.set_down(at(30), Some("a node is lost"));
        track.finish(at(40));
        let told: Vec<_> = track
            .downtimes
            .iter()
            .map(|down| (down.from, down.span.as_secs(), down.cause))
            .collect();
        assert_eq!(told, [(at(0), 20, "no pod is ready"), (at(30), 10, "a node is lost")]);
    }

    #[test]
    fn a_downtime_of_no_time_is_none() {
        let mut track = ServiceTrack::default();
        track.set_down(at(5), Some("no pod exists"));
        track.set_down(at(5), None);
        assert!(track.downtimes.is_empty());
    }
}
