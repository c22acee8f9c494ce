//! Knative's PodAutoscaler (`autoscaling.internal.knative.dev/v1alpha1`): its fields, and the settings in its annotations
//! and in the ConfigMap `config-autoscaler`.

use std::collections::BTreeMap;

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
/// Least target per pod.
const LEAST_TARGET: f64 = 0.01;
const SECOND: SimDuration = SimDuration::from_secs(1);

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
            let problem = format!("{text:?} is not {expected}");
            let metadata = FieldPath::ROOT.field("metadata");
            self.errors.push(&metadata.field("annotations").field(&key), problem);
        }
        value
    }

    fn count(&mut self, name: &str) -> Option<i32> {
        let is_count = |text: &str| text.parse().ok().filter(|count: &i32| *count >= 0);
        self.value((name, name), "a number of pods", is_count)
    }

    fn number(&mut self, names: (&str, &str), least: f64) -> Option<f64> {
        let in_range = |text: &str| {
            text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= least)
        };
        self.value(names, &format!("a number of at least {least}"), in_range)
    }

    fn duration(&mut self, names: (&str, &str)) -> Option<SimDuration> {
        self.value(names, "a duration", |text| parse_duration(text).ok())
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
    let aggregation = given.text("metric-aggregation-algorithm").map(|(_, text)| text);
    let aggregation = match aggregation {
        Some("weighted-exponential" | "weightedExponential") => Aggregation::WeightedExponential,
        _ => Aggregation::Linear,
    };
    let (target, total) = target_and_total(&mut given, metric, limit);
    let stable_window = given.duration(("window", "stable-window"));
    let stable_window = stable_window.unwrap_or(SECOND * 60).max(SECOND);
    let names = ("panic-window-percentage", "panic-window-percentage");
    let panic_percent = given.number(names, 1.0).unwrap_or(10.0);
    let panic_seconds = (stable_window.as_secs_f64() * panic_percent / 100.0).round();
    let names = ("panic-threshold-percentage", "panic-threshold-percentage");
    let panic_threshold = given.number(names, 1.0).unwrap_or(200.0) / 100.0;
    let first = given.count("initial-scale");
    let may_be_zero = given.flag("allow-zero-initial-scale").unwrap_or(false);
    let names = ("progress-deadline", "progress-deadline");
    let deadline = meta.annotations.get("serving.knative.dev/progress-deadline");
    let deadline = deadline.and_then(|text| parse_duration(text).ok());
    let deadline = deadline.or_else(|| given.duration(names)).unwrap_or(PROGRESS_DEADLINE);
    let rate = |given: &mut Annotations<'_>, name: &str, default: f64| {
        given.number((name, name), 1.0).unwrap_or(default)
    };
    PodAutoscalerSpec {
        scale_target: spec.scale_target_ref.name.as_str().into(),
        service: meta.labels.get(SERVICE_LABEL).unwrap_or(meta.name()).clone(),
        container_concurrency: limit,
        metric,
        aggregation,
        target,
        total,
        target_burst_capacity: given
            .number(("target-burst-capacity", "target-burst-capacity"), -1.0)
            .unwrap_or(211.0),
        panic_threshold,
        stable_window,
        panic_window: SimDuration::from_secs_f64(panic_seconds).max(SECOND),
        scale_down_delay: given
            .duration(("scale-down-delay", "scale-down-delay"))
            .unwrap_or(SimDuration::ZERO),
        min_scale: given.count("min-scale").unwrap_or(0),
        max_scale: given.count("max-scale").unwrap_or(0),
        initial_scale: first.filter(|first| may_be_zero || *first > 0).unwrap_or(1),
        activation_scale: given.count("activation-scale").unwrap_or(0),
        max_scale_up_rate: rate(&mut given, "max-scale-up-rate", 1000.0),
        max_scale_down_rate: rate(&mut given, "max-scale-down-rate", 2.0),
        scales_to_zero: given.flag("enable-scale-to-zero").unwrap_or(true),
        grace_period: given
            .duration(("scale-to-zero-grace-period", "scale-to-zero-grace-period"))
            .unwrap_or(SECOND * 30),
        pod_retention: given
            .duration(("scale-to-zero-pod-retention-period", "scale-to-zero-pod-retention-period"))
            .unwrap_or(SimDuration::ZERO),
        activation_timeout: deadline + ACTIVATION_BUFFER,
    }
}

