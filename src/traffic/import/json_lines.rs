//! JSON lines: structured access logs, Mooncake's traces, output of k6 and Vegeta.

use serde_json::{Map, Value};

use super::instant::Instant;
use super::{LineContext, Row, RowContent};
use crate::trace::Tokens;

/// Names of the timestamp field, in order of preference.
const TIMES: [&str; 11] = [
    "time_iso8601",
    "@timestamp",
    "timestamp",
    "start_time",
    "time",
    "ts",
    "msec",
    "date",
    "time_local",
    "StartUTC",
    "t",
];

/// Names of the duration field, with its unit in nanoseconds. A string may carry its own unit
/// (`12ms`).
const DURATIONS: [(&str, f64); 12] = [
    ("request_time", 1e9),
    ("duration", 1e9),
    ("duration_s", 1e9),
    ("elapsed", 1e9),
    ("response_time", 1e9),
    ("duration_ms", 1e6),
    ("latency_ms", 1e6),
    ("elapsed_ms", 1e6),
    ("response_time_ms", 1e6),
    ("duration_us", 1e3),
    ("duration_ns", 1.0),
    ("Duration", 1.0),
];

const PATHS: [&str; 6] = ["path", "uri", "request_uri", "url", "RequestPath", "request"];
const METHODS: [&str; 4] = ["method", "request_method", "http_method", "RequestMethod"];
const PROMPT_TOKENS: [&str; 3] = ["input_length", "prompt_tokens", "input_tokens"];
const OUTPUT_TOKENS: [&str; 3] = ["output_length", "output_tokens", "completion_tokens"];

/// A line of a structured access log, or of Mooncake's traces. Log lines are written when a request
/// ends; if there are token fields, the time is the arrival.
pub(super) fn row(line: &str, context: &LineContext<'_>) -> Result<Option<Row>, String> {
    let object = object(line)?;
    let Some((name, value)) = first_of(&object, &TIMES) else {
        return Err(format!("no time field; add one of {}", TIMES.join(", ")));
    };
    if let Some((_, Value::String(path))) = first_of(&object, &PATHS) {
        // nginx's $request is the whole request line.
        let mut words = path.split(' ');
        let (method, path) = match (words.next(), words.next()) {
            (Some(method), Some(path)) => (method, path),
            _ => (
                first_of(&object, &METHODS).and_then(|(_, one)| one.as_str()).unwrap_or(""),
                &**path,
            ),
        };
        if !context.wants(method, path) {
            return Ok(None);
        }
    }
    let prompt = tokens(&object, &PROMPT_TOKENS)?;
    let output = tokens(&object, &OUTPUT_TOKENS)?;
    if prompt.is_some() || output.is_some() {
        let session = match object.get("hash_ids") {
            Some(hashes) => context.conversations.borrow_mut().session(hashes)?,
            None => 0,
        };
        let (prompt, output) = (prompt.unwrap_or_default(), output.unwrap_or_default());
        let tokens = Tokens { session, ..Tokens::of(prompt, output) };
        let at = if name == "timestamp" { mooncake_time(value) } else { None };
        let at = at.map_or_else(|| instant(name, value), Ok)?;
        return Ok(Some(Row::new(at, RowContent::Request(Some(tokens)))));
    }
    let is_begin = matches!(name, "start_time" | "StartUTC");
    let at = instant(name, value)?;
    let taken = nanos_taken(&object)?;
    if is_begin {
        let took = taken.and_then(|taken| i64::try_from(taken).ok());
        return Ok(Some(Row { took, ..Row::new(at, RowContent::Request(None)) }));
    }
    Ok(Some(Row::ended(at, RowContent::Request(None), taken)))
}

/// A line of `k6 run --out json`: a point of `http_req_duration` marks the end of a request.
pub(super) fn k6_row(line: &str, context: &LineContext<'_>) -> Result<Option<Row>, String> {
    let object = object(line)?;
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    if text("type") != Some("Point") || text("metric") != Some("http_req_duration") {
        return Ok(None);
    }
    let Some(Value::Object(data)) = object.get("data") else {
        return Err("a point without `data`".into());
    };
    let url = data.get("tags").and_then(|tags| tags.get("url")).and_then(Value::as_str);
    if !context.wants("", url.map_or("", path_of_url)) {
        return Ok(None);
    }
    let time = data.get("time").ok_or("a point without `data.time`")?;
    let value = data.get("value").and_then(Value::as_f64).ok_or("a point without `data.value`")?;
    let value = not_negative("data.value", value)?;
    let end = instant("data.time", time)?;
    Ok(Some(Row::ended(end, RowContent::Request(None), Some(nanos_of(value, 1e6)))))
}

/// A line of `vegeta encode --to json`: the time at which the request was sent.
pub(super) fn vegeta_row(line: &str, context: &LineContext<'_>) -> Result<Option<Row>, String> {
    let object = object(line)?;
    let url = object.get("url").and_then(Value::as_str);
    if url.is_some_and(|url| !context.wants("", path_of_url(url))) {
        return Ok(None);
    }
    let time = object.get("timestamp").ok_or("no field `timestamp`")?;
    Ok(Some(Row::new(instant("timestamp", time)?, RowContent::Request(None))))
}

/// The path in a URL.
pub(super) fn path_of_url(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

fn object(line: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(line) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("the line is not a JSON object".into()),
        Err(error) => Err(format!("the line is not JSON: {error}")),
    }
}

