//! Replay of recorded requests, optionally sped up, scaled or repeated.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::process::Curve;
use super::rate::Segment;
use super::{Arrival, CutPoint};
use crate::problem::Checks;
use crate::trace::{RateTrace, RequestTrace, Tokens, Trace};
use crate::trace_rows::RowReader;
use engine::{SimDuration, SimTime, Stream};

/// A recorded trace as load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraceLoad {
    /// The file: CSV, plain or .gz, with a header line. Either one line per request with its time (`t_s`, `timestamp`;
    /// for LLM services also `prompt_tokens,output_tokens`), or one line per interval with its start and `requests` (a
    /// count) or `rps` (a rate).
    pub trace: String,
    /// Multiplier of the number of recorded requests; 0.5 keeps every other one at random. Default 1.
    #[serde(default = "one")]
    pub scale: f64,
    /// Arrival times of the additional requests of a `scale` above 1: `apart` from the recorded ones, as those of more
    /// independent users, or `together` with them, in batches. Default apart.
    #[serde(default, skip_serializing_if = "Copies::is_default")]
    pub copies: Copies,
    /// Replay speed relative to recorded time. Default 1.
    #[serde(default = "one")]
    pub speed: f64,
    /// Start within the trace: an offset from its beginning, or a date. Default: its beginning.
    #[serde(default)]
    pub from: CutPoint,
    /// End within the trace, likewise. Default: its end.
    pub to: Option<CutPoint>,
    /// Whether the trace restarts after its end. Default false: no more requests follow.
    #[serde(default)]
    pub repeat: bool,
    /// Share of the file's rows that may be malformed, from 0 to 1: they are skipped and counted, and the first one is
    /// reported. Files with more are rejected. Default 0.01; 0 tolerates none.
    #[serde(default = "default_max_broken", skip_serializing_if = "is_default_max_broken")]
    pub max_broken: f64,
}

/// Arrival times of the additional requests of a scaled trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Copies {
    /// A random time before or after the recorded request, drawn for each: the load over minutes stays as recorded, and
    /// at short time scales requests are as independent as those of different users.
    #[default]
    Apart,
    /// The time of the recorded request.
    Together,
}

impl Copies {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Spread of copies around their request, in mean gaps. With few, requests would cluster: a copy must mix with others'
/// requests and not only with its own.
const SPREAD_GAPS: f64 = 500.0;
/// Upper bound of the spread: this time, or this share of a round if that is more; beyond that the load's shape over
/// time would be lost.
const LONGEST_SPREAD: SimDuration = SimDuration::from_secs(60);
const LARGEST_SPREAD_OF_ROUND: f64 = 0.01;

/// Default share of a file's rows that may be malformed.
const MAX_BROKEN: f64 = 0.01;

/// Limits memory: each recorded request is held in memory this many times when its turn comes.
const MAX_SCALE: f64 = 100_000.0;

/// The replayed part of a trace, and its speed.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: SimTime,
    speed: f64,
    /// Duration of one round in the run.
    round: SimDuration,
    repeat: bool,
}

/// Replay of a trace of rates.
#[derive(Clone, Debug)]
pub(crate) struct TraceCurve {
    trace: Arc<RateTrace>,
    window: Window,
    scale: f64,
}

/// Replay of a trace of requests.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    trace: Arc<RequestTrace>,
    reader: RowReader,
    window: Window,
    scale: f64,
    stream: Stream,
    /// First row of the window, and the one after the last.
    rows: (usize, usize),
    /// Next row.
    row: usize,
    /// Time and size of the next row, once read.
    next: Option<(SimTime, Tokens)>,
    /// Start of the current round in the run.
    round_start: SimTime,
    /// Copies of a row arrive within this time before and after it.
    spread: SimDuration,
    /// Pending arrivals of rows before `row`, with the number of their draw.
    waiting: BinaryHeap<Reverse<(SimTime, u64, Tokens)>>,
    drawn: u64,
    /// The run's numbers for the trace's classes; empty if the run does not need them.
    classes: Vec<u16>,
}

impl Replay {
    /// Whether its requests have sessions.
    pub(crate) fn has_sessions(&self) -> bool {
        self.trace.rows.has_sessions()
    }
}

impl TraceLoad {
    /// An unmodified replay of a trace.
    pub fn plain(trace: &str) -> Self {
        Self {
            trace: trace.to_owned(),
            scale: 1.0,
            copies: Copies::Apart,
            speed: 1.0,
            from: CutPoint::default(),
            to: None,
            repeat: false,
            max_broken: MAX_BROKEN,
        }
    }

