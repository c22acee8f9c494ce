//! The state machine of one pod on its node: which container's turn it is, and what becomes of each.
//! How a pod ends is in `ending`, what is reported of it in `status`.

use super::admission::{self, Rejection, TOLD_AFTER};
use super::backoff::BackOff;
use super::ending::Ending;
use super::profile::{AppProfile, PodProfile, Start};
use super::settings::KubeletSettings;
use super::unit::{
    KINDS, Moment, Run, State, Stopping, Trouble, Unit, judge, probe_of, restarts, termination,
};
use super::{AppEffect, Effects, NodeAgent, PodStep, Stop};
use crate::probes::ProbeKind;
use cluster::action::Event;
use cluster::container_status::TerminationReason;
use cluster::node::NodeId;
use cluster::pod::{Pod, PodId};
use cluster::pod_template::{Container, ImagePullPolicy, PodSpec};
use cluster::{Action, ClusterView, Kind};
use engine::{SimDuration, SimTime};

/// How often the kubelet looks again at a pod that it could not start.
const SYNC_RETRY: SimDuration = SimDuration::from_secs(10);
/// The longest wait between two pulls of an image that cannot be pulled.
const PULL_BACKOFF_MAX: SimDuration = SimDuration::from_secs(300);
/// Exit code of a process that SIGKILL ended.
pub(super) const KILLED: i32 = 137;
/// Exit code of a process that SIGTERM ended.
pub(super) const TERMINATED: i32 = 143;

/// What the kubelet knows of one pod.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) pod: PodId,
    pub(super) node: NodeId,
    /// What each container does, in the order of `units`.
    pub(super) profiles: Vec<AppProfile>,
    /// Counts changes of plan: a timer of an older version is void.
    version: u32,
    pub(super) stage: Stage,
    /// Init containers in their order, then the others.
    pub(super) units: Vec<Unit>,
    /// Position of the application's container.
    pub(super) app: usize,
    /// The sandbox exists: the first container has paid for it.
    pub(super) has_sandbox: bool,
    pub(super) trouble: Trouble,
    /// `activeDeadlineSeconds`.
    deadline: Option<SimTime>,
    /// `status.reason` of a pod that the kubelet made fail.
    pub(super) failed_for: Option<&'static str>,
    /// Why it is not taken, and when that is told.
    rejection: Option<Box<(SimTime, Rejection)>>,
}

/// How far a pod is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// Bound, but not taken yet: the node is down, or its kubelet will not take it.
    Bound,
    /// It comes up or runs.
    Active,
    /// It is being ended.
    Ending(Ending),
    /// It has ended, and its object stays.
    Ended,
    /// Its object is asked to go.
    Gone,
}

/// What a step of a worker works with.
pub(super) struct Context<'a> {
    pub(super) view: ClusterView<'a>,
    /// The pod that the worker is of.
    pub(super) pod: &'a Pod,
    pub(super) spec: &'a PodSpec,
    pub(super) agent: &'a mut NodeAgent,
    pub(super) settings: &'a KubeletSettings,
    pub(super) out: &'a mut Effects,
}

impl Context<'_> {
    pub(super) const fn now(&self) -> SimTime {
        self.view.now
    }

    /// Writes a warning about the pod.
    pub(super) fn warn(&mut self, reason: &'static str, message: impl Into<String>) {
        self.out.actions.push(event(self.pod, true, reason, message));
    }
}

/// Why a container ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exit {
    pub(super) code: i32,
    pub(super) reason: Option<TerminationReason>,
    pub(super) stop: Stop,
}

impl Worker {
    pub(super) fn new(
        pod: PodId,
        node: NodeId,
        spec: &PodSpec,
        profile: &PodProfile,
        settings: &KubeletSettings,
    ) -> Self {
        let profiles = profile.of_containers(spec);
        let backoff = BackOff::new(settings.max_container_restart_period);
        Self {
            pod,
            node,
            version: 0,
            stage: Stage::Bound,
            units: profiles.iter().map(|_| Unit::new(backoff)).collect(),
            profiles,
            app: profile.position(spec),
            has_sandbox: false,
            trouble: Trouble::default(),
            deadline: None,
            failed_for: None,
            rejection: None,
        }
    }

    pub(super) const fn version(&self) -> u32 {
        self.version
    }

    /// Whether the application's process exists.
    pub(super) fn is_running(&self) -> bool {
        self.units.get(self.app).is_some_and(Unit::is_alive)
    }

    /// Whether the application listens for requests.
    pub(super) fn app_answers(&self) -> bool {
        match self.units.get(self.app).map(|unit| unit.state) {
            Some(State::Running(run)) => run.has_answered && !run.has_hung,
            Some(State::Stopping(stopping)) => stopping.listens,
            _ => false,
        }
    }

