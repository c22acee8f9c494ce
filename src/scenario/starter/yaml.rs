//! Texts as YAML scalars.

use std::fmt::Display;

/// A YAML scalar: plain if that reads back as the same text, else quoted.
pub(super) fn scalar(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let begins_as_text =
        text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    let is_word = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
        .contains(&text.to_ascii_lowercase().as_str());
    if begins_as_text && !is_word && text.bytes().all(plain) {
        text.to_owned()
    } else {
        // A JSON string is a valid YAML scalar.
        serde_json::Value::from(text).to_string()
    }
}

/// A text for a comment, on one line.
pub(super) fn comment(text: &str) -> String {
    let words = text.split(|one: char| one.is_whitespace() || one.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Items on one line.
pub(super) fn joined(items: &[impl Display], separator: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_one_line() {
        assert_eq!(comment("sum(\n  rate(a[1m])\r\n)\u{7}\u{85}"), "sum( rate(a[1m]) )");
    }

    #[test]
    fn a_text_stays_a_text() {
        for (text, written) in [
            ("k8s/app.yaml", "k8s/app.yaml"),
            ("yes", "\"yes\""),
            ("8", "\"8\""),
            ("a: b", "\"a: b\""),
            ("", "\"\""),
            ("../k8s", "\"../k8s\""),
            ("*.yaml", "\"*.yaml\""),
            ("a\"b", "\"a\\\"b\""),
        ] {
            assert_eq!(scalar(text), written);
        }
    }
}
