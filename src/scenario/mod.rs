//! What a user writes: plain data, checked, with a JSON Schema.

pub mod cluster;
mod delays;
pub mod document;
pub mod objectives;
pub mod overrides;
pub mod read;
mod typing;
pub mod workloads;

pub use delays::Delays;
pub use document::Scenario;
pub use overrides::Override;
pub use read::ScenarioText;
