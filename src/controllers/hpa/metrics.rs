//! Evaluates all metrics of an HPA: one proposal each, of which the highest wins, and the handling of partial
//! failures (`computeReplicasForMetrics` in `pkg/controller/podautoscaler/horizontal.go`).

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::groups::{GroupProblem, Grouping, PodGroups, PodMetrics, group_pods};
use super::inputs::{HpaInputs, MetricReading, ObservedScale};
use super::metric_error::{MetricError, MetricProblem};
use super::pods::ObservedPod;
use super::replicas::{
    Calculation, PerPodTarget, Proposal, Tolerances, average_value_replicas, external_total_milli,
    external_value_milli, object_average_value_replicas, per_pod_replicas, value_replicas,
};
use super::requests::{RequestProblem, pod_request_milli};
use cluster::hpa::{MetricSource, MetricSpec, MetricTarget};
use cluster::meta::Name;
use cluster::pod::PodPhase;
use engine::SimTime;

/// Proposal of one metric, or its error.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricEvaluation {
    /// The metric.
    pub spec: MetricSpec,
    /// The answer.
    pub outcome: Result<Proposal, MetricError>,
}

impl MetricEvaluation {
    /// The pods that it was calculated from, or failed on.
    pub fn pods(&self) -> Option<&PodGroups> {
        match &self.outcome {
            Ok(Proposal { calculation: Calculation::PerPod(per_pod), .. }) => Some(&per_pod.pods),
            Ok(_) => None,
            Err(error) => error.pods.as_deref(),
        }
    }
}

impl Serialize for MetricEvaluation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("MetricEvaluation", 3)?;
        fields.serialize_field("metric", &self.spec.description)?;
        fields.serialize_field("target", &self.spec.target)?;
        match &self.outcome {
            Ok(proposal) => fields.serialize_field("proposal", proposal)?,
            Err(error) => fields.serialize_field("error", error)?,
        }
        fields.end()
    }
}

/// Combined recommendation of all metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricsEvaluation {
    /// Each metric, in the order of the spec.
    pub metrics: Vec<MetricEvaluation>,
    /// Index of the metric that decides; the first among equals. `None` if all failed.
    pub winner: Option<usize>,
    /// Replicas that it proposes.
    pub replicas: i32,
    /// Index of the first metric that failed.
    pub first_failed: Option<usize>,
    /// True if the failures leave no usable number: all metrics failed, or the others propose scaling down, which
    /// partial data must not do.
    pub is_unusable: bool,
}

impl MetricsEvaluation {
    /// The error of the first metric that failed.
    pub(crate) fn first_error(&self) -> Option<&MetricError> {
        self.metrics[self.first_failed?].outcome.as_ref().err()
    }

    /// The controller's name for the deciding metric; empty if there is none.
    pub(crate) fn winner_description(&self) -> Name {
        self.winner.map_or_else(|| "".into(), |index| self.metrics[index].spec.description.clone())
    }
}

/// Evaluates all metrics. The selector of the scale has been found to be fine.
pub(crate) fn evaluate_metrics(
    inputs: &HpaInputs<'_>,
    scale: ObservedScale<'_>,
    now: SimTime,
) -> MetricsEvaluation {
    let tolerances = inputs.hpa.settings.tolerances(inputs.hpa.spec.behavior.as_ref());
    let metrics = inputs.hpa.spec.metrics.iter().enumerate().map(|(index, spec)| {
        let reading = inputs.metrics.get(index).copied().unwrap_or(MetricReading::Empty);
        let calculator = Calculator { inputs, scale, spec, tolerances, now };
        MetricEvaluation { spec: spec.clone(), outcome: calculator.evaluate(reading) }
    });
    let metrics: Vec<MetricEvaluation> = metrics.collect();
    let (mut winner, mut replicas) = (None, 0);
    for (index, metric) in metrics.iter().enumerate() {
        if let Ok(proposal) = &metric.outcome
            && (replicas == 0 || proposal.replicas > replicas)
        {
            (winner, replicas) = (Some(index), proposal.replicas);
        }
    }
    let first_failed = metrics.iter().position(|metric| metric.outcome.is_err());
    let all_failed = metrics.iter().all(|metric| metric.outcome.is_err());
    let is_unusable = all_failed || (first_failed.is_some() && replicas < scale.spec_replicas);
    MetricsEvaluation { metrics, winner, replicas, first_failed, is_unusable }
}

/// One metric with all that its proposal depends on.
#[derive(Clone, Copy)]
pub struct Calculator<'a> {
    /// The pods, their templates, and the flags.
    pub inputs: &'a HpaInputs<'a>,
    /// The scale of the target.
    pub scale: ObservedScale<'a>,
    /// The metric.
    pub spec: &'a MetricSpec,
    /// The band in which nothing changes.
    pub tolerances: Tolerances,
    /// The time of the decision.
    pub now: SimTime,
}

/// A problem before it is put into words.
enum Problem {
    Metric(MetricProblem),
    Pods(GroupProblem),
}

impl From<MetricProblem> for Problem {
    fn from(problem: MetricProblem) -> Self {
        Self::Metric(problem)
    }
}

impl From<GroupProblem> for Problem {
    fn from(problem: GroupProblem) -> Self {
        Self::Pods(problem)
    }
}

