//! The requests in one trace: which spans are requests to a service, and the calls that each of them waited for.

use rustc_hash::FxHashMap;

use super::store::{NO_NAME, Span, SpanKind};

/// Maximum number of spans of one service between a call and the request that makes it.
const DEPTH_MAX: usize = 256;

/// A request to a service.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Its span.
    pub span: Span,
    /// Its calls to others, in order of time.
    pub calls: Vec<Call>,
    /// Its own time, without calls in progress [ns].
    pub own_nanos: i64,
}

/// A call that a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Call {
    /// Within the request.
    pub start: i64,
    pub end: i64,
    pub callee: Callee,
}

/// The callee of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Callee {
    /// A service with a span of the request itself: its name, and that of the operation.
    Traced(u32, u32),
    /// A service without one: its name as given by the caller.
    Silent(u32),
}

/// Irregularities in traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceIrregularities {
    /// Requests whose caller is not in the file.
    pub without_parent: u64,
    /// Spans that extend beyond the waiting request because of clock skew, and were clipped to it.
    pub clamped: u64,
    /// Messages, whose senders do not wait.
    pub messages: u64,
    /// Spans that occur more than once in the file.
    pub repeated: u64,
}

/// The requests of a trace whose spans are ordered by start. `tells_kinds` returns whether the spans of a service have
/// kinds.
pub(super) fn requests(
    spans: &[Span],
    tells_kinds: impl Fn(u32) -> bool,
    odd: &mut TraceIrregularities,
) -> Vec<Request> {
    let mut places = FxHashMap::default();
    let mut is_repeated = vec![false; spans.len()];
    for (place, span) in spans.iter().enumerate() {
        if places.insert(span.id, place).is_some_and(|before: usize| {
            // In Zipkin, client and server share the id of a span.
            let is_shared = spans[before].service != span.service;
            is_repeated[place] = !is_shared;
            is_repeated[place]
        }) {
            odd.repeated += 1;
        }
    }
    let parent = |place: usize| -> Option<usize> {
        let at = *places.get(&spans[place].parent)?;
        (spans[place].parent != 0 && at != place).then_some(at)
    };
    let is_entry: Vec<bool> = (0..spans.len())
        .map(|place| {
            !is_repeated[place]
                && is_request(&spans[place], parent(place).map(|at| &spans[at]), &tells_kinds)
        })
        .collect();
    odd.messages += spans.iter().filter(|span| span.kind == SpanKind::Consumer).count() as u64;
    // The request that a span works for.
    let owner = |place: usize| -> Option<usize> {
        let mut at = place;
        for _ in 0..DEPTH_MAX {
            if is_entry[at] {
                return Some(at);
            }
            let above = parent(at)?;
            if spans[above].service != spans[at].service || spans[at].kind == SpanKind::Consumer {
                return None;
            }
            at = above;
        }
        None
    };
    let mut calls: FxHashMap<usize, Vec<Call>> = FxHashMap::default();
    let mut asks_below = vec![false; spans.len()];
    for place in
        (0..spans.len()).filter(|place| is_entry[*place] || spans[*place].kind == SpanKind::Client)
    {
        let mut above = parent(place);
        for _ in 0..DEPTH_MAX {
            let Some(at) = above.filter(|at| !std::mem::replace(&mut asks_below[*at], true)) else {
                break;
            };
            above = parent(at);
        }
    }
    for (place, span) in spans.iter().enumerate().filter(|(place, _)| !is_repeated[*place]) {
        let (from, callee, interval) = if is_entry[place] {
            let Some(above) = parent(place) else {
                odd.without_parent += u64::from(span.parent != 0);
                continue;
            };
            let Some(from) = owner(above) else { continue };
            let caller = if spans[above].kind == SpanKind::Client { above } else { from };
            let callee = Callee::Traced(span.service, span.operation);
            (from, callee, within(span, &spans[caller], caller != from, odd))
        } else if span.kind == SpanKind::Client && !asks_below[place] && span.peer != NO_NAME {
            let Some(from) = owner(place) else { continue };
            (from, Callee::Silent(span.peer), (span.start, span.end))
        } else {
            continue;
        };
        let Span { start, end, .. } = spans[from];
        let interval = (interval.0.clamp(start, end), interval.1.clamp(start, end));
        calls.entry(from).or_default().push(Call { start: interval.0, end: interval.1, callee });
    }
    (0..spans.len())
        .filter(|place| is_entry[*place])
        .map(|place| {
            let mut calls = calls.remove(&place).unwrap_or_default();
            calls.sort_unstable();
            let span = spans[place];
            let own_nanos = span.end - span.start - covered(&calls);
            Request { span, calls, own_nanos }
        })
        .collect()
}

/// Whether a span is a request from the perspective of its service.
fn is_request(span: &Span, parent: Option<&Span>, tells_kinds: impl Fn(u32) -> bool) -> bool {
    match (span.kind, parent) {
        (SpanKind::Server, _) => true,
        (SpanKind::Client | SpanKind::Producer | SpanKind::Consumer, _) => false,
        (SpanKind::Internal, Some(parent)) => {
            parent.service != span.service && parent.kind != SpanKind::Producer
        }
        // In a service whose spans have kinds this is work without a request.
        (SpanKind::Internal, None) => span.parent == 0 && !tells_kinds(span.service),
    }
}

/// The time during which the caller waited for a request: that of the caller's own span, if it has one. Otherwise the
/// request's own times, measured by another clock: shifted into the caller's span, or clipped to it.
fn within(
    span: &Span,
    caller: &Span,
    is_client: bool,
    odd: &mut TraceIrregularities,
) -> (i64, i64) {
    if span.start < caller.start || span.end > caller.end {
        odd.clamped += 1;
    }
    if is_client {
        return (caller.start, caller.end);
    }
    let (lasted, room) = (span.end - span.start, caller.end - caller.start);
    if lasted >= room {
        return (caller.start, caller.end);
    }
    let start = span.start.clamp(caller.start, caller.end - lasted);
    (start, start + lasted)
}

/// Time during which any of the calls, ordered by start, was in progress [ns].
fn covered(calls: &[Call]) -> i64 {
    let (mut sum, mut until) = (0, i64::MIN);
    for call in calls {
        sum += (call.end - call.start.max(until)).max(0);
        until = until.max(call.end);
    }
    sum
}
