//! The one place that joins the parts: the event enum, dispatch, build, `Simulation`.

mod apps;
mod blueprint;
pub mod control_plane;
mod crowding;
pub mod event;
mod journal;
mod reactions;
mod simulation;
mod timeline;
mod work_queue;
pub mod world;

pub use blueprint::{Blueprint, Pool};
pub use simulation::Simulation;
pub use world::World;
