//! Where requests to hosts and paths go, by Ingresses and HTTPRoutes of a cluster.

mod problems;

use serde_json::json;

use super::*;
use engine::SimDuration;
use http_route::gateway_duration;
use nginx::PREFIX;
use nginx_annotations::Role;
use traffic::{Causes, FailureCause, IngressRouteSpec, RateLimit, RoutePolicy};

type Object = (ObjectReference, Value);

fn routing(objects: &[Object]) -> Routing {
    Routing::of(objects.iter().map(|(object, value)| (object, value)))
}

fn object(name: &str, value: Value) -> Object {
    (name.parse().expect("a reference"), value)
}

fn annotations(given: &[(&str, &str)]) -> Value {
    given.iter().map(|(name, value)| (format!("{PREFIX}{name}"), json!(value))).collect()
}

/// An Ingress with rules for these hosts and paths, each with its Service.
fn ingress(class: &str, name: &str, rules: &[(&str, &str)], given: &[(&str, &str)]) -> Object {
    let rules = rules.iter().map(|(place, service)| {
        let (host, path) = place.split_at(place.find('/').expect("a path"));
        let kind = if path.ends_with("checkout") { "Exact" } else { "Prefix" };
        let backend = json!({"service": {"name": service, "port": {"number": 80}}});
        json!({"host": host, "http": {"paths": [{"path": path, "pathType": kind, "backend": backend}]}})
    });
    let spec = json!({"ingressClassName": class, "rules": rules.collect::<Vec<_>>()});
    let value = json!({"metadata": {"annotations": annotations(given)}, "spec": spec});
    object(&format!("Ingress/shop/{name}"), value)
}

fn http_route(spec: &Value) -> Object {
    object("HTTPRoute/shop/api", json!({"spec": spec}))
}

#[test]
fn the_most_exact_rule_wins_and_has_its_weights() {
    let rules = [
        ("shop.example/", "web"),
        ("shop.example/cart", "cart"),
        ("shop.example/cart/checkout", "checkout"),
        ("*.example/", "others"),
    ];
    let fallback = json!({"spec": {"defaultBackend": {"service": {"name": "fallback"}}}});
    let route = http_route(&json!({
        "hostnames": ["api.shop.test"],
        "rules": [
            {"matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}],
             "backendRefs": [{"name": "old", "weight": 90}, {"name": "new", "weight": 10}]},
            {"matches": [{"path": {"value": "/v1"}, "method": "POST"}],
             "backendRefs": [{"name": "writer"}]},
        ],
    }));
    let fallback = object("Ingress/shop/fallback", fallback);
    let routing = routing(&[ingress("haproxy", "front", &rules, &[]), fallback, route]);
    for (host, path, service) in [
        ("shop.example", "/", "web"),
        ("shop.example", "/cartoons", "web"),
        ("shop.example", "/cart", "cart"),
        ("shop.example", "/cart/items", "cart"),
        ("shop.example", "/cart/checkout", "checkout"),
        ("blog.example", "/cart", "others"),
        ("example", "/", "fallback"),
        ("api.shop.test", "/v1/items", "old"),
        ("api.shop.test", "/v2", "fallback"),
    ] {
        let rule = routing.find(host, path).expect("a rule");
        assert_eq!(&*rule.backends[0].service.name, service, "{host}{path}");
    }
    let rule = routing.find("api.shop.test", "/v1").expect("a rule");
    let weights: Vec<u64> = rule.backends.iter().map(|one| one.weight).collect();
    assert_eq!(weights, [90, 10]);
    assert_eq!(rule.object.to_string(), "HTTPRoute/shop/api");
}

#[test]
fn what_is_wrong_in_an_object_keeps_nobody_from_reading_the_rest() {
    let route = http_route(&json!({"hostnames": [7, "a"], "rules": [
        {"backendRefs": [{"name": "web", "weight": 0.5, "port": "http"}], "timeouts": 3, "x": {}},
    ]}));
    let routing = routing(&[route, object("Ingress/shop/web", json!({"spec": []}))]);
    let backend = &routing.find("a", "/").expect("a rule").backends[0];
    assert_eq!((&*backend.service.name, backend.weight, &backend.port), ("web", 1, &None));
}

