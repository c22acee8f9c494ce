//! Randomly modulated rates: a Markov-modulated Poisson process. A Markov chain moves between states, and
//! the rate is that of the load times the factor of the state.

use rand_distr::Distribution;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rate::Segment;
use crate::problem::Checks;
use engine::random::{Exponential, open_unit};
use engine::{SimDuration, SimTime, Stream};

/// A state of a Markov-modulated Poisson process.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModulationState {
    /// Rate in this state relative to the other states; only the ratios matter, as the long-run mean rate
    /// is that of the load.
    pub weight: f64,
    /// Mean duration of the state; each duration is drawn from an exponential distribution.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub mean: SimDuration,
}

/// The chain of states, followed in order of time.
///
/// Each state is followed by the next one in the list, and the last by the first; with two states, the
/// usual case (MMPP(2); Fischer and Meier-Hellstern 1993), that is no restriction.
#[derive(Clone, Debug)]
pub(super) struct Modulation {
    /// Rate factor and mean duration in seconds of each state.
    states: Vec<(f64, f64)>,
    stream: Stream,
    state: usize,
    until: SimTime,
}

impl Modulation {
    /// A chain in its stationary state: the first state is drawn in proportion to the mean durations.
    pub(super) fn new(states: &[ModulationState], mut stream: Stream) -> Self {
        let seconds: Vec<f64> = states.iter().map(|state| state.mean.as_secs_f64()).collect();
        let cycle: f64 = seconds.iter().sum();
        let weighted = states.iter().zip(&seconds).map(|(state, seconds)| state.weight * seconds);
        let mean = weighted.sum::<f64>() / cycle;
        let states: Vec<(f64, f64)> = states
            .iter()
            .zip(&seconds)
            .map(|(state, seconds)| (state.weight / mean, *seconds))
            .collect();
        let mut drawn = open_unit(&mut stream) * cycle;
        let first = seconds.iter().position(|seconds| {
            drawn -= seconds;
            drawn < 0.0
        });
        let mut chain =
            Self { states, stream, state: first.unwrap_or_default(), until: SimTime::ZERO };
        chain.until = chain.end_from(SimTime::ZERO);
        chain
    }

    /// The part of the segment during which the state at `at` lasts, at that state's rate. `at` must lie
    /// in the segment and not before the previous `at`.
    pub(super) fn modulate(&mut self, segment: &Segment, at: SimTime) -> Segment {
        while self.until <= at {
            self.state = (self.state + 1) % self.states.len();
            self.until = self.end_from(self.until);
        }
        let (factor, _) = self.states[self.state];
        let part = segment.between(at, segment.end.min(self.until));
        Segment { start_rps: part.start_rps * factor, end_rps: part.end_rps * factor, ..part }
    }

    /// End of the state that begins at `begin`; exponential times are memoryless, so the remainder is
    /// distributed like a whole one.
    fn end_from(&mut self, begin: SimTime) -> SimTime {
        let (_, mean) = self.states[self.state];
        let seconds = Exponential { mean }.sample(&mut self.stream);
        begin + SimDuration::from_secs_f64(seconds).max(SimDuration::from_nanos(1))
    }
}

/// Shorter states would make a run spend its time stepping through them.
const SHORTEST_STATE: SimDuration = SimDuration::from_millis(1);

/// Reports problems of a chain's states.
pub(crate) fn check_states(states: &[ModulationState], checks: &mut Checks<'_>) {
    checks.require(states.len() >= 2, "states", || {
        format!("{} states: write at least two, such as a calm and a busy one", states.len())
    });
    for (index, state) in states.iter().enumerate() {
        let mut inner = checks.inside(&format!("states[{index}]"));
        inner.not_negative("weight", state.weight);
        inner.require(state.mean >= SHORTEST_STATE, "mean", || {
            format!("{} is below 1ms", state.mean)
        });
    }
    let is_some = states.iter().any(|state| state.weight > 0.0);
    checks.require(is_some || states.is_empty(), "states", || {
        "all weights are 0: no requests".into()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Streams;

    fn states() -> Vec<ModulationState> {
        vec![
            ModulationState { weight: 1.0, mean: SimDuration::from_secs(90) },
            ModulationState { weight: 11.0, mean: SimDuration::from_secs(10) },
        ]
    }

    #[test]
    fn the_mean_rate_over_a_long_time_is_that_of_the_load() {
        let mut chain = Modulation::new(&states(), Streams::new(3).stream("states", 0));
        let level = Segment::forever(SimTime::ZERO, 10.0);
        let (mut at, mut area, mut busy) = (SimTime::ZERO, 0.0, 0.0);
        let end = SimTime::from_secs(2_000_000);
        while at < end {
            let part = chain.modulate(&level, at);
            assert!(part.start == at && part.end > at);
            let seconds = (part.end.min(end) - at).as_secs_f64();
            area += part.start_rps * seconds;
            busy += if part.start_rps > 10.0 { seconds } else { 0.0 };
            at = part.end;
        }
        // The factors are 1 and 11 over their mean of 2: 5 and 55 requests/s, the latter a tenth of the
        // time.
        assert!((area / 20e6 - 1.0).abs() < 0.02, "{area}");
        assert!((busy / 2e5 - 1.0).abs() < 0.03, "{busy}");
    }

    #[test]
    fn wrong_states_are_named() {
        let mut problems = Vec::new();
        let zero = ModulationState { weight: -1.0, mean: SimDuration::ZERO };
        check_states(&[zero], &mut Checks::at("modulation", &mut problems));
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "modulation.states: 1 states: write at least two, such as a calm and a busy one",
                "modulation.states[0].weight: -1 must be a number of at least 0",
                "modulation.states[0].mean: 0s is below 1ms",
                "modulation.states: all weights are 0: no requests",
            ]
        );
    }
}
