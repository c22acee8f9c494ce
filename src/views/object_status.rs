//! The status of each kind as the API server prints it: zero numbers are omitted where the API has `omitempty`.

use serde_json::{Map, Value, json};

use super::object::{fields, time};
use super::pod_status::pod_status;
use super::rows_of_others::{readiness, volume_of};
use cluster::assigned::node_ip;
use cluster::cron_job::CronJob;
use cluster::daemon_set::DaemonSet;
use cluster::deployment::{Deployment, WorkloadCondition};
use cluster::hpa_object::HpaObject;
use cluster::hpa_status::{MetricStatus, MetricValue};
use cluster::job::Job;
use cluster::kueue::QueueStatus;
use cluster::node::{NODE_CONDITIONS, Node};
use cluster::policy::PodDisruptionBudget;
use cluster::replica_set::ReplicaSet;
use cluster::scaled_job::ScaledJobStatus;
use cluster::stateful_set::StatefulSet;
use cluster::vpa::{Amounts, Resource, VpaObject};
use cluster::{ClusterView, Kind, ObjectId};
use manifest::amounts;
use units::Quantity;

/// The status of an object; `None` for kinds without a status.
pub(super) fn status(view: ClusterView<'_>, object: ObjectId) -> Option<Map<String, Value>> {
    let store = view.store();
    Some(match object {
        ObjectId::Pod(id) => pod_status(view, store.pods().get(id)?),
        ObjectId::Node(id) => node(view, store.nodes().get(id)?),
        ObjectId::Deployment(id) => deployment(view, store.deployments().get(id)?),
        ObjectId::Rollout(id) => super::describe_rollout::status(view, store.rollouts().get(id)?),
        ObjectId::ReplicaSet(id) => replica_set(view, store.replica_sets().get(id)?),
        ObjectId::StatefulSet(id) => stateful_set(store.stateful_sets().get(id)?),
        ObjectId::DaemonSet(id) => daemon_set(store.daemon_sets().get(id)?),
        ObjectId::Job(id) => job(view, store.jobs().get(id)?),
        ObjectId::CronJob(id) => cron_job(view, store.cron_jobs().get(id)?),
        ObjectId::Service(_) => fields([("loadBalancer", json!({}))]),
        ObjectId::HorizontalPodAutoscaler(id) => hpa(view, store.hpas().get(id)?),
        ObjectId::VerticalPodAutoscaler(id) => vpa(store.vpas().get(id)?),
        ObjectId::ScaledObject(id) => {
            let object = store.scaled_objects().get(id)?;
            let at = object.status.last_active.map_or(Value::Null, |at| time(view, at));
            fields([("hpaName", (*object.spec.hpa_name).into()), ("lastActiveTime", at)])
        }
        ObjectId::ClusterQueue(id) => queue(store.cluster_queues().get(id)?.status),
        ObjectId::LocalQueue(id) => queue(store.local_queues().get(id)?.status),
        ObjectId::ScaledJob(id) => scaled_job(view, &store.scaled_jobs().get(id)?.status),
        ObjectId::PodAutoscaler(id) => {
            let object = store.pod_autoscalers().get(id)?;
            let (active, reason) = readiness(&object.status);
            let since = time(view, object.status.active_since);
            let mut condition = json!({
                "type": "Active",
                "status": active,
                "lastTransitionTime": since,
            });
            if !reason.is_empty() {
                condition["reason"] = reason.into();
            }
            fields([
                ("actualScale", object.status.actual_scale.into()),
                ("conditions", json!([condition])),
                ("desiredScale", object.status.desired_scale.into()),
                ("serviceName", (*object.spec.service).into()),
            ])
        }
        ObjectId::PodDisruptionBudget(id) => budget(view, store.disruption_budgets().get(id)?),
        ObjectId::ResourceQuota(id) => {
            let used = store.quota_used(store.quotas().get(id)?);
            let hard =
                used.iter().map(|one| (one.resource.to_string(), one.hard.to_string().into()));
            let used =
                used.iter().map(|one| (one.resource.to_string(), one.used.to_string().into()));
            fields([
                ("hard", Value::Object(hard.collect())),
                ("used", Value::Object(used.collect())),
            ])
        }
        ObjectId::PersistentVolumeClaim(id) => {
            let claim = store.claims().get(id)?;
            let is_bound = claim.volume.is_some();
            let modes = manifest::written(store, object)?["spec"]["accessModes"].clone();
            let volume = volume_of(store, claim);
            let id = volume
                .and_then(|volume| store.object_named(Kind::PersistentVolume, &volume.meta.id));
            let volume = id.and_then(|id| Some(manifest::written(store, id)?["spec"].clone()));
            let of_volume = |field: &str| volume.as_ref().map(|spec| spec[field].clone());
            let capacity = of_volume("capacity").unwrap_or_else(|| amounts(&claim.spec.requests));
            let modes = of_volume("accessModes").unwrap_or(modes);
            fields([
                ("accessModes", if is_bound { modes } else { Value::Null }),
                ("capacity", if is_bound { capacity } else { Value::Null }),
                ("phase", if is_bound { "Bound" } else { "Pending" }.into()),
            ])
        }
        ObjectId::PersistentVolume(id) => {
            fields([("phase", store.persistent_volumes().get(id)?.phase().into())])
        }
        ObjectId::Namespace(_) => fields([("phase", "Active".into())]),
        _ => return None,
    })
}

