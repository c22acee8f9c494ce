//! The interface between a control loop and the control plane running it.

use std::fmt;

use super::{Actions, Key, QueueSettings, RecordedRequest, Requeue, Watches};
use cluster::{Action, Change, ClusterView, Refused, Store};
use engine::SimTime;

/// A control loop.
///
/// The rule of every decision is a free function of its inputs and `now` in the controller's file;
/// `reconcile` only gathers the inputs and translates the decision into actions.
pub trait Controller: fmt::Debug + Send + Sync {
    /// Its name in the audit trail, as in kube-controller-manager (`deployment-controller`).
    fn name(&self) -> &'static str;

    /// The changes it watches: no others are passed to [`Self::wakes_on`].
    fn watches(&self) -> Watches {
        Watches::ALL
    }

    /// Enqueues the keys that a change affects. A controller may remember what changed, and look at nothing else when it
    /// reconciles.
    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>);

    /// Configuration of its work queue; constant for a controller.
    fn queue(&self) -> QueueSettings {
        QueueSettings::default()
    }

    /// Reconciles one object and requests the necessary changes.
    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue;

    /// Receives the requests of the last reconcile that the API server refused, and may issue more (such as a status
    /// reporting the failure). Otherwise the key is retried after its back-off.
    fn refused(
        &mut self,
        view: ClusterView<'_>,
        key: Key,
        refusals: &[Refused],
        actions: &mut Actions,
    ) -> Requeue {
        let _ = (view, key, refusals, actions);
        Requeue::Backoff
    }

    /// Called for each of its requests just before it is carried out; returns the request if Events are to record its
    /// outcome. Events that are known in advance are actions of their own.
    fn records(&self, store: &Store, action: &Action) -> Option<RecordedRequest> {
        let _ = (store, action);
        None
    }

    /// `Some(self)` if it reuses decisions while their inputs are unchanged.
    fn memoized(&self) -> Option<&dyn Memoize> {
        None
    }

    /// `Some(self)` if it can explain its decisions.
    fn explanations(&self) -> Option<&dyn Explain> {
        None
    }

    /// A copy including its state, for snapshots.
    fn boxed_clone(&self) -> Box<dyn Controller>;
}

/// A controller that reuses its last decision about a key, and does no work for it, until a change
/// invalidates the decision.
pub trait Memoize {
    /// The changes it receives without the delay of a watch: no others invalidate anything.
    fn invalidated_by(&self) -> Watches;

    /// Adds the keys whose decisions a change invalidates: they are reconciled again at the same instant.
    fn invalidates_on(&self, view: ClusterView<'_>, change: &Change, invalidated: &mut Vec<Key>);
}

/// A controller that can explain its decisions.
pub trait Explain {
    /// Its last decision for a key up to `now`, as text with the actual numbers.
    fn explain(&self, key: Key, now: SimTime) -> Option<String>;

    /// The same with named numbers, if the decision has such a form.
    fn explain_as_json(&self, key: Key, now: SimTime) -> Option<serde_json::Value> {
        let _ = (key, now);
        None
    }

    /// The last decision for a key as a table row, if it has such a form.
    fn explain_as_row(&self, key: Key, now: SimTime) -> Option<Row> {
        let _ = (key, now);
        None
    }
}

/// A decision as a row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Time of the decision.
    pub at: SimTime,
    /// Column titles and cell texts.
    pub cells: Vec<(&'static str, String)>,
    /// Whether it changed something.
    pub is_change: bool,
}
