//! Rules about the source itself that no lint holds: who may import whom, how long a file may be, and a
//! few calls that would cost us equal results on all machines. Code in test modules is free.
#![expect(clippy::disallowed_methods, reason = "this test reads the source")]

use std::fs;
use std::path::{Path, PathBuf};

/// The crates from the bottom up: each may depend on those of the layers below its own.
const LAYERS: [&[&str]; 11] = [
    &["engine"],
    &["units"],
    &["cluster"],
    &[
        "capacity",
        "controllers",
        "faults",
        "kubelet",
        "manifest",
        "metrics",
        "record",
        "scheduler",
        "traffic",
    ],
    &["cluster_autoscaler", "karpenter"],
    &["scenario"],
    &["files", "report", "sim", "views"],
    &["pack", "sweep"],
    &["size"],
    &["conform"],
    &["cli"],
];

/// Longest file, in lines.
const MAX_LINES: usize = 500;

/// What must not be written, why, and the one path where it may be.
const FORBIDDEN: [(&str, &str, &str); 12] = [
    ("#[allow(", "write #[expect(..., reason = \"...\")]", ""),
    ("#![allow(", "write #![expect(..., reason = \"...\")]", ""),
    ("serde_yaml", "only manifest/yaml.rs names the YAML crate", "manifest/yaml.rs"),
    ("thread_rng", "draw from a named stream", ""),
    ("rand::rng", "draw from a named stream", ""),
    (".exp()", "platforms differ in it: use libm", ""),
    (".ln()", "platforms differ in it: use libm", ""),
    (".log10()", "platforms differ in it: use libm", ""),
    (".powf(", "platforms differ in it: use libm", ""),
    (".powi(", "platforms differ in it: use libm", ""),
    (".sin()", "platforms differ in it: use libm", ""),
    (".cos()", "platforms differ in it: use libm", ""),
];

#[test]
fn a_crate_depends_only_on_crates_of_lower_layers() {
    let mut wrong = Vec::new();
    for (name, manifest) in crates() {
        let own = layer(&name).unwrap_or_else(|| panic!("{name} is missing in LAYERS"));
        let dependencies = dependencies(&manifest);
        let upward = dependencies.iter().filter(|to| layer(to).is_some_and(|to| to >= own));
        wrong.extend(upward.map(|to| format!("{name} depends on {to}")));
    }
    assert!(wrong.is_empty(), "only lower layers may be imported:\n{}", wrong.join("\n"));
}

#[test]
fn dependencies_of_tests_are_free() {
    let manifest = "[package]\n\n[dependencies]\ncluster.workspace = true\n\n[dev-dependencies]\nsim.workspace = true\n";
    assert_eq!(dependencies(manifest), ["cluster"]);
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "split by duty what is over {MAX_LINES} lines: {long:?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{path} begins without //!");
    }
}

#[test]
fn nothing_forbidden_is_written() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (number, line) in product_code(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (text, instead, allowed_in) in FORBIDDEN {
                if code.contains(text) && path != allowed_in {
                    wrong.push(format!("src/{path}:{}: {text}: {instead}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_of_tests_belongs_to_a_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for program in ["integration", "slow", "cli"] {
        let main = fs::read_to_string(root.join(program).join("main.rs")).expect("its modules");
        for entry in fs::read_dir(root.join(program)).expect("a program of tests") {
            let path = entry.expect("an entry of it").path();
            let name = path.file_stem().expect("a file's name").to_string_lossy().into_owned();
            let is_module = main.contains(&format!("\nmod {name};\n"));
            let is_none = ["main", "snapshots"].contains(&name.as_str());
            assert!(is_module || is_none, "tests/{program}/main.rs has no `mod {name};`");
        }
    }
    let alone = fs::read_dir(root).expect("the tests").filter_map(Result::ok);
    let alone: Vec<_> = alone.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    assert!(alone.is_empty(), "a program of its own costs a link with all crates: {alone:?}");
}

/// All files under `src/`: path from there, and text.
fn sources() -> Vec<(String, String)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder under src/") {
            let path = entry.expect("an entry of it").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(files.len() > 50, "the walk finds the source");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file");
            let below_root = path.strip_prefix(&root).expect("found below it");
            (below_root.to_string_lossy().replace('\\', "/"), text)
        })
        .collect()
}

/// The folders of `src/`, each a crate, with its `Cargo.toml`.
fn crates() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for entry in fs::read_dir(root).expect("the source") {
        let path = entry.expect("an entry of it").path();
        if let Ok(manifest) = fs::read_to_string(path.join("Cargo.toml")) {
            let name = path.file_name().expect("a folder's name").to_string_lossy().into_owned();
            found.push((name, manifest));
        }
    }
    found.sort();
    assert!(found.len() > 10, "the walk finds the crates");
    found
}

/// The names under `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<&str> {
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let entries = lines.take_while(|line| !line.starts_with('['));
    entries.filter_map(|line| line.split_once('.')).map(|(name, _)| name).collect()
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&name))
}

/// A file without the test module at its end.
fn product_code(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text)
}
