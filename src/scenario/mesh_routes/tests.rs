//! VirtualServices and DestinationRules as they are read.

use super::*;
use manifest::{Diagnostics, Source, read_manifests};
use traffic::FailureCause;

fn read(text: &str) -> (MeshRouting, String) {
    let sources = [Source::new("mesh.yaml", text)];
    let mut unread = Diagnostics::default();
    let manifests = read_manifests(&sources, &mut unread);
    assert!(!unread.has_errors(), "{unread}");
    let (routing, problems) = MeshRouting::of(&manifests);
    let mut said = Diagnostics::default();
    for problem in problems {
        said.push(problem);
    }
    (routing, said.to_string())
}

fn virtual_service(hosts: &str, http: &str) -> String {
    format!(
        "{{apiVersion: networking.istio.io/v1beta1, kind: VirtualService, metadata: {{name: v, namespace: shop}}, spec: \
         {{hosts: [{hosts}], http: [{http}]}}}}\n"
    )
}

fn service(name: &str) -> NamespacedName {
    NamespacedName::new("shop", name)
}

fn route(http: &str) -> Route {
    let (routing, said) = read(&virtual_service("db", http));
    assert_eq!(said, "");
    routing.route(&service("db")).cloned().expect("a route")
}

#[test]
fn hosts_are_services_of_the_own_namespace_unless_they_say_otherwise() {
    let hosts = "db, other.far, full.far.svc.cluster.local, api.example.com, '*.shop'";
    let (routing, _) = read(&virtual_service(hosts, "{route: [{destination: {host: db}}]}"));
    let known: Vec<String> = routing.routes.keys().map(ToString::to_string).collect();
    assert_eq!(known, ["far/full", "far/other", "shop/db"]);
}

#[test]
fn destinations_have_weights_and_subsets() {
    let route = route(
        "{timeout: 2.5s, route: [{destination: {host: db, subset: v1}, weight: 90}, {destination: {host: next}, weight: \
         10}], mirror: {host: shadow.far}, mirrorPercentage: {value: 25}}",
    );
    let target = |service: NamespacedName, subset: Option<&str>| Target {
        service,
        subset: subset.map(str::to_owned),
    };
    assert_eq!(
        route.destinations,
        [(target(service("db"), Some("v1")), 90.0), (target(service("next"), None), 10.0)]
    );
    assert_eq!(route.timeout, Some(SimDuration::from_millis(2500)));
    let shadow = target(NamespacedName::new("far", "shadow"), None);
    assert_eq!(route.mirror, Some((shadow, 0.25)));
}

#[test]
fn retries_name_their_failures() {
    use FailureCause::{
        ApplicationError, Blocked, Dependency, Killed, QueueFull, Refused, Shed, Timeout,
        Unreachable,
    };
    let causes = |retry_on: &str| -> Vec<FailureCause> {
        let route = route(&format!("{{retries: {{attempts: 3, retryOn: {retry_on:?}}}}}"));
        let retries = route.retries.and_then(|retries| retries.retries).expect("retries");
        FailureCause::ALL.into_iter().filter(|cause| retries.causes.contains(*cause)).collect()
    };
    let connect = vec![Refused, Unreachable, Blocked];
    assert_eq!(causes("connect-failure,refused-stream"), connect);
    assert_eq!(causes("503"), [QueueFull, Shed]);
    assert_eq!(
        causes("5xx"),
        [
            Refused,
            QueueFull,
            Timeout,
            Killed,
            Unreachable,
            Shed,
            Dependency,
            Blocked,
            ApplicationError
        ]
    );
    assert_eq!(causes(""), connect, "the mesh's default");
    assert_eq!(causes("retriable-4xx"), []);
    let none = route("{retries: {attempts: 0}}").retries.expect("written");
    assert_eq!(none.retries, None, "no retries at all");
    let tried = route("{retries: {attempts: 2, perTryTimeout: 300ms}}").retries.expect("written");
    assert_eq!(tried.try_timeout, Some(SimDuration::from_millis(300)));
    let usual = default_retries().retries.expect("istiod's");
    assert_eq!((usual.spec.attempts, usual.causes.contains(Refused)), (2, true));
}

#[test]
fn faults_have_shares() {
    let route = route(
        "{fault: {delay: {percentage: {value: 10}, fixedDelay: 5s}, abort: {percentage: {value: 0.5}, httpStatus: 503}}}",
    );
    assert_eq!(route.delay, Some((SimDuration::from_secs(5), 0.1)));
    assert!((route.abort_share - 0.005).abs() < 1e-12);
}

