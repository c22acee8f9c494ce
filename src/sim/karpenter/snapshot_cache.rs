//! The store as Karpenter sees it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use cluster::attachment::Driver;
use cluster::deployment::IntOrPercent;
use cluster::node::{ConditionStatus, Node, NodeId};
use cluster::pod::{Owner, Pod as StorePod, PodId};
use cluster::pod_template::TemplateId;
use cluster::policy::{Budget, PodDisruptionBudget};
use cluster::{Change, ClusterView, NamespacedName, ObjectId};
use karpenter::operator::NodeWithPods;
use karpenter::pdb::{Budgets, PodBudget};
use karpenter::pod::{Pod, PodOwner};
use karpenter::state::NodeObject;
use karpenter::{Amounts, NodePods};

/// Label of nodes that Karpenter has registered.
pub(super) const REGISTERED: &str = "karpenter.sh/registered";
/// Label of nodes that Karpenter has initialized.
pub(super) const INITIALIZED: &str = "karpenter.sh/initialized";

/// Caches the converted form of each pod and node until the next write to it. All of it is only ever looked up,
/// never iterated.
#[derive(Clone, Debug, Default)]
pub(super) struct SnapshotCache {
    pods: FxHashMap<PodId, (u64, Arc<Pod>)>,
    /// The part that pods of a template have in common.
    templates: FxHashMap<TemplateId, Arc<Pod>>,
    nodes: FxHashMap<NodeId, (u64, Arc<NodeObject>)>,
    /// The pods on each node, as long as none of them has changed.
    on_node: FxHashMap<NodeId, NodePods>,
}

impl SnapshotCache {
    /// The converted pod.
    pub(super) fn pod(&mut self, view: ClusterView<'_>, id: PodId) -> Option<Arc<Pod>> {
        self.pod_that(view, id, false)
    }

    fn pod_that(
        &mut self,
        view: ClusterView<'_>,
        id: PodId,
        is_unschedulable: bool,
    ) -> Option<Arc<Pod>> {
        let pod = view.pods().get(id)?;
        let known = self.pods.get(&id).filter(|(version, known)| {
            *version == pod.resource_version && known.is_unschedulable == is_unschedulable
        });
        if let Some((_, known)) = known {
            return Some(Arc::clone(known));
        }
        let common = self.templates.entry(pod.template).or_insert_with(|| {
            let template = Arc::new(view.template_of(pod).clone());
            Arc::new(Pod::pending(pod.id.clone(), "".into(), template))
        });
        let made = Arc::new(Pod { is_unschedulable, ..pod_of(view, pod, common) });
        self.pods.insert(id, (pod.resource_version, Arc::clone(&made)));
        Some(made)
    }

    /// Invalidates the entries that a change affects.
    pub(super) fn on_change(&mut self, view: ClusterView<'_>, change: &Change) {
        match change {
            Change::PodAdded(pod) | Change::PodUpdated(pod, _) => {
                if let Some(node) = view.pods().get(*pod).and_then(|pod| pod.node) {
                    self.on_node.remove(&node);
                }
            }
            Change::PodRemoved { pod, node, .. } => {
                self.pods.remove(pod);
                if let Some(node) = node {
                    self.on_node.remove(node);
                }
            }
            Change::Removed { object: ObjectId::Node(node), .. } => {
                self.nodes.remove(node);
                self.on_node.remove(node);
            }
            _ => {}
        }
    }

    /// All nodes with their pods.
    pub(super) fn nodes(&mut self, view: ClusterView<'_>) -> Vec<NodeWithPods> {
        view.nodes().iter().map(|(id, node)| self.node(view, id, node)).collect()
    }

    fn node(&mut self, view: ClusterView<'_>, id: NodeId, node: &Node) -> NodeWithPods {
        let version = node.meta.resource_version;
        let known = self.nodes.get(&id).filter(|(known, _)| *known == version);
        let object = known
            .map_or_else(|| Arc::new(node_of(view, id, node)), |(_, object)| Arc::clone(object));
        self.nodes.insert(id, (version, Arc::clone(&object)));
        if let Some(pods) = self.on_node.get(&id) {
            return (object, pods.clone());
        }
        let on_it: Vec<PodId> = view.pods_on(id).map(|(pod, _)| pod).collect();
        let pods: NodePods = on_it.into_iter().filter_map(|pod| self.pod(view, pod)).collect();
        self.on_node.insert(id, pods.clone());
        (object, pods)
    }

