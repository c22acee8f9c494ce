//! User requests that change objects: apply, patch, scale, rollouts, rollback, delete. Each one logs its outcome.

use std::sync::Arc;

use serde_json::Value;

use super::data_plane::DataPlane;
use super::documents::{self, applied, control_plane, merge};
use super::environment::Environment;
use cluster::analysis::AnalysisPhase;
use cluster::claim::Claim;
use cluster::controller_revision::Revision;
use cluster::pod_template::PodTemplate;
use cluster::replica_set::SetOwner;
use cluster::rollout::{ROLLOUT_HASH_LABEL, Rollout, RolloutSpec, RolloutStatus};
use cluster::scale::ScaleTarget;
use cluster::store::POD_TEMPLATE_HASH_LABEL;
use cluster::{Action, AnySpec, Kind, ObjectId, ObjectReference, Store, Verbs};
use faults::{ImageChange, PatchChange, Promotion, Rollback, ScaleChange};
use manifest::{
    Diagnostics, Loaded, Manifest, Object, Severity, admit_written, read_value, written,
};

/// Annotation that `kubectl rollout restart` sets on a pod template.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

impl Environment {
    /// Sends a user's request about an object; true if it was accepted. A refusal is logged.
    fn user(&mut self, object: &ObjectReference, action: Action) -> bool {
        match self.try_act("user", action) {
            Ok(()) => true,
            Err(why) => self.refuse(object, &why.to_string()),
        }
    }

    /// Like [`Self::user`], for a request that is `None` if its object does not exist.
    fn user_if_there(&mut self, object: &ObjectReference, action: Option<Action>) -> bool {
        let Some(action) = action else {
            self.not_found(object);
            return false;
        };
        self.user(object, action)
    }

    /// `kubectl scale`.
    pub(super) fn scale(&mut self, change: &ScaleChange) {
        let workload = &change.workload;
        let replicas = i32::try_from(change.replicas).unwrap_or(i32::MAX);
        let target = found(self.plane.store(), workload).and_then(ScaleTarget::of);
        let before = target.and_then(|target| self.plane.store().scale(target));
        let action = target.map(|target| Action::Scale(target, replicas));
        if self.user_if_there(workload, action) {
            let is_less = before.is_some_and(|before| replicas < before.spec_replicas);
            let reason = if is_less { "ScaledDown" } else { "Scaled" };
            self.emit_event(
                "user",
                workload,
                reason,
                format!("scaled to {replicas} by the scenario"),
            );
        }
    }

    /// `kubectl set image`.
    pub(super) fn set_image(&mut self, change: &ImageChange) {
        let set = |template: &mut PodTemplate| {
            let mut containers = template.spec.containers.iter_mut();
            let container = match &change.container {
                Some(name) => containers.find(|one| one.name == *name),
                None => containers.next(),
            };
            container.is_some_and(|container| {
                container.image = change.image.clone();
                true
            })
        };
        let written = |template: &mut Value| documents::set_image(template, change);
        let action = template_change(self.plane.store(), &change.workload, set, written);
        if self.user_if_there(&change.workload, action) {
            let message = format!("image set to {}", change.image);
            self.emit_event("user", &change.workload, "ImageChanged", message);
        }
    }

    /// `kubectl rollout restart`; of a Rollout `kubectl argo rollouts restart`, which is no update.
    pub(super) fn restart_rollout(&mut self, workload: &ObjectReference) {
        if workload.kind == Kind::Rollout {
            let at = self.view().timestamp();
            let restarted = |rollout: &mut RolloutSpec| rollout.restart_at = Some(at);
            let action = rollout_spec_change(self.plane.store(), workload, restarted);
            if self.user_if_there(workload, action) {
                let message = "Restarted by the scenario".to_owned();
                self.emit_event("user", workload, "Restarted", message);
            }
            return;
        }
        let now = self.now.to_string();
        let set = |template: &mut PodTemplate| {
            template.annotations = template.annotations.with(RESTARTED_AT, now.as_str());
            true
        };
        let written = |template: &mut Value| {
            template["metadata"]["annotations"][RESTARTED_AT] = Value::from(now.as_str());
        };
        let action = template_change(self.plane.store(), workload, set, written);
        if self.user_if_there(workload, action) {
            self.emit_event("user", workload, "Restarted", "Restarted by the scenario".to_owned());
        }
    }

