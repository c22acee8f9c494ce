//! Recorded objects. They are parsed like manifests, but without admission plugins, which the recorded clusters did
//! not have; fields that manifests cannot contain are set afterwards.

use jiff::Timestamp;
use serde_json::{Value, json};

use cluster::Action;
use cluster::action::PodDeletion;
use cluster::node::{ConditionStatus, NodeId};
use cluster::pod::{PodId, PodPhase};
use engine::SimTime;
use manifest::{Diagnostic, Diagnostics, Object, Severity, read_value, stored};

/// Parses an object. `at` is its path in the case.
pub(crate) fn object(object: &Value, at: &str) -> Result<Object, String> {
    let mut problems = Diagnostics::default();
    let loaded = stored(read_value(object.clone(), at, &mut problems));
    problems.append(loaded.diagnostics);
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let told = |error: &Diagnostic| format!("{at}.{}: {}", error.field, error.message);
    let errors: Vec<String> = errors.map(told).collect();
    if !errors.is_empty() {
        return Err(errors.join("; "));
    }
    let object = loaded.objects.into_iter().next();
    object.ok_or_else(|| format!("{at}: is of a kind that is not simulated"))
}

/// The same for an object whose kind is given separately.
pub(crate) fn object_of(
    (api_version, kind): (&str, &str),
    mut given: Value,
    at: &str,
) -> Result<Object, String> {
    let Value::Object(fields) = &mut given else {
        return Err(format!("{at}: must be an object, the {kind}"));
    };
    fields.insert("apiVersion".to_owned(), json!(api_version));
    fields.insert("kind".to_owned(), json!(kind));
    object(&given, at)
}

/// The past of a running pod since its creation, as actions with their times.
pub(crate) fn life(
    pod: PodId,
    node: NodeId,
    started: Option<SimTime>,
    deletion: Option<PodDeletion>,
    now: SimTime,
) -> impl Iterator<Item = (SimTime, Action)> {
    let started = started.map(|at| (at, Action::StartPod(pod)));
    let deletion = deletion.map(|deletion| (now, Action::DeletePod(pod, deletion)));
    [(now, Action::BindPod(pod, node))]
        .into_iter()
        .chain(started)
        .chain([(now, Action::SetPodPhase(pod, PodPhase::Running))])
        .chain(deletion)
}

/// The simulated time of a date; `zero` is the date of time zero.
pub(crate) fn time(date: &str, zero: &str) -> Result<SimTime, String> {
    let parse = |text: &str| {
        text.parse::<Timestamp>().map_err(|error| format!("{text:?} is not a date: {error}"))
    };
    Ok(SimTime::from_secs(parse(date)?.as_second() - parse(zero)?.as_second()))
}

/// `status.phase` of a pod: Unknown if the recording does not set it.
pub(crate) fn phase(text: &str) -> PodPhase {
    use PodPhase::{Failed, Pending, Running, Succeeded, Unknown};
    let known = [Pending, Running, Succeeded, Failed];
    known.into_iter().find(|phase| phase.as_str() == text).unwrap_or(Unknown)
}

/// `status` of a condition.
pub(crate) fn condition_status(text: &str) -> ConditionStatus {
    match text {
        "True" => ConditionStatus::True,
        "False" => ConditionStatus::False,
        _ => ConditionStatus::Unknown,
    }
}
