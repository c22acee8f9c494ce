//! Checks the descriptions of workloads and their images.

use std::collections::BTreeSet;

use super::Checker;
use crate::resolved::ScenarioFiles;
use crate::workloads::Workload;
use cluster::{Name, ObjectReference};
use faults::TimelineAction;
use kubelet::AppProfile;
use manifest::FieldPath;
use traffic::{Problem, RequestModelSpec};

/// Largest accepted coefficient of variation; beyond it a mean is meaningless.
const VARIATION_MAX: f64 = 10.0;

impl Checker<'_> {
    /// Checks `workloads`.
    pub(super) fn workloads(&mut self, files: &ScenarioFiles) {
        let list = FieldPath::ROOT.field("workloads");
        let workloads = &self.text.scenario.workloads;
        for (index, workload) in workloads.iter().enumerate() {
            let path = list.item(index);
            let name = &workload.workload;
            if workloads[..index].iter().any(|other| other.workload == *name) {
                let message = format!("{name} has two entries");
                self.error(&path.field("workload"), message, "merge the entries");
            }
            self.workload_exists(&path.field("workload"), name);
            self.images(&path.field("images"), workload);
            self.requests(&path.to_string(), workload, files);
            self.ends(&path, workload);
            self.takes_from_a_queue(&path.field("app"), workload);
        }
        self.batch(&list);
        self.gates(&list);
    }

    /// Warns of pods that wait for readiness gates that nothing sets.
    fn gates(&mut self, list: &FieldPath) {
        let described = &self.text.scenario.workloads;
        let shut = self.ever.workloads.iter().filter_map(|(known, shape)| {
            let gate = shape.readiness_gates.first()?.clone();
            let entry = described.iter().find(|one| one.workload == *known);
            let is_set = entry.is_some_and(|one| one.app.readiness_gates.is_some());
            (!is_set).then(|| (known.clone(), gate))
        });
        for (workload, gate) in shut.collect::<Vec<_>>() {
            self.warn(
                list,
                format!(
                    "no controller sets the condition {gate} of the readinessGates of {workload}, so its pods never become ready"
                ),
                format!("add `{{workload: {workload}, app: {{readinessGates: 15s}}}}`"),
            );
        }
    }

    /// Warns of Jobs whose pods would never finish.
    fn batch(&mut self, list: &FieldPath) {
        let described = &self.text.scenario.workloads;
        let ends = |app: &AppProfile| app.completes() || app.crashes_after.is_some();
        let endless = self.ever.workloads.keys().filter(|known| {
            let entry = described.iter().find(|one| one.workload == **known);
            let can_end = entry.is_some_and(|one| {
                ends(&one.app) || one.images.values().any(|image| ends(&image.app))
            });
            known.kind.is_batch() && !can_end
        });
        let endless: Vec<ObjectReference> = endless.cloned().collect();
        for workload in endless {
            self.warn(
                list,
                format!("pods of {workload} have no run time, so they never end"),
                format!("add `{{workload: {workload}, app: {{runsFor: 5m}}}}`"),
            );
        }
    }

    /// Checks the settings for containers that exit on their own.
    fn ends(&mut self, path: &FieldPath, workload: &Workload) {
        self.end(&path.field("app"), &workload.app);
        for (name, image) in workload.images.iter().filter(|(_, one)| one.app != workload.app) {
            self.end(&path.field("images").key(name).field("app"), &image.app);
        }
        for (name, app) in &workload.containers {
            self.end(&path.field("containers").key(name), app);
        }
    }

    /// Warns of pods that complete after some requests, but take none from a queue.
    fn takes_from_a_queue(&mut self, path: &FieldPath, workload: &Workload) {
        let images = workload.images.values().map(|image| &image.app);
        let mut apps = std::iter::once(&workload.app).chain(images);
        let services = &self.text.scenario.services;
        let mut queues = services.iter().filter(|service| service.work_queue);
        let is_worker = apps
            .any(|app| app.completes_after_requests.is_some() || app.completes_when_idle.is_some());
        if is_worker
            && !queues.any(|queue| {
                self.ever.workloads_behind(&queue.service.0).any(|one| *one == workload.workload)
            })
        {
            let message = format!(
                "no queue leads to {}, so `completesAfterRequests` and `completesWhenIdle` have no effect",
                workload.workload
            );
            let help = "add `services: [{service: NAMESPACE/NAME, workQueue: true}]`, with the Service that selects its pods";
            self.warn(path, message, help);
        }
    }

    fn end(&mut self, path: &FieldPath, app: &AppProfile) {
        if app.completes_after_requests == Some(0) {
            let message = "a container that takes no request is never done".to_owned();
            self.error(&path.field("completesAfterRequests"), message, "write 1 or more");
        }
        let share = app.failure_probability;
        if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            let message = "a probability is a number from 0 to 1".to_owned();
            self.error(&path.field("failureProbability"), message, "write 0.05 for 5 %");
        }
        if !(0.0..=VARIATION_MAX).contains(&app.runs_for_cv) {
            let message = format!("a coefficient of variation is 0 to {VARIATION_MAX}");
            let help = "write 0.5 for a standard deviation of half the mean";
            self.error(&path.field("runsForCv"), message, help);
        }
        if !app.completes() && (share.is_some() || app.runs_for_cv > 0.0) {
            let message = "it never ends, so no failure is drawn";
            self.warn(path, message, "add `runsFor`, such as 5m");
        }
    }

    /// Checks that every described image is used at some time.
    fn images(&mut self, path: &FieldPath, workload: &Workload) {
        let used = self.images_of(workload);
        if used.is_empty() {
            return;
        }
        for image in workload.images.keys() {
            if !used.contains(image) {
                let names: Vec<&str> = used.iter().map(AsRef::as_ref).collect();
                self.warn(
                    &path.key(image),
                    format!("{} never runs the image {image}", workload.workload),
                    format!("its images are {}", names.join(", ")),
                );
            }
        }
    }

    fn requests(&mut self, path: &str, workload: &Workload, files: &ScenarioFiles) {
        if let Some(requests) = &workload.requests {
            self.report(problems_of(requests, &format!("{path}.requests"), files));
        }
        for (image, behavior) in &workload.images {
            if let Some(requests) = &behavior.requests
                && behavior.requests != workload.requests
            {
                let path = format!("{path}.images[{image}].requests");
                self.report(problems_of(requests, &path, files));
            }
        }
    }

    fn images_of(&self, workload: &Workload) -> BTreeSet<Name> {
        let timeline = self.text.scenario.timeline.iter();
        let later = timeline.filter_map(|entry| match &entry.action {
            TimelineAction::SetImage(change) if change.workload == workload.workload => {
                Some(change.image.clone())
            }
            _ => None,
        });
        [&self.at_start, &self.ever]
            .into_iter()
            .filter_map(|inventory| inventory.workloads.get(&workload.workload))
            .flat_map(|pods| pods.containers.iter().map(|(_, image)| image.as_str().into()))
            .chain(later)
            .collect()
    }
}

/// Problems of the settings on their own, and of the files that they name.
fn problems_of(requests: &RequestModelSpec, path: &str, files: &ScenarioFiles) -> Vec<Problem> {
    let mut named = requests.llm.iter().flat_map(|llm| llm.histogram_files());
    if named.any(|(_, file)| files.tokens(file).is_none()) {
        // An unreadable file is reported where it is read.
        return requests.problems(path);
    }
    let made = requests.model_with(path, &|file| files.tokens(file));
    made.err().unwrap_or_default()
}
