//! Writes a case down as a recording of a cluster: the form that `wavetank conform hpa` reads.

use serde_json::{Map, Value, json};

use super::calculator::Current;
use super::controller::{Outcome, Status};
use super::world::{
    Api, Behavior, Case, Group, Metric, Rules, Sample, Source, Spec, Target, Template, Tick,
};

fn seconds(milliseconds: i64) -> Value {
    if milliseconds % 1000 == 0 {
        json!(milliseconds / 1000)
    } else {
        json!(milliseconds as f64 / 1000.0)
    }
}

fn milli(value: i64) -> String {
    format!("{value}m")
}

/// Without the fields that are null.
fn object(fields: Vec<(&str, Value)>) -> Value {
    let given = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(given.map(|(name, value)| (name.to_owned(), value)).collect())
}

pub fn case(case: &Case, ticks: &[Value]) -> Value {
    let flags = case.flags;
    json!({
        "id": "drawn",
        "flags": {
            "tolerance": flags.tolerance,
            "downscaleStabilizationSeconds": seconds(flags.downscale_stabilization),
            "cpuInitializationPeriodSeconds": seconds(flags.cpu_initialization_period),
            "initialReadinessDelaySeconds": seconds(flags.initial_readiness_delay),
        },
        "featureGates": {
            "HPAConfigurableTolerance": case.gates.configurable_tolerance,
            "HPAScaleToZero": case.gates.scale_to_zero,
            "PodLevelResources": case.gates.pod_level_resources,
        },
        "hpa": manifest(case.api_version, &case.spec),
        "workload": {
            "selector": "app=web",
            "templates": case.templates.iter().map(template).collect::<Vec<_>>(),
        },
        "ticks": ticks,
    })
}

fn template(template: &Template) -> Value {
    let amounts = |amounts: &std::collections::BTreeMap<&'static str, i64>| -> Value {
        amounts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(milli(*value))))
            .collect::<Map<_, _>>()
            .into()
    };
    let containers = template.containers.iter().map(|one| {
        json!({
            "name": one.name,
            "requests": amounts(&one.requests),
            "restartableInit": one.restartable_init,
        })
    });
    json!({
        "containers": containers.collect::<Vec<_>>(),
        "podLevelRequests": amounts(&template.pod_level),
    })
}

/// The same HPA in any version of the API.
fn manifest(api_version: &str, spec: &Spec) -> Value {
    let mut fields = vec![
        ("scaleTargetRef", json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})),
        ("minReplicas", json!(spec.min)),
        ("maxReplicas", json!(spec.max)),
    ];
    let mut annotations = Map::new();
    match api_version {
        "autoscaling/v1" => {
            let mut metrics = spec.metrics.clone();
            // The one metric that has a field comes last.
            if let Some(Metric {
                source: Source::Resource("cpu"),
                target: Target::Utilization(percent),
            }) = metrics.last().cloned()
            {
                metrics.pop();
                fields.push(("targetCPUUtilizationPercentage", json!(percent)));
            }
            let written: Vec<Value> = metrics.iter().map(beta1_metric).collect();
            if !written.is_empty() {
                let text = Value::from(written).to_string();
                annotations.insert("autoscaling.alpha.kubernetes.io/metrics".into(), text.into());
            }
        }
        "autoscaling/v2beta1" => {
            let metrics: Vec<Value> = spec.metrics.iter().map(beta1_metric).collect();
            fields.push(("metrics", metrics.into()));
        }
        _ => fields = spec_fields(spec),
    }
    // Older versions have no field for it; an empty one gets lost.
    if let ("autoscaling/v1" | "autoscaling/v2beta1", Some(behavior)) =
        (api_version, &spec.behavior)
    {
        let text = internal_names(behavior_value(behavior)).to_string();
        annotations.insert("autoscaling.alpha.kubernetes.io/behavior".into(), text.into());
    }
    json!({
        "apiVersion": api_version,
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "annotations": annotations},
        "spec": object(fields),
    })
}

/// A whole spec of the current version.
pub fn spec_value(spec: &Spec) -> Value {
    object(spec_fields(spec))
}

fn spec_fields(spec: &Spec) -> Vec<(&'static str, Value)> {
    vec![
        ("scaleTargetRef", json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})),
        ("minReplicas", json!(spec.min)),
        ("maxReplicas", json!(spec.max)),
        ("metrics", spec.metrics.iter().map(metric).collect()),
        ("behavior", spec.behavior.as_ref().map_or(Value::Null, behavior_value)),
    ]
}

