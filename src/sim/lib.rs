//! The one place that joins the parts: the event enum, dispatch, build, `Simulation`.

mod adapter;
mod apps;
mod blueprint;
pub mod chance;
mod changing;
pub mod control_plane;
mod cpu_load;
pub mod documents;
pub mod event;
mod faulting;
mod journal;
mod memory;
mod own_cpu;
mod reactions;
mod resizing;
mod simulation;
mod timeline;
mod unserved;
pub mod watch;
mod work_queue;
pub mod world;

pub use blueprint::{Blueprint, Pool, scheduler_of};
pub use changing::{Unchanged, as_change, deletion};
pub use simulation::Simulation;
pub use world::World;
