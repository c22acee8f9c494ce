//! The log of the control plane, for its observers.

use std::collections::BTreeSet;

use super::watch::Watch;
use cluster::action::Event;
use cluster::selection::Selecting;
use cluster::service::ServiceId;
use cluster::{Change, ClusterView, ObjectId, Refused};
use engine::SimTime;

/// Observes every action as it is carried out.
pub trait Observer {
    /// Called after each action with its changes; `view` is the state right after it.
    fn changed(&mut self, view: ClusterView<'_>, changes: &[Change]);

    /// Called for each new entry of the audit trail.
    fn logged(&mut self, entry: LogEntry);
}

/// Changes and log entries not yet processed: the scheduler, kubelets and traffic read the changes, the recorder
/// reads both.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Changes of objects, in order.
    pub changes: Vec<Change>,
    /// The audit trail, in order.
    pub log: Vec<LogEntry>,
    /// The watch, if one was requested.
    pub watch: Option<Watch>,
    /// The Services of which a pod or the spec changed since this was last taken; `None` while nobody takes it.
    pub changed_services: Option<BTreeSet<ServiceId>>,
}

/// One entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Time of the entry.
    pub at: SimTime,
    /// The actor: a component or controller under its Kubernetes name, `user`, or a fault.
    pub actor: &'static str,
    /// The content.
    pub what: Logged,
}

/// Content of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// A decision with its reason, worded as by the component that made it.
    Event(Event),
    /// A request that the API server refused.
    Refused {
        /// The request, as named by [`cluster::Action::verb`].
        verb: &'static str,
        /// The reason.
        why: Refused,
    },
}

impl Journal {
    /// Clears everything for reuse.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.log.clear();
    }

    /// Moves everything into these lists, which must be empty; the watch stays.
    pub(crate) fn take_into(&mut self, changes: &mut Vec<Change>, log: &mut Vec<LogEntry>) {
        debug_assert!(changes.is_empty() && log.is_empty(), "nothing is lost");
        std::mem::swap(&mut self.changes, changes);
        std::mem::swap(&mut self.log, log);
    }
}

impl Observer for Journal {
    fn changed(&mut self, view: ClusterView<'_>, changes: &[Change]) {
        self.changes.extend_from_slice(changes);
        if let Some(services) = &mut self.changed_services {
            for change in changes {
                note_services(view, change, services);
            }
        }
        if let Some(watch) = &mut self.watch {
            for change in changes {
                watch.changed(view, change);
            }
        }
    }

    fn logged(&mut self, entry: LogEntry) {
        if let Some(watch) = &mut self.watch {
            watch.logged(&entry);
        }
        self.log.push(entry);
    }
}

/// Adds the Services that a change concerns: their spec, or a pod that they select.
fn note_services(view: ClusterView<'_>, change: &Change, services: &mut BTreeSet<ServiceId>) {
    match *change {
        Change::PodAdded(pod) | Change::PodUpdated(pod, _) => {
            let Some(pod) = view.pods().get(pod) else { return };
            services.extend(view.store().selecting(pod).filter_map(|selecting| match selecting {
                Selecting::Service(service) => Some(service),
                Selecting::PodDisruptionBudget(_) => None,
            }));
        }
        Change::SelectedPodRemoved(Selecting::Service(service), _)
        | Change::Spec(ObjectId::Service(service), _)
        | Change::Removed { object: ObjectId::Service(service), .. } => {
            services.insert(service);
        }
        _ => {}
    }
}
