//! The cheapest point that holds all limits under noise, by runs of a simulation.
//!
//! Descents start at several points and go on side by side: each is a function of what is known, and what it needs to
//! know next is run in generations, whose make-up depends on nothing else. The cheapest of what they find then race by
//! the same replications, and the winner is tried with fresh ones, since the best of many is the best partly by luck.

pub mod descent;
pub mod journal;
pub mod race;
mod settle;
pub mod space;

use descent::{DescentContext, MANY};
use journal::{Journal, Need, Sample, Unit, is_cheaper};
use space::{KnobKind, Point, Space};
use sweep::sample::sobol_point;

/// How a search goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchSettings {
    /// Replications with which a point must hold to count, until the race.
    pub screening: u32,
    /// Replications of the race, those of the screening included.
    pub racing: u32,
    /// Fresh replications with which the winner must hold.
    pub fresh: u32,
    /// Share of the cost by which a point may be dearer than the cheapest: nobody minds so little.
    pub indifference: f64,
    /// Further starts, spread evenly over all points. Spaces of many knobs have none: each would cost as much as all the
    /// rest.
    pub starts: u32,
    /// Replications of all points together after which no further point is looked at. The race and the fresh
    /// replications come on top.
    pub units: u64,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self { screening: 3, racing: 8, fresh: 20, indifference: 0.01, starts: 4, units: 1000 }
    }
}

/// Points that race against each other.
const CONTENDERS: usize = 8;

/// Winners that may fail with fresh replications before the search gives up.
const ATTEMPTS: u32 = 8;

/// Fresh replications run at a time.
const FRESH_BATCH: usize = 10;

/// Combinations of choices that are looked at, those with the lowest possible cost first.
const CHOICES: usize = 64;

/// Result of a search.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The cheapest point that holds with every replication, the fresh ones included.
    pub winner: Option<Point>,
    /// The fresh replications with which the winner was confirmed.
    pub fresh: Vec<u32>,
    /// Winners before it that failed with fresh replications.
    pub refuted: Vec<Point>,
    /// All that was run.
    pub journal: Journal,
    /// Descents that were cut short because as many units were run as may be.
    pub unfinished: usize,
    /// Knobs that stayed where they were, since others matter more.
    pub frozen: Vec<usize>,
}

/// Looks for the cheapest point that holds. `start` is where things are now; `floor` tells a cost below which a point
/// cannot be; `run` is handed units and answers with their samples, in their order.
pub fn search<Error>(
    space: &Space,
    start: &Point,
    settings: &SearchSettings,
    floor: &dyn Fn(&Point) -> f64,
    run: impl FnMut(&[Unit]) -> Result<Vec<Sample>, Error>,
) -> Result<Outcome, Error> {
    let journal = Journal::new(settings.screening);
    let frozen = Vec::new();
    let mut search = Search { space, settings, floor, run, journal, unfinished: 0, frozen };
    let mut refuted: Vec<Point> = Vec::new();
    search.explore(start)?;
    let mut first = settings.racing.max(settings.screening);
    for _ in 0..ATTEMPTS {
        let Some(leader) = search.race()? else { break };
        let settled = search.settle(&leader, start)?;
        let race: Vec<u32> = (0..settings.racing.max(search.journal.screening())).collect();
        // It was not in the race, and must hold with the same replications.
        let candidates = if settled != leader && search.holds_with(&settled, &race)? {
            vec![settled, leader]
        } else {
            vec![leader]
        };
        for candidate in &candidates {
            let fresh: Vec<u32> = (first..first + settings.fresh).collect();
            first += settings.fresh;
            if search.holds_with(candidate, &fresh)? {
                let Search { journal, unfinished, frozen, .. } = search;
                let winner = Some(candidate.clone());
                return Ok(Outcome { winner, fresh, refuted, journal, unfinished, frozen });
            }
            refuted.push(candidate.clone());
        }
        search.look_closer(&candidates)?;
    }
    let Search { journal, unfinished, frozen, .. } = search;
    Ok(Outcome { winner: None, fresh: Vec::new(), refuted, journal, unfinished, frozen })
}

