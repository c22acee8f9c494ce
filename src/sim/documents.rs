//! Deployments as they were last written, so that a patch can be made an object as the API server makes
//! it: merged, defaulted, checked.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::{Action, ObjectReference};
use crate::faults::{ImageChange, PatchChange};
use crate::manifest::{Diagnostics, Manifest, Object, admit};

/// The manifests of Deployments, by reference.
#[derive(Clone, Debug, Default)]
pub struct Documents(BTreeMap<ObjectReference, Manifest>);

impl Documents {
    /// These manifests were applied.
    pub fn apply<'a>(&mut self, manifests: impl IntoIterator<Item = &'a Manifest>) {
        for manifest in manifests {
            if *manifest.reference.kind == *"Deployment" {
                self.0.insert(manifest.reference.clone(), manifest.clone());
            }
        }
    }

    /// The image of a container was set.
    pub fn set_image(&mut self, change: &ImageChange) {
        let Some(manifest) = self.0.get_mut(&change.workload) else { return };
        let containers = manifest.value.pointer_mut("/spec/template/spec/containers");
        let mut containers = containers.and_then(Value::as_array_mut).into_iter().flatten();
        let container = match &change.container {
            Some(name) => containers.find(|one| one["name"] == **name),
            None => containers.next(),
        };
        if let Some(container) = container {
            container["image"] = Value::from(change.image.as_ref());
        }
    }

    /// The Deployment after a merge patch, and what is wrong with it. Nothing for one that no manifest
    /// has.
    pub fn patch(&mut self, change: &PatchChange) -> (Option<Action>, Diagnostics) {
        let Some(manifest) = self.0.get_mut(&change.workload) else {
            return (None, Diagnostics::default());
        };
        merge(&mut manifest.value, &change.patch);
        let loaded = admit(vec![manifest.clone()]);
        let action = loaded.objects.into_iter().next().and_then(Object::into_action);
        (action, loaded.diagnostics)
    }
}

/// JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: &Value) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_sets_removes_and_descends() {
        let mut target = json!({"a": {"b": 1, "c": [1, 2]}, "d": 4});
        merge(&mut target, &json!({"a": {"b": null, "c": [3], "e": {"f": 1}}, "d": 5}));
        assert_eq!(target, json!({"a": {"c": [3], "e": {"f": 1}}, "d": 5}));
    }
}
