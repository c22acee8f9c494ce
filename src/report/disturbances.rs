//! Disturbances (faults and changes during the run), and the attribution of failures to them.

use std::collections::BTreeMap;

use super::build::{ReportInput, ServiceFacts};
use super::figures::{clock, count};
use super::model::{LogEntry, Report};
use cluster::Kind;
use traffic::{FailureCause, MinuteFigures};

/// Failures that begin within this many seconds of a disturbance are attributed to it.
const AFTERMATH: f64 = 300.0;

/// Disturbances no more than this many seconds apart are named together.
const SAME_TIME: f64 = 60.0;

/// Minimum share of the bad requests for which a second disturbance is named.
const NAMED: f64 = 0.02;

const AUTOSCALER: &str = "the autoscaler's lag";
const CRASH: &str = "a crash";
const OVERLOAD: &str = "overload";
const TOO_FEW_WORKERS: &str = "too few workers";
const NOT_LISTENING: &str = "pods that were not listening";
const NODE: &str = "a node";
const SPOT: &str = "a spot machine";

/// All disturbances of a run that may affect a service.
#[derive(Debug, Default)]
pub(super) struct Disturbances {
    /// In order of time.
    all: Vec<Disturbance>,
    /// True if an autoscaler scales the pods behind the service.
    is_scaled: bool,
    /// True if the pods take their requests from a work queue.
    is_work_queue: bool,
}

/// A log entry that can cause failed requests.
#[derive(Debug, PartialEq)]
struct Disturbance {
    /// Seconds from the start.
    at: f64,
    what: &'static str,
    /// Description.
    description: String,
}

/// The attributed cause of bad requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attribution {
    /// The kind of cause.
    pub what: &'static str,
    /// The disturbance's index, if it is one.
    position: Option<usize>,
}

impl Disturbances {
    pub fn of(report: &Report, service: &ServiceFacts, facts: ReportInput<'_>) -> Self {
        let workloads = &facts.recorder.workloads;
        let behind = service.workloads.iter().filter_map(|position| workloads.get(*position));
        let is_scaled = behind.clone().any(|one| one.hpa.is_some());
        let of_requests = |entry: &&LogEntry| {
            let Some((kind, name)) = entry.object.split_once(' ') else { return true };
            // Changes of objects that serve no requests, such as a CronJob, have no effect.
            !is_workload(kind)
                || report
                    .services
                    .iter()
                    .flat_map(|one| &one.workloads)
                    .any(|workload| workload.split_once('/') == Some((kind, name)))
        };
        let all = report.log.iter().filter(of_requests).filter_map(Disturbance::of);
        let is_work_queue = service.balancing.is_work_queue;
        Self { all: all.collect(), is_scaled, is_work_queue }
    }

    /// The bad requests of each minute with their attributed cause. `counts` has the bad and the total requests of each
    /// minute; `share` of them may be bad. An excess that begins with a disturbance is attributed to it for as long as
    /// it continues without a pause.
    pub(crate) fn blamed(
        &self,
        counts: &[(u64, u64)],
        minutes: &[MinuteFigures],
        allowed: f64,
    ) -> Vec<(Attribution, u64)> {
        let mut blamed = Vec::new();
        let mut began_with = None;
        let mut was_too_bad = false;
        for (number, ((bad, all), minute)) in counts.iter().zip(minutes).enumerate() {
            let is_too_bad = *bad as f64 > allowed * *all as f64;
            let from = number as f64 * 60.0;
            if !is_too_bad {
                began_with = None;
            } else if !was_too_bad {
                began_with = self.near(from);
            }
            was_too_bad = is_too_bad;
            if *bad > 0 {
                let blame = match self.blame(from, minute.cause, began_with) {
                    Attribution { what: OVERLOAD, .. } if minute.cause.is_none() && !is_too_bad => {
                        Attribution { what: "single slow requests", position: None }
                    }
                    blame => blame,
                };
                blamed.push((blame, *bad));
            }
        }
        blamed
    }

