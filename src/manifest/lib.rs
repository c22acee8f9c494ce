//! Converts Kubernetes YAML and JSON to the objects of `cluster`: parsing, defaulting, validation,
//! diagnostics.
//!
//! The stages for a manifest: [`yaml`] parses plain values with positions; [`object`] splits lists and
//! identifies each object; `schema` checks its fields against those of its kind; `defaults` fills in the
//! API server's defaults; `lower`, with a file per kind, validates and converts to objects of `cluster`;
//! [`admission`] applies the admission plugins; `cross_check` checks references. [`load()`] runs all of
//! them. Files and scenarios are handled elsewhere.

pub mod admission;
mod analysis_template;
mod autoscaler_check;
mod batch;
mod budget_check;
pub mod byte_check;
mod claim;
pub mod constraints;
mod container;
mod cross_check;
mod decode;
mod defaults;
mod definitions;
mod deployment;
mod derived;
pub mod diagnostic;
mod expand;
pub mod field;
pub mod hpa;
mod hpa_check;
pub mod http_route;
mod int_or_percent;
mod job_policies;
pub mod karpenter;
mod kinds;
mod kueue;
pub mod kustomize;
mod limit_range;
mod load;
mod lower;
mod modelled;
mod names;
mod network_policy;
pub mod node;
pub mod object;
mod omit;
pub mod path;
pub mod pod;
mod pod_autoscaler;
mod policy;
mod port_check;
mod references;
mod relations;
pub mod resources;
pub mod rights;
mod rollout;
mod rollout_check;
mod scaled_job;
mod scaled_object;
pub mod schema;
mod security_check;
pub mod selector;
mod service;
pub mod spelling;
mod stateful_set;
mod validation;
mod vpa;
mod workload;
mod written;
pub mod yaml;

pub use decode::{decode, decode_without_diagnostics};
pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity};
pub use expand::{ENDPOINT_PICKER, pool_service};
pub use kinds::meaning_of_unknown;
pub use load::{ControlPlane, Loaded, Object, admit, admit_with, admit_written, load, stored};
pub use modelled::NO_MESH;
pub use object::{GENERATED_NAME, Manifest, Origin, objects_of, read_manifests, read_value};
pub use omit::{omission, unreadable, without};
pub use path::FieldPath;
pub use written::{amounts, written, written_metric};
pub use yaml::{Document, Positions, Source, read_documents, read_manifest_documents};
