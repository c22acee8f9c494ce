//! Quantities with their unit in the type: CPU, memory, money; and the phases of loops as people write them.

mod loop_phase;
mod money;
pub mod quantity;
mod resource_time;
mod resources;

pub use loop_phase::LoopPhase;
pub use money::{HourlyPrice, Money};
pub use quantity::Quantity;
pub use resource_time::{ResourceTime, Resources};
pub use resources::{Bytes, MilliCpu};
