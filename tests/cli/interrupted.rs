//! What becomes of files and messages if a disk is full, a folder cannot be written to, a reader goes away, or the program is
//! killed: a file is whole or absent, and the program says what it could not do.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::shop::Shop;

/// The commands that write files, all of them into `out`.
const WRITERS: [&[&str]; 10] = [
    &["run", "scenario.yaml", "--charts", "out"],
    &["run", "scenario.yaml", "--report", "out/run.html"],
    &["check", "scenario.yaml", "--junit", "out/junit.xml"],
    &[
        "compare",
        "scenario.yaml",
        "scenario.yaml",
        "--save",
        "out/baseline.json",
        "--charts",
        "out",
    ],
    &[
        "sweep",
        "scenario.yaml",
        "--vary",
        GRID,
        "--seeds",
        "1",
        "--charts",
        "out",
        "--report",
        "out/sweep.html",
    ],
    &["sweep", "plan", "scenario.yaml", "--vary", GRID, "--seeds", "1", "--to", "out/plan.json"],
    &["init", "web.yaml", "-o", "out/scenario.yaml"],
    &["import", "log.csv", "-o", "out/trace.csv.gz"],
    &["pack", "pack.yaml", "--charts", "out", "--placements", "out/placed.csv"],
    &[
        "size",
        "scenario.yaml",
        "--tune",
        "replicas",
        "--runs",
        "3",
        "--seeds",
        "3",
        "--confirm",
        "0",
        "--patch",
        "out",
    ],
];

const PACKING: &str = "apiVersion: wavetank/v1\nkind: Packing\nname: small\n\
    cluster:\n  nodePools: [{name: general, instanceType: aws/m5.large, count: 2}]\n\
    pods: [{trace: pods.csv}]\npolicies: [{policy: default}]\n";

const GRID: &str = "cluster.nodePools[general].count=1,2";

fn shop() -> Shop {
    let shop = Shop::new();
    // A trace that compresses to more than a few blocks.
    let times = (0..60_000_u64).map(|number| format!("{}.{:03}\n", number, number * 7919 % 1000));
    shop.write("log.csv", format!("t_s\n{}", times.collect::<String>()));
    shop.write("pods.csv", "cpu_milli,memory_mib\n".to_owned() + &"100,64\n".repeat(40));
    shop.write("pack.yaml", PACKING);
    shop
}

/// The files of a folder with their content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("readable"));
    let named = entries.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).expect("read"))
    });
    named.collect()
}

