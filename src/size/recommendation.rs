//! The recommendation: before and after, what binds, how sure it is, and what is left to save.

use serde::Serialize;

use super::bounds::Bounds;
use super::evaluate::{Evaluation, Evaluator, Headroom, Load, cost_per_month_usd, headrooms};
use super::figures::{Figures, figures};
use super::headroom::{largest, more_traffic};
use super::ideal_autoscaler::least_cost_usd;
use super::knobs::{knobs, now, space};
use super::patch::{Patch, patches, text};
use super::search::journal::Unit;
use super::search::space::{KnobKind, Point, at};
use super::search::{Outcome, SearchSettings, search};
use super::survive::{Survive, cases};
use super::tune::Tune;
use super::unmet::{Unmet, unmet};
use manifest::Diagnostics;
use report::Report;
use scenario::Override;
use scenario::resolved::ResolvedScenario;
use sweep::current::objects;

/// Version of the JSON form: the minor grows with added fields, the major with changed ones.
const FORMAT_VERSION: &str = "1.2";

/// The current value of a setting that has none of those that a user names.
const OTHER: &str = "other";

/// Headroom is not looked for beyond so many times the traffic.
const HEADROOM_MOST: f64 = 10.0;

/// Seeds with which headroom is looked for.
const HEADROOM_SEEDS: u32 = 3;

/// Chance that the share of runs that hold is less than stated, whichever setting is confirmed.
const DOUBT: f64 = 0.05;

/// The question that a search answers.
#[derive(Clone, Debug)]
pub struct Question {
    /// Settings of all runs.
    pub settings: Vec<Override>,
    /// Settings that may be changed.
    pub tuned: Vec<Tune>,
    /// Failures that must be survived.
    pub survive: Vec<Survive>,
    /// Whether to look how much more traffic the answer bears.
    pub headroom: bool,
    /// How the search goes.
    pub search: SearchSettings,
    /// The first seed.
    pub seed: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum SizeError {
    /// The scenario cannot be read or run.
    Problems(Diagnostics),
    /// It can, but not be sized.
    Input(String),
}

impl From<Diagnostics> for SizeError {
    fn from(problems: Diagnostics) -> Self {
        Self::Problems(problems)
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recommendation {
    format_version: &'static str,
    /// Name of the scenario.
    pub scenario: String,
    /// Fingerprint of the scenario with all its files, hexadecimal.
    pub scenario_hash: String,
    /// Whether a setting was found that holds every objective, with fresh seeds too.
    pub found: bool,
    /// Tuned settings: their present and recommended values.
    pub changes: Vec<Change>,
    /// As it is now.
    pub before: Figures,
    /// As it is recommended; absent if nothing was found.
    pub after: Option<Figures>,
    /// Objectives that a cheaper setting would miss.
    pub binding: Vec<Binding>,
    /// Why nothing was found; absent if something was, or if the search was cut short at a setting that holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmet: Option<Unmet>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Lower bound of a month's bill under an autoscaler that knows the future, US dollars: the shares of nodes that the
    /// CPU time needs on average in each interval, and the charges that do not depend on nodes.
    pub perfect_autoscaler_usd: Option<f64>,
    /// Times the traffic at which the objectives still hold; absent if it was not asked for.
    pub headroom: Option<f64>,
    /// The smallest numbers of replicas, each with all else as recommended; empty if headroom was not asked for.
    pub fewest: Vec<Fewest>,
    /// What was run.
    pub effort: Effort,
    /// The settings, as `--set` takes them.
    pub set: Vec<String>,
    /// Strategic merge patches for the manifests, a document each.
    pub patch: String,
    /// The patches, each with the name of its file.
    #[serde(skip)]
    pub patches: Vec<Patch>,
}

/// A setting that was tuned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// Its value now.
    pub from: String,
    /// Its value as recommended.
    pub to: String,
}

/// Something that would be cheaper, and what it breaks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Binding {
    /// The setting.
    pub setting: String,
    /// The limit that it misses.
    pub misses: String,
    /// The value that it reaches instead.
    pub value: String,
}

/// The smallest number of replicas with which the objectives hold in all cases, with the seeds of the screening.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fewest {
    /// Path of the setting.
    pub path: String,
    /// The smallest value.
    pub value: String,
    /// Objective that the next smaller value misses; absent if there is no smaller value.
    pub below: Option<Binding>,
}

