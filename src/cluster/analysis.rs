//! Analyses of Argo Rollouts 1.9.1: AnalysisTemplates, and the runs that Rollouts make of them.

use std::collections::BTreeSet;

use super::kind::Kind;
use super::meta::{Name, ObjectMeta};
use super::object::plain_object;
use engine::{SimDuration, SimTime};

/// `spec` of an AnalysisTemplate or ClusterAnalysisTemplate. Texts may contain `{{args.NAME}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnalysisTemplateSpec {
    /// What is measured.
    pub metrics: Vec<MetricTemplate>,
    /// Arguments, with their default values.
    pub args: Vec<(Name, Option<Name>)>,
    /// Metrics whose results do not count.
    pub dry_run: Vec<Name>,
    /// Templates whose metrics and arguments belong to it, too.
    pub templates: Vec<TemplateReference>,
}

/// One metric of a template, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricTemplate {
    /// Its name.
    pub name: Name,
    /// Time between measurements; absent = there is one.
    pub interval: Option<Name>,
    /// Time before the first.
    pub initial_delay: Option<Name>,
    /// Number of measurements; absent = one, or with `interval` as many as there is time for.
    pub count: Option<Name>,
    /// Condition of a success.
    pub success_condition: Option<Name>,
    /// Condition of a failure.
    pub failure_condition: Option<Name>,
    /// Failures beyond which the metric has failed; negative = any number is tolerated.
    pub failure_limit: Option<Name>,
    /// Undecided measurements beyond which the metric is inconclusive.
    pub inconclusive_limit: Option<Name>,
    /// Errors in a row beyond which the metric is in error; absent = 4.
    pub consecutive_error_limit: Option<Name>,
    /// Successes in a row that are enough.
    pub consecutive_success_limit: Option<Name>,
    /// Kind of the source, such as prometheus.
    pub provider: Name,
    /// The query.
    pub query: Name,
}

/// A template that a Rollout or another template names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateReference {
    /// Its name.
    pub name: Name,
    /// Whether it is a ClusterAnalysisTemplate.
    pub is_cluster_scoped: bool,
}

impl TemplateReference {
    /// Kind of the template.
    pub const fn kind(&self) -> Kind {
        if self.is_cluster_scoped { Kind::ClusterAnalysisTemplate } else { Kind::AnalysisTemplate }
    }
}

/// An analysis that a Rollout asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnalysisCall {
    /// Its templates.
    pub templates: Vec<TemplateReference>,
    /// Values of their arguments.
    pub args: Vec<(Name, ArgumentValue)>,
    /// Metrics whose results do not count.
    pub dry_run: Vec<Name>,
}

impl AnalysisCall {
    /// Its templates and those that they name, each once; an error is the reference to one that `find` does not know
    /// (`getReferencedAnalysisTemplatesFromRef`).
    pub fn all_templates<'a>(
        &'a self,
        find: impl Fn(&TemplateReference) -> Option<&'a AnalysisTemplateSpec>,
    ) -> Result<Vec<(&'a TemplateReference, &'a AnalysisTemplateSpec)>, &'a TemplateReference> {
        let mut found: Vec<(&TemplateReference, &AnalysisTemplateSpec)> = Vec::new();
        let mut open: Vec<&TemplateReference> = self.templates.iter().rev().collect();
        while let Some(reference) = open.pop() {
            if found.iter().any(|(known, _)| *known == reference) {
                continue;
            }
            let spec = find(reference).ok_or(reference)?;
            found.push((reference, spec));
            open.extend(spec.templates.iter().rev());
        }
        Ok(found)
    }

    /// Checks that it gives all arguments of its templates together a value (`MergeArgs`), and no rule for a dry run
    /// twice (`mergeDryRunMetrics`).
    pub fn check(&self, whole: &AnalysisTemplateSpec) -> Result<(), String> {
        let is_given = |name: &Name| self.args.iter().any(|(known, _)| known == name);
        let mut args = whole.args.iter();
        if let Some((name, _)) = args.find(|(name, value)| value.is_none() && !is_given(name)) {
            return Err(format!("args.{name} was not resolved"));
        }
        check_dry_run(self.dry_run.iter().chain(&whole.dry_run))
    }
}

impl AnalysisTemplateSpec {
    /// Several templates as one (`FlattenTemplates`).
    pub fn flattened(templates: &[&Self]) -> Result<Self, String> {
        let mut whole = Self::default();
        for Self { metrics, args, dry_run, templates: _ } in templates {
            for metric in metrics {
                if whole.metrics.iter().any(|known| known.name == metric.name) {
                    return Err(format!("two metrics have the same name '{}'", metric.name));
                }
                whole.metrics.push(metric.clone());
            }
            whole.dry_run.extend(dry_run.iter().cloned());
            for (name, value) in args {
                let known = whole.args.iter_mut().find(|(known, _)| known == name);
                match (known.map(|(_, known)| known), value) {
                    (None, value) => whole.args.push((name.clone(), value.clone())),
                    (Some(Some(known)), Some(value)) if known != value => {
                        return Err(format!(
                            "Argument `{name}` specified multiple times with different values: '{known}', '{value}'"
                        ));
                    }
                    (Some(known), value) => *known = known.take().or_else(|| value.clone()),
                }
            }
        }
        check_dry_run(whole.dry_run.iter())?;
        Ok(whole)
    }
}

