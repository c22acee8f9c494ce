//! PodDisruptionBudgets (policy/v1).

use super::action::Refused;
use super::change::Change;
use super::deployment::{IntOrPercent, WorkloadCondition};
use super::kind::Kind;
use super::meta::ObjectMeta;
use super::node::ConditionStatus;
use super::object::{self, Object, Stored};
use super::pod::PodId;
use super::selection::Selecting;
use super::selector::Selector;
use super::store::Store;
use engine::{Id, SimTime};

/// Key of a [`PodDisruptionBudget`] in the store.
pub type PodDisruptionBudgetId = Id<PodDisruptionBudget>;

/// A PodDisruptionBudget (policy/v1).
#[derive(Clone, Debug)]
pub struct PodDisruptionBudget {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// Selector and limit.
    pub spec: PodDisruptionBudgetSpec,
    /// As the disruption controller last wrote it.
    pub status: PodDisruptionBudgetStatus,
}

/// `spec` of a PodDisruptionBudget, defaulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodDisruptionBudgetSpec {
    /// Selects the pods it protects; absent = none.
    pub selector: Option<Selector>,
    /// The number of pods that must stay healthy or may be unavailable.
    pub budget: Budget,
    /// `unhealthyPodEvictionPolicy: AlwaysAllow`.
    pub always_allows_unhealthy: bool,
}

/// The limit of a PodDisruptionBudget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Number of pods that must stay healthy.
    MinAvailable(IntOrPercent),
    /// Number of pods that may be unavailable.
    MaxUnavailable(IntOrPercent),
}

/// `status` of a PodDisruptionBudget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDisruptionBudgetStatus {
    /// The generation that this status describes.
    pub observed_generation: i64,
    /// Healthy pods.
    pub current_healthy: i32,
    /// Healthy pods required by the budget.
    pub desired_healthy: i32,
    /// Total number of pods.
    pub expected_pods: i32,
    /// Evictions that would be granted now.
    pub disruptions_allowed: i32,
    /// Pods whose eviction was granted and that have not been observed terminating yet.
    pub disrupted_pods: Vec<DisruptedPod>,
    /// `DisruptionAllowed`.
    pub conditions: Vec<WorkloadCondition>,
}

/// The condition reporting whether a budget would allow an eviction.
const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";
/// Reason of `DISRUPTION_ALLOWED` if the controller cannot determine the expected number of pods.
pub const SYNC_FAILED: &str = "SyncFailed";

/// A pod whose eviction was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisruptedPod {
    /// The pod.
    pub pod: PodId,
    /// When, cut to whole seconds.
    pub since: SimTime,
}

impl PodDisruptionBudgetStatus {
    /// Updates the condition `DisruptionAllowed` (`pkg/apis/policy/pdb_helpers.go`,
    /// `UpdateDisruptionAllowedCondition`).
    pub fn judge_disruption_allowed(&mut self, now: SimTime) {
        let (status, reason) = match self.disruptions_allowed {
            1.. => (ConditionStatus::True, "SufficientPods"),
            _ => (ConditionStatus::False, "InsufficientPods"),
        };
        self.set_disruption_allowed(status, reason, String::new(), now);
    }

    /// Sets the condition `DisruptionAllowed`; its transition time stays while its status does.
    pub fn set_disruption_allowed(
        &mut self,
        status: ConditionStatus,
        reason: &'static str,
        message: String,
        now: SimTime,
    ) {
        let now = now.floor_to_second();
        let known = self.conditions.iter_mut().find(|one| one.kind == DISRUPTION_ALLOWED);
        let since = known.as_ref().filter(|one| one.status == status);
        let last_transition = since.map_or(now, |one| one.last_transition);
        let condition = WorkloadCondition {
            kind: DISRUPTION_ALLOWED,
            status,
            reason,
            message: message.into(),
            last_update: last_transition,
            last_transition,
        };
        match known {
            Some(known) => *known = condition,
            None => self.conditions.push(condition),
        }
    }
}

impl Object for PodDisruptionBudget {
    const KIND: Kind = Kind::PodDisruptionBudget;
    type Spec = PodDisruptionBudgetSpec;
    type Status = PodDisruptionBudgetStatus;

    object::accessors!(PodDisruptionBudgetStatus);

    fn new(_: &mut Store, meta: ObjectMeta, spec: PodDisruptionBudgetSpec) -> Self {
        Self { meta, spec, status: PodDisruptionBudgetStatus::default() }
    }

    fn update(
        store: &mut Store,
        id: PodDisruptionBudgetId,
        meta: ObjectMeta,
        spec: PodDisruptionBudgetSpec,
    ) -> Result<bool, Refused> {
        let budget = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        Ok(object::replace((&mut budget.meta, &mut budget.spec), meta, spec))
    }

    fn index(store: &mut Store, id: PodDisruptionBudgetId) {
        store.reindex(Selecting::PodDisruptionBudget(id));
    }

    fn removed(
        self,
        store: &mut Store,
        _: SimTime,
        id: PodDisruptionBudgetId,
        _: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        store.reindex(Selecting::PodDisruptionBudget(id));
        Ok(())
    }
}
