//! Simulated pods with a CPU limit against a real process under a real CFS quota.
//! `cargo test --test integration cpu_limit:: -- --nocapture` prints the table of docs/latency.md.

use std::io::Read;

use flate2::read::GzDecoder;
use rayon::prelude::*;
use serde_json::json;
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    Recording, RequestModelId, RequestModelSpec, ServiceId, ServiceTraffic, Trace, Traffic,
    TrafficSpec,
};

/// The machine of the measurement.
const MACHINE_CORES: f64 = 2.0;
/// Time from the due instant to the worker's first instruction and from its last to the time stamp, which
/// no model of CPU time has: the rows without queueing say it (median 0.18 ms above `service_ms`, where
/// that is constant).
const OVERHEAD_MS: f64 = 0.18;

struct Row {
    quota_milli: f64,
    workers: u32,
    service_ms: f64,
    is_exponential: bool,
    rho_target: f64,
    rho: f64,
    mean_ms: f64,
    p95_ms: f64,
}

fn rows() -> Vec<Row> {
    let text = include_str!("../golden/cpu/cfs_quota_measured.csv");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |cell: usize| cells[cell].parse::<f64>().expect("a number");
        Row {
            quota_milli: number(0),
            workers: cells[1].parse().expect("a whole number"),
            service_ms: number(2),
            is_exponential: cells[3] == "exp",
            rho_target: number(4),
            rho: number(5),
            mean_ms: number(7),
            p95_ms: number(10),
        }
    };
    text.lines().skip(1).map(row).collect()
}

