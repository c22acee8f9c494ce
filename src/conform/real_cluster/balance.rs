//! Requests to five pods on new and on kept connections: number of pods without any, and evenness of the distribution.

use serde_json::json;

use super::load::{fields, services};
use super::recorded::Recording;
use super::set_up::{APPLIED_AT, PreparedCase, deployment};
use super::{Step, Unit};
use engine::{SimDuration, SimTime};

/// Number of simulations of each case.
const RUNS: u64 = 100;
/// Length of the load.
const LENGTH: SimDuration = SimDuration::from_secs(10);
/// Time by which all pods are up.
const UP_BY: SimDuration = SimDuration::from_secs(20);

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let object = deployment("bal", &recording.case("cpu", "bal")?["deployment"]);
    let begins = APPLIED_AT + UP_BY;
    let mut steps = Vec::new();
    for (service, mode) in [("new", "new"), ("kept", "keepalive")] {
        let steps_at = json!([{ "at": begins, "rps": 100 }]);
        let load = json!({ "pattern": "step", "steps": steps_at });
        let mut further = fields(&load, "poisson");
        // The other Service gets no traffic.
        for row in further["traffic"].as_array_mut().into_iter().flatten() {
            if row["service"] != format!("default/{service}") {
                row["load"] = json!({ "pattern": "constant", "rps": 0 });
            }
        }
        let set_up = PreparedCase::with(&object, &services(&object), further, begins + LENGTH)?;
        let shares = set_up.runs(RUNS, |mut simulation| {
            simulation.run_until(SimTime::ZERO + begins + LENGTH);
            Ok(simulation.requests_taken())
        })?;
        let rows = recording.rows("balance").iter().filter(|row| row.text("mode") == mode);
        let recorded: Vec<Vec<u64>> = rows
            .map(|row| row.text("per_pod").split(' ').filter_map(|one| one.parse().ok()).collect())
            .collect();
        let of_all = |figure: fn(&[u64]) -> f64, all: &[Vec<u64>]| {
            all.iter().map(|shares| figure(shares)).collect()
        };
        for (name, unit, figure) in [
            ("pods without a request", Unit::Pods, idle as fn(&[u64]) -> f64),
            ("the busiest pod's part", Unit::Percent, busiest),
        ] {
            steps.push(Step {
                name: format!("{mode}: {name}"),
                unit,
                recorded: of_all(figure, &recorded),
                simulated: of_all(figure, &shares),
            });
        }
    }
    Ok(steps)
}

fn idle(shares: &[u64]) -> f64 {
    shares.iter().filter(|share| **share == 0).count() as f64
}

fn busiest(shares: &[u64]) -> f64 {
    let all: u64 = shares.iter().sum();
    100.0 * shares.iter().max().copied().unwrap_or(0) as f64 / all.max(1) as f64
}
