//! The state machine of one pod on its node.

use super::backoff::BackOff;
use super::probes::{self, KilledBy};
use super::profile::{AppProfile, OnSigterm};
use super::{AppEffect, Effects, NodeAgent, Stop};
use crate::cluster::action::Event;
use crate::cluster::node::{ConditionStatus, NodeId};
use crate::cluster::pod::{Pod, PodId, PodPhase, RestartCounts};
use crate::cluster::pod_template::{ReferenceKind, RestartPolicy};
use crate::cluster::{Action, ClusterView};
use crate::engine::{SimDuration, SimTime};

/// How often the kubelet looks again at a pod that it could not start.
const SYNC_RETRY: SimDuration = SimDuration::from_secs(10);
/// A pod whose container has not started is gone at most this long after its deletion.
const UNSTARTED_STOP_MAX: SimDuration = SimDuration::from_secs(1);

/// What the kubelet knows of one pod.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pod: PodId,
    node: NodeId,
    profile: AppProfile,
    /// Counts changes of plan: a timer of an older version is void.
    version: u32,
    stage: Stage,
    backoff: BackOff,
    restarts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Bound, but not taken yet: the node is down.
    Bound,
    /// Something that it refers to does not exist.
    ConfigError,
    /// The image is being pulled, then the container is made.
    Starting,
    /// The image cannot be pulled.
    PullBackOff { failures: u32 },
    /// The container runs.
    Running(Run),
    /// The container ended and waits for its restart.
    BackOff,
    /// SIGTERM comes after the `preStop` hook; the application serves as before.
    PreStop { kill_at: SimTime },
    /// SIGTERM was sent.
    Stopping { kill_at: SimTime },
    /// Nothing runs any more, and the object is about to go.
    Ended,
}

/// The instants at which something will happen to a running container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "each is the instant at which it happens")]
struct Run {
    answers_at: Option<SimTime>,
    ready_at: Option<SimTime>,
    killed_at: Option<(SimTime, KilledBy)>,
    crashes_at: Option<SimTime>,
}

impl Run {
    fn next(&self) -> Option<SimTime> {
        let killed_at = self.killed_at.map(|(at, _)| at);
        [self.answers_at, self.ready_at, killed_at, self.crashes_at].into_iter().flatten().min()
    }
}

impl Worker {
    pub(super) fn new(pod: PodId, node: NodeId, profile: AppProfile) -> Self {
        let backoff = BackOff::default();
        Self { pod, node, profile, version: 0, stage: Stage::Bound, backoff, restarts: 0 }
    }

    pub(super) const fn pod(&self) -> PodId {
        self.pod
    }

    pub(super) const fn node(&self) -> NodeId {
        self.node
    }

