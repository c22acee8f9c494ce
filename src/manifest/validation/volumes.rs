//! Volumes of pods and where containers mount them (`ValidateVolumes`, `ValidateVolumeMounts`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;

use super::super::field::{FieldErrors, FieldPath};
use super::env::downward_file;
use super::storage::{csi_driver_name, validate_claim};
use super::{required, required_label, subdomain, supported};

const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const HOST_PATH_TYPES: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// The volume sources, in the order in which the API server checks them.
macro_rules! sources_of {
    ($volume:ident, $($field:ident $name:literal),*) => {
        [$(($name, $volume.$field.is_some())),*]
    };
}

/// Checks all volumes and returns them by name.
pub(super) fn validate_volumes<'a>(
    spec: &'a core::PodSpec,
    is_pod: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> BTreeMap<&'a str, Option<&'a core::Volume>> {
    let path = path.field("volumes");
    let mut known = BTreeMap::new();
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let at = path.item(index);
        validate_source(volume, is_pod, &at, errors);
        required_label(&volume.name, &at.field("name"), errors);
        if known.insert(volume.name.as_str(), Some(volume)).is_some() {
            errors.duplicate(&at.field("name"), &volume.name);
        }
    }
    known
}

fn validate_source(
    volume: &core::Volume,
    is_pod: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let sources = sources_of!(volume,
        empty_dir "emptyDir", host_path "hostPath", git_repo "gitRepo",
        gce_persistent_disk "gcePersistentDisk", aws_elastic_block_store "awsElasticBlockStore",
        secret "secret", nfs "nfs", iscsi "iscsi", glusterfs "glusterfs", flocker "flocker",
        persistent_volume_claim "persistentVolumeClaim", rbd "rbd", cinder "cinder",
        cephfs "cephFS", quobyte "quobyte", downward_api "downwarAPI", fc "fc",
        flex_volume "flexVolume", config_map "configMap", azure_file "azureFile",
        vsphere_volume "vsphereVolume", photon_persistent_disk "photonPersistentDisk",
        portworx_volume "portworxVolume", azure_disk "azureDisk", storageos "storageos",
        projected "projected", scale_io "scaleIO", csi "csi", ephemeral "ephemeral", image "image"
    );
    let mut given = sources.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name);
    let Some(first) = given.next() else {
        return errors.required(path, "must specify a volume type");
    };
    for other in given {
        errors.forbidden(&path.field(other), "may not specify more than 1 volume type");
    }
    of_this_machine(volume, first, path, errors);
    of_objects(volume, first, path, errors);
    let at = path.field(first);
    if let ("csi", Some(csi)) = (first, &volume.csi) {
        csi_driver_name(&csi.driver, &at.field("driver"), errors);
        if let Some(secret) = &csi.node_publish_secret_ref {
            let reference = at.field("nodePublishSecretRef");
            required(&secret.name, &reference.field("name"), errors);
        }
    }
    if let ("ephemeral", Some(ephemeral)) = (first, &volume.ephemeral) {
        let at = at.field("volumeClaimTemplate");
        match &ephemeral.volume_claim_template {
            None => errors.required(&at, ""),
            Some(template) => validate_claim(&template.spec, &at.field("spec"), errors),
        }
    }
    if let ("image", Some(image)) = (first, &volume.image) {
        if is_pod && image.reference.as_deref().unwrap_or_default().is_empty() {
            errors.required(&at.field("reference"), "");
        }
        let policies = ["Always", "IfNotPresent", "Never"];
        supported(image.pull_policy.as_deref(), &policies, &at.field("pullPolicy"), errors);
    }
}

