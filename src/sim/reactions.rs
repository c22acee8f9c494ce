//! What follows at once from a change of the cluster, and what each event does.

use std::sync::Arc;

use super::apps::PodApp;
use super::event::Event;
use super::simulation::Simulation;
use super::world::AppPlan;
use cluster::node::{ConditionStatus, NodeId};
use cluster::pod::{Pod, PodId};
use cluster::selection::Selecting;
use cluster::service::{Endpoint, ServiceId, TrafficDistribution};
use cluster::{Action, Change, ObjectReference, PodChanges};
use engine::SimDuration;
use faults::Scraper;
use kubelet::{AppEffect, PodProfile};
use record::{Used, workload_of};
use traffic::{BackendId, CpuClaim, ServiceId as TrafficId};
use units::MilliCpu;

/// How long `sessionAffinity: ClientIP` remembers a client: `sessionAffinityConfig.clientIP
/// .timeoutSeconds`, 10800 by default.
const CLIENT_AFFINITY: SimDuration = SimDuration::from_secs(10_800);

impl Simulation {
    /// What kubelets, nodes and traffic do about a change.
    pub(super) fn react(&mut self, change: Change) {
        match change {
            Change::NodeAdded(node) => self.node_added(node),
            Change::PodAdded(pod) => self.pod_added(pod),
            Change::PodUpdated(pod, what) => self.pod_updated(pod, what),
            Change::PodRemoved { pod, node, .. } => {
                self.pod_removed(pod);
                if let Some(node) = node {
                    self.retry_resizes(node);
                }
            }
            Change::ServiceSpec(service) => self.service_added(service),
            Change::Endpoints(service) => self.endpoints_changed(service),
            _ => {}
        }
    }

    /// A pod that names its node is on it from the start: the scheduler leaves it alone, and the kubelet of
    /// that node finds it.
    fn pod_added(&mut self, id: PodId) {
        let view = self.plane.view(self.now);
        let Some(pod) = view.pods().get(id) else { return };
        let Some(name) = &view.template_of(pod).spec.node_name else { return };
        match view.node_named(name) {
            Some(node) => self.act("kubelet", Action::BindPod(id, node)),
            None => self.nowhere.push(id),
        }
    }

    fn pod_updated(&mut self, pod: PodId, what: PodChanges) {
        if what.has(PodChanges::BOUND) {
            self.pod_bound(pod);
        }
        if what.has(PodChanges::DELETION_REQUESTED) {
            self.kubelet(|kubelet, view, out| kubelet.pod_deleting(view, pod, out));
        }
        if what.has(PodChanges::PHASE) {
            self.room_made(pod);
        }
        if what.has(PodChanges::READY) {
            self.readiness_changed(pod);
        }
        if what.has(PodChanges::RESIZED) {
            self.pod_resized(pod);
        }
    }

    /// What the kubelet's steps mean for the applications.
    pub(super) fn app_effect(&mut self, effect: AppEffect) {
        let now = self.now;
        match effect {
            AppEffect::Started(pod) => self.apps.started(now, pod, &mut self.traffic),
            AppEffect::Answers(pod) => {
                self.apps.set_listening(now, pod, true, &mut self.traffic);
                self.check_reachability();
            }
            AppEffect::Hangs(pod) | AppEffect::Lost(pod) => {
                self.apps.hangs(now, pod, &mut self.traffic);
                self.check_reachability();
            }
            AppEffect::Found(pod, listens) => {
                self.apps.set_listening(now, pod, listens, &mut self.traffic);
                self.check_reachability();
            }
            AppEffect::Probed(pod, kind) => {
                let delay = self.apps.answer_delay(now, pod, &mut self.traffic);
                self.kubelet(|kubelet, view, out| {
                    kubelet.probe_answered(view, (pod, kind), delay, out);
                });
            }
            AppEffect::Drains(pod, not_before) => {
                self.apps.set_listening(now, pod, false, &mut self.traffic);
                self.enter(not_before, Event::Drain { pod });
                self.check_reachability();
            }
            AppEffect::Stopped(pod, stop) => {
                self.apps.stopped(now, pod, stop, &mut self.traffic);
                self.check_reachability();
            }
        }
    }

    fn node_added(&mut self, id: NodeId) {
        if let Some(node) = self.plane.store().nodes().get(id) {
            self.kubelet.node_added(id, node.images.iter().map(|(name, _)| name.clone()));
        }
        for pod in std::mem::take(&mut self.nowhere) {
            self.pod_added(pod);
        }
    }

