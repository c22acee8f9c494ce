//! Requests follow Ingresses, HTTPRoutes and Services as these change while a run goes on, whoever changes them.

use crate::texts::resolved;
use serde_json::{Value, json};
use wavetank::cluster::ObjectReference;
use wavetank::engine::SimTime;
use wavetank::faults::{PatchChange, TimelineAction};
use wavetank::manifest::Source;
use wavetank::report::ServiceReport;
use wavetank::sim::{Blueprint, Simulation};

const RPS: u64 = 50;

/// What somebody does at some second.
type Step<'a> = (i64, &'a dyn Fn(&mut Simulation));

/// Two Deployments with their Services, `web` and `next`.
fn services() -> String {
    let both = ["web", "next"].map(|name| {
        format!(
            "---\n{}---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}}}, spec: {{replicas: 2, \
             selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: \
             {{containers: [{{name: app, image: 'app:v1', resources: {{requests: {{cpu: 100m, memory: \
             128Mi}}}}}}]}}}}}}}}\n",
            service(name)
        )
    });
    both.concat()
}

fn service(name: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{selector: {{app: {name}}}, ports: \
         [{{port: 80}}]}}}}\n"
    )
}

fn weights(web: u32, next: u32) -> Value {
    json!({ "spec": { "rules": [{ "backendRefs": [
        { "name": "web", "port": 80, "weight": web },
        { "name": "next", "port": 80, "weight": next },
    ] }] } })
}

fn http_route() -> String {
    let mut route = weights(90, 10);
    route["apiVersion"] = "gateway.networking.k8s.io/v1".into();
    route["kind"] = "HTTPRoute".into();
    route["metadata"] = json!({ "name": "shop" });
    route["spec"]["hostnames"] = json!(["shop.example"]);
    format!("---\n{route}\n")
}

fn ingress(service: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: shop}}, spec: {{rules: [{{host: \
         shop.example, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {service}, port: \
         {{number: 80}}}}}}}}]}}}}]}}}}\n"
    )
}

/// Twenty minutes of requests to shop.example, and of some to `next` without a route.
fn scenario(timeline: &str) -> String {
    format!(
        "duration: 20m\nwarmUp: 2m\ncluster: {{nodePools: [{{name: pool, instanceType: aws/m5.large, count: 3}}]}}\n\
         workloads:\n- {{workload: Deployment/web, requests: {{concurrency: 100, waitTime: 10ms}}}}\n\
         - {{workload: Deployment/next, requests: {{concurrency: 100, waitTime: 10ms}}}}\n\
         traffic: [{{service: default/next, load: {{pattern: constant, rps: 1}}, arrivals: even}}]\n\
         ingress: [{{host: shop.example, load: {{pattern: constant, rps: {RPS}}}, arrivals: even}}]\n{timeline}"
    )
}

