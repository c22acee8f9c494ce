//! The section `provenance` of a starter scenario.

use std::fmt::{self, Write as _};

use super::yaml::scalar;

/// The kinds of settings that were guessed.
pub(super) struct Guesses {
    pub(super) has_pools: bool,
    pub(super) has_taints: bool,
    pub(super) has_spot_share: bool,
    pub(super) has_applications: bool,
    pub(super) has_gates: bool,
    /// Whether the meaning of custom metrics is inferred from their names.
    pub(super) has_metrics: bool,
    /// Whether some applications have no traces.
    pub(super) has_untraced: bool,
    /// Whether lengths of prompts and answers are guessed.
    pub(super) has_models: bool,
    pub(super) has_batch: bool,
    pub(super) has_ingress: bool,
    pub(super) has_traffic: bool,
    /// Whether some Services were given clients only because no caller is known.
    pub(super) has_callers_unknown: bool,
    /// Whether calls were inferred from addresses in the environment.
    pub(super) has_calls: bool,
}

impl Guesses {
    /// Writes the section `provenance`, from which reports name guesses, with the settings measured by traces.
    pub(super) fn write(&self, out: &mut String, measured: &[String]) -> fmt::Result {
        let guessed = [
            (self.has_pools, "cluster.nodePools[*].instanceType"),
            (self.has_pools, "cluster.nodePools[*].count"),
            (self.has_taints, "cluster.nodePools[*].taints[*].key"),
            (self.has_spot_share, "cluster.autoscaler.karpenter.spotShare"),
            (self.has_applications || self.has_models, "workloads[*].app.imagePull"),
            (self.has_applications, "workloads[*].app.warmUp"),
            (self.has_applications, "workloads[*].app.warmUpCpuMilli"),
            (self.has_gates, "workloads[*].app.readinessGates"),
            (self.has_applications, "workloads[*].requests.concurrency"),
            (self.has_untraced, "workloads[*].requests.cpuTime"),
            (self.has_untraced, "workloads[*].requests.waitTime"),
            (self.has_calls, "workloads[*].requests.calls[*].service"),
            (self.has_models, "workloads[*].requests.llm.promptTokens"),
            (self.has_models, "workloads[*].requests.llm.outputTokens"),
            (self.has_models, "workloads[*].requests.llm.load.gigabytesPerSecond"),
            (self.has_batch, "workloads[*].app.runsFor"),
            (self.has_metrics, "metrics.custom[*].measure"),
            (self.has_ingress, "ingress[*].load"),
            (self.has_callers_unknown, "traffic[*].service"),
            (self.has_traffic, "traffic[*].load"),
        ];
        if !guessed.iter().any(|(is_there, _)| *is_there) && measured.is_empty() {
            return Ok(());
        }
        out.write_str(
            "
# The settings above that are guesses: reports name them, and `wavetank run --doubts` shows the effect of each on the
# results. Move a setting to `measured` when you have measured it, and remove it when you know it.
provenance:
",
        )?;
        if !measured.is_empty() {
            writeln!(out, "  measured:      # by traces")?;
        }
        for setting in measured {
            writeln!(out, "    - {}", scalar(setting))?;
        }
        if guessed.iter().any(|(is_there, _)| *is_there) {
            writeln!(out, "  assumed:")?;
        }
        for (_, setting) in guessed.iter().filter(|(is_there, _)| *is_there) {
            writeln!(out, "    - {}", scalar(setting))?;
        }
        Ok(())
    }
}
