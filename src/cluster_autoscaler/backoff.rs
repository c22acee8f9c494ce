//! Back-off of failed groups (`cluster-autoscaler/utils/backoff/exponential_backoff.go`).

use std::collections::BTreeMap;

use super::options::Options;
use super::provider::InstanceError;
use cluster::Name;
use engine::{SimDuration, SimTime};

/// The back-off of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Its length.
    pub duration: SimDuration,
    /// Its end, inclusive.
    pub until: SimTime,
    /// Time of the failure that caused it.
    pub last_failure: SimTime,
    /// The error; absent for a scale-up that timed out.
    pub error: Option<InstanceError>,
}

/// The back-offs of all groups.
#[derive(Clone, Debug, Default)]
pub struct Backoffs(BTreeMap<Name, Backoff>);

/// Length of the back-off after a failure: that of the current back-off if the failure falls into it, twice that of
/// an expired one, and at most the maximum.
///
/// 5, 10, 20, 30, 30 minutes for failures that each come after the previous back-off.
fn next_duration(known: Option<&Backoff>, options: &Options, now: SimTime) -> SimDuration {
    match known {
        None => options.initial_node_group_backoff_duration,
        Some(known) if known.until < now => {
            (known.duration * 2).min(options.max_node_group_backoff_duration)
        }
        Some(known) => known.duration,
    }
}

impl Backoffs {
    /// Records a failure of a group.
    pub fn failed(
        &mut self,
        group: &Name,
        error: Option<InstanceError>,
        options: &Options,
        now: SimTime,
    ) {
        let duration = next_duration(self.0.get(group), options, now);
        let backoff = Backoff { duration, until: now + duration, last_failure: now, error };
        self.0.insert(group.clone(), backoff);
    }

    /// The current back-off of a group; it includes its end.
    pub fn active(&self, group: &str, now: SimTime) -> Option<&Backoff> {
        self.0.get(group).filter(|backoff| backoff.until >= now)
    }

    /// Drops failures that are older than the reset timeout.
    pub fn forget(&mut self, options: &Options, now: SimTime) {
        let reset = options.node_group_backoff_reset_timeout;
        self.0.retain(|_, backoff| backoff.last_failure + reset >= now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    #[test]
    fn a_failure_after_the_back_off_doubles_it_and_one_within_repeats_it() {
        let options = Options::default();
        let mut backoffs = Backoffs::default();
        let group: Name = "a".into();
        let mut until = |now| {
            backoffs.failed(&group, None, &options, at(now));
            backoffs.0[&group].until
        };
        assert_eq!(until(0), at(300));
        assert_eq!(until(300), at(600));
        assert_eq!(until(601), at(601 + 600));
        assert_eq!(until(1202), at(1202 + 1200));
        assert_eq!(until(2403), at(2403 + 1800));
        assert_eq!(until(4204), at(4204 + 1800));
    }

    #[test]
    fn a_back_off_holds_through_its_last_instant_and_is_forgotten_after_three_hours() {
        let options = Options::default();
        let mut backoffs = Backoffs::default();
        backoffs.failed(&"a".into(), None, &options, at(0));
        assert!(backoffs.active("a", at(300)).is_some());
        assert!(backoffs.active("a", at(301)).is_none());
        backoffs.forget(&options, at(10_800));
        assert_eq!(backoffs.0.len(), 1);
        backoffs.forget(&options, at(10_801));
        assert!(backoffs.0.is_empty());
    }
}