/// Runs the program in a shell that has done `before`.
fn run_after(before: &str, shop: &Shop, arguments: &[&str]) -> Output {
    let program = assert_cmd::cargo::cargo_bin!("wavetank");
    let script = format!("{before}; exec \"$0\" \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &script]).arg(program).args(arguments).current_dir(shop.path());
    command.output().expect("bash")
}

/// Files that a run must have written whole: all but drafts, without what differs from run to run.
fn assert_whole(found: &BTreeMap<String, Vec<u8>>, whole: &BTreeMap<String, Vec<u8>>, what: &str) {
    for (name, content) in found.iter().filter(|(name, _)| !is_draft(name)) {
        assert!(whole.get(name) == Some(content), "{what}: {name} has {} bytes", content.len());
    }
}

#[test]
fn a_full_disk_leaves_no_half_file_and_is_told() {
    let shop = shop();
    let out = shop.path().join("out");
    for arguments in WRITERS {
        assert_eq!(
            run_after("true", &shop, arguments).status.code().map(|code| code < 2),
            Some(true),
            "{arguments:?}"
        );
        let whole = files(&out);
        let largest = whole.values().map(Vec::len).max().expect("files");
        fs::remove_dir_all(&out).expect("removed");
        // A limit on the size of files is what a full disk is to a program that writes.
        for blocks in [0, largest / 2048] {
            let ran = run_after(&format!("ulimit -f {blocks}; trap '' XFSZ"), &shop, arguments);
            let said = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(ran.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(said.contains("error: cannot write out/"), "{arguments:?}: {said}");
            let found = files(&out);
            assert_whole(&found, &whole, &format!("{arguments:?} with {blocks} blocks"));
            assert!(found.keys().all(|name| !is_draft(name)), "{arguments:?}: {:?}", found.keys());
            let _ = fs::remove_dir_all(&out);
        }
    }
}

#[test]
fn a_place_that_cannot_be_written_to_is_told() {
    let shop = shop();
    shop.write("out", "a file where a folder is needed");
    for arguments in WRITERS {
        let ran = shop.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains("error: cannot write out"), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn one_that_is_killed_leaves_no_half_file() {
    let shop = shop();
    let out = shop.path().join("out");
    let program = assert_cmd::cargo::cargo_bin!("wavetank");
    for arguments in WRITERS {
        run_after("true", &shop, arguments);
        let whole = files(&out);
        fs::remove_dir_all(&out).expect("removed");
        for (signal, millis) in [("KILL", 5), ("KILL", 25), ("KILL", 60), ("INT", 40), ("TERM", 40)]
        {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(shop.path());
            let mut child =
                command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
            sleep(Duration::from_millis(millis));
            // It may have ended before.
            let _ = Command::new("kill").args(["-s", signal, &child.id().to_string()]).output();
            child.wait().expect("ended");
            assert_whole(
                &files(&out),
                &whole,
                &format!("{arguments:?}: {signal} after {millis} ms"),
            );
            let _ = fs::remove_dir_all(&out);
        }
    }
}

#[test]
fn a_closed_pipe_ends_every_command_quietly() {
    let shop = shop();
    let printers: [&[&str]; 10] = [
        &["run", "scenario.yaml"],
        &["run", "scenario.yaml", "-o", "json"],
        &["get", "pods", "scenario.yaml"],
        &["sweep", "scenario.yaml", "--vary", GRID, "--seeds", "1"],
        &["schema"],
        &["catalog"],
        &["init", "web.yaml", "-o", "-"],
        &["import", "log.csv", "-o", "-"],
        &["pack", "pack.yaml"],
        &YEARS,
    ];
    for arguments in printers {
        let program = assert_cmd::cargo::cargo_bin!("wavetank");
        let script = "\"$0\" \"$@\" | true; exit ${PIPESTATUS[0]}";
        let mut command = Command::new("bash");
        command.args(["-c", script]).arg(program).args(arguments).current_dir(shop.path());
        let ran = command.output().expect("bash");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("error") && !said.contains("panic"), "{arguments:?}: {said}");
    }
}

/// Machines fail so often that ten hours have a few failures.
const YEARS: [&str; 9] = [
    "years",
    "scenario.yaml",
    "--years",
    "3",
    "--probes",
    "2",
    "--year",
    "10h",
    "--set=faults=[{fault: killNode, meanTimeBetween: 50h}]",
];

/// `years` keeps nothing that it could resume from; whatever ends it, it says nothing that is not so.
#[test]
fn years_that_are_interrupted_print_no_result() {
    let shop = shop();
    let program = assert_cmd::cargo::cargo_bin!("wavetank");
    for (signal, millis) in [("KILL", 30), ("INT", 60), ("TERM", 90)] {
        let mut command = Command::new(program);
        command.args(YEARS).current_dir(shop.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("started");
        sleep(Duration::from_millis(millis));
        let _ = Command::new("kill").args(["-s", signal, &child.id().to_string()]).output();
        let ran = child.wait_with_output().expect("ended");
        let whole = ran.status.code() == Some(0);
        assert!(
            whole || ran.stdout.is_empty(),
            "{signal}: {}",
            String::from_utf8_lossy(&ran.stdout)
        );
    }
}

/// A terminal that is closed, or a program told to end, leaves no process behind that simulates on.
#[test]
fn a_watch_ends_with_its_terminal() {
    let shop = shop();
    let program = assert_cmd::cargo::cargo_bin!("wavetank");
    let watch = format!("{} watch scenario.yaml", program.display());
    // `script` gives the program a terminal, whose keyboard is this pipe.
    let start = || {
        let mut command = Command::new("script");
        command.args(["-qec", &watch, "/dev/null"]).current_dir(shop.path()).env("TERM", "xterm");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    };
    let Ok(mut child) = start() else { return };
    sleep(Duration::from_millis(300));
    let mut keyboard = child.stdin.take().expect("a pipe");
    keyboard.write_all(b"q").expect("it listens");
    drop(keyboard);
    let ran = child.wait_with_output().expect("ended");
    let shown = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(0), "{shown}");
    // The main screen is back, and the cursor is seen.
    assert!(shown.contains("\u{1b}[?1049l") && shown.contains("\u{1b}[?25h"), "{shown:?}");
}

/// Whether a file is what a command writes before it renames it.
fn is_draft(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|ending| ending == "draft")
}
