//! Output streams: results go to standard output, messages and progress to standard error.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

/// Maximum line width of tables and reports.
pub const WIDTH: u16 = 100;

/// When to use color.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always, even for files and pipes.
    Always,
    /// Never.
    Never,
}

/// Output settings from global options and the environment.
#[derive(Clone, Copy, Debug)]
pub struct OutputOptions {
    /// True if results may be colored.
    pub color: bool,
    /// True if progress is shown.
    pub progress: bool,
}

impl OutputOptions {
    /// Detects the settings from the terminal and the environment.
    pub fn detect(choice: ColorChoice, quiet: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            color: wants_color(choice, no_color, io::stdout().is_terminal()),
            progress: !quiet && io::stderr().is_terminal(),
        }
    }

    /// A progress bar on standard error with `length` steps; hidden if progress is off.
    pub(crate) fn progress_bar(self, length: u64, what: &'static str) -> ProgressBar {
        if !self.progress {
            return ProgressBar::hidden();
        }
        let template = "{msg} [{bar:30}] {percent:>3} %  {eta} left";
        let style = ProgressStyle::with_template(template)
            .expect("the template above is a valid one")
            .progress_chars("=> ");
        ProgressBar::new(length).with_style(style).with_message(what)
    }

    /// A counter on standard error for a number of steps of which only the largest is known; hidden if progress is off.
    pub fn counter(&self, what: &'static str, most: u64) -> ProgressBar {
        if !self.progress {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(
            "{spinner} {msg}: {pos} runs in {elapsed}, {per_sec}, at most {eta} left",
        )
        .expect("the template above is a valid one");
        ProgressBar::new(most).with_style(style).with_message(what)
    }
}

/// Prints a message that states its own severity to standard error. Write errors are ignored.
pub(crate) fn print_message(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", message.trim_end());
}

/// Prints an error message to standard error. Write errors are ignored.
pub(crate) fn print_error(message: &str) {
    let _ = writeln!(io::stderr().lock(), "error: {message}");
}

/// Prints a warning to standard error. Write errors are ignored.
pub(crate) fn print_warning(message: &str) {
    let _ = writeln!(io::stderr().lock(), "warning: {message}");
}

fn wants_color(choice: ColorChoice, no_color: bool, is_terminal: bool) -> bool {
    match choice {
        ColorChoice::Auto => is_terminal && !no_color,
        ColorChoice::Always => true,
        ColorChoice::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_unless_someone_says_otherwise() {
        assert!(wants_color(ColorChoice::Auto, false, true));
        assert!(!wants_color(ColorChoice::Auto, true, true));
        assert!(!wants_color(ColorChoice::Auto, false, false));
        assert!(wants_color(ColorChoice::Always, true, false));
        assert!(!wants_color(ColorChoice::Never, false, true));
    }

    #[test]
    fn progress_that_is_off_is_invisible() {
        let options = OutputOptions { color: false, progress: false };
        assert!(options.progress_bar(10, "running").is_hidden());
    }
}
