//! Arrival times of requests: patterns and traces, and the arrival processes on top of a rate. Routing and service
//! times are out of scope.
//!
//! A new pattern is a variant of [`Pattern`] with its shape in `shapes.rs`.

mod buffered;
mod cut_point;
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

pub use cut_point::CutPoint;
pub use modulation::ModulationState;
pub use pattern::{Pattern, Phase, RatePoint};
pub use process::ArrivalProcess;
pub use rate::Segment;
pub use replay::TraceLoad;
pub use spliced::{Added, Piece, Splice};
pub use users::UserLoad;

pub(super) use buffered::BufferedArrivals;
pub(super) use modulation::check_states;
pub(super) use process::{Curve, GapDistribution};
pub(super) use replay::TraceCurve;
pub(super) use users::Users;

use super::fluid::FlowCurve;
use super::problem::Checks;
use super::tagged::read_tagged;
use super::trace::{Tokens, Trace};
use engine::{SimDuration, SimTime, Stream};
use process::RateArrivals;
use replay::Replay;
pub use routed::BranchId;
use routed::{Merged, Routed};
use spliced::Spliced;

/// Request load over time: a recorded trace, a pattern, users in a closed loop, or a combination of these.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Load {
    /// A recorded trace.
    Trace(TraceLoad),
    /// A rate given as a pattern.
    Pattern(Pattern),
    /// Users in a closed loop, who wait for their answers.
    Users(UserLoad),
    /// One load after the other.
    Splice(Splice),
    /// Several loads at once.
    Add(Added),
}

/// The arrival process at the rates of a load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process<'a> {
    pub gaps: GapDistribution,
    /// The states of `mmpp`; otherwise empty.
    pub states: &'a [ModulationState],
}

/// Looks up the content of a trace by the name used in a load.
pub(super) type FindTrace<'a, 't> = &'a dyn Fn(&str) -> Option<&'t Trace>;

/// The arrival of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Arrival time.
    pub at: SimTime,
    /// Its size, if the trace records it.
    pub tokens: Tokens,
}

/// The arrivals of one service, drawn one by one.
#[derive(Clone, Debug)]
pub struct Arrivals {
    source: Source,
    /// Users of a closed loop, each of whom sends the next request only after the last answer.
    users: Vec<Users>,
}

#[derive(Clone, Debug)]
enum Source {
    Pattern(RateArrivals<Arc<Pattern>>),
    Rates(RateArrivals<TraceCurve>),
    Requests(Replay),
    /// No requests.
    Nothing,
    Routed(Routed),
    Merged(Merged),
    Spliced(Spliced),
    /// A continuous flow instead of single requests.
    Flow(FlowCurve),
}

impl Arrival {
    /// A request whose size is not recorded in a trace.
    #[inline]
    const fn plain(at: SimTime) -> Self {
        Self { at, tokens: Tokens::of(0, 0) }
    }
}

impl Load {
    /// Visits each elementary part of the load with the path of its field; `path` is that of the load itself.
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

    /// The trace files that must be read for this load.
    pub fn trace_files(&self) -> Vec<&str> {
        let mut files = Vec::new();
        self.each_part("", &mut |_, part| {
            if let Self::Trace(load) = part {
                files.push(&*load.trace);
            }
        });
        files
    }

    /// Whether any part of the load is users in a closed loop.
    pub fn has_users(&self) -> bool {
        self.has(|part| matches!(part, Self::Users(_)))
    }

    /// Whether any part of the load is a pattern.
    pub(super) fn has_pattern(&self) -> bool {
        self.has(|part| matches!(part, Self::Pattern(_)))
    }

    fn has(&self, kind: fn(&Self) -> bool) -> bool {
        let mut has = false;
        self.each_part("", &mut |_, part| has |= kind(part));
        has
    }

