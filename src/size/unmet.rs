//! Why no setting holds: the limits that none reaches, the setting that misses least, the reason that its run names,
//! and what would help. Whatever is said to help was run.

use serde::Serialize;

use super::evaluate::{Evaluation, Evaluator, Headroom};
use super::headroom::more_traffic;
use super::knobs::{SizeKnob, knobs, now};
use super::ladders::beyond;
use super::recommendation::Question;
use super::search::journal::Unit;
use super::search::space::{KnobKind, Point};
use super::tune::NAMES;
use scenario::Override;
use scenario::resolved::ResolvedScenario;

/// Share of the traffic at which a miss is no matter of capacity.
const LITTLE_TRAFFIC: f64 = 0.1;

/// Share of a miss by which a change must lessen it to count as help.
const HELPS: f64 = 0.05;

/// Changes that are named, those that help most.
const REMEDIES: usize = 3;

/// Why no setting holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unmet {
    /// The limits that no setting holds; empty if each is held by one that misses another.
    pub limits: Vec<UnmetLimit>,
    /// The setting that misses least.
    pub nearest: Nearest,
    /// Changes outside the search after which the nearest setting misses less, those that help most first.
    pub remedies: Vec<Trial>,
    /// The changes outside the search that were tried.
    pub tried: Vec<String>,
    /// The nearest setting with a tenth of the traffic.
    pub little_traffic: Trial,
    /// The nearest setting without timeline and faults; absent if there are none.
    pub undisturbed: Option<Trial>,
}

/// A limit that no setting holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnmetLimit {
    /// The limit, with the best figure that a setting reaches.
    #[serde(flatten)]
    pub best: Headroom,
    /// The setting that reaches it, as `--set` takes it; empty if all reach the same.
    pub set: Vec<String>,
}

/// The setting that misses least.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nearest {
    /// The tuned settings, as `--set` takes them.
    pub set: Vec<String>,
    /// US dollars a month.
    pub cost_per_month_usd: f64,
    /// The limits that it misses, those missed by most first, each with the reason.
    pub misses: Vec<Headroom>,
    /// The seed of the run that misses most.
    pub seed: u64,
}

/// A change of the nearest setting, and what it comes to with the seed that misses most.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// The changed setting: `limits`, for `--tune limits`, or the path of a setting beyond its values.
    pub change: String,
    /// The change, as `--set` takes it.
    pub set: Vec<String>,
    /// The limit that is then missed by most; absent if all hold.
    pub misses: Option<Headroom>,
}

/// Runs of an unsuccessful search, by setting: each with its worst run.
struct Tried<'a> {
    point: &'a Point,
    worst: &'a Unit,
    evaluation: &'a Evaluation,
    cost_usd: f64,
}

/// Why nothing holds; nothing if a setting holds as far as it was run.
pub fn unmet(
    evaluator: &mut Evaluator<'_>,
    resolved: &ResolvedScenario,
    question: &Question,
) -> Option<Unmet> {
    let tried = tried(evaluator);
    let order = |one: &Tried<'_>| (one.evaluation.shortfall(), one.cost_usd);
    let nearest = tried.iter().min_by(|one, other| {
        let (one, other) = (order(one), order(other));
        one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1))
    });
    let nearest = nearest.filter(|one| one.evaluation.shortfall() > 0.0)?;
    let limits = unmet_limits(evaluator, &tried);
    let (point, unit) = (nearest.point.clone(), nearest.worst.clone());
    let (cost, missing) = (nearest.cost_usd, nearest.evaluation.shortfall());
    let misses = nearest.evaluation.missed();
    let mut trials = Trials { evaluator, point: &point, seed: unit.replication };
    let mut remedies = Vec::new();
    let mut names = Vec::new();
    for (name, set) in untuned(resolved, question).into_iter().chain(trials.beyond()) {
        let (trial, shortfall) = trials.run(&name, &set);
        if !names.contains(&name) {
            names.push(name);
        }
        if shortfall < missing * (1.0 - HELPS) {
            remedies.push((trial, shortfall));
        }
    }
    remedies.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let mut kept: Vec<Trial> = Vec::new();
    for (trial, _) in remedies {
        if kept.len() < REMEDIES && kept.iter().all(|one| one.change != trial.change) {
            kept.push(trial);
        }
    }
    let (little_traffic, _) =
        trials.run("a tenth of the traffic", &more_traffic(resolved, LITTLE_TRAFFIC));
    let scenario = resolved.scenario();
    let is_disturbed = !scenario.timeline.is_empty() || !scenario.faults.is_empty();
    // A case to survive brings a timeline of its own.
    let undisturbed = if is_disturbed && trials.evaluator.cases.len() == 1 {
        let calm: Vec<Override> =
            ["timeline=[]", "faults=[]"].iter().filter_map(|one| one.parse().ok()).collect();
        Some(trials.run("neither timeline nor faults", &calm).0)
    } else {
        None
    };
    let nearest = Nearest {
        set: settings(&evaluator.knobs, &point),
        cost_per_month_usd: cost,
        misses,
        seed: evaluator.seed(unit.replication),
    };
    Some(Unmet { limits, nearest, remedies: kept, tried: names, little_traffic, undisturbed })
}

