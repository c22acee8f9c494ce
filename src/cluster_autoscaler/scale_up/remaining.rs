//! The pods that no group can take, and why (`GetRemainingPods`).

use std::collections::BTreeMap;

use crate::equivalence::PodGroup;
use crate::report::RemainingPod;
use cluster::Name;

/// The pods that no group can take, each with the reasons of every group.
pub(super) fn remaining(
    egs: &[PodGroup],
    skipped: &BTreeMap<Name, Vec<String>>,
) -> Vec<RemainingPod> {
    let left = egs.iter().filter(|eg| !eg.is_schedulable);
    let of = |eg: &PodGroup| {
        let one = |pod: &std::sync::Arc<crate::pods::PodInfo>| RemainingPod {
            pod: pod.name.clone(),
            rejected: eg.errors.clone(),
            skipped: skipped.clone(),
        };
        eg.pods.iter().map(one).collect::<Vec<_>>()
    };
    left.flat_map(of).collect()
}

/// Marks all groups as unable to take any pod (`markAllGroupsAsUnschedulable`).
pub(super) fn without_all(egs: &mut [PodGroup], reason: &str) {
    for eg in egs.iter_mut().filter(|eg| eg.is_schedulable) {
        for group in &eg.schedulable_groups {
            eg.errors.insert(group.clone(), vec![reason.to_owned()]);
        }
        eg.is_schedulable = false;
    }
}

/// Marks some groups as unable to take any pod (`markFailedGroupsAsUnschedulable`).
pub(super) fn without(egs: &mut [PodGroup], groups: &[&Name], reason: &str) {
    for eg in egs.iter_mut().filter(|eg| eg.is_schedulable) {
        let mut helps = eg.schedulable_groups.is_empty();
        for group in &eg.schedulable_groups {
            if groups.contains(&group) {
                eg.errors.insert(group.clone(), vec![reason.to_owned()]);
            } else {
                helps = true;
            }
        }
        eg.is_schedulable = helps;
    }
}