    /// `kubectl rollout pause` and `resume`.
    pub(super) fn pause_rollout(&mut self, workload: &ObjectReference, paused: bool) {
        let store = self.plane.store();
        let written = found(store, workload).and_then(|object| store.written(object));
        let action = written.and_then(|(meta, mut spec)| {
            match &mut spec {
                AnySpec::Deployment(deployment) => deployment.paused = paused,
                AnySpec::Rollout(rollout) => rollout.paused = paused,
                _ => return None,
            }
            Some(Action::apply(meta, spec))
        });
        if self.user_if_there(workload, action) {
            let reason = if paused { "Paused" } else { "Resumed" };
            self.emit_event("user", workload, reason, format!("{reason} by the scenario"));
        }
    }

    /// `kubectl argo rollouts promote`: ends a pause, also that of a user, or else the present step; in full all steps.
    pub(super) fn promote_rollout(&mut self, promotion: &Promotion) {
        let Promotion { workload, full } = promotion;
        let store = self.plane.store();
        let action =
            rollout_change(store, workload, |rollout, status| promote(rollout, status, *full));
        if !self.user_if_there(workload, action) {
            return;
        }
        let how = if *full { "fully promoted" } else { "promoted" };
        self.emit_event("user", workload, "Promoted", format!("{how} by the scenario"));
        let store = self.plane.store();
        let is_paused = found(store, workload).is_some_and(|id| is_paused_rollout(store, id));
        if is_paused {
            let resumed = |rollout: &mut RolloutSpec| rollout.paused = false;
            let action = rollout_spec_change(store, workload, resumed);
            self.user_if_there(workload, action);
        }
    }

    /// `kubectl argo rollouts abort`.
    pub(super) fn abort_rollout(&mut self, workload: &ObjectReference) {
        let now = self.now.floor_to_second();
        let aborted = |_: &Rollout, status: &mut RolloutStatus| {
            status.aborted_at = status.aborted_at.or(Some(now));
        };
        let action = rollout_change(self.plane.store(), workload, aborted);
        if self.user_if_there(workload, action) {
            self.emit_event("user", workload, "Aborted", "aborted by the scenario".to_owned());
        }
    }

    /// `kubectl rollout undo`: the template of an earlier revision becomes the workload's.
    pub(super) fn roll_back(&mut self, rollback: &Rollback) {
        let workload = &rollback.workload;
        let store = self.plane.store();
        let revision = rollback.to_revision.map(i64::from);
        if found(store, workload).is_none() {
            return self.not_found(workload);
        }
        let Some(earlier) = earlier_template(store, workload, revision) else {
            let which = revision.map_or_else(|| "earlier".to_owned(), |one| format!("{one}"));
            let message = format!("revision {which} does not exist: no rollback");
            return self.warn("user", workload, "NoRevision", message);
        };
        let earlier_document = earlier.document.get().cloned();
        let set = |template: &mut PodTemplate| {
            *template = earlier;
            true
        };
        let written = |template: &mut Value| *template = earlier_document.unwrap_or_default();
        let action = template_change(store, workload, set, written);
        if self.user_if_there(workload, action) {
            self.emit_event("user", workload, "RolledBack", "kubectl rollout undo".to_owned());
        }
    }

    /// `kubectl patch`: a merge patch of the object as it is now.
    pub(super) fn patch(&mut self, change: &PatchChange) {
        let object = &change.workload;
        let store = self.plane.store();
        let Some(live) = found(store, object).and_then(|id| written(store, id)) else {
            return self.not_found(object);
        };
        let mut wanted = live.clone();
        merge(&mut wanted, &change.patch);
        let last_applied = self.last_applied(object);
        let is_done = match self.change_of(object, live, wanted, last_applied) {
            Ok(None) => true,
            Ok(Some(action)) => self.user(object, action),
            Err(why) => self.refuse(object, &why),
        };
        if is_done {
            self.emit_event("user", object, "Patched", format!("patched with {}", change.patch));
        }
    }

    /// `kubectl apply`: creates the object if it does not exist. Otherwise sets the fields of the manifest and
    /// removes those that only the previously applied manifest had.
    pub(super) fn apply_object(&mut self, action: Action) {
        let Action::Apply(meta, spec) = action else {
            return self.act("user", action);
        };
        let object = ObjectReference { kind: spec.kind(), id: meta.id.clone() };
        let store = self.plane.store();
        if is_provisioned_volume(store, &object) {
            return;
        }
        let live = found(store, &object).and_then(|id| written(store, id));
        let manifest = meta.document.as_ref().and_then(|document| document.last_applied.clone());
        let (Some(live), Some(manifest)) = (live, manifest) else {
            self.user(&object, Action::Apply(meta, spec));
            return;
        };
        let wanted = applied(self.last_applied(&object).as_ref(), &manifest, live.clone());
        match self.change_of(&object, live, wanted, Some(manifest)) {
            Ok(None) => {}
            Ok(Some(action)) => {
                let why = match object.kind {
                    Kind::Pod => "only the images of a pod can be patched",
                    Kind::Node => "use cordon, drain and faults for nodes",
                    _ => {
                        self.user(&object, action);
                        return;
                    }
                };
                let message = format!("{object} was not changed: {why}");
                self.warn("user", &object, "Unchanged", message);
            }
            Err(why) => {
                self.refuse(&object, &why);
            }
        }
    }

