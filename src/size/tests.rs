//! Knobs, bounds and cases of a small scenario.

use crate::bounds::Bounds;
use crate::fixture::shop;
use crate::knobs::{SizeKnob, knobs, now};
use crate::search::space::KnobKind;
use crate::survive::{Survive, cases};
use crate::tune::{DEFAULT, Tune, TuneList};

fn found(tuned: &[Tune], settings: &[&str]) -> Vec<SizeKnob> {
    knobs(&shop(settings), tuned)
}

fn knob<'a>(knobs: &'a [SizeKnob], end: &str) -> &'a SizeKnob {
    knobs
        .iter()
        .find(|knob| knob.path.ends_with(end))
        .unwrap_or_else(|| panic!("no {end}: {knobs:?}"))
}

#[test]
fn each_knob_starts_where_the_scenario_has_it() {
    let all = found(&DEFAULT, &[]);
    let at = |end: &str| {
        let knob = knob(&all, end);
        knob.values[knob.now].clone()
    };
    assert_eq!(at("HorizontalPodAutoscaler/shop/web.spec.minReplicas"), "2");
    assert_eq!(at("averageUtilization"), "65");
    assert_eq!(at("maxReplicas"), "6");
    // Replicas of a workload with an autoscaler cannot be set.
    assert_eq!(at("Deployment/shop/api.spec.replicas"), "2");
    assert!(all.iter().all(|knob| !knob.path.contains("Deployment/shop/web.spec.replicas")));
    assert_eq!(at("cluster.nodePools[general].count"), "3");
    assert_eq!(at("instanceType"), "aws/m5.large");
    let set = found(&DEFAULT, &["cluster.nodePools[general].count=5"]);
    let count = knob(&set, "count");
    assert_eq!(count.values[count.now], "5");
}

#[test]
fn what_a_user_names_starts_at_its_current_value() {
    let named = |text: &str| {
        let list: TuneList = text.parse().expect("a path");
        let all = found(&list.0, &[]);
        (all[0].values[all[0].now].clone(), all[0].is_current)
    };
    let replicas = "manifests.Deployment/shop/api.spec.replicas";
    assert_eq!(named(&format!("{replicas}=1,2,3")), ("2".to_owned(), true));
    assert_eq!(named(&format!("{replicas}=4,5")), ("5".to_owned(), false));
    assert_eq!(named("cluster.nodePools[general].count=2,3,4"), ("3".to_owned(), true));
}

#[test]
fn state_and_what_takes_no_requests_keep_their_replicas() {
    let volume = "manifests.Deployment/shop/api.spec.template.spec.volumes=\
                  [{\"name\":\"data\",\"persistentVolumeClaim\":{\"claimName\":\"data\"}}]";
    assert!(found(&[Tune::Replicas], &[volume]).is_empty());
    assert_eq!(found(&[Tune::Stateful], &[volume]).len(), 1);
    assert!(found(&[Tune::Stateful], &[]).is_empty());
}

