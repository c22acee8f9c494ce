//! The API server's validation of written objects, apart from the rules that lowering checks: by kind, with the field
//! and the wording of the real validation (`pkg/apis/*/validation`, 1.36).
//!
//! Objects are checked with their defaults set. A violation prevents a write; stored objects may have some.

mod config;
mod container;
mod env;
mod handlers;
mod http_route;
mod metadata;
mod network;
mod placement;
mod pod_spec;
mod quota;
mod rbac;
mod resources;
mod security;
mod service;
mod storage;
mod volumes;
mod workloads;

pub(super) use http_route::validate_http_route;
pub(super) use metadata::{pod_annotations, validate_metadata};
pub(super) use network::{validate_ingress, validate_ingress_class};
pub(super) use pod_spec::{Owner, validate_pod_spec};
pub(super) use rbac::path_segment;

use super::field::{FieldErrors, FieldPath};
use super::names::{NameRule, check_name};

/// A kind whose objects are validated when written.
pub(super) trait Validate {
    /// Adds an error for each rule that the object violates.
    fn validate(&self, errors: &mut FieldErrors);
}

macro_rules! unchecked {
    ($($kind:ty),*) => {$(
        impl Validate for $kind {
            fn validate(&self, _: &mut FieldErrors) {}
        }
    )*};
}

// Only the metadata of these is checked, or lowering checks all rules.
unchecked!(
    k8s_openapi::api::core::v1::Namespace,
    k8s_openapi::api::core::v1::ServiceAccount,
    k8s_openapi::api::scheduling::v1::PriorityClass
);

const SPEC: FieldPath<'static> = FieldPath::ROOT.field("spec");

fn subdomain(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    check_name(name, false, NameRule::Subdomain, path, errors);
}

fn label(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    check_name(name, false, NameRule::Label, path, errors);
}

/// Requires a name, which must be a label.
fn required_label(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path, "");
    } else {
        label(name, path, errors);
    }
}

/// Requires a text.
fn required(text: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if text.is_empty() {
        errors.required(path, "");
    }
}

/// Checks an optional text against the supported values.
fn supported(text: Option<&str>, choices: &[&str], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(text) = text.filter(|text| !choices.contains(text)) {
        errors.not_supported(path, text, choices);
    }
}

#[cfg(test)]
mod tests;
