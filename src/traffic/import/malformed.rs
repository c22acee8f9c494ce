//! Malformed rows: they are counted, the first ones are kept, and a file with too many is rejected.

use crate::trace::TraceError;

/// Number of malformed rows kept for display.
const SHOWN: usize = 5;

/// Number of rows that must have been read before a share of them is judged.
const ROWS_TO_JUDGE: u64 = 1_000;

/// A malformed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedRow {
    /// Its line, counted from 1.
    pub line: u64,
    /// Description of the problem.
    pub message: String,
}

/// The malformed rows of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct MalformedRows {
    /// Rows that could be parsed.
    pub good: u64,
    /// Rows that could not.
    pub count: u64,
    /// The first malformed rows.
    pub first: Vec<MalformedRow>,
    max_share: f64,
}

impl MalformedRows {
    pub(super) const fn new(max_share: f64) -> Self {
        Self { good: 0, count: 0, first: Vec::new(), max_share }
    }

    /// Their number in words: `1 broken row was skipped`.
    pub fn left_out(&self) -> String {
        match self.count {
            1 => "1 broken row was skipped".into(),
            count => format!("{count} broken rows were skipped"),
        }
    }

    pub(super) const fn good(&mut self) {
        self.good += 1;
    }

    /// Records a malformed row; an error if there are now too many.
    pub(super) fn bad(&mut self, line: u64, message: String) -> Result<(), TraceError> {
        if self.max_share <= 0.0 {
            return Err(TraceError { line: Some(line), message });
        }
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(MalformedRow { line, message });
        }
        if self.good + self.count < ROWS_TO_JUDGE { Ok(()) } else { self.judge() }
    }

    /// The first broken row, if there is one: `line 3: "soon" is not a time`.
    pub fn shown(&self) -> Option<String> {
        self.first.first().map(|row| format!("line {}: {}", row.line, row.message))
    }

    /// An error, located at the first malformed row, if too large a share is malformed or nothing was
    /// read.
    pub(super) fn judge(&self) -> Result<(), TraceError> {
        let rows = self.good + self.count;
        let refused = |why: String| {
            let Some(MalformedRow { line, message }) = self.first.first() else {
                return Err(TraceError { line: None, message: why });
            };
            Err(TraceError { line: Some(*line), message: format!("{message}; {why}") })
        };
        if self.good == 0 {
            return refused("no row could be read".into());
        }
        let share = self.count as f64 / rows as f64;
        if share <= self.max_share {
            return Ok(());
        }
        let (is, of) = if self.count == 1 { ("is", "row") } else { ("are", "rows") };
        let of = if rows == 1 { of } else { "rows" };
        refused(format!(
            "{} of {rows} {of} {is} broken, {:.1} %, above the allowed {:.1} %",
            self.count,
            share * 100.0,
            self.max_share * 100.0,
        ))
    }
}
