//! What happened in the control plane, for those who follow it.

use super::watch::Watch;
use cluster::action::Event;
use cluster::{Change, ClusterView, Refused};
use engine::SimTime;

/// Somebody who follows every action as it is carried out.
pub trait Observer {
    /// Objects changed; `view` shows them right after, before anything else happens.
    fn changed(&mut self, view: ClusterView<'_>, changes: &[Change]);

    /// The audit trail has another entry.
    fn logged(&mut self, entry: LogEntry);
}

/// What happened, for those who follow in steps: the scheduler, kubelets and traffic read the
/// changes, the recorder reads both.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Changes of objects, in their order.
    pub changes: Vec<Change>,
    /// The audit trail, in its order.
    pub log: Vec<LogEntry>,
    /// What is watched, if somebody does.
    pub watch: Option<Watch>,
}

/// One entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// When.
    pub at: SimTime,
    /// Who: a component or controller under its Kubernetes name, `user`, or a fault.
    pub actor: &'static str,
    /// What.
    pub what: Logged,
}

/// What the audit trail holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// A decision with its reason, in the words of the component that took it.
    Event(Event),
    /// A request that the API server turned down.
    Refused {
        /// What was asked for, as [`cluster::Action::verb`] names it.
        verb: &'static str,
        /// Why not.
        why: Refused,
    },
}

impl Journal {
    /// Forgets everything, so that it can be used again.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.log.clear();
    }

    /// Hands out everything, into lists that are empty; what is watched stays.
    pub fn take_into(&mut self, changes: &mut Vec<Change>, log: &mut Vec<LogEntry>) {
        debug_assert!(changes.is_empty() && log.is_empty(), "nothing is lost");
        std::mem::swap(&mut self.changes, changes);
        std::mem::swap(&mut self.log, log);
    }
}

impl Observer for Journal {
    fn changed(&mut self, view: ClusterView<'_>, changes: &[Change]) {
        self.changes.extend_from_slice(changes);
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
