//! Probes and hooks (`validateProbe`, `validateLifecycle`, `validateHandler`).

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::check_port_name;
use super::supported;

/// The actions of a probe's or hook's handler.
struct Handler<'a> {
    exec: Option<&'a core::ExecAction>,
    http_get: Option<&'a core::HTTPGetAction>,
    tcp_socket: Option<&'a core::TCPSocketAction>,
    grpc: Option<&'a core::GRPCAction>,
    sleep: Option<&'a core::SleepAction>,
}

/// All probes of a container.
pub(super) fn validate_probes(
    container: &core::Container,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (field, probe, has_one_success) in [
        ("livenessProbe", &container.liveness_probe, true),
        ("readinessProbe", &container.readiness_probe, false),
        ("startupProbe", &container.startup_probe, true),
    ] {
        if let Some(probe) = probe {
            validate_probe(probe, has_one_success, &path.field(field), errors);
        }
    }
}

fn validate_probe(
    probe: &core::Probe,
    has_one_success: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let handler = Handler {
        exec: probe.exec.as_ref(),
        http_get: probe.http_get.as_ref(),
        tcp_socket: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
    };
    validate_handler(&handler, None, path, errors);
    let grace = probe.termination_grace_period_seconds;
    let at = path.field("terminationGracePeriodSeconds");
    if let Some(seconds) = grace.filter(|seconds| *seconds <= 0) {
        errors.invalid(&at, seconds, "must be greater than 0");
    }
    if has_one_success {
        if let Some(threshold) = probe.success_threshold.filter(|threshold| *threshold != 1) {
            errors.invalid(&path.field("successThreshold"), threshold, "must be 1");
        }
    } else if let Some(seconds) = grace {
        errors.invalid(&at, seconds, "must not be set for readinessProbes");
    }
}

/// The hooks of a container in a pod with this grace period, in seconds.
pub(super) fn validate_lifecycle(
    lifecycle: &core::Lifecycle,
    grace_period_seconds: Option<i64>,
    os: Option<&core::PodOS>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (field, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
        let Some(hook) = hook else { continue };
        let handler = Handler {
            exec: hook.exec.as_ref(),
            http_get: hook.http_get.as_ref(),
            tcp_socket: hook.tcp_socket.as_ref(),
            grpc: None,
            sleep: hook.sleep.as_ref(),
        };
        validate_handler(&handler, grace_period_seconds, &path.field(field), errors);
    }
    if lifecycle.stop_signal.is_some() && os.is_none() {
        let why = "may not be set for containers with empty `spec.os.name`";
        errors.forbidden(&path.field("stopSignal"), why);
    }
}

fn validate_handler(
    handler: &Handler<'_>,
    grace_period_seconds: Option<i64>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let given = [
        ("exec", handler.exec.is_some()),
        ("httpGet", handler.http_get.is_some()),
        ("tcpSocket", handler.tcp_socket.is_some()),
        ("grpc", handler.grpc.is_some()),
        ("sleep", handler.sleep.is_some()),
    ];
    let mut given = given.into_iter().filter(|(_, is_given)| *is_given).map(|(field, _)| field);
    let Some(first) = given.next() else {
        return errors.required(path, "must specify a handler type");
    };
    for other in given {
        errors.forbidden(&path.field(other), "may not specify more than 1 handler type");
    }
    let at = path.field(first);
    match (first, handler) {
        ("exec", Handler { exec: Some(exec), .. })
            if exec.command.as_ref().is_none_or(Vec::is_empty) =>
        {
            errors.required(&at.field("command"), "");
        }
        ("httpGet", Handler { http_get: Some(get), .. }) => http_get(get, &at, errors),
        ("tcpSocket", Handler { tcp_socket: Some(socket), .. }) => {
            port_number_or_name(&socket.port, &at.field("port"), errors);
        }
        ("grpc", Handler { grpc: Some(grpc), .. }) => {
            port_number_or_name(&IntOrString::Int(grpc.port), &at.field("port"), errors);
        }
        ("sleep", Handler { sleep: Some(sleep), .. }) => {
            let seconds = sleep.seconds;
            if let Some(grace) =
                grace_period_seconds.filter(|grace| !(0..=*grace).contains(&seconds))
            {
                let rule = format!(
                    "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                );
                errors.invalid(&at, seconds, rule);
            }
        }
        _ => {}
    }
}

fn http_get(get: &core::HTTPGetAction, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    port_number_or_name(&get.port, &path.field("port"), errors);
    supported(get.scheme.as_deref(), &["HTTP", "HTTPS"], &path.field("scheme"), errors);
    for header in get.http_headers.iter().flatten() {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if header.name.is_empty() || !header.name.bytes().all(is_plain) {
            let rule = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name')";
            errors.invalid(&path.field("httpHeaders"), &header.name, rule);
        }
    }
}

/// `ValidatePortNumOrName`.
pub(super) fn port_number_or_name(
    port: &IntOrString,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    match port {
        IntOrString::Int(number) => port_number(*number, path, errors),
        IntOrString::String(name) => check_port_name(name, path, errors),
    }
}

/// `IsValidPortNum`.
pub(super) fn port_number(number: i32, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if !(1..=65535).contains(&number) {
        errors.invalid(path, number, "must be between 1 and 65535, inclusive");
    }
}
