//! What a pass without some node depends on, besides the nodes that stay: passes over one snapshot that have it in
//! common end alike.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::existing::ExistingNode;
use super::kinds::{KindId, Kinds};
use super::pass_context::PassContext;
use super::preferences::PodConstraints;
use super::queue::queue_order;
use crate::pod::Pod;
use cluster::Name;
use cluster::pod_template::{Affinity, TaintEffect};

/// The pods that leave a node in the order of the queue: the kind of each, and how many of the pods that every pass
/// places are before it.
pub type Outline = Vec<(KindId, usize)>;

/// Makes outlines of the passes over one snapshot.
#[derive(Debug)]
pub struct Outlines<'r, 'a> {
    ground: &'r PassContext<'a>,
    kinds: Kinds,
    /// One pod of each kind.
    constraints_of: Vec<PodConstraints>,
    /// The pods that every pass places, pending ones and those of nodes to be removed, in the order of the queue.
    others: Vec<&'r Arc<Pod>>,
    /// The kinds of these pods.
    kinds_of_others: BTreeSet<KindId>,
}

impl<'r, 'a> Outlines<'r, 'a> {
    /// `None` if the outcome of a pass depends on more than the kinds of its pods: if the place of a pod depends on
    /// that of others, or a pod may be relaxed.
    pub fn new(ground: &'r PassContext<'a>) -> Option<Self> {
        let mut taints = ground.pools.iter().flat_map(|pool| &pool.template.taints);
        let may_tolerate = taints.any(|taint| taint.effect == TaintEffect::PreferNoSchedule);
        if may_tolerate || !ground.repelling.is_empty() {
            return None;
        }
        let mut others: Vec<&Arc<Pod>> = ground.pending.iter().chain(&ground.of_going).collect();
        others.sort_by(|one, other| queue_order(one, other));
        let mut made = Self {
            ground,
            kinds: Kinds::default(),
            constraints_of: Vec::new(),
            others: Vec::new(),
            kinds_of_others: BTreeSet::new(),
        };
        for pod in &others {
            let kind = made.kind_of(pod)?;
            made.kinds_of_others.insert(kind);
        }
        made.others = others;
        Some(made)
    }

    /// The kind of a pod; `None` if its place depends on that of others, or it may be relaxed.
    fn kind_of(&mut self, pod: &Arc<Pod>) -> Option<KindId> {
        let spec = &pod.template.spec;
        let Affinity {
            required_pod,
            preferred_pod,
            required_anti,
            preferred_anti,
            preferred_node,
            ..
        } = &spec.affinity;
        let is_simple = spec.topology_spread.is_empty()
            && required_pod.is_empty()
            && preferred_pod.is_empty()
            && required_anti.is_empty()
            && preferred_anti.is_empty()
            && preferred_node.is_empty()
            && spec.affinity.required_node.as_ref().is_none_or(|terms| terms.len() < 2);
        if !is_simple {
            return None;
        }
        let policy = self.ground.snapshot.options.preference_policy;
        let constraints = self.kinds.constraints(0, pod, policy);
        let kind = constraints.kind?;
        if kind == self.constraints_of.len() {
            self.constraints_of.push(constraints);
        }
        Some(kind)
    }

    /// The outline of a pass without this node, whose pods are given. `None` if the node has room for any pod of the
    /// pass, so that its place among the others matters.
    pub fn outline(&mut self, node: &Name, moved: &[&Arc<Pod>]) -> Option<Outline> {
        let mut moved = moved.to_vec();
        moved.sort_by(|one, other| queue_order(one, other));
        let mut outline = Vec::with_capacity(moved.len());
        let mut before = 0;
        for pod in moved {
            let kind = self.kind_of(pod)?;
            // Pods of one size were often created together.
            let is_next =
                |at: usize| self.others.get(at).is_none_or(|other| queue_order(pod, other).is_lt());
            if !is_next(before) {
                let rest = &self.others[before..];
                before += rest.partition_point(|other| queue_order(other, pod).is_lt());
            }
            outline.push((kind, before));
        }
        let ground = self.ground;
        let place = ExistingNode::new(&ground.places[ground.place_of(node)?]);
        let own = outline
            .iter()
            .map(|(kind, _)| *kind)
            .filter(|kind| !self.kinds_of_others.contains(kind));
        let mut own: Vec<KindId> = own.collect();
        own.sort_unstable();
        own.dedup();
        let mut constraints_of =
            self.kinds_of_others.iter().chain(&own).map(|kind| &self.constraints_of[*kind]);
        let has_room = constraints_of.any(|constraints| place.has_room(constraints));
        (!has_room).then_some(outline)
    }
}
