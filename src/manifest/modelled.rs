//! Lists the API fields that are simulated, and the consequences for those that are not.
//!
//! When a field becomes simulated, add it to [`MODELLED`] and remove it from [`MEANINGS`]: a test walks every field of
//! every simulated kind.

mod custom_kinds;
mod treatment;

use serde_json::Value;

use custom_kinds::MODELLED_OF_CUSTOM_KINDS;
pub(super) use treatment::part;

use super::schema::{Findings, UnmodelledField};
use cluster::Kind;
use cluster::kueue::{PRIORITY_LABEL, QUEUE_LABEL};

/// The simulated fields of each type reachable from simulated kinds; `*` means all fields not in any other table.
const MODELLED: [(&str, &str); 59] = [
    ("ObjectMeta", "name namespace generateName labels annotations"),
    (
        "PodSpec",
        "containers initContainers resources overhead restartPolicy terminationGracePeriodSeconds \
         activeDeadlineSeconds nodeName nodeSelector affinity tolerations topologySpreadConstraints \
         priority priorityClassName preemptionPolicy schedulerName schedulingGates readinessGates hostNetwork \
         volumes serviceAccountName serviceAccount",
    ),
    (
        "Container",
        "name image imagePullPolicy ports resources startupProbe readinessProbe livenessProbe \
         lifecycle restartPolicy restartPolicyRules resizePolicy envFrom",
    ),
    ("Probe", "*"),
    ("ContainerPort ContainerResizePolicy PodSchedulingGate PodReadinessGate Toleration", "*"),
    ("ContainerRestartRule ContainerRestartRuleOnExitCodes", "*"),
    ("TopologySpreadConstraint Affinity NodeAffinity PodAffinity PodAntiAffinity", "*"),
    ("PreferredSchedulingTerm WeightedPodAffinityTerm PodAffinityTerm", "*"),
    ("NodeSelector NodeSelectorTerm NodeSelectorRequirement", "*"),
    ("LabelSelector LabelSelectorRequirement", "*"),
    ("EnvFromSource", "configMapRef secretRef"),
    ("ConfigMapEnvSource SecretEnvSource", "*"),
    ("Lifecycle", "preStop postStart"),
    ("LifecycleHandler", "sleep"),
    ("SleepAction", "*"),
    ("ResourceRequirements", "requests limits"),
    ("Volume", "name configMap secret persistentVolumeClaim projected"),
    ("ConfigMapVolumeSource", "name optional items"),
    ("SecretVolumeSource", "secretName optional items"),
    ("PersistentVolumeClaimVolumeSource", "claimName"),
    ("ProjectedVolumeSource", "sources"),
    ("VolumeProjection", "configMap secret"),
    ("ConfigMapProjection SecretProjection", "*"),
    ("KeyToPath", "key"),
    (
        "ServiceSpec",
        "selector ports clusterIP clusterIPs publishNotReadyAddresses sessionAffinity \
         sessionAffinityConfig internalTrafficPolicy externalTrafficPolicy trafficDistribution",
    ),
    ("SessionAffinityConfig", "clientIP"),
    ("ClientIPConfig", "timeoutSeconds"),
    ("ServicePort", "name port targetPort"),
    (
        "StatefulSetSpec",
        "replicas selector template podManagementPolicy updateStrategy minReadySeconds \
         revisionHistoryLimit ordinals volumeClaimTemplates persistentVolumeClaimRetentionPolicy",
    ),
    ("StatefulSetUpdateStrategy StatefulSetOrdinals", "*"),
    ("StatefulSetPersistentVolumeClaimRetentionPolicy", "*"),
    ("RollingUpdateStatefulSetStrategy", "partition"),
    ("DeploymentSpec DeploymentStrategy RollingUpdateDeployment ReplicaSetSpec", "*"),
    ("DaemonSetSpec DaemonSetUpdateStrategy RollingUpdateDaemonSet PodTemplateSpec", "*"),
    (
        "PersistentVolumeClaimSpec",
        "accessModes resources storageClassName volumeName selector volumeMode",
    ),
    (
        "PersistentVolumeSpec",
        "accessModes capacity claimRef nodeAffinity persistentVolumeReclaimPolicy storageClassName \
         volumeMode",
    ),
    ("VolumeNodeAffinity", "*"),
    ("ObjectReference", "name namespace"),
    ("VolumeResourceRequirements", "requests"),
    (
        "JobSpec",
        "parallelism completions completionMode backoffLimit backoffLimitPerIndex maxFailedIndexes \
         activeDeadlineSeconds suspend ttlSecondsAfterFinished podFailurePolicy \
         podReplacementPolicy successPolicy managedBy template",
    ),
    ("PodFailurePolicy PodFailurePolicyRule PodFailurePolicyOnExitCodesRequirement", "*"),
    ("PodFailurePolicyOnPodConditionsPattern SuccessPolicy SuccessPolicyRule", "*"),
    ("CronJobSpec JobTemplateSpec PodDisruptionBudgetSpec", "*"),
    ("HorizontalPodAutoscalerSpec HorizontalPodAutoscalerBehavior HPAScalingRules", "*"),
    ("HPAScalingPolicy MetricSpec MetricTarget MetricIdentifier CrossVersionObjectReference", "*"),
    ("ContainerResourceMetricSource ExternalMetricSource ObjectMetricSource", "*"),
    ("PodsMetricSource ResourceMetricSource", "*"),
    ("ResourceQuotaSpec ScopeSelector ScopedResourceSelectorRequirement", "*"),
    ("NetworkPolicySpec NetworkPolicyIngressRule NetworkPolicyEgressRule", "*"),
    ("NetworkPolicyPeer NetworkPolicyPort IPBlock", "*"),
    ("LimitRangeSpec LimitRangeItem Taint ContainerImage", "*"),
    ("TopologySelectorTerm TopologySelectorLabelRequirement CSINodeSpec VolumeNodeResources", "*"),
    ("CSINodeDriver", "name allocatable"),
    ("NodeSpec", "taints unschedulable"),
    ("NodeStatus", "allocatable capacity conditions images"),
    ("NodeCondition", "type status"),
    (
        "ScaledObjectSpec",
        "scaleTargetRef pollingInterval cooldownPeriod initialCooldownPeriod idleReplicaCount \
         minReplicaCount maxReplicaCount advanced triggers fallback",
    ),
    ("PodAutoscalerSpec", "containerConcurrency scaleTargetRef"),
    ("VerticalPodAutoscalerSpec", "targetRef updatePolicy resourcePolicy"),
];

