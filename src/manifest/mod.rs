//! Kubernetes YAML and JSON to the objects of `cluster`: reading, defaulting, validation, diagnostics.
//!
//! The way of a manifest: [`yaml`] makes plain values with positions.

mod constraints;
mod container;
pub mod diagnostic;
pub mod field;
pub mod hpa;
pub mod node;
pub mod path;
pub mod pod;
mod references;
pub mod resources;
pub mod selector;
pub mod yaml;

pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use path::FieldPath;
pub use yaml::{Document, Positions, Source, read_documents};
