//! Which pods a Job creates and removes (`manageJob`, 1.36).

use std::cmp::Reverse;

use super::backoff::delay;
use super::sync::{IGNORED_FAILURES, INDEX_FAILURES, Sync, count};
use crate::replica_set::slow_start_batches;
use crate::{Actions, Key};
use cluster::action::{PodDeletion, PodDraft, PodName, PodSource};
use cluster::job::COMPLETION_INDEX;
use cluster::job_indexes::IndexSet;
use cluster::pod::{Owner, Pod, PodId, PodPhase};
use cluster::{Action, Name};
use engine::{SimDuration, SimTime};

/// Maximum number of pods created or deleted by one sync (`MaxPodCreateDeletePerSync`).
const BURST: usize = 500;
/// Minimum delay of a sync that waits for a back-off (`syncJobBatchPeriod`).
const DELAY_MIN: SimDuration = SimDuration::from_secs(1);

impl<'a> Sync<'a> {
    /// Creates missing pods or removes surplus ones. Returns the number of active pods for the status: none during a
    /// back-off, whatever is running.
    pub(super) fn manage(&mut self, actions: &mut Actions) -> i32 {
        let active = count(self.active.iter());
        let wanted = if self.job.spec.suspend { 0 } else { self.wanted_active(active) };
        let removed = self.surplus(active, wanted);
        if !removed.is_empty() || self.job.spec.suspend {
            for (id, _) in &removed {
                // Pods that the Job takes back are not counted.
                actions.push(Action::RemovePodFinalizer(*id));
                actions.push(Action::DeletePod(*id, PodDeletion::default()));
            }
            self.note_removed(&removed);
            return active - count(removed.iter());
        }
        let replaced = if self.job.spec.replaces_only_failed { self.terminating } else { 0 };
        match wanted - replaced - active {
            missing @ 1.. => self.create(active, usize::try_from(missing).unwrap_or(0), actions),
            _ => active,
        }
    }

    /// The desired number of active pods.
    fn wanted_active(&self, active: i32) -> i32 {
        let parallelism = self.job.spec.parallelism;
        match self.job.spec.completions {
            // After the first success of a work queue, running pods continue and none are started.
            None if self.succeeded > 0 => active,
            None => parallelism,
            Some(completions) => (completions - self.succeeded).clamp(0, parallelism.max(0)),
        }
    }

    /// Surplus pods, always including those with duplicate or invalid indexes (`activePodsForRemoval`).
    fn surplus(&self, active: i32, wanted: i32) -> Vec<(PodId, &'a Pod)> {
        let at_least = usize::try_from(active - wanted).unwrap_or(0);
        let mut left = self.active.clone();
        left.sort_by_key(|(_, pod)| removal_rank(pod));
        let mut removed = Vec::new();
        if self.job.spec.is_indexed {
            // The last of each index in the order of removal stays.
            let mut kept = Vec::new();
            for (id, pod) in left.into_iter().rev() {
                match self.index(pod) {
                    Some(index) if !kept.iter().any(|(_, other)| *other == index) => {
                        kept.push(((id, pod), index));
                    }
                    _ => removed.push((id, pod)),
                }
            }
            left = kept.into_iter().rev().map(|(one, _)| one).collect();
        }
        let more = at_least.saturating_sub(removed.len());
        removed.extend(left.into_iter().take(more));
        if !self.job.spec.suspend {
            removed.truncate(BURST);
        }
        removed
    }

    fn create(&mut self, active: i32, missing: usize, actions: &mut Actions) -> i32 {
        let has_limit_per_index = self.job.spec.backoff_limit_per_index.is_some();
        let not_before = self.record.not_before().filter(|_| !has_limit_per_index);
        if let Some(at) = not_before.filter(|at| *at > self.view.now) {
            return self.wait_until(at, actions);
        }
        let missing = missing.min(BURST);
        if !self.job.spec.is_indexed {
            self.create_pods(&vec![None; missing], actions);
            return active + i32::try_from(missing).unwrap_or(i32::MAX);
        }
        let mut indexes = self.pending_indexes(missing);
        if has_limit_per_index {
            let due = |index: &i32| self.index_due(*index);
            let next = indexes.iter().map(due).min();
            indexes.retain(|index| due(index) <= self.view.now);
            if let (true, Some(at)) = (indexes.is_empty(), next) {
                return self.wait_until(at, actions);
            }
        }
        let indexes: Vec<Option<i32>> = indexes.into_iter().map(Some).collect();
        self.create_pods(&indexes, actions);
        active + count(indexes.iter())
    }

