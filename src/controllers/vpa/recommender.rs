//! The recommender: from samples to target and bounds (`pkg/recommender/{model,logic}`).

use super::histogram::{Buckets, DecayingHistogram};
use super::settings::VpaSettings;
use cluster::meta::Name;
use cluster::pod_template::ResourceList;
use cluster::vpa::{Amounts, ContainerPolicy, ContainerRecommendation};
use engine::{SimDuration, SimTime};
use units::{Bytes, MilliCpu, Quantity};

/// The least weight of a CPU sample: that of a request of a tenth of a core.
const LEAST_CPU_WEIGHT: f64 = 0.1;
/// The most of a resource, in its smallest unit (`MaxResourceAmount`): the upper bound while nothing is known.
const MOST: f64 = 1e14;
/// CPU samples of a day, one a minute.
const SAMPLES_PER_DAY: f64 = 60.0 * 24.0;

/// What is known of one container, over all pods of its workload.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerState {
    cpu: DecayingHistogram,
    memory: DecayingHistogram,
    first_sample: SimTime,
    last_sample: SimTime,
    samples: u64,
}

/// The highest memory of one container of one pod in its window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryPeak {
    window_end: SimTime,
    /// As it was measured.
    usage: i64,
    /// As it is estimated from kills for lack of memory.
    oom: i64,
}

impl MemoryPeak {
    fn bytes(self) -> i64 {
        self.usage.max(self.oom)
    }
}

impl ContainerState {
    /// Nothing is known yet.
    pub fn new(settings: &VpaSettings, now: SimTime) -> Self {
        Self {
            cpu: DecayingHistogram::new(Buckets::of_cpu(), settings.cpu_histogram_half_life),
            memory: DecayingHistogram::new(
                Buckets::of_memory(),
                settings.memory_histogram_half_life,
            ),
            first_sample: now,
            last_sample: now,
            samples: 0,
        }
    }

    /// CPU samples so far.
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// A CPU sample of a container that requests so much.
    pub fn add_cpu(&mut self, usage: MilliCpu, request: MilliCpu, at: SimTime) {
        self.cpu.add(usage.as_cores(), request.as_cores().max(LEAST_CPU_WEIGHT), at);
        // A kill may have been taken in before, which is no sample.
        self.first_sample = if self.samples == 0 { at } else { self.first_sample.min(at) };
        self.last_sample = self.last_sample.max(at);
        self.samples += 1;
    }

    /// A memory sample: only the peak of each window counts.
    pub fn add_memory(
        &mut self,
        peak: &mut Option<MemoryPeak>,
        bytes: i64,
        at: SimTime,
        interval: SimDuration,
    ) {
        if let Some(new) = self.add_peak(*peak, bytes, at, interval) {
            *peak = Some(MemoryPeak { usage: bytes, ..new });
        }
    }

    /// The kernel killed a container that requests so much for its memory: counts as a peak above what it
    /// requests and was seen to use (`RecordOOM`). A kill of an earlier window counts for nothing.
    pub fn add_oom(
        &mut self,
        peak: &mut Option<MemoryPeak>,
        request: Bytes,
        at: SimTime,
        settings: &VpaSettings,
    ) {
        let interval = settings.memory_aggregation_interval;
        if peak.is_some_and(|peak| at < peak.window_end - interval) {
            return;
        }
        // Without the estimates from earlier kills, or the next would be built on them.
        let used = request.0.max(peak.map_or(0, |peak| peak.usage));
        let least = used.saturating_add(settings.oom_min_bump_up.value());
        let needed = least.max(cut(used as f64 * settings.oom_bump_up_ratio));
        if let Some(new) = self.add_peak(*peak, needed, at, interval) {
            *peak = Some(MemoryPeak { oom: needed, ..new });
        }
    }

    /// Puts a peak in the place of a lower one of the same window; `None` if there is a higher one. The
    /// answer is what it was in the window before.
    fn add_peak(
        &mut self,
        peak: Option<MemoryPeak>,
        bytes: i64,
        at: SimTime,
        interval: SimDuration,
    ) -> Option<MemoryPeak> {
        let new = match peak {
            Some(known) if at < known.window_end => {
                if bytes <= known.bytes() {
                    return None;
                }
                self.memory.subtract(known.bytes() as f64, 1.0, known.window_end);
                known
            }
            known => {
                let end = known.map_or(at, |known| known.window_end);
                let whole = (at - end).as_nanos() / interval.as_nanos().max(1) + 1;
                MemoryPeak { window_end: end + interval * whole, usage: 0, oom: 0 }
            }
        };
        self.memory.add(bytes as f64, 1.0, new.window_end);
        Some(new)
    }

