//! Jaeger's spans as JSON, as returned by its query service and saved by its UI.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::otlp::{NumberOrText, PEERS};
use super::store::{RawSpan, SpanKind, SpanStore};

#[derive(Debug, Default, Deserialize)]
pub(super) struct JaegerTrace {
    #[serde(default)]
    pub spans: Vec<JaegerSpan>,
    #[serde(default)]
    pub processes: BTreeMap<String, Process>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Process {
    #[serde(default, rename = "serviceName")]
    service: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JaegerSpan {
    #[serde(default, rename = "traceID")]
    trace: String,
    #[serde(default, rename = "spanID")]
    id: String,
    /// Older versions have the parent here.
    #[serde(default, rename = "parentSpanID")]
    parent: Option<String>,
    #[serde(default)]
    operation_name: String,
    #[serde(default)]
    references: Option<Vec<Reference>>,
    /// Microseconds since 1970.
    #[serde(default)]
    start_time: NumberOrText,
    /// Microseconds.
    #[serde(default)]
    duration: NumberOrText,
    #[serde(default)]
    tags: Option<Vec<Tag>>,
    #[serde(default, rename = "processID")]
    process_id: String,
    /// Some exports have the process of each span with it.
    #[serde(default)]
    process: Option<Process>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(default, rename = "refType")]
    kind: String,
    #[serde(default, rename = "traceID")]
    trace: String,
    #[serde(default, rename = "spanID")]
    span: String,
}

#[derive(Debug, Deserialize)]
struct Tag {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: Value,
}

const NANOS_PER_MICRO: i64 = 1000;

impl JaegerTrace {
    /// Adds the spans to the store; problems are reported at this line.
    pub fn take(&self, line: u64, store: &mut SpanStore) {
        for Process { service, tags } in self.processes.values() {
            let of = |key| text_of(tags, key).unwrap_or_default();
            store.home(service, of("k8s.namespace.name"), of("k8s.deployment.name"));
        }
        for span in &self.spans {
            let process = span.process.as_ref().or_else(|| self.processes.get(&span.process_id));
            let tags = span.tags.as_deref().unwrap_or_default();
            let start =
                span.start_time.number().and_then(|micros| micros.checked_mul(NANOS_PER_MICRO));
            let lasted =
                span.duration.number().and_then(|micros| micros.checked_mul(NANOS_PER_MICRO));
            let kind = kind(text_of(tags, "span.kind").unwrap_or_default());
            let follows = span.parent().is_some_and(|(_, follows)| follows);
            let raw = RawSpan {
                trace: &span.trace,
                id: &span.id,
                parent: span.parent().map_or("", |(parent, _)| parent),
                service: process.map_or("", |process| process.service.as_str()),
                operation: &span.operation_name,
                peer: PEERS.into_iter().find_map(|key| text_of(tags, key)),
                // The cause of a follows-from span does not wait for it, as with a message.
                kind: if follows { SpanKind::Consumer } else { kind },
                is_error: tags.iter().any(|tag| tag.key == "error" && is_true(&tag.value)),
                start,
                end: start.zip(lasted).and_then(|(start, lasted)| start.checked_add(lasted)),
            };
            if let Err(message) = store.take(&raw) {
                store.bad(line, message);
            }
        }
    }
}

impl JaegerSpan {
    /// The parent span, and whether it is only a follows-from reference.
    fn parent(&self) -> Option<(&str, bool)> {
        let here = |one: &&Reference| one.trace.is_empty() || one.trace == self.trace;
        let references = self.references.as_deref().unwrap_or_default();
        let child_of = references.iter().filter(here).find(|one| one.kind == "CHILD_OF");
        let follows = || references.iter().filter(here).find(|one| one.kind == "FOLLOWS_FROM");
        let written = self.parent.as_deref().filter(|parent| !parent.is_empty());
        let direct = child_of.map(|one| one.span.as_str()).or(written).map(|span| (span, false));
        direct.or_else(|| Some((follows()?.span.as_str(), true)))
    }
}

fn text_of<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.key == key).and_then(|tag| tag.value.as_str())
}

fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true) || value.as_str() == Some("true")
}

fn kind(text: &str) -> SpanKind {
    match text {
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}
