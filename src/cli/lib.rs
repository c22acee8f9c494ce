//! The command line: the only crate with access to terminal, environment and wall clock. It has [`files`] read the
//! input of the other crates, calls them, and writes their results; it makes no decisions about a simulation.
//!
//! A command is one file with an `Arguments` struct and a `run` function, one variant of `Command`, and one arm in
//! its `run`.

pub mod at;
pub mod auth;
pub mod calibrate;
pub mod catalog;
mod catalog_failures;
mod catalog_prices;
pub mod check;
pub mod compare;
pub mod completions;
pub mod conform;
pub mod exit;
pub mod explain;
mod explain_call;
mod explain_cost;
mod explain_pod;
pub mod get;
pub mod import;
pub mod init;
mod init_choice;
mod init_refusals;
mod init_traces;
mod memory;
pub mod output;
pub mod pack;
pub mod rollout;
pub mod run;
mod scenario_arguments;
pub mod schema;
pub mod size;
pub mod sweep;
mod sweep_shards;
pub mod validate;
pub mod watch;
mod wrong_usage;
pub mod years;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::{EXIT_CODES, Exit, Failure};
use output::{ColorChoice, OutputOptions};

/// Tests a Kubernetes system before it ships: takes real manifests and a real traffic trace, and reports latency,
/// cost and availability.
#[derive(Debug, Parser)]
#[command(name = "wavetank", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// When to use color: auto (on a terminal, unless NO_COLOR is set), always, or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    #[arg(hide_possible_values = true, help_heading = "Global options")]
    color: ColorChoice,

    /// Do not show progress
    #[arg(short, long, global = true, help_heading = "Global options")]
    quiet: bool,

    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Check the permissions that the Roles and bindings in manifests grant
    Auth(auth::Arguments),
    /// Fit a request model to measured latencies, an access log or a GPU benchmark
    Calibrate(calibrate::Arguments),
    /// List instance types with their sizes and prices
    Catalog(catalog::Arguments),
    /// Run scenarios and check them against their objectives, for CI pipelines
    Check(check::Arguments),
    /// Compare two scenarios, or one with and without a setting, on the same requests
    Compare(compare::Arguments),
    /// Print a shell completion script for commands and options
    Completions(completions::Arguments),
    /// Replay recorded decisions of real controllers and report where wavetank decides differently
    Conform(conform::Arguments),
    /// Convert recorded traffic (logs, load generators, Prometheus, published traces) to a trace
    Import(import::Arguments),
    /// Write a commented starter scenario from manifests
    Init(init::Arguments),
    /// Run a scenario and report latency, cost and availability
    Run(run::Arguments),
    /// Place pods on nodes under several policies, and compare placed pods, utilization, fragmentation and price
    Pack(pack::Arguments),
    /// Explain a controller's decision, with its time, reasons and all numbers
    ///
    /// The object is hpa/NAME or hpa/NAMESPACE/NAME, so/... for KEDA, vpa/..., or pod/NAMESPACE/NAME for the reason why a pod is
    /// on its node or pending.
    Explain(explain::Arguments),
    /// List objects at a time of a run, in kubectl's format
    Get(get::GetArguments),
    /// Show one object at a time of a run, with its events
    Describe(get::DescribeArguments),
    /// List the events up to a time of a run
    Events(get::EventsArguments),
    /// Show the progress of a rollout at a time of a run, or its history
    Rollout(rollout::RolloutArguments),
    /// List the resource usage of pods or nodes at a time of a run
    Top(rollout::TopArguments),
    /// Print the JSON Schema of scenarios, for completion and documentation in editors
    Schema(schema::Arguments),
    /// Find the cheapest configuration that meets the objectives, and its confidence
    Size(size::Arguments),
    /// Run a scenario over a grid of settings, and find the cheapest that meets the objectives
    Sweep(sweep::Arguments),
    /// Report all problems in scenarios and manifests, without running anything
    Validate(validate::Arguments),
    /// Watch a scenario run in the terminal, and intervene: pause, step, kill, drain, scale
    Watch(watch::Arguments),
    /// Simulate many years of a scenario with random failures, and summarize them
    Years(years::Arguments),
}

impl Command {
    fn run(&self, options: OutputOptions, out: &mut impl Write) -> Result<Exit, Failure> {
        match self {
            Self::Auth(arguments) => auth::run(arguments, out),
            Self::Calibrate(arguments) => calibrate::run(arguments, options, out),
            Self::Catalog(arguments) => catalog::run(arguments, out),
            Self::Check(arguments) => check::run(arguments, options, out),
            Self::Compare(arguments) => compare::run(arguments, options, out),
            Self::Completions(arguments) => completions::run(arguments, out),
            Self::Conform(arguments) => conform::run(arguments, out),
            Self::Import(arguments) => import::run(arguments, out),
            Self::Init(arguments) => init::run(arguments, out),
            Self::Run(arguments) => run::run(arguments, options, out),
            Self::Pack(arguments) => pack::run(arguments, options, out),
            Self::Explain(arguments) => explain::run(arguments, out),
            Self::Get(arguments) => get::get(arguments, options, out),
            Self::Describe(arguments) => get::describe(arguments, options, out),
            Self::Events(arguments) => get::events(arguments, options, out),
            Self::Rollout(arguments) => rollout::rollout(arguments, options, out),
            Self::Top(arguments) => rollout::top(arguments, options, out),
            Self::Schema(arguments) => schema::run(arguments, out),
            Self::Size(arguments) => size::run(arguments, options, out),
            Self::Sweep(arguments) => sweep::run(arguments, options, out),
            Self::Validate(arguments) => validate::run(arguments, out),
            Self::Watch(arguments) => watch::run(arguments, out),
            Self::Years(arguments) => years::run(arguments, options, out),
        }
    }
}

/// The entry point: parses the command line, runs the command, and returns the exit code.
pub fn main() -> ExitCode {
    exit::install_panic_hook();
    exit::guard(|| match parsed(std::env::args_os()) {
        Ok(cli) => execute(&cli),
        Err(error) => {
            // Help and version arrive here too. A failed write has nowhere to be reported.
            let _ = error.print();
            if error.use_stderr() { Exit::WrongInput } else { Exit::Fine }
        }
    })
    .into()
}

/// Runs a command line, the program's name first, as [`main`] does, but writes to `out` and returns the message of a
/// failure.
pub fn attempt<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    out: &mut impl Write,
) -> Result<Exit, String> {
    let cli = parsed(arguments).map_err(|error| error.to_string())?;
    let options = OutputOptions { color: false, progress: false };
    cli.command.run(options, out).map_err(|failure| failure.to_string())
}

/// Whether a command line, the program's name first, is well-formed; if not, the message that it gets.
pub fn reads<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    parsed(arguments).map(drop).map_err(|error| error.to_string())
}

fn parsed(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    Cli::try_parse_from(&arguments).map_err(|error| wrong_usage::advised(error, &arguments))
}

fn execute(cli: &Cli) -> Exit {
    let options = OutputOptions::detect(cli.color, cli.quiet);
    let mut out = BufWriter::new(io::stdout().lock());
    let result = cli.command.run(options, &mut out);
    let result = result.and_then(|exit| Ok(out.flush().map(|()| exit)?));
    // Unwritten data for a broken pipe must not be flushed again on drop.
    let _ = out.into_parts();
    result.unwrap_or_else(|failure| {
        match &failure {
            Failure::Problems(problems) => {
                output::print_message(&problems.without_notes().to_string());
            }
            _ if failure.exit() == Exit::Fine => {}
            _ => output::print_error(&failure.to_string()),
        }
        failure.exit()
    })
}
