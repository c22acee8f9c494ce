//! The VerticalPodAutoscaler: its spec and recommendation, and the choice among several for a pod.

use super::action::Refused;
use super::hpa::ObjectReference;
use super::kind::Kind;
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::object::{self, Object, Stored};
use super::pod::Owner;
use super::pod_template::{PodTemplate, ResourceList, TemplateId};
use super::scale::ScaleTarget;
use super::store::Store;
use super::vpa_admission::admitted;
use super::vpa_capping::{CappedContainer, NamespaceLimits};
use engine::{Id, SimDuration};
use units::{Bytes, MilliCpu, Quantity};

/// Key of a [`VpaObject`] in the store.
pub type VpaId = Id<VpaObject>;

/// A VerticalPodAutoscaler.
#[derive(Clone, Debug)]
pub struct VpaObject {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// `spec`.
    pub spec: VpaSpec,
    /// `status.recommendation`, by container; empty until there is one.
    pub recommendation: Vec<ContainerRecommendation>,
}

/// `spec` of a VerticalPodAutoscaler, defaulted.
#[derive(Clone, Debug, PartialEq)]
pub struct VpaSpec {
    /// The workload whose pods are measured.
    pub target: ObjectReference,
    /// Mode of applying the recommendation.
    pub mode: UpdateMode,
    /// Pods that must be alive before the updater evicts any; absent = its flag.
    pub min_replicas: Option<i32>,
    /// Policies of containers, in the order of the manifest.
    pub policies: Vec<ContainerPolicy>,
    /// `updatePolicy.evictionRequirements`: all must hold for a pod to be evicted. Absent where there is no
    /// `updatePolicy`.
    pub eviction_requirements: Option<Vec<EvictionRequirement>>,
    /// `updatePolicy.evictAfterOOMSeconds`; absent = the updater's flag.
    pub evict_after_oom: Option<SimDuration>,
}

/// One of `updatePolicy.evictionRequirements`: one of the resources must change in this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvictionRequirement {
    /// Whether `cpu` is among its resources.
    pub cpu: bool,
    /// Whether `memory` is.
    pub memory: bool,
    /// `TargetHigherThanRequests`, else `TargetLowerThanRequests`.
    pub higher: bool,
}

/// `updatePolicy.updateMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateMode {
    /// Recommendations only.
    Off,
    /// New pods get the recommendation.
    Initial,
    /// New pods get it, and pods far from it are evicted.
    Recreate,
    /// Pods are resized in place, and evicted if that fails.
    InPlaceOrRecreate,
    /// Pods are resized in place, and never evicted.
    InPlace,
}

impl UpdateMode {
    /// True if running pods far from the recommendation are updated.
    pub const fn updates(self) -> bool {
        matches!(self, Self::Recreate | Self::InPlaceOrRecreate | Self::InPlace)
    }

    /// True if the update is attempted in place.
    pub const fn resizes(self) -> bool {
        matches!(self, Self::InPlaceOrRecreate | Self::InPlace)
    }
}

/// One of `resourcePolicy.containerPolicies`.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerPolicy {
    /// The container; `*` = all that have no policy of their own.
    pub container: Name,
    /// True if it gets no recommendation.
    pub is_off: bool,
    /// True if limits stay unchanged, false if they keep their ratio to the requests.
    pub requests_only: bool,
    /// Whether CPU is recommended.
    pub controls_cpu: bool,
    /// Whether memory is recommended.
    pub controls_memory: bool,
    /// Minimum amounts.
    pub min_allowed: ResourceList,
    /// Maximum amounts.
    pub max_allowed: ResourceList,
}

/// The recommendation for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRecommendation {
    /// Container name.
    pub container: Name,
    /// Recommended request.
    pub target: Amounts,
    /// Requests below it are too small.
    pub lower_bound: Amounts,
    /// Requests above it are too large.
    pub upper_bound: Amounts,
    /// The target before the policy's limits.
    pub uncapped_target: Amounts,
}

/// Amounts of CPU and memory, each optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// CPU.
    pub cpu: Option<Quantity>,
    /// Memory.
    pub memory: Option<Quantity>,
}

/// A resource with recommendations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// CPU, counted in thousandths.
    Cpu,
    /// Memory, counted in bytes.
    Memory,
}

impl Resource {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    /// The name used by the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

impl Amounts {
    /// Both of them.
    pub const fn new(cpu: MilliCpu, memory: Bytes) -> Self {
        let cpu = Some(Quantity::from_milli(cpu.0));
        Self { cpu, memory: Some(Quantity::from_bytes(memory.0)) }
    }

    /// Those of a list.
    pub fn of(list: &ResourceList) -> Self {
        Self { cpu: list.get("cpu"), memory: list.get("memory") }
    }

    /// The amount of one of them.
    pub const fn get(&self, resource: Resource) -> Option<Quantity> {
        match resource {
            Resource::Cpu => self.cpu,
            Resource::Memory => self.memory,
        }
    }

