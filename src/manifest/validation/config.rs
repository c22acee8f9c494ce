//! ConfigMaps and Secrets (`ValidateConfigMap`, `ValidateSecret`).

use k8s_openapi::api::core::v1 as core;

use super::super::field::{FieldErrors, FieldPath};
use super::Validate;

/// Maximum size of the data of either, in bytes (`MaxSecretSize`).
const MOST_BYTES: usize = 1024 * 1024;
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
                          (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name')";
const DATA: FieldPath<'static> = FieldPath::ROOT.field("data");

/// A key of a ConfigMap or Secret (`IsConfigMapKey`).
pub(super) fn check_config_key(key: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if key.len() > 253 {
        errors.invalid(path, key, "must be no more than 253 characters");
    }
    if key.is_empty() || !key.bytes().all(is_plain) {
        errors.invalid(path, key, CONFIG_KEY);
    }
    if matches!(key, "." | "..") {
        errors.invalid(path, key, format!("must not be '{key}'"));
    } else if key.starts_with("..") {
        errors.invalid(path, key, "must not start with '..'");
    }
}

impl Validate for core::ConfigMap {
    fn validate(&self, errors: &mut FieldErrors) {
        let mut bytes = 0;
        for (key, value) in self.data.iter().flatten() {
            check_config_key(key, &DATA.key(key), errors);
            if self.binary_data.as_ref().is_some_and(|binary| binary.contains_key(key)) {
                errors.invalid(&DATA.key(key), key, "duplicate of key present in binaryData");
            }
            bytes += value.len();
        }
        let binary = FieldPath::ROOT.field("binaryData");
        for (key, value) in self.binary_data.iter().flatten() {
            check_config_key(key, &binary.key(key), errors);
            bytes += value.0.len();
        }
        if bytes > MOST_BYTES {
            errors.push(
                &FieldPath::ROOT,
                format!("Too long: may not be more than {MOST_BYTES} bytes"),
            );
        }
    }
}

impl Validate for core::Secret {
    fn validate(&self, errors: &mut FieldErrors) {
        let mut bytes = 0;
        for (key, value) in self.data.iter().flatten() {
            check_config_key(key, &DATA.key(key), errors);
            bytes += value.0.len();
        }
        if bytes > MOST_BYTES {
            errors.push(&DATA, format!("Too long: may not be more than {MOST_BYTES} bytes"));
        }
        let value = |key: &str| self.data.as_ref().and_then(|data| data.get(key));
        let needs = |key: &str, errors: &mut FieldErrors| {
            if value(key).is_none() {
                errors.required(&DATA.key(key), "");
            }
        };
        match self.type_.as_deref().unwrap_or_default() {
            "kubernetes.io/service-account-token" => {
                const ACCOUNT: &str = "kubernetes.io/service-account.name";
                let annotations = self.metadata.annotations.as_ref();
                if annotations.and_then(|all| all.get(ACCOUNT)).is_none_or(String::is_empty) {
                    let at = FieldPath::ROOT.field("metadata");
                    errors.required(&at.field("annotations").key(ACCOUNT), "");
                }
            }
            "kubernetes.io/dockercfg" => docker_config(self, ".dockercfg", errors),
            "kubernetes.io/dockerconfigjson" => docker_config(self, ".dockerconfigjson", errors),
            "kubernetes.io/basic-auth"
                if value("username").is_none() && value("password").is_none() =>
            {
                needs("username", errors);
                needs("password", errors);
            }
            "kubernetes.io/ssh-auth"
                if value("ssh-privatekey").is_none_or(|key| key.0.is_empty()) =>
            {
                errors.required(&DATA.key("ssh-privatekey"), "");
            }
            "kubernetes.io/tls" => {
                needs("tls.crt", errors);
                needs("tls.key", errors);
            }
            _ => {}
        }
    }
}

fn docker_config(secret: &core::Secret, key: &str, errors: &mut FieldErrors) {
    match secret.data.as_ref().and_then(|data| data.get(key)) {
        None => errors.required(&DATA.key(key), ""),
        Some(text) => {
            let parsed = serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(&text.0);
            if let Err(error) = parsed {
                errors.invalid(&DATA.key(key), "<secret contents redacted>", error);
            }
        }
    }
}
