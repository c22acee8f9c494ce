//! PodDisruptionBudgets of the API to those of `cluster` (`pkg/apis/policy/validation`, 1.36).

use k8s_openapi::api::policy::v1 as policy;

use super::field::{FieldErrors, FieldPath};
use super::int_or_percent::{check_at_most_all, int_or_percent};
use super::object_meta::namespaced;
use super::selector::label_selector;
use crate::cluster::deployment::IntOrPercent;
use crate::cluster::policy::{Budget, PodDisruptionBudget, PodDisruptionBudgetStatus};

/// A PodDisruptionBudget, ready to be created. An absent selector finds no pod, an empty one all
/// pods of the namespace.
pub fn disruption_budget(
    budget: &policy::PodDisruptionBudget,
    errors: &mut FieldErrors,
) -> PodDisruptionBudget {
    let meta = namespaced(&budget.metadata, errors);
    let spec = budget.spec.clone().unwrap_or_default();
    let path = FieldPath::ROOT.field("spec");
    let choices = [("IfHealthyBudget", false), ("AlwaysAllow", true)];
    let at = path.field("unhealthyPodEvictionPolicy");
    let policy = spec.unhealthy_pod_eviction_policy.as_deref();
    let always_allows_unhealthy = errors.choose(policy, &choices, false, &at);
    let at = path.field("selector");
    PodDisruptionBudget {
        meta,
        selector: spec.selector.as_ref().map(|given| label_selector(given, &at, errors)),
        budget: limit(&spec, &path, errors),
        always_allows_unhealthy,
        status: PodDisruptionBudgetStatus::default(),
    }
}

fn limit(
    spec: &policy::PodDisruptionBudgetSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Budget {
    if spec.min_available.is_some() && spec.max_unavailable.is_some() {
        errors.push(path, "minAvailable and maxUnavailable cannot be both set");
    }
    let mut amount = |given, field| {
        let at = path.field(field);
        let amount = int_or_percent(given, IntOrPercent::Int(0), &at, errors);
        check_at_most_all(amount, &at, errors);
        amount
    };
    match (&spec.min_available, &spec.max_unavailable) {
        (Some(given), _) => Budget::MinAvailable(amount(given, "minAvailable")),
        (None, Some(given)) => Budget::MaxUnavailable(amount(given, "maxUnavailable")),
        // The disruption controller then expects no pods, and grants no eviction.
        (None, None) => Budget::MaxUnavailable(IntOrPercent::Int(0)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lower(spec: &Value) -> (PodDisruptionBudget, Vec<String>) {
        let mut errors = FieldErrors::default();
        let object = json!({"metadata": {"name": "web"}, "spec": spec});
        let typed: policy::PodDisruptionBudget = serde_json::from_value(object).unwrap();
        let budget = disruption_budget(&typed, &mut errors);
        (budget, errors.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_budget_counts_pods_or_percent_in_either_direction() {
        for (spec, expected) in [
            (json!({"minAvailable": 2}), Budget::MinAvailable(IntOrPercent::Int(2))),
            (json!({"minAvailable": "50%"}), Budget::MinAvailable(IntOrPercent::Percent(50))),
            (json!({"maxUnavailable": 1}), Budget::MaxUnavailable(IntOrPercent::Int(1))),
            (json!({}), Budget::MaxUnavailable(IntOrPercent::Int(0))),
        ] {
            let (budget, errors) = lower(&spec);
            assert_eq!(errors, [""; 0]);
            assert_eq!(budget.budget, expected);
            assert!(!budget.always_allows_unhealthy);
        }
    }

    #[test]
    fn an_absent_selector_finds_nothing_and_an_empty_one_everything() {
        assert_eq!(lower(&json!({"minAvailable": 1})).0.selector, None);
        let (budget, _) = lower(&json!({"minAvailable": 1, "selector": {}}));
        assert!(budget.selector.is_some_and(|selector| selector.is_empty()));
    }

    #[test]
    fn what_the_api_server_refuses_is_an_error() {
        for (spec, expected) in [
            (
                json!({"minAvailable": 1, "maxUnavailable": 1}),
                "spec: minAvailable and maxUnavailable cannot be both set",
            ),
            (
                json!({"minAvailable": "150%"}),
                "spec.minAvailable: 150% must not be greater than 100%",
            ),
            (
                json!({"maxUnavailable": -1}),
                "spec.maxUnavailable: -1 must be greater than or equal to 0",
            ),
            (
                json!({"minAvailable": 1, "unhealthyPodEvictionPolicy": "Never"}),
                "spec.unhealthyPodEvictionPolicy: \"Never\" is not one of IfHealthyBudget, \
                 AlwaysAllow",
            ),
        ] {
            assert_eq!(lower(&spec).1, [expected]);
        }
    }
}
