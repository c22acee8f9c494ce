//! Converts a Knative Service to the Deployment of its first revision, a Service for it, and the PodAutoscaler or HPA
//! that scales it (`MakeDeployment`, `MakePA`, `MakeHPA`).

use serde_json::{Map, Value, json};

use super::{Expansion, ExpansionInput, Mistake, labels, marked};
use crate::pod_autoscaler::CLUSTER_WIDE;
use engine::parse_duration;

/// CPU request of `queue-proxy`, the container that Knative adds (`config-deployment`: `queue-sidecar-cpu-request`).
const QUEUE_CPU: &str = "25m";
/// Time for which a deleted pod goes on serving (`drainSleepDuration`): its containers' hook waits for `queue-proxy`, which
/// sleeps that long.
const DRAIN_SECONDS: i64 = 30;
/// Default of a revision's `timeoutSeconds`, in which requests in progress may end (`config-defaults`).
const TIMEOUT_SECONDS: i64 = 300;

pub(super) fn make(given: &ExpansionInput<'_>) -> Expansion {
    let Some(template) = given.value("/spec/template") else {
        return Err(Mistake {
            field: "spec.template",
            message: "Required value: the template of a revision".to_owned(),
            help: "it needs a spec with containers",
        });
    };
    revision(given, given.name(), template)
}

/// The settings of a revision: annotations of its template.
struct Annotations<'a>(Option<&'a Map<String, Value>>);

impl Annotations<'_> {
    /// An annotation of the autoscaler, by its name or its older one.
    fn get(&self, name: &str, old: &str) -> Option<&str> {
        let of = |name: &str| self.0?.get(&format!("autoscaling.knative.dev/{name}"))?.as_str();
        of(name).or_else(|| of(old))
    }

    fn count(&self, name: &str, old: &str) -> Option<i64> {
        self.get(name, old)?.parse().ok()
    }
}

/// The Deployment of a revision, the Service that routes to it, and its autoscaler.
pub(super) fn revision(given: &ExpansionInput<'_>, name: &str, template: &Value) -> Expansion {
    let revision = format!("{name}-00001");
    let annotations = template.pointer("/metadata/annotations").and_then(Value::as_object);
    let annotations = Annotations(annotations);
    let least = annotations.count("min-scale", "minScale").unwrap_or(0);
    let config = config(given);
    let may_be_zero = config.get("allow-zero-initial-scale").is_some_and(|one| one == "true");
    let of_cluster = config.get("initial-scale").and_then(Value::as_str);
    let first = annotations.count("initial-scale", "initialScale");
    let first = first.filter(|first| may_be_zero || *first > 0);
    let first = first.or_else(|| of_cluster?.parse().ok()).unwrap_or(1);
    let replicas = least.max(first);
    let own = labels([
        ("app", &revision),
        ("serving.knative.dev/service", name),
        ("serving.knative.dev/revision", &revision),
    ]);
    let pods = pods(template, &own);
    let deployment = format!("{revision}-deployment");
    let metadata = given.metadata(&deployment, &own);
    let selector = labels([("serving.knative.dev/revision", &revision)]);
    let spec =
        json!({"replicas": replicas, "selector": {"matchLabels": selector}, "template": pods});
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8012}]);
    let mut scaler_metadata = given.metadata(&revision, &own);
    let class =
        annotations.get("class", "class").or_else(|| config.get("pod-autoscaler-class")?.as_str());
    let scaler = if class == Some("hpa.autoscaling.knative.dev") {
        check_hpa(&annotations)?;
        hpa(&annotations, &deployment, &scaler_metadata)
    } else {
        let mut settings = annotations.0.cloned().unwrap_or_default();
        let of_cluster = config.iter().filter(|(name, _)| *name != "pod-autoscaler-class");
        settings.extend(
            of_cluster.map(|(name, value)| (format!("{CLUSTER_WIDE}{name}"), value.clone())),
        );
        scaler_metadata["annotations"] = settings.into();
        let mut spec = json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}});
        if let Some(limit) = template.pointer("/spec/containerConcurrency") {
            spec["containerConcurrency"] = limit.clone();
        }
        json!({
            "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
            "kind": "PodAutoscaler",
            "metadata": scaler_metadata,
            "spec": spec,
        })
    };
    Ok(vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}),
        given.service(name, &Value::Object(selector), &ports, false),
        scaler,
    ])
}

