//! Recorded traffic in common formats, read row by row in constant memory: access logs, load generator results,
//! Prometheus responses, published traces. Files and compression are handled by `cli`, and the use of the rows by
//! `Trace` and [`Compact`].
//!
//! A new format is a file here and a line in `Format::NAMES` and its methods.

mod access_log;
mod columns;
mod compact;
mod conversations;
mod delimited;
mod instant;
mod json_lines;
mod malformed;
mod order;
mod prometheus;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read};

use super::trace::{Tokens, TraceError};
pub use columns::ColumnChoice;
pub use compact::{Compact, Summary};
use conversations::Conversations;
use engine::SimDuration;
use engine::digest::mix;
use instant::Instant;
pub use malformed::{MalformedRow, MalformedRows};
use order::InOrder;

/// Number of bytes at the beginning of a file used to detect its format.
const LOOKED_AT: usize = 4096;

/// A format of recorded traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line: times, counts or rates, with or without tokens; Azure LLM inference,
    /// BurstGPT, ServeGen rates, Azure Functions, Locust's stats history.
    Csv,
    /// An access log: Common, Combined, nginx with `$request_time`, Apache with `%D`.
    AccessLog,
    /// A JSON object per line: structured access logs, Mooncake.
    JsonLines,
    /// Response of Prometheus' `query_range`.
    Prometheus,
    /// k6 with `--out csv`.
    K6Csv,
    /// k6 with `--out json`.
    K6Json,
    /// `vegeta encode --to csv`.
    VegetaCsv,
    /// `vegeta encode --to json`.
    VegetaJson,
}

impl Format {
    /// Each format with its command-line name and its description, in the order of the variants.
    const NAMES: [(Self, &'static str, &'static str); 8] = [
        (Self::Csv, "csv", "comma-separated values"),
        (Self::AccessLog, "access-log", "access log"),
        (Self::JsonLines, "json-lines", "JSON lines"),
        (Self::Prometheus, "prometheus", "Prometheus query_range"),
        (Self::K6Csv, "k6-csv", "k6 CSV"),
        (Self::K6Json, "k6-json", "k6 JSON"),
        (Self::VegetaCsv, "vegeta-csv", "Vegeta CSV"),
        (Self::VegetaJson, "vegeta-json", "Vegeta JSON"),
    ];

    /// All formats.
    pub fn all() -> [Self; 8] {
        Self::NAMES.map(|(format, ..)| format)
    }

    /// Command-line name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    /// Detects the format from the beginning of a file; absent if none matches.
    pub fn detect(beginning: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(&beginning[..beginning.len().min(LOOKED_AT)]);
        let lines = || text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let mut lines = lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let first = lines.next()?;
        if first.starts_with('{') {
            if is_spans(&text) {
                return None;
            }
            return Some(json_format(first, &text));
        }
        // A truncated log may begin in the middle of a line.
        if access_log::is_line(first) || lines.take(2).any(access_log::is_line) {
            return Some(Self::AccessLog);
        }
        if first.starts_with("metric_name,timestamp,") {
            return Some(Self::K6Csv);
        }
        if delimited::is_vegeta(first) {
            return Some(Self::VegetaCsv);
        }
        let is_number = |field: &str| field.trim().parse::<f64>().is_ok();
        (first.contains(',') || is_number(first) || Instant::parse(first).is_ok() || is_word(first))
            .then_some(Self::Csv)
    }

    /// Whether rows of this format contain the path of a request.
    pub const fn has_paths(self) -> bool {
        !matches!(self, Self::Csv | Self::Prometheus)
    }

    /// Explains why a file that begins like this matches none of the formats.
    pub fn doubt(beginning: &[u8]) -> String {
        let text = String::from_utf8_lossy(&beginning[..beginning.len().min(LOOKED_AT)]);
        let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
        let Some(first) = first else {
            return "the file is empty; a trace has a row per request or per interval".into();
        };
        if is_spans(&text) {
            return "these are spans of distributed traces; `wavetank init MANIFESTS --traces FILE` derives calls \
                    and times of requests from them"
                .into();
        }
        columns::other_separator(first).unwrap_or_else(|| {
            format!(
                "unknown format; specify one with --format: {}",
                Self::all().map(Self::name).join(", ")
            )
        })
    }

