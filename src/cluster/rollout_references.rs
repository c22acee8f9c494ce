//! The objects that a Rollout names, and what makes it invalid about them: without them, or if they do not fit, its
//! controller does nothing (`getRolloutReferencedResources` of `rollout/controller.go`, `validation_references.go`, Argo
//! Rollouts 1.9.1).

use serde_json::Value;

use super::analysis::{
    AnalysisCall, AnalysisTemplateSpec, MetricTemplate, TemplateReference, filled,
};
use super::meta::{Labels, Name, ObjectMeta};
use super::rollout::{ROLLOUT_HASH_LABEL, RolloutSpec, RolloutStrategy, TrafficRouter};
use super::service::ServiceSpec;

/// Annotation of the Services that a Rollout switches, with its name.
pub const MANAGED_BY: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";

/// Stands for the value of an argument that is known only when the analysis begins.
const PLACEHOLDER: &str = "dummy-value";

/// The objects that exist beside a Rollout.
pub trait Beside<'a> {
    /// A Service of its namespace.
    fn service(&self, name: &Name) -> Option<(&'a ObjectMeta, &'a ServiceSpec)>;
    /// An AnalysisTemplate of its namespace, or a ClusterAnalysisTemplate.
    fn template(&self, reference: &TemplateReference) -> Option<&'a AnalysisTemplateSpec>;
    /// An Ingress of its namespace.
    fn ingress(&self, name: &Name) -> Option<&'a ObjectMeta>;
}

/// A field for which the controller calls a Rollout invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// Its path.
    pub field: String,
    /// Its value, as the controller quotes it.
    pub value: String,
    /// The problem.
    pub problem: String,
}

/// An analysis that a Rollout asks for.
#[derive(Clone, Debug)]
struct NamedCall<'a> {
    /// The path of its templates.
    field: String,
    call: &'a AnalysisCall,
    /// Whether it ends with the steps instead of by its count.
    is_background: bool,
}

impl RolloutSpec {
    /// The Services that it switches, by the field that names them.
    pub fn services(&self) -> impl Iterator<Item = (&'static str, &Name)> {
        let named = match &self.strategy {
            RolloutStrategy::Canary(canary) => [
                ("spec.strategy.canary.stableService", canary.stable_service.as_ref()),
                ("spec.strategy.canary.canaryService", canary.canary_service.as_ref()),
            ],
            RolloutStrategy::BlueGreen(blue_green) => [
                ("spec.strategy.blueGreen.activeService", Some(&blue_green.active_service)),
                ("spec.strategy.blueGreen.previewService", blue_green.preview_service.as_ref()),
            ],
        };
        named.into_iter().filter_map(|(field, name)| Some((field, name?)))
    }

    fn analyses(&self) -> Vec<NamedCall<'_>> {
        let named = |field: String, call, is_background| NamedCall {
            field: format!("spec.strategy.{field}.templates"),
            call,
            is_background,
        };
        match &self.strategy {
            RolloutStrategy::Canary(canary) => {
                let steps = canary.steps.iter().enumerate().filter_map(|(index, step)| {
                    let call = step.analysis()?;
                    Some(named(format!("canary.steps[{index}].analysis"), call, false))
                });
                let background = canary.analysis.as_ref();
                let background =
                    background.map(|call| named("canary.analysis".to_owned(), call, true));
                steps.chain(background).collect()
            }
            RolloutStrategy::BlueGreen(blue_green) => [
                ("prePromotionAnalysis", &blue_green.pre_promotion_analysis),
                ("postPromotionAnalysis", &blue_green.post_promotion_analysis),
            ]
            .into_iter()
            .filter_map(|(field, call)| {
                Some(named(format!("blueGreen.{field}"), call.as_ref()?, false))
            })
            .collect(),
        }
    }

    /// The stable Ingresses of ingress-nginx.
    fn ingresses(&self) -> impl Iterator<Item = &Name> {
        let routing = self.canary().and_then(|canary| canary.routing.as_ref());
        let routers = routing.into_iter().flat_map(|routing| &routing.routers);
        routers.flat_map(|router| match router {
            TrafficRouter::Nginx { ingresses } => &ingresses[..],
            _ => &[],
        })
    }

    /// Problems of the objects that it names, in the controller's order: first those that do not exist, then
    /// those that do not fit. `name` is the Rollout's.
    pub fn invalid_references<'a>(
        &'a self,
        name: &Name,
        beside: &impl Beside<'a>,
    ) -> Vec<InvalidField> {
        let mut missing = Vec::new();
        let mut unfit = Vec::new();
        for (field, service) in self.services() {
            match beside.service(service) {
                None => missing.push(InvalidField {
                    field: field.to_owned(),
                    value: service.to_string(),
                    problem: format!("service \"{service}\" not found"),
                }),
                Some(found) => {
                    let problems = unfit_service((name, &self.template.labels), found);
                    unfit.extend(problems.into_iter().map(|problem| InvalidField {
                        field: field.to_owned(),
                        value: service.to_string(),
                        problem,
                    }));
                }
            }
        }
        for analysis in self.analyses() {
            match analysis.call.all_templates(|reference| beside.template(reference)) {
                Err(reference) => {
                    let (kind, name) = (reference.kind(), &reference.name);
                    missing.push(InvalidField {
                        field: analysis.field,
                        value: name.to_string(),
                        problem: format!("{kind} '{name}' not found"),
                    });
                }
                Ok(templates) => unfit.extend(unfit_analysis(analysis, &templates)),
            }
        }
        let stable = self.canary().and_then(|canary| canary.stable_service.as_ref());
        for ingress in self.ingresses() {
            let invalid = |problem| InvalidField {
                field: "spec.strategy.canary.trafficRouting.nginx.stableIngress".to_owned(),
                value: ingress.to_string(),
                problem,
            };
            match (beside.ingress(ingress), stable) {
                (None, _) => {
                    let problem = format!("ingress.networking.k8s.io \"{ingress}\" not found");
                    missing.push(invalid(problem));
                }
                (Some(found), Some(stable)) if !leads_to(found, stable) => {
                    unfit.push(invalid(format!(
                        "ingress `{ingress}` has no rules using service {stable} backend"
                    )));
                }
                _ => {}
            }
        }
        missing.append(&mut unfit);
        missing
    }
}

