//! The recommender's statistics of containers: one state for all pods with the same labels, and the peak of each
//! pod's window (`pkg/recommender/model/{aggregate_container_state,container}.go`).

use super::histogram::{Buckets, DecayingHistogram, HistogramCheckpoint};
use super::settings::VpaSettings;
use engine::{SimDuration, SimTime};
use units::{Bytes, MilliCpu};

/// Weight of every CPU sample, whatever the container requests.
const CPU_SAMPLE_WEIGHT: f64 = 0.1;
/// The most of a resource, in its smallest unit (`MaxResourceAmount`).
const MOST: f64 = 1e14;

/// A whole amount (`resourceAmountFromFloat`).
#[expect(clippy::cast_possible_truncation, reason = "within the range by then, cut as in Go")]
pub(super) fn cut(value: f64) -> i64 {
    value.clamp(0.0, MOST) as i64
}

/// Statistics of the containers with one name in pods with the same labels.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateState {
    pub(super) cpu: DecayingHistogram,
    pub(super) memory: DecayingHistogram,
    /// First and last CPU sample.
    pub(super) span: Option<(SimTime, SimTime)>,
    pub(super) samples: u64,
    created: SimTime,
}

/// The serialized form of a state (`VerticalPodAutoscalerCheckpointStatus`).
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// CPU.
    pub cpu: HistogramCheckpoint,
    /// Memory.
    pub memory: HistogramCheckpoint,
    /// First and last CPU sample.
    pub span: Option<(SimTime, SimTime)>,
    /// CPU samples.
    pub samples: u64,
}

impl AggregateState {
    /// Nothing is known yet.
    pub fn new(settings: &VpaSettings, now: SimTime) -> Self {
        let (cpu, memory) = (Buckets::of_cpu(), Buckets::of_memory());
        Self {
            cpu: DecayingHistogram::new(cpu, settings.cpu_histogram_half_life),
            memory: DecayingHistogram::new(memory, settings.memory_histogram_half_life),
            span: None,
            samples: 0,
            created: now,
        }
    }

    /// CPU samples so far.
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// True if there is no CPU sample, even with memory samples.
    pub const fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// Whether its last CPU sample is out of date, or it never had one
    /// (`isExpired`).
    pub(crate) fn is_expired(&self, settings: &VpaSettings, now: SimTime) -> bool {
        let since = match self.span {
            Some((_, last)) if !self.is_empty() => last,
            _ => self.created,
        };
        now - since >= settings.memory_aggregation_window()
    }

    /// Adds all samples of another aggregate.
    pub fn merge(&mut self, other: &mut Self) {
        self.cpu.merge(&mut other.cpu);
        self.memory.merge(&mut other.memory);
        self.span = match (self.span, other.span) {
            (Some((first, last)), Some(span)) => Some((first.min(span.0), last.max(span.1))),
            (mine, theirs) => mine.or(theirs),
        };
        self.samples += other.samples;
    }

    /// Creates its checkpoint.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            cpu: self.cpu.checkpoint(),
            memory: self.memory.checkpoint(),
            span: self.span,
            samples: self.samples,
        }
    }

    /// Restores a state from a checkpoint.
    pub fn restored(checkpoint: &Checkpoint, settings: &VpaSettings, now: SimTime) -> Self {
        let Checkpoint { cpu, memory, span, samples } = checkpoint;
        let (of_cpu, of_memory) = (Buckets::of_cpu(), Buckets::of_memory());
        let half_life = settings.cpu_histogram_half_life;
        let cpu = DecayingHistogram::restored(of_cpu, half_life, cpu);
        let half_life = settings.memory_histogram_half_life;
        let memory = DecayingHistogram::restored(of_memory, half_life, memory);
        Self { cpu, memory, span: *span, samples: *samples, created: now }
    }

    fn add_cpu(&mut self, usage: MilliCpu, at: SimTime) {
        self.cpu.add(usage.as_cores(), CPU_SAMPLE_WEIGHT, at);
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        self.samples += 1;
    }
}

/// The current window of one container of one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ContainerWindow {
    last_cpu_sample: Option<SimTime>,
    last_memory_sample: Option<SimTime>,
    /// Where its window of memory ends; absent before the first sample.
    window_end: Option<SimTime>,
    /// The peak as it was measured.
    usage: i64,
    /// The peak estimated from OOM kills.
    oom: i64,
}

impl ContainerWindow {
    /// The highest of both.
    fn peak(self) -> i64 {
        self.usage.max(self.oom)
    }

    /// A CPU sample; only one later than the last counts (`addCPUSample`).
    pub(crate) fn add_cpu(&mut self, state: &mut AggregateState, usage: MilliCpu, at: SimTime) {
        if usage.0 >= 0 && self.last_cpu_sample.is_none_or(|last| at > last) {
            state.add_cpu(usage, at);
            self.last_cpu_sample = Some(at);
        }
    }

