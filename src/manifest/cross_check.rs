//! Checks references between objects: the referenced object must exist and match.
//!
//! Kubernetes validates each object on its own, so most problems are warnings: the object would be
//! created, but not work as intended.

use std::collections::BTreeSet;

use serde_json::Value;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::hpa_check::Existence;
use super::load::{ControlPlane, Object};
use super::object::Manifest;
use super::relations::{ByLabel, Relations};
use super::spelling::nearest;
use super::{
    autoscaler_check, budget_check, byte_check, hpa_check, port_check, rollout_check,
    security_check,
};
use cluster::kueue::{ClusterQueueSpec, FlavorQuotas, QUEUE_LABEL};
use cluster::pod_template::{PodTemplate, Reference};
use cluster::scaled_job::SCALED_JOB_LABEL;
use cluster::selector::{Operator, Requirement, Selector};
use cluster::service::ServiceSpec;
use cluster::{AnySpec, Kind, Labels, Name, NamespacedName, Verbs};

/// Reports dangling references. The `others` have errors or are not simulated, but they exist.
pub(super) fn cross_check(
    objects: &[Object],
    others: &[Manifest],
    control_plane: ControlPlane,
    diagnostics: &mut Diagnostics,
) {
    let manifests = objects.iter().map(|object| &object.manifest);
    let known = ExistingObjects::new(manifests.chain(others));
    let relations = Relations::new(objects);
    for object in objects {
        diagnostics.append(byte_check::check(object));
        is_queued(object, &known, diagnostics);
        match &object.spec {
            AnySpec::Job(_) if known.has_cluster_queues => {
                let queue = object.meta.labels.get(QUEUE_LABEL);
                queue_exists(object, queue, "metadata.labels", &known, diagnostics);
            }
            AnySpec::CronJob(spec) if known.has_cluster_queues => {
                let queue = spec.job_template.labels.get(QUEUE_LABEL);
                let at = "spec.jobTemplate.metadata.labels";
                queue_exists(object, queue, at, &known, diagnostics);
            }
            AnySpec::ClusterQueue(queue) => flavors_exist(object, queue, &known, diagnostics),
            AnySpec::Service(service) => {
                service_selects_pods(object, service, &known, &relations, diagnostics);
            }
            AnySpec::HorizontalPodAutoscaler(spec) => {
                let target = &spec.scale_target;
                let namespace = object.meta.namespace();
                let id = NamespacedName::new(namespace.clone(), target.name.clone());
                let found = relations.named(&target.kind, &id);
                let template = found.and_then(|found| found.spec.pod_template());
                let existence = known.existence(&target.kind, &id);
                let tolerance = control_plane.hpa_tolerance;
                diagnostics.append(hpa_check::check(object, spec, existence, template, tolerance));
                diagnostics.append(autoscaler_check::rivals(object, target, &relations));
            }
            AnySpec::Rollout(spec) => {
                diagnostics.append(rollout_check::check(object, spec, &relations));
            }
            AnySpec::ScaledObject(spec) => {
                diagnostics.append(autoscaler_check::refused(object, spec, &relations));
            }
            AnySpec::ScaledJob(_) => diagnostics.append(autoscaler_check::unintended(object)),
            AnySpec::PodDisruptionBudget(budget) => {
                if let Some(selector) = &budget.selector {
                    let consequence = "it protects nothing";
                    selects_pods(
                        object,
                        selector,
                        "spec.selector",
                        consequence,
                        &known,
                        diagnostics,
                    );
                    diagnostics.append(budget_check::check(object, budget, selector, objects));
                }
            }
            _ => {}
        }
        if let Some(template) = object.spec.pod_template() {
            diagnostics.append(port_check::probes(object));
            diagnostics.append(security_check::check(object, template, &relations));
            references_exist(object, template, &relations, &known, diagnostics);
            service_account_exists(object, template, &known, diagnostics);
        }
    }
}

/// The path of a field of the pod spec inside an object of this kind.
pub(super) fn pod_path(kind: Kind, field: &str) -> String {
    let spec = match kind {
        Kind::Pod => "spec",
        Kind::CronJob => "spec.jobTemplate.spec.template.spec",
        Kind::ScaledJob => "spec.jobTargetRef.template.spec",
        _ => "spec.template.spec",
    };
    format!("{spec}.{field}")
}

/// The objects that exist, as written.
struct ExistingObjects<'a> {
    /// Kind, namespace and name of every object.
    objects: BTreeSet<(&'a str, &'a NamespacedName)>,
    /// Those in whose place are the objects that their controllers make.
    replaced: BTreeSet<(&'a str, &'a NamespacedName)>,
    /// All objects that create pods, with the labels of these pods.
    pods: Vec<Pods<'a>>,
    /// Their positions by label.
    by_label: ByLabel<usize>,
    /// Custom resources whose operators, which are not simulated, make pods.
    operated: Vec<&'a Manifest>,
    /// Whether Kueue is there.
    has_cluster_queues: bool,
}

