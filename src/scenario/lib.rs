//! What a user writes: plain data, checked, with a JSON Schema.

mod addresses;
mod assumed;
pub mod bill;
mod bounds;
mod check;
pub mod cluster;
mod delays;
pub mod document;
pub mod gpus;
pub mod inference;
pub mod inventory;
pub mod machines;
pub mod node_autoscaler;
pub mod objectives;
pub mod overrides;
pub mod packing;
pub mod pool_size;
mod presets;
pub mod provenance;
pub mod read;
pub mod reference;
pub mod resolved;
pub mod routing;
pub mod scheduler_configuration;
pub mod schema;
pub mod starter;
mod typing;
pub mod workloads;

pub use delays::{ClientRate, Delays, RuleWrites};
pub use document::Scenario;
pub use overrides::Override;
pub use read::ScenarioText;
pub use resolved::ResolvedScenario;
pub use routing::{Routing, missing_services, route_problems, target_problems};