    /// A memory sample; only the peak of each window counts (`addMemorySample`).
    pub(crate) fn add_memory(
        &mut self,
        state: &mut AggregateState,
        usage: Bytes,
        at: SimTime,
        settings: &VpaSettings,
    ) {
        let is_late = self.last_memory_sample.is_some_and(|last| at < last);
        if usage.0 >= 0 && !is_late && self.add_peak(state, usage.0, at, settings) {
            self.usage = usage.0;
        }
    }

    /// Records an OOM kill of a container with this memory requested or used: counts as a peak above that and above
    /// the observed usage. A kill in an earlier window is ignored (`RecordOOM`).
    pub fn add_oom(
        &mut self,
        state: &mut AggregateState,
        memory: Bytes,
        at: SimTime,
        settings: &VpaSettings,
    ) {
        let interval = settings.memory_aggregation_interval;
        if self.window_end.is_some_and(|end| at < end - interval) {
            return;
        }
        // Without the estimates from earlier kills, or the next would be built on them.
        let used = memory.0.max(self.usage);
        let bump = cut(settings.oom_min_bump_up.value() as f64);
        let needed = used.saturating_add(bump).max(cut(used as f64 * settings.oom_bump_up_ratio));
        if needed >= 0 && self.add_peak(state, needed, at, settings) {
            self.oom = needed;
        }
    }

    /// Puts a peak in the place of a lower one of the same window, or begins the next window with it; false
    /// if it counts for nothing.
    fn add_peak(
        &mut self,
        state: &mut AggregateState,
        bytes: i64,
        at: SimTime,
        settings: &VpaSettings,
    ) -> bool {
        self.last_memory_sample = Some(at);
        let end = *self.window_end.get_or_insert(at);
        let end = if at < end {
            let known = self.peak();
            // A peak of nothing is not replaced.
            if known == 0 || bytes <= known {
                return false;
            }
            state.memory.subtract(known as f64, 1.0, end);
            end
        } else {
            let interval = settings.memory_aggregation_interval.max(SimDuration::from_nanos(1));
            let whole = (at - end).as_nanos() / interval.as_nanos() + 1;
            (self.usage, self.oom) = (0, 0);
            end + interval * whole
        };
        self.window_end = Some(end);
        state.memory.add(bytes as f64, 1.0, end);
        true
    }

    /// Removes the peak of an unfinished window from the state to be stored (`subtractCurrentContainerMemoryPeak`).
    pub(crate) fn leave_out_current_peak(self, state: &mut AggregateState, now: SimTime) {
        if let Some(end) = self.window_end.filter(|end| now < *end) {
            state.memory.subtract(self.peak() as f64, 1.0, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> SimTime {
        SimTime::from_secs(hours * 3600)
    }

    fn fresh() -> (AggregateState, ContainerWindow, VpaSettings) {
        let settings = VpaSettings::default();
        (AggregateState::new(&settings, at(0)), ContainerWindow::default(), settings)
    }

    #[test]
    fn a_kill_for_lack_of_memory_raises_the_peak_and_the_next_one_is_not_built_on_it() {
        let (mut state, mut window, settings) = fresh();
        window.add_memory(&mut state, Bytes(900_000_000), at(0), &settings);
        window.add_oom(&mut state, Bytes(1_000_000_000), at(1), &settings);
        // A fifth above the request, which exceeds the observed usage.
        assert_eq!(window.peak(), 1_200_000_000);
        window.add_oom(&mut state, Bytes(1_000_000_000), at(2), &settings);
        assert_eq!(window.peak(), 1_200_000_000);
        // Of a small one 100 MiB.
        let (mut state, mut window, settings) = fresh();
        window.add_oom(&mut state, Bytes(50_000_000), at(3), &settings);
        assert_eq!(window.peak(), 50_000_000 + (100 << 20));
        assert!(state.memory.percentile(0.5) > 150_000_000.0);
        assert!(state.is_empty(), "a kill is no sample");
    }

    #[test]
    fn windows_follow_each_other_without_gaps() {
        let (mut state, mut window, settings) = fresh();
        window.add_memory(&mut state, Bytes(5_000_000), at(0), &settings);
        window.add_memory(&mut state, Bytes(4_000_000), at(50), &settings);
        assert_eq!((window.window_end, window.usage), (Some(at(72)), 4_000_000));
    }

    #[test]
    fn samples_count_once_and_in_order() {
        let (mut state, mut window, _) = fresh();
        window.add_cpu(&mut state, MilliCpu(100), at(2));
        window.add_cpu(&mut state, MilliCpu(100), at(2));
        window.add_cpu(&mut state, MilliCpu(100), at(1));
        assert_eq!((state.samples(), state.span), (1, Some((at(2), at(2)))));
    }

    #[test]
    fn a_state_expires_eight_days_after_its_last_sample() {
        let (mut state, mut window, settings) = fresh();
        window.add_cpu(&mut state, MilliCpu(100), at(24));
        assert!(!state.is_expired(&settings, at(9 * 24 - 1)));
        assert!(state.is_expired(&settings, at(9 * 24)));
    }
}
