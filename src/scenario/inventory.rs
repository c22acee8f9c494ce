//! An index of the objects in manifests, used to check that a scenario refers to objects that exist. The
//! manifests themselves are validated by `manifest`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use super::addresses::{Variable, variables};
use super::cloud_hints;
use super::inference::{InferenceServer, inference_server};
use super::routing::Routing;
use capacity::reserved::Provider;
use cluster::node::ZONE_LABEL;
use cluster::pod_resources::pod_requests;
use cluster::pod_template::{PodAffinityTerm, PodSpec, Reference, ResourceList, Toleration};
use cluster::scaled_job::SCALED_JOB_LABEL;
use cluster::{Kind, Labels, Name, NamespacedName, ObjectReference, Verbs};
use karpenter::labels::{CAPACITY_TYPE, SPOT};
use karpenter::requirement::NodeOperator;
use manifest::field::{FieldErrors, FieldPath};
use manifest::karpenter::NodePool;
use manifest::pod::pod_template;
use manifest::{
    Diagnostics, ENDPOINT_PICKER, Manifest, Source, decode_without_diagnostics, read_manifests,
};
use units::{MilliCpu, Quantity};

/// The objects of a set of manifests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// Every object.
    pub objects: BTreeSet<ObjectReference>,
    /// Services with their selectors; empty for Services without one.
    pub services: BTreeMap<NamespacedName, BTreeMap<String, String>>,
    /// Services of InferencePools, each with the Service of its endpoint picker, if it has one.
    pub pools: BTreeMap<NamespacedName, Option<NamespacedName>>,
    /// Services of the types NodePort and LoadBalancer.
    pub exposed: BTreeSet<NamespacedName>,
    /// Number of Services of the type LoadBalancer.
    pub load_balancers: usize,
    /// The classes of the Ingresses, by Ingress; empty if it names none.
    pub ingress_classes: BTreeMap<NamespacedName, String>,
    /// Bytes that claims request, those of StatefulSets' pods included.
    pub claimed_bytes: i128,
    /// Number of objects that name each cloud.
    pub clouds: BTreeMap<Provider, usize>,
    /// Services with `sessionAffinity: ClientIP`.
    pub client_affinity: BTreeSet<NamespacedName>,
    /// Workloads with the properties of their pods.
    pub workloads: BTreeMap<ObjectReference, PodShape>,
    /// Node objects with their zone.
    pub nodes: BTreeMap<Name, Option<Name>>,
    /// Karpenter's NodePools.
    pub node_pools: Vec<NodePoolShape>,
    /// Node labels of Kueue's ResourceFlavors.
    pub flavor_labels: BTreeMap<Name, BTreeMap<String, String>>,
    /// Data of the ConfigMaps.
    pub config: BTreeMap<NamespacedName, BTreeMap<String, String>>,
    /// Routing of requests to hosts and paths.
    pub routing: Routing,
    /// `maxReplicas` of the HPAs and ScaledObjects, by scale target.
    pub max_replicas: BTreeMap<ObjectReference, i64>,
    /// The custom and external metrics that autoscalers use.
    pub queried_metrics: Vec<QueriedMetric>,
}

/// A metric that an autoscaler reads from an adapter or Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueriedMetric {
    /// The HPA or ScaledObject.
    pub autoscaler: ObjectReference,
    /// Its scale target.
    pub target: ObjectReference,
    /// The metric's name, or the query that contains it.
    pub text: String,
    /// Labels of the metric's selector.
    pub labels: BTreeMap<String, String>,
    /// True for a metric that is not tied to pods or an object.
    pub is_external: bool,
}

/// The properties of a Karpenter NodePool that concern the placement of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePoolShape {
    /// NodePool name.
    pub name: Name,
    /// The zones that its requirements name.
    pub zones: Vec<Name>,
    /// True if it allows spot capacity.
    pub allows_spot: bool,
    /// True if its machines are EC2 instances.
    pub is_ec2: bool,
}

