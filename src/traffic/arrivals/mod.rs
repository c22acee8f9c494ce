//! When requests come: patterns and traces, and the arrival processes on top of a rate. Not
//! responsible for where requests go, nor for what they cost.
//!
//! A new pattern is a variant of [`Pattern`] with its shape in `shapes.rs`.

mod pattern;
mod process;
mod rate;
mod replay;
mod routed;
mod shapes;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

pub use pattern::{Pattern, Phase, RatePoint};
pub use process::ArrivalProcess;
pub use rate::Segment;
pub use replay::TraceLoad;

pub(super) use process::{Curve, GapLaw};
pub(super) use replay::TraceCurve;

use super::fluid::FlowCurve;
use super::problem::Checks;
use super::trace::{Tokens, Trace};
use crate::engine::{SimTime, Stream};
use process::RateArrivals;
use replay::Replay;
pub use routed::Way;
use routed::{Merged, Routed};

/// What requests come over time: a recorded trace, or a pattern.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Load {
    /// A recorded trace.
    Trace(TraceLoad),
    /// A rate in words.
    Pattern(Pattern),
}

/// A request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it comes.
    pub at: SimTime,
    /// Its size, if the trace tells.
    pub tokens: Tokens,
}

/// The arrivals of one service, drawn one by one.
#[derive(Clone, Debug)]
pub struct Arrivals {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Pattern(RateArrivals<Arc<Pattern>>),
    Rates(RateArrivals<TraceCurve>),
    Requests(Replay),
    /// Nothing comes.
    Nothing,
    Routed(Routed),
    Merged(Merged),
    /// Not one by one.
    Flow(FlowCurve),
}

impl Load {
    /// The file that must be read to know what comes.
    pub fn trace_file(&self) -> Option<&str> {
        match self {
            Self::Trace(load) => Some(&load.trace),
            Self::Pattern(_) => None,
        }
    }

    /// Notes what is wrong with the load by itself.
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        match self {
            Self::Trace(load) => load.check(checks),
            Self::Pattern(pattern) => pattern.check(checks),
        }
    }
}

impl<'de> Deserialize<'de> for Load {
    /// By the field that is there: an untagged enum could only say that nothing matched.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let load = match (value.get("trace"), value.get("pattern")) {
            (Some(_), None) => TraceLoad::deserialize(value).map(Self::Trace),
            (None, Some(_)) => Pattern::deserialize(value).map(Self::Pattern),
            (Some(_), Some(_)) => Err(Error::custom("either `trace` or `pattern`, not both")),
            (None, None) => Err(Error::custom(
                "write `trace: FILE`, or `pattern:` with one of constant, ramp, step, sine, spike, \
                 points, phases, sum",
            )),
        };
        load.map_err(D::Error::custom)
    }
}

impl Arrivals {
    /// No requests at all.
    pub const fn none() -> Self {
        Self { source: Source::Nothing }
    }

    /// Those of the arrivals that go one way: `stream` draws a number from 0 to 1 for each, and `ranges`,
    /// by ascending time, says which numbers go it.
    pub fn routed(self, ranges: Vec<Way>, stream: Stream) -> Self {
        Self { source: Source::Routed(Routed { all: Box::new(self), stream, ranges }) }
    }

    /// Arrivals of several origins together.
    pub fn merged(origins: impl IntoIterator<Item = Self>) -> Self {
        Self { source: Source::Merged(Merged::new(origins)) }
    }

    /// Draws from a rate in words.
    pub(super) fn from_pattern(pattern: &Pattern, gaps: GapLaw, stream: Stream) -> Self {
        let curve = Arc::new(pattern.clone());
        Self { source: Source::Pattern(RateArrivals::new(curve, gaps, stream)) }
    }

    /// Plays a trace; `gaps` counts for a trace of rates alone.
    pub(super) fn from_trace(
        load: &TraceLoad,
        trace: &Trace,
        gaps: GapLaw,
        stream: Stream,
    ) -> Self {
        let source = match trace {
            Trace::Requests(trace) => Source::Requests(Replay::new(load, trace.clone(), stream)),
            Trace::Rates(trace) => {
                let curve = TraceCurve::new(load, trace.clone());
                Source::Rates(RateArrivals::new(curve, gaps, stream))
            }
        };
        Self { source }
    }