fn target(target: Target) -> Value {
    match target {
        Target::Utilization(percent) => {
            json!({"type": "Utilization", "averageUtilization": percent})
        }
        Target::AverageValue(value) => {
            json!({"type": "AverageValue", "averageValue": milli(value)})
        }
        Target::Value(value) => json!({"type": "Value", "value": milli(value)}),
    }
}

fn labels(label: Option<&str>) -> Value {
    label.map_or(Value::Null, |queue| json!({"matchLabels": {"queue": queue}}))
}

fn metric(metric: &Metric) -> Value {
    let target = target(metric.target);
    match &metric.source {
        Source::Resource(name) => {
            json!({"type": "Resource", "resource": {"name": name, "target": target}})
        }
        Source::ContainerResource(name, container) => json!({
            "type": "ContainerResource",
            "containerResource": {"name": name, "container": container, "target": target},
        }),
        Source::Pods(name) => {
            json!({"type": "Pods", "pods": {"metric": {"name": name}, "target": target}})
        }
        Source::Object(name) => json!({
            "type": "Object",
            "object": {
                "metric": {"name": name},
                "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "web"},
                "target": target,
            },
        }),
        Source::External(name, label) => json!({
            "type": "External",
            "external": {
                "metric": object(vec![("name", json!(name)), ("selector", labels(*label))]),
                "target": target,
            },
        }),
    }
}

fn beta1_metric(metric: &Metric) -> Value {
    let (mut utilization, mut average, mut value) = (Value::Null, Value::Null, Value::Null);
    match metric.target {
        Target::Utilization(percent) => utilization = json!(percent),
        Target::AverageValue(amount) => average = json!(milli(amount)),
        Target::Value(amount) => value = json!(milli(amount)),
    }
    match &metric.source {
        Source::Resource(name) => json!({
            "type": "Resource",
            "resource": object(vec![
                ("name", json!(name)),
                ("targetAverageUtilization", utilization),
                ("targetAverageValue", average),
            ]),
        }),
        Source::ContainerResource(name, container) => json!({
            "type": "ContainerResource",
            "containerResource": object(vec![
                ("name", json!(name)),
                ("container", json!(container)),
                ("targetAverageUtilization", utilization),
                ("targetAverageValue", average),
            ]),
        }),
        Source::Pods(name) => json!({
            "type": "Pods",
            "pods": {"metricName": name, "targetAverageValue": average},
        }),
        Source::Object(name) => json!({
            "type": "Object",
            "object": object(vec![
                ("metricName", json!(name)),
                ("target", json!({"apiVersion": "v1", "kind": "Service", "name": "web"})),
                ("targetValue", if value.is_null() { json!("1") } else { value }),
                ("averageValue", average),
            ]),
        }),
        Source::External(name, label) => json!({
            "type": "External",
            "external": object(vec![
                ("metricName", json!(name)),
                ("metricSelector", labels(*label)),
                ("targetValue", value),
                ("targetAverageValue", average),
            ]),
        }),
    }
}

fn behavior_value(behavior: &Behavior) -> Value {
    let rules = |rules: &Rules| {
        let policies = rules.policies.as_ref().map(|policies| {
            let policy = |one: &super::world::Policy| {
                json!({"type": one.kind, "value": one.value, "periodSeconds": one.period_seconds})
            };
            policies.iter().map(policy).collect::<Vec<_>>()
        });
        let value = object(vec![
            ("stabilizationWindowSeconds", json!(rules.window_seconds)),
            ("selectPolicy", json!(rules.select)),
            ("policies", json!(policies)),
            ("tolerance", json!(rules.tolerance_milli.map(milli))),
        ]);
        if value == json!({}) { Value::Null } else { value }
    };
    object(vec![("scaleUp", rules(&behavior.up)), ("scaleDown", rules(&behavior.down))])
}

/// The annotation holds the API server's internal type: its fields begin with capitals.
fn internal_names(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(internal_names).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                (name[..1].to_uppercase() + &name[1..], internal_names(value))
            });
            Value::Object(fields.collect())
        }
        other => other,
    }
}

