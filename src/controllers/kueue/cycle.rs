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
    /// Jobs to admit, with their flavors.
    pub admitted: Vec<(JobId, Name, Assignment)>,
    /// Jobs to evict.
    pub preempted: Vec<Preemption>,
    /// Why the others wait.
    pub waits: BTreeMap<JobId, String>,
}

/// The first Job of a queue with the flavors that it would get.
struct Entry<'a> {
    head: Pending<'a>,
    assignment: Assignment,
    /// The Jobs to preempt for it.
    victims: Vec<Preemption>,
}

/// Runs scheduling cycles until one changes nothing.
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
            let mut reasons = assignment.reasons.clone();
            reasons.sort_unstable();
            let reasons = reasons.join(", ");
            let why = format!("couldn't assign flavors to pod set main: {reasons}");
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
                decisions.waits.remove(&head.job);
                decisions.admitted.push((head.job, queue, assignment));
                changes = true;
                continue;
            } else {
                let why = format!("{why}. Pending the preemption of {} workload(s)", victims.len());
                for victim in victims {
                    let one = admitted.iter_mut().find(|one| one.job == victim.victim);
                    if one.is_some_and(|one| !std::mem::replace(&mut one.is_evicted, true)) {
                        decisions.preempted.push(victim);
                        changes = true;
                    }
                }
                (why, true)
            };
            decisions.waits.insert(head.job, why);
            if stays_first {
                queues.entry(queue).or_default().push_front(head);
            } else {
                changes = true;
            }
        }
        if !changes {
            for behind in queues.into_values().flatten() {
                let why = "waits behind the first Job of its queue".to_owned();
                decisions.waits.entry(behind.job).or_insert(why);
            }
            return decisions;
        }
    }
}

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
    let assignment = assign(quotas, queue, &setup.flavors, head.pod, &head.requests, &simulate);
    let victims = match assignment.mode {
        Mode::Preempt => preemption::victims(setup, quotas, admitted, &head, &assignment.usage),
        Mode::Fit | Mode::NoFit => Vec::new(),
    };
    Some(Entry { head, assignment, victims })
}

/// What the Jobs of one cycle take. Preempted ones keep their quota until they have ended: the next cycle counts it as
/// used again.
struct Cycle {
    quotas: Quotas,
    /// The preempted Jobs.
    going: Vec<JobId>,
}

impl Cycle {
    /// Takes quota, a part of which preempted Jobs free; or says why it is gone (`fits`).
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
        for one in admitted.iter().filter(|one| self.going.contains(&one.job)) {
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
