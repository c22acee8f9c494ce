//! Whole syncs of small worlds. Bulk and corners are in `tests/slow/conform_hpa.rs`.

use super::replicas::{
    average_value_replicas, external_total_milli, object_average_value_replicas,
};
use super::*;
use cluster::hpa::{
    Behavior, HpaSpec, MetricIdentifier, MetricSource, MetricSpec, MetricTarget, ObjectReference,
    PolicyKind, PolicySelect, ScalingPolicy, ScalingRules,
};
use cluster::hpa_status::{HpaConditionType, HpaStatus, MetricValue};
use cluster::meta::Name;
use cluster::node::ConditionStatus;
use cluster::pod::{PodCondition, PodPhase};
use cluster::pod_template::{Container, PodSpec};
use engine::{SimDuration, SimTime};
use units::Quantity;

/// A Deployment whose pods request 500m, and an HPA over it.
struct World {
    spec: HpaSpec,
    settings: HpaSettings,
    status: HpaStatus,
    history: HpaHistory,
    pods: Vec<ObservedPod>,
    usage_milli: Vec<Option<i64>>,
    replicas: i32,
    now: SimTime,
}

impl World {
    /// Pods that have been ready for an hour, with their CPU usage.
    fn new(usage_milli: &[Option<i64>]) -> Self {
        let hour_ago = SimTime::from_secs(-3600);
        let ready = PodCondition { status: ConditionStatus::True, since: hour_ago };
        let pod = ObservedPod {
            count: 1,
            template: 0,
            phase: PodPhase::Running,
            is_terminating: false,
            ready: Some(ready),
            start_time: Some(hour_ago),
        };
        let cpu = MetricSource::Resource { resource: "cpu".into(), container: None };
        let target = ObjectReference {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "web".into(),
        };
        Self {
            spec: HpaSpec {
                scale_target: target,
                min_replicas: 1,
                max_replicas: 10,
                metrics: vec![MetricSpec::new(cpu, MetricTarget::Utilization(60))],
                behavior: None,
            },
            settings: HpaSettings::default(),
            status: HpaStatus::default(),
            history: HpaHistory::default(),
            pods: vec![pod; usage_milli.len()],
            usage_milli: usage_milli.to_vec(),
            replicas: i32::try_from(usage_milli.len()).expect("a small world"),
            now: SimTime::ZERO,
        }
    }

