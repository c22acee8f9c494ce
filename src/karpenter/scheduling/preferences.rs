//! A pod's scheduling constraints, and their step-by-step relaxation (`preferences.go`).

use std::sync::Arc;

use super::kinds::KindId;
use crate::pod::Pod;
use crate::requirements::Requirements;
use crate::state::PreferencePolicy;
use cluster::pod_template::{
    Affinity, PodSpec, TaintEffect, Toleration, TolerationOperator, TopologySpreadConstraint,
    WhenUnsatisfiable,
};

/// A relaxation step of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relaxation {
    /// Drops the first of several required node affinity terms.
    RequiredNodeAffinityTerm,
    /// Drops the heaviest preferred pod affinity.
    PreferredPodAffinity,
    /// Drops the heaviest preferred pod anti-affinity.
    PreferredPodAntiAffinity,
    /// Drops the heaviest preferred node affinity.
    PreferredNodeAffinity,
    /// Drops a spread constraint with `ScheduleAnyway`.
    ScheduleAnywaySpread,
    /// Tolerates `PreferNoSchedule` taints.
    PreferNoScheduleTaints,
}

impl Relaxation {
    /// The beginning of Karpenter's log message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequiredNodeAffinityTerm => {
                "removing: spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"
            }
            Self::PreferredPodAffinity => {
                "removing: spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]"
            }
            Self::PreferredPodAntiAffinity => {
                "removing: spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]"
            }
            Self::PreferredNodeAffinity => {
                "removing: spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]"
            }
            Self::ScheduleAnywaySpread => "removing: spec.topologySpreadConstraints",
            Self::PreferNoScheduleTaints => "adding: toleration for PreferNoSchedule taints",
        }
    }
}

/// The constraints of a pod at its current relaxation. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct PodConstraints {
    /// Its position among the pods of the pass.
    pub(super) index: usize,
    pub(super) pod: Arc<Pod>,
    /// Its kind, until it is relaxed.
    pub(super) kind: Option<KindId>,
    pub(super) affinity: Arc<Affinity>,
    pub(super) tolerations: Arc<Vec<Toleration>>,
    pub(super) spread: Arc<Vec<TopologySpreadConstraint>>,
    /// Including the heaviest preference.
    pub(super) requirements: Requirements,
    /// Without preferences.
    pub(super) strict: Requirements,
}

impl PodConstraints {
    /// The constraints of a pod before any relaxation.
    pub(super) fn new(index: usize, pod: &Arc<Pod>, policy: PreferencePolicy) -> Self {
        let spec = &pod.template.spec;
        let mut constraints = Self {
            index,
            pod: Arc::clone(pod),
            kind: None,
            affinity: Arc::new(spec.affinity.clone()),
            tolerations: Arc::new(spec.tolerations.clone()),
            spread: Arc::new(spec.topology_spread.clone()),
            requirements: Requirements::default(),
            strict: Requirements::default(),
        };
        constraints.require(policy);
        constraints
    }

    /// Computes the requirements on nodes (`updateCachedPodData`).
    pub(super) fn require(&mut self, policy: PreferencePolicy) {
        let selector = &self.spec().node_selector;
        let strict = Requirements::of_pod(selector, &self.affinity, true);
        let has_preference = !self.affinity.preferred_node.is_empty();
        self.requirements = if has_preference && policy == PreferencePolicy::Respect {
            Requirements::of_pod(selector, &self.affinity, false)
        } else {
            strict.clone()
        };
        self.strict = strict;
    }

    /// The original spec; relaxed constraints are in the other fields.
    pub(super) fn spec(&self) -> &PodSpec {
        &self.pod.template.spec
    }

    /// Relaxes the pod by one step, if any is left (`Relax`).
    pub(super) fn relax(&mut self, may_tolerate: bool) -> Option<Relaxation> {
        self.kind = None;
        self.drop_required_term()
            .or_else(|| {
                let preferred = &mut Arc::make_mut(&mut self.affinity).preferred_pod;
                drop_heaviest(preferred).then_some(Relaxation::PreferredPodAffinity)
            })
            .or_else(|| {
                let preferred = &mut Arc::make_mut(&mut self.affinity).preferred_anti;
                drop_heaviest(preferred).then_some(Relaxation::PreferredPodAntiAffinity)
            })
            .or_else(|| {
                let preferred = &mut Arc::make_mut(&mut self.affinity).preferred_node;
                drop_heaviest(preferred).then_some(Relaxation::PreferredNodeAffinity)
            })
            .or_else(|| self.drop_spread())
            .or_else(|| if may_tolerate { self.tolerate_soft_taints() } else { None })
    }

    /// Drops the first required term, unless it is the last.
    pub(super) fn drop_required_term(&mut self) -> Option<Relaxation> {
        if self.affinity.required_node.as_ref().is_none_or(|terms| terms.len() < 2) {
            return None;
        }
        let terms = Arc::make_mut(&mut self.affinity).required_node.as_mut()?;
        terms.remove(0);
        Some(Relaxation::RequiredNodeAffinityTerm)
    }

    fn drop_spread(&mut self) -> Option<Relaxation> {
        let is_soft = |one: &TopologySpreadConstraint| {
            one.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway
        };
        let place = self.spread.iter().position(is_soft)?;
        Arc::make_mut(&mut self.spread).swap_remove(place);
        Some(Relaxation::ScheduleAnywaySpread)
    }

    /// Tolerates `PreferNoSchedule` taints, unless it already does.
    pub(super) fn tolerate_soft_taints(&mut self) -> Option<Relaxation> {
        let effect = Some(TaintEffect::PreferNoSchedule);
        let is_it = |one: &Toleration| {
            let is_blank = one.key.is_empty() && one.value.is_empty();
            is_blank && one.effect == effect && one.operator == TolerationOperator::Exists
        };
        if self.tolerations.iter().any(is_it) {
            return None;
        }
        Arc::make_mut(&mut self.tolerations).push(Toleration {
            key: "".into(),
            operator: TolerationOperator::Exists,
            value: "".into(),
            effect,
            toleration_seconds: None,
        });
        Some(Relaxation::PreferNoScheduleTaints)
    }
}

/// Drops the heaviest of these preferences, if there is any.
fn drop_heaviest<T>(preferred: &mut Vec<(i32, T)>) -> bool {
    preferred.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    if preferred.is_empty() {
        return false;
    }
    preferred.remove(0);
    true
}
