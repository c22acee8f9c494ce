//! Validation of new objects as in the API server
//! (`pkg/apis/autoscaling/validation/validation.go`), with its messages.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules,
    HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use crate::field::{FieldError, FieldErrors, FieldPath};
use crate::names::broken_label;
use units::Quantity;

const MAX_PERIOD_SECONDS: i32 = 1800;
const MAX_STABILIZATION_WINDOW_SECONDS: i32 = 3600;

/// All errors of a defaulted spec, in the order of the API server.
pub fn validate(spec: &HorizontalPodAutoscalerSpec, hpa_scale_to_zero: bool) -> Vec<FieldError> {
    let mut validation = Validation { errors: FieldErrors::default() };
    validation.spec(spec, i32::from(!hpa_scale_to_zero));
    validation.errors.into_vec()
}

struct Validation {
    errors: FieldErrors,
}

/// Requirements on a target.
struct TargetRule {
    /// Fields of which exactly one is required, or at least one if `both` is `None`.
    one_of: [TargetField; 2],
    /// Field to which the API server attributes the error if none is set.
    required_at: &'static str,
    /// Its message in that case.
    required: &'static str,
    /// Field and message if both are set; `None` if that is allowed.
    both: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Copy)]
enum TargetField {
    Value,
    AverageValue,
    AverageUtilization,
}

const RESOURCE_TARGET: TargetRule = TargetRule {
    one_of: [TargetField::AverageUtilization, TargetField::AverageValue],
    required_at: "averageUtilization",
    required: "must set either a target raw value or a target utilization",
    both: Some(("averageValue", "may not set both a target raw value and a target utilization")),
};
const PODS_TARGET: TargetRule = TargetRule {
    one_of: [TargetField::AverageValue, TargetField::AverageValue],
    required_at: "averageValue",
    required: "must specify a positive target averageValue",
    both: None,
};
const OBJECT_TARGET: TargetRule = TargetRule {
    one_of: [TargetField::Value, TargetField::AverageValue],
    required_at: "averageValue",
    required: "must set either a target value or averageValue",
    both: None,
};
const EXTERNAL_TARGET: TargetRule = TargetRule {
    one_of: [TargetField::Value, TargetField::AverageValue],
    required_at: "averageValue",
    required: "must set either a target value for metric or a per-pod target",
    both: Some(("value", "may not set both a target value for metric and a per-pod target")),
};

impl Validation {
    fn not_supported(&mut self, path: &FieldPath<'_>, value: &str, supported: &[&str]) {
        let supported: Vec<_> = supported.iter().map(|value| format!("{value:?}")).collect();
        let supported = supported.join(", ");
        let message = format!("Unsupported value: {value:?}: supported values: {supported}");
        self.errors.push(path, message);
    }

    fn spec(&mut self, spec: &HorizontalPodAutoscalerSpec, lowest_min_replicas: i32) {
        let path = FieldPath::ROOT.field("spec");
        let (min, max) = (spec.min_replicas, spec.max_replicas);
        if let Some(min) = min.filter(|min| *min < lowest_min_replicas) {
            let detail = format!("must be greater than or equal to {lowest_min_replicas}");
            self.errors.invalid(&path.field("minReplicas"), min, detail);
        }
        if max < 1 {
            self.errors.invalid(&path.field("maxReplicas"), max, "must be greater than 0");
        }
        if min.is_some_and(|min| max < min) {
            let detail = "must be greater than or equal to `minReplicas`";
            self.errors.invalid(&path.field("maxReplicas"), max, detail);
        }
        let target = &spec.scale_target_ref;
        let needs_group = target.kind != "ReplicationController";
        self.object_reference(&path.field("scaleTargetRef"), target, needs_group);
        let metrics = spec.metrics.as_deref().unwrap_or_default();
        for (index, metric) in metrics.iter().enumerate() {
            self.metric(&path.field("metrics").item(index), metric);
        }
        let wakes_up = |metric: &MetricSpec| matches!(&*metric.type_, "Object" | "External");
        if min == Some(0) && !metrics.iter().any(wakes_up) {
            let detail = "must specify at least one Object or External metric to support scaling to \
                          zero replicas";
            self.errors.push(&path.field("metrics"), format!("Forbidden: {detail}"));
        }
        if let Some(behavior) = &spec.behavior {
            self.rules(&path.field("behavior").field("scaleUp"), behavior.scale_up.as_ref());
            self.rules(&path.field("behavior").field("scaleDown"), behavior.scale_down.as_ref());
        }
    }

