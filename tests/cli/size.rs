//! `wavetank size` as a person meets it.

use std::process::Command;

use crate::shop::{SCENARIO, Shop};
use serde_json::Value;

const TUNE: [&str; 4] = ["--tune", "replicas,nodes", "--confirm", "5"];

fn size(shop: &Shop, more: &[&str]) -> (i32, Value) {
    let ran = shop.run(&[&["size", "scenario.yaml", "-o", "json"], &TUNE[..], more].concat());
    assert_eq!(ran.err, "");
    (ran.code, serde_json::from_str(&ran.out).expect("JSON"))
}

#[test]
fn the_cheapest_nodes_that_hold_are_recommended_and_hold_when_run() {
    let shop = Shop::new();
    let (code, answer) = size(&shop, &["--patch", "sized"]);
    assert_eq!((code, &answer["found"]), (0, &true.into()));
    let cost = |side: &str| answer[side]["cost_per_month_usd"].as_f64().expect("a cost");
    // One node of the two will do, $70.08 with a disk of $1.60; none is not among the values.
    assert!((cost("before") - cost("after") - 71.68).abs() < 0.02, "{answer}");
    // A perfect autoscaler needs one node too, and pays for the control plane and the gateway as everyone does.
    let perfect = answer["perfect_autoscaler_usd"].as_f64().expect("a cost");
    assert!((cost("after") - perfect - 1.60).abs() < 0.02, "{answer}");
    assert_eq!(answer["confidence"]["confirmed_with"].as_array().map(Vec::len), Some(5));
    let set: Vec<&str> =
        answer["set"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(set.contains(&"cluster.nodePools[general].count=1"), "{set:?}");
    let settings: Vec<&str> = set.iter().flat_map(|one| ["--set", one]).collect();
    let check = shop.run(&[&["check", "scenario.yaml", "--seed", "50"][..], &settings].concat());
    assert_eq!(check.code, 0, "{}", check.out);
    let kustomization = shop.read("sized/kustomization.yaml");
    assert!(kustomization.contains("- ../web.yaml"), "{kustomization}");
}

/// The patched manifests as `kubectl kustomize` prints them; nothing where it is not installed.
fn kustomized_by_kubectl(shop: &Shop) -> Option<String> {
    let arguments = ["kustomize", "--load-restrictor", "LoadRestrictionsNone", "sized"];
    let ran = Command::new("kubectl").args(arguments).current_dir(shop.path()).output().ok()?;
    assert!(ran.status.success(), "{ran:?}");
    Some(String::from_utf8(ran.stdout).expect("UTF-8"))
}

#[test]
fn the_patch_brings_the_figures_that_were_promised() {
    let shop = Shop::new();
    let tune = "--tune=manifests.Deployment/shop/web.spec.replicas=1,2";
    let cpu = "manifests.Deployment/shop/web.spec.template.spec.containers[web].resources";
    let cpu = format!("--tune={cpu}.requests.cpu=300m,400m");
    let (code, answer) = size(&shop, &[tune, &cpu, "--patch", "sized", "--seed", "1"]);
    assert_eq!((code, &answer["found"]), (0, &true.into()));
    assert!(answer["patch"].as_str().is_some_and(|patch| patch.contains("replicas: 2")));
    let scenario = shop.read("scenario.yaml");
    let run = |manifests: &str, set: &[&str]| {
        shop.write("patched.yaml", scenario.replace("manifests: [web.yaml]", manifests));
        let ran = shop.run(&[&["run", "patched.yaml", "-o", "json"], set].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        let report: Value = serde_json::from_str(&ran.out).expect("JSON");
        ["objectives", "services", "workloads", "cost"].map(|part| report[part].clone())
    };
    let set: Vec<&str> =
        answer["set"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let all: Vec<&str> = set.iter().flat_map(|one| ["--set", one]).collect();
    let promised = run("manifests: [web.yaml]", &all);
    // The nodes are the scenario's, and no patch of manifests.
    let nodes: Vec<&str> = set
        .iter()
        .filter(|one| one.starts_with("cluster."))
        .flat_map(|one| ["--set", one])
        .collect();
    assert_eq!(run("manifests: [sized/]", &nodes), promised);
    if let Some(text) = kustomized_by_kubectl(&shop) {
        shop.write("by-kubectl.yaml", text);
        assert_eq!(run("manifests: [by-kubectl.yaml]", &nodes), promised);
    }
}

#[test]
fn what_costs_nothing_and_is_not_needed_stays_as_it_is() {
    let shop = Shop::new();
    let (_, answer) = size(&shop, &[]);
    let changes = answer["changes"].as_array().expect("a list");
    let replicas = changes.iter().find(|one| one["path"].to_string().contains("replicas"));
    let replicas = replicas.expect("they are tuned");
    // Three replicas hold on one node; more would leave more room, and cost as much.
    assert_eq!((&replicas["from"], &replicas["to"]), (&"3".into(), &"3".into()));
}

#[test]
fn the_fewest_replicas_are_told_and_what_one_less_misses() {
    let shop = Shop::new();
    let (code, answer) = size(&shop, &["--headroom", "--survive", "rollout"]);
    assert_eq!(code, 0);
    let fewest = answer["fewest"].as_array().expect("a list");
    assert_eq!(fewest.len(), 1, "{fewest:?}");
    // 20 requests of 20 ms are 0.4 of a core, and each replica has half a one.
    assert_eq!(fewest[0]["value"], "2", "{fewest:?}");
    assert!(fewest[0]["below"]["setting"].as_str().is_some_and(|one| one.ends_with("replicas=1")));
}

#[test]
fn a_search_that_may_not_run_more_says_what_it_left_out() {
    let shop = Shop::new();
    let (_, answer) = size(&shop, &["--runs", "1"]);
    assert_ne!(answer["effort"]["unfinished"], 0, "{}", answer["effort"]);
    let told = shop.run(&[&["size", "scenario.yaml", "--runs", "1"], &TUNE[..]].concat());
    assert!(told.out.contains("cut short after"), "{}", told.out);
    assert!(told.out.contains("the current one is not"), "{}", told.out);
}

#[test]
fn an_answer_without_failures_says_that_none_was_tried() {
    let told = Shop::new().run(&[&["size", "scenario.yaml"], &TUNE[..]].concat());
    assert!(told.out.contains("none was tried; --survive"), "{}", told.out);
}

#[test]
fn threads_do_not_change_the_answer() {
    let shop = Shop::new();
    let with = |threads: &str| {
        let arguments = [&["size", "scenario.yaml", "-o", "json"], &TUNE[..]].concat();
        let ran = shop.run_with(&arguments, &[("RAYON_NUM_THREADS", threads)]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    };
    assert_eq!(with("1"), with("3"));
}

#[test]
fn what_must_survive_a_node_keeps_a_spare_one() {
    let shop = Shop::new();
    // Until a node is known to be gone, requests go there: some fail whatever is set.
    let patient = SCENARIO
        .replace("p95: 200ms", "p50: 200ms")
        .replace("availability: 99", "availability: 80");
    shop.write("scenario.yaml", patient);
    let (code, answer) = size(&shop, &["--survive", "node"]);
    assert_eq!(code, 0);
    let rooms = answer["after"]["rooms"].as_array().expect("rooms");
    let limit = |room: &Value| room["limit"].as_str().unwrap_or_default().to_owned();
    assert!(
        rooms.iter().any(|room| limit(room).ends_with(", without the busiest node")),
        "{rooms:?}"
    );
    assert!(answer["after"]["cost_per_month_usd"].as_f64() > Some(100.0), "{}", answer["after"]);
    assert_eq!(answer["confidence"]["survives"][0], "without the busiest node");
}

#[test]
fn an_objective_that_nothing_holds_is_told_with_the_nearest_setting_and_the_reason() {
    let shop = Shop::new();
    shop.write("scenario.yaml", SCENARIO.replace("p95: 200ms", "p95: 1ms"));
    let (_, answer) = size(&shop, &[]);
    let unmet = &answer["unmet"];
    assert_eq!(unmet["limits"].as_array().map(Vec::len), Some(1), "{unmet}");
    assert_eq!(unmet["limits"][0]["limit"], "service shop/web latency p95 <= 1.00 ms");
    let nearest = &unmet["nearest"];
    assert_eq!(nearest["misses"][0]["limit"], unmet["limits"][0]["limit"]);
    let because = nearest["misses"][0]["because"].as_str().expect("a reason");
    assert!(because.contains("the CPU limit throttled Deployment/shop/web"), "{because}");
    assert!(nearest["cost_per_month_usd"].as_f64() > Some(100.0), "{nearest}");
    // A request takes 20 ms of CPU time however few there are.
    assert!(unmet["little_traffic"]["misses"]["limit"].is_string(), "{unmet}");
    let told = shop.run(&[&["size", "scenario.yaml"], &TUNE[..]].concat()).out;
    for part in ["unreached ", "nearest ", "capacity alone does not mend it"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_range_that_ends_too_early_is_told_with_the_value_that_would_do() {
    let shop = Shop::new();
    let replicas = "manifests.Deployment/shop/web.spec.replicas";
    let ran =
        shop.run(&["size", "scenario.yaml", "--tune", &format!("{replicas}=1"), "-o", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    let remedies = answer["unmet"]["remedies"].as_array().expect("a list");
    let of = |change: &str| remedies.iter().find(|one| one["change"] == change);
    let further = of(replicas).unwrap_or_else(|| panic!("{remedies:?}"));
    assert_eq!(
        (&further["set"][0], &further["misses"]),
        (&format!("{replicas}=2").into(), &Value::Null)
    );
    // It has half a core, and needs 0.4 on average.
    assert!(of("limits").is_some(), "{remedies:?}");
    // Further nodes do not help one pod.
    assert!(of("nodes").is_none(), "{remedies:?}");
}

#[test]
fn pods_that_never_run_and_settings_that_are_refused_are_reasons_too() {
    let shop = Shop::new();
    let cpu =
        "manifests.Deployment/shop/web.spec.template.spec.containers[web].resources.requests.cpu";
    let reason = |value: &str| {
        let tune = format!("{cpu}={value}");
        let ran = shop.run(&["size", "scenario.yaml", "--tune", &tune, "-o", "json"]);
        assert_eq!(ran.code, 1, "{}", ran.err);
        let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
        answer["unmet"]["nearest"]["misses"].to_string()
    };
    // The limit is half a core.
    let refused = reason("5000m");
    assert!(refused.contains("limit"), "{refused}");
    // An m5.large has two.
    shop.write("web.yaml", shop.read("web.yaml").replace(", limits: {cpu: 500m}", ""));
    let pending = reason("5000m");
    assert!(pending.contains("3 pods without a node at the end"), "{pending}");
}

#[test]
fn no_patch_is_written_where_nothing_is_recommended() {
    let shop = Shop::new();
    shop.write("scenario.yaml", SCENARIO.replace("p95: 200ms", "p95: 1ms"));
    let ran = shop.run(&[&["size", "scenario.yaml", "--patch", "sized"], &TUNE[..]].concat());
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("sized: nothing is written"), "{}", ran.err);
    assert!(!shop.path().join("sized").exists());
}

#[test]
fn objectives_that_nothing_holds_end_with_1_and_none_with_2() {
    let shop = Shop::new();
    shop.write("scenario.yaml", SCENARIO.replace("p95: 200ms", "p95: 1ms"));
    let (code, answer) = size(&shop, &[]);
    assert_eq!((code, &answer["found"], &answer["after"]), (1, &false.into(), &Value::Null));
    shop.write("scenario.yaml", SCENARIO.split("objectives:").next().expect("the start of it"));
    let ran = shop.run(&["size", "scenario.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("add `objectives`"), "{}", ran.err);
    let wrong = shop.run(&["size", "scenario.yaml", "--tune", "pods"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("\"pods\" cannot be tuned by name"), "{}", wrong.err);
}
