//! Converts objects that limit or group others from the API to `cluster`: budgets, quotas, priority
//! classes, and the objects that pods refer to.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::api::scheduling::v1 as scheduling;

use super::admission::system_priority_classes;
use super::field::{FieldErrors, FieldPath};
use super::int_or_percent::{at_most_100_percent, int_or_percent};
use super::pod::pairs;
use super::resources::resource_list;
use super::selector::{LABEL_OPERATORS, label_selector};
use cluster::deployment::IntOrPercent;
use cluster::policy::{Budget, PodDisruptionBudgetSpec};
use cluster::priority_class::PriorityClassSpec;
use cluster::quota::ResourceQuotaSpec;
use cluster::quota_scope::QuotaScope;
use cluster::selector::Operator;
use cluster::{Name, ObjectMeta};

/// Priorities above this are reserved for system classes (`HighestUserDefinablePriority`).
const HIGHEST_USER_PRIORITY: i32 = 1_000_000_000;
/// Prefix of names reserved for the built-in classes.
const SYSTEM_PREFIX: &str = "system-";

/// A PodDisruptionBudget (`ValidatePodDisruptionBudgetSpec`).
pub(super) fn disruption_budget(
    spec: &policy::PodDisruptionBudgetSpec,
    errors: &mut FieldErrors,
) -> PodDisruptionBudgetSpec {
    let path = FieldPath::ROOT.field("spec");
    let mut number = |given: &Option<_>, field| {
        let at = path.field(field);
        let number = int_or_percent(Some(given.as_ref()?), &at, errors);
        at_most_100_percent(number, &at, errors);
        Some(number)
    };
    let min_available = number(&spec.min_available, "minAvailable");
    let max_unavailable = number(&spec.max_unavailable, "maxUnavailable");
    if min_available.is_some() && max_unavailable.is_some() {
        errors.push(&path, "Invalid value: minAvailable and maxUnavailable cannot be both set");
    }
    let policies = [("IfHealthyBudget", false), ("AlwaysAllow", true)];
    let at = path.field("unhealthyPodEvictionPolicy");
    let given = spec.unhealthy_pod_eviction_policy.as_deref();
    PodDisruptionBudgetSpec {
        selector: spec
            .selector
            .as_ref()
            .map(|selector| label_selector(selector, &path.field("selector"), errors)),
        budget: match (min_available, max_unavailable) {
            (_, Some(number)) => Budget::MaxUnavailable(number),
            (Some(number), None) => Budget::MinAvailable(number),
            // The disruption controller then expects no pods, and allows no eviction.
            (None, None) => Budget::MaxUnavailable(IntOrPercent::Int(0)),
        },
        always_allows_unhealthy: errors.choose(given, &policies, &at),
    }
}

/// A PriorityClass (`ValidatePriorityClass`).
pub(super) fn priority_class(
    class: &scheduling::PriorityClass,
    name: &Name,
    errors: &mut FieldErrors,
) -> PriorityClassSpec {
    let root = FieldPath::ROOT;
    let value = class.value.unwrap_or_default();
    if name.starts_with(SYSTEM_PREFIX) {
        let mut known = system_priority_classes().into_iter();
        if !known.any(|known| known.meta.name() == name && known.spec.value == value) {
            let rule =
                "priority class names with 'system-' prefix are reserved for system use only";
            errors.push(&root.field("metadata").field("name"), format!("Forbidden: {rule}"));
        }
    } else if value > HIGHEST_USER_PRIORITY {
        let rule =
            format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}");
        errors.push(&root.field("value"), format!("Forbidden: {rule}"));
    }
    let policies = [("PreemptLowerPriority", false), ("Never", true)];
    let policy = class.preemption_policy.as_deref();
    PriorityClassSpec {
        value,
        global_default: class.global_default.unwrap_or_default(),
        never_preempts: errors.choose(policy, &policies, &root.field("preemptionPolicy")),
    }
}

/// A ResourceQuota.
pub(super) fn resource_quota(
    spec: &core::ResourceQuotaSpec,
    errors: &mut FieldErrors,
) -> ResourceQuotaSpec {
    let path = FieldPath::ROOT.field("spec");
    let hard = resource_list(spec.hard.as_ref(), &path.field("hard"), errors);
    ResourceQuotaSpec { hard, scopes: quota_scopes(spec, &path, errors) }
}

