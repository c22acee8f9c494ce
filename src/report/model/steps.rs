//! Counts at the instants at which they change: from when on (seconds from the start) there were how many, in order of
//! time. Charts draw them; the series of the report have the state at the end of each interval.

/// Of a workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadSteps {
    /// `spec.replicas`.
    pub desired: Vec<(f64, f64)>,
    /// Pods whose Ready condition is True.
    pub ready: Vec<(f64, f64)>,
    /// Pods without a node.
    pub pending: Vec<(f64, f64)>,
}

/// Of the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterSteps {
    /// Nodes.
    pub nodes: Vec<(f64, f64)>,
    /// Nodes of them that are Ready.
    pub ready_nodes: Vec<(f64, f64)>,
    /// Pods without a node.
    pub pending_pods: Vec<(f64, f64)>,
}
