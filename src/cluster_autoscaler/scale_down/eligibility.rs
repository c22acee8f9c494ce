//! Which nodes have a low enough utilization to be considered (`core/scaledown/eligibility`).

use std::sync::Arc;

use super::planner::UnremovableReason;
use crate::gpu::has_gpu;
use crate::nodes::{is_ready, is_scale_down_disabled};
use crate::options::{Options, ResolvedGroupOptions};
use crate::snapshot::SnapshotNode;
use crate::taints::is_being_deleted;
use crate::utilization::{ExcludedPods, Utilization, utilization};
use engine::SimTime;

/// Why a node is not considered, if so, and its utilization if it was computed.
pub(crate) type Examination = (Option<UnremovableReason>, Option<Arc<Utilization>>);

/// Examines a node.
pub(super) fn examine(
    node: &SnapshotNode,
    group: Option<ResolvedGroupOptions>,
    gpu_label: &str,
    options: &Options,
    now: SimTime,
) -> Examination {
    node.examined(|| examine_anew(node, group, gpu_label, options, now))
}

fn examine_anew(
    node: &SnapshotNode,
    group: Option<ResolvedGroupOptions>,
    gpu_label: &str,
    options: &Options,
    now: SimTime,
) -> Examination {
    let object = &node.node;
    if is_being_deleted(object, now) {
        return (Some(UnremovableReason::CurrentlyBeingDeleted), None);
    }
    if is_scale_down_disabled(object) {
        return (Some(UnremovableReason::ScaleDownDisabledAnnotation), None);
    }
    let Some(group) = group else { return (Some(UnremovableReason::NotAutoscaled), None) };
    let left_out = ExcludedPods {
        daemon_sets: group.ignores_daemon_sets,
        mirrors: options.ignore_mirror_pods_utilization,
    };
    let found = utilization(object, &node.pods, gpu_label, left_out, now).map(Arc::new);
    let Some(found) = found else {
        return (Some(UnremovableReason::UnexpectedError), None);
    };
    if !options.scale_down_unready_enabled && !is_ready(object) {
        return (Some(UnremovableReason::ScaleDownUnreadyDisabled), None);
    }
    let threshold = if has_gpu(object, gpu_label) {
        group.gpu_utilization_threshold
    } else {
        group.utilization_threshold
    };
    let reason = (found.share > threshold).then_some(UnremovableReason::NotUnderutilized);
    (reason, Some(found))
}
