//! Containers (`validateContainers`, `validateInitContainers`, `validateContainerCommon`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::check_port_name;
use super::env::validate_env;
use super::handlers::{port_number, validate_lifecycle, validate_probes};
use super::resources::validate_resources;
use super::security::validate_security_context;
use super::volumes::validate_mounts;
use super::{required, required_label, supported};

const RESTART_POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];
const FOR_SIDECARS: &str = "may not be set for init containers without restartPolicy=Always";

/// The properties of the pod that validating its containers requires.
pub(super) struct PodOfContainers<'a> {
    pub(super) spec: &'a core::PodSpec,
    /// Whether it is a pod rather than a template.
    pub(super) is_pod: bool,
    pub(super) volumes: BTreeMap<&'a str, Option<&'a core::Volume>>,
    pub(super) claims: BTreeSet<&'a str>,
}

/// All containers of a pod.
pub(super) fn validate_containers(
    pod: &PodOfContainers<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let mut names = BTreeSet::new();
    let mut host_ports = BTreeSet::new();
    let main = path.field("containers");
    for (index, container) in pod.spec.containers.iter().enumerate() {
        let at = main.item(index);
        validate_common(container, pod, &at, errors);
        if !names.insert(container.name.as_str()) {
            errors.duplicate(&at.field("name"), &container.name);
        }
        validate_life(container, pod, &at, errors);
        restart_rules(container, &at, errors);
        check_host_ports(container, &mut host_ports, &at, errors);
    }
    let init = path.field("initContainers");
    for (index, container) in pod.spec.init_containers.iter().flatten().enumerate() {
        let at = init.item(index);
        validate_common(container, pod, &at, errors);
        restart_rules(container, &at, errors);
        if !names.insert(container.name.as_str()) {
            errors.duplicate(&at.field("name"), &container.name);
        }
        // Init containers run one after another, so they may share host ports.
        check_host_ports(container, &mut BTreeSet::new(), &at, errors);
        if container.restart_policy.as_deref() == Some("Always") {
            validate_life(container, pod, &at, errors);
        } else {
            for (field, is_set) in [
                ("lifecycle", container.lifecycle.is_some()),
                ("livenessProbe", container.liveness_probe.is_some()),
                ("readinessProbe", container.readiness_probe.is_some()),
                ("startupProbe", container.startup_probe.is_some()),
            ] {
                if is_set {
                    errors.forbidden(&at.field(field), FOR_SIDECARS);
                }
            }
            never_resized_by_restart(container, &at, errors);
        }
    }
}

fn validate_common(
    container: &core::Container,
    pod: &PodOfContainers<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    required_label(&container.name, &path.field("name"), errors);
    let image = container.image.as_deref().unwrap_or_default();
    required(image, &path.field("image"), errors);
    if pod.is_pod && image.trim() != image {
        let rule = "must not have leading or trailing whitespace";
        errors.invalid(&path.field("image"), image, rule);
    }
    let policies = ["File", "FallbackToLogsOnError"];
    let at = path.field("terminationMessagePolicy");
    supported(container.termination_message_policy.as_deref(), &policies, &at, errors);
    validate_ports(container, path, errors);
    validate_env(container, path, errors);
    validate_mounts(container, &pod.volumes, path, errors);
    if let Some(resources) = &container.resources {
        validate_resources(resources, &pod.claims, &path.field("resources"), errors);
    }
    resize_policy(container, pod.spec, path, errors);
    if let Some(context) = &container.security_context {
        let host_users = pod.spec.host_users != Some(false);
        validate_security_context(context, host_users, &path.field("securityContext"), errors);
    }
}

fn validate_life(
    container: &core::Container,
    pod: &PodOfContainers<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if let Some(lifecycle) = &container.lifecycle {
        let grace = pod.spec.termination_grace_period_seconds;
        let at = path.field("lifecycle");
        validate_lifecycle(lifecycle, grace, pod.spec.os.as_ref(), &at, errors);
    }
    validate_probes(container, path, errors);
}

/// `validateContainerPorts`.
fn validate_ports(container: &core::Container, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let path = path.field("ports");
    let mut names = BTreeSet::new();
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let at = path.item(index);
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            check_port_name(name, &at.field("name"), errors);
            if !names.insert(name) {
                errors.duplicate(&at.field("name"), name);
            }
        }
        if port.container_port == 0 {
            errors.required(&at.field("containerPort"), "");
        } else {
            port_number(port.container_port, &at.field("containerPort"), errors);
        }
    }
}

/// `AccumulateUniqueHostPorts`.
fn check_host_ports(
    container: &core::Container,
    taken: &mut BTreeSet<String>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.field("ports");
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
        let protocol = port.protocol.as_deref().unwrap_or_default();
        let address = port.host_ip.as_deref().unwrap_or_default();
        let key = format!("{protocol}/{address}/{number}");
        if taken.contains(&key) {
            errors.duplicate(&path.item(index).field("hostPort"), &key);
        }
        taken.insert(key);
    }
}

/// `validateContainerRestartPolicy`.
fn restart_rules(container: &core::Container, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    let at = path.field("restartPolicy");
    match container.restart_policy.as_deref() {
        None if !rules.is_empty() => {
            errors.required(&at, "must specify restartPolicy when restart rules are used");
        }
        policy => supported(policy, &RESTART_POLICIES, &at, errors),
    }
    let path = path.field("restartPolicyRules");
    if rules.len() > 20 {
        errors.push(&path, format!("Too many: {}: must have at most 20 items", rules.len()));
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = path.item(index);
        let actions = ["Restart", "RestartAllContainers"];
        supported(Some(&rule.action), &actions, &at.field("action"), errors);
        let at = at.field("exitCodes");
        match &rule.exit_codes {
            None => errors.required(&at, "must be specified"),
            Some(codes) => {
                let operator = at.field("operator");
                supported(Some(&codes.operator), &["In", "NotIn"], &operator, errors);
            }
        }
    }
}

/// `validateResizePolicy`, except for rules that lowering checks.
fn resize_policy(
    container: &core::Container,
    pod: &core::PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.field("resizePolicy");
    let mut resources = BTreeSet::new();
    for (index, policy) in container.resize_policy.iter().flatten().enumerate() {
        if !resources.insert(&policy.resource_name) {
            errors.duplicate(&path.item(index), &policy.resource_name);
        }
        if pod.restart_policy.as_deref() == Some("Never") && policy.restart_policy != "NotRequired"
        {
            let rule = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.invalid(&path, &policy.restart_policy, rule);
        }
    }
}

fn never_resized_by_restart(
    container: &core::Container,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.field("resizePolicy");
    for (index, policy) in container.resize_policy.iter().flatten().enumerate() {
        if policy.restart_policy == "RestartContainer" {
            let rule = "must not be set to 'RestartContainer' for non-sidecar initContainers";
            let at = path.item(index);
            errors.invalid(&at.field("restartPolicy"), &policy.restart_policy, rule);
        }
    }
}
