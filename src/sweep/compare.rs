//! Paired comparison of two sides, run by run: each seed gives both sides the same requests, so a difference is due
//! to the sides and not to chance.

use serde::Serialize;

use super::compared_objectives::{ComparedObjective, objectives};
use super::figures::{Better, FigureName, REQUESTS, Unit};
use super::gate::{FALSE_ALARMS, Filter, is_gated, significant};
use super::interval::{CONFIDENCE, interval, mean, p_value};
use super::measure::{Measured, Measurement, Missed};
use super::waterfall::Waterfall;

/// Version of the JSON format: the minor grows with added fields, the major with changed ones.
const FORMAT_VERSION: &str = "1.4";

/// Minimum number of seeds; with fewer, Student's t is so wide that even a halved speed may not be significant.
const ENOUGH_SEEDS: usize = 5;

/// Comparison of two measurements with the same seeds, pair by pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    format_version: &'static str,
    /// The baseline.
    pub baseline: Side,
    /// The candidate.
    pub candidate: Side,
    /// The seeds with which both were run.
    pub seeds: Vec<u64>,
    /// Confidence of the intervals, 0..1.
    pub confidence: f64,
    /// Differences up to this share of the baseline count as none; for figures that are shares, of the complement to
    /// one if that is smaller.
    pub tolerance: f64,
    /// Upper bound of the probability that a comparison of equal sides reports any gated figure as better or worse.
    pub false_alarms: f64,
    /// Reasons why the sides are not fully comparable.
    pub notes: Vec<String>,
    /// What changes the bill of a month; absent where a kept measurement has no bill.
    pub waterfall: Option<Waterfall>,
    /// The objectives that a side missed with any of its seeds.
    pub objectives: Vec<ComparedObjective>,
    /// Figures that both sides have.
    pub figures: Vec<ComparedFigure>,
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Label: the scenario's file, and the settings made in it.
    pub label: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Fingerprint of the scenario with its files, hexadecimal.
    pub scenario_hash: String,
}

/// One figure on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedFigure {
    /// Name of the figure.
    #[serde(flatten)]
    pub name: FigureName,
    /// Mean of the baseline; absent if a run has none.
    pub baseline: Option<f64>,
    /// Mean of the candidate.
    pub candidate: Option<f64>,
    /// Mean of the paired differences, candidate minus baseline.
    pub difference: Option<f64>,
    /// Confidence interval of the mean difference; absent with one seed.
    pub interval: Option<[f64; 2]>,
    /// Probability of a difference this far beyond the tolerance by chance alone; absent with one seed.
    pub p_value: Option<f64>,
    /// Whether the figure counts for the overall verdict.
    pub is_gated: bool,
    /// Verdict on the difference, corrected for multiple testing.
    pub verdict: Verdict,
    /// Why the candidate missed an objective for this figure that the baseline met; empty if it did not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// Values of the baseline, by seed.
    pub baseline_values: Vec<Option<f64>>,
    /// Values of the candidate, by seed.
    pub candidate_values: Vec<Option<f64>>,
}

/// Verdict on a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No difference, or one within the tolerance.
    Same,
    /// Significantly better, corrected for multiple testing.
    Better,
    /// Significantly worse.
    Worse,
    /// A changed value of a figure without a direction.
    Changed,
    /// A difference that may be due to chance.
    Unclear,
}

