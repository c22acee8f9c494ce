//! KEDA's ScaledObjects: triggers, fallback, formulas, pauses and activation.

use super::{QUIET, REQUESTS, scenario, shop};
use crate::in_memory::Run;

fn scaled_object(annotations: &str, spec: &str) -> String {
    format!(
        "\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: web, namespace: shop, annotations: {{{annotations}}}}}
spec:
  scaleTargetRef: {{name: web}}
{spec}"
    )
}

#[test]
fn a_cron_trigger_of_keda_follows_the_clock_of_its_time_zone() {
    // The run begins at 07:50 in Berlin, which is an hour ahead of UTC in January.
    let scenario = scenario(REQUESTS, QUIET, "startDate: 2026-01-05T06:50:00Z\n");
    let cron = "  minReplicaCount: 0
  cooldownPeriod: 60
  triggers:
    - type: cron
      metadata: {timezone: Europe/Berlin, start: 0 8 * * *, end: 10 8 * * *, desiredReplicas: '6'}
";
    let mut run = Run::new(&scenario, &shop(2, &scaled_object("", cron)));
    assert_eq!(run.until(595).replicas("web"), 0);
    // KEDA looks every 30 s and wakes it; the HPA asks at its next syncs.
    assert_eq!(run.until(660).replicas("web"), 6);
    let told = run.explain("so/shop/web");
    assert!(
        told.contains("trigger cron (s0-cron-Europe-Berlin-08xxx-108xxx): 6, active"),
        "{told}"
    );
    assert_eq!(run.until(1_195).replicas("web"), 6);
    // 8:10 is over: nothing is active any more, and after the cooldown it sleeps.
    assert_eq!(run.until(1_320).replicas("web"), 0);
    assert_eq!(run.events("KEDAScaleTargetActivated").len(), 1);
}

const QUEUE: &str = "metrics: {custom: [{name: jobs, measure: concurrency, service: shop/web}]}
timeline: [{at: 10m, metricDown: jobs}, {at: 20m, metricUp: jobs}]
";

fn queue_trigger(more: &str) -> String {
    scaled_object(
        "",
        &format!(
            "  minReplicaCount: 1
  maxReplicaCount: 20
  triggers:
    - {{type: rabbitmq, name: jobs, metadata: {{queueName: jobs, mode: QueueLength, value: '5'}}}}
{more}"
        ),
    )
}

#[test]
fn a_trigger_that_fails_is_answered_for_by_the_fallback_once_it_failed_more_often_than_is_borne() {
    let scenario = scenario(REQUESTS, QUIET, QUEUE);
    let plain = queue_trigger("");
    let mut run = Run::new(&scenario, &shop(3, &plain));
    // The metric fails, and the HPA does nothing.
    let before = run.until(595).replicas("web");
    assert_eq!(run.until(1_190).replicas("web"), before);
    assert_eq!(run.events("MetricDown"), [(600, "the metric jobs cannot be read".to_owned())]);
    let told = run.explain("hpa/shop/keda-hpa-web");
    assert!(told.contains("metric:s0-rabbitmq-jobs encountered error"), "{told}");

    let with_fallback = queue_trigger("  fallback: {failureThreshold: 3, replicas: 7}\n");
    let mut run = Run::new(&scenario, &shop(3, &with_fallback));
    let before = run.until(600).replicas("web");
    // Four syncs of 15 s: three are borne, the fourth is answered.
    assert_eq!(run.until(644).replicas("web"), before);
    assert_eq!(run.until(680).replicas("web"), 7, "{}", run.explain("hpa/shop/keda-hpa-web"));
    let told = run.explain("so/shop/web");
    assert!(told.contains("the HPA gets the value that yields 7 replicas"), "{told}");
    // It is back, and so is the load's own number, after the scale-down window.
    assert!(run.until(1_190).replicas("web") == 7 && run.until(1_800).replicas("web") < 7);

    let kept = queue_trigger(
        "  fallback: {failureThreshold: 3, replicas: 2, behavior: currentReplicasIfHigher}\n",
    );
    let mut run = Run::new(&scenario, &shop(3, &kept));
    let before = run.until(600).replicas("web").max(2);
    assert_eq!(run.until(1_190).replicas("web"), before);
}

