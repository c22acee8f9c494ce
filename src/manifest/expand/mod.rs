//! Converts objects of other projects that run pods to the objects that their controllers create: a row per kind,
//! with the limitations of the conversion.

mod inference_pool;
mod inference_service;
mod job_set;
mod knative;
mod leader_worker_set;
mod ray;
mod schema;
mod workload_ref;

pub use inference_pool::{ENDPOINT_PICKER, pool_service};

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::diagnostic::{Diagnostic, Diagnostics, Location};
use super::field::FieldError;
use super::object::Manifest;
use cluster::{Kind, ObjectReference};

/// The objects that a controller creates, or a mistake that prevents it.
type Expansion = Result<Vec<Value>, Mistake>;

/// An error in a field of an object.
struct Mistake {
    field: &'static str,
    message: String,
    help: &'static str,
}

/// A kind whose objects are converted.
struct Rule {
    group: &'static str,
    kind: &'static str,
    /// The controller that expands them in a cluster.
    controller: &'static str,
    make: fn(&ExpansionInput<'_>) -> Expansion,
    /// Simplifications, and their consequences for latency, cost and availability.
    simplified: &'static str,
}

static RULES: [Rule; 10] = [
    Rule {
        group: "jobset.x-k8s.io",
        kind: "JobSet",
        controller: "JobSet",
        make: job_set::make,
        simplified: "single Jobs are not restarted (`RestartJob`), rules by message apply to none, and volume \
                     claims and coordinator do nothing",
    },
    Rule {
        group: "leaderworkerset.x-k8s.io",
        kind: "LeaderWorkerSet",
        controller: "LWS",
        make: leader_worker_set::make,
        simplified: "the number of groups is constant, and a new template replaces all groups at once; a group \
                     responds like its leader",
    },
    Rule {
        group: "ray.io",
        kind: "RayCluster",
        controller: "KubeRay",
        make: ray::cluster,
        simplified: RAY,
    },
    Rule {
        group: "ray.io",
        kind: "RayService",
        controller: "KubeRay",
        make: ray::service,
        simplified: RAY,
    },
    Rule {
        group: "ray.io",
        kind: "RayJob",
        controller: "KubeRay",
        make: ray::job,
        simplified: RAY,
    },
    Rule {
        group: "serving.kserve.io",
        kind: "InferenceService",
        controller: "KServe",
        make: inference_service::make,
        simplified: "requests go to the predictor's Service, past transformers and gateways, so latency lacks \
                     their share; the storage initializer takes no time unless set in `workloads`",
    },
    Rule {
        group: "serving.kserve.io",
        kind: "LLMInferenceService",
        controller: "KServe",
        make: inference_service::make_llm,
        simplified: "requests are balanced as by any Service, not by prefix and queue as by the Inference \
                     Gateway's scheduler, so latency is too high; prefill pods get no requests",
    },
    Rule {
        group: "inference.networking.k8s.io",
        kind: "InferencePool",
        controller: "the gateway",
        make: inference_pool::make,
        simplified: POOL,
    },
    Rule {
        group: "inference.networking.x-k8s.io",
        kind: "InferencePool",
        controller: "the gateway",
        make: inference_pool::make,
        simplified: POOL,
    },
    Rule {
        group: "serving.knative.dev",
        kind: "Service",
        controller: "Knative",
        make: knative::make,
        simplified: "it has one revision, regardless of `traffic` and later changes of its template; gateway, \
                     activator and queue-proxy add no latency, so a few milliseconds are missing",
    },
];

const POOL: &str = "the endpoint picker adds no latency, and requests are balanced as `services` of the scenario says, by \
                    default with equal probability; `balancer: leastKvCache` or `prefixCache` is closer to a picker";
const RAY: &str = "the number of workers is constant, without the Ray autoscaler, so cost does not follow load; a \
                   request is processed by the worker that receives it; workers do not wait for the head";

/// An object to be converted, with all other objects.
pub(super) struct ExpansionInput<'a> {
    manifest: &'a Manifest,
    others: &'a [Manifest],
}

impl ExpansionInput<'_> {
    fn name(&self) -> &str {
        &self.manifest.reference.id.name
    }

    fn value(&self, pointer: &str) -> Option<&Value> {
        self.manifest.value.pointer(pointer).filter(|value| !value.is_null())
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.value(pointer).and_then(Value::as_str)
    }

    fn int(&self, pointer: &str) -> Option<i64> {
        self.value(pointer).and_then(Value::as_i64)
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.value(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.value("/metadata/annotations")?.get(key)?.as_str()
    }

    /// Metadata of an object created from this one.
    fn metadata(&self, name: &str, labels: &Map<String, Value>) -> Value {
        json!({"name": name, "namespace": &*self.manifest.reference.id.namespace, "labels": labels})
    }

    /// A Service for the pods with these labels.
    fn service(&self, name: &str, selector: &Value, ports: &Value, is_headless: bool) -> Value {
        let mut spec = json!({"selector": selector});
        if is_headless {
            spec["clusterIP"] = "None".into();
            spec["publishNotReadyAddresses"] = true.into();
        } else {
            spec["ports"] = ports.clone();
        }
        let metadata = self.metadata(name, &Map::new());
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    }
}

/// A map of labels.
fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

