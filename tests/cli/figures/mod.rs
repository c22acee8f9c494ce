//! The figures in the READMEs of the scenarios are those that the program prints.
//!
//! Each README names commands; its figures must stand in what these print, or in the files of the scenario. The figures
//! of a column whose head names a file must be those of that file. What comes from elsewhere says so:
//! `<!-- not of a run: 15:30, 22.5 -->`.
#![expect(clippy::disallowed_methods, reason = "tests read files and run the program")]

mod figure;
mod readme;
mod top;

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use rayon::prelude::*;

use figure::{Figure, figures};
use readme::{Command, Readme};

/// Scenarios whose runs take a second or two without optimisation; the others take minutes, so that they are looked at
/// by a program that `WAVETANK` names (as in `.ci/run`).
const QUICK: [&str; 4] = ["ai-agent", "drain-without-budget", "hpa-throttled", "noisy-neighbour"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a command prints, in one line.
fn output_of(program: &Path, command: &Command) -> String {
    let mut running = process::Command::new(program);
    let output = running.args(&command.arguments).current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    // Some of them show what misses its objectives.
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{:?}: {}",
        command.arguments,
        String::from_utf8_lossy(&output.stderr)
    );
    one_line(&String::from_utf8_lossy(&output.stdout))
}

/// Lines that were broken at the width of a page are one again; columns stay apart.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<&str>>().join(" ")
}

/// Every YAML file under the folder, and their texts.
fn inputs(folder: &Path) -> (Vec<PathBuf>, String) {
    let pattern = folder.join("**/*.yaml").to_string_lossy().into_owned();
    let files: Vec<PathBuf> =
        glob::glob(&pattern).expect("a pattern").map(|file| file.expect("readable")).collect();
    let texts: Vec<String> =
        files.iter().map(|file| fs::read_to_string(file).expect("readable")).collect();
    (files, texts.join("\n"))
}

/// What is wrong with the README in a folder of `scenarios`, a line for each.
fn problems(program: &Path, name: &str) -> Vec<String> {
    let folder = Path::new("scenarios").join(name);
    let text = fs::read_to_string(root().join(&folder).join("README.md")).expect("a README");
    let readme = Readme::of(&text, &folder);
    let outputs: Vec<(&Command, String)> =
        readme.commands.par_iter().map(|one| (one, output_of(program, one))).collect();
    let (files, input) = inputs(&root().join(&folder));
    let input = figures(&input);
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| is_run(file)) {
        let file = file.file_name().expect("a file").to_string_lossy();
        if !readme.commands.iter().any(|one| one.arguments[0] != "get" && one.shows(&file)) {
            wrong.push(format!("no command runs {file}"));
        }
    }
    let printed: Vec<(&Command, Vec<Figure>)> =
        outputs.iter().map(|(command, output)| (*command, figures(output))).collect();
    let mut unused = readme.from_elsewhere.clone();
    for told in &readme.told {
        let column = told.column.as_deref();
        if column.is_none() && !told.figure.is_telling() {
            continue;
        }
        let of_column =
            |command: &&(&Command, Vec<Figure>)| column.is_none_or(|file| command.0.shows(file));
        let mut all = printed.iter().filter(of_column).flat_map(|(_, printed)| printed);
        let is_set = || column.is_none() && input.iter().any(|one| told.figure.is_set_by(one));
        if all.clone().any(|one| told.figure.is_told_by(one)) || is_set() {
            continue;
        }
        if readme.from_elsewhere.contains(&told.figure.text) {
            unused.retain(|one| *one != told.figure.text);
            continue;
        }
        let nearest = nearest(&told.figure, &mut all);
        wrong.push(format!("line {}: nothing printed `{}`{nearest}", told.line, told.figure.text));
    }
    wrong.extend(unused.iter().map(|one| format!("`{one}` need not be named as not of a run")));
    for (command, output) in &outputs {
        let missing = command.excerpt.iter().filter(|line| !output.contains(&one_line(line)));
        wrong.extend(missing.map(|line| format!("the output does not have: {line}")));
    }
    wrong.iter().map(|one| format!("{}/README.md: {one}", folder.display())).collect()
}

fn nearest(figure: &Figure, printed: &mut dyn Iterator<Item = &Figure>) -> String {
    let alike = printed.filter(|one| one.kind == figure.kind);
    let distance = |one: &Figure| (one.value - figure.value).abs();
    let nearest = alike.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.map_or_else(String::new, |one| format!("; the nearest is `{}`", one.text))
}

/// Whether it is a scenario or a packing, and no manifest.
fn is_run(file: &Path) -> bool {
    fs::read_to_string(file).expect("readable").contains("apiVersion: wavetank/")
}

#[test]
fn figures_in_the_readmes_of_scenarios_are_those_that_are_printed() {
    let asked = std::env::var_os("WAVETANK").map(|program| root().join(program));
    let folders = fs::read_dir(root().join("scenarios")).expect("the scenarios");
    let mut names: Vec<String> = folders
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| asked.is_some() || QUICK.contains(&name.as_str()))
        .collect();
    names.sort();
    let program = asked.unwrap_or_else(|| assert_cmd::cargo::cargo_bin("wavetank"));
    let wrong: Vec<String> = names.par_iter().flat_map(|one| problems(&program, one)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
