//! One container of a pod on its node: what it is doing, and when that ends.

use super::backoff::BackOff;
use super::context::Context;
use super::probes::{ProbeKind, Prober};
use super::profile::{AppProfile, Start};
use cluster::container_status::{
    ContainerState, ContainerStatus, Termination, TerminationReason, WaitingReason,
};
use cluster::pod_template::{Container, Probe};
use engine::{SimDuration, SimTime};

/// What the kubelet knows of one container.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) state: State,
    pub(super) backoff: BackOff,
    pub(super) restarts: u32,
    pub(super) last: Option<Termination>,
    /// When it last ended.
    pub(super) exited_at: Option<SimTime>,
    /// With a pull that failed: how long no other is tried, and since when.
    pub(super) pull_backoff: Option<(SimDuration, SimTime)>,
    /// Pulls that failed one after the other.
    pub(super) pull_failures: u32,
    /// It is being restarted to get other resources.
    pub(super) is_resized: bool,
    /// Its `postStart` hook runs until then: the kubelet does nothing else for the pod.
    pub(super) hook_until: Option<SimTime>,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    /// Its turn has not come.
    Idle,
    /// Something that it needs does not exist; looked for again at `retry_at`.
    ConfigError { retry_at: SimTime },
    /// A volume of the pod cannot be filled; tried again at `retry_at`, after a wait of `wait`.
    Unmounted { retry_at: SimTime, wait: SimDuration },
    /// Its image is being pulled.
    Pulling { done_at: SimTime },
    /// The kubelet asks for its image `at` this time, and has asked for too many then.
    PullThrottled { at: SimTime },
    /// Its image cannot be pulled; tried again at `retry_at`.
    PullBackOff { retry_at: SimTime },
    /// It must not be pulled, and is not there.
    NeverPulled,
    /// It is being made, or made again; `restart` says whether that is shown as a back-off. Absent = the
    /// step goes on.
    Making { step: Making, done_at: Option<SimTime>, restart: Option<bool> },
    /// It runs.
    Running(Run),
    /// It runs, and was asked to stop, or will be after its `preStop` hook.
    Stopping(Stopping),
    /// It ended, which the kubelet has not noticed.
    Exited { end: Termination, at: SimTime, code: i32, noticed_at: SimTime },
    /// It ended, and the kubelet sees at `sync_at` whether it may be made again; `waits` if that is a
    /// back-off.
    Restarting { sync_at: SimTime, waits: bool },
    /// It ended for good.
    Ended(Termination),
}

/// A step of making a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Making {
    /// The runtime creates it.
    Create,
    /// The runtime starts it.
    Start,
}

/// A running container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) started: SimTime,
    /// From here on it answers; absent = never.
    pub(super) answers_at: Option<SimTime>,
    pub(super) has_answered: bool,
    /// From here on it hangs, until it is restarted.
    pub(super) hangs_at: Option<SimTime>,
    pub(super) has_hung: bool,
    /// It exits by itself, with this code.
    pub(super) ends_at: Option<(SimTime, i32)>,
    /// From where on the ticks of its probes count, which a worker each has from the pod's sandbox on.
    pub(super) ticks_from: SimTime,
    /// When a sync has its readiness probed at once, and how often that was so.
    pub(super) trigger_at: Option<SimTime>,
    pub(super) triggers: u32,
    pub(super) startup: Option<Prober>,
    pub(super) readiness: Option<Prober>,
    pub(super) liveness: Option<Prober>,
    /// The startup probe, if there is one, has succeeded.
    pub(super) is_started: bool,
    pub(super) is_ready: bool,
}

/// A container on its way out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stopping {
    pub(super) started: SimTime,
    pub(super) is_ready: bool,
    /// When SIGTERM is sent, if that is still to come.
    pub(super) signal_at: Option<SimTime>,
    /// It still takes requests.
    pub(super) listens: bool,
    /// When it ends by itself or is killed.
    pub(super) ends_at: SimTime,
    /// With this code.
    pub(super) exit_code: i32,
    /// The earliest end once it drains.
    pub(super) drained_from: SimTime,
    /// SIGKILL comes here, or this long after SIGTERM if that is later.
    pub(super) kill_at: SimTime,
}

/// The state of a probe's container that its result depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Until then readiness probes fail.
    pub(super) unready_until: SimTime,
    /// Until then no probe gets an answer, and no request either.
    pub(super) hangs_until: SimTime,
}

