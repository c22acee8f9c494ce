//! Requests that come by Ingresses and HTTPRoutes: limits per client address, and mirrors.

use crate::texts::{ran, resolved};
use wavetank::report::ServiceReport;

const NODES: &str = "cluster: {nodePools: [{name: pool, instanceType: aws/m5.large, count: 3}]}\n";

/// A Deployment with one pod, and its Service.
fn served(name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: {name}}}, ports: \
         [{{port: 80}}]}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{selector: \
         {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: \
         [{{name: app, image: 'app:v1', resources: {{requests: {{cpu: 100m, memory: 128Mi}}}}}}]}}}}}}\n"
    )
}

/// An Ingress of ingress-nginx with two paths to `web`.
fn nginx(annotations: &[(&str, &str)]) -> String {
    let annotations = annotations
        .iter()
        .map(|(name, value)| format!("nginx.ingress.kubernetes.io/{name}: '{value}'"))
        .collect::<Vec<_>>()
        .join(", ");
    let path = |path: &str| {
        format!(
            "{{path: {path}, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}"
        )
    };
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web, annotations: \
         {{{annotations}}}}}\nspec: {{ingressClassName: nginx, rules: [{{host: shop.example, http: {{paths: \
         [{}, {}]}}}}]}}\n",
        path("/"),
        path("/api")
    )
}

fn mirroring(filter: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: web}}\nspec: \
         {{hostnames: [shop.example], rules: [{{backendRefs: [{{name: web, port: 80}}], filters: [{{type: \
         RequestMirror, requestMirror: {{backendRef: {{name: shadow, port: 80}}{filter}}}}}]}}]}}\n"
    )
}

/// Ten minutes, the first of which does not count, with requests that wait as long as `wait` says.
fn scenario(wait: &str, entries: &[&str]) -> String {
    let entries: Vec<String> =
        entries.iter().map(|one| format!("- {{host: shop.example, {one}}}")).collect();
    let entries = entries.join("\n");
    format!(
        "duration: 10m\nwarmUp: 1m\n{NODES}workloads:\n- {{workload: Deployment/web, requests: {{concurrency: 1000, \
         waitTime: {wait}}}}}\ningress:\n{entries}\n"
    )
}

fn services(scenario: &str, manifests: &str) -> Vec<ServiceReport> {
    ran(&resolved(scenario, manifests, &[])).0.services
}

fn of<'a>(services: &'a [ServiceReport], name: &str) -> &'a ServiceReport {
    services.iter().find(|one| one.service == name).expect("it gets requests")
}

fn failed(service: &ServiceReport, cause: &str) -> u64 {
    let found = service.failed_by_cause.iter().find(|(one, _)| one == cause);
    found.map_or(0, |(_, count)| *count)
}

/// Requests to `web` that arrived, and those that the gateway rejected; all others were answered.
fn rejected(entries: &[&str], annotations: &[(&str, &str)]) -> (u64, u64) {
    let services = services(&scenario("10ms", entries), &(served("web") + &nginx(annotations)));
    let web = of(&services, "default/web");
    let rejected = failed(web, "rate limited");
    assert!(web.arrived - web.answered - rejected <= web.in_flight, "{web:?}");
    (web.arrived, rejected)
}

const TWENTY: &str = "load: {pattern: constant, rps: 20}, arrivals: even";

/// 540 s at 20 requests a second; the burst is spent in the first minute.
#[test]
fn a_client_gets_its_rate_once_its_burst_is_spent() {
    let one = format!("{TWENTY}, clients: 1");
    let rejected = |annotations: &[(&str, &str)]| rejected(&[&one], annotations);
    assert_eq!(rejected(&[]), (10_800, 0));
    assert_eq!(rejected(&[("limit-rps", "0")]).1, 0);
    for annotations in [
        &[("limit-rps", "5")][..],
        &[("limit-rpm", "300"), ("limit-burst-multiplier", "1")],
        &[("limit-rps", "5"), ("limit-rpm", "60000")],
    ] {
        let (arrived, rejected) = rejected(annotations);
        assert_eq!(arrived, 10_800);
        assert!(rejected.abs_diff(15 * 540) <= 1, "{annotations:?} {rejected}");
    }
    // The burst of 6,000 lasts 400 s: 20 come and 5 leak a second. 140 s of the excess are rejected after it.
    let (_, rejected) = rejected(&[("limit-rps", "5"), ("limit-burst-multiplier", "1200")]);
    assert!(rejected.abs_diff(15 * 200) <= 20, "{rejected}");
}

