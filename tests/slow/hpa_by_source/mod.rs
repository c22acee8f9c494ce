//! The HPA against its source. The controller of Kubernetes is stated here a second time, straight and slow,
//! from `pkg/controller/podautoscaler` (`horizontal.go`, `replica_calculator.go`, `metrics/`): no sums over
//! groups, no shared code with the library. What it decides on HPAs, pods and samples drawn at random is
//! written down as a recording, which the library must reproduce as it does those of real clusters.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the original casts"
)]

mod calculator;
mod controller;
mod draw;
mod recording;
mod world;

use std::collections::BTreeMap;

use controller::Controller;
use draw::Draw;
use serde_json::Value;
use wavetank::conform::{ConformReport, hpa};
use world::{
    Behavior, Case, Flags, Gates, Group, Metric, Rules, Source, Spec, Target, Template, Tick,
};

const CASES: u64 = 600;
const TICKS: usize = 25;

/// One HPA over some syncs, as the second statement of the controller decides.
fn drawn(seed: u64) -> Value {
    let mut draw = Draw::new(seed);
    let case = draw.case();
    let mut spec = case.spec.clone();
    // An empty behavior does not outlive the older versions' annotation.
    let is_old = matches!(case.api_version, "autoscaling/v1" | "autoscaling/v2beta1");
    if is_old && recording::spec_value(&spec).get("behavior") == Some(&serde_json::json!({})) {
        spec.behavior = None;
    }
    let mut controller = Controller::default();
    let (mut t, mut replicas) = (0, draw.first_replicas());
    let mut ticks = Vec::new();
    for _ in 0..TICKS {
        let tick = draw.tick(&case, &spec, t, replicas);
        if let Some(new) = &tick.new_spec {
            spec = new.clone();
        }
        if tick.restart {
            controller.restart();
        }
        let outcome = controller.reconcile(&case, &spec, &tick);
        ticks.push(recording::tick(&tick, &controller.status, &outcome));
        replicas = match outcome.write {
            Some((written, true)) => written,
            _ => tick.spec_replicas,
        };
        t += draw.gap();
    }
    recording::case(&case, &ticks)
}

/// What the library makes of a case, if it is not what was written down.
fn disagreement(case: &Value) -> Option<String> {
    let outcomes = hpa::replay(case.to_string().as_bytes()).expect("a well-formed recording");
    let report = ConformReport::new(outcomes);
    (!report.is_agreement()).then(|| format!("{}\n{report}", case["hpa"]))
}

/// `reconcileAutoscaler`, where the metrics ask for nothing and only the minimum is a reason to wake up.
#[test]
fn an_hpa_that_only_a_raised_minimum_wakes_up_names_the_minimum() {
    let down = Rules { window_seconds: Some(0), ..Rules::default() };
    let behavior = Some(Behavior { up: Rules::default(), down });
    let metric = Metric { source: Source::External("queue", None), target: Target::Value(1_000) };
    let asleep = Spec { min: Some(0), max: 5, metrics: vec![metric], behavior };
    let case = Case {
        flags: Flags {
            tolerance: 0.1,
            downscale_stabilization: 300_000,
            cpu_initialization_period: 300_000,
            initial_readiness_delay: 30_000,
        },
        gates: Gates {
            configurable_tolerance: true,
            scale_to_zero: true,
            pod_level_resources: true,
        },
        api_version: "autoscaling/v2",
        spec: asleep.clone(),
        templates: vec![Template { containers: Vec::new(), pod_level: BTreeMap::new() }],
    };
    let awake = Spec { min: Some(3), ..asleep };
    let mut controller = Controller::default();
    let (mut ticks, mut told) = (Vec::new(), Vec::new());
    for (t, spec_replicas, spec) in [(0, 1, &case.spec), (15_000, 0, &awake)] {
        let ready = Group { n: 1, phase: "Running", ready: Some(true), ..Group::default() };
        let tick = Tick {
            t,
            new_spec: Some(spec.clone()),
            spec_replicas,
            status_replicas: spec_replicas,
            externals: BTreeMap::from([("queue", vec![0])]),
            pods: vec![ready; usize::from(t == 0)],
            ..Tick::default()
        };
        let outcome = controller.reconcile(&case, spec, &tick);
        told.extend(outcome.events.iter().filter_map(|event| event.message.clone()));
        ticks.push(recording::tick(&tick, &controller.status, &outcome));
    }
    let below = "New size: 3; reason: Current number of replicas below Spec.MinReplicas";
    assert_eq!(told, ["New size: 0; reason: All metrics below target", below]);
    assert_eq!(disagreement(&recording::case(&case, &ticks)), None);
}

#[test]
fn decisions_are_those_of_the_controllers_source_on_whatever_is_drawn() {
    let (mut scaled, mut errors, mut limited, mut stabilized) = (0, 0, 0, 0);
    for seed in 0..CASES {
        let case = drawn(seed);
        for tick in case["ticks"].as_array().expect("a case has ticks") {
            let expected = &tick["expect"];
            scaled += usize::from(expected["scaled"] == true);
            errors += usize::from(!expected["error"].is_null());
            let conditions = expected["conditions"].to_string();
            limited +=
                usize::from(conditions.contains("UpLimit") || conditions.contains("DownLimit"));
            stabilized += usize::from(conditions.contains("Stabilized"));
        }
        assert_eq!(disagreement(&case), None, "seed {seed}");
    }
    // The draw reaches what there is to be reached.
    for (what, count) in
        [("scaled", scaled), ("errors", errors), ("limited", limited), ("stabilized", stabilized)]
    {
        assert!(count > 300, "{what}: {count}");
    }
}
