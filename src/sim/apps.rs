//! The applications in the pods: which of them run, their resource usage, and their backends in the traffic.

mod cpu_load;
mod node_cpus;
mod own_cpu;
mod pod_app;
mod pod_slots;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use self::cpu_load::CpuLoads;
use self::node_cpus::NodeCpus;
pub(super) use self::pod_app::PodApp;
use self::pod_app::{ResourceNeeds, node_cpu};
use self::pod_slots::PodSlots;
use super::world::{App, AppPlan, CpuLoadStep};
use cluster::node::{REGION_LABEL, ZONE_LABEL};
use cluster::pod::{Owner, Pod, PodId};
use cluster::pod_template::TemplateId;
use cluster::{ClusterView, Kind, Name, ObjectReference};
use engine::{SimDuration, SimTime};
use kubelet::Stop;
use metrics::{MeterUsage, PodUsage, SteadyUsage};
use record::workload_of;
use traffic::{BackendId, BackendState, FailureCause, Traffic};
use units::Bytes;

/// The applications of all pods, indexed by pod slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Apps {
    by_pod: Vec<Option<PodApp>>,
    /// The scenario's plan for the pods of each owner seen so far. Only ever looked up, never iterated.
    plans: FxHashMap<Owner, Option<Arc<AppPlan>>>,
    /// Zones in the order in which pods first appeared in them.
    zones: Vec<Name>,
    /// The region of each, empty if its nodes have no region label.
    regions: Vec<Name>,
    /// Resource needs of the pods of each template. Looked up only, never iterated.
    needs: FxHashMap<TemplateId, ResourceNeeds>,
    /// Pods whose memory can exceed their request.
    growing: BTreeSet<PodId>,
    cpus: NodeCpus,
    loads: CpuLoads,
    /// Pods that the next scrape must read; it may include a pod that has since reused the slot. All other pods use
    /// CPU at a steady rate.
    restless: PodSlots,
    /// The pods that complete after some requests, by backend. Looked up only, never iterated.
    workers: FxHashMap<BackendId, PodId>,
    /// Pods that take requests and whose container started since the last [`Self::take_started`].
    started: Vec<PodId>,
}

impl Apps {
    /// The scenario's plan for a pod's workload or, for a pod without a controller, for the pod itself.
    pub(super) fn plan_of(
        &mut self,
        view: ClusterView<'_>,
        plans: &BTreeMap<ObjectReference, AppPlan>,
        id: PodId,
    ) -> Option<Arc<AppPlan>> {
        let pod = view.pods().get(id)?;
        if let Some(plan) = pod.owner.and_then(|owner| self.plans.get(&owner)) {
            return plan.clone();
        }
        let itself = || ObjectReference { kind: Kind::Pod, id: pod.id.clone() };
        let own = pod.owner.is_none().then(|| plans.get(&itself())).flatten();
        let plan = own.or_else(|| plans.get(&workload_of(view, pod)));
        let plan = plan.cloned().map(Arc::new);
        if let Some(owner) = pod.owner {
            self.plans.insert(owner, plan.clone());
        }
        plan
    }

