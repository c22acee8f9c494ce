//! Problems in user input: place, description and correction.
//!
//! The same form for manifests, scenarios and configuration files, shown on a terminal by `Display`
//! and elsewhere as JSON. Finding problems and choosing exit codes is done elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::path::FieldPath;

/// Severity of a problem, most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Kubernetes would reject it, or the simulation cannot run with it.
    Error,
    /// Kubernetes would accept it, but it is probably unintended.
    Warning,
    /// Something is not simulated, with the consequence for the results.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// A place in an input text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Location {
    /// The name of the text: usually a file path, as written by the user.
    pub source: Arc<str>,
    /// The line, from 1; 0 for the text as a whole.
    pub line: u32,
    /// The column, from 1; 0 for the line as a whole.
    pub column: u32,
}

impl Location {
    /// The text as a whole.
    pub fn whole(source: &Arc<str>) -> Self {
        Self { source: Arc::clone(source), line: 0, column: 0 }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return f.write_str(&self.source);
        }
        write!(f, "{}:{}", self.source, self.line)
    }
}

/// A problem in user input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Severity.
    pub severity: Severity,
    /// The stable name of the rule, in kebab case, such as `unknown-field`.
    pub code: &'static str,
    /// Its place; `None` if it concerns the input as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Location>,
    /// The object concerned, such as `Deployment shop/web`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The path of the field, such as `spec.replicas`; empty if it concerns the object as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// Description of the problem.
    pub message: String,
    /// The correction, or advice on finding it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// A second place related to the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<Related>,
}

/// A second place of a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Related {
    /// The place.
    pub place: Location,
    /// Description of the place, such as `first defined here`.
    pub message: String,
}

impl Diagnostic {
    /// A problem without a place yet.
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            place: None,
            object: None,
            field: String::new(),
            message: message.into(),
            help: None,
            related: None,
        }
    }

    /// An error without a place yet.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A warning without a place yet.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// A note without a place yet.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, message)
    }

    /// Sets the place.
    pub fn at(mut self, place: Location) -> Self {
        self.place = Some(place);
        self
    }

    /// Sets the object.
    pub fn of(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// Sets the field.
    pub fn field(mut self, path: &FieldPath) -> Self {
        self.field = path.to_string();
        self
    }

    /// Sets the advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets a second place.
    pub fn related(mut self, place: Location, message: impl Into<String>) -> Self {
        self.related = Some(Related { place, message: message.into() });
        self
    }
}

impl fmt::Display for Diagnostic {
    /// `error: app.yaml:12: Deployment shop/web: spec.replicas: ...`, followed by the advice and
    /// the second place on separate lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if let Some(Related { place, message }) = &self.related {
            write!(f, "\n  {place}: {message}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// Maximum number of problems of one file shown as text.
const SHOWN_OF_SOURCE: usize = 30;
/// Maximum number of problems shown as text.
const SHOWN: usize = 200;

/// All problems found in an input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds a problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Adds all problems of another list.
    pub fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
    }

    /// Sorts by source, line and column; problems without a place go last.
    pub fn sort(&mut self) {
        self.list.sort_by(|a, b| {
            (a.place.is_none(), &a.place, a.severity).cmp(&(
                b.place.is_none(),
                &b.place,
                b.severity,
            ))
        });
    }

    /// Removes duplicates, keeping the first.
    pub fn deduplicate(&mut self) {
        let mut seen = BTreeSet::new();
        self.list.retain(|problem| seen.insert(problem.to_string()));
    }

    /// The errors and warnings.
    pub fn without_notes(&self) -> Self {
        let list = self.list.iter().filter(|one| one.severity != Severity::Note).cloned();
        Self { list: list.collect() }
    }

    /// True if any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Number of problems with this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// Number of problems.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems in their current order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(only: Diagnostic) -> Self {
        let mut list = Self::default();
        list.push(only);
        list
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    /// One problem after the other, each terminated by a newline; if there are too many, only the
    /// first of each file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut of_source: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        let mut shown = 0;
        for diagnostic in &self.list {
            let source = diagnostic.place.as_ref().map(|place| &*place.source);
            let count = of_source.entry(source).or_default();
            *count += 1;
            if *count <= SHOWN_OF_SOURCE && shown < SHOWN {
                shown += 1;
                writeln!(f, "{diagnostic}")?;
            }
        }
        match self.list.len() - shown {
            0 => Ok(()),
            more => writeln!(
                f,
                "and {more} more: at most {SHOWN_OF_SOURCE} per file and {SHOWN} in total are shown; `wavetank \
                 validate -o json` lists all"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(source: &str, line: u32) -> Location {
        Location { source: source.into(), line, column: 3 }
    }

    #[test]
    fn the_terminal_form_says_where_what_and_what_would_be_right() {
        let root = FieldPath::ROOT;
        let spec = root.field("spec");
        let diagnostic =
            Diagnostic::error("invalid-value", "Invalid value: -1: must not be negative")
                .at(place("app.yaml", 12))
                .of("Deployment shop/web")
                .field(&spec.field("replicas"))
                .related(place("base.yaml", 4), "first defined here")
                .help("write 0 or more");
        assert_eq!(
            diagnostic.to_string(),
            "error: app.yaml:12: Deployment shop/web: spec.replicas: Invalid value: -1: must not be \
             negative\n  base.yaml:4: first defined here\n  help: write 0 or more"
        );
        assert_eq!(
            serde_json::to_value(&diagnostic).unwrap()["place"],
            serde_json::json!({"source": "app.yaml", "line": 12, "column": 3})
        );
    }

    #[test]
    fn problems_are_sorted_by_file_and_line_and_those_of_the_whole_input_come_last() {
        let mut diagnostics = Diagnostics::default();
        for (message, at) in [
            ("d", None),
            ("c", Some(place("b.yaml", 1))),
            ("b", Some(place("a.yaml", 9))),
            ("a", Some(place("a.yaml", 2))),
        ] {
            let mut diagnostic = Diagnostic::warning("test", message);
            diagnostic.place = at;
            diagnostics.push(diagnostic);
        }
        diagnostics.sort();
        let order: Vec<&str> = diagnostics.iter().map(|d| d.message.as_str()).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
        assert!(!diagnostics.has_errors());
    }
}
