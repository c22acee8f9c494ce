//! Karpenter's decisions during the run: the nodes that it requested and removed, and why.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use cluster::node::{Node, ZONE_LABEL};
use cluster::{Name, NamespacedName};
use engine::SimTime;
use karpenter::disruption::Command;
use karpenter::operator::Deletion;
use karpenter::scheduling::NewClaim;
use karpenter::state::Options;

/// Most options and pods listed by name; of others only the number is given.
const NAMED: usize = 5;

/// All decisions so far.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) added: BTreeMap<Name, ClaimAdded>,
    pub(super) removed: BTreeMap<Name, ClaimRemoved>,
    /// Why each node was kept when disruption last considered it, and when that was.
    pub(super) kept: BTreeMap<Name, (SimTime, Cow<'static, str>)>,
    /// The node that each replacement is for, by the replacement's name.
    pub(super) replaces: BTreeMap<Name, String>,
}

/// Why a node was requested.
#[derive(Clone, Debug)]
pub(crate) struct ClaimAdded {
    at: SimTime,
    pool: Name,
    pods: Vec<NamespacedName>,
    /// Total requests of the pods, including DaemonSets.
    requests: String,
    /// Feasible instance types with the lowest price of each, cheapest first.
    options: Vec<(Name, f64)>,
    /// The launched instance type.
    chosen: Option<String>,
}

/// Why a node is removed.
#[derive(Clone, Debug)]
pub(crate) struct ClaimRemoved {
    at: SimTime,
    why: String,
}

impl History {
    pub(super) fn created(&mut self, name: &Name, made: &NewClaim, options: &Options, at: SimTime) {
        let requirements = made.claim_requirements(options);
        let priced = made.options.iter();
        let added = ClaimAdded {
            at,
            pool: made.pool.name.clone(),
            pods: made.pods.iter().map(|pod| pod.id.clone()).collect(),
            requests: requests(made),
            options: priced
                .filter_map(|one| Some((one.name.clone(), one.cheapest(&requirements)?)))
                .collect(),
            chosen: None,
        };
        self.added.insert(name.clone(), added);
    }

    pub(super) fn launched(&mut self, name: &Name, node: &Node) {
        if let Some(added) = self.added.get_mut(name) {
            let machine = &node.machine;
            let price = machine.price.map_or_else(String::new, |price| format!(", {price}"));
            let zone = node.meta.labels.get(ZONE_LABEL).map(|zone| format!(", {zone}"));
            let (kind, bought) = (&machine.instance_type, machine.capacity_type.as_str());
            added.chosen = Some(format!("{kind}, {bought}{price}{}", zone.unwrap_or_default()));
        }
    }

    pub(super) fn removed(&mut self, name: &Name, why: String, at: SimTime) {
        self.removed.insert(name.clone(), ClaimRemoved { at, why });
    }

    /// Summary of why a node was requested.
    pub(super) fn why_added(&self, name: &Name) -> String {
        let Some(added) = self.added.get(name) else { return String::new() };
        if let Some(text) = self.replaces.get(name) {
            return text.clone();
        }
        let pods = match &added.pods[..] {
            [] => "no pod".to_owned(),
            [pod] => format!("pod {pod}"),
            [pod, others @ ..] => format!("pod {pod} and {} more", others.len()),
        };
        format!("{pods} waited: {} of {} types fit", added.pool, added.options.len())
    }
}

/// The reason for a claim's deletion, in words.
pub(super) fn in_words(why: Deletion, command: Option<&Command>) -> String {
    match why {
        Deletion::Disrupted(method) => {
            let reason = method.reason().as_str();
            let savings = command.map_or(0.0, Command::estimated_savings);
            match command.map(|one| one.replacements.len()) {
                Some(1..) => {
                    format!("{reason}: replaced by a cheaper node, or because it drifted")
                }
                _ if savings > 0.0 => {
                    format!("{reason}: its pods fit elsewhere; {savings:.4} $/h less")
                }
                _ => format!("{reason}: it is empty"),
            }
        }
        Deletion::Expired => "Expired: it has reached the age `expireAfter`".to_owned(),
        Deletion::Interrupted => "Interrupted: the cloud is reclaiming the machine".to_owned(),
        Deletion::NotLaunched => "no instance was launched within 5m".to_owned(),
        Deletion::NotRegistered => "its node did not register within 15m".to_owned(),
    }
}

fn requests(made: &NewClaim) -> String {
    let shown = made.requests.iter().filter(|(name, _)| *name != "pods");
    let texts: Vec<String> = shown
        .map(|(name, nanos)| match name {
            "memory" => format!("{:.1} GiB", nanos as f64 / 1e9 / f64::from(1 << 30)),
            "cpu" => format!("{:.2} CPU", nanos as f64 / 1e9),
            _ => format!("{} {name}", nanos / 1_000_000_000),
        })
        .collect();
    texts.join(", ")
}

/// Karpenter's part of a node's story.
#[derive(Clone, Debug)]
pub(crate) struct NodeClaimHistory {
    pub(super) added: Option<ClaimAdded>,
    pub(super) removed: Option<ClaimRemoved>,
    /// Why it is not removed.
    pub(super) kept: Option<String>,
}

impl NodeClaimHistory {
    pub(crate) fn kept(&self) -> Option<String> {
        self.kept.clone()
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "added": self.added.as_ref().map(|added| json!({
                "atSeconds": added.at.as_secs_f64(),
                "nodePool": &*added.pool,
                "pods": added.pods.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "requests": added.requests,
                "options": added.options.iter().map(|(name, price)| json!({
                    "instanceType": &**name, "usdPerHour": price,
                })).collect::<Vec<_>>(),
                "chosen": added.chosen,
            })),
            "removed": self.removed.as_ref().map(|one| json!({
                "atSeconds": one.at.as_secs_f64(), "reason": one.why,
            })),
        })
    }
}

impl fmt::Display for NodeClaimHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(added) = &self.added {
            writeln!(f, "\nAdded by Karpenter at {}:", added.at.floor_to_second())?;
            let names: Vec<String> =
                added.pods.iter().take(NAMED).map(ToString::to_string).collect();
            let more = added.pods.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            writeln!(f, "  for unschedulable pods: {}{more}", names.join(", "))?;
            writeln!(f, "  they request {}, including DaemonSets", added.requests)?;
            writeln!(
                f,
                "  {} instance types of NodePool {} fit; the cheapest:",
                added.options.len(),
                added.pool
            )?;
            for (name, price) in added.options.iter().take(NAMED) {
                writeln!(f, "    {price:>8.4} $/h   {name}")?;
            }
            if let Some(chosen) = &added.chosen {
                writeln!(f, "  launched: {chosen}")?;
            }
        }
        if let Some(removed) = &self.removed {
            writeln!(f, "\nRemoval by Karpenter, begun at {}:", removed.at.floor_to_second())?;
            writeln!(f, "  {}", removed.why)?;
        }
        Ok(())
    }
}
