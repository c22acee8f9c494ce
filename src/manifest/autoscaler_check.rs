//! Checks that each workload has at most one autoscaler, and what KEDA reads differently than written.

use serde_json::Value;

use super::cross_check::warning;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::load::Object;
use super::relations::Relations;
use cluster::AnySpec;
use cluster::hpa::ObjectReference;
use cluster::scaled_object::ScaledObjectSpec;

/// The field with an autoscaler's scale target.
const TARGET: &str = "spec.scaleTargetRef";

/// Warns of an HPA whose target already has another HPA, or a ScaledObject whose webhook is configured to
/// allow that: the controller finds both under the selector of the pods and refuses to scale
/// (`AmbiguousSelector` of `pkg/controller/podautoscaler/horizontal.go`).
pub(super) fn rivals(
    hpa: &Object,
    target: &ObjectReference,
    relations: &Relations<'_>,
) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let is_same = |other: &ObjectReference| other.kind == target.kind && other.name == target.name;
    let rival = beside(hpa, target, relations).find(|other| match &other.spec {
        AnySpec::HorizontalPodAutoscaler(earlier) => {
            is_same(&earlier.scale_target) && is_before(other, hpa)
        }
        AnySpec::ScaledObject(spec) => {
            is_same(&spec.scale_target) && owns_its_hpa(hpa) && !takes_over(other, spec, hpa)
        }
        _ => false,
    });
    if let Some(rival) = rival {
        let message = format!(
            "the {} also scales {} {}: with both, neither scales (AmbiguousSelector), and the replicas do not change",
            rival.manifest.label(),
            target.kind,
            target.name
        );
        let problem = warning("rival-autoscalers", message, hpa, format!("{TARGET}.name"));
        let place = rival.manifest.origin.place_of(TARGET);
        let help =
            "put the metrics of both into one HPA, which applies the highest number of replicas";
        problems.push(problem.related(place, "here").help(help));
    }
    problems
}

/// KEDA's webhook rejects a ScaledObject for a workload that already has an HPA or ScaledObject
/// (`verifyHpas`, `verifyScaledObjects`).
pub(super) fn refused(
    object: &Object,
    spec: &ScaledObjectSpec,
    relations: &Relations<'_>,
) -> Diagnostics {
    let mut problems = Diagnostics::default();
    for other in beside(object, &spec.scale_target, relations) {
        let target = match &other.spec {
            AnySpec::HorizontalPodAutoscaler(_)
                if owns_its_hpa(other) || takes_over(object, spec, other) =>
            {
                continue;
            }
            AnySpec::HorizontalPodAutoscaler(hpa) => &hpa.scale_target,
            // Of two ScaledObjects, the later one is rejected.
            AnySpec::ScaledObject(earlier) if is_before(other, object) => &earlier.scale_target,
            _ => continue,
        };
        if *target != spec.scale_target {
            continue;
        }
        let message = format!(
            "the workload {} of type {} is already managed by the {}",
            target.name,
            target.kind,
            other.manifest.label()
        );
        let problem = Diagnostic::error("two-autoscalers", message);
        let place = object.manifest.origin.place_of(TARGET);
        let help = "KEDA creates its own HPA: remove one of the two";
        let problem = problem.at(place).of(object.manifest.label()).help(help);
        problems.push(Diagnostic { field: TARGET.to_owned(), ..problem });
    }
    problems
}

/// Warns of settings of a ScaledJob that KEDA accepts and reads differently than they seem to be meant.
pub(super) fn unintended(object: &Object) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let mut warn = |pointer: &str, message: String| {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        problems.push(warning("unintended-setting", message, object, field));
    };
    let value = |pointer: &str| object.manifest.value.pointer(pointer);
    let numbers: [(&str, i64, &str); 5] = [
        ("/spec/pollingInterval", 1, "KEDA polls without a break; simulated as one poll a second"),
        ("/spec/minReplicaCount", 0, "it raises the maximum by as much"),
        ("/spec/maxReplicaCount", 1, "no Job is ever created"),
        ("/spec/successfulJobsHistoryLimit", 0, "KEDA fails when a Job completes; simulated as 0"),
        ("/spec/failedJobsHistoryLimit", 0, "KEDA fails when a Job fails; simulated as 0"),
    ];
    for (pointer, least, consequence) in numbers {
        let number = value(pointer).and_then(Value::as_i64);
        if let Some(number) = number.filter(|number| *number < least) {
            warn(pointer, format!("{number} is accepted: {consequence}"));
        }
    }
    let names: [(&str, &[&str]); 4] = [
        ("/spec/scalingStrategy/strategy", &["default", "custom", "accurate", "eager"]),
        ("/spec/scalingStrategy/multipleScalersCalculation", &["max", "min", "avg", "sum"]),
        ("/spec/rollout/strategy", &["immediate", "gradual"]),
        ("/spec/rolloutStrategy", &["immediate", "gradual"]),
    ];
    for (pointer, known) in names {
        let name = value(pointer).and_then(Value::as_str).filter(|name| !name.is_empty());
        if let Some(name) = name.filter(|name| !known.contains(name)) {
            let known = known.join(", ");
            let message = format!("KEDA takes {name:?} for the default, the first of {known}");
            warn(pointer, message);
        }
    }
    problems
}

/// The other autoscalers of a workload in the same namespace.
fn beside<'a>(
    object: &Object,
    target: &ObjectReference,
    relations: &Relations<'a>,
) -> impl Iterator<Item = &'a Object> {
    let all = relations.autoscalers(object.meta.namespace(), &target.kind, &target.name);
    all.into_iter().filter(|other| other.manifest.reference != object.manifest.reference)
}

fn is_annotated(object: &Object, annotation: &str, value: &str) -> bool {
    object.meta.annotations.get(annotation).is_some_and(|text| **text == *value)
}

/// True if KEDA's webhook is configured to ignore an HPA.
fn owns_its_hpa(hpa: &Object) -> bool {
    is_annotated(hpa, "validations.keda.sh/hpa-ownership", "false")
}

/// True if KEDA takes ownership of an existing HPA.
fn takes_over(scaled_object: &Object, spec: &ScaledObjectSpec, hpa: &Object) -> bool {
    is_annotated(scaled_object, "scaledobject.keda.sh/transfer-hpa-ownership", "true")
        && *spec.hpa_name == **hpa.meta.name()
}

/// Whether `one` comes before `other` in the list of all objects.
fn is_before(one: &Object, other: &Object) -> bool {
    std::ptr::from_ref(one) < std::ptr::from_ref(other)
}
