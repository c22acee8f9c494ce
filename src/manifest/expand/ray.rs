//! Converts `RayCluster`, `RayService` and `RayJob` to pods and Services like KubeRay (`DefaultHeadPodTemplate`,
//! `DefaultWorkerPodTemplate`, `initLivenessAndReadinessProbe`, `BuildServeService`). The operator recreates lost pods;
//! here a ReplicaSet does.

use serde_json::{Map, Value, json};

use super::{Expansion, ExpansionInput, Mistake, labels, marked};

/// Initial delay of the probes, in seconds.
const PROBE_DELAY_SECONDS: i64 = 10;
/// Probe period, in seconds.
const PROBE_PERIOD_SECONDS: i64 = 5;
/// Failure threshold of the probes.
const PROBE_FAILURES: i64 = 10;
/// Failure threshold for workers that serve requests, which leave the Service at once.
const SERVE_PROBE_FAILURES: i64 = 1;
const SERVE: &str = "ray.io/serve";

pub(super) fn cluster(given: &ExpansionInput<'_>) -> Expansion {
    let head_service = given.text("/spec/headGroupSpec/headService/metadata/name");
    let head_service =
        head_service.map_or_else(|| format!("{}-head-svc", given.name()), str::to_owned);
    group(given, "/spec", given.name(), &head_service, false)
}

pub(super) fn service(given: &ExpansionInput<'_>) -> Expansion {
    let spec = if given.value("/spec/rayClusterConfig").is_some() {
        "/spec/rayClusterConfig"
    } else {
        "/spec/rayClusterSpec"
    };
    let name = given.name();
    let cluster = format!("{name}-raycluster");
    let mut made = group(given, spec, &cluster, &format!("{name}-head-svc"), true)?;
    let serve = given.text("/spec/serveService/metadata/name");
    let serve = serve.map_or_else(|| format!("{name}-serve-svc"), str::to_owned);
    let selector = json!({"ray.io/cluster": cluster, SERVE: "true"});
    let of_head = given.list(&format!("{spec}/headGroupSpec/template/spec/containers/0/ports"));
    let named = of_head.iter().find(|port| port["name"] == "serve");
    let port = named.map_or_else(|| 8000.into(), |port| port["containerPort"].clone());
    let ports = json!([{"name": "serve", "port": port}]);
    made.push(given.service(&serve, &selector, &ports, false));
    Ok(made)
}

pub(super) fn job(given: &ExpansionInput<'_>) -> Expansion {
    let name = given.name();
    let has_cluster = given.value("/spec/clusterSelector").is_none();
    let cluster = format!("{name}-raycluster");
    let mut made = if has_cluster {
        group(given, "/spec/rayClusterSpec", &cluster, &format!("{name}-head-svc"), false)?
    } else {
        Vec::new()
    };
    let mode = given.text("/spec/submissionMode").unwrap_or("K8sJobMode");
    if mode == "K8sJobMode" {
        let head =
            given.value("/spec/rayClusterSpec/headGroupSpec/template/spec/containers/0/image");
        let submitter = json!({"spec": {"restartPolicy": "Never", "containers": [{
            "name": "ray-job-submitter",
            "image": head.cloned().unwrap_or_else(|| "rayproject/ray".into()),
            "resources": {
                "requests": {"cpu": "500m", "memory": "200Mi"},
                "limits": {"cpu": "1", "memory": "1Gi"},
            },
        }]}});
        let template = given.value("/spec/submitterPodTemplate").cloned().unwrap_or(submitter);
        let mut template = marked(&template, &Map::new(), &Map::new());
        if template["spec"]["restartPolicy"].is_null() {
            template["spec"]["restartPolicy"] = "Never".into();
        }
        let retries = given.int("/spec/submitterConfig/backoffLimit").unwrap_or(2);
        let metadata = given.metadata(name, &labels([("ray.io/originated-from-cr-name", name)]));
        let spec = json!({"backoffLimit": retries, "template": template});
        made.push(
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}),
        );
    }
    Ok(made)
}

