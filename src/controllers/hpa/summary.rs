//! A decision in one row of a table: for `wavetank explain` over a span of time. Decides nothing.

use super::amount::Amount;
use super::decision::{Decision, Derivation, MetricsDerivation};
use super::groups::PodGroups;
use super::metrics::{MetricEvaluation, MetricsEvaluation};
use super::replicas::Proposal;
use crate::Row;
use cluster::hpa::MetricSource;
use cluster::hpa_status::{HpaConditionReason, HpaConditionType, MetricValue};

impl Decision {
    /// The decision in one row.
    pub fn row(&self) -> Row {
        let current = self.scale.map_or(0, |scale| scale.spec);
        let metrics = self.metrics();
        let course = match &self.course {
            Derivation::Metrics(course) => Some(&**course),
            _ => None,
        };
        let number =
            |of: fn(&MetricsDerivation) -> i32| course.map_or("-".into(), |c| of(c).to_string());
        let cells = vec![
            ("TIME", self.time.to_string()),
            ("REPLICAS", current.to_string()),
            ("METRICS", metrics.map_or_else(|| "-".to_owned(), measured)),
            ("PODS", metrics.map_or_else(|| "-".to_owned(), counted)),
            ("ASKED FOR", number(|course| course.stabilization.recommendation)),
            ("STABILIZED", number(|course| course.stabilization.stabilized)),
            ("LIMITED", number(|course| course.replicas)),
            ("RESULT", self.result(current)),
        ];
        let is_change = self.scale_write.is_some();
        Row { at: self.time, cells, is_change }
    }

    fn result(&self, current: i32) -> String {
        let text = match &self.scale_write {
            Some(write) if write.error.is_some() => format!("{current}, write refused"),
            Some(write) => format!("{current} -> {}", write.replicas),
            None => current.to_string(),
        };
        let reasons = self.reasons();
        if reasons.is_empty() { text } else { format!("{text} ({})", reasons.join(", ")) }
    }

    /// Reasons why the result differs from the recommendation of the metrics.
    fn reasons(&self) -> Vec<&'static str> {
        let reason = |kind| self.status.condition(kind).map(|condition| condition.reason.as_str());
        match &self.course {
            Derivation::ScaleUnreadable => {
                reason(HpaConditionType::AbleToScale).into_iter().collect()
            }
            Derivation::Disabled | Derivation::SelectorUnusable | Derivation::MetricsFailed(_) => {
                reason(HpaConditionType::ScalingActive).into_iter().collect()
            }
            Derivation::AboveMax => vec!["above maxReplicas"],
            Derivation::BelowMin => vec!["below minReplicas"],
            Derivation::Metrics(course) => {
                let (stabilized, limited) = (course.stabilization.reason, course.limiting.reason);
                [stabilized, limited]
                    .into_iter()
                    .filter(|reason| {
                        !matches!(
                            reason,
                            HpaConditionReason::ReadyForNewScale
                                | HpaConditionReason::DesiredWithinRange
                        )
                    })
                    .map(HpaConditionReason::as_str)
                    .collect()
            }
        }
    }
}

/// Current and target value of each metric, as `kubectl get hpa` shows them.
fn measured(metrics: &MetricsEvaluation) -> String {
    let shown = metrics.metrics.iter().map(|metric| {
        let MetricEvaluation { spec, outcome } = metric;
        let name = match &*spec.source {
            MetricSource::Resource { resource, container: Some(container) } => {
                format!("{container}/{resource}")
            }
            source => source.name().to_string(),
        };
        let target = Amount::of_target(spec);
        match outcome {
            // Go's result for a mean over no pods.
            Ok(Proposal { current: MetricValue::AverageValueMilli(i64::MIN), .. }) => {
                format!("{name}: -/{target}")
            }
            Ok(proposal) => format!("{name}: {}/{target}", Amount::of(spec, proposal.current)),
            Err(_) => format!("{name}: <unknown>/{target}"),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Pods with counted samples, out of all pods read by the first per-pod metric.
fn counted(metrics: &MetricsEvaluation) -> String {
    let Some(pods) = metrics.metrics.iter().find_map(MetricEvaluation::pods) else {
        return "-".to_owned();
    };
    let PodGroups { counted, unready, missing, .. } = pods;
    let all = counted.pods + unready.pods + missing.pods;
    if all == counted.pods { all.to_string() } else { format!("{} of {all}", counted.pods) }
}
