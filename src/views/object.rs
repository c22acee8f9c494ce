//! `kubectl get -o json`: a List of objects with the fields that a simulation has.

use serde_json::{Map, Value, json};

use super::get::{Kind, Scope, label_text, taint_text};
use super::object_workloads as workloads;
use super::pod_status;
use cluster::deployment::WorkloadCondition;
use cluster::pod::Pod;
use cluster::pod_template::{Container, PodTemplate, ReferenceKind, ResourceList};
use cluster::printed_status::printed_status;
use cluster::{ClusterView, Labels, ObjectMeta};
use engine::SimTime;

/// The objects of a kind in the order of their names; `None` for kinds that have no such form. Times are
/// seconds of the run.
pub fn objects(view: ClusterView<'_>, kind: Kind, scope: &Scope) -> Option<Vec<Value>> {
    let mut items: Vec<Value> = match kind {
        Kind::Pods => pods(view, scope),
        Kind::Nodes => nodes(view, scope),
        Kind::Deployments => deployments(view, scope),
        Kind::ReplicaSets => replica_sets(view, scope),
        Kind::StatefulSets => workloads::stateful_sets(view, scope),
        Kind::DaemonSets => workloads::daemon_sets(view, scope),
        Kind::Jobs => workloads::jobs(view, scope),
        Kind::CronJobs => workloads::cron_jobs(view, scope),
        Kind::ConfigMaps => workloads::configs(view, scope, ReferenceKind::ConfigMap),
        Kind::Secrets => workloads::configs(view, scope, ReferenceKind::Secret),
        Kind::Claims => workloads::claims(view, scope),
        Kind::Quotas => workloads::quotas(view, scope),
        Kind::Namespaces => workloads::namespaces(view, scope),
        Kind::Services => services(view, scope),
        Kind::Hpas => hpas(view, scope),
        Kind::DisruptionBudgets => disruption_budgets(view, scope),
        _ => return None,
    };
    if let Some(selector) = &scope.selector {
        let labels = |item: &Value| super::rows_of_others::labels_of(item);
        items.retain(|item| selector.matches(&labels(item)));
    }
    let name = |item: &Value, field: &str| item["metadata"][field].as_str().map(str::to_owned);
    items.sort_by_key(|item| (name(item, "namespace"), name(item, "name")));
    Some(items)
}

pub(super) fn seconds(at: SimTime) -> Value {
    json!(at.as_secs_f64())
}

pub(super) fn labels(labels: &Labels) -> Value {
    let pairs = labels.iter().map(|(key, value)| (key.to_string(), Value::from(&**value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

pub(super) fn amounts(list: &ResourceList) -> Value {
    let pairs = list.iter().map(|(name, amount)| (name.to_string(), amount.to_string().into()));
    Value::Object(pairs.collect::<Map<_, _>>())
}

pub(super) fn metadata(meta: &ObjectMeta) -> Value {
    let mut fields = json!({
        "name": &**meta.name(),
        "labels": labels(&meta.labels),
        "annotations": labels(&meta.annotations),
        "createdAtSeconds": seconds(meta.created),
    });
    if !meta.namespace().is_empty() {
        fields["namespace"] = Value::from(&**meta.namespace());
    }
    fields
}

pub(super) fn conditions(all: &[WorkloadCondition]) -> Value {
    let told = all.iter().map(|one| {
        json!({
            "type": one.kind,
            "status": one.status.as_str(),
            "reason": one.reason,
            "message": one.message,
            "lastTransitionSeconds": seconds(one.last_transition),
        })
    });
    told.collect()
}

/// The `initContainers`, where there are any, and the `containers` of a template.
pub(super) fn containers(template: &PodTemplate) -> Value {
    let spec = &template.spec;
    let mut fields = Map::new();
    for (name, containers) in
        [("initContainers", &spec.init_containers), ("containers", &spec.containers)]
    {
        if !containers.is_empty() {
            let told = containers.iter().map(container).collect();
            fields.insert(name.to_owned(), told);
        }
    }
    Value::Object(fields)
}

fn container(one: &Container) -> Value {
    let mut fields = json!({
        "name": &*one.name,
        "image": &*one.image,
        "resources": {"requests": amounts(&one.requests), "limits": amounts(&one.limits)},
    });
    if one.is_sidecar {
        fields["restartPolicy"] = "Always".into();
    }
    fields
}

fn pods(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().pods().values().filter(|pod| scope.has_name(&pod.id));
    let told = chosen.map(|pod| {
        let template = view.template_of(pod);
        let printed = printed_status(pod, &template.spec);
        let node = pod.node.and_then(|node| view.nodes().get(node));
        let owner = pod.owner.and_then(|owner| view.identity_of(owner));
        let [init_container_statuses, container_statuses] =
            pod_status::container_statuses(view, pod);
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": &**pod.name(),
                "namespace": &*pod.id.namespace,
                "labels": labels(view.labels_of(pod)),
                "createdAtSeconds": seconds(pod.created),
                "deletionAtSeconds": pod.deletion.map(|deletion| seconds(deletion.requested_at)),
                "owner": owner.map(|(kind, id)| format!("{kind}/{}", id.name)),
            },
            "spec": {
                "nodeName": node.map(|node| node.meta.name().to_string()),
                "priority": template.spec.priority,
            },
            "status": {
                "phase": pod.phase.as_str(),
                "shown": printed.status,
                "ready": pod.is_ready(),
                "restartCount": printed.restarts,
                "initContainerStatuses": init_container_statuses,
                "containerStatuses": container_statuses,
                "conditions": pod_conditions(pod),
            },
        });
        if let (Some(spec), Value::Object(containers)) =
            (object["spec"].as_object_mut(), containers(template))
        {
            spec.extend(containers);
        }
        object
    });
    told.collect()
}

/// The conditions of a pod, those of a resize that is not through at the end.
fn pod_conditions(pod: &Pod) -> Value {
    let told = pod_status::conditions(pod).map(|(kind, condition)| {
        json!({
            "type": kind,
            "status": condition.status.as_str(),
            "lastTransitionSeconds": seconds(condition.since),
        })
    });
    let of_resize = super::describe::resize_conditions(pod).into_iter().map(|one| {
        json!({
            "type": one.kind,
            "status": "True",
            "reason": one.reason,
            "message": one.message,
            "lastTransitionSeconds": seconds(one.since),
        })
    });
    told.chain(of_resize).collect()
}

fn nodes(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().nodes().values().filter(|node| scope.has_name(&node.meta.id));
    let told = chosen.map(|node| {
        let taints: Vec<Value> =
            node.taints.iter().map(|taint| Value::from(taint_text(taint))).collect();
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata(&node.meta),
            "spec": {"unschedulable": node.unschedulable, "taints": taints},
            "status": {
                "ready": node.ready.status.as_str(),
                "capacity": amounts(&node.capacity),
                "allocatable": amounts(&node.allocatable),
            },
        })
    });
    told.collect()
}

