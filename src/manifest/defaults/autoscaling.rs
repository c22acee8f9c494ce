//! HPAs in their current version (`pkg/apis/autoscaling/v2/defaults.go`, 1.36).

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
    ResourceMetricSource,
};

const DEFAULT_CPU_UTILIZATION: i32 = 80;

/// Completes a spec like the API server does. An absent behavior stays absent.
pub fn set_defaults(spec: &mut HorizontalPodAutoscalerSpec) {
    spec.min_replicas.get_or_insert(1);
    if spec.metrics.as_ref().is_none_or(Vec::is_empty) {
        spec.metrics = Some(vec![cpu_utilization(DEFAULT_CPU_UTILIZATION)]);
    }
    if let Some(behavior) = &mut spec.behavior {
        let up = behavior.scale_up.get_or_insert_default();
        up.stabilization_window_seconds.get_or_insert(0);
        set_rule_defaults(up, &[("Pods", 4), ("Percent", 100)]);
        // The scale-down stabilization window stays unset: its default is a flag of the controller.
        set_rule_defaults(behavior.scale_down.get_or_insert_default(), &[("Percent", 100)]);
    }
}

/// A CPU metric with a utilization target.
pub(crate) fn cpu_utilization(percent: i32) -> MetricSpec {
    let target = MetricTarget {
        type_: "Utilization".to_owned(),
        average_utilization: Some(percent),
        ..MetricTarget::default()
    };
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource { name: "cpu".to_owned(), target }),
        ..MetricSpec::default()
    }
}

fn set_rule_defaults(rules: &mut HPAScalingRules, policies: &[(&str, i32)]) {
    rules.select_policy.get_or_insert_with(|| "Max".to_owned());
    rules.policies.get_or_insert_with(|| {
        let policy = |(type_, value): &(&str, i32)| HPAScalingPolicy {
            type_: (*type_).to_owned(),
            value: *value,
            period_seconds: 15,
        };
        policies.iter().map(policy).collect()
    });
}
