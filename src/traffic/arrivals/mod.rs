//! When requests come: patterns and traces, and the arrival processes on top of a rate. Not
//! responsible for where requests go, nor for what they cost.
//!
//! A new pattern is a variant of [`Pattern`] with its shape in `shapes.rs`.

mod coming;
mod cut;
mod expected;
mod modulation;
mod pattern;
mod process;
mod rate;
mod replay;
mod routed;
mod shapes;
mod spliced;
mod users;

use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};

pub use cut::Cut;
pub use modulation::ModulationState;
pub use pattern::{Pattern, Phase, RatePoint};
pub use process::ArrivalProcess;
pub use rate::Segment;
pub use replay::TraceLoad;
pub use spliced::{Added, Piece, Splice};
pub use users::UserLoad;

pub(super) use coming::Coming;
pub(super) use modulation::check_states;
pub(super) use process::{Curve, GapLaw};
pub(super) use replay::TraceCurve;
pub(super) use users::Users;

use super::fluid::FlowCurve;
use super::problem::Checks;
use super::tagged::read_tagged;
use super::trace::{Tokens, Trace};
use engine::{SimDuration, SimTime, Stream};
use process::RateArrivals;
use replay::Replay;
pub use routed::WayId;
use routed::{Merged, Routed};
use spliced::Spliced;

/// What requests come over time: a recorded trace, a pattern, users in a closed loop, or several of
/// these.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Load {
    /// A recorded trace.
    Trace(TraceLoad),
    /// A rate in words.
    Pattern(Pattern),
    /// Users who wait for their answers.
    Users(UserLoad),
    /// One load after the other.
    Splice(Splice),
    /// Several loads at once.
    Add(Added),
}

/// How requests follow each other at the rates of a load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process<'a> {
    pub gaps: GapLaw,
    /// Of `mmpp`; else none.
    pub states: &'a [ModulationState],
}

/// Finds the content of a trace by the name that a load has for it.
pub(super) type FindTrace<'a, 't> = &'a dyn Fn(&str) -> Option<&'t Trace>;

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
    /// Users of a closed loop, each of whom asks again only after the last answer.
    users: Vec<Users>,
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
    Spliced(Spliced),
    /// Not one by one.
    Flow(FlowCurve),
}

impl Arrival {
    /// A request of which no trace tells the size.
    #[inline]
    const fn plain(at: SimTime) -> Self {
        Self { at, tokens: Tokens::of(0, 0) }
    }
}

impl Load {
    /// Shows each part of the load that is not made of others, with the path of its field; `path` is the
    /// load's own.
    pub(super) fn each_part<'a>(&'a self, path: &str, each: &mut impl FnMut(&str, &'a Self)) {
        match self {
            Self::Trace(_) | Self::Pattern(_) | Self::Users(_) => each(path, self),
            Self::Splice(Splice { splice }) => {
                for (index, piece) in splice.iter().enumerate() {
                    piece.load.each_part(&format!("{path}.splice[{index}].load"), each);
                }
            }
            Self::Add(Added { add }) => {
                for (index, load) in add.iter().enumerate() {
                    load.each_part(&format!("{path}.add[{index}]"), each);
                }
            }
        }
    }

    /// The files that must be read to know what comes.
    pub fn trace_files(&self) -> Vec<&str> {
        let mut files = Vec::new();
        self.each_part("", &mut |_, part| {
            if let Self::Trace(load) = part {
                files.push(&*load.trace);
            }
        });
        files
    }

    /// Whether a part of the load is users in a closed loop.
    pub fn has_users(&self) -> bool {
        self.has(|part| matches!(part, Self::Users(_)))
    }

    /// Whether a part of the load is a rate in words.
    pub(super) fn has_pattern(&self) -> bool {
        self.has(|part| matches!(part, Self::Pattern(_)))
    }

    fn has(&self, kind: fn(&Self) -> bool) -> bool {
        let mut has = false;
        self.each_part("", &mut |_, part| has |= kind(part));
        has
    }

    /// Notes what is wrong with the load by itself.
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        self.check_nested(0, checks);
    }

    fn check_nested(&self, depth: usize, checks: &mut Checks<'_>) {
        if depth > spliced::DEPTH_MAX {
            return checks.require(false, "", || {
                format!("loads nest deeper than {} levels here", spliced::DEPTH_MAX)
            });
        }
        match self {
            Self::Trace(load) => load.check(checks),
            Self::Pattern(pattern) => pattern.check(checks),
            Self::Users(users) => users.check(checks),
            Self::Splice(splice) => splice.check(depth, checks),
            Self::Add(added) => added.check(depth, checks),
        }
    }
}

