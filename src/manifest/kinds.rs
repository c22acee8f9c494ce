//! Which kinds of object are read, which are left aside, and what that means for the result.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::{v1, v2};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::StorageClass;

use super::diagnostic::Severity;
use super::scaled_object::ScaledObject;
use super::schema::type_name;
use super::spelling::nearest;
use super::vpa::VerticalPodAutoscaler;

/// A kind whose objects are read field by field.
pub(super) struct Kind {
    /// As manifests spell it.
    pub(super) name: &'static str,
    /// The `apiVersion` under which Kubernetes 1.36 serves it.
    pub(super) api_version: &'static str,
    /// The name of its type in the schema.
    pub(super) type_name: fn() -> String,
    /// What it means that its objects are read and checked but not simulated; absent if they are.
    pub(super) unsimulated: Option<&'static str>,
}

macro_rules! kinds {
    ($($api_version:literal $name:literal $type:ty $(, $unsimulated:expr)?;)*) => {
        [$(Kind {
            name: $name,
            api_version: $api_version,
            type_name: type_name::<$type>,
            unsimulated: [$(Some($unsimulated),)? None][0],
        }),*]
    };
}

/// All kinds that are read.
static KINDS: [Kind; 24] = kinds![
    "v1" "Pod" core::Pod;
    "apps/v1" "Deployment" Deployment;
    "apps/v1" "ReplicaSet" ReplicaSet;
    "apps/v1" "StatefulSet" StatefulSet;
    "apps/v1" "DaemonSet" DaemonSet;
    "batch/v1" "Job" Job;
    "batch/v1" "CronJob" CronJob;
    "v1" "Service" core::Service;
    "autoscaling/v2" "HorizontalPodAutoscaler" v2::HorizontalPodAutoscaler;
    "autoscaling/v1" "HorizontalPodAutoscaler" v1::HorizontalPodAutoscaler;
    "policy/v1" "PodDisruptionBudget" PodDisruptionBudget;
    "scheduling.k8s.io/v1" "PriorityClass" PriorityClass;
    "v1" "Node" core::Node;
    "v1" "Namespace" core::Namespace;
    "v1" "ConfigMap" core::ConfigMap;
    "v1" "Secret" core::Secret;
    "v1" "ServiceAccount" core::ServiceAccount;
    "v1" "ResourceQuota" core::ResourceQuota;
    "v1" "LimitRange" core::LimitRange;
    "v1" "PersistentVolumeClaim" core::PersistentVolumeClaim;
    "v1" "PersistentVolume" core::PersistentVolume, STORAGE;
    "storage.k8s.io/v1" "StorageClass" StorageClass, STORAGE;
    "keda.sh/v1alpha1" "ScaledObject" ScaledObject;
    "autoscaling.k8s.io/v1" "VerticalPodAutoscaler" VerticalPodAutoscaler;
];

/// Versions that Kubernetes served once, with the release that dropped them.
const DROPPED: [(&str, &str); 12] = [
    ("extensions/v1beta1", "1.16"),
    ("apps/v1beta1", "1.16"),
    ("apps/v1beta2", "1.16"),
    ("batch/v1beta1", "1.25"),
    ("batch/v2alpha1", "1.21"),
    ("policy/v1beta1", "1.25"),
    ("autoscaling/v2beta1", "1.25"),
    ("autoscaling/v2beta2", "1.26"),
    ("scheduling.k8s.io/v1alpha1", "1.17"),
    ("scheduling.k8s.io/v1beta1", "1.22"),
    ("storage.k8s.io/v1beta1", "1.22"),
    ("v1beta3", "1.3"),
];

/// API groups of which every kind is known, here or in [`LEFT_ASIDE`].
const KNOWN_GROUPS: [&str; 4] = ["v1", "apps/v1", "batch/v1", "policy/v1"];

const RIGHTS: &str = "rights are not simulated; everyone may do everything";
const ADMISSION: &str = "nothing checks or changes objects on their way in";
const STORAGE: &str =
    "every claim gets a new volume when its first pod has a node, in the zone of that node";
const PODS_MISSING: &str = "its pods are not created";

