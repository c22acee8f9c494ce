//! Objects that pods use (`pkg/apis/core/v1/defaults.go`, 1.36).

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{SetDefaults, fill, resource_list, text};

/// The label by which selectors identify a namespace.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";
const CLIENT_AFFINITY_SECONDS: i32 = 3 * 60 * 60;

impl SetDefaults for core::Service {
    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        text(&mut spec.session_affinity, "None");
        match spec.session_affinity.as_deref() {
            Some("None") => spec.session_affinity_config = None,
            Some("ClientIP") => {
                let config = spec.session_affinity_config.get_or_insert_default();
                let config = config.client_ip.get_or_insert_default();
                config.timeout_seconds.get_or_insert(CLIENT_AFFINITY_SECONDS);
            }
            _ => {}
        }
        text(&mut spec.type_, "ClusterIP");
        for port in spec.ports.iter_mut().flatten() {
            text(&mut port.protocol, "TCP");
            let is_given = match &port.target_port {
                None => false,
                Some(IntOrString::Int(number)) => *number != 0,
                Some(IntOrString::String(name)) => !name.is_empty(),
            };
            if !is_given {
                port.target_port = Some(IntOrString::Int(port.port));
            }
        }
        let service_type = spec.type_.as_deref().unwrap_or_default();
        let is_load_balancer = service_type == "LoadBalancer";
        let is_on_nodes = is_load_balancer || service_type == "NodePort";
        let has_addresses = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
        let is_cluster_ip = service_type == "ClusterIP";
        if is_on_nodes || is_cluster_ip && has_addresses {
            text(&mut spec.external_traffic_policy, "Cluster");
        }
        if is_on_nodes || is_cluster_ip {
            text(&mut spec.internal_traffic_policy, "Cluster");
        }
        if is_load_balancer {
            spec.allocate_load_balancer_node_ports.get_or_insert(true);
        }
    }
}

/// Standalone claims, those of StatefulSets, and those of ephemeral volumes.
pub(super) fn claim_spec(spec: &mut core::PersistentVolumeClaimSpec) {
    text(&mut spec.volume_mode, "Filesystem");
    let resources = spec.resources.get_or_insert_default();
    resource_list(&mut resources.limits);
    resource_list(&mut resources.requests);
}

impl SetDefaults for core::PersistentVolumeClaim {
    fn set_defaults(&mut self) {
        claim_spec(self.spec.get_or_insert_default());
    }
}

impl SetDefaults for core::PersistentVolume {
    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        text(&mut spec.persistent_volume_reclaim_policy, "Retain");
        text(&mut spec.volume_mode, "Filesystem");
        resource_list(&mut spec.capacity);
        if let Some(host_path) = &mut spec.host_path {
            host_path.type_.get_or_insert_default();
        }
    }
}

impl SetDefaults for core::Namespace {
    fn set_defaults(&mut self) {
        if let Some(name) = self.metadata.name.clone().filter(|name| !name.is_empty()) {
            let labels = self.metadata.labels.get_or_insert_default();
            labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name);
        }
        // Added by the strategy at creation, so that deleting the namespace deletes its contents
        // first.
        let finalizers = self.spec.get_or_insert_default().finalizers.get_or_insert_default();
        if finalizers.is_empty() {
            finalizers.push("kubernetes".to_owned());
        }
    }
}

impl SetDefaults for core::Node {
    fn set_defaults(&mut self) {
        let Some(status) = &mut self.status else { return };
        resource_list(&mut status.capacity);
        resource_list(&mut status.allocatable);
        if status.allocatable.is_none() {
            status.allocatable.clone_from(&status.capacity);
        }
    }
}

/// `data` becomes an empty map, which is not serialized.
impl SetDefaults for core::ConfigMap {
    fn set_defaults(&mut self) {}
}

impl SetDefaults for core::ServiceAccount {
    fn set_defaults(&mut self) {}
}

impl SetDefaults for core::Secret {
    fn set_defaults(&mut self) {
        text(&mut self.type_, "Opaque");
        // `stringData` is write-only (`Convert_v1_Secret_To_core_Secret`).
        for (key, plain) in self.string_data.take().into_iter().flatten() {
            self.data.get_or_insert_default().insert(key, ByteString(plain.into_bytes()));
        }
    }
}

impl SetDefaults for core::ResourceQuota {
    fn set_defaults(&mut self) {
        resource_list(&mut self.spec.get_or_insert_default().hard);
    }
}

impl SetDefaults for core::LimitRange {
    fn set_defaults(&mut self) {
        for item in &mut self.spec.get_or_insert_default().limits {
            for amounts in [
                &mut item.max,
                &mut item.min,
                &mut item.default,
                &mut item.default_request,
                &mut item.max_limit_request_ratio,
            ] {
                resource_list(amounts);
            }
            if item.type_ == "Container" {
                fill(&mut item.default, item.max.as_ref());
                fill(&mut item.default_request, item.default.as_ref());
                fill(&mut item.default_request, item.min.as_ref());
            }
        }
    }
}
