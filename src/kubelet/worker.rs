//! The state machine of one pod on its node: which container is next, and the state of each. Termination is
//! in `ending`, status in `status`.

use super::admission::{self, Rejection, TOLD_AFTER};
use super::backoff::BackOff;
use super::context::Context;
use super::ending::Ending;
use super::making::Sandbox;
use super::profile::{AppProfile, PodProfile, Start};
use super::settings::KubeletSettings;
use super::timing::KubeletTiming;
use super::unit::{AppFaults, KINDS, Run, State, StepInputs, Unit, judge, probe_of};
use super::{AppEffect, PodStep, Stop};
use crate::probes::ProbeKind;
use cluster::Action;
use cluster::container_status::TerminationReason;
use cluster::node::NodeId;
use cluster::pod::PodId;
use cluster::pod_template::{Container, PodSpec};
use engine::{SimDuration, SimTime};

/// Interval at which the kubelet retries a pod that it could not start.
pub(super) const SYNC_RETRY: SimDuration = SimDuration::from_secs(10);
/// Exit code of a process ended by SIGKILL.
pub(super) const KILLED: i32 = 137;
/// Exit code of a process ended by SIGTERM.
pub(super) const TERMINATED: i32 = 143;

/// The kubelet's state of one pod.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) pod: PodId,
    pub(super) node: NodeId,
    /// The profile of each container, in the order of `units`.
    pub(super) profiles: Vec<AppProfile>,
    /// Incremented with each new timer; timers of an older version are void.
    version: u32,
    pub(super) stage: Stage,
    /// Init containers in order, then the others.
    pub(super) units: Vec<Unit>,
    /// Position of the application's container.
    pub(super) app: usize,
    pub(super) sandbox: Sandbox,
    /// A container has been created in the sandbox and charged for it.
    pub(super) has_started: bool,
    /// When its kubelet accepted it.
    pub(super) admitted_at: SimTime,
    /// The time at which the workers of its probes began to tick.
    pub(super) probed_from: SimTime,
    /// When the kubelet last synced it.
    pub(super) last_sync: SimTime,
    /// A status change is held back.
    pub(super) holds_status: bool,
    /// When a changed status is sent that waits for the kubelet's API client.
    pub(super) status_sent_at: Option<SimTime>,
    /// The pod's sandbox has been torn down after its end.
    pub(super) is_taken_down: bool,
    /// Number of random numbers drawn.
    pub(super) drawn: u64,
    pub(super) trouble: AppFaults,
    /// `activeDeadlineSeconds`.
    deadline: Option<SimTime>,
    /// Time at which the conditions of its `readinessGates` become True; absent = not yet, or never.
    pub(super) gates_open_at: Option<SimTime>,
    /// `status.reason` of a pod failed by the kubelet.
    pub(super) failed_for: Option<&'static str>,
    /// The reason for rejecting the pod, and when the rejection is reported.
    rejection: Option<Box<(SimTime, Rejection)>>,
}

/// The stage of a pod's life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// Bound but not admitted yet: the node is down, or its kubelet will reject the pod.
    Bound,
    /// Starting or running.
    Active,
    /// Being terminated.
    Ending(Ending),
    /// Ended; the object stays.
    Ended,
    /// Removal of its object has been requested.
    Gone,
}

