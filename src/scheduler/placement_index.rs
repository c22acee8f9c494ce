//! Fast path for decisions: scores of each node are cached per pod class and recomputed only for changed nodes.
//! Either decides exactly as [`super::decision::decide`] does, or not at all.

use super::cache::Cache;
use super::framework::{
    CycleContext, NodeFilter, NodeScore, PluginName, PreFilter, Refusal, Scope,
};
use super::node_info::{ClassId, NodeInfo};
use super::nominations::Nominations;
use super::profile::{Profile, Scorer};
use super::refusals::RefusalCounts;
use super::sampling::nodes_to_find;
use super::score_blocks::{INFEASIBLE, ScoreBlocks};
use super::tie_break::TieBreaker;

/// Placement of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The node's slot.
    pub node: usize,
    /// Start position of the next cycle's search in the node order.
    pub next_start: usize,
}

/// Cached scores of all nodes for all classes of pods placed so far.
#[derive(Clone, Debug, Default)]
pub struct PlacementIndex {
    /// By class; classes that every node treats identically share the table of the first of them.
    tables: Vec<Option<Box<ClassTable>>>,
}

/// Scores of all nodes for one class, limited to the plugins that depend on each node alone.
#[derive(Clone, Debug)]
struct ClassTable {
    /// The cache generation of the scores.
    generation: u64,
    /// The node-order version of the positions.
    order_version: u64,
    /// The slots in that order.
    order: Vec<usize>,
    /// By position in the order of nodes.
    scores: ScoreBlocks,
    /// Refusals of the infeasible nodes, computed on demand.
    refusals: Option<RefusalCounts>,
    /// Whether it is unusable for the class: a score is too large, or PreFilter names certain nodes.
    is_unfit: bool,
}

type Filters<'c> = Vec<(PluginName, Box<dyn NodeFilter + 'c>)>;
type Scorers<'c> = Vec<(i64, Box<dyn NodeScore + 'c>)>;

impl PlacementIndex {
    /// The placement of the pod; `None` if that requires a full cycle: no node is feasible, pods are nominated, or a
    /// plugin needs data that the index lacks.
    pub fn place(
        &mut self,
        profile: &Profile,
        cycle: &CycleContext<'_>,
        class: ClassId,
        nominations: &Nominations,
        start: usize,
        ties: &mut TieBreaker,
    ) -> Option<Placement> {
        if !nominations.is_empty() || cycle.pod.nominated_node.is_some() {
            return None;
        }
        let shared = cycle.cache.alike(class).index();
        if self.tables.len() <= shared {
            self.tables.resize_with(shared + 1, || None);
        }
        let table = self.tables[shared].get_or_insert_with(Box::default);
        table.update(profile, cycle);
        if table.is_unfit || profile.scorers.is_empty() {
            return None;
        }
        let filters = cluster_filters(profile, cycle)?;
        let varies =
            |one: &&Scorer| one.plugin.scope() == Scope::Cluster && !one.plugin.is_uniform(cycle);
        let scorers: Vec<&Scorer> = profile.scorers.iter().filter(varies).collect();
        if filters.is_empty() && scorers.is_empty() {
            table.best(profile, cycle, start, ties)
        } else {
            table.search(profile, cycle, (&filters, &scorers), start, ties)
        }
    }
}

impl PlacementIndex {
    /// Why no node does, if none does and nothing but the nodes themselves has a say: where pods are nominated, or a
    /// plugin considers more than one node, or pods of lower priority exist, a full cycle is needed.
    pub fn refusal(
        &mut self,
        profile: &Profile,
        cycle: &CycleContext<'_>,
        class: ClassId,
        nominations: &Nominations,
    ) -> Option<&RefusalCounts> {
        let cache = cycle.cache;
        let has_lesser =
            cache.least_priority().is_some_and(|least| least < cycle.pod.class.priority);
        if !nominations.is_empty()
            || cycle.pod.nominated_node.is_some()
            || has_lesser
            || profile.post_filters.is_empty()
            || cache.node_count() == 0
            || !cluster_filters(profile, cycle)?.is_empty()
        {
            return None;
        }
        let shared = cache.alike(class).index();
        if self.tables.len() <= shared {
            self.tables.resize_with(shared + 1, || None);
        }
        let table = self.tables[shared].get_or_insert_with(Box::default);
        table.update(profile, cycle);
        if table.is_unfit || table.scores.best(0..table.scores.len()).score != INFEASIBLE {
            return None;
        }
        if table.refusals.is_none() {
            let verdict = NodeVerdict::new(profile, cycle)?;
            let nodes = cache.nodes().map(|node| verdict.refusal(node));
            table.refusals = Some(RefusalCounts::new(nodes));
        }
        table.refusals.as_ref()
    }
}