#[test]
fn the_leanest_value_comes_first() {
    let all = found(&[Tune::Hpa, Tune::Requests, Tune::Limits], &[]);
    let values = |end: &str| knob(&all, end).values.clone();
    assert_eq!(values("averageUtilization")[..3], ["90", "80", "70"]);
    assert_eq!(values("minReplicas"), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(values("containers[web].resources.requests.cpu")[0], "100m");
    assert_eq!(values("containers[web].resources.limits.cpu")[0], "250m");
    // A container that asks for nothing has nothing to multiply.
    assert!(all.iter().all(|knob| !knob.path.contains("containers[api]")));
}

#[test]
fn pods_have_no_price_on_nodes_whose_number_is_set() {
    let all = found(&DEFAULT, &[]);
    assert_eq!(knob(&all, "minReplicas").kind, KnobKind::Free);
    assert_eq!(knob(&all, "count").kind, KnobKind::Priced);
    assert_eq!(knob(&all, "instanceType").kind, KnobKind::Choice);
}

#[test]
fn nodes_cost_what_they_cost_and_too_few_are_never_run() {
    let resolved = shop(&[]);
    let report = sweep::run(&resolved, 1, |_| {}).expect("it runs");
    let bounds = Bounds::new(&resolved, &report);
    let all = knobs(&resolved, &[Tune::Nodes]);
    let mut point = now(&all);
    // Three m5.large at $0.096 an hour, and the control plane at $0.10.
    assert!((bounds.floor(&all, &point) - (3.0 * 0.096 + 0.1) * 730.0).abs() < 0.01);
    // 100 requests a second of 20 ms, 99 % of them, less a tenth: 1.78 cores; one node leaves 1.93.
    assert!((bounds.offered_cores - 1.78).abs() < 0.05, "{}", bounds.offered_cores);
    point[0] = 0;
    assert!(bounds.floor(&all, &point).is_finite());
    let mut busier = bounds;
    busier.offered_cores = 2.0;
    assert!(busier.floor(&all, &point).is_infinite());
}

#[test]
fn a_floor_follows_every_setting_of_the_nodes() {
    let resolved = shop(&[]);
    let report = sweep::run(&resolved, 1, |_| {}).expect("it runs");
    let bounds = Bounds::new(&resolved, &report);
    let floor = |settings: &[&str]| {
        let list: Vec<Tune> =
            settings.iter().flat_map(|one| one.parse::<TuneList>().expect("a path").0).collect();
        let all = knobs(&resolved, &list);
        bounds.floor(&all, &vec![0; all.len()])
    };
    let month = |usd_per_hour: f64, usd: f64| (usd - usd_per_hour * 730.0).abs() < 0.01;
    assert!(month(2.0 * 0.096 + 0.1, floor(&["cluster.nodePools[0].count=2,3"])));
    let xlarge = "cluster.nodePools[0].instanceType=aws/m5.xlarge,aws/m5.large";
    assert!(month(2.0 * 0.192 + 0.1, floor(&["cluster.nodePools[0].count=2,3", xlarge])));
    assert!(month(3.0 * 0.01 + 0.1, floor(&["cluster.nodePools[general].pricePerHour=0.01,0.02"])));
    // The rest of the scenario may change what requests need, and what is billed.
    assert!(floor(&["traffic[0].load.rps=1,2"]).abs() < f64::EPSILON);
    // A setting of the cluster as a whole may change what the control plane costs.
    let preset = "cluster.preset=eks";
    assert!(month(2.0 * 0.096, floor(&["cluster.nodePools[0].count=2,3", preset])));
    // An autoscaler decides how many there are.
    assert!(floor(&["cluster.nodePools[0].count={min: 1, max: 2},3"]).abs() < f64::EPSILON);
}

#[test]
fn only_an_event_that_takes_nodes_off_the_bill_leaves_no_floor() {
    let floor = |timeline: &str| {
        let resolved = shop(&[timeline]);
        let report = sweep::run(&shop(&[]), 1, |_| {}).expect("it runs");
        let all = knobs(&resolved, &DEFAULT);
        Bounds::new(&resolved, &report).floor(&all, &now(&all))
    };
    for stays in ["delete: Deployment/shop/api", "maintain: {pool: general}", "killNode: general-1"]
    {
        assert!(floor(&format!("timeline=[{{at: 1m, {stays}}}]")) > 3.0 * 0.096 * 730.0, "{stays}");
    }
    for goes in ["delete: Node/general-1", "reclaimSpot: {pool: general}"] {
        assert!(floor(&format!("timeline=[{{at: 1m, {goes}}}]")).abs() < f64::EPSILON, "{goes}");
    }
}

#[test]
fn nodes_of_an_autoscaler_have_no_floor_and_pods_a_price() {
    let report = sweep::run(&shop(&[]), 1, |_| {}).expect("it runs");
    for setting in [
        "cluster.nodePools[general].count={min: 1, max: 9}",
        "cluster.nodePools[general].count=karpenter",
        "cluster.autoscaler={karpenter: {}}",
    ] {
        let resolved = shop(&[setting]);
        let all = knobs(&resolved, &DEFAULT);
        assert_eq!(knob(&all, "minReplicas").kind, KnobKind::Priced, "{setting}");
        let mut bounds = Bounds::new(&resolved, &report);
        bounds.offered_cores = 1000.0;
        assert!(bounds.floor(&all, &now(&all)).abs() < f64::EPSILON, "{setting}");
    }
}

#[test]
fn requests_of_classes_with_cpu_times_of_their_own_need_none_for_sure() {
    let classes = "workloads[0].requests.classes=[{name: cheap, cpuTime: 1ms}]";
    let resolved = shop(&[classes]);
    let report = sweep::run(&resolved, 1, |_| {}).expect("it runs");
    assert!(Bounds::new(&resolved, &report).offered_cores.abs() < f64::EPSILON);
}

#[test]
fn faults_come_beside_what_the_timeline_has() {
    let resolved = shop(&[]);
    let report = sweep::run(&resolved, 1, |_| {}).expect("it runs");
    let all = ["node", "zone", "rollout", "rollout+node"];
    let all = all.map(|text| text.parse::<Survive>().expect("faults"));
    let cases = cases(&resolved, &report, &all).expect("cases");
    let settings: Vec<String> =
        cases.iter().flat_map(|case| &case.settings).map(ToString::to_string).collect();
    assert_eq!((cases.len(), settings.len()), (6, 5));
    assert!(settings.iter().all(|one| one.contains("\"scale\":")), "{settings:?}");
    assert!(settings[0].contains("\"killBusiestNode\":\"general\""), "{}", settings[0]);
    // Each zone by itself.
    assert!(settings[1].contains("\"killZone\":\"a\""), "{}", settings[1]);
    assert!(settings[2].contains("\"killZone\":\"b\""), "{}", settings[2]);
    assert_eq!(settings[3].matches("restartRollout").count(), 2, "{}", settings[3]);
    // The node stops while the rollout is under way.
    assert_eq!(cases[5].name, "without the busiest node during a rollout");
    assert!(settings[4].contains("restartRollout") && settings[4].contains("killBusiestNode"));
    assert!("node+disk".parse::<Survive>().is_err());
    // The scenario takes them.
    for one in &settings {
        shop(&[one]);
    }
}
