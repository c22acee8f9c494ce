//! The section `metrics` of a starter scenario: the simulated measure for each metric that autoscalers query.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::yaml::{comment, joined, scalar};
use crate::inventory::{Inventory, QueriedMetric};
use cluster::{Kind, NamespacedName};
use metrics::Measure;

/// A metric that an autoscaler queries, with the measure that represents it.
struct Wanted<'a> {
    queried: &'a QueriedMetric,
    /// The metric's name without matchers.
    name: &'a str,
    /// The name with the matchers that follow it in a query.
    matched: Option<&'a str>,
    measure: Measure,
    service: &'a NamespacedName,
}

impl<'a> Wanted<'a> {
    /// `None` if no known measure represents it.
    fn of(queried: &'a QueriedMetric, inventory: &'a Inventory) -> Option<Self> {
        let (name, matched, measure) = measured(&queried.text)?;
        let behind = |service: &&NamespacedName| {
            inventory.workloads_behind(service).any(|behind| *behind == queried.target)
        };
        let service = inventory.services.keys().find(behind)?;
        let target = inventory.workloads.get(&queried.target);
        let serves_tokens = target.is_some_and(|pods| pods.server.is_some());
        let is_there = serves_tokens || !measure.is_of_language_models();
        is_there.then_some(Self { queried, name, matched, measure, service })
    }

    fn is_query(&self) -> bool {
        self.queried.autoscaler.kind == Kind::ScaledObject
    }

    /// The rule's name. A KEDA trigger reads the rule with the longest name in its query, so the matchers
    /// distinguish Services.
    fn rule_name(&self, all: &[Self]) -> &'a str {
        let mut others = all.iter().filter(|other| other.service != self.service);
        let is_shared = others.any(|other| other.name == self.name);
        let matched = self.matched.filter(|_| is_shared && self.is_query());
        matched.unwrap_or(self.name)
    }

    /// Other Services that the query may match as well.
    fn rivals(&self, all: &[Self]) -> BTreeSet<&'a NamespacedName> {
        let name = self.rule_name(all);
        let may_be_meant = |other: &&Self| {
            let mut labels = self.queried.labels.iter();
            let has_labels =
                labels.all(|(key, value)| other.queried.labels.get(key) == Some(value));
            other.service != self.service && other.rule_name(all) == name && has_labels
        };
        let others = all.iter().filter(may_be_meant).map(|other| other.service);
        others.filter(|_| self.queried.is_external).collect()
    }

    fn rule(&self, name: &str) -> String {
        let measure = serde_json::to_value(self.measure).unwrap_or_default();
        let measure = measure.as_str().unwrap_or_default();
        let labels = self.queried.labels.iter();
        let labels: Vec<String> =
            labels.map(|(key, value)| format!("{}: {}", scalar(key), scalar(value))).collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!(", labels: {{{}}}", labels.join(", "))
        };
        format!(
            "    - {{name: {}, measure: {measure}, service: {}{labels}}}     # {}\n",
            scalar(name),
            self.service,
            comment(&self.queried.autoscaler.to_string())
        )
    }
}

/// Writes the section `metrics`: the metrics besides CPU and memory that the adapter serves to autoscalers.
pub(super) fn write_metrics(out: &mut String, inventory: &Inventory) -> fmt::Result {
    let mut wanted = Vec::new();
    let mut unknown = Vec::new();
    for queried in &inventory.queried_metrics {
        match Wanted::of(queried, inventory) {
            Some(one) => wanted.push(one),
            None => unknown.push(format!("{} queries {}", queried.autoscaler, queried.text)),
        }
    }
    if wanted.is_empty() && unknown.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n# GUESS: the meaning of autoscalers' metrics, inferred from their names.")?;
    for queried in &unknown {
        let queried = comment(queried);
        writeln!(out, "# No known source for this metric; add one if there is any: {queried}")?;
    }
    if wanted.is_empty() {
        return writeln!(out, "metrics: {{}}");
    }
    let mut rules = BTreeMap::new();
    for one in &wanted {
        let name = one.rule_name(&wanted);
        rules.entry((name, one.service)).or_insert_with(|| one.rule(name));
        let rivals: Vec<_> = one.rivals(&wanted).into_iter().collect();
        if !rivals.is_empty() {
            let queried = comment(&format!("{name} of {}", one.queried.autoscaler));
            let (own, others) = (one.service, joined(&rivals, ", "));
            writeln!(
                out,
                "# The query {queried} matches {own} and also {others}: it may scale on their values."
            )?;
        }
    }
    writeln!(out, "metrics:\n  custom:")?;
    rules.values().try_for_each(|rule| out.write_str(rule))
}