struct Pods<'a> {
    owner: &'a Manifest,
    labels: Labels,
}

impl<'a> ExistingObjects<'a> {
    fn new(manifests: impl Iterator<Item = &'a Manifest> + Clone) -> Self {
        let identity = |manifest: &'a Manifest| (&*manifest.kind, &manifest.reference.id);
        let pods = |owner: &'a Manifest| Some(Pods { owner, labels: pod_labels(owner)? });
        let objects: BTreeSet<(&str, &NamespacedName)> = manifests.clone().map(identity).collect();
        let owner = |one: &'a Manifest| one.made_from.as_ref().map(|(kind, id)| (&**kind, id));
        let replaced = manifests.clone().filter_map(owner).collect();
        let has_cluster_queues = objects.iter().any(|(kind, _)| *kind == "ClusterQueue");
        let operated = manifests.clone().filter(|one| makes_unknown_pods(one)).collect();
        let pods: Vec<Pods<'a>> = manifests.filter_map(pods).collect();
        let mut by_label = ByLabel::default();
        for (at, pods) in pods.iter().enumerate() {
            by_label.add(&pods.labels, at);
        }
        Self { objects, replaced, pods, by_label, operated, has_cluster_queues }
    }

    fn has(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.objects.contains(&(kind, &NamespacedName::new(namespace, name)))
    }

    fn existence(&self, kind: &str, id: &NamespacedName) -> Existence {
        if self.objects.contains(&(kind, id)) {
            Existence::AsWritten
        } else if self.replaced.contains(&(kind, id)) {
            Existence::Replaced
        } else {
            Existence::Missing
        }
    }
}

/// The labels of the pods that an object creates, even if its kind is not simulated.
fn pod_labels(manifest: &Manifest) -> Option<Labels> {
    let Manifest { reference, value, .. } = manifest;
    let template = value.pointer(reference.kind.pod_template_pointer())?;
    let labels = template.pointer("/metadata/labels").and_then(Value::as_object);
    // KEDA labels the pods of a ScaledJob itself.
    let by_keda =
        (reference.kind == Kind::ScaledJob).then(|| (SCALED_JOB_LABEL, reference.id.name.as_ref()));
    if labels.is_none() && by_keda.is_none() {
        return None;
    }
    let labels = labels.into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    Some(labels.chain(by_keda).collect())
}

/// Warns of Jobs and pods in a queue of Kueue that is missing.
fn queue_exists(
    object: &Object,
    queue: Option<&Name>,
    field: &str,
    known: &ExistingObjects<'_>,
    diagnostics: &mut Diagnostics,
) {
    let namespace = object.meta.namespace();
    let Some(queue) = queue.filter(|queue| !known.has("LocalQueue", namespace, queue)) else {
        return;
    };
    let message =
        format!("no LocalQueue {queue} in the namespace {namespace}: its pods wait forever");
    let problem = warning("missing-queue", message, object, field.to_owned());
    diagnostics
        .push(problem.help("add the LocalQueue, or correct the label kueue.x-k8s.io/queue-name"));
}

/// Warns of flavors of a ClusterQueue that are missing.
fn flavors_exist(
    object: &Object,
    queue: &ClusterQueueSpec,
    known: &ExistingObjects<'_>,
    diagnostics: &mut Diagnostics,
) {
    for (place, group) in queue.groups.iter().enumerate() {
        for (at, FlavorQuotas { flavor, .. }) in group.flavors.iter().enumerate() {
            if known.has("ResourceFlavor", "", flavor) {
                continue;
            }
            let message = format!(
                "ResourceFlavor {flavor} does not exist: the queue is inactive and admits no Job"
            );
            let field = format!("spec.resourceGroups[{place}].flavors[{at}].name");
            let problem = warning("missing-reference", message, object, field);
            diagnostics.push(problem.help("add the ResourceFlavor, or remove the flavor"));
        }
    }
}

/// Notes labels that name a queue of Kueue without effect.
fn is_queued(object: &Object, known: &ExistingObjects<'_>, diagnostics: &mut Diagnostics) {
    let kind = object.manifest.reference.kind;
    if !object.meta.labels.contains_key(QUEUE_LABEL) || !kind.can(Verbs::RUN_PODS) {
        return;
    }
    let message = match kind {
        Kind::Job if known.has_cluster_queues => return,
        Kind::Pod | Kind::Deployment | Kind::StatefulSet if known.has_cluster_queues => {
            let queue = object.meta.labels.get(QUEUE_LABEL);
            return queue_exists(object, queue, "metadata.labels", known, diagnostics);
        }
        Kind::Job | Kind::Pod | Kind::Deployment | Kind::StatefulSet => {
            "no ClusterQueue is among the manifests: it starts without waiting in a queue"
        }
        _ => "only Jobs, pods, Deployments and StatefulSets wait in queues: its pods start at once",
    };
    let field = format!("metadata.labels[{QUEUE_LABEL}]");
    let manifest = &object.manifest;
    let note = Diagnostic::note("not-queued", message).at(manifest.origin.place_of(&field));
    diagnostics.push(Diagnostic { field, ..note.of(manifest.label()) });
}

