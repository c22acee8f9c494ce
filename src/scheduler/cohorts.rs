//! Cohorts of unschedulable pods that were rejected for the same reasons and wait for the same events. A cohort is
//! retried and rejected as a whole, at the same cost for a hundred thousand pods as for one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::framework::PluginName;
use super::node_info::ClassId;
use super::reason_sets::ReasonSetsId;
use cluster::pod::PodId;
use engine::SimTime;

/// Identifies pods that are rejected for the same reasons and wait for the same events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CohortKey {
    /// Their class, or the first of the classes that every node treats identically.
    pub class: ClassId,
    /// Whether it represents all classes that every node treats identically.
    pub is_shared: bool,
}

/// Attributes shared by all pods of a cohort.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Common {
    pub(super) alike: CohortKey,
    pub(super) priority: i32,
    /// The plugins that rejected them.
    pub(super) rejected_by: Arc<[PluginName]>,
    pub(super) reason_sets: ReasonSetsId,
    /// Number of rejections, up to the one at which the back-off is longest.
    pub(super) level: u32,
    /// Time of the last rejection.
    pub(super) timestamp: SimTime,
    /// Order among cohorts rejected at the same instant.
    pub(super) rank: u64,
}

/// Pods rejected for the same reasons at one instant.
#[derive(Clone, Debug)]
pub(super) struct Cohort {
    pub(super) common: Common,
    /// Number of times the whole cohort was rejected.
    pub(super) tries: u32,
    /// Pods by sequence number, which orders the pods of cohorts of equal rank. May contain pods that have left, but never
    /// at the front.
    members: VecDeque<(u64, PodId)>,
    /// Number of pods that have not left.
    pub(super) len: usize,
    is_released: bool,
}

/// Order of released pods, smallest first: whether they are backing off and until which second, then as in the active
/// queue.
pub(super) type Turn = (bool, SimTime, Reverse<i32>, SimTime, u64);

/// All cohorts.
#[derive(Clone, Debug, Default)]
pub(super) struct Cohorts {
    all: BTreeMap<u32, Cohort>,
    by_common: BTreeMap<Common, u32>,
    /// Released cohorts, whose pods are to be retried, in the order of their turns.
    released: Vec<(Turn, u32)>,
    /// Earliest time of rejection among the waiting cohorts; `None` if there are none.
    oldest: Option<SimTime>,
    last_id: u32,
    /// Number of cohorts from which on joining is attempted.
    most: usize,
    /// Total number of pods.
    len: usize,
}

/// Below this number of cohorts, joining is not worth its cost.
const FEW: usize = 64;

impl Cohort {
    /// Its pods, some of which may have left.
    pub(super) fn members(&self) -> impl Iterator<Item = PodId> {
        self.members.iter().map(|(_, pod)| *pod)
    }

    /// True if no pod has left.
    pub(super) fn is_whole(&self) -> bool {
        self.members.len() == self.len
    }
}

impl Cohorts {
    /// Number of waiting pods, without the released ones.
    pub(super) fn waiting_len(&self) -> usize {
        let released = self.released.iter().map(|(_, id)| self.all[id].len);
        self.len - released.sum::<usize>()
    }

    /// A cohort.
    pub(super) fn get(&self, id: u32) -> &Cohort {
        &self.all[&id]
    }

