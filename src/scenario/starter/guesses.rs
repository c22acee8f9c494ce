//! The section `provenance` of a starter scenario.

use std::fmt::{self, Write as _};

use super::yaml::scalar;

/// What of a scenario was guessed.
pub(super) struct Guesses {
    pub(super) has_pools: bool,
    pub(super) has_spot_share: bool,
    pub(super) has_applications: bool,
    /// Whether of some of them there are no traces.
    pub(super) has_untraced: bool,
    /// Whether lengths of prompts and answers are among them.
    pub(super) has_models: bool,
    pub(super) has_batch: bool,
    pub(super) has_ingress: bool,
    pub(super) has_traffic: bool,
    /// Whether some Services have clients of their own for no better reason than that nobody is known to call them.
    pub(super) has_callers_unknown: bool,
    /// Whether calls were read off addresses in the environment.
    pub(super) has_calls: bool,
}

impl Guesses {
    /// The section `provenance`, by which the report names them, with what traces measured.
    pub(super) fn write(&self, out: &mut String, measured: &[String]) -> fmt::Result {
        let guessed = [
            (self.has_pools, "cluster.nodePools[*].instanceType"),
            (self.has_pools, "cluster.nodePools[*].count"),
            (self.has_spot_share, "cluster.autoscaler.karpenter.spotShare"),
            (self.has_applications, "workloads[*].app.imagePull"),
            (self.has_applications, "workloads[*].app.warmUp"),
            (self.has_applications, "workloads[*].app.warmUpCpuMilli"),
            (self.has_applications, "workloads[*].requests.concurrency"),
            (self.has_untraced, "workloads[*].requests.cpuTime"),
            (self.has_untraced, "workloads[*].requests.waitTime"),
            (self.has_calls, "workloads[*].requests.calls[*].service"),
            (self.has_models, "workloads[*].requests.llm.promptTokens"),
            (self.has_models, "workloads[*].requests.llm.outputTokens"),
            (self.has_batch, "workloads[*].app.runsFor"),
            (self.has_ingress, "ingress[*].load"),
            (self.has_callers_unknown, "traffic[*].service"),
            (self.has_traffic, "traffic[*].load"),
        ];
        if !guessed.iter().any(|(is_there, _)| *is_there) && measured.is_empty() {
            return Ok(());
        }
        out.write_str(
            "
# The figures above that are guesses: the report says so, and `wavetank run --doubts` tells how far each moves the
# answer. Name under `measured` what you have measured, and take out here what you know.
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
