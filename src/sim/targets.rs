//! Selects the pods and nodes that a fault or a user's action applies to.

use std::cmp::Reverse;

use super::draining::pods_to_drain;
use super::environment::Environment;
use cluster::node::{NodeId, ZONE_LABEL};
use cluster::pod::{Pod, PodId};
use cluster::{ClusterView, Kind, Name, ObjectReference, Store};
use engine::{Digest, SimTime, Stream, Streams, random};
use faults::TimelineAction;
use record::workload_of;

/// The pods of a workload that are active and have a node.
pub(super) fn running_pods(view: ClusterView<'_>, workload: &ObjectReference) -> Vec<PodId> {
    let pods = view.pods().iter().filter(|(_, pod)| pod.is_active() && pod.node.is_some());
    let is_it = |pod: &Pod| workload.kind == Kind::Pod && pod.id == workload.id;
    let own = pods.filter(|(_, pod)| is_it(pod) || workload_of(view, pod) == *workload);
    own.map(|(id, _)| id).collect()
}

/// All pods that are active and have a node.
pub(super) fn all_running_pods(view: ClusterView<'_>) -> Vec<PodId> {
    let pods = view.pods().iter().filter(|(_, pod)| pod.is_active() && pod.node.is_some());
    pods.map(|(id, _)| id).collect()
}

/// A random choice of this many of a workload's pods; absent = all. If there are none, that is logged.
pub(super) fn drawn_pods(
    env: &mut Environment,
    workload: &ObjectReference,
    count: Option<u32>,
    mut stream: Stream,
) -> Vec<PodId> {
    let mut pods = running_pods(env.view(), workload);
    if pods.is_empty() {
        env.not_found(workload);
    }
    let count = count.map_or(usize::MAX, |count| count as usize).min(pods.len());
    let mut drawn = Vec::new();
    for _ in 0..count {
        drawn.push(pods.swap_remove(random::index_below(&mut stream, pods.len())));
    }
    drawn
}

/// Identifies an action on the cluster: by its time, its content, and the number of equal actions before it at that
/// instant. Random draws for the action depend on nothing else, so that another timeline entry does not change
/// those of the others, and an interactive action draws the same as a timeline entry would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(pub(super) u64);

impl Identity {
    pub(super) fn of<'a>(
        at: SimTime,
        action: &TimelineAction,
        before: impl Iterator<Item = &'a TimelineAction>,
    ) -> Self {
        let mut digest = Digest::default();
        digest.word(at.as_nanos().unsigned_abs());
        digest.bytes(&serde_json::to_vec(action).unwrap_or_default());
        digest.word(before.filter(|other| *other == action).count() as u64);
        Self(digest.value())
    }
}

/// The random stream of an action.
pub(super) fn stream_of(env: &Environment, purpose: &str, identity: Identity) -> Stream {
    Streams::new(env.world.seed).stream(purpose, identity.0)
}

/// The nodes of a pool; without one, of all pools.
pub(super) fn nodes_of(store: &Store, pool: Option<&Name>) -> Vec<NodeId> {
    let nodes = store.nodes().iter();
    let own = nodes.filter(|(_, node)| pool.is_none_or(|pool| node.pool == *pool));
    own.map(|(id, _)| id).collect()
}

/// The node of a pool with the most pods that are no DaemonSet's, of those that work; of several the first by name.
pub(super) fn busiest_node(store: &Store, pool: &Name) -> Option<NodeId> {
    let order = |node: &NodeId| {
        (pods_to_drain(store, *node).count(), Reverse(store.nodes()[*node].meta.name()))
    };
    let works = |node: &NodeId| store.nodes()[*node].health.lease.silent_since.is_none();
    nodes_of(store, Some(pool)).into_iter().filter(works).max_by_key(order)
}

/// The nodes of a zone.
pub(super) fn nodes_in_zone(store: &Store, zone: &str) -> Vec<NodeId> {
    let nodes = store.nodes().iter();
    let in_zone = nodes
        .filter(|(_, node)| node.meta.labels.get(ZONE_LABEL).is_some_and(|value| **value == *zone));
    in_zone.map(|(id, _)| id).collect()
}
