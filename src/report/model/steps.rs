//! Counts at the instants at which they change: pairs of time (seconds from the start) and the count from then on, in
//! order of time. Charts draw them; the report's series have the state at the end of each interval.

/// Counts of a workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadSteps {
    /// `spec.replicas`.
    pub desired: Vec<(f64, f64)>,
    /// Pods whose Ready condition is True.
    pub ready: Vec<(f64, f64)>,
    /// Pods without a node.
    pub pending: Vec<(f64, f64)>,
}

/// Counts of the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterSteps {
    /// Nodes.
    pub nodes: Vec<(f64, f64)>,
    /// Ready nodes.
    pub ready_nodes: Vec<(f64, f64)>,
    /// Pods without a node.
    pub pending_pods: Vec<(f64, f64)>,
}