    /// The manifest from which an object was last applied.
    fn last_applied(&self, object: &ObjectReference) -> Option<Value> {
        let store = self.plane.store();
        let meta = store.meta_of(found(store, object)?)?;
        meta.document.as_ref()?.last_applied.clone()
    }

    /// The write that turns the live object into the wanted one, defaulted, validated and admitted as the API
    /// server does; `None` if nothing changes. An error names the invalid field.
    fn change_of(
        &self,
        object: &ObjectReference,
        mut live: Value,
        mut wanted: Value,
        last_applied: Option<Value>,
    ) -> Result<Option<Action>, String> {
        // Clients do not write the status.
        for value in [&mut live, &mut wanted] {
            value.as_object_mut().map(|fields| fields.shift_remove("status"));
        }
        let before = self.admitted(live).ok();
        let mut after = self.admitted(wanted)?;
        if after.manifest.reference != *object {
            let other = &after.manifest.reference;
            return Err(format!(
                "{object} cannot become {other}: kind, namespace and name are immutable"
            ));
        }
        if before.is_some_and(|before| before.document() == after.document()) {
            return Ok(None);
        }
        if let Some(document) = &mut after.meta.document {
            Arc::make_mut(document).last_applied = last_applied;
        }
        Ok(Some(Action::apply(after.meta, after.spec)))
    }

    fn admitted(&self, value: Value) -> Result<Object, String> {
        let mut problems = Diagnostics::default();
        let mut loaded = self.admitted_all(read_value(value, "object", &mut problems));
        problems.append(loaded.diagnostics);
        let mistake = problems.iter().find(|problem| problem.severity == Severity::Error);
        match (mistake, loaded.objects.pop()) {
            (Some(mistake), _) => Err(format!("{}: {}", mistake.field, mistake.message)),
            (None, Some(object)) => Ok(object),
            (None, None) => Err("its kind is not simulated".to_owned()),
        }
    }

    /// Objects as the API server of this cluster would admit them now.
    pub(super) fn admitted_all(&self, manifests: Vec<Manifest>) -> Loaded {
        let classes = self.plane.store().priority_classes().values();
        admit_written(manifests, control_plane(&self.world.controllers.hpa), classes.cloned())
    }

    /// Logs a request that the API server refuses.
    fn refuse(&mut self, object: &ObjectReference, why: &str) -> bool {
        self.warn("user", object, "Refused", format!("the API server rejects it: {why}"));
        false
    }

    /// `kubectl delete`. Deleting a node also removes its machine; deleting a namespace removes everything in it.
    pub(super) fn delete_object(&mut self, data_plane: &mut DataPlane, object: &ObjectReference) {
        let id = found(self.plane.store(), object);
        if let Some(ObjectId::Node(node)) = id {
            data_plane.node_down(self, node);
        }
        if self.user_if_there(object, id.map(Action::Delete)) {
            self.emit_event("user", object, "Deleted", format!("{object} deleted"));
        }
    }
}

/// Promotes a Rollout (`getPatches` of `kubectl-argo-rollouts/cmd/promote`, Argo Rollouts 1.9.1).
fn promote(rollout: &Rollout, status: &mut RolloutStatus, full: bool) {
    let steps = rollout.spec.steps().len();
    if full {
        status.promote_full = !status.is_fully_promoted();
        return;
    }
    let is_paused = !status.pauses.is_empty();
    let analysis = status.runs.step.as_ref().map(|run| run.phase);
    let is_undecided = analysis == Some(AnalysisPhase::Inconclusive);
    let is_held = is_paused && is_undecided && status.controller_pause;
    status.pauses.clear();
    if is_held {
        // Otherwise the next step, if it is a pause, would count as resumed.
        status.controller_pause = false;
    }
    if (is_held || !is_paused) && steps > 0 {
        let next = status.current_step.unwrap_or_default() + 1;
        status.current_step = Some(next.min(steps));
    }
}

fn is_paused_rollout(store: &Store, object: ObjectId) -> bool {
    let ObjectId::Rollout(id) = object else { return false };
    store.rollouts().get(id).is_some_and(|rollout| rollout.spec.paused)
}