#[test]
fn limits_of_nginx_are_those_of_ingresses_that_are_its_own() {
    let has_limits = |class: Value, annotations: &Value, classes: &[&Value]| {
        let ingress = json!({
            "metadata": {"annotations": annotations},
            "spec": {"ingressClassName": class, "defaultBackend": {"service": {"name": "web"}}},
        });
        let classes = classes.iter().enumerate();
        let classes = classes
            .map(|(number, class)| object(&format!("IngressClass/c{number}"), (*class).clone()));
        let routing =
            routing(&classes.chain([object("Ingress/shop/front", ingress)]).collect::<Vec<_>>());
        routing.limits(routing.find("a", "/").expect("a rule")) != RouteLimits::default()
    };
    let (none, read) = (json!({}), annotations(&[("proxy-read-timeout", "5")]));
    let of = |controller: &str| {
        let default = json!({"ingressclass.kubernetes.io/is-default-class": "true"});
        json!({"metadata": {"annotations": default}, "spec": {"controller": controller}})
    };
    let nginx = of("k8s.io/ingress-nginx");
    let other = of("haproxy.org/ingress-controller");
    assert!(has_limits(json!("nginx"), &none, &[]));
    assert!(!has_limits(json!("haproxy"), &read, &[]));
    assert!(has_limits(json!("c0"), &none, &[&nginx]));
    assert!(!has_limits(json!("c0"), &read, &[&other]));
    assert!(!has_limits(json!(null), &none, &[]));
    assert!(has_limits(json!(null), &read, &[]));
    assert!(!has_limits(json!(null), &read, &[&other]));
    assert!(has_limits(json!(null), &none, &[&nginx]));
}

/// The policy for requests to a route with these settings of the scenario.
fn policy(route: Object, more: Value) -> RoutePolicy {
    let mut spec = json!({"host": "a", "load": {"pattern": "constant", "rps": 1}});
    let Value::Object(more) = more else { panic!("{more}") };
    spec.as_object_mut().expect("settings").extend(more);
    let ingress_route: IngressRouteSpec = serde_json::from_value(spec).expect("settings");
    let routing = routing(&[route]);
    routing.limits(routing.find("a", "/").expect("a rule")).policy(&ingress_route)
}

fn of_rule(mut rule: Value, more: Value) -> RoutePolicy {
    rule["backendRefs"] = json!([{"name": "web"}]);
    policy(http_route(&json!({"rules": [rule]})), more)
}

fn of_ingress(annotations: &[(&str, &str)], more: Value) -> RoutePolicy {
    policy(ingress("nginx", "web", &[("a/", "web")], annotations), more)
}

#[expect(clippy::unnecessary_wraps, reason = "what it is compared with may be absent")]
fn seconds(count: i64) -> Option<SimDuration> {
    Some(SimDuration::from_secs(count))
}

#[test]
fn a_duration_of_gateway_api_is_digits_and_units() {
    for (text, millis) in [
        ("0s", Some(0)),
        ("1m30s", Some(90_000)),
        ("1h2m3s4ms", Some(3_723_004)),
        ("99999ms", Some(99_999)),
        ("30s1m", Some(90_000)),
        ("", None),
        ("10", None),
        ("1.5s", None),
        ("-1s", None),
        ("100000s", None),
        ("1s1s1s1s1s", None),
        ("1d", None),
        ("5us", None),
    ] {
        assert_eq!(gateway_duration(text), millis.map(SimDuration::from_millis), "{text}");
    }
}

#[test]
fn a_rule_that_says_nothing_leaves_clients_their_patience() {
    let policy = of_rule(json!({}), json!({}));
    assert_eq!(policy, RoutePolicy { timeout: seconds(60), ..RoutePolicy::default() });
    assert_eq!(policy.patience(), seconds(60));
    assert_eq!(of_rule(json!({}), json!({"timeout": "3s"})).patience(), seconds(3));
}

