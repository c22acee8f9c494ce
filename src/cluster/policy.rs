//! PodDisruptionBudgets and namespaces: what limits and groups other objects.

use super::deployment::IntOrPercent;
use super::meta::{Labels, Name, ObjectMeta};
use super::pod::PodId;
use super::selector::Selector;
use crate::engine::Id;

/// Key of a [`PodDisruptionBudget`] in the store.
pub type PodDisruptionBudgetId = Id<PodDisruptionBudget>;

/// A PodDisruptionBudget (policy/v1).
#[derive(Clone, Debug)]
pub struct PodDisruptionBudget {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// Which pods it protects; absent = none.
    pub selector: Option<Selector>,
    /// How many must stay healthy, or how many may go.
    pub budget: Budget,
    /// `unhealthyPodEvictionPolicy: AlwaysAllow`.
    pub always_allows_unhealthy: bool,
    /// What was observed.
    pub status: PodDisruptionBudgetStatus,
}

/// The limit of a PodDisruptionBudget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many pods must stay healthy.
    MinAvailable(IntOrPercent),
    /// So many pods may be missing.
    MaxUnavailable(IntOrPercent),
}

/// `status` of a PodDisruptionBudget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDisruptionBudgetStatus {
    /// Healthy pods.
    pub current_healthy: i32,
    /// Healthy pods wanted.
    pub desired_healthy: i32,
    /// Pods in all.
    pub expected_pods: i32,
    /// Evictions that would be granted now.
    pub disruptions_allowed: i32,
    /// Pods whose eviction was granted and that are not seen terminating yet.
    pub disrupted_pods: Vec<PodId>,
}

/// A Namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: Name,
    /// Its labels, with `kubernetes.io/metadata.name`.
    pub labels: Labels,
}

/// A PriorityClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorityClass {
    /// Its name.
    pub name: Name,
    /// Pods of this class get this priority.
    pub value: i32,
    /// Whether pods without a class get it.
    pub global_default: bool,
    /// Whether its pods wait instead of preempting.
    pub never_preempts: bool,
}
