//! Pods that are alike, for each of which the same nodes have no room.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::preferences::Ask;
use crate::amounts::Amounts;
use crate::pod::Pod;
use crate::requirements::Requirements;
use crate::state::PreferencePolicy;
use cluster::pod_template::{PodTemplate, Toleration};
use scheduler::pod_class::HostPort;

/// The number of a kind.
pub(super) type KindId = usize;

/// The kinds of pods in a pass: those that ask for the same, but for where other pods are.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    list: Vec<Kind>,
    /// What pods of a template ask for, by its address.
    by_template: BTreeMap<*const PodTemplate, Ask>,
}

#[derive(Debug)]
struct Kind {
    requests: Amounts,
    tolerations: Arc<Vec<Toleration>>,
    ports: Vec<HostPort>,
    requirements: Requirements,
    /// Places that have no room for it.
    refused: Refused,
    /// Nodes to be made that have no room for it.
    refused_claims: Refused,
}

/// Which of several places have refused a kind of pods. What is full stays full.
#[derive(Debug, Default)]
pub(super) struct Refused {
    places: Vec<bool>,
    /// All before this one have refused.
    first: usize,
    /// How often requirements had changed when this was noted: then what did not meet one may.
    epoch: usize,
}

impl Refused {
    /// From where on it makes sense to look.
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
    /// What each of these pods asks for.
    pub(super) fn asks(&mut self, pods: &[Arc<Pod>], policy: PreferencePolicy) -> Vec<Ask> {
        pods.iter().enumerate().map(|(index, pod)| self.ask(index, pod, policy)).collect()
    }

    fn ask(&mut self, index: usize, pod: &Arc<Pod>, policy: PreferencePolicy) -> Ask {
        let template = Arc::as_ptr(&pod.template);
        if let Some(known) = self.by_template.get(&template)
            && known.pod.requests == pod.requests
        {
            return Ask { index, pod: Arc::clone(pod), ..known.clone() };
        }
        let mut made = Ask::new(index, pod, policy);
        made.kind = Some(self.kind_of(&made));
        self.by_template.insert(template, made.clone());
        made
    }

    fn kind_of(&mut self, ask: &Ask) -> KindId {
        let is_it = |kind: &Kind| {
            kind.requests == ask.pod.requests
                && kind.tolerations == ask.tolerations
                && kind.ports == ask.pod.host_ports
                && kind.requirements == ask.requirements
        };
        if let Some(found) = self.list.iter().position(is_it) {
            return found;
        }
        self.list.push(Kind {
            requests: ask.pod.requests.clone(),
            tolerations: Arc::clone(&ask.tolerations),
            ports: ask.pod.host_ports.clone(),
            requirements: ask.requirements.clone(),
            refused: Refused::default(),
            refused_claims: Refused::default(),
        });
        self.list.len() - 1
    }

    /// The nodes that have no room for a kind.
    pub(super) fn refused(&mut self, kind: KindId) -> &mut Refused {
        &mut self.list[kind].refused
    }

    /// The nodes to be made that have no room for a kind.
    pub(super) fn refused_claims(&mut self, kind: KindId) -> &mut Refused {
        &mut self.list[kind].refused_claims
    }
}
