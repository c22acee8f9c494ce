//! Meaning of a plain (unquoted) YAML scalar, as kubectl reads it.
//!
//! Semantics: `sigs.k8s.io/yaml` `goyaml.v2/resolve.go`, and its conversion of the result to JSON.

use serde_json::Value;

/// The value of a plain scalar; `None` for an infinity or not-a-number, which JSON cannot hold.
pub(super) fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Some(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Some(Value::Bool(false));
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return None,
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Some(Value::from(text));
    }
    let number = text.replace('_', "");
    if let Some(integer) = integer(&number) {
        return Some(integer);
    }
    if is_float(&number) {
        return number.parse().ok().and_then(number_value);
    }
    Some(Value::from(text))
}

/// A float as JSON holds it: a whole one is an integer, as in the JSON that kubectl sends.
fn number_value(float: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if libm::trunc(float).to_bits() == float.to_bits() && float.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number of at most 2^53")]
        return Some(Value::from(float as i64));
    }
    serde_json::Number::from_f64(float).map(Value::Number)
}

/// Go's `strconv.ParseInt(text, 0, 64)`, then `ParseUint`.
fn integer(text: &str) -> Option<Value> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    if let Ok(signed) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        return Some(Value::from(signed));
    }
    if sign.is_empty() { u64::from_str_radix(digits, radix).ok().map(Value::from) } else { None }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let digits_end = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits_end(text);
    let mut rest = &text[whole..];
    if let Some(after_point) = rest.strip_prefix('.') {
        let fraction = digits_end(after_point);
        if whole + fraction == 0 {
            return false;
        }
        rest = &after_point[fraction..];
    } else if whole == 0 {
        return false;
    }
    let Some(exponent) = rest.strip_prefix(['e', 'E']) else { return rest.is_empty() };
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    !exponent.is_empty() && digits_end(exponent) == exponent.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalars_mean_what_kubectl_makes_of_them() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("0644", json!(420)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("-0b101", json!(-5)),
            ("08", json!(8)),
            ("1_000", json!(1000)),
            ("+12", json!(12)),
            ("1.0", json!(1)),
            ("1e3", json!(1000)),
            ("1.10", json!(1.1)),
            (".5", json!(0.5)),
            ("9223372036854775808", json!(9_223_372_036_854_775_808_u64)),
            ("12:30:45", json!("12:30:45")),
            ("2026-11-21", json!("2026-11-21")),
            ("1.5Gi", json!("1.5Gi")),
            ("100m", json!("100m")),
            ("10.0.0.1", json!("10.0.0.1")),
            ("-", json!("-")),
            (".", json!(".")),
            ("0x", json!("0x")),
            ("-+1", json!("-+1")),
            ("yEs", json!("yEs")),
        ] {
            assert_eq!(resolve(text), Some(value), "{text:?}");
        }
        for text in [".inf", "-.Inf", ".NaN", "1e999"] {
            assert_eq!(resolve(text), None, "{text:?}");
        }
    }
}
