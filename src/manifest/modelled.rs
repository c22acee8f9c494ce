//! Which fields of the API play a part in the simulation, and what it means that the others do not.
//!
//! When a field comes to play a part, add it to [`MODELLED`] and take it out of [`MEANINGS`].

/// For each type of which some fields play no part: those that do. A type that is not named here is
/// taken as a whole.
const MODELLED: [(&str, &str); 18] = [
    ("ObjectMeta", "name namespace generateName labels annotations"),
    (
        "PodSpec",
        "containers initContainers resources overhead restartPolicy terminationGracePeriodSeconds \
         activeDeadlineSeconds nodeName nodeSelector affinity tolerations topologySpreadConstraints \
         priority priorityClassName preemptionPolicy schedulerName schedulingGates hostNetwork \
         volumes serviceAccountName serviceAccount",
    ),
    (
        "Container",
        "name image imagePullPolicy ports resources startupProbe readinessProbe livenessProbe \
         lifecycle restartPolicy resizePolicy envFrom",
    ),
    ("Lifecycle", "preStop"),
    ("LifecycleHandler", "sleep"),
    ("ResourceRequirements", "requests limits"),
    ("Volume", "name configMap secret persistentVolumeClaim projected"),
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
    ("RollingUpdateStatefulSetStrategy", "partition"),
    ("PersistentVolumeClaimSpec", "accessModes resources storageClassName"),
    (
        "JobSpec",
        "parallelism completions completionMode backoffLimit backoffLimitPerIndex maxFailedIndexes \
         activeDeadlineSeconds suspend ttlSecondsAfterFinished podFailurePolicy \
         podReplacementPolicy successPolicy managedBy template",
    ),
    (
        "ScaledObjectSpec",
        "scaleTargetRef pollingInterval cooldownPeriod initialCooldownPeriod idleReplicaCount \
         minReplicaCount maxReplicaCount advanced triggers fallback",
    ),
    (
        "AdvancedConfig",
        "horizontalPodAutoscalerConfig restoreToOriginalReplicaCount scalingModifiers",
    ),
    ("VerticalPodAutoscalerSpec", "targetRef updatePolicy resourcePolicy"),
];

/// Fields that ask for nothing: the API server's own notes, and words for people.
const SILENT: [(&str, &str); 6] = [
    (
        "ObjectMeta",
        "uid resourceVersion creationTimestamp generation managedFields selfLink deletionTimestamp deletionGracePeriodSeconds",
    ),
    ("ServiceSpec", "ipFamilies ipFamilyPolicy"),
    ("ServicePort", "appProtocol"),
    ("StatefulSetSpec", "serviceName"),
    ("PersistentVolumeClaimSpec", "volumeMode"),
    ("JobSpec", "selector manualSelector"),
];

