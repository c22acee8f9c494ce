//! Converts PersistentVolumeClaims of the API to those of `cluster`, validated like in the API server
//! (`ValidatePersistentVolumeClaimSpec`, 1.36).

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1::{CSINode, CSINodeDriver, StorageClass};

use super::field::{FieldErrors, FieldPath};
use super::resources::resource_list;
use super::selector::{label_selector, node_selector_term};
use cluster::attachment::{CSINodeSpec, DriverLimit};
use cluster::claim::{AccessMode, ClaimSpec};
use cluster::persistent_volume::PersistentVolumeSpec;
use cluster::storage_class::{StorageClassSpec, TopologyRequirement};
use cluster::{Name, NamespacedName};

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
    let selector = spec.selector.as_ref();
    ClaimSpec {
        access_modes,
        requests,
        storage_class: class.map(Name::from),
        volume_name: spec.volume_name.as_deref().filter(|name| !name.is_empty()).map(Name::from),
        selector: selector.map(|one| label_selector(one, &path.field("selector"), errors)),
        is_block: spec.volume_mode.as_deref() == Some("Block"),
    }
}

/// A PersistentVolume, which `validation` has checked.
pub(super) fn persistent_volume(
    spec: &core::PersistentVolumeSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> PersistentVolumeSpec {
    let mut access_modes = Vec::new();
    for mode in spec.access_modes.iter().flatten() {
        let at = path.field("accessModes");
        access_modes.extend(errors.chosen(Some(mode.as_str()), &AccessMode::NAMED, &at));
    }
    let capacity = resource_list(spec.capacity.as_ref(), &path.field("capacity"), errors);
    let affinity = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
    let at = path.field("nodeAffinity");
    let at = at.field("required");
    let at = at.field("nodeSelectorTerms");
    let node_affinity = affinity.map(|required| {
        let terms = required.node_selector_terms.iter().enumerate();
        terms.map(|(index, term)| node_selector_term(term, &at.item(index), errors)).collect()
    });
    let text = |text: &Option<String>| Name::from(text.as_deref().unwrap_or_default());
    let csi = spec.csi.as_ref().map(|csi| Name::from(csi.driver.as_str()));
    let in_tree = [
        spec.aws_elastic_block_store.is_some().then_some("kubernetes.io/aws-ebs"),
        spec.gce_persistent_disk.is_some().then_some("kubernetes.io/gce-pd"),
        spec.azure_disk.is_some().then_some("kubernetes.io/azure-disk"),
    ];
    let in_tree = in_tree.into_iter().flatten().next().map(Name::from);
    let claim = spec
        .claim_ref
        .as_ref()
        .map(|claim| NamespacedName { namespace: text(&claim.namespace), name: text(&claim.name) });
    PersistentVolumeSpec {
        capacity: capacity.get("storage"),
        access_modes,
        storage_class: text(&spec.storage_class_name),
        node_affinity,
        claim,
        is_recycled: spec.persistent_volume_reclaim_policy.as_deref() == Some("Recycle"),
        is_block: spec.volume_mode.as_deref() == Some("Block"),
        driver: csi.or(in_tree),
        // The sources whose plugins are not attachable (`pkg/volume`, 1.36). A CSI driver may do without attaching, too
        // (`attachRequired: false`), which a PersistentVolume does not say.
        is_never_attached: spec.host_path.is_some()
            || spec.local.is_some()
            || spec.nfs.is_some()
            || spec.azure_file.is_some()
            || spec.cephfs.is_some()
            || spec.glusterfs.is_some(),
    }
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

/// A CSINode.
pub(super) fn csi_node(node: &CSINode) -> CSINodeSpec {
    let count = |one: &CSINodeDriver| one.allocatable.as_ref()?.count;
    let driver = |one: &CSINodeDriver| DriverLimit {
        driver: one.name.as_str().into(),
        count: count(one).map(|count| u32::try_from(count).unwrap_or_default()),
    };
    CSINodeSpec { drivers: node.spec.drivers.iter().map(driver).collect() }
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
