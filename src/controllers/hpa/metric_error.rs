//! Errors of metrics in the controller's words.

use std::fmt;

use serde::Serialize;

use super::groups::PodGroups;
use cluster::hpa::{MetricIdentifier, MetricSource, MetricSpec, MetricTarget};
use cluster::hpa_status::HpaConditionReason;
use cluster::meta::Name;

/// A metric that yields no number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetricError {
    /// The problem.
    pub problem: MetricProblem,
    /// The error of the replica calculator, as condition and event quote it.
    pub message: Name,
    /// The pods, where it was their state that made the metric fail.
    pub pods: Option<Box<PodGroups>>,
}

/// Failures of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricProblem {
    /// The source has a type unknown to the controller.
    UnknownSource,
    /// The value that the type of the target names is not there.
    NoTarget,
    /// The call to the metrics API failed with this error.
    CallFailed(Name),
    /// The metrics API returned no values.
    EmptyAnswer,
    /// The selector matches no pod.
    NoPods,
    /// There are pods, but none with a sample that counts.
    NoUsableSample,
    /// All samples belong to pods that do not exist.
    NoKnownPods,
    /// A container of a pod has no request for the resource.
    MissingRequest {
        /// The container.
        container: Name,
        /// The pod.
        pod: Name,
    },
    /// Neither a pod nor its containers have a request for the resource.
    MissingPodLevelRequest {
        /// The pod.
        pod: Name,
    },
    /// A pod does not have the container that the metric names.
    NoSuchContainer {
        /// The pod.
        pod: Name,
    },
}

impl MetricError {
    /// The error for a metric of an HPA in `namespace`.
    pub fn new(
        problem: MetricProblem,
        source: &MetricSource,
        target: MetricTarget,
        namespace: &str,
    ) -> Self {
        let text = ErrorText { problem: &problem, source, target, namespace };
        Self { message: text.to_string().into(), problem, pods: None }
    }

    /// Reason of the condition and of the event.
    pub fn reason(source: &MetricSource) -> HpaConditionReason {
        use HpaConditionReason as Reason;
        match source {
            MetricSource::Resource { container: None, .. } => Reason::FailedGetResourceMetric,
            MetricSource::Resource { .. } => Reason::FailedGetContainerResourceMetric,
            MetricSource::Pods { .. } => Reason::FailedGetPodsMetric,
            MetricSource::Object { .. } => Reason::FailedGetObjectMetric,
            MetricSource::External { .. } => Reason::FailedGetExternalMetric,
            MetricSource::Invalid { .. } => Reason::InvalidMetricSourceType,
        }
    }

    /// The error as returned by `computeReplicasForMetric`, including the prefix added by `computeStatusFor*Metric`.
    pub fn wrapped(&self, spec: &MetricSpec) -> String {
        let message = &self.message;
        match (&*spec.source, spec.target) {
            (MetricSource::Resource { resource, container: None }, _) => {
                format!("failed to get {resource} resource metric value: {message}")
            }
            (MetricSource::Resource { container: Some(container), .. }, _) => {
                format!("failed to get {container} container metric value: {message}")
            }
            (MetricSource::Pods { .. }, _) => format!("failed to get pods metric value: {message}"),
            (MetricSource::Object { .. }, target)
                if spec.lacks_target || matches!(target, MetricTarget::ValueMilli(_)) =>
            {
                format!("failed to get object metric value: {message}")
            }
            (MetricSource::Object { metric: MetricIdentifier { name, .. }, .. }, _) => format!(
                "failed to get object metric value: failed to get {name} object metric: {message}"
            ),
            (MetricSource::External { metric }, target) => {
                let MetricIdentifier { name, .. } = metric;
                let which = if let MetricTarget::ValueMilli(_) = target {
                    format!("external metric {name}")
                } else {
                    format!("{name} external metric")
                };
                format!(
                    "failed to get {name} external metric value: failed to get {which}: {message}"
                )
            }
            (MetricSource::Invalid { .. }, _) => message.to_string(),
        }
    }
}

/// Everything that an error's text names.
struct ErrorText<'a> {
    problem: &'a MetricProblem,
    source: &'a MetricSource,
    target: MetricTarget,
    namespace: &'a str,
}

