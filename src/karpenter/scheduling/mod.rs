//! The scheduling pass: assigns pods to existing nodes, and creates nodes for the others
//! (`pkg/controllers/provisioning/scheduling`).

mod claim;
mod error;
mod existing;
mod ground;
mod kinds;
mod node_filter;
mod open_claims;
mod outline;
mod preferences;
mod queue;
mod result;
mod scheduler;
mod template;
mod topology;
mod topology_group;

pub use ground::Ground;
pub use outline::{Outline, Outlines};
pub use preferences::Relaxation;
pub use result::{ExistingPlacement, Launch, NewClaim, PodFailure, Results, cheapest_launch};
pub use scheduler::{Extent, solve};