/// The reports of `web` and `next`, with what was applied by hand and by the timeline.
fn ran(timeline: &str, manifests: &str, file: &str, steps: &[Step<'_>]) -> [ServiceReport; 2] {
    let resolved = resolved(&scenario(timeline), manifests, &[("late.yaml", file)]);
    let blueprint = Blueprint::new(&resolved).unwrap_or_else(|wrong| panic!("{wrong}"));
    let mut simulation = Simulation::new(blueprint.world(1).expect("a sound world"));
    for (second, step) in steps {
        simulation.run_until(SimTime::from_secs(*second));
        step(&mut simulation);
    }
    simulation.run_until(SimTime::from_secs(1200));
    simulation.finish();
    let report = wavetank::sweep::report(&resolved, &blueprint, 1, &mut simulation);
    let found = ["default/web", "default/next"].map(|name| {
        let service = report.services.iter().find(|one| one.service == name);
        service.cloned().unwrap_or_else(|| panic!("{name} gets requests"))
    });
    // The 1080 s after the warm-up; those at its ends may fall on either side.
    let arrived: u64 = found.iter().map(|service| service.arrived).sum();
    assert!(
        arrived.abs_diff((RPS + 1) * 1080) <= 2,
        "no request is lost or comes twice: {arrived}"
    );
    found
}

fn failed(service: &ServiceReport, cause: &str) -> u64 {
    let found = service.failed_by_cause.iter().find(|(one, _)| one == cause);
    found.map_or(0, |(_, count)| *count)
}

fn patch(object: &str, patch: Value) -> TimelineAction {
    let workload: ObjectReference = object.parse().expect("an object");
    TimelineAction::Patch(PatchChange { workload, patch })
}

fn delete(object: &str) -> TimelineAction {
    TimelineAction::Delete(object.parse().expect("an object"))
}

#[test]
fn the_weights_of_a_canary_count_from_the_patch_on() {
    let manifests = services() + &http_route();
    let timeline = format!(
        "timeline:\n- at: 11m\n  patch: {{workload: HTTPRoute/shop, patch: {}}}\n",
        weights(50, 50)
    );
    let [web, next] = ran(&timeline, &manifests, "", &[]);
    let taken = next.arrived - 1080;
    // A tenth of 9 minutes and half of 9.
    let exact = 540.0 * RPS as f64 * 0.6;
    assert!((taken as f64 / exact - 1.0).abs() < 0.03, "{taken} of {exact}");
    assert_eq!(web.failed_by_cause, []);
    let by_hand = |simulation: &mut Simulation| {
        simulation.intervene(&patch("HTTPRoute/shop", weights(50, 50)));
    };
    let [same_web, same_next] = ran("", &manifests, "", &[(660, &by_hand)]);
    assert_eq!((same_web.arrived, same_next.arrived), (web.arrived, next.arrived));
    let p99 = |service: ServiceReport| service.latency.map(|latency| latency.p99_ms.to_bits());
    assert_eq!(p99(same_web), p99(web));
}

#[test]
fn requests_without_an_ingress_get_404_until_there_is_one_again() {
    let manifests = services() + &ingress("web");
    let timeline = "timeline:\n- {at: 5m, delete: Ingress/shop}\n- {at: 8m, apply: late.yaml}\n";
    let [web, next] = ran(timeline, &manifests, &ingress("web"), &[]);
    assert!(failed(&web, "no route").abs_diff(180 * RPS) <= 1, "{:?}", web.failed_by_cause);
    assert_eq!(web.answered + failed(&web, "no route"), web.arrived);
    assert_eq!(next.arrived, next.answered);
    // Applied by hand it may lead elsewhere, where no route led when the run began.
    let gone = |simulation: &mut Simulation| simulation.intervene(&delete("Ingress/shop"));
    let other = |simulation: &mut Simulation| {
        let file = Source::new("late.yaml", ingress("next"));
        simulation.apply(&[file]).expect("a sound Ingress");
    };
    let [web, next] = ran("", &manifests, "", &[(300, &gone), (480, &other)]);
    assert!(failed(&web, "no route").abs_diff(180 * RPS) <= 1, "{:?}", web.failed_by_cause);
    assert!(next.answered.abs_diff(1080 + 720 * RPS) <= 2, "{}", next.answered);
}

#[test]
fn requests_to_a_service_that_is_gone_get_503_until_it_is_back() {
    let manifests = services() + &ingress("web");
    let timeline = "timeline:\n- {at: 5m, delete: Service/web}\n- {at: 8m, apply: late.yaml}\n";
    let [web, _] = ran(timeline, &manifests, &service("web"), &[]);
    let lost = failed(&web, "no ready endpoint");
    // Endpoints take a moment to be known everywhere.
    assert!(lost.abs_diff(180 * RPS) < 2 * RPS, "{:?}", web.failed_by_cause);
    assert_eq!(web.answered + lost, web.arrived);
}

#[test]
fn a_port_that_a_service_has_no_more_is_answered_by_the_gateway() {
    let manifests = services() + &ingress("web");
    let ports = |port: u16| json!({ "spec": { "ports": [{ "port": port, "targetPort": 80 }] } });
    let other =
        |simulation: &mut Simulation| simulation.intervene(&patch("Service/web", ports(81)));
    let back = |simulation: &mut Simulation| simulation.intervene(&patch("Service/web", ports(80)));
    let [web, _] = ran("", &manifests, "", &[(300, &other), (480, &back)]);
    let lost = failed(&web, "no ready endpoint");
    assert!(lost.abs_diff(180 * RPS) <= 1, "{:?}", web.failed_by_cause);
    assert_eq!(web.answered + lost, web.arrived);
}

#[test]
fn a_service_that_had_no_part_in_the_traffic_is_told_and_not_reached() {
    let manifests = services() + &ingress("web") + "---\n" + &service("third");
    let to_third = |simulation: &mut Simulation| {
        let file = Source::new("late.yaml", ingress("third"));
        simulation.apply(&[file]).expect("a sound Ingress");
        let said = simulation.recorder().log.iter().find(|line| line.reason == "NoWay");
        assert!(
            said.is_some_and(|line| line.message.contains("Service default/third")),
            "{said:?}"
        );
    };
    let [web, _] = ran("", &manifests, "", &[(660, &to_third)]);
    assert!(
        failed(&web, "no ready endpoint").abs_diff(540 * RPS) <= 1,
        "{:?}",
        web.failed_by_cause
    );
}
