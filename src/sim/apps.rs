//! The applications in the pods: what of them runs, what they used, and their place in the traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::cpu_load::{CpuLoads, Share};
use super::own_cpu::{NodeClaims, OwnCpu};
use super::world::App;
use cluster::metrics::ContainerMetrics;
use cluster::node::{NodeId, ZONE_LABEL};
use cluster::pod::{Pod, PodId};
use cluster::pod_template::{Container, PodSpec, TemplateId};
use cluster::{ClusterView, Name};
use engine::{SimDuration, SimTime};
use kubelet::Stop;
use metrics::{PodUsage, SteadyUse};
use traffic::{BackendId, BackendState, FailureCause, NodeCpuId, Traffic};
use units::{Bytes, MilliCpu, Quantity};

/// The applications of all pods, by the pod's slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Apps {
    pub(super) by_pod: Vec<Option<PodApp>>,
    /// Zones in the order in which pods came to them.
    zones: Vec<Name>,
    /// What pods of each template ask for. Looked up only, never iterated.
    needs: FxHashMap<TemplateId, Needs>,
    /// Those whose memory may pass what they request.
    growing: BTreeSet<PodId>,
    /// Nodes whose applications may want more CPU than there is: where the limits together pass the
    /// node's size, or where an application came or went since somebody last looked.
    pub(super) crowds: BTreeSet<NodeId>,
    /// Nodes whose CPU is shared.
    pub(super) shared: BTreeMap<NodeId, NodeCpuId>,
    pub(super) claims: NodeClaims,
    pub(super) loads: CpuLoads,
    /// Whether any application ever took requests.
    pub(super) have_served: bool,
    /// Pods that the next scrape must look at, and at times one that took the slot of such a pod; all
    /// others use CPU at a steady rate.
    pub(super) restless: PodSlots,
}

/// Slots of pods, a bit for each: what many pods are added to, in whatever order, and read in the order in
/// which their data lie in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct PodSlots(Vec<u64>);

impl PodSlots {
    pub(super) fn insert(&mut self, pod: PodId) {
        let word = pod.index() / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (pod.index() % 64);
    }

    /// Empties the set, slot by slot in ascending order.
    fn take(&mut self, mut each: impl FnMut(usize)) {
        for (position, word) in self.0.iter_mut().enumerate() {
            let mut bits = std::mem::take(word);
            while bits != 0 {
                each(position * 64 + bits.trailing_zeros() as usize);
                // Without the lowest bit that is set.
                bits &= bits - 1;
            }
        }
    }
}

/// What the pods of a template ask for.
#[derive(Clone, Copy, Debug)]
struct Needs {
    cpu_limit: Option<MilliCpu>,
    cpu: MilliCpu,
    /// In bytes.
    memory: i64,
}

impl Needs {
    fn of(spec: &PodSpec) -> Self {
        Self {
            cpu_limit: spec.cpu_limit(),
            cpu: MilliCpu(spec.running_request("cpu", Quantity::milli_value)),
            memory: spec.running_request("memory", Quantity::value),
        }
    }
}

