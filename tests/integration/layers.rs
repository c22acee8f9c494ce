//! Rules about the source itself that no lint holds: who may import whom, how long a file may be, and a
//! few calls that would cost us equal results on all machines. Code in test modules is free. Also: what is public,
//! and that ARCHITECTURE.md names only files that exist.
#![expect(clippy::disallowed_methods, reason = "this test reads the source")]

use std::collections::{BTreeMap, BTreeSet};
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

/// Public functions and constants without a use in this repository outside of their crate: files and names (none = all
/// of the file). They complete types that users of the library work with.
const FOR_LIBRARY_USERS: [(&str, &[&str]); 4] = [
    ("controllers/actions.rs", &["extend_with"]),
    ("controllers/watches.rs", &[]),
    ("pack/report.rs", &["SCHEMA_VERSION"]),
    ("report/ledger.rs", &["nodes_cost", "workloads_cost"]),
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
fn a_function_is_public_only_if_another_crate_or_a_library_user_needs_it() {
    let sources = sources();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let outside = ["tests", "benches"].map(|folder| sources_in(&root.join(folder)));
    // The root is the library's face.
    let declared =
        sources.iter().filter(|(path, _)| path.contains('/')).flat_map(|(path, text)| {
            let names = text.lines().enumerate();
            names.filter_map(move |(line, text)| Some((path, line + 1, public_function(text)?)))
        });
    let declared: Vec<(&String, usize, &str)> = declared.collect();
    // The crates in which each name occurs; tests, benches and the root are one more each.
    let mut used: BTreeMap<&str, BTreeSet<&str>> =
        declared.iter().map(|(_, _, name)| (*name, BTreeSet::new())).collect();
    for (path, text) in sources.iter().chain(outside.iter().flatten()) {
        let part = path.split_once('/').map_or("root", |(part, _)| part);
        for word in text.split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
            if let Some(parts) = used.get_mut(word) {
                parts.insert(part);
            }
        }
    }
    let mut wrong = Vec::new();
    for (path, line, name) in declared {
        let kept = FOR_LIBRARY_USERS.iter().find(|(file, _)| file == path);
        let is_kept = kept.is_some_and(|(_, names)| names.is_empty() || names.contains(&name));
        if used[name].len() == 1 && !is_kept {
            wrong.push(format!("src/{path}:{line}: {name}"));
        }
    }
    let list = wrong.join("\n");
    assert!(wrong.is_empty(), "only their own crate names these: make them pub(crate)\n{list}");
}

/// The name of the public function or constant that a line declares.
fn public_function(line: &str) -> Option<&str> {
    let mut words = line.trim_start().strip_prefix("pub ")?.split(' ');
    let name = match words.next()? {
        "fn" => words.next()?,
        "const" => match words.next()? {
            "fn" => words.next()?,
            name => name,
        },
        _ => return None,
    };
    name.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
}

#[test]
fn the_files_that_architecture_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the page");
    let source_paths: Vec<String> =
        sources().into_iter().map(|(path, _)| format!("/{path}")).collect();
    let exists = |name: &str| {
        let module = format!("/{}.rs", name.trim_end_matches(".rs"));
        root.join(name).exists()
            || root.join("src").join(name).exists()
            || source_paths.iter().any(|path| path.ends_with(&module))
            || name.ends_with('/')
                && source_paths.iter().any(|path| path.contains(&format!("/{name}")))
    };
    let names = text.split('`').skip(1).step_by(2);
    let is_file = |name: &&str| {
        (name.contains('/') || name.strip_suffix(".rs").is_some())
            && name.chars().all(|one| one.is_ascii_alphanumeric() || "_-./".contains(one))
    };
    let names: Vec<&str> = names.filter(is_file).collect();
    assert!(names.len() > 100, "the page names {} files", names.len());
    let missing: Vec<&str> = names.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names files that do not exist: {missing:?}");
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources_in(&root);
    assert!(files.len() > 50, "the walk finds the source");
    let below_root = |path: &str| path.strip_prefix("src/").expect("found below it").to_owned();
    files.into_iter().map(|(path, text)| (below_root(&path), text)).collect()
}

/// All source files under a folder of the repository: path from the repository, and text.
fn sources_in(folder: &Path) -> Vec<(String, String)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of source") {
            let path = entry.expect("an entry of it").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file");
        let below_root = path.strip_prefix(root).expect("found below it");
        (below_root.to_string_lossy().replace('\\', "/"), text)
    };
    files.into_iter().map(read).collect()
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
