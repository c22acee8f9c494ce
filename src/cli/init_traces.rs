//! The traces of `wavetank init`: reads them, matches them with the manifests, and summarizes them.

use std::collections::BTreeMap;

use super::exit::Failure;
use super::output::{print_message, print_warning};
use cluster::{Name, NamespacedName};
use files::open_unpacked;
use scenario::inventory::Inventory;
use scenario::starter::Traced;
use traffic::spans::{Kinds, Observation, SpanStore, observe, read_spans};

/// Trace options.
#[derive(Debug, clap::Args)]
pub struct TraceArguments {
    /// Traces of the real system, for calls and request times: JSON of OpenTelemetry (as written by the collector's
    /// file exporter) or Jaeger (as saved from its web page), plain or compressed; several files are combined
    #[arg(long, value_name = "FILE")]
    traces: Vec<String>,

    /// The Service for a name in traces that differs from its own, such as checkout=shop/checkoutservice
    #[arg(long, value_name = "NAME=NAMESPACE/SERVICE", requires = "traces", value_parser = parse_named)]
    trace_service: Vec<(String, NamespacedName)>,

    /// Percentage of a request's own time (while it calls no other service) that is CPU time; the rest is waiting.
    /// Traces contain wall-clock time only, so the whole own time is an upper bound of the CPU time
    #[arg(long, value_name = "PERCENT", requires = "traces", default_value_t = 100.0, value_parser = parse_share)]
    cpu_share: f64,
}

fn parse_named(text: &str) -> Result<(String, NamespacedName), String> {
    let wrong = || {
        "write the name in the traces and the Service, such as checkout=shop/checkoutservice"
            .to_owned()
    };
    let (name, service) = text.split_once('=').ok_or_else(wrong)?;
    let (namespace, of_service) = service.split_once('/').ok_or_else(wrong)?;
    if name.is_empty() || namespace.is_empty() || of_service.is_empty() {
        return Err(wrong());
    }
    Ok((name.to_owned(), NamespacedName::new(Name::from(namespace), Name::from(of_service))))
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("write a number above 0 and up to 100".into()),
    }
}

/// The data in the traces about the workloads in the manifests.
pub fn traced(arguments: &TraceArguments, inventory: &Inventory) -> Result<Traced, Failure> {
    if arguments.traces.is_empty() {
        return Ok(Traced::default());
    }
    let named: BTreeMap<String, NamespacedName> = arguments.trace_service.iter().cloned().collect();
    for (name, service) in &named {
        if inventory.workloads_behind(service).next().is_none() {
            return Err(Failure::Input(format!(
                "--trace-service {name}={service}: the manifests have no Service of this name with pods"
            )));
        }
    }
    let mut store = SpanStore::default();
    for file in &arguments.traces {
        let wrong = |message: String| Failure::Input(format!("{file}: {message}"));
        let (good, broken) = (store.read.good, store.read.broken);
        let shown = store.read.first_broken.len();
        let input = open_unpacked(file).map_err(wrong)?;
        read_spans(input, &mut store).map_err(wrong)?;
        let (good, broken) = (store.read.good - good, store.read.broken - broken);
        if broken > 0 {
            let first = store.read.first_broken[shown..].iter();
            let first: Vec<String> =
                first.map(|row| format!("\n  line {}: {}", row.line, row.message)).collect();
            print_warning(&format!(
                "{file}: skipped {}, read {good}{}",
                counted(broken, "broken line or span", "broken lines or spans"),
                first.concat()
            ));
        }
    }
    let together = observe(&mut store, Kinds::Together);
    let apart = observe(&mut store, Kinds::Apart);
    let traced = Traced::new(inventory, &together, &apart, &named, arguments.cpu_share / 100.0);
    print_message(&format!(
        "traces: {} spans in {} traces; {} of {} services are in the manifests",
        store.read.good,
        together.traces,
        traced.with_spans(),
        together.services.len()
    ));
    for message in &caveats(&together, &traced, &store) {
        print_warning(message);
    }
    if traced.with_spans() == 0 {
        return Err(Failure::Input(format!(
            "no service of the traces is in the manifests; map them with --trace-service NAME=NAMESPACE/SERVICE; \
             the traces have {}",
            traced.unmatched.join(", ")
        )));
    }
    Ok(traced)
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Limitations of these traces that a user should know.
fn caveats(observation: &Observation, traced: &Traced, store: &SpanStore) -> Vec<String> {
    let odd = observation.odd;
    let rows = [
        (
            counted(store.read.thinned_out, "span", "spans"),
            "of whole traces skipped, selected by trace id: too many to hold in memory",
        ),
        (
            counted(odd.without_parent, "request", "requests"),
            "whose caller is not in the file (sampled out or lost), counted for the service but not for a caller",
        ),
        (
            counted(odd.clamped, "span", "spans"),
            "outside of the span that waits for it, because of clock skew: moved or cut to fit",
        ),
        (
            counted(odd.messages, "message", "messages"),
            "processed by a consumer: the sender does not wait, so it is not a call, and its cost is left out",
        ),
        (counted(odd.repeated, "span", "spans"), "occurring more than once; the first counts"),
    ];
    let nonzero = rows.iter().filter(|(count, _)| !count.starts_with("0 "));
    let mut caveats: Vec<String> =
        nonzero.map(|(count, what)| format!("traces: {count} {what}")).collect();
    for (caller, callee) in &observation.circles {
        caveats.push(format!(
            "traces: {caller} calls {callee}, which leads back to {caller}; this call is left out"
        ));
    }
    if !traced.unmatched.is_empty() {
        caveats.push(format!(
            "traces: the manifests have no Service {}; map it with --trace-service NAME=NAMESPACE/SERVICE",
            traced.unmatched.join(", ")
        ));
    }
    caveats
}
