//! The part of the API server: the one function that changes objects.

use super::action::{Action, PodDeletion, PodDraft, PodName, PodSource, Refused, ReplicaSetUpdate};
use super::batch_apply as batch;
use super::change::{Change, PodChanges, push_pod_update};
use super::container_status::{ContainerStatuses, PodConditions};
use super::meta::{Name, NamespacedName};
use super::node::{ConditionStatus, Lease, Node, NodeHealth, NodeId, NodeReady};
use super::pod::{Deletion, Finalizer, Owner, Pod, PodCondition, PodId, PodPhase, RestartCounts};
use super::pod_admission;
use super::pod_names::PodNames;
use super::pod_status;
use super::quota_objects;
use super::resize;
use super::selection::Selecting;
use super::set_apply as sets;
use super::store::{Store, safe_characters};
use super::workload_apply as workload;
use engine::digest::mix;
use engine::{SimDuration, SimTime};
use rand::Rng;

/// Carries out one action at `now` and reports what changed. A request that changes nothing is
/// accepted and reports nothing, as a no-op write to the API server does.
pub fn apply(
    store: &mut Store,
    now: SimTime,
    action: Action,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let earlier = changes.len();
    let result = carry_out(store, now, action, changes);
    store.revise(&changes[earlier..]);
    result
}

