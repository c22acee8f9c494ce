//! The EndpointSlice controller (`pkg/controller/endpointslice` with `staging/.../endpointslice/utils.go`, 1.36):
//! determines the pods of a Service that receive traffic. The delay until nodes learn of it is modeled elsewhere.

use std::collections::BTreeSet;

use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::pod::{Pod, PodId};
use cluster::selection::Selecting;
use cluster::service::{Endpoint, ServiceId};
use cluster::{Action, Change, ClusterView, ObjectId, PodChanges};
use engine::SimDuration;

/// Pod changes that affect an endpoint.
const SEEN: PodChanges = PodChanges::READY
    .and(PodChanges::PHASE)
    .and(PodChanges::DELETION_REQUESTED)
    .and(PodChanges::LABELS);

/// The EndpointSlice controller. Of several pods that change at once it learns one by one: it syncs when the first has
/// changed, without the others, and again when it has written that.
#[derive(Clone, Debug, Default)]
pub struct EndpointSliceController {
    sync_takes: SimDuration,
    /// Services whose last sync left out changes.
    behind: BTreeSet<ServiceId>,
}

impl EndpointSliceController {
    /// A controller whose syncs take this long.
    pub const fn new(sync_takes: SimDuration) -> Self {
        Self { sync_takes, behind: BTreeSet::new() }
    }
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
    if pod.start_time.is_none() || pod.phase.is_terminal() {
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

    fn wakes_on(&self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let pod = match *change {
            Change::Spec(ObjectId::Service(service), _)
            | Change::SelectedPodRemoved(Selecting::Service(service)) => {
                wake.push(Key::Service(service));
                return;
            }
            Change::PodUpdated(pod, what) if what.has(SEEN) && !view.services().is_empty() => {
                view.store().pods().get(pod)
            }
            _ => None,
        };
        for selecting in pod.into_iter().flat_map(|pod| view.store().selecting(pod)) {
            if let Selecting::Service(service) = selecting {
                wake.push(Key::Service(service));
            }
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Service(id) = key else { return Requeue::No };
        let Some(service) = view.services().get(id) else { return Requeue::No };
        if service.spec.selector.is_none() {
            return Requeue::No;
        }
        let pods = view.store().selected_by(Selecting::Service(id));
        let mut endpoints: Vec<Endpoint> = pods
            .filter_map(|(pod, object)| {
                let conditions_of_pod =
                    conditions(object, service.spec.publish_not_ready_addresses)?;
                let EndpointConditions { ready, serving, terminating } = conditions_of_pod;
                Some(Endpoint { pod, ready, serving, terminating })
            })
            .collect();
        endpoints.sort_unstable_by_key(|endpoint| endpoint.pod);
        if !self.behind.remove(&id)
            && self.sync_takes > SimDuration::ZERO
            && let Some(first) = first_of_several_changes(&service.endpoints, &endpoints)
        {
            self.behind.insert(id);
            actions.push(Action::SetEndpoints(id, first));
            return Requeue::After(self.sync_takes);
        }
        if endpoints != service.endpoints {
            actions.push(Action::SetEndpoints(id, endpoints));
        }
        Requeue::No
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The endpoints with only the first change, if more than one pod begins or ceases to be ready. Both lists are sorted by
/// pod.
fn first_of_several_changes(before: &[Endpoint], after: &[Endpoint]) -> Option<Vec<Endpoint>> {
    let first = two_changes(before, after)?[0];
    let mut endpoints: Vec<Endpoint> =
        before.iter().copied().filter(|one| one.pod != first).collect();
    endpoints.extend(after.iter().find(|one| one.pod == first));
    endpoints.sort_unstable_by_key(|endpoint| endpoint.pod);
    Some(endpoints)
}

/// The first two pods that begin or cease to be ready, if there are two.
fn two_changes(before: &[Endpoint], after: &[Endpoint]) -> Option<[PodId; 2]> {
    let ready = |list: &[Endpoint], at: &mut usize| {
        *at += list[*at..].iter().take_while(|one| !one.ready).count();
        list.get(*at).map(|one| one.pod)
    };
    let (mut first, mut at) = (None, [0, 0]);
    loop {
        let changed = match (ready(before, &mut at[0]), ready(after, &mut at[1])) {
            (Some(old), Some(new)) if old == new => {
                at = at.map(|position| position + 1);
                continue;
            }
            (Some(old), new) if new.is_none_or(|new| old < new) => {
                at[0] += 1;
                old
            }
            (_, Some(new)) => {
                at[1] += 1;
                new
            }
            _ => return None,
        };
        match first {
            None => first = Some(changed),
            Some(first) => return Some([first, changed]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(pods: &[(u64, bool)]) -> Vec<Endpoint> {
        let endpoint = |(pod, ready): &(u64, bool)| Endpoint {
            pod: PodId::from_bits(*pod),
            ready: *ready,
            serving: true,
            terminating: !ready,
        };
        pods.iter().map(endpoint).collect()
    }

    #[test]
    fn of_pods_that_change_together_the_first_one_is_written_alone() {
        let before = endpoints(&[(1, true), (2, true), (3, true), (5, false)]);
        let after = endpoints(&[(1, true), (2, false), (3, false), (4, true), (5, true)]);
        let written = endpoints(&[(1, true), (2, false), (3, true), (5, false)]);
        assert_eq!(first_of_several_changes(&before, &after), Some(written));
        let gone = endpoints(&[(3, true)]);
        let written = endpoints(&[(2, true), (3, true), (5, false)]);
        assert_eq!(first_of_several_changes(&before, &gone), Some(written));
        let one = endpoints(&[(1, true), (2, true), (4, false)]);
        assert_eq!(first_of_several_changes(&before, &one), None, "only 3 changes");
        assert_eq!(first_of_several_changes(&before, &before), None);
    }
}
