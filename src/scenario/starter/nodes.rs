//! The section `cluster` of a starter scenario: pools with room for all pods, node groups given by the user, or
//! Karpenter's settings besides the NodePools of the manifests.

use std::fmt::{self, Write as _};

use super::sizing::Pool;
use super::yaml::{comment, joined, scalar};
use crate::inventory::{Inventory, NodePoolShape};
use crate::pool_size::MAX_NODES;
use capacity::catalog;
use capacity::node_type::NodeType;
use cluster::Name;

/// Maximum number of workloads named in a pool's comment.
const NAMED_WORKLOADS: usize = 3;
/// Zones assumed for NodePools without any.
const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];
/// Spot price as a share of the on-demand price.
const SPOT_SHARE: f64 = 0.4;

/// A node group scaled by the Cluster Autoscaler.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeGroup {
    name: String,
    node_type: NodeType,
    min: u32,
    max: u32,
}

impl std::str::FromStr for NodeGroup {
    type Err = String;

    /// Reads `NAME=INSTANCE-TYPE:MIN:MAX`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "write name, instance type, minimum and maximum nodes, such as web=aws/m5.xlarge:1:10"
                .to_owned()
        };
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let [type_name, min, max] = rest.split(':').collect::<Vec<_>>()[..] else {
            return Err(wrong());
        };
        let is_name = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!(
                "{name:?} is not a valid group name: use lower-case letters, digits and -"
            ));
        }
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= MAX_NODES);
        let (Some(min), Some(max)) = (number(min), number(max)) else { return Err(wrong()) };
        if min > max || max == 0 {
            return Err(format!(
                "the minimum of {min} nodes is above the maximum of {max}: write the smaller first"
            ));
        }
        let node_type = catalog::find(type_name).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), node_type, min, max })
    }
}

impl NodeGroup {
    /// Its node pool in a scenario.
    pub(super) fn pool(&self) -> Pool {
        Pool {
            name: self.name.clone(),
            node_type: self.node_type.clone(),
            count: self.max.into(),
            bounds: Some((self.min, self.max)),
            disk_gib: None,
            labels: std::collections::BTreeMap::new(),
            flavor_labels: std::collections::BTreeMap::new(),
            domain_label: None,
            least_zones: 1,
            taints: Vec::new(),
            workloads: Vec::new(),
            unfit: Vec::new(),
            unplaced: Vec::new(),
            gpu: None,
        }
    }
}

/// Writes the section.
pub(super) fn write_cluster(
    out: &mut String,
    pools: &[Pool],
    inventory: &Inventory,
) -> fmt::Result {
    let is_grouped = pools.iter().any(|pool| pool.bounds.is_some());
    let has_node_pools = !inventory.node_pools.is_empty();
    if !has_node_pools && pools.is_empty() {
        let why = if inventory.nodes.is_empty() {
            "No instance type of the catalog is large enough for these pods"
        } else {
            "The cluster consists of the Node objects in the manifests"
        };
        return writeln!(
            out,
            "\n# {why}; `wavetank catalog` lists types for pools.\ncluster: {{}}"
        );
    }
    if has_node_pools {
        write_karpenter(out, &inventory.node_pools)?;
    } else if is_grouped {
        out.write_str(
            "
# The Cluster Autoscaler scales these node groups between their bounds. `flags` are its command-line flags, here
# with their defaults in version 1.36.
cluster:
  autoscaler:
    clusterAutoscaler:
      flags: {expander: least-waste, scale-down-unneeded-time: 10m}
",
        )?;
    } else {
        out.write_str(
            "
# GUESS: nodes with room for all pods at their autoscalers' maximum replicas.
# `wavetank catalog` lists instance types with their prices.
cluster:
",
        )?;
    }
    write_pools(out, pools)
}

