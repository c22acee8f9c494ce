//! Services derived from traces: kinds of requests, their own time, and their calls.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::{CallSums, Moments};
use super::requests::{Callee, Request, TraceIrregularities, requests};
use super::store::{Span, SpanKind, SpanStore};

/// Maximum number of request kinds per service, the most frequent ones.
const CLASSES_MAX: usize = 12;
/// Minimum share of a service's requests for a separate kind.
const CLASS_SHARE: f64 = 0.01;
/// Name of all other kinds.
const OTHER: &str = "other";

/// The result of evaluating traces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// By name.
    pub services: Vec<ObservedService>,
    /// Number of traces evaluated.
    pub traces: u64,
    /// Irregularities in the traces.
    pub odd: TraceIrregularities,
    /// Calls that were dropped because they form cycles: caller and callee.
    pub circles: Vec<(String, String)>,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedService {
    /// Its `service.name`.
    pub name: String,
    /// The namespace of its pods; empty if not in the spans.
    pub namespace: String,
    /// The workload of its pods; empty if not in the spans.
    pub workload: String,
    /// Number of requests to it.
    pub requests: u64,
    /// Requests whose callers are in the traces.
    pub called: u64,
    /// The kinds of its requests, most frequent first.
    pub classes: Vec<ObservedClass>,
}

/// Requests of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedClass {
    /// The name of the operation.
    pub name: String,
    /// Number of requests.
    pub requests: u64,
    /// Requests that ended in an error.
    pub errors: u64,
    /// Mean time in which a request does not wait for other services, in seconds.
    pub own_seconds: f64,
    /// Coefficient of variation of that time.
    pub own_cv: f64,
    /// Calls, in order.
    pub calls: Vec<ObservedCall>,
}

/// A call made by requests of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedCall {
    /// The called service.
    pub service: String,
    /// The kind of request; absent if the service has no spans of its own.
    pub class: Option<String>,
    /// Number of parallel calls.
    pub times: u32,
    /// Share of requests that make it, 0..1.
    pub share: f64,
    /// Whether it is made in parallel with the previous call.
    pub with_previous: bool,
    /// Mean duration in seconds.
    pub mean_seconds: f64,
    /// Coefficient of variation of the duration.
    pub cv: f64,
}

/// Numbers of a service and of a request kind.
type Key = (u32, u32);

#[derive(Default)]
struct ClassSums {
    requests: u64,
    errors: u64,
    own: Moments,
    calls: CallSums,
}

/// Whether requests of a service are classified by operation name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// By operation, if frequent enough.
    Apart,
    /// All as one kind.
    Together,
}

/// Derives the services from all spans read.
pub fn observe(store: &mut SpanStore, told: Kinds) -> Observation {
    store.spans.sort_unstable_by_key(|span| (span.trace, span.start, span.id));
    let other = store.number(OTHER);
    let store = &*store;
    let with_kinds: BTreeSet<u32> = store
        .spans
        .iter()
        .filter(|span| span.kind != SpanKind::Internal)
        .map(|span| span.service)
        .collect();
    let traces = || store.spans.chunk_by(|one, next| one.trace == next.trace);
    let of_trace = |spans: &[Span], odd: &mut TraceIrregularities| {
        requests(spans, |service| with_kinds.contains(&service), odd)
    };
    let mut odd = TraceIrregularities::default();
    let mut counts: BTreeMap<Key, u64> = BTreeMap::new();
    for spans in traces() {
        for request in of_trace(spans, &mut odd) {
            *counts.entry((request.span.service, request.span.operation)).or_default() += 1;
        }
    }
    let kinds = if told == Kinds::Apart { kinds(&counts) } else { BTreeSet::new() };
    let kind = |(service, operation): Key| {
        let is_kind = kinds.contains(&(service, operation));
        (service, if is_kind { operation } else { other })
    };
    let mut sums: BTreeMap<Key, ClassSums> = BTreeMap::new();
    let mut called: BTreeMap<u32, u64> = BTreeMap::new();
    for spans in traces() {
        for Request { span, mut calls, own_nanos } in
            of_trace(spans, &mut TraceIrregularities::default())
        {
            for call in &mut calls {
                if let Callee::Traced(service, operation) = call.callee {
                    *called.entry(service).or_default() += 1;
                    let (service, operation) = kind((service, operation));
                    call.callee = Callee::Traced(service, operation);
                }
            }
            let sum = sums.entry(kind((span.service, span.operation))).or_default();
            sum.requests += 1;
            sum.errors += u64::from(span.is_error);
            sum.own.add(own_nanos as f64 / 1e9);
            sum.calls.add(&calls);
        }
    }
    let mut observation =
        Observation { traces: traces().count() as u64, odd, ..Observation::default() };
    let mut services: BTreeMap<u32, ObservedService> = BTreeMap::new();
    for ((service, operation), sum) in sums {
        let row = services.entry(service).or_insert_with(|| of_service(store, service));
        row.requests += sum.requests;
        row.classes.push(class(store, operation, &sum));
    }
    for (service, row) in &mut services {
        row.called = called.get(service).copied().unwrap_or_default();
        row.classes.sort_by(|one, next| {
            next.requests.cmp(&one.requests).then_with(|| one.name.cmp(&next.name))
        });
    }
    observation.services = services.into_values().collect();
    observation.services.sort_by(|one, next| one.name.cmp(&next.name));
    observation.circles = without_circles(&mut observation.services);
    observation
}

