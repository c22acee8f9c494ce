//! The manifests as the timeline changes them, for the checks before a run; and kubectl's merge of a patch or a
//! manifest into an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use cluster::{Action, ObjectReference};
use controllers::hpa::HpaSettings;
use faults::{ImageChange, PatchChange};
use manifest::{ControlPlane, Diagnostics, Manifest, Object, Severity, admit_with};
use scenario::Routing;

/// The applied manifests, by reference.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    by_reference: BTreeMap<ObjectReference, Manifest>,
    /// In the order in which they were first applied.
    order: Vec<ObjectReference>,
    /// Settings of the cluster that they are applied to.
    control_plane: ControlPlane,
}

impl Documents {
    /// No manifests, for a cluster with this control plane.
    pub fn new(control_plane: ControlPlane) -> Self {
        Self { control_plane, ..Self::default() }
    }

    /// Records applied manifests.
    pub fn apply<'a>(&mut self, manifests: impl IntoIterator<Item = &'a Manifest>) {
        // With `generateName` every apply creates a new object.
        for manifest in manifests.into_iter().filter(|one| !one.has_generated_name) {
            let reference = &manifest.reference;
            if self.by_reference.insert(reference.clone(), manifest.clone()).is_none() {
                self.order.push(reference.clone());
            }
        }
    }

    /// All manifests except those of `others`, in the order in which they were first applied.
    pub fn beside<'a>(&'a self, others: &'a [Manifest]) -> impl Iterator<Item = &'a Manifest> {
        let is_other =
            |one: &&Manifest| others.iter().any(|other| other.reference == one.reference);
        let all = self.order.iter().filter_map(|one| self.by_reference.get(one));
        all.filter(move |one| !is_other(one))
    }

    /// An object as last written.
    pub fn get(&self, object: &ObjectReference) -> Option<&Manifest> {
        self.by_reference.get(object)
    }

    /// Records a deletion.
    pub fn delete(&mut self, object: &ObjectReference) {
        self.by_reference.remove(object);
        self.order.retain(|other| other != object);
    }

    /// The routing of hosts and paths by the current Ingresses and HTTPRoutes.
    pub fn routing(&self) -> Routing {
        let mut routing = Routing::default();
        for manifest in self.order.iter().filter_map(|one| self.by_reference.get(one)) {
            routing.add(&manifest.reference, &manifest.value);
        }
        routing
    }

    /// Records a new image of a container.
    pub fn set_image(&mut self, change: &ImageChange) {
        let Some(manifest) = self.by_reference.get_mut(&change.workload) else { return };
        let pointer = change.workload.kind.pod_template_pointer();
        if let Some(template) = manifest.value.pointer_mut(pointer) {
            set_image(template, change);
        }
    }

    /// Applies a merge patch to an object and returns the resulting errors. An object without a manifest is unknown
    /// here and gets none.
    pub fn patch(&mut self, change: &PatchChange) -> Diagnostics {
        let Some(manifest) = self.by_reference.get_mut(&change.workload) else {
            return Diagnostics::default();
        };
        merge(&mut manifest.value, &change.patch);
        let patched = vec![manifest.clone()];
        let (_, said) = self.admit(patched);
        let mut problems = Diagnostics::default();
        for problem in said.iter().filter(|problem| problem.severity == Severity::Error) {
            problems.push(problem.clone());
        }
        problems
    }

    /// The actions that apply these manifests next to all others, and the diagnostics about these manifests only.
    pub fn admit(&self, manifests: Vec<Manifest>) -> (Vec<Action>, Diagnostics) {
        let others: Vec<Manifest> = self.beside(&manifests).cloned().collect();
        let is_other: BTreeSet<ObjectReference> =
            others.iter().map(|one| one.reference.clone()).collect();
        let places: BTreeSet<Arc<str>> =
            manifests.iter().map(|one| Arc::clone(&one.origin.source)).collect();
        let is_first = others.is_empty();
        let loaded = admit_with(others.into_iter().chain(manifests).collect(), self.control_plane);
        let own = loaded.objects.into_iter().filter(|one| {
            let manifest = &one.manifest;
            manifest.has_generated_name || !is_other.contains(&manifest.reference)
        });
        let actions = own.map(Object::into_action).collect();
        let mut problems = Diagnostics::default();
        for problem in &loaded.diagnostics {
            let is_own = problem.place.as_ref().is_some_and(|at| places.contains(&at.source));
            if is_first || is_own {
                problems.push(problem.clone());
            }
        }
        (actions, problems)
    }
}

