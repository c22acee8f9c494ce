//! Reads NodePools from the store, and writes NodeClaims to it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{ACTOR, Karpenter};
use crate::environment::Environment;
use cluster::karpenter::NodeClaimSpec;
use cluster::{Action, Document, Kind, Labels, Name, NamespacedName, ObjectMeta, Store};
use karpenter::labels::{CAPACITY_TYPE, INSTANCE_TYPE, NODE_POOL, ZONE};
use karpenter::state::NodeClaim;
use scenario::karpenter::{KarpenterManifest, KarpenterPool, KarpenterSettings, read_pools};

/// The kinds that define Karpenter's pools.
pub(crate) const POOL_KINDS: [Kind; 3] = [Kind::NodePool, Kind::EC2NodeClass, Kind::KWOKNodeClass];

/// The valid pools; problems of the others are reported when they are applied.
pub(super) fn pools(store: &Store, settings: &KarpenterSettings) -> Vec<KarpenterPool> {
    let metas = POOL_KINDS.into_iter().flat_map(|kind| {
        let all = store.objects_of(kind).into_iter();
        all.filter_map(move |(object, _)| Some((kind, store.meta_of(object)?)))
    });
    let written: Vec<KarpenterManifest<'_>> = metas
        .filter_map(|(kind, meta)| Some((kind, &**meta.name(), &meta.document.as_ref()?.object)))
        .collect();
    read_pools(&written, settings).0
}

impl Karpenter {
    /// Updates the NodeClaim in the store.
    pub(super) fn write_claim(&self, env: &mut Environment, name: &Name) {
        let Some(one) = self.operator.claims().get(name) else { return };
        let claim = &one.claim;
        let meta = ObjectMeta {
            labels: claim.labels.clone(),
            annotations: claim.annotations.clone(),
            document: Some(Arc::new(Document {
                object: document(claim, one.is_registered),
                last_applied: None,
            })),
            ..ObjectMeta::new("", &**name)
        };
        env.act(ACTOR, Action::Apply(Box::new(meta), NodeClaimSpec.into()));
    }
}

/// Deletes a NodeClaim from the store.
pub(super) fn delete_claim(env: &mut Environment, name: &Name) {
    let id = NamespacedName::new("", &**name);
    if let Some(object) = env.store().object_named(Kind::NodeClaim, &id) {
        env.act(ACTOR, Action::Delete(object));
    }
}

fn document(claim: &NodeClaim, is_registered: bool) -> Value {
    let requirements = claim.requirements.iter().map(|one| {
        let mut requirement = json!({ "key": &*one.key, "operator": one.operator.as_str() });
        if !one.values.is_empty() {
            requirement["values"] =
                json!(one.values.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
        requirement
    });
    let condition = |kind: &str, holds: bool| json!({ "type": kind, "status": if holds { "True" } else { "Unknown" } });
    let is_launched = claim.provider_id.is_some();
    let is_initialized = claim.initialized.is_some();
    let mut conditions = vec![
        condition("Launched", is_launched),
        condition("Registered", is_registered),
        condition("Initialized", is_initialized),
        condition("Ready", is_launched && is_registered && is_initialized),
    ];
    if let Some((_, reason)) = claim.drifted {
        conditions.push(json!({ "type": "Drifted", "status": "True", "reason": reason.as_str() }));
    }
    let mut object = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": { "name": &*claim.name, "labels": pairs(&claim.labels) },
        "spec": { "requirements": requirements.collect::<Vec<_>>() },
        "status": { "conditions": conditions },
    });
    if is_registered {
        object["status"]["nodeName"] = json!(&*claim.name);
    }
    object
}

fn pairs(labels: &Labels) -> Value {
    let known = [INSTANCE_TYPE, CAPACITY_TYPE, ZONE, NODE_POOL];
    let shown = labels
        .iter()
        .filter(|(key, _)| known.contains(&&***key) || !key.contains("kubernetes.io/"));
    Value::Object(shown.map(|(key, value)| (key.to_string(), json!(&**value))).collect())
}
