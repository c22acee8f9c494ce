//! Remaining disruptions of the PodDisruptionBudgets while removals are simulated
//! (`cluster-autoscaler/core/scaledown/pdb`).

use std::sync::Arc;

use super::pods::PodInfo;
use cluster::selector::Selector;
use cluster::{ClusterView, Name};

/// A budget with its remaining disruptions.
#[derive(Clone, Debug)]
struct RemainingBudget {
    namespace: Name,
    selector: Selector,
    allowed: i64,
}

impl RemainingBudget {
    fn covers(&self, pod: &PodInfo) -> bool {
        self.namespace == pod.name.namespace && self.selector.matches(&pod.labels)
    }
}

/// All budgets with their remaining disruptions.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemainingBudgets(Vec<RemainingBudget>);

impl RemainingBudgets {
    /// The budgets in the API server's current state.
    pub(crate) fn new(view: ClusterView<'_>) -> Self {
        let budgets = view.disruption_budgets().values();
        let remaining = budgets.filter_map(|budget| {
            Some(RemainingBudget {
                namespace: budget.meta.namespace().clone(),
                selector: budget.spec.selector.clone()?,
                allowed: i64::from(budget.status.disruptions_allowed),
            })
        });
        Self(remaining.collect())
    }

    /// True if any budget covers the pod.
    pub(crate) fn covers(&self, pod: &PodInfo) -> bool {
        self.0.iter().any(|budget| budget.covers(pod))
    }

    /// True if all budgets of the pod allow one more disruption.
    pub(crate) fn allow(&self, pod: &PodInfo) -> bool {
        self.0.iter().all(|budget| budget.allowed >= 1 || !budget.covers(pod))
    }

    /// True if all pods may be disrupted at the same time (`CanRemovePods`, its second result).
    pub(crate) fn allow_together(&self, pods: &[Arc<PodInfo>]) -> bool {
        self.0.iter().all(|budget| {
            let covered = pods.iter().filter(|pod| budget.covers(pod)).count();
            i64::try_from(covered).is_ok_and(|covered| covered == 0 || budget.allowed >= covered)
        })
    }

    /// Subtracts the disruptions of these pods (`RemovePods`).
    pub(crate) fn take(&mut self, pods: &[Arc<PodInfo>]) {
        for budget in &mut self.0 {
            for pod in pods {
                budget.allowed -= i64::from(budget.covers(pod));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod;

    #[test]
    fn pods_go_together_while_the_budget_lasts_and_each_takes_one_of_it() {
        let selector = Selector::default();
        let mut budgets = RemainingBudgets(vec![RemainingBudget {
            namespace: "default".into(),
            selector,
            allowed: 2,
        }]);
        let pods = ["a", "b", "c"].map(|name| Arc::new(pod(name)));
        assert!(budgets.allow_together(&pods[..2]) && !budgets.allow_together(&pods));
        budgets.take(&pods[..1]);
        assert!(budgets.allow(&pods[1]) && !budgets.allow_together(&pods[1..]));
        budgets.take(&pods[1..2]);
        assert!(!budgets.allow(&pods[2]) && budgets.covers(&pods[2]));
        let mut elsewhere = pod("e");
        elsewhere.name.namespace = "other".into();
        assert!(budgets.allow(&elsewhere) && !budgets.covers(&elsewhere));
    }
}
