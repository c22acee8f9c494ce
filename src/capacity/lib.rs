//! Node types with their prices, the clouds' reservations on each, and the share of a node's price that each workload
//! pays.

pub mod catalog;
pub mod cost;
pub mod node_type;
pub mod reserved;
