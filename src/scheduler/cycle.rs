//! One scheduling cycle as pure functions: feasible nodes, reasons for rejecting the others, and scores
//! (`pkg/scheduler/schedule_one.go` and `framework/runtime/framework.go`, 1.36).

use super::framework::{Code, CycleContext, NodeFilter, PluginName, PreFilter, Reason, Refusal};
use super::gpu::DeviceSet;
use super::node_info::{NodeInfo, PlacedPod};
use super::nominations::Nominations;
use super::plugins::DYNAMIC_RESOURCES;
use super::profile::Profile;
use super::sampling::nodes_to_find;

/// Result of PreFilter for a pod.
pub struct Prepared<'c> {
    /// The filters that have something to check, in the order of the profile.
    pub filters: Vec<(PluginName, Box<dyn NodeFilter + 'c>)>,
    /// The only candidate nodes (slots), with the plugins that restricted them.
    pub only: Option<(Vec<usize>, Vec<PluginName>)>,
    /// A rejection of all nodes, if any.
    pub refusal: Option<PreFilterRefusal>,
}

/// A rejection in PreFilter, before any node was examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreFilterRefusal {
    /// The rejecting plugin.
    pub plugin: PluginName,
    /// Its status.
    pub refusal: Refusal,
    /// Whether DynamicResources had already run.
    pub after_dynamic_resources: bool,
}

/// An infeasible node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its slot.
    pub node: usize,
    /// The first plugin that rejected it.
    pub plugin: PluginName,
    /// Its status.
    pub refusal: Refusal,
}

/// The feasible nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feasibility {
    /// Slots of the feasible nodes, in the order in which they were found.
    pub feasible: Vec<usize>,
    /// Rejections of the other nodes.
    pub diagnosis: Diagnosis,
    /// Start position of the next cycle's search.
    pub next_start: usize,
    /// Whether the nominated node was feasible, so that no other was examined.
    pub is_nominated_node: bool,
}

/// Reasons why nodes are infeasible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// Number of nodes.
    pub node_count: usize,
    /// Nodes rejected by filters.
    pub rejected: Vec<Rejection>,
    /// Rejection of all nodes by PreFilter.
    pub pre_filter: Option<PreFilterRefusal>,
    /// If plugins narrowed the candidate nodes in PreFilter, their names, sorted, with that of the plugin that rejected
    /// the nominated node; else empty.
    pub narrowed_by: Vec<PluginName>,
}

impl Diagnosis {
    /// The plugins that rejected any node, each once.
    pub(crate) fn rejecting_plugins(&self) -> Vec<PluginName> {
        let mut plugins: Vec<PluginName> = self.rejected.iter().map(|one| one.plugin).collect();
        plugins.extend(&self.narrowed_by);
        plugins.extend(self.pre_filter.iter().map(|refused| refused.plugin));
        plugins.sort_unstable();
        plugins.dedup();
        plugins
    }

    /// The distinct reasons given by any node.
    pub fn reasons(&self) -> Vec<Reason> {
        let rejected = self.rejected.iter().map(|one| &one.refusal);
        let all = rejected.chain(self.pre_filter.iter().map(|refused| &refused.refusal));
        let mut reasons: Vec<&Reason> = all.flat_map(|refusal| &refusal.reasons).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons.into_iter().cloned().collect()
    }

    /// The refusal of the nodes that were not examined.
    pub fn of_absent(&self) -> Option<Refusal> {
        match &self.pre_filter {
            Some(refused) => Some(refused.refusal.clone()),
            None if self.narrowed_by.is_empty() => None,
            None => {
                let plugins = self.narrowed_by.join(" ");
                let reason = format!("node(s) didn't satisfy plugin(s) [{plugins}]");
                Some(Refusal::unresolvable(reason))
            }
        }
    }

    /// Whether preemption cannot help on a node.
    pub(crate) fn is_unresolvable(&self, node: usize) -> bool {
        match self.rejected.iter().find(|one| one.node == node) {
            Some(rejection) => rejection.refusal.code == Code::UnschedulableAndUnresolvable,
            None => true,
        }
    }
}

