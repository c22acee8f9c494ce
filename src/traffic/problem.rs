//! Problems in user settings.

use std::fmt;

use engine::SimDuration;

/// Maximum request rate [1/s]: one per nanosecond of simulated time. More would be a mistake of units,
/// and would keep a run busy forever.
pub(super) const RPS_MAX: f64 = 1e9;

/// A problem in a setting, with its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, such as `load.phases[1].for`.
    pub path: String,
    /// The problem, and the correct form.
    pub message: String,
}

/// Collects the problems of one object and its parts.
#[derive(Debug)]
pub(super) struct Checks<'a> {
    path: String,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Checks<'a> {
    /// Checks for the object at `path`.
    pub(super) fn at(path: &str, problems: &'a mut Vec<Problem>) -> Self {
        Self { path: path.to_owned(), problems }
    }

    /// Checks for the part called `field`.
    pub(super) fn inside(&mut self, field: &str) -> Checks<'_> {
        Checks { path: self.path_of(field), problems: self.problems }
    }

    /// Reports a problem with `field` unless it is `right`.
    pub(super) fn require(&mut self, right: bool, field: &str, message: impl FnOnce() -> String) {
        if !right {
            let path = self.path_of(field);
            self.problems.push(Problem { path, message: message() });
        }
    }

    /// The number must be finite and not negative.
    pub(super) fn not_negative(&mut self, field: &str, value: f64) {
        self.require(value.is_finite() && value >= 0.0, field, || {
            format!("{} must be a number of at least 0", shown(value))
        });
    }

    /// The number must be a request rate that can be simulated.
    pub(super) fn rate(&mut self, field: &str, rps: f64) {
        self.not_negative(field, rps);
        self.require(rps.is_nan() || rps <= RPS_MAX, field, || {
            let rps = shown(rps);
            format!("{rps} requests/s are more than one per nanosecond; write at most {RPS_MAX:e}")
        });
    }

    /// The number must be finite and above zero.
    pub(super) fn positive(&mut self, field: &str, value: f64) {
        self.require(value.is_finite() && value > 0.0, field, || {
            format!("{} must be a number above 0", shown(value))
        });
    }

    /// The number must be from 0 to 1.
    pub(super) fn share(&mut self, field: &str, value: f64) {
        self.require((0.0..=1.0).contains(&value), field, || {
            format!("{} must be a share from 0 to 1", shown(value))
        });
    }

    /// The span must be longer than zero.
    pub(super) fn check_positive(&mut self, field: &str, span: SimDuration) {
        self.require(span > SimDuration::ZERO, field, || format!("{span} must be longer than 0s"));
    }

    fn path_of(&self, field: &str) -> String {
        match (self.path.is_empty(), field.is_empty()) {
            (true, _) => field.to_owned(),
            (_, true) => self.path.clone(),
            _ => format!("{}.{field}", self.path),
        }
    }
}

/// A number as people write it: with an exponent instead of up to 300 zeros.
fn shown(value: f64) -> String {
    if value.abs() < 1e15 { value.to_string() } else { format!("{value:e}") }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
