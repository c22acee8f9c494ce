//! A scenario made ready to run: everything looked up, checked and in the engine's own types.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cloud::plan::CloudPlan;
use super::karpenter::KarpenterPlan;
use super::node_autoscaler::AutoscalerPlan;
use super::routes::Entrance;
use cluster::action::Action;
use cluster::node::Node;
use cluster::{AnySpec, Name, NamespacedName, ObjectReference};
use controllers::ControllerSettings;
use engine::{SimDuration, SimTime, Streams, random};
use faults::{RandomFault, TimelineAction};
use kubelet::timing::KubeletTiming;
use kubelet::{AppProfile, KubeletSettings};
use manifest::{Diagnostics, Object, Source, admit, read_manifests};
use metrics::MetricsSettings;
use scenario::Timing;
use scenario::machines::Preset;
use scheduler::{Scheduler, SchedulerConfiguration, TieBreaker};
use traffic::{Recording, RequestModel, RequestModelId, ServiceTraffic, Traffic};
use units::{Bytes, LoopPhase, MilliCpu};

/// How many intervals a report has at most: a chart can show no more.
const INTERVALS_MAX: i64 = 240;
/// The shortest interval of a report.
const INTERVAL_MIN: SimDuration = SimDuration::from_secs(15);

/// What a [`super::Simulation`] is built from.
#[derive(Clone, Debug)]
pub struct World {
    /// The seed of all random streams.
    pub seed: u64,
    /// How long the run is.
    pub duration: SimDuration,
    /// Its first part, whose requests are not counted.
    pub warm_up: SimDuration,
    /// Length of an interval of the report.
    pub interval: SimDuration,
    /// The nodes at the start, in order.
    pub nodes: Vec<Node>,
    /// Machines that come and go.
    pub cloud: Arc<CloudPlan>,
    /// Who asks for them and sends them away; absent = nobody.
    pub autoscaler: Option<AutoscalerPlan>,
    /// Who makes nodes by NodePools; absent = nobody.
    pub karpenter: Option<KarpenterPlan>,
    /// What the user applies at the start, in order.
    pub objects: Vec<Action>,
    /// What the pods of each workload do.
    pub apps: BTreeMap<ObjectReference, AppPlan>,
    /// All request models, by [`RequestModelId`].
    pub request_models: Vec<RequestModel>,
    /// Services with traffic, by their position in it.
    pub traffic: Vec<(NamespacedName, ServiceTraffic)>,
    /// Requests that Ingresses and HTTPRoutes bring to those Services.
    pub entrances: Vec<Entrance>,
    /// CPU loads that change, by time.
    pub cpu_loads: Vec<CpuLoadStep>,
    /// What happens when, by time.
    pub timeline: Vec<(SimTime, Step)>,
    /// Faults that come by chance.
    pub faults: Vec<RandomFault>,
    /// How long things take in the cluster.
    pub timing: Timing,
    /// Settings of the kubelets.
    pub kubelet: KubeletSettings,
    /// Timing of metrics-server.
    pub metrics: MetricsSettings,
    /// Flags of the controllers.
    pub controllers: ControllerSettings,
    /// The scheduler, which knows of nothing yet.
    pub scheduler: Scheduler,
    /// When the control plane and its loops started, not after time zero, and the nodes with it.
    pub begin: SimTime,
    /// Whether a Service without a ready pod is served by those that terminate, as kube-proxy has it.
    pub falls_back_to_terminating: bool,
}

/// One entry of the timeline, made ready.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub action: TimelineAction,
    /// With `apply`: the objects of the file, in order.
    pub objects: Vec<Action>,
    /// What the API server refuses of it, by object, as its actor lacks the right.
    pub forbidden: Vec<(ObjectReference, String)>,
}

/// From some time on the pods of a workload burn so much CPU together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuLoadStep {
    /// When.
    pub at: SimTime,
    /// Number of the load, as in [`App::cpu_load`].
    pub load: u32,
    /// Billionths of a core.
    pub demand_nano: i64,
}

/// What a container beside the application's uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SidecarUsage {
    /// CPU.
    pub cpu: MilliCpu,
    /// Working set; absent = its request.
    pub memory: Option<Bytes>,
}

/// What the pods of a workload do.
#[derive(Clone, Debug, Default)]
pub struct AppPlan {
    /// With any image that is not named below.
    pub default: Arc<App>,
    /// With certain images.
    pub images: BTreeMap<Name, Arc<App>>,
    /// The container that it is about; absent = the first.
    pub container: Option<Name>,
    /// Other containers that are described.
    pub containers: Arc<BTreeMap<Name, AppProfile>>,
}

