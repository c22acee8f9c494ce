//! Messages about a run that need the user's attention.

use std::collections::BTreeMap;

use super::ReportInput;
use crate::figures::{causes, counted, number, percent, span};
use crate::model::{JobsReport, Notice, Report, Severity};
use crate::reasons;

/// Messages that need the user's attention, most severe first.
pub(super) fn attention(facts: ReportInput<'_>, report: &Report) -> Vec<Notice> {
    let mut found = Vec::new();
    let mut say = |severity, message| found.push(Notice { severity, message });
    for (track, workload) in facts.recorder.workloads.iter().zip(&report.workloads) {
        let name = &workload.workload;
        if workload.pods_without_node > 0 {
            let pods = counted(workload.pods_without_node, "pod");
            let now = track.waits_because.as_ref().map(|why| format!(": {why}"));
            let why = now.unwrap_or_else(|| last_words(report, name, "FailedScheduling"));
            let message = format!("{name}: {pods} still pending at the end of the run{why}");
            say(Severity::Failure, message);
        } else if workload.pending_pod_seconds >= 60.0 {
            let waited = span(workload.pending_pod_seconds);
            say(Severity::Warning, format!("{name}: pods were pending for {waited} in total"));
        }
        if workload.pods_not_ready > 0 {
            let missing = format!("{} of {} pods", workload.pods_not_ready, track.desired.value());
            let why = last_words(report, name, "FailedCreate");
            let message = format!("{name}: {missing} were not ready at the end of the run{why}");
            say(Severity::Failure, message);
        }
        if let Some(jobs) = &workload.jobs {
            jobs_attention(name, jobs, &mut say);
        }
        if workload.restarts > 0 {
            let restarts = counted(workload.restarts, "restart");
            say(Severity::Warning, format!("{name}: {restarts} of containers"));
        }
    }
    for (hpa, message) in stuck_autoscalers(facts, report) {
        say(Severity::Failure, format!("{hpa} cannot decide: {message}"));
    }
    for workload in report.workloads.iter().filter(|one| one.hpa_at_maximum_seconds > 0.0) {
        say(Severity::Warning, reasons::at_maximum(workload));
    }
    for service in &report.services {
        let failed: u64 = service.failed_by_cause.iter().map(|(_, count)| count).sum();
        if failed > 0 {
            let (name, causes) = (&service.service, causes(service));
            let share = match failed as f64 / (failed + service.answered) as f64 {
                nearly_all if nearly_all > 0.99 => percent(nearly_all),
                share => format!("{} %", number(share * 100.0)),
            };
            let failed = counted(failed, "request");
            say(Severity::Failure, format!("Service {name}: {failed} failed ({share}): {causes}"));
        }
        if service.arrived == 0 {
            say(Severity::Warning, format!("Service {}: no request arrived", service.service));
        }
    }
    for pool in &report.cost.unpriced {
        say(Severity::Ignored, format!("{pool} has no price and is left out of all costs"));
    }
    found.extend(facts.notes.iter().cloned());
    found.sort();
    found
}

/// HPAs with a warning that persists at the end of the run, with the last message.
fn stuck_autoscalers<'a>(facts: ReportInput<'_>, report: &'a Report) -> BTreeMap<&'a str, &'a str> {
    // An HPA syncs every 15 s by default; a minute exceeds any usual period.
    let since = facts.duration.as_secs_f64() - 60.0;
    let late = report.log.iter().filter(|entry| entry.at_seconds >= since);
    late.filter(|entry| entry.is_warning && entry.object.starts_with("HorizontalPodAutoscaler "))
        .map(|entry| (entry.object.as_str(), entry.message.as_str()))
        .collect()
}

/// Reports Jobs that did not complete.
fn jobs_attention(name: &str, jobs: &JobsReport, say: &mut impl FnMut(Severity, String)) {
    if jobs.failed > 0 {
        let reasons: Vec<String> =
            jobs.failures.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let (failed, created) = (jobs.failed, jobs.created);
        let reasons = reasons.join(", ");
        say(Severity::Failure, format!("{name}: {failed} of {created} Jobs failed: {reasons}"));
    }
    if jobs.deleted > 0 {
        let deleted = jobs.deleted;
        say(Severity::Warning, format!("{name}: {deleted} Jobs were deleted before they finished"));
    }
    // A Job that happens to be running is fine; one that never completes or piles up is not.
    if jobs.unfinished > 1 || (jobs.unfinished == 1 && jobs.complete == 0) {
        let unfinished = jobs.unfinished;
        let message = format!("{name}: {unfinished} Jobs were unfinished at the end of the run");
        say(Severity::Warning, message);
    }
}

/// The last message with this reason about the pods of a workload: `: 0/3 nodes are available: ...`; empty
/// if there is none.
fn last_words(report: &Report, workload: &str, reason: &str) -> String {
    let id = |workload: &str| workload.split_once('/').map_or("", |(_, id)| id).to_owned();
    let ids: Vec<String> = report.workloads.iter().map(|one| id(&one.workload)).collect();
    // Names of pods and ReplicaSets start with their owner's name; the longest match wins.
    let owner = |object: &str| {
        let name = object.split_once(' ').map_or(object, |(_, name)| name);
        let owners = ids.iter().filter(|id| {
            name.strip_prefix(id.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        });
        owners.max_by_key(|id| id.len()).cloned()
    };
    let mut entries = report.log.iter().rev().filter(|entry| entry.reason == reason);
    let last = entries.find(|entry| owner(&entry.object) == Some(id(workload)));
    last.map_or_else(String::new, |entry| format!(": {}", entry.message))
}
