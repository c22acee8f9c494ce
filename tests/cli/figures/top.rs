//! The figures in the README of the repository that the program prints.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::root;

/// What a command of the program prints.
fn printed(arguments: &[&str]) -> String {
    let asked = std::env::var_os("WAVETANK").map(|program| root().join(program));
    let program = asked.unwrap_or_else(|| assert_cmd::cargo::cargo_bin("wavetank"));
    let output = Command::new(&program).args(arguments).current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("the README")
}

/// The whole numbers in a text, without the commas in them.
fn numbers(text: &str) -> Vec<u64> {
    let text = text.replace(',', "");
    text.split(|one: char| !one.is_ascii_digit()).filter_map(|one| one.parse().ok()).collect()
}

/// The second cell of the table's row of this component.
fn row(component: &str) -> String {
    let readme = readme();
    let row = readme.lines().find_map(|line| line.strip_prefix(&format!("| {component} | ")));
    row.unwrap_or_else(|| panic!("no row of {component}")).to_owned()
}

/// How many cases of these recordings agree, of how many.
fn agreement(component: &str) -> (u64, u64) {
    let pattern = root().join("tests/golden").join(component).join(match component {
        "end-to-end" => "*/",
        _ => "*.jsonl*",
    });
    let files = glob::glob(&pattern.to_string_lossy()).expect("a pattern");
    let files: Vec<PathBuf> = files.map(|file| file.expect("readable")).collect();
    let files = files.iter().map(|file| file.to_str().expect("UTF-8"));
    let said = printed(&["conform", component].into_iter().chain(files).collect::<Vec<_>>());
    let [cases, agreed, 0] = numbers(said.lines().last().unwrap_or_default())[..] else {
        panic!("{component}: {said}")
    };
    (agreed, cases)
}

#[test]
fn the_catalog_has_as_many_types_as_the_readme_says() {
    let said = printed(&["catalog", "--limit", "1"]);
    let types = numbers(said.lines().last().unwrap_or_default())[1];
    let readme = readme();
    let told = readme.split(" instance types").next().and_then(|text| text.split(' ').next_back());
    assert_eq!(numbers(told.unwrap_or_default()), [types]);
}

#[test]
fn the_readme_says_how_many_recorded_decisions_are_reproduced() {
    if std::env::var_os("WAVETANK").is_none() {
        // Minutes without optimisation.
        return;
    }
    // Each `N of N` of a row is a part of what one command replays.
    for (component, name) in [
        ("hpa", "HPA"),
        ("scheduler", "kube-scheduler"),
        ("controllers", "Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob, PDB, nodes"),
        ("karpenter", "Karpenter"),
        ("end-to-end", "all controllers together under load"),
    ] {
        let told = numbers(&row(name));
        let agreed = told.iter().step_by(2).sum::<u64>();
        let all = told.iter().skip(1).step_by(2).sum::<u64>();
        assert_eq!((agreed, all), agreement(component), "{name}");
    }
    let told = numbers(&row("Cluster Autoscaler, VerticalPodAutoscaler, KEDA"));
    let [cluster_autoscaler, vpa, keda] = ["cluster-autoscaler", "vpa", "keda"].map(agreement);
    assert_eq!(told[1..], [cluster_autoscaler.1, vpa.1, keda.1]);
    for (agreed, all) in [cluster_autoscaler, vpa, keda] {
        assert_eq!(agreed, all);
    }
}
