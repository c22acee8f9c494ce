//! Checks whether a PodDisruptionBudget ever allows an eviction.

use super::cross_check::warning;
use super::diagnostic::Diagnostics;
use super::load::Object;
use cluster::deployment::IntOrPercent;
use cluster::policy::{Budget, PodDisruptionBudgetSpec};
use cluster::selector::Selector;
use cluster::{AnySpec, Kind};

/// The bounds of a workload's replicas, and the object that sets them if they differ.
struct Range {
    fewest: i32,
    most: i32,
    autoscaler: Option<String>,
}

/// Warns of a budget that allows no eviction, so that drains never complete.
pub(super) fn check(
    object: &Object,
    budget: &PodDisruptionBudgetSpec,
    selector: &Selector,
    objects: &[Object],
) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let selected: Vec<&Object> = protected(object, selector, objects).collect();
    if selected.is_empty() {
        return problems;
    }
    problems.append(beside_another(object, &selected, objects));
    match budget.budget {
        Budget::MaxUnavailable(IntOrPercent::Int(0) | IntOrPercent::Percent(0)) => {
            let (said, field) = match object.manifest.value.pointer("/spec/maxUnavailable") {
                Some(_) => ("no pod may be unavailable", "spec.maxUnavailable"),
                None => {
                    ("without minAvailable and maxUnavailable no pod may be unavailable", "spec")
                }
            };
            let message = format!("{said}, so no pod is ever evicted: draining a node never ends");
            let problem = warning("budget-blocks-drains", message, object, field.to_owned());
            problems.push(problem.help("write maxUnavailable: 1"));
        }
        Budget::MaxUnavailable(_) => {}
        Budget::MinAvailable(least) => {
            let ranges: Option<Vec<Range>> =
                selected.iter().map(|one| range_of(one, objects)).collect();
            if let Some(message) = ranges.and_then(|ranges| blocked(least, &ranges)) {
                let field = "spec.minAvailable".to_owned();
                let problem = warning("budget-blocks-drains", message, object, field);
                let place = selected[0].manifest.origin.place();
                let help = "write maxUnavailable: 1 instead, and keep at least two replicas";
                problems.push(problem.related(place, "its pods").help(help));
            }
        }
    }
    problems
}

/// Warns of pods that an earlier budget also protects: the API server evicts none of them
/// (`checkAndDecrement` and its caller in `pkg/registry/core/pod/storage/eviction.go`).
fn beside_another(object: &Object, selected: &[&Object], objects: &[Object]) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let earlier = objects.iter().take_while(|other| !std::ptr::eq(*other, object));
    for other in earlier.filter(|other| other.meta.namespace() == object.meta.namespace()) {
        let AnySpec::PodDisruptionBudget(budget) = &other.spec else { continue };
        let shared = selected.iter().find(|one| {
            let template = one.spec.pod_template();
            let selector = budget.selector.as_ref();
            template.zip(selector).is_some_and(|(pods, selector)| selector.matches(&pods.labels))
        });
        let Some(shared) = shared else { continue };
        let message = format!(
            "the {} also selects the pods of {}: the API server evicts no pod with two budgets, so draining a node never ends",
            other.manifest.label(),
            shared.manifest.label()
        );
        let problem = warning("budget-blocks-drains", message, object, "spec.selector".to_owned());
        let place = other.manifest.origin.place_of("spec.selector");
        problems.push(problem.related(place, "here").help("keep one budget per pod"));
    }
    problems
}

/// The message for a budget that requires all pods, always or at the minimum number of replicas.
fn blocked(least: IntOrPercent, ranges: &[Range]) -> Option<String> {
    let sum = |of: fn(&Range) -> i32| ranges.iter().map(of).fold(0, i32::saturating_add);
    let (fewest, most) = (sum(|range| range.fewest), sum(|range| range.most));
    let wanted = |pods| least.scaled(pods, true);
    if fewest == 0 || wanted(fewest) < fewest {
        return None;
    }
    let counted = |pods| if pods == 1 { "1 pod".to_owned() } else { format!("{pods} pods") };
    let autoscaler = ranges.iter().find_map(|range| range.autoscaler.as_ref());
    Some(match autoscaler.filter(|_| wanted(most) < most) {
        Some(autoscaler) => format!(
            "at the minimum of {} set by {autoscaler}, {} must stay, so no pod is evicted: draining a node waits for more pods",
            counted(fewest),
            wanted(fewest)
        ),
        None => format!(
            "{1} of {0} must stay, so no pod is ever evicted: draining a node never ends",
            counted(most),
            wanted(most)
        ),
    })
}

/// The workloads whose pods a budget protects.
fn protected<'a>(
    budget: &Object,
    selector: &Selector,
    objects: &'a [Object],
) -> impl Iterator<Item = &'a Object> {
    objects.iter().filter(move |other| {
        let template = other.spec.pod_template();
        other.meta.namespace() == budget.meta.namespace()
            && template.is_some_and(|template| selector.matches(&template.labels))
    })
}

/// The bounds of a workload's replicas; `None` if its manifest does not determine them.
fn range_of(workload: &Object, objects: &[Object]) -> Option<Range> {
    let replicas = match &workload.spec {
        AnySpec::Deployment(spec) => spec.replicas,
        AnySpec::Rollout(spec) => spec.replicas,
        AnySpec::StatefulSet(spec) => spec.replicas,
        AnySpec::ReplicaSet(draft) => draft.replicas,
        AnySpec::Pod(_) => 1,
        _ => return None,
    };
    let reference = &workload.manifest.reference;
    let scaled = objects.iter().filter(|other| other.meta.namespace() == workload.meta.namespace());
    let mut scaled = scaled.filter_map(|other| {
        if let AnySpec::PodAutoscaler(spec) = &other.spec {
            let is_it =
                reference.kind == Kind::Deployment && spec.scale_target == reference.id.name;
            let most = if spec.max_scale == 0 { i32::MAX } else { spec.max_scale };
            return is_it.then(|| (other.manifest.label(), spec.min_scale.max(1), most));
        }
        let (target, fewest, most) = match &other.spec {
            AnySpec::HorizontalPodAutoscaler(spec) => {
                (&spec.scale_target, spec.min_replicas, spec.max_replicas)
            }
            AnySpec::ScaledObject(spec) => {
                (&spec.scale_target, spec.min_replicas, spec.max_replicas)
            }
            _ => return None,
        };
        let is_it = *target.kind == *reference.kind.name() && target.name == reference.id.name;
        // With zero replicas there is nothing to drain.
        is_it.then(|| (other.manifest.label(), fewest.max(1), most))
    });
    Some(match scaled.next() {
        Some((label, fewest, most)) => Range { fewest, most, autoscaler: Some(label) },
        None => Range { fewest: replicas, most: replicas, autoscaler: None },
    })
}
