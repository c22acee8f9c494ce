//! Claims, volumes and classes of storage (`ValidatePersistentVolumeClaimSpec`, `ValidatePersistentVolumeSpec`,
//! `ValidateStorageClass`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::check_key;
use super::placement::{validate_node_selector, validate_selector};
use super::resources::quantity;
use super::volumes::{no_backsteps, validate_host_path, validate_nfs};
use super::{SPEC, Validate, required, required_label, subdomain, supported};

const ACCESS_MODES: [&str; 4] =
    ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
const POSITIVE: &str = "must be greater than zero";

impl Validate for core::PersistentVolumeClaim {
    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(spec) = &self.spec {
            validate_claim(spec, &SPEC, errors);
        }
    }
}

/// The spec of a claim, or of a template for claims.
pub(super) fn validate_claim(
    spec: &core::PersistentVolumeClaimSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    let at = path.field("accessModes");
    if modes.is_empty() {
        errors.required(&at, "at least 1 access mode is required");
    }
    validate_selector(spec.selector.as_ref(), &path.field("selector"), errors);
    access_modes(modes, &at, errors);
    let requests = spec.resources.as_ref().and_then(|all| all.requests.as_ref());
    let at = path.field("resources");
    let at = at.key("storage");
    match requests.and_then(|all| all.get("storage")) {
        None => errors.required(&at, ""),
        Some(amount) => {
            if quantity(amount).is_some_and(|one| one.nanos() <= 0) {
                errors.invalid(&at, &amount.0, POSITIVE);
            }
        }
    }
    for (field, name) in [
        ("storageClassName", &spec.storage_class_name),
        ("volumeAttributesClassName", &spec.volume_attributes_class_name),
    ] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            subdomain(name, &path.field(field), errors);
        }
    }
    supported(spec.volume_mode.as_deref(), &VOLUME_MODES, &path.field("volumeMode"), errors);
    let source = spec.data_source.as_ref();
    let source = source.map(|one| ("dataSource", &one.kind, &one.name, &one.api_group));
    let other = spec.data_source_ref.as_ref();
    let other = other.map(|one| ("dataSourceRef", &one.kind, &one.name, &one.api_group));
    for (field, kind, name, group) in source.into_iter().chain(other) {
        let at = path.field(field);
        required(name, &at.field("name"), errors);
        required(kind, &at.field("kind"), errors);
        let group = group.as_deref().unwrap_or_default();
        if !group.is_empty() {
            subdomain(group, &at.field("apiGroup"), errors);
        } else if kind != "PersistentVolumeClaim" {
            let rule = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.invalid(&at, kind, rule);
        }
    }
    if let (Some((_, kind, name, group)), Some((_, other_kind, other_name, other_group))) =
        (source, other)
        && (kind, name, group) != (other_kind, other_name, other_group)
    {
        errors.invalid(path, "dataSource", "must match dataSourceRef");
    }
}

fn access_modes(modes: &[String], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for mode in modes {
        supported(Some(mode), &ACCESS_MODES, path, errors);
    }
    let is_of_one_pod = |mode: &String| mode == "ReadWriteOncePod";
    if modes.iter().any(is_of_one_pod) && !modes.iter().all(is_of_one_pod) {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

impl Validate for core::PersistentVolume {
    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let modes = spec.access_modes.as_deref().unwrap_or_default();
        let at = SPEC.field("accessModes");
        if modes.is_empty() {
            errors.required(&at, "");
        }
        access_modes(modes, &at, errors);
        capacity(spec, errors);
        let policies = ["Delete", "Recycle", "Retain"];
        let policy = spec.persistent_volume_reclaim_policy.as_deref();
        let at = SPEC.field("persistentVolumeReclaimPolicy");
        supported(policy, &policies, &at, errors);
        if let Some(affinity) = &spec.node_affinity {
            let at = SPEC.field("nodeAffinity");
            let at = at.field("required");
            match &affinity.required {
                None => errors.required(&at, "must specify required node constraints"),
                Some(selector) => validate_node_selector(selector, &at, errors),
            }
        }
        volume_source(spec, errors);
        let is_root = spec.host_path.as_ref().is_some_and(|one| one.path == "/");
        if is_root && policy == Some("Recycle") {
            let why = "may not be 'recycle' for a hostPath mount of '/'";
            errors.forbidden(&at, why);
        }
        if let Some(name) = spec.storage_class_name.as_deref().filter(|name| !name.is_empty()) {
            subdomain(name, &SPEC.field("storageClassName"), errors);
        }
        supported(spec.volume_mode.as_deref(), &VOLUME_MODES, &SPEC.field("volumeMode"), errors);
    }
}

fn capacity(spec: &core::PersistentVolumeSpec, errors: &mut FieldErrors) {
    let at = SPEC.field("capacity");
    let empty = BTreeMap::new();
    let capacity = spec.capacity.as_ref().unwrap_or(&empty);
    if capacity.is_empty() {
        errors.required(&at, "");
    }
    if !capacity.contains_key("storage") || capacity.len() > 1 {
        let given: Vec<&str> = capacity.keys().map(String::as_str).collect();
        errors.not_supported(&at, &given.join(","), &["storage"]);
    }
    for (name, amount) in capacity {
        if quantity(amount).is_some_and(|one| one.nanos() <= 0) {
            errors.invalid(&at.key(name), &amount.0, POSITIVE);
        }
    }
}

fn volume_source(spec: &core::PersistentVolumeSpec, errors: &mut FieldErrors) {
    macro_rules! sources_of {
        ($($field:ident $name:literal),*) => { [$(($name, spec.$field.is_some())),*] };
    }
    let sources = sources_of!(
        host_path "hostPath", gce_persistent_disk "gcePersistentDisk",
        aws_elastic_block_store "awsElasticBlockStore", glusterfs "glusterfs", flocker "flocker",
        nfs "nfs", rbd "rbd", quobyte "quobyte", cephfs "cephFS", iscsi "iscsi", cinder "cinder",
        fc "fc", flex_volume "flexVolume", azure_file "azureFile", vsphere_volume "vsphereVolume",
        photon_persistent_disk "photonPersistentDisk", portworx_volume "portworxVolume",
        azure_disk "azureDisk", scale_io "scaleIO", local "local", storageos "storageos", csi "csi"
    );
    let mut given = sources.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name);
    let Some(first) = given.next() else {
        return errors.required(&SPEC, "must specify a volume type");
    };
    for other in given {
        errors.forbidden(&SPEC.field(other), "may not specify more than 1 volume type");
    }
    let at = SPEC.field(first);
    if let ("hostPath", Some(source)) = (first, &spec.host_path) {
        validate_host_path(source, &at, errors);
    }
    if let ("nfs", Some(source)) = (first, &spec.nfs) {
        validate_nfs(source, &at, errors);
    }
    if let ("local", Some(source)) = (first, &spec.local) {
        if source.path.is_empty() {
            errors.required(&at.field("path"), "");
        } else {
            no_backsteps(&source.path, &at.field("path"), errors);
        }
        if spec.node_affinity.is_none() {
            let why = "Local volume requires node affinity";
            errors.required(&SPEC.field("nodeAffinity"), why);
        }
    }
    if let ("csi", Some(source)) = (first, &spec.csi) {
        csi_driver_name(&source.driver, &at.field("driver"), errors);
        required(&source.volume_handle, &at.field("volumeHandle"), errors);
    }
}

