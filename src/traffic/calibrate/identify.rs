//! Which parameters of a fit the measured rows do not tell: with twice or half as much, and the others fitted anew, the
//! rows are met as well.

use serde::Serialize;

use super::{Bench, badness, simplex};

/// Names of the parameters of a web service, in the order in which a fit has them; the last is not fitted where it was
/// measured.
const NAMES: [&str; 3] = ["waitTime", "cpuTime.cv", "cpuTime.mean"];
/// The logarithm of twice as much.
const TWICE: f64 = std::f64::consts::LN_2;
/// 95 % of chi-square with one degree of freedom: twice the logarithm of a ratio of likelihoods above this is no chance.
const CHANCE: f64 = 3.84;
/// Errors smaller than half a percent are those of a simulation of so many requests.
const LEAST_BADNESS: f64 = 0.005 * 0.005;
/// A parameter that goes with another by so much makes up for it, as a logarithm.
const MOVES: f64 = 0.1;

/// A parameter that what was measured does not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotIdentifiable {
    /// Its name under `requests`.
    pub parameter: String,
    /// Why not.
    pub reason: String,
}

/// What was fitted with a number of workers.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub workers: u32,
    pub parameters: Vec<f64>,
    pub badness: f64,
}

/// The parameters that rows do not tell; the candidates are in order, the best first, and the bench has its workers.
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
                "{} workers fit as well as each other: at these loads hardly more requests were under way at once, or the \
                 other parameters make up for it",
                numbers.join(", ")
            ),
        });
    }
    let fitted = best.parameters.len().min(NAMES.len());
    for (axis, name) in NAMES.iter().enumerate().take(fitted) {
        let mut ways = Vec::new();
        for (step, word) in [(-TWICE, "half"), (TWICE, "twice")] {
            let (point, value) = fit_without(bench, &best.parameters, axis, step, evaluations / 3);
            if is_as_good(value) {
                let mut alone = best.parameters.clone();
                alone[axis] += step;
                let is_flat = is_as_good(badness(bench, &bench.model(&alone)));
                ways.push((word, is_flat, point));
            }
        }
        if let Some(reason) = reason(&ways, &best.parameters, axis) {
            found.push(NotIdentifiable { parameter: (*name).to_owned(), reason });
        }
    }
    found
}

/// The best of the other parameters where this one is so much more, and how wrong that is.
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

/// Why a parameter cannot be told, in words; nothing if it can.
fn reason(ways: &[(&str, bool, Vec<f64>)], best: &[f64], axis: usize) -> Option<String> {
    if ways.is_empty() {
        return None;
    }
    let words: Vec<&str> = ways.iter().map(|(word, _, _)| *word).collect();
    let much = format!("{} as much fits as well", words.join(" or "));
    if ways.iter().all(|(_, is_flat, _)| *is_flat) {
        return Some(format!(
            "{much}, whatever the others are: the measured figures hardly depend on it"
        ));
    }
    let moved = |at: usize| {
        let by = ways.iter().map(|(_, _, point)| (point[at] - best[at]).abs());
        at != axis && by.fold(0.0, f64::max) >= MOVES
    };
    let others: Vec<&str> = NAMES
        .iter()
        .enumerate()
        .take(best.len())
        .filter(|(at, _)| moved(*at))
        .map(|(_, name)| *name)
        .collect();
    Some(format!("{much} if {} goes with it: the one makes up for the other", others.join(" and ")))
}

/// Whether a fit meets so many rows as well as the best one, as far as chance can tell.
fn is_as_good(rows: f64, best: f64, other: f64) -> bool {
    let ratio = other.max(LEAST_BADNESS) / best.max(LEAST_BADNESS);
    // Figures of one row go together, so that a row counts as one observation.
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
