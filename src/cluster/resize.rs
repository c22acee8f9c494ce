//! In-place resize: changes the CPU and memory of a pod's running containers. The requested (`spec`), allocated
//! (`allocatedResources`) and actual (`status.containerStatuses[].resources`) amounts may differ for a while
//! (`ValidatePodResize` of `pkg/apis/core/validation`, `determineContainerReqs` of component-helpers, 1.36).

use super::action::Refused;
use super::change::{Change, PodChanges, push_pod_update};
use super::meta::Name;
use super::pod::{Pod, PodId};
use super::pod_template::{Container, PodTemplate, ResourceList, TemplateId};
use super::qos::qos_class;
use super::store::Store;
use super::{limit_range, quota};
use engine::SimTime;

/// The resources that can be resized.
pub const RESIZABLE: [&str; 2] = ["cpu", "memory"];

/// New amounts for a container; resources not listed stay unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerResize {
    /// Container name.
    pub container: Name,
    /// Requests.
    pub requests: ResourceList,
    /// Limits.
    pub limits: ResourceList,
}

/// Progress of a bound pod's resize. Amounts are held in templates that differ from the pod's own in nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodResize {
    /// Amounts allocated by the kubelet.
    pub allocated: TemplateId,
    /// Amounts in force.
    pub actual: TemplateId,
    /// The maximum of requested, allocated and actual amounts, as counted by the scheduler and quotas; without the
    /// requested ones if they are infeasible.
    pub reserved: TemplateId,
    /// Condition `PodResizePending`.
    pub pending: Option<ResizePending>,
    /// Condition `PodResizeInProgress`.
    pub in_progress: Option<ResizeInProgress>,
}

/// Why the kubelet has not allocated the requested amounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResizePending {
    /// Whether it may succeed later.
    pub reason: PendingReason,
    /// The kubelet's message.
    pub message: String,
    /// Time of the last transition, truncated to whole seconds.
    pub since: SimTime,
}

/// The reason of condition `PodResizePending`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingReason {
    /// The node currently lacks room.
    Deferred,
    /// The node is too small.
    Infeasible,
}

impl PendingReason {
    /// The spelling used by the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deferred => "Deferred",
            Self::Infeasible => "Infeasible",
        }
    }
}

/// Allocated amounts that are not in force yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResizeInProgress {
    /// Time of the last transition, truncated to whole seconds.
    pub since: SimTime,
    /// The error that prevents it (reason `Error`).
    pub error: Option<String>,
}

/// A step of a kubelet in a resize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResizeStep {
    /// The requested amounts are not allocated.
    Pend(PendingReason, String),
    /// The requested amounts are allocated.
    Allocate,
    /// The allocated amounts cannot be put in force now.
    Fail(String),
    /// The allocated amounts are in force.
    Actuate,
}

impl Pod {
    /// With the amounts that the kubelet has set aside.
    pub fn allocated(&self) -> TemplateId {
        self.resize.as_ref().map_or(self.template, |resize| resize.allocated)
    }

    /// With the amounts in force.
    pub fn actual(&self) -> TemplateId {
        self.resize.as_ref().map_or(self.template, |resize| resize.actual)
    }

    /// With the amounts reserved for the pod.
    pub fn reserved(&self) -> TemplateId {
        self.resize.as_ref().map_or(self.template, |resize| resize.reserved)
    }
}

/// A write of the `resize` sub-resource. The QoS class must not change, and no amount may be removed.
pub(super) fn resize_pod(
    store: &mut Store,
    id: PodId,
    resizes: &[ContainerResize],
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pod = store.pods.get(id).ok_or(Refused::NotFound)?;
    let before = store.template_of(pod);
    let mut after = before.clone();
    for resize in resizes {
        let container = resizable(&mut after, &resize.container).ok_or_else(|| {
            invalid(pod, &format!("the pod has no container {}", resize.container))
        })?;
        container.requests.set_all(&resize.requests);
        container.limits.set_all(&resize.limits);
    }
    if after == *before {
        return Ok(());
    }
    check(pod, before, &after)?;
    limit_range::admit_pod(store, &pod.id.namespace, pod.name(), &after.spec)?;
    quota::admit_resize(store, pod, &after.spec)?;
    let (own, resize) = (pod.template, pod.resize.clone());
    let is_bound = pod.node.is_some();
    let template = store.intern(after);
    move_to(store, id, template);
    if is_bound {
        let none = PodResize {
            allocated: own,
            actual: own,
            reserved: own,
            pending: None,
            in_progress: None,
        };
        store.pods[id].resize = Some(resize.unwrap_or_else(|| Box::new(none)));
        settle(store, id);
    }
    push_pod_update(changes, id, PodChanges::RESIZED);
    Ok(())
}

