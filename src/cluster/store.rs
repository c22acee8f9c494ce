//! The tables of all objects and the indexes over them. Read by everyone, written by `apply` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use jiff::{SignedDuration, Timestamp};
use rustc_hash::FxHashMap;

use super::claim::ClaimId;
use super::custom_metrics::{CustomMetrics, MetricsApis};
use super::deployment::DeploymentId;
use super::hpa_object::HpaId;
use super::injection::Injector;
use super::job::{Job, JobId, JobOwner};
use super::kind::Kind;
use super::meta::{Labels, Name, NamespacedName};
use super::metrics::PodMetricsTable;
use super::node::{Node, NodeId};
use super::objects::{Collections, ObjectId};
use super::overlap::Overlaps;
use super::pod::{Owner, Pod, PodId};
use super::pod_names::PodNames;
use super::pod_template::{PodTemplate, TemplateId};
use super::replica_set::{ReplicaSet, ReplicaSetId, SetOwner};
use super::revision::Revisions;
use super::selection::Selections;
use super::selector::Selector;
use super::siblings::Siblings;
use super::standing::Standings;
use engine::digest::mix;
use engine::{Digest, IdSet, SimTime, Stream, Streams, Table};

/// The content of etcd.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) nodes: Table<Node>,
    pub(super) pods: Table<Pod>,
    pub(super) templates: Table<PodTemplate>,
    pub(super) collections: Collections,
    /// Claims deleted with a pod: terminating ones, and those owned by a pod.
    pub(super) leaving_claims: BTreeSet<ClaimId>,
    /// The claims whose volumes a node has, by node.
    pub(super) attached: BTreeMap<NodeId, BTreeSet<ClaimId>>,
    /// Whether volumes of a class that no manifest describes must be attached.
    pub(super) attaches_unknown: bool,
    /// Samples of the resource metrics API.
    pub(super) pod_metrics: PodMetricsTable,
    /// Values of the custom and external metrics APIs.
    pub(super) custom_metrics: CustomMetrics,
    pub(super) metrics_apis: MetricsApis,
    /// Custom and external metrics whose source is failing.
    pub(super) failing_metrics: BTreeSet<Name>,
    /// The calendar instant at which simulated time is zero.
    start: Timestamp,
    /// The webhook of a service mesh, if one is installed.
    pub(super) injector: Option<Injector>,
    pub(super) index: Index,
    pub(super) revisions: Revisions,
    pub(super) overlaps: Overlaps,
    /// Number of ended pods that still exist.
    pub(super) ended_pods: usize,
    /// Numbers every creation.
    pub(super) created: u64,
    /// Number of configuration objects created so far.
    configured: u64,
    /// Numbers every write.
    pub(super) resource_version: u64,
    /// Draws the five characters of generated names.
    pub(super) names: Stream,
    /// Makes UIDs differ between seeds.
    pub(super) uid_seed: u64,
}

/// Indexes that avoid scans of the tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    pub(super) nodes_by_name: BTreeMap<Name, NodeId>,
    pub(super) pods_by_name: PodNames,
    /// Only for namespaces that have had a quota: its usage is read for every new pod.
    pub(super) pods_by_namespace: BTreeMap<Name, BTreeSet<PodId>>,
    /// Lookups only, never iterated, so its order cannot affect results.
    pub(super) pods_by_owner: FxHashMap<Owner, Siblings>,
    /// Indexed by the node's slot.
    pub(super) pods_by_node: Vec<IdSet<Pod>>,
    pub(super) jobs_by_owner: BTreeMap<JobOwner, BTreeSet<JobId>>,
    /// By namespace, kind and name of the scale target. Lookups only, never iterated.
    pub(super) hpas_by_target: FxHashMap<(Name, Name, Name), BTreeSet<HpaId>>,
    pub(super) replica_sets_by_owner: BTreeMap<SetOwner, BTreeSet<ReplicaSetId>>,
    /// By the template's slot, of the templates that anything has selected.
    pub(super) pods_by_template: Vec<BTreeSet<PodId>>,
    /// Pods whose labels differ from their template's.
    pub(super) pods_with_own_labels: BTreeSet<PodId>,
    pub(super) selections: Selections,
    pub(super) standings: Standings,
    /// Lookups only, never iterated, so its order cannot affect results.
    pub(super) templates_by_digest: FxHashMap<u64, Vec<TemplateId>>,
}

