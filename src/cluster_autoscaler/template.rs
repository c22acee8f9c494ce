//! Template nodes: what a new node of each group would look like (`processors/nodeinfosprovider`,
//! `simulator/node_info_utils.go`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::nodes::{LoopNode, is_good_template};
use super::options::Options;
use super::pods::{Controller, PodInfo, TemplateFacts};
use super::provider::{CloudProvider, NodeGroup};
use super::snapshot::{Snapshot, SnapshotNode};
use super::taints::of_fresh_node;
use cluster::daemon_set::{DaemonSet, DaemonSetId, with_daemon_tolerations};
use cluster::node::{HOSTNAME_LABEL, Node};
use cluster::pod::{Owner, PodPhase};
use cluster::pod_template::{PreemptionPolicy, TemplateId};
use cluster::{ClusterView, Labels, Name, NamespacedName};
use controllers::daemon_set::placement::placement;
use engine::SimTime;
use scheduler::node_info::ClassId;

/// Label of template nodes, which do not exist.
const TEMPLATE_LABEL: &str = "cluster-autoscaler.kubernetes.io/template-node";
/// Labels that are also set under their deprecated names on the cloud's template nodes (`UpdateDeprecatedLabels`).
const DEPRECATED_LABELS: [(&str, &str); 3] = [
    ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"),
    ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
    ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
];
/// Priority class of pods that every node needs.
const NODE_CRITICAL: &str = "system-node-critical";

/// A new node of a group, with its initial pods.
#[derive(Clone, Debug)]
pub(crate) struct TemplateNode {
    pub(crate) node: Node,
    pub(crate) pods: Vec<Arc<PodInfo>>,
    pub(crate) group: usize,
}

/// Templates by the name of their group.
pub(crate) type Templates = BTreeMap<Name, Arc<TemplateNode>>;

/// Templates, including those of earlier loops.
#[derive(Clone, Debug, Default)]
pub(crate) struct TemplateRegistry {
    /// Templates made from real nodes, with the time at which each was made.
    cached: BTreeMap<Name, (Arc<TemplateNode>, SimTime)>,
    /// Pods of DaemonSets, by DaemonSet and its generation.
    daemon_pods: BTreeMap<(DaemonSetId, i64), DaemonPod>,
}

/// The pod of a DaemonSet.
#[derive(Clone, Debug)]
struct DaemonPod {
    facts: Arc<TemplateFacts>,
    class: ClassId,
}

impl TemplateNode {
    /// True if new nodes like either are the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let is_like = |(one, other): (&Arc<PodInfo>, &Arc<PodInfo>)| {
            one.class == other.class
                && Arc::ptr_eq(&one.facts, &other.facts)
                && one.controller == other.controller
                && one.annotations == other.annotations
                && one.phase == other.phase
        };
        self.group == other.group
            && self.node == other.node
            && self.pods.len() == other.pods.len()
            && self.pods.iter().zip(&other.pods).all(is_like)
    }

    /// A copy with another name (`SanitizedNodeInfo`).
    pub(crate) fn fresh(&self, snapshot: &mut Snapshot, suffix: &str) -> SnapshotNode {
        let name: Name = format!("{}-{suffix}", self.node.meta.name()).into();
        let mut node = renamed(&self.node, &name);
        // Template nodes have no CSINode: the simulated scheduler sees no limit of their volumes.
        node.machine.attach_limit = None;
        let pods = self.pods.iter().map(|pod| copied(pod, snapshot)).collect();
        SnapshotNode::new(Arc::new(node), pods, Some(self.group))
    }
}

impl TemplateRegistry {
    /// The templates of this loop: from a good node of the group, otherwise from the last good one, otherwise from
    /// the cloud.
    pub(crate) fn recompute(
        &mut self,
        view: ClusterView<'_>,
        cloud: &dyn CloudProvider,
        nodes: &[LoopNode],
        snapshot: &mut Snapshot,
        options: &Options,
    ) -> Templates {
        let mut templates = Templates::new();
        let groups = cloud.node_groups();
        for one in nodes.iter().filter(|one| is_good_template(&one.node, view.now)) {
            if templates.len() == groups.len() {
                break;
            }
            let Some(group) = one.group.and_then(|group| groups.get(group)) else { continue };
            if templates.contains_key(&group.id) {
                continue;
            }
            let Some(slot) = snapshot.slot(one.name()) else { continue };
            let example = snapshot.node(slot).clone();
            let place = one.group.unwrap_or_default();
            let forces = options.force_ds;
            let template =
                self.like_example(view, &example, (group, place), snapshot, forces, options);
            let template = Arc::new(template);
            self.cached.insert(group.id.clone(), (Arc::clone(&template), view.now));
            templates.insert(group.id.clone(), template);
        }
        for (place, group) in groups.iter().enumerate() {
            if templates.contains_key(&group.id) {
                continue;
            }
            let expiry = options.node_info_cache_expire_time;
            let cached =
                self.cached.get(&group.id).filter(|(_, added)| view.now - *added <= expiry);
            let template = match cached {
                Some((template, _)) => {
                    Arc::new(TemplateNode { group: place, ..TemplateNode::clone(template) })
                }
                None => Arc::new(self.like_cloud(view, (group, place), snapshot, options)),
            };
            templates.insert(group.id.clone(), template);
        }
        self.cached.retain(|id, _| groups.iter().any(|group| group.id == *id));
        templates
    }

