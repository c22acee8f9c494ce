//! The kinds that can be asked for, by all names that kubectl takes, each with its columns.

use std::fmt;
use std::str::FromStr;

use super::rows::{self, Rows, Sight};
use super::rows_of_others as others;

/// A kind that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pods.
    Pods,
    /// Nodes.
    Nodes,
    /// Deployments.
    Deployments,
    /// ReplicaSets.
    ReplicaSets,
    /// StatefulSets.
    StatefulSets,
    /// DaemonSets.
    DaemonSets,
    /// Jobs.
    Jobs,
    /// CronJobs.
    CronJobs,
    /// Services.
    Services,
    /// Ingresses.
    Ingresses,
    /// HorizontalPodAutoscalers.
    Hpas,
    /// VerticalPodAutoscalers.
    Vpas,
    /// ScaledObjects of KEDA.
    ScaledObjects,
    /// PodDisruptionBudgets.
    DisruptionBudgets,
    /// ConfigMaps.
    ConfigMaps,
    /// Secrets.
    Secrets,
    /// ServiceAccounts.
    ServiceAccounts,
    /// PersistentVolumeClaims.
    Claims,
    /// PersistentVolumes.
    Volumes,
    /// ResourceQuotas.
    Quotas,
    /// LimitRanges.
    LimitRanges,
    /// PriorityClasses.
    PriorityClasses,
    /// Namespaces.
    Namespaces,
    /// EndpointSlices.
    EndpointSlices,
}

/// What is known of a kind.
pub(super) struct Row {
    kind: Kind,
    /// As a manifest spells it.
    name: &'static str,
    /// As URLs and messages spell it.
    plural: &'static str,
    short: &'static [&'static str],
    /// Of the API; empty for the core group.
    group: &'static str,
    is_namespaced: bool,
    /// Titles of the columns.
    pub(super) titles: &'static [&'static str],
    /// Titles of those that `-o wide` adds.
    pub(super) wide: &'static [&'static str],
    /// Its objects.
    pub(super) rows: fn(Sight<'_>, &mut Rows<'_>),
}

macro_rules! kinds {
    ($($kind:ident $name:literal $plural:literal [$($short:literal),*] $group:literal $scope:ident
        [$($title:literal),*] [$($wide:literal),*] $rows:path;)*) => {
        /// All kinds, with the columns of `pkg/printers/internalversion/printers.go`, 1.36, and those that
        /// the custom resources of KEDA and of the vertical-pod-autoscaler name.
        const ALL: &[Row] = &[$(Row {
            kind: Kind::$kind,
            name: $name,
            plural: $plural,
            short: &[$($short),*],
            group: $group,
            is_namespaced: $scope,
            titles: &[$($title),*],
            wide: &[$($wide),*],
            rows: $rows,
        }),*];
    };
}

const NAMESPACED: bool = true;
const GLOBAL: bool = false;

