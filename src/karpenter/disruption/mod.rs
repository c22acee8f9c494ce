//! Voluntary disruption of nodes, and their replacements (`pkg/controllers/disruption`).

mod alike;
mod budgets;
mod candidate;
mod command;
mod consolidation;
mod controller;
mod methods;
mod round;
mod simulate;
mod validation;

pub use budgets::allowed_disruptions;
pub use candidate::{Candidate, Class, Obstacle, Survey};
pub use command::{Command, Decision};
pub use controller::{ChangeStamp, Controller, Step};
pub use methods::{Method, Proposal};
pub use round::Round;
pub use validation::{Invalid, VALIDATION_DELAY, validate};
