//! Loads that are put together of others, recorded or in words: one after the other, or at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Arrival, Arrivals, Load};
use crate::problem::Checks;
use engine::{SimDuration, SimTime};

/// A piece of a load that is spliced together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Piece {
    /// How long the piece lasts. Default: the last piece goes on for ever, a trace before it to its end.
    #[serde(rename = "for")]
    pub lasting: Option<SimDuration>,
    /// What comes, from its own beginning.
    pub load: Load,
}

/// Pieces one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Splice {
    /// The pieces in order of time.
    pub splice: Vec<Piece>,
}

/// Loads at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Added {
    /// The loads whose requests all come.
    pub add: Vec<Load>,
}

/// Loads nest no deeper.
pub(super) const DEPTH_MAX: usize = 8;

impl Splice {
    pub(super) fn check(&self, depth: usize, checks: &mut Checks<'_>) {
        checks.require(!self.splice.is_empty(), "splice", || "there must be at least one".into());
        let last = self.splice.len().saturating_sub(1);
        for (index, piece) in self.splice.iter().enumerate() {
            let mut inner = checks.inside(&format!("splice[{index}]"));
            if let Some(lasting) = piece.lasting {
                inner.some_time("for", lasting);
            }
            let has_end = piece.lasting.is_some() || matches!(piece.load, Load::Trace(_));
            inner.require(has_end || index == last, "for", || {
                "say how long the piece lasts before the next one; only a trace has an end of its own"
                    .into()
            });
            piece.load.check_nested(depth + 1, &mut inner.inside("load"));
        }
    }
}

impl Added {
    pub(super) fn check(&self, depth: usize, checks: &mut Checks<'_>) {
        checks.require(!self.add.is_empty(), "add", || "there must be at least one".into());
        for (index, load) in self.add.iter().enumerate() {
            load.check_nested(depth + 1, &mut checks.inside(&format!("add[{index}]")));
        }
    }
}

/// Arrivals one after the other.
#[derive(Clone, Debug)]
pub(super) struct Spliced {
    /// Each with the instant at which it begins, the first one in front.
    pieces: Vec<(SimTime, Arrivals)>,
    current: usize,
}

impl Spliced {
    /// Arrivals that begin at these instants, in order of time; each ends where the next begins.
    pub(super) const fn new(pieces: Vec<(SimTime, Arrivals)>) -> Self {
        Self { pieces, current: 0 }
    }

    pub(super) fn pieces_mut(&mut self) -> impl Iterator<Item = &mut Arrivals> {
        self.pieces.iter_mut().map(|(_, arrivals)| arrivals)
    }

    /// See [`Arrivals::next_known_by`].
    pub(super) fn next_known_by(&mut self, until: SimTime) -> Option<Arrival> {
        loop {
            let end = self.pieces.get(self.current + 1).map_or(SimTime::MAX, |next| next.0);
            let (begin, arrivals) = self.pieces.get_mut(self.current)?;
            let offset = *begin - SimTime::ZERO;
            if *begin > until {
                return None;
            }
            let next = arrivals.next_known_by(until.min(end) - offset);
            match next.map(|arrival| Arrival { at: arrival.at + offset, ..arrival }) {
                Some(arrival) if arrival.at < end => return Some(arrival),
                // What is drawn beyond the end is not played.
                Some(_) => self.current += 1,
                None if until >= end => self.current += 1,
                None => return None,
            }
        }
    }
}
