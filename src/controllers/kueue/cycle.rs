//! Admits waiting workloads, and decides which running ones make room (`pkg/scheduler/scheduler.go`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use super::flavors::{Assignment, Mode, Search, assign};
use super::preemption::{self, Preemption};
use super::quota::{FlavorResource, Quotas, Usage};
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
    /// Quota in use.
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

impl Setup<'_> {
    /// Why a ClusterQueue admits nothing, if it does not (`inactiveReason`).
    pub fn inactive(&self, queue: &Name) -> Option<String> {
        let spec = self.queues.get(queue)?;
        let named = spec.groups.iter().flat_map(|group| &group.flavors).map(|one| &one.flavor);
        let missing: Vec<&str> =
            named.filter(|name| !self.flavors.contains_key(*name)).map(AsRef::as_ref).collect();
        let mut reasons = Vec::new();
        if spec.is_stopped {
            reasons.push("is stopped".to_owned());
        }
        if !missing.is_empty() {
            let missing = missing.join(",");
            reasons.push(format!("references missing ResourceFlavor(s): {missing}"));
        }
        let reasons = reasons.join(", ");
        (!reasons.is_empty()).then(|| format!("ClusterQueue {queue} is inactive: {reasons}"))
    }
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

/// The first workload of a queue with the flavors that it would get.
struct Entry<'a> {
    head: Pending<'a>,
    assignment: Assignment,
    /// The workloads to preempt for it.
    victims: Vec<Preemption>,
}

/// Runs scheduling cycles until one changes nothing.
///
/// A cycle takes the first workload of each ClusterQueue. Those that need no borrowing come first, then those of higher
/// priority, then older ones.
pub fn run(setup: &Setup<'_>, admitted: &[Admitted], pending: Vec<Pending<'_>>) -> Decisions {
    let mut quotas = Quotas::default();
    for (name, spec) in &setup.queues {
        quotas.add_queue(name.clone(), spec);
    }
    for one in admitted {
        quotas.add(&one.queue, &one.usage);
    }
    let mut admitted = admitted.to_vec();
    let mut decisions = Decisions::default();
    let mut queues = in_order(pending);
    loop {
        let heads = queues.values_mut().filter_map(VecDeque::pop_front);
        let mut entries: Vec<Entry<'_>> =
            heads.filter_map(|head| nominate(setup, &quotas, &admitted, head)).collect();
        if entries.is_empty() {
            return decisions;
        }
        entries.sort_by_key(|Entry { head, assignment, .. }| {
            (assignment.borrows, Reverse(head.priority), head.created)
        });
        let mut cycle = Cycle { quotas: quotas.clone(), going: Vec::new() };
        let mut changes = false;
        for Entry { head, assignment, victims } in entries {
            let queue = head.queue.clone();
            let why = assignment.message();
            let (why, stays_first) = if assignment.mode != Mode::Fit && victims.is_empty() {
                if assignment.mode == Mode::Preempt {
                    reserve(setup, &mut cycle.quotas, &queue, &assignment);
                }
                // Without strict order those behind it are considered next.
                (why, setup.queues.get(&queue).is_some_and(|spec| spec.is_strict))
            } else if let Err(why) = cycle.take(&admitted, &queue, &assignment.usage, &victims) {
                (why.to_owned(), true)
            } else if assignment.mode == Mode::Fit {
                quotas.add(&queue, &assignment.usage);
                decisions.waits.remove(&head.id);
                decisions.admitted.push((head.id, queue, assignment));
                changes = true;
                continue;
            } else {
                let why = format!("{why}. Pending the preemption of {} workload(s)", victims.len());
                for victim in victims {
                    let one = admitted.iter_mut().find(|one| one.id == victim.victim);
                    if one.is_some_and(|one| !std::mem::replace(&mut one.is_evicted, true)) {
                        decisions.preempted.push(victim);
                        changes = true;
                    }
                }
                (why, true)
            };
            decisions.waits.insert(head.id, why);
            if stays_first {
                queues.entry(queue).or_default().push_front(head);
            } else {
                changes = true;
            }
        }
        if !changes {
            for behind in queues.into_values().flatten() {
                let why = "waits behind the first Job of its queue".to_owned();
                decisions.waits.entry(behind.id).or_insert(why);
            }
            return decisions;
        }
    }
}

