//! The nodes that a pass is going to make, those with the fewest pods first.

use super::claim::OpenClaim;
use crate::go_sort::sort_slice;

/// The claims of a pass.
#[derive(Debug, Default)]
pub(super) struct OpenClaims {
    pub(super) list: Vec<OpenClaim>,
}

impl OpenClaims {
    /// Orders them by the number of their pods, as `sort.Slice` does: above 12 claims those with equal numbers change
    /// places.
    pub(super) fn sort(&mut self) {
        let counts: Vec<usize> = self.list.iter().map(|claim| claim.pods.len()).collect();
        let mut order: Vec<usize> = (0..counts.len()).collect();
        sort_slice(&mut order, |one, other| counts[*one] < counts[*other]);
        let mut claims: Vec<Option<OpenClaim>> = self.list.drain(..).map(Some).collect();
        self.list.extend(order.into_iter().filter_map(|place| claims[place].take()));
    }
}
