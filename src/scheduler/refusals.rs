//! Counts of the reasons for which nodes reject a class of pods, updated node by node, so that the message of an
//! unschedulable pod needs no pass over all nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::framework::{Code, CycleContext, PluginName, Reason, Refusal};
use super::message::histogram_of_counts;
use super::plugins::dynamic_resources::NOTHING_TO_DEALLOCATE;
use super::plugins::{DEFAULT_PREEMPTION, DYNAMIC_RESOURCES};
use super::preemption::{HELPS_NOT, NEVER, no_victims};
use super::profile::Profile;
use cluster::pod_template::PreemptionPolicy;

/// The reasons for which each node rejects a class of pods that fits nowhere.
#[derive(Clone, Debug, Default)]
pub struct RefusalCounts {
    /// Index into `distinct` of each node's refusal, by position; `None` for a node that fits.
    by_position: Vec<Option<u32>>,
    /// The distinct refusals, each with the number of nodes that give it.
    distinct: Vec<((PluginName, Refusal), usize)>,
    numbers: BTreeMap<(PluginName, Refusal), u32>,
}

impl RefusalCounts {
    /// Counts the refusals of the nodes, given in their order.
    pub(super) fn new(nodes: impl Iterator<Item = Option<(PluginName, Refusal)>>) -> Self {
        let mut counts = Self::default();
        for (position, refusal) in nodes.enumerate() {
            counts.by_position.push(None);
            counts.set(position, refusal);
        }
        counts
    }

    /// Replaces a node's refusal.
    pub(super) fn set(&mut self, position: usize, refusal: Option<(PluginName, Refusal)>) {
        let number = refusal.map(|refusal| {
            let next = u32::try_from(self.distinct.len()).unwrap_or(u32::MAX);
            *self.numbers.entry(refusal).or_insert_with_key(|refusal| {
                self.distinct.push((refusal.clone(), 0));
                next
            })
        });
        if let Some(before) = std::mem::replace(&mut self.by_position[position], number) {
            self.distinct[before as usize].1 -= 1;
        }
        if let Some(number) = number {
            self.distinct[number as usize].1 += 1;
        }
    }

    /// Follows a change of the nodes' order: `old` has the previous position for each new one, `None` for a new node.
    pub(super) fn reorder(&mut self, old: &[Option<usize>]) {
        let moved = |old: &Option<usize>| old.and_then(|at| self.by_position[at]);
        self.by_position = old.iter().map(moved).collect();
        self.distinct.iter_mut().for_each(|(_, nodes)| *nodes = 0);
        for number in self.by_position.iter().flatten() {
            self.distinct[*number as usize].1 += 1;
        }
    }

    fn counted(&self) -> impl Iterator<Item = (PluginName, &Refusal, usize)> {
        let distinct = self.distinct.iter().filter(|(_, nodes)| *nodes > 0);
        distinct.map(|((plugin, refusal), nodes)| (*plugin, refusal, *nodes))
    }

    /// The plugins that reject any node, each once.
    pub(super) fn rejecting_plugins(&self) -> Arc<[PluginName]> {
        let mut plugins: Vec<PluginName> = self.counted().map(|(plugin, ..)| plugin).collect();
        plugins.sort_unstable();
        plugins.dedup();
        plugins.into()
    }

    /// The distinct reasons given by any node.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let all = self.counted().flat_map(|(_, refusal, _)| &refusal.reasons);
        let mut reasons: Vec<Reason> = all.cloned().collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }

    /// Number of nodes that preemption would examine.
    pub(super) fn potential(&self) -> usize {
        let helps = self.counted().filter(|(_, refusal, _)| refusal.code == Code::Unschedulable);
        helps.map(|(.., nodes)| nodes).sum()
    }

    /// The message of the FailedScheduling event if no pod has a lower priority.
    pub(super) fn message(&self, profile: &Profile, cycle: &CycleContext<'_>) -> String {
        let nodes = self.by_position.len();
        let refusals = self.counted().map(|(_, refusal, nodes)| (refusal, nodes));
        let head = histogram_of_counts(nodes, refusals, None);
        let parts: Vec<String> = profile
            .post_filters
            .iter()
            .filter_map(|name| self.of_post_filter(name, cycle))
            .collect();
        if parts.is_empty() { head } else { format!("{head} {}", parts.join(", ")) }
    }

    fn of_post_filter(&self, name: &str, cycle: &CycleContext<'_>) -> Option<String> {
        if name == DYNAMIC_RESOURCES {
            return Some(NOTHING_TO_DEALLOCATE.to_owned());
        }
        (name == DEFAULT_PREEMPTION).then(|| {
            if cycle.pod.class.preemption_policy == PreemptionPolicy::Never {
                return format!("preemption: {NEVER}");
            }
            let (none, others) = (no_victims(), Refusal::unresolvable(HELPS_NOT));
            let potential = self.potential();
            let looked_at = (potential > 0).then_some((&none, potential));
            let nodes = self.by_position.len();
            format!(
                "preemption: {}",
                histogram_of_counts(nodes, looked_at.into_iter(), Some(&others))
            )
        })
    }
}
