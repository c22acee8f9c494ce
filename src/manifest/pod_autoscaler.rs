//! Knative's PodAutoscaler (`autoscaling.internal.knative.dev/v1alpha1`): its fields, and the settings in its annotations
//! and in the ConfigMap `config-autoscaler`, with the bounds that Knative's webhooks hold them to
//! (`pkg/apis/autoscaling/annotation_validation.go`, `pkg/autoscaler/config`).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;

use super::definitions::ObjectMetaFields;
use super::field::{FieldErrors, FieldPath};
use cluster::ObjectMeta;
use cluster::pod_autoscaler::{Aggregation, PodAutoscalerSpec, ScalingMetric};
use engine::{SimDuration, parse_duration};

/// Prefix of the annotations with which users configure a revision.
const OWN: &str = "autoscaling.knative.dev/";
/// Prefix of the annotations that override the settings of `config-autoscaler`.
pub(super) const CLUSTER_WIDE: &str = "config-autoscaler/";
/// The label with the name of the Knative Service, through which requests come.
const SERVICE_LABEL: &str = "serving.knative.dev/service";
/// Time in which a new revision must have become ready (`config-deployment`: `progress-deadline`).
const PROGRESS_DEADLINE: SimDuration = SimDuration::from_secs(600);
/// Time after that until a scale-up from zero counts as failed.
const ACTIVATION_BUFFER: SimDuration = SimDuration::from_secs(30);
/// Least target per pod (`TargetMin`).
const LEAST_TARGET: f64 = 0.01;
const SECOND: SimDuration = SimDuration::from_secs(1);
/// Bounds of the stable window (`WindowMin`, `WindowMax`).
const WINDOWS: RangeInclusive<SimDuration> = SimDuration::from_secs(6)..=LONGEST;
const LONGEST: SimDuration = SimDuration::from_secs(3600);
const UP_TO_LONGEST: RangeInclusive<SimDuration> = SimDuration::ZERO..=LONGEST;
const RETENTION: &str = "scale-to-zero-pod-retention-period";
/// Bounds of the panic window, in percent of the stable one.
const PANIC_WINDOWS: RangeInclusive<f64> = 1.0..=100.0;
/// Bounds of the share of the target at which panic begins, in percent.
const PANIC_THRESHOLDS: RangeInclusive<f64> = 110.0..=1000.0;
/// Least number of pods that `activation-scale` starts.
const LEAST_ACTIVATION: i32 = 2;
/// The classes of autoscalers that Knative brings along.
const OWN_CLASSES: &str = "autoscaling.knative.dev";
const KPA: &str = "kpa.autoscaling.knative.dev";

/// The object as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodAutoscaler {
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    api_version: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    kind: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    #[schemars(with = "ObjectMetaFields")]
    metadata: meta::ObjectMeta,
    spec: WrittenSpec,
    #[expect(dead_code, reason = "the controller's; here for the schema")]
    status: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PodAutoscalerSpec")]
struct WrittenSpec {
    container_concurrency: Option<u32>,
    scale_target_ref: ScaleTargetRef,
    #[expect(dead_code, reason = "a request is a request; here for the schema")]
    protocol_type: Option<String>,
    #[expect(dead_code, reason = "only revisions with a route exist; here for the schema")]
    reachability: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ScaleTargetRef {
    name: String,
    #[expect(dead_code, reason = "always a Deployment; here for the schema")]
    api_version: Option<String>,
    #[expect(dead_code, reason = "always a Deployment; here for the schema")]
    kind: Option<String>,
}

/// The settings of a revision by name, with the names that Knative took before.
struct Annotations<'a> {
    meta: &'a ObjectMeta,
    errors: &'a mut FieldErrors,
}