/// The flavors for a workload: with all its pods, or, if those neither fit nor can make room, with the most with which it
/// fits or can (`getInitialAssignments`, `PodSetReducer`).
fn nominate<'a>(
    setup: &Setup<'_>,
    quotas: &Quotas,
    admitted: &[Admitted],
    head: Pending<'a>,
) -> Option<Entry<'a>> {
    let spec = setup.queues.get(&head.queue)?;
    let simulate = |resource: &FlavorResource, amount: i64| {
        preemption::simulate(setup, quotas, admitted, &head, (resource, amount))
    };
    let queue = (&head.queue, *spec);
    let search = Search { quotas, queue, flavors: &setup.flavors, simulate: &simulate };
    let with = |count: Option<i64>| {
        let of_set = |set: &PodSet<'_>| set.requests(count.unwrap_or(set.count), head.counts_pods);
        let sets: Vec<_> = head.pod_sets.iter().map(|set| (set, of_set(set))).collect();
        let assignment = Assignment { count, ..assign(search, &sets) };
        let victims = match assignment.mode {
            Mode::Preempt => preemption::victims(setup, quotas, admitted, &head, &assignment.usage),
            Mode::Fit | Mode::NoFit => Vec::new(),
        };
        (assignment, victims)
    };
    let full = with(None);
    let all = head.pod_sets.first().map_or(0, |set| set.count);
    let fewer = match head.least {
        Some(least) if !helps(&full) => most_that_helps(least, all, with),
        _ => None,
    };
    let (assignment, victims) = fewer.unwrap_or(full);
    Some(Entry { head, assignment, victims })
}

/// Whether a workload fits, or can make room.
fn helps((assignment, victims): &(Assignment, Vec<Preemption>)) -> bool {
    assignment.mode == Mode::Fit || !victims.is_empty()
}

/// Searches the most pods below all of them that help: the fewer pods, the better they fit.
fn most_that_helps(
    least: i64,
    all: i64,
    with: impl Fn(Option<i64>) -> (Assignment, Vec<Preemption>),
) -> Option<(Assignment, Vec<Preemption>)> {
    let mut found = None;
    let (mut low, mut fails) = (least, all);
    while low < fails {
        let middle = low + (fails - low) / 2;
        let tried = with(Some(middle));
        if helps(&tried) {
            found = Some(tried);
            low = middle + 1;
        } else {
            fails = middle;
        }
    }
    found
}

/// Quota taken by the workloads of one cycle. Preempted ones keep their quota until they have ended: the next cycle counts it as
/// used again.
struct Cycle {
    quotas: Quotas,
    /// The preempted workloads.
    going: Vec<WorkloadId>,
}

impl Cycle {
    /// Takes quota, a part of which preempted workloads free; or says why it is gone (`fits`).
    fn take(
        &mut self,
        admitted: &[Admitted],
        queue: &Name,
        usage: &Usage,
        victims: &[Preemption],
    ) -> Result<(), &'static str> {
        if victims.iter().any(|one| self.going.contains(&one.victim)) {
            return Err("Workload has overlapping preemption targets with another workload");
        }
        let before = self.going.len();
        self.going.extend(victims.iter().map(|one| one.victim));
        let mut left = self.quotas.clone();
        for one in admitted.iter().filter(|one| self.going.contains(&one.id)) {
            left.remove(&one.queue, &one.usage);
        }
        if !left.fits(queue, usage) {
            self.going.truncate(before);
            return Err("Workload no longer fits after processing another workload");
        }
        self.quotas.add(queue, usage);
        Ok(())
    }
}

/// Keeps free quota for the first workload of a queue that waits in order: it is considered again in each cycle, and where
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

/// The waiting workloads by queue, those of higher priority first, then older ones.
fn in_order(mut pending: Vec<Pending<'_>>) -> BTreeMap<Name, VecDeque<Pending<'_>>> {
    pending.sort_by_key(|one| (Reverse(one.priority), one.created));
    let mut queues: BTreeMap<Name, VecDeque<Pending<'_>>> = BTreeMap::new();
    for one in pending {
        queues.entry(one.queue.clone()).or_default().push_back(one);
    }
    queues
}