impl<'de> Deserialize<'de> for Load {
    /// By the field that is there: an untagged enum could only say that nothing matched.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let kinds = ["trace", "pattern", "users", "splice", "add"];
        let given: Vec<&str> = kinds.into_iter().filter(|kind| value.get(kind).is_some()).collect();
        let load = match given[..] {
            ["trace"] => read(value).map(Self::Trace),
            ["pattern"] => read_tagged(&value, "pattern").map(Self::Pattern),
            ["users"] => read(value).map(Self::Users),
            ["splice"] => read(value).map(Self::Splice),
            ["add"] => read(value).map(Self::Add),
            [one, other, ..] => Err(format!("either `{one}` or `{other}`, not both")),
            _ => Err("write `trace: FILE`, `users: NUMBER`, `splice:` or `add:` with a list of loads, \
                      or `pattern:` with one of constant, ramp, step, sine, spike, weekly, flashCrowd, \
                      points, phases, sum"
                .into()),
        };
        load.map_err(D::Error::custom)
    }
}

/// Reads a part whose kind is known. Its errors begin with the field that they are about, as
/// [`nested_error`] has it, which would be lost: the whole load was looked at before.
fn read<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        // A segment that is not known is written as a question mark, a field of the load itself as a point.
        let path = path.trim_end_matches(['?', '.']);
        match nested_error(&message) {
            _ if path.is_empty() => message,
            Some((inner, message)) => format!("in `{path}.{inner}`: {message}"),
            None => format!("in `{path}`: {message}"),
        }
    })
}

/// The field inside of a load that an error is about, and what is wrong with it: ``in `add[0].users`: ...``.
pub fn nested_error(message: &str) -> Option<(&str, &str)> {
    message.strip_prefix("in `")?.split_once("`: ")
}

impl Arrivals {
    const fn of(source: Source) -> Self {
        Self { source, users: Vec::new() }
    }

    /// No requests at all.
    pub const fn none() -> Self {
        Self::of(Source::Nothing)
    }

    /// Whether nothing ever comes.
    pub fn is_none(&self) -> bool {
        matches!(self.source, Source::Nothing) && self.users.is_empty()
    }

    /// Those of the arrivals that go one way: `stream` draws a number from 0 to 1 for each, and `ranges` says which
    /// numbers go it, until [`Traffic::reroute`](crate::Traffic::reroute) says otherwise. Users go no way but their own.
    pub fn routed(self, way: WayId, ranges: Vec<Range<f64>>, stream: Stream) -> Self {
        let all = Box::new(self);
        let (last, again, path) = (None, false, None);
        Self::of(Source::Routed(Routed { all, stream, way, ranges, last, again, path }))
    }

