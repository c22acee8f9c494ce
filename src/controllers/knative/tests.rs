//! Knative's decisions: windows, panic, limits, and scaling to zero.

use super::activation::{Hold, mode, scale, status_after};
use super::decider::{Decider, Decision, Observation, excess_at_first};
use super::*;
use cluster::node::ConditionStatus;
use cluster::pod_autoscaler::{Aggregation, PodAutoscalerStatus};
use engine::SimDuration;

/// The defaults of `config-autoscaler`, for a revision without a limit of concurrency.
fn spec() -> PodAutoscalerSpec {
    PodAutoscalerSpec {
        scale_target: "hello-00001-deployment".into(),
        service: "hello".into(),
        container_concurrency: 0,
        metric: ScalingMetric::Concurrency,
        aggregation: Aggregation::Linear,
        target: 70.0,
        total: 100.0,
        target_burst_capacity: 211.0,
        panic_threshold: 2.0,
        stable_window: SimDuration::from_secs(60),
        panic_window: SimDuration::from_secs(6),
        scale_down_delay: SimDuration::ZERO,
        min_scale: 0,
        max_scale: 0,
        initial_scale: 1,
        activation_scale: 0,
        max_scale_up_rate: 1000.0,
        max_scale_down_rate: 2.0,
        scales_to_zero: true,
        grace_period: SimDuration::from_secs(30),
        pod_retention: SimDuration::ZERO,
        activation_timeout: SimDuration::from_secs(630),
    }
}

fn at(seconds: i64) -> SimTime {
    SimTime::from_secs(seconds)
}

fn decide(spec: &PodAutoscalerSpec, ready: i32, stable: f64, panic: f64) -> Decision {
    Decider::default().decide(spec, Observation { ready, stable, panic }, at(100))
}

#[test]
fn the_stable_window_asks_for_its_average_by_the_target_rounded_up() {
    // 211 / 70 = 3.01
    assert_eq!(decide(&spec(), 3, 211.0, 211.0).desired, 4);
    assert_eq!(decide(&spec(), 4, 210.0, 210.0).desired, 3);
    assert_eq!(decide(&spec(), 1, 0.0, 0.0).desired, 0);
}

#[test]
fn twice_the_ready_pods_in_the_panic_window_begin_a_panic_that_scales_only_up() {
    let (spec, mut decider) = (spec(), Decider::default());
    let mut decide = |second, ready, stable, panic| {
        let observed = Observation { ready, stable, panic };
        let decision = decider.decide(&spec, observed, at(second));
        (decision.desired, decision.panics_since)
    };
    // 139 / 70 desires 2 pods with 2 ready; 210 / 70 desires 3 with 1 ready, which is a panic.
    assert_eq!(decide(0, 2, 139.0, 139.0), (2, None));
    assert_eq!(decide(2, 1, 70.0, 210.0), (3, Some(at(2))));
    assert_eq!(decide(4, 3, 140.0, 140.0), (3, Some(at(2))));
    assert_eq!(decide(62, 3, 10.0, 0.0), (3, Some(at(2))));
    assert_eq!(decide(64, 3, 10.0, 0.0), (1, None));
}

#[test]
fn one_decision_changes_the_number_by_the_rates_at_most() {
    let slow = PodAutoscalerSpec { max_scale_up_rate: 1.1, ..spec() };
    // ceil(1.1 * 2) = 3 of the 10 wanted; floor(10 / 2) = 5 of the 0 wanted.
    assert_eq!(decide(&slow, 2, 700.0, 700.0).desired, 3);
    assert_eq!(decide(&slow, 10, 0.0, 0.0).desired, 5);
    assert_eq!(decide(&slow, 1, 0.0, 0.0).desired, 0);
}

#[test]
fn an_activation_scale_is_the_least_number_but_zero() {
    let spec = PodAutoscalerSpec { activation_scale: 3, ..spec() };
    assert_eq!(decide(&spec, 0, 1.0, 1.0).desired, 3);
    assert_eq!(decide(&spec, 1, 0.0, 0.0).desired, 0);
}

#[test]
fn a_smaller_number_waits_for_the_scale_down_delay() {
    let spec = PodAutoscalerSpec { scale_down_delay: SimDuration::from_secs(10), ..spec() };
    let mut decider = Decider::default();
    let mut desired = |second, stable: f64| {
        let observed = Observation { ready: 3, stable, panic: stable };
        decider.decide(&spec, observed, at(second)).desired
    };
    assert_eq!(desired(0, 210.0), 3);
    assert_eq!(desired(8, 70.0), 3);
    assert_eq!(desired(10, 70.0), 1);
}

#[test]
fn the_activator_stays_while_the_pods_could_not_take_a_burst() {
    // 3 * 100 - 211 - 80 = 9; with 90 in flight one less than zero.
    let excess = |ready, panic| decide(&spec(), ready, panic, panic).excess_burst_capacity;
    assert_eq!((excess(3, 80.0), excess(3, 90.0), excess(0, 0.0)), (9, -1, -211));
    let burst = |capacity| PodAutoscalerSpec { target_burst_capacity: capacity, ..spec() };
    assert_eq!(decide(&burst(0.0), 1, 900.0, 900.0).excess_burst_capacity, 0);
    assert_eq!(decide(&burst(-1.0), 9, 0.0, 0.0).excess_burst_capacity, -1);
    assert_eq!(excess_at_first(&spec()), -111);
    assert_eq!(mode(1, 0), ServerlessMode::Serve);
    assert_eq!((mode(1, -1), mode(0, 9)), (ServerlessMode::Proxy, ServerlessMode::Proxy));
}

