//! The application of one pod: its limits, its memory, and its CPU use apart from requests.

use std::sync::Arc;

use super::cpu_load::Share;
use super::own_cpu::OwnCpu;
use crate::world::App;
use cluster::ClusterView;
use cluster::metrics::ContainerMetrics;
use cluster::node::NodeId;
use cluster::pod::{Pod, PodId};
use cluster::pod_template::{Container, PodSpec};
use engine::{SimDuration, SimTime};
use traffic::{BackendId, RequestModelId, Traffic};
use units::{Bytes, MilliCpu, Quantity};

/// Resource needs of the pods of a template.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResourceNeeds {
    pub(super) cpu_limit: Option<MilliCpu>,
    pub(super) cpu: MilliCpu,
    /// Memory request in bytes.
    pub(super) memory: i64,
}

impl ResourceNeeds {
    pub(super) fn of(spec: &PodSpec) -> Self {
        Self {
            cpu_limit: spec.cpu_limit(),
            cpu: MilliCpu(spec.running_request("cpu", Quantity::milli_value)),
            memory: spec.running_request("memory", Quantity::value),
        }
    }
}

/// The application of one pod.
#[derive(Clone, Debug)]
pub(crate) struct PodApp {
    pub(crate) pod: PodId,
    pub(super) app: Arc<App>,
    pub(crate) node: Option<NodeId>,
    /// Number of its node's zone, if the node has a zone label.
    pub(super) zone: Option<u16>,
    /// Its backend in the traffic, once its container has run; absent if it takes no requests.
    pub(crate) backend: Option<BackendId>,
    /// Cores that it can use in the long run: its CPU limit, capped by the size of its node.
    pub(super) cores: f64,
    /// The same in billionths of a core.
    pub(super) limit_nano: i64,
    /// Cores that it can burst to while its CFS quota lasts: the size of its node.
    pub(super) burst_cores: f64,
    /// Its CPU limit, which the kernel enforces as a quota.
    pub(super) limit_cores: Option<f64>,
    /// Its CPU weight when the node is contended: the CPU request.
    pub(super) weight: MilliCpu,
    memory: Bytes,
    /// Memory limit of its container.
    pub(crate) memory_limit: Option<Bytes>,
    /// Position of its container in the pod.
    position: usize,
    /// Start of the container, while it runs.
    pub(super) running_since: Option<SimTime>,
    /// Start of the warm-up, which ends when the pod is Ready.
    pub(super) warming_since: Option<SimTime>,
    warm_up_cpu_time: SimDuration,
    /// Start of settling, whose length the profile gives.
    settling_since: Option<SimTime>,
    /// Its share of the workload's CPU load, while it serves.
    pub(super) share: Option<Share>,
    /// CPU time of such shares that it held earlier.
    pub(super) burnt: SimDuration,
    /// The part of its own CPU demand that is granted.
    pub(super) own_cpu: OwnCpu,
    /// Last time its CPU rate changed other than through its share.
    pub(super) changed_at: SimTime,
    pub(super) others: Option<Arc<[ContainerMetrics]>>,
    /// Whether requests to it and from it pass the proxy of a mesh.
    pub(super) has_proxy: bool,
}

impl PodApp {
    /// The application of a bound pod whose containers have not started; `position` is that of the application's
    /// container, and `needs` are those of the pod's template.
    pub(super) fn new(
        view: ClusterView<'_>,
        (id, pod): (PodId, &Pod),
        app: Arc<App>,
        position: usize,
        needs: ResourceNeeds,
    ) -> Self {
        let spec = &view.template_of(pod).spec;
        let node_cpu = node_cpu(view, pod.node);
        let limit = needs.cpu_limit;
        let cores = [limit, node_cpu].into_iter().flatten().min();
        let others = others(spec, &app);
        let container = spec.containers.get(position);
        let memory_limit = container.and_then(|one| one.limits.get("memory"));
        let memory = app.memory.unwrap_or_else(|| memory_request(spec, position));
        Self {
            pod: id,
            app,
            node: pod.node,
            zone: None,
            backend: None,
            cores: cores.map_or(0.0, MilliCpu::as_cores),
            limit_nano: cores.map_or(0, nano),
            burst_cores: node_cpu.or(limit).map_or(0.0, MilliCpu::as_cores),
            limit_cores: limit.map(MilliCpu::as_cores),
            weight: needs.cpu,
            memory,
            memory_limit: memory_limit.map(|limit| Bytes(limit.value())),
            position,
            running_since: None,
            warming_since: None,
            warm_up_cpu_time: SimDuration::ZERO,
            settling_since: None,
            share: None,
            burnt: SimDuration::ZERO,
            own_cpu: OwnCpu::UNHINDERED,
            changed_at: view.now,
            others,
            has_proxy: spec.has_proxy(),
        }
    }

