//! What is decided: nodes that go, and nodes that take their place.

use super::candidate::Candidate;
use super::methods::Method;
use crate::scheduling::{NewClaim, Results};

/// Nodes that go, and nodes that take their place.
#[derive(Clone, Debug)]
pub struct Command {
    /// By which method.
    pub method: Method,
    /// The nodes that go.
    pub candidates: Vec<Candidate>,
    /// The nodes that take their place.
    pub replacements: Vec<NewClaim>,
    /// The pass that shows that their pods have a place.
    pub results: Results,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nodes go.
    Delete,
    /// Nodes go when others have come.
    Replace,
}

impl Decision {
    /// As Karpenter's log has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Replace => "replace",
        }
    }
}

impl Command {
    /// What it does.
    pub const fn decision(&self) -> Decision {
        if self.replacements.is_empty() { Decision::Delete } else { Decision::Replace }
    }

    /// What the nodes that go cost more than the first choice for those that come, in dollars an hour. That choice is
    /// priced at its cheapest offering, whether it can be had or not, so that this is too much where it cannot.
    pub fn estimated_savings(&self) -> f64 {
        let prices: Option<Vec<f64>> = self.candidates.iter().map(Candidate::price).collect();
        let gone: f64 = prices.map_or(0.0, |prices| prices.iter().sum());
        let first = self.replacements.iter().filter_map(|claim| claim.options.first());
        let cheapest = first
            .filter_map(|one| one.offerings.iter().map(|offering| offering.price).reduce(f64::min));
        gone - cheapest.sum::<f64>()
    }
}
