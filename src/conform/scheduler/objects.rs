//! The objects of a case as the API server would hold them: defaulted, not admitted. They went
//! straight into the real scheduler's cache, past validation, and carry only what it reads.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::case::Owner;
use cluster::action::{PodDraft, PodName, PodSource, ReplicaSetDraft};
use cluster::deployment::IntOrPercent;
use cluster::node::Node;
use cluster::pod_template::PodTemplate;
use cluster::policy::{Budget, Namespace, PodDisruptionBudget, PodDisruptionBudgetStatus};
use cluster::selector::Selector;
use cluster::service::Service;
use cluster::{Labels, Name, NamespacedName, ObjectMeta};
use engine::SimDuration;
use manifest::field::{FieldError, FieldErrors, FieldPath};
use manifest::{node, pod, selector};

/// A Node. `at` is where it stands in the case, as for all objects here.
pub(super) fn node(given: &core::Node, at: &str) -> Result<Node, String> {
    checked(at, |errors| node::node(given, errors))
}

/// A Namespace.
pub(super) fn namespace(given: &core::Namespace) -> Namespace {
    Namespace {
        name: text(given.metadata.name.as_ref()),
        labels: labels(given.metadata.labels.as_ref()),
    }
}

/// A Service: its selector.
pub(super) fn service(given: &core::Service) -> Service {
    let selected = given.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    Service {
        meta: object_meta(&given.metadata),
        selector: selected.map(|selected| Selector::from_labels(&labels(Some(selected)))),
        ports: Vec::new(),
        is_headless: false,
        node_ports: 0,
        is_load_balancer: false,
        traffic_distribution: None,
        publish_not_ready_addresses: false,
        has_client_affinity: false,
        endpoints: Vec::new(),
    }
}

/// A PodDisruptionBudget without its status.
pub(super) fn disruption_budget(
    given: &policy::PodDisruptionBudget,
    at: &str,
) -> Result<PodDisruptionBudget, String> {
    let written = given.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    Ok(PodDisruptionBudget {
        meta: object_meta(&given.metadata),
        selector: written.map(|written| label_selector(written, at)).transpose()?,
        // The scheduler reads the status alone.
        budget: Budget::MaxUnavailable(IntOrPercent::Int(0)),
        always_allows_unhealthy: false,
        generation: 1,
        status: PodDisruptionBudgetStatus::default(),
    })
}

/// An owner of pods. Owners of all kinds only lend their selectors, and are kept as ReplicaSets
/// under a name with their kind.
pub(super) fn owner(kind: &str, given: &Owner, at: &str) -> Result<ReplicaSetDraft, String> {
    let id = owner_id(&given.metadata.namespace, kind, &given.metadata.name);
    Ok(ReplicaSetDraft {
        meta: ObjectMeta::new(id.namespace, id.name),
        owner: None,
        replicas: 0,
        selector: label_selector(&given.spec.selector, at)?,
        template: PodTemplate::default(),
        min_ready: SimDuration::ZERO,
        revision: 0,
        desired_replicas: None,
        max_replicas: None,
    })
}

/// The name under which an owner is kept.
pub(super) fn owner_id(namespace: &str, kind: &str, name: &str) -> NamespacedName {
    NamespacedName::new(namespace, Name::from(format!("{kind}/{name}")))
}

/// A pod that is not bound yet, and its name.
pub(super) fn pod(given: &core::Pod, at: &str) -> Result<(PodDraft, NamespacedName), String> {
    let spec = given.spec.clone().unwrap_or_default();
    let root = FieldPath::ROOT;
    let metadata = &given.metadata;
    let mut template =
        checked(at, |errors| pod::pod_template(Some(metadata), &spec, &root, errors))?;
    // A running pod is bound like any other.
    template.spec.node_name = None;
    let id = object_meta(metadata).id;
    let draft = PodDraft {
        name: PodName::Exact(id.name.clone()),
        namespace: id.namespace.clone(),
        template: PodSource::New(Box::new(template)),
        owner: None,
    };
    Ok((draft, id))
}

/// All errors in one line, of an object at a place in the case.
pub(super) fn listed(errors: &[FieldError], at: &str) -> String {
    let errors: Vec<String> = errors.iter().map(|error| format!("{at}.{error}")).collect();
    errors.join("; ")
}

/// The `spec.selector` of the object at a place in the case.
fn label_selector(given: &meta::LabelSelector, at: &str) -> Result<Selector, String> {
    let spec = FieldPath::ROOT.field("spec");
    checked(at, |errors| selector::label_selector(given, &spec.field("selector"), errors))
}

fn object_meta(given: &meta::ObjectMeta) -> ObjectMeta {
    ObjectMeta::new(text(given.namespace.as_ref()), text(given.name.as_ref()))
}

fn labels(given: Option<&std::collections::BTreeMap<String, String>>) -> Labels {
    given.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn text(given: Option<&String>) -> Name {
    given.map(String::as_str).unwrap_or_default().into()
}

fn checked<T>(at: &str, lower: impl FnOnce(&mut FieldErrors) -> T) -> Result<T, String> {
    let mut errors = FieldErrors::default();
    let lowered = lower(&mut errors);
    if errors.is_empty() { Ok(lowered) } else { Err(listed(&errors.into_vec(), at)) }
}
