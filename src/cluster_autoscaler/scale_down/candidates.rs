//! Candidates for removal, and their order (`processors/nodes`, `processors/scaledowncandidates`).

use rustc_hash::FxHashSet;

use super::drainability::{DrainContext, moves_nothing};
use crate::nodes::LoopNode;
use crate::options::Options;
use crate::provider::CloudProvider;
use crate::registry::LastChanges;
use crate::snapshot::Snapshot;
use cluster::Name;
use engine::SimTime;

/// The nodes of groups above their minimum size, by position in `nodes`: empty ones first, then those that were
/// unneeded in the previous loop.
pub(crate) fn candidates(
    nodes: &[LoopNode],
    snapshot: &Snapshot,
    cloud: &dyn CloudProvider,
    previous: &FxHashSet<Name>,
    changes: &LastChanges,
    options: &Options,
    now: SimTime,
) -> Vec<usize> {
    let groups = cloud.node_groups();
    let may_shrink = |one: &LoopNode| {
        let group = one.group.and_then(|group| groups.get(group));
        group.is_some_and(|group| group.target_size > group.min_size)
    };
    let context = DrainContext { options, budgets: None, view: None, now };
    // Nodes with pods that must complete first come last, empty or not.
    let rank = |one: &LoopNode| {
        let slot = snapshot.slot_of(one.id);
        let moves = |slot| snapshot.node(slot).moves_nothing(|pods| moves_nothing(pods, context));
        slot.and_then(moves).map_or((1, false), |has_on_completion| (0, has_on_completion))
    };
    let mut found: Vec<((i32, bool), bool, usize)> = Vec::new();
    for (place, one) in nodes.iter().enumerate().filter(|(_, one)| may_shrink(one)) {
        found.push((rank(one), !previous.contains(one.name()), place));
    }
    found.sort_by_key(|(rank, is_new, _)| (*rank, *is_new));
    let local = options.scale_down_delay_type_local;
    let is_free = |place: &usize| {
        let group = nodes[*place].group.and_then(|group| groups.get(group));
        !local || group.is_none_or(|group| !changes.delay(&group.id, options, now))
    };
    found.into_iter().map(|(.., place)| place).filter(is_free).collect()
}
