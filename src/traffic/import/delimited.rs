//! Comma-separated values: the native form and published traces, distinguished by column names; output
//! of k6 and Vegeta.

use std::io::BufRead;

use csv::StringRecord;

use super::columns::{Column, ColumnChoice, meanings, other_separator};
use super::instant::Instant;
use super::json_lines::path_of_url;
use super::{LOOKED_AT, Row, RowContent, Rows, cannot_read};
use crate::llm::TokenHistograms;
use crate::trace::{Tokens, TraceError};
use engine::Digest;

/// Columns of Azure Functions 2019: a row per function with its calls in every minute of a day.
const MINUTES_OF_A_DAY: usize = 1440;

/// The native form begins with comments, one of which may give the calendar date of time zero.
pub(super) fn leading_start(
    input: &mut impl BufRead,
) -> Result<Option<jiff::Timestamp>, TraceError> {
    let beginning = input.fill_buf().map_err(|error| cannot_read(&error))?;
    let text = String::from_utf8_lossy(&beginning[..beginning.len().min(LOOKED_AT)]);
    let comments = text.lines().take_while(|line| line.starts_with('#'));
    let mut dates = comments.filter_map(|line| line.strip_prefix("# start: ")?.trim().parse().ok());
    Ok(dates.next())
}

/// Whether a line is a Vegeta result, which have no header: a time in nanoseconds, a status, a latency,
/// two sizes, an error, and seven more fields.
pub(super) fn is_vegeta(line: &str) -> bool {
    let fields: Vec<&str> = line.split(',').collect();
    let is_whole = |at: usize, digits: usize| {
        let field: &str = fields.get(at).copied().unwrap_or_default();
        field.len() >= digits && field.bytes().all(|byte| byte.is_ascii_digit())
    };
    fields.len() >= 8 && is_whole(0, 17) && is_whole(1, 1) && is_whole(2, 1) && is_whole(3, 1)
}

/// Reads rows whose columns are determined by the header or by their number.
pub(super) fn read_csv(
    input: impl BufRead,
    choices: &[ColumnChoice],
    rows: &mut Rows<'_>,
) -> Result<(), TraceError> {
    let mut columns: Option<Columns> = None;
    // Width of the header, and the sums.
    let mut minutes: Option<(usize, Vec<f64>)> = None;
    let (mut seen, mut has_rows) = (false, false);
    for_each_record(input, |line, record| {
        seen = true;
        if let Some((width, minutes)) = &mut minutes {
            let added = no_more_than(*width, record).and_then(|()| add_minutes(record, minutes));
            return match added {
                Ok(()) => Ok(()),
                Err(message) => rows.broken.bad(line, message),
            };
        }
        let Some(columns) = &columns else {
            if choices.is_empty() && is_day_of_minutes(record) {
                minutes = Some((record.len(), vec![0.0; MINUTES_OF_A_DAY]));
                return Ok(());
            }
            let found = Columns::of(record, choices)
                .map_err(|message| TraceError { line: Some(line), message })?;
            if found.series.is_some() {
                rows.order.add_up();
            }
            if found.session.is_some() {
                rows.recipient.sessions();
            }
            if found.class.is_some() {
                rows.recipient.classes();
            }
            if !found.in_header {
                rows.take(line, found.row(record))?;
            }
            columns = Some(found);
            return Ok(());
        };
        has_rows = true;
        let mut row = columns.row(record);
        if let (Some(at), Ok(Some(row))) = (columns.class, &mut row) {
            rows.set_class(row, record.get(at).unwrap_or_default());
        }
        rows.take(line, row)
    })?;
    for (minute, calls) in (0..).zip(minutes.map(|(_, sums)| sums).unwrap_or_default()) {
        let at = Instant { nanos: minute * 60_000_000_000, is_date: false };
        rows.take(1, Ok(Some(Row::new(at, RowContent::Count(calls)))))?;
    }
    if !seen {
        let message = "the file is empty; a trace has a row per request or per interval";
        return Err(TraceError { line: None, message: message.into() });
    }
    if rows.broken.good + rows.broken.count == 0
        && let Some(columns) = &columns
    {
        let message = if has_rows && columns.is_locust() {
            "no row is named `Aggregated`, Locust's name for totals"
        } else {
            "the file has a header line but no rows"
        };
        return Err(TraceError { line: None, message: message.into() });
    }
    Ok(())
}

