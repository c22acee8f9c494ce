//! Initial binding of a case's pods that have no node: to the first node that they fit.

use std::collections::BTreeMap;

use cluster::node::{ConditionStatus, HOSTNAME_LABEL, Node, NodeId};
use cluster::pod::{Pod, PodId};
use cluster::pod_resources::pod_requests;
use cluster::pod_template::{PodTemplate, ResourceList, TaintEffect, WhenUnsatisfiable};
use cluster::{Name, Store};
use units::Quantity;

/// The first node, by age and name, that has room and whose taints the pod tolerates.
pub(super) fn first_fit(store: &Store, pod: PodId) -> Option<NodeId> {
    let pod = store.pods().get(pod)?;
    let template = store.template_of(pod);
    let mut nodes: Vec<(NodeId, &Node)> = store.nodes().iter().collect();
    nodes.sort_by(|(_, one), (_, other)| {
        let by_age = one.meta.created.cmp(&other.meta.created);
        by_age.then_with(|| one.meta.name().cmp(other.meta.name()))
    });
    let found = nodes.into_iter().find(|(id, node)| {
        is_open(node, template)
            && has_room(store, *id, node, template)
            && is_alone(store, *id, pod, template)
            && is_spread(store, node, pod, template)
    });
    found.map(|(id, _)| id)
}

fn is_open(node: &Node, template: &PodTemplate) -> bool {
    let spec = &template.spec;
    let tolerates = |taint: &cluster::node::Taint| {
        taint.effect == TaintEffect::PreferNoSchedule
            || spec.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    };
    node.ready.status == ConditionStatus::True
        && !node.unschedulable
        && spec.node_selector.iter().all(|(key, value)| node.meta.labels.get(key) == Some(value))
        && node.taints.iter().all(tolerates)
}

fn has_room(store: &Store, id: NodeId, node: &Node, template: &PodTemplate) -> bool {
    let mut used = pod_requests(&template.spec);
    let mut pods = 1;
    for (_, other) in store.pods_on(id) {
        used.add_all(&pod_requests(&store.template_of(other).spec));
        pods += 1;
    }
    let fits = |list: &ResourceList| {
        list.iter().all(|(name, amount)| {
            let all = node.allocatable.get(name).unwrap_or_else(|| Quantity::from_units(0));
            amount.nanos() <= all.nanos()
        })
    };
    fits(&used) && pods <= node.allocatable.get("pods").map_or(0, Quantity::value)
}

/// True if the pod's anti-affinity allows this node.
fn is_alone(store: &Store, id: NodeId, pod: &Pod, template: &PodTemplate) -> bool {
    let terms = template.spec.affinity.required_anti.iter();
    let by_host = terms.filter(|term| *term.topology_key == *HOSTNAME_LABEL);
    let selectors: Vec<_> = by_host.filter_map(|term| term.selector.as_ref()).collect();
    store.pods_on(id).all(|(_, other)| {
        other.id.namespace != pod.id.namespace
            || !selectors.iter().any(|selector| selector.matches(store.labels_of(other)))
    })
}

/// True if the pod's spread constraints allow this node's domain.
fn is_spread(store: &Store, node: &Node, pod: &Pod, template: &PodTemplate) -> bool {
    let constraints = template.spec.topology_spread.iter();
    let mut hard =
        constraints.filter(|one| one.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    hard.all(|constraint| {
        let Some(own) = node.meta.labels.get(&constraint.topology_key) else { return false };
        let mut counts: BTreeMap<&Name, i32> = BTreeMap::new();
        for (id, other) in store.nodes().iter() {
            let Some(domain) = other.meta.labels.get(&constraint.topology_key) else { continue };
            let selected = store.pods_on(id).filter(|(_, one)| {
                one.id.namespace == pod.id.namespace
                    && constraint
                        .selector
                        .as_ref()
                        .is_some_and(|selector| selector.matches(store.labels_of(one)))
            });
            let count = i32::try_from(selected.count()).unwrap_or(i32::MAX);
            *counts.entry(domain).or_default() += count;
        }
        let least = counts.values().min().copied().unwrap_or(0);
        let here = counts.get(own).copied().unwrap_or(0);
        here + 1 - least <= constraint.max_skew
    })
}
