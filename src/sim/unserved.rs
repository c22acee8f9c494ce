//! HPAs that use metrics which the scenario's adapter does not serve.

use cluster::hpa::MetricSource;
use cluster::scaled_object::TriggerSource;
use cluster::{Action, AnySpec};
use controllers::keda::rule_of;
use manifest::Diagnostic;
use metrics::MetricRule;

/// A warning for each HPA metric that no rule serves: the HPA will fail to read it, as in a cluster without such a
/// rule.
pub(super) fn unserved_metrics(objects: &[Action], rules: &[MetricRule]) -> Vec<Diagnostic> {
    let mut warnings = unserved_triggers(objects, rules);
    let hpas = objects.iter().filter_map(|action| match action {
        Action::Apply(meta, AnySpec::HorizontalPodAutoscaler(spec)) => Some((meta, spec)),
        _ => None,
    });
    let asked = hpas.flat_map(|(meta, spec)| {
        spec.metrics.iter().map(|metric| (meta.id.clone(), &*metric.source))
    });
    let unserved = asked.filter(|(_, source)| {
        let is_custom =
            !matches!(source, MetricSource::Resource { .. } | MetricSource::Invalid { .. });
        is_custom && !rules.iter().any(|rule| *rule.name == *source.name())
    });
    let warning = |(hpa, source): (_, &MetricSource)| {
        let (kind, name) = (source.type_name(), source.name());
        let message =
            format!("HPA {hpa} uses the {kind} metric {name}, for which there is no rule");
        Diagnostic::warning("unserved-metric", message)
            .help(format!("define it in the scenario: metrics.custom: [{{name: {name}, measure: requestsPerSecond, \
                           service: ...}}]"))
    };
    warnings.extend(unserved.map(warning));
    warnings
}

/// A warning for each KEDA trigger whose metric the scenario does not model.
fn unserved_triggers(objects: &[Action], rules: &[MetricRule]) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for action in objects {
        let Action::Apply(meta, spec) = action else { continue };
        let triggers = match spec {
            AnySpec::ScaledObject(spec) => &spec.triggers,
            AnySpec::ScaledJob(spec) => &spec.triggers,
            _ => continue,
        };
        for trigger in triggers {
            let object = format!("{} {}", spec.kind().name(), meta.id);
            let kind = &trigger.kind;
            match &trigger.source {
                TriggerSource::Unknown => warnings.push(
                    Diagnostic::warning(
                        "unserved-trigger",
                        format!("{object}: triggers of type {kind} are not simulated"),
                    )
                    .help("the trigger is never active; the other triggers work"),
                ),
                TriggerSource::Measured { query, .. }
                    if rule_of(query, rules.iter().map(|rule| &rule.name)).is_none() =>
                {
                    let message = format!(
                        "{object}: no rule defines the metric of its {kind} trigger on {query:?}"
                    );
                    let help = "define a metric or queue of this name in the scenario: metrics.custom: [{name: \
                                NAME, measure: queueDepth, service: ...}]";
                    warnings.push(Diagnostic::warning("unserved-trigger", message).help(help));
                }
                _ => {}
            }
        }
    }
    warnings
}