/// What one pod does.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// How it comes up and goes down.
    pub profile: AppProfile,
    /// What a request costs it; absent = it takes none.
    pub requests: Option<RequestModelId>,
    /// Memory in use while it runs; absent = its request.
    pub memory: Option<Bytes>,
    /// Further memory for each request in flight.
    pub memory_per_request: Bytes,
    /// Further memory for each hour since its start: what it leaks.
    pub memory_leak_per_hour: Bytes,
    /// The container that it runs in; absent = the first.
    pub container: Option<Name>,
    /// The load that it takes part in, whatever the requests; absent = none.
    pub cpu_load: Option<u32>,
    /// The containers beside the application's, by name.
    pub others: Arc<BTreeMap<Name, SidecarUsage>>,
}

impl World {
    /// A world without nodes, objects and traffic, with the defaults of a scenario: kube-scheduler's default
    /// profile, the flags that controllers and kubelets have without any, no warm-up, and reports in intervals of
    /// 15 s or more; but kubelets take no time, so that what a world shows is what was put into it. Fields that no method
    /// below sets are set by name: `World { timing, ..World::new(1, hour) }`.
    pub fn new(seed: u64, duration: SimDuration) -> Self {
        let ties = TieBreaker::drawn(Streams::new(seed).stream("scheduler ties", 0));
        let scheduler = Scheduler::new(&SchedulerConfiguration::default(), ties);
        Self {
            seed,
            duration,
            warm_up: SimDuration::ZERO,
            interval: interval(duration),
            nodes: Vec::new(),
            cloud: Arc::new(CloudPlan::new(Preset::Eks)),
            autoscaler: None,
            karpenter: None,
            objects: Vec::new(),
            apps: BTreeMap::new(),
            request_models: Vec::new(),
            traffic: Vec::new(),
            entrances: Vec::new(),
            cpu_loads: Vec::new(),
            timeline: Vec::new(),
            faults: Vec::new(),
            timing: Timing { kubelet: KubeletTiming::IDEAL, ..Timing::MEASURED },
            kubelet: KubeletSettings::default(),
            metrics: MetricsSettings::default(),
            controllers: ControllerSettings::default(),
            scheduler: scheduler.expect("the default profile names known plugins"),
            begin: SimTime::ZERO,
            falls_back_to_terminating: true,
        }
    }

    /// Adds nodes, which are there from the start.
    pub fn with_nodes(mut self, nodes: impl IntoIterator<Item = Node>) -> Self {
        self.nodes.extend(nodes);
        self
    }

    /// Adds objects that the user applies at the start, in this order.
    pub fn with_objects(mut self, objects: impl IntoIterator<Item = Action>) -> Self {
        self.objects.extend(objects);
        self
    }

    /// Adds the nodes and objects of manifests, defaulted and validated as the API server does. Refuses them all if
    /// any has a mistake; warnings are not told.
    pub fn with_manifests(self, sources: &[Source]) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::default();
        let loaded = admit(read_manifests(sources, &mut problems));
        problems.append(loaded.diagnostics);
        if problems.has_errors() {
            return Err(problems);
        }
        let mut nodes = Vec::new();
        let mut objects = Vec::new();
        for action in loaded.objects.into_iter().map(Object::into_action) {
            match action {
                Action::Apply(meta, AnySpec::Node(node)) => {
                    nodes.push(Node { meta: *meta, ..*node });
                }
                other => objects.push(other),
            }
        }
        Ok(self.with_nodes(nodes).with_objects(objects))
    }

    /// Adds the application that runs in all pods of a workload, whatever their image.
    pub fn with_app(mut self, workload: ObjectReference, app: App) -> Self {
        self.apps.insert(workload, AppPlan::from(app));
        self
    }

    /// Adds a request model, for [`App::requests`].
    pub fn add_request_model(&mut self, model: RequestModel) -> RequestModelId {
        let position = u32::try_from(self.request_models.len());
        self.request_models.push(model);
        RequestModelId(position.expect("a world has fewer than 2^32 models"))
    }

    /// Adds the requests that clients send to a Service.
    pub fn with_traffic(mut self, service: NamespacedName, traffic: ServiceTraffic) -> Self {
        self.traffic.push((service, traffic));
        self
    }

    /// Adds entries of the timeline, in any order; those of one instant are carried out as they were added.
    pub fn with_timeline(
        mut self,
        entries: impl IntoIterator<Item = (SimTime, TimelineAction)>,
    ) -> Self {
        let steps = entries.into_iter().map(|(at, action)| (at, Step::from(action)));
        self.timeline.extend(steps);
        self.timeline.sort_by_key(|(at, _)| *at);
        self
    }

    /// Draws the phases of the loops whose phases in a real cluster nobody knows: the autoscalers' syncs
    /// and the scrapes of metrics-server and of Prometheus.
    pub fn draw_phases(&mut self, draw: u32) {
        let mut stream = Streams::new(self.seed).stream("phases", draw.into());
        let mut phase_of = |period: SimDuration| {
            let part = random::open_unit(&mut stream);
            LoopPhase::After(SimDuration::from_secs_f64(period.as_secs_f64() * part))
        };
        self.controllers.hpa.sync_phase = phase_of(self.controllers.hpa.sync_period);
        let metrics = &mut self.metrics;
        metrics.first_scrape = phase_of(metrics.resolution);
        metrics.prometheus.first_scrape = phase_of(metrics.prometheus.scrape_interval);
    }

    /// The position of a Service in the traffic, if it has any.
    pub(super) fn traffic_position(&self, service: &NamespacedName) -> Option<usize> {
        self.traffic.iter().position(|(name, _)| name == service)
    }

    /// The traffic at the start of the run.
    pub(super) fn new_traffic(&self, streams: Streams) -> Traffic {
        let services = self.traffic.iter().map(|(_, service)| service.clone()).collect();
        let recording = Recording { interval: self.interval, warm_up: self.warm_up, waits: false };
        Traffic::new(services, self.request_models.clone(), streams, recording)
    }
}

