//! Groups the pods of one metric by their role in its calculation and sums them up, in one pass.

use serde::Serialize;

use super::pods::{ObservedPod, PodClass, PodMetric, classify_pod};
use super::replicas::PerPodTarget;
use super::requests::RequestProblem;
use super::settings::HpaSettings;
use engine::SimTime;

/// The answer of a metrics API for the pods of an HPA.
#[derive(Clone, Copy, Debug, Default)]
pub struct PodMetrics<'a> {
    /// The value of each pod, in the order of the pods; `None` for a pod without one.
    pub values: &'a [Option<PodMetric>],
    /// Number and sum of the values of pods that no longer exist.
    pub orphans: GroupTotal,
}

/// The pods of one metric by class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PodGroups {
    /// Pods whose sample counts.
    pub counted: GroupTotal,
    /// Pods that have not started or are not ready.
    pub unready: GroupTotal,
    /// Pods without a sample; their usage is the one assumed for a scale-down.
    pub missing: GroupTotal,
    /// Failed and terminating pods.
    pub ignored: GroupTotal,
    /// Samples of pods that do not exist.
    pub orphans: GroupTotal,
    /// Every pod that is not counted, by its index in the list of pods.
    pub not_counted: Vec<(u32, PodClass)>,
}

/// Sums over the pods of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupTotal {
    /// Number of pods.
    pub pods: i64,
    /// Usage, in thousandths of a unit.
    pub usage_milli: i64,
    /// Requests, in thousandths of a unit; 0 for non-percentage targets.
    pub request_milli: i64,
}

/// Why the pods cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupProblem {
    /// There are none.
    NoPods,
    /// None has a usable sample.
    NoUsableSample(Box<PodGroups>),
    /// One lacks a request, however little it counts.
    Request {
        /// Its place in the list of pods.
        pod: usize,
        /// The missing request.
        problem: RequestProblem,
    },
}

impl GroupTotal {
    /// Adds identical pods.
    pub fn add(&mut self, count: u32, usage_milli: i64, request_milli: i64) {
        let pods = i64::from(count);
        self.pods += pods;
        self.usage_milli = self.usage_milli.wrapping_add(usage_milli.wrapping_mul(pods));
        self.request_milli = self.request_milli.wrapping_add(request_milli.wrapping_mul(pods));
    }
}

/// Parameters of the grouping, besides the pods.
#[derive(Clone, Copy, Debug)]
pub struct Grouping<'a> {
    /// Whether the metric is CPU usage, for which readiness matters.
    pub is_cpu: bool,
    /// The target value.
    pub target: PerPodTarget,
    /// Periods after a pod's start.
    pub settings: &'a HpaSettings,
    /// The time of the decision.
    pub now: SimTime,
}

/// Groups the pods. `request` returns the request of a pod for a utilization target, and 0 otherwise; it is called
/// for every pod, as in the controller.
pub fn group_pods(
    grouping: Grouping<'_>,
    pods: &[ObservedPod],
    metrics: PodMetrics<'_>,
    mut request: impl FnMut(&ObservedPod) -> Result<i64, RequestProblem>,
) -> Result<PodGroups, GroupProblem> {
    let Grouping { is_cpu, target, settings, now } = grouping;
    if pods.is_empty() {
        return Err(GroupProblem::NoPods);
    }
    let mut groups = PodGroups { orphans: metrics.orphans, ..PodGroups::default() };
    let mut lacking = None;
    for (index, pod) in (0_u32..).zip(pods) {
        let metric = metrics.values.get(index as usize).and_then(Option::as_ref);
        let request_milli = request(pod).unwrap_or_else(|problem| {
            lacking.get_or_insert((index as usize, problem));
            0
        });
        let class = classify_pod(pod, metric, is_cpu, settings, now);
        let (group, usage_milli) = match class {
            PodClass::Counted => (&mut groups.counted, metric.map_or(0, |m| m.value_milli)),
            PodClass::Missing => (&mut groups.missing, target.assumed_usage_milli(request_milli)),
            PodClass::Unready => (&mut groups.unready, 0),
            PodClass::Ignored => (&mut groups.ignored, 0),
        };
        group.add(pod.count, usage_milli, request_milli);
        if class != PodClass::Counted {
            groups.not_counted.push((index, class));
        }
    }
    if groups.counted.pods + groups.orphans.pods == 0 {
        return Err(GroupProblem::NoUsableSample(Box::new(groups)));
    }
    match lacking {
        Some((pod, problem)) => Err(GroupProblem::Request { pod, problem }),
        None => Ok(groups),
    }
}