fn service_selects_pods(
    object: &Object,
    service: &ServiceSpec,
    known: &ExistingObjects<'_>,
    relations: &Relations<'_>,
    diagnostics: &mut Diagnostics,
) {
    let Some(selector) = &service.selector else { return };
    let consequence = "requests to it will find no endpoint";
    if !selects_pods(object, selector, "spec.selector", consequence, known, diagnostics) {
        return;
    }
    diagnostics.append(port_check::check(object, service, relations));
}

/// True if a selector matches pods; otherwise warns.
fn selects_pods(
    object: &Object,
    selector: &Selector,
    field: &str,
    consequence: &str,
    known: &ExistingObjects<'_>,
    diagnostics: &mut Diagnostics,
) -> bool {
    let namespace = object.meta.namespace();
    let candidates = known.by_label.candidates(selector).iter().map(|at| &known.pods[*at]);
    let matching = || candidates.clone().filter(|pods| selector.matches(&pods.labels));
    if matching().any(|pods| pods.owner.reference.id.namespace == *namespace) {
        return true;
    }
    if let Some(owner) = operator_of(selector, namespace, &known.operated) {
        let message = format!(
            "not judged: its pods are those of {}, whose operator is not simulated",
            owner.label()
        );
        let note =
            Diagnostic::note("not-judged", message).at(object.manifest.origin.place_of(field));
        let note = note.of(object.manifest.label()).related(owner.origin.place(), "here");
        diagnostics.push(Diagnostic { field: field.to_owned(), ..note });
        return false;
    }
    let message = format!("selects no pods: {consequence}");
    let diagnostic = warning("selects-nothing", message, object, field.to_owned());
    diagnostics.push(match matching().next() {
        Some(elsewhere) => {
            let owner = elsewhere.owner;
            let help = format!("{} matches, but is in another namespace", owner.label());
            diagnostic.related(owner.origin.place(), "here").help(help)
        }
        None => match nearly_matching(selector, namespace, &known.pods) {
            Some((pods, differing)) => {
                let help = format!("the pods of {} have {differing}", pods.owner.label());
                diagnostic.related(pods.owner.origin.place(), "here").help(help)
            }
            None => diagnostic.help("no pods in the manifests have the selected labels"),
        },
    });
    false
}

/// Fields of the spec of a custom resource, or of a part of it, by which its operator makes pods.
const OF_PODS: [&str; 8] = [
    "containers",
    "image",
    "instances",
    "numberOfInstances",
    "podTemplate",
    "replicas",
    "size",
    "template",
];

/// True if a custom resource is probably one whose operator makes pods of it.
fn makes_unknown_pods(manifest: &Manifest) -> bool {
    let has = |value: &Value| {
        value
            .as_object()
            .is_some_and(|fields| OF_PODS.iter().any(|name| fields.contains_key(*name)))
    };
    let parts = |spec: &Value| spec.as_object().is_some_and(|fields| fields.values().any(has));
    let spec = manifest.value.get("spec");
    manifest.reference.kind == Kind::CustomResource
        && manifest.made_from.is_none()
        && spec.is_some_and(|spec| has(spec) || parts(spec))
}

/// The custom resource whose pods a selector is for: one of the namespace that a selected label names, as operators label
/// their pods.
fn operator_of<'a>(
    selector: &Selector,
    namespace: &str,
    operated: &[&'a Manifest],
) -> Option<&'a Manifest> {
    let names = |one: &Requirement, manifest: &Manifest| {
        one.operator == Operator::In
            && one.values.iter().any(|value| **value == *manifest.reference.id.name)
    };
    let mut near = operated.iter().filter(|one| *one.reference.id.namespace == *namespace);
    near.find(|manifest| selector.requirements.iter().any(|one| names(one, manifest))).copied()
}