impl<'a> Annotations<'a> {
    /// The text of an annotation, by its name or the older one in camel case.
    fn text(&self, name: &str) -> Option<(String, &'a str)> {
        let mut old = String::new();
        for (position, part) in name.split('-').enumerate() {
            match part.split_at_checked(1).filter(|_| position > 0) {
                Some((first, rest)) => {
                    old.push_str(&first.to_ascii_uppercase());
                    old.push_str(rest);
                }
                None => old.push_str(part),
            }
        }
        [format!("{OWN}{name}"), format!("{OWN}{old}")].into_iter().find_map(|key| {
            let text = &**self.meta.annotations.get(&key)?;
            Some((key, text))
        })
    }

    /// The text of an annotation, or of a setting of the cluster.
    fn text_or(&self, name: &str, cluster_wide: &str) -> Option<(String, &'a str)> {
        self.text(name).or_else(|| {
            let key = format!("{CLUSTER_WIDE}{cluster_wide}");
            let text = &**self.meta.annotations.get(&key)?;
            Some((key, text))
        })
    }

    /// A value, if it is given and `parse` understands it.
    fn value<T>(
        &mut self,
        (name, cluster_wide): (&str, &str),
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let (key, text) = self.text_or(name, cluster_wide)?;
        let value = parse(text);
        if value.is_none() {
            self.refuse(&key, format!("{text:?} is not {expected}"));
        }
        value
    }

    /// Reports an error at an annotation.
    fn refuse(&mut self, key: &str, problem: String) {
        let metadata = FieldPath::ROOT.field("metadata");
        self.errors.push(&metadata.field("annotations").field(key), problem);
    }

    fn count(&mut self, name: &str) -> Option<i32> {
        let is_count = |text: &str| text.parse().ok().filter(|count: &i32| *count >= 0);
        self.value((name, name), "a number of pods", is_count)
    }

    fn number(&mut self, names: (&str, &str), range: RangeInclusive<f64>) -> Option<f64> {
        let in_range = |text: &str| {
            text.parse().ok().filter(|number: &f64| number.is_finite() && range.contains(number))
        };
        let (least, most) = (range.start(), range.end());
        let expected = if most.is_finite() {
            format!("a number from {least} to {most}")
        } else {
            format!("a number of at least {least}")
        };
        self.value(names, &expected, in_range)
    }

    fn duration(&mut self, names: (&str, &str)) -> Option<SimDuration> {
        self.value(names, "a duration", |text| parse_duration(text).ok())
    }

    /// A duration within bounds; those of `is_whole` have no fraction of a second.
    fn duration_in(
        &mut self,
        names: (&str, &str),
        range: RangeInclusive<SimDuration>,
        is_whole: bool,
    ) -> Option<SimDuration> {
        let (least, most) = (range.start(), range.end());
        let how = if is_whole { " in whole seconds" } else { "" };
        let expected = format!("a duration from {least} to {most}{how}");
        self.value(names, &expected, |text| {
            let duration = parse_duration(text).ok()?;
            let is_precise = !is_whole || duration == SimDuration::from_secs(duration.as_secs());
            (range.contains(&duration) && is_precise).then_some(duration)
        })
    }

