//! The updates of Jobs, and the Events, with which Kueue acts.

use std::sync::Arc;

use serde_json::{Value, json};

use cluster::action::Event;
use cluster::job::{Job, JobId, JobSpec};
use cluster::kueue::ResourceFlavorSpec;
use cluster::pod_template::{Toleration, TolerationOperator};
use cluster::starts_after::{HELD, STARTS_AFTER};
use cluster::{
    Action, AnySpec, ClusterView, Kind, Labels, Name, NamespacedName, ObjectId, ObjectMeta,
};

/// Lets the pods run on the nodes of these flavors.
pub(super) fn place(
    spec: &mut JobSpec,
    (selector, tolerations): (&Labels, &[Toleration]),
    flavors: &[&ResourceFlavorSpec],
) {
    let pods = &mut spec.template.spec;
    let labels = flavors.iter().flat_map(|flavor| flavor.node_labels.iter());
    let own = selector.iter();
    pods.node_selector =
        own.chain(labels).map(|(key, value)| (key.clone(), value.clone())).collect();
    let further = flavors.iter().flat_map(|flavor| &flavor.tolerations);
    pods.tolerations = tolerations.iter().chain(further).cloned().collect();
}

/// The update that suspends or starts a Job. One that starts after others stays suspended until its turn comes, for which
/// it is held while it is not admitted.
pub(super) fn suspended(
    view: ClusterView<'_>,
    id: JobId,
    job: &Job,
    is_suspended: bool,
    change: impl FnOnce(&mut JobSpec),
) -> Action {
    let written = view.store().written(ObjectId::Job(id));
    let (mut meta, mut spec) = written
        .unwrap_or_else(|| (job.meta.clone(), AnySpec::Job(Box::new(job.spec.clone().into()))));
    let waits_for_others = meta.annotations.contains_key(STARTS_AFTER);
    if waits_for_others && is_suspended {
        meta.annotations = meta.annotations.with(HELD, "");
    } else if waits_for_others {
        let others = meta.annotations.iter().filter(|(key, _)| ***key != *HELD);
        meta.annotations = others.map(|(key, value)| (key.clone(), value.clone())).collect();
    }
    if let AnySpec::Job(draft) = &mut spec {
        draft.spec.suspend = is_suspended || waits_for_others;
        change(&mut draft.spec);
        document(&mut meta, &mut draft.spec);
    }
    Action::Apply(Box::new(meta), spec)
}

/// Brings the written form of a Job to the fields that Kueue changes.
fn document(meta: &mut ObjectMeta, spec: &mut JobSpec) {
    let pods = &spec.template.spec;
    let selector: Value = pods
        .node_selector
        .iter()
        .map(|(key, value)| (key.to_string(), json!(&**value)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let tolerations: Value = pods.tolerations.iter().map(toleration).collect();
    let in_pods = |pods: &mut Value| {
        let Some(pods) = pods.as_object_mut() else { return };
        for (field, value) in [("nodeSelector", &selector), ("tolerations", &tolerations)] {
            let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty);
            if is_empty {
                pods.shift_remove(field);
            } else {
                pods.insert(field.to_owned(), value.clone());
            }
        }
    };
    if let Some(document) = &mut meta.document {
        let document = Arc::make_mut(document);
        let written = &mut document.object["spec"];
        written["suspend"] = spec.suspend.into();
        written["parallelism"] = spec.parallelism.into();
        if let Some(completions) = spec.completions {
            written["completions"] = completions.into();
        }
        in_pods(&mut document.object["spec"]["template"]["spec"]);
    }
    if let Some(mut written) = spec.template.document.get().cloned() {
        in_pods(&mut written["spec"]);
        spec.template.document = written.into();
    }
}

fn toleration(one: &Toleration) -> Value {
    let mut written = serde_json::Map::new();
    let mut set = |field: &str, value: Value| _ = written.insert(field.to_owned(), value);
    if !one.key.is_empty() {
        set("key", json!(&*one.key));
    }
    match one.operator {
        TolerationOperator::Exists => set("operator", json!("Exists")),
        TolerationOperator::Equal => {
            set("operator", json!("Equal"));
            set("value", json!(&*one.value));
        }
    }
    if let Some(effect) = one.effect {
        set("effect", json!(format!("{effect:?}")));
    }
    if let Some(seconds) = one.toleration_seconds {
        set("tolerationSeconds", json!(seconds));
    }
    written.into()
}

/// The Event of an admission.
pub(super) fn started(object: &(Kind, NamespacedName), queue: &Name) -> Action {
    event(object, "Started", format!("Admitted by clusterQueue {queue}"))
}

/// An Event of Kueue.
pub(super) fn event(
    (kind, object): &(Kind, NamespacedName),
    reason: &'static str,
    message: String,
) -> Action {
    let object = object.clone();
    Action::Event(Box::new(Event { kind: *kind, object, is_warning: false, reason, message }))
}
