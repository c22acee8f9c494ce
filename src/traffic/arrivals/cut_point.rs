//! A cut point in a trace: an offset from its beginning, or a calendar date.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::trace::Trace;
use engine::SimDuration;
use engine::parse_duration;

/// A cut point in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutPoint {
    /// An offset from the trace's beginning.
    After(SimDuration),
    /// A date, for a trace that records the date of its beginning.
    At(Timestamp),
}

impl CutPoint {
    /// The offset from the trace's beginning, or the reason why it cannot be determined.
    pub(crate) fn offset(self, trace: &Trace) -> Result<SimDuration, String> {
        let date = match self {
            Self::After(span) => return Ok(span),
            Self::At(date) => date,
        };
        let Some(start) = trace.start() else {
            return Err(format!(
                "{date} is a date, but the trace's start date is unknown; write a time since its start, such as \
                 2h, or add `# start: 2026-01-05T08:00:00Z` to its first lines"
            ));
        };
        let nanos = date.as_nanosecond() - start.as_nanosecond();
        if nanos < 0 {
            return Err(format!("{date} is before the start of the trace at {start}"));
        }
        Ok(SimDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)))
    }
}

impl Default for CutPoint {
    fn default() -> Self {
        Self::After(SimDuration::ZERO)
    }
}

impl fmt::Display for CutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(span) => span.fmt(f),
            Self::At(date) => date.fmt(f),
        }
    }
}

impl Serialize for CutPoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::After(span) => span.serialize(serializer),
            Self::At(date) => date.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CutPoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        if let Ok(date) = text.parse::<Timestamp>() {
            return Ok(Self::At(date));
        }
        parse_duration(&text).map(Self::After).map_err(|error| {
            D::Error::custom(format!(
                "{error}; or a date with its time zone, such as 2026-01-05T08:00:00Z"
            ))
        })
    }
}

impl JsonSchema for CutPoint {
    fn schema_name() -> Cow<'static, str> {
        "Cut".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let span = generator.subschema_for::<SimDuration>();
        json_schema!({
            "description": "A position in a trace: a time since its start, such as 2h, or a date with its time zone, such as 2026-01-05T08:00:00Z.",
            "anyOf": [span, { "type": "string", "format": "date-time" }]
        })
    }
}
