//! Pods that share the CPU of their node, against a simulation that is too simple to be wrong and against
//! queueing theory.

use crate::texts;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::trace::{RequestTrace, Tokens, Trace};
use wavetank::traffic::{
    CpuClaim, Recording, RequestModelId, RequestModelSpec, ServiceId, ServiceTraffic, Traffic,
    TrafficSpec,
};

/// Milliseconds, or millisecond-cores, that are taken for none.
const EPSILON: f64 = 1e-9;

/// When the pods begin [ms]: early, so that no request comes before its pod is there.
const START: f64 = -0.5;
/// A period of CFS bandwidth control [ms].
const PERIOD: f64 = 100.0;

/// A pod with a service of its own.
#[derive(Clone, Debug)]
struct Pod {
    /// When its requests come, and their CPU time [ms].
    requests: Vec<(i64, u32)>,
    slots: usize,
    limit: f64,
    /// Whether the limit is a quota for each period.
    has_quota: bool,
    /// Cores that it can use at an instant.
    burst: f64,
    /// Weight and cores that it burns for itself: before the change, and from then on.
    claims: [(f64, f64); 2],
}

/// A node, and when the claims of its pods become others [ms].
#[derive(Clone, Debug)]
struct Node {
    cores: f64,
    pods: Vec<Pod>,
    change_at: i64,
    /// Until the change each pod has what its limit allows, and burns nothing for itself.
    shares_late: bool,
}

fn nodes() -> impl Strategy<Value = Node> {
    let request = (0..60i64, 1..60u32);
    let requests = prop::collection::vec(request, 1..30).prop_map(|mut requests| {
        let mut at = 0;
        for request in &mut requests {
            at += request.0;
            request.0 = at;
        }
        requests
    });
    let claim = || (1..10u8, prop_oneof![3 => Just(0.0), 1 => 0.1..2.0f64]);
    let claim = move || claim().prop_map(|(weight, own)| (f64::from(weight), own));
    let pod = (requests, 1..6usize, 0.3..4.0f64, any::<bool>(), [claim(), claim()]);
    let pod = pod.prop_map(|(requests, slots, limit, has_quota, claims)| {
        // What an application burns for itself is cut at the limit over time.
        let has_own = claims.iter().any(|(_, own)| *own > 0.0);
        let has_quota = has_quota && !has_own;
        let burst = if has_quota { 4.0 } else { limit };
        Pod { requests, slots, limit, has_quota, burst, claims }
    });
    (0.3..4.0f64, prop::collection::vec(pod, 1..5), 0..600i64, any::<bool>()).prop_map(
        |(cores, pods, change_at, shares_late)| Node { cores, pods, change_at, shares_late },
    )
}

/// Of a pod: when each request is done [ms].
type Done = Vec<f64>;

/// What each pod gets of so many cores. The level at which the node's CPU is cut off is found by halving.
fn shared_out(node: &Node, wanted: &[f64], claims: usize, cores: f64) -> Vec<f64> {
    let got = |level: f64| {
        let pods = node.pods.iter().zip(wanted);
        pods.map(|(pod, wanted)| wanted.min(level * pod.claims[claims].0)).collect::<Vec<_>>()
    };
    let (mut low, mut high) = (0.0, 100.0);
    for _ in 0..100 {
        let level = f64::midpoint(low, high);
        if got(level).iter().sum::<f64>() > cores { high = level } else { low = level }
    }
    got(low)
}

