//! The autoscaler's decisions during the run: the nodes that it requested and removed, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::events::growth;
use crate::cloud::Cloud;
use crate::environment::Environment;
use cluster::{Name, NamespacedName};
use cluster_autoscaler::report::{DeleteResult, OptionReport, ScaleUpInfo};
use cluster_autoscaler::{
    ClusterAutoscaler, LoopReport, UnneededNode, Unremovable, UnremovableReason, Utilization,
};
use engine::{SimDuration, SimTime};
use units::HourlyPrice;

/// All decisions so far.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) scale_ups: Vec<ScaleUp>,
    /// Position of the scale-up that added a node.
    pub(super) brought_by: BTreeMap<Name, usize>,
    pub(super) removals: BTreeMap<Name, Removal>,
    /// Why each remaining node was last found to be needed. Only ever looked up, never iterated.
    pub(super) verdicts: FxHashMap<Name, Verdict>,
}

/// Why a node cannot be removed, when that was determined, and its utilization by requests.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) at: SimTime,
    pub(super) why: Unremovable,
    pub(super) utilization: Option<Arc<Utilization>>,
}

/// A scale-up of one or more groups.
#[derive(Clone, Debug)]
pub(super) struct ScaleUp {
    pub(super) at: SimTime,
    /// The pods that triggered it.
    pub(super) pods: Vec<NamespacedName>,
    pub(super) options: Vec<OptionReport>,
    pub(super) best: Option<usize>,
    pub(super) infos: Vec<ScaleUpInfo>,
    /// Hourly prices of a node of the options' groups.
    pub(super) prices: Vec<Option<HourlyPrice>>,
}

/// A started removal of a node.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    pub(super) at: SimTime,
    /// The evicted pods; absent for a node that counts as empty.
    pub(super) evicted: Option<Vec<NamespacedName>>,
    pub(super) unneeded: Option<UnneededNode>,
    pub(super) utilization: Option<Arc<Utilization>>,
    /// The result, and when the autoscaler learned of it.
    pub(super) result: Option<(SimTime, DeleteResult)>,
}

impl History {
    /// Records a finished loop. Machines from number `machines` on were requested in it.
    pub(super) fn note(
        &mut self,
        env: &mut Environment,
        cloud: &Cloud,
        machines: usize,
        report: &LoopReport,
        autoscaler: &ClusterAutoscaler,
    ) {
        self.note_scale_up(env, cloud, machines, report);
        self.note_verdicts(report.at, autoscaler);
        for removed in &report.scale_down.nodes {
            let removal = Removal {
                at: report.at,
                evicted: removed.evicted.clone(),
                unneeded: autoscaler.unneeded_node(&removed.node),
                utilization: utilization_of(autoscaler, &removed.node),
                result: None,
            };
            env.observers.recorder.record_node_removal(&removed.node, removal.in_short());
            self.removals.insert(removed.node.clone(), removal);
        }
        for (node, result) in &report.scale_down.delete_results {
            if let Some(removal) = self.removals.get_mut(node) {
                removal.result = Some((report.at, *result));
            }
        }
    }

    /// A node whose removal failed in simulation is skipped for a while: the last verdict still holds.
    fn note_verdicts(&mut self, at: SimTime, autoscaler: &ClusterAutoscaler) {
        // In a loop that checks no nodes, the last verdicts still hold.
        for name in autoscaler.unneeded_names() {
            self.verdicts.remove(name);
        }
        for one in autoscaler.assessments() {
            let why = one.unremovable.as_ref();
            let why = why.filter(|why| why.reason != UnremovableReason::RecentlyUnremovable);
            if let Some(why) = why {
                let utilization = one.utilization.clone();
                let verdict = Verdict { at, why: why.clone(), utilization };
                match self.verdicts.get_mut(&one.node) {
                    Some(known) => *known = verdict,
                    None => {
                        self.verdicts.insert(one.node.clone(), verdict);
                    }
                }
            }
        }
    }

    fn note_scale_up(
        &mut self,
        env: &mut Environment,
        cloud: &Cloud,
        machines: usize,
        report: &LoopReport,
    ) {
        let names: Vec<Name> = cloud.names_from(machines).cloned().collect();
        if names.is_empty() {
            return;
        }
        let below_minimum = report.scale_up_min_size.as_ref().map_or(&[][..], |one| &one.infos);
        let scale_up = ScaleUp {
            at: report.at,
            pods: report.scale_up.triggered.clone(),
            options: report.options.clone(),
            best: report.best,
            infos: report.scale_up.infos.iter().chain(below_minimum).cloned().collect(),
            prices: report.options.iter().map(|one| cloud.price_of(&one.group)).collect(),
        };
        let why = scale_up.in_short();
        for name in names {
            env.observers.recorder.record_node_request(name.clone(), why.clone());
            self.brought_by.insert(name, self.scale_ups.len());
        }
        self.scale_ups.push(scale_up);
    }
}

/// The utilization of a node, as of the last loop.
pub(super) fn utilization_of(
    autoscaler: &ClusterAutoscaler,
    node: &Name,
) -> Option<Arc<Utilization>> {
    autoscaler.assessment(node)?.utilization.clone()
}

impl ScaleUp {
    /// `4 pods waited: {general 1->3 (max: 10)}`.
    fn in_short(&self) -> String {
        let groups: Vec<String> = self.infos.iter().map(growth).collect();
        let groups = groups.join(" ");
        match &self.pods[..] {
            [] => format!("below its minimum: {groups}"),
            [pod] => format!("pod {pod} waited: {groups}"),
            [pod, others @ ..] => {
                format!("pod {pod} and {} more waited: {groups}", others.len())
            }
        }
    }
}

impl Removal {
    /// `not needed for 10m (at most 20 % requested); 2 pods evicted`.
    fn in_short(&self) -> String {
        let since = self.unneeded.as_ref().map(|one| self.at - one.since);
        let since = since.map_or_else(String::new, |span| {
            format!(" for {}", SimDuration::from_secs(span.as_secs()))
        });
        let used = self.utilization.as_ref().map_or_else(String::new, |one| {
            format!(" ({:.0} % of its {} requested)", one.share * 100.0, one.resource)
        });
        let pods = match self.evicted.as_ref().map_or(0, Vec::len) {
            0 => "no pod to move".to_owned(),
            1 => "1 pod to move".to_owned(),
            count => format!("{count} pods to move"),
        };
        format!("not needed{since}{used}; {pods}")
    }
}
