//! Resources assigned by the vertical-pod-autoscaler's webhook to a new pod, and by the updater's in-place resize to
//! a running one (`pkg/admission-controller/resource/pod/recommendation`).

use super::pod_template::ResourceList;
use super::vpa::{ContainerRecommendation, Resource, VpaSpec};
use super::vpa_capping::{
    Capped, CappedContainer, CappingPanic, NamespaceLimits, ProportionalLimit, capped,
    proportional_limit,
};

/// New amounts for a container; resources not listed stay unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmittedResources {
    /// Requests.
    pub requests: ResourceList,
    /// Limits.
    pub limits: ResourceList,
    /// Caps and exclusions that were applied, in the words of the annotation `vpaUpdates`.
    pub notes: Vec<String>,
}

/// The new amounts for each container of a pod (`GetContainersResourcesForPod`).
pub fn admitted(
    spec: &VpaSpec,
    recommendation: &[ContainerRecommendation],
    pod: &[CappedContainer<'_>],
    limits: &NamespaceLimits,
) -> Result<Vec<AdmittedResources>, CappingPanic> {
    let Capped { recommendation, notes } = capped(spec, recommendation, pod, limits)?;
    let admitted = pod.iter().map(|container| {
        let own = notes.iter().filter(|(name, _)| name == container.name);
        let mut admitted = AdmittedResources {
            notes: own.map(|(_, note)| note.clone()).collect(),
            ..AdmittedResources::default()
        };
        let recommended = recommendation.iter().find(|one| one.container == *container.name);
        let Some(recommended) = recommended else { return admitted };
        admitted.requests = recommended.target.to_list();
        if spec.requests_only(container.name) {
            return admitted;
        }
        let default = limits.container.as_ref().map(|item| &item.default_limits);
        let proportional = Resource::ALL.map(|resource| {
            let of = |list: &ResourceList| list.get(resource.as_str()).unwrap_or_default();
            proportional_limit(
                resource,
                of(container.limits),
                of(container.requests),
                recommended.target.get(resource).unwrap_or_default(),
                default.map(of).unwrap_or_default(),
            )
        });
        // Where there is no limit at all nothing is said of it.
        if proportional.iter().any(|limit| limit.amount.is_some()) {
            for (resource, ProportionalLimit { amount, note }) in
                Resource::ALL.into_iter().zip(proportional)
            {
                if let Some(amount) = amount {
                    admitted.limits.set(resource.as_str(), amount);
                }
                if !note.is_empty() {
                    admitted.notes.push(note);
                }
            }
        }
        admitted
    });
    Ok(admitted.collect())
}