impl From<TimelineAction> for Step {
    /// A step that brings no objects.
    fn from(action: TimelineAction) -> Self {
        Self { action, objects: Vec::new(), forbidden: Vec::new() }
    }
}

impl From<App> for AppPlan {
    /// The same application with every image.
    fn from(app: App) -> Self {
        Self { default: Arc::new(app), ..Self::default() }
    }
}

impl AppPlan {
    /// What a pod with these images does: the first image that is named decides.
    pub fn for_images<'a>(&self, mut images: impl Iterator<Item = &'a Name>) -> Arc<App> {
        Arc::clone(images.find_map(|image| self.images.get(image)).unwrap_or(&self.default))
    }
}

/// Length of a report's intervals: a whole multiple of the shortest, so long that no more than [`INTERVALS_MAX`] are
/// needed.
fn interval(duration: SimDuration) -> SimDuration {
    let shortest = INTERVAL_MIN.as_nanos();
    let needed = duration.as_nanos().div_euclid(INTERVALS_MAX * shortest) + 1;
    let exact = duration.as_nanos() % (INTERVALS_MAX * shortest) == 0;
    INTERVAL_MIN * (if exact { needed - 1 } else { needed }).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Simulation;

    const NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: one}, \
                        status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}}}";
    const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web}, \
                       spec: {containers: [{name: web, image: nginx}]}}";

    #[test]
    fn nodes_and_objects_of_manifests_are_there_at_the_start() {
        let sources = [Source::new("node.yaml", NODE), Source::new("pod.yaml", POD)];
        let world = World::new(1, SimDuration::from_secs(60)).with_manifests(&sources);
        let mut simulation = Simulation::new(world.expect("sound manifests"));
        simulation.run_until(SimTime::from_secs(60));
        let view = simulation.view();
        assert!(view.pods().values().all(|pod| pod.node.is_some()));
        assert_eq!((view.nodes().len(), view.pods().len()), (1, 1));
    }

    #[test]
    fn manifests_with_a_mistake_are_refused() {
        let sources = [Source::new("pod.yaml", "{apiVersion: v1, kind: Pod, metadata: {}}")];
        let refused = World::new(1, SimDuration::from_secs(60)).with_manifests(&sources);
        assert!(refused.expect_err("a pod without name and containers").has_errors());
    }

    #[test]
    fn timelines_are_in_order_of_time() {
        let entry = |second| (SimTime::from_secs(second), TimelineAction::Cordon("one".into()));
        let world = World::new(1, SimDuration::from_secs(60)).with_timeline([entry(20), entry(10)]);
        let times: Vec<_> = world.timeline.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [SimTime::from_secs(10), SimTime::from_secs(20)]);
    }

    #[test]
    fn a_report_has_at_most_240_intervals() {
        assert_eq!(interval(SimDuration::from_secs(3600)), SimDuration::from_secs(15));
        assert_eq!(interval(SimDuration::from_secs(3601)), SimDuration::from_secs(30));
    }
}
