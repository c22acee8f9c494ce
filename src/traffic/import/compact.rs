//! The common form into which all others are converted: a line per request, or per interval with its count,
//! with times relative to the first row. It is CSV that a scenario can read directly.

use std::io::{self, Write};

use super::RowSink;
use super::instant::date_after;
use crate::trace::Tokens;
use engine::{SimDuration, SimTime};

/// More consecutive empty intervals indicate wrong units or dates, and would fill the disk.
const GAP_MAX: i64 = 10_000_000;

/// Totals of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Calendar date of its time zero, if known.
    pub start: Option<jiff::Timestamp>,
    /// Number of requests, counted or summed over the intervals; absent for a trace of rates.
    pub requests: Option<f64>,
    /// Lines written, without the header.
    pub lines: u64,
    /// Time of the last line.
    pub last: SimTime,
    /// End of the trace: the last request, or the end of the last interval, taken to be as long as the one
    /// before.
    pub end: SimTime,
    /// Total prompt tokens.
    pub prompt_tokens: u64,
    /// Total output tokens.
    pub output_tokens: u64,
    /// Request classes with their counts, most frequent first; empty if classes are not distinguished.
    pub classes: Vec<(String, u64)>,
}

/// Writer of the compact form.
#[derive(Debug)]
pub struct Compact<W> {
    output: W,
    /// Source of the trace, for the header comment.
    origin: String,
    /// If set, writes counts per this interval instead of single requests.
    every: Option<SimDuration>,
    /// Whether requests may have sessions.
    has_sessions: bool,
    /// Whether requests may have classes, and the classes by number.
    has_classes: bool,
    header: Header,
    summary: Summary,
    /// Number of requests in the current interval, and its number.
    counted: Option<(i64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    Missing,
    Requests,
    RequestsWithTokens,
    RequestsWithSessions,
    RequestsWithClasses,
    Counts,
    Rates,
}

impl<W: Write> Compact<W> {
    /// Writes to `output`; `origin` names the source of the rows in the file header.
    pub fn new(output: W, origin: &str, every: Option<SimDuration>) -> Self {
        let origin = origin.replace(['\n', '\r'], " ");
        let summary = Summary::default();
        Self {
            output,
            origin,
            every,
            has_sessions: false,
            has_classes: false,
            header: Header::Missing,
            summary,
            counted: None,
        }
    }

    /// Writes the remaining rows and returns the trace's totals.
    pub fn finish(mut self) -> io::Result<(W, Summary)> {
        self.end_count()?;
        self.output.flush()?;
        self.summary.classes.sort_by_key(|(_, requests)| std::cmp::Reverse(*requests));
        Ok((self.output, self.summary))
    }

