//! What manifests hold, by name: enough to tell whether a scenario speaks of things that exist. Takes
//! manifests as they are written; whether they are right is for `manifest` to say.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use super::inference::{InferenceServer, inference_server};
use super::routing::Routing;
use cluster::node::ZONE_LABEL;
use cluster::pod_resources::pod_requests;
use cluster::pod_template::ResourceList;
use cluster::{Name, NamespacedName, ObjectReference};
use manifest::field::{FieldErrors, FieldPath};
use manifest::object::identify_item;
use manifest::pod::pod_template;
use manifest::{Diagnostics, Document, Source, read_documents};

/// Kinds whose pods a scenario can describe.
pub const WORKLOAD_KINDS: [&str; 7] =
    ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"];

/// The objects of some manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Every object.
    pub objects: BTreeSet<ObjectReference>,
    /// Services with the labels that they select; empty for those without a selector.
    pub services: BTreeMap<NamespacedName, BTreeMap<String, String>>,
    /// Services with `sessionAffinity: ClientIP`.
    pub client_affinity: BTreeSet<NamespacedName>,
    /// Workloads with their pods.
    pub workloads: BTreeMap<ObjectReference, PodShape>,
    /// Node objects with their zone.
    pub nodes: BTreeMap<Name, Option<Name>>,
    /// Where requests to hosts and paths go.
    pub routing: Routing,
    /// `maxReplicas` of the HPAs and ScaledObjects, by what they scale.
    pub max_replicas: BTreeMap<ObjectReference, i64>,
    /// The custom and external metrics that autoscalers ask for.
    pub metrics_asked: Vec<MetricAsked>,
}

/// A metric that an autoscaler asks an adapter or Prometheus for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricAsked {
    /// The HPA or ScaledObject.
    pub autoscaler: ObjectReference,
    /// What it scales.
    pub target: ObjectReference,
    /// The metric's name, or the query that names it.
    pub text: String,
    /// Labels by which it asks.
    pub labels: BTreeMap<String, String>,
    /// Whether it names no pods or object of which it asks the metric.
    pub is_external: bool,
}

/// What the pods of a workload look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodShape {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Containers, sidecars included, with their images.
    pub containers: Vec<(String, String)>,
    /// What a pod requests; nothing where the template cannot be read.
    pub requests: ResourceList,
    /// Labels that its node must have: those of the node selector, and the first values that the first term of
    /// a required node affinity takes.
    pub node_selector: BTreeMap<String, String>,
    /// How many there are; 1 where the manifest does not say.
    pub replicas: i64,
    /// The inference server of a language model that it runs, if one is known there.
    pub server: Option<InferenceServer>,
}

impl Inventory {
    /// The objects of some texts.
    pub fn of(sources: &[Source]) -> Self {
        let mut inventory = Self::default();
        inventory.add_sources(sources);
        inventory
    }

    /// Adds the objects of some texts. What cannot be read is reported by those who read manifests for
    /// what they say.
    pub fn add_sources(&mut self, sources: &[Source]) {
        let mut unread = Diagnostics::default();
        for source in sources {
            self.add(&read_documents(source, &mut unread));
        }
    }

    /// Adds the objects of documents; a `List` stands for its items.
    pub fn add<'a>(&mut self, documents: impl IntoIterator<Item = &'a Document>) {
        for document in documents {
            self.add_value(&document.value);
        }
    }

    /// The workloads whose pods a service selects.
    pub fn workloads_behind(
        &self,
        service: &NamespacedName,
    ) -> impl Iterator<Item = &ObjectReference> {
        let selector = self.services.get(service).filter(|selector| !selector.is_empty());
        self.workloads
            .iter()
            .filter(move |(workload, pods)| {
                workload.id.namespace == service.namespace
                    && selector.is_some_and(|selector| {
                        selector.iter().all(|(key, value)| pods.labels.get(key) == Some(value))
                    })
            })
            .map(|(workload, _)| workload)
    }

    fn add_value(&mut self, value: &Value) {
        let Some(kind) = value.get("kind").and_then(Value::as_str) else { return };
        if kind.ends_with("List")
            && let Some(items) = value.get("items").and_then(Value::as_array)
        {
            for item in items {
                let mut item = item.clone();
                identify_item(value, &mut item);
                self.add_value(&item);
            }
            return;
        }
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
        let Some(name) = text("/metadata/name") else { return };
        let namespace = text("/metadata/namespace").unwrap_or("default");
        let Ok(object) = format!("{kind}/{namespace}/{name}").parse::<ObjectReference>() else {
            return;
        };
        if kind == "Service" {
            let selector = texts(value.pointer("/spec/selector"));
            self.services.insert(object.id.clone(), selector);
            if text("/spec/sessionAffinity") == Some("ClientIP") {
                self.client_affinity.insert(object.id.clone());
            }
        }
        if kind == "Node" {
            let labels = texts(value.pointer("/metadata/labels"));
            self.nodes.insert(name.into(), labels.get(ZONE_LABEL).map(|zone| zone.as_str().into()));
        }
        self.routing.add(&object, value);
        if kind == "HorizontalPodAutoscaler" || kind == "ScaledObject" {
            let target = scaled(kind, value, namespace);
            let most =
                value.pointer("/spec/maxReplicas").or(value.pointer("/spec/maxReplicaCount"));
            if let (Some(target), Some(most)) = (&target, most.and_then(Value::as_i64)) {
                self.max_replicas.insert(target.clone(), most);
            }
            let asked = target.iter().flat_map(|target| metrics_asked(value, &object, target));
            self.metrics_asked.extend(asked);
        }
        if WORKLOAD_KINDS.contains(&kind) {
            self.workloads.insert(object.clone(), pod_shape(kind, value));
        }
        self.objects.insert(object);
    }
}