    /// The recommendation for the container, one of so many in its pod; `None` without samples.
    pub fn recommend(
        &self,
        container: &Name,
        containers: usize,
        policy: Option<&ContainerPolicy>,
        settings: &VpaSettings,
    ) -> Option<ContainerRecommendation> {
        if self.cpu.is_empty() || self.memory.is_empty() || policy.is_some_and(|one| one.is_off) {
            return None;
        }
        let share = 1.0 / containers.max(1) as f64;
        let least = Amounts {
            cpu: MilliCpu(cut(settings.pod_min_cpu.0 as f64 * share)),
            memory: Bytes(cut(settings.pod_min_memory.0 as f64 * share)),
        };
        // The margin is cut by itself: 15 % of 100m are 15m, where 115 % of it are 114.999....
        let margin = |base: i64| cut(base as f64 * settings.safety_margin_fraction);
        let estimate = |percentile: f64, factor: f64| {
            let scaled = |value: f64| cut(value) + margin(cut(value));
            let cpu = cut(scaled(self.cpu.percentile(percentile) * 1000.0) as f64 * factor);
            let memory = cut(scaled(self.memory.percentile(percentile)) as f64 * factor);
            Amounts {
                cpu: MilliCpu(cpu.max(least.cpu.0)),
                memory: Bytes(memory.max(least.memory.0)),
            }
        };
        let confidence = self.confidence();
        let factor =
            |multiplier: f64, exponent: f64| libm::pow(1.0 + multiplier / confidence, exponent);
        let uncapped = estimate(settings.target_percentile, 1.0);
        let capped = |amounts: Amounts| policy.map_or(amounts, |policy| cap(amounts, policy));
        Some(ContainerRecommendation {
            container: container.clone(),
            target: capped(uncapped),
            lower_bound: capped(estimate(settings.lower_bound_percentile, factor(0.001, -2.0))),
            upper_bound: capped(estimate(settings.upper_bound_percentile, factor(1.0, 1.0))),
            uncapped_target: uncapped,
        })
    }

    /// Days of samples: by the calendar, or by their number where that is less.
    fn confidence(&self) -> f64 {
        let days = (self.last_sample - self.first_sample).as_secs_f64() / 86_400.0;
        days.min(self.samples as f64 / SAMPLES_PER_DAY)
    }
}

fn cap(amounts: Amounts, policy: &ContainerPolicy) -> Amounts {
    let bound = |list: &ResourceList, resource: &str, value: fn(Quantity) -> i64| {
        list.get(resource).map(value)
    };
    let clamp = |amount: i64, resource: &str, value: fn(Quantity) -> i64| {
        let least = bound(&policy.min_allowed, resource, value).unwrap_or(i64::MIN);
        let most = bound(&policy.max_allowed, resource, value).unwrap_or(i64::MAX);
        amount.max(least).min(most)
    };
    Amounts {
        cpu: MilliCpu(clamp(amounts.cpu.0, "cpu", Quantity::milli_value)),
        memory: Bytes(clamp(amounts.memory.0, "memory", Quantity::value)),
    }
}

