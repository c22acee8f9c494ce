//! Quantities with their unit in the type: CPU, memory, money.

pub mod money;
pub mod quantity;
pub mod resources;

pub use money::{HourlyPrice, Money};
pub use quantity::Quantity;
pub use resources::{Bytes, MilliCpu};