    /// Takes the pod: `startTime`, then configuration, images, containers. One that named its node is looked
    /// at first, as no scheduler has.
    pub(super) fn admit(&mut self, ctx: &mut Context<'_>) {
        let pod = (self.pod, ctx.pod);
        if ctx.spec.node_name.is_some()
            && let Err(why) = admission::admit(ctx.view, pod, self.node)
        {
            let at = ctx.now() + TOLD_AFTER;
            self.rejection = Some(Box::new((at, why)));
            self.version += 1;
            ctx.out.timers.push((at, self.pod, self.version));
            return;
        }
        ctx.out.actions.push(Action::StartPod(self.pod));
        self.deadline = ctx.spec.active_deadline.map(|after| ctx.now() + after);
        self.stage = Stage::Active;
        self.settle(ctx);
    }

    /// Tells that the pod is not taken, which stays as Failed (`rejectPod`).
    fn reject(&mut self, why: Rejection, ctx: &mut Context<'_>) {
        let Rejection { reason, message } = why;
        ctx.warn(reason, message);
        ctx.out.actions.push(Action::StartPod(self.pod));
        self.failed_for = Some(reason);
        self.stage = Stage::Ended;
        self.report(ctx);
    }

    /// Does all that is due, reports it, and waits for the next.
    pub(super) fn settle(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let is_told = self.stage == Stage::Bound;
        if let Some(rejection) = self.rejection.take_if(|why| is_told && why.0 <= now) {
            return self.reject(rejection.1, ctx);
        }
        for (position, container) in containers(ctx.spec).enumerate() {
            let moment = self.moment(ctx.now(), position);
            if let State::Running(run) = &mut self.units[position].state
                && !moment.is_live
            {
                run.count(container, moment);
            }
        }
        if self.trouble.hangs_until == ctx.now() && self.app_answers() {
            ctx.out.apps.push(AppEffect::Answers(self.pod));
        }
        if self.stage == Stage::Active && self.deadline.is_some_and(|at| at <= ctx.now()) {
            self.deadline = None;
            let message = "Pod was active on the node longer than the specified deadline";
            return self.fail(
                ("DeadlineExceeded", message),
                ctx.spec.termination_grace_period,
                ctx,
            );
        }
        loop {
            let due = containers(ctx.spec).enumerate().find(|(position, container)| {
                self.next_of(*position, container, ctx.now()).is_some_and(|at| at <= ctx.now())
            });
            let went_on = match due {
                Some((position, container)) => {
                    self.unit_due(position, container, ctx);
                    true
                }
                None => self.begin_next(ctx),
            };
            if !went_on || matches!(self.stage, Stage::Ended | Stage::Gone) {
                break;
            }
        }
        self.report(ctx);
        self.arm(ctx);
    }

    /// Sets the timer for what happens next; earlier timers are void.
    fn arm(&mut self, ctx: &mut Context<'_>) {
        self.version += 1;
        if matches!(self.stage, Stage::Bound | Stage::Ended | Stage::Gone) {
            return;
        }
        let units = containers(ctx.spec).enumerate();
        let next = units.filter_map(|(position, one)| self.next_of(position, one, ctx.now()));
        let of_pod = match self.stage {
            Stage::Ending(ending) => ending.unstarted_until,
            _ => self.deadline,
        };
        let trouble = self.trouble.next_end(ctx.now());
        if let Some(at) = next.chain(of_pod).chain(trouble).min() {
            ctx.out.timers.push((at, self.pod, self.version));
        }
    }

    fn next_of(&self, position: usize, container: &Container, now: SimTime) -> Option<SimTime> {
        self.units[position].next(container, self.moment(now, position))
    }

    fn moment(&self, now: SimTime, position: usize) -> Moment {
        let is_app = position == self.app;
        let trouble = if is_app { self.trouble } else { Trouble::default() };
        Moment { now, trouble, is_live: is_app && self.profiles[position].probes_need_worker }
    }

