//! Pods as Karpenter sees them (`pkg/utils/pod`).

use std::sync::Arc;

use super::amounts::Amounts;
use super::go_duration::parse_go_duration;
use super::labels::{DISRUPTED_TAINT, DO_NOT_DISRUPT};
use cluster::node::Taint;
use cluster::pod_resources::pod_requests;
use cluster::pod_template::{PodTemplate, TaintEffect, Toleration};
use cluster::{Labels, Name, NamespacedName};
use engine::{SimDuration, SimTime};
use scheduler::pod_class::HostPort;

/// Pod annotation with the cost of its deletion.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The owner of a pod, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodOwner {
    /// A DaemonSet: the pod is tied to its node.
    DaemonSet,
    /// The node itself: a static pod.
    Node,
    /// A StatefulSet: the replacement is created only once this pod is gone.
    StatefulSet,
    /// Another owner, or none.
    #[default]
    Other,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Namespace and name.
    pub id: NamespacedName,
    /// UID, which breaks ties.
    pub uid: Name,
    /// Its template.
    pub template: Arc<PodTemplate>,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// `creationTimestamp`.
    pub created: SimTime,
    /// `status.startTime`.
    pub started: Option<SimTime>,
    /// Its controller.
    pub owner: PodOwner,
    /// Its node, if bound.
    pub node: Option<Name>,
    /// True if it has finished.
    pub is_terminal: bool,
    /// True if it is being deleted.
    pub is_terminating: bool,
    /// Status of its Ready condition, if present.
    pub ready: Option<bool>,
    /// True if kube-scheduler found no node for it.
    pub is_unschedulable: bool,
    /// True if it has preempted other pods (`status.nominatedNodeName`).
    pub is_preempting: bool,
    /// Its resource requests, and one pod.
    pub requests: Amounts,
    /// The host ports that it uses.
    pub host_ports: Vec<HostPort>,
    /// Its claims for disks of the cloud, of which a node takes only so many.
    pub volumes: Vec<NamespacedName>,
}

impl Pod {
    /// A pending pod with this template.
    pub fn pending(id: NamespacedName, uid: Name, template: Arc<PodTemplate>) -> Self {
        Self {
            id,
            uid,
            labels: template.labels.clone(),
            annotations: template.annotations.clone(),
            created: SimTime::ZERO,
            started: None,
            owner: PodOwner::Other,
            node: None,
            is_terminal: false,
            is_terminating: false,
            ready: None,
            is_unschedulable: true,
            is_preempting: false,
            requests: Amounts::of(&pod_requests(&template.spec)).with_pods(1),
            host_ports: host_ports(&template),
            volumes: Vec::new(),
            template,
        }
    }

    /// Active: neither finished nor terminating (`IsActive`).
    pub const fn is_active(&self) -> bool {
        !self.is_terminal && !self.is_terminating
    }

    /// True if it needs a node from Karpenter (`IsProvisionable`).
    pub fn is_provisionable(&self) -> bool {
        self.is_unschedulable
            && self.node.is_none()
            && !self.is_preempting
            && !matches!(self.owner, PodOwner::DaemonSet | PodOwner::Node)
    }

    /// True if it, or its successor, has to be rescheduled if its node is removed (`IsReschedulable`).
    pub(crate) fn is_reschedulable(&self) -> bool {
        let goes_on =
            self.is_active() || self.owner == PodOwner::StatefulSet && self.is_terminating;
        goes_on && !matches!(self.owner, PodOwner::DaemonSet | PodOwner::Node)
    }

    /// True if it does not block the disruption of its node (`IsDisruptable`).
    pub fn is_disruptable(&self, now: SimTime) -> bool {
        !self.is_active() || !self.blocks_disruption(now)
    }

    /// True if a drain of its node evicts it (`IsEvictable`).
    pub fn is_evictable(&self, now: SimTime) -> bool {
        self.is_active()
            && !self.tolerates_disruption()
            && self.owner != PodOwner::Node
            && !self.blocks_disruption(now)
    }

    /// True if `karpenter.sh/do-not-disrupt` is active: always if it is `true`, or for a duration from the start of
    /// the pod (`IsDoNotDisruptActive`).
    fn blocks_disruption(&self, now: SimTime) -> bool {
        match self.annotations.get(DO_NOT_DISRUPT).map(AsRef::as_ref) {
            None => false,
            Some("true") => true,
            Some(text) => match parse_go_duration(text) {
                Some(period) if period > SimDuration::ZERO => {
                    self.started.is_none_or(|started| now.since(started) < period)
                }
                _ => false,
            },
        }
    }

    /// Cost of evicting it (`EvictionCost`).
    pub(crate) fn eviction_cost(&self) -> f64 {
        let deletion: Option<f64> =
            self.annotations.get(DELETION_COST).and_then(|text| text.parse().ok());
        let priority = self.template.spec.priority.map_or(0.0, f64::from);
        let cost =
            1.0 + deletion.unwrap_or(0.0) / f64::from(1 << 27) + priority / f64::from(1 << 25);
        cost.clamp(-10.0, 10.0)
    }

    fn tolerates_disruption(&self) -> bool {
        let taint = disrupted_taint();
        self.template.spec.tolerations.iter().any(|one| one.tolerates(&taint))
    }
}

/// The taint of nodes that are about to be removed.
pub fn disrupted_taint() -> Taint {
    Taint {
        key: DISRUPTED_TAINT.into(),
        value: "".into(),
        effect: TaintEffect::NoSchedule,
        time_added: None,
    }
}

/// The first taint that is not tolerated, if any (`Taints.Tolerates`).
pub fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration]) -> Option<&'a Taint> {
    taints.iter().find(|taint| !tolerations.iter().any(|one| one.tolerates(taint)))
}

/// The host ports of a pod's containers, not counting init containers (`GetHostPorts`).
pub fn host_ports(template: &PodTemplate) -> Vec<HostPort> {
    let ports = template.spec.containers.iter().flat_map(|container| &container.ports);
    let taken = ports.filter(|port| port.host_port != 0).map(|port| HostPort {
        protocol: port.protocol.clone(),
        port: port.host_port,
        ip: if port.host_ip.is_empty() { "0.0.0.0".into() } else { port.host_ip.clone() },
    });
    taken.collect()
}
