//! Reads a file of spans as a stream, without holding it in memory.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::jaeger::JaegerTrace;
use super::otlp::{Each, ResourceSpans};
use super::store::SpanStore;

/// Maximum length of a line: one export of the collector has some thousand spans.
const LINE_MAX: u64 = 256 << 20;

/// Reads spans into a store: OTLP as JSON, with an export per line or as one document, or Jaeger's JSON.
///
/// Malformed input is counted in [`SpanStore::read`], with its line. Returns an error if nothing in the file could be
/// read.
pub fn read_spans(mut input: impl BufRead, store: &mut SpanStore) -> Result<(), String> {
    let mut line_number = 0;
    let (spans_before, before) = (store.spans.len(), store.read.clone());
    let (good_before, shown_before) = (before.good, before.first_broken.len());
    loop {
        let mut line = Vec::new();
        let length = (&mut input).take(LINE_MAX).read_until(b'\n', &mut line);
        if length.map_err(|error| format!("cannot be read: {error}"))? == 0 {
            break;
        }
        line_number += 1;
        let text = line.trim_ascii();
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        if text.is_empty() || text.starts_with(b"#") {
            continue;
        }
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let read =
            document(&mut deserializer, line_number, store).and_then(|()| deserializer.end());
        match read {
            Ok(()) => {}
            // The first line is the beginning of a multi-line document.
            Err(error)
                if error.is_eof() && line_number == 1 && !is_export(next_of(&mut input)?) =>
            {
                store.back_to(spans_before, before);
                read_document(io::Cursor::new(line).chain(input), store);
                break;
            }
            Err(error) => store.bad(line_number, in_words(&error)),
        }
    }
    if store.read.good == good_before {
        let first = store.read.first_broken.get(shown_before);
        let why =
            first.map_or_else(String::new, |row| format!(" line {}: {};", row.line, row.message));
        return Err(format!(
            "no spans found:{why} use OpenTelemetry's JSON (`resourceSpans`, as written by the collector's file \
             exporter) or Jaeger's (`data` with `spans` and `processes`)"
        ));
    }
    Ok(())
}

/// The buffered input.
fn next_of(input: &mut impl BufRead) -> Result<&[u8], String> {
    input.fill_buf().map_err(|error| format!("cannot be read: {error}"))
}

/// Whether the input starts with a line of exports.
fn is_export(next: &[u8]) -> bool {
    next.starts_with(b"{\"resource")
}

/// A document that spans all lines.
fn read_document(input: impl Read, store: &mut SpanStore) {
    let mut deserializer = serde_json::Deserializer::from_reader(io::BufReader::new(input));
    let read = document(&mut deserializer, 1, store).and_then(|()| deserializer.end());
    if let Err(error) = read {
        let line = u64::try_from(error.line()).unwrap_or(u64::MAX);
        store.bad(line, format!("{}; the rest of the file was not read", in_words(&error)));
    }
}

fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The line is reported separately.
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

fn document<'de, D: Deserializer<'de>>(
    deserializer: D,
    line: u64,
    store: &mut SpanStore,
) -> Result<(), D::Error> {
    deserializer.deserialize_map(Document { line, store })
}

struct Document<'a> {
    line: u64,
    store: &'a mut SpanStore,
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with `resourceSpans` or `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { line, store } = self;
        let store = RefCell::new(store);
        let mut is_known = false;
        // A single Jaeger trace without the response envelope.
        let mut alone = JaegerTrace::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "resourceSpans" | "resource_spans" | "batches" => {
                    let mut take = |spans: ResourceSpans| spans.take(line, *store.borrow_mut());
                    map.next_value_seed(Each(&mut take).of::<ResourceSpans>())?;
                }
                "data" => {
                    let mut take = |trace: JaegerTrace| trace.take(line, *store.borrow_mut());
                    map.next_value_seed(Each(&mut take).of::<JaegerTrace>())?;
                }
                "spans" => alone.spans = map.next_value()?,
                "processes" => alone.processes = map.next_value()?,
                "resourceMetrics" | "resourceLogs" => {
                    map.next_value::<IgnoredAny>()?;
                    let what = key.trim_start_matches("resource").to_lowercase();
                    store.borrow_mut().bad(line, format!("these are {what}, not spans"));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            }
            is_known = true;
        }
        alone.take(line, *store.borrow_mut());
        if !is_known {
            let message = "an object without `resourceSpans` and `data`".to_owned();
            store.borrow_mut().bad(line, message);
        }
        Ok(())
    }
}