/// The exit of a container.
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
        (settings, timing): (&KubeletSettings, &KubeletTiming),
    ) -> Self {
        let mut profiles = profile.of_containers(spec);
        for profile in &mut profiles {
            profile.start = profile.start.or(timing.start);
        }
        let backoff = BackOff::new(settings.max_container_restart_period);
        Self {
            pod,
            node,
            version: super::WORK,
            stage: Stage::Bound,
            units: profiles.iter().map(|_| Unit::new(backoff)).collect(),
            profiles,
            app: profile.position(spec),
            sandbox: Sandbox::Absent,
            has_started: false,
            admitted_at: SimTime::ZERO,
            probed_from: SimTime::ZERO,
            last_sync: SimTime::ZERO,
            holds_status: false,
            status_sent_at: None,
            is_taken_down: false,
            drawn: 0,
            trouble: AppFaults::default(),
            deadline: None,
            gates_open_at: None,
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

    /// Admits the pod: `startTime`, then configuration, images, containers. A pod with a preset `nodeName`
    /// has to pass the admission check, as the scheduler has not checked it.
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
        self.synced(ctx.now());
        self.admitted_at = ctx.now();
        self.deadline = ctx.spec.active_deadline.map(|after| ctx.now() + after);
        self.stage = Stage::Active;
        self.settle(ctx);
    }

    /// Reports the pod as rejected; it stays as Failed (`rejectPod`).
    fn reject(&mut self, why: Rejection, ctx: &mut Context<'_>) {
        let Rejection { reason, message } = why;
        ctx.warn(reason, message);
        ctx.out.actions.push(Action::StartPod(self.pod));
        self.failed_for = Some(reason);
        self.stage = Stage::Ended;
        self.report(ctx);
    }

    /// Processes everything due, reports the status, and sets the next timer.
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
            if self.sandbox_next().is_some_and(|at| at <= ctx.now()) {
                self.sandbox_due(ctx);
                continue;
            }
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
        self.watch_gates(ctx);
        self.report(ctx);
        self.arm(ctx);
    }

    /// Sets the timer for the next event; earlier timers are void.
    fn arm(&mut self, ctx: &mut Context<'_>) {
        self.version += 1;
        if matches!(self.stage, Stage::Bound | Stage::Ended | Stage::Gone) {
            let last = self.status_sent_at.filter(|_| self.stage == Stage::Ended);
            ctx.out.timers.extend(last.map(|at| (at, self.pod, self.version)));
            return;
        }
        let units = containers(ctx.spec).enumerate();
        let next = units.filter_map(|(position, one)| self.next_of(position, one, ctx.now()));
        let of_pod = match self.stage {
            Stage::Ending(ending) => ending.unstarted_until.or(ending.gone_at),
            _ => self.deadline,
        };
        let of_pod = of_pod.into_iter().chain(self.sandbox_next());
        let trouble = self.trouble.next_end(ctx.now());
        let gates = self.gates_open_at.filter(|at| *at > ctx.now());
        let status = self.status_sent_at;
        if let Some(at) = next.chain(of_pod).chain(trouble).chain(gates).chain(status).min() {
            ctx.out.timers.push((at, self.pod, self.version));
        }
    }

    fn next_of(&self, position: usize, container: &Container, now: SimTime) -> Option<SimTime> {
        self.units[position].next(container, self.moment(now, position))
    }

    fn moment(&self, now: SimTime, position: usize) -> StepInputs {
        let is_app = position == self.app;
        let trouble = if is_app { self.trouble } else { AppFaults::default() };
        StepInputs { now, trouble, is_live: is_app && self.profiles[position].probes_need_worker }
    }

    /// Starts the container whose turn it is; false if there is none or the pod is done.
    fn begin_next(&mut self, ctx: &mut Context<'_>) -> bool {
        match self.stage {
            Stage::Active if self.runs_hook() => return false,
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
        // In a recreated sandbox, containers that had ended for good do not run again, but the init
        // containers still run before the others.
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
                // Containers start one after the other.
                State::Pulling { .. } | State::Making { restart: None, .. } => return false,
                _ => {}
            }
        }
        self.end_if_done(ctx)
    }

    fn begin(&mut self, position: usize, container: &Container, ctx: &mut Context<'_>) -> bool {
        let is_idle = self.units[position].state == State::Idle;
        if is_idle && self.sandbox != Sandbox::Made {
            return self.begin_sandbox(ctx);
        }
        if is_idle {
            self.prepare(position, container, ctx);
        }
        is_idle
    }

    /// Handles a due event of a container.
    fn unit_due(&mut self, position: usize, container: &Container, ctx: &mut Context<'_>) {
        match self.units[position].state {
            State::ConfigError { .. } | State::Unmounted { .. } | State::PullBackOff { .. } => {
                self.prepare(position, container, ctx);
            }
            State::PullThrottled { .. } => self.pull_throttled(position, container, ctx),
            State::Pulling { .. } => {
                self.units[position].pull_failures = 0;
                self.make(position, None, ctx);
            }
            State::Making { step, restart, .. } => {
                self.making_due(position, container, (step, restart), ctx);
            }
            State::Exited { end, at, .. } => self.exit_noticed(position, (end, at), ctx),
            State::Restarting { waits, .. } => {
                let ended = self.units[position].exited_at;
                self.sync_restart(position, ended, waits, ctx);
            }
            State::Running(run) => self.advance(position, container, run, ctx),
            State::Stopping(stopping) => self.stop_due(position, stopping, ctx),
            State::Idle | State::NeverPulled | State::Ended(_) => {}
        }
    }

    /// Identifies the latest start of a container.
    fn start_of(&self, position: usize, ctx: &Context<'_>) -> Start {
        Start { uid: ctx.pod.uid, container: position, restarts: self.units[position].restarts }
    }

    /// The code with which the application exits when its work is done.
    pub(super) fn app_exit_code(&self, ctx: &Context<'_>) -> i32 {
        self.profiles[self.app].exit_code_of(self.start_of(self.app, ctx))
    }

    /// The container starts.
    pub(super) fn run(&mut self, position: usize, container: &Container, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let start = self.start_of(position, ctx);
        let ticks = (now, self.probed_from);
        let mut run = Run::new(ticks, container, &self.profiles[position], start);
        ctx.out.steps.push((self.pod, PodStep::Started(position)));
        let hook = container.post_start_sleep.filter(|hook| *hook > SimDuration::ZERO);
        self.units[position].hook_until = hook.map(|hook| now + hook);
        let hook_ends = now + hook.unwrap_or(SimDuration::ZERO);
        self.synced_after_start(hook_ends + ctx.timing.readiness_trigger, ctx);
        if let (Some(probe), Some(prober)) = (&container.readiness_probe, &mut run.readiness) {
            let (at, is_lost) = self.first_trigger(hook_ends, ctx);
            run.trigger_at = (!is_lost).then_some(at);
            // A trigger at a relist counts as the second.
            run.triggers = u32::from(at > hook_ends + ctx.timing.readiness_trigger);
            prober.trigger(at, probe, !is_lost);
        }
        self.units[position].state = State::Running(run);
        if position == self.app {
            // A fresh process does not hang; a missing dependency may persist.
            self.trouble.hangs_until = SimTime::ZERO;
            ctx.out.apps.push(AppEffect::Started(self.pod));
        }
    }

    /// Processes the due events of a running container.
    fn advance(
        &mut self,
        position: usize,
        container: &Container,
        mut run: Run,
        ctx: &mut Context<'_>,
    ) {
        let now = ctx.now();
        let moment = self.moment(now, position);
        if self.units[position].hook_until.take_if(|until| *until <= now).is_some() {
            self.hold_status(ctx);
        } else if !run.has_answered && run.answers_at.is_some_and(|at| at <= now) {
            run.has_answered = true;
            if position == self.app && now >= self.trouble.hangs_until && !run.has_hung {
                ctx.out.apps.push(AppEffect::Answers(self.pod));
            }
        } else if !run.has_hung && run.hangs_at.is_some_and(|at| at <= now) {
            run.has_hung = true;
            if position == self.app && run.has_answered {
                ctx.out.apps.push(AppEffect::Hangs(self.pod));
            }
        } else if run.trigger_at.is_some_and(|at| at <= now) {
            self.triggered(&mut run, container, ctx);
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
            if changed {
                self.verdict_changed(&mut run, kind, ctx);
            }
        }
        self.units[position].state = State::Running(run);
    }

    /// A sync of a pod that is not ready triggers its readiness probe.
    fn triggered(&mut self, run: &mut Run, container: &Container, ctx: &mut Context<'_>) {
        let now = ctx.now();
        run.triggers += 1;
        // The first trigger sets the initial value, which syncs the pod again.
        self.synced(if run.triggers == 1 { self.next_sync(ctx) } else { now });
        run.trigger_at = self.next_trigger(run.triggers, ctx);
        if let (Some(probe), Some(prober)) = (&container.readiness_probe, &mut run.readiness) {
            prober.trigger(now, probe, true);
        }
    }

    /// A changed probe verdict syncs the pod.
    fn verdict_changed(&mut self, run: &mut Run, kind: ProbeKind, ctx: &mut Context<'_>) {
        if kind == ProbeKind::Readiness && run.triggers == 0 {
            // The first readiness result coincides with the sync for its initial value.
            self.synced(self.next_sync(ctx));
        }
        let at = self.next_sync(ctx);
        match kind {
            // The other probes were held back until now.
            ProbeKind::Startup if run.readiness.is_some() => run.trigger_at = Some(ctx.now()),
            ProbeKind::Readiness if !run.is_ready && at > ctx.now() => run.trigger_at = Some(at),
            _ => {}
        }
        self.synced(at);
        self.hold_status(ctx);
    }

    /// Sends a probe or handles its answer; true if its verdict changed.
    fn probe(
        &self,
        run: &mut Run,
        kind: ProbeKind,
        container: &Container,
        moment: StepInputs,
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

    /// A probe will be answered after `delay`; absent = never.
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
}

/// All containers, init containers first.
pub(super) fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> + Clone {
    spec.init_containers.iter().chain(&spec.containers)
}
