//! What happened in a replayed case, in the form of the golden data.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::sections;
use super::seen;
use super::world::World;
use cluster::deployment::WorkloadCondition;
use engine::{SimDuration, SimTime};

/// Timeline and pod events of a replay.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// Settled states, one for each instant at which something changed.
    pub(super) timeline: Vec<Value>,
    /// `[t, event, owner, ordinal, extra]`.
    pub(super) pods: Vec<Value>,
    /// What became of requests of which the recording tells.
    pub(super) results: Vec<Value>,
    /// `[t, node, Ready status, reason, taints]`.
    pub(super) node_events: Vec<Value>,
    last: Value,
}

impl Trace {
    /// Notes what happened to a pod.
    pub(super) fn pod_event(
        &mut self,
        now: SimTime,
        event: &str,
        owner: &str,
        ordinal: usize,
        extra: &Value,
    ) {
        self.pods.push(json!([rounded(now), event, owner, ordinal, extra]));
    }

    /// Notes another status of a pod. What a component writes in several steps at one instant is
    /// one status, unless something else happens between.
    pub(super) fn pod_status(&mut self, now: SimTime, owner: &str, ordinal: usize, status: &str) {
        let event = json!([rounded(now), "status", owner, ordinal, status]);
        match self.pods.last_mut() {
            Some(last) if (0..4).all(|field| last[field] == event[field]) => *last = event,
            _ => self.pods.push(event),
        }
    }

    /// Notes another state of a node.
    pub(super) fn node_event(&mut self, now: SimTime, mut state: Value) {
        if let Some(fields) = state.as_array_mut() {
            fields.insert(0, json!(rounded(now)));
        }
        self.node_events.push(state);
    }

    /// Notes a creation of a pod that the API server accepted or refused: one entry for each instant.
    pub(super) fn creation(&mut self, now: SimTime, is_accepted: bool) {
        let time = json!(now.as_secs_f64());
        if self.results.last().is_none_or(|last| last[0] != time) {
            self.results.push(json!([time, 0, 0]));
        }
        if let Some(last) = self.results.last_mut() {
            let count = &mut last[if is_accepted { 1 } else { 2 }];
            *count = json!(count.as_u64().unwrap_or(0) + 1);
        }
    }

    /// Notes the state at the end of an instant, if it is another one than before.
    pub(super) fn settled(&mut self, now: SimTime, state: Map<String, Value>) {
        let state = Value::Object(state);
        if state == self.last || (self.last.is_null() && state == json!({})) {
            return;
        }
        let mut record = state.clone();
        record["t"] = json!(rounded(now));
        self.last = state;
        // Passes of loops take moments: what falls into one tenth is one record.
        match self.timeline.last_mut() {
            Some(last) if last["t"] == record["t"] => *last = record,
            _ => self.timeline.push(record),
        }
    }
}

/// Seconds, rounded down to tenths when within 50 ms above one: hides retries after conflicts.
pub(super) fn rounded(time: SimTime) -> f64 {
    let tenth = SimDuration::from_millis(100).as_nanos();
    let above = time.as_nanos().rem_euclid(tenth);
    if above <= SimDuration::from_millis(50).as_nanos() {
        (time - SimDuration::from_nanos(above)).as_secs_f64()
    } else {
        time.as_secs_f64()
    }
}

/// The state of all objects, in the shape of a timeline record.
pub(super) fn state_of(world: &World<'_>) -> Map<String, Value> {
    let mut state = Map::new();
    let nodes = if world.case.class == "node" { nodes(world) } else { Value::Null };
    let sections = [
        ("deployment", deployments(world)),
        ("rs", replica_sets(world)),
        ("pdb", disruption_budgets(world)),
        ("statefulset", sections::stateful_sets(world)),
        ("daemonset", sections::daemon_sets(world)),
        ("job", sections::jobs(world)),
        ("cronjob", sections::cron_jobs(world)),
        ("nodes", nodes),
    ];
    for (section, value) in sections {
        if value.as_object().is_some_and(|map| !map.is_empty())
            || value.as_array().is_some_and(|list| !list.is_empty())
        {
            state.insert(section.to_owned(), value);
        }
    }
    state
}

/// How many nodes are in each state.
fn nodes(world: &World<'_>) -> Value {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for node in world.plane.store().nodes().values() {
        let status = node.ready_reason().map_or("", |_| node.ready.status.as_str());
        *all.entry(format!("{status}|{}", seen::taints(node).join(","))).or_default() += 1;
    }
    json!(all)
}

fn deployments(world: &World<'_>) -> Value {
    let mut all = Map::new();
    for deployment in world.plane.store().deployments().values() {
        let status = &deployment.status;
        let mut entry = json!({
            "spec": deployment.spec.replicas,
            "gen": deployment.generation,
            "observed": status.observed_generation,
            "replicas": status.replicas,
            "updated": status.updated_replicas,
            "ready": status.ready_replicas,
            "available": status.available_replicas,
            "unavailable": status.unavailable_replicas,
            "terminating": status.terminating_replicas,
            "cond": conditions(&status.conditions),
        });
        if deployment.spec.paused {
            entry["paused"] = json!(true);
        }
        all.insert(deployment.meta.name().to_string(), entry);
    }
    Value::Object(all)
}

fn replica_sets(world: &World<'_>) -> Value {
    let store = world.plane.store();
    let mut all = Vec::new();
    for (id, name) in &world.replica_sets {
        let Some(set) = store.replica_sets().get(*id) else { continue };
        let image = &store.templates()[set.template].spec.containers[0].image;
        let mut entry = json!({
            "rs": name,
            "image": image.as_ref(),
            "revision": set.revision.to_string(),
            "spec": set.replicas,
            "replicas": set.status.replicas,
            "ready": set.status.ready_replicas,
            "available": set.status.available_replicas,
            "terminating": set.status.terminating_replicas,
        });
        if !set.status.conditions.is_empty() {
            entry["cond"] = conditions(&set.status.conditions);
        }
        all.push(entry);
    }
    all.sort_by_key(|entry| entry["rs"].as_str().unwrap_or_default().to_owned());
    Value::Array(all)
}

fn disruption_budgets(world: &World<'_>) -> Value {
    let mut all = Map::new();
    for budget in world.plane.store().disruption_budgets().values() {
        let status = &budget.status;
        let entry = json!({
            "currentHealthy": status.current_healthy,
            "desiredHealthy": status.desired_healthy,
            "expectedPods": status.expected_pods,
            "disruptionsAllowed": status.disruptions_allowed,
            "disruptedPods": status.disrupted_pods.len(),
            "cond": conditions(&status.conditions),
        });
        all.insert(budget.meta.name().to_string(), entry);
    }
    Value::Object(all)
}

/// `[type, status, reason]` of each condition, by type.
pub(super) fn conditions(conditions: &[WorkloadCondition]) -> Value {
    let mut all: Vec<[&str; 3]> = conditions
        .iter()
        .map(|condition| [condition.kind, condition.status.as_str(), condition.reason])
        .collect();
    all.sort_unstable();
    json!(all)
}
