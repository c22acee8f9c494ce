//! Containers, their probes and hooks (`pkg/apis/core/v1/defaults.go`, 1.36).

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::{number, resource_list, text};

/// `SetDefaults_Container` and the defaults of its parts.
pub(super) fn container(container: &mut core::Container) {
    let image = container.image.as_deref().unwrap_or_default();
    text(&mut container.image_pull_policy, pull_policy(image));
    text(&mut container.termination_message_path, "/dev/termination-log");
    text(&mut container.termination_message_policy, "File");
    for port in container.ports.iter_mut().flatten() {
        text(&mut port.protocol, "TCP");
    }
    environment(container.env.as_deref_mut().unwrap_or_default());
    let resources = container.resources.get_or_insert_default();
    resource_list(&mut resources.limits);
    resource_list(&mut resources.requests);
    for given in [
        &mut container.liveness_probe,
        &mut container.readiness_probe,
        &mut container.startup_probe,
    ] {
        given.iter_mut().for_each(probe);
    }
    if let Some(lifecycle) = &mut container.lifecycle {
        for handler in [&mut lifecycle.post_start, &mut lifecycle.pre_stop] {
            handler.iter_mut().filter_map(|one| one.http_get.as_mut()).for_each(http_get);
        }
    }
}

/// An ephemeral container, added to a pod for debugging.
pub(super) fn ephemeral_container(container: &mut core::EphemeralContainer) {
    let image = container.image.as_deref().unwrap_or_default();
    text(&mut container.image_pull_policy, pull_policy(image));
    text(&mut container.termination_message_path, "/dev/termination-log");
    text(&mut container.termination_message_policy, "File");
    container.resources.get_or_insert_default();
    environment(container.env.as_deref_mut().unwrap_or_default());
}

/// The default pull policy: Always for an image without tag or with the tag `latest`.
pub(super) fn pull_policy(image: &str) -> &'static str {
    if image_tag(image) == Some("latest") { "Always" } else { "IfNotPresent" }
}

/// The tag of an image reference: `latest` if it names neither tag nor digest.
fn image_tag(image: &str) -> Option<&str> {
    let (name, digest) = image.split_once('@').map_or((image, None), |(n, d)| (n, Some(d)));
    // A colon before the last slash separates the registry's port.
    let last = name.rsplit('/').next().unwrap_or(name);
    match (last.split_once(':'), digest) {
        (Some((_, tag)), _) => Some(tag),
        (None, Some(_)) => None,
        (None, None) => Some("latest"),
    }
}

fn environment(variables: &mut [core::EnvVar]) {
    for source in variables.iter_mut().filter_map(|variable| variable.value_from.as_mut()) {
        if let Some(field) = &mut source.field_ref {
            field_ref(field);
        }
        if let Some(resource) = &mut source.resource_field_ref {
            resource_field_ref(resource);
        }
        if let Some(key) = &mut source.file_key_ref {
            key.optional.get_or_insert(false);
        }
    }
}

/// `SetDefaults_ObjectFieldSelector`.
pub(super) fn field_ref(field: &mut core::ObjectFieldSelector) {
    text(&mut field.api_version, "v1");
}

/// A divisor of 0 counts as 1, but the API server prints it as 0.
pub(super) fn resource_field_ref(resource: &mut core::ResourceFieldSelector) {
    resource.divisor.get_or_insert_with(|| ApiQuantity("0".to_owned()));
}

fn probe(probe: &mut core::Probe) {
    number(&mut probe.timeout_seconds, 1);
    number(&mut probe.period_seconds, 10);
    number(&mut probe.success_threshold, 1);
    number(&mut probe.failure_threshold, 3);
    probe.http_get.iter_mut().for_each(http_get);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn http_get(action: &mut core::HTTPGetAction) {
    text(&mut action.path, "/");
    text(&mut action.scheme, "HTTP");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pulled_at_every_start_only_if_its_tag_is_latest() {
        for (image, tag) in [
            ("web", Some("latest")),
            ("registry:5000/web", Some("latest")),
            ("registry:5000/web:1.2", Some("1.2")),
            ("web@sha256:abc", None),
            ("web:1@sha256:abc", Some("1")),
        ] {
            assert_eq!(image_tag(image), tag, "{image}");
        }
    }
}
