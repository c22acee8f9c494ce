//! Converts YAML events to values with positions.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Value};

use super::positions::Positions;
use super::{Document, scalar};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Maximum nesting depth of values; the deepest of 1,500 real manifests has 34 levels.
const NESTING_LIMIT: usize = 128;
/// Maximum size of the copies made by a text's aliases, in bytes; the API server accepts objects of up
/// to 3 MiB.
const COPY_LIMIT_BYTES: usize = 16 << 20;
/// Overhead of a copied value in addition to its text, in bytes.
const NODE_BYTES: usize = 64;
/// Maximum number of duplicate keys reported, and searched for their places, per map.
const DUPLICATES_REPORTED: usize = 20;

/// Code of the problem that a map has a key twice.
pub(super) const DUPLICATE_KEY: &str = "duplicate-key";

const TEMPLATE_HELP: &str =
    "a Helm template (`{{ ... }}`) must be rendered first, as in `helm template . > rendered.yaml`";

/// A line of a quoted scalar that is indented less than the parser accepts.
#[derive(Debug)]
pub(super) struct UnderIndented {
    /// The line, from 1.
    pub(super) line: usize,
}

/// Reads all documents of a text; stops at an under-indented line of a quoted scalar, so that the
/// caller can indent it.
pub(super) fn read(
    source: &Arc<str>,
    text: &str,
    problems: &mut Diagnostics,
) -> Result<Vec<Document>, UnderIndented> {
    read_until(source, text, problems, |error| {
        let line = error.marker().line();
        let is_under_indented = *error.kind() == ErrorKind::InvalidQuotedScalarIndent;
        (is_under_indented && line <= text.lines().count()).then_some(UnderIndented { line })
    })
}

/// Reads all documents of a text; an under-indented line of a quoted scalar is an ordinary error.
pub(super) fn read_strictly(
    source: &Arc<str>,
    text: &str,
    problems: &mut Diagnostics,
) -> Vec<Document> {
    match read_until(source, text, problems, |_| None::<Infallible>) {
        Ok(documents) => documents,
        Err(never) => match never {},
    }
}

fn read_until<Stop>(
    source: &Arc<str>,
    text: &str,
    problems: &mut Diagnostics,
    stops: impl Fn(&ScanError) -> Option<Stop>,
) -> Result<Vec<Document>, Stop> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: NESTING_LIMIT,
        block_nesting_limit: NESTING_LIMIT,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut composer = Composer::default();
    while let Some(next) = parser.next() {
        let taken = match next {
            Ok((event, span)) => composer.take(event, &span),
            Err(error) => match stops(&error) {
                Some(stop) => return Err(stop),
                None => Err(syntax_problem(text, &error)),
            },
        };
        if let Err(problem) = taken {
            composer.problems.push(*problem);
            composer.abandon_document();
            let is_hostile = composer.copied_bytes > COPY_LIMIT_BYTES;
            if is_hostile || !parser.proceed_next_document().unwrap_or(false) {
                break;
            }
        }
    }
    for problem in composer.problems {
        problems.push(problem.into_diagnostic(source));
    }
    let document =
        |Node { value, positions }| Document { source: Arc::clone(source), value, positions };
    Ok(composer.roots.into_iter().map(document).collect())
}

/// A problem whose text is not yet known.
#[derive(Debug)]
struct Problem {
    code: &'static str,
    message: String,
    at: Positions,
    first: Option<Positions>,
    help: &'static str,
}

impl Problem {
    fn new(
        code: &'static str,
        message: impl Into<String>,
        at: &Positions,
        help: &'static str,
    ) -> Box<Self> {
        Box::new(Self { code, message: message.into(), at: at.clone_leaf(), first: None, help })
    }

    fn too_deep(at: &Positions) -> Box<Self> {
        let message = format!("values nest deeper than {NESTING_LIMIT} levels");
        Self::new("nesting", message, at, "Kubernetes objects are not nested that deep; flatten it")
    }

    fn no_key(at: &Positions) -> Box<Self> {
        let message = "a key must be plain text, but this one is a map or a list";
        Self::new("syntax", message, at, TEMPLATE_HELP)
    }

    fn into_diagnostic(self, source: &Arc<str>) -> Diagnostic {
        let place = |at: &Positions| at.at(source);
        let mut diagnostic = Diagnostic::error(self.code, self.message).at(place(&self.at));
        if let Some(first) = &self.first {
            diagnostic = diagnostic.related(place(first), "first written here");
        }
        if self.help.is_empty() { diagnostic } else { diagnostic.help(self.help) }
    }
}

