//! `kubectl get -o json` of workloads other than Deployments, and of what they refer to.

use serde_json::{Map, Value, json};

use super::get::{Scope, label_text};
use super::object::{conditions, containers, metadata, seconds};
use super::rows::job_status;
use cluster::ClusterView;
use cluster::claim::AccessMode;
use cluster::pod_template::ReferenceKind;

pub(super) fn stateful_sets(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().stateful_sets().values().filter(|one| scope.has_name(&one.meta.id));
    let told = chosen.map(|set| {
        let (spec, status) = (&set.spec, &set.status);
        json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": metadata(&set.meta),
            "spec": {
                "replicas": spec.replicas,
                "podManagementPolicy": if spec.is_parallel { "Parallel" } else { "OrderedReady" },
                "selector": label_text(&spec.selector),
                "template": containers(&spec.template),
            },
            "status": {
                "replicas": status.replicas,
                "readyReplicas": status.ready_replicas,
                "availableReplicas": status.available_replicas,
                "currentReplicas": status.current_replicas,
                "updatedReplicas": status.updated_replicas,
                "currentRevision": status.current_revision.as_deref(),
                "updateRevision": status.update_revision.as_deref(),
            },
        })
    });
    told.collect()
}

pub(super) fn daemon_sets(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().daemon_sets().values().filter(|one| scope.has_name(&one.meta.id));
    let told = chosen.map(|set| {
        let status = &set.status;
        json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": metadata(&set.meta),
            "spec": {
                "selector": label_text(&set.spec.selector),
                "template": containers(&set.spec.template),
            },
            "status": {
                "desiredNumberScheduled": status.desired_number_scheduled,
                "currentNumberScheduled": status.current_number_scheduled,
                "numberReady": status.number_ready,
                "updatedNumberScheduled": status.updated_number_scheduled,
                "numberAvailable": status.number_available,
                "numberUnavailable": status.number_unavailable,
                "numberMisscheduled": status.number_misscheduled,
            },
        })
    });
    told.collect()
}

pub(super) fn jobs(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().jobs().values().filter(|one| scope.has_name(&one.meta.id));
    let told = chosen.map(|job| {
        let (spec, status) = (&job.spec, &job.status);
        let owner = job.owner.and_then(|owner| view.cron_jobs().get(owner));
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata(&job.meta),
            "owner": owner.map(|owner| format!("CronJob/{}", owner.meta.name())),
            "spec": {
                "parallelism": spec.parallelism,
                "completions": spec.completions,
                "completionMode": if spec.is_indexed { "Indexed" } else { "NonIndexed" },
                "backoffLimit": spec.backoff_limit,
                "suspend": spec.suspend,
                "template": containers(&spec.template),
            },
            "status": {
                "shown": job_status(job),
                "startAtSeconds": status.start_time.map(seconds),
                "completionAtSeconds": status.completion_time.map(seconds),
                "active": status.active,
                "ready": status.ready,
                "succeeded": status.succeeded,
                "failed": status.failed,
                "conditions": conditions(&status.conditions),
            },
        })
    });
    told.collect()
}

pub(super) fn cron_jobs(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().cron_jobs().values().filter(|one| scope.has_name(&one.meta.id));
    let told = chosen.map(|cron_job| {
        let (spec, status) = (&cron_job.spec, &cron_job.status);
        let active = status.active.iter().filter_map(|job| view.jobs().get(*job));
        let active: Vec<&str> = active.map(|job| &**job.meta.name()).collect();
        json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": metadata(&cron_job.meta),
            "spec": {
                "schedule": spec.schedule.to_string(),
                "timeZone": spec.time_zone.as_deref(),
                "concurrencyPolicy": format!("{:?}", spec.concurrency_policy),
                "suspend": spec.suspend,
                "template": containers(&spec.job_template.spec.template),
            },
            "status": {
                "active": active,
                "lastScheduleAtSeconds": status.last_schedule_time.map(seconds),
                "lastSuccessfulAtSeconds": status.last_successful_time.map(seconds),
            },
        })
    });
    told.collect()
}

pub(super) fn configs(view: ClusterView<'_>, scope: &Scope, kind: ReferenceKind) -> Vec<Value> {
    let chosen = view.store().configs().filter(|(of, id, _)| *of == kind && scope.has_name(id));
    let told = chosen.map(|(_, id, config)| {
        let mut object = json!({
            "apiVersion": "v1",
            "kind": match kind {
                ReferenceKind::ConfigMap => "ConfigMap",
                _ => "Secret",
            },
            "metadata": {
                "name": &*id.name,
                "namespace": &*id.namespace,
                "createdAtSeconds": seconds(config.created),
            },
        });
        if kind == ReferenceKind::Secret {
            object["type"] = (&*config.content.secret_type).into();
        }
        object["keys"] = config.content.keys.iter().map(|key| Value::from(&**key)).collect();
        object
    });
    told.collect()
}

pub(super) fn claims(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().claims().filter(|(id, _)| scope.has_name(id));
    let told = chosen.map(|(id, claim)| {
        let spec = &claim.spec;
        let modes = AccessMode::NAMED.iter().filter(|(_, mode)| spec.access_modes.contains(mode));
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": &*id.name,
                "namespace": &*id.namespace,
                "createdAtSeconds": seconds(claim.created),
            },
            "spec": {
                "accessModes": modes.map(|(name, _)| *name).collect::<Vec<_>>(),
                "storage": spec.storage().map(|storage| storage.to_string()),
                "storageClassName": spec.storage_class.as_deref(),
            },
            "status": { "phase": claim.status(), "zone": claim.zone().map(|zone| &**zone) },
        })
    });
    told.collect()
}

pub(super) fn quotas(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let chosen = view.store().quotas().iter().filter(|(id, _)| scope.has_name(id));
    let told = chosen.map(|(_, quota)| {
        let used = view.store().quota_used(quota);
        let map = |amount: &dyn Fn(&cluster::quota::QuotaUse) -> String| {
            let pairs = used.iter().map(|one| (one.resource.to_string(), amount(one).into()));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        json!({
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": metadata(&quota.meta),
            "status": {
                "hard": map(&|one| one.hard.to_string()),
                "used": map(&|one| one.used.to_string()),
            },
        })
    });
    told.collect()
}

pub(super) fn namespaces(view: ClusterView<'_>, scope: &Scope) -> Vec<Value> {
    let named =
        |name: &cluster::Name| scope.has_name(&cluster::NamespacedName::new("", name.clone()));
    let chosen = view.store().namespaces().values().filter(|one| named(&one.name));
    let told = chosen.map(|one| {
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": &*one.name},
            "status": {"phase": "Active"},
        })
    });
    told.collect()
}
