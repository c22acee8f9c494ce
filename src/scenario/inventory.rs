//! What manifests hold, by name: enough to tell whether a scenario speaks of things that exist. Takes
//! manifests as they are written; whether they are right is for `manifest` to say.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use super::routing::Routing;
use crate::cluster::node::ZONE_LABEL;
use crate::cluster::pod_resources::pod_requests;
use crate::cluster::pod_template::ResourceList;
use crate::cluster::{Name, NamespacedName, ObjectReference};
use crate::manifest::field::{FieldErrors, FieldPath};
use crate::manifest::object::identify_item;
use crate::manifest::pod::pod_template;
use crate::manifest::{Diagnostics, Document, Source, read_documents};

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
    /// `maxReplicas` of the HPAs, by what they scale.
    pub max_replicas: BTreeMap<ObjectReference, i64>,
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
    /// Labels that its node must have.
    pub node_selector: BTreeMap<String, String>,
    /// How many there are; 1 where the manifest does not say.
    pub replicas: i64,
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
        if kind == "HorizontalPodAutoscaler" {
            self.max_replicas.extend(scaled(value, namespace));
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
        node_selector: texts(template.pointer("/spec/nodeSelector")),
        replicas: replicas.unwrap_or(1),
    }
}

fn requests(template: &Value) -> Option<ResourceList> {
    let spec: core::PodSpec = serde_json::from_value(template.get("spec")?.clone()).ok()?;
    let mut unread = FieldErrors::default();
    let template = pod_template(None, &spec, &FieldPath::ROOT, &mut unread);
    Some(pod_requests(&template.spec))
}

/// What an HPA scales, and how far.
fn scaled(hpa: &Value, namespace: &str) -> Option<(ObjectReference, i64)> {
    let text = |pointer| hpa.pointer(pointer).and_then(Value::as_str);
    let (kind, name) = (text("/spec/scaleTargetRef/kind")?, text("/spec/scaleTargetRef/name")?);
    let target = format!("{kind}/{namespace}/{name}").parse().ok()?;
    Some((target, hpa.pointer("/spec/maxReplicas")?.as_i64()?))
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
