//! From a case to the world of a simulation: the same objects, nodes, load and operations, and the delays
//! that the recording had, which are none.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::case::{CaseFiles, Image, LoadPoint, Offset, Parameters, Step};
use crate::check_length;
use cluster::custom_metrics::MetricsApi;
use cluster::deployment::DeploymentSpec;
use cluster::node::{HOSTNAME_LABEL, Node};
use cluster::service::Service;
use cluster::{Action, Name, NamespacedName, ObjectReference};
use controllers::ControllerSettings;
use engine::{SimDuration, SimTime, Streams};
use faults::{ImageChange, PatchChange, TimelineAction};
use kubelet::{AppProfile, KubeletSettings, OnSigterm};
use manifest::{Diagnostics, Object, Source, admit, read_documents, read_manifests};
use metrics::MetricsSettings;
use scenario::Delays;
use scenario::scheduler_configuration::scheduler_configuration;
use scheduler::{Scheduler, SchedulerConfiguration, TieBreaker};
use sim::World;
use sim::documents::Documents;
use sim::world::{App, AppPlan, Step as WorldStep};
use traffic::arrivals::{Pattern, RatePoint};
use traffic::{
    ArrivalProcess, Balancer, Load, RequestModelId, RequestModelSpec, ServiceTraffic, TimeLaw,
    TrafficSpec,
};
use units::{Bytes, LoopPhase};

/// When the control plane and the nodes start.
const BEGIN: SimTime = SimTime::from_secs(-10);
/// From scrape to scrape.
const SCRAPE_PERIOD: SimDuration = SimDuration::from_secs(15);
/// Longer than any run.
const NEVER: SimDuration = SimDuration::from_secs(1_000_000_000);
/// Whoever reads the manifests put them here.
const NAMESPACE: &str = "default";

/// A case made ready, for a run at each of its offsets.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// `params.yaml`.
    pub parameters: Parameters,
    world: World,
}

impl Prepared {
    /// Reads and checks everything.
    pub fn new(files: &CaseFiles) -> Result<Self, String> {
        let parameters = files.parameters()?;
        check_length("params.yaml: duration_s", parameters.duration_s)?;
        let mut documents = Documents::default();
        let mut objects = read_objects(&files.manifests, &mut documents)?;
        let later = read_objects(files.nodes_later.as_slice(), &mut Documents::default())?;
        let nodes = take_nodes(&mut objects, parameters.lease_phase_s);
        let later = take_nodes(&mut { later }, parameters.lease_phase_s);
        let mut world = World {
            seed: 1,
            duration: seconds(parameters.duration_s),
            warm_up: SimDuration::ZERO,
            interval: seconds(parameters.duration_s),
            nodes,
            objects,
            apps: BTreeMap::new(),
            request_models: Vec::new(),
            traffic: Vec::new(),
            timeline: Vec::new(),
            delays: Delays {
                watch: SimDuration::ZERO,
                endpoint_propagation: SimDuration::ZERO,
                dns_cache: SimDuration::ZERO,
                cpu_sharing_period: NEVER,
            },
            metrics: MetricsSettings { resolution: SCRAPE_PERIOD, ..MetricsSettings::default() },
            controllers: ControllerSettings::default(),
            kubelet: KubeletSettings::default(),
            faults: Vec::new(),
            cpu_loads: Vec::new(),
            scheduler: scheduler(files.scheduler_config.as_ref())?,
            begin: BEGIN,
            falls_back_to_terminating: false,
        };
        add_apps(&mut world, &parameters)?;
        add_traffic(&mut world, files, &parameters)?;
        let mut steps = parameters.timeline.clone();
        steps.sort_by(|one, other| one.t.total_cmp(&other.t));
        for step in &steps {
            add_step(&mut world, step, &later, &mut documents)?;
        }
        Ok(Self { parameters, world })
    }

    /// The world of the run at these offsets.
    pub fn world(&self, offset: Offset) -> World {
        let mut world = self.world.clone();
        world.controllers.hpa.sync_phase = LoopPhase::After(seconds(offset.hpa_s));
        world.metrics.first_scrape = LoopPhase::After(seconds(offset.scrape_s));
        world
    }
}