#[test]
fn the_shorter_of_the_rules_and_the_clients_time_counts() {
    let rule = json!({"timeouts": {"request": "10s", "backendRequest": "2s"}});
    let timeout = |more: Value| of_rule(rule.clone(), more).timeout;
    assert_eq!(timeout(json!({})), seconds(10));
    assert_eq!(timeout(json!({"timeout": "3s"})), seconds(3));
    assert_eq!(timeout(json!({"timeout": "100s"})), seconds(10));
    assert_eq!(of_rule(rule.clone(), json!({})).try_timeout, seconds(2));
    let unlimited = json!({"timeouts": {"request": "0s", "backendRequest": "0s"}});
    assert_eq!(of_rule(unlimited.clone(), json!({})), RoutePolicy::default());
    assert_eq!(of_rule(unlimited, json!({"timeout": "3s"})).timeout, seconds(3));
}

#[test]
fn a_rule_tries_again_what_was_not_sent_what_took_too_long_and_the_answers_that_it_names() {
    let retried = |retry: Value| {
        let retries = of_rule(json!({"retry": retry}), json!({})).retries.expect("retries");
        let causes = FailureCause::ALL.into_iter().filter(|one| retries.causes.contains(*one));
        (retries.spec.attempts, causes.collect::<Vec<_>>())
    };
    let always = [
        FailureCause::Refused,
        FailureCause::Timeout,
        FailureCause::Unreachable,
        FailureCause::Blocked,
    ];
    assert_eq!(retried(json!({})), (1, always.to_vec()));
    let (attempts, causes) = retried(json!({"attempts": 3, "codes": [500, 503]}));
    assert_eq!(attempts, 3);
    let further = [
        FailureCause::QueueFull,
        FailureCause::Shed,
        FailureCause::Dependency,
        FailureCause::ApplicationError,
    ];
    assert!(always.iter().chain(&further).all(|one| causes.contains(one)), "{causes:?}");
    assert_eq!(causes.len(), 8, "{causes:?}");
    assert!(of_rule(json!({"retry": {"attempts": 0}}), json!({})).retries.is_none());
}

#[test]
fn the_scenario_says_how_requests_are_tried_again_if_it_says_it() {
    let rule = json!({"timeouts": {"backendRequest": "2s"}, "retry": {"attempts": 3}});
    let policy = of_rule(rule.clone(), json!({"retries": {"attempts": 2, "budget": 0.2}}));
    let retries = policy.retries.expect("retries");
    assert_eq!((retries.spec.attempts, retries.spec.budget), (2, Some(0.2)));
    assert_eq!(retries.causes, Causes::ALL);
    assert_eq!(policy.try_timeout, seconds(2));
    let own = json!({"retries": {"perTryTimeout": "1s"}});
    assert_eq!(of_rule(rule, own).try_timeout, seconds(1));
}

#[test]
fn nginx_tries_three_pods_where_it_is_told_nothing() {
    let policy = of_ingress(&[], json!({}));
    assert_eq!(policy.timeout, None);
    assert_eq!((policy.try_timeout, policy.connect_timeout), (seconds(60), seconds(5)));
    let retries = policy.retries.expect("retries");
    assert_eq!((retries.spec.attempts, retries.window), (2, None));
    assert_eq!(retries.spec.backoff, SimDuration::ZERO);
    let unsent = [FailureCause::Refused, FailureCause::Unreachable, FailureCause::Blocked];
    let sent = [FailureCause::Killed, FailureCause::Timeout];
    assert_eq!(retries.causes, Causes::of(unsent.into_iter().chain(sent)));
}

#[test]
fn nginx_repeats_a_post_only_if_no_pod_has_it_or_it_is_told_to() {
    let causes = |annotations: &[(&str, &str)]| {
        of_ingress(annotations, json!({"idempotent": false})).retries.expect("retries").causes
    };
    let unsent =
        Causes::of([FailureCause::Refused, FailureCause::Unreachable, FailureCause::Blocked]);
    assert_eq!(causes(&[]), unsent);
    assert_eq!(causes(&[("proxy-next-upstream", "error timeout http_503")]), unsent);
    let all = causes(&[("proxy-next-upstream", "error non_idempotent")]);
    assert_eq!(all, Causes::of([FailureCause::Refused, FailureCause::Killed]));
}

