//! The EndpointSlice controller (`pkg/controller/endpointslice` with `staging/.../endpointslice/utils.go`, 1.36):
//! determines the pods of a Service that receive traffic. The delay until nodes learn of it is modeled elsewhere.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::pod::{Pod, PodId};
use cluster::selection::Selecting;
use cluster::service::{Endpoint, EndpointUpdate, Endpoints, Service, ServiceId};
use cluster::{Action, Change, ClusterView, ObjectId, PodChanges};
use engine::SimDuration;

/// Pod changes that affect an endpoint.
const SEEN: PodChanges = PodChanges::READY
    .and(PodChanges::PHASE)
    .and(PodChanges::ADDRESS)
    .and(PodChanges::DELETION_REQUESTED)
    .and(PodChanges::LABELS);

/// The EndpointSlice controller. Of several pods that change at once it learns one by one: it syncs when the first has
/// changed, without the others, and again when it has written that.
#[derive(Clone, Debug, Default)]
pub struct EndpointSliceController {
    sync_takes: SimDuration,
    /// Services whose last sync left out changes.
    behind: BTreeSet<ServiceId>,
    /// The pods that changed since their Service was reconciled: the endpoints of all others are right. A Service that is
    /// missing has not been reconciled since its spec changed. Looked up only, never iterated.
    changed: FxHashMap<ServiceId, Vec<PodId>>,
}

/// Conditions of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointConditions {
    /// New traffic may be routed to it.
    pub ready: bool,
    /// The pod would answer requests, whether or not it is terminating.
    pub serving: bool,
    /// The pod is terminating.
    pub terminating: bool,
}

/// Conditions of a pod's endpoint (`podToEndpoint`); `None` while it has no address and after it has finished
/// (`ShouldPodBeInEndpoints`).
pub fn conditions(pod: &Pod, publish_not_ready_addresses: bool) -> Option<EndpointConditions> {
    if !pod.has_address() || pod.phase.is_terminal() {
        return None;
    }
    let serving = pod.is_ready();
    let terminating = pod.is_terminating();
    let ready = publish_not_ready_addresses || (serving && !terminating);
    Some(EndpointConditions { ready, serving, terminating })
}

