//! Semantic checks of a scenario that its types cannot express. All problems are reported at once, each at
//! its line. The manifests themselves are checked by `manifest`.

mod assumed;
mod bill;
mod bytes;
mod calls;
mod cluster;
mod discounts;
mod endpoints;
mod faults;
mod ingress;
pub(crate) mod karpenter;
mod machines;
mod many_hpas;
mod metrics;
mod network;
mod objectives;
mod provenance;
mod regions;
mod services;
mod timeline;
mod traffic;
mod workloads;

pub use endpoints::AssumedRequests;
pub(crate) use regions::region_of;

use std::collections::BTreeSet;

use super::ResolvedScenario;
use super::inventory::Inventory;
use super::read::ScenarioText;
use super::resolved::ScenarioFiles;
use ::cluster::{NamespacedName, ObjectReference};
use ::traffic::Problem;
use engine::SimDuration;
use engine::format_duration;
use manifest::{
    ControlPlane, Diagnostic, Diagnostics, FieldPath, Manifest, Severity, admit_with,
    read_manifests,
};

impl ResolvedScenario {
    /// All errors and warnings about the scenario, except those in the manifests themselves.
    pub fn check(&self) -> Diagnostics {
        self.check_and_assume().0
    }

    /// The same, with the requests that are assumed because the scenario does not describe them.
    pub fn check_and_assume(&self) -> (Diagnostics, Vec<AssumedRequests>) {
        let mut checker = Checker::new(&self.text, &self.files);
        checker.run();
        checker.assumed();
        checker.provenance();
        checker.cluster();
        checker.machines();
        checker.karpenter();
        checker.workloads(&self.files);
        checker.calls();
        checker.traffic(&self.files);
        checker.endpoints();
        checker.metrics();
        checker.many_hpas();
        checker.ingress(&self.files);
        checker.backends();
        checker.services();
        checker.network();
        checker.mesh();
        checker.timeline();
        checker.faults();
        checker.containers();
        checker.objectives();
        checker.bill();
        checker.discounts();
        checker.bytes();
        (checker.problems, checker.assumed_requests)
    }
}

/// Sections that no other section depends on.
const LEAVES: [&str; 5] = ["bill", "faults", "objectives", "timeline", "timing"];

impl ResolvedScenario {
    /// Further errors of a scenario that already has mistakes or names files that could not be read: those in
    /// its manifests, and those in sections that do not depend on the missing parts.
    pub fn problems_beside(&self, mistakes: &Diagnostics, unread: &Diagnostics) -> Diagnostics {
        let section = |problem: &Diagnostic| {
            let end = problem.field.find(['.', '[']).unwrap_or(problem.field.len());
            problem.field[..end].to_owned()
        };
        let all = mistakes.iter().chain(unread.iter());
        let touched: BTreeSet<String> = all.map(section).collect();
        let is_whole = touched.iter().all(|section| LEAVES.contains(&section.as_str()));
        let own = self.check();
        let own = own.iter().filter(|problem| {
            let depends_on_others = problem.code != "invalid-setting";
            !touched.contains(&section(problem)) && (is_whole || !depends_on_others)
        });
        // The object that a manifest refers to may be in a file that could not be read.
        let hpa = &self.scenario().controller_manager.horizontal_pod_autoscaler;
        let control_plane = ControlPlane {
            hpa_scale_to_zero: hpa.feature_gates.hpa_scale_to_zero,
            hpa_tolerance: hpa.tolerance,
        };
        let sources = std::iter::once(&self.files.manifests).chain(self.files.applies.values());
        let of_manifests = sources.filter(|sources| !sources.is_empty()).map(|sources| {
            let mut problems = Diagnostics::default();
            let manifests = read_manifests(sources, &mut problems);
            problems.append(admit_with(manifests, control_plane).diagnostics);
            problems
        });
        let of_manifests: Vec<Diagnostics> = of_manifests.collect();
        let of_manifests = of_manifests.iter().flat_map(Diagnostics::iter);
        let of_manifests = of_manifests.filter(|problem| problem.code != "missing-reference");
        let mut list = Diagnostics::default();
        for problem in own.chain(of_manifests).filter(|one| one.severity == Severity::Error) {
            list.push(problem.clone());
        }
        list.deduplicate();
        list
    }
}

