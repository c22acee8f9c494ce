//! Simulated pods against the exact results of queueing theory: a part of the table, with a fixed seed.
//! `cargo bench --bench queueing_table` makes all of it.

use crate::theory::{Model, models};
use rayon::prelude::*;

/// A part of the table that has every kind of model, up to 100 slots.
fn selected() -> Vec<Model> {
    let wanted = |model: &Model| {
        let has = |name: &str, values: &[&str]| {
            model.parameters.get(name).is_none_or(|value| values.contains(&value.as_str()))
        };
        match model.name.as_str() {
            "M/M/c" => has("c", &["1", "3", "10", "100"]) && has("rho", &["0.5", "0.8"]),
            "M/M/c/c" => has("c", &["5", "50"]) && has("rho", &["0.8"]),
            "M/M/1/K" | "M/M/c/K" => has("K", &["5", "16"]) && has("rho", &["0.5", "0.9"]),
            "M/G/1 FCFS" | "M/G/1 PS" => has("rho", &["0.5"]) && has("cs2", &["0.0", "0.5", "2.0"]),
            "M/H2/1 FCFS" => has("rho", &["0.5"]),
            _ => has("rho", &["0.5", "0.8"]),
        }
    };
    let without_rarest = |mut model: Model| {
        // One in a thousand takes more requests to know.
        model.metrics.retain(|(name, _)| !name.ends_with("p999"));
        model
    };
    models().into_iter().filter(wanted).map(without_rarest).collect()
}

/// The nearer to saturation, the longer the queue remembers; and the more slots, the less the wait is of
/// the whole.
fn requests(model: &Model) -> f64 {
    let slack = (1.0 - model.utilization()).max(0.05);
    if model.name.ends_with("/K") || model.name == "M/M/c/c" {
        150_000.0
    } else {
        (12_000.0 / (slack * slack)).clamp(100_000.0, 300_000.0)
    }
}

#[test]
fn simulated_pods_agree_with_queueing_theory() {
    let compared: Vec<_> =
        selected().par_iter().flat_map_iter(|model| model.compare(requests(model))).collect();
    assert!(compared.len() >= 150, "only {} rows", compared.len());
    let outside: Vec<String> = compared
        .iter()
        .filter(|row| !row.agrees())
        .map(|row| {
            let [exact, simulated, half_width] = [row.exact, row.simulated, row.half_width];
            format!("{}: exact {exact}, simulated {simulated} +- {half_width}", row.text)
        })
        .collect();
    assert!(outside.is_empty(), "{} of {} rows: {outside:#?}", outside.len(), compared.len());
    let mut errors: Vec<f64> = compared.iter().map(|row| row.relative_error().abs()).collect();
    errors.sort_unstable_by(f64::total_cmp);
    assert!(errors[errors.len() / 2] < 0.01, "median error {}", errors[errors.len() / 2]);
    // Intervals must be narrow, or the comparison says nothing.
    let narrow = compared.iter().filter(|row| row.relative_half_width < 0.08).count();
    assert!(narrow * 10 >= compared.len() * 9, "{narrow} of {}", compared.len());
}

/// The comparison must be able to fail: pods that are 7 % slower are noticed in most models.
#[test]
fn a_wrong_service_time_is_noticed() {
    let slower: Vec<Model> = selected()
        .into_iter()
        .filter(|model| model.name == "M/M/c")
        .map(|mut model| {
            model.metrics.iter_mut().for_each(|(_, exact)| *exact *= 0.93);
            model
        })
        .collect();
    let is_noticed = |model: &&Model| model.compare(150_000.0).iter().any(|row| !row.agrees());
    let noticed = slower.par_iter().filter(is_noticed).count();
    assert!(noticed * 4 >= slower.len() * 3, "{noticed} of {}", slower.len());
}
