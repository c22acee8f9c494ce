//! Pod startup: the sandbox, containers one by one, restarts, and the times at which the kubelet notices and reports
//! changes (`SyncPod` of `pkg/kubelet` and of its `kuberuntime`, 1.36).

use super::context::Context;
use super::unit::{Making, State};
use super::work::Task;
use super::worker::{Exit, KILLED, SYNC_RETRY, Stage, Worker};
use super::{AppEffect, PodStep, Stop};
use cluster::container_status::Termination;
use cluster::pod_template::Container;
use cluster::restart::{Restart, restart};
use engine::random::{LogNormal, happens, open_unit};
use engine::{SimDuration, SimTime, Streams};
use rand_distr::Distribution;

/// Longest interval between syncs of a pod (`syncFrequency`).
const SYNC_FREQUENCY: SimDuration = SimDuration::from_secs(60);
/// Shortest interval between checks for mounted volumes.
const LOOK_MIN: SimDuration = SimDuration::from_millis(1);
/// Share of pods that are synced again at the first relist after their start without any change; measured.
const SYNCED_TWICE: f64 = 0.25;
/// Share of pods that are still not ready at their second relist and are synced once more at the third; measured.
const SYNCED_AGAIN: f64 = 0.2;

/// Requests for the service account token of a pod.
const TOKEN_REQUESTS: u32 = 1;
/// Longest wait of a sync for the volumes of its pod (`podAttachAndMountTimeout`).
const ATTACH_AND_MOUNT_TIMEOUT: SimDuration = SimDuration::from_secs(123);

/// The state of a pod's sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sandbox {
    /// Not requested yet.
    Absent,
    /// The volumes are not on the node yet; next checked at `look_at`. Given up for a while at `until`.
    Attaching { look_at: SimTime, until: SimTime },
    /// The volumes are being mounted; next checked at `look_at`.
    Mounting { look_at: SimTime, is_mounted: bool },
    /// Being created; absent while the end is still unknown.
    Making { done_at: Option<SimTime> },
    /// Ready.
    Made,
}

impl Context<'_> {
    /// The kubelet's first relist after an instant.
    pub(super) fn relist_after(&self, at: SimTime) -> SimTime {
        let period = self.timing.pleg_relist_period.as_nanos();
        if period <= 0 {
            return at;
        }
        let period_seconds = self.timing.pleg_relist_period.as_secs_f64();
        let phase = SimDuration::from_secs_f64(self.agent.phase * period_seconds);
        let passed = (at - phase).as_nanos().rem_euclid(period);
        at + SimDuration::from_nanos(period - passed)
    }
}

impl Worker {
    /// A random number in (0, 1) that depends only on the pod and on its number of draws so far.
    pub(super) fn draw(&mut self, ctx: &Context<'_>) -> f64 {
        open_unit(&mut self.stream(ctx))
    }

    fn stream(&mut self, ctx: &Context<'_>) -> engine::random::Stream {
        self.drawn += 1;
        Streams::new(ctx.pod.uid).stream("kubelet", self.drawn)
    }

    /// Starts work on the node that takes `cpu` of CPU time; returns the current time if there is nothing to do.
    pub(super) fn begin_work(
        &mut self,
        task: Task,
        cpu: SimDuration,
        ctx: &mut Context<'_>,
    ) -> Option<SimTime> {
        if cpu <= SimDuration::ZERO {
            return Some(ctx.now());
        }
        let cv = ctx.timing.cpu_cv;
        let cpu = if cv > 0.0 {
            let law = LogNormal::from_mean_cv(cpu.as_secs_f64(), cv);
            SimDuration::from_secs_f64(law.sample(&mut self.stream(ctx)))
        } else {
            cpu
        };
        ctx.work_on(self.pod, task, cpu);
        None
    }

    /// Work started earlier has finished.
    pub(super) fn work_done(&mut self, now: SimTime, task: Task) {
        match (task, &mut self.sandbox) {
            (Task::Mount, Sandbox::Mounting { is_mounted, .. }) => *is_mounted = true,
            (Task::Sandbox, Sandbox::Making { done_at }) => *done_at = Some(now),
            (Task::Container(position), _) => {
                if let Some(unit) = self.units.get_mut(position)
                    && let State::Making { done_at, .. } = &mut unit.state
                {
                    *done_at = Some(now);
                }
            }
            (Task::Status, _) => self.holds_status = false,
            (Task::Stop, _) => self.is_taken_down = true,
            _ => {}
        }
    }

