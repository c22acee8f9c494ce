//! Measurements of a starter scenario's workloads from traces.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::yaml::comment;
use crate::inventory::Inventory;
use cluster::{NamespacedName, ObjectReference};
use engine::{SimDuration, format_duration};
use traffic::spans::{Observation, ObservedCall, ObservedClass, ObservedService};

/// Maximum number of request classes written; the others become one more, with the average of all requests.
const CLASSES: usize = 8;
/// Shorter times count as zero [s].
const SHORTEST: f64 = 1e-6;

/// Workloads found in traces.
#[derive(Clone, Debug, Default)]
pub struct Traced {
    by_workload: BTreeMap<ObjectReference, TracedService>,
    /// Services with requests in the traces that match none of the manifests.
    pub unmatched: Vec<String>,
}

/// Measurements of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedService {
    /// Its name in the traces.
    pub name: String,
    /// Number of requests to it in the traces.
    pub requests: u64,
    /// Number of these that ended in an error.
    pub errors: u64,
    /// Whether it has no spans of its own, so that its time is taken from its callers' spans.
    is_silent: bool,
    own_seconds: f64,
    own_cv: f64,
    /// Share of the own time that is CPU time, 0..1.
    cpu_share: f64,
    /// Waiting time for services that are not in the manifests: mean [s] and coefficient of variation.
    wait: Option<(f64, f64)>,
    /// Names of those services.
    waits_for: BTreeSet<String>,
    pub(super) calls: Vec<TracedCall>,
    /// Measurements per kind of request; at least two, or none.
    classes: Vec<TracedClass>,
}

/// Requests of one kind.
#[derive(Clone, Debug, PartialEq)]
struct TracedClass {
    name: String,
    figures: TracedService,
}

/// A call to a Service in the manifests.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TracedCall {
    pub service: NamespacedName,
    times: u32,
    share: f64,
    with_previous: bool,
    /// The class of the called request, if the callee's classes include it.
    class: Option<String>,
}

impl TracedCall {
    /// Mean number of calls per request.
    pub fn per_request(&self) -> f64 {
        f64::from(self.times) * self.share
    }
}

impl Traced {
    /// Matches services of traces to manifests by their names; `named` has the Services of those with other names.
    /// `apart` distinguishes kinds of requests, `together` has their totals. `cpu_share` is the assumed share of CPU time
    /// in the time for which a request waits for no call.
    pub fn new(
        inventory: &Inventory,
        together: &Observation,
        apart: &Observation,
        named: &BTreeMap<String, NamespacedName>,
        cpu_share: f64,
    ) -> Self {
        let mut traced = Self::default();
        let find = |name: &str, of: Option<&ObservedService>| {
            let service = named.get(name).cloned().or_else(|| match_of(inventory, name, of))?;
            // Pods of Jobs answer no requests.
            let is_serving = |workload: &&ObjectReference| !workload.kind.is_batch();
            let workload = inventory.workloads_behind(&service).find(is_serving).cloned()?;
            Some((service, workload))
        };
        let by_name = |name: &str| together.services.iter().find(|one| one.name == name);
        let mut silent: BTreeMap<ObjectReference, UninstrumentedService> = BTreeMap::new();
        for service in &together.services {
            let Some((_, workload)) = find(&service.name, Some(service)) else {
                traced.unmatched.push(service.name.clone());
                continue;
            };
            let Some(class) = service.classes.first() else { continue };
            let callee = |call: &ObservedCall| {
                // A pod that calls its own Service would wait for itself.
                let found = find(&call.service, by_name(&call.service));
                found.filter(|(_, callee)| *callee != workload)
            };
            for call in class.calls.iter().filter(|call| call.class.is_none()) {
                if let Some((_, answers)) = callee(call) {
                    silent.entry(answers).or_default().add(call, class.requests);
                }
            }
            let mut row = TracedService::of(service, class, cpu_share).with_calls(class, callee);
            let kinds = apart.services.iter().find(|one| one.name == service.name);
            let kinds = kinds.map_or(&[][..], |one| &one.classes);
            if kinds.len() > 1 {
                let of_kind = |kind: &ObservedClass| TracedClass {
                    name: kind.name.clone(),
                    figures: TracedService::of(service, kind, cpu_share).with_calls(kind, callee),
                };
                row.classes = kinds.iter().map(of_kind).collect();
            }
            // If several services map to one workload, the one with the most requests counts.
            let place = traced.by_workload.entry(workload).or_insert_with(|| row.clone());
            if place.requests < row.requests {
                *place = row;
            }
        }
        for (workload, silent) in silent {
            traced.by_workload.entry(workload).or_insert_with(|| silent.service(cpu_share));
        }
        traced.extend_to_peers(inventory);
        traced.drop_unknown_classes(inventory);
        traced
    }

