//! The part of the API server that concerns nodes.

use super::action::Refused;
use super::change::Change;
use super::node::{ConditionStatus, Lease, Node, NodeHealth, NodeId, NodeReady};
use super::objects::ObjectId;
use super::store::Store;
use engine::{SimDuration, SimTime};

pub(super) fn add_node(
    store: &mut Store,
    now: SimTime,
    mut node: Node,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.index.nodes_by_name.contains_key(node.meta.name()) {
        return Err(Refused::AlreadyExists(node.meta.id));
    }
    let sequence = store.next_sequence();
    node.meta = store.stamp(now, sequence, node.meta);
    let NodeHealth { posted, lease, .. } = &mut node.health;
    *posted = posted.map(|_| now.floor_to_second());
    lease.started = lease.started.map(|_| now);
    if lease.phase.is_none() {
        lease.phase =
            Some(now + renewal_offset(engine::digest::mix(store.uid_seed ^ node.meta.sequence)));
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

/// Offset of a kubelet's lease renewals within their period: arbitrary, since nodes start at any time.
fn renewal_offset(drawn: u64) -> SimDuration {
    let period = Lease::PERIOD.as_nanos().unsigned_abs();
    SimDuration::from_nanos(i64::try_from(drawn % period).unwrap_or(0))
}

pub(super) fn remove_node(
    store: &mut Store,
    id: NodeId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let node = store.nodes.remove(id).ok_or(Refused::NotFound)?;
    store.index.nodes_by_name.remove(node.meta.name());
    // The pods keep their (now dangling) node id until pod GC removes them; a later node that takes
    // the slot must not inherit them.
    store.index.pods_by_node[id.index()].clear();
    let name = Box::new(node.meta.id);
    changes.push(Change::Removed { object: ObjectId::Node(id), name, owner: None });
    Ok(())
}

pub(super) fn update_node(
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

pub(super) fn set_node_ready(node: &mut Node, status: ConditionStatus, now: SimTime) -> bool {
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

/// Posts another condition of a node, by its place in `NODE_CONDITIONS`.
pub(super) fn set_condition(
    node: &mut Node,
    condition: usize,
    status: ConditionStatus,
    now: SimTime,
) -> bool {
    let NodeHealth { conditions, conditions_since, .. } = &mut node.health;
    let slot = conditions.get_mut(condition).zip(conditions_since.get_mut(condition));
    slot.is_some_and(|(slot, since)| {
        let changes = std::mem::replace(slot, status) != status;
        if changes {
            *since = Some(now.floor_to_second());
        }
        changes
    })
}

/// Silences the kubelet of a node, or lets it renew its lease at once.
pub(super) fn set_silent(node: &mut Node, is_silent: bool, now: SimTime) -> bool {
    let lease = &mut node.health.lease;
    let is_new = lease.silent_since.is_some() != is_silent;
    if is_new {
        lease.silent_since = is_silent.then_some(now);
        if !is_silent {
            lease.started = Some(now);
        }
    }
    is_new
}
