//! Errors in the fields of an object.

use std::fmt::{self, Debug, Display};

pub use super::path::FieldPath;

/// An error in a field, in the API server's wording, with the expected value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as `spec.containers[0].image`.
    pub path: String,
    /// Description of the error.
    pub problem: String,
    /// True if the rule is only enforced on writes: stored objects may violate it and can still be read.
    pub is_rule: bool,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// All errors of an object: lowering continues after an error, so that users see all of them at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds errors found elsewhere.
    pub fn append(&mut self, mut problems: Vec<FieldError>) {
        self.0.append(&mut problems);
    }

    /// Adds an error.
    pub fn push(&mut self, path: &FieldPath<'_>, problem: impl Into<String>) {
        let (path, problem) = (path.to_string(), problem.into());
        self.0.push(FieldError { path, problem, is_rule: false });
    }

    /// Adds errors as violations of rules that are only enforced on writes.
    pub(crate) fn append_rules(&mut self, rules: Self) {
        self.0.extend(rules.0.into_iter().map(|error| FieldError { is_rule: true, ..error }));
    }

    /// `Required value: ...`, with the reason.
    pub fn required(&mut self, path: &FieldPath<'_>, why: &str) {
        let colon = if why.is_empty() { "" } else { ": " };
        self.push(path, format!("Required value{colon}{why}"));
    }

    /// `Invalid value: ...`, with the violated rule.
    pub fn invalid(&mut self, path: &FieldPath<'_>, value: impl Debug, rule: impl Display) {
        self.push(path, format!("Invalid value: {value:?}: {rule}"));
    }

    /// `Forbidden: ...`, with the reason.
    pub fn forbidden(&mut self, path: &FieldPath<'_>, why: impl Display) {
        self.push(path, format!("Forbidden: {why}"));
    }

    /// `Duplicate value: ...`.
    pub fn duplicate(&mut self, path: &FieldPath<'_>, value: impl Debug) {
        self.push(path, format!("Duplicate value: {value:?}"));
    }

    /// `Unsupported value: ...`, with the supported ones.
    pub(crate) fn not_supported(&mut self, path: &FieldPath<'_>, value: &str, choices: &[&str]) {
        let choices: Vec<String> = choices.iter().map(|choice| format!("{choice:?}")).collect();
        let choices = choices.join(", ");
        self.push(path, format!("Unsupported value: {value:?}: supported values: {choices}"));
    }

    /// Checks that a number is not negative (`ValidateNonnegativeField`).
    pub fn not_negative(&mut self, path: &FieldPath<'_>, number: i64) {
        if number < 0 {
            self.invalid(path, number, "must be greater than or equal to 0");
        }
    }

    /// True if the object can be read, whatever write-only rules it violates.
    pub(crate) fn can_be_read(&self) -> bool {
        self.0.iter().all(|error| error.is_rule)
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All errors, in the order of the fields.
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }

    /// Maps an enumerated text to its value; absent or unsupported texts give the first choice.
    pub fn choose<T: Copy, const N: usize>(
        &mut self,
        text: Option<&str>,
        choices: &[(&str, T); N],
        path: &FieldPath<'_>,
    ) -> T {
        let chosen = self.chosen(text, choices, path);
        chosen.unwrap_or_else(|| choices.first().expect("a field has values").1)
    }

    /// Maps an enumerated text to its value; `None` if it is absent, empty or unsupported.
    pub fn chosen<T: Copy>(
        &mut self,
        text: Option<&str>,
        choices: &[(&str, T)],
        path: &FieldPath<'_>,
    ) -> Option<T> {
        let text = text.filter(|text| !text.is_empty())?;
        if let Some((_, meaning)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*meaning);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.not_supported(path, text, &names);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_choice_is_an_error_that_lists_the_known_ones() {
        let mut errors = FieldErrors::default();
        let choices = [("Always", 1), ("Never", 2)];
        let path = FieldPath::ROOT;
        let field = path.field("restartPolicy");
        assert_eq!(errors.choose(Some("Never"), &choices, &field), 2);
        assert_eq!(errors.choose(Some("never"), &choices, &field), 1);
        assert_eq!(errors.chosen(None, &choices, &field), None);
        let text = errors.into_vec()[0].to_string();
        assert_eq!(
            text,
            "restartPolicy: Unsupported value: \"never\": supported values: \"Always\", \"Never\""
        );
    }
}