    /// Reports problems of the settings on their own.
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        checks.require(!self.trace.is_empty(), "trace", || "the file name is missing".into());
        checks.positive("scale", self.scale);
        checks.require(self.scale <= MAX_SCALE, "scale", || {
            format!("{} is above {MAX_SCALE}; use a pattern for such a load", self.scale)
        });
        checks.positive("speed", self.speed);
        checks.share("maxBroken", self.max_broken);
        if let (CutPoint::After(from), Some(CutPoint::After(to))) = (self.from, self.to) {
            checks.require(to > from, "to", || format!("{to} must be after `from`, {from}"));
        }
    }

    /// Reports problems of the settings with this trace.
    pub(crate) fn check_against(&self, trace: &Trace, checks: &mut Checks<'_>) {
        for (field, cut) in [("from", Some(self.from)), ("to", self.to)] {
            if let Some(Err(message)) = cut.map(|cut| cut.offset(trace)) {
                return checks.require(false, field, || message);
            }
        }
        let (from, to) = self.span(trace);
        let end = trace.end();
        checks.require(from < end, "from", || {
            format!("{} is not before the end of the trace at {end}", self.from)
        });
        if let Some(cut) = self.to {
            checks.require(to <= end, "to", || {
                format!("{cut} is after the end of the trace at {end}; remove it")
            });
            checks
                .require(to > from, "to", || format!("{cut} must be after `from`, {}", self.from));
        }
        if let Trace::Requests(requests) = trace {
            let (first, end) = self.rows(trace, requests);
            checks.require(first < end, "to", || {
                "the trace has no request between `from` and `to`".into()
            });
        }
        let round = self.window(trace).round;
        checks.require(!self.repeat || round >= SimDuration::from_millis(1), "repeat", || {
            format!("the repeated part of the trace is only {round} long")
        });
    }

    /// The replayed part of a trace, in the trace's own time; the settings must have passed their checks.
    pub fn span(&self, trace: &Trace) -> (SimTime, SimTime) {
        let at = |cut: CutPoint| SimTime::ZERO + cut.offset(trace).unwrap_or(SimDuration::MAX);
        (at(self.from), self.to.map_or(trace.end(), at))
    }

    /// Duration of the replayed part in the run.
    pub(super) fn round(&self, trace: &Trace) -> SimDuration {
        self.window(trace).round
    }

    /// Spread of copies before and after a request, given the number of requests in a round.
    fn spread(&self, round: SimDuration, rows: usize) -> SimDuration {
        if self.scale <= 1.0 || self.copies == Copies::Together {
            return SimDuration::ZERO;
        }
        let round = round.as_secs_f64();
        let longest = (round * LARGEST_SPREAD_OF_ROUND).max(LONGEST_SPREAD.as_secs_f64());
        let gaps = round / rows.max(1) as f64 * SPREAD_GAPS;
        SimDuration::from_secs_f64(gaps.min(longest).min(round) / 2.0)
    }

    /// First row of the window, and the one after the last.
    fn rows(&self, trace: &Trace, requests: &RequestTrace) -> (usize, usize) {
        let (from, to) = self.span(trace);
        let rows = &requests.rows;
        (rows.before(from), if self.to.is_some() { rows.before(to) } else { rows.len() })
    }

    fn window(&self, trace: &Trace) -> Window {
        let (from, end) = self.span(trace);
        let window =
            Window { from, speed: self.speed, round: SimDuration::ZERO, repeat: self.repeat };
        Window { round: window.in_run(end), ..window }
    }
}

impl Window {
    /// Time from the start of a round until `at` of the trace.
    fn in_run(&self, at: SimTime) -> SimDuration {
        SimDuration::from_secs_f64((at - self.from).as_secs_f64() / self.speed)
    }
}

impl TraceCurve {
    pub(super) fn new(load: &TraceLoad, trace: Arc<RateTrace>) -> Self {
        let window = load.window(&Trace::Rates(trace.clone()));
        Self { trace, window, scale: load.scale }
    }
}

impl Curve for TraceCurve {
    fn segment_at(&self, at: SimTime) -> Segment {
        let Window { round, repeat, speed, .. } = self.window;
        if !repeat && at >= SimTime::ZERO + round {
            return Segment::forever(SimTime::ZERO + round, 0.0);
        }
        let begin = SimTime::ZERO + round * ((at - SimTime::ZERO).as_nanos() / round.as_nanos());
        let when = |start: SimTime| begin + self.window.in_run(start);
        let passed = self.trace.starts.partition_point(|start| when(*start) <= at);
        let next = self.trace.starts.get(passed).map_or(SimTime::MAX, |start| when(*start));
        let end = next.min(begin + round);
        match passed.checked_sub(1) {
            None => Segment::level(begin, end, 0.0),
            Some(row) => {
                let rps = self.trace.rps[row] * self.scale * speed;
                Segment::level(when(self.trace.starts[row]).max(begin), end, rps)
            }
        }
    }
}

