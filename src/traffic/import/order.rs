//! Sorts rows by time within a window, and makes times relative to the first of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use super::instant::Instant;
use super::{Row, RowContent, RowSink};
use crate::trace::Tokens;
use engine::{SimDuration, SimTime};

/// Holds rows back for as long as an earlier one may still arrive.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    disorder: i128,
    /// The date of time zero as stated in the file.
    start: Option<jiff::Timestamp>,
    /// Pending rows with their lines, by time, then by arrival.
    waiting: BinaryHeap<Reverse<(i128, u64, u64, Payload)>>,
    rows: u64,
    newest: i128,
    /// Whether the times are dates; known after the first row.
    has_dates: Option<bool>,
    /// The time that counts as zero; known after the first row is passed on.
    origin: Option<i128>,
    /// The last row passed on, relative to the origin.
    last: Option<(i64, Payload)>,
    /// Whether intervals with the same start add up, as those of several series.
    adds_up: bool,
    /// An interval that another with the same start may still add to.
    open: Option<(i64, f64, bool)>,
}

/// Content of a pending row, in a totally ordered form; ties in time are resolved before it is
/// compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Payload {
    /// With the tokens of prompt and answer, the session and the class, if recorded.
    Request {
        tokens: Option<([u32; 3], u16)>,
        took: Option<i64>,
    },
    Interval {
        bits: u64,
        is_rate: bool,
    },
}

/// Why a row was rejected.
pub(super) enum Refused {
    /// The row is invalid.
    Row(String),
    /// The recipient cannot write the output of this line, if it belongs to one.
    Output(Option<u64>, io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Output(None, error)
    }
}

impl InOrder {
    pub(super) fn new(disorder: SimDuration, start: Option<jiff::Timestamp>) -> Self {
        let disorder = disorder.as_nanos().into();
        Self { disorder, start, newest: i128::MIN, ..Self::default() }
    }

    /// Makes intervals with the same start add up from now on.
    pub(super) const fn add_up(&mut self) {
        self.adds_up = true;
    }

    /// Takes a row, and passes on those that can no longer be preceded by another.
    pub(super) fn take(
        &mut self,
        line: u64,
        row: Row,
        recipient: &mut dyn RowSink,
    ) -> Result<(), Refused> {
        let Instant { nanos, is_date } = row.at;
        if *self.has_dates.get_or_insert(is_date) != is_date {
            let message = "dates and times since the start are mixed; use one or the other";
            return Err(Refused::Row(message.into()));
        }
        if let (Some(origin), Some((last, _))) = (self.origin, self.last)
            && nanos - origin < i128::from(last)
        {
            let at = |nanos: i128| SimTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
            let (before, now) = (at(last.into()), at((nanos - origin).max(0)));
            let message = format!("time goes back from {before} to {now}; sort the rows by time");
            return Err(Refused::Row(message));
        }
        self.refuse_doubled(nanos, row.what)?;
        self.rows += 1;
        self.waiting.push(Reverse((nanos, self.rows, line, Payload::of(&row))));
        self.newest = self.newest.max(nanos);
        while let Some(Reverse((nanos, ..))) = self.waiting.peek()
            && self.newest - nanos >= self.disorder
        {
            self.pass_on(recipient)?;
        }
        Ok(())
    }

    /// Two counts for one interval are an error unless they are declared to add up.
    fn refuse_doubled(&self, nanos: i128, what: RowContent) -> Result<(), Refused> {
        let (Some(origin), Some((last, _))) = (self.origin, self.last) else { return Ok(()) };
        let is_interval = !matches!(what, RowContent::Request(_));
        if is_interval && !self.adds_up && nanos - origin == i128::from(last) {
            let at = SimTime::from_nanos(last);
            return Err(Refused::Row(format!("two rows for the interval from {at}")));
        }
        Ok(())
    }

    /// Passes on all remaining rows.
    pub(super) fn finish(&mut self, recipient: &mut dyn RowSink) -> Result<(), Refused> {
        while !self.waiting.is_empty() {
            match self.pass_on(recipient) {
                Ok(()) | Err(Refused::Row(_)) => {}
                Err(refused) => return Err(refused),
            }
        }
        Ok(self.close(recipient)?)
    }

    fn pass_on(&mut self, recipient: &mut dyn RowSink) -> Result<(), Refused> {
        let Some(Reverse((nanos, _, line, payload))) = self.waiting.pop() else { return Ok(()) };
        let origin = match self.origin {
            Some(origin) => origin,
            None => self.begin(nanos, recipient)?,
        };
        let nanos = i64::try_from(nanos - origin).map_err(|_| {
            Refused::Row("the row is more than 292 years after the first one".into())
        })?;
        self.last = Some((nanos, payload));
        match payload {
            Payload::Request { tokens, took } => {
                let tokens = tokens.map(|([prompt, output, session], class)| Tokens {
                    prompt,
                    output,
                    session,
                    class,
                });
                let taken = recipient.timed_request(nanos, tokens, took);
                taken.map_err(|error| Refused::Output(Some(line), error))
            }
            Payload::Interval { bits, is_rate } => {
                Ok(self.interval(nanos, f64::from_bits(bits), is_rate, recipient)?)
            }
        }
    }

    /// Passes on the first row: its date, or else the start of the trace, is time zero.
    fn begin(&mut self, nanos: i128, recipient: &mut dyn RowSink) -> io::Result<i128> {
        let has_dates = self.has_dates == Some(true);
        let origin = if has_dates { nanos } else { 0 };
        self.origin = Some(origin);
        let date = Instant { nanos, is_date: has_dates }.date();
        recipient.start(date.or(self.start))?;
        Ok(origin)
    }

    fn interval(
        &mut self,
        nanos: i64,
        amount: f64,
        is_rate: bool,
        recipient: &mut dyn RowSink,
    ) -> io::Result<()> {
        match &mut self.open {
            Some((start, sum, _)) if *start == nanos => *sum += amount,
            _ => {
                self.close(recipient)?;
                self.open = Some((nanos, amount, is_rate));
            }
        }
        Ok(())
    }

    fn close(&mut self, recipient: &mut dyn RowSink) -> io::Result<()> {
        match self.open.take() {
            Some((nanos, amount, is_rate)) => recipient.interval(nanos, amount, is_rate),
            None => Ok(()),
        }
    }
}

impl Payload {
    fn of(row: &Row) -> Self {
        match row.what {
            RowContent::Request(tokens) => {
                let tokens = tokens.map(|of| ([of.prompt, of.output, of.session], of.class));
                Self::Request { tokens, took: row.took }
            }
            RowContent::Count(amount) => Self::Interval { bits: amount.to_bits(), is_rate: false },
            RowContent::Rate(rate) => Self::Interval { bits: rate.to_bits(), is_rate: true },
        }
    }
}
