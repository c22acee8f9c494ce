//! Nodes that are there, or on their way, as places for pods (`existingnode.go`).

use super::preferences::Ask;
use super::topology::Topology;
use crate::amounts::Amounts;
use crate::labels::HOSTNAME;
use crate::pod::{Pod, untolerated};
use crate::requirement::Requirement;
use crate::requirements::Requirements;
use crate::state::StateNode;
use cluster::Name;
use cluster::node::Taint;
use cluster::pod_template::{Affinity, PodSpec};
use scheduler::pod_class::HostPort;

/// A node with what is left of it.
#[derive(Debug)]
pub(super) struct ExistingNode<'a> {
    pub(super) state: &'a StateNode,
    pub(super) name: Name,
    pub(super) is_initialized: bool,
    taints: Vec<Taint>,
    remaining: Amounts,
    requirements: Requirements,
    ports: Vec<HostPort>,
    /// The pods put there, by their places.
    pub(super) pods: Vec<usize>,
}

impl<'a> ExistingNode<'a> {
    /// A node, less what its pods take and the pods of DaemonSets that are still to come.
    pub(super) fn new(state: &'a StateNode, daemons: &[std::sync::Arc<Pod>]) -> Self {
        let taints = state.taints();
        let labels = Requirements::of_labels(state.labels());
        let mut to_come = Amounts::default();
        let mut count = 0;
        for daemon in daemons.iter().filter(|one| runs_on(one, &taints, &labels)) {
            to_come.add(&daemon.requests);
            count += 1;
        }
        to_come = to_come.with_pods(count);
        to_come.take(&state.daemon_requests());
        to_come.floor();
        let mut requirements = labels;
        requirements.add(Requirement::value(&HOSTNAME.into(), state.hostname()).into());
        Self {
            state,
            name: state.name().clone(),
            is_initialized: state.is_initialized(),
            remaining: state.allocatable().minus(&state.requests()).minus(&to_come),
            requirements,
            ports: state.host_ports(),
            taints,
            pods: Vec::new(),
        }
    }

    /// What the node would be with a pod, if it has room (`CanAdd`).
    pub(super) fn can_add(
        &self,
        ask: &Ask,
        topology: &Topology<'_>,
        is_bound: bool,
    ) -> Option<Requirements> {
        let fits = ask.pod.requests.fits(&self.remaining)
            && untolerated(&self.taints, &ask.tolerations).is_none()
            && !conflicts(&ask.pod.host_ports, &self.ports)
            && self.requirements.is_compatible(&ask.requirements, None);
        if !fits {
            return None;
        }
        let mut requirements = self.requirements.clone();
        requirements.add_all(&ask.requirements);
        if !is_bound {
            return Some(requirements);
        }
        let tightened = topology.tighten(ask, &self.taints, &requirements).ok()?;
        if !requirements.is_compatible(&tightened, None) {
            return None;
        }
        requirements.add_all(&tightened);
        Some(requirements)
    }

    /// Puts a pod there.
    pub(super) fn add(
        &mut self,
        ask: &Ask,
        requirements: Requirements,
        topology: &mut Topology<'_>,
    ) {
        self.pods.push(ask.index);
        self.remaining.take(&ask.pod.requests);
        self.ports.extend(ask.pod.host_ports.iter().cloned());
        topology.record(ask, &self.taints, &requirements);
        self.requirements = requirements;
    }
}

/// Whether a port of a pod is taken.
pub(super) fn conflicts(ports: &[HostPort], taken: &[HostPort]) -> bool {
    ports.iter().any(|port| taken.iter().any(|other| port.conflicts(other)))
}

/// Whether a pod of a DaemonSet runs on a node (`isDaemonPodCompatibleWithNode`): of several terms the first counts.
fn runs_on(daemon: &Pod, taints: &[Taint], labels: &Requirements) -> bool {
    let PodSpec { tolerations, node_selector, affinity, .. } = &daemon.template.spec;
    let affinity: &Affinity = affinity;
    untolerated(taints, tolerations).is_none()
        && labels.is_compatible(&Requirements::of_pod(node_selector, affinity, true), None)
}
