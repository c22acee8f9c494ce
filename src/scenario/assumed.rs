//! Objects that pods need at start but that are created outside the manifests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::inventory::Inventory;
use super::resolved::ResolvedScenario;
use cluster::{Kind, Name, NamespacedName, ObjectReference};
use manifest::Source;

/// Kinds that may be assumed: those usually created by other tools, of which only the name and keys matter. An assumed
/// claim is `ReadWriteMany` and can be mounted in every zone.
pub(super) const ASSUMABLE: [Kind; 4] =
    [Kind::ConfigMap, Kind::Secret, Kind::ServiceAccount, Kind::PersistentVolumeClaim];

/// The objects that pods need, each with the keys they read from it.
pub(super) type RequiredObjects = BTreeMap<ObjectReference, BTreeSet<Name>>;

impl Inventory {
    /// The ConfigMaps, Secrets, claims and ServiceAccounts that the pods of all workloads need.
    pub(super) fn needed(&self) -> RequiredObjects {
        let mut needed = RequiredObjects::new();
        for (workload, pods) in &self.workloads {
            let here = |kind, name: &Name| ObjectReference {
                kind,
                id: NamespacedName::new(workload.id.namespace.clone(), name.clone()),
            };
            let is_account = |name: &&Name| !name.is_empty() && &***name != "default";
            if let Some(account) = Some(&pods.service_account).filter(is_account) {
                needed.entry(here(Kind::ServiceAccount, account)).or_default();
            }
            for reference in &pods.references {
                if ASSUMABLE.contains(&reference.kind) {
                    let object = here(reference.kind, &reference.name);
                    needed.entry(object).or_default().extend(reference.key.clone());
                }
            }
        }
        needed
    }

    /// The needed objects that no manifest defines.
    pub(super) fn undefined_objects(&self) -> RequiredObjects {
        let mut needed = self.needed();
        needed.retain(|object, _| !self.objects.contains(object));
        needed
    }
}

impl ResolvedScenario {
    /// Manifests for the objects in `assumePresent`, with the keys that pods read from them at any time of the run.
    pub fn assumed_manifests(&self) -> Vec<Source> {
        let assumed = &self.scenario().assume_present;
        if assumed.is_empty() {
            return Vec::new();
        }
        let mut needed = RequiredObjects::new();
        let applied = self.files.applies.values();
        for sources in std::iter::once(&self.files.manifests).chain(applied) {
            for (object, keys) in Inventory::of(sources).needed() {
                needed.entry(object).or_default().extend(keys);
            }
        }
        let named: BTreeSet<&ObjectReference> = assumed.iter().collect();
        let texts =
            named.into_iter().map(|object| manifest(object, needed.get(object)).to_string());
        let text = texts.collect::<Vec<_>>().join("\n---\n");
        vec![Source::new("assumePresent", &*text)]
    }
}

fn manifest(object: &ObjectReference, keys: Option<&BTreeSet<Name>>) -> Value {
    let NamespacedName { namespace, name } = &object.id;
    let mut value = json!({
        "apiVersion": "v1",
        "kind": object.kind.name(),
        "metadata": {"namespace": &**namespace, "name": &**name},
    });
    let keys = keys.into_iter().flatten();
    let data: serde_json::Map<String, Value> =
        keys.map(|key| (key.to_string(), Value::from(""))).collect();
    match object.kind {
        Kind::ServiceAccount => {}
        Kind::PersistentVolumeClaim => {
            value["spec"] = json!({
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": "1Gi"}},
            });
        }
        _ => value["data"] = data.into(),
    }
    value
}