impl Default for ClassTable {
    fn default() -> Self {
        // No order has this version, so everything is computed at the first use.
        Self {
            generation: 0,
            order_version: u64::MAX,
            order: Vec::new(),
            scores: ScoreBlocks::default(),
            refusals: None,
            is_unfit: false,
        }
    }
}

impl ClassTable {
    /// Recomputes the scores of nodes changed since the last update.
    fn update(&mut self, profile: &Profile, cycle: &CycleContext<'_>) {
        let cache = cycle.cache;
        let is_reordered = self.order_version != cache.order_version();
        if is_reordered {
            self.reorder(cache);
        }
        if (is_reordered || self.generation != cache.generation()) && !self.is_unfit {
            self.is_unfit = !self.judge_changed(profile, cycle);
        }
        self.generation = cache.generation();
    }

    /// Follows a change of the nodes' order: scores and refusals move with their nodes.
    fn reorder(&mut self, cache: &Cache) {
        let mut positions = vec![u32::MAX; cache.slots()];
        for (position, slot) in (0..).zip(&self.order) {
            positions[*slot] = position;
        }
        let old = cache.order().iter().map(|slot| positions[*slot] as usize);
        let old: Vec<Option<usize>> =
            old.map(|position| Some(position).filter(|at| *at < self.order.len())).collect();
        let score = |old: &Option<usize>| old.map_or(INFEASIBLE, |at| self.scores.get(at));
        self.scores = ScoreBlocks::new(old.iter().map(score).collect());
        if let Some(refusals) = &mut self.refusals {
            refusals.reorder(&old);
        }
        self.order = cache.order().to_vec();
        self.order_version = cache.order_version();
    }

    /// Scores the nodes that changed; false if the table is unusable for the class.
    fn judge_changed(&mut self, profile: &Profile, cycle: &CycleContext<'_>) -> bool {
        let cache = cycle.cache;
        let Some(verdict) = NodeVerdict::new(profile, cycle) else { return false };
        for slot in cache.changed_since(self.generation) {
            let Some(score) = verdict.of(cache.node(slot)) else { return false };
            self.scores.set(cache.position(slot), score);
            if let Some(refusals) = &mut self.refusals {
                refusals.set(cache.position(slot), verdict.refusal(cache.node(slot)));
            }
        }
        true
    }

    /// The best node, if only the scores of each node by itself count.
    fn best(
        &self,
        profile: &Profile,
        cycle: &CycleContext<'_>,
        start: usize,
        ties: &mut TieBreaker,
    ) -> Option<Placement> {
        let scores = &self.scores;
        let nodes = scores.len();
        let wanted = nodes_to_find(profile.percentage_of_nodes_to_score, nodes);
        let start = if nodes == 0 { 0 } else { start % nodes };
        // The nodes examined by a search from `start` until it finds one more feasible node than wanted.
        let (behind, before) = if wanted >= nodes {
            (start..nodes, 0..start)
        } else {
            match scores.nth_feasible(start..nodes, wanted) {
                Ok(end) => (start..end, 0..0),
                Err(found) => {
                    let end = scores.nth_feasible(0..start, wanted - found).unwrap_or(start);
                    (start..nodes, 0..end)
                }
            }
        };
        let looked_at = behind.len() + before.len();
        let (first, second) = (scores.best(behind.clone()), scores.best(before.clone()));
        let best = first.score.max(second.score);
        if best == INFEASIBLE {
            return None;
        }
        let count =
            |part: super::score_blocks::Best| if part.score == best { part.count } else { 0 };
        let (first, second) = (count(first), count(second));
        let nth = |rank: usize| {
            let found = if rank < first {
                scores.nth_best(behind.clone(), best, rank)
            } else {
                scores.nth_best(before.clone(), best, rank - first)
            };
            cycle.cache.order()[found.expect("there are as many as were counted")]
        };
        let all =
            scores.each_best(behind.clone(), best).chain(scores.each_best(before.clone(), best));
        let all = all.map(|position| cycle.cache.order()[position]);
        let node = ties.pick_from(cycle.cache, first + second, nth, all)?;
        Some(Placement { node, next_start: (start + looked_at) % nodes })
    }

