//! metrics-server: scrapes, windows, gaps.

use std::sync::Arc;

use super::housekeeping::Point;
use super::points::Points;
use cluster::metrics::{
    ContainerMetrics, CpuRate, MeterId, MeterSample, NewSample, PodMetrics, PodMetricsUpdate,
};
use cluster::pod::PodId;
use engine::{SimDuration, SimTime};
use units::Bytes;

/// Usage of a pod as reported by its kubelet's Summary API: a CPU counter and the current working set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodUsage {
    /// CPU time of the application's container since its start, in core-time.
    pub cpu_time: SimDuration,
    /// Working set.
    pub memory: Bytes,
    /// Start time of the container: a restart resets the counter.
    pub started: SimTime,
    /// The pod's other containers, whose usage is steady.
    pub others: Option<Arc<[ContainerMetrics]>>,
    /// Future CPU usage where it is known: the pod need not be scraped again until it changes.
    pub steady: Option<SteadyUsage>,
    /// Whether CPU was used at that rate since the previous scrape.
    pub was_steady: bool,
}

/// A kubelet's answer for a pod in a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScrapeResult {
    /// Usage at this instant.
    Now(PodUsage),
    /// The last reading of its counters.
    Earlier(Point),
}

/// CPU usage at a known rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteadyUsage {
    /// Billionths of a core.
    pub rate_nano: i64,
    /// The meter that signals when the rate changes.
    pub meter: Option<MeterReading>,
}

/// Reading of a meter, the CPU counter shared by pods with the same load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterReading {
    /// The meter.
    pub meter: MeterId,
    /// CPU time of each of its pods so far, billionths of a core times nanoseconds.
    pub burnt: i128,
}

/// A meter with the current usage of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterUsage {
    /// The current reading.
    pub reading: MeterReading,
    /// Current rate of each of its pods, billionths of a core.
    pub rate_nano: i64,
    /// Time since which they have used that rate.
    pub since: SimTime,
    /// Pods on this meter.
    pub pods: Vec<PodId>,
}

/// The last scrape of each pod whose metrics are read, and of each meter.
#[derive(Clone, Debug, Default)]
pub struct MetricsServer {
    /// Indexed by the pod's slot.
    pods: Vec<Option<Scraped>>,
    /// Pods whose counters are read between scrapes.
    points: Points,
    /// Indexed by the meter's number; a meter that was never scraped has never run.
    meters: Vec<ScrapedMeter>,
    /// Number of scrapes so far: pods missing from the last one are gone.
    scrapes: u64,
    last: Option<SimTime>,
}