#[expect(clippy::too_many_lines, reason = "one arm for each verb: a table, not a procedure")]
fn carry_out(
    store: &mut Store,
    now: SimTime,
    action: Action,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    quota_objects::admit_object(store, &action)?;
    match action {
        Action::AddNode(node) => add_node(store, now, *node, changes),
        Action::RemoveNode(node) => remove_node(store, node, changes),
        Action::SetNodeReady(node, status) => {
            update_node(store, node, changes, |node| set_node_ready(node, status, now))
        }
        Action::SetNodeCondition(node, condition, status) => {
            update_node(store, node, changes, |node| {
                let slot = node.health.conditions.get_mut(condition);
                slot.is_some_and(|slot| std::mem::replace(slot, status) != status)
            })
        }
        Action::SetNodeSilent(node, is_silent) => update_node(store, node, changes, |node| {
            let lease = &mut node.health.lease;
            let changed = lease.silent_since.is_some() != is_silent;
            if changed {
                lease.silent_since = is_silent.then_some(now);
                if !is_silent {
                    lease.started = Some(now);
                }
            }
            changed
        }),
        Action::SetNodeTaints(node, taints) => update_node(store, node, changes, |node| {
            let changed = node.taints != taints;
            node.taints = taints;
            changed
        }),
        Action::SetNodeLabels(node, labels) => update_node(store, node, changes, |node| {
            let changed = node.meta.labels != labels;
            node.meta.labels = labels;
            changed
        }),
        Action::SetNodeUnschedulable(node, unschedulable) => {
            update_node(store, node, changes, |node| {
                std::mem::replace(&mut node.unschedulable, unschedulable) != unschedulable
            })
        }

        Action::CreateDeployment(draft) => {
            workload::create_deployment(store, now, draft.0, draft.1, changes)
        }
        Action::ApplyDeployment(id, draft) => {
            workload::apply_deployment(store, id, draft.0, draft.1, changes)
        }
        Action::SetDeploymentSpec(id, spec) => {
            workload::set_deployment_spec(store, id, *spec, changes)
        }
        Action::ScaleDeployment(id, replicas) => {
            workload::scale_deployment(store, id, replicas, changes)
        }
        Action::SetDeploymentStatus(id, status) => {
            workload::set_deployment_status(store, id, *status, changes)
        }
        Action::DeleteDeployment(id) => workload::delete_deployment(store, now, id, changes),
        Action::CreateReplicaSet(draft) => {
            workload::create_replica_set(store, now, *draft, changes)
        }
        Action::SetReplicaSet(id, update) => workload::set_replica_set(store, id, update, changes),
        Action::ScaleReplicaSet(id, replicas) => {
            let update = ReplicaSetUpdate { replicas: Some(replicas), ..Default::default() };
            workload::set_replica_set(store, id, update, changes)
        }
        Action::SetReplicaSetStatus(id, status) => {
            workload::set_replica_set_status(store, id, *status, changes)
        }
        Action::DeleteReplicaSet(id) => workload::delete_replica_set(store, now, id, changes),

        Action::CreateStatefulSet(draft) => {
            sets::create_stateful_set(store, now, draft.0, draft.1, changes)
        }
        Action::ApplyStatefulSet(id, draft) => {
            sets::apply_stateful_set(store, id, draft.0, draft.1, changes)
        }
        Action::ScaleStatefulSet(id, replicas) => {
            sets::scale_stateful_set(store, id, replicas, changes)
        }
        Action::SetStatefulSetRevisions(id, revisions) => {
            store.stateful_sets.get_mut(id).ok_or(Refused::NotFound)?.revisions = revisions;
            Ok(())
        }
        Action::SetStatefulSetStatus(id, status) => {
            sets::set_stateful_set_status(store, id, *status, changes)
        }
        Action::DeleteStatefulSet(id) => sets::delete_stateful_set(store, now, id, changes),
        Action::CreateDaemonSet(draft) => {
            sets::create_daemon_set(store, now, draft.0, draft.1, changes)
        }
        Action::ApplyDaemonSet(id, draft) => {
            sets::apply_daemon_set(store, id, draft.0, draft.1, changes)
        }
        Action::SetDaemonSetRevisions(id, revisions) => {
            store.daemon_sets.get_mut(id).ok_or(Refused::NotFound)?.revisions = revisions;
            Ok(())
        }
        Action::SetDaemonSetStatus(id, status) => {
            sets::set_daemon_set_status(store, id, *status, changes)
        }
        Action::DeleteDaemonSet(id) => sets::delete_daemon_set(store, now, id, changes),
        Action::CreateJob(draft) => batch::create_job(store, now, *draft, changes),
        Action::ApplyJob(id, draft) => batch::apply_job(store, id, draft.0, draft.1, changes),
        Action::SetJobStatus(id, status) => batch::set_job_status(store, id, *status, changes),
        Action::DeleteJob(id) => batch::delete_job(store, now, id, changes),
        Action::RemovePodFinalizer(pod) => batch::remove_pod_finalizer(store, pod, changes),
        Action::CreateCronJob(draft) => {
            batch::create_cron_job(store, now, draft.0, draft.1, changes)
        }
        Action::ApplyCronJob(id, draft) => {
            batch::apply_cron_job(store, id, draft.0, draft.1, changes)
        }
        Action::SetCronJobStatus(id, status) => {
            batch::set_cron_job_status(store, id, *status, changes)
        }
        Action::DeleteCronJob(id) => batch::delete_cron_job(store, now, id, changes),

        Action::CreatePod(draft) => create_pod(store, now, *draft, changes),
        Action::CreateStatefulPod(draft) => {
            sets::create_stateful_pod(store, now, draft.0, draft.1, changes)
        }
        Action::BindPod(pod, node) => bind_pod(store, now, pod, node, changes),
        Action::NominatePod(pod, node) => {
            update_pod(store, pod, PodChanges::NOMINATED, changes, |pod| {
                std::mem::replace(&mut pod.nominated_node, node) != node
            })
        }
        Action::DeletePod(pod, deletion) => delete_pod(store, now, pod, deletion, changes),
        Action::EvictPod(pod) => super::eviction::evict_pod(store, now, pod, changes),
        Action::RemovePod(pod) => remove_pod(store, pod, changes),
        Action::StartPod(pod) => update_pod(store, pod, PodChanges::PHASE, changes, |pod| {
            let changed = pod.start_time.is_none();
            if changed {
                let since = now.floor_to_second();
                pod.start_time = Some(since);
                pod.ready = Some(PodCondition { status: ConditionStatus::False, since });
            }
            changed
        }),
        Action::SetPodPhase(pod, phase) => pod_status::set_pod_phase(store, pod, phase, changes),
        Action::SetPodDisruption(pod, reason) => {
            update_pod(store, pod, PodChanges::DISRUPTED, changes, |pod| {
                pod.disruption_target.replace(reason) != Some(reason)
            })
        }
        Action::SetPodReady(pod, status) => {
            pod_status::set_pod_ready(store, now, pod, status, changes)
        }
        Action::SetPodUid(pod, uid) => {
            store.pods.get_mut(pod).ok_or(Refused::NotFound)?.uid = uid;
            Ok(())
        }
        Action::UngatePod(pod) => resize::ungate_pod(store, pod, changes),
        Action::ResizePod(pod, resizes) => resize::resize_pod(store, pod, &resizes, changes),
        Action::StepResize(pod, step) => resize::step_resize(store, now, pod, *step, changes),
        Action::SetPodRestarts(pod, restarts) => {
            update_pod(store, pod, PodChanges::RESTARTED, changes, |pod| {
                std::mem::replace(&mut pod.restarts, restarts) != restarts
            })
        }
        Action::ReportPod(pod, report) => pod_status::report_pod(store, now, pod, *report, changes),

        Action::PutConfig(kind, object) => {
            store.put_config(now, kind, *object);
            Ok(())
        }
        Action::DeleteConfig(kind, id) => {
            let removed = store.config.remove(&(kind, *id));
            removed.map(|_| ()).ok_or(Refused::NotFound)
        }
        Action::PutClaim(draft) => store.put_claim(now, *draft, changes),
        Action::SetClaimOwner(claim) => store.set_claim_owner(&claim.0, claim.1),
        Action::DeleteClaim(id) => store.delete_claim(&id),

        Action::CreateService(service) => workload::create_service(store, now, *service, changes),
        Action::ApplyService(id, service) => workload::apply_service(store, id, *service, changes),
        Action::DeleteService(id) => workload::delete_service(store, id, changes),
        Action::SetEndpoints(id, endpoints) => {
            workload::set_endpoints(store, id, endpoints, changes)
        }
        Action::CreateHpa(draft) => workload::create_hpa(store, now, draft.0, draft.1, changes),
        Action::SetHpaSpec(id, spec) => workload::set_hpa_spec(store, id, *spec, changes),
        Action::SetHpaStatus(id, status) => workload::set_hpa_status(store, id, *status, changes),
        Action::DeleteHpa(id) => workload::delete_hpa(store, id, changes),
        Action::CreateScaledObject(draft) => {
            store.create_scaled_object(now, draft.0, draft.1, changes)
        }
        Action::SetScaledObjectActive(id) => store.set_scaled_object_active(now, id),
        Action::SetTriggerFailures(id, metric, failures) => {
            store.set_trigger_failures(id, metric, failures)
        }
        Action::DeleteScaledObject(id) => store.delete_scaled_object(id, changes),
        Action::CreateVpa(draft) => store.create_vpa(now, draft.0, draft.1, changes),
        Action::SetVpaRecommendation(id, recommendation) => {
            store.set_vpa_recommendation(id, *recommendation)
        }
        Action::DeleteVpa(id) => store.delete_vpa(id, changes),
        Action::CreateNamespace(namespace) => {
            store.namespaces.insert(namespace.name.clone(), *namespace);
            Ok(())
        }
        Action::DeleteNamespace(name) => {
            store.namespaces.remove(&name).map(drop).ok_or(Refused::NotFound)
        }
        Action::ApplyResourceQuota(quota) => {
            store.list_pods_in(quota.meta.namespace());
            store.quotas.insert(quota.meta.id.clone(), *quota);
            Ok(())
        }
        Action::DeleteResourceQuota(id) => {
            store.quotas.remove(&id).map(drop).ok_or(Refused::NotFound)
        }
        Action::ApplyLimitRange(range) => {
            store.limit_ranges.insert(range.meta.id.clone(), *range);
            Ok(())
        }
        Action::DeleteLimitRange(id) => {
            store.limit_ranges.remove(&id).map(drop).ok_or(Refused::NotFound)
        }
        Action::CreateServiceAccount(id) => {
            store.service_accounts.insert(id);
            Ok(())
        }
        Action::DeleteServiceAccount(id) => {
            if store.service_accounts.remove(&id) {
                Ok(())
            } else {
                Err(Refused::NotFound)
            }
        }
        Action::CreatePriorityClass(class) => {
            store.priority_classes.insert(class.name.clone(), *class);
            Ok(())
        }
        Action::CreateDisruptionBudget(budget) => {
            workload::create_disruption_budget(store, now, *budget, changes)
        }
        Action::ApplyDisruptionBudget(id, budget) => {
            workload::apply_disruption_budget(store, id, *budget, changes)
        }
        Action::DeleteDisruptionBudget(id) => {
            workload::delete_disruption_budget(store, id, changes)
        }
        Action::SetDisruptionBudgetStatus(id, status) => {
            workload::set_disruption_budget_status(store, id, *status, changes)
        }
        Action::PublishPodMetrics(update) => {
            let mut changed = Vec::new();
            store.pod_metrics.update(*update, |pod| changed.push(pod));
            store.revise_samples(&changed, changes);
            Ok(())
        }
        Action::PublishCustomMetrics(metrics) => {
            store.custom_metrics = *metrics;
            Ok(())
        }
        Action::SetMetricsApi(api, health) => {
            store.metrics_apis.set(api, health);
            changes.push(Change::MetricsApi);
            Ok(())
        }
        Action::SetMetricFailing(name, fails) => {
            store.set_metric_failing(name, fails);
            Ok(())
        }
        Action::Event(_) => Ok(()),
    }
}

