//! What a winner changes for nothing is taken back: where a change neither lowers the cost nor is needed to hold the
//! limits, the level of the start is kept, or the nearest one to it that will do.

use super::descent::DescentContext;
use super::journal::{Need, is_cheaper};
use super::space::{KnobKind, Point, at};

/// Room that is left by what is taken back, as a share of each limit, if the winner had as much.
const ROOM: f64 = 0.1;

impl DescentContext<'_> {
    /// The point nearest to `start` that costs no more than `winner`, holds, and has some room left.
    pub fn settle(&self, winner: &Point, start: &Point) -> Result<Point, Need> {
        let knobs = self.space.knobs.iter().enumerate();
        let changed = knobs.filter(|(position, knob)| {
            knob.kind != KnobKind::Choice && winner[*position] != start[*position]
        });
        let changed: Vec<usize> = changed.map(|(position, _)| position).collect();
        self.take_back(winner, &changed, winner, start)
    }

    /// Takes back several changes at once if that will do, and otherwise one half after the other.
    fn take_back(
        &self,
        here: &Point,
        changed: &[usize],
        winner: &Point,
        start: &Point,
    ) -> Result<Point, Need> {
        if changed.is_empty() {
            return Ok(here.clone());
        }
        let mut trial = here.clone();
        for knob in changed {
            trial[*knob] = start[*knob];
        }
        if self.will_do(&trial, winner)? {
            return Ok(trial);
        }
        if let [knob] = changed {
            return self.nearest(here, *knob, winner, start[*knob]);
        }
        let (one, other) = changed.split_at(changed.len() / 2);
        let here = self.take_back(here, one, winner, start)?;
        self.take_back(&here, other, winner, start)
    }

    /// The level of a knob that is nearest to one that will not do.
    fn nearest(
        &self,
        here: &Point,
        knob: usize,
        winner: &Point,
        from: usize,
    ) -> Result<Point, Need> {
        let (mut fails, mut holds) = (from, here[knob]);
        while fails.abs_diff(holds) > 1 {
            let middle = usize::midpoint(fails, holds);
            if self.will_do(&at(here, knob, middle), winner)? {
                holds = middle;
            } else {
                fails = middle;
            }
        }
        Ok(at(here, knob, holds))
    }

    fn will_do(&self, trial: &Point, winner: &Point) -> Result<bool, Need> {
        let best = self.journal.verdict(winner)?;
        if is_cheaper(best.cost, (self.floor)(trial)) {
            return Ok(false);
        }
        let verdict = self.journal.verdict(trial)?;
        let is_dearer = is_cheaper(best.cost, verdict.cost);
        Ok(verdict.holds && !is_dearer && verdict.room >= best.room.min(ROOM))
    }
}
