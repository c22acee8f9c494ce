//! A Service's reachability over the run.

use std::collections::BTreeMap;

use engine::{SimDuration, SimTime};

/// A Service's reachability.
#[derive(Clone, Debug, Default)]
pub struct ServiceTrack {
    /// Spans without an answering endpoint, in order. An open span is added when it ends.
    pub downtimes: Vec<Downtime>,
    open: Option<Open>,
}

/// A span without an answering endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// Start of the span.
    pub from: SimTime,
    /// Length of the span, greater than zero.
    pub span: SimDuration,
    /// The cause that applied for most of it, according to the cluster's state: no pod is ready, a node is
    /// silent.
    pub cause: &'static str,
}

/// An unfinished span.
#[derive(Clone, Debug)]
struct Open {
    from: SimTime,
    /// The current cause, and the time since which it has applied.
    cause: &'static str,
    since: SimTime,
    /// Time for which each earlier cause applied.
    held: BTreeMap<&'static str, SimDuration>,
}

impl ServiceTrack {
    /// Marks the Service as up, or as down for the given cause, from `now` on.
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

    /// Ends an open span. A span of zero length is dropped.
    pub(super) fn finish(&mut self, now: SimTime) {
        let Some(mut open) = self.open.take().filter(|open| open.from < now) else { return };
        open.turn_to(now, open.cause);
        // Ties go to the last cause by name, an arbitrary but deterministic choice.
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
        track.set_down(at(30), Some("a node was lost"));
        track.finish(at(40));
        let series: Vec<_> = track
            .downtimes
            .iter()
            .map(|down| (down.from, down.span.as_secs(), down.cause))
            .collect();
        assert_eq!(series, [(at(0), 20, "no pod is ready"), (at(30), 10, "a node was lost")]);
    }

    #[test]
    fn a_downtime_of_no_time_is_none() {
        let mut track = ServiceTrack::default();
        track.set_down(at(5), Some("no pod exists"));
        track.set_down(at(5), None);
        assert!(track.downtimes.is_empty());
    }
}
