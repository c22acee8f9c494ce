//! One machine of the cloud, from its request until it is gone.

use std::sync::Arc;

use cluster::Name;
use cluster::node::{ConditionStatus, NOT_READY_TAINT, Node, NodeReady, Taint};
use cluster::pod_template::{ResourceList, TaintEffect};
use cluster_autoscaler::{InstanceError, InstanceState};
use engine::random::happens;
use engine::{SimDuration, SimTime, Stream};
use scenario::cluster::named;
use scenario::machines::MachineTimes;

/// A machine that is, was or is to be.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// Its name, which is that of its node.
    pub(super) name: Name,
    /// Its group, by place; absent for an instance that was asked for by itself.
    pub(super) group: Option<usize>,
    /// Its zone, by place among the group's templates; of an instance the one that is taken, among its choices.
    pub(super) zone: usize,
    /// What an instance may be, the best first.
    pub(super) choices: Arc<[Arc<Node>]>,
    pub(super) phase: Phase,
    /// When its next step is.
    pub(super) due: Option<SimTime>,
    /// Since when it is paid for.
    pub(super) launched: Option<SimTime>,
    pub(super) luck: Luck,
    /// What became of it, and when.
    pub(super) steps: Vec<(&'static str, SimTime)>,
}

/// Where a machine is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It was asked for.
    Requested,
    /// The cloud does not give it.
    Refused(InstanceError),
    /// It exists, and its node does not.
    Booting,
    /// Its node waits for the network.
    Joined,
    /// Its node waits for its devices.
    AwaitsDevices,
    /// Its node takes pods.
    InService,
    /// It is going.
    Deleting,
    /// It was.
    Gone,
}

/// What was drawn for a machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Luck {
    pub(super) request: SimDuration,
    pub(super) boot: SimDuration,
    pub(super) network: SimDuration,
    pub(super) device_plugin: SimDuration,
    pub(super) removal: SimDuration,
    /// Whether it ever joins the cluster.
    pub(super) joins: bool,
}

impl Luck {
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
    /// As the autoscaler sees it.
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

    /// Its node as the kubelet registers it: without network, and without devices.
    pub(super) fn fresh_node(&self, template: &Node, now: SimTime) -> Node {
        let mut node = named(template, &self.name);
        node.machine.launched = self.launched;
        node.ready = NodeReady { status: ConditionStatus::False, since: now };
        // The admission plugin TaintNodesByCondition.
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

/// Whether a resource is offered by a device plugin, and not by the kubelet itself.
fn is_device(resource: &str) -> bool {
    resource.contains('/') && !resource.starts_with("hugepages-")
}

/// Whether a node has resources that a device plugin offers.
pub(super) fn has_devices(node: &Node) -> bool {
    node.capacity.iter().any(|(name, _)| is_device(name))
}

fn without_devices(list: &ResourceList) -> ResourceList {
    let own = list.iter().filter(|(name, _)| !is_device(name));
    own.map(|(name, amount)| (name.clone(), amount)).collect()
}
