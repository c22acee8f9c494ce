//! The command line: the only crate with terminal, environment and wall clock. Has [`files`] read the input of the
//! other crates, calls them, and writes their results; decides nothing about a simulation.
//!
//! A command is one file with an `Arguments` struct and a `run` function, one variant of `Command`, and
//! one arm in its `run`.

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
mod explain_pod;
pub mod get;
pub mod import;
pub mod init;
mod init_choice;
mod init_refusals;
mod init_traces;
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
pub mod years;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::{EXIT_CODES, Exit, Failure};
use output::{ColorChoice, OutputOptions};

/// Tests a Kubernetes system before it ships: real manifests and a real traffic trace in; latency, cost
/// and availability out.
#[derive(Debug, Parser)]
#[command(name = "wavetank", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// When to use colour: auto (on a terminal, unless NO_COLOR is set), always, or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    #[arg(hide_possible_values = true, help_heading = "Global options")]
    color: ColorChoice,

    /// Show no progress
    #[arg(short, long, global = true, help_heading = "Global options")]
    quiet: bool,

    #[command(subcommand)]
    command: Command,
}

/// What can be asked of wavetank.
#[derive(Debug, Subcommand)]
enum Command {
    /// Say who may do what by the Roles and bindings of manifests
    Auth(auth::Arguments),
    /// Fit a request model to measured latencies, an access log or a GPU benchmark
    Calibrate(calibrate::Arguments),
    /// List instance types with their sizes and prices
    Catalog(catalog::Arguments),
    /// Run scenarios and say whether they meet their objectives, for pipelines
    Check(check::Arguments),
    /// Run two scenarios, or one with and without a setting, on the same requests, and say what differs
    Compare(compare::Arguments),
    /// Print a script that completes commands and options in a shell
    Completions(completions::Arguments),
    /// Replay recorded decisions of real controllers, and say where wavetank decides otherwise
    Conform(conform::Arguments),
    /// Turn recorded traffic (logs, load generators, Prometheus, published traces) into a trace
    Import(import::Arguments),
    /// Write a commented scenario to start from, from manifests
    Init(init::Arguments),
    /// Run a scenario and report latency, cost and availability
    Run(run::Arguments),
    /// Place pods on nodes under several policies: how many fit, how full, how fragmented, at what price
    Pack(pack::Arguments),
    /// Say what a controller decided, when and why, with the numbers filled in
    ///
    /// What is asked about is hpa/NAME or hpa/NAMESPACE/NAME, so/... for KEDA, vpa/..., or pod/NAMESPACE/NAME:
    /// why it is on its node, or why it waits.
    Explain(explain::Arguments),
    /// List objects at a time of a run, as kubectl lists them
    Get(get::GetArguments),
    /// Show one object at a time of a run, with its events
    Describe(get::DescribeArguments),
    /// List what happened until a time of a run
    Events(get::EventsArguments),
    /// Say how far a rollout is at a time of a run, or which there were
    Rollout(rollout::RolloutArguments),
    /// List the use of pods or nodes at a time of a run
    Top(rollout::TopArguments),
    /// Print the JSON Schema of scenarios, from which editors complete and explain their fields
    Schema(schema::Arguments),
    /// Find the cheapest setting that holds the objectives, and say how sure that is
    Size(size::Arguments),
    /// Run a scenario with many settings, and find the cheapest that meets the objectives
    Sweep(sweep::Arguments),
    /// Say all that is wrong with scenarios and manifests, without running anything
    Validate(validate::Arguments),
    /// Watch a scenario run in the terminal, and step in: pause, step, kill, drain, scale
    Watch(watch::Arguments),
    /// Compose many years of a scenario, with failures as they come, and say what they are like
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

/// The whole program: reads the command line, runs the command, and says with which code to end.
pub fn main() -> ExitCode {
    exit::install_panic_hook();
    exit::guard(|| match Cli::try_parse() {
        Ok(cli) => execute(&cli),
        Err(error) => {
            // Help and version arrive here too. Where nobody reads them there is nothing left to do.
            let _ = error.print();
            if error.use_stderr() { Exit::WrongInput } else { Exit::Fine }
        }
    })
    .into()
}

fn execute(cli: &Cli) -> Exit {
    let options = OutputOptions::detect(cli.color, cli.quiet);
    let mut out = BufWriter::new(io::stdout().lock());
    let result = cli.command.run(options, &mut out);
    let result = result.and_then(|exit| Ok(out.flush().map(|()| exit)?));
    // What is left in the buffer of a broken pipe must not be written again when it is dropped.
    let _ = out.into_parts();
    result.unwrap_or_else(|failure| {
        match &failure {
            Failure::Problems(problems) => output::tell(&problems.to_string()),
            _ if failure.exit() == Exit::Fine => {}
            _ => output::complain(&failure.to_string()),
        }
        failure.exit()
    })
}
