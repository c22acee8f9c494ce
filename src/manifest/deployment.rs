//! Deployments of the API to those of `cluster`, defaulted and validated as the API server does
//! (`pkg/apis/apps/v1/defaults.go`, `pkg/apis/apps/validation`, 1.36).

use k8s_openapi::api::apps::v1 as apps;

use super::field::{FieldErrors, FieldPath};
use super::int_or_percent::{check_at_most_all, int_or_percent};
use super::object_meta::namespaced;
use super::replica_set::pods_of_workload;
use crate::cluster::ObjectMeta;
use crate::cluster::deployment::{DeploymentSpec, DeploymentStrategy, IntOrPercent};

/// `maxSurge` and `maxUnavailable` where nothing is written.
const DEFAULT_SHARE: IntOrPercent = IntOrPercent::Percent(25);

/// A Deployment, ready to be created.
pub fn deployment(
    deployment: &apps::Deployment,
    errors: &mut FieldErrors,
) -> (ObjectMeta, DeploymentSpec) {
    let meta = namespaced(&deployment.metadata, errors);
    let spec = deployment.spec.clone().unwrap_or_default();
    let path = FieldPath::ROOT.field("spec");
    let replicas = errors.count(spec.replicas, 1, &path.field("replicas"));
    let (selector, template) = pods_of_workload(&spec.selector, &spec.template, &path, errors);
    let strategy = strategy(spec.strategy.as_ref(), &path.field("strategy"), errors);
    let min_ready_seconds = errors.count(spec.min_ready_seconds, 0, &path.field("minReadySeconds"));
    let at = path.field("revisionHistoryLimit");
    let revision_history_limit = errors.count(spec.revision_history_limit, 10, &at);
    let at = path.field("progressDeadlineSeconds");
    let progress_deadline_seconds = errors.count(spec.progress_deadline_seconds, 600, &at);
    if progress_deadline_seconds <= min_ready_seconds {
        let problem = format!("{progress_deadline_seconds} must be greater than minReadySeconds");
        errors.push(&at, problem);
    }
    let spec = DeploymentSpec {
        replicas,
        selector,
        template,
        strategy,
        min_ready_seconds,
        revision_history_limit,
        paused: spec.paused.unwrap_or(false),
        progress_deadline_seconds,
    };
    (meta, spec)
}