/// Properties of a workload's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodShape {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Names and images of the containers, sidecars included.
    pub containers: Vec<(String, String)>,
    /// Number of `containers` that are not init containers; they come first.
    pub regular_containers: usize,
    /// Resource requests of a pod; empty if the template cannot be read.
    pub requests: ResourceList,
    /// CPU that a pod may use; absent if a container has no limit.
    pub cpu_limit: Option<MilliCpu>,
    /// Labels that its node must have: those of the node selector, and the first values of the first term of a
    /// required node affinity.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations of the template.
    pub tolerations: Vec<Toleration>,
    /// True if each pod uses a host port.
    pub takes_node_port: bool,
    /// The terms of the required anti-affinity.
    pub anti_affinity: Vec<PodAffinityTerm>,
    /// The node labels of the required pod affinity: nodes without them take none of the pods.
    pub domain_labels: BTreeSet<Name>,
    /// Number of pods; 1 if the manifest does not say.
    pub replicas: i64,
    /// The ConfigMaps, Secrets and claims that the pods need to start.
    pub references: Vec<Reference>,
    /// The pod conditions that must be True for a pod to be ready (`readinessGates`).
    pub readiness_gates: Vec<Name>,
    /// The environment variables of its containers.
    pub variables: Vec<Variable>,
    /// The ServiceAccount named in the template; empty if none.
    pub service_account: Name,
    /// The language-model inference server that the pod runs, if one is recognized.
    pub server: Option<InferenceServer>,
}

impl Inventory {
    /// Indexes the objects of manifest texts. Objects that cannot be read are skipped; the manifest checks
    /// report them.
    pub fn of(sources: &[Source]) -> Self {
        let mut inventory = Self::default();
        inventory.add(&read_manifests(sources, &mut Diagnostics::default()));
        inventory
    }