    /// Time by which rows of this format may be out of order: tools that write a line when a request ends list start times
    /// out of order.
    pub const fn default_reorder_window(self) -> SimDuration {
        match self {
            Self::Csv | Self::Prometheus => SimDuration::ZERO,
            _ => SimDuration::from_secs(600),
        }
    }
}

/// Whether this is an OpenTelemetry or Jaeger export.
fn is_spans(text: &str) -> bool {
    text.contains("\"resourceSpans\"")
        || (text.contains("\"traceID\"") && text.contains("\"spans\""))
}

fn json_format(first: &str, text: &str) -> Format {
    let has = |key: &str| first.contains(&format!("\"{key}\""));
    if text.contains("\"resultType\"") || text.contains("\"result\"") && has("status") {
        Format::Prometheus
    } else if has("status") && has("errorType") {
        // It has no result, and contains the reason.
        Format::Prometheus
    } else if has("type") && has("metric") && has("data") {
        Format::K6Json
    } else if has("attack") && has("seq") {
        Format::VegetaJson
    } else {
        Format::JsonLines
    }
}

fn is_word(line: &str) -> bool {
    line.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize].2)
    }
}

/// Format of an imported file, the rows to select, and the share of malformed rows to tolerate.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// Format of the file.
    pub format: Format,
    /// Maximum disorder of the rows.
    pub disorder: SimDuration,
    /// Share of malformed rows above which the file is rejected, from 0 to 1.
    pub max_broken: f64,
    /// Only requests whose path has this prefix, where the rows contain a path.
    pub path: Option<String>,
    /// Meanings of columns that cannot be recognized by name.
    pub columns: Vec<ColumnChoice>,
    /// Whether to classify requests by method and path, where the rows contain these.
    pub classes: bool,
}

impl ImportOptions {
    /// Takes all rows and tolerates no malformed one.
    pub fn strict(format: Format) -> Self {
        Self {
            format,
            disorder: format.default_reorder_window(),
            max_broken: 0.0,
            path: None,
            columns: Vec::new(),
            classes: false,
        }
    }
}

/// One row of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    /// Start of the request or interval.
    at: Instant,
    what: RowContent,
    /// Duration of the request, if recorded [ns].
    took: Option<i64>,
}

impl Row {
    const fn new(at: Instant, what: RowContent) -> Self {
        Self { at, what, took: None }
    }