fn of_this_machine(
    volume: &core::Volume,
    source: &str,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let at = path.field(source);
    match source {
        "emptyDir" => {
            let limit = volume.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref());
            let limit = limit.and_then(super::resources::quantity);
            if limit.is_some_and(units::Quantity::is_negative) {
                let why = "SizeLimit field must be a valid resource quantity";
                errors.forbidden(&at.field("sizeLimit"), why);
            }
        }
        "hostPath" => {
            if let Some(host_path) = &volume.host_path {
                validate_host_path(host_path, &at, errors);
            }
        }
        "nfs" => {
            if let Some(nfs) = &volume.nfs {
                validate_nfs(nfs, &at, errors);
            }
        }
        "gitRepo" => {
            if let Some(repository) = &volume.git_repo {
                required(&repository.repository, &at.field("repository"), errors);
                let directory = repository.directory.as_deref().unwrap_or_default();
                descending_path(directory, &at.field("directory"), errors);
            }
        }
        "gcePersistentDisk" => {
            if let Some(disk) = &volume.gce_persistent_disk {
                let at = path.field("persistentDisk");
                required(&disk.pd_name, &at.field("pdName"), errors);
                partition(disk.partition, &at, errors);
            }
        }
        "awsElasticBlockStore" => {
            if let Some(disk) = &volume.aws_elastic_block_store {
                required(&disk.volume_id, &at.field("volumeID"), errors);
                partition(disk.partition, &at, errors);
            }
        }
        _ => {}
    }
}

fn partition(partition: Option<i32>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(number) = partition.filter(|number| !(0..=255).contains(number)) {
        let rule = "must be between 0 and 255, inclusive";
        errors.invalid(&path.field("partition"), number, rule);
    }
}

fn of_objects(volume: &core::Volume, source: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let at = path.field(source);
    match source {
        "secret" => {
            if let Some(secret) = &volume.secret {
                let name = secret.secret_name.as_deref().unwrap_or_default();
                required(name, &at.field("secretName"), errors);
                mode(secret.default_mode, &at.field("defaultMode"), errors);
                keys(secret.items.as_deref(), &at, errors);
            }
        }
        "configMap" => {
            if let Some(map) = &volume.config_map {
                required(&map.name, &at.field("name"), errors);
                mode(map.default_mode, &at.field("defaultMode"), errors);
                keys(map.items.as_deref(), &at, errors);
            }
        }
        "persistentVolumeClaim" => {
            if let Some(claim) = &volume.persistent_volume_claim {
                required(&claim.claim_name, &at.field("claimName"), errors);
            }
        }
        "downwarAPI" => {
            if let Some(downward) = &volume.downward_api {
                let at = path.field("downwardAPI");
                mode(downward.default_mode, &at.field("defaultMode"), errors);
                for file in downward.items.iter().flatten() {
                    validate_downward_file(file, &at, errors);
                }
            }
        }
        "projected" => {
            if let Some(projected) = &volume.projected {
                mode(projected.default_mode, &at.field("defaultMode"), errors);
                let sources = projected.sources.as_deref().unwrap_or_default();
                projections(sources, &at, errors);
            }
        }
        _ => {}
    }
}

pub(super) fn validate_host_path(
    host_path: &core::HostPathVolumeSource,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let at = path.field("path");
    if host_path.path.is_empty() {
        return errors.required(&at, "");
    }
    no_backsteps(&host_path.path, &at, errors);
    supported(host_path.type_.as_deref(), &HOST_PATH_TYPES, &path.field("type"), errors);
}

pub(super) fn validate_nfs(
    nfs: &core::NFSVolumeSource,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    required(&nfs.server, &path.field("server"), errors);
    required(&nfs.path, &path.field("path"), errors);
    if !nfs.path.starts_with('/') {
        errors.invalid(&path.field("path"), &nfs.path, "must be an absolute path");
    }
}

fn mode(mode: Option<i32>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.invalid(path, mode, FILE_MODE);
    }
}

fn keys(items: Option<&[core::KeyToPath]>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let path = path.field("items");
    for (index, item) in items.into_iter().flatten().enumerate() {
        let at = path.item(index);
        required(&item.key, &at.field("key"), errors);
        required(&item.path, &at.field("path"), errors);
        local_path(&item.path, &at.field("path"), errors);
        mode(item.mode, &at.field("mode"), errors);
    }
}

/// A file of the list. As in the API server, the error's path does not index it.
fn validate_downward_file(
    file: &core::DownwardAPIVolumeFile,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    downward_file(file, path, errors);
    local_path(&file.path, &path.field("path"), errors);
    mode(file.mode, &path.field("mode"), errors);
}

