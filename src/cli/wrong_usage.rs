//! Messages for command lines that `clap` refuses with wrong advice or none.

use std::ffi::OsString;
use std::num::{ParseFloatError, ParseIntError};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error};

use super::Cli;

/// The error, or one in its place that says what would be right. `given` is the command line, the program's name first.
pub(super) fn advised(error: Error, given: &[OsString]) -> Error {
    let message = match error.kind() {
        ErrorKind::UnknownArgument => negative_value(given),
        ErrorKind::ValueValidation => not_a_number(&error),
        ErrorKind::InvalidSubcommand => unknown_subcommand(&error, given),
        _ => None,
    };
    message.map_or(error, |message| Cli::command().error(ErrorKind::InvalidValue, message))
}

/// `clap` takes a value that begins with a hyphen for options, and advises to write it after `--`. No option of
/// wavetank has a negative value.
fn negative_value(given: &[OsString]) -> Option<String> {
    let is_option = |text: &str| text.starts_with('-') && !text.contains('=');
    let is_negative = |text: &str| {
        text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    given.windows(2).find_map(|pair| {
        let [option, value] = [pair[0].to_str()?, pair[1].to_str()?];
        let is_meant = is_option(option) && !is_negative(option) && is_negative(value);
        is_meant.then(|| format!("invalid value '{value}' for '{option}': it must not be negative"))
    })
}

/// The standard library's message says nothing of what is expected.
fn not_a_number(error: &Error) -> Option<String> {
    use std::error::Error as _;

    let source = error.source()?;
    let expected = if source.is::<ParseIntError>() {
        "a whole number, such as 10"
    } else if source.is::<ParseFloatError>() {
        "a number, such as 2.5"
    } else {
        return None;
    };
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    };
    let (value, option) = (context(ContextKind::InvalidValue)?, context(ContextKind::InvalidArg)?);
    Some(format!("invalid value '{value}' for '{option}': write {expected}"))
}

/// Names the subcommands of the innermost command, unless one of them is similar and named anyway.
fn unknown_subcommand(error: &Error, given: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    if error.get(ContextKind::SuggestedSubcommand).is_some() {
        return None;
    }
    let root = Cli::command();
    let mut command = &root;
    for word in given.iter().skip(1).filter_map(|word| word.to_str()) {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let of = if command.get_name() == root.get_name() {
        String::new()
    } else {
        format!(" of `{}`", command.get_name())
    };
    Some(format!("unrecognized command '{unknown}'; the commands{of} are {}", known.join(", ")))
}