    fn object_reference(
        &mut self,
        path: &FieldPath<'_>,
        reference: &CrossVersionObjectReference,
        needs_group: bool,
    ) {
        for (field, value) in [("kind", &reference.kind), ("name", &reference.name)] {
            if value.is_empty() {
                self.errors.required(&path.field(field), "");
            } else {
                self.path_segment(&path.field(field), value);
            }
        }
        let api_version = reference.api_version.as_deref().unwrap_or_default();
        if api_version.matches('/').count() > 1 {
            let detail = format!("unexpected GroupVersion string: {api_version}");
            self.errors.invalid(&path.field("apiVersion"), api_version, detail);
        } else if needs_group && api_version.split_once('/').is_none_or(|(g, _)| g.is_empty()) {
            let detail = "apiVersion must specify API group";
            self.errors.invalid(&path.field("apiVersion"), api_version, detail);
        }
    }

    fn path_segment(&mut self, path: &FieldPath<'_>, name: &str) {
        if matches!(name, "." | "..") {
            return self.errors.invalid(path, name, format!("may not be '{name}'"));
        }
        for forbidden in ['/', '%'] {
            if name.contains(forbidden) {
                let detail = format!("may not contain '{forbidden}'");
                self.errors.invalid(path, name, detail);
            }
        }
    }

    fn metric(&mut self, path: &FieldPath<'_>, metric: &MetricSpec) {
        const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
        const MISSING: &str = "must populate information for the given metric source";
        if metric.type_.is_empty() {
            self.errors.required(&path.field("type"), "must specify a metric source type");
        }
        if !TYPES.contains(&&*metric.type_) {
            self.not_supported(&path.field("type"), &metric.type_, &TYPES);
        }
        let sources = [
            ("object", "Object", metric.object.is_some()),
            ("external", "External", metric.external.is_some()),
            ("pods", "Pods", metric.pods.is_some()),
            ("resource", "Resource", metric.resource.is_some()),
            ("containerResource", "ContainerResource", metric.container_resource.is_some()),
        ];
        let present = || sources.iter().filter(|(.., is_present)| *is_present);
        // Only the first source present is validated.
        if let Some((field, ..)) = present().next() {
            self.source(&path.field(field), metric);
        }
        for (field, type_name, is_present) in sources {
            if type_name == metric.type_ && !is_present {
                self.errors.required(&path.field(field), MISSING);
            }
        }
        if present().count() > 1 {
            for (field, ..) in present().filter(|(_, type_name, _)| *type_name != metric.type_) {
                let detail = "must populate the given metric source only";
                self.errors.push(&path.field(field), format!("Forbidden: {detail}"));
            }
        }
    }

    fn source(&mut self, path: &FieldPath<'_>, metric: &MetricSpec) {
        if let Some(source) = &metric.object {
            let object = &source.described_object;
            self.object_reference(&path.field("describedObject"), object, false);
            self.identifier(path, &source.metric);
            self.target(path, &source.target, &OBJECT_TARGET);
        } else if let Some(source) = &metric.external {
            self.identifier(path, &source.metric);
            self.target(path, &source.target, &EXTERNAL_TARGET);
        } else if let Some(source) = &metric.pods {
            self.identifier(path, &source.metric);
            self.target(path, &source.target, &PODS_TARGET);
        } else if let Some(source) = &metric.resource {
            if source.name.is_empty() {
                self.errors.required(&path.field("name"), "must specify a resource name");
            }
            self.target(path, &source.target, &RESOURCE_TARGET);
        } else if let Some(source) = &metric.container_resource {
            self.container_resource(path, source);
            self.target(path, &source.target, &RESOURCE_TARGET);
        }
    }

