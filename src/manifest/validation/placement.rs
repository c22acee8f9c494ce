//! Label selectors and the placement of pods, except for rules that lowering checks (`ValidateLabelSelector`,
//! `validateAffinity`, `validateTopologySpreadConstraints`, `ValidateTolerations`).

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::{check_key, check_label_value, check_labels};
use super::{label, subdomain};

/// `ValidateLabelSelector`, except for operators and the number of their values.
pub(super) fn validate_selector(
    selector: Option<&meta::LabelSelector>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(selector) = selector else { return };
    check_labels(selector.match_labels.as_ref(), &path.field("matchLabels"), errors);
    let path = path.field("matchExpressions");
    for (index, one) in selector.match_expressions.iter().flatten().enumerate() {
        let at = path.item(index);
        check_key(&one.key, &at.field("key"), errors);
        check_values(one.values.as_deref(), &at, errors);
    }
}

fn check_values(values: Option<&[String]>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let path = path.field("values");
    for (index, value) in values.into_iter().flatten().enumerate() {
        check_label_value(value, &path.item(index), errors);
    }
}

/// `ValidateNodeSelector`, except for operators and the number of their values.
pub(super) fn validate_node_selector(
    selector: &core::NodeSelector,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.field("nodeSelectorTerms");
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        node_term(term, true, &path.item(index), errors);
    }
}

/// A term of required node affinity, whose values are checked too.
fn node_term(
    term: &core::NodeSelectorTerm,
    is_required: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let expressions = path.field("matchExpressions");
    for (index, one) in term.match_expressions.iter().flatten().enumerate() {
        let at = expressions.item(index);
        check_key(&one.key, &at.field("key"), errors);
        if is_required {
            check_values(one.values.as_deref(), &at, errors);
        }
    }
    let fields = path.field("matchFields");
    for (index, one) in term.match_fields.iter().flatten().enumerate() {
        let at = fields.item(index);
        let values = one.values.as_deref().unwrap_or_default();
        match one.operator.as_str() {
            "In" | "NotIn" if values.len() != 1 => {
                let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.required(&at.field("values"), why);
            }
            "In" | "NotIn" => {}
            other => errors.invalid(&at.field("operator"), other, "not a valid selector operator"),
        }
        if one.key == "metadata.name" {
            for (place, name) in values.iter().enumerate() {
                subdomain(name, &at.field("values").item(place), errors);
            }
        } else {
            errors.invalid(&at.field("key"), &one.key, "not a valid field selector key");
        }
    }
}

pub(super) fn validate_placement(
    spec: &core::PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    check_labels(spec.node_selector.as_ref(), &path.field("nodeSelector"), errors);
    if let Some(affinity) = &spec.affinity {
        validate_affinity(affinity, &path.field("affinity"), errors);
    }
    let at = path.field("tolerations");
    for (index, toleration) in spec.tolerations.iter().flatten().enumerate() {
        let at = at.item(index);
        if let Some(key) = toleration.key.as_deref().filter(|key| !key.is_empty()) {
            check_key(key, &at.field("key"), errors);
        }
        if toleration.operator.as_deref() != Some("Exists") {
            let value = toleration.value.as_deref().unwrap_or_default();
            check_label_value(value, &at.field("operator"), errors);
        }
    }
    spread(spec.topology_spread_constraints.as_deref().unwrap_or_default(), path, errors);
}

fn spread(
    constraints: &[core::TopologySpreadConstraint],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.field("topologySpreadConstraints");
    for (index, one) in constraints.iter().enumerate() {
        let at = path.item(index);
        let (key, action) = (&one.topology_key, &one.when_unsatisfiable);
        let is_repeated = constraints[index + 1..]
            .iter()
            .any(|other| &other.topology_key == key && &other.when_unsatisfiable == action);
        if is_repeated {
            let at = at.field("{topologyKey, whenUnsatisfiable}");
            errors.duplicate(&at, format!("{{{key}, {action}}}"));
        }
        let keys = one.match_label_keys.as_deref();
        label_keys(keys, one.label_selector.as_ref(), &at.field("matchLabelKeys"), errors);
        doubled_keys(keys, one.label_selector.as_ref(), &at, errors);
        validate_selector(one.label_selector.as_ref(), &at.field("labelSelector"), errors);
    }
}

