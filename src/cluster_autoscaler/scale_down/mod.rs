//! Scale-down: finds unneeded nodes and removes them (`cluster-autoscaler/core/scaledown`).

mod assessment;
mod budgets;
mod candidates;
mod cooldown;
mod deletion;
mod drain;
mod drainability;
mod eligibility;
mod planner;
mod removal;
mod soft_taints;
mod unneeded;

pub use assessment::Assessment;
pub use drainability::BlockingReason;
pub use planner::{Unremovable, UnremovableReason};
pub use unneeded::UnneededNode;

pub(crate) use candidates::candidates;
pub(crate) use cooldown::is_in_cooldown;
pub(crate) use deletion::{Actuation, Actuator, untaint};
pub(crate) use eligibility::Examination;
pub(crate) use planner::{Plan, Planner};
pub(crate) use soft_taints::soft_taints;
