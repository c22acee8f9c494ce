//! The control loops of kube-controller-manager, one file each. They read a view and ask for
//! actions; they hold no clock, no I/O and no randomness.

use std::fmt;

use crate::cluster::deployment::{DeploymentId, ReplicaSetId};
use crate::cluster::hpa_object::HpaId;
use crate::cluster::node::NodeId;
use crate::cluster::pod::PodId;
use crate::cluster::policy::PodDisruptionBudgetId;
use crate::cluster::service::ServiceId;
use crate::cluster::{Action, Change, ClusterView, Refused};
use crate::engine::{SimDuration, SimTime};

/// A control loop.
///
/// The rule of every decision is a free function of its inputs and `now` in the controller's file;
/// `reconcile` only gathers the inputs and translates the decision into actions.
pub trait Controller: fmt::Debug + Send + Sync {
    /// Its name in the audit trail, as kube-controller-manager calls it (`deployment-controller`).
    fn name(&self) -> &'static str;

    /// Adds the keys that a change makes it look at.
    fn wakes_on(&self, view: ClusterView<'_>, change: Change, wake: &mut Vec<Key>);

    /// Keys to look at when the control plane starts; controllers that run on a timer begin here.
    fn starts_with(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Looks at one object and asks for what is missing.
    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue;

    /// Hears that actions of its last reconcile were refused, with the number of refusals and the
    /// first of them; it may ask for more (a status that says so) and for another try.
    fn refused(
        &mut self,
        view: ClusterView<'_>,
        key: Key,
        refusals: &[Refused],
        actions: &mut Actions,
    ) -> Requeue {
        let _ = (view, key, refusals, actions);
        Requeue::No
    }

    /// A copy with all that it remembers, for snapshots.
    fn boxed_clone(&self) -> Box<dyn Controller>;
}

/// The work-queue key of a control loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A Deployment.
    Deployment(DeploymentId),
    /// A ReplicaSet.
    ReplicaSet(ReplicaSetId),
    /// An HPA.
    Hpa(HpaId),
    /// A node.
    Node(NodeId),
    /// A pod.
    Pod(PodId),
    /// A Service.
    Service(ServiceId),
    /// A PodDisruptionBudget.
    PodDisruptionBudget(PodDisruptionBudgetId),
    /// The one pass of a loop that runs on a timer; the number tells several apart.
    Pass(u8),
}

/// When a control loop wants to look at a key again on its own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requeue {
    /// When something changes.
    #[default]
    No,
    /// After this long, whatever happens.
    After(SimDuration),
    /// At this instant.
    At(SimTime),
}

/// The requests of one reconcile, in order.
#[derive(Debug, Default)]
pub struct Actions {
    requests: Vec<Action>,
}

impl Actions {
    /// Adds a request.
    pub fn push(&mut self, action: Action) {
        self.requests.push(action);
    }

    /// All requests, in order; empties the list.
    pub fn drain(&mut self) -> impl Iterator<Item = Action> + '_ {
        self.requests.drain(..)
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}