/// Kinds of Kubernetes and of widely used projects that are left aside, and what that means. Those that
/// would have brought pods or nodes come with a warning instead of a note.
const LEFT_ASIDE: [(&str, &str); 47] = [
    ("ReplicationController", "its pods are not created; write a Deployment instead"),
    ("Ingress", "requests enter at the Service, but for those under `ingress` of the scenario"),
    ("IngressClass", "requests enter at the Service"),
    ("Gateway", "requests enter at the Service"),
    ("HTTPRoute", "requests enter at the Service, but for those under `ingress` of the scenario"),
    ("NetworkPolicy", "all traffic is allowed"),
    ("Endpoints", "a Service has the endpoints that its selector finds"),
    ("EndpointSlice", "a Service has the endpoints that its selector finds"),
    ("Role", RIGHTS),
    ("RoleBinding", RIGHTS),
    ("ClusterRole", RIGHTS),
    ("ClusterRoleBinding", RIGHTS),
    ("PodSecurityPolicy", RIGHTS),
    ("SecurityContextConstraints", RIGHTS),
    ("ValidatingWebhookConfiguration", ADMISSION),
    ("MutatingWebhookConfiguration", ADMISSION),
    ("ValidatingAdmissionPolicy", ADMISSION),
    ("ValidatingAdmissionPolicyBinding", ADMISSION),
    (
        "CustomResourceDefinition",
        "custom resources are left aside, whether or not they are defined",
    ),
    ("APIService", "the metrics APIs are built in, others are left aside"),
    ("RuntimeClass", "its overhead counts only where a pod's `overhead` says it"),
    ("CSIDriver", "no storage is simulated"),
    ("CSINode", "no storage is simulated"),
    ("VolumeAttachment", "no storage is simulated"),
    ("VolumeSnapshotClass", "no storage is simulated"),
    ("Lease", "it is the components' own"),
    ("Event", "it only tells of the past"),
    ("ControllerRevision", "it only tells of the past"),
    ("PodTemplate", "nothing uses it"),
    ("Binding", "pods are bound by the simulated scheduler"),
    ("FlowSchema", "the API server takes every request"),
    ("PriorityLevelConfiguration", "the API server takes every request"),
    ("ResourceClaim", "devices are not allocated"),
    ("ResourceClaimTemplate", "devices are not allocated"),
    ("DeviceClass", "devices are not allocated"),
    ("ServiceMonitor", "metrics are collected without it"),
    ("PodMonitor", "metrics are collected without it"),
    ("PrometheusRule", "alerts are not simulated"),
    ("Certificate", "certificates are not simulated"),
    ("Issuer", "certificates are not simulated"),
    ("ClusterIssuer", "certificates are not simulated"),
    ("Kustomization", "it is kustomize's own; give the output of `kubectl kustomize` instead"),
    ("Component", "it is kustomize's own; give the output of `kubectl kustomize` instead"),
    ("ScaledJob", PODS_MISSING),
    ("NodePool", "nodes come from the scenario's node pools"),
    ("EC2NodeClass", "nodes come from the scenario's node pools"),
    ("Rollout", "its pods are not created; write a Deployment instead"),
];

/// Kinds without a namespace, beside those of [`KINDS`] that have none.
const CLUSTER_SCOPED: [&str; 24] = [
    "Node",
    "Namespace",
    "PriorityClass",
    "PersistentVolume",
    "StorageClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "APIService",
    "IngressClass",
    "RuntimeClass",
    "CSIDriver",
    "CSINode",
    "VolumeAttachment",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "FlowSchema",
    "PriorityLevelConfiguration",
    "PodSecurityPolicy",
    "DeviceClass",
    "ClusterIssuer",
    "NodePool",
];

