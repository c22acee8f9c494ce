//! What the resource metrics API (`metrics.k8s.io`) serves of a pod.

use super::pod::PodId;
use crate::engine::{SimDuration, SimTime};
use crate::units::Bytes;

/// The usage of a pod over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodMetrics {
    /// Mean CPU over the window, billionths of a core.
    pub cpu_nano: i64,
    /// Working set at the end of the window.
    pub memory: Bytes,
    /// End of the window, cut to whole seconds.
    pub timestamp: SimTime,
    /// Length of the window.
    pub window: SimDuration,
}

/// All that the metrics API serves at a time, by the pod's slot.
#[derive(Clone, Debug, Default)]
pub struct PodMetricsTable {
    rows: Vec<Option<(PodId, PodMetrics)>>,
}

impl PodMetricsTable {
    /// The metrics of a pod, if there are any.
    pub fn get(&self, pod: PodId) -> Option<&PodMetrics> {
        let (owner, metrics) = self.rows.get(pod.index())?.as_ref()?;
        (*owner == pod).then_some(metrics)
    }
}

impl FromIterator<(PodId, PodMetrics)> for PodMetricsTable {
    fn from_iter<I: IntoIterator<Item = (PodId, PodMetrics)>>(metrics: I) -> Self {
        let mut rows = Vec::new();
        for (pod, metrics) in metrics {
            if rows.len() <= pod.index() {
                rows.resize(pod.index() + 1, None);
            }
            rows[pod.index()] = Some((pod, metrics));
        }
        Self { rows }
    }
}
