//! The taint eviction controller (`pkg/controller/tainteviction`, 1.36): deletes pods from nodes whose NoExecute
//! taints they do not tolerate, or no longer tolerate. Sets no taints.

use std::collections::BTreeMap;

use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::action::{Event, PodDeletion};
use cluster::node::{NOT_READY_TAINT, NodeId, Taint, UNREACHABLE_TAINT};
use cluster::pod::PodId;
use cluster::pod_template::{TaintEffect, Toleration, TolerationOperator};
use cluster::{Action, Change, ClusterView, Kind, ObjectId, PodChanges};
use engine::{SimDuration, SimTime};

/// Reason of the DisruptionTarget condition of the pods that it deletes.
pub(crate) const DISRUPTION_REASON: &str = "DeletionByTaintManager";

/// Default toleration that admission adds for unreachable and not-ready nodes, in seconds
/// (`DefaultTolerationSeconds`).
const DEFAULT_TOLERATION_SECONDS: i64 = 300;

/// The taint eviction controller.
#[derive(Clone, Debug, Default)]
pub struct TaintEvictionController {
    /// NoExecute taints of the nodes that have any, as last seen.
    taints: BTreeMap<NodeId, Vec<Taint>>,
    evictions: BTreeMap<PodId, Eviction>,
}

/// The scheduled eviction of a pod on a tainted node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Eviction {
    /// When it was planned.
    planned: SimTime,
    at: SimTime,
    is_done: bool,
}

/// The time for which a pod tolerates its node's NoExecute taints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TolerationTime {
    /// Not tolerated: it is evicted at once.
    None,
    /// Tolerated for this time.
    For(SimDuration),
    /// Tolerated without limit.
    Forever,
}

/// The time that tolerations allow: each taint must be tolerated, and the shortest time of the first matching
/// tolerations counts (`GetMatchingTolerations`, `getMinTolerationTime`).
fn toleration_time(taints: &[Taint], tolerations: &[Toleration]) -> TolerationTime {
    let mut shortest = TolerationTime::Forever;
    for taint in taints {
        let Some(used) = tolerations.iter().find(|toleration| toleration.tolerates(taint)) else {
            return TolerationTime::None;
        };
        let Some(seconds) = used.toleration_seconds else { continue };
        let limit = SimDuration::from_secs(seconds.max(0));
        shortest = match shortest {
            TolerationTime::For(other) => TolerationTime::For(other.min(limit)),
            _ => TolerationTime::For(limit),
        };
    }
    shortest
}

/// A pod's tolerations including those added by admission (`plugin/pkg/admission/defaulttolerationseconds`).
fn admitted_tolerations(own: &[Toleration]) -> Vec<Toleration> {
    let mut tolerations = own.to_vec();
    for key in [NOT_READY_TAINT, UNREACHABLE_TAINT] {
        let is_covered = own.iter().any(|toleration| {
            (toleration.key.is_empty() || toleration.key.as_ref() == key)
                && toleration.effect.is_none_or(|effect| effect == TaintEffect::NoExecute)
        });
        if !is_covered {
            tolerations.push(Toleration {
                key: key.into(),
                operator: TolerationOperator::Exists,
                value: "".into(),
                effect: Some(TaintEffect::NoExecute),
                toleration_seconds: Some(DEFAULT_TOLERATION_SECONDS),
            });
        }
    }
    tolerations
}

