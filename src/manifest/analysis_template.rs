//! AnalysisTemplates and ClusterAnalysisTemplates of Argo Rollouts (`argoproj.io/v1alpha1`, 1.9.1).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::definitions::{IntOrStringFields, ObjectMetaFields};
use super::field::{FieldErrors, FieldPath};
use super::rollout::{AnalysisTemplateRef, DryRun, reference};
use cluster::Name;
use cluster::analysis::{AnalysisTemplateSpec, MetricTemplate};
use engine::parse_duration;

/// A kind of template as written.
macro_rules! written_template {
    ($kind:ident) => {
        #[doc = concat!("A ", stringify!($kind), " as written.")]
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct $kind {
            #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
            api_version: String,
            #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
            kind: String,
            #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
            #[schemars(with = "ObjectMetaFields")]
            metadata: meta::ObjectMeta,
            pub(super) spec: WrittenSpec,
        }
    };
}

written_template!(AnalysisTemplate);
written_template!(ClusterAnalysisTemplate);

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "AnalysisTemplateSpec")]
pub(super) struct WrittenSpec {
    metrics: Vec<Metric>,
    args: Vec<AnalysisArgument>,
    dry_run: Vec<DryRun>,
    measurement_retention: Option<Vec<Value>>,
    templates: Vec<AnalysisTemplateRef>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "AnalysisMetric")]
struct Metric {
    name: String,
    interval: Option<String>,
    initial_delay: Option<String>,
    #[schemars(with = "Option<IntOrStringFields>")]
    count: Option<IntOrString>,
    success_condition: Option<String>,
    failure_condition: Option<String>,
    #[schemars(with = "Option<IntOrStringFields>")]
    failure_limit: Option<IntOrString>,
    #[schemars(with = "Option<IntOrStringFields>")]
    inconclusive_limit: Option<IntOrString>,
    #[schemars(with = "Option<IntOrStringFields>")]
    consecutive_error_limit: Option<IntOrString>,
    #[schemars(with = "Option<IntOrStringFields>")]
    consecutive_success_limit: Option<IntOrString>,
    provider: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct AnalysisArgument {
    name: String,
    value: Option<String>,
    value_from: Option<BTreeMap<String, Value>>,
}

/// The spec of either kind.
pub(super) fn analysis_template(
    spec: &WrittenSpec,
    errors: &mut FieldErrors,
) -> AnalysisTemplateSpec {
    let path = FieldPath::ROOT.field("spec");
    let at_metrics = path.field("metrics");
    if spec.metrics.is_empty() && spec.templates.is_empty() {
        errors.required(&at_metrics, "no metrics specified");
    }
    let mut names = BTreeSet::new();
    let mut metrics = Vec::new();
    for (index, one) in spec.metrics.iter().enumerate() {
        let at = at_metrics.item(index);
        if !names.insert(one.name.as_str()) {
            errors.duplicate(&at.field("name"), &one.name);
        }
        check(one, &at, errors);
        metrics.push(metric(one));
    }
    // Values from Secrets are unknown here.
    let value = |arg: &AnalysisArgument| {
        let secret = arg.value_from.as_ref().map(|_| Name::from("secret"));
        arg.value.as_deref().map(Name::from).or(secret)
    };
    AnalysisTemplateSpec {
        metrics,
        args: spec.args.iter().map(|arg| (arg.name.as_str().into(), value(arg))).collect(),
        dry_run: spec.dry_run.iter().map(|one| one.metric_name.as_str().into()).collect(),
        templates: spec.templates.iter().map(reference).collect(),
    }
}

/// Whether a text is only known once a run has its arguments.
fn has_arguments(text: &str) -> bool {
    text.contains("{{")
}

/// `ValidateMetric`.
fn check(metric: &Metric, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let number = |given: &Option<IntOrString>| match given {
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(text)) => text.parse().ok(),
        None => None,
    };
    for (field, text) in [("interval", &metric.interval), ("initialDelay", &metric.initial_delay)] {
        let text = text.as_deref().filter(|text| !text.is_empty() && !has_arguments(text));
        if let Some(text) = text.filter(|text| parse_duration(text).is_err()) {
            errors.invalid(&path.field(field), text, "invalid duration string");
        }
    }
    let (count, failures) = (number(&metric.count), number(&metric.failure_limit));
    let has_interval = metric.interval.as_deref().is_some_and(|text| !text.is_empty());
    if count.is_some_and(|count| count > 1) && !has_interval {
        errors.required(&path.field("interval"), "interval must be specified when count > 1");
    }
    if let (Some(count), Some(failures)) = (count, failures)
        && count > 0
        && count < failures
    {
        errors.invalid(&path.field("count"), count, "count must be >= failureLimit");
    }
    if metric.provider.is_empty() {
        errors.required(&path.field("provider"), "no provider specified");
    } else if metric.provider.len() > 1 {
        errors.forbidden(&path.field("provider"), "multiple providers specified");
    }
}

fn metric(metric: &Metric) -> MetricTemplate {
    let text = |text: &Option<String>| text.as_deref().map(Name::from);
    let number = |given: &Option<IntOrString>| {
        given.as_ref().map(|given| match given {
            IntOrString::Int(number) => Name::from(number.to_string()),
            IntOrString::String(text) => Name::from(text.as_str()),
        })
    };
    let (provider, settings) = metric
        .provider
        .iter()
        .next()
        .map_or(("", &Value::Null), |(name, settings)| (name, settings));
    let query = ["query", "queries", "url"].into_iter().find_map(|field| settings.get(field));
    let query = query.unwrap_or(settings);
    MetricTemplate {
        name: metric.name.as_str().into(),
        interval: text(&metric.interval),
        initial_delay: text(&metric.initial_delay),
        count: number(&metric.count),
        success_condition: text(&metric.success_condition),
        failure_condition: text(&metric.failure_condition),
        failure_limit: number(&metric.failure_limit),
        inconclusive_limit: number(&metric.inconclusive_limit),
        consecutive_error_limit: number(&metric.consecutive_error_limit),
        consecutive_success_limit: number(&metric.consecutive_success_limit),
        provider: provider.into(),
        query: query.as_str().map_or_else(|| query.to_string().into(), Into::into),
    }
}
