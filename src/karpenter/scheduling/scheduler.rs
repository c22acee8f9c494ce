//! The pass itself (`scheduler.go`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::claim::OpenClaim;
use super::error::PodError;
use super::existing::{ExistingNode, ExistingNodes, Required};
use super::kinds::{KindId, Refusals};
use super::open_claims::OpenClaims;
use super::pass_context::PassContext;
use super::pods::PassPods;
use super::preferences::{PodConstraints, Relaxation};
use super::queue::Queue;
use super::result::{ExistingPlacement, NewClaim, PodFailure, Results};
use super::template::Template;
use super::topology::Topology;
use crate::amounts::Amounts;
use crate::instance_type::InstanceType;
use crate::labels::HOSTNAME;
use crate::node_pool::NodePool;
use crate::pod::Pod;
use crate::requirements::Requirements;
use crate::state::{MinValuesPolicy, Snapshot, StateNode};
use cluster::pod_template::TaintEffect;
use cluster::{Name, NamespacedName};

/// Schedules the pending pods, those of nodes to be removed and these on existing nodes, except those that are left
/// out, or else on new ones (`Solve`). `None` if no pool can create nodes.
pub fn solve(
    ground: &PassContext<'_>,
    moved: &[Arc<Pod>],
    extent: &PassScope<'_>,
) -> Option<Results> {
    if ground.pools.is_empty() {
        return None;
    }
    let pods = PassPods::new(ground, moved);
    let without = extent.without.iter().filter_map(|name| ground.place_of(name));
    let existing = ExistingNodes::new(&ground.places, without);
    let targets = existing.iter().map(|place| place.state);
    let topology = Topology::new(ground, targets, &pods);
    let queue = Queue::new(pods.in_order());
    Scheduler::new(ground, existing, topology).run(queue, &pods, extent)
}

/// Scope of a pass.
#[derive(Debug, Default)]
pub struct PassScope<'a> {
    /// Nodes that are left out.
    pub without: Vec<&'a Name>,
    /// A pass that would create more nodes than this is aborted.
    pub most_claims: Option<usize>,
    /// True if the results list only the existing nodes that get pods.
    pub lists_used_nodes_only: bool,
}

struct Scheduler<'a> {
    ground: &'a PassContext<'a>,
    snapshot: &'a Snapshot,
    topology: Topology<'a>,
    templates: &'a [Template],
    existing: ExistingNodes<'a>,
    claims: OpenClaims,
    refusals: Refusals,
    /// Number of changes of a node's requirements, each of which may turn a refusal around.
    epoch: usize,
    /// The remaining limits of each pool.
    remaining: BTreeMap<Name, Amounts>,
    /// Number of claims tried, for placeholder host names.
    hosts: usize,
    /// For each template, whether `minValues` was relaxed for the last claim opened from it.
    min_values_relaxed: Vec<bool>,
    /// True if a relaxation may tolerate `PreferNoSchedule` taints.
    may_tolerate: bool,
    relaxations: Vec<(NamespacedName, Relaxation)>,
}

impl<'a> Scheduler<'a> {
    fn new(
        ground: &'a PassContext<'a>,
        existing: ExistingNodes<'a>,
        mut topology: Topology<'a>,
    ) -> Self {
        let is_soft = |pool: &Arc<NodePool>| {
            let taints = &pool.template.taints;
            taints.iter().any(|taint| taint.effect == TaintEffect::PreferNoSchedule)
        };
        let pools = &ground.pools;
        let mut remaining: BTreeMap<Name, Amounts> =
            pools.iter().map(|pool| (pool.name.clone(), pool.limits.clone())).collect();
        let has_limits = pools.iter().any(|pool| pool.limits != Amounts::default());
        for place in existing.iter().filter(|_| has_limits) {
            let state = place.state;
            if let Some(left) = state.pool().and_then(|pool| remaining.get_mut(pool)) {
                *left = left.minus(&state.capacity());
            }
        }
        topology.register_hosts(existing.iter().map(|place| place.state.hostname()));
        Self {
            ground,
            snapshot: ground.snapshot,
            topology,
            min_values_relaxed: vec![false; ground.templates.len()],
            templates: &ground.templates,
            existing,
            claims: OpenClaims::default(),
            refusals: Refusals::default(),
            epoch: 0,
            remaining,
            hosts: 0,
            may_tolerate: pools.iter().any(is_soft),
            relaxations: Vec::new(),
        }
    }

    fn run(
        mut self,
        mut queue: Queue,
        pods: &PassPods<'_>,
        extent: &PassScope<'_>,
    ) -> Option<Results> {
        let mut errors: BTreeMap<usize, PodError> = BTreeMap::new();
        while let Some(pod) = queue.pop() {
            match self.try_schedule(pods.get(pod)) {
                Ok(()) => {
                    errors.remove(&pod);
                }
                Err(error) => {
                    errors.insert(pod, error);
                    self.topology.update(pods.get(pod));
                    queue.push(pod);
                }
            }
            if extent.most_claims.is_some_and(|most| self.claims.list.len() > most) {
                return None;
            }
        }
        Some(self.results(pods, errors, extent.lists_used_nodes_only))
    }

