//! The scheduling pass: assigns pods to existing nodes, and creates nodes for the others
//! (`pkg/controllers/provisioning/scheduling`).

mod claim;
mod error;
mod existing;
mod kinds;
mod node_filter;
mod open_claims;
mod outline;
mod pass_context;
mod pods;
mod preferences;
mod queue;
mod result;
mod scheduler;
mod template;
mod topology;
mod topology_group;

pub use outline::{Outline, Outlines};
pub use pass_context::PassContext;
pub use preferences::Relaxation;
pub use result::{ExistingPlacement, Launch, NewClaim, PodFailure, Results};
pub use scheduler::{PassScope, solve};