impl Store {
    /// An empty store whose generated names follow from the seed.
    pub fn new(streams: Streams) -> Self {
        Self {
            nodes: Table::default(),
            pods: Table::default(),
            templates: Table::default(),
            collections: Collections::default(),
            leaving_claims: BTreeSet::new(),
            attached: BTreeMap::new(),
            attaches_unknown: true,
            pod_metrics: PodMetricsTable::default(),
            custom_metrics: CustomMetrics::default(),
            metrics_apis: MetricsApis::default(),
            failing_metrics: BTreeSet::new(),
            start: Timestamp::UNIX_EPOCH,
            injector: None,
            index: Index::default(),
            revisions: Revisions::default(),
            overlaps: Overlaps::default(),
            ended_pods: 0,
            created: 0,
            configured: 0,
            resource_version: 0,
            names: streams.stream("generated names", 0),
            uid_seed: streams.seed(),
        }
    }

    /// The same with a calendar: simulated time is zero at this instant.
    pub fn starting_at(self, start: Timestamp) -> Self {
        Self { start, ..self }
    }

    /// Whether the source of a custom or external metric does not answer.
    pub fn is_metric_failing(&self, name: &str) -> bool {
        self.failing_metrics.contains(name)
    }

    /// All nodes.
    pub const fn nodes(&self) -> &Table<Node> {
        &self.nodes
    }

    /// All pods.
    pub const fn pods(&self) -> &Table<Pod> {
        &self.pods
    }

    /// All pod templates that were ever interned.
    pub const fn templates(&self) -> &Table<PodTemplate> {
        &self.templates
    }

    /// Samples of the resource metrics API.
    pub const fn pod_metrics(&self) -> &PodMetricsTable {
        &self.pod_metrics
    }

    /// Values of the custom and external metrics APIs; their availability is in [`Self::metrics_apis`].
    pub const fn custom_metrics(&self) -> &CustomMetrics {
        &self.custom_metrics
    }

    /// Whether the metrics APIs answer.
    pub const fn metrics_apis(&self) -> &MetricsApis {
        &self.metrics_apis
    }

    /// The HorizontalPodAutoscalers that scale a workload.
    pub fn hpas_of(
        &self,
        namespace: &Name,
        kind: &Name,
        name: &Name,
    ) -> impl Iterator<Item = HpaId> {
        let target = (namespace.clone(), kind.clone(), name.clone());
        self.index.hpas_by_target.get(&target).into_iter().flatten().copied()
    }