fn syntax_problem(text: &str, error: &ScanError) -> Box<Problem> {
    const TAB_HELP: &str = "indent with spaces; YAML does not allow tabs";
    let marker = error.marker();
    let at = leaf(marker.line(), marker.col());
    let line = text.lines().nth(marker.line().saturating_sub(1)).unwrap_or("");
    let help = match error.kind() {
        ErrorKind::RecursionLimitExceeded => return Problem::too_deep(&at),
        _ if line.contains("{{") => TEMPLATE_HELP,
        _ if line.starts_with('\t') || error.info().contains("found a tab") => TAB_HELP,
        ErrorKind::TabInIndentation => TAB_HELP,
        ErrorKind::InvalidQuotedScalarIndent | ErrorKind::UnclosedQuotedScalar => {
            "close the quotes, or indent the quoted text deeper than its key"
        }
        _ => "",
    };
    Problem::new("syntax", format!("not valid YAML: {}", error.info()), &at, help)
}

fn leaf(line: usize, column: usize) -> Positions {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Positions::leaf(narrow(line), narrow(column.saturating_add(1)))
}

/// A value with its positions.
#[derive(Clone, Debug)]
struct Node {
    value: Value,
    positions: Positions,
}

/// An open list or map.
struct Frame {
    open: Open,
    start: Positions,
    /// The anchor that refers to it; 0 for none.
    anchor: usize,
}

enum Open {
    List { values: Vec<Value>, items: Vec<Positions> },
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    map: Map<String, Value>,
    fields: Vec<(Box<str>, Positions)>,
    key: Key,
    /// The values merged by `<<`.
    merged: Vec<Node>,
    duplicates: usize,
}

/// Role of the next value in an open map.
#[derive(Default)]
enum Key {
    /// A key.
    #[default]
    Expected,
    /// The value of this key.
    Named(String, Positions),
    /// The value of `<<`.
    Merge(Positions),
}

#[derive(Default)]
struct Composer {
    problems: Vec<Problem>,
    roots: Vec<Node>,
    open: Vec<Frame>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Node>,
    copied_bytes: usize,
}

impl Composer {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Box<Problem>> {
        let start = leaf(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                match self.awaited_key() {
                    Some(key) if is_plain && text == "<<" => {
                        *key = Key::Merge(start);
                        Ok(())
                    }
                    Some(_) => {
                        self.finish(Node { value: Value::from(text), positions: start }, anchor)
                    }
                    None => {
                        let value = scalar_value(&text, is_plain, tag.as_deref(), &start)?;
                        self.finish(Node { value, positions: start }, anchor)
                    }
                }
            }
            Event::Alias(anchor) => {
                let node = self.copy_of(anchor, &start)?;
                self.attach(node)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.enter(Open::List { values: Vec::new(), items: Vec::new() }, start, anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                self.enter(Open::Map(OpenMap::default()), start, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            Event::DocumentEnd => {
                self.roots.extend(self.root.take().filter(|root| !root.value.is_null()));
                self.abandon_document();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The key of the innermost map, if a key is expected next.
    fn awaited_key(&mut self) -> Option<&mut Key> {
        match self.open.last_mut() {
            Some(Frame { open: Open::Map(OpenMap { key: key @ Key::Expected, .. }), .. }) => {
                Some(key)
            }
            _ => None,
        }
    }

    fn enter(&mut self, open: Open, start: Positions, anchor: usize) -> Result<(), Box<Problem>> {
        if self.awaited_key().is_some() {
            return Err(Problem::no_key(&start));
        }
        if self.open.len() >= NESTING_LIMIT {
            return Err(Problem::too_deep(&start));
        }
        self.open.push(Frame { open, start, anchor });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Box<Problem>> {
        let Some(Frame { open, start, anchor }) = self.open.pop() else { return Ok(()) };
        let node = match open {
            Open::List { values, items } => {
                Node { value: Value::Array(values), positions: start.with_items(items) }
            }
            Open::Map(map) => map.close(start),
        };
        self.finish(node, anchor)
    }

    /// Stores a complete value under its anchor and adds it to its parent.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Box<Problem>> {
        if anchor != 0 {
            self.charge(&node.value, &node.positions)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node)
    }

    fn attach(&mut self, node: Node) -> Result<(), Box<Problem>> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Frame { open: Open::List { values, items }, .. }) => {
                values.push(node.value);
                items.push(node.positions);
            }
            Some(Frame { open: Open::Map(map), .. }) => {
                self.problems.extend(map.attach(node)?);
            }
        }
        Ok(())
    }

    fn copy_of(&mut self, anchor: usize, at: &Positions) -> Result<Node, Box<Problem>> {
        let Some(node) = self.anchors.get(&anchor) else {
            let message = "this alias refers to a value that contains it";
            return Err(Problem::new("alias", message, at, "write the value instead"));
        };
        let node = node.clone();
        if self.open.len() + height(&node.value) > NESTING_LIMIT {
            return Err(Problem::too_deep(at));
        }
        self.charge(&node.value, at)?;
        Ok(node)
    }

    fn charge(&mut self, value: &Value, at: &Positions) -> Result<(), Box<Problem>> {
        self.copied_bytes = self.copied_bytes.saturating_add(weight_bytes(value));
        if self.copied_bytes <= COPY_LIMIT_BYTES {
            return Ok(());
        }
        let message = format!("aliases expand to more than {} MiB", COPY_LIMIT_BYTES >> 20);
        Err(Problem::new("alias", message, at, "write the values instead, or split the file"))
    }

    fn abandon_document(&mut self) {
        self.open.clear();
        self.root = None;
        self.anchors.clear();
    }
}

impl OpenMap {
    /// Adds a key or a value. A duplicate key is returned as a problem that does not end the document; its last value
    /// counts.
    fn attach(&mut self, node: Node) -> Result<Option<Problem>, Box<Problem>> {
        match std::mem::take(&mut self.key) {
            Key::Expected => {
                let Value::String(name) = node.value else {
                    return Err(Problem::no_key(&node.positions));
                };
                self.key = Key::Named(name, node.positions);
            }
            Key::Named(name, at) if self.map.contains_key(&name) => {
                self.duplicates += 1;
                if self.duplicates > DUPLICATES_REPORTED {
                    self.map.insert(name, node.value);
                    return Ok(None);
                }
                let message = format!("duplicate key `{name}`");
                let mut problem = Problem::new(DUPLICATE_KEY, message, &at, "keep one of them");
                if let Some((_, place)) = self.fields.iter_mut().find(|(field, _)| **field == *name)
                {
                    problem.first = Some(place.clone_leaf());
                    *place = node.positions.seen_from(&at);
                }
                self.map.insert(name, node.value);
                return Ok(Some(*problem));
            }
            Key::Named(name, at) => {
                self.fields.push((name.as_str().into(), node.positions.seen_from(&at)));
                self.map.insert(name, node.value);
            }
            Key::Merge(at) => self.merge(node, &at)?,
        }
        Ok(None)
    }