/// Reads the output of `k6 run --out csv`: `http_req_duration` in milliseconds, at the request's end.
pub(super) fn read_k6(input: impl BufRead, rows: &mut Rows<'_>) -> Result<(), TraceError> {
    let mut url = None;
    for_each_record(input, |line, record| {
        if record.get(0) == Some("metric_name") {
            url = record.iter().position(|name| name == "url");
            return Ok(());
        }
        if record.get(0) != Some("http_req_duration") {
            return Ok(());
        }
        let path = url.and_then(|at| record.get(at)).map_or("", path_of_url);
        if !rows.wants(path) {
            return Ok(());
        }
        let row = field(record, 1).and_then(|time| {
            let at = Instant::parse(time)?;
            let millis = amount(field(record, 2)?)?;
            let took = nanos_of_seconds(millis / 1e3);
            let mut row = Row::ended(at, RowContent::Request(None), Some(took));
            rows.set_route(&mut row, path);
            Ok(Some(row))
        });
        rows.take(line, row)
    })
}

/// Reads the output of `vegeta encode --to csv`: the time at which each request was sent.
pub(super) fn read_vegeta(input: impl BufRead, rows: &mut Rows<'_>) -> Result<(), TraceError> {
    const URL: usize = 9;
    for_each_record(input, |line, record| {
        let path = record.get(URL).map(path_of_url);
        if path.is_some_and(|path| !rows.wants(path)) {
            return Ok(());
        }
        let row = field(record, 0).and_then(Instant::parse).map(|at| {
            let mut row = Row::new(at, RowContent::Request(None));
            rows.set_route(&mut row, path.unwrap_or_default());
            Some(row)
        });
        rows.take(line, row)
    })
}

fn for_each_record(
    input: impl BufRead,
    mut each: impl FnMut(u64, &StringRecord) -> Result<(), TraceError>,
) -> Result<(), TraceError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(input);
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| csv_error(&error))? {
        let line = record.position().map_or(0, csv::Position::line);
        each(line, &record)?;
    }
    Ok(())
}

fn csv_error(error: &csv::Error) -> TraceError {
    let line = error.position().map(csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::Io(error) => format!("the file cannot be read: {error}"),
        csv::ErrorKind::Utf8 { .. } => "the row is not UTF-8 text".into(),
        _ => error.to_string(),
    };
    TraceError { line, message }
}

/// Positions of the columns.
#[derive(Clone, Copy, Debug)]
struct Columns {
    time: Option<usize>,
    end: Option<usize>,
    duration: Option<usize>,
    count: Option<usize>,
    rate: Option<usize>,
    prompt_tokens: Option<usize>,
    output_tokens: Option<usize>,
    session: Option<usize>,
    class: Option<usize>,
    series: Option<usize>,
    name: Option<usize>,
    /// Number of columns.
    width: usize,
    in_header: bool,
}

