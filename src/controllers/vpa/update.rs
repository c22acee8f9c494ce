//! What the updater does about pods that are far from the recommendation: it resizes them where they run, or
//! evicts them (`RunOnce`, `CanInPlaceUpdate`, `CanEvictInPlacingPod` of `pkg/updater`).

use std::collections::BTreeMap;

use super::settings::VpaSettings;
use super::updater::{
    Compared, UpdatePriority, evictable, is_admitted, is_to_be_updated, priority,
};
use super::{Known, has_quick_oom, requested};
use crate::Actions;
use cluster::action::Event;
use cluster::pod::{Owner, Pod, PodId, PodPhase};
use cluster::pod_template::{PodTemplate, ResourceList};
use cluster::resize::{ContainerResize, PendingReason, PodResize};
use cluster::scale::ScaleTarget;
use cluster::vpa::{UpdateMode, VpaObject, with_recommendation};
use cluster::{Action, ClusterView, Kind};
use engine::SimDuration;

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
            let Some(owner) = view.pods()[pod].owner else { continue };
            let Some(allowed) = allowed.get_mut(&owner) else { continue };
            if view.pods()[pod].phase == PodPhase::Pending {
                // Nobody misses it.
                actions.push(Action::EvictPod(pod));
            } else if *allowed > 0 {
                let used = if vpa.spec.mode.resizes() {
                    self.resize_or_evict(view, vpa, pod, actions)
                } else {
                    actions.push(Action::EvictPod(pod));
                    true
                };
                *allowed -= i32::from(used);
            }
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
            kind: Kind::Pod,
            object: pod.id.clone(),
            is_warning: false,
            reason: "InPlaceResizedByVPA",
            message: "Pod was resized in place by VPA Updater.".to_owned(),
        })));
        true
    }
}

fn resizable(list: &ResourceList) -> ResourceList {
    let named = cluster::resize::RESIZABLE.into_iter();
    named.filter_map(|name| Some((name, list.get(name)?))).collect()
}

/// How many pods of each ReplicaSet or StatefulSet may be disturbed now. One with too few live pods is not
/// there (`GetCreatorMaps`).
fn allowed(
    view: ClusterView<'_>,
    vpa: &VpaObject,
    target: ScaleTarget,
    settings: &VpaSettings,
) -> BTreeMap<Owner, i32> {
    let store = view.store();
    let mut live: BTreeMap<Owner, (i32, i32)> = BTreeMap::new();
    for (_, pod) in store.pods_scaled_by(target).filter(|(_, pod)| pod.is_active()) {
        let Some(owner) = pod.owner else { continue };
        let (all, pending) = live.entry(owner).or_default();
        *all += 1;
        *pending += i32::from(pod.phase == PodPhase::Pending);
    }
    let least = vpa.spec.min_replicas.unwrap_or(settings.min_replicas);
    let groups = live.into_iter().filter(|(_, (all, _))| *all >= least);
    let groups = groups.filter_map(|(owner, (all, pending))| {
        let configured = match owner {
            Owner::ReplicaSet(id) => store.replica_sets().get(id)?.replicas,
            Owner::StatefulSet(id) => store.stateful_sets().get(id)?.spec.replicas,
            Owner::DaemonSet(_) | Owner::Job(_) => return None,
        };
        (configured > 0).then(|| (owner, evictable(configured, all - pending, settings)))
    });
    groups.collect()
}

/// The pods that are far from the recommendation, or on their way to it: those that are to grow first, then
/// the furthest from their target. Pods that wait for a node are evicted, never resized.
fn candidates(
    view: ClusterView<'_>,
    vpa: &VpaObject,
    target: ScaleTarget,
    settings: &VpaSettings,
) -> Vec<PodId> {
    let store = view.store();
    let mode = vpa.spec.mode;
    let is_meant = |pod: &Pod| match pod.phase {
        PodPhase::Running => true,
        PodPhase::Pending => !mode.resizes(),
        _ => false,
    };
    let mut candidates: Vec<(UpdatePriority, PodId)> = store
        .pods_scaled_by(target)
        .filter(|(_, pod)| pod.is_active() && is_meant(pod))
        .filter_map(|(id, pod)| {
            let spec = &store.template_of(pod).spec;
            let compared = || {
                spec.containers.iter().filter_map(|container| {
                    let mut all = vpa.recommendation.iter();
                    let recommendation = all.find(|one| one.container == container.name)?;
                    let policy = vpa.spec.policy_of(&container.name);
                    let controls = policy
                        .map_or([true; 2], |policy| [policy.controls_cpu, policy.controls_memory]);
                    Some(Compared { request: requested(container), recommendation, controls })
                })
            };
            let priority = priority(compared());
            // One that has not started yet is young.
            let age = pod.start_time.map_or(SimDuration::ZERO, |start| view.now - start);
            let has_quick_oom = has_quick_oom(vpa, spec, pod, settings);
            let is_chosen = is_to_be_updated(priority, has_quick_oom, age, settings)
                && is_admitted(compared(), &vpa.spec.eviction_requirements)
                || mode.resizes() && pod.resize.is_some();
            is_chosen.then_some((priority, id))
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
    use cluster::pod_template::TemplateId;
    use cluster::resize::{ResizeInProgress, ResizePending};
    use engine::SimTime;

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