/// Sets the image of a container in a pod template in its API form.
pub fn set_image(template: &mut Value, change: &ImageChange) {
    let containers = template.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    let mut containers = containers.into_iter().flatten();
    let container = match &change.container {
        Some(name) => containers.find(|one| one["name"] == **name),
        None => containers.next(),
    };
    if let Some(container) = container.and_then(Value::as_object_mut) {
        container.insert("image".to_owned(), Value::from(change.image.as_ref()));
    }
}

/// The control plane settings that decide whether manifests are valid.
pub fn control_plane(hpa: &HpaSettings) -> ControlPlane {
    ControlPlane {
        hpa_scale_to_zero: hpa.feature_gates.hpa_scale_to_zero,
        hpa_tolerance: hpa.tolerance,
    }
}

/// JSON merge patch (RFC 7396): values in `patch` replace those in the target, and null removes them.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// An object after `kubectl apply`: sets the fields of the manifest, removes those that only the previous manifest
/// had, and keeps all others (the three-way strategic merge of `kubectl/pkg/cmd/apply`).
pub fn applied(before: Option<&Value>, manifest: &Value, mut live: Value) -> Value {
    apply_fields(before.unwrap_or(&Value::Null), manifest, &mut live);
    live
}

fn apply_fields(before: &Value, manifest: &Value, live: &mut Value) {
    let (Some(fields), Some(live)) = (manifest.as_object(), live.as_object_mut()) else {
        return *live = manifest.clone();
    };
    for (name, _) in before.as_object().into_iter().flatten() {
        if !fields.contains_key(name) {
            live.shift_remove(name);
        }
    }
    for (name, wanted) in fields {
        match (wanted, live.get_mut(name)) {
            (Value::Null, _) => drop(live.shift_remove(name)),
            (Value::Object(_), Some(known @ Value::Object(_))) => {
                apply_fields(&before[name], wanted, known);
            }
            (Value::Array(items), Some(Value::Array(known))) => match merge_key(name, items) {
                Some(key) => *known = apply_items(key, &before[name], items, known),
                None => known.clone_from(items),
            },
            _ => drop(live.insert(name.clone(), wanted.clone())),
        }
    }
}

/// The field that identifies the items of a list (`patchMergeKey` in the API types); a list without one is replaced
/// as a whole.
fn merge_key(list: &str, items: &[Value]) -> Option<&'static str> {
    let key = match list {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" | "secrets" => {
            "name"
        }
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "ports" if items.iter().all(|one| one.get("containerPort").is_some()) => "containerPort",
        "ports" => "port",
        "hostAliases" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    };
    items.iter().all(|one| one.get(key).is_some()).then_some(key)
}

/// The items of the manifest in its order, then those added by other clients.
fn apply_items(key: &str, before: &Value, items: &[Value], live: &[Value]) -> Vec<Value> {
    let named = |all: &[Value], item: &Value| all.iter().find(|one| one[key] == item[key]).cloned();
    let before = before.as_array().map_or(&[][..], Vec::as_slice);
    let own = items.iter().map(|item| match named(live, item) {
        Some(mut known) => {
            apply_fields(&named(before, item).unwrap_or_default(), item, &mut known);
            known
        }
        None => item.clone(),
    });
    let is_others = |one: &&Value| named(items, one).is_none() && named(before, one).is_none();
    own.chain(live.iter().filter(is_others).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn applying_leaves_what_others_set_and_removes_what_the_manifest_dropped() {
        let before = json!({"spec": {"paused": true, "containers": [
            {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]},
            {"name": "b", "image": "b:1"},
        ]}});
        let manifest = json!({"spec": {"containers": [{"name": "a", "image": "a:2"}]}});
        let live = json!({"spec": {"paused": true, "replicas": 7, "containers": [
            {"name": "a", "image": "a:1", "imagePullPolicy": "Always",
             "env": [{"name": "X", "value": "1"}]},
            {"name": "b", "image": "b:1"},
            {"name": "injected", "image": "proxy:1"},
        ]}});
        let wanted = json!({"spec": {"replicas": 7, "containers": [
            {"name": "a", "image": "a:2", "imagePullPolicy": "Always"},
            {"name": "injected", "image": "proxy:1"},
        ]}});
        assert_eq!(applied(Some(&before), &manifest, live), wanted);
    }

    #[test]
    fn a_merge_patch_sets_removes_and_descends() {
        let mut target = json!({"a": {"b": 1, "c": [1, 2]}, "d": 4});
        merge(&mut target, &json!({"a": {"b": null, "c": [3], "e": {"f": 1}}, "d": 5}));
        assert_eq!(target, json!({"a": {"c": [3], "e": {"f": 1}}, "d": 5}));
    }
}