    /// Tries to schedule a pod, relaxing it step by step (`trySchedule`).
    fn try_schedule(&mut self, constraints: &PodConstraints) -> Result<(), PodError> {
        let Err(mut error) = self.add(constraints) else { return Ok(()) };
        let mut constraints = constraints.clone();
        while let Some(relaxation) = constraints.relax(self.may_tolerate) {
            self.relaxations.push((constraints.pod.id.clone(), relaxation));
            self.topology.update(&constraints);
            constraints.require(self.snapshot.options.preference_policy);
            match self.add(&constraints) {
                Ok(()) => return Ok(()),
                Err(again) => error = again,
            }
        }
        Err(error)
    }

    fn add(&mut self, constraints: &PodConstraints) -> Result<(), PodError> {
        if self.add_to_existing(constraints) {
            return Ok(());
        }
        self.claims.sort();
        if self.add_to_open(constraints) {
            return Ok(());
        }
        if self.templates.is_empty() {
            let message = "nodepool requirements filtered out all available instance types";
            return Err(PodError::new(message));
        }
        self.open(constraints)
    }

    fn add_to_existing(&mut self, constraints: &PodConstraints) -> bool {
        let is_bound = self.topology.concerns(constraints);
        let found = match constraints.kind {
            // A node without room before the pass has none as long as no requirements change.
            Some(kind) if self.epoch == 0 => {
                let found = self.find_with_room(constraints, kind, is_bound);
                // Topology breaks ties, each attempt anew.
                debug_assert!(
                    is_bound
                        || found.as_ref().map(|(place, _)| *place)
                            == self.find(constraints, None, false).map(|(place, _)| place),
                    "the first node is found"
                );
                found
            }
            kind => self.find(constraints, kind, is_bound),
        };
        let Some((place, required)) = found else { return false };
        let node = self.existing.node_mut(place);
        let is_changed = node.add(constraints, required, &mut self.topology);
        self.epoch += usize::from(is_changed);
        true
    }

    /// The first node that takes a pod, among those that had room for its kind before the pass.
    fn find_with_room(
        &mut self,
        constraints: &PodConstraints,
        kind: KindId,
        is_bound: bool,
    ) -> Option<(usize, Required)> {
        let Self { ground, refusals, existing, topology, .. } = self;
        let refusals = refusals.of(kind);
        let with_room =
            &*refusals.with_room.get_or_insert_with(|| ground.with_room(kind, constraints));
        let refused = &mut refusals.of_those;
        for at in refused.first(0)..with_room.len() {
            if refused.has(at) {
                continue;
            }
            let place = with_room[at];
            let filled = existing.filled(place);
            if !existing.has(place) || filled.is_some_and(|node| !node.has_room(constraints)) {
                refused.note(at);
                continue;
            }
            let required = existing.node(place).can_add(constraints, topology, is_bound);
            if let Some(required) = required {
                return Some((place, required));
            }
        }
        None
    }

    /// The first node that takes a pod; nodes without room are noted for its kind.
    fn find(
        &mut self,
        constraints: &PodConstraints,
        kind: Option<KindId>,
        is_bound: bool,
    ) -> Option<(usize, Required)> {
        let Self { refusals, existing, topology, epoch, .. } = self;
        let mut refused = kind.map(|kind| &mut refusals.of(kind).existing);
        let first = refused.as_mut().map_or(0, |refused| refused.first(*epoch));
        for place in first..existing.len() {
            if refused.as_ref().is_some_and(|refused| refused.has(place)) {
                continue;
            }
            if !existing.has(place) || !existing.node(place).has_room(constraints) {
                if let Some(refused) = &mut refused {
                    refused.note(place);
                }
                continue;
            }
            let required = existing.node(place).can_add(constraints, topology, is_bound);
            if let Some(required) = required {
                return Some((place, required));
            }
        }
        None
    }

    fn add_to_open(&mut self, constraints: &PodConstraints) -> bool {
        let is_bound = self.topology.concerns(constraints);
        if let Some(kind) = constraints.kind {
            self.refusals.of(kind).claims.first(self.epoch);
        }
        let found = self.claims.order().iter().enumerate().find_map(|(place, number)| {
            let mut refused = constraints.kind.map(|kind| &mut self.refusals.of(kind).claims);
            if refused.as_ref().is_some_and(|refused| refused.has(*number)) {
                return None;
            }
            let claim = &self.claims.list[*number];
            let parts = (&self.templates[claim.template], &self.topology);
            let grown = claim.can_grow(constraints, parts, self.snapshot);
            // Topology may allow the pod later; a full claim stays full.
            if grown.is_none()
                && (!is_bound || claim.is_full_for(constraints))
                && let Some(refused) = &mut refused
            {
                refused.note(*number);
            }
            Some((place, *number, grown?))
        });
        let Some((place, number, grown)) = found else { return false };
        let claim = &mut self.claims.list[number];
        let is_changed =
            claim.add(constraints, grown, &self.templates[claim.template], &mut self.topology);
        self.epoch += usize::from(is_changed);
        self.claims.count_up(place);
        true
    }