    /// Description of the causes of most bad requests, with the number of each if there are several; `None` if it is
    /// overload or a lack of workers alone, or stated by the failures themselves.
    pub fn cause(
        &self,
        counts: &[(u64, u64)],
        minutes: &[MinuteFigures],
        allowed: f64,
    ) -> Option<String> {
        let mut weights: BTreeMap<&str, (u64, Option<usize>)> = BTreeMap::new();
        let blamed = self.blamed(counts, minutes, allowed);
        let goes_on = lasts_beyond_rescales(&blamed);
        for (mut blame, bad) in blamed {
            if blame.what == AUTOSCALER && goes_on {
                blame.what = OVERLOAD;
            }
            let (weight, first) = weights.entry(blame.what).or_insert((0, blame.position));
            *weight += bad;
            *first = (*first).or(blame.position);
        }
        let bad: u64 = weights.values().map(|(weight, _)| weight).sum();
        let (what, (most, position)) = weights.iter().max_by_key(|(_, (weight, _))| *weight)?;
        let disturbance = |position: &Option<usize>| self.all.get((*position)?);
        match disturbance(position) {
            Some(cause) => {
                let said = format!("{} at {}", cause.description, clock(cause.at));
                let next = weights.iter().filter(|(other, (weight, position))| {
                    *other != what && *weight as f64 >= NAMED * bad as f64 && position.is_some()
                });
                let next = next.max_by_key(|(_, (weight, _))| *weight);
                let next =
                    next.and_then(|(_, (weight, position))| Some((weight, disturbance(position)?)));
                Some(match (self.beside(cause), next) {
                    (Some(beside), _) => {
                        format!("{said}, and {} at {}", beside.description, clock(beside.at))
                    }
                    (None, Some((weight, next))) => format!(
                        "{said} ({} of {} bad requests), and {} at {} ({})",
                        count(*most),
                        count(bad),
                        next.description,
                        clock(next.at),
                        count(*weight)
                    ),
                    (None, None) => said,
                })
            }
            None if *what == AUTOSCALER => Some("the autoscaler lagged behind the load".to_owned()),
            None if *what == NOT_LISTENING => {
                Some("pods were Ready before listening, or gone before clients noticed".to_owned())
            }
            None => None,
        }
    }

    /// A disturbance of another kind about the same time, which may have done as much: a node drained during a rollout.
    /// Crashes are left out, as they may follow from the disturbance itself.
    fn beside(&self, cause: &Disturbance) -> Option<&Disturbance> {
        let is_beside = |one: &&Disturbance| {
            one.what != cause.what
                && one.what != AUTOSCALER
                && one.what != CRASH
                && (one.at - cause.at).abs() <= SAME_TIME
        };
        self.all.iter().find(is_beside)
    }

    /// The attributed cause of a minute's bad requests, by priority: the failures' own cause, the last disturbance that
    /// can still have an effect, the disturbance with which the excess began, and overload.
    fn blame(
        &self,
        from: f64,
        cause: Option<FailureCause>,
        began_with: Option<usize>,
    ) -> Attribution {
        let plain = |what| Attribution { what, position: None };
        match cause {
            Some(FailureCause::ApplicationError) => return plain("errors of the application"),
            // The disturbance may have made the dependency fail.
            Some(FailureCause::Dependency) => {
                return Attribution {
                    what: "a dependency",
                    position: self.near(from).or(began_with),
                };
            }
            Some(FailureCause::Blocked) => return plain("a network policy"),
            Some(FailureCause::NoRoute | FailureCause::TooLong) => {
                return plain("requests that no pod can answer");
            }
            _ => {}
        }
        if let Some(position) = self.near(from).or(began_with) {
            return Attribution { what: self.all[position].what, position: Some(position) };
        }
        let scales = self.all.iter().any(|one| {
            one.what == AUTOSCALER && one.at > from - AFTERMATH && one.at < from + AFTERMATH
        });
        plain(match cause {
            Some(FailureCause::NoEndpoint) => "pods that were not ready",
            // The pods may be Ready: without a readiness probe a pod is Ready before it listens.
            Some(FailureCause::Refused) => NOT_LISTENING,
            Some(FailureCause::Killed) => "containers that stopped",
            Some(FailureCause::Unreachable) => "pods that did not respond",
            // Nobody is overloaded who takes one message after the other.
            _ if self.is_work_queue => TOO_FEW_WORKERS,
            _ if self.is_scaled && scales => AUTOSCALER,
            _ => OVERLOAD,
        })
    }

    /// The last disturbance that can have an effect in the minute beginning at `from`. Consequences of a lost node are
    /// attributed to its loss.
    fn near(&self, from: f64) -> Option<usize> {
        let is_near = |one: &Disturbance| {
            one.at < from + 60.0 && one.at > from - AFTERMATH && one.what != AUTOSCALER
        };
        let mut position = self.all.iter().rposition(is_near)?;
        while [NODE, SPOT].contains(&self.all[position].what) {
            let Disturbance { at, what, .. } = &self.all[position];
            let earlier = self.all[..position]
                .iter()
                .position(|one| one.what == *what && one.at > at - AFTERMATH);
            let Some(earlier) = earlier else { break };
            position = earlier;
        }
        Some(position)
    }
}

