//! The one place that joins the parts: the event enum, dispatch, build, `Simulation`.

mod adapter;
mod apps;
mod blueprint;
mod chance;
mod changing;
mod client_rate;
pub mod control_plane;
mod data_plane;
pub mod documents;
mod draining;
mod endpoints;
mod environment;
pub mod event;
mod inspection;
mod journal;
mod machines;
mod memory;
mod metrics_pipeline;
mod observers;
mod outages;
mod resizing;
pub mod routes;
mod rule_writes;
mod simulation;
mod targets;
mod timeline;
mod unserved;
pub mod watch;
mod work_queue;
pub mod world;

pub use blueprint::{Blueprint, scheduler_of};
pub use simulation::Simulation;
pub use world::World;
