//! Known pods found again, and what cannot be fitted.

use super::*;
use crate::{
    Distribution, Recording, RequestModelId, ServiceId, ServiceTraffic, TimeLaw, Traffic,
    TrafficSpec,
};
use engine::{SimTime, Streams};
use serde_json::json;

/// What a known pod shows at a load.
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
    let TimeLaw::Drawn(Distribution::Lognormal { mean, .. }) = &requests.cpu_time else {
        panic!("{:?}", requests.cpu_time)
    };
    let TimeLaw::Constant(base) = requests.wait_time else { panic!("{:?}", requests.wait_time) };
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
    assert!(error.starts_with("line 7: times of tokens"), "{error}");
    let hardware = LlmHardware::default();
    let error = calibrate_llm(&[point.clone()], &hardware, &Conditions::default());
    assert!(error.expect_err("no tokens").starts_with("line 7: `prompt_tokens`"));
    point.prompt_tokens = Some(100.0);
    point.output_tokens = Some(10.0);
    let error = calibrate_llm(&[point], &hardware, &Conditions::default()).expect_err("no cache");
    assert!(error.contains("give `model` and `gpu`"), "{error}");
}