    /// The best node, taking into account plugins that depend on several nodes.
    fn search(
        &self,
        profile: &Profile,
        cycle: &CycleContext<'_>,
        (filters, scorers): (&Filters<'_>, &[&Scorer]),
        start: usize,
        ties: &mut TieBreaker,
    ) -> Option<Placement> {
        let order = cycle.cache.order();
        let wanted = nodes_to_find(profile.percentage_of_nodes_to_score, order.len());
        let mut feasible = Vec::with_capacity(wanted);
        let mut totals = Vec::with_capacity(wanted);
        let mut looked_at = 0;
        let start = if order.is_empty() { 0 } else { start % order.len() };
        for position in (start..order.len()).chain(0..start) {
            let score = self.scores.get(position);
            if score != INFEASIBLE && admits(filters, cycle.cache, order[position]) {
                if feasible.len() == wanted {
                    break;
                }
                feasible.push(order[position]);
                totals.push(i64::from(score));
            }
            looked_at += 1;
        }
        let next_start = (start + looked_at) % order.len().max(1);
        let node = match feasible.as_slice() {
            [] => return None,
            [only] => *only,
            many => {
                add_cluster_scores(scorers, cycle, many, &mut totals);
                let best = totals.iter().max()?;
                let scored = many.iter().zip(&totals);
                let top: Vec<usize> =
                    scored.filter(|(_, total)| *total == best).map(|(node, _)| *node).collect();
                ties.pick(cycle.cache, &top)?
            }
        };
        Some(Placement { node, next_start })
    }
}

/// The filters that depend on several nodes; `None` if a full cycle is needed.
fn cluster_filters<'c>(profile: &'c Profile, cycle: &CycleContext<'c>) -> Option<Filters<'c>> {
    let mut found = Vec::new();
    for entry in &profile.pre_filters {
        let Some(plugin) = &entry.plugin else { continue };
        if plugin.scope() == Scope::Node {
            continue;
        }
        match plugin.pre_filter(cycle) {
            PreFilter::Skip => {}
            PreFilter::Check { only: None, filter } => found.push((entry.name, filter)),
            PreFilter::Refuse(_) | PreFilter::Check { .. } => return None,
        }
    }
    // A plugin can run at PreFilter without running at Filter.
    found.retain(|(name, _)| profile.filters.contains(name));
    Some(found)
}

fn admits(filters: &Filters<'_>, cache: &Cache, slot: usize) -> bool {
    filters.iter().all(|(_, filter)| filter.admits(cache, slot))
}

fn add_cluster_scores(
    scorers: &[&Scorer],
    cycle: &CycleContext<'_>,
    feasible: &[usize],
    totals: &mut [i64],
) {
    for scorer in scorers {
        let Some(scoring) = scorer.plugin.pre_score(cycle, feasible) else { continue };
        let mut scores = scoring.score_each(cycle.cache, feasible);
        scoring.normalize(&mut scores);
        for (score, total) in scores.iter().zip(totals.iter_mut()) {
            *total += score * scorer.weight;
        }
    }
}

/// The filters and scores that follow from one node alone.
struct NodeVerdict<'c> {
    filters: Filters<'c>,
    scorers: Scorers<'c>,
}

impl<'c> NodeVerdict<'c> {
    /// `None` if PreFilter itself refuses the pod, or names certain nodes.
    fn new(profile: &'c Profile, cycle: &CycleContext<'c>) -> Option<Self> {
        let mut filters = Vec::with_capacity(profile.pre_filters.len());
        for entry in &profile.pre_filters {
            let Some(plugin) = &entry.plugin else { continue };
            if plugin.scope() == Scope::Cluster {
                continue;
            }
            match plugin.pre_filter(cycle) {
                PreFilter::Skip => {}
                PreFilter::Check { only: None, filter } => filters.push((entry.name, filter)),
                PreFilter::Refuse(_) | PreFilter::Check { .. } => return None,
            }
        }
        // In the order in which they filter a node: the first that rejects it gives the reason.
        let place = |name: &PluginName| profile.filters.iter().position(|one| one == name);
        filters.retain(|(name, _)| place(name).is_some());
        filters.sort_by_key(|(name, _)| place(name));
        let local = profile.scorers.iter().filter(|one| one.plugin.scope() == Scope::Node);
        let scorers =
            local.filter_map(|one| Some((one.weight, one.plugin.pre_score(cycle, &[])?))).collect();
        Some(Self { filters, scorers })
    }

    /// The first plugin that rejects a node, and why; `None` if none does.
    fn refusal(&self, node: &NodeInfo) -> Option<(PluginName, Refusal)> {
        self.filters.iter().find_map(|(name, filter)| Some((*name, filter.filter(node).err()?)))
    }

    /// A node's score; `None` if it is out of range.
    fn of(&self, node: &NodeInfo) -> Option<i16> {
        if !self.filters.iter().all(|(_, filter)| filter.passes(node)) {
            return Some(INFEASIBLE);
        }
        let total: i64 =
            self.scorers.iter().map(|(weight, scoring)| weight * scoring.score(node)).sum();
        i16::try_from(total).ok().filter(|total| *total >= 0)
    }
}
