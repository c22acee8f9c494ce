//! Any number of requests of a trace of counts per minute, from its text to the histogram: speed, and
//! memory at its highest. `cargo bench --bench endurance -- [REQUESTS]`, 10,000,000 if not said.
#![expect(clippy::disallowed_methods, reason = "a bench measures time and memory")]

use std::io::{Write, stdout};
use std::time::Instant;

use serde_json::{Value, json};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    Recording, RequestModelId, RequestModelSpec, ServiceId, ServiceTraffic, Trace, Traffic,
    TrafficSpec,
};

const PODS: usize = 100;
const MEAN_RPS: f64 = 5_000.0;

fn main() -> std::io::Result<()> {
    let requests = std::env::args().find_map(|one| one.parse::<f64>().ok()).unwrap_or(1e7);
    let law = json!({"distribution": "exponential", "mean": "14ms"});
    for (name, balancer, model) in [
        ("fifo, random", "random", json!({"concurrency": 1, "cpuTime": law})),
        ("CPU sharing, random", "random", json!({"concurrency": 100, "cpuTime": law})),
        ("fifo, least request", "leastRequest", json!({"concurrency": 1, "cpuTime": law})),
    ] {
        let begin = Instant::now();
        let mut traffic = service(balancer, model);
        let end = SimTime::from_secs_f64(requests / MEAN_RPS);
        let answered = traffic.figures(end, ServiceId(0)).outcomes.answered as f64;
        let seconds = begin.elapsed().as_secs_f64();
        writeln!(
            stdout(),
            "{name}: {answered:.0} requests in {seconds:.2} s, {:.2} million/s, {}",
            answered / seconds / 1e6,
            highest_memory()
        )?;
    }
    Ok(())
}

/// An hour of counts per minute, again and again.
fn trace() -> Trace {
    let line = |minute: u32| {
        let wave = 0.3 * (f64::from(minute) / 60.0 * std::f64::consts::TAU).sin();
        format!("{},{:.0}", minute * 60, MEAN_RPS * 60.0 * (1.0 + wave))
    };
    let lines: Vec<String> =
        std::iter::once("t_s,requests".into()).chain((0..60).map(line)).collect();
    let text = lines.join("\n");
    Trace::read(text.as_bytes()).expect("a trace of counts")
}

fn service(balancer: &str, model: Value) -> Traffic {
    let streams = Streams::new(1);
    let spec = json!({"service": "shop/web", "load": {"trace": "counts.csv", "repeat": true}});
    let mut spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    spec.balancer = serde_json::from_value(json!(balancer)).expect("a balancer");
    let stream = streams.stream("arrivals", 0);
    let arrivals = spec.arrivals("", Some(&trace()), stream).expect("right");
    let service = ServiceTraffic::plain("web".into(), arrivals, spec.balancer, spec.timeout);
    let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
    let recording = Recording {
        interval: SimDuration::from_secs(3600),
        warm_up: SimDuration::ZERO,
        waits: false,
    };
    let models = vec![model.model("").expect("right")];
    let mut traffic = Traffic::new(vec![service], models, streams, recording);
    let pods: Vec<_> =
        (0..PODS).map(|_| traffic.add_backend(SimTime::ZERO, RequestModelId(0), 1.0)).collect();
    traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &pods);
    traffic
}

/// The process' memory at its highest, where the system tells.
fn highest_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.map_or_else(String::new, |line| {
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    })
}
