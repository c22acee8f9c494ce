//! The spans of a file, stored compactly: names are interned, and if there are too many traces every second one is
//! kept, chosen by id.

use rustc_hash::FxHashMap;

use crate::import::MalformedRow;

/// Maximum number of spans held: some 160 MB.
const SPANS_MAX: usize = 2_000_000;
/// Number of problems kept for display.
const SHOWN: usize = 5;

/// The kind of a span: `SpanKind` of OpenTelemetry, the tag `span.kind` of Jaeger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SpanKind {
    /// Work within a service, or no kind given.
    #[default]
    Internal,
    /// A request from the perspective of the answering service.
    Server,
    /// A request from the perspective of its caller.
    Client,
    /// A message is sent.
    Producer,
    /// A message is processed, some time later.
    Consumer,
}

/// One span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub trace: u128,
    pub id: u64,
    /// 0 if it has none.
    pub parent: u64,
    /// Numbers of interned names.
    pub service: u32,
    pub operation: u32,
    /// The service that a client names as its peer; `NO_NAME` if none.
    pub peer: u32,
    pub kind: SpanKind,
    pub is_error: bool,
    /// Nanoseconds since 1970.
    pub start: i64,
    pub end: i64,
}

/// Stands for an absent name.
pub(super) const NO_NAME: u32 = u32::MAX;

/// A span as read from a file.
#[derive(Clone, Debug, Default)]
pub(super) struct RawSpan<'a> {
    pub trace: &'a str,
    pub id: &'a str,
    pub parent: &'a str,
    pub service: &'a str,
    pub operation: &'a str,
    pub peer: Option<&'a str>,
    pub kind: SpanKind,
    pub is_error: bool,
    pub start: Option<i64>,
    pub end: Option<i64>,
}

/// Where a service runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServiceHome {
    /// Its namespace; empty if unknown.
    pub namespace: String,
    /// The workload of its pods; empty if unknown.
    pub workload: String,
}

/// The spans of a file.
#[derive(Clone, Debug, Default)]
pub struct SpanStore {
    pub(super) spans: Vec<Span>,
    names: Vec<String>,
    numbers: FxHashMap<String, u32>,
    pub(super) homes: FxHashMap<u32, ServiceHome>,
    /// Traces are kept if their hash has this many trailing zeros.
    thinned: u32,
    held_max: Option<usize>,
    /// Statistics of the input.
    pub read: Spans,
}

/// Statistics of reading a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// Spans that could be read.
    pub good: u64,
    /// Spans of traces that were dropped because there were too many.
    pub thinned_out: u64,
    /// Lines and spans that could not be read.
    pub broken: u64,
    /// The first of the malformed ones.
    pub first_broken: Vec<MalformedRow>,
}

impl SpanStore {
    /// A store that holds at most this many spans.
    pub fn holding(spans: usize) -> Self {
        Self { held_max: Some(spans.max(1)), ..Self::default() }
    }

    /// Resets to this number of spans and these statistics.
    pub(super) fn back_to(&mut self, spans: usize, read: Spans) {
        self.spans.truncate(spans);
        self.read = read;
    }

    /// A name by its number; empty for [`NO_NAME`].
    pub(super) fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }

    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(NO_NAME);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// Records where a service runs, as far as known.
    pub(super) fn home(&mut self, service: &str, namespace: &str, workload: &str) {
        if namespace.is_empty() && workload.is_empty() {
            return;
        }
        let number = self.number(service);
        let home = self.homes.entry(number).or_default();
        if home.namespace.is_empty() {
            namespace.clone_into(&mut home.namespace);
        }
        if home.workload.is_empty() {
            workload.clone_into(&mut home.workload);
        }
    }

    /// Adds a span; an error names the missing part.
    pub(super) fn take(&mut self, raw: &RawSpan<'_>) -> Result<(), String> {
        let trace = hex(raw.trace).ok_or_else(|| no_id("trace", raw.trace))?;
        let id = hex(raw.id).ok_or_else(|| no_id("span", raw.id))?;
        let parent = match raw.parent {
            "" => 0,
            parent => hex(parent).ok_or_else(|| no_id("parent", parent))?,
        };
        if raw.service.is_empty() {
            return Err(format!("span {} names no service (`service.name`)", raw.id));
        }
        let (Some(start), Some(end)) = (raw.start, raw.end) else {
            return Err(format!("span {} has no start and end time", raw.id));
        };
        if end < start {
            return Err(format!("span {} ends before its start", raw.id));
        }
        self.read.good += 1;
        if !self.keeps(trace) {
            self.read.thinned_out += 1;
            return Ok(());
        }
        let span = Span {
            trace,
            id: low(id),
            parent: low(parent),
            service: self.number(raw.service),
            operation: self.number(raw.operation),
            peer: raw
                .peer
                .filter(|peer| !peer.is_empty())
                .map_or(NO_NAME, |peer| self.number(peer)),
            kind: raw.kind,
            is_error: raw.is_error,
            start,
            end,
        };
        self.spans.push(span);
        self.thin_out();
        Ok(())
    }

    /// Records malformed input; `line` is counted from 1.
    pub(super) fn bad(&mut self, line: u64, message: String) {
        self.read.broken += 1;
        if self.read.first_broken.len() < SHOWN {
            self.read.first_broken.push(MalformedRow { line, message });
        }
    }

    /// Whether a trace is kept: all of its spans or none.
    fn keeps(&self, trace: u128) -> bool {
        scrambled(trace).trailing_zeros() >= self.thinned
    }

    /// Drops every second trace if there are too many spans.
    fn thin_out(&mut self) {
        while self.spans.len() > self.held_max.unwrap_or(SPANS_MAX) && self.thinned < 64 {
            self.thinned += 1;
            let before = self.spans.len();
            let mut spans = std::mem::take(&mut self.spans);
            spans.retain(|span| self.keeps(span.trace));
            self.spans = spans;
            self.read.thinned_out += (before - self.spans.len()) as u64;
        }
    }
}

/// Ids are hexadecimal; some exporters write 8 bytes of a trace's id and others 16.
fn hex(text: &str) -> Option<u128> {
    if let Ok(number) = u128::from_str_radix(text, 16) {
        return Some(number);
    }
    // Other ids are hashed from their text.
    let is_word =
        !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| text.bytes().fold(7, |sum: u128, byte| scrambled_128(sum ^ u128::from(byte))))
}

fn no_id(what: &str, text: &str) -> String {
    if text.is_empty() {
        return format!("a span has no {what} id");
    }
    format!("\"{text}\" is not a {what} id")
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
const fn low(id: u128) -> u64 {
    id as u64 ^ (id >> 64) as u64
}

/// A hash of an id: the ids of some tracers are sequential or start with a date.
fn scrambled(id: u128) -> u64 {
    let mut hash = low(id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

const fn scrambled_128(id: u128) -> u128 {
    id.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
}
