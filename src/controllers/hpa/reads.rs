//! The controller's reads from the API server, whose rate its clients limit: of many HPAs each waits for its turn.
//!
//! A sync reads the scale of the target and asks for each metric. The clients for scales, resource metrics, custom and
//! external metrics are made from one configuration (`--kube-api-qps`, `--kube-api-burst`), each with a bucket of its own
//! (`startHPAControllerWithMetricsClient` of `cmd/kube-controller-manager`, Kubernetes 1.36). That there are five workers
//! (`--concurrent-horizontal-pod-autoscaler-syncs`) limits nothing here, as reads take no time; with the rate limit of the
//! clients it would limit something only if the reads of a sync took longer than 250 ms.

use cluster::hpa::{HpaSpec, MetricSource};
use engine::{ClientRate, SimDuration, SimTime};

/// Number of clients: for scales, resource metrics, custom metrics, and external metrics.
const CLIENTS: usize = 4;

/// Requests to each client.
pub type Requests = [u32; CLIENTS];

/// The requests of one sync.
pub fn requests_of(spec: &HpaSpec) -> Requests {
    let mut requests = [1, 0, 0, 0];
    for metric in &spec.metrics {
        let client = match &*metric.source {
            MetricSource::Resource { .. } => 1,
            MetricSource::Pods { .. } | MetricSource::Object { .. } => 2,
            MetricSource::External { .. } => 3,
            MetricSource::Invalid { .. } => continue,
        };
        requests[client] += 1;
    }
    requests
}

/// The token buckets of the clients, and the requests that all HPAs make in one period.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// When each bucket is full again.
    full_at: [Option<SimTime>; CLIENTS],
    /// Of all HPAs.
    per_period: Requests,
}

impl Reads {
    /// The HPAs make these requests now, instead of those before.
    pub fn replace(&mut self, before: Requests, now: Requests) {
        for ((sum, before), now) in self.per_period.iter_mut().zip(before).zip(now) {
            *sum = *sum + now - before;
        }
    }

    /// Whether the HPAs make more requests in a period than the clients may send: then every sync waits for its turn.
    /// Otherwise only the first one of an HPA does, which spreads those that came together.
    pub fn exceed(&self, rate: ClientRate, period: SimDuration) -> bool {
        let most = self.per_period.into_iter().max().unwrap_or_default();
        rate.qps > 0 && SimDuration::from_secs(i64::from(most)) > period * i64::from(rate.qps)
    }

    /// Takes the tokens for a sync that begins at `now`, one client after the other; returns when it has the last one.
    pub fn take(&mut self, rate: ClientRate, requests: Requests, now: SimTime) -> SimTime {
        let mut at = now;
        for (full_at, requests) in self.full_at.iter_mut().zip(requests) {
            for _ in 0..requests {
                at = rate.take(full_at.get_or_insert(at), at);
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: ClientRate = ClientRate { qps: 20, burst: 30 };

    #[test]
    fn thirty_begin_at_once_and_twenty_a_second_after_that() {
        let mut reads = Reads::default();
        let now = SimTime::from_secs(15);
        let mut take = |requests| (reads.take(RATE, requests, now) - now).as_secs_f64();
        let after: Vec<f64> = (0..32).map(|_| take([1, 1, 0, 0])).collect();
        assert!(after[..30].iter().all(|after| *after == 0.0), "{after:?}");
        assert_eq!(after[30..], [0.05, 0.1]);
        // The second metric of each needs the same client.
        let mut reads = Reads::default();
        let mut take = |requests| (reads.take(RATE, requests, now) - now).as_secs_f64();
        let after: Vec<f64> = (0..17).map(|_| take([1, 2, 0, 0])).collect();
        assert_eq!(after[14..], [0.0, 0.1, 0.2]);
        assert_eq!(Reads::default().take(ClientRate::default(), [9; 4], now), now, "no limit");
    }

    #[test]
    fn three_hundred_scales_are_read_in_fifteen_seconds_and_no_more() {
        let period = SimDuration::from_secs(15);
        let mut reads = Reads::default();
        reads.replace([0; 4], [300, 300, 0, 0]);
        assert!(!reads.exceed(RATE, period));
        reads.replace([1, 1, 0, 0], [1, 2, 0, 0]);
        assert!(reads.exceed(RATE, period));
        assert!(!reads.exceed(ClientRate::default(), period));
    }
}
