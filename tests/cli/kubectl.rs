//! What `wavetank` prints of a simulated cluster against what kubectl 1.36 printed of a real one to which the same
//! was done (`tests/golden/kubectl`): command by command, line by line, blanks included.
#![expect(clippy::disallowed_methods, reason = "a test reads files")]

use std::path::PathBuf;
use std::time::Duration;

use assert_cmd::Command;
use serde::Deserialize;

/// Commands of the recording that look at the cluster and are not compared, by their numbers, and why.
const LEFT_OUT: &[(&[u32], &str)] = &[
    (
        &[46, 47, 233, 234, 251, 264, 325, 326],
        "whole objects, with annotations of kubectl, addresses and heartbeats of their own; `-o yaml` is compared \
         where it has none, and applied again in tests/slow/round_trip.rs",
    ),
    (&[273], "similar events, of which client-go combines those of a series from the eleventh on"),
    (&[82, 149, 314], "of the shell's or of the command line's own words"),
    (&[94, 95, 96, 97], "watches"),
    (&[123, 131], "rollout status with --timeout: an instant has nothing to wait for"),
    (
        &[286, 343, 344, 345, 346, 347, 348],
        "access rights, raw paths, and kinds that no simulation has",
    ),
    (&[8, 340, 349, 19], "namespaces, classes and a Service that a cluster has of itself"),
    (
        &[31, 86, 90, 187, 188, 217, 218, 302, 303],
        "pods on their way: within the second or two in which they start or go",
    ),
    (
        &[132, 137, 143, 147],
        "between two tries to pull an image, and between two changes half a second apart",
    ),
    (
        &[116],
        "kubectl rollout undo brings the change-cause of the revision back; the simulated one keeps it",
    ),
    (
        &[133],
        "kubectl apply keeps the annotation of an earlier rollout restart, so that other ReplicaSets are used again",
    ),
    (&[134], "finds a pod by a shell's loop; 223 describes one in the same state"),
    (&[237, 238], "the real process took 10 s more to use up its memory for the third time"),
    (&[316, 318, 322, 323, 328, 335, 338], "after taints and labels that a timeline cannot set"),
    (&[342], "after the namespace went"),
];

/// The recorded command names a node with a part of the pods that the scheduler drew: this one has as many here.
const NODE_LIKE_N3: (u32, &str, &str) = (296, "n3", "n2");

/// AGE is not compared where it is that of nodes, which were there long before the story.
const OF_NODES: &[u32] = &[6, 7, 296, 299];

/// How much older or younger an object may be, in seconds: the real cluster shared two busy cores.
const AGE_TOLERANCE: u64 = 4;

/// Events that are left out on both sides: those by which kubelets tell of each image, container and failed probe,
/// and the CronJob controller of a Job that is not its own, are not simulated, or in other numbers.
const UNTOLD_EVENTS: [&str; 10] = [
    "Pulled",
    "Pulling",
    "Created",
    "Started",
    "Unhealthy",
    "Failed",
    "BackOff",
    "OOMKilling",
    "UnexpectedJob",
    "RegisteredNode",
];

/// What EndpointSlices say beside their content: when a pod or the Service last changed it.
const TRIGGER_TIME: &str =
    "    annotations:\n      endpoints.kubernetes.io/last-change-trigger-time: ";

#[derive(Debug, Deserialize)]
struct Recorded {
    n: u32,
    at: f64,
    seconds: f64,
    cmd: String,
    exit: i32,
    stdout: String,
    stderr: String,
}

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kubectl")
}

fn transcript() -> Vec<Recorded> {
    let text = std::fs::read_to_string(golden().join("transcript.jsonl")).expect("the recording");
    text.lines().map(|line| serde_json::from_str(line).expect("a recorded command")).collect()
}

/// The command line of `wavetank` at the instant at which kubectl had its answer.
fn arguments(recorded: &Recorded) -> Vec<String> {
    // The story starts after a minute; a command that waits has its answer at its end, another soon.
    let waits = recorded.cmd.contains("rollout status");
    let at = recorded.at + 60.25 + if waits { recorded.seconds } else { 0.0 };
    let line = recorded.cmd.replace('\'', "");
    let mut words: Vec<&str> = line.split_whitespace().skip(1).collect();
    words.retain(|word| !word.starts_with("--timeout=") && !word.starts_with("--as="));
    // kubectl looks in the namespace default where none is named, wavetank in all.
    let mut of_namespace = vec!["-n", "default"];
    if words[0] == "-n" {
        of_namespace = words.drain(..2).collect();
    }
    for word in &mut words {
        if (recorded.n, *word) == (NODE_LIKE_N3.0, NODE_LIKE_N3.1) {
            *word = NODE_LIKE_N3.2;
        }
    }
    let at = format!("{at:.2}s");
    let words = words.into_iter().chain(["story.yaml", "--at", &at]).chain(of_namespace);
    words.map(str::to_owned).collect()
}

