//! KEDA's loop for ScaledJobs: reads the triggers at each poll, creates Jobs, and deletes finished ones
//! (`controllers/keda/scaledjob_controller.go`, `pkg/scaling/scale_handler.go`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;

use super::executor::Triggers;
use super::scaled_job::{
    JobDemand, JobEnd, JobPodState, JobState, conditions, demand, is_pending, jobs_to_create,
    jobs_to_delete,
};
use super::triggers::Activity;
use crate::{Actions, Controller, Explain, Key, Requeue, Watches};
use cluster::action::Event;
use cluster::document::Document;
use cluster::job::{COMPLETE, Job, JobDraft, JobId, JobOwner};
use cluster::node::ConditionStatus;
use cluster::pod::{Owner, Pod, PodCondition};
use cluster::scaled_job::{JobScaling, ScaledJob, ScaledJobId, ScaledJobStatus};
use cluster::scaled_object::{KedaCondition, KedaConditions};
use cluster::{
    Action, Change, ClusterView, Kind, Name, NamespacedName, ObjectId, ObjectMeta, generated_suffix,
};
use engine::SimTime;

/// Annotation of a Job: the generation of the ScaledJob that created it.
const GENERATION: &str = "scaledjob.keda.sh/generation";

/// Annotation of a ScaledJob by which it is paused.
const PAUSED: &str = "autoscaling.keda.sh/paused";

/// The part of the KEDA operator that runs ScaledJobs.
#[derive(Clone, Debug, Default)]
pub struct ScaledJobController {
    last: BTreeMap<ScaledJobId, String>,
    /// Generation and pause of each as they were last seen.
    seen: BTreeMap<ScaledJobId, (i64, Name)>,
}