    fn pod_bound(&mut self, id: PodId) {
        let plan = self.plan_of(id);
        let plan = plan.as_deref();
        let view = self.plane.view(self.now);
        let Some(pod) = view.pods().get(id) else { return };
        let images = view.template_of(pod).spec.containers.iter().map(|one| &one.image);
        let app = plan.map(|plan| plan.for_images(images)).unwrap_or_default();
        let profile = PodProfile {
            app: app.profile,
            container: plan.and_then(|plan| plan.container.clone()),
            others: plan.map(|plan| Arc::clone(&plan.containers)).unwrap_or_default(),
        };
        let spec = &view.template_of(pod).spec;
        let position = profile.position(spec) - spec.init_containers.len();
        self.apps.add(view, (id, pod), app, position);
        self.kubelet(|kubelet, view, out| kubelet.pod_bound(view, id, &profile, out));
        self.check_reachability();
    }

    /// What the scenario says of a pod's workload, or, of a pod without a controller, of itself.
    fn plan_of(&mut self, id: PodId) -> Option<Arc<AppPlan>> {
        let view = self.plane.view(self.now);
        let pod = view.pods().get(id)?;
        if let Some(plan) = pod.owner.and_then(|owner| self.plans.get(&owner)) {
            return plan.clone();
        }
        let apps = &self.world.apps;
        let itself = || ObjectReference { kind: "Pod".into(), id: pod.id.clone() };
        let own = pod.owner.is_none().then(|| apps.get(&itself())).flatten();
        let plan = own.or_else(|| apps.get(&workload_of(view, pod)));
        let plan = plan.cloned().map(Arc::new);
        if let Some(owner) = pod.owner {
            self.plans.insert(owner, plan.clone());
        }
        plan
    }

    fn readiness_changed(&mut self, pod: PodId) {
        if self.view().pods().get(pod).is_some_and(Pod::is_ready) {
            self.apps.warmed_up(self.now, pod);
        }
    }

    fn pod_removed(&mut self, pod: PodId) {
        if let Some(cpu_time) = self.apps.cpu_time(self.now, pod, &mut self.traffic) {
            self.recorder.book_usage(self.now, pod, Used { cpu_time });
        }
        self.kubelet.pod_removed(pod);
        self.apps.remove(self.now, pod, &mut self.traffic);
    }

    fn service_added(&mut self, id: ServiceId) {
        let Some(service) = self.plane.store().services().get(id) else {
            return self.service_removed(id);
        };
        let position = self.world.traffic.iter().position(|(name, _)| *name == service.meta.id);
        if let Some(position) = position {
            self.services[position] = Some(id);
            // Who looks the pods up in the DNS goes by no virtual IP.
            if service.has_client_affinity && !service.is_headless {
                self.traffic.set_client_affinity(traffic_id(position), CLIENT_AFFINITY);
            }
            match service.traffic_distribution.filter(|_| !service.is_headless) {
                Some(TrafficDistribution::PreferSameZone) => {
                    self.traffic.prefer_same_zone(traffic_id(position));
                }
                Some(TrafficDistribution::PreferSameNode) => {
                    self.traffic.prefer_same_node(traffic_id(position));
                }
                None => {}
            }
        }
    }

    /// The nodes learn that there is nowhere to send the traffic of a Service.
    fn service_removed(&mut self, id: ServiceId) {
        if self.services.contains(&Some(id)) {
            self.propagating.push_back((id, Vec::new()));
            let at = self.now + self.world.delays.endpoint_propagation;
            self.enter(at, Event::Propagate { service: id });
        }
    }

    fn endpoints_changed(&mut self, id: ServiceId) {
        let Some(service) = self.plane.store().services().get(id) else { return };
        if self.services.contains(&Some(id)) {
            // That terminating endpoints are better than none is a rule of kube-proxy.
            let falls_back = self.world.falls_back_to_terminating && !service.is_headless;
            let delays = &self.world.delays;
            let delay =
                if service.is_headless { delays.dns_cache } else { delays.endpoint_propagation };
            self.propagating.push_back((id, routable(&service.endpoints, falls_back)));
            self.enter(self.now + delay, Event::Propagate { service: id });
        }
    }