/// Simulated top-level fields of objects; `*` is the row of all kinds not listed.
const OBJECTS: [(&str, &str); 7] = [
    ("WorkloadPriorityClass", "apiVersion kind metadata value"),
    ("StorageClass", "apiVersion kind metadata provisioner volumeBindingMode allowedTopologies"),
    ("PersistentVolumeClaim", "apiVersion kind metadata spec"),
    ("PriorityClass", "apiVersion kind metadata value globalDefault preemptionPolicy"),
    ("ConfigMap", "apiVersion kind metadata data binaryData"),
    ("Secret", "apiVersion kind metadata data stringData type"),
    ("*", "apiVersion kind metadata spec status"),
];

/// Fields without effect on a run, with the reason.
const NEUTRAL: [(&str, &str, &str); 38] = [
    ("CSINodeDriver", "nodeID topologyKeys", "nodes are known by name, zones by their labels"),
    ("WorkloadPriorityClass", "description", "a comment for people"),
    ("ScaledJobSpec", "envSourceContainerName", "triggers need no credentials"),
    ("JobRollout", "propagationPolicy", "the pods of a deleted Job end at once either way"),
    ("RolloutSpec", "analysis", "past runs of analyses are not kept"),
    (
        "RolloutAnalysis",
        "measurementRetention analysisRunMetadata",
        "past measurements are not kept",
    ),
    (
        "RolloutAnalysisBackground",
        "measurementRetention analysisRunMetadata",
        "past measurements are not kept",
    ),
    ("AnalysisTemplateSpec", "measurementRetention", "past measurements are not kept"),
    ("BlueGreenStrategy", "maxUnavailable", "the controller reads it nowhere"),
    (
        "ObjectMeta",
        "uid resourceVersion creationTimestamp generation managedFields selfLink deletionTimestamp deletionGracePeriodSeconds",
        "the API server writes it",
    ),
    ("ServiceSpec", "ipFamilies ipFamilyPolicy", "addresses are arbitrary"),
    ("ServicePort", "appProtocol", "protocols are not distinguished"),
    ("StatefulSetSpec", "serviceName", "it only affects DNS names of pods"),
    (
        "PersistentVolumeSpec",
        "awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker gcePersistentDisk \
         glusterfs hostPath iscsi local nfs photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos \
         vsphereVolume mountOptions volumeAttributesClassName",
        "disks are not simulated",
    ),
    (
        "ObjectReference",
        "apiVersion fieldPath kind resourceVersion uid",
        "a claim is identified by namespace and name",
    ),
    ("JobSpec", "selector manualSelector", "pods are identified by their owner"),
    (
        "Probe",
        "exec grpc httpGet tcpSocket",
        "the simulated application answers probes of every protocol",
    ),
    ("EnvFromSource", "prefix", "no simulated process reads it"),
    ("ConfigMapVolumeSource", "defaultMode", "no simulated process reads the files"),
    ("SecretVolumeSource", "defaultMode", "no simulated process reads the files"),
    ("ProjectedVolumeSource", "defaultMode", "no simulated process reads the files"),
    ("KeyToPath", "path mode", "no simulated process reads the files"),
    ("PersistentVolumeClaimVolumeSource", "readOnly", "volumes are not written"),
    ("VolumeProjection", "downwardAPI serviceAccountToken", "the data is always available"),
    ("VolumeResourceRequirements", "limits", "volumes do not grow"),
    ("PriorityClass", "description", "a comment for people"),
    ("ConfigMap", "immutable", "the contents of a ConfigMap have no effect"),
    ("Secret", "immutable", "the contents of a Secret have no effect"),
    (
        "ServiceAccount",
        "automountServiceAccountToken imagePullSecrets secrets",
        "registries and the API server require no credentials",
    ),
    ("Namespace", "spec", "its finalizers are managed by the API server"),
    (
        "NodeSpec",
        "configSource externalID podCIDR podCIDRs providerID",
        "properties of the machine",
    ),
    (
        "NodeStatus",
        "addresses config daemonEndpoints declaredFeatures features nodeInfo phase runtimeHandlers \
         volumesAttached volumesInUse",
        "observed state, without effect on scheduling",
    ),
    (
        "NodeCondition",
        "lastHeartbeatTime lastTransitionTime message reason",
        "a record of the past",
    ),
    ("ScaleTarget", "envSourceContainerName", "triggers need no credentials"),
    (
        "PodAutoscalerSpec",
        "protocolType reachability",
        "protocols are not distinguished, and every revision has a route",
    ),
    ("PersistentVolumeClaim", "status", "the API server writes it"),
    (
        "Container",
        "terminationMessagePath terminationMessagePolicy",
        "containers write no termination message",
    ),
    ("PodSpec", "ephemeralContainers", "objects cannot be created with them"),
];

