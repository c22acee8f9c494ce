//! Everything that can happen, apart from requests and the controllers' own work: a closed list.

use cluster::pod::PodId;
use cluster::service::ServiceId;
use engine::{Digest, Lane};
use traffic::Via;

/// An event of the simulation. Order at one instant: first the controllers' due work, then the
/// scheduler, then events by lane, then by insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An entry of the scenario's timeline is due.
    Timeline {
        /// Its position.
        entry: u32,
    },
    /// The user applies the objects with which the run starts.
    Apply {
        /// The HorizontalPodAutoscalers, or all others.
        hpas: bool,
    },
    /// A timer of a pod's kubelet worker is due.
    Kubelet {
        /// The pod.
        pod: PodId,
        /// The worker's plan that it belongs to.
        version: u32,
    },
    /// `kubectl drain` asks again for the eviction of a pod.
    Evict {
        /// The pod.
        pod: PodId,
    },
    /// The network of a pod whose containers have ended is taken down.
    SandboxStopped {
        /// The pod.
        pod: PodId,
    },
    /// A draining application may be done.
    Drain {
        /// The pod.
        pod: PodId,
    },
    /// A write of those who send requests to endpoints begins or ends.
    WriteRules {
        /// Whose.
        via: Via,
    },
    /// The clients of a headless Service learn its new endpoints.
    Propagate {
        /// The Service.
        service: ServiceId,
    },
    /// A machine of the cloud takes its next step.
    Machine {
        /// Its number.
        machine: u32,
    },
    /// The node autoscaler has something to do.
    NodeAutoscaler,
    /// Karpenter has something to do.
    Karpenter,
    /// Something that was begun goes on.
    DeferredStep {
        /// Its position.
        step: u32,
    },
    /// A process of random faults strikes, or is looked at.
    RandomFault {
        /// Its position.
        process: u32,
        /// Whether it strikes.
        strikes: bool,
    },
    /// The planned CPU load of a workload changes.
    CpuLoad {
        /// Its position among the world's.
        step: u32,
    },
    /// Who shares the CPU of crowded nodes is looked at anew.
    ShareCpu,
    /// The kubelets read the counters of containers that are due.
    Housekeeping,
    /// metrics-server scrapes the kubelets.
    Scrape,
    /// metrics-server serves what it scraped.
    Publish,
    /// Prometheus scrapes the applications.
    PrometheusScrape,
    /// An interval of the report ends.
    IntervalEnd,
}

const _: () =
    assert!(std::mem::size_of::<Event>() <= 16, "events stay small: the queue copies them");

impl Event {
    /// What goes first at one instant.
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
            Self::Drain { .. } | Self::SandboxStopped { .. } => 2,
            Self::Propagate { .. } | Self::WriteRules { .. } => 3,
            Self::ShareCpu | Self::Housekeeping => 4,
            Self::Scrape | Self::Publish => 5,
            Self::PrometheusScrape => 6,
            Self::IntervalEnd => 7,
            Self::NodeAutoscaler | Self::Karpenter => 8,
        }
    }

    /// Adds the event to a run's fingerprint.
    pub fn digest(self, digest: &mut Digest) {
        let (kind, detail) = match self {
            // Which one it is says its identity, whatever its place in the timeline.
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
            Self::CpuLoad { step } => (11, step.into()),
            Self::Apply { hpas } => (12, hpas.into()),
            Self::Machine { machine } => (13, machine.into()),
            Self::NodeAutoscaler => (14, 0),
            Self::Karpenter => (19, 0),
            Self::WriteRules { via } => (17, via as u64),
            Self::SandboxStopped { pod } => (18, pod.to_bits()),
        };
        digest.word(kind);
        digest.word(detail);
    }
}
