//! Contention for the CPU of nodes: the nodes that may be oversubscribed, and the sharing of their CPU.

use std::collections::{BTreeMap, BTreeSet};

use super::cpu_load::CpuLoads;
use super::pod_app::{PodApp, nano, node_cpu};
use cluster::ClusterView;
use cluster::node::NodeId;
use cluster::pod::PodId;
use engine::SimTime;
use rustc_hash::FxHashMap;
use traffic::{CpuClaim, NodeCpuId, Traffic};
use units::MilliCpu;

/// The CPU of all nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeCpus {
    /// Nodes whose applications may want more CPU than the node has: the limits add up to more than its size, or an
    /// application was added or removed since the last check.
    crowded: BTreeSet<NodeId>,
    /// Nodes whose CPU is being shared out.
    shared: BTreeMap<NodeId, NodeCpuId>,
    /// The nodes of these. Looked up only, never iterated.
    node_of: FxHashMap<NodeCpuId, NodeId>,
    /// Of the nodes whose CPU is being shared out, those whose shares stay as they are until this time, unless
    /// something changes there.
    held: BTreeMap<NodeId, SimTime>,
    /// The same by time, without those that are held until something changes.
    wakes: BTreeSet<(SimTime, NodeId)>,
    claims: NodeClaims,
    /// True once any application has taken requests.
    have_served: bool,
}

/// One node in this many is checked in a second.
const CHECKED_EACH: usize = 4;

/// Result of sharing out the CPU of one node.
pub(super) struct Grants {
    /// The applications that want CPU, each with the fraction (0 to 1) of its own demand that it gets.
    pub(super) own: Vec<(PodId, f64)>,
}

impl NodeCpus {
    /// Adds to the CPU that the applications of a node can use at most (billionths of a core).
    pub(super) fn claim(&mut self, node: Option<(NodeId, MilliCpu)>, more_nano: i64) {
        if let Some((node, size)) = node {
            self.claims.add(node, size, more_nano);
        }
    }

    /// Subtracts from the CPU that the applications of a node can use at most (billionths of a core).
    pub(super) fn release(&mut self, node: Option<NodeId>, nano: i64) {
        if let Some(node) = node {
            self.claims.remove(node, nano);
        }
    }

    /// An application on a node starts to take requests.
    pub(super) fn serves(&mut self, node: Option<NodeId>) {
        self.have_served = true;
        self.mark_for_check(node);
    }

    /// An application's own CPU demand changed. If the node has room for the most its applications can ever use,
    /// this affects nothing but the application's own requests.
    pub(super) fn own_demand_changed(&mut self, node: Option<NodeId>, takes_requests: bool) {
        if node.is_some_and(|node| takes_requests || !self.claims.fit(node)) {
            self.mark_for_check(node);
        }
        self.disturb(node);
    }

    /// Marks a node to be checked for contention.
    pub(super) fn mark_for_check(&mut self, node: Option<NodeId>) {
        self.crowded.extend(node);
        self.disturb(node);
    }

    /// An application of a node was added, started, stopped, changed or removed: what was known of the shares of its CPU
    /// no longer holds.
    pub(super) fn disturb(&mut self, node: Option<NodeId>) {
        if let Some(node) = node
            && let Some(until) = self.held.remove(&node)
        {
            self.wakes.remove(&(until, node));
            self.crowded.insert(node);
        }
    }

    /// The shares of these nodes are to be checked.
    pub(super) fn disturb_shared(&mut self, nodes: Vec<NodeCpuId>) {
        for id in nodes {
            self.disturb(self.node_of.get(&id).copied());
        }
    }

    /// The time at which the shares of any node must be checked though nothing changes.
    pub(super) fn next_wake(&self) -> Option<SimTime> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// True if the CPU rates of applications without requests can affect any other application.
    pub(super) fn can_compete(&self) -> bool {
        self.have_served || !self.claims.all_fit()
    }

    /// True if any node is to be checked.
    pub(super) fn is_any_crowded(&self) -> bool {
        !self.crowded.is_empty()
    }

    /// Takes the nodes to check at `now`, in order.
    pub(super) fn take_crowded(&mut self, now: SimTime) -> BTreeSet<NodeId> {
        while let Some((_, node)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.disturb(Some(node));
        }
        std::mem::take(&mut self.crowded)
    }