pub fn tick(tick: &Tick, status: &Status, outcome: &Outcome) -> Value {
    let api = |api: Api| match api {
        Api::Serving => Value::Null,
        Api::Error => json!("error"),
        Api::Empty => json!("empty"),
    };
    let orphans = tick.orphans.iter().map(|(n, sample)| {
        let mut fields = vec![("n", json!(n))];
        fields.extend(sample_fields(sample));
        object(fields)
    });
    object(vec![
        ("t", seconds(tick.t)),
        ("hpaSpec", tick.new_spec.as_ref().map_or(Value::Null, spec_value)),
        ("controllerRestart", json!(tick.restart)),
        ("otherHpaSelectsSamePods", json!(tick.other_hpa)),
        (
            "scale",
            object(vec![
                ("specReplicas", json!(tick.spec_replicas)),
                ("statusReplicas", json!(tick.status_replicas)),
                ("selector", json!(tick.selector)),
                ("getError", json!(tick.get_error)),
                ("updateError", json!(tick.update_error)),
            ]),
        ),
        ("pods", tick.pods.iter().map(group).collect()),
        ("orphanMetrics", orphans.collect()),
        ("resourceMetricsApi", api(tick.resource_api)),
        ("customMetricsApi", api(tick.custom_api)),
        ("externalMetricsApi", api(tick.external_api)),
        ("objectMetrics", json!(tick.objects)),
        ("externalMetrics", json!(tick.externals)),
        ("expect", expected(tick, status, outcome)),
    ])
}

fn sample_fields(sample: &Sample) -> Vec<(&'static str, Value)> {
    let usage = sample.usage.iter().map(|(container, (nano, bytes))| {
        let usage = object(vec![("cpuNano", json!(nano)), ("memBytes", json!(bytes))]);
        ((*container).to_owned(), usage)
    });
    vec![
        ("usageAt", sample.at.map_or(Value::Null, |(at, _)| seconds(at))),
        ("window", sample.at.map_or(Value::Null, |(_, window)| seconds(window))),
        ("usage", Value::Object(usage.collect())),
        ("podMetrics", json!(sample.custom)),
    ]
}

fn group(group: &Group) -> Value {
    let mut fields = vec![
        ("n", json!(group.n)),
        ("phase", json!(group.phase)),
        ("deleting", json!(group.deleting)),
        ("ready", json!(group.ready)),
        ("readySince", seconds(group.ready_since)),
        ("start", group.start.map_or(Value::Null, seconds)),
        ("template", json!(group.template)),
    ];
    fields.extend(sample_fields(&group.sample));
    object(fields)
}

fn expected(tick: &Tick, status: &Status, outcome: &Outcome) -> Value {
    let conditions = status.conditions.iter().map(|one| {
        let holds = if one.status { "True" } else { "False" };
        json!({"type": one.kind, "status": holds, "reason": one.reason, "since": one.since})
    });
    let events = outcome.events.iter().map(|event| {
        object(vec![
            ("type", json!(if event.is_warning { "Warning" } else { "Normal" })),
            ("reason", json!(event.reason)),
            ("message", json!(event.message)),
        ])
    });
    let scaled = matches!(outcome.write, Some((_, true)));
    let attempted = outcome.write.filter(|(_, succeeded)| !succeeded).map(|(replicas, _)| replicas);
    let after = outcome.write.filter(|(_, succeeded)| *succeeded);
    let after = after.map_or(tick.spec_replicas, |(replicas, _)| replicas);
    let mut expected = json!({
        "rawRecommendation": outcome.raw,
        "desiredReplicas": status.desired_replicas,
        "currentReplicas": status.current_replicas,
        "specReplicasAfter": after,
        "scaled": scaled,
        "attemptedReplicas": attempted,
        "lastScaleTime": status.last_scale_time,
        "conditions": conditions.collect::<Vec<_>>(),
        "currentMetrics": status.current_metrics.iter().map(|one| current(one.as_ref())).collect::<Vec<_>>(),
        "error": outcome.error,
        "events": events.collect::<Vec<_>>(),
    });
    if outcome.error.is_none() {
        expected["statusWritten"] = json!(outcome.status_written);
    }
    expected
}

fn current(metric: Option<&(Source, Current)>) -> Value {
    let Some((source, current)) = metric else { return Value::Null };
    let (kind, name, container) = match source {
        Source::Resource(name) => ("Resource", name, None),
        Source::ContainerResource(name, container) => ("ContainerResource", name, Some(*container)),
        Source::Pods(name) => ("Pods", name, None),
        Source::Object(name) => ("Object", name, None),
        Source::External(name, _) => ("External", name, None),
    };
    let mut fields =
        vec![("type", json!(kind)), ("name", json!(name)), ("container", json!(container))];
    match current {
        Current::Utilization(percent, average) => {
            fields.push(("averageUtilization", json!(percent)));
            fields.push(("averageValueMilli", json!(average)));
        }
        Current::AverageValue(value) => fields.push(("averageValueMilli", json!(value))),
        Current::Value(value) => fields.push(("valueMilli", json!(value))),
    }
    object(fields)
}
