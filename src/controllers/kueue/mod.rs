//! Kueue, 0.14: Jobs with a queue stay suspended until their ClusterQueue has quota for them.
//!
//! `quota` is what is left, `flavors` assigns flavors to a Job, `cycle` admits, `preemption` makes room. The Workload
//! objects of Kueue are a part of this controller: what they hold is derived from the Jobs.

pub mod cycle;
mod explain;
pub mod flavors;
pub mod preemption;
pub mod quota;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::{Actions, Controller, Explain, Key, Requeue, Watches};
use cluster::job::JobId;
use cluster::kueue::ClusterQueueId;
use cluster::pod_template::Toleration;
use cluster::{Change, ClusterView, Labels, Name, ObjectId};
use engine::SimTime;

/// Kueue.
#[derive(Clone, Debug, Default)]
pub struct KueueController {
    /// Jobs with a reservation of quota.
    admissions: BTreeMap<JobId, Admission>,
    /// Node selector and tolerations of the Jobs as they were written.
    written: BTreeMap<JobId, (Labels, Vec<Toleration>)>,
    /// The last decisions, by ClusterQueue.
    last: BTreeMap<ClusterQueueId, String>,
}

/// The reservation of a Job.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    queue: Name,
    /// Flavor by resource.
    flavors: BTreeMap<Name, Name>,
    since: SimTime,
    is_evicted: bool,
}

impl Controller for KueueController {
    fn name(&self) -> &'static str {
        "kueue"
    }

    fn watches(&self) -> Watches {
        Watches::JOBS.and(Watches::QUEUES)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let concerns = match *change {
            Change::Spec(ObjectId::Job(_), _)
            | Change::Status(ObjectId::Job(_))
            | Change::Removed { object: ObjectId::Job(_), .. } => {
                !view.store().cluster_queues().is_empty()
            }
            Change::Spec(object, _) | Change::Removed { object, .. } => matches!(
                object,
                ObjectId::ClusterQueue(_)
                    | ObjectId::LocalQueue(_)
                    | ObjectId::ResourceFlavor(_)
                    | ObjectId::WorkloadPriorityClass(_)
            ),
            _ => false,
        };
        if concerns {
            wake.push(Key::Pass(0));
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        if key == Key::Pass(0) {
            self.sync(view, actions);
        }
        Requeue::No
    }

    fn explanations(&self) -> Option<&dyn Explain> {
        Some(self)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl Explain for KueueController {
    fn explain(&self, key: Key, _: SimTime) -> Option<String> {
        let Key::ClusterQueue(id) = key else { return None };
        self.last.get(&id).cloned()
    }
}
