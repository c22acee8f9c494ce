//! The part of the API server that concerns Deployments, ReplicaSets, Services and budgets.

use super::action::{PodDeletion, Refused, ReplicaSetDraft, ReplicaSetUpdate};
use super::apply::next_sequence;
use super::change::Change;
use super::deployment::{
    Deployment, DeploymentId, DeploymentSpec, DeploymentStatus, ReplicaSet, ReplicaSetId,
    ReplicaSetStatus,
};
use super::hpa::HpaSpec;
use super::hpa_object::{HpaId, HpaObject};
use super::hpa_status::HpaStatus;
use super::meta::{Name, ObjectMeta};
use super::pod::{Owner, PodId};
use super::policy::{PodDisruptionBudget, PodDisruptionBudgetId, PodDisruptionBudgetStatus};
use super::selection::Selecting;
use super::service::{Endpoint, Service, ServiceId};
use super::store::Store;
use engine::SimTime;

pub(super) fn create_deployment(
    store: &mut Store,
    now: SimTime,
    mut meta: ObjectMeta,
    spec: DeploymentSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.index.deployments_by_name.contains_key(&meta.id) {
        return Err(Refused::AlreadyExists(meta.id));
    }
    meta.created = now.floor_to_second();
    meta.sequence = next_sequence(store);
    let name = meta.id.clone();
    let status = DeploymentStatus::default();
    let id = store.deployments.insert(Deployment { meta, spec, generation: 1, status });
    store.index.deployments_by_name.insert(name, id);
    changes.push(Change::DeploymentSpec(id));
    Ok(())
}

pub(super) fn set_deployment_spec(
    store: &mut Store,
    id: DeploymentId,
    spec: DeploymentSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let meta = store.deployments.get(id).ok_or(Refused::NotFound)?.meta.clone();
    apply_deployment(store, id, meta, spec, changes)
}

/// A write of spec and metadata; annotations count as part of the spec
/// (`deploymentStrategy.PrepareForUpdate`).
pub(super) fn apply_deployment(
    store: &mut Store,
    id: DeploymentId,
    meta: ObjectMeta,
    spec: DeploymentSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let deployment = store.deployments.get_mut(id).ok_or(Refused::NotFound)?;
    if deployment.spec.selector != spec.selector {
        return Err(Refused::Conflict("spec.selector: field is immutable".to_owned()));
    }
    let bumps = deployment.spec != spec || deployment.meta.annotations != meta.annotations;
    if bumps || deployment.meta.labels != meta.labels {
        deployment.spec = spec;
        deployment.meta.labels = meta.labels;
        deployment.meta.annotations = meta.annotations;
        deployment.generation += i64::from(bumps);
        changes.push(Change::DeploymentSpec(id));
    }
    Ok(())
}

pub(super) fn scale_deployment(
    store: &mut Store,
    id: DeploymentId,
    replicas: i32,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let deployment = store.deployments.get_mut(id).ok_or(Refused::NotFound)?;
    if deployment.spec.replicas != replicas {
        deployment.spec.replicas = replicas;
        deployment.generation += 1;
        changes.push(Change::DeploymentSpec(id));
    }
    Ok(())
}

pub(super) fn set_deployment_status(
    store: &mut Store,
    id: DeploymentId,
    status: DeploymentStatus,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let deployment = store.deployments.get_mut(id).ok_or(Refused::NotFound)?;
    if deployment.status != status {
        deployment.status = status;
        changes.push(Change::DeploymentStatus(id));
    }
    Ok(())
}

pub(super) fn delete_deployment(
    store: &mut Store,
    now: SimTime,
    id: DeploymentId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let deployment = store.deployments.remove(id).ok_or(Refused::NotFound)?;
    store.index.deployments_by_name.remove(&deployment.meta.id);
    let owned = store.index.replica_sets_by_deployment.remove(&id).unwrap_or_default();
    changes.push(Change::DeploymentRemoved(id));
    for set in owned {
        delete_replica_set(store, now, set, changes)?;
    }
    Ok(())
}

pub(super) fn create_replica_set(
    store: &mut Store,
    now: SimTime,
    draft: ReplicaSetDraft,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.index.replica_sets_by_name.contains_key(&draft.meta.id) {
        return Err(Refused::AlreadyExists(draft.meta.id));
    }
    let mut meta = draft.meta;
    meta.created = now.floor_to_second();
    meta.sequence = next_sequence(store);
    let (template, name) = (store.intern(draft.template), meta.id.clone());
    let id = store.replica_sets.insert(ReplicaSet {
        meta,
        owner: draft.owner,
        replicas: draft.replicas,
        selector: draft.selector,
        template,
        min_ready: draft.min_ready,
        generation: 1,
        revision: draft.revision,
        desired_replicas: draft.desired_replicas,
        max_replicas: draft.max_replicas,
        status: ReplicaSetStatus::default(),
    });
    store.index.replica_sets_by_name.insert(name, id);
    if let Some(owner) = draft.owner {
        store.index.replica_sets_by_deployment.entry(owner).or_default().insert(id);
    }
    changes.push(Change::ReplicaSetSpec(id));
    Ok(())
}