/// Collects the problems of a scenario.
struct Checker<'a> {
    text: &'a ScenarioText,
    /// All objects; those present at the start come first.
    manifests: Vec<Manifest>,
    /// Objects present at the start.
    at_start: Inventory,
    /// Objects present at the start or applied later.
    ever: Inventory,
    /// True if all manifests could be read; otherwise a missing object proves nothing.
    is_complete: bool,
    assumed_requests: Vec<AssumedRequests>,
    problems: Diagnostics,
}

impl<'a> Checker<'a> {
    fn new(text: &'a ScenarioText, files: &ScenarioFiles) -> Self {
        // Unreadable manifests are reported by the manifest checks.
        let mut unread = Diagnostics::default();
        let mut manifests = read_manifests(&files.manifests, &mut unread);
        let (mut at_start, mut ever) = (Inventory::default(), Inventory::default());
        at_start.add(&manifests);
        let applied = files.applies.values();
        manifests.extend(applied.flat_map(|sources| read_manifests(sources, &mut unread)));
        ever.add(&manifests);
        let is_lost =
            |one: &Diagnostic| one.severity == Severity::Error && one.code != "duplicate-object";
        let is_complete = !unread.iter().any(is_lost);
        Self {
            text,
            manifests,
            at_start,
            ever,
            is_complete,
            assumed_requests: Vec::new(),
            problems: Diagnostics::default(),
        }
    }

    /// Checks name, duration and manifests.
    fn run(&mut self) {
        let root = FieldPath::ROOT;
        let scenario = &self.text.scenario;
        if scenario.name.trim().is_empty() {
            self.error(
                &root.field("name"),
                "the name is empty",
                "give it a short name, such as checkout-peak",
            );
        }
        if scenario.duration == SimDuration::ZERO {
            self.error(
                &root.field("duration"),
                "a run of 0s has no results",
                "set a duration, such as 1h",
            );
        } else if scenario.warm_up >= scenario.duration {
            let message = format!(
                "the warm-up of {} leaves nothing of the run of {}",
                format_duration(scenario.warm_up),
                format_duration(scenario.duration)
            );
            self.error(&root.field("warmUp"), message, "shorten the warm-up, or lengthen the run");
        }
        if scenario.manifests.is_empty() {
            self.error(
                &root.field("manifests"),
                "there are no manifests, so nothing is deployed",
                "name files, folders or patterns, such as [k8s/]",
            );
        }
    }

    fn error(&mut self, path: &FieldPath, message: impl Into<String>, help: impl Into<String>) {
        let problem = Diagnostic::error("invalid-scenario", message);
        self.problems.push(problem.at(self.text.document.place(path)).field(path).help(help));
    }

    fn warn(&mut self, path: &FieldPath, message: impl Into<String>, help: impl Into<String>) {
        let problem = Diagnostic::warning("doubtful-scenario", message);
        self.problems.push(problem.at(self.text.document.place(path)).field(path).help(help));
    }

    fn note(&mut self, path: &FieldPath, message: impl Into<String>, help: impl Into<String>) {
        let problem = Diagnostic::note("partial-input", message);
        self.problems.push(problem.at(self.text.document.place(path)).field(path).help(help));
    }

    /// Adds problems that a part of the scenario has found in itself.
    fn report(&mut self, problems: Vec<Problem>) {
        for Problem { path, message } in problems {
            let document = &self.text.document;
            let place = document.positions.place_of(&document.source, &path);
            let problem = Diagnostic::error("invalid-setting", message).at(place);
            self.problems.push(Diagnostic { field: path, ..problem });
        }
    }

    /// Checks that the manifests define the workload.
    fn workload_exists(&mut self, path: &FieldPath, workload: &ObjectReference) {
        if self.is_complete && !self.ever.workloads.contains_key(workload) {
            let known = self.ever.workloads.keys().map(ToString::to_string);
            let help = listed("workloads", known);
            self.error(path, format!("no manifest has a {workload}"), help);
        }
    }

    /// Checks that the manifests define the service.
    fn service_exists(&mut self, path: &FieldPath, service: &NamespacedName) {
        if self.is_complete && !self.ever.services.contains_key(service) {
            let known = self.ever.services.keys().map(ToString::to_string);
            let help = listed("Services", known);
            self.error(path, format!("no manifest has a Service {service}"), help);
        }
    }
}

/// A help text that lists the valid names.
fn listed(what: &str, known: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 6;
    let names: Vec<String> = known.collect();
    match names.len() {
        0 => format!("there are no {what}"),
        count if count <= SHOWN => format!("the {what} are {}", names.join(", ")),
        count => format!("the {what} are {} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}
