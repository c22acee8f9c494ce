//! Determines the Jobs of a ScaledJob to create and to delete (`RequestJobScale` of
//! `pkg/scaling/executor/scale_jobs.go`). Rules only: the kind itself is not simulated.

use cluster::node::ConditionStatus::{True, Unknown};
use cluster::pod::PodPhase;
use cluster::scaled_object::{KedaCondition, KedaConditions};

use super::executor::Triggers;

/// Jobs at most, where `maxReplicaCount` is missing.
const DEFAULT_MAX_REPLICAS: i64 = 100;

/// The fields of a ScaledJob's spec used by the rules.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledJobSpec {
    /// `minReplicaCount`: Jobs that run even with an empty queue.
    pub min_replicas: Option<i64>,
    /// `maxReplicaCount`.
    pub max_replicas: Option<i64>,
    /// `scalingStrategy`.
    pub strategy: ScalingStrategy,
    /// `scalingStrategy.pendingPodConditions`: a Job is pending until a pod has all of them.
    pub pending_pod_conditions: Vec<String>,
    /// `successfulJobsHistoryLimit`: completed Jobs that stay.
    pub successful_jobs_history_limit: usize,
    /// `failedJobsHistoryLimit`: failed Jobs that stay.
    pub failed_jobs_history_limit: usize,
}

/// `scalingStrategy.strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ScalingStrategy {
    /// The queue length minus the running Jobs.
    #[default]
    Default,
    /// The queue length minus a fraction of the running Jobs.
    Custom {
        /// Taken off the queue's length.
        deduction: i64,
        /// The part of the running Jobs that counts.
        running_part: f64,
    },
    /// The queue length, for queues that do not count messages in progress.
    Accurate,
    /// As many as the maximum has room for.
    Eager,
}

impl ScalingStrategy {
    /// The strategy with this name. An unparsable running part replaces the custom strategy by the default one
    /// (`NewScalingStrategy`).
    pub fn named(name: &str, deduction: i64, running_part: &str) -> Self {
        match (name, running_part.parse()) {
            ("custom", Ok(running_part)) => Self::Custom { deduction, running_part },
            ("accurate", _) => Self::Accurate,
            ("eager", _) => Self::Eager,
            _ => Self::Default,
        }
    }
}

/// A Job of the ScaledJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// Its end; `None` while it runs.
    pub end: Option<JobEnd>,
    /// Pods of the Job.
    pub pods: Vec<JobPodState>,
}

/// The end of a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobEnd {
    /// Whether it is complete; else it failed.
    pub is_complete: bool,
    /// `status.completionTime`, seconds.
    pub completion_time: Option<i64>,
}

/// A pod of such a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPodState {
    /// Its phase.
    pub phase: PodPhase,
    /// The types of its conditions that hold.
    pub true_conditions: Vec<String>,
}

impl ScaledJobSpec {
    /// `MinReplicaCount`: never above the maximum.
    pub fn min_replicas(&self) -> i64 {
        let min = self.min_replicas.unwrap_or(0);
        self.max_replicas.map_or(min, |max| min.min(max))
    }

    /// `MaxReplicaCount`: minus the minimum, unless the minimum exceeds it.
    pub fn max_replicas(&self) -> i64 {
        match (self.max_replicas, self.min_replicas) {
            (Some(max), Some(min)) if min > max => max,
            (Some(max), _) => max.saturating_sub(self.min_replicas()),
            (None, _) => DEFAULT_MAX_REPLICAS,
        }
    }

    fn is_pending(&self, job: &JobState) -> bool {
        let is_under_way = |pod: &JobPodState| {
            if self.pending_pod_conditions.is_empty() {
                matches!(pod.phase, PodPhase::Running | PodPhase::Succeeded)
            } else {
                self.pending_pod_conditions.iter().all(|one| pod.true_conditions.contains(one))
            }
        };
        job.end.is_none() && !job.pods.iter().any(is_under_way)
    }
}

/// Number of Jobs to create for this queue length, given the maximum scale (`getScalingDecision`, `createJobs`).
pub fn jobs_to_create(
    spec: &ScaledJobSpec,
    jobs: &[JobState],
    is_active: bool,
    queue_length: i64,
    max_scale: i64,
) -> i64 {
    let count = |is_meant: &dyn Fn(&JobState) -> bool| {
        i64::try_from(jobs.iter().filter(|job| is_meant(job)).count()).unwrap_or(i64::MAX)
    };
    let running = count(&|job| job.end.is_none());
    let pending = count(&|job| spec.is_pending(job));
    let missing = spec.min_replicas().saturating_sub(running);
    let (room, wanted) = if missing > 0 {
        (missing, missing)
    } else {
        // Jobs covered by the minimum do not count.
        room(spec, -missing, pending, queue_length, max_scale)
    };
    if is_active { wanted.min(room).max(0) } else { 0 }
}

