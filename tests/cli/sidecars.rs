//! Pods of several containers, and what kubectl's views show of them.

use crate::shop::Shop;
use serde_json::Value;

/// Two pods of two containers and a native sidecar; `sidecars` is what the scenario says of them.
fn pair(sidecars: &str) -> Shop {
    let manifests = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  replicas: 2
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      initContainers:
      - {name: prepare, image: 'p:1'}
      - {name: proxy, image: 'e:1', restartPolicy: Always, resources: {requests: {cpu: 100m, memory: 10Mi}}}
      containers:
      - {name: a, image: 'a:1', resources: {requests: {cpu: 200m, memory: 90Mi}}}
      - {name: side, image: 's:1', resources: {requests: {cpu: 100m, memory: 60Mi}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: a}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}
  minReplicas: 2
  maxReplicas: 10
  metrics:
  - {type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 500Mi}}}
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 90}}}
  - {type: ContainerResource, containerResource: {name: cpu, container: a, target: {type: AverageValue, averageValue: '2'}}}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
type: kubernetes.io/tls
data: {tls.crt: YQ==, tls.key: YQ==}
---
apiVersion: v1
kind: Secret
metadata: {name: plain}
stringData: {a: b}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: a}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: a}}}
";
    let scenario = format!(
        "\
apiVersion: wavetank/v1
kind: Scenario
name: pair
duration: 8m
manifests: [web.yaml]
cluster: {{nodePools: [{{name: nod, capacity: {{cpu: 4, memory: 16Gi}}, count: 2, zones: [za, zb]}}]}}
workloads: [{{workload: Deployment/default/a{sidecars}}}]
timeline: [{{at: 4m, killNode: nod-1}}]
"
    );
    Shop::with(&scenario, manifests)
}

fn shown(shop: &Shop, arguments: &[&str]) -> String {
    let ran = shop.run(arguments);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
    ran.out
}

/// The cells of the rows, without the titles.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn an_application_uses_its_own_request_whatever_its_sidecars_use() {
    for (sidecar, total) in [("60Mi", "160Mi"), ("100Mi", "200Mi"), ("200Mi", "300Mi")] {
        let shop = pair(&format!(", sidecars: {{side: {{cpu: 80m, memory: {sidecar}}}}}"));
        let pods = shown(&shop, &["top", "pods", "scenario.yaml", "--at", "3m", "-n", "default"]);
        let found = rows(&pods);
        assert_eq!(found.len(), 2, "{pods}");
        for row in found {
            assert_eq!(row[1..], ["80m", total], "{sidecar}");
        }
    }
}

#[test]
fn a_node_uses_what_all_containers_on_it_use_and_one_that_is_dead_is_unknown() {
    let shop = pair(", sidecars: {side: {cpu: 80m, memory: 100Mi}}");
    let alive = shown(&shop, &["top", "nodes", "scenario.yaml", "--at", "3m"]);
    assert_eq!(rows(&alive)[0], ["nod-1", "80m", "2%", "200Mi", "1%"], "{alive}");
    for at in ["250s", "6m"] {
        let dead = shown(&shop, &["top", "nodes", "scenario.yaml", "--at", at]);
        // Nodes of which nothing is known come last.
        assert_eq!(
            rows(&dead)[1],
            ["nod-1"].iter().chain(&["<unknown>"; 4]).copied().collect::<Vec<_>>()
        );
        assert_eq!(rows(&dead)[0][1], "80m", "{dead}");
    }
}

#[test]
fn a_sidecar_that_no_pod_has_is_an_error() {
    let ran = pair(", sidecars: {sid: {cpu: 80m}}").run(&["validate", "scenario.yaml"]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("workloads[0].sidecars: the pods have no container sid"), "{said}");
}

#[test]
fn targets_of_an_hpa_are_printed_as_kubectl_prints_them() {
    let shop = pair(", sidecars: {side: {cpu: 100m}}");
    let hpa = shown(&shop, &["get", "hpa", "scenario.yaml", "--at", "3m", "-n", "default"]);
    // 90 + 60 + 10 MiB, which the controller writes in decimal; 100m of the requested 400m.
    let targets = "memory: 167772160/500Mi, cpu: 25%/90% + 1 more...";
    assert!(hpa.contains(targets), "{hpa}");
    let page = shown(&shop, &["describe", "hpa/a", "scenario.yaml", "--at", "3m"]);
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "resource cpu on pods (as a percentage of request): 25% (100m) / 90%",
        "resource cpu of container \"a\" on pods: 0 / 2",
    ] {
        assert!(words.contains(line), "{line} is missing in\n{page}");
    }
}

