//! KEDA's ScaledJob (`keda.sh/v1alpha1`, 2.18): its fields, and the simulated ones among them.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::batch::job_spec;
use super::defaults;
use super::definitions::{JobSpecFields, ObjectMetaFields};
use super::field::{FieldErrors, FieldPath};
use super::scaled_object::{ScaleTriggers, trigger};
use cluster::cron_job::JobTemplate;
use cluster::scaled_job::{
    JobScaling, SCALED_JOB_LABEL, ScaledJobSpec, ScalersCalculation, ScalingStrategy,
};
use cluster::scaled_object::Pause;
use cluster::{Labels, ObjectMeta};
use engine::SimDuration;

/// The version that KEDA writes into the labels of Jobs.
const KEDA_VERSION: &str = "2.18.1";
/// Finished Jobs that stay, by default.
const DEFAULT_HISTORY_LIMIT: i32 = 100;
/// Names labels of the ScaledJob that its Jobs do not get.
const EXCLUDED_LABELS: &str = "scaledjob.keda.sh/job-excluded-labels";

/// The object as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaledJob {
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    api_version: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    kind: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    #[schemars(with = "ObjectMetaFields")]
    metadata: meta::ObjectMeta,
    spec: WrittenSpec,
    #[expect(dead_code, reason = "the operator's; here for the schema")]
    status: Option<BTreeMap<String, Value>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScaledJobSpec")]
