//! The Services between which Rollouts divide requests: their traffic is known from the start, although requests come later.

use super::Blueprint;
use cluster::{Action, AnySpec, Name, NamespacedName};
use manifest::Diagnostic;
use traffic::{ServiceTraffic, Via};

impl Blueprint<'_> {
    /// The Services that each Rollout switches, by Rollout.
    fn switched_services(&self) -> impl Iterator<Item = Vec<NamespacedName>> {
        let later = self.timeline.iter().flat_map(|(_, step)| &step.objects);
        self.objects.iter().chain(later).filter_map(|action| {
            let Action::Apply(meta, AnySpec::Rollout(spec)) = action else { return None };
            let id = |name: &Name| NamespacedName::new(meta.namespace().clone(), name.clone());
            Some(spec.services().map(|(_, name)| id(name)).collect())
        })
    }

    /// Services that a Rollout gives a share of the requests to one of these.
    pub(super) fn beside_in_rollouts(
        &self,
        destinations: &[NamespacedName],
    ) -> Vec<NamespacedName> {
        let all = self.switched_services();
        let of_route = all.filter(|services| services.iter().any(|one| destinations.contains(one)));
        of_route.flatten().collect()
    }

    /// Adds the Services of Rollouts that a metric of the scenario measures by their pods.
    pub(super) fn add_measured_services(
        &self,
        traffic: &mut Vec<(NamespacedName, ServiceTraffic)>,
    ) {
        let switched: Vec<NamespacedName> = self.switched_services().flatten().collect();
        for rule in &self.resolved().scenario().metrics.custom {
            let service = &rule.service.0;
            if switched.contains(service) {
                self.position_in(traffic, service, None, Via::default());
            }
        }
    }
}

/// A warning for each metric of an AnalysisTemplate that the scenario does not model.
pub(super) fn unmeasured(objects: &[Action], rules: &[metrics::MetricRule]) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for action in objects {
        let (meta, spec) = match action {
            Action::Apply(meta, AnySpec::AnalysisTemplate(spec)) => (meta, &**spec),
            Action::Apply(meta, AnySpec::ClusterAnalysisTemplate(spec)) => (meta, &spec.0),
            _ => continue,
        };
        for metric in &spec.metrics {
            let names = rules.iter().map(|rule| &rule.name);
            let (template, name) = (&meta.id, &metric.name);
            if controllers::rollout::measured_by(metric, names).is_none() {
                let message = format!(
                    "AnalysisTemplate {template}: no rule defines what its metric {name} measures: it always succeeds"
                );
                let help = format!(
                    "define it in the scenario: metrics.custom: [{{name: {name}, measure: successRate, service: ...}}]"
                );
                warnings.push(Diagnostic::warning("unserved-metric", message).help(help));
            } else if let Some(problem) = [&metric.success_condition, &metric.failure_condition]
                .into_iter()
                .flatten()
                .filter(|text| !text.contains("{{"))
                .find_map(|text| controllers::rollout::analysis::condition(text).err())
            {
                let message = format!(
                    "AnalysisTemplate {template}: a condition of its metric {name} is not understood ({problem}): each \
                     measurement is an error"
                );
                let help = "conditions compare `result`, which is one number here";
                warnings.push(Diagnostic::warning("unserved-metric", message).help(help));
            }
        }
    }
    warnings
}
