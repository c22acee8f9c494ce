//! The part of the API server that concerns pods.

use rand::Rng;

use super::action::{PodDeletion, PodDraft, PodName, PodSource, Refused};
use super::change::{Change, PodChanges, push_pod_update};
use super::container_status::{ContainerStatuses, PodConditions};
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::node::{ConditionStatus, NodeId};
use super::pod::{Deletion, Finalizer, Owner, Pod, PodCondition, PodId, PodPhase, RestartCounts};
use super::pod_admission;
use super::pod_names::PodNames;
use super::pod_template::PodTemplate;
use super::selection::Selecting;
use super::store::{Store, safe_characters};
use engine::digest::mix;
use engine::{SimDuration, SimTime};

pub(super) fn update_pod(
    store: &mut Store,
    id: PodId,
    what: PodChanges,
    changes: &mut Vec<Change>,
    update: impl FnOnce(&mut Pod) -> bool,
) -> Result<(), Refused> {
    if update(store.pods.get_mut(id).ok_or(Refused::NotFound)?) {
        push_pod_update(changes, id, what);
    }
    Ok(())
}

pub(super) fn create_pod(
    store: &mut Store,
    now: SimTime,
    draft: PodDraft,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let id = match draft.name {
        PodName::Exact(name) => NamespacedName { namespace: draft.namespace, name },
        PodName::Generate(prefix) => generate_name(store, &draft.namespace, &prefix),
    };
    if store.pod_named(&id).is_some() {
        return Err(Refused::AlreadyExists(id));
    }
    let template = match draft.template {
        PodSource::Interned(template) => template,
        PodSource::New(template) => store.intern(*template),
    };
    let template = pod_admission::admit(store, &id, draft.owner, template)?;
    let sequence = store.next_sequence();
    let name_hash = PodNames::hash_of(&id);
    let pod = store.pods.insert(Pod {
        id,
        uid: mix(store.uid_seed ^ mix(sequence)),
        template,
        owner: draft.owner,
        created: now.floor_to_second(),
        sequence,
        resource_version: 0,
        phase: PodPhase::Pending,
        node: None,
        nominated_node: None,
        start_time: None,
        deletion: None,
        ready: None,
        disruption_target: None,
        restarts: RestartCounts::default(),
        containers: ContainerStatuses::default(),
        conditions: PodConditions::default(),
        status_reason: None,
        finalizer: match draft.owner {
            Some(Owner::Job(_)) => Finalizer::Holds,
            _ => Finalizer::Absent,
        },
        overrides: None,
        resize: None,
    });
    if !store.index.pods_by_namespace.is_empty()
        && let Some(pods) = store.index.pods_by_namespace.get_mut(&store.pods[pod].id.namespace)
    {
        pods.insert(pod);
    }
    store.index.pods_by_name.insert(name_hash, pod);
    store.list_by_template(template, pod);
    if let Some(owner) = draft.owner {
        let state = store.pods[pod].state();
        store.index.pods_by_owner.entry(owner).or_default().insert(pod, state);
    }
    changes.push(Change::PodAdded(pod));
    Ok(())
}

/// `prefix` and five drawn characters, drawn again while the name is taken.
fn generate_name(store: &mut Store, namespace: &Name, prefix: &str) -> NamespacedName {
    loop {
        let suffix = safe_characters(store.names.next_u64(), 5);
        let id = NamespacedName::new(namespace.clone(), [prefix, suffix.as_str()].concat());
        if store.pod_named(&id).is_none() {
            return id;
        }
    }
}

pub(super) fn bind_pod(
    store: &mut Store,
    now: SimTime,
    id: PodId,
    node: NodeId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if !store.nodes.contains(node) {
        return Err(Refused::NotFound);
    }
    let pod = store.pods.get_mut(id).ok_or(Refused::NotFound)?;
    if pod.node.is_some() || pod.deletion.is_some() {
        return Err(Refused::Conflict(format!("pod {} is bound or being deleted", pod.id)));
    }
    pod.node = Some(node);
    pod.nominated_node = None;
    let since = now.floor_to_second();
    pod.conditions.scheduled = Some(PodCondition { status: ConditionStatus::True, since });
    store.index.pods_by_node[node.index()].insert(id);
    store.bind_claims(id, node, changes);
    push_pod_update(changes, id, PodChanges::BOUND);
    Ok(())
}

