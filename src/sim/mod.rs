//! The one place that joins the parts: the event enum, dispatch, build, `Simulation`.

pub mod control_plane;
pub mod event;
mod journal;
mod work_queue;
