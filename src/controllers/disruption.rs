//! The disruption controller (`pkg/controller/disruption/disruption.go`, 1.36): computes the disruptions allowed by
//! each PodDisruptionBudget. Evictions are granted by the API server.

use std::collections::BTreeSet;

use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::ObjectId;
use cluster::action::Event;
use cluster::deployment::IntOrPercent;
use cluster::node::ConditionStatus;
use cluster::pod::{Owner, Pod, PodId};
use cluster::policy::{
    Budget, DisruptedPod, PodDisruptionBudget, PodDisruptionBudgetId, PodDisruptionBudgetStatus,
    SYNC_FAILED,
};
use cluster::replica_set::SetOwner;
use cluster::selection::Selecting;
use cluster::standing::PodTally;
use cluster::{Action, Change, ClusterView, Kind};
use engine::{SimDuration, SimTime};

/// Maximum time until a pod with a granted eviction is observed terminating (`DeletionTimeout`).
const DELETION_TIMEOUT: SimDuration = SimDuration::from_secs(120);

/// The disruption controller.
#[derive(Clone, Copy, Debug, Default)]
pub struct DisruptionController;

/// Expected pods of a budget, and the number that must stay healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Pods expected.
    pub expected: i32,
    /// Healthy pods required by the budget.
    pub desired_healthy: i32,
}

/// Expected pods of a budget (`getExpectedPodCount`): an absolute `minAvailable` counts the existing pods, everything
/// else is relative to the `scale` of the pods' controllers. Percentages are rounded up.
///
/// 30 % of 7 pods is 2.1, so 3 may be disrupted and 4 must stay.
pub fn expectation(budget: Budget, pods: i32, scale: i32) -> Expectation {
    match budget {
        Budget::MinAvailable(IntOrPercent::Int(number)) => {
            Expectation { expected: pods, desired_healthy: number }
        }
        Budget::MinAvailable(percent) => {
            Expectation { expected: scale, desired_healthy: percent.scaled(scale, true) }
        }
        Budget::MaxUnavailable(number) => {
            let desired_healthy = (scale - number.scaled(scale, true)).max(0);
            Expectation { expected: scale, desired_healthy }
        }
    }
}

/// Number of disruptions allowed (`updatePdbStatus`); none while no pod is expected, so that the first pods are
/// protected before their controller has synced.
pub fn disruptions_allowed(current_healthy: i32, expectation: Expectation) -> i32 {
    if expectation.expected <= 0 {
        return 0;
    }
    (current_healthy - expectation.desired_healthy).max(0)
}