#[test]
fn annotations_of_nginx_say_how_long_and_how_often() {
    let given = [
        ("proxy-read-timeout", "7"),
        ("proxy-connect-timeout", "2"),
        ("proxy-next-upstream-tries", "0"),
        ("proxy-next-upstream-timeout", "9"),
    ];
    let policy = of_ingress(&given, json!({"timeout": "20s"}));
    assert_eq!(policy.timeout, seconds(20));
    assert_eq!((policy.try_timeout, policy.connect_timeout), (seconds(7), seconds(2)));
    let retries = policy.retries.expect("retries");
    assert!(retries.is_once_per_endpoint);
    assert_eq!(retries.window, seconds(9));
    for annotation in [
        ("proxy-next-upstream", "off"),
        ("proxy-next-upstream-tries", "1"),
        ("service-upstream", "true"),
    ] {
        assert!(of_ingress(&[annotation], json!({})).retries.is_none(), "{annotation:?}");
    }
}

/// Whether a Service has the port that an Ingress of this class, or an HTTPRoute, asks for.
fn has(class: Option<&str>, service: &Value, port: &Value) -> bool {
    let route = if let Some(class) = class {
        let backend = json!({"service": {"name": "web", "port": port}});
        let spec = json!({"ingressClassName": class, "defaultBackend": backend});
        object("Ingress/shop/web", json!({"spec": spec}))
    } else {
        http_route(&json!({"rules": [{"backendRefs": [{"name": "web", "port": port}]}]}))
    };
    let routing = routing(&[object("Service/shop/web", json!({"spec": service})), route]);
    let rule = routing.find("a", "/").expect("a rule");
    routing.has_port(rule, &rule.backends[0])
}

#[test]
fn a_port_is_known_by_its_number_or_its_name() {
    let service = json!({"ports": [{"name": "http", "port": 80, "targetPort": 8080}]});
    for class in ["nginx", "haproxy"] {
        let has = |port| has(Some(class), &service, &port);
        assert!(has(json!({"number": 80})) && has(json!({"name": "http"})), "{class}");
        assert!(!has(json!({"number": 81})) && !has(json!({"name": "web"})), "{class}");
    }
    assert!(has(None, &service, &json!(80)));
    assert!(!has(None, &service, &json!(81)));
}

#[test]
fn the_port_of_the_pods_will_do_for_ingress_nginx_alone() {
    let numbered = json!({"ports": [{"port": 80, "targetPort": 8080}]});
    let named = json!({"ports": [{"port": 80, "targetPort": "http"}]});
    let by_number = json!({"number": 8080});
    for (service, port) in [(&numbered, &by_number), (&named, &json!({"name": "http"}))] {
        assert!(has(Some("nginx"), service, port), "{port}");
        assert!(!has(Some("haproxy"), service, port), "{port}");
    }
    assert!(!has(None, &numbered, &json!(8080)));
}

#[test]
fn nothing_is_known_against_external_names_and_a_headless_service_needs_its_port() {
    let external = json!({"type": "ExternalName", "externalName": "a.b"});
    assert!(has(Some("nginx"), &external, &json!({"number": 81})));
    let headless = json!({"clusterIP": "None", "ports": [{"port": 80}]});
    assert!(has(Some("nginx"), &headless, &json!({"number": 80})));
    assert!(!has(Some("nginx"), &headless, &json!({"number": 81})));
    assert!(!has(None, &json!({"clusterIP": "None"}), &json!(80)));
    assert!(has(Some("nginx"), &json!({"ports": [{"port": 80}]}), &json!({})));
}

const CANARY: [(&str, &str); 2] = [("canary", "true"), ("canary-weight", "10")];