    /// A request that ended at `end` with this duration, if recorded.
    fn ended(end: Instant, what: RowContent, took: Option<i128>) -> Self {
        let at = end.earlier(took.unwrap_or(0));
        Self { at, what, took: took.and_then(|took| i64::try_from(took).ok()) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum RowContent {
    /// One request.
    Request(Option<Tokens>),
    /// Number of requests in the interval that begins here.
    Count(f64),
    /// Requests per second in the interval that begins here.
    Rate(f64),
}

/// A consumer of rows in order of time; times are relative to the first row.
pub trait RowSink {
    /// The calendar date of time zero, if the file contains dates; called before any row.
    fn start(&mut self, start: Option<jiff::Timestamp>) -> io::Result<()>;
    /// Requests with tokens may have sessions, even if the first ones do not; called before any row.
    fn sessions(&mut self) {}
    /// Requests may have classes, even if the first ones do not; called before any row.
    fn classes(&mut self) {}
    /// Announces a new class of requests; its number is one more than the previous one's, starting at 1. Called before
    /// any request of the class.
    fn class(&mut self, name: &str) {
        let _ = name;
    }
    /// A request.
    fn request(&mut self, nanos: i64, tokens: Option<Tokens>) -> io::Result<()>;
    /// A request with its duration, if recorded (ns); forwarded to [`RowSink::request`] by default.
    fn timed_request(
        &mut self,
        nanos: i64,
        tokens: Option<Tokens>,
        took: Option<i64>,
    ) -> io::Result<()> {
        let _ = took;
        self.request(nanos, tokens)
    }
    /// Number of requests, or requests per second, in the interval that begins here.
    fn interval(&mut self, nanos: i64, amount: f64, is_rate: bool) -> io::Result<()>;
}

/// Reads a file to its end. Malformed rows are counted, and an error above the limit.
pub fn import(
    input: impl BufRead,
    options: &ImportOptions,
    recipient: &mut dyn RowSink,
) -> Result<MalformedRows, TraceError> {
    let mut input = input;
    let start = delimited::leading_start(&mut input)?;
    let mut rows = Rows {
        broken: MalformedRows::new(options.max_broken),
        order: InOrder::new(options.disorder, start),
        path: options.path.as_deref(),
        tells_classes: options.classes,
        classes: BTreeMap::new(),
        recipient,
    };
    if options.classes && options.format.has_paths() {
        rows.recipient.classes();
    }
    match options.format {
        Format::Csv => delimited::read_csv(input, &options.columns, &mut rows)?,
        Format::K6Csv => delimited::read_k6(input, &mut rows)?,
        Format::VegetaCsv => delimited::read_vegeta(input, &mut rows)?,
        Format::Prometheus => prometheus::read(input, &mut rows)?,
        Format::AccessLog => read_lines(input, &mut rows, access_log::row)?,
        Format::JsonLines => {
            // Any line may have `hash_ids`.
            rows.recipient.sessions();
            read_lines(input, &mut rows, json_lines::row)?;
        }
        Format::K6Json => read_lines(input, &mut rows, json_lines::k6_row)?,
        Format::VegetaJson => read_lines(input, &mut rows, json_lines::vegeta_row)?,
    }
    rows.finish()
}

/// Passes the rows of a file to a recipient.
struct Rows<'a> {
    broken: MalformedRows,
    order: InOrder,
    path: Option<&'a str>,
    tells_classes: bool,
    /// Numbers of the request classes announced so far, from 1 on.
    classes: BTreeMap<Box<str>, u16>,
    recipient: &'a mut dyn RowSink,
}

impl Rows<'_> {
    /// Handles the result of a line: a row, nothing of interest, or an error.
    fn take(&mut self, line: u64, row: Result<Option<Row>, String>) -> Result<(), TraceError> {
        match row {
            Ok(None) => Ok(()),
            Ok(Some(row)) => match self.order.take(line, row, self.recipient) {
                Ok(()) => {
                    self.broken.good();
                    Ok(())
                }
                Err(order::Refused::Row(message)) => self.broken.bad(line, message),
                Err(refused @ order::Refused::Output(..)) => Err(cannot_write(refused)),
            },
            Err(message) => self.broken.bad(line, message),
        }
    }

    /// Sets the class of a row's request; an empty name means any class.
    fn set_class(&mut self, row: &mut Row, name: &str) {
        let RowContent::Request(tokens) = &mut row.what else { return };
        // If one row has a class, all rows have a class column, even if empty.
        let tokens = tokens.get_or_insert_default();
        if name.is_empty() {
            return;
        }
        // Classes that appear late are rare, and one among so many hardly matters.
        let is_known = self.classes.contains_key(name) || self.classes.len() < CLASSES_MAX;
        let name = if is_known { name } else { OTHER };
        let class = self.classes.get(name).copied().unwrap_or_else(|| {
            let number = u16::try_from(self.classes.len() + 1).unwrap_or(0);
            self.classes.insert(name.into(), number);
            self.recipient.class(name);
            number
        });
        tokens.class = class;
    }

    /// Sets the path as the class of a row's request if classes are requested.
    fn set_route(&mut self, row: &mut Row, path: &str) {
        if self.tells_classes {
            let route = if path.is_empty() { String::new() } else { route_of("", path) };
            self.set_class(row, &route);
        }
    }

    /// Whether requests with this path are selected.
    fn wants(&self, path: &str) -> bool {
        self.path.is_none_or(|prefix| path.starts_with(prefix))
    }

    fn finish(mut self) -> Result<MalformedRows, TraceError> {
        self.broken.judge()?;
        self.order.finish(self.recipient).map_err(cannot_write)?;
        Ok(self.broken)
    }
}

/// Maximum number of distinct classes; requests of further ones get the class [`OTHER`].
const CLASSES_MAX: usize = 1_000;

/// Class of requests not distinguished.
const OTHER: &str = "other";

/// Context for a reader of single lines.
#[derive(Debug, Default)]
struct LineContext<'a> {
    /// Only requests whose path has this prefix.
    path: Option<&'a str>,
    /// Whether to record the route.
    tells_classes: bool,
    /// The route of the last line read.
    route: RefCell<Option<String>>,
    /// Conversations of the lines before.
    conversations: RefCell<Conversations>,
}

