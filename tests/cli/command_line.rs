//! The command line as a person or a script meets it: what is printed where, and the exit code.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use assert_cmd::Command;

fn wavetank(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    command.env_remove("COLUMNS").env_remove("NO_COLOR").args(arguments);
    command
}

fn stdout(arguments: &[&str]) -> String {
    let output = wavetank(arguments).assert().success().get_output().clone();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn help_names_the_commands_and_the_exit_codes() {
    let help = stdout(&["--help"]);
    for text in ["\n  catalog  ", "\n  completions  ", "\n  2  wrong input or wrong usage\n"] {
        assert!(help.contains(text), "{text:?} is missing in\n{help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

#[test]
fn help_of_the_catalog_names_its_options() {
    insta::assert_snapshot!(stdout(&["catalog", "--help"]));
}

#[test]
fn the_version_is_that_of_the_crate() {
    assert_eq!(stdout(&["--version"]), format!("wavetank {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_ends_with_2_and_says_so_on_standard_error() {
    for arguments in [
        &[][..],
        &["no-such-command"],
        &["catalog", "--min-memory", "1.5.2Gi"],
        &["catalog", "--max-price", "cheap"],
        &["catalog", "--max-price", "NaN"],
        &["catalog", "--provider", "ibm"],
        &["catalog", "--gpu=0"],
        &["catalog", "no-such-type"],
    ] {
        let output = wavetank(arguments).assert().code(2).get_output().clone();
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn wrong_usage_says_what_would_be_right() {
    for (arguments, says) in [
        (&["get", "pods", "--at", "-5m"][..], "invalid value '-5m' for '--at': it must not be neg"),
        (&["watch", "--speed", "-1", "a.yaml"], "invalid value '-1' for '--speed': it must not be"),
        (
            &["years", "a.yaml", "--years", "1e9"],
            "invalid value '1e9' for '--years <COUNT>': write a whole number, such as 10\n",
        ),
        (&["run", "a.yaml", "--seed", "x"], "'--seed <SEED>': write a whole number, such as 10\n"),
        (
            &["rollout", "undo"],
            "unrecognized command 'undo'; the commands of `rollout` are status, history\n",
        ),
        (&["conform", "xyz"], "the commands of `conform` are "),
        (&["xyz"], "unrecognized command 'xyz'; the commands are auth, calibrate, "),
        (&["swep"], "a similar subcommand exists: 'sweep'"),
    ] {
        let output = wavetank(arguments).assert().code(2).get_output().clone();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains(says), "{arguments:?}: {message}");
    }
}

#[test]
fn an_unknown_type_is_answered_with_the_nearest_names() {
    let output = wavetank(&["catalog", "m5.lagre"]).assert().code(2).get_output().clone();
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_catalog_is_a_table_of_a_line_for_each_type_and_100_columns_before_the_gpus() {
    let table = stdout(&["catalog", "--min-cpu", "4", "--min-memory", "16Gi", "--limit", "8"]);
    insta::assert_snapshot!(table);
    let everything = stdout(&["catalog", "--limit", "0", "--sort", "name"]);
    assert!(everything.lines().count() > 2_867);
    let types = everything.lines().skip(1).take_while(|line| !line.is_empty());
    for line in types {
        assert!(line.contains('/') && line.split_whitespace().count() >= 7, "{line:?}");
    }
    assert!(everything.find("GPUS").is_some_and(|column| column <= 100), "the last column");
    assert!(everything.contains("8x nvidia-rtx-pro-server-6000\n"), "no name is broken");
}

#[test]
fn a_search_for_gpus_mentions_those_that_can_be_added() {
    insta::assert_snapshot!(stdout(&[
        "catalog",
        "--gpu=4",
        "--gpu-model",
        "t4",
        "--arch",
        "amd64"
    ]));
    insta::assert_snapshot!(stdout(&["catalog", "n1-standard-8+2xnvidia-tesla-t4", "m5.large"]));
}

#[test]
fn the_catalog_is_json_and_csv_for_programs() {
    insta::assert_snapshot!(stdout(&["catalog", "g5.xlarge", "e2-small", "-o", "json"]));
    insta::assert_snapshot!(stdout(&["catalog", "g5.xlarge", "e2-small", "-o", "csv"]));
    let everything = stdout(&["catalog", "-o", "csv"]);
    assert_eq!(everything.lines().count(), 1 + 2_867);
}

#[test]
fn nothing_found_is_said_and_is_no_error() {
    let answer = stdout(&["catalog", "--min-cpu", "5000"]);
    assert_eq!(answer, "No instance type meets all of these conditions.\n");
}

#[test]
fn completions_complete_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&["completions", shell]);
        assert!(script.contains("catalog") && script.contains("completions"), "{shell}");
    }
}

/// Goal: `wavetank catalog --limit 0 | head -1` ends well. Method: read one line, close the pipe, and look
/// at the exit code and standard error.
#[test]
fn a_closed_pipe_is_a_normal_end() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_wavetank"))
        .args(["catalog", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let pipe = child.stdout.take().expect("it is piped");
    let mut first_line = String::new();
    BufReader::new(pipe).read_line(&mut first_line).expect("it writes");
    assert_eq!(first_line, "{\n");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_page_on_scenarios_says_what_their_schema_says() {
    let how = "run `wavetank schema --markdown > docs/scenario.md`";
    assert!(stdout(&["schema", "--markdown"]) == include_str!("../../docs/scenario.md"), "{how}");
}
