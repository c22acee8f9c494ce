//! Converts label selectors and node selectors of the API to those of `cluster`.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::field::{FieldErrors, FieldPath};
use cluster::Name;
use cluster::pod_template::NodeSelectorTerm;
use cluster::selector::{Operator, Requirement, Selector};

/// A `metav1.LabelSelector`: `matchLabels` first, then `matchExpressions`.
pub fn label_selector(
    selector: &meta::LabelSelector,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Selector {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| Requirement {
        key: Name::from(key.as_str()),
        operator: Operator::In,
        values: vec![Name::from(value.as_str())],
    });
    let mut requirements: Vec<Requirement> = labels.collect();
    let path = path.field("matchExpressions");
    for (position, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let meta::LabelSelectorRequirement { key, operator, values } = expression;
        let given = Expression { key, operator, values: values.as_deref().unwrap_or_default() };
        requirements.push(requirement(&given, &LABEL_OPERATORS, &path.item(position), errors));
    }
    Selector { requirements }
}

/// One term of a node selector or of a preferred node affinity.
pub(crate) fn node_selector_term(
    term: &core::NodeSelectorTerm,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> NodeSelectorTerm {
    let mut requirements = |expressions: &Option<Vec<core::NodeSelectorRequirement>>, field| {
        let path = path.field(field);
        let mut lowered = Vec::new();
        for (position, expression) in expressions.iter().flatten().enumerate() {
            let core::NodeSelectorRequirement { key, operator, values } = expression;
            let given = Expression { key, operator, values: values.as_deref().unwrap_or_default() };
            lowered.push(requirement(&given, &NODE_OPERATORS, &path.item(position), errors));
        }
        lowered
    };
    NodeSelectorTerm {
        match_expressions: requirements(&term.match_expressions, "matchExpressions"),
        match_fields: requirements(&term.match_fields, "matchFields"),
    }
}

pub(super) const LABEL_OPERATORS: [(&str, Operator); 4] = [
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
];

const NODE_OPERATORS: [(&str, Operator); 6] = [
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
    ("Gt", Operator::Gt),
    ("Lt", Operator::Lt),
];

/// The common form of both kinds of expressions.
struct Expression<'a> {
    key: &'a str,
    operator: &'a str,
    values: &'a [String],
}

fn requirement(
    expression: &Expression<'_>,
    operators: &[(&str, Operator)],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Requirement {
    if expression.key.is_empty() {
        errors.required(&path.field("key"), "the name of a label");
    }
    let at = path.field("operator");
    if expression.operator.is_empty() {
        errors.required(&at, "the operator");
    }
    let operator = errors.chosen(Some(expression.operator), operators, &at);
    let at = path.field("values");
    let values = expression.values;
    // For an unknown operator, the valid values are undefined.
    match operator {
        Some(Operator::In | Operator::NotIn) if values.is_empty() => {
            errors.required(&at, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        Some(Operator::Gt | Operator::Lt) if values.len() != 1 => {
            errors.required(&at, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        Some(Operator::Exists | Operator::DoesNotExist) if !values.is_empty() => {
            errors.push(
                &at,
                "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            );
        }
        _ => {}
    }
    Requirement {
        key: Name::from(expression.key),
        operator: operator.unwrap_or(Operator::Exists),
        values: values.iter().map(|value| Name::from(value.as_str())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::Labels;

    fn selector(json: &str) -> (Selector, FieldErrors) {
        let mut errors = FieldErrors::default();
        let typed: meta::LabelSelector = serde_json::from_str(json).unwrap();
        (label_selector(&typed, &FieldPath::ROOT, &mut errors), errors)
    }

    #[test]
    fn labels_and_expressions_must_all_hold() {
        let (selector, errors) = selector(
            r#"{"matchLabels":{"app":"web"},
                "matchExpressions":[{"key":"tier","operator":"NotIn","values":["db"]}]}"#,
        );
        assert!(errors.is_empty());
        assert!(selector.matches(&[("app", "web")].into_iter().collect::<Labels>()));
        assert!(!selector.matches(&[("app", "web"), ("tier", "db")].into_iter().collect()));
    }

    #[test]
    fn an_operator_without_its_operands_is_an_error() {
        let (_, errors) = selector(r#"{"matchExpressions":[{"key":"a","operator":"In"}]}"#);
        let path = &errors.into_vec()[0].path;
        assert_eq!(path, "matchExpressions[0].values");
    }
}
