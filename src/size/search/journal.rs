//! What is known of the points: one sample for each replication, and never two. A search reads nothing else, so that it
//! goes the same way at any number of threads, and again from the start after an interruption.

use std::collections::BTreeMap;

use super::space::Point;

/// A point under one replication: the same number means the same traffic and the same faults for all points.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// The point.
    pub point: Point,
    /// Number of the replication.
    pub replication: u32,
}

/// Result of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its cost, in any unit.
    pub cost: f64,
    /// The room to each limit, as a share of it; negative where it is missed.
    pub headrooms: Vec<f64>,
}

impl Sample {
    /// The least room; without limits there is room.
    pub fn room(&self) -> f64 {
        self.headrooms.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// How far all limits that are missed are missed, in sum: what helps one of several shows here, though another is
    /// still missed by more.
    pub(crate) fn shortfall(&self) -> f64 {
        -self.headrooms.iter().filter(|room| **room < 0.0).sum::<f64>()
    }
}

/// Result of several replications of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Whether every limit holds with each of them.
    pub holds: bool,
    /// Mean cost.
    pub cost: f64,
    /// The least room of all.
    pub room: f64,
    /// The largest shortfall of any replication; zero if it holds.
    pub shortfall: f64,
}

/// Units that must be run before a search can go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need(pub Vec<Unit>);

/// All samples so far.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    samples: BTreeMap<Point, BTreeMap<u32, Sample>>,
    /// A point counts once it was run with the replications from 0 up to this.
    screening: u32,
    units: u64,
}

impl Journal {
    /// An empty one; a point must hold with `screening` replications to count.
    pub fn new(screening: u32) -> Self {
        Self { screening: screening.max(1), ..Self::default() }
    }

    /// Number of replications with which a point must hold.
    pub(crate) const fn screening(&self) -> u32 {
        self.screening
    }

    /// Has points hold with more replications than before.
    pub fn screen(&mut self, screening: u32) {
        self.screening = self.screening.max(screening);
    }

    /// Number of samples.
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// Notes a sample.
    pub fn note(&mut self, unit: Unit, sample: Sample) {
        if self.samples.entry(unit.point).or_default().insert(unit.replication, sample).is_none() {
            self.units += 1;
        }
    }

    /// The sample of a unit.
    pub fn sample(&self, point: &Point, replication: u32) -> Option<&Sample> {
        self.samples.get(point)?.get(&replication)
    }

    /// Costs of a point with the replications from 0 on, as many as follow each other.
    pub fn costs(&self, point: &Point) -> Vec<f64> {
        (0..).map_while(|replication| Some(self.sample(point, replication)?.cost)).collect()
    }

    /// All samples of a point, in the order of the replications.
    pub fn samples(&self, point: &Point) -> impl Iterator<Item = (u32, &Sample)> {
        let known = self.samples.get(point).into_iter().flatten();
        known.map(|(replication, sample)| (*replication, sample))
    }

    /// The verdict on a point. One that misses a limit with any replication is out; further ones are not asked for.
    pub fn verdict(&self, point: &Point) -> Result<Verdict, Need> {
        let room = self.samples(point).map(|(_, sample)| sample.room());
        let room = room.fold(f64::INFINITY, f64::min);
        let shortfalls = self.samples(point).map(|(_, sample)| sample.shortfall());
        let shortfall = shortfalls.fold(0.0, f64::max);
        let screened = self.samples(point).filter(|(replication, _)| *replication < self.screening);
        let costs: Vec<f64> = screened.map(|(_, sample)| sample.cost).collect();
        let is_out = room < 0.0;
        if is_out || costs.len() == self.screening as usize {
            let cost = costs.iter().sum::<f64>() / costs.len().max(1) as f64;
            return Ok(Verdict { holds: !is_out, cost, room, shortfall });
        }
        // The first alone: most points that miss a limit miss it with any replication.
        let asked = if costs.is_empty() { 0..1 } else { 0..self.screening };
        let missing = asked.filter(|one| self.sample(point, *one).is_none());
        let unit = |replication| Unit { point: point.clone(), replication };
        Err(Need(missing.map(unit).collect()))
    }

    /// The verdicts on several points; what is missing for any of them is asked for at once.
    pub fn verdicts(&self, points: &[Point]) -> Result<Vec<Verdict>, Need> {
        let mut need = Need::default();
        let mut verdicts = Vec::new();
        for point in points {
            match self.verdict(point) {
                Ok(verdict) => verdicts.push(verdict),
                Err(more) => need.0.extend(more.0),
            }
        }
        if need.0.is_empty() { Ok(verdicts) } else { Err(need) }
    }

    /// The sample of a point with the first replication.
    pub fn first(&self, point: &Point) -> Result<&Sample, Need> {
        let need = || Need(vec![Unit { point: point.clone(), replication: 0 }]);
        self.sample(point, 0).ok_or_else(need)
    }

    /// Those of several points; what is missing for any of them is asked for at once.
    pub fn firsts(&self, points: &[Point]) -> Result<Vec<&Sample>, Need> {
        let mut need = Need::default();
        let mut samples = Vec::new();
        for point in points {
            match self.first(point) {
                Ok(sample) => samples.push(sample),
                Err(more) => need.0.extend(more.0),
            }
        }
        if need.0.is_empty() { Ok(samples) } else { Err(need) }
    }

    /// All points that hold as far as is known, the cheapest first and of equal ones those with most room.
    pub fn holding(&self) -> Vec<Point> {
        let mut holding: Vec<(Point, Verdict)> = Vec::new();
        for point in self.samples.keys() {
            if let Ok(verdict) = self.verdict(point)
                && verdict.holds
            {
                holding.push((point.clone(), verdict));
            }
        }
        holding.sort_by(|(_, one), (_, other)| {
            one.cost.total_cmp(&other.cost).then(other.room.total_cmp(&one.room))
        });
        holding.into_iter().map(|(point, _)| point).collect()
    }
}

impl Verdict {
    /// Whether it is the better one: it holds and the other does not; of two that hold it is cheaper, or has more room; of
    /// two that do not it misses less.
    pub(crate) fn is_better_than(&self, other: &Self) -> bool {
        match (self.holds, other.holds) {
            (true, false) => true,
            (false, true) => false,
            (true, true) if is_cheaper(self.cost, other.cost) => true,
            (true, true) if is_cheaper(other.cost, self.cost) => false,
            (true, true) => self.room > other.room + 1e-9,
            (false, false) => self.shortfall < other.shortfall - 1e-9,
        }
    }
}

/// Whether a cost is lower by more than rounding.
pub(crate) fn is_cheaper(one: f64, other: f64) -> bool {
    one < other && (other.is_infinite() || one < other - 1e-9 * other.abs())
}
