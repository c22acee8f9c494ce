//! Converts objects of the store back to the form in which API clients write them. Parts written by users come
//! from the object's document; parts that the store updates (labels, replicas, cordons) and objects created by
//! controllers come from the lean object.

mod hpa;
mod pod;

use serde_json::{Map, Value, json};

use self::hpa::hpa_spec;
pub use self::hpa::metric as written_metric;
use self::pod::{pod, pod_template};
use cluster::assigned::{cluster_ip, node_port};
use cluster::claim::{AccessMode, ClaimSpec};
use cluster::node::Node;
use cluster::pod::Finalizer;
use cluster::pod_template::ResourceList;
use cluster::replica_set::{ReplicaSet, SetOwner};
use cluster::selector::{Operator, Selector};
use cluster::service::Service;
use cluster::{Labels, ObjectId, Store};

/// An object without status and server-set metadata; `None` if it no longer exists.
pub fn written(store: &Store, object: ObjectId) -> Option<Value> {
    let name = store.name_of(object)?;
    let mut value = match (object, store.meta_of(object).and_then(|meta| meta.document.as_ref())) {
        (ObjectId::Pod(id), _) => json!({ "spec": pod(store, store.pods().get(id)?) }),
        (_, Some(document)) => document.object.clone(),
        (_, None) => made(store, object)?,
    };
    overlay(store, object, &mut value);
    let (labels, annotations) = if let ObjectId::Pod(id) = object {
        let pod = store.pods().get(id)?;
        (store.labels_of(pod).clone(), store.annotations_of(pod).clone())
    } else {
        (store.meta_of(object)?.labels.clone(), annotations(store, object))
    };
    let kind = object.kind();
    value["apiVersion"] = kind.api_version().into();
    value["kind"] = kind.name().into();
    let mut metadata = value["metadata"].as_object().cloned().unwrap_or_default();
    for (field, pairs) in [("labels", &labels), ("annotations", &annotations)] {
        metadata.shift_remove(field);
        if !pairs.is_empty() {
            metadata.insert(field.to_owned(), map(pairs));
        }
    }
    metadata.insert("name".to_owned(), Value::from(&*name.name));
    if kind.is_namespaced() {
        metadata.insert("namespace".to_owned(), Value::from(&*name.namespace));
    }
    if let Some(finalizer) = finalizer(store, object) {
        metadata.insert("finalizers".to_owned(), json!([finalizer]));
    }
    value["metadata"] = Value::Object(metadata);
    Some(value)
}

fn finalizer(store: &Store, object: ObjectId) -> Option<&'static str> {
    match object {
        ObjectId::Pod(id) => {
            let finalizer = store.pods().get(id)?.finalizer;
            (finalizer != Finalizer::Absent).then_some("batch.kubernetes.io/job-tracking")
        }
        ObjectId::PersistentVolumeClaim(_) => Some("kubernetes.io/pvc-protection"),
        _ => None,
    }
}

fn annotations(store: &Store, object: ObjectId) -> Labels {
    let own = store.meta_of(object).map(|meta| meta.annotations.clone()).unwrap_or_default();
    let ObjectId::ReplicaSet(id) = object else { return own };
    let Some(set) = store.replica_sets().get(id).filter(|set| set.revision > 0) else { return own };
    let numbers = [
        ("revision", Some(set.revision)),
        ("desired-replicas", set.desired_replicas.map(i64::from)),
        ("max-replicas", set.max_replicas.map(i64::from)),
    ];
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?)));
    let group = match set.owner {
        Some(SetOwner::Rollout(_)) => "rollout.argoproj.io",
        _ => "deployment.kubernetes.io",
    };
    numbers.fold(own, |all, (name, number)| all.with(format!("{group}/{name}"), number.to_string()))
}