/// The id of an object, if it exists.
fn found(store: &Store, object: &ObjectReference) -> Option<ObjectId> {
    store.object_named(object.kind, &object.id)
}

/// True if the object is the volume that was provisioned for a claim. It lives with its claim and is no object of the
/// store, so applying it as printed changes nothing.
fn is_provisioned_volume(store: &Store, object: &ObjectReference) -> bool {
    let is_it = |claim: &Claim| {
        let volume = claim.volume.as_ref().filter(|volume| volume.name.is_none());
        volume.is_some() && claim.volume_name() == *object.id.name
    };
    object.kind == Kind::PersistentVolume && store.claims().values().any(is_it)
}

/// The pod template of a workload as its user wrote it.
pub(super) fn template_of<'a>(
    store: &'a Store,
    workload: &ObjectReference,
) -> Option<&'a PodTemplate> {
    store.pod_template_of(found(store, workload)?)
}

/// The write of a Rollout's spec that a user changes; `None` if it does not exist.
fn rollout_spec_change(
    store: &Store,
    workload: &ObjectReference,
    change: impl FnOnce(&mut RolloutSpec),
) -> Option<Action> {
    let (meta, mut spec) = store.written(found(store, workload)?)?;
    let AnySpec::Rollout(rollout) = &mut spec else { return None };
    change(rollout);
    Some(Action::apply(meta, spec))
}

/// The write of a Rollout's status that a user changes; `None` if it does not exist.
fn rollout_change(
    store: &Store,
    workload: &ObjectReference,
    change: impl FnOnce(&Rollout, &mut RolloutStatus),
) -> Option<Action> {
    let ObjectId::Rollout(id) = found(store, workload)? else { return None };
    let rollout = store.rollouts().get(id)?;
    let mut status = rollout.status.clone();
    change(rollout, &mut status);
    Some(Action::status(id, status))
}

/// The write that changes a workload's pod template, both in the typed object and in its document; `None` if the
/// workload does not exist or `change` changes nothing.
fn template_change(
    store: &Store,
    workload: &ObjectReference,
    change: impl FnOnce(&mut PodTemplate) -> bool,
    change_written: impl FnOnce(&mut Value),
) -> Option<Action> {
    let object = found(store, workload).filter(|_| workload.kind.can(Verbs::SET_IMAGE))?;
    let (mut meta, mut spec) = store.written(object)?;
    let template = spec.pod_template_mut()?;
    if !change(template) {
        return None;
    }
    if let Some(document) = &meta.document {
        let mut document = (**document).clone();
        let pointer = workload.kind.pod_template_pointer();
        if let Some(written) = document.object.pointer_mut(pointer) {
            change_written(written);
            template.document = written.clone().into();
        }
        meta.document = Some(Arc::new(document));
    }
    Some(Action::apply(meta, spec))
}

/// The template of the given revision, or of the one before the current.
fn earlier_template(
    store: &Store,
    workload: &ObjectReference,
    revision: Option<i64>,
) -> Option<PodTemplate> {
    let of_history = |history: &[Revision]| {
        let found = match revision {
            Some(number) => history.iter().find(|one| one.number == number),
            None => history.iter().rev().nth(1),
        };
        found.map(|one| (*one.template).clone())
    };
    match found(store, workload)? {
        ObjectId::Deployment(id) => earlier_of_sets(store, id, revision),
        ObjectId::Rollout(id) => earlier_of_sets(store, id, revision),
        ObjectId::StatefulSet(id) => of_history(&store.stateful_sets().get(id)?.revisions),
        ObjectId::DaemonSet(id) => of_history(&store.daemon_sets().get(id)?.revisions),
        _ => None,
    }
}

fn earlier_of_sets(
    store: &Store,
    id: impl Into<SetOwner>,
    revision: Option<i64>,
) -> Option<PodTemplate> {
    let mut sets: Vec<_> = store.replica_sets_of(id).map(|(_, set)| set).collect();
    sets.sort_by_key(|set| std::cmp::Reverse(set.revision));
    let set = match revision {
        Some(revision) => sets.into_iter().find(|set| set.revision == revision),
        None => sets.into_iter().nth(1),
    }?;
    Some(without_hash(&store.templates()[set.template]))
}

/// A ReplicaSet's template as it is in its Deployment.
fn without_hash(template: &PodTemplate) -> PodTemplate {
    let added = [POD_TEMPLATE_HASH_LABEL, ROLLOUT_HASH_LABEL];
    let labels = template.labels.iter().filter(|(key, _)| !added.contains(&key.as_ref()));
    let labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
    PodTemplate { labels, ..template.clone() }
}