pub(super) fn set_replica_set(
    store: &mut Store,
    id: ReplicaSetId,
    update: ReplicaSetUpdate,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let set = store.replica_sets.get_mut(id).ok_or(Refused::NotFound)?;
    let before = (set.replicas, set.min_ready);
    let annotations = |set: &ReplicaSet| {
        (set.revision, set.desired_replicas, set.max_replicas, set.meta.annotations.clone())
    };
    let annotated_before = annotations(set);
    set.replicas = update.replicas.unwrap_or(set.replicas);
    set.min_ready = update.min_ready.unwrap_or(set.min_ready);
    set.revision = update.revision.unwrap_or(set.revision);
    set.desired_replicas = update.desired_replicas.or(set.desired_replicas);
    set.max_replicas = update.max_replicas.or(set.max_replicas);
    if let Some(annotations) = update.annotations {
        set.meta.annotations = annotations;
    }
    let spec_changed = before != (set.replicas, set.min_ready);
    if spec_changed {
        set.generation += 1;
    }
    if spec_changed || annotated_before != annotations(set) {
        changes.push(Change::ReplicaSetSpec(id));
    }
    Ok(())
}

pub(super) fn set_replica_set_status(
    store: &mut Store,
    id: ReplicaSetId,
    status: ReplicaSetStatus,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let set = store.replica_sets.get_mut(id).ok_or(Refused::NotFound)?;
    if set.status != status {
        set.status = status;
        changes.push(Change::ReplicaSetStatus(id));
    }
    Ok(())
}

pub(super) fn delete_replica_set(
    store: &mut Store,
    now: SimTime,
    id: ReplicaSetId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let set = store.replica_sets.remove(id).ok_or(Refused::NotFound)?;
    store.index.replica_sets_by_name.remove(&set.meta.id);
    if let Some(owner) = set.owner
        && let Some(siblings) = store.index.replica_sets_by_deployment.get_mut(&owner)
    {
        siblings.remove(&id);
    }
    changes.push(Change::ReplicaSetRemoved { replica_set: id, owner: set.owner });
    let pods: Vec<PodId> = store.pods_of(Owner::ReplicaSet(id)).map(|(pod, _)| pod).collect();
    for pod in pods {
        super::apply::delete_pod(store, now, pod, PodDeletion::default(), changes)?;
    }
    Ok(())
}

pub(super) fn create_service(
    store: &mut Store,
    now: SimTime,
    mut service: Service,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.services.values().any(|other| other.meta.id == service.meta.id) {
        return Err(Refused::AlreadyExists(service.meta.id));
    }
    service.meta.created = now.floor_to_second();
    service.meta.sequence = next_sequence(store);
    let id = store.services.insert(service);
    store.select_anew(Selecting::Service(id));
    changes.push(Change::ServiceSpec(id));
    Ok(())
}

/// Another spec for a Service; its endpoints stay until the controller has looked.
pub(super) fn apply_service(
    store: &mut Store,
    id: ServiceId,
    mut service: Service,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let known = store.services.get_mut(id).ok_or(Refused::NotFound)?;
    service.meta.created = known.meta.created;
    service.meta.sequence = known.meta.sequence;
    service.endpoints = std::mem::take(&mut known.endpoints);
    *known = service;
    store.select_anew(Selecting::Service(id));
    changes.push(Change::ServiceSpec(id));
    Ok(())
}

pub(super) fn delete_service(
    store: &mut Store,
    id: ServiceId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    store.services.remove(id).ok_or(Refused::NotFound)?;
    store.select_anew(Selecting::Service(id));
    changes.push(Change::ServiceSpec(id));
    Ok(())
}

pub(super) fn set_endpoints(
    store: &mut Store,
    id: ServiceId,
    endpoints: Vec<Endpoint>,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let service = store.services.get_mut(id).ok_or(Refused::NotFound)?;
    if service.endpoints != endpoints {
        service.endpoints = endpoints;
        changes.push(Change::Endpoints(id));
    }
    Ok(())
}

