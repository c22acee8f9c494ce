//! LimitRanges, ResourceQuotas and PodDisruptionBudgets, except for rules that lowering checks (`ValidateLimitRange`,
//! `ValidateResourceQuotaSpec`, `ValidatePodDisruptionBudgetSpec`).

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::check_key;
use super::placement::validate_selector;
use super::resources::{
    check_amount, check_container_resource, check_resource_name, is_standard, may_be_overcommitted,
    quantity,
};
use super::{SPEC, Validate};
use units::Quantity;

const NANOS_PER_UNIT: i128 = 1_000_000_000;

impl Validate for PodDisruptionBudget {
    fn validate(&self, errors: &mut FieldErrors) {
        let selector = self.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        validate_selector(selector, &SPEC.field("selector"), errors);
    }
}

impl Validate for core::LimitRange {
    fn validate(&self, errors: &mut FieldErrors) {
        let at = SPEC.field("limits");
        for (index, item) in self.spec.iter().flat_map(|spec| &spec.limits).enumerate() {
            limit(item, &at.item(index), errors);
        }
    }
}

fn limit(item: &core::LimitRangeItem, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    check_key(&item.type_, &path.field("type"), errors);
    if !item.type_.contains('/')
        && !["Pod", "Container", "PersistentVolumeClaim"].contains(&item.type_.as_str())
    {
        let rule = "must be a standard limit type or fully qualified";
        errors.invalid(&path.field("type"), &item.type_, rule);
    }
    let is_of_pods = matches!(item.type_.as_str(), "Pod" | "Container");
    let lists = [
        ("max", &item.max),
        ("min", &item.min),
        ("default", &item.default),
        ("defaultRequest", &item.default_request),
        ("maxLimitRequestRatio", &item.max_limit_request_ratio),
    ];
    let mut names: Vec<&String> = Vec::new();
    for (field, amounts) in lists {
        if item.type_ == "Pod" && field.starts_with("default") {
            if amounts.as_ref().is_some_and(|amounts| !amounts.is_empty()) {
                let why = "may not be specified when `type` is 'Pod'";
                errors.forbidden(&path.field(field), why);
            }
            continue;
        }
        for name in amounts.iter().flatten().map(|(name, _)| name) {
            let at = path.field(field);
            let at = at.key(name);
            if is_of_pods {
                check_container_resource(name, &at, errors);
            } else {
                check_resource_name(name, &at, errors);
            }
            names.push(name);
        }
    }
    names.sort();
    names.dedup();
    for name in names {
        amounts_of_resource(item, name, path, errors);
    }
}

fn amounts_of_resource(
    item: &core::LimitRangeItem,
    name: &str,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    type List = Option<std::collections::BTreeMap<String, ApiQuantity>>;
    let of = |list: &List| list.as_ref().and_then(|list| list.get(name)).and_then(quantity);
    let (min, max) = (of(&item.min), of(&item.max));
    let (limit, request) = (of(&item.default), of(&item.default_request));
    let mut above =
        |low: Option<Quantity>, high: Option<Quantity>, field: &str, words: [&str; 2]| {
            if let (Some(low), Some(high)) = (low, high)
                && low > high
            {
                let at = path.field(field);
                let rule =
                    format!("{} value {low} is greater than {} value {high}", words[0], words[1]);
                errors.invalid(&at.key(name), low.to_string(), rule);
            }
        };
    above(min, max, "min", ["min", "max"]);
    above(min, request, "defaultRequest", ["min", "default request"]);
    above(request, max, "defaultRequest", ["default request", "max"]);
    above(request, limit, "defaultRequest", ["default request", "default limit"]);
    above(min, limit, "default", ["min", "default"]);
    above(limit, max, "default", ["default", "max"]);
    let at = path.field("maxLimitRequestRatio");
    if let Some(ratio) = of(&item.max_limit_request_ratio) {
        if ratio.nanos() < NANOS_PER_UNIT {
            let rule = format!("ratio {ratio} is less than 1");
            errors.invalid(&at.key(name), ratio.to_string(), rule);
        }
        if let (Some(min), Some(max)) = (min, max)
            && let (Some(asked), Some(most)) =
                (ratio.nanos().checked_mul(min.nanos()), max.nanos().checked_mul(NANOS_PER_UNIT))
            && asked > most
            && min.nanos() > 0
        {
            // The ratio, which the message shows with six digits.
            let millionths = max.nanos().saturating_mul(1_000_000) / min.nanos();
            let limit = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
            let rule = format!("ratio {ratio} is greater than max/min = {limit}");
            errors.invalid(&at.key(name), ratio.to_string(), rule);
        }
    }
    if let (false, Some(limit), Some(request)) = (may_be_overcommitted(name), limit, request)
        && limit != request
    {
        let at = path.field("defaultRequest");
        let rule =
            format!("default value {limit} must equal to defaultRequest value {request} in {name}");
        errors.invalid(&at.key(name), request.to_string(), rule);
    }
}

impl Validate for core::ResourceQuota {
    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let at = SPEC.field("hard");
        for (name, amount) in spec.hard.iter().flatten() {
            let at = at.key(name);
            check_resource_name(name, &at, errors);
            if !name.contains('/') && (!is_standard(name) || name == "storage") {
                errors.invalid(&at, name, "must be a standard resource for quota");
            }
            check_amount(name, amount, &at, errors);
        }
        let hard: Vec<&str> = spec.hard.iter().flatten().map(|(name, _)| name.as_str()).collect();
        let at = SPEC.field("scopes");
        let scopes: Vec<&str> = spec.scopes.iter().flatten().map(String::as_str).collect();
        for scope in &scopes {
            scope_fits(scope, &hard, &at, errors);
        }
        conflicting(&scopes, &at, errors);
        let selector = SPEC.field("scopeSelector");
        let at = selector.field("matchExpressions");
        let all = spec.scope_selector.as_ref().and_then(|all| all.match_expressions.as_ref());
        let all: Vec<&core::ScopedResourceSelectorRequirement> =
            all.into_iter().flatten().collect();
        for one in &all {
            scope_fits(&one.scope_name, &hard, &at, errors);
            let values = one.values.as_deref().unwrap_or_default();
            match one.operator.as_str() {
                "In" | "NotIn" if values.is_empty() => {
                    let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                    errors.required(&at.field("values"), why);
                }
                "Exists" | "DoesNotExist" if !values.is_empty() => {
                    let rule = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                    errors.invalid(&at.field("values"), values, rule);
                }
                _ => {}
            }
        }
        let scopes: Vec<&str> = all.iter().map(|one| one.scope_name.as_str()).collect();
        conflicting(&scopes, &at, errors);
    }
}

/// `IsResourceQuotaScopeValidForResource`.
fn scope_fits(scope: &str, hard: &[&str], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const OF_PODS: [&str; 7] =
        ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    let counts: &[&str] = match scope {
        "Terminating"
        | "NotTerminating"
        | "NotBestEffort"
        | "PriorityClass"
        | "CrossNamespacePodAffinity" => &OF_PODS,
        "BestEffort" => &OF_PODS[..1],
        "VolumeAttributesClass" => &["persistentvolumeclaims", "requests.storage"],
        _ => return,
    };
    let is_known = |name: &str| is_standard(name) && name != "storage";
    for _ in hard.iter().filter(|name| is_known(name) && !counts.contains(name)) {
        errors.invalid(path, scope, "unsupported scope applied to resource");
    }
}

fn conflicting(scopes: &[&str], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            errors.invalid(path, scopes, "conflicting scopes");
        }
    }
}
