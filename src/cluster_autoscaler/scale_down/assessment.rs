//! What a loop finds out about the candidates for removal.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::planner::Unremovable;
use crate::snapshot::Slot;
use crate::utilization::Utilization;
use cluster::Name;

/// A candidate, as the last loop that examined it found it.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// The node.
    pub node: Name,
    /// Its utilization, if it was computed.
    pub utilization: Option<Arc<Utilization>>,
    /// Why it cannot be removed, if so.
    pub unremovable: Option<Unremovable>,
}

/// The candidates of a loop. A list, since most of thousands of nodes are found to be as they were ten times a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assessments {
    /// In the order in which they were examined.
    list: Vec<Assessment>,
    /// Their positions in the list, by slot.
    places: Vec<Option<usize>>,
}

impl Assessments {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.places.fill(None);
    }

    /// Adds a candidate; one that is not in the snapshot has no slot.
    pub(super) fn push(&mut self, slot: Option<Slot>, one: Assessment) {
        if let Some(slot) = slot {
            if self.places.len() <= slot {
                self.places.resize(slot + 1, None);
            }
            self.places[slot] = Some(self.list.len());
        }
        self.list.push(one);
    }

    /// Notes why a node cannot be removed, whether or not it is a candidate.
    pub(super) fn keep(&mut self, slot: Option<Slot>, name: &Name, why: Unremovable) {
        if let Some(place) = self.place(slot, name) {
            self.list[place].unremovable = Some(why);
        } else {
            let node = name.clone();
            self.push(slot, Assessment { node, utilization: None, unremovable: Some(why) });
        }
    }

    fn place(&self, slot: Option<Slot>, name: &Name) -> Option<usize> {
        let place = slot.and_then(|slot| self.places.get(slot).copied().flatten());
        place.filter(|place| self.list[*place].node == *name)
    }

    pub(crate) fn list(&self) -> &[Assessment] {
        &self.list
    }

    /// A candidate, by its slot.
    pub(crate) fn get(&self, slot: Option<Slot>, name: &Name) -> Option<&Assessment> {
        self.place(slot, name).map(|place| &self.list[place])
    }

    pub(crate) fn unremovable(&self) -> BTreeMap<Name, Unremovable> {
        let kept = self.list.iter();
        kept.filter_map(|one| Some((one.node.clone(), one.unremovable.clone()?))).collect()
    }

    pub(crate) fn utilization(&self) -> BTreeMap<Name, Utilization> {
        let known = self.list.iter();
        let known = known.filter_map(|one| Some((one, one.utilization.as_deref()?)));
        known.map(|(one, utilization)| (one.node.clone(), utilization.clone())).collect()
    }
}
