//! Checks traffic: it must reach a service with pods that answer, and traces must be long enough.

use super::{Checker, listed};
use crate::resolved::ScenarioFiles;
use cluster::{NamespacedName, ObjectReference};
use engine::format_duration;
use engine::{SimDuration, Streams};
use manifest::FieldPath;
use traffic::arrivals::TraceLoad;
use traffic::{ArrivalProcess, Load, Trace, TrafficSpec, told_class};

/// A trace that covers less than this share of the run is probably a mistake, as is a run that covers less of the trace.
const LONG_ENOUGH: f64 = 0.9;

/// Maximum number of unknown classes named in a message.
const NAMED_CLASSES: usize = 5;

impl Checker<'_> {
    /// Checks `traffic`.
    pub(super) fn traffic(&mut self, files: &ScenarioFiles) {
        let list = FieldPath::ROOT.field("traffic");
        let traffic = &self.text.scenario.traffic;
        for (index, spec) in traffic.iter().enumerate() {
            let path = list.item(index);
            self.settings(&path, spec, files);
            self.service_exists(&path.field("service"), &spec.service.0);
            if traffic[..index].iter().any(|other| other.service == spec.service) {
                self.error(
                    &path.field("service"),
                    format!("{} has two entries of traffic", spec.service),
                    "combine the loads: `load: {add: [...]}`",
                );
            }
            self.check_accepts_requests(&path.field("service"), &spec.service.0);
            let balancer = Some(spec.balancer);
            self.balancer_knows_pods(&path.field("balancer"), &spec.service.0, balancer);
            if spec.arrivals == Some(ArrivalProcess::Fluid) {
                self.can_flow(&path.field("arrivals"), spec);
            }
        }
        let is_batch = |workload: &ObjectReference| workload.kind.is_batch();
        let has_batch = self.ever.workloads.keys().any(is_batch);
        if traffic.is_empty() && self.text.scenario.ingress.is_empty() && !has_batch {
            self.warn(
                &list,
                "there is no traffic, so there is no latency and no availability by requests",
                "add `service` and `load` of the services that clients call",
            );
        }
    }

    /// Checks the settings of a load on their own and together with its traces.
    pub(super) fn settings(&mut self, path: &FieldPath, spec: &TrafficSpec, files: &ScenarioFiles) {
        if spec.load.trace_files().iter().any(|file| files.trace(file).is_none()) {
            // An unreadable file is reported where it is read.
            return self.report(spec.problems(&path.to_string()));
        }
        // The problems found do not depend on the random stream.
        let stream = Streams::new(0).stream("check", 0);
        let drawn =
            spec.arrivals_with(&path.to_string(), &|file| files.trace(file), stream).map(drop);
        if let Err(problems) = drawn {
            return self.report(problems);
        }
        self.broken_rows(&path.field("load"), &spec.load, files);
        if let Load::Trace(load) = &spec.load
            && let Some(trace) = files.trace(&load.trace)
        {
            self.trace_is_as_long_as_the_run(&path.field("load"), load, trace);
            self.classes_are_known(&path.field("load"), &spec.service.0, trace);
        }
    }

    /// Warns of classes in a trace that the service does not have.
    fn classes_are_known(&mut self, path: &FieldPath, service: &NamespacedName, trace: &Trace) {
        let Trace::Requests(requests) = trace else { return };
        let classes = self.classes_of(service);
        let known = classes.iter().map(|class| (class.name.as_str(), class.path.as_deref()));
        let unknown: Vec<&str> = requests
            .classes
            .iter()
            .map(AsRef::as_ref)
            .filter(|told| told_class(known.clone(), told).is_none())
            .collect();
        if classes.is_empty() || unknown.is_empty() {
            return;
        }
        let named = unknown[..unknown.len().min(NAMED_CLASSES)].join(", ");
        let more = match unknown.len().saturating_sub(NAMED_CLASSES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!(
            "{service} has no class {named}{more}, which the trace names: the class of these requests is drawn by weight"
        );
        let help =
            listed("classes of its requests", classes.iter().map(|class| class.name.clone()));
        self.warn(path, message, help);
    }

    /// Warns of the rows of a load's traces that were left out.
    fn broken_rows(&mut self, path: &FieldPath, load: &Load, files: &ScenarioFiles) {
        for name in load.trace_files() {
            let Some(file) = files.traces.get(name) else { continue };
            if let Some(first) = file.broken.shown() {
                self.warn(
                    path,
                    format!("{name}: {}; the first, {first}", file.broken.left_out()),
                    "`maxBroken: 0` rejects such a trace",
                );
            }
        }
    }

    fn trace_is_as_long_as_the_run(&mut self, path: &FieldPath, load: &TraceLoad, trace: &Trace) {
        let (from, to) = load.span(trace);
        let recorded = (to.min(trace.end()) - from).as_secs_f64();
        let plays = SimDuration::from_secs_f64(recorded / load.speed);
        let duration = self.text.scenario.duration;
        let is_short = plays.as_secs_f64() < duration.as_secs_f64() * LONG_ENOUGH;
        let is_long = duration.as_secs_f64() < plays.as_secs_f64() * LONG_ENOUGH;
        // Whole seconds are precise enough for a message.
        let seconds = (plays.as_nanos() + 500_000_000) / 1_000_000_000;
        let plays = if seconds < 10 { plays } else { SimDuration::from_secs(seconds) };
        let [plays, duration] = [plays, duration].map(format_duration);
        if !load.repeat && is_short {
            self.warn(
                &path.field("trace"),
                format!("the trace ends after {plays}, but the run after {duration}"),
                "shorten the run, add `repeat: true`, or lower `speed`",
            );
        } else if !load.repeat && is_long && load.to.is_none() {
            self.note(
                &path.field("trace"),
                format!("the run ends after {duration}, but the trace after {plays}: what comes later is not replayed"),
                format!("`duration: {plays}` replays all of it, `from` and `to` select a part"),
            );
        }
    }

    /// Checks that fluid traffic goes to pods with a mean request cost that get no individual
    /// requests.
    fn can_flow(&mut self, path: &FieldPath, spec: &TrafficSpec) {
        let behind = |service: &TrafficSpec| -> Vec<String> {
            self.ever.workloads_behind(&service.service.0).map(ToString::to_string).collect()
        };
        let own = behind(spec);
        let scenario = &self.text.scenario;
        let is_llm = scenario.workloads.iter().any(|workload| {
            let has_llm = workload.requests.as_ref().is_some_and(|requests| requests.llm.is_some());
            has_llm && own.contains(&workload.workload.to_string())
        });
        let other = scenario.traffic.iter().find(|other| {
            other.arrivals != Some(ArrivalProcess::Fluid)
                && behind(other).iter().any(|workload| own.contains(workload))
        });
        if is_llm {
            let message =
                "inference servers process tokens, which `arrivals: fluid` does not model";
            self.error(path, message, "remove `arrivals`");
        } else if let Some(other) = other {
            let message =
                format!("the same pods get individual requests through {}", other.service);
            self.error(path, message, "write `arrivals: fluid` for both, or for neither");
        }
    }

    /// Checks that a workload behind the service accepts requests.
    pub(super) fn check_accepts_requests(&mut self, path: &FieldPath, service: &NamespacedName) {
        if !self.is_complete || !self.ever.services.contains_key(service) {
            return;
        }
        let behind: Vec<String> =
            self.ever.workloads_behind(service).map(ToString::to_string).collect();
        let described = self.text.scenario.workloads.iter().filter(|one| one.requests.is_some());
        let has_answer = described
            .map(|workload| workload.workload.to_string())
            .any(|workload| behind.contains(&workload));
        if behind.is_empty() {
            self.error(
                path,
                format!("the Service {service} selects no pods of the manifests"),
                "compare its selector with the labels of the pod templates",
            );
        } else if !has_answer {
            self.error(
                path,
                format!("the cost of a request to {service} is not set"),
                format!(
                    "add `workloads: [{{workload: {}, requests: {{cpuTime: 20ms}}}}]`",
                    behind[0]
                ),
            );
        }
    }
}
