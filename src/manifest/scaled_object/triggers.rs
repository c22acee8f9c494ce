//! Triggers of a ScaledObject: their metrics and targets.

use super::ScaleTriggers;
use crate::field::{FieldErrors, FieldPath};
use cluster::Name;
use cluster::cron_schedule::{Schedule, time_zone};
use cluster::hpa::MetricTarget;
use cluster::scaled_object::{Trigger, TriggerSource};
use units::Quantity;

/// Trigger type, the field with its query or queue name, the fields of the target (the first one
/// present counts), the field of the activation target, and the default target.
type Measured =
    (&'static str, &'static str, &'static [&'static str], &'static str, Option<&'static str>);

/// Trigger types whose value is a metric of the scenario.
const MEASURED: [Measured; 9] = [
    ("prometheus", "query", &["threshold"], "activationThreshold", None),
    ("rabbitmq", "queueName", &["value", "queueLength"], "activationValue", Some("20")),
    ("kafka", "topic", &["lagThreshold"], "activationLagThreshold", Some("10")),
    ("aws-sqs-queue", "queueURL", &["queueLength"], "activationQueueLength", Some("5")),
    ("azure-queue", "queueName", &["queueLength"], "activationQueueLength", Some("5")),
    ("azure-servicebus", "queueName", &["messageCount"], "activationMessageCount", Some("5")),
    ("gcp-pubsub", "subscriptionName", &["value"], "activationValue", Some("10")),
    ("redis", "listName", &["listLength"], "activationListLength", Some("5")),
    ("metrics-api", "valueLocation", &["targetValue"], "activationTargetValue", None),
];