impl Controller for ScaledJobController {
    fn name(&self) -> &'static str {
        "keda-operator"
    }

    fn watches(&self) -> Watches {
        Watches::SCALED_JOBS
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        match *change {
            Change::Spec(ObjectId::ScaledJob(id), _) => {
                let Some(object) = view.store().scaled_jobs().get(id) else { return };
                let paused = object.meta.annotations.get(PAUSED).cloned().unwrap_or_default();
                let present = (object.meta.generation, paused);
                // Of other changes the next poll learns (`GenerationChangedPredicate`, `PausedPredicate`).
                if self.seen.insert(id, present.clone()) != Some(present) {
                    wake.push(Key::ScaledJob(id));
                }
            }
            Change::Removed { object: ObjectId::ScaledJob(id), .. } => {
                self.seen.remove(&id);
                self.last.remove(&id);
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::ScaledJob(id) = key else { return Requeue::No };
        let Some(object) = view.store().scaled_jobs().get(id) else { return Requeue::No };
        let poll = Poll { view, id, object };
        if object.spec.is_paused {
            poll.pause(actions);
            self.last.insert(id, format!("at {}: it is paused\n", view.now));
            // The scale loop is stopped.
            return Requeue::No;
        }
        let explanation = poll.run(actions);
        self.last.insert(id, explanation);
        // A change cancels the loop and starts another (`HandleScalableObject`).
        Requeue::OnlyAt(view.now + object.spec.polling_interval)
    }

    fn explanations(&self) -> Option<&dyn Explain> {
        Some(self)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl Explain for ScaledJobController {
    fn explain(&self, key: Key, _: SimTime) -> Option<String> {
        let Key::ScaledJob(id) = key else { return None };
        self.last.get(&id).cloned()
    }
}

/// One poll of a ScaledJob.
struct Poll<'a> {
    view: ClusterView<'a>,
    id: ScaledJobId,
    object: &'a ScaledJob,
}

impl<'a> Poll<'a> {
    /// Creates and deletes Jobs; returns the explanation.
    fn run(&self, actions: &mut Actions) -> String {
        let Self { view, id, object } = *self;
        let (spec, before) = (&object.spec, &object.status);
        let (earlier, jobs) = self.jobs();
        for (job, _) in &earlier {
            actions.push(Action::Delete(ObjectId::Job(*job)));
        }
        let states: Vec<JobState> = jobs.iter().map(|(id, job)| state(view, *id, job)).collect();
        let activity = Activity::of_job(view, &spec.triggers);
        let wanted = demand(&activity.demands(), spec.calculation, &spec.scaling);
        let JobDemand { is_active, queue_length, max_scale } = wanted;
        let created = jobs_to_create(&spec.scaling, &states, is_active, queue_length, max_scale);
        let number = u64::try_from(created).unwrap_or(0);
        for nth in 0..number {
            let (meta, draft) = self.draft(before.created + nth);
            actions.push(Action::create(meta, draft));
        }
        if number > 0 {
            actions.push(self.event("KEDAJobsCreated", format!("Created {number} jobs")));
        }
        let deleted = jobs_to_delete(&spec.scaling, &states);
        for place in &deleted {
            actions.push(Action::Delete(ObjectId::Job(jobs[*place].0)));
        }
        let triggers = Triggers { is_active, is_failing: activity.is_failing() };
        let conditions = conditions(before.conditions, triggers);
        let conditions = KedaConditions { paused: self.paused(), ..conditions };
        let last_active = is_active.then(|| view.now.floor_to_second()).or(before.last_active);
        let unlimited =
            JobScaling { max_replicas: Some(i64::from(i32::MAX)), ..spec.scaling.clone() };
        let asked = demand(&activity.demands(), spec.calculation, &unlimited).max_scale;
        let after = ScaledJobStatus {
            last_active,
            conditions,
            created: before.created + number,
            is_at_maximum: is_active && asked > spec.scaling.max_replicas(),
        };
        if after != *before {
            actions.push(Action::status(id, after));
        }
        self.explain((&activity, wanted), &states, (created, deleted.len()))
    }

    /// Notes the pause.
    fn pause(&self, actions: &mut Actions) {
        let before = &self.object.status;
        let conditions = KedaConditions { paused: self.paused(), ..before.conditions };
        if conditions != before.conditions {
            actions.push(Action::status(self.id, ScaledJobStatus { conditions, ..before.clone() }));
        }
    }

    /// `Paused`, which the reconciler sets.
    const fn paused(&self) -> KedaCondition {
        let before = self.object.status.conditions.paused;
        match (self.object.spec.is_paused, before.status) {
            (true, _) => KedaCondition::new(ConditionStatus::True, "ScaledJobPaused"),
            (false, ConditionStatus::True) => {
                KedaCondition::new(ConditionStatus::False, "ScaledJobUnpaused")
            }
            (false, _) => before,
        }
    }

    /// The Jobs of earlier generations that a change of the spec deletes, and those that stay.
    #[expect(clippy::type_complexity, reason = "the same list twice")]
    fn jobs(&self) -> (Vec<(JobId, &'a Job)>, Vec<(JobId, &'a Job)>) {
        let generation = self.object.meta.generation.to_string();
        let is_kept = |job: &Job| {
            let created_by = job.meta.annotations.get(GENERATION);
            self.object.spec.is_rollout_gradual || created_by.is_some_and(|by| **by == *generation)
        };
        self.view.store().jobs_of(self.id).partition(|(_, job)| !is_kept(job))
    }

    fn draft(&self, number: u64) -> (ObjectMeta, JobDraft) {
        let Self { view, id, object } = *self;
        let template = &object.spec.job_template;
        let (namespace, own_name) = (object.meta.namespace(), object.meta.name());
        // A taken name is drawn anew, as the API server does.
        let tries = (0_u64..8).map(|again| number ^ again << 32);
        let names = tries.map(|try_number| {
            let suffix = generated_suffix(object.meta.uid, try_number);
            NamespacedName::new(namespace.clone(), format!("{own_name}-{suffix}"))
        });
        let mut names = names.filter(|name| view.named::<Job>(name).is_none());
        let name = names.next().map_or_else(|| format!("{own_name}-{number}").into(), |id| id.name);
        let mut meta = ObjectMeta::new(namespace.clone(), name);
        meta.labels = template.labels.clone();
        let generation = object.meta.generation.to_string();
        meta.annotations = template.annotations.with(GENERATION, generation);
        meta.document = self.document().map(Arc::new);
        (meta, JobDraft { owner: Some(JobOwner::ScaledJob(id)), spec: template.spec.clone() })
    }

    /// A Job as the ScaledJob's manifest has it.
    fn document(&self) -> Option<Document> {
        let written = &self.object.meta.document.as_ref()?.object;
        let mut spec = written.pointer("/spec/jobTargetRef")?.clone();
        let template = &self.object.spec.job_template.spec.template;
        let labels = template.labels.iter().map(|(key, value)| (key.to_string(), json!(&**value)));
        spec["template"]["metadata"]["labels"] = labels.collect::<serde_json::Map<_, _>>().into();
        Some(Document { object: json!({ "spec": spec }), last_applied: None })
    }

    fn event(&self, reason: &'static str, message: String) -> Action {
        Action::Event(Box::new(Event {
            kind: Kind::ScaledJob,
            object: self.object.meta.id.clone(),
            is_warning: false,
            reason,
            message,
        }))
    }

    fn explain(
        &self,
        (activity, wanted): (&Activity, JobDemand),
        jobs: &[JobState],
        (created, deleted): (i64, usize),
    ) -> String {
        let scaling = &self.object.spec.scaling;
        let running = jobs.iter().filter(|job| job.end.is_none()).count();
        let pending = jobs.iter().filter(|job| is_pending(scaling, job)).count();
        let (least, most) = (scaling.min_replicas(), scaling.max_replicas());
        let most = most.saturating_add(least);
        let mut text = format!(
            "at {}: unfinished Jobs: {running}, of which {pending} pending; {least} to {most} allowed\n{activity}",
            self.view.now
        );
        let JobDemand { is_active, queue_length, max_scale } = wanted;
        let strategy = scaling.strategy.name();
        let course = if !is_active {
            "no trigger is active: no Job is created".to_owned()
        } else if i64::try_from(running).is_ok_and(|running| running < least) {
            format!("fewer Jobs than the minimum: creates {created}")
        } else {
            format!(
                "queue length {queue_length}, {max_scale} Jobs by the target, strategy {strategy}: creates {created}"
            )
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{course}");
        if deleted > 0 {
            let _ = writeln!(text, "deletes {deleted} finished beyond the history limits");
        }
        text
    }
}

fn state(view: ClusterView<'_>, id: JobId, job: &Job) -> JobState {
    let end = job.status.finished().map(|condition| JobEnd {
        is_complete: condition.kind == COMPLETE,
        completion_time: job.status.completion_time.map(|at| (at - SimTime::ZERO).as_secs()),
    });
    // Only the pods of Jobs that have not ended count.
    let pods = end.is_none().then(|| view.store().pods_of(Owner::Job(id)));
    let pod_state =
        |pod: &Pod| JobPodState { phase: pod.phase, true_conditions: conditions_of(pod) };
    JobState { end, pods: pods.into_iter().flatten().map(|(_, pod)| pod_state(pod)).collect() }
}

/// The types of a pod's conditions that hold.
fn conditions_of(pod: &Pod) -> Vec<Name> {
    let known = &pod.conditions;
    let all: [(&str, Option<PodCondition>); 5] = [
        ("PodReadyToStartContainers", known.ready_to_start_containers),
        ("Initialized", known.initialized),
        ("Ready", pod.ready),
        ("ContainersReady", known.containers_ready),
        ("PodScheduled", known.scheduled),
    ];
    let holds = |condition: &PodCondition| condition.status == ConditionStatus::True;
    let true_ones = all.into_iter().filter(|(_, one)| one.as_ref().is_some_and(holds));
    true_ones.map(|(name, _)| name.into()).collect()
}