/// How sure an answer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confidence {
    /// Seeds with which the answer was chosen.
    pub chosen_with: u32,
    /// Seeds that had no part in the choice, with all of which it holds.
    pub confirmed_with: Vec<u64>,
    /// With 95 % confidence at least so many of a thousand further runs hold.
    pub holds_per_mille: u32,
    /// Settings that held with the seeds of the search and failed with fresh ones.
    pub refuted: usize,
    /// Failures in spite of which it holds, such as `without the busiest node`.
    pub survives: Vec<String>,
}

/// What was run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Effort {
    /// Settings that there are.
    pub settings: u64,
    /// Those that were run.
    pub settings_run: usize,
    /// Runs, a setting with a seed each.
    pub runs: u64,
    /// Simulated time, seconds.
    pub simulated_seconds: f64,
    /// Ways of the search that were cut short because as many runs were made as were allowed; cheaper settings may lie
    /// there.
    pub unfinished: usize,
    /// Settings that stayed as they are, since of so many only those were tried that matter most now.
    pub untried: Vec<String>,
}

/// Looks for the cheapest setting that holds the scenario's objectives. `finished` is called after each run of a case,
/// with the number of cases in which a setting is run with each seed.
pub fn recommend(
    load: &mut Load<'_>,
    question: &Question,
    finished: &(dyn Fn(usize) + Sync),
) -> Result<Recommendation, SizeError> {
    let resolved = load(&question.settings)?;
    if resolved.scenario().objectives.is_empty() {
        return Err(SizeError::Input(
            "the scenario has no objectives to hold; add `objectives`".to_owned(),
        ));
    }
    let report = sweep::run(&resolved, question.seed, |_| {})?;
    let cases = cases(&resolved, &report, &question.survive).map_err(SizeError::Input)?;
    let knobs = knobs(&resolved, &question.tuned);
    if knobs.is_empty() {
        return Err(SizeError::Input(
            "nothing to tune; name a setting as --tune PATH=A,B,C, the leanest value first"
                .to_owned(),
        ));
    }
    let (space, start) = (space(&knobs), now(&knobs));
    let bounds = Bounds::new(&resolved, &report);
    let mut evaluator = Evaluator {
        load,
        settings: question.settings.clone(),
        knobs: knobs.clone(),
        cases,
        first_seed: question.seed,
        finished,
        known: std::collections::BTreeMap::new(),
    };
    let floor = |point: &Point| bounds.floor(&knobs, point);
    let outcome = search(&space, &start, &question.search, &floor, |units| evaluator.run(units))?;
    // Both sides of the answer are of the same seeds.
    let screening = match &outcome.winner {
        Some(_) => question.search.racing.max(question.search.screening),
        None => question.search.screening,
    };
    let before = if knobs.iter().all(|knob| knob.is_current) {
        let mut missing = units(&start, screening);
        missing.retain(|unit| !evaluator.known.contains_key(unit));
        evaluator.run(&missing)?;
        None
    } else {
        // The current values are not among those of the search.
        Some(figures(evaluator.unchanged(screening).iter()))
    };
    let mut answer =
        RecommendationJson { question, resolved: &resolved, bounds: &bounds, evaluator, outcome };
    answer.recommendation(space.size(), &start, before)
}

fn units(point: &Point, replications: u32) -> Vec<Unit> {
    (0..replications).map(|replication| Unit { point: point.clone(), replication }).collect()
}

struct RecommendationJson<'a, 'b> {
    question: &'a Question,
    resolved: &'a ResolvedScenario,
    bounds: &'a Bounds,
    evaluator: Evaluator<'b>,
    outcome: Outcome,
}