    /// The waiting cohorts, by number.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (u32, &Cohort)> {
        self.all.iter().filter(|(_, one)| !one.is_released).map(|(id, one)| (*id, one))
    }

    /// All cohorts, by number.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &Cohort)> {
        self.all.iter().map(|(id, one)| (*id, one))
    }

    /// Earliest time of rejection among the waiting cohorts.
    pub(super) const fn oldest(&self) -> Option<SimTime> {
        self.oldest
    }

    /// Adds a pod, with a sequence number above all others, to its cohort. Returns the cohort's number and its tries.
    pub(super) fn push(&mut self, common: Common, number: u64, pod: PodId) -> (u32, u32) {
        self.len += 1;
        self.oldest = Some(self.oldest.map_or(common.timestamp, |one| one.min(common.timestamp)));
        let known = self.by_common.get(&common).copied();
        let known = known.filter(|id| !self.all[id].is_released);
        let id = known.unwrap_or_else(|| self.open(common));
        let cohort = self.all.get_mut(&id).expect("it was just found or opened");
        cohort.members.push_back((number, pod));
        cohort.len += 1;
        (id, cohort.tries)
    }

    fn open(&mut self, common: Common) -> u32 {
        self.last_id += 1;
        let (members, len) = (VecDeque::new(), 0);
        self.by_common.insert(common.clone(), self.last_id);
        let cohort = Cohort { common, tries: 0, members, len, is_released: false };
        self.all.insert(self.last_id, cohort);
        self.last_id
    }

    /// Removes a pod; `is_there` tells whether another pod is still a member.
    pub(super) fn leave(&mut self, id: u32, mut is_there: impl FnMut(u64, PodId) -> bool) {
        let Some(cohort) = self.all.get_mut(&id) else { return };
        self.len -= 1;
        cohort.len -= 1;
        if cohort.len == 0 {
            self.close(id);
            self.find_oldest();
            return;
        }
        while let Some((number, pod)) = cohort.members.front()
            && !is_there(*number, *pod)
        {
            cohort.members.pop_front();
        }
    }

    fn close(&mut self, id: u32) {
        let Some(cohort) = self.all.remove(&id) else { return };
        self.forget(&cohort.common, id);
        if cohort.is_released {
            self.released.retain(|(_, one)| *one != id);
        }
    }

    fn forget(&mut self, common: &Common, id: u32) {
        if self.by_common.get(common) == Some(&id) {
            self.by_common.remove(common);
        }
    }

    fn find_oldest(&mut self) {
        self.oldest = self.waiting().map(|(_, one)| one.common.timestamp).min();
    }

    /// Releases these cohorts: their pods are to be retried.
    pub(super) fn release(&mut self, ids: &[u32], turn: impl Fn(&Common) -> Turn) {
        for id in ids {
            if let Some(cohort) = self.all.get_mut(id)
                && !std::mem::replace(&mut cohort.is_released, true)
            {
                self.released.push((turn(&cohort.common), *id));
            }
        }
        self.find_oldest();
        self.sort(turn);
    }

    /// Sorts the released cohorts by their current turns.
    pub(super) fn sort(&mut self, turn: impl Fn(&Common) -> Turn) {
        for (known, id) in &mut self.released {
            *known = turn(&self.all[id].common);
        }
        self.released.sort_unstable();
    }

    /// The earliest turn, and the cohorts that have it.
    pub(super) fn first_turn(&self) -> Option<(Turn, impl Iterator<Item = u32>)> {
        let (turn, _) = *self.released.first()?;
        let same = self.released.iter().take_while(move |(one, _)| *one == turn);
        Some((turn, same.map(|(_, id)| *id)))
    }

    /// The released pod whose turn is first, with its turn and number.
    pub(super) fn first(&self) -> Option<(Turn, u64, PodId)> {
        let (turn, ids) = self.first_turn()?;
        let (number, pod) = ids.filter_map(|id| self.head(id)).min()?;
        Some((turn, number, pod))
    }

    /// The first pod of a cohort, with its number.
    pub(super) fn head(&self, id: u32) -> Option<(u64, PodId)> {
        self.all.get(&id)?.members.front().copied()
    }

    /// All pods of a cohort with their numbers, including some that may have left.
    pub(super) fn members_of(&self, id: u32) -> impl Iterator<Item = (u64, PodId)> {
        self.all.get(&id).into_iter().flat_map(|one| one.members.iter().copied())
    }

    /// Records that all pods of a cohort were tried and rejected; `change` updates their shared attributes.
    pub(super) fn reject(&mut self, id: u32, change: impl FnOnce(&mut Common)) {
        let Some(cohort) = self.all.get_mut(&id) else { return };
        let before = cohort.common.clone();
        change(&mut cohort.common);
        cohort.tries += 1;
        cohort.is_released = false;
        let common = cohort.common.clone();
        self.oldest = Some(self.oldest.map_or(common.timestamp, |one| one.min(common.timestamp)));
        self.forget(&before, id);
        self.by_common.entry(common).or_insert(id);
        self.released.retain(|(_, one)| *one != id);
    }

    /// Whether there are enough cohorts to attempt joining.
    pub(super) fn are_many(&self) -> bool {
        self.released.is_empty() && self.all.len() > self.most.max(FEW)
    }

    /// Joins cohorts that differ only in the order of their last try. Calls `moved` for each pod with its old cohort and
    /// number, the new ones, and the old cohort's tries; it returns whether the pod is still a member.
    pub(super) fn join(
        &mut self,
        mut next_number: impl FnMut() -> u64,
        mut moved: impl FnMut((u32, u64), PodId, (u32, u64), u32) -> bool,
    ) {
        let mut of_instant: BTreeMap<(Reverse<i32>, SimTime), Vec<u32>> = BTreeMap::new();
        for (id, one) in &self.all {
            let instant = (Reverse(one.common.priority), one.common.timestamp);
            of_instant.entry(instant).or_default().push(*id);
        }
        for ids in of_instant.into_values().filter(|ids| ids.len() > 1) {
            let old: Vec<(u32, Cohort)> = ids
                .iter()
                .filter_map(|id| {
                    let cohort = self.all.remove(id)?;
                    self.forget(&cohort.common, *id);
                    Some((*id, cohort))
                })
                .collect();
            let rank = old.iter().map(|(_, one)| one.common.rank).min().unwrap_or(0);
            let mut pods: Vec<(u64, u64, PodId, usize)> = Vec::new();
            for (at, (_, one)) in old.iter().enumerate() {
                let members = one.members.iter();
                pods.extend(members.map(|(number, pod)| (one.common.rank, *number, *pod, at)));
            }
            pods.sort_unstable();
            let mut opened: Vec<Option<u32>> = vec![None; old.len()];
            for (_, number, pod, at) in pods {
                let (id, cohort) = &old[at];
                let into = *opened[at].get_or_insert_with(|| {
                    let common = Common { rank, ..cohort.common.clone() };
                    let known = self.by_common.get(&common).copied();
                    known.unwrap_or_else(|| self.open(common))
                });
                let new_number = next_number();
                if moved((*id, number), pod, (into, new_number), cohort.tries)
                    && let Some(cohort) = self.all.get_mut(&into)
                {
                    cohort.members.push_back((new_number, pod));
                    cohort.len += 1;
                }
            }
        }
        let empty: Vec<u32> =
            self.all.iter().filter(|(_, one)| one.len == 0).map(|(id, _)| *id).collect();
        for id in empty {
            self.close(id);
        }
        self.most = 2 * self.all.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(level: u32, rank: u64) -> Common {
        Common {
            alike: CohortKey { class: ClassId(0), is_shared: false },
            priority: 0,
            rejected_by: Arc::from([]),
            reason_sets: ReasonSetsId::default(),
            level,
            timestamp: SimTime::ZERO,
            rank,
        }
    }

    #[test]
    fn pods_of_joined_cohorts_keep_their_order() {
        let mut cohorts = Cohorts::default();
        // Three pods with alternating back-offs, and one that was rejected before them at the same instant.
        for (level, rank, number) in [(1, 7, 1), (2, 7, 2), (1, 7, 3), (1, 3, 4)] {
            cohorts.push(common(level, rank), number, PodId::from_bits(number));
        }
        let mut next = 10;
        let next_number = || {
            next += 1;
            next
        };
        let mut order = Vec::new();
        cohorts.join(next_number, |(_, old), pod, (_, new), _| {
            order.push((old, pod.to_bits(), new));
            true
        });
        assert_eq!(order, [(4, 4, 11), (1, 1, 12), (2, 2, 13), (3, 3, 14)]);
    }
}