    /// The cost model of its requests; absent if it takes none.
    pub(crate) fn requests(&self) -> Option<RequestModelId> {
        self.app.requests
    }

    /// Time without a request after which it completes, if it does while its container runs.
    pub(crate) fn completes_when_idle(&self) -> Option<SimDuration> {
        self.app.profile.completes_when_idle.filter(|_| self.running_since.is_some())
    }

    /// True if the memory can exceed the pod's request. Requests fit the node, so that only memory beyond them can
    /// be too much.
    pub(super) fn can_outgrow(&self, needs: ResourceNeeds) -> bool {
        self.app.memory_per_request.0 > 0
            || self.app.memory_leak_per_hour.0 > 0
            || self.exceeds(needs)
    }

    /// True if the constant memory of the pod's containers exceeds its request.
    pub(super) fn exceeds(&self, needs: ResourceNeeds) -> bool {
        self.memory.0.saturating_add(self.others_memory()) > needs.memory
    }

    /// Applies new limits and weights, on a node with this CPU capacity.
    pub(super) fn resize(&mut self, now: SimTime, spec: &PodSpec, node_cpu: Option<MilliCpu>) {
        self.warm_up_cpu_time = self.warm_up_cpu_time_at(now);
        self.warming_since = self.warming_since.map(|_| now);
        let needs = ResourceNeeds::of(spec);
        let cores = [needs.cpu_limit, node_cpu].into_iter().flatten().min();
        self.cores = cores.map_or(0.0, MilliCpu::as_cores);
        self.limit_nano = cores.map_or(0, nano);
        self.limit_cores = needs.cpu_limit.map(MilliCpu::as_cores);
        self.weight = needs.cpu;
        let memory_limit = spec.containers.get(self.position).map(|one| one.limits.get("memory"));
        self.memory_limit = memory_limit.flatten().map(|limit| Bytes(limit.value()));
    }

    /// Its container starts.
    pub(super) const fn start(&mut self, now: SimTime) {
        self.changed_at = now;
        self.running_since = Some(now);
        self.warming_since = Some(now);
    }

    /// Its container stops.
    pub(super) fn stop(&mut self, now: SimTime) {
        self.end_warm_up(now);
        self.end_settling(now);
        self.running_since = None;
    }

    /// The pod is Ready: ends the warm-up and, if the profile has it, starts settling.
    pub(super) fn settle(&mut self, now: SimTime) {
        self.end_warm_up(now);
        if self.app.profile.settling > SimDuration::ZERO {
            self.settling_since = self.settling_since.or(self.running_since.map(|_| now));
        }
    }

    /// Whether its container runs.
    pub(crate) const fn is_running(&self) -> bool {
        self.running_since.is_some()
    }

    /// Memory that the pod's other containers use [bytes].
    pub(super) fn others_memory(&self) -> i64 {
        memory_of(self.others.as_deref())
    }

    pub(super) fn memory_in_use(&self, now: SimTime, traffic: &mut Traffic) -> Option<i64> {
        let running = now - self.running_since?;
        let per_request = self.app.memory_per_request.0;
        let in_flight = match self.backend {
            Some(backend) if per_request > 0 => traffic.in_flight(now, backend),
            _ => 0,
        };
        let leaked = match self.app.memory_leak_per_hour.0 {
            0 => 0,
            an_hour => bytes(running.as_secs_f64() / 3600.0 * an_hour as f64),
        };
        let in_flight = i64::try_from(in_flight).unwrap_or(i64::MAX).saturating_mul(per_request);
        Some(self.memory.0.saturating_add(in_flight).saturating_add(leaked))
    }

