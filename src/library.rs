//! A scenario file as a library's user opens it. Joins [`files`](crate::files), which reads it, and
//! [`sweep`](crate::sweep), which runs it.

use crate::controllers::Controller;
use crate::files::Loader;
use crate::manifest::Diagnostics;
use crate::scenario::{self, Override, ResolvedScenario};
use crate::sweep::Run;

/// A scenario with the content of every file that it names: all that a run depends on but the seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    resolved: ResolvedScenario,
}

impl Scenario {
    /// Reads a scenario file, and the manifests and traces that it names, relative to it. All mistakes are reported
    /// at once, each with file, line and field.
    pub fn load(path: &str) -> Result<Self, Diagnostics> {
        Self::load_with(path, &[])
    }

    /// The same with other settings, each written as for the option `--set`: `"seed=7".parse()`.
    pub fn load_with(path: &str, settings: &[Override]) -> Result<Self, Diagnostics> {
        Ok(Self { resolved: Loader::default().load(path, settings)? })
    }

    /// The settings.
    pub const fn settings(&self) -> &scenario::Scenario {
        self.resolved.scenario()
    }

    /// The scenario as [`sim::Blueprint`](crate::sim::Blueprint) and [`sweep::run_all`](crate::sweep::run_all)
    /// take it.
    pub const fn resolved(&self) -> &ResolvedScenario {
        &self.resolved
    }

    /// A run at its start. Equal seeds give equal runs to the last byte; [`Self::settings`] has the scenario's own.
    pub fn simulation(&self, seed: u64) -> Result<Run<'_>, Diagnostics> {
        Run::new(&self.resolved, seed)
    }

    /// A run at its start in which these controllers work beside those of kube-controller-manager.
    pub fn simulation_with(
        &self,
        seed: u64,
        controllers: Vec<Box<dyn Controller>>,
    ) -> Result<Run<'_>, Diagnostics> {
        Run::with_controllers(&self.resolved, seed, controllers)
    }
}
