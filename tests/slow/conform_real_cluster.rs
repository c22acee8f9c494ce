//! The steps of a measured cluster, beside ours. Which of them disagree is a list, so that it can only get shorter.
#![expect(clippy::disallowed_methods, reason = "a test reads its golden files")]

use std::fs;

use wavetank::conform::real_cluster::{Recording, check};

/// Situation and step; docs/conform-real-cluster.md says by how much.
const DISAGREE: [&str; 19] = [
    "start-stop n40: bound to sandbox asked for",
    "start-stop p0-10: bound to sandbox asked for",
    "start-stop p0-10-start6: sandbox",
    "start-stop p5-10: bound to sandbox asked for",
    "start-stop p5-10: sandbox",
    "start-stop s1-r10-start4: sandbox",
    "start-stop s10-r5-start4: sandbox",
    "rollouts noprobe-drain-prestop5: new pods, created to Ready",
    "rollouts noprobe-exit: image changed to rollout complete",
    "rollouts noprobe-exit: new pods, sandbox asked for to started",
    "rollouts noprobe-exit: new pods, created to Ready",
    "rollouts probe-drain-u50-s50: new pods, sandbox asked for to started",
    "rollouts probe-exit-prestop5: new pods, sandbox asked for to started",
    "rollouts probe-exit-u100-s0: new pods, created to sandbox asked for",
    "rollouts probe-exit-u100-s0: requests on new connections",
    "rollouts recreate-probe-exit: new pods, sandbox asked for to started",
    "node-loss f30: requests on new connections after that",
    "hpa hpa-default: fall of the load to first rescale down",
    "hpa hpa-window60: fall of the load to first rescale down",
];

#[test]
fn all_steps_of_a_measured_cluster_but_those_listed_take_as_long_as_measured() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/real-cluster");
    let entries = fs::read_dir(folder).expect("the folder is there");
    let files = entries.map(|entry| {
        let entry = entry.expect("the folder can be read");
        let bytes = fs::read(entry.path()).expect("the file can be read");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    });
    let recording = Recording::new(files.collect()).expect("it is well-formed");
    let steps = check(&recording).expect("every situation can be run");
    assert_eq!(steps.len(), 326);
    let disagree = steps.iter().filter(|step| !step.agreed);
    let names: Vec<String> =
        disagree.map(|step| format!("{} {}", step.situation, step.step)).collect();
    assert_eq!(names, DISAGREE);
}
