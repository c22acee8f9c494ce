//! Validation of names, labels and annotations (`apimachinery/pkg/util/validation`, 1.36).

use std::collections::BTreeMap;

use super::field::{FieldErrors, FieldPath};

/// The rule of a kind for `metadata.name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameRule {
    /// An RFC 1123 subdomain: most kinds.
    Subdomain,
    /// An RFC 1123 label: namespaces, and Services since 1.36 (`RelaxedServiceNameValidation`).
    Label,
    /// A subdomain with a limited length in bytes.
    SubdomainUpTo(usize),
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
    '-', and must start and end with an alphanumeric character (e.g. 'my-name')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
    '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue')";
const QUALIFIED_NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must \
    start and end with an alphanumeric character (e.g. 'MyName', or 'example.com/MyName')";
const TOO_LONG: [&str; 2] = ["must be no more than 63 bytes", "must be no more than 253 bytes"];

/// Checks a name; a prefix, as in `generateName`, may end in a hyphen.
pub(super) fn check_name(
    name: &str,
    is_prefix: bool,
    rule: NameRule,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let checked = if is_prefix { name.trim_end_matches('-') } else { name };
    let broken = match rule {
        NameRule::SubdomainUpTo(length) if checked.len() > length => {
            return errors.invalid(path, name, format!("must be no more than {length} bytes"));
        }
        NameRule::Subdomain | NameRule::SubdomainUpTo(_) => broken_subdomain(checked),
        NameRule::Label => broken_label(checked),
    };
    if let Some(rule) = broken {
        errors.invalid(path, name, rule);
    }
}

/// Checks the name of a container's port (`IsValidPortName`).
pub(super) fn check_port_name(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    for (is_right, rule) in [
        (name.len() <= 15, "must be no more than 15 characters"),
        (
            name.chars().all(is_known),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (name.contains(|c: char| c.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (!name.contains("--"), "must not contain consecutive hyphens"),
        (!name.starts_with('-') && !name.ends_with('-'), "must not begin or end with a hyphen"),
    ] {
        if !is_right {
            errors.invalid(path, name, rule);
        }
    }
}

/// Checks the keys and values of labels (`ValidateLabels`).
pub(super) fn check_labels(
    labels: Option<&BTreeMap<String, String>>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (key, value) in labels.into_iter().flatten() {
        check_key(key, path, errors);
        check_label_value(value, &path.key(key), errors);
    }
}

/// Checks the value of a label (`IsValidLabelValue`).
pub(super) fn check_label_value(value: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let broken = match value.len() {
        64.. => Some(TOO_LONG[0]),
        _ if value.is_empty() || is_name_part(value) => None,
        _ => Some(LABEL_VALUE),
    };
    if let Some(rule) = broken {
        errors.invalid(path, value, rule);
    }
}

/// Checks the key of a label or an annotation: `name` or `prefix/name` (`IsQualifiedName`).
pub(super) fn check_key(key: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(p, n)| (Some(p), n));
    let broken = match prefix {
        Some("") => Some("prefix part must be non-empty"),
        Some(prefix) if broken_subdomain(&prefix.to_ascii_lowercase()).is_some() => Some(SUBDOMAIN),
        _ if name.len() > 63 => Some(TOO_LONG[0]),
        _ if !is_name_part(name) => Some(QUALIFIED_NAME),
        _ => None,
    };
    if let Some(rule) = broken {
        errors.invalid(path, key, rule);
    }
}

fn broken_subdomain(name: &str) -> Option<&'static str> {
    if name.len() > 253 {
        return Some(TOO_LONG[1]);
    }
    name.split('.').any(|label| !is_label(label)).then_some(SUBDOMAIN)
}

pub(super) fn broken_label(name: &str) -> Option<&'static str> {
    if name.len() > 63 {
        return Some(TOO_LONG[0]);
    }
    (!is_label(name)).then_some(LABEL)
}

fn is_label(label: &str) -> bool {
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    framed(label, is_alphanumeric, |b| is_alphanumeric(b) || b == b'-')
}

fn is_name_part(name: &str) -> bool {
    framed(
        name,
        |b| b.is_ascii_alphanumeric(),
        |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'),
    )
}

/// True if both ends satisfy `end` and all characters in between `inner`.
fn framed(text: &str, end: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    end(*first) && end(*last) && bytes.iter().all(|b| inner(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(name: &str, rule: NameRule) -> bool {
        let mut errors = FieldErrors::default();
        check_name(name, false, rule, &FieldPath::ROOT, &mut errors);
        errors.is_empty()
    }

    #[test]
    fn names_follow_the_rule_of_their_kind() {
        use NameRule::{Label, Subdomain, SubdomainUpTo};
        for (name, rule, is_valid) in [
            ("web.v1-2", Subdomain, true),
            ("Web", Subdomain, false),
            ("web_1", Subdomain, false),
            ("-web", Subdomain, false),
            ("web..1", Subdomain, false),
            ("", Subdomain, false),
            ("web.v1", Label, false),
            ("1web", Label, true),
            (&"a".repeat(63), Label, true),
            (&"a".repeat(64), Label, false),
            (&"a".repeat(253), Subdomain, true),
            (&"a".repeat(254), Subdomain, false),
            (&"a".repeat(53), SubdomainUpTo(52), false),
        ] {
            assert_eq!(accepts(name, rule), is_valid, "{name}");
        }
    }

    #[test]
    fn names_of_ports_are_short() {
        let problems = |name: &str| {
            let mut errors = FieldErrors::default();
            check_port_name(name, &FieldPath::ROOT, &mut errors);
            errors.into_vec().len()
        };
        for (name, count) in
            [("http", 0), ("a-1", 0), ("prometheus-metrics", 1), ("8080", 1), ("-Web--1", 3)]
        {
            assert_eq!(problems(name), count, "{name}");
        }
    }

    #[test]
    fn labels_are_checked_key_by_key() {
        let mut errors = FieldErrors::default();
        let labels = [
            ("app.kubernetes.io/name", "web"),
            ("_a", "b"),
            ("c", "no spaces"),
            ("d", ""),
            ("/e", "f"),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let path = FieldPath::ROOT;
        check_labels(Some(&labels), &path.field("labels"), &mut errors);
        let found: Vec<String> = errors.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with("labels: Invalid value: \"/e\": prefix part must be non-empty")
        );
        assert!(found[1].starts_with("labels: Invalid value: \"_a\": name part must consist"));
        assert!(found[2].starts_with("labels[c]: Invalid value: \"no spaces\": a valid label"));
    }
}
