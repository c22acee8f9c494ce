//! Where in an object a field is, and what is wrong with it.

use std::fmt;

/// The way from an object's root to one of its fields. Lives on the stack of the lowering
/// functions: nothing is written out until there is something to complain about.
#[derive(Clone, Copy, Debug)]
pub struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Item(usize),
    Key(&'a str),
}

impl FieldPath<'static> {
    /// The object itself.
    pub const ROOT: Self = Self { parent: None, step: Step::Root };
}

impl<'a> FieldPath<'a> {
    /// A field of this object.
    pub const fn field(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    /// An element of this list.
    pub const fn item(&'a self, position: usize) -> Self {
        Self { parent: Some(self), step: Step::Item(position) }
    }

    /// An entry of this map.
    pub const fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        let is_first = self.parent.is_none_or(|parent| matches!(parent.step, Step::Root));
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if is_first => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Item(position) => write!(f, "[{position}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// Something wrong with a field, in a sentence that says what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as `spec.containers[0].image`.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// All that is wrong with an object: lowering goes on after an error, so that a person sees all
/// errors at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds one.
    pub fn push(&mut self, path: &FieldPath<'_>, problem: impl Into<String>) {
        self.0.push(FieldError { path: path.to_string(), problem: problem.into() });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of the fields.
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }

    /// The meaning of an enumerated text; absent or empty means `default`.
    pub(super) fn choose<T: Copy>(
        &mut self,
        text: Option<&str>,
        choices: &[(&str, T)],
        default: T,
        path: &FieldPath<'_>,
    ) -> T {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return default };
        if let Some((_, meaning)) = choices.iter().find(|(name, _)| *name == text) {
            return *meaning;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.push(path, format!("{text:?} is not one of {}", names.join(", ")));
        default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_kubernetes_writes_it() {
        let spec = FieldPath::ROOT.field("spec");
        let containers = spec.field("containers");
        let first = containers.item(0);
        let resources = first.field("requests");
        assert_eq!(resources.key("cpu").to_string(), "spec.containers[0].requests[cpu]");
    }

    #[test]
    fn an_unknown_choice_is_an_error_that_lists_the_known_ones() {
        let mut errors = FieldErrors::default();
        let choices = [("Always", 1), ("Never", 2)];
        let path = FieldPath::ROOT;
        let field = path.field("restartPolicy");
        assert_eq!(errors.choose(Some("Never"), &choices, 1, &field), 2);
        assert_eq!(errors.choose(Some("never"), &choices, 1, &field), 1);
        let text = errors.into_vec()[0].to_string();
        assert_eq!(text, "restartPolicy: \"never\" is not one of Always, Never");
    }
}
