//! Admits waiting Jobs, and decides which running ones make room (`pkg/scheduler/scheduler.go`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use super::flavors::{Assignment, Mode, assign};
use super::preemption::{self, Preemption};
use super::quota::{Quotas, Usage};
use super::workload::{PodSet, WorkloadId};
use cluster::Name;
use cluster::kueue::{ClusterQueueSpec, QueuePreemption, ResourceFlavorSpec};
use engine::SimTime;

/// A workload that waits for its admission.
#[derive(Clone, Debug)]
pub struct Pending<'a> {
    /// The workload.
    pub id: WorkloadId,
    /// Its ClusterQueue.
    pub queue: Name,
    /// Its priority there.
    pub priority: i32,
    /// When it was created, with a number that orders workloads of one instant.
    pub created: (SimTime, u64),
    /// Its pods.
    pub pod_sets: Vec<PodSet<'a>>,
    /// Whether its queue has a quota of pods.
    pub counts_pods: bool,
    /// The least number of pods with which it may be admitted, if fewer than all will do.
    pub least: Option<i64>,
}

/// A workload with a reservation of quota.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The workload.
    pub id: WorkloadId,
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
    /// Workloads to admit, with their flavors.
    pub admitted: Vec<(WorkloadId, Name, Assignment)>,
    /// Workloads to evict.
    pub preempted: Vec<Preemption>,
    /// Why the others wait.
    pub waits: BTreeMap<WorkloadId, String>,
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
                let assignment = best(setup, &quotas, (&head.queue, *spec), admitted, &head);
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
                decisions.admitted.push((head.id, queue, assignment));
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
                block(&mut queues, &queue, &mut decisions.waits, head.id);
            }
            if is_strict && assignment.mode == Mode::Preempt && victims.is_empty() {
                reserve(setup, &mut quotas, &queue, &assignment);
            }
            let reasons = assignment.reasons.join(", ");
            let wait = if victims.is_empty() {
                format!("couldn't assign flavors: {reasons}")
            } else {
                for victim in &victims {
                    if let Some(one) = admitted.iter().find(|one| one.id == victim.victim) {
                        quotas.remove(&one.queue, &one.usage);
                    }
                }
                // What becomes free is for it.
                quotas.add(&queue, &assignment.usage);
                format!("waits for {} preempted Jobs to end: {reasons}", victims.len())
            };
            decisions.waits.insert(head.id, wait);
            decisions.preempted.extend(victims);
        }
    }
}

/// The flavors for a workload: with all its pods, or, if those neither fit nor can make room, with the most with which it
/// fits or can (`getInitialAssignments`, `PodSetReducer`).
fn best(
    setup: &Setup<'_>,
    quotas: &Quotas,
    queue: (&Name, &ClusterQueueSpec),
    admitted: &[Admitted],
    head: &Pending<'_>,
) -> Assignment {
    let with = |count: Option<i64>| {
        let of_set = |set: &PodSet<'_>| {
            super::workload::requests(set.pod, count.unwrap_or(set.count), head.counts_pods)
        };
        let sets: Vec<_> = head.pod_sets.iter().map(|set| (set, of_set(set))).collect();
        Assignment { count, ..assign(quotas, queue, &setup.flavors, &sets) }
    };
    let helps = |assignment: &Assignment| match assignment.mode {
        Mode::Fit => true,
        Mode::Preempt => {
            !preemption::victims(setup, quotas, admitted, head, &assignment.usage).is_empty()
        }
        Mode::NoFit => false,
    };
    let full = with(None);
    let all = head.pod_sets.first().map_or(0, |set| set.count);
    let Some(least) = head.least.filter(|least| *least < all) else { return full };
    if helps(&full) {
        return full;
    }
    // The fewer pods, the better it fits.
    let (mut fits, mut fails) = (None, all);
    let mut low = least;
    while low < fails {
        let middle = low + (fails - 1 - low + 1) / 2;
        let tried = with(Some(middle));
        if helps(&tried) {
            fits = Some(tried);
            low = middle + 1;
        } else {
            fails = middle;
        }
    }
    fits.unwrap_or(full)
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
    waits: &mut BTreeMap<WorkloadId, String>,
    head: WorkloadId,
) {
    for behind in queues.remove(queue).into_iter().flatten().filter(|one| one.id != head) {
        waits.insert(behind.id, "waits behind the first Job of its queue".to_owned());
    }
}
