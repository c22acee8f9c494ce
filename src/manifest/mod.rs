//! Kubernetes YAML and JSON to the objects of `cluster`: reading, defaulting, validation, diagnostics.

mod constraints;
mod container;
pub mod field;
pub mod node;
pub mod pod;
mod references;
pub mod resources;
pub mod selector;