/// `validateDryRunMetrics`.
fn check_dry_run<'a>(rules: impl Iterator<Item = &'a Name>) -> Result<(), String> {
    let mut known = BTreeSet::new();
    for rule in rules {
        if !known.insert(rule) {
            return Err(format!("two Dry-Run metric rules have the same name '{rule}'"));
        }
    }
    Ok(())
}

/// A text with `{{args.NAME}}` replaced; an error names an argument without a value.
pub fn filled(text: &Name, args: &[(Name, Name)]) -> Result<Name, String> {
    let mut rest: &str = text;
    let mut whole = String::new();
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, after)) = after.split_once("}}") else { break };
        whole.push_str(before);
        match inside.trim().strip_prefix("args.") {
            None => whole.extend(["{{", inside, "}}"]),
            Some(name) => match args.iter().find(|(known, _)| **known == *name) {
                Some((_, value)) => whole.push_str(value),
                None => return Err(format!("failed to resolve {{{{args.{name}}}}}")),
            },
        }
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole.into())
}

/// The value of an argument of an analysis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentValue {
    /// As written; also stands for fields of the Rollout that are not simulated.
    Text(Name),
    /// `podTemplateHashValue: Latest`.
    LatestHash,
    /// `podTemplateHashValue: Stable`.
    StableHash,
}

/// Phase of an analysis, a metric or a measurement, from best to worst (`IsWorse`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnalysisPhase {
    /// Not begun.
    #[default]
    Pending,
    /// Begun.
    Running,
    /// Ended well.
    Successful,
    /// Ended without a verdict.
    Inconclusive,
    /// Ended as nothing could be measured.
    Error,
    /// Ended badly.
    Failed,
}

impl AnalysisPhase {
    /// Whether it has ended.
    pub const fn is_completed(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Inconclusive => "Inconclusive",
            Self::Error => "Error",
            Self::Failed => "Failed",
        }
    }
}

/// An AnalysisRun, which lives in the status of its Rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisRun {
    /// Its name.
    pub name: Name,
    /// Its metrics, with their results so far.
    pub metrics: Vec<MetricRun>,
    /// Their combined phase.
    pub phase: AnalysisPhase,
    /// Why.
    pub message: Name,
    /// When it began.
    pub started: SimTime,
    /// The step that it belongs to, if any.
    pub step: Option<usize>,
}

/// One metric of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricRun {
    /// The metric, with arguments filled in.
    pub metric: MetricTemplate,
    /// Time between measurements, if there is more than one.
    pub interval: Option<SimDuration>,
    /// Time before the first.
    pub initial_delay: SimDuration,
    /// Number of measurements; absent = as many as there is time for.
    pub count: Option<i32>,
    /// Failures beyond which it has failed.
    pub failure_limit: i32,
    /// Undecided measurements beyond which it is inconclusive.
    pub inconclusive_limit: i32,
    /// Errors in a row beyond which it is in error.
    pub consecutive_error_limit: i32,
    /// Successes in a row that are enough; 0 = this does not count.
    pub consecutive_success_limit: i32,
    /// Whether its result does not count.
    pub is_dry: bool,
    /// Its phase.
    pub phase: AnalysisPhase,
    /// Completed measurements, errors not counted.
    pub measured: i32,
    /// Failed measurements.
    pub failed: i32,
    /// Undecided measurements.
    pub inconclusive: i32,
    /// Errors since the last measurement that was none.
    pub errors_in_a_row: i32,
    /// Successes since the last measurement that was none.
    pub successes_in_a_row: i32,
    /// The last measurement.
    pub last: Option<Measurement>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// When it was made.
    pub at: SimTime,
    /// The value; absent = there was none.
    pub value: Option<f64>,
    /// Its judgement.
    pub phase: AnalysisPhase,
    /// The error, if any.
    pub message: Name,
}

/// An AnalysisTemplate.
#[derive(Clone, Debug)]
pub struct AnalysisTemplate {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// What is measured.
    pub spec: AnalysisTemplateSpec,
}

plain_object!(AnalysisTemplate, AnalysisTemplateSpec);

/// A ClusterAnalysisTemplate.
#[derive(Clone, Debug)]
pub struct ClusterAnalysisTemplate {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// What is measured.
    pub spec: ClusterAnalysisTemplateSpec,
}

/// `spec` of a ClusterAnalysisTemplate: that of an AnalysisTemplate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterAnalysisTemplateSpec(pub AnalysisTemplateSpec);

plain_object!(ClusterAnalysisTemplate, ClusterAnalysisTemplateSpec);
