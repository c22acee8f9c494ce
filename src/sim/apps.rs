//! The applications in the pods: what of them runs, what they used, and their place in the traffic.

use super::world::App;
use crate::cluster::ClusterView;
use crate::cluster::node::NodeId;
use crate::cluster::pod::{Pod, PodId};
use crate::engine::{SimDuration, SimTime};
use crate::kubelet::Stop;
use crate::metrics::PodUsage;
use crate::traffic::{BackendId, BackendState, FailureCause, Traffic};
use crate::units::{Bytes, MilliCpu, Quantity};

/// The applications of all pods, by the pod's slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Apps {
    by_pod: Vec<Option<PodApp>>,
}

/// The application of one pod.
#[derive(Clone, Debug)]
pub(super) struct PodApp {
    pub(super) pod: PodId,
    pub(super) app: App,
    pub(super) node: Option<NodeId>,
    /// Its place in the traffic, once its container has run; absent for one that takes no requests.
    pub(super) backend: Option<BackendId>,
    /// Cores that its limit and its node's size allow it.
    pub(super) cores: f64,
    /// Its weight when its node is crowded: the CPU request.
    pub(super) weight: MilliCpu,
    memory: Bytes,
    /// Start of the running container.
    running_since: Option<SimTime>,
    /// From here on it burns its warm-up CPU, until it is ready.
    warming_since: Option<SimTime>,
    warm_up_cpu_time: SimDuration,
}

impl Apps {
    /// A pod was bound: `app` is what will run in it.
    pub(super) fn add(&mut self, view: ClusterView<'_>, id: PodId, pod: &Pod, app: App) {
        if self.by_pod.len() <= id.index() {
            self.by_pod.resize_with(id.index() + 1, || None);
        }
        let spec = &view.template_of(pod).spec;
        let node = pod.node.and_then(|node| view.nodes().get(node));
        let node_cpu = node.and_then(|node| node.allocatable.get("cpu")).map(MilliCpu::from);
        let cores = [spec.cpu_limit(), node_cpu].into_iter().flatten().min();
        let memory_request = Bytes(spec.running_request("memory", Quantity::value));
        self.by_pod[id.index()] = Some(PodApp {
            pod: id,
            app,
            node: pod.node,
            backend: None,
            cores: cores.map_or(0.0, MilliCpu::as_cores),
            weight: MilliCpu(spec.running_request("cpu", Quantity::milli_value)),
            memory: app.memory.unwrap_or(memory_request),
            running_since: None,
            warming_since: None,
            warm_up_cpu_time: SimDuration::ZERO,
        });
    }

    /// The application of a pod.
    pub(super) fn get(&self, pod: PodId) -> Option<&PodApp> {
        self.by_pod.get(pod.index())?.as_ref().filter(|app| app.pod == pod)
    }

    fn get_mut(&mut self, pod: PodId) -> Option<&mut PodApp> {
        self.by_pod.get_mut(pod.index())?.as_mut().filter(|app| app.pod == pod)
    }

    /// All applications, by the pod's slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = &PodApp> {
        self.by_pod.iter().flatten()
    }

    /// The container runs, but nothing listens yet.
    pub(super) fn started(&mut self, now: SimTime, pod: PodId, traffic: &mut Traffic) {
        let Some(app) = self.get_mut(pod) else { return };
        app.running_since = Some(now);
        app.warming_since = Some(now);
        if let Some(model) = app.app.requests
            && app.backend.is_none()
        {
            let backend = traffic.add_backend(now, model, app.cores);
            traffic.set_state(now, backend, BackendState::Refusing);
            app.backend = Some(backend);
        }
    }

    /// It answers, or listens no more.
    pub(super) fn set_listening(
        &mut self,
        now: SimTime,
        pod: PodId,
        listens: bool,
        traffic: &mut Traffic,
    ) {
        let state = if listens { BackendState::Serving } else { BackendState::Refusing };
        if let Some(backend) = self.get(pod).and_then(|app| app.backend) {
            traffic.set_state(now, backend, state);
        }
    }

    /// The pod became ready: its warm-up is over.
    pub(super) fn warmed_up(&mut self, now: SimTime, pod: PodId) {
        if let Some(app) = self.get_mut(pod) {
            app.end_warm_up(now);
        }
    }

    /// The container is gone, and what was in flight with it.
    pub(super) fn stopped(&mut self, now: SimTime, pod: PodId, stop: Stop, traffic: &mut Traffic) {
        let Some(app) = self.get_mut(pod) else { return };
        app.end_warm_up(now);
        app.running_since = None;
        let Some(backend) = app.backend else { return };
        match stop {
            Stop::NodeLost => traffic.set_state(now, backend, BackendState::Unreachable),
            Stop::Terminated | Stop::KilledByProbe | Stop::Crashed => {
                traffic.stop_backend(now, backend, FailureCause::Killed);
            }
        }
    }

    /// The pod object is gone.
    pub(super) fn remove(&mut self, now: SimTime, pod: PodId, traffic: &mut Traffic) {
        if let Some(app) = self.get(pod) {
            if let Some(backend) = app.backend {
                traffic.remove_backend(now, backend, FailureCause::Killed);
            }
            self.by_pod[pod.index()] = None;
        }
    }

    /// CPU time used since the pod was bound; absent if nothing ran yet.
    pub(super) fn cpu_time(
        &self,
        now: SimTime,
        pod: PodId,
        traffic: &mut Traffic,
    ) -> Option<SimDuration> {
        let app = self.get(pod)?;
        let served = app.backend.map_or(SimDuration::ZERO, |one| traffic.cpu_time_used(now, one));
        Some(served + app.warm_up_cpu_time_at(now))
    }

    /// What the kubelet reports of a pod; absent if no container runs.
    pub(super) fn usage(
        &self,
        now: SimTime,
        pod: PodId,
        traffic: &mut Traffic,
    ) -> Option<PodUsage> {
        let started = self.get(pod)?.running_since?;
        let cpu_time = self.cpu_time(now, pod, traffic)?;
        Some(PodUsage { cpu_time, memory: self.get(pod)?.memory, started })
    }
}

impl PodApp {
    fn warm_up_cpu_time_at(&self, now: SimTime) -> SimDuration {
        let burning = self.warming_since.map_or(SimDuration::ZERO, |since| now - since);
        let cores = f64::from(self.app.profile.warm_up_cpu_milli) / 1000.0;
        let burnt = SimDuration::from_secs_f64(burning.as_secs_f64() * cores.min(self.cores));
        self.warm_up_cpu_time + burnt
    }

    fn end_warm_up(&mut self, now: SimTime) {
        self.warm_up_cpu_time = self.warm_up_cpu_time_at(now);
        self.warming_since = None;
    }
}
