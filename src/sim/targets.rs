//! The pods and nodes that a fault or a user is about.

use super::environment::Environment;
use cluster::node::{NodeId, ZONE_LABEL};
use cluster::pod::{Pod, PodId};
use cluster::{ClusterView, Kind, Name, ObjectReference, Store};
use engine::{Stream, Streams, random};
use record::workload_of;

/// The pods of a workload that run and are not on their way out.
pub(super) fn running_pods(view: ClusterView<'_>, workload: &ObjectReference) -> Vec<PodId> {
    let pods = view.pods().iter().filter(|(_, pod)| pod.is_active() && pod.node.is_some());
    let is_it = |pod: &Pod| workload.kind == Kind::Pod && pod.id == workload.id;
    let own = pods.filter(|(_, pod)| is_it(pod) || workload_of(view, pod) == *workload);
    own.map(|(id, _)| id).collect()
}

/// As many of a workload's pods, drawn; absent = all. That there are none is logged.
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

/// The random stream of an entry of the timeline.
pub(super) fn stream_of(env: &Environment, purpose: &str, entry: u32) -> Stream {
    Streams::new(env.world.seed).stream(purpose, entry.into())
}

/// The nodes of a pool; of all pools where none is named.
pub(super) fn nodes_of(store: &Store, pool: Option<&Name>) -> Vec<NodeId> {
    let nodes = store.nodes().iter();
    let own = nodes.filter(|(_, node)| pool.is_none_or(|pool| node.pool == *pool));
    own.map(|(id, _)| id).collect()
}

/// The nodes of a zone.
pub(super) fn nodes_in_zone(store: &Store, zone: &str) -> Vec<NodeId> {
    let nodes = store.nodes().iter();
    let in_zone = nodes
        .filter(|(_, node)| node.meta.labels.get(ZONE_LABEL).is_some_and(|value| **value == *zone));
    in_zone.map(|(id, _)| id).collect()
}