    /// Opens a claim of the first pool that can create one (`addToNewNodeClaim`).
    fn open(&mut self, constraints: &PodConstraints) -> Result<(), PodError> {
        let relaxes = self.snapshot.options.min_values_policy == MinValuesPolicy::BestEffort;
        let mut errors = Vec::new();
        for place in 0..self.templates.len() {
            let template = &self.templates[place];
            let options = match self.within_limits(template) {
                Ok(options) => options,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            self.hosts += 1;
            let host = format!("hostname-placeholder-{:04}", self.hosts).into();
            let mut claim = OpenClaim::new((place, template), options, host);
            match claim.can_add(constraints, (template, &self.topology), relaxes, self.snapshot) {
                Err(error) => errors.push(error),
                Ok(grown) => {
                    let before = claim.requirements.clone();
                    claim.add(constraints, grown, template, &mut self.topology);
                    // All claims of a pool share the map with the annotation, so that the last one opened decides.
                    self.min_values_relaxed[place] = claim.wants_fewer_than(&before);
                    self.use_up(&claim);
                    self.claims.push(claim);
                    return Ok(());
                }
            }
        }
        Err(PodError::combined(errors))
    }

    /// The instance types of a pool that stay within its limits.
    fn within_limits(&self, template: &Template) -> Result<Vec<Arc<InstanceType>>, PodError> {
        let pool = &template.pool.name;
        let Some(remaining) = self.remaining.get(pool) else { return Ok(template.options.clone()) };
        if remaining.get("nodes") == Some(0) {
            let message = format!("node limits have been exhausted for nodepool (NodePool={pool})");
            return Err(PodError::new(message));
        }
        let options = template.options.iter().filter(|one| one.capacity.is_within(remaining));
        let options: Vec<_> = options.cloned().collect();
        if options.is_empty() {
            let message = format!(
                "all available instance types exceed limits for nodepool (NodePool={pool})"
            );
            return Err(PodError::new(message));
        }
        Ok(options)
    }

    /// Subtracts the largest possible size of a claim from its pool's limits (`subtractMax`).
    fn use_up(&mut self, claim: &OpenClaim) {
        let mut most = Amounts::default();
        claim.options.iter().for_each(|one| most.raise_to(&one.capacity));
        let pool = &self.templates[claim.template].pool.name;
        if let Some(remaining) = self.remaining.get_mut(pool) {
            *remaining = remaining.minus(&most);
        }
    }

    fn results(
        self,
        pods: &PassPods<'_>,
        errors: BTreeMap<usize, PodError>,
        used_only: bool,
    ) -> Results {
        let pod = |place: usize| &pods.get(place).pod;
        let named = |places: &[usize]| places.iter().map(|at| Arc::clone(pod(*at))).collect();
        let Self { claims, templates, existing, relaxations, min_values_relaxed, .. } = self;
        let claims = claims.into_ordered().map(|claim| {
            let mut requirements: Requirements = claim.requirements;
            requirements.remove(HOSTNAME);
            NewClaim {
                pool: Arc::clone(&templates[claim.template].pool),
                pods: named(&claim.pods),
                requests: claim.requests,
                requirements,
                options: claim.options,
                min_values_relaxed: min_values_relaxed[claim.template],
            }
        });
        let placement = |node: ExistingNode<'_>| ExistingPlacement {
            provider_id: provider_id(node.place.state),
            claim: node.place.state.claim.as_ref().map(|claim| claim.name.clone()),
            is_initialized: node.place.is_initialized,
            pods: named(node.pods()),
            node: node.place.state.name().clone(),
        };
        let existing = if used_only {
            existing.into_filled().map(placement).collect()
        } else {
            existing.into_all().map(placement).collect()
        };
        let failure = |(place, error): (usize, PodError)| {
            let is_pending = pod(place).is_provisionable();
            (pod(place).id.clone(), PodFailure { message: error.to_string(), is_pending })
        };
        Results {
            claims: claims.collect(),
            existing,
            errors: errors.into_iter().map(failure).collect(),
            relaxations,
        }
    }
}

fn provider_id(state: &StateNode) -> Option<Name> {
    match &state.claim {
        Some(claim) => claim.provider_id.clone(),
        None => Some(state.name().clone()),
    }
}
