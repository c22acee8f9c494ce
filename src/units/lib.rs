//! Quantities with their unit in the type: CPU, memory, money; and how people write the phases of loops.

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
