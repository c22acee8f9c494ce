//! The JobSet controller's success and failure policies (jobset v0.10, `pkg/controllers`): a set ends with its Jobs, or
//! starts all of them anew when one fails. The Jobs themselves come from the manifests.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::action::Event;
use cluster::job::{COMPLETE, FAILED, Job, JobId};
use cluster::kueue::{JOB_SET_LABEL, REPLICATED_JOB_LABEL};
use cluster::pod::Owner;
use cluster::starts_after::{JOB_SET_POLICIES, STARTS_AFTER};
use cluster::{Action, AnySpec, Change, ClusterView, Kind, Name, NamespacedName, ObjectId};
use engine::SimTime;

/// Label of Jobs and pods: the number of restarts before.
const ATTEMPT: &str = "jobset.sigs.k8s.io/restart-attempt";

/// The JobSet controller.
#[derive(Clone, Debug, Default)]
pub struct JobSetController {
    sets: BTreeMap<NamespacedName, Course>,
}

/// How far a set is.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// `status.restarts`.
    restarts: u32,
    /// `status.restartsCountTowardsMax`.
    counted: u32,
    /// It has failed or is complete.
    is_over: bool,
    /// Its new Jobs wait for the pods of the old ones to end.
    is_restarting: bool,
}

/// A failed Job of a set.
#[derive(Clone, Debug)]
pub struct FailedJob<'a> {
    /// Its name.
    pub name: &'a str,
    /// The replicated Job of which it is one.
    pub replicated_job: &'a str,
    /// Reason of its Failed condition.
    pub reason: &'a str,
    /// When it failed.
    pub at: SimTime,
}

