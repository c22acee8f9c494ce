//! Meaning of the columns of comma-separated values: by their names, or as the user specifies.

use std::fmt;
use std::str::FromStr;

use csv::StringRecord;

/// Meaning of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Time at which the request arrived, or the interval starts.
    Time,
    /// Time at which the request was answered.
    End,
    /// Time until the answer [s].
    Duration,
    Count,
    Rate,
    PromptTokens,
    OutputTokens,
    /// Session or user of a request.
    Session,
    /// Class of a request, by name or path.
    Class,
    /// Name of one of several series whose counts add up.
    Series,
    /// Locust's row name: `Aggregated` is the sum of the others.
    Name,
}

/// Column names in lower case, reduced to letters.
const COLUMN_NAMES: [(Column, &[&str]); 11] = [
    (
        Column::Time,
        &["t", "ts", "tseconds", "timestamp", "time", "seconds", "arrival", "starttime"],
    ),
    (Column::End, &["endtimestamp", "endtime", "end"]),
    (Column::Duration, &["duration", "durations", "durationseconds", "elapsedtime"]),
    (Column::Count, &["count", "counts", "requests", "invocations", "requestcount"]),
    (Column::Rate, &["rps", "raterps", "rate", "qps", "requestss"]),
    (
        Column::PromptTokens,
        &["prompttokens", "contexttokens", "inputtokens", "requesttokens", "inputlength"],
    ),
    (Column::OutputTokens, &["outputtokens", "generatedtokens", "responsetokens", "outputlength"]),
    (Column::Session, &["session", "sessionid", "user", "userid"]),
    (Column::Class, &["class"]),
    (Column::Series, &["functionindex", "functionid", "series", "instance"]),
    (Column::Name, &["name"]),
];

/// Keywords by which the user can specify a column's meaning.
const MEANINGS: [(&str, Column); 10] = [
    ("time", Column::Time),
    ("end", Column::End),
    ("duration", Column::Duration),
    ("count", Column::Count),
    ("rate", Column::Rate),
    ("prompt", Column::PromptTokens),
    ("output", Column::OutputTokens),
    ("session", Column::Session),
    ("class", Column::Class),
    ("series", Column::Series),
];

/// A user-specified column, as `time=ts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnChoice {
    column: Column,
    name: String,
}

impl FromStr for ColumnChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || MEANINGS.map(|(word, _)| word).join(", ");
        let (meaning, name) =
            text.split_once('=').filter(|(_, name)| !name.trim().is_empty()).ok_or_else(|| {
                format!("write MEANING=COLUMN, such as time=ts; meanings are {}", known())
            })?;
        let found = MEANINGS.iter().find(|(word, _)| *word == meaning.trim());
        let (_, column) = found.ok_or_else(|| {
            format!("{:?} is not a meaning of a column; meanings are {}", meaning, known())
        })?;
        Ok(Self { column: *column, name: name.trim().to_owned() })
    }
}

impl ColumnChoice {
    /// Whether it applies only to individual requests, as opposed to counts.
    pub const fn is_of_single_requests(&self) -> bool {
        matches!(
            self.column,
            Column::PromptTokens | Column::OutputTokens | Column::Session | Column::Class
        )
    }

    /// The specified meaning.
    pub(super) const fn column(&self) -> Column {
        self.column
    }
}

impl fmt::Display for ColumnChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = MEANINGS.iter().find(|(_, column)| *column == self.column);
        write!(f, "{}={}", word.map_or("", |(word, _)| word), self.name)
    }
}

/// The meaning of each column of a header. A user's choice overrides the name of the column, and other
/// columns that appear to have the same meaning.
pub(super) fn meanings(
    header: &StringRecord,
    choices: &[ColumnChoice],
) -> Result<Vec<Option<Column>>, String> {
    let is_amount = |column: Column| matches!(column, Column::Count | Column::Rate);
    let is_said_otherwise = |column: Column| {
        choices.iter().any(|one| {
            one.column == column
                || (is_amount(one.column) && is_amount(column))
                || matches!(
                    (one.column, column),
                    (Column::Time, Column::End) | (Column::End, Column::Time)
                )
        })
    };
    let by_name = |name| column_named(name).filter(|column| !is_said_otherwise(*column));
    let mut meanings: Vec<Option<Column>> = header.iter().map(by_name).collect();
    for choice in choices {
        let equal = header.iter().position(|name| name == choice.name);
        let alike = || header.iter().position(|name| name.eq_ignore_ascii_case(&choice.name));
        let Some(position) = equal.or_else(alike) else {
            return Err(format!(
                "--column {choice}: no such column; the columns are {}",
                header.iter().collect::<Vec<_>>().join(", ")
            ));
        };
        let others = choices.iter().take_while(|other| *other != choice);
        if others.clone().any(|other| other.column == choice.column) {
            return Err(format!("--column {choice}: another column has the same meaning"));
        }
        if others.clone().any(|other| other.name.eq_ignore_ascii_case(&choice.name)) {
            return Err(format!("--column {choice}: the column has another meaning too"));
        }
        meanings[position] = Some(choice.column);
    }
    Ok(meanings)
}

/// Describes the problem of a line whose fields are not separated by commas.
pub(super) fn other_separator(line: &str) -> Option<String> {
    if line.contains(',') {
        return None;
    }
    let is_plain = |char: char| char.is_alphanumeric() || " _-./:+%\"'#()".contains(char);
    let name_of = |(separator, name)| {
        let fields = || line.split(separator).map(|field| field.trim_matches('"'));
        let is_instant = |field| matches!(column_named(field), Some(Column::Time | Column::End));
        let is_it = fields().any(is_instant) || fields().all(|field| field.chars().all(is_plain));
        (is_it && line.contains(separator)).then_some(name)
    };
    let name = [(';', "semicolons"), ('\t', "tabs")].into_iter().find_map(name_of)?;
    Some(format!("its fields are separated by {name}; write commas in their place"))
}

pub(super) fn column_named(name: &str) -> Option<Column> {
    let name: String =
        name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let known = COLUMN_NAMES.iter().find(|(_, names)| names.contains(&name.as_str()));
    known.map(|(column, _)| *column)
}