/// What it means that fields play no part, by type and fields.
const MEANINGS: [(&str, &str, &str); 24] = [
    ("VerticalPodAutoscalerSpec", "recommenders", "there is one recommender, the default one"),
    ("ObjectMeta", "ownerReferences", "the object stands for itself; only controllers own others"),
    ("ObjectMeta", "finalizers", "objects go as soon as they are deleted"),
    (
        "Container",
        "command args workingDir stdin stdinOnce tty",
        "what a container does is said in the scenario, under `workloads`",
    ),
    ("Container", "env", "only the ConfigMaps and Secrets that it names count"),
    ("Container", "volumeMounts volumeDevices", "no disk is simulated"),
    ("Container", "terminationMessagePath terminationMessagePolicy", "containers leave no message"),
    ("Container", "restartPolicyRules", "only the pod's restartPolicy counts"),
    ("Container", "securityContext", "rights are not simulated"),
    (
        "PodSpec",
        "securityContext automountServiceAccountToken hostPID hostIPC hostUsers shareProcessNamespace",
        "rights and namespaces are not simulated",
    ),
    ("PodSpec", "imagePullSecrets", "every registry lets everyone in"),
    (
        "PodSpec",
        "dnsPolicy dnsConfig hostAliases hostname subdomain setHostnameAsFQDN hostnameOverride enableServiceLinks",
        "names resolve at once and without load",
    ),
    ("PodSpec", "readinessGates", "a pod is ready as soon as its containers are"),
    ("PodSpec", "resourceClaims schedulingGroup", "devices and pod groups are not allocated"),
    ("PodSpec", "runtimeClassName", "its overhead counts only where `overhead` says it"),
    ("PodSpec", "ephemeralContainers os", "it changes neither placement nor load"),
    ("Lifecycle", "postStart stopSignal", "it takes no time"),
    ("LifecycleHandler", "exec httpGet tcpSocket", "the hook takes no time; `sleep` does"),
    ("ResourceRequirements", "claims", "devices are not allocated"),
    ("Volume", "", "no storage is simulated; such a volume is always there"),
    (
        "ServiceSpec",
        "type externalName externalIPs healthCheckNodePort loadBalancerIP \
         loadBalancerClass loadBalancerSourceRanges allocateLoadBalancerNodePorts",
        "requests enter at the Service and go to its ready pods, whatever leads to it",
    ),
    (
        "RollingUpdateStatefulSetStrategy",
        "maxUnavailable",
        "its feature gate is off by default, so pods are updated one at a time",
    ),
    ("PersistentVolumeClaimSpec", "", "a claim gets a new volume in the zone of its first pod"),
    ("ServicePort", "protocol nodePort", "requests enter at the Service's port"),
];

/// Whether a field plays a part in the simulation, or asks for nothing.
pub(super) fn is_modelled(type_name: &str, field: &str) -> bool {
    match fields(&MODELLED, type_name) {
        None => true,
        Some(modelled) => {
            lists(modelled, field)
                || fields(&SILENT, type_name).is_some_and(|silent| lists(silent, field))
        }
    }
}

/// What it means for the result that a field plays no part.
pub(super) fn meaning(type_name: &str, field: &str) -> &'static str {
    let of_type = || MEANINGS.iter().filter(|(of, ..)| *of == type_name);
    let found = of_type().find(|(_, fields, _)| lists(fields, field));
    let found = found.or_else(|| of_type().find(|(_, fields, _)| fields.is_empty()));
    found.map_or("it changes nothing in the simulation", |(.., meaning)| meaning)
}

fn fields(table: &[(&str, &'static str)], type_name: &str) -> Option<&'static str> {
    table.iter().find(|(of, _)| *of == type_name).map(|(_, fields)| *fields)
}

fn lists(fields: &str, field: &str) -> bool {
    fields.split_ascii_whitespace().any(|listed| listed == field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    /// Every field named in the tables, with its type.
    fn named() -> impl Iterator<Item = (&'static str, &'static str)> {
        let meanings = MEANINGS.iter().map(|(of, fields, _)| (*of, *fields));
        let tables = MODELLED.into_iter().chain(SILENT).chain(meanings);
        tables
            .flat_map(|(of, fields)| fields.split_ascii_whitespace().map(move |field| (of, field)))
    }

    #[test]
    fn the_tables_name_only_fields_that_exist_and_each_once() {
        let mut seen = std::collections::BTreeSet::new();
        for (type_name, field) in named() {
            assert!(schema::has_field(type_name, field), "{type_name} has no {field}");
            assert!(seen.insert((type_name, field)), "{type_name}.{field} is named twice");
        }
    }

    #[test]
    fn every_field_that_plays_no_part_has_its_meaning() {
        for (type_name, _) in MODELLED {
            for field in schema::fields_of(type_name) {
                let is_explained = meaning(type_name, field) != meaning("", "");
                assert!(is_modelled(type_name, field) || is_explained, "{type_name}.{field}");
            }
        }
    }
}
