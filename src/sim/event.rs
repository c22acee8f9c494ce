//! The closed list of events. Requests and the controllers' own work are not among them.

use cluster::pod::PodId;
use cluster::service::ServiceId;
use engine::{Digest, Lane};
use traffic::Via;

/// An event of the simulation. Order at one instant: first the controllers' due work, then the scheduler, then
/// events by lane, then by insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An entry of the scenario's timeline is due.
    Timeline {
        /// Its position in the timeline.
        entry: u32,
    },
    /// The user applies the initial objects.
    Apply {
        /// True for HorizontalPodAutoscalers, false for all other objects.
        hpas: bool,
    },
    /// A timer of a pod's kubelet worker is due.
    Kubelet {
        /// The pod.
        pod: PodId,
        /// Version of the worker's plan that set the timer; stale ones are ignored.
        version: u32,
    },
    /// `kubectl drain` retries the eviction of a pod.
    Evict {
        /// The pod.
        pod: PodId,
    },
    /// The network of a pod whose containers have finished is torn down.
    SandboxStopped {
        /// The pod.
        pod: PodId,
    },
    /// A draining application may be finished.
    Drain {
        /// The pod.
        pod: PodId,
    },
    /// A worker may have been idle long enough to complete.
    Idle {
        /// The pod.
        pod: PodId,
    },
    /// A proxy begins or ends a write of its rules.
    WriteRules {
        /// The kind of proxy.
        via: Via,
    },
    /// The clients of a headless Service learn its new endpoints.
    Propagate {
        /// The Service.
        service: ServiceId,
    },
    /// The next step of a machine is due.
    Machine {
        /// The machine's number.
        machine: u32,
    },
    /// The Cluster Autoscaler's next loop or action is due.
    NodeAutoscaler,
    /// Karpenter's next turn or drain is due.
    Karpenter,
    /// A deferred step of a fault or maintenance is due.
    DeferredStep {
        /// Its position among the deferred steps.
        step: u32,
    },
    /// A random fault occurs, or its rate is updated.
    RandomFault {
        /// Position of the fault process.
        process: u32,
        /// True if a fault occurs.
        strikes: bool,
    },
    /// The planned CPU load of a workload changes.
    CpuLoad {
        /// Its position among the world's CPU load steps.
        step: u32,
    },
    /// The CPU of contended nodes is shared out anew.
    ShareCpu,
    /// The kubelets read the CPU counters of containers that are due.
    Housekeeping,
    /// metrics-server scrapes the kubelets.
    Scrape,
    /// metrics-server publishes the samples of a scrape.
    Publish,
    /// Prometheus scrapes the applications.
    PrometheusScrape,
    /// Knative's autoscaler gets the statistics of its revisions.
    RevisionReports,
    /// An interval of the report ends.
    IntervalEnd,
}

const _: () =
    assert!(std::mem::size_of::<Event>() <= 16, "events stay small: the queue copies them");

impl Event {
    /// The lane, which orders events at one instant.
    pub const fn lane(self) -> Lane {
        match self {
            Self::Apply { .. }
            | Self::Timeline { .. }
            | Self::Evict { .. }
            | Self::Machine { .. }
            | Self::DeferredStep { .. }
            | Self::RandomFault { .. }
            | Self::CpuLoad { .. } => 0,
            Self::Kubelet { .. } => 1,
            Self::Drain { .. } | Self::SandboxStopped { .. } | Self::Idle { .. } => 2,
            Self::Propagate { .. } | Self::WriteRules { .. } => 3,
            Self::ShareCpu | Self::Housekeeping => 4,
            Self::Scrape | Self::Publish => 5,
            Self::PrometheusScrape | Self::RevisionReports => 6,
            Self::IntervalEnd => 7,
            Self::NodeAutoscaler | Self::Karpenter => 8,
        }
    }

    /// Adds the event to a run's fingerprint.
    pub fn digest(self, digest: &mut Digest) {
        let (kind, detail) = match self {
            // Only the action's identity enters the digest, not its position in the timeline.
            Self::Timeline { .. } => (0, 0),
            Self::Kubelet { pod, version } => (1, pod.to_bits() ^ u64::from(version) << 40),
            Self::Drain { pod } => (2, pod.to_bits()),
            Self::Propagate { service } => (3, service.to_bits()),
            Self::ShareCpu => (4, 0),
            Self::Scrape => (5, 0),
            Self::Housekeeping => (15, 0),
            Self::Publish => (16, 0),
            Self::DeferredStep { step } => (8, step.into()),
            Self::RandomFault { process, strikes } => {
                (9, u64::from(process) << 1 | u64::from(strikes))
            }
            Self::IntervalEnd => (6, 0),
            Self::Evict { pod } => (7, pod.to_bits()),
            Self::PrometheusScrape => (10, 0),
            Self::RevisionReports => (20, 0),
            Self::CpuLoad { step } => (11, step.into()),
            Self::Apply { hpas } => (12, hpas.into()),
            Self::Machine { machine } => (13, machine.into()),
            Self::NodeAutoscaler => (14, 0),
            Self::Karpenter => (19, 0),
            Self::WriteRules { via } => (17, via as u64),
            Self::SandboxStopped { pod } => (18, pod.to_bits()),
            Self::Idle { pod } => (21, pod.to_bits()),
        };
        digest.word(kind);
        digest.word(detail);
    }
}
