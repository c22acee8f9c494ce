//! From a scenario with all its files to a [`World`]: everything is looked up and checked here, so that
//! a simulation itself never meets a mistake.

use std::collections::BTreeMap;

use super::world::{App, AppPlan, Step, World};
use crate::cluster::node::Node;
use crate::cluster::{Action, Name, NamespacedName, ObjectReference};
use crate::controllers::ControllerSettings;
use crate::engine::{SimDuration, SimTime, Streams};
use crate::faults::TimelineAction;
use crate::kubelet::AppProfile;
use crate::manifest::{
    Diagnostic, Diagnostics, Manifest, Severity, Source, admit, read_documents, read_manifests,
};
use crate::scenario::Override;
use crate::scenario::resolved::ResolvedScenario;
use crate::scenario::scheduler_configuration::scheduler_configuration;
use crate::scenario::workloads::Workload;
use crate::scheduler::{Scheduler, SchedulerConfiguration, TieBreaker};
use crate::traffic::{
    Problem, RequestModel, RequestModelId, RequestModelSpec, ServiceTraffic, TrafficSpec,
};
use crate::units::{Bytes, HourlyPrice, Quantity};

/// How many intervals a report has at most.
const INTERVALS_MAX: i64 = 240;
/// The shortest interval of a report.
const INTERVAL_MIN: SimDuration = SimDuration::from_secs(15);

/// A scenario that was read, lowered and checked, for any number of runs.
#[derive(Clone, Debug)]
pub struct Blueprint<'a> {
    resolved: &'a ResolvedScenario,
    nodes: Vec<Node>,
    pools: BTreeMap<Name, Pool>,
    objects: Vec<Action>,
    apps: BTreeMap<ObjectReference, AppPlan>,
    request_models: Vec<RequestModel>,
    timeline: Vec<(SimTime, Step)>,
    scheduler: SchedulerConfiguration,
    /// Warnings and notes.
    notes: Diagnostics,
}

/// A node pool, as far as the report goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Instance type, empty if described in place.
    pub instance_type: String,
    /// Price of a node; absent = unknown.
    pub price: Option<HourlyPrice>,
}

impl<'a> Blueprint<'a> {
    /// Reads, lowers and checks all that a scenario names. All mistakes come at once.
    pub fn new(resolved: &'a ResolvedScenario) -> Result<Self, Diagnostics> {
        let mut problems = resolved.check();
        let scenario = resolved.scenario();
        let mut blueprint = Self {
            resolved,
            nodes: Vec::new(),
            pools: BTreeMap::new(),
            objects: Vec::new(),
            apps: BTreeMap::new(),
            request_models: Vec::new(),
            timeline: Vec::new(),
            scheduler: SchedulerConfiguration::default(),
            notes: Diagnostics::default(),
        };
        blueprint.add_pools();
        blueprint.objects = blueprint.manifests(
            &resolved.files.manifests,
            &resolved.manifest_settings,
            &mut problems,
        );
        for workload in &scenario.workloads {
            blueprint.add_workload(workload, &mut problems);
        }
        blueprint.add_timeline(&mut problems);
        if let Some(source) = &resolved.files.scheduler_config {
            blueprint.scheduler = scheduler_of(source, &mut problems);
        }
        problems.sort();
        if problems.has_errors() {
            return Err(problems);
        }
        blueprint.notes = problems;
        Ok(blueprint)
    }