/// Consequence of a failed Job for its set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It fails, with this reason and message.
    Fails(&'static str, String),
    /// It starts anew, with this reason and message; true if that counts towards `maxRestarts`.
    Restarts(&'static str, String, bool),
}

/// Outcome of a failure policy for failed Jobs, at least one, after `counted` restarts
/// (`executeFailurePolicy`). Rules with `onJobFailureMessagePatterns` apply to no Job.
pub fn outcome(policy: Option<&Value>, failed: &[FailedJob<'_>], counted: u32) -> Outcome {
    let first = |jobs: &mut dyn Iterator<Item = &FailedJob<'_>>| {
        jobs.min_by_key(|job| job.at).map(|job| job.name.to_owned())
    };
    let any = first(&mut failed.iter()).unwrap_or_default();
    let told = |what: &str, job: &str| format!("{what} (first failed job: {job})");
    let Some(policy) = policy.filter(|policy| policy.is_object()) else {
        let what = "jobset failed due to one or more job failures";
        return Outcome::Fails("FailedJobs", told(what, &any));
    };
    let names = |rule: &Value, field: &str, name: &str| match rule[field].as_array() {
        Some(all) if !all.is_empty() => all.iter().any(|one| one.as_str() == Some(name)),
        _ => true,
    };
    let rules = policy["rules"].as_array().into_iter().flatten();
    let mut matching = rules.filter_map(|rule| {
        let has_patterns =
            rule["onJobFailureMessagePatterns"].as_array().is_some_and(|all| !all.is_empty());
        let mut applies = failed.iter().filter(|job| {
            !has_patterns
                && names(rule, "onJobFailureReasons", job.reason)
                && names(rule, "targetReplicatedJobs", job.replicated_job)
        });
        Some((rule["action"].as_str().unwrap_or("RestartJobSet"), first(&mut applies)?))
    });
    let (action, job) = matching.next().unwrap_or(("RestartJobSet", any));
    let most = policy["maxRestarts"].as_u64().unwrap_or(0);
    match action {
        "FailJobSet" => Outcome::Fails(
            "FailJobSetFailurePolicyAction",
            told("applying FailJobSet failure policy action", &job),
        ),
        "RestartJobSetAndIgnoreMaxRestarts" => Outcome::Restarts(
            "RestartJobSetAndIgnoreMaxRestartsFailurePolicyAction",
            told("applying RestartJobSetAndIgnoreMaxRestarts failure policy action", &job),
            false,
        ),
        _ if u64::from(counted) >= most => Outcome::Fails(
            "ReachedMaxRestarts",
            told("jobset failed due to reaching max number of restarts", &job),
        ),
        _ => Outcome::Restarts(
            "RestartJobSetFailurePolicyAction",
            told("applying RestartJobSet failure policy action", &job),
            true,
        ),
    }
}

/// Whether a set is complete: all Jobs that its success policy names have succeeded, or one of them
/// (`numJobsExpectedToSucceed`). `jobs` has the replicated Job of each, and whether it has succeeded.
pub fn is_complete(policy: Option<&Value>, jobs: &[(&str, bool)]) -> bool {
    let targets = policy.and_then(|policy| policy["targetReplicatedJobs"].as_array());
    let is_meant = |name: &str| {
        targets.is_none_or(|all| all.is_empty() || all.iter().any(|one| one.as_str() == Some(name)))
    };
    let mut meant = jobs.iter().filter(|(name, _)| is_meant(name)).map(|(_, succeeded)| *succeeded);
    match policy.and_then(|policy| policy["operator"].as_str()) {
        Some("Any") => meant.any(|succeeded| succeeded),
        _ => meant.all(|succeeded| succeeded),
    }
}

impl JobSetController {
    fn look(&mut self, view: ClusterView<'_>, name: &NamespacedName, actions: &mut Actions) {
        let course = self.sets.entry(name.clone()).or_default();
        if course.is_over || course.is_restarting {
            return;
        }
        let jobs = members(view, name);
        let Some(policies) = jobs.first().and_then(|(_, job)| policies_of(job)) else { return };
        let failed: Vec<FailedJob<'_>> =
            jobs.iter().filter_map(|(_, job)| failed_job(job)).collect();
        if failed.is_empty() {
            let has_succeeded =
                |job: &Job| job.status.finished().is_some_and(|end| end.kind == COMPLETE);
            let ends: Vec<(&str, bool)> =
                jobs.iter().map(|(_, job)| (replicated_job(job), has_succeeded(job))).collect();
            if is_complete(policies.get("successPolicy"), &ends) {
                course.is_over = true;
                delete_active(&jobs, actions);
            }
            return;
        }
        let lead = &jobs[0].1.meta.id;
        match outcome(policies.get("failurePolicy"), &failed, course.counted) {
            Outcome::Fails(reason, message) => {
                course.is_over = true;
                actions.push(event(lead, reason, message));
                delete_active(&jobs, actions);
            }
            Outcome::Restarts(reason, message, counts) => {
                course.restarts += 1;
                course.counted += u32::from(counts);
                course.is_restarting = true;
                actions.push(event(lead, reason, message));
                for (id, _) in &jobs {
                    // One by one, so that the set is never without a Job.
                    actions.push(Action::Delete(ObjectId::Job(*id)));
                    actions.extend_with(anew(view, *id, course.restarts));
                }
                actions.requeue(Key::Pass(0), view.now);
            }
        }
    }

    /// Starts the new Jobs of the sets whose old pods have ended.
    fn go_on(&mut self, view: ClusterView<'_>, actions: &mut Actions) {
        for (name, course) in self.sets.iter_mut().filter(|(_, course)| course.is_restarting) {
            let is_old = |owner: Option<Owner>| match owner {
                Some(Owner::Job(job)) => view.jobs().get(job).is_none(),
                _ => false,
            };
            let mut pods = view.store().pods_in(&name.namespace);
            let is_own = |labels: &cluster::Labels| labels.get(JOB_SET_LABEL) == Some(&name.name);
            if pods.any(|(_, pod)| is_old(pod.owner) && is_own(&view.template_of(pod).labels)) {
                continue;
            }
            course.is_restarting = false;
            for (id, job) in members(view, name) {
                // Those that start after others follow in their turn.
                if !job.meta.annotations.contains_key(STARTS_AFTER) {
                    actions.extend_with(resumed(view, id));
                }
            }
        }
    }
}

/// The Jobs of a set, oldest first.
fn members<'a>(view: ClusterView<'a>, name: &NamespacedName) -> Vec<(JobId, &'a Job)> {
    let is_own = |job: &Job| {
        *job.meta.namespace() == name.namespace
            && job.meta.labels.get(JOB_SET_LABEL) == Some(&name.name)
    };
    let mut jobs: Vec<(JobId, &Job)> =
        view.store().jobs().iter().filter(|(_, job)| is_own(job)).collect();
    jobs.sort_by_key(|(_, job)| job.meta.sequence);
    jobs
}

fn policies_of(job: &Job) -> Option<Value> {
    serde_json::from_str(job.meta.annotations.get(JOB_SET_POLICIES)?).ok()
}

fn replicated_job(job: &Job) -> &str {
    job.meta.labels.get(REPLICATED_JOB_LABEL).map_or("", |name| name)
}

fn failed_job(job: &Job) -> Option<FailedJob<'_>> {
    let end = job.status.finished().filter(|end| end.kind == FAILED)?;
    Some(FailedJob {
        name: job.meta.name(),
        replicated_job: replicated_job(job),
        reason: end.reason,
        at: end.last_transition,
    })
}

fn delete_active(jobs: &[(JobId, &Job)], actions: &mut Actions) {
    for (id, _) in jobs.iter().filter(|(_, job)| job.status.finished().is_none()) {
        actions.push(Action::Delete(ObjectId::Job(*id)));
    }
}

/// The Job as it is created again after a restart: suspended until the pods of the old one have ended.
fn anew(view: ClusterView<'_>, id: JobId, attempt: u32) -> Option<Action> {
    let (mut meta, mut spec) = view.store().written(ObjectId::Job(id))?;
    let attempt = Name::from(attempt.to_string());
    meta.labels = meta.labels.with(ATTEMPT, attempt.clone());
    if let AnySpec::Job(draft) = &mut spec {
        draft.spec.suspend = true;
        let labels = &mut draft.spec.template.labels;
        *labels = labels.with(ATTEMPT, attempt);
    }
    Some(Action::Create(Box::new(meta), spec))
}

