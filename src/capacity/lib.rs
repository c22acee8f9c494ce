//! Node types with their prices, the clouds' reservations on each, allocation of node cost to workloads, and
//! other charges.

pub mod catalog;
pub mod charges;
pub mod cost;
pub mod discounts;
pub mod failures;
pub mod machine_prices;
pub mod node_type;
pub mod price_list;
pub mod reserved;
pub mod serverless;
