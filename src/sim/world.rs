//! A scenario ready to run: everything resolved, checked and in the engine's own types.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cloud::plan::CloudPlan;
use super::karpenter::KarpenterPlan;
use super::node_autoscaler::AutoscalerPlan;
use super::routes::IngressRoute;
use cluster::action::Action;
use cluster::injection::Injector;
use cluster::node::Node;
use cluster::{AnySpec, Labels, Name, NamespacedName, ObjectReference};
use controllers::ControllerSettings;
use engine::{SimDuration, SimTime, Streams, random};
use faults::{RandomFault, TimelineAction};
use kubelet::timing::KubeletTiming;
use kubelet::{AppProfile, KubeletSettings};
use manifest::{Diagnostics, Object, Source, admit, read_manifests};
use metrics::MetricsSettings;
use scenario::machines::Preset;
use scenario::{Timing, VolumeTiming};
use scheduler::{Scheduler, SchedulerConfiguration, TieBreaker};
use traffic::{
    NetworkSpec, Recording, RequestModel, RequestModelId, ServiceTraffic, TimeDistribution, Traffic,
};
use units::{Bytes, LoopPhase, MilliCpu};

/// Most intervals of a report: a chart cannot show more.
const INTERVALS_MAX: i64 = 240;
/// The shortest interval of a report.
const INTERVAL_MIN: SimDuration = SimDuration::from_secs(15);

/// The input of a [`super::Simulation`].
#[derive(Clone, Debug)]
pub struct World {
    /// The seed of all random streams.
    pub seed: u64,
    /// Length of the run, warm-up included.
    pub duration: SimDuration,
    /// Initial part of the run whose requests are not counted.
    pub warm_up: SimDuration,
    /// Length of an interval of the report.
    pub interval: SimDuration,
    /// The nodes at the start, in order.
    pub nodes: Vec<Node>,
    /// The groups of machines that can be added and removed during the run.
    pub cloud: Arc<CloudPlan>,
    /// The Cluster Autoscaler; absent = none.
    pub autoscaler: Option<AutoscalerPlan>,
    /// Karpenter; absent = none.
    pub karpenter: Option<KarpenterPlan>,
    /// The objects that the user applies at the start, in order.
    pub objects: Vec<Action>,
    /// The applications of each workload.
    pub apps: BTreeMap<ObjectReference, AppPlan>,
    /// All request models, by [`RequestModelId`].
    pub request_models: Vec<RequestModel>,
    /// Network times of the requests.
    pub network: NetworkSpec,
    /// The service mesh that injects proxies, and the time that requests take in each; absent = none.
    pub mesh: Option<(Injector, TimeDistribution)>,
    /// Services with traffic, by their position in it.
    pub traffic: Vec<(NamespacedName, ServiceTraffic)>,
    /// Settings of VirtualServices and DestinationRules for calls to a Service.
    pub mesh_rules: BTreeMap<NamespacedName, Vec<String>>,
    /// The last rows of `traffic` that are no Services, but subsets of their pods.
    pub subsets: Vec<ServiceSubset>,
    /// Requests that Ingresses and HTTPRoutes route to those Services.
    pub ingress_routes: Vec<IngressRoute>,
    /// Changes of CPU loads, by time.
    pub cpu_loads: Vec<CpuLoadStep>,
    /// The timeline, by time.
    pub timeline: Vec<(SimTime, Step)>,
    /// Random faults.
    pub faults: Vec<RandomFault>,
    /// Delays in the cluster.
    pub timing: Timing,
    /// Settings of the kubelets.
    pub kubelet: KubeletSettings,
    /// Timing of metrics-server.
    pub metrics: MetricsSettings,
    /// Flags of the controllers.
    pub controllers: ControllerSettings,
    /// Whether volumes of classes without a manifest are directories on a node's disk, which nobody attaches.
    pub has_local_disks: bool,
    /// The scheduler in its initial state, without any pods or nodes.
    pub scheduler: Scheduler,
    /// When the control plane, its loops and the nodes started; at or before time zero.
    pub begin: SimTime,
    /// Whether kube-proxy falls back to terminating endpoints of a Service without ready ones.
    pub falls_back_to_terminating: bool,
}

/// Some pods of a Service, to which the proxies of a mesh send calls.
#[derive(Clone, Debug)]
pub struct ServiceSubset {
    /// Its position in the traffic.
    pub position: usize,
    /// The Service.
    pub service: NamespacedName,
    /// The labels of its pods.
    pub labels: Labels,
}

/// A resolved entry of the timeline.
#[derive(Clone, Debug)]
pub struct Step {
    /// The action.
    pub action: TimelineAction,
    /// For `apply`: the objects of the file, in order.
    pub objects: Vec<Action>,
    /// Messages of the API server, by object, about writes for which the actor lacks permission.
    pub forbidden: Vec<(ObjectReference, String)>,
}

/// A change of the CPU that the pods of a workload burn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuLoadStep {
    /// Time from which it applies.
    pub at: SimTime,
    /// Number of the load, as in [`App::cpu_load`].
    pub load: u32,
    /// Total demand of the pods, in billionths of a core.
    pub demand_nano: i64,
}

/// Resource usage of a container other than the application's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SidecarUsage {
    /// CPU usage while the pod runs.
    pub cpu: MilliCpu,
    /// Working set; absent = its request.
    pub memory: Option<Bytes>,
}

