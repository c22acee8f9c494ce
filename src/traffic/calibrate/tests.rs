//! Recovers the parameters of known pods, and rejects data that cannot be fitted.

use super::*;
use crate::import::RowSink as _;
use crate::{
    Distribution, Recording, RequestModelId, ServiceId, ServiceTraffic, TimeDistribution, Traffic,
    TrafficSpec,
};
use engine::{SimTime, Streams};
use serde_json::json;

/// The measurement of a known pod at a load.
fn shown(rps: f64) -> Point {
    let streams = Streams::new(77);
    let spec =
        json!({"service": "s/web", "load": {"pattern": "constant", "rps": rps}, "timeout": "1h"});
    let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    let arrivals = spec.arrivals("", None, streams.stream("a", 0)).expect("right");
    let service = ServiceTraffic::plain("web".into(), arrivals, spec.balancer, spec.timeout);
    let model = json!({"concurrency": 4, "waitTime": "3ms",
                       "cpuTime": {"distribution": "lognormal", "mean": "12ms", "cv": 0.8}});
    let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
    let interval = SimDuration::from_secs(3600);
    let recording = Recording { interval, warm_up: SimDuration::ZERO, waits: false };
    let models = vec![model.model("").expect("right")];
    let mut traffic = Traffic::new(vec![service], models, streams, recording);
    let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), 4.0);
    traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &[pod]);
    let figures = traffic.figures(SimTime::from_secs_f64(40_000.0 / rps), ServiceId(0));
    let latencies = figures.latencies.expect("answers");
    let seconds = |span: SimDuration| span.as_secs_f64();
    Point {
        rps: Some(rps),
        measured: vec![
            (Measure::Latency(Statistic::Mean), seconds(latencies.mean)),
            (Measure::Latency(Statistic::P50), seconds(latencies.p50)),
            (Measure::Latency(Statistic::P95), seconds(latencies.p95)),
            (Measure::Latency(Statistic::P99), seconds(latencies.p99)),
        ],
        ..Point::default()
    }
}

#[test]
fn a_known_pod_is_found_again_from_its_latencies() {
    let points: Vec<Point> = [40.0, 120.0, 180.0, 220.0, 245.0].map(shown).into();
    let conditions = Conditions {
        evaluations: 60,
        duration: SimDuration::from_secs(20),
        ..Conditions::default()
    };
    let calibration = calibrate_points(&points, &conditions).expect("a fit");
    let requests = &calibration.requests;
    assert_eq!(requests.concurrency, 4, "{requests:?}");
    let TimeDistribution::Drawn(Distribution::Lognormal { mean, .. }) = &requests.cpu_time else {
        panic!("{:?}", requests.cpu_time)
    };
    let TimeDistribution::Constant(base) = requests.wait_time else {
        panic!("{:?}", requests.wait_time)
    };
    let all = (*mean + base).as_millis_f64();
    assert!((all / 15.0 - 1.0).abs() < 0.05, "{mean} {base}");
    let errors = calibration.median_errors(true);
    let (_, of_all) = errors.last().expect("two rows are kept back");
    assert!(*of_all < 0.1, "{errors:?}");
    let held_out: Vec<&str> =
        calibration.rows.iter().filter(|row| row.held_out).map(|row| row.load.as_str()).collect();
    assert_eq!(held_out, ["120 rps", "220 rps"]);
}

#[test]
fn numbers_are_written_with_four_digits() {
    assert_eq!(rounded(0.012_345_678), SimDuration::from_nanos(12_350_000));
    assert_eq!(rounded(0.000_000_001), SimDuration::from_nanos(1));
    assert!((rounded_number(0.123_456) - 0.1235).abs() < 1e-12);
    assert!((rounded_number(12_345.0) - 12_350.0).abs() < 1e-9);
}

#[test]
fn what_cannot_be_fitted_is_said() {
    let mut point = shown(50.0);
    point.line = 7;
    point.measured = vec![(Measure::FirstToken(Statistic::P50), 0.1)];
    let error = calibrate_points(&[point.clone()], &Conditions::default()).expect_err("tokens");
    assert!(error.starts_with("line 7: token latencies"), "{error}");
    let hardware = LlmHardware::default();
    let error = calibrate_llm(&[point.clone()], &hardware, &Conditions::default());
    assert!(error.expect_err("no tokens").starts_with("line 7: `prompt_tokens`"));
    point.prompt_tokens = Some(100.0);
    point.output_tokens = Some(10.0);
    let error = calibrate_llm(&[point], &hardware, &Conditions::default()).expect_err("no cache");
    assert!(error.contains("set `model` and `gpu`"), "{error}");
}