    /// Adds a bound pod; `app` will run in the container at `app_position`.
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
        let needs = *self.needs.entry(pod.template).or_insert_with(|| ResourceNeeds::of(spec));
        let mut app = PodApp::new(view, (id, pod), app, app_position, needs);
        app.zone = self.zone_of(view, pod);
        if app.can_outgrow(needs) {
            self.growing.insert(id);
        }
        self.cpus.claim(pod.node.zip(node_cpu(view, pod.node)), app.most_nano());
        self.by_pod[id.index()] = Some(app);
    }

    /// Number of the zone of a pod's node, if the node has a zone label.
    fn zone_of(&mut self, view: ClusterView<'_>, pod: &Pod) -> Option<u16> {
        let node = pod.node.and_then(|node| view.nodes().get(node));
        let zone = node.and_then(|node| node.meta.labels.get(ZONE_LABEL))?;
        let known = self.zones.iter().position(|one| one == zone).unwrap_or_else(|| {
            let region = node.and_then(|node| node.meta.labels.get(REGION_LABEL));
            self.zones.push(zone.clone());
            self.regions.push(region.cloned().unwrap_or_default());
            self.zones.len() - 1
        });
        Some(u16::try_from(known).unwrap_or(u16::MAX))
    }

    /// Applies a pod's new limits and weights after a resize.
    pub(super) fn resized(&mut self, view: ClusterView<'_>, id: PodId, traffic: &mut Traffic) {
        let now = view.now;
        let Some(pod) = view.pods().get(id) else { return };
        let spec = &view.templates()[pod.actual()].spec;
        // Settles the pod's share of the load at the old limit before the new one applies.
        let shared = self.get(id).is_some_and(|app| app.share.is_some());
        self.set_sharing(now, id, false);
        let Some(app) = self.get_mut(id) else { return };
        let most_before = app.most_nano();
        let node_cpu = node_cpu(view, app.node);
        app.resize(now, spec, node_cpu);
        if let Some(backend) = app.backend {
            traffic.set_quota(now, backend, app.limit_cores);
            traffic.set_cpu(now, backend, app.burst_cores);
        }
        let (node, more) = (app.node, app.most_nano() - most_before);
        let is_growing = app.exceeds(ResourceNeeds::of(spec));
        self.cpus.claim(node.zip(node_cpu), more);
        self.cpus.mark_for_check(node);
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
        app_in(&self.by_pod, pod)
    }

    /// The pod of a backend that completes after some requests.
    pub(super) fn pod_of(&self, backend: BackendId) -> Option<PodId> {
        self.workers.get(&backend).copied()
    }

    fn get_mut(&mut self, pod: PodId) -> Option<&mut PodApp> {
        app_in_mut(&mut self.by_pod, pod)
    }

    /// All applications, in order of pod slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = &PodApp> {
        self.by_pod.iter().flatten()
    }

    /// The running applications whose memory can exceed their request.
    pub(super) fn growing(&self) -> impl Iterator<Item = &PodApp> {
        let apps = self.growing.iter().filter_map(|pod| self.get(*pod));
        apps.filter(|app| app.is_running())
    }

    /// Memory used by all containers of a pod while its application runs [bytes].
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

    /// The container has started, but nothing listens yet.
    pub(super) fn started(&mut self, now: SimTime, pod: PodId, traffic: &mut Traffic) {
        let Self { by_pod, cpus, restless, started, workers, regions, .. } = self;
        restless.insert(pod);
        let Some(app) = app_in_mut(by_pod, pod) else { return };
        app.start(now);
        cpus.disturb(app.node);
        if app.has_own_cpu() {
            cpus.own_demand_changed(app.node, false);
        }
        let Some(model) = app.app.requests else { return };
        started.push(pod);
        let backend = app.backend.unwrap_or_else(|| {
            let backend = traffic.add_backend(now, model, app.burst_cores);
            traffic.set_quota(now, backend, app.limit_cores);
            if let Some(zone) = app.zone {
                traffic.set_zone(backend, zone);
                let region = regions.get(usize::from(zone));
                let region = regions.iter().position(|one| Some(one) == region);
                traffic.set_region(zone, region.unwrap_or_default());
            }
            if let Some(node) = app.node {
                traffic.set_node(backend, node.position());
            }
            if app.has_proxy {
                traffic.add_proxy(backend);
            }
            backend
        });
        traffic.set_state(now, backend, BackendState::Refusing);
        let profile = &app.app.profile;
        if profile.completes_after_requests.is_some() || profile.completes_when_idle.is_some() {
            traffic.limit_requests(now, backend, profile.completes_after_requests);
            workers.insert(backend, pod);
        }
        app.backend = Some(backend);
        cpus.serves(app.node);
    }

    /// The application starts or stops listening.
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

    /// Requests to the pod hang: the application is stuck or its node is unreachable.
    pub(super) fn hangs(&self, now: SimTime, pod: PodId, traffic: &mut Traffic) {
        if let Some(backend) = self.get(pod).and_then(|app| app.backend) {
            traffic.set_state(now, backend, BackendState::Unreachable);
        }
    }

    /// The pod became Ready, which ends its warm-up.
    pub(super) fn warmed_up(&mut self, now: SimTime, pod: PodId) {
        let Self { by_pod, cpus, restless, .. } = self;
        let Some(app) = app_in_mut(by_pod, pod) else { return };
        app.settle(now);
        cpus.disturb(app.node);
        if app.has_own_cpu() {
            cpus.own_demand_changed(app.node, app.backend.is_some());
        }
        restless.insert(pod);
    }

    /// Response time of a probe that has to wait for a worker; `None` if it never gets one. An application that
    /// takes no requests answers at once.
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

    /// The container has stopped, and the requests in flight are lost.
    pub(super) fn stopped(&mut self, now: SimTime, pod: PodId, stop: Stop, traffic: &mut Traffic) {
        self.set_sharing(now, pod, false);
        self.restless.insert(pod);
        let Self { by_pod, cpus, .. } = self;
        let Some(app) = app_in_mut(by_pod, pod) else { return };
        app.stop(now);
        cpus.disturb(app.node);
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

    /// The network of a finished pod is torn down.
    pub(super) fn sandbox_stopped(&self, now: SimTime, pod: PodId, traffic: &mut Traffic) {
        let app = self.get(pod).filter(|app| !app.is_running());
        if let Some(backend) = app.and_then(|app| app.backend) {
            traffic.set_state(now, backend, BackendState::Gone);
        }
    }

    /// The pod object was removed.
    pub(super) fn remove(&mut self, now: SimTime, pod: PodId, traffic: &mut Traffic) {
        self.set_sharing(now, pod, false);
        let Self { by_pod, cpus, growing, workers, .. } = self;
        if let Some(app) = app_in(by_pod, pod) {
            if let Some(backend) = app.backend {
                workers.remove(&backend);
                traffic.remove_backend(now, backend, FailureCause::Killed);
            }
            cpus.release(app.node, app.most_nano());
            cpus.disturb(app.node);
            by_pod[pod.index()] = None;
            growing.remove(&pod);
        }
    }

    /// CPU time used since the pod was bound; absent if nothing has run yet.
    pub(super) fn cpu_time(
        &self,
        now: SimTime,
        pod: PodId,
        traffic: &mut Traffic,
    ) -> Option<SimDuration> {
        Some(self.cpu_time_of(now, self.get(pod)?, traffic))
    }

    /// Takes the time, since it was last taken, in which a pod's CPU limit kept its requests from the CPU.
    pub(super) fn take_throttled(
        &self,
        now: SimTime,
        pod: PodId,
        traffic: &mut Traffic,
    ) -> SimDuration {
        let backend = self.get(pod).and_then(|app| app.backend);
        backend.map_or(SimDuration::ZERO, |one| traffic.take_throttled(now, one))
    }

    fn cpu_time_of(&self, now: SimTime, app: &PodApp, traffic: &mut Traffic) -> SimDuration {
        let served = app.backend.map_or(SimDuration::ZERO, |one| traffic.cpu_time_used(now, one));
        let own = app.own_time(now, &self.loads);
        served + own - app.own_cpu.withheld(own)
    }

    /// Changes the planned CPU load of a workload.
    pub(super) fn set_load(&mut self, now: SimTime, step: &CpuLoadStep) {
        self.loads.set_demand(now, step.load, step.demand_nano);
    }

    /// Adds a pod to its workload's CPU load, or removes it.
    fn set_sharing(&mut self, now: SimTime, pod: PodId, shares: bool) {
        let Self { by_pod, loads, restless, cpus, .. } = self;
        let Some(app) = app_in_mut(by_pod, pod) else { return };
        let Some(group) = app.app.cpu_load else { return };
        cpus.own_demand_changed(app.node, app.backend.is_some());
        if shares && app.share.is_none() {
            app.share = Some(loads.join(now, group, pod, app.limit_nano));
        } else if !shares && let Some(share) = app.share.take() {
            app.burnt += loads.leave(now, share, pod);
            app.changed_at = now;
        }
        restless.insert(pod);
    }

    /// Shares out the CPU of all nodes whose applications may want more than the node has.
    pub(super) fn share_cpus(&mut self, view: ClusterView<'_>, traffic: &mut Traffic) {
        self.look_at_changed_loads();
        self.cpus.disturb_shared(traffic.take_stirred());
        for node in self.cpus.take_crowded(view.now) {
            let Self { by_pod, cpus, loads, .. } = self;
            let grants = cpus.share(view, node, |pod| app_in(by_pod, pod), loads, traffic);
            for (pod, granted) in grants.own {
                self.grant_own_cpu(view.now, pod, granted);
            }
        }
        let Self { by_pod, cpus, loads, .. } = self;
        debug_assert!(
            cpus.hold(view, |pod| app_in(by_pod, pod), loads, traffic),
            "the shares of a node's CPU changed unnoticed"
        );
    }

    /// True if [`Self::share_cpus`] would find no change on any node, and no pod's memory can grow.
    pub(super) fn is_quiet(&self) -> bool {
        self.growing.is_empty() && !self.cpus.is_any_crowded() && !self.loads.has_spread()
    }

    /// The time at which [`Self::share_cpus`] may find a change though nothing happens until then.
    pub(super) fn next_change(&self) -> Option<SimTime> {
        self.cpus.next_wake()
    }

    /// Marks the nodes of pods whose CPU rate changed since the last call, so that their CPU is shared anew.
    fn look_at_changed_loads(&mut self) {
        let Self { by_pod, loads, cpus, .. } = self;
        let mut meters = loads.take_spread().peekable();
        if meters.peek().is_some() && cpus.can_compete() {
            for pod in meters.flatten() {
                if let Some(app) = app_in(by_pod, *pod) {
                    cpus.own_demand_changed(app.node, app.backend.is_some());
                }
            }
        }
    }

    /// Sets the fraction of its own CPU demand that an application gets.
    fn grant_own_cpu(&mut self, now: SimTime, pod: PodId, granted: f64) {
        let Self { by_pod, loads, restless, .. } = self;
        let Some(app) = app_in_mut(by_pod, pod) else { return };
        if app.own_cpu.granted().to_bits() != granted.to_bits() {
            let wanted = app.own_time(now, loads);
            app.own_cpu.grant(wanted, granted);
            app.changed_at = now;
            restless.insert(pod);
        }
    }

    /// The kubelets of these pods became reachable or unreachable, so the next scrape must read the pods.
    pub(super) fn disturb(&mut self, pods: impl Iterator<Item = PodId>) {
        pods.for_each(|pod| self.restless.insert(pod));
    }

    /// Takes the pods that take requests and whose container started since the last call.
    pub(super) fn take_started(&mut self) -> Vec<PodId> {
        std::mem::take(&mut self.started)
    }

    /// Whether there are any.
    pub(super) const fn have_started(&self) -> bool {
        !self.started.is_empty()
    }

    /// Takes the pods that a scrape must look at, by their slots.
    pub(super) fn take_unsteady(&mut self) -> Vec<PodId> {
        let Self { by_pod, restless, .. } = self;
        let mut pods = Vec::new();
        restless.take(|slot| {
            pods.extend(by_pod.get(slot).and_then(Option::as_ref).map(|app| app.pod));
        });
        pods
    }

    /// Takes the meters of CPU loads that a scrape must read.
    pub(super) fn take_changed_meters(&mut self, now: SimTime) -> Vec<MeterUsage> {
        self.loads.take_changed(now)
    }

    /// Usage of a pod as its kubelet reports it; absent if no container runs.
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
            steady: is_steady.then(|| SteadyUsage {
                rate_nano: rate,
                meter: app.share.map(|share| self.loads.reading(now, share)),
            }),
            was_steady,
        })
    }
}

fn app_in(by_pod: &[Option<PodApp>], pod: PodId) -> Option<&PodApp> {
    by_pod.get(pod.index())?.as_ref().filter(|app| app.pod == pod)
}

fn app_in_mut(by_pod: &mut [Option<PodApp>], pod: PodId) -> Option<&mut PodApp> {
    by_pod.get_mut(pod.index())?.as_mut().filter(|app| app.pod == pod)
}
