//! Rejection of whole cohorts of pods: decided once for all of them, and recorded as if each had been tried.

use std::sync::Arc;

use super::message::cut;
use super::queue::{QueuedPod, Rejection};
use super::reason_sets::ReasonSetsId;
use super::schedule_one::{Scheduler, cycle, event};
use cluster::pod::{Pod, PodId};
use cluster::{Action, ClusterView};

/// A rejection of pods of one cohort.
struct Verdict {
    rejection: Rejection,
    /// Message of their events; `None` if they had an event for the same reasons before.
    message: Option<String>,
    /// Number of nodes that preemption would examine.
    potential: usize,
}

impl Scheduler {
    /// Rejects cohorts in the order of their turns until some node may take a pod of one of them.
    pub(super) fn reject_batch(&mut self, view: ClusterView<'_>, actions: &mut Vec<Action>) {
        loop {
            let cohorts = self.queue.first_cohorts(view.now);
            let verdicts: Option<Vec<(u32, Verdict)>> =
                cohorts.iter().map(|one| Some((one.0, self.verdict_on(view, *one)?))).collect();
            let Some(verdicts) = verdicts.filter(|all| !all.is_empty()) else { return };
            let mut rejections = Vec::with_capacity(verdicts.len());
            for (id, verdict) in verdicts {
                let pods = self.queue.cohort(id).1;
                (0..pods).for_each(|_| self.pass_over(verdict.potential));
                if let Some(message) = &verdict.message {
                    let pods = self.queue.pods_of(id);
                    let pods = pods.filter_map(|pod| view.store().pods().get(pod));
                    actions.extend(pods.map(|pod| failed(pod, message)));
                }
                rejections.push((id, verdict.rejection));
            }
            self.queue.reject_all(rejections, view.now);
        }
    }

    /// Rejects one pod if the counted refusals suffice for its message; else does nothing.
    pub(super) fn reject_by_index(
        &mut self,
        view: ClusterView<'_>,
        profile: usize,
        queued: &QueuedPod,
        pod: &Pod,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(mut verdict) = self.verdict(view, profile, (queued, pod), queued.reason_sets)
        else {
            return false;
        };
        self.pass_over(verdict.potential);
        actions.extend(verdict.message.take().map(|message| failed(pod, &message)));
        self.queue.add_unschedulable(queued.clone(), verdict.rejection, view.now);
        true
    }

    /// The verdict on a cohort, given one of its pods; `None` if some node may take it.
    fn verdict_on(&mut self, view: ClusterView<'_>, (id, pod): (u32, PodId)) -> Option<Verdict> {
        let (common, _) = self.queue.cohort(id);
        let (alike, reason_sets) = (common.alike, common.reason_sets);
        if alike.is_shared && self.cache.has_anti_affinity_classes() {
            return None;
        }
        let queued = self.queue.get(pod)?;
        let profile = self.profile_of(queued.class)?;
        let pod = view.store().pods().get(pod)?;
        let mut verdict = self.verdict(view, profile, (&queued, pod), reason_sets)?;
        verdict.rejection.alike = alike;
        Some(verdict)
    }

    fn verdict(
        &mut self,
        view: ClusterView<'_>,
        profile: usize,
        (queued, pod): (&QueuedPod, &Pod),
        reason_sets: ReasonSetsId,
    ) -> Option<Verdict> {
        let profiles = Arc::clone(&self.profiles);
        let profile = &profiles[profile];
        let class = queued.class;
        let cycle = cycle(&self.cache, view, queued.pod, class, pod);
        let counts = self.index.refusal(profile, &cycle, class, &self.nominations)?;
        let reasons = self.reason_sets.reasons(counts.reasons());
        let news = self.reason_sets.and(reason_sets, reasons);
        let message = news.map(|_| counts.message(profile, &cycle));
        let (by, potential) = (counts.rejecting_plugins(), counts.potential());
        let alike = self.alike_of(profile, class, &by);
        let rejection = Rejection { alike, by, reason_sets: news.unwrap_or(reason_sets) };
        Some(Verdict { rejection, message, potential })
    }

    /// Accounts for an attempt that examined all nodes for one pod: the next one starts at the same node, and the random
    /// numbers that preemption would have drawn are skipped.
    fn pass_over(&mut self, potential: usize) {
        self.start %= self.cache.node_count().max(1);
        self.ties.offset(potential);
    }
}

fn failed(pod: &Pod, message: &str) -> Action {
    event(pod, true, "FailedScheduling", cut(message))
}