impl Comparison {
    /// Compares figure by figure. The measurements must have the same seeds. Differences up to `tolerance`, a share
    /// of the baseline's size, count as none. Figures excluded by `filter` are skipped.
    pub fn new(
        baseline: &Measurement,
        candidate: &Measurement,
        tolerance: f64,
        filter: &Filter,
    ) -> Self {
        let side = |of: &Measurement| Side {
            label: of.label.clone(),
            scenario: of.scenario.clone(),
            scenario_hash: of.scenario_hash.clone(),
        };
        let mut notes = Vec::new();
        let mut figures = Vec::new();
        let leading = [&baseline.leading[..], &candidate.leading].concat();
        for one in baseline.figures.iter().filter(|one| filter.has(&one.name)) {
            match candidate.figures.iter().find(|other| other.name == one.name) {
                Some(other) => {
                    let is_gated = is_gated(&one.name, &leading, filter);
                    let because = because(baseline, candidate, &one.name);
                    let compared = compared(one, other, tolerance, is_gated);
                    figures.push(ComparedFigure { because, ..compared });
                }
                None => one_sided(&one.name, "first", &mut notes),
            }
        }
        for other in candidate.figures.iter().filter(|other| filter.has(&other.name)) {
            if !baseline.figures.iter().any(|one| one.name == other.name) {
                one_sided(&other.name, "second", &mut notes);
            }
        }
        let requests = figures.iter().filter(|one| one.name.figure == REQUESTS);
        let differ = requests.filter(|one| one.baseline_values != one.candidate_values);
        let differ: Vec<&str> = differ.map(|one| one.name.subject.as_str()).collect();
        if !differ.is_empty() {
            notes.push(format!(
                "{}: the sides had different requests, so their other figures are not of the same \
                 traffic",
                differ.join(", ")
            ));
        }
        if baseline.seeds.len() == 1 {
            notes.push("one seed gives no interval: any difference may be chance".to_owned());
        } else if baseline.seeds.len() < ENOUGH_SEEDS {
            let seeds = baseline.seeds.len();
            notes.push(format!(
                "with {seeds} seeds hardly any difference is beyond chance; take {ENOUGH_SEEDS} or more"
            ));
        }
        judge(&mut figures);
        Self {
            format_version: FORMAT_VERSION,
            baseline: side(baseline),
            candidate: side(candidate),
            seeds: baseline.seeds.clone(),
            confidence: CONFIDENCE,
            tolerance,
            false_alarms: FALSE_ALARMS,
            notes,
            waterfall: Waterfall::new(&baseline.bill, &candidate.bill),
            objectives: objectives(baseline, candidate),
            figures,
        }
    }

    /// The gated figures with this verdict.
    pub fn gated(&self, verdict: Verdict) -> impl Iterator<Item = &ComparedFigure> {
        self.figures.iter().filter(move |one| one.is_gated && one.verdict == verdict)
    }

    /// Objectives of both sides that the candidate missed with every seed and the baseline with none.
    pub fn newly_missed(&self) -> impl Iterator<Item = &ComparedObjective> {
        let seeds = self.seeds.len();
        self.objectives.iter().filter(move |one| {
            let candidate = one.candidate.as_ref();
            one.is_in_baseline
                && one.baseline.is_none()
                && candidate.is_some_and(|missed| missed.seeds.len() == seeds)
        })
    }

    /// Whether any figure has this verdict.
    pub fn has(&self, verdict: Verdict) -> bool {
        self.figures.iter().any(|figure| figure.verdict == verdict)
    }
}

/// Notes a subject that only one side has, once for all of its figures.
fn one_sided(name: &FigureName, side: &str, notes: &mut Vec<String>) {
    let note = format!("{}: only the {side} side has it, or has it so", name.subject);
    if !notes.contains(&note) {
        notes.push(note);
    }
}

/// Why the candidate missed an objective for a figure for which the baseline missed none; empty if it did not.
fn because(baseline: &Measurement, candidate: &Measurement, name: &FigureName) -> String {
    let is_it = |one: &&Missed| (&one.subject, &one.figure) == (&name.subject, &name.figure);
    let missed = candidate.missed.iter().find(is_it);
    let missed = missed.filter(|_| !baseline.missed.iter().any(|one| is_it(&one)));
    let Some(missed) = missed else { return String::new() };
    let of = baseline.seeds.len();
    let with = match missed.seeds.len() {
        all if all == of => String::new(),
        some => format!("with {some} of {of} seeds: "),
    };
    format!("{with}{}", only_here(&missed.because, &baseline.missed))
}

/// Those of the reasons that the other side does not have, as these cannot make a difference; all of them if it has
/// each.
fn only_here(because: &str, others: &[Missed]) -> String {
    // The number of requests in brackets may differ.
    let cause = |reason: &str| reason.split(" (").next().unwrap_or_default().to_owned();
    let is_elsewhere = |reason: &&str| {
        others.iter().flat_map(|one| one.because.split("; ")).any(|one| cause(one) == cause(reason))
    };
    let only: Vec<&str> = because.split("; ").filter(|one| !is_elsewhere(one)).collect();
    if only.is_empty() { because.to_owned() } else { only.join("; ") }
}

