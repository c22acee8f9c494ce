//! What etcd and the API server hold: objects, the store, actions and the one function that applies
//! them. Decides nothing.

pub mod action;
mod apply;
pub mod change;
pub mod deployment;
pub mod hpa;
pub mod hpa_object;
pub mod hpa_status;
pub mod meta;
pub mod metrics;
pub mod node;
pub mod pod;
pub mod pod_resources;
pub mod pod_template;
pub mod policy;
pub mod quota;
pub mod reference;
pub mod selection;
pub mod selector;
pub mod selector_text;
pub mod service;
pub mod store;
mod workload_apply;

pub use action::{Action, Refused};
pub use apply::apply;
pub use change::{Change, PodChange};
pub use meta::{Labels, Name, NamespacedName, ObjectMeta};
pub use reference::{ObjectReference, ServiceReference};
pub use store::{ClusterView, Store};
