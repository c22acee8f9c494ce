//! The way from one point to the cheapest around it. Levels are halved where that proves right, and one thing is traded
//! for another where it does not go further by itself.

use super::journal::{Journal, Need, is_cheaper};
use super::space::{Knob, KnobKind, Point, Space, at};

/// More steps of climbing than any way that leads somewhere takes.
const CLIMBS: usize = 24;

/// How far a climb looks around, in levels.
const STEPS: [usize; 3] = [1, 4, 16];

/// From this many knobs on, only those are moved that matter where the search starts, and a climb looks one level and all
/// the way up, and one level down.
pub const MANY: usize = 7;

/// Knobs whose next lower level is traded for something else: those that save most by it.
const TRADED: usize = 4;

/// Inputs of a descent besides the samples.
pub struct DescentContext<'a> {
    /// The knobs.
    pub space: &'a Space,
    /// The known results.
    pub journal: &'a Journal,
    /// A cost below which a point cannot be, known without a run; zero if nothing is.
    pub floor: &'a dyn Fn(&Point) -> f64,
    /// Knobs that climbs leave where they are.
    pub frozen: &'a [usize],
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

    /// One level less of something that has a price, made good by anything else; nothing if that is never cheaper. Of
    /// many such things only those that save most are looked at.
    fn trade(&self, here: &Point) -> Result<Option<Point>, Need> {
        let now = self.journal.verdict(here)?;
        let priced = self.knobs(KnobKind::Priced).filter(|knob| here[*knob] > 0);
        let less = priced.map(|knob| (knob, at(here, knob, here[knob] - 1)));
        let less: Vec<(usize, Point)> =
            less.filter(|(_, point)| is_cheaper((self.floor)(point), now.cost)).collect();
        let points: Vec<Point> = less.iter().map(|(_, point)| point.clone()).collect();
        let costs = self.journal.verdicts(&points)?;
        let mut less: Vec<((usize, Point), f64)> =
            less.into_iter().zip(costs.iter().map(|verdict| verdict.cost)).collect();
        less.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        less.truncate(TRADED);
        let mut need = Need::default();
        let mut found = None;
        for ((knob, point), _) in less {
            // All ways are looked at, so that what they need is run side by side.
            match self.climb(&point, &[knob], now.cost) {
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

    /// Steps to whatever misses less until the point holds, or nothing helps. `fixed` knobs stay, and so do choices;
    /// points that cannot be cheaper than `limit` are not looked at. After a look at all knobs only those that helped are
    /// looked at, until they help no more.
    fn climb(&self, start: &Point, fixed: &[usize], limit: f64) -> Result<Point, Need> {
        let all: Vec<usize> = self.movable().filter(|knob| !fixed.contains(knob)).collect();
        let mut helpful: Option<Vec<usize>> = None;
        let mut here = start.clone();
        for _ in 0..CLIMBS {
            let now = self.journal.verdict(&here)?;
            if now.holds {
                break;
            }
            let around = self.around(&here, helpful.as_ref().unwrap_or(&all), limit);
            let points: Vec<Point> = around.iter().map(|(_, point)| point.clone()).collect();
            let verdicts = self.journal.verdicts(&points)?;
            let mut best = (&here, now);
            let mut helping = Vec::new();
            for ((knob, point), verdict) in around.iter().zip(verdicts) {
                if verdict.is_better_than(&now) && !helping.contains(knob) {
                    helping.push(*knob);
                }
                if verdict.is_better_than(&best.1) {
                    best = (point, verdict);
                }
            }
            if *best.0 != here {
                helpful = Some(helping);
                here = best.0.clone();
            } else if helpful.take().is_none() {
                break;
            }
        }
        Ok(here)
    }

    fn movable(&self) -> impl Iterator<Item = usize> {
        let knobs = self.space.knobs.iter().enumerate();
        let is_movable = |position: &usize, knob: &Knob| {
            knob.kind != KnobKind::Choice && !self.frozen.contains(position)
        };
        knobs
            .filter(move |(position, knob)| is_movable(position, knob))
            .map(|(position, _)| position)
    }

    /// The knobs that climbs had better leave where they are: of many, all but the few of which one level more at `start`
    /// helps most.
    pub fn idle(&self, start: &Point) -> Result<Vec<usize>, Need> {
        let movable: Vec<usize> = self.movable().collect();
        if movable.len() < MANY {
            return Ok(Vec::new());
        }
        let more = |knob: &usize| {
            let level = start[*knob] + 1;
            (level < self.space.knobs[*knob].levels).then(|| (*knob, at(start, *knob, level)))
        };
        let probes: Vec<(usize, Point)> = movable.iter().filter_map(more).collect();
        let points: Vec<Point> = probes.iter().map(|(_, point)| point.clone()).collect();
        let now = self.journal.first(start)?;
        let samples = self.journal.firsts(&points)?;
        let mut helpful: Vec<(usize, (f64, f64))> = probes
            .iter()
            .zip(samples)
            .map(|((knob, _), sample)| (*knob, (sample.shortfall(), -sample.room())))
            .filter(|(_, one)| is_less(*one, (now.shortfall(), -now.room())))
            .collect();
        helpful.sort_by(|(_, one), (_, other)| {
            one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1))
        });
        helpful.truncate(MANY - 1);
        let is_idle = |knob: &usize| {
            self.space.knobs[*knob].kind == KnobKind::Free
                && helpful.iter().all(|(helps, _)| helps != knob)
        };
        Ok(movable.into_iter().filter(is_idle).collect())
    }

    /// Near levels of these knobs, further ones, and the ends, each with its knob.
    fn around(&self, here: &Point, knobs: &[usize], limit: f64) -> Vec<(usize, Point)> {
        let mut around = Vec::new();
        for position in knobs.iter().copied() {
            let (now, top) = (here[position], self.space.knobs[position].levels - 1);
            let mut levels: Vec<usize> = if self.space.knobs.len() >= MANY {
                [now.checked_sub(1), Some(now + 1), Some(top)].into_iter().flatten().collect()
            } else {
                let steps = STEPS.iter().flat_map(|by| [now.checked_sub(*by), Some(now + by)]);
                steps.flatten().chain([0, top]).collect()
            };
            levels.sort_unstable();
            levels.dedup();
            levels.retain(|level| *level != now && *level <= top);
            around.extend(levels.into_iter().map(|level| (position, at(here, position, level))));
        }
        around.retain(|(_, point)| is_cheaper((self.floor)(point), limit));
        around
    }
}

fn is_less(one: (f64, f64), other: (f64, f64)) -> bool {
    one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)).is_lt()
}
