//! `kubectl describe`: an object in detail, with its events (`pkg/describe/describe.go`, 1.36). This file has the
//! parts common to all kinds, and pods; the other kinds are in the files `describe_*`.

use super::describe_hpa as hpa;
use super::describe_limits as limits;
use super::describe_node as node;
use super::describe_queues as queues;
use super::describe_rollout as rollout;
use super::describe_service as service;
use super::describe_storage as storage;
use super::describe_workloads as workloads;
use super::events::event_table;
use super::get::{Scope, Snapshot};
use super::page::{Page, line};
use super::pod_status::conditions;
use super::template::{OfPod, containers_of, spread, tolerations, volumes};
use super::written::template_of;
use cluster::assigned::{node_ip, pod_ip};
use cluster::deployment::WorkloadCondition;
use cluster::pod::Pod;
use cluster::qos::qos_class;
use cluster::{Kind, NamespacedName, ObjectMeta};
use engine::SimTime;
use record::LogLine;

/// An object in detail, as text, with its events if `shows_events`; `None` if it does not exist.
pub fn describe(
    snapshot: Snapshot<'_>,
    log: &[LogLine],
    kind: Kind,
    id: &NamespacedName,
    shows_events: bool,
) -> Option<String> {
    let mut page = Page::default();
    let page_text = &mut page;
    match kind {
        Kind::Pod => pod(snapshot, log, id, page_text)?,
        Kind::Node => node::node(snapshot, id, page_text)?,
        Kind::Deployment => workloads::deployment(snapshot, id, page_text)?,
        Kind::ReplicaSet => workloads::replica_set(snapshot, id, page_text)?,
        Kind::StatefulSet => workloads::stateful_set(snapshot, id, page_text)?,
        Kind::DaemonSet => workloads::daemon_set(snapshot, id, page_text)?,
        Kind::Job => workloads::job(snapshot, id, page_text)?,
        Kind::CronJob => workloads::cron_job(snapshot, id, page_text)?,
        Kind::Service => service::service(snapshot, id, page_text)?,
        Kind::Ingress => service::ingress(snapshot, id, page_text)?,
        Kind::HorizontalPodAutoscaler => hpa::hpa(snapshot, id, page_text)?,
        Kind::VerticalPodAutoscaler => hpa::vpa(snapshot, id, page_text)?,
        Kind::ScaledObject => hpa::scaled_object(snapshot, id, page_text)?,
        Kind::ScaledJob => hpa::scaled_job(snapshot, id, page_text)?,
        Kind::PodAutoscaler => hpa::pod_autoscaler(snapshot, id, page_text)?,
        Kind::Rollout => rollout::rollout(snapshot, id, page_text)?,
        Kind::PodDisruptionBudget => limits::disruption_budget(snapshot, id, page_text)?,
        Kind::ConfigMap => storage::config(snapshot, id, Kind::ConfigMap, page_text)?,
        Kind::Secret => {
            storage::config(snapshot, id, Kind::Secret, page_text)?;
            return Some(page.finish());
        }
        Kind::ServiceAccount => storage::service_account(snapshot, id, page_text)?,
        Kind::PersistentVolumeClaim => storage::claim(snapshot, id, page_text)?,
        Kind::PersistentVolume => storage::volume(snapshot, id, page_text)?,
        Kind::ResourceQuota => {
            limits::quota(snapshot, id, page_text)?;
            return Some(page.finish());
        }
        Kind::LimitRange => {
            limits::limit_range(snapshot, id, page_text)?;
            return Some(page.finish());
        }
        Kind::Namespace => {
            limits::namespace(snapshot, id, page_text)?;
            return Some(page.finish());
        }
        Kind::ClusterQueue => queues::cluster_queue(snapshot, id, page_text)?,
        Kind::LocalQueue => queues::local_queue(snapshot, id, page_text)?,
        Kind::PriorityClass => limits::priority_class(snapshot, id, page_text)?,
        Kind::EndpointSlice => service::endpoint_slice(snapshot, id, page_text)?,
        Kind::Endpoints => service::endpoints_of(snapshot, id, page_text)?,
        _ => return None,
    }
    if shows_events {
        events(snapshot, log, kind, id, &mut page);
    }
    Some(page.finish())
}

/// `DescribeEvents`.
fn events(
    snapshot: Snapshot<'_>,
    log: &[LogLine],
    kind: Kind,
    id: &NamespacedName,
    page: &mut Page,
) {
    let scope = Scope { names: vec![id.name.to_string()], ..Scope::default() };
    let of_object = log.iter().filter(|line| line.kind == kind && line.object == *id);
    let table = event_table(of_object, &scope);
    if table.is_empty() {
        return line!(page, 0, "Events:\t<none>");
    }
    page.flush();
    line!(page, 0, "Events:");
    line!(page, 1, "Type\tReason\tAge\tFrom\tMessage");
    line!(page, 1, "----\t------\t----\t----\t-------");
    for event in table {
        let (kind, reason, from) = (event.kind(), event.first.reason, event.first.actor);
        let message = event.described(snapshot);
        line!(
            page,
            1,
            "{kind}\t{reason}\t{}\t{from}\t{message}",
            event.interval(snapshot.view.now)
        );
    }
}

/// Name and namespace.
pub(super) fn names(id: &NamespacedName, page: &mut Page) {
    line!(page, 0, "Name:\t{}", id.name);
    if !id.namespace.is_empty() {
        line!(page, 0, "Namespace:\t{}", id.namespace);
    }
}

/// Labels and annotations from the object's metadata.
pub(super) fn labels(meta: &ObjectMeta, page: &mut Page) {
    page.labels("Labels", &meta.labels);
    page.annotations("Annotations", &meta.annotations);
}

