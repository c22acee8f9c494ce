//! Draining of a node before its deletion (`core/scaledown/actuation/drain.go`).

use super::drainability::PodsToMove;
use crate::options::Options;
use crate::pods::PodInfo;
use crate::report::Request;
use cluster::node::NodeId;
use cluster::pod::PodId;
use cluster::{ClusterView, Name, NamespacedName};
use engine::{SimDuration, SimTime};
use std::sync::Arc;

/// Delay after which a refused eviction is retried (`DefaultEvictionRetryTime`).
const RETRY: SimDuration = SimDuration::from_secs(10);
/// Additional time for pods to terminate beyond the maximum grace period (`DefaultPodEvictionHeadroom`).
const HEADROOM: SimDuration = SimDuration::from_secs(30);
/// Interval at which the drain checks whether the pods are gone.
const POLL: SimDuration = SimDuration::from_secs(5);
/// Annotation of DaemonSet pods that overrides the flags on their eviction.
const DAEMON_SET_EVICTION: &str = "cluster-autoscaler.kubernetes.io/enable-ds-eviction";
/// Prefix of annotations that delay a node's deletion (`DelayDeletionAnnotationPrefix`).
const DELAY_DELETION: &str = "delay-deletion.cluster-autoscaler.kubernetes.io/";

/// A node being drained.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    pub(super) node: Name,
    id: NodeId,
    evictions: Vec<Eviction>,
    retry_until: SimTime,
    phase: Phase,
}

/// Progress of a drain.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Evictions are being requested.
    Evicting,
    /// Waiting for the pods to terminate: start of the wait, and time of the next check.
    Waiting(SimTime, SimTime),
    /// Waiting for an annotation to be removed: times of the next and of the last check.
    Delaying(SimTime, SimTime),
}

/// Result of a step of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// In progress.
    Runs,
    /// The node can be deleted.
    Done,
    /// Its pods could not be evicted.
    Failed,
}

/// The eviction of a pod.
#[derive(Clone, Debug)]
struct Eviction {
    pod: PodId,
    /// True if the node has to wait for this pod.
    is_required: bool,
    grace: SimDuration,
    state: EvictionState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EvictionState {
    /// To be requested at this time; true for the first attempt.
    Due(SimTime, bool),
    /// Requested, and not refused so far.
    Asked,
    Done,
    Failed,
}

/// The pods to evict from a node, not including DaemonSet pods (`podsToEvict`).
pub(super) fn pods_to_evict(pods: &[Arc<PodInfo>]) -> Vec<&Arc<PodInfo>> {
    pods.iter().filter(|pod| !pod.is_mirror() && !pod.is_daemon_set_pod()).collect()
}

/// The names of those pods.
pub(super) fn evicted_names(pods: &[Arc<PodInfo>]) -> Vec<NamespacedName> {
    pods_to_evict(pods).into_iter().map(|pod| pod.name.clone()).collect()
}

impl Drain {
    /// Begins to drain a node; if it counts as empty, only DaemonSet pods are evicted.
    pub(super) fn new(
        node: (Name, NodeId),
        pods: &[Arc<PodInfo>],
        moved: &PodsToMove,
        is_drained: bool,
        options: &Options,
        now: SimTime,
    ) -> Self {
        debug_assert!(is_drained || moved.pods.is_empty(), "an empty node has no pods to move");
        let by_default = if is_drained {
            options.daemonset_eviction_for_occupied_nodes
        } else {
            options.daemonset_eviction_for_empty_nodes
        };
        let required = if is_drained { pods_to_evict(pods) } else { Vec::new() };
        let daemons = pods.iter().filter(|pod| {
            let own = pod.annotations.get(DAEMON_SET_EVICTION).map(|value| **value == *"true");
            !pod.is_mirror() && pod.is_daemon_set_pod() && own.unwrap_or(by_default)
        });
        let longest = SimDuration::from_secs(options.max_graceful_termination_sec);
        let eviction = |pod: &Arc<PodInfo>, is_required| {
            let own = pod.facts.template.spec.termination_grace_period;
            let is_limited = longest > SimDuration::ZERO && own > longest;
            let grace = if is_limited { longest } else { own };
            Eviction { pod: pod.id, is_required, grace, state: EvictionState::Due(now, true) }
        };
        let required: Vec<Eviction> = required.into_iter().map(|pod| eviction(pod, true)).collect();
        let evictions = required.into_iter().chain(daemons.map(|pod| eviction(pod, false)));
        Self {
            node: node.0,
            id: node.1,
            evictions: evictions.collect(),
            retry_until: now + options.max_pod_eviction_time,
            phase: Phase::Evicting,
        }
    }

