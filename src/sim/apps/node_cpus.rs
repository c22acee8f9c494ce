//! The CPU of nodes: which nodes may have less of it than their applications want, and how it is shared there.

use std::collections::{BTreeMap, BTreeSet};

use super::cpu_load::CpuLoads;
use super::pod_app::{PodApp, nano, node_cpu};
use cluster::ClusterView;
use cluster::node::NodeId;
use cluster::pod::PodId;
use traffic::{CpuClaim, NodeCpuId, Traffic};
use units::MilliCpu;

/// The CPU of all nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeCpus {
    /// Nodes whose applications may want more CPU than there is: where the limits together pass the
    /// node's size, or where an application came or went since it was last looked at.
    crowded: BTreeSet<NodeId>,
    /// Nodes whose CPU is shared.
    shared: BTreeMap<NodeId, NodeCpuId>,
    claims: NodeClaims,
    /// Whether any application ever took requests.
    have_served: bool,
}

/// The CPU of one node after a look at it.
pub(super) struct Grants {
    /// The applications that want CPU, each with the share that it gets of the CPU that it wants for itself, 0 to 1.
    pub(super) own: Vec<(PodId, f64)>,
    /// Whether any of them can be kept from what it wants, so that another look is due.
    pub(super) is_shared: bool,
}

impl NodeCpus {
    /// An application of a node of this size came, or can use so much more (billionths of a core).
    pub(super) fn claim(&mut self, node: Option<(NodeId, MilliCpu)>, more_nano: i64) {
        if let Some((node, size)) = node {
            self.claims.add(node, size, more_nano);
        }
    }

    /// An application is gone that could use so much (billionths of a core).
    pub(super) fn release(&mut self, node: Option<NodeId>, nano: i64) {
        if let Some(node) = node {
            self.claims.remove(node, nano);
        }
    }

    /// An application of a node takes requests from now on.
    pub(super) fn serves(&mut self, node: Option<NodeId>) {
        self.have_served = true;
        self.look_at(node);
    }

    /// An application wants another amount of CPU for itself. Where all fits that the node's applications could
    /// ever use, that keeps nothing from anybody but its own requests.
    pub(super) fn own_demand_changed(&mut self, node: Option<NodeId>, takes_requests: bool) {
        let claims = &self.claims;
        self.crowded.extend(node.filter(|node| takes_requests || !claims.fit(*node)));
    }

    /// The applications of a node may want more CPU than there is.
    pub(super) fn look_at(&mut self, node: Option<NodeId>) {
        self.crowded.extend(node);
    }

    /// Whether the rates of applications without requests can matter to any other.
    pub(super) fn can_compete(&self) -> bool {
        self.have_served || !self.claims.all_fit()
    }

    /// Whether any node is to be looked at.
    pub(super) fn is_any_crowded(&self) -> bool {
        !self.crowded.is_empty()
    }

    /// Takes the nodes to look at, in their order.
    pub(super) fn take_crowded(&mut self) -> BTreeSet<NodeId> {
        std::mem::take(&mut self.crowded)
    }

    /// Has the CPU of a node shared among its applications.
    pub(super) fn share<'a>(
        &mut self,
        view: ClusterView<'_>,
        node: NodeId,
        app_of: impl Fn(PodId) -> Option<&'a PodApp>,
        loads: &CpuLoads,
        traffic: &mut Traffic,
    ) -> Grants {
        let now = view.now;
        let on_node = || view.pods_on(node).filter_map(|(pod, _)| app_of(pod));
        let beside: f64 = on_node().map(PodApp::cores_beside).sum();
        let capacity = node_cpu(view, Some(node)).map_or(0.0, |cpu| cpu.as_cores() - beside);
        let crowd = on_node().map(|app| (app, app.own_demand(now, loads)));
        let crowd: Vec<(&PodApp, f64)> = crowd.filter(|(app, own)| app.takes_cpu(*own)).collect();
        let is_crowded = most_wanted(&crowd, traffic) > capacity;
        let competes_within = |(app, own): &(&PodApp, f64)| *own > 0.0 && app.backend.is_some();
        let is_shared = is_crowded || crowd.iter().any(competes_within);
        let granted = if is_shared {
            let claims: Vec<CpuClaim> = crowd.iter().map(|(app, own)| app.claim(*own)).collect();
            let known = self.shared.get(&node).copied();
            let (id, granted) = traffic.share_cpu(now, known, capacity.max(0.0), &claims);
            self.shared.insert(node, id);
            granted
        } else {
            if let Some(id) = self.shared.remove(&node) {
                traffic.end_cpu_sharing(now, id);
            }
            vec![1.0; crowd.len()]
        };
        let pods = crowd.iter().map(|(app, _)| app.pod);
        Grants { own: pods.zip(granted).collect(), is_shared }
    }
}

/// Cores that applications with these own demands can come to want together: what requests want can grow at
/// any time, what is burnt without them changes with a notice.
fn most_wanted(crowd: &[(&PodApp, f64)], traffic: &Traffic) -> f64 {
    let most = crowd.iter().map(|(app, own)| {
        let requests = app.backend.map_or(0.0, |backend| traffic.most_cores_wanted(backend));
        (requests + own).min(app.cores)
    });
    most.sum()
}

/// What the applications of each node can use at most, by the node's slot: where that fits, nobody keeps
/// anything from anybody, whatever they burn for themselves.
#[derive(Clone, Debug, Default)]
struct NodeClaims(Vec<Option<NodeClaim>>);

/// Billionths of a core.
#[derive(Clone, Copy, Debug)]
struct NodeClaim {
    node: NodeId,
    capacity_nano: i64,
    claimed_nano: i64,
}

impl NodeClaims {
    /// Applications of a node of this size can use so much more.
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

    /// An application is gone that could use so much.
    fn remove(&mut self, node: NodeId, nano: i64) {
        let slot = self.0.get_mut(node.index()).and_then(Option::as_mut);
        if let Some(claim) = slot.filter(|claim| claim.node == node) {
            claim.claimed_nano -= nano;
        }
    }

    /// Whether everything fits that the applications of a node could ever use.
    fn fit(&self, node: NodeId) -> bool {
        let claim = self.0.get(node.index()).copied().flatten().filter(|claim| claim.node == node);
        claim.is_some_and(NodeClaim::fits)
    }

    /// The same of all nodes.
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
