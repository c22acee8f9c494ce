//! The columns READY, STATUS and RESTARTS of a pod as `kubectl get pods` prints them
//! (`printPod` in `pkg/printers/internalversion/printers.go`, 1.36).

use super::container_status::{ContainerState, ContainerStatus, TerminationReason, WaitingReason};
use super::pod::{Pod, PodCondition, PodPhase};
use super::pod_template::PodSpec;
use engine::SimTime;

/// A pod's row in the output of `kubectl get pods`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintedStatus {
    /// Containers (sidecars included) that are ready.
    pub ready: usize,
    /// Containers, sidecars included.
    pub containers: usize,
    /// STATUS, such as `Running`, `CrashLoopBackOff` or `Init:0/1`.
    pub status: String,
    /// RESTARTS.
    pub restarts: u32,
    /// End of the previous run of the container that restarted last.
    pub last_restart: Option<SimTime>,
}

/// READY, STATUS and RESTARTS of a pod.
pub fn printed_status(pod: &Pod, spec: &PodSpec) -> PrintedStatus {
    let (init, regular) = pod.containers.split(spec);
    let sidecars = spec.init_containers.iter().filter(|one| one.is_sidecar).count();
    let mut printed = PrintedStatus {
        ready: 0,
        containers: spec.containers.len() + sidecars,
        status: pod.status_reason.unwrap_or(pod.phase.as_str()).to_owned(),
        restarts: 0,
        last_restart: None,
    };
    if pod.status_reason.is_none() && pod.node.is_none() && !spec.scheduling_gates.is_empty() {
        "SchedulingGated".clone_into(&mut printed.status);
    }
    let is_initializing = initialization(&mut printed, init, spec);
    let is_initialized = pod.conditions.initialized.is_some_and(PodCondition::is_true);
    if !is_initializing || is_initialized {
        containers(&mut printed, pod, init, regular, spec);
    }
    if pod.is_terminating() && !pod.phase.is_terminal() {
        "Terminating".clone_into(&mut printed.status);
    }
    printed
}

/// Processes the init containers up to the first that has not completed; returns true if there is one.
fn initialization(printed: &mut PrintedStatus, init: &[ContainerStatus], spec: &PodSpec) -> bool {
    for (position, (status, container)) in init.iter().zip(&spec.init_containers).enumerate() {
        count_restarts(printed, status);
        let reason = match status.state {
            ContainerState::Terminated(end) if end.exit_code == 0 => continue,
            _ if container.is_sidecar && status.is_started => {
                printed.ready += usize::from(status.is_ready);
                continue;
            }
            ContainerState::Terminated(end) => end.reason.as_str().to_owned(),
            ContainerState::Waiting(reason) if reason != WaitingReason::PodInitializing => {
                reason.as_str().to_owned()
            }
            _ => format!("{position}/{}", init.len()),
        };
        printed.status = format!("Init:{reason}");
        return true;
    }
    false
}

fn containers(
    printed: &mut PrintedStatus,
    pod: &Pod,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
    spec: &PodSpec,
) {
    (printed.restarts, printed.last_restart) = (0, None);
    let sidecars = init.iter().zip(&spec.init_containers).filter(|(_, one)| one.is_sidecar);
    sidecars.for_each(|(status, _)| count_restarts(printed, status));
    let mut has_running = false;
    for status in regular.iter().rev() {
        count_restarts(printed, status);
        match status.state {
            ContainerState::Waiting(reason) => reason.as_str().clone_into(&mut printed.status),
            ContainerState::Terminated(end) => {
                end.reason.as_str().clone_into(&mut printed.status);
            }
            ContainerState::Running { .. } if status.is_ready => {
                has_running = true;
                printed.ready += 1;
            }
            ContainerState::Running { .. } => {}
        }
    }
    // One container is done and another still runs: the pod as a whole runs.
    if has_running && printed.status == TerminationReason::Completed.as_str() {
        let status = if pod.is_ready() { PodPhase::Running.as_str() } else { "NotReady" };
        status.clone_into(&mut printed.status);
    }
}

fn count_restarts(printed: &mut PrintedStatus, status: &ContainerStatus) {
    printed.restarts += status.restarts;
    let ended = status.last_termination.map(|end| end.finished);
    printed.last_restart = printed.last_restart.max(ended);
}
