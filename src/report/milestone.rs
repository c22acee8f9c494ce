//! Selects the log entries that summarize a run. The complete log stays in the report; this only selects entries for
//! a short text or a chart.

use std::collections::{BTreeMap, BTreeSet};

use super::figures::counted;
use super::model::LogEntry;

/// Similar entries that follow each other within this time are merged.
const SAME_STORY_SECONDS: f64 = 300.0;
/// A pod created within this time of an eviction in its namespace counts as a replacement.
const REPLACED_SECONDS: f64 = 60.0;

/// Reasons to show a log entry, most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Milestone {
    /// A node was removed or stopped responding.
    NodeLost,
    /// The scenario or the user changed something: an image, a manifest, a fault.
    Change,
    /// A node joined or recovered.
    NodeJoined,
    /// A pod was evicted or preempted.
    Eviction,
    /// A warning.
    Trouble,
    /// A node autoscaler requested or removed nodes.
    NodeScaling,
    /// A pod was created to replace an evicted or preempted one.
    Replacement,
    /// An autoscaler changed a workload's replicas.
    Rescale,
}

/// Log entries merged into one.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode<'a> {
    /// Reason to show it.
    pub milestone: Milestone,
    /// The earliest entry.
    pub first: &'a LogEntry,
    /// Total number of entries.
    pub lines: u64,
    /// The objects concerned.
    pub objects: BTreeSet<&'a str>,
    /// True if all messages equal the first.
    pub is_one_message: bool,
    /// Time of the last entry, seconds from the start.
    pub last_at_seconds: f64,
}

impl Milestone {
    /// Classifies an entry by the `reason` of its Kubernetes Event. `None` for the creation of initial objects.
    pub fn of(entry: &LogEntry) -> Option<Self> {
        if entry.at_seconds <= 0.0 {
            return None;
        }
        match entry.reason.as_str() {
            // The node lifecycle controller writes an Event NodeNotReady about each pod, too.
            "NodeNotReady" if entry.object.starts_with("Pod ") => None,
            "NodeNotReady" | "RemovingNode" | "DeletingNode" => Some(Self::NodeLost),
            "NodeReady" | "RegisteredNode" => Some(Self::NodeJoined),
            // A cancelled taint eviction evicts nothing.
            "TaintManagerEviction" if entry.message.starts_with("Cancelling") => None,
            "Evicted" | "TaintManagerEviction" | "Preempted" => Some(Self::Eviction),
            "SuccessfulRescale" => Some(Self::Rescale),
            "TriggeredScaleUp" | "ScaleDown" | "Launched" | "DisruptionTerminating" => {
                Some(Self::NodeScaling)
            }
            _ if matches!(entry.actor.as_str(), "scenario" | "user") => Some(Self::Change),
            _ if entry.is_warning => Some(Self::Trouble),
            _ => None,
        }
    }
}

/// The most important episodes of a log, at most `limit`, in order of time; and the number left out.
pub(crate) fn episodes(log: &[LogEntry], limit: usize) -> (Vec<Episode<'_>>, usize) {
    let mut episodes: Vec<Episode<'_>> = Vec::new();
    let mut evicted_at: BTreeMap<&str, f64> = BTreeMap::new();
    for entry in log {
        let of_entry = Milestone::of(entry).or_else(|| {
            let at = evicted_at.get(namespace(entry))?;
            let is_soon = entry.at_seconds - at <= REPLACED_SECONDS;
            (entry.reason == "SuccessfulCreate" && is_soon).then_some(Milestone::Replacement)
        });
        let Some(milestone) = of_entry else { continue };
        if milestone == Milestone::Eviction {
            evicted_at.insert(namespace(entry), entry.at_seconds);
        }
        let goes_on = |episode: &&mut Episode<'_>| {
            episode.milestone == milestone
                && is_same_story(milestone, episode.first, entry)
                && entry.at_seconds - episode.last_at_seconds <= SAME_STORY_SECONDS
        };
        // Each rescale is a separate decision.
        let open = episodes.iter_mut().rev().take(limit).find(goes_on);
        match open.filter(|_| milestone != Milestone::Rescale) {
            Some(episode) => {
                episode.lines += 1;
                episode.objects.insert(&entry.object);
                episode.is_one_message &= episode.first.message == entry.message;
                episode.last_at_seconds = entry.at_seconds;
            }
            None => episodes.push(Episode {
                milestone,
                first: entry,
                lines: 1,
                objects: BTreeSet::from([entry.object.as_str()]),
                is_one_message: true,
                last_at_seconds: entry.at_seconds,
            }),
        }
    }
    let left_out = episodes.len().saturating_sub(limit);
    episodes.sort_by_key(|episode| episode.milestone);
    episodes.truncate(limit);
    episodes.sort_by(|one, other| one.first.at_seconds.total_cmp(&other.first.at_seconds));
    (episodes, left_out)
}

/// True if two entries report the same for objects of one kind. Changes by the user must also have the same message.
fn is_same_story(milestone: Milestone, one: &LogEntry, other: &LogEntry) -> bool {
    let is_told_alike = milestone != Milestone::Change || one.message == other.message;
    is_told_alike
        && one.reason == other.reason
        && one.actor == other.actor
        && kind(one) == kind(other)
}

fn namespace(entry: &LogEntry) -> &str {
    let name = entry.object.split(' ').nth(1).unwrap_or_default();
    name.split_once('/').map_or("", |(namespace, _)| namespace)
}

fn kind(entry: &LogEntry) -> &str {
    entry.object.split(' ').next().unwrap_or_default()
}

