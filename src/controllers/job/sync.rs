//! One sync of a Job (`syncJob`, 1.36): counts finished pods, decides whether the Job is finished, and otherwise
//! which pods it needs.

use std::collections::BTreeMap;

use super::backoff::{BackoffRecord, finished_at};
use super::failure_policy::{Judgement, judge};
use crate::{Actions, Key};
use cluster::action::PodDeletion;
use cluster::deployment::WorkloadCondition;
use cluster::job::{Job, JobId, JobStatus, completion_index};
use cluster::job_indexes::IndexSet;
use cluster::node::ConditionStatus;
use cluster::pod::{Finalizer, Owner, Pod, PodId, PodPhase};
use cluster::pod_template::RestartPolicy;
use cluster::{Action, ClusterView, Kind};
use engine::{SimDuration, SimTime};

/// Condition kind: the Job fails as soon as its pods have ended.
pub(super) const FAILURE_TARGET: &str = "FailureTarget";
/// Condition kind: the Job is complete as soon as its pods have ended.
pub(super) const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
const SUSPENDED: &str = "Suspended";

/// Annotation: counted failures of an index before this pod.
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// Annotation: failures of an index before this pod that its policy ignored.
pub(super) const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// Why a Job ends.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) kind: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Ending {
    fn failure(reason: &'static str, message: &str) -> Self {
        Self { kind: FAILURE_TARGET, reason, message: message.to_owned() }
    }
}

