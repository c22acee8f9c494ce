//! Turns a pool of the scenario into the objects from which Karpenter creates its nodes.

use serde_json::{Value, json};

use crate::cluster::NodePool;
use capacity::catalog;
use capacity::reserved::Provider;
use karpenter::labels::{CAPACITY_TYPE, INSTANCE_TYPE, ON_DEMAND, SPOT, ZONE};
use manifest::Source;

/// The reason why Karpenter cannot create the nodes of a pool, with advice; `None` if it can.
pub(crate) fn problem(pool: &NodePool) -> Option<(String, &'static str)> {
    let name = &pool.name;
    let help = "write the `instanceType` of an EC2 machine, such as aws/m5.xlarge";
    let Some(text) = &pool.instance_type else {
        return Some((format!("Karpenter has no machine like those of the pool {name}"), help));
    };
    // Unknown types are reported where types are looked up.
    let found = catalog::find(text).ok()?;
    let is_plain = pool.capacity.is_none() && pool.allocatable.is_empty() && pool.gpus.is_none();
    if found.machine.provider != Provider::Aws {
        return Some((format!("Karpenter uses EC2 instances, and {text} is not one"), help));
    }
    if pool.price_per_hour.is_some() || !is_plain {
        let message =
            format!("Karpenter uses the cloud's instances for the pool {name} without changes");
        return Some((message, "remove capacity, allocatable, pricePerHour and gpus"));
    }
    None
}

/// The NodePool and node class of a pool: its instance type, zones, labels and taints, with Karpenter's defaults
/// otherwise.
pub(crate) fn manifests_of(pool: &NodePool) -> Source {
    let one_of = |key: &str, values: Value| json!({"key": key, "operator": "In", "values": values});
    let name = pool.instance_type.as_deref().and_then(|text| catalog::find(text).ok());
    let name = name.map_or_else(String::new, |found| found.name.to_string());
    let capacity_type = if pool.spot { SPOT } else { ON_DEMAND };
    let mut requirements =
        vec![one_of(INSTANCE_TYPE, json!([name])), one_of(CAPACITY_TYPE, json!([capacity_type]))];
    if !pool.zones.is_empty() {
        requirements.push(one_of(ZONE, json!(pool.zones)));
    }
    let class = json!({
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": &*pool.name},
        "spec": {"role": "node"},
    });
    let node_pool = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": &*pool.name},
        "spec": {"template": {
            "metadata": {"labels": pool.labels},
            "spec": {
                "requirements": requirements,
                "taints": pool.taints,
                "nodeClassRef": {
                    "group": "karpenter.k8s.aws",
                    "kind": "EC2NodeClass",
                    "name": &*pool.name,
                },
            },
        }},
    });
    // JSON is valid YAML.
    Source::new(
        &format!("cluster.nodePools[{}]", pool.name),
        format!("{class}\n---\n{node_pool}\n"),
    )
}
