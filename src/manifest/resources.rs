//! Converts resource lists of the API to those of `cluster`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::field::{FieldErrors, FieldPath};
use cluster::pod_template::ResourceList;
use units::Quantity;

/// Amounts by resource name; invalid or negative quantities are reported and left out.
pub fn resource_list(
    amounts: Option<&BTreeMap<String, ApiQuantity>>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> ResourceList {
    let mut list = ResourceList::default();
    for (name, ApiQuantity(text)) in amounts.into_iter().flatten() {
        match text.parse::<Quantity>() {
            Ok(amount) if amount.is_negative() => {
                errors.invalid(&path.key(name), text, "must be greater than or equal to 0");
            }
            Ok(amount) => list.set(name.as_str(), amount),
            Err(error) => errors.push(&path.key(name), error.to_string()),
        }
    }
    list
}

/// `requests` and `limits` as written; a request above its limit is an error.
pub(super) fn requests_and_limits(
    resources: Option<&core::ResourceRequirements>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> (ResourceList, ResourceList) {
    let Some(resources) = resources else { return Default::default() };
    let at_requests = path.field("requests");
    let requests = resource_list(resources.requests.as_ref(), &at_requests, errors);
    let limits = resource_list(resources.limits.as_ref(), &path.field("limits"), errors);
    for (name, request) in requests.iter() {
        if let Some(limit) = limits.get(name)
            && request.nanos() > limit.nanos()
        {
            let rule = format!("must be less than or equal to {name} limit of {limit}");
            errors.invalid(&at_requests, request.to_string(), rule);
        }
    }
    (requests, limits)
}
