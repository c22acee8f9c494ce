//! The EndpointSlice controller (`pkg/controller/endpointslice` with `staging/.../endpointslice/utils.go`, 1.36):
//! determines the pods of a Service that receive traffic. The delay until nodes learn of it is modeled elsewhere.

use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::pod::Pod;
use cluster::selection::Selecting;
use cluster::service::Endpoint;
use cluster::{Action, Change, ClusterView, ObjectId, PodChanges};

/// Pod changes that affect an endpoint.
const SEEN: PodChanges = PodChanges::READY
    .and(PodChanges::PHASE)
    .and(PodChanges::DELETION_REQUESTED)
    .and(PodChanges::LABELS);

/// The EndpointSlice controller.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndpointSliceController;

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
        if endpoints != service.endpoints {
            actions.push(Action::SetEndpoints(id, endpoints));
        }
        Requeue::No
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }
}