    /// The time of the next check of the sandbox.
    pub(super) fn sandbox_next(&self) -> Option<SimTime> {
        match self.sandbox {
            _ if self.stage != Stage::Active => None,
            Sandbox::Attaching { look_at, .. } | Sandbox::Mounting { look_at, .. } => Some(look_at),
            Sandbox::Making { done_at } => done_at,
            Sandbox::Absent | Sandbox::Made => None,
        }
    }

    /// Starts the sandbox if the first container is due and there is none; true if it was started.
    pub(super) fn begin_sandbox(&mut self, ctx: &mut Context<'_>) -> bool {
        if self.sandbox != Sandbox::Absent {
            return false;
        }
        if let Some(due) = self.volumes_due(ctx) {
            let until = ctx.now() + ATTACH_AND_MOUNT_TIMEOUT;
            self.sandbox = Sandbox::Attaching { look_at: due.min(until), until };
            return true;
        }
        self.mount_volumes(ctx)
    }

    /// The volumes of the pod are on its node.
    fn mount_volumes(&mut self, ctx: &mut Context<'_>) -> bool {
        let wait = ctx.timing.pod_attach_and_mount_retry_interval;
        // A profile's `start` covers the whole startup, sandbox included.
        if self.profiles[self.app].start.is_some() || wait <= SimDuration::ZERO {
            self.request_sandbox(ctx);
            return true;
        }
        let is_mounted = self.begin_work(Task::Mount, ctx.timing.mount_cpu, ctx).is_some();
        let late = (ctx.take_tokens(TOKEN_REQUESTS) - ctx.now()).as_nanos();
        let looks = (late - 1).div_euclid(wait.as_nanos()) + 1;
        self.sandbox = Sandbox::Mounting { look_at: ctx.now() + wait * looks.max(1), is_mounted };
        true
    }

    /// Checks the sandbox.
    pub(super) fn sandbox_due(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        if let Sandbox::Attaching { until, .. } = self.sandbox {
            let Some(due) = self.volumes_due(ctx) else {
                self.mount_volumes(ctx);
                return;
            };
            let (look_at, until) = if now < until {
                (due.min(until), until)
            } else {
                self.volumes_missed(ctx);
                let next = self.retry_at(SYNC_RETRY, ctx).max(now + LOOK_MIN);
                (next, next + ATTACH_AND_MOUNT_TIMEOUT)
            };
            self.sandbox = Sandbox::Attaching { look_at, until };
            return;
        }
        match &mut self.sandbox {
            Sandbox::Mounting { is_mounted: true, .. } => self.request_sandbox(ctx),
            Sandbox::Mounting { look_at, .. } => {
                *look_at += ctx.timing.pod_attach_and_mount_retry_interval.max(LOOK_MIN);
            }
            Sandbox::Making { .. } => {
                ctx.out.steps.push((self.pod, PodStep::SandboxReturned));
                self.sandbox = Sandbox::Made;
            }
            Sandbox::Absent | Sandbox::Attaching { .. } | Sandbox::Made => {}
        }
    }

    fn request_sandbox(&mut self, ctx: &mut Context<'_>) {
        ctx.out.steps.push((self.pod, PodStep::SandboxCalled));
        self.probed_from = ctx.now();
        let is_timed = self.profiles[self.app].start.is_none();
        let cpu = if is_timed { ctx.timing.sandbox_cpu } else { SimDuration::ZERO };
        let done_at = self.begin_work(Task::Sandbox, cpu, ctx);
        self.sandbox = Sandbox::Making { done_at };
    }

    /// The image is present: creates the container. `restart` is set for a restart; true if the container is shown as
    /// waiting for its back-off.
    pub(super) fn make(&mut self, position: usize, restart: Option<bool>, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let (step, done_at) = if let Some(start) = self.profiles[position].start {
            // The sandbox's time is charged to the first container; those after it are created at once.
            let pays = !std::mem::replace(&mut self.has_started, true) || restart.is_some();
            ctx.out.steps.push((self.pod, PodStep::StartCalled(position)));
            (Making::Start, Some(now + if pays { start } else { SimDuration::ZERO }))
        } else {
            let cpu = ctx.timing.create_container_cpu;
            (Making::Create, self.begin_work(Task::Container(position), cpu, ctx))
        };
        self.units[position].state = State::Making { step, done_at, restart };
    }