/// Overrides the parts of user-written objects that the store updates.
fn overlay(store: &Store, object: ObjectId, value: &mut Value) {
    let spec = &mut value["spec"];
    match object {
        ObjectId::Deployment(id) => {
            let deployment = &store.deployments()[id];
            spec["replicas"] = deployment.spec.replicas.into();
            set_or_remove(spec, "paused", deployment.spec.paused.then(|| true.into()));
        }
        ObjectId::Rollout(id) => {
            let rollout = &store.rollouts()[id];
            spec["replicas"] = rollout.spec.replicas.into();
            set_or_remove(spec, "paused", rollout.spec.paused.then(|| true.into()));
            let restart_at = rollout.spec.restart_at.map(|at| at.to_string().into());
            set_or_remove(spec, "restartAt", restart_at);
        }
        ObjectId::ReplicaSet(id) => spec["replicas"] = store.replica_sets()[id].replicas.into(),
        ObjectId::StatefulSet(id) => {
            spec["replicas"] = store.stateful_sets()[id].spec.replicas.into();
        }
        ObjectId::Service(id) => service(&store.services()[id], spec),
        ObjectId::PersistentVolumeClaim(id) => {
            let claim = &store.claims()[id];
            let name = claim.volume.as_ref().map(|_| claim.volume_name().into());
            set_or_remove(spec, "volumeName", name);
            let class = claim.spec.storage_class.as_deref().map(Value::from);
            set_or_remove(spec, "storageClassName", class);
        }
        ObjectId::Node(id) => node(&store.nodes()[id], value),
        _ if spec.is_null() => {
            if let Some(fields) = value.as_object_mut() {
                fields.shift_remove("spec");
            }
        }
        _ => {}
    }
}

fn set_or_remove(value: &mut Value, field: &str, new: Option<Value>) {
    match (new, value.as_object_mut()) {
        (Some(new), _) => value[field] = new,
        (None, Some(fields)) => drop(fields.shift_remove(field)),
        (None, None) => {}
    }
}

/// The cluster IP assigned by the API server, and the node ports.
fn service(service: &Service, spec: &mut Value) {
    if let Some(address) = cluster_ip(service) {
        spec["clusterIP"] = Value::from(&*address);
        spec["clusterIPs"] = json!([address]);
    }
    if matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        let ports = spec["ports"].as_array_mut().into_iter().flatten();
        for (position, port) in ports.enumerate() {
            port["nodePort"] = node_port(service, position).into();
        }
    }
}

fn node(node: &Node, value: &mut Value) {
    let taints = node.taints.iter().map(|taint| {
        let mut fields = json!({ "effect": format!("{:?}", taint.effect), "key": &*taint.key });
        if !taint.value.is_empty() {
            fields["value"] = Value::from(&*taint.value);
        }
        fields
    });
    let taints: Vec<Value> = taints.collect();
    let spec = &mut value["spec"];
    set_or_remove(spec, "taints", (!taints.is_empty()).then(|| taints.into()));
    set_or_remove(spec, "unschedulable", node.unschedulable.then(|| true.into()));
    if spec.is_null() {
        *spec = json!({});
    }
    value["status"]["capacity"] = amounts(&node.capacity);
    value["status"]["allocatable"] = amounts(&node.allocatable);
}

