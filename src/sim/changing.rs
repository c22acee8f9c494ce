//! What users do to objects: apply, patch, scale, roll out and back, delete. Every verb says in the
//! log what was done, or why it was not.

use super::data_plane::DataPlane;
use super::environment::Environment;
use cluster::action::{PodDeletion, ReplicaSetUpdate};
use cluster::controller_revision::Revision;
use cluster::deployment::DeploymentId;
use cluster::pod_template::{PodTemplate, ReferenceKind};
use cluster::store::POD_TEMPLATE_HASH_LABEL;
use cluster::{Action, NamespacedName, ObjectReference, Store};
use faults::{ImageChange, PatchChange, Rollback, ScaleChange};

/// Annotation by which `kubectl rollout restart` changes a template.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

impl Environment {
    /// One request of a user about an object; true if it was carried out. What is refused is told.
    fn user(&mut self, object: &ObjectReference, action: Action) -> bool {
        match self.ask("user", action) {
            Ok(()) => true,
            Err(why) => {
                self.warn("user", object, "Refused", format!("the API server refuses: {why}"));
                false
            }
        }
    }

    /// The same for a request that may turn out impossible, as what it is about is not there.
    fn user_if_there(&mut self, object: &ObjectReference, action: Option<Action>) -> bool {
        let Some(action) = action else {
            self.not_found(object);
            return false;
        };
        self.user(object, action)
    }

    /// `kubectl scale`.
    pub(super) fn scale(&mut self, change: &ScaleChange) {
        let workload = &change.workload;
        let replicas = i32::try_from(change.replicas).unwrap_or(i32::MAX);
        let target = self.plane.store().scale_target(&workload.kind, &workload.id);
        let action = target.map(|target| target.scale_to(replicas));
        if self.user_if_there(workload, action) {
            self.say("user", workload, "Scaled", format!("scaled to {replicas} by the scenario"));
        }
    }

    /// `kubectl set image`.
    pub(super) fn set_image(&mut self, change: &ImageChange) {
        let action = template_change(self.plane.store(), &change.workload, |template| {
            let mut containers = template.spec.containers.iter_mut();
            let container = match &change.container {
                Some(name) => containers.find(|one| one.name == *name),
                None => containers.next(),
            };
            container.is_some_and(|container| {
                container.image = change.image.clone();
                true
            })
        });
        if self.user_if_there(&change.workload, action) {
            let message = format!("image set to {}", change.image);
            self.say("user", &change.workload, "ImageChanged", message);
        }
    }

    /// `kubectl rollout restart`.
    pub(super) fn restart_rollout(&mut self, workload: &ObjectReference) {
        let now = self.now.to_string();
        let action = template_change(self.plane.store(), workload, |template| {
            template.annotations = template.annotations.with(RESTARTED_AT, now);
            true
        });
        if self.user_if_there(workload, action) {
            self.say("user", workload, "Restarted", "Restarted by the scenario".to_owned());
        }
    }

    /// `kubectl rollout pause` and `resume`.
    pub(super) fn pause_rollout(&mut self, workload: &ObjectReference, paused: bool) {
        let store = self.plane.store();
        let id = store.deployment_named(&workload.id).filter(|_| *workload.kind == *"Deployment");
        let action = id.and_then(|id| store.deployments().get(id).map(|one| (id, one)));
        let action = action.map(|(id, one)| {
            let mut spec = one.spec.clone();
            spec.paused = paused;
            Action::SetDeploymentSpec(id, Box::new(spec))
        });
        if self.user_if_there(workload, action) {
            let reason = if paused { "Paused" } else { "Resumed" };
            self.say("user", workload, reason, format!("{reason} by the scenario"));
        }
    }

    /// `kubectl rollout undo`: the template of an earlier revision becomes the workload's.
    pub(super) fn roll_back(&mut self, rollback: &Rollback) {
        let workload = &rollback.workload;
        let store = self.plane.store();
        let revision = rollback.to_revision.map(i64::from);
        if template_of(store, workload).is_none() {
            return self.not_found(workload);
        }
        let Some(earlier) = earlier_template(store, workload, revision) else {
            let which = revision.map_or_else(|| "earlier".to_owned(), |one| format!("{one}"));
            let message = format!("there is no revision {which} to go back to: nothing was done");
            return self.warn("user", workload, "NoRevision", message);
        };
        let action = template_change(store, workload, |template| {
            *template = earlier;
            true
        });
        if self.user_if_there(workload, action) {
            self.say("user", workload, "RolledBack", "kubectl rollout undo".to_owned());
        }
    }

