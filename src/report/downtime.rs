//! Downtime of a service: times without reachable endpoints, and minutes in which too few of its requests were
//! answered.

use std::collections::BTreeMap;

use super::figures::{percent, share_of_percent};
use super::model::Downtime;
use engine::{SimDuration, SimTime};
use record::ServiceTrack;
use traffic::{FailureCause, MINUTE, MinuteFigures};

/// A period of downtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DownPeriod {
    pub from: SimTime,
    pub to: SimTime,
    /// Time without reachable endpoints, by cause.
    unreachable: BTreeMap<&'static str, SimDuration>,
    /// Answered requests in the minutes in which too few were answered.
    answered: u64,
    failed: BTreeMap<FailureCause, u64>,
}

/// All downtimes of a service, in order of time. A minute in which less than `down_below` percent of the requests were
/// answered is down throughout; a minute without requests does not count.
pub(super) fn downs(
    track: &ServiceTrack,
    minutes: &[MinuteFigures],
    down_below: f64,
    end: SimTime,
) -> Vec<DownPeriod> {
    let unreachable = track.downtimes.iter().map(|down| DownPeriod {
        from: down.from,
        to: down.from + down.span,
        unreachable: BTreeMap::from([(down.cause, down.span)]),
        answered: 0,
        failed: BTreeMap::new(),
    });
    let is_bad = |minute: &MinuteFigures| {
        is_short_of(minute.answered, minute.ended(), share_of_percent(down_below))
    };
    let begins = (0i64..).map(|number| SimTime::ZERO + MINUTE * number);
    let bad =
        begins.zip(minutes).filter(|(_, minute)| is_bad(minute)).map(|(from, minute)| DownPeriod {
            from,
            to: (from + MINUTE).min(end),
            unreachable: BTreeMap::new(),
            answered: minute.answered,
            failed: minute.cause.map(|cause| (cause, minute.failed)).into_iter().collect(),
        });
    let mut all: Vec<DownPeriod> = unreachable.chain(bad).collect();
    all.sort_by_key(|down| down.from);
    all.into_iter().fold(Vec::new(), |mut merged, next| {
        match merged.last_mut() {
            Some(last) if next.from <= last.to => last.absorb(next),
            _ => merged.push(next),
        }
        merged
    })
}

/// True if `part` is less than this share of `whole`; false if `whole` is zero.
pub(super) fn is_short_of(part: u64, whole: u64, share: f64) -> bool {
    whole > 0 && (part as f64 / whole as f64) < share
}

impl DownPeriod {
    fn absorb(&mut self, other: Self) {
        self.to = self.to.max(other.to);
        self.answered += other.answered;
        for (cause, held) in other.unreachable {
            *self.unreachable.entry(cause).or_default() += held;
        }
        for (cause, count) in other.failed {
            *self.failed.entry(cause).or_default() += count;
        }
    }

    /// Length of the downtime after an instant.
    pub fn after(&self, begin: SimTime) -> SimDuration {
        (self.to - self.from.max(begin)).max(SimDuration::ZERO)
    }