    /// Continues as far as possible at this instant.
    pub(super) fn step(
        &mut self,
        view: ClusterView<'_>,
        options: &Options,
        requests: &mut Vec<Request>,
    ) -> Progress {
        loop {
            let now = view.now;
            match self.phase {
                Phase::Evicting => {
                    self.evict(view, requests);
                    let is_over = |one: &Eviction| {
                        matches!(one.state, EvictionState::Done | EvictionState::Failed)
                    };
                    if !self.evictions.iter().all(is_over) {
                        return Progress::Runs;
                    }
                    let has_failed =
                        |one: &Eviction| one.is_required && one.state == EvictionState::Failed;
                    if self.evictions.iter().any(has_failed) {
                        return Progress::Failed;
                    }
                    self.phase = Phase::Waiting(now, now);
                }
                Phase::Waiting(since, next) => {
                    let longest = SimDuration::from_secs(options.max_graceful_termination_sec);
                    if next > now {
                        return Progress::Runs;
                    }
                    let mut required = self.evictions.iter().filter(|one| one.is_required);
                    let is_gone = |one: &Eviction| {
                        view.pods().get(one.pod).is_none_or(|pod| pod.node != Some(self.id))
                    };
                    // Without required pods there is no wait, not even for a first check.
                    let is_empty = self.evictions.iter().all(|one| !one.is_required);
                    if is_empty || now - since < longest + HEADROOM && required.all(is_gone) {
                        if !self.is_delayed(view)
                            || options.node_deletion_delay_timeout == SimDuration::ZERO
                        {
                            return Progress::Done;
                        }
                        let last = now + options.node_deletion_delay_timeout;
                        self.phase = Phase::Delaying(now + POLL, last);
                    } else if now - since >= longest + HEADROOM {
                        return Progress::Failed;
                    } else {
                        self.phase = Phase::Waiting(since, now + POLL);
                    }
                }
                Phase::Delaying(next, last) => {
                    if !self.is_delayed(view) && next <= now || last <= now {
                        return Progress::Done;
                    }
                    if next > now {
                        return Progress::Runs;
                    }
                    self.phase = Phase::Delaying(now + POLL, last);
                }
            }
        }
    }

    fn evict(&mut self, view: ClusterView<'_>, requests: &mut Vec<Request>) {
        // All goroutines start together, and the one that was started last runs first.
        let begins = |one: &Eviction| matches!(one.state, EvictionState::Due(_, true));
        let count = self.evictions.len();
        let turn = usize::from(count > 0 && self.evictions.iter().all(begins));
        for step in 0..count {
            let eviction = &mut self.evictions[(step + count - turn) % count];
            match eviction.state {
                EvictionState::Asked => eviction.state = EvictionState::Done,
                EvictionState::Due(at, is_first) if at <= view.now => {
                    eviction.state = if !is_first && at >= self.retry_until {
                        EvictionState::Failed
                    } else if view.pods().get(eviction.pod).is_none() {
                        EvictionState::Done
                    } else {
                        requests.push(Request::Evict(eviction.pod, eviction.grace));
                        EvictionState::Asked
                    };
                }
                _ => {}
            }
        }
    }

    fn is_delayed(&self, view: ClusterView<'_>) -> bool {
        let node = view.nodes().get(self.id);
        node.is_some_and(|node| {
            node.meta.annotations.iter().any(|(key, _)| key.starts_with(DELAY_DELETION))
        })
    }

    /// Records a refused eviction.
    pub(super) fn refused(&mut self, pod: PodId, now: SimTime) {
        for eviction in self.evictions.iter_mut().filter(|one| one.pod == pod) {
            if eviction.state == EvictionState::Asked {
                eviction.state = EvictionState::Due(now + RETRY, false);
            }
        }
    }

    /// Time of the next step.
    pub(super) fn next(&self, now: SimTime) -> SimTime {
        match self.phase {
            Phase::Waiting(_, next) => next,
            Phase::Delaying(next, last) => next.min(last),
            Phase::Evicting => {
                let times = self.evictions.iter().filter_map(|one| match one.state {
                    EvictionState::Due(at, _) => Some(at),
                    EvictionState::Asked => Some(now),
                    EvictionState::Done | EvictionState::Failed => None,
                });
                times.min().unwrap_or(now)
            }
        }
    }
}
