//! ResourceQuotas and the admission of pods under them (the `ResourceQuota` plugin and the pod
//! evaluator of `pkg/quota/v1/evaluator/core/pods.go`, 1.36), and of other objects by their number
//! (`pkg/quota/v1/evaluator/core`, `generic.NewObjectCountEvaluator`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::action::{Action, Refused};
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::pod::Pod;
use super::pod_resources::{container_limits, pod_requests};
use super::pod_template::{PodSpec, ReferenceKind, ResourceList, TemplateId};
use super::quota_scope::QuotaScope;
use super::store::Store;
use crate::units::Quantity;

/// A ResourceQuota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceQuota {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// `spec.hard`: the most of each resource that the namespace may use.
    pub hard: ResourceList,
    /// `spec.scopes` and `spec.scopeSelector`: which pods count; a quota with any counts nothing but pods.
    pub scopes: Vec<QuotaScope>,
}

impl ResourceQuota {
    /// Whether it counts a pod.
    pub fn counts(&self, spec: &PodSpec) -> bool {
        self.scopes.iter().all(|scope| scope.has(spec))
    }
}

/// How much of a resource that a quota limits is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    /// The resource, as the quota names it.
    pub resource: Name,
    /// What is used.
    pub used: Quantity,
    /// The most that may be.
    pub hard: Quantity,
}

/// Kinds that quotas count, beside pods: the names of their resource with the API group.
const COUNTED: [(&str, &str); 11] = [
    ("Service", "services"),
    ("ConfigMap", "configmaps"),
    ("Secret", "secrets"),
    ("PersistentVolumeClaim", "persistentvolumeclaims"),
    ("Deployment", "deployments.apps"),
    ("ReplicaSet", "replicasets.apps"),
    ("StatefulSet", "statefulsets.apps"),
    ("DaemonSet", "daemonsets.apps"),
    ("Job", "jobs.batch"),
    ("CronJob", "cronjobs.batch"),
    ("HorizontalPodAutoscaler", "horizontalpodautoscalers.autoscaling"),
];

impl Store {
    /// What a quota's status says, by resource.
    pub fn quota_used(&self, quota: &ResourceQuota) -> Vec<QuotaUse> {
        let namespace = quota.meta.namespace();
        let limits = quota.hard.iter();
        let used = |(resource, hard): (&Name, Quantity)| QuotaUse {
            resource: resource.clone(),
            used: match counted_kind(resource) {
                // Not tracked under scopes, which are about pods.
                Some(_) if !quota.scopes.is_empty() => Quantity::from_units(0),
                Some(kind) => Quantity::from_units(self.count_of(kind, namespace)),
                None => self.used_by_pods(quota, resource),
            },
            hard,
        };
        limits.map(used).collect()
    }

    fn used_by_pods(&self, quota: &ResourceQuota, resource: &str) -> Quantity {
        // Pods of one template use the same, and templates are few.
        let mut by_template: BTreeMap<TemplateId, Option<Quantity>> = BTreeMap::new();
        let mut of_template = |id: TemplateId| {
            *by_template.entry(id).or_insert_with(|| {
                let spec = &self.templates[id].spec;
                quota.counts(spec).then(|| usage(spec, resource)).flatten()
            })
        };
        self.pods_in(quota.meta.namespace())
            .filter(|(_, pod)| !pod.phase.is_terminal() || resource == "count/pods")
            .filter_map(|(_, pod)| of_template(pod.reserved()))
            .fold(Quantity::from_units(0), |sum, amount| sum + amount)
    }

    /// How many objects of a kind a namespace has.
    fn count_of(&self, kind: &str, namespace: &Name) -> i64 {
        let config = |of: ReferenceKind| {
            let all = self.configs();
            all.filter(|(kind, id, _)| *kind == of && id.namespace == *namespace).count()
        };
        let own = |ids: &mut dyn Iterator<Item = &NamespacedName>| {
            ids.filter(|id| id.namespace == *namespace).count()
        };
        let count = match kind {
            "Service" => own(&mut self.services().values().map(|one| &one.meta.id)),
            "ConfigMap" => config(ReferenceKind::ConfigMap),
            "Secret" => config(ReferenceKind::Secret),
            "PersistentVolumeClaim" => config(ReferenceKind::PersistentVolumeClaim),
            "Deployment" => own(&mut self.deployments().values().map(|one| &one.meta.id)),
            "ReplicaSet" => own(&mut self.replica_sets().values().map(|one| &one.meta.id)),
            "StatefulSet" => own(&mut self.stateful_sets().values().map(|one| &one.meta.id)),
            "DaemonSet" => own(&mut self.daemon_sets().values().map(|one| &one.meta.id)),
            "Job" => own(&mut self.jobs().values().map(|one| &one.meta.id)),
            "CronJob" => own(&mut self.cron_jobs().values().map(|one| &one.meta.id)),
            _ => own(&mut self.hpas().values().map(|one| &one.meta.id)),
        };
        i64::try_from(count).unwrap_or(i64::MAX)
    }
}

/// The kind that a quota's resource counts, if it counts one other than pods.
fn counted_kind(resource: &str) -> Option<&'static str> {
    let core = |name: &str| !name.contains('.') && name == resource;
    let counted = resource.strip_prefix("count/");
    let is_it = |name: &str| counted == Some(name) || core(name);
    COUNTED.iter().find(|(_, name)| is_it(name)).map(|(kind, _)| *kind)
}

