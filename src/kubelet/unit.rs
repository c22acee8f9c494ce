//! One container of a pod on its node: its state, and when the state ends.

use super::backoff::BackOff;
use super::context::Context;
use super::probes::{ProbeKind, Prober};
use super::profile::{AppProfile, Start};
use cluster::container_status::{
    ContainerState, ContainerStatus, Termination, TerminationReason, WaitingReason,
};
use cluster::pod_template::{Container, Probe};
use engine::{SimDuration, SimTime};

/// The kubelet's state of one container.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) state: State,
    pub(super) backoff: BackOff,
    pub(super) restarts: u32,
    pub(super) last: Option<Termination>,
    /// Time of its last exit.
    pub(super) exited_at: Option<SimTime>,
    /// After a failed pull: the back-off, and its start.
    pub(super) pull_backoff: Option<(SimDuration, SimTime)>,
    /// Failed pulls in a row.
    pub(super) pull_failures: u32,
    /// It is restarting to apply resized resources.
    pub(super) is_resized: bool,
    /// End of its `postStart` hook, during which the kubelet does nothing else for the pod.
    pub(super) hook_until: Option<SimTime>,
}

/// The state of a container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    /// Not started; other containers come first.
    Idle,
    /// A referenced object does not exist; retried at `retry_at`.
    ConfigError { retry_at: SimTime },
    /// A volume of the pod cannot be set up; retried at `retry_at` after a back-off of `wait`.
    Unmounted { retry_at: SimTime, wait: SimDuration },
    /// Its image is being pulled.
    Pulling { done_at: SimTime },
    /// The image pull requested `at` this time exceeds the kubelet's pull rate limit.
    PullThrottled { at: SimTime },
    /// Its image cannot be pulled; retried at `retry_at`.
    PullBackOff { retry_at: SimTime },
    /// Its pull policy is Never and the image is not present.
    NeverPulled,
    /// Being created or recreated; `restart` is set for a restart, true if it is shown as a back-off. `done_at`
    /// is absent while the step is in progress.
    Making { step: Making, done_at: Option<SimTime>, restart: Option<bool> },
    /// It runs.
    Running(Run),
    /// Running, with its termination requested or pending on its `preStop` hook.
    Stopping(Stopping),
    /// Exited, but the kubelet has not noticed yet.
    Exited { end: Termination, at: SimTime, code: i32, noticed_at: SimTime },
    /// Exited; at `sync_at` the kubelet checks whether it may be recreated. `waits` is true for a back-off.
    Restarting { sync_at: SimTime, waits: bool },
    /// It ended for good.
    Ended(Termination),
}

/// A step of creating a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Making {
    /// The runtime creates the container.
    Create,
    /// The runtime starts the container.
    Start,
}

/// A running container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) started: SimTime,
    /// It answers from this time on; absent = never.
    pub(super) answers_at: Option<SimTime>,
    pub(super) has_answered: bool,
    /// It hangs from this time on, until it is restarted.
    pub(super) hangs_at: Option<SimTime>,
    pub(super) has_hung: bool,
    /// Time and code of its own exit.
    pub(super) ends_at: Option<(SimTime, i32)>,
    /// Origin of its probes' ticks; each probe's worker ticks from the pod's sandbox on.
    pub(super) ticks_from: SimTime,
    /// Next time at which a sync triggers its readiness probe, and the number of triggers so far.
    pub(super) trigger_at: Option<SimTime>,
    pub(super) triggers: u32,
    pub(super) startup: Option<Prober>,
    pub(super) readiness: Option<Prober>,
    pub(super) liveness: Option<Prober>,
    /// The startup probe has succeeded, or there is none.
    pub(super) is_started: bool,
    pub(super) is_ready: bool,
}

