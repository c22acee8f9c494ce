//! Turns a scenario with all its files into a [`World`]: everything is resolved and validated here, so that a
//! simulation never meets invalid input.

mod accelerators;
mod activators;
mod actors;
mod applications;
mod ingress;
mod mesh;
mod rollouts;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::cloud::plan::{CloudPlan, GroupPlan};
use super::documents::{Documents, control_plane};
use super::karpenter::{KarpenterPlan, POOL_KINDS};
use super::node_autoscaler::AutoscalerPlan;
use super::unserved::unserved_metrics;
use super::world::{AppPlan, CpuLoadStep, Step, World};
use actors::{Actors, is_refused};
use cluster::action::PodSource;
use cluster::node::Node;
use cluster::pod_resources::pod_requests;
use cluster::{Action, AnySpec, Kind, NamespacedName, ObjectReference};
use controllers::ControllerSettings;
use engine::{SimTime, Streams};
use faults::TimelineAction;
use manifest::{Diagnostic, Diagnostics, Severity, Source, read_documents, read_manifests};
use mesh::{mesh_of, says_of_mesh};
use scenario::cluster::{Cluster, NodePool};
use scenario::document::StartDate;
use scenario::machines::Preset;
use scenario::mesh::InstalledMesh;
use scenario::mesh_routes::MeshRouting;
use scenario::resolved::ResolvedScenario;
use scenario::scheduler_configuration::scheduler_configuration;
use scenario::{Override, Routing, route_problems};
use scheduler::gpu::GpuRequest;
use scheduler::plugins::gpu_fragmentation::{TYPICAL_PERCENT, TypicalPod, typical_pods};
use scheduler::resources::Resources;
use scheduler::{Scheduler, SchedulerConfiguration, TieBreaker};
use settings::set_in_manifests;
use traffic::{Balancer, Problem, RequestModel, ServicePolicy, ServiceTraffic, TrafficSpec};

/// Start of a run whose scenario has no date: 2026-01-05T00:00:00Z, in Unix seconds.
const DEFAULT_START_SECONDS: i64 = 1_767_571_200;

/// A scenario that has been read, lowered and checked, for any number of runs.
#[derive(Clone, Debug)]
pub struct Blueprint<'a> {
    resolved: &'a ResolvedScenario,
    nodes: Vec<Node>,
    cloud: CloudPlan,
    objects: Vec<Action>,
    apps: BTreeMap<ObjectReference, AppPlan>,
    request_models: Vec<RequestModel>,
    cpu_loads: Vec<CpuLoadStep>,
    timeline: Vec<(SimTime, Step)>,
    /// Objects as last written.
    documents: Documents,
    /// Routing of hosts and paths as the timeline changes it, each with its start time. Used for checks only: a run
    /// derives its own from the store.
    routings: Vec<(SimTime, Routing)>,
    scheduler: SchedulerConfiguration,
    /// The service mesh.
    mesh: Option<InstalledMesh>,
    /// Its settings for calls to Services.
    mesh_routing: MeshRouting,
    /// Warnings and notes.
    notes: Diagnostics,
}

impl<'a> Blueprint<'a> {
    /// Reads, lowers and checks everything a scenario refers to. Reports all mistakes at once.
    pub fn new(resolved: &'a ResolvedScenario) -> Result<Self, Diagnostics> {
        let (mut problems, assumed_requests) = resolved.check_and_assume();
        let scenario = resolved.scenario();
        let hpa = &scenario.controller_manager.horizontal_pod_autoscaler;
        let mut blueprint = Self {
            resolved,
            nodes: Vec::new(),
            cloud: CloudPlan::new(preset_of(&scenario.cluster)),
            objects: Vec::new(),
            apps: BTreeMap::new(),
            request_models: Vec::new(),
            cpu_loads: Vec::new(),
            timeline: Vec::new(),
            documents: Documents::new(control_plane(hpa)),
            routings: Vec::new(),
            scheduler: SchedulerConfiguration::default(),
            mesh: mesh_of(resolved),
            mesh_routing: MeshRouting::default(),
            notes: Diagnostics::default(),
        };
        blueprint.add_pools();
        blueprint.objects = blueprint.system_manifests(&mut problems);
        let mut sources = resolved.assumed_manifests();
        sources.extend(resolved.files.manifests.iter().cloned());
        let objects = blueprint.manifests(&sources, &resolved.manifest_settings, &mut problems);
        blueprint.objects.extend(objects);
        let rules = &scenario.metrics.custom;
        let unmeasured = rollouts::unmeasured(&blueprint.objects, rules);
        for problem in unserved_metrics(&blueprint.objects, rules).into_iter().chain(unmeasured) {
            problems.push(problem);
        }
        blueprint.take_nodes();
        blueprint.add_routing(SimTime::ZERO, &mut problems);
        blueprint.add_mesh_routing(&mut problems);
        blueprint.check_ingress_routes(&mut problems);
        for workload in &scenario.workloads {
            blueprint.add_workload(workload, &mut problems);
        }
        blueprint.assume_requests(&assumed_requests);
        blueprint.add_timeline(&mut problems);
        blueprint.accelerators(&mut problems);
        blueprint.check_activators(&mut problems);
        if let Some(source) = &resolved.files.scheduler_config {
            blueprint.scheduler = scheduler_of(source, &mut problems);
        }
        blueprint.check_limits(&mut problems);
        blueprint.scheduler.expect_typical(&typical_of(&blueprint.objects));
        // Converting settings to models repeats some findings of the scenario's own check.
        problems.deduplicate();
        problems.sort();
        if problems.has_errors() {
            return Err(problems);
        }
        blueprint.notes = problems;
        Ok(blueprint)
    }