impl Episode<'_> {
    /// The object, or the number of objects.
    pub fn about(&self) -> String {
        match self.objects.len() {
            // Subjects that are not API objects, such as the cloud, have only a name.
            1 => {
                let object = &self.first.object;
                object.strip_prefix("File ").unwrap_or(object).to_owned()
            }
            many => counted(many as u64, kind(self.first)),
        }
    }

    /// The common message, or the first one if they differ; with several objects, also names the first.
    pub fn message(&self) -> String {
        let LogEntry { object, message, .. } = self.first;
        let name = object.strip_prefix(kind(self.first)).unwrap_or(object).trim_start();
        match (self.objects.len(), self.is_one_message) {
            (1, true) => message.clone(),
            (1, false) => format!("first: {message}"),
            (_, true) => format!("{name} and others: {message}"),
            (_, false) => format!("{name} first: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_seconds: f64, actor: &str, object: &str, reason: &str) -> LogEntry {
        LogEntry {
            at_seconds,
            actor: actor.to_owned(),
            object: object.to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            is_warning: reason.starts_with("Failed"),
        }
    }

    #[test]
    fn repeated_warnings_are_one_episode_and_rescales_are_not() {
        let log = [
            line(0.0, "user", "Deployment web/web", "Apply"),
            line(10.0, "default-scheduler", "Pod web/a", "FailedScheduling"),
            line(11.0, "horizontal-pod-autoscaler", "Deployment web/web", "SuccessfulRescale"),
            line(12.0, "default-scheduler", "Pod web/b", "FailedScheduling"),
            line(13.0, "kubelet", "Pod web/a", "Pulled"),
            line(26.0, "horizontal-pod-autoscaler", "Deployment web/web", "SuccessfulRescale"),
            line(900.0, "default-scheduler", "Pod web/c", "FailedScheduling"),
        ];
        let (episodes, left_out) = episodes(&log, 10);
        let summaries: Vec<_> = episodes.iter().map(|e| (e.first.at_seconds, e.lines)).collect();
        assert_eq!(summaries, [(10.0, 2), (11.0, 1), (26.0, 1), (900.0, 1)]);
        assert_eq!(left_out, 0);
    }

    #[test]
    fn an_episode_goes_on_as_long_as_its_lines_follow_each_other() {
        let times = (0..6).map(|number| 10.0 + 200.0 * f64::from(number));
        let log: Vec<_> = times
            .map(|at| line(at, "default-scheduler", "Pod web/a", "FailedScheduling"))
            .collect();
        let (episodes, _) = episodes(&log, 10);
        assert_eq!((episodes.len(), episodes[0].lines), (1, 6));
    }

    #[test]
    fn evictions_are_told_with_the_pods_that_are_made_in_their_place() {
        let made = |at| line(at, "replicaset-controller", "ReplicaSet web/a", "SuccessfulCreate");
        let log = [
            made(5.0),
            line(300.0, "taint-eviction-controller", "Pod web/x", "TaintManagerEviction"),
            made(301.0),
            line(302.0, "replicaset-controller", "ReplicaSet other/b", "SuccessfulCreate"),
            made(900.0),
        ];
        let (episodes, _) = episodes(&log, 10);
        let summaries: Vec<_> =
            episodes.iter().map(|e| (e.milestone, e.first.at_seconds)).collect();
        assert_eq!(summaries, [(Milestone::Eviction, 300.0), (Milestone::Replacement, 301.0)]);
    }

    #[test]
    fn an_eviction_that_was_called_off_is_none() {
        let off = LogEntry {
            message: "Cancelling deletion of Pod web/x".to_owned(),
            ..line(300.0, "taint-eviction-controller", "Pod web/x", "TaintManagerEviction")
        };
        assert_eq!(Milestone::of(&off), None);
    }

    #[test]
    fn lines_of_several_objects_are_told_with_their_number_and_in_words_that_all_say() {
        let entry_at = |at, object, message: &str| LogEntry {
            message: message.to_owned(),
            ..line(at, "default-scheduler", object, "FailedScheduling")
        };
        let log = [
            entry_at(1.0, "Pod a/x", "0/1 nodes"),
            entry_at(2.0, "Pod a/y", "0/1 nodes"),
            entry_at(3.0, "Pod a/x", "0/1 nodes"),
        ];
        let (same, _) = episodes(&log, 10);
        assert_eq!((same.len(), same[0].lines), (1, 3));
        assert_eq!(
            (same[0].about().as_str(), same[0].message().as_str()),
            ("2 Pods", "a/x and others: 0/1 nodes")
        );
        let mixed = [log[0].clone(), entry_at(4.0, "Pod a/x", "0/2 nodes")];
        let (mixed, _) = episodes(&mixed, 10);
        assert_eq!(
            (mixed[0].about().as_str(), mixed[0].message().as_str()),
            ("Pod a/x", "first: 0/1 nodes")
        );
    }

    #[test]
    fn changes_in_different_words_are_told_apart() {
        let change = |at, message: &str| LogEntry {
            message: message.to_owned(),
            ..line(at, "user", "Deployment a/a", "ImageChanged")
        };
        let log = [change(1.0, "image set to a:2"), change(2.0, "image set to a:bad")];
        assert_eq!(episodes(&log, 10).0.len(), 2);
    }

    #[test]
    fn a_lost_node_is_told_before_rescales_when_room_is_short() {
        let mut log: Vec<_> = (1..20)
            .map(|second| line(f64::from(second), "hpa", "Deployment a/b", "SuccessfulRescale"))
            .collect();
        log.push(line(30.0, "node-controller", "Node n1", "NodeNotReady"));
        let (episodes, left_out) = episodes(&log, 3);
        let reasons: Vec<_> = episodes.iter().map(|e| e.first.reason.as_str()).collect();
        assert_eq!(reasons, ["SuccessfulRescale", "SuccessfulRescale", "NodeNotReady"]);
        assert_eq!(left_out, 17);
    }
}
