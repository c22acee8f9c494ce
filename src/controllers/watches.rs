//! Sets of changes watched by controllers. Most changes concern pods, and most controllers ignore most of them:
//! filtering them out saves a tenth of the control plane's work.

use super::pod_control::owner_of_changed_pod;
use cluster::pod::Owner;
use cluster::{Change, ClusterView, Kind};

/// Kinds of objects, as a controller's informers are set up for some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watches(u32);

impl Watches {
    /// Maximum number of kinds.
    pub const KINDS: usize = u32::BITS as usize;
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(u32::MAX);
    /// Nodes.
    pub const NODES: Self = Self(1);
    /// All pods.
    pub const PODS: Self = Self(1 << 1);
    /// Pods that a ReplicaSet owns.
    pub const PODS_OF_REPLICA_SETS: Self = Self(1 << 2);
    /// Pods that a StatefulSet owns.
    pub const PODS_OF_STATEFUL_SETS: Self = Self(1 << 3);
    /// Pods that a DaemonSet owns.
    pub const PODS_OF_DAEMON_SETS: Self = Self(1 << 4);
    /// Pods that a Job owns.
    pub const PODS_OF_JOBS: Self = Self(1 << 5);
    /// Deployments.
    pub const DEPLOYMENTS: Self = Self(1 << 6);
    /// ReplicaSets.
    pub const REPLICA_SETS: Self = Self(1 << 7);
    /// StatefulSets.
    pub const STATEFUL_SETS: Self = Self(1 << 8);
    /// DaemonSets.
    pub const DAEMON_SETS: Self = Self(1 << 9);
    /// Jobs.
    pub const JOBS: Self = Self(1 << 10);
    /// CronJobs.
    pub const CRON_JOBS: Self = Self(1 << 11);
    /// Services and their endpoints, and changes of the pods that they select.
    pub const SERVICES: Self = Self(1 << 12);
    /// HorizontalPodAutoscalers.
    pub const HPAS: Self = Self(1 << 13);
    /// ScaledObjects of KEDA.
    pub const SCALED_OBJECTS: Self = Self(1 << 14);
    /// VerticalPodAutoscalers.
    pub const VPAS: Self = Self(1 << 15);
    /// PodDisruptionBudgets, and changes of the pods that they select.
    pub const DISRUPTION_BUDGETS: Self = Self(1 << 16);

    /// Samples of pods that the metrics API serves.
    pub const POD_SAMPLES: Self = Self(1 << 17);

    /// PodAutoscalers of Knative.
    pub const POD_AUTOSCALERS: Self = Self(1 << 18);

    /// Rollouts.
    pub const ROLLOUTS: Self = Self(1 << 19);

    /// ScaledJobs of KEDA.
    pub const SCALED_JOBS: Self = Self(1 << 20);

    /// The kinds of Kueue.
    pub const QUEUES: Self = Self(1 << 21);

    /// PersistentVolumeClaims.
    pub const CLAIMS: Self = Self(1 << 22);

    /// The union of both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The number of each kind, below [`Self::KINDS`].
    pub fn kinds(self) -> impl Iterator<Item = usize> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let lowest = bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
            (lowest < u32::BITS).then_some(lowest as usize)
        })
    }

    /// True if the sets intersect.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The set to which a change belongs.
    pub fn of(view: ClusterView<'_>, change: &Change) -> Self {
        match change {
            Change::NodeAdded(_) | Change::NodeUpdated(_) => Self::NODES,
            Change::PodAdded(_) | Change::PodUpdated(..) | Change::PodRemoved { .. } => {
                match owner_of_changed_pod(view, change) {
                    None => Self::PODS,
                    Some(Owner::ReplicaSet(_)) => Self::PODS.and(Self::PODS_OF_REPLICA_SETS),
                    Some(Owner::StatefulSet(_)) => Self::PODS.and(Self::PODS_OF_STATEFUL_SETS),
                    Some(Owner::DaemonSet(_)) => Self::PODS.and(Self::PODS_OF_DAEMON_SETS),
                    Some(Owner::Job(_)) => Self::PODS.and(Self::PODS_OF_JOBS),
                }
            }
            Change::SelectedPodRemoved(..) => Self::SERVICES.and(Self::DISRUPTION_BUDGETS),
            Change::Spec(object, _) | Change::Status(object) | Change::Removed { object, .. } => {
                Self::of_kind(object.kind())
            }
            Change::Endpoints(_) => Self::SERVICES,
            Change::MetricsApi => Self::HPAS,
            Change::PodSamples(_) => Self::POD_SAMPLES,
            Change::Revisions(_) => Self::NONE,
        }
    }

    /// All objects of a kind; none of a kind that no controller watches.
    const fn of_kind(kind: Kind) -> Self {
        match kind {
            Kind::Node => Self::NODES,
            Kind::Deployment => Self::DEPLOYMENTS,
            Kind::ReplicaSet => Self::REPLICA_SETS,
            Kind::StatefulSet => Self::STATEFUL_SETS,
            Kind::DaemonSet => Self::DAEMON_SETS,
            Kind::Job => Self::JOBS,
            Kind::CronJob => Self::CRON_JOBS,
            Kind::Service => Self::SERVICES,
            Kind::HorizontalPodAutoscaler => Self::HPAS,
            Kind::ScaledObject => Self::SCALED_OBJECTS,
            Kind::ScaledJob => Self::SCALED_JOBS,
            Kind::ClusterQueue
            | Kind::LocalQueue
            | Kind::ResourceFlavor
            | Kind::WorkloadPriorityClass => Self::QUEUES,
            Kind::PersistentVolumeClaim => Self::CLAIMS,
            Kind::PodAutoscaler => Self::POD_AUTOSCALERS,
            Kind::Rollout => Self::ROLLOUTS,
            Kind::VerticalPodAutoscaler => Self::VPAS,
            Kind::PodDisruptionBudget => Self::DISRUPTION_BUDGETS,
            _ => Self::NONE,
        }
    }
}
