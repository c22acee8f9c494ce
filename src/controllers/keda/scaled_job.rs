//! Determines the Jobs of a ScaledJob to create and to delete (`RequestJobScale` of
//! `pkg/scaling/executor/scale_jobs.go`).

use cluster::Name;
use cluster::node::ConditionStatus::{True, Unknown};
use cluster::pod::PodPhase;
use cluster::scaled_job::{JobScaling, ScalersCalculation, ScalingStrategy};
use cluster::scaled_object::{KedaCondition, KedaConditions};

use super::executor::Triggers;

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
    pub true_conditions: Vec<Name>,
}

/// True if a Job has not ended and no pod of it is under way.
pub fn is_pending(scaling: &JobScaling, job: &JobState) -> bool {
    let is_under_way = |pod: &JobPodState| {
        if scaling.pending_pod_conditions.is_empty() {
            matches!(pod.phase, PodPhase::Running | PodPhase::Succeeded)
        } else {
            scaling.pending_pod_conditions.iter().all(|one| pod.true_conditions.contains(one))
        }
    };
    job.end.is_none() && !job.pods.iter().any(is_under_way)
}

/// The active triggers together (`IsScaledJobActive`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobDemand {
    /// Whether there is work.
    pub is_active: bool,
    /// Length of the queue.
    pub queue_length: i64,
    /// Jobs by the triggers' targets, at most the maximum.
    pub max_scale: i64,
}

/// The value of one trigger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TriggerDemand {
    /// Length of its queue.
    pub length: f64,
    /// Part of the queue for one Job; 0 if there is no such target.
    pub target: f64,
    /// Whether it is active.
    pub is_active: bool,
}

/// The Jobs that the triggers ask for (`CalculateQueueLengthAndMaxValue`, `IsScaledJobActive`).
#[expect(clippy::cast_possible_truncation, reason = "a conversion that saturates, unlike Go's")]
pub fn demand(
    triggers: &[TriggerDemand],
    calculation: ScalersCalculation,
    scaling: &JobScaling,
) -> JobDemand {
    let most = scaling.max_replicas() as f64;
    let jobs = |one: &TriggerDemand| {
        if one.target == 0.0 { 0.0 } else { most.min(one.length / one.target) }
    };
    let active: Vec<(f64, f64)> =
        triggers.iter().filter(|one| one.is_active).map(|one| (one.length, jobs(one))).collect();
    let mut is_active = !active.is_empty();
    let sum = || active.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let (length, jobs) = match calculation {
        ScalersCalculation::Max => {
            let longest = active
                .iter()
                .fold((0.0, 0.0), |best, one| if one.0 > best.0 { *one } else { best });
            is_active = longest.0 > 0.0;
            longest
        }
        ScalersCalculation::Min => active.iter().fold((0.0, 0.0), |best, one| {
            if best.0 == 0.0 || one.0 < best.0 { *one } else { best }
        }),
        ScalersCalculation::Avg if is_active => {
            let (length, jobs) = sum();
            (length / active.len() as f64, jobs / active.len() as f64)
        }
        ScalersCalculation::Avg | ScalersCalculation::Sum => sum(),
    };
    JobDemand {
        is_active: is_active || scaling.min_replicas() > 0,
        queue_length: length.ceil() as i64,
        max_scale: jobs.min(most).ceil() as i64,
    }
}

/// Number of Jobs to create for this queue length, given the maximum scale (`getScalingDecision`, `createJobs`).
pub fn jobs_to_create(
    scaling: &JobScaling,
    jobs: &[JobState],
    is_active: bool,
    queue_length: i64,
    max_scale: i64,
) -> i64 {
    let count = |is_meant: &dyn Fn(&JobState) -> bool| {
        i64::try_from(jobs.iter().filter(|job| is_meant(job)).count()).unwrap_or(i64::MAX)
    };
    let running = count(&|job| job.end.is_none());
    let pending = count(&|job| is_pending(scaling, job));
    let missing = scaling.min_replicas().saturating_sub(running);
    let (room, wanted) = if missing > 0 {
        (missing, missing)
    } else {
        // Jobs covered by the minimum do not count.
        room(scaling, -missing, pending, queue_length, max_scale)
    };
    if is_active { wanted.min(room).max(0) } else { 0 }
}

/// Number of Jobs that may be created given the running and pending ones, and the number wanted
/// (`GetEffectiveMaxScale`).
#[expect(clippy::cast_possible_truncation, reason = "cut towards zero, as KEDA does")]
fn room(
    scaling: &JobScaling,
    running: i64,
    pending: i64,
    queue_length: i64,
    max_scale: i64,
) -> (i64, i64) {
    let max = scaling.max_replicas();
    match scaling.strategy {
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
pub fn jobs_to_delete(scaling: &JobScaling, jobs: &[JobState]) -> Vec<usize> {
    let limits =
        [(true, scaling.successful_jobs_history_limit), (false, scaling.failed_jobs_history_limit)];
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

    fn spec(min: i64, max: i64, strategy: ScalingStrategy) -> JobScaling {
        JobScaling {
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
    fn several_queues_count_as_the_longest_shortest_mean_or_sum_of_the_active_ones() {
        let trigger = |length, target, is_active| TriggerDemand { length, target, is_active };
        let triggers =
            [trigger(8.0, 5.0, true), trigger(90.0, 1.0, false), trigger(3.0, 1.0, true)];
        let spec = spec(0, 10, ScalingStrategy::Default);
        let of = |calculation| {
            let JobDemand { is_active, queue_length, max_scale } =
                demand(&triggers, calculation, &spec);
            assert!(is_active);
            (queue_length, max_scale)
        };
        // 8/5 and 3/1 Jobs, rounded up.
        assert_eq!(of(ScalersCalculation::Max), (8, 2));
        assert_eq!(of(ScalersCalculation::Min), (3, 3));
        assert_eq!(of(ScalersCalculation::Avg), (6, 3));
        assert_eq!(of(ScalersCalculation::Sum), (11, 5));
        let long = demand(&[trigger(500.0, 1.0, true)], ScalersCalculation::Sum, &spec);
        assert_eq!((long.queue_length, long.max_scale), (500, 10), "the maximum caps the Jobs");
    }

    #[test]
    fn an_empty_queue_is_active_only_with_a_minimum() {
        let idle = [TriggerDemand { length: 0.0, target: 5.0, is_active: false }];
        let of =
            |min| demand(&idle, ScalersCalculation::Max, &spec(min, 10, ScalingStrategy::Default));
        assert_eq!(of(0), JobDemand { is_active: false, queue_length: 0, max_scale: 0 });
        assert!(of(1).is_active);
    }

    #[test]
    fn the_oldest_of_the_finished_jobs_go() {
        let ended = |is_complete, at| JobState {
            end: Some(JobEnd { is_complete, completion_time: Some(at) }),
            pods: Vec::new(),
        };
        let spec = JobScaling {
            successful_jobs_history_limit: 1,
            ..spec(0, 10, ScalingStrategy::Default)
        };
        let jobs = [ended(true, 30), ended(false, 10), ended(true, 20)];
        assert_eq!(jobs_to_delete(&spec, &jobs), [2]);
    }
}