    /// Reports problems of the load on its own.
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        self.check_nested(0, checks);
    }

    fn check_nested(&self, depth: usize, checks: &mut Checks<'_>) {
        if depth > spliced::DEPTH_MAX {
            return checks.require(false, "", || {
                format!("loads are nested more than {} levels deep", spliced::DEPTH_MAX)
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
    /// Selects the kind by the field present: an untagged enum could only report that nothing matched.
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

/// Deserializes a part whose kind is known. Errors begin with the path of the field, in the form read by
/// [`nested_error`]; the path would otherwise be lost, as the load has already been read as a generic value.
fn read<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        // An unknown path segment is written as a question mark, a field of the load itself as a dot.
        let path = path.trim_end_matches(['?', '.']);
        match nested_error(&message) {
            _ if path.is_empty() => message,
            Some((inner, message)) => format!("in `{path}.{inner}`: {message}"),
            None => format!("in `{path}`: {message}"),
        }
    })
}

/// The field within a load that an error refers to, and the problem: ``in `add[0].users`: ...``.
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

    /// Whether there are no requests at all.
    pub fn is_none(&self) -> bool {
        matches!(self.source, Source::Nothing) && self.users.is_empty()
    }

    /// The share of the arrivals that takes one route: `stream` draws a number from 0 to 1 for each, and `ranges`
    /// selects the numbers for this route, until changed by [`Traffic::reroute`](crate::Traffic::reroute). Users in a
    /// closed loop are not routed.
    pub fn routed(self, branch: BranchId, ranges: Vec<Range<f64>>, stream: Stream) -> Self {
        let all = Box::new(self);
        let (last, again, path) = (None, false, None);
        Self::of(Source::Routed(Routed { all, stream, branch, ranges, last, again, path }))
    }

    /// The same requests, if they take one route, all with this path.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        if let Source::Routed(routed) = &mut self.source {
            routed.path = Some((path.into(), 0));
        }
        self
    }

    /// Assigns the run's numbers to the recorded classes of requests, names and paths.
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

    /// Whether it is known which requests come from the same user or session.
    pub(super) fn knows_users(&self) -> bool {
        if !self.users.is_empty() {
            return true;
        }
        match &self.source {
            Source::Requests(replay) => replay.has_sessions(),
            Source::Routed(routed) => routed.all.knows_users(),
            Source::Merged(merged) => merged.origins().any(Self::knows_users),
            Source::Spliced(spliced) => spliced.pieces().any(Self::knows_users),
            Source::Pattern(_) | Source::Rates(_) | Source::Nothing | Source::Flow(_) => false,
        }
    }

    /// Merges the arrivals of several origins.
    pub fn merged(origins: impl IntoIterator<Item = Self>) -> Self {
        let mut origins: Vec<Self> = origins.into_iter().collect();
        let users = origins.iter_mut().flat_map(Self::take_users).collect();
        Self { source: Source::Merged(Merged::new(origins)), users }
    }

    /// Removes and returns the users of the arrivals.
    pub(super) fn take_users(&mut self) -> Vec<Users> {
        std::mem::take(&mut self.users)
    }

    /// Arrivals drawn from a load; absent if a trace is missing.
    pub(super) fn from_load(
        load: &Load,
        process: Process<'_>,
        traces: FindTrace<'_, '_>,
        stream: Stream,
    ) -> Option<Self> {
        // Parts draw from non-overlapping sections of the stream.
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

    /// Arrivals drawn from a pattern.
    fn from_pattern(pattern: &Pattern, process: Process<'_>, stream: Stream) -> Self {
        let curve = Arc::new(pattern.clone());
        let Process { gaps, states } = process;
        Self::of(Source::Pattern(RateArrivals::new(curve, gaps, states, stream)))
    }

    /// Arrivals replayed from a trace; `process` applies to traces of rates only.
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

    /// A flow at a patterned or recorded rate; `None` for a trace of individual requests.
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

    /// Appends the next arrivals, up to `count` of them, in the sense of [`Self::next_known_by`].
    fn know_by(&mut self, until: SimTime, count: usize, into: &mut Vec<Arrival>) {
        match &mut self.source {
            Source::Pattern(arrivals) => arrivals.know_by(until, count, into),
            Source::Rates(arrivals) => arrivals.know_by(until, count, into),
            _ => {
                while let Some(arrival) = self.next_known_by(until) {
                    into.push(arrival);
                    // Routing may change after `until`: at most one later arrival may be drawn.
                    if into.len() >= count || arrival.at > until {
                        break;
                    }
                }
            }
        }
    }

    /// The next arrival if it can be known without looking past `until`; it may itself be later. The sequence does not
    /// depend on the steps in which it is queried.
    #[inline]
    fn next_known_by(&mut self, until: SimTime) -> Option<Arrival> {
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
