//! Chooses the workloads that make room for a waiting one (`pkg/scheduler/preemption`, classical).

use std::cmp::Reverse;

use super::cycle::{Admitted, Pending, Setup};
use super::flavors::Need;
use super::quota::{FlavorResource, Quotas, Usage};
use super::workload::WorkloadId;
use cluster::kueue::QueuePreemption;

/// A workload that makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// The workload that is evicted.
    pub victim: WorkloadId,
    /// The workload for which it is.
    pub preemptor: WorkloadId,
    /// Whether it belongs to another ClusterQueue, which borrowed.
    pub is_reclaim: bool,
}

/// The workloads to evict so that a waiting one fits; empty if that does not help (`classicalPreemptions`).
pub fn victims(
    setup: &Setup<'_>,
    quotas: &Quotas,
    admitted: &[Admitted],
    head: &Pending<'_>,
    wanted: &Usage,
) -> Vec<Preemption> {
    let lacking = |(resource, amount): &(&FlavorResource, &i64)| {
        **amount > quotas.available(&head.queue, resource)
    };
    let scarce: Vec<&FlavorResource> =
        wanted.iter().filter(lacking).map(|(resource, _)| resource).collect();
    let mut candidates: Vec<&Admitted> =
        admitted.iter().filter(|one| is_candidate(setup, quotas, head, &scarce, one)).collect();
    candidates.sort_by_key(|one| {
        (!one.is_evicted, one.queue == head.queue, one.priority, Reverse(one.since), one.id)
    });
    let nominal_and_used = |resource: &FlavorResource| {
        let (quota, used) = quotas.of(&head.queue, resource);
        (quota.nominal_milli, used)
    };
    // Within its own quota it reclaims from any workload that it may preempt, regardless of priority.
    let is_own = wanted.iter().all(|(resource, amount)| {
        let (nominal, used) = nominal_and_used(resource);
        used + amount <= nominal
    });
    let is_under = scarce.iter().all(|resource| {
        let (nominal, used) = nominal_and_used(resource);
        used < nominal
    });
    let policy = setup.queues.get(&head.queue).and_then(|spec| spec.borrow_within_cohort);
    let has_others = candidates.iter().any(|one| one.queue != head.queue);
    let attempts: &[bool] = match policy {
        _ if !has_others => &[true],
        None if !is_under => &[true],
        None if !is_own => &[false, true],
        _ => &[true, false],
    };
    // While it borrows, it preempts of others only those that its policy allows for that.
    let allows = |one: &Admitted, may_borrow: bool| {
        let is_below = policy.is_some_and(|policy| {
            one.priority < head.priority
                && policy.max_priority.is_none_or(|most| one.priority <= most)
        });
        one.queue == head.queue || is_own || !may_borrow || is_below
    };
    let found = attempts.iter().map(|may_borrow| {
        let allowed: Vec<&Admitted> =
            candidates.iter().filter(|one| allows(one, *may_borrow)).copied().collect();
        minimal(quotas, head, wanted, &scarce, &allowed, *may_borrow)
    });
    let found = found.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
    let preemption = |one: &Admitted| Preemption {
        victim: one.id,
        preemptor: head.id,
        is_reclaim: one.queue != head.queue,
    };
    found.into_iter().map(preemption).collect()
}

/// Preemption mode for an amount that is not free, and whether it would borrow after the preemptions (`SimulatePreemption`).
pub fn simulate(
    setup: &Setup<'_>,
    quotas: &Quotas,
    admitted: &[Admitted],
    head: &Pending<'_>,
    (resource, amount): (&FlavorResource, i64),
) -> (Need, bool) {
    let wanted: Usage = [(resource.clone(), amount)].into_iter().collect();
    let victims = victims(setup, quotas, admitted, head, &wanted);
    if victims.is_empty() {
        return (Need::Patience, quotas.borrows_from_cohort(&head.queue, resource, amount));
    }
    let is_victim = |one: &&Admitted| victims.iter().any(|victim| victim.victim == one.id);
    let mut left = quotas.clone();
    for one in admitted.iter().filter(is_victim) {
        left.remove(&one.queue, &one.usage);
    }
    let is_reclaim = victims.iter().all(|victim| victim.is_reclaim);
    let need = if is_reclaim { Need::Reclamation } else { Need::Preemption };
    (need, left.borrows_from_cohort(&head.queue, resource, amount))
}

fn is_candidate(
    setup: &Setup<'_>,
    quotas: &Quotas,
    head: &Pending<'_>,
    scarce: &[&FlavorResource],
    one: &Admitted,
) -> bool {
    let Some(spec) = setup.queues.get(&head.queue) else { return false };
    let uses =
        |resource: &&&FlavorResource| one.usage.get(**resource).is_some_and(|used| *used > 0);
    if !scarce.iter().any(|resource| uses(&resource)) {
        return false;
    }
    // Those of inactive queues are in no snapshot.
    if setup.inactive(&one.queue).is_some() {
        return false;
    }
    let is_own = one.queue == head.queue;
    let policy = if is_own { spec.within_queue } else { spec.within_cohort };
    let is_allowed = match policy {
        QueuePreemption::Never => false,
        QueuePreemption::LowerPriority => one.priority < head.priority,
        QueuePreemption::LowerOrNewerEqualPriority => {
            one.priority < head.priority
                || (one.priority == head.priority && one.created > head.created)
        }
        QueuePreemption::Any => true,
    };
    is_allowed && (is_own || reclaimable(quotas, head, scarce, one))
}

/// Whether a workload belongs to a queue of the same cohort that borrows one of the scarce resources.
fn reclaimable(
    quotas: &Quotas,
    head: &Pending<'_>,
    scarce: &[&FlavorResource],
    one: &Admitted,
) -> bool {
    quotas.are_together(&head.queue, &one.queue)
        && scarce.iter().any(|resource| quotas.borrows(&one.queue, resource, 0))
}

/// Takes candidates in order until the waiting workload fits, then gives back those that are not needed.
fn minimal<'a>(
    quotas: &Quotas,
    head: &Pending<'_>,
    wanted: &Usage,
    scarce: &[&FlavorResource],
    candidates: &[&'a Admitted],
    may_borrow: bool,
) -> Vec<&'a Admitted> {
    let fits = |quotas: &Quotas| {
        let is_own = |(resource, more): (&FlavorResource, &i64)| {
            may_borrow || !quotas.borrows(&head.queue, resource, *more)
        };
        quotas.fits(&head.queue, wanted) && wanted.iter().all(is_own)
    };
    let mut left = quotas.clone();
    let mut taken: Vec<&Admitted> = Vec::new();
    for one in candidates {
        if one.queue != head.queue && !reclaimable(&left, head, scarce, one) {
            continue;
        }
        left.remove(&one.queue, &one.usage);
        taken.push(one);
        if fits(&left) {
            break;
        }
    }
    if !fits(&left) {
        return Vec::new();
    }
    // The last one was necessary.
    for place in (0..taken.len().saturating_sub(1)).rev() {
        let one = taken[place];
        left.add(&one.queue, &one.usage);
        if fits(&left) {
            taken.remove(place);
        } else {
            left.remove(&one.queue, &one.usage);
        }
    }
    taken
}
