//! Converts containers of the API to those of `cluster`: images, ports, probes, hooks.

use k8s_openapi::api::core::v1 as core;

use super::field::{FieldErrors, FieldPath};
use super::resources::requests_and_limits;
use cluster::Name;
use cluster::pod_template::{Container, ContainerPort, ImagePullPolicy, Probe, RestartPolicy};
use cluster::resize::RESIZABLE;
use cluster::restart::{ContainerRestart, RestartRule};
use engine::SimDuration;

const PULL_POLICIES: [(&str, ImagePullPolicy); 3] = [
    ("Always", ImagePullPolicy::Always),
    ("IfNotPresent", ImagePullPolicy::IfNotPresent),
    ("Never", ImagePullPolicy::Never),
];
/// Port protocols.
pub(super) const PROTOCOLS: [(&str, &str); 3] = [("TCP", "TCP"), ("UDP", "UDP"), ("SCTP", "SCTP")];

/// A container or init container, with defaults applied.
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
    let (requests, limits) = requests_and_limits(container.resources.as_ref(), &at, errors);
    let mut probe = |probe: &Option<core::Probe>, field| {
        probe.as_ref().map(|probe| lower_probe(probe, &path.field(field), errors))
    };
    let lifecycle = container.lifecycle.as_ref();
    Container {
        name: Name::from(container.name.as_str()),
        image: Name::from(image),
        startup_probe: probe(&container.startup_probe, "startupProbe"),
        readiness_probe: probe(&container.readiness_probe, "readinessProbe"),
        liveness_probe: probe(&container.liveness_probe, "livenessProbe"),
        image_pull_policy: errors.choose(
            container.image_pull_policy.as_deref(),
            &PULL_POLICIES,
            &path.field("imagePullPolicy"),
        ),
        requests,
        limits,
        ports: ports(container, host_network, path, errors),
        pre_stop_sleep: lifecycle.and_then(|one| hook_time(one.pre_stop.as_ref()?)),
        post_start_sleep: lifecycle.and_then(|one| hook_time(one.post_start.as_ref()?)),
        is_sidecar: false,
        is_proxy: false,
        restart: restart(container),
        restarts_on_resize: restarts_on_resize(container, path, errors),
    }
}

/// `restartPolicy` and `restartPolicyRules`, already checked by `validation`.
fn restart(container: &core::Container) -> Option<Box<ContainerRestart>> {
    let policy = match container.restart_policy.as_deref()? {
        "Always" => RestartPolicy::Always,
        "OnFailure" => RestartPolicy::OnFailure,
        _ => RestartPolicy::Never,
    };
    let rules = container.restart_policy_rules.iter().flatten().filter_map(|rule| {
        let codes = rule.exit_codes.as_ref()?;
        Some(RestartRule {
            restarts_all: rule.action == "RestartAllContainers",
            is_negated: codes.operator == "NotIn",
            exit_codes: codes.values.clone().unwrap_or_default(),
        })
    });
    Some(Box::new(ContainerRestart { policy, rules: rules.collect() }))
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
        if errors.choose(given, &choices, &at.field("restartPolicy")) {
            restarting.push(Name::from(resource));
        }
    }
    restarting
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
        let container_port = match port.container_port {
            // A missing port is reported elsewhere.
            0 => 0,
            number => port_number(number, &at.field("containerPort"), errors),
        };
        let host_port = match port.host_port {
            None | Some(0) => 0,
            Some(number) => port_number(number, &at.field("hostPort"), errors),
        };
        if host_network && host_port != container_port {
            let rule = "must match `containerPort` when `hostNetwork` is true";
            errors.invalid(&at.field("hostPort"), host_port, rule);
        }
        let protocol = port.protocol.as_deref();
        let protocol = errors.choose(protocol, &PROTOCOLS, &at.field("protocol"));
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

/// Validates a port number (`IsValidPortNum`).
pub(super) fn port_number(number: i32, path: &FieldPath<'_>, errors: &mut FieldErrors) -> u16 {
    u16::try_from(number).ok().filter(|number| *number > 0).unwrap_or_else(|| {
        errors.invalid(path, number, "must be between 1 and 65535, inclusive");
        0
    })
}

