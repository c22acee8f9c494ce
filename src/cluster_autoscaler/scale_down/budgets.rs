//! Limits on the removals that may start (`core/scaledown/budgets`).

use super::planner::NodesToDelete;
use crate::options::Options;
use cluster::Name;

/// The nodes of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) group: usize,
    pub(super) nodes: Vec<Name>,
}

/// The removals that may start: empty nodes and nodes to drain, by group (`CropNodes`). `in_progress` is the number
/// of empty and of drained nodes already being removed.
pub(super) fn crop(
    nodes: &NodesToDelete,
    in_progress: (usize, usize),
    group_of: &dyn Fn(&Name) -> Option<usize>,
    options: &Options,
) -> (Vec<Bucket>, Vec<Bucket>) {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let (empty, drained) = (count(in_progress.0), count(in_progress.1));
    let all = options.max_scale_down_parallelism - empty - drained;
    let drain = options.max_drain_parallelism - drained;
    let (empty, used) = cropped(by_group(&nodes.empty, group_of), all);
    let (drain, _) = cropped(by_group(&nodes.drain, group_of), drain.min(all - used));
    (empty, drain)
}

fn by_group(nodes: &[Name], group_of: &dyn Fn(&Name) -> Option<usize>) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    for node in nodes {
        let Some(group) = group_of(node) else { continue };
        match buckets.iter_mut().find(|bucket| bucket.group == group) {
            Some(bucket) => bucket.nodes.push(node.clone()),
            None => buckets.push(Bucket { group, nodes: vec![node.clone()] }),
        }
    }
    buckets
}

fn cropped(buckets: Vec<Bucket>, budget: i64) -> (Vec<Bucket>, i64) {
    let mut left = usize::try_from(budget).unwrap_or(0);
    let mut kept = Vec::new();
    for mut bucket in buckets {
        if left == 0 {
            break;
        }
        bucket.nodes.truncate(left);
        left -= bucket.nodes.len();
        kept.push(bucket);
    }
    let used = budget.max(0) - i64::try_from(left).unwrap_or(0);
    (kept, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(empty: usize, drain: usize, in_progress: (usize, usize)) -> (usize, usize) {
        let names = |number: usize| (0..number).map(|at| Name::from(format!("n-{at}"))).collect();
        let nodes = NodesToDelete { empty: names(empty), drain: names(drain) };
        let (empty, drain) = crop(&nodes, in_progress, &|_| Some(0), &Options::default());
        let sum = |buckets: Vec<Bucket>| buckets.iter().map(|bucket| bucket.nodes.len()).sum();
        (sum(empty), sum(drain))
    }

    #[test]
    fn ten_nodes_go_at_a_time_and_one_of_them_is_drained() {
        assert_eq!(counts(14, 3, (0, 0)), (10, 0));
        assert_eq!(counts(4, 3, (0, 0)), (4, 1));
        assert_eq!(counts(4, 3, (0, 1)), (4, 0));
        assert_eq!(counts(4, 3, (7, 0)), (3, 0));
        assert_eq!(counts(4, 3, (10, 2)), (0, 0));
    }
}
