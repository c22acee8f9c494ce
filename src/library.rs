//! The scenario API of the library. Connects [`files`](crate::files), which reads scenarios, with
//! [`sweep`](crate::sweep), which runs them.

use crate::controllers::Controller;
use crate::files::Loader;
use crate::manifest::Diagnostics;
use crate::scenario::{self, Override, ResolvedScenario};
use crate::sweep::Run;

/// A scenario with the contents of all files that it names: everything that a run depends on except the seed.
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

    /// The same with overrides, each written like a value of the option `--set`: `"seed=7".parse()`.
    pub fn load_with(path: &str, settings: &[Override]) -> Result<Self, Diagnostics> {
        Ok(Self { resolved: Loader::default().load(path, settings)? })
    }

    /// The scenario's settings.
    pub const fn settings(&self) -> &scenario::Scenario {
        self.resolved.scenario()
    }

    /// The scenario in the form that [`sim::Blueprint`](crate::sim::Blueprint) and
    /// [`sweep::run_all`](crate::sweep::run_all) take.
    pub const fn resolved(&self) -> &ResolvedScenario {
        &self.resolved
    }

    /// A run at its start. Equal seeds give byte-identical runs; [`Self::settings`] has the scenario's own seed.
    pub fn simulation(&self, seed: u64) -> Result<Run<'_>, Diagnostics> {
        Run::new(&self.resolved, seed)
    }

    /// A run at its start with these controllers in addition to those of kube-controller-manager.
    pub fn simulation_with(
        &self,
        seed: u64,
        controllers: Vec<Box<dyn Controller>>,
    ) -> Result<Run<'_>, Diagnostics> {
        Run::with_controllers(&self.resolved, seed, controllers)
    }
}
