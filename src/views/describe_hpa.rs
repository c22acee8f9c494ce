//! HorizontalPodAutoscalers, including their targets in `get`, and the custom resources that scale workloads.

use super::columns::{NONE, UNKNOWN};
use super::describe::{labels, names};
use super::get::Snapshot;
use super::page::{Page, line};
use super::rows_of_others::readiness;
use cluster::NamespacedName;
use cluster::hpa::{MetricSource, MetricSpec, MetricTarget, ScalingRules};
use cluster::hpa_object::HpaObject;
use cluster::hpa_status::{MetricStatus, MetricValue};
use cluster::pod_autoscaler::PodAutoscaler;
use cluster::scaled_job::ScaledJob;
use units::Quantity;

/// Maximum number of metrics listed for an HPA.
const METRICS_SHOWN: usize = 2;

/// `cpu: 45%/60%`: a pair for each of the first two metrics, followed by the number of others (`formatHPAMetrics`).
pub(super) fn targets(hpa: &HpaObject) -> String {
    let all = metric_pairs(hpa);
    match all.len().checked_sub(METRICS_SHOWN) {
        _ if all.is_empty() => NONE.to_owned(),
        Some(more @ 1..) => format!("{} + {more} more...", all[..METRICS_SHOWN].join(", ")),
        _ => all.join(", "),
    }
}

fn status_of(hpa: &HpaObject, position: usize) -> Option<&MetricStatus> {
    hpa.status.current_metrics.get(position).and_then(Option::as_ref)
}

/// The controller writes measured values with decimal suffixes, even for memory.
fn measured(milli: i64) -> String {
    Quantity::from_milli(milli).to_string()
}

fn wanted(metric: &MetricSpec) -> String {
    match metric.target {
        MetricTarget::Utilization(percent) => format!("{percent}%"),
        MetricTarget::AverageValueMilli(milli) | MetricTarget::ValueMilli(milli) => {
            Quantity::from_milli(milli).with_format(metric.target_format).to_string()
        }
    }
}

/// The current and target value of each metric.
fn metric_pairs(hpa: &HpaObject) -> Vec<String> {
    let pairs = hpa.spec.metrics.iter().enumerate().map(|(position, metric)| {
        let (name, is_told_as_mean) = match &*metric.source {
            MetricSource::Resource { resource, .. } => (format!("{resource}: "), false),
            MetricSource::Object { .. } | MetricSource::External { .. } => (String::new(), true),
            MetricSource::Pods { .. } | MetricSource::Invalid { .. } => (String::new(), false),
        };
        let is_mean = matches!(metric.target, MetricTarget::AverageValueMilli(_));
        let mean = if is_told_as_mean && is_mean { " (avg)" } else { "" };
        let current = status_of(hpa, position).map_or_else(
            || UNKNOWN.to_owned(),
            |status| match status.current {
                MetricValue::Utilization { percent, .. } => format!("{percent}%"),
                MetricValue::AverageValueMilli(milli) | MetricValue::ValueMilli(milli) => {
                    measured(milli)
                }
            },
        );
        format!("{name}{current}/{}{mean}", wanted(metric))
    });
    pairs.collect()
}

pub(super) fn hpa(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let hpa = snapshot.view.store().hpas().get(snapshot.view.named(id)?)?;
    let target = &hpa.spec.scale_target;
    names(id, page);
    labels(&hpa.meta, page);
    line!(page, 0, "CreationTimestamp:\t{}", snapshot.date(hpa.meta.created));
    line!(page, 0, "Reference:\t{}/{}", target.kind, target.name);
    line!(page, 0, "Metrics:\t( current / target )");
    for (position, metric) in hpa.spec.metrics.iter().enumerate() {
        let current = status_of(hpa, position).map_or_else(
            || UNKNOWN.to_owned(),
            |status| match status.current {
                MetricValue::Utilization { percent, average_milli } => {
                    format!("{percent}% ({})", measured(average_milli))
                }
                MetricValue::AverageValueMilli(milli) | MetricValue::ValueMilli(milli) => {
                    measured(milli)
                }
            },
        );
        line!(page, 1, "{}:\t{current} / {}", metric_title(metric), wanted(metric));
    }
    line!(page, 0, "Min replicas:\t{}", hpa.spec.min_replicas);
    line!(page, 0, "Max replicas:\t{}", hpa.spec.max_replicas);
    if let Some(behavior) = &hpa.spec.behavior {
        line!(page, 0, "Behavior:");
        direction("Scale Up", &behavior.scale_up, page);
        direction("Scale Down", &behavior.scale_down, page);
    }
    let (current, desired) = (hpa.status.current_replicas, hpa.status.desired_replicas);
    line!(page, 0, "{} pods:\t{current} current / {desired} desired", target.kind);
    if hpa.status.conditions.is_empty() {
        return Some(());
    }
    line!(page, 0, "Conditions:");
    line!(page, 1, "Type\tStatus\tReason\tMessage");
    line!(page, 1, "----\t------\t------\t-------");
    for one in &hpa.status.conditions {
        let (kind, status) = (one.kind.as_str(), one.status.as_str());
        line!(page, 1, "{kind}\t{status}\t{}\t{}", one.reason.as_str(), one.message());
    }
    Some(())
}