    /// Begins with the container whose turn it is; false if there is none, or the pod is done.
    fn begin_next(&mut self, ctx: &mut Context<'_>) -> bool {
        match self.stage {
            Stage::Active => {}
            Stage::Ending(ending) => return self.go_on_ending(ending, ctx),
            Stage::Bound | Stage::Ended | Stage::Gone => return false,
        }
        let spec = ctx.spec;
        let inits = spec.init_containers.len();
        let is_over = |position: usize, one: &Container| {
            let unit = &self.units[position];
            if one.is_sidecar { unit.is_started() } else { unit.is_done() }
        };
        let init = spec.init_containers.iter().enumerate();
        // In a sandbox made anew, containers that had ended for good before do not run again, but the
        // init containers come first for the others all the same.
        let is_idle = |unit: &Unit| unit.state == State::Idle;
        let regular = &self.units[inits..];
        let initializing = regular.iter().any(is_idle)
            && regular.iter().all(|unit| is_idle(unit) || unit.has_ended());
        if initializing
            && let Some((position, container)) = init.clone().find(|(at, one)| !is_over(*at, one))
        {
            if self.units[position].has_ended() {
                return self.end_if_done(ctx);
            }
            return self.begin(position, container, ctx);
        }
        for (position, container) in (inits..).zip(&spec.containers) {
            match self.units[position].state {
                State::Idle => return self.begin(position, container, ctx),
                // Containers are started one after the other.
                State::Pulling { .. } | State::Creating { .. } => return false,
                _ => {}
            }
        }
        self.end_if_done(ctx)
    }

    fn begin(&mut self, position: usize, container: &Container, ctx: &mut Context<'_>) -> bool {
        let is_idle = self.units[position].state == State::Idle;
        if is_idle {
            self.prepare(position, container, ctx);
        }
        is_idle
    }

    /// Looks for what the container needs, and pulls its image.
    fn prepare(&mut self, position: usize, container: &Container, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let profile = self.profiles[position];
        let unit = &mut self.units[position];
        if let Some(missing) = ctx.view.missing_reference(ctx.pod) {
            if !matches!(unit.state, State::ConfigError { .. }) {
                let kind = missing.kind.name().to_lowercase();
                let message = format!("Error: {kind} \"{}\" not found", missing.name);
                ctx.warn("Failed", message);
            }
            unit.state = State::ConfigError { retry_at: now + SYNC_RETRY };
            return;
        }
        let is_there = ctx.agent.images.has(&container.image);
        if container.image_pull_policy == ImagePullPolicy::Never && !is_there {
            let message = format!(
                "Container image \"{}\" is not present with pull policy of Never",
                container.image
            );
            ctx.warn("ErrImageNeverPull", message);
            unit.state = State::NeverPulled;
            return;
        }
        let must_ask = !is_there || container.image_pull_policy == ImagePullPolicy::Always;
        if profile.pull_fails && must_ask {
            ctx.out.steps.push((self.pod, PodStep::PullCalled(position)));
            unit.pull_failures += 1;
            let doublings = (unit.pull_failures - 1).min(5);
            let wait = (SYNC_RETRY * (1 << doublings)).min(PULL_BACKOFF_MAX);
            let message = format!("Failed to pull image \"{}\": ErrImagePull", container.image);
            ctx.warn("Failed", message);
            unit.state = State::PullBackOff { retry_at: now + wait };
            return;
        }
        let done_at = ctx.agent.images.pull(now, &container.image, &profile, ctx.settings);
        unit.state = State::Pulling { done_at };
    }

    /// Something happens to a container.
    fn unit_due(&mut self, position: usize, container: &Container, ctx: &mut Context<'_>) {
        match self.units[position].state {
            State::ConfigError { .. } | State::PullBackOff { .. } => {
                self.prepare(position, container, ctx);
            }
            State::Pulling { .. } => {
                let pays_for_sandbox = !std::mem::replace(&mut self.has_sandbox, true);
                let start = self.profiles[position].start;
                let takes = if pays_for_sandbox { start } else { SimDuration::ZERO };
                self.units[position].pull_failures = 0;
                self.units[position].state = State::Creating { runs_at: ctx.now() + takes };
            }
            State::Creating { .. } => self.run(position, container, ctx),
            State::Restarting { .. } => {
                self.units[position].restarts += 1;
                self.run(position, container, ctx);
            }
            State::Running(run) => self.advance(position, container, run, ctx),
            State::Stopping(stopping) => self.stop_due(position, stopping, ctx),
            State::Idle | State::NeverPulled | State::Ended(_) => {}
        }
    }

    /// The container starts.
    fn run(&mut self, position: usize, container: &Container, ctx: &mut Context<'_>) {
        let uid = ctx.pod.uid;
        let start = Start { uid, container: position, restarts: self.units[position].restarts };
        let run = Run::new(ctx.now(), container, &self.profiles[position], start);
        ctx.out.steps.push((self.pod, PodStep::Started(position)));
        self.units[position].state = State::Running(run);
        if position == self.app {
            // A fresh process is not stuck; what it depends on may still be missing.
            self.trouble.hangs_until = SimTime::ZERO;
            ctx.out.apps.push(AppEffect::Started(self.pod));
        }
    }

