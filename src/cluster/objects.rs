//! The kinds that the store holds, one row each: `objects!` gives a kind its table and its index by name, its
//! `ObjectId`, its `AnySpec` and `AnyStatus`.

use super::action::Refused;
use super::analysis::{AnalysisTemplate, ClusterAnalysisTemplate};
use super::attachment::CSINode;
use super::change::Change;
use super::claim::Claim;
use super::config::{ConfigMap, Secret};
use super::cron_job::CronJob;
use super::daemon_set::DaemonSet;
use super::deployment::Deployment;
use super::hpa_object::HpaObject;
use super::job::Job;
use super::karpenter::{EC2NodeClass, KWOKNodeClass, NodeClaim, NodePool};
use super::kind::Kind;
use super::kueue::{ClusterQueue, LocalQueue, ResourceFlavor, WorkloadPriorityClass};
use super::limit_range::LimitRange;
use super::meta::{NamespacedName, ObjectMeta};
use super::namespace::Namespace;
use super::network_policy::NetworkPolicy;
use super::node::Node;
use super::object::{Collection, Object, Stored, create, delete, set_status, update};
use super::persistent_volume::PersistentVolume;
use super::pod::Pod;
use super::pod_autoscaler::PodAutoscaler;
use super::pod_template::PodTemplate;
use super::pod_verbs::delete_pod;
use super::policy::PodDisruptionBudget;
use super::priority_class::PriorityClass;
use super::quota::ResourceQuota;
use super::replica_set::ReplicaSet;
use super::rollout::Rollout;
use super::routes::{HTTPRoute, Ingress, IngressClass};
use super::scaled_job::ScaledJob;
use super::scaled_object::ScaledObject;
use super::service::Service;
use super::service_account::ServiceAccount;
use super::stateful_set::StatefulSet;
use super::storage_class::StorageClass;
use super::store::Store;
use super::vpa::VpaObject;
use engine::digest::mix;
use engine::{Id, SimTime, Table};

