//! Errors of table rows, worded as in the recordings.

use serde_json::{Value, json};

use controllers::hpa::{MetricProblem, SelectorProblem, SyncError};

const CALL_FAILED: &str = "the metrics API call failed";
/// Error for an API without any value.
pub(super) const EMPTY_ANSWER: &str = "the metrics API answered with an empty list";
const UNKNOWN_SOURCE: &str = "unknown metric source type";
const NO_POD: &str = "the selector matches no pod";
/// Error for pods without a request.
pub(super) const MISSING_REQUEST: &str = "a container has no request for the resource";
const NO_SELECTOR: &str = "the scale has no selector";
const UNPARSABLE_SELECTOR: &str = "the selector does not parse";
const AMBIGUOUS: &str = "the pods are selected by more than one HPA";
const WRITE_FAILED: &str = "writing the scale failed";
const KNOWN_ERRORS: [&str; 9] = [
    CALL_FAILED,
    EMPTY_ANSWER,
    UNKNOWN_SOURCE,
    NO_POD,
    MISSING_REQUEST,
    NO_SELECTOR,
    UNPARSABLE_SELECTOR,
    AMBIGUOUS,
    WRITE_FAILED,
];

/// The recording's text for the error of a sync; empty for errors that it has no text for.
pub(super) fn sync_error(error: Option<&SyncError>) -> Option<&'static str> {
    Some(match error? {
        SyncError::GetScaleFailed => "",
        SyncError::SelectorUnusable(SelectorProblem::Missing) => NO_SELECTOR,
        SyncError::SelectorUnusable(SelectorProblem::Invalid) => UNPARSABLE_SELECTOR,
        SyncError::SelectorUnusable(SelectorProblem::Ambiguous) => AMBIGUOUS,
        SyncError::MetricsFailed(error) | SyncError::PartialMetricsFailure(error) => {
            metric_error(&error.problem)
        }
        SyncError::RescaleFailed => WRITE_FAILED,
    })
}

/// The recording's text for a problem with a metric; empty for problems that it has no text for.
pub(super) fn metric_error(problem: &MetricProblem) -> &'static str {
    match problem {
        MetricProblem::UnknownSource => UNKNOWN_SOURCE,
        MetricProblem::CallFailed(_) => CALL_FAILED,
        MetricProblem::EmptyAnswer => EMPTY_ANSWER,
        MetricProblem::NoPods => NO_POD,
        MetricProblem::MissingRequest { .. } => MISSING_REQUEST,
        MetricProblem::NoTarget
        | MetricProblem::NoUsableSample
        | MetricProblem::NoKnownPods
        | MetricProblem::MissingPodLevelRequest { .. }
        | MetricProblem::NoSuchContainer { .. } => "",
    }
}

/// Our error in the recording's words; the recorded text if both fail and either has no name here.
pub(super) fn error_answer(error: Option<&'static str>, expected: &Value) -> Value {
    match (error, expected.as_str()) {
        (Some(ours), Some(text)) if ours.is_empty() || !KNOWN_ERRORS.contains(&text) => {
            expected.clone()
        }
        (error, _) => json!(error),
    }
}
