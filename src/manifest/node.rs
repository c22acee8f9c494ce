//! Converts Nodes of the API to those of `cluster`.

use k8s_openapi::api::core::v1 as core;

use super::constraints::TAINT_EFFECTS;
use super::defaults::SetDefaults;
use super::field::{FieldErrors, FieldPath};
use super::pod::pairs;
use super::resources::resource_list;
use cluster::node::{ConditionStatus, Machine, Node, NodeHealth, NodeReady, Taint};
use cluster::{Name, ObjectMeta};
use engine::SimTime;
use units::Bytes;

/// A Node object as printed by `kubectl get node -o yaml`. Without conditions it counts as ready:
/// its simulated kubelet reports the status.
pub fn node(node: &core::Node, errors: &mut FieldErrors) -> Node {
    let mut node = node.clone();
    node.set_defaults();
    let root = FieldPath::ROOT;
    let name = node.metadata.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        let at = root.field("metadata");
        errors.required(&at.field("name"), "");
    }
    let mut meta = ObjectMeta::new("", name);
    meta.labels = pairs(node.metadata.labels.as_ref());
    meta.annotations = pairs(node.metadata.annotations.as_ref());
    let status = node.status.clone().unwrap_or_default();
    let at = root.field("status");
    let capacity = status.capacity.as_ref().or(status.allocatable.as_ref());
    let capacity = resource_list(capacity, &at.field("capacity"), errors);
    let allocatable = status.allocatable.as_ref();
    let allocatable = resource_list(allocatable, &at.field("allocatable"), errors);
    let spec = node.spec.clone().unwrap_or_default();
    Node {
        meta,
        capacity,
        allocatable,
        unschedulable: spec.unschedulable.unwrap_or_default(),
        taints: taints(
            spec.taints.as_deref().unwrap_or_default(),
            &root.field("spec").field("taints"),
            errors,
        ),
        ready: NodeReady { status: ready_status(&status), since: SimTime::ZERO },
        health: NodeHealth::default(),
        images: images(&status),
        pool: Name::from(""),
        machine: Machine::default(),
    }
}

/// Taints of nodes.
pub(super) fn taints(
    written: &[core::Taint],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<Taint> {
    let mut taints = Vec::new();
    for (position, taint) in written.iter().enumerate() {
        let at = path.item(position);
        if taint.key.is_empty() {
            errors.required(&at.field("key"), "");
        }
        let effect = Some(taint.effect.as_str());
        let at = at.field("effect");
        if taint.effect.is_empty() {
            errors.required(&at, "NoSchedule, PreferNoSchedule or NoExecute");
        }
        taints.push(Taint {
            key: Name::from(taint.key.as_str()),
            value: Name::from(taint.value.as_deref().unwrap_or_default()),
            effect: errors.choose(effect, &TAINT_EFFECTS, &at),
            time_added: None,
        });
    }
    taints
}

fn ready_status(status: &core::NodeStatus) -> ConditionStatus {
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions.find(|condition| condition.type_ == "Ready");
    match ready.map(|condition| condition.status.as_str()) {
        None | Some("True") => ConditionStatus::True,
        Some("False") => ConditionStatus::False,
        Some(_) => ConditionStatus::Unknown,
    }
}

fn images(status: &core::NodeStatus) -> Vec<(Name, Bytes)> {
    let mut images = Vec::new();
    for image in status.images.iter().flatten() {
        let size = Bytes(image.size_bytes.unwrap_or_default());
        let names = image.names.iter().flatten();
        images.extend(names.map(|name| (Name::from(name.as_str()), size)));
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::pod_template::TaintEffect;

    #[test]
    fn allocatable_defaults_to_capacity_and_every_name_of_an_image_counts() {
        let mut errors = FieldErrors::default();
        let typed: core::Node = serde_json::from_str(
            r#"{"metadata":{"name":"n"},
                "spec":{"taints":[{"key":"k","effect":"NoExecute"}]},
                "status":{"capacity":{"cpu":"4"},
                          "images":[{"names":["a:1","a@sha256:0"],"sizeBytes":7}]}}"#,
        )
        .unwrap();
        let node = node(&typed, &mut errors);
        assert!(errors.is_empty());
        assert_eq!(node.allocatable.get("cpu").unwrap().to_string(), "4");
        assert_eq!(node.images.len(), 2);
        assert_eq!(node.taints[0].effect, TaintEffect::NoExecute);
        assert_eq!(node.ready.status, ConditionStatus::True);
    }
}
