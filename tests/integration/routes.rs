//! Requests that come by HTTPRoutes and Ingresses: the time-outs and retries that the manifests ask for.

use crate::texts::{ran, resolved};
use wavetank::manifest::Source;
use wavetank::report::ServiceReport;
use wavetank::scenario::ScenarioText;
use wavetank::scenario::inventory::Inventory;
use wavetank::scenario::starter::{Starter, Traced};
use wavetank::sim::Blueprint;

const NODES: &str = "cluster: {nodePools: [{name: pool, instanceType: aws/m5.large, count: 3}]}\n";

/// A Deployment `web` of so many replicas, with its Service.
fn web(replicas: u32) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{selector: {{app: web}}, ports: \
         [{{port: 80}}]}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec: {{replicas: \
         {replicas}, selector: {{matchLabels: {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, \
         spec: {{containers: [{{name: app, image: 'app:v1', resources: {{requests: {{cpu: 100m, memory: \
         128Mi}}}}}}]}}}}}}\n"
    )
}

fn http_route(rule: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: web}}\nspec: \
         {{hostnames: [shop.example], rules: [{{backendRefs: [{{name: web, port: 80}}]{rule}}}]}}\n"
    )
}

fn nginx(annotations: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web, annotations: \
         {{{annotations}}}}}\nspec: {{ingressClassName: nginx, rules: [{{host: shop.example, http: {{paths: \
         [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}}}]}}\n"
    )
}

fn report(scenario: &str, manifests: &str) -> ServiceReport {
    let (report, _) = ran(&resolved(scenario, manifests, &[]));
    let service = report.services.into_iter().find(|one| one.service == "default/web");
    let service = service.expect("it gets requests");
    let failed: u64 = service.failed_by_cause.iter().map(|(_, count)| count).sum();
    assert_eq!(service.arrived, service.answered + failed + service.in_flight);
    service
}

fn failed(service: &ServiceReport, cause: &str) -> u64 {
    let found = service.failed_by_cause.iter().find(|(one, _)| one == cause);
    found.map_or(0, |(_, count)| *count)
}

/// One server with exponential times of 50 ms.
fn single_server(rps: u32, entrance: &str) -> String {
    format!(
        "duration: 3h\nwarmUp: 5m\n{NODES}workloads:\n- workload: Deployment/web\n  requests: {{concurrency: 1, \
         waitTime: {{distribution: exponential, mean: 50ms}}}}\n\
         ingress: [{{host: shop.example, load: {{pattern: constant, rps: {rps}}}{entrance}}}]\n"
    )
}

/// The time in an M/M/1 is exponential with rate mu - lambda = 20/s - 10/s: exp(-2) take longer than 200 ms.
/// The server works on what nobody waits for any more, so its queue is that of the textbook.
#[test]
fn a_queue_behind_a_request_time_out_loses_the_tail_of_its_distribution() {
    let behind = |rule: &str, entrance: &str| {
        let service = report(&single_server(10, entrance), &(web(1) + &http_route(rule)));
        (service.arrived, failed(&service, "timeout"))
    };
    let by_request = behind(", timeouts: {request: 200ms}", "");
    let share = by_request.1 as f64 / by_request.0 as f64;
    let exact = (-2.0f64).exp();
    assert!((share / exact - 1.0).abs() < 0.05, "{share} {exact}");
    // A single try ends the request, whoever ends it.
    assert_eq!(behind(", timeouts: {backendRequest: 200ms}", ""), by_request);
    assert_eq!(behind(", timeouts: {request: 9s}", ", timeout: 200ms"), by_request);
    assert_eq!(behind("", ", timeout: 200ms"), by_request);
    assert_eq!(behind(", timeouts: {request: 0s}", "").1, 0);
}

/// The try that was given up stays in the queue, so that more tries time out than without retries; as the
/// next one draws its time anew, fewer requests do.
#[test]
fn retries_after_a_time_out_load_the_queue_further_and_answer_more() {
    let rule = |retry: &str| format!(", timeouts: {{request: 2s, backendRequest: 200ms}}{retry}");
    let service =
        |retry: &str| report(&single_server(4, ""), &(web(1) + &http_route(&rule(retry))));
    let plain = service("");
    let tried = service(", retry: {attempts: 2, backoff: 100ms}");
    assert_eq!((plain.arrived, plain.retries), (tried.arrived, None));
    let retries = tried.retries.expect("some are tried again");
    // The first tries alone time out at least as often as without retries.
    assert!(retries >= failed(&plain, "timeout"), "{retries}");
    assert!(tried.answered > plain.answered, "{} {}", tried.answered, plain.answered);
    let by_scenario = report(
        &single_server(4, ", retries: {attempts: 2, backoff: 100ms, maxBackoff: 1s}"),
        &(web(1) + &http_route(&rule(""))),
    );
    let ratio = by_scenario.retries.expect("some are tried again") as f64 / retries as f64;
    assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
}

