//! kube-scheduler 1.36: chooses nodes for pods and gives reasons for rejecting the others. It only decides: it never
//! writes, holds no clock, and draws only from the random stream passed to it.

pub mod cache;
mod class_index;
pub mod cohorts;
pub mod cycle;
pub mod decision;
mod event_handlers;
pub mod explanation;
pub mod framework;
pub mod gpu;
pub mod message;
pub mod node_info;
mod node_order;
pub mod nominations;
mod placement_index;
pub mod plugins;
pub mod pod_class;
pub mod preemption;
pub mod profile;
pub mod queue;
mod reason_sets;
pub mod refusals;
mod reject_alike;
pub mod resources;
pub mod sampling;
pub mod schedule_one;
mod score_blocks;
pub mod tally;
mod tie_break;
pub mod topology;

pub use decision::Attempt;
pub use profile::SchedulerConfiguration;
pub use schedule_one::Scheduler;
pub use tie_break::TieBreaker;