#[derive(Clone, Debug)]
struct Scraped {
    pod: PodId,
    scrape: u64,
    at: SimTime,
    cpu_time: SimDuration,
    started: SimTime,
    steady: Option<SteadyUsage>,
    is_served: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct ScrapedMeter {
    at: SimTime,
    burnt: i128,
    rate_nano: i64,
}

impl MetricsServer {
    /// Scrapes the given pods and meters and returns the changed samples. A pod without usage, as on a node that does
    /// not answer, loses its sample: a sample needs two consecutive scrapes of one container. `resolution` is the time
    /// between two scrapes. Pods not given continue at their steady rate or with their meter, and meters not given at
    /// their last rate.
    pub fn scrape(
        &mut self,
        now: SimTime,
        resolution: SimDuration,
        pods: impl Iterator<Item = (PodId, Option<ScrapeResult>)>,
        meters: Vec<MeterUsage>,
    ) -> PodMetricsUpdate {
        self.scrapes += 1;
        let last = self.last.replace(now).map(|last| (last, Window::new(now - last)));
        let mut update = PodMetricsUpdate {
            scraped: now.floor_to_second(),
            window: last.map_or(SimDuration::ZERO, |(_, window)| window.length),
            meters: Vec::with_capacity(meters.len()),
            rows: Vec::with_capacity(pods.size_hint().1.unwrap_or(0)),
        };
        for (pod, reading) in pods {
            let usage = match reading {
                Some(ScrapeResult::Earlier(point)) => {
                    update.rows.extend(self.points.scraped(pod, point, resolution));
                    continue;
                }
                Some(ScrapeResult::Now(usage)) => Some(usage),
                None => {
                    update.rows.extend(self.points.forget(pod).then_some((pod, None)));
                    None
                }
            };
            if self.pods.len() <= pod.index() {
                self.pods.resize_with(pod.index() + 1, || None);
            }
            let slot = &mut self.pods[pod.index()];
            let before = slot.take().filter(|before| before.pod == pod);
            let was_served = before.as_ref().is_some_and(|before| before.is_served);
            let before = before.filter(|before| before.was_scraped(self.scrapes - 1));
            let sample = usage.as_ref().and_then(|usage| {
                let ((last, window), before) = (last?, before?);
                let cpu_time = before.cpu_time_at(last, &self.meters);
                sample(now, window, (before.started, cpu_time), usage)
            });
            *slot = usage.map(|usage| Scraped {
                pod,
                scrape: self.scrapes,
                at: now,
                cpu_time: usage.cpu_time,
                started: usage.started,
                steady: sample.as_ref().and(usage.steady),
                is_served: sample.is_some(),
            });
            if sample.is_some() || was_served {
                update.rows.push((pod, sample));
            }
        }
        for usage in meters {
            let sample = last.map(|(last, window)| self.sample_of_meter(last, window, &usage));
            let MeterUsage { reading: MeterReading { meter, burnt }, rate_nano, pods, .. } = usage;
            update.meters.extend(sample.map(|cpu_nano| MeterSample { meter, cpu_nano, pods }));
            let index = meter.0 as usize;
            if self.meters.len() <= index {
                self.meters.resize(index + 1, ScrapedMeter::default());
            }
            self.meters[index] = ScrapedMeter { at: now, burnt, rate_nano };
        }
        update
    }

    /// Mean rate of a meter since the last scrape, billionths of a core.
    fn sample_of_meter(&self, last: SimTime, window: Window, usage: &MeterUsage) -> i64 {
        if usage.since <= last {
            return usage.rate_nano;
        }
        let before = self.meters.get(usage.reading.meter.0 as usize).copied().unwrap_or_default();
        let burnt = usage.reading.burnt - before.burnt_at(last);
        window.mean(SimDuration::from_core_nanos(burnt))
    }

    /// Time of the last scrape.
    pub const fn last_scrape(&self) -> Option<SimTime> {
        self.last
    }

    /// Whether the pod continues at a steady rate or with its meter, so that the next scrape need not include it.
    pub fn is_steady(&self, pod: PodId) -> bool {
        let scraped = self.pods.get(pod.index()).and_then(Option::as_ref);
        scraped.is_some_and(|scraped| scraped.pod == pod && scraped.steady.is_some())
    }
}

impl Scraped {
    /// Whether the pod took part in the given (latest) scrape, or is steady and did not need to.
    const fn was_scraped(&self, scrape: u64) -> bool {
        self.steady.is_some() || self.scrape == scrape
    }

    /// The counter at the last scrape, given the meters' state at that time.
    fn cpu_time_at(&self, last: SimTime, meters: &[ScrapedMeter]) -> SimDuration {
        let Some(SteadyUsage { rate_nano, meter }) = self.steady else { return self.cpu_time };
        let used = match meter {
            Some(MeterReading { meter, burnt }) => {
                let meter = meters.get(meter.0 as usize).copied().unwrap_or_default();
                meter.burnt_at(last) - burnt
            }
            None => i128::from(rate_nano) * i128::from((last - self.at).as_nanos()),
        };
        self.cpu_time + SimDuration::from_core_nanos(used)
    }
}

impl ScrapedMeter {
    /// The counter at a later scrape: a rate change before that would have been scraped.
    fn burnt_at(&self, last: SimTime) -> i128 {
        self.burnt + i128::from(self.rate_nano) * i128::from((last - self.at).as_nanos())
    }
}

/// The time between two scrapes.
#[derive(Clone, Copy, Debug)]
struct Window {
    length: SimDuration,
    /// Billionths of a core per nanosecond of CPU time, as a fraction in lowest terms: most windows are whole seconds,
    /// so the product fits into a word.
    nano_cores: i64,
    nanos: i64,
}

impl Window {
    fn new(length: SimDuration) -> Self {
        const CORE: i64 = 1_000_000_000;
        let nanos = length.as_nanos().max(1);
        let (mut common, mut rest) = (CORE, nanos);
        while rest != 0 {
            (common, rest) = (rest, common % rest);
        }
        Self { length, nano_cores: CORE / common, nanos: nanos / common }
    }