/// The application of one pod.
#[derive(Clone, Debug)]
pub(super) struct PodApp {
    pub(super) pod: PodId,
    pub(super) app: Arc<App>,
    pub(super) node: Option<NodeId>,
    /// Number of its node's zone, if the node tells.
    zone: Option<u16>,
    /// Its place in the traffic, once its container has run; absent for one that takes no requests.
    pub(super) backend: Option<BackendId>,
    /// Cores that its limit and its node's size allow it, over time.
    pub(super) cores: f64,
    /// The same, billionths of a core.
    pub(super) limit_nano: i64,
    /// Cores that it can burst to while its quota lasts: the size of its node.
    pub(super) burst_cores: f64,
    /// Its CPU limit, which the kernel enforces as a quota.
    limit_cores: Option<f64>,
    /// Its weight when its node is crowded: the CPU request.
    pub(super) weight: MilliCpu,
    memory: Bytes,
    /// The limit of its container.
    pub(super) memory_limit: Option<Bytes>,
    /// Position of its container.
    position: usize,
    /// Start of the running container.
    running_since: Option<SimTime>,
    /// From here on it burns its warm-up CPU, until it is ready.
    pub(super) warming_since: Option<SimTime>,
    warm_up_cpu_time: SimDuration,
    /// From here on it settles, for as long as its profile says.
    settling_since: Option<SimTime>,
    /// Its part in its workload's load, while it serves.
    pub(super) share: Option<Share>,
    /// CPU time of such parts that it had before.
    pub(super) burnt: SimDuration,
    /// What it gets of the CPU that it wants for itself.
    pub(super) own_cpu: OwnCpu,
    /// Since then nothing but its share has changed its CPU rate.
    pub(super) changed_at: SimTime,
    pub(super) others: Option<Arc<[ContainerMetrics]>>,
}

impl Apps {
    /// A pod was bound: `app` is what will run in it.
    pub(super) fn add(
        &mut self,
        view: ClusterView<'_>,
        (id, pod): (PodId, &Pod),
        app: Arc<App>,
        app_position: usize,
    ) {
        if self.by_pod.len() <= id.index() {
            self.by_pod.resize_with(id.index() + 1, || None);
        }
        let spec = &view.template_of(pod).spec;
        let node = pod.node.and_then(|node| view.nodes().get(node));
        let node_cpu = node.and_then(|node| node.allocatable.get("cpu")).map(MilliCpu::from);
        let zone = node.and_then(|node| node.meta.labels.get(ZONE_LABEL));
        let zone = zone.map(|zone| {
            let known = self.zones.iter().position(|one| one == zone).unwrap_or_else(|| {
                self.zones.push(zone.clone());
                self.zones.len() - 1
            });
            u16::try_from(known).unwrap_or(u16::MAX)
        });
        let needs = *self.needs.entry(pod.template).or_insert_with(|| Needs::of(spec));
        let limit = needs.cpu_limit;
        let cores = [limit, node_cpu].into_iter().flatten().min();
        let others = others(spec, &app);
        let container = spec.containers.get(app_position);
        let memory_limit = container.and_then(|one| one.limits.get("memory"));
        let memory = app.memory.unwrap_or_else(|| memory_request(spec, app_position));
        // What a pod requests fits its node; only what is beyond can be too much.
        let is_growing = app.memory_per_request.0 > 0
            || app.memory_leak_per_hour.0 > 0
            || memory.0.saturating_add(memory_of(others.as_deref())) > needs.memory;
        if is_growing {
            self.growing.insert(id);
        }
        let app = PodApp {
            pod: id,
            app,
            node: pod.node,
            zone,
            backend: None,
            cores: cores.map_or(0.0, MilliCpu::as_cores),
            limit_nano: cores.map_or(0, |cores| cores.0.saturating_mul(1_000_000)),
            burst_cores: node_cpu.or(limit).map_or(0.0, MilliCpu::as_cores),
            limit_cores: limit.map(MilliCpu::as_cores),
            weight: needs.cpu,
            memory,
            memory_limit: memory_limit.map(|limit| Bytes(limit.value())),
            position: app_position,
            running_since: None,
            warming_since: None,
            warm_up_cpu_time: SimDuration::ZERO,
            settling_since: None,
            share: None,
            burnt: SimDuration::ZERO,
            own_cpu: OwnCpu::UNHINDERED,
            changed_at: view.now,
            others,
        };
        if let Some((node, cpu)) = pod.node.zip(node_cpu) {
            self.claims.add(node, cpu, app.most_nano());
        }
        self.by_pod[id.index()] = Some(app);
    }

