//! Samples of pods served by the resource metrics API (`metrics.k8s.io`).

use std::sync::Arc;

use super::meta::Name;
use super::pod::PodId;
use engine::{SimDuration, SimTime};
use units::Bytes;

/// Usage of a pod over a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodMetrics {
    /// Mean CPU of the application container over the window, in billionths of a core.
    pub cpu_nano: i64,
    /// Working set of the application container at the end of the window.
    pub memory: Bytes,
    /// The pod's other containers, if any.
    pub others: Option<Arc<[ContainerMetrics]>>,
    /// End of the window, truncated to whole seconds.
    pub timestamp: SimTime,
    /// Length of the window.
    pub window: SimDuration,
}

/// Usage of a container other than the application container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerMetrics {
    /// Container name.
    pub container: Name,
    /// Mean CPU, in billionths of a core.
    pub cpu_nano: i64,
    /// Working set.
    pub memory: Bytes,
}

/// A CPU counter shared by several pods that share a load evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeterId(pub u32);

/// A pod's CPU usage from a scrape on, if predictable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuRate {
    /// Constant, in billionths of a core, until another sample replaces it.
    Steady(i64),
    /// Given by its meter.
    Metered(MeterId),
}

/// The sample of a pod as served by the metrics API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Mean CPU of the application container over the window, in billionths of a core.
    pub cpu_nano: i64,
    /// Working set of the application container at the end of the window.
    pub memory: Bytes,
    /// The pod's other containers, if any.
    pub others: &'a [ContainerMetrics],
    /// End of the window, truncated to whole seconds.
    pub timestamp: SimTime,
    /// Length of the window.
    pub window: SimDuration,
}

/// All samples served by the metrics API at an instant, by the pod's slot.
///
/// Pods with unchanged usage keep their row; its timestamp is that of the last scrape.
#[derive(Clone, Debug, Default)]
pub struct PodMetricsTable {
    rows: Vec<Option<Row>>,
    /// CPU of each meter in billionths of a core, by its number.
    meters: Vec<i64>,
    /// Pods whose rows take this rate from the next scrape on.
    turning: Vec<(PodId, CpuRate)>,
    scraped: SimTime,
    window: SimDuration,
}

#[derive(Clone, Debug)]
struct Row {
    pod: PodId,
    metrics: PodMetrics,
    /// CPU at every scrape after that of `metrics`, unless sampled again.
    rate: Option<CpuRate>,
}

/// Changes made by a scrape.
#[derive(Clone, Debug, Default)]
pub struct PodMetricsUpdate {
    /// Time of the scrape, truncated to whole seconds.
    pub scraped: SimTime,
    /// Time since the previous scrape.
    pub window: SimDuration,
    /// Meters whose value changed.
    pub meters: Vec<MeterSample>,
    /// Pods whose sample changed or disappeared.
    pub rows: Vec<(PodId, Option<NewSample>)>,
}

/// Value of a meter.
#[derive(Clone, Debug)]
pub struct MeterSample {
    /// The meter.
    pub meter: MeterId,
    /// Mean CPU of each of its pods over the window, in billionths of a core.
    pub cpu_nano: i64,
    /// Its pods, including those not sampled yet or sampled individually.
    pub pods: Vec<PodId>,
}

/// A new sample of a pod.
#[derive(Clone, Debug)]
pub struct NewSample {
    /// The sampled usage.
    pub metrics: PodMetrics,
    /// CPU at every later scrape until another row replaces it, if predictable.
    pub next: Option<CpuRate>,
}

impl PodMetricsTable {
    /// The sample of a pod, if any.
    pub fn get(&self, pod: PodId) -> Option<Sample<'_>> {
        let row = self.rows.get(pod.index())?.as_ref().filter(|row| row.pod == pod)?;
        let PodMetrics { cpu_nano, memory, ref others, timestamp, window } = row.metrics;
        let others = others.as_deref().unwrap_or_default();
        let (cpu_nano, timestamp, window) = match row.rate {
            Some(rate) => (self.nano(rate), self.scraped, self.window),
            None => (cpu_nano, timestamp, window),
        };
        Some(Sample { cpu_nano, memory, others, timestamp, window })
    }

    /// Applies the changes of a scrape; calls `changed` for every pod whose values may differ from before, timestamps
    /// aside.
    pub(super) fn update(&mut self, update: PodMetricsUpdate, mut changed: impl FnMut(PodId)) {
        let same_window = self.window == update.window;
        (self.scraped, self.window) = (update.scraped, update.window);
        for MeterSample { meter, cpu_nano, pods } in update.meters {
            let index = meter.0 as usize;
            if self.meters.len() <= index {
                self.meters.resize(index + 1, 0);
            }
            let before = std::mem::replace(&mut self.meters[index], cpu_nano);
            if !same_window || before != cpu_nano {
                pods.into_iter().for_each(&mut changed);
            }
        }
        for (pod, rate) in std::mem::take(&mut self.turning) {
            let cpu_nano = self.nano(rate);
            let row = self.rows.get_mut(pod.index()).and_then(Option::as_mut);
            if let Some(row) = row.filter(|row| row.pod == pod) {
                if !same_window || row.metrics.cpu_nano != cpu_nano {
                    changed(pod);
                }
                row.rate = Some(rate);
            }
        }
        for (pod, sample) in update.rows {
            if self.rows.len() <= pod.index() {
                self.rows.resize_with(pod.index() + 1, || None);
            }
            let before = self.get(pod);
            let is_same = match (before, &sample) {
                (Some(before), Some(new)) => same_window && new.metrics.has_values_of(&before),
                (None, None) => true,
                _ => false,
            };
            if !is_same {
                changed(pod);
            }
            let row = sample.map(|NewSample { metrics, next }| {
                let rate = next.filter(|rate| self.nano(*rate) == metrics.cpu_nano);
                if let (None, Some(next)) = (rate, next) {
                    self.turning.push((pod, next));
                }
                Row { pod, metrics, rate }
            });
            self.rows[pod.index()] = row;
        }
    }

    fn nano(&self, rate: CpuRate) -> i64 {
        match rate {
            CpuRate::Steady(nano) => nano,
            // A meter without a value has never run.
            CpuRate::Metered(meter) => self.meters.get(meter.0 as usize).copied().unwrap_or(0),
        }
    }
}

impl PodMetrics {
    fn has_values_of(&self, other: &Sample<'_>) -> bool {
        (self.cpu_nano, self.memory, self.window) == (other.cpu_nano, other.memory, other.window)
            && self.others.as_deref().unwrap_or_default() == other.others
    }
}
