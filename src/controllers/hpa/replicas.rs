//! Computes a number of replicas from measured values: the replica calculator
//! (`pkg/controller/podautoscaler/replica_calculator.go` and `metrics/utilization.go`), with the same integer and
//! float arithmetic. Stabilization and limits are applied elsewhere.

use serde::Serialize;

use super::arithmetic::{ceil_to_i32, ceil_to_i64};
use super::groups::PodGroups;
use cluster::hpa_status::MetricValue;

/// The band around 1 in which the ratio of current to target value changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerances {
    /// Above 1.
    pub scale_up: f64,
    /// Below 1.
    pub scale_down: f64,
}

impl Tolerances {
    /// The lowest and the highest ratio inside the band; both ends belong to it.
    pub fn band(self) -> (f64, f64) {
        (1.0 - self.scale_down, 1.0 + self.scale_up)
    }

    /// Whether a ratio is inside the band.
    pub fn contain(self, ratio: f64) -> bool {
        let (low, high) = self.band();
        low <= ratio && ratio <= high
    }
}

/// Proposal of one metric, and the numbers behind it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proposal {
    /// The number of replicas.
    pub replicas: i32,
    /// The measured value, as the status shows it.
    pub current: MetricValue,
    /// Derivation of the number.
    pub calculation: Calculation,
}

/// Method by which a number of replicas was calculated.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Calculation {
    /// From the samples of the pods.
    PerPod(PerPodCalculation),
    /// From one value for all pods, against the number of ready pods.
    Value(ValueCalculation),
    /// From one value for all pods, divided by `status.replicas`.
    AverageValue(AverageValueCalculation),
}

/// The numbers of a calculation from pod samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PerPodCalculation {
    /// Counted pods, and pods not counted.
    pub pods: PodGroups,
    /// Current to target value over the counted pods.
    pub ratio: f64,
    /// The same with unready and missing pods filled in, where there were any that matter.
    pub corrected: Option<CorrectedRatio>,
    /// Outcome of comparing the ratio with the tolerance.
    pub verdict: Verdict,
}

/// The second pass, in which pods without a usable sample get an assumed one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CorrectedRatio {
    /// Current to target value over all of them.
    pub ratio: f64,
    /// The value with the assumed samples.
    pub current: MetricValue,
    /// Number of samples, including assumed ones and those of unknown pods.
    pub samples: i64,
    /// Missing pods counted as idle (scaling up), or as fully used (scaling down).
    pub missing_as: Option<AssumedUsage>,
    /// Unready pods counted as idle.
    pub unready_as_idle: bool,
}

/// Usage assumed for a pod without a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AssumedUsage {
    /// Nothing.
    Nothing,
    /// Its whole request, or the target if that is higher.
    RequestOrTarget,
}

/// Outcome of the ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Inside the tolerance: no change.
    WithinTolerance,
    /// Assumed samples turned scale-up into scale-down or the other way round: no change.
    DirectionReversed,
    /// The number of samples would move the count against the ratio: no change.
    CountAgainstRatio,
    /// The ratio times this many pods, rounded up.
    Scaled {
        /// Counted pods, or samples with the assumed ones.
        pods: i64,
    },
}

/// The numbers of a calculation against ready pods.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ValueCalculation {
    /// Current to target value.
    pub ratio: f64,
    /// Running and ready pods; `None` if they were not counted.
    pub ready_pods: Option<i64>,
    /// Inside the tolerance: no change.
    pub is_within_tolerance: bool,
}

/// The numbers of a calculation against `status.replicas`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AverageValueCalculation {
    /// Current value to target times replicas.
    pub ratio: f64,
    /// The whole value, thousandths of a unit.
    pub total_milli: i64,
    /// `status.replicas` of the scale.
    pub status_replicas: i32,
    /// Inside the tolerance: the proposal is `status.replicas`.
    pub is_within_tolerance: bool,
}

/// A target per pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerPodTarget {
    /// Percent of the request.
    Utilization(i32),
    /// Thousandths of a unit.
    AverageValueMilli(i64),
}

impl PerPodTarget {
    /// Usage assumed for a pod without a sample in a scale-down.
    pub(crate) fn assumed_usage_milli(self, request_milli: i64) -> i64 {
        match self {
            Self::Utilization(percent) => {
                request_milli.wrapping_mul(i64::from(percent.max(100))) / 100
            }
            Self::AverageValueMilli(target) => target,
        }
    }

