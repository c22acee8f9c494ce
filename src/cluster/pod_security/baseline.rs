//! The rules of `baseline`, in the order of their names (`policy/check_*.go`).

use serde_json::Value;

use super::violation::{Values, Violation, containers, plural, quoted, setters};
use super::{Subject, is_set, text};

/// Capabilities that containers may add.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Types of `SELinux` that pods may have, and the minor version since which.
const SELINUX_TYPES: [(&str, u32); 5] = [
    ("", 0),
    ("container_t", 0),
    ("container_init_t", 0),
    ("container_kvm_t", 0),
    ("container_engine_t", 31),
];
/// Kernel parameters that pods may set, and the minor version since which.
const SYSCTLS: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

/// Violations of the standard of a minor version; some rules are superseded by those of `restricted`.
pub(super) fn check(pod: Subject<'_>, minor: u32, is_restricted: bool) -> Vec<Violation> {
    let unless = |gives_way: bool, broken: Option<Violation>| broken.filter(|_| !gives_way);
    let rules = [
        app_armor(pod),
        unless(is_restricted && minor >= 22, capabilities(pod)),
        host_namespaces(pod),
        unless(is_restricted, host_path_volumes(pod)),
        host_ports(pod),
        unless(minor < 34, host_of_handlers(pod)),
        privileged(pod),
        unless(minor >= 35 && (is_restricted || pod.has_own_users()), proc_mount(pod)),
        selinux(pod, minor),
        unless(is_restricted && minor >= 19, seccomp(pod, minor)),
        sysctls(pod, minor),
        host_process(pod),
    ];
    rules.into_iter().flatten().collect()
}

fn app_armor(pod: Subject<'_>) -> Option<Violation> {
    let mut values = Values::new();
    let mut is_bad = |context: &Value| {
        let profile = &context["appArmorProfile"];
        let kind = text(&profile["type"]);
        let is_bad = profile.is_object() && !["RuntimeDefault", "Localhost"].contains(&&*kind);
        if is_bad {
            values.insert(kind);
        }
        is_bad
    };
    let is_pod = is_bad(&pod.spec["securityContext"]);
    let bad = pod.containers_with(|one| is_bad(&one["securityContext"]));
    let annotations = pod.annotations("container.apparmor.security.beta.kubernetes.io/");
    let annotations = annotations.filter(|(_, value)| {
        !(value.is_empty() || value == "runtime/default" || value.starts_with("localhost/"))
    });
    let mut annotations: Vec<String> =
        annotations.map(|(key, value)| format!("{key}={value:?}")).collect();
    annotations.sort();
    let mut who = setters(is_pod, &bad);
    if !annotations.is_empty() {
        let noun = plural("annotation", "annotations", annotations.len());
        who = if who.is_empty() { noun.to_owned() } else { format!("{who} and {noun}") };
    }
    let mut all: Vec<String> = values.into_iter().collect();
    all.extend(annotations);
    let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", all.len());
    let detail = format!("{who} must not set AppArmor profile type to {}", quoted(&all));
    (!who.is_empty()).then(|| Violation::new(reason, detail))
}

fn capabilities(pod: Subject<'_>) -> Option<Violation> {
    let mut added = Values::new();
    let bad = pod.containers_with(|one| {
        let all = one["securityContext"]["capabilities"]["add"].as_array();
        let other = all.into_iter().flatten().map(text);
        let other: Vec<String> = other.filter(|one| !CAPABILITIES.contains(&&**one)).collect();
        let is_bad = !other.is_empty();
        added.extend(other);
        is_bad
    });
    let detail = format!(
        "{} must not include {} in securityContext.capabilities.add",
        containers(&bad),
        quoted(&added)
    );
    (!bad.is_empty()).then(|| Violation::new("non-default capabilities", detail))
}

fn host_namespaces(pod: Subject<'_>) -> Option<Violation> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"];
    let shared = shared.iter().filter(|field| is_set(&pod.spec[**field]));
    let shared: Vec<String> = shared.map(|field| format!("{field}=true")).collect();
    (!shared.is_empty()).then(|| Violation::new("host namespaces", shared.join(", ")))
}

