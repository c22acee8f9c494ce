//! Rows of the replica calculator and of its parts: `replica-calculator`, `group-pods`,
//! `pod-requests`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Flags;
use super::row::{Answer, NOW};
use super::row_errors::{MISSING_REQUEST, error_answer, metric_error};
use super::row_pods::{AgedValue, Answered, Pod, Pods};
use crate::recording::parse;
use cluster::hpa::{
    HpaSpec, MetricIdentifier, MetricSource, MetricSpec, MetricTarget, ObjectReference,
};
use cluster::hpa_status::{HpaStatus, MetricValue};
use cluster::meta::Name;
use cluster::pod_template::PodSpec;
use controllers::hpa::{
    Calculator, HpaFeatureGates, HpaInputs, HpaView, ObservedScale, PodClass, ScaleSelector,
    Tolerances, classify_pod, pod_request_milli,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CalculatorRow {
    flags: Flags,
    feature_gates: HpaFeatureGates,
    function: String,
    args: Arguments,
    metrics: Vec<Answered>,
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
    fn metric(&self) -> Result<MetricSpec, String> {
        let args = &self.args;
        let target = args
            .target_utilization
            .map(MetricTarget::Utilization)
            .or(args.target_average_value_milli.map(MetricTarget::AverageValueMilli))
            .or(args.target_value_milli.map(MetricTarget::ValueMilli))
            .ok_or("there is no target")?;
        let metric = MetricIdentifier {
            name: args.metric.as_str().into(),
            selector: None,
            selector_text: "nil".into(),
        };
        let source = match self.function.as_str() {
            function if function.starts_with("pods") => MetricSource::Pods { metric },
            function if function.starts_with("external") => MetricSource::External { metric },
            function if function.starts_with("object") => {
                let empty = || Name::from("");
                let described_object =
                    ObjectReference { api_version: empty(), kind: empty(), name: empty() };
                MetricSource::Object { metric, described_object }
            }
            _ => MetricSource::Resource {
                resource: args.resource.as_str().into(),
                container: Some(args.container.as_str().into())
                    .filter(|container: &Name| !container.is_empty()),
            },
        };
        Ok(MetricSpec::new(source, target))
    }
}

/// One call of the replica calculator.
pub(super) fn replica_calculator(line: &str, expected: &Value) -> Result<Answer, String> {
    let row: CalculatorRow = parse(line)?;
    let settings = row.flags.settings(row.feature_gates);
    let spec = row.metric()?;
    let pods = Pods::new(&row.pods);
    let templates: Vec<&PodSpec> = pods.specs.iter().collect();
    let reading = row.metrics.first().ok_or("there is no metric")?;
    let reading = reading.reading(&row.pods);
    let (hpa_spec, status, no) = (empty_spec(), HpaStatus::default(), Name::from("no"));
    let inputs = HpaInputs {
        hpa: HpaView {
            namespace: "test-namespace",
            spec: &hpa_spec,
            status: &status,
            settings: &settings,
        },
        scale: Err(&no),
        scale_write: Ok(()),
        pods: &pods.observed,
        templates: &templates,
        metrics: &[],
        pod_name: &|index| pods.names[index].clone(),
    };
    let scale = ObservedScale {
        spec_replicas: row.args.current_replicas,
        status_replicas: row.args.status_replicas,
        selector: ScaleSelector::Unique,
    };
    let RowTolerances { scale_up, scale_down } = row.tolerances;
    let tolerances = Tolerances { scale_up, scale_down };
    let calculator = Calculator { inputs: &inputs, scale, spec: &spec, tolerances, now: NOW };
    Ok(match calculator.evaluate(reading.as_input()) {
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

/// A spec that nothing is read from.
fn empty_spec() -> HpaSpec {
    let empty = || Name::from("");
    HpaSpec {
        scale_target: ObjectReference { api_version: empty(), kind: empty(), name: empty() },
        min_replicas: 1,
        max_replicas: 1,
        metrics: Vec::new(),
        behavior: None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupPodsRow {
    flags: Flags,
    resource: String,
    pods: Vec<Pod>,
    per_pod: BTreeMap<String, AgedValue>,
}

/// The classes of pods.
pub(super) fn group_pods(line: &str) -> Result<Answer, String> {
    let row: GroupPodsRow = parse(line)?;
    let settings = row.flags.settings(HpaFeatureGates::default());
    let class = |pod: &Pod| {
        let metric = row.per_pod.get(&pod.name).map(AgedValue::metric);
        classify_pod(&pod.observed(0), metric.as_ref(), row.resource == "cpu", &settings, NOW)
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

/// The requests of pods.
pub(super) fn pod_requests(line: &str, expected: &Value) -> Result<Answer, String> {
    let row: PodRequestsRow = parse(line)?;
    let container = Some(row.container.as_str()).filter(|container| !container.is_empty());
    let gate = row.feature_gates.pod_level_resources;
    let request = |pod: &Pod| {
        let request = pod_request_milli(&pod.spec(), &row.resource, container, gate);
        Some((pod.name.clone(), request.ok()?))
    };
    let requests: Option<BTreeMap<String, i64>> = row.pods.iter().map(request).collect();
    Ok(match requests {
        Some(requests) => vec![("error", Value::Null), ("requestsMilli", json!(requests))],
        None => vec![("error", error_answer(Some(MISSING_REQUEST), &expected["error"]))],
    })
}
