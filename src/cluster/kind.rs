//! The table of kinds: one row each, with API and command-line names, scope, and the verbs supported by a simulation.
//! All other lists of kinds are derived from this table.

use std::cmp::Ordering;
use std::fmt;

/// Scope of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Objects live in a namespace.
    Namespaced,
    /// Objects are cluster-scoped.
    Cluster,
}

/// The role of a kind's objects in a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Held in the store and simulated.
    Simulated,
    /// Ignored, with the given consequence for the result.
    LeftAside(&'static str),
}

impl Role {
    /// True if its objects are parsed field by field.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Simulated)
    }
}

/// Set of verbs of kubectl and of a scenario's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbs(u16);

impl Verbs {
    /// None.
    const NONE: Self = Self(0);
    /// `kubectl get` and `describe`.
    pub const GET: Self = Self(1);
    /// `kubectl scale`: the kind has a scale sub-resource.
    pub const SCALE: Self = Self(1 << 1);
    /// `kubectl rollout`: the kind keeps revisions of a pod template.
    pub const ROLLOUT: Self = Self(1 << 2);
    /// `kubectl set image`: the kind has a pod template that can change.
    pub const SET_IMAGE: Self = Self(1 << 3);
    /// `kubectl apply` and `patch` of an existing object.
    pub const PATCH: Self = Self(1 << 4);
    /// `kubectl delete`.
    pub const DELETE: Self = Self(1 << 5);
    /// Its objects create pods.
    pub const RUN_PODS: Self = Self(1 << 6);
    /// `wavetank explain`: an object whose controller records its decisions.
    pub const EXPLAIN: Self = Self(1 << 7);
    /// `kubectl rollout pause` and `resume`.
    pub const PAUSE: Self = Self(1 << 8);
    /// `kubectl argo rollouts promote` and `abort`.
    pub const PROMOTE: Self = Self(1 << 9);

    /// The union of both sets.
    const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// True if it contains all of these.
    pub const fn has(self, all_of: Self) -> bool {
        self.0 & all_of.0 == all_of.0
    }
}

/// Verbs of any object held in the store.
const HELD: Verbs = Verbs::GET.and(Verbs::PATCH).and(Verbs::DELETE);
/// Verbs of pods: an existing pod changes only through its sub-resources.
const BARE: Verbs = Verbs::GET.and(Verbs::DELETE).and(Verbs::RUN_PODS);
/// `HELD`, for kinds that create pods.
const WORKLOAD: Verbs = HELD.and(Verbs::RUN_PODS);
/// `WORKLOAD`, with a mutable pod template.
const TEMPLATED: Verbs = WORKLOAD.and(Verbs::SET_IMAGE);
/// `TEMPLATED`, with revisions.
const ROLLED_OUT: Verbs = TEMPLATED.and(Verbs::ROLLOUT);
/// `ROLLED_OUT`, with a scale sub-resource.
const SCALED: Verbs = ROLLED_OUT.and(Verbs::SCALE);
/// Verbs of Rollouts.
const PROGRESSIVE: Verbs = SCALED.and(Verbs::PAUSE).and(Verbs::EXPLAIN).and(Verbs::PROMOTE);
/// Verbs of autoscalers.
const AUTOSCALER: Verbs = HELD.and(Verbs::EXPLAIN);
/// Verbs of routes, whose changes make the scenario recompute its routing.
const ROUTE: Verbs = HELD;

/// One row of the table.
#[derive(Debug)]
pub struct KindInfo {
    /// The kind.
    pub kind: Kind,
    /// The spelling used in manifests.
    pub name: &'static str,
    /// API group, empty for the core group.
    pub group: &'static str,
    /// The version served by Kubernetes 1.36, or the current one of its project.
    pub version: &'static str,
    /// Resource name, as in `/apis/apps/v1/deployments`.
    pub plural: &'static str,
    /// Short names accepted by kubectl.
    pub short_names: &'static [&'static str],
    /// Whether its objects are namespaced.
    pub scope: Scope,
    /// Verbs supported for its objects.
    pub verbs: Verbs,
    /// Role of its objects in a simulation.
    pub role: Role,
    /// Whether the API server tracks spec changes in `metadata.generation`.
    pub has_generation: bool,
}