fn pod_shape(kind: &str, value: &Value) -> PodShape {
    let template = match kind {
        "Pod" => Some(value),
        "CronJob" => value.pointer("/spec/jobTemplate/spec/template"),
        _ => value.pointer("/spec/template"),
    };
    let Some(template) = template else { return PodShape::default() };
    let containers = ["/spec/containers", "/spec/initContainers"]
        .into_iter()
        .filter_map(|pointer| template.pointer(pointer)?.as_array())
        .flatten()
        .map(|container| {
            let text = |field| container.get(field).and_then(Value::as_str).unwrap_or_default();
            (text("name").to_owned(), text("image").to_owned())
        })
        .collect();
    let replicas = ["/spec/replicas", "/spec/parallelism", "/spec/jobTemplate/spec/parallelism"]
        .into_iter()
        .find_map(|pointer| value.pointer(pointer)?.as_i64());
    PodShape {
        labels: texts(template.pointer("/metadata/labels")),
        containers,
        requests: requests(template).unwrap_or_default(),
        node_selector: node_labels(template),
        replicas: replicas.unwrap_or(1),
        server: inference_server(template),
    }
}

fn requests(template: &Value) -> Option<ResourceList> {
    let spec: core::PodSpec = serde_json::from_value(template.get("spec")?.clone()).ok()?;
    let mut unread = FieldErrors::default();
    let template = pod_template(None, &spec, &FieldPath::ROOT, &mut unread);
    Some(pod_requests(&template.spec))
}

/// What an HPA or a ScaledObject scales.
fn scaled(kind: &str, autoscaler: &Value, namespace: &str) -> Option<ObjectReference> {
    let text = |pointer| autoscaler.pointer(pointer).and_then(Value::as_str);
    let default = if kind == "ScaledObject" { Some("Deployment") } else { None };
    let target = text("/spec/scaleTargetRef/kind").or(default)?;
    format!("{target}/{namespace}/{}", text("/spec/scaleTargetRef/name")?).parse().ok()
}

/// The metrics of an HPA that are no resources, and the queries of a ScaledObject.
fn metrics_asked(
    autoscaler: &Value,
    object: &ObjectReference,
    target: &ObjectReference,
) -> Vec<MetricAsked> {
    let list =
        |pointer| autoscaler.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let asked = |text: &str, labels, is_external| MetricAsked {
        autoscaler: object.clone(),
        target: target.clone(),
        text: text.to_owned(),
        labels,
        is_external,
    };
    let of_hpa = list("/spec/metrics").filter_map(|metric| {
        let sources = ["/pods/metric", "/object/metric", "/external/metric"];
        let is_external = metric.get("external").is_some();
        let metric = sources.iter().find_map(|source| metric.pointer(source))?;
        let labels = texts(metric.pointer("/selector/matchLabels"));
        Some(asked(metric.get("name")?.as_str()?, labels, is_external))
    });
    let of_triggers = list("/spec/triggers").filter_map(|trigger| {
        Some(asked(trigger.pointer("/metadata/query")?.as_str()?, BTreeMap::new(), true))
    });
    of_hpa.chain(of_triggers).collect()
}

/// The labels that a node must have, as far as they are given by single values.
fn node_labels(template: &Value) -> BTreeMap<String, String> {
    let mut labels = texts(template.pointer("/spec/nodeSelector"));
    let term = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0\
                /matchExpressions";
    let expressions = template.pointer(term).and_then(Value::as_array).into_iter().flatten();
    for expression in expressions {
        let text = |pointer| expression.pointer(pointer).and_then(Value::as_str);
        let value = match text("/operator") {
            Some("In") => text("/values/0"),
            Some("Exists") => Some("true"),
            _ => None,
        };
        if let (Some(key), Some(value)) = (text("/key"), value) {
            labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    labels
}

fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    map.and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_by_kind_and_name() {
        let text = "
kind: List
items:
- kind: Service
  metadata: {name: web, namespace: shop}
  spec: {selector: {app: web}}
- kind: Deployment
  metadata: {name: web, namespace: shop}
  spec:
    template:
      metadata: {labels: {app: web, tier: front}}
      spec: {containers: [{name: server, image: 'web:v1'}]}
- kind: Deployment
  metadata: {name: web}
  spec: {template: {metadata: {labels: {app: web}}}}
---
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/zone: a}}
";
        let mut problems = Diagnostics::default();
        let documents = read_documents(&Source::new("all.yaml", text), &mut problems);
        let mut inventory = Inventory::default();
        inventory.add(&documents);
        let names: Vec<String> = inventory.objects.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            ["Deployment/default/web", "Deployment/shop/web", "Node/n1", "Service/shop/web"]
        );
        let service = NamespacedName::new("shop", "web");
        let behind: Vec<&ObjectReference> = inventory.workloads_behind(&service).collect();
        assert_eq!(behind.len(), 1);
        let pods = &inventory.workloads[behind[0]];
        assert_eq!(pods.containers, [("server".to_owned(), "web:v1".to_owned())]);
        assert_eq!(inventory.nodes.get("n1"), Some(&Some("a".into())));
    }
}
