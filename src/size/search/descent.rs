//! The way from one point to the cheapest around it. Levels are halved where that proves right, and one thing is traded
//! for another where it does not go further by itself.

use super::journal::{Journal, Need, is_cheaper};
use super::space::{KnobKind, Point, Space, at};

/// More steps of climbing than any way that leads somewhere takes.
const CLIMBS: usize = 24;

/// How far a climb looks around, in levels.
const STEPS: [usize; 3] = [1, 4, 16];

/// What a descent knows besides the samples.
pub struct DescentContext<'a> {
    /// The knobs.
    pub space: &'a Space,
    /// What is known.
    pub journal: &'a Journal,
    /// A cost below which a point cannot be, known without a run; zero if nothing is.
    pub floor: &'a dyn Fn(&Point) -> f64,
}

impl DescentContext<'_> {
    /// The cheapest point around this one that holds; one that does not hold if none is found that is cheaper than
    /// `limit`.
    pub fn descend(&self, start: &Point, limit: f64) -> Result<Point, Need> {
        let mut here = self.climb(start, &[], limit)?;
        if !self.journal.verdict(&here)?.holds {
            return Ok(here);
        }
        loop {
            let before = here.clone();
            for knob in self.knobs(KnobKind::Priced) {
                here = self.lower(&here, knob)?;
            }
            match self.trade(&here)? {
                Some(cheaper) => here = cheaper,
                None if here == before => return Ok(here),
                None => {}
            }
        }
    }

    fn knobs(&self, kind: KnobKind) -> impl Iterator<Item = usize> {
        let knobs = self.space.knobs.iter().enumerate();
        knobs.filter(move |(_, knob)| knob.kind == kind).map(|(position, _)| position)
    }

    /// Takes one knob as low as the point still holds. Halving is right if whatever lies below a level that fails
    /// fails too: that is looked into, and where it is not so, every level below is tried.
    fn lower(&self, here: &Point, knob: usize) -> Result<Point, Need> {
        let (mut fails, mut holds) = (None, here[knob]);
        while holds > fails.map_or(0, |level| level + 1) {
            let low = fails.map_or(0, |level| level + 1);
            let middle = usize::midpoint(low, holds);
            if self.is_better(&at(here, knob, middle), here)? {
                holds = middle;
            } else {
                fails = Some(middle);
            }
        }
        if let Some(fails) = fails.filter(|fails| *fails > 0) {
            let probe = fails / 2;
            if self.is_better(&at(here, knob, probe), here)? {
                let all: Vec<Point> = (0..fails).map(|level| at(here, knob, level)).collect();
                return self.best_of(&all, &at(here, knob, probe));
            }
        }
        Ok(at(here, knob, holds))
    }

    fn is_better(&self, point: &Point, than: &Point) -> Result<bool, Need> {
        let than = self.journal.verdict(than)?;
        if is_cheaper(than.cost, (self.floor)(point)) {
            return Ok(false);
        }
        Ok(self.journal.verdict(point)?.is_better_than(&than))
    }

    fn best_of(&self, points: &[Point], first: &Point) -> Result<Point, Need> {
        let verdicts = self.journal.verdicts(points)?;
        let mut best = (first.clone(), self.journal.verdict(first)?);
        for (point, verdict) in points.iter().zip(verdicts) {
            if verdict.is_better_than(&best.1) {
                best = (point.clone(), verdict);
            }
        }
        Ok(best.0)
    }

    /// One level less of something that has a price, made good by anything else; nothing if that is never cheaper.
    fn trade(&self, here: &Point) -> Result<Option<Point>, Need> {
        let now = self.journal.verdict(here)?;
        let priced: Vec<usize> = self.knobs(KnobKind::Priced).collect();
        let mut need = Need::default();
        let mut found = None;
        for knob in priced.into_iter().filter(|knob| here[*knob] > 0) {
            // All ways are looked at, so that what they need is run side by side.
            match self.climb(&at(here, knob, here[knob] - 1), &[knob], now.cost) {
                Ok(there) => {
                    let verdict = self.journal.verdict(&there)?;
                    if found.is_none() && verdict.holds && is_cheaper(verdict.cost, now.cost) {
                        found = Some(there);
                    }
                }
                Err(more) => need.0.extend(more.0),
            }
        }
        if need.0.is_empty() { Ok(found) } else { Err(need) }
    }

    /// Steps to whatever leaves more room until the point holds, or nothing helps. `fixed` knobs stay, and so do
    /// choices; points that cannot be cheaper than `limit` are not looked at.
    fn climb(&self, start: &Point, fixed: &[usize], limit: f64) -> Result<Point, Need> {
        let mut here = start.clone();
        for _ in 0..CLIMBS {
            let now = self.journal.verdict(&here)?;
            if now.holds {
                break;
            }
            let around = self.around(&here, fixed, limit);
            let best = self.best_of(&around, &here)?;
            if best == here {
                break;
            }
            here = best;
        }
        Ok(here)
    }

    /// Near levels, further ones, and the ends.
    fn around(&self, here: &Point, fixed: &[usize], limit: f64) -> Vec<Point> {
        let mut around = Vec::new();
        for (position, knob) in self.space.knobs.iter().enumerate() {
            if knob.kind == KnobKind::Choice || fixed.contains(&position) {
                continue;
            }
            let (now, top) = (here[position], knob.levels - 1);
            let steps = STEPS.iter().flat_map(|step| [now.checked_sub(*step), Some(now + step)]);
            let mut levels: Vec<usize> = steps.flatten().filter(|level| *level < top).collect();
            levels.extend([0, top]);
            levels.sort_unstable();
            levels.dedup();
            levels.retain(|level| *level != now);
            around.extend(levels.into_iter().map(|level| at(here, position, level)));
        }
        around.retain(|point| is_cheaper((self.floor)(point), limit));
        around
    }
}
