//! The DaemonSet controller (`pkg/controller/daemon`, 1.36): a pod on each node that should have one.
//! The scheduler binds them, as their affinity names the node.

mod backoff;
pub mod placement;
mod rolling;
mod sync;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::backoff::FailedPodBackoff;
use self::placement::{Placement, placement};
use self::sync::Sync;
use super::pod_control::{PodOperation, owner_of_changed_pod};
use super::{Actions, Controller, Key, RecordedRequest, Requeue, Watches};
use cluster::daemon_set::DaemonSetId;
use cluster::node::NodeId;
use cluster::pod::Owner;
use cluster::pod_template::PodTemplate;
use cluster::{Action, Change, ClusterView, Name, ObjectId, Store};

/// The DaemonSet controller.
#[derive(Clone, Debug, Default)]
pub struct DaemonSetController {
    backoff: FailedPodBackoff,
    judged: BTreeMap<DaemonSetId, PlacementCache>,
}

/// The nodes as they were last judged for a DaemonSet.
#[derive(Clone, Debug)]
struct PlacementCache {
    /// The store's revision of the nodes.
    nodes_revision: u64,
    /// The hash of the set's revision.
    hash: Name,
    /// The pod template of that revision, before a node is assigned.
    template: Arc<PodTemplate>,
    /// All nodes, ordered by name.
    nodes: Arc<[(NodeId, Placement)]>,
}

impl DaemonSetController {
    /// Whether a new or changed node affects a set: it lacks a pod, has one that must not stay, or has one while some
    /// are counted as misscheduled (`addNode`, `syncNodeUpdate`).
    fn concerns(
        &self,
        view: ClusterView<'_>,
        set: DaemonSetId,
        node: NodeId,
        is_new: bool,
    ) -> bool {
        let Some(judged) = self.judged.get(&set) else { return true };
        let owner = Some(Owner::DaemonSet(set));
        let Some(object) = view.nodes().get(node) else { return false };
        let Placement { should_run, should_continue } = placement(&judged.template, object);
        if is_new {
            return should_run;
        }
        let has_pod = view.store().pods_on(node).any(|(_, pod)| pod.owner == owner);
        let has_misscheduled = || {
            let set = view.daemon_sets().get(set);
            set.is_some_and(|set| set.status.number_misscheduled > 0)
        };
        if has_pod { !should_continue || has_misscheduled() } else { should_run }
    }
}

impl Controller for DaemonSetController {
    fn name(&self) -> &'static str {
        "daemonset-controller"
    }

    fn watches(&self) -> Watches {
        Watches::DAEMON_SETS.and(Watches::NODES).and(Watches::PODS_OF_DAEMON_SETS)
    }

    fn wakes_on(&self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let owner = match *change {
            Change::Spec(ObjectId::DaemonSet(set), _)
            | Change::Status(ObjectId::DaemonSet(set)) => {
                wake.push(Key::DaemonSet(set));
                None
            }
            // Removed nodes do not enqueue anything; changes of their pods do.
            Change::NodeAdded(node) | Change::NodeUpdated(node) => {
                let is_new = matches!(change, Change::NodeAdded(_));
                let sets = view.daemon_sets().iter().map(|(id, _)| id);
                let concerned = sets.filter(|set| self.concerns(view, *set, node, is_new));
                wake.extend(concerned.map(Key::DaemonSet));
                None
            }
            _ => owner_of_changed_pod(view, change),
        };
        if let Some(Owner::DaemonSet(set)) = owner {
            wake.push(Key::DaemonSet(set));
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::DaemonSet(id) = key else { return Requeue::No };
        if let Some(sync) = Sync::new(view, id, &mut self.backoff, &mut self.judged) {
            return sync.run(actions);
        }
        self.backoff.forget(id);
        self.judged.remove(&id);
        Requeue::No
    }

    fn records(&self, store: &Store, action: &Action) -> Option<RecordedRequest> {
        PodOperation::of(store, action).map(RecordedRequest::Pod)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
