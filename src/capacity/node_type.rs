//! One instance type of a cloud: its size, its devices, its price, and the node it makes.

use std::borrow::Cow;
use std::fmt;

use super::reserved::{self, Machine, NodeResources, Provider};
use cluster::node::REGION_LABEL;
use cluster::pod_template::ResourceList;
use cluster::{Labels, Name};
use units::{Bytes, HourlyPrice, Quantity};

/// Well-known label of a node's architecture.
pub const ARCHITECTURE_LABEL: &str = "kubernetes.io/arch";
/// Well-known label of a node's operating system.
pub const OPERATING_SYSTEM_LABEL: &str = "kubernetes.io/os";
/// Well-known label of a node's instance type.
pub const INSTANCE_TYPE_LABEL: &str = "node.kubernetes.io/instance-type";

/// An instance type of a cloud in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeType {
    /// The cloud's name: `m5.large`, `Standard_D4s_v5`, `e2-standard-4`.
    pub name: Cow<'static, str>,
    /// Size, architecture, cloud.
    pub machine: Machine,
    /// GPUs or other accelerators; absent for fractional ones.
    pub gpus: Option<Gpus>,
    /// The most disks that can be attached to it besides its root disk, as the cloud's CSI driver reports (`CSINode`); of an
    /// AWS machine whose network interfaces share the slots, with one interface.
    pub max_volumes: u32,
    /// On-demand price, without any commitment.
    pub on_demand: HourlyPrice,
    /// Spot price, if in the catalog.
    pub spot: Option<HourlyPrice>,
}

/// The accelerators of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpus {
    /// Number of devices.
    pub count: i64,
    /// Model in lower case: `nvidia-a100`, `amd-radeon-pro-v520`, `trainium`.
    pub model: Cow<'static, str>,
    /// Memory of each, if in the catalog.
    pub memory_each: Option<Bytes>,
}

impl NodeType {
    /// The region of its price: the catalog has one region per cloud.
    pub const fn region(&self) -> &'static str {
        match self.machine.provider {
            Provider::Aws => "us-east-1",
            Provider::Azure => "eastus",
            Provider::Gcp => "us-central1",
        }
    }

    /// `status.capacity` of a node of this type, devices included.
    pub fn capacity(&self) -> ResourceList {
        self.resource_list(reserved::capacity(&self.machine))
    }

    /// `status.allocatable` of a node of this type, devices included.
    pub fn allocatable(&self) -> ResourceList {
        self.resource_list(reserved::allocatable(&self.machine))
    }

    /// The labels that the cloud's kubelet sets on a node of this type; hostname and zone depend on
    /// the node.
    pub fn labels(&self) -> Labels {
        [
            (ARCHITECTURE_LABEL, self.machine.architecture.as_str()),
            (OPERATING_SYSTEM_LABEL, "linux"),
            (INSTANCE_TYPE_LABEL, &self.name),
            (REGION_LABEL, self.region()),
        ]
        .into_iter()
        .collect()
    }

    fn resource_list(&self, resources: NodeResources) -> ResourceList {
        let devices = self.gpus.as_ref().map(|gpus| (gpus.resource_name(), gpus.count));
        [
            ("cpu", Quantity::from_milli(resources.cpu.0)),
            ("memory", Quantity::from_bytes(resources.memory.0)),
            ("ephemeral-storage", Quantity::from_bytes(resources.ephemeral_storage.0)),
            ("pods", Quantity::from_units(resources.pods)),
        ]
        .into_iter()
        .chain(devices.map(|(name, count)| (name, Quantity::from_units(count))))
        .map(|(name, amount)| (Name::from(name), amount))
        .collect()
    }
}

impl Gpus {
    /// The extended resource under which the vendor's device plugin advertises them.
    pub fn resource_name(&self) -> &'static str {
        match self.model.split('-').next() {
            Some("amd") => "amd.com/gpu",
            Some("inferentia" | "inferentia2" | "trainium") => "aws.amazon.com/neuron",
            Some("gaudi") => "habana.ai/gaudi",
            _ => "nvidia.com/gpu",
        }
    }
}

impl fmt::Display for Gpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x {}", self.count, self.model)
    }
}

impl fmt::Display for NodeType {
    /// The name with its cloud: `aws/m5.large`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.machine.provider.as_str(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    #[test]
    fn a_gpu_node_offers_its_gpus_under_the_device_plugins_name() {
        let node_type = catalog::find("g5.12xlarge").expect("in the catalog");
        assert_eq!(node_type.capacity().get("nvidia.com/gpu"), Some(Quantity::from_units(4)));
        assert_eq!(node_type.allocatable().get("nvidia.com/gpu"), Some(Quantity::from_units(4)));
        let node_type = catalog::find("trn1.32xlarge").expect("in the catalog");
        assert_eq!(
            node_type.allocatable().get("aws.amazon.com/neuron"),
            Some(Quantity::from_units(16))
        );
    }

    #[test]
    fn a_node_carries_the_well_known_labels_of_its_type() {
        let labels = catalog::find("a1.large").expect("in the catalog").labels();
        assert_eq!(labels.get(ARCHITECTURE_LABEL).map(AsRef::as_ref), Some("arm64"));
        assert_eq!(labels.get(INSTANCE_TYPE_LABEL).map(AsRef::as_ref), Some("a1.large"));
        assert_eq!(labels.get(REGION_LABEL).map(AsRef::as_ref), Some("us-east-1"));
    }
}