    /// The world of a run with this seed.
    pub fn world(&self, seed: u64) -> Result<World, Diagnostics> {
        let scenario = self.resolved.scenario();
        let streams = Streams::new(seed);
        let mut problems = Diagnostics::default();
        let mut traffic = Vec::new();
        for (position, spec) in scenario.traffic.iter().enumerate() {
            match self.service_traffic(position, spec, streams) {
                Ok(service) => traffic.push(service),
                Err(mistakes) => problems.append(mistakes),
            }
        }
        let ties = TieBreaker::drawn(streams.stream("scheduler ties", 0));
        let scheduler = Scheduler::new(&self.scheduler, ties).map_err(|error| {
            problems.push(Diagnostic::error("scheduler", error.to_string()));
        });
        let (Ok(scheduler), false) = (scheduler, problems.has_errors()) else {
            return Err(problems);
        };
        Ok(World {
            seed,
            duration: scenario.duration,
            warm_up: scenario.warm_up,
            interval: interval(scenario.duration),
            nodes: self.nodes.clone(),
            objects: self.objects.clone(),
            apps: self.apps.clone(),
            request_models: self.request_models.clone(),
            traffic,
            timeline: self.timeline.clone(),
            delays: scenario.delays,
            metrics: scenario.metrics,
            controllers: ControllerSettings {
                hpa: scenario.controller_manager.horizontal_pod_autoscaler.clone(),
            },
            scheduler,
        })
    }

    /// Warnings and notes about what was read.
    pub const fn notes(&self) -> &Diagnostics {
        &self.notes
    }

    /// The node pools, by name.
    pub const fn pools(&self) -> &BTreeMap<Name, Pool> {
        &self.pools
    }

    fn add_pools(&mut self) {
        for pool in &self.resolved.scenario().cluster.node_pools {
            // A pool that cannot be resolved is reported by the scenario's own check.
            let Ok(resolved) = pool.resolve() else { continue };
            self.nodes.extend((1..=pool.count).map(|number| resolved.node(number)));
            let instance_type = pool.instance_type.clone().unwrap_or_default();
            let price = Some(resolved.price());
            self.pools.insert(pool.name.clone(), Pool { instance_type, price });
        }
    }

    /// The actions that create the objects of some texts; their nodes join the cluster's.
    fn manifests(
        &mut self,
        sources: &[Source],
        settings: &[Override],
        problems: &mut Diagnostics,
    ) -> Vec<Action> {
        let mut manifests = read_manifests(sources, problems);
        for setting in settings {
            set_in_manifests(&mut manifests, setting, problems);
        }
        let loaded = admit(manifests);
        problems.append(loaded.diagnostics);
        let mut actions = Vec::new();
        for object in loaded.objects {
            match object.into_action() {
                Some(Action::AddNode(node)) => self.nodes.push(*node),
                Some(action) => actions.push(action),
                None => {}
            }
        }
        actions
    }

    fn add_workload(&mut self, workload: &Workload, problems: &mut Diagnostics) {
        let field = format!("workloads[{}]", self.position_of(workload));
        let default =
            self.app(&workload.app, workload.memory, workload.requests.as_ref(), &field, problems);
        let images = workload
            .images
            .iter()
            .map(|(image, behavior)| {
                let field = format!("{field}.images[{image}]");
                let app = self.app(
                    &behavior.app,
                    behavior.memory,
                    behavior.requests.as_ref(),
                    &field,
                    problems,
                );
                (image.clone(), app)
            })
            .collect();
        self.apps.insert(workload.workload.clone(), AppPlan { default, images });
    }

    fn position_of(&self, workload: &Workload) -> usize {
        let workloads = &self.resolved.scenario().workloads;
        workloads.iter().position(|other| std::ptr::eq(other, workload)).unwrap_or_default()
    }

    fn app(
        &mut self,
        profile: &AppProfile,
        memory: Option<Quantity>,
        requests: Option<&RequestModelSpec>,
        field: &str,
        problems: &mut Diagnostics,
    ) -> App {
        let mut app = App { profile: *profile, requests: None, memory: memory.map(Bytes::from) };
        if let Some(spec) = requests {
            match spec.model(&format!("{field}.requests")) {
                Ok(model) => {
                    let position = self.request_models.len();
                    let id =
                        u32::try_from(position).expect("a scenario has fewer than 2^32 models");
                    app.requests = Some(RequestModelId(id));
                    self.request_models.push(model);
                }
                Err(mistakes) => self.report(mistakes, problems),
            }
        }
        app
    }

