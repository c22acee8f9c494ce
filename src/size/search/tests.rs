//! Searches on problems whose optimum is known in closed form, under noise that a hundred runs must see through.

use super::space::Knob;
use super::*;
use engine::random::Normal;
use engine::{Stream, Streams};
use rand_distr::Distribution as _;
use std::convert::Infallible;

/// A problem: what a point costs and a measure that must reach a limit, both known without noise.
struct Problem {
    name: &'static str,
    space: Space,
    start: Point,
    cost: Box<dyn Fn(&Point) -> f64>,
    /// More is better.
    measure: Box<dyn Fn(&Point) -> f64>,
    /// The limit about which it is set; see `Limit::between`.
    about: f64,
    /// Standard deviation of the cost that all points of a replication have in common, as a share.
    swing: f64,
    /// Whether the cost is known without a run.
    priced: bool,
}

/// The limit put half way between the best of what is cheaper than the optimum and the optimum itself, whose distance
/// is seven standard deviations of the noise: a point is on the wrong side once in five thousand replications.
struct Limit {
    value: f64,
    deviation: f64,
    cost: f64,
}

fn every_point(space: &Space) -> Vec<Point> {
    space.knobs.iter().fold(vec![Vec::new()], |points: Vec<Point>, knob| {
        let with = |point: &Point| {
            let levels = 0..knob.levels;
            levels.map(|level| [&point[..], &[level]].concat()).collect::<Vec<_>>()
        };
        points.iter().flat_map(with).collect()
    })
}

impl Problem {
    fn limit(&self) -> Limit {
        let all = every_point(&self.space);
        let holding = all.iter().filter(|point| (self.measure)(point) >= self.about);
        let cost = holding.map(|point| (self.cost)(point)).fold(f64::INFINITY, f64::min);
        let best = |is_in: &dyn Fn(f64) -> bool| {
            let some = all.iter().filter(|point| is_in((self.cost)(point)));
            some.map(|point| (self.measure)(point)).fold(f64::NEG_INFINITY, f64::max)
        };
        let (cheaper, optimal) = (best(&|one| one < cost), best(&|one| one <= cost));
        assert!(optimal > cheaper, "{}: no limit tells them apart", self.name);
        Limit { value: f64::midpoint(cheaper, optimal), deviation: (optimal - cheaper) / 7.0, cost }
    }

    fn sample(&self, limit: &Limit, unit: &Unit, seed: u64) -> Sample {
        let normal = |stream: &mut Stream| Normal { mean: 0.0, std_dev: 1.0 }.sample(stream);
        let mut common = Streams::new(seed).stream("replication", u64::from(unit.replication));
        // Traffic is common to all points; what becomes of it differs a little.
        let (traffic, swing) = (normal(&mut common), normal(&mut common));
        let place = unit.point.iter().fold(0, |place, level| place * 1000 + *level as u64);
        let name = format!("point {place}");
        let own = normal(&mut Streams::new(seed).stream(&name, u64::from(unit.replication)));
        let noise = (libm::sqrt(0.8) * traffic + libm::sqrt(0.2) * own) * limit.deviation;
        Sample {
            cost: (self.cost)(&unit.point) * (1.0 + self.swing * swing),
            headrooms: vec![
                ((self.measure)(&unit.point) + noise - limit.value) / limit.value.abs(),
            ],
        }
    }

    /// The point that a search takes, and the units that it ran.
    fn solve(&self, limit: &Limit, seed: u64) -> (Option<Point>, u64) {
        let floor = |point: &Point| if self.priced { (self.cost)(point) } else { 0.0 };
        let run = |units: &[Unit]| {
            Ok::<_, Infallible>(units.iter().map(|unit| self.sample(limit, unit, seed)).collect())
        };
        let settings = SearchSettings::default();
        let Ok(found) = search(&self.space, &self.start, &settings, &floor, run);
        (found.winner, found.journal.units())
    }

