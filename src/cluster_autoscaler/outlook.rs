//! What the snapshot keeps from one loop to the next besides the cluster itself: the upcoming nodes, and the nodes that
//! were found for pending pods.
//!
//! The real autoscaler finds them anew in each loop, trying the node of the last loop first. For a pod whose place
//! depends on one node only, that attempt succeeds unless that node changed, or a pod before it in the order took its
//! room. So the pods up to the first one that has to be placed keep their nodes, and only the others are tried.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::hinting::HintingSimulator;
use super::pods::PodInfo;
use super::snapshot::{Slot, Snapshot, SnapshotNode, Undo, by_age, node_id, placed};
use super::template::TemplateNode;
use cluster::pod::PodId;
use cluster::{ClusterView, Name};

/// Upcoming nodes and placed pods.
#[derive(Clone, Debug, Default)]
pub(super) struct Outlook {
    /// The upcoming nodes by group.
    upcoming: BTreeMap<Name, Upcoming>,
    /// Pods that keep their nodes, in the order in which they were placed.
    placed: Vec<(Arc<PodInfo>, Slot)>,
    /// Pods whose places hold for one loop.
    passing: Vec<(PodId, Slot)>,
    /// Pods of `placed` that lost their nodes, with the names of these. Only ever looked up, never iterated.
    displaced: FxHashMap<PodId, Name>,
}

/// The upcoming nodes of a group.
#[derive(Clone, Debug)]
struct Upcoming {
    template: Arc<TemplateNode>,
    slots: Vec<Slot>,
}

/// The order in which pods are placed.
fn turn(one: &PodInfo, other: &PodInfo) -> Ordering {
    let priority = |pod: &PodInfo| pod.priority().unwrap_or(0);
    priority(other).cmp(&priority(one)).then_with(|| by_age(one, other))
}

impl Snapshot {
    /// Adds or removes upcoming nodes, so that there are these: group, template, number.
    pub(crate) fn set_upcoming(&mut self, wanted: &[(Name, Arc<TemplateNode>, i64)]) {
        let before = std::mem::take(&mut self.outlook.upcoming);
        for (group, one) in before {
            let known = wanted.iter().find(|(name, ..)| *name == group);
            if known.is_some_and(|(_, template, _)| template.is_like(&one.template)) {
                self.outlook.upcoming.insert(group, one);
            } else {
                one.slots.into_iter().for_each(|slot| self.remove_upcoming(slot));
            }
        }
        for (group, template, number) in wanted {
            let number = usize::try_from(*number).unwrap_or(0);
            let known = self.outlook.upcoming.remove(group);
            let mut slots = known.map_or_else(Vec::new, |one| one.slots);
            while slots.len() > number {
                slots.pop().into_iter().for_each(|slot| self.remove_upcoming(slot));
            }
            while slots.len() < number {
                let node = template.fresh(self, &format!("upcoming-{}", slots.len()));
                slots.push(self.insert(node));
            }
            let template = Arc::clone(template);
            self.outlook.upcoming.insert(group.clone(), Upcoming { template, slots });
        }
    }

    fn remove_upcoming(&mut self, slot: Slot) {
        self.displace(slot);
        self.take(slot);
    }

    /// Takes the placed pods from a node.
    pub(super) fn take_moved(&mut self, slot: Slot) -> Vec<Arc<PodInfo>> {
        let moved = self.nodes[slot].as_mut().map(SnapshotNode::take_moved).unwrap_or_default();
        for pod in &moved {
            self.cache.remove_pod(node_id(slot), pod.id, pod.class);
        }
        moved
    }

    /// Places pods on the node that they were taken from, as far as they still fit.
    pub(super) fn move_back(
        &mut self,
        view: ClusterView<'_>,
        slot: Slot,
        moved: Vec<Arc<PodInfo>>,
    ) {
        for pod in moved {
            if self.check(view, &pod, slot).is_ok() {
                self.place(slot, pod);
            } else {
                let name = self.node(slot).node.meta.name().clone();
                self.outlook.displaced.insert(pod.id, name);
            }
        }
    }

