//! Compares situations measured event by event on a real cluster with the same situations in a simulation: the
//! duration of each step, as a distribution. Schema and rules of comparison: `docs/conform-real-cluster.md`.

mod balance;
mod hpa;
mod images;
mod load;
mod node_loss;
mod pod_timeline;
mod probes;
mod quantiles;
mod recorded;
mod restarts;
mod rollouts;
mod set_up;
mod sidecar;
mod start_stop;

use std::fmt;

use serde::Serialize;

pub use quantiles::Quantile;
use quantiles::Sample;
pub use recorded::Recording;

use super::{Outcome, Report};

/// Relative tolerance of medians.
const MEDIAN_RATIO: f64 = 0.2;
/// Absolute tolerance of medians in seconds.
const MEDIAN_SECONDS: f64 = 0.2;
/// Relative tolerance of 90th percentiles.
const P90_RATIO: f64 = 0.35;
/// Absolute tolerance of 90th percentiles in seconds.
const P90_SECONDS: f64 = 0.5;
/// Minimum number of values for comparing 90th percentiles.
const P90_LEAST: usize = 10;

/// All situations: name, required tables, and replay function.
const SITUATIONS: [Situation; 9] = [
    Situation { name: "start-stop", tables: &["start-stop"], steps: start_stop::steps },
    Situation { name: "probes", tables: &["probes"], steps: probes::steps },
    Situation { name: "sidecar", tables: &["sidecar"], steps: sidecar::steps },
    Situation { name: "restarts", tables: &["restarts"], steps: restarts::steps },
    Situation { name: "rollouts", tables: &["rollouts"], steps: rollouts::steps },
    Situation {
        name: "node-loss",
        tables: &["node-loss", "node-loss-series"],
        steps: node_loss::steps,
    },
    Situation { name: "hpa", tables: &["hpa", "hpa-metrics"], steps: hpa::steps },
    Situation { name: "balance", tables: &["balance"], steps: balance::steps },
    Situation { name: "images", tables: &["image-requests", "image-events"], steps: images::steps },
];

/// A kind of situation.
struct Situation {
    name: &'static str,
    tables: &'static [&'static str],
    steps: fn(&Recording) -> Result<Vec<Step>, String>,
}

/// A step with its measured and its simulated values.
struct Step {
    /// Name, such as `n16: bound to sandbox asked for`.
    name: String,
    unit: Unit,
    recorded: Vec<f64>,
    simulated: Vec<f64>,
}

/// Unit of a step's values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Duration.
    Seconds,
    /// Number of requests that failed during the step.
    FailedRequests {
        /// Request rate per second.
        rps: f64,
    },
    /// Number of pods.
    Pods,
    /// Percentage.
    Percent,
}

impl Unit {
    /// Absolute tolerances of medians and 90th percentiles; for requests, the number sent in that time.
    const fn tolerances(self) -> (f64, f64) {
        match self {
            Self::Seconds => (MEDIAN_SECONDS, P90_SECONDS),
            Self::FailedRequests { rps } => (MEDIAN_SECONDS * rps, P90_SECONDS * rps),
            Self::Pods => (0.5, 1.0),
            Self::Percent => (2.0, 5.0),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seconds => "s",
            Self::FailedRequests { .. } => "failed",
            Self::Pods => "pods",
            Self::Percent => "%",
        })
    }
}

/// Result of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepOutcome {
    /// Name of its situation.
    pub situation: String,
    /// Name of the step.
    pub step: String,
    /// Unit of its values.
    pub unit: Unit,
    /// True if the simulated values agree with the measured ones.
    pub agreed: bool,
    /// Number of measured values.
    pub recorded: usize,
    /// Number of simulated values.
    pub simulated: usize,
    /// The median and, with enough values, the 90th percentile.
    pub quantiles: Vec<QuantileOutcome>,
}

/// A quantile of a step, measured and simulated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantileOutcome {
    /// Probability of the quantile, 0 to 1.
    pub p: f64,
    /// Measured quantile.
    pub recorded: Quantile,
    /// Simulated quantile.
    pub simulated: Quantile,
    /// Allowed difference.
    pub tolerance: f64,
    /// True if the difference is within the tolerance, or the confidence intervals overlap.
    pub agreed: bool,
}

