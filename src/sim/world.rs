//! A scenario made ready to run: everything looked up, checked and in the engine's own types.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::action::Action;
use cluster::node::Node;
use cluster::{Name, NamespacedName, ObjectReference};
use controllers::ControllerSettings;
use engine::{SimDuration, SimTime, Streams, random};
use faults::{RandomFault, TimelineAction};
use kubelet::{AppProfile, KubeletSettings};
use metrics::MetricsSettings;
use scenario::Delays;
use scheduler::Scheduler;
use traffic::{Recording, RequestModel, RequestModelId, ServiceTraffic, Traffic};
use units::{Bytes, LoopPhase, MilliCpu};

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
    /// What the user applies at the start, in order.
    pub objects: Vec<Action>,
    /// What the pods of each workload do.
    pub apps: BTreeMap<ObjectReference, AppPlan>,
    /// All request models, by [`RequestModelId`].
    pub request_models: Vec<RequestModel>,
    /// Services with traffic, by their position in it.
    pub traffic: Vec<(NamespacedName, ServiceTraffic)>,
    /// CPU loads that change, by time.
    pub cpu_loads: Vec<CpuLoadStep>,
    /// What happens when, by time.
    pub timeline: Vec<(SimTime, Step)>,
    /// Faults that come by chance.
    pub faults: Vec<RandomFault>,
    /// Delays of the cluster.
    pub delays: Delays,
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

impl AppPlan {
    /// What a pod with these images does: the first image that is named decides.
    pub fn for_images<'a>(&self, mut images: impl Iterator<Item = &'a Name>) -> Arc<App> {
        Arc::clone(images.find_map(|image| self.images.get(image)).unwrap_or(&self.default))
    }
}