    /// The nodes send the traffic of a Service where its endpoints were one propagation delay ago.
    pub(super) fn propagate(&mut self, service: ServiceId) {
        let first = self.propagating.iter().position(|(one, _)| *one == service);
        let Some((_, pods)) = first.and_then(|first| self.propagating.remove(first)) else {
            return;
        };
        let Some(position) = self.services.iter().position(|one| *one == Some(service)) else {
            return;
        };
        let backend = |pod: &PodId| self.apps.get(*pod).and_then(|app| app.backend);
        let backends: Vec<BackendId> = pods.iter().filter_map(backend).collect();
        self.traffic.set_endpoints(self.now, traffic_id(position), &backends);
        self.check_reachability();
    }

    /// An application that drains may be done, or has a time at which it will be.
    pub(super) fn drain(&mut self, pod: PodId) {
        let backend = self.apps.get(pod).and_then(|app| app.backend);
        let done_at = backend.map_or(self.now, |one| self.traffic.drained_at(self.now, one));
        if done_at <= self.now {
            self.kubelet(|kubelet, view, out| kubelet.drained(view, pod, out));
        } else {
            self.enter(done_at, Event::Drain { pod });
        }
    }

    /// Takes note of the Services that nobody can answer for, from now on.
    pub(super) fn check_reachability(&mut self) {
        let touched = self.traffic.take_touched();
        if touched.is_empty() && self.down.is_empty() {
            return;
        }
        // Why a Service is down can turn to something else with any pod.
        let mut positions = self.down.clone();
        positions.extend(touched.into_iter().map(|service| service.0 as usize));
        for position in positions {
            let down = if self.traffic.can_answer(traffic_id(position)) {
                self.down.remove(&position);
                None
            } else {
                self.down.insert(position);
                Some(self.why_down(position))
            };
            self.recorder.set_down(self.now, position, down);
        }
    }