    fn plan<T>(&mut self, then: impl FnOnce(&HpaInputs<'_>, &mut HpaHistory) -> T) -> T {
        let cpu: Quantity = "500m".parse().expect("a quantity");
        let requests = [("cpu", cpu)].into_iter().collect();
        let container = Container { name: "app".into(), requests, ..Container::default() };
        let template = PodSpec { containers: vec![container], ..PodSpec::default() };
        let sample = |usage: &Option<i64>| {
            Some(PodMetric {
                value_milli: (*usage)?,
                timestamp: self.now,
                window: SimDuration::from_secs(15),
            })
        };
        let values: Vec<Option<PodMetric>> = self.usage_milli.iter().map(sample).collect();
        let metrics = PodMetrics { values: &values, orphans: GroupTotal::default() };
        let inputs = HpaInputs {
            hpa: HpaView {
                namespace: "default",
                spec: &self.spec,
                status: &self.status,
                settings: &self.settings,
            },
            scale: Ok(ObservedScale {
                spec_replicas: self.replicas,
                status_replicas: self.replicas,
                selector: ScaleSelector::Unique,
            }),
            scale_write: Ok(()),
            pods: &self.pods,
            templates: &[&template],
            metrics: &[MetricReading::PerPod(metrics)],
            pod_name: &pod_name,
        };
        then(&inputs, &mut self.history)
    }

    /// Runs one sync; its status and count are kept.
    fn sync(&mut self) -> Decision {
        let now = self.now;
        let decision = self.plan(|inputs, history| reconcile(inputs, history, now));
        self.status = decision.status.clone();
        self.replicas = decision.replicas_after().expect("a readable scale");
        self.now += self.settings.sync_period;
        decision
    }
}

fn pod_name(index: usize) -> Name {
    format!("web-{index}").into()
}

#[test]
fn the_count_is_that_of_counted_pods_and_not_of_the_spec() {
    let mut world = World::new(&[Some(450), Some(450), Some(450)]);
    // 4 replicas were requested just now, one of which does not exist yet.
    world.replicas = 4;
    let decision = world.sync();
    assert_eq!(decision.raw_recommendation(), Some(5));
}

#[test]
fn both_ends_of_the_tolerance_change_nothing() {
    // 66% of the request against 60% is a ratio of 1.1, in floats.
    for (usage, raw) in [(330, 1), (335, 2)] {
        let mut world = World::new(&[Some(usage)]);
        assert_eq!(world.sync().raw_recommendation(), Some(raw), "{usage}m");
    }
}

#[test]
fn a_refused_write_leaves_the_desired_count_and_no_scale_event() {
    let mut world = World::new(&[Some(500), Some(500)]);
    world.spec.behavior = Some(two_pods_a_minute());
    let now = world.now;
    let error = Name::from("conflict");
    let refused = world.plan(|inputs, history| {
        let plan = decide(inputs, history, now);
        assert_eq!(plan.scale_write(), Some(4));
        plan.conclude(inputs.hpa, Err(&error), history)
    });
    assert_eq!(refused.status.desired_replicas, 0);
    let able = refused.status.condition(HpaConditionType::AbleToScale).expect("it is always set");
    assert_eq!(able.status, ConditionStatus::False);
    assert_eq!(
        able.message(),
        "the HPA controller was unable to update the target scale: conflict"
    );
    assert_eq!(refused.events[0].reason, "FailedRescale");
    assert!(world.history.scale_up_events.is_empty());
    assert_eq!(world.sync().replicas_after(), Some(4));
    assert_eq!(world.history.scale_up_events.len(), 1);
}

fn two_pods_a_minute() -> Behavior {
    let policy =
        |value| ScalingPolicy { kind: PolicyKind::Pods, value, period: SimDuration::from_secs(60) };
    let rules = |window| ScalingRules {
        stabilization_window: window,
        select_policy: PolicySelect::Max,
        policies: vec![policy(2)],
        tolerance: None,
    };
    Behavior { scale_up: rules(Some(SimDuration::ZERO)), scale_down: rules(None) }
}

#[test]
fn an_explanation_fills_the_formula_in() {
    let mut world = World::new(&[Some(400), Some(420), Some(425), None]);
    world.pods[3].phase = PodPhase::Failed;
    world.replicas = 3;
    insta::assert_snapshot!(world.sync().explain(&pod_name), @r"
    at 00:00:00: spec.replicas 3, status.replicas 3, allowed 1 to 10
    metric cpu resource utilization (percentage of request), target 60%
      pods: 3 counted
            1 failed or terminating (web-3)
      current: 1245m used of 1500m requested = 83%
      ratio = 83% / 60% = 1.3833, outside the tolerance 0.9 to 1.1
      desired = ceil(3 counted pods x 83% / 60%) = ceil(4.15) = 5
    raw recommendation: 5, from cpu resource utilization (percentage of request)
    stabilization: the highest recommendation of the last 300s is 5
    rate limit: at most max(2 x 3, 4) = 6
    not limited: 5 (DesiredWithinRange)
    replicas go from 3 to 5
    condition AbleToScale True SucceededRescale: the HPA controller was able to update the target scale to 5
    condition ScalingActive True ValidMetricFound: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)
    condition ScalingLimited False DesiredWithinRange: the desired count is within the acceptable range
    event Normal SuccessfulRescale: New size: 5; reason: cpu resource utilization (percentage of request) above target
    ");
}

#[test]
fn missing_pods_are_told_to_be_at_the_target_of_a_metric_that_nobody_requests() {
    let mut world = World::new(&[Some(1_000), None]);
    let explanation = |world: &mut World| world.sync().explain(&pod_name);
    let of_cpu = "assumed: 1 missing pods use their request, or the target if higher";
    world.usage_milli[0] = Some(10);
    let text = explanation(&mut world);
    assert!(text.contains(of_cpu), "{text}");
    let metric =
        MetricIdentifier { name: "waiting".into(), selector: None, selector_text: "nil".into() };
    world.spec.metrics = vec![MetricSpec::new(
        MetricSource::Pods { metric },
        MetricTarget::AverageValueMilli(2_000),
    )];
    let text = explanation(&mut world);
    assert!(text.contains("assumed: 1 missing pods are at the target\n"), "{text}");
}

#[test]
fn an_explanation_tells_of_assumed_samples_policies_and_windows() {
    let mut world = World::new(&[Some(500), Some(500), None, None]);
    world.spec.behavior = Some(two_pods_a_minute());
    world.pods[3].phase = PodPhase::Pending;
    insta::assert_snapshot!(world.sync().explain(&pod_name), @r"
    at 00:00:00: spec.replicas 4, status.replicas 4, allowed 1 to 10
    metric cpu resource utilization (percentage of request), target 60%
      pods: 2 counted
            1 not started or not ready: 0 when scaling up (web-3)
            1 without a sample (web-2)
      current: 1000m used of 1000m requested = 100%
      ratio = 100% / 60% = 1.6667
      assumed: 1 missing pods assumed at 0 usage
      assumed: 1 unready pods assumed at 0 usage
      corrected: 1000m used of 2000m requested = 50%
      corrected ratio = 50% / 60% = 0.8333, outside the tolerance 0.9 to 1.1
      with the assumed samples the direction would reverse: no change
    raw recommendation: 4, from cpu resource utilization (percentage of request)
    stabilization: no other recommendation in the last 0s (scaling up) or 300s (scaling down): 4
    not limited: 4 (DesiredWithinRange)
    replicas unchanged at 4
    condition AbleToScale True ReadyForNewScale: recommended size matches current size
    condition ScalingActive True ValidMetricFound: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)
    condition ScalingLimited False DesiredWithinRange: the desired count is within the acceptable range
    ");
    world.pods.truncate(2);
    world.usage_milli = vec![Some(1000), Some(1000)];
    insta::assert_snapshot!(world.sync().explain(&pod_name), @r"
    at 00:00:15: spec.replicas 4, status.replicas 4, allowed 1 to 10
    metric cpu resource utilization (percentage of request), target 60%
      pods: 2 counted
      current: 2000m used of 1000m requested = 200%
      ratio = 200% / 60% = 3.3333, outside the tolerance 0.9 to 1.1
      desired = ceil(2 counted pods x 200% / 60%) = ceil(6.6667) = 7
    raw recommendation: 7, from cpu resource utilization (percentage of request)
    stabilization: no other recommendation in the last 0s (scaling up) or 300s (scaling down): 7
    rate limit: 6, selectPolicy Max
      2 Pods per 60s: 4 before (0 added, 0 removed since), 4 + 2 = 6
    limited to 6 (ScaleUpLimit)
    replicas go from 4 to 6
    condition AbleToScale True SucceededRescale: the HPA controller was able to update the target scale to 6
    condition ScalingActive True ValidMetricFound: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)
    condition ScalingLimited True ScaleUpLimit: the desired replica count is increasing faster than the maximum scale rate
    event Normal SuccessfulRescale: New size: 6; reason: cpu resource utilization (percentage of request) above target
    ");
    world.usage_milli = vec![Some(10), Some(10)];
    insta::assert_snapshot!(world.sync().explain(&pod_name), @r"
    at 00:00:30: spec.replicas 6, status.replicas 6, allowed 1 to 10
    metric cpu resource utilization (percentage of request), target 60%
      pods: 2 counted
      current: 20m used of 1000m requested = 2%
      ratio = 2% / 60% = 0.0333, outside the tolerance 0.9 to 1.1
      desired = ceil(2 counted pods x 2% / 60%) = ceil(0.0667) = 1
    raw recommendation: 1, from cpu resource utilization (percentage of request)
    stabilization: the current 6 is brought to between 1, the lowest of the last 0s, and 7, the highest of the last 300s: 6
      recommendations: 4 at 00:00:00, 7 at 00:00:15
    not limited: 6 (DesiredWithinRange)
    replicas unchanged at 6
    condition AbleToScale True ScaleDownStabilized: recent recommendations were higher than current one, applying the highest recent recommendation
    condition ScalingActive True ValidMetricFound: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)
    condition ScalingLimited False DesiredWithinRange: the desired count is within the acceptable range
    ");
}

#[test]
fn an_explanation_of_values_names_what_they_are_divided_by() {
    let mut world = World::new(&[Some(1), Some(1)]);
    let queue = || MetricSource::External {
        metric: MetricIdentifier {
            name: "queue".into(),
            selector: None,
            selector_text: "nil".into(),
        },
    };
    world.spec.metrics = vec![
        MetricSpec::new(queue(), MetricTarget::ValueMilli(4_000)),
        MetricSpec::new(queue(), MetricTarget::AverageValueMilli(4_000)),
        MetricSpec::new(queue(), MetricTarget::ValueMilli(10_000)),
    ];
    let now = world.now;
    let decision = world.plan(|inputs, history| {
        let metrics = [
            MetricReading::Values(&[7_000, 3_500]),
            MetricReading::Values(&[7_000, 3_500]),
            MetricReading::Empty,
        ];
        reconcile(&HpaInputs { metrics: &metrics, ..*inputs }, history, now)
    });
    insta::assert_snapshot!(decision.explain(&pod_name), @r"
    at 00:00:00: spec.replicas 2, status.replicas 2, allowed 1 to 10
    metric external metric queue(nil), target 4
      ratio = 10.5 / 4 = 2.625, outside the tolerance 0.9 to 1.1
      desired = ceil(2 ready pods x 10.5 / 4) = ceil(5.25) = 6
    metric external metric queue(nil), target 4
      ratio = 10.5 / (4 x 2 status.replicas) = 1.3125, outside the tolerance 0.9 to 1.1
      desired = ceil(10.5 / 4) = ceil(2.625) = 3
    metric external metric queue(nil), target 10
      failed: unable to get external metric default/queue/nil: no metrics returned from external metrics API
    raw recommendation: 6, from external metric queue(nil)
    stabilization: the highest recommendation of the last 300s is 6
    rate limit: at most max(2 x 2, 4) = 4
    limited to 4 (ScaleUpLimit)
    replicas go from 2 to 4
    condition AbleToScale True SucceededRescale: the HPA controller was able to update the target scale to 4
    condition ScalingActive True ValidMetricFound: the HPA was able to successfully calculate a replica count from external metric queue(nil)
    condition ScalingLimited True ScaleUpLimit: the desired replica count is increasing faster than the maximum scale rate
    event Warning FailedGetExternalMetric: unable to get external metric default/queue/nil: no metrics returned from external metrics API
    event Normal SuccessfulRescale: New size: 4; reason: external metric queue(nil) above target
    ");
}

#[test]
fn a_negative_sum_is_an_overflow_of_external_metrics_alone() {
    let tolerances = HpaSettings::default().tolerances(None);
    let object = object_average_value_replicas(-5_000, 1_000, 5, tolerances);
    assert_eq!((object.replicas, object.current), (-5, MetricValue::AverageValueMilli(-1_000)));
    assert_eq!(external_total_milli(&[-5_000]), i64::MAX);
    // Three thousand million replicas: an External metric is capped, an Object metric overflows.
    let total = 3_000_000_000_000;
    let external = average_value_replicas(total, 1_000, 5, tolerances);
    let object = object_average_value_replicas(total, 1_000, 5, tolerances);
    assert_eq!((external.replicas, object.replicas), (i32::MAX, i32::MIN));
}

#[test]
fn an_object_metric_without_the_value_that_its_type_names_fails_and_keeps_the_count() {
    let mut world = World::new(&[Some(450), Some(450)]);
    let service =
        ObjectReference { api_version: "v1".into(), kind: "Service".into(), name: "web".into() };
    let metric =
        MetricIdentifier { name: "queue".into(), selector: None, selector_text: "nil".into() };
    let object = MetricSource::Object { metric, described_object: service };
    world.spec.metrics = vec![MetricSpec {
        lacks_target: true,
        ..MetricSpec::new(object, MetricTarget::AverageValueMilli(1))
    }];
    let decision = world.sync();
    assert!(matches!(decision.error, Some(SyncError::MetricsFailed(_))));
    let reasons: Vec<_> = decision.events.iter().map(|event| event.reason).collect();
    assert_eq!(reasons, ["FailedGetObjectMetric", "FailedComputeMetricsReplicas"]);
    assert_eq!(world.replicas, 2);
}