/// What a look at a container depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: SimTime,
    pub(super) trouble: Trouble,
    /// The answers to its probes are not known in advance.
    pub(super) is_live: bool,
}

/// The least span of time.
const INSTANT: SimDuration = SimDuration::from_nanos(1);

impl Trouble {
    /// When something of it ends next, after `now`.
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

    /// Since when its process exists.
    pub(super) const fn started(&self) -> Option<SimTime> {
        match self.state {
            State::Running(Run { started, .. }) | State::Stopping(Stopping { started, .. }) => {
                Some(started)
            }
            _ => None,
        }
    }

    /// Whether the kubelet takes it to run.
    pub(super) const fn seems_alive(&self) -> bool {
        self.is_alive() || matches!(self.state, State::Exited { .. })
    }

    /// It ended, and the kubelet knows.
    pub(super) const fn ended(&mut self, at: SimTime, end: Termination) {
        self.last = Some(end);
        self.exited_at = Some(at);
    }

    /// Whether it ended for good.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Whether it ended for good, and well.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, State::Ended(end) if end.exit_code == 0)
    }

    /// Whether it runs and its startup probe has succeeded.
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

    /// When something happens to it next.
    pub(super) fn next(&self, container: &Container, moment: Moment) -> Option<SimTime> {
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

    /// As the API shows it. `first` is the reason why it has not been made yet.
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
            // What the kubelet has not noticed it goes on telling.
            State::Exited { end, .. } => ContainerState::Running { since: end.started },
            State::Ended(end) => ContainerState::Terminated(end),
        };
        let last_termination = match state {
            // What is the state itself is not the last state as well.
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
    /// A container that starts now.
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

    /// The startup probe holds the others back no more.
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

    /// From when on a probe is sent at its ticks: the delay counts from the start, as the status has it, in whole
    /// seconds.
    fn probed_from(&self, probe: &Probe, from: SimTime) -> SimTime {
        from.max(self.started.floor_to_second() + probe.initial_delay)
    }

    /// What a probe that is sent at `now` finds, if the application has time for it.
    pub(super) fn result(&self, kind: ProbeKind, now: SimTime, trouble: Trouble) -> bool {
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

    /// Counts the probes before now; all of them found what one just before now would have.
    pub(super) fn count(&mut self, container: &Container, moment: Moment) {
        for kind in KINDS {
            let result = self.result(kind, moment.now - INSTANT, moment.trouble);
            if let Some(probe) = probe_of(container, kind)
                && let Some(prober) = self.prober_mut(kind)
            {
                prober.count_until(moment.now, probe, result);
            }
        }
    }

    fn next(&self, container: &Container, moment: Moment) -> Option<SimTime> {
        let answers_at = self.answers_at.filter(|_| !self.has_answered);
        let hangs_at = self.hangs_at.filter(|_| !self.has_hung);
        let ends_at = self.ends_at.map(|(at, _)| at);
        let probes = KINDS.into_iter().filter_map(|kind| self.next_of(kind, container, moment));
        [answers_at, hangs_at, ends_at, self.trigger_at].into_iter().flatten().chain(probes).min()
    }

    /// When a probe's verdict changes, or, where its answers are not known in advance, when it is
    /// sent or answered next.
    pub(super) fn next_of(
        &self,
        kind: ProbeKind,
        container: &Container,
        moment: Moment,
    ) -> Option<SimTime> {
        let prober = self.prober(kind)?;
        if moment.is_live {
            return Some(prober.next_event());
        }
        let result = self.result(kind, moment.now, moment.trouble);
        prober.next_change(probe_of(container, kind)?, result)
    }
}

/// All probes, in the order in which those of one instant count.
pub(super) const KINDS: [ProbeKind; 3] =
    [ProbeKind::Startup, ProbeKind::Readiness, ProbeKind::Liveness];

/// The probe of a kind, if the container has it.
pub(super) const fn probe_of(container: &Container, kind: ProbeKind) -> Option<&Probe> {
    match kind {
        ProbeKind::Startup => container.startup_probe.as_ref(),
        ProbeKind::Readiness => container.readiness_probe.as_ref(),
        ProbeKind::Liveness => container.liveness_probe.as_ref(),
    }
}

/// How a container ended.
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

/// A probe's verdict is another; true if it has the container killed.
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
