//! What a setting shows: its cost, and the room that each limit has in the worst of the cases that it must survive.

use std::collections::BTreeMap;

use serde::Serialize;

use super::knobs::SizeKnob;
use super::search::journal::{Sample, Unit};
use super::search::space::Point;
use manifest::Diagnostics;
use report::Report;
use scenario::Override;
use scenario::resolved::ResolvedScenario;
use sweep::run_each;
use sweep::summary::RunSummary;

/// Room of a setting that the scenario refuses, such as a minimum above the maximum.
const REFUSED: f64 = -1000.0;

/// A case in which the objectives must hold: the traffic by itself, or with a fault besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// In words: `as it is`, `without a node`.
    pub name: String,
    /// Settings that turn the scenario into the case.
    pub settings: Vec<Override>,
}

/// The room that a figure leaves to its limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Headroom {
    /// The limit: `service shop/web latency p95 <= 200 ms`, with the case that it is about.
    pub limit: String,
    /// The value in words.
    pub value: String,
    /// Room as a share of the limit; of a share, of what may be missing to one. Negative if it is missed.
    pub room: f64,
    /// Why it is missed, as far as the run tells; empty if it is met.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub because: String,
}

/// Result of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Cost of a month, US dollars, without any fault.
    pub cost_usd: f64,
    /// The room of each limit in each case.
    pub headrooms: Vec<Headroom>,
    /// Largest 99th percentile of the services with objectives in the first case, milliseconds.
    pub p99_ms: Option<f64>,
    /// Their smallest availability, 0 to 1.
    pub availability: Option<f64>,
    /// Simulated seconds of all cases.
    pub simulated_seconds: f64,
}

impl Evaluation {
    /// How far all limits that are missed are missed, in sum.
    pub(crate) fn shortfall(&self) -> f64 {
        -self.headrooms.iter().map(|one| one.room.min(0.0)).sum::<f64>()
    }

    /// The limits that are missed, those missed by most first.
    pub fn missed(&self) -> Vec<Headroom> {
        let mut missed: Vec<Headroom> =
            self.headrooms.iter().filter(|one| one.room < 0.0).cloned().collect();
        missed.sort_by(|one, other| one.room.total_cmp(&other.room));
        missed
    }
}

/// Monthly cost by a report, US dollars. Defined here only.
pub fn cost_per_month_usd(report: &Report) -> f64 {
    report.cost.month_usd.as_usd()
}

/// Reads a scenario with settings.
pub type Load<'a> = dyn FnMut(&[Override]) -> Result<ResolvedScenario, Diagnostics> + 'a;

/// Runs units of a scenario, side by side.
pub struct Evaluator<'a> {
    /// Reads the scenario.
    pub load: &'a mut Load<'a>,
    /// Settings of all points.
    pub settings: Vec<Override>,
    /// The knobs.
    pub knobs: Vec<SizeKnob>,
    /// The cases; the first is the traffic by itself.
    pub cases: Vec<Case>,
    /// Seed of replication 0.
    pub first_seed: u64,
    /// Hears of each run of a case, with the number of cases.
    pub finished: &'a (dyn Fn(usize) + Sync),
    /// Runs so far.
    pub known: BTreeMap<Unit, Evaluation>,
}