/// All settings that the scenario can have, with the worst run of each.
fn tried<'a>(evaluator: &'a Evaluator<'_>) -> Vec<Tried<'a>> {
    let mut all: Vec<Tried<'a>> = Vec::new();
    for (unit, evaluation) in &evaluator.known {
        match all.last_mut().filter(|last| *last.point == unit.point) {
            Some(last) if last.evaluation.shortfall() < evaluation.shortfall() => {
                (last.worst, last.evaluation) = (unit, evaluation);
            }
            Some(_) => {}
            None => {
                let cost_usd = evaluation.cost_usd;
                all.push(Tried { point: &unit.point, worst: unit, evaluation, cost_usd });
            }
        }
    }
    if all.iter().any(|one| one.cost_usd.is_finite()) {
        all.retain(|one| one.cost_usd.is_finite());
    }
    all
}

/// The limits that every setting misses in its worst run, each with the best that any reaches.
fn unmet_limits(evaluator: &Evaluator<'_>, tried: &[Tried<'_>]) -> Vec<UnmetLimit> {
    let limits = tried.first().map_or(&[][..], |one| &one.evaluation.headrooms);
    let best = |limit: &Headroom| {
        let rooms: Vec<(&Tried<'_>, &Headroom)> = tried
            .iter()
            .filter_map(|one| {
                let mut rooms = one.evaluation.headrooms.iter();
                Some((one, rooms.find(|room| room.limit == limit.limit)?))
            })
            .collect();
        let by_room = |one: &&(&Tried<'_>, &Headroom), other: &&(&Tried<'_>, &Headroom)| {
            one.1.room.total_cmp(&other.1.room)
        };
        let (least, (point, best)) = (rooms.iter().min_by(by_room)?, rooms.iter().max_by(by_room)?);
        let is_alike = rooms.len() > 1 && least.1.room >= best.room;
        let set = if is_alike { Vec::new() } else { settings(&evaluator.knobs, point.point) };
        (best.room < 0.0).then(|| UnmetLimit { best: (*best).clone(), set })
    };
    limits.iter().filter_map(best).collect()
}

fn settings(knobs: &[SizeKnob], point: &Point) -> Vec<String> {
    let levels = knobs.iter().zip(point);
    levels.map(|(knob, level)| format!("{}={}", knob.path, knob.values[*level])).collect()
}

/// Changes of all settings of each kind that is not tuned: by one level, and to the most generous one.
fn untuned(resolved: &ResolvedScenario, question: &Question) -> Vec<(String, Vec<Override>)> {
    let tuned: Vec<String> =
        knobs(resolved, &question.tuned).into_iter().map(|knob| knob.path).collect();
    let mut changes = Vec::new();
    for (name, tune) in NAMES.iter().filter(|(_, tune)| !question.tuned.contains(tune)) {
        let mut further = knobs(resolved, std::slice::from_ref(tune));
        further.retain(|knob| !tuned.contains(&knob.path));
        let start = now(&further);
        let top = |step: usize| -> Vec<Override> {
            let raised = further.iter().zip(&start).filter_map(|(knob, level)| {
                let to = (level + step).min(knob.values.len() - 1);
                (to != *level).then(|| format!("{}={}", knob.path, knob.values[to]).parse().ok())
            });
            raised.flatten().collect()
        };
        let (one, all) = (top(1), top(usize::MAX / 2));
        let further = [one, all].into_iter().filter(|set| !set.is_empty());
        changes.extend(further.map(|set| ((*name).to_owned(), set)));
    }
    changes
}

struct Trials<'a, 'b> {
    evaluator: &'a mut Evaluator<'b>,
    point: &'a Point,
    seed: u32,
}

impl Trials<'_, '_> {
    /// For each tuned setting that is at the upper end of its values, one further on; and all of these at once.
    fn beyond(&self) -> Vec<(String, Vec<Override>)> {
        let knobs = self.evaluator.knobs.iter().zip(self.point);
        let at_end = knobs.filter(|(knob, level)| {
            knob.kind == KnobKind::Choice || **level + 1 == knob.values.len()
        });
        let each: Vec<(String, Vec<Override>)> = at_end
            .filter_map(|(knob, _)| {
                let value = beyond(&knob.values)?;
                let set = format!("{}={value}", knob.path).parse().ok()?;
                Some((knob.path.clone(), vec![set]))
            })
            .collect();
        let all = (each.len() > 1).then(|| {
            let set = each.iter().flat_map(|(_, set)| set.clone()).collect();
            ("all that are at the end of their values".to_owned(), set)
        });
        each.iter().cloned().chain(all).collect()
    }

    /// The nearest setting with a change, and its shortfall.
    fn run(&mut self, change: &str, set: &[Override]) -> (Trial, f64) {
        let evaluation = self.evaluator.with(self.point, set, self.seed);
        let misses = evaluation.missed().into_iter().next();
        let set = set.iter().map(ToString::to_string).collect();
        (Trial { change: change.to_owned(), set, misses }, evaluation.shortfall())
    }
}
