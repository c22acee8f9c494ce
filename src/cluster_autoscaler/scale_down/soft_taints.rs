//! The soft taint of unneeded nodes (`core/scaledown/actuation/softtaint.go`).

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use crate::nodes::LoopNode;
use crate::options::Options;
use crate::report::Request;
use crate::taints::{DELETION_CANDIDATE, TO_BE_DELETED, deletion_candidate, has_taint};
use cluster::Name;
use cluster::node::{NodeId, Taint};
use engine::SimTime;

/// Removes the taint from nodes that are needed again, then adds it to unneeded nodes, up to the budget of a loop
/// in total. Nodes whose removal began before this loop are left unchanged; `changed` has the taints of those whose
/// removal begins in it.
pub(crate) fn soft_taints(
    nodes: &[LoopNode],
    changed: &BTreeMap<NodeId, Vec<Taint>>,
    unneeded: &FxHashSet<Name>,
    options: &Options,
    now: SimTime,
    requests: &mut Vec<Request>,
) {
    let mut budget = usize::try_from(options.max_bulk_soft_taint_count).unwrap_or(0);
    for is_unneeded in [false, true] {
        for one in nodes.iter().filter(|one| one.group.is_some()) {
            let has_it = has_taint(&one.node, DELETION_CANDIDATE);
            if has_it == is_unneeded
                || unneeded.contains(one.name()) != is_unneeded
                || has_taint(&one.node, TO_BE_DELETED)
                || budget == 0
            {
                continue;
            }
            budget -= 1;
            let mut taints = changed.get(&one.id).unwrap_or(&one.node.taints).clone();
            if is_unneeded {
                taints.push(deletion_candidate(now));
            } else {
                taints.retain(|taint| *taint.key != *DELETION_CANDIDATE);
            }
            requests.push(Request::SetTaints(one.id, taints));
        }
    }
}
