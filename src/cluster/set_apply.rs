//! The part of the API server that concerns StatefulSets and DaemonSets.

use super::action::{PodDeletion, PodDraft, Refused};
use super::apply::next_sequence;
use super::change::Change;
use super::claim::ClaimDraft;
use super::daemon_set::{DaemonSet, DaemonSetId, DaemonSetSpec, DaemonSetStatus};
use super::meta::ObjectMeta;
use super::pod::{Owner, PodId};
use super::stateful_set::{StatefulSet, StatefulSetId, StatefulSetSpec, StatefulSetStatus};
use super::store::Store;
use engine::SimTime;

pub(super) fn create_stateful_set(
    store: &mut Store,
    now: SimTime,
    mut meta: ObjectMeta,
    spec: StatefulSetSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.index.stateful_sets_by_name.contains_key(&meta.id) {
        return Err(Refused::AlreadyExists(meta.id));
    }
    meta.created = now.floor_to_second();
    meta.sequence = next_sequence(store);
    let name = meta.id.clone();
    let id = store.stateful_sets.insert(StatefulSet {
        meta,
        spec,
        generation: 1,
        status: StatefulSetStatus::default(),
        revisions: Vec::new(),
    });
    store.index.stateful_sets_by_name.insert(name, id);
    changes.push(Change::StatefulSetSpec(id));
    Ok(())
}

/// Creates a pod after its claims (`CreateStatefulPod`).
pub(super) fn create_stateful_pod(
    store: &mut Store,
    now: SimTime,
    pod: PodDraft,
    claims: Vec<ClaimDraft>,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let mut problems = Vec::new();
    for claim in claims {
        let name = claim.id.name.clone();
        if let Err(why) = store.put_claim(now, claim, changes) {
            problems.push(format!("failed to create PVC {name}: {why}"));
        }
    }
    match problems.len() {
        0 => super::apply::create_pod(store, now, pod, changes),
        1 => Err(Refused::Forbidden(problems.remove(0))),
        _ => Err(Refused::Forbidden(format!("[{}]", problems.join(", ")))),
    }
}

/// A write of spec and metadata. Of the spec only replicas, template, strategy, ordinals,
/// `minReadySeconds` and `revisionHistoryLimit` can change (`ValidateStatefulSetUpdate`).
pub(super) fn apply_stateful_set(
    store: &mut Store,
    id: StatefulSetId,
    meta: ObjectMeta,
    spec: StatefulSetSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let set = store.stateful_sets.get_mut(id).ok_or(Refused::NotFound)?;
    let immutable = |spec: &StatefulSetSpec| {
        (spec.selector.clone(), spec.is_parallel, spec.claim_templates.clone())
    };
    if immutable(&set.spec) != immutable(&spec) {
        let rule = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                    'template', 'updateStrategy', 'revisionHistoryLimit', \
                    'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        return Err(Refused::Forbidden(format!("spec: Forbidden: {rule}")));
    }
    set.meta.labels = meta.labels;
    set.meta.annotations = meta.annotations;
    if set.spec != spec {
        set.spec = spec;
        set.generation += 1;
        changes.push(Change::StatefulSetSpec(id));
    }
    Ok(())
}

pub(super) fn scale_stateful_set(
    store: &mut Store,
    id: StatefulSetId,
    replicas: i32,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let set = store.stateful_sets.get_mut(id).ok_or(Refused::NotFound)?;
    if set.spec.replicas != replicas {
        set.spec.replicas = replicas;
        set.generation += 1;
        changes.push(Change::StatefulSetSpec(id));
    }
    Ok(())
}

pub(super) fn set_stateful_set_status(
    store: &mut Store,
    id: StatefulSetId,
    status: StatefulSetStatus,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let set = store.stateful_sets.get_mut(id).ok_or(Refused::NotFound)?;
    if set.status != status {
        set.status = status;
        changes.push(Change::StatefulSetStatus(id));
    }
    Ok(())
}

pub(super) fn delete_stateful_set(
    store: &mut Store,
    now: SimTime,
    id: StatefulSetId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let set = store.stateful_sets.remove(id).ok_or(Refused::NotFound)?;
    store.index.stateful_sets_by_name.remove(&set.meta.id);
    changes.push(Change::StatefulSetRemoved(id));
    delete_pods_of(store, now, Owner::StatefulSet(id), changes)?;
    store.delete_claims_of(id)
}

pub(super) fn create_daemon_set(
    store: &mut Store,
    now: SimTime,
    mut meta: ObjectMeta,
    spec: DaemonSetSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.index.daemon_sets_by_name.contains_key(&meta.id) {
        return Err(Refused::AlreadyExists(meta.id));
    }
    meta.created = now.floor_to_second();
    meta.sequence = next_sequence(store);
    let name = meta.id.clone();
    let id = store.daemon_sets.insert(DaemonSet {
        meta,
        spec,
        generation: 1,
        status: DaemonSetStatus::default(),
        revisions: Vec::new(),
    });
    store.index.daemon_sets_by_name.insert(name, id);
    changes.push(Change::DaemonSetSpec(id));
    Ok(())
}

/// A write of spec and metadata; the selector cannot change (`ValidateDaemonSetSpecUpdate`).
pub(super) fn apply_daemon_set(
    store: &mut Store,
    id: DaemonSetId,
    meta: ObjectMeta,
    spec: DaemonSetSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let set = store.daemon_sets.get_mut(id).ok_or(Refused::NotFound)?;
    if set.spec.selector != spec.selector {
        return Err(Refused::Conflict("spec.selector: field is immutable".to_owned()));
    }
    set.meta.labels = meta.labels;
    set.meta.annotations = meta.annotations;
    if set.spec != spec {
        set.spec = spec;
        set.generation += 1;
        changes.push(Change::DaemonSetSpec(id));
    }
    Ok(())
}

pub(super) fn set_daemon_set_status(
    store: &mut Store,
    id: DaemonSetId,
    status: DaemonSetStatus,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let set = store.daemon_sets.get_mut(id).ok_or(Refused::NotFound)?;
    if set.status != status {
        set.status = status;
        changes.push(Change::DaemonSetStatus(id));
    }
    Ok(())
}

pub(super) fn delete_daemon_set(
    store: &mut Store,
    now: SimTime,
    id: DaemonSetId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let set = store.daemon_sets.remove(id).ok_or(Refused::NotFound)?;
    store.index.daemon_sets_by_name.remove(&set.meta.id);
    changes.push(Change::DaemonSetRemoved(id));
    delete_pods_of(store, now, Owner::DaemonSet(id), changes)
}

/// Marks the pods of an owner that is gone for deletion (background cascade).
pub(super) fn delete_pods_of(
    store: &mut Store,
    now: SimTime,
    owner: Owner,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pods: Vec<PodId> = store.pods_of(owner).map(|(pod, _)| pod).collect();
    for pod in pods {
        super::apply::delete_pod(store, now, pod, PodDeletion::default(), changes)?;
    }
    Ok(())
}
