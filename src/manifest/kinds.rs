//! The kinds that are read, those that are skipped, and the consequences for the results.

use super::spelling::nearest;
use cluster::Kind;
use cluster::kind::{CUSTOM_RESOURCES, Role};

/// A version of a kind whose objects are parsed.
pub(super) struct ReadKind {
    /// The kind.
    pub(super) kind: Kind,
    /// A version other than the current one that is also served.
    other_version: Option<&'static str>,
    /// The name of its type in the definitions.
    pub(super) type_name: &'static str,
}

macro_rules! read_kinds {
    ($($kind:ident $type_name:literal $(, $version:literal)?;)*) => {
        [$(ReadKind {
            kind: Kind::$kind,
            other_version: [$(Some($version),)? None][0],
            type_name: $type_name,
        }),*]
    };
}

/// All kinds that are parsed, with their types.
static READ: [ReadKind; 39] = read_kinds![
    Pod "io.k8s.api.core.v1.Pod";
    Deployment "io.k8s.api.apps.v1.Deployment";
    ReplicaSet "io.k8s.api.apps.v1.ReplicaSet";
    StatefulSet "io.k8s.api.apps.v1.StatefulSet";
    DaemonSet "io.k8s.api.apps.v1.DaemonSet";
    Job "io.k8s.api.batch.v1.Job";
    CronJob "io.k8s.api.batch.v1.CronJob";
    Service "io.k8s.api.core.v1.Service";
    HorizontalPodAutoscaler "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler";
    HorizontalPodAutoscaler "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler", "autoscaling/v1";
    PodDisruptionBudget "io.k8s.api.policy.v1.PodDisruptionBudget";
    PriorityClass "io.k8s.api.scheduling.v1.PriorityClass";
    Node "io.k8s.api.core.v1.Node";
    Namespace "io.k8s.api.core.v1.Namespace";
    ConfigMap "io.k8s.api.core.v1.ConfigMap";
    Secret "io.k8s.api.core.v1.Secret";
    ServiceAccount "io.k8s.api.core.v1.ServiceAccount";
    ResourceQuota "io.k8s.api.core.v1.ResourceQuota";
    LimitRange "io.k8s.api.core.v1.LimitRange";
    PersistentVolumeClaim "io.k8s.api.core.v1.PersistentVolumeClaim";
    PersistentVolume "io.k8s.api.core.v1.PersistentVolume";
    StorageClass "io.k8s.api.storage.v1.StorageClass";
    CSINode "io.k8s.api.storage.v1.CSINode";
    NetworkPolicy "io.k8s.api.networking.v1.NetworkPolicy";
    Rollout "Rollout";
    AnalysisTemplate "AnalysisTemplate";
    ClusterAnalysisTemplate "ClusterAnalysisTemplate";
    ScaledObject "ScaledObject";
    ScaledJob "ScaledJob";
    ResourceFlavor "ResourceFlavor";
    ResourceFlavor "ResourceFlavor", "kueue.x-k8s.io/v1beta1";
    ClusterQueue "ClusterQueue";
    ClusterQueue "ClusterQueue", "kueue.x-k8s.io/v1beta1";
    LocalQueue "LocalQueue";
    LocalQueue "LocalQueue", "kueue.x-k8s.io/v1beta1";
    WorkloadPriorityClass "WorkloadPriorityClass";
    WorkloadPriorityClass "WorkloadPriorityClass", "kueue.x-k8s.io/v1beta1";
    PodAutoscaler "PodAutoscaler";
    VerticalPodAutoscaler "VerticalPodAutoscaler";
];

impl ReadKind {
    fn api_version(&self) -> String {
        self.other_version.map_or_else(|| self.kind.api_version(), str::to_owned)
    }
}

/// The types of the kinds that a simulation uses.
#[cfg(test)]
pub(super) fn simulated_types() -> impl Iterator<Item = &'static str> {
    READ.iter().map(|known| known.type_name)
}

/// Removed API versions, with the release that removed them.
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

/// The release that removed the old versions of Ingress and related kinds.
const INGRESS_DROPPED: &str = "1.22";

/// API groups whose kinds are all in the table of kinds.
const KNOWN_GROUPS: [&str; 4] = ["v1", "apps/v1", "batch/v1", "policy/v1"];

/// Kinds of other projects whose controllers apply further manifests, by group, with the way to simulate those.
const APPLIERS: [(&str, &str, &str); 4] = [
    (
        "helm.toolkit.fluxcd.io",
        "HelmRelease",
        "Flux installs its chart; use the output of `helm template` with its values",
    ),
    (
        "kustomize.toolkit.fluxcd.io",
        "Kustomization",
        "Flux applies the folder in its `spec.path`; name that folder among the manifests",
    ),
    (
        "argoproj.io",
        "Application",
        "Argo CD applies the manifests or the chart of its `spec.source`; name those among the manifests",
    ),
    (
        "argoproj.io",
        "ApplicationSet",
        "Argo CD applies the manifests or charts of its applications; name those among the manifests",
    ),
];

