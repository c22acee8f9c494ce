//! Idle periods, in which every sync of an HPA would repeat the last one until something changes: the controller
//! skips these syncs, and replays them when it is woken or queried.

use std::collections::hash_map;

use rustc_hash::FxHashMap;

use crate::Requeue;
use cluster::ClusterView;
use cluster::hpa_object::HpaId;
use cluster::scale::{Scale, ScaleTarget};
use engine::{SimDuration, SimTime};

/// All inputs of a quiet decision: while they are unchanged, so is the recommendation of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    pub target: ScaleTarget,
    pub scale: Scale,
    pub pods_revision: u64,
    pub autoscalers_revision: u64,
    /// Until then no pod changes its class by age alone.
    pub holds_until: SimTime,
}

impl Basis {
    /// True if all inputs are unchanged.
    pub fn holds(&self, view: ClusterView<'_>) -> bool {
        view.now < self.holds_until
            && self.autoscalers_revision == view.autoscalers_revision()
            && self.pods_revision == view.pods_revision(self.target)
            && view.scale(self.target) == Some(self.scale)
    }
}

/// An idle period of one HPA.
#[derive(Clone, Copy, Debug)]
pub struct IdlePeriod {
    id: HpaId,
    basis: Basis,
    /// The first skipped sync.
    first: SimTime,
    period: SimDuration,
}

impl IdlePeriod {
    /// An idle period whose first sync would be at `first`.
    pub const fn new(id: HpaId, basis: Basis, first: SimTime, period: SimDuration) -> Self {
        Self { id, basis, first, period }
    }

    /// The first sync whose result may change with time alone; `None` if there is none.
    pub fn ends(&self) -> Option<SimTime> {
        let until = self.basis.holds_until;
        let longest = (until != SimTime::MAX).then(|| (until - self.first).max(SimDuration::ZERO));
        longest.map(|longest| self.first + self.period * ceil_div(longest, self.period))
    }

    /// Time of the next sync if nothing changes.
    pub fn requeue(&self) -> Requeue {
        self.ends().map_or(Requeue::No, Requeue::At)
    }

    /// Number of syncs skipped up to `now`. A sync at the instant of a change precedes the change.
    pub fn passed(&self, now: SimTime) -> i64 {
        let due = match now - self.first {
            since if since < SimDuration::ZERO => 0,
            since => since.as_nanos() / self.period.as_nanos() + 1,
        };
        match self.ends() {
            Some(ends) => due.min((ends - self.first).as_nanos() / self.period.as_nanos()),
            None => due,
        }
    }

    /// Time at which the skipped sync with this number, from 0, would have been.
    pub fn sync(&self, number: i64) -> SimTime {
        self.first + self.period * number
    }
}

fn ceil_div(span: SimDuration, period: SimDuration) -> i64 {
    let (span, period) = (span.as_nanos(), period.as_nanos());
    span / period + i64::from(span % period != 0)
}

/// The idle HPAs.
#[derive(Clone, Debug, Default)]
pub struct IdleHpas {
    /// By the HPA's slot.
    periods: Vec<Option<IdlePeriod>>,
    /// HPAs by target. Lookups only, never iterated.
    by_target: FxHashMap<ScaleTarget, Vec<HpaId>>,
}

impl IdleHpas {
    /// The idle period of an HPA.
    pub fn get(&self, id: HpaId) -> Option<IdlePeriod> {
        self.periods.get(id.index()).copied().flatten().filter(|period| period.id == id)
    }

    /// Marks an HPA as idle.
    pub fn insert(&mut self, period: IdlePeriod) {
        let slot = period.id.index();
        if self.periods.len() <= slot {
            self.periods.resize(slot + 1, None);
        }
        // The slot may still hold the idle period of a deleted HPA.
        if let Some(before) = self.periods[slot].replace(period) {
            self.forget(before);
        }
        self.by_target.entry(period.basis.target).or_default().push(period.id);
    }

    /// Ends the idle period of an HPA, if any.
    pub fn remove(&mut self, id: HpaId) -> Option<IdlePeriod> {
        let period = self.periods.get_mut(id.index())?.take_if(|period| period.id == id)?;
        self.forget(period);
        Some(period)
    }

    fn forget(&mut self, period: IdlePeriod) {
        if let hash_map::Entry::Occupied(mut ids) = self.by_target.entry(period.basis.target) {
            ids.get_mut().retain(|id| *id != period.id);
            if ids.get().is_empty() {
                ids.remove();
            }
        }
    }

    /// Idle HPAs of this target.
    pub fn of(&self, target: ScaleTarget) -> impl Iterator<Item = HpaId> {
        self.by_target.get(&target).into_iter().flatten().copied()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = HpaId> {
        self.periods.iter().flatten().map(|period| period.id)
    }

    /// True if no HPA is idle.
    pub fn is_empty(&self) -> bool {
        self.by_target.is_empty()
    }

    /// The idle period of an HPA, if its basis is unchanged.
    pub fn undisturbed(&self, view: ClusterView<'_>, id: HpaId) -> Option<IdlePeriod> {
        self.get(id).filter(|period| period.basis.holds(view))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::deployment::DeploymentId;

    fn idle_period(holds_until: SimTime) -> IdlePeriod {
        let target = ScaleTarget::Deployment(DeploymentId::from_bits(1));
        let scale = Scale { spec_replicas: 1, status_replicas: 1 };
        let basis = Basis { target, scale, pods_revision: 1, autoscalers_revision: 1, holds_until };
        let period = SimDuration::from_secs(15);
        IdlePeriod::new(HpaId::from_bits(7), basis, SimTime::from_secs(20), period)
    }

    fn passed_at(period: &IdlePeriod, seconds: i64) -> i64 {
        period.passed(SimTime::from_secs(seconds))
    }

    #[test]
    fn a_sync_at_the_instant_of_a_change_came_before_it() {
        let period = idle_period(SimTime::MAX);
        assert_eq!([19, 20, 34, 35].map(|at| passed_at(&period, at)), [0, 1, 1, 2]);
        assert_eq!((period.sync(2), period.ends()), (SimTime::from_secs(50), None));
    }

    #[test]
    fn the_first_sync_at_which_a_pod_has_become_another_class_is_made() {
        for (until, ends) in [(10, 20), (20, 20), (21, 35), (35, 35), (36, 50)] {
            let period = idle_period(SimTime::from_secs(until));
            assert_eq!(period.ends(), Some(SimTime::from_secs(ends)), "{until}");
            assert_eq!(passed_at(&period, 500), (ends - 20) / 15, "{until}");
        }
    }

    #[test]
    fn who_sleeps_is_found_by_target_until_woken() {
        let mut idle = IdleHpas::default();
        let (one, target) =
            (idle_period(SimTime::MAX), ScaleTarget::Deployment(DeploymentId::from_bits(1)));
        idle.insert(one);
        idle.insert(one);
        assert_eq!(idle.of(target).collect::<Vec<_>>(), [one.id]);
        assert!(idle.remove(HpaId::from_bits(8)).is_none());
        assert!(idle.remove(one.id).is_some() && idle.is_empty());
        assert_eq!(idle.all().count(), 0);
    }
}