fn deployments(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().deployments().values().filter(|one| scope.has_name(&one.meta.id));
    let told = chosen.map(|deployment| {
        let (spec, status) = (&deployment.spec, &deployment.status);
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(&deployment.meta),
            "spec": {
                "replicas": spec.replicas,
                "paused": spec.paused,
                "selector": label_text(&spec.selector),
                "template": containers(&spec.template),
            },
            "status": {
                "replicas": status.replicas,
                "updatedReplicas": status.updated_replicas,
                "readyReplicas": status.ready_replicas,
                "availableReplicas": status.available_replicas,
                "unavailableReplicas": status.unavailable_replicas,
                "conditions": conditions(&status.conditions),
            },
        })
    });
    told.collect()
}

fn replica_sets(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().replica_sets().values().filter(|set| scope.has_name(&set.meta.id));
    let told = chosen.map(|set| {
        let owner = set.owner.and_then(|owner| view.deployments().get(owner));
        json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": metadata(&set.meta),
            "owner": owner.map(|owner| format!("Deployment/{}", owner.meta.name())),
            "revision": set.revision,
            "spec": {
                "replicas": set.replicas,
                "template": view.templates().get(set.template).map(containers),
            },
            "status": {
                "replicas": set.status.replicas,
                "readyReplicas": set.status.ready_replicas,
                "availableReplicas": set.status.available_replicas,
            },
        })
    });
    told.collect()
}

fn services(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().services().values().filter(|one| scope.has_name(&one.meta.id));
    let told = chosen.map(|service| {
        let endpoints = service.endpoints.iter().filter_map(|endpoint| {
            let pod = view.pods().get(endpoint.pod)?;
            Some(json!({
                "pod": &**pod.name(),
                "ready": endpoint.ready,
                "serving": endpoint.serving,
                "terminating": endpoint.terminating,
            }))
        });
        let ports =
            service.ports.iter().map(|port| json!({"name": &*port.name, "port": port.port}));
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(&service.meta),
            "spec": {
                "selector": service.selector.as_ref().map(label_text),
                "ports": ports.collect::<Vec<_>>(),
            },
            "endpoints": endpoints.collect::<Vec<_>>(),
        })
    });
    told.collect()
}

fn hpas(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().hpas().values().filter(|hpa| scope.has_name(&hpa.meta.id));
    let told = chosen.map(|hpa| {
        let conditions = hpa.status.conditions.iter().map(|one| {
            json!({
                "type": one.kind.as_str(),
                "status": one.status.as_str(),
                "reason": one.reason.as_str(),
                "message": one.message(),
            })
        });
        json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata(&hpa.meta),
            "spec": {
                "scaleTargetRef": {"kind": &*hpa.spec.scale_target.kind, "name": &*hpa.spec.scale_target.name},
                "minReplicas": hpa.spec.min_replicas,
                "maxReplicas": hpa.spec.max_replicas,
            },
            "status": {
                "currentReplicas": hpa.status.current_replicas,
                "desiredReplicas": hpa.status.desired_replicas,
                "targets": super::get::targets(hpa),
                "conditions": conditions.collect::<Vec<_>>(),
            },
        })
    });
    told.collect()
}

fn disruption_budgets(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen =
        view.store().disruption_budgets().values().filter(|one| scope.has_name(&one.meta.id));
    let told = chosen.map(|budget| {
        json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(&budget.meta),
            "spec": {"selector": budget.selector.as_ref().map(label_text)},
            "status": {
                "currentHealthy": budget.status.current_healthy,
                "desiredHealthy": budget.status.desired_healthy,
                "expectedPods": budget.status.expected_pods,
                "disruptionsAllowed": budget.status.disruptions_allowed,
            },
        })
    });
    told.collect()
}
