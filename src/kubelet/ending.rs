//! Pod termination: `preStop`, SIGTERM, SIGKILL, sidecars last, then the teardown of the sandbox
//! (`killPodWithSyncResult`, `killContainer`, `terminationOrdering` in `pkg/kubelet/kuberuntime`, 1.36).

use super::context::Context;
use super::making::Sandbox;
use super::node_agent::Reach;
use super::probes::ProbeKind;
use super::profile::OnSigterm;
use super::status::END_REQUESTS;
use super::unit::{AppFaults, Run, State, Stopping, Unit};
use super::work::Task;
use super::worker::{Exit, KILLED, Stage, TERMINATED, Worker, containers};
use super::{AppEffect, PodStep, Stop};
use cluster::Action;
use cluster::container_status::TerminationReason;
use cluster::pod_template::{Container, PodSpec, RestartPolicy};
use cluster::restart::policy_of;
use engine::{SimDuration, SimTime};

/// Longest time from deletion to removal for a pod none of whose containers has started.
const UNSTARTED_STOP_MAX: SimDuration = SimDuration::from_secs(1);
/// Shortest time from SIGTERM to SIGKILL (`minimumGracePeriodInSeconds`).
const GRACE_MIN: SimDuration = SimDuration::from_secs(2);
/// `status.reason` of a pod terminated by its node's shutdown.
pub(super) const NODE_SHUTDOWN: &str = "Terminated";
/// `status.reason` of a pod evicted by its kubelet.
pub(super) const EVICTED: &str = "Evicted";

/// The state of a pod that is being terminated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ending {
    /// The time at which remaining containers get SIGKILL.
    pub(super) kill_at: SimTime,
    /// True if the pod object is removed; otherwise it stays as Failed or Succeeded.
    pub(super) removes: bool,
    /// If no container ever ran: the time at which termination completes.
    pub(super) unstarted_until: Option<SimTime>,
    /// The sandbox is being torn down.
    pub(super) is_closing: bool,
    /// The time at which the removal of the pod object is requested.
    pub(super) gone_at: Option<SimTime>,
    /// The kubelet's API client has the tokens for that.
    pub(super) has_tokens: bool,
}

impl Worker {
    /// The pod is being deleted, or its grace period was shortened.
    pub(super) fn terminate(&mut self, ctx: &mut Context<'_>) {
        let Some(deletion) = ctx.pod.deletion else { return };
        let grace = deletion.deadline - deletion.requested_at.floor_to_second();
        match &mut self.stage {
            Stage::Bound | Stage::Active => self.begin_ending(grace, true, ctx),
            Stage::Ending(ending) => {
                ending.removes = true;
                let sooner = (ctx.now() + grace).min(ending.kill_at);
                self.kill_by(sooner);
            }
            Stage::Ended => {
                ctx.out.actions.push(Action::RemovePod(self.pod));
                self.stage = Stage::Gone;
            }
            Stage::Gone => {}
        }
        self.settle(ctx);
    }

