//! The engines of a pod against a simulation that is too simple to be wrong, and against each other.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::trace::{RequestTrace, Tokens, Trace};
use wavetank::traffic::{
    BackendId, Balancer, Recording, RequestModelId, RequestModelSpec, ServiceId, ServiceTraffic,
    Traffic, TrafficSpec,
};

/// A request: when it comes, CPU time and waiting time [ms].
#[derive(Clone, Copy, Debug)]
struct Request {
    at: i64,
    cpu: u32,
    wait: u32,
}

/// A pod of `slots`, and its CPU rate from each instant on [ms, cores].
#[derive(Clone, Debug)]
struct Pod {
    slots: usize,
    rates: Vec<(i64, f64)>,
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (0..40i64, 0..60u32, 0..60u32, 0..4u8).prop_map(|(gap, cpu, wait, kind)| {
        // Some burn CPU alone, some wait alone.
        let (cpu, wait) = (if kind == 0 { 0 } else { cpu }, if kind < 3 { 0 } else { wait });
        Request { at: gap, cpu, wait }
    });
    prop::collection::vec(request, 1..60).prop_map(|mut requests| {
        let mut at = 0;
        for request in &mut requests {
            at += request.at;
            request.at = at;
        }
        requests
    })
}

fn pod() -> impl Strategy<Value = Pod> {
    let cores = prop_oneof![0.1..1.0f64, 0.1..8.0f64, Just(1.0), Just(8.0)];
    let rates = prop::collection::vec((1..300i64, cores), 1..6).prop_map(|mut rates| {
        let mut at = 0;
        for rate in &mut rates {
            at += rate.0;
            rate.0 = at;
        }
        rates[0].0 = 0;
        rates
    });
    (1..6usize, rates).prop_map(|(slots, rates)| Pod { slots, rates })
}

/// When each request is done [ms]: from one instant at which anything changes to the next, in floating
/// point, with nothing clever.
fn simple_simulation(requests: &[Request], pod: &Pod) -> Vec<f64> {
    let mut cpu: Vec<f64> = requests.iter().map(|request| f64::from(request.cpu)).collect();
    let mut wait: Vec<f64> = requests.iter().map(|request| f64::from(request.wait)).collect();
    let mut done: Vec<Option<f64>> = vec![None; requests.len()];
    let mut now = 0.0;
    while done.iter().any(Option::is_none) {
        let here =
            |index: &usize| requests[*index].at as f64 <= now + EPSILON && done[*index].is_none();
        let in_service: Vec<usize> = (0..requests.len()).filter(here).take(pod.slots).collect();
        let running = in_service.iter().filter(|index| cpu[**index] > 0.0).count() as f64;
        let passed = |(at, _): &&(i64, f64)| *at as f64 <= now + EPSILON;
        let cores = pod.rates.iter().rev().find(passed).map_or(0.0, |(_, cores)| *cores);
        let share = (cores / running.max(1.0)).min(1.0);
        let ends = in_service
            .iter()
            .map(|index| if cpu[*index] > 0.0 { cpu[*index] / share } else { wait[*index] });
        let arrivals = requests.iter().map(|request| request.at as f64 - now);
        let changes = pod.rates.iter().map(|(at, _)| *at as f64 - now);
        let step = ends.chain(arrivals.chain(changes).filter(|gap| *gap > EPSILON));
        let step = step.fold(f64::INFINITY, f64::min);
        now += step;
        for index in in_service {
            let (left, rate) =
                if cpu[index] > 0.0 { (&mut cpu[index], share) } else { (&mut wait[index], 1.0) };
            *left -= step * rate;
            if *left < EPSILON {
                *left = 0.0;
            }
            if cpu[index] == 0.0 && wait[index] == 0.0 {
                done[index] = Some(now);
            }
        }
    }
    done.into_iter().flatten().collect()
}

const EPSILON: f64 = 1e-9;

/// The same requests and the same pod in the real thing.
struct World {
    traffic: Traffic,
    pod: BackendId,
}

impl World {
    /// A balancer that looks at the load makes the pod use the sharing engine throughout.
    fn new(requests: &[Request], pod: &Pod, balancer: Balancer) -> Self {
        let row = |request: &Request| {
            (at_millis(request.at), Some(Tokens::of(request.cpu, request.wait)))
        };
        let trace =
            RequestTrace { rows: requests.iter().map(row).collect(), ..RequestTrace::default() };
        let spec: TrafficSpec =
            serde_json::from_value(json!({"service": "a", "load": {"trace": "t"}}))
                .expect("settings");
        let streams = Streams::new(1);
        let trace = Trace::Requests(Arc::new(trace));
        let arrivals = spec.arrivals("", Some(&trace), streams.stream("a", 0)).expect("right");
        let patience = SimDuration::from_secs(36_000);
        let service = ServiceTraffic::plain(spec.service.to_string(), arrivals, balancer, patience);
        let model = json!({"concurrency": pod.slots, "cpuTimePerPromptToken": "1ms",
                           "waitTimePerOutputToken": "1ms"});
        let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
        let recording = Recording {
            interval: SimDuration::from_secs(3600),
            warm_up: SimDuration::ZERO,
            waits: false,
        };
        let mut traffic =
            Traffic::new(vec![service], vec![model.model("").expect("right")], streams, recording);
        // Half a millisecond early, so that no request comes before the pod is there.
        let start = SimTime::from_nanos(-500_000);
        let id = traffic.add_backend(start, RequestModelId(0), pod.rates[0].1);
        traffic.set_endpoints(start, ServiceId(0), &[id]);
        Self { traffic, pod: id }
    }
}

fn at_millis(millis: i64) -> SimTime {
    SimTime::ZERO + SimDuration::from_millis(millis)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_done_when_a_simple_simulation_says(requests in requests(), pod in pod()) {
        let done = simple_simulation(&requests, &pod);
        let latencies: Vec<f64> =
            done.iter().zip(&requests).map(|(done, request)| done - request.at as f64).collect();
        let mean = latencies.iter().sum::<f64>() / latencies.len() as f64;
        let max = latencies.iter().copied().fold(0.0, f64::max);
        let last = done.iter().copied().fold(0.0, f64::max);
        let cpu: u32 = requests.iter().map(|request| request.cpu).sum();

        for balancer in [Balancer::Random, Balancer::LeastConnections] {
            let mut world = World::new(&requests, &pod, balancer);
            for (at, cores) in &pod.rates[1..] {
                world.traffic.set_cpu(at_millis(*at), world.pod, *cores);
            }
            let known = at_millis(pod.rates[pod.rates.len() - 1].0.max(requests[requests.len() - 1].at));
            let drained = world.traffic.drained_at(known, world.pod);
            let end = at_millis(10_000_000);
            let figures = world.traffic.figures(end, ServiceId(0));
            let used = world.traffic.cpu_time_used(end, world.pod);
            prop_assert_eq!(figures.outcomes.answered, requests.len() as u64);
            let simulated = figures.latencies.expect("all were answered");
            prop_assert!((simulated.mean.as_millis_f64() - mean).abs() < 1e-3, "{:?} {}", simulated, mean);
            prop_assert!((simulated.max.as_millis_f64() - max).abs() < 1e-3, "{:?} {}", simulated, max);
            prop_assert!(drained == known || (drained.as_secs_f64() * 1e3 - last).abs() < 1e-3);
            prop_assert_eq!(used, SimDuration::from_millis(i64::from(cpu)));
        }
    }
}
