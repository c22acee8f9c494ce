//! Disruption commands: nodes to remove, and their replacements.

use super::candidate::Candidate;
use super::methods::Method;
use crate::scheduling::{NewClaim, Results};

/// Nodes to remove, and their replacements.
#[derive(Clone, Debug)]
pub struct Command {
    /// The method that decided it.
    pub method: Method,
    /// The nodes to remove.
    pub candidates: Vec<Candidate>,
    /// The replacement nodes.
    pub replacements: Vec<NewClaim>,
    /// The scheduling simulation that found room for the pods.
    pub results: Results,
}

/// The kind of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nodes are deleted.
    Delete,
    /// Nodes are deleted once their replacements are ready.
    Replace,
}

impl Decision {
    /// The name in Karpenter's log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Replace => "replace",
        }
    }
}

impl Command {
    /// The kind of this command.
    pub const fn decision(&self) -> Decision {
        if self.replacements.is_empty() { Decision::Delete } else { Decision::Replace }
    }

    /// Hourly price of the removed nodes minus that of the first option of each replacement, in dollars. That
    /// option is priced at its cheapest offering, available or not, so that the savings are overestimated if it is
    /// not available.
    pub fn estimated_savings(&self) -> f64 {
        let prices: Option<Vec<f64>> = self.candidates.iter().map(Candidate::price).collect();
        let gone: f64 = prices.map_or(0.0, |prices| prices.iter().sum());
        let first = self.replacements.iter().filter_map(|claim| claim.options.first());
        let cheapest = first
            .filter_map(|one| one.offerings.iter().map(|offering| offering.price).reduce(f64::min));
        gone - cheapest.sum::<f64>()
    }
}