#[test]
fn a_formula_goes_on_without_a_trigger_that_failed_too_often_and_falls_back_where_it_gives_nothing()
{
    let scenario = scenario(REQUESTS, QUIET, QUEUE);
    let with_formula = |formula: &str| {
        let more = format!(
            "  advanced: {{scalingModifiers: {{formula: '{formula}', target: '5'}}}}
  fallback: {{failureThreshold: 3, replicas: 7, behavior: scalingModifiers}}
"
        );
        shop(3, &queue_trigger(&more))
    };
    let mut run = Run::new(&scenario, &with_formula("jobs ?? 45"));
    let before = run.until(600).replicas("web");
    // Four syncs of 15 s: three are borne, and then the other side of ?? counts: 45 are 9 times 5.
    assert_eq!(run.until(644).replicas("web"), before);
    assert_eq!(run.until(700).replicas("web"), 9, "{}", run.explain("hpa/shop/keda-hpa-web"));
    let told = run.explain("so/shop/web");
    assert!(told.contains("nil in the formula"), "{told}");

    let mut run = Run::new(&scenario, &with_formula("jobs * 2"));
    assert_eq!(run.until(644).replicas("web"), before);
    assert_eq!(run.until(700).replicas("web"), 7, "{}", run.explain("hpa/shop/keda-hpa-web"));
}

#[test]
fn a_paused_object_of_keda_has_no_hpa_and_the_replicas_that_it_is_paused_at() {
    let scenario = scenario(REQUESTS, QUIET, QUEUE);
    let spec = "  triggers: [{type: rabbitmq, metadata: {queueName: jobs, value: '1'}}]\n";
    let paused = scaled_object("autoscaling.keda.sh/paused-replicas: '4'", spec);
    let mut run = Run::new(&scenario, &shop(1, &paused));
    assert_eq!(run.until(300).replicas("web"), 4);
    assert_eq!(run.explain("hpa/shop/keda-hpa-web"), "");
    assert_eq!(run.events("ScaledObjectPaused").len(), 1);
    // KEDA takes what is neither true nor false for true.
    for value in ["true", "1", "yes"] {
        let held = scaled_object(&format!("autoscaling.keda.sh/paused: '{value}'"), spec);
        let mut run = Run::new(&scenario, &shop(2, &held));
        assert_eq!(run.until(300).replicas("web"), 2);
        assert_eq!(run.explain("hpa/shop/keda-hpa-web"), "", "{value}");
    }
    let free = scaled_object("autoscaling.keda.sh/paused: 'F'", spec);
    let mut run = Run::new(&scenario, &shop(2, &free));
    assert_ne!(run.until(300).explain("hpa/shop/keda-hpa-web"), "");
}

/// `NeedToForceActivation` in `pkg/scaling/executor/scale_scaledobjects.go`.
#[test]
fn an_object_of_keda_whose_activation_is_forced_never_sleeps() {
    let scenario = scenario(REQUESTS, QUIET, QUEUE);
    let spec = "  cooldownPeriod: 30
  triggers:
    - {type: rabbitmq, metadata: {queueName: jobs, value: '5', activationValue: '1000'}}
";
    let asleep = scaled_object("", spec);
    let mut run = Run::new(&scenario, &shop(0, &asleep));
    assert_eq!(run.until(300).replicas("web"), 0);
    let forced = scaled_object("autoscaling.keda.sh/force-activation: 'true'", spec);
    let mut run = Run::new(&scenario, &shop(0, &forced));
    assert_eq!(run.until(300).replicas("web"), 1);
    let told = run.events("KEDAScaleTargetActivated");
    assert!(told[0].1.ends_with("from 0 to 1, caused by forced activation annotation"), "{told:?}");
}

