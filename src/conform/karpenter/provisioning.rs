//! One scheduling pass.

use serde_json::Value;

use super::decisions;
use karpenter::Snapshot;
use karpenter::provisioner::{pending_pods, schedule};

/// The decisions of a pass on this state.
pub(super) fn outcome(snapshot: &Snapshot) -> Value {
    let (_, ignored) = pending_pods(snapshot);
    let mut ignored: Vec<String> = ignored.iter().map(|(pod, _)| pod.id.name.to_string()).collect();
    ignored.sort();
    let results = schedule(snapshot).unwrap_or_default();
    decisions::pass(&results, &ignored, snapshot)
}