/// True for the objects of Flux, one of whose kinds has the name of kustomize's own files.
fn is_of_flux(api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    group.ends_with(".toolkit.fluxcd.io")
}

/// The kind of a manifest; `CustomResource` if unknown.
pub(super) fn kind_of(api_version: &str, kind: &str) -> Kind {
    match Kind::of_manifest(api_version, kind) {
        _ if is_of_flux(api_version) => Kind::CustomResource,
        kind => kind,
    }
}

/// Consequence of skipping an object of an unknown kind.
pub fn meaning_of_unknown(api_version: &str, kind: &str) -> &'static str {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let applier =
        APPLIERS.iter().find(|(of_group, of_kind, _)| (*of_group, *of_kind) == (group, kind));
    applier.map_or(CUSTOM_RESOURCES, |(_, _, meaning)| meaning)
}

/// The treatment of an object, by apiVersion and kind.
pub(super) enum Treatment {
    /// It is parsed.
    Read(&'static ReadKind),
    /// It is skipped, with this consequence.
    LeftAside { meaning: &'static str },
    /// Unknown to the API server of Kubernetes 1.36.
    Unknown { help: String },
}

/// The treatment of objects of a kind.
pub(super) fn treatment(api_version: &str, kind: &str) -> Treatment {
    let of_name = || READ.iter().filter(|known| known.kind.name() == kind);
    if let Some(known) = of_name().find(|known| known.api_version() == api_version) {
        return Treatment::Read(known);
    }
    if let Some(current) = of_name().next().map(|known| known.kind)
        && Kind::of_manifest(api_version, kind) == current
    {
        let current = current.api_version();
        let help = match DROPPED.iter().find(|(dropped, _)| *dropped == api_version) {
            Some((_, release)) => {
                format!("removed in Kubernetes {release}; write apiVersion: {current}")
            }
            None => format!("write apiVersion: {current}"),
        };
        return Treatment::Unknown { help };
    }
    let known = Kind::spelled(kind).map_or(Kind::CustomResource, |kind| kind);
    let known = if is_of_flux(api_version) { Kind::CustomResource } else { known };
    if matches!(known, Kind::Ingress | Kind::IngressClass | Kind::NetworkPolicy)
        && ["extensions/v1beta1", "networking.k8s.io/v1beta1"].contains(&api_version)
    {
        let current = known.api_version();
        let help = format!("removed in Kubernetes {INGRESS_DROPPED}; write apiVersion: {current}");
        return Treatment::Unknown { help };
    }
    if let (Role::LeftAside(meaning), true) = (known.info().role, known != Kind::CustomResource) {
        return Treatment::LeftAside { meaning };
    }
    if KNOWN_GROUPS.contains(&api_version) {
        let in_group = READ.iter().filter(|known| known.api_version() == api_version);
        let names = in_group.map(|known| known.kind.name());
        let help = match nearest(kind, names.clone()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known in {api_version}: {}", names.collect::<Vec<_>>().join(", ")),
        };
        return Treatment::Unknown { help };
    }
    Treatment::LeftAside { meaning: meaning_of_unknown(api_version, kind) }
}

/// True if objects of a kind are parsed.
pub(super) fn is_read(api_version: &str, kind: &str) -> bool {
    matches!(treatment(api_version, kind), Treatment::Read(_))
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
        assert_eq!(dropped, "removed in Kubernetes 1.16; write apiVersion: apps/v1");
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
        for (api_version, kind, means) in [
            ("networking.k8s.io/v1", "Ingress", "requests enter at the Service"),
            ("v1", "ReplicationController", "each is simulated as a ReplicaSet"),
            ("kustomize.config.k8s.io/v1beta1", "Kustomization", "a configuration of kustomize"),
            ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "Flux applies the folder"),
            ("helm.toolkit.fluxcd.io/v2", "HelmRelease", "Flux installs its chart"),
            ("example.com/v1", "Widget", "custom resources and the effects"),
        ] {
            let Treatment::LeftAside { meaning } = treatment(api_version, kind) else {
                panic!("{kind} is read");
            };
            assert!(meaning.starts_with(means), "{meaning}");
        }
    }

    #[test]
    fn every_kind_that_is_read_has_its_fields() {
        for kind in &READ {
            let name = kind.type_name;
            let short = name.rsplit('.').next().unwrap_or_default();
            assert_eq!(short, kind.kind.name());
            assert!(crate::schema::has_field(short, "metadata"), "{name}");
        }
    }
}