/// Services with their weights for requests to a host and path.
fn shares(objects: &[Object], host: &str, path: &str) -> Vec<(String, u64)> {
    let routing = routing(objects);
    let parts = routing.destinations(routing.find(host, path).expect("a rule")).into_iter();
    parts.map(|(one, weight)| (one.service.name.to_string(), weight)).collect()
}

fn two(old: u64, new: u64) -> Vec<(String, u64)> {
    vec![("old".to_owned(), old), ("new".to_owned(), new)]
}

fn all(service: &str) -> Vec<(String, u64)> {
    vec![(service.to_owned(), 1)]
}

fn main() -> Object {
    ingress("nginx", "main", &[("a/", "old")], &[])
}

#[test]
fn a_canary_takes_its_weight_of_a_total_that_is_100_at_least() {
    let shared = |annotations: &[(&str, &str)]| {
        let marked = [&[("canary", "true")], annotations].concat();
        let canary = ingress("nginx", "canary", &[("a/", "new")], &marked);
        let shared = shares(&[canary.clone(), main()], "a", "/");
        assert_eq!(shared, shares(&[main(), canary], "a", "/"), "in any order");
        shared
    };
    assert_eq!(shared(&[("canary-weight", "10")]), two(90, 10));
    assert_eq!(shared(&[("canary-weight", "0")]), two(100, 0));
    assert_eq!(shared(&[("canary-weight", "100")]), two(0, 100));
    assert_eq!(shared(&[("canary-weight", "200")]), two(0, 100));
    let of_1000 = [("canary-weight", "10"), ("canary-weight-total", "1000")];
    assert_eq!(shared(&of_1000), two(990, 10));
    assert_eq!(shared(&[("canary-weight", "5"), ("canary-weight-total", "10")]), two(95, 5));
    assert_eq!(shared(&[("canary-by-header", "X-Canary")]), two(100, 0));
    assert_eq!(shared(&[("canary-weight", "ten")]), two(100, 0));
}

#[test]
fn a_canary_of_another_controller_or_that_is_not_marked_is_a_rule_like_any_other() {
    let [first, second] = [("main", "old", &[][..]), ("canary", "new", &CANARY)]
        .map(|(name, service, marks)| ingress("haproxy", name, &[("a/", service)], marks));
    assert_eq!(shares(&[first, second], "a", "/"), all("old"));
    let unmarked = [("canary", "false"), ("canary-weight", "10")];
    let canary = ingress("nginx", "canary", &[("a/", "new")], &unmarked);
    assert_eq!(shares(&[canary, main()], "a", "/"), all("new"));
}

#[test]
fn a_canary_takes_from_all_rules_with_the_backend_of_the_one_beside_it() {
    let rules = [("a/", "old"), ("a/api", "old"), ("a/cart", "cart"), ("b/", "old")];
    let canary = ingress("nginx", "canary", &[("a/api", "new")], &CANARY);
    let objects = [ingress("nginx", "main", &rules, &[]), canary];
    for (host, path) in [("a", "/api"), ("a", "/"), ("b", "/")] {
        assert_eq!(shares(&objects, host, path), two(90, 10), "{host}{path}");
    }
    assert_eq!(shares(&objects, "a", "/cart"), all("cart"));
}

#[test]
fn the_reason_of_a_canary_without_requests_is_known() {
    let outcome = |canary: &[(&str, &str)], later: &[(&str, &str)]| {
        let objects = [
            ingress("nginx", "main", &[("a/", "old"), ("a/shop", "shop")], &[]),
            ingress("nginx", "one", canary, &CANARY),
            ingress("nginx", "two", later, &CANARY),
        ];
        let routing = routing(&objects);
        let outcome = format!("{:?}", routing.outcome(routing.rules.last().expect("a rule")));
        (outcome.split('(').next().unwrap_or_default().to_owned(), shares(&objects, "a", "/"))
    };
    assert_eq!(outcome(&[], &[("a/", "new")]), ("Active".into(), two(90, 10)));
    assert_eq!(outcome(&[], &[("b/", "new")]), ("WithoutMain".into(), all("old")));
    assert_eq!(outcome(&[], &[("a/", "shop")]), ("IsMain".into(), all("old")));
    assert_eq!(outcome(&[("a/", "new")], &[("a/", "newer")]), ("Second".into(), two(90, 10)));
    // One rule that fits nothing takes the Service from the other.
    assert_eq!(outcome(&[("a/none", "new")], &[("a/", "new")]), ("Dropped".into(), all("old")));
    assert_eq!(outcome(&[("b/none", "new")], &[("a/", "new")]), ("Active".into(), two(90, 10)));
}