/// Head, workers and head Service of a cluster with a spec.
fn group(
    given: &ExpansionInput<'_>,
    spec: &'static str,
    cluster: &str,
    head_service: &str,
    serves: bool,
) -> Expansion {
    let at = |rest: &str| format!("{spec}{rest}");
    let Some(head) = given.value(&at("/headGroupSpec/template")) else {
        return Err(Mistake {
            field: "spec",
            message: "Required value: headGroupSpec.template".to_owned(),
            help: "a Ray cluster needs a head with a pod template",
        });
    };
    let groups = given.list(&at("/workerGroupSpecs"));
    let is_suspended = given.value(&at("/suspend")) == Some(&Value::Bool(true));
    let hosts = |group: &Value| {
        let of = |field: &str| group.get(field).and_then(Value::as_i64);
        let workers = of("replicas").unwrap_or(0).max(of("minReplicas").unwrap_or(0));
        let most = of("maxReplicas").unwrap_or(i64::MAX);
        let is_suspended = group.get("suspend") == Some(&Value::Bool(true));
        if is_suspended {
            0
        } else {
            workers.min(most).clamp(0, 100_000) * of("numOfHosts").unwrap_or(1).max(1)
        }
    };
    // The proxy on the head serves requests if there are no workers.
    let has_workers = groups.iter().any(|group| hosts(group) > 0);
    let mut made = Vec::new();
    let mut own = of_node(cluster, "head", "headgroup");
    if serves {
        own.insert(SERVE.to_owned(), (!has_workers).to_string().into());
    }
    let mut template = marked(head, &own, &Map::new());
    if given.value(&at("/enableInTreeAutoscaling")) == Some(&Value::Bool(true)) {
        add_autoscaler(&mut template, given.value(&at("/autoscalerOptions")));
    }
    add_probe(&mut template, PROBE_FAILURES);
    let heads = i64::from(!is_suspended);
    made.push(replica_set(given, &format!("{cluster}-head"), heads, &template, &own));
    for group in groups {
        let name = group.get("groupName").and_then(Value::as_str).unwrap_or("worker");
        let mut own = of_node(cluster, "worker", name);
        if serves {
            own.insert(SERVE.to_owned(), "true".into());
        }
        let written = group.get("template").cloned().unwrap_or_else(|| json!({}));
        let mut template = marked(&written, &own, &Map::new());
        add_wait_for_head(&mut template);
        add_probe(&mut template, if serves { SERVE_PROBE_FAILURES } else { PROBE_FAILURES });
        let count = if is_suspended { 0 } else { hosts(group) };
        made.push(replica_set(given, &format!("{cluster}-{name}-worker"), count, &template, &own));
    }
    let selector = json!({"ray.io/cluster": cluster, "ray.io/node-type": "head"});
    let ports = head_ports(head);
    made.push(given.service(head_service, &selector, &ports, false));
    Ok(made)
}

/// `getServicePorts`: the ports of the head's container or the defaults, and the metrics port.
fn head_ports(head: &Value) -> Value {
    let written = head.pointer("/spec/containers/0/ports").and_then(Value::as_array);
    let mut ports: Vec<Value> = Vec::new();
    for port in written.into_iter().flatten() {
        if let (Some(name), Some(number)) = (port.get("name"), port.get("containerPort")) {
            ports.push(json!({"name": name, "port": number}));
        }
    }
    if ports.is_empty() {
        ports.extend(
            [("client", 10001), ("gcs-server", 6379), ("dashboard", 8265), ("serve", 8000)]
                .map(|(name, number)| json!({"name": name, "port": number})),
        );
    }
    if !ports.iter().any(|port| port["name"] == "metrics") {
        ports.push(json!({"name": "metrics", "port": 8080}));
    }
    ports.into()
}

fn of_node(cluster: &str, node_type: &str, group: &str) -> Map<String, Value> {
    let identifier = format!("{cluster}-{node_type}");
    labels([
        ("ray.io/is-ray-node", "yes"),
        ("ray.io/cluster", cluster),
        ("ray.io/node-type", node_type),
        ("ray.io/group", group),
        ("ray.io/identifier", &identifier),
        ("app.kubernetes.io/name", "kuberay"),
        ("app.kubernetes.io/created-by", "kuberay-operator"),
    ])
}

fn replica_set(
    given: &ExpansionInput<'_>,
    name: &str,
    replicas: i64,
    template: &Value,
    own: &Map<String, Value>,
) -> Value {
    let mut template = template.clone();
    // A pod that never restarts is recreated, which has the same effect.
    template["spec"]["restartPolicy"] = "Always".into();
    let metadata = given.metadata(name, own);
    let spec =
        json!({"replicas": replicas, "selector": {"matchLabels": own}, "template": template});
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec})
}

/// Adds the readiness probe to Ray's container if it has none.
fn add_probe(template: &mut Value, failures: i64) {
    let Some(container) = template.pointer_mut("/spec/containers/0").filter(|one| one.is_object())
    else {
        return;
    };
    if container["readinessProbe"].is_null() {
        container["readinessProbe"] = json!({
            "exec": {"command": ["bash", "-c", "ray health-check"]},
            "initialDelaySeconds": PROBE_DELAY_SECONDS,
            "periodSeconds": PROBE_PERIOD_SECONDS,
            "timeoutSeconds": 2,
            "failureThreshold": failures,
        });
    }
}

/// Adds the init container in which a worker waits for the head.
fn add_wait_for_head(template: &mut Value) {
    let Some(image) = template.pointer("/spec/containers/0/image").cloned() else { return };
    let amounts = json!({"cpu": "200m", "memory": "256Mi"});
    let container = json!({
        "name": "wait-gcs-ready",
        "image": image,
        "resources": {"requests": amounts, "limits": amounts},
    });
    match template["spec"]["initContainers"].as_array_mut() {
        Some(containers) => containers.push(container),
        None => template["spec"]["initContainers"] = json!([container]),
    }
}

/// Adds the Ray autoscaler, a sidecar of the head.
fn add_autoscaler(template: &mut Value, options: Option<&Value>) {
    let Some(image) = template.pointer("/spec/containers/0/image").cloned() else { return };
    let option = |name: &str| options.and_then(|options| options.get(name)).cloned();
    let amounts = json!({"cpu": "500m", "memory": "512Mi"});
    let container = json!({
        "name": "autoscaler",
        "image": option("image").unwrap_or(image),
        "resources": option("resources").unwrap_or_else(|| json!({"requests": amounts, "limits": amounts})),
    });
    if let Some(containers) = template.pointer_mut("/spec/containers").and_then(Value::as_array_mut)
    {
        containers.push(container);
    }
}
