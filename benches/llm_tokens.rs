//! Output tokens per second and core, from the arrival of a request to the histograms of TTFT and TPOT.
//! `cargo bench --bench llm_tokens -- [REQUESTS]`, 1,000,000 by default.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use std::io::{Write, stdout};
use std::time::Instant;

use serde_json::{Value, json};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    Recording, RequestModelId, RequestModelSpec, ServiceId, ServiceTraffic, Traffic, TrafficSpec,
};

const PODS: usize = 16;

fn main() -> std::io::Result<()> {
    let requests = std::env::args().find_map(|one| one.parse::<f64>().ok()).unwrap_or(1e6);
    let chat = json!({"promptTokens": {"mean": 1024, "cv": 1.0}, "outputTokens": {"mean": 256, "cv": 0.8}});
    let short =
        json!({"promptTokens": {"mean": 200, "cv": 1.0}, "outputTokens": {"mean": 60, "cv": 0.8}});
    let long = json!({"promptTokens": {"mean": 2000, "cv": 0.5}, "outputTokens": {"mean": 2000, "cv": 0.8}});
    for (name, tokens, rps, share) in [
        ("chat: 1024 in, 256 out", chat, 80.0, 1.0),
        ("short: 200 in, 60 out", short, 400.0, 1.0),
        ("long: 2000 in, 2000 out", long, 8.0, 0.1),
    ] {
        run(name, &tokens, rps, requests * share)?;
    }
    Ok(())
}

fn run(name: &str, tokens: &Value, rps: f64, requests: f64) -> std::io::Result<()> {
    let streams = Streams::new(1);
    let spec = json!({"service": "llm/chat", "balancer": "leastRequest",
                      "load": {"pattern": "constant", "rps": rps}, "timeout": "1h"});
    let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    let arrivals = spec.arrivals("", None, streams.stream("arrivals", 0)).expect("right");
    let service = ServiceTraffic::plain("chat".into(), arrivals, spec.balancer, spec.timeout);
    let mut llm = tokens.clone();
    llm["model"] = json!("Llama-3.1-8B");
    llm["gpu"] = json!("A100-80GB");
    let model: RequestModelSpec = serde_json::from_value(json!({"llm": llm})).expect("settings");
    let recording = Recording {
        interval: SimDuration::from_secs(60),
        warm_up: SimDuration::ZERO,
        waits: false,
    };
    let models = vec![model.model("").expect("right")];
    let mut traffic = Traffic::new(vec![service], models, streams, recording);
    let pods: Vec<_> =
        (0..PODS).map(|_| traffic.add_backend(SimTime::ZERO, RequestModelId(0), 8.0)).collect();
    traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &pods);
    let start = Instant::now();
    let begin = cpu_seconds(&start);
    let figures = traffic.figures(SimTime::from_secs_f64(requests / rps), ServiceId(0));
    let seconds = cpu_seconds(&start) - begin;
    let llm = figures.llm.expect("language models were asked");
    let ttft = llm.time_to_first_token.expect("answers");
    let tpot = llm.time_per_output_token.expect("answers");
    writeln!(
        stdout(),
        "{name}: {} tokens of {} answers in {seconds:.2} CPU-s, {:.1} million tokens/s; GPUs {:.0} % busy, \
         TTFT p50 {:.0} ms, TPOT p50 {:.1} ms, {} preemptions",
        llm.output_tokens,
        figures.outcomes.answered,
        llm.output_tokens as f64 / seconds / 1e6,
        llm.gpu_utilization * 100.0,
        ttft.p50.as_millis_f64(),
        tpot.p50.as_millis_f64(),
        llm.preemptions,
    )
}

/// CPU time used by the process [s], independent of other load on the machine; wall-clock time if the
/// system does not report it.
fn cpu_seconds(since: &Instant) -> f64 {
    // Fields 14 and 15 of proc_pid_stat(5), counted after the name in brackets: ticks of 10 ms.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|one| one.parse().ok()).collect();
    if ticks.len() == 2 { ticks.iter().sum::<f64>() / 100.0 } else { since.elapsed().as_secs_f64() }
}
