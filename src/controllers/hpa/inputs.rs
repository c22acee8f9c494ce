//! Inputs of one decision. Plain data gathered by the caller; nothing here performs lookups.

use super::groups::PodMetrics;
use super::pods::ObservedPod;
use super::settings::HpaSettings;
use cluster::hpa::HpaSpec;
use cluster::hpa_status::HpaStatus;
use cluster::meta::Name;
use cluster::pod_template::PodSpec;

/// The inputs of one sync of one HPA.
#[derive(Clone, Copy)]
pub struct HpaInputs<'a> {
    /// The HPA itself.
    pub hpa: HpaView<'a>,
    /// The target's scale subresource, or why it could not be read.
    pub scale: Result<ObservedScale<'a>, &'a Name>,
    /// Result that a write of the scale will have: success, or an error.
    pub scale_write: Result<(), &'a Name>,
    /// The pods that the scale's selector matches, whatever their state.
    pub pods: &'a [ObservedPod],
    /// Templates of the pods; [`ObservedPod::template`] is an index into it.
    pub templates: &'a [&'a PodSpec],
    /// Responses of the metrics APIs, in the order of `spec.metrics`.
    pub metrics: &'a [MetricReading<'a>],
    /// The name of a pod of the list, for messages.
    pub pod_name: &'a dyn Fn(usize) -> Name,
}

/// An HPA as stored, and the flags of its controller.
#[derive(Clone, Copy, Debug)]
pub struct HpaView<'a> {
    /// The HPA's namespace, for messages.
    pub namespace: &'a str,
    /// `spec` of the HPA.
    pub spec: &'a HpaSpec,
    /// Its status.
    pub status: &'a HpaStatus,
    /// The controller's flags and gates.
    pub settings: &'a HpaSettings,
}

/// The scale subresource of the target.
#[derive(Clone, Copy, Debug)]
pub struct ObservedScale<'a> {
    /// `spec.replicas`.
    pub spec_replicas: i32,
    /// `status.replicas`: the pods that the workload controller last counted.
    pub status_replicas: i32,
    /// `status.selector`.
    pub selector: ScaleSelector<'a>,
}

/// Validity of the scale's selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleSelector<'a> {
    /// It selects pods for this HPA alone.
    Unique,
    /// It is empty.
    Missing,
    /// It does not parse, for this reason.
    Invalid(&'a Name),
    /// It selects pods that other HPAs also select; the text names them.
    Ambiguous(&'a Name),
}

/// Response of a metrics API for one metric.
#[derive(Clone, Copy, Debug)]
pub enum MetricReading<'a> {
    /// The call fails with this error.
    Failed(&'a Name),
    /// The list of values is empty.
    Empty,
    /// Values of pods: for Resource, ContainerResource and Pods metrics.
    PerPod(PodMetrics<'a>),
    /// Values in thousandths of a unit: one for an Object metric, one or more series of an External
    /// one.
    Values(&'a [i64]),
}
