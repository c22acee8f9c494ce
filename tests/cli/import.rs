//! `wavetank import` as a person meets it: what is written where, and the exit code.

use crate::shop::{SCENARIO, Shop};
use assert_cmd::Command;

fn import(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    let output =
        command.arg("import").args(arguments).write_stdin(input).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

const LOG: &str = "\
a - - [16/Nov/2023:12:00:01 +0000] \"GET /a HTTP/1.1\" 200 5 \"-\" \"-\" 0.500
a - - [16/Nov/2023:12:00:03 +0000] \"GET /b HTTP/1.1\" 200 5 \"-\" \"-\" 0.500
";

/// The form of ServeGen's token files.
const TOKENS: &str = "\
field,bin_lo,bin_hi,probability,mean_in_bin
input_tokens,100,199,1,150
output_tokens,8,9,1,8.55
";

#[test]
fn a_log_becomes_a_trace_and_the_summary_goes_to_standard_error() {
    let (code, trace, summary) = import(&["-"], LOG);
    assert_eq!(code, 0);
    assert_eq!(
        trace,
        "# from: standard input (access log)\n# start: 2023-11-16T12:00:00.5Z\nt_s\n0\n2\n"
    );
    assert!(
        summary.starts_with("standard input: access log, 2 rows, 2 requests over"),
        "{summary}"
    );
}

#[test]
fn a_trace_of_intervals_ends_with_its_last_interval() {
    let rows = |column: &str, amount: i32| {
        let lines = (0..20).map(|row| format!("{},{amount}\n", 1_767_600_000 + row * 60));
        format!("timestamp,{column}\n{}", lines.collect::<String>())
    };
    for input in [rows("requests", 600), rows("rps", 10)] {
        let (code, _, summary) = import(&["-"], &input);
        let says = " over 00:20:00, from 2026-01-05T08:00:00Z to 2026-01-05T08:20:00Z; 20 lines";
        assert!(code == 0 && summary.contains(says), "{summary}");
    }
    let (_, _, summary) = import(&["-", "--every", "10s"], LOG);
    assert!(summary.contains(", 2 requests over 00:00:10, from "), "{summary}");
    let (_, _, summary) = import(&["-"], LOG);
    assert!(summary.contains(", 2 requests over 00:00:02, from "), "{summary}");
}

#[test]
fn an_imported_trace_says_how_to_replay_it_and_a_shorter_run_that_it_does_not() {
    let shop = Shop::new();
    let rows: Vec<String> = (0..20).map(|row| format!("{},600\n", row * 60)).collect();
    shop.write("counts.csv", format!("t_s,requests\n{}", rows.concat()));
    let ran = shop.run(&["import", "counts.csv", "-o", "trace.csv"]);
    assert!(ran.err.contains("`load: {trace: trace.csv}`; `duration: 20m`"), "{}", ran.err);
    let scenario = |load: &str| {
        let constant = "{pattern: constant, rps: 20}";
        shop.write("scenario.yaml", SCENARIO.replace(constant, load));
        shop.run(&["validate", "scenario.yaml"]).out
    };
    let told = scenario("{trace: trace.csv}");
    assert!(told.contains("the run ends after 4m, but the trace after 20m"), "{told}");
    assert!(told.contains("`duration: 20m` replays all of it"), "{told}");
    for chosen in ["{trace: trace.csv, to: 4m}", "{trace: trace.csv, repeat: true}"] {
        assert!(!scenario(chosen).contains("the run ends after"), "{chosen}");
    }
}

#[test]
fn broken_rows_are_shown_and_too_many_end_with_2() {
    let log = format!("{LOG}broken\n");
    let (code, _, said) = import(&["-", "--max-broken", "50"], &log);
    assert_eq!(code, 0);
    assert!(said.contains("1 broken row was skipped; the first:\n  line 3: no `[date]"), "{said}");
    let (code, trace, said) = import(&["-"], &log);
    assert_eq!((code, trace.as_str()), (2, ""));
    assert!(said.contains("1 of 3 rows is broken, 33.3 %, above the allowed 1.0 %"), "{said}");
}

#[test]
fn what_cannot_be_read_ends_with_2_and_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("trace.csv");
    let file = file.to_str().expect("UTF-8");
    for (arguments, input, says) in [
        (vec!["no-such-file.log"], "", "no-such-file.log: no such file"),
        (vec!["-"], "", "the file is empty; a trace has a row per request or per interval"),
        (vec!["-"], "t_s;requests\n0;1\n", "separated by semicolons; write commas in their place"),
        (vec!["-"], "requests\tt_s\n1\t0\n", "separated by tabs"),
        (vec!["-"], "Arrived At;\"In Tok\"\n2023-11-16T12:00:00Z;5\n", "separated by semicolons"),
        (
            vec!["-", "--column", "time=Arrived At"],
            "Arrived At;\"In Tok\"\n2023-11-16T12:00:00Z;5\n",
            "line 1: its fields are separated by semicolons",
        ),
        (vec!["-"], "timestamp;took [ms]\n0;5\n", "separated by semicolons"),
        (vec!["-", "--format", "csv"], "t_s\trequests\n0\t1\n", "separated by tabs"),
        (vec!["-"], "t_s,requests,count\n0,1,2\n", "`requests` and `count` have the same meaning"),
        (vec!["-"], "t_s,requests\n0,\n", "line 2: the field in column 2 is empty"),
        (
            vec!["-"],
            "Timestamp,User Count,Type,Name,Requests/s\n1700136000,10,GET,/a,3.5\n",
            "no row is named `Aggregated`",
        ),
        (
            vec!["-", "--path", "/a"],
            "t_s\n1\n",
            "--path: rows of comma-separated values have no path",
        ),
        (vec!["-", "--every", "1s"], "t_s\n0\n9e8\n", "no request in 899999999 intervals before"),
        (
            vec!["-"],
            r#"{"status":"error","errorType":"bad_data","error":"too many points"}"#,
            "Prometheus returned an error: too many points",
        ),
        (vec!["-"], "<html></html>", "unknown format"),
        (vec!["-", "-o", file], "t_s\nsoon\n", "line 2: \"soon\" is not a time"),
        (vec!["-", "--format", "pcap"], "", "the formats are csv, access-log"),
        (vec!["-", "--every", "0s"], "t_s\n1\n", "--every must be longer"),
        (vec!["-", "-o", file], TOKENS, "line 1: this is a histogram of token counts, not a trace"),
        (
            vec!["-"],
            TOKENS,
            "`promptTokens: {histogram: FILE}` and `outputTokens: {histogram: FILE}`",
        ),
        (vec!["-", "--every", "1m"], "t_s,requests\n0,1\n60,1\n", "already has intervals"),
    ] {
        let (code, trace, said) = import(&arguments, input);
        assert_eq!((code, trace.as_str()), (2, ""), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let folder = folder.path().to_str().expect("UTF-8");
    assert!(glob::glob(&format!("{folder}/*")).expect("a pattern").next().is_none());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_of_the_file_that_is_written() {
    let (code, _, said) = import(&["-", "-o", "/dev/full"], "t_s\n1\n");
    assert_eq!(code, 2);
    assert!(said.starts_with("error: cannot write /dev/full: No space left"), "{said}");
}

#[test]
fn a_reader_who_has_enough_ends_it_quietly() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("wavetank"))
        .args(["import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Much more than a pipe holds.
    let writer = std::thread::spawn(move || {
        let seconds: Vec<String> = (0..200_000).map(|second: u32| second.to_string()).collect();
        let lines = seconds.join("\n");
        // It may have ended before it read all.
        let _ = std::io::Write::write_all(&mut stdin, lines.as_bytes());
    });
    let mut begin = [0; 7];
    child.stdout.take().expect("a pipe").read_exact(&mut begin).expect("its beginning");
    assert_eq!(&begin, b"# from:");
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn columns_of_any_name_are_read_as_they_are_said_to_be() {
    let csv = "id,arrived,in_tok,out_tok,time\n7,10.5,100,20,x\n8,12,200,30,y\n";
    let columns =
        ["--column", "time=arrived", "--column", "prompt=in_tok", "--column", "output=OUT_TOK"];
    let (code, trace, said) = import(&[&["-"][..], &columns].concat(), csv);
    assert_eq!(code, 0, "{said}");
    assert!(
        trace.ends_with("t_s,prompt_tokens,output_tokens\n10.5,100,20\n12,200,30\n"),
        "{trace}"
    );
    let counts = "when,requests,hits\n0,x,5\n60,y,6\n";
    let (code, trace, said) =
        import(&["-", "--column", "time=when", "--column", "count=hits"], counts);
    assert!(code == 0 && trace.ends_with("t_s,requests\n0,5\n60,6\n"), "{trace}{said}");
}

#[test]
fn columns_of_which_the_rows_make_no_use_are_refused() {
    let csv = "start,when,foo\n1,3,2\n2,9,9\n";
    for (meanings, says) in [
        (
            &["count=when", "prompt=foo"][..],
            "prompt=foo: the rows are counts, which have no prompts",
        ),
        (&["rate=when", "output=foo"], "output=foo: the rows are rates, which have no answers"),
        (&["rate=when", "session=foo"], "session=foo: the rows are rates, which have no sessions"),
        (&["series=when"], "series=when: the rows are single requests"),
        (&["end=when"], "end=when: another column is the time"),
        (&["duration=when"], "duration=when: the time column is the start of requests"),
    ] {
        let chosen = meanings.iter().flat_map(|meaning| ["--column", meaning]);
        let arguments: Vec<&str> =
            ["-", "--column", "time=start"].into_iter().chain(chosen).collect();
        let (code, trace, said) = import(&arguments, csv);
        assert_eq!((code, trace.as_str()), (2, ""), "{meanings:?}: {said}");
        assert!(said.contains(&format!("line 1: --column {says}")), "{meanings:?}: {said}");
    }
    let both = ["-", "--every", "1s", "--column", "time=start", "--column", "prompt=foo"];
    let (code, _, said) = import(&both, csv);
    assert!(code == 2 && said.contains("prompt=foo: --every counts requests"), "{said}");
    let ended = "timestamp,finish,took\n1,30,2\n2,90,9\n";
    let (code, trace, said) =
        import(&["-", "--column", "end=finish", "--column", "duration=took"], ended);
    assert!(code == 0 && trace.ends_with("t_s\n28\n81\n"), "{trace}{said}");
    let (code, trace, said) = import(&["-", "--column", "session=foo"], "ts,foo\n0,5\n1,6\n2,5\n");
    let kept = "t_s,prompt_tokens,output_tokens,session\n0,0,0,5\n1,0,0,6\n2,0,0,5\n";
    assert!(code == 0 && trace.ends_with(kept), "{trace}{said}");
}

#[test]
fn columns_that_are_not_there_are_answered_with_those_that_are() {
    for (arguments, input, says) in [
        (
            &["--column", "time=ts2"][..],
            "id,when\n1,2\n",
            "--column time=ts2: no such column; the columns are id, when",
        ),
        (
            &["--column", "when=id"],
            "id,when\n1,2\n",
            "\"when\" is not a meaning of a column; meanings are time, end, duration",
        ),
        (&["--column", "time"], "id,when\n1,2\n", "write MEANING=COLUMN, such as time=ts"),
        (
            &["--column", "time=id", "--column", "time=when"],
            "id,when\n1,2\n",
            "another column has the same meaning",
        ),
        (
            &["--column", "time=a"],
            "1,2,3\n",
            "the first line is the row `1,2,3`; add a header line",
        ),
        (
            &["--column", "time=a", "--format", "access-log"],
            "a\n",
            "--column: only comma-separated values have named columns, but this is access log",
        ),
        (
            &["--column", "prompt=foo"],
            "{\"timestamp\": 0, \"input_length\": 5}\n",
            "--column: only comma-separated values have named columns, but this is JSON lines",
        ),
        (
            &[],
            "id,when\n1,2\n",
            "no time column among `id,when`; name one `t_s` or `timestamp`, or use `wavetank import --column time=NAME`",
        ),
    ] {
        let (code, _, said) = import(&[&["-"][..], arguments].concat(), input);
        assert!(code == 2 && said.contains(says), "{arguments:?}: {says}\nis not in\n{said}");
    }
}