/// `scopes` and `scopeSelector` (`validateResourceQuotaScopes`, `validateScopeSelector`).
fn quota_scopes(
    spec: &core::ResourceQuotaSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<QuotaScope> {
    let mut scopes = Vec::new();
    let mut add =
        |name: &str, at: &FieldPath<'_>, errors: &mut FieldErrors| match QuotaScope::named(name) {
            Some(scope) => scopes.push(scope),
            None => errors.invalid(at, name, "unsupported scope"),
        };
    let at = path.field("scopes");
    for (position, name) in spec.scopes.iter().flatten().enumerate() {
        add(name, &at.item(position), errors);
    }
    let selector = path.field("scopeSelector");
    let at = selector.field("matchExpressions");
    let selector = spec.scope_selector.as_ref();
    let expressions = selector.and_then(|selector| selector.match_expressions.as_ref());
    let mut by_class = Vec::new();
    for (position, one) in expressions.into_iter().flatten().enumerate() {
        let at = at.item(position);
        let operator = at.field("operator");
        let given = Some(one.operator.as_str());
        let chosen = errors.chosen(given, &LABEL_OPERATORS, &operator);
        let chosen = chosen.unwrap_or(Operator::Exists);
        if one.scope_name == QuotaScope::PRIORITY_CLASS {
            let values = one.values.iter().flatten().map(|value| value.as_str().into()).collect();
            by_class.push(QuotaScope::of_priority_classes(chosen, values));
        } else {
            if chosen != Operator::Exists {
                let rule = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, \
                            ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                            ResourceQuotaScopeNotBestEffort or \
                            ResourceQuotaScopeCrossNamespacePodAffinity";
                errors.invalid(&operator, &one.operator, rule);
            }
            add(&one.scope_name, &at.field("scopeName"), errors);
        }
    }
    scopes.extend(by_class);
    scopes
}

/// The keys of a ConfigMap or a Secret.
pub(super) fn keys<V>(data: Option<&BTreeMap<String, V>>) -> BTreeSet<Name> {
    data.into_iter().flatten().map(|(key, _)| Name::from(key.as_str())).collect()
}

/// The metadata of any object.
pub(super) fn object_meta(
    id: &cluster::NamespacedName,
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> ObjectMeta {
    let mut meta = ObjectMeta::new(id.namespace.clone(), id.name.clone());
    meta.labels = pairs(metadata.labels.as_ref());
    meta.annotations = pairs(metadata.annotations.as_ref());
    meta
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_budget_has_one_limit() {
        let lower = |spec| {
            let mut errors = FieldErrors::default();
            let budget = disruption_budget(&serde_json::from_value(spec).unwrap(), &mut errors);
            (budget.budget, errors.into_vec().len())
        };
        let half = IntOrPercent::Percent(50);
        assert_eq!(lower(json!({"minAvailable": "50%"})), (Budget::MinAvailable(half), 0));
        assert_eq!(
            lower(json!({"maxUnavailable": 1})),
            (Budget::MaxUnavailable(IntOrPercent::Int(1)), 0)
        );
        let none = Budget::MaxUnavailable(IntOrPercent::Int(0));
        assert_eq!(lower(json!({})), (none, 0), "without a limit nothing may be evicted");
        assert_eq!(lower(json!({"maxUnavailable": 1, "minAvailable": 1})).1, 1);
        assert_eq!(lower(json!({"maxUnavailable": "150%"})).1, 1);
    }

    #[test]
    fn the_highest_priorities_belong_to_the_system() {
        let refused = |name: &str, value: i32| {
            let mut errors = FieldErrors::default();
            let class = serde_json::from_value(json!({"value": value})).unwrap();
            priority_class(&class, &name.into(), &mut errors);
            !errors.is_empty()
        };
        assert!(refused("high", 1_000_000_001));
        assert!(!refused("high", 1_000_000_000));
        assert!(!refused("system-node-critical", 2_000_001_000));
        assert!(refused("system-node-critical", 2_000_000_000));
        assert!(refused("system-of-ours", 1));
    }
}
