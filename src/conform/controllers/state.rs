//! The state of all objects in the form of a timeline record.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::observed;
use super::world::World;
use cluster::deployment::WorkloadCondition;
use cluster::stateful_set::StatefulSetUpdate;
use cluster::{ObjectMeta, Store};
use engine::SimTime;

/// All sections that are not empty.
pub(super) fn state_of(world: &World<'_>) -> Map<String, Value> {
    let store = world.plane.store();
    let nodes = if world.case.class == "node" { nodes(store) } else { Value::Null };
    let sections = [
        ("deployment", deployments(store)),
        ("rs", replica_sets(world)),
        ("pdb", disruption_budgets(store)),
        ("statefulset", stateful_sets(store)),
        ("daemonset", daemon_sets(store)),
        ("job", jobs(store)),
        ("cronjob", cron_jobs(world)),
        ("nodes", nodes),
    ];
    let is_empty = |value: &Value| [Value::Null, json!({}), json!([])].contains(value);
    let told = sections.into_iter().filter(|(_, value)| !is_empty(value));
    told.map(|(section, value)| (section.to_owned(), value)).collect()
}

/// Objects by name, without null fields.
fn by_name<'a>(objects: impl Iterator<Item = (&'a ObjectMeta, Value)>) -> Value {
    let told = objects.map(|(meta, value)| (meta.name().to_string(), without_nulls(value)));
    Value::Object(told.collect())
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, field| !field.is_null());
    }
    value
}

/// Number of nodes in each state.
fn nodes(store: &Store) -> Value {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for node in store.nodes().values() {
        let status = node.ready_reason().map_or("", |_| node.ready.status.as_str());
        *all.entry(format!("{status}|{}", observed::taints(node).join(","))).or_default() += 1;
    }
    json!(all)
}

fn deployments(store: &Store) -> Value {
    by_name(store.deployments().values().map(|deployment| {
        let status = &deployment.status;
        let entry = json!({
            "spec": deployment.spec.replicas,
            "gen": deployment.meta.generation,
            "observed": status.observed_generation,
            "replicas": status.replicas,
            "updated": status.updated_replicas,
            "ready": status.ready_replicas,
            "available": status.available_replicas,
            "unavailable": status.unavailable_replicas,
            "terminating": status.terminating_replicas,
            "cond": conditions(&status.conditions),
            "paused": deployment.spec.paused.then_some(true),
        });
        (&deployment.meta, entry)
    }))
}

fn replica_sets(world: &World<'_>) -> Value {
    let store = world.plane.store();
    let entry = |(name, id): (&String, _)| {
        let set = store.replica_sets().get(id)?;
        let image = &store.templates()[set.template].spec.containers[0].image;
        let has_conditions = !set.status.conditions.is_empty();
        Some(without_nulls(json!({
            "rs": name,
            "image": **image,
            "revision": set.revision.to_string(),
            "spec": set.replicas,
            "replicas": set.status.replicas,
            "ready": set.status.ready_replicas,
            "available": set.status.available_replicas,
            "terminating": set.status.terminating_replicas,
            "cond": has_conditions.then(|| conditions(&set.status.conditions)),
        })))
    };
    let by_name: BTreeMap<_, _> = world.replica_sets.iter().map(|(id, name)| (name, *id)).collect();
    by_name.into_iter().filter_map(entry).collect()
}

fn disruption_budgets(store: &Store) -> Value {
    by_name(store.disruption_budgets().values().map(|budget| {
        let status = &budget.status;
        let entry = json!({
            "currentHealthy": status.current_healthy,
            "desiredHealthy": status.desired_healthy,
            "expectedPods": status.expected_pods,
            "disruptionsAllowed": status.disruptions_allowed,
            "disruptedPods": status.disrupted_pods.len(),
            "cond": conditions(&status.conditions),
        });
        (&budget.meta, entry)
    }))
}

fn stateful_sets(store: &Store) -> Value {
    by_name(store.stateful_sets().values().map(|set| {
        let status = &set.status;
        let partition = match set.spec.update {
            StatefulSetUpdate::RollingUpdate { partition } => Some(partition),
            StatefulSetUpdate::OnDelete => None,
        };
        let entry = json!({
            "spec": set.spec.replicas,
            "replicas": status.replicas,
            "ready": status.ready_replicas,
            "available": status.available_replicas,
            "current": status.current_replicas,
            "updated": status.updated_replicas,
            "rollingDone": status.current_revision == status.update_revision,
            "partition": partition,
        });
        (&set.meta, entry)
    }))
}

fn daemon_sets(store: &Store) -> Value {
    by_name(store.daemon_sets().values().map(|set| {
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
        (&set.meta, entry)
    }))
}

fn jobs(store: &Store) -> Value {
    by_name(store.jobs().values().map(|job| {
        let status = &job.status;
        let seconds = |time: Option<SimTime>| time.map(|time| (time - SimTime::ZERO).as_secs());
        let completed = &status.completed_indexes;
        let entry = json!({
            "active": status.active,
            "ready": status.ready,
            "terminating": status.terminating,
            "succeeded": status.succeeded,
            "failed": status.failed,
            "cond": conditions(&status.conditions),
            "startTime": seconds(status.start_time),
            "completionTime": seconds(status.completion_time),
            "completedIndexes": (completed.total() > 0).then(|| completed.to_string()),
            "failedIndexes": status.failed_indexes.as_ref().map(ToString::to_string),
            "suspend": job.spec.suspend.then_some(true),
        });
        (&job.meta, entry)
    }))
}

fn cron_jobs(world: &World<'_>) -> Value {
    let start = world.case.start().unwrap_or_default();
    let calendar = |time: Option<SimTime>| {
        let since = time.map(|time| SignedDuration::from_secs((time - SimTime::ZERO).as_secs()));
        since.map(|since| (start + since).to_string())
    };
    by_name(world.plane.store().cron_jobs().values().map(|cron_job| {
        let status = &cron_job.status;
        let entry = json!({
            "active": status.active.len(),
            "lastSchedule": calendar(status.last_schedule_time),
            "lastSuccessful": calendar(status.last_successful_time),
            "suspend": cron_job.spec.suspend.then_some(true),
        });
        (&cron_job.meta, entry)
    }))
}

/// `[type, status, reason]` of each condition, by type.
fn conditions(conditions: &[WorkloadCondition]) -> Value {
    let mut all: Vec<[&str; 3]> = conditions
        .iter()
        .map(|condition| [condition.kind, condition.status.as_str(), condition.reason])
        .collect();
    all.sort_unstable();
    json!(all)
}
