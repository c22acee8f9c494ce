//! Workloads, except for their templates and rules that lowering checks (`pkg/apis/apps/validation`,
//! `pkg/apis/batch/validation`).

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::field::{FieldErrors, FieldPath};
use super::network::domain_prefixed_path;
use super::placement::validate_selector;
use super::storage::validate_claim_templates;
use super::{SPEC, Validate, label};

/// Indexed Jobs: maximum parallelism (`maxParallelismForIndexedJob`) and maximum number of failed indexes.
const MOST_INDEXES: i32 = 100_000;
/// Completions above which a Job with `backoffLimitPerIndex` has stricter limits.
const MANY_COMPLETIONS: i32 = 100_000;
/// Maximum parallelism and failed indexes of such a Job.
const MOST_OF_MANY: i32 = 10_000;
/// The labels of a Job's generated selector.
const CONTROLLER_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

impl Validate for apps::Deployment {
    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(spec) = &self.spec {
            validate_selector(Some(&spec.selector), &SPEC.field("selector"), errors);
        }
    }
}

impl Validate for apps::ReplicaSet {
    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(spec) = &self.spec {
            validate_selector(Some(&spec.selector), &SPEC.field("selector"), errors);
        }
    }
}

impl Validate for apps::DaemonSet {
    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(spec) = &self.spec {
            validate_selector(Some(&spec.selector), &SPEC.field("selector"), errors);
        }
    }
}

impl Validate for apps::StatefulSet {
    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        validate_selector(Some(&spec.selector), &SPEC.field("selector"), errors);
        validate_claim_templates(spec.volume_claim_templates.as_deref(), &SPEC, errors);
        if let Some(name) = spec.service_name.as_deref().filter(|name| !name.is_empty()) {
            label(name, &SPEC.field("serviceName"), errors);
        }
        let Some(strategy) = &spec.update_strategy else { return };
        let Some(rolling) = &strategy.rolling_update else { return };
        let at = SPEC.field("updateStrategy");
        let at = at.field("rollingUpdate");
        if strategy.type_.as_deref() == Some("OnDelete") {
            errors.invalid(&at, "", "only allowed for updateStrategy 'RollingUpdate'");
            return;
        }
        let is_nothing = match &rolling.max_unavailable {
            Some(IntOrString::Int(number)) => *number == 0,
            Some(IntOrString::String(text)) => text == "0%",
            None => false,
        };
        if is_nothing {
            errors.invalid(&at.field("maxUnavailable"), 0, "cannot be 0");
        }
    }
}

impl Validate for batch::Job {
    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        validate_job(spec, &SPEC, errors);
        validate_selector(spec.selector.as_ref(), &SPEC.field("selector"), errors);
        if spec.manual_selector == Some(true) {
            manual_selector(spec, errors);
        } else if spec.selector.as_ref().is_some_and(is_written_by_hand) {
            let rule = "`selector` not auto-generated";
            errors.invalid(&SPEC.field("selector"), "", rule);
        }
    }
}

/// Whether a selector goes beyond the labels that the API server generates for a Job.
fn is_written_by_hand(selector: &meta::LabelSelector) -> bool {
    let mut labels = selector.match_labels.iter().flatten().map(|(key, _)| key.as_str());
    let has_expressions = selector.match_expressions.as_ref().is_some_and(|all| !all.is_empty());
    has_expressions || labels.any(|key| !CONTROLLER_LABELS.contains(&key))
}

fn manual_selector(spec: &batch::JobSpec, errors: &mut FieldErrors) {
    let Some(selector) = &spec.selector else {
        return errors.required(&SPEC.field("selector"), "");
    };
    let mut discarded = FieldErrors::default();
    let selector =
        super::super::selector::label_selector(selector, &FieldPath::ROOT, &mut discarded);
    let labels = spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    if !selector.matches(&super::super::pod::pairs(labels)) {
        let at = SPEC.field("template");
        let at = at.field("metadata");
        let rule = "`selector` does not match template `labels`";
        errors.invalid(&at.field("labels"), labels, rule);
    }
}

