//! Requests and limits of containers, and names of resources (`validateResourceRequirements`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::check_key;
use super::label;
use units::Quantity;

/// Container resources without a domain (`standardContainerResources`).
const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// All resources without a domain (`standardResources`).
const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];
/// Resources with integer amounts (`integerResources`).
const WHOLE: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
const NANOS_PER_UNIT: i128 = 1_000_000_000;

pub(super) fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// `IsNativeResource`.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// `IsOvercommitAllowed`.
pub(super) fn may_be_overcommitted(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// `IsExtendedResourceName`.
fn is_extended(name: &str) -> bool {
    let mut discarded = FieldErrors::default();
    check_key(&format!("requests.{name}"), &FieldPath::ROOT, &mut discarded);
    !is_native(name) && !name.starts_with("requests.") && discarded.is_empty()
}

pub(super) fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name)
        || is_huge_page(name)
        || name.strip_prefix("requests.").is_some_and(is_huge_page)
}

/// `validateResourceName`.
pub(super) fn check_resource_name(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    check_key(name, path, errors);
    if !name.contains('/') && !is_standard(name) {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
    }
}

/// `validateContainerResourceName`.
pub(super) fn check_container_resource(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    check_resource_name(name, path, errors);
    if !name.contains('/') {
        if !OF_CONTAINERS.contains(&name) && !is_huge_page(name) {
            errors.invalid(path, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.invalid(path, name, "doesn't follow extended resource name standard");
    }
}

/// The amount of a resource, an integer for some (`ValidateResourceQuantityValue`).
pub(super) fn check_amount(
    name: &str,
    amount: &ApiQuantity,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(quantity) = quantity(amount) else { return };
    if quantity.is_negative() {
        errors.invalid(path, &amount.0, "must be greater than or equal to 0");
    }
    let is_whole = WHOLE.contains(&name) || is_extended(name);
    if is_whole && quantity.nanos() % NANOS_PER_UNIT != 0 {
        errors.invalid(path, &amount.0, "must be an integer");
    }
}

pub(super) fn quantity(amount: &ApiQuantity) -> Option<Quantity> {
    amount.0.parse().ok()
}

/// Requests and limits of a container (`validateResourceRequirements`); lowering reports a request above its limit.
pub(super) fn validate_resources(
    resources: &core::ResourceRequirements,
    pod_claims: &BTreeSet<&str>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let empty = BTreeMap::new();
    let limits = resources.limits.as_ref().unwrap_or(&empty);
    let requests = resources.requests.as_ref().unwrap_or(&empty);
    let (at_limits, at_requests) = (path.field("limits"), path.field("requests"));
    for (list, at) in [(limits, &at_limits), (requests, &at_requests)] {
        for (name, amount) in list {
            check_container_resource(name, &at.key(name), errors);
            check_amount(name, amount, &at.key(name), errors);
            check_huge_pages(name, amount, &at.key(name), errors);
        }
    }
    for (name, request) in requests.iter().filter(|(name, _)| !may_be_overcommitted(name)) {
        match limits.get(name) {
            None => {
                errors.required(&at_limits, "Limit must be set for non overcommitable resources");
            }
            Some(limit) if quantity(limit) != quantity(request) => {
                let rule = format!("must be equal to {name} limit of {}", limit.0);
                errors.invalid(&at_requests, &request.0, rule);
            }
            Some(_) => {}
        }
    }
    let has = |is_meant: fn(&str) -> bool| {
        limits.keys().chain(requests.keys()).any(|name| is_meant(name))
    };
    if has(is_huge_page) && !has(|name| matches!(name, "cpu" | "memory")) {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
    claims(
        resources.claims.as_deref().unwrap_or_default(),
        pod_claims,
        &path.field("claims"),
        errors,
    );
}

fn check_huge_pages(
    name: &str,
    amount: &ApiQuantity,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(size) = name.strip_prefix("hugepages-") else { return };
    let Ok(size) = size.parse::<Quantity>() else { return };
    let Some(quantity) = quantity(amount) else { return };
    if size.nanos() > 0 && quantity.nanos() % size.nanos() != 0 {
        let rule = format!("{} is not positive integer multiple of {name}", amount.0);
        errors.invalid(path, &amount.0, rule);
    }
}

/// `validateResourceClaimNames`.
fn claims(
    claims: &[core::ResourceClaim],
    pod_claims: &BTreeSet<&str>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let mut seen = BTreeSet::new();
    for (index, claim) in claims.iter().enumerate() {
        let at = path.item(index);
        let request = claim.request.as_deref().unwrap_or_default();
        if claim.name.is_empty() {
            errors.required(&at, "");
            continue;
        }
        if !request.is_empty() {
            label(request, &at.field("request"), errors);
        }
        let is_taken = seen.iter().any(|(name, of): &(&str, &str)| {
            *name == claim.name && (of.is_empty() || request.is_empty() || *of == request)
        });
        if is_taken {
            errors.duplicate(&at, &claim.name);
        }
        seen.insert((claim.name.as_str(), request));
        if !pod_claims.contains(claim.name.as_str()) {
            let known: Vec<&str> = pod_claims.iter().copied().collect();
            let known = match known.as_slice() {
                [] => " which is empty".to_owned(),
                known => format!(": {}", known.join(", ")),
            };
            let name = &claim.name;
            let problem = format!(
                "Not found: {name:?}: must be one of the names in pod.spec.resourceClaims{known}"
            );
            errors.push(&at, problem);
        }
    }
}
