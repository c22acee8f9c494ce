//! How many nodes of each pool may be disrupted now (`BuildDisruptionBudgetMapping`).

use std::collections::BTreeMap;

use crate::node_pool::DisruptionReason;
use crate::state::Snapshot;
use cluster::Name;

/// Number of nodes by pool that may be disrupted for a reason: what the budgets allow, minus nodes that are being
/// deleted or not ready.
pub fn allowed_disruptions(snapshot: &Snapshot, reason: DisruptionReason) -> BTreeMap<Name, i64> {
    let mut nodes: BTreeMap<&Name, i64> = BTreeMap::new();
    let mut disrupted: BTreeMap<&Name, i64> = BTreeMap::new();
    for state in &snapshot.nodes {
        let Some(pool) = state.pool().filter(|_| state.is_managed() && state.is_initialized())
        else {
            continue;
        };
        *nodes.entry(pool).or_default() += 1;
        let is_ready = state.node.as_ref().is_some_and(|node| node.is_ready);
        if !is_ready || state.is_going() {
            *disrupted.entry(pool).or_default() += 1;
        }
    }
    let of_pool = |pool: &std::sync::Arc<crate::node_pool::NodePool>| {
        let count = nodes.get(&pool.name).copied().unwrap_or(0);
        let allowed = pool.allowed_disruptions(count, reason, snapshot.now, snapshot.epoch);
        let left = allowed - disrupted.get(&pool.name).copied().unwrap_or(0);
        (pool.name.clone(), left.max(0))
    };
    snapshot.pools.iter().map(of_pool).collect()
}
