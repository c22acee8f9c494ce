//! Namespace, labels, annotations, replicas and images.

use serde_json::{Map, Value};

use super::merge::merge_fields;
use super::{Resource, maps};

/// Cluster-scoped kinds; unknown kinds are namespaced.
const CLUSTER_SCOPED: [&str; 24] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ComponentStatus",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PodSecurityPolicy",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];
/// Path of the pod template in objects of a kind.
fn template(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "Deployment"
        | "ReplicaSet"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "ReplicationController" => &["spec", "template"],
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        _ => return None,
    })
}

pub(super) fn set_namespace(settings: &Value, resources: &mut [Resource]) {
    let Some(namespace) = settings.get("namespace").and_then(Value::as_str) else { return };
    let accounts: Vec<String> = resources
        .iter()
        .filter(|one| one.kind() == "ServiceAccount")
        .map(|one| one.name().to_owned())
        .collect();
    for resource in resources {
        let kind = resource.kind().to_owned();
        if kind == "Namespace" {
            resource.rename(namespace);
        } else if !CLUSTER_SCOPED.contains(&kind.as_str()) {
            let namespace = Map::from_iter([("namespace".to_owned(), namespace.into())]);
            merge_fields(&mut resource.value, "metadata", &Value::Object(namespace));
        }
        if matches!(kind.as_str(), "RoleBinding" | "ClusterRoleBinding") {
            let subjects = resource.value.get_mut("subjects").and_then(Value::as_array_mut);
            for subject in subjects.into_iter().flatten() {
                let name = subject.get("name").and_then(Value::as_str).unwrap_or_default();
                let is_account =
                    subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount");
                if is_account && (name == "default" || accounts.iter().any(|known| known == name)) {
                    subject["namespace"] = namespace.into();
                }
            }
        }
    }
}

/// Applies `act` to all values at a path, which is created if `makes` is set; lists on the path are
/// iterated.
pub(super) fn each_at(
    value: &mut Value,
    path: &[&str],
    makes: bool,
    act: &mut dyn FnMut(&mut Value),
) {
    let Some((step, rest)) = path.split_first() else {
        return act(value);
    };
    match value {
        Value::Array(items) => {
            for item in items {
                each_at(item, path, makes, act);
            }
        }
        Value::Object(fields) => {
            if makes && fields.get(*step).is_none_or(Value::is_null) {
                fields.insert((*step).to_owned(), Value::Object(Map::new()));
            }
            if let Some(field) = fields.get_mut(*step) {
                each_at(field, rest, makes, act);
            }
        }
        _ => {}
    }
}

fn add(value: &mut Value, path: &[&str], makes: bool, entries: &Map<String, Value>) {
    each_at(value, path, makes, &mut |map| {
        if let Value::Object(map) = map {
            map.extend(entries.clone());
        }
    });
}

/// `commonLabels` and `labels`.
pub(super) fn add_labels(settings: &Value, resources: &mut [Resource]) {
    for given in maps(settings, "labels") {
        let Some(pairs) = given.get("pairs").and_then(Value::as_object) else { continue };
        let is_set = |field: &str| given.get(field).and_then(Value::as_bool) == Some(true);
        for resource in resources.iter_mut() {
            if is_set("includeSelectors") {
                add_everywhere(resource, pairs);
                continue;
            }
            add(&mut resource.value, &["metadata", "labels"], true, pairs);
            if is_set("includeTemplates") {
                in_templates(resource, "labels", pairs);
            }
        }
    }
    if let Some(labels) = settings.get("commonLabels").and_then(Value::as_object) {
        for one in resources {
            add_everywhere(one, labels);
        }
    }
}

fn in_templates(resource: &mut Resource, field: &str, entries: &Map<String, Value>) {
    let kind = resource.kind().to_owned();
    let Some(path) = template(&kind) else { return };
    let path = [path, &["metadata", field]].concat();
    add(&mut resource.value, &path, true, entries);
    if kind == "CronJob" {
        let path = ["spec", "jobTemplate", "metadata", field];
        add(&mut resource.value, &path, true, entries);
    }
}

