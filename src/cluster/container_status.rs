//! The kubelet's report of a pod: the state of each container, and the conditions derived from it (`v1.PodStatus`,
//! Kubernetes 1.36). Contains no decisions.

use super::node::ConditionStatus;
use super::pod::{PodCondition, PodPhase};
use super::pod_template::PodSpec;
use engine::SimTime;

/// One status update of a pod by its kubelet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodReport {
    /// `initContainerStatuses` and `containerStatuses`.
    pub containers: ContainerStatuses,
    /// Condition `PodReadyToStartContainers`: the sandbox exists and has its network.
    pub ready_to_start_containers: ConditionStatus,
    /// Condition `Initialized`: init containers are done, sidecars have started.
    pub initialized: ConditionStatus,
    /// Condition `ContainersReady`.
    pub containers_ready: ConditionStatus,
    /// `status.reason`, such as `Evicted`.
    pub reason: Option<&'static str>,
    /// `status.phase`, if reported.
    pub phase: Option<PodPhase>,
    /// Condition `Ready`, if reported.
    pub ready: Option<ConditionStatus>,
}

/// The status of every container in template order: init containers, then the others. Empty until the kubelet has
/// accepted the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerStatuses(Box<[ContainerStatus]>);

impl ContainerStatuses {
    /// Splits them into init containers (including sidecars) and the others.
    pub fn split(&self, spec: &PodSpec) -> (&[ContainerStatus], &[ContainerStatus]) {
        self.0.split_at(spec.init_containers.len().min(self.0.len()))
    }

    /// All statuses, init containers first.
    pub fn all(&self) -> &[ContainerStatus] {
        &self.0
    }
}

impl FromIterator<ContainerStatus> for ContainerStatuses {
    fn from_iter<I: IntoIterator<Item = ContainerStatus>>(statuses: I) -> Self {
        Self(statuses.into_iter().collect())
    }
}

/// `v1.ContainerStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// `state`.
    pub state: ContainerState,
    /// `lastState.terminated`: end of the previous run.
    pub last_termination: Option<Termination>,
    /// `restartCount`.
    pub restarts: u32,
    /// `ready`: running, and its readiness probe, if any, has succeeded; for an init container: completed.
    pub is_ready: bool,
    /// `started`: running, and its startup probe, if any, has succeeded.
    pub is_started: bool,
}

/// `v1.ContainerState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Not running yet, or waiting to be restarted.
    Waiting(WaitingReason),
    /// Running.
    Running {
        /// `startedAt`, truncated to whole seconds.
        since: SimTime,
    },
    /// Exited.
    Terminated(Termination),
}

/// Why a container is not running (`state.waiting.reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingReason {
    /// Waits for init containers.
    PodInitializing,
    /// Volumes, sandbox, image or container are being set up.
    ContainerCreating,
    /// A ConfigMap or Secret required by its environment does not exist.
    CreateContainerConfigError,
    /// The last image pull failed.
    ErrImagePull,
    /// The image pull failed; the next attempt is in back-off.
    ImagePullBackOff,
    /// The image is not on the node, and `imagePullPolicy: Never` forbids pulling it.
    ErrImageNeverPull,
    /// It exited, and its restart is in back-off.
    CrashLoopBackOff,
}

impl WaitingReason {
    /// The spelling used by the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PodInitializing => "PodInitializing",
            Self::ContainerCreating => "ContainerCreating",
            Self::CreateContainerConfigError => "CreateContainerConfigError",
            Self::ErrImagePull => "ErrImagePull",
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::ErrImageNeverPull => "ErrImageNeverPull",
            Self::CrashLoopBackOff => "CrashLoopBackOff",
        }
    }
}

/// `v1.ContainerStateTerminated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termination {
    /// 0 = success; 137 = SIGKILL, 143 = SIGTERM.
    pub exit_code: i32,
    /// `reason`.
    pub reason: TerminationReason,
    /// `startedAt`, truncated to whole seconds.
    pub started: SimTime,
    /// `finishedAt`, truncated to whole seconds.
    pub finished: SimTime,
}

/// Why a container ended (`state.terminated.reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationReason {
    /// Exited with code 0.
    Completed,
    /// Exited with another code.
    Error,
    /// Killed by the kernel for exceeding its memory.
    OomKilled,
    /// Its end was not observed: its machine was restarted.
    Unknown,
}

impl TerminationReason {
    /// The spelling used by the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Error => "Error",
            Self::OomKilled => "OOMKilled",
            Self::Unknown => "Unknown",
        }
    }
}

/// The conditions of a pod other than Ready, each absent until first written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodConditions {
    /// `PodScheduled`: True once bound.
    pub scheduled: Option<PodCondition>,
    /// `PodReadyToStartContainers`.
    pub ready_to_start_containers: Option<PodCondition>,
    /// `Initialized`.
    pub initialized: Option<PodCondition>,
    /// `ContainersReady`.
    pub containers_ready: Option<PodCondition>,
}

impl PodConditions {
    /// Applies a kubelet's report at `now`; returns true if anything changed.
    pub fn update(&mut self, report: &PodReport, now: SimTime) -> bool {
        let mut changed = false;
        for (condition, status) in [
            (&mut self.ready_to_start_containers, report.ready_to_start_containers),
            (&mut self.initialized, report.initialized),
            (&mut self.containers_ready, report.containers_ready),
        ] {
            if condition.is_none_or(|old| old.status != status) {
                *condition = Some(PodCondition { status, since: now.floor_to_second() });
                changed = true;
            }
        }
        changed
    }
}