kinds! {
    Pods "Pod" "pods" ["po"] "" NAMESPACED ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
        ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"] rows::pods;
    Nodes "Node" "nodes" ["no"] "" GLOBAL ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
        ["INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"] rows::nodes;
    Deployments "Deployment" "deployments" ["deploy"] "apps" NAMESPACED
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"] ["CONTAINERS", "IMAGES", "SELECTOR"] rows::deployments;
    ReplicaSets "ReplicaSet" "replicasets" ["rs"] "apps" NAMESPACED
        ["NAME", "DESIRED", "CURRENT", "READY", "AGE"] ["CONTAINERS", "IMAGES", "SELECTOR"] rows::replica_sets;
    StatefulSets "StatefulSet" "statefulsets" ["sts"] "apps" NAMESPACED
        ["NAME", "READY", "AGE"] ["CONTAINERS", "IMAGES"] rows::stateful_sets;
    DaemonSets "DaemonSet" "daemonsets" ["ds"] "apps" NAMESPACED
        ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE"]
        ["CONTAINERS", "IMAGES", "SELECTOR"] rows::daemon_sets;
    Jobs "Job" "jobs" [] "batch" NAMESPACED ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
        ["CONTAINERS", "IMAGES", "SELECTOR"] rows::jobs;
    CronJobs "CronJob" "cronjobs" ["cj"] "batch" NAMESPACED
        ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"]
        ["CONTAINERS", "IMAGES", "SELECTOR"] rows::cron_jobs;
    Services "Service" "services" ["svc"] "" NAMESPACED
        ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"] ["SELECTOR"] rows::services;
    Ingresses "Ingress" "ingresses" ["ing"] "networking.k8s.io" NAMESPACED
        ["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"] [] others::ingresses;
    Hpas "HorizontalPodAutoscaler" "horizontalpodautoscalers" ["hpa"] "autoscaling" NAMESPACED
        ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"] [] rows::hpas;
    Vpas "VerticalPodAutoscaler" "verticalpodautoscalers" ["vpa"] "autoscaling.k8s.io" NAMESPACED
        ["NAME", "MODE", "CPU", "MEM", "PROVIDED", "AGE"] [] others::vpas;
    ScaledObjects "ScaledObject" "scaledobjects" ["so"] "keda.sh" NAMESPACED
        ["NAME", "SCALETARGETKIND", "SCALETARGETNAME", "MIN", "MAX", "PAUSED", "TRIGGERS", "AGE"] [] others::scaled_objects;
    DisruptionBudgets "PodDisruptionBudget" "poddisruptionbudgets" ["pdb"] "policy" NAMESPACED
        ["NAME", "MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS", "AGE"] [] rows::disruption_budgets;
    ConfigMaps "ConfigMap" "configmaps" ["cm"] "" NAMESPACED ["NAME", "DATA", "AGE"] [] others::config_maps;
    Secrets "Secret" "secrets" [] "" NAMESPACED ["NAME", "TYPE", "DATA", "AGE"] [] others::secrets;
    ServiceAccounts "ServiceAccount" "serviceaccounts" ["sa"] "" NAMESPACED ["NAME", "AGE"] [] others::service_accounts;
    Claims "PersistentVolumeClaim" "persistentvolumeclaims" ["pvc"] "" NAMESPACED
        ["NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "VOLUMEATTRIBUTESCLASS", "AGE"]
        ["VOLUMEMODE"] others::claims;
    Volumes "PersistentVolume" "persistentvolumes" ["pv"] "" GLOBAL
        ["NAME", "CAPACITY", "ACCESS MODES", "RECLAIM POLICY", "STATUS", "CLAIM", "STORAGECLASS",
         "VOLUMEATTRIBUTESCLASS", "REASON", "AGE"] ["VOLUMEMODE"] others::volumes;
    Quotas "ResourceQuota" "resourcequotas" ["quota"] "" NAMESPACED ["NAME", "REQUEST", "LIMIT", "AGE"] [] others::quotas;
    LimitRanges "LimitRange" "limitranges" ["limits"] "" NAMESPACED ["NAME", "CREATED AT"] [] others::limit_ranges;
    PriorityClasses "PriorityClass" "priorityclasses" ["pc"] "scheduling.k8s.io" GLOBAL
        ["NAME", "VALUE", "GLOBAL-DEFAULT", "AGE", "PREEMPTIONPOLICY"] [] others::priority_classes;
    Namespaces "Namespace" "namespaces" ["ns"] "" GLOBAL ["NAME", "STATUS", "AGE"] [] others::namespaces;
    EndpointSlices "EndpointSlice" "endpointslices" [] "discovery.k8s.io" NAMESPACED
        ["NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"] [] others::endpoint_slices;
}

impl Kind {
    /// The kinds of `kubectl get all`, in its order.
    pub const OF_ALL: [Self; 9] = [
        Self::Pods,
        Self::Services,
        Self::DaemonSets,
        Self::Deployments,
        Self::ReplicaSets,
        Self::StatefulSets,
        Self::Hpas,
        Self::CronJobs,
        Self::Jobs,
    ];

    pub(super) fn row(self) -> &'static Row {
        ALL.iter().find(|row| row.kind == self).expect("each kind has its row")
    }

    /// The kind as a manifest spells it.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The resource as messages of the API server spell it: `deployments.apps`.
    pub fn resource(self) -> String {
        with_group(self.row().plural, self.row().group)
    }

    /// What kubectl writes before names where the kind is told: `deployment.apps`.
    pub fn prefix(self) -> String {
        with_group(&self.row().name.to_ascii_lowercase(), self.row().group)
    }

    /// Whether its objects live in namespaces.
    pub fn is_namespaced(self) -> bool {
        self.row().is_namespaced
    }
}

fn with_group(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    /// As kubectl takes it: `po`, `pods`, `Pod`, `deployments.apps`. What is wrong is in its words.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.to_ascii_lowercase();
        let (word, group) = wanted.split_once('.').unwrap_or((&wanted, ""));
        let known = |row: &&Row| {
            (row.plural == word || row.name.eq_ignore_ascii_case(word) || row.short.contains(&word))
                && row.group.starts_with(group)
        };
        let found = ALL.iter().find(known).map(|row| row.kind);
        found.ok_or_else(|| format!("the server doesn't have a resource type {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_every_name_that_kubectl_takes() {
        for (text, kind) in [
            ("po", Kind::Pods),
            ("Deployment", Kind::Deployments),
            ("deployments.apps", Kind::Deployments),
            ("hpa.autoscaling", Kind::Hpas),
            ("vpa", Kind::Vpas),
            ("so", Kind::ScaledObjects),
            ("ing", Kind::Ingresses),
            ("limits", Kind::LimitRanges),
        ] {
            assert_eq!(text.parse(), Ok(kind), "{text}");
        }
        let wrong = "nosuchthing".parse::<Kind>();
        assert_eq!(
            wrong,
            Err("the server doesn't have a resource type \"nosuchthing\"".to_owned())
        );
        assert!("pods.apps".parse::<Kind>().is_err());
    }
}
