//! Existing nodes, and nodes being launched, as targets for pods (`existingnode.go`).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::preferences::PodConstraints;
use super::topology::Topology;
use crate::amounts::Amounts;
use crate::labels::HOSTNAME;
use crate::pod::{Pod, untolerated};
use crate::requirement::Requirement;
use crate::requirements::Requirements;
use crate::state::StateNode;
use cluster::NamespacedName;
use cluster::node::Taint;
use cluster::pod_template::{PodSpec, Toleration};
use scheduler::pod_class::HostPort;

/// A DaemonSet's pod with its requirements on nodes.
#[derive(Debug)]
pub(super) struct Daemon<'a> {
    tolerations: &'a [Toleration],
    /// Only the first of several node affinity terms counts.
    requirements: Requirements,
    requests: &'a Amounts,
}

impl<'a> Daemon<'a> {
    pub(super) fn new(pod: &'a Arc<Pod>) -> Self {
        let PodSpec { tolerations, node_selector, affinity, .. } = &pod.template.spec;
        Self {
            tolerations,
            requirements: Requirements::of_pod(node_selector, affinity, true),
            requests: &pod.requests,
        }
    }
}

/// A node with its remaining resources before a pass.
#[derive(Debug)]
pub(super) struct NodeCapacity<'a> {
    pub(super) state: &'a StateNode,
    pub(super) is_initialized: bool,
    taints: Vec<Taint>,
    remaining: Amounts,
    /// Requirements from the labels; built on first use.
    requirements: OnceCell<Requirements>,
    ports: Vec<HostPort>,
    /// The disks on it.
    volumes: BTreeSet<NamespacedName>,
}

impl<'a> NodeCapacity<'a> {
    /// A node, minus the requests of its pods and of the DaemonSet pods still to come.
    pub(super) fn new(state: &'a StateNode, daemons: &[Daemon<'_>]) -> Self {
        let mut place = Self {
            state,
            is_initialized: state.is_initialized(),
            taints: state.taints(),
            remaining: Amounts::default(),
            requirements: OnceCell::new(),
            ports: state.host_ports(),
            volumes: state.volumes(),
        };
        let mut to_come = Amounts::default();
        let mut count = 0;
        for daemon in daemons.iter().filter(|one| place.gets(one)) {
            to_come.add(daemon.requests);
            count += 1;
        }
        to_come = to_come.with_pods(count);
        to_come.take(state.pods.daemon_requests());
        to_come.floor();
        place.remaining = state.allocatable().minus(state.pods.requests()).minus(&to_come);
        place
    }

    /// True if a DaemonSet's pod runs on it (`isDaemonPodCompatibleWithNode`).
    fn gets(&self, daemon: &Daemon<'_>) -> bool {
        let is_met = || {
            daemon.requirements.is_empty()
                || Requirements::of_labels(self.state.labels())
                    .is_compatible(&daemon.requirements, None)
        };
        untolerated(&self.taints, daemon.tolerations).is_none() && is_met()
    }

    fn requirements(&self) -> &Requirements {
        self.requirements.get_or_init(|| {
            let mut made = Requirements::of_labels(self.state.labels());
            made.add(Requirement::value(&HOSTNAME.into(), self.state.hostname()).into());
            made
        })
    }
}

/// A node during a pass.
#[derive(Clone, Debug)]
pub(super) struct ExistingNode<'a> {
    pub(super) place: &'a NodeCapacity<'a>,
    /// Its state with the pods added in the pass.
    filled: Option<Box<Filled>>,
}

/// The requirements of a node after a pod was added.
pub(super) enum Required {
    /// Those before.
    AsBefore,
    /// These.
    Tightened(Requirements),
}

/// A node with added pods.
#[derive(Clone, Debug)]
struct Filled {
    remaining: Amounts,
    /// Its requirements if the pods tightened them.
    requirements: Option<Requirements>,
    ports: Vec<HostPort>,
    volumes: BTreeSet<NamespacedName>,
    /// Positions of the added pods.
    pods: Vec<usize>,
}

/// The existing nodes during a pass.
#[derive(Debug)]
pub(super) struct ExistingNodes<'a> {
    places: &'a [NodeCapacity<'a>],
    /// Nodes that are left out.
    is_left_out: Vec<bool>,
    /// For each node, one more than its position in `filled`, or 0.
    numbers: Vec<u32>,
    /// The nodes with added pods, and their positions.
    filled: Vec<(usize, ExistingNode<'a>)>,
}

