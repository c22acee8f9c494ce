//! What a user writes: plain data, checked, with a JSON Schema.

pub mod cluster;
mod delays;
pub mod objectives;
pub mod overrides;
mod typing;

pub use delays::Delays;