#[test]
fn what_kubectl_prints_of_a_real_cluster_is_printed_of_a_simulated_one() {
    let all = transcript();
    assert!(all.len() >= 60, "{} commands", all.len());
    let mut problems = Vec::new();
    for recorded in &all {
        let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
        command.args(arguments(recorded)).current_dir(golden()).timeout(Duration::from_mins(1));
        let output = command.output().expect("the program ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let mut wrong = differences(recorded, &out);
        if output.status.code() != Some(recorded.exit) || err != recorded.stderr {
            wrong.push(format!("{:?} and {:?}: {err}", output.status.code(), recorded.stderr));
        }
        if !wrong.is_empty() {
            let line = arguments(recorded).join(" ");
            problems.push(format!("{} {line}\n  {}", recorded.n, wrong.join("\n  ")));
        }
    }
    assert!(problems.is_empty(), "{} differ\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn a_command_is_either_compared_or_left_out_with_a_reason() {
    let all = transcript();
    for (numbers, why) in LEFT_OUT {
        let compared = |n: &u32| all.iter().any(|recorded| recorded.n == *n);
        assert!(!numbers.iter().any(compared), "{why}");
    }
}

/// Where two texts differ after the rules of this file.
fn differences(recorded: &Recorded, out: &str) -> Vec<String> {
    let mut theirs = recorded.stdout.as_str();
    if recorded.cmd.contains("rollout status") {
        // The lines before told how the rollout went on; after a failure nothing else is said.
        theirs = match recorded.exit {
            0 => theirs.trim_end().rsplit_once('\n').map_or(theirs, |(_, last)| last),
            _ => "",
        };
    }
    let mut wrong = Vec::new();
    for (whose, text) in [("kubectl's", theirs), ("ours", out)] {
        // The recorded kernel's name lost its end.
        if recorded.n != 7 || whose == "ours" {
            wrong.extend(layout(text).map(|line| format!("{whose} layout: {line}")));
        }
    }
    let [theirs, ours] = [theirs, out].map(|text| normalized(recorded, text));
    if theirs.len() != ours.len() {
        wrong.push(format!("{} lines, not {}", ours.len(), theirs.len()));
    }
    for (their, our) in theirs.iter().zip(&ours) {
        let is_exact = !their.varies && !our.varies;
        let same =
            if is_exact { their.text == our.text } else { their.squeezed() == our.squeezed() };
        let near = |(one, other): (&u64, &u64)| one.abs_diff(*other) <= AGE_TOLERANCE;
        let of_nodes = OF_NODES.contains(&recorded.n);
        if !same || !(of_nodes || their.ages.iter().zip(&our.ages).all(near)) {
            wrong.push(format!(
                "- {} {:?}\n  + {} {:?}",
                their.text, their.ages, our.text, our.ages
            ));
        }
    }
    wrong
}

/// The first row of a table whose columns are not as wide as kubectl makes them: their widest cell and three
/// blanks, six in all at least.
fn layout(text: &str) -> Option<String> {
    for table in text.split("\n\n") {
        let mut lines = table.lines();
        let titles = lines.next().filter(|line| is_titles(line))?;
        let starts = columns(titles);
        for pair in starts.windows(2) {
            let cell = |line: &str| {
                let cell: String = line.chars().skip(pair[0]).take(pair[1] - pair[0]).collect();
                cell.trim_end().chars().count()
            };
            let widest = table.lines().map(cell).max().unwrap_or(0);
            if pair[1] - pair[0] != (widest + 3).max(6) {
                return Some(titles.to_owned());
            }
        }
    }
    None
}

fn is_titles(line: &str) -> bool {
    ["NAME ", "POD ", "LAST SEEN ", "NAMESPACE "].iter().any(|title| line.starts_with(title))
}

/// Where the columns of a row of titles start.
fn columns(titles: &str) -> Vec<usize> {
    let letters: Vec<char> = titles.chars().collect();
    let is_start = |position: &usize| {
        let before = &letters[position.saturating_sub(3)..*position];
        letters[*position] != ' ' && before.iter().all(|letter| *letter == ' ')
    };
    (0..letters.len()).filter(|position| *position == 0 || is_start(position)).collect()
}

/// A line without what no two clusters have in common.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    text: String,
    /// Lengths of time in it, in seconds.
    ages: Vec<u64>,
    /// Whether anything was taken out of it, so that columns may have another width.
    varies: bool,
}

impl Line {
    /// With a single blank for each gap.
    fn squeezed(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The lines that are compared: those of tables without order where names end at random.
fn normalized(recorded: &Recorded, text: &str) -> Vec<Line> {
    let mut text = text.to_owned();
    if let Some(start) = text.find(TRIGGER_TIME) {
        let value = start + TRIGGER_TIME.len();
        let end = text[value..].find('\n').map_or(text.len(), |length| value + length + 1);
        text.replace_range(start..end, "");
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut skips_next = false;
    for line in text.lines() {
        let is_skipped = std::mem::take(&mut skips_next);
        if is_skipped || line.starts_with("n4 ") || line.starts_with("kube-root-ca.crt ") {
            continue;
        }
        if line.contains("openshift-service-ca.crt") {
            skips_next = line.contains("ConfigMapName");
            continue;
        }
        let line = normalize(recorded, line);
        if line.text.split_whitespace().take(3).any(|word| UNTOLD_EVENTS.contains(&word)) {
            continue;
        }
        lines.push(line);
    }
    let mut sorted: Vec<Line> = Vec::new();
    let mut rest = lines.into_iter().peekable();
    while let Some(line) = rest.next() {
        let starts_table = is_titles(&line.text) || line.text.trim_start().starts_with("----");
        let is_page = line.text.starts_with(' ');
        sorted.push(line);
        if starts_table {
            // As wide as its rows, which vary; that it is as wide as they are is seen to above.
            sorted.iter_mut().rev().take(2).for_each(|title| title.varies = true);
        }
        if starts_table {
            let is_row =
                |line: &Line| !line.text.is_empty() && (!is_page || line.text.starts_with(' '));
            let mut rows: Vec<Line> = std::iter::from_fn(|| rest.next_if(is_row)).collect();
            rows.sort_by_key(|row| (row.squeezed(), row.ages.clone()));
            // The scheduler tells of a pod that fits nowhere once more when a node joins or goes.
            rows.dedup_by(|row, before| {
                row.text.contains("FailedScheduling") && row.squeezed() == before.squeezed()
            });
            if rows.is_empty() && sorted.len() > 2 && sorted[sorted.len() - 3].text == "Events:" {
                // Nothing is left of its events.
                sorted.truncate(sorted.len() - 3);
                sorted.push(Line {
                    text: "Events: <none>".to_owned(),
                    ages: Vec::new(),
                    varies: true,
                });
            }
            sorted.extend(rows);
        }
    }
    sorted
}

fn normalize(recorded: &Recorded, line: &str) -> Line {
    let mut line = line.to_owned();
    // How often an event came, and since when.
    while let Some((start, end)) = line
        .find(" (x")
        .and_then(|start| line[start..].find(')').map(|length| (start, start + length + 1)))
    {
        line.replace_range(start..end, "");
    }
    // Instants and counters of the API server.
    while let Some(start) = line.find("20").filter(|start| is_timestamp(&line[*start..])) {
        line.replace_range(start..start + TIMESTAMP.len(), "DATE");
    }
    let field = line.trim_start();
    if ["resourceVersion: \"", "generation: "].iter().any(|counter| field.starts_with(counter)) {
        let end = line.find(": ").unwrap_or(line.len());
        line.replace_range(end.., if line.ends_with("\"\"") { ": none" } else { ": NUMBER" });
    }
    // Instants, as kubectl describe writes them, and the value of an annotation that is one.
    while let Some(end) = line.find(" +0000") {
        line.replace_range(end.saturating_sub(25)..end + 6, "DATE");
    }
    if let Some(start) = line.find("restartedAt: ") {
        line.replace_range(start + 13.., "DATE");
    }
    // The API server names the containers that lack a request; the simulated one does not.
    if let Some(start) = line.find("must specify ") {
        line.replace_range(start + 13.., "REQUESTS");
    }
    line = line.replace("create Pod", "Create Pod");
    // The scheduler's events name its machine.
    line = line.replace("default-scheduler, default-scheduler-vm", "default-scheduler");
    let mut ages = Vec::new();
    let mut text = String::new();
    let mut varies = false;
    let mut before = String::new();
    let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
    let mut rest = line.as_str();
    while let Some(first) = rest.chars().next() {
        let is_word = is_of_word(first);
        let end = rest.find(|letter| is_of_word(letter) != is_word).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let age = duration(word);
        let is_quantity = recorded.cmd.contains(" top ") && amount(word, after);
        let plain = match age {
            _ if is_quantity => "N".to_owned(),
            Some(age) => {
                ages.push(age);
                "AGE".to_owned()
            }
            None if before.ends_with("pod-template-hash=") => "HASH".to_owned(),
            // Which of them are on a node was drawn as well.
            None if recorded.n == NODE_LIKE_N3.0 && word.starts_with("db-") => "db-N".to_owned(),
            None => named(word, after),
        };
        varies |= plain != word;
        text.push_str(&plain);
        before.push_str(word);
        rest = after;
    }
    varies |= line.contains("DATE") || line.contains("REQUESTS");
    Line { text, ages, varies }
}

/// The form of the API's instants: a letter stands for a digit.
const TIMESTAMP: &str = "dddd-dd-ddTdd:dd:ddZ";

fn is_timestamp(text: &str) -> bool {
    let fits = |(form, letter): (char, char)| match form {
        'd' => letter.is_ascii_digit(),
        _ => letter == form,
    };
    text.len() >= TIMESTAMP.len() && TIMESTAMP.chars().zip(text.chars()).all(fits)
}

/// Measured use, which depends on real programs: `1521m`, `6313Mi`, `26%`.
fn amount(word: &str, after: &str) -> bool {
    let number = ["m", "Mi"].iter().find_map(|unit| word.strip_suffix(unit));
    let number = number.or_else(|| after.starts_with('%').then_some(word));
    number
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|one| one.is_ascii_digit()))
}

/// Seconds of `2m5s`.
fn duration(word: &str) -> Option<u64> {
    let mut seconds = 0;
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let unit = match &rest[digits..=digits] {
            "d" => 86_400,
            "h" => 3_600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        seconds += rest[..digits].parse::<u64>().ok()? * unit;
        rest = &rest[digits + 1..];
    }
    (!word.is_empty()).then_some(seconds)
}

/// A word without what is drawn or handed out: ends of names, UIDs, digests, addresses, and nodes, among which the
/// scheduler draws where they are alike.
fn named(word: &str, after: &str) -> String {
    let is_hex = |text: &str| text.bytes().all(|one| one.is_ascii_hexdigit());
    let is_drawn = |text: &str| {
        let vowels = ['a', 'e', 'i', 'o', 'u'];
        text.chars().all(|one| one.is_ascii_alphanumeric() && !vowels.contains(&one))
    };
    if let Some((name, number)) = word.rsplit_once('.')
        && number.len() == 16
        && is_hex(number)
    {
        return format!("{}.NUMBER", named(name, ""));
    }
    if matches!(word, "n1" | "n2" | "n3") {
        return "NODE".to_owned();
    }
    if word.len() == 64 && is_hex(word) {
        return "DIGEST".to_owned();
    }
    let bytes: Vec<&str> = word.split('.').collect();
    let is_address = bytes.len() == 4 && bytes.iter().all(|byte| byte.parse::<u8>().is_ok());
    if is_address && !after.starts_with(":5000") {
        return "IP".to_owned();
    }
    let parts: Vec<&str> = word.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    match parts[..] {
        _ if lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| is_hex(part)) => {
            "UID".to_owned()
        }
        ["kube", "api", "access", _] => "kube-api-access-NAME".to_owned(),
        [owner @ ("web" | "d"), hash, pod]
            if (8..=10).contains(&hash.len())
                && is_drawn(hash)
                && pod.len() == 5
                && is_drawn(pod) =>
        {
            format!("{owner}-HASH-NAME")
        }
        [owner @ ("web" | "d"), hash] if (8..=10).contains(&hash.len()) && is_drawn(hash) => {
            format!("{owner}-HASH")
        }
        [owner @ ("agent" | "report" | "once" | "failing" | "web"), name] if name.len() == 5 => {
            format!("{owner}-NAME")
        }
        _ => word.to_owned(),
    }
}

#[test]
fn what_is_drawn_is_taken_out_of_a_line_and_ages_are_read() {
    let of_pods = Recorded {
        n: 1,
        at: 0.0,
        seconds: 0.0,
        cmd: "kubectl get pods".to_owned(),
        exit: 0,
        stdout: String::new(),
        stderr: String::new(),
    };
    let line = normalize(
        &of_pods,
        "web-84b777df84-84xd7   1/1   Running   1 (5s ago)   2m5s   10.244.2.211   n2",
    );
    let text = "web-HASH-NAME   1/1   Running   1 (AGE ago)   AGE   IP   NODE";
    assert_eq!((line.text.as_str(), line.ages.as_slice()), (text, &[5, 125][..]));
}