impl Controller for TaintEvictionController {
    fn name(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn watches(&self) -> Watches {
        Watches::NODES.and(Watches::PODS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        match *change {
            Change::NodeAdded(node) | Change::NodeUpdated(node) => {
                let now_tainted = view.nodes().get(node).is_some_and(|node| {
                    node.taints.iter().any(|taint| taint.effect == TaintEffect::NoExecute)
                });
                if now_tainted || self.taints.contains_key(&node) {
                    wake.push(Key::Node(node));
                }
            }
            Change::Removed { object: ObjectId::Node(node), .. }
                if self.taints.contains_key(&node) =>
            {
                wake.push(Key::Node(node));
            }
            Change::PodUpdated(pod, what) if what.has(PodChanges::BOUND) => {
                let node = view.pods().get(pod).and_then(|pod| pod.node);
                if node.is_some_and(|node| self.taints.contains_key(&node)) {
                    wake.push(Key::Pod(pod));
                }
            }
            Change::PodRemoved { pod, .. } if self.evictions.contains_key(&pod) => {
                wake.push(Key::Pod(pod));
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        match key {
            Key::Node(node) => self.node_updated(view, node, actions),
            Key::Pod(pod) => return self.pod_due(view, pod, actions),
            _ => {}
        }
        Requeue::No
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl TaintEvictionController {
    /// Evaluates all pods of a node whose NoExecute taints changed (`handleNodeUpdate`).
    fn node_updated(&mut self, view: ClusterView<'_>, id: NodeId, actions: &mut Actions) {
        let Some(node) = view.nodes().get(id) else {
            self.taints.remove(&id);
            return;
        };
        let is_no_execute = |taint: &&Taint| taint.effect == TaintEffect::NoExecute;
        let taints: Vec<Taint> = node.taints.iter().filter(is_no_execute).cloned().collect();
        if self.taints.get(&id).is_some_and(|known| *known == taints) {
            return;
        }
        let pods: Vec<PodId> = view.pods_on(id).map(|(pod, _)| pod).collect();
        if taints.is_empty() {
            self.taints.remove(&id);
            for pod in pods {
                self.cancel(view, pod, actions);
            }
        } else {
            self.taints.insert(id, taints.clone());
            for pod in pods {
                self.judge(view, pod, &taints, actions);
            }
        }
    }

    /// Carries out a planned deletion, or examines a pod newly bound to a tainted node.
    fn pod_due(&mut self, view: ClusterView<'_>, id: PodId, actions: &mut Actions) -> Requeue {
        let Some(pod) = view.pods().get(id) else {
            self.evictions.remove(&id);
            return Requeue::No;
        };
        match self.evictions.get_mut(&id) {
            Some(eviction) if eviction.is_done => {}
            Some(eviction) if eviction.at <= view.now => {
                eviction.is_done = true;
                evict(view, id, actions);
            }
            Some(eviction) => return Requeue::At(eviction.at),
            None => {
                let taints = pod.node.and_then(|node| self.taints.get(&node)).cloned();
                if let Some(taints) = taints {
                    self.judge(view, id, &taints, actions);
                }
            }
        }
        Requeue::No
    }

    /// Decides about a pod on a tainted node (`processPodOnNode`). A scheduled eviction keeps its time, even if other
    /// taints would now let the pod stay longer or shorter.
    fn judge(&mut self, view: ClusterView<'_>, id: PodId, taints: &[Taint], actions: &mut Actions) {
        let Some(pod) = view.pods().get(id) else { return };
        let tolerations = admitted_tolerations(&view.template_of(pod).spec.tolerations);
        let planned = self.evictions.get(&id).copied();
        match toleration_time(taints, &tolerations) {
            TolerationTime::None => {
                self.evictions
                    .insert(id, Eviction { planned: view.now, at: view.now, is_done: true });
                evict(view, id, actions);
            }
            TolerationTime::Forever => self.cancel(view, id, actions),
            // An eviction scheduled at this very instant is rescheduled.
            TolerationTime::For(limit)
                if planned.is_none_or(|plan| !plan.is_done && plan.planned == view.now) =>
            {
                let at = view.now + limit;
                self.evictions.insert(id, Eviction { planned: view.now, at, is_done: false });
                actions.requeue(Key::Pod(id), at);
            }
            TolerationTime::For(_) => {}
        }
    }

    fn cancel(&mut self, view: ClusterView<'_>, id: PodId, actions: &mut Actions) {
        if self.evictions.remove(&id).is_some_and(|eviction| !eviction.is_done) {
            record_event(view, id, "Cancelling deletion of Pod", actions);
        }
    }
}

fn evict(view: ClusterView<'_>, id: PodId, actions: &mut Actions) {
    record_event(view, id, "Marking for deletion Pod", actions);
    let deletion = PodDeletion { disruption: Some(DISRUPTION_REASON), ..PodDeletion::default() };
    actions.push(Action::DeletePod(id, deletion));
}

fn record_event(view: ClusterView<'_>, id: PodId, what: &str, actions: &mut Actions) {
    let Some(pod) = view.pods().get(id) else { return };
    actions.push(Action::Event(Box::new(Event {
        kind: Kind::Pod,
        object: pod.id.clone(),
        is_warning: false,
        reason: "TaintManagerEviction",
        message: format!("{what} {}", pod.id),
    })));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str) -> Taint {
        Taint {
            key: key.into(),
            value: "".into(),
            effect: TaintEffect::NoExecute,
            time_added: None,
        }
    }

    fn tolerates(key: &str, seconds: Option<i64>) -> Toleration {
        Toleration {
            key: key.into(),
            operator: TolerationOperator::Exists,
            value: "".into(),
            effect: None,
            toleration_seconds: seconds,
        }
    }

    #[test]
    fn every_taint_must_be_tolerated_and_the_shortest_time_counts() {
        let tolerations =
            [tolerates("a", Some(100)), tolerates("b", Some(60)), tolerates("c", None)];
        let stay_for = |keys: &[&str]| {
            let taints: Vec<Taint> = keys.iter().map(|key| taint(key)).collect();
            toleration_time(&taints, &tolerations)
        };
        let seconds = |seconds| TolerationTime::For(SimDuration::from_secs(seconds));
        assert_eq!(stay_for(&["a", "c"]), seconds(100));
        assert_eq!(stay_for(&["a", "b"]), seconds(60));
        assert_eq!(stay_for(&["a", "x"]), TolerationTime::None);
        assert_eq!(stay_for(&["c"]), TolerationTime::Forever);
        assert_eq!(toleration_time(&[taint("a")], &[tolerates("a", Some(-5))]), seconds(0));
    }

    #[test]
    fn admission_adds_300_seconds_unless_the_pod_says_otherwise() {
        assert_eq!(admitted_tolerations(&[]).len(), 2);
        assert_eq!(admitted_tolerations(&[tolerates("", None)]).len(), 1);
        assert_eq!(admitted_tolerations(&[tolerates(NOT_READY_TAINT, Some(1))]).len(), 2);
    }
}