impl<'a> ExistingNodes<'a> {
    /// All nodes but those at these positions.
    pub(super) fn new(
        places: &'a [NodeCapacity<'a>],
        without: impl Iterator<Item = usize>,
    ) -> Self {
        let mut is_left_out = vec![false; places.len()];
        without.for_each(|place| is_left_out[place] = true);
        Self { places, is_left_out, numbers: vec![0; places.len()], filled: Vec::new() }
    }

    /// Number of positions, those of left out nodes included.
    pub(super) const fn len(&self) -> usize {
        self.places.len()
    }

    /// The nodes, without those that are left out.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a NodeCapacity<'a>> {
        let places = self.places.iter().zip(&self.is_left_out);
        places.filter(|(_, is_left_out)| !**is_left_out).map(|(place, _)| place)
    }

    /// True if the node takes part.
    pub(super) fn has(&self, place: usize) -> bool {
        !self.is_left_out[place]
    }

    /// A node with added pods.
    pub(super) fn filled(&self, place: usize) -> Option<&ExistingNode<'a>> {
        let number = self.numbers[place] as usize;
        number.checked_sub(1).map(|number| &self.filled[number].1)
    }

    /// A node in its current state.
    pub(super) fn node(&self, place: usize) -> Cow<'_, ExistingNode<'a>> {
        match self.filled(place) {
            Some(node) => Cow::Borrowed(node),
            None => Cow::Owned(ExistingNode::new(&self.places[place])),
        }
    }

    /// A node, to add a pod.
    pub(super) fn node_mut(&mut self, place: usize) -> &mut ExistingNode<'a> {
        if self.numbers[place] == 0 {
            self.filled.push((place, ExistingNode::new(&self.places[place])));
            self.numbers[place] = u32::try_from(self.filled.len()).unwrap_or(u32::MAX);
        }
        &mut self.filled[self.numbers[place] as usize - 1].1
    }

    /// The nodes with added pods, in the order in which they are tried.
    pub(super) fn into_filled(mut self) -> impl Iterator<Item = ExistingNode<'a>> {
        self.filled.sort_by_key(|(place, _)| *place);
        self.filled.into_iter().map(|(_, node)| node)
    }

    /// All nodes, in the order in which they are tried.
    pub(super) fn into_all(mut self) -> impl Iterator<Item = ExistingNode<'a>> {
        let mut filled: Vec<Option<ExistingNode<'a>>> =
            std::mem::take(&mut self.filled).into_iter().map(|(_, node)| Some(node)).collect();
        (0..self.places.len())
            .filter(|place| !self.is_left_out[*place])
            .collect::<Vec<_>>()
            .into_iter()
            .map(move |place| {
                let number = (self.numbers[place] as usize).checked_sub(1);
                let own = number.and_then(|number| filled[number].take());
                own.unwrap_or_else(|| ExistingNode::new(&self.places[place]))
            })
    }
}

impl<'a> ExistingNode<'a> {
    pub(super) const fn new(place: &'a NodeCapacity<'a>) -> Self {
        Self { place, filled: None }
    }

    /// Positions of the added pods.
    pub(super) fn pods(&self) -> &[usize] {
        self.filled.as_ref().map_or(&[], |filled| &filled.pods)
    }

    fn requirements(&self) -> &Requirements {
        let tightened = self.filled.as_ref().and_then(|filled| filled.requirements.as_ref());
        tightened.unwrap_or_else(|| self.place.requirements())
    }

    /// True if it has room for a pod, ignoring topology. A refusal holds for the rest of the pass, as long as no
    /// requirements change.
    pub(super) fn has_room(&self, constraints: &PodConstraints) -> bool {
        let (remaining, ports, volumes) = match &self.filled {
            Some(filled) => (&filled.remaining, &filled.ports, &filled.volumes),
            None => (&self.place.remaining, &self.place.ports, &self.place.volumes),
        };
        constraints.pod.requests.fits(remaining)
            && untolerated(&self.place.taints, &constraints.tolerations).is_none()
            && !conflicts(&constraints.pod.host_ports, ports)
            && self.takes(&constraints.pod.volumes, volumes)
            && (constraints.requirements.is_empty()
                || self.requirements().is_compatible(&constraints.requirements, None))
    }

    /// True if its limit allows these volumes beside those on it (`VolumeUsage.ExceedsLimits`).
    fn takes(&self, wanted: &[NamespacedName], there: &BTreeSet<NamespacedName>) -> bool {
        let Some(limit) = self.place.state.node.as_ref().and_then(|node| node.attach_limit) else {
            return true;
        };
        let further = wanted.iter().filter(|one| !there.contains(one)).count();
        further == 0 || there.len() + further <= limit as usize
    }

    /// The node after adding a pod for which it has room, if the topology allows it (`CanAdd`).
    pub(super) fn can_add(
        &self,
        constraints: &PodConstraints,
        topology: &Topology<'_>,
        is_bound: bool,
    ) -> Option<Required> {
        if !is_bound && constraints.requirements.is_empty() {
            return Some(Required::AsBefore);
        }
        let mut requirements = self.requirements().clone();
        requirements.add_all(&constraints.requirements);
        if !is_bound {
            return Some(Required::Tightened(requirements));
        }
        let tightened = topology.tighten(constraints, &self.place.taints, &requirements).ok()?;
        if !requirements.is_compatible(&tightened, None) {
            return None;
        }
        requirements.add_all(&tightened);
        Some(Required::Tightened(requirements))
    }

    /// Adds a pod; true if the node's requirements changed.
    pub(super) fn add(
        &mut self,
        constraints: &PodConstraints,
        required: Required,
        topology: &mut Topology<'_>,
    ) -> bool {
        let tightened = match required {
            Required::AsBefore => None,
            Required::Tightened(requirements) => Some(requirements),
        };
        let before = self.requirements();
        topology.record(constraints, &self.place.taints, tightened.as_ref().unwrap_or(before));
        let is_changed = tightened.as_ref().is_some_and(|one| one != before);
        let place = self.place;
        let filled = self.filled.get_or_insert_with(|| {
            Box::new(Filled {
                remaining: place.remaining.clone(),
                requirements: None,
                ports: place.ports.clone(),
                volumes: place.volumes.clone(),
                pods: Vec::new(),
            })
        });
        filled.pods.push(constraints.index);
        filled.remaining.take(&constraints.pod.requests);
        filled.ports.extend(constraints.pod.host_ports.iter().cloned());
        filled.volumes.extend(constraints.pod.volumes.iter().cloned());
        filled.requirements = tightened.or(filled.requirements.take());
        is_changed
    }
}

/// True if any of a pod's ports is in use.
pub(super) fn conflicts(ports: &[HostPort], taken: &[HostPort]) -> bool {
    ports.iter().any(|port| taken.iter().any(|other| port.conflicts(other)))
}
