//! The Events that the autoscaler writes about pods and nodes (`processors/status/eventing_scale_up_processor.go`,
//! `core/scaledown/actuation`).

use std::collections::BTreeMap;

use super::ACTOR;
use crate::environment::{Environment, node_reference};
use cluster::{Kind, NamespacedName, ObjectReference};
use cluster_autoscaler::LoopReport;
use cluster_autoscaler::report::{RemainingPod, ScaleUpInfo, ScaleUpResult};

/// Remembers the last message about each pod that no scale-up helps, so that it is not repeated.
#[derive(Clone, Debug, Default)]
pub(super) struct EventReporter {
    said: BTreeMap<NamespacedName, String>,
}

impl EventReporter {
    pub(super) fn report_events(&mut self, env: &mut Environment, report: &LoopReport) {
        let before = std::mem::take(&mut self.said);
        for one in report.scale_up.remain.iter().filter(|_| is_about_pods(report)) {
            let message = not_triggered(one);
            if before.get(&one.pod) != Some(&message) {
                env.emit_event(
                    ACTOR,
                    &pod_reference(&one.pod),
                    "NotTriggerScaleUp",
                    message.clone(),
                );
            }
            self.said.insert(one.pod.clone(), message);
        }
        let groups: Vec<String> = report.scale_up.infos.iter().map(growth).collect();
        for pod in &report.scale_up.triggered {
            let message = format!("pod triggered scale-up: [{}]", groups.join(" "));
            env.emit_event(ACTOR, &pod_reference(pod), "TriggeredScaleUp", message);
        }
        for removed in &report.scale_down.nodes {
            let message = "marked the node as toBeDeleted/unschedulable".to_owned();
            env.emit_event(ACTOR, &node_reference(&removed.node), "ScaleDown", message);
        }
        for (node, result) in &report.scale_down.delete_results {
            let reference = node_reference(node);
            match result {
                cluster_autoscaler::report::DeleteResult::Ok => {
                    let message = "node removed by cluster autoscaler".to_owned();
                    env.emit_event(ACTOR, &reference, "ScaleDown", message);
                }
                other => {
                    let message = format!("failed to delete node: {}", other.as_str());
                    env.warn(ACTOR, &reference, "ScaleDownFailed", message);
                }
            }
        }
    }
}

/// True if the loop tried to scale up for pods and got as far as reporting a result.
const fn is_about_pods(report: &LoopReport) -> bool {
    matches!(
        report.scale_up.result,
        ScaleUpResult::Successful
            | ScaleUpResult::NoOptionsAvailable
            | ScaleUpResult::LimitedByMaxNodesTotal
    )
}

pub(super) fn growth(info: &ScaleUpInfo) -> String {
    format!("{{{} {}->{} (max: {})}}", info.group, info.from, info.to, info.max)
}

/// `pod didn't trigger scale-up: 2 max node group size reached, 1 Insufficient cpu`.
fn not_triggered(pod: &RemainingPod) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in pod.rejected.values().chain(pod.skipped.values()).flatten() {
        *counts.entry(reason).or_default() += 1;
    }
    let reasons: Vec<String> =
        counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    format!("pod didn't trigger scale-up: {}", reasons.join(", "))
}

fn pod_reference(id: &NamespacedName) -> ObjectReference {
    ObjectReference { kind: Kind::Pod, id: id.clone() }
}
