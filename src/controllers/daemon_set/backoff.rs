//! Delay before failed daemon pods are replaced (`failedPodsBackoff`, the `Backoff` of client-go's flowcontrol): per
//! DaemonSet, generation and node.

use std::collections::BTreeMap;

use cluster::Name;
use cluster::daemon_set::DaemonSetId;
use engine::{SimDuration, SimTime};

const INITIAL: SimDuration = SimDuration::from_secs(1);
const MAX: SimDuration = SimDuration::from_secs(15 * 60);

/// A DaemonSet, its `status.observedGeneration` and a node (`failedPodsBackoffKey`): a changed spec resets the
/// back-off.
pub(super) type BackoffKey = (DaemonSetId, i64, Name);

/// The back-offs of all DaemonSets.
#[derive(Clone, Debug, Default)]
pub(super) struct FailedPodBackoff {
    entries: BTreeMap<BackoffKey, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    delay: SimDuration,
    since: SimTime,
}

impl Entry {
    /// True if the last failure is so long ago that the back-off is reset.
    fn has_expired(self, now: SimTime) -> bool {
        now - self.since > MAX * 2
    }
}

impl FailedPodBackoff {
    /// The whole delay, if the last replacement on the node was less than that ago.
    pub(super) fn remaining(&self, key: &BackoffKey, now: SimTime) -> Option<SimDuration> {
        let entry = self.entries.get(key)?;
        let is_waiting = !entry.has_expired(now) && now - entry.since < entry.delay;
        is_waiting.then_some(entry.delay)
    }

    /// Notes a replacement: the next one must wait twice as long.
    pub(super) fn next(&mut self, key: BackoffKey, now: SimTime) {
        let known = self.entries.get(&key).filter(|entry| !entry.has_expired(now));
        let delay = known.map_or(INITIAL, |entry| (entry.delay * 2).min(MAX));
        self.entries.insert(key, Entry { delay, since: now });
    }

    /// Called when the DaemonSet is removed.
    pub(super) fn forget(&mut self, set: DaemonSetId) {
        self.entries.retain(|(other, ..), _| *other != set);
    }
}
