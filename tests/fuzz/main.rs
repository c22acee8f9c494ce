//! Fuzzing: a few random inputs of each kind in the tests, and an unlimited number with
//! `tests/fuzz/run.sh`. `docs/robustness.md` has the figures.

#![expect(clippy::disallowed_methods, reason = "a test may read files")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the long run tells how far it is")]

mod corpus;
mod long;
mod random;
mod targets;
mod text;
mod tree;

use std::panic::{AssertUnwindSafe, catch_unwind};

use corpus::Seed;
use rayon::prelude::*;
use targets::{ALL, Target};

fn survives(target: &Target, seed: &Seed, bytes: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(seed, bytes))).is_ok()
}

#[test]
fn no_target_panics_on_a_few_changed_inputs() {
    ALL.par_iter().for_each(|target| {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has nothing to change", target.name);
        for number in 0..target.in_tests {
            let (seed, bytes) = target.input(&seeds, number);
            let shown = String::from_utf8_lossy(&bytes);
            assert!(survives(target, seed, &bytes), "{} {number}: {shown}", target.name);
        }
    });
}

#[test]
fn what_was_found_is_mended() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/found");
    for target in ALL {
        let found = glob::glob(&format!("{folder}/{}/*", target.name)).expect("a pattern");
        for path in found.map(|path| path.expect("a readable folder")) {
            let bytes = std::fs::read(&path).expect("a readable file");
            // The target is in the file name, before the number.
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            let seeds = (target.seeds)();
            let number: usize = name.split('.').next().and_then(|it| it.parse().ok()).unwrap_or(0);
            let seed = &seeds[number.min(seeds.len() - 1)];
            assert!(survives(target, seed, &bytes), "{}", path.display());
        }
    }
}

/// Replays every recording of a target with a change; none may panic.
fn replay_changed(name: &str, change: impl Fn(&mut serde_json::Value)) {
    let target = ALL.iter().find(|target| target.name == name).expect("a target of this name");
    for seed in (target.seeds)() {
        let mut recording = serde_json::from_slice(&seed.bytes).expect("a recording is JSON");
        change(&mut recording);
        let bytes = recording.to_string().into_bytes();
        assert!(survives(target, &seed, &bytes), "{name}: {}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_recording_without_an_outcome_is_refused() {
    replay_changed("conform-karpenter", |recording| {
        recording["expected"]["outcomes"] = serde_json::json!([]);
    });
}

#[test]
fn an_empty_entry_of_expected_results_disagrees() {
    replay_changed("conform-controllers", |recording| {
        recording["expect"]["results"] = serde_json::json!([[]]);
    });
}