/// The value of the metric per pod to aim for, and the one that a pod can take (`ResolveMetricTarget`).
fn target_and_total(
    given: &mut Annotations<'_>,
    metric: ScalingMetric,
    container_concurrency: u32,
) -> (f64, f64) {
    let percentage = "container-concurrency-target-percentage";
    let limit = f64::from(container_concurrency);
    let of_cluster = |given: &mut Annotations<'_>, name: &str, default: f64| {
        given.number((name, name), LEAST_TARGET).unwrap_or(default)
    };
    let (mut total, mut utilization) = match metric {
        ScalingMetric::Rps => (of_cluster(given, "requests-per-second-target-default", 200.0), 0.7),
        ScalingMetric::Concurrency => {
            let default = of_cluster(given, "container-concurrency-target-default", 100.0);
            let share = of_cluster(given, percentage, 70.0);
            // A share up to 1 is a fraction, for compatibility with older versions.
            let share = if share > 1.0 { share / 100.0 } else { share };
            (if container_concurrency > 0 { limit } else { default }, share)
        }
    };
    if let Some(target) = given.number(("target", "target"), LEAST_TARGET) {
        let is_limited = metric == ScalingMetric::Concurrency && container_concurrency > 0;
        total = if is_limited { target.min(limit) } else { target };
    }
    let name = "target-utilization-percentage";
    if let Some(percent) = given.number((name, name), 1.0) {
        utilization = percent / 100.0;
    }
    ((total * utilization).max(LEAST_TARGET), total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(annotations: &[(&str, &str)], limit: u32) -> PodAutoscalerSpec {
        let mut meta = ObjectMeta::new("default", "hello-00001");
        meta.annotations = annotations.iter().copied().collect();
        meta.labels = [(SERVICE_LABEL, "hello")].into_iter().collect();
        let mut errors = FieldErrors::default();
        let mut object = PodAutoscaler::default();
        object.spec.container_concurrency = Some(limit);
        let spec = pod_autoscaler_spec(&meta, &object, &mut errors);
        assert!(errors.is_empty());
        spec
    }

    #[test]
    fn a_pod_is_aimed_at_seventy_percent_of_what_it_can_take() {
        let pair = |annotations: &[(&str, &str)], limit| {
            let spec = resolved(annotations, limit);
            (spec.target, spec.total)
        };
        assert_eq!(pair(&[], 0), (70.0, 100.0));
        assert_eq!(pair(&[], 10), (7.0, 10.0));
        assert_eq!(pair(&[("autoscaling.knative.dev/metric", "rps")], 10), (140.0, 200.0));
        // The lower of target and limit, and its own utilization.
        let target = ("autoscaling.knative.dev/target", "50");
        let utilization = ("autoscaling.knative.dev/targetUtilizationPercentage", "90");
        assert_eq!(pair(&[target], 10), (7.0, 10.0));
        assert_eq!(pair(&[target, utilization], 0), (45.0, 50.0));
        let of_cluster = ("config-autoscaler/container-concurrency-target-percentage", "0.5");
        assert_eq!(pair(&[of_cluster], 0), (50.0, 100.0));
    }

    #[test]
    fn an_annotation_precedes_the_setting_of_the_cluster() {
        let window = ("autoscaling.knative.dev/window", "2m");
        let of_cluster = ("config-autoscaler/stable-window", "30s");
        let windows = |annotations: &[(&str, &str)]| {
            let spec = resolved(annotations, 0);
            (spec.stable_window.as_secs(), spec.panic_window.as_secs())
        };
        assert_eq!(windows(&[]), (60, 6));
        assert_eq!(windows(&[of_cluster]), (30, 3));
        assert_eq!(windows(&[window, of_cluster]), (120, 12));
    }

    #[test]
    fn an_initial_scale_of_zero_needs_the_cluster_to_allow_it() {
        let zero = ("autoscaling.knative.dev/initial-scale", "0");
        let allows = ("config-autoscaler/allow-zero-initial-scale", "true");
        assert_eq!(resolved(&[zero], 0).initial_scale, 1);
        assert_eq!(resolved(&[zero, allows], 0).initial_scale, 0);
    }

    #[test]
    fn a_setting_that_cannot_be_read_is_an_error_at_its_annotation() {
        let mut meta = ObjectMeta::new("default", "hello-00001");
        meta.annotations = [("autoscaling.knative.dev/min-scale", "two")].into_iter().collect();
        let mut errors = FieldErrors::default();
        let spec = pod_autoscaler_spec(&meta, &PodAutoscaler::default(), &mut errors);
        assert_eq!(spec.min_scale, 0);
        assert!(!errors.is_empty());
    }
}
