//! Why no node takes a kind of pods, kept up to date node by node: what there is to tell is counted and not searched for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::framework::{Code, CycleContext, PluginName, Reason, Refusal};
use super::message::histogram_of_counts;
use super::plugins::dynamic_resources::NOTHING_TO_DEALLOCATE;
use super::plugins::{DEFAULT_PREEMPTION, DYNAMIC_RESOURCES};
use super::preemption::{HELPS_NOT, NEVER, no_victims};
use super::profile::Profile;
use cluster::pod_template::PreemptionPolicy;

/// What the nodes say of a kind of pods that none of them takes.
#[derive(Clone, Debug, Default)]
pub struct RefusalCounts {
    /// What each node says, by its position; absent for one that does.
    by_position: Vec<Option<u32>>,
    /// What was said by any, with how many nodes say so.
    said: Vec<((PluginName, Refusal), usize)>,
    numbers: BTreeMap<(PluginName, Refusal), u32>,
}

impl RefusalCounts {
    /// What the nodes say, in their order.
    pub(super) fn new(nodes: impl Iterator<Item = Option<(PluginName, Refusal)>>) -> Self {
        let mut counts = Self::default();
        for (position, refusal) in nodes.enumerate() {
            counts.by_position.push(None);
            counts.set(position, refusal);
        }
        counts
    }

    /// A node says this now.
    pub(super) fn set(&mut self, position: usize, refusal: Option<(PluginName, Refusal)>) {
        let number = refusal.map(|refusal| {
            let next = u32::try_from(self.said.len()).unwrap_or(u32::MAX);
            *self.numbers.entry(refusal).or_insert_with_key(|refusal| {
                self.said.push((refusal.clone(), 0));
                next
            })
        });
        if let Some(before) = std::mem::replace(&mut self.by_position[position], number) {
            self.said[before as usize].1 -= 1;
        }
        if let Some(number) = number {
            self.said[number as usize].1 += 1;
        }
    }

    /// Nodes came, went or changed places: of each position, which it was before; a node that came has said nothing.
    pub(super) fn reorder(&mut self, old: &[Option<usize>]) {
        let said = |old: &Option<usize>| old.and_then(|at| self.by_position[at]);
        self.by_position = old.iter().map(said).collect();
        self.said.iter_mut().for_each(|(_, nodes)| *nodes = 0);
        for number in self.by_position.iter().flatten() {
            self.said[*number as usize].1 += 1;
        }
    }

    fn counted(&self) -> impl Iterator<Item = (PluginName, &Refusal, usize)> {
        let said = self.said.iter().filter(|(_, nodes)| *nodes > 0);
        said.map(|((plugin, refusal), nodes)| (*plugin, refusal, *nodes))
    }

    /// The plugins that reject any node, each once.
    pub(super) fn rejecting_plugins(&self) -> Arc<[PluginName]> {
        let mut plugins: Vec<PluginName> = self.counted().map(|(plugin, ..)| plugin).collect();
        plugins.sort_unstable();
        plugins.dedup();
        plugins.into()
    }

    /// The reasons that any node has, each once.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let all = self.counted().flat_map(|(_, refusal, _)| &refusal.reasons);
        let mut reasons: Vec<Reason> = all.cloned().collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }

    /// How many nodes preemption would look at.
    pub(super) fn potential(&self) -> usize {
        let helps = self.counted().filter(|(_, refusal, _)| refusal.code == Code::Unschedulable);
        helps.map(|(.., nodes)| nodes).sum()
    }

    /// The text of the FailedScheduling event where there are no less important pods.
    pub(super) fn message(&self, profile: &Profile, cycle: &CycleContext<'_>) -> String {
        let nodes = self.by_position.len();
        let said = self.counted().map(|(_, refusal, nodes)| (refusal, nodes));
        let head = histogram_of_counts(nodes, said, None);
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