    /// Current to target value, and the current value, cut to whole percent or thousandths before
    /// the division. `None` if no sample belongs to a known pod with a request.
    fn ratio(self, totals: Totals) -> Option<(f64, MetricValue)> {
        match self {
            Self::Utilization(target) => {
                let usage = totals.usage_milli;
                let percent = usage.wrapping_mul(100).checked_div(totals.request_milli)?;
                let percent = low_32_bits(percent);
                let average_milli = usage.checked_div(totals.pods)?;
                let ratio = f64::from(percent) / f64::from(target);
                Some((ratio, MetricValue::Utilization { percent, average_milli }))
            }
            Self::AverageValueMilli(target) => {
                let usage = totals.usage_milli.wrapping_add(totals.orphan_usage_milli);
                let average = usage.checked_div(totals.samples)?;
                let ratio = average as f64 / target as f64;
                Some((ratio, MetricValue::AverageValueMilli(average)))
            }
        }
    }
}

/// Go's `int32(value)`.
#[expect(clippy::cast_possible_truncation, reason = "the controller cuts the same way")]
fn low_32_bits(value: i64) -> i32 {
    value as i32
}

/// Sums over samples.
#[derive(Clone, Copy)]
struct Totals {
    /// Over pods of the list.
    usage_milli: i64,
    /// Over pods of the list.
    request_milli: i64,
    /// Pods of the list.
    pods: i64,
    /// Over samples of pods that the list does not contain.
    orphan_usage_milli: i64,
    /// All samples.
    samples: i64,
}

/// The proposal of a Resource, ContainerResource or Pods metric (`GetResourceReplicas`,
/// `calcPlainMetricReplicas`). `None` if no sample belongs to a known pod with a request.
pub fn per_pod_replicas(
    pods: PodGroups,
    target: PerPodTarget,
    current_replicas: i32,
    tolerances: Tolerances,
) -> Option<Proposal> {
    let counted = Totals {
        usage_milli: pods.counted.usage_milli,
        request_milli: pods.counted.request_milli,
        pods: pods.counted.pods,
        orphan_usage_milli: pods.orphans.usage_milli,
        samples: pods.counted.pods + pods.orphans.pods,
    };
    let (ratio, current) = target.ratio(counted)?;
    let unready_as_idle = pods.unready.pods > 0 && ratio > 1.0;
    let (replicas, corrected, verdict) = if unready_as_idle || pods.missing.pods > 0 {
        let corrected = corrected_ratio(&pods, counted, target, ratio, unready_as_idle)?;
        let (replicas, verdict) =
            corrected_replicas(ratio, corrected, current_replicas, tolerances);
        (replicas, Some(corrected), verdict)
    } else if tolerances.contain(ratio) {
        (current_replicas, None, Verdict::WithinTolerance)
    } else {
        let pods = pods.counted.pods;
        (ceil_to_i32(ratio * pods as f64), None, Verdict::Scaled { pods })
    };
    let calculation = PerPodCalculation { pods, ratio, corrected, verdict };
    Some(Proposal { replicas, current, calculation: Calculation::PerPod(calculation) })
}

fn corrected_ratio(
    pods: &PodGroups,
    counted: Totals,
    target: PerPodTarget,
    ratio: f64,
    unready_as_idle: bool,
) -> Option<CorrectedRatio> {
    let mut totals = counted;
    let missing_as = match ratio {
        _ if pods.missing.pods == 0 => None,
        _ if ratio < 1.0 => Some(AssumedUsage::RequestOrTarget),
        _ if ratio > 1.0 => Some(AssumedUsage::Nothing),
        _ => None,
    };
    if let Some(assumed) = missing_as {
        totals.request_milli = totals.request_milli.wrapping_add(pods.missing.request_milli);
        totals.pods += pods.missing.pods;
        totals.samples += pods.missing.pods;
        if assumed == AssumedUsage::RequestOrTarget {
            totals.usage_milli = totals.usage_milli.wrapping_add(pods.missing.usage_milli);
        }
    }
    if unready_as_idle {
        totals.request_milli = totals.request_milli.wrapping_add(pods.unready.request_milli);
        totals.pods += pods.unready.pods;
        totals.samples += pods.unready.pods;
    }
    let (ratio, current) = target.ratio(totals)?;
    let samples = totals.samples;
    Some(CorrectedRatio { ratio, current, samples, missing_as, unready_as_idle })
}

