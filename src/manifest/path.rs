//! The path of a field inside an object, written as the API server writes it.

use std::fmt;

/// A path such as `spec.template.spec.containers[0].image`, linked from the leaf to the root so that
/// a walk over an object builds it on the stack and allocates only for reported fields.
///
/// Semantics: apimachinery `pkg/util/validation/field/path.go`.
#[derive(Clone, Copy, Debug)]
pub struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    step: Step<'a>,
}

/// One step down from the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Root,
    Field(&'a str),
    Key(&'a str),
    Item(usize),
}

impl FieldPath<'static> {
    /// The object as a whole.
    pub const ROOT: Self = Self { parent: None, step: Step::Root };
}

impl<'a> FieldPath<'a> {
    /// A named field of this object.
    pub const fn field(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    /// An entry of this free-form map, such as one label.
    pub const fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }

    /// An item of this list, from 0.
    pub const fn item(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Item(index) }
    }

    /// True if this is a top-level field of the object.
    pub(super) fn is_top_level(&self) -> bool {
        self.parent.is_some_and(|parent| parent.parent.is_none())
    }

    /// The name of the last field, unless the path ends in an item or a key.
    pub(super) const fn last_field(&self) -> Option<&'a str> {
        match self.step {
            Step::Field(name) => Some(name),
            Step::Root | Step::Key(_) | Step::Item(_) => None,
        }
    }

    pub(super) const fn parent(&self) -> Option<&'a FieldPath<'a>> {
        self.parent
    }

    pub(super) const fn step(&self) -> Step<'a> {
        self.step
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(f)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if parent.parent.is_none() => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Key(key) => write!(f, "[{key}]"),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_the_api_server_writes_it() {
        let spec = FieldPath::ROOT.field("spec");
        let containers = spec.field("containers");
        let container = containers.item(2);
        assert_eq!(container.field("image").to_string(), "spec.containers[2].image");
        let metadata = FieldPath::ROOT.field("metadata");
        let labels = metadata.field("labels");
        assert_eq!(
            labels.key("app.kubernetes.io/name").to_string(),
            "metadata.labels[app.kubernetes.io/name]"
        );
        assert_eq!(FieldPath::ROOT.to_string(), "");
    }
}