pub(crate) fn trigger(
    index: usize,
    written: &ScaleTriggers,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Trigger {
    let kind = written.r#type.as_str();
    let name: Option<Name> = written.name.as_deref().map(Into::into);
    let metadata = &written.metadata;
    let at = path.field("metadata");
    if matches!(kind, "cpu" | "memory") {
        let source = resource(written, path, errors);
        return Trigger { name, kind: kind.into(), metric_name: "".into(), source };
    }
    if kind == "cron" {
        return cron(index, written, path, errors);
    }
    let Some((_, query, targets, activation, default)) =
        MEASURED.iter().find(|(known, ..)| *known == kind)
    else {
        return Trigger {
            name,
            kind: kind.into(),
            metric_name: "".into(),
            source: TriggerSource::Unknown,
        };
    };
    let query_text = metadata.get(*query).cloned().unwrap_or_else(|| {
        errors.push(&at.field(query), format!("a {kind} trigger needs it"));
        String::new()
    });
    let mut milli = |field: &str, text: &str| milli(text, &at.field(field), errors);
    let written_target =
        targets.iter().find_map(|field| metadata.get(*field).map(|text| (*field, text.as_str())));
    let target_milli = match written_target.or(default.map(|text| (targets[0], text))) {
        Some((field, text)) => milli(field, text),
        None => milli(targets[0], ""),
    };
    let activation_milli =
        metadata.get(*activation).map_or(0, |text| milli(activation, text.as_str()));
    let target = external_target(written, target_milli, path, errors);
    let last_part = query_text.rsplit('/').next().unwrap_or_default();
    let metric_name = match kind {
        "prometheus" => format!("s{index}-prometheus"),
        "metrics-api" => format!("s{index}-metric-api-{last_part}"),
        _ => format!("s{index}-{}-{last_part}", kind.trim_end_matches("-queue")),
    };
    Trigger {
        name,
        kind: kind.into(),
        metric_name: metric_name.replace(['.', ':', '%', '(', ')', '/'], "-").into(),
        source: TriggerSource::Measured {
            query: query_text.into(),
            target,
            activation_milli,
            // An empty queue has 0 messages; only a query can have no result.
            ignores_missing: metadata.get("ignoreNullValues").is_none_or(|text| text != "false"),
        },
    }
}

/// The target of an external metric (`GetMetricTargetType`).
fn external_target(
    written: &ScaleTriggers,
    milli: i64,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> MetricTarget {
    let types = [
        ("AverageValue", MetricTarget::AverageValueMilli(milli)),
        ("Value", MetricTarget::ValueMilli(milli)),
    ];
    errors.choose(written.metric_type.as_deref(), &types, &path.field("metricType"))
}

/// A cron trigger (`pkg/scalers/cron_scaler.go`).
fn cron(
    index: usize,
    written: &ScaleTriggers,
    trigger: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Trigger {
    let path = &trigger.field("metadata");
    let mut text = |field: &str| {
        let text = written.metadata.get(field).cloned().unwrap_or_default();
        if text.is_empty() {
            errors.push(&path.field(field), "a cron trigger needs it".to_owned());
        }
        text
    };
    let [start, end, zone, replicas] =
        ["start", "end", "timezone", "desiredReplicas"].map(&mut text);
    let mut schedule = |field: &str, text: &str| {
        // KEDA's parser accepts five fields and no descriptors.
        let parsed = if text.starts_with('@') {
            Err("descriptors such as @daily are not accepted; write five fields".to_owned())
        } else {
            Schedule::parse(text)
        };
        parsed
            .map_err(|problem| {
                if !text.is_empty() {
                    errors.push(&path.field(field), problem);
                }
            })
            .ok()
    };
    let schedules = schedule("start", &start).zip(schedule("end", &end));
    if !start.is_empty() && start == end {
        let problem = "start and end can not have exactly same time input".to_owned();
        errors.push(&path.field("end"), problem);
    }
    let time_zone = time_zone(Some(&zone));
    if !zone.is_empty() && time_zone.is_none() {
        let problem = format!("{zone:?} is not a time zone; write one such as Europe/Berlin");
        errors.push(&path.field("timezone"), problem);
    }
    let desired_replicas = replicas.parse::<i64>().unwrap_or_default();
    if !replicas.is_empty() && desired_replicas <= 0 {
        let problem = format!("{replicas:?} must be a number above 0");
        errors.push(&path.field("desiredReplicas"), problem);
    }
    let target = external_target(written, 1_000, trigger, errors);
    let plain =
        |text: &str| text.replace(' ', "").replace('*', "x").replace('/', "Sl").replace('?', "Qm");
    let name = format!("s{index}-cron-{zone}-{}-{}", plain(&start), plain(&end));
    let source =
        schedules.zip(time_zone).map_or(TriggerSource::Unknown, |((start, end), time_zone)| {
            TriggerSource::Cron { start, end, time_zone, desired_replicas, target }
        });
    Trigger {
        name: written.name.as_deref().map(Into::into),
        kind: "cron".into(),
        metric_name: name.replace(['.', ':', '%', '(', ')', '/'], "-").into(),
        source,
    }
}

/// Converts a number to thousandths, truncated as in KEDA's targets: `int64(number * 1000)`.
#[expect(clippy::cast_possible_truncation, reason = "cut towards zero, as KEDA does")]
pub(super) fn milli(text: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) -> i64 {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => (number * 1000.0) as i64,
        _ => {
            errors.push(path, format!("{text:?} is not a number"));
            0
        }
    }
}

fn resource(
    written: &ScaleTriggers,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> TriggerSource {
    let at = path.field("metadata");
    let value = written.metadata.get("value").map_or("", String::as_str);
    let kind = written.metric_type.as_deref().or(written.metadata.get("type").map(String::as_str));
    let target = match kind {
        Some("AverageValue") => value
            .parse::<Quantity>()
            .map(|quantity| MetricTarget::AverageValueMilli(quantity.milli_value()))
            .map_err(|error| error.to_string()),
        Some("Utilization") => {
            value.parse().map(MetricTarget::Utilization).map_err(|error| error.to_string())
        }
        _ => Err("metricType must be Utilization or AverageValue".to_owned()),
    };
    let target = target.unwrap_or_else(|problem| {
        errors.push(&at.field("value"), problem);
        MetricTarget::Utilization(1)
    });
    TriggerSource::Resource {
        resource: written.r#type.as_str().into(),
        container: written.metadata.get("containerName").map(|name| name.as_str().into()),
        target,
    }
}
