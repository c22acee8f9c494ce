//! The per-run data kept by a sweep: everything its table needs, small enough for a file per run.

use serde::{Deserialize, Serialize};

use super::figures::{Figure, figures};
use super::measure::foremost;
use report::Report;

/// Summary of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSummary {
    /// Name of the scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Fingerprint of the run, hexadecimal.
    pub digest: String,
    /// Subjects of the services that have objectives; if none has, of those that clients ask.
    pub leading: Vec<String>,
    /// The objectives.
    pub objectives: Vec<ObjectiveSummary>,
    /// The workloads.
    pub workloads: Vec<WorkloadSummary>,
    /// Cost of a month, US dollars.
    pub month_usd: f64,
    /// All figures.
    pub figures: Vec<Figure>,
}

/// An objective of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveSummary {
    /// `service shop/web latency p95`.
    pub name: String,
    /// Whether it was met.
    pub met: bool,
    /// Headroom as a share of the limit; for a share, of the limit's complement to one. Absent for costs.
    pub room: Option<f64>,
}

/// Problems of a workload's pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSummary {
    /// `Deployment/shop/web`.
    pub workload: String,
    /// Pods that had no node at the end.
    pub without_node: u64,
    /// Further pods that were not ready at the end.
    pub not_ready: u64,
    /// Restarts of containers.
    pub restarts: u64,
    /// Time that pods waited for a node, summed, whole seconds.
    pub pending_seconds: u64,
}

impl RunSummary {
    /// That of a run.
    pub fn of(report: &Report) -> Self {
        Self {
            scenario: report.run.scenario.clone(),
            seed: report.run.seed,
            digest: report.run.digest.clone(),
            leading: foremost(report),
            objectives: report.objectives.iter().map(objective).collect(),
            workloads: report.workloads.iter().map(workload).collect(),
            month_usd: report.cost.month_usd.as_usd(),
            figures: figures(report),
        }
    }
}

fn objective(one: &report::ObjectiveResult) -> ObjectiveSummary {
    let name = told(&one.subject, &one.figure);
    ObjectiveSummary { name, met: one.met, room: (one.subject != "cost").then(|| one.room()) }
}

fn workload(one: &report::WorkloadReport) -> WorkloadSummary {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds of a run, never negative"
    )]
    let pending_seconds = one.pending_pod_seconds.round() as u64;
    WorkloadSummary {
        workload: one.workload.clone(),
        without_node: one.pods_without_node,
        not_ready: one.pods_not_ready,
        restarts: one.restarts,
        pending_seconds,
    }
}

/// A figure with its subject, said once.
pub(crate) fn told(subject: &str, figure: &str) -> String {
    match figure.strip_prefix(subject) {
        Some(rest) if rest.starts_with(' ') => figure.to_owned(),
        _ => format!("{subject} {figure}"),
    }
}