impl Evaluator<'_> {
    /// The settings of a point, with those that all points have.
    pub fn settings_of(&self, point: &Point) -> Vec<Override> {
        let own = self.knobs.iter().zip(point);
        let own = own.filter_map(|(knob, level)| {
            format!("{}={}", knob.path, knob.values.get(*level)?).parse().ok()
        });
        self.settings.iter().cloned().chain(own).collect()
    }

    /// The seed of a replication.
    pub const fn seed(&self, replication: u32) -> u64 {
        self.first_seed.wrapping_add(replication as u64)
    }

    /// Runs units, and answers with their samples. A setting that the scenario refuses holds nothing.
    pub fn run(&mut self, units: &[Unit]) -> Result<Vec<Sample>, Diagnostics> {
        let mut loaded: BTreeMap<&Point, Vec<ResolvedScenario>> = BTreeMap::new();
        let mut refused: BTreeMap<&Point, Diagnostics> = BTreeMap::new();
        for unit in units {
            if !loaded.contains_key(&unit.point) {
                let settings = self.settings_of(&unit.point);
                let cases = self.cases_with(&settings).unwrap_or_else(|problems| {
                    refused.insert(&unit.point, problems);
                    Vec::new()
                });
                loaded.insert(&unit.point, cases);
            }
        }
        let jobs: Vec<(&ResolvedScenario, u64)> = units
            .iter()
            .flat_map(|unit| {
                let seed = self.seed(unit.replication);
                loaded[&unit.point].iter().map(move |case| (case, seed))
            })
            .collect();
        let (finished, all_cases) = (self.finished, self.cases.len());
        let reports = run_each(&jobs, |(scenario, seed)| {
            let report = sweep::run(scenario, *seed, |_| {});
            finished(all_cases);
            report
        });
        let mut reports = reports.into_iter();
        let mut samples = Vec::new();
        for unit in units {
            let of_unit: Vec<_> = reports.by_ref().take(loaded[&unit.point].len()).collect();
            let evaluation = match refused.get(&unit.point) {
                Some(problems) => refusal(problems),
                None => self.evaluation(of_unit),
            };
            samples.push(Sample {
                cost: evaluation.cost_usd,
                headrooms: evaluation.headrooms.iter().map(|room| room.room).collect(),
            });
            self.known.insert(unit.clone(), evaluation);
        }
        Ok(samples)
    }

    /// Replications of the scenario as it is, without a setting of any knob.
    pub fn unchanged(&mut self, replications: u32) -> Vec<Evaluation> {
        let settings = self.settings.clone();
        (0..replications).map(|replication| self.once(&settings, replication)).collect()
    }

    /// A replication of a point with further settings.
    pub fn with(&mut self, point: &Point, further: &[Override], replication: u32) -> Evaluation {
        let own = self.settings_of(point);
        self.once(&[&own, further].concat(), replication)
    }

    fn once(&mut self, settings: &[Override], replication: u32) -> Evaluation {
        let seed = self.seed(replication);
        match self.cases_with(settings) {
            Err(problems) => refusal(&problems),
            Ok(cases) => {
                let reports = run_each(&cases, |case| sweep::run(case, seed, |_| {}));
                self.evaluation(reports)
            }
        }
    }

    /// The scenario in each case; nothing if it cannot have such settings.
    pub fn scenarios(&mut self, point: &Point) -> Option<Vec<ResolvedScenario>> {
        let settings = self.settings_of(point);
        self.cases_with(&settings).ok()
    }

    fn cases_with(&mut self, settings: &[Override]) -> Result<Vec<ResolvedScenario>, Diagnostics> {
        let mut all = Vec::new();
        for case in self.cases.clone() {
            let settings: Vec<Override> = settings.iter().cloned().chain(case.settings).collect();
            all.push((self.load)(&settings)?);
        }
        Ok(all)
    }

    fn evaluation(&self, reports: Vec<Result<Report, Diagnostics>>) -> Evaluation {
        let reports = match reports.into_iter().collect::<Result<Vec<Report>, _>>() {
            Ok(reports) => reports,
            Err(problems) => return refusal(&problems),
        };
        let cases = self.cases.iter().zip(&reports).enumerate();
        let headrooms = cases.flat_map(|(place, (case, report))| {
            let name = if place == 0 { "" } else { &case.name };
            headrooms(report, name)
        });
        let services = || with_objectives(&reports[0]);
        let p99 = services().filter_map(|one| Some(one.latency.as_ref()?.p99_ms));
        let available = services().filter_map(|one| one.availability_by_requests);
        Evaluation {
            cost_usd: cost_per_month_usd(&reports[0]),
            headrooms: headrooms.collect(),
            p99_ms: p99.reduce(f64::max),
            availability: available.reduce(f64::min),
            simulated_seconds: reports.iter().map(|one| one.run.duration_ms as f64 / 1000.0).sum(),
        }
    }
}

/// A setting that the scenario refuses, and why.
fn refusal(problems: &Diagnostics) -> Evaluation {
    let messages: Vec<String> = problems.iter().map(|one| one.message.clone()).collect();
    let refused = Headroom {
        limit: "the scenario has such a setting".to_owned(),
        value: "refused".to_owned(),
        room: REFUSED,
        because: messages.join("; "),
    };
    Evaluation {
        cost_usd: f64::INFINITY,
        headrooms: vec![refused],
        p99_ms: None,
        availability: None,
        simulated_seconds: 0.0,
    }
}

fn with_objectives(report: &Report) -> impl Iterator<Item = &report::ServiceReport> {
    report.services.iter().filter(|service| {
        let subject = format!("service {}", service.service);
        report.objectives.iter().any(|objective| objective.subject == subject)
    })
}

/// The room of all limits in a report.
pub(crate) fn headrooms(report: &Report, case: &str) -> Vec<Headroom> {
    let suffix = if case.is_empty() { String::new() } else { format!(", {case}") };
    let mut headrooms: Vec<Headroom> = report
        .objectives
        .iter()
        .map(|objective| {
            let figure = match objective.figure.strip_prefix(&*objective.subject) {
                Some(rest) => rest.trim_start().to_owned(),
                None => objective.figure.clone(),
            };
            let limit = format!("{} {figure} {}{suffix}", objective.subject, objective.limit);
            let because = objective.because.clone();
            Headroom { limit, value: objective.value.clone(), room: objective.room(), because }
        })
        .collect();
    let missing = |one: &report::WorkloadReport| one.pods_without_node + one.pods_not_ready;
    let missing: u64 = report.workloads.iter().map(missing).sum();
    // After a fault pods may lie on a node that is gone until they are evicted; what counts then is the objectives.
    if missing > 0 && case.is_empty() {
        let never_ran = sweep::table::never_ran(&[RunSummary::of(report)]);
        headrooms.push(Headroom {
            limit: format!("all pods run at the end{suffix}"),
            value: format!("{missing} do not"),
            room: -1.0 - missing as f64 / 10.0,
            because: never_ran.join("; "),
        });
    }
    headrooms
}
