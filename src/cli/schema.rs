//! `wavetank schema`: prints the JSON Schema of scenarios, or a reference page generated from it.

use std::io::Write;

use super::exit::{Exit, Failure};
use scenario::reference::markdown;
use scenario::schema::json_schema;

/// Options of `wavetank schema`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print a reference page in Markdown instead of the JSON Schema
    #[arg(long)]
    markdown: bool,
}

/// Writes the schema.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    if arguments.markdown {
        out.write_all(markdown(&json_schema()).as_bytes())?;
        return Ok(Exit::Fine);
    }
    serde_json::to_writer_pretty(&mut *out, &json_schema()).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(Exit::Fine)
}
