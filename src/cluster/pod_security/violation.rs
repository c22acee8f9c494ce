//! The API server's messages for Pod Security violations.

use std::collections::BTreeSet;
use std::fmt;

/// A rule that a pod breaks.
pub(super) struct Violation {
    /// The rule.
    pub(super) reason: String,
    /// The offending fields and values.
    pub(super) detail: String,
}

impl Violation {
    /// A rule broken.
    pub(super) fn new(reason: &str, detail: String) -> Self {
        Self { reason: reason.to_owned(), detail }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.detail)
    }
}

/// The word for one thing, or for several.
pub(super) fn plural<'w>(one: &'w str, several: &'w str, count: usize) -> &'w str {
    if count == 1 { one } else { several }
}

/// Names in quotes.
pub(super) fn quoted<'n>(names: impl IntoIterator<Item = &'n String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}

/// `container "a"`, `containers "a", "b"`.
pub(super) fn containers(names: &[String]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

/// `pod and containers "a", "b"`: the places of a setting.
pub(super) fn setters(is_pod: bool, names: &[String]) -> String {
    let named = (!names.is_empty()).then(|| containers(names));
    let all = is_pod.then(|| "pod".to_owned()).into_iter().chain(named);
    all.collect::<Vec<String>>().join(" and ")
}

/// Values, each once and in order.
pub(super) type Values = BTreeSet<String>;
