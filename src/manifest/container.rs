//! Containers of the API to those of `cluster`: images, ports, probes, hooks, with the API server's
//! defaults (`pkg/apis/core/v1/defaults.go`, 1.36).

use k8s_openapi::api::core::v1 as core;

use super::field::{FieldErrors, FieldPath};
use super::resources::container_resources;
use cluster::Name;
use cluster::pod_template::{Container, ContainerPort, ImagePullPolicy, Probe};
use cluster::resize::RESIZABLE;
use engine::SimDuration;

/// One container or init container.
pub(super) fn container(
    container: &core::Container,
    host_network: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Container {
    if container.name.is_empty() {
        errors.required(&path.field("name"), "");
    }
    let image = container.image.as_deref().unwrap_or_default();
    let at = path.field("resources");
    let (requests, limits) = container_resources(container.resources.as_ref(), &at, errors);
    let mut probe = |probe: &Option<core::Probe>, field| {
        probe.as_ref().map(|probe| lower_probe(probe, &path.field(field), errors))
    };
    Container {
        name: Name::from(container.name.as_str()),
        image: Name::from(image),
        startup_probe: probe(&container.startup_probe, "startupProbe"),
        readiness_probe: probe(&container.readiness_probe, "readinessProbe"),
        liveness_probe: probe(&container.liveness_probe, "livenessProbe"),
        image_pull_policy: pull_policy(container, image, path, errors),
        requests,
        limits,
        ports: ports(container, host_network, path, errors),
        pre_stop_sleep: pre_stop_sleep(container),
        is_sidecar: container.restart_policy.as_deref() == Some("Always"),
        restarts_on_resize: restarts_on_resize(container, path, errors),
    }
}

/// `resizePolicy`: the resources that cannot be resized without a restart.
fn restarts_on_resize(
    container: &core::Container,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<Name> {
    let path = path.field("resizePolicy");
    let mut restarting = Vec::new();
    for (position, policy) in container.resize_policy.iter().flatten().enumerate() {
        let at = path.item(position);
        let resource = policy.resource_name.as_str();
        if !RESIZABLE.contains(&resource) {
            let rule = "supported values: \"cpu\", \"memory\"";
            errors.invalid(&at.field("resourceName"), resource, rule);
        }
        let choices = [("NotRequired", false), ("RestartContainer", true)];
        let given = Some(policy.restart_policy.as_str());
        if errors.choose(given, &choices, false, &at.field("restartPolicy")) {
            restarting.push(Name::from(resource));
        }
    }
    restarting
}

/// `imagePullPolicy`: an image without tag or with the tag `latest` is asked for at every start.
fn pull_policy(
    container: &core::Container,
    image: &str,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> ImagePullPolicy {
    let choices = [
        ("Always", ImagePullPolicy::Always),
        ("IfNotPresent", ImagePullPolicy::IfNotPresent),
        ("Never", ImagePullPolicy::Never),
    ];
    let default = if image_tag(image) == Some("latest") {
        ImagePullPolicy::Always
    } else {
        ImagePullPolicy::IfNotPresent
    };
    let at = path.field("imagePullPolicy");
    errors.choose(container.image_pull_policy.as_deref(), &choices, default, &at)
}

/// The tag of an image reference: `latest` if it names neither tag nor digest.
fn image_tag(image: &str) -> Option<&str> {
    let (name, digest) = image.split_once('@').map_or((image, None), |(n, d)| (n, Some(d)));
    // A colon before the last slash belongs to the registry's port.
    let last = name.rsplit('/').next().unwrap_or(name);
    match (last.split_once(':'), digest) {
        (Some((_, tag)), _) => Some(tag),
        (None, Some(_)) => None,
        (None, None) => Some("latest"),
    }
}

fn ports(
    container: &core::Container,
    host_network: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<ContainerPort> {
    let at = path.field("ports");
    let mut ports = Vec::new();
    for (position, port) in container.ports.iter().flatten().enumerate() {
        let at = at.item(position);
        let container_port = port_number(port.container_port, &at.field("containerPort"), errors);
        let host_port = match port.host_port {
            None | Some(0) if host_network => container_port,
            None | Some(0) => 0,
            Some(number) => port_number(number, &at.field("hostPort"), errors),
        };
        if host_network && host_port != container_port {
            let rule = "must match `containerPort` when `hostNetwork` is true";
            errors.invalid(&at.field("hostPort"), host_port, rule);
        }
        let protocols = [("TCP", "TCP"), ("UDP", "UDP"), ("SCTP", "SCTP")];
        let protocol = port.protocol.as_deref();
        let protocol = errors.choose(protocol, &protocols, "TCP", &at.field("protocol"));
        ports.push(ContainerPort {
            name: Name::from(port.name.as_deref().unwrap_or_default()),
            container_port,
            host_port,
            host_ip: Name::from(port.host_ip.as_deref().unwrap_or_default()),
            protocol: Name::from(protocol),
        });
    }
    ports
}

fn port_number(number: i32, path: &FieldPath<'_>, errors: &mut FieldErrors) -> u16 {
    match u16::try_from(number) {
        Ok(number) if number > 0 => number,
        _ => {
            errors.invalid(path, number, "must be between 1 and 65535, inclusive");
            0
        }
    }
}

fn lower_probe(probe: &core::Probe, path: &FieldPath<'_>, errors: &mut FieldErrors) -> Probe {
    let mut number = |given: Option<i32>, default: u32, field| {
        // The API server takes 0 for absent, except in the initial delay, whose default is 0.
        let Some(given) = given.filter(|given| *given != 0) else { return default };
        u32::try_from(given).unwrap_or_else(|_| {
            errors.not_negative(&path.field(field), i64::from(given));
            default
        })
    };
    let seconds = |seconds: u32| SimDuration::from_secs(i64::from(seconds));
    Probe {
        initial_delay: seconds(number(probe.initial_delay_seconds, 0, "initialDelaySeconds")),
        period: seconds(number(probe.period_seconds, 10, "periodSeconds")),
        timeout: seconds(number(probe.timeout_seconds, 1, "timeoutSeconds")),
        success_threshold: number(probe.success_threshold, 1, "successThreshold"),
        failure_threshold: number(probe.failure_threshold, 3, "failureThreshold"),
        termination_grace_period: probe
            .termination_grace_period_seconds
            .map(SimDuration::from_secs),
    }
}

fn pre_stop_sleep(container: &core::Container) -> Option<SimDuration> {
    let sleep = container.lifecycle.as_ref()?.pre_stop.as_ref()?.sleep.as_ref()?;
    Some(SimDuration::from_secs(sleep.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lower(json: &str) -> (Container, FieldErrors) {
        let mut errors = FieldErrors::default();
        let typed = serde_json::from_str(json).unwrap();
        (container(&typed, false, &FieldPath::ROOT, &mut errors), errors)
    }

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

    #[test]
    fn requests_default_to_limits_and_probes_to_the_kubelets_timing() {
        let (container, errors) = lower(
            r#"{"name":"a","image":"web","resources":{"limits":{"cpu":"1"}},
                "readinessProbe":{"httpGet":{"port":80},"periodSeconds":5}}"#,
        );
        assert!(errors.is_empty());
        assert_eq!(container.requests.get("cpu").unwrap().to_string(), "1");
        let probe = container.readiness_probe.unwrap();
        assert_eq!((probe.period.as_secs(), probe.timeout.as_secs()), (5, 1));
        assert_eq!((probe.success_threshold, probe.failure_threshold), (1, 3));
        assert_eq!(container.image_pull_policy, ImagePullPolicy::Always);
    }

    #[test]
    fn a_request_above_its_limit_is_an_error() {
        let (_, errors) =
            lower(r#"{"name":"a","resources":{"requests":{"cpu":"2"},"limits":{"cpu":"1"}}}"#);
        let text = errors.into_vec()[0].to_string();
        assert_eq!(
            text,
            "resources.requests[cpu]: Invalid value: \"2\": must be less than or equal to cpu limit of 1"
        );
    }
}
