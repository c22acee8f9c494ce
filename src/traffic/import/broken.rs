//! Rows that cannot be read: counted, the first ones kept, and a file with too many of them refused.

use crate::trace::TraceError;

/// How many broken rows are kept to be shown.
const SHOWN: usize = 5;

/// So many rows must have been read before a share of them means anything.
const ROWS_TO_JUDGE: u64 = 1_000;

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenRow {
    /// Its line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub message: String,
}

/// The broken rows of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokenRows {
    /// Rows that could be read.
    pub good: u64,
    /// Rows that could not.
    pub count: u64,
    /// The first of them.
    pub first: Vec<BrokenRow>,
    max_share: f64,
}

impl BrokenRows {
    pub(super) const fn new(max_share: f64) -> Self {
        Self { good: 0, count: 0, first: Vec::new(), max_share }
    }

    /// Their number in words: `1 broken row was left out`.
    pub fn left_out(&self) -> String {
        match self.count {
            1 => "1 broken row was left out".into(),
            count => format!("{count} broken rows were left out"),
        }
    }

    pub(super) const fn good(&mut self) {
        self.good += 1;
    }

    /// Notes a broken row; an error if there are too many by now.
    pub(super) fn bad(&mut self, line: u64, message: String) -> Result<(), TraceError> {
        if self.max_share <= 0.0 {
            return Err(TraceError { line: Some(line), message });
        }
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(BrokenRow { line, message });
        }
        if self.good + self.count < ROWS_TO_JUDGE { Ok(()) } else { self.judge() }
    }

    /// The first broken row, if there is one: `line 3: "soon" is no instant`.
    pub fn shown(&self) -> Option<String> {
        self.first.first().map(|row| format!("line {}: {}", row.line, row.message))
    }

    /// An error if too large a share is broken, or nothing was read; it stands at the first broken row.
    pub(super) fn judge(&self) -> Result<(), TraceError> {
        let rows = self.good + self.count;
        let refused = |why: String| {
            let Some(BrokenRow { line, message }) = self.first.first() else {
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
            "{} of {rows} {of} {is} broken, {:.1} %, where {:.1} % are allowed",
            self.count,
            share * 100.0,
            self.max_share * 100.0,
        ))
    }
}