    /// A step of creating a container has finished.
    pub(super) fn making_due(
        &mut self,
        position: usize,
        container: &Container,
        (step, restart): (Making, Option<bool>),
        ctx: &mut Context<'_>,
    ) {
        if step == Making::Create {
            ctx.out.steps.push((self.pod, PodStep::StartCalled(position)));
            let cpu = ctx.timing.start_container_cpu;
            let done_at = self.begin_work(Task::Container(position), cpu, ctx);
            self.units[position].state = State::Making { step: Making::Start, done_at, restart };
            return;
        }
        self.units[position].restarts += u32::from(restart.is_some());
        self.run(position, container, ctx);
        self.hold_status(ctx);
    }

    /// Holds back status reports until the kubelet has synced the pod.
    pub(super) fn hold_status(&mut self, ctx: &mut Context<'_>) {
        if !self.holds_status {
            self.holds_status = self.begin_work(Task::Status, ctx.timing.status_cpu, ctx).is_none();
        }
    }

    /// The earliest time of the pod's next sync: a sync waits for the first relist after the previous one
    /// (`podCache.GetNewerThan`).
    pub(super) fn next_sync(&self, ctx: &Context<'_>) -> SimTime {
        ctx.relist_after(self.last_sync).max(ctx.now())
    }

    /// The kubelet syncs the pod.
    pub(super) fn synced(&mut self, at: SimTime) {
        self.last_sync = self.last_sync.max(at);
    }

    /// The kubelet syncs a pod when its container has started, and some pods once more at the next relist.
    pub(super) fn synced_after_start(&mut self, at: SimTime, ctx: &Context<'_>) {
        self.synced(at);
        let relist = ctx.relist_after(at);
        if relist > at && self.draw(ctx) < SYNCED_TWICE {
            self.synced(relist);
        }
    }

    /// Whether a `postStart` hook is running.
    pub(super) fn runs_hook(&self) -> bool {
        self.units.iter().any(|unit| unit.is_alive() && unit.hook_until.is_some())
    }

    /// A container's process ended.
    pub(super) fn container_ended(&mut self, position: usize, exit: Exit, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let Some(started) = self.units[position].started() else { return };
        ctx.out.steps.push((self.pod, PodStep::Exited(position)));
        if position == self.app {
            ctx.out.apps.push(AppEffect::Stopped(self.pod, exit.stop));
        }
        let end = super::unit::termination(started, now, exit.code, exit.reason);
        let unit = &mut self.units[position];
        let is_resized = std::mem::take(&mut unit.is_resized);
        let before = unit.exited_at;
        if self.stage != Stage::Active {
            unit.ended(now, end);
            unit.state = State::Ended(end);
        } else if is_resized {
            // No back-off: the container did not end on its own.
            unit.ended(now, end);
            self.make(position, Some(false), ctx);
            self.resize_if_done(ctx);
        } else if exit.stop == Stop::KilledByProbe {
            // Killed and restarted in one sync, which knows only of the previous exit.
            unit.ended(now, end);
            self.start_again(position, before, end, ctx);
        } else {
            // An exit before the sync after the start is noticed one relist later.
            let relist = ctx.relist_after(now);
            let at_once = now <= started + ctx.timing.readiness_trigger;
            let noticed_at = if at_once { ctx.relist_after(relist) } else { relist };
            unit.state = State::Exited { end, at: now, code: exit.code, noticed_at };
        }
    }

    /// The kubelet notices that a container has ended.
    pub(super) fn exit_noticed(
        &mut self,
        position: usize,
        (end, at): (Termination, SimTime),
        ctx: &mut Context<'_>,
    ) {
        self.synced(ctx.now());
        self.hold_status(ctx);
        self.units[position].ended(at, end);
        self.start_again(position, Some(at), end, ctx);
    }