/// The first known metric name in a text: the name, the name with the matchers that follow it, and its measure.
fn measured(text: &str) -> Option<(&str, Option<&str>, Measure)> {
    let is_name = |one: char| one.is_alphanumeric() || one == '_' || one == ':';
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let from = &rest[start..];
        let end = from.find(|one| !is_name(one)).unwrap_or(from.len());
        if let Some(measure) = measure(&from[..end]) {
            let matchers = matchers_end(&from[end..]);
            return Some((&from[..end], matchers.map(|length| &from[..end + length]), measure));
        }
        rest = &from[end..];
    }
    None
}

/// End of the matchers `{...}` with which a text begins.
fn matchers_end(text: &str) -> Option<usize> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut quote = None;
    let mut is_escaped = false;
    for (position, one) in text.char_indices() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if one == '\\' => is_escaped = true,
            Some(open) if one == open => quote = None,
            None if matches!(one, '"' | '\'' | '`') => quote = Some(one),
            None if one == '}' => return Some(position + 1),
            _ => {}
        }
    }
    None
}

/// The measure of a metric or query, recognized by the names that inference servers, GPU exporters and web servers
/// use.
fn measure(name: &str) -> Option<Measure> {
    const NAMES: [(&str, Measure); 19] = [
        ("num_requests_waiting", Measure::QueueDepth),
        ("num_queue_reqs", Measure::QueueDepth),
        ("queue_size", Measure::QueueDepth),
        ("queue_depth", Measure::QueueDepth),
        ("num_requests_running", Measure::Concurrency),
        ("num_running_reqs", Measure::Concurrency),
        ("batch_current_size", Measure::Concurrency),
        ("cache_usage", Measure::KvCacheUsage),
        ("token_usage", Measure::KvCacheUsage),
        ("generation_tokens", Measure::TokensPerSecond),
        ("prompt_tokens", Measure::PromptTokensPerSecond),
        ("gpu_util", Measure::GpuUtilization),
        ("gpu_duty_cycle", Measure::GpuUtilization),
        ("success-rate", Measure::SuccessRate),
        ("error-rate", Measure::ErrorRate),
        ("requests_per_second", Measure::RequestsPerSecond),
        ("http_requests", Measure::RequestsPerSecond),
        ("request_rate", Measure::RequestsPerSecond),
        ("requests_in_flight", Measure::Concurrency),
    ];
    let name = name.to_lowercase();
    NAMES.iter().find(|(part, _)| name.contains(part)).map(|(_, measure)| *measure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_known_by_the_names_that_servers_give_them() {
        for (name, known) in [
            ("vllm:num_requests_waiting", Some(Measure::QueueDepth)),
            ("vllm_num_requests_running", Some(Measure::Concurrency)),
            ("vllm:gpu_cache_usage_perc", Some(Measure::KvCacheUsage)),
            ("vllm:kv_cache_usage_perc", Some(Measure::KvCacheUsage)),
            ("DCGM_FI_DEV_GPU_UTIL", Some(Measure::GpuUtilization)),
            ("orders_open", None),
        ] {
            assert_eq!(measure(name), known, "{name}");
        }
    }

    #[test]
    fn a_metric_is_found_in_a_query_with_its_matchers() {
        for (query, name, matched) in [
            ("sum(rate(queue_size[1m]))", "queue_size", None),
            (
                r#"sum(queue_size{a="}\"",b='x'}) > 1"#,
                "queue_size",
                Some(r#"queue_size{a="}\"",b='x'}"#),
            ),
            ("up * queue_size {a=\"b\"}", "queue_size", Some("queue_size {a=\"b\"}")),
            ("queue_size{a=\"b", "queue_size", None),
        ] {
            let found = measured(query).map(|(name, matched, _)| (name, matched));
            assert_eq!(found, Some((name, matched)), "{query}");
        }
        assert!(measured("sum(orders_open)").is_none());
    }
}