/// Why a Service cannot be a Rollout's (`ValidateService`).
fn unfit_service(
    (rollout, labels): (&Name, &Labels),
    (meta, spec): (&ObjectMeta, &ServiceSpec),
) -> Vec<String> {
    let name = meta.name();
    let requirements = spec.selector.iter().flat_map(|selector| &selector.requirements);
    let unmatched = requirements
        .filter(|one| *one.key != *ROLLOUT_HASH_LABEL && !one.matches(labels))
        .map(|one| format!("Service \"{name}\" has unmatch label \"{}\" in rollout", one.key));
    let other = meta.annotations.get(MANAGED_BY).filter(|manager| *manager != rollout);
    let other = other.map(|_| format!("Service \"{name}\" is managed by another Rollout"));
    unmatched.chain(other).collect()
}

/// Why an analysis of these templates could not begin, or would not end (`ValidateAnalysisTemplatesWithType`).
fn unfit_analysis(analysis: NamedCall<'_>, templates: &[NamedTemplate<'_>]) -> Vec<InvalidField> {
    let NamedCall { field, call, is_background } = analysis;
    let specs: Vec<&AnalysisTemplateSpec> = templates.iter().map(|(_, spec)| *spec).collect();
    if let Err(problem) =
        AnalysisTemplateSpec::flattened(&specs).and_then(|whole| call.check(&whole))
    {
        let names: Vec<&str> = templates.iter().map(|(reference, _)| &*reference.name).collect();
        let value = format!("templateNames: [{}]", names.join(" "));
        return vec![InvalidField { field, value, problem }];
    }
    if is_background {
        return Vec::new();
    }
    let endless = |(reference, spec): &NamedTemplate<'_>| {
        let template = reference.name.clone();
        let metrics = spec.metrics.iter().filter(|metric| is_endless(metric, spec));
        let problems = metrics.map(move |metric| {
            let count = metric.count.as_deref().unwrap_or("<nil>");
            let name = &metric.name;
            (
                template.to_string(),
                format!(
                    "AnalysisTemplate {template} has metric {name} which runs indefinitely. Invalid value for count: {count}"
                ),
            )
        });
        problems.collect::<Vec<_>>()
    };
    let problems = templates.iter().flat_map(endless);
    problems.map(|(value, problem)| InvalidField { field: field.clone(), value, problem }).collect()
}

/// A template with the reference to it.
type NamedTemplate<'a> = (&'a TemplateReference, &'a AnalysisTemplateSpec);

/// Whether a metric is measured again and again (`EffectiveCount`), as far as the template alone tells.
fn is_endless(metric: &MetricTemplate, template: &AnalysisTemplateSpec) -> bool {
    let args: Vec<(Name, Name)> = template
        .args
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().unwrap_or_else(|| PLACEHOLDER.into())))
        .collect();
    let resolved = |text: &Option<Name>| {
        let text = text.as_ref()?;
        filled(text, &args).ok().filter(|text| !text.is_empty())
    };
    let count = resolved(&metric.count).and_then(|count| count.parse::<i32>().ok());
    resolved(&metric.interval).is_some() && count.is_none_or(|count| count == 0)
}

/// Whether a rule of an Ingress leads to a Service (`HasRuleWithService`).
fn leads_to(ingress: &ObjectMeta, service: &Name) -> bool {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let document = ingress.document.as_ref().map(|document| &document.object);
    let rules = list(document.and_then(|object| object.pointer("/spec/rules")));
    rules.iter().any(|rule| {
        let paths = list(rule.pointer("/http/paths"));
        paths.iter().any(|path| {
            let name = path.pointer("/backend/service/name").and_then(Value::as_str);
            name == Some(&**service)
        })
    })
}
