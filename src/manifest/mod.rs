//! Kubernetes YAML and JSON to the objects of `cluster`: reading, defaulting, validation, diagnostics.
//!
//! The way of a manifest: [`yaml`] makes plain values with positions.

pub mod admission;
pub mod config;
mod constraints;
mod container;
pub mod deployment;
pub mod diagnostic;
pub mod disruption_budget;
pub mod field;
pub mod hpa;
mod int_or_percent;
pub mod lower;
pub mod namespace;
pub mod node;
mod object_meta;
pub mod path;
pub mod pod;
pub mod priority_class;
mod references;
pub mod replica_set;
pub mod resource_quota;
pub mod resources;
pub mod selector;
pub mod service;
pub mod yaml;

pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use path::FieldPath;
pub use yaml::{Document, Positions, Source, read_documents};