    /// Other limits and weights are in force for a pod.
    pub(super) fn resized(&mut self, view: ClusterView<'_>, id: PodId, traffic: &mut Traffic) {
        let now = view.now;
        let Some(pod) = view.pods().get(id) else { return };
        let spec = &view.templates()[pod.actual()].spec;
        // Its share of the workload's load is cut at the old limit up to now.
        let shared = self.get(id).is_some_and(|app| app.share.is_some());
        self.set_sharing(now, id, false);
        let Some(app) = self.get_mut(id) else { return };
        app.warm_up_cpu_time = app.warm_up_cpu_time_at(now);
        app.warming_since = app.warming_since.map(|_| now);
        let needs = Needs::of(spec);
        let limit = needs.cpu_limit;
        let node = app.node.and_then(|node| view.nodes().get(node));
        let node_cpu = node.and_then(|node| node.allocatable.get("cpu")).map(MilliCpu::from);
        let cores = [limit, node_cpu].into_iter().flatten().min();
        app.cores = cores.map_or(0.0, MilliCpu::as_cores);
        let most_before = app.most_nano();
        app.limit_nano = cores.map_or(0, |cores| cores.0.saturating_mul(1_000_000));
        app.limit_cores = limit.map(MilliCpu::as_cores);
        app.weight = needs.cpu;
        let memory_limit = spec.containers.get(app.position).map(|one| one.limits.get("memory"));
        app.memory_limit = memory_limit.flatten().map(|limit| Bytes(limit.value()));
        let is_growing = app.memory.0.saturating_add(app.others_memory()) > needs.memory;
        if let Some(backend) = app.backend {
            traffic.set_quota(now, backend, app.limit_cores);
            traffic.set_cpu(now, backend, app.burst_cores);
        }
        let (node, more) = (app.node, app.most_nano() - most_before);
        if let Some((node, cpu)) = node.zip(node_cpu) {
            self.claims.add(node, cpu, more);
        }
        self.crowds.extend(node);
        if is_growing {
            self.growing.insert(id);
        }
        if shared {
            self.set_sharing(now, id, true);
        }
        self.restless.insert(id);
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

    /// The running applications whose memory may pass what they request.
    pub(super) fn growing(&self) -> impl Iterator<Item = &PodApp> {
        let apps = self.growing.iter().filter_map(|pod| self.get(*pod));
        apps.filter(|app| app.running_since.is_some())
    }

    /// Memory that the containers of a pod use together while its application runs [bytes].
    pub(super) fn pod_memory_in_use(
        &self,
        now: SimTime,
        pod: PodId,
        traffic: &mut Traffic,
    ) -> Option<i64> {
        let app = self.get(pod)?;
        Some(app.memory_in_use(now, traffic)?.saturating_add(app.others_memory()))
    }

    /// Memory that a running application uses [bytes].
    pub(super) fn memory_in_use(
        &self,
        now: SimTime,
        pod: PodId,
        traffic: &mut Traffic,
    ) -> Option<i64> {
        self.get(pod)?.memory_in_use(now, traffic)
    }

    /// The container runs, but nothing listens yet.
    pub(super) fn started(&mut self, now: SimTime, pod: PodId, traffic: &mut Traffic) {
        self.restless.insert(pod);
        let Some(app) = self.get_mut(pod) else { return };
        app.changed_at = now;
        app.running_since = Some(now);
        app.warming_since = Some(now);
        let (node, has_own_cpu) = (app.node, app.has_own_cpu());
        if has_own_cpu {
            self.crowds.extend(node.filter(|node| !self.claims.fit(*node)));
        }
        let Some(app) = self.get_mut(pod) else { return };
        let Some(model) = app.app.requests else { return };
        let (id, cores, limit) = (app.backend, app.burst_cores, app.limit_cores);
        let (zone, node) = (app.zone, app.node);
        let backend = id.unwrap_or_else(|| {
            let backend = traffic.add_backend(now, model, cores);
            traffic.set_quota(now, backend, limit);
            if let Some(zone) = zone {
                traffic.set_zone(backend, zone);
            }
            if let Some(node) = node {
                traffic.set_node(backend, node.position());
            }
            backend
        });
        traffic.set_state(now, backend, BackendState::Refusing);
        app.backend = Some(backend);
        let node = app.node;
        self.have_served = true;
        self.crowds.extend(node);
    }

    /// The applications of a node may want more CPU than there is.
    pub(super) fn crowd(&mut self, node: NodeId) {
        self.crowds.insert(node);
    }

    /// It answers, or listens no more.
    pub(super) fn set_listening(
        &mut self,
        now: SimTime,
        pod: PodId,
        listens: bool,
        traffic: &mut Traffic,
    ) {
        self.set_sharing(now, pod, listens);
        let state = if listens { BackendState::Serving } else { BackendState::Refusing };
        if let Some(backend) = self.get(pod).and_then(|app| app.backend) {
            traffic.set_state(now, backend, state);
        }
    }

    /// Requests to it hang: it does not get to them, or its node cannot be reached.
    pub(super) fn hangs(&mut self, now: SimTime, pod: PodId, traffic: &mut Traffic) {
        if let Some(backend) = self.get(pod).and_then(|app| app.backend) {
            traffic.set_state(now, backend, BackendState::Unreachable);
        }
    }

    /// The pod became ready: its warm-up is over.
    pub(super) fn warmed_up(&mut self, now: SimTime, pod: PodId) {
        if let Some(app) = self.get_mut(pod) {
            app.end_warm_up(now);
            if app.app.profile.settling > SimDuration::ZERO {
                app.settling_since = app.settling_since.or(app.running_since.map(|_| now));
            }
            let serves = app.backend.is_some();
            let node = app.node.filter(|_| app.has_own_cpu());
            self.crowds.extend(node.filter(|node| serves || !self.claims.fit(*node)));
            self.restless.insert(pod);
        }
    }

    /// How long the answer to a probe takes that waits for a worker; absent = for ever. One that takes
    /// no requests answers at once.
    pub(super) fn answer_delay(
        &self,
        now: SimTime,
        pod: PodId,
        traffic: &mut Traffic,
    ) -> Option<SimDuration> {
        match self.get(pod)?.backend {
            Some(backend) => traffic.probe_delay(now, backend),
            None => Some(SimDuration::ZERO),
        }
    }

    /// The container is gone, and what was in flight with it.
    pub(super) fn stopped(&mut self, now: SimTime, pod: PodId, stop: Stop, traffic: &mut Traffic) {
        self.set_sharing(now, pod, false);
        self.restless.insert(pod);
        let Some(app) = self.get_mut(pod) else { return };
        app.end_warm_up(now);
        app.end_settling(now);
        app.running_since = None;
        let Some(backend) = app.backend else { return };
        match stop {
            Stop::NodeLost => traffic.set_state(now, backend, BackendState::Unreachable),
            Stop::Terminated
            | Stop::KilledByProbe
            | Stop::Resized
            | Stop::Crashed
            | Stop::OutOfMemory => {
                traffic.stop_backend(now, backend, FailureCause::Killed);
            }
        }
    }

    /// The pod object is gone.
    pub(super) fn remove(&mut self, now: SimTime, pod: PodId, traffic: &mut Traffic) {
        self.set_sharing(now, pod, false);
        if let Some(app) = self.get(pod) {
            if let Some(backend) = app.backend {
                traffic.remove_backend(now, backend, FailureCause::Killed);
            }
            if let Some(node) = app.node {
                self.claims.remove(node, app.most_nano());
            }
            self.by_pod[pod.index()] = None;
            self.growing.remove(&pod);
        }
    }

    /// CPU time used since the pod was bound; absent if nothing ran yet.
    pub(super) fn cpu_time(
        &self,
        now: SimTime,
        pod: PodId,
        traffic: &mut Traffic,
    ) -> Option<SimDuration> {
        Some(self.cpu_time_of(now, self.get(pod)?, traffic))
    }

    fn cpu_time_of(&self, now: SimTime, app: &PodApp, traffic: &mut Traffic) -> SimDuration {
        let served = app.backend.map_or(SimDuration::ZERO, |one| traffic.cpu_time_used(now, one));
        let own = app.own_time(now, &self.loads);
        served + own - app.own_cpu.withheld(own)
    }

    /// A pod takes part in its workload's load, or does so no more.
    fn set_sharing(&mut self, now: SimTime, pod: PodId, shares: bool) {
        let Self { by_pod, loads, restless, crowds, claims, .. } = self;
        let app = by_pod.get_mut(pod.index()).and_then(Option::as_mut);
        let Some(app) = app.filter(|app| app.pod == pod) else { return };
        let Some(group) = app.app.cpu_load else { return };
        crowds.extend(app.node.filter(|node| app.backend.is_some() || !claims.fit(*node)));
        if shares && app.share.is_none() {
            app.share = Some(loads.join(now, group, pod, app.limit_nano));
        } else if !shares && let Some(share) = app.share.take() {
            app.burnt += loads.leave(now, share, pod);
            app.changed_at = now;
        }
        restless.insert(pod);
    }

    /// The kubelets of these pods answer from now on, or do so no more.
    pub(super) fn disturb(&mut self, pods: impl Iterator<Item = PodId>) {
        pods.for_each(|pod| self.restless.insert(pod));
    }

    /// Takes the pods that a scrape must look at, by their slots.
    pub(super) fn take_restless(&mut self) -> Vec<PodId> {
        let Self { by_pod, restless, .. } = self;
        let mut pods = Vec::new();
        restless.take(|slot| {
            pods.extend(by_pod.get(slot).and_then(Option::as_ref).map(|app| app.pod));
        });
        pods
    }

    /// What the kubelet reports of a pod; absent if no container runs.
    pub(super) fn usage(
        &self,
        now: SimTime,
        pod: PodId,
        last_scrape: Option<SimTime>,
        traffic: &mut Traffic,
    ) -> Option<PodUsage> {
        let app = self.get(pod)?;
        let started = app.running_since?;
        let cpu_time = self.cpu_time_of(now, app, traffic);
        let memory = Bytes(app.memory_in_use(now, traffic)?);
        let (rate, since) = match app.share {
            Some(share) => self.loads.rate(share),
            None => (0, app.changed_at),
        };
        let is_steady = app.backend.is_none()
            && !self.growing.contains(&pod)
            && app.warming_since.is_none()
            && !app.own_cpu.is_hindered()
            && !app.is_settling(now);
        let was_steady = last_scrape
            .is_some_and(|last| !app.is_settling(last) && since.max(app.changed_at) <= last);
        Some(PodUsage {
            cpu_time,
            memory,
            started,
            others: app.others.clone(),
            steady: is_steady.then(|| SteadyUse {
                rate_nano: rate,
                meter: app.share.map(|share| self.loads.reading(now, share)),
            }),
            was_steady,
        })
    }
}

impl PodApp {
    /// Whether its container runs.
    pub(super) const fn is_running(&self) -> bool {
        self.running_since.is_some()
    }

    /// Memory that the containers beside the application's use [bytes].
    fn others_memory(&self) -> i64 {
        memory_of(self.others.as_deref())
    }

    fn memory_in_use(&self, now: SimTime, traffic: &mut Traffic) -> Option<i64> {
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

    /// CPU time burnt while settling.
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

#[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate, which is meant")]
const fn bytes(amount: f64) -> i64 {
    amount as i64
}

/// What the application uses where the scenario does not say it: its container's request. Where that has
/// none, it is what a request at pod level leaves beside those of the other containers.
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

/// What the containers beside the application's use while the pod runs.
fn others(spec: &PodSpec, app: &App) -> Option<Arc<[ContainerMetrics]>> {
    let sidecars = spec.init_containers.iter().filter(|container| container.is_sidecar);
    let own = app
        .container
        .as_ref()
        .and_then(|name| spec.containers.iter().position(|container| container.name == *name));
    let own = own.unwrap_or(0);
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