impl RecommendationJson<'_, '_> {
    fn recommendation(
        &mut self,
        settings: u64,
        start: &Point,
        before: Option<Figures>,
    ) -> Result<Recommendation, SizeError> {
        let winner = self.outcome.winner.clone();
        let shown = winner.clone().unwrap_or_else(|| start.clone());
        let binding = match &winner {
            Some(winner) => self.binding(winner)?,
            None => Vec::new(),
        };
        let headroom = match &winner {
            Some(winner) if self.question.headroom => Some(self.headroom(winner)?),
            _ => None,
        };
        let fewest = match &winner {
            Some(winner) if self.question.headroom => self.fewest(winner)?,
            _ => Vec::new(),
        };
        let unmet = match &winner {
            Some(_) => None,
            None => unmet(&mut self.evaluator, self.resolved, self.question),
        };
        let perfect_autoscaler_usd = winner.as_ref().and_then(|winner| self.perfect(winner));
        let knobs = &self.evaluator.knobs;
        let changes = knobs.iter().zip(start.iter().zip(&shown)).map(|(knob, (from, to))| Change {
            path: knob.path.clone(),
            from: if knob.is_current { knob.values[*from].clone() } else { OTHER.to_owned() },
            to: knob.values[*to].clone(),
        });
        let changes: Vec<Change> = changes.collect();
        let changed = changes.iter().filter(|change| change.from != change.to);
        let set: Vec<String> = changed.map(|one| format!("{}={}", one.path, one.to)).collect();
        let patched: Vec<Override> = set.iter().filter_map(|one| one.parse().ok()).collect();
        let patches = patches(&objects(self.resolved), &patched);
        Ok(Recommendation {
            format_version: FORMAT_VERSION,
            scenario: self.resolved.scenario().name.clone(),
            scenario_hash: format!("{:016x}", self.resolved.fingerprint()),
            found: winner.is_some(),
            before: before.unwrap_or_else(|| self.figures(start)),
            after: winner.as_ref().map(|winner| self.figures(winner)),
            binding,
            unmet,
            confidence: self.confidence(),
            perfect_autoscaler_usd,
            headroom,
            fewest,
            effort: self.effort(settings),
            changes,
            set,
            patch: text(&patches),
            patches,
        })
    }

    fn of_point(&self, point: &Point) -> impl Iterator<Item = &Evaluation> {
        let racing = self.question.search.racing;
        self.evaluator
            .known
            .range(Unit { point: point.clone(), replication: 0 }..)
            .take_while(move |(unit, _)| unit.point == *point && unit.replication < racing)
            .map(|(_, evaluation)| evaluation)
    }

    fn figures(&self, point: &Point) -> Figures {
        figures(self.of_point(point))
    }

    /// What one step less of anything that has a price breaks.
    fn binding(&mut self, winner: &Point) -> Result<Vec<Binding>, SizeError> {
        let knobs = self.evaluator.knobs.clone();
        let priced = knobs
            .iter()
            .enumerate()
            .filter(|(place, knob)| knob.kind == KnobKind::Priced && winner[*place] > 0);
        let mut binding = Vec::new();
        for (place, knob) in priced {
            let point = at(winner, place, winner[place] - 1);
            let setting = format!("{}={}", knob.path, knob.values[point[place]]);
            if let Some(cores) = self.bounds.too_few_cores(&knobs, &point) {
                binding.push(Binding {
                    setting,
                    misses: format!(
                        "the {:.1} cores that requests need on average",
                        self.bounds.offered_cores
                    ),
                    value: format!("{cores:.1} allocatable"),
                });
                continue;
            }
            if let Some(missed) = self.missed(&point)? {
                binding.push(Binding { setting, misses: missed.limit, value: missed.value });
            }
        }
        Ok(binding)
    }

    /// The limit that a point misses by most, with the first of the screening's seeds that misses one.
    fn missed(&mut self, point: &Point) -> Result<Option<Headroom>, SizeError> {
        for unit in units(point, self.question.search.screening) {
            if !self.evaluator.known.contains_key(&unit) {
                self.evaluator.run(std::slice::from_ref(&unit))?;
            }
            let headrooms = self.evaluator.known.get(&unit).map(|one| one.headrooms.clone());
            let least = headrooms
                .unwrap_or_default()
                .into_iter()
                .min_by(|one, other| one.room.total_cmp(&other.room));
            if let Some(least) = least.filter(|least| least.room < 0.0) {
                return Ok(Some(least));
            }
        }
        Ok(None)
    }

    /// How few replicas of each workload will do in all cases, with all else as recommended.
    fn fewest(&mut self, winner: &Point) -> Result<Vec<Fewest>, SizeError> {
        let knobs = self.evaluator.knobs.clone();
        let counts = knobs.iter().enumerate().filter(|(_, knob)| {
            knob.path.ends_with(".spec.replicas") || knob.path.ends_with(".spec.minReplicas")
        });
        let mut fewest = Vec::new();
        for (place, knob) in counts {
            // Fewer replicas of one workload serve no more requests, so that the numbers that hold are taken as those from
            // some number on.
            let (mut fails, mut holds) = (None, winner[place]);
            while holds > fails.as_ref().map_or(0, |(level, _)| level + 1) {
                let low = fails.as_ref().map_or(0, |(level, _)| level + 1);
                let middle = usize::midpoint(low, holds);
                match self.missed(&at(winner, place, middle))? {
                    None => holds = middle,
                    Some(missed) => fails = Some((middle, missed)),
                }
            }
            let below = fails.map(|(level, missed)| Binding {
                setting: format!("{}={}", knob.path, knob.values[level]),
                misses: missed.limit,
                value: missed.value,
            });
            let value = knob.values[holds].clone();
            fewest.push(Fewest { path: knob.path.clone(), value, below });
        }
        Ok(fewest)
    }