/// Checks the annotations of a revision of class `hpa`; those of the other class are checked with its PodAutoscaler
/// (`ValidateAnnotations` of `pkg/apis/autoscaling`).
fn check_hpa(annotations: &Annotations<'_>) -> Result<(), Mistake> {
    let refused = |name: &str, text: &str, expected: &str| Mistake {
        field: "spec.template.metadata.annotations",
        message: format!("autoscaling.knative.dev/{name}: {text:?} is not {expected}"),
        help: "the webhook of Knative rejects the Service",
    };
    for (name, old) in [
        ("min-scale", "minScale"),
        ("max-scale", "maxScale"),
        ("initial-scale", "initialScale"),
        ("activation-scale", "activationScale"),
    ] {
        if let Some(text) = annotations.get(name, old)
            && text.parse::<u32>().map_or(true, |count| count > i32::MAX.unsigned_abs())
        {
            return Err(refused(name, text, "a number of pods"));
        }
    }
    let (least, most) =
        (annotations.count("min-scale", "minScale"), annotations.count("max-scale", "maxScale"));
    if let (Some(least), Some(most)) = (least, most.filter(|most| *most > 0))
        && most < least
    {
        let text = most.to_string();
        return Err(refused("max-scale", &text, &format!("at least min-scale={least}")));
    }
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    if let Some(text) = annotations.get("target", "target")
        && number(text).is_none_or(|target| target < 0.01)
    {
        return Err(refused("target", text, "a number of at least 0.01"));
    }
    let utilization = ("target-utilization-percentage", "targetUtilizationPercentage");
    if let Some(text) = annotations.get(utilization.0, utilization.1)
        && number(text).is_none_or(|share| !(1.0..=100.0).contains(&share))
    {
        return Err(refused(utilization.0, text, "a number from 1 to 100"));
    }
    if let Some(text) = annotations.get("window", "window") {
        let seconds = parse_duration(text).ok().map(engine::SimDuration::as_secs_f64);
        if seconds.is_none_or(|one| !(6.0..=3600.0).contains(&one) || one.fract() != 0.0) {
            return Err(refused("window", text, "a duration from 6s to 1h in whole seconds"));
        }
    }
    Ok(())
}

/// The template of a revision's pods: its own, with `queue-proxy`.
fn pods(template: &Value, own: &Map<String, Value>) -> Value {
    let mut pods = marked(template, own, &Map::new());
    if let Some(spec) = pods.get_mut("spec").and_then(Value::as_object_mut) {
        let timeout = spec.get("timeoutSeconds").cloned().unwrap_or_else(|| TIMEOUT_SECONDS.into());
        spec.insert("terminationGracePeriodSeconds".to_owned(), timeout);
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
            container["lifecycle"] = json!({"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}});
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
            "ports": [
                {"name": "http-queueadm", "containerPort": 8022},
                {"name": "http-autometric", "containerPort": 9090},
                {"name": "http-usermetric", "containerPort": 9091},
                {"name": "queue-port", "containerPort": 8012},
            ],
            "readinessProbe": {"httpGet": {"port": 8012, "path": "/"}, "periodSeconds": 1},
        }));
    }
    pods
}

/// The settings of the cluster's autoscaler, from the ConfigMap `config-autoscaler` or the operator's KnativeServing.
fn config(given: &ExpansionInput<'_>) -> Map<String, Value> {
    let is_config = |one: &super::Manifest| {
        &*one.kind == "ConfigMap" && &*one.reference.id.name == "config-autoscaler"
    };
    let mut all = given.others.iter().filter_map(|one| match &*one.kind {
        _ if is_config(one) => one.value.get("data"),
        "KnativeServing" => {
            let config = one.value.pointer("/spec/config")?;
            config.get("autoscaler").or_else(|| config.get("config-autoscaler"))
        }
        _ => None,
    });
    let mut settings = all.next().and_then(Value::as_object).cloned().unwrap_or_default();
    settings.retain(|name, value| !name.starts_with('_') && value.is_string());
    settings
}

/// The HPA of a revision of class `hpa`.
fn hpa(annotations: &Annotations<'_>, deployment: &str, metadata: &Value) -> Value {
    let least = annotations.count("min-scale", "minScale").filter(|least| *least > 0);
    let most = annotations.count("max-scale", "maxScale").filter(|most| *most > 0);
    let mut spec = json!({
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
        "minReplicas": least.unwrap_or(1),
        "maxReplicas": most.unwrap_or(i64::from(i32::MAX)),
    });
    let target = annotations.get("target", "target").and_then(|text| text.parse::<f64>().ok());
    let metric = annotations.get("metric", "metric").unwrap_or("cpu");
    if let Some(target) = target.or((metric == "cpu").then_some(80.0)) {
        spec["metrics"] = json!([match metric {
            "cpu" => json!({"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": whole(target.ceil())}}}),
            "memory" => json!({"type": "Resource", "resource": {"name": "memory",
                "target": {"type": "AverageValue", "averageValue": format!("{}Mi", whole(target))}}}),
            other => json!({"type": "Pods", "pods": {"metric": {"name": other},
                "target": {"type": "AverageValue", "averageValue": whole(target).to_string()}}}),
        }]);
    }
    let window = annotations.get("window", "window").and_then(|text| parse_duration(text).ok());
    if let Some(window) = window {
        let rules = json!({"stabilizationWindowSeconds": window.as_secs()});
        spec["behavior"] = json!({"scaleDown": rules, "scaleUp": rules});
    }
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata,
        "spec": spec,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
const fn whole(number: f64) -> i64 {
    number as i64
}