fn first_of<'a>(
    object: &'a Map<String, Value>,
    names: &[&'static str],
) -> Option<(&'static str, &'a Value)> {
    names.iter().find_map(|name| Some((*name, object.get(*name).filter(|one| !one.is_null())?)))
}

fn instant(name: &str, value: &Value) -> Result<Instant, String> {
    let at = match value {
        Value::String(text) => {
            Instant::parse_log_date(text).map_or_else(|| Instant::parse(text), Ok)
        }
        Value::Number(number) => Instant::parse(&number.to_string()),
        _ => Err("neither a number nor text".into()),
    };
    at.map_err(|why| format!("{name}: {why}"))
}

/// Mooncake uses whole milliseconds from the start.
fn mooncake_time(value: &Value) -> Option<Instant> {
    let millis = value.as_u64().filter(|millis| *millis < 1_000_000_000)?;
    Some(Instant { nanos: i128::from(millis) * 1_000_000, is_date: false })
}

fn tokens(object: &Map<String, Value>, names: &[&'static str]) -> Result<Option<u32>, String> {
    let Some((name, value)) = first_of(object, names) else { return Ok(None) };
    let tokens = value.as_u64().and_then(|tokens| u32::try_from(tokens).ok());
    tokens.map(Some).ok_or_else(|| format!("{name}: {value} is not a number of tokens"))
}

/// Duration of the request; absent if the line does not record it in a known form.
fn nanos_taken(object: &Map<String, Value>) -> Result<Option<i128>, String> {
    let found = DURATIONS.iter().find_map(|(name, unit)| Some((*name, object.get(*name)?, *unit)));
    let Some((name, value, unit)) = found else { return Ok(None) };
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    if let (None, Some(text)) = (number, value.as_str()) {
        let span = text.parse::<jiff::SignedDuration>().ok();
        return Ok(span.map(|span| span.as_nanos().max(0)));
    }
    number.map(|number| Ok(nanos_of(not_negative(name, number)?, unit))).transpose()
}

fn not_negative(name: &str, number: f64) -> Result<f64, String> {
    if number >= 0.0 { Ok(number) } else { Err(format!("{name}: {number} is not a duration")) }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to some thirty years")]
fn nanos_of(number: f64, unit: f64) -> i128 {
    (number * unit).clamp(0.0, 1e18) as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> LineContext<'static> {
        LineContext::default()
    }

    #[test]
    fn structured_logs_are_read_whatever_their_fields_are_called() {
        let noon = Instant::parse("2023-11-16T12:00:00Z").expect("a date");
        for line in [
            r#"{"time_iso8601":"2023-11-16T12:00:02+00:00","request_time":"2.000","uri":"/"}"#,
            r#"{"@timestamp":"2023-11-16T12:00:02Z","duration_ms":2000}"#,
            r#"{"ts":1700136002.0,"duration":2.0,"request":{"uri":"/"}}"#,
            r#"{"time":"2023-11-16T12:00:02Z","duration":"2s"}"#,
            r#"{"time_local":"16/Nov/2023:14:00:02 +0200","duration_us":2000000}"#,
            r#"{"StartUTC":"2023-11-16T12:00:00Z","Duration":2000000000}"#,
        ] {
            let row = row(line, &all()).expect(line).expect(line);
            let expected =
                Row { took: Some(2_000_000_000), ..Row::new(noon, RowContent::Request(None)) };
            assert_eq!(row, expected, "{line}");
        }
    }

    #[test]
    fn the_traces_of_mooncake_count_milliseconds() {
        let line = r#"{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}"#;
        let row = row(line, &all()).expect("right").expect("wanted");
        assert_eq!(row.at, Instant { nanos: 27_482_000_000, is_date: false });
        assert_eq!(
            row.what,
            RowContent::Request(Some(Tokens { session: 1, ..Tokens::of(6955, 52) }))
        );
    }

    #[test]
    fn load_generators_tell_when_each_request_began() {
        let k6 = r#"{"metric":"http_req_duration","type":"Point","data":{"time":"2023-11-16T12:00:02Z","value":2000,"tags":{"url":"http://a/b"}}}"#;
        let vegeta =
            r#"{"attack":"","seq":0,"code":200,"timestamp":"2023-11-16T12:00:00Z","latency":7}"#;
        let noon = Instant::parse("2023-11-16T12:00:00Z").expect("a date");
        let row = Row::new(noon, RowContent::Request(None));
        let timed = Row { took: Some(2_000_000_000), ..row };
        assert_eq!(k6_row(k6, &all()), Ok(Some(timed)));
        assert_eq!(k6_row(k6, &LineContext { path: Some("/c"), ..all() }), Ok(None));
        assert_eq!(vegeta_row(vegeta, &all()), Ok(Some(row)));
        let other =
            r#"{"metric":"vus","type":"Point","data":{"time":"2023-11-16T12:00:02Z","value":1}}"#;
        assert_eq!(k6_row(other, &all()), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, says) in [
            ("{", "the line is not JSON"),
            ("[]", "the line is not a JSON object"),
            ("{}", "no time field"),
            (r#"{"time":true}"#, "time: neither"),
            (r#"{"timestamp":1,"input_length":-1}"#, "input_length: -1 is not a number"),
            (r#"{"time":1,"request_time":-3}"#, "request_time: -3 is not a duration"),
            (r#"{"time":1,"duration_ms":"-0.5"}"#, "duration_ms: -0.5 is not a duration"),
        ] {
            let error = row(line, &all()).expect_err(line);
            assert!(error.starts_with(says), "{line}: {error}");
        }
    }
}