/// The title of a metric, worded as in `describeHorizontalPodAutoscalerV2`.
fn metric_title(metric: &MetricSpec) -> String {
    let of_target = match metric.target {
        MetricTarget::AverageValueMilli(_) => "(target average value)",
        _ => "(target value)",
    };
    match &*metric.source {
        MetricSource::Resource { resource, container } => {
            let of_container = container.as_ref();
            let of_container =
                of_container.map_or_else(String::new, |one| format!(" of container \"{one}\""));
            let as_percent = match metric.target {
                MetricTarget::Utilization(_) => "  (as a percentage of request)",
                _ => "",
            };
            format!("resource {resource}{of_container} on pods{as_percent}")
        }
        MetricSource::Pods { metric } => format!("{:?} on pods", metric.name),
        MetricSource::Object { metric, described_object } => {
            let (kind, name) = (&described_object.kind, &described_object.name);
            format!("\"{}\" on {kind}/{name} {of_target}", metric.name)
        }
        MetricSource::External { metric } => format!("{:?} {of_target}", metric.name),
        MetricSource::Invalid { type_name } => format!("<unknown metric type {type_name:?}>"),
    }
}

/// `printDirectionBehavior`.
fn direction(title: &str, rules: &ScalingRules, page: &mut Page) {
    line!(page, 1, "{title}:");
    if let Some(window) = rules.stabilization_window {
        line!(page, 2, "Stabilization Window: {} seconds", window.as_secs());
    }
    if rules.policies.is_empty() {
        return;
    }
    line!(page, 2, "Select Policy: {:?}", rules.select_policy);
    line!(page, 2, "Policies:");
    for policy in &rules.policies {
        let (kind, period) = (policy.kind, policy.period.as_secs());
        line!(page, 3, "- Type: {kind:?}\tValue: {}\tPeriod: {period} seconds", policy.value);
    }
}

/// A custom resource, for which kubectl prints all fields as they are; this lists the relevant ones.
pub(super) fn vpa(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let vpa = snapshot.view.store().vpas().get(snapshot.view.named(id)?)?;
    names(id, page);
    labels(&vpa.meta, page);
    line!(page, 0, "API Version:\tautoscaling.k8s.io/v1");
    line!(page, 0, "Kind:\tVerticalPodAutoscaler");
    line!(page, 0, "Metadata:");
    line!(page, 1, "Creation Timestamp:\t{}", snapshot.date(vpa.meta.created));
    line!(page, 0, "Spec:");
    line!(page, 1, "Target Ref:");
    line!(page, 2, "Kind:\t{}", vpa.spec.target.kind);
    line!(page, 2, "Name:\t{}", vpa.spec.target.name);
    line!(page, 1, "Update Policy:");
    line!(page, 2, "Update Mode:\t{:?}", vpa.spec.mode);
    if vpa.recommendation.is_empty() {
        return Some(());
    }
    line!(page, 0, "Status:");
    line!(page, 1, "Recommendation:");
    line!(page, 2, "Container Recommendations:");
    for one in &vpa.recommendation {
        line!(page, 3, "Container Name:\t{}", one.container);
        for (title, amounts) in [
            ("Lower Bound", one.lower_bound),
            ("Target", one.target),
            ("Uncapped Target", one.uncapped_target),
            ("Upper Bound", one.upper_bound),
        ] {
            line!(page, 3, "{title}:");
            for (title, amount) in [("Cpu", amounts.cpu), ("Memory", amounts.memory)] {
                if let Some(amount) = amount {
                    line!(page, 4, "{title}:\t{amount}");
                }
            }
        }
    }
    Some(())
}