/// A pod with one worker that takes 10 ms for each request: by night one request comes a second, by day 80.
fn a_night_and_a_day(night: u32, day: u32) -> Vec<(i64, i64)> {
    let mut stream = Streams::new(3).stream("log", 0);
    let (mut now, mut free) = (0.0f64, 0.0f64);
    let rates =
        std::iter::repeat_n(1.0, night as usize).chain(std::iter::repeat_n(80.0, day as usize));
    rates
        .map(|rate: f64| {
            now -= libm::log(engine::random::open_unit(&mut stream)) / rate;
            free = free.max(now) + 0.010;
            let nanos = |seconds| SimDuration::from_secs_f64(seconds).as_nanos();
            (nanos(now), nanos(free - now))
        })
        .collect()
}

fn collected(block: usize, log: &[(i64, i64)]) -> RequestLog {
    let mut timed = TimedRequests::with_blocks_of(block);
    for (at, took) in log {
        timed.timed_request(*at, None, Some(*took)).expect("it is collected");
    }
    timed.finish()
}

/// The first blocks that there is room for are all night.
#[test]
fn a_log_that_begins_with_a_night_is_calibrated_to_its_day_as_well() {
    let log = a_night_and_a_day(2_000, 6_000);
    let collected = collected(100, &log);
    let conditions = Conditions { evaluations: 30, ..Conditions::default() };
    let calibration = calibrate_log(&collected, &conditions).expect("a fit");
    let rps = |row: &FittedRow| -> f64 {
        let number = row.load.rsplit(": ").next().and_then(|load| load.strip_suffix(" rps"));
        number.expect("a rate").parse().expect("a number")
    };
    let by_day: Vec<&FittedRow> = calibration.rows.iter().filter(|row| rps(row) > 30.0).collect();
    assert!((10..20).contains(&by_day.len()), "three quarters of 20: {:?}", calibration.rows);
    assert!(
        calibration.notes.iter().any(|note| note.contains("of 8000 requests 2000 were replayed"))
    );
    let RequestModelSpec { concurrency, cpu_time, wait_time, .. } = &calibration.requests;
    let TimeDistribution::Drawn(Distribution::Lognormal { mean, .. }) = cpu_time else {
        panic!("{cpu_time:?}")
    };
    let TimeDistribution::Constant(base) = wait_time else { panic!("{wait_time:?}") };
    // A waiting worker is as busy as a working one: a log reveals only the sum.
    let all = (*mean + *base).as_millis_f64();
    assert!(*concurrency == 1 && (all - 10.0).abs() < 1.0, "{concurrency} {mean} {base}");
}

#[test]
fn blocks_of_a_long_log_are_drawn_from_all_of_it_and_the_same_every_time() {
    let log: Vec<(i64, i64)> = (0..100_000).map(|at| (at * 1_000_000, 5_000_000)).collect();
    let first = collected(100, &log);
    assert_eq!(first, collected(100, &log));
    let starts: Vec<i64> =
        first.blocks().map(|block| block[0].0.as_nanos() / 1_000_000_000).collect();
    assert_eq!(starts.len(), 20);
    assert!(starts.is_sorted() && first.blocks().all(|block| block.len() == 100), "{starts:?}");
    // Each quarter of the 100 s has some, rather than all of them in the first fifth.
    for quarter in 0..4 {
        let here = starts.iter().filter(|start| **start / 25 == quarter).count();
        assert!((1..=10).contains(&here), "{starts:?}");
    }
    // A short log is kept as a whole.
    let short = collected(100, &log[..1_950]);
    assert_eq!(short.blocks().map(<[_]>::len).sum::<usize>(), 1_950);
}

/// The parameters not identifiable from points at these loads, for a pod with four workers that take 15 ms, 12 of CPU.
fn not_told_by(loads: &[f64], with_cpu: bool) -> Vec<String> {
    let conditions = Conditions {
        evaluations: 24,
        duration: SimDuration::from_secs(8),
        ..Conditions::default()
    };
    let cpu_cores = |rps: f64| with_cpu.then_some(rps * 0.012);
    let points = loads.iter().map(|rps| Point { cpu_cores: cpu_cores(*rps), ..shown(*rps) });
    let points: Vec<Point> = points.collect();
    let calibration = calibrate_points(&points, &conditions).expect("a fit");
    calibration.not_identifiable.into_iter().map(|one| one.parameter).collect()
}

#[test]
fn what_rows_do_not_tell_is_named() {
    // Their capacity is 266 requests a second: at 1 to 5 none waits.
    let idle = not_told_by(&[1.0, 2.0, 3.0, 4.0, 5.0], false);
    for parameter in ["concurrency", "waitTime"] {
        assert!(idle.iter().any(|name| name == parameter), "{parameter}: {idle:?}");
    }
}

/// With the CPU measured, each of the others shows: the base time when the pod is idle, workers and spread when it is busy.
#[test]
fn what_rows_tell_is_not_named() {
    let busy = not_told_by(&[60.0, 120.0, 200.0, 230.0, 245.0], true);
    assert!(busy.is_empty(), "{busy:?}");
}
