//! Nodes that may be disrupted, with the cost of doing so (`NewCandidate`, `pkg/utils/disruption`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::instance_type::InstanceType;
use crate::labels::{CAPACITY_TYPE, INSTANCE_TYPE, ZONE};
use crate::node_pool::NodePool;
use crate::pod::Pod;
use crate::requirements::Requirements;
use crate::state::{NodeClaim, Snapshot, StateNode};
use cluster::{Labels, Name};
use engine::{SimDuration, SimTime};

/// Whether pods can block a disruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// They can block it.
    Graceful,
    /// They can, unless the node has a termination grace period after which they are deleted anyway.
    Eventual,
}

/// A node that may be disrupted.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The node.
    pub node: Name,
    /// Its provider ID.
    pub provider_id: Name,
    /// Its claim.
    pub claim: Arc<NodeClaim>,
    /// Its pool.
    pub pool: Arc<NodePool>,
    /// Its instance type, if the cloud still has it.
    pub instance_type: Option<Arc<InstanceType>>,
    /// Its labels.
    pub labels: Labels,
    /// Disruption cost of its pods, scaled by the node's remaining lifetime.
    pub cost: f64,
    /// The pods that have to be rescheduled.
    pub pods: Arc<[Arc<Pod>]>,
}

impl Candidate {
    /// True if its labels allow this capacity type.
    pub(crate) fn has_capacity_type(&self, capacity_type: &str) -> bool {
        let labels = self.requirements();
        let own = labels.get(CAPACITY_TYPE).and_then(|one| one.only_value());
        own.is_some_and(|own| own.as_ref() == capacity_type)
    }

    /// True if it is deleted at last, whatever its pods say.
    fn is_due_eventually(&self) -> bool {
        self.claim.termination_grace_period.is_some()
    }

    /// True if it has the labels that its price depends on.
    pub(crate) fn has_priced_labels(&self) -> bool {
        let has_both = |has: &dyn Fn(&str) -> bool| has(CAPACITY_TYPE) && has(ZONE);
        has_both(&|key| self.labels.contains_key(key)) || {
            // The labels may have their former names.
            let labels = self.requirements();
            has_both(&|key| labels.get(key).is_some())
        }
    }

    /// Hourly price in dollars; absent if the cloud does not offer it any more.
    pub fn price(&self) -> Option<f64> {
        self.instance_type.as_ref()?.price_of(&self.requirements())
    }

    fn requirements(&self) -> Requirements {
        Requirements::of_labels(&self.labels)
    }
}

/// The cloud's instance types for a pool, by name.
type TypesByName<'a> = BTreeMap<&'a Name, &'a Arc<InstanceType>>;

/// Why a node is kept.
pub type Obstacle = (Name, Cow<'static, str>);

/// All nodes by whether they may be disrupted, in order of name.
#[derive(Debug, Default)]
pub struct Survey {
    /// The nodes that may be disrupted.
    pub found: Vec<Candidate>,
    /// The nodes whose pods block a graceful disruption, but no eventual one; with the reason.
    pub overdue: Vec<(Candidate, Cow<'static, str>)>,
    /// Why others may not be disrupted.
    pub blocked: Vec<Obstacle>,
}

impl Survey {
    /// Looks at all nodes (`GetCandidates`).
    pub fn new(snapshot: &Snapshot, is_queued: &dyn Fn(&str) -> bool) -> Self {
        let types_of = |pool: &Arc<NodePool>| {
            snapshot.types_of(&pool.name).iter().rev().map(|one| (&one.name, one)).collect()
        };
        let types: Vec<TypesByName<'_>> = snapshot.pools.iter().map(types_of).collect();
        let mut survey = Self::default();
        for state in &snapshot.nodes {
            match candidate(state, (snapshot, &types), is_queued) {
                Ok((candidate, None)) => survey.found.push(candidate),
                Ok((candidate, Some(reason))) if candidate.is_due_eventually() => {
                    survey.overdue.push((candidate, reason));
                }
                Ok((_, Some(reason))) | Err(reason) => {
                    survey.blocked.push((state.name().clone(), reason));
                }
            }
        }
        survey
    }
}

/// A node that may be disrupted but for its pods, and how these block that; or why it may not.
fn candidate(
    state: &StateNode,
    (snapshot, types): (&Snapshot, &[TypesByName<'_>]),
    is_queued: &dyn Fn(&str) -> bool,
) -> Result<(Candidate, Option<Cow<'static, str>>), Cow<'static, str>> {
    let now = snapshot.now;
    let provider_id = state.claim.as_ref().and_then(|claim| claim.provider_id.clone());
    if provider_id.as_deref().is_some_and(is_queued) {
        return Err("candidate is already being disrupted".into());
    }
    if let Some(reason) = state.blocker(now) {
        return Err(reason);
    }
    let (Some(claim), Some(pool_name)) = (&state.claim, state.pool()) else {
        return Err("node isn't managed by karpenter".into());
    };
    let place = snapshot.pools.iter().position(|pool| pool.name == *pool_name);
    let place = place.filter(|place| !types[*place].is_empty());
    let place = place.ok_or_else(|| format!("NodePool not found (NodePool={pool_name})"))?;
    let own_type = state.labels().get(INSTANCE_TYPE);
    let instance_type = own_type.and_then(|own| types[place].get(own));
    let candidate = Candidate {
        node: state.name().clone(),
        provider_id: provider_id.unwrap_or_else(|| claim.name.clone()),
        claim: Arc::clone(claim),
        pool: Arc::clone(&snapshot.pools[place]),
        instance_type: instance_type.copied().cloned(),
        labels: state.labels().clone(),
        cost: state.pods.eviction_cost() * lifetime_remaining(claim, now),
        pods: Arc::clone(state.pods.reschedulable()),
    };
    Ok((candidate, pod_blocker(state, snapshot).map(Cow::Owned)))
}

/// Why the pods block disruption; `None` if they do not (`ValidatePodsDisruptable`).
fn pod_blocker(state: &StateNode, snapshot: &Snapshot) -> Option<String> {
    let keeps = |pod: &&Arc<Pod>| !pod.is_disruptable(snapshot.now);
    let mut with_a_say = state.pods.iter().filter(|_| state.pods.has_do_not_disrupt());
    if let Some(pod) = with_a_say.find(keeps) {
        return Some(format!(
            "pod has \"karpenter.sh/do-not-disrupt\" annotation (Pod={})",
            pod.id
        ));
    }
    snapshot.budgets.blocker(state.pods.iter().map(AsRef::as_ref), snapshot.now)
}

/// Fraction of its lifetime that a node has left (`LifetimeRemaining`).
fn lifetime_remaining(claim: &NodeClaim, now: SimTime) -> f64 {
    let Some(total) = claim.expire_after.map(SimDuration::as_secs_f64) else { return 1.0 };
    let age = now.since(claim.created).as_secs_f64();
    ((total - age) / total).clamp(0.0, 1.0)
}
