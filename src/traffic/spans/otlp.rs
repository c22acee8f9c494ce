//! OpenTelemetry's spans as JSON: the lines of the collector's file exporter, and the payload of OTLP/HTTP.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::store::{RawSpan, SpanKind, SpanStore};

#[derive(Debug, Deserialize)]
pub(super) struct ResourceSpans {
    #[serde(default)]
    resource: Resource,
    #[serde(
        default,
        rename = "scopeSpans",
        alias = "scope_spans",
        alias = "instrumentationLibrarySpans"
    )]
    scopes: Vec<ScopeSpans>,
}

#[derive(Debug, Default, Deserialize)]
struct Resource {
    #[serde(default)]
    attributes: Vec<Attribute>,
}

#[derive(Debug, Deserialize)]
struct ScopeSpans {
    #[serde(default)]
    spans: Vec<OtlpSpan>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OtlpSpan {
    #[serde(default, alias = "trace_id")]
    trace_id: String,
    #[serde(default, alias = "span_id")]
    span_id: String,
    #[serde(default, alias = "parent_span_id")]
    parent_span_id: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: NumberOrText,
    #[serde(default, alias = "start_time_unix_nano")]
    start_time_unix_nano: NumberOrText,
    #[serde(default, alias = "end_time_unix_nano")]
    end_time_unix_nano: NumberOrText,
    #[serde(default)]
    attributes: Vec<Attribute>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: NumberOrText,
}

#[derive(Debug, Deserialize)]
struct Attribute {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: AttributeValue,
}

/// Only string values are used.
#[derive(Debug, Default, Deserialize)]
struct AttributeValue {
    #[serde(default, rename = "stringValue", alias = "string_value")]
    text: Option<String>,
}

/// 64-bit numbers are strings in protobuf's JSON, and numbers when written by hand; enums may be either.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
pub(super) enum NumberOrText {
    Number(i64),
    Text(String),
    #[default]
    Nothing,
}

impl NumberOrText {
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Nothing => None,
        }
    }

    fn is(&self, number: i64, name: &str) -> bool {
        match self {
            Self::Text(text) if text == name => true,
            other => other.number() == Some(number),
        }
    }
}

/// Attributes with which a client names the service that it calls, most reliable first.
pub(super) const PEERS: [&str; 5] =
    ["peer.service", "server.address", "net.peer.name", "rpc.service", "db.system"];

impl ResourceSpans {
    /// Adds the spans to the store; problems are reported at this line.
    pub fn take(&self, line: u64, store: &mut SpanStore) {
        let of_resource = |key| text_of(&self.resource.attributes, key).unwrap_or_default();
        let service = of_resource("service.name");
        let workload = ["k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name"]
            .into_iter()
            .map(of_resource)
            .find(|name| !name.is_empty());
        store.home(service, of_resource("k8s.namespace.name"), workload.unwrap_or_default());
        for span in self.scopes.iter().flat_map(|scope| &scope.spans) {
            let code = span.status.as_ref().map(|status| &status.code);
            let raw = RawSpan {
                trace: &span.trace_id,
                id: &span.span_id,
                parent: span.parent_span_id.as_deref().unwrap_or_default(),
                service,
                operation: &span.name,
                peer: PEERS.into_iter().find_map(|key| text_of(&span.attributes, key)),
                kind: kind(&span.kind),
                is_error: code.is_some_and(|code| code.is(2, "STATUS_CODE_ERROR")),
                start: span.start_time_unix_nano.number(),
                end: span.end_time_unix_nano.number(),
            };
            if let Err(message) = store.take(&raw) {
                store.bad(line, message);
            }
        }
    }
}

fn text_of<'a>(attributes: &'a [Attribute], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    found.and_then(|attribute| attribute.value.text.as_deref())
}

fn kind(kind: &NumberOrText) -> SpanKind {
    let kinds = [
        (2, "SPAN_KIND_SERVER", SpanKind::Server),
        (3, "SPAN_KIND_CLIENT", SpanKind::Client),
        (4, "SPAN_KIND_PRODUCER", SpanKind::Producer),
        (5, "SPAN_KIND_CONSUMER", SpanKind::Consumer),
    ];
    let found = kinds.into_iter().find(|(number, name, _)| kind.is(*number, name));
    found.map_or(SpanKind::Internal, |(_, _, kind)| kind)
}

/// A list whose elements are processed as they are read, so that it is never in memory as a whole.
pub(super) struct Each<'a, F>(pub &'a mut F);

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for EachOf<'_, T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

/// [`Each`] with the type of the elements.
pub(super) struct EachOf<'a, T, F> {
    then: &'a mut F,
    of: std::marker::PhantomData<T>,
}

impl<'a, F> Each<'a, F> {
    pub const fn of<T>(self) -> EachOf<'a, T, F> {
        EachOf { then: self.0, of: std::marker::PhantomData }
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for EachOf<'_, T, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<T>()? {
            (self.then)(element);
        }
        Ok(())
    }

    /// The one element itself.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        (self.then)(T::deserialize(MapAccessDeserializer::new(map))?);
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}