fn read_objects(sources: &[Source], documents: &mut Documents) -> Result<Vec<Action>, String> {
    let mut problems = Diagnostics::default();
    let manifests = read_manifests(sources, &mut problems);
    documents.apply(&manifests);
    let loaded = admit(manifests);
    problems.append(loaded.diagnostics);
    if problems.has_errors() {
        return Err(problems.to_string());
    }
    Ok(loaded.objects.into_iter().filter_map(Object::into_action).collect())
}

/// Takes the nodes out of the objects. All leases are renewed at the same time, and each kubelet has
/// labelled its node with its name.
fn take_nodes(objects: &mut Vec<Action>, lease_phase_s: f64) -> Vec<Node> {
    let mut nodes = Vec::new();
    for action in std::mem::take(objects) {
        match action {
            Action::AddNode(mut node) => {
                node.health.lease.phase = Some(SimTime::from_secs_f64(lease_phase_s));
                if node.meta.labels.get(HOSTNAME_LABEL).is_none() {
                    let name = node.meta.name().clone();
                    node.meta.labels = node.meta.labels.with(HOSTNAME_LABEL, name);
                }
                nodes.push(*node);
            }
            other => objects.push(other),
        }
    }
    nodes
}

fn scheduler(source: Option<&Source>) -> Result<Scheduler, String> {
    let configuration = match source {
        None => SchedulerConfiguration::default(),
        Some(source) => {
            let mut problems = Diagnostics::default();
            let document = read_documents(source, &mut problems).into_iter().next();
            let document = document.ok_or_else(|| problems.to_string())?;
            scheduler_configuration(&document.value).map_err(|mistakes| {
                let mistakes = mistakes.iter().map(|one| format!("{}: {}", one.path, one.problem));
                mistakes.collect::<Vec<_>>().join("; ")
            })?
        }
    };
    Scheduler::new(&configuration, TieBreaker::TopOfHeap).map_err(|error| error.to_string())
}

/// What the pods of each Deployment do with each image.
fn add_apps(world: &mut World, parameters: &Parameters) -> Result<(), String> {
    let objects = std::mem::take(&mut world.objects);
    let services: Vec<&Service> = objects
        .iter()
        .filter_map(|action| match action {
            Action::CreateService(service) => Some(&**service),
            _ => None,
        })
        .collect();
    for action in &objects {
        let Action::CreateDeployment(draft) = action else { continue };
        let (meta, spec) = &**draft;
        let service = services.iter().find(|service| {
            let selector = service.selector.as_ref();
            selector.is_some_and(|selector| selector.matches(&spec.template.labels))
        });
        let mut plan = AppPlan::default();
        for (name, image) in &parameters.images {
            let service = service.map(|service| service.meta.name().as_ref());
            let app = app(world, parameters, spec, image, service)?;
            plan.images.insert(Name::from(name.as_str()), Arc::new(app));
        }
        let workload = ObjectReference { kind: "Deployment".into(), id: meta.id.clone() };
        world.apps.insert(workload, plan);
    }
    world.objects = objects;
    Ok(())
}

fn app(
    world: &mut World,
    parameters: &Parameters,
    spec: &DeploymentSpec,
    image: &Image,
    service: Option<&str>,
) -> Result<App, String> {
    let is_probed =
        spec.template.spec.containers.iter().any(|container| container.readiness_probe.is_some());
    let profile = AppProfile {
        image_pull: SimDuration::ZERO,
        init: SimDuration::ZERO,
        start: seconds(image.start_s.max(0.0)),
        // Without a probe, Running is Ready, and what is Ready is taken to answer.
        warm_up: if is_probed { seconds(image.warmup_s.max(0.0)) } else { SimDuration::ZERO },
        warm_up_cpu_milli: image.startup_cpu_m,
        never_ready: is_probed && image.warmup_s < 0.0,
        pull_fails: image.start_s < 0.0,
        crashes_after: None,
        on_sigterm: OnSigterm::Exit,
        shut_down: seconds(image.term_s),
        ..AppProfile::default()
    };
    let cost = service.and_then(|service| parameters.services.get(service));
    let requests = match cost {
        None => None,
        Some(cost) => {
            let milliseconds = image.cpu_ms_per_request.unwrap_or(cost.cpu_ms_per_request);
            let spec = RequestModelSpec {
                // The recording's pods share their CPU among any number of requests.
                concurrency: u32::MAX,
                cpu_time: TimeLaw::Constant(seconds(milliseconds / 1000.0)),
                ..RequestModelSpec::default()
            };
            let model = spec.model("services").map_err(|problems| format!("{problems:?}"))?;
            world.request_models.push(model.with_queue_bound_seconds(cost.queue_bound_s));
            let position = world.request_models.len() - 1;
            Some(RequestModelId(u32::try_from(position).unwrap_or(u32::MAX)))
        }
    };
    let memory = Some(Bytes(parameters.memory_mi << 20));
    Ok(App { profile, requests, memory, ..App::default() })
}

