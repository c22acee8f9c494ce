//! The nodes that a pass creates, those with the fewest pods first.

use super::claim::OpenClaim;
use crate::go_sort::sort_slice;

/// The claims of a pass.
#[derive(Debug, Default)]
pub(super) struct OpenClaims {
    /// In the order in which they were opened.
    pub(super) list: Vec<OpenClaim>,
    /// The order in which they are tried.
    order: Vec<usize>,
    /// Their numbers of pods, in that order.
    counts: Vec<usize>,
    /// True if the order is by number of pods.
    is_sorted: bool,
}

impl OpenClaims {
    /// Opens a claim.
    pub(super) fn push(&mut self, claim: OpenClaim) {
        self.order.push(self.list.len());
        self.counts.push(claim.pods.len());
        self.list.push(claim);
        self.is_sorted = false;
    }

    /// Increments the pod count of the claim at this position of the order.
    pub(super) fn count_up(&mut self, place: usize) {
        self.counts[place] += 1;
        let next = self.counts.get(place + 1);
        self.is_sorted &= next.is_none_or(|next| *next >= self.counts[place]);
    }

    /// The order in which they are tried.
    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    /// Sorts them by number of pods as `sort.Slice` does: with more than 12 claims, equal ones change places unless
    /// all are already in order.
    pub(super) fn sort(&mut self) {
        if std::mem::replace(&mut self.is_sorted, true) {
            return;
        }
        let zipped = self.counts.iter().copied().zip(self.order.iter().copied());
        let mut both: Vec<(usize, usize)> = zipped.collect();
        sort_slice(&mut both, |one, other| one.0 < other.0);
        (self.counts, self.order) = both.into_iter().unzip();
    }

    /// All claims, in the order of the last sort.
    pub(super) fn into_ordered(self) -> impl Iterator<Item = OpenClaim> {
        let mut claims: Vec<Option<OpenClaim>> = self.list.into_iter().map(Some).collect();
        self.order.into_iter().filter_map(move |place| claims[place].take())
    }
}
