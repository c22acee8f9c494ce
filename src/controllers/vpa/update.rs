//! What the updater does about pods that are far from the recommendation: it resizes them where they run, or
//! evicts them (`RunOnce`, `CanInPlaceUpdate`, `CanEvictInPlacingPod` of `pkg/updater`).

use super::settings::VpaSettings;
use super::updater::{UpdatePriority, evictable, is_to_be_updated, priority};
use super::{Known, has_quick_oom, requested};
use crate::cluster::action::Event;
use crate::cluster::pod::{Pod, PodId, PodPhase};
use crate::cluster::pod_template::{PodTemplate, ResourceList};
use crate::cluster::resize::{ContainerResize, PendingReason, PodResize};
use crate::cluster::scale::ScaleTarget;
use crate::cluster::vpa::{UpdateMode, VpaObject, with_recommendation};
use crate::cluster::{Action, ClusterView};
use crate::controllers::Actions;
use crate::engine::SimDuration;

/// A resize that is deferred for longer is given up (`DeferredResizeUpdateTimeout`).
const DEFERRED_MAX: SimDuration = SimDuration::from_secs(5 * 60);
/// A resize that is in progress for longer is given up (`InProgressResizeUpdateTimeout`).
const IN_PROGRESS_MAX: SimDuration = SimDuration::from_secs(60 * 60);

/// Whether a resize that was begun so long ago has failed, so that the pod may be evicted.
fn has_failed(resize: &PodResize, waited: SimDuration) -> bool {
    match (&resize.pending, &resize.in_progress) {
        (Some(pending), _) => match pending.reason {
            PendingReason::Deferred => waited > DEFERRED_MAX,
            PendingReason::Infeasible => true,
        },
        (None, Some(progress)) => progress.error.is_some() || waited > IN_PROGRESS_MAX,
        (None, None) => false,
    }
}

impl Known {
    /// Resizes or evicts pods, as far as enough of the others stay as they are.
    pub(super) fn update(
        &mut self,
        view: ClusterView<'_>,
        vpa: &VpaObject,
        target: ScaleTarget,
        settings: &VpaSettings,
        actions: &mut Actions,
    ) {
        self.resized.retain(|pod, _| view.pods().contains(*pod));
        if !vpa.spec.mode.updates() || vpa.recommendation.is_empty() {
            return;
        }
        let mut allowed = allowed(view, vpa, target, settings);
        for pod in candidates(view, vpa, target, settings) {
            if allowed == 0 {
                return;
            }
            let used = if vpa.spec.mode.resizes() {
                self.resize_or_evict(view, vpa, pod, actions)
            } else {
                actions.push(Action::EvictPod(pod));
                true
            };
            allowed -= usize::from(used);
        }
    }

    /// True if the pod is resized or evicted now.
    fn resize_or_evict(
        &mut self,
        view: ClusterView<'_>,
        vpa: &VpaObject,
        id: PodId,
        actions: &mut Actions,
    ) -> bool {
        let Some(pod) = view.pods().get(id) else { return false };
        let wanted = with_recommendation(view.template_of(pod), vpa);
        if let Some(resize) = &pod.resize {
            let since = *self.resized.entry(id).or_insert(view.now);
            let never_evicts = vpa.spec.mode == UpdateMode::InPlace;
            if never_evicts {
                // It is asked for again only once something else is recommended.
                return resize.pending.is_some()
                    && wanted != *view.template_of(pod)
                    && self.resize(view, id, pod, &wanted, actions);
            }
            let is_given_up = has_failed(resize, view.now - since);
            if is_given_up {
                actions.push(Action::EvictPod(id));
            }
            return is_given_up;
        }
        self.resize(view, id, pod, &wanted, actions)
    }

