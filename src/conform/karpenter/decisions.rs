//! Decisions as JSON, ours and recorded ones, in one comparable form.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::pools::CLASS_LABEL;
use cluster::Labels;
use karpenter::labels::NODE_POOL;
use karpenter::scheduling::{ExistingPlacement, NewClaim, Results};
use karpenter::{Amounts, Requirements, Snapshot};
use units::Quantity;

/// The decisions of a pass.
pub(super) fn pass(results: &Results, ignored: &[String], snapshot: &Snapshot) -> Value {
    let mut decisions = json!({
        "new_nodeclaims": results.claims.iter().map(|one| claim(one, snapshot)).collect::<Vec<_>>(),
        "existing_nodes": results.existing.iter().map(existing).collect::<Vec<_>>(),
        "pod_errors": results.errors.keys().map(|pod| pod.name.to_string()).collect::<Vec<_>>(),
    });
    if !ignored.is_empty() {
        decisions["ignored_pods"] = json!(ignored);
    }
    decisions
}

/// A node to be created.
pub(super) fn claim(claim: &NewClaim, snapshot: &Snapshot) -> Value {
    let types = claim.options.iter().map(|one| {
        let price = one.cheapest(&claim.requirements);
        json!([&*one.name, price])
    });
    let written = claim.claim_requirements(&snapshot.options);
    let mut decisions = json!({
        "nodepool": &*claim.pool.name,
        "pods": claim.pods.iter().map(|pod| pod.id.name.to_string()).collect::<Vec<_>>(),
        "requests": amounts(&claim.requests),
        "requirements": requirements(&claim.requirements),
        "instance_types": types.collect::<Vec<_>>(),
        "nodeclaim_requirements": requirements(&written),
    });
    let labels = custom_labels(&claim.claim_labels(&snapshot.well_known, &snapshot.ties), snapshot);
    if !labels.is_empty() {
        decisions["nodeclaim_labels"] = json!(labels);
    }
    if claim.min_values_relaxed {
        decisions["min_values_relaxed"] = json!(true);
    }
    if let Some(launch) = claim.launch(&snapshot.options) {
        let mut zones: Vec<String> = launch.zones.iter().map(ToString::to_string).collect();
        zones.sort();
        decisions["launch"] = json!({
            "instance_type": &*launch.instance_type.name,
            "capacity_type": &*launch.capacity_type,
            "zones": zones,
            "price": launch.price,
        });
    }
    decisions
}

/// Labels that only users set.
fn custom_labels(labels: &Labels, snapshot: &Snapshot) -> BTreeMap<String, String> {
    let is_custom =
        |key: &str| key != NODE_POOL && key != CLASS_LABEL && !snapshot.well_known.contains(key);
    let custom = labels.iter().filter(|(key, _)| is_custom(key));
    custom.map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// The pods assigned to an existing node.
pub(super) fn existing(one: &ExistingPlacement) -> Value {
    json!({
        "node": &*one.node,
        "pods": one.pods.iter().map(|pod| pod.id.name.to_string()).collect::<Vec<_>>(),
    })
}

/// Amounts in nano-units.
pub(super) fn amounts(amounts: &Amounts) -> Value {
    let pairs = amounts.iter().map(|(name, nanos)| (name.to_owned(), json!(nanos.to_string())));
    Value::Object(pairs.collect())
}

/// Requirements, by key and operator.
pub(super) fn requirements(requirements: &Requirements) -> Value {
    let one = |one: karpenter::requirement::WrittenRequirement| {
        let mut decisions = json!({ "key": &*one.key, "operator": one.operator.as_str() });
        if !one.values.is_empty() {
            decisions["values"] =
                json!(one.values.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
        if let Some(least) = one.min_values {
            decisions["min_values"] = json!(least);
        }
        decisions
    };
    Value::Array(requirements.written().into_iter().map(one).collect())
}

/// Converts a recorded value to the form of ours. If only a number of values is recorded, `ours` is reduced to its
/// number; if any of several values is correct, ours is taken.
pub(super) fn align(recorded: &mut Value, ours: &mut Value) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => align_fields(recorded, ours),
        (Value::Array(recorded), Value::Array(ours)) => {
            for (recorded, ours) in recorded.iter_mut().zip(ours) {
                align(recorded, ours);
            }
        }
        _ => {}
    }
}

fn align_fields(recorded: &mut Map<String, Value>, ours: &mut Map<String, Value>) {
    if recorded.contains_key("n_values")
        && let Some(values) = ours.remove("values")
    {
        let count = values.as_array().map_or(0, Vec::len);
        ours.insert("n_values".to_owned(), json!(count));
    }
    for (name, value) in recorded.iter_mut() {
        match (name.as_str(), &mut *value) {
            ("requests", Value::Object(list)) => {
                for amount in list.values_mut() {
                    let parsed = amount.as_str().and_then(|text| text.parse::<Quantity>().ok());
                    if let Some(quantity) = parsed {
                        *amount = json!(quantity.nanos().to_string());
                    }
                }
            }
            ("pod_errors", Value::Object(errors)) => {
                let mut pods: Vec<&String> = errors.keys().collect();
                pods.sort();
                *value = json!(pods);
            }
            ("nodeclaim_labels", Value::Object(labels)) => {
                for (key, label) in labels {
                    let is_any = label.as_str().is_some_and(|text| text.starts_with("any of"));
                    if let Some(own) = ours.get("nodeclaim_labels").filter(|_| is_any) {
                        *label = own[key].clone();
                    }
                }
            }
            _ => {
                if let Some(own) = ours.get_mut(name) {
                    align(value, own);
                }
            }
        }
    }
}
