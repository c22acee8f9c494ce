//! The Cluster Autoscaler, built on Kubernetes 1.36: in one loop after the other it looks which pods wait for
//! a node and which nodes are not needed, and asks the cloud for more instances or fewer.
//!
//! [`ClusterAutoscaler::run_once`] is one loop: it reads a `ClusterView`, acts on a [`CloudProvider`], and answers
//! with [`Request`]s to the API server and a [`LoopReport`] of all that it decided. What goes on between two loops
//! (nodes that are drained) is [`ClusterAutoscaler::act`]. When the next loop starts says [`trigger`].

pub mod autoscaler;
pub mod backoff;
mod equivalence;
pub mod estimator;
pub mod expander;
mod gpu;
mod hinting;
mod natural;
pub mod nodes;
pub mod options;
mod pdb;
mod pod_list;
pub mod pods;
pub mod provider;
mod quotas;
pub mod registry;
pub mod report;
mod scale_down;
mod scale_up;
mod similar;
mod snapshot;
mod taints;
mod template;
pub mod trigger;
mod utilization;

pub use autoscaler::{ClusterAutoscaler, Deleting};
pub use natural::natural_cmp;
pub use options::{GroupOptions, OptionError, Options};
pub use provider::{CloudError, CloudProvider, Instance, InstanceError, InstanceState, NodeGroup};
pub use report::{LoopReport, Request};
pub use scale_down::{BlockingReason, UnneededNode, Unremovable, UnremovableReason};
pub use utilization::Utilization;