/// A container that is being stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stopping {
    pub(super) started: SimTime,
    pub(super) is_ready: bool,
    /// Time of SIGTERM; absent once sent.
    pub(super) signal_at: Option<SimTime>,
    /// It still accepts requests.
    pub(super) listens: bool,
    /// Time at which it exits or is killed.
    pub(super) ends_at: SimTime,
    /// Exit code at that time.
    pub(super) exit_code: i32,
    /// Earliest exit while draining.
    pub(super) drained_from: SimTime,
    /// Time of SIGKILL; put off to the minimum grace after SIGTERM if that is later.
    pub(super) kill_at: SimTime,
}

/// Faults of the application that affect its probe results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AppFaults {
    /// Readiness probes fail until this time.
    pub(super) unready_until: SimTime,
    /// Probes and requests get no answer until this time.
    pub(super) hangs_until: SimTime,
}

/// Inputs that a container's state depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepInputs {
    pub(super) now: SimTime,
    pub(super) trouble: AppFaults,
    /// The answers to its probes are not known in advance.
    pub(super) is_live: bool,
}

/// The smallest time step.
const INSTANT: SimDuration = SimDuration::from_nanos(1);

impl AppFaults {
    /// The next time after `now` at which a fault ends.
    pub(super) fn next_end(&self, now: SimTime) -> Option<SimTime> {
        [self.unready_until, self.hangs_until].into_iter().filter(|end| *end > now).min()
    }
}

impl Unit {
    pub(super) fn new(backoff: BackOff) -> Self {
        Self {
            state: State::Idle,
            backoff,
            restarts: 0,
            last: None,
            exited_at: None,
            pull_backoff: None,
            pull_failures: 0,
            is_resized: false,
            hook_until: None,
        }
    }

    /// Whether its process exists.
    pub(super) const fn is_alive(&self) -> bool {
        matches!(self.state, State::Running(_) | State::Stopping(_))
    }

    /// The time at which its process started, if it exists.
    pub(super) const fn started(&self) -> Option<SimTime> {
        match self.state {
            State::Running(Run { started, .. }) | State::Stopping(Stopping { started, .. }) => {
                Some(started)
            }
            _ => None,
        }
    }

    /// Whether the kubelet considers it running.
    pub(super) const fn seems_alive(&self) -> bool {
        self.is_alive() || matches!(self.state, State::Exited { .. })
    }

    /// Records an exit that the kubelet has noticed.
    pub(super) const fn ended(&mut self, at: SimTime, end: Termination) {
        self.last = Some(end);
        self.exited_at = Some(at);
    }

    /// Whether it ended for good.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Whether it ended for good with exit code 0.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, State::Ended(end) if end.exit_code == 0)
    }

    /// Whether it is running and its startup probe has succeeded.
    pub(super) const fn is_started(&self) -> bool {
        match self.state {
            State::Running(run) => run.is_started,
            State::Stopping(_) => true,
            _ => false,
        }
    }

    /// Whether it is ready for requests.
    pub(super) const fn is_ready(&self) -> bool {
        match self.state {
            State::Running(run) => run.is_ready,
            State::Stopping(stopping) => stopping.is_ready,
            _ => false,
        }
    }

    /// Time of the next event of the container.
    pub(super) fn next(&self, container: &Container, moment: StepInputs) -> Option<SimTime> {
        match &self.state {
            State::Idle | State::NeverPulled | State::Ended(_) => None,
            State::ConfigError { retry_at }
            | State::Unmounted { retry_at, .. }
            | State::PullBackOff { retry_at } => Some(*retry_at),
            State::Pulling { done_at } => Some(*done_at),
            State::PullThrottled { at } => Some(*at),
            State::Making { done_at, .. } => *done_at,
            State::Exited { noticed_at, .. } => Some(*noticed_at),
            State::Restarting { sync_at, .. } => Some(*sync_at),
            State::Stopping(stopping) => {
                Some(stopping.signal_at.map_or(stopping.ends_at, |at| at.min(stopping.ends_at)))
            }
            State::Running(run) => {
                self.hook_until.into_iter().chain(run.next(container, moment)).min()
            }
        }
    }

    /// Container status as in the API. `first` is the waiting reason of a container that has not been created
    /// yet.
    pub(super) fn status(&self, first: WaitingReason) -> ContainerStatus {
        let waiting = ContainerState::Waiting;
        let state = match self.state {
            State::Idle
            | State::Unmounted { .. }
            | State::Pulling { .. }
            | State::PullThrottled { .. }
            | State::Making { restart: None, .. } => waiting(first),
            State::ConfigError { .. } => waiting(WaitingReason::CreateContainerConfigError),
            State::PullBackOff { .. } if self.pull_failures < 2 => {
                waiting(WaitingReason::ErrImagePull)
            }
            State::PullBackOff { .. } => waiting(WaitingReason::ImagePullBackOff),
            State::NeverPulled => waiting(WaitingReason::ErrImageNeverPull),
            State::Restarting { waits: true, .. } | State::Making { restart: Some(true), .. } => {
                waiting(WaitingReason::CrashLoopBackOff)
            }
            State::Restarting { waits: false, .. } | State::Making { restart: Some(false), .. } => {
                self.last.map_or(waiting(first), ContainerState::Terminated)
            }
            State::Running(Run { started, .. }) | State::Stopping(Stopping { started, .. }) => {
                ContainerState::Running { since: started.floor_to_second() }
            }
            // Still reported as running until the kubelet notices the exit.
            State::Exited { end, .. } => ContainerState::Running { since: end.started },
            State::Ended(end) => ContainerState::Terminated(end),
        };
        let last_termination = match state {
            // A termination shown as the state is not repeated as the last state.
            ContainerState::Terminated(_) => None,
            _ => self.last,
        };
        ContainerStatus {
            state,
            last_termination,
            restarts: self.restarts,
            is_ready: self.is_ready(),
            is_started: self.is_started(),
        }
    }
}