macro_rules! kinds {
    (@has_generation Uncounted) => { false };
    (@has_generation) => { true };
    ($($group:literal $version:literal $kind:ident $plural:literal [$($short:literal),*]
       $scope:ident $verbs:expr, $role:expr $(, $uncounted:ident)?;)*) => {
        /// A kind of object served by Kubernetes 1.36 or a widely used add-on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is the API's own name of a kind")]
        pub enum Kind { $($kind,)* }

        static ROWS: &[KindInfo] = &[$(KindInfo {
            kind: Kind::$kind,
            name: stringify!($kind),
            group: $group,
            version: $version,
            plural: $plural,
            short_names: &[$($short),*],
            scope: Scope::$scope,
            verbs: $verbs,
            role: $role,
            has_generation: kinds!(@has_generation $($uncounted)?),
        },)*];
    };
}

use Role::{LeftAside, Simulated};

const RIGHTS: &str = "permissions are not enforced, except for timeline entries with `as`; `wavetank auth can-i` evaluates them";
const STANDARDS: &str = "pods are checked only against the Pod Security labels of their namespace";
const ADMISSION: &str = "objects are admitted without webhooks or policies";
const NO_STORAGE: &str = "storage is not simulated";
const DEVICES: &str = "devices are not allocated";
const CERTIFICATES: &str = "certificates are not simulated";
const AT_SERVICE: &str = "requests enter at the Service";
const BY_ROUTE: &str =
    "requests enter at the Service, except those under `ingress` of the scenario";
const BY_MESH: &str = "no Istio is installed (`mesh` of the scenario), so calls go to the Service itself, by kube-proxy";
const BY_SELECTOR: &str = "a Service has the endpoints of its selector";
const PAST: &str = "it only describes the past";
const EVERY_REQUEST: &str = "the API server accepts every request without queueing";
const OWN_METRICS: &str = "metrics are collected regardless of it";
const BY_KARPENTER: &str = "Karpenter creates no nodes from it";
const KUSTOMIZE: &str =
    "a configuration of kustomize; use the output of `kubectl kustomize` instead";
/// For rows that are not API kinds, but involved objects of a run's Events.
const NO_OBJECT: &str = "it is not an API object";
/// The consequence of ignoring a kind that is not in the table.
pub const CUSTOM_RESOURCES: &str =
    "custom resources and the effects of their controllers are not simulated";
const AS_REPLICA_SET: &str = "each is simulated as a ReplicaSet of the same name, which `rs` lists";

