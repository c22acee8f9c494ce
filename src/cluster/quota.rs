//! ResourceQuotas and the admission of pods under them (the `ResourceQuota` plugin and the pod
//! evaluator of `pkg/quota/v1/evaluator/core/pods.go`, 1.36). Counts of other kinds of object and
//! scopes are not limited.

use std::fmt::Write as _;

use super::action::Refused;
use super::meta::{Name, ObjectMeta};
use super::pod_resources::{container_limits, pod_requests};
use super::pod_template::{PodSpec, ResourceList};
use super::store::Store;
use crate::units::Quantity;

/// A ResourceQuota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceQuota {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// `spec.hard`: the most of each resource that the namespace may use.
    pub hard: ResourceList,
}

/// Refuses a pod that would exceed a quota of its namespace, or leaves out what a quota counts.
pub(super) fn admit_pod(
    store: &Store,
    namespace: &Name,
    pod: &str,
    spec: &PodSpec,
) -> Result<(), Refused> {
    let quotas = store.quotas.values().filter(|quota| quota.meta.namespace() == namespace);
    for quota in quotas {
        let name = quota.meta.name();
        let forbidden =
            |why: &str| Refused::Forbidden(format!("pods \"{pod}\" is forbidden: {why}"));
        let unnamed: Vec<&str> = quota
            .hard
            .iter()
            .map(|(resource, _)| resource.as_ref())
            .filter(|resource| is_compute(resource) && usage(spec, resource).is_none())
            .collect();
        if !unnamed.is_empty() {
            let unnamed = unnamed.join(",");
            return Err(forbidden(&format!("failed quota: {name}: must specify {unnamed}")));
        }
        if let Some(why) = excess(store, namespace, quota, spec) {
            return Err(forbidden(&format!("exceeded quota: {name}, {why}")));
        }
    }
    Ok(())
}

/// What exceeds the quota with one more pod: requested, used and limited amounts.
fn excess(
    store: &Store,
    namespace: &Name,
    quota: &ResourceQuota,
    spec: &PodSpec,
) -> Option<String> {
    let (mut requested, mut used, mut limited) = (String::new(), String::new(), String::new());
    for (resource, hard) in quota.hard.iter() {
        let Some(more) = usage(spec, resource) else { continue };
        let now = store
            .pods_in(namespace)
            .filter(|(_, pod)| !pod.phase.is_terminal() || resource.as_ref() == "count/pods")
            .filter_map(|(_, pod)| usage(&store.template_of(pod).spec, resource))
            .fold(Quantity::from_units(0), |sum, amount| sum + amount);
        if now + more > hard {
            for (text, amount) in [(&mut requested, more), (&mut used, now), (&mut limited, hard)] {
                let comma = if text.is_empty() { "" } else { "," };
                let _ = write!(text, "{comma}{resource}={amount}");
            }
        }
    }
    (!requested.is_empty())
        .then(|| format!("requested: {requested}, used: {used}, limited: {limited}"))
}

/// How much of a quota's resource a pod uses; absent if it names none.
fn usage(spec: &PodSpec, resource: &str) -> Option<Quantity> {
    match resource {
        "pods" | "count/pods" => Some(Quantity::from_units(1)),
        _ => match resource.strip_prefix("limits.") {
            Some(limit) => container_limits(spec).get(limit),
            None => pod_requests(spec).get(resource.strip_prefix("requests.").unwrap_or(resource)),
        },
    }
}

/// Whether pods must name the resource where a quota counts it.
fn is_compute(resource: &str) -> bool {
    let resource = resource.strip_prefix("requests.").unwrap_or(resource);
    matches!(resource.strip_prefix("limits.").unwrap_or(resource), "cpu" | "memory")
}
