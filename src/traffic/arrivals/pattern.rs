//! Rate patterns: constant, ramp, step, sine, spike, and compositions of them. Drawing arrivals from
//! the rate is out of scope.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rate::Segment;
use super::shapes;
use crate::problem::Checks;
use engine::{SimDuration, SimTime, format_duration};

/// A request rate over the time of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "pattern",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Pattern {
    /// A constant rate.
    Constant {
        /// Requests per second.
        rps: f64,
    },
    /// A rate that changes linearly from one value to another and stays there.
    Ramp {
        /// Requests per second before the ramp.
        from_rps: f64,
        /// Requests per second after the ramp.
        to_rps: f64,
        /// Duration of the ramp.
        over: SimDuration,
        /// Start of the ramp. Default 0s.
        #[serde(default)]
        at: SimDuration,
    },
    /// A rate that changes in steps.
    Step {
        /// Requests per second before the first step. Default 0.
        #[serde(default)]
        rps: f64,
        /// The steps in order of time.
        steps: Vec<RatePoint>,
    },
    /// A sine wave, such as a daily cycle.
    Sine {
        /// Mean rate in requests per second.
        mean_rps: f64,
        /// Height of the peak above the mean [requests per second]; at most the mean.
        amplitude_rps: f64,
        /// Time from one peak to the next.
        period: SimDuration,
        /// Time of the first peak. Default: a quarter of the period, so that the wave starts at the
        /// mean.
        peak_at: Option<SimDuration>,
    },
    /// A burst above a steady rate, once or periodically.
    Spike {
        /// Requests per second outside the burst.
        base_rps: f64,
        /// Requests per second in the burst.
        peak_rps: f64,
        /// Start of the burst.
        at: SimDuration,
        /// Duration of the linear rise to the peak. Default 0s: immediate.
        #[serde(default)]
        rise: SimDuration,
        /// Duration of the peak.
        hold: SimDuration,
        /// Duration of the linear fall back. Default 0s: immediate.
        #[serde(default)]
        fall: SimDuration,
        /// Time from the start of one burst to the start of the next. Default: a single burst.
        every: Option<SimDuration>,
    },
    /// A weekly cycle by hour of the day and day of the week, repeated: linear from hour to hour.
    Weekly {
        /// Mean rate over a week, in requests per second.
        mean_rps: f64,
        /// Relative load of the 24 hours of a day, from midnight on; each value is the rate at the
        /// start of the hour. Default: all equal.
        #[serde(default = "alike_hours")]
        hours: Vec<f64>,
        /// Relative load of the 7 days, from Monday on. Default: all equal.
        #[serde(default = "alike_days")]
        days: Vec<f64>,
        /// Offset into the week at which the run begins, from Monday at 0:00; such as 4d18h for Friday
        /// at 18:00. Default 0s.
        #[serde(default)]
        begin: SimDuration,
    },
    /// A flash crowd: a rate that rises linearly to a multiple of the base, holds, and decays
    /// exponentially, as after breaking news (phases as in Ari et al. 2003, "Managing flash crowds on
    /// the Internet").
    FlashCrowd {
        /// Requests per second before the crowd, and long after.
        base_rps: f64,
        /// Requests per second at the peak.
        peak_rps: f64,
        /// Time at which the rate starts to rise.
        at: SimDuration,
        /// Duration of the linear rise to the peak.
        rise: SimDuration,
        /// Duration of the peak. Default 0s.
        #[serde(default)]
        hold: SimDuration,
        /// Half-life of the decay: after this time half of the crowd has left, after twice this time
        /// three quarters, and so on.
        half_life: SimDuration,
    },
    /// Linear interpolation between points: no requests before the first, the last rate from there on.
    Points {
        /// The points in order of time.
        points: Vec<RatePoint>,
    },
    /// One pattern after the other, each from its own start.
    Phases {
        /// The phases; after the last there are no requests.
        phases: Vec<Phase>,
        /// Whether the sequence repeats after the last phase. Default false.
        #[serde(default)]
        repeat: bool,
    },
    /// Several patterns at once: their rates add up.
    Sum {
        /// The parts.
        of: Vec<Pattern>,
    },
}

