//! The NodeClaims that there are, with what Karpenter keeps in memory of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::node_pods::NodePods;
use crate::scheduling::NewClaim;
use crate::state::{NodeClaim, NodeObject, StateNode};
use cluster::Name;
use engine::SimTime;

/// A NodeClaim, and what is remembered of it.
#[derive(Clone, Debug)]
pub struct ClaimState {
    /// The claim.
    pub claim: Arc<NodeClaim>,
    /// The decision by which it was made; absent for those that were there before.
    pub made: Option<Arc<NewClaim>>,
    /// Whether its node has joined.
    pub is_registered: bool,
    /// Whether a command is about to delete it.
    pub is_marked: bool,
    /// Until when it counts as taken by a pod that waits.
    pub nominated_until: SimTime,
}

impl ClaimState {
    /// A claim that nothing is remembered of.
    pub const fn new(claim: Arc<NodeClaim>, made: Option<Arc<NewClaim>>) -> Self {
        let nominated_until = SimTime::from_nanos(i64::MIN);
        Self { claim, made, is_registered: false, is_marked: false, nominated_until }
    }
}

/// A node of the API with its pods.
pub type NodeWithPods = (Arc<NodeObject>, NodePods);

/// All NodeClaims, by name. The node of a claim has its name.
#[derive(Clone, Debug, Default)]
pub struct Claims(pub(super) BTreeMap<Name, ClaimState>);

impl Claims {
    /// A claim by its name.
    pub fn get(&self, name: &str) -> Option<&ClaimState> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &ClaimState)> {
        self.0.iter()
    }

    /// Whether every claim has its instance (`Cluster.Synced`): only then anything is decided.
    pub fn are_launched(&self) -> bool {
        self.0.values().all(|one| one.claim.provider_id.is_some())
    }

    /// The nodes as Karpenter sees them, by name: each with its claim, and claims whose node has not come. A claim
    /// without an instance is none yet.
    pub fn join(&self, nodes: impl IntoIterator<Item = NodeWithPods>) -> Vec<StateNode> {
        let mut nodes: BTreeMap<Name, NodeWithPods> =
            nodes.into_iter().map(|one| (one.0.name.clone(), one)).collect();
        let launched = self.0.iter().filter(|(_, one)| one.claim.provider_id.is_some());
        let mut joined: Vec<StateNode> = launched
            .map(|(name, one)| {
                let (node, pods) = nodes.remove(name).unzip();
                StateNode {
                    claim: Some(Arc::clone(&one.claim)),
                    node,
                    pods: pods.unwrap_or_default(),
                    is_marked: one.is_marked,
                    nominated_until: one.nominated_until,
                }
            })
            .collect();
        joined.extend(nodes.into_values().map(|(node, pods)| StateNode {
            claim: None,
            node: Some(node),
            pods,
            is_marked: false,
            nominated_until: SimTime::from_nanos(i64::MIN),
        }));
        joined.sort_by(|one, other| one.name().cmp(other.name()));
        joined
    }

    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut NodeClaim)) {
        if let Some(one) = self.0.get_mut(name) {
            change(Arc::make_mut(&mut one.claim));
        }
    }
}
