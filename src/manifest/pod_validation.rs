//! What the API server checks of a pod besides the fields that are lowered
//! (`pkg/apis/core/validation/validation.go`, 1.36).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::field::{FieldErrors, FieldPath};
use super::names::{NameRule, check_name, check_port_name};

/// Checks the spec of a pod by itself, which nobody has scheduled before it is written (`ValidatePodCreate`).
pub(super) fn validate_pod(spec: &core::PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_pod_spec(spec, &[], path, errors);
    let has_node = spec.node_name.as_deref().is_some_and(|name| !name.is_empty());
    if has_node && spec.scheduling_gates.iter().flatten().next().is_some() {
        let problem = "Forbidden: cannot be set until all schedulingGates have been cleared";
        errors.push(&path.field("nodeName"), problem);
    }
}

/// Checks images, mounts, probes and names inside a pod. Besides the pod's own volumes there may be
/// those that a StatefulSet adds for its claims.
pub(super) fn validate_pod_spec(
    spec: &core::PodSpec,
    claims: &[&str],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let mut volumes = unique_names(
        spec.volumes.iter().flatten().map(|volume| volume.name.as_str()),
        &path.field("volumes"),
        errors,
    );
    volumes.extend(claims);
    let init = path.field("initContainers");
    let init_containers = spec.init_containers.iter().flatten().enumerate();
    let main = path.field("containers");
    let containers = spec.containers.iter().enumerate();
    let mut names = BTreeSet::new();
    let all = init_containers.map(|(index, container)| (&init, index, container));
    for (list, index, container) in all.chain(containers.map(|(index, one)| (&main, index, one))) {
        let path = list.item(index);
        check_label(&container.name, &path.field("name"), errors);
        if !names.insert(container.name.as_str()) {
            let problem = format!("Duplicate value: {:?}", container.name);
            errors.push(&path.field("name"), problem);
        }
        validate_container(container, &volumes, &path, errors);
    }
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        if container.restart_policy.as_deref() == Some("Always") {
            continue;
        }
        for (field, is_set) in [
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
            ("lifecycle", container.lifecycle.is_some()),
        ] {
            if is_set {
                let at = init.item(index);
                let problem =
                    "Forbidden: may not be set for init containers without restartPolicy=Always";
                errors.push(&at.field(field), problem);
            }
        }
    }
}

/// The names of a list, each of which may come only once.
fn unique_names<'a>(
    names: impl Iterator<Item = &'a str>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        let at = path.item(index);
        let at = at.field("name");
        check_label(name, &at, errors);
        if !seen.insert(name) {
            errors.push(&at, format!("Duplicate value: {name:?}"));
        }
    }
    seen
}

fn check_label(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path, "");
    } else {
        check_name(name, false, NameRule::Label, path, errors);
    }
}

fn validate_container(
    container: &core::Container,
    volumes: &BTreeSet<&str>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if container.image.as_deref().unwrap_or_default().is_empty() {
        errors.required(&path.field("image"), "");
    }
    let (at, mut names) = (path.field("ports"), BTreeSet::new());
    for (index, port) in container.ports.iter().flatten().enumerate() {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let at = at.item(index);
            check_port_name(name, &at.field("name"), errors);
            if !names.insert(name) {
                errors.push(&at.field("name"), format!("Duplicate value: {name:?}"));
            }
        }
    }
    let at = path.field("volumeMounts");
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        if !volumes.contains(mount.name.as_str()) {
            let at = at.item(index);
            errors.push(&at.field("name"), format!("Not found: {:?}", mount.name));
        }
    }
    for (field, probe, has_one_success) in [
        ("startupProbe", &container.startup_probe, true),
        ("livenessProbe", &container.liveness_probe, true),
        ("readinessProbe", &container.readiness_probe, false),
    ] {
        if let Some(probe) = probe {
            let path = path.field(field);
            validate_probe(probe, has_one_success, &path, errors);
            validate_probed_port(probe, &names, &path, errors);
        }
    }
    validate_extended_resources(container, path, errors);
}

fn validate_probe(
    probe: &core::Probe,
    has_one_success: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let handlers = [
        probe.exec.is_some(),
        probe.http_get.is_some(),
        probe.tcp_socket.is_some(),
        probe.grpc.is_some(),
    ];
    match handlers.iter().filter(|is_set| **is_set).count() {
        0 => errors.required(path, "must specify a handler type: exec, httpGet, tcpSocket or grpc"),
        1 => {}
        _ => errors.push(path, "Forbidden: may not specify more than 1 handler type"),
    }
    if let Some(threshold) =
        probe.success_threshold.filter(|threshold| has_one_success && *threshold > 1)
    {
        errors.invalid(&path.field("successThreshold"), threshold, "must be 1");
    }
}