/// A rate at, or from, a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RatePoint {
    /// Time from the start of the run.
    pub at: SimDuration,
    /// Requests per second.
    pub rps: f64,
}

/// A pattern with a limited duration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Phase {
    /// Duration of the phase.
    #[serde(rename = "for")]
    pub lasting: SimDuration,
    /// Rate pattern of the phase.
    pub load: Pattern,
}

impl Pattern {
    /// The linear segment that contains `at`, which must not be before the start of the run.
    pub(crate) fn segment_at(&self, at: SimTime) -> Segment {
        let point = |at, rps| RatePoint { at, rps };
        match self {
            Self::Constant { rps } => Segment::forever(SimTime::ZERO, *rps),
            Self::Ramp { from_rps, to_rps, over, at: begin } => {
                let foot = [point(SimDuration::ZERO, *from_rps), point(*begin, *from_rps)];
                shapes::line_through(&[foot[0], foot[1], point(*begin + *over, *to_rps)], at)
            }
            Self::Step { rps, steps } => shapes::steps(*rps, steps, at),
            Self::Sine { mean_rps, amplitude_rps, period, peak_at } => {
                let peak_at = peak_at.unwrap_or(*period / 4);
                shapes::wave(*mean_rps, *amplitude_rps, *period, peak_at, at)
            }
            Self::Spike { base_rps, peak_rps, at: begin, rise, hold, fall, every } => {
                let burst = [
                    point(SimDuration::ZERO, *base_rps),
                    point(*rise, *peak_rps),
                    point(*rise + *hold, *peak_rps),
                    point(*rise + *hold + *fall, *base_rps),
                ];
                shapes::repeated(&burst, SimTime::ZERO + *begin, *every, at)
            }
            Self::Weekly { mean_rps, hours, days, begin } => {
                shapes::week(*mean_rps, hours, days, *begin, at)
            }
            Self::FlashCrowd { base_rps, peak_rps, at: begin, rise, hold, half_life } => {
                let rise_begin = SimTime::ZERO + *begin;
                let peak_end = rise_begin + *rise + *hold;
                if at >= peak_end {
                    return shapes::decay(*base_rps, *peak_rps, peak_end, *half_life, at);
                }
                let points = [
                    point(SimDuration::ZERO, *base_rps),
                    point(*begin, *base_rps),
                    point(*begin + *rise, *peak_rps),
                    point(*begin + *rise + *hold, *peak_rps),
                ];
                shapes::line_through(&points, at)
            }
            Self::Points { points } => shapes::line_through(points, at),
            Self::Phases { phases, repeat } => shapes::one_after_the_other(phases, *repeat, at),
            Self::Sum { of } => shapes::sum(of, at),
        }
    }