/// An object without a manifest, from its lean form, without name and labels.
fn made(store: &Store, object: ObjectId) -> Option<Value> {
    let spec = match object {
        ObjectId::Pod(_) => return None,
        ObjectId::ReplicaSet(id) => replica_set(store, &store.replica_sets()[id]),
        ObjectId::Deployment(id) => {
            let spec = &store.deployments()[id].spec;
            json!({ "selector": selector(&spec.selector), "template": pod_template(&spec.template) })
        }
        ObjectId::StatefulSet(id) => {
            let set = &store.stateful_sets()[id];
            json!({
                "selector": selector(&set.spec.selector),
                "serviceName": &**set.meta.name(),
                "template": pod_template(&set.spec.template),
            })
        }
        ObjectId::DaemonSet(id) => {
            let spec = &store.daemon_sets()[id].spec;
            json!({ "selector": selector(&spec.selector), "template": pod_template(&spec.template) })
        }
        ObjectId::Job(id) => {
            let spec = &store.jobs()[id].spec;
            let mut fields = json!({
                "backoffLimit": spec.backoff_limit,
                "completionMode": if spec.is_indexed { "Indexed" } else { "NonIndexed" },
                "parallelism": spec.parallelism,
                "suspend": spec.suspend,
                "template": pod_template(&spec.template),
            });
            set_or_remove(&mut fields, "completions", spec.completions.map(Value::from));
            fields
        }
        ObjectId::Service(id) => {
            let spec = &store.services()[id].spec;
            let ports = spec.ports.iter().map(|port| {
                let target: Value = match port.target_port.parse::<u16>() {
                    Ok(number) => number.into(),
                    Err(_) => Value::from(&*port.target_port),
                };
                let mut fields = json!({ "port": port.port, "targetPort": target });
                if !port.name.is_empty() {
                    fields["name"] = Value::from(&*port.name);
                }
                fields
            });
            let mut fields = json!({ "ports": ports.collect::<Value>() });
            if let Some(Selector { requirements }) = &spec.selector {
                let pairs =
                    requirements.iter().filter_map(|one| Some((&one.key, one.values.first()?)));
                fields["selector"] =
                    map(&pairs.map(|(key, one)| (key.clone(), one.clone())).collect());
            }
            fields
        }
        ObjectId::HorizontalPodAutoscaler(id) => hpa_spec(&store.hpas()[id].spec),
        ObjectId::PersistentVolumeClaim(id) => claim_spec(&store.claims()[id].spec),
        ObjectId::PriorityClass(id) => {
            let spec = &store.priority_classes()[id].spec;
            let policy = if spec.never_preempts { "Never" } else { "PreemptLowerPriority" };
            return Some(json!({
                "globalDefault": spec.global_default,
                "preemptionPolicy": policy,
                "value": spec.value,
            }));
        }
        ObjectId::ResourceQuota(id) => json!({ "hard": amounts(&store.quotas()[id].spec.hard) }),
        ObjectId::PodDisruptionBudget(id) => {
            let chosen = store.disruption_budgets()[id].spec.selector.as_ref();
            json!({ "selector": chosen.map(selector) })
        }
        ObjectId::Namespace(_) => json!({ "finalizers": ["kubernetes"] }),
        _ => return Some(json!({})),
    };
    Some(json!({ "spec": spec }))
}

fn replica_set(store: &Store, set: &ReplicaSet) -> Value {
    let mut fields = json!({
        "selector": selector(&set.selector),
        "template": pod_template(&store.templates()[set.template]),
    });
    if set.min_ready.as_secs() > 0 {
        fields["minReadySeconds"] = set.min_ready.as_secs().into();
    }
    fields
}

fn claim_spec(spec: &ClaimSpec) -> Value {
    let modes = AccessMode::NAMED.iter().filter(|(_, mode)| spec.access_modes.contains(mode));
    let mut fields = json!({
        "accessModes": modes.map(|(name, _)| *name).collect::<Vec<_>>(),
        "resources": { "requests": amounts(&spec.requests) },
        "volumeMode": "Filesystem",
    });
    if let Some(class) = &spec.storage_class {
        fields["storageClassName"] = Value::from(&**class);
    }
    fields
}

/// Labels, annotations and other string maps.
pub fn map(pairs: &Labels) -> Value {
    let pairs = pairs.iter().map(|(key, value)| (key.to_string(), Value::from(&**value)));
    Value::Object(pairs.collect())
}

/// Amounts of resources.
pub fn amounts(list: &ResourceList) -> Value {
    let pairs = list.iter().map(|(name, amount)| (name.to_string(), amount.to_string().into()));
    Value::Object(pairs.collect())
}

/// A label selector.
pub fn selector(selector: &Selector) -> Value {
    let mut labels = Map::new();
    let mut expressions = Vec::new();
    for one in &selector.requirements {
        let values: Vec<&str> = one.values.iter().map(|value| &**value).collect();
        match (one.operator, values.as_slice()) {
            (Operator::In, [value]) if !labels.contains_key(&*one.key) => {
                labels.insert(one.key.to_string(), Value::from(*value));
            }
            (operator, _) => {
                let mut fields = json!({ "key": &*one.key, "operator": format!("{operator:?}") });
                if !values.is_empty() {
                    fields["values"] = values.into();
                }
                expressions.push(fields);
            }
        }
    }
    let mut fields = Map::new();
    if !expressions.is_empty() {
        fields.insert("matchExpressions".to_owned(), expressions.into());
    }
    if !labels.is_empty() {
        fields.insert("matchLabels".to_owned(), Value::Object(labels));
    }
    Value::Object(fields)
}
