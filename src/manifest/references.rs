//! The ConfigMaps, Secrets and claims without which a pod cannot start.

use k8s_openapi::api::core::v1 as core;

use cluster::Name;
use cluster::pod_template::{Reference, ReferenceKind};

/// How the names of volumes begin that the API server gives to pods (admission plugin ServiceAccount). What
/// they take files from, every namespace has.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// All objects that the pod refers to and that are not optional, each once.
pub(super) fn references(spec: &core::PodSpec) -> Vec<Reference> {
    let mut found = Vec::new();
    let volumes = spec.volumes.iter().flatten();
    for volume in volumes.filter(|volume| !volume.name.starts_with(TOKEN_VOLUME)) {
        of_volume(volume, &mut found);
    }
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    for container in containers {
        of_container(container, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn of_volume(volume: &core::Volume, found: &mut Vec<Reference>) {
    if let Some(config_map) = &volume.config_map {
        let items = config_map.items.as_deref();
        add(found, ReferenceKind::ConfigMap, &config_map.name, items, config_map.optional);
    }
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        add(found, ReferenceKind::Secret, name, secret.items.as_deref(), secret.optional);
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        add(found, ReferenceKind::PersistentVolumeClaim, &claim.claim_name, None, None);
    }
    let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_deref());
    for source in sources.unwrap_or_default() {
        if let Some(config_map) = &source.config_map {
            let items = config_map.items.as_deref();
            add(found, ReferenceKind::ConfigMap, &config_map.name, items, config_map.optional);
        }
        if let Some(secret) = &source.secret {
            let items = secret.items.as_deref();
            add(found, ReferenceKind::Secret, &secret.name, items, secret.optional);
        }
    }
}

fn of_container(container: &core::Container, found: &mut Vec<Reference>) {
    for source in container.env_from.iter().flatten() {
        if let Some(config_map) = &source.config_map_ref {
            add(found, ReferenceKind::ConfigMap, &config_map.name, None, config_map.optional);
        }
        if let Some(secret) = &source.secret_ref {
            add(found, ReferenceKind::Secret, &secret.name, None, secret.optional);
        }
    }
    for source in container.env.iter().flatten().filter_map(|env| env.value_from.as_ref()) {
        if let Some(selector) = &source.config_map_key_ref {
            add_key(
                found,
                ReferenceKind::ConfigMap,
                &selector.name,
                &selector.key,
                selector.optional,
            );
        }
        if let Some(selector) = &source.secret_key_ref {
            add_key(found, ReferenceKind::Secret, &selector.name, &selector.key, selector.optional);
        }
    }
}

fn add(
    found: &mut Vec<Reference>,
    kind: ReferenceKind,
    name: &str,
    items: Option<&[core::KeyToPath]>,
    optional: Option<bool>,
) {
    match items {
        Some(items) => {
            for item in items {
                add_key(found, kind, name, &item.key, optional);
            }
        }
        None if optional != Some(true) => {
            found.push(Reference { kind, name: Name::from(name), key: None });
        }
        None => {}
    }
}

fn add_key(
    found: &mut Vec<Reference>,
    kind: ReferenceKind,
    name: &str,
    key: &str,
    optional: Option<bool>,
) {
    if optional != Some(true) {
        found.push(Reference { kind, name: Name::from(name), key: Some(Name::from(key)) });
    }
}