fn compared(one: &Measured, other: &Measured, tolerance: f64, is_gated: bool) -> ComparedFigure {
    let pairs: Option<Vec<(f64, f64)>> = one
        .values
        .iter()
        .zip(&other.values)
        .map(|(one, other)| Some(((*one)?, (*other)?)))
        .collect();
    let differences: Option<Vec<f64>> =
        pairs.map(|pairs| pairs.iter().map(|(one, other)| other - one).collect());
    let (difference, interval) = match &differences {
        Some(differences) => (mean(differences).map(|by| rounded(by, one)), interval(differences)),
        None => (None, None),
    };
    let negligible = tolerance * size(one.name.unit, one.mean().unwrap_or_default());
    let p_value = differences.as_deref().and_then(|all| p_value(all, negligible));
    let verdict = match &differences {
        Some(all) if all.iter().all(|by| *by == 0.0) => Verdict::Same,
        Some(_) if difference.unwrap_or_default().abs() <= negligible => Verdict::Same,
        // Absent on both sides is no difference; absent on one side is.
        None if one.values == other.values => Verdict::Same,
        // Until all figures are judged together.
        Some(_) | None => Verdict::Unclear,
    };
    ComparedFigure {
        name: one.name.clone(),
        baseline: one.mean(),
        candidate: other.mean(),
        difference,
        interval,
        p_value,
        is_gated,
        verdict,
        because: String::new(),
        baseline_values: one.values.clone(),
        candidate_values: other.values.clone(),
    }
}

/// The reference for relative differences of a figure. An availability that falls from 99.9 to 99.0 % changes by
/// less than a hundredth, but has ten times as many failures.
fn size(unit: Unit, mean: f64) -> f64 {
    match unit {
        Unit::Share => mean.abs().min((1.0 - mean).abs()),
        _ => mean.abs(),
    }
}

/// Suppresses differences due to the order of a floating-point sum.
fn rounded(by: f64, of: &Measured) -> f64 {
    let size = of.mean().unwrap_or_default().abs();
    if by.abs() <= size * 1e-12 { 0.0 } else { by }
}

/// Settles the verdicts of significant figures: the gated ones as one family, all others as another.
fn judge(figures: &mut [ComparedFigure]) {
    for is_gated in [true, false] {
        let mut family: Vec<&mut ComparedFigure> =
            figures.iter_mut().filter(|one| one.is_gated == is_gated).collect();
        let p_values: Vec<Option<f64>> = family.iter().map(|one| one.p_value).collect();
        let significant = significant(&p_values);
        for (figure, significant) in family.iter_mut().zip(significant) {
            if significant && figure.verdict == Verdict::Unclear {
                figure.verdict = direction(figure.name.better, figure.difference);
            }
        }
    }
}