impl Columns {
    /// From the first line: a header, or a row whose width determines its columns.
    fn of(first: &StringRecord, choices: &[ColumnChoice]) -> Result<Self, String> {
        if let Some(wrong) = first.get(0).filter(|_| first.len() == 1).and_then(other_separator) {
            return Err(wrong);
        }
        let is_row = first.iter().next().is_some_and(|field| Instant::parse(field).is_ok());
        if let Some(choice) = choices.first().filter(|_| is_row) {
            let row = first.iter().collect::<Vec<_>>().join(",");
            return Err(format!(
                "--column {choice}: the columns have no names, because the first line is the row `{row}`; add a header line"
            ));
        }
        let named: Vec<Option<Column>> = if is_row {
            match first.len() {
                1 => vec![Some(Column::Time)],
                3 => {
                    vec![Some(Column::Time), Some(Column::PromptTokens), Some(Column::OutputTokens)]
                }
                columns => {
                    return Err(format!(
                        "without a header line the meaning of {columns} columns is unknown; add one, such as \
                         `t_s,requests` or `t_s,rps`"
                    ));
                }
            }
        } else {
            meanings(first, choices)?
        };
        let position = |column| named.iter().position(|name| *name == Some(column));
        let columns = Self {
            time: position(Column::Time),
            end: position(Column::End),
            duration: position(Column::Duration),
            count: position(Column::Count),
            rate: position(Column::Rate),
            prompt_tokens: position(Column::PromptTokens),
            output_tokens: position(Column::OutputTokens),
            session: position(Column::Session),
            class: position(Column::Class),
            series: position(Column::Series),
            name: position(Column::Name),
            width: first.len(),
            in_header: !is_row,
        };
        if TokenHistograms::has_columns(first) {
            return Err("this is a histogram of token counts, not a trace of arrivals; use it in a scenario as \
                        `promptTokens: {histogram: FILE}` and `outputTokens: {histogram: FILE}` under `requests: \
                        {llm: ...}` of the workload"
                .into());
        }
        if columns.time.or(columns.end).is_none() {
            return Err(format!(
                "no time column among `{}`; name one `t_s` or `timestamp`, or use `wavetank import --column time=NAME`",
                first.iter().collect::<Vec<_>>().join(",")
            ));
        }
        // Next to a single column of times, an unknown second column is hardly a label: ignoring it
        // would turn counts into requests.
        if !is_row && choices.len() < 2 && first.len() == 2 && named.contains(&None) {
            let unknown = named.iter().position(Option::is_none).and_then(|at| first.get(at));
            return Err(format!(
                "unknown column `{}`; name it `requests` if it counts them per interval, `rps` if it is a rate, \
                 and remove it if each row is a request; or use `wavetank import --column`, such as count=NAME",
                unknown.unwrap_or_default()
            ));
        }
        for (at, column) in named.iter().enumerate() {
            // One of the two would be ignored; the user has to choose.
            let twice =
                column.and_then(|_| named[..at].iter().position(|earlier| earlier == column));
            if let Some(earlier) = twice {
                let [one, other] = [earlier, at].map(|at| first.get(at).unwrap_or_default());
                return Err(format!("`{one}` and `{other}` have the same meaning; rename one"));
            }
        }
        if columns.count.is_some() && columns.rate.is_some() && columns.name.is_none() {
            return Err("both a count and a rate column; remove one".into());
        }
        columns.refuse_unused(choices)?;
        Ok(columns)
    }

    /// A column choice that the rows do not use is an error, rather than silently ignored.
    fn refuse_unused(&self, choices: &[ColumnChoice]) -> Result<(), String> {
        let rows = match (self.rate, self.count) {
            (Some(_), _) => "rates",
            (_, Some(_)) => "counts",
            _ => "requests",
        };
        let are_requests = rows == "requests";
        for choice in choices {
            let why = match choice.column() {
                Column::PromptTokens if !are_requests => format!("the rows are {rows}, which have no prompts"),
                Column::OutputTokens if !are_requests => format!("the rows are {rows}, which have no answers"),
                Column::Session if !are_requests => format!("the rows are {rows}, which have no sessions"),
                Column::Class if !are_requests => format!("the rows are {rows}, which have no classes"),
                Column::Series if are_requests => {
                    "the rows are single requests; specify the column of their count or rate".into()
                }
                Column::Count if rows == "rates" => "the rows are rates, which have no count".into(),
                Column::End if self.time.is_some() => "another column is the time".into(),
                Column::Duration if self.time.is_some() => {
                    "the time column is the start of requests; a duration needs the time of their end".into()
                }
                _ => continue,
            };
            return Err(format!("--column {choice}: {why}; remove the option"));
        }
        Ok(())
    }

    /// Whether the rows are from Locust's stats history.
    const fn is_locust(&self) -> bool {
        self.name.is_some() && self.rate.is_some()
    }

