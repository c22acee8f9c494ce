//! The HPA that KEDA creates for a ScaledObject (`controllers/keda/hpa.go`).

use cluster::hpa::{
    Behavior, HpaSpec, MetricIdentifier, MetricSource, MetricSpec, MetricTarget, PolicyKind,
    PolicySelect, ScalingPolicy, ScalingRules,
};
use cluster::scaled_object::{ScaledObject, Trigger, TriggerSource};
use cluster::selector::Selector;
use cluster::{Name, ObjectMeta};
use engine::SimDuration;

/// Label by which KEDA's metrics server identifies the ScaledObject of a metric.
pub(crate) const SCALED_OBJECT_LABEL: &str = "scaledobject.keda.sh/name";

/// Name of the metric that replaces all triggers of an object with `scalingModifiers`.
pub const COMPOSITE_METRIC: &str = "composite-metric";

/// Name and spec of the HPA. It is inactive at zero replicas and never scales below one.
pub(crate) fn hpa_of(object: &ScaledObject) -> (ObjectMeta, HpaSpec) {
    let spec = &object.spec;
    let meta = ObjectMeta::new(object.meta.namespace().clone(), spec.hpa_name.clone());
    let is_composed = spec.modifiers.is_some();
    let metrics = spec
        .triggers
        .iter()
        .filter(|trigger| match trigger.source {
            // With a formula, triggers on single containers are lost.
            TriggerSource::Resource { ref container, .. } => !is_composed || container.is_none(),
            _ => !is_composed,
        })
        .filter_map(|trigger| metric_of(object, trigger));
    let composite = spec
        .modifiers
        .iter()
        .map(|modifiers| external_metric(object, &COMPOSITE_METRIC.into(), modifiers.target));
    let mut metrics: Vec<MetricSpec> = metrics.collect();
    // Sorted by type; the formula comes after the remaining metrics (`getScaledObjectMetricSpecs`).
    metrics.sort_by(|one, other| one.source.type_name().cmp(other.source.type_name()));
    metrics.extend(composite);
    let mut behavior = spec.behavior.clone();
    if spec.pause.scale_in || spec.pause.scale_out {
        let behavior = behavior.get_or_insert_with(default_behavior);
        for (is_held, rules) in [
            (spec.pause.scale_in, &mut behavior.scale_down),
            (spec.pause.scale_out, &mut behavior.scale_up),
        ] {
            if is_held {
                rules.select_policy = PolicySelect::Disabled;
            }
        }
    }
    let hpa = HpaSpec {
        scale_target: spec.scale_target.clone(),
        min_replicas: spec.min_replicas.max(1),
        max_replicas: spec.max_replicas,
        metrics,
        behavior,
    };
    (meta, hpa)
}

/// The API server's defaults for `behavior: {}`.
fn default_behavior() -> Behavior {
    let period = SimDuration::from_secs(15);
    let policy = |kind, value| ScalingPolicy { kind, value, period };
    let rules = |stabilization_window, policies| ScalingRules {
        stabilization_window,
        select_policy: PolicySelect::Max,
        policies,
        tolerance: None,
    };
    let percent = policy(PolicyKind::Percent, 100);
    Behavior {
        scale_up: rules(Some(SimDuration::ZERO), vec![policy(PolicyKind::Pods, 4), percent]),
        scale_down: rules(None, vec![percent]),
    }
}

fn metric_of(object: &ScaledObject, trigger: &Trigger) -> Option<MetricSpec> {
    match &trigger.source {
        TriggerSource::Resource { resource, container, target } => {
            let (resource, container) = (resource.clone(), container.clone());
            Some(MetricSpec::new(MetricSource::Resource { resource, container }, *target))
        }
        TriggerSource::Measured { target, .. } | TriggerSource::Cron { target, .. } => {
            Some(external_metric(object, &trigger.metric_name, *target))
        }
        TriggerSource::Unknown => None,
    }
}

fn external_metric(object: &ScaledObject, metric_name: &Name, target: MetricTarget) -> MetricSpec {
    let name: &Name = &object.meta.id.name;
    let label = [(Name::from(SCALED_OBJECT_LABEL), name.clone())];
    let metric = MetricIdentifier {
        name: metric_name.clone(),
        selector: Some(Selector::from_labels(&label.into_iter().collect())),
        selector_text: format!(
            "&LabelSelector{{MatchLabels:map[string]string{{{SCALED_OBJECT_LABEL}: {name},}},\
             MatchExpressions:[]LabelSelectorRequirement{{}},}}"
        )
        .into(),
    };
    MetricSpec::new(MetricSource::External { metric }, target)
}