kinds! {
    "" "v1" Pod "pods" ["po"] Namespaced BARE, Simulated;
    "apps" "v1" Deployment "deployments" ["deploy"] Namespaced SCALED.and(Verbs::PAUSE), Simulated;
    "apps" "v1" ReplicaSet "replicasets" ["rs"] Namespaced WORKLOAD.and(Verbs::SCALE), Simulated;
    "apps" "v1" StatefulSet "statefulsets" ["sts"] Namespaced SCALED, Simulated;
    "apps" "v1" DaemonSet "daemonsets" ["ds"] Namespaced ROLLED_OUT, Simulated;
    "batch" "v1" Job "jobs" [] Namespaced WORKLOAD, Simulated;
    "batch" "v1" CronJob "cronjobs" ["cj"] Namespaced TEMPLATED, Simulated;
    "" "v1" Service "services" ["svc"] Namespaced HELD, Simulated, Uncounted;
    "autoscaling" "v2" HorizontalPodAutoscaler "horizontalpodautoscalers" ["hpa"] Namespaced AUTOSCALER, Simulated, Uncounted;
    "policy" "v1" PodDisruptionBudget "poddisruptionbudgets" ["pdb"] Namespaced HELD, Simulated;
    "scheduling.k8s.io" "v1" PriorityClass "priorityclasses" ["pc"] Cluster HELD, Simulated;
    "" "v1" Node "nodes" ["no"] Cluster Verbs::GET.and(Verbs::DELETE), Simulated, Uncounted;
    "" "v1" Namespace "namespaces" ["ns"] Cluster HELD, Simulated, Uncounted;
    "" "v1" ConfigMap "configmaps" ["cm"] Namespaced HELD, Simulated, Uncounted;
    "" "v1" Secret "secrets" [] Namespaced HELD, Simulated, Uncounted;
    "" "v1" ServiceAccount "serviceaccounts" ["sa"] Namespaced HELD, Simulated, Uncounted;
    "" "v1" ResourceQuota "resourcequotas" ["quota"] Namespaced HELD, Simulated, Uncounted;
    "" "v1" LimitRange "limitranges" ["limits"] Namespaced HELD, Simulated, Uncounted;
    "" "v1" PersistentVolumeClaim "persistentvolumeclaims" ["pvc"] Namespaced HELD, Simulated, Uncounted;
    "" "v1" PersistentVolume "persistentvolumes" ["pv"] Cluster HELD, Simulated, Uncounted;
    "storage.k8s.io" "v1" StorageClass "storageclasses" ["sc"] Cluster HELD, Simulated, Uncounted;
    "storage.k8s.io" "v1" CSINode "csinodes" [] Cluster HELD, Simulated, Uncounted;
    "argoproj.io" "v1alpha1" Rollout "rollouts" ["ro"] Namespaced PROGRESSIVE, Simulated;
    "argoproj.io" "v1alpha1" AnalysisTemplate "analysistemplates" ["at"] Namespaced HELD, Simulated;
    "argoproj.io" "v1alpha1" ClusterAnalysisTemplate "clusteranalysistemplates" ["cat"] Cluster HELD, Simulated;
    "keda.sh" "v1alpha1" ScaledObject "scaledobjects" ["so"] Namespaced AUTOSCALER, Simulated;
    "keda.sh" "v1alpha1" ScaledJob "scaledjobs" ["sj"] Namespaced TEMPLATED.and(Verbs::EXPLAIN), Simulated;
    "kueue.x-k8s.io" "v1beta2" ClusterQueue "clusterqueues" ["cq"] Cluster AUTOSCALER, Simulated;
    "kueue.x-k8s.io" "v1beta2" LocalQueue "localqueues" ["queue", "queues", "lq"] Namespaced HELD, Simulated;
    "kueue.x-k8s.io" "v1beta2" ResourceFlavor "resourceflavors" ["flavor", "flavors", "rf"] Cluster HELD, Simulated;
    "kueue.x-k8s.io" "v1beta2" WorkloadPriorityClass "workloadpriorityclasses" [] Cluster HELD, Simulated, Uncounted;
    "autoscaling.internal.knative.dev" "v1alpha1" PodAutoscaler "podautoscalers" ["kpa", "pa"] Namespaced AUTOSCALER, Simulated;
    "autoscaling.k8s.io" "v1" VerticalPodAutoscaler "verticalpodautoscalers" ["vpa"] Namespaced AUTOSCALER, Simulated;

    "networking.k8s.io" "v1" Ingress "ingresses" ["ing"] Namespaced ROUTE, LeftAside(BY_ROUTE);
    "gateway.networking.k8s.io" "v1" HTTPRoute "httproutes" [] Namespaced ROUTE, LeftAside(BY_ROUTE);
    "networking.k8s.io" "v1" IngressClass "ingressclasses" [] Cluster HELD, LeftAside(AT_SERVICE);
    "gateway.networking.k8s.io" "v1" Gateway "gateways" ["gtw"] Namespaced Verbs::NONE, LeftAside(AT_SERVICE);
    "gateway.networking.k8s.io" "v1" GatewayClass "gatewayclasses" ["gc"] Cluster Verbs::NONE, LeftAside(AT_SERVICE);
    "networking.istio.io" "v1" VirtualService "virtualservices" ["vs"] Namespaced Verbs::NONE, LeftAside(BY_MESH);
    "networking.istio.io" "v1" DestinationRule "destinationrules" ["dr"] Namespaced Verbs::NONE, LeftAside(BY_MESH);
    "networking.k8s.io" "v1" NetworkPolicy "networkpolicies" ["netpol"] Namespaced HELD, Simulated;
    "" "v1" Endpoints "endpoints" ["ep"] Namespaced Verbs::GET, LeftAside(BY_SELECTOR);
    "discovery.k8s.io" "v1" EndpointSlice "endpointslices" [] Namespaced Verbs::GET, LeftAside(BY_SELECTOR);
    "" "v1" ReplicationController "replicationcontrollers" ["rc"] Namespaced Verbs::NONE, LeftAside(AS_REPLICA_SET);
    "kueue.x-k8s.io" "v1beta2" Cohort "cohorts" [] Cluster Verbs::NONE, LeftAside("cohorts have one level and no quotas of their own");
    "kueue.x-k8s.io" "v1beta2" AdmissionCheck "admissionchecks" [] Cluster Verbs::NONE, LeftAside("Jobs are admitted without checks");
    "" "v1" PodTemplate "podtemplates" [] Namespaced Verbs::NONE, LeftAside("no controller uses it");
    "" "v1" Binding "bindings" [] Namespaced Verbs::NONE, LeftAside("pods are bound by the simulated scheduler");
    "" "v1" Event "events" ["ev"] Namespaced Verbs::NONE, LeftAside(PAST);
    "apps" "v1" ControllerRevision "controllerrevisions" [] Namespaced Verbs::NONE, LeftAside(PAST);
    "coordination.k8s.io" "v1" Lease "leases" [] Namespaced Verbs::NONE, LeftAside("control plane components manage their own");
    "rbac.authorization.k8s.io" "v1" Role "roles" [] Namespaced Verbs::NONE, LeftAside(RIGHTS);
    "rbac.authorization.k8s.io" "v1" RoleBinding "rolebindings" [] Namespaced Verbs::NONE, LeftAside(RIGHTS);
    "rbac.authorization.k8s.io" "v1" ClusterRole "clusterroles" [] Cluster Verbs::NONE, LeftAside(RIGHTS);
    "rbac.authorization.k8s.io" "v1" ClusterRoleBinding "clusterrolebindings" [] Cluster Verbs::NONE, LeftAside(RIGHTS);
    "policy" "v1beta1" PodSecurityPolicy "podsecuritypolicies" ["psp"] Cluster Verbs::NONE, LeftAside(STANDARDS);
    "security.openshift.io" "v1" SecurityContextConstraints "securitycontextconstraints" ["scc"] Namespaced Verbs::NONE, LeftAside(STANDARDS);
    "admissionregistration.k8s.io" "v1" ValidatingWebhookConfiguration "validatingwebhookconfigurations" [] Cluster Verbs::NONE, LeftAside(ADMISSION);
    "admissionregistration.k8s.io" "v1" MutatingWebhookConfiguration "mutatingwebhookconfigurations" [] Cluster Verbs::NONE, LeftAside(ADMISSION);
    "admissionregistration.k8s.io" "v1" ValidatingAdmissionPolicy "validatingadmissionpolicies" [] Cluster Verbs::NONE, LeftAside(ADMISSION);
    "admissionregistration.k8s.io" "v1" ValidatingAdmissionPolicyBinding "validatingadmissionpolicybindings" [] Cluster Verbs::NONE, LeftAside(ADMISSION);
    "apiextensions.k8s.io" "v1" CustomResourceDefinition "customresourcedefinitions" ["crd", "crds"] Cluster Verbs::NONE,
        LeftAside("custom resources are not simulated, whether or not they are defined");
    "apiregistration.k8s.io" "v1" APIService "apiservices" [] Cluster Verbs::NONE,
        LeftAside("only the built-in metrics APIs are simulated");
    "node.k8s.io" "v1" RuntimeClass "runtimeclasses" [] Cluster Verbs::NONE,
        LeftAside("its overhead counts only if set in a pod's `overhead`");
    "storage.k8s.io" "v1" CSIDriver "csidrivers" [] Cluster Verbs::NONE, LeftAside(NO_STORAGE);
    "storage.k8s.io" "v1" VolumeAttachment "volumeattachments" [] Cluster Verbs::NONE, LeftAside(NO_STORAGE);
    "snapshot.storage.k8s.io" "v1" VolumeSnapshotClass "volumesnapshotclasses" [] Namespaced Verbs::NONE, LeftAside(NO_STORAGE);
    "flowcontrol.apiserver.k8s.io" "v1" FlowSchema "flowschemas" [] Cluster Verbs::NONE, LeftAside(EVERY_REQUEST);
    "flowcontrol.apiserver.k8s.io" "v1" PriorityLevelConfiguration "prioritylevelconfigurations" [] Cluster Verbs::NONE, LeftAside(EVERY_REQUEST);
    "resource.k8s.io" "v1" ResourceClaim "resourceclaims" [] Namespaced Verbs::NONE, LeftAside(DEVICES);
    "resource.k8s.io" "v1" ResourceClaimTemplate "resourceclaimtemplates" [] Namespaced Verbs::NONE, LeftAside(DEVICES);
    "resource.k8s.io" "v1" DeviceClass "deviceclasses" [] Cluster Verbs::NONE, LeftAside(DEVICES);
    "monitoring.coreos.com" "v1" ServiceMonitor "servicemonitors" ["smon"] Namespaced Verbs::NONE, LeftAside(OWN_METRICS);
    "monitoring.coreos.com" "v1" PodMonitor "podmonitors" ["pmon"] Namespaced Verbs::NONE, LeftAside(OWN_METRICS);
    "monitoring.coreos.com" "v1" PrometheusRule "prometheusrules" ["promrule"] Namespaced Verbs::NONE, LeftAside("alerts are not simulated");
    "cert-manager.io" "v1" Certificate "certificates" ["cert", "certs"] Namespaced Verbs::NONE, LeftAside(CERTIFICATES);
    "cert-manager.io" "v1" Issuer "issuers" [] Namespaced Verbs::NONE, LeftAside(CERTIFICATES);
    "cert-manager.io" "v1" ClusterIssuer "clusterissuers" [] Cluster Verbs::NONE, LeftAside(CERTIFICATES);
    "kustomize.config.k8s.io" "v1beta1" Kustomization "kustomizations" [] Namespaced Verbs::NONE, LeftAside(KUSTOMIZE);
    "kustomize.config.k8s.io" "v1alpha1" Component "components" [] Namespaced Verbs::NONE, LeftAside(KUSTOMIZE);
    "karpenter.sh" "v1" NodePool "nodepools" [] Cluster HELD, LeftAside(BY_KARPENTER);
    "karpenter.sh" "v1" NodeClaim "nodeclaims" [] Cluster Verbs::GET, LeftAside("Karpenter creates its own NodeClaims");
    "karpenter.k8s.aws" "v1" EC2NodeClass "ec2nodeclasses" ["ec2nc", "ec2ncs"] Cluster HELD, LeftAside(BY_KARPENTER);
    "karpenter.kwok.sh" "v1alpha1" KWOKNodeClass "kwoknodeclasses" [] Cluster HELD, LeftAside(BY_KARPENTER);

    "" "" Metric "" [] Cluster Verbs::NONE, LeftAside(NO_OBJECT);
    "" "" File "" [] Cluster Verbs::NONE, LeftAside(NO_OBJECT);
    "" "" CustomResource "" [] Namespaced Verbs::NONE, LeftAside(CUSTOM_RESOURCES);
}