struct WrittenSpec {
    #[schemars(with = "JobSpecFields")]
    job_target_ref: batch::JobSpec,
    polling_interval: Option<i32>,
    successful_jobs_history_limit: Option<i32>,
    failed_jobs_history_limit: Option<i32>,
    rollout_strategy: Option<String>,
    rollout: Option<JobRollout>,
    #[expect(dead_code, reason = "for secrets of triggers alone; here for the schema")]
    env_source_container_name: Option<String>,
    min_replica_count: Option<i32>,
    max_replica_count: Option<i32>,
    scaling_strategy: Option<JobScalingStrategy>,
    triggers: Vec<ScaleTriggers>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct JobRollout {
    strategy: Option<String>,
    #[expect(dead_code, reason = "Jobs end with their pods either way; here for the schema")]
    propagation_policy: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct JobScalingStrategy {
    strategy: Option<String>,
    custom_scaling_queue_length_deduction: Option<i32>,
    custom_scaling_running_job_percentage: Option<String>,
    pending_pod_conditions: Option<Vec<String>>,
    multiple_scalers_calculation: Option<String>,
}

/// The spec and the document, both defaulted.
pub(super) fn scaled_job(
    meta: &ObjectMeta,
    mut value: Value,
    errors: &mut FieldErrors,
) -> Result<(ScaledJobSpec, Value), serde_json::Error> {
    let ScaledJob { spec, .. } = Deserialize::deserialize(&value)?;
    let path = FieldPath::ROOT.field("spec");
    let mut job = spec.job_target_ref.clone();
    // KEDA sets it, as a Job does not accept the API server's default.
    let pods = job.template.spec.get_or_insert_default();
    if pods.restart_policy.as_deref().is_none_or(str::is_empty) {
        pods.restart_policy = Some("OnFailure".to_owned());
    }
    defaults::job_with_template(&mut job);
    if let Some(fields) = value.get_mut("spec").and_then(Value::as_object_mut) {
        fields.insert("jobTargetRef".to_owned(), serde_json::to_value(&job)?);
    }
    // Neither the CRD nor the webhook has bounds for numbers: `autoscaler_check` warns of some.
    let interval = spec.polling_interval.unwrap_or(30).max(1);
    let limit =
        |given: Option<i32>| usize::try_from(given.unwrap_or(DEFAULT_HISTORY_LIMIT)).unwrap_or(0);
    let successful = limit(spec.successful_jobs_history_limit);
    let failed = limit(spec.failed_jobs_history_limit);
    let at_triggers = path.field("triggers");
    if spec.triggers.is_empty() {
        let problem = "no triggers defined in the ScaledObject/ScaledJob";
        errors.push(&at_triggers, problem.to_owned());
    }
    for (index, one) in spec.triggers.iter().enumerate() {
        if one.metric_type.as_deref().is_some_and(|kind| !kind.is_empty()) {
            let at = at_triggers.item(index);
            let problem = "metricType cannot be set in ScaledJob triggers";
            errors.push(&at.field("metricType"), problem.to_owned());
        }
    }
    let triggers = spec.triggers.iter().enumerate();
    let triggers =
        triggers.map(|(index, one)| trigger(index, one, &at_triggers.item(index), errors));
    let triggers = triggers.collect();
    // The other annotations that pause a ScaledObject have no effect (`checkIfPaused`).
    let paused = meta.annotations.get("autoscaling.keda.sh/paused");
    let pause = Pause::of(|name| paused.filter(|_| name == "paused").map(|text| &**text));
    let written = spec.scaling_strategy.clone().unwrap_or_default();
    let (strategy, calculation) = strategy(&written);
    let mut job = job_spec(&job, &path.field("jobTargetRef"), errors);
    job.template.labels = job.template.labels.with(SCALED_JOB_LABEL, meta.name().clone());
    let lowered = ScaledJobSpec {
        job_template: JobTemplate {
            labels: labels(meta),
            annotations: meta.annotations.clone(),
            spec: job,
        },
        polling_interval: SimDuration::from_secs(interval.into()),
        triggers,
        calculation,
        scaling: JobScaling {
            min_replicas: spec.min_replica_count.map(i64::from),
            max_replicas: spec.max_replica_count.map(i64::from),
            strategy,
            pending_pod_conditions: written
                .pending_pod_conditions
                .iter()
                .flatten()
                .map(|name| name.as_str().into())
                .collect(),
            successful_jobs_history_limit: successful,
            failed_jobs_history_limit: failed,
        },
        is_rollout_gradual: is_gradual(&spec),
        is_paused: pause.is_paused,
    };
    Ok((lowered, value))
}

/// Unknown names mean the default, of the strategy and of the calculation.
fn strategy(written: &JobScalingStrategy) -> (ScalingStrategy, ScalersCalculation) {
    let name = written.strategy.as_deref().unwrap_or_default();
    let calculation = match written.multiple_scalers_calculation.as_deref() {
        Some("min") => ScalersCalculation::Min,
        Some("avg") => ScalersCalculation::Avg,
        Some("sum") => ScalersCalculation::Sum,
        _ => ScalersCalculation::Max,
    };
    let deduction = written.custom_scaling_queue_length_deduction.unwrap_or(0);
    let percentage = written.custom_scaling_running_job_percentage.as_deref().unwrap_or_default();
    (ScalingStrategy::named(name, deduction.into(), percentage), calculation)
}

/// `rollout.strategy`, over which the older `rolloutStrategy` takes precedence.
fn is_gradual(spec: &WrittenSpec) -> bool {
    let older = spec.rollout_strategy.as_deref().filter(|name| !name.is_empty());
    let current = spec.rollout.as_ref().and_then(|rollout| rollout.strategy.as_deref());
    older.or(current) == Some("gradual")
}

/// The labels of its Jobs (`generateJobs`).
fn labels(meta: &ObjectMeta) -> Labels {
    let name = &**meta.name();
    let own = [
        ("app.kubernetes.io/name", name),
        ("app.kubernetes.io/version", KEDA_VERSION),
        ("app.kubernetes.io/part-of", name),
        ("app.kubernetes.io/managed-by", "keda-operator"),
        (SCALED_JOB_LABEL, name),
    ];
    let excluded = meta.annotations.get(EXCLUDED_LABELS);
    let is_excluded =
        |key: &str| excluded.is_some_and(|list| list.split(',').any(|one| one == key));
    let inherited = meta.labels.iter().filter(|(key, _)| !is_excluded(key));
    let inherited = inherited.map(|(key, value)| (&**key, &**value));
    own.into_iter().chain(inherited).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lowered(spec: &Value) -> (ScaledJobSpec, Vec<String>) {
        let mut object = json!({
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "metadata": {"name": "mail"},
            "spec": {
                "jobTargetRef": {"template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}},
                "triggers": [{"type": "rabbitmq", "metadata": {"queueName": "mail", "value": "1"}}],
            },
        });
        for (field, value) in spec.as_object().into_iter().flatten() {
            object["spec"][field] = value.clone();
        }
        let mut meta = ObjectMeta::new("shop", "mail");
        meta.labels = [("team", "post"), ("secret", "x")].into_iter().collect();
        meta.annotations = [(EXCLUDED_LABELS, "secret")].into_iter().collect();
        let mut errors = FieldErrors::default();
        let (spec, _) = scaled_job(&meta, object, &mut errors).unwrap();
        (spec, errors.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn its_jobs_have_labels_of_keda_and_of_its_own() {
        let (spec, errors) = lowered(&json!({}));
        assert_eq!(errors, [""; 0]);
        let labels = &spec.job_template.labels;
        assert_eq!(labels.get("scaledjob.keda.sh/name").map(|name| &**name), Some("mail"));
        assert_eq!(labels.get("team").map(|name| &**name), Some("post"));
        assert!(!labels.contains_key("secret"));
        assert_eq!(spec.polling_interval, SimDuration::from_secs(30));
        assert_eq!(spec.scaling.max_replicas(), 100);
        assert!(!spec.is_rollout_gradual);
    }

    #[test]
    fn the_older_field_of_the_rollout_takes_precedence() {
        let both = json!({"rolloutStrategy": "gradual", "rollout": {"strategy": "immediate"}});
        assert!(lowered(&both).0.is_rollout_gradual);
        assert!(lowered(&json!({"rollout": {"strategy": "gradual"}})).0.is_rollout_gradual);
    }

    #[test]
    fn what_the_operator_rejects_is_an_error() {
        let (_, errors) = lowered(&json!({
            "triggers": [{"type": "rabbitmq", "metricType": "Value", "metadata": {"queueName": "mail"}}],
        }));
        let fields: Vec<&str> = errors.iter().filter_map(|error| error.split(':').next()).collect();
        assert_eq!(fields, ["spec.triggers[0].metricType"]);
        let (_, errors) = lowered(&json!({"triggers": []}));
        assert_eq!(errors, ["spec.triggers: no triggers defined in the ScaledObject/ScaledJob"]);
    }

    #[test]
    fn what_the_operator_takes_otherwise_is_none() {
        let (spec, errors) = lowered(&json!({
            "pollingInterval": 0, "minReplicaCount": -2, "maxReplicaCount": 0,
            "successfulJobsHistoryLimit": -1, "rollout": {"strategy": "slow"},
            "scalingStrategy": {"strategy": "quick", "multipleScalersCalculation": "most"},
        }));
        assert_eq!(errors, [""; 0]);
        assert_eq!(spec.polling_interval, SimDuration::from_secs(1));
        assert_eq!(spec.scaling.strategy, ScalingStrategy::Default);
        assert_eq!(spec.calculation, ScalersCalculation::Max);
        assert_eq!((spec.scaling.min_replicas(), spec.scaling.max_replicas()), (-2, 2));
        assert!(!spec.is_rollout_gradual);
        let none = lowered(&json!({"maxReplicaCount": 0})).0;
        assert_eq!(none.scaling.max_replicas(), 0);
    }
}