    /// The node of a name.
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.index.nodes_by_name.get(name).copied()
    }

    /// All nodes, ordered by name.
    pub fn nodes_by_name(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.index.nodes_by_name.values().map(|node| (*node, &self.nodes[*node]))
    }

    /// The pod of a name.
    pub fn pod_named(&self, id: &NamespacedName) -> Option<PodId> {
        self.index.pods_by_name.find(&self.pods, id)
    }

    /// Number of ended pods that still exist.
    pub const fn ended_pods(&self) -> usize {
        self.ended_pods
    }

    /// The pod objects bound to a node, terminating ones included.
    pub fn pods_on(&self, node: NodeId) -> impl Iterator<Item = (PodId, &Pod)> {
        let pods = self.index.pods_by_node.get(node.index());
        pods.into_iter().flat_map(IdSet::iter).map(|pod| (pod, &self.pods[pod]))
    }

    /// The ids of these, without loading each pod.
    pub fn pod_ids_on(&self, node: NodeId) -> impl Iterator<Item = PodId> {
        self.index.pods_by_node.get(node.index()).into_iter().flat_map(IdSet::iter)
    }

    /// The pod objects of a namespace, terminating ones included.
    pub fn pods_in(&self, namespace: &Name) -> impl Iterator<Item = (PodId, &Pod)> {
        let listed = self.index.pods_by_namespace.get(namespace);
        let all = if listed.is_none() { Some(self.pods.iter()) } else { None };
        let searched =
            all.into_iter().flatten().filter(move |(_, pod)| pod.id.namespace == *namespace);
        listed.into_iter().flatten().map(|pod| (*pod, &self.pods[*pod])).chain(searched)
    }

    /// Lists the pods of a namespace from now on.
    pub(super) fn list_pods_in(&mut self, namespace: &Name) {
        if !self.index.pods_by_namespace.contains_key(namespace) {
            let pods = self.pods_in(namespace).map(|(pod, _)| pod).collect();
            self.index.pods_by_namespace.insert(namespace.clone(), pods);
        }
    }

    /// The pod objects of an owner, terminating ones included.
    pub fn pods_of(&self, owner: Owner) -> impl Iterator<Item = (PodId, &Pod)> {
        self.siblings(owner).ids().iter().map(|pod| (*pod, &self.pods[*pod]))
    }

    /// The pod objects of an owner, terminating ones included, with the state that can be read without loading each
    /// pod.
    pub fn siblings(&self, owner: Owner) -> &Siblings {
        static NONE: Siblings = Siblings::NONE;
        self.index.pods_by_owner.get(&owner).unwrap_or(&NONE)
    }

    /// The ReplicaSets of a Deployment or Rollout.
    pub fn replica_sets_of(
        &self,
        owner: impl Into<SetOwner>,
    ) -> impl Iterator<Item = (ReplicaSetId, &ReplicaSet)> {
        let sets = self.index.replica_sets_by_owner.get(&owner.into());
        sets.into_iter().flatten().map(|set| (*set, &self.replica_sets()[*set]))
    }

    /// The Jobs of a CronJob or ScaledJob.
    pub fn jobs_of(&self, owner: impl Into<JobOwner>) -> impl Iterator<Item = (JobId, &Job)> {
        let jobs = self.index.jobs_by_owner.get(&owner.into());
        jobs.into_iter().flatten().map(|job| (*job, &self.jobs()[*job]))
    }

    /// The template of a pod.
    pub fn template_of(&self, pod: &Pod) -> &PodTemplate {
        &self.templates[pod.template]
    }

    /// A pod's labels.
    pub fn labels_of<'a>(&'a self, pod: &'a Pod) -> &'a Labels {
        match &pod.overrides {
            Some(overrides) => &overrides.labels,
            None => &self.template_of(pod).labels,
        }
    }

    /// A pod's annotations.
    pub fn annotations_of<'a>(&'a self, pod: &'a Pod) -> &'a Labels {
        match &pod.overrides {
            Some(overrides) => &overrides.annotations,
            None => &self.template_of(pod).annotations,
        }
    }

    /// The pod selector of an owner, as the scheduler's default spreading looks it up.
    pub fn selector_of(&self, owner: Owner) -> Option<&Selector> {
        match owner {
            Owner::ReplicaSet(set) => self.replica_sets().get(set).map(|set| &set.selector),
            Owner::StatefulSet(set) => self.stateful_sets().get(set).map(|set| &set.spec.selector),
            // Pods of these are not spread by default (`DefaultSelector`).
            Owner::DaemonSet(_) | Owner::Job(_) => None,
        }
    }

    /// Kind and name of an owner that still exists.
    pub fn identity_of(&self, owner: Owner) -> Option<(Kind, &NamespacedName)> {
        let object = ObjectId::from(owner);
        Some((object.kind(), self.name_of(object)?))
    }

    /// The Deployment behind a pod, if there is one.
    pub fn deployment_of(&self, pod: &Pod) -> Option<DeploymentId> {
        match pod.owner? {
            Owner::ReplicaSet(set) => self.replica_sets().get(set)?.owner?.deployment(),
            Owner::StatefulSet(_) | Owner::DaemonSet(_) | Owner::Job(_) => None,
        }
    }

    /// The next creation number.
    pub(super) const fn next_sequence(&mut self) -> u64 {
        self.created += 1;
        self.created
    }

    /// The next creation number of configuration, above all others.
    pub(super) const fn next_configuration(&mut self) -> u64 {
        self.configured += 1;
        u32::MAX as u64 + self.configured
    }

    /// The id of a template, interning it if new.
    pub(super) fn intern(&mut self, template: PodTemplate) -> TemplateId {
        let digest = hash_of(&template);
        let alike = self.index.templates_by_digest.entry(digest).or_default();
        if let Some(known) = alike.iter().find(|id| self.templates[**id] == template) {
            return *known;
        }
        let id = self.templates.insert(template);
        alike.push(id);
        self.index.pods_by_template.resize_with(self.templates.capacity(), BTreeSet::new);
        self.select_template(id);
        id
    }
}

