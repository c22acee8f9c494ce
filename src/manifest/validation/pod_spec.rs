//! Pods and pod templates (`ValidatePodSpec`, `ValidatePodCreate`, `ValidatePodTemplateSpec`).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::check_key;
use super::container::{PodOfContainers, validate_containers};
use super::network::{check_ip, dns_subdomain_with_underscore};
use super::placement::validate_placement;
use super::resources::{check_amount, check_container_resource, check_resource_name};
use super::security::validate_pod_security;
use super::volumes::{validate_resource_claims, validate_volumes};
use super::{SPEC, Validate, label, subdomain, supported};

/// The object that contains the pod spec.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    /// The object is the pod.
    Itself,
    /// A template whose pods get further volumes of these names, such as a StatefulSet's for its claims.
    Template(&'a [&'a str]),
}

impl Validate for core::Pod {
    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        validate_pod_spec(spec, Owner::Itself, &SPEC, errors);
        let at = FieldPath::ROOT.field("metadata");
        let annotations = self.metadata.annotations.as_ref();
        super::metadata::pod_annotations(annotations, &at.field("annotations"), errors);
        let has_node = spec.node_name.as_deref().is_some_and(|name| !name.is_empty());
        if has_node && spec.scheduling_gates.iter().flatten().next().is_some() {
            let why = "cannot be set until all schedulingGates have been cleared";
            errors.forbidden(&SPEC.field("nodeName"), why);
        }
        if spec.ephemeral_containers.iter().flatten().next().is_some() {
            errors.forbidden(&SPEC.field("ephemeralContainers"), "cannot be set on create");
        }
    }
}

/// Checks the spec of a pod or of a template.
pub(crate) fn validate_pod_spec(
    spec: &core::PodSpec,
    owner: Owner<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let is_pod = matches!(owner, Owner::Itself);
    let mut volumes = validate_volumes(spec, is_pod, path, errors);
    if let Owner::Template(claims) = owner {
        volumes.extend(claims.iter().map(|name| (*name, None)));
        if spec.ephemeral_containers.iter().flatten().next().is_some() {
            let why = "ephemeral containers not allowed in pod template";
            errors.forbidden(&path.field("ephemeralContainers"), why);
        }
    }
    validate_resource_claims(spec, path, errors);
    let claims: BTreeSet<&str> =
        spec.resource_claims.iter().flatten().map(|claim| claim.name.as_str()).collect();
    let pod = PodOfContainers { spec, is_pod, volumes, claims };
    validate_containers(&pod, path, errors);
    pod_resources(spec, path, errors);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    supported(spec.dns_policy.as_deref(), &policies, &path.field("dnsPolicy"), errors);
    dns_config(spec, path, errors);
    validate_pod_security(spec, path, errors);
    validate_placement(spec, path, errors);
    gates(spec, path, errors);
    names(spec, path, errors);
    if let Some(seconds) = spec.active_deadline_seconds
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let rule = "must be between 1 and 2147483647, inclusive";
        errors.invalid(&path.field("activeDeadlineSeconds"), seconds, rule);
    }
    let at = path.field("overhead");
    for (name, amount) in spec.overhead.iter().flatten() {
        check_resource_name(name, &at.key(name), errors);
        check_amount(name, amount, &at.key(name), errors);
    }
    if let Some(os) = &spec.os {
        system(&os.name, spec, path, errors);
    }
}

/// Pod-level resources (`validatePodResources`).
fn pod_resources(spec: &core::PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(resources) = &spec.resources else { return };
    let path = path.field("resources");
    if resources.claims.is_some() {
        let why = "claims may not be set for Resources at pod-level";
        errors.forbidden(&path.field("claims"), why);
    }
    for (field, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        let at = path.field(field);
        for (name, amount) in amounts.iter().flatten() {
            let at = at.key(name);
            check_container_resource(name, &at, errors);
            if !matches!(name.as_str(), "cpu" | "memory") && !name.starts_with("hugepages-") {
                errors.not_supported(&at, name, &["cpu", "hugepages-", "memory"]);
            }
            check_amount(name, amount, &at, errors);
        }
    }
}

