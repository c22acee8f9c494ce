//! A scenario made ready to run: everything looked up, checked and in the engine's own types.

use std::collections::BTreeMap;

use crate::cluster::action::Action;
use crate::cluster::node::Node;
use crate::cluster::{Name, NamespacedName, ObjectReference};
use crate::controllers::ControllerSettings;
use crate::engine::{SimDuration, SimTime, Streams};
use crate::faults::TimelineAction;
use crate::kubelet::AppProfile;
use crate::metrics::MetricsSettings;
use crate::scenario::Delays;
use crate::scheduler::Scheduler;
use crate::traffic::{Recording, RequestModel, RequestModelId, ServiceTraffic, Traffic};
use crate::units::Bytes;

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
    /// What happens when, by time.
    pub timeline: Vec<(SimTime, Step)>,
    /// Delays of the cluster.
    pub delays: Delays,
    /// Timing of metrics-server.
    pub metrics: MetricsSettings,
    /// Flags of the controllers.
    pub controllers: ControllerSettings,
    /// The scheduler, which knows of nothing yet.
    pub scheduler: Scheduler,
}

/// One entry of the timeline, made ready.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub action: TimelineAction,
    /// With `apply`: the objects of the file, in order.
    pub objects: Vec<Action>,
}

/// What the pods of a workload do.
#[derive(Clone, Debug, Default)]
pub struct AppPlan {
    /// With any image that is not named below.
    pub default: App,
    /// With certain images.
    pub images: BTreeMap<Name, App>,
}

/// What one pod does.
#[derive(Clone, Copy, Debug, Default)]
pub struct App {
    /// How it comes up and goes down.
    pub profile: AppProfile,
    /// What a request costs it; absent = it takes none.
    pub requests: Option<RequestModelId>,
    /// Memory in use while it runs; absent = its request.
    pub memory: Option<Bytes>,
}

impl World {
    /// The traffic at the start of the run.
    pub(super) fn new_traffic(&self, streams: Streams) -> Traffic {
        let services = self.traffic.iter().map(|(_, service)| service.clone()).collect();
        let recording = Recording { interval: self.interval, warm_up: self.warm_up };
        Traffic::new(services, self.request_models.clone(), streams, recording)
    }
}

impl AppPlan {
    /// What a pod with these images does: the first image that is named decides.
    pub fn for_images<'a>(&self, mut images: impl Iterator<Item = &'a Name>) -> App {
        images.find_map(|image| self.images.get(image)).copied().unwrap_or(self.default)
    }
}
