//! Similar groups, and the balancing of new nodes over them (`processors/nodegroupset`).

use std::collections::BTreeMap;

use super::options::Options;
use super::provider::NodeGroup;
use super::report::ScaleUpInfo;
use super::template::TemplateNode;
use cluster::Name;
use cluster::pod_template::ResourceList;
use units::Quantity;

/// Labels that may differ between similar groups (`BasicIgnoredLabels`).
const IGNORED_LABELS: [&str; 7] = [
    "kubernetes.io/hostname",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "beta.kubernetes.io/fluentd-ds-ready",
    "kops.k8s.io/instancegroup",
];

/// True if the nodes of two groups are similar (`IsCloudProviderNodeInfoSimilar`).
pub(crate) fn are_similar(
    one: &TemplateNode,
    other: &TemplateNode,
    ignored: &[Name],
    options: &Options,
) -> bool {
    have_similar_capacity(&one.node.capacity, &other.node.capacity, options)
        && are_within(
            &one.node.allocatable,
            &other.node.allocatable,
            options.max_allocatable_difference_ratio,
        )
        && are_within(&free(one), &free(other), options.max_free_difference_ratio)
        && have_same_labels(one, other, ignored)
}

fn have_similar_capacity(one: &ResourceList, other: &ResourceList, options: &Options) -> bool {
    let same_names = one.iter().map(|(name, _)| name).eq(other.iter().map(|(name, _)| name));
    same_names
        && one.iter().zip(other.iter()).all(|((name, own), (_, others))| {
            if **name == *"memory" {
                is_within(own, others, options.memory_difference_ratio)
            } else {
                own.nanos() == others.nanos()
            }
        })
}

fn are_within(one: &ResourceList, other: &ResourceList, ratio: f64) -> bool {
    let same_names = one.iter().map(|(name, _)| name).eq(other.iter().map(|(name, _)| name));
    same_names
        && one.iter().zip(other.iter()).all(|((_, own), (_, others))| is_within(own, others, ratio))
}

/// True if two amounts differ by at most this fraction of the larger one.
fn is_within(one: Quantity, other: Quantity, ratio: f64) -> bool {
    let (one, other) = (one.milli_value() as f64, other.milli_value() as f64);
    let (larger, smaller) = (one.max(other), one.min(other));
    larger - smaller <= larger * ratio
}

/// Free resources of a new node after its initial pods: CPU, memory, disk, number of pods, and any other resource
/// that those pods request.
fn free(template: &TemplateNode) -> ResourceList {
    let mut requested: ResourceList = ["cpu", "memory", "ephemeral-storage", "pods"]
        .map(|name| (name, Quantity::from_units(0)))
        .into_iter()
        .collect();
    for pod in &template.pods {
        requested.add_all(&pod.facts.requests);
    }
    let zero = Quantity::from_units(0);
    let left = requested.iter().map(|(name, used)| {
        let all = template.node.allocatable.get(name).unwrap_or(zero);
        let milli = all.milli_value().saturating_sub(used.milli_value());
        (name.clone(), Quantity::from_milli(milli))
    });
    left.collect()
}

fn have_same_labels(one: &TemplateNode, other: &TemplateNode, ignored: &[Name]) -> bool {
    let counted = |template: &TemplateNode| -> BTreeMap<Name, Name> {
        let labels = template.node.meta.labels.iter();
        let counts = |(key, _): &(&Name, &Name)| {
            !IGNORED_LABELS.contains(&&***key) && !ignored.contains(key)
        };
        labels.filter(counts).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    counted(one) == counted(other)
}

/// Balances new nodes over groups, each to the group with the smallest target; full groups drop out
/// (`BalanceScaleUpBetweenGroups`).
///
/// 5 nodes over groups of 1, 1 and 4: both small ones get 2, and the first of them also the fifth, which makes 4.
pub(crate) fn balance(groups: &[&NodeGroup], new_nodes: i64) -> Vec<ScaleUpInfo> {
    let open = groups.iter().filter(|group| group.target_size != group.max_size);
    let mut infos: Vec<ScaleUpInfo> = open
        .map(|group| ScaleUpInfo {
            group: group.id.clone(),
            from: group.target_size,
            to: group.target_size,
            max: group.max_size,
        })
        .collect();
    let room: i64 = infos.iter().map(|info| info.max.saturating_sub(info.from).max(0)).sum();
    let mut left = new_nodes.min(room);
    infos.sort_by_key(|info| info.from);
    let (mut start, mut current) = (0, 0);
    while left > 0 && current < infos.len() {
        if infos[current].to < infos[current].max {
            infos[current].to += 1;
            left -= 1;
        } else {
            infos.swap(start, current);
            start += 1;
        }
        // After a swap, the group now at this position is compared.
        let is_ahead = infos.get(current + 1).is_some_and(|next| infos[current].to > next.to);
        current = if is_ahead { current + 1 } else { start };
    }
    infos.retain(|info| info.to != info.from);
    infos
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::GroupOptions;

    fn group(id: &str, target_size: i64, max_size: i64) -> NodeGroup {
        NodeGroup {
            id: id.into(),
            min_size: 0,
            max_size,
            target_size,
            template: crate::nodes::tests::node(id),
            options: GroupOptions::default(),
        }
    }

    fn sizes(groups: &[NodeGroup], nodes: i64) -> Vec<(String, i64)> {
        let groups: Vec<&NodeGroup> = groups.iter().collect();
        balance(&groups, nodes).into_iter().map(|info| (info.group.to_string(), info.to)).collect()
    }

    #[test]
    fn new_nodes_go_to_the_smallest_group_until_it_is_full() {
        let groups = [group("a", 1, 9), group("b", 1, 9), group("c", 4, 9)];
        let expected = [("a".to_owned(), 4), ("b".to_owned(), 3)];
        assert_eq!(sizes(&groups, 5), expected);
        let groups = [group("a", 0, 1), group("b", 0, 2), group("c", 0, 9)];
        let expected = [("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 5)];
        let mut got = sizes(&groups, 8);
        got.sort();
        assert_eq!(got, expected);
        assert_eq!(sizes(&[group("a", 3, 3)], 5), []);
        assert_eq!(sizes(&[group("a", 5, 3), group("b", 0, 1)], 5), [("b".to_owned(), 1)]);
    }

    #[test]
    fn memory_may_differ_by_a_share_of_the_larger() {
        let gib = |amount: i64| Quantity::from_bytes(amount);
        assert!(is_within(gib(985), gib(1000), 0.015));
        assert!(!is_within(gib(984), gib(1000), 0.015));
    }
}
