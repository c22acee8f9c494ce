//! What the invoice has beside the nodes, from scenario and manifests to its lines.

use crate::in_memory::resolved;
use crate::texts::{self, ran};
use wavetank::report::{ChargeLine, CostReport};

/// `web` in zone a calls `db` in zone b; two Ingresses of a controller that is not among the manifests.
const MANIFESTS: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {topology.kubernetes.io/zone: a}
      containers: [{name: web, image: web:1, resources: {requests: {cpu: 500m}}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      nodeSelector: {topology.kubernetes.io/zone: b}
      containers: [{name: db, image: db:1, resources: {requests: {cpu: 500m}}}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec:
  ingressClassName: nginx
  defaultBackend: {service: {name: web, port: {number: 80}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: admin, namespace: shop}
spec:
  ingressClassName: nginx
  defaultBackend: {service: {name: web, port: {number: 80}}}
";

/// The lines of half an hour with twenty requests a second, of which the first ten minutes are a warm-up.
fn bill(cloud: &str) -> Vec<ChargeLine> {
    bill_with(cloud, "", "[]")
}

/// Those with more settings of the bill, and a timeline.
fn bill_with(cloud: &str, settings: &str, timeline: &str) -> Vec<ChargeLine> {
    cost_with(cloud, settings, timeline, "").charges
}

/// The cost with more traffic besides.
fn cost_with(cloud: &str, settings: &str, timeline: &str, traffic: &str) -> CostReport {
    let scenario = format!(
        "
apiVersion: wavetank/v1
kind: Scenario
name: bill
duration: 30m
warmUp: 10m
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: a, count: 2, zones: [a, b], capacity: {{cpu: 4, memory: 16Gi}}}}]}}
workloads:
  - workload: Deployment/shop/web
    requests: {{cpuTime: 5ms, concurrency: 16, calls: [{{service: shop/db, timeout: 1s}}]}}
  - workload: Deployment/shop/db
    requests: {{cpuTime: 2ms, concurrency: 16}}
traffic:
  - {{service: shop/web, load: {{pattern: constant, rps: 20}}, arrivals: even, timeout: 2s}}{traffic}
timeline: {timeline}
bill: {{cloud: {cloud}, requestSize: 1Ki, responseSize: 9Ki{settings}}}
"
    );
    let resolved = resolved(&scenario, MANIFESTS, &[]).unwrap_or_else(|error| panic!("{error}"));
    wavetank::sweep::run(&resolved, 1, |_| {}).expect("a run").cost
}

fn amount(bill: &[ChargeLine], item: &str) -> f64 {
    bill.iter().find(|line| line.item == item).unwrap_or_else(|| panic!("{bill:?}")).amount
}

/// GiB of the calls of half an hour that went on like its last twenty minutes, there and back.
const CROSSED_GIB: f64 = 20.0 * 1_800.0 * 10.0 / (1024.0 * 1024.0);

#[test]
fn both_ends_of_traffic_between_zones_pay_on_aws_and_one_end_on_google() {
    for (cloud, ends) in [("aws", 2.0), ("gcp", 1.0)] {
        let crossed = amount(&bill(cloud), "zone-egress") / (ends * CROSSED_GIB);
        assert!((crossed - 1.0).abs() < 1e-3, "{cloud}: {crossed} of what there was");
    }
}

#[test]
fn calls_of_services_are_not_requests_of_clients_where_a_service_has_both() {
    let traffic = "
  - {service: shop/db, load: {pattern: constant, rps: 10}, arrivals: even, timeout: 2s}";
    let cost = cost_with("aws", "", "[]", traffic);
    let crossed = amount(&cost.charges, "zone-egress") / (2.0 * CROSSED_GIB);
    assert!((crossed - 1.0).abs() < 1e-3, "{crossed} of the calls");
    let sent = amount(&cost.charges, "internet-egress") / (1.5 * 0.9 * CROSSED_GIB);
    assert!((sent - 1.0).abs() < 1e-3, "{sent} of what clients got");
    // Two thirds of the cost are of the time in which 30 requests a second are counted.
    let million = cost.million_requests_usd.expect("answers").as_usd();
    let expected = cost.total_usd.as_usd() / 1.5 / (30.0 * 1_200.0) * 1e6;
    assert!((million / expected - 1.0).abs() < 1e-3, "{million} {expected}");
}

#[test]
fn the_warm_up_sends_to_the_internet_as_much_as_the_rest_of_the_run() {
    let sent = amount(&bill("aws"), "internet-egress") / (0.9 * CROSSED_GIB);
    assert!((sent - 1.0).abs() < 1e-3, "{sent} of what there was");
}

#[test]
fn ingresses_of_one_class_share_a_load_balancer() {
    let hours = amount(&bill("aws"), "load-balancer");
    assert!((hours - 0.5).abs() < 1e-6, "{hours} hours");
}

#[test]
fn each_zone_has_an_address_of_a_load_balancer_on_aws() {
    // Half an hour in two zones; the NAT gateway's address is a line of its own.
    let hours = amount(&bill("aws"), "public-address");
    assert!((hours - 1.0).abs() < 1e-6, "{hours} hours");
}

#[test]
fn a_request_that_fails_was_sent_and_had_no_answer_to_speak_of() {
    let passed = |timeline| amount(&bill_with("aws", "", timeline), "load-balancer-data");
    let lost = "[{at: 5m, scale: {workload: Deployment/shop/db, replicas: 0}}]";
    // A tenth of what goes through is the request.
    let share = passed(lost) / passed("[]");
    assert!((share - 0.1).abs() < 1e-3, "{share} of what a run without failures passes");
}

#[test]
fn a_pool_without_a_price_is_named_and_one_that_costs_nothing_is_not() {
    let unpriced = |pool: &str| {
        let pool = format!("{{name: own, count: 1, {pool}}}");
        let scenario = format!("duration: 5m\ncluster: {{nodePools: [{pool}]}}\n");
        ran(&texts::resolved(&scenario, MANIFESTS, &[])).0.cost.unpriced
    };
    assert_eq!(unpriced("capacity: {cpu: 4, memory: 16Gi}"), ["own"]);
    assert!(unpriced("capacity: {cpu: 4, memory: 16Gi}, pricePerHour: 0").is_empty());
    assert!(unpriced("serverless: fargate").is_empty(), "its pods are billed, not its nodes");
}

#[test]
fn a_disk_costs_as_much_as_the_tier_that_holds_it() {
    for (size, tier) in [("32Gi", 32), ("65537Mi", 128), ("128Gi", 128)] {
        let bill = bill_with("azure", &format!(", rootDisk: {size}"), "[]");
        // Two nodes for half an hour.
        let months = amount(&bill, &format!("disk:premium-{tier}")) * 730.0;
        assert!((months - 1.0).abs() < 1e-6, "{size}: {months} hours of a disk");
    }
}