    /// Mean usage over the window in billionths of a core, truncated.
    fn mean(self, used: SimDuration) -> i64 {
        let Self { nano_cores, nanos, .. } = self;
        let used = used.as_nanos().max(0);
        let wide = || i64::try_from(i128::from(used) * i128::from(nano_cores) / i128::from(nanos));
        used.checked_mul(nano_cores).map_or_else(|| wide().unwrap_or(i64::MAX), |all| all / nanos)
    }
}

/// The mean between the last two scrapes of one container, given its start and counter at each.
fn sample(
    now: SimTime,
    window: Window,
    (started, cpu_time): (SimTime, SimDuration),
    usage: &PodUsage,
) -> Option<NewSample> {
    if started != usage.started {
        return None;
    }
    let steady = usage.steady.filter(|_| usage.was_steady).map(|steady| steady.rate_nano);
    let metrics = PodMetrics {
        cpu_nano: steady.unwrap_or_else(|| window.mean(usage.cpu_time - cpu_time)),
        memory: usage.memory,
        others: usage.others.clone(),
        timestamp: now.floor_to_second(),
        window: window.length,
    };
    let next = usage.steady.map(|SteadyUsage { rate_nano, meter }| match meter {
        Some(reading) => CpuRate::Metered(reading.meter),
        None => CpuRate::Steady(rate_nano),
    });
    Some(NewSample { metrics, next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::pod::Pod;
    use engine::Table;

    const RESOLUTION: SimDuration = SimDuration::from_secs(15);

    fn pod() -> PodId {
        // Only the id is needed, and only tables create ids.
        let mut table: Table<Option<Pod>> = Table::default();
        let id = table.insert(None);
        PodId::from_bits(id.to_bits())
    }

    fn usage(cpu_seconds: i64) -> PodUsage {
        PodUsage {
            cpu_time: SimDuration::from_secs(cpu_seconds),
            memory: Bytes(1),
            started: SimTime::ZERO,
            others: None,
            steady: None,
            was_steady: false,
        }
    }

    fn scrape(server: &mut MetricsServer, at: i64, usage: Option<PodUsage>) -> PodMetricsUpdate {
        let reading = usage.map(ScrapeResult::Now);
        server.scrape(
            SimTime::from_secs(at),
            RESOLUTION,
            [(pod(), reading)].into_iter(),
            Vec::new(),
        )
    }

    fn cpu_nano(update: &PodMetricsUpdate) -> Option<i64> {
        update.rows.first().and_then(|(_, sample)| Some(sample.as_ref()?.metrics.cpu_nano))
    }

    #[test]
    fn a_sample_is_the_mean_between_two_scrapes() {
        let mut server = MetricsServer::default();
        assert_eq!(cpu_nano(&scrape(&mut server, 5, Some(usage(1)))), None);
        let second = scrape(&mut server, 20, Some(usage(4)));
        assert_eq!(cpu_nano(&second), Some(200_000_000));
        assert_eq!(second.window, SimDuration::from_secs(15));
    }

    #[test]
    fn a_mean_is_cut_and_right_for_any_window() {
        let mean = |seconds: f64, used: f64| {
            let [length, used] = [seconds, used].map(SimDuration::from_secs_f64);
            (Window::new(length).mean(used), i128::from(used.as_nanos()), length.as_nanos())
        };
        for (window, used) in
            [(15.0, 4.0), (60.0, 1e9), (7.0, 1.0), (14.999_999_999, 3e9), (0.0, 2.0)]
        {
            let (cpu_nano, used, length) = mean(window, used);
            let expected = used * 1_000_000_000 / i128::from(length.max(1));
            assert_eq!(i128::from(cpu_nano), expected.min(i128::from(i64::MAX)), "{window}");
        }
    }

    #[test]
    fn a_missed_scrape_costs_the_sample_and_the_next() {
        let mut server = MetricsServer::default();
        let mut served = Vec::new();
        for (at, reached) in [(5, true), (20, true), (35, false), (50, true), (65, true)] {
            served.push(cpu_nano(&scrape(&mut server, at, reached.then(|| usage(at)))).is_some());
        }
        assert_eq!(served, [false, true, false, false, true]);
    }

    #[test]
    fn a_restarted_container_needs_two_scrapes_again() {
        let mut server = MetricsServer::default();
        scrape(&mut server, 5, Some(usage(5)));
        let restarted = PodUsage { started: SimTime::from_secs(10), ..usage(1) };
        assert_eq!(cpu_nano(&scrape(&mut server, 20, Some(restarted))), None);
    }

    #[test]
    fn a_steady_pod_goes_on_unseen_and_its_counter_with_it() {
        let mut server = MetricsServer::default();
        scrape(&mut server, 0, Some(usage(0)));
        let rate = SteadyUsage { rate_nano: 500_000_000, meter: None };
        let steady = PodUsage { steady: Some(rate), ..usage(4) };
        let update = scrape(&mut server, 10, Some(steady));
        // The mean of the first ten seconds, then the rate from there on.
        assert_eq!(cpu_nano(&update), Some(400_000_000));
        let next = update.rows.first().and_then(|(_, sample)| sample.as_ref()?.next);
        assert_eq!(next, Some(CpuRate::Steady(500_000_000)));
        assert!(server.is_steady(pod()));
        for at in [20, 30] {
            let none = (std::iter::empty(), Vec::new());
            assert!(
                server.scrape(SimTime::from_secs(at), RESOLUTION, none.0, none.1).rows.is_empty()
            );
        }
        // 14 s of CPU by 30 s; from then on at one core.
        let changed = scrape(&mut server, 40, Some(usage(24)));
        assert_eq!(cpu_nano(&changed), Some(1_000_000_000));
        assert!(!server.is_steady(pod()));
    }

    #[test]
    fn a_pod_with_a_meter_goes_on_unseen_whatever_the_meter_does() {
        let (mut server, at) = (MetricsServer::default(), SimTime::from_secs);
        let seconds_of_core = |seconds: i128| seconds * 1_000_000_000 * 1_000_000_000;
        let reading = |burnt| MeterReading { meter: MeterId(0), burnt: seconds_of_core(burnt) };
        let meter = |burnt, rate_nano, since| {
            let (reading, since) = (reading(burnt), at(since));
            vec![MeterUsage { reading, rate_nano, since, pods: vec![pod()] }]
        };
        // One core up to 33 s, two from then on; the pod used 3 s of CPU before it joined the meter.
        let steady = |cpu: i64, burnt, rate_nano| {
            let steady = SteadyUsage { rate_nano, meter: Some(reading(burnt)) };
            Some(ScrapeResult::Now(PodUsage { steady: Some(steady), ..usage(cpu) }))
        };
        let first = [(pod(), steady(3, 0, 1_000_000_000))].into_iter();
        server.scrape(at(0), RESOLUTION, first, meter(0, 1_000_000_000, 0));
        let second = [(pod(), steady(13, 10, 1_000_000_000))].into_iter();
        let update = server.scrape(at(10), RESOLUTION, second, meter(10, 1_000_000_000, 0));
        assert_eq!(cpu_nano(&update), Some(1_000_000_000));
        assert!(server.is_steady(pod()));
        assert_eq!(update.meters[0].cpu_nano, 1_000_000_000);
        for now in [20, 30] {
            let update = server.scrape(at(now), RESOLUTION, std::iter::empty(), Vec::new());
            assert!(update.rows.is_empty() && update.meters.is_empty());
        }
        let update =
            server.scrape(at(40), RESOLUTION, std::iter::empty(), meter(47, 2_000_000_000, 33));
        assert_eq!(update.meters[0].cpu_nano, 1_700_000_000);
        let update =
            server.scrape(at(50), RESOLUTION, std::iter::empty(), meter(67, 2_000_000_000, 33));
        assert_eq!(update.meters[0].cpu_nano, 2_000_000_000);
        // It leaves at 55 s: 80 s of CPU, 70 of them by 50 s.
        let update = scrape(&mut server, 60, Some(usage(80)));
        assert_eq!(cpu_nano(&update), Some(1_000_000_000));
    }
}