    /// Writes the header once the first row determines the columns; later rows must match.
    fn head(&mut self, header: Header) -> io::Result<()> {
        if self.header == header {
            return Ok(());
        }
        if self.header != Header::Missing {
            let message = "a trace cannot mix requests with and without tokens or sessions, counts, and rates";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.header = header;
        writeln!(self.output, "# from: {}", self.origin)?;
        if let Some(start) = self.summary.start {
            writeln!(self.output, "# start: {start}")?;
        }
        self.output.write_all(match header {
            Header::Missing => b"",
            Header::Requests => b"t_s\n",
            Header::RequestsWithTokens => b"t_s,prompt_tokens,output_tokens\n",
            Header::RequestsWithSessions => b"t_s,prompt_tokens,output_tokens,session\n",
            Header::RequestsWithClasses => b"t_s,class\n",
            Header::Counts => b"t_s,requests\n",
            Header::Rates => b"t_s,rps\n",
        })
    }

    fn line(&mut self, nanos: i64) {
        let at = SimTime::from_nanos(nanos);
        let length = match self.header {
            Header::Counts | Header::Rates => self
                .every
                .or_else(|| (self.summary.lines > 0).then(|| at - self.summary.last))
                .unwrap_or(SimDuration::ZERO),
            _ => SimDuration::ZERO,
        };
        self.summary.lines += 1;
        self.summary.last = at;
        self.summary.end = at + length;
    }

    fn count(&mut self, nanos: i64, every: SimDuration) -> io::Result<()> {
        let interval = nanos.div_euclid(every.as_nanos());
        if let Some((current, requests)) = &mut self.counted
            && *current == interval
        {
            *requests += 1;
            return Ok(());
        }
        // Empty intervals are written too: a missing interval is not the same as an empty one.
        let next = self.counted.map_or(0, |(current, _)| current + 1);
        if interval - next > GAP_MAX {
            let message = format!(
                "no request in {} intervals before {}; check the times, or use a longer --every",
                interval - next,
                SimTime::from_nanos(nanos)
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.end_count()?;
        for empty in next..interval {
            self.write_count(empty, 0)?;
        }
        self.counted = Some((interval, 1));
        Ok(())
    }

    fn end_count(&mut self) -> io::Result<()> {
        match self.counted.take() {
            Some((interval, requests)) => self.write_count(interval, requests),
            None => Ok(()),
        }
    }

    fn write_count(&mut self, interval: i64, requests: u64) -> io::Result<()> {
        let Some(every) = self.every else { return Ok(()) };
        let nanos = interval.saturating_mul(every.as_nanos());
        self.line(nanos);
        write_seconds(&mut self.output, nanos)?;
        writeln!(self.output, ",{requests}")
    }
}

impl<W: Write> RowSink for Compact<W> {
    fn start(&mut self, start: Option<jiff::Timestamp>) -> io::Result<()> {
        self.summary.start = start;
        Ok(())
    }

    fn sessions(&mut self) {
        self.has_sessions = true;
    }

    fn classes(&mut self) {
        self.has_classes = true;
    }

    fn class(&mut self, name: &str) {
        self.summary.classes.push((name.to_owned(), 0));
    }

    fn request(&mut self, nanos: i64, tokens: Option<Tokens>) -> io::Result<()> {
        *self.summary.requests.get_or_insert(0.0) += 1.0;
        if let Some(tokens) = tokens {
            self.summary.prompt_tokens += u64::from(tokens.prompt);
            self.summary.output_tokens += u64::from(tokens.output);
        }
        let class = tokens.and_then(|tokens| usize::from(tokens.class).checked_sub(1));
        let class = class.and_then(|class| self.summary.classes.get_mut(class));
        let class = class.map(|(name, requests)| {
            *requests += 1;
            quoted(name)
        });
        if let Some(every) = self.every {
            self.head(Header::Counts)?;
            return self.count(nanos, every);
        }
        if self.has_classes {
            if tokens.is_some_and(|tokens| tokens.prompt > 0 || tokens.output > 0) {
                let message = "requests with tokens go to language models, which have no classes; remove one of the two";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            self.head(Header::RequestsWithClasses)?;
            self.line(nanos);
            write_seconds(&mut self.output, nanos)?;
            return writeln!(self.output, ",{}", class.unwrap_or_default());
        }
        self.head(match tokens {
            None => Header::Requests,
            Some(tokens) if self.has_sessions || tokens.session > 0 => Header::RequestsWithSessions,
            Some(_) => Header::RequestsWithTokens,
        })?;
        self.line(nanos);
        write_seconds(&mut self.output, nanos)?;
        match tokens {
            None => writeln!(self.output),
            Some(Tokens { prompt, output, session, .. }) => {
                write!(self.output, ",{prompt},{output}")?;
                match self.header {
                    Header::RequestsWithSessions => writeln!(self.output, ",{session}"),
                    _ => writeln!(self.output),
                }
            }
        }
    }

    fn interval(&mut self, nanos: i64, amount: f64, is_rate: bool) -> io::Result<()> {
        if self.every.is_some() {
            let message = "the file already has intervals; only requests can be counted";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.head(if is_rate { Header::Rates } else { Header::Counts })?;
        if !is_rate {
            *self.summary.requests.get_or_insert(0.0) += amount;
        }
        self.line(nanos);
        write_seconds(&mut self.output, nanos)?;
        writeln!(self.output, ",{amount}")
    }
}

impl Summary {
    /// Calendar date of its end, if known.
    pub fn end_date(&self) -> Option<jiff::Timestamp> {
        date_after(self.start?, self.end.as_nanos())
    }
}

/// A field of comma-separated values.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Writes seconds without trailing zeros.
fn write_seconds(output: &mut impl Write, nanos: i64) -> io::Result<()> {
    let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    if fraction == 0 {
        return write!(output, "{seconds}");
    }
    let digits = format!("{fraction:09}");
    write!(output, "{seconds}.{}", digits.trim_end_matches('0'))
}
