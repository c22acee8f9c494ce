//! Times in which the syncs of an HPA lead to what the last one led to, until something changes: the
//! controller sleeps through them, and makes up for them when it is woken or somebody asks.

use std::collections::hash_map;

use rustc_hash::FxHashMap;

use crate::cluster::ClusterView;
use crate::cluster::hpa_object::HpaId;
use crate::cluster::scale::{Scale, ScaleTarget};
use crate::controllers::Requeue;
use crate::engine::{SimDuration, SimTime};

/// Everything that a quiet decision rests on: while it is the same, so is what the metrics ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    pub target: ScaleTarget,
    pub scale: Scale,
    pub pods_revision: u64,
    pub autoscalers_revision: u64,
    /// Until then no pod becomes another class by its age alone.
    pub holds_until: SimTime,
}

impl Basis {
    /// Whether everything is as it was.
    pub fn holds(&self, view: ClusterView<'_>) -> bool {
        view.now < self.holds_until
            && self.autoscalers_revision == view.autoscalers_revision()
            && self.pods_revision == view.pods_revision(self.target)
            && view.scale(self.target) == Some(self.scale)
    }
}

/// A lull of one HPA.
#[derive(Clone, Copy, Debug)]
pub struct Lull {
    id: HpaId,
    basis: Basis,
    /// The first sync that is not made.
    first: SimTime,
    period: SimDuration,
}

impl Lull {
    /// A lull whose first sync would be at `first`.
    pub const fn new(id: HpaId, basis: Basis, first: SimTime, period: SimDuration) -> Self {
        Self { id, basis, first, period }
    }

    /// The first sync that time alone may lead elsewhere; `None` if there is none.
    pub fn ends(&self) -> Option<SimTime> {
        let until = self.basis.holds_until;
        let longest = (until != SimTime::MAX).then(|| (until - self.first).max(SimDuration::ZERO));
        longest.map(|longest| self.first + self.period * ceil_div(longest, self.period))
    }

    /// When to look at the HPA again, if nothing changes.
    pub fn requeue(&self) -> Requeue {
        self.ends().map_or(Requeue::No, Requeue::At)
    }

    /// How many syncs were not made up to `now`. One at the instant of a change came before it.
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

    /// When the sync of this number, from 0, would have been.
    pub fn sync(&self, number: i64) -> SimTime {
        self.first + self.period * number
    }
}

fn ceil_div(span: SimDuration, period: SimDuration) -> i64 {
    let (span, period) = (span.as_nanos(), period.as_nanos());
    span / period + i64::from(span % period != 0)
}

/// The HPAs that sleep.
#[derive(Clone, Debug, Default)]
pub struct Sleepers {
    /// By the HPA's slot.
    lulls: Vec<Option<Lull>>,
    /// Those of each target. Looked up only, never iterated.
    by_target: FxHashMap<ScaleTarget, Vec<HpaId>>,
}

impl Sleepers {
    /// The lull of an HPA.
    pub fn get(&self, id: HpaId) -> Option<Lull> {
        self.lulls.get(id.index()).copied().flatten().filter(|lull| lull.id == id)
    }

    /// An HPA sleeps from now on.
    pub fn insert(&mut self, lull: Lull) {
        let slot = lull.id.index();
        if self.lulls.len() <= slot {
            self.lulls.resize(slot + 1, None);
        }
        // A slot whose HPA was deleted may hold its lull still.
        if let Some(before) = self.lulls[slot].replace(lull) {
            self.forget(before);
        }
        self.by_target.entry(lull.basis.target).or_default().push(lull.id);
    }

    /// An HPA sleeps no more, if it did.
    pub fn remove(&mut self, id: HpaId) -> Option<Lull> {
        let lull = self.lulls.get_mut(id.index())?.take_if(|lull| lull.id == id)?;
        self.forget(lull);
        Some(lull)
    }

    fn forget(&mut self, lull: Lull) {
        if let hash_map::Entry::Occupied(mut ids) = self.by_target.entry(lull.basis.target) {
            ids.get_mut().retain(|id| *id != lull.id);
            if ids.get().is_empty() {
                ids.remove();
            }
        }
    }

    /// Those that sleep over this target.
    pub fn of(&self, target: ScaleTarget) -> impl Iterator<Item = HpaId> {
        self.by_target.get(&target).into_iter().flatten().copied()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = HpaId> {
        self.lulls.iter().flatten().map(|lull| lull.id)
    }

    /// Whether nobody sleeps.
    pub fn is_empty(&self) -> bool {
        self.by_target.is_empty()
    }

    /// The lull of an HPA, if nothing has changed yet of what it rests on.
    pub fn undisturbed(&self, view: ClusterView<'_>, id: HpaId) -> Option<Lull> {
        self.get(id).filter(|lull| lull.basis.holds(view))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::deployment::DeploymentId;

    fn lull(holds_until: SimTime) -> Lull {
        let target = ScaleTarget::Deployment(DeploymentId::from_bits(1));
        let scale = Scale { spec_replicas: 1, status_replicas: 1 };
        let basis = Basis { target, scale, pods_revision: 1, autoscalers_revision: 1, holds_until };
        let period = SimDuration::from_secs(15);
        Lull::new(HpaId::from_bits(7), basis, SimTime::from_secs(20), period)
    }

    fn passed_at(lull: &Lull, seconds: i64) -> i64 {
        lull.passed(SimTime::from_secs(seconds))
    }

    #[test]
    fn a_sync_at_the_instant_of_a_change_came_before_it() {
        let lull = lull(SimTime::MAX);
        assert_eq!([19, 20, 34, 35].map(|at| passed_at(&lull, at)), [0, 1, 1, 2]);
        assert_eq!((lull.sync(2), lull.ends()), (SimTime::from_secs(50), None));
    }

    #[test]
    fn the_first_sync_at_which_a_pod_has_become_another_class_is_made() {
        for (until, ends) in [(10, 20), (20, 20), (21, 35), (35, 35), (36, 50)] {
            let lull = lull(SimTime::from_secs(until));
            assert_eq!(lull.ends(), Some(SimTime::from_secs(ends)), "{until}");
            assert_eq!(passed_at(&lull, 500), (ends - 20) / 15, "{until}");
        }
    }

    #[test]
    fn who_sleeps_is_found_by_target_until_woken() {
        let mut sleepers = Sleepers::default();
        let (one, target) =
            (lull(SimTime::MAX), ScaleTarget::Deployment(DeploymentId::from_bits(1)));
        sleepers.insert(one);
        sleepers.insert(one);
        assert_eq!(sleepers.of(target).collect::<Vec<_>>(), [one.id]);
        assert!(sleepers.remove(HpaId::from_bits(8)).is_none());
        assert!(sleepers.remove(one.id).is_some() && sleepers.is_empty());
        assert_eq!(sleepers.all().count(), 0);
    }
}