/// `ValidateCSIDriverName`.
pub(super) fn csi_driver_name(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    if name.len() > 63 {
        errors.push(path, "Too long: may not be more than 63 bytes");
    }
    subdomain(&name.to_lowercase(), path, errors);
}

/// `ValidateCSINode`.
impl Validate for CSINode {
    fn validate(&self, errors: &mut FieldErrors) {
        let root = FieldPath::ROOT;
        let at = root.field("spec");
        let at = at.field("drivers");
        let mut names = BTreeSet::new();
        for (index, driver) in self.spec.drivers.iter().enumerate() {
            let at = at.item(index);
            csi_driver_name(&driver.name, &at.field("name"), errors);
            if !names.insert(&driver.name) {
                errors.push(&at.field("name"), format!("Duplicate value: \"{}\"", driver.name));
            }
            if driver.node_id.is_empty() {
                errors.required(&at.field("nodeID"), "");
            }
            let count = driver.allocatable.as_ref().and_then(|all| all.count);
            if count.is_some_and(|count| count < 0) {
                let at = at.field("allocatable");
                errors.invalid(&at.field("count"), "", "must be greater than or equal to 0");
            }
        }
    }
}

impl Validate for StorageClass {
    fn validate(&self, errors: &mut FieldErrors) {
        let root = FieldPath::ROOT;
        let at = root.field("provisioner");
        if self.provisioner.is_empty() {
            errors.required(&at, "");
        } else {
            check_key(&self.provisioner.to_lowercase(), &at, errors);
        }
        let at = root.field("parameters");
        if self.parameters.iter().flatten().any(|(key, _)| key.is_empty()) {
            errors.invalid(&at, "", "field can not be empty.");
        }
        if self.parameters.as_ref().is_some_and(|all| all.len() > 512) {
            errors.push(&at, "Too long: may not be more than 512 bytes");
        }
        let at = root.field("reclaimPolicy");
        supported(self.reclaim_policy.as_deref(), &["Delete", "Retain"], &at, errors);
        let at = root.field("volumeBindingMode");
        let modes = ["Immediate", "WaitForFirstConsumer"];
        supported(self.volume_binding_mode.as_deref(), &modes, &at, errors);
        allowed_topologies(self.allowed_topologies.as_deref(), errors);
    }
}

fn allowed_topologies(terms: Option<&[core::TopologySelectorTerm]>, errors: &mut FieldErrors) {
    let path = FieldPath::ROOT.field("allowedTopologies");
    let mut earlier: Vec<BTreeMap<&str, BTreeSet<&str>>> = Vec::new();
    for (index, term) in terms.into_iter().flatten().enumerate() {
        let item = path.item(index);
        let at = item.field("matchLabelExpressions");
        let mut asked = BTreeMap::new();
        for (index, one) in term.match_label_expressions.iter().flatten().enumerate() {
            let at = at.item(index);
            let at_values = at.field("values");
            if one.values.is_empty() {
                errors.required(&at_values, "");
            }
            let mut values = BTreeSet::new();
            for (index, value) in one.values.iter().enumerate() {
                if !values.insert(value.as_str()) {
                    errors.duplicate(&at_values.item(index), value);
                }
            }
            check_key(&one.key, &at.field("key"), errors);
            if asked.insert(one.key.as_str(), values).is_some() {
                errors.duplicate(&at.field("key"), &one.key);
            }
        }
        if earlier.contains(&asked) {
            errors.duplicate(&at, "");
        }
        earlier.push(asked);
    }
}

/// Templates of claims in a StatefulSet, whose names become those of volumes.
pub(super) fn validate_claim_templates(
    templates: Option<&[core::PersistentVolumeClaim]>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.field("volumeClaimTemplates");
    for (index, template) in templates.into_iter().flatten().enumerate() {
        let at = path.item(index);
        if let Some(spec) = &template.spec {
            validate_claim(spec, &at.field("spec"), errors);
        }
        let name = template.metadata.name.as_deref().unwrap_or_default();
        let metadata = at.field("metadata");
        required_label(name, &metadata.field("name"), errors);
    }
}