/// Mean and p95 of the simulated pod [ms].
fn simulate(row: &Row) -> (f64, f64) {
    const REQUESTS: f64 = 40_000.0;
    let capacity = (row.quota_milli / 1000.0).min(f64::from(row.workers));
    let rps = row.rho * capacity / (row.service_ms / 1000.0);
    let spec =
        json!({"service": "queue", "load": {"pattern": "constant", "rps": rps}, "timeout": "1h"});
    let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    let streams = Streams::new(7);
    let arrivals = spec.arrivals("", None, streams.stream("arrivals", 0)).expect("right settings");
    let service = ServiceTraffic::plain("queue".into(), arrivals, spec.balancer, spec.timeout);
    let mean = format!("{}ms", row.service_ms);
    let law = if row.is_exponential {
        json!({"distribution": "exponential", "mean": mean})
    } else {
        json!(mean)
    };
    let model = json!({"concurrency": row.workers, "queue": 1_000_000, "cpuTime": law});
    let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
    let recording = Recording {
        interval: SimDuration::from_secs(60),
        warm_up: SimDuration::from_secs(10),
        waits: false,
    };
    let models = vec![model.model("").expect("right settings")];
    let mut traffic = Traffic::new(vec![service], models, streams, recording);
    let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), MACHINE_CORES);
    traffic.set_quota(SimTime::ZERO, pod, Some(row.quota_milli / 1000.0));
    traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &[pod]);
    let end = SimTime::ZERO + SimDuration::from_secs_f64(REQUESTS / rps);
    let latencies = traffic.figures(end, ServiceId(0)).latencies.expect("requests were answered");
    (latencies.mean.as_millis_f64() + OVERHEAD_MS, latencies.p95.as_millis_f64() + OVERHEAD_MS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn a_pod_with_a_cpu_limit_is_as_slow_as_a_real_process_under_a_quota() {
    let rows = rows();
    assert_eq!(rows.len(), 54);
    let simulated: Vec<(f64, f64)> = rows.par_iter().map(simulate).collect();
    let mut errors: Vec<(f64, f64, f64)> = Vec::new();
    for (row, (mean, p95)) in rows.iter().zip(&simulated) {
        let (mean_error, p95_error) = (mean / row.mean_ms - 1.0, p95 / row.p95_ms - 1.0);
        println!(
            "| {:.0}m | {} | {} ms {} | {:.2} | {:.2} | {mean:.2} | {:+.1} % | {:.2} | {p95:.2} | {:+.1} % |",
            row.quota_milli,
            row.workers,
            row.service_ms,
            if row.is_exponential { "exponential" } else { "constant" },
            row.rho,
            row.mean_ms,
            100.0 * mean_error,
            row.p95_ms,
            100.0 * p95_error
        );
        errors.push((row.rho_target, mean_error.abs(), p95_error.abs()));
    }
    let below = |rho: f64| errors.iter().filter(move |(target, ..)| *target < rho);
    let mean = median(below(0.9).map(|(_, mean, _)| *mean).collect());
    let p95 = median(below(0.9).map(|(.., p95)| *p95).collect());
    println!("median error below 90 % load: mean {:.1} %, p95 {:.1} %", 100.0 * mean, 100.0 * p95);
    assert!(mean < 0.10, "mean: {mean}");
    assert!(p95 < 0.10, "p95: {p95}");
}

/// A pod of a real cluster under a CPU limit: what each request took of the CPU, when it arrived, and how long it took [ms].
struct Replayed {
    limit_cores: f64,
    load: f64,
    cpu_ms: f64,
    /// In order of arrival.
    requests_ms: Vec<(f64, f64)>,
}

/// Threads of the application that run at once: `GOMAXPROCS` of the measured machine.
const THREADS: u32 = 2;
/// What a request of that pod takes that met no other one and no limit, by the row with 30 % of a whole core: its CPU time,
/// so much for network and waking up [ms], with this coefficient of variation, as other processes use the cores too.
const NETWORK_MS: f64 = 0.40;
const CPU_CV: f64 = 0.21;

fn replayed() -> Vec<Replayed> {
    let mut requests = String::new();
    let packed = include_bytes!("../golden/real-cluster/cpu-requests.csv.gz").as_slice();
    GzDecoder::new(packed).read_to_string(&mut requests).expect("gzip");
    let of = |key: [&str; 3]| {
        let rows = requests.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
        let own = rows.filter(|cells| cells[..3] == key);
        let number = |cell: &str| cell.parse::<f64>().expect("a number");
        let mut all: Vec<(f64, f64)> =
            own.map(|cells| (1000.0 * number(cells[3]), number(cells[4]))).collect();
        // Rows are in the order of the answers.
        all.sort_by(|one, other| one.0.total_cmp(&other.0));
        all
    };
    let text = include_str!("../golden/real-cluster/cpu.csv");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        Replayed {
            limit_cores: match cells[0].strip_suffix('m') {
                Some(milli) => milli.parse::<f64>().expect("a number") / 1000.0,
                None => cells[0].parse().expect("a number"),
            },
            load: cells[2].parse().expect("a number"),
            cpu_ms: cells[8].parse().expect("a number"),
            requests_ms: of([cells[0], cells[2], cells[3]]),
        }
    };
    text.lines().skip(1).map(row).collect()
}

/// Mean, p50, p95 and p99 of the requests of a row in a simulated pod whose quota's periods begin so long before
/// the first of them [ms], with random numbers of its own for each.
fn replay(row: &Replayed, seed: u64, phase_ms: f64) -> [f64; 4] {
    let csv: String = std::iter::once("time\n0\n".to_owned())
        .chain(
            row.requests_ms
                .iter()
                .map(|(at, _)| format!("{:.6}\n", (at + phase_ms) / 1000.0 + 1.0)),
        )
        .collect();
    let trace = Trace::read(csv.as_bytes()).expect("a trace");
    let spec = json!({"service": "a/b", "load": {"trace": "t"}, "timeout": "1h"});
    let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    let streams = Streams::new(seed);
    let arrivals = spec.arrivals("", Some(&trace), streams.stream("arrivals", 0));
    let arrivals = arrivals.expect("right settings");
    let service = ServiceTraffic::plain("pod".into(), arrivals, spec.balancer, spec.timeout);
    let cpu =
        json!({"distribution": "lognormal", "mean": format!("{}ms", row.cpu_ms), "cv": CPU_CV});
    let model = json!({"concurrency": THREADS, "queue": 1_000_000, "cpuTime": cpu});
    let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
    let recording = Recording {
        interval: SimDuration::from_secs(60),
        warm_up: SimDuration::from_millis(500),
        waits: false,
    };
    let models = vec![model.model("").expect("right settings")];
    let mut traffic = Traffic::new(vec![service], models, streams, recording);
    let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), MACHINE_CORES);
    traffic.set_quota(SimTime::ZERO, pod, Some(row.limit_cores));
    traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &[pod]);
    let end = SimTime::from_secs(100);
    let latencies = traffic.figures(end, ServiceId(0)).latencies.expect("requests were answered");
    [latencies.mean, latencies.p50, latencies.p95, latencies.p99]
        .map(|one| one.as_millis_f64() + NETWORK_MS)
}

