//! Converts HorizontalPodAutoscaler manifests of every API version to the lean spec, like the API
//! server: conversion, defaulting, validation. Reading YAML and locating problems in files is done
//! elsewhere.

mod convert;
mod lower;
mod validation;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerSpec;
use serde_json::Value;

pub use super::defaults::set_hpa_defaults as set_defaults;
pub use convert::to_v2;
pub(super) use convert::{METRICS_ANNOTATION, drop_conversion_annotations};
pub use lower::lower;
pub use validation::validate;

use super::field::FieldError;
use cluster::hpa::HpaSpec;

/// Reads an HPA object of `autoscaling/v2`, `v1`, `v2beta2` or `v2beta1`: converts, defaults,
/// validates and lowers it.
pub(super) fn read_hpa(
    api_version: &str,
    object: &Value,
    hpa_scale_to_zero: bool,
) -> Result<(HorizontalPodAutoscalerSpec, HpaSpec), Vec<FieldError>> {
    let mut spec = to_v2(api_version, object)?;
    set_defaults(&mut spec);
    let errors = validate(&spec, hpa_scale_to_zero);
    if !errors.is_empty() {
        return Err(errors);
    }
    let lean = lower(&spec)?;
    Ok((spec, lean))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use cluster::hpa::{MetricSource, MetricTarget, PolicyKind, PolicySelect};
    use engine::SimDuration;

    fn read(api_version: &str, mut object: Value) -> Result<HpaSpec, Vec<FieldError>> {
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
        object["spec"]["scaleTargetRef"] = target;
        read_hpa(api_version, &object, false).map(|(_, lean)| lean)
    }

    #[test]
    fn without_metrics_the_target_is_80_percent_of_cpu() {
        let minimal = json!({ "spec": { "maxReplicas": 3 } });
        for api_version in
            ["autoscaling/v1", "autoscaling/v2", "autoscaling/v2beta2", "autoscaling/v2beta1"]
        {
            let spec = read(api_version, minimal.clone()).expect("a valid HPA");
            assert_eq!(spec.min_replicas, 1);
            assert_eq!(spec.metrics.len(), 1);
            assert_eq!(spec.metrics[0].target, MetricTarget::Utilization(80));
            assert_eq!(
                &*spec.metrics[0].description,
                "cpu resource utilization (percentage of request)"
            );
            assert_eq!(spec.behavior, None);
        }
    }

    #[test]
    fn a_partial_behavior_is_completed_and_an_absent_one_is_not() {
        let spec = json!({ "spec": { "maxReplicas": 3, "behavior": { "scaleDown": {
            "selectPolicy": "Min",
            "tolerance": "0.25",
        } } } });
        let behavior = read("autoscaling/v2", spec).expect("a valid HPA").behavior;
        let behavior = behavior.expect("a behavior");
        assert_eq!(behavior.scale_up.stabilization_window, Some(SimDuration::ZERO));
        assert_eq!(behavior.scale_up.policies.len(), 2);
        assert_eq!(behavior.scale_up.policies[1].kind, PolicyKind::Percent);
        assert_eq!(behavior.scale_down.stabilization_window, None);
        assert_eq!(behavior.scale_down.select_policy, PolicySelect::Min);
        assert_eq!(behavior.scale_down.tolerance, Some(0.25));
        assert_eq!(behavior.scale_down.policies[0].value, 100);
    }

    #[test]
    fn version_1_keeps_the_rest_in_annotations() {
        let spec = read(
            "autoscaling/v1",
            json!({
                "metadata": { "annotations": {
                    "autoscaling.alpha.kubernetes.io/metrics":
                        r#"[{"type":"Pods","pods":{"metricName":"qps","targetAverageValue":"10"}}]"#,
                    "autoscaling.alpha.kubernetes.io/behavior":
                        r#"{"ScaleUp":{"Policies":[{"Type":"Pods","Value":2,"PeriodSeconds":60}]}}"#,
                } },
                "spec": { "maxReplicas": 3, "targetCPUUtilizationPercentage": 60 },
            }),
        )
        .expect("a valid HPA");
        let targets: Vec<_> = spec.metrics.iter().map(|metric| metric.target).collect();
        assert_eq!(
            targets,
            [MetricTarget::AverageValueMilli(10_000), MetricTarget::Utilization(60)]
        );
        let policies = spec.behavior.expect("a behavior").scale_up.policies;
        assert_eq!((policies.len(), policies[0].value), (1, 2));
    }

    #[test]
    fn beta_metrics_say_the_same_in_other_fields() {
        let metric = json!({ "type": "Object", "object": {
            "target": { "apiVersion": "v1", "kind": "Service", "name": "shop" },
            "metricName": "queue", "targetValue": 5,
        } });
        let spec = json!({ "spec": { "maxReplicas": 3, "metrics": [metric] } });
        let spec = read("autoscaling/v2beta1", spec).expect("a valid HPA");
        assert_eq!(spec.metrics[0].target, MetricTarget::ValueMilli(5_000));
        let MetricSource::Object { described_object, .. } = &*spec.metrics[0].source else {
            panic!("an Object metric");
        };
        assert_eq!(&*described_object.name, "shop");
    }

    #[test]
    fn an_external_metric_is_named_with_its_selector_as_go_prints_it() {
        let metric = json!({ "type": "External", "external": {
            "metric": { "name": "queue", "selector": {
                "matchLabels": { "b": "2", "a": "1" },
                "matchExpressions": [{ "key": "c", "operator": "In", "values": ["x", "y"] }],
            } },
            "target": { "type": "AverageValue", "averageValue": "1500m" },
        } });
        let spec = json!({ "spec": { "maxReplicas": 3, "metrics": [metric] } });
        let spec = read("autoscaling/v2", spec).expect("a valid HPA");
        assert_eq!(
            &*spec.metrics[0].description,
            "external metric queue(&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},\
             MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:c,Operator:In,\
             Values:[x y],},},})"
        );
    }

    #[test]
    fn an_object_metric_needs_the_value_that_its_type_names() {
        let lacks_target = |target: Value| {
            let metric = json!({ "type": "Object", "object": {
                "metric": { "name": "queue" },
                "describedObject": { "apiVersion": "v1", "kind": "Service", "name": "shop" },
                "target": target,
            } });
            let spec = json!({ "spec": { "maxReplicas": 3, "metrics": [metric] } });
            read("autoscaling/v2", spec).expect("the API server takes it").metrics[0].lacks_target
        };
        assert!(!lacks_target(json!({ "type": "Value", "value": "5" })));
        assert!(!lacks_target(json!({ "type": "AverageValue", "averageValue": "5" })));
        assert!(lacks_target(json!({ "type": "Value", "averageValue": "5" })));
        assert!(lacks_target(json!({ "type": "AverageValue", "value": "5" })));
        assert!(lacks_target(json!({ "type": "Utilization", "value": "5" })));
    }

    #[test]
    fn problems_are_worded_as_the_api_server_words_them() {
        let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": {
            "type": "Utilization", "averageUtilization": 0,
        } } });
        let spec = json!({ "spec": {
            "minReplicas": 0, "maxReplicas": 0, "metrics": [metric, { "type": "Cheese" }],
            "behavior": { "scaleUp": { "selectPolicy": "Most", "policies": [
                { "type": "Pods", "value": 0, "periodSeconds": 3600 },
            ] } },
        } });
        let problems = read("autoscaling/v2", spec).expect_err("an invalid HPA");
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let expected = [
            "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
            "spec.maxReplicas: Invalid value: 0: must be greater than 0",
            "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater \
             than 0",
            "spec.metrics[1].type: Unsupported value: \"Cheese\": supported values: \
             \"ContainerResource\", \"External\", \"Object\", \"Pods\", \"Resource\"",
            "spec.metrics: Forbidden: must specify at least one Object or External metric to support \
             scaling to zero replicas",
            "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"Most\": supported values: \
             \"Disabled\", \"Max\", \"Min\"",
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 3600: must be less than \
             or equal to 1800",
        ];
        assert_eq!(lines, expected);
    }
}
