//! The scheduler's view of one node: the fields read by plugins, and sums over its pods, updated pod by pod
//! (`framework.NodeInfo`, 1.36).

use super::gpu::{DeviceSet, GpuDevices};
use super::pod_class::{HostPort, PodClass};
use super::resources::Resources;
use super::topology::{Domain, Domains, TopologyKey};
use cluster::node::{Node, NodeId, Taint};
use cluster::pod::PodId;
use cluster::pod_template::TaintEffect;
use cluster::{Labels, Name};
use units::{Bytes, Quantity};

/// Number of an interned [`PodClass`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub(super) u32);

impl ClassId {
    /// Dense: position in a side table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node with the pods on it.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Its key in the store.
    pub id: NodeId,
    /// Node name.
    pub name: Name,
    /// Node labels.
    pub labels: Labels,
    /// Its domain under each registered topology key.
    pub domains: Domains,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// Allocatable resources.
    pub allocatable: Resources,
    /// Maximum number of pods.
    pub allowed_pods: usize,
    /// Images that it holds.
    pub images: Vec<(Name, Bytes)>,
    /// Sum of the pods' requests.
    pub requested: Resources,
    /// Sum of the pods' CPU (milli) and memory (bytes) with the defaults.
    pub non_zero: (i64, i64),
    /// The pods, in no particular order.
    pub pods: Vec<PlacedPod>,
    /// Number of pods per class.
    pub classes: Vec<ClassCount>,
    /// Host ports in use, each once, however many pods have it (`UsedPorts`).
    pub ports: Vec<HostPort>,
    /// GPUs that pods share, if the node offers any.
    pub gpus: Option<Box<GpuDevices>>,
    /// Grows with every change of the node or its pods; unique in a cache.
    pub generation: u64,
}

/// The node's images, each once.
fn images(node: &Node) -> Vec<(Name, Bytes)> {
    let mut images: Vec<(Name, Bytes)> = Vec::with_capacity(node.images.len());
    for (name, size) in &node.images {
        if !images.iter().any(|(known, _)| known == name) {
            images.push((name.clone(), *size));
        }
    }
    images
}

fn allowed_pods(node: &Node) -> usize {
    let pods = node.allocatable.get("pods").map_or(0, Quantity::value);
    usize::try_from(pods).unwrap_or(0)
}

/// A pod on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedPod {
    /// Its key in the store; `None` for a pod assumed in a dry run.
    pub id: Option<PodId>,
    /// Class of equal pods.
    pub class: ClassId,
    /// Whether its deletion was requested.
    pub is_terminating: bool,
    /// Its shared GPUs; none if not assigned yet.
    pub devices: DeviceSet,
}

/// Number of pods of a class on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassCount {
    /// The class.
    pub class: ClassId,
    /// Total number of pods.
    pub pods: u32,
    /// Number of terminating ones.
    pub terminating: u32,
}

impl ClassCount {
    /// Pods that are not terminating.
    pub const fn staying(self) -> i64 {
        (self.pods - self.terminating) as i64
    }
}

impl NodeInfo {
    /// A node without pods.
    pub fn new(id: NodeId, node: &Node, domains: Domains) -> Self {
        let mut info = Self {
            id,
            name: node.meta.name().clone(),
            labels: Labels::default(),
            domains,
            taints: Vec::new(),
            unschedulable: false,
            allocatable: Resources::default(),
            allowed_pods: 0,
            images: Vec::new(),
            requested: Resources::default(),
            non_zero: (0, 0),
            pods: Vec::new(),
            classes: Vec::new(),
            ports: Vec::new(),
            gpus: GpuDevices::of(node).map(Box::new),
            generation: 0,
        };
        info.set_node(node);
        info
    }

    /// Applies an updated Node object.
    pub fn set_node(&mut self, node: &Node) {
        self.labels = node.meta.labels.clone();
        self.taints.clone_from(&node.taints);
        self.unschedulable = node.unschedulable;
        self.allocatable = Resources::from_list(&node.allocatable);
        self.allowed_pods = allowed_pods(node);
        self.images = images(node);
        match &mut self.gpus {
            Some(gpus) => gpus.update(node),
            None => self.gpus = GpuDevices::of(node).map(Box::new),
        }
    }