macro_rules! objects {
    (written by verbs of their own { $($own:ident $own_row:ty, $own_spec:ty;)* }
     stored { $($kind:ident $row:ty, $table:ident;)* }) => {
        /// A key of any object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is the key of its kind")]
        pub enum ObjectId { $($own(Id<$own_row>),)* $($kind(Id<$row>),)* }

        impl ObjectId {
            /// The object's kind.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$own(_) => Kind::$own,)* $(Self::$kind(_) => Kind::$kind,)* }
            }
        }

        /// The spec of an object of any kind.
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "each is the spec of its kind")]
        pub enum AnySpec { $($own(Box<$own_spec>),)* $($kind(Box<<$row as Object>::Spec>),)* }

        impl AnySpec {
            /// The object's kind.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$own(_) => Kind::$own,)* $(Self::$kind(_) => Kind::$kind,)* }
            }
        }

        $(impl From<<$row as Object>::Spec> for AnySpec {
            fn from(spec: <$row as Object>::Spec) -> Self {
                Self::$kind(Box::new(spec))
            }
        })*

        /// The status of an object of any kind, with its key.
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "each is the status of its kind")]
        pub enum AnyStatus { $($kind(Id<$row>, Box<<$row as Object>::Status>),)* }

        $(impl From<(Id<$row>, <$row as Object>::Status)> for AnyStatus {
            fn from((id, status): (Id<$row>, <$row as Object>::Status)) -> Self {
                Self::$kind(id, Box::new(status))
            }
        })*

        /// The tables of the kinds that the generic verbs write.
        #[derive(Clone, Debug, Default)]
        pub(super) struct Collections { $(pub(super) $table: Collection<$row>,)* }

        $(impl Stored for $row {
            fn collection(store: &Store) -> &Collection<Self> {
                &store.collections.$table
            }

            fn collection_mut(store: &mut Store) -> &mut Collection<Self> {
                &mut store.collections.$table
            }

            fn object_id(id: Id<Self>) -> ObjectId {
                ObjectId::$kind(id)
            }
        })*

        impl Store {
            $(
                #[doc = concat!("All objects of kind ", stringify!($kind), ".")]
                pub const fn $table(&self) -> &Table<$row> {
                    &self.collections.$table.table
                }
            )*

            /// The key of an object.
            pub fn object_named(&self, kind: Kind, id: &NamespacedName) -> Option<ObjectId> {
                match kind {
                    Kind::Pod => self.pod_named(id).map(ObjectId::Pod),
                    Kind::Node => self.node_named(&id.name).map(ObjectId::Node),
                    $(Kind::$kind => self.named::<$row>(id).map(ObjectId::$kind),)*
                    _ => None,
                }
            }

            /// Metadata of an object of the kinds that the generic verbs write.
            pub fn meta_of(&self, object: ObjectId) -> Option<&ObjectMeta> {
                match object {
                    ObjectId::Pod(_) => None,
                    ObjectId::Node(id) => Some(&self.nodes().get(id)?.meta),
                    $(ObjectId::$kind(id) => Some(&self.$table().get(id)?.meta()),)*
                }
            }

            pub(super) fn meta_of_mut(&mut self, object: ObjectId) -> Option<&mut ObjectMeta> {
                match object {
                    ObjectId::Pod(_) => None,
                    ObjectId::Node(id) => Some(&mut self.nodes.get_mut(id)?.meta),
                    $(ObjectId::$kind(id) => {
                        Some(self.collections.$table.table.get_mut(id)?.meta_mut())
                    })*
                }
            }

            /// The controller that owns an object.
            pub fn owner_of(&self, object: ObjectId) -> Option<ObjectId> {
                match object {
                    ObjectId::Pod(id) => self.pods().get(id)?.owner.map(ObjectId::from),
                    ObjectId::Node(_) => None,
                    $(ObjectId::$kind(id) => self.$table().get(id)?.owner(),)*
                }
            }

            /// Metadata and spec with which a client would write an object in its current state; `None` for pods and
            /// nodes.
            pub fn written(&self, object: ObjectId) -> Option<(ObjectMeta, AnySpec)> {
                match object {
                    ObjectId::Pod(_) | ObjectId::Node(_) => None,
                    $(ObjectId::$kind(id) => {
                        let object = self.$table().get(id)?;
                        Some((object.meta().clone(), object.written(self).into()))
                    })*
                }
            }

            /// The objects of a kind with their names, in the order of the store.
            pub fn objects_of(&self, kind: Kind) -> Vec<(ObjectId, &NamespacedName)> {
                match kind {
                    Kind::Pod => {
                        self.pods().iter().map(|(id, one)| (ObjectId::Pod(id), &one.id)).collect()
                    }
                    Kind::Node => {
                        self.nodes().iter().map(|(id, one)| (ObjectId::Node(id), &one.meta.id)).collect()
                    }
                    $(Kind::$kind => {
                        let all = self.$table().iter();
                        all.map(|(id, one)| (ObjectId::$kind(id), &one.meta().id)).collect()
                    })*
                    _ => Vec::new(),
                }
            }
        }

        pub(super) fn create_any(
            store: &mut Store,
            now: SimTime,
            meta: ObjectMeta,
            spec: AnySpec,
            changes: &mut Vec<Change>,
        ) -> Result<(), Refused> {
            match spec {
                AnySpec::Pod(template) => super::pod_verbs::create_bare_pod(store, now, meta, template, changes),
                AnySpec::Node(node) => super::node_verbs::add_node(store, now, Node { meta, ..*node }, changes),
                $(AnySpec::$kind(spec) => create::<$row>(store, now, meta, *spec, changes),)*
            }
        }

        pub(super) fn apply_any(
            store: &mut Store,
            now: SimTime,
            meta: ObjectMeta,
            spec: AnySpec,
            changes: &mut Vec<Change>,
        ) -> Result<(), Refused> {
            match spec {
                AnySpec::Pod(template) => super::pod_verbs::create_bare_pod(store, now, meta, template, changes),
                AnySpec::Node(node) => super::node_verbs::add_node(store, now, Node { meta, ..*node }, changes),
                $(AnySpec::$kind(spec) => match store.named::<$row>(&meta.id) {
                    Some(id) => update::<$row>(store, id, meta, *spec, changes),
                    None => create::<$row>(store, now, meta, *spec, changes),
                },)*
            }
        }

        pub(super) fn set_any_status(
            store: &mut Store,
            status: AnyStatus,
            changes: &mut Vec<Change>,
        ) -> Result<(), Refused> {
            match status {
                $(AnyStatus::$kind(id, status) => set_status::<$row>(store, id, *status, changes),)*
            }
        }

        pub(super) fn delete_any(
            store: &mut Store,
            now: SimTime,
            object: ObjectId,
            changes: &mut Vec<Change>,
        ) -> Result<(), Refused> {
            match object {
                ObjectId::Pod(id) => delete_pod(store, now, id, Default::default(), changes),
                ObjectId::Node(id) => super::node_verbs::remove_node(store, id, changes),
                $(ObjectId::$kind(id) => delete::<$row>(store, now, id, changes),)*
            }
        }
    };
}