    /// Reports problems of the pattern.
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        match self {
            Self::Constant { rps } => checks.rate("rps", *rps),
            Self::Ramp { from_rps, to_rps, over, at: _ } => {
                checks.rate("fromRps", *from_rps);
                checks.rate("toRps", *to_rps);
                checks.check_positive("over", *over);
            }
            Self::Step { rps, steps } => {
                checks.rate("rps", *rps);
                check_points(checks, "steps", steps);
            }
            Self::Sine { mean_rps, amplitude_rps, period, peak_at: _ } => {
                checks.rate("meanRps", *mean_rps);
                checks.rate("amplitudeRps", *amplitude_rps);
                checks.require(*amplitude_rps <= *mean_rps, "amplitudeRps", || {
                    format!(
                        "{amplitude_rps} is above meanRps {mean_rps}: the rate would be negative"
                    )
                });
                check_period(checks, "period", *period);
            }
            Self::Spike { base_rps, peak_rps, rise, hold, fall, every, at: _ } => {
                checks.rate("baseRps", *base_rps);
                checks.rate("peakRps", *peak_rps);
                let length = *rise + *hold + *fall;
                checks.check_positive("hold", length);
                if let Some(every) = *every {
                    check_period(checks, "every", every);
                    checks.require(every >= length, "every", || {
                        format!("{every} is shorter than the burst of {length}")
                    });
                }
            }
            Self::Weekly { mean_rps, hours, days, begin: _ } => {
                checks.rate("meanRps", *mean_rps);
                check_weights(checks, "hours", hours, 24);
                check_weights(checks, "days", days, 7);
            }
            Self::FlashCrowd { base_rps, peak_rps, half_life, rise: _, hold: _, at: _ } => {
                checks.rate("baseRps", *base_rps);
                checks.rate("peakRps", *peak_rps);
                checks.require(peak_rps >= base_rps, "peakRps", || {
                    format!("{peak_rps} is below baseRps {base_rps}")
                });
                check_period(checks, "halfLife", *half_life);
            }
            Self::Points { points } => check_points(checks, "points", points),
            Self::Phases { phases, repeat: _ } => {
                checks
                    .require(!phases.is_empty(), "phases", || "there must be at least one".into());
                for (index, phase) in phases.iter().enumerate() {
                    let mut inner = checks.inside(&format!("phases[{index}]"));
                    check_period(&mut inner, "for", phase.lasting);
                    phase.load.check(&mut inner.inside("load"));
                }
            }
            Self::Sum { of } => {
                checks.require(!of.is_empty(), "of", || "there must be at least one part".into());
                for (index, part) in of.iter().enumerate() {
                    part.check(&mut checks.inside(&format!("of[{index}]")));
                }
            }
        }
    }
}

/// Periods must be long enough that their pieces are whole nanoseconds and that a run does not spend
/// its time stepping through them.
const SHORTEST_PERIOD: SimDuration = SimDuration::from_millis(1);

fn check_period(checks: &mut Checks<'_>, field: &str, period: SimDuration) {
    checks.require(period >= SHORTEST_PERIOD, field, || {
        format!("{} is below 1ms", format_duration(period))
    });
}

fn check_weights(checks: &mut Checks<'_>, field: &str, weights: &[f64], count: usize) {
    checks.require(weights.len() == count, field, || {
        format!("{} numbers instead of {count}", weights.len())
    });
    for (index, weight) in weights.iter().enumerate() {
        checks.not_negative(&format!("{field}[{index}]"), *weight);
    }
    let is_some = weights.iter().any(|weight| *weight > 0.0);
    checks.require(is_some || weights.is_empty(), field, || "all are 0: no requests".into());
}

fn alike_hours() -> Vec<f64> {
    vec![1.0; 24]
}

fn alike_days() -> Vec<f64> {
    vec![1.0; 7]
}

