//! Converts the objects of a case to manifests, and these to objects.

use serde_json::{Map, Value, json};

use super::case::{DaemonSet, Pods, TaintOrToleration};
use crate::objects::object_of;
use cluster::pod_template::PodTemplate;
use cluster::{AnySpec, Name, NamespacedName};

/// Name of the only volume that a pod may have.
const VOLUME: &str = "v";
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
const HOST_LABEL: &str = "kubernetes.io/hostname";

/// The source of equal pods of a case.
#[derive(Clone, Debug)]
pub(super) struct PodSource {
    pub(super) namespace: Name,
    pub(super) template: PodTemplate,
    /// The ReplicaSet that owns them, if any.
    pub(super) replica_set: Option<NamespacedName>,
}

/// The source of a set of pods. `place` is its path in the case.
pub(super) fn pod_source(pods: &Pods, place: &str) -> Result<PodSource, String> {
    let namespace = pods.ns.as_deref().unwrap_or("default");
    let mut annotations = json!(pods.annotations);
    if pods.mirror {
        annotations[MIRROR_ANNOTATION] = json!("mirror");
    }
    let mut metadata = json!({
        "name": pods.name, "namespace": namespace, "labels": pods.labels, "annotations": annotations,
    });
    if let Some(owner) = &pods.owner {
        let version = if owner.kind == "ReplicaSet" { "apps/v1" } else { "example.com/v1" };
        metadata["ownerReferences"] = json!([{
            "apiVersion": version, "kind": owner.kind, "name": owner.name, "uid": owner.name,
            "controller": true,
        }]);
    }
    let mut spec = spec((pods.cpu_m, pods.mem_mi, pods.gpu), &pods.tolerations);
    spec["nodeSelector"] = json!(pods.node_selector);
    let app = json!({ "matchLabels": { "app": pods.labels.get("app") } });
    if let Some(priority) = pods.priority {
        spec["priority"] = json!(priority);
    }
    if let Some(grace) = pods.grace_s {
        spec["terminationGracePeriodSeconds"] = json!(grace);
    }
    if pods.host_anti_affinity {
        let term = json!({ "labelSelector": app, "topologyKey": HOST_LABEL });
        let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] });
        spec["affinity"] = json!({ "podAntiAffinity": required });
    }
    if let Some(skew) = pods.zone_spread_max_skew {
        spec["topologySpreadConstraints"] = json!([{
            "maxSkew": skew, "topologyKey": ZONE_LABEL, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": app,
        }]);
    }
    match pods.volume.as_deref() {
        None => {}
        Some("emptydir") => spec["volumes"] = json!([{ "name": VOLUME, "emptyDir": {} }]),
        Some("hostpath") => {
            spec["volumes"] = json!([{ "name": VOLUME, "hostPath": { "path": "/data" } }]);
        }
        Some(other) => {
            return Err(format!("{place}.volume: {other:?} is neither emptydir nor hostpath"));
        }
    }
    let pod = json!({ "metadata": metadata, "spec": spec });
    let AnySpec::Pod(template) = object_of(("v1", "Pod"), pod, place)?.spec else {
        return Err(format!("{place}: is no Pod"));
    };
    let owner = pods.owner.as_ref().filter(|owner| owner.kind == "ReplicaSet");
    let replica_set = owner.map(|owner| NamespacedName::new(namespace, owner.name.as_str()));
    Ok(PodSource { namespace: namespace.into(), template: *template, replica_set })
}

/// The manifest of a DaemonSet.
pub(super) fn daemon_set(set: &DaemonSet) -> Value {
    let labels = json!({ "app": set.name });
    let mut spec = spec((set.cpu_m, set.mem_mi, 0), &set.tolerations);
    spec["nodeSelector"] = json!(set.node_selector);
    json!({
        "metadata": { "name": set.name, "namespace": "default" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": spec },
        },
    })
}

/// The manifest of a ReplicaSet; its template is not used.
pub(super) fn replica_set(id: &NamespacedName, replicas: i32) -> Value {
    let labels = json!({ "replica-set": &*id.name });
    json!({
        "metadata": { "name": &*id.name, "namespace": &*id.namespace },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": spec((0, 0, 0), &[]) },
        },
    })
}

/// A pod spec with one container and these requests: millicores, MiB, GPUs.
fn spec((cpu, memory, gpus): (i64, i64, i64), tolerations: &[TaintOrToleration]) -> Value {
    let mut requests = Map::new();
    for (name, amount, unit) in
        [("cpu", cpu, "m"), ("memory", memory, "Mi"), ("nvidia.com/gpu", gpus, "")]
    {
        if amount > 0 {
            requests.insert(name.to_owned(), json!(format!("{amount}{unit}")));
        }
    }
    let mut resources = json!({ "requests": requests });
    if gpus > 0 {
        resources["limits"] = json!({ "nvidia.com/gpu": gpus.to_string() });
    }
    let toleration = |one: &TaintOrToleration| {
        let operator = match (one.operator.as_str(), one.value.as_str()) {
            ("", "") => "Exists",
            ("", _) => "Equal",
            (given, _) => given,
        };
        let mut toleration = json!({ "key": one.key, "operator": operator });
        if !one.value.is_empty() {
            toleration["value"] = json!(one.value);
        }
        if !one.effect.is_empty() {
            toleration["effect"] = json!(one.effect);
        }
        toleration
    };
    let tolerations: Vec<Value> = tolerations.iter().map(toleration).collect();
    json!({
        "containers": [{ "name": "app", "image": "app", "resources": resources }],
        "tolerations": tolerations,
    })
}
