//! `wavetank explain` about autoscalers, as a person or a script meets it.

use crate::shop::Shop;
use assert_cmd::Command;
use serde_json::Value;

const HPA: &str = "hpa/shop/cart";

fn explain(arguments: &[&str]) -> (String, String) {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/hpa-flapping/scenario.yaml");
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    let output = command.arg("explain").args(arguments).arg(scenario).output().expect("it runs");
    let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).expect("UTF-8"));
    (out, err)
}

#[test]
fn a_time_stands_for_the_whole_second_as_reports_print_it() {
    let (out, err) = explain(&[HPA, "--at", "30m"]);
    assert!(out.starts_with("at 00:30:00.010: "), "{out}{err}");
    let (out, _) = explain(&[HPA, "--at", "1800.005s"]);
    assert!(out.starts_with("at 00:29:45.010: "), "{out}");
}

#[test]
fn programs_get_versioned_decisions_with_times_in_seconds() {
    let (out, err) = explain(&[HPA, "--from", "30m", "--to", "31m", "-o", "json"]);
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}{err}"));
    assert_eq!(answer["format_version"], "1.0");
    assert_eq!(answer["object"], "HorizontalPodAutoscaler/shop/cart");
    let times = answer["decisions"].as_array().expect("a list").iter();
    let times: Vec<f64> = times.filter_map(|one| one["at_seconds"].as_f64()).collect();
    // The one in force at the beginning, and four syncs.
    assert_eq!(times, [1785.01, 1800.01, 1815.01, 1830.01, 1845.01]);
}

#[test]
fn what_takes_no_decisions_is_said_to_take_none() {
    let (_, err) = explain(&["deploy/cart"]);
    assert!(err.contains("Deployment makes no decisions to explain"), "{err}");
    let (_, err) = explain(&["hpa/nope"]);
    assert!(err.contains("there is hpa/shop/cart"), "{err}");
}

#[test]
fn a_pod_that_the_scheduler_does_not_look_at_is_told_to_be_so() {
    let pod = |name: &str, spec: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{{spec}, containers: [{{name: x, image: busybox}}]}}\n"
        )
    };
    let shop = Shop::new();
    let manifests = [
        shop.read("web.yaml"),
        pod("gated", "schedulingGates: [{name: x/y}]"),
        pod("named", "nodeName: general-1"),
        pod("lost", "nodeName: none"),
    ];
    shop.write("web.yaml", manifests.concat());
    for (name, says) in [
        (
            "gated",
            "pod default/gated has scheduling gates\n  Scheduling is blocked due to non-empty scheduling gates: x/y",
        ),
        (
            "named",
            "pod default/named bypasses the scheduler: spec.nodeName is set\n  spec.nodeName is general-1: ",
        ),
        ("lost", "spec.nodeName is none, but that node does not exist"),
    ] {
        let object = format!("pod/default/{name}");
        let ran = shop.run(&["explain", &object, "scenario.yaml", "--at", "20s"]);
        assert!(ran.code == 0 && ran.out.contains(says), "{}{}", ran.out, ran.err);
    }
}

#[test]
fn a_time_after_the_end_of_the_run_is_refused_as_get_does() {
    let shop = Shop::new();
    for options in [["--at", "3h"], ["--to", "3h"], ["--from", "3h"]] {
        let ran = shop.run(&[&["explain", "hpa/web", "scenario.yaml"], &options[..]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{options:?}");
        let said = format!("{} 3 h is after the end of the run", options[0]);
        assert!(ran.err.contains(&said), "{}", ran.err);
    }
}