fn scaled_job(view: ClusterView<'_>, status: &ScaledJobStatus) -> Map<String, Value> {
    let conditions = [
        ("Ready", status.conditions.ready),
        ("Active", status.conditions.active),
        ("Paused", status.conditions.paused),
    ];
    let conditions = conditions.map(|(name, condition)| {
        let mut written = json!({ "type": name, "status": condition.status.as_str() });
        if !condition.reason.is_empty() {
            written["reason"] = condition.reason.into();
        }
        written
    });
    let at = status.last_active.map_or(Value::Null, |at| time(view, at));
    fields([("conditions", json!(conditions)), ("lastActiveTime", at)])
}

fn replica_set(view: ClusterView<'_>, set: &ReplicaSet) -> Map<String, Value> {
    let status = &set.status;
    let mut all = fields([
        ("availableReplicas", status.available_replicas.into()),
        ("conditions", conditions(view, &status.conditions)),
        ("fullyLabeledReplicas", status.fully_labeled_replicas.into()),
        ("observedGeneration", status.observed_generation.into()),
        ("readyReplicas", status.ready_replicas.into()),
    ]);
    all.insert("replicas".to_owned(), status.replicas.into());
    all
}

fn daemon_set(set: &DaemonSet) -> Map<String, Value> {
    let status = &set.status;
    let mut all = fields([
        ("numberAvailable", status.number_available.into()),
        ("numberUnavailable", status.number_unavailable.into()),
        ("observedGeneration", status.observed_generation.into()),
        ("updatedNumberScheduled", status.updated_number_scheduled.into()),
    ]);
    for (name, number) in [
        ("currentNumberScheduled", status.current_number_scheduled),
        ("desiredNumberScheduled", status.desired_number_scheduled),
        ("numberMisscheduled", status.number_misscheduled),
        ("numberReady", status.number_ready),
    ] {
        all.insert(name.to_owned(), number.into());
    }
    all
}

fn cron_job(view: ClusterView<'_>, cron_job: &CronJob) -> Map<String, Value> {
    let store = view.store();
    let active = cron_job.status.active.iter().filter_map(|job| store.jobs().get(*job));
    let active = active.map(|job| {
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": &**job.meta.name(),
            "namespace": &**job.meta.namespace(),
        })
    });
    let at = |instant: Option<_>| instant.map_or(Value::Null, |at| time(view, at));
    fields([
        ("active", active.collect()),
        ("lastScheduleTime", at(cron_job.status.last_schedule_time)),
        ("lastSuccessfulTime", at(cron_job.status.last_successful_time)),
    ])
}

fn queue(status: QueueStatus) -> Map<String, Value> {
    fields([
        ("admittedWorkloads", status.admitted.into()),
        ("pendingWorkloads", status.pending.into()),
    ])
}

fn budget(view: ClusterView<'_>, budget: &PodDisruptionBudget) -> Map<String, Value> {
    let status = &budget.status;
    let mut all = fields([
        ("conditions", conditions(view, &status.conditions)),
        ("observedGeneration", status.observed_generation.into()),
    ]);
    for (name, number) in [
        ("currentHealthy", status.current_healthy),
        ("desiredHealthy", status.desired_healthy),
        ("disruptionsAllowed", status.disruptions_allowed),
        ("expectedPods", status.expected_pods),
    ] {
        all.insert(name.to_owned(), number.into());
    }
    all
}

/// `conditions` of a workload.
pub(super) fn conditions(view: ClusterView<'_>, all: &[WorkloadCondition]) -> Value {
    let items = all.iter().map(|one| {
        Value::Object(fields([
            ("lastTransitionTime", time(view, one.last_transition)),
            ("message", Value::from(&*one.message)),
            ("reason", one.reason.into()),
            ("status", one.status.as_str().into()),
            ("type", one.kind.into()),
        ]))
    });
    items.collect()
}

fn deployment(view: ClusterView<'_>, deployment: &Deployment) -> Map<String, Value> {
    let status = &deployment.status;
    let mut items = conditions(view, &status.conditions);
    for (one, condition) in items.as_array_mut().into_iter().flatten().zip(&status.conditions) {
        one["lastUpdateTime"] = time(view, condition.last_update);
    }
    fields([
        ("availableReplicas", status.available_replicas.into()),
        ("conditions", items),
        ("observedGeneration", status.observed_generation.into()),
        ("readyReplicas", status.ready_replicas.into()),
        ("replicas", status.replicas.into()),
        ("terminatingReplicas", status.terminating_replicas.into()),
        ("unavailableReplicas", status.unavailable_replicas.into()),
        ("updatedReplicas", status.updated_replicas.into()),
    ])
}