    /// Applies measurements of a Service's first workload to the others behind it, which answer the same requests.
    fn extend_to_peers(&mut self, inventory: &Inventory) {
        for service in inventory.services.keys() {
            let mut behind =
                inventory.workloads_behind(service).filter(|workload| !workload.kind.is_batch());
            let measured = behind.next().and_then(|first| self.by_workload.get(first)).cloned();
            for (peer, measured) in behind.zip(std::iter::repeat(measured)) {
                let Some(measured) = measured else { break };
                self.by_workload.entry(peer.clone()).or_insert(measured);
            }
        }
    }

    /// Removes classes from calls whose callee does not have them.
    fn drop_unknown_classes(&mut self, inventory: &Inventory) {
        let written: BTreeMap<ObjectReference, Vec<String>> = self
            .by_workload
            .iter()
            .map(|(workload, one)| (workload.clone(), one.written_classes()))
            .collect();
        let has = |service: &NamespacedName, class: &String| {
            let mut behind = inventory.workloads_behind(service);
            behind.any(|one| written.get(one).is_some_and(|classes| classes.contains(class)))
        };
        for row in self.by_workload.values_mut() {
            let of_classes = row.classes.iter_mut().flat_map(|one| &mut one.figures.calls);
            for call in of_classes.chain(&mut row.calls) {
                call.class = call.class.take().filter(|class| has(&call.service, class));
            }
        }
    }

    /// Workloads that were found in the traces and have spans of their own.
    pub fn with_spans(&self) -> usize {
        self.by_workload.values().filter(|one| !one.is_silent).count()
    }

    /// The measurements of a workload.
    pub fn of(&self, workload: &ObjectReference) -> Option<&TracedService> {
        self.by_workload.get(workload)
    }

    /// Paths of the measured settings of these workloads.
    pub(super) fn settings(&self, serving: &BTreeSet<&ObjectReference>) -> Vec<String> {
        let found = serving.iter().filter_map(|one| Some((*one, self.of(one)?)));
        found
            .flat_map(|(workload, traced)| {
                let names = traced.settings();
                names.into_iter().map(move |name| format!("workloads[{workload}].requests.{name}"))
            })
            .collect()
    }
}

impl TracedService {
    fn of(service: &ObservedService, class: &ObservedClass, cpu_share: f64) -> Self {
        Self {
            name: service.name.clone(),
            requests: class.requests,
            errors: class.errors,
            is_silent: false,
            own_seconds: class.own_seconds,
            own_cv: class.own_cv,
            cpu_share,
            wait: None,
            waits_for: BTreeSet::new(),
            calls: Vec::new(),
            classes: Vec::new(),
        }
    }

    /// Adds the calls of a kind of request; `find` maps a call to its Service and workload in the manifests.
    fn with_calls(
        mut self,
        class: &ObservedClass,
        find: impl Fn(&ObservedCall) -> Option<(NamespacedName, ObjectReference)>,
    ) -> Self {
        let mut waiting = Waiting::default();
        for call in &class.calls {
            let Some((service, _)) = find(call) else {
                self.waits_for.insert(call.service.clone());
                waiting.add(call);
                continue;
            };
            self.calls.push(TracedCall {
                service,
                times: call.times,
                share: call.share,
                with_previous: call.with_previous && !self.calls.is_empty(),
                class: call.class.clone(),
            });
        }
        self.wait = waiting.figures();
        self
    }

    /// Names of its classes that are written.
    fn written_classes(&self) -> Vec<String> {
        self.classes.iter().take(CLASSES).map(|class| class.name.clone()).collect()
    }

    /// CPU time of a request [s].
    pub(super) fn cpu_seconds(&self) -> f64 {
        (self.own_seconds * self.cpu_share).max(SHORTEST)
    }

    /// The waiting time, including the own time that is not CPU time: mean [s] and coefficient of variation.
    fn waiting(&self) -> Option<(f64, f64)> {
        let own = self.own_seconds * (1.0 - self.cpu_share);
        let (others, cv) = self.wait.unwrap_or_default();
        let mean = own + others;
        let deviation = libm::hypot(own * self.own_cv, others * cv);
        (mean >= SHORTEST).then(|| (mean, deviation / mean))
    }