#[test]
fn the_time_out_of_a_route_changes_when_it_is_patched() {
    let scenario = format!(
        "duration: 10m\n{NODES}workloads:\n- {{workload: Deployment/web, requests: {{concurrency: 100, waitTime: \
         100ms}}}}\ningress: [{{host: shop.example, load: {{pattern: constant, rps: 10}}, arrivals: even}}]\n\
         timeline:\n- at: 5m\n  patch:\n    workload: HTTPRoute/web\n    patch: {{spec: {{rules: [{{backendRefs: \
         [{{name: web, port: 80}}], timeouts: {{request: 50ms}}}}]}}}}\n"
    );
    let service = report(&scenario, &(web(1) + &http_route(", timeouts: {request: 5s}")));
    assert_eq!(failed(&service, "timeout"), 3_000);
}

/// Pods are deleted, and for a moment requests still go to them.
fn deleted_pods(entrance: &str) -> String {
    let deletion = |minute| {
        format!(
            "- {{at: {minute}m, deletePod: {{workload: Deployment/web, count: 1, force: true}}}}\n"
        )
    };
    let deletions = (2..28).map(deletion).collect::<Vec<_>>().concat();
    format!(
        "duration: 30m\nwarmUp: 1m\n{NODES}workloads:\n- {{workload: Deployment/web, requests: {{concurrency: 100, \
         waitTime: 300ms}}}}\ningress: [{{host: shop.example, load: {{pattern: constant, rps: 100}}{entrance}}}]\n\
         timeline:\n{deletions}"
    )
}

#[test]
fn retries_of_a_route_hide_pods_that_go() {
    let of_rule = |rule: &str| report(&deleted_pods(""), &(web(4) + &http_route(rule)));
    let lost = |service: &ServiceReport| {
        // An address of a pod that is gone answers nothing.
        let unsent = failed(service, "connection refused") + failed(service, "no answer");
        [unsent, failed(service, "container stopped")]
    };
    let [refused, stopped] = lost(&of_rule(""));
    assert!(refused > 20 && stopped > 20, "{refused} {stopped}");
    // What did not reach a pod is tried again; what was in one, only if the rule asks for it.
    let unsent = of_rule(", retry: {attempts: 5}");
    assert_eq!(lost(&unsent)[0], 0);
    assert!(lost(&unsent)[1] > 20, "{:?}", lost(&unsent));
    let all = of_rule(", retry: {attempts: 5, codes: [502]}");
    assert_eq!(lost(&all), [0, 0]);
    assert!(all.retries > unsent.retries, "{:?} {:?}", all.retries, unsent.retries);
}

#[test]
fn an_ingress_of_nginx_passes_requests_on_as_its_annotations_say() {
    let of = |annotations: &str, entrance: &str| {
        report(&deleted_pods(entrance), &(web(4) + &nginx(annotations)))
    };
    let lost = |service: &ServiceReport| {
        // An address of a pod that is gone answers nothing.
        let unsent = failed(service, "connection refused") + failed(service, "no answer");
        [unsent, failed(service, "container stopped")]
    };
    let default = of("", "");
    let [refused, stopped] = lost(&default);
    // Three tries, one pod in four gone: of n requests at that time n/64 fail, after n (1/4 + 1/16) tries.
    let retries = default.retries.expect("some are tried again");
    assert!(retries > 50 && refused + stopped < retries / 8, "{refused} {stopped} {retries}");
    let post = of("", ", idempotent: false");
    assert!(lost(&post)[1] > 20, "{:?}", lost(&post));
    let off = of("nginx.ingress.kubernetes.io/proxy-next-upstream: 'off'", "");
    assert!(lost(&off)[0] > 20 && off.retries.is_none(), "{:?}", lost(&off));
    let short =
        of("nginx.ingress.kubernetes.io/proxy-read-timeout: '1'", ", retries: {attempts: 1}");
    assert!(short.retries > Some(50), "{:?}", short.retries);
}