fn hash_of(template: &PodTemplate) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = rustc_hash::FxHasher::default();
    template.hash(&mut hasher);
    hasher.finish()
}

/// Label by which the pods of a Deployment's ReplicaSets differ.
pub const POD_TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// The `pod-template-hash` of a template: ten characters without vowels, like those of the Deployment controller.
/// They differ from a real cluster's, whose hash covers Go types, and do not depend on fields that are not simulated.
/// `collisions` distinguishes templates with equal hashes (`collisionCount`).
pub fn pod_template_hash(template: &PodTemplate, collisions: u32) -> String {
    hash_by("PodTemplate", template, collisions)
}

/// The `rollouts-pod-template-hash` of a template. It differs from [`pod_template_hash`], as Argo Rollouts hashes the
/// template in another way: a Rollout may have the name of the Deployment whose template it takes over.
pub fn rollout_template_hash(template: &PodTemplate, collisions: u32) -> String {
    hash_by("Rollout", template, collisions)
}

/// A hash of `prefix` and the template.
fn hash_by(prefix: &str, template: &PodTemplate, collisions: u32) -> String {
    let PodTemplate { labels, annotations, spec, document: _ } = template;
    let mut digest = Digest::default();
    let text =
        format!("{prefix} {{ labels: {labels:?}, annotations: {annotations:?}, spec: {spec:?} }}");
    digest.bytes(text.as_bytes());
    if collisions > 0 {
        digest.bytes(&collisions.to_le_bytes());
    }
    safe_characters(digest.value(), 10)
}

/// The alphabet of generated names (`apimachinery/pkg/util/rand`): no vowels, no look-alikes.
const SAFE_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The five characters that `metadata.generateName` appends, for the `number`-th object that one with this UID creates.
pub fn generated_suffix(uid: u64, number: u64) -> String {
    safe_characters(mix(uid ^ mix(number)), 5)
}

/// `value` encoded in `length` characters of the safe alphabet.
pub(super) fn safe_characters(mut value: u64, length: usize) -> String {
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        let position = usize::try_from(value % SAFE_ALPHABET.len() as u64).unwrap_or(0);
        text.push(char::from(SAFE_ALPHABET[position]));
        value /= SAFE_ALPHABET.len() as u64;
    }
    text
}

/// A read-only view of the store at one instant.
#[derive(Clone, Copy, Debug)]
pub struct ClusterView<'a> {
    store: &'a Store,
    /// The instant.
    pub now: SimTime,
}

impl<'a> ClusterView<'a> {
    /// The store at `now`.
    pub const fn new(store: &'a Store, now: SimTime) -> Self {
        Self { store, now }
    }

    /// The instant on the calendar, cut to whole seconds.
    pub fn timestamp(&self) -> Timestamp {
        let since_start = SignedDuration::from_secs((self.now - SimTime::ZERO).as_secs());
        self.store.start.checked_add(since_start).unwrap_or(Timestamp::MAX)
    }

    /// The store, with its own lifetime.
    pub const fn store(&self) -> &'a Store {
        self.store
    }
}

impl Deref for ClusterView<'_> {
    type Target = Store;
    fn deref(&self) -> &Store {
        self.store
    }
}