    pub(super) fn warm_up_cpu_time_at(&self, now: SimTime) -> SimDuration {
        let Some(since) = self.warming_since else { return self.warm_up_cpu_time };
        let burning = now - since;
        let cores = f64::from(self.app.profile.warm_up_cpu_milli) / 1000.0;
        let burnt = SimDuration::from_secs_f64(burning.as_secs_f64() * cores.min(self.cores));
        self.warm_up_cpu_time + burnt
    }

    /// CPU time that settling has demanded so far.
    pub(super) fn settled(&self, now: SimTime) -> SimDuration {
        let Some(since) = self.settling_since else { return SimDuration::ZERO };
        let burning = (now - since).min(self.app.profile.settling);
        let cores = f64::from(self.app.profile.settling_cpu_milli) / 1000.0;
        SimDuration::from_secs_f64(burning.as_secs_f64() * cores.min(self.cores))
    }

    pub(super) fn is_settling(&self, at: SimTime) -> bool {
        self.settling_since.is_some_and(|since| at < since + self.app.profile.settling)
    }

    fn end_settling(&mut self, now: SimTime) {
        self.burnt += self.settled(now);
        self.settling_since = None;
        self.changed_at = now;
    }

    fn end_warm_up(&mut self, now: SimTime) {
        self.warm_up_cpu_time = self.warm_up_cpu_time_at(now);
        self.changed_at = now;
        self.warming_since = None;
    }
}

/// CPU that the pods of a node can use together; absent if the node does not report any.
pub(super) fn node_cpu(view: ClusterView<'_>, node: Option<NodeId>) -> Option<MilliCpu> {
    let node = node.and_then(|node| view.nodes().get(node));
    node.and_then(|node| node.allocatable.get("cpu")).map(MilliCpu::from)
}

/// The amount in billionths of a core.
pub(super) const fn nano(cpu: MilliCpu) -> i64 {
    cpu.0.saturating_mul(1_000_000)
}

#[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate, which is meant")]
const fn bytes(amount: f64) -> i64 {
    amount as i64
}

/// Default memory use of the application: its container's request. If that has none, the pod-level request minus
/// those of the other containers.
fn memory_request(spec: &PodSpec, position: usize) -> Bytes {
    let request = |one: &Container| one.requests.get("memory").map(Quantity::value);
    let own = spec.containers.get(position).and_then(request);
    Bytes(own.unwrap_or_else(|| {
        let sidecars = spec.init_containers.iter().filter(|container| container.is_sidecar);
        let others: i64 = spec.containers.iter().chain(sidecars).filter_map(request).sum();
        spec.pod_requests.get("memory").map_or(0, |whole| (whole.value() - others).max(0))
    }))
}

fn memory_of(containers: Option<&[ContainerMetrics]>) -> i64 {
    let amounts = containers.unwrap_or_default().iter().map(|one| one.memory.0);
    amounts.fold(0, i64::saturating_add)
}

/// Usage of the pod's other containers while it runs.
fn others(spec: &PodSpec, app: &App) -> Option<Arc<[ContainerMetrics]>> {
    let sidecars = spec.init_containers.iter().filter(|container| container.is_sidecar);
    let own = spec.application(app.container.as_ref());
    let beside = spec.containers.iter().enumerate().filter(|(index, _)| *index != own);
    let others = beside.map(|(_, container)| container).chain(sidecars);
    let metrics = |container: &Container| {
        let usage = app.others.get(&container.name).copied().unwrap_or_default();
        let request = || container.requests.get("memory").map_or(0, Quantity::value);
        ContainerMetrics {
            container: container.name.clone(),
            cpu_nano: usage.cpu.0.saturating_mul(1_000_000),
            memory: usage.memory.unwrap_or_else(|| Bytes(request())),
        }
    };
    let mut others = others.map(metrics).peekable();
    others.peek()?;
    Some(others.collect())
}