/// `validateLabelKeys`.
fn label_keys(
    keys: Option<&[String]>,
    selector: Option<&meta::LabelSelector>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let keys = keys.unwrap_or_default();
    if !keys.is_empty() && selector.is_none() {
        return errors.forbidden(path, "must not be specified when labelSelector is not set");
    }
    for (index, key) in keys.iter().enumerate() {
        check_key(key, &path.item(index), errors);
    }
}

/// Keys that an expression repeats from `matchLabels` or an earlier expression
/// (`ValidateMatchLabelKeysAndMismatchLabelKeys`). As in the API server, the error's path indexes the enclosing field.
fn doubled_keys(
    keys: Option<&[String]>,
    selector: Option<&meta::LabelSelector>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(selector) = selector else { return };
    let mut seen: Vec<&String> =
        selector.match_labels.iter().flatten().map(|(key, _)| key).collect();
    for expression in selector.match_expressions.iter().flatten() {
        let place = keys.into_iter().flatten().position(|key| key == &expression.key);
        if let Some(index) = place.filter(|_| seen.contains(&&expression.key)) {
            let rule = "exists in both matchLabelKeys and labelSelector";
            errors.invalid(&path.item(index), &expression.key, rule);
        }
        seen.push(&expression.key);
    }
}

fn validate_affinity(affinity: &core::Affinity, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    if let Some(node) = &affinity.node_affinity {
        let path = path.field("nodeAffinity");
        if let Some(terms) = &node.required_during_scheduling_ignored_during_execution {
            validate_node_selector(terms, &path.field(REQUIRED), errors);
        }
        let at = path.field(PREFERRED);
        let terms = node.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        for (index, term) in terms.enumerate() {
            let item = at.item(index);
            node_term(&term.preference, false, &item.field("preference"), errors);
        }
    }
    for (field, required, preferred) in [
        affinity.pod_affinity.as_ref().map(|one| {
            (
                "podAffinity",
                &one.required_during_scheduling_ignored_during_execution,
                &one.preferred_during_scheduling_ignored_during_execution,
            )
        }),
        affinity.pod_anti_affinity.as_ref().map(|one| {
            (
                "podAntiAffinity",
                &one.required_during_scheduling_ignored_during_execution,
                &one.preferred_during_scheduling_ignored_during_execution,
            )
        }),
    ]
    .into_iter()
    .flatten()
    {
        let path = path.field(field);
        for (index, term) in required.iter().flatten().enumerate() {
            pod_term(term, &path.field(REQUIRED).item(index), errors);
        }
        for (index, term) in preferred.iter().flatten().enumerate() {
            let at = path.field(PREFERRED);
            let at = at.item(index);
            pod_term(&term.pod_affinity_term, &at.field("podAffinityTerm"), errors);
        }
    }
}

/// `validatePodAffinityTerm`.
fn pod_term(term: &core::PodAffinityTerm, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_selector(term.label_selector.as_ref(), &path.field("labelSelector"), errors);
    let at = path.field("namespaceSelector");
    validate_selector(term.namespace_selector.as_ref(), &at, errors);
    for name in term.namespaces.iter().flatten() {
        label(name, &path.field("namespace"), errors);
    }
    let selector = term.label_selector.as_ref();
    let matching = term.match_label_keys.as_deref();
    let mismatching = term.mismatch_label_keys.as_deref();
    let at = path.field("matchLabelKeys");
    label_keys(matching, selector, &at, errors);
    label_keys(mismatching, selector, &path.field("mismatchLabelKeys"), errors);
    doubled_keys(matching, selector, path, errors);
    for (index, key) in matching.into_iter().flatten().enumerate() {
        if mismatching.into_iter().flatten().any(|other| other == key) {
            let rule = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.invalid(&at.item(index), key, rule);
        }
    }
    if !term.topology_key.is_empty() {
        check_key(&term.topology_key, &path.field("topologyKey"), errors);
    }
}
