//! Whether an HPA has something to scale, and figures to do it by.

use super::cross_check::warning;
use super::diagnostic::Diagnostics;
use super::load::Object;
use crate::cluster::hpa::{HpaSpec, MetricSource, MetricTarget};
use crate::cluster::pod_template::PodTemplate;

/// Warns of what keeps an HPA from ever scaling: the target `exists` or not, and has this template if it
/// is one that is simulated.
pub(super) fn check(
    hpa: &Object,
    spec: &HpaSpec,
    exists: bool,
    template: Option<&PodTemplate>,
) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let target = &spec.scale_target;
    let named = format!("{} {}/{}", target.kind, hpa.meta.namespace(), target.name);
    if !exists {
        let message = format!("{named} is not here: the HPA will scale nothing");
        let field = "spec.scaleTargetRef.name".to_owned();
        let help = "add it, or name what is to be scaled";
        problems.push(warning("missing-reference", message, hpa, field).help(help));
        return problems;
    }
    for (index, metric) in spec.metrics.iter().enumerate() {
        if metric.lacks_target {
            let message = "the value that the type names is not set: the HPA will not scale by it";
            let field = format!("spec.metrics[{index}].object.target.type");
            let help = "name the value that is set: Value or AverageValue";
            problems.push(warning("missing-target", message.to_owned(), hpa, field).help(help));
        }
        let MetricSource::Resource { resource, container: only } = &*metric.source else {
            continue;
        };
        if !matches!(metric.target, MetricTarget::Utilization(_)) {
            continue;
        }
        let containers = template.into_iter().flat_map(|template| &template.spec.containers);
        let mut counted =
            containers.filter(|one| only.as_ref().is_none_or(|only| one.name == *only));
        if let Some(lacking) = counted.find(|one| one.requests.get(resource).is_none()) {
            let message = format!(
                "container {} of {named} requests no {resource}, of which this is a share: the HPA will \
                 not scale by it",
                lacking.name
            );
            let field = format!("spec.metrics[{index}].resource.target.averageUtilization");
            let help = format!("add resources.requests.{resource} to the container");
            problems.push(warning("missing-requests", message, hpa, field).help(help));
        }
    }
    problems
}