/// The conditions of a workload with their reasons.
pub(super) fn workload_conditions(conditions: &[WorkloadCondition], page: &mut Page) {
    if conditions.is_empty() {
        return;
    }
    line!(page, 0, "Conditions:");
    line!(page, 1, "Type\tStatus\tReason");
    line!(page, 1, "----\t------\t------");
    for one in conditions {
        line!(page, 1, "{} \t{}\t{}", one.kind, one.status.as_str(), one.reason);
    }
}

fn pod(
    snapshot: Snapshot<'_>,
    log: &[LogLine],
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let view = snapshot.view;
    let pod = view.store().pods().get(view.pod_named(id)?)?;
    let template = view.store().template_of(pod);
    let spec = &template.spec;
    let written = &template_of(view, pod)["spec"];
    names(id, page);
    line!(page, 0, "Priority:\t{}", spec.priority.unwrap_or(0));
    if !spec.priority_class_name.is_empty() {
        line!(page, 0, "Priority Class Name:\t{}", spec.priority_class_name);
    }
    let account = Some(&*spec.service_account_name).filter(|name| !name.is_empty());
    line!(page, 0, "Service Account:\t{}", account.unwrap_or("default"));
    match pod.node.and_then(|node| view.store().nodes().get(node)) {
        Some(node) => {
            let address = node_ip(node);
            // The kubelet reports the node's address with its first status.
            let address = if pod.start_time.is_some() { &*address } else { "" };
            line!(page, 0, "Node:\t{}/{address}", node.meta.name());
        }
        None => line!(page, 0, "Node:\t<none>"),
    }
    if let Some(start) = pod.start_time {
        line!(page, 0, "Start Time:\t{}", snapshot.date(start));
    }
    page.labels("Labels", view.store().labels_of(pod));
    page.annotations("Annotations", view.store().annotations_of(pod));
    match pod.deletion.filter(|_| !pod.phase.is_terminal()) {
        Some(deletion) => {
            // Counted from the deadline, as kubectl does: negative before it.
            let lasts = snapshot.view.now - deletion.deadline;
            let lasts = if lasts.as_nanos() < -1_000_000_000 {
                "<invalid>".to_owned()
            } else {
                super::age::human(lasts)
            };
            line!(page, 0, "Status:\tTerminating (lasts {lasts})");
            let grace = (deletion.deadline - deletion.requested_at.floor_to_second()).as_secs();
            line!(page, 0, "Termination Grace Period:\t{grace}s");
        }
        None => line!(page, 0, "Status:\t{}", pod.phase.as_str()),
    }
    if let Some(reason) = pod.status_reason {
        line!(page, 0, "Reason:\t{reason}");
    }
    if let Some(ip) = pod_ip(snapshot.view.store(), pod) {
        line!(page, 0, "IP:\t{ip}");
        line!(page, 0, "IPs:");
        line!(page, 1, "IP:\t{ip}");
    } else {
        line!(page, 0, "IP:\t");
        line!(page, 0, "IPs:\t<none>");
    }
    if let Some((kind, owner)) = pod.owner.and_then(|owner| view.store().identity_of(owner)) {
        line!(page, 0, "Controlled By:\t{kind}/{}", owner.name);
    }
    if pod.nominated_node.is_some() {
        line!(page, 0, "NominatedNodeName:\t{}", snapshot.node_name(pod.nominated_node));
    }
    let of_pod = OfPod { snapshot, pod };
    containers_of(spec, written, Some(of_pod), "", page);
    pod_conditions(pod, log, page);
    volumes(&written["volumes"], Some(of_pod), "", page);
    line!(page, 0, "QoS Class:\t{}", qos_class(spec).as_str());
    page.labels("Node-Selectors", &spec.node_selector);
    page.list("Tolerations", tolerations(&spec.tolerations));
    spread(spec, "", page);
    Some(())
}

fn pod_conditions(pod: &Pod, log: &[LogLine], page: &mut Page) {
    // The scheduler sets this condition once it has failed to place the pod.
    let is_unscheduled = || {
        let failed = |line: &LogLine| line.reason == "FailedScheduling" && line.object == pod.id;
        pod.node.is_none() && log.iter().any(failed)
    };
    let page_text = conditions(pod).map(|(kind, condition)| (kind, condition.status.as_str()));
    let mut page_text: Vec<(&str, &str)> = page_text.collect();
    if pod.conditions.scheduled.is_none() && is_unscheduled() {
        page_text.push(("PodScheduled", "False"));
    }
    page_text.extend(resize_conditions(pod).into_iter().map(|one| (one.kind, "True")));
    if page_text.is_empty() {
        return;
    }
    line!(page, 0, "Conditions:");
    line!(page, 1, "Type\tStatus");
    for (kind, status) in page_text {
        line!(page, 1, "{kind} \t{status} ");
    }
}

/// A condition of a pending resize.
pub(super) struct ResizeCondition<'a> {
    pub(super) kind: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: &'a str,
    pub(super) since: SimTime,
}

/// The conditions of a pending resize.
pub(super) fn resize_conditions(pod: &Pod) -> Vec<ResizeCondition<'_>> {
    let Some(resize) = &pod.resize else { return Vec::new() };
    let pending = resize.pending.as_ref().map(|pending| ResizeCondition {
        kind: "PodResizePending",
        reason: pending.reason.as_str(),
        message: &pending.message,
        since: pending.since,
    });
    let in_progress = resize.in_progress.as_ref().map(|progress| ResizeCondition {
        kind: "PodResizeInProgress",
        reason: if progress.error.is_some() { "Error" } else { "" },
        message: progress.error.as_deref().unwrap_or_default(),
        since: progress.since,
    });
    pending.into_iter().chain(in_progress).collect()
}
