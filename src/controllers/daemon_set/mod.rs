//! The DaemonSet controller (`pkg/controller/daemon`, 1.36): a pod on each node that should have one.
//! The scheduler binds them, as their affinity names the node.

mod backoff;
pub mod placement;
mod rolling;
mod roster;
mod sync;

use std::collections::BTreeMap;

use self::backoff::FailedPodBackoff;
use self::placement::{Placement, placement};
use self::roster::Roster;
use self::sync::Sync;
use super::pod_control::{PodOperation, owner_of_changed_pod};
use super::{Actions, Controller, Key, RecordedRequest, Requeue, Watches};
use cluster::daemon_set::DaemonSetId;
use cluster::node::NodeId;
use cluster::pod::Owner;
use cluster::{Action, Change, ClusterView, ObjectId, Refused, Store};

/// The DaemonSet controller.
#[derive(Clone, Debug, Default)]
pub struct DaemonSetController {
    backoff: FailedPodBackoff,
    rosters: BTreeMap<DaemonSetId, Roster>,
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
        let Some(roster) = self.rosters.get(&set) else { return true };
        let owner = Some(Owner::DaemonSet(set));
        let Some(object) = view.nodes().get(node) else { return false };
        let Placement { should_run, should_continue } = placement(&roster.template, object);
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

impl DaemonSetController {
    /// Outcome of a sync that examines every node.
    fn afresh(&self, view: ClusterView<'_>, id: DaemonSetId) -> String {
        let (mut backoff, mut rosters) = (self.backoff.clone(), BTreeMap::new());
        let mut actions = Actions::default();
        let sync = Sync::new(view, id, &mut backoff, &mut rosters);
        let requeue = sync.map_or(Requeue::No, |sync| sync.run(&mut actions));
        format!("{actions:?} {requeue:?}")
    }
}

impl Controller for DaemonSetController {
    fn name(&self) -> &'static str {
        "daemonset-controller"
    }

    fn watches(&self) -> Watches {
        Watches::DAEMON_SETS.and(Watches::NODES).and(Watches::PODS_OF_DAEMON_SETS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
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
        let afresh = cfg!(debug_assertions).then(|| self.afresh(view, id));
        if let Some(sync) = Sync::new(view, id, &mut self.backoff, &mut self.rosters) {
            let requeue = sync.run(actions);
            if let Some(afresh) = afresh {
                debug_assert_eq!(
                    format!("{actions:?} {requeue:?}"),
                    afresh,
                    "settled nodes matter"
                );
            }
            return requeue;
        }
        self.backoff.forget(id);
        self.rosters.remove(&id);
        Requeue::No
    }

    /// The status is written even if a pod was refused (`syncDaemonSet`).
    fn refused(
        &mut self,
        view: ClusterView<'_>,
        key: Key,
        _: &[Refused],
        actions: &mut Actions,
    ) -> Requeue {
        if let Key::DaemonSet(id) = key {
            let (mut backoff, mut rosters) = (self.backoff.clone(), BTreeMap::new());
            if let Some(sync) = Sync::new(view, id, &mut backoff, &mut rosters) {
                sync.write_status(actions);
            }
        }
        Requeue::Backoff
    }

    fn records(&self, store: &Store, action: &Action) -> Option<RecordedRequest> {
        PodOperation::of(store, action).map(RecordedRequest::Pod)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