impl Replay {
    pub(super) fn new(load: &TraceLoad, trace: Arc<RequestTrace>, stream: Stream) -> Self {
        let whole = Trace::Requests(trace.clone());
        let (window, rows) = (load.window(&whole), load.rows(&whole, &trace));
        Self {
            trace,
            reader: RowReader::default(),
            window,
            scale: load.scale,
            stream,
            rows,
            row: rows.0,
            next: None,
            round_start: SimTime::ZERO,
            spread: load.spread(window.round, rows.1 - rows.0),
            waiting: BinaryHeap::new(),
            drawn: 0,
            classes: Vec::new(),
        }
    }

    /// The next arrival, if it comes by `until`.
    pub(super) fn next_known_by(&mut self, until: SimTime) -> Option<Arrival> {
        loop {
            let waiting = self.waiting.peek().map(|Reverse((at, ..))| *at);
            // A copy of the next row may come before all pending ones.
            let first = waiting.map_or(until, |at| at.min(until));
            let Some((at, tokens)) = self.next_row(first + self.spread) else {
                waiting.filter(|at| *at <= until)?;
                let Reverse((at, _, tokens)) = self.waiting.pop()?;
                return Some(Arrival { at, tokens });
            };
            self.next = None;
            self.row += 1;
            let copies = self.draw_copies();
            if copies == 1 && waiting.is_none() && self.spread == SimDuration::ZERO {
                return Some(Arrival { at, tokens });
            }
            for copy in 0..copies {
                let at = if copy == 0 { at } else { self.draw_near(at) };
                self.drawn += 1;
                self.waiting.push(Reverse((at, self.drawn, tokens)));
            }
        }
    }

    /// Assigns the run's numbers to the trace's classes.
    pub(crate) fn number_classes(&mut self, number: &mut dyn FnMut(&str) -> u16) {
        self.classes = self.trace.classes.iter().map(|name| number(name)).collect();
    }

    /// Time and size of the next row, if it comes by `until`.
    fn next_row(&mut self, until: SimTime) -> Option<(SimTime, Tokens)> {
        if self.next.is_none() {
            if self.row == self.rows.1 {
                let next_round = self.round_start + self.window.round;
                // Pending arrivals belong to this round.
                if !self.window.repeat || next_round > until {
                    return None;
                }
                self.round_start = next_round;
                self.row = self.rows.0;
            }
            if self.round_start > until {
                return None;
            }
            let (at, mut tokens) = self.trace.rows.row(self.row, &mut self.reader)?;
            if tokens.class > 0 {
                let known = self.classes.get(usize::from(tokens.class) - 1);
                tokens.class = known.copied().unwrap_or(0);
            }
            self.next = Some((self.round_start + self.window.in_run(at), tokens));
        }
        self.next.filter(|(at, _)| *at <= until)
    }

    /// Number of times a row is replayed.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the scale was checked: neither negative nor above MAX_SCALE"
    )]
    fn draw_copies(&mut self) -> usize {
        let whole = self.scale.floor();
        let part = self.scale - whole;
        whole as usize + usize::from(part > 0.0 && self.stream.random::<f64>() < part)
    }

    /// Draws the time of a copy of the row at `at`: near it, and reflected at the ends of the round, so that the load
    /// there is not reduced.
    fn draw_near(&mut self, at: SimTime) -> SimTime {
        if self.spread == SimDuration::ZERO {
            return at;
        }
        let (begin, end) = (self.round_start, self.round_start + self.window.round);
        let drawn = (2.0 * self.stream.random::<f64>() - 1.0) * self.spread.as_secs_f64();
        let near = at + SimDuration::from_secs_f64(drawn);
        if near < begin {
            begin + (begin - near)
        } else if near > end {
            end - (near - end)
        } else {
            near
        }
    }
}

const fn one() -> f64 {
    1.0
}

const fn default_max_broken() -> f64 {
    MAX_BROKEN
}

/// Omits the default value when serializing, so that stating it makes no difference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_max_broken(share: &f64) -> bool {
    share.to_bits() == MAX_BROKEN.to_bits()
}