    fn why_down(&self, position: usize) -> &'static str {
        let view = self.view();
        let existing = |id: &ServiceId| {
            view.services().get(*id).is_some_and(|service| service.selector.is_some())
        };
        let Some(service) = self.services[position].filter(existing) else {
            return "the Service does not exist";
        };
        let selected = view.store().selected_by(Selecting::Service(service));
        let pods: Vec<&Pod> = selected.map(|(_, pod)| pod).collect();
        if pods.is_empty() {
            return "no pod exists";
        }
        let on_lost_node = |pod: &&Pod| pod.node.is_some_and(|node| self.kubelet.is_down(node));
        if pods.iter().all(|pod| pod.node.is_none()) {
            "all pods wait for a node"
        } else if pods.iter().any(on_lost_node) {
            "a node is lost"
        } else if pods.iter().all(|pod| pod.is_terminating() || !pod.is_ready()) {
            "no pod is ready"
        } else {
            "the endpoints are not known to the nodes yet"
        }
    }

    /// CPU of nodes whose pods want more than there is.
    pub(super) fn share_cpu(&mut self) {
        for node in self.apps.take_crowds() {
            if self.share_cpu_of(node) {
                self.apps.crowd(node);
            }
        }
        self.check_memory();
        let next = self.now + self.world.delays.cpu_sharing_period;
        self.enter(next, Event::ShareCpu);
    }

    /// Has the CPU of a node shared among its applications, and says whether they could want more than there is.
    fn share_cpu_of(&mut self, node: NodeId) -> bool {
        let Self { now, plane, apps, traffic, .. } = self;
        let (now, view) = (*now, plane.view(*now));
        let capacity = view.nodes().get(node).and_then(|node| node.allocatable.get("cpu"));
        let on_node = || view.pods_on(node).filter_map(|(pod, _)| apps.get(pod));
        let beside: f64 = on_node().map(PodApp::cores_beside).sum();
        let capacity = capacity.map_or(0.0, |cpu| MilliCpu::from(cpu).as_cores() - beside);
        let crowd = on_node().map(|app| (app, app.own_demand(now, &apps.loads)));
        let crowd: Vec<(&PodApp, f64)> = crowd.filter(|(app, own)| app.takes_cpu(*own)).collect();
        // What requests want can grow at any time, what is burnt without them changes with a notice.
        let most = crowd.iter().map(|(app, own)| {
            let requests = app.backend.map_or(0.0, |backend| traffic.most_cores_wanted(backend));
            (requests + own).min(app.cores)
        });
        let is_crowded = most.sum::<f64>() > capacity;
        let competes_within = |(app, own): &(&PodApp, f64)| *own > 0.0 && app.backend.is_some();
        let shares = is_crowded || crowd.iter().any(competes_within);
        let claims = crowd.iter().map(|(app, own)| CpuClaim {
            backend: app.backend,
            limit: app.cores,
            burst: app.burst_cores,
            // The kernel's least weight is 2 shares, as of 2 thousandths of a core.
            weight: app.weight.0.max(2) as f64,
            own: *own,
        });
        let pods: Vec<PodId> = crowd.iter().map(|(app, _)| app.pod).collect();
        let known = apps.shared.get(&node).copied();
        let granted = if shares {
            let claims: Vec<CpuClaim> = claims.collect();
            let (id, granted) = traffic.share_cpu(now, known, capacity.max(0.0), &claims);
            apps.shared.insert(node, id);
            granted
        } else {
            if let Some(id) = apps.shared.remove(&node) {
                traffic.end_cpu_sharing(now, id);
            }
            vec![1.0; pods.len()]
        };
        for (pod, granted) in pods.into_iter().zip(granted) {
            apps.grant_own_cpu(now, pod, granted);
        }
        shares
    }

    /// metrics-server scrapes the kubelets that answer.
    pub(super) fn scrape(&mut self) {
        self.enter(self.now + self.world.metrics.resolution, Event::Scrape);
        if self.scrapes.is_paused(Scraper::MetricsServer) {
            return;
        }
        self.note_unreachable_nodes();
        let pods = self.apps.take_restless();
        let meters = self.apps.loads.take_changed(self.now);
        let last = self.metrics.last_scrape();
        let usage = pods.iter().map(|pod| {
            let node = self.apps.get(*pod).and_then(|app| app.node);
            let answers = node.is_some_and(|node| !self.scrapes.unreachable.contains(&node));
            let usage = || self.apps.usage(self.now, *pod, last, &mut self.traffic);
            (*pod, answers.then(usage).flatten())
        });
        let served = self.metrics.scrape(self.now, usage, meters);
        self.apps.disturb(pods.into_iter().filter(|pod| !self.metrics.is_steady(*pod)));
        self.act("metrics-server", Action::PublishPodMetrics(Box::new(served)));
    }

    /// An interval of the report ends.
    pub(super) fn end_interval(&mut self) {
        self.book_usage();
        let view = self.plane.view(self.now);
        self.recorder.end_interval(view);
        self.check_reachability();
        self.enter(self.now + self.world.interval, Event::IntervalEnd);
    }

    /// Books what all applications used.
    pub(super) fn book_usage(&mut self) {
        let pods: Vec<PodId> = self.apps.iter().map(|app| app.pod).collect();
        for pod in pods {
            if let Some(cpu_time) = self.apps.cpu_time(self.now, pod, &mut self.traffic) {
                self.recorder.book_usage(self.now, pod, Used { cpu_time });
            }
        }
    }

    /// A machine fails: its kubelet falls silent, and what ran there is gone.
    pub(super) fn node_down(&mut self, node: NodeId) {
        self.act("scenario", Action::SetNodeSilent(node, true));
        self.kubelet(|kubelet, view, out| kubelet.node_down(view, node, out));
    }

    /// A machine is back.
    pub(super) fn node_up(&mut self, node: NodeId) {
        self.act("scenario", Action::SetNodeSilent(node, false));
        self.act("kubelet", Action::SetNodeReady(node, ConditionStatus::True));
        self.kubelet(|kubelet, view, out| kubelet.node_up(view, node, out));
        self.retry_resizes(node);
    }
}

pub(super) fn traffic_id(position: usize) -> TrafficId {
    TrafficId(u32::try_from(position).expect("a world has fewer than 2^32 services"))
}

/// Where kube-proxy sends traffic: to ready endpoints, or, if there are none, to those that still
/// serve while they terminate (`pkg/proxy/topology.go`, 1.36).
fn routable(endpoints: &[Endpoint], falls_back: bool) -> Vec<PodId> {
    let ready: Vec<PodId> = endpoints.iter().filter(|one| one.ready).map(|one| one.pod).collect();
    if !ready.is_empty() || !falls_back {
        return ready;
    }
    endpoints.iter().filter(|one| one.serving && one.terminating).map(|one| one.pod).collect()
}