#[test]
fn requests_that_meet_no_other_take_their_cpu_time_and_what_the_replay_adds() {
    let rows = replayed();
    let row = rows.iter().find(|row| row.limit_cores >= 1.0 && row.load < 0.4).expect("is there");
    let mut until = 0.0;
    let mut alone = Vec::new();
    for (at, latency) in &row.requests_ms {
        if *at > until {
            alone.push(*latency);
        }
        until = f64::max(until, at + latency);
    }
    let mean = alone.iter().sum::<f64>() / alone.len() as f64;
    let squares = alone.iter().map(|one| (one - mean) * (one - mean)).sum::<f64>();
    let deviation = (squares / alone.len() as f64).sqrt();
    assert!((mean - row.cpu_ms - NETWORK_MS).abs() < 0.02, "{mean} ms");
    assert!((deviation / row.cpu_ms - CPU_CV).abs() < 0.01, "{deviation} ms");
}

fn measured(row: &Replayed) -> [f64; 4] {
    let mut latencies: Vec<f64> = row.requests_ms.iter().map(|(_, latency)| *latency).collect();
    latencies.sort_unstable_by(f64::total_cmp);
    let count = latencies.len();
    let quantile = |percent: usize| latencies[(count * percent / 100).min(count - 1)];
    [latencies.iter().sum::<f64>() / count as f64, quantile(50), quantile(95), quantile(99)]
}

/// The typical run, figure by figure, of many with other random numbers and other phases of the quota's periods: which
/// of them the measured run had, nobody knows.
fn replay_in_all_phases(row: &Replayed) -> [f64; 4] {
    const PHASES: u32 = 16;
    let phase_ms = |number| 100.0 / f64::from(PHASES) * f64::from(number);
    let runs: Vec<[f64; 4]> =
        (0..PHASES).map(|number| replay(row, number.into(), phase_ms(number))).collect();
    [0, 1, 2, 3].map(|figure| median(runs.iter().map(|run| run[figure]).collect()))
}

#[test]
fn a_pod_of_a_real_cluster_under_a_limit_is_as_slow_with_the_same_arrivals() {
    let rows = replayed();
    assert_eq!(rows.len(), 12);
    let simulated: Vec<[f64; 4]> = rows.par_iter().map(replay_in_all_phases).collect();
    let mut errors = Vec::new();
    for (row, ours) in rows.iter().zip(&simulated) {
        let theirs = measured(row);
        let error = [0, 1, 2, 3].map(|figure| ours[figure] / theirs[figure] - 1.0);
        println!(
            "| {:.0}m | {:.2} | {} |",
            1000.0 * row.limit_cores,
            row.load,
            [0, 1, 2, 3]
                .map(|figure| format!(
                    "{:.1} | {:.1} | {:+.0} %",
                    theirs[figure],
                    ours[figure],
                    100.0 * error[figure]
                ))
                .join(" | ")
        );
        errors.push((row.load, error));
    }
    let typical = |crowded: bool| {
        let of = |figure: usize| {
            let rows = errors.iter().filter(|(load, _)| (*load > 0.8) == crowded);
            median(rows.map(|(_, error)| error[figure].abs()).collect())
        };
        [0, 1, 2, 3].map(of)
    };
    println!("median errors up to 70 %: {:.3?}, at 85 %: {:.3?}", typical(false), typical(true));
    let [mean, p50, p95, p99] = typical(false);
    assert!(mean < 0.05 && p50 < 0.08 && p95 < 0.15 && p99 < 0.20, "{:?}", typical(false));
    let [mean, .., p99] = typical(true);
    assert!(mean < 0.20 && p99 < 0.30, "{:?}", typical(true));
}