/// A name of a port that the container lacks. The API server takes it, but then the kubelet finds no port,
/// and every probe fails (`resolveContainerPort`).
fn validate_probed_port(
    probe: &core::Probe,
    names: &BTreeSet<&str>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let http = probe.http_get.as_ref().map(|get| ("httpGet", &get.port));
    let tcp = probe.tcp_socket.as_ref().map(|socket| ("tcpSocket", &socket.port));
    for (handler, port) in http.into_iter().chain(tcp) {
        if let IntOrString::String(name) = port
            && name.parse::<u16>().is_err()
            && !names.contains(name.as_str())
        {
            let at = path.field(handler);
            let rule = "no port of the container has this name, so every probe would fail";
            errors.invalid(&at.field("port"), name, rule);
        }
    }
}

/// Devices and huge pages cannot be overcommitted: their request is their limit
/// (`ValidateResourceRequirements`).
fn validate_extended_resources(
    container: &core::Container,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(resources) = &container.resources else { return };
    let path = path.field("resources");
    let at = path.field("requests");
    for (name, request) in resources.requests.iter().flatten() {
        let is_overcommitted = !name.contains('/') && !name.starts_with("hugepages-");
        if is_overcommitted || name.contains("kubernetes.io/") {
            continue;
        }
        match resources.limits.as_ref().and_then(|limits| limits.get(name)) {
            None => errors.required(&path.field("limits"), &format!(
                "Limit must be set for non overcommitable resources; {name} has a request and no limit"
            )),
            Some(limit) if amount(limit) != amount(request) => {
                errors.invalid(&at.key(name), &request.0, format!("must be equal to {name} limit of {}", limit.0));
            }
            Some(_) => {}
        }
    }
}

fn amount(quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity) -> Option<i128> {
    quantity.0.parse::<units::Quantity>().ok().map(units::Quantity::nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is wrong with the spec of a pod.
    fn problems(spec: serde_json::Value) -> Vec<String> {
        let mut errors = FieldErrors::default();
        validate_pod(&serde_json::from_value(spec).unwrap(), &FieldPath::ROOT, &mut errors);
        errors.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_pod_with_a_node_has_no_gates_left() {
        let spec = json!({
            "nodeName": "a", "schedulingGates": [{"name": "b"}],
            "containers": [{"name": "web", "image": "x"}],
        });
        assert_eq!(
            problems(spec),
            ["nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"]
        );
    }

    #[test]
    fn a_probe_finds_its_port_by_number_or_by_a_name_of_the_container() {
        for (port, is_found) in [
            (json!("http"), true),
            (json!(8080), true),
            (json!("8080"), true),
            (json!("htp"), false),
        ] {
            let ports = json!([{"name": "http", "containerPort": 8080}]);
            let probe = json!({"httpGet": {"port": port}});
            let web = json!({"name": "web", "image": "x", "ports": ports, "readinessProbe": probe});
            let spec = json!({"containers": [web]});
            let found = problems(spec);
            let problem = "containers[0].readinessProbe.httpGet.port: Invalid value: \"htp\": ";
            assert!(
                if is_found { found.is_empty() } else { found[0].starts_with(problem) },
                "{found:?}"
            );
        }
    }

    #[test]
    fn everything_wrong_inside_a_pod_is_found() {
        let spec = json!({
            "volumes": [{"name": "data"}, {"name": "data"}],
            "initContainers": [{"name": "init", "image": "x", "readinessProbe": {"exec": {}}}],
            "containers": [
                {"name": "web", "volumeMounts": [{"name": "data", "mountPath": "/a"}, {"name": "dta", "mountPath": "/b"}]},
                {"name": "web", "image": "x", "livenessProbe": {"successThreshold": 2},
                 "readinessProbe": {"exec": {}, "tcpSocket": {"port": 1}, "successThreshold": 2}},
                {"name": "Gpu", "image": "x", "ports": [{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}],
                 "resources": {
                    "requests": {"nvidia.com/gpu": "1", "example.com/a": "2", "cpu": "1"},
                    "limits": {"example.com/a": "3", "cpu": "2"}}},
            ],
        });
        assert_eq!(
            problems(spec),
            [
                "volumes[1].name: Duplicate value: \"data\"",
                "containers[0].image: Required value",
                "containers[0].volumeMounts[1].name: Not found: \"dta\"",
                "containers[1].name: Duplicate value: \"web\"",
                "containers[1].livenessProbe: Required value: must specify a handler type: exec, httpGet, tcpSocket or grpc",
                "containers[1].livenessProbe.successThreshold: Invalid value: 2: must be 1",
                "containers[1].readinessProbe: Forbidden: may not specify more than 1 handler type",
                "containers[2].name: Invalid value: \"Gpu\": a lowercase RFC 1123 label must consist of lower case \
                 alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name')",
                "containers[2].ports[1].name: Duplicate value: \"a\"",
                "containers[2].resources.requests[example.com/a]: Invalid value: \"2\": must be equal to example.com/a limit of 3",
                "containers[2].resources.limits: Required value: Limit must be set for non overcommitable resources; nvidia.com/gpu has a request and no limit",
                "initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            ]
        );
    }
}