/// The next creation number.
pub(super) fn next_sequence(store: &mut Store) -> u64 {
    store.created += 1;
    store.created
}

fn add_node(
    store: &mut Store,
    now: SimTime,
    mut node: Node,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.index.nodes_by_name.contains_key(node.meta.name()) {
        return Err(Refused::AlreadyExists(node.meta.id));
    }
    node.meta.created = now.floor_to_second();
    node.meta.sequence = next_sequence(store);
    let NodeHealth { posted, lease, .. } = &mut node.health;
    *posted = posted.map(|_| now.floor_to_second());
    lease.started = lease.started.map(|_| now);
    if lease.phase.is_none() {
        lease.phase = Some(now + renewal_offset(mix(store.uid_seed ^ node.meta.sequence)));
    }
    let name = node.meta.name().clone();
    let id = store.nodes.insert(node);
    store.index.nodes_by_name.insert(name, id);
    if store.index.pods_by_node.len() <= id.index() {
        store.index.pods_by_node.resize_with(id.index() + 1, Default::default);
    }
    changes.push(Change::NodeAdded(id));
    Ok(())
}

/// Where in its period a kubelet renews its lease: anywhere, as nodes start at any time.
fn renewal_offset(drawn: u64) -> SimDuration {
    let period = Lease::PERIOD.as_nanos().unsigned_abs();
    SimDuration::from_nanos(i64::try_from(drawn % period).unwrap_or(0))
}