objects! {
    written by verbs of their own {
    Pod Pod, PodTemplate;
    Node Node, Node;
    }
    stored {
    CronJob CronJob, cron_jobs;
    Job Job, jobs;
    Deployment Deployment, deployments;
    Rollout Rollout, rollouts;
    ReplicaSet ReplicaSet, replica_sets;
    StatefulSet StatefulSet, stateful_sets;
    DaemonSet DaemonSet, daemon_sets;
    Service Service, services;
    AnalysisTemplate AnalysisTemplate, analysis_templates;
    ClusterAnalysisTemplate ClusterAnalysisTemplate, cluster_analysis_templates;
    ScaledObject ScaledObject, scaled_objects;
    ScaledJob ScaledJob, scaled_jobs;
    ClusterQueue ClusterQueue, cluster_queues;
    LocalQueue LocalQueue, local_queues;
    ResourceFlavor ResourceFlavor, resource_flavors;
    WorkloadPriorityClass WorkloadPriorityClass, workload_priority_classes;
    PodAutoscaler PodAutoscaler, pod_autoscalers;
    HorizontalPodAutoscaler HpaObject, hpas;
    VerticalPodAutoscaler VpaObject, vpas;
    PodDisruptionBudget PodDisruptionBudget, disruption_budgets;
    ResourceQuota ResourceQuota, quotas;
    LimitRange LimitRange, limit_ranges;
    ConfigMap ConfigMap, config_maps;
    Secret Secret, secrets;
    PersistentVolumeClaim Claim, claims;
    ServiceAccount ServiceAccount, service_accounts;
    Namespace Namespace, namespaces;
    PriorityClass PriorityClass, priority_classes;
    StorageClass StorageClass, storage_classes;
    PersistentVolume PersistentVolume, persistent_volumes;
    CSINode CSINode, csi_nodes;
    Ingress Ingress, ingresses;
    IngressClass IngressClass, ingress_classes;
    HTTPRoute HTTPRoute, http_routes;
    NetworkPolicy NetworkPolicy, network_policies;
    NodePool NodePool, node_pools;
    NodeClaim NodeClaim, node_claims;
    EC2NodeClass EC2NodeClass, ec2_node_classes;
    KWOKNodeClass KWOKNodeClass, kwok_node_classes;
    }
}