/// Pods that have some of the requested labels, or similarly spelled ones, with their actual values.
fn nearly_matching<'a>(
    selector: &Selector,
    namespace: &str,
    pods: &'a [Pods<'a>],
) -> Option<(&'a Pods<'a>, String)> {
    let is_near = |one: &Requirement, pods: &Pods<'_>| {
        let value = pods.labels.get(&one.key);
        value.is_some_and(|value| nearest(value, one.values.iter().map(|v| &**v)).is_some())
    };
    let score = |pods: &Pods<'_>| {
        let requirements = selector.requirements.iter();
        let met = requirements.clone().filter(|one| one.matches(&pods.labels)).count();
        (met, requirements.filter(|one| is_near(one, pods)).count())
    };
    let in_namespace = pods.iter().filter(|pods| *pods.owner.reference.id.namespace == *namespace);
    let best = in_namespace.max_by_key(|pods| score(pods)).filter(|pods| score(pods) > (0, 0))?;
    let unmet = selector.requirements.iter().filter(|one| !one.matches(&best.labels));
    let instead = unmet.map(|one| match best.labels.get(&one.key) {
        Some(value) => format!("{}={value}", one.key),
        None => format!("no label {}", one.key),
    });
    Some((best, instead.collect::<Vec<_>>().join(", ")))
}

fn references_exist(
    object: &Object,
    template: &PodTemplate,
    relations: &Relations<'_>,
    known: &ExistingObjects<'_>,
    diagnostics: &mut Diagnostics,
) {
    let namespace = object.meta.namespace();
    let mut reported = BTreeSet::new();
    for Reference { kind, name, key, .. } in &template.spec.references {
        let steps = match kind {
            Kind::ConfigMap => ["configMap", "configMapRef", "configMapKeyRef"],
            Kind::Secret => ["secret", "secretRef", "secretKeyRef"],
            _ => ["persistentVolumeClaim"; 3],
        };
        let id = NamespacedName::new(namespace.clone(), name.clone());
        let (message, written, help) = if !known.has(kind.name(), namespace, name) {
            let message = format!("{kind} {id} does not exist: pods that need it cannot start");
            (message, name, missing_help(*kind, &id))
        } else if let Some(key) = key
            && let Some(keys) = relations.find(*kind, &id).and_then(|other| keys_of(&other.spec))
            && !keys.contains(key)
        {
            let message =
                format!("{kind} {id} has no key \"{key}\": pods wait for it and do not start");
            (message, key, "add the key, or make the reference optional".to_owned())
        } else {
            continue;
        };
        if reported.insert(message.clone()) {
            let field = path_of(&object.manifest.value, &steps, written).unwrap_or_default();
            let field = field.trim_start_matches('.').to_owned();
            diagnostics.push(warning("missing-reference", message, object, field).help(help));
        }
    }
}

fn missing_help(kind: Kind, id: &NamespacedName) -> String {
    let add = format!("add the {kind}, or make the reference optional");
    match kind {
        Kind::ConfigMap | Kind::Secret => {
            format!(
                "{add}; if it is created by other means, write `assumePresent: [{kind}/{id}]` in the scenario"
            )
        }
        _ => add,
    }
}

/// The keys of a ConfigMap or a Secret.
fn keys_of(spec: &AnySpec) -> Option<&BTreeSet<Name>> {
    match spec {
        AnySpec::ConfigMap(spec) => Some(&spec.keys),
        AnySpec::Secret(spec) => Some(&spec.keys),
        _ => None,
    }
}

fn service_account_exists(
    object: &Object,
    template: &PodTemplate,
    known: &ExistingObjects<'_>,
    diagnostics: &mut Diagnostics,
) {
    let name = &template.spec.service_account_name;
    let namespace = object.meta.namespace();
    if name.is_empty() || &**name == "default" || known.has("ServiceAccount", namespace, name) {
        return;
    }
    let message = format!(
        "ServiceAccount {namespace}/{name} does not exist: a cluster would not create the pods"
    );
    let field = pod_path(object.manifest.reference.kind, "serviceAccountName");
    let help = "add the ServiceAccount, or remove serviceAccountName";
    diagnostics.push(warning("missing-reference", message, object, field).help(help));
}

pub(super) fn warning(
    code: &'static str,
    message: String,
    object: &Object,
    field: String,
) -> Diagnostic {
    let manifest = &object.manifest;
    let place = manifest.origin.place_of(&field);
    Diagnostic { field, ..Diagnostic::warning(code, message).at(place).of(manifest.label()) }
}

/// The path of the first field that contains this text within a map of one of these names.
fn path_of(value: &Value, holders: &[&str], text: &str) -> Option<String> {
    match value {
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            path_of(item, holders, text).map(|below| format!("[{index}]{below}"))
        }),
        Value::Object(map) => map.iter().find_map(|(key, below)| {
            let holds = |(_, held): &(&String, &Value)| held.as_str() == Some(text);
            let found = below.as_object().filter(|_| holders.contains(&key.as_str()));
            let found = found.and_then(|held| held.iter().find(holds));
            found
                .map(|(name, _)| format!(".{key}.{name}"))
                .or_else(|| path_of(below, holders, text).map(|below| format!(".{key}{below}")))
        }),
        _ => None,
    }
}
