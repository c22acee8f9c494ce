//! Durations as written by users: `90s`, `1h30m`, `250ms`, or a bare number of seconds.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SimDuration;

/// Units of Go's `time.ParseDuration` (used in Kubernetes' own files), and days; in nanoseconds.
const UNITS: [(&str, i64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

const SECOND: i64 = 1_000_000_000;

/// Parses a duration such as `1h30m`, `250ms`, `1.5s`, `2d` or `90` (seconds).
pub fn parse_duration(text: &str) -> Result<SimDuration, DurationError> {
    let mistake = |is_too_long| DurationError { text: text.to_owned(), is_too_long };
    let seconds = parse(text.trim()).filter(|seconds| *seconds >= 0.0);
    from_seconds(seconds.ok_or_else(|| mistake(false))?).ok_or_else(|| mistake(true))
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError {
    text: String,
    is_too_long: bool,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_too_long {
            let longest = format_duration(SimDuration::LONGEST_WRITTEN);
            return write!(f, "{:?} is too long; write {longest} or less", self.text);
        }
        write!(
            f,
            "{:?} is not a duration; write numbers with the units d h m s ms us, such as 90s, 1h30m or \
             250ms",
            self.text
        )
    }
}

impl std::error::Error for DurationError {}

/// Parses a duration into seconds.
fn parse(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Some(seconds);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number_len = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(unit_len);
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * (*nanos as f64 / 1e9);
        rest = tail;
    }
    (!text.is_empty()).then_some(seconds)
}

fn from_seconds(seconds: f64) -> Option<SimDuration> {
    // A negative duration has no meaning anywhere in a scenario.
    let duration = SimDuration::from_secs_f64(seconds);
    (seconds >= 0.0 && duration <= SimDuration::LONGEST_WRITTEN).then_some(duration)
}

/// A short text that parses to the same duration: `1h30m`, `250ms`, `3.4s`. Values from one second on have decimals,
/// like Go's durations.
pub fn format_duration(duration: SimDuration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (name, nanos) in UNITS.iter().rev().filter(|(_, nanos)| *nanos > SECOND) {
        if rest >= *nanos {
            let _ = write!(text, "{}{name}", rest / nanos);
            rest %= nanos;
        }
    }
    let unit = UNITS.iter().rev().find(|(_, nanos)| *nanos <= SECOND && *nanos <= rest);
    if let Some((name, nanos)) = unit {
        let digits = nanos.ilog10() as usize;
        let decimals = format!(".{:0digits$}", rest % nanos);
        let decimals = decimals.trim_end_matches('0').trim_end_matches('.');
        let _ = write!(text, "{}{decimals}{name}", rest / nanos);
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

impl Serialize for SimDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*self))
    }
}

impl<'de> Deserialize<'de> for SimDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = SimDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 90s, 1h30m or a number of seconds")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SimDuration, E> {
                parse_duration(text).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<SimDuration, E> {
                self.visit_f64(seconds as f64)
            }
            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<SimDuration, E> {
                self.visit_f64(seconds as f64)
            }
            fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<SimDuration, E> {
                from_seconds(seconds).ok_or_else(|| {
                    E::custom(format!(
                        "{seconds} seconds is out of range: write from 0s to {}",
                        format_duration(SimDuration::LONGEST_WRITTEN)
                    ))
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for SimDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration: 90s, 1h30m, 250ms, 2d, or a number of seconds.",
            "anyOf": [
                { "type": "string", "pattern": "^([0-9]+(\\.[0-9]*)?(d|h|m|s|ms|us|ns))+$|^[0-9]+(\\.[0-9]*)?$" },
                { "type": "number", "minimum": 0 }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, nanos) in [
            ("90s", 90_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("90", 90_000_000_000),
            ("0", 0),
            ("2d", 172_800_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(SimDuration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "s", "-5s", "1x", "1h30", "5 s", "1..5s", "NaN", "inf", "1e300"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in
            ["1h30m", "250ms", "1d", "0s", "15s", "3.4s", "1m50ms", "2.5ms", "1.001us", "7ns"]
        {
            let duration = parse_duration(text).expect("a valid duration");
            assert_eq!(
                serde_json::to_string(&duration).expect("serialises"),
                format!("\"{text}\"")
            );
        }
    }
}