struct Search<'a, Run> {
    space: &'a Space,
    settings: &'a SearchSettings,
    floor: &'a dyn Fn(&Point) -> f64,
    run: Run,
    journal: Journal,
    unfinished: usize,
    frozen: Vec<usize>,
}

impl<Error, Run: FnMut(&[Unit]) -> Result<Vec<Sample>, Error>> Search<'_, Run> {
    /// Descends from where things are, then with every other choice, then from points that have nothing to do with
    /// these. What cannot be cheaper than the best so far is left out.
    fn explore(&mut self, start: &Point) -> Result<(), Error> {
        self.frozen = self.known(|ground| ground.idle(start))?;
        let mut generous = self.space.most_generous(start);
        for knob in &self.frozen {
            generous[*knob] = start[*knob];
        }
        self.descents(&[start.clone(), generous])?;
        let best = self.best().unwrap_or_else(|| start.clone());
        let choices = self.space.choices(&best, CHOICES, self.floor);
        self.descents(&choices)?;
        if self.space.knobs.len() >= MANY {
            return Ok(());
        }
        let spread: Vec<Point> =
            (0..self.settings.starts).map(|number| spread_point(self.space, number)).collect();
        self.descents(&spread)
    }

    /// Points that looked right by so few replications were not: the others must hold with more, and what lies around
    /// those that failed is looked at.
    fn look_closer(&mut self, failed: &[Point]) -> Result<(), Error> {
        let mut others = self.journal.holding();
        others.truncate(CONTENDERS);
        self.journal.screen(self.settings.racing.min(self.journal.screening() + 2));
        self.known(|ground| ground.journal.verdicts(&others))?;
        self.descents(failed)
    }

    /// The leader without what it changes for nothing.
    fn settle(&mut self, leader: &Point, start: &Point) -> Result<Point, Error> {
        self.known(|ground| ground.settle(leader, start))
    }

    /// The answer to a question, with all that it needs run.
    fn known<T>(
        &mut self,
        ask: impl Fn(&DescentContext<'_>) -> Result<T, Need>,
    ) -> Result<T, Error> {
        loop {
            match ask(&self.ground()) {
                Ok(answer) => return Ok(answer),
                Err(need) => self.provide(need)?,
            }
        }
    }

    fn ground(&self) -> DescentContext<'_> {
        DescentContext {
            space: self.space,
            journal: &self.journal,
            floor: self.floor,
            frozen: &self.frozen,
        }
    }

    fn best(&self) -> Option<Point> {
        self.journal.holding().into_iter().next()
    }

    fn limit(&self) -> f64 {
        let best = self.best().and_then(|best| self.journal.verdict(&best).ok());
        best.map_or(f64::INFINITY, |verdict| verdict.cost)
    }

    /// Descends from several points side by side.
    fn descents(&mut self, starts: &[Point]) -> Result<(), Error> {
        let limit = self.limit();
        let mut open: Vec<Point> =
            starts.iter().filter_map(|start| self.below(start.clone(), limit)).collect();
        open.dedup();
        while !open.is_empty() {
            let ground = self.ground();
            let mut need = Need::default();
            open.retain(|start| match ground.descend(start, limit) {
                Ok(_) => false,
                Err(more) => {
                    need.0.extend(more.0);
                    true
                }
            });
            if !open.is_empty() && self.journal.units() >= self.settings.units {
                self.unfinished += open.len();
                break;
            }
            self.provide(need)?;
        }
        Ok(())
    }

    /// The point with so much less of what has a price that it can be cheaper than the limit.
    fn below(&self, mut point: Point, limit: f64) -> Option<Point> {
        while !is_cheaper((self.floor)(&point), limit) {
            let knobs = self.space.knobs.iter().enumerate();
            let priced = knobs.filter(|(_, knob)| knob.kind == KnobKind::Priced);
            let most = priced.map(|(place, _)| place).max_by_key(|place| point[*place])?;
            point[most] = point[most].checked_sub(1)?;
        }
        Some(point)
    }

    fn provide(&mut self, mut need: Need) -> Result<(), Error> {
        need.0.sort();
        need.0.dedup();
        need.0.retain(|unit| self.journal.sample(&unit.point, unit.replication).is_none());
        if need.0.is_empty() {
            return Ok(());
        }
        let samples = (self.run)(&need.0)?;
        for (unit, sample) in need.0.into_iter().zip(samples) {
            self.journal.note(unit, sample);
        }
        Ok(())
    }

    /// The cheapest of all that holds with the replications of the race, as far as the zone tells them apart; of those
    /// that cost the same, the one with the most room.
    fn race(&mut self) -> Result<Option<Point>, Error> {
        loop {
            let mut contenders = self.journal.holding();
            contenders.truncate(CONTENDERS);
            let Some(leader) = contenders.first().cloned() else { return Ok(None) };
            let all: Vec<Vec<f64>> = contenders.iter().map(|one| self.journal.costs(one)).collect();
            let zone = self.settings.indifference
                * self.journal.verdict(&leader).map_or(0.0, |one| one.cost);
            let zone = zone.max(f64::MIN_POSITIVE);
            let first = self.journal.screening() as usize;
            let alive = race::survivors(&all, first, zone);
            let common = |one: &[f64]| one.len().min(all[0].len());
            // A twin costs the same whatever comes, and leaves less room.
            let is_twin = |one: &Vec<f64>| one[..common(one)] == all[0][..common(one)];
            let racers = contenders.iter().zip(&all).zip(alive).enumerate();
            let racers: Vec<(&Point, usize)> = racers
                .filter(|(place, ((_, costs), alive))| *place == 0 || *alive && !is_twin(costs))
                .map(|(_, ((point, costs), _))| (point, costs.len()))
                .collect();
            let racing = self.settings.racing.max(self.journal.screening());
            let least = racers.iter().map(|(_, runs)| *runs).min().unwrap_or_default();
            if least >= racing as usize {
                return Ok(Some(self.cheapest(&racers)));
            }
            let until =
                if racers.len() == 1 { racing } else { u32::try_from(least).unwrap_or(racing) + 1 };
            let units = racers.iter().flat_map(|(point, _)| {
                (0..until).map(|replication| Unit { point: (*point).clone(), replication })
            });
            let need = Need(units.collect());
            self.provide(need)?;
        }
    }

    fn cheapest(&self, racers: &[(&Point, usize)]) -> Point {
        let racing = self.settings.racing.max(self.journal.screening()) as usize;
        let order = |point: &Point| {
            let costs = self.journal.costs(point);
            let of_race = &costs[..racing.min(costs.len())];
            of_race.iter().sum::<f64>() / of_race.len().max(1) as f64
        };
        let cheapest =
            racers.iter().min_by(|(one, _), (other, _)| order(one).total_cmp(&order(other)));
        cheapest.map(|(point, _)| (*point).clone()).unwrap_or_default()
    }

    /// Whether a point holds with all of these replications; the first that fails ends it.
    fn holds_with(&mut self, point: &Point, replications: &[u32]) -> Result<bool, Error> {
        for batch in replications.chunks(FRESH_BATCH) {
            let unit = |replication: &u32| Unit { point: point.clone(), replication: *replication };
            self.provide(Need(batch.iter().map(unit).collect()))?;
            let fails = |replication: &u32| {
                self.journal.sample(point, *replication).is_none_or(|sample| sample.room() < 0.0)
            };
            if batch.iter().any(fails) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Point number `number` of a sequence that fills the space evenly.
fn spread_point(space: &Space, number: u32) -> Point {
    let levels: Vec<usize> = space.knobs.iter().map(|knob| knob.levels).collect();
    sobol_point(&levels, number)
}

#[cfg(test)]
mod tests;