/// The request kinds that are frequent enough to be distinguished.
fn kinds(counts: &BTreeMap<Key, u64>) -> BTreeSet<Key> {
    let mut by_service: BTreeMap<u32, Vec<(u64, u32)>> = BTreeMap::new();
    for ((service, operation), count) in counts {
        by_service.entry(*service).or_default().push((*count, *operation));
    }
    let mut kinds = BTreeSet::new();
    for (service, mut rows) in by_service {
        let all: u64 = rows.iter().map(|(count, _)| count).sum();
        rows.sort_by_key(|(count, operation)| (std::cmp::Reverse(*count), *operation));
        let frequent = rows.iter().filter(|(count, _)| *count as f64 >= CLASS_SHARE * all as f64);
        kinds.extend(frequent.take(CLASSES_MAX).map(|(_, operation)| (service, *operation)));
    }
    kinds
}

fn of_service(store: &SpanStore, number: u32) -> ObservedService {
    let home = store.homes.get(&number).cloned().unwrap_or_default();
    ObservedService {
        name: store.name(number).to_owned(),
        namespace: home.namespace,
        workload: home.workload,
        ..ObservedService::default()
    }
}

fn class(store: &SpanStore, operation: u32, sum: &ClassSums) -> ObservedClass {
    let call = |call: super::calls::TypicalCall| {
        let (service, class) = match call.callee {
            Callee::Traced(service, operation) => (service, Some(store.name(operation).to_owned())),
            Callee::Silent(service) => (service, None),
        };
        ObservedCall {
            service: store.name(service).to_owned(),
            class,
            times: call.times,
            share: call.share.min(1.0),
            with_previous: call.with_previous,
            mean_seconds: call.mean_seconds,
            cv: call.cv,
        }
    };
    ObservedClass {
        name: store.name(operation).to_owned(),
        requests: sum.requests,
        errors: sum.errors,
        own_seconds: sum.own.mean(),
        own_cv: sum.own.cv(),
        calls: sum.calls.usual(sum.requests).into_iter().map(call).collect(),
    }
}

/// Removes the calls that lead back to the same kind of request: in a trace such recursion ends.
fn without_circles(services: &mut [ObservedService]) -> Vec<(String, String)> {
    let mut graph: BTreeMap<(String, String), BTreeSet<(String, String)>> = BTreeMap::new();
    let mut circles = BTreeSet::new();
    for service in services.iter_mut() {
        for class in &mut service.classes {
            let from = (service.name.clone(), class.name.clone());
            class.calls.retain(|call| {
                let Some(kind) = &call.class else { return true };
                let to = (call.service.clone(), kind.clone());
                let comes_back = reaches(&graph, &to, &from);
                if comes_back {
                    circles.insert((from.0.clone(), to.0));
                } else {
                    graph.entry(from.clone()).or_default().insert(to);
                }
                !comes_back
            });
            if let Some(first) = class.calls.first_mut() {
                first.with_previous = false;
            }
        }
    }
    circles.into_iter().collect()
}

fn reaches(
    graph: &BTreeMap<(String, String), BTreeSet<(String, String)>>,
    from: &(String, String),
    to: &(String, String),
) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        for next in graph.get(at).into_iter().flatten() {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}