#[test]
fn what_is_wrong_with_an_entrance_is_told() {
    let scenario = format!(
        "duration: 10m\n{NODES}workloads:\n- {{workload: Deployment/web, requests: {{waitTime: 1ms}}}}\n\
         ingress: [{{host: shop.example, load: {{pattern: constant, rps: 10}}, arrivals: fluid, timeout: 0s, \
         retries: {{attempts: 0}}}}]\n"
    );
    let resolved = resolved(&scenario, &(web(1) + &http_route("")), &[]);
    let said = resolved.check().to_string();
    for expected in [
        "ingress[0].arrivals: fluid traffic has no individual requests to route",
        "ingress[0].timeout: 0s must be longer than 0s",
        "ingress[0].retries.attempts: 0 must be from 1 to 100",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

/// The scenario that is written for these manifests, and the requests that come to `web` in it.
fn started(manifests: &str) -> (String, ServiceReport) {
    let inventory = Inventory::of(&[Source::new("all.yaml", manifests)]);
    let paths = ["all.yaml".to_owned()];
    let starter = Starter {
        name: "x",
        manifests: &paths,
        not_taken: &[],
        left_out: &[],
        helm_charts: &[],
        schema: "s",
        inventory: &inventory,
        traced: &Traced::default(),
        node_groups: &[],
    };
    let text = starter.text();
    let read = ScenarioText::parse(&Source::new("x.yaml", text.as_str()), &[]);
    assert!(read.is_ok(), "{read:?}\n{text}");
    let from = text.find("\nduration:").expect("it has a duration");
    let (body, manifests_of) = (&text[from..], "\nmanifests:\n  - all.yaml\n");
    let scenario = body.replace("duration: 1h", "duration: 10m").replace(manifests_of, "\n");
    (text, report(&scenario, manifests))
}

#[test]
fn a_scenario_to_start_from_sends_requests_by_the_routes_of_the_manifests() {
    let route = http_route(", matches: [{path: {value: /api}}, {path: {value: /}}]");
    for (routes, entrances, paths) in [(route, 2, 1), (nginx(""), 1, 0)] {
        let (text, service) = started(&(web(4) + &routes));
        assert_eq!(text.matches("  - host: shop.example ").count(), entrances, "{text}");
        assert_eq!(text.matches("    path: /api\n").count(), paths, "{text}");
        assert!(text.contains("\ntraffic: []\n"), "{text}");
        // 4 pods of 100m, half busy with 20 ms each: 10/s in all, over 5 minutes.
        assert!((2_600..3_400).contains(&service.arrived), "{}", service.arrived);
    }
    let (text, service) = started(&web(4));
    assert!(
        text.contains("traffic:\n  - service: default/web\n") && !text.contains("\ningress"),
        "{text}"
    );
    assert!((2_600..3_400).contains(&service.arrived), "{}", service.arrived);
}

/// A Deployment with its Service, and an Ingress of ingress-nginx for shop.example, which may be a canary.
fn served(name: &str, annotations: &str) -> String {
    format!("---\n{}{}", web(2), nginx(annotations)).replace("web", name)
}

fn canary(weight: &str) -> String {
    let annotation =
        |name: &str, value: &str| format!("nginx.ingress.kubernetes.io/{name}: '{value}'");
    [annotation("canary", "true"), annotation("canary-weight", weight)].join(", ")
}

fn shared(timeline: &str) -> String {
    format!(
        "duration: 20m\nwarmUp: 2m\n{NODES}workloads:\n- {{workload: Deployment/web, requests: {{concurrency: 100, \
         waitTime: 10ms}}}}\n- {{workload: Deployment/next, requests: {{concurrency: 100, waitTime: 10ms}}}}\n\
         ingress: [{{host: shop.example, load: {{pattern: constant, rps: 100}}}}]\n{timeline}"
    )
}

/// What came to `web` and to its canary, and what of both was not answered.
fn shares(scenario: &str, manifests: &str) -> ([u64; 2], u64) {
    let (report, _) = ran(&resolved(scenario, manifests, &[]));
    let find = |name: &str| report.services.iter().find(|one| one.service == name);
    let services = ["default/web", "default/next"].map(find);
    let lost = services.into_iter().flatten().map(|one| one.arrived - one.answered).sum();
    (services.map(|service| service.map_or(0, |one| one.arrived)), lost)
}

/// Each request goes to the canary by a chance of its own: of n requests that many are binomial.
#[test]
fn a_canary_of_nginx_takes_its_weight_of_the_requests() {
    let split = |weight: &str| {
        let manifests = served("web", "") + &served("next", &canary(weight));
        shares(&shared(""), &manifests).0
    };
    let [all, none] = split("0");
    assert!(all > 100_000 && none == 0, "{all} {none}");
    let mut before = 0;
    for weight in [1, 10, 50] {
        let [left, taken] = split(&weight.to_string());
        assert_eq!(left + taken, all, "the same requests come");
        let (count, chance) = (all as f64, f64::from(weight) / 100.0);
        let deviation = (count * chance * (1.0 - chance)).sqrt();
        assert!((taken as f64 - count * chance).abs() < 4.0 * deviation, "{weight}: {taken}");
        assert!(taken > before);
        before = taken;
    }
    assert_eq!(split("100"), [0, all]);
    let of_1000 = canary("10") + ", nginx.ingress.kubernetes.io/canary-weight-total: '1000'";
    let [_, taken] = shares(&shared(""), &(served("web", "") + &served("next", &of_1000))).0;
    assert!((900..1_300).contains(&taken), "{taken}");
}

/// Its share is lost by weights of an HTTPRoute: there a backend keeps its share whether it answers or not.
#[test]
fn a_canary_of_nginx_takes_nothing_while_one_of_the_two_has_no_endpoint() {
    let scale = |workload: &str| {
        let step = |minute: u32, replicas: u32| {
            format!(
                "- {{at: {minute}m, scale: {{workload: Deployment/{workload}, replicas: {replicas}}}}}\n"
            )
        };
        shared(&format!("timeline:\n{}{}", step(5, 0), step(10, 2)))
    };
    let ingresses = served("web", "") + &served("next", &canary("20"));
    let ([left, taken], lost) = shares(&scale("next"), &ingresses);
    let all = left + taken;
    // A fifth of 13 of the 18 minutes, and a moment in which its pods start again.
    assert!(
        (0.98..1.005).contains(&(taken as f64 / (all as f64 * 0.2 * 13.0 / 18.0))),
        "{taken} of {all}"
    );
    // The second of its two pods stays a backend until the next write, 3.3 s later.
    assert!(lost < 100, "{lost}");
    // Without endpoints of the main Service nobody has any.
    let (_, lost) = shares(&scale("web"), &ingresses);
    assert!((0.995..1.02).contains(&(lost as f64 / (all as f64 * 5.0 / 18.0))), "{lost} of {all}");
    let route = http_route("").replace(
        "[{name: web, port: 80}]",
        "[{name: web, port: 80, weight: 80}, {name: next, port: 80, weight: 20}]",
    );
    let (_, lost) =
        shares(&scale("next"), &(web(2) + "---\n" + &web(2).replace("web", "next") + &route));
    assert!(
        (1.0..1.05).contains(&(lost as f64 / (all as f64 * 0.2 * 5.0 / 18.0))),
        "{lost} of {all}"
    );
}

#[test]
fn requests_for_a_port_that_the_service_lacks_find_nobody() {
    let manifests = web(2) + &nginx("");
    let patch = |minute: u32, number: u32| {
        format!(
            "- at: {minute}m\n  patch: {{workload: Ingress/web, patch: {{spec: {{rules: [{{host: shop.example, \
             http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: \
             {number}}}}}}}}}]}}}}]}}}}}}\n"
        )
    };
    let scenario = shared(&format!("timeline:\n{}{}", patch(5, 81), patch(7, 80))).replace(
        "- {workload: Deployment/next, requests: {concurrency: 100, waitTime: 10ms}}\n",
        "",
    );
    let service = report(&scenario, &manifests);
    let lost = failed(&service, "no ready endpoint") as f64;
    assert!((lost / (service.arrived as f64 * 2.0 / 18.0) - 1.0).abs() < 0.05, "{lost}");
    assert_eq!(service.failed_by_cause.len(), 1, "{:?}", service.failed_by_cause);
}

#[test]
fn a_port_that_the_service_lacks_is_an_error_at_its_line_before_a_run() {
    let scenario = shared("").replace(
        "- {workload: Deployment/next, requests: {concurrency: 100, waitTime: 10ms}}\n",
        "",
    );
    let manifests = web(2) + &nginx("").replace("number: 80", "number: 8080");
    let resolved = resolved(&scenario, &manifests, &[]);
    let said = Blueprint::new(&resolved).expect_err("a mistake").to_string();
    let expected = "error: all.yaml:14: Ingress default/web: spec.rules[0].http.paths[0].backend.service.port.\
                    number: the Service default/web has no port 8080, so ingress-nginx answers 503\n  \
                    help: the Service has port 80\n";
    assert_eq!(said, expected);
}
