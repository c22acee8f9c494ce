//! Reasons already reported to waiting pods. A pod gets one FailedScheduling event per distinct set of reasons: the node
//! counts in its message change with every node that joins or fills up, and alone cause no further event.

use std::collections::BTreeMap;

use super::framework::Reason;

/// Number of a set of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReasonsId(u32);

/// Number of a list of sets of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReasonSetsId(u32);

/// Interned sets of reasons, and interned lists of those sets that pods were sent.
#[derive(Clone, Debug, Default)]
pub(super) struct ReasonSets {
    reasons: BTreeMap<Vec<Reason>, u32>,
    numbers: BTreeMap<Vec<ReasonsId>, u32>,
    /// By number less one; number 0 is the empty list.
    lists: Vec<Vec<ReasonsId>>,
}

impl ReasonSets {
    /// The number of a set of reasons, each once and in order.
    pub(super) fn reasons(&mut self, reasons: Vec<Reason>) -> ReasonsId {
        let next = number(self.reasons.len());
        ReasonsId(*self.reasons.entry(reasons).or_insert(next))
    }

    /// Adds a set of reasons to a list; `None` if the list contains it.
    pub(super) fn and(
        &mut self,
        reason_sets: ReasonSetsId,
        reasons: ReasonsId,
    ) -> Option<ReasonSetsId> {
        let known = (reason_sets.0 as usize).checked_sub(1).map_or(&[][..], |at| &self.lists[at]);
        let at = known.binary_search(&reasons).err()?;
        let mut list = known.to_vec();
        list.insert(at, reasons);
        let next = number(self.lists.len() + 1);
        let id = *self.numbers.entry(list.clone()).or_insert(next);
        if id == next {
            self.lists.push(list);
        }
        Some(ReasonSetsId(id))
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_told_each_set_of_reasons_once_in_whatever_order() {
        let reason = |text: &'static str| Reason::Text(text.into());
        let mut reason_sets = ReasonSets::default();
        let full = reason_sets.reasons(vec![reason("Insufficient cpu")]);
        let tainted = reason_sets.reasons(vec![reason("Insufficient cpu"), reason("taint")]);
        assert_eq!(reason_sets.reasons(vec![reason("Insufficient cpu")]), full);
        let nothing = ReasonSetsId::default();
        let first = reason_sets.and(nothing, full).unwrap();
        assert_eq!(reason_sets.and(first, full), None);
        let both = reason_sets.and(first, tainted).unwrap();
        let other = reason_sets.and(nothing, tainted).unwrap();
        assert_eq!(reason_sets.and(other, full), Some(both));
        assert_eq!((reason_sets.and(both, full), reason_sets.and(both, tainted)), (None, None));
    }
}
