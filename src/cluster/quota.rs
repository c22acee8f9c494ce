//! ResourceQuotas and the admission of pods under them (the `ResourceQuota` plugin and the pod
//! evaluator of `pkg/quota/v1/evaluator/core/pods.go`, 1.36).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::action::Refused;
use super::kind::Kind;
use super::meta::{Name, ObjectMeta};
use super::object::{self, Object, Stored};
use super::pod::Pod;
use super::pod_resources::{container_limits, pod_requests};
use super::pod_template::{PodSpec, ResourceList, TemplateId};
use super::quota_objects::counted_kind;
use super::quota_scope::QuotaScope;
use super::store::Store;
use engine::Id;
use units::Quantity;

/// A ResourceQuota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceQuota {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// Limits and scopes.
    pub spec: ResourceQuotaSpec,
}

/// `spec` of a ResourceQuota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceQuotaSpec {
    /// `hard`: the most of each resource that the namespace may use.
    pub hard: ResourceList,
    /// `scopes` and `scopeSelector`: which pods count; a quota with any counts nothing but pods.
    pub scopes: Vec<QuotaScope>,
}

impl Object for ResourceQuota {
    const KIND: Kind = Kind::ResourceQuota;
    const IS_CONFIGURATION: bool = true;
    type Spec = ResourceQuotaSpec;
    type Status = ();

    object::accessors!();

    fn new(_: &mut Store, meta: ObjectMeta, spec: ResourceQuotaSpec) -> Self {
        Self { meta, spec }
    }

    fn update(
        store: &mut Store,
        id: Id<Self>,
        meta: ObjectMeta,
        spec: ResourceQuotaSpec,
    ) -> Result<bool, Refused> {
        let quota = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        Ok(object::replace((&mut quota.meta, &mut quota.spec), meta, spec))
    }

    fn index(store: &mut Store, id: Id<Self>) {
        let namespace = store.quotas()[id].meta.namespace().clone();
        store.list_pods_in(&namespace);
    }
}

impl ResourceQuota {
    /// Whether it counts a pod.
    pub fn counts(&self, spec: &PodSpec) -> bool {
        self.spec.scopes.iter().all(|scope| scope.has(spec))
    }
}

/// Usage of a resource limited by a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    /// The resource, as the quota names it.
    pub resource: Name,
    /// Amount used.
    pub used: Quantity,
    /// The limit.
    pub hard: Quantity,
}

impl Store {
    /// Usage for a quota's status, by resource.
    pub fn quota_used(&self, quota: &ResourceQuota) -> Vec<QuotaUse> {
        let namespace = quota.meta.namespace();
        let limits = quota.spec.hard.iter();
        let used = |(resource, hard): (&Name, Quantity)| QuotaUse {
            resource: resource.clone(),
            used: match counted_kind(resource) {
                // Not tracked under scopes, which are about pods.
                Some(_) if !quota.spec.scopes.is_empty() => Quantity::from_units(0),
                Some(kind) => self.used_by_objects(kind, resource, namespace),
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
}

/// Refuses a pod that would exceed a quota of its namespace, or does not specify a resource that a quota counts.
pub(super) fn admit_pod(
    store: &Store,
    namespace: &Name,
    pod: &str,
    spec: &PodSpec,
) -> Result<(), Refused> {
    let quotas = store.quotas().values().filter(|quota| quota.meta.namespace() == namespace);
    for quota in quotas.filter(|quota| quota.counts(spec)) {
        let name = quota.meta.name();
        let forbidden =
            |why: &str| Refused::Forbidden(format!("pods \"{pod}\" is forbidden: {why}"));
        let unnamed: Vec<&str> = quota
            .spec
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
    let quotas = store.quotas().values().filter(|quota| quota.meta.namespace() == namespace);
    for quota in quotas.filter(|quota| quota.counts(spec)) {
        for (resource, hard) in quota.spec.hard.iter() {
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

/// The exceeded resources if one more pod is added: requested, used and limited amounts.
fn excess(store: &Store, quota: &ResourceQuota, spec: &PodSpec) -> Option<String> {
    let (mut requested, mut used, mut limited) = (String::new(), String::new(), String::new());
    for (resource, hard) in quota.spec.hard.iter() {
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

/// A pod's usage of a quota's resource; absent if it does not specify one.
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
