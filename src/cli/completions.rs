//! `wavetank completions`: prints a shell completion script.

use std::io::Write;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::Cli;
use super::exit::{Exit, Failure};

/// Options of `wavetank completions`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell; save the output where it looks for completions
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes the script.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    // The generator panics on write errors, so it writes to memory.
    let mut script = Vec::new();
    generate(arguments.shell, &mut Cli::command(), "wavetank", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Fine)
}
