//! The history of one node: its request, its launch, and the reasons to keep or remove it.

use std::fmt;

use serde_json::{Value, json};

use super::NodeAutoscaler;
use super::history::{Removal, ScaleUp, utilization_of};
use crate::cloud::{Cloud, MachineLife};
use crate::karpenter::NodeClaimHistory;
use cluster::node::{Node, ZONE_LABEL};
use cluster::{ClusterView, Name, NamespacedName};
use cluster_autoscaler::report::OptionReport;
use cluster_autoscaler::{UnremovableReason, Utilization};
use engine::{SimDuration, SimTime};
use units::HourlyPrice;

/// Most pods listed by name; of others only the number is given.
const NAMED: usize = 5;

/// All known facts about a node.
#[derive(Clone, Debug)]
pub struct NodeHistory {
    name: Name,
    /// Type, capacity type, price, zone.
    machine: String,
    group: Option<Name>,
    life: Option<MachineLife>,
    added: Option<Added>,
    kept: Option<String>,
    removed: Option<Removal>,
    karpenter: Option<NodeClaimHistory>,
}

#[derive(Clone, Debug)]
struct Added {
    scale_up: ScaleUp,
    /// The expanders that chose the option.
    expanders: Vec<&'static str>,
}

impl NodeHistory {
    /// The story of the node with this name; absent if there never was one.
    pub(crate) fn new(
        view: ClusterView<'_>,
        cloud: &Cloud,
        autoscaler: Option<&NodeAutoscaler>,
        name: &Name,
    ) -> Option<Self> {
        let node = view.node_named(name).and_then(|id| view.nodes().get(id));
        let life = cloud.life_of(name);
        let template = life.as_ref().map(|life| &life.template);
        let machine = machine_of(node.or(template)?);
        let history = autoscaler.map(|one| &one.history);
        let scale_up = history.and_then(|one| {
            let place = one.brought_by.get(name)?;
            Some(one.scale_ups[*place].clone())
        });
        let removed = history.and_then(|one| one.removals.get(name).cloned());
        let has_group = life.is_some();
        Some(Self {
            name: name.clone(),
            machine,
            group: life.as_ref().map(|life| life.group.clone()),
            added: scale_up.zip(autoscaler).map(|(scale_up, one)| Added {
                scale_up,
                expanders: one.autoscaler.options().expander.0.iter().map(|e| e.name()).collect(),
            }),
            kept: node.map(|_| match autoscaler {
                _ if !has_group => {
                    "its pool has a fixed number of nodes: no autoscaler removes it".to_owned()
                }
                Some(one) => one.why_kept(name, view.now),
                None => "there is no node autoscaler".to_owned(),
            }),
            life,
            removed,
            karpenter: None,
        })
    }

    /// Adds Karpenter's part of the story.
    pub(crate) fn with_karpenter(self, karpenter: Option<NodeClaimHistory>) -> Self {
        let kept = karpenter.as_ref().and_then(NodeClaimHistory::kept).or(self.kept);
        Self { kept, karpenter, ..self }
    }

    /// As JSON, with all figures named.
    pub fn to_json(&self) -> Value {
        json!({
            "node": &*self.name,
            "machine": self.machine,
            "group": self.group.as_deref(),
            "added": self.added.as_ref().map(Added::to_json),
            "life": self.life.as_ref().map(|life| {
                let steps = life.steps.iter();
                let step = |(step, at): &(&str, SimTime)| {
                    json!({ "step": step, "atSeconds": at.as_secs_f64() })
                };
                steps.map(step).collect::<Vec<_>>()
            }),
            "kept": self.kept,
            "karpenter": self.karpenter.as_ref().map(NodeClaimHistory::to_json),
            "removed": self.removed.as_ref().map(|removal| json!({
                "atSeconds": removal.at.as_secs_f64(),
                "unneededSinceSeconds": removal.unneeded.as_ref().map(|one| one.since.as_secs_f64()),
                "requestedShare": removal.utilization.as_ref().map(|one| one.share),
                "podsMoved": removal.evicted.as_deref().map(ids),
                "result": removal.result.map(|(_, result)| result.as_str()),
            })),
        })
    }
}