impl Run {
    /// A container starting now.
    pub(super) fn new(
        (now, ticks_from): (SimTime, SimTime),
        container: &Container,
        profile: &AppProfile,
        start: Start,
    ) -> Self {
        let from = now + container.post_start_sleep.unwrap_or(SimDuration::ZERO);
        let mut run = Self {
            started: now,
            answers_at: (!profile.never_ready).then(|| now + profile.warm_up),
            has_answered: false,
            hangs_at: profile.hangs_after.map(|after| now + after),
            has_hung: false,
            ends_at: profile.end_of(start).map(|(after, code)| (now + after, code)),
            ticks_from,
            trigger_at: None,
            triggers: 0,
            startup: None,
            readiness: None,
            liveness: None,
            is_started: container.startup_probe.is_none(),
            is_ready: false,
        };
        match &container.startup_probe {
            Some(probe) => {
                let from = run.probed_from(probe, from);
                run.startup = Some(Prober::new(ProbeKind::Startup, probe, ticks_from, from));
            }
            None => run.probe_from(from, container),
        }
        run
    }

    /// Starts the probes that waited for the startup probe.
    pub(super) fn probe_from(&mut self, from: SimTime, container: &Container) {
        let prober = |kind, probe: &Option<Probe>| {
            let probe = probe.as_ref()?;
            Some(Prober::new(kind, probe, self.ticks_from, self.probed_from(probe, from)))
        };
        let readiness = prober(ProbeKind::Readiness, &container.readiness_probe);
        let liveness = prober(ProbeKind::Liveness, &container.liveness_probe);
        (self.readiness, self.liveness) = (readiness, liveness);
        self.is_started = true;
        self.is_ready = readiness.is_none();
    }

    /// The earliest time at which a probe is sent: the initial delay counts from the start as reported in the
    /// status, in whole seconds.
    fn probed_from(&self, probe: &Probe, from: SimTime) -> SimTime {
        from.max(self.started.floor_to_second() + probe.initial_delay)
    }

    /// The result of a probe sent at `now`, if the application has time for it.
    pub(super) fn result(&self, kind: ProbeKind, now: SimTime, trouble: AppFaults) -> bool {
        let has_hung = self.hangs_at.is_some_and(|at| at <= now);
        let answers =
            self.answers_at.is_some_and(|at| at <= now) && now >= trouble.hangs_until && !has_hung;
        answers && (kind != ProbeKind::Readiness || now >= trouble.unready_until)
    }

