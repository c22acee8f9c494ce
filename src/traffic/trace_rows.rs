//! The rows of a request trace: few are held in memory, many are stored in a [`Spool`], of which a
//! reader holds one block. The storage of a spool is provided by `cli`.

use std::fmt;
use std::io;
use std::sync::OnceLock;

use super::trace::Tokens;
use engine::SimTime;

/// Maximum number of rows held in memory: 8 MB, 20 MB with tokens.
pub(crate) const HELD_ROWS: usize = 1 << 20;

/// Number of rows read from or written to a spool at a time.
const BLOCK_ROWS: usize = 1 << 12;

/// Size of a row with tokens in a spool, in bytes.
const ROW_WITH_TOKENS: usize = 24;

/// Storage for data too large for memory: bytes are appended first, and read at random later.
pub trait Spool: fmt::Debug + Send + Sync {
    /// Appends to the existing bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Fills `bytes` from `offset` on.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
}

/// Creates a spool when one is needed.
pub type NewSpool = fn() -> io::Result<Box<dyn Spool>>;

/// Times in order, with tokens if every row has them.
#[derive(Debug, Default)]
pub struct TraceRows {
    rows: usize,
    first: SimTime,
    last: SimTime,
    has_tokens: bool,
    has_sessions: bool,
    kept: RowStorage,
    /// The error that prevented rows from being read back.
    failure: OnceLock<String>,
}

#[derive(Debug)]
enum RowStorage {
    Held { instants: Vec<SimTime>, tokens: Vec<Tokens> },
    Spooled { spool: Box<dyn Spool>, row_bytes: usize, block_starts: Vec<SimTime> },
}

/// A reader's position in the rows, with the current block.
#[derive(Clone, Debug, Default)]
pub struct RowReader {
    /// First row of the block.
    first: usize,
    block: Vec<(SimTime, Tokens)>,
}

/// Collects rows into memory or a spool.
#[derive(Debug)]
pub struct RowWriter {
    rows: TraceRows,
    held_max: usize,
    new_spool: Option<NewSpool>,
    /// Rows not written to the spool yet.
    unwritten: Vec<u8>,
}

impl Default for RowStorage {
    fn default() -> Self {
        Self::Held { instants: Vec::new(), tokens: Vec::new() }
    }
}

impl RowWriter {
    /// Holds up to `held_max` rows in memory, or any number if there is no spool.
    pub fn new(held_max: usize, new_spool: Option<NewSpool>) -> Self {
        let rows = TraceRows { has_tokens: true, ..TraceRows::default() };
        Self { rows, held_max, new_spool, unwritten: Vec::new() }
    }

    /// Appends a row that is no earlier than the previous ones.
    pub fn push(&mut self, at: SimTime, tokens: Option<Tokens>) -> io::Result<()> {
        let Self { rows, held_max, new_spool, unwritten } = self;
        rows.has_tokens &= tokens.is_some();
        rows.has_sessions |= tokens.is_some_and(|tokens| tokens.session > 0);
        match &mut rows.kept {
            RowStorage::Held { instants, tokens: held } => {
                instants.push(at);
                if rows.has_tokens {
                    held.extend(tokens);
                } else {
                    *held = Vec::new();
                }
            }
            RowStorage::Spooled { row_bytes, block_starts, .. } => {
                if rows.rows.is_multiple_of(BLOCK_ROWS) {
                    block_starts.push(at);
                }
                write_row(unwritten, *row_bytes, at, tokens.unwrap_or_default());
            }
        }
        if rows.rows == 0 {
            rows.first = at;
        }
        rows.last = at;
        rows.rows += 1;
        if rows.rows > *held_max
            && let Some(new_spool) = new_spool.take()
        {
            rows.kept = spooled(new_spool()?, &rows.kept, unwritten);
        }
        if unwritten.len() >= 16 * BLOCK_ROWS { self.write() } else { Ok(()) }
    }

    /// All rows that were pushed.
    pub fn finish(mut self) -> io::Result<TraceRows> {
        self.write()?;
        self.rows.has_tokens &= self.rows.rows > 0;
        Ok(self.rows)
    }

    fn write(&mut self) -> io::Result<()> {
        if let RowStorage::Spooled { spool, .. } = &mut self.rows.kept {
            spool.append(&self.unwritten)?;
        }
        self.unwritten.clear();
        self.unwritten.shrink_to(32 * BLOCK_ROWS);
        Ok(())
    }
}

