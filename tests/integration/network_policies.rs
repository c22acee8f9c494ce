//! NetworkPolicies: a table of what they let through, and whole runs in which they stand in the way of calls.

mod rows;

use self::rows::{EGRESS, INGRESS, Row};
use crate::in_memory::Run;
use wavetank::cluster::ObjectReference;
use wavetank::engine::SimTime;
use wavetank::sim::CallEnd;
use wavetank::traffic::{FailureCause, ServiceId};

const CLUSTER: &str = "apiVersion: wavetank/v1
kind: Scenario
name: policies
duration: 10m
manifests: [manifests.yaml]
cluster: {nodePools: [{name: general, instanceType: aws/m5.large, count: 2}]}
";

/// Namespaces `shop` and `ops`, and one, `bare`, that is not written; pods in all of them; Services in `shop`.
const PODS: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ops, labels: {team: b}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web, tier: front}}, spec: {containers: [{name: a, image: a}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db, tier: back}}, spec: {containers: [{name: a, image: a, ports: [{name: sql, containerPort: 5432}, {name: metrics, containerPort: 9187}, {name: gossip, containerPort: 7946, protocol: UDP}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: probe, namespace: ops, labels: {app: probe, tier: front}}, spec: {containers: [{name: a, image: a}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: stray, namespace: bare, labels: {app: web}}, spec: {containers: [{name: a, image: a}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: ops, labels: {app: web}}, spec: {hostNetwork: true, containers: [{name: a, image: a, ports: [{containerPort: 5432}]}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {selector: {app: db}, ports: [{name: sql, port: 15432, targetPort: sql}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: both, namespace: shop}, spec: {selector: {app: db}, ports: [{name: sql, port: 15432, targetPort: sql}, {name: metrics, port: 9187}]}}
";

fn end(text: &str) -> (CallEnd, Option<u16>) {
    if text == "clients" {
        return (CallEnd::Clients, None);
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse().expect("a port"))),
        None => (text, None),
    };
    match name.parse() {
        Ok(address) => (CallEnd::Address(address), port),
        Err(_) => (CallEnd::Object(name.parse().expect("an object")), port),
    }
}

/// Whether the call of a row gets through, or where it is dropped.
fn outcome((policies, from, to, _): &Row) -> String {
    let mut manifests = PODS.to_owned();
    for (number, policy) in policies.iter().enumerate() {
        let (namespace, spec) = policy.split_once(' ').expect("a namespace and a spec");
        let policy = format!(
            "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p{number}, namespace: {namespace}}}, spec: {spec}}}\n"
        );
        manifests.push_str(&policy);
    }
    let mut run = Run::new(CLUSTER, &manifests);
    run.until(60);
    let ((from, _), (to, port)) = (end(from), end(to));
    let story = run.0.explain_call(&from, &to, port).expect("both ends are there");
    let told = story.to_json();
    let sides = ["egress", "ingress"];
    let dropped = |verdict: &serde_json::Value| {
        sides.into_iter().find(|side| verdict[*side]["allowed"] == false)
    };
    if told["allowed"] == true {
        return "allowed".to_owned();
    }
    if dropped(&told["dns"]).is_some() {
        return "dns".to_owned();
    }
    dropped(&told["ports"][0]).unwrap_or("nowhere").to_owned()
}

#[test]
fn what_comes_in_is_what_a_rule_lets_in() {
    for row in INGRESS {
        assert_eq!(outcome(row), row.3, "{row:?}");
    }
}

#[test]
fn what_goes_out_is_what_a_rule_lets_out() {
    for row in EGRESS {
        assert_eq!(outcome(row), row.3, "{row:?}");
    }
    assert!(INGRESS.len() + EGRESS.len() >= 60);
}

const CALLS: &str = "apiVersion: wavetank/v1
kind: Scenario
name: policies
duration: 10m
manifests: [manifests.yaml]
cluster: {nodePools: [{name: general, instanceType: aws/m5.large, count: 2}]}
workloads:
  - workload: Deployment/shop/web
    requests: {cpuTime: 2ms, calls: [{service: shop/db, timeout: 8s, connectTimeout: 3s}]}
  - {workload: Deployment/shop/db, requests: {cpuTime: 2ms}}
traffic:
  - {service: shop/web, load: {pattern: constant, rps: 10}, arrivals: even}
";

fn deployment(name: &str, port: u16) -> String {
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: {name}, image: 'x:1', ports: [{{containerPort: {port}}}], resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}}}]
---
{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: shop}}, spec: {{selector: {{app: {name}}}, ports: [{{port: {port}}}]}}}}
"
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: shop}}, spec: {spec}}}\n"
    )
}