/// Results of all steps.
pub type RealClusterReport = Report<StepOutcome>;

/// Replays all situations of a folder's recordings.
pub fn check(recording: &Recording) -> Result<Vec<StepOutcome>, String> {
    let mut outcomes = Vec::new();
    for situation in SITUATIONS {
        if !situation.tables.iter().all(|table| recording.has(table)) {
            continue;
        }
        let steps = (situation.steps)(recording)?;
        // What was never measured cannot disagree.
        let measured = steps.into_iter().filter(|step| !step.recorded.is_empty());
        outcomes.extend(measured.map(|step| judge(situation.name, step)));
    }
    if outcomes.is_empty() {
        let tables: Vec<&str> = SITUATIONS.iter().flat_map(|one| one.tables).copied().collect();
        return Err(format!("holds no recorded situation; expected one of {}", tables.join(", ")));
    }
    Ok(outcomes)
}

fn judge(situation: &str, step: Step) -> StepOutcome {
    let (recorded, simulated) = (Sample::new(step.recorded), Sample::new(step.simulated));
    let (of_median, of_p90) = step.unit.tolerances();
    let mut quantiles = vec![quantile(0.5, &recorded, &simulated, MEDIAN_RATIO, of_median)];
    if recorded.len() >= P90_LEAST {
        quantiles.push(quantile(0.9, &recorded, &simulated, P90_RATIO, of_p90));
    }
    StepOutcome {
        situation: situation.to_owned(),
        step: step.name,
        unit: step.unit,
        agreed: quantiles.iter().all(|one| one.agreed),
        recorded: recorded.len(),
        simulated: simulated.len(),
        quantiles,
    }
}

fn quantile(
    p: f64,
    recorded: &Sample,
    simulated: &Sample,
    ratio: f64,
    least: f64,
) -> QuantileOutcome {
    let (recorded, simulated) = (recorded.quantile(p), simulated.quantile(p));
    let tolerance = (ratio * recorded.value).max(least);
    let is_close = (recorded.value - simulated.value).abs() <= tolerance;
    let is_open = simulated.greatest >= recorded.least && simulated.least <= recorded.greatest;
    QuantileOutcome { p, recorded, simulated, tolerance, agreed: is_close || is_open }
}

impl Outcome for StepOutcome {
    fn is_agreement(&self) -> bool {
        self.agreed
    }
}

impl fmt::Display for StepOutcome {
    /// One line, with the quantiles of both and their intervals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.agreed { "agreed    " } else { "disagreed " };
        write!(f, "{word} {} {}", self.situation, self.step)?;
        write!(f, " ({} measured, {} simulated):", self.recorded, self.simulated)?;
        for (position, one) in self.quantiles.iter().enumerate() {
            let comma = if position > 0 { ";" } else { "" };
            let (recorded, simulated) = (one.recorded, one.simulated);
            let (p, unit) = (one.p * 100.0, self.unit);
            write!(f, "{comma} p{p:.0} {recorded} {unit} measured, {simulated} {unit} simulated")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(recorded: &[f64], simulated: &[f64]) -> StepOutcome {
        let (recorded, simulated) = (recorded.into(), simulated.into());
        let step = Step { name: "step".into(), unit: Unit::Seconds, recorded, simulated };
        judge("situation", step)
    }

    #[test]
    fn a_step_agrees_if_its_median_is_close_by_a_part_or_by_an_amount() {
        assert!(outcome(&[10.0; 30], &[11.9; 30]).agreed, "a fifth");
        assert!(!outcome(&[10.0; 30], &[12.1; 30]).agreed);
        assert!(outcome(&[0.1; 30], &[0.29; 30]).agreed, "a fifth of a second");
        assert!(!outcome(&[0.1; 30], &[0.31; 30]).agreed);
    }

    #[test]
    fn a_wide_spread_of_what_was_measured_leaves_its_quantiles_open() {
        let spread: Vec<f64> = (0..10).map(f64::from).collect();
        assert!(outcome(&spread, &[6.0; 30]).quantiles[0].agreed);
        assert!(!outcome(&spread, &[9.5; 30]).quantiles[0].agreed);
        assert_eq!(outcome(&spread[..9], &[4.0; 30]).quantiles.len(), 1, "too few for a p90");
    }
}