fn direction(better: Better, by: Option<f64>) -> Verdict {
    match (better, by.unwrap_or_default()) {
        (Better::Neither, _) => Verdict::Changed,
        (Better::Lower, by) if by < 0.0 => Verdict::Better,
        (Better::Higher, by) if by > 0.0 => Verdict::Better,
        (Better::Lower | Better::Higher, _) => Verdict::Worse,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::compared_objectives::MissedBy;
    use super::*;

    pub(in super::super) fn measurement(values: &[Option<f64>], better: Better) -> Measurement {
        let name = FigureName {
            subject: "service shop/web".into(),
            figure: "latency p95".into(),
            unit: Unit::Ms,
            better,
        };
        Measurement {
            format_version: "1.0".into(),
            label: "a".into(),
            scenario: "a".into(),
            scenario_hash: "0".into(),
            seeds: (1..=values.len() as u64).collect(),
            leading: vec!["service shop/web".into()],
            objectives: Vec::new(),
            missed: Vec::new(),
            bill: Vec::new(),
            figures: vec![Measured { name, values: values.to_vec() }],
        }
    }

    #[test]
    fn each_objective_that_a_side_misses_is_told_with_its_reason() {
        let missed = |figure: &str, because: &str| Missed {
            subject: "service shop/web".into(),
            figure: figure.into(),
            limit: "<= 300 ms".into(),
            seeds: vec![2],
            because: because.into(),
        };
        let met = measurement(&[Some(1.0), Some(2.0)], Better::Lower);
        let late =
            Measurement { missed: vec![missed("latency p95", "Node a was lost")], ..met.clone() };
        let compare = |one: &Measurement, other: &Measurement| {
            Comparison::new(one, other, 0.0, &Filter::default())
        };
        let of_figure = |one, other| compare(one, other).figures[0].because.clone();
        assert_eq!(of_figure(&met, &late), "with 1 of 2 seeds: Node a was lost");
        assert_eq!(of_figure(&late, &met), "");
        assert_eq!(of_figure(&late, &late), "");
        // What was missed for another figure is no reason of this one.
        let other =
            Measurement { missed: vec![missed("availability", "Node b was lost")], ..met.clone() };
        assert_eq!(of_figure(&met, &other), "");
        // What happened on both sides makes no difference between them.
        let because = "Node b was lost (9 of 10 bad requests); the CPU limit throttled web";
        let throttled = Measurement { missed: vec![missed("latency p95", because)], ..met.clone() };
        assert_eq!(of_figure(&other, &throttled), "with 1 of 2 seeds: the CPU limit throttled web");
        assert_eq!(
            of_figure(
                &other,
                &Measurement {
                    missed: vec![missed("latency p95", "Node b was lost")],
                    ..met.clone()
                }
            ),
            "with 1 of 2 seeds: Node b was lost"
        );

        let by = |because: &str| Some(MissedBy { seeds: vec![2], because: because.into() });
        let told = |one: &Measurement, other: &Measurement| {
            let objectives = compare(one, other).objectives.into_iter();
            let told = objectives.map(|one| (one.figure, one.baseline, one.candidate));
            told.collect::<Vec<_>>()
        };
        let (p95, availability) = ("latency p95".to_owned(), "availability".to_owned());
        let [lost_a, lost_b] = ["Node a was lost", "Node b was lost"].map(by);
        assert_eq!(told(&met, &met), []);
        assert_eq!(told(&met, &late), [(p95.clone(), None, lost_a.clone())]);
        assert_eq!(told(&late, &late), [(p95.clone(), lost_a.clone(), lost_a.clone())]);
        assert_eq!(told(&late, &other), [(availability, None, lost_b), (p95, lost_a, None)]);
    }

    fn verdict(one: &[f64], other: &[f64], better: Better, tolerance: f64) -> Verdict {
        let side = |values: &[f64]| {
            measurement(&values.iter().copied().map(Some).collect::<Vec<_>>(), better)
        };
        Comparison::new(&side(one), &side(other), tolerance, &Filter::default()).figures[0].verdict
    }

    #[test]
    fn pairs_tell_a_small_difference_that_means_would_hide() {
        // The seeds differ far more than the sides.
        let (one, other) = ([100.0, 200.0, 300.0, 400.0], [98.0, 197.9, 298.1, 398.0]);
        assert_eq!(verdict(&one, &other, Better::Lower, 0.0), Verdict::Better);
        assert_eq!(verdict(&one, &other, Better::Higher, 0.0), Verdict::Worse);
        assert_eq!(verdict(&one, &other, Better::Neither, 0.0), Verdict::Changed);
        assert_eq!(verdict(&one, &other, Better::Lower, 0.01), Verdict::Same);
    }

    #[test]
    fn the_tolerance_of_a_share_is_one_of_what_is_missing_to_all() {
        let verdict = |one: f64, other: f64| {
            let side = |value: f64| {
                let mut side =
                    measurement(&[Some(value), Some(value), Some(value)], Better::Higher);
                side.figures[0].name.unit = Unit::Share;
                side
            };
            Comparison::new(&side(one), &side(other), 0.01, &Filter::default()).figures[0].verdict
        };
        assert_eq!(verdict(0.999, 0.990), Verdict::Worse);
        assert_eq!(verdict(1.0, 0.9999), Verdict::Worse);
        assert_eq!(verdict(0.999, 0.998_995), Verdict::Same);
        assert_eq!(verdict(0.01, 0.009_95), Verdict::Same);
    }

    #[test]
    fn what_may_be_chance_is_unclear() {
        assert_eq!(
            verdict(&[1.0, 2.0, 3.0], &[2.0, 1.0, 4.0], Better::Lower, 0.0),
            Verdict::Unclear
        );
        assert_eq!(verdict(&[1.0], &[2.0], Better::Lower, 0.0), Verdict::Unclear);
        assert_eq!(verdict(&[1.0], &[1.0], Better::Lower, 0.0), Verdict::Same);
    }

    #[test]
    fn a_figure_that_one_side_lacks_is_unclear_and_one_that_both_lack_is_the_same() {
        let none = measurement(&[None, None], Better::Lower);
        let some = measurement(&[Some(1.0), Some(2.0)], Better::Lower);
        assert_eq!(
            Comparison::new(&none, &some, 0.0, &Filter::default()).figures[0].verdict,
            Verdict::Unclear
        );
        assert_eq!(
            Comparison::new(&none, &none, 0.0, &Filter::default()).figures[0].verdict,
            Verdict::Same
        );
    }

    #[test]
    fn a_kept_measurement_reads_back() {
        let kept = measurement(&[Some(1.5), None], Better::Lower);
        assert_eq!(Measurement::parse(kept.json().as_bytes()), Ok(kept.clone()));
        let odd = Measurement { seeds: vec![1], ..kept.clone() };
        assert!(Measurement::parse(odd.json().as_bytes()).is_err());
        let newer = Measurement { format_version: "2.0".into(), ..kept };
        assert!(Measurement::parse(newer.json().as_bytes()).is_err());
    }
}
