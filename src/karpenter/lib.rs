//! Karpenter v1.13: which nodes it creates for pending pods, with which instance types, and which nodes it disrupts
//! because they are empty, could be replaced by cheaper ones, or have drifted.
//!
//! All decisions are made on a [`Snapshot`] and write nothing: [`provisioner::schedule`] is one pass for the
//! pending pods. The modules are named after the original packages.

pub mod amounts;
pub mod api;
pub mod batcher;
pub mod conditions;
pub mod disruption;
mod go_duration;
mod go_sort;
pub mod instance_type;
pub mod labels;
pub mod node_pods;
pub mod node_pool;
pub mod operator;
pub mod pdb;
pub mod pod;
pub mod provisioner;
pub mod requirement;
pub mod requirements;
pub mod scheduling;
pub mod state;
pub mod ties;

pub use amounts::Amounts;
pub use go_duration::parse_go_duration;
pub use instance_type::{InstanceType, Offering};
pub use node_pods::NodePods;
pub use node_pool::NodePool;
pub use pod::Pod;
pub use requirements::Requirements;
pub use state::{NodeClaim, Options, Snapshot, StateNode};
