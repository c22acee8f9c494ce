//! What the API server and the webhooks refuse of objects that are expanded: the schemas of their
//! CustomResourceDefinitions (JobSet 0.10, LeaderWorkerSet 0.7) and `pkg/webhooks` of both.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::{NameRule, check_name};
use super::super::object::Manifest;

/// A rule for a field.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// It must be given.
    Required,
    /// A text with one of these values.
    OneOf(&'static [&'static str]),
    /// A whole number of at least this.
    AtLeast(i64),
    /// A whole number.
    Number,
    /// A name that can be part of a host name.
    Label,
}

use Shape::{AtLeast, Label, Number, OneOf, Required};

/// By kind and path; `*` means each item of a list.
const RULES: [(&str, &str, Shape); 21] = [
    ("JobSet", "replicatedJobs.*.name", Required),
    ("JobSet", "replicatedJobs.*.name", Label),
    ("JobSet", "replicatedJobs.*.template", Required),
    ("JobSet", "replicatedJobs.*.replicas", Number),
    ("JobSet", "replicatedJobs.*.dependsOn.*.status", OneOf(&["Ready", "Complete"])),
    ("JobSet", "successPolicy.operator", OneOf(&["All", "Any"])),
    ("JobSet", "startupPolicy.startupPolicyOrder", OneOf(&["AnyOrder", "InOrder"])),
    ("JobSet", "failurePolicy.maxRestarts", Number),
    ("JobSet", "failurePolicy.restartStrategy", OneOf(&["Recreate", "BlockingRecreate"])),
    ("JobSet", "failurePolicy.rules.*.action", Required),
    (
        "JobSet",
        "failurePolicy.rules.*.action",
        OneOf(&[
            "FailJobSet",
            "RestartJobSet",
            "RestartJobSetAndIgnoreMaxRestarts",
            "RestartJob",
            "RestartJobAndIgnoreMaxRestarts",
        ]),
    ),
    ("JobSet", "network.subdomain", Label),
    ("LeaderWorkerSet", "leaderWorkerTemplate", Required),
    ("LeaderWorkerSet", "leaderWorkerTemplate.workerTemplate", Required),
    ("LeaderWorkerSet", "leaderWorkerTemplate.size", AtLeast(1)),
    (
        "LeaderWorkerSet",
        "leaderWorkerTemplate.restartPolicy",
        OneOf(&["Default", "RecreateGroupOnPodRestart", "RecreateGroupAfterStart", "None"]),
    ),
    ("LeaderWorkerSet", "replicas", AtLeast(0)),
    ("LeaderWorkerSet", "startupPolicy", OneOf(&["LeaderCreated", "LeaderReady"])),
    ("LeaderWorkerSet", "rolloutStrategy.type", OneOf(&["RollingUpdate"])),
    ("LeaderWorkerSet", "networkConfig.subdomainPolicy", OneOf(&["Shared", "UniquePerReplica"])),
    ("LeaderWorkerSet", "leaderWorkerTemplate.subGroupPolicy.subGroupSize", AtLeast(1)),
];

/// The errors of an object of these kinds.
pub(super) fn validate(manifest: &Manifest) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let spec = &manifest.value["spec"];
    let at = FieldPath::ROOT.field("spec");
    for (_, path, shape) in RULES.iter().filter(|(kind, ..)| *kind == &*manifest.kind) {
        follow(spec, path, &at, *shape, &mut errors);
    }
    if &*manifest.kind == "JobSet" {
        validate_names(spec, &at, &mut errors);
    }
    errors
}

fn follow(value: &Value, path: &str, at: &FieldPath<'_>, shape: Shape, errors: &mut FieldErrors) {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    if step == "*" {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            follow(item, rest, &at.item(index), shape, errors);
        }
    } else if rest.is_empty() {
        check(&value[step], shape, &at.field(step), errors);
    } else if !value[step].is_null() {
        follow(&value[step], rest, &at.field(step), shape, errors);
    }
}

fn check(value: &Value, shape: Shape, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match (shape, value) {
        (Required, Value::Null) => errors.required(path, ""),
        (_, Value::Null) | (Required, _) => {}
        (OneOf(choices), Value::String(text)) if choices.contains(&text.as_str()) => {}
        (OneOf(choices), Value::String(text)) => errors.not_supported(path, text, choices),
        (Label, Value::String(text)) => check_name(text, false, NameRule::Label, path, errors),
        (OneOf(_) | Label, other) => wrong_type(other, "string", path, errors),
        (AtLeast(least), other) => match other.as_i64() {
            Some(number) if number < least => {
                let rule = format!("must be greater than or equal to {least}");
                errors.invalid(path, number, rule);
            }
            Some(_) => {}
            None => wrong_type(other, "integer", path, errors),
        },
        (Number, other) if other.as_i64().is_none() => wrong_type(other, "integer", path, errors),
        (Number, _) => {}
    }
}

fn wrong_type(value: &Value, wanted: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    errors.push(path, format!("Invalid value: {value}: must be of type {wanted}"));
}

/// Names of replicated Jobs are unique, and policies name only such.
fn validate_names(spec: &Value, at: &FieldPath<'_>, errors: &mut FieldErrors) {
    let list = at.field("replicatedJobs");
    let mut names = BTreeSet::new();
    for (index, job) in spec["replicatedJobs"].as_array().into_iter().flatten().enumerate() {
        let Some(name) = job["name"].as_str() else { continue };
        if !names.insert(name) {
            errors.duplicate(&list.item(index).field("name"), name);
        }
    }
    let mut known = |targets: &Value, path: &FieldPath<'_>| {
        for (index, target) in targets.as_array().into_iter().flatten().enumerate() {
            if let Some(name) = target.as_str().filter(|name| !names.contains(name)) {
                let rule = format!(
                    "invalid replicatedJob name '{name}' does not appear in .spec.ReplicatedJobs"
                );
                errors.invalid(&path.item(index), name, rule);
            }
        }
    };
    let at_success = at.field("successPolicy");
    let success = &spec["successPolicy"]["targetReplicatedJobs"];
    known(success, &at_success.field("targetReplicatedJobs"));
    let at_failure = at.field("failurePolicy");
    let at_rules = at_failure.field("rules");
    let rules = &spec["failurePolicy"]["rules"];
    for (index, rule) in rules.as_array().into_iter().flatten().enumerate() {
        let at = at_rules.item(index);
        known(&rule["targetReplicatedJobs"], &at.field("targetReplicatedJobs"));
    }
}