    fn container_resource(&mut self, path: &FieldPath<'_>, source: &ContainerResourceMetricSource) {
        let (name, container) = (&source.name, &source.container);
        let is_standard = matches!(&**name, "cpu" | "memory" | "ephemeral-storage")
            || name.starts_with("hugepages-");
        if name.is_empty() {
            self.errors.required(&path.field("name"), "must specify a resource name");
        } else if !is_standard && !name.contains('/') {
            let detail = "must be a standard resource for containers";
            self.errors.invalid(&path.field("name"), name, detail);
        }
        if container.is_empty() {
            self.errors.required(&path.field("container"), "must specify a container");
        } else if broken_label(container).is_some() {
            let detail = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
                          characters or '-', and must start and end with an alphanumeric character \
                          (e.g. 'my-name',  or '123-abc', regex used for validation is \
                          '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
            self.errors.invalid(&path.field("container"), container, detail);
        }
    }

    fn identifier(&mut self, path: &FieldPath<'_>, metric: &MetricIdentifier) {
        let at_metric = path.field("metric");
        let path = at_metric.field("name");
        if metric.name.is_empty() {
            self.errors.required(&path, "must specify a metric name");
        } else {
            self.path_segment(&path, &metric.name);
        }
    }

    fn target(&mut self, path: &FieldPath<'_>, target: &MetricTarget, rule: &TargetRule) {
        let path = path.field("target");
        if target.type_.is_empty() {
            self.errors.required(&path.field("type"), "must specify a metric target type");
        }
        if !matches!(&*target.type_, "Utilization" | "Value" | "AverageValue") {
            let detail = "must be either Utilization, Value, or AverageValue";
            self.errors.invalid(&path.field("type"), &target.type_, detail);
        }
        self.positive(&path.field("value"), target.value.as_ref());
        self.positive(&path.field("averageValue"), target.average_value.as_ref());
        if let Some(percent) = target.average_utilization.filter(|percent| *percent < 1) {
            self.errors.invalid(
                &path.field("averageUtilization"),
                percent,
                "must be greater than 0",
            );
        }
        let is_set = rule.one_of.map(|field| match field {
            TargetField::Value => target.value.is_some(),
            TargetField::AverageValue => target.average_value.is_some(),
            TargetField::AverageUtilization => target.average_utilization.is_some(),
        });
        match (is_set, rule.both) {
            ([false, false], _) => {
                self.errors.required(&path.field(rule.required_at), rule.required);
            }
            ([true, true], Some((field, detail))) => {
                self.errors.push(&path.field(field), format!("Forbidden: {detail}"));
            }
            _ => {}
        }
    }

    fn positive(&mut self, path: &FieldPath<'_>, quantity: Option<&ApiQuantity>) {
        if let Some(ApiQuantity(text)) = quantity
            && text.parse::<Quantity>().is_ok_and(|quantity| quantity.nanos() <= 0)
        {
            self.errors.invalid(path, text, "must be positive");
        }
    }

    fn rules(&mut self, path: &FieldPath<'_>, rules: Option<&HPAScalingRules>) {
        let Some(rules) = rules else { return };
        if let Some(window) = rules.stabilization_window_seconds {
            let path = path.field("stabilizationWindowSeconds");
            if window < 0 {
                self.errors.invalid(&path, window, "must be greater than or equal to zero");
            } else if window > MAX_STABILIZATION_WINDOW_SECONDS {
                let detail =
                    format!("must be less than or equal to {MAX_STABILIZATION_WINDOW_SECONDS}");
                self.errors.invalid(&path, window, detail);
            }
        }
        let select = rules.select_policy.as_deref();
        if let Some(select) = select.filter(|s| !matches!(*s, "Max" | "Min" | "Disabled")) {
            let supported = ["Disabled", "Max", "Min"];
            self.not_supported(&path.field("selectPolicy"), select, &supported);
        }
        let policies = rules.policies.as_deref().unwrap_or_default();
        if policies.is_empty() {
            self.errors.required(&path.field("policies"), "must specify at least one Policy");
        }
        for (index, policy) in policies.iter().enumerate() {
            self.policy(&path.field("policies").item(index), policy);
        }
        if let Some(ApiQuantity(text)) = &rules.tolerance
            && text.parse::<Quantity>().is_ok_and(Quantity::is_negative)
        {
            let detail = "must be greater than or equal to 0";
            self.errors.invalid(&path.field("tolerance"), text, detail);
        }
    }

    fn policy(&mut self, path: &FieldPath<'_>, policy: &HPAScalingPolicy) {
        if !matches!(&*policy.type_, "Pods" | "Percent") {
            self.not_supported(&path.field("type"), &policy.type_, &["Percent", "Pods"]);
        }
        if policy.value <= 0 {
            self.errors.invalid(&path.field("value"), policy.value, "must be greater than zero");
        }
        let (path, period) = (&path.field("periodSeconds"), policy.period_seconds);
        if period <= 0 {
            self.errors.invalid(path, period, "must be greater than zero");
        } else if period > MAX_PERIOD_SECONDS {
            let detail = format!("must be less than or equal to {MAX_PERIOD_SECONDS}");
            self.errors.invalid(path, period, detail);
        }
    }
}