/// Runs PreFilter.
pub fn prepare<'c>(profile: &'c Profile, cycle: &CycleContext<'c>) -> Prepared<'c> {
    let mut found: Vec<(PluginName, Box<dyn NodeFilter + 'c>)> = Vec::new();
    let mut only: Option<Vec<usize>> = None;
    let mut narrowed_by = Vec::new();
    let mut refusal = None;
    let mut after_dynamic_resources = false;
    for entry in &profile.pre_filters {
        after_dynamic_resources |= entry.name == DYNAMIC_RESOURCES;
        let Some(plugin) = &entry.plugin else { continue };
        match plugin.pre_filter(cycle) {
            PreFilter::Skip => {}
            PreFilter::Refuse(said) => {
                let plugin = entry.name;
                refusal = Some(PreFilterRefusal { plugin, refusal: said, after_dynamic_resources });
                break;
            }
            PreFilter::Check { only: narrowed, filter } => {
                found.push((entry.name, filter));
                if let Some(narrowed) = narrowed {
                    narrowed_by.push(entry.name);
                    only = Some(intersection(only.take(), narrowed));
                }
            }
        }
    }
    let mut filters = Vec::with_capacity(found.len());
    for name in &profile.filters {
        if let Some(at) = found.iter().position(|(one, _)| one == name) {
            filters.push(found.swap_remove(at));
        }
    }
    narrowed_by.sort_unstable();
    Prepared { filters, only: only.map(|slots| (slots, narrowed_by)), refusal }
}

fn intersection(earlier: Option<Vec<usize>>, later: Vec<usize>) -> Vec<usize> {
    match earlier {
        None => later,
        Some(earlier) => earlier.into_iter().filter(|slot| later.contains(slot)).collect(),
    }
}

/// Runs Filter on a node: first with the nominated pods that count, then without them, because a pod may depend on
/// one of them or conflict with it.
pub fn check(
    filters: &[(PluginName, Box<dyn NodeFilter + '_>)],
    cycle: &CycleContext<'_>,
    nominations: &Nominations,
    node: &NodeInfo,
) -> Result<(), (PluginName, Refusal)> {
    let (priority, pod) = (cycle.pod.class.priority, cycle.pod.id);
    let mut counting = nominations.counting(node.id, priority, pod).peekable();
    if counting.peek().is_some() {
        let mut with_nominated = node.clone();
        let mut copies: Vec<(PluginName, Box<dyn NodeFilter + '_>)> =
            filters.iter().map(|(name, filter)| (*name, filter.boxed_clone())).collect();
        for nominated in counting {
            let class = cycle.cache.class(nominated.class);
            let pod = PlacedPod {
                id: Some(nominated.pod),
                class: nominated.class,
                is_terminating: false,
                devices: DeviceSet::NONE,
            };
            with_nominated.add_pod(pod, class);
            for (_, filter) in &mut copies {
                filter.add_pod(class, &with_nominated);
            }
        }
        run_filters(&copies, &with_nominated)?;
    }
    run_filters(filters, node)
}

/// Runs Filter on a node in its current state.
fn run_filters(
    filters: &[(PluginName, Box<dyn NodeFilter + '_>)],
    node: &NodeInfo,
) -> Result<(), (PluginName, Refusal)> {
    for (name, filter) in filters {
        filter.filter(node).map_err(|refusal| (*name, refusal))?;
    }
    Ok(())
}

/// Finds feasible nodes, starting at position `start` of the order. Stops at the number of nodes to score; a feasible
/// nominated node is taken alone.
pub(crate) fn find_feasible(
    profile: &Profile,
    cycle: &CycleContext<'_>,
    prepared: &Prepared<'_>,
    nominations: &Nominations,
    start: usize,
) -> Feasibility {
    let cache = cycle.cache;
    let mut found = Feasibility {
        diagnosis: Diagnosis { node_count: cache.node_count(), ..Diagnosis::default() },
        next_start: start,
        ..Feasibility::default()
    };
    if let Some(refusal) = &prepared.refusal {
        found.diagnosis.pre_filter = Some(refusal.clone());
        return found;
    }
    let mut nominated = None;
    if let Some(node) = cycle.pod.nominated_node.and_then(|node| cache.get(node)) {
        match check(&prepared.filters, cycle, nominations, node) {
            Ok(()) => {
                found.feasible.push(node.id.index());
                found.is_nominated_node = true;
                return found;
            }
            Err((plugin, refusal)) => {
                nominated = Some(Rejection { node: node.id.index(), plugin, refusal });
            }
        }
    }
    let nodes: &[usize] = match &prepared.only {
        None => cache.order(),
        Some((only, narrowed_by)) => {
            // The real scheduler adds the plugin that rejected the nominated node to the set of those that narrowed
            // the nodes, and names the whole set as the reason for all others.
            let mut narrowed_by = narrowed_by.clone();
            narrowed_by.extend(nominated.iter().map(|rejection| rejection.plugin));
            narrowed_by.sort_unstable();
            narrowed_by.dedup();
            found.diagnosis.narrowed_by = narrowed_by;
            only
        }
    };
    let wanted = if profile.scorers.is_empty() {
        1
    } else {
        nodes_to_find(profile.percentage_of_nodes_to_score, nodes.len())
    };
    for step in 0..nodes.len() {
        let slot = nodes[(start + step) % nodes.len()];
        match check(&prepared.filters, cycle, nominations, cache.node(slot)) {
            // The real scheduler only notices that it has enough when it finds one too many, and so also passes over
            // the infeasible nodes before that one.
            Ok(()) if found.feasible.len() == wanted => break,
            Ok(()) => found.feasible.push(slot),
            Err((plugin, refusal)) => {
                found.diagnosis.rejected.push(Rejection { node: slot, plugin, refusal });
            }
        }
    }
    // The nominated node keeps its status even if the search stopped early or excluded it.
    if let Some(nominated) = nominated
        && !found.diagnosis.rejected.iter().any(|one| one.node == nominated.node)
        && !found.feasible.contains(&nominated.node)
    {
        found.diagnosis.rejected.push(nominated);
    }
    let looked_at = found.feasible.len() + found.diagnosis.rejected.len();
    found.next_start = (start + looked_at) % cache.node_count().max(1);
    found
}

/// The scores of all feasible nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScoreTable {
    /// The nodes (slots).
    pub nodes: Vec<usize>,
    /// Each plugin's weighted scores, aligned with `nodes`; plugins that do not score the pod are
    /// left out.
    pub plugins: Vec<(PluginName, Vec<i64>)>,
    /// The sums, aligned with `nodes`.
    pub totals: Vec<i64>,
}

impl ScoreTable {
    /// The nodes (slots) with the best total.
    pub fn top(&self) -> Vec<usize> {
        let Some(best) = self.totals.iter().max() else { return Vec::new() };
        let scored = self.nodes.iter().zip(&self.totals);
        scored.filter(|(_, total)| *total == best).map(|(node, _)| *node).collect()
    }
}

/// Runs PreScore, Score and NormalizeScore on the feasible nodes.
pub fn score(profile: &Profile, cycle: &CycleContext<'_>, feasible: &[usize]) -> ScoreTable {
    let mut table = ScoreTable {
        nodes: feasible.to_vec(),
        plugins: Vec::with_capacity(profile.scorers.len()),
        totals: vec![0; feasible.len()],
    };
    for scorer in &profile.scorers {
        let Some(scoring) = scorer.plugin.pre_score(cycle, feasible) else { continue };
        let raw = feasible.iter().map(|slot| scoring.score(cycle.cache.node(*slot)));
        let mut scores: Vec<i64> = raw.collect();
        scoring.normalize(&mut scores);
        for (score, total) in scores.iter_mut().zip(&mut table.totals) {
            *score *= scorer.weight;
            *total += *score;
        }
        table.plugins.push((scorer.name, scores));
    }
    table
}
