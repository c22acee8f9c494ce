//! Options shared by all commands that run a scenario: its file and overrides.

use std::ffi::OsStr;
use std::path::Path;
use std::str::FromStr;

use indicatif::ProgressBar;

use super::exit::{Exit, Failure};
use super::memory::MemoryLimit;
use super::output::OutputOptions;
use cluster::ObjectReference;
use cluster::reference::ReferenceError;
use engine::SimTime;
use files::Loader;
use report::Report;
use scenario::Override;
use scenario::resolved::ResolvedScenario;

/// Overrides of a scenario.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Settings {
    /// Override a setting: seed=7, cluster.nodePools[general].count=5, or in a manifest
    /// manifests.HorizontalPodAutoscaler/shop/web.spec.maxReplicas=20; can be given several times
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub settings: Vec<Override>,

    /// Seed that overrides the scenario's
    #[arg(long)]
    pub seed: Option<u64>,
}

impl Settings {
    /// The seed of the first run.
    pub fn first_seed(&self, resolved: &ResolvedScenario) -> u64 {
        self.seed.unwrap_or(resolved.scenario().seed)
    }
}

/// Scenario file used if none is named.
pub(crate) const DEFAULT_SCENARIO: &str = "scenario.yaml";

/// The object and the scenario file among two arguments, in either order.
pub(crate) fn object_and_scenario<'a>(
    mut object: &'a str,
    mut scenario: Option<&'a str>,
) -> Result<(ObjectReference, &'a str), Failure> {
    if is_file(object) && scenario.is_none_or(|other| !is_file(other)) {
        let Some(other) = scenario.replace(object) else {
            return Err(Failure::Input(format!(
                "no object name given; write KIND/NAME or KIND/NAMESPACE/NAME instead of {object}"
            )));
        };
        object = other;
    }
    let object =
        object.parse().map_err(|error: ReferenceError| Failure::Input(error.to_string()))?;
    Ok((object, scenario.unwrap_or(DEFAULT_SCENARIO)))
}

/// True if an argument is a file rather than an object.
pub fn is_file(text: &str) -> bool {
    let path = Path::new(text);
    let is_written_as_one = ["yaml", "yml", "json"].map(OsStr::new).map(Some);
    text == "-" || is_written_as_one.contains(&path.extension()) || path.is_file()
}

/// Number of seeds, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds(u32);

impl Seeds {
    /// This many consecutive seeds, starting at `first`.
    pub fn from(self, first: u64) -> Vec<u64> {
        (0..u64::from(self.0)).map(|step| first.wrapping_add(step)).collect()
    }
}

impl FromStr for Seeds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(count @ 1..=10_000) => Ok(Self(count)),
            _ => Err("write a whole number from 1 to 10000"),
        }
    }
}

/// Reads a scenario with its overrides.
pub fn load(path: &str, settings: &Settings) -> Result<ResolvedScenario, Failure> {
    Loader::default().load(path, &settings.settings).map_err(Failure::Problems)
}

/// Runs a scenario and shows its progress. If its memory reaches the limit, the report is of what was simulated until
/// then, and the exit code is that of a missed objective.
pub fn run(
    resolved: &ResolvedScenario,
    settings: &Settings,
    options: OutputOptions,
) -> Result<(Report, Exit), Failure> {
    let seed = settings.first_seed(resolved);
    let bar = progress_bar(resolved, options);
    let limit = MemoryLimit::of(resolved);
    let progress = |now| bar.set_position(whole_seconds(now));
    let ended = sweep::run_while(resolved, seed, progress, || limit.reached());
    bar.finish_and_clear();
    let (report, early) = ended.map_err(Failure::Problems)?;
    Ok((report, if early.is_some() { Exit::Missed } else { Exit::Fine }))
}

fn progress_bar(resolved: &ResolvedScenario, options: OutputOptions) -> ProgressBar {
    let end = SimTime::ZERO + resolved.scenario().duration;
    options.progress_bar(whole_seconds(end), "simulating")
}

fn whole_seconds(at: SimTime) -> u64 {
    u64::try_from((at - SimTime::ZERO).as_secs()).unwrap_or_default()
}
