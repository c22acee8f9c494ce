//! Positions of a document's fields in its text.

use std::sync::Arc;

use crate::diagnostic::Location;
use crate::path::{FieldPath, Step};

/// The position of a value and of everything in it. The position of a field is that of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions {
    line: u32,
    column: u32,
    children: Children,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Children {
    None,
    Fields(Vec<(Box<str>, Positions)>),
    Items(Vec<Positions>),
}

impl Positions {
    /// The position of a value without a text.
    pub(crate) const fn unknown() -> Self {
        Self::leaf(0, 0)
    }

    pub(super) const fn leaf(line: u32, column: u32) -> Self {
        Self { line, column, children: Children::None }
    }

    /// The position without those below it.
    pub(super) const fn clone_leaf(&self) -> Self {
        Self::leaf(self.line, self.column)
    }

    pub(super) fn with_fields(mut self, fields: Vec<(Box<str>, Self)>) -> Self {
        self.children = Children::Fields(fields);
        self
    }

    pub(super) fn with_items(mut self, items: Vec<Self>) -> Self {
        self.children = Children::Items(items);
        self
    }

    /// The same positions below, seen from the key that holds them.
    pub(super) fn seen_from(self, key: &Self) -> Self {
        Self { line: key.line, column: key.column, children: self.children }
    }

    /// The fields of a map, in the order of the text, merged ones last.
    pub(super) fn into_fields(self) -> Vec<(Box<str>, Self)> {
        match self.children {
            Children::Fields(fields) => fields,
            Children::None | Children::Items(_) => Vec::new(),
        }
    }

    /// The positions below a field of a map.
    pub(crate) fn into_field(self, name: &str) -> Self {
        let below = self.clone_leaf();
        let mut fields = self.into_fields().into_iter();
        fields.find(|(key, _)| **key == *name).map_or(below, |(_, below)| below)
    }

    /// The items of a list.
    pub(crate) fn into_items(self) -> Vec<Self> {
        match self.children {
            Children::Items(items) => items,
            Children::None | Children::Fields(_) => Vec::new(),
        }
    }

    /// The line, from 1.
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// The column, from 1.
    pub const fn column(&self) -> u32 {
        self.column
    }

    /// The positions below a field, if the field exists.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match &self.children {
            Children::Fields(fields) => {
                fields.iter().find(|(key, _)| **key == *name).map(|(_, below)| below)
            }
            Children::None | Children::Items(_) => None,
        }
    }

    /// The positions below an item of a list, if the item exists.
    pub fn item(&self, index: usize) -> Option<&Self> {
        match &self.children {
            Children::Items(items) => items.get(index),
            Children::None | Children::Fields(_) => None,
        }
    }

    /// The positions at a path, or at the nearest thing around it that does exist.
    pub(crate) fn locate(&self, path: &FieldPath) -> &Self {
        self.find(path).unwrap_or_else(|nearest| nearest)
    }

    /// `Err` holds the deepest existing thing on the way.
    fn find(&self, path: &FieldPath) -> Result<&Self, &Self> {
        let Some(parent) = path.parent() else { return Ok(self) };
        let around = self.find(parent)?;
        let below = match path.step() {
            Step::Root => Some(around),
            Step::Field(name) | Step::Key(name) => around.field(name),
            Step::Item(index) => around.item(index),
        };
        below.ok_or(around)
    }

    /// The place of a path in a text.
    pub fn place(&self, source: &Arc<str>, path: &FieldPath) -> Location {
        self.locate(path).at(source)
    }

    /// The place of a path such as `spec.ports[0].name` in a text.
    pub fn place_of(&self, source: &Arc<str>, path: &str) -> Location {
        let mut at = self;
        let mut rest = path;
        while let Some((step, after)) = next_step(rest) {
            let below = match (&at.children, step.parse()) {
                (Children::Items(items), Ok(index)) => items.get::<usize>(index),
                _ => at.field(step),
            };
            let Some(below) = below else { break };
            at = below;
            rest = after;
        }
        at.at(source)
    }

    /// The place of the value itself.
    pub(super) fn at(&self, source: &Arc<str>) -> Location {
        Location { source: Arc::clone(source), line: self.line, column: self.column }
    }
}

/// The first step of a path, without its dot or brackets, and the rest.
fn next_step(path: &str) -> Option<(&str, &str)> {
    if let Some(bracketed) = path.strip_prefix('[') {
        return bracketed.split_once(']');
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let end = path.find(['.', '[']).unwrap_or(path.len());
    (end > 0).then(|| path.split_at(end))
}