/// A custom resource, for which kubectl prints all fields as they are; this lists the relevant ones.
pub(super) fn scaled_object(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let mut objects = snapshot.view.store().scaled_objects().values();
    let object = objects.find(|one| one.meta.id == *id)?;
    let spec = &object.spec;
    names(id, page);
    labels(&object.meta, page);
    line!(page, 0, "API Version:\tkeda.sh/v1alpha1");
    line!(page, 0, "Kind:\tScaledObject");
    line!(page, 0, "Metadata:");
    line!(page, 1, "Creation Timestamp:\t{}", snapshot.date(object.meta.created));
    line!(page, 0, "Spec:");
    line!(page, 1, "Cooldown Period:\t{}", spec.cooldown_period.as_secs());
    line!(page, 1, "Max Replica Count:\t{}", spec.max_replicas);
    line!(page, 1, "Min Replica Count:\t{}", spec.min_replicas);
    line!(page, 1, "Polling Interval:\t{}", spec.polling_interval.as_secs());
    line!(page, 1, "Scale Target Ref:");
    line!(page, 2, "Kind:\t{}", spec.scale_target.kind);
    line!(page, 2, "Name:\t{}", spec.scale_target.name);
    line!(page, 1, "Triggers:");
    spec.triggers.iter().for_each(|trigger| line!(page, 2, "Type:\t{}", trigger.kind));
    line!(page, 0, "Status:");
    line!(page, 1, "Hpa Name:\t{}", spec.hpa_name);
    if let Some(at) = object.status.last_active {
        line!(page, 1, "Last Active Time:\t{}", snapshot.date(at));
    }
    Some(())
}

/// The same for ScaledJobs.
pub(super) fn scaled_job(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let object = snapshot.view.store().find::<ScaledJob>(id)?;
    let (spec, scaling, status) = (&object.spec, &object.spec.scaling, &object.status);
    names(id, page);
    labels(&object.meta, page);
    line!(page, 0, "API Version:\tkeda.sh/v1alpha1");
    line!(page, 0, "Kind:\tScaledJob");
    line!(page, 0, "Metadata:");
    line!(page, 1, "Creation Timestamp:\t{}", snapshot.date(object.meta.created));
    line!(page, 0, "Spec:");
    line!(page, 1, "Failed Jobs History Limit:\t{}", scaling.failed_jobs_history_limit);
    line!(page, 1, "Max Replica Count:\t{}", scaling.max_replicas() + scaling.min_replicas());
    line!(page, 1, "Min Replica Count:\t{}", scaling.min_replicas());
    line!(page, 1, "Polling Interval:\t{}", spec.polling_interval.as_secs());
    line!(page, 1, "Scaling Strategy:");
    line!(page, 2, "Strategy:\t{}", scaling.strategy.name());
    line!(page, 1, "Successful Jobs History Limit:\t{}", scaling.successful_jobs_history_limit);
    line!(page, 1, "Triggers:");
    spec.triggers.iter().for_each(|trigger| line!(page, 2, "Type:\t{}", trigger.kind));
    line!(page, 0, "Status:");
    line!(page, 1, "Conditions:");
    let conditions = [
        ("Ready", status.conditions.ready),
        ("Active", status.conditions.active),
        ("Paused", status.conditions.paused),
    ];
    for (name, condition) in conditions {
        if !condition.reason.is_empty() {
            line!(page, 2, "Reason:\t{}", condition.reason);
        }
        line!(page, 2, "Status:\t{}", condition.status.as_str());
        line!(page, 2, "Type:\t{name}");
    }
    if let Some(at) = status.last_active {
        line!(page, 1, "Last Active Time:\t{}", snapshot.date(at));
    }
    Some(())
}

/// The same for Knative.
pub(super) fn pod_autoscaler(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let object = snapshot.view.store().find::<PodAutoscaler>(id)?;
    let (spec, status) = (&object.spec, &object.status);
    names(id, page);
    labels(&object.meta, page);
    line!(page, 0, "API Version:\tautoscaling.internal.knative.dev/v1alpha1");
    line!(page, 0, "Kind:\tPodAutoscaler");
    line!(page, 0, "Metadata:");
    line!(page, 1, "Creation Timestamp:\t{}", snapshot.date(object.meta.created));
    line!(page, 0, "Spec:");
    line!(page, 1, "Container Concurrency:\t{}", spec.container_concurrency);
    line!(page, 1, "Scale Target Ref:");
    line!(page, 2, "Kind:\tDeployment");
    line!(page, 2, "Name:\t{}", spec.scale_target);
    line!(page, 0, "Status:");
    line!(page, 1, "Actual Scale:\t{}", status.actual_scale);
    line!(page, 1, "Conditions:");
    let (active, reason) = readiness(status);
    line!(page, 2, "Last Transition Time:\t{}", snapshot.date(status.active_since));
    if !reason.is_empty() {
        line!(page, 2, "Reason:\t{reason}");
    }
    line!(page, 2, "Status:\t{active}");
    line!(page, 2, "Type:\tActive");
    line!(page, 1, "Desired Scale:\t{}", status.desired_scale);
    line!(page, 1, "Service Name:\t{}", spec.service);
    Some(())
}