/// Consequences of fields that are not simulated, by type and fields.
const MEANINGS: [(&str, &str, &str); 35] = [
    ("ResourceFlavorSpec", "topologyName", "Jobs are admitted regardless of topology"),
    (
        "ClusterQueueSpec",
        "admissionChecks admissionChecksStrategy fairSharing admissionScope concurrentAdmissionPolicy",
        "Jobs are admitted without checks, and in the order of priority and age",
    ),
    ("LocalQueueSpec", "fairSharing", "Jobs are admitted in the order of priority and age"),
    (
        "FlavorFungibility",
        "preference",
        "flavors that need preemption come after those that borrow",
    ),
    (
        "CanaryStrategy",
        "antiAffinity canaryMetadata stableMetadata pingPong",
        "pods get no labels or affinity of their version, so that they may share nodes",
    ),
    (
        "BlueGreenStrategy",
        "antiAffinity previewMetadata activeMetadata",
        "pods get no labels or affinity of their version, so that they may share nodes",
    ),
    (
        "CanaryStep",
        "experiment setHeaderRoute setMirrorRoute plugin",
        "the step is passed at once: its pods and requests are missing from the bill and the load",
    ),
    (
        "RolloutTrafficRouting",
        "istio alb smi ambassador appMesh traefik apisix managedRoutes",
        "its weights reach no requests: all go to the Service that they name, so that the new version gets \
         none before the end",
    ),
    (
        "NginxTrafficRouting",
        "annotationPrefix additionalIngressAnnotations canaryIngressAnnotations",
        "the canary's Ingress has the weight alone",
    ),
    (
        "StorageClass",
        "parameters mountOptions allowVolumeExpansion reclaimPolicy",
        "disks are not simulated, neither their speed nor their reclaiming",
    ),
    ("VerticalPodAutoscalerSpec", "recommenders", "only the default recommender exists"),
    (
        "AdvancedConfig",
        "restoreToOriginalReplicaCount",
        "replicas are kept when the object is deleted",
    ),
    ("ScaleTriggers", "useCachedMetrics", "values are read at each sync"),
    ("ScaleTriggers", "authenticationRef", "sources of metrics require no credentials"),
    ("VolumeProjection", "clusterTrustBundle podCertificate", "certificates are available at once"),
    (
        "ObjectMeta",
        "ownerReferences",
        "ignored in manifests: only simulated controllers set owners",
    ),
    ("ObjectMeta", "finalizers", "objects are removed as soon as they are deleted"),
    (
        "Container",
        "command args workingDir stdin stdinOnce tty",
        "`workloads` of the scenario defines the container's behavior",
    ),
    ("Container", "env", "only the referenced ConfigMaps and Secrets matter"),
    ("Container", "volumeMounts volumeDevices", "disks are not simulated"),
    (
        "Container",
        "securityContext",
        "it is only checked against the Pod Security standard of its namespace",
    ),
    (
        "PodSpec",
        "securityContext automountServiceAccountToken hostPID hostIPC hostUsers shareProcessNamespace",
        "permissions and Linux namespaces are not simulated",
    ),
    ("PodSpec", "imagePullSecrets", "registries require no credentials"),
    (
        "PodSpec",
        "dnsPolicy dnsConfig hostAliases hostname subdomain setHostnameAsFQDN hostnameOverride enableServiceLinks",
        "names resolve instantly and without load",
    ),
    ("PodSpec", "resourceClaims schedulingGroup", "devices and pod groups are not allocated"),
    ("PodSpec", "runtimeClassName", "its overhead counts only if set in `overhead`"),
    ("PodSpec", "os", "it affects neither placement nor load"),
    ("Lifecycle", "stopSignal", "it takes no time"),
    (
        "LifecycleHandler",
        "exec httpGet tcpSocket",
        "the hook takes no time, unless it is a command that sleeps",
    ),
    ("ResourceRequirements", "claims", "devices are not allocated"),
    ("Volume", "", "storage is not simulated; such a volume is always there"),
    (
        "ServiceSpec",
        "type externalName externalIPs healthCheckNodePort loadBalancerIP \
         loadBalancerClass loadBalancerSourceRanges allocateLoadBalancerNodePorts",
        "requests enter at the Service and go to its ready pods, whatever its type",
    ),
    (
        "RollingUpdateStatefulSetStrategy",
        "maxUnavailable",
        "the feature gate is off by default, so pods are updated one at a time",
    ),
    ("PersistentVolumeClaimSpec", "", "a claim gets a new volume in the zone of its first pod"),
    ("ServicePort", "protocol nodePort", "requests enter at the Service's port"),
];