    /// Adds objects, except those without a name or with one that is generated later, which a scenario cannot refer to.
    pub fn add(&mut self, manifests: &[Manifest]) {
        for manifest in manifests {
            cloud_hints::count(&manifest.value, &mut self.clouds);
            let is_later_named =
                manifest.has_generated_name && manifest.reference.kind == Kind::Pod;
            if !is_later_named && !manifest.reference.id.name.is_empty() {
                self.add_object(&manifest.reference, &manifest.value);
            }
            if manifest.made_from.as_ref().is_some_and(|(kind, _)| &**kind == "InferencePool") {
                let id = &manifest.reference.id;
                let annotations = manifest.value.pointer("/metadata/annotations");
                let picker = annotations.and_then(|all| all.get(ENDPOINT_PICKER)?.as_str());
                let picker = picker.map(|name| NamespacedName::new(id.namespace.clone(), name));
                self.pools.insert(id.clone(), picker);
            }
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

    fn add_object(&mut self, object: &ObjectReference, value: &Value) {
        let kind = object.kind;
        if kind == Kind::Service {
            let spec = decode_without_diagnostics::<core::Service>(value).spec.unwrap_or_default();
            if matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer")) {
                self.exposed.insert(object.id.clone());
            }
            self.load_balancers += usize::from(spec.type_.as_deref() == Some("LoadBalancer"));
            self.services.insert(object.id.clone(), spec.selector.unwrap_or_default());
            if spec.session_affinity.as_deref() == Some("ClientIP") {
                self.client_affinity.insert(object.id.clone());
            }
        }
        if kind == Kind::Ingress {
            let class = value.pointer("/spec/ingressClassName");
            let class =
                class.or(value.pointer("/metadata/annotations/kubernetes.io~1ingress.class"));
            let class = class.and_then(Value::as_str).unwrap_or_default();
            self.ingress_classes.insert(object.id.clone(), class.to_owned());
        }
        if kind == Kind::PersistentVolumeClaim {
            self.claimed_bytes += claimed_bytes(value);
        }
        if kind == Kind::ConfigMap {
            self.config.insert(object.id.clone(), texts(value.get("data")));
        }
        if kind == Kind::ResourceFlavor {
            let labels = texts(value.pointer("/spec/nodeLabels"));
            self.flavor_labels.insert(object.id.name.clone(), labels);
        }
        if kind == Kind::Node {
            let labels =
                decode_without_diagnostics::<core::Node>(value).metadata.labels.unwrap_or_default();
            let zone = labels.get(ZONE_LABEL).map(|zone| zone.as_str().into());
            self.nodes.insert(object.id.name.clone(), zone);
        }
        if kind == Kind::NodePool {
            self.node_pools.push(node_pool_shape(&object.id.name, value));
        }
        self.routing.add(object, value);
        if kind == Kind::HorizontalPodAutoscaler || kind == Kind::ScaledObject {
            let target = scaled(object, value);
            let most =
                value.pointer("/spec/maxReplicas").or(value.pointer("/spec/maxReplicaCount"));
            if let (Some(target), Some(most)) = (&target, most.and_then(Value::as_i64)) {
                self.max_replicas.insert(target.clone(), most);
            }
            let asked = target.iter().flat_map(|target| queried_metrics(value, object, target));
            self.queried_metrics.extend(asked);
        }
        if kind.can(Verbs::RUN_PODS) {
            let mut shape = pod_shape(kind, value);
            if kind == Kind::ScaledJob {
                let label = (SCALED_JOB_LABEL.to_owned(), object.id.name.to_string());
                shape.labels.extend([label]);
            }
            let templates = value.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
            let per_pod: i128 = templates.into_iter().flatten().map(claimed_bytes).sum();
            self.claimed_bytes += per_pod * i128::from(shape.replicas.max(0));
            self.workloads.insert(object.clone(), shape);
        }
        self.objects.insert(object.clone());
    }
}

fn node_pool_shape(name: &Name, value: &Value) -> NodePoolShape {
    let NodePool { spec, .. } = decode_without_diagnostics(value);
    let template = spec.template.spec;
    let listed = |key: &str| -> Vec<Name> {
        let of_key = template.requirements.iter().filter(|one| one.key == key);
        let listed = of_key.filter(|one| one.operator == NodeOperator::In.as_str());
        listed.flat_map(|one| &one.values).map(|value| value.as_str().into()).collect()
    };
    NodePoolShape {
        name: name.clone(),
        zones: listed(ZONE_LABEL),
        allows_spot: listed(CAPACITY_TYPE).iter().any(|kind| **kind == *SPOT),
        is_ec2: template.node_class_ref.is_none_or(|class| class.kind == "EC2NodeClass"),
    }
}

fn pod_shape(kind: Kind, value: &Value) -> PodShape {
    let Some(written) = value.pointer(kind.pod_template_pointer()) else {
        return PodShape::default();
    };
    let core::PodTemplateSpec { metadata, spec } = decode_without_diagnostics(written);
    let spec = spec.unwrap_or_default();
    let regular_containers = spec.containers.len();
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let containers =
        containers.map(|one| (one.name.clone(), one.image.clone().unwrap_or_default()));
    let replicas = [
        "/spec/replicas",
        "/spec/parallelism",
        "/spec/jobTemplate/spec/parallelism",
        "/spec/jobTargetRef/parallelism",
    ]
    .into_iter()
    .find_map(|pointer| value.pointer(pointer)?.as_i64());
    let template =
        pod_template(metadata.as_ref(), &spec, &FieldPath::ROOT, &mut FieldErrors::default());
    let labels = metadata.and_then(|metadata| metadata.labels).unwrap_or_default();
    let affinity = &template.spec.affinity;
    PodShape {
        takes_node_port: takes_node_port(&template.spec),
        domain_labels: affinity.required_pod.iter().map(|one| one.topology_key.clone()).collect(),
        anti_affinity: affinity.required_anti.clone(),
        labels,
        containers: containers.collect(),
        regular_containers,
        requests: pod_requests(&template.spec),
        cpu_limit: template.spec.cpu_limit(),
        replicas: replicas.unwrap_or(1),
        variables: variables(&spec),
        node_selector: node_labels(spec),
        service_account: template.spec.service_account_name.clone(),
        references: template.spec.references,
        readiness_gates: template.spec.readiness_gates,
        tolerations: template.spec.tolerations,
        server: inference_server(written),
    }
}

/// True if pods of this template use a host port.
fn takes_node_port(spec: &PodSpec) -> bool {
    let mut ports = spec.containers.iter().flat_map(|one| &one.ports);
    ports.any(|port| port.host_port > 0 || spec.host_network)
}

impl PodShape {
    /// True if the anti-affinity of these pods, in the namespace `own`, keeps those of another workload (or of the same) out
    /// of their domain, whose label is `key`. The scheduler then keeps either from joining the other.
    pub fn excludes(&self, own: &Name, key: &str, other: (&Name, &Self)) -> bool {
        let (namespace, shape) = other;
        if !self.anti_affinity.iter().any(|term| *term.topology_key == *key) {
            return false;
        }
        let pairs = shape.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let labels: Labels = pairs.collect();
        self.anti_affinity.iter().any(|term| {
            let is_own = term.namespaces.is_empty() && own == namespace;
            let is_here =
                is_own || term.namespace_selector.is_some() || term.namespaces.contains(namespace);
            *term.topology_key == *key
                && is_here
                && term.selector.as_ref().is_some_and(|selector| selector.matches(&labels))
        })
    }
}

/// Bytes that a claim, or a template of one, requests.
fn claimed_bytes(claim: &Value) -> i128 {
    let asked = claim.pointer("/spec/resources/requests/storage").and_then(Value::as_str);
    let size = asked.and_then(|text| text.parse::<Quantity>().ok());
    size.map_or(0, |size| i128::from(size.value().max(0)))
}

/// The scale target of an HPA or a ScaledObject.
fn scaled(object: &ObjectReference, autoscaler: &Value) -> Option<ObjectReference> {
    let text = |pointer| autoscaler.pointer(pointer).and_then(Value::as_str);
    let default = (object.kind == Kind::ScaledObject).then_some("Deployment");
    let namespace = &object.id.namespace;
    let target = text("/spec/scaleTargetRef/kind").or(default)?;
    format!("{target}/{namespace}/{}", text("/spec/scaleTargetRef/name")?).parse().ok()
}

/// The non-resource metrics of an HPA, and the queries of a ScaledObject.
fn queried_metrics(
    autoscaler: &Value,
    object: &ObjectReference,
    target: &ObjectReference,
) -> Vec<QueriedMetric> {
    let list =
        |pointer| autoscaler.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let asked = |text: &str, labels, is_external| QueriedMetric {
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

/// The labels that a node must have, as far as the pod requires single values.
fn node_labels(spec: core::PodSpec) -> BTreeMap<String, String> {
    let mut labels = spec.node_selector.unwrap_or_default();
    let affinity = spec.affinity.and_then(|affinity| affinity.node_affinity);
    let required = affinity.and_then(|one| one.required_during_scheduling_ignored_during_execution);
    let term = required.and_then(|required| required.node_selector_terms.into_iter().next());
    for expression in term.and_then(|term| term.match_expressions).into_iter().flatten() {
        let value = match &*expression.operator {
            "In" => expression.values.and_then(|values| values.into_iter().next()),
            "Exists" => Some("true".to_owned()),
            _ => None,
        };
        if let Some(value) = value {
            labels.entry(expression.key).or_insert(value);
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
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: web, namespace: shop}
  spec: {selector: {app: web}}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: shop}
  spec:
    template:
      metadata: {labels: {app: web, tier: front}}
      spec: {containers: [{name: server, image: 'web:v1'}]}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web}
  spec: {template: {metadata: {labels: {app: web}}}}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/zone: a}}
";
        let inventory = Inventory::of(&[Source::new("all.yaml", text)]);
        let names: Vec<String> = inventory.objects.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            ["Deployment/default/web", "Deployment/shop/web", "Node/n1", "Service/shop/web"]
        );
        let keeps_apart = |term: &str| {
            let text = format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: a, labels: {{app: a}}}}, spec: {{containers: [{{name: a, image: \
                 a, ports: [{{containerPort: 1, hostPort: 1}}]}}], affinity: {{podAntiAffinity: \
                 {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: {term}}}]}}}}}}}}\n"
            );
            let shapes = Inventory::of(&[Source::new("a.yaml", text)]).workloads;
            shapes
                .values()
                .map(|shape| {
                    let own = Name::from("default");
                    let apart = shape.excludes(&own, "kubernetes.io/hostname", (&own, shape));
                    (apart, shape.takes_node_port)
                })
                .collect::<Vec<_>>()
        };
        let of = |topology: &str, app: &str| {
            keeps_apart(&format!("{topology}, labelSelector: {{matchLabels: {{app: {app}}}}}"))
        };
        assert_eq!(of("kubernetes.io/hostname", "a"), [(true, true)]);
        assert_eq!(of("kubernetes.io/hostname", "b"), [(false, true)]);
        assert_eq!(of("topology.kubernetes.io/zone", "a"), [(false, true)]);
        let service = NamespacedName::new("shop", "web");
        let behind: Vec<&ObjectReference> = inventory.workloads_behind(&service).collect();
        assert_eq!(behind.len(), 1);
        let pods = &inventory.workloads[behind[0]];
        assert_eq!(pods.containers, [("server".to_owned(), "web:v1".to_owned())]);
        assert_eq!(inventory.nodes.get("n1"), Some(&Some("a".into())));
    }
}
