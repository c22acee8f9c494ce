//! Terminating nodes: their pods are evicted group by group, and then the machine is deleted
//! (`pkg/controllers/node/termination`).

use std::collections::{BTreeMap, BTreeSet};

use super::{ACTOR, Karpenter};
use crate::cloud::Cloud;
use crate::environment::Environment;
use cluster::action::PodDeletion;
use cluster::claim::ClaimId;
use cluster::node::NodeId;
use cluster::pod::PodId;
use cluster::{Action, Kind, Name, ObjectReference};
use engine::{SimDuration, SimTime};
use karpenter::pod::{Pod, PodOwner, disrupted_taint};

/// Interval at which a draining node is checked.
const PERIOD: SimDuration = SimDuration::from_secs(1);
/// Pods of this priority and above are evicted last (`system-cluster-critical`).
const CRITICAL: i32 = 2_000_000_000;

/// A draining node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// Time of its next check.
    pub(super) due: SimTime,
    /// Time at which its pods are deleted even if their eviction is blocked.
    pub(super) deadline: Option<SimTime>,
}

/// All draining nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Drains {
    by_name: BTreeMap<Name, Drain>,
    /// The same by the time of the next check.
    by_time: BTreeSet<(SimTime, Name)>,
}

impl Drains {
    fn insert(&mut self, name: Name, drain: Drain) {
        self.remove(&name);
        self.by_time.insert((drain.due, name.clone()));
        self.by_name.insert(name, drain);
    }

    pub(super) fn remove(&mut self, name: &Name) {
        if let Some(drain) = self.by_name.remove(name) {
            self.by_time.remove(&(drain.due, name.clone()));
        }
    }

    /// When the next check is due.
    pub(super) fn next(&self) -> Option<SimTime> {
        self.by_time.first().map(|(due, _)| *due)
    }

    /// The nodes whose check is due, by name.
    fn due(&self, now: SimTime) -> Vec<(Name, Drain)> {
        let due = self.by_time.iter().take_while(|(due, _)| *due <= now);
        let mut due: Vec<_> = due.map(|(_, name)| (name.clone(), self.by_name[name])).collect();
        due.sort_by(|(one, _), (other, _)| one.cmp(other));
        due
    }
}

impl Karpenter {
    /// Begins to drain a node; a claim without a node loses its instance at once.
    pub(super) fn begin_drain(&mut self, env: &Environment, cloud: &mut Cloud, claim: &Name) {
        if env.store().node_named(claim).is_none() {
            cloud.delete_instance(claim, env.now);
            self.operator.gone(claim, env.now);
            return;
        }
        let grace = self.operator.claims().get(claim);
        let grace = grace.and_then(|one| one.claim.termination_grace_period);
        let deadline = grace.map(|grace| env.now + grace);
        self.drains.insert(claim.clone(), Drain { due: env.now, deadline });
    }

    /// Continues the drains that are due.
    pub(super) fn drain(&mut self, env: &mut Environment, cloud: &mut Cloud) {
        for (name, drain) in self.drains.due(env.now) {
            let node = env.store().node_named(&name);
            let is_past = drain.deadline.is_some_and(|deadline| env.now >= deadline);
            let is_drained = node.is_none_or(|node| self.evict_next(env, node, drain.deadline));
            // It waits for its volumes to be detached (`awaitVolumeDetachment`).
            let is_drained = is_drained && node.is_none_or(|node| has_no_volumes(env, node));
            if is_drained || is_past {
                self.drains.remove(&name);
                cloud.delete_instance(&name, env.now);
            } else {
                let next = Drain { due: env.now + PERIOD, ..drain };
                self.drains.insert(name, next);
            }
        }
    }

    /// Evicts the next group of a node's pods; true if none is left.
    fn evict_next(
        &mut self,
        env: &mut Environment,
        node: NodeId,
        deadline: Option<SimTime>,
    ) -> bool {
        let ids: Vec<PodId> = env.store().pods_on(node).map(|(id, _)| id).collect();
        let mut left: Vec<(u8, PodId, Pod)> = Vec::new();
        for id in ids {
            let Some(pod) = self.cache.pod(env.view(), id) else { continue };
            if !pod.is_terminal && is_drained(&pod) {
                left.push((group(&pod), id, Pod::clone(&pod)));
            }
        }
        let Some(first) = left.iter().map(|(group, ..)| *group).min() else { return true };
        for (group, id, pod) in left {
            let own = pod.template.spec.termination_grace_period;
            let must_go = deadline.is_some_and(|deadline| env.now + own >= deadline);
            if must_go && !pod.is_terminating {
                let rest = deadline.map(|deadline| deadline.since(env.now));
                let deletion =
                    PodDeletion { grace_period: rest, disruption: Some("TerminationByKarpenter") };
                env.act(ACTOR, Action::DeletePod(id, deletion));
            } else if group == first && pod.is_evictable(env.now) {
                self.evict(env, id, &pod);
            }
        }
        false
    }

    fn evict(&mut self, env: &mut Environment, id: PodId, pod: &Pod) {
        let reference = ObjectReference { kind: Kind::Pod, id: pod.id.clone() };
        match env.try_act(ACTOR, Action::EvictPod(id, None)) {
            Ok(()) => {
                self.refused.remove(&pod.id);
                env.emit_event(ACTOR, &reference, "Evicted", "Evicted pod".to_owned());
            }
            Err(why) => {
                if self.refused.insert(pod.id.clone()) {
                    let message = format!("Failed to drain node, {why}");
                    env.warn(ACTOR, &reference, "FailedDraining", message);
                }
            }
        }
    }
}

/// True if a drain evicts the pod and waits for it (`IsDrainable`).
fn is_drained(pod: &Pod) -> bool {
    let taint = disrupted_taint();
    let tolerates = pod.template.spec.tolerations.iter().any(|one| one.tolerates(&taint));
    !tolerates && pod.owner != PodOwner::Node
}

/// True if no volume is attached to a node, apart from those of pods that stay on it.
fn has_no_volumes(env: &Environment, node: NodeId) -> bool {
    let store = env.store();
    let stays = |claim: ClaimId| {
        let mut pods = store.pods_on(node);
        pods.any(|(_, pod)| store.claims_of(pod).any(|(own, _)| own == claim))
    };
    store.attached_to(node).all(stays)
}

/// The eviction group of a pod, lowest first (`groupPodsByPriority`).
fn group(pod: &Pod) -> u8 {
    let is_critical = pod.template.spec.priority.is_some_and(|priority| priority >= CRITICAL);
    2 * u8::from(is_critical) + u8::from(pod.owner == PodOwner::DaemonSet)
}
