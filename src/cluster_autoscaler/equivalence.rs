//! Pods that are alike, taken together (`cluster-autoscaler/core/scaleup/equivalence`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pods::{Controller, PodInfo};
use cluster::Name;

/// Groups of one controller that further pods can join, at most (`maxEquivalenceGroupsByController`).
const MAX_GROUPS: usize = 10;

/// Pods that are alike, with the groups of nodes that take them and those that do not.
#[derive(Clone, Debug)]
pub(crate) struct PodGroup {
    /// At least one.
    pub(crate) pods: Vec<Arc<PodInfo>>,
    /// Groups of nodes that do not take them, with the reasons.
    pub(crate) errors: BTreeMap<Name, Vec<String>>,
    /// Groups of nodes that take them.
    pub(crate) schedulable_groups: Vec<Name>,
    pub(crate) is_schedulable: bool,
}

/// Puts pods together that have the same controller, labels and spec. A pod without a controller stays alone.
pub(crate) fn pod_groups(pods: &[Arc<PodInfo>]) -> Vec<PodGroup> {
    let mut groups: Vec<PodGroup> = Vec::new();
    let mut by_controller: BTreeMap<&Controller, Vec<usize>> = BTreeMap::new();
    for pod in pods {
        let controller = pod.controller.as_ref().filter(|_| !pod.is_daemon_set_pod());
        let known = controller.map(|controller| by_controller.entry(controller).or_default());
        if let Some(known) = known {
            if let Some(at) = known.iter().find(|at| groups[**at].pods[0].is_like(pod)) {
                groups[*at].pods.push(Arc::clone(pod));
                continue;
            }
            if known.len() < MAX_GROUPS {
                known.push(groups.len());
            }
        }
        groups.push(PodGroup {
            pods: vec![Arc::clone(pod)],
            errors: BTreeMap::new(),
            schedulable_groups: Vec::new(),
            is_schedulable: false,
        });
    }
    groups
}
