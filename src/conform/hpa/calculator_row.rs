//! Rows of the replica calculator and of its parts: `replica-calculator`, `group-pods`,
//! `pod-requests`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::pods::{Pod, own_templates};
use super::readings::{AgedValue, MetricsResponse};
use super::row::{ComputedFields, NAMESPACE, NOW};
use super::row_errors::{MISSING_REQUEST, error_answer, metric_error};
use super::sync::Sync;
use super::{Flags, defaulted_spec};
use crate::recording::parse;
use cluster::hpa::{HpaSpec, MetricSpec};
use cluster::hpa_status::{HpaStatus, MetricValue};
use controllers::hpa::{
    Calculator, HpaFeatureGates, ObservedScale, PodClass, ScaleSelector, Tolerances, classify_pod,
    pod_request_milli,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CalculatorRow {
    flags: Flags,
    feature_gates: HpaFeatureGates,
    function: String,
    args: Arguments,
    metrics: Vec<MetricsResponse>,
    pods: Vec<Pod>,
    tolerances: RowTolerances,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RowTolerances {
    scale_up: f64,
    scale_down: f64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Arguments {
    resource: String,
    container: String,
    metric: String,
    current_replicas: i32,
    status_replicas: i32,
    target_utilization: Option<i32>,
    target_average_value_milli: Option<i64>,
    target_value_milli: Option<i64>,
}

impl CalculatorRow {
    /// An HPA with only the metric in question, and that metric.
    fn spec(&self) -> Result<(HpaSpec, MetricSpec), String> {
        let args = &self.args;
        let quantity = |milli: Option<i64>| milli.map(|milli| format!("{milli}m"));
        let target = json!({
            "type": if args.target_utilization.is_some() {
                "Utilization"
            } else if args.target_value_milli.is_some() {
                "Value"
            } else {
                "AverageValue"
            },
            "averageUtilization": args.target_utilization,
            "averageValue": quantity(args.target_average_value_milli),
            "value": quantity(args.target_value_milli),
        });
        let metric = json!({ "name": args.metric });
        let (kind, field, mut source) = match self.function.as_str() {
            one if one.starts_with("pods") => ("Pods", "pods", json!({ "metric": metric })),
            one if one.starts_with("external") => {
                ("External", "external", json!({ "metric": metric }))
            }
            one if one.starts_with("object") => {
                let described = json!({ "kind": "Service", "name": "web" });
                ("Object", "object", json!({ "metric": metric, "describedObject": described }))
            }
            _ if args.container.is_empty() => {
                ("Resource", "resource", json!({ "name": args.resource }))
            }
            _ => {
                let source = json!({ "name": args.resource, "container": args.container });
                ("ContainerResource", "containerResource", source)
            }
        };
        source["target"] = target;
        let metric = json!({ "type": kind, (field): source });
        let object = json!({ "spec": { "maxReplicas": 1, "metrics": [metric], "scaleTargetRef": {
            "kind": "Deployment", "name": "web",
        } } });
        let (spec, _) = defaulted_spec("autoscaling/v2", &object)?;
        let metric = spec.metrics.first().ok_or("there is no metric")?.clone();
        Ok((spec, metric))
    }
}

/// One call of the replica calculator.
pub(super) fn replica_calculator(line: &str, expected: &Value) -> Result<ComputedFields, String> {
    let mut row: CalculatorRow = parse(line)?;
    let (hpa_spec, metric) = row.spec()?;
    let templates = own_templates(&mut row.pods)?;
    let reading = row.metrics.first().ok_or("there is no metric")?.reading(&row.pods);
    let sync = Sync {
        namespace: NAMESPACE,
        settings: &row.flags.settings(row.feature_gates)?,
        spec: &hpa_spec,
        status: &HpaStatus::default(),
        scale: None,
        selector: "",
        has_rival: false,
        write_fails: false,
        pods: &row.pods,
        templates: &templates,
        readings: &[],
        now: NOW,
    };
    let scale = ObservedScale {
        spec_replicas: row.args.current_replicas,
        status_replicas: row.args.status_replicas,
        selector: ScaleSelector::Unique,
    };
    let RowTolerances { scale_up, scale_down } = row.tolerances;
    let tolerances = Tolerances { scale_up, scale_down };
    let evaluated = sync.with_inputs(|inputs| {
        let calculator = Calculator { inputs, scale, spec: &metric, tolerances, now: NOW };
        calculator.evaluate(reading.as_input())
    });
    Ok(match evaluated {
        Err(error) => {
            vec![("error", error_answer(Some(metric_error(&error.problem)), &expected["error"]))]
        }
        Ok(proposal) => {
            let mut answer = vec![("error", Value::Null), ("replicas", json!(proposal.replicas))];
            match proposal.current {
                MetricValue::Utilization { percent, average_milli } => {
                    answer.push(("utilization", json!(percent)));
                    answer.push(("averageValueMilli", json!(average_milli)));
                }
                MetricValue::AverageValueMilli(milli) => {
                    answer.push(("averageValueMilli", json!(milli)));
                }
                MetricValue::ValueMilli(milli) => answer.push(("valueMilli", json!(milli))),
            }
            answer
        }
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupPodsRow {
    flags: Flags,
    resource: String,
    pods: Vec<Pod>,
    per_pod: BTreeMap<String, AgedValue>,
}

/// Grouping of pods.
pub(super) fn group_pods(line: &str) -> Result<ComputedFields, String> {
    let row: GroupPodsRow = parse(line)?;
    let settings = row.flags.settings(HpaFeatureGates::default())?;
    let class = |pod: &Pod| {
        let metric = row.per_pod.get(&pod.name).map(AgedValue::metric);
        classify_pod(&pod.observed(), metric.as_ref(), row.resource == "cpu", &settings, NOW)
    };
    let names = |wanted: PodClass| {
        let mut names: Vec<&str> = row
            .pods
            .iter()
            .filter(|pod| class(pod) == wanted)
            .map(|pod| pod.name.as_str())
            .collect();
        names.sort_unstable();
        json!(names)
    };
    let counted = row.pods.iter().filter(|pod| class(pod) == PodClass::Counted).count();
    Ok(vec![
        ("readyPodCount", json!(counted)),
        ("ignored", names(PodClass::Ignored)),
        ("missing", names(PodClass::Missing)),
        ("unready", names(PodClass::Unready)),
    ])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodRequestsRow {
    feature_gates: HpaFeatureGates,
    resource: String,
    container: String,
    pods: Vec<Pod>,
}

/// Requests of pods.
pub(super) fn pod_requests(line: &str, expected: &Value) -> Result<ComputedFields, String> {
    let row: PodRequestsRow = parse(line)?;
    let container = Some(row.container.as_str()).filter(|container| !container.is_empty());
    let gate = row.feature_gates.pod_level_resources;
    let request = |pod: &Pod| {
        let spec = pod.own_template.pod_spec()?;
        let request = pod_request_milli(&spec, &row.resource, container, gate);
        Ok(request.ok().map(|request| (pod.name.clone(), request)))
    };
    let requests: Result<Option<BTreeMap<String, i64>>, String> = row
        .pods
        .iter()
        .map(request)
        .collect::<Result<Vec<_>, _>>()
        .map(|all| all.into_iter().collect());
    Ok(match requests? {
        Some(requests) => vec![("error", Value::Null), ("requestsMilli", json!(requests))],
        None => vec![("error", error_answer(Some(MISSING_REQUEST), &expected["error"]))],
    })
}
