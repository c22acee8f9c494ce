//! Failure and success policies of Jobs (`validatePodFailurePolicy`, `validateSuccessPolicy` of
//! `pkg/apis/batch/validation`, 1.36).

use k8s_openapi::api::batch::v1 as batch;

use super::field::{FieldErrors, FieldPath};
use cluster::Name;
use cluster::job::{PodFailureAction, PodFailurePattern, PodFailureRule, SuccessRule};
use cluster::node::ConditionStatus;

/// `spec.podFailurePolicy.rules`.
pub(super) fn failure_policy(
    spec: &batch::JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<Vec<PodFailureRule>> {
    let policy = spec.pod_failure_policy.as_ref()?;
    let restart_policy = spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref());
    if restart_policy != Some("Never") {
        let at = path.field("template");
        let at = at.field("spec");
        let at = at.field("restartPolicy");
        let rule = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.invalid(&at, restart_policy.unwrap_or_default(), rule);
    }
    let at = path.field("podFailurePolicy");
    let at = at.field("rules");
    let has_limit = spec.backoff_limit_per_index.is_some();
    let rules = policy.rules.iter().enumerate();
    Some(rules.map(|(n, rule)| failure_rule(rule, has_limit, &at.item(n), errors)).collect())
}

fn failure_rule(
    rule: &batch::PodFailurePolicyRule,
    has_limit_per_index: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> PodFailureRule {
    let actions = [
        ("FailJob", PodFailureAction::FailJob),
        ("FailIndex", PodFailureAction::FailIndex),
        ("Ignore", PodFailureAction::Ignore),
        ("Count", PodFailureAction::Count),
    ];
    let at = path.field("action");
    let action = errors.chosen(Some(&rule.action), &actions, &at);
    let action = action.unwrap_or(PodFailureAction::Count);
    if action == PodFailureAction::FailIndex && !has_limit_per_index {
        errors.invalid(&at, &rule.action, "requires the backoffLimitPerIndex to be set");
    }
    let pattern = match (&rule.on_exit_codes, &rule.on_pod_conditions) {
        (Some(codes), None) => exit_codes(codes, &path.field("onExitCodes"), errors),
        (None, Some(conditions)) => pod_conditions(conditions),
        _ => {
            let rule = "specifying one of OnExitCodes and OnPodConditions is required";
            errors.invalid(path, "", rule);
            PodFailurePattern::Conditions(Vec::new())
        }
    };
    PodFailureRule { action, pattern }
}

fn exit_codes(
    codes: &batch::PodFailurePolicyOnExitCodesRequirement,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> PodFailurePattern {
    let operators = [("In", false), ("NotIn", true)];
    let at = path.field("operator");
    let is_negated = errors.choose(Some(&codes.operator), &operators, &at);
    let at = path.field("values");
    if codes.values.is_empty() {
        errors.invalid(&at, "[]", "at least one value is required");
    }
    PodFailurePattern::ExitCodes {
        container: codes.container_name.as_deref().map(Name::from),
        is_negated,
        values: codes.values.clone(),
    }
}

fn pod_conditions(
    conditions: &[batch::PodFailurePolicyOnPodConditionsPattern],
) -> PodFailurePattern {
    let status = |text: &str| match text {
        "False" => ConditionStatus::False,
        "Unknown" => ConditionStatus::Unknown,
        _ => ConditionStatus::True,
    };
    let pattern = |one: &batch::PodFailurePolicyOnPodConditionsPattern| {
        (Name::from(one.type_.as_str()), status(one.status.as_deref().unwrap_or_default()))
    };
    PodFailurePattern::Conditions(conditions.iter().map(pattern).collect())
}

/// `spec.successPolicy.rules`.
pub(super) fn success_policy(
    spec: &batch::JobSpec,
    is_indexed: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<Vec<SuccessRule>> {
    let policy = spec.success_policy.as_ref()?;
    let at = path.field("successPolicy");
    if !is_indexed {
        errors.invalid(&at, "", "requires indexed completion mode");
    }
    let at = at.field("rules");
    for (n, rule) in policy.rules.iter().enumerate() {
        if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
            errors.required(&at.item(n), "at least one of succeededCount or succeededIndexes");
        }
        let count = i64::from(rule.succeeded_count.unwrap_or_default());
        errors.not_negative(&at.item(n).field("succeededCount"), count);
    }
    let rules = policy.rules.iter().map(|rule| SuccessRule {
        indexes: rule.succeeded_indexes.as_deref().map(Name::from),
        count: rule.succeeded_count,
    });
    Some(rules.collect())
}
