//! Steps of a canary, and the analyses that Rollouts ask for.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    AnalysisRunArgument, AnalysisTemplateRef, CanaryStep, DryRun, RolloutAnalysis, RolloutPause,
    SetCanaryScale,
};
use crate::field::{FieldErrors, FieldPath};
use crate::workload::pod_count;
use cluster::ObjectMeta;
use cluster::analysis::{AnalysisCall, ArgumentValue, TemplateReference};
use cluster::rollout as lean;
use engine::{SimDuration, parse_duration};

pub(super) fn step(
    meta: &ObjectMeta,
    written: &CanaryStep,
    max_weight: i32,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> lean::CanaryStep {
    let kinds = [
        written.set_weight.is_some(),
        written.pause.is_some(),
        written.experiment.is_some(),
        written.analysis.is_some(),
    ];
    let others = [
        ("experiment", &written.experiment),
        ("setHeaderRoute", &written.set_header_route),
        ("setMirrorRoute", &written.set_mirror_route),
        ("plugin", &written.plugin),
    ];
    let other = others.into_iter().find(|(_, settings)| settings.is_some());
    let given = kinds.into_iter().filter(|is_given| *is_given).count();
    let has_none = given == 0 && written.set_canary_scale.is_none() && other.is_none();
    if given > 1 || has_none {
        let rule = "Step must have one of the following set: experiment, setWeight, setCanaryScale, plugin or pause";
        errors.invalid(path, "", rule);
    }
    let action = if let Some(pause) = &written.pause {
        let at = path.field("pause");
        lean::StepAction::Pause(pause_length(pause, &at.field("duration"), errors))
    } else if let Some(weight) = written.set_weight {
        if !(0..=max_weight).contains(&weight) {
            let rule = format!("SetWeight needs to be between 0 and {max_weight}");
            errors.invalid(&path.field("setWeight"), weight, rule);
        }
        lean::StepAction::SetWeight(weight)
    } else if let Some(analysis) = &written.analysis {
        lean::StepAction::Analysis(call(meta, analysis, &path.field("analysis"), errors))
    } else if let Some((name, settings)) = other {
        let own = settings.as_ref().and_then(|settings| settings.get("name")?.as_str());
        let own = own.map_or_else(|| name.to_owned(), |own| format!("{name}: {own}"));
        lean::StepAction::Other(own.into())
    } else {
        lean::StepAction::Scale
    };
    let scale = written.set_canary_scale.as_ref();
    let at = path.field("setCanaryScale");
    let scale = scale.map(|scale| canary_scale(scale, max_weight, &at, errors));
    lean::CanaryStep { action, scale }
}

/// The scale, of which at most one field counts. The controller has no bounds, but nobody means more than ten times
/// `replicas`.
fn canary_scale(
    written: &SetCanaryScale,
    max_weight: i32,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> lean::CanaryScale {
    let replicas = pod_count(written.replicas, &path.field("replicas"), errors);
    let weight = written.weight.unwrap_or_default();
    let most = max_weight * 10;
    if !(0..=most).contains(&weight) {
        let rule = format!("must be between 0 and {most}, ten times all pods");
        errors.invalid(&path.field("weight"), weight, rule);
    }
    match (written.replicas, written.weight) {
        _ if written.match_traffic_weight == Some(true) => lean::CanaryScale::MatchTrafficWeight,
        (Some(_), _) => lean::CanaryScale::Replicas(replicas),
        (None, Some(_)) => lean::CanaryScale::Weight(weight),
        (None, None) => lean::CanaryScale::MatchTrafficWeight,
    }
}

/// The length of a pause; `None` if it has none.
fn pause_length(
    pause: &RolloutPause,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<lean::PauseLength> {
    let written = pause.duration.as_ref()?;
    let Some(duration) = seconds(written) else {
        errors.invalid(path, -1, "Duration needs to be greater than 0");
        return None;
    };
    let written = match written {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    };
    Some(lean::PauseLength { duration, written: written.into() })
}

/// A pause's length: whole seconds, or a duration such as 10m; `None` if it is neither (`DurationSeconds`).
fn seconds(duration: &IntOrString) -> Option<SimDuration> {
    let whole = |seconds: i64| (seconds >= 0).then(|| SimDuration::from_secs(seconds));
    match duration {
        IntOrString::Int(number) => whole(i64::from(*number)),
        IntOrString::String(text) => match text.parse::<i64>() {
            Ok(number) => whole(number),
            Err(_) => whole(parse_duration(text).ok()?.as_secs()),
        },
    }
}

pub(super) fn call(
    meta: &ObjectMeta,
    written: &RolloutAnalysis,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> AnalysisCall {
    call_of(meta, (&written.templates, &written.args, &written.dry_run), path, errors)
}

pub(super) fn call_of(
    meta: &ObjectMeta,
    (templates, args, dry_run): (&[AnalysisTemplateRef], &[AnalysisRunArgument], &[DryRun]),
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> AnalysisCall {
    let at = path.field("templates");
    for (index, template) in templates.iter().enumerate() {
        if template.template_name.is_empty() {
            errors.required(&at.item(index).field("templateName"), "the name of a template");
        }
    }
    let mut at_args = args.iter().enumerate();
    let at = path.field("args");
    let args = at_args.by_ref().map(|(index, arg)| {
        let at = at.item(index);
        (arg.name.as_str().into(), argument(meta, arg, &at, errors))
    });
    AnalysisCall {
        args: args.collect(),
        templates: templates.iter().map(reference).collect(),
        dry_run: dry_run.iter().map(|one| one.metric_name.as_str().into()).collect(),
    }
}

/// A reference to a template.
pub(crate) fn reference(written: &AnalysisTemplateRef) -> TemplateReference {
    TemplateReference {
        name: written.template_name.as_str().into(),
        is_cluster_scoped: written.cluster_scope.unwrap_or_default(),
    }
}

/// The value of an argument; fields of the Rollout other than those of its metadata are not known here.
fn argument(
    meta: &ObjectMeta,
    written: &AnalysisRunArgument,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> ArgumentValue {
    let Some(from) = &written.value_from else {
        return ArgumentValue::Text(written.value.clone().unwrap_or_default().into());
    };
    if let Some(hash) = &from.pod_template_hash_value {
        let choices =
            [("Latest", ArgumentValueKind::Latest), ("Stable", ArgumentValueKind::Stable)];
        let at = path.field("valueFrom");
        return match errors.choose(Some(hash), &choices, &at.field("podTemplateHashValue")) {
            ArgumentValueKind::Latest => ArgumentValue::LatestHash,
            ArgumentValueKind::Stable => ArgumentValue::StableHash,
        };
    }
    let field = from.field_ref.as_ref().map_or("", |field| field.field_path.as_str());
    let key = |prefix: &str| field.strip_prefix(prefix)?.strip_suffix("']");
    let text = match field {
        "metadata.name" => Some(meta.name().clone()),
        "metadata.namespace" => Some(meta.namespace().clone()),
        _ => key("metadata.labels['")
            .and_then(|key| meta.labels.get(key))
            .or_else(|| key("metadata.annotations['").and_then(|key| meta.annotations.get(key)))
            .cloned(),
    };
    ArgumentValue::Text(text.unwrap_or_default())
}

#[derive(Clone, Copy)]
enum ArgumentValueKind {
    Latest,
    Stable,
}
