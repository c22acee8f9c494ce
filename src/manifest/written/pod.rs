//! Writes pods and pod templates in the form of API clients.

use serde_json::{Value, json};

use super::{amounts, map};
use cluster::Store;
use cluster::pod::{Owner, Pod};
use cluster::pod_template::{
    Container, PodSpec, PodTemplate, PreemptionPolicy, Toleration, TolerationOperator,
};

/// `template` of a workload: as written, with its current labels and annotations.
pub(super) fn pod_template(template: &PodTemplate) -> Value {
    let mut metadata = json!({});
    for (field, pairs) in [("annotations", &template.annotations), ("labels", &template.labels)] {
        if !pairs.is_empty() {
            metadata[field] = map(pairs);
        }
    }
    json!({ "metadata": metadata, "spec": spec(template) })
}

fn spec(template: &PodTemplate) -> Value {
    let written = template.document.get().map(|written| written["spec"].clone());
    written.unwrap_or_else(|| of_lean(&template.spec))
}

/// The simulated parts of the spec of a template without a manifest.
fn of_lean(spec: &PodSpec) -> Value {
    let containers = |all: &[Container]| all.iter().map(container).collect::<Value>();
    let mut fields = json!({ "containers": containers(&spec.containers) });
    if !spec.init_containers.is_empty() {
        fields["initContainers"] = containers(&spec.init_containers);
    }
    if !spec.scheduler_name.is_empty() {
        fields["schedulerName"] = Value::from(&*spec.scheduler_name);
    }
    fields
}

fn container(one: &Container) -> Value {
    let mut fields = json!({ "name": &*one.name, "image": &*one.image });
    let ports = one.ports.iter().map(|port| json!({ "containerPort": port.container_port }));
    if !one.ports.is_empty() {
        fields["ports"] = ports.collect();
    }
    if one.is_sidecar {
        fields["restartPolicy"] = "Always".into();
    }
    set_resources(&mut fields, one);
    fields
}

/// Requests and limits as set by admission, autoscalers and resizes.
fn set_resources(fields: &mut Value, container: &Container) {
    let lists = [("requests", &container.requests), ("limits", &container.limits)];
    for (name, list) in lists.into_iter().filter(|(_, list)| list.iter().next().is_some()) {
        fields["resources"][name] = amounts(list);
    }
    if fields["resources"].is_null() {
        fields["resources"] = json!({});
    }
}

/// `spec` of a pod: that of its template, with the changes by admission, its controller and the
/// scheduler.
pub(super) fn pod(store: &Store, pod: &Pod) -> Value {
    let template = store.template_of(pod);
    let lean = &template.spec;
    let mut fields = spec(template);
    for (name, containers) in
        [("containers", &lean.containers), ("initContainers", &lean.init_containers)]
    {
        let written = fields[name].as_array_mut().into_iter().flatten();
        written.zip(containers).for_each(|(fields, container)| set_resources(fields, container));
    }
    if fields["initContainers"].is_null() {
        fields.as_object_mut().map(|all| all.shift_remove("initContainers"));
    }
    if let Some(node) = pod.node.and_then(|node| store.nodes().get(node)) {
        fields["nodeName"] = Value::from(&**node.meta.name());
    }
    if let Some(priority) = lean.priority {
        fields["priority"] = priority.into();
        fields["preemptionPolicy"] = match lean.preemption_policy {
            PreemptionPolicy::PreemptLowerPriority => "PreemptLowerPriority",
            PreemptionPolicy::Never => "Never",
        }
        .into();
    }
    if !lean.priority_class_name.is_empty() {
        fields["priorityClassName"] = Value::from(&*lean.priority_class_name);
    }
    if !lean.tolerations.is_empty() {
        fields["tolerations"] = lean.tolerations.iter().map(toleration).collect();
    }
    if fields["serviceAccountName"].is_null() {
        fields["serviceAccountName"] = "default".into();
    }
    match pod.owner {
        Some(Owner::StatefulSet(id)) => {
            if let Some(set) = store.stateful_sets().get(id) {
                fields["hostname"] = Value::from(&**pod.name());
                let written = set.meta.document.as_ref();
                let service = written.and_then(|all| all.object["spec"]["serviceName"].as_str());
                if let Some(service) = service.filter(|name| !name.is_empty()) {
                    fields["subdomain"] = service.into();
                }
                let templates = &set.spec.claim_templates;
                let names = templates.iter().map(|one| &one.name);
                add_volumes(&mut fields, pod, names.map(|name| &**name));
            }
        }
        Some(Owner::DaemonSet(_)) => {
            if let Some(node) = fields["nodeName"].as_str().map(str::to_owned) {
                let term = json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }] });
                fields["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
                    json!({ "nodeSelectorTerms": [term] });
            }
        }
        Some(Owner::ReplicaSet(_) | Owner::Job(_)) | None => {}
    }
    fields
}

/// The volumes of a StatefulSet's claims, which replace volumes of the same names.
fn add_volumes<'a>(fields: &mut Value, pod: &Pod, names: impl Iterator<Item = &'a str>) {
    let mut volumes = fields["volumes"].as_array().cloned().unwrap_or_default();
    for name in names {
        volumes.retain(|volume| volume["name"] != name);
        let claim = format!("{name}-{}", pod.name());
        volumes.push(json!({ "name": name, "persistentVolumeClaim": { "claimName": claim } }));
    }
    if !volumes.is_empty() {
        fields["volumes"] = volumes.into();
    }
}

fn toleration(one: &Toleration) -> Value {
    let mut fields = json!({
        "operator": match one.operator {
            TolerationOperator::Equal => "Equal",
            TolerationOperator::Exists => "Exists",
        },
    });
    for (name, text) in [("key", &one.key), ("value", &one.value)] {
        if !text.is_empty() {
            fields[name] = Value::from(&**text);
        }
    }
    if let Some(effect) = one.effect {
        fields["effect"] = format!("{effect:?}").into();
    }
    if let Some(seconds) = one.toleration_seconds {
        fields["tolerationSeconds"] = seconds.into();
    }
    fields
}
