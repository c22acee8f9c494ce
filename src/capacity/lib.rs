//! Node types with their prices, what a cloud reserves on each, and who pays for a node.

pub mod catalog;
pub mod cost;
pub mod node_type;
pub mod reserved;
