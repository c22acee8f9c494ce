//! Converts a defaulted `autoscaling/v2` spec to the lean one of `cluster::hpa`.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingRules, HorizontalPodAutoscalerSpec,
    MetricIdentifier as ApiMetricIdentifier, MetricSpec as ApiMetricSpec,
    MetricTarget as ApiMetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::field::{FieldError, FieldErrors, FieldPath};
use crate::selector::label_selector;
use cluster::hpa::{
    Behavior, HpaSpec, MetricIdentifier, MetricSource, MetricSpec, MetricTarget, ObjectReference,
    PolicyKind, PolicySelect, ScalingPolicy, ScalingRules,
};
use engine::SimDuration;
use units::Quantity;
use units::quantity::{Format, QuantityError};

/// The lean form of a defaulted spec. Metrics that validation rejects become
/// [`MetricSource::Invalid`]; an invalid quantity or selector is an error.
pub fn lower(spec: &HorizontalPodAutoscalerSpec) -> Result<HpaSpec, Vec<FieldError>> {
    let mut lowering = Lowering { errors: FieldErrors::default() };
    let path = FieldPath::ROOT.field("spec");
    let at_metrics = path.field("metrics");
    let metrics = spec.metrics.iter().flatten().enumerate();
    let metrics = metrics.map(|(index, metric)| lowering.metric(&at_metrics.item(index), metric));
    let metrics = metrics.collect();
    let at_behavior = path.field("behavior");
    let behavior = spec.behavior.as_ref().map(|behavior| Behavior {
        scale_up: lowering.rules(&at_behavior.field("scaleUp"), behavior.scale_up.as_ref()),
        scale_down: lowering.rules(&at_behavior.field("scaleDown"), behavior.scale_down.as_ref()),
    });
    let spec = HpaSpec {
        scale_target: object_reference(&spec.scale_target_ref),
        min_replicas: spec.min_replicas.unwrap_or_default(),
        max_replicas: spec.max_replicas,
        metrics,
        behavior,
    };
    if lowering.errors.is_empty() { Ok(spec) } else { Err(lowering.errors.into_vec()) }
}

struct Lowering {
    errors: FieldErrors,
}

/// The field of a target that the controller reads first.
#[derive(Clone, Copy)]
enum Preference {
    AverageValue,
    Value,
}

/// The quantity format in which the target was written.
fn format(metric: &ApiMetricSpec, target: MetricTarget) -> Format {
    let written = [
        metric.resource.as_ref().map(|source| &source.target),
        metric.container_resource.as_ref().map(|source| &source.target),
        metric.pods.as_ref().map(|source| &source.target),
        metric.object.as_ref().map(|source| &source.target),
        metric.external.as_ref().map(|source| &source.target),
    ];
    let amount = written.into_iter().flatten().next().and_then(|written| match target {
        MetricTarget::Utilization(_) => None,
        MetricTarget::AverageValueMilli(_) => written.average_value.as_ref(),
        MetricTarget::ValueMilli(_) => written.value.as_ref(),
    });
    let amount = amount.and_then(|amount| amount.0.parse::<Quantity>().ok());
    amount.map(Quantity::format).unwrap_or_default()
}

impl Lowering {
    fn metric(&mut self, path: &FieldPath<'_>, metric: &ApiMetricSpec) -> MetricSpec {
        let lowered = match metric.type_.as_str() {
            "Resource" => metric.resource.as_ref().and_then(|source| {
                let resource = source.name.as_str().into();
                let target = self.per_pod_target(&path.field("resource"), &source.target)?;
                Some((MetricSource::Resource { resource, container: None }, target))
            }),
            "ContainerResource" => metric.container_resource.as_ref().and_then(|source| {
                let resource = source.name.as_str().into();
                let container = Some(source.container.as_str().into());
                let target =
                    self.per_pod_target(&path.field("containerResource"), &source.target)?;
                Some((MetricSource::Resource { resource, container }, target))
            }),
            "Pods" => metric.pods.as_ref().and_then(|source| {
                let path = path.field("pods");
                let target = self.target(&path, &source.target, Preference::AverageValue)?;
                Some((
                    MetricSource::Pods { metric: self.identifier(&path, &source.metric) },
                    target,
                ))
            }),
            "Object" => metric.object.as_ref().and_then(|source| {
                let path = path.field("object");
                let preference = match source.target.type_.as_str() {
                    "Value" => Preference::Value,
                    _ => Preference::AverageValue,
                };
                let target = self.target(&path, &source.target, preference)?;
                let metric = self.identifier(&path, &source.metric);
                let described_object = object_reference(&source.described_object);
                Some((MetricSource::Object { metric, described_object }, target))
            }),
            "External" => metric.external.as_ref().and_then(|source| {
                let path = path.field("external");
                let target = self.target(&path, &source.target, Preference::AverageValue)?;
                let metric = self.identifier(&path, &source.metric);
                Some((MetricSource::External { metric }, target))
            }),
            _ => None,
        };
        let (source, target) = lowered.unwrap_or_else(|| {
            let type_name = metric.type_.as_str().into();
            (MetricSource::Invalid { type_name }, MetricTarget::ValueMilli(0))
        });
        let object = metric.object.as_ref().filter(|_| metric.type_ == "Object");
        let lacks_target = object.is_some_and(|source| lacks_target(&source.target));
        let target_format = format(metric, target);
        MetricSpec { lacks_target, target_format, ..MetricSpec::new(source, target) }
    }