    /// Shares out the CPU of a node among its applications.
    pub(super) fn share<'a>(
        &mut self,
        view: ClusterView<'_>,
        node: NodeId,
        app_of: impl Fn(PodId) -> Option<&'a PodApp>,
        loads: &CpuLoads,
        traffic: &mut Traffic,
    ) -> Grants {
        let now = view.now;
        let (capacity, crowd) = crowd(view, node, app_of, loads);
        let is_crowded = most_wanted(&crowd, traffic) > capacity;
        let competes_within = |(app, own): &(&PodApp, f64)| *own > 0.0 && app.backend.is_some();
        let is_shared = is_crowded || crowd.iter().any(competes_within);
        let granted = if is_shared {
            let known = self.shared.get(&node).copied();
            let shares = traffic.share_cpu(now, known, capacity.max(0.0), &claims(&crowd));
            self.is_shared(now, node, shares.id, shares.hold_until);
            shares.granted
        } else {
            if let Some(id) = self.shared.remove(&node) {
                self.node_of.remove(&id);
                traffic.end_cpu_sharing(now, id);
            }
            vec![1.0; crowd.len()]
        };
        let pods = crowd.iter().map(|(app, _)| app.pod);
        Grants { own: pods.zip(granted).collect() }
    }

    /// The CPU of a node is shared out, and its shares stay as they are until a time.
    fn is_shared(&mut self, now: SimTime, node: NodeId, id: NodeCpuId, hold_until: SimTime) {
        let before = self.shared.insert(node, id);
        if before != Some(id) {
            if let Some(before) = before {
                self.node_of.remove(&before);
            }
            self.node_of.insert(id, node);
        }
        if hold_until <= now {
            self.crowded.insert(node);
            return;
        }
        self.held.insert(node, hold_until);
        if hold_until < SimTime::MAX {
            self.wakes.insert((hold_until, node));
        }
    }

    /// Whether the shares of nodes where they are held are those that [`Self::share`] would give; for debug builds.
    /// That takes as long as sharing, so each call looks at one node in [`CHECKED_EACH`].
    pub(super) fn hold<'a>(
        &self,
        view: ClusterView<'_>,
        app_of: impl Fn(PodId) -> Option<&'a PodApp>,
        loads: &CpuLoads,
        traffic: &mut Traffic,
    ) -> bool {
        let turn = usize::try_from(view.now.as_nanos() / 1_000_000_000).unwrap_or(0);
        let is_looked_at = |node: &&NodeId| (node.index() + turn).is_multiple_of(CHECKED_EACH);
        self.held.keys().filter(is_looked_at).all(|node| {
            let (capacity, crowd) = crowd(view, *node, &app_of, loads);
            let id = self.shared.get(node).copied();
            let is_crowded = most_wanted(&crowd, traffic) > capacity;
            let hold = |id| traffic.shares_hold(view.now, id, capacity.max(0.0), &claims(&crowd));
            is_crowded && id.is_some_and(hold)
        })
    }
}

/// The CPU that a node has for its applications, and those that want any, each with its own demand; in cores.
fn crowd<'a>(
    view: ClusterView<'_>,
    node: NodeId,
    app_of: impl Fn(PodId) -> Option<&'a PodApp>,
    loads: &CpuLoads,
) -> (f64, Vec<(&'a PodApp, f64)>) {
    let on_node = || view.pod_ids_on(node).filter_map(&app_of);
    let beside: f64 = on_node().map(PodApp::other_containers_cores).sum();
    let capacity = node_cpu(view, Some(node)).map_or(0.0, |cpu| cpu.as_cores() - beside);
    let crowd = on_node().map(|app| (app, app.own_demand(view.now, loads)));
    (capacity, crowd.filter(|(app, own)| app.takes_cpu(*own)).collect())
}

fn claims(crowd: &[(&PodApp, f64)]) -> Vec<CpuClaim> {
    crowd.iter().map(|(app, own)| app.claim(*own)).collect()
}

/// Upper bound of the cores that these applications may want together: the demand of requests can grow at any time,
/// whereas a change of own demand marks the node again.
fn most_wanted(crowd: &[(&PodApp, f64)], traffic: &Traffic) -> f64 {
    let most = crowd.iter().map(|(app, own)| {
        let requests = app.backend.map_or(0.0, |backend| traffic.most_cores_wanted(backend));
        (requests + own).min(app.cores)
    });
    most.sum()
}

/// The most CPU that the applications of each node can use, indexed by node slot: where this fits the node, there
/// is no contention whatever they burn.
#[derive(Clone, Debug, Default)]
struct NodeClaims(Vec<Option<NodeClaim>>);

/// Claimed CPU, in billionths of a core.
#[derive(Clone, Copy, Debug)]
struct NodeClaim {
    node: NodeId,
    capacity_nano: i64,
    claimed_nano: i64,
}

impl NodeClaims {
    /// Adds to the most that the applications of a node of this size can use.
    fn add(&mut self, node: NodeId, size: MilliCpu, more_nano: i64) {
        if self.0.len() <= node.index() {
            self.0.resize(node.index() + 1, None);
        }
        let slot = &mut self.0[node.index()];
        let claimed = slot.filter(|claim| claim.node == node).map_or(0, |claim| claim.claimed_nano);
        *slot = Some(NodeClaim {
            node,
            capacity_nano: nano(size),
            claimed_nano: claimed.saturating_add(more_nano),
        });
    }

    /// Subtracts from the most that the applications of a node can use.
    fn remove(&mut self, node: NodeId, nano: i64) {
        let slot = self.0.get_mut(node.index()).and_then(Option::as_mut);
        if let Some(claim) = slot.filter(|claim| claim.node == node) {
            claim.claimed_nano -= nano;
        }
    }

    /// True if the node has room for the most its applications can ever use.
    fn fit(&self, node: NodeId) -> bool {
        let claim = self.0.get(node.index()).copied().flatten().filter(|claim| claim.node == node);
        claim.is_some_and(NodeClaim::fits)
    }

    /// True if this holds for all nodes.
    fn all_fit(&self) -> bool {
        self.0.iter().copied().flatten().all(NodeClaim::fits)
    }
}

impl NodeClaim {
    const fn fits(self) -> bool {
        self.claimed_nano <= self.capacity_nano
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_a_slot_that_another_node_took_are_not_its_own() {
        let (first, next) = (NodeId::from_bits(1 << 32), NodeId::from_bits(2 << 32));
        assert_eq!(first.index(), next.index());
        let (mut claims, size) = (NodeClaims::default(), MilliCpu(1000));
        claims.add(first, size, 600_000_000);
        assert!(claims.fit(first) && !claims.fit(next) && claims.all_fit());
        claims.add(first, size, 600_000_000);
        assert!(!claims.fit(first) && !claims.all_fit());
        claims.remove(first, 600_000_000);
        assert!(claims.fit(first));
        claims.add(next, size, 500_000_000);
        claims.remove(first, 600_000_000);
        claims.add(next, size, 500_000_000);
        assert!(claims.fit(next) && !claims.fit(first));
    }
}