pub(super) fn delete_pod(
    store: &mut Store,
    now: SimTime,
    id: PodId,
    deletion: PodDeletion,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pod = store.pods.get(id).ok_or(Refused::NotFound)?;
    let own_grace = store.template_of(pod).spec.termination_grace_period;
    let grace = deletion.grace_period.unwrap_or(own_grace);
    let is_gone_at_once =
        pod.node.is_none() || pod.phase.is_terminal() || grace == SimDuration::ZERO;
    if is_gone_at_once && pod.finalizer == Finalizer::Absent {
        return remove_pod(store, now, id, changes);
    }
    let grace = if is_gone_at_once { SimDuration::ZERO } else { grace };
    let deadline = now.floor_to_second() + grace;
    if let Some(reason) = deletion.disruption {
        update_pod(store, id, PodChanges::DISRUPTED, changes, |pod| {
            pod.disruption_target.replace(reason) != Some(reason)
        })?;
    }
    update_pod(store, id, PodChanges::DELETION_REQUESTED, changes, |pod| {
        match &mut pod.deletion {
            // A second request can shorten the grace, never lengthen it.
            Some(earlier) if earlier.deadline <= deadline => false,
            Some(earlier) => {
                earlier.deadline = deadline;
                true
            }
            None => {
                pod.deletion = Some(Deletion { requested_at: now, deadline });
                true
            }
        }
    })?;
    if is_gone_at_once { remove_pod(store, now, id, changes) } else { Ok(()) }
}

/// Removes a pod object from all tables, or marks it for removal with its finalizer.
pub(super) fn remove_pod(
    store: &mut Store,
    now: SimTime,
    id: PodId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pod = store.pods.get(id).ok_or(Refused::NotFound)?;
    if pod.finalizer != Finalizer::Absent {
        store.pods[id].finalizer = Finalizer::HoldsRemoval;
        return Ok(());
    }
    let selecting: Vec<Selecting> = store.selecting(pod).collect();
    let pod = store.pods.remove(id).ok_or(Refused::NotFound)?;
    store.index.pods_by_template[pod.template.index()].remove(&id);
    store.forget_standing(id, &pod);
    store.index.pods_with_own_labels.remove(&id);
    store.ended_pods -= usize::from(pod.phase.is_terminal());
    store.index.pods_by_name.remove(PodNames::hash_of(&pod.id), id);
    if let Some(pods) = store.index.pods_by_namespace.get_mut(&pod.id.namespace) {
        pods.remove(&id);
    }
    if let Some(owner) = pod.owner
        && let Some(siblings) = store.index.pods_by_owner.get_mut(&owner)
    {
        siblings.remove(id);
        if siblings.ids().is_empty() {
            store.index.pods_by_owner.remove(&owner);
        }
    }
    if let Some(node) = pod.node
        && store.nodes.contains(node)
    {
        store.index.pods_by_node[node.index()].remove(id);
    }
    let (name, owner, node) = (Box::new(pod.id.clone()), pod.owner, pod.node);
    changes.push(Change::PodRemoved { pod: id, name, owner, node });
    let removed = |selecting| Change::SelectedPodRemoved(selecting, id);
    changes.extend(selecting.into_iter().map(removed));
    store.release_claims(now, id, &pod, changes)
}

/// Creates a pod that no controller owns.
pub(super) fn create_bare_pod(
    store: &mut Store,
    now: SimTime,
    meta: ObjectMeta,
    template: Box<PodTemplate>,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let NamespacedName { namespace, name } = meta.id;
    let name = PodName::Exact(name);
    let draft = PodDraft { name, namespace, template: PodSource::New(template), owner: None };
    create_pod(store, now, draft, changes)
}

/// Removes the finalizer of a Job's pod, and the pod if it waited for that.
pub(super) fn remove_pod_finalizer(
    store: &mut Store,
    now: SimTime,
    id: PodId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pod = store.pods.get_mut(id).ok_or(Refused::NotFound)?;
    match std::mem::take(&mut pod.finalizer) {
        Finalizer::Absent => Ok(()),
        Finalizer::Holds => {
            push_pod_update(changes, id, PodChanges::FINALIZER);
            Ok(())
        }
        Finalizer::HoldsRemoval => remove_pod(store, now, id, changes),
    }
}

/// Marks the pods of a removed owner for deletion (background cascade).
pub(super) fn delete_pods_of(
    store: &mut Store,
    now: SimTime,
    owner: Owner,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pods: Vec<PodId> = store.pods_of(owner).map(|(pod, _)| pod).collect();
    pods.into_iter()
        .try_for_each(|pod| delete_pod(store, now, pod, PodDeletion::default(), changes))
}