    /// Restarts a container that, as far as the kubelet knows, last ended at `ended`, if its restart policy and
    /// back-off permit it.
    fn start_again(
        &mut self,
        position: usize,
        ended: Option<SimTime>,
        end: Termination,
        ctx: &mut Context<'_>,
    ) {
        match restart(position, end.exit_code, ctx.spec) {
            Restart::Container => self.sync_restart(position, ended, false, ctx),
            Restart::No => self.units[position].state = State::Ended(end),
            Restart::All => self.restart_all(ctx),
        }
    }

    /// Ends all containers and restarts them in the same sandbox, init containers first (`RestartAllContainers`),
    /// without a grace period or back-off.
    fn restart_all(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        for (position, unit) in self.units.iter_mut().enumerate() {
            if let Some(started) = unit.started() {
                ctx.out.steps.push((self.pod, PodStep::Exited(position)));
                if position == self.app {
                    ctx.out.apps.push(AppEffect::Stopped(self.pod, Stop::Crashed));
                }
                unit.ended(now, super::unit::termination(started, now, KILLED, None));
            }
            unit.restarts += u32::from(unit.state != State::Idle);
            unit.state = State::Idle;
            unit.hook_until = None;
        }
        ctx.cancel_work(self.pod);
        // Cancelling the work also cancelled a held status; hold it anew.
        if std::mem::take(&mut self.holds_status) {
            self.hold_status(ctx);
        }
    }

    /// A sync of a pod with a container due for a restart.
    pub(super) fn sync_restart(
        &mut self,
        position: usize,
        ended: Option<SimTime>,
        waits: bool,
        ctx: &mut Context<'_>,
    ) {
        let now = ctx.now();
        self.synced(now);
        let unit = &mut self.units[position];
        let knows_last = ended == unit.exited_at;
        match unit.backoff.try_start(now, ended) {
            Ok(()) => self.make(position, Some(waits), ctx),
            Err(until) => {
                if !waits {
                    let message = "Back-off restarting failed container (CrashLoopBackOff)";
                    ctx.warn("BackOff", message);
                }
                let sync_at = if knows_last {
                    self.retry_at(until - now, ctx)
                } else {
                    // The exit is only noticed at the next relist.
                    ctx.relist_after(now)
                };
                self.units[position].state = State::Restarting { sync_at, waits: true };
            }
        }
    }

    /// The next sync of a pod that must wait for `wait` (`completeWork` in `pod_workers.go`).
    pub(super) fn retry_at(&mut self, wait: SimDuration, ctx: &Context<'_>) -> SimTime {
        let timing = ctx.timing;
        let wait = wait.max(SimDuration::ZERO).min(SYNC_FREQUENCY).as_secs_f64();
        let late = if timing.back_off_jitter_factor > 0.0 {
            wait * timing.back_off_jitter_factor * self.draw(ctx)
        } else {
            0.0
        };
        let look = if timing.sync_loop_period > SimDuration::ZERO {
            timing.sync_loop_period.as_secs_f64() * self.draw(ctx)
        } else {
            0.0
        };
        ctx.now() + SimDuration::from_secs_f64(wait + late + look)
    }

    /// The time at which a status update first triggers the readiness probe of a started container, and whether that is
    /// too early to find the container.
    pub(super) fn first_trigger(&mut self, started: SimTime, ctx: &Context<'_>) -> (SimTime, bool) {
        let timing = ctx.timing;
        let update = started + timing.readiness_trigger;
        if timing.readiness_trigger_lost <= 0.0 && timing.readiness_trigger_late <= 0.0 {
            return (update, false);
        }
        let drawn = self.draw(ctx);
        if drawn < timing.readiness_trigger_lost {
            (update, true)
        } else if drawn < timing.readiness_trigger_lost + timing.readiness_trigger_late {
            (ctx.relist_after(update), false)
        } else {
            (update, false)
        }
    }

    /// A sync triggers the readiness probe of a container that is not ready; returns the next time this happens.
    pub(super) fn next_trigger(&mut self, so_far: u32, ctx: &Context<'_>) -> Option<SimTime> {
        if ctx.timing.pleg_relist_period <= SimDuration::ZERO {
            return None;
        }
        let again = so_far == 1 || so_far == 2 && happens(&mut self.stream(ctx), SYNCED_AGAIN);
        Some(if again { ctx.relist_after(ctx.now()) } else { self.retry_at(SYNC_FREQUENCY, ctx) })
    }
}
