//! The existing NodeClaims, with Karpenter's in-memory state of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::node_pods::NodePods;
use crate::scheduling::NewClaim;
use crate::state::{NodeClaim, NodeObject, StateNode};
use cluster::Name;
use engine::SimTime;

/// A NodeClaim with its in-memory state.
#[derive(Clone, Debug)]
pub struct ClaimState {
    /// The claim.
    pub claim: Arc<NodeClaim>,
    /// The scheduling result that it was created from; absent for claims that existed before.
    pub made: Option<Arc<NewClaim>>,
    /// True once its node has joined.
    pub is_registered: bool,
    /// True if a command is about to delete it.
    pub is_marked: bool,
    /// Time until which it is nominated for a pending pod.
    pub nominated_until: SimTime,
}

impl ClaimState {
    /// A claim without in-memory state.
    pub const fn new(claim: Arc<NodeClaim>, made: Option<Arc<NewClaim>>) -> Self {
        let nominated_until = SimTime::from_nanos(i64::MIN);
        Self { claim, made, is_registered: false, is_marked: false, nominated_until }
    }
}

/// A node with its pods.
pub type NodeWithPods = (Arc<NodeObject>, NodePods);

/// All NodeClaims, by name. A claim's node has the same name.
#[derive(Clone, Debug, Default)]
pub struct Claims(pub(super) BTreeMap<Name, ClaimState>);

impl Claims {
    /// The claim with this name.
    pub fn get(&self, name: &str) -> Option<&ClaimState> {
        self.0.get(name)
    }

    /// All claims, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &ClaimState)> {
        self.0.iter()
    }

    /// True if every claim has its instance (`Cluster.Synced`), which any decision requires.
    pub(crate) fn are_launched(&self) -> bool {
        self.0.values().all(|one| one.claim.provider_id.is_some())
    }

    /// The cluster's nodes in order of name: nodes with their claims, and claims whose node has not joined. Claims
    /// without an instance are left out.
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
