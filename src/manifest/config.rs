//! ConfigMaps, Secrets and PersistentVolumeClaims: what pods refer to, as far as it matters whether
//! it exists and which keys it has. What the keys hold plays no part.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::field::{FieldErrors, FieldPath};
use super::object_meta::namespaced;
use crate::cluster::pod_template::ReferenceKind;
use crate::cluster::{Action, Name};

/// A ConfigMap with the keys of `data` and `binaryData`.
pub fn config_map(config_map: &core::ConfigMap, errors: &mut FieldErrors) -> Action {
    let mut keys = keys(config_map.data.as_ref(), "data", errors);
    for key in self::keys(config_map.binary_data.as_ref(), "binaryData", errors) {
        if keys.contains(&key) {
            let at = FieldPath::ROOT.field("binaryData");
            errors.push(&at.key(&key), "duplicate of key present in data");
        }
        keys.insert(key);
    }
    put(ReferenceKind::ConfigMap, &config_map.metadata, keys, errors)
}

/// A Secret with the keys of `data` and `stringData`; where both have a key, the latter wins.
pub fn secret(secret: &core::Secret, errors: &mut FieldErrors) -> Action {
    let mut keys = keys(secret.data.as_ref(), "data", errors);
    keys.extend(self::keys(secret.string_data.as_ref(), "stringData", errors));
    put(ReferenceKind::Secret, &secret.metadata, keys, errors)
}

/// A PersistentVolumeClaim. Volumes are taken to be there as soon as they are claimed.
pub fn persistent_volume_claim(
    claim: &core::PersistentVolumeClaim,
    errors: &mut FieldErrors,
) -> Action {
    put(ReferenceKind::PersistentVolumeClaim, &claim.metadata, BTreeSet::new(), errors)
}

fn put(
    kind: ReferenceKind,
    metadata: &meta::ObjectMeta,
    keys: BTreeSet<Name>,
    errors: &mut FieldErrors,
) -> Action {
    Action::PutConfig(kind, Box::new((namespaced(metadata, errors).id, keys)))
}

fn keys<V>(
    entries: Option<&BTreeMap<String, V>>,
    field: &str,
    errors: &mut FieldErrors,
) -> BTreeSet<Name> {
    let path = FieldPath::ROOT.field(field);
    let names = entries.into_iter().flatten().map(|(key, _)| key.as_str());
    for key in names.clone().filter(|key| !is_config_key(key)) {
        let problem = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        errors.push(&path.key(key), problem);
    }
    names.map(Name::from).collect()
}

/// `IsConfigMapKey` of apimachinery: keys become file names.
fn is_config_key(key: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_path = key == "." || key.starts_with("..");
    !key.is_empty() && key.len() <= 253 && !is_path && key.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys_of(action: &Action) -> Vec<&str> {
        let Action::PutConfig(_, object) = action else { panic!("PutConfig, not {action:?}") };
        object.1.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn a_secret_has_the_keys_of_both_its_maps() {
        let mut errors = FieldErrors::default();
        let typed: core::Secret = serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": "ai-agents"},
            "data": {"a": "eA==", "b": "eA=="},
            "stringData": {"b": "x", "api-key": "x"},
        }))
        .unwrap();
        let action = secret(&typed, &mut errors);
        assert!(errors.is_empty());
        assert_eq!(keys_of(&action), ["a", "api-key", "b"]);
        let Action::PutConfig(ReferenceKind::Secret, object) = action else { panic!("a Secret") };
        assert_eq!(object.0.to_string(), "ai-agents/s");
    }

    #[test]
    fn a_config_map_may_name_a_key_once_and_only_so_that_it_can_be_a_file() {
        let mut errors = FieldErrors::default();
        let typed: core::ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": "c"},
            "data": {"app.yaml": "", "a b": "", "..": ""},
            "binaryData": {"app.yaml": ""},
        }))
        .unwrap();
        let action = config_map(&typed, &mut errors);
        assert_eq!(keys_of(&action).len(), 3);
        let paths: Vec<String> = errors.into_vec().into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["data[..]", "data[a b]", "binaryData[app.yaml]"]);
    }

    #[test]
    fn a_claim_is_there_when_it_is_made() {
        let typed: core::PersistentVolumeClaim =
            serde_json::from_value(json!({"metadata": {"name": "models"}})).unwrap();
        let action = persistent_volume_claim(&typed, &mut FieldErrors::default());
        assert!(keys_of(&action).is_empty());
    }
}
