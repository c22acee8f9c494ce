//! Resource lists of the API to those of `cluster`, and the defaults that the API server fills in
//! (`pkg/apis/core/v1/defaults.go`, 1.36).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::field::{FieldErrors, FieldPath};
use cluster::pod_resources::{container_limits, container_requests, is_pod_level_resource};
use cluster::pod_template::{PodSpec, ResourceList};
use units::Quantity;

/// Amounts by resource name; what is no quantity, or negative, is an error and left out.
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

/// Requests and limits of a container; a limit without a request is also the request.
pub(super) fn container_resources(
    resources: Option<&core::ResourceRequirements>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> (ResourceList, ResourceList) {
    let (mut requests, limits) = requests_and_limits(resources, path, errors);
    for (name, limit) in limits.iter() {
        if requests.get(name).is_none() {
            requests.set(name.clone(), limit);
        }
    }
    (requests, limits)
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
            errors.invalid(&at_requests.key(name), request.to_string(), rule);
        }
    }
    (requests, limits)
}

/// Fills in the pod-level limits and requests that follow from the containers
/// (`defaultHugePagePodLimits`, `defaultPodRequests`). Containers must have theirs already.
pub(super) fn default_pod_level(spec: &mut PodSpec) {
    if spec.pod_limits.is_empty() && spec.pod_requests.is_empty() {
        return;
    }
    for (name, limit) in container_limits(spec).iter() {
        if is_huge_page(name) && spec.pod_limits.get(name).is_none() {
            spec.pod_limits.set(name.clone(), limit);
        }
    }
    if spec.pod_limits.is_empty() {
        return;
    }
    // Huge pages cannot be overcommitted, so their request is the limit and nothing else.
    for (name, request) in container_requests(spec, &ResourceList::default()).iter() {
        let applies = is_pod_level_resource(name) && !is_huge_page(name);
        if applies && spec.pod_requests.get(name).is_none() {
            spec.pod_requests.set(name.clone(), request);
        }
    }
    for (name, limit) in spec.pod_limits.clone().iter() {
        if is_pod_level_resource(name) && spec.pod_requests.get(name).is_none() {
            spec.pod_requests.set(name.clone(), limit);
        }
    }
}

fn is_huge_page(resource: &str) -> bool {
    resource.starts_with("hugepages-")
}