fn strategy(
    given: Option<&apps::DeploymentStrategy>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> DeploymentStrategy {
    let given = given.cloned().unwrap_or_default();
    let choices = [("Recreate", true), ("RollingUpdate", false)];
    let recreates = errors.choose(given.type_.as_deref(), &choices, false, &path.field("type"));
    let at = path.field("rollingUpdate");
    if recreates {
        if given.rolling_update.is_some() {
            errors.push(&at, "may not be specified when strategy `type` is 'Recreate'");
        }
        return DeploymentStrategy::Recreate;
    }
    let rolling = given.rolling_update.unwrap_or_default();
    let mut share = |given: Option<_>, path| {
        given.map_or(DEFAULT_SHARE, |given| int_or_percent(&given, DEFAULT_SHARE, &path, errors))
    };
    let max_surge = share(rolling.max_surge, at.field("maxSurge"));
    let max_unavailable = share(rolling.max_unavailable, at.field("maxUnavailable"));
    let at = at.field("maxUnavailable");
    if is_zero(max_surge) && is_zero(max_unavailable) {
        errors.push(&at, "may not be 0 when `maxSurge` is 0");
    }
    check_at_most_all(max_unavailable, &at, errors);
    DeploymentStrategy::RollingUpdate { max_surge, max_unavailable }
}

const fn is_zero(share: IntOrPercent) -> bool {
    matches!(share, IntOrPercent::Int(0) | IntOrPercent::Percent(0))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::pod_template::{ReferenceKind, RestartPolicy};

    fn lower(spec: &Value) -> (ObjectMeta, DeploymentSpec, Vec<String>) {
        let mut errors = FieldErrors::default();
        let object = json!({"metadata": {"name": "web"}, "spec": spec});
        let typed: apps::Deployment = serde_json::from_value(object).unwrap();
        let (meta, spec) = deployment(&typed, &mut errors);
        (meta, spec, errors.into_vec().iter().map(ToString::to_string).collect())
    }

    /// The least spec that is right, with these fields.
    fn web(fields: &Value) -> Value {
        let mut spec = json!({
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        });
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        spec
    }

    #[test]
    fn what_is_not_written_has_the_api_servers_defaults() {
        let (meta, spec, errors) = lower(&web(&json!({})));
        assert_eq!(errors, [""; 0]);
        assert_eq!(meta.id.to_string(), "default/web");
        assert_eq!(spec.replicas, 1);
        let strategy = DeploymentStrategy::RollingUpdate {
            max_surge: IntOrPercent::Percent(25),
            max_unavailable: IntOrPercent::Percent(25),
        };
        assert_eq!(spec.strategy, strategy);
        assert_eq!((spec.min_ready_seconds, spec.revision_history_limit), (0, 10));
        assert_eq!((spec.progress_deadline_seconds, spec.paused), (600, false));
    }

    #[test]
    fn a_rolling_update_defaults_field_by_field() {
        let strategy = json!({"rollingUpdate": {"maxSurge": 2}});
        let (_, spec, errors) = lower(&web(&json!({"strategy": strategy})));
        assert_eq!(errors, [""; 0]);
        let strategy = DeploymentStrategy::RollingUpdate {
            max_surge: IntOrPercent::Int(2),
            max_unavailable: IntOrPercent::Percent(25),
        };
        assert_eq!(spec.strategy, strategy);
    }

    #[test]
    fn what_the_api_server_refuses_is_an_error_in_its_words() {
        for (fields, expected) in [
            (json!({"replicas": -1}), "spec.replicas: -1 must be greater than or equal to 0"),
            (
                json!({"minReadySeconds": 600}),
                "spec.progressDeadlineSeconds: 600 must be greater than minReadySeconds",
            ),
            (
                json!({"strategy": {"rollingUpdate": {"maxSurge": "0%", "maxUnavailable": 0}}}),
                "spec.strategy.rollingUpdate.maxUnavailable: may not be 0 when `maxSurge` is 0",
            ),
            (
                json!({"strategy": {"rollingUpdate": {"maxUnavailable": "101%"}}}),
                "spec.strategy.rollingUpdate.maxUnavailable: 101% must not be greater than 100%",
            ),
            (
                json!({"strategy": {"type": "Recreate", "rollingUpdate": {}}}),
                "spec.strategy.rollingUpdate: may not be specified when strategy `type` is \
                 'Recreate'",
            ),
            (
                json!({"strategy": {"type": "BlueGreen"}}),
                "spec.strategy.type: \"BlueGreen\" is not one of Recreate, RollingUpdate",
            ),
        ] {
            assert_eq!(lower(&web(&fields)).2, [expected]);
        }
    }

    #[test]
    fn a_deployment_without_a_spec_lacks_selector_and_containers() {
        let mut errors = FieldErrors::default();
        deployment(&apps::Deployment::default(), &mut errors);
        let paths: Vec<String> = errors.into_vec().into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["metadata.name", "spec.selector", "spec.template.spec.containers"]);
    }

    #[test]
    fn the_ai_agent_of_the_teaching_chapters_is_taken_as_written() {
        let (_, spec, errors) = lower(&json!({
            "replicas": 3,
            "selector": {"matchLabels": {"app": "ai-agent"}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": {"labels": {"app": "ai-agent"}},
                "spec": {"containers": [{
                    "name": "agent",
                    "image": "ghcr.io/example/ai-agent:v1",
                    "env": [{"name": "API_KEY", "valueFrom": {
                        "secretKeyRef": {"name": "ai-agent-secrets", "key": "api-key"},
                    }}],
                    "resources": {
                        "requests": {"cpu": "250m", "memory": "512Mi"},
                        "limits": {"cpu": "1", "memory": "2Gi"},
                    },
                    "readinessProbe": {
                        "httpGet": {"path": "/health", "port": 8000},
                        "initialDelaySeconds": 10,
                        "periodSeconds": 5,
                    },
                }]},
            },
        }));
        assert_eq!(errors, [""; 0]);
        assert_eq!(spec.replicas, 3);
        let strategy = DeploymentStrategy::RollingUpdate {
            max_surge: IntOrPercent::Int(1),
            max_unavailable: IntOrPercent::Int(0),
        };
        assert_eq!(spec.strategy, strategy);
        assert!(spec.selector.matches(&spec.template.labels));
        let pod = &spec.template.spec;
        let container = &pod.containers[0];
        let amount = |list: &crate::cluster::pod_template::ResourceList, name: &str| {
            list.get(name).map(|amount| amount.to_string())
        };
        assert_eq!(amount(&container.requests, "cpu").as_deref(), Some("250m"));
        assert_eq!(amount(&container.requests, "memory").as_deref(), Some("512Mi"));
        assert_eq!(amount(&container.limits, "cpu").as_deref(), Some("1"));
        assert_eq!(amount(&container.limits, "memory").as_deref(), Some("2Gi"));
        let probe = container.readiness_probe.unwrap();
        assert_eq!((probe.initial_delay.as_secs(), probe.period.as_secs()), (10, 5));
        assert_eq!((probe.timeout.as_secs(), probe.failure_threshold), (1, 3));
        assert_eq!(pod.references.len(), 1);
        assert_eq!(pod.references[0].kind, ReferenceKind::Secret);
        assert_eq!(pod.references[0].key.as_deref(), Some("api-key"));
        assert_eq!(pod.termination_grace_period.as_secs(), 30);
        assert_eq!(pod.restart_policy, RestartPolicy::Always);
    }
}