    fn wait_until(&self, at: SimTime, actions: &mut Actions) -> i32 {
        actions.requeue(Key::Job(self.id), at.max(self.view.now + DELAY_MIN));
        0
    }

    /// The lowest indexes without an active pod (`firstPendingIndexes`).
    fn pending_indexes(&self, count: usize) -> Vec<i32> {
        let is_taken = |pod: &Pod| {
            pod.is_active()
                || self.job.spec.replaces_only_failed
                    && pod.is_terminating()
                    && !pod.phase.is_terminal()
        };
        let pods = self.pods.iter().filter(|(_, pod)| is_taken(pod));
        let taken: IndexSet = pods.filter_map(|(_, pod)| self.index(pod)).collect();
        let failed = self.status.failed_indexes.clone().unwrap_or_default();
        let closed = taken.union(&self.succeeded_indexes).union(&failed);
        closed.missing(count, self.job.spec.completions.unwrap_or(0))
    }

    /// When an index with a limit of its own may be tried again (`getRemainingTimePerIndex`).
    fn index_due(&self, index: i32) -> SimTime {
        self.delayed.get(&index).map_or(self.view.now, |(_, pod)| {
            self.finished_at(pod) + delay(self.failures_before(pod) + 1)
        })
    }

    fn create_pods(&self, indexes: &[Option<i32>], actions: &mut Actions) {
        let mut indexes = indexes.iter();
        for batch in slow_start_batches(indexes.len()) {
            for index in indexes.by_ref().take(batch) {
                actions.push(Action::CreatePod(Box::new(self.draft(*index))));
            }
            actions.end_batch();
        }
    }

    fn draft(&self, index: Option<i32>) -> PodDraft {
        let meta = &self.job.meta;
        let (prefix, template) = match index {
            None => (format!("{}-", meta.name()), PodSource::Interned(self.job.template)),
            Some(index) => (format!("{}-{index}-", meta.name()), self.indexed_template(index)),
        };
        PodDraft {
            name: PodName::Generate(prefix.into()),
            namespace: meta.namespace().clone(),
            template,
            owner: Some(Owner::Job(self.id)),
        }
    }

    /// The template with the index and the number of its failures so far (`addIndexFailureCountAnnotation`).
    fn indexed_template(&self, index: i32) -> PodSource {
        let number = Name::from(index.to_string());
        let mut template = self.view.store().templates()[self.job.template].clone();
        template.labels = template.labels.with(COMPLETION_INDEX, number.clone());
        template.annotations = template.annotations.with(COMPLETION_INDEX, number);
        if self.job.spec.backoff_limit_per_index.is_some() {
            let (mut failures, mut ignored) = (0, 0);
            if let Some((_, pod)) = self.delayed.get(&index) {
                failures = self.annotated(pod, INDEX_FAILURES);
                ignored = self.annotated(pod, IGNORED_FAILURES);
                if self.judge(pod).is_counted() { failures += 1 } else { ignored += 1 }
            }
            template.annotations = template.annotations.with(INDEX_FAILURES, failures.to_string());
            if ignored > 0 {
                template.annotations =
                    template.annotations.with(IGNORED_FAILURES, ignored.to_string());
            }
        }
        PodSource::New(Box::new(template))
    }
}

/// The least advanced pods are removed first (`controller.ActivePods`): not bound, pending, not ready, ready most
/// recently, restarted most often, created most recently.
fn removal_rank(pod: &Pod) -> impl Ord + use<> {
    let phase = match pod.phase {
        PodPhase::Pending => 0,
        PodPhase::Unknown => 1,
        _ => 2,
    };
    let ready_since = pod.ready.filter(|_| pod.is_ready()).map(|ready| ready.since);
    (
        pod.node.is_some(),
        phase,
        pod.is_ready(),
        Reverse(ready_since),
        (Reverse(pod.restarts.containers_max), Reverse(pod.restarts.sidecars_max)),
        Reverse((pod.created, pod.sequence)),
    )
}
