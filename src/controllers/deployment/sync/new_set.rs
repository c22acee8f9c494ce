//! The new ReplicaSet of a Deployment (`getNewReplicaSet` of `pkg/controller/deployment/sync.go`, 1.36).

use super::super::rolling;
use super::{SetState, Sync};
use cluster::deployment::{Deployment, DeploymentStrategy};
use cluster::replica_set::ReplicaSetSpec;
use cluster::store::{POD_TEMPLATE_HASH_LABEL, pod_template_hash};
use cluster::{Action, Labels, ObjectMeta};

/// Written by `kubectl apply` for the object itself; not copied.
const LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Sync<'_> {
    /// Creates the set of the current template if there is none (`getNewReplicaSet`).
    pub(super) fn create_new_set(&mut self) {
        if self.new.is_some() {
            return;
        }
        let spec = &self.deployment.spec;
        let wanted = spec.replicas;
        let total = self.old.iter().map(|set| set.replicas).sum();
        let replicas = match spec.strategy {
            DeploymentStrategy::Recreate => wanted,
            DeploymentStrategy::RollingUpdate { .. } => {
                rolling::new_set_replicas(wanted, self.fenceposts, total, 0)
            }
        };
        let revision = self.next_revision();
        let (meta, spec) = self.draft(replicas, revision);
        let name = meta.name().clone();
        self.actions.push(Action::create(meta, spec));
        if replicas > 0 {
            self.record_scaling(&name, 0, replicas);
        }
        self.show_progress("NewReplicaSetCreated", format!("Created new replica set \"{name}\""));
        self.new = Some(SetState {
            id: None,
            name,
            replicas,
            desired_replicas: Some(wanted),
            max_replicas: Some(wanted + self.fenceposts.surge),
            revision,
            observed: None,
        });
    }

    fn draft(&self, replicas: i32, revision: i64) -> (ObjectMeta, ReplicaSetSpec) {
        let Deployment { meta, spec, .. } = self.deployment;
        let named = |hash: &str| format!("{}-{hash}", meta.name());
        // An earlier template of the same hash keeps the name (`collisionCount`).
        let is_free = |hash: &String| !self.old.iter().any(|set| *set.name == *named(hash));
        let mut hashes = (0..).map(|collisions| pod_template_hash(&spec.template, collisions));
        let hash = hashes.find(is_free).unwrap_or_default();
        let mut template = spec.template.clone();
        template.labels = template.labels.with(POD_TEMPLATE_HASH_LABEL, hash.as_str());
        let name = named(&hash);
        let mut set_meta = ObjectMeta::new(meta.namespace().clone(), name);
        set_meta.labels = template.labels.clone();
        set_meta.annotations = annotations_of(self.deployment);
        let set_spec = ReplicaSetSpec {
            owner: Some(self.id.into()),
            replicas,
            selector: spec.selector.with(POD_TEMPLATE_HASH_LABEL, hash.as_str()),
            template,
            min_ready: self.min_ready(),
            revision,
            desired_replicas: Some(spec.replicas),
            max_replicas: Some(spec.replicas + self.fenceposts.surge),
        };
        (set_meta, set_spec)
    }
}

/// The annotations that a ReplicaSet inherits from its Deployment (`copyDeploymentAnnotationsToReplicaSet`).
pub(super) fn annotations_of(deployment: &Deployment) -> Labels {
    let all = deployment.meta.annotations.iter();
    all.filter(|(key, _)| key.as_ref() != LAST_APPLIED_ANNOTATION)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