fn resizable<'a>(template: &'a mut PodTemplate, name: &Name) -> Option<&'a mut Container> {
    let spec = &mut template.spec;
    let sidecars = spec.init_containers.iter_mut().filter(|one| one.is_sidecar);
    spec.containers.iter_mut().chain(sidecars).find(|one| one.name == *name)
}

fn check(pod: &Pod, before: &PodTemplate, after: &PodTemplate) -> Result<(), Refused> {
    if qos_class(&before.spec) != qos_class(&after.spec) {
        return Err(invalid(pod, "Pod QOS Class may not change as a result of resizing"));
    }
    let all = after.spec.containers.iter().chain(&after.spec.init_containers);
    for container in all {
        for resource in RESIZABLE {
            let (request, limit) =
                (container.requests.get(resource), container.limits.get(resource));
            if let (Some(request), Some(limit)) = (request, limit)
                && request > limit
            {
                let why = format!(
                    "container {}: must be less than or equal to {resource} limit of {limit}",
                    container.name
                );
                return Err(invalid(pod, &why));
            }
        }
    }
    Ok(())
}

fn invalid(pod: &Pod, why: &str) -> Refused {
    Refused::Forbidden(format!("Pod \"{}\" is invalid: spec: {why}", pod.name()))
}

/// Records a kubelet's step in a resize.
pub(super) fn step_resize(
    store: &mut Store,
    now: SimTime,
    id: PodId,
    step: ResizeStep,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pod = store.pods.get_mut(id).ok_or(Refused::NotFound)?;
    let Some(resize) = &mut pod.resize else { return Ok(()) };
    let before = resize.clone();
    let since = now.floor_to_second();
    match step {
        ResizeStep::Pend(reason, message) => {
            let known = resize.pending.as_ref().filter(|known| known.reason == reason);
            let since = known.map_or(since, |known| known.since);
            resize.pending = Some(ResizePending { reason, message, since });
        }
        ResizeStep::Allocate => {
            resize.allocated = pod.template;
            resize.pending = None;
            resize.in_progress = Some(ResizeInProgress { since, error: None });
        }
        ResizeStep::Fail(error) => {
            let since = resize.in_progress.as_ref().map_or(since, |known| known.since);
            resize.in_progress = Some(ResizeInProgress { since, error: Some(error) });
        }
        ResizeStep::Actuate => {
            resize.actual = resize.allocated;
            resize.in_progress = None;
        }
    }
    settle(store, id);
    if store.pods[id].resize.as_ref() != Some(&before) {
        push_pod_update(changes, id, PodChanges::RESIZED);
    }
    Ok(())
}

/// Recomputes the reserved amounts, or drops the resize state once complete.
fn settle(store: &mut Store, id: PodId) {
    let pod = &store.pods[id];
    let Some(resize) = &pod.resize else { return };
    let is_through = resize.allocated == pod.template
        && resize.actual == pod.template
        && resize.in_progress.is_none();
    if is_through {
        store.pods[id].resize = None;
        return;
    }
    let can_never_be = |one: &ResizePending| one.reason == PendingReason::Infeasible;
    let is_infeasible = resize.pending.as_ref().is_some_and(can_never_be);
    let asked = if is_infeasible { resize.allocated } else { pod.template };
    let mut reserved = store.templates[asked].clone();
    for other in [resize.allocated, resize.actual] {
        raise(&mut reserved, &store.templates[other]);
    }
    let reserved = store.intern(reserved);
    if let Some(resize) = &mut store.pods[id].resize {
        resize.reserved = reserved;
    }
}

fn raise(template: &mut PodTemplate, to: &PodTemplate) {
    let pairs = |ours: &mut Vec<Container>, theirs: &[Container]| {
        for (own, other) in ours.iter_mut().zip(theirs) {
            own.requests.raise_to(&other.requests);
            own.limits.raise_to(&other.limits);
        }
    };
    pairs(&mut template.spec.containers, &to.spec.containers);
    pairs(&mut template.spec.init_containers, &to.spec.init_containers);
}

/// Switches a pod to another template with the same labels; returns whether it differs.
pub(super) fn move_to(store: &mut Store, id: PodId, template: TemplateId) -> bool {
    let before = std::mem::replace(&mut store.pods[id].template, template);
    store.index.pods_by_template[before.index()].remove(&id);
    store.list_by_template(template, id);
    before != template
}

/// Gives the pod the template without gates, which its siblings may have already.
pub(super) fn ungate_pod(
    store: &mut Store,
    id: PodId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pod = store.pods.get(id).ok_or(Refused::NotFound)?;
    let mut template = store.template_of(pod).clone();
    template.spec.scheduling_gates.clear();
    let template = store.intern(template);
    if move_to(store, id, template) {
        push_pod_update(changes, id, PodChanges::GATES);
    }
    Ok(())
}
