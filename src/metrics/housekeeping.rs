//! cAdvisor in the kubelets: the counters of a container are read every so often, and a kubelet that is scraped answers
//! with what was read last. So a sample is some seconds old when it is first served.
//!
//! `container.housekeeping` of cAdvisor (`manager/container.go`), whose interval is drawn anew each time from once to twice
//! the kubelet's `--housekeeping-interval`.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::metrics::ContainerMetrics;
use cluster::pod::PodId;
use engine::random::open_unit;
use engine::{SimDuration, SimTime, Stream};
use units::Bytes;

/// From round to round: what is due in it is read together, as samples have whole seconds.
pub const ROUND: SimDuration = SimDuration::from_secs(1);

/// Counters of a container as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// When they were read.
    pub at: SimTime,
    /// The container's start.
    pub started: SimTime,
    /// CPU time since then, in core-time.
    pub cpu_time: SimDuration,
    /// Working set.
    pub memory: Bytes,
    /// The pod's other containers, whose usage is steady.
    pub others: Option<Arc<[ContainerMetrics]>>,
}

/// When the containers of pods are read next, and what was read last.
#[derive(Clone, Debug)]
pub struct Housekeeping {
    stream: Stream,
    /// The pods that are due, by when.
    due: BTreeMap<SimTime, Vec<PodId>>,
    /// By the pod's slot.
    pods: Vec<Option<Watched>>,
}

#[derive(Clone, Debug)]
struct Watched {
    pod: PodId,
    next: SimTime,
    last: Option<Point>,
}

impl Housekeeping {
    /// Nothing is read yet; intervals are drawn from `stream`.
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
        // A container that was started anew since is due at another time.
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

    /// The counters of a pod are these now; they are read again one interval later.
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

    /// What was read last of a pod.
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
    fn the_next_round_is_that_of_the_pod_that_is_due_first() {
        let mut table: Table<Option<Pod>> = Table::default();
        let [one, other] = [(); 2].map(|()| PodId::from_bits(table.insert(None).to_bits()));
        let mut housekeeping = Housekeeping::new(Streams::new(1).stream("housekeeping", 0));
        assert_eq!(housekeeping.next_due(), None);
        housekeeping.started(SimTime::from_secs(7), one);
        housekeeping.started(SimTime::from_secs(3), other);
        assert_eq!(housekeeping.next_due(), Some(SimTime::from_secs(3)));
        assert_eq!(housekeeping.take_due(SimTime::from_secs(3)), [other]);
        assert_eq!(housekeeping.next_due(), Some(SimTime::from_secs(7)));
    }

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
                // Started anew: what was due of it before is void.
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