impl LineContext<'_> {
    /// Whether a request is selected; records its route.
    fn wants(&self, method: &str, path: &str) -> bool {
        if self.tells_classes && !path.is_empty() {
            *self.route.borrow_mut() = Some(route_of(method, path));
        }
        self.path.is_none_or(|prefix| path.starts_with(prefix))
    }
}

/// Method and path of a request, without its query and with `*` for identifier segments: numbers, and long words with
/// digits.
fn route_of(method: &str, path: &str) -> String {
    let path = path.split(['?', '#', ';']).next().unwrap_or_default();
    let is_identifier = |segment: &str| {
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        digits > 0 && (digits == segment.len() || segment.len() >= 10)
    };
    let segments =
        path.split('/').map(|segment| if is_identifier(segment) { "*" } else { segment });
    let path = segments.collect::<Vec<_>>().join("/");
    if method.is_empty() { path } else { format!("{method} {path}") }
}

/// Maximum length of a line; a longer one means that the file is not a log.
const LONGEST_LINE: u64 = 1 << 20;

/// Prefix of the message if writing the output fails.
pub const NOT_WRITTEN: &str = "the rows cannot be written";

fn read_lines(
    mut input: impl BufRead,
    rows: &mut Rows<'_>,
    row: fn(&str, &LineContext<'_>) -> Result<Option<Row>, String>,
) -> Result<(), TraceError> {
    let mut bytes = Vec::new();
    let mut seconds = WholeSeconds::default();
    let (path, tells_classes) = (rows.path, rows.tells_classes);
    let context = LineContext { path, tells_classes, ..LineContext::default() };
    for line in 1.. {
        bytes.clear();
        let read = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes);
        if read.map_err(|error| cannot_read(&error))? == 0 {
            break;
        }
        if bytes.len() as u64 == LONGEST_LINE {
            return Err(TraceError { line: Some(line), message: "the line is too long".into() });
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let mut row = row(text, &context).map(|row| row.map(|row| seconds.spread(line, row)));
        let route = context.route.take();
        if let (true, Ok(Some(row))) = (tells_classes, &mut row) {
            rows.set_class(row, &route.unwrap_or_default());
        }
        rows.take(line, row)?;
    }
    Ok(())
}

/// Spreads the requests of one second over it: most access logs have a resolution of whole seconds, and taken
/// literally every second would become a burst at its start.
#[derive(Debug, Default)]
struct WholeSeconds {
    /// The second of the last row, if it had no fraction.
    last: Option<i128>,
}

impl WholeSeconds {
    /// The row, at a random time within its second if the previous one had the same time.
    fn spread(&mut self, line: u64, row: Row) -> Row {
        let Row { at: Instant { nanos, is_date }, took, .. } = row;
        let ended = nanos + i128::from(took.unwrap_or(0));
        let written = [nanos, ended].into_iter().find(|one| is_date && one % NANOS_A_SECOND == 0);
        let before = std::mem::replace(&mut self.last, written);
        if written.is_none() || written != before {
            return row;
        }
        // Deterministic per file, whatever the seed of a run.
        let within = (i128::from(mix(line)) * NANOS_A_SECOND) >> u64::BITS;
        Row { at: Instant { nanos: nanos + within, is_date }, ..row }
    }
}

const NANOS_A_SECOND: i128 = 1_000_000_000;

fn cannot_read(error: &io::Error) -> TraceError {
    TraceError { line: None, message: format!("the file cannot be read: {error}") }
}

fn cannot_write(refused: order::Refused) -> TraceError {
    match refused {
        order::Refused::Row(message) => TraceError { line: None, message },
        // The rows cannot be represented in the form, as opposed to a full disk.
        order::Refused::Output(line, error) if error.kind() == io::ErrorKind::InvalidData => {
            TraceError { line, message: error.to_string() }
        }
        order::Refused::Output(_, error) => {
            TraceError { line: None, message: format!("{NOT_WRITTEN}: {error}") }
        }
    }
}

#[cfg(test)]
mod tests;