    /// The scenario.
    pub(super) const fn resolved(&self) -> &'a ResolvedScenario {
        self.resolved
    }

    /// The objects applied at the start.
    pub(super) fn objects(&self) -> &[Action] {
        &self.objects
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
        let ingress_routes = self.add_ingress_routes(&mut traffic, streams, &mut problems);
        self.add_called_services(&mut traffic);
        self.add_classes(&mut traffic);
        self.add_activators(&mut traffic);
        self.add_measured_services(&mut traffic);
        let subsets = self.route_in_mesh(&mut traffic);
        let ties = TieBreaker::drawn(streams.stream("scheduler ties", 0));
        let scheduler = Scheduler::new(&self.scheduler, ties).map_err(|error| {
            problems.push(Diagnostic::error("scheduler", error.to_string()));
        });
        let (Ok(scheduler), false) = (scheduler, problems.has_errors()) else {
            return Err(problems);
        };
        Ok(World {
            warm_up: scenario.warm_up,
            nodes: self.nodes.clone(),
            cloud: Arc::new(self.cloud.clone()),
            autoscaler: scenario.cluster.cluster_autoscaler().map(|settings| AutoscalerPlan {
                options: settings.options(scenario.cluster.preset),
                first_loop: settings.first_loop,
            }),
            karpenter: self.karpenter(),
            objects: self.objects.clone(),
            apps: self.apps.clone(),
            request_models: self.request_models.clone(),
            network: scenario.network.clone(),
            mesh: self.mesh.as_ref().map(|mesh| (mesh.injector.clone(), mesh.proxy_time.clone())),
            cpu_loads: self.cpu_loads.clone(),
            mesh_rules: self.mesh_rules(&traffic),
            traffic,
            subsets,
            ingress_routes,
            timeline: self.timeline.clone(),
            faults: scenario.faults.clone(),
            timing: scenario.timing,
            kubelet: scenario.kubelet,
            metrics: scenario.metrics.clone(),
            controllers: ControllerSettings {
                hpa: scenario.controller_manager.horizontal_pod_autoscaler.clone(),
                vpa: scenario.vertical_pod_autoscaler.clone(),
                start: start_of(scenario.start_date.as_ref()),
                ..ControllerSettings::default()
            },
            has_local_disks: scenario.cluster.preset == Some(Preset::Kind),
            scheduler,
            ..World::new(seed, scenario.duration)
        })
    }

    /// Karpenter, if the manifests contain a NodePool at any time.
    fn karpenter(&self) -> Option<KarpenterPlan> {
        let cluster = &self.resolved.scenario().cluster;
        let is_pool = |action: &Action| matches!(action, Action::Apply(_, AnySpec::NodePool(_)));
        let later = self.timeline.iter().flat_map(|(_, step)| &step.objects);
        self.objects.iter().chain(later).any(is_pool).then(|| KarpenterPlan {
            settings: cluster.karpenter_settings(),
            times: cluster.machines.times(Preset::Eks),
        })
    }

    /// The service mesh, if one is installed.
    pub const fn mesh(&self) -> Option<&InstalledMesh> {
        self.mesh.as_ref()
    }

    /// Warnings and notes about the input.
    pub const fn notes(&self) -> &Diagnostics {
        &self.notes
    }

    fn add_pools(&mut self) {
        let cluster = &self.resolved.scenario().cluster;
        self.cloud.boot_failures = cluster.machines.boot_failures;
        self.cloud.quota.clone_from(&cluster.machines.quota);
        for pool in &cluster.node_pools {
            // The scenario's own check reports pools that cannot be resolved.
            let Ok(resolved) = cluster.resolve(pool) else { continue };
            if pool.count.bounds().is_none() {
                let count = pool.count.at_start();
                self.nodes.extend((1..=count).map(|number| resolved.node(number)));
            }
            let times = cluster.machines.times(cluster.preset_of(&resolved));
            let groups = resolved.groups().into_iter().map(|group| GroupPlan {
                min: group.bounds.min,
                max: group.bounds.max,
                start: group.bounds.start.unwrap_or(group.bounds.min),
                name: group.name,
                templates: group.templates,
                times,
            });
            self.cloud.groups.extend(groups);
        }
    }

    /// The DaemonSets that the cluster preset brings, except those that the manifests define themselves.
    fn system_manifests(&mut self, problems: &mut Diagnostics) -> Vec<Action> {
        let Some(preset) = self.resolved.scenario().cluster.preset else { return Vec::new() };
        let given = read_manifests(&self.resolved.files.manifests, &mut Diagnostics::default());
        let mut manifests = read_manifests(&[preset.system()], problems);
        manifests.retain(|own| !given.iter().any(|other| other.reference == own.reference));
        let (actions, _) = self.documents.admit(manifests.clone());
        self.documents.apply(&manifests);
        actions
    }

    /// The actions that create the objects of some manifests.
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
        let (actions, reported) = self.documents.admit(manifests.clone());
        let has_part = !self.resolved.scenario().ingress.is_empty();
        if has_part {
            // Skip problems already reported as refused by the API server.
            let is_known_error = |problem: &Diagnostic| {
                reported.iter().any(|one| {
                    one.severity == Severity::Error
                        && (&one.object, &one.field) == (&problem.object, &problem.field)
                })
            };
            let more = manifests.iter().flat_map(route_problems);
            more.filter(|problem| !is_known_error(problem))
                .for_each(|problem| problems.push(problem));
        }
        self.documents.apply(&manifests);
        let is_left_aside = |one: &&Diagnostic| {
            !(self.mesh.as_ref().is_some_and(|mesh| says_of_mesh(one, mesh))
                || says_no_part(one, &POOL_KINDS)
                || has_part && says_no_part(one, &ROUTE_KINDS))
        };
        for problem in reported.iter().filter(is_left_aside) {
            problems.push(problem.clone());
        }
        actions
    }

    /// Moves Node objects from the manifests to the cluster's nodes.
    fn take_nodes(&mut self) {
        for action in std::mem::take(&mut self.objects) {
            match action {
                Action::Apply(meta, AnySpec::Node(node)) => {
                    self.nodes.push(Node { meta: *meta, ..*node });
                }
                other => self.objects.push(other),
            }
        }
    }

    fn add_timeline(&mut self, problems: &mut Diagnostics) {
        let resolved = self.resolved;
        let duration = resolved.scenario().duration;
        let timeline = resolved.scenario().timeline.iter();
        let mut entries: Vec<_> =
            timeline.flat_map(|entry| entry.times(duration).map(move |at| (at, entry))).collect();
        entries.sort_by_key(|(at, _)| *at);
        let has_actors = entries.iter().any(|(_, entry)| entry.actor.is_some());
        let at_start = if has_actors { &resolved.files.manifests[..] } else { &[] };
        let mut actors = Actors::new(at_start);
        for (at, entry) in entries {
            let applied = match &entry.action {
                TimelineAction::Apply(path) => resolved.files.applies.get(path),
                _ => None,
            };
            let applied = applied.map_or(&[][..], Vec::as_slice);
            let forbidden = if has_actors {
                actors.take(entry.actor.as_deref(), &entry.action, applied)
            } else {
                Vec::new()
            };
            let is_done = matches!(entry.action, TimelineAction::Apply(_)) || forbidden.is_empty();
            let objects = match &entry.action {
                _ if !is_done => Vec::new(),
                TimelineAction::Apply(_) => {
                    let mut objects = self.manifests(applied, &[], problems);
                    objects.retain(|action| !is_refused(action, &forbidden));
                    objects
                }
                TimelineAction::SetImage(change) => {
                    self.documents.set_image(change);
                    Vec::new()
                }
                TimelineAction::Patch(change) => {
                    problems.append(self.documents.patch(change));
                    self.patched_route(&change.workload, problems);
                    Vec::new()
                }
                TimelineAction::Delete(object) => {
                    self.documents.delete(object);
                    Vec::new()
                }
                _ => Vec::new(),
            };
            let since = SimTime::ZERO + at;
            self.add_routing(since, problems);
            let step = Step { action: entry.action.clone(), objects, forbidden };
            self.timeline.push((since, step));
        }
    }

    fn service_traffic(
        &self,
        position: usize,
        spec: &TrafficSpec,
        streams: Streams,
    ) -> Result<(NamespacedName, ServiceTraffic), Diagnostics> {
        let service = spec.service.0.clone();
        let traces = |path: &str| self.resolved.files.trace(path);
        // The stream is named after the Service, so that its traffic does not depend on that of other Services.
        let stream = streams.stream(&format!("arrivals at {service}"), 0);
        match spec.arrivals_with(&format!("traffic[{position}]"), &traces, stream) {
            Ok(arrivals) => Ok((
                service.clone(),
                ServiceTraffic {
                    name: service.to_string(),
                    arrivals,
                    timeout: spec.timeout,
                    retries: spec.retries,
                    policy: self.policy(&service, spec.balancer),
                    routes: Vec::new(),
                    model: None,
                },
            )),
            Err(mistakes) => {
                let mut problems = Diagnostics::default();
                self.report(mistakes, &mut problems);
                Err(problems)
            }
        }
    }

    /// The policy for calls to a service; `balancer` is the setting of its clients' traffic.
    fn policy(&self, service: &NamespacedName, balancer: Balancer) -> ServicePolicy {
        let spec = self.resolved.scenario().services.iter().find(|one| one.service.0 == *service);
        let is_stated = balancer != Balancer::default();
        let plain = ServicePolicy { is_stated, ..ServicePolicy::balanced(balancer) };
        spec.map_or(plain, |spec| ServicePolicy {
            balancer: spec.balancer.unwrap_or(balancer),
            is_stated: is_stated || spec.balancer.is_some(),
            ..spec.policy()
        })
    }

    /// Adds the services that only other services call.
    fn add_called_services(&self, traffic: &mut Vec<(NamespacedName, ServiceTraffic)>) {
        for call in self.resolved.scenario().calls() {
            let name = &call.service.0;
            if traffic.iter().any(|(known, _)| known == name) {
                continue;
            }
            let service = ServiceTraffic {
                policy: self.policy(name, Balancer::default()),
                ..ServiceTraffic::without_clients(name.to_string())
            };
            traffic.push((name.clone(), service));
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

/// Most replicas of an object that count towards the typical pods.
const TYPICAL_REPLICAS: usize = 1_000_000;

/// The typical pods among the objects applied at the start, for a scheduler that plans for them.
fn typical_of(objects: &[Action]) -> Vec<TypicalPod> {
    let mut pods = Vec::new();
    for object in objects {
        let (template, replicas) = match object {
            Action::Apply(_, AnySpec::Deployment(spec)) => (&spec.template, spec.replicas),
            Action::Apply(_, AnySpec::Rollout(spec)) => (&spec.template, spec.replicas),
            Action::Apply(_, AnySpec::ReplicaSet(spec)) => (&spec.template, spec.replicas),
            Action::Apply(_, AnySpec::Pod(template)) => (&**template, 1),
            Action::CreatePod(draft) => match &draft.template {
                PodSource::New(template) => (&**template, 1),
                PodSource::Interned(_) => continue,
            },
            _ => continue,
        };
        let milli_cpu = Resources::from_list(&pod_requests(&template.spec)).milli_cpu;
        // A run with more replicas is refused anyway; a part of them is just as typical.
        let replicas = usize::try_from(replicas).unwrap_or(0).min(TYPICAL_REPLICAS);
        pods.extend(std::iter::repeat_n((milli_cpu, GpuRequest::of(template)), replicas));
    }
    typical_pods(pods, TYPICAL_PERCENT)
}

/// Reads a KubeSchedulerConfiguration; mistakes are reported with their line.
pub fn scheduler_of(source: &Source, problems: &mut Diagnostics) -> SchedulerConfiguration {
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

/// The kinds that route requests to Services.
const ROUTE_KINDS: [Kind; 2] = [Kind::Ingress, Kind::HTTPRoute];

/// True if the diagnostic says that objects of one of these kinds are not simulated.
fn says_no_part(problem: &Diagnostic, kinds: &[Kind]) -> bool {
    let is_said_of = |kind: &Kind| problem.message.contains(&format!("of kind {kind}:"));
    problem.code == "not-simulated" && kinds.iter().any(is_said_of)
}

/// The preset of the cluster: that of its first autoscaled pool, or else of its first pool.
fn preset_of(cluster: &Cluster) -> Preset {
    let comes_and_goes = |pool: &&NodePool| pool.count.bounds().is_some();
    let pools = &cluster.node_pools;
    let pool = pools.iter().find(comes_and_goes).or_else(|| pools.first());
    let resolved = pool.and_then(|pool| pool.resolve().ok());
    let preset = resolved.map(|pool| cluster.preset_of(&pool)).or(cluster.preset);
    preset.unwrap_or(Preset::Eks)
}

/// The calendar time at which a run starts: a whole second; by default a Monday, midnight UTC.
pub fn start_of(date: Option<&StartDate>) -> Timestamp {
    let given = date.map_or(DEFAULT_START_SECONDS, |date| date.0.as_second());
    Timestamp::from_second(given).unwrap_or_default()
}
