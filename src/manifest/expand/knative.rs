//! Converts a Knative Service to the Deployment of its first revision and a Service for it (`MakeDeployment`, and the
//! annotations of the autoscaler).

use serde_json::{Map, Value, json};

use super::{Expansion, ExpansionInput, Mistake, labels, marked};

/// CPU request of `queue-proxy`, the container that Knative adds (`config-deployment`: `queue-sidecar-cpu-request`).
const QUEUE_CPU: &str = "25m";

pub(super) fn make(given: &ExpansionInput<'_>) -> Expansion {
    let Some(template) = given.value("/spec/template") else {
        return Err(Mistake {
            field: "spec.template",
            message: "Required value: the template of a revision".to_owned(),
            help: "it has a spec with containers",
        });
    };
    let scale = |key: &str| {
        let key = format!("autoscaling.knative.dev/{key}");
        let annotations = template.pointer("/metadata/annotations")?;
        annotations.get(key)?.as_str()?.parse::<i64>().ok()
    };
    let least = scale("min-scale").or_else(|| scale("minScale")).unwrap_or(0);
    let first = scale("initial-scale").or_else(|| scale("initialScale")).unwrap_or(1);
    Ok(revision(given, given.name(), template, least.max(first)))
}

/// The Deployment of a revision, and the Service that routes to it.
pub(super) fn revision(
    given: &ExpansionInput<'_>,
    name: &str,
    template: &Value,
    replicas: i64,
) -> Vec<Value> {
    let revision = format!("{name}-00001");
    let own = labels([
        ("app", &revision),
        ("serving.knative.dev/service", name),
        ("serving.knative.dev/revision", &revision),
    ]);
    let mut pods = marked(template, &own, &Map::new());
    if let Some(spec) = pods.get_mut("spec").and_then(Value::as_object_mut) {
        for field in [
            "containerConcurrency",
            "timeoutSeconds",
            "idleTimeoutSeconds",
            "responseStartTimeoutSeconds",
        ] {
            spec.shift_remove(field);
        }
    }
    if let Some(containers) = pods.pointer_mut("/spec/containers").and_then(Value::as_array_mut) {
        for (index, container) in
            containers.iter_mut().enumerate().filter(|(_, one)| one.is_object())
        {
            if container["name"].is_null() {
                container["name"] = if index == 0 {
                    "user-container".into()
                } else {
                    format!("user-container-{index}").into()
                };
            }
        }
        containers.push(json!({
            "name": "queue-proxy",
            "image": "gcr.io/knative-releases/knative.dev/serving/cmd/queue",
            "resources": {"requests": {"cpu": QUEUE_CPU}},
            "readinessProbe": {"httpGet": {"port": 8012, "path": "/"}, "periodSeconds": 1},
        }));
    }
    let metadata = given.metadata(&format!("{revision}-deployment"), &own);
    let selector = labels([("serving.knative.dev/revision", &revision)]);
    let spec =
        json!({"replicas": replicas, "selector": {"matchLabels": selector}, "template": pods});
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8012}]);
    vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}),
        given.service(name, &Value::Object(selector), &ports, false),
    ]
}