    /// Does what is due of a running container.
    fn advance(
        &mut self,
        position: usize,
        container: &Container,
        mut run: Run,
        ctx: &mut Context<'_>,
    ) {
        let now = ctx.now();
        let moment = self.moment(now, position);
        if !run.has_answered && run.answers_at.is_some_and(|at| at <= now) {
            run.has_answered = true;
            if position == self.app && now >= self.trouble.hangs_until && !run.has_hung {
                ctx.out.apps.push(AppEffect::Answers(self.pod));
            }
        } else if !run.has_hung && run.hangs_at.is_some_and(|at| at <= now) {
            run.has_hung = true;
            if position == self.app && run.has_answered {
                ctx.out.apps.push(AppEffect::Hangs(self.pod));
            }
        } else if let Some((_, code)) = run.ends_at.filter(|(at, _)| *at <= now) {
            let exit = Exit { code, reason: None, stop: Stop::Crashed };
            return self.container_ended(position, exit, ctx);
        } else if let Some(kind) = KINDS
            .into_iter()
            .find(|kind| run.next_of(*kind, container, moment).is_some_and(|at| at <= now))
        {
            let changed = self.probe(&mut run, kind, container, moment, ctx);
            if changed && judge(&mut run, kind, container, ctx) {
                self.units[position].state = State::Running(run);
                return self.kill_for_probe(position, kind, container, ctx);
            }
        }
        self.units[position].state = State::Running(run);
    }

    /// A probe is sent or answered; true if its verdict changed.
    fn probe(
        &self,
        run: &mut Run,
        kind: ProbeKind,
        container: &Container,
        moment: Moment,
        ctx: &mut Context<'_>,
    ) -> bool {
        let result = run.result(kind, moment.now, moment.trouble);
        let Some(probe) = probe_of(container, kind) else { return false };
        let Some(prober) = run.prober_mut(kind) else { return false };
        if let Some(changed) = prober.answered(moment.now, probe) {
            return changed;
        }
        if moment.is_live && result {
            prober.sent(probe, moment.now + probe.timeout, false);
            ctx.out.apps.push(AppEffect::Probed(self.pod, kind));
            return false;
        }
        prober.probed(probe, result)
    }

    /// An answer to a probe will come after `delay`; absent = never.
    pub(super) fn probe_answered(
        &mut self,
        kind: ProbeKind,
        delay: Option<SimDuration>,
        ctx: &mut Context<'_>,
    ) {
        let Some(container) = containers(ctx.spec).nth(self.app) else { return };
        let Some(probe) = probe_of(container, kind) else { return };
        let State::Running(run) = &mut self.units[self.app].state else { return };
        if let Some(prober) = run.prober_mut(kind)
            && let Some(delay) = delay.filter(|delay| *delay <= probe.timeout)
        {
            prober.answers_at(ctx.now() + delay, true);
            self.settle(ctx);
        }
    }

    /// A container ended.
    pub(super) fn container_ended(&mut self, position: usize, exit: Exit, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let (State::Running(Run { started, .. }) | State::Stopping(Stopping { started, .. })) =
            self.units[position].state
        else {
            return;
        };
        ctx.out.steps.push((self.pod, PodStep::Exited(position)));
        if position == self.app {
            ctx.out.apps.push(AppEffect::Stopped(self.pod, exit.stop));
        }
        let is_ending = self.stage != Stage::Active;
        let end = termination(started, now, exit.code, exit.reason);
        let unit = &mut self.units[position];
        unit.last = Some(end);
        let is_resized = std::mem::take(&mut unit.is_resized);
        if !is_ending && is_resized {
            // No back-off: it did not end by itself.
            let runs_at = now + self.profiles[position].start;
            unit.state = State::Restarting { runs_at, waits: false };
            return self.resize_if_done(ctx);
        }
        if is_ending || !restarts(position, exit.code, ctx.spec) {
            unit.state = State::Ended(end);
            return;
        }
        let restart_at = unit.backoff.after_exit(now);
        let waits = restart_at > now;
        if waits {
            let message = "Back-off restarting failed container (CrashLoopBackOff)";
            ctx.warn("BackOff", message);
        }
        let runs_at = restart_at + self.profiles[position].start;
        unit.state = State::Restarting { runs_at, waits };
    }
}

/// All containers, init containers first.
pub(super) fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> + Clone {
    spec.init_containers.iter().chain(&spec.containers)
}

/// An event about a pod.
pub(super) fn event(
    pod: &Pod,
    is_warning: bool,
    reason: &'static str,
    message: impl Into<String>,
) -> Action {
    let (object, message) = (pod.id.clone(), message.into());
    Action::Event(Box::new(Event { kind: Kind::Pod, object, is_warning, reason, message }))
}
