//! `wavetank run`: one run of a scenario, and its report in the forms that are asked for.

use std::io::Write;
use std::path::PathBuf;

use super::exit::{Exit, Failure};
use super::output::OutputOptions;
use super::scenario_arguments::{Settings, load, run as run_scenario};
use files::write_file;
use report::text::Style;
use report::{Report, charts, html, json, text};
use sweep;

/// Options of `wavetank run`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: String,

    #[command(flatten)]
    settings: Settings,

    /// Run again so many times with other phases of the control loops, and show what that spans
    #[arg(long, value_name = "N")]
    phases: Option<u32>,

    /// Form of the report
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,

    /// Write charts as SVG and PNG into this folder
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,

    /// Write the report as one page that needs no network
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// Forms of a report on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people
    #[default]
    Text,
    /// For programs: stable, versioned
    Json,
}

/// Runs the scenario and writes the report.
pub fn run(
    arguments: &Arguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let resolved = load(&arguments.scenario, &arguments.settings)?;
    let mut report = run_scenario(&resolved, &arguments.settings, options)?;
    if let Some(phases) = arguments.phases {
        let bar = options.progress_bar(phases.into(), "running other phases");
        let seed = arguments.settings.seed.unwrap_or(resolved.scenario().seed);
        let band = sweep::phases(&resolved, seed, phases, |done| bar.set_position(done.into()));
        bar.finish_and_clear();
        report.phases = Some(band.map_err(Failure::Problems)?);
    }
    write_report(&report, arguments.output, options, out)?;
    if let Some(folder) = &arguments.charts {
        for file in charts::render(&report) {
            write_file(&folder.join(file.name), &file.bytes).map_err(Failure::Input)?;
        }
    }
    if let Some(path) = &arguments.report {
        write_file(path, html::render(&report).as_bytes()).map_err(Failure::Input)?;
    }
    Ok(Exit::Fine)
}

fn write_report(
    report: &Report,
    form: Form,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let rendered = match form {
        Form::Text => text::render(report, Style { color: options.color }),
        Form::Json => json::render(report),
    };
    out.write_all(rendered.as_bytes())?;
    Ok(())
}