    /// A setting of the cluster that must be above 1.
    fn rate(&mut self, name: &str) -> Option<f64> {
        let above =
            |text: &str| text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 1.0);
        self.value((name, name), "a number above 1", above)
    }

    /// A number of pods that the annotations of the revision alone give, with the key of the annotation.
    fn own_count(&self, name: &str) -> Option<(String, i32)> {
        let (key, text) = self.text(name)?;
        Some((key, text.parse().ok().filter(|count: &i32| *count >= 0)?))
    }

    /// Checks the numbers of pods against each other (`validateMinMaxScale`, `validateInitialScale`).
    fn check_scales(&mut self) {
        let least = self.own_count("min-scale").map_or(0, |(_, count)| count);
        let most = self.own_count("max-scale");
        let bound = most.as_ref().map_or(0, |(_, count)| *count);
        if let Some((key, most)) = &most {
            if *most != 0 && *most < least {
                self.refuse(key, format!("max-scale={most} is less than min-scale={least}"));
            }
            let limit = self.meta.annotations.get(&format!("{CLUSTER_WIDE}max-scale-limit"));
            let limit = limit.and_then(|text| text.parse().ok()).unwrap_or(0);
            if limit > 0 && !(1..=limit).contains(most) {
                let problem = format!("max-scale={most} is not from 1 to max-scale-limit={limit}");
                self.refuse(key, problem);
            }
        }
        if let Some((key, first)) = self.own_count("activation-scale") {
            if least > first {
                let problem = format!("min-scale={least} is greater than activation-scale={first}");
                self.refuse(&key, problem);
            } else if bound != 0 && bound < first {
                let problem = format!("max-scale={bound} is less than activation-scale={first}");
                self.refuse(&key, problem);
            } else if first < LEAST_ACTIVATION {
                self.refuse(&key, format!("activation-scale={first} must be greater than 1"));
            }
        }
    }

    fn flag(&mut self, cluster_wide: &str) -> Option<bool> {
        self.value((cluster_wide, cluster_wide), "true or false", |text| text.parse().ok())
    }
}

/// The spec with all settings resolved.
pub(super) fn pod_autoscaler_spec(
    meta: &ObjectMeta,
    object: &PodAutoscaler,
    errors: &mut FieldErrors,
) -> PodAutoscalerSpec {
    let spec = &object.spec;
    let limit = spec.container_concurrency.unwrap_or(0);
    let mut given = Annotations { meta, errors };
    let metric = given.value(("metric", "metric"), "concurrency or rps", |text| match text {
        "concurrency" => Some(ScalingMetric::Concurrency),
        "rps" => Some(ScalingMetric::Rps),
        _ => None,
    });
    let metric = metric.unwrap_or_default();
    check_class(&mut given);
    given.check_scales();
    let name = "metric-aggregation-algorithm";
    let aggregation =
        given.value((name, ""), "linear or weighted-exponential", |text| match text {
            "linear" | "" => Some(Aggregation::Linear),
            "weighted-exponential" | "weightedExponential" => {
                Some(Aggregation::WeightedExponential)
            }
            _ => None,
        });
    let aggregation = aggregation.unwrap_or(Aggregation::Linear);
    let (target, total) = target_and_total(&mut given, metric, limit);
    let stable_window = given.duration_in(("window", "stable-window"), WINDOWS, true);
    let stable_window = stable_window.unwrap_or(SECOND * 60);
    let names = ("panic-window-percentage", "panic-window-percentage");
    let panic_percent = given.number(names, PANIC_WINDOWS).unwrap_or(10.0);
    let panic_seconds = (stable_window.as_secs_f64() * panic_percent / 100.0).round();
    let name = "panic-threshold-percentage";
    // The ConfigMap's is not checked.
    let is_own = given.text(name).is_some();
    let range = if is_own { PANIC_THRESHOLDS } else { 1.0..=f64::INFINITY };
    let panic_threshold = given.number((name, name), range).unwrap_or(200.0) / 100.0;
    let may_be_zero = given.flag("allow-zero-initial-scale").unwrap_or(false);
    let name = "initial-scale";
    let expected = if may_be_zero { "a number of pods" } else { "a number of pods above 0" };
    let first = given.value((name, name), expected, |text| {
        text.parse().ok().filter(|count: &i32| *count > 0 || may_be_zero && *count == 0)
    });
    let names = ("progress-deadline", "progress-deadline");
    let deadline = meta.annotations.get("serving.knative.dev/progress-deadline");
    let deadline = deadline.and_then(|text| parse_duration(text).ok());
    let deadline = deadline.or_else(|| given.duration(names)).unwrap_or(PROGRESS_DEADLINE);
    let name = "target-burst-capacity";
    let target_burst_capacity =
        given.value((name, name), "-1, or a number of at least 0", |text| {
            text.parse().ok().filter(|number: &f64| {
                number.is_finite() && (*number >= 0.0 || is_minus_one(*number))
            })
        });
    PodAutoscalerSpec {
        scale_target: spec.scale_target_ref.name.as_str().into(),
        service: meta.labels.get(SERVICE_LABEL).unwrap_or(meta.name()).clone(),
        container_concurrency: limit,
        metric,
        aggregation,
        target,
        total,
        target_burst_capacity: target_burst_capacity.unwrap_or(211.0),
        panic_threshold,
        stable_window,
        panic_window: SimDuration::from_secs_f64(panic_seconds).max(SECOND),
        scale_down_delay: given
            .duration_in(("scale-down-delay", "scale-down-delay"), UP_TO_LONGEST, true)
            .unwrap_or(SimDuration::ZERO),
        min_scale: given.count("min-scale").unwrap_or(0),
        max_scale: given.count("max-scale").unwrap_or(0),
        initial_scale: first.unwrap_or(1),
        activation_scale: given.count("activation-scale").unwrap_or(0),
        max_scale_up_rate: given.rate("max-scale-up-rate").unwrap_or(1000.0),
        max_scale_down_rate: given.rate("max-scale-down-rate").unwrap_or(2.0),
        scales_to_zero: given.flag("enable-scale-to-zero").unwrap_or(true),
        grace_period: given
            .duration(("scale-to-zero-grace-period", "scale-to-zero-grace-period"))
            .unwrap_or(SECOND * 30),
        pod_retention: given
            .duration_in((RETENTION, RETENTION), UP_TO_LONGEST, false)
            .unwrap_or(SimDuration::ZERO),
        activation_timeout: deadline + ACTIVATION_BUFFER,
    }
}

