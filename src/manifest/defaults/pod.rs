//! Pods and pod templates (`SetDefaults_PodSpec`, `SetDefaults_Pod`, 1.36).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::container::{container, ephemeral_container};
use super::volume::volume;
use super::{Amounts, SetDefaults, fill, resource_list, text};
use crate::field::{FieldErrors, FieldPath};
use crate::resources::resource_list as lean_list;
use cluster::pod_resources::{container_limits, container_requests, is_pod_level_resource};
use cluster::pod_template::{Container, PodSpec, ResourceList};

const TERMINATION_GRACE_PERIOD_SECONDS: i64 = 30;

impl SetDefaults for core::Pod {
    fn set_defaults(&mut self) {
        created_pod(self.spec.get_or_insert_default());
    }
}

/// A workload's pod template. Defaults that apply to pods only are filled in when a pod is created
/// from it.
pub(crate) fn template(template: &mut core::PodTemplateSpec) {
    template.spec.iter_mut().for_each(pod_spec);
}

/// The spec of a newly created pod.
pub(crate) fn created_pod(spec: &mut core::PodSpec) {
    pod_spec(spec);
    for container in all_containers(spec) {
        if let Some(resources) = &mut container.resources {
            fill(&mut resources.requests, resources.limits.as_ref());
        }
    }
    default_pod_level(spec);
    spec.enable_service_links.get_or_insert(true);
    if spec.host_network == Some(true) {
        for port in all_containers(spec).flat_map(|container| container.ports.iter_mut().flatten())
        {
            super::number(&mut port.host_port, port.container_port);
        }
    }
}

fn all_containers(spec: &mut core::PodSpec) -> impl Iterator<Item = &mut core::Container> {
    spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten())
}

fn pod_spec(spec: &mut core::PodSpec) {
    text(&mut spec.dns_policy, "ClusterFirst");
    text(&mut spec.restart_policy, "Always");
    text(&mut spec.scheduler_name, "default-scheduler");
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds.get_or_insert(TERMINATION_GRACE_PERIOD_SECONDS);
    // The deprecated alias `serviceAccount` is kept in sync (`Convert_core_PodSpec_To_v1_PodSpec`).
    let account = spec.service_account_name.take().filter(|name| !name.is_empty());
    let account = account.or_else(|| spec.service_account.take().filter(|name| !name.is_empty()));
    spec.service_account.clone_from(&account);
    spec.service_account_name = account;
    spec.volumes.iter_mut().flatten().for_each(volume);
    all_containers(spec).for_each(container);
    spec.ephemeral_containers.iter_mut().flatten().for_each(ephemeral_container);
    resource_list(&mut spec.overhead);
    if let Some(resources) = &mut spec.resources {
        resource_list(&mut resources.limits);
        resource_list(&mut resources.requests);
    }
}

/// Pod-level limits and requests derived from those of the containers (`defaultHugePagePodLimits`,
/// `defaultPodRequests`). The containers must have their defaults already.
fn default_pod_level(spec: &mut core::PodSpec) {
    let Some(mut resources) = spec.resources.take() else { return };
    let has = |amounts: &Amounts| amounts.as_ref().is_some_and(|amounts| !amounts.is_empty());
    if has(&resources.limits) || has(&resources.requests) {
        let lean = lean_containers(spec);
        let huge_pages = only(&container_limits(&lean), |name| {
            is_huge_page(name)
                && !resources.requests.as_ref().is_some_and(|given| given.contains_key(name))
        });
        fill(&mut resources.limits, Some(&huge_pages));
        if has(&resources.limits) {
            // Huge pages cannot be overcommitted, so their request must equal the limit.
            let requests = container_requests(&lean, &ResourceList::default());
            let requests =
                only(&requests, |name| is_pod_level_resource(name) && !is_huge_page(name));
            fill(&mut resources.requests, Some(&requests));
            let mut limits = resources.limits.clone().unwrap_or_default();
            limits.retain(|name, _| is_pod_level_resource(name));
            fill(&mut resources.requests, Some(&limits));
        }
    }
    spec.resources = Some(resources);
}

/// The containers reduced to their resource requests and limits.
fn lean_containers(spec: &core::PodSpec) -> PodSpec {
    let lean = |given: &core::Container| {
        // Invalid amounts count as absent here; lowering reports them.
        let mut discarded = FieldErrors::default();
        let mut list =
            |amounts: &Amounts| lean_list(amounts.as_ref(), &FieldPath::ROOT, &mut discarded);
        let resources = given.resources.clone().unwrap_or_default();
        Container {
            requests: list(&resources.requests),
            limits: list(&resources.limits),
            is_sidecar: given.restart_policy.as_deref() == Some("Always"),
            ..Container::default()
        }
    };
    PodSpec {
        containers: spec.containers.iter().map(lean).collect(),
        init_containers: spec.init_containers.iter().flatten().map(lean).collect(),
        ..PodSpec::default()
    }
}

fn only(amounts: &ResourceList, counts: impl Fn(&str) -> bool) -> BTreeMap<String, ApiQuantity> {
    let counted = amounts.iter().filter(|(name, _)| counts(name));
    counted.map(|(name, one)| (name.to_string(), ApiQuantity(one.to_string()))).collect()
}

fn is_huge_page(resource: &str) -> bool {
    resource.starts_with("hugepages-")
}
