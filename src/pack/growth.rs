//! Number of nodes of a pool that a policy needs for all pods.

use super::policy::Policy;
use super::run::Plan;
use scenario::cluster::NodePool;
use scheduler::profile::ProfileError;

/// Maximum number of nodes to which a pool may grow.
const MAX_NODES: u32 = 20_000;

/// The smallest number of nodes of `pool` with which the policy places all pods of the plan, with the
/// plan's other nodes unchanged; `None` if no number up to 20,000 does. Assumes monotonicity: pods that
/// fit on fewer nodes also fit on more.
pub fn nodes_needed(
    plan: &Plan,
    pool: &NodePool,
    policy: &Policy,
) -> Result<Option<u32>, ProfileError> {
    let mut trial = plan.clone();
    let others: Vec<_> = plan.nodes.iter().filter(|node| node.pool != pool.name).cloned().collect();
    let Ok(resolved) = pool.resolve() else { return Ok(None) };
    let mut fits = |count: u32| {
        trial.nodes.clone_from(&others);
        trial.nodes.extend((1..=count).map(|number| resolved.node(number)));
        let outcome = trial.run(policy)?;
        Ok(outcome.placed() == outcome.places.len())
    };
    let (mut too_few, mut enough) = (None, pool.count.at_start().max(1));
    while !fits(enough)? {
        if enough >= MAX_NODES {
            return Ok(None);
        }
        too_few = Some(enough);
        enough = enough.saturating_mul(2).min(MAX_NODES);
    }
    // Bisects downwards from a sufficient number.
    let mut low = match too_few {
        Some(count) => count + 1,
        None => 0,
    };
    while low < enough {
        let middle = low + (enough - low) / 2;
        if fits(middle)? {
            enough = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(Some(enough))
}