fn check_points(checks: &mut Checks<'_>, field: &str, points: &[RatePoint]) {
    checks.require(!points.is_empty(), field, || "there must be at least one".into());
    for (index, point) in points.iter().enumerate() {
        let mut inner = checks.inside(&format!("{field}[{index}]"));
        inner.not_negative("rps", point.rps);
        let before = index.checked_sub(1).map_or(SimDuration::ZERO, |before| points[before].at);
        inner.require(point.at >= before, "at", || {
            format!("{} is before {before}; sort the entries by time", point.at)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::rate::RateSegment;
    use super::*;
    use crate::problem::Problem;

    fn pattern(json: serde_json::Value) -> Pattern {
        serde_json::from_value(json).expect("a pattern")
    }

    fn rates(pattern: &Pattern, seconds: &[i64]) -> Vec<f64> {
        let rate = |at: &i64| {
            let at = SimTime::from_secs(*at);
            let segment = pattern.segment_at(at);
            assert!(segment.start <= at && at < segment.end, "{segment:?} holds {at}");
            (segment.rate_at(at) * 1e3).round() / 1e3
        };
        seconds.iter().map(rate).collect()
    }

    #[test]
    fn each_pattern_has_the_rate_that_its_words_say() {
        use serde_json::json;
        let cases = [
            (json!({"pattern": "constant", "rps": 5}), [5.0, 5.0, 5.0, 5.0, 5.0]),
            (
                json!({"pattern": "ramp", "fromRps": 0, "toRps": 20, "over": "20s", "at": "10s"}),
                [0.0, 0.0, 10.0, 20.0, 20.0],
            ),
            (
                json!({"pattern": "step", "rps": 1, "steps": [{"at": "20s", "rps": 3}, {"at": 25, "rps": 0}]}),
                [1.0, 1.0, 3.0, 0.0, 0.0],
            ),
            (
                json!({"pattern": "sine", "meanRps": 10, "amplitudeRps": 10, "period": "40s"}),
                [10.0, 20.0, 10.0, 0.0, 10.0],
            ),
            (
                json!({"pattern": "sine", "meanRps": 10, "amplitudeRps": 10, "period": "40s", "peakAt": "20s"}),
                [0.0, 10.0, 20.0, 10.0, 0.0],
            ),
            (
                json!({"pattern": "spike", "baseRps": 1, "peakRps": 9, "at": "10s", "rise": "20s",
                       "hold": "5s", "every": "100s"}),
                [1.0, 1.0, 5.0, 9.0, 1.0],
            ),
            (
                json!({"pattern": "points", "points": [{"at": "10s", "rps": 2}, {"at": "30s", "rps": 6}]}),
                [0.0, 2.0, 4.0, 6.0, 6.0],
            ),
            (
                json!({"pattern": "flashCrowd", "baseRps": 2, "peakRps": 34, "at": "10s",
                       "rise": "0s", "hold": "10s", "halfLife": "10s"}),
                [2.0, 34.0, 34.0, 18.0, 10.0],
            ),
            (
                json!({"pattern": "phases", "phases": [
                    {"for": "15s", "load": {"pattern": "constant", "rps": 3}},
                    {"for": "20s", "load": {"pattern": "ramp", "fromRps": 0, "toRps": 10, "over": "10s"}}]}),
                [3.0, 3.0, 5.0, 10.0, 0.0],
            ),
            (
                json!({"pattern": "sum", "of": [{"pattern": "constant", "rps": 3},
                    {"pattern": "ramp", "fromRps": 0, "toRps": 20, "over": "20s", "at": "10s"}]}),
                [3.0, 3.0, 13.0, 23.0, 23.0],
            ),
        ];
        for (json, expected) in cases {
            let pattern = pattern(json);
            assert_eq!(rates(&pattern, &[0, 10, 20, 30, 40]), expected, "{pattern:?}");
            let mut problems = Vec::new();
            pattern.check(&mut Checks::at("load", &mut problems));
            assert_eq!(problems, []);
        }
    }

    #[test]
    fn a_week_has_its_hours_and_days_and_the_mean_that_it_names() {
        let hours: Vec<f64> = (0..24).map(|hour| if hour < 6 { 1.0 } else { 3.0 }).collect();
        let week =
            pattern(serde_json::json!({"pattern": "weekly", "meanRps": 50.0, "hours": hours,
            "days": [1, 1, 1, 1, 1, 2, 2], "begin": "4d12h30m"}));
        // The mean weights are 2.5 for the hours and 9/7 for the days.
        let unit = 50.0 / (2.5 * 9.0 / 7.0);
        let hour = 3600;
        let of_friday_noon = 3.0 * unit;
        let of_saturday_noon = 6.0 * unit;
        let found = rates(&week, &[0, 24 * hour, 168 * hour]);
        for (found, expected) in
            found.iter().zip([of_friday_noon, of_saturday_noon, of_friday_noon])
        {
            assert!((found - expected).abs() < 0.001, "{found} {expected}");
        }
        let (mut at, mut area) = (SimTime::ZERO, 0.0);
        let end = SimTime::from_secs(168 * hour);
        while at < end {
            let segment = week.segment_at(at).between(at, week.segment_at(at).end.min(end));
            area += RateSegment::new(segment).area_from(0.0);
            at = segment.end;
        }
        assert!((area / (50.0 * 168.0 * 3600.0) - 1.0).abs() < 1e-9, "{area}");
    }

    #[test]
    fn a_flash_crowd_falls_off_to_what_was_before() {
        let crowd =
            pattern(serde_json::json!({"pattern": "flashCrowd", "baseRps": 1, "peakRps": 101,
            "at": "0s", "rise": "1m", "halfLife": "7m"}));
        assert_eq!(rates(&crowd, &[30, 60, 60 + 420, 60 + 840]), [51.0, 101.0, 51.0, 26.0]);
        let mut at = SimTime::ZERO;
        while crowd.segment_at(at).end < SimTime::MAX {
            let segment = crowd.segment_at(at);
            assert!(segment.start == at && segment.end > at, "{segment:?} follows {at}");
            at = segment.end;
        }
        assert_eq!(rates(&crowd, &[100_000]), [1.0]);
    }

    #[test]
    fn what_repeats_is_the_same_each_time() {
        let spike = pattern(serde_json::json!({"pattern": "spike", "baseRps": 1, "peakRps": 9,
            "at": "10s", "rise": "4s", "hold": "2s", "fall": "4s", "every": "1m"}));
        let phases = pattern(serde_json::json!({"pattern": "phases", "repeat": true, "phases": [
            {"for": "40s", "load": {"pattern": "constant", "rps": 3}},
            {"for": "20s", "load": {"pattern": "sine", "meanRps": 7, "amplitudeRps": 1, "period": "9s"}}]}));
        for pattern in [spike, phases] {
            let seconds: Vec<i64> = (12..70).collect();
            let later: Vec<i64> = seconds.iter().map(|at| at + 60 * 5).collect();
            assert_eq!(rates(&pattern, &seconds), rates(&pattern, &later));
        }
    }

    #[test]
    fn a_sine_of_any_period_is_walked_through_without_gaps() {
        for period in [SHORTEST_PERIOD, SimDuration::from_nanos(86_400_000_000_007)] {
            let sine = Pattern::Sine { mean_rps: 2.0, amplitude_rps: 1.0, period, peak_at: None };
            let mut at = SimTime::ZERO;
            for _ in 0..3_000 {
                let segment = sine.segment_at(at);
                assert!(segment.start == at && segment.end > at, "{segment:?} follows {at}");
                at = segment.end;
            }
        }
    }

    #[test]
    fn problems_name_the_field_and_what_would_be_right() {
        let pattern = pattern(serde_json::json!({"pattern": "phases", "phases": [
            {"for": "0s", "load": {"pattern": "constant", "rps": -1}},
            {"for": "1m", "load": {"pattern": "sine", "meanRps": 5, "amplitudeRps": 6, "period": "1d"}},
            {"for": "1m", "load": {"pattern": "points", "points": [{"at": "2m", "rps": 1}, {"at": "1m", "rps": 1}]}}]}));
        let mut problems = Vec::new();
        pattern.check(&mut Checks::at("load", &mut problems));
        let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            lines,
            [
                "load.phases[0].for: 0s is below 1ms",
                "load.phases[0].load.rps: -1 must be a number of at least 0",
                "load.phases[1].load.amplitudeRps: 6 is above meanRps 5: the rate would be negative",
                "load.phases[2].load.points[1].at: 60s is before 120s; sort the entries \
                 by time",
            ]
        );
    }

    #[test]
    fn a_misspelt_field_is_an_error_that_lists_the_right_ones() {
        let json = serde_json::json!({"pattern": "ramp", "from": 1, "toRps": 2, "over": "1m"});
        let error = serde_json::from_value::<Pattern>(json).unwrap_err().to_string();
        assert!(error.contains("unknown field `from`") && error.contains("`fromRps`"), "{error}");
    }
}
