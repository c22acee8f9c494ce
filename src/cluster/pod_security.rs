//! Pod Security admission: the standards required by a namespace's labels, and the pods that violate them
//! (`k8s.io/pod-security-admission`, 1.36). It checks pods as written: fields that are not simulated are in their
//! document.

mod baseline;
mod restricted;
mod violation;

use std::fmt;

use serde_json::Value;

use super::meta::Labels;

/// The latest version that changed a rule; later versions equal it.
const NEWEST: u32 = 36;

/// A Pod Security standard. Each includes the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Unrestricted.
    Privileged,
    /// Prevents known privilege escalations to the node.
    Baseline,
    /// Current hardening best practice.
    Restricted,
}

/// A standard at a version of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standard {
    /// The standard.
    pub level: Level,
    /// Minor version of Kubernetes 1; absent = the latest.
    pub minor: Option<u32>,
}

/// Handling of pods that violate a standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The pod is refused.
    Enforce,
    /// The violation is recorded in the audit log.
    Audit,
    /// The client gets a warning.
    Warn,
}

impl Mode {
    /// The spelling used in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Audit => "audit",
            Self::Warn => "warn",
        }
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.minor {
            None => write!(f, "{level}:latest"),
            Some(minor) => write!(f, "{level}:v1.{minor}"),
        }
    }
}

/// The standard required by a namespace in a mode (`PolicyToEvaluate`). Without a label nothing is required, except
/// that warnings follow the enforced standard. An invalid level means `restricted` when enforced and nothing
/// otherwise; an invalid version means the latest.
pub fn standard(labels: &Labels, mode: Mode) -> Standard {
    let has_label = |suffix| labels.get(&format!("pod-security.kubernetes.io/{suffix}")).is_some();
    if mode == Mode::Warn && !has_label("warn") {
        let enforced = labels.get("pod-security.kubernetes.io/enforce").map(|level| &**level);
        if matches!(enforced, Some("baseline" | "restricted")) {
            let enforced = own_standard(labels, Mode::Enforce);
            let own = own_standard(labels, mode).minor;
            let minor = if has_label("warn-version") { own } else { enforced.minor };
            return Standard { minor, ..enforced };
        }
    }
    own_standard(labels, mode)
}

fn own_standard(labels: &Labels, mode: Mode) -> Standard {
    let key = format!("pod-security.kubernetes.io/{}", mode.name());
    let level = match labels.get(&key).map(|level| &**level) {
        None | Some("privileged") => Level::Privileged,
        Some("baseline") => Level::Baseline,
        Some("restricted") => Level::Restricted,
        Some(_) if mode == Mode::Enforce => Level::Restricted,
        Some(_) => Level::Privileged,
    };
    let version = labels.get(&format!("{key}-version"));
    let minor = version.and_then(|version| minor_of(version));
    Standard { level, minor }
}

/// The minor version of `v1.25`; `None` for `latest` and for invalid versions.
fn minor_of(version: &str) -> Option<u32> {
    let minor = version.strip_prefix("v1.")?;
    let is_plain = minor == "0" || !minor.starts_with('0');
    let is_number = minor.bytes().all(|digit| digit.is_ascii_digit());
    minor.parse().ok().filter(|_| is_plain && is_number)
}

/// The violations of a standard by a pod, given its metadata and spec, in the words of the API server; `None` if
/// there are none.
pub fn violations(pod: &Value, standard: Standard) -> Option<String> {
    if standard.level == Level::Privileged {
        return None;
    }
    let minor = standard.minor.unwrap_or(NEWEST).min(NEWEST);
    let pod = Subject { metadata: &pod["metadata"], spec: &pod["spec"] };
    let is_restricted = standard.level == Level::Restricted;
    let mut broken = baseline::check(pod, minor, is_restricted);
    if is_restricted {
        broken.extend(restricted::check(pod, minor));
    }
    let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
    (!broken.is_empty()).then(|| broken.join(", "))
}

/// The pod being checked.
#[derive(Clone, Copy)]
struct Subject<'a> {
    metadata: &'a Value,
    spec: &'a Value,
}

impl<'a> Subject<'a> {
    /// All containers, init containers first.
    fn containers(self) -> impl Iterator<Item = &'a Value> {
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        lists.into_iter().flat_map(move |list| self.spec[list].as_array().into_iter().flatten())
    }

    /// The names of the containers for which `holds` is true.
    fn containers_with(self, mut holds: impl FnMut(&'a Value) -> bool) -> Vec<String> {
        self.containers().filter(|one| holds(one)).map(|one| text(&one["name"])).collect()
    }

    /// True if it runs in its own user namespace.
    fn has_own_users(self) -> bool {
        self.spec["hostUsers"] == Value::Bool(false)
    }

    fn is_windows(self) -> bool {
        self.spec["os"]["name"] == "windows"
    }

    /// The annotations whose key starts with `begin`, in their order.
    fn annotations(self, begin: &'a str) -> impl Iterator<Item = (&'a str, String)> {
        let all = self.metadata["annotations"].as_object().into_iter().flatten();
        let all = all.filter(move |(key, _)| key.starts_with(begin));
        all.map(|(key, value)| (key.as_str(), text(value)))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether a field is `true`.
fn is_set(value: &Value) -> bool {
    *value == Value::Bool(true)
}

#[cfg(test)]
mod tests;
