//! Shared by controllers that own pods: the owner affected by a change of a pod, and their Events on the owner, which
//! all have the same wording (`RealPodControl` of `pkg/controller/controller_utils.go`).

use super::stateful_set::events::StatefulPodOperation;
use cluster::action::Event;
use cluster::pod::Owner;
use cluster::{Action, Change, ClusterView, NamespacedName, Refused, Store};

/// The owner of the pod that a change is about; `None` for other changes, and pods without an owner.
pub(crate) fn owner_of_changed_pod(view: ClusterView<'_>, change: &Change) -> Option<Owner> {
    match *change {
        Change::PodAdded(pod) | Change::PodUpdated(pod, _) => view.pods().get(pod)?.owner,
        Change::PodRemoved { owner, .. } => owner,
        _ => None,
    }
}

/// A controller's request about to be carried out, whose outcome Events record (the calls of client-go's
/// `EventRecorder` around API calls).
#[derive(Clone, Debug)]
pub enum RecordedRequest {
    /// A pod's creation or deletion by any controller but that of StatefulSets.
    Pod(PodOperation),
    /// The creation of a StatefulSet's pod and its claims.
    StatefulPod(StatefulPodOperation),
}

impl RecordedRequest {
    /// Emits the Events about its outcome, in order; `changes` are those that it made.
    pub fn record(
        self,
        store: &Store,
        result: &Result<(), Refused>,
        changes: &[Change],
        record: impl FnMut(Event),
    ) {
        match self {
            Self::Pod(operation) => {
                operation.event(store, result, changes).into_iter().for_each(record);
            }
            Self::StatefulPod(operation) => {
                operation.events(store, result).into_iter().for_each(record);
            }
        }
    }
}

/// A creation or deletion of a pod about to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodOperation {
    owner: Owner,
    /// The pod to be deleted; absent for a creation.
    deleted: Option<NamespacedName>,
}

impl PodOperation {
    /// The operation in a request, if it creates or deletes an owned pod.
    pub fn of(store: &Store, action: &Action) -> Option<Self> {
        match action {
            Action::CreatePod(draft) => Some(Self { owner: draft.owner?, deleted: None }),
            Action::DeletePod(pod, _) => {
                let pod = store.pods().get(*pod)?;
                Some(Self { owner: pod.owner?, deleted: Some(pod.id.clone()) })
            }
            _ => None,
        }
    }

    /// The Event about its outcome; `None` for the deletion of a pod that no longer exists.
    pub fn event(
        self,
        store: &Store,
        result: &Result<(), Refused>,
        changes: &[Change],
    ) -> Option<Event> {
        let (kind, object) = store.identity_of(self.owner)?;
        let event = |is_warning, reason, message| {
            Some(Event { kind, object: object.clone(), is_warning, reason, message })
        };
        match (self.deleted, result) {
            (None, Ok(())) => {
                let Some(Change::PodAdded(pod)) = changes.first() else { return None };
                let name = store.pods().get(*pod)?.name();
                event(false, "SuccessfulCreate", ["Created pod: ", name].concat())
            }
            (None, Err(why)) => event(true, "FailedCreate", format!("Error creating: {why}")),
            (Some(pod), Ok(())) => {
                event(false, "SuccessfulDelete", ["Deleted pod: ", &pod.name].concat())
            }
            (Some(_), Err(Refused::NotFound)) => None,
            (Some(_), Err(why)) => event(true, "FailedDelete", format!("Error deleting: {why}")),
        }
    }
}