fn remove_node(store: &mut Store, id: NodeId, changes: &mut Vec<Change>) -> Result<(), Refused> {
    let node = store.nodes.remove(id).ok_or(Refused::NotFound)?;
    store.index.nodes_by_name.remove(node.meta.name());
    // The pods keep their (now dangling) node id until pod GC removes them; a later node that takes
    // the slot must not inherit them.
    store.index.pods_by_node[id.index()].clear();
    changes.push(Change::NodeRemoved(id));
    Ok(())
}

fn update_node(
    store: &mut Store,
    id: NodeId,
    changes: &mut Vec<Change>,
    update: impl FnOnce(&mut Node) -> bool,
) -> Result<(), Refused> {
    if update(store.nodes.get_mut(id).ok_or(Refused::NotFound)?) {
        changes.push(Change::NodeUpdated(id));
    }
    Ok(())
}

fn set_node_ready(node: &mut Node, status: ConditionStatus, now: SimTime) -> bool {
    let is_first = !std::mem::replace(&mut node.health.has_ready_condition, true);
    if status != ConditionStatus::Unknown {
        node.health.posted = Some(now.floor_to_second());
        // A kubelet posts all of its conditions at once.
        for condition in &mut node.health.conditions {
            if *condition == ConditionStatus::Unknown {
                *condition = ConditionStatus::False;
            }
        }
    }
    let changed = node.ready.status != status;
    if changed {
        node.ready = NodeReady { status, since: now.floor_to_second() };
    }
    changed || is_first
}

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
    let sequence = next_sequence(store);
    let name_hash = PodNames::hash_of(&id);
    let pod = store.pods.insert(Pod {
        id,
        uid: mix(store.uid_seed ^ mix(sequence)),
        template,
        owner: draft.owner,
        created: now.floor_to_second(),
        sequence,
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

fn bind_pod(
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
    store.bind_claims(id, node);
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
        return remove_pod(store, id, changes);
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
    if is_gone_at_once { remove_pod(store, id, changes) } else { Ok(()) }
}

/// Takes a pod object out of every table, or notes that it goes with its finalizer.
pub(super) fn remove_pod(
    store: &mut Store,
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
    store.release_claims(id, &pod);
    changes.push(Change::PodRemoved { pod: id, owner: pod.owner, node: pod.node });
    changes.extend(selecting.into_iter().map(Change::SelectedPodRemoved));
    Ok(())
}
