//! Label selectors. Semantics of apimachinery `pkg/labels/selector.go` (1.36).

use super::meta::{Labels, Name};

/// A conjunction of requirements on labels. Without requirements it matches everything; a selector that matches
/// nothing (`null` in the API) is an absent `Selector`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// All must hold.
    pub requirements: Vec<Requirement>,
}

/// One requirement on one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The label's key.
    pub key: Name,
    /// The operator.
    pub operator: Operator,
    /// The operand: several values for `In` and `NotIn`, one integer for `Gt` and `Lt`, else none.
    pub values: Vec<Name>,
}

/// Operators of label selectors (`Gt` and `Lt` in node selectors only).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The key is present with one of the values.
    In,
    /// The key is absent, or its value is none of the values.
    NotIn,
    /// The key is present.
    Exists,
    /// The key is absent.
    DoesNotExist,
    /// The value is an integer greater than the operand.
    Gt,
    /// The value is an integer less than the operand.
    Lt,
}

impl Selector {
    /// A selector that requires each of these labels (`matchLabels`).
    pub fn from_labels(labels: &Labels) -> Self {
        let requirements = labels
            .iter()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.clone()],
            })
            .collect();
        Self { requirements }
    }

    /// This selector with one more required label.
    pub fn with(&self, key: impl Into<Name>, value: impl Into<Name>) -> Self {
        let mut requirements = self.requirements.clone();
        requirements.push(Requirement {
            key: key.into(),
            operator: Operator::In,
            values: vec![value.into()],
        });
        Self { requirements }
    }

    /// The value that it asks of a label, if it asks for exactly one.
    pub fn value_of(&self, key: &str) -> Option<&Name> {
        let of_key = |one: &&Requirement| *one.key == *key && one.operator == Operator::In;
        match self.requirements.iter().find(of_key)?.values.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    /// This selector with another value of a label.
    pub fn replacing(&self, key: &str, value: impl Into<Name>) -> Self {
        let others = self.requirements.iter().filter(|one| *one.key != *key);
        Self { requirements: others.cloned().collect() }.with(key, value)
    }

    /// Whether the labels meet every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// A label that every match must have, if there is one.
    pub fn demanded_label(&self) -> Option<(Name, Name)> {
        self.requirements.iter().find_map(|Requirement { key, operator, values }| {
            match (operator, values.as_slice()) {
                (Operator::In, [value]) => Some((key.clone(), value.clone())),
                _ => None,
            }
        })
    }

    /// Whether it has no requirement, and so matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl Requirement {
    /// Whether the labels meet this requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => self.compares(value, |value, operand| value > operand),
            Operator::Lt => self.compares(value, |value, operand| value < operand),
        }
    }

    fn compares(&self, value: Option<&Name>, holds: impl Fn(i64, i64) -> bool) -> bool {
        let value = value.and_then(|value| value.parse().ok());
        let operand = self.values.first().and_then(|operand| operand.parse().ok());
        matches!((value, operand), (Some(value), Some(operand)) if holds(value, operand))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(operator: Operator, values: &[&str], labels: &[(&str, &str)]) -> bool {
        let values = values.iter().map(|value| Name::from(*value)).collect();
        let labels: Labels = labels.iter().copied().collect();
        Requirement { key: "k".into(), operator, values }.matches(&labels)
    }

    #[test]
    fn a_missing_label_meets_only_the_negative_operators() {
        assert!(!matches(Operator::In, &["a"], &[]));
        assert!(matches(Operator::NotIn, &["a"], &[]));
        assert!(!matches(Operator::Exists, &[], &[]));
        assert!(matches(Operator::DoesNotExist, &[], &[]));
        assert!(!matches(Operator::Gt, &["1"], &[]));
    }

    #[test]
    fn gt_and_lt_compare_integers_and_never_match_other_text() {
        assert!(matches(Operator::Gt, &["9"], &[("k", "10")]));
        assert!(!matches(Operator::Lt, &["9"], &[("k", "10")]));
        assert!(!matches(Operator::Gt, &["9"], &[("k", "ten")]));
    }
}