/// Labels and annotations of a service mesh that act if one is installed.
pub const NO_MESH: &str = "no sidecar is injected, as no mesh is installed (`mesh` of the scenario): requests lack its \
                           latency and CPU";

/// Annotations and labels that are effective in a cluster but not simulated, by key, or by prefix if the name ends in
/// `*`.
const MARKS: [(&str, &str); 34] = [
    ("cluster-autoscaler.kubernetes.io/*", "only scenarios with the Cluster Autoscaler use it"),
    ("karpenter.sh/do-not-disrupt", "only scenarios with Karpenter use it"),
    ("karpenter.sh/do-not-evict", "Karpenter 1 reads `karpenter.sh/do-not-disrupt` instead"),
    ("kubernetes.io/ingress-bandwidth", "network bandwidth is not limited"),
    ("kubernetes.io/egress-bandwidth", "network bandwidth is not limited"),
    (
        "service.kubernetes.io/topology-mode",
        "requests go to pods in all zones; use `trafficDistribution`",
    ),
    (
        "service.kubernetes.io/topology-aware-hints",
        "requests go to pods in all zones; use `trafficDistribution`",
    ),
    ("service.beta.kubernetes.io/*", "load balancers add to the bill, not to latency"),
    ("service.kubernetes.io/load-balancer*", "load balancers add to the bill, not to latency"),
    ("networking.gke.io/*", "load balancers add to the bill, not to latency"),
    ("cloud.google.com/*", "load balancers and backends of the cloud are not simulated"),
    ("metallb.universe.tf/*", "load balancers add to the bill, not to latency"),
    ("sidecar.istio.io/inject", NO_MESH),
    ("sidecar.istio.io/proxyCPU*", NO_MESH),
    ("sidecar.istio.io/proxyMemory*", NO_MESH),
    ("istio-injection", NO_MESH),
    ("istio.io/rev", NO_MESH),
    ("linkerd.io/inject", NO_MESH),
    ("config.linkerd.io/proxy-cpu-*", NO_MESH),
    ("config.linkerd.io/proxy-memory-*", NO_MESH),
    ("istio.io/dataplane-mode", "the proxies of ambient mode add neither latency nor CPU"),
    ("sidecar.istio.io/*", "an injected sidecar is as the mesh is installed"),
    ("istio.io/*", "an injected sidecar is as the mesh is installed"),
    ("traffic.sidecar.istio.io/*", "all requests pass an injected sidecar"),
    ("proxy.istio.io/*", "an injected sidecar is as the mesh is installed"),
    ("linkerd.io/*", "an injected sidecar is as the mesh is installed"),
    ("config.linkerd.io/*", "an injected sidecar is as the mesh is installed"),
    ("dapr.io/*", "no sidecar is injected, so requests lack its latency and CPU"),
    ("vault.hashicorp.com/*", "no sidecar is injected, and Secrets are available at once"),
    ("helm.sh/hook*", "all objects exist from the start"),
    ("argocd.argoproj.io/*", "all objects exist from the start, regardless of order"),
    ("kueue.x-k8s.io/*", "Kueue reads no other labels of Jobs than those of queue and priority"),
    ("scheduling.k8s.io/group-name", "pods are scheduled individually"),
    ("volume.beta.kubernetes.io/storage-class", "a claim gets a new volume of the default class"),
];