    /// A flow at a rate in words or recorded; `None` if each request was recorded.
    pub(super) fn flowing(load: &Load, trace: Option<&Trace>) -> Option<Self> {
        let curve = match (load, trace) {
            (Load::Pattern(pattern), _) => FlowCurve::Pattern(Arc::new(pattern.clone())),
            (Load::Trace(load), Some(Trace::Rates(trace))) => {
                FlowCurve::Trace(TraceCurve::new(load, trace.clone()))
            }
            _ => return None,
        };
        Some(Self { source: Source::Flow(curve) })
    }

    /// The rate over time, if requests are a flow.
    pub(super) fn as_flow(&self) -> Option<FlowCurve> {
        match &self.source {
            Source::Flow(curve) => Some(curve.clone()),
            _ => None,
        }
    }

    /// The next arrival, if it can be known without looking further than `until`; it may itself lie
    /// later. What comes does not depend on the steps in which one asks.
    #[inline]
    pub fn next_known_by(&mut self, until: SimTime) -> Option<Arrival> {
        let plain = |at| Arrival { at, tokens: Tokens::default() };
        match &mut self.source {
            Source::Pattern(arrivals) => arrivals.next_known_by(until).map(plain),
            Source::Rates(arrivals) => arrivals.next_known_by(until).map(plain),
            Source::Requests(replay) => replay.next_known_by(until),
            Source::Nothing | Source::Flow(_) => None,
            Source::Routed(routed) => routed.next_known_by(until),
            Source::Merged(merged) => merged.next_known_by(until),
        }
    }
}