#[test]
fn init_containers_and_native_sidecars_are_shown_beside_the_containers() {
    let shop = pair("");
    let pods = shown(&shop, &["get", "pods", "scenario.yaml", "--at", "3m", "-n", "default"]);
    let pod = rows(&pods)[0][0].to_owned();
    assert_eq!(rows(&pods)[0][1], "3/3");
    for object in [format!("pod/{pod}"), "deploy/a".to_owned()] {
        let page = shown(&shop, &["describe", &object, "scenario.yaml", "--at", "3m"]);
        let places: Vec<_> = ["Init Containers:", "  prepare:", "  proxy:", "  side:"]
            .iter()
            .map(|line| page.find(line).unwrap_or_else(|| panic!("{line} is missing in\n{page}")))
            .collect();
        assert!(places.is_sorted(), "{page}");
    }
    let arguments = ["get", "deploy,pods", "scenario.yaml", "--at", "3m", "-o", "json"];
    let list: Value = serde_json::from_str(&shown(&shop, &arguments)).expect("JSON");
    for spec in [&list["items"][0]["spec"]["template"]["spec"], &list["items"][1]["spec"]] {
        assert_eq!(spec["initContainers"][0]["name"], "prepare", "{spec}");
        assert_eq!(spec["initContainers"][1]["restartPolicy"], "Always");
        assert_eq!(spec["containers"][1]["name"], "side");
    }
}

#[test]
fn the_states_of_containers_and_the_conditions_of_a_pod_are_shown() {
    let shop = pair("");
    let pods = shown(&shop, &["get", "pods", "scenario.yaml", "--at", "3m", "-n", "default"]);
    let pod = format!("pod/{}", rows(&pods)[0][0]);
    let page = shown(&shop, &["describe", &pod, "scenario.yaml", "--at", "3m"]);
    for line in [
        "State:          Terminated\n      Reason:       Completed\n      Exit Code:    0\n",
        "State:          Running\n      Started:      ",
        "Ready:          True\n    Restart Count:  0\n",
        "\nConditions:\n  Type                        Status\n  PodReadyToStartContainers   True \n",
    ] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
    let arguments = ["get", "pods", "scenario.yaml", "--at", "3m", "-o", "json"];
    let list: Value = serde_json::from_str(&shown(&shop, &arguments)).expect("JSON");
    let status = &list["items"][0]["status"];
    let [prepare, proxy] = [0, 1].map(|place| &status["initContainerStatuses"][place]);
    assert_eq!(prepare["state"]["terminated"]["reason"], "Completed", "{status}");
    assert_eq!(proxy["ready"], true);
    let side = &status["containerStatuses"][1];
    assert!(side["state"]["running"]["startedAt"].is_string(), "{status}");
    assert_eq!(side["restartCount"], 0);
    let ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    assert!(status["conditions"].as_array().expect("a list").iter().any(ready), "{status}");
}

#[test]
fn events_are_listed_among_other_kinds() {
    let shop = pair("");
    let both =
        shown(&shop, &["get", "pods,events", "scenario.yaml", "--at", "3m", "-n", "default"]);
    assert!(both.contains("pod/a-") && both.contains("LAST SEEN"), "{both}");
    let arguments = ["get", "events", "scenario.yaml", "--at", "3m", "-o", "json"];
    let list: Value = serde_json::from_str(&shown(&shop, &arguments)).expect("JSON");
    let items = list["items"].as_array().expect("a list");
    assert!(items.iter().all(|one| one["kind"] == "Event"));
    assert!(items.iter().any(|one| one["reason"] == "Scheduled"), "{list}");
}

#[test]
fn secrets_have_their_type_and_budgets_are_described() {
    let shop = pair("");
    let secrets = shown(&shop, &["get", "secrets", "scenario.yaml", "--at", "1m", "-n", "default"]);
    assert_eq!(rows(&secrets)[0][..3], ["key", "kubernetes.io/tls", "2"]);
    assert_eq!(rows(&secrets)[1][..3], ["plain", "Opaque", "1"]);
    let secret = shown(&shop, &["describe", "secret/key", "scenario.yaml", "--at", "1m"]);
    assert!(secret.contains("kubernetes.io/tls"), "{secret}");
    let budget = shown(&shop, &["describe", "pdb/a", "scenario.yaml", "--at", "3m"]);
    let words: Vec<&str> = budget.split_whitespace().collect();
    let words = words.join(" ");
    assert!(words.contains("Max unavailable: 1 Selector: app=a"), "{budget}");
    assert!(words.contains("Allowed disruptions: 1 Current: 2 Desired: 1 Total: 2"), "{budget}");
}