impl Kind {
    /// All rows in table order: parsed kinds first.
    pub fn all() -> impl Iterator<Item = &'static KindInfo> {
        ROWS.iter().filter(|row| !row.version.is_empty())
    }

    /// The kinds that support all of these verbs, in table order.
    pub fn with(verbs: Verbs) -> impl Iterator<Item = Self> {
        Self::all().filter(move |row| row.verbs.has(verbs)).map(|row| row.kind)
    }

    /// The row of the kind.
    pub fn info(self) -> &'static KindInfo {
        &ROWS[self as usize]
    }

    /// The spelling used in manifests.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// `apiVersion` of its objects.
    pub fn api_version(self) -> String {
        match self.info() {
            KindInfo { group: "", version, .. } => (*version).to_owned(),
            KindInfo { group, version, .. } => format!("{group}/{version}"),
        }
    }

    /// The resource with its group, as the API server's messages name it: `deployments.apps`.
    pub fn resource(self) -> String {
        self.info().resource(self.info().plural)
    }

    /// The kind with its group, the prefix that kubectl prints before names: `deployment.apps`.
    pub fn singular(self) -> String {
        self.info().resource(&self.name().to_ascii_lowercase())
    }

    /// Whether its objects are namespaced.
    pub fn is_namespaced(self) -> bool {
        self.info().scope == Scope::Namespaced
    }

    /// JSON pointer to the pod template in its objects; for a pod, the object itself.
    pub const fn pod_template_pointer(self) -> &'static str {
        match self {
            Self::Pod => "",
            Self::CronJob => "/spec/jobTemplate/spec/template",
            Self::ScaledJob => "/spec/jobTargetRef/template",
            _ => "/spec/template",
        }
    }

    /// True if its pods run to completion instead of serving requests.
    pub const fn is_batch(self) -> bool {
        matches!(self, Self::Job | Self::CronJob | Self::ScaledJob)
    }

    /// Whether it supports all of these verbs.
    pub fn can(self, verbs: Verbs) -> bool {
        self.info().verbs.has(verbs)
    }

    /// The kind of a manifest; `CustomResource` if unknown. Parsed kinds are matched by API group too, including
    /// groups in which Kubernetes formerly served them.
    pub fn of_manifest(api_version: &str, name: &str) -> Self {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let is_it = |kind: &Self| {
            let row = kind.info();
            // Groups without a dot belong to Kubernetes itself.
            row.group == group
                || !row.role.is_read()
                || !(group.contains('.') || row.group.contains('.'))
        };
        Self::spelled(name).filter(is_it).unwrap_or(Self::CustomResource)
    }

    /// The kind with exactly this name.
    pub fn spelled(name: &str) -> Option<Self> {
        Self::all().find(|row| row.name == name).map(|row| row.kind)
    }

    /// The kind named on the command line: `po`, `pods`, `Pod`, `deployments.apps`.
    pub fn named(text: &str) -> Option<Self> {
        let wanted = text.to_ascii_lowercase();
        let (wanted, group) = match wanted.split_once('.') {
            Some((name, group)) => (name, Some(group)),
            None => (wanted.as_str(), None),
        };
        let is_meant = |row: &&KindInfo| {
            let is_named = row.plural == wanted
                || row.short_names.contains(&wanted)
                || row.name.eq_ignore_ascii_case(wanted);
            let is_in = |group: &str| {
                let version =
                    group.strip_prefix(row.version).and_then(|rest| rest.strip_prefix('.'));
                row.group == group || version == Some(row.group)
            };
            is_named && group.is_none_or(is_in)
        };
        Self::all().find(is_meant).map(|row| row.kind)
    }
}