/// What becomes of an object, by its apiVersion and kind.
pub(super) enum Treatment {
    /// It is read field by field.
    Read(&'static Kind),
    /// It is left aside, which means this.
    LeftAside { meaning: &'static str },
    /// No API server of Kubernetes 1.36 knows it.
    Unknown { help: String },
}

/// What becomes of the objects of a kind.
pub(super) fn treatment(api_version: &str, kind: &str) -> Treatment {
    let of_name = || KINDS.iter().filter(|known| known.name == kind);
    if let Some(known) = of_name().find(|known| known.api_version == api_version) {
        return Treatment::Read(known);
    }
    if let Some(current) = of_name().next()
        && (is_kubernetes_group(api_version) || group(api_version) == group(current.api_version))
    {
        let current = current.api_version;
        let help = match DROPPED.iter().find(|(dropped, _)| *dropped == api_version) {
            Some((_, release)) => {
                format!("Kubernetes {release} dropped it; write apiVersion: {current}")
            }
            None => format!("write apiVersion: {current}"),
        };
        return Treatment::Unknown { help };
    }
    if let Some((_, meaning)) = LEFT_ASIDE.iter().find(|(name, _)| *name == kind) {
        return Treatment::LeftAside { meaning };
    }
    if KNOWN_GROUPS.contains(&api_version) {
        let in_group = KINDS.iter().filter(|known| known.api_version == api_version);
        let names = in_group.map(|known| known.name);
        let help = match nearest(kind, names.clone()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known in {api_version}: {}", names.collect::<Vec<_>>().join(", ")),
        };
        return Treatment::Unknown { help };
    }
    Treatment::LeftAside {
        meaning: "custom resources are left aside, and so is what their controllers would do",
    }
}

/// Whether the objects of a kind are read field by field.
pub(super) fn is_read(api_version: &str, kind: &str) -> bool {
    matches!(treatment(api_version, kind), Treatment::Read(_))
}

/// How much it matters that objects are left aside: pods that never come change every figure.
pub(super) fn severity(meaning: &str) -> Severity {
    if meaning.starts_with(PODS_MISSING) { Severity::Warning } else { Severity::Note }
}

/// Whether the objects of a kind live in namespaces.
pub(super) fn is_namespaced(kind: &str) -> bool {
    !CLUSTER_SCOPED.contains(&kind)
}

/// The group of an apiVersion, empty for the core group.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Groups without a dot are Kubernetes' own.
fn is_kubernetes_group(api_version: &str) -> bool {
    !group(api_version).contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(api_version: &str, kind: &str) -> Option<String> {
        match treatment(api_version, kind) {
            Treatment::Unknown { help } => Some(help),
            Treatment::Read(_) | Treatment::LeftAside { .. } => None,
        }
    }

    #[test]
    fn a_version_that_is_served_no_more_is_known_with_its_successor() {
        let dropped = help("extensions/v1beta1", "Deployment").unwrap();
        assert_eq!(dropped, "Kubernetes 1.16 dropped it; write apiVersion: apps/v1");
        assert_eq!(help("v1", "Deployment").unwrap(), "write apiVersion: apps/v1");
        assert_eq!(
            help("v1", "deployment").unwrap(),
            "known in v1: Pod, Service, Node, Namespace, \
            ConfigMap, Secret, ServiceAccount, ResourceQuota, LimitRange, PersistentVolumeClaim, PersistentVolume"
        );
        assert_eq!(help("apps/v1", "Deploymnet").unwrap(), "did you mean `Deployment`?");
        assert_eq!(help("apps/v1", "Deployment"), None);
        assert_eq!(help("serving.knative.dev/v1", "Service"), None);
    }

    #[test]
    fn what_is_left_aside_says_what_that_means() {
        for (api_version, kind, means, warns) in [
            ("networking.k8s.io/v1", "Ingress", "requests enter at the Service", false),
            ("v1", "ReplicationController", "its pods are not created", true),
            ("example.com/v1", "Widget", "custom resources are left aside", false),
        ] {
            let Treatment::LeftAside { meaning } = treatment(api_version, kind) else {
                panic!("{kind} is read");
            };
            assert!(meaning.starts_with(means), "{meaning}");
            assert_eq!(severity(meaning) == Severity::Warning, warns);
        }
    }

    #[test]
    fn every_kind_that_is_read_has_its_fields() {
        for kind in &KINDS {
            let name = (kind.type_name)();
            let short = name.rsplit('.').next().unwrap_or_default();
            assert_eq!(short, kind.name);
            assert!(crate::schema::has_field(short, "metadata"), "{name}");
        }
    }
}
