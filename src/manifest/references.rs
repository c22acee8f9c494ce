//! The ConfigMaps, Secrets and claims that a pod needs to start.

use k8s_openapi::api::core::v1 as core;

use cluster::Kind;
use cluster::Name;
use cluster::pod_template::Reference;

/// Prefix of the volumes that the API server adds to pods (admission plugin ServiceAccount). Their sources
/// exist in every namespace.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// The ConfigMap that the control plane creates in every namespace (root-ca-cert-publisher).
const ROOT_CA: &str = "kube-root-ca.crt";

/// All non-optional objects that the pod refers to, without duplicates.
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
    found.retain(|one| !(one.kind == Kind::ConfigMap && &*one.name == ROOT_CA));
    found.sort_by_key(|one| {
        (one.kind as usize, one.name.clone(), one.key.clone(), one.volume.clone())
    });
    found.dedup();
    found
}

fn of_volume(volume: &core::Volume, found: &mut Vec<Reference>) {
    let core::Volume { config_map, secret, persistent_volume_claim, projected, .. } = volume;
    let mut add = |kind, name: &str, items: Option<&[core::KeyToPath]>, optional| {
        add((found, Some(&volume.name)), kind, name, items, optional);
    };
    if let Some(map) = config_map {
        add(Kind::ConfigMap, &map.name, map.items.as_deref(), map.optional);
    }
    if let Some(secret) = secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        add(Kind::Secret, name, secret.items.as_deref(), secret.optional);
    }
    if let Some(claim) = persistent_volume_claim {
        add(Kind::PersistentVolumeClaim, &claim.claim_name, None, None);
    }
    for source in projected.iter().filter_map(|one| one.sources.as_ref()).flatten() {
        if let Some(map) = &source.config_map {
            add(Kind::ConfigMap, &map.name, map.items.as_deref(), map.optional);
        }
        if let Some(secret) = &source.secret {
            add(Kind::Secret, &secret.name, secret.items.as_deref(), secret.optional);
        }
    }
}

fn of_container(container: &core::Container, found: &mut Vec<Reference>) {
    for source in container.env_from.iter().flatten() {
        if let Some(map) = &source.config_map_ref {
            add((found, None), Kind::ConfigMap, &map.name, None, map.optional);
        }
        if let Some(secret) = &source.secret_ref {
            add((found, None), Kind::Secret, &secret.name, None, secret.optional);
        }
    }
    for source in container.env.iter().flatten().filter_map(|env| env.value_from.as_ref()) {
        if let Some(map) = &source.config_map_key_ref {
            add_keys((found, None), Kind::ConfigMap, &map.name, [&*map.key], map.optional);
        }
        if let Some(secret) = &source.secret_key_ref {
            add_keys((found, None), Kind::Secret, &secret.name, [&*secret.key], secret.optional);
        }
    }
}

fn add(
    (found, volume): (&mut Vec<Reference>, Option<&str>),
    kind: Kind,
    name: &str,
    items: Option<&[core::KeyToPath]>,
    optional: Option<bool>,
) {
    match items {
        Some(items) => {
            add_keys((found, volume), kind, name, items.iter().map(|item| &*item.key), optional);
        }
        None if optional == Some(true) => {}
        None => {
            let volume = volume.map(Name::from);
            found.push(Reference { kind, name: Name::from(name), key: None, volume });
        }
    }
}

fn add_keys<'a>(
    (found, volume): (&mut Vec<Reference>, Option<&str>),
    kind: Kind,
    name: &str,
    keys: impl IntoIterator<Item = &'a str>,
    optional: Option<bool>,
) {
    let keys = keys.into_iter().filter(|_| optional != Some(true));
    found.extend(keys.map(|key| {
        let volume = volume.map(Name::from);
        Reference { kind, name: name.into(), key: Some(key.into()), volume }
    }));
}
