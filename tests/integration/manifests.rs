//! Real manifests of twenty projects, where they are at hand: everything that is reported as an error
//! must be one.

#![expect(clippy::disallowed_methods, reason = "a test may read files")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use wavetank::manifest::{Severity, Source, load};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/manifests");

/// How many files have an error of each sort; a file may have several. Each was looked at: placeholders such as `${NAME}` or
/// `<base64>` or `__INGRESS_HOST__`, protocols and operators that there are not, patches for kustomize that are no whole objects, versions that Kubernetes dropped long
/// ago, misspelt fields.
const FILES_WITH_ERRORS: [(&str, usize); 5] = [
    ("invalid-value", 38),
    ("missing-field", 13),
    ("unknown-field", 12),
    ("unknown-kind", 10),
    ("wrong-type", 2),
];

#[test]
fn every_error_in_real_manifests_is_one() {
    if !Path::new(FOLDER).exists() {
        eprintln!("skipped: {FOLDER} is not here");
        return;
    }
    let mut sources = Vec::new();
    collect(Path::new(FOLDER), &mut sources);
    assert_eq!(sources.len(), 1500);
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    let mut texts = Vec::new();
    for source in &sources {
        let loaded = load(std::slice::from_ref(source));
        let errors = loaded.diagnostics.iter().filter(|one| one.severity == Severity::Error);
        let mut codes: Vec<&str> = errors.clone().map(|error| error.code).collect();
        texts.extend(errors.map(ToString::to_string));
        codes.sort_unstable();
        codes.dedup();
        for code in codes {
            *files.entry(code).or_default() += 1;
        }
    }
    let found: Vec<(&str, usize)> = files.into_iter().collect();
    assert_eq!(found, FILES_WITH_ERRORS, "{}", texts.join("\n"));
}

fn collect(folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json")
        {
            let text = fs::read_to_string(&path).expect("text");
            sources.push(Source::new(&path.to_string_lossy(), text));
        }
    }
}