impl KindInfo {
    fn resource(&self, name: &str) -> String {
        if self.group.is_empty() { name.to_owned() } else { format!("{name}.{}", self.group) }
    }
}

impl Ord for Kind {
    /// Alphabetically by name.
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_kind_and_is_found_by_each_of_its_names() {
        for (position, row) in ROWS.iter().enumerate() {
            assert_eq!(row.kind as usize, position);
        }
        for row in Kind::all() {
            let names = [row.name, row.plural].into_iter().chain(row.short_names.iter().copied());
            for name in names {
                assert_eq!(Kind::named(name), Some(row.kind), "{name}");
            }
            assert_eq!(Kind::named(&row.kind.resource()), Some(row.kind));
        }
    }

    #[test]
    fn names_are_those_of_the_api_and_of_kubectl() {
        assert_eq!(Kind::Deployment.api_version(), "apps/v1");
        assert_eq!(Kind::Pod.api_version(), "v1");
        assert_eq!(Kind::HorizontalPodAutoscaler.singular(), "horizontalpodautoscaler.autoscaling");
        assert_eq!(Kind::named("deployments.v1.apps"), Some(Kind::Deployment));
        assert_eq!(Kind::named("deployments.batch"), None);
        assert_eq!(Kind::named("CustomResource"), None);
        assert_eq!(Kind::of_manifest("example.com/v1", "Widget"), Kind::CustomResource);
        assert_eq!(Kind::of_manifest("extensions/v1beta1", "Deployment"), Kind::Deployment);
        assert_eq!(Kind::of_manifest("serving.knative.dev/v1", "Service"), Kind::CustomResource);
    }

    #[test]
    fn what_is_simulated_can_be_shown_and_deleted() {
        for row in Kind::all().filter(|row| row.role == Role::Simulated) {
            assert!(row.verbs.has(Verbs::GET.and(Verbs::DELETE)), "{}", row.name);
        }
        assert!(Kind::with(Verbs::SCALE).all(|kind| kind.can(Verbs::RUN_PODS)));
    }
}