#[test]
fn the_entry_without_conditions_applies_to_calls() {
    let text = virtual_service(
        "db",
        "{match: [{headers: {user: {exact: tester}}}], timeout: 1s}, {match: [{uri: {prefix: /slow}}], timeout: 2s}, \
         {timeout: 3s}",
    );
    let (routing, said) = read(&text);
    let route = routing.route(&service("db")).expect("a route");
    assert_eq!((route.entry, route.timeout), (Some(2), Some(SimDuration::from_secs(3))));
    assert!(said.contains("spec.http[0].match: `match` is ignored: calls have neither"), "{said}");
    let (routing, said) =
        read(&virtual_service("db", "{match: [{uri: {prefix: /slow}}], timeout: 2s}"));
    assert_eq!(routing.route(&service("db")).expect("a route").entry, Some(0));
    assert!(said.contains("calls have no path, and are all taken to match"), "{said}");
}

#[test]
fn a_virtual_service_of_a_gateway_alone_is_none_for_calls() {
    let text = virtual_service("db", "{timeout: 1s}").replace("http:", "gateways: [front], http:");
    let (routing, said) = read(&text);
    assert_eq!(routing.route(&service("db")), None);
    assert!(said.contains("`gateways` is ignored: only calls between pods follow it"), "{said}");
}

#[test]
fn a_subset_has_its_own_policy_and_else_that_of_its_service() {
    let (routing, said) = read(
        "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: shop}, spec: {host: db, \
         trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {consecutive5xxErrors: 7, baseEjectionTime: \
         1m, maxEjectionPercent: 50}, connectionPool: {tcp: {connectTimeout: 30ms, maxConnections: 5}}}, subsets: [{name: \
         v1, labels: {version: v1}}, {name: v2, labels: {version: v2}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]}}\n",
    );
    let target = |subset: &str| Target { service: service("db"), subset: Some(subset.to_owned()) };
    let (one, two) = (routing.policy(&target("v1")), routing.policy(&target("v2")));
    assert_eq!((one.balancer, two.balancer), (Some(Balancer::RoundRobin), Some(Balancer::Random)));
    let outliers = two.outlier_detection.expect("that of the Service");
    assert_eq!(outliers.consecutive_failures, 7);
    assert_eq!(outliers.base_ejection_time, SimDuration::from_secs(60));
    assert!((outliers.max_ejected_share - 0.5).abs() < 1e-12);
    assert_eq!(one.connect_timeout, Some(SimDuration::from_millis(30)));
    let labels = routing.labels(&target("v2")).expect("a subset");
    assert_eq!(labels.get("version").map(ToString::to_string), Some("v2".to_owned()));
    assert_eq!(routing.labels(&target("v3")), None);
    let limited =
        |most| ConnectionPool { max_connections: Some(most), ..ConnectionPool::default() };
    assert_eq!((one.pool, two.pool), (Some(limited(5)), Some(limited(5))));
    assert!(!said.contains("connectionPool"), "{said}");
}

#[test]
fn limits_of_a_connection_pool_are_those_that_envoy_gets() {
    let pool = |port: &str, pool: &str| {
        let (routing, said) = read(&format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: db, namespace: shop}}, spec: {{ports: [{{port: 80{port}}}]}}}}\n\
             ---\n{{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {{name: d, namespace: shop}}, spec: \
             {{host: db, trafficPolicy: {{connectionPool: {{{pool}}}}}}}}}\n"
        ));
        assert!(!said.contains("is ignored"), "{said}");
        routing.policy(&Target { service: service("db"), subset: None }).pool
    };
    let all = "tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 2, http2MaxRequests: 3, \
               maxRequestsPerConnection: 4}";
    let [one, two, three, four] = [1, 2, 3, 4].map(Some);
    let expected = ConnectionPool {
        max_connections: one,
        max_pending: two,
        max_requests: three,
        max_requests_per_connection: four,
    };
    for port in ["", ", name: http", ", name: tcp-grpc"] {
        assert_eq!(pool(port, all), Some(expected), "{port}");
    }
    // Of HTTP/2 the number of calls alone is limited.
    let of_calls = ConnectionPool { max_requests: three, ..ConnectionPool::default() };
    for port in [", name: grpc-api", ", name: http2", ", name: tcp, appProtocol: kubernetes.io/h2c"]
    {
        assert_eq!(pool(port, all), Some(of_calls), "{port}");
    }
    assert_eq!(pool("", "tcp: {maxConnections: 0}, http: {http1MaxPendingRequests: 0}"), None);
}

#[test]
fn what_is_not_simulated_is_told_by_name() {
    for (field, value) in [("headers", "{}"), ("rewrite", "{uri: /}"), ("redirect", "{uri: /}")] {
        let (_, said) = read(&virtual_service("db", &format!("{{{field}: {value}}}")));
        assert!(said.contains(&format!("`{field}` is ignored")), "{said}");
    }
    for (path, _) in ignored::IGNORED_OF_POLICY {
        let mut policy = "1".to_owned();
        for name in path.rsplit('.') {
            policy = format!("{{{name}: {policy}}}");
        }
        let (_, said) = read(&format!(
            "{{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {{name: d}}, spec: {{host: db, \
             trafficPolicy: {policy}}}}}\n"
        ));
        assert!(said.contains(&format!("spec.trafficPolicy.{path}: ")), "{path}: {said}");
    }
}