/// Refuses an object that would be one too many; pods are looked at with all that they ask for.
pub(super) fn admit_object(store: &Store, action: &Action) -> Result<(), Refused> {
    if store.quotas.is_empty() {
        return Ok(());
    }
    let (kind, id) = match action {
        Action::CreateDeployment(draft) => ("Deployment", &draft.0.id),
        Action::CreateReplicaSet(draft) => ("ReplicaSet", &draft.meta.id),
        Action::CreateStatefulSet(draft) => ("StatefulSet", &draft.0.id),
        Action::CreateDaemonSet(draft) => ("DaemonSet", &draft.0.id),
        Action::CreateJob(draft) => ("Job", &draft.meta.id),
        Action::CreateCronJob(draft) => ("CronJob", &draft.0.id),
        Action::CreateService(service) => ("Service", &service.meta.id),
        Action::CreateHpa(draft) => ("HorizontalPodAutoscaler", &draft.0.id),
        Action::PutConfig(kind, object) if !store.has_config(*kind, &object.0) => match kind {
            ReferenceKind::ConfigMap => ("ConfigMap", &object.0),
            ReferenceKind::Secret => ("Secret", &object.0),
            ReferenceKind::PersistentVolumeClaim => ("PersistentVolumeClaim", &object.0),
        },
        _ => return Ok(()),
    };
    let quotas = store.quotas.values().filter(|quota| quota.meta.namespace() == &id.namespace);
    let quotas = quotas.filter(|quota| quota.scopes.is_empty());
    for quota in quotas {
        for (resource, hard) in quota.hard.iter() {
            let used = || Quantity::from_units(store.count_of(kind, &id.namespace));
            if counted_kind(resource) != Some(kind) || used() + Quantity::from_units(1) <= hard {
                continue;
            }
            let plural =
                COUNTED.iter().find(|(name, _)| *name == kind).map_or("", |(_, name)| *name);
            return Err(Refused::Forbidden(format!(
                "{plural} \"{}\" is forbidden: exceeded quota: {}, requested: {resource}=1, used: \
                 {resource}={}, limited: {resource}={hard}",
                id.name,
                quota.meta.name(),
                used()
            )));
        }
    }
    Ok(())
}

/// Refuses a pod that would exceed a quota of its namespace, or leaves out what a quota counts.
pub(super) fn admit_pod(
    store: &Store,
    namespace: &Name,
    pod: &str,
    spec: &PodSpec,
) -> Result<(), Refused> {
    let quotas = store.quotas.values().filter(|quota| quota.meta.namespace() == namespace);
    for quota in quotas.filter(|quota| quota.counts(spec)) {
        let name = quota.meta.name();
        let forbidden =
            |why: &str| Refused::Forbidden(format!("pods \"{pod}\" is forbidden: {why}"));
        let unnamed: Vec<&str> = quota
            .hard
            .iter()
            .map(|(resource, _)| resource.as_ref())
            .filter(|resource| is_compute(resource) && usage(spec, resource).is_none())
            .collect();
        if !unnamed.is_empty() {
            let unnamed = unnamed.join(",");
            return Err(forbidden(&format!("failed quota: {name}: must specify {unnamed}")));
        }
        if let Some(why) = excess(store, quota, spec) {
            return Err(forbidden(&format!("exceeded quota: {name}, {why}")));
        }
    }
    Ok(())
}

/// Refuses a resize that takes more of something than a quota has left.
pub(super) fn admit_resize(store: &Store, pod: &Pod, spec: &PodSpec) -> Result<(), Refused> {
    let namespace = &pod.id.namespace;
    let before = &store.templates[pod.reserved()].spec;
    let quotas = store.quotas.values().filter(|quota| quota.meta.namespace() == namespace);
    for quota in quotas.filter(|quota| quota.counts(spec)) {
        for (resource, hard) in quota.hard.iter() {
            let nothing = Quantity::from_units(0);
            let (old, new) = (usage(before, resource), usage(spec, resource));
            let (old, new) = (old.unwrap_or(nothing), new.unwrap_or(nothing));
            let used = store.used_by_pods(quota, resource);
            // In sums, as amounts cannot be taken from each other.
            if new > old && used + new > hard + old {
                return Err(Refused::Forbidden(format!(
                    "pods \"{}\" is forbidden: exceeded quota: {}, requested: {resource}={new} in \
                     place of {old}, used: {resource}={used}, limited: {resource}={hard}",
                    pod.name(),
                    quota.meta.name()
                )));
            }
        }
    }
    Ok(())
}

/// What exceeds the quota with one more pod: requested, used and limited amounts.
fn excess(store: &Store, quota: &ResourceQuota, spec: &PodSpec) -> Option<String> {
    let (mut requested, mut used, mut limited) = (String::new(), String::new(), String::new());
    for (resource, hard) in quota.hard.iter() {
        let Some(more) = usage(spec, resource) else { continue };
        let now = store.used_by_pods(quota, resource);
        if now + more > hard {
            for (text, amount) in [(&mut requested, more), (&mut used, now), (&mut limited, hard)] {
                let comma = if text.is_empty() { "" } else { "," };
                let _ = write!(text, "{comma}{resource}={amount}");
            }
        }
    }
    (!requested.is_empty())
        .then(|| format!("requested: {requested}, used: {used}, limited: {limited}"))
}

/// How much of a quota's resource a pod uses; absent if it names none.
fn usage(spec: &PodSpec, resource: &str) -> Option<Quantity> {
    match resource {
        "pods" | "count/pods" => Some(Quantity::from_units(1)),
        _ => match resource.strip_prefix("limits.") {
            Some(limit) => container_limits(spec).get(limit),
            None => pod_requests(spec).get(resource.strip_prefix("requests.").unwrap_or(resource)),
        },
    }
}

/// Whether pods must name the resource where a quota counts it.
fn is_compute(resource: &str) -> bool {
    let resource = resource.strip_prefix("requests.").unwrap_or(resource);
    matches!(resource.strip_prefix("limits.").unwrap_or(resource), "cpu" | "memory")
}
