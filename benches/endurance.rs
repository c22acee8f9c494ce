//! Processes any number of requests from a trace of counts per minute, from its text to the histogram:
//! measures speed and peak memory. `cargo bench --bench endurance -- [REQUESTS] [ROW]`: 10,000,000
//! requests by default; ROW selects rows whose name starts with it, all by default.
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
    // `cargo bench` adds its own arguments, which start with dashes.
    let is_word = |one: &String| one.parse::<f64>().is_err() && !one.starts_with('-');
    let wanted = std::env::args().skip(1).find(is_word).unwrap_or_default();
    let law = json!({"distribution": "exponential", "mean": "14ms"});
    let start = Instant::now();
    let one = json!({"concurrency": 1, "cpuTime": law});
    let shared = json!({"concurrency": 100, "cpuTime": law});
    let calls =
        |called: &str| json!({"concurrency": 100, "cpuTime": law, "calls": [{"service": called}]});
    for (name, balancer, models, share) in [
        ("fifo, random", "random", vec![one.clone()], 1.0),
        ("CPU sharing, random", "random", vec![shared.clone()], 1.0),
        ("fifo, least request", "leastRequest", vec![one], 1.0),
        (
            "three services, one calls the next",
            "random",
            vec![calls("shop/1"), calls("shop/2"), shared],
            0.1,
        ),
    ] {
        if !name.starts_with(&wanted) {
            continue;
        }
        let begin = cpu_seconds(&start);
        let mut traffic = services(balancer, &models);
        let end = SimTime::from_secs_f64(requests * share / MEAN_RPS);
        let answered = traffic.figures(end, ServiceId(0)).outcomes.answered as f64;
        let seconds = cpu_seconds(&start) - begin;
        writeln!(
            stdout(),
            "{name}: {answered:.0} requests in {seconds:.2} CPU-s, {:.2} million/s, {}",
            answered / seconds / 1e6,
            highest_memory()
        )?;
    }
    Ok(())
}

/// An hour of counts per minute, repeated.
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

/// Clients call the first service; the models define further calls.
fn services(balancer: &str, models: &[Value]) -> Traffic {
    let streams = Streams::new(1);
    let spec = json!({"service": "shop/0", "load": {"trace": "counts.csv", "repeat": true}});
    let mut spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    spec.balancer = serde_json::from_value(json!(balancer)).expect("a balancer");
    let stream = streams.stream("arrivals", 0);
    let arrivals = spec.arrivals("", Some(&trace()), stream).expect("right");
    let first = ServiceTraffic::plain("shop/0".into(), arrivals, spec.balancer, spec.timeout);
    let called =
        (1..models.len()).map(|number| ServiceTraffic::without_clients(format!("shop/{number}")));
    let services: Vec<ServiceTraffic> = std::iter::once(first).chain(called).collect();
    let model = |settings: &Value| {
        let spec: RequestModelSpec = serde_json::from_value(settings.clone()).expect("settings");
        spec.model("").expect("right")
    };
    let recording = Recording {
        interval: SimDuration::from_secs(3600),
        warm_up: SimDuration::ZERO,
        waits: false,
    };
    let count = u32::try_from(models.len()).expect("few models");
    let models = models.iter().map(model).collect();
    let mut traffic = Traffic::new(services, models, streams, recording);
    for number in 0..count {
        let pods: Vec<_> = (0..PODS)
            .map(|_| traffic.add_backend(SimTime::ZERO, RequestModelId(number), 1.0))
            .collect();
        traffic.set_endpoints(SimTime::ZERO, ServiceId(number), &pods);
    }
    traffic
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

/// Peak memory of the process, if the system reports it.
fn highest_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.map_or_else(String::new, |line| {
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    })
}
