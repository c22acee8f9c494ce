//! Composite loads, from traces or patterns: in sequence, or added.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Arrival, Arrivals, Load};
use crate::problem::Checks;
use engine::{SimDuration, SimTime};

/// A piece of a spliced load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Piece {
    /// Duration of the piece. Default: the last piece continues indefinitely, a trace before it until
    /// its end.
    #[serde(rename = "for")]
    pub lasting: Option<SimDuration>,
    /// The load of the piece, from its own start.
    pub load: Load,
}

/// Loads in sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Splice {
    /// The pieces in order of time.
    pub splice: Vec<Piece>,
}

/// The sum of several loads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Added {
    /// The loads to add.
    pub add: Vec<Load>,
}

/// Maximum nesting depth of loads.
pub(super) const DEPTH_MAX: usize = 8;

impl Splice {
    pub(super) fn check(&self, depth: usize, checks: &mut Checks<'_>) {
        checks.require(!self.splice.is_empty(), "splice", || "there must be at least one".into());
        let last = self.splice.len().saturating_sub(1);
        for (index, piece) in self.splice.iter().enumerate() {
            let mut inner = checks.inside(&format!("splice[{index}]"));
            if let Some(lasting) = piece.lasting {
                inner.check_positive("for", lasting);
            }
            let has_end = piece.lasting.is_some() || matches!(piece.load, Load::Trace(_));
            inner.require(has_end || index == last, "for", || {
                "set the length of the piece before the next one; only a trace ends by itself"
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

/// Arrivals in sequence.
#[derive(Clone, Debug)]
pub(super) struct Spliced {
    /// Each with its start time; the earliest first.
    pieces: Vec<(SimTime, Arrivals)>,
    current: usize,
}

impl Spliced {
    /// Arrivals that start at these times, in order; each ends where the next begins.
    pub(super) const fn new(pieces: Vec<(SimTime, Arrivals)>) -> Self {
        Self { pieces, current: 0 }
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = &Arrivals> {
        self.pieces.iter().map(|(_, piece)| piece)
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
                // Arrivals beyond the end of a piece are discarded.
                Some(_) => self.current += 1,
                None if until >= end => self.current += 1,
                None => return None,
            }
        }
    }
}