    fn settings(&self) -> Vec<&'static str> {
        let waits = self.waiting().map(|_| "waitTime");
        let calls = (!self.calls.is_empty()).then_some("calls");
        let classes = (!self.classes.is_empty()).then_some("classes");
        std::iter::once("cpuTime").chain(waits).chain(calls).chain(classes).collect()
    }

    /// Writes its request model.
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let share = if self.cpu_share < 1.0 {
            format!("{:.0} % of it counts as CPU time, as stated", self.cpu_share * 100.0)
        } else {
            "wall time, an upper limit of the CPU time".to_owned()
        };
        let (requests, name) = (self.requests, comment(&self.name));
        let what = if self.is_silent {
            format!(
                "from {requests} calls to {name} in traces. It has no spans itself, so network time is included"
            )
        } else {
            format!(
                "from {requests} requests to {name} in traces: the time without a call in progress"
            )
        };
        writeln!(out, "      # MEASURED {what}. It is\n      # {share}.")?;
        if self.errors > 0 {
            let percent = self.errors as f64 / self.requests as f64 * 100.0;
            writeln!(
                out,
                "      # {percent:.2} % of them ended in an error. A simulated request fails for a cause (a timeout, a lost pod, a\n      \
                 # failed call), never at a given rate."
            )?;
        }
        writeln!(out, "      cpuTime: {}", law(self.cpu_seconds(), self.own_cv))?;
        if let Some((mean, cv)) = self.waiting() {
            if !self.waits_for.is_empty() {
                let names = self.waits_for.iter().cloned().collect::<Vec<_>>().join(", ");
                writeln!(
                    out,
                    "      # MEASURED: waiting for services that are not in the manifests: {}",
                    comment(&names)
                )?;
            }
            writeln!(out, "      waitTime: {}", law(mean, cv))?;
        }
        if !self.calls.is_empty() {
            writeln!(
                out,
                "      # MEASURED: the calls of a request, in order; cacheHitRate is the share of requests without the call."
            )?;
        }
        self.write_calls("      ", out)?;
        self.write_classes(out)
    }

    fn write_calls(&self, indent: &str, out: &mut String) -> fmt::Result {
        if self.calls.is_empty() {
            return Ok(());
        }
        writeln!(out, "{indent}calls:")?;
        for TracedCall { service, times, share, with_previous, class } in &self.calls {
            let mut more = String::new();
            if let Some(class) = class {
                write!(more, ", class: {}", quoted(class))?;
            }
            if *times > 1 {
                write!(more, ", times: {times}")?;
            }
            if *share < 0.9995 {
                let rate = libm::round((1.0 - share) * 1000.0) / 1000.0;
                write!(more, ", cacheHitRate: {rate}")?;
            }
            if *with_previous {
                more += ", withPrevious: true";
            }
            writeln!(out, "{indent}  - {{service: {service}, timeout: 5s{more}}}")?;
        }
        Ok(())
    }

    /// Writes the kinds of request as classes.
    fn write_classes(&self, out: &mut String) -> fmt::Result {
        if self.classes.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "      # MEASURED: each operation by itself; weight is its number of requests. The values above are \
             averages over all."
        )?;
        writeln!(out, "      classes:")?;
        for TracedClass { name, figures } in self.classes.iter().take(CLASSES) {
            writeln!(out, "        - name: {}", quoted(name))?;
            writeln!(out, "          weight: {}", figures.requests)?;
            writeln!(out, "          cpuTime: {}", law(figures.cpu_seconds(), figures.own_cv))?;
            let (mean, cv) = figures.waiting().unwrap_or_default();
            if mean > 0.0 {
                writeln!(out, "          waitTime: {}", law(mean, cv))?;
            } else if self.waiting().is_some() {
                writeln!(out, "          waitTime: 0s")?;
            }
            if figures.calls.is_empty() && !self.calls.is_empty() {
                writeln!(out, "          calls: []")?;
            }
            figures.write_calls("          ", out)?;
        }
        let rest: u64 = self.classes.iter().skip(CLASSES).map(|one| one.figures.requests).sum();
        if rest > 0 {
            writeln!(out, "        # The other operations, with the averages over all.")?;
            writeln!(out, "        - {{name: all others, weight: {rest}}}")?;
        }
        Ok(())
    }
}

/// A quoted YAML scalar.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A service without spans, measured by its callers' spans.
#[derive(Default)]
struct UninstrumentedService {
    name: String,
    calls: f64,
    /// Sums over the calls.
    seconds: f64,
    squares: f64,
}