impl Added {
    fn to_json(&self) -> Value {
        let scale_up = &self.scale_up;
        let options = scale_up.options.iter().zip(&scale_up.prices).enumerate();
        let option = |(at, (option, price)): (usize, (&OptionReport, &Option<HourlyPrice>))| {
            json!({
                "group": &*option.group,
                "nodes": option.nodes,
                "pods": ids(&option.pods),
                "waste": option.waste,
                "priceScore": option.price.map(|price| price.score),
                "nodeUsdPerHour": price.map(HourlyPrice::as_usd),
                "chosen": scale_up.best == Some(at),
            })
        };
        json!({
            "atSeconds": scale_up.at.as_secs_f64(),
            "pods": ids(&scale_up.pods),
            "expanders": self.expanders,
            "options": options.map(option).collect::<Vec<_>>(),
            "groups": scale_up.infos.iter().map(|info| json!({
                "group": &*info.group, "from": info.from, "to": info.to, "max": info.max,
            })).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for NodeHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Node {}: {}", self.name, self.machine)?;
        if let Some(group) = &self.group {
            writeln!(f, "Group {group}")?;
        }
        match &self.added {
            Some(added) => write!(f, "\n{added}")?,
            None if self.life.as_ref().is_some_and(|life| life.steps.is_empty()) => {
                writeln!(f, "\nIt existed from the start.")?;
            }
            None => {}
        }
        if let Some(karpenter) = &self.karpenter {
            write!(f, "{karpenter}")?;
        }
        if let Some(life) = self.life.as_ref().filter(|life| !life.steps.is_empty()) {
            let steps: Vec<String> =
                life.steps.iter().map(|(step, at)| format!("{step} {}", time(*at))).collect();
            writeln!(f, "\nMachine: {}", steps.join(", "))?;
        }
        if let Some(removal) = &self.removed {
            write!(f, "\n{removal}")?;
        }
        if let Some(kept) = &self.kept {
            let word = if self.removed.is_some() { "Now" } else { "Kept" };
            writeln!(f, "\n{word}: {kept}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale_up = &self.scale_up;
        writeln!(f, "Added by the Cluster Autoscaler at {}:", time(scale_up.at))?;
        for info in &scale_up.infos {
            let (from, to, max) = (info.from, info.to, info.max);
            writeln!(f, "  group {} from {from} to {to} nodes (at most {max})", info.group)?;
        }
        match &scale_up.pods[..] {
            [] => writeln!(f, "  because it was below its minimum")?,
            pods => writeln!(f, "  for unschedulable pods: {}", listed(pods))?,
        }
        if scale_up.options.is_empty() {
            return Ok(());
        }
        writeln!(f, "  options, chosen by {}:", self.expanders.join(", then "))?;
        writeln!(f, "      nodes   pods    waste   price score   $/h a node   group")?;
        for (at, (option, price)) in scale_up.options.iter().zip(&scale_up.prices).enumerate() {
            let mark = if scale_up.best == Some(at) { "->" } else { "  " };
            let score =
                option.price.map_or_else(|| "-".to_owned(), |one| format!("{:.3}", one.score));
            let price = price.map_or_else(|| "-".to_owned(), |one| format!("{:.4}", one.as_usd()));
            let (nodes, pods, waste) = (option.nodes, option.pods.len(), option.waste);
            write!(f, "   {mark} {nodes:>5}  {pods:>5}  {waste:>7.3}  {score:>12}  {price:>11}")?;
            write!(f, "   {}", option.group)?;
            if !option.similar.is_empty() {
                let others: Vec<&str> = option.similar.iter().map(|one| &**one).collect();
                write!(f, " with {}", others.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Removal by the Cluster Autoscaler, begun at {}:", time(self.at))?;
        if let Some(unneeded) = &self.unneeded {
            let (since, least) = (time(unneeded.since), unneeded.threshold);
            writeln!(f, "  unneeded since {since}; removable after {least}")?;
        }
        if let Some(utilization) = &self.utilization {
            writeln!(f, "  {}", requested(utilization))?;
        }
        match self.evicted.as_deref() {
            None | Some([]) => writeln!(f, "  no pod to move")?,
            Some(pods) => {
                writeln!(f, "  evicted pods, which fit elsewhere: {}", listed(pods))?;
            }
        }
        if let Some((at, result)) = &self.result {
            writeln!(f, "  {} at {}", result.as_str(), time(*at))?;
        }
        Ok(())
    }
}

impl NodeAutoscaler {
    /// Why the node was not removed, as of the last loop.
    fn why_kept(&self, name: &Name, now: SimTime) -> String {
        if let Some(unneeded) = self.autoscaler.unneeded().get(name) {
            let since = SimDuration::from_secs((now - unneeded.since).as_secs());
            let least = unneeded.threshold;
            let pods = match &unneeded.pods[..] {
                [] => String::new(),
                pods => format!("; its pods would move elsewhere: {}", listed(pods)),
            };
            let text = format!("unneeded for {since}; removed after {least}{pods}");
            return with_share(text, utilization_of(&self.autoscaler, name).as_deref());
        }
        let Some(verdict) = self.history.verdicts.get(name) else {
            return "the autoscaler has not evaluated it yet".to_owned();
        };
        let reason = verdict.why.reason;
        let pod = verdict.why.pod.as_ref();
        let pod = pod.map_or_else(String::new, |(pod, why)| format!(" {pod}, {}", why.as_str()));
        let text = format!("{}: {}{pod}", reason.as_str(), in_words(reason));
        let text = with_share(text, verdict.utilization.as_deref());
        format!("{text} (as of {})", time(verdict.at))
    }
}

fn with_share(text: String, utilization: Option<&Utilization>) -> String {
    match utilization {
        Some(utilization) => format!("{text}; {}", requested(utilization)),
        None => text,
    }
}

const fn in_words(reason: UnremovableReason) -> &'static str {
    match reason {
        UnremovableReason::ScaleDownDisabledAnnotation => "its annotation disables scale-down",
        UnremovableReason::ScaleDownUnreadyDisabled => "it is not ready, and such nodes are kept",
        UnremovableReason::NotAutoscaled => "it belongs to no node group",
        UnremovableReason::NotUnneededLongEnough => "it may still be needed",
        UnremovableReason::NotUnreadyLongEnough => "it may still become ready",
        UnremovableReason::NodeGroupMinSizeReached => "its group would be below its minimum",
        UnremovableReason::MinimalResourceLimitExceeded => "the cluster would be too small",
        UnremovableReason::CurrentlyBeingDeleted => "it is being deleted",
        UnremovableReason::NotUnderutilized => "its utilization is above the threshold",
        UnremovableReason::RecentlyUnremovable => "its removal recently failed in simulation",
        UnremovableReason::NoPlaceToMovePods => "its pods fit on no other node",
        UnremovableReason::BlockedByPod => "blocked by pod:",
        UnremovableReason::BlockedByOnCompletionPod => "waiting for pod:",
        UnremovableReason::UnexpectedError => "its allocatable resources are unknown",
    }
}

fn requested(utilization: &Utilization) -> String {
    format!("{:.1} % of its {} is requested", utilization.share * 100.0, utilization.resource)
}

fn machine_of(node: &Node) -> String {
    let machine = &node.machine;
    let kind = match &*machine.instance_type {
        "" => "machine",
        name => name,
    };
    let price = machine.price.map_or_else(|| "no price".to_owned(), |price| price.to_string());
    let zone =
        node.meta.labels.get(ZONE_LABEL).map_or_else(String::new, |zone| format!(", {zone}"));
    format!("{kind}, {}, {price}{zone}", machine.capacity_type.as_str())
}

fn listed(pods: &[NamespacedName]) -> String {
    let names: Vec<String> = pods.iter().take(NAMED).map(ToString::to_string).collect();
    let more = pods.len().saturating_sub(NAMED);
    let names = names.join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

fn ids(pods: &[NamespacedName]) -> Vec<String> {
    pods.iter().map(ToString::to_string).collect()
}

const fn time(at: SimTime) -> SimTime {
    at.floor_to_second()
}
