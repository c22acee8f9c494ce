//! The columns of each printable kind.

use super::endpoints;
use super::rows::{self, Rows, Snapshot};
use super::rows_of_karpenter as karpenter;
use super::rows_of_others as others;
use cluster::Kind;

/// The table of a printable kind.
pub(super) struct Row {
    kind: Kind,
    /// Titles of the columns.
    pub(super) titles: &'static [&'static str],
    /// Titles of the additional columns of `-o wide`.
    pub(super) wide: &'static [&'static str],
    /// Lists its objects.
    pub(super) rows: fn(Snapshot<'_>, &mut Rows<'_>),
}

macro_rules! tables {
    ($($kind:ident [$($title:literal),*] [$($wide:literal),*] $rows:path;)*) => {
        /// All printable kinds, with the columns of `pkg/printers/internalversion/printers.go`, 1.36, and those of
        /// the custom resources of Argo Rollouts, KEDA, Knative and the vertical-pod-autoscaler.
        const ALL: &[Row] = &[$(Row {
            kind: Kind::$kind,
            titles: &[$($title),*],
            wide: &[$($wide),*],
            rows: $rows,
        }),*];
    };
}

tables! {
    Pod ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
        ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"] rows::pods;
    Node ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
        ["INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"] rows::nodes;
    Deployment
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"] ["CONTAINERS", "IMAGES", "SELECTOR"] rows::deployments;
    Rollout
        ["NAME", "DESIRED", "CURRENT", "UP-TO-DATE", "AVAILABLE", "AGE"] [] others::rollouts;
    AnalysisTemplate ["NAME", "AGE"] [] others::analysis_templates;
    ClusterAnalysisTemplate ["NAME", "AGE"] [] others::cluster_analysis_templates;
    ReplicaSet
        ["NAME", "DESIRED", "CURRENT", "READY", "AGE"] ["CONTAINERS", "IMAGES", "SELECTOR"] rows::replica_sets;
    StatefulSet
        ["NAME", "READY", "AGE"] ["CONTAINERS", "IMAGES"] rows::stateful_sets;
    DaemonSet
        ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE"]
        ["CONTAINERS", "IMAGES", "SELECTOR"] rows::daemon_sets;
    Job ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
        ["CONTAINERS", "IMAGES", "SELECTOR"] rows::jobs;
    CronJob
        ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"]
        ["CONTAINERS", "IMAGES", "SELECTOR"] rows::cron_jobs;
    Service
        ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"] ["SELECTOR"] rows::services;
    Ingress
        ["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"] [] others::ingresses;
    IngressClass ["NAME", "CONTROLLER", "PARAMETERS", "AGE"] [] others::ingress_classes;
    HTTPRoute ["NAME", "HOSTNAMES", "AGE"] [] others::http_routes;
    NetworkPolicy ["NAME", "POD-SELECTOR", "AGE"] [] others::network_policies;
    NodePool
        ["NAME", "NODECLASS", "NODES", "READY", "AGE"] ["WEIGHT"] karpenter::node_pools;
    NodeClaim
        ["NAME", "TYPE", "CAPACITY", "ZONE", "NODE", "READY", "AGE"] ["NODEPOOL"] karpenter::node_claims;
    EC2NodeClass ["NAME", "READY", "AGE"] [] karpenter::ec2_node_classes;
    KWOKNodeClass ["NAME", "AGE"] [] karpenter::kwok_node_classes;
    HorizontalPodAutoscaler
        ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"] [] rows::hpas;
    VerticalPodAutoscaler
        ["NAME", "MODE", "CPU", "MEM", "PROVIDED", "AGE"] [] others::vpas;
    ScaledObject
        ["NAME", "SCALETARGETKIND", "SCALETARGETNAME", "MIN", "MAX", "PAUSED", "TRIGGERS", "AGE"] [] others::scaled_objects;
    ScaledJob
        ["NAME", "MIN", "MAX", "READY", "ACTIVE", "PAUSED", "TRIGGERS", "AGE"] [] others::scaled_jobs;
    ClusterQueue ["NAME", "COHORT", "PENDING WORKLOADS"] ["STRATEGY", "ADMITTED WORKLOADS"] others::cluster_queues;
    LocalQueue ["NAME", "CLUSTERQUEUE", "PENDING WORKLOADS", "ADMITTED WORKLOADS"] [] others::local_queues;
    ResourceFlavor ["NAME", "AGE"] [] others::resource_flavors;
    WorkloadPriorityClass ["NAME", "VALUE"] [] others::workload_priority_classes;
    PodAutoscaler ["NAME", "DESIREDSCALE", "ACTUALSCALE", "READY", "REASON"] [] others::pod_autoscalers;
    PodDisruptionBudget
        ["NAME", "MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS", "AGE"] [] rows::disruption_budgets;
    ConfigMap ["NAME", "DATA", "AGE"] [] others::config_maps;
    Secret ["NAME", "TYPE", "DATA", "AGE"] [] others::secrets;
    ServiceAccount ["NAME", "AGE"] [] others::service_accounts;
    PersistentVolumeClaim
        ["NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "VOLUMEATTRIBUTESCLASS", "AGE"]
        ["VOLUMEMODE"] others::claims;
    PersistentVolume
        ["NAME", "CAPACITY", "ACCESS MODES", "RECLAIM POLICY", "STATUS", "CLAIM", "STORAGECLASS",
         "VOLUMEATTRIBUTESCLASS", "REASON", "AGE"] ["VOLUMEMODE"] others::volumes;
    StorageClass
        ["NAME", "PROVISIONER", "RECLAIMPOLICY", "VOLUMEBINDINGMODE", "ALLOWVOLUMEEXPANSION", "AGE"] []
        others::storage_classes;
    CSINode ["NAME", "DRIVERS", "AGE"] [] others::csi_nodes;
    ResourceQuota ["NAME", "REQUEST", "LIMIT", "AGE"] [] others::quotas;
    LimitRange ["NAME", "CREATED AT"] [] others::limit_ranges;
    PriorityClass
        ["NAME", "VALUE", "GLOBAL-DEFAULT", "AGE", "PREEMPTIONPOLICY"] [] others::priority_classes;
    Namespace ["NAME", "STATUS", "AGE"] [] others::namespaces;
    EndpointSlice
        ["NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"] [] endpoints::endpoint_slices;
    Endpoints ["NAME", "ENDPOINTS", "AGE"] [] endpoints::endpoints;
}

/// The kinds of `kubectl get all`, in its order.
pub const OF_ALL: [Kind; 9] = [
    Kind::Pod,
    Kind::Service,
    Kind::DaemonSet,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::HorizontalPodAutoscaler,
    Kind::CronJob,
    Kind::Job,
];

/// The table of a kind; `None` if it is not printable.
pub(super) fn table(kind: Kind) -> Option<&'static Row> {
    ALL.iter().find(|row| row.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::Verbs;

    #[test]
    fn every_kind_that_can_be_got_has_a_table_and_no_other() {
        for row in Kind::all() {
            assert_eq!(row.kind.can(Verbs::GET), table(row.kind).is_some(), "{}", row.name);
        }
    }
}