fn host_path_volumes(pod: Subject<'_>) -> Option<Violation> {
    let volumes = pod.spec["volumes"].as_array().into_iter().flatten();
    let bad = volumes.filter(|one| one["hostPath"].is_object()).map(|one| text(&one["name"]));
    let bad: Vec<String> = bad.collect();
    let detail = format!("{} {}", plural("volume", "volumes", bad.len()), quoted(&bad));
    (!bad.is_empty()).then(|| Violation::new("hostPath volumes", detail))
}

fn host_ports(pod: Subject<'_>) -> Option<Violation> {
    let mut ports = Values::new();
    let bad = pod.containers_with(|one| {
        let all = one["ports"].as_array().into_iter().flatten();
        let taken = all.filter_map(|port| port["hostPort"].as_i64().filter(|port| *port != 0));
        let taken: Vec<String> = taken.map(|port| port.to_string()).collect();
        let is_bad = !taken.is_empty();
        ports.extend(taken);
        is_bad
    });
    let listed: Vec<&str> = ports.iter().map(String::as_str).collect();
    let detail = format!(
        "{} {} {} {}",
        containers(&bad),
        plural("uses", "use", bad.len()),
        plural("hostPort", "hostPorts", ports.len()),
        listed.join(", ")
    );
    (!bad.is_empty()).then(|| Violation::new("hostPort", detail))
}

/// Probes and hooks addressed to a host other than the pod.
fn host_of_handlers(pod: Subject<'_>) -> Option<Violation> {
    let mut hosts = Values::new();
    let bad = pod.containers_with(|one| {
        let handlers = [
            &one["livenessProbe"],
            &one["readinessProbe"],
            &one["startupProbe"],
            &one["lifecycle"]["postStart"],
            &one["lifecycle"]["preStop"],
        ];
        let named = handlers
            .iter()
            .flat_map(|handler| ["httpGet", "tcpSocket"].map(|way| text(&handler[way]["host"])));
        let named: Vec<String> = named.filter(|host| !host.is_empty()).collect();
        let is_bad = !named.is_empty();
        hosts.extend(named);
        is_bad
    });
    let bad: Vec<String> = bad.into_iter().collect::<Values>().into_iter().collect();
    let detail = format!(
        "{} {} {} {}",
        containers(&bad),
        plural("uses", "use", bad.len()),
        plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.len()),
        quoted(&hosts)
    );
    (!bad.is_empty()).then(|| Violation::new("probe or lifecycle host", detail))
}

fn privileged(pod: Subject<'_>) -> Option<Violation> {
    let bad = pod.containers_with(|one| is_set(&one["securityContext"]["privileged"]));
    let detail = format!("{} must not set securityContext.privileged=true", containers(&bad));
    (!bad.is_empty()).then(|| Violation::new("privileged", detail))
}

/// A mask over `/proc` other than the default one.
pub(super) fn proc_mount(pod: Subject<'_>) -> Option<Violation> {
    let mut kinds = Values::new();
    let bad = pod.containers_with(|one| {
        let kind = one["securityContext"]["procMount"].as_str();
        let other = kind.filter(|kind| *kind != "Default").map(str::to_owned);
        let is_bad = other.is_some();
        kinds.extend(other);
        is_bad
    });
    let detail = format!(
        "{} must not set securityContext.procMount to {}",
        containers(&bad),
        quoted(&kinds)
    );
    (!bad.is_empty()).then(|| Violation::new("procMount", detail))
}

