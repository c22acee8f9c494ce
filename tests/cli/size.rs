//! `wavetank size` as a person meets it.

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
    assert!(rooms.iter().any(|room| limit(room).ends_with(", without a node")), "{rooms:?}");
    assert!(answer["after"]["cost_per_month_usd"].as_f64() > Some(100.0), "{}", answer["after"]);
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
