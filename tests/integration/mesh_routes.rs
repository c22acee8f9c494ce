//! Calls as Istio's VirtualServices and DestinationRules route them: shares of subsets, timeouts, retries, faults, mirrors
//! and outlier detection.

use crate::in_memory::{resolved, world};
use wavetank::engine::SimTime;
use wavetank::sim::{Blueprint, Simulation};
use wavetank::traffic::{Balancer, FailureCause, ServiceFigures, ServiceId, Via};

/// `web` calls `db`; `db` has pods of two versions, of which `v2` takes ten times as long.
fn scenario(further: &str) -> String {
    format!(
        "apiVersion: wavetank/v1
kind: Scenario
name: mesh
duration: 12m
warmUp: 2m
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: general, instanceType: aws/m5.large, count: 2}}]}}
mesh: {{kind: istio, proxyTime: 0s}}
workloads:
- {{workload: Deployment/shop/web, requests: {{concurrency: 64, cpuTime: 1ms, calls: [{{service: shop/db, timeout: 5s}}]}}}}
- {{workload: Deployment/shop/db-v1, requests: {{concurrency: 64, waitTime: 10ms}}}}
- {{workload: Deployment/shop/db-v2, requests: {{concurrency: 64, waitTime: 100ms}}}}
traffic: [{{service: shop/web, load: {{pattern: constant, rps: 10}}, arrivals: even}}]
{further}"
    )
}

fn deployment(name: &str, labels: &str) -> String {
    format!(
        "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: shop}}, spec: {{selector: \
         {{matchLabels: {{{labels}}}}}, template: {{metadata: {{labels: {{{labels}}}}}, spec: {{containers: [{{name: app, \
         image: a, resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}}}]}}}}}}}}\n"
    )
}

fn service(name: &str, selector: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: shop}}, spec: {{selector: \
         {{{selector}}}, ports: [{{port: 80}}]}}}}\n"
    )
}

fn system(further: &[String]) -> String {
    "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio-injection: enabled}}}\n"
        .to_owned()
        + &deployment("web", "app: web")
        + &deployment("db-v1", "app: db, version: v1")
        + &deployment("db-v2", "app: db, version: v2")
        + &service("web", "app: web")
        + &service("db", "app: db")
        + &further.concat()
}

fn virtual_service(http: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: db, namespace: shop}}, spec: \
         {{hosts: [db], http: [{http}]}}}}\n"
    )
}

fn subsets(policy: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {{name: db, namespace: shop}}, spec: \
         {{host: db, trafficPolicy: {{{policy}}}, subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: \
         {{version: v2}}}}]}}}}\n"
    )
}

struct Ran {
    simulation: Simulation,
}

impl Ran {
    fn new(scenario: &str, manifests: &str) -> Self {
        let mut simulation = Simulation::new(world(scenario, manifests, &[]));
        simulation.run_until(SimTime::from_secs(720));
        Self { simulation }
    }

    fn of(&mut self, service: &str) -> ServiceFigures {
        let named = |name: &wavetank::cluster::NamespacedName| name.to_string() == service;
        let position = self.simulation.traffic_services().position(named).expect("a service");
        let position = u32::try_from(position).expect("few services");
        let now = self.simulation.now();
        self.simulation.traffic_mut().figures(now, ServiceId(position))
    }

    fn mean_ms(&mut self, service: &str) -> f64 {
        self.of(service).latencies.expect("answers").mean.as_millis_f64()
    }
}

fn ran(further: &[String]) -> Ran {
    Ran::new(&scenario(""), &system(further))
}

#[test]
fn subsets_get_their_shares_of_the_calls() {
    let weights = |v1: u32, v2: u32| {
        let http = format!(
            "{{route: [{{destination: {{host: db, subset: v1}}, weight: {v1}}}, {{destination: {{host: db, subset: v2}}, \
             weight: {v2}}}]}}"
        );
        let mut ran = ran(&[subsets(""), virtual_service(&http)]);
        assert_eq!(ran.of("shop/db").outcomes.failed_in_all(), 0);
        assert!(ran.of("shop/db").outcomes.answered > 5_900);
        ran.mean_ms("shop/db")
    };
    assert!((weights(100, 0) - 10.0).abs() < 0.1);
    assert!((weights(0, 100) - 100.0).abs() < 0.1);
    // 0.9 * 10 ms + 0.1 * 100 ms; the standard error is 0.35 ms.
    assert!((weights(90, 10) - 19.0).abs() < 1.2);
}

#[test]
fn calls_to_a_subset_without_pods_fail() {
    let http = "{route: [{destination: {host: db, subset: v3}}]}";
    let outcomes = ran(&[subsets(""), virtual_service(http)]).of("shop/db").outcomes;
    assert_eq!(outcomes.failed_by(FailureCause::NoEndpoint), outcomes.arrived);
}

#[test]
fn a_host_may_lead_to_another_service() {
    let http = "{route: [{destination: {host: next}}]}";
    let next = service("next", "app: db, version: v2");
    let mut ran = ran(&[next, virtual_service(http)]);
    assert_eq!(ran.of("shop/db").outcomes.arrived, 0);
    assert!((ran.mean_ms("shop/next") - 100.0).abs() < 0.1);
}