/// `getScaledObjectMetricSpecs` in `controllers/keda/hpa.go`.
#[test]
fn the_metrics_of_an_hpa_of_keda_stand_in_the_order_of_their_types() {
    let scenario = scenario(REQUESTS, QUIET, QUEUE);
    let spec = "  minReplicaCount: 1
  triggers:
    - {type: memory, metricType: Utilization, metadata: {value: '80'}}
    - {type: cpu, metricType: Utilization, metadata: {value: '60', containerName: app}}
    - {type: rabbitmq, name: jobs, metadata: {queueName: jobs, value: '5'}}
";
    let mut run = Run::new(&scenario, &shop(1, &scaled_object("", spec)));
    let told = run.until(60).explain("hpa/shop/keda-hpa-web");
    let names: Vec<&str> = told
        .lines()
        .filter_map(|line| line.strip_prefix("metric ")?.split_once([',', '(']))
        .map(|(name, _)| name.trim_end())
        .collect();
    let expected = [
        "cpu container resource utilization",
        "external metric s2-rabbitmq-jobs",
        "memory resource utilization",
    ];
    assert_eq!(names, expected, "{told}");
}

#[test]
fn a_formula_of_keda_stands_for_all_triggers() {
    let metrics = "metrics:
  custom:
    - {name: rate, measure: requestsPerSecond, service: shop/web}
    - {name: jobs, measure: concurrency, service: shop/web}
";
    let scenario = scenario(REQUESTS, "{pattern: constant, rps: 40}", metrics);
    let spec = "  minReplicaCount: 1
  advanced:
    scalingModifiers: {formula: 'jobs > 1000 ? 1 : rate / 2', target: '5'}
  triggers:
    - {type: prometheus, name: rate, metadata: {query: sum(rate), threshold: '1'}}
    - {type: rabbitmq, name: jobs, metadata: {queueName: jobs, value: '1'}}
";
    let mut run = Run::new(&scenario, &shop(1, &scaled_object("", spec)));
    let replicas = run.until(900).replicas("web");
    // 40 / 2 / 5 = 4; by the triggers themselves it would be 40.
    assert!((4..=5).contains(&replicas), "{}", run.explain("hpa/shop/keda-hpa-web"));
    let told = run.explain("so/shop/web");
    assert!(told.contains("formula jobs > 1000 ? 1 : rate / 2 = "), "{told}");
}

#[test]
fn a_queue_that_nobody_works_on_wakes_its_workers() {
    // A worker takes 2 s for a job: two jobs a second keep four of them busy.
    let metrics = "metrics: {custom: [{name: jobs, measure: queueDepth, service: shop/web}]}
services: [{service: shop/web, workQueue: true}]
";
    let load = "{pattern: step, rps: 0, steps: [{at: 5m, rps: 2}, {at: 15m, rps: 0}]}";
    let scenario = scenario("{concurrency: 1, waitTime: 2s}", load, metrics)
        .replace("timeout: 60s", "timeout: 40m");
    let trigger = queue_trigger("  cooldownPeriod: 120\n")
        .replace("minReplicaCount: 1", "minReplicaCount: 0");
    let mut run = Run::new(&scenario, &shop(1, &trigger));
    assert_eq!(run.until(295).replicas("web"), 0);
    // Ten jobs wait after five seconds, and two more each second: at five a pod, more pods by the minute.
    let told = run.until(335).explain("so/shop/web");
    assert!(told.contains("active") && !told.contains("not active"), "{told}");
    let grown = run.until(600).replicas("web");
    assert!(grown >= 4, "{grown}: {}", run.explain("hpa/shop/keda-hpa-web"));
    assert_eq!(run.until(2_390).replicas("web"), 0, "{}", run.explain("so/shop/web"));
}