/// `validatePodDNSConfig`.
fn dns_config(spec: &core::PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const MOST_SERVERS: usize = 3;
    const MOST_SEARCHES: usize = 32;
    const LONGEST_SEARCHES: usize = 2048;
    let path = path.field("dnsConfig");
    let at_servers = path.field("nameservers");
    let is_none = spec.dns_policy.as_deref() == Some("None");
    let Some(config) = &spec.dns_config else {
        if is_none {
            errors.required(&path, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        return;
    };
    let servers = config.nameservers.as_deref().unwrap_or_default();
    if is_none && servers.is_empty() {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        return errors.required(&at_servers, why);
    }
    if servers.len() > MOST_SERVERS {
        let rule = format!("must not have more than {MOST_SERVERS} nameservers");
        errors.invalid(&at_servers, servers, rule);
    }
    for (index, server) in servers.iter().enumerate() {
        check_ip(server, &at_servers.item(index), errors);
    }
    let at = path.field("searches");
    let searches = config.searches.as_deref().unwrap_or_default();
    if searches.len() > MOST_SEARCHES {
        let rule = format!("must not have more than {MOST_SEARCHES} search paths");
        errors.invalid(&at, searches, rule);
    }
    if searches.join(" ").len() > LONGEST_SEARCHES {
        let rule = format!(
            "must not have more than {LONGEST_SEARCHES} characters (including spaces) in the search list"
        );
        errors.invalid(&at, searches, rule);
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        dns_subdomain_with_underscore(search, &at.item(index), errors);
    }
    let at = path.field("options");
    for (index, option) in config.options.iter().flatten().enumerate() {
        if option.name.as_deref().unwrap_or_default().is_empty() {
            errors.required(&at.item(index), "must not be empty");
        }
    }
}

fn gates(spec: &core::PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let at = path.field("readinessGates");
    for (index, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        check_key(&gate.condition_type, &at.item(index).field("conditionType"), errors);
    }
    let at = path.field("schedulingGates");
    let mut seen = BTreeSet::new();
    for (index, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        check_key(&gate.name, &at.item(index), errors);
        if !seen.insert(&gate.name) {
            errors.duplicate(&at.item(index), &gate.name);
        }
    }
}

fn names(spec: &core::PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (field, name, check) in [
        (
            "serviceAccountName",
            &spec.service_account_name,
            subdomain as fn(&str, &FieldPath<'_>, &mut FieldErrors),
        ),
        ("nodeName", &spec.node_name, subdomain),
        ("hostname", &spec.hostname, label),
        ("subdomain", &spec.subdomain, label),
        ("priorityClassName", &spec.priority_class_name, subdomain),
    ] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            check(name, &path.field(field), errors);
        }
    }
    if let Some(name) = &spec.runtime_class_name {
        subdomain(name, &path.field("runtimeClassName"), errors);
    }
    let at = path.field("hostAliases");
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let item = at.item(index);
        check_ip(&alias.ip, &item.field("ip"), errors);
        let hosts = item.field("hostnames");
        for (place, host) in alias.hostnames.iter().flatten().enumerate() {
            subdomain(host, &hosts.item(place), errors);
        }
    }
    if let Some(host) = &spec.hostname_override {
        let at = path.field("hostnameOverride");
        if spec.set_hostname_as_fqdn == Some(true) {
            errors.forbidden(&at, "may not be specified when setHostnameAsFQDN is true");
        }
        if spec.host_network == Some(true) {
            errors.forbidden(&at, "may not be specified when hostNetwork is true");
        }
        if host.len() > 64 {
            errors.push(&at, "Too long: may not be more than 64 bytes");
        }
        subdomain(host, &at, errors);
    }
}

/// `validateOS`, `validateLinux`, and the rules of `validateWindows` about common Linux settings.
fn system(name: &str, spec: &core::PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let at = path.field("os");
    match name {
        "" => errors.required(&at.field("name"), ""),
        "linux" => {
            let context = spec.security_context.as_ref();
            if context.is_some_and(|context| context.windows_options.is_some()) {
                let at = path.field("securityContext");
                let why = "windows options cannot be set for a linux pod";
                errors.forbidden(&at.field("windowsOptions"), why);
            }
        }
        "windows" => {
            let why = "cannot be set for a windows pod";
            for (field, is_set) in [
                ("hostPID", spec.host_pid == Some(true)),
                ("hostIPC", spec.host_ipc == Some(true)),
                ("shareProcessNamespace", spec.share_process_namespace.is_some()),
            ] {
                if is_set {
                    errors.forbidden(&path.field(field), why);
                }
            }
            let Some(context) = &spec.security_context else { return };
            let at = path.field("securityContext");
            for (field, is_set) in [
                ("appArmorProfile", context.app_armor_profile.is_some()),
                ("fsGroup", context.fs_group.is_some()),
                ("fsGroupChangePolicy", context.fs_group_change_policy.is_some()),
                ("runAsGroup", context.run_as_group.is_some()),
                ("runAsUser", context.run_as_user.is_some()),
                ("seLinuxOptions", context.se_linux_options.is_some()),
                ("seccompProfile", context.seccomp_profile.is_some()),
                ("supplementalGroups", context.supplemental_groups.is_some()),
                ("sysctls", context.sysctls.as_ref().is_some_and(|all| !all.is_empty())),
            ] {
                if is_set {
                    errors.forbidden(&at.field(field), why);
                }
            }
        }
        other => errors.not_supported(&at, other, &["linux", "windows"]),
    }
}
