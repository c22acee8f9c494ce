//! The expected number of requests of a load, before any of them is drawn.

use super::process::Curve;
use super::replay::TraceCurve;
use super::{Added, FindTrace, Load, Splice};
use crate::problem::Checks;
use crate::trace::Trace;
use engine::{SimDuration, SimTime};

/// Number of stretches of a rate that are summed individually; the rest is extrapolated.
const STRETCHES: usize = 50_000;

impl Load {
    /// Expected number of requests within `lasting` of the start; 0 for a load with problems or a missing
    /// trace. Users are assumed to be answered at once, which gives an upper bound.
    pub fn expected_requests(&self, lasting: SimDuration, traces: FindTrace<'_, '_>) -> f64 {
        let mut problems = Vec::new();
        self.check(&mut Checks::at("", &mut problems));
        if problems.is_empty() { self.expected_of_valid(lasting, traces) } else { 0.0 }
    }

    fn expected_of_valid(&self, lasting: SimDuration, traces: FindTrace<'_, '_>) -> f64 {
        match self {
            Self::Pattern(pattern) => area(lasting, |at| pattern.segment_at(at)),
            Self::Trace(load) => match traces(&load.trace) {
                Some(Trace::Rates(trace)) => {
                    let curve = TraceCurve::new(load, trace.clone());
                    area(lasting, |at| curve.segment_at(at))
                }
                Some(trace @ Trace::Requests(_)) => {
                    let rounds = lasting.as_secs_f64() / load.round(trace).as_secs_f64().max(1e-9);
                    let played = if load.repeat { rounds } else { rounds.min(1.0) };
                    trace.len() as f64 * load.scale * played
                }
                None => 0.0,
            },
            Self::Users(load) => {
                let pause = load.think_time.mean_seconds().max(1e-3);
                f64::from(load.users) * lasting.as_secs_f64() / pause
            }
            Self::Add(Added { add }) => {
                add.iter().map(|part| part.expected_of_valid(lasting, traces)).sum()
            }
            Self::Splice(Splice { splice }) => {
                let mut left = lasting;
                let mut sum = 0.0;
                for piece in splice {
                    let own = piece.lasting.unwrap_or(left).min(left);
                    sum += piece.load.expected_of_valid(own, traces);
                    left = left - own;
                }
                sum
            }
        }
    }
}

/// The area below a rate.
fn area(lasting: SimDuration, segment_at: impl Fn(SimTime) -> super::Segment) -> f64 {
    let end = SimTime::ZERO + lasting;
    let (mut at, mut sum) = (SimTime::ZERO, 0.0);
    for _ in 0..STRETCHES {
        if at >= end {
            return sum;
        }
        let segment = segment_at(at);
        let until = segment.end.min(end);
        if until <= at {
            break;
        }
        let part = segment.between(at, until);
        sum += f64::midpoint(part.start_rps, part.end_rps) * (until - at).as_secs_f64();
        at = until;
    }
    let passed = (at - SimTime::ZERO).as_secs_f64();
    if passed > 0.0 { sum * (lasting.as_secs_f64() / passed) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// In thousandths.
    fn expected(load: Value, seconds: i64) -> i64 {
        let load: Load = serde_json::from_value(load).unwrap();
        let count = load.expected_requests(SimDuration::from_secs(seconds), &|_| None);
        #[expect(clippy::cast_possible_truncation, reason = "it is small")]
        let thousandths = (count * 1e3).round() as i64;
        thousandths
    }

    #[test]
    fn a_load_comes_to_the_area_below_its_rate() {
        assert_eq!(expected(json!({"pattern": "constant", "rps": 20}), 3_600), 72_000_000);
        let ramp = json!({"pattern": "ramp", "fromRps": 0, "toRps": 10, "over": "10s"});
        assert_eq!(expected(ramp.clone(), 10), 50_000);
        assert_eq!(expected(ramp.clone(), 20), 150_000);
        assert_eq!(
            expected(json!({"add": [ramp, {"pattern": "constant", "rps": 1}]}), 20),
            170_000
        );
        let wave = json!({"pattern": "sine", "meanRps": 50, "amplitudeRps": 30, "period": "1h"});
        assert!((expected(wave, 36_000) - 1_800_000_000).abs() < 2_000_000);
        let spliced = json!({"splice": [
            {"for": "5s", "load": {"pattern": "constant", "rps": 100}},
            {"load": {"pattern": "constant", "rps": 1}},
        ]});
        assert_eq!(expected(spliced, 15), 510_000);
    }

    #[test]
    fn a_load_with_problems_expects_nothing() {
        let hours = |count| vec![1; count];
        let broken = [
            json!({"pattern": "sine", "meanRps": 5, "amplitudeRps": 1, "period": "0s"}),
            json!({"pattern": "spike", "baseRps": 1, "peakRps": 5, "at": "1m", "rise": "0s",
                "hold": "0s", "fall": "0s", "every": "0s"}),
            json!({"pattern": "weekly", "meanRps": 5, "hours": hours(0)}),
            json!({"pattern": "weekly", "meanRps": 5, "hours": hours(24), "days": []}),
            json!({"pattern": "phases", "repeat": true, "phases":
                [{"for": "0s", "load": {"pattern": "constant", "rps": 3}}]}),
            json!({"pattern": "constant", "rps": 1e308}),
        ];
        for load in broken {
            assert_eq!(expected(load.clone(), 60), 0, "{load}");
            let part = json!({"add": [load, {"pattern": "constant", "rps": 1}]});
            assert_eq!(expected(part, 60), 0, "as a part");
        }
    }

    #[test]
    fn users_ask_once_a_think_time_at_most() {
        let users = json!({"users": 10, "thinkTime": "2s"});
        assert_eq!(expected(users, 60), 300_000);
    }
}
