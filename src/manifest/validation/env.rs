//! Environment variables (`ValidateEnv`, `ValidateEnvFrom`).

use k8s_openapi::api::core::v1 as core;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::check_key;
use super::config::check_config_key;
use super::{required, subdomain};

const ENV_NAME: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";
/// Pod fields that a variable may refer to (`validEnvDownwardAPIFieldPathExpressions`).
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Pod fields that a file may refer to (`validVolumeDownwardAPIFieldPathExpressions`).
const FILE_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// Container resources that either may refer to.
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn validate_env(
    container: &core::Container,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let at = path.field("env");
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let at = at.item(index);
        if variable.name.is_empty() {
            errors.required(&at.field("name"), "");
        } else {
            check_env_name(&variable.name, &at.field("name"), errors);
        }
        if let Some(source) = &variable.value_from {
            let has_value = variable.value.as_deref().is_some_and(|value| !value.is_empty());
            value_from(source, has_value, &at.field("valueFrom"), errors);
        }
    }
    let at = path.field("envFrom");
    for (index, source) in container.env_from.iter().flatten().enumerate() {
        let item = at.item(index);
        if let Some(prefix) = source.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            check_env_name(prefix, &item.field("prefix"), errors);
        }
        let map = source.config_map_ref.as_ref().map(|map| ("configMapRef", &map.name));
        let secret = source.secret_ref.as_ref().map(|secret| ("secretRef", &secret.name));
        for (field, name) in map.into_iter().chain(secret) {
            let reference = item.field(field);
            let at = reference.field("name");
            if name.is_empty() {
                errors.required(&at, "");
            } else {
                subdomain(name, &at, errors);
            }
        }
        match (map, secret) {
            (None, None) => {
                errors.invalid(&at, "", "must specify one of: `configMapRef` or `secretRef`");
            }
            (Some(_), Some(_)) => {
                errors.invalid(&at, "", "may not have more than one field specified at a time");
            }
            _ => {}
        }
    }
}

fn check_env_name(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if !name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        errors.invalid(path, name, ENV_NAME);
    }
}

fn value_from(
    source: &core::EnvVarSource,
    has_value: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let mut sources = 0;
    if let Some(field) = &source.field_ref {
        sources += 1;
        field_ref(field, &ENV_FIELDS, &path.field("fieldRef"), errors);
    }
    if let Some(resource) = &source.resource_field_ref {
        sources += 1;
        resource_field_ref(resource, false, &path.field("resourceFieldRef"), errors);
    }
    if let Some(key) = &source.config_map_key_ref {
        sources += 1;
        key_ref(&key.name, &key.key, &path.field("configMapKeyRef"), errors);
    }
    if let Some(key) = &source.secret_key_ref {
        sources += 1;
        key_ref(&key.name, &key.key, &path.field("secretKeyRef"), errors);
    }
    if source.file_key_ref.is_some() {
        sources += 1;
    }
    let rule = match sources {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if has_value => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.invalid(path, "", rule);
}

fn key_ref(name: &str, key: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    subdomain(name, &path.field("name"), errors);
    let at = path.field("key");
    if key.is_empty() {
        errors.required(&at, "");
    } else {
        check_config_key(key, &at, errors);
    }
}

/// `validateObjectFieldSelector`.
fn field_ref(
    field: &core::ObjectFieldSelector,
    fields: &[&str],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let at = path.field("fieldPath");
    let text = field.field_path.as_str();
    if text.is_empty() {
        return errors.required(&at, "");
    }
    if let Some(version) = field.api_version.as_deref().filter(|version| *version != "v1") {
        let rule = format!("error converting fieldPath: unsupported pod version: {version}");
        return errors.invalid(&at, text, rule);
    }
    if let Some((base, key)) = text.strip_suffix("']").and_then(|text| text.split_once("['")) {
        match base {
            "metadata.annotations" => check_key(&key.to_lowercase(), path, errors),
            "metadata.labels" => check_key(key, path, errors),
            _ => {
                let rule = format!(
                    "error converting fieldPath: field label does not support subscript: {text:?}"
                );
                errors.invalid(&at, text, rule);
            }
        }
    } else if !fields.contains(&text) {
        let is_known = ENV_FIELDS.contains(&text) || FILE_FIELDS.contains(&text);
        if is_known
            || matches!(
                text,
                "spec.restartPolicy" | "spec.schedulerName" | "status.phase" | "spec.host"
            )
        {
            errors.not_supported(&at, text, fields);
        } else {
            let rule = format!("error converting fieldPath: field label not supported: {text}");
            errors.invalid(&at, text, rule);
        }
    }
}

/// `validateContainerResourceFieldSelector`.
fn resource_field_ref(
    resource: &core::ResourceFieldSelector,
    is_file: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let name = resource.resource.as_str();
    let of_huge_pages = ["requests.hugepages-", "limits.hugepages-"];
    if is_file && resource.container_name.as_deref().unwrap_or_default().is_empty() {
        errors.required(&path.field("containerName"), "");
    } else if name.is_empty() {
        errors.required(&path.field("resource"), "");
    } else if !RESOURCES.contains(&name)
        && !of_huge_pages.iter().any(|prefix| name.starts_with(prefix))
    {
        errors.not_supported(&path.field("resource"), name, &RESOURCES);
    }
    if let Some(divisor) = resource.divisor.as_ref().map(|divisor| divisor.0.as_str()) {
        check_divisor(name, divisor, &path.field("divisor"), errors);
    }
}

fn check_divisor(resource: &str, divisor: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const CPU: [&str; 2] = ["1m", "1"];
    const BYTES: [&str; 13] =
        ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let (allowed, of) = match resource.split_once('.').map(|(_, of)| of) {
        Some("cpu") => (&CPU[..], "cpu"),
        Some("memory") => (&BYTES[..], "memory"),
        Some("ephemeral-storage") => (&BYTES[..], "local ephemeral storage"),
        Some(pages) if pages.starts_with("hugepages-") => (&BYTES[..], "hugepages"),
        _ => return,
    };
    if divisor != "0" && !allowed.contains(&divisor) {
        let allowed = match of {
            "cpu" => "1m and 1".to_owned(),
            _ => allowed.join(", "),
        };
        let rule = format!("only divisor's values {allowed} are supported with the {of} resource");
        errors.invalid(path, resource, rule);
    }
}

/// One file of a downward API volume (`validateDownwardAPIVolumeFile`), except for its path.
pub(super) fn downward_file(
    file: &core::DownwardAPIVolumeFile,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    required(&file.path, &path.field("path"), errors);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), other) => {
            field_ref(field, &FILE_FIELDS, &path.field("fieldRef"), errors);
            if other.is_some() {
                let rule = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.invalid(path, "resource", rule);
            }
        }
        (None, Some(resource)) => {
            resource_field_ref(resource, true, &path.field("resourceFieldRef"), errors);
        }
        (None, None) => {
            errors.required(path, "one of fieldRef and resourceFieldRef is required");
        }
    }
}