/// Writes Karpenter's settings that are not in manifests.
fn write_karpenter(out: &mut String, node_pools: &[NodePoolShape]) -> fmt::Result {
    let named: Vec<&Name> = node_pools.iter().map(|one| &one.name).collect();
    let is_ec2 = node_pools.iter().any(|one| one.is_ec2);
    writeln!(
        out,
        "
# Karpenter creates the nodes, from the NodePools in the manifests: {}.
cluster:",
        comment(&joined(&named, ", "))
    )?;
    if !is_ec2 {
        return writeln!(out, "  preset: kind\n  autoscaler: {{karpenter: {{}}}}");
    }
    let mut zones: Vec<&str> =
        node_pools.iter().flat_map(|one| &one.zones).map(AsRef::as_ref).collect();
    zones.sort_unstable();
    zones.dedup();
    let guess = if zones.is_empty() { "GUESS: " } else { "" };
    let zones = if zones.is_empty() { ZONES.to_vec() } else { zones };
    let zones = joined(&zones.into_iter().map(scalar).collect::<Vec<_>>(), ", ");
    writeln!(
        out,
        "  preset: eks       # EKS: reserved resources, system pods, time to launch machines
  autoscaler:
    karpenter:
      zones: [{zones}]     # {guess}the zones of your subnets"
    )?;
    if node_pools.iter().any(|one| one.allows_spot) {
        writeln!(
            out,
            "      spotShare: {SPOT_SHARE}     # GUESS: spot price as a share of the on-demand price"
        )?;
    }
    Ok(())
}

fn write_pools(out: &mut String, pools: &[Pool]) -> fmt::Result {
    if !pools.is_empty() {
        writeln!(out, "  nodePools:")?;
    }
    for pool in pools {
        let named = &pool.workloads[..pool.workloads.len().min(NAMED_WORKLOADS)];
        let more = match pool.workloads.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !named.is_empty() {
            writeln!(out, "    # for {}{more}", comment(&joined(named, ", ")))?;
        }
        for why in &pool.unfit {
            writeln!(out, "    # {}", comment(why))?;
        }
        writeln!(out, "    - name: {}", pool.name)?;
        writeln!(out, "      instanceType: {}     # {}", pool.node_type, pool.machine())?;
        match pool.bounds {
            None => writeln!(out, "      count: {}", pool.count)?,
            Some((min, max)) => writeln!(out, "      count: {{min: {min}, max: {max}}}")?,
        }
        writeln!(out, "      zones: [{}]", pool.zones().join(", "))?;
        if let Some(gib) = pool.disk_gib {
            writeln!(
                out,
                "      # GUESS: room on each node's disk for the ephemeral storage that pods request; `bill.rootDisk` sets its price\n\
                 \x20     capacity: {{ephemeral-storage: {gib}Gi}}\n\
                 \x20     allocatable: {{ephemeral-storage: {gib}Gi}}"
            )?;
        }
        if !pool.labels.is_empty() || !pool.flavor_labels.is_empty() {
            writeln!(out, "      labels:")?;
        }
        for (key, value) in &pool.labels {
            let is_domain = pool.domain_label.as_ref().is_some_and(|label| **label == **key);
            let why = if is_domain {
                "     # GUESS: a domain that pods may have exclusively"
            } else {
                ""
            };
            writeln!(out, "        {}: {}{why}", scalar(key), scalar(value))?;
        }
        for (key, value) in &pool.flavor_labels {
            let why = "     # GUESS: a ResourceFlavor selects it";
            writeln!(out, "        {}: {}{why}", scalar(key), scalar(value))?;
        }
        if !pool.taints.is_empty() {
            writeln!(out, "      taints:     # GUESS: its pods tolerate them, others do not")?;
        }
        for taint in &pool.taints {
            let value = match &*taint.value {
                "" => String::new(),
                value => format!(", value: {}", scalar(value)),
            };
            writeln!(out, "        - {{key: {}{value}, effect: NoSchedule}}", scalar(&taint.key))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_name_a_type_and_its_bounds() {
        let group: NodeGroup = "web=aws/m5.xlarge:1:10".parse().unwrap();
        assert_eq!((group.name.as_str(), group.min, group.max), ("web", 1, 10));
        for (text, says) in [
            ("web", "web=aws/m5.xlarge:1:10"),
            ("web=m5.xlarge:1", "web=aws/m5.xlarge:1:10"),
            ("web=m5.xlarge:a:3", "web=aws/m5.xlarge:1:10"),
            ("web=m5.xlarge:4:3", "write the smaller first"),
            ("Web=m5.xlarge:1:3", "lower-case"),
            ("web=m5.hugee:1:3", "m5.hugee"),
        ] {
            let message = text.parse::<NodeGroup>().unwrap_err();
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