    fn merge(&mut self, node: Node, at: &Positions) -> Result<(), Box<Problem>> {
        let nodes = match node.value {
            Value::Array(values) => values
                .into_iter()
                .zip(node.positions.into_items())
                .map(|(value, positions)| Node { value, positions })
                .collect(),
            _ => vec![node],
        };
        if nodes.iter().any(|node| !node.value.is_object()) {
            let message = "`<<` needs a map or a list of maps";
            return Err(Problem::new("merge", message, at, "refer to a map with `<<: *name`"));
        }
        self.merged.extend(nodes);
        Ok(())
    }

    /// The complete map: its own keys, then those added by merged maps, the first map first.
    fn close(mut self, start: Positions) -> Node {
        for Node { value, positions } in self.merged {
            let Value::Object(inherited) = value else { continue };
            for ((key, value), field) in inherited.into_iter().zip(positions.into_fields()) {
                if !self.map.contains_key(&key) {
                    self.map.insert(key, value);
                    self.fields.push(field);
                }
            }
        }
        Node { value: Value::Object(self.map), positions: start.with_fields(self.fields) }
    }
}

/// The tag of text in base64, which nothing here decodes.
const BINARY: &str = "tag:yaml.org,2002:binary";

fn scalar_value(
    text: &str,
    is_plain: bool,
    tag: Option<&Tag>,
    at: &Positions,
) -> Result<Value, Box<Problem>> {
    if tag.is_some_and(|tag| format!("{}{}", tag.handle(), tag.suffix()) == BINARY) {
        let help =
            "write the text itself; a Secret's `data` and a ConfigMap's `binaryData` need no tag";
        return Err(Problem::new("binary", "`!!binary` is not supported", at, help));
    }
    let is_resolved = tag.map_or(is_plain, |tag| {
        matches!(tag.core_suffix(), Some("int" | "float" | "bool" | "null"))
    });
    if !is_resolved {
        return Ok(Value::from(text));
    }
    scalar::resolve(text).ok_or_else(|| {
        let help = "write a number, or quote it if it is text";
        Problem::new("not-finite", format!("`{text}` is not a finite number"), at, help)
    })
}

/// Nesting levels of a value: 0 for a scalar.
fn height(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(height).max().unwrap_or(0),
        _ => 0,
    }
}

/// Approximate memory use of a copy of a value.
fn weight_bytes(value: &Value) -> usize {
    NODE_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight_bytes).sum(),
            Value::Object(map) => {
                map.iter().map(|(key, value)| key.len() + weight_bytes(value)).sum()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}
