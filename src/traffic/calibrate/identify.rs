//! Identifiability: which parameters the measured rows do not determine, because doubling or halving them and refitting
//! the others gives an equally good fit.

use serde::Serialize;

use super::{Bench, badness, simplex};

/// Parameters of a web service, in the order of a fit; the last is not fitted if it was measured.
const NAMES: [&str; 3] = ["waitTime", "cpuTime.cv", "cpuTime.mean"];
/// The logarithm of 2.
const TWICE: f64 = std::f64::consts::LN_2;
/// 95 % quantile of chi-square with one degree of freedom: twice a log-likelihood ratio above this is significant.
const CHANCE: f64 = 3.84;
/// Errors below half a percent are simulation noise at this number of requests.
const LEAST_BADNESS: f64 = 0.005 * 0.005;
/// A parameter that moves by more than this (as a logarithm) compensates for another.
const MOVES: f64 = 0.1;

/// A parameter that the measurements do not determine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotIdentifiable {
    /// Its name under `requests`.
    pub parameter: String,
    /// The reason.
    pub reason: String,
}

/// A fit with a given number of workers.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub workers: u32,
    pub parameters: Vec<f64>,
    pub badness: f64,
}

/// The parameters that the rows do not determine; the candidates are ordered best first, and the bench uses the first
/// one's workers.
pub(super) fn not_identifiable(
    bench: &dyn Bench,
    candidates: &[Candidate],
    evaluations: usize,
) -> Vec<NotIdentifiable> {
    let Some(best) = candidates.first() else { return Vec::new() };
    let rows = bench.rows().iter().filter(|row| !row.held_out).count() as f64;
    let is_as_good = |other: f64| is_as_good(rows, best.badness, other);
    let mut found = Vec::new();
    let mut as_good: Vec<u32> =
        candidates.iter().filter(|one| is_as_good(one.badness)).map(|one| one.workers).collect();
    if as_good.len() > 1 {
        as_good.sort_unstable();
        let numbers: Vec<String> = as_good.iter().map(ToString::to_string).collect();
        found.push(NotIdentifiable {
            parameter: "concurrency".into(),
            reason: format!(
                "{} workers fit equally well: at these loads hardly more requests were in progress at once, or the \
                 other parameters compensate",
                numbers.join(", ")
            ),
        });
    }
    let fitted = best.parameters.len().min(NAMES.len());
    for (axis, name) in NAMES.iter().enumerate().take(fitted) {
        let mut branches = Vec::new();
        for (step, word) in [(-TWICE, "half"), (TWICE, "twice")] {
            let (point, value) = fit_without(bench, &best.parameters, axis, step, evaluations / 3);
            if is_as_good(value) {
                let mut alone = best.parameters.clone();
                alone[axis] += step;
                let is_flat = is_as_good(badness(bench, &bench.model(&alone)));
                branches.push((word, is_flat, point));
            }
        }
        if let Some(reason) = reason(&branches, &best.parameters, axis) {
            found.push(NotIdentifiable { parameter: (*name).to_owned(), reason });
        }
    }
    found
}

/// The best fit of the other parameters with this one shifted, and its error.
fn fit_without(
    bench: &dyn Bench,
    best: &[f64],
    axis: usize,
    step: f64,
    evaluations: usize,
) -> (Vec<f64>, f64) {
    let whole = |others: &[f64]| {
        let mut point = others.to_vec();
        point.insert(axis, best[axis] + step);
        point
    };
    let mut start = best.to_vec();
    start.remove(axis);
    let value = |others: &[f64]| badness(bench, &bench.model(&whole(others)));
    let (others, value) = simplex::minimize(&start, 0.3, evaluations.max(8), value);
    (whole(&others), value)
}

/// Explains why a parameter is not identifiable; `None` if it is.
fn reason(branches: &[(&str, bool, Vec<f64>)], best: &[f64], axis: usize) -> Option<String> {
    if branches.is_empty() {
        return None;
    }
    let words: Vec<&str> = branches.iter().map(|(word, _, _)| *word).collect();
    let much = format!("{} as much fits equally well", words.join(" or "));
    if branches.iter().all(|(_, is_flat, _)| *is_flat) {
        return Some(format!(
            "{much}, regardless of the others: the measurements hardly depend on it"
        ));
    }
    let moved = |at: usize| {
        let by = branches.iter().map(|(_, _, point)| (point[at] - best[at]).abs());
        at != axis && by.fold(0.0, f64::max) >= MOVES
    };
    let others: Vec<&str> = NAMES
        .iter()
        .enumerate()
        .take(best.len())
        .filter(|(at, _)| moved(*at))
        .map(|(_, name)| *name)
        .collect();
    Some(format!("{much} together with {}: they compensate each other", others.join(" and ")))
}

/// Whether a fit is statistically as good as the best one.
fn is_as_good(rows: f64, best: f64, other: f64) -> bool {
    let ratio = other.max(LEAST_BADNESS) / best.max(LEAST_BADNESS);
    // The figures of a row are correlated, so a row counts as one observation.
    rows * libm::log(ratio) < CHANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_is_as_good_as_the_best_within_chance_which_is_less_the_more_rows_there_are() {
        // exp(3.84 / 10) = 1.468, exp(3.84 / 40) = 1.101.
        for (rows, within, beyond) in [(10.0, 1.46, 1.48), (40.0, 1.09, 1.11)] {
            assert!(is_as_good(rows, 0.01, 0.01 * within), "{rows} rows");
            assert!(!is_as_good(rows, 0.01, 0.01 * beyond), "{rows} rows");
        }
    }

    #[test]
    fn errors_below_half_a_percent_tell_nothing() {
        assert!(is_as_good(1e6, 1e-9, LEAST_BADNESS));
        assert!(!is_as_good(1e6, 1e-9, 1.01 * LEAST_BADNESS));
    }
}
