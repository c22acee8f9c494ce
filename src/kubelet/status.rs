//! Pod status as reported by the kubelet: container statuses, conditions, phase.

use super::context::Context;
use super::making::Sandbox;
use super::unit::{State, Unit};
use super::worker::{Stage, Worker};
use cluster::Action;
use cluster::container_status::{PodReport, WaitingReason};
use cluster::node::ConditionStatus;
use cluster::pod::{Pod, PodPhase};
use cluster::pod_status::is_reported;
use cluster::pod_template::PodSpec;
use cluster::restart::{Restart, restart};
use engine::SimTime;

/// Requests of a status update: it reads the pod and patches it (`syncPod` of `pkg/kubelet/status`, 1.36).
const STATUS_REQUESTS: u32 = 2;
/// Requests at the end of a pod: its last status, and the removal of its object.
pub(super) const END_REQUESTS: u32 = STATUS_REQUESTS + 1;

impl Worker {
    /// Reports a changed status to the API server.
    pub(super) fn report(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let has_tokens = self.status_sent_at.take_if(|at| *at <= now).is_some();
        let phase = match self.stage {
            _ if self.status_sent_at.is_some() => return,
            Stage::Bound | Stage::Gone => return,
            Stage::Active if self.holds_status || self.runs_hook() => return,
            Stage::Ended if self.failed_for.is_some() => PodPhase::Failed,
            Stage::Active | Stage::Ending(_) | Stage::Ended => self.phase(ctx.spec),
        };
        let Some(report) = self.changed_report(phase, ctx) else { return };
        let sent_at = if has_tokens { now } else { ctx.take_tokens(STATUS_REQUESTS) };
        if sent_at <= now {
            ctx.out.actions.push(report);
        } else {
            // The status as it is then.
            self.status_sent_at = Some(sent_at);
        }
    }

    /// Reports the final status of a pod whose object is about to be removed.
    pub(super) fn report_end(&self, ctx: &mut Context<'_>) {
        let ended_well = self.units[ctx.spec.init_containers.len()..].iter().all(Unit::is_done);
        let phase = if ended_well { PodPhase::Succeeded } else { PodPhase::Failed };
        ctx.out.actions.extend(self.changed_report(phase, ctx));
    }

    /// The report of a status that the API server does not have yet.
    fn changed_report(&self, phase: PodPhase, ctx: &Context<'_>) -> Option<Action> {
        let report = self.pod_report(ctx.now(), ctx.pod, ctx.spec, phase);
        // The view does not yet show the requests of this step.
        let has_requested = ctx.out.actions.len() > ctx.requested_before;
        let is_new = has_requested || !is_reported(ctx.pod, &report);
        is_new.then(|| Action::ReportPod(self.pod, Box::new(report)))
    }

    /// Whether all containers that count towards readiness are ready.
    pub(super) fn containers_are_ready(&self, spec: &PodSpec) -> bool {
        let inits = spec.init_containers.len();
        let sidecars =
            spec.init_containers.iter().zip(&self.units).filter(|(one, _)| one.is_sidecar);
        let mut serving = sidecars.map(|(_, unit)| unit).chain(&self.units[inits..]);
        self.is_initialized(spec) && serving.all(Unit::is_ready)
    }

    /// Whether the conditions named by the pod's `readinessGates` are True.
    fn gates_are_open(&self, spec: &PodSpec, now: SimTime) -> bool {
        spec.readiness_gates.is_empty() || self.gates_open_at.is_some_and(|at| at <= now)
    }

    /// Sets the time at which the readiness gates open, if they ever do: a fixed delay after the containers were
    /// first ready.
    pub(super) fn watch_gates(&mut self, ctx: &Context<'_>) {
        let spec = ctx.spec;
        if spec.readiness_gates.is_empty() || self.gates_open_at.is_some() {
            return;
        }
        if let Some(after) = self.profiles[self.app].readiness_gates
            && self.containers_are_ready(spec)
        {
            self.gates_open_at = Some(ctx.now() + after);
        }
    }

