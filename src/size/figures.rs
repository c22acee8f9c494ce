//! Figures of a setting over several runs.

use serde::Serialize;

use super::evaluate::{Evaluation, Headroom};

/// Figures of a setting over the seeds of the race.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// US dollars a month, mean.
    pub cost_per_month_usd: f64,
    /// Largest 99th percentile of the services with objectives, milliseconds; absent without answers.
    pub p99_ms: Option<f64>,
    /// Smallest availability of the services with objectives, 0 to 1.
    pub availability: Option<f64>,
    /// Least room to each limit, in the order of the objectives.
    #[serde(rename = "rooms")]
    pub headrooms: Vec<Headroom>,
    /// Number of runs.
    pub runs: usize,
}

/// Means and worst values of runs of one setting.
pub fn figures<'a>(evaluations: impl Iterator<Item = &'a Evaluation>) -> Figures {
    let mut figures = Figures::default();
    for evaluation in evaluations {
        figures.runs += 1;
        let weight = 1.0 / figures.runs as f64;
        figures.cost_per_month_usd += (evaluation.cost_usd - figures.cost_per_month_usd) * weight;
        for room in &evaluation.headrooms {
            match figures.headrooms.iter_mut().find(|one| one.limit == room.limit) {
                Some(known) if known.room <= room.room => {}
                Some(known) => *known = room.clone(),
                None => figures.headrooms.push(room.clone()),
            }
        }
        figures.p99_ms = larger(figures.p99_ms, evaluation.p99_ms);
        let unavailable =
            larger(figures.availability.map(|one| -one), evaluation.availability.map(|one| -one));
        figures.availability = unavailable.map(|one| -one);
    }
    figures
}

fn larger(known: Option<f64>, new: Option<f64>) -> Option<f64> {
    match (known, new) {
        (Some(known), Some(new)) => Some(known.max(new)),
        (known, new) => known.or(new),
    }
}
