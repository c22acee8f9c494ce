//! `wavetank calibrate` as a person uses it.
#![expect(clippy::disallowed_methods, reason = "tests write files")]

use std::fs;

use assert_cmd::Command;
use serde_json::Value;

fn calibrate(content: &str, arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("measured");
    fs::write(&path, content).expect("written");
    let output = Command::cargo_bin("wavetank")
        .expect("the binary of this crate")
        .arg("calibrate")
        .arg(&path)
        .args(arguments)
        .output()
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

const QUICK: [&str; 4] = ["--evaluations", "12", "--duration", "5s"];

#[test]
fn points_become_what_goes_into_a_scenario() {
    let points = "setup,rps,mean_ms,p95_ms\na,10,12,20\na,50,13,24\na,100,15,30\n";
    let (code, out, error) = calibrate(points, &QUICK);
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("ignored columns: setup"), "{error}");
    let yaml = out.split_once("requests:\n").expect("a model").1;
    assert!(yaml.contains("  concurrency: ") && yaml.contains("  cpuTime:"), "{out}");
    assert!(out.contains("# Median error on held-out rows: "), "{out}");
    let kept_back: Vec<&str> = out.lines().filter(|line| line.ends_with("kept back")).collect();
    assert_eq!(kept_back.len(), 2, "{out}");
    assert!(kept_back.iter().all(|line| line.contains("50 rps")), "{out}");
}

#[test]
fn a_log_with_durations_becomes_json_for_programs() {
    let lines: Vec<String> = (0..2_000)
        .map(|request| {
            let second = request / 50;
            let millis = 8 + request % 7;
            format!(
                r#"10.0.0.1 - - [16/Nov/2023:12:{:02}:{:02} +0000] "GET / HTTP/1.1" 200 512 "-" "-" 0.{millis:03}"#,
                second / 60,
                second % 60
            )
        })
        .collect();
    let mut arguments = QUICK.to_vec();
    arguments.extend(["-o", "json"]);
    let (code, out, error) = calibrate(&lines.join("\n"), &arguments);
    assert_eq!(code, 0, "{error}");
    let value: Value = serde_json::from_str(&out).expect("JSON");
    assert!(value["requests"]["concurrency"].as_u64().is_some(), "{out}");
    assert!(value["rows"].as_array().is_some_and(|rows| rows.len() >= 10), "{out}");
    assert!(value["medianErrorKeptBack"]["all"].as_f64().is_some(), "{out}");
}

#[test]
fn a_benchmark_of_a_language_model_becomes_costs_of_iterations() {
    let points = "concurrency,prompt_tokens,output_tokens,ttft_p50_ms,tpot_p50_ms\n\
                  1,500,100,40,12\n4,500,100,60,12.5\n16,500,100,90,14\n";
    let mut arguments = QUICK.to_vec();
    arguments.extend(["--llm", "--kv-cache-tokens", "400000"]);
    let (code, out, error) = calibrate(points, &arguments);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("    cost:\n"), "{out}");
    assert!(out.contains("weightsMs: ") && out.contains("tokenUs: "), "{out}");
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    let (code, _, error) = calibrate("rps,mean_ms\n5,soon\n", &[]);
    assert_eq!(code, 2);
    assert!(error.contains("measured: line 2: \"soon\" is not a number"), "{error}");
    let (code, _, error) = calibrate("rps,mean_ms\n5,1\n", &["--model", "Llama-3.1-8B"]);
    assert_eq!(code, 2);
    assert!(error.contains("--llm"), "{error}");
}
