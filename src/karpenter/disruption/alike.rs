//! Candidates that are alike: consolidation refuses all of them for the same reason.

use rustc_hash::FxHashMap;

use super::candidate::Candidate;
use super::round::Round;
use crate::amounts::Amounts;
use crate::labels::HOSTNAME;
use crate::pod::Pod;
use crate::scheduling::{Outline, Outlines};
use crate::state::StateNode;
use cluster::Name;
use std::borrow::Cow;
use std::sync::Arc;

/// Everything on which the consolidation of a single node depends, besides the nodes that stay.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Likeness {
    pass: Outline,
    /// Capacity released from the pool's limits.
    capacity: Amounts,
    pool: Name,
    /// The price follows from these.
    labels: Vec<(Name, Name)>,
}

/// The reasons for which candidates of a round were refused.
#[derive(Debug)]
pub(super) struct Refusals<'r, 'a> {
    outlines: Option<Outlines<'r, 'a>>,
    /// Only ever looked up, never iterated.
    nodes: FxHashMap<&'a Name, &'a StateNode>,
    /// Only ever looked up, never iterated.
    known: FxHashMap<Likeness, Cow<'static, str>>,
}

impl<'r, 'a> Refusals<'r, 'a> {
    pub(super) fn new(round: &'r Round<'a>) -> Self {
        let nodes = round.snapshot.nodes.iter().map(|state| (state.name(), state));
        Self {
            outlines: Outlines::new(round.ground()),
            nodes: nodes.collect(),
            known: FxHashMap::default(),
        }
    }

    /// Common traits of candidates that are refused alike; `None` if the candidate has to be tried by itself.
    pub(super) fn likeness(&mut self, round: &Round<'_>, one: &Candidate) -> Option<Likeness> {
        let outlines = self.outlines.as_mut()?;
        let moved: Vec<&Arc<Pod>> =
            one.pods.iter().filter(|pod| round.snapshot.is_reschedulable_now(pod)).collect();
        let pass = outlines.outline(&one.node, &moved)?;
        let labels = one.labels.iter().filter(|(key, _)| ***key != *HOSTNAME);
        Some(Likeness {
            pass,
            capacity: self.nodes.get(&one.node)?.capacity(),
            pool: one.pool.name.clone(),
            labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
        })
    }

    /// Why candidates like this one were refused, if any was.
    pub(super) fn known(&self, likeness: &Likeness) -> Option<Cow<'static, str>> {
        self.known.get(likeness).cloned()
    }

    /// Remembers why a candidate was refused.
    pub(super) fn note(&mut self, likeness: Likeness, reason: Cow<'static, str>) {
        self.known.insert(likeness, reason);
    }
}
