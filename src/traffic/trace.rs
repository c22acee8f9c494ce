//! Recorded traffic, held compactly. File formats (`import`), files and compression (`cli`) and replay (`arrivals`)
//! are handled elsewhere.

use std::fmt;
use std::io::{self, BufRead};
use std::sync::Arc;

use jiff::Timestamp;

use super::import::{Format, ImportOptions, MalformedRows, RowSink, import};
use super::problem::RPS_MAX;
use super::trace_rows::{HELD_ROWS, NewSpool, RowWriter, TraceRows};
use engine::{SimDuration, SimTime};

/// A recorded trace; its time starts at zero. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Trace {
    /// The time of each request.
    Requests(Arc<RequestTrace>),
    /// A rate for each interval.
    Rates(Arc<RateTrace>),
}

/// The times of requests.
#[derive(Debug, Default, PartialEq)]
pub struct RequestTrace {
    /// Calendar date of its time zero, if in the file.
    pub start: Option<Timestamp>,
    /// In order of time.
    pub rows: TraceRows,
    /// Names of the request classes, by their numbers in rows, from 1 on; empty if there are none.
    pub classes: Vec<Box<str>>,
}

/// Rates over time: 16 bytes per interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateTrace {
    /// Calendar date of its time zero, if in the file.
    pub start: Option<Timestamp>,
    /// First instant of each interval, in order of time.
    pub starts: Vec<SimTime>,
    /// Rate in each interval [requests/s].
    pub rps: Vec<f64>,
    /// End of the last interval, taken to be as long as the one before.
    pub end: SimTime,
}

/// Size, session and class of a request; 0 where a trace does not record them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tokens {
    /// Prompt tokens.
    pub prompt: u32,
    /// Output tokens.
    pub output: u32,
    /// Number of its session, whose requests share a prefix; 0 if not recorded.
    pub session: u32,
    /// Number of its class, from 1 on; 0 if not recorded.
    pub class: u16,
}

impl Tokens {
    /// The tokens of a request without session.
    pub const fn of(prompt: u32, output: u32) -> Self {
        Self { prompt, output, session: 0, class: 0 }
    }
}

/// The problem in a file that is not a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    /// Line of the file, counted from 1; absent if the file as a whole is wrong.
    pub line: Option<u64>,
    /// The problem, and the correct form.
    pub message: String,
}

impl Trace {
    /// Reads a trace into memory, in any of the formats of [`Format`], detected automatically; a malformed row is an
    /// error. Times are relative to the first row if the file has dates.
    pub fn read(input: impl BufRead) -> Result<Self, TraceError> {
        Self::read_with(input, 0.0, None).map(|(trace, _)| trace)
    }

    /// Reads a trace, skipping malformed rows up to the share `max_broken`, from 0 to 1. Large traces go to a spool
    /// if available, to bound memory use.
    pub fn read_with(
        input: impl BufRead,
        max_broken: f64,
        new_spool: Option<NewSpool>,
    ) -> Result<(Self, MalformedRows), TraceError> {
        let mut input = input;
        let whole = |message: String| TraceError { line: None, message };
        let beginning =
            input.fill_buf().map_err(|error| whole(format!("the file cannot be read: {error}")))?;
        // Unknown input gets the error messages of the native table format.
        let format = Format::detect(beginning).unwrap_or(Format::Csv);
        let mut rows = Collector::new(new_spool);
        let options = ImportOptions { max_broken, ..ImportOptions::strict(format) };
        let broken = import(input, &options, &mut rows)?;
        Ok((rows.finish().map_err(whole)?, broken))
    }

    /// End of the trace: of its last interval, or a mean gap after the last request.
    pub fn end(&self) -> SimTime {
        match self {
            Self::Requests(trace) => trace.end(),
            Self::Rates(trace) => trace.end,
        }
    }

