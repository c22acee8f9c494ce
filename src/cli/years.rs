//! `wavetank years`: the distribution of yearly availability.

use std::io::Write;

use super::exit::{Exit, Failure};
use super::memory;
use super::output::OutputOptions;
use super::run::Form;
use super::scenario_arguments::{Settings, load};
use engine::{SimDuration, parse_duration};
use report::text::Style;
use sweep::years;
use sweep::years_text;

/// Options of `wavetank years`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Failures follow the scenario's `faults`; machines, zones and pods without any fail at the default rates of
`wavetank catalog failures`. Give the scenario a `warmUp`, or its cold start counts as well.

Examples:
  wavetank years scenario.yaml --years 1000
  wavetank years scenario.yaml --straight 20")]
pub struct Arguments {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: String,

    #[command(flatten)]
    settings: Settings,

    /// Number of years to compose
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    years: u32,

    /// Number of incidents to simulate of each kind of failure, and of failures that meet
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    probes: u32,

    /// Also simulate this many complete years, to validate the composed ones; slow
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=10_000))]
    straight: u32,

    /// Length of a year; a shorter one, with failures at the rates of `faults`, allows quick comparisons with
    /// --straight
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "8760h")]
    year: SimDuration,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Composes the years and writes them.
pub fn run(
    arguments: &Arguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let resolved = load(&arguments.scenario, &arguments.settings)?;
    memory::watch(&resolved);
    let settings = years::Settings {
        years: arguments.years,
        probes: arguments.probes,
        seed: arguments.settings.first_seed(&resolved),
        straight: arguments.straight,
        year: arguments.year,
    };
    let bar = options.progress_bar((arguments.probes + arguments.straight).into(), "simulating");
    let years = years::years(&resolved, settings, || bar.inc(1)).map_err(Failure::Problems)?;
    bar.finish_and_clear();
    let rendered = match arguments.output {
        Form::Text => years_text::render(&years, Style { color: options.color }),
        Form::Json => report::json::render(&years),
    };
    out.write_all(rendered.as_bytes())?;
    Ok(Exit::Fine)
}