    /// Unschedulable pods.
    pub(super) fn waiting(
        &mut self,
        view: ClusterView<'_>,
        pods: impl Iterator<Item = PodId>,
    ) -> Vec<Arc<Pod>> {
        // UIDs are compared as strings of hexadecimal digits, all of one length.
        let mut waiting: Vec<(u64, Arc<Pod>)> = pods
            .filter_map(|id| Some((view.pods().get(id)?.uid, self.pod_that(view, id, true)?)))
            .collect();
        waiting.sort_by_key(|(uid, _)| *uid);
        waiting.into_iter().map(|(_, pod)| pod).collect()
    }
}

fn node_of(view: ClusterView<'_>, id: NodeId, node: &Node) -> NodeObject {
    let has = |label: &str| node.meta.labels.get(label).is_some_and(|one| **one == *"true");
    NodeObject {
        name: node.meta.name().clone(),
        labels: node.meta.labels.clone(),
        annotations: node.meta.annotations.clone(),
        taints: node.taints.clone(),
        capacity: Amounts::of(&node.capacity),
        allocatable: Amounts::of(&node.allocatable),
        attach_limit: view.store().attach_limit(id, &Driver::Cloud),
        is_ready: node.ready.status == ConditionStatus::True,
        is_registered: has(REGISTERED),
        is_initialized: has(INITIALIZED),
    }
}

fn pod_of(view: ClusterView<'_>, pod: &StorePod, common: &Pod) -> Pod {
    // UIDs are compared as strings.
    let uid = format!("{:016x}", pod.uid).into();
    let mut made = Pod { id: pod.id.clone(), uid, ..common.clone() };
    made.labels = view.store().labels_of(pod).clone();
    made.annotations = view.store().annotations_of(pod).clone();
    made.created = pod.created;
    made.started = pod.start_time;
    made.owner = match pod.owner {
        Some(Owner::DaemonSet(_)) => PodOwner::DaemonSet,
        Some(Owner::StatefulSet(_)) => PodOwner::StatefulSet,
        _ => PodOwner::Other,
    };
    let node = pod.node.and_then(|id| view.nodes().get(id));
    made.node = node.map(|node| node.meta.name().clone());
    made.is_terminal = pod.phase.is_terminal();
    made.is_terminating = pod.is_terminating();
    made.ready = pod.ready.map(cluster::pod::PodCondition::is_true);
    made.is_preempting = pod.nominated_node.is_some();
    let store = view.store();
    let disks = store.claims_of(pod).map(|(_, claim)| claim);
    let disks = disks.filter(|claim| store.limited_by(claim) == Some(Driver::Cloud));
    made.volumes = disks.map(|claim| claim.meta.id.clone()).collect();
    made
}

/// Pods as the DaemonSets would create them.
pub(super) fn daemons(view: ClusterView<'_>) -> Vec<Arc<Pod>> {
    let sets = view.store().daemon_sets().values();
    let mut made: Vec<Arc<Pod>> = sets
        .map(|set| {
            let id: NamespacedName = set.meta.id.clone();
            let uid = id.to_string().into();
            let mut pod = Pod::pending(id, uid, Arc::new(set.spec.template.clone()));
            pod.owner = PodOwner::DaemonSet;
            Arc::new(pod)
        })
        .collect();
    made.sort_by(|one, other| one.id.cmp(&other.id));
    made
}

/// The PodDisruptionBudgets.
pub(super) fn budgets(view: ClusterView<'_>) -> Budgets {
    Budgets(view.store().disruption_budgets().values().map(budget).collect())
}

fn budget(one: &PodDisruptionBudget) -> PodBudget {
    let is_none =
        |limit: IntOrPercent| matches!(limit, IntOrPercent::Int(0) | IntOrPercent::Percent(0));
    PodBudget {
        id: one.meta.id.clone(),
        selector: one.spec.selector.clone(),
        disruptions_allowed: one.status.disruptions_allowed,
        is_fully_blocking: match one.spec.budget {
            Budget::MaxUnavailable(limit) => is_none(limit),
            Budget::MinAvailable(limit) => limit == IntOrPercent::Percent(100),
        },
        always_allows_unhealthy: one.spec.always_allows_unhealthy,
    }
}

/// True if an object defines a pool of Karpenter.
pub(super) const fn is_of_pools(object: ObjectId) -> bool {
    matches!(object, ObjectId::NodePool(_) | ObjectId::EC2NodeClass(_) | ObjectId::KWOKNodeClass(_))
}
