//! The VerticalPodAutoscaler: what it asks for, what is recommended, and how its admission webhook
//! changes the pods that are created (`pkg/admission-controller` of the vertical-pod-autoscaler).

use super::action::Refused;
use super::hpa::ObjectReference;
use super::kind::Kind;
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::object::{self, Object, Stored};
use super::pod::Owner;
use super::pod_template::{Container, PodTemplate, ResourceList, TemplateId};
use super::scale::ScaleTarget;
use super::store::Store;
use engine::Id;
use units::{Bytes, MilliCpu, Quantity};

/// Key of a [`VpaObject`] in the store.
pub type VpaId = Id<VpaObject>;

/// A VerticalPodAutoscaler.
#[derive(Clone, Debug)]
pub struct VpaObject {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// What it asks for.
    pub spec: VpaSpec,
    /// `status.recommendation`, by container; empty until there is one.
    pub recommendation: Vec<ContainerRecommendation>,
}

/// `spec` of a VerticalPodAutoscaler, defaulted.
#[derive(Clone, Debug, PartialEq)]
pub struct VpaSpec {
    /// Whose pods are measured.
    pub target: ObjectReference,
    /// What is done with the recommendation.
    pub mode: UpdateMode,
    /// Pods that must live for the updater to evict any; absent = its flag.
    pub min_replicas: Option<i32>,
    /// What holds for certain containers, in the order of the manifest.
    pub policies: Vec<ContainerPolicy>,
    /// `updatePolicy.evictionRequirements`: all must hold for a pod to be evicted.
    pub eviction_requirements: Vec<EvictionRequirement>,
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
    /// It recommends, and that is all.
    Off,
    /// New pods get the recommendation.
    Initial,
    /// New pods get it, and pods that are far from it are evicted.
    Recreate,
    /// Pods are resized where they run, and evicted where that fails.
    InPlaceOrRecreate,
    /// Pods are resized where they run, and never evicted.
    InPlace,
}

impl UpdateMode {
    /// Whether pods that are far from the recommendation are brought nearer to it.
    pub const fn updates(self) -> bool {
        matches!(self, Self::Recreate | Self::InPlaceOrRecreate | Self::InPlace)
    }

    /// Whether that is tried where they run.
    pub const fn resizes(self) -> bool {
        matches!(self, Self::InPlaceOrRecreate | Self::InPlace)
    }
}

/// One of `resourcePolicy.containerPolicies`.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerPolicy {
    /// The container; `*` = all that have no policy of their own.
    pub container: Name,
    /// Nothing is recommended for it.
    pub is_off: bool,
    /// Whether limits stay, or keep their ratio to the requests.
    pub requests_only: bool,
    /// Resources that are recommended.
    pub controls_cpu: bool,
    /// Resources that are recommended.
    pub controls_memory: bool,
    /// Least amounts.
    pub min_allowed: ResourceList,
    /// Greatest amounts.
    pub max_allowed: ResourceList,
}

/// What is recommended for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRecommendation {
    /// Its name.
    pub container: Name,
    /// What it should request.
    pub target: Amounts,
    /// Below this it is too small.
    pub lower_bound: Amounts,
    /// Above this it is too large.
    pub upper_bound: Amounts,
    /// The target before the policy's limits.
    pub uncapped_target: Amounts,
}

/// CPU and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// CPU.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
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
    /// The policy of a container.
    pub fn policy_of(&self, container: &str) -> Option<&ContainerPolicy> {
        let named = |name: &str| self.policies.iter().find(|policy| *policy.container == *name);
        named(container).or_else(|| named("*"))
    }
}

impl Store {
    /// The VerticalPodAutoscaler of a workload: the first of several.
    pub fn vpa_of(&self, target: ScaleTarget) -> Option<VpaId> {
        let is_it = |vpa: &VpaObject| {
            let reference = &vpa.spec.target;
            let id = NamespacedName::new(vpa.meta.namespace().clone(), reference.name.clone());
            self.scale_target(&reference.kind, &id) == Some(target)
        };
        self.vpas().iter().find(|(_, vpa)| is_it(vpa)).map(|(id, _)| id)
    }

    /// What a new pod of an owner is made from: its template with the recommended requests, if a
    /// VerticalPodAutoscaler is to set them.
    pub(super) fn admit_by_vpa(
        &mut self,
        owner: Option<Owner>,
        template: TemplateId,
    ) -> TemplateId {
        if self.vpas().is_empty() {
            return template;
        }
        let target = owner.and_then(|owner| self.scaled_owner(owner));
        let Some(vpa) = target.and_then(|target| self.vpa_of(target)) else { return template };
        let vpa = &self.vpas()[vpa];
        if vpa.spec.mode == UpdateMode::Off || vpa.recommendation.is_empty() {
            return template;
        }
        let changed = with_recommendation(&self.templates[template], vpa);
        self.intern(changed)
    }
}

/// A template with the recommended requests, and limits in their ratio to them.
pub fn with_recommendation(template: &PodTemplate, vpa: &VpaObject) -> PodTemplate {
    let mut changed = template.clone();
    for container in &mut changed.spec.containers {
        let recommended = vpa.recommendation.iter().find(|one| one.container == container.name);
        if let Some(recommended) = recommended {
            let policy = vpa.spec.policy_of(&container.name);
            let (cpu, memory) = (recommended.target.cpu, recommended.target.memory);
            if policy.is_none_or(|policy| policy.controls_cpu) {
                set_request(container, "cpu", Quantity::from_milli(cpu.0), policy);
            }
            if policy.is_none_or(|policy| policy.controls_memory) {
                set_request(container, "memory", Quantity::from_bytes(memory.0), policy);
            }
        }
    }
    changed
}

/// Sets a request, and keeps the ratio of the limit to it (`GetProportionalLimit`).
fn set_request(
    container: &mut Container,
    resource: &str,
    request: Quantity,
    policy: Option<&ContainerPolicy>,
) {
    let earlier = container.requests.get(resource);
    container.requests.set(resource, request);
    let keeps_limit = policy.is_some_and(|policy| policy.requests_only);
    if let (Some(limit), false) = (container.limits.get(resource), keeps_limit) {
        let scaled = match earlier.map(Quantity::milli_value) {
            // Without a request of its own, the limit was the request.
            None | Some(0) => request.milli_value(),
            Some(earlier) => {
                let product = i128::from(limit.milli_value()) * i128::from(request.milli_value());
                i64::try_from(product / i128::from(earlier)).unwrap_or(i64::MAX)
            }
        };
        container.limits.set(resource, Quantity::from_milli(scaled));
    }
}
