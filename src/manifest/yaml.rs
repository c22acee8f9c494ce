//! Parses text into plain values with the position of every field: the only reader of YAML and JSON.
//!
//! It parses like `kubectl` (YAML 1.1 scalars: `yes` is a boolean, `0644` is octal; merge keys; several documents in
//! one text; JSON is YAML), is safe on hostile input (nesting, alias bombs), and reports duplicate keys. It does
//! not interpret values: manifests, scenarios and configuration files are all read here.

mod compose;
mod positions;
mod scalar;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

pub use positions::Positions;

use super::diagnostic::{Diagnostics, Location, Severity};
use super::path::FieldPath;
use compose::{DUPLICATE_KEY, UnderIndented};

/// Limits on re-reading a text with under-indented quoted lines, in bytes read and in lines.
const REPAIR_BYTES: usize = 64 << 20;
const REPAIR_LINES: usize = 10_000;

/// A text with its name in diagnostics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as written by the user, or `-` for standard input.
    pub name: Arc<str>,
    /// The content.
    pub text: String,
    /// True if it was found in a folder instead of being given by its own path: it may not be a manifest at all.
    pub is_found: bool,
    /// True if objects of it were left out, so that it may be empty.
    pub is_emptied: bool,
}

impl Source {
    /// A named text.
    pub fn new(name: &str, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), is_found: false, is_emptied: false }
    }

    /// True for a found file that is not a manifest (settings, dashboards, test data): it has no `apiVersion` or no `kind`.
    pub fn is_skipped(&self) -> bool {
        self.is_found
            && !self.is_emptied
            && !(self.text.contains("apiVersion") && self.text.contains("kind"))
    }
}

/// A document of a text.
#[derive(Clone, Debug)]
pub struct Document {
    /// The name of the text.
    pub source: Arc<str>,
    /// Its value, with aliases expanded and merge keys applied.
    pub value: Value,
    /// The position of each field of `value`.
    pub positions: Positions,
}

impl Document {
    /// The position of a field, or of its nearest existing parent.
    pub fn place(&self, path: &FieldPath) -> Location {
        self.positions.place(&self.source, path)
    }
}

/// Reads every non-empty document of a text. A malformed document is reported and skipped; the following ones are
/// still read, so that one run shows all problems.
pub fn read_documents(source: &Source, diagnostics: &mut Diagnostics) -> Vec<Document> {
    let original = without_byte_order_marks(&source.text);
    let mut text = Cow::Borrowed(&*original);
    let mut repairs_left = (REPAIR_BYTES / text.len().max(1)).min(REPAIR_LINES);
    loop {
        let mut problems = Diagnostics::default();
        match compose::read(&source.name, &text, &mut problems) {
            Ok(documents) => {
                diagnostics.append(problems);
                return documents;
            }
            Err(UnderIndented { line }) if repairs_left > 0 => {
                repairs_left -= 1;
                text = Cow::Owned(with_line_indented(&text, line));
            }
            Err(UnderIndented { .. }) => {
                return compose::read_strictly(&source.name, &original, diagnostics);
            }
        }
    }
}

/// Reads the documents of manifests. `kubectl` takes the last value of a duplicate key without a word, so it is a warning
/// here; in a scenario, or below a kustomization, it is an error.
pub fn read_manifest_documents(source: &Source, diagnostics: &mut Diagnostics) -> Vec<Document> {
    let mut problems = Diagnostics::default();
    let documents = read_documents(source, &mut problems);
    for problem in &problems {
        let mut problem = problem.clone();
        if problem.code == DUPLICATE_KEY {
            problem.severity = Severity::Warning;
            problem = problem.help("kubectl takes the last value; keep one of them");
        }
        diagnostics.push(problem);
    }
    documents
}

/// A value as YAML, in the style of `kubectl get -o yaml`: texts that would be parsed as another type, such as numbers
/// and times, are double-quoted.
pub fn to_yaml(value: &Value) -> String {
    let mut value = value.clone();
    mark_texts(&mut value);
    let text = serde_yaml::to_string(&value).expect("plain values can always be YAML");
    text.replace(QUOTE_MARK, "\"")
}

/// `d` stands for a digit.
const TIME_FORM: &str = "dddd-dd-ddTdd:dd:ddZ";
/// Placeholder for a quotation mark while a value is written; from the private use area, so it does not occur in real
/// texts.
const QUOTE_MARK: char = '\u{e0d7}';

fn mark_texts(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mark_texts),
        Value::Object(fields) => fields.values_mut().for_each(mark_texts),
        Value::String(text) => {
            let is_one = |(letter, form): (u8, u8)| match form {
                b'd' => letter.is_ascii_digit(),
                _ => letter == form,
            };
            let is_time =
                text.len() == TIME_FORM.len() && text.bytes().zip(TIME_FORM.bytes()).all(is_one);
            if is_time || !scalar::resolve(text).is_some_and(|meaning| meaning.is_string()) {
                *text = format!("{QUOTE_MARK}{text}{QUOTE_MARK}");
            }
        }
        _ => {}
    }
}

/// Byte order marks occur at the start of files, and so also at the start of lines where files were concatenated; they
/// have no meaning in UTF-8.
fn without_byte_order_marks(text: &str) -> Cow<'_, str> {
    const MARK: char = '\u{feff}';
    let text = text.trim_start_matches(MARK);
    if text.contains(MARK) {
        Cow::Owned(text.replace("\n\u{feff}", "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// libyaml, and so kubectl, accepts the lines of a quoted scalar at any indentation and drops it; the parser used here
/// requires them to be indented deeper than their key. More indentation changes neither the value nor any line number.
fn with_line_indented(text: &str, line: usize) -> String {
    let mut indented = String::with_capacity(text.len() + 64);
    let mut indentation_before = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            indented.extend(std::iter::repeat_n(' ', indentation_before + 1));
        }
        indented.push_str(content);
        let trimmed = content.trim_start_matches(' ');
        if !trimmed.trim_end().is_empty() {
            indentation_before = content.len() - trimmed.len();
        }
    }
    indented
}

#[cfg(test)]
mod tests;