impl<'a> Calculator<'a> {
    /// Proposal of the metric, given the response of its API (`computeReplicasForMetric`).
    pub fn evaluate(&self, reading: MetricReading<'a>) -> Result<Proposal, MetricError> {
        self.propose(reading).map_err(|problem| self.error(problem))
    }

    fn propose(&self, reading: MetricReading<'a>) -> Result<Proposal, Problem> {
        if let MetricSource::Invalid { .. } = *self.spec.source {
            return Err(MetricProblem::UnknownSource.into());
        }
        // Detected before the API is called.
        if self.spec.lacks_target {
            return Err(MetricProblem::NoTarget.into());
        }
        match reading {
            MetricReading::Failed(error) => Err(MetricProblem::CallFailed(error.clone()).into()),
            MetricReading::Empty | MetricReading::Values([]) => {
                Err(MetricProblem::EmptyAnswer.into())
            }
            MetricReading::PerPod(metrics) => self.propose_from_pods(metrics),
            MetricReading::Values(values) => self.propose_from_values(values),
        }
    }

    fn propose_from_pods(&self, metrics: PodMetrics<'_>) -> Result<Proposal, Problem> {
        let target = match self.spec.target {
            MetricTarget::Utilization(percent) => PerPodTarget::Utilization(percent),
            MetricTarget::AverageValueMilli(milli) | MetricTarget::ValueMilli(milli) => {
                PerPodTarget::AverageValueMilli(milli)
            }
        };
        let is_cpu = matches!(&*self.spec.source, MetricSource::Resource { resource, .. } if &**resource == "cpu");
        let settings = self.inputs.hpa.settings;
        let grouping = Grouping { is_cpu, target, settings, now: self.now };
        let mut requests = Requests { calculator: self, last: None };
        let groups =
            group_pods(grouping, self.inputs.pods, metrics, |pod| requests.request_milli(pod))?;
        per_pod_replicas(groups, target, self.scale.spec_replicas, self.tolerances)
            .ok_or(Problem::Metric(MetricProblem::NoKnownPods))
    }

    fn propose_from_values(&self, values: &[i64]) -> Result<Proposal, Problem> {
        if let MetricTarget::AverageValueMilli(target) = self.spec.target {
            let replicas = self.scale.status_replicas;
            if let (MetricSource::Object { .. }, [value, ..]) = (&*self.spec.source, values) {
                let tolerances = self.tolerances;
                return Ok(object_average_value_replicas(*value, target, replicas, tolerances));
            }
            let total = external_total_milli(values);
            return Ok(average_value_replicas(total, target, replicas, self.tolerances));
        }
        let (MetricTarget::ValueMilli(target), value) =
            (self.spec.target, external_value_milli(values))
        else {
            return Err(MetricProblem::UnknownSource.into());
        };
        let pods = self.inputs.pods;
        let ready = pods.iter().filter(|pod| pod.phase == PodPhase::Running && pod.is_ready());
        let ready_pods = ready.map(|pod| i64::from(pod.count)).sum();
        let ready_pods = (!pods.is_empty()).then_some(ready_pods);
        value_replicas(value, target, self.scale.spec_replicas, ready_pods, self.tolerances)
            .ok_or(Problem::Metric(MetricProblem::NoPods))
    }

    fn error(&self, problem: Problem) -> MetricError {
        let mut groups = None;
        let problem = match problem {
            Problem::Metric(problem) => problem,
            Problem::Pods(GroupProblem::NoPods) => MetricProblem::NoPods,
            Problem::Pods(GroupProblem::NoUsableSample(pods)) => {
                groups = Some(pods);
                MetricProblem::NoUsableSample
            }
            Problem::Pods(GroupProblem::Request { pod, problem }) => {
                let pod = (self.inputs.pod_name)(pod);
                match problem {
                    RequestProblem::MissingInContainer(container) => {
                        MetricProblem::MissingRequest { container, pod }
                    }
                    RequestProblem::MissingAtPodLevel => {
                        MetricProblem::MissingPodLevelRequest { pod }
                    }
                    RequestProblem::NoSuchContainer => MetricProblem::NoSuchContainer { pod },
                }
            }
        };
        let namespace = self.inputs.hpa.namespace;
        let error = MetricError::new(problem, &self.spec.source, self.spec.target, namespace);
        MetricError { pods: groups, ..error }
    }
}

/// Requests of pods, calculated once for pods in a row that share a template.
struct Requests<'a> {
    calculator: &'a Calculator<'a>,
    last: Option<(u32, i64)>,
}

impl Requests<'_> {
    #[inline]
    fn request_milli(&mut self, pod: &ObservedPod) -> Result<i64, RequestProblem> {
        match self.last {
            Some((template, request_milli)) if template == pod.template => Ok(request_milli),
            _ => {
                let request_milli = self.of_template(pod.template)?;
                self.last = Some((pod.template, request_milli));
                Ok(request_milli)
            }
        }
    }

    fn of_template(&self, template: u32) -> Result<i64, RequestProblem> {
        let Calculator { inputs, spec, .. } = *self.calculator;
        let MetricTarget::Utilization(_) = spec.target else { return Ok(0) };
        let MetricSource::Resource { resource, container } = &*spec.source else { return Ok(0) };
        let gate = inputs.hpa.settings.feature_gates.pod_level_resources;
        let template = inputs.templates[template as usize];
        pod_request_milli(template, resource, container.as_deref(), gate)
    }
}
