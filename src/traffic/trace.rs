//! Recorded traffic: reading it from CSV and holding it in little memory. Not responsible for files
//! and compression (`cli`), nor for how a trace is played (`arrivals`).

use std::fmt;
use std::io::BufRead;
use std::sync::Arc;

use csv::StringRecord;

use crate::engine::{SimDuration, SimTime};

/// A recorded trace; its time starts at zero. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Trace {
    /// The instant of each request.
    Requests(Arc<RequestTrace>),
    /// A rate for each interval.
    Rates(Arc<RateTrace>),
}

/// The instants of requests: 8 bytes each, 16 with tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestTrace {
    /// In order of time.
    pub instants: Vec<SimTime>,
    /// As long as `instants`, if the trace tells tokens.
    pub tokens: Option<Vec<Tokens>>,
}

/// Rates over time: 16 bytes an interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateTrace {
    /// First instant of each interval, in order of time.
    pub starts: Vec<SimTime>,
    /// Rate in each interval [requests/s].
    pub rps: Vec<f64>,
    /// End of the last interval; it is as long as the one before.
    pub end: SimTime,
}

/// The size of a request to a language model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Tokens of the answer.
    pub output: u32,
}

/// Why a file is no trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    /// Line of the file, counted from 1; absent if the file as a whole is wrong.
    pub line: Option<u64>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Time,
    Count,
    Rate,
    PromptTokens,
    OutputTokens,
}

/// Names of columns in lower case, without anything but letters.
const COLUMN_NAMES: [(Column, &[&str]); 5] = [
    (
        Column::Time,
        &["t", "ts", "tseconds", "timestamp", "time", "seconds", "arrival", "starttime"],
    ),
    (Column::Count, &["count", "counts", "requests", "invocations"]),
    (Column::Rate, &["rps", "raterps", "rate", "qps"]),
    (
        Column::PromptTokens,
        &["prompttokens", "contexttokens", "inputtokens", "requesttokens", "inputlength"],
    ),
    (Column::OutputTokens, &["outputtokens", "generatedtokens", "responsetokens", "outputlength"]),
];

/// Seconds above which a number is no time since the start of a trace but one since 1970.
const EARLIEST_EPOCH_SECONDS: f64 = 1e9;
/// And above which it cannot be in seconds.
const LATEST_EPOCH_SECONDS: f64 = 1e11;

impl Trace {
    /// Reads comma-separated values: one line per request with its instant (and, for language
    /// models, its tokens), or one line per interval with its beginning and a count or a rate. A
    /// header line names the columns; others than those known are ignored, and lines that begin with
    /// `#` as well. Instants are seconds from the start, or dates, which count from the first row.
    pub fn read_csv(input: impl BufRead) -> Result<Self, TraceError> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(input);
        let mut record = StringRecord::new();
        let mut rows: Option<Rows> = None;
        while reader.read_record(&mut record).map_err(|error| csv_error(&error))? {
            let line = record.position().map(csv::Position::line);
            let outcome = match &mut rows {
                Some(rows) => rows.add(&record),
                None => Columns::of(&record).and_then(|columns| {
                    let rows = rows.insert(Rows::new(columns));
                    if rows.columns.in_header { Ok(()) } else { rows.add(&record) }
                }),
            };
            outcome.map_err(|message| TraceError { line, message })?;
        }
        let trace = match rows {
            Some(rows) => rows.finish(),
            None => Err("the file is empty; a trace has a line per request or per interval".into()),
        };
        trace.map_err(|message| TraceError { line: None, message })
    }

    /// The end of the trace: of its last interval, or a mean gap after the last request.
    pub fn end(&self) -> SimTime {
        match self {
            Self::Requests(trace) => trace.end(),
            Self::Rates(trace) => trace.end,
        }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Requests(trace) => trace.instants.len(),
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
        let (Some(first), Some(last)) = (self.instants.first(), self.instants.last()) else {
            return SimTime::ZERO;
        };
        let gaps = i64::try_from(self.instants.len() - 1).unwrap_or(i64::MAX).max(1);
        // A trace of one instant still has an end after it.
        *last + ((*last - *first) / gaps).max(SimDuration::from_nanos(1))
    }
}

/// Where each column stands.
#[derive(Clone, Copy, Debug)]
struct Columns {
    time: usize,
    count: Option<usize>,
    rate: Option<usize>,
    prompt_tokens: Option<usize>,
    output_tokens: Option<usize>,
    in_header: bool,
}