    /// `kubectl patch`: the whole object as it is after the patch, but for the number of replicas,
    /// which somebody else may have changed since.
    pub(super) fn patch(&mut self, change: &PatchChange, patched: &[Action]) {
        let object = &change.workload;
        if is_routing(object) {
            // Who goes where was worked out when the scenario was read.
            return self.say("user", object, "Patched", format!("patched with {}", change.patch));
        }
        let store = self.plane.store();
        let names_replicas = change.patch.pointer("/spec/replicas").is_some();
        let action = patched.first().and_then(|action| as_change(store, action.clone()).ok());
        let action = action.map(|mut action| {
            if !names_replicas {
                keep_replicas(store, &mut action);
            }
            action
        });
        if self.user_if_there(object, action) {
            self.say("user", object, "Patched", format!("patched with {}", change.patch));
        }
    }

    /// `kubectl apply`: what exists already is changed, what does not is created.
    pub(super) fn apply_object(&mut self, action: Action) {
        let Some(object) = object_of(&action) else {
            return self.act("user", action);
        };
        match as_change(self.plane.store(), action) {
            Ok(action) | Err(Unchanged::IsNew(action)) => {
                self.user(&object, action);
            }
            Err(Unchanged::Stays(why)) => {
                self.warn("user", &object, "Unchanged", format!("{object} stays as it is: {why}"));
            }
        }
    }

    /// `kubectl delete`; a node goes with its machine, a namespace with all that is in it.
    pub(super) fn delete_object(&mut self, data_plane: &mut DataPlane, object: &ObjectReference) {
        if *object.kind == *"Namespace" {
            for content in objects_in(self.plane.store(), &object.id.name) {
                if let Some(action) = deletion(self.plane.store(), &content) {
                    self.user(&content, action);
                }
            }
        }
        let action = deletion(self.plane.store(), object);
        if let Some(Action::RemoveNode(node)) = action {
            data_plane.node_down(self, node);
        }
        if self.user_if_there(object, action) {
            self.say("user", object, "Deleted", format!("{object} deleted"));
        }
    }
}

/// Whether an object says where requests from outside go.
pub(super) fn is_routing(object: &ObjectReference) -> bool {
    matches!(&*object.kind, "Ingress" | "HTTPRoute")
}

/// What the pods of a workload are made from, as its owner wrote it.
pub(super) fn template_of<'a>(
    store: &'a Store,
    workload: &ObjectReference,
) -> Option<&'a PodTemplate> {
    let id = &workload.id;
    Some(match &*workload.kind {
        "Deployment" => &store.deployments().get(store.deployment_named(id)?)?.spec.template,
        "StatefulSet" => &store.stateful_sets().get(store.stateful_set_named(id)?)?.spec.template,
        "DaemonSet" => &store.daemon_sets().get(store.daemon_set_named(id)?)?.spec.template,
        "CronJob" => {
            let cron_job = store.cron_jobs().get(store.cron_job_named(id)?)?;
            &cron_job.spec.job_template.spec.template
        }
        "Job" => &store.jobs().get(store.job_named(id)?)?.spec.template,
        "ReplicaSet" => {
            let set = store.replica_sets().values().find(|set| set.meta.id == *id)?;
            &store.templates()[set.template]
        }
        _ => return None,
    })
}

/// The write that changes what a workload's pods are made from; `None` if the workload is not there,
/// or `change` finds nothing to change.
fn template_change(
    store: &Store,
    workload: &ObjectReference,
    change: impl FnOnce(&mut PodTemplate) -> bool,
) -> Option<Action> {
    let mut template = template_of(store, workload)?.clone();
    if !change(&mut template) {
        return None;
    }
    let id = &workload.id;
    Some(match &*workload.kind {
        "Deployment" => {
            let id = store.deployment_named(id)?;
            let mut spec = store.deployments().get(id)?.spec.clone();
            spec.template = template;
            Action::SetDeploymentSpec(id, Box::new(spec))
        }
        "StatefulSet" => {
            let id = store.stateful_set_named(id)?;
            let set = store.stateful_sets().get(id)?;
            let mut spec = set.spec.clone();
            spec.template = template;
            Action::ApplyStatefulSet(id, Box::new((set.meta.clone(), spec)))
        }
        "DaemonSet" => {
            let id = store.daemon_set_named(id)?;
            let set = store.daemon_sets().get(id)?;
            let mut spec = set.spec.clone();
            spec.template = template;
            Action::ApplyDaemonSet(id, Box::new((set.meta.clone(), spec)))
        }
        "CronJob" => {
            let id = store.cron_job_named(id)?;
            let cron_job = store.cron_jobs().get(id)?;
            let mut spec = cron_job.spec.clone();
            spec.job_template.spec.template = template;
            Action::ApplyCronJob(id, Box::new((cron_job.meta.clone(), spec)))
        }
        _ => return None,
    })
}