/// A pod template with these labels and annotations added.
fn marked(
    template: &Value,
    labels: &Map<String, Value>,
    annotations: &Map<String, Value>,
) -> Value {
    let mut template = template.clone();
    if !template.is_object() {
        template = json!({});
    }
    for field in ["metadata", "spec"] {
        if template.get(field).is_some() {
            object_at(&mut template, field);
        }
    }
    if let Some(Value::Object(metadata)) = template.get_mut("metadata") {
        metadata.retain(|field, _| ["labels", "annotations"].contains(&field.as_str()));
    }
    for (field, more) in [("labels", labels), ("annotations", annotations)] {
        if more.is_empty() {
            continue;
        }
        let marks = object_at(object_at(&mut template, "metadata"), field);
        if let Some(marks) = marks.as_object_mut() {
            marks.extend(more.clone());
        }
    }
    template
}

/// The object in a field of a document. A field or document of another type, which its controller would refuse, is
/// replaced by an empty one.
fn object_at<'a>(document: &'a mut Value, field: &str) -> &'a mut Value {
    if !document.is_object() {
        *document = json!({});
    }
    let found = &mut document[field];
    if !found.is_object() {
        *found = json!({});
    }
    found
}

/// Requires pods with a label's value to share one topology domain, from which pods with other values are excluded.
fn keep_to_one_domain(template: &mut Value, key: &str, value: &str, topology: &str) {
    let here = json!([{"key": key, "operator": "In", "values": [value]}]);
    let others = json!([{"key": key, "operator": "Exists"}, {"key": key, "operator": "NotIn", "values": [value]}]);
    add_term(template, "podAffinity", topology, &here);
    add_term(template, "podAntiAffinity", topology, &others);
}

/// Adds a required term of pod affinity, over all namespaces.
fn add_term(template: &mut Value, sort: &str, topology: &str, expressions: &Value) {
    let term = json!({
        "topologyKey": topology,
        "namespaceSelector": {},
        "labelSelector": {"matchExpressions": expressions},
    });
    let of_sort = object_at(object_at(object_at(template, "spec"), "affinity"), sort);
    let terms = &mut of_sort["requiredDuringSchedulingIgnoredDuringExecution"];
    match terms.as_array_mut() {
        Some(terms) => terms.push(term),
        None => *terms = json!([term]),
    }
}

/// Replaces objects by those that their controllers create, with one note per kind.
pub(super) fn expand(mut manifests: Vec<Manifest>, diagnostics: &mut Diagnostics) -> Vec<Manifest> {
    workload_ref::resolve(&mut manifests, diagnostics);
    if !manifests.iter().any(|one| rule_of(one).is_some()) {
        return manifests;
    }
    let mut simplifications: BTreeMap<usize, (Location, usize)> = BTreeMap::new();
    let mut expanded: Vec<Manifest> = Vec::with_capacity(manifests.len());
    for manifest in &manifests {
        let Some(index) = rule_of(manifest) else {
            expanded.push(manifest.clone());
            continue;
        };
        let errors = schema::validate(manifest).into_vec();
        if !errors.is_empty() {
            for FieldError { path, problem, .. } in errors {
                let place = manifest.origin.place_of(&path);
                let problem = Diagnostic::error("invalid-value", problem);
                let problem = problem.at(place).of(manifest.label());
                diagnostics.push(Diagnostic { field: path, ..problem });
            }
            continue;
        }
        let given = ExpansionInput { manifest, others: &manifests };
        match (RULES[index].make)(&given) {
            Ok(made) => {
                simplifications.entry(index).or_insert_with(|| (manifest.origin.place(), 0)).1 += 1;
                expanded.extend(made.into_iter().map(|value| made_of(value, manifest)));
            }
            Err(Mistake { field, message, help }) => {
                let place = manifest.origin.place_of(field);
                let problem = Diagnostic::error("invalid-value", message).help(help);
                let problem = problem.at(place).of(manifest.label());
                diagnostics.push(Diagnostic { field: field.to_owned(), ..problem });
            }
        }
    }
    for (index, (place, count)) in simplifications {
        let Rule { kind, controller, simplified, .. } = RULES[index];
        let objects = if count == 1 { "object" } else { "objects" };
        let message = format!(
            "simplified: {count} {objects} of kind {kind}: simulated as the objects that {controller} creates, but {simplified}"
        );
        diagnostics.push(Diagnostic::warning("simplified-kind", message).at(place));
    }
    settle(&mut expanded, &manifests);
    expanded
}

fn rule_of(manifest: &Manifest) -> Option<usize> {
    let group = manifest.api_version.split_once('/')?.0;
    let is_named = !manifest.reference.id.name.is_empty();
    RULES.iter().position(|rule| is_named && rule.group == group && rule.kind == &*manifest.kind)
}

/// An object created by a controller, positioned at its owner.
fn made_of(value: Value, owner: &Manifest) -> Manifest {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("/apiVersion").to_owned(), text("/kind").to_owned());
    let known = Kind::of_manifest(&api_version, &kind);
    let name = text("/metadata/name").to_owned();
    Manifest {
        reference: ObjectReference::new(known, owner.reference.id.namespace.clone(), name),
        api_version: api_version.into(),
        kind: kind.into(),
        has_generated_name: false,
        made_from: Some((owner.kind.clone(), owner.reference.id.clone())),
        value,
        origin: owner.origin.clone(),
    }
}

/// Redirects references from the original object to its replacement; an object already in the manifests takes
/// precedence.
fn settle(expanded: &mut Vec<Manifest>, originals: &[Manifest]) {
    let written: BTreeSet<&ObjectReference> =
        originals.iter().filter(|one| rule_of(one).is_none()).map(|one| &one.reference).collect();
    let is_written = |one: &Manifest| {
        originals.iter().any(|other| other.reference == one.reference && other.value == one.value)
    };
    expanded.retain(|one| !written.contains(&one.reference) || is_written(one));
}

#[cfg(test)]
mod tests;