fn corrected_replicas(
    first_ratio: f64,
    corrected: CorrectedRatio,
    current_replicas: i32,
    tolerances: Tolerances,
) -> (i32, Verdict) {
    let ratio = corrected.ratio;
    if tolerances.contain(ratio) {
        return (current_replicas, Verdict::WithinTolerance);
    }
    if (first_ratio < 1.0 && ratio > 1.0) || (first_ratio > 1.0 && ratio < 1.0) {
        return (current_replicas, Verdict::DirectionReversed);
    }
    let replicas = ceil_to_i32(ratio * corrected.samples as f64);
    if (ratio < 1.0 && replicas > current_replicas) || (ratio > 1.0 && replicas < current_replicas)
    {
        return (current_replicas, Verdict::CountAgainstRatio);
    }
    (replicas, Verdict::Scaled { pods: corrected.samples })
}

/// The proposal of an Object or External metric with a `Value` target (`getUsageRatioReplicaCount`). `ready_pods`
/// counts Running pods whose Ready condition is True, including terminating ones; `None` = there are no pods, which
/// is an error if their number is needed, and the result is then `None` as well.
pub(crate) fn value_replicas(
    value_milli: i64,
    target_milli: i64,
    current_replicas: i32,
    ready_pods: Option<i64>,
    tolerances: Tolerances,
) -> Option<Proposal> {
    let ratio = value_milli as f64 / target_milli as f64;
    let mut calculation = ValueCalculation { ratio, ready_pods: None, is_within_tolerance: false };
    let replicas = if current_replicas == 0 {
        ceil_to_i32(ratio)
    } else if tolerances.contain(ratio) {
        calculation.is_within_tolerance = true;
        current_replicas
    } else {
        calculation.ready_pods = Some(ready_pods?);
        saturating_replicas(ratio * ready_pods? as f64)
    };
    let current = MetricValue::ValueMilli(value_milli);
    Some(Proposal { replicas, current, calculation: Calculation::Value(calculation) })
}

/// The proposal of an External metric with an `AverageValue` target, which never reads pods
/// (`GetExternalPerPodMetricReplicas`).
pub(crate) fn average_value_replicas(
    total_milli: i64,
    target_milli: i64,
    status_replicas: i32,
    tolerances: Tolerances,
) -> Proposal {
    let quotient = total_milli as f64 / target_milli as f64;
    let outside = saturating_replicas(quotient);
    let mut proposal =
        average_value_proposal(total_milli, target_milli, status_replicas, tolerances, outside);
    // A capped sum is shown unchanged.
    if total_milli as f64 >= i64::MAX as f64 {
        proposal.current = MetricValue::AverageValueMilli(i64::MAX);
    }
    proposal
}

/// The proposal of an Object metric with an `AverageValue` target: nothing is capped
/// (`GetObjectPerPodMetricReplicas`).
pub(crate) fn object_average_value_replicas(
    total_milli: i64,
    target_milli: i64,
    status_replicas: i32,
    tolerances: Tolerances,
) -> Proposal {
    let outside = ceil_to_i32(total_milli as f64 / target_milli as f64);
    average_value_proposal(total_milli, target_milli, status_replicas, tolerances, outside)
}

/// The proposal is `outside` unless the ratio is inside the tolerance.
fn average_value_proposal(
    total_milli: i64,
    target_milli: i64,
    status_replicas: i32,
    tolerances: Tolerances,
    outside: i32,
) -> Proposal {
    let (total, target, replicas) =
        (total_milli as f64, target_milli as f64, f64::from(status_replicas));
    let ratio = total / (target * replicas);
    let is_within_tolerance = tolerances.contain(ratio);
    let calculation =
        AverageValueCalculation { ratio, total_milli, status_replicas, is_within_tolerance };
    Proposal {
        replicas: if is_within_tolerance { status_replicas } else { outside },
        current: MetricValue::AverageValueMilli(ceil_to_i64(total / replicas)),
        calculation: Calculation::AverageValue(calculation),
    }
}

fn saturating_replicas(replicas: f64) -> i32 {
    if replicas > f64::from(i32::MAX) { i32::MAX } else { ceil_to_i32(replicas) }
}

/// The sum over all series of an external metric with a `Value` target, capped where it would
/// overflow.
pub(crate) fn external_value_milli(values: &[i64]) -> i64 {
    let mut sum = 0_i64;
    for value in values {
        if *value > 0 && sum > i64::MAX - value {
            return i64::MAX;
        }
        sum = sum.wrapping_add(*value);
    }
    sum
}

/// The sum over all series of an external metric with an `AverageValue` target: any negative sum
/// counts as an overflow.
pub(crate) fn external_total_milli(values: &[i64]) -> i64 {
    let mut sum = 0_i64;
    for value in values {
        sum = sum.wrapping_add(*value);
        if sum < 0 {
            return i64::MAX;
        }
    }
    sum
}