/// The template of a revision, or of the one before the present.
fn earlier_template(
    store: &Store,
    workload: &ObjectReference,
    revision: Option<i64>,
) -> Option<PodTemplate> {
    let of_history = |history: &[Revision]| {
        let found = match revision {
            Some(number) => history.iter().find(|one| one.number == number),
            None => history.iter().rev().nth(1),
        };
        found.map(|one| (*one.template).clone())
    };
    match &*workload.kind {
        "Deployment" => {
            earlier_of_deployment(store, store.deployment_named(&workload.id)?, revision)
        }
        "StatefulSet" => {
            let id = store.stateful_set_named(&workload.id)?;
            of_history(&store.stateful_sets().get(id)?.revisions)
        }
        "DaemonSet" => {
            let id = store.daemon_set_named(&workload.id)?;
            of_history(&store.daemon_sets().get(id)?.revisions)
        }
        _ => None,
    }
}

fn earlier_of_deployment(
    store: &Store,
    id: DeploymentId,
    revision: Option<i64>,
) -> Option<PodTemplate> {
    let mut sets: Vec<_> = store.replica_sets_of(id).map(|(_, set)| set).collect();
    sets.sort_by_key(|set| std::cmp::Reverse(set.revision));
    let set = match revision {
        Some(revision) => sets.into_iter().find(|set| set.revision == revision),
        None => sets.into_iter().nth(1),
    }?;
    Some(without_hash(&store.templates()[set.template]))
}

/// A ReplicaSet's template as its Deployment has it.
fn without_hash(template: &PodTemplate) -> PodTemplate {
    let labels = template.labels.iter().filter(|(key, _)| key.as_ref() != POD_TEMPLATE_HASH_LABEL);
    let labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
    PodTemplate { labels, ..template.clone() }
}

