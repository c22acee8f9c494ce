//! When the next loop starts (`cluster-autoscaler/loop/trigger.go`).

use super::options::Options;
use engine::{SimDuration, SimTime};

/// Maximum age of a pod's unschedulable condition to trigger a loop (`maxPodChangeAge`).
const MAX_POD_CHANGE_AGE: SimDuration = SimDuration::from_secs(10);

/// When the loop after one that started at `last` begins, assuming that one ended at once: `None` = at once;
/// otherwise at this instant, or earlier when a pod becomes unschedulable.
///
/// `last_scale_up` and `last_delete` are the times of the last scale-up and of the last start of removals.
pub fn next_loop(
    last: SimTime,
    last_scale_up: SimTime,
    last_delete: SimTime,
    options: &Options,
) -> Option<SimTime> {
    let was_productive = last_scale_up >= last || last_delete >= last;
    if options.frequent_loops_enabled && was_productive {
        return None;
    }
    Some(last + options.scan_interval)
}

/// True if a pod that became unschedulable at `since` triggers a loop at `now`.
pub fn starts_loop(since: SimTime, now: SimTime, options: &Options) -> bool {
    options.frequent_loops_enabled && since + MAX_POD_CHANGE_AGE >= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_productive_loop_is_followed_at_once_and_any_other_after_the_scan_interval() {
        let at = SimTime::from_secs;
        let options = Options::default();
        assert_eq!(next_loop(at(20), at(20), at(-3600), &options), None);
        assert_eq!(next_loop(at(20), at(-3600), at(21), &options), None);
        assert_eq!(next_loop(at(20), at(19), at(19), &options), Some(at(30)));
        let steady = Options { frequent_loops_enabled: false, ..options };
        assert_eq!(next_loop(at(20), at(20), at(20), &steady), Some(at(30)));
        assert!(!starts_loop(at(20), at(20), &steady));
    }

    #[test]
    fn news_of_a_pod_is_good_for_ten_seconds() {
        let options = Options::default();
        assert!(starts_loop(SimTime::from_secs(1), SimTime::from_secs(11), &options));
        assert!(!starts_loop(SimTime::from_secs(1), SimTime::from_secs(12), &options));
    }
}
