//! What Kueue does to single pods: its webhook holds those with a queue back by a scheduling gate, and their admission
//! takes it away (`pkg/controller/jobs/pod`).

use super::action::Refused;
use super::change::{Change, PodChanges, push_pod_update};
use super::kueue::{ADMISSION_GATE, QUEUE_LABEL};
use super::meta::{Labels, Name};
use super::object::Object;
use super::pod::{Owner, PodId};
use super::pod_template::{TemplateId, Toleration};
use super::replica_set::SetOwner;
use super::resize::move_to;
use super::store::Store;

impl Store {
    /// The LocalQueue in which a pod waits: that of its label, or of the Deployment or StatefulSet that owns it. The pods
    /// of Jobs and DaemonSets do not wait: Jobs do.
    pub fn queue_of_pod(&self, owner: Option<Owner>, labels: &Labels) -> Option<Name> {
        self.kueue_label(owner, labels, QUEUE_LABEL).filter(|name| !name.is_empty())
    }

    /// A label of Kueue of a pod, or else of the Deployment or StatefulSet that owns it.
    pub fn kueue_label(&self, owner: Option<Owner>, labels: &Labels, key: &str) -> Option<Name> {
        let of_owner = match owner {
            None => None,
            Some(Owner::ReplicaSet(set)) => match self.replica_sets().get(set)?.owner {
                Some(SetOwner::Deployment(id)) => Some(&self.deployments().get(id)?.meta.labels),
                _ => None,
            },
            Some(Owner::StatefulSet(set)) => Some(&self.stateful_sets().get(set)?.meta().labels),
            Some(Owner::DaemonSet(_) | Owner::Job(_)) => return None,
        };
        labels.get(key).or_else(|| of_owner?.get(key)).cloned()
    }

    /// The template of a new pod after Kueue's webhook. Without a ClusterQueue there is no Kueue.
    pub(super) fn admit_by_kueue(
        &mut self,
        owner: Option<Owner>,
        template: TemplateId,
    ) -> TemplateId {
        let has_queue = !self.cluster_queues().is_empty()
            && self.queue_of_pod(owner, &self.templates()[template].labels).is_some();
        let gates = &self.templates()[template].spec.scheduling_gates;
        if !has_queue || gates.iter().any(|gate| **gate == *ADMISSION_GATE) {
            return template;
        }
        let mut gated = self.templates()[template].clone();
        gated.spec.scheduling_gates.push(ADMISSION_GATE.into());
        self.intern(gated)
    }
}

/// Lets the scheduler place a pod, on nodes with these labels.
pub(super) fn admit_pod(
    store: &mut Store,
    id: PodId,
    (labels, tolerations): (Labels, Vec<Toleration>),
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pod = store.pods.get(id).ok_or(Refused::NotFound)?;
    let mut template = store.template_of(pod).clone();
    let spec = &mut template.spec;
    spec.scheduling_gates.retain(|gate| **gate != *ADMISSION_GATE);
    let own = spec.node_selector.iter().chain(labels.iter());
    spec.node_selector = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    for toleration in tolerations {
        if !spec.tolerations.contains(&toleration) {
            spec.tolerations.push(toleration);
        }
    }
    let template = store.intern(template);
    if move_to(store, id, template) {
        push_pod_update(changes, id, PodChanges::GATES);
    }
    Ok(())
}