impl Controller for DisruptionController {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn watches(&self) -> Watches {
        Watches::DISRUPTION_BUDGETS.and(Watches::PODS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        match *change {
            Change::Spec(ObjectId::PodDisruptionBudget(budget), _)
            | Change::Status(ObjectId::PodDisruptionBudget(budget))
            | Change::Removed { object: ObjectId::PodDisruptionBudget(budget), .. }
            | Change::SelectedPodRemoved(Selecting::PodDisruptionBudget(budget), _) => {
                wake.push(Key::PodDisruptionBudget(budget));
            }
            Change::PodAdded(pod) | Change::PodUpdated(pod, _)
                if !view.disruption_budgets().is_empty() =>
            {
                let Some(pod) = view.pods().get(pod) else { return };
                let budgets = view.store().selecting(pod).filter_map(|selecting| match selecting {
                    Selecting::PodDisruptionBudget(budget) => Some(budget),
                    Selecting::Service(_) => None,
                });
                // Only the first of several budgets is enqueued for a pod (`getPdbForPod`).
                wake.extend(budgets.take(1).map(Key::PodDisruptionBudget));
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::PodDisruptionBudget(id) = key else { return Requeue::No };
        let Some(budget) = view.disruption_budgets().get(id) else { return Requeue::No };
        let selecting = Selecting::PodDisruptionBudget(id);
        let owners = view.store().owners_selected_by(selecting);
        let scale = match scale_of_controllers(view, (id, budget), &owners) {
            Ok(scale) => scale,
            Err(why) => {
                let message = format!("Failed to calculate the number of expected pods: {why}");
                actions.push(record_event(
                    budget,
                    true,
                    "CalculateExpectedPodCountFailed",
                    message,
                ));
                fail(budget, why, view.now, |status| {
                    actions.push(Action::status(id, status));
                });
                // Not a failure to the work queue: the next change of a pod is waited for (`failSafe`).
                return Requeue::No;
            }
        };
        if counts_controllers(budget) && owners.contains(&None) {
            actions.push(record_event(budget, true, "UnmanagedPods", unmanaged(budget)));
        }
        if owners.is_empty() && budget.status.observed_generation < budget.meta.generation {
            actions.push(record_event(
                budget,
                false,
                "NoPods",
                "No matching pods found".to_owned(),
            ));
        }
        let in_flight = in_flight(view, (id, budget));
        let tallies = view.store().tallies_of(selecting);
        let sum = |count: fn(&PodTally) -> usize| -> usize {
            tallies.iter().map(|(_, tally)| count(tally)).sum()
        };
        let count = i32::try_from(sum(|tally| tally.pods)).unwrap_or(i32::MAX);
        let expectation = expectation(budget.spec.budget, count, scale);
        let leaving = in_flight.iter().map(|one| one.pod);
        let leaving: BTreeSet<PodId> = leaving.filter(|pod| view.pods()[*pod].is_ready()).collect();
        let healthy = sum(|tally| tally.ready) - leaving.len();
        let status = status(budget, healthy, &in_flight, expectation, view.now);
        if status != budget.status {
            actions.push(Action::status(id, status));
        }
        let earliest = in_flight.iter().map(|one| one.since + DELETION_TIMEOUT).min();
        earliest.map_or(Requeue::No, Requeue::At)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }
}

/// Whether the budget is measured against the pods' controllers, not the pods themselves.
const fn counts_controllers(budget: &PodDisruptionBudget) -> bool {
    !matches!(budget.spec.budget, Budget::MinAvailable(IntOrPercent::Int(_)))
}

/// Message for pods without a controller, which do not count and may fall below the budget unnoticed.
fn unmanaged(budget: &PodDisruptionBudget) -> String {
    let selector = budget.spec.selector.as_ref().map_or_else(String::new, ToString::to_string);
    format!(
        "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As \
         a result, the status of the PDB cannot be calculated correctly, which may result in undefined \
         behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an \
         integer value."
    )
}

/// The sum of `spec.replicas` over the pods' controllers, if the budget needs it (`getExpectedScale`). Pods without a
/// controller do not count; those of a controller without a scale make it unknown.
fn scale_of_controllers(
    view: ClusterView<'_>,
    (id, budget): (PodDisruptionBudgetId, &PodDisruptionBudget),
    owners: &BTreeSet<Option<Owner>>,
) -> Result<i32, String> {
    if !counts_controllers(budget) {
        return Ok(0);
    }
    let mut known = BTreeSet::new();
    let mut sum = 0;
    for owner in owners.iter().flatten() {
        match scale_of(view, *owner) {
            Some((controller, replicas)) => {
                if known.insert(controller) {
                    sum += replicas;
                }
            }
            None => return Err(without_scale(view, id)),
        }
    }
    Ok(sum)
}

/// Why the scale of a pod's controller is not known, by the first such pod (`getScaleController`).
fn without_scale(view: ClusterView<'_>, id: PodDisruptionBudgetId) -> String {
    let mut pods = view.store().selected_by(Selecting::PodDisruptionBudget(id));
    let first = pods.find_map(|(_, pod)| {
        let owner = pod.owner.filter(|owner| scale_of(view, *owner).is_none())?;
        Some((owner, pod))
    });
    let Some((owner, pod)) = first else { return String::new() };
    match owner {
        Owner::DaemonSet(_) => {
            "daemonsets.apps does not implement the scale subresource".to_owned()
        }
        Owner::Job(_) => "jobs.batch does not implement the scale subresource".to_owned(),
        _ => format!("found no controllers for pod \"{}\"", pod.name()),
    }
}

/// The scaled workload behind a pod: the Deployment of its ReplicaSet, or the owner itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scaled {
    Deployment(cluster::deployment::DeploymentId),
    Owner(Owner),
}

fn scale_of(view: ClusterView<'_>, owner: Owner) -> Option<(Scaled, i32)> {
    match owner {
        Owner::ReplicaSet(id) => {
            let set = view.replica_sets().get(id)?;
            // Other owners of ReplicaSets are unknown to it (`getPodReplicaSet`).
            let Some(deployment) = set.owner.and_then(SetOwner::deployment) else {
                return Some((Scaled::Owner(owner), set.replicas));
            };
            let replicas = view.deployments().get(deployment)?.spec.replicas;
            Some((Scaled::Deployment(deployment), replicas))
        }
        Owner::StatefulSet(id) => {
            Some((Scaled::Owner(owner), view.stateful_sets().get(id)?.spec.replicas))
        }
        // These have no scale sub-resource.
        Owner::DaemonSet(_) | Owner::Job(_) => None,
    }
}

/// Pods whose eviction was granted recently and that are not terminating yet (`buildDisruptedPodMap`).
fn in_flight(
    view: ClusterView<'_>,
    (id, budget): (PodDisruptionBudgetId, &PodDisruptionBudget),
) -> Vec<DisruptedPod> {
    let selects = |pod: &&Pod| {
        view.store().selecting(pod).any(|one| one == Selecting::PodDisruptionBudget(id))
    };
    let is_awaited = |one: &DisruptedPod| {
        let selected = view.pods().get(one.pod).filter(selects);
        selected.is_some_and(|pod| !pod.is_terminating()) && is_in_flight(one.since, view.now)
    };
    budget.status.disrupted_pods.iter().copied().filter(is_awaited).collect()
}

/// Whether a pod with a granted eviction may still be about to terminate. False at the exact end of the timeout, when
/// it is checked again.
fn is_in_flight(granted: SimTime, now: SimTime) -> bool {
    granted + DELETION_TIMEOUT > now
}

fn status(
    budget: &PodDisruptionBudget,
    healthy: usize,
    in_flight: &[DisruptedPod],
    expectation: Expectation,
    now: SimTime,
) -> PodDisruptionBudgetStatus {
    let current_healthy = i32::try_from(healthy).unwrap_or(i32::MAX);
    let mut status = PodDisruptionBudgetStatus {
        observed_generation: budget.meta.generation,
        current_healthy,
        desired_healthy: expectation.desired_healthy,
        expected_pods: expectation.expected,
        disruptions_allowed: disruptions_allowed(current_healthy, expectation),
        disrupted_pods: in_flight.to_vec(),
        conditions: budget.status.conditions.clone(),
    };
    status.judge_disruption_allowed(now);
    status
}

/// Marks the budget as failed to compute, allowing no disruptions (`failSync`).
fn fail(
    budget: &PodDisruptionBudget,
    why: String,
    now: SimTime,
    write: impl FnOnce(PodDisruptionBudgetStatus),
) {
    let mut status = budget.status.clone();
    status.set_disruption_allowed(ConditionStatus::False, SYNC_FAILED, why, now);
    status.disruptions_allowed = 0;
    if status != budget.status {
        write(status);
    }
}

fn record_event(
    budget: &PodDisruptionBudget,
    is_warning: bool,
    reason: &'static str,
    message: String,
) -> Action {
    Action::Event(Box::new(Event {
        kind: Kind::PodDisruptionBudget,
        object: budget.meta.id.clone(),
        is_warning,
        reason,
        message,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_up_on_both_sides() {
        let of_seven = |budget| expectation(budget, 7, 7).desired_healthy;
        assert_eq!(of_seven(Budget::MaxUnavailable(IntOrPercent::Percent(30))), 4);
        assert_eq!(of_seven(Budget::MinAvailable(IntOrPercent::Percent(50))), 4);
    }

    #[test]
    fn a_pod_that_stays_after_its_eviction_counts_again_when_it_is_looked_at() {
        assert!(is_in_flight(SimTime::ZERO, SimTime::from_secs(119)));
        assert!(!is_in_flight(SimTime::ZERO, SimTime::ZERO + DELETION_TIMEOUT));
    }

    #[test]
    fn nothing_may_go_where_nothing_is_expected() {
        let none = Expectation { expected: 0, desired_healthy: 0 };
        assert_eq!(disruptions_allowed(3, none), 0);
        assert_eq!(disruptions_allowed(3, Expectation { expected: 3, ..none }), 3);
    }
}