    fn like_cloud(
        &mut self,
        view: ClusterView<'_>,
        group: (&NodeGroup, usize),
        snapshot: &mut Snapshot,
        options: &Options,
    ) -> TemplateNode {
        let node = Arc::new(group.0.template.clone());
        let example = SnapshotNode::new(node, Vec::new(), Some(group.1));
        let mut template = self.like_example(view, &example, group, snapshot, true, options);
        let mut labels = template.node.meta.labels.clone();
        for (stable, deprecated) in DEPRECATED_LABELS {
            if let Some(value) = labels.get(stable).cloned() {
                labels = labels.with(deprecated, value);
            }
        }
        template.node.meta.labels = labels;
        template
    }

    /// A node like another one, with the pods that every such node gets (`SanitizedTemplateNodeInfoFromNodeInfo`).
    fn like_example(
        &mut self,
        view: ClusterView<'_>,
        example: &SnapshotNode,
        (group, place): (&NodeGroup, usize),
        snapshot: &mut Snapshot,
        forces_daemon_sets: bool,
        options: &Options,
    ) -> TemplateNode {
        let name: Name = format!("template-node-for-{}-0", group.id).into();
        let mut node = renamed(&example.node, &name);
        node.taints = of_fresh_node(&node.taints);
        node.unschedulable &= !options.scale_from_unschedulable;
        let staying = || example.pods.iter().filter(|pod| pod.deletion.is_none());
        let belongs = |pod: &&Arc<PodInfo>| pod.is_mirror() || pod.is_daemon_set_pod();
        let mut pods: Vec<_> = staying().filter(belongs).map(|pod| copied(pod, snapshot)).collect();
        for (id, set) in view.daemon_sets().iter() {
            let owner = Some(Owner::DaemonSet(id));
            let is_of_set = |pod: &Arc<PodInfo>| {
                pod.controller.as_ref().is_some_and(|controller| controller.owner == owner)
            };
            if staying().any(is_of_set) {
                continue;
            }
            let template = with_daemon_tolerations(set.spec.template.clone());
            let spec = &template.spec;
            let is_critical = *spec.priority_class_name == *NODE_CRITICAL
                && spec.preemption_policy == PreemptionPolicy::PreemptLowerPriority;
            if placement(&template, &node).should_run && (forces_daemon_sets || is_critical) {
                pods.push(self.daemon_pod(view, (id, set), template, snapshot));
            }
        }
        node.meta.labels = node.meta.labels.with(TEMPLATE_LABEL, "true");
        TemplateNode { node, pods, group: place }
    }

    fn daemon_pod(
        &mut self,
        view: ClusterView<'_>,
        (id, set): (DaemonSetId, &DaemonSet),
        template: cluster::pod_template::PodTemplate,
        snapshot: &mut Snapshot,
    ) -> Arc<PodInfo> {
        // Templates in the store never have such an id.
        let number = u64::try_from(self.daemon_pods.len()).unwrap_or(u64::MAX);
        let template_id = TemplateId::from_bits(u64::from(u32::MAX) << 32 | number);
        let known = self.daemon_pods.entry((id, set.meta.generation)).or_insert_with(|| {
            let namespace = set.meta.namespace();
            let class = snapshot.cache_mut().intern(template_id, &template, namespace, None);
            DaemonPod { facts: Arc::new(TemplateFacts::new(template)), class }
        });
        let (facts, class) = (Arc::clone(&known.facts), known.class);
        let pod = snapshot.synthetic_pod();
        let number = pod.position();
        let kind = cluster::Kind::DaemonSet.name().into();
        let owner = Some(Owner::DaemonSet(id));
        Arc::new(PodInfo {
            id: pod,
            name: NamespacedName::new(
                set.meta.namespace().clone(),
                format!("{}-pod-{number}", set.meta.name()),
            ),
            labels: facts.template.labels.clone(),
            annotations: facts.template.annotations.clone(),
            controller: Some(Controller { kind, id: set.meta.id.clone(), owner }),
            created: view.now,
            phase: PodPhase::Pending,
            deletion: None,
            facts,
            class,
        })
    }
}

fn renamed(node: &Node, name: &Name) -> Node {
    let mut node = node.clone();
    node.meta.id = NamespacedName::new("", name.clone());
    let labels: Labels = node.meta.labels.with(HOSTNAME_LABEL, name.clone());
    node.meta.labels = labels;
    node
}

/// A copy of the pod for another node.
fn copied(pod: &Arc<PodInfo>, snapshot: &mut Snapshot) -> Arc<PodInfo> {
    Arc::new(PodInfo { id: snapshot.synthetic_pod(), ..PodInfo::clone(pod) })
}
