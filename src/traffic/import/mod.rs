//! Recorded traffic in the forms in which people have it, read row by row in constant memory: access
//! logs, results of load generators, Prometheus answers, published traces. Not responsible for files
//! and compression (`cli`), nor for what is made of the rows (`Trace`, [`Compact`]).
//!
//! A new format is a file here and a line in `Format::NAMES` and its methods.

mod access_log;
mod broken;
mod columns;
mod compact;
mod conversations;
mod delimited;
mod instant;
mod json_lines;
mod order;
mod prometheus;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read};

use super::trace::{Tokens, TraceError};
pub use broken::{BrokenRow, BrokenRows};
pub use columns::ColumnChoice;
pub use compact::{Compact, Summary};
use conversations::Conversations;
use engine::SimDuration;
use engine::digest::mix;
use instant::Instant;
use order::InOrder;

/// So many bytes at the beginning of a file tell its form.
const LOOKED_AT: usize = 4096;

/// A form of recorded traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line: instants, counts or rates, with tokens or without;
    /// Azure LLM inference, BurstGPT, ServeGen rates, Azure Functions, Locust's stats history.
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
    /// Each with its name on the command line and in words, in the order of the variants.
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

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    /// The format of a file that begins so; absent for what looks like none of them.
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
        // A log that was cut off begins in the middle of a line.
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

    /// Whether rows of this format tell the path of a request.
    pub const fn tells_paths(self) -> bool {
        !matches!(self, Self::Csv | Self::Prometheus)
    }

    /// The mistake in a file that begins so and is of none of the forms.
    pub fn doubt(beginning: &[u8]) -> String {
        let text = String::from_utf8_lossy(&beginning[..beginning.len().min(LOOKED_AT)]);
        let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
        let Some(first) = first else {
            return "the file is empty; a trace has a line per request or per interval".into();
        };
        if is_spans(&text) {
            return "these are the spans of distributed traces; `wavetank init MANIFESTS --traces FILE` learns calls and \
                    times of requests from them"
                .into();
        }
        columns::other_separator(first).unwrap_or_else(|| {
            format!(
                "this looks like none of the known forms; say with --format which it is: {}",
                Self::all().map(Self::name).join(", ")
            )
        })
    }

    /// How far rows of this format may be out of order: tools that write a line when a request ends
    /// give its start back out of order.
    pub const fn usual_disorder(self) -> SimDuration {
        match self {
            Self::Csv | Self::Prometheus => SimDuration::ZERO,
            _ => SimDuration::from_secs(600),
        }
    }
}

/// Whether this is an export of OpenTelemetry or Jaeger.
fn is_spans(text: &str) -> bool {
    text.contains("\"resourceSpans\"")
        || (text.contains("\"traceID\"") && text.contains("\"spans\""))
}

fn json_format(first: &str, text: &str) -> Format {
    let has = |key: &str| first.contains(&format!("\"{key}\""));
    if text.contains("\"resultType\"") || text.contains("\"result\"") && has("status") {
        Format::Prometheus
    } else if has("status") && has("errorType") {
        // It has no result, and says why.
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

/// Form of a file that is imported, the rows to take from it, and the share of broken rows to accept.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// The form of the file.
    pub format: Format,
    /// Rows may be this much out of order.
    pub disorder: SimDuration,
    /// Share of broken rows above which the file is refused, from 0 to 1.
    pub max_broken: f64,
    /// Only requests whose path begins so, where the rows tell a path.
    pub path: Option<String>,
    /// What columns hold whose names do not say it, where the rows have columns with names.
    pub columns: Vec<ColumnChoice>,
    /// Whether requests are told apart by their method and path, where the rows tell these.
    pub classes: bool,
}

impl ImportOptions {
    /// Takes all rows, and bears with none that is broken.
    pub fn strict(format: Format) -> Self {
        Self {
            format,
            disorder: format.usual_disorder(),
            max_broken: 0.0,
            path: None,
            columns: Vec::new(),
            classes: false,
        }
    }
}

/// Content of one row of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    /// When the request began, or the interval does.
    at: Instant,
    what: What,
    /// How long the request took, where the file tells [ns].
    took: Option<i64>,
}

impl Row {
    const fn new(at: Instant, what: What) -> Self {
        Self { at, what, took: None }
    }