    /// Sets one of them.
    pub const fn set(&mut self, resource: Resource, amount: Option<Quantity>) {
        match resource {
            Resource::Cpu => self.cpu = amount,
            Resource::Memory => self.memory = amount,
        }
    }

    /// The amounts that are set.
    pub fn iter(self) -> impl Iterator<Item = (Resource, Quantity)> {
        Resource::ALL.into_iter().filter_map(move |resource| Some((resource, self.get(resource)?)))
    }

    /// The same as a list.
    pub fn to_list(self) -> ResourceList {
        self.iter().map(|(resource, amount)| (resource.as_str(), amount)).collect()
    }
}

impl Object for VpaObject {
    const KIND: Kind = Kind::VerticalPodAutoscaler;
    type Spec = VpaSpec;
    type Status = Vec<ContainerRecommendation>;

    object::accessors!();

    fn new(_: &mut Store, meta: ObjectMeta, spec: VpaSpec) -> Self {
        Self { meta, spec, recommendation: Vec::new() }
    }

    fn update(
        store: &mut Store,
        id: VpaId,
        meta: ObjectMeta,
        spec: VpaSpec,
    ) -> Result<bool, Refused> {
        let vpa = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        Ok(object::replace((&mut vpa.meta, &mut vpa.spec), meta, spec))
    }

    fn set_status(&mut self, recommendation: Vec<ContainerRecommendation>) -> bool {
        let is_new = self.recommendation != recommendation;
        self.recommendation = recommendation;
        is_new
    }
}

impl VpaSpec {
    /// The policy of a container: its own, or the last for all that have none
    /// (`GetContainerResourcePolicy`).
    pub fn policy_of(&self, container: &str) -> Option<&ContainerPolicy> {
        let own = self.policies.iter().find(|policy| *policy.container == *container);
        own.or_else(|| self.policies.iter().rfind(|policy| *policy.container == *"*"))
    }

    /// True if a container's limits stay unchanged (`GetContainerControlledValues`).
    pub fn requests_only(&self, container: &str) -> bool {
        self.policy_of(container).is_some_and(|policy| policy.requests_only)
    }
}

impl VpaObject {
    /// Precedence among autoscalers of the same workload: the older one wins, then the lower name (`Stronger`).
    pub fn is_stronger_than(&self, other: &Self) -> bool {
        let key = |vpa: &Self| (vpa.meta.created.floor_to_second(), vpa.meta.id.name.clone());
        key(self) < key(other)
    }
}

impl Store {
    /// The VerticalPodAutoscaler that admits the pods of a workload: the strongest that is not Off
    /// (`GetMatchingVPA`).
    fn admitting_vpa_of(&self, target: ScaleTarget) -> Option<VpaId> {
        let is_it = |vpa: &VpaObject| {
            let reference = &vpa.spec.target;
            let id = NamespacedName::new(vpa.meta.namespace().clone(), reference.name.clone());
            vpa.spec.mode != UpdateMode::Off
                && self.scale_target(&reference.kind, &id) == Some(target)
        };
        let matching = self.vpas().iter().filter(|(_, vpa)| is_it(vpa));
        let stronger = |one: (VpaId, _), other: (VpaId, _)| {
            let (this, that): (&VpaObject, &VpaObject) = (one.1, other.1);
            if that.is_stronger_than(this) { other } else { one }
        };
        matching.reduce(stronger).map(|(id, _)| id)
    }

    /// The template of a new pod of an owner, with the recommended requests if a VerticalPodAutoscaler sets them.
    pub(super) fn admit_by_vpa(
        &mut self,
        owner: Option<Owner>,
        template: TemplateId,
    ) -> TemplateId {
        if self.vpas().is_empty() {
            return template;
        }
        let target = owner.and_then(|owner| self.scaled_owner(owner));
        let Some(vpa) = target.and_then(|target| self.admitting_vpa_of(target)) else {
            return template;
        };
        let vpa = &self.vpas()[vpa];
        if vpa.recommendation.is_empty() {
            return template;
        }
        let limits = self.namespace_limits(vpa.meta.namespace());
        let given = &self.templates[template];
        match with_recommendation(given, given, vpa, &limits) {
            Some(changed) => self.intern(changed),
            None => template,
        }
    }
}

/// A template with the recommended requests, and limits scaled in proportion; `actual` has the amounts in force.
/// `None` if the webhook fails on the pod.
fn with_recommendation(
    template: &PodTemplate,
    actual: &PodTemplate,
    vpa: &VpaObject,
    limits: &NamespaceLimits,
) -> Option<PodTemplate> {
    let pod = CappedContainer::of(&actual.spec.containers);
    let admitted = admitted(&vpa.spec, &vpa.recommendation, &pod, limits).ok()?;
    let mut changed = template.clone();
    for (container, resources) in changed.spec.containers.iter_mut().zip(admitted) {
        container.requests.set_all(&resources.requests);
        container.limits.set_all(&resources.limits);
    }
    Some(changed)
}
