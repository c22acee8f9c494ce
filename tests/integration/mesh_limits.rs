//! Limits of `connectionPool` on the calls that each pod's proxy makes, against queueing theory.

use crate::in_memory::world;
use wavetank::engine::SimTime;
use wavetank::sim::Simulation;
use wavetank::traffic::{FailureCause, Outcomes, ServiceId};

const END: i64 = 2_400;

/// `web` with so many replicas calls `db` 40 times a second, whose answers take 100 ms on average.
fn scenario(rps: u32) -> String {
    format!(
        "apiVersion: wavetank/v1
kind: Scenario
name: mesh
duration: 40m
warmUp: 2m
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: general, instanceType: aws/m5.large, count: 2}}]}}
mesh: {{kind: istio, proxyTime: 0s}}
workloads:
- {{workload: Deployment/shop/web, requests: {{concurrency: 1000, cpuTime: 1us, calls: [{{service: shop/db, timeout: 60s}}]}}}}
- {{workload: Deployment/shop/db, requests: {{concurrency: 1000, waitTime: {{distribution: exponential, mean: 100ms}}}}}}
traffic: [{{service: shop/web, load: {{pattern: constant, rps: {rps}}}}}]
"
    )
}

fn served(name: &str, replicas: u32, port: &str) -> String {
    format!(
        "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: shop}}, spec: {{replicas: \
         {replicas}, selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: \
         {{containers: [{{name: app, image: a, resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}}}]}}}}}}}}\n---\n\
         {{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: shop}}, spec: {{selector: {{app: {name}}}, \
         ports: [{{{port}port: 80}}]}}}}\n"
    )
}

/// The outcomes of the calls to `db`, for so many pods of both.
fn calls((web, db): (u32, u32), rps: u32, port: &str, pool: &str) -> Outcomes {
    let manifests = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio-injection: enabled}}}\n"
        .to_owned()
        + &served("web", web, "")
        + &served("db", db, port)
        + &format!(
            "---\n{{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {{name: db, namespace: shop}}, \
             spec: {{host: db, trafficPolicy: {{connectionPool: {{{pool}}}}}}}}}\n"
        );
    let mut simulation = Simulation::new(world(&scenario(rps), &manifests, &[]));
    simulation.run_until(SimTime::from_secs(END));
    let named = |name: &wavetank::cluster::NamespacedName| name.to_string() == "shop/db";
    let position = simulation.traffic_services().position(named).expect("a service");
    let now = simulation.now();
    let position = u32::try_from(position).expect("few services");
    simulation.traffic_mut().figures(now, ServiceId(position)).outcomes
}

/// The share of calls that the callers' proxies reject; none fails otherwise.
fn rejected(pods: (u32, u32), rps: u32, port: &str, pool: &str) -> f64 {
    let outcomes = calls(pods, rps, port, pool);
    let rejected = outcomes.failed_by(FailureCause::CircuitOpen);
    assert_eq!(outcomes.failed_in_all(), rejected, "{outcomes:?}");
    assert_eq!(outcomes.retried, 0, "an overflow is not retried");
    rejected as f64 / outcomes.arrived as f64
}

/// The share of arrivals that an M/M/c/K queue loses, by its equations of balance.
fn lost(offered: f64, servers: u32, places: u32) -> f64 {
    let mut weight = 1.0;
    let mut sum = 1.0;
    for number in 1..=places {
        weight *= offered / f64::from(number.min(servers));
        sum += weight;
    }
    weight / sum
}

#[test]
fn calls_beyond_the_connections_and_those_that_wait_for_one_are_rejected() {
    let pool = "tcp: {maxConnections: 3}, http: {http1MaxPendingRequests: 2}";
    let share = rejected((1, 1), 40, "", pool);
    assert!((share - lost(4.0, 3, 5)).abs() < 0.012, "{share} {}", lost(4.0, 3, 5));
    let share =
        rejected((1, 1), 40, "", "tcp: {maxConnections: 4}, http: {http1MaxPendingRequests: 40}");
    assert!((share - lost(4.0, 4, 44)).abs() < 0.02, "{share} {}", lost(4.0, 4, 44));
}

/// Each proxy counts its own calls.
#[test]
fn the_calls_in_progress_of_each_caller_are_limited() {
    let pool = "http: {http2MaxRequests: 4}";
    let of_one = rejected((1, 1), 40, "", pool);
    assert!((of_one - lost(4.0, 4, 4)).abs() < 0.012, "{of_one}");
    let of_each = rejected((2, 1), 40, "", pool);
    assert!((of_each - lost(2.0, 4, 4)).abs() < 0.012, "{of_each}");
}

/// A single connection would carry 10 calls a second.
#[test]
fn each_pod_may_always_have_a_connection() {
    let pool = "tcp: {maxConnections: 1}";
    let outcomes = calls((1, 4), 20, "", pool);
    assert_eq!(outcomes.failed_in_all(), 0);
    assert!(outcomes.arrived - outcomes.answered < 100, "{outcomes:?}");
    let outcomes = calls((1, 1), 20, "", pool);
    // Two minutes do not count.
    let answered = outcomes.answered as f64 / (END - 120) as f64;
    assert!((9.5..10.3).contains(&answered), "{answered}");
}

#[test]
fn all_calls_of_http2_share_a_connection() {
    let pool = "tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1, http2MaxRequests: 4}";
    let share = rejected((1, 1), 40, "name: grpc-db, ", pool);
    assert!((share - lost(4.0, 4, 4)).abs() < 0.012, "{share}");
    let share = rejected((1, 1), 40, "appProtocol: http2, ", "tcp: {maxConnections: 1}");
    assert!(share.abs() < f64::EPSILON, "{share}");
}