#[test]
fn the_timeout_of_a_route_ends_a_call() {
    let http = "{route: [{destination: {host: db, subset: v2}}], timeout: 60ms}";
    let outcomes = ran(&[subsets(""), virtual_service(http)]).of("shop/db").outcomes;
    assert_eq!(outcomes.answered, 0);
    assert!(outcomes.failed_by(FailureCause::Timeout) + 1 >= outcomes.arrived, "{outcomes:?}");
}

#[test]
fn retries_multiply_the_load_of_failing_pods() {
    let failing = scenario("").replace("waitTime: 10ms", "waitTime: 10ms, errorRate: 1");
    let http =
        "{route: [{destination: {host: db, subset: v1}}], retries: {attempts: 3, retryOn: 5xx}}";
    let manifests = system(&[subsets(""), virtual_service(http)]);
    let outcomes = Ran::new(&failing, &manifests).of("shop/db").outcomes;
    // The last call is still under way.
    assert!((3 * outcomes.arrived).abs_diff(outcomes.retried) <= 3, "{outcomes:?}");
    // The default retries connections alone.
    let http = "{route: [{destination: {host: db, subset: v1}}]}";
    let manifests = system(&[subsets(""), virtual_service(http)]);
    assert_eq!(Ran::new(&failing, &manifests).of("shop/db").outcomes.retried, 0);
}

#[test]
fn faults_are_injected_into_their_share_of_the_calls() {
    let http = "{fault: {abort: {percentage: {value: 20}, httpStatus: 503}, delay: {percentage: {value: 50}, fixedDelay: \
                1s}}, route: [{destination: {host: db, subset: v1}}]}";
    let mut ran = ran(&[subsets(""), virtual_service(http)]);
    let outcomes = ran.of("shop/db").outcomes;
    let share = outcomes.failed_by(FailureCause::Injected) as f64 / outcomes.arrived as f64;
    assert!((share - 0.2).abs() < 0.02, "{share}");
    assert!((ran.mean_ms("shop/db") - 510.0).abs() < 25.0);
    let web = ran.of("shop/web").outcomes;
    let failed = web.failed_by(FailureCause::Dependency) as f64 / web.arrived as f64;
    assert!((failed - 0.2).abs() < 0.02, "{failed}");
}

#[test]
fn a_mirror_gets_its_share_and_nobody_waits_for_it() {
    let http = "{route: [{destination: {host: db, subset: v1}}], mirror: {host: shadow}, mirrorPercentage: {value: 50}}";
    let shadow = service("shadow", "app: db, version: v2");
    let mut ran = ran(&[subsets(""), shadow, virtual_service(http)]);
    let share =
        ran.of("shop/shadow").outcomes.arrived as f64 / ran.of("shop/db").outcomes.arrived as f64;
    assert!((share - 0.5).abs() < 0.03, "{share}");
    assert!((ran.mean_ms("shop/shadow") - 100.0).abs() < 0.1);
    assert!((ran.mean_ms("shop/web") - 11.0).abs() < 0.2);
}

#[test]
fn outlier_detection_ejects_the_pods_of_a_failing_version() {
    let failing = scenario("").replace("waitTime: 100ms", "waitTime: 100ms, errorRate: 1");
    let policy = "outlierDetection: {consecutive5xxErrors: 3, baseEjectionTime: 1h, maxEjectionPercent: 50}, \
                  loadBalancer: {simple: ROUND_ROBIN}";
    let mut with = Ran::new(&failing, &system(&[subsets(policy)]));
    let outcomes = with.of("shop/db").outcomes;
    assert!(outcomes.failed_in_all() < 10, "{outcomes:?}");
    let outcomes = Ran::new(&failing, &system(&[])).of("shop/db").outcomes;
    assert!(outcomes.failed_in_all() > 1_000, "{outcomes:?}");
}

#[test]
fn proxies_balance_the_calls_of_injected_pods() {
    let policy = |manifests: &str, settings: &[&str]| {
        let world = world(&scenario(""), manifests, settings);
        let (_, row) =
            world.traffic.iter().find(|(name, _)| name.to_string() == "shop/db").expect("db");
        (row.policy.via, row.policy.balancer)
    };
    assert_eq!(policy(&system(&[]), &[]), (Via::Mesh, Balancer::LeastRequest));
    let rule = subsets("loadBalancer: {simple: ROUND_ROBIN}");
    assert_eq!(
        policy(&system(std::slice::from_ref(&rule)), &[]),
        (Via::Mesh, Balancer::RoundRobin)
    );
    let without = policy(&system(&[rule]), &["mesh.kind=none"]);
    assert_eq!(without, (Via::KubeProxy, Balancer::Random));
}

#[test]
fn the_routes_are_listed_without_istio_and_act_with_it() {
    let manifests = system(&[subsets(""), virtual_service("{timeout: 1s}")]);
    let notes = |settings: &[&str]| {
        let resolved = resolved(&scenario(""), &manifests, settings).expect("valid");
        Blueprint::new(&resolved).expect("valid").notes().to_string()
    };
    let listed = "1 object of kind VirtualService: no Istio is installed";
    assert!(notes(&["mesh.kind=none"]).contains(listed), "{}", notes(&["mesh.kind=none"]));
    assert!(!notes(&[]).contains("VirtualService"), "{}", notes(&[]));
}