/// From one instant at which anything changes to the next.
fn simple_simulation(node: &Node) -> Vec<Done> {
    let mut left: Vec<Vec<f64>> = node
        .pods
        .iter()
        .map(|pod| pod.requests.iter().map(|(_, cpu)| f64::from(*cpu)).collect())
        .collect();
    let mut done: Vec<Done> = node.pods.iter().map(|pod| vec![0.0; pod.requests.len()]).collect();
    let quota = |pod: &Pod| if pod.has_quota { pod.limit * PERIOD } else { f64::INFINITY };
    let mut quotas: Vec<f64> = node.pods.iter().map(quota).collect();
    let (mut now, mut period_end) = (0.0, START + PERIOD);
    while left.iter().flatten().any(|left| *left > 0.0) {
        let claims = usize::from(now + EPSILON >= node.change_at as f64);
        let is_shared = claims == 1 || !node.shares_late;
        let cores = if is_shared { node.cores } else { f64::INFINITY };
        let own = |pod: &Pod| if is_shared { pod.claims[claims].1 } else { 0.0 };
        let in_service: Vec<Vec<usize>> = node
            .pods
            .iter()
            .zip(&left)
            .map(|(pod, left)| {
                let here = |one: &usize| pod.requests[*one].0 as f64 <= now + EPSILON;
                let unfinished = (0..left.len()).filter(|one| left[*one] > 0.0);
                unfinished.filter(here).take(pod.slots).collect()
            })
            .collect();
        let wanted: Vec<f64> = node
            .pods
            .iter()
            .zip(&in_service)
            .zip(&quotas)
            .map(|((pod, running), quota)| {
                let runs = if *quota > EPSILON { running.len() as f64 } else { 0.0 };
                (runs + own(pod)).min(pod.burst)
            })
            .collect();
        let got = shared_out(node, &wanted, claims, cores);
        let rates: Vec<f64> = got
            .iter()
            .zip(&node.pods)
            .zip(&in_service)
            .map(|((got, pod), running)| {
                (got / (running.len() as f64 + own(pod)).max(EPSILON)).min(1.0)
            })
            .collect();
        let mut step = f64::INFINITY;
        for (index, running) in in_service.iter().enumerate() {
            let ends = running.iter().map(|one| left[index][*one] / rates[index]);
            let arrivals = node.pods[index].requests.iter().map(|(at, _)| *at as f64 - now);
            step = ends.chain(arrivals.filter(|gap| *gap > EPSILON)).fold(step, f64::min);
        }
        let until_change = node.change_at as f64 - now;
        if until_change > EPSILON {
            step = step.min(until_change);
        }
        step = step.min(period_end - now);
        for (got, quota) in got.iter().zip(&quotas) {
            if *got > 0.0 && *quota > EPSILON {
                step = step.min(quota / got);
            }
        }
        for (got, quota) in got.iter().zip(&mut quotas) {
            *quota -= got * step;
        }
        now += step;
        if now + EPSILON >= period_end {
            quotas = node.pods.iter().map(quota).collect();
            period_end += PERIOD;
        }
        for (index, running) in in_service.iter().enumerate() {
            for one in running {
                let left = &mut left[index][*one];
                *left -= step * rates[index];
                if *left < EPSILON {
                    *left = 0.0;
                    done[index][*one] = now;
                }
            }
        }
    }
    done
}

const RECORDING: Recording =
    Recording { interval: SimDuration::from_secs(3600), warm_up: SimDuration::ZERO, waits: false };

/// The same pods in the real thing: mean and longest latency of each [ms].
fn simulate(node: &Node) -> Vec<(f64, f64)> {
    let streams = Streams::new(1);
    let service = |(index, pod): (usize, &Pod)| {
        let row = |(at, cpu): &(i64, u32)| (at_millis(*at), Some(Tokens::of(*cpu, 0)));
        let trace = RequestTrace {
            rows: pod.requests.iter().map(row).collect(),
            ..RequestTrace::default()
        };
        let spec =
            json!({"service": format!("s{index}"), "load": {"trace": "t"}, "timeout": "10h"});
        let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
        let trace = Trace::Requests(Arc::new(trace));
        let stream = streams.stream("arrivals", index as u64);
        let arrivals = spec.arrivals("", Some(&trace), stream).expect("right");
        ServiceTraffic::plain(spec.service.to_string(), arrivals, spec.balancer, spec.timeout)
    };
    let model = |pod: &Pod| {
        let model = json!({"concurrency": pod.slots, "cpuTimePerPromptToken": "1ms"});
        let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
        model.model("").expect("right")
    };
    let services = node.pods.iter().enumerate().map(service).collect();
    let models = node.pods.iter().map(model).collect();
    let mut traffic = Traffic::new(services, models, streams, RECORDING);
    let start = SimTime::ZERO + SimDuration::from_secs_f64(START / 1e3);
    let mut backends = Vec::new();
    for (index, pod) in (0..).zip(&node.pods) {
        let backend = traffic.add_backend(start, RequestModelId(index), pod.burst);
        if pod.has_quota {
            traffic.set_quota(start, backend, Some(pod.limit));
        }
        traffic.set_endpoints(start, ServiceId(index), &[backend]);
        backends.push(backend);
    }
    let claims = |number: usize| -> Vec<CpuClaim> {
        let claim = |(pod, backend): (&Pod, &_)| {
            let (weight, own) = pod.claims[number];
            CpuClaim { backend: Some(*backend), limit: pod.limit, burst: pod.burst, weight, own }
        };
        node.pods.iter().zip(&backends).map(claim).collect()
    };
    let id = (!node.shares_late).then(|| traffic.share_cpu(start, None, node.cores, &claims(0)).id);
    traffic.share_cpu(at_millis(node.change_at), id, node.cores, &claims(1));
    let end = at_millis(10_000_000);
    let latencies = |index| {
        let figures = traffic.figures(end, ServiceId(index));
        let latencies = figures.latencies.expect("all were answered");
        (latencies.mean.as_millis_f64(), latencies.max.as_millis_f64())
    };
    (0..).take(node.pods.len()).map(latencies).collect()
}

