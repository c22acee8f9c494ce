//! Requests as a trace recorded them, slower or faster, fewer or more, once or again and again.

use std::sync::Arc;

use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::process::Curve;
use super::rate::Segment;
use super::{Arrival, Cut};
use crate::problem::Checks;
use crate::trace::{RateTrace, RequestTrace, Tokens, Trace};
use crate::trace_rows::RowReader;
use engine::{SimDuration, SimTime, Stream};

/// A recorded trace as load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraceLoad {
    /// The file: CSV, plain or .gz, with a header line. Either one line per request with its
    /// instant (`t_s`, `timestamp`; for LLM services also `prompt_tokens,output_tokens`), or one line
    /// per interval with its beginning and `requests` (a count) or `rps` (a rate).
    pub trace: String,
    /// How many times the recorded requests come; 0.5 takes every other one at random. Default 1.
    #[serde(default = "one")]
    pub scale: f64,
    /// How many times faster than recorded time goes. Default 1.
    #[serde(default = "one")]
    pub speed: f64,
    /// Where in the trace to begin: so long after its beginning, or a date. Default: at its beginning.
    #[serde(default)]
    pub from: Cut,
    /// Where in the trace to end, likewise. Default: at its end.
    pub to: Option<Cut>,
    /// Whether the trace begins again after its end. Default false: then there are no more requests.
    #[serde(default)]
    pub repeat: bool,
    /// Share of the file's rows that may be broken, from 0 to 1: they are left out, counted, and the first
    /// one is shown. With more the file is refused. Default 0.01; 0 bears with none.
    #[serde(default = "default_max_broken", skip_serializing_if = "is_default_max_broken")]
    pub max_broken: f64,
}

/// Of the rows of a file.
const MAX_BROKEN: f64 = 0.01;

/// Each recorded request is held that many times in memory when its turn comes.
const MAX_SCALE: f64 = 100_000.0;

/// The part of a trace that is played, and how fast.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: SimTime,
    speed: f64,
    /// How long one round takes in the run.
    round: SimDuration,
    repeat: bool,
}

/// A trace of rates, played.
#[derive(Clone, Debug)]
pub(crate) struct TraceCurve {
    trace: Arc<RateTrace>,
    window: Window,
    scale: f64,
}

/// A trace of requests, played.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    trace: Arc<RequestTrace>,
    reader: RowReader,
    window: Window,
    scale: f64,
    stream: Stream,
    /// First row that is played, and the one after the last.
    rows: (usize, usize),
    /// Next row.
    row: usize,
    /// Start of the current round in the run.
    round_start: SimTime,
    /// Further copies of the row before `row`, the next one last.
    copies: Vec<SimTime>,
    /// Size of the row before `row`.
    tokens: Tokens,
}

impl TraceLoad {
    /// A trace as it was recorded.
    pub fn plain(trace: &str) -> Self {
        Self {
            trace: trace.to_owned(),
            scale: 1.0,
            speed: 1.0,
            from: Cut::default(),
            to: None,
            repeat: false,
            max_broken: MAX_BROKEN,
        }
    }

    /// Notes what is wrong with the settings by themselves.
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        checks.require(!self.trace.is_empty(), "trace", || "the name of a file is missing".into());
        checks.positive("scale", self.scale);
        checks.require(self.scale <= MAX_SCALE, "scale", || {
            format!("{} is above {MAX_SCALE}; a pattern says such a load better", self.scale)
        });
        checks.positive("speed", self.speed);
        checks.share("maxBroken", self.max_broken);
        if let (Cut::After(from), Some(Cut::After(to))) = (self.from, self.to) {
            checks
                .require(to > from, "to", || format!("{to} must be after `from`, which is {from}"));
        }
    }

    /// Notes what is wrong with the settings for this trace.
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
                format!("{cut} is after the end of the trace at {end}; leave it out")
            });
            checks.require(to > from, "to", || {
                format!("{cut} must be after `from`, which is {}", self.from)
            });
        }
        if let Trace::Requests(requests) = trace {
            let (first, end) = self.rows(trace, requests);
            checks.require(first < end, "to", || "no request lies between `from` and `to`".into());
        }
        let round = self.window(trace).round;
        checks.require(!self.repeat || round >= SimDuration::from_millis(1), "repeat", || {
            format!("the part of the trace that would repeat takes only {round}")
        });
    }

    /// The part of a trace that is played, in its own time; it must have passed its checks.
    pub fn span(&self, trace: &Trace) -> (SimTime, SimTime) {
        let at = |cut: Cut| SimTime::ZERO + cut.offset(trace).unwrap_or(SimDuration::MAX);
        (at(self.from), self.to.map_or(trace.end(), at))
    }

    /// How long the part of a trace that is played takes in the run.
    pub(super) fn round(&self, trace: &Trace) -> SimDuration {
        self.window(trace).round
    }

    /// First row that is played, and the one after the last.
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
    /// From the start of a round until the instant `at` of the trace comes.
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
            round_start: SimTime::ZERO,
            copies: Vec::new(),
            tokens: Tokens::default(),
        }
    }

    /// The next arrival, if it can be known without looking at rows after `until`.
    pub(super) fn next_known_by(&mut self, until: SimTime) -> Option<Arrival> {
        loop {
            if let Some(at) = self.copies.pop() {
                return Some(Arrival { at, tokens: self.tokens });
            }
            if self.row == self.rows.1 {
                if !self.window.repeat {
                    return None;
                }
                self.round_start += self.window.round;
                self.row = self.rows.0;
            }
            if self.round_start > until {
                return None;
            }
            let (at, tokens) = self.read(self.row)?;
            if at > until {
                return None;
            }
            self.tokens = tokens;
            self.row += 1;
            self.copy(at);
        }
    }

    /// When a row comes in this round, and its size; absent if it cannot be read back.
    fn read(&mut self, row: usize) -> Option<(SimTime, Tokens)> {
        let (at, tokens) = self.trace.rows.row(row, &mut self.reader)?;
        Some((self.round_start + self.window.in_run(at), tokens))
    }

    /// Decides how often the row that comes at `at` is played: the first time at its own instant,
    /// further copies anywhere before the next row, so that a larger scale does not make batches.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the scale was checked: neither negative nor above MAX_SCALE"
    )]
    fn copy(&mut self, at: SimTime) {
        let whole = self.scale.floor();
        let part = self.scale - whole;
        let extra = part > 0.0 && self.stream.random::<f64>() < part;
        let copies = whole as usize + usize::from(extra);
        if copies == 0 {
            return;
        }
        if copies == 1 {
            return self.copies.push(at);
        }
        let next = (self.row < self.rows.1).then(|| self.read(self.row)).flatten();
        let next = next.map_or(self.round_start + self.window.round, |(next, _)| next);
        let gap = (next - at).as_secs_f64();
        for _ in 1..copies {
            let later = SimDuration::from_secs_f64(gap * self.stream.random::<f64>());
            self.copies.push(at + later);
        }
        self.copies.push(at);
        self.copies.sort_unstable_by(|a, b| b.cmp(a));
    }
}

const fn one() -> f64 {
    1.0
}

const fn default_max_broken() -> f64 {
    MAX_BROKEN
}

/// A scenario that does not say it is the same as one that says the default.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_max_broken(share: &f64) -> bool {
    share.to_bits() == MAX_BROKEN.to_bits()
}