    /// The node as it would be without any pod.
    #[must_use]
    pub(crate) fn without_pods(&self) -> Self {
        Self {
            requested: Resources::default(),
            non_zero: (0, 0),
            pods: Vec::new(),
            classes: Vec::new(),
            ports: Vec::new(),
            gpus: self.gpus.as_ref().map(|gpus| Box::new(gpus.all_idle())),
            ..self.clone()
        }
    }

    /// Whether it has a `PreferNoSchedule` taint.
    pub(crate) fn has_soft_taint(&self) -> bool {
        self.taints.iter().any(|taint| taint.effect == TaintEffect::PreferNoSchedule)
    }

    /// Whether it has a taint that repels pods.
    pub(crate) fn has_hard_taint(&self) -> bool {
        self.taints.iter().any(|taint| taint.effect != TaintEffect::PreferNoSchedule)
    }

    /// Its domain under a topology key; `None` if it lacks the label.
    pub fn domain(&self, key: TopologyKey) -> Option<Domain> {
        self.domains[key.index()]
    }

    /// Adds a pod. If it shares GPUs without an assignment, it gets the devices with the least free capacity that
    /// suffices.
    pub fn add_pod(&mut self, mut pod: PlacedPod, class: &PodClass) {
        if let (Some(request), Some(gpus)) = (&class.gpu, &mut self.gpus) {
            if pod.devices.is_empty() {
                pod.devices = gpus.tightest(request);
            }
            gpus.take(request, pod.devices);
        }
        self.requested.add(&class.requests);
        self.non_zero.0 = self.non_zero.0.saturating_add(class.non_zero.0);
        self.non_zero.1 = self.non_zero.1.saturating_add(class.non_zero.1);
        for port in &class.host_ports {
            if !self.ports.contains(port) {
                self.ports.push(port.clone());
            }
        }
        let terminating = u32::from(pod.is_terminating);
        match self.classes.iter_mut().find(|count| count.class == pod.class) {
            Some(count) => {
                count.pods += 1;
                count.terminating += terminating;
            }
            None => self.classes.push(ClassCount { class: pod.class, pods: 1, terminating }),
        }
        self.pods.push(pod);
    }

    /// Removes and returns a pod, if present.
    pub fn remove_pod(&mut self, id: Option<PodId>, class: &PodClass) -> Option<PlacedPod> {
        let position = self.pods.iter().position(|pod| pod.id == id)?;
        let pod = self.pods.swap_remove(position);
        if let (Some(request), Some(gpus)) = (&class.gpu, &mut self.gpus) {
            gpus.give_back(request, pod.devices);
        }
        self.requested.subtract(&class.requests);
        self.non_zero.0 -= class.non_zero.0;
        self.non_zero.1 -= class.non_zero.1;
        for port in &class.host_ports {
            if let Some(taken) = self.ports.iter().position(|one| one == port) {
                self.ports.swap_remove(taken);
            }
        }
        if let Some(at) = self.classes.iter().position(|count| count.class == pod.class) {
            let count = &mut self.classes[at];
            count.pods -= 1;
            count.terminating -= u32::from(pod.is_terminating);
            if count.pods == 0 {
                self.classes.swap_remove(at);
            }
        }
        Some(pod)
    }

    /// Marks a pod as terminating, and returns its class if it was not so before.
    pub(crate) fn set_terminating(&mut self, id: PodId) -> Option<ClassId> {
        let pod = self.pods.iter_mut().find(|pod| pod.id == Some(id))?;
        if std::mem::replace(&mut pod.is_terminating, true) {
            return None;
        }
        let class = pod.class;
        if let Some(count) = self.classes.iter_mut().find(|count| count.class == class) {
            count.terminating += 1;
        }
        Some(class)
    }
}
