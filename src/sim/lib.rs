//! The one place that joins the parts: the event enum, dispatch, build, `Simulation`.

mod adapter;
mod apps;
mod blueprint;
mod chance;
mod changing;
mod cloud;
pub mod control_plane;
mod data_plane;
pub mod documents;
mod draining;
mod endpoints;
mod environment;
pub mod event;
mod inspection;
mod journal;
mod looks;
mod machines;
mod memory;
mod metrics_pipeline;
mod node_autoscaler;
mod observers;
mod outages;
mod resizing;
pub mod routes;
mod simulation;
mod targets;
mod timeline;
mod unserved;
pub mod watch;
mod work_queue;
pub mod world;

pub use blueprint::{Blueprint, scheduler_of};
pub use cloud::plan::{CloudPlan, GroupPlan, RefusalCodes};
pub use node_autoscaler::{AutoscalerPlan, NodeStory};
pub use simulation::Simulation;
pub use world::World;
