//! Placing a list of pods on a cluster under several policies side by side: how many fit, how full
//! each resource becomes, what is left in pieces too small to use, which nodes that takes and what they
//! cost. No time passes: pods come one by one, and stay.

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
