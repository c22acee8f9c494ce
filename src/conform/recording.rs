//! The file format of recordings: one JSON document per line, optionally compressed with gzip.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::marker::PhantomData;
use std::ops::Deref;

use flate2::bufread::MultiGzDecoder;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::CaseOutcome;

/// The first two bytes of every gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a recording cannot be replayed.
#[derive(Debug)]
pub enum RecordingError {
    /// It cannot be read.
    Unreadable(io::Error),
    /// A line is invalid.
    Line {
        /// Its number, from 1.
        line: usize,
        /// The problem.
        problem: String,
    },
    /// It contains no case.
    Empty,
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Line { line, problem } => write!(f, "line {line}: {problem}"),
            Self::Empty => f.write_str("holds no case; expected one JSON object per line"),
        }
    }
}

impl std::error::Error for RecordingError {}

/// The text of a file, decompressed if its first bytes are those of gzip.
pub fn unpacked<'a>(mut input: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let is_compressed = input.fill_buf()?.starts_with(&GZIP_MAGIC);
    Ok(if is_compressed {
        Box::new(BufReader::new(MultiGzDecoder::new(input)))
    } else {
        Box::new(input)
    })
}

/// Replays the case on each line that is not blank.
pub(crate) fn replay_lines(
    input: impl BufRead,
    mut replay: impl FnMut(&str) -> Result<CaseOutcome, String>,
) -> Result<Vec<CaseOutcome>, RecordingError> {
    let lines = unpacked(input).map_err(RecordingError::Unreadable)?;
    let mut outcomes = Vec::new();
    for (line, text) in (1..).zip(lines.lines()) {
        let text = text.map_err(RecordingError::Unreadable)?;
        if !text.trim().is_empty() {
            let outcome = replay(&text);
            outcomes.push(outcome.map_err(|problem| RecordingError::Line { line, problem })?);
        }
    }
    if outcomes.is_empty() { Err(RecordingError::Empty) } else { Ok(outcomes) }
}

/// Parses one line. An error names the invalid field.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let json = &mut serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut *json).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner();
        if problem.is_syntax() || problem.is_eof() {
            return not_json(&problem);
        }
        // At the top level the path is empty or a dot.
        if path.len() > 1 { format!("{path}: {problem}") } else { problem.to_string() }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(read)
}

/// A recording has one JSON object per line.
fn not_json(error: &serde_json::Error) -> String {
    let (problem, column) = (error.to_string(), error.column());
    let problem = problem.split(" at line ").next().unwrap_or(&problem);
    format!("not JSON: {problem} at column {column}; write one JSON object per line")
}

/// A value that must be written as an object, not as a list of its fields, which would be accepted as well.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mapped<T>(pub(crate) T);

impl<T> Deref for Mapped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Mapped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = Mapped<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Mapped<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Mapped)
            }
        }

        deserializer.deserialize_map(OfMap(PhantomData))
    }
}

/// The inputs of a recorded decision: the case, or the item with this index of a list in it, without expected
/// results.
pub(crate) fn inputs_of(line: &str, list: &[&str], index: usize) -> Value {
    let mut inputs: Value = parse(line).unwrap_or_default();
    for field in list {
        inputs = inputs[*field][index].take();
    }
    if let Value::Object(fields) = &mut inputs {
        fields.retain(|name, _| !name.starts_with("expect"));
    }
    inputs
}