    fn resize(
        &mut self,
        view: ClusterView<'_>,
        id: PodId,
        pod: &Pod,
        wanted: &PodTemplate,
        actions: &mut Actions,
    ) -> bool {
        let before = view.template_of(pod);
        let pairs = before.spec.containers.iter().zip(&wanted.spec.containers);
        let resizes: Vec<ContainerResize> = pairs
            .filter(|(before, after)| before != after)
            .map(|(_, after)| ContainerResize {
                container: after.name.clone(),
                requests: resizable(&after.requests),
                limits: resizable(&after.limits),
            })
            .collect();
        if resizes.is_empty() {
            return false;
        }
        self.resized.insert(id, view.now);
        actions.push(Action::ResizePod(id, resizes));
        actions.push(Action::Event(Box::new(Event {
            kind: "Pod",
            object: pod.id.clone(),
            is_warning: false,
            reason: "InPlaceResizedByVPA",
            message: "Pod was resized in place by VPA Updater.".to_owned(),
        })));
        true
    }
}

fn resizable(list: &ResourceList) -> ResourceList {
    let named = crate::cluster::resize::RESIZABLE.into_iter();
    named.filter_map(|name| Some((name, list.get(name)?))).collect()
}

/// How many pods may be disturbed now.
fn allowed(
    view: ClusterView<'_>,
    vpa: &VpaObject,
    target: ScaleTarget,
    settings: &VpaSettings,
) -> usize {
    let store = view.store();
    let is_running = |pod: &Pod| pod.is_active() && pod.phase == PodPhase::Running;
    let running = store.pods_scaled_by(target).filter(|(_, pod)| is_running(pod)).count();
    let running = i32::try_from(running).unwrap_or(i32::MAX);
    let configured = store.scale(target).map_or(0, |scale| scale.spec_replicas);
    let least = vpa.spec.min_replicas.unwrap_or(settings.min_replicas);
    usize::try_from(evictable(configured, running, least, settings)).unwrap_or(0)
}

/// The running pods that are far from the recommendation, or on their way to it: those that are to grow
/// first, then the furthest from their target.
fn candidates(
    view: ClusterView<'_>,
    vpa: &VpaObject,
    target: ScaleTarget,
    settings: &VpaSettings,
) -> Vec<PodId> {
    let store = view.store();
    let mut candidates: Vec<(UpdatePriority, PodId)> = store
        .pods_scaled_by(target)
        .filter(|(_, pod)| pod.is_active() && pod.phase == PodPhase::Running)
        .filter_map(|(id, pod)| {
            let containers = store.template_of(pod).spec.containers.iter();
            let pairs = containers.filter_map(|container| {
                let mut all = vpa.recommendation.iter();
                let recommended = all.find(|one| one.container == container.name)?;
                Some((requested(container), recommended))
            });
            let priority = priority(pairs);
            let age = view.now - pod.start_time?;
            let has_quick_oom = has_quick_oom(&store.template_of(pod).spec, pod, settings);
            let is_meant = is_to_be_updated(priority, has_quick_oom, age, settings)
                || vpa.spec.mode.resizes() && pod.resize.is_some();
            is_meant.then_some((priority, id))
        })
        .collect();
    candidates.sort_by(|(one, _), (other, _)| {
        let up = other.scales_up.cmp(&one.scales_up);
        up.then(other.difference.total_cmp(&one.difference))
    });
    candidates.into_iter().map(|(_, pod)| pod).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::pod_template::TemplateId;
    use crate::cluster::resize::{ResizeInProgress, ResizePending};
    use crate::engine::SimTime;

    fn pending(reason: PendingReason) -> PodResize {
        let pending = ResizePending { reason, message: String::new(), since: SimTime::ZERO };
        let template = TemplateId::from_bits(0);
        PodResize {
            allocated: template,
            actual: template,
            reserved: template,
            pending: Some(pending),
            in_progress: None,
        }
    }

    #[test]
    fn a_resize_that_cannot_be_is_given_up_at_once_and_a_deferred_one_after_five_minutes() {
        let minutes = |minutes: i64| SimDuration::from_secs(minutes * 60);
        assert!(has_failed(&pending(PendingReason::Infeasible), minutes(0)));
        assert!(!has_failed(&pending(PendingReason::Deferred), minutes(5)));
        assert!(has_failed(&pending(PendingReason::Deferred), minutes(6)));
        let going_on = PodResize {
            pending: None,
            in_progress: Some(ResizeInProgress { since: SimTime::ZERO, error: None }),
            ..pending(PendingReason::Deferred)
        };
        assert!(!has_failed(&going_on, minutes(60)));
        assert!(has_failed(&going_on, minutes(61)));
    }
}