#[test]
fn each_client_address_has_a_rate_of_its_own_and_all_paths_of_an_ingress_count_together() {
    let two = format!("{TWENTY}, clients: 2");
    let limit = [("limit-rps", "5")];
    let (_, of_two) = rejected(&[&two], &limit);
    assert!(of_two.abs_diff(10 * 540) <= 60, "{of_two}");
    assert_eq!(rejected(&[TWENTY], &limit).1, 0, "a thousand clients");
    let one = format!("{TWENTY}, clients: 1");
    let api = format!("path: /api, {one}");
    let (arrived, rejected) = rejected(&[&one, &api], &limit);
    assert_eq!(arrived, 2 * 10_800);
    assert!(rejected.abs_diff(35 * 540) <= 1, "{rejected}");
}

/// A limit on concurrent requests without a queue loses what Erlang's formula says: with 5 places and 10 requests that
/// would be in progress on average, 56.4 %.
#[test]
fn requests_beyond_the_connections_of_a_client_are_lost_as_in_erlangs_formula() {
    let entry = "load: {pattern: constant, rps: 10}, clients: 1";
    let manifests = served("web") + &nginx(&[("limit-connections", "5")]);
    let services = services(&scenario("1s", &[entry]).replace("10m", "3h"), &manifests);
    let web = of(&services, "default/web");
    let lost = failed(web, "rate limited") as f64 / web.arrived as f64;
    assert!((lost - 0.564).abs() < 0.01, "{lost}");
}

#[test]
fn a_rejected_request_is_neither_retried_nor_mirrored() {
    let entry = format!("{TWENTY}, clients: 1, retries: {{attempts: 3}}");
    let annotations = [
        ("limit-rps", "5"),
        ("mirror-target", "http://shadow.default.svc.cluster.local$request_uri"),
    ];
    let manifests = served("web") + &served("shadow") + &nginx(&annotations);
    let services = services(&scenario("10ms", &[&entry]), &manifests);
    let (web, shadow) = (of(&services, "default/web"), of(&services, "default/shadow"));
    assert_eq!(web.retries, None);
    assert!(shadow.arrived.abs_diff(web.answered) <= 1, "{} {}", shadow.arrived, web.answered);
    assert!(web.answered.abs_diff(5 * 540) <= 1, "{}", web.answered);
}

#[test]
fn a_limit_applies_from_the_moment_at_which_a_patch_sets_it() {
    let entry = format!("{TWENTY}, clients: 1");
    let timeline = "timeline:\n- at: 5m\n  patch:\n    workload: Ingress/web\n    patch: {metadata: {annotations: \
                    {nginx.ingress.kubernetes.io/limit-rps: '5', nginx.ingress.kubernetes.io/limit-burst-multiplier: '1'}}}\n";
    let scenario = scenario("10ms", &[&entry]) + timeline;
    let services = services(&scenario, &(served("web") + &nginx(&[])));
    let rejected = failed(of(&services, "default/web"), "rate limited");
    assert!((15 * 300 - 10..=15 * 300).contains(&rejected), "{rejected}");
}

#[test]
fn a_mirror_of_an_http_route_gets_its_share_a_second_time() {
    let entry = "load: {pattern: constant, rps: 100}";
    let shares = |filter: &str| {
        let manifests = served("web") + &served("shadow") + &mirroring(filter);
        let services = services(&scenario("10ms", &[entry]), &manifests);
        let (web, shadow) = (of(&services, "default/web"), of(&services, "default/shadow"));
        assert_eq!(web.arrived, web.answered + web.in_flight);
        (web.arrived as f64, shadow.arrived as f64)
    };
    let (all, mirrored) = shares("");
    assert!(all > 50_000.0 && (all - mirrored).abs() < 1.0, "{all} {mirrored}");
    for filter in [", percent: 25", ", fraction: {numerator: 1, denominator: 4}"] {
        let (all, mirrored) = shares(filter);
        let deviation = (all * 0.25 * 0.75).sqrt();
        assert!((mirrored - all * 0.25).abs() < 4.0 * deviation, "{filter}: {mirrored} of {all}");
    }
}

/// Neither its failures nor its time reach the clients.
#[test]
fn nobody_waits_for_a_mirror() {
    let entry = "load: {pattern: constant, rps: 20}";
    let slow = "- {workload: Deployment/shadow, requests: {concurrency: 1, waitTime: 5s, errorRate: 0.5}}\ningress:\n";
    let scenario = scenario("10ms", &[entry]).replace("ingress:\n", slow);
    for mirror in
        [mirroring(""), nginx(&[("mirror-target", "https://shadow.default.svc.cluster.local")])]
    {
        let services = services(&scenario, &(served("web") + &served("shadow") + &mirror));
        let (web, shadow) = (of(&services, "default/web"), of(&services, "default/shadow"));
        assert_eq!(web.arrived, web.answered + web.in_flight);
        assert!(web.arrived.abs_diff(shadow.arrived) <= 1, "{} {}", web.arrived, shadow.arrived);
        assert!(shadow.answered < shadow.arrived / 10, "{shadow:?}");
        let mean = web.latency.as_ref().expect("answers").mean_ms;
        assert!((mean - 10.0).abs() < 0.1, "{mean}");
    }
}
