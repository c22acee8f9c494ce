//! The Services whose selectors a Rollout switches between its versions (`rollout/service.go`, Argo Rollouts 1.9.1).

use std::sync::Arc;

use serde_json::{Value, json};

use super::sync::Sync;
use cluster::rollout::{CanaryStrategy, ROLLOUT_HASH_LABEL};
use cluster::rollout_references::MANAGED_BY;
use cluster::service::{Service, ServiceSpec};
use cluster::{Action, AnySpec, Name, NamespacedName, ObjectMeta};

impl<'a> Sync<'a> {
    pub(super) fn service(&self, name: &Name) -> Option<&'a Service> {
        let namespace = self.rollout.meta.namespace().clone();
        self.view.store().find::<Service>(&NamespacedName::new(namespace, name.clone()))
    }

    /// The hash of the version behind a Service; empty if its selector has none.
    pub(super) fn selected_hash(&self, name: &Name) -> Name {
        let service = self.service(name);
        let selector = service.and_then(|service| service.spec.selector.as_ref());
        selector.and_then(|one| one.value_of(ROLLOUT_HASH_LABEL)).cloned().unwrap_or_default()
    }

    /// Points a Service to a version (`switchServiceSelector`).
    pub(super) fn switch_service(&mut self, name: &Name, hash: &Name) {
        let before = self.selected_hash(name);
        let Some(service) = self.service(name) else { return };
        if before == *hash && service.meta.annotations.contains_key(MANAGED_BY) {
            return;
        }
        let (meta, spec) = switched(service, self.rollout.meta.name(), hash);
        self.actions.push(Action::Apply(Box::new(meta), AnySpec::Service(Box::new(spec))));
        let message = format!("Switched selector for service '{name}' from '{before}' to '{hash}'");
        self.tell("SwitchService", message);
    }

    /// Points the Services of a canary to their versions (`reconcileStableAndCanaryService`).
    pub(super) fn point_canary_services(&mut self, canary: &CanaryStrategy) {
        self.point(canary.stable_service.as_ref(), self.sets.stable, true);
        let is_aborted = self.pauses.is_aborted(self.rollout);
        if is_aborted && canary.routing.is_none() {
            self.point(canary.canary_service.as_ref(), self.sets.stable, true);
        } else if is_aborted && !canary.dynamic_stable_scale {
            // The controller points it to the new version here, and back at once as the weight goes to 0.
        } else if self.dynamic_rollback().is_none() {
            self.point(canary.canary_service.as_ref(), self.sets.new, true);
        }
    }

    /// Points a Service to a set, once that has pods to answer (`ensureSVCTargets`): all at the first time, one later.
    pub(super) fn point(&mut self, name: Option<&Name>, set: Option<usize>, needs_pods: bool) {
        let (Some(name), Some(position)) = (name, set) else { return };
        let Some(service) = self.service(name) else { return };
        let (size, hash) = {
            let set = &self.sets.all[position];
            (set.size(), set.hash.clone())
        };
        if self.selected_hash(name) == hash {
            return;
        }
        let is_known = service.meta.annotations.contains_key(MANAGED_BY);
        let is_available = size.replicas != 0 && size.available >= size.replicas;
        if needs_pods && (size.available == 0 || !is_known && !is_available) {
            return;
        }
        self.switch_service(name, &hash);
    }

    /// The version from which an update goes back to the stable one, which is not yet grown
    /// (`IsDynamicallyRollingBackToStable`).
    pub(super) fn dynamic_rollback(&self) -> Option<Name> {
        let canary = self.rollout.spec.canary()?;
        let is_dynamic = canary.routing.is_some() && canary.dynamic_stable_scale;
        let weights = self.rollout.status.weights.as_ref()?;
        let new = self.sets.new_set()?;
        let is_back = is_dynamic
            && self.rollout.status.is_fully_promoted()
            && weights.canary_hash != new.hash
            && new.available() < self.wanted();
        is_back.then(|| weights.canary_hash.clone())
    }

    /// Whether a version is in use by status or Services (`isReplicaSetReferenced`).
    pub(super) fn is_referenced(&self, position: usize) -> bool {
        let hash = &self.sets.all[position].hash;
        let status = &self.rollout.status;
        let mut known = vec![
            status.stable_hash.clone(),
            status.current_pod_hash.clone(),
            status.active_selector.clone(),
            status.preview_selector.clone(),
        ];
        if let Some(weights) = &status.weights {
            known.extend([weights.canary_hash.clone(), weights.stable_hash.clone()]);
        }
        let services = self.rollout.spec.services();
        known.extend(services.map(|(_, name)| self.selected_hash(name)));
        known.contains(hash)
    }
}

/// A Service that selects this version only.
fn switched(service: &Service, rollout: &Name, hash: &Name) -> (ObjectMeta, ServiceSpec) {
    let (mut meta, mut spec) = (service.meta.clone(), service.spec.clone());
    let selector = spec.selector.take().unwrap_or_default();
    spec.selector = Some(selector.replacing(ROLLOUT_HASH_LABEL, hash.clone()));
    meta.annotations = meta.annotations.with(MANAGED_BY, rollout.clone());
    if let Some(document) = &meta.document {
        let mut document = (**document).clone();
        let written = &mut document.object["spec"]["selector"];
        if written.is_null() {
            *written = json!({});
        }
        written[ROLLOUT_HASH_LABEL] = Value::from(&**hash);
        meta.document = Some(Arc::new(document));
    }
    (meta, spec)
}
