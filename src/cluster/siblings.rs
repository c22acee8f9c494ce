//! The pods of one owner, with their states stored contiguously for controllers, and counts of them.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::node::ConditionStatus;
use super::pod::{PodId, PodState};
use engine::{SimDuration, SimTime};

/// The pods of one owner by ascending id, each with its state.
///
/// Two vectors rather than a tree: reads of the whole are far more frequent than insertions and removals.
#[derive(Clone, Debug, Default)]
pub struct Siblings {
    ids: Vec<PodId>,
    states: Vec<PodState>,
    counts: SiblingCounts,
}

/// Counts of an owner's pods, kept as the pods change: a set of 100,000 pods is reconciled for each of their changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiblingCounts {
    active: usize,
    ready: usize,
    terminating: usize,
    /// Active ready pods by the time since which they are ready.
    ready_since: BTreeMap<SimTime, usize>,
}

impl Siblings {
    /// No pods.
    pub(super) const NONE: Self = Self {
        ids: Vec::new(),
        states: Vec::new(),
        counts: SiblingCounts { active: 0, ready: 0, terminating: 0, ready_since: BTreeMap::new() },
    };

    /// The ids of the pods, ascending.
    pub fn ids(&self) -> &[PodId] {
        &self.ids
    }

    /// Their states, in the same order.
    pub fn states(&self) -> &[PodState] {
        &self.states
    }

    /// Counts of them.
    pub const fn counts(&self) -> &SiblingCounts {
        &self.counts
    }

    /// Adds a pod, or updates the state of an existing one.
    pub(super) fn insert(&mut self, id: PodId, state: PodState) {
        // New rows often have the largest id.
        let place =
            if self.ids.last() < Some(&id) { Err(self.ids.len()) } else { self.place_of(id) };
        match place {
            Ok(place) => self.replace(place, state),
            Err(place) => {
                self.counts.add(&state);
                self.ids.insert(place, id);
                self.states.insert(place, state);
            }
        }
    }

    /// Removes a pod, if present.
    pub(super) fn remove(&mut self, id: PodId) {
        if let Ok(place) = self.place_of(id) {
            self.ids.remove(place);
            let state = self.states.remove(place);
            self.counts.subtract(&state);
        }
    }

    /// Updates the state of a pod, if present.
    pub(super) fn update(&mut self, id: PodId, state: PodState) {
        if let Ok(place) = self.place_of(id) {
            self.replace(place, state);
        }
    }

    fn replace(&mut self, place: usize, state: PodState) {
        let before = std::mem::replace(&mut self.states[place], state);
        self.counts.subtract(&before);
        self.counts.add(&state);
    }

    fn place_of(&self, id: PodId) -> Result<usize, usize> {
        self.ids.binary_search(&id)
    }
}

impl SiblingCounts {
    /// Number of pods that are neither ended nor terminating.
    pub const fn active(&self) -> usize {
        self.active
    }

    /// Number of active pods with the Ready condition.
    pub const fn ready(&self) -> usize {
        self.ready
    }

    /// Number of pods with a deletion mark that have not ended.
    pub const fn terminating(&self) -> usize {
        self.terminating
    }

    /// Number of active pods that have been ready for `min_ready` at `now`, and the time at which the next one will have
    /// been.
    pub fn available(&self, min_ready: SimDuration, now: SimTime) -> (usize, Option<SimTime>) {
        let later = (Bound::Excluded(now - min_ready), Bound::Unbounded);
        let mut later = self.ready_since.range(later).peekable();
        let next = later.peek().map(|(since, _)| **since + min_ready);
        let not_yet: usize = later.map(|(_, count)| count).sum();
        (self.ready - not_yet, next)
    }

    fn add(&mut self, pod: &PodState) {
        if !pod.is_active() {
            self.terminating += usize::from(!pod.phase.is_terminal());
            return;
        }
        self.active += 1;
        if let Some(since) = ready_since(pod) {
            self.ready += 1;
            *self.ready_since.entry(since).or_default() += 1;
        }
    }

    fn subtract(&mut self, pod: &PodState) {
        if !pod.is_active() {
            self.terminating -= usize::from(!pod.phase.is_terminal());
            return;
        }
        self.active -= 1;
        if let Some(since) = ready_since(pod) {
            self.ready -= 1;
            if let Some(count) = self.ready_since.get_mut(&since) {
                *count -= 1;
                if *count == 0 {
                    self.ready_since.remove(&since);
                }
            }
        }
    }
}

fn ready_since(pod: &PodState) -> Option<SimTime> {
    let ready = pod.ready.filter(|ready| ready.status == ConditionStatus::True)?;
    Some(ready.since)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pod::{PodCondition, PodPhase};
    use crate::pod_template::TemplateId;

    fn state(is_terminating: bool) -> PodState {
        PodState {
            template: TemplateId::from_bits(0),
            phase: PodPhase::Running,
            is_terminating,
            ready: None,
            start_time: None,
        }
    }

    #[test]
    fn pods_are_in_the_order_of_their_ids_each_with_its_own_state() {
        let [one, two, three] = [1, 2, 3].map(PodId::from_bits);
        let mut siblings = Siblings::default();
        for (id, is_terminating) in [(two, false), (three, true), (one, false), (two, true)] {
            siblings.insert(id, state(is_terminating));
        }
        assert_eq!(siblings.ids(), [one, two, three]);
        assert_eq!(siblings.states(), [state(false), state(true), state(true)]);
        siblings.remove(two);
        siblings.remove(two);
        siblings.update(one, state(true));
        siblings.update(two, state(true));
        assert_eq!(siblings.ids(), [one, three]);
        assert_eq!(siblings.states(), [state(true), state(true)]);
    }

    const MIN_READY: SimDuration = SimDuration::from_secs(2);

    fn any_state() -> impl Strategy<Value = PodState> {
        let phase = prop::sample::select(vec![
            PodPhase::Pending,
            PodPhase::Running,
            PodPhase::Running,
            PodPhase::Failed,
        ]);
        let ready = prop::option::of((any::<bool>(), 0i64..6));
        (phase, any::<bool>(), ready).prop_map(|(phase, is_terminating, ready)| PodState {
            phase,
            ready: ready.map(|(is_true, since)| PodCondition {
                status: if is_true { ConditionStatus::True } else { ConditionStatus::False },
                since: SimTime::from_secs(since),
            }),
            ..state(is_terminating)
        })
    }

    proptest! {
        #[test]
        fn counts_kept_are_counts_taken_anew(
            steps in prop::collection::vec((0u64..8, prop::option::of(any_state()), any::<bool>()), 0..60),
            now in 0i64..10,
        ) {
            let mut siblings = Siblings::default();
            for (id, state, is_update) in steps {
                let id = PodId::from_bits(id);
                match state {
                    Some(state) if is_update => siblings.update(id, state),
                    Some(state) => siblings.insert(id, state),
                    None => siblings.remove(id),
                }
            }
            let now = SimTime::from_secs(now);
            let active = || siblings.states().iter().filter(|pod| pod.is_active());
            let ends = || active().filter_map(ready_since).map(|since| since + MIN_READY);
            let terminating = siblings.states().iter().filter(|pod| !pod.is_active() && !pod.phase.is_terminal());
            let counts = siblings.counts();
            prop_assert_eq!(counts.active(), active().count());
            prop_assert_eq!(counts.ready(), ends().count());
            prop_assert_eq!(counts.terminating(), terminating.count());
            let available = ends().filter(|end| *end <= now).count();
            prop_assert_eq!(counts.available(MIN_READY, now), (available, ends().filter(|end| *end > now).min()));
        }
    }
}
