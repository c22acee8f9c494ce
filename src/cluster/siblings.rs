//! The pods of one owner, with their states stored contiguously for controllers.

use super::pod::{PodId, PodState};

/// The pods of one owner by ascending id, each with its state.
///
/// Two vectors rather than a tree: reads of the whole are far more frequent than insertions and removals.
#[derive(Clone, Debug, Default)]
pub struct Siblings {
    ids: Vec<PodId>,
    states: Vec<PodState>,
}

impl Siblings {
    /// No pods.
    pub(super) const NONE: Self = Self { ids: Vec::new(), states: Vec::new() };

    /// The ids of the pods, ascending.
    pub fn ids(&self) -> &[PodId] {
        &self.ids
    }

    /// Their states, in the same order.
    pub fn states(&self) -> &[PodState] {
        &self.states
    }

    /// Adds a pod, or updates the state of an existing one.
    pub(super) fn insert(&mut self, id: PodId, state: PodState) {
        // New rows often have the largest id.
        let place =
            if self.ids.last() < Some(&id) { Err(self.ids.len()) } else { self.place_of(id) };
        match place {
            Ok(place) => self.states[place] = state,
            Err(place) => {
                self.ids.insert(place, id);
                self.states.insert(place, state);
            }
        }
    }

    /// Removes a pod, if present.
    pub(super) fn remove(&mut self, id: PodId) {
        if let Ok(place) = self.place_of(id) {
            self.ids.remove(place);
            self.states.remove(place);
        }
    }

    /// The state of a pod, to change it.
    pub(super) fn state_mut(&mut self, id: PodId) -> Option<&mut PodState> {
        let place = self.place_of(id).ok()?;
        self.states.get_mut(place)
    }

    fn place_of(&self, id: PodId) -> Result<usize, usize> {
        self.ids.binary_search(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::PodPhase;
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
        *siblings.state_mut(one).expect("it is there") = state(true);
        assert_eq!(siblings.ids(), [one, three]);
        assert_eq!(siblings.states(), [state(true), state(true)]);
        assert!(siblings.state_mut(two).is_none());
    }
}
