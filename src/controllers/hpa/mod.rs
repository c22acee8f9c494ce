//! The HorizontalPodAutoscaler controller: the decision of one sync as pure functions of
//! [`HpaInputs`], [`HpaHistory`] and the time, with the arithmetic of Kubernetes 1.36.
//!
//! [`reconcile`] is the whole sync. Where the write of the scale is answered later, [`decide`] gives
//! the plan, and `Plan::conclude` the decision once the answer is known. Not responsible for
//! gathering inputs from a store, nor for when a sync happens.
//!
//! Semantics: `reconcileAutoscaler` in `pkg/controller/podautoscaler/horizontal.go`.

mod ambiguous_selector;
mod amount;
mod arithmetic;
mod conditions;
mod controller;
mod decision;
mod explain;
mod groups;
mod history;
mod idle;
mod inputs;
mod limits;
mod metric_error;
mod metrics;
mod pods;
mod readings;
mod reads;
mod replicas;
mod requests;
mod samples;
mod settings;
mod stabilization;
mod summary;
mod sync;
#[cfg(test)]
mod tests;

pub use controller::HpaController;
pub use decision::{
    Decision, Derivation, HpaEvent, MetricsDerivation, ScaleReplicas, ScaleWrite, SelectorProblem,
    SyncError,
};
pub use groups::{GroupProblem, GroupTotal, Grouping, PodGroups, PodMetrics, group_pods};
pub use history::{HpaHistory, Recommendation, ScaleEvent, replicas_changed_in};
pub use inputs::{HpaInputs, HpaView, MetricReading, ObservedScale, ScaleSelector};
pub use limits::{
    Desired, Limiting, PolicyLimit, RateLimit, limit, limit_with_behavior, scale_down_limit,
    scale_up_limit,
};
pub use metric_error::{MetricError, MetricProblem};
pub use metrics::{Calculator, MetricEvaluation, MetricsEvaluation};
pub(crate) use pods::class_holds_until;
pub use pods::{ObservedPod, PodClass, PodMetric, classify_pod};
pub use replicas::{
    AssumedUsage, AverageValueCalculation, Calculation, CorrectedRatio, PerPodCalculation,
    PerPodTarget, Proposal, Tolerances, ValueCalculation, Verdict, per_pod_replicas,
};
pub use requests::{RequestProblem, pod_request_milli};
pub use samples::{cpu_milli, memory_milli, pod_usage_milli};
pub use settings::{HpaFeatureGates, HpaSettings};
pub use stabilization::{Stabilization, Stabilized, Windows, weigh, weigh_with_behavior};
pub use sync::{Plan, decide, reconcile};
