//! The number of feasible nodes to find.

/// Minimum number of feasible nodes to find; clusters with fewer nodes are examined completely.
const MIN_FEASIBLE_NODES: usize = 100;
/// Minimum percentage of nodes scored if none is configured.
const MIN_PERCENTAGE: usize = 5;

/// Number of feasible nodes to find among `nodes` (`numFeasibleNodesToFind`). A percentage of 0 means
/// 50 % less 1 % for each 125 nodes, but at least 5 %.
pub(crate) fn nodes_to_find(percentage_of_nodes_to_score: i64, nodes: usize) -> usize {
    if nodes < MIN_FEASIBLE_NODES {
        return nodes;
    }
    let percentage = match usize::try_from(percentage_of_nodes_to_score) {
        Ok(given) if given > 0 => given.min(100),
        _ => 50_usize.saturating_sub(nodes / 125).max(MIN_PERCENTAGE),
    };
    (nodes * percentage / 100).max(MIN_FEASIBLE_NODES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_the_cluster_the_smaller_the_part_that_is_scored() {
        assert_eq!(nodes_to_find(0, 99), 99);
        assert_eq!(nodes_to_find(0, 100), 100);
        assert_eq!(nodes_to_find(0, 1_000), 420);
        assert_eq!(nodes_to_find(0, 5_000), 500);
        assert_eq!(nodes_to_find(0, 10_000), 500);
        assert_eq!(nodes_to_find(100, 5_000), 5_000);
        assert_eq!(nodes_to_find(1, 5_000), 100);
    }
}
