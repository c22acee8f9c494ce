//! The nodes as a DaemonSet last found them. Most nodes run their pod and need nothing: a sync looks at the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::placement::{Placement, placement};
use cluster::controller_revision::Revision;
use cluster::daemon_set::{DaemonSet, DaemonSetId, target_node};
use cluster::node::NodeId;
use cluster::pod::{Owner, Pod, PodId};
use cluster::pod_template::PodTemplate;
use cluster::{ClusterView, Name};

/// All nodes, evaluated for the pods of a set's revision.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    /// The store's revision of the nodes.
    nodes_revision: u64,
    /// The hash of the set's revision.
    hash: Name,
    /// `metadata.generation` of the set.
    generation: i64,
    /// The pod template of that revision, before a node is assigned.
    pub(super) template: Arc<PodTemplate>,
    /// Ordered by name.
    entries: Vec<RosterEntry>,
}

#[derive(Clone, Debug)]
struct RosterEntry {
    node: NodeId,
    resource_version: u64,
    placement: Placement,
    /// The revision of the pods on the node when it was found to be settled: it should run a pod, and runs a single one
    /// that is available and of the current revision.
    settled: Option<u64>,
}

/// The nodes that a sync has to look at, and the pods of the set that are not on a node.
#[derive(Debug, Default)]
pub(super) struct Unsettled<'a> {
    /// Ordered by name.
    pub(super) nodes: Vec<(NodeId, Placement)>,
    /// Number of settled nodes.
    pub(super) settled: i32,
    /// The pods without a node, or on one that is gone.
    pub(super) elsewhere: Vec<(PodId, &'a Pod)>,
}

impl Roster {
    /// A roster without nodes.
    pub(super) fn new(set: &DaemonSet, latest: &Revision) -> Self {
        Self {
            nodes_revision: u64::MAX,
            hash: latest.hash.clone(),
            generation: set.meta.generation,
            template: Arc::new(set.pod_template(latest)),
            entries: Vec::new(),
        }
    }

    /// Brings it up to date with the set and the nodes.
    pub(super) fn update(&mut self, view: ClusterView<'_>, set: &DaemonSet, latest: &Revision) {
        if self.hash != latest.hash || self.generation != set.meta.generation {
            *self = Self::new(set, latest);
        }
        let revision = view.store().nodes_revision();
        if self.nodes_revision == revision {
            return;
        }
        self.nodes_revision = revision;
        let mut before = std::mem::take(&mut self.entries).into_iter().peekable();
        for (id, node) in view.store().nodes_by_name() {
            let resource_version = node.meta.resource_version;
            // Both lists are by name: those in between are gone.
            while before.next_if(|one| !view.nodes().contains(one.node)).is_some() {}
            let known = before.next_if(|one| one.node == id);
            let known = known.filter(|one| one.resource_version == resource_version);
            self.entries.push(known.unwrap_or_else(|| RosterEntry {
                node: id,
                resource_version,
                placement: placement(&self.template, node),
                settled: None,
            }));
        }
    }

    /// The nodes that are not settled; `is_settled` tells whether a pod is available and of the current revision, and
    /// stays so until it changes.
    pub(super) fn unsettled<'a>(
        &mut self,
        view: ClusterView<'a>,
        id: DaemonSetId,
        is_settled: impl Fn(&Pod) -> bool,
    ) -> Unsettled<'a> {
        let owner = Owner::DaemonSet(id);
        let store = view.store();
        let mut on_nodes = 0;
        for one in &mut self.entries {
            let revision = store.revision_of_pods_on(one.node);
            if one.settled == Some(revision) {
                on_nodes += 1;
                continue;
            }
            let mut own = store.pods_on(one.node).filter(|(_, pod)| pod.owner == Some(owner));
            let (first, others) = (own.next(), own.count());
            on_nodes += usize::from(first.is_some()) + others;
            let Placement { should_run, should_continue } = one.placement;
            let is_settled = should_run
                && should_continue
                && others == 0
                && first.is_some_and(|(_, pod)| {
                    !pod.phase.is_terminal() && !pod.is_terminating() && is_settled(pod)
                });
            one.settled = is_settled.then_some(revision);
        }
        let mut found = Unsettled::default();
        let mut awaited: BTreeSet<NodeId> = BTreeSet::new();
        if on_nodes < store.siblings(owner).ids().len() {
            let is_elsewhere =
                |pod: &Pod| pod.node.is_none_or(|node| !store.nodes().contains(node));
            let all = store.pods_of(owner);
            found.elsewhere.extend(all.filter(|(_, pod)| is_elsewhere(pod)));
            let targets = found
                .elsewhere
                .iter()
                .filter_map(|(_, pod)| store.node_named(target_node(store.template_of(pod))?));
            awaited.extend(targets);
        }
        for one in &self.entries {
            if one.settled.is_some() && !awaited.contains(&one.node) {
                found.settled += 1;
            } else {
                found.nodes.push((one.node, one.placement));
            }
        }
        found
    }
}