    /// Calendar date of its time zero, if in the file.
    pub fn start(&self) -> Option<Timestamp> {
        match self {
            Self::Requests(trace) => trace.start,
            Self::Rates(trace) => trace.start,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Requests(trace) => trace.rows.len(),
            Self::Rates(trace) => trace.starts.len(),
        }
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl RequestTrace {
    fn end(&self) -> SimTime {
        let Some((first, last)) = self.rows.ends() else { return SimTime::ZERO };
        let gaps = i64::try_from(self.rows.len() - 1).unwrap_or(i64::MAX).max(1);
        // A trace of a single instant still needs an end after it.
        last + ((last - first) / gaps).max(SimDuration::from_nanos(1))
    }
}

/// Collects rows into a trace.
struct Collector {
    start: Option<Timestamp>,
    requests: RowWriter,
    has_requests: bool,
    /// Start times of intervals.
    starts: Vec<SimTime>,
    amounts: Vec<f64>,
    has_rates: bool,
    classes: Vec<Box<str>>,
}

impl RowSink for Collector {
    fn start(&mut self, start: Option<Timestamp>) -> io::Result<()> {
        self.start = start;
        Ok(())
    }

    fn class(&mut self, name: &str) {
        self.classes.push(name.into());
    }

    fn request(&mut self, nanos: i64, tokens: Option<Tokens>) -> io::Result<()> {
        self.has_requests = true;
        self.requests.push(SimTime::from_nanos(nanos), tokens)
    }

    fn interval(&mut self, nanos: i64, amount: f64, is_rate: bool) -> io::Result<()> {
        self.starts.push(SimTime::from_nanos(nanos));
        self.amounts.push(amount);
        self.has_rates = is_rate;
        Ok(())
    }
}

impl Collector {
    fn new(new_spool: Option<NewSpool>) -> Self {
        Self {
            start: None,
            requests: RowWriter::new(HELD_ROWS, new_spool),
            has_requests: false,
            starts: Vec::new(),
            amounts: Vec::new(),
            has_rates: false,
            classes: Vec::new(),
        }
    }

    fn finish(self) -> Result<Trace, String> {
        let Self { start, requests, has_requests, starts, amounts, has_rates, classes } = self;
        if amounts.is_empty() {
            let rows = requests.finish().map_err(|error| format!("cannot be kept: {error}"))?;
            return Ok(Trace::Requests(Arc::new(RequestTrace { start, rows, classes })));
        }
        if has_requests {
            return Err("requests and intervals are mixed; use one or the other".into());
        }
        let [.., before, last] = starts[..] else {
            return Err("the length of a single interval is unknown; add a row at its end".into());
        };
        let end = last + (last - before);
        let mut rps = amounts;
        if !has_rates {
            let ends = starts[1..].iter().chain([&end]);
            for ((amount, start), end) in rps.iter_mut().zip(&starts).zip(ends) {
                *amount /= (*end - *start).as_secs_f64();
            }
        }
        if let Some(row) = rps.iter().position(|rps| *rps > RPS_MAX) {
            return Err(format!(
                "the row for {} has {:e} requests/s, more than one per nanosecond; check its unit and the distance \
                 to the next row",
                starts[row], rps[row]
            ));
        }
        Ok(Trace::Rates(Arc::new(RateTrace { start, starts, rps, end })))
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for TraceError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(text: &str) -> Arc<RequestTrace> {
        match Trace::read(text.as_bytes()) {
            Ok(Trace::Requests(trace)) => trace,
            other => panic!("{other:?}"),
        }
    }

    fn rates(text: &str) -> Arc<RateTrace> {
        match Trace::read(text.as_bytes()) {
            Ok(Trace::Rates(trace)) => trace,
            other => panic!("{other:?}"),
        }
    }

    fn seconds(trace: &RequestTrace) -> Vec<f64> {
        trace.rows.iter().map(|(at, _)| at.as_secs_f64()).collect()
    }

    #[test]
    fn instants_are_read_with_or_without_a_header() {
        for text in
            ["t_s\n0.5\n2\n2\n", "0.5\n2\n2", "# made by hand\nTimestamp\r\n0.5\r\n2\r\n2\r\n"]
        {
            let trace = requests(text);
            assert_eq!(seconds(&trace), [0.5, 2.0, 2.0], "{text:?}");
            assert!(!trace.rows.has_tokens());
        }
    }

    #[test]
    fn the_azure_formats_are_read() {
        let ours = requests("t_s,prompt_tokens,output_tokens\n0.000,374,44\n4.315,396,109\n");
        let original = requests(
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n\
             2023-11-16 18:15:50.9955900,396,109\n",
        );
        let of_2024 = requests(
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,374,44\n\
             2024-05-10 00:00:04.324930+00:00,396,109\n",
        );
        assert_eq!(
            original.start.map(|start| start.to_string()).as_deref(),
            Some("2023-11-16T18:15:46.68059Z")
        );
        for theirs in [original, of_2024] {
            assert_eq!(ours.rows, theirs.rows);
        }
        let (_, tokens) = ours.rows.iter().nth(1).unwrap();
        assert_eq!(tokens, Tokens::of(396, 109));
    }

    #[test]
    fn seconds_since_1970_count_from_the_first_row() {
        assert_eq!(seconds(&requests("ts\n1700000000.25\n1700000001.5\n")), [0.0, 1.25]);
    }

    #[test]
    fn counts_become_rates_and_the_last_interval_is_as_long_as_the_one_before() {
        let trace = rates("t_s,requests\n0,120\n60,30\n");
        assert_eq!(trace.rps, [2.0, 0.5]);
        assert_eq!(trace.end, SimTime::from_secs(120));
        let trace = rates("t_s,rate_rps,active_clients\n0,14.8633,21\n600,18.4033,22\n");
        assert_eq!(trace.rps, [14.8633, 18.4033]);
    }

    #[test]
    fn broken_files_are_refused_with_line_and_reason() {
        for (text, says) in [
            ("", "the file is empty"),
            ("t_s,requests\n", "the file has a header line but no rows"),
            ("t_s,requests\n0,5\n", "the length of a single interval"),
            ("t_s,requests\n0,5\n60,-1\n", "line 3: \"-1\" is not a number of requests"),
            ("t_s,requests\n0,5\n60,inf\n", "line 3: \"inf\" is not a number of requests"),
            ("t_s,requests\n0,5\n60\n", "line 3: column 2 is missing: the row has 1"),
            ("t_s\n0.5\n1,5\n", "line 3: the row has 2 fields, but the first line 1"),
            ("t_s,requests\n0,5\n60,1,234\n", "line 3: the row has 3 fields, but the first line 2"),
            ("t_s,requests\n0,5\n0,6\n", "line 3: two rows for the interval"),
            (
                "t_s,requests\n0,5\n60,1000000000\n60.000000001,1\n",
                "the row for 00:01:00 has 1e18 requests/s, more than one per nanosecond",
            ),
            ("t_s,requests,rps\n0,5,1\n", "line 1: both a count and a rate column"),
            ("t_s\n3\n2\n", "line 3: time goes back from 00:00:03 to 00:00:02"),
            ("t_s\n3\nNaN\n", "line 3: NaN is not a time"),
            ("t_s\n-3\n", "line 2: -3 is not a time"),
            ("t_s\nsoon\n", "line 2: \"soon\" is not a time"),
            ("t_s\n1\n2023-11-16T12:00:00Z\n", "line 3: dates and times since the start are mixed"),
            ("t_s,prompt_tokens\n1,2.5\n", "line 2: \"2.5\" is not a number of tokens"),
            ("a,b\n1,2\n", "line 1: no time column among `a,b`"),
            ("t_s,hits\n0,10\n", "line 1: unknown column `hits`; name it `requests` if"),
            ("1,2\n", "line 1: without a header line the meaning of 2 columns is unknown"),
        ] {
            let error = Trace::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text:?}: {error}");
        }
    }
}
