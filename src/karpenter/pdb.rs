//! PodDisruptionBudgets as far as they block the disruption of nodes (`pkg/utils/pdb`).

use super::pod::Pod;
use cluster::NamespacedName;
use cluster::selector::Selector;
use engine::SimTime;

/// A PodDisruptionBudget.
#[derive(Clone, Debug)]
pub struct PodBudget {
    /// Namespace and name.
    pub id: NamespacedName,
    /// The pods of the namespace that it covers; absent = none.
    pub selector: Option<Selector>,
    /// `status.disruptionsAllowed`.
    pub disruptions_allowed: i32,
    /// True if it never allows an eviction: `maxUnavailable` of 0 or `0%`, or `minAvailable` of `100%`.
    pub is_fully_blocking: bool,
    /// True if pods that are not ready may always be evicted.
    pub always_allows_unhealthy: bool,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Budgets(pub Vec<PodBudget>);

impl Budgets {
    /// Why one of the pods cannot be evicted now; `None` if all can (`CanEvictPods`).
    pub(crate) fn blocker<'a>(
        &self,
        pods: impl Iterator<Item = &'a Pod>,
        now: SimTime,
    ) -> Option<String> {
        pods.into_iter().find_map(|pod| self.refusal(pod, now, |one| one.disruptions_allowed == 0))
    }

    /// True if a pod can never be evicted (`isFullyBlocked`).
    pub(crate) fn fully_block(&self, pod: &Pod, now: SimTime) -> bool {
        self.refusal(pod, now, |one| one.is_fully_blocking).is_some()
    }

    fn refusal(&self, pod: &Pod, now: SimTime, blocks: fn(&PodBudget) -> bool) -> Option<String> {
        if self.0.is_empty() || !pod.is_evictable(now) {
            return None;
        }
        let matches = |one: &&PodBudget| {
            one.id.namespace == pod.id.namespace
                && one.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
        };
        let matching: Vec<&PodBudget> = self.0.iter().filter(matches).collect();
        match matching.as_slice() {
            [] => None,
            [one] if one.always_allows_unhealthy && pod.ready == Some(false) => None,
            [one] => blocks(one).then(|| format!("pdb {} prevents pod evictions", one.id)),
            _ => Some("eviction does not support multiple PDBs".to_owned()),
        }
    }
}
