//! Gives Rollouts the pod template of the workload that they reference (`spec.workloadRef`; `refResolver` of Argo Rollouts 1.9.1).

use serde_json::Value;

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::object::Manifest;
use cluster::Kind;

const REFERENCE: &str = "/spec/workloadRef";

/// Fills in template and selector of each Rollout with a reference; a Rollout whose workload is missing is left out with an
/// error.
pub(super) fn resolve(manifests: &mut Vec<Manifest>, diagnostics: &mut Diagnostics) {
    let resolved: Vec<Option<(usize, Result<Value, &'static str>)>> = manifests
        .iter()
        .enumerate()
        .filter(|(_, one)| one.reference.kind == Kind::Rollout)
        .map(|(position, one)| Some((position, with_template(one, manifests)?)))
        .collect();
    let mut missing = Vec::new();
    for (position, result) in resolved.into_iter().flatten() {
        let manifest = &mut manifests[position];
        match result {
            Ok(value) => manifest.value = value,
            Err(problem) => {
                let place = manifest.origin.place_of("spec.workloadRef");
                let problem = Diagnostic::error("invalid-value", problem)
                    .help("give the manifest of a Deployment, ReplicaSet or PodTemplate of this name, and no template");
                let problem = problem.at(place).of(manifest.label());
                diagnostics.push(Diagnostic { field: "spec.workloadRef".to_owned(), ..problem });
                missing.push(position);
            }
        }
    }
    for position in missing.into_iter().rev() {
        manifests.remove(position);
    }
}

/// A Rollout with the template of its workload; `None` without a reference.
fn with_template(rollout: &Manifest, all: &[Manifest]) -> Option<Result<Value, &'static str>> {
    let reference = rollout.value.pointer(REFERENCE).filter(|value| !value.is_null())?;
    let text = |field: &str| reference.get(field).and_then(Value::as_str);
    let (kind, name) = (text("kind").unwrap_or("Deployment"), text("name").unwrap_or_default());
    if rollout.value.pointer("/spec/template").is_some_and(|template| !template.is_null()) {
        return Some(Err("template must be empty for workload reference rollout"));
    }
    let is_it = |one: &&Manifest| {
        *one.kind == *kind
            && one.reference.id.namespace == rollout.reference.id.namespace
            && *one.reference.id.name == *name
    };
    let Some(workload) = all.iter().find(is_it) else {
        return Some(Err("the workload whose template it would have is not there"));
    };
    let pointer = if kind == "PodTemplate" { "/template" } else { "/spec/template" };
    let template = workload.value.pointer(pointer).cloned().unwrap_or_default();
    let mut value = rollout.value.clone();
    value["spec"]["template"] = template;
    if value.pointer("/spec/selector").is_none_or(Value::is_null) {
        value["spec"]["selector"] =
            workload.value.pointer("/spec/selector").cloned().unwrap_or_default();
    }
    Some(Ok(value))
}
