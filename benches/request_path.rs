//! Requests per second and core, from the arrival to the histogram.
//!
//! `cargo bench --bench request_path`. Each figure comes from a single continuing run: an iteration
//! advances it by the time of another 10,000 requests.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    Recording, RequestModelId, RequestModelSpec, ServiceId, ServiceTraffic, Traffic, TrafficSpec,
};

const REQUESTS: u64 = 10_000;
const RPS: f64 = 5_000.0;
const PODS: usize = 100;

/// One service with 100 pods.
fn service(balancer: &str, cores: f64, model: Value) -> Traffic {
    let streams = Streams::new(1);
    let spec = json!({"service": "shop/web", "balancer": balancer,
                      "load": {"pattern": "constant", "rps": RPS}});
    let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    let arrivals = spec.arrivals("", None, streams.stream("arrivals", 0)).expect("right");
    let service = ServiceTraffic::plain("web".into(), arrivals, spec.balancer, spec.timeout);
    let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
    let recording = Recording {
        interval: SimDuration::from_secs(15),
        warm_up: SimDuration::ZERO,
        waits: false,
    };
    let models = vec![model.model("").expect("right")];
    let mut traffic = Traffic::new(vec![service], models, streams, recording);
    let pods: Vec<_> =
        (0..PODS).map(|_| traffic.add_backend(SimTime::ZERO, RequestModelId(0), cores)).collect();
    traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &pods);
    traffic
}

/// Three services with 100 pods each that call each other in sequence.
fn graph() -> Traffic {
    let streams = Streams::new(1);
    let spec = json!({"service": "shop/a", "load": {"pattern": "constant", "rps": RPS}});
    let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    let arrivals = spec.arrivals("", None, streams.stream("arrivals", 0)).expect("right");
    let service = ServiceTraffic::plain("shop/a".into(), arrivals, spec.balancer, spec.timeout);
    let called = ["shop/b", "shop/c"].map(|name| ServiceTraffic::without_clients(name.into()));
    let calls = |called: &str| json!([{"service": called}]);
    let models = [calls("shop/b"), calls("shop/c"), json!([])].map(|calls| {
        let model = json!({"concurrency": 100, "cpuTime": exponential(), "calls": calls});
        let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
        model.model("").expect("right")
    });
    let recording = Recording {
        interval: SimDuration::from_secs(15),
        warm_up: SimDuration::ZERO,
        waits: false,
    };
    let services = std::iter::once(service).chain(called).collect();
    let mut traffic = Traffic::new(services, models.into(), streams, recording);
    for service in 0..3 {
        let pods: Vec<_> = (0..PODS)
            .map(|_| traffic.add_backend(SimTime::ZERO, RequestModelId(service), 1.0))
            .collect();
        traffic.set_endpoints(SimTime::ZERO, ServiceId(service), &pods);
    }
    traffic
}

/// 70 % utilization of 100 pods of one core.
fn exponential() -> Value {
    json!({"distribution": "exponential", "mean": "14ms"})
}

fn request_path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("requests");
    group.throughput(Throughput::Elements(REQUESTS));
    let cases = [
        ("fifo, random", "random", 1.0, json!({"concurrency": 1, "cpuTime": exponential()})),
        (
            "CPU sharing, random",
            "random",
            1.0,
            json!({"concurrency": 100, "cpuTime": exponential()}),
        ),
        ("least request", "leastRequest", 1.0, json!({"concurrency": 1, "cpuTime": exponential()})),
    ];
    let plain = cases.map(|(name, balancer, cores, model)| (name, service(balancer, cores, model)));
    for (name, mut traffic) in
        plain.into_iter().chain([("three services, one calls the other", graph())])
    {
        let mut now = SimTime::ZERO;
        let step = SimDuration::from_secs_f64(REQUESTS as f64 / RPS);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                now += step;
                traffic.advance(now);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, request_path);
criterion_main!(benches);
