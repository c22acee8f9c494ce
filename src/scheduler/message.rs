//! Texts of the Scheduled and FailedScheduling events (`framework.FitError`, 1.36), and their truncation.

use std::collections::BTreeMap;

use super::cycle::Diagnosis;
use super::framework::{Reason, Refusal};
use cluster::NamespacedName;

/// Message if there are no nodes.
const NO_NODES: &str = "no nodes available to schedule pods";
/// Length in bytes to which events truncate their messages (`message.NoteLengthLimit`).
const NOTE_LENGTH_LIMIT: usize = 1024;

/// Message about a pod's placement.
pub fn assigned(pod: &NamespacedName, node: &str) -> String {
    // Concatenated, because this runs for every pod and `format!` is several times slower.
    ["Successfully assigned ", &pod.namespace, "/", &pod.name, " to ", node].concat()
}

/// `0/N nodes are available:`, followed by the number of nodes per reason and the message of PostFilter.
pub(crate) fn fit_error(diagnosis: &Diagnosis, post_filter: &str) -> String {
    if diagnosis.node_count == 0 {
        return NO_NODES.to_owned();
    }
    let head = if let Some(refused) = &diagnosis.pre_filter {
        let reasons: Vec<String> = refused.refusal.texts().collect();
        format!("{} {}.", nodes_available(diagnosis.node_count), reasons.join(", "))
    } else {
        let rejected = diagnosis.rejected.iter().map(|rejection| &rejection.refusal);
        histogram(diagnosis.node_count, rejected, diagnosis.of_absent().as_ref())
    };
    if post_filter.is_empty() { head } else { format!("{head} {post_filter}") }
}

/// `0/N nodes are available: 2 Insufficient cpu, ...`: the count of each reason among these refusals,
/// with `absent` as the refusal of each further node. Sorted as text, so that 10 comes before 2.
pub fn histogram<'a>(
    node_count: usize,
    refusals: impl Iterator<Item = &'a Refusal>,
    absent: Option<&Refusal>,
) -> String {
    histogram_of_counts(node_count, refusals.map(|refusal| (refusal, 1)), absent)
}

/// The same of refusals of which each comes so often.
pub(crate) fn histogram_of_counts<'a>(
    node_count: usize,
    refusals: impl Iterator<Item = (&'a Refusal, usize)>,
    absent: Option<&Refusal>,
) -> String {
    let mut counts: BTreeMap<&Reason, usize> = BTreeMap::new();
    let mut explicit = 0;
    for (refusal, nodes) in refusals {
        explicit += nodes;
        for reason in &refusal.reasons {
            *counts.entry(reason).or_default() += nodes;
        }
    }
    if explicit < node_count {
        for reason in absent.iter().flat_map(|refusal| &refusal.reasons) {
            *counts.entry(reason).or_default() += node_count - explicit;
        }
    }
    let mut parts: Vec<String> =
        counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort_unstable();
    let head = nodes_available(node_count);
    if parts.is_empty() { head } else { format!("{head} {}.", parts.join(", ")) }
}

fn nodes_available(node_count: usize) -> String {
    format!("0/{node_count} nodes are available:")
}

/// A message truncated as in events (`truncateMessage`).
pub(super) fn cut(message: &str) -> String {
    const SUFFIX: &str = " ...";
    if message.len() <= NOTE_LENGTH_LIMIT {
        return message.to_owned();
    }
    let mut end = NOTE_LENGTH_LIMIT - SUFFIX.len();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{SUFFIX}", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted_as_text() {
        let cpu = Refusal::unschedulable("Insufficient cpu");
        let taint = Refusal::unresolvable("node(s) had untolerated taint(s)");
        let refusals: Vec<&Refusal> = std::iter::repeat_n(&cpu, 2).chain([&taint; 10]).collect();
        let text = histogram(12, refusals.into_iter(), None);
        assert_eq!(
            text,
            "0/12 nodes are available: 10 node(s) had untolerated taint(s), 2 Insufficient cpu."
        );
        let absent = Refusal::unresolvable("Preemption is not helpful for scheduling");
        let text = histogram(3, [&cpu].into_iter(), Some(&absent));
        assert_eq!(
            text,
            "0/3 nodes are available: 1 Insufficient cpu, 2 Preemption is not helpful for \
             scheduling."
        );
    }
}
