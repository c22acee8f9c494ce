//! The long run: `tests/fuzz/run.sh` starts it again after each input that ends the process.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::PathBuf;
use std::process::abort;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::targets::{ALL, Target};

/// An input that takes longer hangs: CPU time, since on a busy machine a sound input may wait for long.
const HANGS_AFTER: Duration = Duration::from_secs(20);
/// One that takes longer by the clock on the wall waits for something that never comes.
const WAITS_AFTER: Duration = Duration::from_hours(1);

/// Time between two notes of how far the run is: a note takes longer than many an input.
const NOTED_EVERY: Duration = Duration::from_millis(100);

/// The place of the last panic.
static PLACE: Mutex<String> = Mutex::new(String::new());

#[test]
#[ignore = "runs as long as FUZZ_SECONDS says"]
fn for_as_long_as_one_likes() {
    let setting = |name: &str| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seconds = Duration::from_secs(setting("FUZZ_SECONDS").unwrap_or(10));
    let only = env::var("FUZZ_TARGET").unwrap_or_default();
    let folder =
        PathBuf::from(env::var("FUZZ_FOLDER").unwrap_or_else(|_| "target/fuzz".to_owned()));
    fs::create_dir_all(&folder).expect("a folder to write to");
    set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let message = panic.payload_as_str().unwrap_or_default();
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = format!("{place}: {message}");
    }));
    let targets = ALL.iter().filter(|target| only.is_empty() || target.name == only);
    for target in targets {
        long_run(target, &folder, seconds);
    }
}

fn long_run(target: &Target, folder: &std::path::Path, seconds: Duration) {
    let seeds = (target.seeds)();
    let state = folder.join(format!("{}.next", target.name));
    let first: u64 =
        fs::read_to_string(&state).ok().and_then(|it| it.trim().parse().ok()).unwrap_or(0);
    // After a process that ended, to find which of its last inputs was the reason.
    let is_single = env::var_os("FUZZ_SINGLE").is_some();
    let now = Arc::new(AtomicU64::new(first));
    watch(target.name, Arc::clone(&now));
    let begin = Instant::now();
    let mut note_at = Duration::ZERO;
    let mut number = first;
    while begin.elapsed() < seconds {
        if is_single || begin.elapsed() >= note_at {
            // An input that is tried singly is not tried again.
            let next = number + u64::from(is_single);
            fs::write(&state, next.to_string()).expect("writable");
            note_at = begin.elapsed() + NOTED_EVERY;
        }
        now.store(number, Ordering::Relaxed);
        let (seed, bytes) = target.input(&seeds, number);
        if catch_unwind(AssertUnwindSafe(|| (target.run)(seed, &bytes))).is_err() {
            let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).clone();
            note(folder, &format!("{} {number} panics at {place}", target.name));
        }
        number += 1;
    }
    fs::write(&state, number.to_string()).expect("writable");
    let took = begin.elapsed().as_secs();
    note(folder, &format!("{} ran {} inputs in {took} s", target.name, number - first));
    now.store(u64::MAX, Ordering::Relaxed);
}

fn note(folder: &std::path::Path, line: &str) {
    let log = File::options().create(true).append(true).open(folder.join("log"));
    writeln!(log.expect("writable"), "{line}").expect("writable");
}

/// Ends the process if one input takes too long.
fn watch(name: &'static str, now: Arc<AtomicU64>) {
    thread::spawn(move || {
        let mut last = (u64::MAX, Instant::now(), cpu_time());
        loop {
            thread::sleep(Duration::from_millis(500));
            let number = now.load(Ordering::Relaxed);
            if number == u64::MAX {
                return;
            }
            if last.0 != number {
                last = (number, Instant::now(), cpu_time());
            } else if cpu_time().saturating_sub(last.2) > HANGS_AFTER
                || last.1.elapsed() > WAITS_AFTER
            {
                eprintln!("{name} {number} hangs");
                abort();
            }
        }
    });
}

/// CPU time of this process, as Linux tells it; elsewhere nothing.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may have spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let ticks: u64 = fields.take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
#[ignore = "lists the targets, for `tests/fuzz/run.sh`"]
fn names() {
    for target in ALL {
        println!("target {}", target.name);
    }
}

/// Prints the input `FUZZ_NUMBER` of `FUZZ_TARGET`.
#[test]
#[ignore = "prints one input"]
fn input() {
    let name = env::var("FUZZ_TARGET").unwrap_or_default();
    let number = env::var("FUZZ_NUMBER").ok().and_then(|number| number.parse().ok()).unwrap_or(0);
    for target in ALL.iter().filter(|target| target.name == name) {
        let seeds = (target.seeds)();
        let (seed, bytes) = target.input(&seeds, number);
        let place = seeds.iter().position(|one| std::ptr::eq(one, seed)).unwrap_or(0);
        eprintln!("{place} {}", seed.folder.join(&seed.name).display());
        println!("{}", String::from_utf8_lossy(&bytes));
    }
}
