//! The cells of Karpenter's kinds, with the columns of its CustomResourceDefinitions.

use serde_json::Value;

use super::rows::{Rows, Snapshot};
use cluster::Kind;

/// The label that names a node's pool.
const NODE_POOL: &str = "karpenter.sh/nodepool";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The kinds of node classes.
const CLASSES: [Kind; 2] = [Kind::EC2NodeClass, Kind::KWOKNodeClass];

/// NodePools, which are ready if their node class exists.
pub(super) fn node_pools(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for (meta, value) in snapshot.all_written(Kind::NodePool) {
        rows.of(meta, || {
            let spec = &value["spec"];
            let reference = &spec["template"]["spec"]["nodeClassRef"];
            let class = &reference["name"];
            let is_there = CLASSES.iter().any(|kind| {
                let mut known = snapshot.all_written(*kind);
                reference["kind"] == kind.to_string()
                    && known.any(|(meta, _)| *class == meta.name().as_ref())
            });
            let is_of_pool = |one: &&cluster::node::Node| {
                one.meta.labels.get(NODE_POOL).is_some_and(|pool| pool == meta.name())
            };
            let nodes = snapshot.view.nodes().values().filter(is_of_pool).count();
            let weight = spec["weight"].as_i64().map_or_else(String::new, |one| one.to_string());
            let ready = if is_there { "True" } else { "False" }.to_owned();
            vec![text(class), nodes.to_string(), ready, snapshot.age(meta.created), weight]
        });
    }
}

/// NodeClaims.
pub(super) fn node_claims(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for (meta, value) in snapshot.all_written(Kind::NodeClaim) {
        rows.of(meta, || {
            let label =
                |key: &str| meta.labels.get(key).map_or_else(String::new, ToString::to_string);
            let conditions = value["status"]["conditions"].as_array();
            let ready = conditions.into_iter().flatten().find(|one| one["type"] == "Ready");
            vec![
                label("node.kubernetes.io/instance-type"),
                label("karpenter.sh/capacity-type"),
                label("topology.kubernetes.io/zone"),
                text(&value["status"]["nodeName"]),
                ready.map_or_else(|| "Unknown".to_owned(), |one| text(&one["status"])),
                snapshot.age(meta.created),
                label(NODE_POOL),
            ]
        });
    }
}

/// EC2NodeClasses.
pub(super) fn ec2_node_classes(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for (meta, _) in snapshot.all_written(Kind::EC2NodeClass) {
        rows.of(meta, || vec!["True".to_owned(), snapshot.age(meta.created)]);
    }
}

/// KWOKNodeClasses.
pub(super) fn kwok_node_classes(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for (meta, _) in snapshot.all_written(Kind::KWOKNodeClass) {
        rows.of(meta, || vec![snapshot.age(meta.created)]);
    }
}