    /// Converts it to the report's form, with a warm-up that ends at `counts_from`.
    pub fn downtime(&self, counts_from: SimTime) -> Downtime {
        let failed: u64 = self.failed.values().sum();
        let ended = self.answered + failed;
        let answered = (ended > 0).then(|| self.answered as f64 / ended as f64);
        let unreachable = self.unreachable.iter().max_by_key(|(_, held)| **held);
        let failing = answered.zip(self.failed.iter().max_by_key(|(_, count)| **count));
        let failing = failing.map(|(share, (cause, _))| match self.answered {
            0 => format!("no request was answered: {}", cause.label()),
            _ => format!("only {} of requests were answered: {}", percent(share), cause.label()),
        });
        let causes = unreachable.map(|(cause, _)| (*cause).to_owned()).into_iter().chain(failing);
        Downtime {
            from_seconds: self.from.as_secs_f64(),
            seconds: (self.to - self.from).as_secs_f64(),
            counted_seconds: self.after(counts_from).as_secs_f64(),
            answered,
            cause: causes.collect::<Vec<_>>().join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: SimTime = SimTime::from_secs(600);

    fn minute(answered: u64, failed: u64) -> MinuteFigures {
        let cause = (failed > 0).then_some(FailureCause::Timeout);
        MinuteFigures { answered, failed, cause, ..MinuteFigures::default() }
    }

    fn unreachable(spans: &[(i64, i64)]) -> ServiceTrack {
        let mut track = ServiceTrack::default();
        for (from, to) in spans {
            track.set_down(SimTime::from_secs(*from), Some("no pod is ready"));
            track.set_down(SimTime::from_secs(*to), None);
        }
        track
    }

    fn downtime(
        track: &ServiceTrack,
        minutes: &[MinuteFigures],
        down_below: f64,
    ) -> Vec<(f64, f64)> {
        let downs = downs(track, minutes, down_below, END);
        let downtime = downs.iter().map(|down| down.downtime(SimTime::ZERO));
        downtime.map(|down| (down.from_seconds, down.seconds)).collect()
    }

    #[test]
    fn a_minute_is_down_when_fewer_than_the_threshold_are_answered() {
        let track = ServiceTrack::default();
        let minutes = [minute(95, 5), minute(94, 6), minute(0, 3), minute(0, 0), minute(1, 9)];
        assert_eq!(downtime(&track, &minutes, 95.0), [(60.0, 120.0), (240.0, 60.0)]);
        assert_eq!(downtime(&track, &minutes, 50.0), [(120.0, 60.0), (240.0, 60.0)]);
        assert_eq!(downtime(&track, &minutes, 0.0), []);
    }

    #[test]
    fn a_span_without_endpoints_is_part_of_the_minutes_that_fail_with_it() {
        let track = unreachable(&[(50, 70), (130, 140)]);
        let minutes = [minute(100, 0), minute(10, 10), minute(99, 1)];
        let downs = downs(&track, &minutes, 95.0, END);
        let downtime: Vec<_> =
            downs.iter().map(|down| down.downtime(SimTime::from_secs(60))).collect();
        assert_eq!(downtime.len(), 2, "{downtime:?}");
        assert_eq!(
            (downtime[0].from_seconds, downtime[0].seconds, downtime[0].counted_seconds),
            (50.0, 70.0, 60.0)
        );
        assert_eq!(
            downtime[0].cause,
            "no pod is ready; only 50 % of requests were answered: timeout"
        );
        assert_eq!((downtime[1].from_seconds, downtime[1].seconds), (130.0, 10.0));
        assert_eq!((downtime[1].answered, &*downtime[1].cause), (None, "no pod is ready"));
    }

    #[test]
    fn the_cause_of_most_failures_is_told() {
        let minutes = [(2, FailureCause::Timeout), (9, FailureCause::Refused)]
            .map(|(failed, cause)| MinuteFigures { cause: Some(cause), ..minute(0, failed) });
        let downs = downs(&ServiceTrack::default(), &minutes, 95.0, END);
        let downtime: Vec<_> =
            downs.iter().map(|down| down.downtime(SimTime::ZERO).cause).collect();
        assert_eq!(downtime, ["no request was answered: connection refused"]);
    }

    #[test]
    fn a_minute_inside_of_a_longer_span_does_not_end_it() {
        let track = unreachable(&[(50, 400)]);
        assert_eq!(downtime(&track, &[minute(9, 1), minute(0, 9)], 95.0), [(0.0, 400.0)]);
    }

    #[test]
    fn the_last_minute_ends_with_the_run() {
        let track = ServiceTrack::default();
        let minutes = vec![minute(0, 1); 10];
        let end = SimTime::from_secs(570);
        let downs = downs(&track, &minutes, 95.0, end);
        assert_eq!((downs.len(), downs[0].to), (1, end));
    }
}
