//! One look at the cluster, shared by the methods that are tried on it.

use std::cell::OnceCell;

use super::candidate::Survey;
use crate::scheduling::PassContext;
use crate::state::Snapshot;

/// A snapshot with what is worked out of it once.
pub struct Round<'a> {
    /// The cluster.
    pub snapshot: &'a Snapshot,
    is_queued: &'a dyn Fn(&str) -> bool,
    survey: OnceCell<Survey>,
    ground: OnceCell<PassContext<'a>>,
}

impl<'a> Round<'a> {
    /// A look at this snapshot; `is_queued` tells whether a command already disrupts the node of a provider ID.
    pub const fn new(snapshot: &'a Snapshot, is_queued: &'a dyn Fn(&str) -> bool) -> Self {
        Self { snapshot, is_queued, survey: OnceCell::new(), ground: OnceCell::new() }
    }

    /// The nodes that may be disrupted.
    pub(crate) fn survey(&self) -> &Survey {
        self.survey.get_or_init(|| Survey::new(self.snapshot, self.is_queued))
    }

    /// The snapshot, prepared for passes.
    pub fn ground(&self) -> &PassContext<'a> {
        self.ground.get_or_init(|| PassContext::new(self.snapshot))
    }
}