impl Controller for EndpointSliceController {
    fn name(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn watches(&self) -> Watches {
        Watches::SERVICES.and(Watches::PODS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        match *change {
            Change::Spec(ObjectId::Service(service), _) => {
                self.changed.remove(&service);
                wake.push(Key::Service(service));
            }
            Change::Removed { object: ObjectId::Service(service), .. } => {
                self.changed.remove(&service);
                self.behind.remove(&service);
            }
            Change::SelectedPodRemoved(Selecting::Service(service), pod) => {
                self.pod_changed(service, pod);
                wake.push(Key::Service(service));
            }
            Change::PodUpdated(pod, what) if what.has(SEEN) && !view.services().is_empty() => {
                for service in services_of(view, pod, what) {
                    self.pod_changed(service, pod);
                    wake.push(Key::Service(service));
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Service(id) = key else { return Requeue::No };
        let Some(service) = view.services().get(id) else { return Requeue::No };
        if service.spec.selector.is_none() {
            return Requeue::No;
        }
        let updates = match self.changed.get_mut(&id).map(std::mem::take) {
            Some(mut pods) => {
                pods.sort_unstable();
                pods.dedup();
                updates_of(view, (id, service), pods)
            }
            None => all_updates(view, (id, service)),
        };
        debug_assert_eq!(updates, all_updates(view, (id, service)), "no other pod changed");
        let left = self.changed.entry(id).or_default();
        if !self.behind.remove(&id)
            && self.sync_takes > SimDuration::ZERO
            && let Some(first) = first_of_several_changes(&service.endpoints, &updates)
        {
            left.extend(updates.iter().map(|one| one.pod).filter(|pod| *pod != first.pod));
            self.behind.insert(id);
            actions.push(Action::UpdateEndpoints(id, vec![first]));
            return Requeue::After(self.sync_takes);
        }
        if !updates.is_empty() {
            actions.push(Action::UpdateEndpoints(id, updates));
        }
        Requeue::No
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl EndpointSliceController {
    /// A controller whose syncs take this long.
    pub fn new(sync_takes: SimDuration) -> Self {
        Self { sync_takes, ..Self::default() }
    }

    fn pod_changed(&mut self, service: ServiceId, pod: PodId) {
        if let Some(pods) = self.changed.get_mut(&service) {
            pods.push(pod);
        }
    }
}

/// The Services that a change of a pod concerns: those that select it and, if its labels changed, those that did
/// (`GetServicesToUpdateOnPodChange`).
fn services_of(view: ClusterView<'_>, id: PodId, what: PodChanges) -> Vec<ServiceId> {
    let Some(pod) = view.pods().get(id) else { return Vec::new() };
    let selecting = view.store().selecting(pod).filter_map(|selecting| match selecting {
        Selecting::Service(service) => Some(service),
        Selecting::PodDisruptionBudget(_) => None,
    });
    let mut services: Vec<ServiceId> = selecting.collect();
    if what.has(PodChanges::LABELS) {
        let all = view.services().iter();
        let had = all.filter(|(_, service)| service.endpoints.get(id).is_some());
        let left = had.map(|(service, _)| service).filter(|service| !services.contains(service));
        let left: Vec<ServiceId> = left.collect();
        services.extend(left);
    }
    services
}

/// Updates that a Service's endpoints need, from all of its pods.
fn all_updates(view: ClusterView<'_>, (id, service): (ServiceId, &Service)) -> Vec<EndpointUpdate> {
    let selected = view.store().selected_by(Selecting::Service(id)).map(|(pod, _)| pod);
    let mut pods: Vec<PodId> = selected.collect();
    pods.extend(service.endpoints.iter().map(|endpoint| endpoint.pod));
    pods.sort_unstable();
    pods.dedup();
    updates_of(view, (id, service), pods)
}

/// Updates that a Service's endpoints need, from these pods.
fn updates_of(
    view: ClusterView<'_>,
    (id, service): (ServiceId, &Service),
    pods: Vec<PodId>,
) -> Vec<EndpointUpdate> {
    let updates = pods
        .into_iter()
        .map(|pod| EndpointUpdate { pod, endpoint: endpoint_of(view, (id, service), pod) });
    updates.filter(|update| service.endpoints.get(update.pod) != update.endpoint).collect()
}

/// The endpoint of a pod in a Service, if it is to have one.
fn endpoint_of(
    view: ClusterView<'_>,
    (id, service): (ServiceId, &Service),
    pod: PodId,
) -> Option<Endpoint> {
    let object = view.pods().get(pod)?;
    if !view.store().selecting(object).any(|one| one == Selecting::Service(id)) {
        return None;
    }
    let EndpointConditions { ready, serving, terminating } =
        conditions(object, service.spec.publish_not_ready_addresses)?;
    Some(Endpoint { pod, ready, serving, terminating })
}

/// Of updates in the order of their pods, the first that makes a pod begin or cease to be ready, if several do.
fn first_of_several_changes(
    before: &Endpoints,
    updates: &[EndpointUpdate],
) -> Option<EndpointUpdate> {
    let is_ready = |endpoint: Option<Endpoint>| endpoint.is_some_and(|one| one.ready);
    let mut turning = updates
        .iter()
        .filter(|update| is_ready(before.get(update.pod)) != is_ready(update.endpoint));
    let first = turning.next()?;
    turning.next().map(|_| *first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update((pod, ready): (u64, Option<bool>)) -> EndpointUpdate {
        let pod = PodId::from_bits(pod);
        let endpoint =
            ready.map(|ready| Endpoint { pod, ready, serving: true, terminating: !ready });
        EndpointUpdate { pod, endpoint }
    }

    #[test]
    fn of_pods_that_change_together_the_first_one_is_written_alone() {
        let before: Endpoints = [(1, true), (2, true), (3, true), (5, false)]
            .into_iter()
            .filter_map(|(pod, ready)| update((pod, Some(ready))).endpoint)
            .collect();
        let first = |updates: &[(u64, Option<bool>)]| {
            let updates: Vec<EndpointUpdate> = updates.iter().copied().map(update).collect();
            first_of_several_changes(&before, &updates)
        };
        let several = [(2, Some(false)), (3, Some(false)), (4, Some(true)), (5, Some(true))];
        assert_eq!(first(&several), Some(update((2, Some(false)))));
        let gone = [(1, None), (2, None), (5, None)];
        assert_eq!(first(&gone), Some(update((1, None))));
        assert_eq!(first(&[(3, None), (4, Some(false)), (5, None)]), None, "only 3 changes");
        assert_eq!(first(&[]), None);
    }
}
