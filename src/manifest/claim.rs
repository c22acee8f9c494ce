//! Converts PersistentVolumeClaims of the API to those of `cluster`, validated like in the API server
//! (`ValidatePersistentVolumeClaimSpec`, 1.36).

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1::StorageClass;

use super::field::{FieldErrors, FieldPath};
use super::resources::resource_list;
use cluster::Name;
use cluster::claim::{AccessMode, ClaimSpec};
use cluster::storage_class::{StorageClassSpec, TopologyRequirement};

/// `spec` of a claim, or of a StatefulSet's claim template, which the API server validates less
/// strictly.
pub(super) fn claim_spec(
    spec: &core::PersistentVolumeClaimSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> ClaimSpec {
    let at = path.field("accessModes");
    let mut access_modes = Vec::new();
    for mode in spec.access_modes.iter().flatten() {
        access_modes.extend(errors.chosen(Some(mode.as_str()), &AccessMode::NAMED, &at));
    }
    let resources = spec.resources.clone().unwrap_or_default();
    let at = path.field("resources");
    let requests = resource_list(resources.requests.as_ref(), &at.field("requests"), errors);
    // An empty string disables dynamic provisioning, including the default class.
    let class = spec.storage_class_name.as_deref();
    ClaimSpec { access_modes, requests, storage_class: class.map(Name::from) }
}

/// A StorageClass, already checked by `validation`.
pub(super) fn storage_class(class: &StorageClass) -> StorageClassSpec {
    let requirement = |one: &core::TopologySelectorLabelRequirement| TopologyRequirement {
        key: Name::from(one.key.as_str()),
        values: one.values.iter().map(|value| Name::from(value.as_str())).collect(),
    };
    let terms = class.allowed_topologies.iter().flatten();
    StorageClassSpec {
        provisioner: class.provisioner.as_str().into(),
        is_immediate: class.volume_binding_mode.as_deref() == Some("Immediate"),
        allowed_topologies: terms
            .map(|term| term.match_label_expressions.iter().flatten().map(requirement).collect())
            .collect(),
    }
}

/// `spec` of a standalone claim, with its required fields.
pub(super) fn claim(
    spec: &core::PersistentVolumeClaimSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> ClaimSpec {
    let spec = claim_spec(spec, path, errors);
    check_claim(&spec, path, errors);
    spec
}

fn check_claim(spec: &ClaimSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let at = path.field("accessModes");
    if spec.access_modes.is_empty() {
        errors.required(&at, "at least 1 access mode is required");
    }
    if spec.is_of_one_pod() && spec.access_modes.len() > 1 {
        let rule = "Forbidden: may not use ReadWriteOncePod with other access modes";
        errors.push(&at, rule);
    }
    if spec.storage().is_none() {
        errors.required(&path.field("resources").key("storage"), "the size of the volume");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn problems(spec: Value) -> Vec<String> {
        let mut errors = FieldErrors::default();
        let spec = serde_json::from_value(spec).expect("a spec");
        claim(&spec, &FieldPath::ROOT, &mut errors);
        errors.into_vec().iter().map(|error| error.path.clone()).collect()
    }

    #[test]
    fn a_claim_says_how_it_is_mounted_and_how_much_it_needs() {
        let storage = json!({"requests": {"storage": "1Gi"}});
        let of = |modes: &[&str]| json!({"accessModes": modes, "resources": storage});
        assert_eq!(problems(of(&["ReadWriteOnce", "ReadOnlyMany"])), [""; 0]);
        assert_eq!(problems(json!({})), ["accessModes", "resources[storage]"]);
        assert_eq!(problems(of(&["ReadWriteOncePod", "ReadWriteOnce"])), ["accessModes"]);
        assert_eq!(problems(of(&["ReadWriteTwice", "ReadWriteOnce"])), ["accessModes"]);
    }
}
