//! The API server's write path: the only function that changes objects.

use super::action::{Action, Refused};
use super::change::{Change, PodChanges, Write};
use super::controller_revision::Revision;
use super::daemon_set::DaemonSet;
use super::deployment::Deployment;
use super::kueue_pods;
use super::limit_range;
use super::meta::ObjectMeta;
use super::node::ConditionStatus;
use super::node_verbs::{self as nodes, update_node};
use super::object::Stored;
use super::objects::{self, AnySpec, ObjectId};
use super::pod::{Owner, PodCondition};
use super::pod_autoscaler;
use super::pod_status;
use super::pod_verbs::{self as pods, update_pod};
use super::quota_objects;
use super::replica_set::ReplicaSet;
use super::resize;
use super::rollout::Rollout;
use super::scale::ScaleTarget;
use super::service::Service;
use super::stateful_set::{StatefulSet, create_stateful_pod};
use super::store::Store;
use engine::SimTime;

/// Carries out one action at `now` and appends the resulting changes. A request that changes nothing succeeds without
/// a change, like a no-op write to the API server.
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
    match action {
        Action::Create(meta, mut spec) => {
            admit(store, &meta, &mut spec)?;
            objects::create_any(store, now, *meta, spec, changes)
        }
        Action::Apply(meta, mut spec) => {
            admit(store, &meta, &mut spec)?;
            objects::apply_any(store, now, *meta, spec, changes)
        }
        Action::UpdateStatus(status) => objects::set_any_status(store, status, changes),
        Action::Scale(target, replicas) => scale(store, target, replicas, changes),
        Action::Delete(id) => objects::delete_any(store, now, id, changes),

        Action::SetNodeReady(node, status) => {
            update_node(store, node, changes, |node| nodes::set_node_ready(node, status, now))
        }
        Action::SetNodeCondition(node, condition, status) => {
            update_node(store, node, changes, |node| {
                nodes::set_condition(node, condition, status, now)
            })
        }
        Action::SetNodeSilent(node, is_silent) => {
            update_node(store, node, changes, |node| nodes::set_silent(node, is_silent, now))
        }
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
        Action::SetNodeAnnotations(node, annotations) => {
            update_node(store, node, changes, |node| {
                let changed = node.meta.annotations != annotations;
                node.meta.annotations = annotations;
                changed
            })
        }
        Action::SetNodeResources(node, resources) => update_node(store, node, changes, |node| {
            let (capacity, allocatable) = *resources;
            let changed = node.capacity != capacity || node.allocatable != allocatable;
            (node.capacity, node.allocatable) = (capacity, allocatable);
            changed
        }),
        Action::SetNodeUnschedulable(node, unschedulable) => {
            update_node(store, node, changes, |node| {
                std::mem::replace(&mut node.unschedulable, unschedulable) != unschedulable
            })
        }

        Action::SetReplicaSet(id, update) => {
            let table = &mut ReplicaSet::collection_mut(store).table;
            if table.get_mut(id).ok_or(Refused::NotFound)?.take(update) {
                changes.push(Change::Spec(ObjectId::ReplicaSet(id), Write::Update));
            }
            Ok(())
        }
        Action::SetRevisions(owner, revisions) => set_revisions(store, owner, revisions, changes),
        Action::UpdateEndpoints(id, updates) => {
            let table = &mut Service::collection_mut(store).table;
            let endpoints = &mut table.get_mut(id).ok_or(Refused::NotFound)?.endpoints;
            let changed = updates.into_iter().filter(|update| endpoints.update(*update)).count();
            if changed > 0 {
                changes.push(Change::Endpoints(id));
            }
            Ok(())
        }
        Action::SetAttachments(claim, attachments) => {
            store.set_attachments(claim, attachments, changes)
        }
        Action::SetClaimOwner(claim) => store.set_claim_owner(&claim.0, claim.1, changes),

        Action::RemovePodFinalizer(pod) => pods::remove_pod_finalizer(store, now, pod, changes),
        Action::CreatePod(draft) => pods::create_pod(store, now, *draft, changes),
        Action::CreateStatefulPod(draft) => {
            create_stateful_pod(store, now, draft.0, draft.1, changes)
        }
        Action::BindPod(pod, node) => pods::bind_pod(store, now, pod, node, changes),
        Action::NominatePod(pod, node) => {
            update_pod(store, pod, PodChanges::NOMINATED, changes, |pod| {
                std::mem::replace(&mut pod.nominated_node, node) != node
            })
        }
        Action::DeletePod(pod, deletion) => pods::delete_pod(store, now, pod, deletion, changes),
        Action::EvictPod(pod, grace) => {
            super::eviction::evict_pod(store, now, (pod, grace), changes)
        }
        Action::RemovePod(pod) => pods::remove_pod(store, now, pod, changes),
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
        Action::AdmitPod(pod, place) => kueue_pods::admit_pod(store, pod, *place, changes),
        Action::ResizePod(pod, resizes) => resize::resize_pod(store, pod, &resizes, changes),
        Action::StepResize(pod, step) => resize::step_resize(store, now, pod, *step, changes),
        Action::SetPodRestarts(pod, restarts) => {
            update_pod(store, pod, PodChanges::RESTARTED, changes, |pod| {
                std::mem::replace(&mut pod.restarts, restarts) != restarts
            })
        }
        Action::ReportPod(pod, report) => pod_status::report_pod(store, now, pod, *report, changes),

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
        Action::ReportRevisions(reports) => {
            pod_autoscaler::report(store, &reports, changes);
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

/// Admission of an object: quotas, and for new claims the default storage class and LimitRange bounds.
pub(super) fn admit(store: &Store, meta: &ObjectMeta, spec: &mut AnySpec) -> Result<(), Refused> {
    let is_new_claim = |store: &Store| store.claim(&meta.id).is_none();
    if let AnySpec::PersistentVolumeClaim(content) = spec
        && content.spec.storage_class.is_none()
        && is_new_claim(store)
    {
        let class = store.default_storage_class();
        content.spec.storage_class = class.map(|class| class.meta.name().clone());
    }
    quota_objects::admit_spec(store, &meta.id, spec)?;
    match spec {
        AnySpec::PersistentVolumeClaim(content) if is_new_claim(store) => {
            limit_range::admit_claim(store, &meta.id, &content.spec)
        }
        _ => Ok(()),
    }
}

fn scale(
    store: &mut Store,
    target: ScaleTarget,
    replicas: i32,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let (wanted, meta) = match target {
        ScaleTarget::Deployment(id) => {
            let table = &mut Deployment::collection_mut(store).table;
            let one = table.get_mut(id).ok_or(Refused::NotFound)?;
            (&mut one.spec.replicas, &mut one.meta)
        }
        ScaleTarget::Rollout(id) => {
            let table = &mut Rollout::collection_mut(store).table;
            let one = table.get_mut(id).ok_or(Refused::NotFound)?;
            (&mut one.spec.replicas, &mut one.meta)
        }
        ScaleTarget::ReplicaSet(id) => {
            let table = &mut ReplicaSet::collection_mut(store).table;
            let one = table.get_mut(id).ok_or(Refused::NotFound)?;
            (&mut one.replicas, &mut one.meta)
        }
        ScaleTarget::StatefulSet(id) => {
            let table = &mut StatefulSet::collection_mut(store).table;
            let one = table.get_mut(id).ok_or(Refused::NotFound)?;
            (&mut one.spec.replicas, &mut one.meta)
        }
    };
    if std::mem::replace(wanted, replicas) != replicas {
        meta.generation += 1;
        changes.push(Change::Spec(target.into(), Write::Update));
    }
    Ok(())
}

fn set_revisions(
    store: &mut Store,
    owner: Owner,
    revisions: Vec<Revision>,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let known = match owner {
        Owner::StatefulSet(id) => {
            StatefulSet::collection_mut(store).table.get_mut(id).map(|set| &mut set.revisions)
        }
        Owner::DaemonSet(id) => {
            DaemonSet::collection_mut(store).table.get_mut(id).map(|set| &mut set.revisions)
        }
        Owner::ReplicaSet(_) | Owner::Job(_) => None,
    };
    let known = known.ok_or(Refused::NotFound)?;
    if *known != revisions {
        *known = revisions;
        changes.push(Change::Revisions(owner));
    }
    Ok(())
}
