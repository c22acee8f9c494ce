//! Objects as people wrote them, for what the store does not keep as it plays no part in a run: commands,
//! environments, mounts, the data of ConfigMaps, the fields of Ingresses.

use std::collections::BTreeMap;

use serde_json::Value;

use cluster::pod::{Owner, Pod};
use cluster::{ClusterView, NamespacedName, ObjectReference};
use engine::SimTime;

/// The documents that were in force at an instant, each with the time at which it was first written.
#[derive(Clone, Debug, Default)]
pub struct Written(BTreeMap<ObjectReference, (SimTime, Value)>);

impl FromIterator<(ObjectReference, SimTime, Value)> for Written {
    fn from_iter<I: IntoIterator<Item = (ObjectReference, SimTime, Value)>>(all: I) -> Self {
        Self(all.into_iter().map(|(object, since, value)| (object, (since, value))).collect())
    }
}

impl Written {
    /// An object; null if nobody wrote it.
    pub(super) fn get(&self, kind: &str, id: &NamespacedName) -> &Value {
        let object = ObjectReference { kind: kind.into(), id: id.clone() };
        self.0.get(&object).map_or(&Value::Null, |(_, value)| value)
    }

    /// All objects of a kind.
    pub(super) fn of_kind<'a>(
        &'a self,
        kind: &'a str,
    ) -> impl Iterator<Item = (&'a NamespacedName, SimTime, &'a Value)> {
        let own = self.0.iter().filter(move |(object, _)| *object.kind == *kind);
        own.map(|(object, (since, value))| (&object.id, *since, value))
    }

    /// When an object was first written.
    pub(super) fn since(&self, kind: &str, id: &NamespacedName) -> Option<SimTime> {
        let object = ObjectReference { kind: kind.into(), id: id.clone() };
        self.0.get(&object).map(|(since, _)| *since)
    }

    /// The pod template that somebody wrote for a workload, or a pod as it was written.
    pub(super) fn template(&self, kind: &str, id: &NamespacedName) -> &Value {
        let path = match kind {
            "Pod" => return self.get(kind, id),
            "CronJob" => "/spec/jobTemplate/spec/template",
            _ => "/spec/template",
        };
        self.get(kind, id).pointer(path).unwrap_or(&Value::Null)
    }

    /// The template of whoever owns a pod in the end, or the pod itself.
    pub(super) fn template_of<'a>(&'a self, view: ClusterView<'_>, pod: &Pod) -> &'a Value {
        match pod.owner.and_then(|owner| writer(view, owner)) {
            Some((kind, id)) => self.template(kind, id),
            None => self.template("Pod", &pod.id),
        }
    }
}

/// Who wrote the template of an owner of pods: the Deployment of a ReplicaSet, the CronJob of a Job.
pub(super) fn writer(
    view: ClusterView<'_>,
    owner: Owner,
) -> Option<(&'static str, &NamespacedName)> {
    let store = view.store();
    let above = match owner {
        Owner::ReplicaSet(id) => {
            let deployment = store.replica_sets().get(id)?.owner;
            deployment.and_then(|id| Some(("Deployment", &store.deployments().get(id)?.meta.id)))
        }
        Owner::Job(id) => {
            let cron_job = store.jobs().get(id)?.owner;
            cron_job.and_then(|id| Some(("CronJob", &store.cron_jobs().get(id)?.meta.id)))
        }
        Owner::StatefulSet(_) | Owner::DaemonSet(_) => None,
    };
    above.or_else(|| store.identity_of(owner))
}
