//! Replays recorded decisions of the real controllers with ours, and reports differences. Every replay calls the
//! same functions as a simulation.

pub mod cluster_autoscaler;
pub mod controllers;
pub mod end_to_end;
pub mod hpa;
mod json;
pub mod karpenter;
pub mod keda;
mod objects;
pub mod real_cluster;
mod recording;
pub mod scheduler;
pub mod vpa;

pub use recording::RecordingError;

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use manifest::field::FieldError;
use report::figures::counted;

/// Version of the JSON form of a [`Report`]: added fields increment the minor version, changed ones the major
/// version.
const FORMAT_VERSION: &str = "1.0";
/// Length of the longest case that is replayed, in days.
const LONGEST_DAYS: f64 = 30.0;

/// Rejects a case that is too long; `field` is the field with its length.
fn check_length(field: &str, seconds: f64) -> Result<(), String> {
    if seconds <= LONGEST_DAYS * 86_400.0 {
        return Ok(());
    }
    Err(format!("{field}: {seconds} s is more than {LONGEST_DAYS} days"))
}

/// The name of a case.
fn case_id(case: &Map<String, Value>) -> Result<&str, String> {
    case.get("id").and_then(Value::as_str).ok_or_else(|| "id: must be a text".to_owned())
}

/// All errors of an object in one line; `at` is its path in the case.
fn listed(errors: &[FieldError], at: &str) -> String {
    let errors: Vec<String> = errors.iter().map(|error| format!("{at}.{error}")).collect();
    errors.join("; ")
}

/// Result of one recorded case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseOutcome {
    /// Name of the case.
    pub id: String,
    /// True if every compared field was reproduced.
    pub agreed: bool,
    /// The first difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// The first field of a case that was not reproduced.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Position in the case, such as `tick 12 (t=180)`; empty if the case is a single decision.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// The field.
    pub field: String,
    /// The recorded value.
    pub expected: Value,
    /// Our value.
    pub got: Value,
    /// The recorded inputs of the decision.
    pub inputs: Value,
    /// Explanation of our value; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub explanation: String,
}

/// Results of all cases, each as a `C`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report<C> {
    format_version: &'static str,
    /// Number of cases that were reproduced.
    agreed: usize,
    /// Number of cases that were not.
    disagreed: usize,
    cases: Vec<C>,
}

/// Results of all cases of a replay.
pub type ConformReport = Report<CaseOutcome>;

/// Result of a case.
pub trait Outcome: fmt::Display {
    /// True if it was reproduced.
    fn is_agreement(&self) -> bool;
}

impl CaseOutcome {
    /// The result of a case with this first difference, if any.
    pub fn new(id: impl Into<String>, difference: Option<Difference>) -> Self {
        Self { id: id.into(), agreed: difference.is_none(), difference }
    }
}

impl Difference {
    /// A difference without an explanation.
    fn new(
        at: impl Into<String>,
        field: impl Into<String>,
        expected: Value,
        got: Value,
        inputs: Value,
    ) -> Self {
        let explanation = String::new();
        Self { at: at.into(), field: field.into(), expected, got, inputs, explanation }
    }
}

impl Outcome for CaseOutcome {
    fn is_agreement(&self) -> bool {
        self.agreed
    }
}

impl fmt::Display for CaseOutcome {
    /// One line, and the first difference if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.agreed { "agreed    " } else { "disagreed " };
        writeln!(f, "{word} {}", self.id)?;
        self.difference.iter().try_for_each(|difference| difference.fmt(f))
    }
}

impl<C: Outcome> Report<C> {
    /// The report on these cases, in order.
    pub fn new(cases: Vec<C>) -> Self {
        let agreed = cases.iter().filter(|case| case.is_agreement()).count();
        Self { format_version: FORMAT_VERSION, agreed, disagreed: cases.len() - agreed, cases }
    }

    /// True if every case was reproduced.
    pub const fn is_agreement(&self) -> bool {
        self.disagreed == 0
    }

    /// The cases.
    pub fn cases(&self) -> &[C] {
        &self.cases
    }
}

impl<C: Outcome> fmt::Display for Report<C> {
    /// Each case, and the totals at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cases.iter().try_for_each(|case| case.fmt(f))?;
        let cases = counted(self.cases.len() as u64, "case");
        writeln!(f, "{cases}: {} agreed, {} disagreed", self.agreed, self.disagreed)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.at.is_empty() { "" } else { " at " };
        writeln!(f, "    {}{at}{}", self.field, self.at)?;
        writeln!(f, "      expected  {}", self.expected)?;
        writeln!(f, "      got       {}", self.got)?;
        writeln!(f, "      inputs    {}", self.inputs)?;
        for line in self.explanation.lines() {
            writeln!(f, "      | {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_shows_the_first_difference_of_each_case_that_disagrees() {
        let difference = Difference {
            at: "tick 3 (t=45)".into(),
            field: "desiredReplicas".into(),
            expected: json!(4),
            got: json!(5),
            inputs: json!({"t": 45}),
            explanation: "desired = 5".into(),
        };
        let cases = vec![CaseOutcome::new("a", None), CaseOutcome::new("b", Some(difference))];
        let report = ConformReport::new(cases);
        assert!(!report.is_agreement());
        assert_eq!(
            report.to_string(),
            "agreed     a\n\
             disagreed  b\n    \
                 desiredReplicas at tick 3 (t=45)\n      \
                   expected  4\n      \
                   got       5\n      \
                   inputs    {\"t\":45}\n      \
                   | desired = 5\n\
             2 cases: 1 agreed, 1 disagreed\n"
        );
        let json = serde_json::to_value(&report).expect("a report is plain data");
        assert_eq!(json["format_version"], "1.0");
        assert_eq!(json["cases"][1]["difference"]["got"], 5);
        assert_eq!(json["cases"][0].get("difference"), None);
    }
}
