//! The figures in the READMEs of the scenarios are those that the program prints.
//!
//! Each README names commands; its figures must stand in what these print, or in the files of the scenario. The figures
//! of a column whose head names a file must be those of that file. What comes from elsewhere says so:
//! `<!-- not of a run: 15:30, 22.5 -->`. With `UPDATE_FIGURES=1` a figure that is no longer printed becomes the nearest of
//! its kind that is; whether that is the one that was meant is for whoever reviews the diff.
#![expect(clippy::disallowed_methods, reason = "tests read files and run the program")]

mod figure;
mod readme;
mod top;

use std::fs;
use std::ops::Range;
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

/// What a command prints.
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
    String::from_utf8_lossy(&output.stdout).into_owned()
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

/// What is wrong with a README.
struct Problem {
    message: String,
    /// What to put there instead, if that is likely.
    mended: Option<(Range<usize>, String)>,
}

impl From<String> for Problem {
    fn from(message: String) -> Self {
        Self { message, mended: None }
    }
}

/// What is wrong with the README in a folder of `scenarios`; `UPDATE_FIGURES` mends what it can.
fn problems(program: &Path, name: &str) -> Vec<String> {
    let path = root().join("scenarios").join(name).join("README.md");
    let mut text = fs::read_to_string(&path).expect("a README");
    let mut wrong = problems_of(program, name, &text);
    if std::env::var_os("UPDATE_FIGURES").is_some() {
        let mut mended: Vec<(Range<usize>, String)> =
            wrong.iter_mut().filter_map(|one| one.mended.take()).collect();
        mended.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        for (range, told) in mended {
            text.replace_range(range, &told);
        }
        fs::write(&path, &text).expect("a writable README");
        wrong = problems_of(program, name, &text);
    }
    wrong.iter().map(|one| format!("scenarios/{name}/README.md: {}", one.message)).collect()
}

fn problems_of(program: &Path, name: &str, text: &str) -> Vec<Problem> {
    let folder = Path::new("scenarios").join(name);
    let readme = Readme::of(text, &folder);
    let outputs: Vec<(&Command, String)> =
        readme.commands.par_iter().map(|one| (one, output_of(program, one))).collect();
    let (files, input) = inputs(&root().join(&folder));
    let input = figures(&input);
    let mut wrong: Vec<Problem> = Vec::new();
    for file in files.iter().filter(|file| is_run(file)) {
        let file = file.file_name().expect("a file").to_string_lossy();
        if !readme.commands.iter().any(|one| one.arguments[0] != "get" && one.shows(&file)) {
            wrong.push(format!("no command runs {file}").into());
        }
    }
    let printed: Vec<(&Command, Vec<Figure>)> =
        outputs.iter().map(|(command, output)| (*command, figures(&one_line(output)))).collect();
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
        let place = told.figure.at..told.figure.at + told.figure.text.len();
        let hint = nearest.map_or_else(String::new, |it| format!("; the nearest is `{}`", it.text));
        wrong.push(Problem {
            message: format!("line {}: nothing printed `{}`{hint}", told.line, told.figure.text),
            mended: nearest.and_then(|one| Some((place, told.figure.restated(one)?))),
        });
    }
    let unused = unused.iter().map(|one| format!("`{one}` need not be named as not of a run"));
    wrong.extend(unused.map(Problem::from));
    for (command, output) in &outputs {
        let missing =
            command.excerpt.iter().filter(|line| !one_line(output).contains(&one_line(line)));
        wrong.extend(missing.map(|line| {
            Problem {
                message: format!("the output does not have: {line}"),
                mended: with_other_figures(line, output)
                    .and_then(|other| Some((text.find(line)?, other)))
                    .map(|(at, other)| (at..at + line.len(), other)),
            }
        }));
    }
    wrong
}

fn nearest<'a>(
    figure: &Figure,
    printed: &mut dyn Iterator<Item = &'a Figure>,
) -> Option<&'a Figure> {
    let alike = printed.filter(|one| one.kind == figure.kind);
    let distance = |one: &Figure| (one.value - figure.value).abs();
    alike.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// The first line of the output that is the same but for its digits and blanks.
fn with_other_figures(line: &str, output: &str) -> Option<String> {
    let words = |text: &str| text.replace(|c: char| c.is_ascii_digit() || c.is_whitespace(), "");
    let same = |one: &&str| words(one) == words(line);
    output.lines().find(same).map(|one| one.trim().to_owned())
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