    /// Removes the placed pods from a node, which is about to go.
    pub(super) fn displace(&mut self, slot: Slot) {
        for pod in self.take_moved(slot) {
            let name = self.node(slot).node.meta.name().clone();
            self.outlook.displaced.insert(pod.id, name);
        }
    }

    fn place(&mut self, slot: Slot, pod: Arc<PodInfo>) {
        self.cache.add_pod(node_id(slot), placed(&pod));
        if let Some(node) = &mut self.nodes[slot] {
            node.pods_mut().push(pod);
        }
    }

    /// Removes a placed pod, and returns the name of its node.
    fn lift(&mut self, slot: Slot, pod: PodId) -> Option<Name> {
        if let Some(name) = self.outlook.displaced.get(&pod) {
            return Some(name.clone());
        }
        let node = self.nodes[slot].as_mut()?;
        let place = node.pods.iter().rposition(|one| one.id == pod)?;
        let pod = node.pods_mut().remove(place);
        let name = node.node.meta.name().clone();
        self.cache.remove_pod(node_id(slot), pod.id, pod.class);
        Some(name)
    }

    /// True if the place of a pod depends on the node alone, and so stays good as long as the node stays the same and
    /// only gets emptier.
    pub(crate) fn depends_on_one_node(&self, pod: &PodInfo) -> bool {
        !self.cache.has_anti_affinity_classes()
            && self.cache.class(pod.class).depends_on_one_node()
            && !pod.is_daemon_set_pod()
            && !pod.is_mirror()
    }

    /// Lets the first of these pods keep their nodes, and returns their number; the others have none, but a hint to the
    /// one that they had.
    pub(crate) fn keep_placed(
        &mut self,
        pods: &[Arc<PodInfo>],
        hints: &mut HintingSimulator,
    ) -> usize {
        let before = std::mem::take(&mut self.outlook.placed);
        let most = if self.cache.has_anti_affinity_classes() { 0 } else { pods.len() };
        let mut kept = Vec::with_capacity(most);
        let mut before = before.into_iter().peekable();
        while kept.len() < most
            && let Some((one, _)) = before.peek()
        {
            let pod = &pods[kept.len()];
            if Arc::ptr_eq(one, pod) {
                if self.outlook.displaced.contains_key(&pod.id) {
                    break;
                }
                kept.extend(before.next());
            } else if turn(one, pod).is_lt() {
                // It is no longer pending.
                let (one, slot) = before.next().expect("it was just looked at");
                self.lift(slot, one.id);
            } else {
                break;
            }
        }
        for (one, slot) in before {
            if let Some(name) = self.lift(slot, one.id) {
                hints.remember(one.id, name);
            }
        }
        self.outlook.displaced.clear();
        let count = kept.len();
        self.outlook.placed = kept;
        count
    }

    /// The nodes of the pods that kept theirs, in the order of these.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Slot> {
        self.outlook.placed.iter().map(|(_, slot)| *slot)
    }

    /// Makes the placements just made, which are the last changes, part of the outlook: for good as long as each depends
    /// on one node only.
    pub(crate) fn keep(&mut self, pods: &[Arc<PodInfo>], found: &[Option<Slot>], may_stay: bool) {
        let made = found.iter().flatten().count();
        let length = self.undo.len() - made;
        debug_assert!(
            self.undo[length..].iter().all(|undo| matches!(undo, Undo::RemovePod(_))),
            "nothing else was changed"
        );
        self.undo.truncate(length);
        let mut stays = may_stay;
        for (pod, slot) in pods.iter().zip(found) {
            let Some(slot) = *slot else { continue };
            stays = stays && self.depends_on_one_node(pod);
            if stays {
                self.outlook.placed.push((Arc::clone(pod), slot));
            } else {
                self.outlook.passing.push((pod.id, slot));
            }
        }
    }

    /// Removes the pods whose places hold for one loop.
    pub(crate) fn drop_passing(&mut self) {
        for (pod, slot) in std::mem::take(&mut self.outlook.passing).into_iter().rev() {
            self.lift(slot, pod);
        }
    }
}
