//! Kueue, 0.14: Jobs with a queue stay suspended, and pods gated, until their ClusterQueue has quota for them.
//!
//! `workload` is what is admitted as a whole, `quota` what is left, `flavors` assigns flavors, `cycle` admits,
//! `preemption` makes room. The Workload objects of Kueue are a part of this controller: what they hold is derived from
//! Jobs and pods.

pub mod cycle;
mod explain;
pub mod flavors;
pub mod preemption;
pub mod quota;
mod sync;
#[cfg(test)]
mod tests;
pub mod workload;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

use super::{Actions, Controller, Explain, Key, Requeue, Watches};
use cluster::job::JobId;
use cluster::kueue::{ADMISSION_GATE, ClusterQueueId};
use cluster::pod::PodId;
use cluster::pod_template::Toleration;
use cluster::{Change, ClusterView, Labels, Name, ObjectId, PodChanges};
use engine::SimTime;
use workload::{Groups, WorkloadId};

/// Kueue.
#[derive(Clone, Debug, Default)]
pub struct KueueController {
    /// Workloads with a reservation of quota.
    admissions: BTreeMap<WorkloadId, Admission>,
    /// Jobs as they were written, as far as an admission changes them.
    written: BTreeMap<JobId, Written>,
    /// The existing pods that came with its gate.
    pods: BTreeSet<PodId>,
    groups: Groups,
    /// The last decisions, by ClusterQueue.
    last: BTreeMap<ClusterQueueId, String>,
}

/// The fields of a Job that its admission changes.
#[derive(Clone, Debug)]
struct Written {
    selector: Labels,
    tolerations: Vec<Toleration>,
    parallelism: i32,
    completions: Option<i32>,
}

/// The reservation of a workload.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    queue: Name,
    /// Flavor by resource, of each set of pods.
    flavors: BTreeMap<Name, BTreeMap<Name, Name>>,
    since: SimTime,
    is_evicted: bool,
}

impl Controller for KueueController {
    fn name(&self) -> &'static str {
        "kueue"
    }

    fn watches(&self) -> Watches {
        Watches::JOBS.and(Watches::QUEUES).and(Watches::PODS).and(Watches::STATEFUL_SETS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let concerns = match *change {
            Change::PodAdded(id) => {
                let pod = view.pods().get(id);
                let is_gated = pod.is_some_and(|pod| {
                    let gates = &view.template_of(pod).spec.scheduling_gates;
                    gates.iter().any(|gate| **gate == *ADMISSION_GATE)
                });
                is_gated && self.pods.insert(id)
            }
            Change::PodUpdated(id, what) => what.has(PodChanges::PHASE) && self.pods.contains(&id),
            Change::PodRemoved { pod, .. } => self.pods.remove(&pod),
            Change::Spec(ObjectId::StatefulSet(_), _) => !self.pods.is_empty(),
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