fn add_traffic(
    world: &mut World,
    files: &CaseFiles,
    parameters: &Parameters,
) -> Result<(), String> {
    let mut load = files.load_points()?;
    for name in parameters.services.keys() {
        let none = || vec![LoadPoint { t_seconds: 0.0, service: name.clone(), rps: 0.0 }];
        load.entry(name.clone()).or_insert_with(none);
    }
    for (name, points) in load {
        let id = NamespacedName::new(NAMESPACE, name.as_str());
        let points = points
            .iter()
            .map(|point| RatePoint { at: seconds(point.t_seconds), rps: point.rps })
            .collect();
        let spec = TrafficSpec {
            service: cluster::ServiceReference(id.clone()),
            load: Load::Pattern(Pattern::Points { points }),
            arrivals: Some(ArrivalProcess::Fluid),
            gap_cv: None,
            states: Vec::new(),
            balancer: Balancer::default(),
            timeout: NEVER,
            retries: None,
        };
        let stream = Streams::new(world.seed).stream("load", 0);
        let arrivals = spec
            .arrivals("load.csv", None, stream)
            .map_err(|problems| format!("load.csv: {problems:?}"))?;
        let service = ServiceTraffic {
            arrivals,
            timeout: spec.timeout,
            ..ServiceTraffic::without_clients(id.to_string())
        };
        world.traffic.push((id, service));
    }
    Ok(())
}

fn add_step(
    world: &mut World,
    step: &Step,
    later: &[Node],
    documents: &mut Documents,
) -> Result<(), String> {
    let at = SimTime::from_secs_f64(step.t);
    let deployment = || {
        let name = step.deployment.as_deref().ok_or("an action names no deployment")?;
        let id = NamespacedName::new(NAMESPACE, name);
        Ok::<_, String>(ObjectReference { kind: "Deployment".into(), id })
    };
    let mut add = |action, objects| world.timeline.push((at, WorldStep { action, objects }));
    match step.what.as_str() {
        "setImage" => {
            let image = step.image.as_deref().ok_or("setImage names no image")?.into();
            let change = ImageChange { workload: deployment()?, container: None, image };
            documents.set_image(&change);
            add(TimelineAction::SetImage(change), Vec::new());
        }
        "patchDeployment" => {
            let patch = step.patch.clone().ok_or("patchDeployment has no patch")?;
            let change = PatchChange { workload: deployment()?, patch };
            let (action, problems) = documents.patch(&change);
            if problems.has_errors() {
                return Err(problems.to_string());
            }
            add(TimelineAction::Patch(change), action.into_iter().collect());
        }
        "metricsApiDown" => add(TimelineAction::MetricsApiDown(MetricsApi::Resource), Vec::new()),
        "metricsApiUp" => add(TimelineAction::MetricsApiUp(MetricsApi::Resource), Vec::new()),
        what => {
            for name in step.nodes() {
                let node = Name::from(name);
                let mut objects = Vec::new();
                let action = match what {
                    "nodeDown" => TimelineAction::DisconnectNode(node),
                    "nodeUp" => TimelineAction::RecoverNode(node),
                    "drain" => TimelineAction::Drain(node),
                    "cordon" => TimelineAction::Cordon(node),
                    "uncordon" => TimelineAction::Uncordon(node),
                    "deleteNode" => TimelineAction::Delete(ObjectReference {
                        kind: "Node".into(),
                        id: NamespacedName::new("", name),
                    }),
                    "addNode" => {
                        let found = later.iter().find(|one| *one.meta.name() == node);
                        let found = found.ok_or_else(|| format!("no later node is {name}"))?;
                        objects.push(Action::AddNode(Box::new(found.clone())));
                        TimelineAction::Apply("nodes-later.yaml".to_owned())
                    }
                    other => return Err(format!("params.yaml: the action {other} is not known")),
                };
                add(action, objects);
            }
        }
    }
    Ok(())
}

fn seconds(seconds: f64) -> SimDuration {
    SimDuration::from_secs_f64(seconds)
}
