//! Everything that can happen, apart from requests and the controllers' own work: a closed list.

use crate::cluster::pod::PodId;
use crate::cluster::service::ServiceId;
use crate::engine::{Digest, Lane};

/// An event of the simulation. Order at one instant: first the controllers' due work, then the
/// scheduler, then events by lane, then by insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An entry of the scenario's timeline is due.
    Timeline {
        /// Its position.
        entry: u32,
    },
    /// A timer of a pod's kubelet worker is due.
    Kubelet {
        /// The pod.
        pod: PodId,
        /// The worker's plan that it belongs to.
        version: u32,
    },
    /// A draining application may be done.
    Drain {
        /// The pod.
        pod: PodId,
    },
    /// The nodes learn the new endpoints of a Service.
    Propagate {
        /// The Service.
        service: ServiceId,
    },
    /// The CPU of crowded nodes is shared out anew.
    ShareCpu,
    /// metrics-server scrapes the kubelets.
    Scrape,
    /// An interval of the report ends.
    IntervalEnd,
}

const _: () =
    assert!(std::mem::size_of::<Event>() <= 16, "events stay small: the queue copies them");

impl Event {
    /// What goes first at one instant.
    pub const fn lane(self) -> Lane {
        match self {
            Self::Timeline { .. } => 0,
            Self::Kubelet { .. } => 1,
            Self::Drain { .. } => 2,
            Self::Propagate { .. } => 3,
            Self::ShareCpu => 4,
            Self::Scrape => 5,
            Self::IntervalEnd => 6,
        }
    }

    /// Adds the event to a run's fingerprint.
    pub fn digest(self, digest: &mut Digest) {
        let (kind, detail) = match self {
            Self::Timeline { entry } => (0, entry.into()),
            Self::Kubelet { pod, version } => (1, pod.to_bits() ^ u64::from(version) << 40),
            Self::Drain { pod } => (2, pod.to_bits()),
            Self::Propagate { service } => (3, service.to_bits()),
            Self::ShareCpu => (4, 0),
            Self::Scrape => (5, 0),
            Self::IntervalEnd => (6, 0),
        };
        digest.word(kind);
        digest.word(detail);
    }
}