    fn add_timeline(&mut self, problems: &mut Diagnostics) {
        let mut timeline = Vec::new();
        for entry in &self.resolved.scenario().timeline {
            let objects = match &entry.action {
                TimelineAction::Apply(path) => {
                    let sources = self.resolved.files.applies.get(path);
                    self.manifests(sources.map_or(&[], Vec::as_slice), &[], problems)
                }
                _ => Vec::new(),
            };
            let step = Step { action: entry.action.clone(), objects };
            timeline.push((SimTime::ZERO + entry.at, step));
        }
        timeline.sort_by_key(|(at, _)| *at);
        self.timeline = timeline;
    }

    fn service_traffic(
        &self,
        position: usize,
        spec: &TrafficSpec,
        streams: Streams,
    ) -> Result<(NamespacedName, ServiceTraffic), Diagnostics> {
        let service = spec.service.0.clone();
        let file = spec.load.trace_file().and_then(|path| self.resolved.files.traces.get(path));
        let trace = file.map(|file| &file.trace);
        // Named by the Service, so that traffic to one does not depend on that to the others.
        let stream = streams.stream(&format!("arrivals at {service}"), 0);
        match spec.arrivals(&format!("traffic[{position}]"), trace, stream) {
            Ok(arrivals) => Ok((
                service.clone(),
                ServiceTraffic {
                    name: service.to_string(),
                    arrivals,
                    balancer: spec.balancer,
                    timeout: spec.timeout,
                },
            )),
            Err(mistakes) => {
                let mut problems = Diagnostics::default();
                self.report(mistakes, &mut problems);
                Err(problems)
            }
        }
    }

    fn report(&self, mistakes: Vec<Problem>, problems: &mut Diagnostics) {
        let document = &self.resolved.text.document;
        for mistake in mistakes {
            let place = document.positions.place_of(&document.source, &mistake.path);
            let mut diagnostic =
                Diagnostic::new(Severity::Error, "invalid-setting", mistake.message).at(place);
            diagnostic.field = mistake.path;
            problems.push(diagnostic);
        }
    }
}

/// Reads a KubeSchedulerConfiguration; its mistakes are reported at their lines.
fn scheduler_of(source: &Source, problems: &mut Diagnostics) -> SchedulerConfiguration {
    let documents = read_documents(source, problems);
    let Some(document) = documents.into_iter().next() else {
        return SchedulerConfiguration::default();
    };
    scheduler_configuration(&document.value).unwrap_or_else(|mistakes| {
        for mistake in mistakes {
            let place = document.positions.place_of(&document.source, &mistake.path);
            let mut problem = Diagnostic::error("scheduler", mistake.problem).at(place);
            problem.field = mistake.path;
            problems.push(problem);
        }
        SchedulerConfiguration::default()
    })
}

/// Makes a setting in the manifest that it is for.
fn set_in_manifests(manifests: &mut [Manifest], setting: &Override, problems: &mut Diagnostics) {
    let mut found = false;
    for manifest in manifests.iter_mut() {
        if Some(&manifest.reference) == setting.object() {
            found = true;
            if let Err(error) = setting.apply(&mut manifest.value) {
                problems.push(Diagnostic::error("setting", error.to_string()));
            }
        }
    }
    if !found {
        let message = format!("{setting}: no manifest has this object");
        problems.push(Diagnostic::error("setting", message));
    }
}

/// Intervals of a whole multiple of the shortest, few enough to be drawn.
fn interval(duration: SimDuration) -> SimDuration {
    let shortest = INTERVAL_MIN.as_nanos();
    let needed = duration.as_nanos().div_euclid(INTERVALS_MAX * shortest) + 1;
    let exact = duration.as_nanos() % (INTERVALS_MAX * shortest) == 0;
    INTERVAL_MIN * (if exact { needed - 1 } else { needed }).max(1)
}
