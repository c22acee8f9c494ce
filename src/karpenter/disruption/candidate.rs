//! Nodes that may be disrupted, and at what cost (`NewCandidate`, `pkg/utils/disruption`).

use std::sync::Arc;

use crate::instance_type::InstanceType;
use crate::labels::{CAPACITY_TYPE, INSTANCE_TYPE, ZONE};
use crate::node_pool::NodePool;
use crate::pod::Pod;
use crate::requirements::Requirements;
use crate::state::{NodeClaim, Snapshot, StateNode};
use cluster::Name;
use engine::{SimDuration, SimTime};

/// The pod's annotation that says what its deletion costs.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// How much pods have a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// They can keep their node.
    Graceful,
    /// They can, unless the node has a grace period after which they go anyway.
    Eventual,
}

/// A node that may be disrupted.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The node.
    pub node: Name,
    /// Its instance.
    pub provider_id: Name,
    /// Its claim.
    pub claim: Arc<NodeClaim>,
    /// Its pool.
    pub pool: Arc<NodePool>,
    /// Its type, if the cloud still has it.
    pub instance_type: Option<Arc<InstanceType>>,
    /// Its labels.
    pub labels: Requirements,
    /// What it costs to move its pods: less the nearer the node is to its end.
    pub cost: f64,
    /// The pods that need another place.
    pub pods: Vec<Arc<Pod>>,
}

impl Candidate {
    /// Whether it runs on capacity that can be taken back.
    pub fn has_capacity_type(&self, capacity_type: &str) -> bool {
        let own = self.labels.get(CAPACITY_TYPE).and_then(|one| one.only_value());
        own.is_some_and(|own| own.as_ref() == capacity_type)
    }

    /// Whether the labels that its price depends on are there.
    pub fn has_priced_labels(&self) -> bool {
        self.labels.get(CAPACITY_TYPE).is_some() && self.labels.get(ZONE).is_some()
    }

    /// What it costs an hour, in dollars; absent if the cloud does not offer it any more.
    pub fn price(&self) -> Option<f64> {
        self.instance_type.as_ref()?.price_of(&self.labels)
    }
}

/// The nodes that may be disrupted, in an order that chance decides, and why others may not.
pub fn candidates(
    snapshot: &Snapshot,
    class: Class,
    is_queued: &dyn Fn(&str) -> bool,
) -> (Vec<Candidate>, Vec<(Name, String)>) {
    let (mut found, mut blocked) = (Vec::new(), Vec::new());
    for state in &snapshot.nodes {
        match candidate(state, snapshot, class, is_queued) {
            Ok(candidate) => found.push(candidate),
            Err(reason) => blocked.push((state.name().clone(), reason)),
        }
    }
    snapshot.ties.shuffle(&mut found, |one| &one.node);
    (found, blocked)
}

fn candidate(
    state: &StateNode,
    snapshot: &Snapshot,
    class: Class,
    is_queued: &dyn Fn(&str) -> bool,
) -> Result<Candidate, String> {
    let now = snapshot.now;
    let provider_id = state.claim.as_ref().and_then(|claim| claim.provider_id.clone());
    if provider_id.as_deref().is_some_and(is_queued) {
        return Err("candidate is already being disrupted".to_owned());
    }
    if let Some(reason) = state.blocker(now) {
        return Err(reason);
    }
    let (Some(claim), Some(pool_name)) = (&state.claim, state.pool()) else {
        return Err("node isn't managed by karpenter".to_owned());
    };
    let types = snapshot.types_of(pool_name);
    let pool = snapshot.pool(pool_name).filter(|_| !types.is_empty());
    let pool = pool.ok_or_else(|| format!("NodePool not found (NodePool={pool_name})"))?;
    if let Some(reason) = pod_blocker(state, snapshot) {
        let is_eventual = claim.termination_grace_period.is_some() && class == Class::Eventual;
        if !is_eventual {
            return Err(reason);
        }
    }
    let own_type = state.labels().get(INSTANCE_TYPE);
    let instance_type = types.iter().find(|one| Some(&one.name) == own_type).cloned();
    // All count, also those of DaemonSets and those that have ended.
    let cost: f64 = state.pods.iter().map(|pod| eviction_cost(pod)).sum();
    let reschedulable = state.pods.iter().filter(|pod| pod.is_reschedulable());
    Ok(Candidate {
        node: state.name().clone(),
        provider_id: provider_id.unwrap_or_else(|| claim.name.clone()),
        claim: Arc::clone(claim),
        pool: Arc::clone(pool),
        instance_type,
        labels: Requirements::of_labels(state.labels()),
        cost: cost * lifetime_remaining(claim, now),
        pods: reschedulable.cloned().collect(),
    })
}

/// Why the pods keep a node; absent if they do not (`ValidatePodsDisruptable`).
fn pod_blocker(state: &StateNode, snapshot: &Snapshot) -> Option<String> {
    let keeps = |pod: &&Arc<Pod>| !pod.is_disruptable(snapshot.now);
    if let Some(pod) = state.pods.iter().find(keeps) {
        return Some(format!(
            "pod has \"karpenter.sh/do-not-disrupt\" annotation (Pod={})",
            pod.id
        ));
    }
    snapshot.budgets.blocker(state.pods.iter().map(AsRef::as_ref), snapshot.now)
}

/// What it costs to move a pod (`EvictionCost`).
fn eviction_cost(pod: &Pod) -> f64 {
    let deletion: Option<f64> =
        pod.annotations.get(DELETION_COST).and_then(|text| text.parse().ok());
    let priority = pod.template.spec.priority.map_or(0.0, f64::from);
    let cost = 1.0 + deletion.unwrap_or(0.0) / f64::from(1 << 27) + priority / f64::from(1 << 25);
    cost.clamp(-10.0, 10.0)
}

/// Which part of its life a node has before it (`LifetimeRemaining`).
fn lifetime_remaining(claim: &NodeClaim, now: SimTime) -> f64 {
    let Some(total) = claim.expire_after.map(SimDuration::as_secs_f64) else { return 1.0 };
    let age = now.since(claim.created).as_secs_f64();
    ((total - age) / total).clamp(0.0, 1.0)
}