    pub(super) const fn version(&self) -> u32 {
        self.version
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running(_) | Stage::PreStop { .. } | Stage::Stopping { .. })
    }

    /// Takes the pod: `startTime`, then configuration, image, container.
    pub(super) fn admit(
        &mut self,
        view: ClusterView<'_>,
        agent: &mut NodeAgent,
        out: &mut Effects,
    ) {
        out.actions.push(Action::StartPod(self.pod));
        self.prepare(view, agent, out);
    }

    fn prepare(&mut self, view: ClusterView<'_>, agent: &mut NodeAgent, out: &mut Effects) {
        let Some(pod) = view.pods().get(self.pod) else { return };
        if let Some(missing) = view.missing_reference(pod) {
            if self.stage != Stage::ConfigError {
                let kind = match missing.kind {
                    ReferenceKind::ConfigMap => "configmap",
                    ReferenceKind::Secret => "secret",
                    ReferenceKind::PersistentVolumeClaim => "persistentvolumeclaim",
                };
                let message = format!("Error: {kind} \"{}\" not found", missing.name);
                warn(pod, "Failed", message, out);
            }
            self.enter(Stage::ConfigError, Some(view.now + SYNC_RETRY), out);
            return;
        }
        let spec = &view.template_of(pod).spec;
        if self.profile.pull_fails {
            self.pull_failed(view.now, pod, out);
            return;
        }
        let mut ready_to_start = view.now;
        for container in spec.init_containers.iter().chain(&spec.containers) {
            let pulled = agent.pull(view.now, &container.image, self.profile.image_pull);
            ready_to_start = ready_to_start.max(pulled);
        }
        if !spec.init_containers.is_empty() && self.restarts == 0 {
            ready_to_start += self.profile.init;
        }
        self.enter(Stage::Starting, Some(ready_to_start + self.profile.start), out);
    }

    fn pull_failed(&mut self, now: SimTime, pod: &Pod, out: &mut Effects) {
        let failures = match self.stage {
            Stage::PullBackOff { failures } => failures + 1,
            _ => 1,
        };
        let wait = (SYNC_RETRY * (1 << (failures - 1).min(5))).min(SimDuration::from_secs(300));
        warn(pod, "Failed", "Failed to pull image: ErrImagePull".to_owned(), out);
        self.enter(Stage::PullBackOff { failures }, Some(now + wait), out);
    }

    /// A timer is due.
    pub(super) fn wake(&mut self, view: ClusterView<'_>, agent: &mut NodeAgent, out: &mut Effects) {
        match self.stage {
            Stage::ConfigError | Stage::PullBackOff { .. } => self.prepare(view, agent, out),
            Stage::Starting | Stage::BackOff => self.run(view, out),
            Stage::Running(run) => self.advance(view, run, out),
            Stage::PreStop { kill_at } => self.signal(view.now, kill_at, out),
            Stage::Stopping { .. } => self.exit(out),
            Stage::Bound | Stage::Ended => {}
        }
    }

    /// The container starts.
    fn run(&mut self, view: ClusterView<'_>, out: &mut Effects) {
        let Some(pod) = view.pods().get(self.pod) else { return };
        let answers_at = (!self.profile.never_ready).then(|| view.now + self.profile.warm_up);
        let mut ready_at = Some(view.now);
        let mut killed_at: Option<(SimTime, KilledBy)> = None;
        for container in &view.template_of(pod).spec.containers {
            let outcome = probes::outcome(container, view.now, answers_at);
            ready_at = match (ready_at, outcome.ready_at) {
                (Some(others), Some(own)) => Some(others.max(own)),
                _ => None,
            };
            killed_at = match (killed_at, outcome.killed_at) {
                (Some(others), Some(own)) if own.0 < others.0 => Some(own),
                (others, own) => others.or(own),
            };
        }
        let crashes_at = self.profile.crashes_after.map(|after| view.now + after);
        out.actions.push(Action::SetPodPhase(self.pod, PodPhase::Running));
        let restarts = RestartCounts { containers_max: self.restarts, sidecars_max: 0 };
        out.actions.push(Action::SetPodRestarts(self.pod, restarts));
        out.apps.push(AppEffect::Started(self.pod));
        self.advance(view, Run { answers_at, ready_at, killed_at, crashes_at }, out);
    }

    /// Does what is due of a running container, and waits for the next.
    fn advance(&mut self, view: ClusterView<'_>, mut run: Run, out: &mut Effects) {
        let due = |at: Option<SimTime>| at.is_some_and(|at| at <= view.now);
        if due(run.answers_at) {
            run.answers_at = None;
            out.apps.push(AppEffect::Answers(self.pod));
        }
        if due(run.ready_at) {
            run.ready_at = None;
            out.actions.push(Action::SetPodReady(self.pod, ConditionStatus::True));
        }
        if let Some((at, probe)) = run.killed_at
            && at <= view.now
        {
            if let Some(pod) = view.pods().get(self.pod) {
                let message =
                    format!("Container failed {} probe, will be restarted", probe.as_str());
                warn(pod, "Unhealthy", message, out);
            }
            self.container_ended(view, Stop::KilledByProbe, out);
        } else if due(run.crashes_at) {
            self.container_ended(view, Stop::Crashed, out);
        } else {
            self.enter(Stage::Running(run), run.next(), out);
        }
    }

    fn container_ended(&mut self, view: ClusterView<'_>, stop: Stop, out: &mut Effects) {
        out.apps.push(AppEffect::Stopped(self.pod, stop));
        out.actions.push(Action::SetPodReady(self.pod, ConditionStatus::False));
        let Some(pod) = view.pods().get(self.pod) else { return };
        if view.template_of(pod).spec.restart_policy == RestartPolicy::Never {
            out.actions.push(Action::SetPodPhase(self.pod, PodPhase::Failed));
            self.enter(Stage::Ended, None, out);
            return;
        }
        self.restarts += 1;
        let restart_at = self.backoff.after_exit(view.now);
        if restart_at > view.now {
            let message = "Back-off restarting failed container (CrashLoopBackOff)".to_owned();
            warn(pod, "BackOff", message, out);
        }
        self.enter(Stage::BackOff, Some(restart_at + self.profile.start), out);
    }

    /// The pod is being deleted.
    pub(super) fn terminate(&mut self, view: ClusterView<'_>, out: &mut Effects) {
        let Some(pod) = view.pods().get(self.pod) else { return };
        let Some(deletion) = pod.deletion else { return };
        match self.stage {
            Stage::Running(_) => {}
            Stage::PreStop { .. } | Stage::Stopping { .. } | Stage::Ended => return,
            Stage::Bound
            | Stage::ConfigError
            | Stage::Starting
            | Stage::PullBackOff { .. }
            | Stage::BackOff => {
                let stop_at = view.now + self.profile.shut_down.min(UNSTARTED_STOP_MAX);
                self.enter(Stage::Stopping { kill_at: stop_at }, Some(stop_at), out);
                return;
            }
        }
        let spec = &view.template_of(pod).spec;
        let grace = deletion.deadline - deletion.requested_at.floor_to_second();
        let kill_at = view.now + grace;
        let pre_stop =
            spec.containers.iter().filter_map(|container| container.pre_stop_sleep).max();
        match pre_stop {
            Some(sleep) => {
                let sigterm_at = (view.now + sleep).min(kill_at);
                self.enter(Stage::PreStop { kill_at }, Some(sigterm_at), out);
            }
            None => self.signal(view.now, kill_at, out),
        }
    }

    /// SIGTERM.
    fn signal(&mut self, now: SimTime, kill_at: SimTime, out: &mut Effects) {
        let exits_at = now + self.profile.shut_down;
        let wake_at = match self.profile.on_sigterm {
            OnSigterm::Drain => {
                out.apps.push(AppEffect::Drains(self.pod, exits_at));
                kill_at
            }
            OnSigterm::Exit => exits_at.min(kill_at),
            OnSigterm::Ignore => kill_at,
        };
        self.enter(Stage::Stopping { kill_at }, Some(wake_at), out);
    }

    /// What was in flight is done.
    pub(super) fn drained(&mut self, out: &mut Effects) {
        if matches!(self.stage, Stage::Stopping { .. }) {
            self.exit(out);
        }
    }

    /// All containers are dead: the object goes.
    fn exit(&mut self, out: &mut Effects) {
        out.apps.push(AppEffect::Stopped(self.pod, Stop::Terminated));
        out.actions.push(Action::RemovePod(self.pod));
        self.enter(Stage::Ended, None, out);
    }

    /// The machine was restarted: containers start afresh, a pending deletion is finished.
    pub(super) fn node_restarted(
        &mut self,
        view: ClusterView<'_>,
        agent: &mut NodeAgent,
        out: &mut Effects,
    ) {
        let Some(pod) = view.pods().get(self.pod) else { return };
        if pod.is_terminating() {
            self.exit(out);
            return;
        }
        match self.stage {
            Stage::Bound => self.admit(view, agent, out),
            Stage::Running(_) => {
                self.restarts += 1;
                out.actions.push(Action::SetPodReady(self.pod, ConditionStatus::False));
                self.enter(Stage::Starting, Some(view.now + self.profile.start), out);
            }
            Stage::ConfigError | Stage::Starting | Stage::PullBackOff { .. } | Stage::BackOff => {
                self.prepare(view, agent, out);
            }
            Stage::PreStop { .. } | Stage::Stopping { .. } | Stage::Ended => {}
        }
    }

    fn enter(&mut self, stage: Stage, wake_at: Option<SimTime>, out: &mut Effects) {
        self.stage = stage;
        self.version += 1;
        if let Some(at) = wake_at {
            out.timers.push((at, self.pod, self.version));
        }
    }
}

fn warn(pod: &Pod, reason: &'static str, message: String, out: &mut Effects) {
    out.actions.push(Action::Event(Box::new(Event {
        kind: "Pod",
        object: pod.id.clone(),
        is_warning: true,
        reason,
        message,
    })));
}