fn resumed(view: ClusterView<'_>, id: JobId) -> Option<Action> {
    let (mut meta, mut spec) = view.store().written(ObjectId::Job(id))?;
    if let AnySpec::Job(draft) = &mut spec {
        draft.spec.suspend = false;
    }
    if let Some(document) = &mut meta.document
        && let Some(suspend) = Arc::make_mut(document).object.pointer_mut("/spec/suspend")
    {
        *suspend = false.into();
    }
    Some(Action::Apply(Box::new(meta), spec))
}

fn event(object: &NamespacedName, reason: &'static str, message: String) -> Action {
    let (kind, object) = (Kind::Job, object.clone());
    Action::Event(Box::new(Event { kind, object, is_warning: true, reason, message }))
}

impl Controller for JobSetController {
    fn name(&self) -> &'static str {
        "jobset-controller"
    }

    fn watches(&self) -> Watches {
        Watches::JOBS.and(Watches::PODS_OF_JOBS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        match *change {
            Change::Status(ObjectId::Job(id)) => {
                let job = view.jobs().get(id).filter(|job| job.status.finished().is_some());
                if job.is_some_and(|job| job.meta.annotations.contains_key(JOB_SET_POLICIES)) {
                    wake.push(Key::Job(id));
                }
            }
            Change::PodRemoved { owner: Some(Owner::Job(_)), .. }
                if self.sets.values().any(|course| course.is_restarting) =>
            {
                wake.push(Key::Pass(0));
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        match key {
            Key::Job(id) => {
                let job = view.jobs().get(id);
                let set = job.and_then(|job| {
                    let name = job.meta.labels.get(JOB_SET_LABEL)?.clone();
                    Some(NamespacedName::new(job.meta.namespace().clone(), name))
                });
                if let Some(set) = set {
                    self.look(view, &set, actions);
                }
            }
            _ => self.go_on(view, actions),
        }
        Requeue::No
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failed(
        name: &'static str,
        set: &'static str,
        reason: &'static str,
        at: i64,
    ) -> FailedJob<'static> {
        FailedJob { name, replicated_job: set, reason, at: SimTime::from_secs(at) }
    }

    #[test]
    fn a_set_without_a_policy_fails_and_one_with_a_policy_restarts_up_to_its_limit() {
        let jobs =
            [failed("b", "workers", "BackoffLimitExceeded", 7), failed("a", "workers", "x", 9)];
        let of = |policy: Option<Value>, counted| outcome(policy.as_ref(), &jobs, counted);
        let message = "jobset failed due to one or more job failures (first failed job: b)";
        assert_eq!(of(None, 0), Outcome::Fails("FailedJobs", message.to_owned()));
        let policy = json!({"maxRestarts": 2});
        assert!(matches!(of(Some(policy.clone()), 1), Outcome::Restarts(_, _, true)));
        assert!(matches!(of(Some(policy), 2), Outcome::Fails("ReachedMaxRestarts", _)));
        assert!(matches!(of(Some(json!({})), 0), Outcome::Fails("ReachedMaxRestarts", _)));
    }

    #[test]
    fn the_first_rule_that_applies_to_a_failed_job_says_what_happens() {
        let policy = json!({"maxRestarts": 1, "rules": [
            {"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"], "targetReplicatedJobs": ["leader"]},
            {"action": "RestartJobSetAndIgnoreMaxRestarts", "onJobFailureReasons": ["DeadlineExceeded"]},
        ]});
        let of = |jobs: &[FailedJob<'_>]| outcome(Some(&policy), jobs, 1);
        let worker = failed("w", "workers", "PodFailurePolicy", 1);
        assert!(matches!(
            of(std::slice::from_ref(&worker)),
            Outcome::Fails("ReachedMaxRestarts", _)
        ));
        let leader = failed("l", "leader", "PodFailurePolicy", 2);
        let Outcome::Fails(reason, message) = of(&[worker, leader]) else { panic!("it fails") };
        assert_eq!(reason, "FailJobSetFailurePolicyAction");
        assert!(message.ends_with("(first failed job: l)"), "{message}");
        let late = failed("w", "workers", "DeadlineExceeded", 1);
        assert!(matches!(of(&[late]), Outcome::Restarts(_, _, false)));
    }

    #[test]
    fn all_named_jobs_must_succeed_or_any_of_them() {
        let jobs = [("leader", true), ("workers", false), ("workers", true)];
        assert!(!is_complete(None, &jobs));
        assert!(is_complete(Some(&json!({"operator": "Any"})), &jobs));
        let leader = json!({"operator": "All", "targetReplicatedJobs": ["leader"]});
        assert!(is_complete(Some(&leader), &jobs));
        let workers = json!({"operator": "All", "targetReplicatedJobs": ["workers"]});
        assert!(!is_complete(Some(&workers), &jobs));
        let any = json!({"operator": "Any", "targetReplicatedJobs": ["workers"]});
        assert!(is_complete(Some(&any), &jobs));
        assert!(!is_complete(Some(&any), &jobs[..2]));
    }
}
