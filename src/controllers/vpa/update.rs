//! The updater in a simulation: its view of a workload's pods, and its API requests.

use super::VpaState;
use super::rounds::{Round, UpdaterApi};
use super::settings::VpaSettings;
use super::updater::{Group, ResizeState, UpdaterPod};
use crate::Actions;
use cluster::action::Event;
use cluster::container_status::TerminationReason;
use cluster::meta::Name;
use cluster::pod::{Owner, Pod, PodId, PodPhase};
use cluster::pod_template::{PodSpec, ResourceList};
use cluster::resize::{ContainerResize, PendingReason, PodResize};
use cluster::scale::ScaleTarget;
use cluster::vpa::VpaObject;
use cluster::vpa_admission::AdmittedResources;
use cluster::vpa_capping::CappedContainer;
use cluster::{Action, ClusterView, Kind};
use engine::{SimDuration, SimTime};

impl VpaState {
    /// Resizes or evicts pods, as long as enough of the others are undisturbed.
    pub(super) fn update(
        &mut self,
        view: ClusterView<'_>,
        vpa: &VpaObject,
        target: ScaleTarget,
        settings: &VpaSettings,
        actions: &mut Actions,
    ) {
        let listed = |pod: &Pod| pod.node.is_some() && pod.is_active();
        let store = view.store();
        let pods: Vec<(PodId, &Pod)> =
            store.pods_scaled_by(target).filter(|(_, pod)| listed(pod)).collect();
        let mut owners: Vec<Owner> = pods.iter().filter_map(|(_, pod)| pod.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        let groups = owners.iter().map(|owner| group(view, vpa, *owner, &pods, settings));
        let seen = |(id, pod): &(PodId, &'_ Pod)| {
            let group = pod.owner.and_then(|owner| owners.binary_search(&owner).ok());
            seen(view, *id, group)
        };
        let round = Round {
            now: view.now,
            spec: &vpa.spec,
            recommendation: (!vpa.recommendation.is_empty()).then_some(&*vpa.recommendation),
            limits: &store.namespace_limits(vpa.meta.namespace()),
            pods: pods.iter().filter_map(seen).collect(),
            groups: groups.collect(),
            settings,
        };
        self.updater.run(round, &mut Api { view, actions });
    }
}

/// The pods of one owner.
fn group(
    view: ClusterView<'_>,
    vpa: &VpaObject,
    owner: Owner,
    pods: &[(PodId, &Pod)],
    settings: &VpaSettings,
) -> Option<Group> {
    let store = view.store();
    let configured = match owner {
        Owner::ReplicaSet(id) => store.replica_sets().get(id)?.replicas,
        Owner::StatefulSet(id) => store.stateful_sets().get(id)?.spec.replicas,
        Owner::DaemonSet(_) | Owner::Job(_) => return None,
    };
    let count = |is_meant: &dyn Fn(&Pod) -> bool| {
        let own = pods.iter().filter(|(_, pod)| pod.owner == Some(owner) && is_meant(pod));
        i64::try_from(own.count()).unwrap_or(i64::MAX)
    };
    let pending = count(&|pod| pod.phase == PodPhase::Pending);
    let group = Group::new(configured.into(), count(&|_| true), pending, &vpa.spec, settings);
    group.filter(|_| configured > 0)
}

fn seen(view: ClusterView<'_>, id: PodId, group: Option<usize>) -> Option<UpdaterPod<'_, PodId>> {
    let store = view.store();
    let pod = store.pods().get(id)?;
    let spec = &store.template_of(pod).spec;
    let actual = &store.templates().get(pod.actual())?.spec;
    Some(UpdaterPod {
        id,
        name: pod.id.name.clone(),
        group,
        is_pending: pod.phase == PodPhase::Pending,
        start_time: pod.start_time,
        containers: CappedContainer::of(&actual.containers),
        // Its containers are those it was admitted with.
        observed: None,
        ooms: ooms(spec, pod),
        resize: pod.resize.as_deref().map(state_of),
        restarts_for_resize: spec.containers.iter().any(|one| !one.restarts_on_resize.is_empty()),
    })
}

/// Containers whose last run was OOM-killed, with its duration.
fn ooms(spec: &PodSpec, pod: &Pod) -> Vec<(Name, SimDuration)> {
    let (_, statuses) = pod.containers.split(spec);
    let ends = spec.containers.iter().zip(statuses).filter_map(|(container, status)| {
        let last = status.last_termination?;
        let is_oom = last.reason == TerminationReason::OomKilled;
        is_oom.then(|| (container.name.clone(), last.finished - last.started))
    });
    ends.collect()
}

const fn state_of(resize: &PodResize) -> ResizeState {
    match (&resize.pending, &resize.in_progress) {
        (Some(pending), _) => match pending.reason {
            PendingReason::Deferred => ResizeState::Deferred,
            PendingReason::Infeasible => ResizeState::Infeasible,
        },
        (None, Some(progress)) if progress.error.is_some() => ResizeState::Error,
        (None, _) => ResizeState::InProgress,
    }
}

/// The simulated API: requests are carried out after the round.
struct Api<'a, 'b> {
    view: ClusterView<'a>,
    actions: &'b mut Actions,
}

impl UpdaterApi<PodId> for Api<'_, '_> {
    fn evict(&mut self, pod: &PodId, _: SimTime) -> bool {
        self.actions.push(Action::EvictPod(*pod, None));
        true
    }

    fn resize(&mut self, pod: &PodId, resources: &[AdmittedResources]) -> bool {
        let Some(seen) = self.view.pods().get(*pod) else { return false };
        let containers = &self.view.template_of(seen).spec.containers;
        let resizes: Vec<ContainerResize> = containers
            .iter()
            .zip(resources)
            .filter_map(|(container, resources)| {
                let mut after = container.clone();
                after.requests.set_all(&resources.requests);
                after.limits.set_all(&resources.limits);
                (after != *container).then(|| ContainerResize {
                    container: after.name.clone(),
                    requests: resizable(&after.requests),
                    limits: resizable(&after.limits),
                })
            })
            .collect();
        // A patch that changes nothing is taken, too.
        if !resizes.is_empty() {
            self.actions.push(Action::ResizePod(*pod, resizes));
        }
        self.actions.push(Action::Event(Box::new(Event {
            kind: Kind::Pod,
            object: seen.id.clone(),
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
