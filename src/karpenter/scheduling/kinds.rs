//! Groups of equal pods, which the same nodes have no room for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::preferences::PodConstraints;
use crate::amounts::Amounts;
use crate::pod::Pod;
use crate::requirements::Requirements;
use crate::state::PreferencePolicy;
use cluster::pod_template::{PodTemplate, Toleration};
use scheduler::pod_class::HostPort;

/// Index of a kind.
pub(super) type KindId = usize;

/// The kinds of pods in a pass: pods of one kind have the same constraints, except for those on the placement of
/// other pods.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    list: Vec<Kind>,
    /// Constraints of the pods of a template, by the template's address.
    by_template: BTreeMap<*const PodTemplate, PodConstraints>,
}

#[derive(Debug)]
struct Kind {
    requests: Amounts,
    tolerations: Arc<Vec<Toleration>>,
    ports: Vec<HostPort>,
    requirements: Requirements,
    /// Existing nodes without room for it.
    refused: Refused,
    /// New nodes without room for it.
    refused_claims: Refused,
}

/// Targets that have refused a kind of pods. A full target stays full for the pass.
#[derive(Debug, Default)]
pub(super) struct Refused {
    places: Vec<bool>,
    /// All targets before this one have refused.
    first: usize,
    /// Number of requirement changes when the refusals were noted: a change may turn a refusal around.
    epoch: usize,
}

impl Refused {
    /// The first target worth trying.
    pub(super) fn first(&mut self, epoch: usize) -> usize {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
        self.first
    }

    pub(super) fn has(&self, place: usize) -> bool {
        self.places.get(place).copied().unwrap_or(false)
    }

    pub(super) fn note(&mut self, place: usize) {
        if self.places.len() <= place {
            self.places.resize(place + 1, false);
        }
        self.places[place] = true;
        while self.has(self.first) {
            self.first += 1;
        }
    }
}

impl Kinds {
    /// The constraints of each of these pods.
    pub(super) fn constraints_of(
        &mut self,
        pods: &[Arc<Pod>],
        policy: PreferencePolicy,
    ) -> Vec<PodConstraints> {
        pods.iter().enumerate().map(|(index, pod)| self.constraints(index, pod, policy)).collect()
    }

    /// The constraints of a pod.
    pub(super) fn constraints(
        &mut self,
        index: usize,
        pod: &Arc<Pod>,
        policy: PreferencePolicy,
    ) -> PodConstraints {
        let template = Arc::as_ptr(&pod.template);
        if let Some(known) = self.by_template.get(&template)
            && known.pod.requests == pod.requests
        {
            return PodConstraints { index, pod: Arc::clone(pod), ..known.clone() };
        }
        let mut made = PodConstraints::new(index, pod, policy);
        made.kind = Some(self.kind_of(&made));
        self.by_template.insert(template, made.clone());
        made
    }

    fn kind_of(&mut self, constraints: &PodConstraints) -> KindId {
        let is_it = |kind: &Kind| {
            kind.requests == constraints.pod.requests
                && kind.tolerations == constraints.tolerations
                && kind.ports == constraints.pod.host_ports
                && kind.requirements == constraints.requirements
        };
        if let Some(found) = self.list.iter().position(is_it) {
            return found;
        }
        self.list.push(Kind {
            requests: constraints.pod.requests.clone(),
            tolerations: Arc::clone(&constraints.tolerations),
            ports: constraints.pod.host_ports.clone(),
            requirements: constraints.requirements.clone(),
            refused: Refused::default(),
            refused_claims: Refused::default(),
        });
        self.list.len() - 1
    }

    /// The existing nodes without room for a kind.
    pub(super) fn refused(&mut self, kind: KindId) -> &mut Refused {
        &mut self.list[kind].refused
    }

    /// The new nodes without room for a kind.
    pub(super) fn refused_claims(&mut self, kind: KindId) -> &mut Refused {
        &mut self.list[kind].refused_claims
    }
}