impl Curve for Arc<Pattern> {
    fn segment_at(&self, at: SimTime) -> Segment {
        Pattern::segment_at(self, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{SimDuration, Streams};
    use crate::traffic::TrafficSpec;
    use serde_json::json;

    fn spec(json: serde_json::Value) -> TrafficSpec {
        let mut fields = json;
        fields["service"] = json!("shop/web");
        serde_json::from_value(fields).expect("a traffic specification")
    }

    fn arrivals(json: serde_json::Value, trace: Option<&str>, until_seconds: i64) -> Vec<Arrival> {
        let trace = trace.map(|text| Trace::read(text.as_bytes()).expect("a trace"));
        let stream = Streams::new(5).stream("arrivals", 0);
        let mut arrivals =
            spec(json).arrivals("traffic[0]", trace.as_ref(), stream).expect("right");
        let until = SimTime::from_secs(until_seconds);
        std::iter::from_fn(|| arrivals.next_known_by(until).filter(|a| a.at <= until)).collect()
    }

    fn seconds(arrivals: &[Arrival]) -> Vec<f64> {
        arrivals.iter().map(|arrival| arrival.at.as_secs_f64()).collect()
    }

    /// Mean and coefficient of variation of the counts in spans of equal length.
    fn dispersion(arrivals: &[Arrival], span_seconds: f64, spans: usize) -> (f64, f64) {
        let mut counts = vec![0.0; spans];
        for at in seconds(arrivals) {
            let span = (0..spans).rfind(|span| at >= *span as f64 * span_seconds);
            counts[span.expect("not before the start")] += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / spans as f64;
        let squares: f64 = counts.iter().map(|count| (count - mean).powi(2)).sum();
        (mean, squares / spans as f64 / mean)
    }

    #[test]
    fn evenly_spaced_arrivals_are_where_the_rate_has_summed_up_to_each() {
        let even = json!({"load": {"pattern": "constant", "rps": 2}, "arrivals": "even"});
        assert_eq!(seconds(&arrivals(even, None, 2)), [0.25, 0.75, 1.25, 1.75]);
        // The rate t has summed up to t^2 / 2: half a request at 1 s, 1.5 at the root of 3, ...
        let ramp = json!({"arrivals": "even",
            "load": {"pattern": "ramp", "fromRps": 0, "toRps": 10, "over": "10s"}});
        let expected = [1.0, 3f64.sqrt(), 5f64.sqrt(), 7f64.sqrt()];
        for (at, expected) in seconds(&arrivals(ramp, None, 10)).iter().zip(expected) {
            assert!((at - expected).abs() < 1e-8, "{at}");
        }
    }

    #[test]
    fn a_rate_that_is_zero_for_a_while_or_for_ever_is_passed() {
        let steps = json!({"arrivals": "even", "load": {"pattern": "step", "rps": 1,
            "steps": [{"at": "2s", "rps": 0}, {"at": "60s", "rps": 1}, {"at": "61s", "rps": 0}]}});
        assert_eq!(seconds(&arrivals(steps, None, 1_000_000)), [0.5, 1.5, 60.5]);
    }

    /// Counts of a Poisson process have the variance of their mean; those of gamma gaps with a
    /// coefficient of variation c have c^2 times that, in spans that are long against the gaps.
    #[test]
    fn processes_have_the_rate_and_the_burstiness_that_they_name() {
        for (process, cv, index) in
            [("poisson", None, 1.0), ("gamma", Some(2.0), 4.0), ("gamma", Some(0.5), 0.25)]
        {
            let mut json = json!({"load": {"pattern": "constant", "rps": 10}, "arrivals": process});
            if let Some(cv) = cv {
                json["gapCv"] = json!(cv);
            }
            let (mean, dispersion) = dispersion(&arrivals(json, None, 20_000), 10.0, 2000);
            assert!((mean - 100.0).abs() < 1.0, "{process}: {mean}");
            assert!((dispersion / index - 1.0).abs() < 0.12, "{process} {cv:?}: {dispersion}");
        }
    }

    #[test]
    fn a_rate_that_changes_has_its_integral_as_mean_count() {
        let sine = json!({"load": {"pattern": "sine", "meanRps": 100, "amplitudeRps": 100,
            "period": "40s"}});
        let arrivals = arrivals(sine, None, 4_000);
        // Around the peak, from an eighth to three eighths of the period, the mean rate is
        // 100 (1 + 2 sqrt(2) / pi).
        let at_peak =
            seconds(&arrivals).iter().filter(|at| (5.0..15.0).contains(&(*at % 40.0))).count();
        let expected = 100.0 * 1000.0 * (1.0 + 2.0 * 2f64.sqrt() / std::f64::consts::PI);
        assert!((at_peak as f64 / expected - 1.0).abs() < 0.006, "{at_peak} of {expected}");
        assert!((arrivals.len() as f64 / 4e5 - 1.0).abs() < 0.005, "{}", arrivals.len());
    }

    #[test]
    fn the_steps_in_which_one_asks_do_not_matter() {
        let json = json!({"load": {"pattern": "sine", "meanRps": 5, "amplitudeRps": 5, "period": "7s"},
            "arrivals": "gamma", "gapCv": 1.5});
        let straight = arrivals(json.clone(), None, 100);
        let stream = Streams::new(5).stream("arrivals", 0);
        let mut stepwise = spec(json).arrivals("", None, stream).expect("right");
        let mut found = Vec::new();
        let mut pending = None;
        for step in 0..100_000 {
            let until = SimTime::ZERO + SimDuration::from_millis(step);
            pending = pending.or_else(|| stepwise.next_known_by(until));
            while let Some(arrival) = pending.filter(|arrival: &Arrival| arrival.at <= until) {
                found.push(arrival);
                pending = stepwise.next_known_by(until);
            }
        }
        assert_eq!(straight[..found.len()], found);
        assert!(found.len() + 3 > straight.len());
    }

    const REQUESTS: &str = "t_s,prompt_tokens,output_tokens\n0,1,10\n1,2,20\n1,3,30\n4,4,40\n";

    #[test]
    fn a_trace_is_played_as_recorded() {
        let plain = arrivals(json!({"load": {"trace": "t.csv"}}), Some(REQUESTS), 100);
        assert_eq!(seconds(&plain), [0.0, 1.0, 1.0, 4.0]);
        assert_eq!(plain[2].tokens, Tokens { prompt: 3, output: 30 });
    }

    #[test]
    fn a_trace_is_cut_sped_up_and_repeated() {
        let cut = json!({"load": {"trace": "t.csv", "from": "1s", "to": "4s", "speed": 2, "repeat": true}});
        // A round is the three seconds from 1 s to 4 s, at twice the speed.
        assert_eq!(seconds(&arrivals(cut, Some(REQUESTS), 4)), [0.0, 0.0, 1.5, 1.5, 3.0, 3.0]);
        let whole = json!({"load": {"trace": "t.csv", "repeat": true}});
        // The mean gap follows the last request: 4 s / 3.
        let again = seconds(&arrivals(whole, Some(REQUESTS), 6));
        assert_eq!(again.len(), 5);
        assert!((again[4] - (4.0 + 4.0 / 3.0)).abs() < 1e-8, "{again:?}");
    }

    #[test]
    fn scaling_a_trace_up_keeps_its_requests_and_puts_others_between() {
        let scaled = json!({"load": {"trace": "t.csv", "scale": 3}});
        let arrivals = arrivals(scaled, Some(REQUESTS), 100);
        assert_eq!(arrivals.len(), 12);
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        let of_third: Vec<f64> =
            seconds(&arrivals.iter().filter(|a| a.tokens.prompt == 3).copied().collect::<Vec<_>>());
        assert!((of_third[0] - 1.0).abs() < 1e-12, "the recorded one stays");
        assert!(of_third[1] > 1.0 && of_third[2] < 4.0 && of_third[1] < of_third[2]);
    }

    #[test]
    fn scaling_a_trace_down_takes_a_share_at_random() {
        let rows: Vec<String> =
            (0..10_000).map(|row| format!("{}", f64::from(row) / 100.0)).collect();
        let text = rows.join("\n");
        for (scale, expected) in [(0.3, 3_000.0), (2.5, 25_000.0)] {
            let json = json!({"load": {"trace": "t.csv", "scale": scale}});
            let count = arrivals(json, Some(&text), 1_000).len() as f64;
            assert!((count / expected - 1.0).abs() < 0.05, "{count} of {expected}");
        }
    }

    #[test]
    fn counts_are_drawn_within_their_intervals() {
        let text = "t_s,requests\n0,6000\n60,0\n120,600\n";
        let json = json!({"load": {"trace": "t.csv", "scale": 2, "speed": 2, "repeat": true}});
        let arrivals = arrivals(json, Some(text), 180);
        // Twice the requests in half the time, and the whole again from 90 s on.
        for (from, to, expected) in
            [(0.0, 30.0, 12_000.0), (60.0, 90.0, 1_200.0), (90.0, 120.0, 12_000.0)]
        {
            let count = seconds(&arrivals).iter().filter(|at| (from..to).contains(*at)).count();
            assert!((count as f64 / expected - 1.0).abs() < 0.08, "{count} from {from}");
        }
        assert_eq!(seconds(&arrivals).iter().filter(|at| (30.0..60.0).contains(*at)).count(), 0);
    }

    #[test]
    fn settings_that_do_not_fit_the_trace_are_refused() {
        let counts = "t_s,requests\n0,6\n60,5\n";
        for (json, trace, says) in [
            (
                json!({"load": {"trace": "t"}, "arrivals": "even"}),
                Some(REQUESTS),
                "arrivals: the trace itself",
            ),
            (
                json!({"load": {"trace": "t", "from": "3m"}}),
                Some(counts),
                "load.from: 180s is not before the end",
            ),
            (
                json!({"load": {"trace": "t", "to": "3m"}}),
                Some(counts),
                "load.to: 180s is after the end",
            ),
            (
                json!({"load": {"trace": "t", "from": "2s", "to": "3s"}}),
                Some(REQUESTS),
                "load.to: no request lies",
            ),
            (
                json!({"load": {"trace": "t", "scale": 0}}),
                Some(counts),
                "load.scale: 0 must be a number above 0",
            ),
            (
                json!({"load": {"trace": "t", "speed": -1}}),
                Some(counts),
                "load.speed: -1 must be a number above 0",
            ),
            (json!({"load": {"trace": "t"}}), None, "load.trace: the file t was not read"),
            (json!({"load": {"trace": "t", "repeat": true}}), Some("0\n"), "load.repeat: the part"),
            (
                json!({"load": {"trace": "t"}, "arrivals": "gamma"}),
                Some(counts),
                "gapCv: gamma arrivals need",
            ),
            (
                json!({"load": {"trace": "t"}, "gapCv": 2}),
                Some(counts),
                "gapCv: only `arrivals: gamma`",
            ),
            (
                json!({"load": {"trace": "t"}, "timeout": 0}),
                Some(counts),
                "timeout: 0s must be longer",
            ),
        ] {
            let trace = trace.map(|text| Trace::read(text.as_bytes()).expect("a trace"));
            let stream = Streams::new(5).stream("arrivals", 0);
            let problems = spec(json).arrivals("", trace.as_ref(), stream).unwrap_err();
            assert!(problems[0].to_string().starts_with(says), "{}", problems[0]);
        }
    }

    #[test]
    fn a_load_is_a_trace_or_a_pattern() {
        for (json, says) in [
            (json!({"trace": "t", "pattern": "constant"}), "not both"),
            (json!({"rps": 5}), "write `trace: FILE`"),
            (json!({"trace": "t", "sped": 2}), "unknown field `sped`"),
            (json!({"pattern": "square"}), "unknown variant `square`"),
        ] {
            let error = serde_json::from_value::<Load>(json).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