    /// A request that ended at `end` and took so long, if that is told.
    fn ended(end: Instant, what: What, took: Option<i128>) -> Self {
        let at = end.earlier(took.unwrap_or(0));
        Self { at, what, took: took.and_then(|took| i64::try_from(took).ok()) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// One request.
    Request(Option<Tokens>),
    /// So many requests in the interval that begins here.
    Count(f64),
    /// Requests per second in the interval that begins here.
    Rate(f64),
}

/// Something that hears rows in order of time; times count from the first of them.
pub trait Recipient {
    /// The calendar date of time zero, if the file tells dates; heard before any row.
    fn start(&mut self, start: Option<jiff::Timestamp>) -> io::Result<()>;
    /// That requests with tokens may be of sessions, even if the first ones are not; heard before any row.
    fn sessions(&mut self) {}
    /// That requests may be of classes, even if the first ones are not; heard before any row.
    fn classes(&mut self) {}
    /// That a further class of requests is of this name; its number is one more than that of the one before, the first
    /// being 1. Heard before any request of the class.
    fn class(&mut self, name: &str) {
        let _ = name;
    }
    /// A request.
    fn request(&mut self, nanos: i64, tokens: Option<Tokens>) -> io::Result<()>;
    /// A request that took so long, if the file tells (ns); passed on to [`Recipient::request`] by those
    /// who do not care.
    fn timed_request(
        &mut self,
        nanos: i64,
        tokens: Option<Tokens>,
        took: Option<i64>,
    ) -> io::Result<()> {
        let _ = took;
        self.request(nanos, tokens)
    }
    /// So many requests, or requests per second, in the interval that begins here.
    fn interval(&mut self, nanos: i64, amount: f64, is_rate: bool) -> io::Result<()>;
}

/// Reads a file to its end. What is broken is counted, and refused above the limit.
pub fn import(
    input: impl BufRead,
    options: &ImportOptions,
    recipient: &mut dyn Recipient,
) -> Result<BrokenRows, TraceError> {
    let mut input = input;
    let start = delimited::leading_start(&mut input)?;
    let mut rows = Rows {
        broken: BrokenRows::new(options.max_broken),
        order: InOrder::new(options.disorder, start),
        path: options.path.as_deref(),
        tells_classes: options.classes,
        classes: BTreeMap::new(),
        recipient,
    };
    if options.classes && options.format.tells_paths() {
        rows.recipient.classes();
    }
    match options.format {
        Format::Csv => delimited::read_csv(input, &options.columns, &mut rows)?,
        Format::K6Csv => delimited::read_k6(input, &mut rows)?,
        Format::VegetaCsv => delimited::read_vegeta(input, &mut rows)?,
        Format::Prometheus => prometheus::read(input, &mut rows)?,
        Format::AccessLog => read_lines(input, &mut rows, access_log::row)?,
        Format::JsonLines => {
            // Any line may have its `hash_ids`.
            rows.recipient.sessions();
            read_lines(input, &mut rows, json_lines::row)?;
        }
        Format::K6Json => read_lines(input, &mut rows, json_lines::k6_row)?,
        Format::VegetaJson => read_lines(input, &mut rows, json_lines::vegeta_row)?,
    }
    rows.finish()
}

/// Rows on their way from a file to whoever wants them.
struct Rows<'a> {
    broken: BrokenRows,
    order: InOrder,
    path: Option<&'a str>,
    tells_classes: bool,
    /// Numbers of the classes of requests that were told so far, from 1 on.
    classes: BTreeMap<Box<str>, u16>,
    recipient: &'a mut dyn Recipient,
}

impl Rows<'_> {
    /// Takes the result of a line: a row, nothing of interest, or a mistake.
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

    /// The request of a row is of this class; one without a name is of any.
    fn tell_class(&mut self, row: &mut Row, name: &str) {
        let What::Request(tokens) = &mut row.what else { return };
        // Rows of which one tells a class all tell one, or none.
        let tokens = tokens.get_or_insert_default();
        if name.is_empty() {
            return;
        }
        // What comes late is seldom, and of so many classes none counts.
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

    /// The request of a row asks for this path, if classes are to be told.
    fn tell_route(&mut self, row: &mut Row, path: &str) {
        if self.tells_classes {
            let route = if path.is_empty() { String::new() } else { route_of("", path) };
            self.tell_class(row, &route);
        }
    }

    /// Whether a request with this path is wanted.
    fn wants(&self, path: &str) -> bool {
        self.path.is_none_or(|prefix| path.starts_with(prefix))
    }

    fn finish(mut self) -> Result<BrokenRows, TraceError> {
        self.broken.judge()?;
        self.order.finish(self.recipient).map_err(cannot_write)?;
        Ok(self.broken)
    }
}

/// Classes that are told apart at most; requests of further ones are of the class [`OTHER`].
const CLASSES_MAX: usize = 1_000;

/// The class of what is not told apart.
const OTHER: &str = "other";

/// What a reader of single lines needs to know beside the line.
#[derive(Debug, Default)]
struct LineContext<'a> {
    /// Only requests whose path begins so.
    path: Option<&'a str>,
    /// Whether the route is to be noted.
    tells_classes: bool,
    /// The route of the line that was read last.
    route: RefCell<Option<String>>,
    /// What the lines before told.
    conversations: RefCell<Conversations>,
}

impl LineContext<'_> {
    /// Whether a request is wanted, whose route is noted.
    fn wants(&self, method: &str, path: &str) -> bool {
        if self.tells_classes && !path.is_empty() {
            *self.route.borrow_mut() = Some(route_of(method, path));
        }
        self.path.is_none_or(|prefix| path.starts_with(prefix))
    }
}

/// Method and path of a request, without its query and with `*` for segments that name one thing of many: numbers, and
/// long words with digits, as identifiers are.
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

/// No line of a log is longer; what is longer is no log.
const LONGEST_LINE: u64 = 1 << 20;

/// So begins the message where it is the output that fails.
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
            rows.tell_class(row, &route.unwrap_or_default());
        }
        rows.take(line, row)?;
    }
    Ok(())
}

/// Spreads the requests of one second over it: most access logs write whole seconds, and to take that
/// for the instants would turn every second into a burst at its beginning.
#[derive(Debug, Default)]
struct WholeSeconds {
    /// The second that the last row was written in, if it told no parts of it.
    last: Option<i128>,
}

impl WholeSeconds {
    /// The row, at a random instant of its second if the one before it told the same.
    fn spread(&mut self, line: u64, row: Row) -> Row {
        let Row { at: Instant { nanos, is_date }, took, .. } = row;
        let ended = nanos + i128::from(took.unwrap_or(0));
        let written = [nanos, ended].into_iter().find(|one| is_date && one % NANOS_A_SECOND == 0);
        let before = std::mem::replace(&mut self.last, written);
        if written.is_none() || written != before {
            return row;
        }
        // The same file gives the same instants, whatever the seed of a run.
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
        // What the rows say cannot be put into the form, as against a disk that is full.
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
