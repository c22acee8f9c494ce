//! Counts finished pods, removes their finalizers, and finishes the Job when none is left
//! (`trackJobStatusAndRemoveFinalizers`, 1.36). The intermediate lists of pods written by the real controller are not
//! kept: everything happens at one instant.

use super::sync::{Ending, FAILURE_TARGET, SUCCESS_CRITERIA_MET, Sync};
use crate::Actions;
use cluster::Action;
use cluster::job::{COMPLETE, FAILED};
use cluster::node::ConditionStatus;
use cluster::pod::{Finalizer, Pod, PodId, PodPhase};

/// Maximum number of pods counted by one sync (`MaxUncountedPods`).
const COUNTED_MAX: usize = 500;

impl Sync<'_> {
    /// Brings the status up to date; true if it is written.
    pub(super) fn track(&mut self, ending: Option<Ending>, actions: &mut Actions) -> bool {
        let mut released: Vec<PodId> = Vec::new();
        let mut counted = 0;
        let mut is_cut_short = false;
        for (id, pod) in self.pods.clone() {
            if pod.finalizer == Finalizer::Absent
                || !self.is_to_be_released(id, pod, ending.as_ref())
            {
                continue;
            }
            released.push(id);
            counted += usize::from(self.count_pod(pod, ending.as_ref()));
            if counted >= COUNTED_MAX {
                // The status write triggers the next sync.
                is_cut_short = true;
                break;
            }
        }
        if self.job.spec.is_indexed {
            self.status.succeeded = self.succeeded_indexes.total();
            self.status.completed_indexes = self.succeeded_indexes.clone();
        }
        if let Some(ending) = ending {
            self.end(&ending, is_cut_short, actions);
        }
        let is_new = self.status != self.job.status;
        if is_new {
            actions.push(Action::status(self.id, self.status.clone()));
        }
        for pod in released {
            actions.push(Action::RemovePodFinalizer(pod));
        }
        is_new
    }

    /// Whether a pod's finalizer can be removed (`canRemoveFinalizer`).
    fn is_to_be_released(&self, id: PodId, pod: &Pod, ending: Option<&Ending>) -> bool {
        if ending.is_some() || pod.phase == PodPhase::Succeeded {
            return true;
        }
        let waits_for_successor = || {
            let index = self.index(pod);
            index.and_then(|index| self.delayed.get(&index)).is_some_and(|(other, _)| *other == id)
        };
        self.is_failed(pod) && !waits_for_successor()
    }

    /// Counts a released pod; returns true if it counts towards the limit of one sync.
    fn count_pod(&mut self, pod: &Pod, ending: Option<&Ending>) -> bool {
        if pod.phase == PodPhase::Succeeded {
            // Indexes count, not pods, where there are any.
            self.status.succeeded += i32::from(!self.job.spec.is_indexed);
            let is_known = |index| self.job.status.completed_indexes.contains(index);
            return !self.job.spec.is_indexed
                || self.index(pod).is_some_and(|index| !is_known(index));
        }
        // When a Job has failed, all that did not end counts as failed.
        let has_failed_job = ending.is_some_and(|one| one.kind == FAILURE_TARGET);
        let is_valid = !self.job.spec.is_indexed || self.index(pod).is_some();
        let counts =
            (self.is_failed(pod) || has_failed_job) && is_valid && self.judge(pod).is_counted();
        self.status.failed += i32::from(counts);
        counts
    }

    /// First sets the condition announcing the outcome; then, once all pods have finished, the final one
    /// (`enactJobFinished`).
    fn end(&mut self, ending: &Ending, is_cut_short: bool, actions: &mut Actions) {
        let Ending { kind, reason, message } = ending;
        self.set_condition(kind, ConditionStatus::True, reason, message);
        if is_cut_short || self.terminating > 0 {
            return;
        }
        if *kind == SUCCESS_CRITERIA_MET {
            self.set_condition(COMPLETE, ConditionStatus::True, reason, message);
            self.status.completion_time = Some(self.view.now.floor_to_second());
            actions.push(self.event(false, "Completed", "Job completed".to_owned()));
        } else {
            self.set_condition(FAILED, ConditionStatus::True, reason, message);
            actions.push(self.event(true, reason, message.clone()));
        }
    }
}