/// The applications of a workload's pods.
#[derive(Clone, Debug, Default)]
pub struct AppPlan {
    /// For images that `images` does not name.
    pub default: Arc<App>,
    /// By image.
    pub images: BTreeMap<Name, Arc<App>>,
    /// The application's container; absent = the first.
    pub container: Option<Name>,
    /// Profiles of other containers.
    pub containers: Arc<BTreeMap<Name, AppProfile>>,
}

/// The application of one pod.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// Its startup and shutdown behaviour.
    pub profile: AppProfile,
    /// The cost model of its requests; absent if it takes none.
    pub requests: Option<RequestModelId>,
    /// Memory in use while it runs; absent = its request.
    pub memory: Option<Bytes>,
    /// Additional memory per request in flight.
    pub memory_per_request: Bytes,
    /// Memory leak: additional memory per hour since its start.
    pub memory_leak_per_hour: Bytes,
    /// The container that it runs in; absent = the first.
    pub container: Option<Name>,
    /// Its CPU load, which is independent of requests; absent = none.
    pub cpu_load: Option<u32>,
    /// Resource usage of the other containers, by name.
    pub others: Arc<BTreeMap<Name, SidecarUsage>>,
}

impl World {
    /// A world without nodes, objects and traffic, with the defaults of a scenario: kube-scheduler's default
    /// profile, the default flags of controllers and kubelets, no warm-up, and reports in intervals of 15 s or
    /// more. Kubelets, however, take no time, so that a world shows only the delays that were put into it. Set
    /// fields without a method below by name: `World { timing, ..World::new(1, hour) }`.
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
            network: NetworkSpec::default(),
            mesh: None,
            traffic: Vec::new(),
            mesh_rules: BTreeMap::new(),
            subsets: Vec::new(),
            ingress_routes: Vec::new(),
            cpu_loads: Vec::new(),
            timeline: Vec::new(),
            faults: Vec::new(),
            timing: Timing {
                kubelet: KubeletTiming::IDEAL,
                volumes: VolumeTiming::IDEAL,
                ..Timing::MEASURED
            },
            kubelet: KubeletSettings::default(),
            metrics: MetricsSettings::default(),
            controllers: ControllerSettings::default(),
            has_local_disks: false,
            scheduler: scheduler.expect("the default profile names known plugins"),
            begin: SimTime::ZERO,
            falls_back_to_terminating: true,
        }
    }

    /// Adds initial nodes.
    pub fn with_nodes(mut self, nodes: impl IntoIterator<Item = Node>) -> Self {
        self.nodes.extend(nodes);
        self
    }

    /// Adds objects that the user applies at the start, in this order.
    pub fn with_objects(mut self, objects: impl IntoIterator<Item = Action>) -> Self {
        self.objects.extend(objects);
        self
    }

    /// Adds the nodes and objects of manifests, defaulted and validated as the API server does. Rejects them all if
    /// any has a mistake; warnings are dropped.
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

    /// Adds entries of the timeline, in any order; those of one instant are carried out in the order in which they
    /// were added.
    pub fn with_timeline(
        mut self,
        entries: impl IntoIterator<Item = (SimTime, TimelineAction)>,
    ) -> Self {
        let steps = entries.into_iter().map(|(at, action)| (at, Step::from(action)));
        self.timeline.extend(steps);
        self.timeline.sort_by_key(|(at, _)| *at);
        self
    }

    /// Draws random phases for the loops whose phases are arbitrary in a real cluster: the autoscalers' syncs and
    /// the scrapes of metrics-server and of Prometheus.
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

    /// The positions of the subsets of a Service in the traffic.
    pub(super) fn subsets_of(&self, service: &NamespacedName) -> impl Iterator<Item = usize> {
        let own = self.subsets.iter().filter(move |subset| subset.service == *service);
        own.map(|subset| subset.position)
    }

    /// The traffic at the start of the run.
    pub(super) fn new_traffic(&self, streams: Streams) -> Traffic {
        let services = self.traffic.iter().map(|(_, service)| service.clone()).collect();
        let recording = Recording { interval: self.interval, warm_up: self.warm_up, waits: false };
        let mut traffic = Traffic::new(services, self.request_models.clone(), streams, recording);
        let proxy = self.mesh.as_ref().map(|(_, time)| time);
        if let Some(times) = self.network.times_with(proxy) {
            traffic.use_network_times(times);
        }
        traffic
    }
}

impl From<TimelineAction> for Step {
    /// A step without objects.
    fn from(action: TimelineAction) -> Self {
        Self { action, objects: Vec::new(), forbidden: Vec::new() }
    }
}

impl From<App> for AppPlan {
    /// The same application for every image.
    fn from(app: App) -> Self {
        Self { default: Arc::new(app), ..Self::default() }
    }
}

impl AppPlan {
    /// The application of a pod with these images: the first image that is named decides.
    pub(crate) fn for_images<'a>(&self, mut images: impl Iterator<Item = &'a Name>) -> Arc<App> {
        Arc::clone(images.find_map(|image| self.images.get(image)).unwrap_or(&self.default))
    }
}

/// Length of a report's intervals: the smallest multiple of the shortest one with which no more than
/// [`INTERVALS_MAX`] are needed.
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