/// Why an object that is applied is not changed.
pub enum Unchanged {
    /// It is not there, and is to be created so.
    IsNew(Action),
    /// It is there, and of a kind that cannot be changed.
    Stays(&'static str),
}

/// What changes an object that is there, of what would create it; or why nothing does.
pub fn as_change(store: &Store, creation: Action) -> Result<Action, Unchanged> {
    let is_new = |creation| Err(Unchanged::IsNew(creation));
    match creation {
        Action::CreateDeployment(draft) => match store.deployment_named(&draft.0.id) {
            Some(id) => Ok(Action::ApplyDeployment(id, draft)),
            None => is_new(Action::CreateDeployment(draft)),
        },
        Action::CreateStatefulSet(draft) => match store.stateful_set_named(&draft.0.id) {
            Some(id) => Ok(Action::ApplyStatefulSet(id, draft)),
            None => is_new(Action::CreateStatefulSet(draft)),
        },
        Action::CreateDaemonSet(draft) => match store.daemon_set_named(&draft.0.id) {
            Some(id) => Ok(Action::ApplyDaemonSet(id, draft)),
            None => is_new(Action::CreateDaemonSet(draft)),
        },
        Action::CreateJob(draft) => match store.job_named(&draft.meta.id) {
            Some(id) => Ok(Action::ApplyJob(id, Box::new((draft.meta, draft.spec)))),
            None => is_new(Action::CreateJob(draft)),
        },
        Action::CreateCronJob(draft) => match store.cron_job_named(&draft.0.id) {
            Some(id) => Ok(Action::ApplyCronJob(id, draft)),
            None => is_new(Action::CreateCronJob(draft)),
        },
        Action::CreateReplicaSet(draft) => {
            let mut sets = store.replica_sets().iter();
            let found = sets.find(|(_, set)| set.meta.id == draft.meta.id);
            match found.map(|(id, _)| id) {
                Some(id) => Ok(Action::SetReplicaSet(
                    id,
                    ReplicaSetUpdate {
                        replicas: Some(draft.replicas),
                        min_ready: Some(draft.min_ready),
                        ..ReplicaSetUpdate::default()
                    },
                )),
                None => is_new(Action::CreateReplicaSet(draft)),
            }
        }
        Action::CreateService(service) => match store.service_named(&service.meta.id) {
            Some(id) => Ok(Action::ApplyService(id, service)),
            None => is_new(Action::CreateService(service)),
        },
        Action::CreateHpa(draft) => match store.hpa_named(&draft.0.id) {
            Some(id) => Ok(Action::SetHpaSpec(id, Box::new(draft.1))),
            None => is_new(Action::CreateHpa(draft)),
        },
        Action::CreateDisruptionBudget(budget) => {
            match store.disruption_budget_named(&budget.meta.id) {
                Some(id) => Ok(Action::ApplyDisruptionBudget(id, budget)),
                None => is_new(Action::CreateDisruptionBudget(budget)),
            }
        }
        other => unchangeable(store, other),
    }
}

/// The kinds of which this simulation has no change.
fn unchangeable(store: &Store, creation: Action) -> Result<Action, Unchanged> {
    let (is_there, why) = match &creation {
        Action::CreatePod(_) => {
            let object = object_of(&creation);
            let is_there = object.is_some_and(|one| store.pod_named(&one.id).is_some());
            (is_there, "a pod cannot be changed but for its images")
        }
        Action::AddNode(node) => (
            store.node_named(node.meta.name()).is_some(),
            "a node is changed by cordon, drain and faults",
        ),
        Action::CreateVpa(draft) => {
            (store.vpa_named(&draft.0.id).is_some(), "delete it first to have another")
        }
        Action::CreateScaledObject(draft) => {
            let mut objects = store.scaled_objects().values();
            (objects.any(|one| one.meta.id == draft.0.id), "delete it first to have another")
        }
        _ => (false, ""),
    };
    if is_there { Err(Unchanged::Stays(why)) } else { Err(Unchanged::IsNew(creation)) }
}

/// A change leaves the number of replicas as it is.
fn keep_replicas(store: &Store, change: &mut Action) {
    match change {
        Action::ApplyDeployment(id, draft) => {
            if let Some(object) = store.deployments().get(*id) {
                draft.1.replicas = object.spec.replicas;
            }
        }
        Action::ApplyStatefulSet(id, draft) => {
            if let Some(object) = store.stateful_sets().get(*id) {
                draft.1.replicas = object.spec.replicas;
            }
        }
        Action::SetReplicaSet(_, update) => update.replicas = None,
        _ => {}
    }
}

/// What a creation is about, where a message would name it.
fn object_of(creation: &Action) -> Option<ObjectReference> {
    let (kind, id) = match creation {
        Action::CreateDeployment(draft) => ("Deployment", &draft.0.id),
        Action::CreateStatefulSet(draft) => ("StatefulSet", &draft.0.id),
        Action::CreateDaemonSet(draft) => ("DaemonSet", &draft.0.id),
        Action::CreateJob(draft) => ("Job", &draft.meta.id),
        Action::CreateCronJob(draft) => ("CronJob", &draft.0.id),
        Action::CreateReplicaSet(draft) => ("ReplicaSet", &draft.meta.id),
        Action::CreateService(service) => ("Service", &service.meta.id),
        Action::CreateHpa(draft) => ("HorizontalPodAutoscaler", &draft.0.id),
        Action::CreateVpa(draft) => ("VerticalPodAutoscaler", &draft.0.id),
        Action::CreateScaledObject(draft) => ("ScaledObject", &draft.0.id),
        Action::CreateDisruptionBudget(budget) => ("PodDisruptionBudget", &budget.meta.id),
        Action::AddNode(node) => ("Node", &node.meta.id),
        Action::PutClaim(draft) => ("PersistentVolumeClaim", &draft.id),
        Action::CreatePod(draft) => {
            let cluster::action::PodName::Exact(name) = &draft.name else { return None };
            let id = NamespacedName { namespace: draft.namespace.clone(), name: name.clone() };
            return Some(ObjectReference { kind: "Pod".into(), id });
        }
        _ => return None,
    };
    Some(ObjectReference { kind: kind.into(), id: id.clone() })
}

/// The request that deletes an object, if it is there.
pub fn deletion(store: &Store, object: &ObjectReference) -> Option<Action> {
    let id = &object.id;
    let config =
        |kind| store.has_config(kind, id).then(|| Action::DeleteConfig(kind, Box::new(id.clone())));
    match &*object.kind {
        "Deployment" => store.deployment_named(id).map(Action::DeleteDeployment),
        "ReplicaSet" => {
            let mut sets = store.replica_sets().iter();
            sets.find(|(_, set)| set.meta.id == *id).map(|(set, _)| Action::DeleteReplicaSet(set))
        }
        "StatefulSet" => store.stateful_set_named(id).map(Action::DeleteStatefulSet),
        "DaemonSet" => store.daemon_set_named(id).map(Action::DeleteDaemonSet),
        "Job" => store.job_named(id).map(Action::DeleteJob),
        "CronJob" => store.cron_job_named(id).map(Action::DeleteCronJob),
        "Pod" => store.pod_named(id).map(|pod| Action::DeletePod(pod, PodDeletion::default())),
        "Node" => store.node_named(&id.name).map(Action::RemoveNode),
        "Namespace" => {
            let namespace = store.namespaces().get(&id.name);
            namespace.map(|one| Action::DeleteNamespace(one.name.clone()))
        }
        "Service" => store.service_named(id).map(Action::DeleteService),
        "HorizontalPodAutoscaler" => store.hpa_named(id).map(Action::DeleteHpa),
        "ScaledObject" => {
            let mut objects = store.scaled_objects().iter();
            let found = objects.find(|(_, one)| one.meta.id == *id);
            found.map(|(one, _)| Action::DeleteScaledObject(one))
        }
        "VerticalPodAutoscaler" => store.vpa_named(id).map(Action::DeleteVpa),
        "PodDisruptionBudget" => {
            store.disruption_budget_named(id).map(Action::DeleteDisruptionBudget)
        }
        "ConfigMap" => config(ReferenceKind::ConfigMap),
        "Secret" => config(ReferenceKind::Secret),
        "PersistentVolumeClaim" => {
            store.claim(id).map(|_| Action::DeleteClaim(Box::new(id.clone())))
        }
        "LimitRange" => {
            let range = store.limit_ranges().get(id);
            range.map(|range| Action::DeleteLimitRange(range.meta.id.clone()))
        }
        "ServiceAccount" => Some(Action::DeleteServiceAccount(id.clone())),
        "ResourceQuota" => {
            let quota = store.quotas().get(id);
            quota.map(|quota| Action::DeleteResourceQuota(quota.meta.id.clone()))
        }
        _ => None,
    }
}

/// What is in a namespace, owners before what they own; what goes with its owner is not named.
fn objects_in(store: &Store, namespace: &str) -> Vec<ObjectReference> {
    let mut found = Vec::new();
    let mut add = |kind: &str, ids: &mut dyn Iterator<Item = &NamespacedName>| {
        let own = ids.filter(|id| *id.namespace == *namespace);
        found.extend(own.map(|id| ObjectReference { kind: kind.into(), id: id.clone() }));
    };
    add("CronJob", &mut store.cron_jobs().values().map(|one| &one.meta.id));
    let jobs = store.jobs().values().filter(|one| one.owner.is_none());
    add("Job", &mut jobs.map(|one| &one.meta.id));
    add("Deployment", &mut store.deployments().values().map(|one| &one.meta.id));
    let sets = store.replica_sets().values().filter(|one| one.owner.is_none());
    add("ReplicaSet", &mut sets.map(|one| &one.meta.id));
    add("StatefulSet", &mut store.stateful_sets().values().map(|one| &one.meta.id));
    add("DaemonSet", &mut store.daemon_sets().values().map(|one| &one.meta.id));
    let pods = store.pods().values().filter(|one| one.owner.is_none());
    add("Pod", &mut pods.map(|one| &one.id));
    add("Service", &mut store.services().values().map(|one| &one.meta.id));
    add("ScaledObject", &mut store.scaled_objects().values().map(|one| &one.meta.id));
    add("HorizontalPodAutoscaler", &mut store.hpas().values().map(|one| &one.meta.id));
    add("VerticalPodAutoscaler", &mut store.vpas().values().map(|one| &one.meta.id));
    let budgets = store.disruption_budgets().values();
    add("PodDisruptionBudget", &mut budgets.map(|one| &one.meta.id));
    add("ResourceQuota", &mut store.quotas().keys());
    add("LimitRange", &mut store.limit_ranges().keys());
    for (kind, name) in [(ReferenceKind::ConfigMap, "ConfigMap"), (ReferenceKind::Secret, "Secret")]
    {
        let of_kind = store.configs().filter(|(of, ..)| *of == kind);
        add(name, &mut of_kind.map(|(_, id, _)| id));
    }
    add("PersistentVolumeClaim", &mut store.claims().map(|(id, _)| id));
    found
}
