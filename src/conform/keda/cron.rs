//! Cron triggers: their values at many instants. Schedules are parsed like those in manifests.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Difference;
use crate::json::is_equal;
use crate::objects;
use crate::recording::parse;
use cluster::hpa::MetricTarget;
use cluster::objects::AnySpec;
use cluster::scaled_object::TriggerSource;
use controllers::keda::{Reading, cron_reading};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    metadata: Value,
    #[serde(default)]
    error: bool,
    metric_name: Option<String>,
    average_value_milli: Option<i64>,
    samples: Option<Vec<(i64, bool, i64)>>,
}

/// Replays one case and returns the first difference, if any.
pub(super) fn replay(line: &str) -> Result<Option<Difference>, String> {
    let case: Case = parse(line)?;
    if !case.metadata.is_object() {
        return Err("metadata: must be an object of texts, as a trigger has it".to_owned());
    }
    let written = json!({
        "metadata": { "name": "app" },
        "spec": {
            "scaleTargetRef": { "name": "app" },
            "triggers": [{ "type": "cron", "metadata": case.metadata }],
        },
    });
    let differs = |at: String, field, expected: Value, got: Value| {
        Some(Difference::new(at, field, expected, got, case.metadata.clone()))
    };
    let read = objects::object_of(("keda.sh/v1alpha1", "ScaledObject"), written, "trigger");
    if case.error || read.is_err() {
        let got = json!(read.is_err());
        let explanation = read.err().unwrap_or_default();
        let difference = differs(String::new(), "error", json!(case.error), got.clone());
        let difference = difference.map(|difference| Difference { explanation, ..difference });
        return Ok(difference.filter(|_| got != json!(case.error)));
    }
    let object = read?;
    let AnySpec::ScaledObject(spec) = &object.spec else {
        return Err("metadata: makes no ScaledObject".to_owned());
    };
    let Some(trigger) = spec.triggers.first() else {
        return Err("metadata: makes no trigger".to_owned());
    };
    let TriggerSource::Cron { start, end, time_zone, desired_replicas, target } = &trigger.source
    else {
        return Err("metadata: makes no cron trigger".to_owned());
    };
    let name = json!(*trigger.metric_name);
    if !is_equal(&json!(case.metric_name), &name) {
        return Ok(differs(String::new(), "metricName", json!(case.metric_name), name));
    }
    let average = match target {
        MetricTarget::AverageValueMilli(milli) => json!(milli),
        _ => Value::Null,
    };
    if !is_equal(&json!(case.average_value_milli), &average) {
        let expected = json!(case.average_value_milli);
        return Ok(differs(String::new(), "averageValueMilli", expected, average));
    }
    for (index, (at, active, value)) in case.samples.iter().flatten().enumerate() {
        let now = Timestamp::from_second(*at)
            .map_err(|error| format!("samples[{index}]: {at} s is no time: {error}"))?;
        let reading = cron_reading((start, end), time_zone, *desired_replicas, now);
        let got = match reading {
            Reading::Calendar { lasts, milli } => json!([lasts, milli]),
            Reading::Value { .. } | Reading::Failing => Value::Null,
        };
        let expected = json!([active, value]);
        if !is_equal(&expected, &got) {
            return Ok(differs(format!("sample {index} ({now})"), "sample", expected, got));
        }
    }
    Ok(None)
}