    fn headroom(&mut self, winner: &Point) -> Result<f64, SizeError> {
        let settings = self.evaluator.settings_of(winner);
        let first = self.question.seed;
        let seeds: Vec<u64> =
            (0..HEADROOM_SEEDS).map(|step| first.wrapping_add(u64::from(step))).collect();
        let resolved = self.resolved;
        largest(HEADROOM_MOST, |factor| {
            let more = more_traffic(resolved, factor);
            let settings: Vec<Override> = settings.iter().cloned().chain(more).collect();
            let mut scenarios = Vec::new();
            for case in &self.evaluator.cases {
                let settings: Vec<Override> =
                    settings.iter().chain(&case.settings).cloned().collect();
                scenarios.push((self.evaluator.load)(&settings)?);
            }
            let all_cases = scenarios.len();
            let finished = self.evaluator.finished;
            let reports = sweep::run_all(&scenarios, &seeds, || finished(all_cases))?;
            let cases = self.evaluator.cases.iter().zip(&reports).enumerate();
            let mut headrooms = cases.flat_map(|(place, (case, reports))| {
                let name = if place == 0 { "" } else { case.name.as_str() };
                reports.iter().flat_map(move |report| headrooms(report, name))
            });
            Ok(headrooms.all(|room| room.room >= 0.0))
        })
    }

    fn confidence(&self) -> Confidence {
        let fresh = &self.outcome.fresh;
        // If fewer than this share held, all of so many holding had a chance of less than the doubt. The settings that were
        // tried in turn share it: 1/2, 1/6, 1/12, ..., which add up to all of it however many there are.
        let tried = self.outcome.refuted.len() as f64 + 1.0;
        let doubt = DOUBT / (tried * (tried + 1.0));
        let share = match fresh.len() {
            0 => 0.0,
            runs => libm::pow(doubt, 1.0 / runs as f64),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share in thousandths"
        )]
        let holds_per_mille = (share * 1000.0) as u32;
        Confidence {
            chosen_with: self.question.search.racing,
            confirmed_with: fresh.iter().map(|one| self.evaluator.seed(*one)).collect(),
            holds_per_mille,
            refuted: self.outcome.refuted.len(),
            survives: self.evaluator.cases.iter().skip(1).map(|case| case.name.clone()).collect(),
        }
    }

    fn perfect(&mut self, winner: &Point) -> Option<f64> {
        let cases = self.evaluator.scenarios(winner)?;
        let resolved = cases.first()?;
        let (cores, price) = self.bounds.node(resolved.scenario())?;
        let report = &sweep::run(resolved, self.question.seed, |_| {}).ok()?;
        let nodes = least_cost_usd(&report.interval_ends_seconds, &report.workloads, cores, price)?;
        let cost = nodes + charges_without_nodes_usd(report);
        Some(cost.min(cost_per_month_usd(report)))
    }

    fn effort(&self, settings: u64) -> Effort {
        let known = &self.evaluator.known;
        let mut points: Vec<&Point> = known.keys().map(|unit| &unit.point).collect();
        points.dedup();
        let paths = &self.evaluator.knobs;
        Effort {
            settings,
            settings_run: points.len(),
            runs: known.len() as u64,
            simulated_seconds: known.values().map(|one| one.simulated_seconds).sum(),
            unfinished: self.outcome.unfinished,
            untried: self.outcome.frozen.iter().map(|place| paths[*place].path.clone()).collect(),
        }
    }
}

/// What a month costs beside the nodes whatever their number, US dollars. Disks are left out, as most belong to nodes, so
/// that the sum stays a lower bound.
fn charges_without_nodes_usd(report: &Report) -> f64 {
    let depends_on_nodes = |item: &str| {
        item.starts_with("disk:") || matches!(item, "nat-gateway-node" | "zone-egress")
    };
    let fixed = report.cost.charges.iter().filter(|line| !depends_on_nodes(&line.item));
    fixed.map(|line| line.month_usd.as_usd()).sum()
}

impl Recommendation {
    /// As indented JSON, with a line break at the end.
    pub fn json(&self) -> String {
        report::json::render(self)
    }
}
