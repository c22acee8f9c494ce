//! The interface to the cloud (`cloudprovider.CloudProvider`).

use std::fmt;

use super::options::GroupOptions;
use cluster::Name;
use cluster::node::Node;
use cluster::pod_template::ResourceList;
use engine::SimTime;

/// A group of identical machines, such as an auto scaling group.
#[derive(Clone, Debug)]
pub struct NodeGroup {
    /// Its name.
    pub id: Name,
    /// Minimum size.
    pub min_size: i64,
    /// Maximum size.
    pub max_size: i64,
    /// Target size: the number of instances requested from the cloud.
    pub target_size: i64,
    /// A node of the group as described by the cloud (`TemplateNodeInfo`), for groups without existing nodes. Its
    /// name is not used.
    pub template: Node,
    /// The flags that the group overrides.
    pub options: GroupOptions,
}

/// Status of an instance (`cloudprovider.InstanceStatus`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It runs.
    Running,
    /// It is being created, or failed with an error.
    Creating(Option<InstanceError>),
    /// It is being deleted.
    Deleting,
}

/// Why an instance cannot be created (`cloudprovider.InstanceErrorInfo`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceError {
    /// True if the cloud is out of capacity.
    pub is_out_of_resources: bool,
    /// Error code, such as `STOCKOUT`.
    pub code: Name,
}

impl InstanceError {
    /// The error class, spelled as in the real autoscaler.
    pub const fn class(&self) -> &'static str {
        if self.is_out_of_resources { "OutOfResource" } else { "Other" }
    }
}

/// The cloud's message why it refused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudError(pub String);

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The cloud.
pub trait CloudProvider {
    /// All groups, always in the same order.
    fn node_groups(&self) -> &[NodeGroup];

    /// Shows the instances of a group, by name.
    fn each_instance(&self, group: &str, show: &mut dyn FnMut(&Name, InstanceState));

    /// The position of the group that a node belongs to; absent if the node is not autoscaled.
    fn group_of(&self, node: &Node) -> Option<usize>;

    /// Whether the machine of a node still exists (`HasInstance`).
    fn has_instance(&self, node: &Node) -> bool;

    /// Number of instances removed so far: as long as it stays the same, an instance that exists does so.
    fn removals(&self) -> u64;

    /// The node label that holds the GPU type.
    fn gpu_label(&self) -> &str;

    /// Requests this many more instances, at least 1.
    fn increase_size(&mut self, group: &str, delta: i64, now: SimTime) -> Result<(), CloudError>;

    /// Lowers the target by this many instances that do not exist yet.
    fn decrease_target_size(
        &mut self,
        group: &str,
        delta: i64,
        now: SimTime,
    ) -> Result<(), CloudError>;

    /// Deletes instances by name, and lowers the target accordingly.
    fn delete_nodes(&mut self, group: &str, nodes: &[Name], now: SimTime)
    -> Result<(), CloudError>;

    /// Hourly price of a node of a group, in the cloud's currency; absent if unknown, in which case the expander
    /// `price` leaves the group out.
    fn node_price(&self, group: &str) -> Option<f64>;

    /// Hourly price of a pod's requests, in the same currency.
    fn pod_price(&self, requests: &ResourceList) -> f64;
}
