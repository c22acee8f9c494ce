//! The admission webhook: individual pods.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{LimitItem, Recommended, namespace_limits, spec};
use crate::Difference;
use crate::json::is_equal;
use crate::recording::{Mapped, inputs_of, parse};
use cluster::meta::{Name, ObjectMeta};
use cluster::pod_template::ResourceList;
use cluster::vpa::{UpdateMode, VpaObject};
use cluster::vpa_admission::{AdmittedResources, admitted};
use cluster::vpa_capping::CappedContainer;
use engine::SimTime;
use units::Quantity;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    pod: Mapped<Pod>,
    vpas: Vec<Mapped<Vpa>>,
    limit_ranges: Option<Vec<Mapped<LimitItem>>>,
    expect: Value,
}

#[derive(Debug, Deserialize)]
struct Pod {
    containers: Vec<Mapped<Container>>,
}

#[derive(Debug, Deserialize)]
struct Container {
    name: String,
    requests: Option<BTreeMap<String, Quantity>>,
    limits: Option<BTreeMap<String, Quantity>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vpa {
    name: String,
    created_at: i64,
    spec: Value,
    recommendation: Option<Vec<Mapped<Recommended>>>,
}

/// A container's name, requests and limits.
type Resources = (Name, ResourceList, ResourceList);

fn list(amounts: Option<&BTreeMap<String, Quantity>>) -> ResourceList {
    let amounts = amounts.into_iter().flatten();
    amounts.map(|(name, amount)| (name.as_str(), *amount)).collect()
}

/// The VPA that applies to the pod, and whether it has a recommendation.
fn admitting(case: &Case) -> Result<Option<(VpaObject, bool)>, String> {
    let mut strongest: Option<(VpaObject, bool)> = None;
    for (index, vpa) in case.vpas.iter().enumerate() {
        let mut meta = ObjectMeta::new("default", vpa.name.as_str());
        meta.created = SimTime::from_secs(vpa.created_at);
        let spec = spec(&vpa.spec, &format!("vpas[{index}].spec"))?;
        // The pod's top-level controller is the Deployment `app`.
        let is_of_pod = *spec.target.kind == *"Deployment" && *spec.target.name == *"app";
        let recommended = vpa.recommendation.iter().flatten().map(|one| one.lower());
        let object = VpaObject { meta, spec, recommendation: recommended.collect() };
        let is_stronger =
            || strongest.as_ref().is_none_or(|(other, _)| object.is_stronger_than(other));
        if is_of_pod && object.spec.mode != UpdateMode::Off && is_stronger() {
            strongest = Some((object, vpa.recommendation.is_some()));
        }
    }
    Ok(strongest)
}

/// Replays one case and returns the first difference, if any.
pub(super) fn replay(line: &str) -> Result<Option<Difference>, String> {
    let case: Case = parse(line)?;
    let got = answer(&case)?;
    let fields =
        ["panic", "error", "set", "containers", "vpaUpdates", "vpaObservedContainers"].into_iter();
    let mut differing = fields.filter(|field| {
        let ours = got.get(*field).unwrap_or(&Value::Null);
        !is_equal(&case.expect[*field], ours)
    });
    Ok(differing.next().map(|field| {
        let ours = got.get(field).cloned().unwrap_or_default();
        let inputs = inputs_of(line, &[], 0);
        Difference::new("", field, case.expect[field].clone(), ours, inputs)
    }))
}

/// The webhook's patch in the form of the recording.
fn answer(case: &Case) -> Result<Map<String, Value>, String> {
    let containers = case.pod.containers.iter().map(|one| -> Resources {
        let (requests, limits) = (list(one.requests.as_ref()), list(one.limits.as_ref()));
        (one.name.as_str().into(), requests, limits)
    });
    let containers: Vec<Resources> = containers.collect();
    let seen = containers.iter().map(|(name, requests, limits)| CappedContainer {
        name,
        requests,
        limits,
    });
    let pod: Vec<CappedContainer<'_>> = seen.collect();
    let limits = namespace_limits(case.limit_ranges.as_deref().unwrap_or_default());
    let admitting = admitting(case)?;
    let mut answer = Map::new();
    let changes = match &admitting {
        Some((vpa, true)) => {
            let admitted = admitted(&vpa.spec, &vpa.recommendation, &pod, &limits);
            let Ok(changes) = admitted else {
                answer.insert("panic".to_owned(), json!(true));
                return Ok(answer);
            };
            changes
        }
        _ => vec![AdmittedResources::default(); pod.len()],
    };
    let mut set = Map::new();
    let mut updates = Vec::new();
    let mut results = Vec::new();
    for (index, (change, given)) in changes.iter().zip(&case.pod.containers).enumerate() {
        let AdmittedResources { requests, limits, notes } = change;
        let mut parts = notes.clone();
        for (field, word, amounts) in
            [("requests", "request", requests), ("limits", "limit", limits)]
        {
            for (name, amount) in amounts.iter() {
                set.insert(format!("{index}/resources/{field}/{name}"), json!(amount.to_string()));
                parts.push(format!("{name} {word}"));
            }
        }
        // If there are no resources at all, the patch first adds an empty field for them.
        let is_patched = !requests.is_empty()
            || !limits.is_empty()
            || given.requests.is_none() && given.limits.is_none();
        if is_patched {
            parts.sort_unstable();
            updates.push(json!(format!("container {index}: {}", parts.join(", "))));
        }
        let after = |given: Option<&BTreeMap<String, Quantity>>, changes: &ResourceList| {
            let mut all = list(given);
            all.set_all(changes);
            let told =
                all.iter().map(|(name, amount)| (name.to_string(), json!(amount.to_string())));
            if given.is_none() && all.is_empty() {
                Value::Null
            } else {
                Value::Object(told.collect())
            }
        };
        results.push(json!({
            "requests": after(given.requests.as_ref(), requests),
            "limits": after(given.limits.as_ref(), limits),
        }));
    }
    answer.insert("set".to_owned(), Value::Object(set));
    answer.insert("containers".to_owned(), json!(results));
    if let Some((vpa, _)) = &admitting {
        let names: Vec<&str> = pod.iter().map(|container| &**container.name).collect();
        answer.insert("vpaObservedContainers".to_owned(), json!(names.join(", ")));
        if !updates.is_empty() {
            let head = format!("Pod resources updated by {}", vpa.meta.id.name);
            answer.insert("vpaUpdates".to_owned(), json!({ "containers": updates, "head": head }));
        }
    }
    Ok(answer)
}