fn status(active: ConditionStatus, since: i64) -> PodAutoscalerStatus {
    PodAutoscalerStatus {
        desired_scale: 1,
        actual_scale: 1,
        active,
        active_since: at(since),
        is_initialized: true,
        ..PodAutoscalerStatus::default()
    }
}

#[test]
fn the_last_pod_goes_after_the_stable_window_once_the_activator_is_in_the_path() {
    let spec = spec();
    let active = status(ConditionStatus::True, 0);
    // Active for less than the window: one pod.
    let step = scale(&spec, &active, 0, at(59));
    assert_eq!((step.want, step.applies, step.again), (1, true, Some(at(60))));
    // Then it becomes inactive, with the pod still there.
    let step = scale(&spec, &active, 0, at(60));
    assert_eq!((step.want, step.applies), (0, false));
    let after = status_after(&spec, &active, (0, ServerlessMode::Proxy), 1, at(60));
    assert_eq!((after.active, after.active_since), (ConditionStatus::False, at(60)));
    // The activator has been in the path since second 0: the grace period is over.
    assert!(scale(&spec, &after, 0, at(60)).applies);
    let late = PodAutoscalerStatus { mode_since: at(50), ..after };
    let step = scale(&spec, &late, 0, at(60));
    assert_eq!((step.applies, step.again), (false, Some(at(80))));
    assert_eq!(step.held_by, Some(Hold::Grace(at(80))));
    assert!(scale(&spec, &late, 0, at(80)).applies);
}

#[test]
fn a_retention_period_keeps_the_last_pod() {
    let spec = PodAutoscalerSpec { pod_retention: SimDuration::from_secs(90), ..spec() };
    let inactive = status(ConditionStatus::False, 60);
    let step = scale(&spec, &inactive, 0, at(149));
    assert_eq!((step.applies, step.again), (false, Some(at(150))));
    assert!(scale(&spec, &inactive, 0, at(150)).applies);
}

#[test]
fn without_scaling_to_zero_one_pod_stays() {
    let spec = PodAutoscalerSpec { scales_to_zero: false, ..spec() };
    let step = scale(&spec, &status(ConditionStatus::False, 0), 0, at(900));
    assert_eq!((step.want, step.applies), (1, true));
}

#[test]
fn bounds_and_the_initial_scale_apply() {
    let spec = PodAutoscalerSpec { min_scale: 2, max_scale: 5, initial_scale: 4, ..spec() };
    let want = |status: &PodAutoscalerStatus, desired| scale(&spec, status, desired, at(0)).want;
    let new = PodAutoscalerStatus::default();
    assert_eq!((want(&new, UNKNOWN), want(&new, 9)), (4, 5));
    let old = status(ConditionStatus::True, 0);
    assert_eq!((want(&old, 0), want(&old, 3)), (2, 3));
    assert_eq!(want(&old, UNKNOWN), UNKNOWN);
}

#[test]
fn a_first_pod_that_is_never_ready_is_given_up() {
    let spec = spec();
    let new = PodAutoscalerStatus::default();
    assert!(!scale(&spec, &new, UNKNOWN, at(630)).applies);
    let step = scale(&spec, &new, UNKNOWN, at(631));
    assert_eq!((step.want, step.applies), (0, true));
}

#[test]
fn it_is_active_once_as_many_pods_as_at_least_wanted_are_ready() {
    let spec = PodAutoscalerSpec { initial_scale: 2, ..spec() };
    let new = PodAutoscalerStatus::default();
    let after = |before: &PodAutoscalerStatus, want, ready| {
        let after = status_after(&spec, before, (want, ServerlessMode::Proxy), ready, at(7));
        (after.active, after.is_initialized)
    };
    assert_eq!(after(&new, 2, 1), (ConditionStatus::Unknown, false));
    assert_eq!(after(&new, 2, 2), (ConditionStatus::True, true));
    // Later one is enough, and without a known number an inactive one stays so.
    let inactive = status(ConditionStatus::False, 0);
    assert_eq!(after(&inactive, 1, 0), (ConditionStatus::Unknown, true));
    assert_eq!(after(&inactive, 1, 1), (ConditionStatus::True, true));
    assert_eq!(after(&inactive, UNKNOWN, 0), (ConditionStatus::False, true));
}

#[test]
fn a_first_request_counts_at_once_where_there_are_no_pods() {
    let spec = spec();
    let mut revision = Revision::new(&spec, at(0));
    let report = |second, concurrency| {
        Some(RevisionReport { at: at(second), concurrency, requests: concurrency })
    };
    assert!(!revision.take(spec.metric, report(1, 1.0)), "nothing is decided yet");
    revision.desired = 0;
    assert!(!revision.take(spec.metric, report(1, 1.0)), "it has that report");
    assert!(!revision.take(spec.metric, report(200, 0.0)));
    assert!(revision.take(spec.metric, report(300, 1.0)));
    assert_eq!(revision.tick(&spec, 0, at(300)).map(|decision| decision.desired), Some(1));
}