#[test]
fn a_canary_without_its_port_or_whose_main_lacks_its_own_takes_nothing() {
    let objects = |ports: [u16; 2]| {
        let services = ["old", "new"].into_iter().zip(ports).map(|(name, port)| {
            object(&format!("Service/shop/{name}"), json!({"spec": {"ports": [{"port": port}]}}))
        });
        let canary = ingress("nginx", "canary", &[("a/", "new")], &CANARY);
        services.chain([main(), canary]).collect::<Vec<_>>()
    };
    assert_eq!(shares(&objects([80, 80]), "a", "/"), two(90, 10));
    assert_eq!(shares(&objects([80, 81]), "a", "/"), all("old"));
    assert_eq!(shares(&objects([81, 80]), "a", "/"), all("old"));
    let without = routing(&objects([81, 80]));
    assert!(!without.destinations(without.find("a", "/").expect("a rule"))[0].0.has_port);
}

#[test]
fn limits_per_client_have_the_burst_and_the_units_of_nginx() {
    let limits = |annotations: &[(&str, &str)]| {
        of_ingress(annotations, json!({})).client_limits.map(|limits| (*limits).clone())
    };
    let rate = |milli_per_second, burst| Some(RateLimit { milli_per_second, burst });
    assert_eq!(limits(&[("limit-burst-multiplier", "3")]), None);
    assert_eq!(limits(&[("limit-rps", "0"), ("limit-rpm", "0")]), None);
    let own = limits(&[("limit-rps", "2"), ("limit-rpm", "100")]).expect("limits");
    assert_eq!((&*own.zone, own.clients, own.connections), ("shop/web", 1000, None));
    // 100 a minute are 1.666 a second in nginx.
    assert_eq!(own.rates, [rate(2_000, 10), rate(1_666, 500)]);
    let own =
        limits(&[("limit-rpm", "60"), ("limit-burst-multiplier", "1"), ("limit-connections", "7")]);
    let own = own.expect("limits");
    assert_eq!((own.rates, own.connections), ([None, rate(1_000, 60)], Some(7)));
    let of_clients = of_ingress(&[("limit-rps", "2")], json!({"clients": 5}));
    assert_eq!(of_clients.client_limits.expect("limits").clients, 5);
    // The clients' patience is not the only limit.
    assert_eq!(of_clients.retries.map(|_| ()), of_ingress(&[], json!({})).retries.map(|_| ()));
}

#[test]
fn every_annotation_is_read_or_neutral_or_told_with_its_consequence() {
    for (name, role) in nginx_annotations::ANNOTATIONS {
        let mut findings = RouteFindings::default();
        let value = if name == "mirror-target" { "http://shadow.shop.svc" } else { "1" };
        let given = [(format!("{PREFIX}{name}"), value.to_owned())].into_iter().collect();
        let object = "Ingress/default/web".parse().expect("a reference");
        nginx::Annotations::read(&object, &given, &mut findings);
        let told = findings.0.iter().any(|one| one.message.contains("ignored: "));
        match role {
            // Without `canary` those of a canary are in vain, and say so.
            Role::Read => assert!(!told || name.starts_with("canary-"), "{name}"),
            Role::Neutral(reason) => assert!(findings.0.is_empty() && !reason.is_empty(), "{name}"),
            Role::Ignored(_) => assert!(told, "{name}"),
        }
    }
    let names = nginx_annotations::ANNOTATIONS.map(|(name, _)| name);
    assert!(names.is_sorted(), "each once");
}
