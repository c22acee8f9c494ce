//! Scales groups below their minimum size up to it (`ScaleUpToNodeGroupMinSize`).

use super::{ScaleUp, capped_by_total, execute};
use crate::quotas::{Bound, Quotas};
use crate::report::{ScaleUpInfo, ScaleUpReport, ScaleUpResult};

/// Scales up all groups below their minimum size.
pub(crate) fn scale_up_to_min_size(scale_up: &mut ScaleUp<'_>) -> ScaleUpReport {
    let groups = scale_up.cloud.node_groups().to_vec();
    let mut quotas = Quotas::new(scale_up.snapshot, scale_up.cloud, scale_up.options, Bound::Max);
    let mut infos = Vec::new();
    for group in groups.iter().filter(|group| group.target_size < group.min_size) {
        let Some(template) = scale_up.templates.get(&group.id) else { continue };
        if scale_up.unsafe_reason(group).is_some()
            || !quotas.check(&template.node, Some(group), 1, scale_up.cloud).is_full()
        {
            continue;
        }
        let missing = group.min_size - group.target_size;
        let allowed = quotas.check(&template.node, Some(group), missing, scale_up.cloud).nodes;
        // The real autoscaler counts only the nodes of the group here, not those of the cluster.
        let max = scale_up.options.max_nodes_total;
        let Some(nodes) = capped_by_total(allowed, group.target_size, max) else { continue };
        infos.push(ScaleUpInfo {
            group: group.id.clone(),
            from: group.target_size,
            to: group.target_size + nodes,
            max: group.max_size,
        });
    }
    if infos.is_empty() {
        return ScaleUpReport { result: ScaleUpResult::NotNeeded, ..ScaleUpReport::default() };
    }
    let (registry, options) = (&mut *scale_up.registry, scale_up.options);
    if let Err((failed, message)) =
        execute(scale_up.cloud, registry, &infos, options, scale_up.view.now)
    {
        return ScaleUpReport {
            result: ScaleUpResult::Error,
            failed_groups: vec![failed],
            error: Some(("cloudProviderError", message)),
            ..ScaleUpReport::default()
        };
    }
    scale_up.registry.recalculate(scale_up.cloud);
    ScaleUpReport { result: ScaleUpResult::Successful, infos, ..ScaleUpReport::default() }
}
