//! Places a list of pods on a cluster under several policies side by side: number placed, utilization
//! of each resource, fragmentation, nodes required and their cost. There is no time: pods arrive one by
//! one, and stay.

pub mod chart;
pub mod figures;
pub mod growth;
pub mod list;
pub mod node_list;
pub mod placer;
pub mod policy;
mod report;
pub mod run;
pub mod text;

pub use list::PodList;
pub use policy::Policy;
pub use report::{PackReport, PolicyReport, ResourceReport};
pub use run::{Outcome, Plan};
