//! `wavetank schema`: the JSON Schema of scenarios.

use std::io::Write;

use super::exit::{Exit, Failure};
use crate::scenario::schema::json_schema;

/// Options of `wavetank schema`.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Writes the schema.
pub fn run(_arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    serde_json::to_writer_pretty(&mut *out, &json_schema()).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(Exit::Fine)
}