/// `validateProjectionSources`.
fn projections(sources: &[core::VolumeProjection], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut taken = BTreeSet::new();
    let at_sources = path.field("sources");
    for (index, source) in sources.iter().enumerate() {
        let at = at_sources.item(index);
        let mut files: Vec<(&str, &str)> = Vec::new();
        for (field, name, items) in [
            source.secret.as_ref().map(|one| ("secret", &one.name, &one.items)),
            source.config_map.as_ref().map(|one| ("configMap", &one.name, &one.items)),
        ]
        .into_iter()
        .flatten()
        {
            let at = at.field(field);
            required(name, &at.field("name"), errors);
            keys(items.as_deref(), &at, errors);
            files.extend(items.iter().flatten().map(|item| (item.path.as_str(), name.as_str())));
        }
        for file in source.downward_api.iter().flat_map(|one| one.items.iter().flatten()) {
            validate_downward_file(file, &at.field("downwardAPI"), errors);
            files.push((&file.path, &file.path));
        }
        if let Some(token) = &source.service_account_token {
            service_account_token(token, &at.field("serviceAccountToken"), path, errors);
        }
        for (file, name) in files.into_iter().filter(|(file, _)| !file.is_empty()) {
            if !taken.insert(file) {
                errors.invalid(path, name, "conflicting duplicate paths");
            }
        }
        let given = [
            source.secret.is_some(),
            source.config_map.is_some(),
            source.downward_api.is_some(),
            source.service_account_token.is_some(),
            source.cluster_trust_bundle.is_some(),
            source.pod_certificate.is_some(),
        ];
        if given.iter().filter(|is_given| **is_given).count() > 1 {
            errors.forbidden(&at, "may not specify more than 1 volume type per source");
        }
    }
}