impl fmt::Display for ErrorText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            MetricSource::Resource { resource, .. } => {
                let of = if let MetricTarget::Utilization(_) = self.target {
                    "utilization"
                } else {
                    "usage"
                };
                write!(f, "failed to get {resource} {of}: ")?;
                if self.is_api_problem() {
                    write!(f, "unable to get metrics for resource {resource}: ")?;
                }
                self.fmt_problem(f, "resource")
            }
            MetricSource::Pods { metric } => {
                if self.is_api_problem() {
                    write!(f, "unable to get metric {}: ", metric.name)?;
                }
                self.fmt_problem(f, "custom")
            }
            MetricSource::Object { metric, described_object: object } => {
                if !self.is_api_problem() {
                    return self.fmt_problem(f, "custom");
                }
                // The controller's format string has its arguments in this odd order.
                let MetricIdentifier { name, .. } = metric;
                write!(f, "unable to get metric {name}: {} on {} ", object.kind, self.namespace)?;
                write!(f, "{}/", object.name)?;
                self.fmt_problem(f, "custom")
            }
            MetricSource::External { metric } => {
                if self.is_api_problem() {
                    let MetricIdentifier { name, selector_text, .. } = metric;
                    write!(f, "unable to get external metric {}/", self.namespace)?;
                    write!(f, "{name}/{selector_text}: ")?;
                }
                self.fmt_problem(f, "external")
            }
            MetricSource::Invalid { type_name } => {
                write!(f, "unknown metric source type {type_name:?}")
            }
        }
    }
}

impl ErrorText<'_> {
    fn is_api_problem(&self) -> bool {
        matches!(self.problem, MetricProblem::CallFailed(_) | MetricProblem::EmptyAnswer)
    }

    fn fmt_problem(&self, f: &mut fmt::Formatter<'_>, api: &str) -> fmt::Result {
        let resource = self.source.name();
        match self.problem {
            MetricProblem::UnknownSource => Ok(()),
            MetricProblem::NoTarget => f.write_str(
                "invalid object metric source: neither a value target nor an average value target \
                 was set",
            ),
            MetricProblem::CallFailed(error) => {
                write!(f, "unable to fetch metrics from {api} metrics API: {error}")
            }
            MetricProblem::EmptyAnswer => write!(f, "no metrics returned from {api} metrics API"),
            MetricProblem::NoPods => {
                if !matches!(self.source, MetricSource::Resource { .. } | MetricSource::Pods { .. })
                {
                    f.write_str("unable to calculate ready pods: ")?;
                }
                f.write_str("no pods returned by selector while calculating replica count")
            }
            MetricProblem::NoUsableSample => {
                f.write_str("did not receive metrics for targeted pods (pods might be unready)")
            }
            MetricProblem::NoKnownPods => f.write_str("no metrics returned matched known pods"),
            MetricProblem::MissingRequest { container, pod } => {
                write!(f, "missing request for {resource} in container {container} of Pod {pod}")
            }
            MetricProblem::MissingPodLevelRequest { pod } => {
                write!(f, "missing pod-level request for {resource} in Pod {pod}")
            }
            MetricProblem::NoSuchContainer { pod } => {
                let MetricSource::Resource { container: Some(container), .. } = self.source else {
                    return Ok(());
                };
                write!(f, "container {container} not found in Pod {pod}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::hpa::ObjectReference;

    #[test]
    fn an_error_is_handed_on_with_all_that_is_said_before_it() {
        let metric = |name: &str| MetricIdentifier {
            name: name.into(),
            selector: None,
            selector_text: "nil".into(),
        };
        let service = ObjectReference {
            api_version: "v1".into(),
            kind: "Service".into(),
            name: "web".into(),
        };
        let object = MetricSource::Object { metric: metric("depth"), described_object: service };
        let external = MetricSource::External { metric: metric("lag") };
        let text = |source: &MetricSource, target| {
            let spec = MetricSpec::new(source.clone(), target);
            let problem = MetricProblem::CallFailed("no".into());
            MetricError::new(problem, source, target, "shop").wrapped(&spec)
        };
        let (average, value) = (MetricTarget::AverageValueMilli(1), MetricTarget::ValueMilli(1));
        let fetch = "unable to fetch metrics from";
        assert_eq!(
            text(&object, average),
            format!(
                "failed to get object metric value: failed to get depth object metric: unable to get \
                 metric depth: Service on shop web/{fetch} custom metrics API: no"
            )
        );
        let lacking = MetricSpec { lacks_target: true, ..MetricSpec::new(object.clone(), average) };
        assert_eq!(
            MetricError::new(MetricProblem::NoTarget, &object, average, "shop").wrapped(&lacking),
            "failed to get object metric value: invalid object metric source: neither a value \
             target nor an average value target was set"
        );
        assert_eq!(
            text(&object, value),
            format!(
                "failed to get object metric value: unable to get metric depth: Service on shop \
                 web/{fetch} custom metrics API: no"
            )
        );
        let lag =
            format!("unable to get external metric shop/lag/nil: {fetch} external metrics API: no");
        let failed = "failed to get lag external metric value: failed to get";
        assert_eq!(text(&external, average), format!("{failed} lag external metric: {lag}"));
        assert_eq!(text(&external, value), format!("{failed} external metric lag: {lag}"));
    }
}
