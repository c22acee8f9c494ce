//! `wavetank check`: checks scenarios against their objectives, for CI pipelines.

use std::io::Write;
use std::path::PathBuf;

use super::exit::{Exit, Failure};
use super::memory;
use super::output::OutputOptions;
use super::run::Form;
use super::scenario_arguments::{Seeds, Settings};
use files::Loader;
use files::{STANDARD_INPUT, write_file};
use report::text::Style;
use scenario::resolved::ResolvedScenario;
use sweep::check::{Check, CheckedScenario};
use sweep::run_each;

/// Options of `wavetank check`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The scenario files
    #[arg(value_name = "SCENARIO", required = true)]
    scenarios: Vec<String>,

    #[command(flatten)]
    settings: Settings,

    /// Run each scenario with this many consecutive seeds, starting at its own; an objective must be
    /// met with each of them
    #[arg(long, value_name = "COUNT", default_value = "1")]
    seeds: Seeds,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,

    /// Also write the verdict as JUnit XML; - replaces the text on standard output
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs all scenarios and writes the verdict.
pub fn run(
    arguments: &Arguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let mut loader = Loader::default();
    let mut jobs: Vec<(&str, Result<ResolvedScenario, _>, u64)> = Vec::new();
    for path in &arguments.scenarios {
        let loaded = loader.load(path, &arguments.settings.settings);
        let seeds = match &loaded {
            Ok(resolved) => arguments.seeds.from(arguments.settings.first_seed(resolved)),
            // An invalid scenario is invalid for every seed: report it once.
            Err(_) => vec![0],
        };
        jobs.extend(seeds.into_iter().map(|seed| (path.as_str(), loaded.clone(), seed)));
    }
    jobs.iter().filter_map(|(_, loaded, _)| loaded.as_ref().ok()).take(1).for_each(memory::watch);
    let bar = options.progress_bar(jobs.len() as u64, "checking");
    let checked = run_each(&jobs, |(file, loaded, seed)| {
        let report = loaded
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|resolved| sweep::run(resolved, *seed, |_| {}));
        bar.inc(1);
        match report {
            Ok(report) => CheckedScenario::of(file, &report),
            Err(problems) => CheckedScenario::wrong(file, &problems),
        }
    });
    bar.finish_and_clear();
    let check = Check::new(checked);
    let is_junit_shown =
        arguments.junit.as_ref().is_some_and(|path| path.as_os_str() == STANDARD_INPUT);
    if !is_junit_shown {
        let rendered = match arguments.output {
            Form::Text => check.text(Style { color: options.color }),
            Form::Json => check.json(),
        };
        out.write_all(rendered.as_bytes())?;
    }
    if let Some(path) = &arguments.junit {
        let junit = check.junit().map_err(Failure::input)?;
        if is_junit_shown {
            out.write_all(junit.as_bytes())?;
        } else {
            write_file(path, junit.as_bytes()).map_err(Failure::Input)?;
        }
    }
    Ok(match (check.is_judged(), check.is_met()) {
        (false, _) => Exit::WrongInput,
        (true, false) => Exit::Missed,
        (true, true) => Exit::Fine,
    })
}