fn service_account_token(
    token: &core::ServiceAccountTokenProjection,
    path: &FieldPath<'_>,
    volume: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    const SHORTEST_SECONDS: i64 = 10 * 60;
    const LONGEST_SECONDS: i64 = 1 << 32;
    let seconds = token.expiration_seconds.unwrap_or(SHORTEST_SECONDS);
    let at = path.field("expirationSeconds");
    if seconds < SHORTEST_SECONDS {
        errors.invalid(&at, seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > LONGEST_SECONDS {
        errors.invalid(&at, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    // The API server reports this path under the volume.
    required(&token.path, &volume.field("path"), errors);
    local_path(&token.path, &volume.field("path"), errors);
}

/// `ValidateLocalNonReservedPath`.
fn local_path(text: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    descending_path(text, path, errors);
    if text.starts_with("..") && !text.starts_with("../") {
        errors.invalid(path, text, "must not start with '..'");
    }
}

/// `validateLocalDescendingPath`.
pub(super) fn descending_path(text: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if text.starts_with('/') {
        errors.invalid(path, text, "must be a relative path");
    }
    no_backsteps(text, path, errors);
}

pub(super) fn no_backsteps(text: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if text.split('/').any(|step| step == "..") {
        errors.invalid(path, text, "must not contain '..'");
    }
}

/// Volume mounts and block devices of a container.
pub(super) fn validate_mounts(
    container: &core::Container,
    volumes: &BTreeMap<&str, Option<&core::Volume>>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let at_mounts = path.field("volumeMounts");
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    let mut mounted = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let at = at_mounts.item(index);
        let (at_name, at_path) = (at.field("name"), at.field("mountPath"));
        required(&mount.name, &at_name, errors);
        if !volumes.contains_key(mount.name.as_str()) {
            errors.push(&at_name, format!("Not found: {:?}", mount.name));
        }
        required(&mount.mount_path, &at_path, errors);
        if !mounted.insert(&mount.mount_path) {
            errors.invalid(&at_path, &mount.mount_path, "must be unique");
        }
        if devices.iter().any(|device| device.name == mount.name) {
            errors.invalid(&at_name, &mount.name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| device.device_path == mount.mount_path) {
            let rule = "must not already exist as a path in volumeDevices";
            errors.invalid(&at_path, &mount.mount_path, rule);
        }
        sub_path(mount, &at, &at_mounts, errors);
        propagation(mount, container, &at_mounts, errors);
    }
    validate_devices(devices, container, volumes, path, errors);
}

/// `subPath` and `subPathExpr`. As in the API server, the error's path indexes the mount for one rule only.
fn sub_path(
    mount: &core::VolumeMount,
    path: &FieldPath<'_>,
    mounts: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let text = mount.sub_path.as_deref().unwrap_or_default();
    let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
    descending_path(text, &mounts.field("subPath"), errors);
    if !expression.is_empty() && !text.is_empty() {
        let rule = "subPathExpr and subPath are mutually exclusive";
        errors.invalid(&path.field("subPathExpr"), expression, rule);
    }
    descending_path(expression, &mounts.field("subPathExpr"), errors);
}

fn propagation(
    mount: &core::VolumeMount,
    container: &core::Container,
    mounts: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let at = mounts.field("mountPropagation");
    let mode = mount.mount_propagation.as_deref();
    supported(mode, &["Bidirectional", "HostToContainer", "None"], &at, errors);
    let context = container.security_context.as_ref();
    let is_privileged = context.and_then(|context| context.privileged) == Some(true);
    if mode == Some("Bidirectional") && !is_privileged {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.forbidden(&at, why);
    }
    let at = mounts.field("recursiveReadOnly");
    let recursive = mount.recursive_read_only.as_deref();
    supported(recursive, &["Disabled", "Enabled", "IfPossible"], &at, errors);
    if matches!(recursive, Some("Enabled" | "IfPossible")) {
        if mount.read_only != Some(true) {
            errors.forbidden(&at, "may only be specified when readOnly is true");
        }
        if !matches!(mode, None | Some("None")) {
            let why = "may only be specified when mountPropagation is None or not specified";
            errors.forbidden(&at, why);
        }
    }
}

/// `ValidateVolumeDevices`.
fn validate_devices(
    devices: &[core::VolumeDevice],
    container: &core::Container,
    volumes: &BTreeMap<&str, Option<&core::Volume>>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.field("volumeDevices");
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    for (index, device) in devices.iter().enumerate() {
        let at = path.item(index);
        let (at_name, at_path) = (at.field("name"), at.field("devicePath"));
        required(&device.name, &at_name, errors);
        match volumes.get(device.name.as_str()) {
            None => errors.push(&at_name, format!("Not found: {:?}", device.name)),
            Some(Some(volume))
                if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() =>
            {
                let rule = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&at_name, &device.name, rule);
            }
            Some(_) => {}
        }
        required(&device.device_path, &at_path, errors);
        if !names.insert(&device.name) {
            errors.invalid(&at_name, &device.name, "must be unique");
        }
        if !paths.insert(&device.device_path) {
            errors.invalid(&at_path, &device.device_path, "must be unique");
        }
        if device.device_path.split('/').any(|step| step == "..") {
            errors.invalid(&at_path, &device.device_path, "can not contain backsteps ('..')");
        }
        if mounts.iter().any(|mount| mount.name == device.name) {
            errors.invalid(&at_name, &device.name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount.mount_path == device.device_path) {
            let rule = "must not already exist as a path in volumeMounts";
            errors.invalid(&at_path, &device.device_path, rule);
        }
    }
}

/// The pod's resource claims (`validatePodResourceClaims`).
pub(super) fn validate_resource_claims(
    spec: &core::PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.field("resourceClaims");
    let mut names = BTreeSet::new();
    for (index, claim) in spec.resource_claims.iter().flatten().enumerate() {
        let at = path.item(index);
        if !claim.name.is_empty() && !names.insert(&claim.name) {
            errors.duplicate(&at.field("name"), &claim.name);
        } else {
            required_label(&claim.name, &at.field("name"), errors);
        }
        let (one, template) = (&claim.resource_claim_name, &claim.resource_claim_template_name);
        let rule = match (one, template) {
            (Some(_), Some(_)) => {
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            }
            (None, None) => "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            _ => "",
        };
        if !rule.is_empty() {
            errors.invalid(&at, &claim.name, rule);
        }
        for (field, name) in [("resourceClaimName", one), ("resourceClaimTemplateName", template)] {
            if let Some(name) = name {
                subdomain(name, &at.field(field), errors);
            }
        }
    }
}
