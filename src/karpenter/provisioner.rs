//! From pending pods to requested nodes (`pkg/controllers/provisioning/provisioner.go`).

use std::sync::Arc;

use super::labels::{NODE_POOL, normalized, restriction};
use super::pod::Pod;
use super::requirement::NodeOperator;
use super::requirements::Requirements;
use super::scheduling::{PassContext, PassScope, Results, solve};
use super::state::Snapshot;
use cluster::pod_template::PodSpec;
use cluster::selector::{Operator, Requirement};

/// A pending pod that provisioning ignores, and why.
pub type IgnoredPod = (Arc<Pod>, String);

/// The pending pods, and those that are ignored with the reason (`GetPendingPods`).
pub fn pending_pods(snapshot: &Snapshot) -> (Vec<Arc<Pod>>, Vec<IgnoredPod>) {
    let (mut pending, mut ignored) = (Vec::new(), Vec::new());
    for pod in snapshot.waiting.iter().filter(|pod| pod.is_provisionable()) {
        match reason_to_ignore(&pod.template.spec, snapshot) {
            None => pending.push(Arc::clone(pod)),
            Some(reason) => ignored.push((Arc::clone(pod), reason)),
        }
    }
    (pending, ignored)
}

/// One scheduling pass for the pending pods and those of nodes to be removed (`Schedule`). `None` if there are no
/// such pods, or no pool to create nodes.
pub fn schedule(snapshot: &Snapshot) -> Option<Results> {
    let ground = PassContext::new(snapshot);
    if ground.pending.is_empty() && ground.of_going.is_empty() {
        return None;
    }
    let mut results = solve(&ground, &[], &PassScope::default())?;
    results.truncate(&snapshot.options);
    Some(results)
}

/// Why a pod is ignored (`Validate`): it excludes Karpenter's nodes, or has unsupported requirements.
fn reason_to_ignore(spec: &PodSpec, snapshot: &Snapshot) -> Option<String> {
    let all = Requirements::of_pod(&spec.node_selector, &spec.affinity, false);
    if all.get(NODE_POOL).is_some_and(|one| one.operator() == NodeOperator::DoesNotExist) {
        return Some("configured to not run on a Karpenter provisioned node".to_owned());
    }
    let of_selector = spec.node_selector.iter().map(|(key, value)| Requirement {
        key: key.clone(),
        operator: Operator::In,
        values: vec![value.clone()],
    });
    if let Some(reason) = of_selector.into_iter().find_map(|one| unsupported(&one, snapshot)) {
        return Some(reason);
    }
    spec.affinity.required_node.iter().flatten().find_map(|term| {
        if !term.match_fields.is_empty() {
            return Some("node selector term with matchFields is not supported".to_owned());
        }
        term.match_expressions.iter().find_map(|one| unsupported(one, snapshot))
    })
}

/// Why a pod's requirement is not supported (`ValidateRequirement`).
fn unsupported(requirement: &Requirement, snapshot: &Snapshot) -> Option<String> {
    const CAPACITY_TYPES: [&str; 3] = ["on-demand", "spot", "reserved"];
    let key = normalized(&requirement.key);
    let reason = restriction(&key, &snapshot.well_known);
    if reason.is_some() {
        return reason;
    }
    let values = &requirement.values;
    match requirement.operator {
        Operator::In if values.is_empty() => {
            Some(format!("key {key} with operator In must have a value defined"))
        }
        Operator::In if key.as_ref() == super::labels::CAPACITY_TYPE => {
            let is_known = values.iter().any(|value| CAPACITY_TYPES.contains(&value.as_ref()));
            (!is_known).then(|| format!("no valid values found for {key}"))
        }
        Operator::Gt | Operator::Lt => {
            let number = values.first().and_then(|value| value.parse::<i64>().ok());
            let is_valid = values.len() == 1 && number.is_some_and(|number| number >= 0);
            (!is_valid).then(|| format!("key {key} must have a single positive integer value"))
        }
        _ => None,
    }
}