impl UninstrumentedService {
    /// Adds a call made by a caller's `requests`.
    fn add(&mut self, call: &ObservedCall, requests: u64) {
        let calls = requests as f64 * call.share * f64::from(call.times);
        self.name.clone_from(&call.service);
        self.calls += calls;
        self.seconds += calls * call.mean_seconds;
        self.squares += calls * call.mean_seconds * call.mean_seconds * (1.0 + call.cv * call.cv);
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of calls")]
    fn service(self, cpu_share: f64) -> TracedService {
        let calls = self.calls.max(1.0);
        let mean = self.seconds / calls;
        let variance = (self.squares / calls - mean * mean).max(0.0);
        let class = ObservedClass {
            requests: libm::round(self.calls) as u64,
            own_seconds: mean,
            own_cv: if mean > 0.0 { libm::sqrt(variance) / mean } else { 0.0 },
            ..ObservedClass::default()
        };
        let service = ObservedService { name: self.name, ..ObservedService::default() };
        TracedService { is_silent: true, ..TracedService::of(&service, &class, cpu_share) }
    }
}

/// Sum of waiting times.
#[derive(Default)]
struct Waiting {
    mean: f64,
    variance: f64,
}

impl Waiting {
    fn add(&mut self, call: &ObservedCall) {
        // A call in parallel with the previous one adds no waiting time.
        if call.with_previous {
            return;
        }
        let mean = call.share * call.mean_seconds;
        let square = call.share * call.mean_seconds * call.mean_seconds * (1.0 + call.cv * call.cv);
        self.mean += mean;
        self.variance += (square - mean * mean).max(0.0);
    }

    fn figures(&self) -> Option<(f64, f64)> {
        (self.mean > 0.0).then(|| (self.mean, libm::sqrt(self.variance) / self.mean))
    }
}

/// A duration setting with this mean [s] and coefficient of variation.
fn law(mean: f64, cv: f64) -> String {
    let mean = format_duration(rounded(mean));
    let cv = libm::round(cv * 100.0) / 100.0;
    if cv <= 0.0 { mean } else { format!("{{distribution: lognormal, mean: {mean}, cv: {cv}}}") }
}

/// Rounded to three significant digits.
fn rounded(seconds: f64) -> SimDuration {
    let nanos = (seconds * 1e9).max(1.0);
    let unit = libm::exp10(libm::floor(libm::log10(nanos)) - 2.0).max(1.0);
    SimDuration::from_secs_f64(libm::round(nanos / unit) * unit / 1e9)
}

/// The Service for a name in traces: the one of that name, or that of the workload which its spans name or which has
/// the name, finally ignoring case, dashes and a suffix `service`. `None` if several match.
fn match_of(
    inventory: &Inventory,
    name: &str,
    of: Option<&ObservedService>,
) -> Option<NamespacedName> {
    let (namespace, workload) =
        of.map_or(("", ""), |one| (one.namespace.as_str(), one.workload.as_str()));
    let is_here =
        |service: &&NamespacedName| namespace.is_empty() || *service.namespace == *namespace;
    let here = || inventory.services.keys().filter(is_here);
    let is_behind = |service: &NamespacedName, is_it: &dyn Fn(&str) -> bool| {
        inventory.workloads_behind(service).any(|one| is_it(&one.id.name))
    };
    // An address may carry a port and a domain.
    let host = name.split(':').next().unwrap_or(name);
    let (short, domain) = host.split_once('.').unwrap_or((host, ""));
    let in_domain = domain.split('.').next().filter(|part| !part.is_empty());
    let rules: [&dyn Fn(&NamespacedName) -> bool; 5] = [
        &|service| !workload.is_empty() && is_behind(service, &|one| one == workload),
        &|service| {
            *service.name == *short && in_domain.is_none_or(|part| *service.namespace == *part)
        },
        &|service| *service.name == *name,
        &|service| is_behind(service, &|one| one == name),
        &|service| {
            let plain_name = plain(name);
            plain(&service.name) == plain_name
                || is_behind(service, &|one| plain(one) == plain_name)
        },
    ];
    for rule in rules {
        let found: Vec<&NamespacedName> = here().filter(|service| rule(service)).collect();
        let workloads: BTreeSet<&ObjectReference> =
            found.iter().filter_map(|service| inventory.workloads_behind(service).next()).collect();
        match (found.first(), workloads.len()) {
            (Some(first), 1) => {
                let exact = found.iter().find(|service| *service.name == *short);
                return Some((*exact.unwrap_or(first)).clone());
            }
            (Some(_), 2..) => return None,
            _ => {}
        }
    }
    None
}

fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let lower: String = letters.map(|one| one.to_ascii_lowercase()).collect();
    let short = lower.strip_suffix("service").or_else(|| lower.strip_suffix("svc"));
    short.filter(|short| !short.is_empty()).unwrap_or(&lower).to_owned()
}
