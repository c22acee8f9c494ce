//! The rules that `restricted` adds to `baseline`, in the order of their names (`policy/check_*.go`).

use serde_json::Value;

use super::baseline::{confines, proc_mount};
use super::violation::{Values, Violation, containers, plural, quoted, setters};
use super::{Subject, text};

/// Sources of volumes that pods may have.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Violations of the standard of a minor version.
pub(super) fn check(pod: Subject<'_>, minor: u32) -> Vec<Violation> {
    let since = |first: u32, broken: Option<Violation>| broken.filter(|_| minor >= first);
    // Windows knows nothing of these.
    let is_exempt = minor >= 25 && pod.is_windows();
    let unless_exempt = |broken: Option<Violation>| broken.filter(|_| !is_exempt);
    let has_own_users = minor >= 35 && pod.has_own_users();
    let unless_own_users = |broken: Option<Violation>| broken.filter(|_| !has_own_users);
    let rules = [
        since(8, unless_exempt(privilege_escalation(pod))),
        since(22, unless_exempt(capabilities(pod))),
        since(35, proc_mount(pod)),
        volumes(pod),
        unless_own_users(run_as_non_root(pod)),
        since(23, unless_own_users(run_as_user(pod))),
        since(19, unless_exempt(seccomp(pod))),
    ];
    rules.into_iter().flatten().collect()
}

fn privilege_escalation(pod: Subject<'_>) -> Option<Violation> {
    let bad = pod.containers_with(|one| {
        one["securityContext"]["allowPrivilegeEscalation"] != Value::Bool(false)
    });
    let detail =
        format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&bad));
    (!bad.is_empty()).then(|| Violation::new("allowPrivilegeEscalation != false", detail))
}

fn capabilities(pod: Subject<'_>) -> Option<Violation> {
    let listed = |one: &Value, field: &str| -> Vec<String> {
        let all = one["securityContext"]["capabilities"][field].as_array();
        all.into_iter().flatten().map(text).collect()
    };
    let keeping = pod.containers_with(|one| !listed(one, "drop").iter().any(|one| one == "ALL"));
    let mut added = Values::new();
    let adding = pod.containers_with(|one| {
        let mut other = listed(one, "add");
        other.retain(|one| one != "NET_BIND_SERVICE");
        let is_bad = !other.is_empty();
        added.extend(other);
        is_bad
    });
    let mut details = Vec::new();
    if !keeping.is_empty() {
        let who = containers(&keeping);
        details.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    if !adding.is_empty() {
        details.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers(&adding),
            quoted(&added)
        ));
    }
    (!details.is_empty()).then(|| Violation::new("unrestricted capabilities", details.join("; ")))
}

fn volumes(pod: Subject<'_>) -> Option<Violation> {
    let (mut bad, mut kinds) = (Vec::new(), Values::new());
    for volume in pod.spec["volumes"].as_array().into_iter().flatten() {
        let fields = volume.as_object().into_iter().flatten();
        let mut sources = fields.filter(|(name, value)| *name != "name" && !value.is_null());
        let source = sources.next().map_or("unknown", |(name, _)| name.as_str());
        if !VOLUMES.contains(&source) {
            bad.push(text(&volume["name"]));
            kinds.insert(source.to_owned());
        }
    }
    let detail = format!(
        "{} {} {} {} {}",
        plural("volume", "volumes", bad.len()),
        quoted(&bad),
        plural("uses", "use", bad.len()),
        plural("restricted volume type", "restricted volume types", kinds.len()),
        quoted(&kinds)
    );
    (!bad.is_empty()).then(|| Violation::new("restricted volume types", detail))
}

fn run_as_non_root(pod: Subject<'_>) -> Option<Violation> {
    let asks = |context: &Value| context["runAsNonRoot"].as_bool();
    let of_pod = asks(&pod.spec["securityContext"]);
    let reason = "runAsNonRoot != true";
    let bad = pod.containers_with(|one| asks(&one["securityContext"]) == Some(false));
    let who = setters(of_pod == Some(false), &bad);
    if !who.is_empty() {
        let detail = format!("{who} must not set securityContext.runAsNonRoot=false");
        return Some(Violation::new(reason, detail));
    }
    let silent = pod.containers_with(|one| asks(&one["securityContext"]).is_none());
    let detail =
        format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent));
    (of_pod != Some(true) && !silent.is_empty()).then(|| Violation::new(reason, detail))
}

fn run_as_user(pod: Subject<'_>) -> Option<Violation> {
    let is_root = |context: &Value| context["runAsUser"].as_i64() == Some(0);
    let bad = pod.containers_with(|one| is_root(&one["securityContext"]));
    let who = setters(is_root(&pod.spec["securityContext"]), &bad);
    let detail = format!("{who} must not set runAsUser=0");
    (!who.is_empty()).then(|| Violation::new("runAsUser=0", detail))
}

fn seccomp(pod: Subject<'_>) -> Option<Violation> {
    let kind_of = |context: &Value| {
        let profile = &context["seccompProfile"];
        profile.is_object().then(|| text(&profile["type"]))
    };
    let of_pod = kind_of(&pod.spec["securityContext"]);
    let mut kinds = Values::new();
    let mut is_bad = |kind: Option<String>| {
        let bad = kind.filter(|kind| !confines(kind));
        let is_bad = bad.is_some();
        kinds.extend(bad);
        is_bad
    };
    let is_pod = is_bad(of_pod.clone());
    let bad = pod.containers_with(|one| is_bad(kind_of(&one["securityContext"])));
    let who = setters(is_pod, &bad);
    if !who.is_empty() {
        let kinds = quoted(&kinds);
        let detail = format!("{who} must not set securityContext.seccompProfile.type to {kinds}");
        return Some(Violation::new("seccompProfile", detail));
    }
    let silent = pod.containers_with(|one| kind_of(&one["securityContext"]).is_none());
    let detail = format!(
        "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        containers(&silent)
    );
    (of_pod.is_none() && !silent.is_empty()).then(|| Violation::new("seccompProfile", detail))
}