pub(super) fn create_hpa(
    store: &mut Store,
    now: SimTime,
    mut meta: ObjectMeta,
    spec: HpaSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.index.hpas_by_name.contains_key(&meta.id) {
        return Err(Refused::AlreadyExists(meta.id));
    }
    meta.created = now.floor_to_second();
    meta.sequence = next_sequence(store);
    let name = meta.id.clone();
    let target = target_key(&meta, &spec);
    let id = store.hpas.insert(HpaObject { meta, spec, status: HpaStatus::default() });
    store.index.hpas_by_target.entry(target).or_default().insert(id);
    store.index.hpas_by_name.insert(name, id);
    changes.push(Change::HpaSpec(id));
    Ok(())
}

pub(super) fn set_hpa_spec(
    store: &mut Store,
    id: HpaId,
    spec: HpaSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let hpa = store.hpas.get_mut(id).ok_or(Refused::NotFound)?;
    if hpa.spec != spec {
        let earlier = target_key(&hpa.meta, &hpa.spec);
        let target = target_key(&hpa.meta, &spec);
        hpa.spec = spec;
        forget_target(store, &earlier, id);
        store.index.hpas_by_target.entry(target).or_default().insert(id);
        changes.push(Change::HpaSpec(id));
    }
    Ok(())
}

pub(super) fn set_hpa_status(
    store: &mut Store,
    id: HpaId,
    status: HpaStatus,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let hpa = store.hpas.get_mut(id).ok_or(Refused::NotFound)?;
    if hpa.status != status {
        hpa.status = status;
        changes.push(Change::HpaStatus(id));
    }
    Ok(())
}

pub(super) fn delete_hpa(
    store: &mut Store,
    id: HpaId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let hpa = store.hpas.remove(id).ok_or(Refused::NotFound)?;
    store.index.hpas_by_name.remove(&hpa.meta.id);
    forget_target(store, &target_key(&hpa.meta, &hpa.spec), id);
    changes.push(Change::HpaSpec(id));
    Ok(())
}

/// Namespace, kind and name of what an HPA scales.
fn target_key(meta: &ObjectMeta, spec: &HpaSpec) -> (Name, Name, Name) {
    let target = &spec.scale_target;
    (meta.namespace().clone(), target.kind.clone(), target.name.clone())
}

fn forget_target(store: &mut Store, target: &(Name, Name, Name), id: HpaId) {
    if let Some(hpas) = store.index.hpas_by_target.get_mut(target) {
        hpas.remove(&id);
        if hpas.is_empty() {
            store.index.hpas_by_target.remove(target);
        }
    }
}

pub(super) fn create_disruption_budget(
    store: &mut Store,
    now: SimTime,
    mut budget: PodDisruptionBudget,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.disruption_budgets.values().any(|other| other.meta.id == budget.meta.id) {
        return Err(Refused::AlreadyExists(budget.meta.id));
    }
    budget.meta.created = now.floor_to_second();
    budget.meta.sequence = next_sequence(store);
    budget.generation = 1;
    let id = store.disruption_budgets.insert(budget);
    store.select_anew(Selecting::PodDisruptionBudget(id));
    changes.push(Change::PodDisruptionBudget(id));
    Ok(())
}

/// Another spec for a budget; its status stays until the controller has looked.
pub(super) fn apply_disruption_budget(
    store: &mut Store,
    id: PodDisruptionBudgetId,
    budget: PodDisruptionBudget,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let known = store.disruption_budgets.get_mut(id).ok_or(Refused::NotFound)?;
    let spec =
        |one: &PodDisruptionBudget| (one.selector.clone(), one.budget, one.always_allows_unhealthy);
    let is_new_spec = spec(known) != spec(&budget);
    known.meta.labels = budget.meta.labels;
    known.meta.annotations = budget.meta.annotations;
    if is_new_spec {
        known.selector = budget.selector;
        known.budget = budget.budget;
        known.always_allows_unhealthy = budget.always_allows_unhealthy;
        known.generation += 1;
        store.select_anew(Selecting::PodDisruptionBudget(id));
        changes.push(Change::PodDisruptionBudget(id));
    }
    Ok(())
}

pub(super) fn delete_disruption_budget(
    store: &mut Store,
    id: PodDisruptionBudgetId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    store.disruption_budgets.remove(id).ok_or(Refused::NotFound)?;
    store.select_anew(Selecting::PodDisruptionBudget(id));
    changes.push(Change::PodDisruptionBudget(id));
    Ok(())
}

pub(super) fn set_disruption_budget_status(
    store: &mut Store,
    id: PodDisruptionBudgetId,
    status: PodDisruptionBudgetStatus,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let budget = store.disruption_budgets.get_mut(id).ok_or(Refused::NotFound)?;
    if budget.status != status {
        budget.status = status;
        changes.push(Change::PodDisruptionBudget(id));
    }
    Ok(())
}