/// State of one sync.
pub(super) struct Sync<'a> {
    pub(super) view: ClusterView<'a>,
    pub(super) id: JobId,
    pub(super) job: &'a Job,
    pub(super) pods: Vec<(PodId, &'a Pod)>,
    pub(super) active: Vec<(PodId, &'a Pod)>,
    pub(super) status: JobStatus,
    pub(super) record: BackoffRecord,
    pub(super) succeeded: i32,
    /// Including those that succeeded since the last sync.
    pub(super) succeeded_indexes: IndexSet,
    /// Failed pods that have not been replaced yet, by index.
    pub(super) delayed: BTreeMap<i32, (PodId, &'a Pod)>,
    failed: i32,
    ready: i32,
    pub(super) terminating: i32,
}

impl<'a> Sync<'a> {
    pub(super) fn new(
        view: ClusterView<'a>,
        id: JobId,
        job: &'a Job,
        record: BackoffRecord,
    ) -> Self {
        let mut pods: Vec<(PodId, &Pod)> = view.store().pods_of(Owner::Job(id)).collect();
        pods.sort_by_key(|(_, pod)| pod.sequence);
        let active: Vec<_> = pods.iter().copied().filter(|(_, pod)| pod.is_active()).collect();
        let is_terminating = |pod: &Pod| pod.is_terminating() && !pod.phase.is_terminal();
        Self {
            view,
            id,
            job,
            ready: count(active.iter().filter(|(_, pod)| pod.is_ready())),
            terminating: count(pods.iter().filter(|(_, pod)| is_terminating(pod))),
            active,
            pods,
            status: job.status.clone(),
            record,
            succeeded: 0,
            succeeded_indexes: job
                .status
                .completed_indexes
                .below(job.spec.completions.unwrap_or(0)),
            delayed: BTreeMap::new(),
            failed: 0,
        }
    }

    /// Runs the sync; returns the record of consecutive failures. Pods are created and removed only if `may_manage`
    /// is set: after a refusal the status is written, and the rest waits for the back-off.
    pub(super) fn run(mut self, may_manage: bool, actions: &mut Actions) -> BackoffRecord {
        let before = self.record;
        self.count_pods();
        if self.status.start_time.is_none() && !self.job.spec.suspend {
            self.status.start_time = Some(self.view.now.floor_to_second());
        }
        let mut ending = self.ending_known().or_else(|| self.ending_of_limits(actions));
        if self.job.spec.is_indexed {
            ending = self.count_indexes(ending);
        }
        let active = if ending.is_some() {
            self.delete_active(actions);
            0
        } else {
            let active = if may_manage { self.manage(actions) } else { count(self.active.iter()) };
            ending = self.completion(active);
            if ending.is_none() && may_manage {
                self.judge_suspension(actions);
            }
            active
        };
        self.status.active = active;
        self.status.ready = self.ready;
        self.status.terminating = self.terminating;
        let is_written = self.track(ending, actions);
        if is_written { self.record } else { before }
    }

    /// Whether a pod is not accounted for yet: its finalizer holds it, and it has a valid index where
    /// it needs one.
    pub(super) fn is_uncounted(&self, pod: &Pod) -> bool {
        pod.finalizer != Finalizer::Absent
            && (!self.job.spec.is_indexed || self.index(pod).is_some())
    }

    /// The valid completion index of a pod.
    pub(super) fn index(&self, pod: &Pod) -> Option<i32> {
        let completions = self.job.spec.completions.unwrap_or(0);
        completion_index(self.view.labels_of(pod)).filter(|index| (0..completions).contains(index))
    }

    /// Whether a pod has failed: a terminating one counts unless the Job waits for it to finish (`isPodFailed`).
    pub(super) fn is_failed(&self, pod: &Pod) -> bool {
        match pod.phase {
            PodPhase::Failed => true,
            PodPhase::Succeeded => false,
            _ => !self.job.spec.replaces_only_failed && pod.is_terminating(),
        }
    }

    pub(super) fn judge(&self, pod: &Pod) -> Judgement {
        let spec = &self.job.spec;
        let template = self.view.store().template_of(pod);
        let has_limit_per_index = spec.backoff_limit_per_index.is_some();
        judge(spec.pod_failure_policy.as_deref(), pod, template, has_limit_per_index)
    }

    /// Finish time of a pod.
    pub(super) fn finished_at(&self, pod: &Pod) -> SimTime {
        finished_at(pod, &self.view.store().template_of(pod).spec)
    }

    fn count_pods(&mut self) {
        let uncounted =
            || self.pods.iter().map(|(_, pod)| *pod).filter(|pod| self.is_uncounted(pod));
        let succeeded = uncounted().filter(|pod| pod.phase == PodPhase::Succeeded);
        let succeeded = succeeded.map(|pod| self.finished_at(pod));
        let succeeded: Vec<_> = succeeded.collect();
        let failed: Vec<&Pod> = uncounted().filter(|pod| self.is_failed(pod)).collect();
        let counted = count(failed.iter().filter(|pod| self.judge(pod).is_counted()));
        let failed: Vec<_> = failed.into_iter().map(|pod| self.finished_at(pod)).collect();
        self.failed = self.status.failed + counted;
        self.succeeded = self.status.succeeded + count(succeeded.iter());
        self.record = self.record.with(&succeeded, &failed);
    }

    /// The end that was decided earlier, or that a failed pod means by policy.
    fn ending_known(&self) -> Option<Ending> {
        let find = |kind: &str| {
            let mut conditions = self.status.conditions.iter();
            conditions.find(|one| one.kind == kind && one.status == ConditionStatus::True)
        };
        let again = |condition: &WorkloadCondition, kind| Ending {
            kind,
            reason: condition.reason,
            message: condition.message.to_string(),
        };
        if let Some(condition) = find(SUCCESS_CRITERIA_MET) {
            return Some(again(condition, SUCCESS_CRITERIA_MET));
        }
        if let Some(condition) = find(FAILURE_TARGET) {
            return Some(again(condition, FAILURE_TARGET));
        }
        let mut failed = self.pods.iter().filter(|(_, pod)| self.is_failed(pod));
        let message = failed.find_map(|(_, pod)| self.judge(pod).message)?;
        Some(Ending { kind: FAILURE_TARGET, reason: "PodFailurePolicy", message })
    }

    /// The end that the back-off limit or the deadline means.
    fn ending_of_limits(&self, actions: &mut Actions) -> Option<Ending> {
        let spec = &self.job.spec;
        if self.failed > spec.backoff_limit || self.is_past_restarts() {
            let message = "Job has reached the specified backoff limit";
            return Some(Ending::failure("BackoffLimitExceeded", message));
        }
        let seconds = spec.active_deadline_seconds.filter(|_| !spec.suspend)?;
        let deadline = self.status.start_time? + SimDuration::from_secs(seconds);
        if deadline <= self.view.now {
            let message = "Job was active longer than specified deadline";
            return Some(Ending::failure("DeadlineExceeded", message));
        }
        actions.requeue(Key::Job(self.id), deadline);
        None
    }

    /// With `restartPolicy: OnFailure` restarts of containers count like failed pods
    /// (`pastBackoffLimitOnFailure`).
    fn is_past_restarts(&self) -> bool {
        let spec = &self.job.spec;
        if spec.template.spec.restart_policy != RestartPolicy::OnFailure {
            return false;
        }
        let is_counted = |pod: &Pod| matches!(pod.phase, PodPhase::Pending | PodPhase::Running);
        let counted = self.pods.iter().filter(|(_, pod)| is_counted(pod));
        let restarts: i64 = counted.map(|(_, pod)| restarts_of(pod)).sum();
        if spec.backoff_limit == 0 { restarts > 0 } else { restarts >= spec.backoff_limit.into() }
    }

    /// Counts indexes instead of pods, and looks whether they end the Job.
    fn count_indexes(&mut self, ending: Option<Ending>) -> Option<Ending> {
        let spec = &self.job.spec;
        let completions = spec.completions.unwrap_or(0);
        let uncounted = self.pods.iter().filter(|(_, pod)| self.is_uncounted(pod));
        let succeeded = uncounted.filter(|(_, pod)| pod.phase == PodPhase::Succeeded);
        let new: IndexSet = succeeded.filter_map(|(_, pod)| self.index(pod)).collect();
        self.succeeded_indexes = self.succeeded_indexes.union(&new);
        self.succeeded = self.succeeded_indexes.total();
        let mut ending = ending;
        if spec.backoff_limit_per_index.is_some() {
            let failed = self.failed_indexes();
            let total = failed.total();
            if ending.is_none() && spec.max_failed_indexes.is_some_and(|max| total > max) {
                let message = "Job has exceeded the specified maximal number of failed indexes";
                ending = Some(Ending::failure("MaxFailedIndexesExceeded", message));
            } else if ending.is_none() && total > 0 && total + self.succeeded >= completions {
                ending = Some(Ending::failure("FailedIndexes", "Job has failed indexes"));
            }
            self.status.failed_indexes = Some(failed);
            self.delayed = self.delayed_pods();
        }
        ending.or_else(|| self.success_by_policy(completions))
    }

    /// Previously failed indexes, and those that now exceed their limit of failures (`calculateFailedIndexes`).
    fn failed_indexes(&self) -> IndexSet {
        use cluster::job::PodFailureAction::FailIndex;
        let limit = self.job.spec.backoff_limit_per_index.unwrap_or(i32::MAX);
        let is_index_failed = |pod: &Pod| {
            let judgement = self.judge(pod);
            self.is_failed(pod)
                && (judgement.action == Some(FailIndex)
                    || judgement.is_counted() && self.annotated(pod, INDEX_FAILURES) >= limit)
        };
        let uncounted = self.pods.iter().filter(|(_, pod)| self.is_uncounted(pod));
        let failed = uncounted.filter(|(_, pod)| is_index_failed(pod));
        let new: IndexSet = failed.filter_map(|(_, pod)| self.index(pod)).collect();
        let before = self.status.failed_indexes.clone().unwrap_or_default();
        new.union(&before.below(self.job.spec.completions.unwrap_or(0)))
    }

    /// A number in an annotation of a pod; 0 if absent.
    pub(super) fn annotated(&self, pod: &Pod, key: &str) -> i32 {
        let value = self.view.annotations_of(pod).get(key);
        value.and_then(|value| value.parse().ok()).filter(|count| *count >= 0).unwrap_or(0)
    }

    /// All failures of a pod's index before it, ignored ones too (`getIndexAbsoluteFailureCount`).
    pub(super) fn failures_before(&self, pod: &Pod) -> i32 {
        self.annotated(pod, INDEX_FAILURES) + self.annotated(pod, IGNORED_FAILURES)
    }

    /// Failed pods that stay until their place is taken, as their failures are counted on the pods
    /// themselves (`getPodsWithDelayedDeletionPerIndex`).
    fn delayed_pods(&self) -> BTreeMap<i32, (PodId, &'a Pod)> {
        let failed_indexes = self.status.failed_indexes.clone().unwrap_or_default();
        let active: Vec<i32> = self.active.iter().filter_map(|(_, pod)| self.index(pod)).collect();
        let mut delayed: BTreeMap<i32, (PodId, &Pod)> = BTreeMap::new();
        for (id, pod) in &self.pods {
            let is_last_try = self.is_uncounted(pod) && self.is_failed(pod);
            let Some(index) = self.index(pod).filter(|_| is_last_try) else { continue };
            if self.succeeded_indexes.contains(index)
                || failed_indexes.contains(index)
                || active.contains(&index)
            {
                continue;
            }
            // The one that failed more often stays, and so does the one that ended later.
            let stays = delayed.get(&index).is_some_and(|(_, known)| {
                self.failures_before(known) > self.failures_before(pod)
                    || self.finished_at(known) > self.finished_at(pod)
            });
            if !stays {
                delayed.insert(index, (*id, *pod));
            }
        }
        delayed
    }

    /// The first satisfied rule of the success policy (`matchSuccessPolicy`).
    fn success_by_policy(&self, completions: i32) -> Option<Ending> {
        let rules = self.job.spec.success_policy.as_ref()?;
        if self.succeeded_indexes.total() == 0 {
            return None;
        }
        let is_met = |rule: &cluster::job::SuccessRule| {
            let Some(indexes) = &rule.indexes else {
                return rule.count.is_some_and(|count| self.succeeded_indexes.total() >= count);
            };
            let wanted = IndexSet::parse(indexes, completions);
            let met = wanted.count_in(&self.succeeded_indexes);
            met >= rule.count.unwrap_or_else(|| wanted.total())
        };
        let position = rules.iter().position(is_met)?;
        Some(Ending {
            kind: SUCCESS_CRITERIA_MET,
            reason: "SuccessPolicy",
            message: format!("Matched rules at index {position}"),
        })
    }

    /// Pods that run on are not needed any more.
    fn delete_active(&mut self, actions: &mut Actions) {
        for (id, pod) in &self.active {
            actions.push(Action::DeletePod(*id, PodDeletion::default()));
            self.ready -= i32::from(pod.is_ready());
        }
        self.terminating += count(self.active.iter());
    }

    /// Notes that pods leave because there are too many of them.
    pub(super) fn note_removed(&mut self, removed: &[(PodId, &Pod)]) {
        self.ready -= count(removed.iter().filter(|(_, pod)| pod.is_ready()));
        self.terminating += count(removed.iter());
    }

    /// The end by success, when nothing runs any more.
    fn completion(&self, active: i32) -> Option<Ending> {
        let is_complete = active == 0
            && match self.job.spec.completions {
                None => self.succeeded > 0,
                Some(completions) => self.succeeded >= completions,
            };
        is_complete.then(|| Ending {
            kind: SUCCESS_CRITERIA_MET,
            reason: "CompletionsReached",
            message: "Reached expected number of succeeded pods".to_owned(),
        })
    }

    fn judge_suspension(&mut self, actions: &mut Actions) {
        let known = self.status.conditions.iter().any(|condition| condition.kind == SUSPENDED);
        if self.job.spec.suspend {
            if self.set_condition(SUSPENDED, ConditionStatus::True, "JobSuspended", "Job suspended")
            {
                actions.push(self.event(false, "Suspended", "Job suspended".to_owned()));
            }
            // Gate MutableSchedulingDirectivesForSuspendedJobs, on by default since 1.36.
            self.status.start_time = None;
        } else if known
            && self.set_condition(SUSPENDED, ConditionStatus::False, "JobResumed", "Job resumed")
        {
            actions.push(self.event(false, "Resumed", "Job resumed".to_owned()));
            self.status.start_time = Some(self.view.now.floor_to_second());
        }
    }

    /// Sets a condition; true if it is another one than before (`ensureJobConditionStatus`).
    pub(super) fn set_condition(
        &mut self,
        kind: &'static str,
        status: ConditionStatus,
        reason: &'static str,
        message: &str,
    ) -> bool {
        let since = self.view.now.floor_to_second();
        let condition = WorkloadCondition {
            kind,
            status,
            reason,
            message: message.into(),
            last_update: since,
            last_transition: since,
        };
        let known = self.status.conditions.iter_mut().find(|known| known.kind == kind);
        match known {
            Some(known)
                if (known.status, known.reason, &*known.message) == (status, reason, message) =>
            {
                false
            }
            Some(known) => {
                *known = condition;
                true
            }
            None => {
                self.status.conditions.push(condition);
                true
            }
        }
    }

    pub(super) fn event(&self, is_warning: bool, reason: &'static str, message: String) -> Action {
        Action::Event(Box::new(cluster::action::Event {
            kind: Kind::Job,
            object: self.job.meta.id.clone(),
            is_warning,
            reason,
            message,
        }))
    }
}

/// Restarts of all containers of a pod.
fn restarts_of(pod: &Pod) -> i64 {
    let reported: i64 = pod.containers.all().iter().map(|status| i64::from(status.restarts)).sum();
    // Without container statuses from a kubelet, the pod's own counts are used.
    reported.max(i64::from(pod.restarts.containers_max) + i64::from(pod.restarts.sidecars_max))
}

pub(super) fn count(items: impl Iterator) -> i32 {
    i32::try_from(items.count()).unwrap_or(i32::MAX)
}