fn stateful_set(set: &StatefulSet) -> Map<String, Value> {
    let status = &set.status;
    let revision = |hash: &Option<cluster::Name>| {
        hash.as_ref().map_or(Value::Null, |hash| format!("{}-{hash}", set.meta.name()).into())
    };
    let mut all = fields([
        ("currentReplicas", status.current_replicas.into()),
        ("currentRevision", revision(&status.current_revision)),
        ("observedGeneration", status.observed_generation.into()),
        ("readyReplicas", status.ready_replicas.into()),
        ("updateRevision", revision(&status.update_revision)),
        ("updatedReplicas", status.updated_replicas.into()),
    ]);
    all.insert("availableReplicas".to_owned(), status.available_replicas.into());
    all.insert("replicas".to_owned(), status.replicas.into());
    all
}

fn job(view: ClusterView<'_>, job: &Job) -> Map<String, Value> {
    let status = &job.status;
    let at = |instant: Option<_>| instant.map_or(Value::Null, |at| time(view, at));
    let indexes = status.completed_indexes.to_string();
    fields([
        ("active", status.active.into()),
        ("completedIndexes", if indexes.is_empty() { Value::Null } else { indexes.into() }),
        ("completionTime", at(status.completion_time)),
        ("conditions", conditions(view, &status.conditions)),
        ("failed", status.failed.into()),
        ("ready", status.ready.into()),
        ("startTime", at(status.start_time)),
        ("succeeded", status.succeeded.into()),
        ("terminating", status.terminating.into()),
    ])
}

fn hpa(view: ClusterView<'_>, hpa: &HpaObject) -> Map<String, Value> {
    let status = &hpa.status;
    let items = status.conditions.iter().map(|one| {
        json!({
            "lastTransitionTime": time(view, one.last_transition_time),
            "message": one.message(),
            "reason": one.reason.as_str(),
            "status": one.status.as_str(),
            "type": one.kind.as_str(),
        })
    });
    let metrics = status.current_metrics.iter().flatten().zip(&hpa.spec.metrics);
    let metrics = metrics.map(|(one, spec)| {
        let mut items = manifest::written_metric(spec);
        let field =
            items.as_object().and_then(|all| all.keys().find(|name| *name != "type").cloned());
        if let Some(field) = field {
            items[&field].as_object_mut().map(|source| source.shift_remove("target"));
            items[&field]["current"] = current(one);
        }
        items
    });
    let mut all = fields([
        ("conditions", items.collect()),
        ("currentMetrics", metrics.collect()),
        ("currentReplicas", status.current_replicas.into()),
        ("lastScaleTime", status.last_scale_time.map_or(Value::Null, |at| time(view, at))),
    ]);
    all.insert("desiredReplicas".to_owned(), status.desired_replicas.into());
    all
}

fn current(metric: &MetricStatus) -> Value {
    let amount = |milli: i64| Quantity::from_milli(milli).to_string();
    match metric.current {
        MetricValue::Utilization { percent, average_milli } => {
            json!({ "averageUtilization": percent, "averageValue": amount(average_milli) })
        }
        MetricValue::AverageValueMilli(milli) => json!({ "averageValue": amount(milli) }),
        MetricValue::ValueMilli(milli) => json!({ "value": amount(milli) }),
    }
}

fn vpa(vpa: &VpaObject) -> Map<String, Value> {
    if vpa.recommendation.is_empty() {
        return Map::new();
    }
    let list = |one: &Amounts| -> Map<String, Value> {
        let items = |(resource, amount): (Resource, Quantity)| {
            (resource.as_str().to_owned(), amount.to_string().into())
        };
        one.iter().map(items).collect()
    };
    let items = vpa.recommendation.iter().map(|one| {
        json!({
            "containerName": &*one.container,
            "lowerBound": list(&one.lower_bound),
            "target": list(&one.target),
            "uncappedTarget": list(&one.uncapped_target),
            "upperBound": list(&one.upper_bound),
        })
    });
    fields([("recommendation", json!({ "containerRecommendations": items.collect::<Value>() }))])
}

fn node(view: ClusterView<'_>, node: &Node) -> Map<String, Value> {
    let pressures = NODE_CONDITIONS.iter().zip(node.health.conditions);
    let mut items: Vec<Value> = pressures
        .map(|((kind, _), status)| json!({ "status": status.as_str(), "type": kind }))
        .collect();
    if let Some(reason) = node.ready_reason() {
        items.push(json!({
            "lastTransitionTime": time(view, node.ready.since),
            "reason": reason,
            "status": node.ready.status.as_str(),
            "type": "Ready",
        }));
    }
    let addresses = json!([
        { "address": node_ip(node), "type": "InternalIP" },
        { "address": &**node.meta.name(), "type": "Hostname" },
    ]);
    fields([("addresses", addresses), ("conditions", items.into())])
}