/// Moves rows from memory to a spool.
fn spooled(spool: Box<dyn Spool>, kept: &RowStorage, unwritten: &mut Vec<u8>) -> RowStorage {
    let mut block_starts = Vec::new();
    let mut row_bytes = 8;
    if let RowStorage::Held { instants, tokens } = kept {
        row_bytes = if tokens.is_empty() { 8 } else { ROW_WITH_TOKENS };
        block_starts.extend(instants.iter().step_by(BLOCK_ROWS));
        for (row, at) in instants.iter().enumerate() {
            write_row(unwritten, row_bytes, *at, tokens.get(row).copied().unwrap_or_default());
        }
    }
    RowStorage::Spooled { spool, row_bytes, block_starts }
}

fn write_row(bytes: &mut Vec<u8>, row_bytes: usize, at: SimTime, tokens: Tokens) {
    bytes.extend_from_slice(&at.as_nanos().to_le_bytes());
    if row_bytes == ROW_WITH_TOKENS {
        for number in [tokens.prompt, tokens.output, tokens.session, tokens.class.into()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn read_row(bytes: &[u8]) -> (SimTime, Tokens) {
    let word = |from: usize| -> [u8; 4] {
        bytes.get(from..from + 4).and_then(|four| four.try_into().ok()).unwrap_or_default()
    };
    let [low, high] = [word(0), word(4)].map(|word| i64::from(u32::from_le_bytes(word)));
    let [prompt, output, session, class] =
        [word(8), word(12), word(16), word(20)].map(u32::from_le_bytes);
    let class = u16::try_from(class).unwrap_or(0);
    (SimTime::from_nanos(low | high << 32), Tokens { prompt, output, session, class })
}

impl TraceRows {
    /// Number of rows.
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether any of them has a session.
    pub(crate) const fn has_sessions(&self) -> bool {
        self.has_sessions
    }

    /// Whether every row has tokens.
    #[cfg(test)]
    pub(super) const fn has_tokens(&self) -> bool {
        self.has_tokens
    }

    /// The first and the last instant, if there is one.
    pub fn ends(&self) -> Option<(SimTime, SimTime)> {
        (self.rows > 0).then_some((self.first, self.last))
    }

    /// A row; absent after the last one, or if it cannot be read back ([`Self::failure`]).
    #[inline]
    pub fn row(&self, row: usize, reader: &mut RowReader) -> Option<(SimTime, Tokens)> {
        match &self.kept {
            RowStorage::Held { instants, tokens } => {
                Some((*instants.get(row)?, tokens.get(row).copied().unwrap_or_default()))
            }
            RowStorage::Spooled { spool, row_bytes, .. } => {
                let position = row.wrapping_sub(reader.first);
                if let Some(found) = reader.block.get(position) {
                    return Some(*found);
                }
                self.read_block(row, &**spool, *row_bytes, reader)
            }
        }
    }

    #[cold]
    fn read_block(
        &self,
        row: usize,
        spool: &dyn Spool,
        row_bytes: usize,
        reader: &mut RowReader,
    ) -> Option<(SimTime, Tokens)> {
        if row >= self.rows {
            return None;
        }
        let first = row - row % BLOCK_ROWS;
        let mut bytes = vec![0; BLOCK_ROWS.min(self.rows - first) * row_bytes];
        if let Err(error) = spool.read_at(first as u64 * row_bytes as u64, &mut bytes) {
            // The caller continues as if the trace had ended; the run's owner checks for the failure.
            let _ = self.failure.set(format!("the trace cannot be read back: {error}"));
            return None;
        }
        reader.first = first;
        reader.block.clear();
        reader.block.extend(
            bytes
                .chunks_exact(row_bytes)
                .map(read_row)
                .map(|(at, tokens)| (at, if self.has_tokens { tokens } else { Tokens::default() })),
        );
        reader.block.get(row - first).copied()
    }

    /// Number of rows before a given time.
    pub fn before(&self, end: SimTime) -> usize {
        match &self.kept {
            RowStorage::Held { instants, .. } => instants.partition_point(|at| *at < end),
            RowStorage::Spooled { block_starts, .. } => {
                // No later block can contain such a row.
                let blocks = block_starts.partition_point(|at| *at < end);
                let Some(block) = blocks.checked_sub(1) else { return 0 };
                let mut reader = RowReader::default();
                let first = block * BLOCK_ROWS;
                let is_before = |row| self.row(row, &mut reader).is_some_and(|(at, _)| at < end);
                first
                    + (first..self.rows.min(first + BLOCK_ROWS))
                        .map(is_before)
                        .filter(|is| *is)
                        .count()
            }
        }
    }

    /// The error that prevented rows from being read back, if any.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// All rows, as far as they can be read back.
    pub fn iter(&self) -> impl Iterator<Item = (SimTime, Tokens)> {
        let mut reader = RowReader::default();
        (0..self.rows).map_while(move |row| self.row(row, &mut reader))
    }
}

/// Rows in memory, in order of time.
impl FromIterator<(SimTime, Option<Tokens>)> for TraceRows {
    fn from_iter<I: IntoIterator<Item = (SimTime, Option<Tokens>)>>(rows: I) -> Self {
        let (instants, tokens): (Vec<SimTime>, Vec<Option<Tokens>>) = rows.into_iter().unzip();
        let tokens: Vec<Tokens> =
            tokens.into_iter().collect::<Option<Vec<Tokens>>>().unwrap_or_default();
        let [first, last] =
            [instants.first(), instants.last()].map(|at| at.copied().unwrap_or_default());
        Self {
            rows: instants.len(),
            first,
            last,
            has_tokens: !tokens.is_empty(),
            has_sessions: tokens.iter().any(|tokens| tokens.session > 0),
            kept: RowStorage::Held { instants, tokens },
            failure: OnceLock::new(),
        }
    }
}

impl PartialEq for TraceRows {
    fn eq(&self, other: &Self) -> bool {
        (self.rows, self.has_tokens) == (other.rows, other.has_tokens)
            && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A spool in memory that cannot be read beyond this many bytes.
    #[derive(Debug, Default)]
    struct Memory(Vec<u8>, Option<u64>);

    impl Spool for Memory {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
            if self.1.is_some_and(|end| offset > end) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let from = usize::try_from(offset).expect("small");
            bytes.copy_from_slice(&self.0[from..from + bytes.len()]);
            Ok(())
        }
    }

    fn at(row: u32) -> SimTime {
        // Pairs of equal instants.
        SimTime::from_nanos(i64::from(row / 2) * 7)
    }

    fn rows(count: u32, has_tokens: bool, new_spool: Option<NewSpool>) -> TraceRows {
        let mut writer = RowWriter::new(100, new_spool);
        for row in 0..count {
            let tokens = has_tokens.then_some(Tokens {
                prompt: row,
                output: row + 1,
                session: row + 2,
                class: 3,
            });
            writer.push(at(row), tokens).expect("taken");
        }
        writer.finish().expect("written")
    }

    #[test]
    fn a_spool_gives_back_what_memory_would_have_held() {
        for (count, has_tokens) in [(50, true), (20_000, true), (20_000, false), (8192, true)] {
            let held = rows(count, has_tokens, None);
            let spooled = rows(count, has_tokens, Some(|| Ok(Box::new(Memory::default()))));
            assert!(matches!(held.kept, RowStorage::Held { .. }));
            assert_eq!(matches!(spooled.kept, RowStorage::Spooled { .. }), count > 100);
            assert_eq!(spooled, held);
            assert_eq!(spooled.ends(), Some((at(0), at(count - 1))));
            let last = at(count - 1);
            for end in [0, 1, 7, 8, 7 * 2048, 7 * 2049, 7 * 4096].map(SimTime::from_nanos) {
                assert_eq!(spooled.before(end), held.before(end), "{end:?}");
            }
            assert_eq!(spooled.before(last), held.before(last));
            assert_eq!(spooled.before(SimTime::MAX), spooled.len());
        }
    }

    #[test]
    fn a_row_without_tokens_takes_them_from_all() {
        for count in [50, 5_000] {
            let mut writer = RowWriter::new(100, Some(|| Ok(Box::new(Memory::default()))));
            for row in 0..count {
                let tokens = (row != count - 2).then_some(Tokens::of(1, 1));
                writer.push(at(row), tokens).expect("taken");
            }
            let rows = writer.finish().expect("written");
            assert!(!rows.has_tokens());
            assert_eq!(rows.iter().nth(3), Some((at(3), Tokens::default())));
        }
    }

    #[test]
    fn rows_that_cannot_be_read_back_end_the_trace_and_say_why() {
        let rows = rows(20_000, false, Some(|| Ok(Box::new(Memory(Vec::new(), Some(40_000))))));
        assert_eq!(rows.failure(), None);
        assert!(rows.iter().count() < 20_000);
        assert!(rows.failure().is_some_and(|why| why.starts_with("the trace cannot be read back")));
    }
}
