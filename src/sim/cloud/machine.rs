//! One machine of the cloud, from its request to its removal.

use std::sync::Arc;

use cluster::Name;
use cluster::node::{ConditionStatus, NOT_READY_TAINT, Node, NodeReady, Taint};
use cluster::pod_template::{ResourceList, TaintEffect};
use cluster_autoscaler::{InstanceError, InstanceState};
use engine::random::happens;
use engine::{SimDuration, SimTime, Stream};
use scenario::cluster::named;
use scenario::machines::MachineTimes;

/// A machine of the cloud, past, present or requested.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// Its name, which is also that of its node.
    pub(super) name: Name,
    /// Position of its group; absent for an instance that was requested on its own.
    pub(super) group: Option<usize>,
    /// Position of its template: the zone among its group's templates or, for an instance, the chosen one of its
    /// choices.
    pub(super) zone: usize,
    /// The acceptable nodes of an instance, in order of preference.
    pub(super) choices: Arc<[Arc<Node>]>,
    pub(super) phase: Phase,
    /// Time of its next step.
    pub(super) due: Option<SimTime>,
    /// Time since which it is billed.
    pub(super) launched: Option<SimTime>,
    pub(super) draws: MachineDraws,
    /// Its past steps, with their times.
    pub(super) steps: Vec<(&'static str, SimTime)>,
}

/// Where a machine is in its life cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has been requested.
    Requested,
    /// The cloud refused it.
    Refused(InstanceError),
    /// The machine exists; its node has not joined yet.
    Booting,
    /// Its node has joined and waits for the network plugin.
    Joined,
    /// Its node waits for the device plugin.
    AwaitsDevices,
    /// Its node accepts pods.
    InService,
    /// It is being deleted.
    Deleting,
    /// It has been removed.
    Gone,
}

/// Random draws of a machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct MachineDraws {
    pub(super) request: SimDuration,
    pub(super) boot: SimDuration,
    pub(super) network: SimDuration,
    pub(super) device_plugin: SimDuration,
    pub(super) removal: SimDuration,
    /// False if the machine never joins the cluster.
    pub(super) joins: bool,
}

impl MachineDraws {
    pub(super) fn draw(times: &MachineTimes, boot_failures: f64, stream: &mut Stream) -> Self {
        Self {
            request: times.request.draw(stream),
            boot: times.boot.draw(stream),
            network: times.network.draw(stream),
            device_plugin: times.device_plugin.draw(stream),
            removal: times.removal.draw(stream),
            joins: !happens(stream, boot_failures),
        }
    }
}

impl Machine {
    /// The instance state that the autoscaler sees.
    pub(super) fn state(&self) -> InstanceState {
        match &self.phase {
            Phase::Requested => InstanceState::Creating(None),
            Phase::Refused(error) => InstanceState::Creating(Some(error.clone())),
            Phase::Booting | Phase::Joined | Phase::AwaitsDevices | Phase::InService => {
                InstanceState::Running
            }
            Phase::Deleting | Phase::Gone => InstanceState::Deleting,
        }
    }

    /// Its node as the kubelet registers it: network not ready, no devices yet.
    pub(super) fn fresh_node(&self, template: &Node, now: SimTime) -> Node {
        let mut node = named(template, &self.name);
        node.machine.launched = self.launched;
        node.ready = NodeReady { status: ConditionStatus::False, since: now };
        // Taint added by the admission plugin TaintNodesByCondition.
        node.taints.push(Taint {
            key: NOT_READY_TAINT.into(),
            value: "".into(),
            effect: TaintEffect::NoSchedule,
            time_added: None,
        });
        node.capacity = without_devices(&node.capacity);
        node.allocatable = without_devices(&node.allocatable);
        node
    }
}

/// True if a resource is advertised by a device plugin rather than by the kubelet itself.
fn is_device(resource: &str) -> bool {
    resource.contains('/') && !resource.starts_with("hugepages-")
}

/// True if a node has resources of a device plugin.
pub(super) fn has_devices(node: &Node) -> bool {
    node.capacity.iter().any(|(name, _)| is_device(name))
}

fn without_devices(list: &ResourceList) -> ResourceList {
    let own = list.iter().filter(|(name, _)| !is_device(name));
    own.map(|(name, amount)| (name.clone(), amount)).collect()
}
