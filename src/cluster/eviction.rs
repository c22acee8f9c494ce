//! The eviction sub-resource of pods: the only deletion that respects PodDisruptionBudgets
//! (`pkg/registry/core/pod/storage/eviction.go`, 1.36).

use super::action::{PodDeletion, Refused};
use super::change::Change;
use super::object::Stored;
use super::objects::ObjectId;
use super::pod::{Pod, PodId, PodPhase};
use super::policy::{DisruptedPod, PodDisruptionBudget, PodDisruptionBudgetId, SYNC_FAILED};
use super::selection::Selecting;
use super::store::Store;
use engine::{SimDuration, SimTime};

/// Reason of the DisruptionTarget condition of an evicted pod.
const EVICTION_REASON: &str = "EvictionByEvictionAPI";
/// `Retry-After` while the disruption controller has not observed the budget yet.
const UNOBSERVED_RETRY: SimDuration = SimDuration::from_secs(10);
/// Limit of evictions in flight above which a budget grants none (`MaxDisruptedPodSize`).
const DISRUPTED_PODS_MAX: usize = 2000;
/// The API server's message for an eviction that a budget forbids.
const VIOLATION: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// Verdict of a pod's budget on its eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Allowed without counting against the budget.
    Free,
    /// Allowed if the budget has a disruption left.
    Counted,
}

/// Evicts a pod, or refuses as the API server does: 429 if its budget forbids it, 500 if more than one budget selects
/// it.
pub(super) fn evict_pod(
    store: &mut Store,
    now: SimTime,
    (id, grace_period): (PodId, Option<SimDuration>),
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pod = store.pods.get(id).ok_or(Refused::NotFound)?;
    if !ignores_budgets(pod)
        && let Some(budget) = budget_of(store, pod)?
        && verdict(pod, &store.disruption_budgets()[budget]) == Verdict::Counted
    {
        take_one(&mut PodDisruptionBudget::collection_mut(store).table[budget], id, now)?;
        changes.push(Change::Status(ObjectId::PodDisruptionBudget(budget)));
    }
    let eviction = PodDeletion { grace_period, disruption: Some(EVICTION_REASON) };
    super::pod_verbs::delete_pod(store, now, id, eviction, changes)
}

/// True if budgets do not protect the pod (`canIgnorePDB`).
const fn ignores_budgets(pod: &Pod) -> bool {
    matches!(pod.phase, PodPhase::Succeeded | PodPhase::Failed | PodPhase::Pending)
        || pod.is_terminating()
}

fn budget_of(store: &Store, pod: &Pod) -> Result<Option<PodDisruptionBudgetId>, Refused> {
    let mut budgets = store.selecting(pod).filter_map(|selecting| match selecting {
        Selecting::PodDisruptionBudget(id) => Some(id),
        Selecting::Service(_) => None,
    });
    let first = budgets.next();
    if budgets.next().is_some() {
        return Err(Refused::InternalError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does \
             not support."
                .to_owned(),
        ));
    }
    Ok(first)
}

/// An unready pod may be evicted without counting if the policy allows it or enough other pods are healthy.
fn verdict(pod: &Pod, budget: &PodDisruptionBudget) -> Verdict {
    let status = &budget.status;
    let is_healthy_without =
        status.current_healthy >= status.desired_healthy && status.desired_healthy > 0;
    if !pod.is_ready() && (budget.spec.always_allows_unhealthy || is_healthy_without) {
        Verdict::Free
    } else {
        Verdict::Counted
    }
}

/// Consumes one of the disruptions allowed by the budget (`checkAndDecrement`).
fn take_one(budget: &mut PodDisruptionBudget, pod: PodId, now: SimTime) -> Result<(), Refused> {
    let name = budget.meta.name();
    let status = &mut budget.status;
    let too_many = |why: String, retry_after| {
        Err(Refused::TooManyRequests { why: format!("{VIOLATION} {why}"), retry_after })
    };
    if status.observed_generation < budget.meta.generation {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return too_many(why, Some(UNOBSERVED_RETRY));
    }
    if status.disrupted_pods.len() > DISRUPTED_PODS_MAX {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Refused::Forbidden(why.to_owned()));
    }
    if status.disruptions_allowed == 0 {
        let failed = status.conditions.iter().find(|condition| condition.reason == SYNC_FAILED);
        let why = match failed {
            Some(condition) => format!(
                "The disruption budget {name} does not allow evicting pods currently because it \
                 failed sync: {}",
                condition.message
            ),
            None => format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                status.desired_healthy, status.current_healthy
            ),
        };
        return too_many(why, None);
    }
    status.disruptions_allowed -= 1;
    if status.disruptions_allowed == 0 {
        status.judge_disruption_allowed(now);
    }
    status.disrupted_pods.push(DisruptedPod { pod, since: now.floor_to_second() });
    Ok(())
}
