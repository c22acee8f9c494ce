//! What the resource metrics API (`metrics.k8s.io`) serves of a pod.

use std::sync::Arc;

use super::meta::Name;
use super::pod::PodId;
use crate::engine::{SimDuration, SimTime};
use crate::units::Bytes;

/// The usage of a pod over a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodMetrics {
    /// Mean CPU of the application's container over the window, billionths of a core.
    pub cpu_nano: i64,
    /// Working set of the application's container at the end of the window.
    pub memory: Bytes,
    /// The pod's other containers, where it has any.
    pub others: Option<Arc<[ContainerMetrics]>>,
    /// End of the window, cut to whole seconds.
    pub timestamp: SimTime,
    /// Length of the window.
    pub window: SimDuration,
}

/// The usage of a container beside the application's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerMetrics {
    /// Its name.
    pub container: Name,
    /// CPU, billionths of a core.
    pub cpu_nano: i64,
    /// Working set.
    pub memory: Bytes,
}

/// A metric's value for one pod, when it was measured, and over which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// The usage, whose own timestamp and window may be older.
    pub metrics: &'a PodMetrics,
    /// End of the window, cut to whole seconds.
    pub timestamp: SimTime,
    /// Length of the window.
    pub window: SimDuration,
}

/// All that the metrics API serves at a time, by the pod's slot.
///
/// Pods whose usage does not change have a row that stays: its timestamp is that of the last scrape.
#[derive(Clone, Debug, Default)]
pub struct PodMetricsTable {
    rows: Vec<Option<Row>>,
    /// Pods whose rows will be of another rate at the next scrape, and stay at that.
    turning: Vec<(PodId, i64)>,
    scraped: SimTime,
    window: SimDuration,
}

#[derive(Clone, Debug)]
struct Row {
    pod: PodId,
    metrics: PodMetrics,
    is_steady: bool,
}

/// What a scrape changed.
#[derive(Clone, Debug, Default)]
pub struct PodMetricsUpdate {
    /// The time of the scrape, cut to whole seconds.
    pub scraped: SimTime,
    /// The time since the scrape before.
    pub window: SimDuration,
    /// Pods with another sample, or with none any more.
    pub rows: Vec<(PodId, Option<NewSample>)>,
}

/// A sample that is new.
#[derive(Clone, Debug)]
pub struct NewSample {
    /// The usage.
    pub metrics: PodMetrics,
    /// CPU at every scrape to come, billionths of a core, until another row says otherwise: where that is
    /// known.
    pub next_nano: Option<i64>,
}

impl PodMetricsTable {
    /// The metrics of a pod, if there are any.
    pub fn get(&self, pod: PodId) -> Option<Sample<'_>> {
        let row = self.rows.get(pod.index())?.as_ref().filter(|row| row.pod == pod)?;
        let (timestamp, window) = if row.is_steady {
            (self.scraped, self.window)
        } else {
            (row.metrics.timestamp, row.metrics.window)
        };
        Some(Sample { metrics: &row.metrics, timestamp, window })
    }

    /// Takes over what a scrape changed; `changed` is called for every pod whose values differ from
    /// before, timestamps aside.
    pub(super) fn update(&mut self, update: PodMetricsUpdate, mut changed: impl FnMut(PodId)) {
        let same_window = self.window == update.window;
        (self.scraped, self.window) = (update.scraped, update.window);
        for (pod, next_nano) in std::mem::take(&mut self.turning) {
            let row = self.rows.get_mut(pod.index()).and_then(Option::as_mut);
            if let Some(row) = row.filter(|row| row.pod == pod) {
                if !same_window || row.metrics.cpu_nano != next_nano {
                    changed(pod);
                }
                row.metrics.cpu_nano = next_nano;
                (row.metrics.timestamp, row.metrics.window) = (update.scraped, update.window);
                row.is_steady = true;
            }
        }
        for (pod, sample) in update.rows {
            if self.rows.len() <= pod.index() {
                self.rows.resize_with(pod.index() + 1, || None);
            }
            let slot = &mut self.rows[pod.index()];
            let before = slot.as_ref().filter(|row| row.pod == pod);
            let is_same = match (before, &sample) {
                (Some(row), Some(new)) => same_window && row.metrics.has_values_of(&new.metrics),
                (None, None) => true,
                _ => false,
            };
            if !is_same {
                changed(pod);
            }
            *slot = sample.map(|NewSample { metrics, next_nano }| {
                let turns_to = next_nano.filter(|next_nano| *next_nano != metrics.cpu_nano);
                self.turning.extend(turns_to.map(|next_nano| (pod, next_nano)));
                Row { pod, is_steady: next_nano == Some(metrics.cpu_nano), metrics }
            });
        }
    }
}

impl PodMetrics {
    fn has_values_of(&self, other: &Self) -> bool {
        (self.cpu_nano, self.memory, self.window) == (other.cpu_nano, other.memory, other.window)
            && self.others == other.others
    }
}
