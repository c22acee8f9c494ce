//! Replaces the pods of a Rollout without an update: those created before `restartAt` are evicted, a few at a time
//! (`rollout/restart.go`, Argo Rollouts 1.9.1).

use super::sync::Sync;
use crate::replica_set::status::available_at;
use cluster::Action;
use cluster::pod::{Owner, Pod, PodId};
use engine::{SimDuration, SimTime};

/// Time to the next look at the pods, if no change brings one (`restartPodCheckTime`).
const RETRY: SimDuration = SimDuration::from_secs(30);

impl<'a> Sync<'a> {
    /// Evicts pods that are too old; whether there were any that may go (`Reconcile`). Budgets may refuse.
    pub(super) fn restart_pods(&mut self) -> bool {
        let Some(restart_at) = self.rollout.spec.restart_at else { return false };
        if self.restarted_at == Some(restart_at) {
            return false;
        }
        let now = self.view.now;
        let seconds = restart_at.as_second() - self.view.timestamp().as_second();
        let since = now.floor_to_second() + SimDuration::from_secs(seconds);
        if now < since {
            self.wake_at(since);
            return false;
        }
        let mut pods = self.pods();
        pods.sort_by(|(_, one), (_, other)| one.id.name.cmp(&other.id.name));
        let old: Vec<(PodId, &Pod)> =
            pods.iter().copied().filter(|(_, pod)| pod.created.floor_to_second() < since).collect();
        if old.is_empty() {
            self.restarted_at = Some(restart_at);
            return false;
        }
        self.wake_at(now + RETRY);
        let may_go = self.restartable(&pods, now);
        let mut is_any = false;
        for (id, _) in old.into_iter().filter(|(_, pod)| !pod.is_terminating()).take(may_go) {
            self.actions.push(Action::EvictPod(id, None));
            is_any = true;
        }
        is_any
    }

    /// Available pods above the least number: all but those that may be unavailable, at least one.
    fn restartable(&self, pods: &[(PodId, &Pod)], now: SimTime) -> usize {
        let min_ready = SimDuration::from_secs(self.rollout.spec.min_ready_seconds.into());
        let is_available = |pod: &Pod| {
            available_at(pod, min_ready).is_some_and(|at| at <= now) && !pod.is_terminating()
        };
        let available = pods.iter().filter(|(_, pod)| is_available(pod)).count();
        let all: i32 = self.sets.all.iter().map(|set| set.replicas).sum();
        let at_once = self.fenceposts().unavailable.max(1);
        let least = self.wanted().max(all) - at_once;
        available.saturating_sub(usize::try_from(least).unwrap_or(0))
    }

    /// The pods of all versions.
    fn pods(&self) -> Vec<(PodId, &'a Pod)> {
        let store = self.view.store();
        let sets = self.sets.all.iter().filter_map(|set| set.id);
        sets.flat_map(|set| store.pods_of(Owner::ReplicaSet(set))).collect()
    }
}
