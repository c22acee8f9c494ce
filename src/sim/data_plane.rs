//! The data plane: kubelets, the applications in the pods, and the requests to them, with their immediate reactions
//! to changes of the cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::apps::{Apps, PodApp};
use super::check_clock::CheckClock;
use super::endpoints::Endpoints;
use super::environment::Environment;
use super::event::Event;
use super::memory::{MemoryPressure, Shortage, exceeds_limit, shortage};
use super::network_policies::NetworkPolicies;
use super::resizing::MemoryInUse;
use super::revisions::Revisions;
use super::routes::Routes;
use super::world::World;
use cluster::node::{ConditionStatus, NodeId};
use cluster::pod::{Pod, PodId};
use cluster::service::ServiceId;
use cluster::{Action, Change, ClusterView, ObjectId, PodChanges};
use engine::{SimDuration, Streams};
use kubelet::memory::eviction_victim;
use kubelet::{AppEffect, ContainerKill, Effects, Kubelet, PodProfile, Stop};
use record::Used;
use traffic::{BackendId, Traffic, Via};

/// Shortest time between two looks at whether a busy worker is idle.
const IDLE_CHECK: SimDuration = SimDuration::from_millis(1);

/// The data plane of all nodes.
#[derive(Clone, Debug)]
pub(super) struct DataPlane {
    pub(super) kubelet: Kubelet,
    pub(super) apps: Apps,
    pub(super) traffic: Traffic,
    pub(super) endpoints: Endpoints,
    routes: Routes,
    pub(super) revisions: Revisions,
    pub(super) network_policies: NetworkPolicies,
    memory_pressure: MemoryPressure,
    pub(super) check_clock: CheckClock,
    /// Pods whose `nodeName` names a node that does not exist.
    nowhere: Vec<PodId>,
    /// Empty; kept for their allocation.
    effects: Effects,
}

impl DataPlane {
    /// A data plane without nodes.
    pub(super) fn new(world: &World) -> Self {
        Self {
            kubelet: Kubelet::new(world.kubelet, world.timing.kubelet),
            apps: Apps::default(),
            traffic: world.new_traffic(Streams::new(world.seed)),
            endpoints: Endpoints::new(world),
            routes: Routes::new(&world.ingress_routes),
            revisions: Revisions::default(),
            network_policies: NetworkPolicies::new(),
            memory_pressure: MemoryPressure::default(),
            check_clock: CheckClock::default(),
            nowhere: Vec::new(),
            effects: Effects::default(),
        }
    }

    /// Lets kubelets, nodes and traffic react to a change.
    pub(super) fn react(&mut self, env: &mut Environment, change: &Change) {
        self.routes.on_change(change);
        self.network_policies.on_change(change);
        match *change {
            Change::NodeAdded(node) => self.node_added(env, node),
            Change::PodAdded(pod) => self.pod_added(env, pod),
            Change::PodUpdated(pod, what) => self.pod_updated(env, pod, what),
            Change::PodRemoved { pod, node, .. } => {
                self.pod_removed(env, pod);
                if let Some(node) = node {
                    self.retry_resizes(env, node);
                }
            }
            Change::Spec(ObjectId::Service(service), _)
            | Change::Removed { object: ObjectId::Service(service), .. } => {
                self.endpoints.service_changed(env, &mut self.traffic, service);
            }
            Change::Status(ObjectId::PersistentVolumeClaim(claim)) => {
                self.step(env, |kubelet, view, out| kubelet.volume_attached(view, claim, out));
            }
            Change::Endpoints(service) => self.endpoints.changed(env, service),
            Change::Spec(ObjectId::PodAutoscaler(id), _)
            | Change::Status(ObjectId::PodAutoscaler(id)) => {
                self.revisions.changed(env, &mut self.traffic, id);
            }
            _ => {}
        }
    }

    /// Updates where requests go if Ingresses, HTTPRoutes or Services have changed.
    pub(super) fn follow_routes(&mut self, env: &mut Environment) {
        self.routes.follow(env, &mut self.traffic);
    }

    /// Updates which requests NetworkPolicies let through.
    pub(super) fn follow_policies(&mut self, env: &mut Environment) {
        let seen = (&self.apps, &self.endpoints);
        if self.network_policies.follow(env, seen, &mut self.traffic) {
            self.check_reachability(env);
        }
    }

    /// A pod with `nodeName` is on its node from the start: the scheduler ignores it, and the node's kubelet admits
    /// it.
    fn pod_added(&mut self, env: &mut Environment, id: PodId) {
        let view = env.view();
        let Some(pod) = view.pods().get(id) else { return };
        let Some(name) = &view.template_of(pod).spec.node_name else { return };
        match view.node_named(name) {
            Some(node) => env.act("kubelet", Action::BindPod(id, node)),
            None => self.nowhere.push(id),
        }
    }