/// True if requests are about as bad in the minutes that no rescale is near: then the autoscaler's lag is not the cause.
fn lasts_beyond_rescales(blamed: &[(Attribution, u64)]) -> bool {
    let mean = |what: &str| {
        let bad = blamed.iter().filter(|(blame, _)| blame.what == what).map(|(_, bad)| *bad as f64);
        let (count, sum) = bad.fold((0.0, 0.0), |(count, sum), bad| (count + 1.0, sum + bad));
        if count > 0.0 { sum / count } else { 0.0 }
    };
    mean(OVERLOAD) >= 0.5 * mean(AUTOSCALER)
}

fn is_workload(kind: &str) -> bool {
    let workloads = [
        Kind::Deployment,
        Kind::Rollout,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Job,
        Kind::CronJob,
        Kind::ScaledJob,
    ];
    workloads.iter().any(|one| one.name() == kind)
}

impl Disturbance {
    fn of(entry: &LogEntry) -> Option<Self> {
        let (what, does) = match &*entry.reason {
            "Unhealthy" => ended_by_probe(&entry.message)?,
            reason => effect(&entry.actor, reason)?,
        };
        let object = entry.object.strip_prefix("File ").unwrap_or(&entry.object);
        let description = does.replace('…', object);
        Some(Self { at: entry.at_seconds, what, description })
    }
}

/// Likewise for containers that the kubelet ends because of a probe.
fn ended_by_probe(message: &str) -> Option<(&'static str, &'static str)> {
    [
        ("failed liveness probe", (CRASH, "a liveness probe of … failed and ended its container")),
        ("failed startup probe", (CRASH, "a startup probe of … failed and ended its container")),
    ]
    .into_iter()
    .find_map(|(words, effect)| message.contains(words).then_some(effect))
}

