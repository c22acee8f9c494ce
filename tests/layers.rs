//! Rules about the source itself that no lint holds: who may import whom, how long a file may be, and a
//! few calls that would cost us equal results on all machines. Code in test modules is free.
#![expect(clippy::disallowed_methods, reason = "this test reads the source")]

use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the bottom up: each may import those of the layers below its own.
const LAYERS: [&[&str]; 9] = [
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
    &["scenario"],
    &["report", "sim", "views"],
    &["pack", "sweep"],
    &["conform"],
    &["cli"],
];

/// Longest file, in lines.
const MAX_LINES: usize = 600;

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
fn a_module_imports_only_modules_of_lower_layers() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else { continue };
        wrong.extend(upward_imports(module, &text).map(|to| format!("{path} imports {to}")));
    }
    assert!(wrong.is_empty(), "only lower layers may be imported:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_layer() {
    for (path, _) in sources() {
        if let Some(module) = module_of(&path) {
            assert!(layer(module).is_some(), "{module} of {path} is missing in LAYERS");
        }
    }
}

#[test]
fn an_upward_or_sideways_import_is_noticed() {
    let imports = |text| upward_imports("kubelet", text).collect::<Vec<_>>();
    assert_eq!(imports("use crate::sim::Event;"), ["sim"]);
    assert_eq!(imports("use crate::{cluster::{Name, Store}, record, units::Bytes};"), ["record"]);
    assert_eq!(imports("    let p = crate::traffic::poisson();"), ["traffic"]);
    assert_eq!(imports("use crate::kubelet::probe;\nuse crate::engine::Id;"), [""; 0]);
    assert_eq!(imports("/// See `crate::sim`."), [""; 0]);
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

/// The top-level module of a file, `None` for `lib.rs` and `main.rs`.
fn module_of(path: &str) -> Option<&str> {
    path.split_once('/').map(|(module, _)| module)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// A file without the test module at its end.
fn product_code(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// The modules that a file of `module` names although they are not of a lower layer.
fn upward_imports(module: &str, text: &str) -> impl Iterator<Item = String> {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = product_code(text).lines().filter(is_code).collect::<Vec<_>>().join("\n");
    let named: Vec<String> = code.split("crate::").skip(1).flat_map(first_segments).collect();
    named.into_iter().filter(move |to| to != module && layer(to) >= layer(module))
}

/// The first name of a path, or of each path of a `{a::b, c}` group.
fn first_segments(after_crate: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = |text: &str| text.chars().take_while(|c| is_name(*c)).collect::<String>();
    let Some(group) = after_crate.strip_prefix('{') else { return vec![name(after_crate)] };
    let mut depth = 0;
    let mut paths = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => paths.push(String::new()),
            _ if depth == 0 => paths.last_mut().expect("never empty").push(c),
            _ => {}
        }
    }
    paths.iter().map(|path| name(path.trim())).filter(|name| !name.is_empty()).collect()
}
