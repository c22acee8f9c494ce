//! The perfect autoscaler: it knows the future, and at every instant there are no more nodes than the CPU time of that
//! instant needs, but at least one. No autoscaler costs less with these nodes, so that the rest of the bill is what any
//! could still save at most.

use report::WorkloadReport;

/// Hours of a month, as bills have them.
const MONTH_HOURS: f64 = 730.0;

/// The least cost of a month in US dollars, by the CPU time that workloads used in intervals with these ends
/// (seconds), on nodes with these cores at this price for an hour; nothing without a price or without a run.
pub(crate) fn least_cost_usd(
    ends: &[f64],
    workloads: &[WorkloadReport],
    node_cores: f64,
    node_usd_per_hour: f64,
) -> Option<f64> {
    let end = ends.last().copied().filter(|end| *end > 0.0)?;
    if node_cores <= 0.0 || node_usd_per_hour <= 0.0 {
        return None;
    }
    let mut node_seconds = 0.0;
    for (interval, until) in ends.iter().enumerate() {
        let from = interval.checked_sub(1).map_or(0.0, |before| ends[before]);
        let used = workloads.iter().filter_map(|one| one.series.cpu_cores.get(interval));
        let cores: f64 = used.sum();
        // The need within an interval may be less than its mean for a part of it: whole nodes are no lower bound.
        node_seconds += (cores / node_cores).max(1.0) * (until - from);
    }
    Some(node_seconds / end * MONTH_HOURS * node_usd_per_hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interval_has_the_nodes_that_it_needs() {
        let ends = [10.0, 20.0, 40.0];
        let mut web = WorkloadReport::default();
        // Of 2 cores each: at least one, 2.25 and, for 20 seconds, 2 nodes: 72.5 node seconds in 40.
        web.series.cpu_cores = vec![0.5, 4.5, 4.0];
        let cost = least_cost_usd(&ends, std::slice::from_ref(&web), 2.0, 0.1).expect("a price");
        assert!((cost - 72.5 / 40.0 * 730.0 * 0.1).abs() < 1e-9, "{cost}");
        assert_eq!(least_cost_usd(&ends, &[web], 2.0, 0.0), None);
    }
}