/// Fields of routes that are effective in a cluster but not simulated, with the consequence: by kind, path (lists on
/// the path mean each item) and name.
const OF_ROUTES: [(Kind, &str, &str, &str); 4] = [
    (Kind::Ingress, "/spec", "tls", "TLS adds neither latency nor CPU, and needs no certificate"),
    (
        Kind::HTTPRoute,
        "/spec/parentRefs",
        "sectionName",
        "requests reach a route by host and path, through any listener",
    ),
    (
        Kind::HTTPRoute,
        "/spec/parentRefs",
        "port",
        "requests reach a route by host and path, through any listener",
    ),
    (Kind::HTTPRoute, "/spec/rules", "sessionPersistence", "each request is routed independently"),
];

/// The treatment of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It is simulated.
    Modelled,
    /// It has no effect on a run.
    Neutral,
    /// It is effective in a cluster, or ignored, and reported.
    Listed,
}

/// The consequence of a field that is not simulated.
pub(super) fn meaning(type_name: &str, field: &str) -> &'static str {
    if let Some((_, meaning)) = MARKS.iter().find(|(key, _)| type_name == MARK && *key == field) {
        return meaning;
    }
    let of_route = OF_ROUTES.iter().find(|row| row.0.name() == type_name && row.2 == field);
    if let Some((.., meaning)) = of_route {
        return meaning;
    }
    let of_type = || MEANINGS.iter().filter(|(of, ..)| *of == type_name);
    let found = of_type().find(|(_, fields, _)| lists(fields, field));
    let found = found.or_else(|| of_type().find(|(_, fields, _)| fields.is_empty()));
    found.map_or("it has no effect on the simulation", |(.., meaning)| meaning)
}

/// The fields of a route that are not simulated.
pub(super) fn fields_of_route(kind: Kind, route: &Value) -> Findings {
    let mut findings = Findings::default();
    for (_, place, field, _) in OF_ROUTES.iter().filter(|row| row.0 == kind) {
        let (list, name) = (route.pointer(place), kind.name());
        let at = place.trim_start_matches('/').replace('/', ".");
        let mut found = |holder: &Value, path: String| {
            if holder.get(*field).is_some_and(|value| !value.is_null()) {
                let path = format!("{path}.{field}");
                findings.unmodelled.push(UnmodelledField { type_name: name, field, path });
            }
        };
        match list {
            Some(Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    found(item, format!("{at}[{index}]"));
                }
            }
            Some(holder) => found(holder, at),
            None => {}
        }
    }
    findings
}

/// The name under which annotations and labels are reported.
pub(super) const MARK: &str = "annotation";

/// The consequence of an annotation or label that is effective in a cluster but not simulated.
pub(super) fn mark(key: &str) -> Option<&'static str> {
    let is_meant = |row: &str| match row.strip_suffix('*') {
        Some(begin) => key.starts_with(begin),
        None => row == key,
    };
    // Whether the labels of queues act depends on the other objects: `cross_check` says so.
    let is_queue = [QUEUE_LABEL, PRIORITY_LABEL].contains(&key);
    MARKS.iter().map(|(row, _)| *row).find(|row| is_meant(row) && !is_queue)
}

/// The simulated fields of types; of a type that is named twice, the first row counts.
fn simulated() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    MODELLED.iter().chain(&MODELLED_OF_CUSTOM_KINDS).chain(&OBJECTS[..OBJECTS.len() - 1])
}

fn lists(fields: &str, field: &str) -> bool {
    fields.split_ascii_whitespace().any(|listed| listed == field)
}

#[cfg(test)]
mod tests;
