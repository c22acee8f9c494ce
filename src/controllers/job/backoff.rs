//! Delay before a Job replaces failed pods (`backoff_utils.go`, 1.36).

use cluster::container_status::{ContainerState, ContainerStatuses};
use cluster::node::ConditionStatus;
use cluster::pod::Pod;
use cluster::pod_template::PodSpec;
use engine::{SimDuration, SimTime};

/// After the first failure (`DefaultJobPodFailureBackOff`).
const INITIAL: SimDuration = SimDuration::from_secs(10);
/// The longest (`MaxJobPodFailureBackOff`).
const MAX: SimDuration = SimDuration::from_secs(600);

/// The failures of a Job since its last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackoffRecord {
    /// Number of failures.
    pub failures: i32,
    /// End of the last failed pod.
    pub last_failure: Option<SimTime>,
}

impl BackoffRecord {
    /// The record updated with newly finished pods: finish times of those that succeeded and of those that failed
    /// (`newBackoffRecord`). Failures count from the last success, by finish time.
    #[must_use]
    pub fn with(self, succeeded: &[SimTime], failed: &[SimTime]) -> Self {
        let last_success = succeeded.iter().max();
        let before = if last_success.is_some() { Self::default() } else { self };
        let counted = failed.iter().filter(|at| last_success.is_none_or(|last| *at > last));
        Self {
            failures: before.failures + i32::try_from(counted.clone().count()).unwrap_or(i32::MAX),
            last_failure: counted.max().copied().or(before.last_failure),
        }
    }

    /// When pods may be created again.
    pub fn not_before(self) -> Option<SimTime> {
        (self.failures > 0).then_some(())?;
        Some(self.last_failure? + delay(self.failures))
    }
}

/// Delay after this number of consecutive failures: 10 s, 20 s, 40 s, ... 600 s.
pub fn delay(failures: i32) -> SimDuration {
    let doublings = u32::try_from(failures - 1).unwrap_or(0).min(6);
    (INITIAL * (1_i64 << doublings)).min(MAX)
}

/// Finish time of a pod with this spec (`getFinishedTime`): from its containers, or else from Ready=False; for a
/// deleted pod that has not finished, the time of the deletion request.
pub(crate) fn finished_at(pod: &Pod, spec: &PodSpec) -> SimTime {
    if let Some(last) = last_end(&pod.containers, spec) {
        return last;
    }
    let unready = pod.ready.filter(|ready| ready.status == ConditionStatus::False);
    unready
        .map(|ready| ready.since)
        .or_else(|| pod.deletion.map(|deletion| deletion.requested_at.floor_to_second()))
        .unwrap_or(pod.created)
}

/// The end of the container that ended last, if all have: sidecars, which end after them, do not count
/// (`getFinishTimeFromContainers`).
fn last_end(containers: &ContainerStatuses, spec: &PodSpec) -> Option<SimTime> {
    let (_, regular) = containers.split(spec);
    let ends = regular.iter().map(|status| match status.state {
        ContainerState::Terminated(end) => Some(end.finished),
        ContainerState::Waiting(_) | ContainerState::Running { .. } => None,
    });
    ends.collect::<Option<Vec<SimTime>>>()?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::container_status::{ContainerStatus, Termination, TerminationReason};
    use cluster::pod_template::Container;

    fn ended(at: i64) -> ContainerStatus {
        let (started, finished) = (SimTime::ZERO, SimTime::from_secs(at));
        let reason = TerminationReason::Error;
        ContainerStatus {
            state: ContainerState::Terminated(Termination {
                exit_code: 1,
                reason,
                started,
                finished,
            }),
            last_termination: None,
            restarts: 0,
            is_ready: false,
            is_started: false,
        }
    }

    #[test]
    fn a_sidecar_that_ends_later_does_not_put_off_the_end_of_its_pod() {
        let sidecar = Container { is_sidecar: true, ..Container::default() };
        let spec = PodSpec {
            init_containers: vec![sidecar],
            containers: vec![Container::default(); 2],
            ..PodSpec::default()
        };
        let statuses = [ended(50), ended(20), ended(10)].into_iter().collect();
        assert_eq!(last_end(&statuses, &spec), Some(SimTime::from_secs(20)));
        assert_eq!(last_end(&ContainerStatuses::default(), &spec), None);
    }

    #[test]
    fn the_delay_doubles_up_to_ten_minutes() {
        let delays: Vec<i64> = (1..9).map(|failures| delay(failures).as_secs()).collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn failures_before_the_last_success_are_forgotten() {
        let at = SimTime::from_secs;
        let record = BackoffRecord { failures: 3, last_failure: Some(at(1)) };
        let record = record.with(&[at(10)], &[at(9), at(12), at(11)]);
        assert_eq!(record, BackoffRecord { failures: 2, last_failure: Some(at(12)) });
        assert_eq!(record.not_before(), Some(at(32)));
    }
}