    fn per_pod_target(
        &mut self,
        path: &FieldPath<'_>,
        target: &ApiMetricTarget,
    ) -> Option<MetricTarget> {
        let average_value = self.average_value(path, target);
        average_value.or(target.average_utilization.map(MetricTarget::Utilization))
    }

    fn target(
        &mut self,
        path: &FieldPath<'_>,
        target: &ApiMetricTarget,
        preference: Preference,
    ) -> Option<MetricTarget> {
        let average_value = self.average_value(path, target);
        let at_target = path.field("target");
        let value = self.quantity(&at_target.field("value"), target.value.as_ref());
        let value = value.map(|value| MetricTarget::ValueMilli(value.milli_value()));
        match preference {
            Preference::AverageValue => average_value.or(value),
            Preference::Value => value.or(average_value),
        }
    }

    fn average_value(
        &mut self,
        path: &FieldPath<'_>,
        target: &ApiMetricTarget,
    ) -> Option<MetricTarget> {
        let at_target = path.field("target");
        let at_value = at_target.field("averageValue");
        let average_value = self.quantity(&at_value, target.average_value.as_ref())?;
        Some(MetricTarget::AverageValueMilli(average_value.milli_value()))
    }

    fn quantity(
        &mut self,
        path: &FieldPath<'_>,
        quantity: Option<&ApiQuantity>,
    ) -> Option<Quantity> {
        let parsed = quantity?.0.parse();
        parsed.map_err(|error: QuantityError| self.errors.push(path, error.to_string())).ok()
    }

    fn identifier(
        &mut self,
        path: &FieldPath<'_>,
        metric: &ApiMetricIdentifier,
    ) -> MetricIdentifier {
        let at_metric = path.field("metric");
        let at_selector = at_metric.field("selector");
        let selector = metric.selector.as_ref();
        MetricIdentifier {
            name: metric.name.as_str().into(),
            selector: selector.map(|s| label_selector(s, &at_selector, &mut self.errors)),
            selector_text: selector.map_or("nil".into(), |selector| go_text(selector).into()),
        }
    }

    fn rules(&mut self, path: &FieldPath<'_>, rules: Option<&HPAScalingRules>) -> ScalingRules {
        let tolerance = rules.and_then(|rules| rules.tolerance.as_ref());
        let tolerance = self.quantity(&path.field("tolerance"), tolerance);
        let policies = rules.and_then(|rules| rules.policies.as_ref());
        let policies = policies.into_iter().flatten().map(|policy| ScalingPolicy {
            kind: match policy.type_.as_str() {
                "Pods" => PolicyKind::Pods,
                _ => PolicyKind::Percent,
            },
            value: policy.value,
            period: SimDuration::from_secs(i64::from(policy.period_seconds)),
        });
        let window = rules.and_then(|rules| rules.stabilization_window_seconds);
        ScalingRules {
            stabilization_window: window.map(|seconds| SimDuration::from_secs(i64::from(seconds))),
            select_policy: match rules.and_then(|rules| rules.select_policy.as_deref()) {
                Some("Min") => PolicySelect::Min,
                Some("Disabled") => PolicySelect::Disabled,
                _ => PolicySelect::Max,
            },
            policies: policies.collect(),
            tolerance: tolerance.map(approximate_float),
        }
    }
}

/// True if the value for the target's type is missing, which validation does not check
/// (`computeStatusForObjectMetric` does).
fn lacks_target(target: &ApiMetricTarget) -> bool {
    match target.type_.as_str() {
        "Value" => target.value.is_none(),
        "AverageValue" => target.average_value.is_none(),
        _ => true,
    }
}

fn object_reference(reference: &CrossVersionObjectReference) -> ObjectReference {
    ObjectReference {
        api_version: reference.api_version.as_deref().unwrap_or_default().into(),
        kind: reference.kind.as_str().into(),
        name: reference.name.as_str().into(),
    }
}

/// `LabelSelector.String()` in Go.
fn go_text(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten();
    let labels: Vec<_> = labels.map(|(key, value)| format!("{key}: {value},")).collect();
    let expressions = selector.match_expressions.iter().flatten().map(|expression| {
        let values = expression.values.as_deref().unwrap_or_default().join(" ");
        let (key, operator) = (&expression.key, &expression.operator);
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    });
    let (labels, expressions) = (labels.concat(), expressions.collect::<Vec<_>>().concat());
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

/// `Quantity.AsApproximateFloat64` of a quantity in canonical form: digits times a power of ten.
fn approximate_float(quantity: Quantity) -> f64 {
    const POWERS: [f64; 4] = [1e-9, 1e-6, 1e-3, 1.0];
    let mut digits = quantity.nanos();
    let mut power = 0;
    while power + 1 < POWERS.len() && digits % 1000 == 0 {
        digits /= 1000;
        power += 1;
    }
    digits as f64 * POWERS[power]
}
