//! The section `metrics` of a starter scenario: which measure stands for what autoscalers ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::yaml::{comment, joined, scalar};
use crate::inventory::{Inventory, MetricAsked};
use cluster::{Kind, NamespacedName};
use metrics::Measure;

/// A metric that an autoscaler asks for, and what is known to stand for it.
struct Wanted<'a> {
    asked: &'a MetricAsked,
    /// Its name alone.
    name: &'a str,
    /// The name with the matchers that a query has behind it.
    matched: Option<&'a str>,
    measure: Measure,
    service: &'a NamespacedName,
}

impl<'a> Wanted<'a> {
    /// Nothing if no measure is known to stand for it.
    fn of(asked: &'a MetricAsked, inventory: &'a Inventory) -> Option<Self> {
        let (name, matched, measure) = measured(&asked.text)?;
        let behind = |service: &&NamespacedName| {
            inventory.workloads_behind(service).any(|behind| *behind == asked.target)
        };
        let service = inventory.services.keys().find(behind)?;
        let target = inventory.workloads.get(&asked.target);
        let serves_tokens = target.is_some_and(|pods| pods.server.is_some());
        let is_there = serves_tokens || !measure.is_of_language_models();
        is_there.then_some(Self { asked, name, matched, measure, service })
    }

    fn is_query(&self) -> bool {
        self.asked.autoscaler.kind == Kind::ScaledObject
    }

    /// The rule's name. A trigger of KEDA reads the rule of the longest name in its query, so that the matchers
    /// tell one Service from another.
    fn rule_name(&self, all: &[Self]) -> &'a str {
        let mut others = all.iter().filter(|other| other.service != self.service);
        let is_shared = others.any(|other| other.name == self.name);
        let matched = self.matched.filter(|_| is_shared && self.is_query());
        matched.unwrap_or(self.name)
    }

    /// Other Services that what is asked for may mean as well.
    fn rivals(&self, all: &[Self]) -> BTreeSet<&'a NamespacedName> {
        let name = self.rule_name(all);
        let may_be_meant = |other: &&Self| {
            let mut asked = self.asked.labels.iter();
            let has_labels = asked.all(|(key, value)| other.asked.labels.get(key) == Some(value));
            other.service != self.service && other.rule_name(all) == name && has_labels
        };
        let others = all.iter().filter(may_be_meant).map(|other| other.service);
        others.filter(|_| self.asked.is_external).collect()
    }

    fn rule(&self, name: &str) -> String {
        let measure = serde_json::to_value(self.measure).unwrap_or_default();
        let measure = measure.as_str().unwrap_or_default();
        let labels = self.asked.labels.iter();
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
            comment(&self.asked.autoscaler.to_string())
        )
    }
}

/// The section `metrics`: what the adapter serves to autoscalers that ask for more than CPU and memory.
pub(super) fn write_metrics(out: &mut String, inventory: &Inventory) -> fmt::Result {
    let mut wanted = Vec::new();
    let mut unknown = Vec::new();
    for asked in &inventory.metrics_asked {
        match Wanted::of(asked, inventory) {
            Some(one) => wanted.push(one),
            None => unknown.push(format!("{} asks for {}", asked.autoscaler, asked.text)),
        }
    }
    if wanted.is_empty() && unknown.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n# GUESS by their names: what the metrics are that autoscalers ask for.")?;
    for asked in &unknown {
        let asked = comment(asked);
        writeln!(out, "# No source for this metric; add one if there is: {asked}")?;
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
            let asked = comment(&format!("{} asks for, {name},", one.asked.autoscaler));
            let (own, others) = (one.service, joined(&rivals, ", "));
            writeln!(
                out,
                "# What {asked} does not tell {own} from {others}: it may scale on theirs."
            )?;
        }
    }
    writeln!(out, "metrics:\n  custom:")?;
    rules.values().try_for_each(|rule| out.write_str(rule))
}

/// The first name of a text that is known to measure something: alone, with the matchers behind it, and what it
/// measures.
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

/// Where the matchers `{...}` end that a text begins with.
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

/// What the name of a metric, or a name in a query, measures; by the names that inference servers, exporters of
/// GPUs and web servers give.
fn measure(name: &str) -> Option<Measure> {
    const NAMES: [(&str, Measure); 17] = [
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