fn lower_probe(probe: &core::Probe, path: &FieldPath<'_>, errors: &mut FieldErrors) -> Probe {
    let mut number = |given: Option<i32>, field| {
        let given = given.unwrap_or_default();
        errors.not_negative(&path.field(field), i64::from(given));
        given.max(0).unsigned_abs()
    };
    let seconds = |seconds: u32| SimDuration::from_secs(i64::from(seconds));
    Probe {
        initial_delay: seconds(number(probe.initial_delay_seconds, "initialDelaySeconds")),
        period: seconds(number(probe.period_seconds, "periodSeconds")),
        timeout: seconds(number(probe.timeout_seconds, "timeoutSeconds")),
        success_threshold: number(probe.success_threshold, "successThreshold"),
        failure_threshold: number(probe.failure_threshold, "failureThreshold"),
        termination_grace_period: probe
            .termination_grace_period_seconds
            .map(SimDuration::from_secs),
    }
}

/// Duration of a hook, as far as it is stated: a sleep action, or a command that runs `sleep`. All other commands
/// count as instantaneous.
fn hook_time(hook: &core::LifecycleHandler) -> Option<SimDuration> {
    if let Some(sleep) = &hook.sleep {
        return Some(SimDuration::from_secs(sleep.seconds));
    }
    let words = hook.exec.as_ref()?.command.as_ref()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let program = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    match words[..] {
        [shell, options, script, ..]
            if ["sh", "bash", "ash", "dash"].contains(&program(shell).as_str())
                && options.starts_with('-')
                && options.ends_with('c') =>
        {
            let commands = script.split([';', '\n', '&', '|']);
            let times = commands
                .filter_map(|command| slept(&command.split_whitespace().collect::<Vec<_>>()));
            times.reduce(|sum, time| sum + time)
        }
        _ => slept(&words),
    }
}

/// Duration of a `sleep` command: the sum of its arguments, in seconds unless they have a unit.
fn slept(words: &[&str]) -> Option<SimDuration> {
    let [program, times @ ..] = words else { return None };
    if program.rsplit('/').next() != Some("sleep") || times.is_empty() {
        return None;
    }
    let seconds = |text: &&str| {
        let number = text.trim_end_matches(['s', 'm', 'h', 'd']);
        let unit = match &text[number.len()..] {
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * unit;
        // Capped at a value longer than any grace period.
        (seconds.is_finite() && seconds >= 0.0).then(|| seconds.min(1e9))
    };
    let sum: Option<f64> = times.iter().map(seconds).sum();
    sum.map(SimDuration::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defaults::created_pod;

    fn lower(json: &str) -> (Container, FieldErrors) {
        let mut errors = FieldErrors::default();
        let mut spec = core::PodSpec::default();
        spec.containers.push(serde_json::from_str(json).unwrap());
        created_pod(&mut spec);
        (container(&spec.containers[0], false, &FieldPath::ROOT, &mut errors), errors)
    }

    #[test]
    fn a_hook_that_sleeps_takes_its_time_however_it_is_written() {
        let time = |hook: &str| {
            let hook: core::LifecycleHandler = serde_json::from_str(hook).unwrap();
            hook_time(&hook).map(SimDuration::as_secs_f64)
        };
        let exec = |command: &str| time(&format!(r#"{{"exec": {{"command": {command}}}}}"#));
        assert_eq!(time(r#"{"sleep": {"seconds": 5}}"#), Some(5.0));
        assert_eq!(exec(r#"["sleep", "15"]"#), Some(15.0));
        assert_eq!(exec(r#"["/bin/sleep", "0.5", "1m"]"#), Some(60.5));
        assert_eq!(exec(r#"["/bin/sh", "-c", "sleep 5 && nginx -s quit; sleep 2s"]"#), Some(7.0));
        assert_eq!(exec(r#"["bash", "-ec", "sleep 3"]"#), Some(3.0));
        assert_eq!(exec(r#"["/bin/sh", "-c", "nginx -s quit"]"#), None);
        assert_eq!(exec(r#"["sleep", "soon"]"#), None);
        assert_eq!(exec(r#"["nginx", "-s", "quit"]"#), None);
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
            "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"
        );
    }
}