    /// How many of a hundred searches take a point that holds and costs at most one percent more than the optimum.
    fn right_of_hundred(&self) -> u32 {
        let limit = self.limit();
        let right = |seed: &u64| {
            let point = self.solve(&limit, *seed).0.unwrap_or_default();
            !point.is_empty()
                && (self.measure)(&point) >= limit.value
                && (self.cost)(&point) <= limit.cost * 1.01
        };
        u32::try_from((0..100).filter(right).count()).expect("a hundred at most")
    }
}

fn knobs(levels: &[(usize, KnobKind)]) -> Space {
    Space {
        knobs: levels.iter().map(|(levels, kind)| Knob { levels: *levels, kind: *kind }).collect(),
    }
}

/// Erlang's C formula: the chance that a request waits in M/M/c.
fn erlang_c(servers: usize, offered: f64) -> f64 {
    let c = servers as f64;
    if c <= offered {
        return 1.0;
    }
    let blocking = (1..=servers).fold(1.0, |b, k| offered * b / (k as f64 + offered * b));
    blocking / (1.0 - offered / c * (1.0 - blocking))
}

/// The share of a standard normal distribution below `z`.
fn normal_share(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

/// Agents of a call centre: one knob, Erlang C.
fn staffing() -> Problem {
    Problem {
        name: "staffing",
        space: knobs(&[(64, KnobKind::Priced)]),
        start: vec![60],
        cost: Box::new(|point| (point[0] + 1) as f64),
        measure: Box::new(|point| -erlang_c(point[0] + 1, 20.0)),
        about: -0.2,
        swing: 0.0,
        priced: true,
    }
}

/// Types of machines and their number, for a demand that must be met.
fn machines() -> Problem {
    const TYPES: [(f64, f64); 4] = [(1.0, 10.0), (1.9, 21.0), (3.5, 43.0), (7.4, 80.0)];
    Problem {
        name: "machines",
        space: knobs(&[(4, KnobKind::Choice), (30, KnobKind::Priced)]),
        start: vec![0, 25],
        cost: Box::new(|point| TYPES[point[0]].0 * (point[1] + 1) as f64),
        measure: Box::new(|point| TYPES[point[0]].1 * (point[1] + 1) as f64),
        about: 205.0,
        swing: 0.0,
        priced: true,
    }
}

/// Redundancy in a series of stages, each with components of its own price and reliability.
fn redundancy() -> Problem {
    const STAGES: [(f64, f64); 4] = [(1.2, 0.8), (2.3, 0.85), (3.4, 0.9), (4.5, 0.75)];
    let stages = |point: &Point| STAGES.into_iter().zip(point.clone());
    Problem {
        name: "redundancy",
        space: knobs(&[(5, KnobKind::Priced); 4]),
        start: vec![4, 4, 4, 4],
        cost: Box::new(move |point| {
            stages(point).map(|((price, _), more)| price * (more + 1) as f64).sum()
        }),
        measure: Box::new(move |point| {
            let works =
                |((_, p), more): ((f64, f64), usize)| 1.0 - libm::pow(1.0 - p, (more + 1) as f64);
            stages(point).map(works).product()
        }),
        about: 0.95,
        swing: 0.0,
        priced: true,
    }
}

/// Sizes of facilities with normal demands, so that a stock-out anywhere is rare (FACSIZE-2 of SimOpt).
fn facilities() -> Problem {
    const DEMANDS: [(f64, f64, f64); 3] =
        [(1.0, 100.0, 15.0), (1.5, 80.0, 20.0), (2.1, 120.0, 12.0)];
    let size = |level: usize| 60.0 + 10.0 * level as f64;
    Problem {
        name: "facilities",
        space: knobs(&[(14, KnobKind::Priced); 3]),
        start: vec![13, 13, 13],
        cost: Box::new(move |point| {
            DEMANDS.iter().zip(point).map(|(one, level)| one.0 * size(*level)).sum()
        }),
        measure: Box::new(move |point| {
            let holds = |((_, mean, deviation), level): (&(f64, f64, f64), &usize)| {
                normal_share((size(*level) - mean) / deviation)
            };
            DEMANDS.iter().zip(point).map(holds).product()
        }),
        about: 0.97,
        swing: 0.0,
        priced: true,
    }
}

/// Service rates of queues in a row (Jackson): the mean time in all of them.
fn tandem() -> Problem {
    const PRICES: [f64; 3] = [1.0, 1.7, 2.9];
    let rate = |level: usize| 5.5 + 0.5 * level as f64;
    Problem {
        name: "tandem",
        space: knobs(&[(16, KnobKind::Priced); 3]),
        start: vec![0, 0, 0],
        cost: Box::new(move |point| {
            PRICES.iter().zip(point).map(|(price, level)| price * rate(*level)).sum()
        }),
        measure: Box::new(move |point| {
            -point.iter().map(|level| 1.0 / (rate(*level) - 5.0)).sum::<f64>()
        }),
        about: -1.3,
        swing: 0.0,
        priced: true,
    }
}

/// Replicas on nodes: too few are slow, and too many have no room. Replicas cost nothing.
fn packing() -> Problem {
    Problem {
        name: "packing",
        space: knobs(&[(20, KnobKind::Priced), (60, KnobKind::Free), (3, KnobKind::Choice)]),
        start: vec![12, 5, 0],
        // Three types of nodes take 3, 4 or 6 pods.
        cost: Box::new(|point| [1.0, 1.25, 1.95][point[2]] * (point[0] + 1) as f64),
        measure: Box::new(|point| {
            let fit = [3, 4, 6][point[2]] * (point[0] + 1);
            let pods = point[1] + 1;
            let over = pods.saturating_sub(fit);
            if over > 0 { -(over as f64) } else { 10.0 * pods as f64 }
        }),
        about: 225.0,
        swing: 0.0,
        priced: true,
    }
}

/// An autoscaler: what its target and its minimum cost is known by running alone, and differs from day to day.
fn autoscaler() -> Problem {
    let target = |level: usize| 0.95 - 0.05 * level as f64;
    Problem {
        name: "autoscaler",
        space: knobs(&[(13, KnobKind::Priced), (10, KnobKind::Priced)]),
        start: vec![10, 8],
        cost: Box::new(move |point| {
            (40.0 / target(point[0])).max(10.0 * (point[1] + 1) as f64) * 3.0
        }),
        measure: Box::new(move |point| {
            -1.0 / (1.0 - target(point[0])) - 8.0 / (point[1] + 1) as f64
        }),
        about: -4.1,
        swing: 0.2,
        priced: false,
    }
}

fn problems() -> [Problem; 7] {
    [staffing(), machines(), redundancy(), facilities(), tandem(), packing(), autoscaler()]
}

#[test]
fn of_many_choices_the_ones_with_the_lowest_floors_are_tried_in_their_order() {
    let knob = |levels| Knob { levels, kind: KnobKind::Choice };
    let space = Space { knobs: vec![knob(4); 24] };
    let price = |point: &Point| point.iter().map(|level| *level as f64).sum::<f64>();
    let choices = space.choices(&[3; 24], 30, &price);
    assert_eq!(choices.len(), 30);
    let prices: Vec<f64> = choices.iter().map(price).collect();
    // One with nothing, 24 with a single step up, and five of the next.
    let expected: Vec<f64> = [0.0].into_iter().chain([1.0; 24]).chain([2.0; 5]).collect();
    assert_eq!(prices, expected);
}

#[test]
fn the_optimum_is_found_in_95_of_100_runs() {
    let right: Vec<(&str, u32)> =
        problems().iter().map(|problem| (problem.name, problem.right_of_hundred())).collect();
    assert!(right.iter().all(|(_, right)| *right >= 95), "{right:?}");
}

#[test]
fn a_fraction_of_all_points_is_run() {
    for problem in problems() {
        let (limit, all) = (problem.limit(), problem.space.size());
        let most = (0..10).map(|seed| problem.solve(&limit, seed).1).max().unwrap_or_default();
        assert!(all < 1000 || most <= all / 8, "{}: {most} units of {all} points", problem.name);
    }
}
