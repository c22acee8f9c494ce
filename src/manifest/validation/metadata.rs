//! Metadata except for names and labels (`ValidateObjectMeta`, `ValidatePodSpecificAnnotations`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::check_key;
use super::required;

/// Maximum total size of an object's annotations, in bytes (`TotalAnnotationSizeLimitB`).
const MOST_ANNOTATION_BYTES: usize = 256 * 1024;
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Checks an object's metadata, except for its name, namespace, labels and the keys of annotations.
pub(crate) fn validate_metadata(metadata: &meta::ObjectMeta, errors: &mut FieldErrors) {
    let path = FieldPath::ROOT.field("metadata");
    let annotations = metadata.annotations.iter().flatten();
    let bytes: usize = annotations.map(|(key, value)| key.len() + value.len()).sum();
    if bytes > MOST_ANNOTATION_BYTES {
        let problem = format!("Too long: may not be more than {MOST_ANNOTATION_BYTES} bytes");
        errors.push(&path.field("annotations"), problem);
    }
    let at = path.field("finalizers");
    for (index, finalizer) in metadata.finalizers.iter().flatten().enumerate() {
        check_key(finalizer, &at.item(index), errors);
    }
    let at = path.field("ownerReferences");
    let mut controller = None;
    for (index, owner) in metadata.owner_references.iter().flatten().enumerate() {
        let item = at.item(index);
        for (field, text) in [
            ("apiVersion", &owner.api_version),
            ("kind", &owner.kind),
            ("name", &owner.name),
            ("uid", &owner.uid),
        ] {
            if field == "apiVersion" && text.is_empty() {
                errors.invalid(&item.field(field), text, "version must not be empty");
            } else {
                required(text, &item.field(field), errors);
            }
        }
        if owner.controller == Some(true) {
            if let Some(first) = controller {
                let rule = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {}/{}",
                    owner.kind, owner.name
                );
                errors.invalid(&at, "", rule);
            }
            controller = Some(format!("{}/{}", owner.kind, owner.name));
        }
    }
}

/// Checks the annotations of pods that the API server interprets.
pub(crate) fn pod_annotations(
    annotations: Option<&BTreeMap<String, String>>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if let Some(cost) = annotations.and_then(|all| all.get(DELETION_COST)) {
        let digits = cost.strip_prefix('-').unwrap_or(cost);
        // The API server accepts no plus sign and no leading zeros.
        let is_plain = digits == "0" && !cost.starts_with('-')
            || !digits.is_empty() && !digits.starts_with('0') && !digits.starts_with('+');
        if !is_plain || cost.parse::<i32>().is_err() {
            errors.invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer");
        }
    }
}