/// Refuses a class that looks like one of Knative's (`validateClass`).
fn check_class(given: &mut Annotations<'_>) {
    if let Some((key, class)) = given.text("class")
        && class.ends_with(OWN_CLASSES)
        && class != KPA
    {
        given.refuse(&key, format!("{class:?} is not {KPA} or hpa.{OWN_CLASSES}"));
    }
}

#[expect(clippy::float_cmp, reason = "a marker, not a measure")]
fn is_minus_one(number: f64) -> bool {
    number == -1.0
}

/// The value of the metric per pod to aim for, and the one that a pod can take (`ResolveMetricTarget`).
fn target_and_total(
    given: &mut Annotations<'_>,
    metric: ScalingMetric,
    container_concurrency: u32,
) -> (f64, f64) {
    let percentage = "container-concurrency-target-percentage";
    let limit = f64::from(container_concurrency);
    let targets = LEAST_TARGET..=f64::INFINITY;
    let of_cluster = |given: &mut Annotations<'_>, name: &str, default: f64| {
        given.number((name, name), targets.clone()).unwrap_or(default)
    };
    let (mut total, mut utilization) = match metric {
        ScalingMetric::Rps => (of_cluster(given, "requests-per-second-target-default", 200.0), 0.7),
        ScalingMetric::Concurrency => {
            let default = of_cluster(given, "container-concurrency-target-default", 100.0);
            let shares = 0.0..=100.0;
            let share = given.number((percentage, percentage), shares).unwrap_or(70.0);
            // A share up to 1 is a fraction, for compatibility with older versions.
            let share = if share > 1.0 { share / 100.0 } else { share };
            (if container_concurrency > 0 { limit } else { default }, share)
        }
    };
    if let Some(target) = given.number(("target", "target"), targets.clone()) {
        let is_limited = metric == ScalingMetric::Concurrency && container_concurrency > 0;
        total = if is_limited { target.min(limit) } else { target };
    }
    let name = "target-utilization-percentage";
    if let Some(percent) = given.number((name, name), 1.0..=100.0) {
        utilization = percent / 100.0;
    }
    ((total * utilization).max(LEAST_TARGET), total)
}

#[cfg(test)]
mod tests;
