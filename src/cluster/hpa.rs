//! Spec of a HorizontalPodAutoscaler (`autoscaling/v2`) in lean form. Parsing of manifests is in `manifest::hpa`, the
//! status in `hpa_status`, decisions in `controllers::hpa`.

use std::sync::Arc;

use serde::Serialize;

use super::meta::Name;
use super::selector::Selector;
use engine::SimDuration;
use units::quantity::Format;

/// A defaulted `HorizontalPodAutoscalerSpec`.
#[derive(Clone, Debug, PartialEq)]
pub struct HpaSpec {
    /// The workload to scale.
    pub scale_target: ObjectReference,
    /// Lower limit; 0 only with HPAScaleToZero.
    pub min_replicas: i32,
    /// Upper limit.
    pub max_replicas: i32,
    /// Metrics in manifest order; the highest proposal wins, the first on a tie.
    pub metrics: Vec<MetricSpec>,
    /// Rate limits and stabilization. Absent differs from the default behavior: the controller then follows its older
    /// rules.
    pub behavior: Option<Behavior>,
}

/// A `CrossVersionObjectReference`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ObjectReference {
    /// `apiVersion`, empty if absent.
    pub api_version: Name,
    /// Kind.
    pub kind: Name,
    /// Name, in the namespace of the HPA.
    pub name: Name,
}

/// One metric with its target.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSpec {
    /// The measured quantity.
    pub source: Arc<MetricSource>,
    /// The target value.
    pub target: MetricTarget,
    /// True if the value named by `target.type` is missing. The API server accepts that for an Object metric, and the
    /// controller gets no number from it.
    pub lacks_target: bool,
    /// Name of the metric in the controller's conditions and events.
    pub description: Name,
    /// Suffix format in which a non-percentage target was written, and is printed.
    pub target_format: Format,
}

/// The quantity that a metric measures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MetricSource {
    /// `Resource`, or `ContainerResource` if a container is named.
    Resource {
        /// `cpu`, `memory` or another resource.
        resource: Name,
        /// Name of the container that counts; absent = all containers of the pod.
        container: Option<Name>,
    },
    /// A custom metric that each pod reports.
    Pods {
        /// The metric, by name and selector.
        metric: MetricIdentifier,
    },
    /// A custom metric of another object.
    Object {
        /// The metric, by name and selector.
        metric: MetricIdentifier,
        /// The object it describes.
        described_object: ObjectReference,
    },
    /// A metric from outside the cluster.
    External {
        /// The metric, by name and selector.
        metric: MetricIdentifier,
    },
    /// A source that the API server would refuse: of an unknown type, or without a body.
    Invalid {
        /// The type as written.
        type_name: Name,
    },
}

/// Name and series selector of a custom or external metric.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetricIdentifier {
    /// Name of the metric.
    pub name: Name,
    /// Selects among its series; absent = all.
    pub selector: Option<Selector>,
    /// The selector as printed by Go in events and errors; `nil` if absent.
    pub selector_text: Name,
}

/// Target value of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricTarget {
    /// Percent of the request, over all counted pods.
    Utilization(i32),
    /// Per pod, in thousandths of a unit.
    AverageValueMilli(i64),
    /// For all pods together, in thousandths of a unit.
    ValueMilli(i64),
}

/// `spec.behavior`, completed with the API server's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// Rules for scaling up.
    pub scale_up: ScalingRules,
    /// Rules for scaling down.
    pub scale_down: ScalingRules,
}

/// `HPAScalingRules` of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingRules {
    /// Length of the stabilization window; absent (scale-down only) = the controller's flag.
    pub stabilization_window: Option<SimDuration>,
    /// The policy that applies if there are several.
    pub select_policy: PolicySelect,
    /// Rate limits.
    pub policies: Vec<ScalingPolicy>,
    /// Overrides the controller's tolerance in this direction.
    pub tolerance: Option<f64>,
}

/// `selectPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PolicySelect {
    /// The policy that allows the largest change.
    Max,
    /// The policy that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// A rate limit: a maximum change within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ScalingPolicy {
    /// Unit of `value`.
    pub kind: PolicyKind,
    /// Pods, or percent of the replicas at the start of the period.
    pub value: i32,
    /// Length of the period.
    pub period: SimDuration,
}

/// `type` of a scaling policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PolicyKind {
    /// An absolute number of pods.
    Pods,
    /// A percentage of the replicas.
    Percent,
}

impl MetricSpec {
    /// A metric under the controller's name for it.
    pub fn new(source: MetricSource, target: MetricTarget) -> Self {
        let description = describe(&source, target).into();
        let (target_format, lacks_target) = (Format::default(), false);
        Self { source: Arc::new(source), target, lacks_target, description, target_format }
    }

    /// True if it can be read without any pods (`hasObjectOrExternalMetrics`).
    pub fn works_without_pods(&self) -> bool {
        matches!(*self.source, MetricSource::Object { .. } | MetricSource::External { .. })
    }
}

impl MetricSource {
    /// `type` in the API.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Resource { container: None, .. } => "Resource",
            Self::Resource { container: Some(_), .. } => "ContainerResource",
            Self::Pods { .. } => "Pods",
            Self::Object { .. } => "Object",
            Self::External { .. } => "External",
            Self::Invalid { type_name } => type_name,
        }
    }

    /// Name of the resource or metric.
    pub fn name(&self) -> &str {
        match self {
            Self::Resource { resource, .. } => resource,
            Self::Pods { metric } | Self::Object { metric, .. } | Self::External { metric } => {
                &metric.name
            }
            Self::Invalid { .. } => "",
        }
    }
}

/// The metric name used by `computeStatusFor*Metric` in `pkg/controller/podautoscaler/horizontal.go` (there, too, an
/// averaged Object metric has the name of an external one).
fn describe(source: &MetricSource, target: MetricTarget) -> String {
    match (source, target) {
        (MetricSource::Resource { resource, container }, MetricTarget::Utilization(_)) => {
            let kind = if container.is_some() { "container resource" } else { "resource" };
            format!("{resource} {kind} utilization (percentage of request)")
        }
        (MetricSource::Resource { resource, .. }, _) => format!("{resource} resource"),
        (MetricSource::Pods { metric }, _) => format!("pods metric {}", metric.name),
        (MetricSource::Object { metric, described_object }, MetricTarget::ValueMilli(_)) => {
            format!("{} metric {}", described_object.kind, metric.name)
        }
        (MetricSource::Object { metric, .. } | MetricSource::External { metric }, _) => {
            format!("external metric {}({})", metric.name, metric.selector_text)
        }
        (MetricSource::Invalid { type_name }, _) => type_name.to_string(),
    }
}