    fn pod_updated(&mut self, env: &mut Environment, pod: PodId, what: PodChanges) {
        if what.has(PodChanges::BOUND) {
            self.pod_bound(env, pod);
        }
        if what.has(PodChanges::DELETION_REQUESTED) {
            self.step(env, |kubelet, view, out| kubelet.pod_deleting(view, pod, out));
        }
        if what.has(PodChanges::PHASE) {
            self.room_made(env, pod);
        }
        if what.has(PodChanges::READY) && env.view().pods().get(pod).is_some_and(Pod::is_ready) {
            self.apps.warmed_up(env.now, pod);
        }
        if what.has(PodChanges::RESIZED) {
            self.pod_resized(env, pod);
        }
    }

    fn node_added(&mut self, env: &mut Environment, id: NodeId) {
        if let Some(node) = env.store().nodes().get(id) {
            self.kubelet.node_added(
                id,
                node.meta.uid,
                node.images.iter().map(|(name, _)| name.clone()),
            );
        }
        for pod in std::mem::take(&mut self.nowhere) {
            self.pod_added(env, pod);
        }
    }

    fn pod_bound(&mut self, env: &mut Environment, id: PodId) {
        let view = env.view();
        let plan = self.apps.plan_of(view, &env.world.apps, id);
        let plan = plan.as_deref();
        let Some(pod) = view.pods().get(id) else { return };
        let spec = &view.template_of(pod).spec;
        let images = spec.containers.iter().map(|one| &one.image);
        let app = plan.map(|plan| plan.for_images(images)).unwrap_or_default();
        let profile = PodProfile {
            app: app.profile,
            container: plan.and_then(|plan| plan.container.clone()),
            others: plan.map(|plan| Arc::clone(&plan.containers)).unwrap_or_default(),
        };
        let position = profile.position(spec) - spec.init_containers.len();
        self.apps.add(view, (id, pod), app, position);
        self.step(env, |kubelet, view, out| kubelet.pod_bound(view, id, &profile, out));
        self.check_reachability(env);
    }

    fn pod_removed(&mut self, env: &mut Environment, pod: PodId) {
        self.book_usage_of(env, pod);
        let now = env.now;
        self.step(env, |kubelet, _, out| kubelet.pod_removed(now, pod, out));
        self.apps.remove(env.now, pod, &mut self.traffic);
    }

