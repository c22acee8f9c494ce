//! Admits waiting Jobs, and decides which running ones make room (`pkg/scheduler/scheduler.go`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use super::flavors::{Assignment, Mode, assign};
use super::preemption::{self, Preemption};
use super::quota::{FlavorResource, Quotas, Usage};
use cluster::Name;
use cluster::job::JobId;
use cluster::kueue::{ClusterQueueSpec, QueuePreemption, ResourceFlavorSpec};
use cluster::pod_template::PodSpec;
use engine::SimTime;

/// A Job that waits for its admission.
#[derive(Clone, Debug)]
pub struct Pending<'a> {
    /// The Job.
    pub job: JobId,
    /// Its ClusterQueue.
    pub queue: Name,
    /// Its priority there.
    pub priority: i32,
    /// When it was created, with a number that orders Jobs of one instant.
    pub created: (SimTime, u64),
    /// Its pods.
    pub pod: &'a PodSpec,
    /// What they request together, thousandths of a unit.
    pub requests: BTreeMap<Name, i64>,
}

/// A Job with a reservation of quota.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The Job.
    pub job: JobId,
    /// Its ClusterQueue.
    pub queue: Name,
    /// Its priority there.
    pub priority: i32,
    /// When it was created, as of a waiting one.
    pub created: (SimTime, u64),
    /// When it was admitted.
    pub since: SimTime,
    /// What it uses.
    pub usage: Usage,
    /// Whether it has been asked to make room.
    pub is_evicted: bool,
}

/// Queues and flavors.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The ClusterQueues.
    pub queues: BTreeMap<Name, &'a ClusterQueueSpec>,
    /// The ResourceFlavors.
    pub flavors: BTreeMap<Name, &'a ResourceFlavorSpec>,
}

/// The decisions of one pass.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    /// Jobs to admit, with their flavors.
    pub admitted: Vec<(JobId, Name, Assignment)>,
    /// Jobs to evict.
    pub preempted: Vec<Preemption>,
    /// Why the others wait.
    pub waits: BTreeMap<JobId, String>,
}

/// Runs scheduling cycles until no waiting Job can be admitted.
///
/// A cycle takes the first Job of each ClusterQueue. Those that need no borrowing come first, then those of higher
/// priority, then older ones.
pub fn run(setup: &Setup<'_>, admitted: &[Admitted], pending: Vec<Pending<'_>>) -> Decisions {
    let mut quotas = Quotas::default();
    for (name, spec) in &setup.queues {
        quotas.add_queue(name.clone(), spec);
    }
    for one in admitted {
        quotas.add(&one.queue, &one.usage);
    }
    let mut decisions = Decisions::default();
    let mut queues = in_order(pending);
    loop {
        let heads = queues.values_mut().filter_map(VecDeque::pop_front);
        let mut entries: Vec<(Pending<'_>, Assignment)> = heads
            .filter_map(|head| {
                let spec = setup.queues.get(&head.queue)?;
                let queue = (&head.queue, *spec);
                let simulate = |resource: &FlavorResource, amount: i64| {
                    let wanted = (resource, amount);
                    preemption::simulate(setup, &quotas, admitted, &head, wanted)
                };
                let (flavors, requests) = (&setup.flavors, &head.requests);
                let assignment = assign(&quotas, queue, flavors, head.pod, requests, &simulate);
                Some((head, assignment))
            })
            .collect();
        if entries.is_empty() {
            return decisions;
        }
        entries.sort_by_key(|(head, assignment)| {
            (assignment.borrows, Reverse(head.priority), head.created)
        });
        for (head, assignment) in entries {
            let queue = head.queue.clone();
            if assignment.mode == Mode::Fit && !quotas.fits(&queue, &assignment.usage) {
                // Another Job of this cycle took the quota: it is considered again in the next.
                queues.entry(queue).or_default().push_front(head);
                continue;
            }
            if assignment.mode == Mode::Fit {
                quotas.add(&queue, &assignment.usage);
                decisions.admitted.push((head.job, queue, assignment));
                continue;
            }
            let victims = match assignment.mode {
                Mode::Preempt => {
                    preemption::victims(setup, &quotas, admitted, &head, &assignment.usage)
                }
                Mode::Fit | Mode::NoFit => Vec::new(),
            };
            let is_strict = setup.queues.get(&queue).is_some_and(|spec| spec.is_strict);
            if is_strict || !victims.is_empty() {
                // Those behind it wait until it is admitted.
                block(&mut queues, &queue, &mut decisions.waits, head.job);
            }
            if is_strict && assignment.mode == Mode::Preempt && victims.is_empty() {
                reserve(setup, &mut quotas, &queue, &assignment);
            }
            let reasons = assignment.reasons.join(", ");
            let wait = if victims.is_empty() {
                format!("couldn't assign flavors: {reasons}")
            } else {
                for victim in &victims {
                    if let Some(one) = admitted.iter().find(|one| one.job == victim.victim) {
                        quotas.remove(&one.queue, &one.usage);
                    }
                }
                // What becomes free is for it.
                quotas.add(&queue, &assignment.usage);
                format!("waits for {} preempted Jobs to end: {reasons}", victims.len())
            };
            decisions.waits.insert(head.job, wait);
            decisions.preempted.extend(victims);
        }
    }
}

/// Keeps free quota for the first Job of a queue that waits in order: it is considered again in each cycle, and where
/// its queue cannot always reclaim its own, those of other queues must not borrow it meanwhile (`resourcesToReserve`).
fn reserve(setup: &Setup<'_>, quotas: &mut Quotas, queue: &Name, assignment: &Assignment) {
    let reclaims = setup.queues.get(queue).map(|spec| spec.within_cohort);
    if reclaims == Some(QueuePreemption::Any) {
        return;
    }
    let kept = assignment.usage.iter().map(|(resource, amount)| {
        let (quota, used) = quotas.of(queue, resource);
        let most = match (assignment.borrows, quota.borrowing_limit_milli) {
            (false, _) => quota.nominal_milli,
            (true, Some(limit)) => quota.nominal_milli.saturating_add(limit),
            (true, None) => i64::MAX,
        };
        (resource.clone(), (*amount).min(most.saturating_sub(used)).max(0))
    });
    let kept: Usage = kept.collect();
    quotas.add(queue, &kept);
}

/// The waiting Jobs by queue, those of higher priority first, then older ones.
fn in_order(mut pending: Vec<Pending<'_>>) -> BTreeMap<Name, VecDeque<Pending<'_>>> {
    pending.sort_by_key(|one| (Reverse(one.priority), one.created));
    let mut queues: BTreeMap<Name, VecDeque<Pending<'_>>> = BTreeMap::new();
    for one in pending {
        queues.entry(one.queue.clone()).or_default().push_back(one);
    }
    queues
}

fn block(
    queues: &mut BTreeMap<Name, VecDeque<Pending<'_>>>,
    queue: &Name,
    waits: &mut BTreeMap<JobId, String>,
    head: JobId,
) {
    for behind in queues.remove(queue).into_iter().flatten().filter(|one| one.job != head) {
        waits.insert(behind.job, "waits behind the first Job of its queue".to_owned());
    }
}