/// Requests to `web` and `db` up to a second that were answered, and that a policy blocked.
fn counts(run: &mut Run, second: i64) -> [(u64, u64); 2] {
    [0, 1].map(|service| {
        let outcomes =
            run.0.traffic_mut().figures(SimTime::from_secs(second), ServiceId(service)).outcomes;
        (outcomes.answered, outcomes.failed_by(FailureCause::Blocked))
    })
}

#[test]
fn a_call_that_a_policy_drops_times_out_and_the_log_names_the_policy() {
    let manifests = [
        deployment("web", 80),
        deployment("db", 5432),
        policy(
            "db",
            "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: batch}}}]}]}",
        ),
    ];
    let mut run = Run::new(CALLS, &manifests.concat());
    run.until(120);
    let [(answered, _), (of_db, blocked)] = counts(&mut run, 120);
    assert_eq!((answered, of_db), (0, 0));
    assert!(blocked > 800, "{blocked}");
    let events = run.events("ConnectionsDropped");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        events[0].1,
        "requests of Deployment/shop/web are dropped: NetworkPolicy shop/db isolates the Service's pods (Ingress), and no rule allows them"
    );
    assert_eq!(run.0.policies_blocking(1)[0].to_string(), "shop/db");
    assert!(run.0.policies_blocking(0).is_empty());
}

#[test]
fn callers_wait_for_a_connection_as_long_as_they_say_and_no_longer() {
    let denied = policy("db", "{podSelector: {matchLabels: {app: db}}}");
    let manifests = deployment("web", 80) + &deployment("db", 5432) + &denied;
    let in_flight = |scenario: &str| {
        let mut run = Run::new(scenario, &manifests);
        run.until(300);
        run.0.traffic_mut().figures(SimTime::from_secs(300), ServiceId(1)).in_flight
    };
    // Ten a second, each for so many seconds.
    assert_eq!(in_flight(CALLS), 30);
    assert_eq!(in_flight(&CALLS.replace(", connectTimeout: 3s", "")), 80);
}

#[test]
fn a_policy_that_comes_and_goes_breaks_calls_for_as_long_as_it_is_there() {
    let denied =
        policy("quarantine", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}");
    let manifests = deployment("web", 80) + &deployment("db", 5432) + &denied;
    let scenario =
        format!("{CALLS}timeline: [{{at: 4m, delete: NetworkPolicy/shop/quarantine}}]\n");
    let mut run = Run::new(&scenario, &manifests);
    run.until(240);
    assert_eq!(counts(&mut run, 240)[0].0, 0);
    let events = run.events("ConnectionsDropped");
    assert!(events[0].1.contains("no rule allows DNS"), "{events:?}");
    run.until(360);
    let [(answered, _), (of_db, _)] = counts(&mut run, 360);
    assert!(answered > 1_150 && of_db >= answered, "{answered} {of_db}");
    assert_eq!(run.events("ConnectionsPass")[0].0, 240);
}

#[test]
fn a_policy_that_lets_nobody_in_takes_a_service_down_for_its_clients() {
    let denied = policy("web", "{podSelector: {matchLabels: {app: web}}}");
    let manifests = deployment("web", 80) + &deployment("db", 5432) + &denied;
    let mut run = Run::new(CALLS, &manifests);
    run.until(300);
    let [(answered, blocked), (of_db, _)] = counts(&mut run, 300);
    assert!(answered == 0 && of_db == 0 && blocked > 2_000, "{answered} {of_db} {blocked}");
    // One that lets anyone in lets them in.
    let opened = manifests.replace(
        "{podSelector: {matchLabels: {app: web}}}}",
        "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {}}]}]}}",
    );
    let mut run = Run::new(CALLS, &opened);
    run.until(300);
    assert!(counts(&mut run, 300)[0].0 > 2_900);
}

#[test]
fn an_end_that_is_not_there_is_named() {
    let mut run = Run::new(CLUSTER, PODS);
    run.until(60);
    let none: ObjectReference = "Deployment/shop/none".parse().expect("a reference");
    let asked = run.0.explain_call(&CallEnd::Object(none), &CallEnd::Clients, None);
    assert_eq!(asked.unwrap_err(), "Deployment/shop/none does not exist at this time");
    let db: ObjectReference = "Service/shop/db".parse().expect("a reference");
    let asked = run.0.explain_call(&CallEnd::Clients, &CallEnd::Object(db), Some(81));
    let why = "Service/shop/db has no port 81: calls to it time out; it has 15432";
    assert_eq!(asked.unwrap_err(), why);
}