impl Validate for batch::CronJob {
    fn validate(&self, errors: &mut FieldErrors) {
        let at = SPEC.field("jobTemplate");
        let at = at.field("spec");
        if let Some(spec) = &self.spec.job_template.spec {
            validate_job(spec, &at, errors);
            if spec.manual_selector == Some(true) {
                let choices = ["nil", "false"];
                errors.not_supported(&at.field("manualSelector"), "true", &choices);
            }
        }
        let zone = self.spec.time_zone.as_deref();
        let at = SPEC.field("timeZone");
        if zone == Some("") {
            errors.invalid(&at, "", "timeZone must be nil or non-empty string");
        }
        if zone.is_some_and(|zone| zone.eq_ignore_ascii_case("Local")) {
            errors.invalid(&at, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
        }
    }
}

/// `validateJobSpec`.
fn validate_job(spec: &batch::JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(manager) = &spec.managed_by {
        let at = path.field("managedBy");
        domain_prefixed_path(manager, &at, errors);
        if manager.len() > 63 {
            errors.push(&at, "Too long: may not be more than 63 bytes");
        }
    }
    let at_failed = path.field("maxFailedIndexes");
    if spec.completion_mode.as_deref() == Some("Indexed") {
        indexed_job(spec, path, errors);
    } else if let Some(most) = spec.max_failed_indexes {
        errors.invalid(&at_failed, most, "requires indexed completion mode");
    }
    failure_policy(spec, path, errors);
    success_policy(spec, path, errors);
}

fn indexed_job(spec: &batch::JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (at_parallelism, at_failed) = (path.field("parallelism"), path.field("maxFailedIndexes"));
    let parallelism = spec.parallelism.unwrap_or_default();
    if parallelism > MOST_INDEXES {
        let rule =
            format!("must be less than or equal to {MOST_INDEXES} when completion mode is Indexed");
        errors.invalid(&at_parallelism, parallelism, rule);
    }
    let most_failed = spec.max_failed_indexes;
    if let (Some(failed), Some(all)) = (most_failed, spec.completions)
        && failed > all
    {
        errors.invalid(&at_failed, failed, "must be less than or equal to completions");
    }
    if let Some(failed) = most_failed.filter(|failed| *failed > MOST_INDEXES) {
        let rule = format!("must be less than or equal to {MOST_INDEXES}");
        errors.invalid(&at_failed, failed, rule);
    }
    let has_many = spec.completions.is_some_and(|all| all > MANY_COMPLETIONS);
    if !has_many || spec.backoff_limit_per_index.is_none() {
        return;
    }
    let rule = format!(
        "must be less than or equal to {MOST_OF_MANY} when completions are above {MANY_COMPLETIONS} and used with \
         backoff limit per index"
    );
    match most_failed {
        None => {
            let why = format!("must be specified when completions is above {MANY_COMPLETIONS}");
            errors.required(&at_failed, &why);
        }
        Some(failed) if failed > MOST_OF_MANY => errors.invalid(&at_failed, failed, &rule),
        Some(_) => {}
    }
    if parallelism > MOST_OF_MANY {
        errors.invalid(&at_parallelism, parallelism, rule);
    }
}

/// `validatePodFailurePolicy`, except for rules that lowering checks.
fn failure_policy(spec: &batch::JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(policy) = &spec.pod_failure_policy else { return };
    let path = path.field("podFailurePolicy");
    let path = path.field("rules");
    let pod = spec.template.spec.as_ref();
    let containers = pod
        .into_iter()
        .flat_map(|pod| pod.containers.iter().chain(pod.init_containers.iter().flatten()));
    let names: Vec<&str> = containers.map(|container| container.name.as_str()).collect();
    if policy.rules.len() > 20 {
        let problem = format!("Too many: {}: must have at most 20 items", policy.rules.len());
        errors.push(&path, problem);
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        let item = path.item(index);
        if rule.action.is_empty() {
            errors.required(
                &item.field("action"),
                "valid values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"",
            );
        }
        if let Some(codes) = &rule.on_exit_codes {
            exit_codes(codes, &names, &item.field("onExitCodes"), errors);
        }
        let at = item.field("onPodConditions");
        for (index, pattern) in rule.on_pod_conditions.iter().flatten().enumerate() {
            let at = at.item(index);
            super::super::names::check_key(&pattern.type_, &at.field("type"), errors);
            let status = pattern.status.as_deref();
            super::supported(status, &["False", "True", "Unknown"], &at.field("status"), errors);
        }
    }
}

fn exit_codes(
    codes: &batch::PodFailurePolicyOnExitCodesRequirement,
    containers: &[&str],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if let Some(name) = codes.container_name.as_deref().filter(|name| !containers.contains(name)) {
        let rule = "must be one of the container or initContainer names in the pod template";
        errors.invalid(&path.field("containerName"), name, rule);
    }
    let at = path.field("values");
    if codes.values.len() > 255 {
        let problem = format!("Too many: {}: must have at most 255 items", codes.values.len());
        errors.push(&at, problem);
    }
    for (index, code) in codes.values.iter().enumerate() {
        if codes.operator == "In" && *code == 0 {
            errors.invalid(&at.item(index), code, "must not be 0 for the In operator");
        }
        if codes.values[..index].contains(code) {
            errors.duplicate(&at.item(index), code);
        }
    }
    if !codes.values.is_sorted() {
        errors.invalid(&at, &codes.values, "must be ordered");
    }
}

/// `validateSuccessPolicy`, except for rules that lowering checks.
fn success_policy(spec: &batch::JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (Some(policy), Some(completions)) = (&spec.success_policy, spec.completions) else {
        return;
    };
    let path = path.field("successPolicy");
    let path = path.field("rules");
    if policy.rules.is_empty() {
        let why = "at least one rules must be specified when the successPolicy is specified";
        errors.required(&path, why);
    }
    if policy.rules.len() > 20 {
        let problem = format!("Too many: {}: must have at most 20 items", policy.rules.len());
        errors.push(&path, problem);
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        let item = path.item(index);
        let mut indexes = None;
        if let Some(text) = &rule.succeeded_indexes {
            match count_indexes(text, completions) {
                Ok(count) => indexes = Some(count),
                Err(why) => {
                    let rule = format!("error parsing succeededIndexes: {why}");
                    errors.invalid(&item.field("succeededIndexes"), text, rule);
                }
            }
        }
        let Some(count) = rule.succeeded_count else { continue };
        let at = item.field("succeededCount");
        if count > completions {
            let rule = format!(
                "must be less than or equal to {completions} (the number of specified completions)"
            );
            errors.invalid(&at, count, rule);
        }
        if let Some(indexes) = indexes.filter(|indexes| count > *indexes) {
            let rule = format!(
                "must be less than or equal to {indexes} (the number of indexes in the specified succeededIndexes field)"
            );
            errors.invalid(&at, count, rule);
        }
    }
}

/// Number of indexes in a text such as `0,2-4` (`validateIndexesFormat`).
fn count_indexes(text: &str, completions: i32) -> Result<i32, String> {
    let mut count = 0;
    let mut last: Option<i32> = None;
    let number = |text: &str| {
        text.parse::<i32>()
            .map_err(|_| format!("cannot convert string to integer for index: {text:?}"))
    };
    for interval in text.split(',').filter(|_| !text.is_empty()) {
        let limits: Vec<&str> = interval.split('-').collect();
        let (first, end) = match limits.as_slice() {
            [only] => (number(only)?, number(only)?),
            [first, end] => (number(first)?, number(end)?),
            _ => {
                let parts = limits.len();
                return Err(format!(
                    "the fragment {interval:?} violates the requirement that an index interval can have at most two \
                     parts separated by '-', but has {parts}"
                ));
            }
        };
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        if first > end || limits.len() == 2 && first == end {
            return Err(format!("non-increasing order, previous: {first}, current: {end}"));
        }
        if end >= completions {
            return Err(format!("too large index: {end}"));
        }
        count += end - first + 1;
        last = Some(end);
    }
    Ok(count)
}