/// A whole amount (`resourceAmountFromFloat`).
#[expect(clippy::cast_possible_truncation, reason = "within the range by then, cut as in Go")]
fn cut(value: f64) -> i64 {
    value.clamp(0.0, MOST) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> SimTime {
        SimTime::from_secs(hours * 3600)
    }

    fn steady(hours: i64) -> ContainerState {
        let settings = VpaSettings::default();
        let mut state = ContainerState::new(&settings, at(0));
        let mut peak = None;
        for minute in 0..hours * 60 {
            let now = SimTime::from_secs(minute * 60);
            state.add_cpu(MilliCpu(100), MilliCpu(500), now);
            let interval = settings.memory_aggregation_interval;
            state.add_memory(&mut peak, 400_000_000, now, interval);
        }
        state
    }

    #[test]
    fn the_target_is_the_percentile_with_its_margin() {
        let settings = VpaSettings::default();
        let recommended = steady(24).recommend(&"app".into(), 1, None, &settings);
        let target = recommended.expect("samples").target;
        // The bucket of 100m ends at 110.3m, cut to 110m; 15 % more is 126m.
        assert_eq!(target.cpu, MilliCpu(126));
        assert!(target.memory.0 > 460_000_000 && target.memory.0 < 500_000_000);
    }

    #[test]
    fn the_margin_is_cut_by_itself() {
        let settings = VpaSettings::default();
        let mut state = ContainerState::new(&settings, at(0));
        state.add_cpu(MilliCpu(780), MilliCpu(1000), at(0));
        state.add_memory(&mut None, 1_000, at(0), settings.memory_aggregation_interval);
        let recommended = state.recommend(&"app".into(), 1, None, &settings).expect("samples");
        // The bucket ends at 800.6m: 800m and 120m, where 115 % of 800m are 919.9...m in floats.
        assert_eq!(recommended.target.cpu, MilliCpu(920));
        // With a single sample there is no confidence at all: anything between nothing and the most there is.
        assert_eq!(recommended.lower_bound.cpu, settings.pod_min_cpu);
        assert_eq!(recommended.upper_bound.cpu, MilliCpu(100_000_000_000_000));
    }

    #[test]
    fn confidence_counts_from_the_first_sample_and_not_from_a_kill_before_it() {
        let settings = VpaSettings::default();
        let mut state = ContainerState::new(&settings, at(0));
        state.add_oom(&mut None, Bytes(1 << 30), at(0), &settings);
        state.add_cpu(MilliCpu(100), MilliCpu(100), at(10));
        state.add_cpu(MilliCpu(100), MilliCpu(100), at(11));
        assert_eq!(state.first_sample, at(10));
    }

    #[test]
    fn bounds_close_in_as_confidence_grows() {
        let settings = VpaSettings::default();
        let upper = |hours| {
            let recommended = steady(hours).recommend(&"app".into(), 1, None, &settings);
            recommended.expect("samples").upper_bound.cpu.0
        };
        assert!(upper(1) > 20 * 126, "{}", upper(1));
        assert!((250..260).contains(&upper(24)), "{}", upper(24));
    }

    #[test]
    fn a_kill_for_lack_of_memory_raises_the_peak_and_the_next_one_is_not_built_on_it() {
        let settings = VpaSettings::default();
        let (mut state, mut peak) = (ContainerState::new(&settings, at(0)), None);
        let interval = settings.memory_aggregation_interval;
        state.add_memory(&mut peak, 900_000_000, at(0), interval);
        state.add_oom(&mut peak, Bytes(1_000_000_000), at(1), &settings);
        // A fifth more than the request, which is more than what was seen in use.
        assert_eq!(peak.map(MemoryPeak::bytes), Some(1_200_000_000));
        let after_one = state.memory.percentile(0.9);
        state.add_oom(&mut peak, Bytes(1_000_000_000), at(2), &settings);
        assert_eq!(peak.map(MemoryPeak::bytes), Some(1_200_000_000));
        assert_eq!(state.memory.percentile(0.9).total_cmp(&after_one), std::cmp::Ordering::Equal);
        // Of a small one 100 MiB.
        state.add_oom(&mut None, Bytes(50_000_000), at(3), &settings);
        let (mut state, mut peak) = (ContainerState::new(&settings, at(0)), None);
        state.add_oom(&mut peak, Bytes(50_000_000), at(3), &settings);
        assert_eq!(peak.map(MemoryPeak::bytes), Some(50_000_000 + (100 << 20)));
        assert!(state.memory.percentile(0.5) > 150_000_000.0);
    }

    #[test]
    fn windows_follow_each_other_without_gaps() {
        let settings = VpaSettings::default();
        let (mut state, mut peak) = (ContainerState::new(&settings, at(0)), None);
        let day = settings.memory_aggregation_interval;
        state.add_memory(&mut peak, 5_000_000, at(0), day);
        state.add_memory(&mut peak, 4_000_000, at(50), day);
        assert_eq!(peak.map(|peak| (peak.window_end, peak.usage)), Some((at(72), 4_000_000)));
    }

    #[test]
    fn a_small_container_gets_its_part_of_the_least_pod_and_a_policy_has_the_last_word() {
        let settings = VpaSettings::default();
        let mut state = ContainerState::new(&settings, at(0));
        state.add_cpu(MilliCpu(1), MilliCpu(100), at(0));
        state.add_memory(&mut None, 1_000, at(0), settings.memory_aggregation_interval);
        let recommend = |policy| state.recommend(&"app".into(), 2, policy, &settings);
        let least = recommend(None).expect("samples").target;
        assert_eq!(least.memory, Bytes(125 << 20));
        let policy = ContainerPolicy {
            container: "*".into(),
            is_off: false,
            requests_only: false,
            controls_cpu: true,
            controls_memory: true,
            min_allowed: [("cpu", "300m".parse().expect("a quantity"))].into_iter().collect(),
            max_allowed: ResourceList::default(),
        };
        assert_eq!(recommend(Some(&policy)).expect("samples").target.cpu, MilliCpu(300));
    }
}