    pub(super) fn prober_mut(&mut self, kind: ProbeKind) -> Option<&mut Prober> {
        match kind {
            ProbeKind::Startup => self.startup.as_mut(),
            ProbeKind::Readiness => self.readiness.as_mut(),
            ProbeKind::Liveness => self.liveness.as_mut(),
        }
    }

    pub(super) const fn prober(&self, kind: ProbeKind) -> Option<&Prober> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
        }
    }

    /// Counts the probes before now, whose results all equal that of a probe just before now.
    pub(super) fn count(&mut self, container: &Container, moment: StepInputs) {
        for kind in KINDS {
            let result = self.result(kind, moment.now - INSTANT, moment.trouble);
            if let Some(probe) = probe_of(container, kind)
                && let Some(prober) = self.prober_mut(kind)
            {
                prober.count_until(moment.now, probe, result);
            }
        }
    }

    fn next(&self, container: &Container, moment: StepInputs) -> Option<SimTime> {
        let answers_at = self.answers_at.filter(|_| !self.has_answered);
        let hangs_at = self.hangs_at.filter(|_| !self.has_hung);
        let ends_at = self.ends_at.map(|(at, _)| at);
        let probes = KINDS.into_iter().filter_map(|kind| self.next_of(kind, container, moment));
        [answers_at, hangs_at, ends_at, self.trigger_at].into_iter().flatten().chain(probes).min()
    }

    /// The time at which a probe's verdict changes or, if its answers are not known in advance, at which it is
    /// next sent or answered.
    pub(super) fn next_of(
        &self,
        kind: ProbeKind,
        container: &Container,
        moment: StepInputs,
    ) -> Option<SimTime> {
        let prober = self.prober(kind)?;
        if moment.is_live {
            return Some(prober.next_event());
        }
        let result = self.result(kind, moment.now, moment.trouble);
        prober.next_change(probe_of(container, kind)?, result)
    }
}

/// All probe kinds, in the order in which they are processed at one instant.
pub(super) const KINDS: [ProbeKind; 3] =
    [ProbeKind::Startup, ProbeKind::Readiness, ProbeKind::Liveness];

/// The container's probe of a kind, if it has one.
pub(super) const fn probe_of(container: &Container, kind: ProbeKind) -> Option<&Probe> {
    match kind {
        ProbeKind::Startup => container.startup_probe.as_ref(),
        ProbeKind::Readiness => container.readiness_probe.as_ref(),
        ProbeKind::Liveness => container.liveness_probe.as_ref(),
    }
}

/// The termination state of a container.
pub(super) fn termination(
    started: SimTime,
    now: SimTime,
    exit_code: i32,
    reason: Option<TerminationReason>,
) -> Termination {
    let by_code =
        if exit_code == 0 { TerminationReason::Completed } else { TerminationReason::Error };
    Termination {
        exit_code,
        reason: reason.unwrap_or(by_code),
        started: started.floor_to_second(),
        finished: now.floor_to_second(),
    }
}

/// Handles a changed verdict of a probe; true if the container must be killed.
pub(super) fn judge(
    run: &mut Run,
    kind: ProbeKind,
    container: &Container,
    ctx: &mut Context<'_>,
) -> bool {
    let succeeded = run.prober(kind).and_then(Prober::verdict) == Some(true);
    match kind {
        ProbeKind::Startup if succeeded => {
            run.startup = None;
            run.probe_from(ctx.now(), container);
        }
        ProbeKind::Readiness => {
            run.is_ready = succeeded;
            if succeeded {
                run.trigger_at = None;
            } else {
                ctx.warn("Unhealthy", "Readiness probe failed");
            }
        }
        ProbeKind::Liveness if succeeded => {}
        ProbeKind::Startup | ProbeKind::Liveness => {
            let name = if kind == ProbeKind::Startup { "startup" } else { "liveness" };
            let message = format!("Container failed {name} probe, will be restarted");
            ctx.warn("Unhealthy", message);
            return true;
        }
    }
    false
}
