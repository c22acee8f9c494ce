//! The clouds that manifests name: in labels, annotations, storage classes, ingress classes and kinds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use capacity::catalog;
use capacity::reserved::Provider;

/// Parts of label keys, annotations, provisioners and API groups that belong to one cloud.
const PARTS: [(&str, Provider); 11] = [
    ("amazonaws.com", Provider::Aws),
    ("aws.amazon.com", Provider::Aws),
    ("csi.aws.com", Provider::Aws),
    ("k8s.aws", Provider::Aws),
    ("kubernetes.io/aws-", Provider::Aws),
    ("cloud.google.com", Provider::Gcp),
    ("gke.io", Provider::Gcp),
    ("kubernetes.io/gce-", Provider::Gcp),
    ("azure.com", Provider::Azure),
    ("azure.workload.identity", Provider::Azure),
    ("kubernetes.io/azure-", Provider::Azure),
];

/// Storage classes and ingress classes that a cloud's clusters come with.
const CLASSES: [(&str, Provider); 11] = [
    ("gp2", Provider::Aws),
    ("gp3", Provider::Aws),
    ("alb", Provider::Aws),
    ("standard-rwo", Provider::Gcp),
    ("premium-rwo", Provider::Gcp),
    ("standard-rwx", Provider::Gcp),
    ("gce", Provider::Gcp),
    ("gce-internal", Provider::Gcp),
    ("managed-csi", Provider::Azure),
    ("managed-csi-premium", Provider::Azure),
    ("azurefile-csi", Provider::Azure),
];

/// Fields whose value is a label key, a provisioner, a class or an API version.
const NAMING: [&str; 9] = [
    "apiVersion",
    "driver",
    "ingressClassName",
    "key",
    "kubernetes.io/ingress.class",
    "loadBalancerClass",
    "provisioner",
    "storageClassName",
    "topologyKey",
];

/// Labels with the name of an instance type.
const INSTANCE_TYPES: [&str; 2] =
    ["node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"];

/// Counts the object for each cloud that it names.
pub(super) fn count(object: &Value, votes: &mut BTreeMap<Provider, usize>) {
    let mut found = BTreeSet::new();
    collect(object, &mut found);
    for provider in found {
        *votes.entry(provider).or_default() += 1;
    }
}

fn collect(value: &Value, found: &mut BTreeSet<Provider>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                // Data of ConfigMaps and Secrets is not about the cluster.
                if matches!(key.as_str(), "data" | "stringData" | "binaryData") {
                    continue;
                }
                found.extend(of_part(key));
                if let Some(text) = value.as_str() {
                    if NAMING.contains(&key.as_str()) {
                        found.extend(of_part(text).or_else(|| of_class(text)));
                    }
                    if INSTANCE_TYPES.contains(&key.as_str()) {
                        let named = catalog::find(text).ok();
                        found.extend(named.map(|node_type| node_type.machine.provider));
                    }
                }
                collect(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

fn of_part(text: &str) -> Option<Provider> {
    PARTS.iter().find(|(part, _)| text.contains(part)).map(|(_, provider)| *provider)
}

fn of_class(text: &str) -> Option<Provider> {
    CLASSES.iter().find(|(class, _)| text == *class).map(|(_, provider)| *provider)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_counts_once_for_each_cloud_that_it_names() {
        for (object, named) in [
            (json!({"spec": {"nodeSelector": {"cloud.google.com/a": "b"}}}), vec![Provider::Gcp]),
            (json!({"provisioner": "ebs.csi.aws.com"}), vec![Provider::Aws]),
            (json!({"storageClassName": "managed-csi"}), vec![Provider::Azure]),
            (json!({"apiVersion": "networking.gke.io/v1"}), vec![Provider::Gcp]),
            (json!({"a": {"node.kubernetes.io/instance-type": "m5.large"}}), vec![Provider::Aws]),
            (
                json!({"a": [{"key": "eks.amazonaws.com/x"}, {"kubernetes.azure.com/y": 1}]}),
                vec![Provider::Aws, Provider::Azure],
            ),
            (json!({"data": {"cloud.google.com/a": "b"}, "image": "x.azure.com/y"}), vec![]),
            (json!({"name": "gp3"}), vec![]),
        ] {
            let mut votes = BTreeMap::new();
            count(&object, &mut votes);
            assert_eq!(votes.into_keys().collect::<Vec<_>>(), named, "{object}");
        }
    }
}
