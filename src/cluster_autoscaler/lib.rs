//! The Cluster Autoscaler, built on Kubernetes 1.36: each loop checks which pods are unschedulable and which nodes
//! are unneeded, and requests more instances from the cloud or deletes some.
//!
//! [`ClusterAutoscaler::run_once`] is one loop: it reads a `ClusterView`, acts on a [`CloudProvider`], and returns
//! [`Request`]s to the API server and a [`LoopReport`] of all decisions. [`ClusterAutoscaler::act`] does the work
//! between two loops (draining of nodes). [`trigger`] determines when the next loop starts.

pub mod autoscaler;
pub mod backoff;
mod equivalence;
mod estimator;
pub mod expander;
mod gpu;
mod hinting;
mod natural;
pub mod nodes;
pub mod options;
mod outlook;
mod pdb;
mod pending;
mod pod_list;
pub mod pods;
pub mod provider;
mod quotas;
pub mod registry;
pub mod report;
mod scale_down;
mod scale_up;
mod search;
mod similar;
mod snapshot;
mod snapshot_node;
mod taints;
mod template;
pub mod trigger;
mod utilization;

pub use autoscaler::{ClusterAutoscaler, Deleting};
pub(crate) use natural::natural_cmp;
pub use options::{GroupOptions, OptionError, Options};
pub use provider::{CloudError, CloudProvider, InstanceError, InstanceState, NodeGroup};
pub use report::{LoopReport, Request};
pub use scale_down::{Assessment, BlockingReason, UnneededNode, Unremovable, UnremovableReason};
pub use utilization::Utilization;
