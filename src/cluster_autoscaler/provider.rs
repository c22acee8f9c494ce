//! What the autoscaler knows of the cloud, and asks of it (`cloudprovider.CloudProvider`).

use std::fmt;

use super::options::GroupOptions;
use cluster::Name;
use cluster::node::Node;
use cluster::pod_template::ResourceList;
use engine::SimTime;

/// A group of machines that are alike, such as an auto scaling group.
#[derive(Clone, Debug)]
pub struct NodeGroup {
    /// Its name.
    pub id: Name,
    /// Fewest nodes.
    pub min_size: i64,
    /// Most nodes.
    pub max_size: i64,
    /// How many instances the cloud is asked to have.
    pub target_size: i64,
    /// A node of the group as the cloud describes it (`TemplateNodeInfo`), for groups that have no node to look at.
    /// Its name plays no part.
    pub template: Node,
    /// What the group sets for itself.
    pub options: GroupOptions,
}

/// A machine of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name, which is that of its node once that registers.
    pub id: Name,
    /// What becomes of it.
    pub state: InstanceState,
}

/// What becomes of an instance (`cloudprovider.InstanceStatus`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It runs.
    Running,
    /// It is being made, or cannot be.
    Creating(Option<InstanceError>),
    /// It is going.
    Deleting,
}

/// Why an instance cannot be made (`cloudprovider.InstanceErrorInfo`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceError {
    /// Whether the cloud has no more of it.
    pub is_out_of_resources: bool,
    /// Its code, such as `STOCKOUT`.
    pub code: Name,
}

impl InstanceError {
    /// The class of the error, as the real autoscaler writes it.
    pub const fn class(&self) -> &'static str {
        if self.is_out_of_resources { "OutOfResource" } else { "Other" }
    }
}

/// Why the cloud refuses to do something, in its words.
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

    /// The instances of a group, by name.
    fn instances(&self, group: &str) -> Vec<Instance>;

    /// The group that a node belongs to, by its place among the groups; absent if nobody scales it.
    fn group_of(&self, node: &Node) -> Option<usize>;

    /// Whether the machine of a node still exists (`HasInstance`).
    fn has_instance(&self, node: &Node) -> bool;

    /// The label whose value is the type of a node's GPUs.
    fn gpu_label(&self) -> &str;

    /// Asks for so many more instances, 1 at least.
    fn increase_size(&mut self, group: &str, delta: i64, now: SimTime) -> Result<(), CloudError>;

    /// Lowers the target by so many instances that are not there yet.
    fn decrease_target_size(
        &mut self,
        group: &str,
        delta: i64,
        now: SimTime,
    ) -> Result<(), CloudError>;

    /// Deletes instances by name, and lowers the target by their number.
    fn delete_nodes(&mut self, group: &str, nodes: &[Name], now: SimTime)
    -> Result<(), CloudError>;

    /// Price of a node of a group for an hour, in the cloud's currency; absent if it is not known, in which case the
    /// expander `price` leaves the group out.
    fn node_price(&self, group: &str) -> Option<f64>;

    /// Price of what a pod requests for an hour, in the same currency.
    fn pod_price(&self, requests: &ResourceList) -> f64;
}
