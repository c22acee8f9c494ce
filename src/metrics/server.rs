//! metrics-server: scrapes, windows, gaps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::metrics::{PodMetrics, PodMetricsTable};
use crate::cluster::pod::PodId;
use crate::engine::{SimDuration, SimTime};
use crate::units::Bytes;

/// Timing of metrics-server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// From scrape to scrape (`--metric-resolution`). Default 15s, as in its published manifests.
    pub resolution: SimDuration,
    /// When the first scrape of the run comes. Default 5s.
    pub first_scrape: SimDuration,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { resolution: SimDuration::from_secs(15), first_scrape: SimDuration::from_secs(5) }
    }
}

/// What a pod has used, as its kubelet counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodUsage {
    /// CPU time since the container's start, in core-time.
    pub cpu_time: SimDuration,
    /// Working set.
    pub memory: Bytes,
    /// The container's start: a restart makes the counter begin anew.
    pub started: SimTime,
}

/// The last scrape of each pod that somebody looks at.
#[derive(Clone, Debug, Default)]
pub struct MetricsServer {
    /// By the pod's slot.
    pods: Vec<Option<Scraped>>,
    /// Counts scrapes: what was not scraped in the last one is gone.
    scrapes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Scraped {
    pod: PodId,
    scrape: u64,
    at: SimTime,
    usage: PodUsage,
}

impl MetricsServer {
    /// Scrapes the pods that are given with their usage and returns what is served from now on. All
    /// others lose their sample, as pods on nodes that do not answer do: a sample needs two scrapes
    /// of one container in a row.
    pub fn scrape(
        &mut self,
        now: SimTime,
        pods: impl Iterator<Item = (PodId, PodUsage)>,
    ) -> PodMetricsTable {
        self.scrapes += 1;
        let mut served = Vec::new();
        for (pod, usage) in pods {
            if self.pods.len() <= pod.index() {
                self.pods.resize(pod.index() + 1, None);
            }
            let slot = &mut self.pods[pod.index()];
            let before = slot.filter(|before| {
                before.pod == pod
                    && before.scrape + 1 == self.scrapes
                    && before.usage.started == usage.started
            });
            served.extend(before.map(|before| {
                let window = now - before.at;
                let used = usage.cpu_time - before.usage.cpu_time;
                let nano_cores = i128::from(used.as_nanos()) * 1_000_000_000
                    / i128::from(window.as_nanos().max(1));
                let metrics = PodMetrics {
                    cpu_nano: i64::try_from(nano_cores).unwrap_or(i64::MAX),
                    memory: usage.memory,
                    timestamp: now.floor_to_second(),
                    window,
                };
                (pod, metrics)
            }));
            *slot = Some(Scraped { pod, scrape: self.scrapes, at: now, usage });
        }
        served.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::pod::Pod;
    use crate::engine::Table;

    fn pod() -> PodId {
        // Only the id is needed, and ids come from tables alone.
        let mut table: Table<Option<Pod>> = Table::default();
        let id = table.insert(None);
        PodId::from_bits(id.to_bits())
    }

    fn usage(cpu_seconds: i64) -> PodUsage {
        PodUsage {
            cpu_time: SimDuration::from_secs(cpu_seconds),
            memory: Bytes(1),
            started: SimTime::ZERO,
        }
    }

    #[test]
    fn a_sample_is_the_mean_between_two_scrapes() {
        let mut server = MetricsServer::default();
        let first = server.scrape(SimTime::from_secs(5), [(pod(), usage(1))].into_iter());
        assert_eq!(first.get(pod()), None);
        let second = server.scrape(SimTime::from_secs(20), [(pod(), usage(4))].into_iter());
        let sample = second.get(pod()).expect("a second scrape");
        assert_eq!(sample.cpu_nano, 200_000_000);
        assert_eq!(sample.window, SimDuration::from_secs(15));
    }

    #[test]
    fn a_missed_scrape_costs_the_sample_and_the_next() {
        let mut server = MetricsServer::default();
        let mut served = Vec::new();
        for (at, reached) in [(5, true), (20, true), (35, false), (50, true), (65, true)] {
            let pods = reached.then(|| (pod(), usage(at)));
            let table = server.scrape(SimTime::from_secs(at), pods.into_iter());
            served.push(table.get(pod()).is_some());
        }
        assert_eq!(served, [false, true, false, false, true]);
    }

    #[test]
    fn a_restarted_container_needs_two_scrapes_again() {
        let mut server = MetricsServer::default();
        server.scrape(SimTime::from_secs(5), [(pod(), usage(5))].into_iter());
        let restarted = PodUsage { started: SimTime::from_secs(10), ..usage(1) };
        let table = server.scrape(SimTime::from_secs(20), [(pod(), restarted)].into_iter());
        assert_eq!(table.get(pod()), None);
    }
}