impl Columns {
    /// From the first line: a header, or a row that shows its meaning by its width.
    fn of(first: &StringRecord) -> Result<Self, String> {
        let is_row = first.iter().next().is_some_and(|field| parse_instant(field).is_ok());
        let named: Vec<Option<Column>> = if is_row {
            match first.len() {
                1 => vec![Some(Column::Time)],
                3 => {
                    vec![Some(Column::Time), Some(Column::PromptTokens), Some(Column::OutputTokens)]
                }
                columns => {
                    return Err(format!(
                        "without a header line the meaning of {columns} columns is open; add one, \
                         such as `t_s,requests` or `t_s,rps`"
                    ));
                }
            }
        } else {
            first.iter().map(column_named).collect()
        };
        let position = |column| named.iter().position(|name| *name == Some(column));
        let columns = Self {
            time: position(Column::Time).ok_or_else(|| {
                format!(
                    "no column of instants among `{}`; name one `t_s` or `timestamp`",
                    first.iter().collect::<Vec<_>>().join(",")
                )
            })?,
            count: position(Column::Count),
            rate: position(Column::Rate),
            prompt_tokens: position(Column::PromptTokens),
            output_tokens: position(Column::OutputTokens),
            in_header: !is_row,
        };
        if columns.count.is_some() && columns.rate.is_some() {
            return Err("both a column of counts and one of rates; leave one out".into());
        }
        Ok(columns)
    }
}

fn column_named(name: &str) -> Option<Column> {
    let name: String =
        name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let known = COLUMN_NAMES.iter().find(|(_, names)| names.contains(&name.as_str()));
    known.map(|(column, _)| *column)
}

/// The rows read so far.
struct Rows {
    columns: Columns,
    /// What the file calls the start, once the first row is known.
    origin: Option<i128>,
    instants: Vec<SimTime>,
    tokens: Vec<Tokens>,
    amounts: Vec<f64>,
}

impl Rows {
    fn new(columns: Columns) -> Self {
        Self {
            columns,
            origin: None,
            instants: Vec::new(),
            tokens: Vec::new(),
            amounts: Vec::new(),
        }
    }

    fn add(&mut self, record: &StringRecord) -> Result<(), String> {
        let columns = self.columns;
        let field = |position: usize| {
            record.get(position).filter(|field| !field.is_empty()).ok_or_else(|| {
                format!("column {} is missing: the row has {}", position + 1, record.len())
            })
        };
        let instant = parse_instant(field(columns.time)?)?;
        let origin = *self.origin.get_or_insert(if instant.is_date { instant.nanos } else { 0 });
        let at = i64::try_from(instant.nanos - origin)
            .map_err(|_| format!("{} is too far from the first row", &record[columns.time]))?;
        let at = SimTime::from_nanos(at);
        let before = self.instants.last().copied().unwrap_or(SimTime::ZERO);
        if at < before {
            return Err(format!("time goes back from {before} to {at}; sort the rows by time"));
        }
        if let Some(position) = columns.count.or(columns.rate) {
            if at == before && !self.instants.is_empty() {
                return Err(format!("two rows for the interval that begins at {at}"));
            }
            self.amounts.push(parse_amount(field(position)?)?);
        }
        if columns.prompt_tokens.is_some() || columns.output_tokens.is_some() {
            let tokens = |column: Option<usize>| {
                column.map_or(Ok(0), |position| parse_tokens(field(position)?))
            };
            self.tokens.push(Tokens {
                prompt: tokens(columns.prompt_tokens)?,
                output: tokens(columns.output_tokens)?,
            });
        }
        self.instants.push(at);
        Ok(())
    }

    fn finish(self) -> Result<Trace, String> {
        if self.instants.is_empty() {
            return Err("there is a header line but no row".into());
        }
        if self.columns.count.is_none() && self.columns.rate.is_none() {
            let tokens = (!self.tokens.is_empty()).then_some(self.tokens);
            let trace = RequestTrace { instants: self.instants, tokens };
            return Ok(Trace::Requests(Arc::new(trace)));
        }
        let [.., before, last] = self.instants[..] else {
            return Err(
                "one interval alone does not tell how long it is; add a row where it ends".into()
            );
        };
        let end = last + (last - before);
        let mut rps = self.amounts;
        if self.columns.count.is_some() {
            let ends = self.instants[1..].iter().chain([&end]);
            for ((amount, start), end) in rps.iter_mut().zip(&self.instants).zip(ends) {
                *amount /= (*end - *start).as_secs_f64();
            }
        }
        Ok(Trace::Rates(Arc::new(RateTrace { starts: self.instants, rps, end })))
    }
}