impl AnySpec {
    /// The template of the pods that the object brings, if it brings any.
    pub fn pod_template(&self) -> Option<&PodTemplate> {
        Some(match self {
            Self::Pod(template) => template,
            Self::Deployment(spec) => &spec.template,
            Self::Rollout(spec) => &spec.template,
            Self::ReplicaSet(spec) => &spec.template,
            Self::StatefulSet(spec) => &spec.template,
            Self::DaemonSet(spec) => &spec.template,
            Self::Job(draft) => &draft.spec.template,
            Self::CronJob(spec) => &spec.job_template.spec.template,
            Self::ScaledJob(spec) => &spec.job_template.spec.template,
            _ => return None,
        })
    }

    /// The same, to change it.
    pub fn pod_template_mut(&mut self) -> Option<&mut PodTemplate> {
        Some(match self {
            Self::Pod(template) => template,
            Self::Deployment(spec) => &mut spec.template,
            Self::Rollout(spec) => &mut spec.template,
            Self::ReplicaSet(spec) => &mut spec.template,
            Self::StatefulSet(spec) => &mut spec.template,
            Self::DaemonSet(spec) => &mut spec.template,
            Self::Job(draft) => &mut draft.spec.template,
            Self::CronJob(spec) => &mut spec.job_template.spec.template,
            Self::ScaledJob(spec) => &mut spec.job_template.spec.template,
            _ => return None,
        })
    }
}

impl Store {
    /// The key of the object of a kind and name.
    pub fn named<T: Stored>(&self, id: &NamespacedName) -> Option<Id<T>> {
        T::collection(self).named(id)
    }

    /// The object of a kind and name.
    pub fn find<T: Stored>(&self, id: &NamespacedName) -> Option<&T> {
        let collection = T::collection(self);
        collection.table.get(collection.named(id)?)
    }

    /// The template of the pods that an object brings, as its owner wrote it.
    pub fn pod_template_of(&self, object: ObjectId) -> Option<&PodTemplate> {
        Some(match object {
            ObjectId::Pod(id) => self.template_of(self.pods().get(id)?),
            ObjectId::Deployment(id) => &self.deployments().get(id)?.spec.template,
            ObjectId::Rollout(id) => &self.rollouts().get(id)?.spec.template,
            ObjectId::ReplicaSet(id) => &self.templates()[self.replica_sets().get(id)?.template],
            ObjectId::StatefulSet(id) => &self.stateful_sets().get(id)?.spec.template,
            ObjectId::DaemonSet(id) => &self.daemon_sets().get(id)?.spec.template,
            ObjectId::Job(id) => &self.jobs().get(id)?.spec.template,
            ObjectId::CronJob(id) => &self.cron_jobs().get(id)?.spec.job_template.spec.template,
            ObjectId::ScaledJob(id) => &self.scaled_jobs().get(id)?.spec.job_template.spec.template,
            _ => return None,
        })
    }

    /// The name of an object.
    pub fn name_of(&self, object: ObjectId) -> Option<&NamespacedName> {
        match object {
            ObjectId::Pod(id) => Some(&self.pods().get(id)?.id),
            other => Some(&self.meta_of(other)?.id),
        }
    }

    /// The objects of a namespace without an owner, owner kinds before the kinds they own.
    pub(crate) fn objects_in(&self, namespace: &str) -> Vec<ObjectId> {
        let kinds = Kind::all().map(|row| row.kind).filter(|kind| kind.is_namespaced());
        let all = kinds.flat_map(|kind| self.objects_of(kind));
        let own = all
            .filter(|(object, id)| *id.namespace == *namespace && self.owner_of(*object).is_none());
        own.map(|(object, _)| object).collect()
    }

    /// Metadata as the API server completes them at a creation.
    pub(super) fn stamp(&self, now: SimTime, sequence: u64, mut meta: ObjectMeta) -> ObjectMeta {
        meta.created = now.floor_to_second();
        meta.sequence = sequence;
        meta.uid = mix(self.uid_seed ^ mix(meta.sequence));
        meta.generation = 1;
        meta
    }
}