    /// Terminates the containers with a grace period of `grace`; the pod object stays as Failed.
    pub(super) fn fail(
        &mut self,
        (reason, message): (&'static str, &str),
        grace: SimDuration,
        ctx: &mut Context<'_>,
    ) {
        if matches!(self.stage, Stage::Bound | Stage::Active) {
            ctx.warn(reason, message);
            self.failed_for = Some(reason);
            self.begin_ending(grace, false, ctx);
            self.settle(ctx);
        }
    }

    /// Changes the application's faults (failing readiness, hanging).
    pub(super) fn set_trouble(&mut self, ctx: &mut Context<'_>, set: impl FnOnce(&mut AppFaults)) {
        // Probes up to now count under the old state.
        self.settle(ctx);
        set(&mut self.trouble);
        self.settle(ctx);
    }

    /// The kubelet is back, with its containers unchanged.
    pub(super) fn resume(&mut self, before: Reach, ctx: &mut Context<'_>) {
        let pod = ctx.pod;
        if before == Reach::Unreachable && self.is_running() {
            ctx.out.apps.push(AppEffect::Found(self.pod, self.app_answers()));
        }
        match self.stage {
            Stage::Bound if !pod.is_terminating() => self.admit(ctx),
            Stage::Bound | Stage::Active | Stage::Ended if pod.is_terminating() => {
                self.terminate(ctx);
            }
            _ => self.settle(ctx),
        }
    }

    fn begin_ending(&mut self, grace: SimDuration, removes: bool, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let from = self.next_sync(ctx);
        self.synced(from);
        let kill_at = from + grace;
        let nothing_runs = self.units.iter().all(|unit| !unit.is_alive());
        let unstarted = self.profiles[self.app].shut_down.min(UNSTARTED_STOP_MAX);
        let unstarted_until = nothing_runs.then(|| now + unstarted);
        self.stage =
            Stage::Ending(Ending { kill_at, removes, unstarted_until, ..Ending::default() });
        if nothing_runs {
            ctx.cancel_work(self.pod);
            self.holds_status = false;
        }
        for (position, container) in containers(ctx.spec).enumerate() {
            // Running sidecars are stopped last; a sidecar that has not started never will.
            if !container.is_sidecar || !self.units[position].is_alive() {
                self.stop((position, container), (from, kill_at), ctx);
            }
        }
    }

    /// Stops a container from `now` on: SIGTERM after its `preStop` hook, SIGKILL at `kill_at`.
    pub(super) fn stop(
        &mut self,
        (position, container): (usize, &Container),
        (now, kill_at): (SimTime, SimTime),
        ctx: &Context<'_>,
    ) {
        let signal = ctx.timing.stop_container;
        let unit = &mut self.units[position];
        match unit.state {
            State::Running(Run { started, is_ready, has_answered, .. }) => {
                let sleep = container.pre_stop_sleep.filter(|_| kill_at > now);
                let hook_ends = sleep.map_or(now, |sleep| (now + sleep).min(kill_at));
                // Time used by the hook counts in whole seconds, and the minimum grace for SIGTERM still
                // applies.
                let used = SimDuration::from_secs((hook_ends - now).as_secs());
                let left = ((kill_at - now) - used).max(GRACE_MIN);
                let kill_at = if sleep.is_some() { hook_ends + left } else { kill_at };
                let signal_at = (hook_ends + signal).min(kill_at);
                unit.state = State::Stopping(Stopping {
                    started,
                    is_ready,
                    signal_at: Some(signal_at),
                    listens: has_answered,
                    ends_at: kill_at,
                    exit_code: KILLED,
                    drained_from: kill_at,
                    kill_at,
                });
            }
            State::Stopping(_) | State::Ended(_) => {}
            State::Exited { end, at, .. } => {
                unit.ended(at, end);
                unit.state = State::Ended(end);
            }
            // A container that has not been (re)created will not be.
            _ => unit.state = unit.last.map_or(State::Idle, State::Ended),
        }
    }

    /// Brings SIGKILL forward.
    fn kill_by(&mut self, kill_at: SimTime) {
        if let Stage::Ending(ending) = &mut self.stage {
            ending.kill_at = kill_at;
        }
        for unit in &mut self.units {
            if let State::Stopping(stopping) = &mut unit.state {
                stopping.kill_at = stopping.kill_at.min(kill_at);
                stopping.ends_at = stopping.ends_at.min(kill_at);
            }
        }
    }

    /// A failed probe kills a container: it gets the grace period of the probe or of the pod and is then
    /// restarted.
    pub(super) fn kill_for_probe(
        &mut self,
        position: usize,
        kind: ProbeKind,
        container: &Container,
        ctx: &mut Context<'_>,
    ) {
        let of_pod = ctx.spec.termination_grace_period;
        let probe = super::unit::probe_of(container, kind);
        let grace = probe.and_then(|probe| probe.termination_grace_period).unwrap_or(of_pod);
        let from = self.next_sync(ctx);
        self.synced(from);
        self.stop((position, container), (from, from + grace), ctx);
    }

    /// SIGTERM is due, or the container's process has ended.
    pub(super) fn stop_due(
        &mut self,
        position: usize,
        mut stopping: Stopping,
        ctx: &mut Context<'_>,
    ) {
        let now = ctx.now();
        if stopping.signal_at.is_some_and(|at| at <= now) && stopping.kill_at > now {
            stopping.signal_at = None;
            ctx.out.steps.push((self.pod, PodStep::Sigterm(position)));
            let profile = self.profiles[position];
            let exits_at = now + profile.shut_down;
            let is_app = position == self.app;
            let hangs = is_app && now < self.trouble.hangs_until;
            match profile.on_sigterm {
                _ if hangs => {}
                OnSigterm::Drain if is_app => {
                    stopping.listens = false;
                    stopping.drained_from = exits_at;
                    ctx.out.apps.push(AppEffect::Drains(self.pod, exits_at));
                }
                OnSigterm::Drain | OnSigterm::Exit if exits_at <= stopping.kill_at => {
                    stopping.ends_at = exits_at;
                    stopping.exit_code = TERMINATED;
                }
                OnSigterm::Drain | OnSigterm::Exit | OnSigterm::Ignore => {}
            }
            self.units[position].state = State::Stopping(stopping);
            return;
        }
        self.stopped(position, stopping.exit_code, ctx);
    }

    fn stopped(&mut self, position: usize, code: i32, ctx: &mut Context<'_>) {
        let stop = match self.stage {
            Stage::Active if self.units[position].is_resized => Stop::Resized,
            Stage::Active => Stop::KilledByProbe,
            _ => Stop::Terminated,
        };
        self.container_ended(position, Exit { code, reason: None, stop }, ctx);
    }

    /// All requests in flight are finished: the application exits.
    pub(super) fn drained(&mut self, ctx: &mut Context<'_>) {
        if let State::Stopping(stopping) = self.units[self.app].state
            && stopping.drained_from <= ctx.now()
        {
            self.stopped(self.app, 0, ctx);
            self.settle(ctx);
        }
    }

    /// Once the other containers have ended, stops sidecars last to first, then completes the termination.
    /// True if anything progressed.
    pub(super) fn go_on_ending(&mut self, ending: Ending, ctx: &mut Context<'_>) -> bool {
        let spec = ctx.spec;
        let sidecars = spec.init_containers.iter().enumerate().filter(|(_, one)| one.is_sidecar);
        let mut sidecars = sidecars.rev();
        let is_sidecar = |at: usize| spec.init_containers.get(at).is_some_and(|one| one.is_sidecar);
        let others = self.units.iter().enumerate().filter(|(at, _)| !is_sidecar(*at));
        if others.map(|(_, unit)| unit).any(Unit::is_alive) {
            return false;
        }
        let now = ctx.now();
        match sidecars.find(|(position, _)| self.units[*position].is_alive()) {
            Some((position, _)) if matches!(self.units[position].state, State::Stopping(_)) => {
                false
            }
            Some((position, container)) => {
                let kill_at = ending.kill_at.max(now + GRACE_MIN);
                self.stop((position, container), (now, kill_at), ctx);
                true
            }
            None if ending.unstarted_until.is_some_and(|at| at > now) => false,
            None if ending.unstarted_until.is_none()
                && ending.removes
                && self.closes(ending, ctx) =>
            {
                false
            }
            None => {
                self.done(ending, ctx);
                false
            }
        }
    }

    /// Whether the pod's sandbox is still being torn down, or its object waits for the next relist.
    fn closes(&mut self, mut ending: Ending, ctx: &mut Context<'_>) -> bool {
        if !ending.is_closing {
            ending.is_closing = true;
            let cpu = ctx.timing.stop_sandbox_cpu;
            self.is_taken_down = self.begin_work(Task::Stop, cpu, ctx).is_some();
        }
        if self.is_taken_down && ending.gone_at.is_none() {
            ending.gone_at = Some(ctx.relist_after(ctx.now() + ctx.timing.stop_sandbox));
        }
        if !ending.has_tokens && ending.gone_at.is_some_and(|at| at <= ctx.now()) {
            ending.has_tokens = true;
            ending.gone_at = Some(ctx.take_tokens(END_REQUESTS));
        }
        self.stage = Stage::Ending(ending);
        ending.gone_at.is_none_or(|at| at > ctx.now())
    }

    /// No container is running any more.
    fn done(&mut self, ending: Ending, ctx: &mut Context<'_>) {
        if ending.removes {
            self.report_end(ctx);
            ctx.out.actions.push(Action::RemovePod(self.pod));
            self.stage = Stage::Gone;
            return;
        }
        if matches!(self.failed_for, Some(EVICTED | NODE_SHUTDOWN)) {
            ctx.out.actions.push(Action::SetPodDisruption(self.pod, "TerminationByKubelet"));
        }
        self.stage = Stage::Ended;
    }

    /// Once all containers have ended for good, stops the sidecars and ends the pod. True if anything
    /// progressed.
    pub(super) fn end_if_done(&mut self, ctx: &mut Context<'_>) -> bool {
        let inits = ctx.spec.init_containers.len();
        let init_failed = self.has_failed_init(ctx.spec);
        let all_ended = self.units[inits..].iter().all(Unit::has_ended);
        if !(all_ended || init_failed) {
            return false;
        }
        let kill_at = ctx.now() + ctx.spec.termination_grace_period;
        self.stage = Stage::Ending(Ending { kill_at, ..Ending::default() });
        true
    }

    /// A container's process is killed from outside: by a crash, or by the kernel's OOM killer.
    pub(super) fn kill_container(&mut self, position: usize, exit: Exit, ctx: &mut Context<'_>) {
        if self.units.get(position).is_some_and(Unit::is_alive) {
            if exit.reason == Some(TerminationReason::OomKilled) {
                let name = containers(ctx.spec).nth(position);
                let name = name.map_or_else(String::new, |one| one.name.to_string());
                let message = format!("container {name} was OOM-killed");
                ctx.warn("OOMKilling", message);
            }
            self.container_ended(position, exit, ctx);
            self.settle(ctx);
        }
    }

    /// The machine was restarted, so no container of the pod is running. Completes a pending deletion;
    /// otherwise sets the pod up anew, init containers first.
    pub(super) fn node_restarted(&mut self, ctx: &mut Context<'_>) {
        let pod = ctx.pod;
        match self.stage {
            Stage::Bound if !pod.is_terminating() => return self.admit(ctx),
            Stage::Gone => return,
            Stage::Ended if !pod.is_terminating() => return,
            _ => {}
        }
        let exit =
            Exit { code: 255, reason: Some(TerminationReason::Unknown), stop: Stop::NodeLost };
        for position in 0..self.units.len() {
            self.lose(position, exit, ctx.spec, ctx.now());
        }
        ctx.cancel_work(self.pod);
        self.holds_status = false;
        self.sandbox = Sandbox::Absent;
        self.has_started = false;
        if pod.is_terminating() {
            let unstarted_until = Some(ctx.now());
            let kill_at = ctx.now();
            let ending = Ending { kill_at, removes: true, unstarted_until, ..Ending::default() };
            self.stage = Stage::Ending(ending);
        }
        self.settle(ctx);
    }

    /// Marks a container lost in a machine restart; it is created again unless its restart policy forbids
    /// it.
    fn lose(&mut self, position: usize, exit: Exit, spec: &PodSpec, now: SimTime) {
        let is_init = spec.init_containers.get(position).is_some_and(|one| !one.is_sidecar);
        let container = containers(spec).nth(position);
        let may_restart = container.is_some_and(|one| policy_of(one, spec) != RestartPolicy::Never);
        let unit = &mut self.units[position];
        if let State::Running(Run { started, .. }) | State::Stopping(Stopping { started, .. }) =
            unit.state
        {
            let end = super::unit::termination(started, now, exit.code, exit.reason);
            unit.last = Some(end);
            unit.state = if may_restart { State::Idle } else { State::Ended(end) };
            unit.restarts += u32::from(may_restart);
        } else if (is_init && may_restart) || !unit.has_ended() {
            unit.state = State::Idle;
        }
    }
}