/// Number of Jobs that may be created given the running and pending ones, and the number wanted
/// (`GetEffectiveMaxScale`).
#[expect(clippy::cast_possible_truncation, reason = "cut towards zero, as KEDA does")]
fn room(
    spec: &ScaledJobSpec,
    running: i64,
    pending: i64,
    queue_length: i64,
    max_scale: i64,
) -> (i64, i64) {
    let max = spec.max_replicas();
    match spec.strategy {
        ScalingStrategy::Default => (max_scale.saturating_sub(running), queue_length),
        ScalingStrategy::Custom { deduction, running_part } => {
            let running = (running as f64 * running_part) as i64;
            let room = max_scale.saturating_sub(deduction).saturating_sub(running);
            (room.min(max), queue_length)
        }
        ScalingStrategy::Accurate if max_scale.saturating_add(running) > max => {
            (max.saturating_sub(running), queue_length)
        }
        ScalingStrategy::Accurate => (max_scale.saturating_sub(pending), queue_length),
        ScalingStrategy::Eager => {
            (max.saturating_sub(running).saturating_sub(pending).min(max_scale), max)
        }
    }
}

/// Positions of the Jobs to delete: the oldest completed and the oldest failed ones beyond the history limits
/// (`cleanUp`).
pub fn jobs_to_delete(spec: &ScaledJobSpec, jobs: &[JobState]) -> Vec<usize> {
    let limits =
        [(true, spec.successful_jobs_history_limit), (false, spec.failed_jobs_history_limit)];
    let beyond = limits.into_iter().flat_map(|(is_complete, limit)| {
        let ends = jobs.iter().enumerate().filter_map(|(place, job)| Some((place, job.end?)));
        let mut ends: Vec<_> = ends.filter(|(_, end)| end.is_complete == is_complete).collect();
        ends.sort_by_key(|(_, end)| end.completion_time);
        ends.truncate(ends.len().saturating_sub(limit));
        ends.into_iter().map(|(place, _)| place)
    });
    beyond.collect()
}

/// The conditions after a poll, derived from the previous ones.
pub fn conditions(before: KedaConditions, triggers: Triggers) -> KedaConditions {
    let mut after = before;
    if triggers.is_failing {
        if !before.ready.is(Unknown) {
            after.ready = KedaCondition::new(Unknown, "PartialTriggerError");
        }
    } else if !before.ready.is(True) {
        after.ready = KedaCondition::new(True, "ScaledJobReady");
    }
    if before.active.is(Unknown) || before.active.is(True) != triggers.is_active {
        let reason = if triggers.is_active { "ScalerActive" } else { "ScalerNotActive" };
        after.active = KedaCondition::new(triggers.is_active.into(), reason);
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(min: i64, max: i64, strategy: ScalingStrategy) -> ScaledJobSpec {
        ScaledJobSpec {
            min_replicas: Some(min),
            max_replicas: Some(max),
            strategy,
            pending_pod_conditions: Vec::new(),
            successful_jobs_history_limit: 100,
            failed_jobs_history_limit: 100,
        }
    }

    fn running(phase: PodPhase) -> JobState {
        JobState { end: None, pods: vec![JobPodState { phase, true_conditions: Vec::new() }] }
    }

    #[test]
    fn strategies_differ_in_what_they_make_of_jobs_that_run_or_wait() {
        let jobs = [running(PodPhase::Running), running(PodPhase::Pending)];
        let created = |strategy| jobs_to_create(&spec(0, 10, strategy), &jobs, true, 6, 6);
        assert_eq!(created(ScalingStrategy::Default), 4);
        assert_eq!(created(ScalingStrategy::Accurate), 5);
        assert_eq!(created(ScalingStrategy::Eager), 6);
        assert_eq!(created(ScalingStrategy::Custom { deduction: 1, running_part: 0.5 }), 4);
        assert_eq!(ScalingStrategy::named("custom", 1, "half"), ScalingStrategy::Default);
    }

    #[test]
    fn below_the_minimum_the_queue_does_not_matter_but_activity_does() {
        let spec = spec(3, 10, ScalingStrategy::Default);
        let jobs = [running(PodPhase::Running)];
        assert_eq!(jobs_to_create(&spec, &jobs, true, 0, 0), 2);
        assert_eq!(jobs_to_create(&spec, &jobs, false, 0, 0), 0);
        assert_eq!(spec.max_replicas(), 7);
    }

    #[test]
    fn the_oldest_of_the_finished_jobs_go() {
        let ended = |is_complete, at| JobState {
            end: Some(JobEnd { is_complete, completion_time: Some(at) }),
            pods: Vec::new(),
        };
        let spec = ScaledJobSpec {
            successful_jobs_history_limit: 1,
            ..spec(0, 10, ScalingStrategy::Default)
        };
        let jobs = [ended(true, 30), ended(false, 10), ended(true, 20)];
        assert_eq!(jobs_to_delete(&spec, &jobs), [2]);
    }
}