fn selinux(pod: Subject<'_>, minor: u32) -> Option<Violation> {
    let (mut types, mut has_user, mut has_role) = (Values::new(), false, false);
    let mut is_bad = |context: &Value| {
        let options = &context["seLinuxOptions"];
        let kind = text(&options["type"]);
        let is_known = SELINUX_TYPES.iter().any(|(one, since)| *one == kind && *since <= minor);
        let [user, role] = ["user", "role"].map(|field| !text(&options[field]).is_empty());
        has_user |= user;
        has_role |= role;
        if !is_known {
            types.insert(kind);
        }
        !is_known || user || role
    };
    let is_pod = is_bad(&pod.spec["securityContext"]);
    let bad = pod.containers_with(|one| is_bad(&one["securityContext"]));
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!("{} {}", plural("type", "types", types.len()), quoted(&types)));
    }
    if has_user {
        what.push("user may not be set".to_owned());
    }
    if has_role {
        what.push("role may not be set".to_owned());
    }
    let detail = format!(
        "{} set forbidden securityContext.seLinuxOptions: {}",
        setters(is_pod, &bad),
        what.join("; ")
    );
    (!what.is_empty()).then(|| Violation::new("seLinuxOptions", detail))
}

const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// Whether a profile of seccomp is one that confines.
pub(super) fn confines(kind: &str) -> bool {
    ["Localhost", "RuntimeDefault"].contains(&kind)
}

fn seccomp(pod: Subject<'_>, minor: u32) -> Option<Violation> {
    if minor < 19 {
        return seccomp_by_annotations(pod);
    }
    let mut kinds = Values::new();
    let mut is_bad = |context: &Value| {
        let profile = &context["seccompProfile"];
        let kind = text(&profile["type"]);
        let is_bad = profile.is_object() && !confines(&kind);
        if is_bad {
            kinds.insert(kind);
        }
        is_bad
    };
    let is_pod = is_bad(&pod.spec["securityContext"]);
    let bad = pod.containers_with(|one| is_bad(&one["securityContext"]));
    let who = setters(is_pod, &bad);
    let detail =
        format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&kinds));
    (!who.is_empty()).then(|| Violation::new("seccompProfile", detail))
}

fn seccomp_by_annotations(pod: Subject<'_>) -> Option<Violation> {
    let names: Vec<String> = pod.containers().map(|one| text(&one["name"])).collect();
    let is_bad = |(key, value): &(&str, String)| {
        let container = key.strip_prefix(SECCOMP_OF_CONTAINER);
        let is_own = container.is_none_or(|container| names.iter().any(|one| one == container));
        let confines = ["runtime/default", "docker/default"].contains(&&**value)
            || value.starts_with("localhost/");
        is_own && !confines
    };
    let all = pod.annotations(SECCOMP_OF_POD).filter(|(key, _)| *key == SECCOMP_OF_POD);
    let all = all.chain(pod.annotations(SECCOMP_OF_CONTAINER)).filter(is_bad);
    let bad: Values = all.map(|(key, value)| format!("{key}={value:?}")).collect();
    let listed: Vec<&str> = bad.iter().map(String::as_str).collect();
    let noun = plural("annotation", "annotations", bad.len());
    let detail = format!("forbidden {noun} {}", listed.join(", "));
    (!bad.is_empty()).then(|| Violation::new("seccompProfile", detail))
}

fn sysctls(pod: Subject<'_>, minor: u32) -> Option<Violation> {
    let all = pod.spec["securityContext"]["sysctls"].as_array().into_iter().flatten();
    let names = all.map(|one| text(&one["name"]));
    let is_safe = |name: &String| SYSCTLS.iter().any(|(one, since)| one == name && *since <= minor);
    let bad: Vec<String> = names.filter(|name| !is_safe(name)).collect();
    (!bad.is_empty()).then(|| Violation::new("forbidden sysctls", bad.join(", ")))
}

fn host_process(pod: Subject<'_>) -> Option<Violation> {
    let is_bad = |context: &Value| is_set(&context["windowsOptions"]["hostProcess"]);
    let is_pod = is_bad(&pod.spec["securityContext"]);
    let who = setters(is_pod, &pod.containers_with(|one| is_bad(&one["securityContext"])));
    let detail = format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
    (!who.is_empty()).then(|| Violation::new("hostProcess", detail))
}
