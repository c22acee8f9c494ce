//! Estimate of a run's size before it starts: one that is too large is refused, with advice on making it
//! smaller.

use super::blueprint::Blueprint;
use cluster::{Action, AnySpec};
use engine::format_duration;
use faults::TimelineAction;
use manifest::{Diagnostic, Diagnostics, FieldPath};
use traffic::{ArrivalProcess, Load};

/// Approximate requests simulated per second of CPU time: the lowest figure in docs/speed.md.
const REQUESTS_PER_SECOND: f64 = 3e6;

/// Approximate memory of a program without pods [bytes]: the reports of small scenarios take 38 to 54 MB.
const MEMORY_AT_LEAST: u64 = 40 << 20;
/// Approximate memory of a pod with what its kubelet and the record know of it [bytes]: docs/speed.md.
const MEMORY_PER_POD: u64 = 6 << 10;

/// Estimated size of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Requests that are simulated individually, excluding calls between services.
    pub requests: f64,
    /// Pods requested at the start or by the timeline; those added by autoscalers are unknown.
    pub pods: u64,
    /// The list and the position of the load with the most requests.
    busiest: Option<(&'static str, usize)>,
    /// The object with the most pods.
    largest: String,
}

impl Estimate {
    /// Memory that the pods take at least, in bytes. Requests that wait are not known beforehand.
    pub const fn memory(&self) -> u64 {
        MEMORY_AT_LEAST.saturating_add(self.pods.saturating_mul(MEMORY_PER_POD))
    }
}

impl Blueprint<'_> {
    /// Estimates the size of a run.
    pub fn estimate(&self) -> Estimate {
        let mut estimate = Estimate::default();
        self.count_requests(&mut estimate);
        self.count_pods(&mut estimate);
        estimate
    }

    /// Reports a run that exceeds the scenario's limits.
    pub(super) fn check_limits(&self, problems: &mut Diagnostics) {
        let scenario = self.resolved().scenario();
        let estimate = self.estimate();
        let mut refuse = |field: &FieldPath, message: String, help: &str| {
            let place = self.resolved().text.document.place(field);
            problems.push(Diagnostic::error("too-much", message).at(place).field(field).help(help));
        };
        let limits = &scenario.limits;
        if estimate.requests > limits.requests {
            let (list, place) = estimate.busiest.unwrap_or(("traffic", 0));
            let root = FieldPath::ROOT;
            let list = root.field(list);
            let item = list.item(place);
            let field = item.field("load");
            let message = format!(
                "the run would simulate about {} requests over {}, {} of computing time, more than limits.requests: {}",
                rounded(estimate.requests),
                format_duration(scenario.duration),
                hours(estimate.requests / REQUESTS_PER_SECOND),
                rounded(limits.requests),
            );
            let help = "write `arrivals: fluid` beside `load`, lower the rate, shorten `duration`, or raise `limits.requests`";
            refuse(&field, message, help);
        }
        if estimate.pods > limits.pods {
            let message = format!(
                "the run reaches {} pods, most of them of {}, more than limits.pods: {}",
                estimate.pods, estimate.largest, limits.pods
            );
            let root = FieldPath::ROOT;
            let field = root.field("limits");
            refuse(&field.field("pods"), message, "reduce the replicas, or raise `limits.pods`");
        }
        let most = limits.memory.map(|memory| u64::try_from(memory.value()).unwrap_or(0));
        if let (Some(most), Some(given)) = (most, limits.memory)
            && estimate.memory() > most
        {
            let message = format!(
                "the run's {} pods would take about {} MiB of memory, more than limits.memory: {given}",
                estimate.pods,
                estimate.memory() >> 20
            );
            let field = FieldPath::ROOT;
            let field = field.field("limits");
            let help = "reduce the replicas, or raise `limits.memory`";
            refuse(&field.field("memory"), message, help);
        }
    }

    fn count_requests(&self, estimate: &mut Estimate) {
        let scenario = self.resolved().scenario();
        let services = scenario.traffic.iter().map(|spec| (&spec.load, spec.arrivals)).enumerate();
        let hosts = scenario.ingress.iter().map(|spec| (&spec.load, spec.arrivals)).enumerate();
        let services = services.map(|(place, load)| (("traffic", place), load));
        let hosts = hosts.map(|(place, load)| (("ingress", place), load));
        let mut most = 0.0;
        for ((list, place), load) in services.chain(hosts) {
            let requests = self.requests_of(load);
            estimate.requests += requests;
            if requests > most {
                most = requests;
                estimate.busiest = Some((list, place));
            }
        }
    }

    fn requests_of(&self, (load, arrivals): (&Load, Option<ArrivalProcess>)) -> f64 {
        if arrivals == Some(ArrivalProcess::Fluid) {
            return 0.0;
        }
        let traces = |path: &str| self.resolved().files.trace(path);
        load.expected_requests(self.resolved().scenario().duration, &traces)
    }

    fn count_pods(&self, estimate: &mut Estimate) {
        let mut most = 0;
        let mut add = |pods: i64, name: &dyn Fn() -> String| {
            let pods = u64::try_from(pods).unwrap_or(0);
            estimate.pods = estimate.pods.saturating_add(pods);
            if pods > most {
                most = pods;
                estimate.largest = name();
            }
        };
        for object in self.objects() {
            if let Action::Create(meta, spec) | Action::Apply(meta, spec) = object {
                add(pods_of(spec), &|| {
                    format!("{}/{}/{}", spec.kind(), meta.namespace(), meta.name())
                });
            }
        }
        for entry in &self.resolved().scenario().timeline {
            if let TimelineAction::Scale(change) = &entry.action {
                add(change.replicas.into(), &|| change.workload.to_string());
            }
        }
    }
}

/// Pods of an object that do not depend on the number of nodes.
fn pods_of(spec: &AnySpec) -> i64 {
    match spec {
        AnySpec::Deployment(spec) => spec.replicas.into(),
        AnySpec::Rollout(spec) => spec.replicas.into(),
        AnySpec::ReplicaSet(spec) => spec.replicas.into(),
        AnySpec::StatefulSet(spec) => spec.replicas.into(),
        AnySpec::Job(spec) => spec.spec.parallelism.into(),
        AnySpec::Pod(_) => 1,
        _ => 0,
    }
}

/// A large number in words.
fn rounded(number: f64) -> String {
    let steps = [(1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand")];
    match steps.into_iter().find(|(size, _)| number >= *size) {
        Some((size, name)) if number < 1e16 => {
            format!("{} {name}", (number / size * 10.0).round() / 10.0)
        }
        Some(_) => format!("{number:.1e}"),
        None => number.round().to_string(),
    }
}

fn hours(seconds: f64) -> String {
    let hours = seconds / 3_600.0;
    match hours {
        ..0.1 => "a few minutes".to_owned(),
        ..48.0 => format!("{hours:.1} hours"),
        ..1e6 => format!("{:.0} days", hours / 24.0),
        _ => "more than a century".to_owned(),
    }
}
