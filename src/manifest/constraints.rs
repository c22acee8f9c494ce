//! Scheduling constraints of pods, from the API to `cluster`: affinity, tolerations, topology
//! spread.

use k8s_openapi::api::core::v1 as core;

use super::field::{FieldErrors, FieldPath};
use super::selector::{label_selector, node_selector_term};
use cluster::Name;
use cluster::pod_template::{
    Affinity, NodeInclusionPolicy, NodeSelectorTerm, PodAffinityTerm, TaintEffect, Toleration,
    TolerationOperator, TopologySpreadConstraint, WhenUnsatisfiable,
};

/// Taint effects by API name.
pub(super) const TAINT_EFFECTS: [(&str, TaintEffect); 3] = [
    ("NoSchedule", TaintEffect::NoSchedule),
    ("PreferNoSchedule", TaintEffect::PreferNoSchedule),
    ("NoExecute", TaintEffect::NoExecute),
];

/// Node affinity, pod affinity and pod anti-affinity.
pub fn affinity(
    affinity: &core::Affinity,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Affinity {
    let mut lowered = Affinity::default();
    if let Some(node) = &affinity.node_affinity {
        node_affinity(node, &path.field("nodeAffinity"), &mut lowered, errors);
    }
    if let Some(pod) = &affinity.pod_affinity {
        let path = path.field("podAffinity");
        let terms = &pod.required_during_scheduling_ignored_during_execution;
        lowered.required_pod = pod_terms(terms.as_deref(), &path, errors);
        let terms = &pod.preferred_during_scheduling_ignored_during_execution;
        lowered.preferred_pod = weighted_pod_terms(terms.as_deref(), &path, errors);
    }
    if let Some(anti) = &affinity.pod_anti_affinity {
        let path = path.field("podAntiAffinity");
        let terms = &anti.required_during_scheduling_ignored_during_execution;
        lowered.required_anti = pod_terms(terms.as_deref(), &path, errors);
        let terms = &anti.preferred_during_scheduling_ignored_during_execution;
        lowered.preferred_anti = weighted_pod_terms(terms.as_deref(), &path, errors);
    }
    lowered
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn node_affinity(
    node: &core::NodeAffinity,
    path: &FieldPath<'_>,
    lowered: &mut Affinity,
    errors: &mut FieldErrors,
) {
    if let Some(required) = &node.required_during_scheduling_ignored_during_execution {
        let at = path.field(REQUIRED);
        let at = at.field("nodeSelectorTerms");
        if required.node_selector_terms.is_empty() {
            errors.required(&at, "must have at least one node selector term");
        }
        let terms = required.node_selector_terms.iter().enumerate();
        let terms: Vec<NodeSelectorTerm> = terms
            .map(|(position, term)| node_selector_term(term, &at.item(position), errors))
            .collect();
        lowered.required_node = Some(terms);
    }
    let at = path.field(PREFERRED);
    let preferred = node.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    for (position, term) in preferred.enumerate() {
        let at = at.item(position);
        check_weight(term.weight, &at, errors);
        let preference = node_selector_term(&term.preference, &at.field("preference"), errors);
        lowered.preferred_node.push((term.weight, preference));
    }
}

fn pod_terms(
    terms: Option<&[core::PodAffinityTerm]>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<PodAffinityTerm> {
    let at = path.field(REQUIRED);
    let terms = terms.into_iter().flatten().enumerate();
    terms.map(|(position, term)| pod_term(term, &at.item(position), errors)).collect()
}

fn weighted_pod_terms(
    terms: Option<&[core::WeightedPodAffinityTerm]>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<(i32, PodAffinityTerm)> {
    let at = path.field(PREFERRED);
    let mut lowered = Vec::new();
    for (position, term) in terms.into_iter().flatten().enumerate() {
        let at = at.item(position);
        check_weight(term.weight, &at, errors);
        let pod = pod_term(&term.pod_affinity_term, &at.field("podAffinityTerm"), errors);
        lowered.push((term.weight, pod));
    }
    lowered
}

fn check_weight(weight: i32, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if !(1..=100).contains(&weight) {
        errors.invalid(&path.field("weight"), weight, "must be in the range 1-100");
    }
}

fn pod_term(
    term: &core::PodAffinityTerm,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> PodAffinityTerm {
    if term.topology_key.is_empty() {
        errors.required(&path.field("topologyKey"), "can not be empty");
    }
    let selector = |selector: &Option<_>, field, errors: &mut FieldErrors| {
        selector.as_ref().map(|selector| label_selector(selector, &path.field(field), errors))
    };
    PodAffinityTerm {
        selector: selector(&term.label_selector, "labelSelector", errors),
        match_label_keys: names(term.match_label_keys.as_deref()),
        mismatch_label_keys: names(term.mismatch_label_keys.as_deref()),
        namespaces: names(term.namespaces.as_deref()),
        namespace_selector: selector(&term.namespace_selector, "namespaceSelector", errors),
        topology_key: Name::from(term.topology_key.as_str()),
    }
}

fn names(names: Option<&[String]>) -> Vec<Name> {
    names.into_iter().flatten().map(|name| Name::from(name.as_str())).collect()
}

/// One toleration.
pub(super) fn toleration(
    toleration: &core::Toleration,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Toleration {
    let operators = [("Equal", TolerationOperator::Equal), ("Exists", TolerationOperator::Exists)];
    let at = path.field("operator");
    let operator = toleration.operator.as_deref();
    let operator = errors.choose(operator, &operators, &at);
    let key = toleration.key.as_deref().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    let written = toleration.operator.as_deref().unwrap_or_default();
    let is_equal = matches!(written, "" | "Equal");
    if key.is_empty() && is_equal {
        let rule = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.invalid(&at, "Equal", rule);
    }
    if !value.is_empty() && operator == TolerationOperator::Exists {
        errors.invalid(&at, value, "value must be empty when `operator` is 'Exists'");
    }
    let effect = toleration.effect.as_deref();
    let effect = errors.chosen(effect, &TAINT_EFFECTS, &path.field("effect"));
    if toleration.toleration_seconds.is_some() && effect != Some(TaintEffect::NoExecute) {
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let rule = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.invalid(&path.field("effect"), effect, rule);
    }
    Toleration {
        key: Name::from(key),
        operator,
        value: Name::from(value),
        effect,
        toleration_seconds: toleration.toleration_seconds,
    }
}

/// One topology spread constraint.
pub fn topology_spread(
    constraint: &core::TopologySpreadConstraint,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> TopologySpreadConstraint {
    if constraint.max_skew <= 0 {
        errors.invalid(&path.field("maxSkew"), constraint.max_skew, "must be greater than zero");
    }
    if constraint.topology_key.is_empty() {
        errors.required(&path.field("topologyKey"), "can not be empty");
    }
    let choices = [
        ("DoNotSchedule", WhenUnsatisfiable::DoNotSchedule),
        ("ScheduleAnyway", WhenUnsatisfiable::ScheduleAnyway),
    ];
    let at = path.field("whenUnsatisfiable");
    if constraint.when_unsatisfiable.is_empty() {
        errors.required(&at, "DoNotSchedule or ScheduleAnyway");
    }
    let when_unsatisfiable = Some(constraint.when_unsatisfiable.as_str());
    let when_unsatisfiable = errors.choose(when_unsatisfiable, &choices, &at);
    if let Some(domains) = constraint.min_domains {
        let at = path.field("minDomains");
        if domains <= 0 {
            errors.invalid(&at, domains, "must be greater than zero");
        }
        if when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway {
            let rule =
                "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway";
            errors.invalid(&at, domains, rule);
        }
    }
    // The API server does not default these two; the scheduler applies their defaults.
    let mut policy = |policy: &Option<String>, field| {
        let choices =
            [("Honor", NodeInclusionPolicy::Honor), ("Ignore", NodeInclusionPolicy::Ignore)];
        errors.chosen(policy.as_deref(), &choices, &path.field(field))
    };
    let affinity = policy(&constraint.node_affinity_policy, "nodeAffinityPolicy");
    let taints = policy(&constraint.node_taints_policy, "nodeTaintsPolicy");
    TopologySpreadConstraint {
        max_skew: constraint.max_skew,
        topology_key: Name::from(constraint.topology_key.as_str()),
        when_unsatisfiable,
        node_affinity_policy: affinity.unwrap_or(NodeInclusionPolicy::Honor),
        node_taints_policy: taints.unwrap_or(NodeInclusionPolicy::Ignore),
        selector: constraint
            .label_selector
            .as_ref()
            .map(|selector| label_selector(selector, &path.field("labelSelector"), errors)),
        match_label_keys: names(constraint.match_label_keys.as_deref()),
        min_domains: constraint.min_domains,
    }
}