    /// Whether the kubelet reports the sandbox and its address. Its first sync ends when no container can go on; until
    /// then it reports nothing of it.
    fn shows_sandbox(&self) -> bool {
        let is_in_first_sync = |unit: &Unit| {
            let is_coming = matches!(
                unit.state,
                State::Idle
                    | State::Pulling { .. }
                    | State::PullThrottled { .. }
                    | State::Making { .. }
            );
            is_coming && unit.last.is_none()
        };
        self.stage != Stage::Ended
            && self.sandbox == Sandbox::Made
            && !self.units.iter().all(is_in_first_sync)
    }

    fn pod_report(&self, now: SimTime, pod: &Pod, spec: &PodSpec, phase: PodPhase) -> PodReport {
        let inits = spec.init_containers.len();
        let first = if inits == 0 {
            WaitingReason::ContainerCreating
        } else {
            WaitingReason::PodInitializing
        };
        let mut statuses: Vec<_> = self.units.iter().map(|unit| unit.status(first)).collect();
        let of_inits = statuses.iter_mut().zip(&self.units).zip(&spec.init_containers);
        for ((status, unit), container) in of_inits {
            // An init container is ready once it is done, and not while it runs (`UpdatePodStatus` in `pkg/kubelet/prober`).
            status.is_ready = unit.is_done() || (status.is_ready && container.is_sidecar);
        }
        let is_initialized = self.is_initialized(spec);
        let is_ready = !phase.is_terminal() && self.containers_are_ready(spec);
        PodReport {
            containers: statuses.into_iter().collect(),
            ready_to_start_containers: ConditionStatus::from(self.shows_sandbox()),
            initialized: ConditionStatus::from(is_initialized),
            containers_ready: ConditionStatus::from(is_ready),
            reason: self.failed_for,
            phase: (pod.phase != phase && !pod.phase.is_terminal()).then_some(phase),
            ready: Some(ConditionStatus::from(is_ready && self.gates_are_open(spec, now))),
        }
    }

    /// Whether an init container failed without a restart.
    pub(super) fn has_failed_init(&self, spec: &PodSpec) -> bool {
        let mut inits = spec.init_containers.iter().zip(&self.units);
        inits.any(|(one, unit)| !one.is_sidecar && unit.has_ended() && !unit.is_done())
    }

    /// Whether an init container failed and its policy does not restart it.
    fn has_failed_init_for_good(&self, spec: &PodSpec) -> bool {
        let inits = spec.init_containers.iter().zip(&self.units).enumerate();
        let mut ended = inits.filter_map(|(position, (one, unit))| match unit.state {
            State::Ended(end) if !one.is_sidecar => Some((position, end.exit_code)),
            _ => None,
        });
        ended.any(|(position, code)| code != 0 && restart(position, code, spec) == Restart::No)
    }

    /// The `Initialized` condition: init containers completed and sidecars started, or had before the pod ended.
    fn is_initialized(&self, spec: &PodSpec) -> bool {
        let inits = spec.init_containers.len();
        let has_begun = self.units[inits..].iter().any(|unit| unit.state != State::Idle);
        has_begun
            || spec.init_containers.iter().zip(&self.units).all(|(container, unit)| {
                if container.is_sidecar { unit.is_started() } else { unit.is_done() }
            })
    }

    /// `status.phase` (`getPhase` in `pkg/kubelet/kubelet_pods.go`, 1.36).
    fn phase(&self, spec: &PodSpec) -> PodPhase {
        let (init, regular) = self.units.split_at(spec.init_containers.len());
        if self.has_failed_init_for_good(spec) {
            return PodPhase::Failed;
        }
        let running = regular.iter().filter(|unit| unit.seems_alive()).count();
        let is_new = |unit: &&Unit| !unit.seems_alive() && unit.last.is_none();
        let waiting = regular.iter().filter(is_new).count();
        if !self.is_initialized(spec) || waiting > 0 {
            return PodPhase::Pending;
        }
        let all_ended = regular.iter().all(Unit::has_ended);
        let has_sidecars_left = init.iter().any(Unit::is_alive);
        if running > 0 || !all_ended || has_sidecars_left {
            PodPhase::Running
        } else if regular.iter().all(Unit::is_done) {
            PodPhase::Succeeded
        } else {
            PodPhase::Failed
        }
    }
}