    fn row(&self, record: &StringRecord) -> Result<Option<Row>, String> {
        no_more_than(self.width, record)?;
        // Locust repeats each request under its own name; the sum has its own row.
        if self.is_locust() && self.name.and_then(|name| record.get(name)) != Some("Aggregated") {
            return Ok(None);
        }
        let at = self.instant(record)?;
        if let Some(position) = self.rate {
            return Ok(Some(Row::new(at, RowContent::Rate(amount(field(record, position)?)?))));
        }
        if let Some(position) = self.count {
            return Ok(Some(Row::new(at, RowContent::Count(amount(field(record, position)?)?))));
        }
        // Zero means a value that the file does not record.
        let has_tokens = self.prompt_tokens.or(self.output_tokens).or(self.session).is_some();
        let tokens = |column: Option<usize>| {
            column.map_or(Ok(0), |position| token_count(field(record, position)?))
        };
        let tokens = if has_tokens {
            let (prompt, output) = (tokens(self.prompt_tokens)?, tokens(self.output_tokens)?);
            let session = self.session.and_then(|at| record.get(at)).map_or(0, session_number);
            Some(Tokens { session, ..Tokens::of(prompt, output) })
        } else {
            None
        };
        let seconds = self.duration.and_then(|at| amount(field(record, at).ok()?).ok());
        let took = seconds.and_then(|seconds| i64::try_from(nanos_of_seconds(seconds)).ok());
        Ok(Some(Row { took, ..Row::new(at, RowContent::Request(tokens)) }))
    }

    /// Arrival time of the request; if only its end is recorded, its end minus its duration.
    fn instant(&self, record: &StringRecord) -> Result<Instant, String> {
        if let Some(time) = self.time {
            return Instant::parse(field(record, time)?);
        }
        let end = Instant::parse(field(record, self.end.unwrap_or_default())?)?;
        let took = self.duration.map_or(Ok(0.0), |position| amount(field(record, position)?))?;
        Ok(end.earlier(nanos_of_seconds(took)))
    }
}

/// A surplus field indicates a stray comma that may have shifted all fields.
fn no_more_than(width: usize, record: &StringRecord) -> Result<(), String> {
    if record.len() <= width {
        return Ok(());
    }
    Err(format!(
        "the row has {} fields, but the first line {width}; quote fields that contain commas",
        record.len()
    ))
}

fn is_day_of_minutes(header: &StringRecord) -> bool {
    header.len() > MINUTES_OF_A_DAY
        && header.get(header.len() - MINUTES_OF_A_DAY) == Some("1")
        && header.get(header.len() - 1) == Some("1440")
}

fn add_minutes(record: &StringRecord, minutes: &mut [f64]) -> Result<(), String> {
    let Some(first) = record.len().checked_sub(MINUTES_OF_A_DAY) else {
        return Err(format!("the row has {} columns instead of one per minute", record.len()));
    };
    let calls = record.iter().skip(first).map(amount).collect::<Result<Vec<_>, _>>()?;
    for (sum, calls) in minutes.iter_mut().zip(calls) {
        *sum += calls;
    }
    Ok(())
}

fn field(record: &StringRecord, position: usize) -> Result<&str, String> {
    match record.get(position) {
        Some("") => Err(format!("the field in column {} is empty", position + 1)),
        Some(field) => Ok(field),
        None => Err(format!("column {} is missing: the row has {}", position + 1, record.len())),
    }
}

fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(amount) if amount.is_finite() && amount >= 0.0 => Ok(amount),
        _ => Err(format!("{text:?} is not a number of requests; write a number of at least 0")),
    }
}

fn token_count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number of tokens; write a whole number"))
}

/// The number of a session: its name if numeric, otherwise a hash of it; 0 for none.
fn session_number(name: &str) -> u32 {
    name.parse().unwrap_or_else(|_| match name {
        "" => 0,
        name => {
            let mut digest = Digest::default();
            digest.bytes(name.as_bytes());
            // The upper half of the hash, and never 0.
            u32::try_from(digest.value() >> 32).unwrap_or_default().max(1)
        }
    })
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to some thirty years")]
fn nanos_of_seconds(seconds: f64) -> i128 {
    (seconds * 1e9).clamp(0.0, 1e18).round() as i128
}
