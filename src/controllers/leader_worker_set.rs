//! The pod controller of LeaderWorkerSets: a group restarts as a whole if one of its pods is deleted or one of its
//! containers restarts (`restartPolicy: RecreateGroupOnPodRestart`; lws `handleRestartPolicy`).

use std::collections::BTreeSet;

use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::action::{Event, PodDeletion};
use cluster::pod::{Pod, PodId};
use cluster::starts_after::RECREATES_GROUP;
use cluster::{Action, Change, ClusterView, Kind, Name, PodChanges};

/// Label of the workers of a group: the name of its leader.
const GROUP_KEY: &str = "leaderworkerset.sigs.k8s.io/group-key";

/// The controller of groups.
#[derive(Clone, Debug, Default)]
pub struct LeaderWorkerSetController {
    /// Pods of groups that are being recreated: their end recreates nothing again.
    leaving: BTreeSet<PodId>,
}

/// Whether the group of a pod restarts: the pod is being deleted, or a container of it has restarted.
fn ends_group(pod: &Pod) -> bool {
    pod.is_terminating() || (!pod.phase.is_terminal() && pod.restarts.containers_max > 0)
}

fn leader_of(view: ClusterView<'_>, pod: &Pod) -> Name {
    let key = view.template_of(pod).labels.get(GROUP_KEY);
    key.cloned().unwrap_or_else(|| pod.name().clone())
}

fn is_of_group(view: ClusterView<'_>, pod: &Pod) -> bool {
    view.template_of(pod).annotations.contains_key(RECREATES_GROUP)
}

impl Controller for LeaderWorkerSetController {
    fn name(&self) -> &'static str {
        "leaderworkerset-controller"
    }

    fn watches(&self) -> Watches {
        Watches::PODS_OF_STATEFUL_SETS
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        match *change {
            Change::PodRemoved { pod, .. } => _ = self.leaving.remove(&pod),
            Change::PodUpdated(id, what)
                if what.has(PodChanges::RESTARTED.and(PodChanges::DELETION_REQUESTED)) =>
            {
                let pod = view.pods().get(id);
                let is_news = pod.is_some_and(|pod| is_of_group(view, pod) && ends_group(pod));
                if is_news && !self.leaving.contains(&id) {
                    wake.push(Key::Pod(id));
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Pod(id) = key else { return Requeue::No };
        let Some(pod) = view.pods().get(id).filter(|pod| ends_group(pod)) else {
            return Requeue::No;
        };
        if self.leaving.contains(&id) {
            return Requeue::No;
        }
        let leader = leader_of(view, pod);
        let members = view.store().pods_in(&pod.id.namespace);
        let members =
            members.filter(|(_, one)| is_of_group(view, one) && leader_of(view, one) == leader);
        let members: Vec<(PodId, &Pod)> = members.collect();
        for (member, one) in members {
            if self.leaving.insert(member) && !one.is_terminating() {
                actions.push(Action::DeletePod(member, PodDeletion::default()));
            }
        }
        let message =
            format!("Pod {} failed, deleted leader pod {leader} to recreate its group", pod.name());
        actions.push(Action::Event(Box::new(Event {
            kind: Kind::Pod,
            object: pod.id.clone(),
            is_warning: false,
            reason: "RecreateGroup",
            message,
        })));
        Requeue::No
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