/// An instant as a file gives it.
struct Instant {
    nanos: i128,
    /// Whether it counts from 1970 and not from the start of the trace.
    is_date: bool,
}

fn parse_instant(text: &str) -> Result<Instant, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        if !(0.0..LATEST_EPOCH_SECONDS).contains(&seconds) {
            return Err(format!("{text} is no instant; give seconds, from 0 on"));
        }
        let nanos = i128::from(SimDuration::from_secs_f64(seconds.fract()).as_nanos())
            + i128::from(SimDuration::from_secs_f64(seconds.trunc()).as_nanos());
        return Ok(Instant { nanos, is_date: seconds >= EARLIEST_EPOCH_SECONDS });
    }
    let date = text.parse::<jiff::Timestamp>().or_else(|_| {
        let without_zone = text.parse::<jiff::civil::DateTime>()?;
        Ok::<_, jiff::Error>(without_zone.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
    });
    match date {
        Ok(date) => Ok(Instant { nanos: date.as_nanosecond(), is_date: true }),
        Err(_) => Err(format!(
            "{text:?} is no instant; give seconds such as 12.5, or a date such as 2023-11-16T18:15:46Z"
        )),
    }
}

fn parse_amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(amount) if amount.is_finite() && amount >= 0.0 => Ok(amount),
        _ => Err(format!("{text:?} is no number of requests; give a number of at least 0")),
    }
}

fn parse_tokens(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is no number of tokens; give a whole number"))
}

fn csv_error(error: &csv::Error) -> TraceError {
    let line = error.position().map(csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::Io(error) => format!("the file cannot be read: {error}"),
        csv::ErrorKind::Utf8 { .. } => "the row is no UTF-8 text".into(),
        _ => error.to_string(),
    };
    TraceError { line, message }
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
        match Trace::read_csv(text.as_bytes()) {
            Ok(Trace::Requests(trace)) => trace,
            other => panic!("{other:?}"),
        }
    }

    fn rates(text: &str) -> Arc<RateTrace> {
        match Trace::read_csv(text.as_bytes()) {
            Ok(Trace::Rates(trace)) => trace,
            other => panic!("{other:?}"),
        }
    }

    fn seconds(instants: &[SimTime]) -> Vec<f64> {
        instants.iter().map(|at| at.as_secs_f64()).collect()
    }

    #[test]
    fn instants_are_read_with_or_without_a_header() {
        for text in
            ["t_s\n0.5\n2\n2\n", "0.5\n2\n2", "# made by hand\nTimestamp\r\n0.5\r\n2\r\n2\r\n"]
        {
            let trace = requests(text);
            assert_eq!(seconds(&trace.instants), [0.5, 2.0, 2.0], "{text:?}");
            assert_eq!(trace.tokens, None);
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
        assert_eq!(ours, original);
        assert_eq!(ours, of_2024);
        assert_eq!(ours.tokens.as_ref().unwrap()[1], Tokens { prompt: 396, output: 109 });
    }

    #[test]
    fn seconds_since_1970_count_from_the_first_row() {
        assert_eq!(seconds(&requests("ts\n1700000000.25\n1700000001.5\n").instants), [0.0, 1.25]);
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
            ("t_s,requests\n", "there is a header line but no row"),
            ("t_s,requests\n0,5\n", "one interval alone"),
            ("t_s,requests\n0,5\n60,-1\n", "line 3: \"-1\" is no number of requests"),
            ("t_s,requests\n0,5\n60,inf\n", "line 3: \"inf\" is no number of requests"),
            ("t_s,requests\n0,5\n60\n", "line 3: column 2 is missing: the row has 1"),
            ("t_s,requests\n0,5\n0,6\n", "line 3: two rows for the interval"),
            ("t_s,requests,rps\n0,5,1\n", "line 1: both a column of counts and one of rates"),
            ("t_s\n3\n2\n", "line 3: time goes back from 00:00:03 to 00:00:02"),
            ("t_s\n3\nNaN\n", "line 3: NaN is no instant"),
            ("t_s\n-3\n", "line 2: -3 is no instant"),
            ("t_s\nsoon\n", "line 2: \"soon\" is no instant"),
            ("t_s\n1700000000000\n", "line 2: 1700000000000 is no instant"),
            ("t_s,prompt_tokens\n1,2.5\n", "line 2: \"2.5\" is no number of tokens"),
            ("a,b\n1,2\n", "line 1: no column of instants among `a,b`"),
            ("1,2\n", "line 1: without a header line the meaning of 2 columns is open"),
        ] {
            let error = Trace::read_csv(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text:?}: {error}");
        }
    }
}
