//! What the kubelet reports of a pod: the state of each container, and the conditions that follow
//! (`v1.PodStatus`, Kubernetes 1.36). Decides nothing.

use super::node::ConditionStatus;
use super::pod::{PodCondition, PodPhase};
use super::pod_template::PodSpec;
use engine::SimTime;

/// What a kubelet writes of a pod in one go.
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
    /// `status.phase`, if it is told.
    pub phase: Option<PodPhase>,
    /// Condition `Ready`, if it is told.
    pub ready: Option<ConditionStatus>,
}

/// The status of every container, in the template's order: init containers, then the others. Empty
/// until the kubelet has taken the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerStatuses(Box<[ContainerStatus]>);

impl ContainerStatuses {
    /// Those of the init containers (sidecars among them), then those of the others.
    pub fn split(&self, spec: &PodSpec) -> (&[ContainerStatus], &[ContainerStatus]) {
        self.0.split_at(spec.init_containers.len().min(self.0.len()))
    }

    /// All, init containers first.
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
    /// `lastState.terminated`: how the run before this one ended.
    pub last_termination: Option<Termination>,
    /// `restartCount`.
    pub restarts: u32,
    /// `ready`: it runs and its readiness probe, if any, has succeeded; an init container: it is done.
    pub is_ready: bool,
    /// `started`: it runs and its startup probe, if any, has succeeded.
    pub is_started: bool,
}

/// `v1.ContainerState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// It does not run yet, or not again yet.
    Waiting(WaitingReason),
    /// It runs.
    Running {
        /// `startedAt`, cut to whole seconds.
        since: SimTime,
    },
    /// It ended.
    Terminated(Termination),
}

/// Why a container does not run (`state.waiting.reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingReason {
    /// Init containers come first.
    PodInitializing,
    /// Volumes, sandbox, image, container: on their way.
    ContainerCreating,
    /// A ConfigMap or Secret that its environment needs does not exist.
    CreateContainerConfigError,
    /// The image could not be pulled just now.
    ErrImagePull,
    /// The image could not be pulled; the next try comes after a while.
    ImagePullBackOff,
    /// The image is not on the node, and `imagePullPolicy: Never` forbids to pull it.
    ErrImageNeverPull,
    /// It ended, and its restart waits.
    CrashLoopBackOff,
}

impl WaitingReason {
    /// As the API writes it.
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
    /// 0 = well; 137 = SIGKILL, 143 = SIGTERM.
    pub exit_code: i32,
    /// `reason`.
    pub reason: TerminationReason,
    /// `startedAt`, cut to whole seconds.
    pub started: SimTime,
    /// `finishedAt`, cut to whole seconds.
    pub finished: SimTime,
}

/// Why a container ended (`state.terminated.reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationReason {
    /// With exit code 0.
    Completed,
    /// With another exit code.
    Error,
    /// The kernel killed it for its memory.
    OomKilled,
    /// Nobody saw how: its machine was restarted.
    Unknown,
}

impl TerminationReason {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Error => "Error",
            Self::OomKilled => "OOMKilled",
            Self::Unknown => "Unknown",
        }
    }
}

/// The conditions of a pod beside Ready, each absent until somebody wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodConditions {
    /// `PodScheduled`, True from the binding on.
    pub scheduled: Option<PodCondition>,
    /// `PodReadyToStartContainers`.
    pub ready_to_start_containers: Option<PodCondition>,
    /// `Initialized`.
    pub initialized: Option<PodCondition>,
    /// `ContainersReady`.
    pub containers_ready: Option<PodCondition>,
}

impl PodConditions {
    /// Takes over what a kubelet reports at `now`; true if any of it is new.
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
