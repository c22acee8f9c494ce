//! cAdvisor in the kubelets: a container's counters are read at intervals, and a scrape of the kubelet returns the last
//! reading. A sample is therefore some seconds old when it is first served.
//!
//! `container.housekeeping` of cAdvisor (`manager/container.go`), which draws each interval anew between once and twice
//! the kubelet's `--housekeeping-interval`.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::metrics::ContainerMetrics;
use cluster::pod::PodId;
use engine::random::open_unit;
use engine::{SimDuration, SimTime, Stream};
use units::Bytes;

/// Interval between rounds: readings due in the same round are taken together, as samples have whole seconds.
pub const ROUND: SimDuration = SimDuration::from_secs(1);

/// One reading of a container's counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Time of the reading.
    pub at: SimTime,
    /// Start time of the container.
    pub started: SimTime,
    /// CPU time since then, in core-time.
    pub cpu_time: SimDuration,
    /// Working set.
    pub memory: Bytes,
    /// The pod's other containers, whose usage is steady.
    pub others: Option<Arc<[ContainerMetrics]>>,
}

/// The schedule of container readings, and the last reading of each pod.
#[derive(Clone, Debug)]
pub struct Housekeeping {
    stream: Stream,
    /// Pods to read next, by due time.
    due: BTreeMap<SimTime, Vec<PodId>>,
    /// Indexed by the pod's slot.
    pods: Vec<Option<Watched>>,
}

#[derive(Clone, Debug)]
struct Watched {
    pod: PodId,
    next: SimTime,
    last: Option<Point>,
}

impl Housekeeping {
    /// No pods yet; intervals are drawn from `stream`.
    pub const fn new(stream: Stream) -> Self {
        Self { stream, due: BTreeMap::new(), pods: Vec::new() }
    }

    /// A container of this pod started: it is read in the next round.
    pub fn started(&mut self, now: SimTime, pod: PodId) {
        self.enter(pod, now, None);
    }

    /// When a pod is due next; it may have left by then.
    pub fn next_due(&self) -> Option<SimTime> {
        self.due.first_key_value().map(|(at, _)| *at)
    }

    /// The pods that are due at or before `now`.
    pub fn take_due(&mut self, now: SimTime) -> Vec<PodId> {
        let later = self.due.split_off(&SimTime::from_nanos(now.as_nanos() + 1));
        let due = std::mem::replace(&mut self.due, later);
        let pods = &self.pods;
        // A container restarted since then has a different due time.
        let is_current = |at: SimTime, pod: PodId| {
            let watched = pods.get(pod.index()).and_then(Option::as_ref);
            watched.is_some_and(|watched| watched.pod == pod && watched.next == at)
        };
        let each =
            due.into_iter().flat_map(|(at, pods)| pods.into_iter().map(move |pod| (at, pod)));
        let mut current: Vec<PodId> =
            each.filter(|(at, pod)| is_current(*at, *pod)).map(|(_, pod)| pod).collect();
        current.sort_unstable();
        current.dedup();
        current
    }

    /// Records a pod's counters and schedules the next reading one interval later.
    pub fn read(&mut self, pod: PodId, point: Point, interval: SimDuration) {
        let drawn = interval.as_secs_f64() * (1.0 + open_unit(&mut self.stream));
        let next = point.at + SimDuration::from_secs_f64(drawn);
        self.enter(pod, next, Some(point));
    }

    fn enter(&mut self, pod: PodId, next: SimTime, last: Option<Point>) {
        if self.pods.len() <= pod.index() {
            self.pods.resize_with(pod.index() + 1, || None);
        }
        self.pods[pod.index()] = Some(Watched { pod, next, last });
        self.due.entry(next).or_default().push(pod);
    }

    /// The last reading of a pod.
    pub fn last(&self, pod: PodId) -> Option<&Point> {
        let watched = self.pods.get(pod.index())?.as_ref().filter(|one| one.pod == pod)?;
        watched.last.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::pod::Pod;
    use engine::{Streams, Table};

    #[test]
    fn a_container_is_read_at_once_and_then_each_10_to_20_seconds() {
        let mut table: Table<Option<Pod>> = Table::default();
        let pod = PodId::from_bits(table.insert(None).to_bits());
        let mut housekeeping = Housekeeping::new(Streams::new(1).stream("housekeeping", 0));
        housekeeping.started(SimTime::from_secs(3), pod);
        let mut reads = Vec::new();
        for second in 0..400 {
            let at = SimTime::from_secs(second);
            for pod in housekeeping.take_due(at) {
                let (started, cpu_time) = (SimTime::ZERO, SimDuration::ZERO);
                let point = Point { at, started, cpu_time, memory: Bytes(0), others: None };
                housekeeping.read(pod, point, SimDuration::from_secs(10));
                reads.push(second);
            }
            if second == 100 {
                // A restart voids the earlier due time.
                housekeeping.started(at, pod);
            }
        }
        assert_eq!(reads[0], 3);
        let gaps: Vec<i64> = reads.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let before_restart = gaps.iter().filter(|gap| **gap < 10).count();
        assert!(before_restart <= 1, "{gaps:?}");
        assert!(gaps.iter().all(|gap| *gap <= 21), "{gaps:?}");
        assert!(gaps.iter().any(|gap| *gap >= 17) && gaps.iter().any(|gap| *gap <= 13));
    }
}