/// The kind of disturbance of a log entry and its description, with `…` for the object.
fn effect(actor: &str, reason: &str) -> Option<(&'static str, &'static str)> {
    Some(match (actor, reason) {
        (_, "SpotInterruption" | "SpotReclaimed") => (SPOT, "the cloud reclaimed …"),
        (_, "NodeKilled") => (NODE, "… was lost"),
        (_, "NodeNotReady") => (NODE, "… was not ready"),
        (_, "NodeDisconnected") => (NODE, "… was cut off"),
        (_, "KubeletStopped") => (NODE, "the kubelet of … stopped"),
        (_, "Maintenance") => (NODE, "… was drained"),
        (_, "TaintManagerEviction") | ("user", "Evicted") => (NODE, "… was evicted"),
        ("user", "ImageChanged") => ("a rollout", "the image of … changed"),
        ("user", "Restarted") => ("a rollout", "… was restarted"),
        ("user", "RolledBack") => ("a rollout", "… was rolled back"),
        ("user", "ScaledDown") => ("a change in replicas", "… was scaled down"),
        ("user", "Patched") => ("a rollout", "… was patched"),
        (_, "Applied") => ("a rollout", "… was applied"),
        (_, "ContainerCrashed") => (CRASH, "a container of … crashed"),
        (_, "Hangs") => (CRASH, "… hung"),
        (_, "ReadinessFails") => (CRASH, "the readiness probes of … failed"),
        ("kubelet", "BackOff") => (CRASH, "… was in back-off"),
        ("kubelet", "OOMKilling") => (CRASH, "… ran out of memory"),
        ("kubelet", "Evicted") => (CRASH, "the kubelet evicted …"),
        ("horizontal-pod-autoscaler", "SuccessfulRescale") => (AUTOSCALER, "… was scaled"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disturbances(all: &[(f64, &str, &str)]) -> Disturbances {
        let entry = |(at, object, reason): &(f64, &str, &str)| {
            Disturbance::of(&LogEntry {
                at_seconds: *at,
                actor: "user".to_owned(),
                object: (*object).to_owned(),
                reason: (*reason).to_owned(),
                message: String::new(),
                is_warning: false,
            })
        };
        Disturbances { all: all.iter().filter_map(entry).collect(), ..Disturbances::default() }
    }

    /// Failures per minute, with 100 requests each.
    fn failing(bad: &[u64]) -> (Vec<(u64, u64)>, Vec<MinuteFigures>) {
        let minute = |bad: &u64| MinuteFigures {
            answered: 100 - bad,
            failed: *bad,
            cause: Some(FailureCause::Timeout),
            ..MinuteFigures::default()
        };
        (bad.iter().map(|bad| (*bad, 100)).collect(), bad.iter().map(minute).collect())
    }

    fn blames(disturbances: &Disturbances, bad: &[u64]) -> Vec<&'static str> {
        let (counts, minutes) = failing(bad);
        let blamed = disturbances.blamed(&counts, &minutes, 0.05);
        blamed.iter().map(|(blame, _)| blame.what).collect()
    }

    #[test]
    fn failures_are_put_down_to_the_last_disturbance_before_them() {
        let disturbances =
            disturbances(&[(100.0, "Deployment a/b", "Patched"), (200.0, "Node n", "NodeKilled")]);
        let blame = |from, cause| disturbances.blame(from, Some(cause), None).what;
        assert_eq!(blame(60.0, FailureCause::Timeout), "a rollout");
        assert_eq!(blame(240.0, FailureCause::Timeout), "a node");
        assert_eq!(blame(600.0, FailureCause::Timeout), "overload");
        assert_eq!(blame(240.0, FailureCause::Dependency), "a dependency");
    }

    #[test]
    fn what_goes_on_without_a_pause_is_put_down_to_what_it_began_with() {
        let disturbances = disturbances(&[(70.0, "Deployment a/b", "ImageChanged")]);
        let rollout = "a rollout";
        assert_eq!(blames(&disturbances, &[0, 20, 20, 20, 20, 20, 20, 20, 20]), [rollout; 8]);
        // After a minute within the allowed share, a new outage begins.
        let description = blames(&disturbances, &[0, 20, 20, 20, 20, 20, 20, 5, 20]);
        assert_eq!(description, [&[rollout; 6][..], &["overload", "overload"]].concat());
        // An earlier excess is attributed to it only within its aftermath.
        let description = blames(&disturbances, &[20, 20, 20, 20, 20, 20, 20, 20, 20]);
        assert_eq!(description, [&["overload"], &[rollout; 6][..], &["overload"; 2]].concat());
    }

    #[test]
    fn a_few_slow_requests_of_a_minute_are_no_overload() {
        let (counts, mut minutes) = failing(&[3, 30]);
        for minute in &mut minutes {
            minute.cause = None;
        }
        let blamed = disturbances(&[]).blamed(&counts, &minutes, 0.05);
        let blamed: Vec<&str> = blamed.iter().map(|(blame, _)| blame.what).collect();
        assert_eq!(blamed, ["single slow requests", "overload"]);
    }

    #[test]
    fn what_goes_on_long_after_a_rescale_is_not_the_autoscalers_lag() {
        let rescaled = |bad: &[u64]| {
            let entry = LogEntry {
                at_seconds: 120.0,
                actor: "horizontal-pod-autoscaler".to_owned(),
                object: "Deployment a/b".to_owned(),
                reason: "SuccessfulRescale".to_owned(),
                message: String::new(),
                is_warning: false,
            };
            let all = Disturbance::of(&entry).into_iter().collect();
            let (counts, minutes) = failing(bad);
            Disturbances { all, is_scaled: true, ..Disturbances::default() }
                .cause(&counts, &minutes, 0.05)
        };
        let lag = rescaled(&[20, 20, 20, 0, 0, 0, 0, 0, 0]);
        assert_eq!(lag.as_deref(), Some("the autoscaler lagged behind the load"));
        assert_eq!(rescaled(&[20; 9]), None);
    }

    #[test]
    fn the_cause_is_told_with_its_object_and_its_instant() {
        let lost = [
            (360.0, "Node n", "NodeKilled"),
            (405.0, "Node n", "NodeNotReady"),
            (650.0, "Pod a/b", "TaintManagerEviction"),
        ];
        let (counts, minutes) = failing(&[0, 0, 0, 0, 0, 0, 30, 20, 20, 20, 20, 20]);
        let cause = disturbances(&lost).cause(&counts, &minutes, 0.05);
        assert_eq!(cause.as_deref(), Some("Node n was lost at 00:06:00"));
        assert_eq!(disturbances(&[]).cause(&counts, &minutes, 0.05), None);
        let both = [
            (360.0, "Deployment a/b", "Restarted"),
            (370.0, "Pod a/b", "Hangs"),
            (375.0, "Node n", "Maintenance"),
        ];
        let cause = disturbances(&both).cause(&counts, &minutes, 0.05);
        let told = "Node n was drained at 00:06:15, and Deployment a/b was restarted at 00:06:00";
        assert_eq!(cause.as_deref(), Some(told));
        let later = [(360.0, "Deployment a/b", "Restarted"), (421.0, "Node n", "Maintenance")];
        let cause = disturbances(&later).cause(&counts, &minutes, 0.05);
        let told = "Node n was drained at 00:07:01 (100 of 130 bad requests), and Deployment a/b was restarted at \
                    00:06:00 (30)";
        assert_eq!(cause.as_deref(), Some(told));
        let of_dependency = |minute: MinuteFigures| MinuteFigures {
            cause: Some(FailureCause::Dependency),
            ..minute
        };
        let minutes: Vec<MinuteFigures> = minutes.into_iter().map(of_dependency).collect();
        let cause = disturbances(&lost).cause(&counts, &minutes, 0.05);
        assert_eq!(cause.as_deref(), Some("Node n was lost at 00:06:00"));
    }
}
