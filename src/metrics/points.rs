//! The last two readings of each container kept by metrics-server (`pkg/storage/pod.go`, 0.8): a sample is the mean
//! between them.

use cluster::metrics::{NewSample, PodMetrics};
use cluster::pod::PodId;
use engine::{SimDuration, SimTime};

use super::housekeeping::Point;

/// A container younger than a scrape period gets a sample since its start once it has reached this age
/// (`freshContainerMinMetricsResolution`).
const FRESH: SimDuration = SimDuration::from_secs(10);

/// Last readings of the pods whose counters are read between scrapes, by the pod's slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Points(Vec<Option<LastReadings>>);

#[derive(Clone, Debug)]
struct LastReadings {
    pod: PodId,
    last: Point,
    is_served: bool,
}

impl Points {
    /// Records the counters found by a scrape; returns the pod's served sample if it changes.
    pub(super) fn scraped(
        &mut self,
        pod: PodId,
        point: Point,
        resolution: SimDuration,
    ) -> Option<(PodId, Option<NewSample>)> {
        if self.0.len() <= pod.index() {
            self.0.resize_with(pod.index() + 1, || None);
        }
        let slot = &mut self.0[pod.index()];
        let known =
            slot.as_ref().filter(|known| known.pod == pod && known.last.started == point.started);
        if known.is_some_and(|known| known.last.at == point.at) {
            return None;
        }
        let age = point.at - point.started;
        let before = if age < resolution && age >= FRESH {
            Some((point.started, SimDuration::ZERO))
        } else {
            known.map(|known| (known.last.at, known.last.cpu_time))
        };
        let was_served = slot.as_ref().is_some_and(|known| known.pod == pod && known.is_served);
        let sample = before.map(|(at, cpu_time)| sample(at, cpu_time, &point));
        *slot = Some(LastReadings { pod, last: point, is_served: before.is_some() });
        (sample.is_some() || was_served).then_some((pod, sample))
    }

    /// A scrape found no data for the pod: drops it. True if a sample was served for it.
    pub(super) fn forget(&mut self, pod: PodId) -> bool {
        let slot = self.0.get_mut(pod.index());
        let known = slot.and_then(Option::take);
        known.is_some_and(|known| known.pod == pod && known.is_served)
    }
}

fn sample(before: SimTime, cpu_before: SimDuration, point: &Point) -> NewSample {
    let window = point.at - before;
    let used = i128::from((point.cpu_time - cpu_before).as_nanos().max(0)) * 1_000_000_000;
    let cpu_nano = used / i128::from(window.as_nanos().max(1));
    let metrics = PodMetrics {
        cpu_nano: i64::try_from(cpu_nano).unwrap_or(i64::MAX),
        memory: point.memory,
        others: point.others.clone(),
        timestamp: point.at.floor_to_second(),
        window,
    };
    NewSample { metrics, next: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::pod::Pod;
    use engine::Table;
    use units::Bytes;

    const RESOLUTION: SimDuration = SimDuration::from_secs(15);

    fn pod() -> PodId {
        let mut table: Table<Option<Pod>> = Table::default();
        PodId::from_bits(table.insert(None).to_bits())
    }

    fn point(at: i64, cpu_seconds: i64) -> Point {
        Point {
            at: SimTime::from_secs(at),
            started: SimTime::ZERO,
            cpu_time: SimDuration::from_secs(cpu_seconds),
            memory: Bytes(1),
            others: None,
        }
    }

    fn served(points: &mut Points, at: i64, cpu_seconds: i64) -> Option<(i64, i64, i64)> {
        let (_, sample) = points.scraped(pod(), point(at, cpu_seconds), RESOLUTION)?;
        let metrics = sample?.metrics;
        let window = metrics.window.as_nanos() / 1_000_000_000;
        Some((metrics.cpu_nano, metrics.timestamp.as_nanos() / 1_000_000_000, window))
    }

    #[test]
    fn a_sample_is_the_mean_between_two_readings_and_has_the_time_of_the_later() {
        let mut points = Points::default();
        assert_eq!(served(&mut points, 20, 4), None);
        assert_eq!(served(&mut points, 32, 10), Some((500_000_000, 32, 12)));
        // The same reading again changes nothing.
        assert_eq!(served(&mut points, 32, 10), None);
        assert_eq!(served(&mut points, 62, 25), Some((500_000_000, 62, 30)));
    }

    #[test]
    fn a_young_container_has_a_sample_since_its_start_once_it_is_ten_seconds_old() {
        let mut points = Points::default();
        assert_eq!(served(&mut points, 9, 9), None);
        assert_eq!(served(&mut Points::default(), 10, 5), Some((500_000_000, 10, 10)));
        assert_eq!(served(&mut Points::default(), 15, 5), None);
    }

    #[test]
    fn a_pod_that_was_not_reached_needs_two_readings_again() {
        let mut points = Points::default();
        served(&mut points, 20, 4);
        served(&mut points, 32, 10);
        assert!(points.forget(pod()));
        assert_eq!(served(&mut points, 50, 12), None);
        assert!(served(&mut points, 65, 12).is_some());
    }
}