    /// Runs one step of the kubelet and carries out its effects.
    pub(super) fn step(
        &mut self,
        env: &mut Environment,
        step: impl FnOnce(&mut Kubelet, ClusterView<'_>, &mut Effects),
    ) {
        // Nested steps use lists of their own.
        let mut out = std::mem::take(&mut self.effects);
        step(&mut self.kubelet, env.view(), &mut out);
        if let Some(watch) = &mut env.observers.journal.watch {
            out.steps.iter().for_each(|(pod, step)| watch.stepped(env.now, *pod, *step));
        }
        out.steps.clear();
        for effect in out.apps.drain(..) {
            self.app_effect(env, effect);
        }
        for action in out.actions.drain(..) {
            env.act("kubelet", action);
        }
        for (at, pod, version) in out.timers.drain(..) {
            env.enter(at, Event::Kubelet { pod, version });
        }
        self.effects = out;
    }

    /// Applies an effect of the kubelet to the application.
    fn app_effect(&mut self, env: &mut Environment, effect: AppEffect) {
        let now = env.now;
        let Self { apps, traffic, .. } = self;
        match effect {
            AppEffect::Started(pod) => {
                self.network_policies.started(pod);
                return apps.started(now, pod, traffic);
            }
            AppEffect::Answers(pod) => {
                apps.set_listening(now, pod, true, traffic);
                self.watch_idleness(env, pod);
            }
            AppEffect::Hangs(pod) | AppEffect::Lost(pod) => apps.hangs(now, pod, traffic),
            AppEffect::Found(pod, listens) => apps.set_listening(now, pod, listens, traffic),
            AppEffect::Probed(pod, kind) => {
                let delay = apps.answer_delay(now, pod, traffic);
                return self.step(env, |kubelet, view, out| {
                    kubelet.probe_answered(view, (pod, kind), delay, out);
                });
            }
            AppEffect::Drains(pod, not_before) => {
                apps.set_listening(now, pod, false, traffic);
                env.enter(not_before, Event::Drain { pod });
            }
            AppEffect::Stopped(pod, stop) => {
                apps.stopped(now, pod, stop, traffic);
                let ends = |pod: &Pod| pod.is_terminating();
                if stop == Stop::Terminated && env.store().pods().get(pod).is_some_and(ends) {
                    let at = now + env.world.timing.sandbox_stop;
                    env.enter(at, Event::SandboxStopped { pod });
                }
            }
        }
        self.check_reachability(env);
    }

    /// The clients of a headless Service see the endpoints that it had one propagation delay ago.
    pub(super) fn propagate(&mut self, env: &mut Environment, service: ServiceId) {
        if self.endpoints.propagate(env, &self.apps, &mut self.traffic, service) {
            self.check_reachability(env);
        }
    }

    /// kube-proxy, the ingress controller or a gateway begins or ends a write of its rules.
    pub(super) fn write_rules(&mut self, env: &mut Environment, via: Via) {
        if self.endpoints.write_rules(env, &self.apps, &mut self.traffic, via) {
            self.check_reachability(env);
        }
    }

    /// The address of a finished pod stops answering altogether.
    pub(super) fn sandbox_stopped(&mut self, env: &mut Environment, pod: PodId) {
        self.apps.sandbox_stopped(env.now, pod, &mut self.traffic);
    }

    /// Records which Services cannot be reached from now on.
    pub(super) fn check_reachability(&mut self, env: &mut Environment) {
        self.endpoints.check_reachability(env, &self.kubelet, &mut self.traffic);
    }

    /// A draining application is finished, or its drain is scheduled for when it will be.
    pub(super) fn drain(&mut self, env: &mut Environment, pod: PodId) {
        let backend = self.apps.get(pod).and_then(|app| app.backend);
        let done_at = backend.map_or(env.now, |one| self.traffic.drained_at(env.now, one));
        if done_at <= env.now {
            self.step(env, |kubelet, view, out| kubelet.drained(view, pod, out));
        } else {
            env.enter(done_at, Event::Drain { pod });
        }
    }

    /// A worker that completes when idle listens from now on.
    fn watch_idleness(&mut self, env: &mut Environment, pod: PodId) {
        if let Some(after) = self.apps.get(pod).and_then(PodApp::completes_when_idle) {
            env.enter(env.now + after, Event::Idle { pod });
        }
    }

    /// Completes a worker that has been idle for long enough, or looks again when it could have been.
    pub(super) fn check_idle(&mut self, env: &mut Environment, pod: PodId) {
        let now = env.now;
        let app = self.apps.get(pod);
        let Some(after) = app.and_then(PodApp::completes_when_idle) else { return };
        let Some(backend) = app.and_then(|app| app.backend) else { return };
        match self.traffic.idle_since(now, backend).map(|since| since + after) {
            Some(end) if end <= now => self.complete(env, pod),
            Some(end) => env.enter(end, Event::Idle { pod }),
            // It may become idle at once.
            None => env.enter(now + after.max(IDLE_CHECK), Event::Idle { pod }),
        }
    }

    /// A worker has answered the last of its requests.
    pub(super) fn worker_done(&mut self, env: &mut Environment, backend: BackendId) {
        if let Some(pod) = self.apps.pod_of(backend) {
            self.complete(env, pod);
        }
    }

    /// The application of a pod exits, as its work is done.
    fn complete(&mut self, env: &mut Environment, pod: PodId) {
        let kill = ContainerKill::Completed;
        self.step(env, |kubelet, view, out| kubelet.kill_container(view, pod, kill, out));
    }

    /// Shares out the CPU and checks the memory of nodes that may be short of either.
    pub(super) fn share_nodes(&mut self, env: &mut Environment) {
        if !self.check_clock.is_due(env.now) {
            return;
        }
        self.apps.share_cpus(env.view(), &mut self.traffic);
        self.check_memory(env);
        self.check_clock.done(env, self.has_nothing_to_look_at(), self.apps.next_change());
    }

    /// Restarts the periodic check of nodes if it stands still and there is something to check; `is_past` means
    /// that this instant's tick is over.
    pub(super) fn wake_check_clock(&mut self, env: &mut Environment, is_past: bool) {
        if self.check_clock.is_asleep() && !self.has_nothing_to_look_at() {
            self.check_clock.wake(env, is_past);
        }
    }

    /// True if a check of the CPU and the memory of all nodes would find no change.
    fn has_nothing_to_look_at(&self) -> bool {
        self.apps.is_quiet()
            && !self.traffic.has_stirred()
            && self.memory_pressure.is_over()
            && self.kubelet.nodes_with_pending_resizes().is_empty()
    }

    /// Checks the pods whose memory grows, and their nodes.
    fn check_memory(&mut self, env: &mut Environment) {
        let growing: Vec<(PodId, Option<NodeId>)> =
            self.apps.growing().map(|app| (app.pod, app.node)).collect();
        for (pod, _) in &growing {
            if exceeds_limit(env.now, &self.apps, &mut self.traffic, *pod) {
                self.kill_for_memory(env, *pod);
            }
        }
        let is_check_due =
            MemoryPressure::is_check_due(env.now, env.world.timing.cpu_sharing_period);
        let nodes: BTreeSet<NodeId> = growing.into_iter().filter_map(|(_, node)| node).collect();
        for node in nodes {
            if !self.kubelet.is_down(node) {
                self.check_memory_of(env, node, is_check_due);
            }
        }
        if is_check_due {
            let period = env.world.kubelet.eviction_pressure_transition_period;
            for relief in self.memory_pressure.relieve(env.now, period) {
                env.act("kubelet", relief);
            }
            self.retry_all_resizes(env);
        }
    }

    fn check_memory_of(&mut self, env: &mut Environment, node: NodeId, is_check_due: bool) {
        let threshold = env.world.kubelet.eviction_hard_memory_available.value();
        match shortage(env.view(), &self.apps, &mut self.traffic, node, threshold) {
            Shortage::Exhausted(Some(victim)) => self.kill_for_memory(env, victim),
            Shortage::Low(claims) if is_check_due => {
                env.act("kubelet", self.memory_pressure.note(env.now, node));
                if let Some(victim) = eviction_victim(&claims) {
                    let message = "The node was low on resource: memory.";
                    self.step(env, |kubelet, view, out| kubelet.evict(view, victim, message, out));
                }
            }
            Shortage::Exhausted(None) | Shortage::Low(_) | Shortage::None => {}
        }
    }

    fn kill_for_memory(&mut self, env: &mut Environment, pod: PodId) {
        let kill = ContainerKill::OutOfMemory;
        self.step(env, |kubelet, view, out| kubelet.kill_container(view, pod, kill, out));
    }

    /// A pod requests other resources, or its resize has been carried out.
    fn pod_resized(&mut self, env: &mut Environment, pod: PodId) {
        self.apps.resized(env.view(), pod, &mut self.traffic);
        if let Some(node) = env.view().pods().get(pod).and_then(|pod| pod.node) {
            let in_use = MemoryInUse::of_resized(env.view(), &self.apps, &mut self.traffic, node);
            self.step(env, |kubelet, view, out| {
                kubelet.pod_resized(view, pod, &|pod| in_use.of(pod), out);
            });
        }
    }

    /// Reconsiders pending resizes if a pod has finished and released its resources.
    fn room_made(&mut self, env: &mut Environment, pod: PodId) {
        let pod = env.store().pods().get(pod).filter(|pod| pod.phase.is_terminal());
        if let Some(node) = pod.and_then(|pod| pod.node) {
            self.retry_resizes(env, node);
        }
    }

    /// Reconsiders the pending resizes of a node.
    fn retry_resizes(&mut self, env: &mut Environment, node: NodeId) {
        if self.kubelet.nodes_with_pending_resizes().contains(&node) {
            let in_use = MemoryInUse::of_resized(env.view(), &self.apps, &mut self.traffic, node);
            self.step(env, |kubelet, view, out| {
                kubelet.retry_resizes(view, node, &|pod| in_use.of(pod), out);
            });
        }
    }

    /// Reconsiders all pending resizes.
    fn retry_all_resizes(&mut self, env: &mut Environment) {
        let nodes = self.kubelet.nodes_with_pending_resizes();
        for node in nodes.iter().copied().collect::<Vec<_>>() {
            self.retry_resizes(env, node);
        }
    }

    /// Records the CPU time used by all applications.
    pub(super) fn book_usage(&mut self, env: &mut Environment) {
        let pods: Vec<PodId> = self.apps.iter().map(|app| app.pod).collect();
        for pod in pods {
            self.book_usage_of(env, pod);
        }
    }

    fn book_usage_of(&mut self, env: &mut Environment, pod: PodId) {
        if let Some(cpu_time) = self.apps.cpu_time(env.now, pod, &mut self.traffic) {
            let throttled = self.apps.take_throttled(env.now, pod, &mut self.traffic);
            env.observers.recorder.book_usage(env.now, pod, Used { cpu_time, throttled });
        }
    }

    /// A machine fails: its kubelet falls silent, and its containers are lost.
    pub(super) fn node_down(&mut self, env: &mut Environment, node: NodeId) {
        env.act("scenario", Action::SetNodeSilent(node, true));
        self.step(env, |kubelet, view, out| kubelet.node_down(view, node, out));
    }

    /// A machine is back.
    pub(super) fn node_up(&mut self, env: &mut Environment, node: NodeId) {
        env.act("scenario", Action::SetNodeSilent(node, false));
        env.act("kubelet", Action::SetNodeReady(node, ConditionStatus::True));
        self.step(env, |kubelet, view, out| kubelet.node_up(view, node, out));
        self.retry_resizes(env, node);
    }
}
