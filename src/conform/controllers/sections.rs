//! The state of StatefulSets, DaemonSets, Jobs and CronJobs in the shape of the golden data.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::trace::conditions;
use super::world::World;
use cluster::job::JobStatus;
use cluster::stateful_set::StatefulSetUpdate;
use engine::SimTime;

pub(super) fn stateful_sets(world: &World<'_>) -> Value {
    let mut all = Map::new();
    for set in world.plane.store().stateful_sets().values() {
        let status = &set.status;
        let mut entry = json!({
            "spec": set.spec.replicas,
            "replicas": status.replicas,
            "ready": status.ready_replicas,
            "available": status.available_replicas,
            "current": status.current_replicas,
            "updated": status.updated_replicas,
            "rollingDone": status.current_revision == status.update_revision,
        });
        if let StatefulSetUpdate::RollingUpdate { partition } = set.spec.update {
            entry["partition"] = json!(partition);
        }
        all.insert(set.meta.name().to_string(), entry);
    }
    Value::Object(all)
}

pub(super) fn daemon_sets(world: &World<'_>) -> Value {
    let mut all = Map::new();
    for set in world.plane.store().daemon_sets().values() {
        let status = &set.status;
        let entry = json!({
            "desired": status.desired_number_scheduled,
            "current": status.current_number_scheduled,
            "misscheduled": status.number_misscheduled,
            "ready": status.number_ready,
            "updated": status.updated_number_scheduled,
            "available": status.number_available,
            "unavailable": status.number_unavailable,
        });
        all.insert(set.meta.name().to_string(), entry);
    }
    Value::Object(all)
}

pub(super) fn jobs(world: &World<'_>) -> Value {
    let mut all = Map::new();
    for job in world.plane.store().jobs().values() {
        let mut entry = job_status(&job.status);
        if job.spec.suspend {
            entry["suspend"] = json!(true);
        }
        all.insert(job.meta.name().to_string(), entry);
    }
    Value::Object(all)
}

fn job_status(status: &JobStatus) -> Value {
    let mut entry = json!({
        "active": status.active,
        "ready": status.ready,
        "terminating": status.terminating,
        "succeeded": status.succeeded,
        "failed": status.failed,
        "cond": conditions(&status.conditions),
    });
    for (field, time) in
        [("startTime", status.start_time), ("completionTime", status.completion_time)]
    {
        if let Some(time) = time {
            entry[field] = json!((time - SimTime::ZERO).as_secs());
        }
    }
    if status.completed_indexes.total() > 0 {
        entry["completedIndexes"] = json!(status.completed_indexes.to_string());
    }
    if let Some(failed) = &status.failed_indexes {
        entry["failedIndexes"] = json!(failed.to_string());
    }
    entry
}

pub(super) fn cron_jobs(world: &World<'_>) -> Value {
    let start: Timestamp = world.case.t0.parse().unwrap_or_default();
    let calendar = |time: SimTime| {
        let at = start + SignedDuration::from_secs((time - SimTime::ZERO).as_secs());
        json!(at.to_string())
    };
    let mut all = Map::new();
    for cron_job in world.plane.store().cron_jobs().values() {
        let status = &cron_job.status;
        let mut entry = json!({ "active": status.active.len() });
        if let Some(time) = status.last_schedule_time {
            entry["lastSchedule"] = calendar(time);
        }
        if let Some(time) = status.last_successful_time {
            entry["lastSuccessful"] = calendar(time);
        }
        if cron_job.spec.suspend {
            entry["suspend"] = json!(true);
        }
        all.insert(cron_job.meta.name().to_string(), entry);
    }
    Value::Object(all)
}
