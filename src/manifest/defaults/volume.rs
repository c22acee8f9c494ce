//! Volumes of pods (`SetDefaults_Volume` and the defaults of volume sources, 1.36).

use k8s_openapi::api::core::v1 as core;

use super::container::{field_ref, pull_policy, resource_field_ref};
use super::core::claim_spec;
use super::text;

/// Default mode of files projected from an object: 0644.
const FILE_MODE: i32 = 0o644;
const TOKEN_SECONDS: i64 = 3600;

pub(super) fn volume(volume: &mut core::Volume) {
    let named = core::Volume { name: volume.name.clone(), ..core::Volume::default() };
    if *volume == named {
        volume.empty_dir = Some(core::EmptyDirVolumeSource::default());
    }
    if let Some(secret) = &mut volume.secret {
        secret.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(config_map) = &mut volume.config_map {
        config_map.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(downward) = &mut volume.downward_api {
        downward.default_mode.get_or_insert(FILE_MODE);
        downward.items.iter_mut().flatten().for_each(downward_file);
    }
    if let Some(projected) = &mut volume.projected {
        projected.default_mode.get_or_insert(FILE_MODE);
        for source in projected.sources.iter_mut().flatten() {
            let downward = source.downward_api.iter_mut();
            downward.flat_map(|one| one.items.iter_mut().flatten()).for_each(downward_file);
            if let Some(token) = &mut source.service_account_token {
                token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
            }
        }
    }
    if let Some(ephemeral) = &mut volume.ephemeral {
        ephemeral.volume_claim_template.iter_mut().for_each(|one| claim_spec(&mut one.spec));
    }
    if let Some(host_path) = &mut volume.host_path {
        host_path.type_.get_or_insert_default();
    }
    if let Some(image) = &mut volume.image {
        let policy = pull_policy(image.reference.as_deref().unwrap_or_default());
        text(&mut image.pull_policy, policy);
    }
    storage_systems(volume);
}

fn downward_file(file: &mut core::DownwardAPIVolumeFile) {
    file.field_ref.iter_mut().for_each(field_ref);
    file.resource_field_ref.iter_mut().for_each(resource_field_ref);
}

fn storage_systems(volume: &mut core::Volume) {
    if let Some(iscsi) = &mut volume.iscsi {
        text(&mut iscsi.iscsi_interface, "default");
    }
    if let Some(rbd) = &mut volume.rbd {
        text(&mut rbd.pool, "rbd");
        text(&mut rbd.user, "admin");
        text(&mut rbd.keyring, "/etc/ceph/keyring");
    }
    if let Some(disk) = &mut volume.azure_disk {
        text(&mut disk.caching_mode, "ReadWrite");
        text(&mut disk.fs_type, "ext4");
        text(&mut disk.kind, "Shared");
        disk.read_only.get_or_insert(false);
    }
    if let Some(scale_io) = &mut volume.scale_io {
        text(&mut scale_io.storage_mode, "ThinProvisioned");
        text(&mut scale_io.fs_type, "xfs");
    }
}
