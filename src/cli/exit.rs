//! How a command ends: its exit code, or what went wrong. Prints nothing itself.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::process::ExitCode;

use manifest::Diagnostics;

/// The exit codes of `wavetank`. They do not change their meaning from version to version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the command did what it was asked, and every objective was met.
    Fine = 0,
    /// 1: the input is sound; an objective was missed, a comparison or a rollout failed, a recorded decision was
    /// not reproduced, or there are warnings where none are wanted.
    Missed = 1,
    /// 2: the input or the command line is wrong.
    WrongInput = 2,
    /// 3: an error in wavetank itself.
    Internal = 3,
}

/// The exit codes in the words of the help text.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done; `check`: all objectives met
  1  `check`: an objective missed; `size`: no setting holds the objectives; `compare`: it failed; `conform`: a decision not reproduced;
     `rollout status`: the rollout is past its progress deadline; `validate --strict`: warnings;
     `get`, `describe`, `rollout`, `top`: what is named is not there
  2  wrong input or wrong usage
  3  an error in wavetank itself";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// What the person gave is wrong. The text says where, what is wrong, and what would be right.
    Input(String),
    /// What the person gave is wrong in several places, each with its line.
    Problems(Diagnostics),
    /// The result could not be written.
    Output(io::Error),
}

impl Failure {
    /// Something about the input, in the words of its own error.
    pub fn input(error: impl fmt::Display) -> Self {
        Self::Input(error.to_string())
    }

    /// The code with which the program ends. A reader that closed the pipe has what it wanted.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Fine,
            Self::Input(_) | Self::Problems(_) | Self::Output(_) => Exit::WrongInput,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(text) => f.write_str(text),
            Self::Problems(problems) => problems.fmt(f),
            Self::Output(error) => write!(f, "the output could not be written: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Runs `command`; a panic in it, which is always an error of ours, ends in [`Exit::Internal`].
pub fn guard(command: impl FnOnce() -> Exit) -> Exit {
    catch_unwind(AssertUnwindSafe(command)).unwrap_or(Exit::Internal)
}

/// Makes a panic ask for a report after its usual message.
pub fn install_panic_hook() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        usual(panic);
        super::output::complain(
            "this is an error in wavetank, not in your input; please report it with the command line, \
             the files that it reads, and the message above",
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_in_the_code_of_an_internal_error() {
        assert_eq!(guard(|| panic!("on purpose")), Exit::Internal);
        assert_eq!(guard(|| Exit::Missed), Exit::Missed);
    }

    #[test]
    fn a_closed_pipe_is_a_normal_end() {
        let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(closed.exit(), Exit::Fine);
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit(), Exit::WrongInput);
    }
}