/// Adds labels to objects, to their pod templates, and to the selectors that match these.
fn add_everywhere(resource: &mut Resource, labels: &Map<String, Value>) {
    let kind = resource.kind().to_owned();
    add(&mut resource.value, &["metadata", "labels"], true, labels);
    in_templates(resource, "labels", labels);
    let value = &mut resource.value;
    match kind.as_str() {
        "Service" => {
            // A Service without a selector selects no pods.
            add(value, &["spec", "selector"], true, labels);
        }
        "ReplicationController" => add(value, &["spec", "selector"], true, labels),
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" => {
            add(value, &["spec", "selector", "matchLabels"], true, labels);
        }
        "Job" | "PodDisruptionBudget" => {
            add(value, &["spec", "selector", "matchLabels"], false, labels);
        }
        "NetworkPolicy" => {
            add(value, &["spec", "podSelector", "matchLabels"], false, labels);
            for path in [
                ["spec", "ingress", "from", "podSelector", "matchLabels"],
                ["spec", "egress", "to", "podSelector", "matchLabels"],
            ] {
                add(value, &path, false, labels);
            }
        }
        _ => {}
    }
    if kind == "StatefulSet" {
        let path = ["spec", "volumeClaimTemplates", "metadata", "labels"];
        add(value, &path, true, labels);
    }
    if matches!(kind.as_str(), "Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet") {
        add_to_affinities(value, &kind, labels);
    }
}

fn add_to_affinities(value: &mut Value, kind: &str, labels: &Map<String, Value>) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    if !matches!(kind, "Deployment" | "StatefulSet") {
        return;
    }
    let spec = ["spec", "template", "spec"];
    for sort in ["podAffinity", "podAntiAffinity"] {
        for end in [
            &[PREFERRED, "podAffinityTerm", "labelSelector", "matchLabels"][..],
            &[REQUIRED, "labelSelector", "matchLabels"][..],
        ] {
            let path = [&spec[..], &["affinity", sort], end].concat();
            add(value, &path, false, labels);
        }
    }
    let end = ["topologySpreadConstraints", "labelSelector", "matchLabels"];
    add(value, &[&spec[..], &end[..]].concat(), false, labels);
}

/// `commonAnnotations`.
pub(super) fn add_annotations(settings: &Value, resources: &mut [Resource]) {
    let Some(annotations) = settings.get("commonAnnotations").and_then(Value::as_object) else {
        return;
    };
    for resource in resources {
        add(&mut resource.value, &["metadata", "annotations"], true, annotations);
        in_templates(resource, "annotations", annotations);
    }
}

pub(super) fn set_replicas(settings: &Value, resources: &mut [Resource]) {
    const SCALED: [&str; 4] = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"];
    for given in maps(settings, "replicas") {
        let name = given.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some(count) = given.get("count") else { continue };
        let scaled =
            resources.iter_mut().filter(|one| SCALED.contains(&one.kind()) && one.is_called(name));
        for resource in scaled {
            let count = Map::from_iter([("replicas".to_owned(), count.clone())]);
            merge_fields(&mut resource.value, "spec", &Value::Object(count));
        }
    }
}

pub(super) fn set_images(settings: &Value, resources: &mut [Resource]) {
    for given in maps(settings, "images") {
        let text = |field: &str| match given.get(field) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let Some(name) = text("name") else { continue };
        let change =
            Image { name, new_name: text("newName"), tag: text("newTag"), digest: text("digest") };
        let others = |one: &&mut Resource| one.kind() != "CustomResourceDefinition";
        resources.iter_mut().filter(others).for_each(|one| change.apply(&mut one.value));
    }
}

struct Image {
    name: String,
    new_name: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
}

impl Image {
    /// Sets the image in all containers of an object.
    fn apply(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(item)),
            Value::Object(fields) => {
                for (name, field) in fields.iter_mut() {
                    let has_containers = matches!(name.as_str(), "containers" | "initContainers");
                    if let (true, Value::Array(items)) = (has_containers, &mut *field) {
                        for item in items {
                            if let Some(Value::String(image)) = item.get_mut("image") {
                                *image = self.changed(image);
                            }
                        }
                    } else {
                        self.apply(field);
                    }
                }
            }
            _ => {}
        }
    }

    fn changed(&self, image: &str) -> String {
        let Some(rest) = image.strip_prefix(self.name.as_str()) else { return image.to_owned() };
        if !rest.is_empty() && !rest.starts_with([':', '@']) || rest.contains('/') {
            return image.to_owned();
        }
        let name = self.new_name.as_deref().unwrap_or(&self.name);
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => format!("{name}:{tag}@{digest}"),
            (None, Some(digest)) => format!("{name}@{digest}"),
            (Some(tag), None) => format!("{name}:{tag}"),
            (None, None) => format!("{name}{rest}"),
        }
    }
}
