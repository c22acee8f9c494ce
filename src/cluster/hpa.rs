//! What a HorizontalPodAutoscaler asks for: the spec of `autoscaling/v2` in lean form.
//! Not responsible for reading manifests (`manifest::hpa`), for the status (`hpa_status`) nor for
//! any decision (`controllers::hpa`).

use std::sync::Arc;

use serde::Serialize;

use super::meta::Name;
use super::selector::Selector;
use engine::SimDuration;
use units::quantity::Format;

/// A defaulted `HorizontalPodAutoscalerSpec`.
#[derive(Clone, Debug, PartialEq)]
pub struct HpaSpec {
    /// What is scaled.
    pub scale_target: ObjectReference,
    /// Lower limit; 0 only where HPAScaleToZero allows it.
    pub min_replicas: i32,
    /// Upper limit.
    pub max_replicas: i32,
    /// Metrics in the order of the manifest; the highest proposal wins, the first among equals.
    pub metrics: Vec<MetricSpec>,
    /// Rate limits and stabilization. Absent is not the same as the default behavior: without it
    /// the controller follows its older rules.
    pub behavior: Option<Behavior>,
}

/// A `CrossVersionObjectReference`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ObjectReference {
    /// `apiVersion`, empty if not given.
    pub api_version: Name,
    /// Kind.
    pub kind: Name,
    /// Name, in the namespace of the HPA.
    pub name: Name,
}

/// One metric with its target.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSpec {
    /// What is measured.
    pub source: Arc<MetricSource>,
    /// The value to be held.
    pub target: MetricTarget,
    /// Whether the value that `target.type` names is not there. The API server lets that pass for an
    /// Object metric, and the controller gets no number from it.
    pub lacks_target: bool,
    /// What the controller calls the metric in conditions and events.
    pub description: Name,
    /// The suffixes in which a target that is no percentage was written, and is printed.
    pub target_format: Format,
}

/// What a metric measures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MetricSource {
    /// `Resource`, or `ContainerResource` if a container is named.
    Resource {
        /// `cpu`, `memory` or another resource.
        resource: Name,
        /// The only container that counts; absent = all containers of the pod.
        container: Option<Name>,
    },
    /// A custom metric that each pod reports.
    Pods {
        /// Which metric.
        metric: MetricIdentifier,
    },
    /// A custom metric of another object.
    Object {
        /// Which metric.
        metric: MetricIdentifier,
        /// Of which object.
        described_object: ObjectReference,
    },
    /// A metric from outside of the cluster.
    External {
        /// Which metric.
        metric: MetricIdentifier,
    },
    /// A source that the API server would refuse: of an unknown type, or without its body.
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
    /// Which of its series; absent = all.
    pub selector: Option<Selector>,
    /// The selector as Go prints it, which is how events and errors show it; `nil` if absent.
    pub selector_text: Name,
}

/// The value that a metric is to be held at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricTarget {
    /// Percent of the request, over all counted pods.
    Utilization(i32),
    /// Thousandths of a unit, per pod.
    AverageValueMilli(i64),
    /// Thousandths of a unit, for all pods together.
    ValueMilli(i64),
}

/// `spec.behavior`, completed with the API server's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// Rules upwards.
    pub scale_up: ScalingRules,
    /// Rules downwards.
    pub scale_down: ScalingRules,
}

/// `HPAScalingRules` of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingRules {
    /// How far back recommendations are looked at; absent (downwards only) = the controller's flag.
    pub stabilization_window: Option<SimDuration>,
    /// Which policy counts.
    pub select_policy: PolicySelect,
    /// Limits of the rate.
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

/// One limit: so much change in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ScalingPolicy {
    /// What `value` counts.
    pub kind: PolicyKind,
    /// Pods, or percent of the replicas at the start of the period.
    pub value: i32,
    /// Length of the period.
    pub period: SimDuration,
}

/// `type` of a scaling policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PolicyKind {
    /// Absolute.
    Pods,
    /// Relative.
    Percent,
}

impl MetricSpec {
    /// A metric under the name that the controller gives it.
    pub fn new(source: MetricSource, target: MetricTarget) -> Self {
        let description = describe(&source, target).into();
        let (target_format, lacks_target) = (Format::default(), false);
        Self { source: Arc::new(source), target, lacks_target, description, target_format }
    }

    /// Whether it can be read while no pod exists (`hasObjectOrExternalMetrics`).
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

/// The metric name of `computeStatusFor*Metric` in `pkg/controller/podautoscaler/horizontal.go`
/// (an averaged Object metric goes under the name of an external one there, too).
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