    /// The same requests, if they go one way, all asking for this path.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        if let Source::Routed(routed) = &mut self.source {
            routed.path = Some((path.into(), 0));
        }
        self
    }

    /// What is told of the classes of requests, names and paths, gets the numbers that the run has for it.
    pub(super) fn number_classes(&mut self, number: &mut dyn FnMut(&str) -> u16) {
        match &mut self.source {
            Source::Requests(replay) => replay.number_classes(number),
            Source::Routed(routed) => {
                routed.all.number_classes(number);
                if let Some((path, class)) = &mut routed.path {
                    *class = number(path);
                }
            }
            Source::Merged(merged) => {
                merged.origins_mut().for_each(|origin| origin.number_classes(number));
            }
            Source::Spliced(spliced) => {
                spliced.pieces_mut().for_each(|piece| piece.number_classes(number));
            }
            Source::Pattern(_) | Source::Rates(_) | Source::Nothing | Source::Flow(_) => {}
        }
    }

    /// Arrivals of several origins together.
    pub fn merged(origins: impl IntoIterator<Item = Self>) -> Self {
        let mut origins: Vec<Self> = origins.into_iter().collect();
        let users = origins.iter_mut().flat_map(Self::take_users).collect();
        Self { source: Source::Merged(Merged::new(origins)), users }
    }

    /// The users of the arrivals, who are none from now on.
    pub(super) fn take_users(&mut self) -> Vec<Users> {
        std::mem::take(&mut self.users)
    }

    /// Draws what a load says; absent if a trace is missing.
    pub(super) fn from_load(
        load: &Load,
        process: Process<'_>,
        traces: FindTrace<'_, '_>,
        stream: Stream,
    ) -> Option<Self> {
        // Parts draw from places of the stream that never meet.
        let mut place = stream.clone();
        let mut next_place = move || {
            place.long_jump();
            place.clone()
        };
        Some(match load {
            Load::Trace(load) => Self::from_trace(load, traces(&load.trace)?, process, stream),
            Load::Pattern(pattern) => Self::from_pattern(pattern, process, stream),
            Load::Users(users) => Self { users: vec![Users::new(users, stream)], ..Self::none() },
            Load::Add(Added { add }) => {
                let parts =
                    add.iter().map(|load| Self::from_load(load, process, traces, next_place()));
                Self::merged(parts.collect::<Option<Vec<_>>>()?)
            }
            Load::Splice(Splice { splice }) => {
                let mut begin = SimTime::ZERO;
                let mut pieces = Vec::with_capacity(splice.len());
                for piece in splice {
                    let part = Self::from_load(&piece.load, process, traces, next_place())?;
                    pieces.push((begin, part));
                    begin += match (&piece.load, piece.lasting) {
                        (_, Some(lasting)) => lasting,
                        (Load::Trace(load), None) => load.round(traces(&load.trace)?),
                        _ => SimDuration::MAX,
                    };
                }
                Self::of(Source::Spliced(Spliced::new(pieces)))
            }
        })
    }

    /// Draws from a rate in words.
    fn from_pattern(pattern: &Pattern, process: Process<'_>, stream: Stream) -> Self {
        let curve = Arc::new(pattern.clone());
        let Process { gaps, states } = process;
        Self::of(Source::Pattern(RateArrivals::new(curve, gaps, states, stream)))
    }

    /// Plays a trace; `process` counts for a trace of rates alone.
    fn from_trace(load: &TraceLoad, trace: &Trace, process: Process<'_>, stream: Stream) -> Self {
        Self::of(match trace {
            Trace::Requests(trace) => Source::Requests(Replay::new(load, trace.clone(), stream)),
            Trace::Rates(trace) => {
                let curve = TraceCurve::new(load, trace.clone());
                let Process { gaps, states } = process;
                Source::Rates(RateArrivals::new(curve, gaps, states, stream))
            }
        })
    }

    /// A flow at a rate in words or recorded; `None` if each request was recorded.
    pub(super) fn flowing(load: &Load, traces: FindTrace<'_, '_>) -> Option<Self> {
        let curve = match load {
            Load::Pattern(pattern) => FlowCurve::Pattern(Arc::new(pattern.clone())),
            Load::Trace(load) => match traces(&load.trace)? {
                Trace::Rates(trace) => FlowCurve::Trace(TraceCurve::new(load, trace.clone())),
                Trace::Requests(_) => return None,
            },
            Load::Users(_) | Load::Splice(_) | Load::Add(_) => return None,
        };
        Some(Self::of(Source::Flow(curve)))
    }

    /// The rate over time, if requests are a flow.
    pub(super) fn as_flow(&self) -> Option<FlowCurve> {
        match &self.source {
            Source::Flow(curve) => Some(curve.clone()),
            _ => None,
        }
    }

    /// Adds the next arrivals, `count` of them at most, as [`Self::next_known_by`] tells them.
    fn know_by(&mut self, until: SimTime, count: usize, into: &mut Vec<Arrival>) {
        match &mut self.source {
            Source::Pattern(arrivals) => arrivals.know_by(until, count, into),
            Source::Rates(arrivals) => arrivals.know_by(until, count, into),
            _ => {
                while let Some(arrival) = self.next_known_by(until) {
                    into.push(arrival);
                    // Where requests go may change after `until`: no more than one may be known already.
                    if into.len() >= count || arrival.at > until {
                        break;
                    }
                }
            }
        }
    }

    /// The next arrival, if it can be known without looking further than `until`; it may itself lie
    /// later. What comes does not depend on the steps in which one asks.
    #[inline]
    pub fn next_known_by(&mut self, until: SimTime) -> Option<Arrival> {
        match &mut self.source {
            Source::Pattern(arrivals) => arrivals.next_known_by(until).map(Arrival::plain),
            Source::Rates(arrivals) => arrivals.next_known_by(until).map(Arrival::plain),
            Source::Requests(replay) => replay.next_known_by(until),
            Source::Nothing | Source::Flow(_) => None,
            Source::Routed(routed) => routed.next_known_by(until),
            Source::Merged(merged) => merged.next_known_by(until),
            Source::Spliced(spliced) => spliced.next_known_by(until),
        }
    }
}

impl Curve for Arc<Pattern> {
    fn segment_at(&self, at: SimTime) -> Segment {
        Pattern::segment_at(self, at)
    }
}

#[cfg(test)]
mod tests;
