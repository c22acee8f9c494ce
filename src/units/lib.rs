//! Quantities with their unit in the type: CPU, memory, money; and how people write the phases of loops.

pub mod loop_phase;
pub mod money;
pub mod quantity;
pub mod resource_time;
pub mod resources;

pub use loop_phase::LoopPhase;
pub use money::{HourlyPrice, Money};
pub use quantity::Quantity;
pub use resource_time::{ResourceTime, Resources};
pub use resources::{Bytes, MilliCpu};
