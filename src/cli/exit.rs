//! Exit codes and errors of commands. Prints nothing.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::process::ExitCode;

use manifest::Diagnostics;

/// The exit codes of `wavetank`. Their meaning is stable across versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the command succeeded, and every objective was met.
    Fine = 0,
    /// 1: the input is valid, but an objective was missed, a comparison or rollout failed, a recorded decision
    /// was not reproduced, a run ended early for its memory, or there are warnings in strict mode.
    Missed = 1,
    /// 2: the input or the command line is invalid.
    WrongInput = 2,
    /// 3: an internal error of wavetank.
    Internal = 3,
}

/// The exit codes for the help text.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done; `check`: all objectives met
  1  `check`: an objective missed; `size`: no setting holds the objectives; `compare`: it failed; `conform`: a decision not reproduced;
     `rollout status`: the rollout is past its progress deadline; `validate --strict`: warnings;
     `get`, `describe`, `rollout`, `top`: the object was not found; `run`: it ended early, as its memory reached the limit
  2  wrong input or wrong usage
  3  an error in wavetank itself";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Reason why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// Invalid user input. The text gives the place, the problem and the correction.
    Input(String),
    /// Several problems in user input, each with its line.
    Problems(Diagnostics),
    /// The result could not be written.
    Output(io::Error),
}

impl Failure {
    /// An input error, worded by its own `Display`.
    pub fn input(error: impl fmt::Display) -> Self {
        Self::Input(error.to_string())
    }

    /// The exit code of the program. A closed pipe is not a failure: its reader has read enough.
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
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Runs `command`; a panic in it, which is always a bug, results in [`Exit::Internal`].
pub fn guard(command: impl FnOnce() -> Exit) -> Exit {
    catch_unwind(AssertUnwindSafe(command)).unwrap_or(Exit::Internal)
}

/// Makes a panic print a request to report it after the usual message.
pub(crate) fn install_panic_hook() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        usual(panic);
        super::output::print_error(
            "this is a bug in wavetank, not in your input; please report it with the command line, the files that \
             it reads, and the message above",
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
