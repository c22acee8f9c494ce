//! The scenarios of this repository: each reads, makes sense, and is what the JSON Schema describes.
#![expect(clippy::disallowed_methods, reason = "tests read files")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use wavetank::manifest::{Diagnostics, Source, read_documents};
use wavetank::scenario::schema::json_schema;

/// The scenario files of the repository, by name: each folder has `scenario.yaml`, and some have
/// variants beside it.
fn scenarios() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in entries(&root) {
        files.extend(entries(&folder).into_iter().filter(|file| {
            file.extension().is_some_and(|extension| extension == "yaml")
                && fs::read_to_string(file).expect("readable").contains("\nkind: Scenario\n")
        }));
    }
    files.sort();
    assert!(files.len() >= 20, "{files:?}");
    files
}

fn value_of(text: &str) -> serde_json::Value {
    let mut problems = Diagnostics::default();
    let documents = read_documents(&Source::new("scenario.yaml", text), &mut problems);
    assert!(problems.is_empty() && documents.len() == 1, "{problems}");
    documents.into_iter().next().expect("one document").value
}

#[test]
fn every_scenario_is_valid_without_a_warning() {
    for file in scenarios() {
        let output = Command::cargo_bin("wavetank")
            .expect("the binary of this crate")
            .arg("validate")
            .arg(&file)
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("valid: 1 file, 0 errors, "), "{text}");
        // Manifests may have faults: some scenarios show what these cost.
        let mut warnings = text.lines().filter(|line| line.starts_with("warning: "));
        assert!(!warnings.any(|line| line.contains("scenario.yaml:")), "{text}");
    }
}

#[test]
fn every_scenario_is_what_the_schema_describes() {
    let schema = jsonschema::validator_for(&json_schema()).expect("a valid schema");
    for file in scenarios() {
        let value = value_of(&fs::read_to_string(&file).expect("readable"));
        let problems: Vec<String> =
            schema.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(problems.is_empty(), "{}: {problems:#?}", file.display());
    }
}

#[test]
fn every_scenario_tells_its_question_and_the_source_of_its_data() {
    for file in scenarios() {
        let folder = file.parent().expect("its folder");
        let readme = fs::read_to_string(folder.join("README.md")).expect("a README");
        assert!(readme.contains("## What to look for"), "{}", folder.display());
        if folder.join("data").exists() {
            assert!(readme.contains("CC-BY-4.0"), "{}: name the licence", folder.display());
        }
    }
}

#[test]
fn the_schema_refuses_what_is_misspelt() {
    let schema = jsonschema::validator_for(&json_schema()).expect("a valid schema");
    let right = "apiVersion: wavetank/v1\nkind: Scenario\nname: a\nduration: 1h30m\n";
    assert!(schema.is_valid(&value_of(right)));
    for wrong in [
        "duraton: 1h",
        "warmUp: 1 hour",
        "seed: -1",
        "cluster: {nodePools: [{name: a}]}",
        "timeline: [{at: 1m}]",
        "timeline: [{at: 1m, drain: a, cordon: a}]",
        "objectives: [{service: a/b, latency: {p59: 1s}}]",
    ] {
        assert!(!schema.is_valid(&value_of(&format!("{right}{wrong}\n"))), "{wrong}");
    }
}
