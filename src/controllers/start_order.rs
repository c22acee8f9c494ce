//! Objects that their controllers create one after another (`startupPolicy` and `dependsOn` of a JobSet,
//! `LeaderReady` of a LeaderWorkerSet): here each exists from the start in a dormant state, and starts once all
//! objects that it awaits have reached their state.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::job::{COMPLETE, Job};
use cluster::scale::ScaleTarget;
use cluster::starts_after::{HELD, STARTS_AFTER, STARTS_WITH, State, awaited_objects};
use cluster::{Action, AnySpec, Change, ClusterView, ObjectId, ObjectMeta, ObjectReference};

/// Starts objects in their order.
#[derive(Clone, Debug, Default)]
pub struct StartOrderController {
    /// Dormant objects.
    waiting: BTreeSet<Key>,
}

/// Whether all pods that a Job has at once are ready or have succeeded (JobSet's `dependencyReached`).
pub fn is_ready(job: &Job) -> bool {
    let spec = &job.spec;
    let pods = spec.completions.map_or(spec.parallelism, |all| all.min(spec.parallelism));
    !spec.suspend && job.status.ready + job.status.succeeded >= pods
}

/// Whether a Job has ended well.
pub fn is_complete(job: &Job) -> bool {
    job.status.finished().is_some_and(|condition| condition.kind == COMPLETE)
}

impl Controller for StartOrderController {
    fn name(&self) -> &'static str {
        "start-order-controller"
    }

    fn watches(&self) -> Watches {
        Watches::JOBS.and(Watches::STATEFUL_SETS).and(Watches::PODS_OF_STATEFUL_SETS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        if !self.watches().meets(Watches::of(view, change)) {
            return;
        }
        if let Change::Spec(object, _) = *change
            && let Some(key) = key_of(object)
            && waits_for(view, key).is_some()
        {
            wake.push(key);
        }
        wake.extend(&self.waiting);
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Some(text) = waits_for(view, key) else {
            self.waiting.remove(&key);
            return Requeue::No;
        };
        if !awaited_objects(&text).all(|(object, state)| has_come(view, &object, state)) {
            self.waiting.insert(key);
            return Requeue::No;
        }
        self.waiting.remove(&key);
        if let Some(action) = start(view, key) {
            actions.push(action);
        }
        Requeue::No
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

fn key_of(object: ObjectId) -> Option<Key> {
    match object {
        ObjectId::Job(id) => Some(Key::Job(id)),
        ObjectId::StatefulSet(id) => Some(Key::StatefulSet(id)),
        _ => None,
    }
}

/// The annotation naming the objects that a dormant object awaits.
fn waits_for(view: ClusterView<'_>, key: Key) -> Option<Arc<str>> {
    let has_queues = !view.store().cluster_queues().is_empty();
    let annotation = |meta: &ObjectMeta| {
        let is_held = has_queues && meta.annotations.contains_key(HELD);
        meta.annotations.get(STARTS_AFTER).filter(|_| !is_held).cloned()
    };
    match key {
        Key::Job(id) => annotation(&view.jobs().get(id).filter(|job| job.spec.suspend)?.meta),
        Key::StatefulSet(id) => {
            annotation(&view.stateful_sets().get(id).filter(|set| set.spec.replicas == 0)?.meta)
        }
        _ => None,
    }
}

fn has_come(view: ClusterView<'_>, object: &ObjectReference, state: State) -> bool {
    match (view.store().object_named(object.kind, &object.id), state) {
        (Some(ObjectId::Job(id)), State::Ready) => view.jobs().get(id).is_some_and(is_ready),
        (Some(ObjectId::Job(id)), State::Complete) => view.jobs().get(id).is_some_and(is_complete),
        (Some(ObjectId::Pod(id)), _) => {
            view.pods().get(id).is_some_and(cluster::pod::Pod::is_ready)
        }
        _ => false,
    }
}

/// The write that starts an object.
fn start(view: ClusterView<'_>, key: Key) -> Option<Action> {
    match key {
        Key::Job(id) => {
            let (mut meta, mut spec) = view.store().written(ObjectId::Job(id))?;
            if let AnySpec::Job(draft) = &mut spec {
                draft.spec.suspend = false;
            }
            if let Some(document) = &mut meta.document
                && let Some(suspend) = Arc::make_mut(document).object.pointer_mut("/spec/suspend")
            {
                *suspend = false.into();
            }
            Some(Action::apply(meta, spec))
        }
        Key::StatefulSet(id) => {
            let set = view.stateful_sets().get(id)?;
            let replicas = set.meta.annotations.get(STARTS_WITH)?.parse().ok()?;
            Some(Action::Scale(ScaleTarget::StatefulSet(id), replicas))
        }
        _ => None,
    }
}