fn at_millis(millis: i64) -> SimTime {
    SimTime::ZERO + SimDuration::from_millis(millis)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_of_neighbours_are_done_when_a_simple_simulation_says(node in nodes()) {
        let done = simple_simulation(&node);
        for ((done, pod), found) in done.iter().zip(&node.pods).zip(simulate(&node)) {
            let latencies = done.iter().zip(&pod.requests).map(|(done, (at, _))| done - *at as f64);
            let latencies: Vec<f64> = latencies.collect();
            let mean = latencies.iter().sum::<f64>() / latencies.len() as f64;
            let max = latencies.iter().copied().fold(0.0, f64::max);
            prop_assert!((found.0 - mean).abs() < 1e-3, "{:?} {}", found, mean);
            prop_assert!((found.1 - max).abs() < 1e-3, "{:?} {}", found, max);
        }
    }
}

/// Whatever its pod's share of the CPU was in between, and whatever it is when somebody asks.
#[test]
fn an_inference_server_has_used_what_its_shares_left_it() {
    let streams = Streams::new(1);
    let spec =
        json!({"service": "llm", "load": {"pattern": "constant", "rps": 50}, "timeout": "10h"});
    let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    let arrivals = spec.arrivals("", None, streams.stream("arrivals", 0)).expect("right");
    let service = ServiceTraffic::plain("llm".into(), arrivals, spec.balancer, spec.timeout);
    let model = json!({"llm": {"model": "Llama-3.1-8B", "gpu": "L4", "cpuCores": 0.8}});
    let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
    let model = model.model("").expect("right");
    let mut traffic = Traffic::new(vec![service], vec![model], streams, RECORDING);
    let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), 2.0);
    let neighbour = traffic.add_backend(SimTime::ZERO, RequestModelId(0), 2.0);
    traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &[pod]);
    let claim = |backend, own| CpuClaim {
        backend: Some(backend),
        limit: 2.0,
        burst: 2.0,
        weight: 1.0,
        own,
    };
    let used = |traffic: &mut Traffic, seconds| {
        traffic.cpu_time_used(SimTime::from_secs(seconds), pod).as_secs_f64()
    };
    let alone = used(&mut traffic, 100);
    assert!((alone - 0.8 * 100.0).abs() < 0.5, "it is busy all the time: {alone}");
    let claims = [claim(pod, 0.0), claim(neighbour, 2.0)];
    let node = traffic.share_cpu(SimTime::from_secs(100), None, 1.0, &claims).id;
    let beside = used(&mut traffic, 200) - alone;
    assert!((beside - 0.5 * 100.0).abs() < 0.5, "half of a core: {beside}");
    traffic.end_cpu_sharing(SimTime::from_secs(200), node);
    let since = used(&mut traffic, 300) - alone - beside;
    assert!((since - 0.8 * 100.0).abs() < 0.5, "{since}");
}

/// However many pods without limits share two cores, and whatever their weights: no core is idle while a
/// request wants it, so that the requests on the node are those of M/M/2, 39.2 ms in the mean.
#[test]
fn short_requests_on_a_busy_node_take_what_queueing_theory_says_whatever_the_number_of_pods() {
    const UTILIZATION: f64 = 0.7;
    let exact_ms = 20.0 / (1.0 - UTILIZATION * UTILIZATION);
    for pods in [2, 4, 8] {
        let manifests: String = ["one", "two"].map(|name| deployment(name, pods / 2)).concat();
        let report = texts::ran(&texts::resolved(SCENARIO, &(manifests + SERVICE), &[])).0;
        let mean = report.services[0].latency.as_ref().expect("requests were answered").mean_ms;
        assert!((mean / exact_ms - 1.0).abs() < 0.02, "{pods} pods: {mean} ms, not {exact_ms}");
    }
}

/// 252,000 requests, whose mean has a standard error of 0.6 %.
const SCENARIO: &str = "duration: 61m
warmUp: 1m
cluster: {nodePools: [{name: one, count: 1, capacity: {cpu: 2, memory: 8Gi, pods: 20}, allocatable: {cpu: 2, memory: 8Gi, pods: 20}}]}
traffic: [{service: web, load: {pattern: constant, rps: 70}}]
workloads:
- {workload: Deployment/one, requests: {concurrency: 1000, cpuTime: {distribution: exponential, mean: 20ms}}}
- {workload: Deployment/two, requests: {concurrency: 1000, cpuTime: {distribution: exponential, mean: 20ms}}}
";

const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: \
                       web}, ports: [{port: 80}]}\n";

/// The second one has thrice the weight.
fn deployment(name: &str, replicas: u32) -> String {
    let cpu = if name == "one" { "100m" } else { "300m" };
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{replicas: \
         {replicas}, selector: {{matchLabels: {{app: web, part: {name}}}}}, template: {{metadata: \
         {{labels: {{app: web, part: {name}}}}}, spec: {{containers: [{{name: app, image: 'app:1', \
         resources: {{requests: {{cpu: {cpu}}}}}}}]}}}}}}\n"
    )
}
