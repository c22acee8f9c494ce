//! Security contexts of containers and pods (`ValidateSecurityContext`, `validatePodSpecSecurityContext`).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;

use super::super::field::{FieldErrors, FieldPath};
use super::volumes::descending_path;
use super::{required, supported};

const IDS: &str = "must be between 0 and 2147483647, inclusive";
const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
/// Maximum length of a path: `PATH_MAX` less the terminating zero byte.
const LONGEST_PATH: usize = 4095;

/// The security context of a container.
pub(super) fn validate_security_context(
    context: &core::SecurityContext,
    host_users: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    id(context.run_as_user, &path.field("runAsUser"), errors);
    id(context.run_as_group, &path.field("runAsGroup"), errors);
    let at = path.field("procMount");
    let mount = context.proc_mount.as_deref();
    supported(mount, &["Default", "Unmasked"], &at, errors);
    if mount == Some("Unmasked") && host_users {
        errors.invalid(&at, "Unmasked", "`hostUsers` must be false to use `Unmasked`");
    }
    seccomp(context.seccomp_profile.as_ref(), &path.field("seccompProfile"), errors);
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let rule = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(path, "", rule);
        }
        let added = context.capabilities.as_ref().and_then(|all| all.add.as_deref());
        if added.unwrap_or_default().iter().any(|one| one == "CAP_SYS_ADMIN") {
            let rule = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(path, "", rule);
        }
    }
    app_armor(context.app_armor_profile.as_ref(), &path.field("appArmorProfile"), errors);
}

/// The security context of a pod, and the host namespaces that it shares.
pub(super) fn validate_pod_security(
    spec: &core::PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let at = path.field("securityContext");
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let rule = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&at.field("shareProcessNamespace"), true, rule);
    }
    if spec.host_users == Some(false) {
        for (field, is_set) in [
            ("hostNetwork", spec.host_network),
            ("HostPID", spec.host_pid),
            ("HostIPC", spec.host_ipc),
        ] {
            if is_set == Some(true) {
                errors.forbidden(&path.field(field), "when `hostUsers` is false");
            }
        }
    }
    let Some(context) = &spec.security_context else { return };
    id(context.fs_group, &at.field("fsGroup"), errors);
    id(context.run_as_user, &at.field("runAsUser"), errors);
    id(context.run_as_group, &at.field("runAsGroup"), errors);
    let groups = at.field("supplementalGroups");
    for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
        id(Some(*group), &groups.item(index), errors);
    }
    sysctls(context, spec, &at.field("sysctls"), errors);
    for (field, text, choices) in [
        ("fsGroupChangePolicy", &context.fs_group_change_policy, ["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", &context.supplemental_groups_policy, ["Merge", "Strict"]),
        ("seLinuxChangePolicy", &context.se_linux_change_policy, ["MountOption", "Recursive"]),
    ] {
        supported(text.as_deref(), &choices, &at.field(field), errors);
    }
    seccomp(context.seccomp_profile.as_ref(), &at.field("seccompProfile"), errors);
    app_armor(context.app_armor_profile.as_ref(), &at.field("appArmorProfile"), errors);
}

/// `IsValidUserID`.
fn id(id: Option<i64>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(id) = id.filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
        errors.invalid(path, id, IDS);
    }
}

fn sysctls(
    context: &core::PodSecurityContext,
    spec: &core::PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let mut names = BTreeSet::new();
    for (index, sysctl) in context.sysctls.iter().flatten().enumerate() {
        let at = path.item(index);
        let at = at.field("name");
        let name = sysctl.name.as_str();
        if name.is_empty() {
            errors.required(&at, "");
        } else if !is_sysctl_name(name) {
            let rule = "must have at most 253 characters and match regex \
                        ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.invalid(&at, name, rule);
        } else if !names.insert(name) {
            errors.duplicate(&at, name);
        }
        if spec.host_network == Some(true) && name.starts_with("net.") {
            errors.invalid(&at, name, "may not be specified when 'hostNetwork' is true");
        }
        let is_of_ipc = name.starts_with("kernel.shm")
            || name.starts_with("kernel.msg")
            || name.starts_with("fs.mqueue.")
            || name == "kernel.sem";
        if spec.host_ipc == Some(true) && is_of_ipc {
            errors.invalid(&at, name, "may not be specified when 'hostIPC' is true");
        }
    }
}

fn is_sysctl_name(name: &str) -> bool {
    let is_end = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().is_some_and(is_end)
            && bytes.last().is_some_and(is_end)
            && bytes.iter().all(|b| is_end(b) || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split(['.', '/']).all(is_part)
}

fn seccomp(profile: Option<&core::SeccompProfile>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(profile) = profile else { return };
    let at = path.field("type");
    if profile.type_.is_empty() {
        errors.required(&at, "type is required when seccompProfile is set");
    } else {
        supported(Some(&profile.type_), &PROFILES, &at, errors);
    }
    let at = path.field("localhostProfile");
    match (profile.type_ == "Localhost", &profile.localhost_profile) {
        (true, None) => errors.required(&at, "must be set when seccomp type is Localhost"),
        (true, Some(file)) => descending_path(file, &at, errors),
        (false, Some(file)) => {
            errors.invalid(&at, file, "can only be set when seccomp type is Localhost");
        }
        (false, None) => {}
    }
}

fn app_armor(
    profile: Option<&core::AppArmorProfile>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(profile) = profile else { return };
    let at = path.field("localhostProfile");
    let file = profile.localhost_profile.as_deref();
    match (profile.type_.as_str(), file) {
        ("Localhost", file) => {
            let file = file.unwrap_or_default();
            if file.trim() == file {
                required(file, &at, errors);
            } else {
                errors.invalid(&at, file, "must not be padded with whitespace");
            }
            if file.len() > LONGEST_PATH {
                let problem = format!("Too long: may not be more than {LONGEST_PATH} bytes");
                errors.push(&at, problem);
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(file)) => {
            errors.invalid(&at, file, "can only be set when AppArmor type is Localhost");
        }
        ("", _) => {
            errors.required(&path.field("type"), "type is required when appArmorProfile is set");
        }
        (other, _) => supported(Some(other), &PROFILES, &path.field("type"), errors),
    }
}
