//! Groups of equal pods, which the same nodes have no room for.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::preferences::PodConstraints;
use crate::amounts::Amounts;
use crate::pod::Pod;
use crate::requirements::Requirements;
use crate::state::PreferencePolicy;
use cluster::NamespacedName;
use cluster::pod_template::{PodTemplate, Toleration};
use scheduler::pod_class::HostPort;

/// Index of a kind.
pub(super) type KindId = usize;

/// Kinds of pods: pods of one kind have the same constraints, except for those on the placement of
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
    volumes: Vec<NamespacedName>,
    requirements: Requirements,
    /// Positions of the existing nodes with room for it before a pass; found on first use.
    with_room: Option<Rc<[usize]>>,
}

/// The targets that have refused each kind in a pass.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<RefusalsOfKind>);

/// The targets that have refused a kind.
#[derive(Debug, Default)]
pub(super) struct RefusalsOfKind {
    /// Existing nodes with room for the kind before the pass, if they are known.
    pub(super) with_room: Option<Rc<[usize]>>,
    /// Positions in that list.
    pub(super) of_those: Refused,
    /// Positions of existing nodes, once a node's requirements changed.
    pub(super) existing: Refused,
    /// Numbers of new nodes.
    pub(super) claims: Refused,
}

impl Refusals {
    /// Those of a kind.
    pub(super) fn of(&mut self, kind: KindId) -> &mut RefusalsOfKind {
        if self.0.len() <= kind {
            self.0.resize_with(kind + 1, RefusalsOfKind::default);
        }
        &mut self.0[kind]
    }
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
            && known.pod.volumes == pod.volumes
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
                && kind.volumes == constraints.pod.volumes
                && kind.requirements == constraints.requirements
        };
        if let Some(found) = self.list.iter().position(is_it) {
            return found;
        }
        self.list.push(Kind {
            requests: constraints.pod.requests.clone(),
            tolerations: Arc::clone(&constraints.tolerations),
            ports: constraints.pod.host_ports.clone(),
            volumes: constraints.pod.volumes.clone(),
            requirements: constraints.requirements.clone(),
            with_room: None,
        });
        self.list.len() - 1
    }

    /// Positions of the existing nodes with room for a kind before a pass; `find` finds them.
    pub(super) fn with_room(
        &mut self,
        kind: KindId,
        find: impl FnOnce() -> Rc<[usize]>,
    ) -> Rc<[usize]> {
        Rc::clone(self.list[kind].with_room.get_or_insert_with(find))
    }
}
