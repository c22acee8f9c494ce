//! Converts an `InferenceService` in KServe's Standard mode to Deployments, Services and HPAs or ScaledObjects
//! (`createRawDefaultDeployment`, `createHPA`, `keda_reconciler`), with the containers of their serving runtimes; in
//! Knative mode to a Knative Service. Converts an `LLMInferenceService` to Deployments.

use serde_json::{Map, Value, json};

use super::{Expansion, ExpansionInput, Mistake, knative, labels, marked, object_at};

/// Name of the serving container.
const CONTAINER: &str = "kserve-container";
/// `DefaultCPUUtilization` of its HPAs, in percent.
const CPU_UTILIZATION: i64 = 80;
/// Fields of a predictor that are not part of a pod spec.
const OWN_FIELDS: [&str; 18] = [
    "model",
    "minReplicas",
    "maxReplicas",
    "scaleTarget",
    "scaleMetric",
    "scaleMetricType",
    "autoScaling",
    "containerConcurrency",
    "timeout",
    "canaryTrafficPercent",
    "logger",
    "batcher",
    "labels",
    "annotations",
    "deploymentStrategy",
    "workerSpec",
    "storageUris",
    "spec",
];
/// Model formats with a predictor field of their own.
const FORMATS: [&str; 10] = [
    "sklearn",
    "xgboost",
    "tensorflow",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
];

pub(super) fn make(given: &ExpansionInput<'_>) -> Expansion {
    if given.value("/spec/predictor").is_none() {
        return Err(Mistake {
            field: "spec.predictor",
            message: "Required value: the server of the model".to_owned(),
            help: "a predictor needs a model or containers",
        });
    }
    let mut made = Vec::new();
    for component in ["predictor", "transformer", "explainer"] {
        let pointer = format!("/spec/{component}");
        if let Some(written) = given.value(&pointer) {
            made.extend(component_of(given, component, written)?);
        }
    }
    Ok(made)
}

fn component_of(given: &ExpansionInput<'_>, component: &str, written: &Value) -> Expansion {
    let name = format!("{}-{component}", given.name());
    let app = format!("isvc.{name}");
    let own = labels([
        ("app", &app),
        ("serving.kserve.io/inferenceservice", given.name()),
        ("component", component),
    ]);
    let mut pods = marked(&json!({"spec": pod_spec(given, written)?}), &own, &Map::new());
    for (field, of_pods) in [("labels", "labels"), ("annotations", "annotations")] {
        if let Some(Value::Object(more)) = written.get(field) {
            let mut all = more.clone();
            all.extend(pods["metadata"][of_pods].as_object().cloned().unwrap_or_default());
            pods["metadata"][of_pods] = all.into();
        }
    }
    let least = written.get("minReplicas").and_then(Value::as_i64);
    let mode = given.annotation("serving.kserve.io/deploymentMode").unwrap_or("Standard");
    if ["Serverless", "Knative"].contains(&mode) {
        return knative::revision(given, &name, &with_scale(pods, written));
    }
    let container = pods.pointer_mut("/spec/containers/0").filter(|one| one.is_object());
    if let Some(container) = container
        && container["readinessProbe"].is_null()
    {
        let port =
            container.pointer("/ports/0/containerPort").cloned().unwrap_or_else(|| 8080.into());
        container["readinessProbe"] = json!({"tcpSocket": {"port": port}, "timeoutSeconds": 1, "periodSeconds": 10, "failureThreshold": 3});
    }
    let selector = json!({ "app": app });
    let class = given.annotation("serving.kserve.io/autoscalerClass").unwrap_or("hpa");
    let mut spec = json!({"selector": {"matchLabels": selector}, "template": pods});
    if let Some(strategy) = written.get("deploymentStrategy") {
        spec["strategy"] = strategy.clone();
    }
    if let (Some(least), "none") = (least, class) {
        spec["replicas"] = least.into();
    }
    let port = spec.pointer("/template/spec/containers/0/ports/0/containerPort").cloned();
    let target = port.unwrap_or_else(|| 8080.into());
    let metadata = given.metadata(&name, &own);
    let ports = json!([{"name": "http", "port": 80, "targetPort": target}]);
    let mut made = vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}),
        given.service(&name, &selector, &ports, false),
    ];
    match class {
        "hpa" => made.push(hpa(given, &name, written)),
        "keda" => made.push(scaled_object(given, &name, written)),
        _ => {}
    }
    Ok(made)
}

/// The template of a revision with the annotations that KServe derives from a component's scale, and its limit of
/// concurrency.
fn with_scale(mut pods: Value, written: &Value) -> Value {
    let text = |field: &str| {
        let value = written.get(field).filter(|value| !value.is_null())?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let least = text("minReplicas").unwrap_or_else(|| "1".to_owned());
    let mut given = vec![("min-scale", least)];
    given.extend(text("maxReplicas").map(|most| ("max-scale", most)));
    given.extend(text("scaleTarget").map(|target| ("target", target)));
    given.extend(text("scaleMetric").map(|metric| ("metric", metric)));
    let is_hpa = given.iter().any(|(_, value)| ["cpu", "memory"].contains(&value.as_str()));
    if is_hpa {
        given.push(("class", "hpa.autoscaling.knative.dev".to_owned()));
    }
    let annotations = object_at(object_at(&mut pods, "metadata"), "annotations");
    if let Some(annotations) = annotations.as_object_mut() {
        for (name, value) in given {
            annotations.entry(format!("autoscaling.knative.dev/{name}")).or_insert(value.into());
        }
    }
    if let Some(limit) = written.get("containerConcurrency").filter(|limit| !limit.is_null()) {
        pods["spec"]["containerConcurrency"] = limit.clone();
    }
    pods
}

/// The pod spec of a component: its own, with the model's container.
fn pod_spec(given: &ExpansionInput<'_>, written: &Value) -> Result<Value, Mistake> {
    let mut spec: Map<String, Value> = written.as_object().cloned().unwrap_or_default();
    let mut model = spec.get("model").cloned();
    for format in FORMATS {
        if let Some(of_format) = spec.shift_remove(format).filter(|_| model.is_none()) {
            let mut of_format = of_format;
            if of_format.is_object() {
                of_format["modelFormat"] = json!({ "name": format });
                model = Some(of_format);
            }
        }
    }
    spec.retain(|field, _| !OWN_FIELDS.contains(&field.as_str()));
    if let Some(model) = model {
        let runtime = runtime_of(given, &model);
        let of_runtime = runtime.and_then(|runtime| runtime.get("spec")?.as_object());
        for field in
            ["nodeSelector", "tolerations", "affinity", "volumes", "imagePullSecrets", "hostIPC"]
        {
            if let Some(value) = of_runtime.and_then(|one| one.get(field))
                && !spec.contains_key(field)
            {
                spec.insert(field.to_owned(), value.clone());
            }
        }
        let containers = of_runtime.and_then(|one| one.get("containers")?.as_array());
        let mut containers = containers.cloned().unwrap_or_default();
        let position = containers.iter().position(|one| one["name"] == CONTAINER).unwrap_or(0);
        if containers.is_empty() {
            let format =
                model.pointer("/modelFormat/name").and_then(Value::as_str).unwrap_or("model");
            containers.push(json!({"name": CONTAINER, "image": format!("kserve/{format}server")}));
        }
        merge_model(&mut containers[position], &model);
        containers.swap(0, position);
        let others = spec.get("containers").and_then(Value::as_array).cloned().unwrap_or_default();
        containers.extend(others.into_iter().filter(|one| one["name"] != CONTAINER));
        spec.insert("containers".to_owned(), containers.into());
        add_storage_initializer(&mut spec, &model);
    }
    let containers = spec.get_mut("containers").and_then(Value::as_array_mut);
    let Some(containers) = containers.filter(|containers| !containers.is_empty()) else {
        return Err(Mistake {
            field: "spec.predictor",
            message: "Required value: a model or containers".to_owned(),
            help: "write `model: {modelFormat: {name: ...}, storageUri: ...}` or a container",
        });
    };
    for (index, container) in containers.iter_mut().enumerate().filter(|(_, one)| one.is_object()) {
        if container["name"].is_null() && index == 0 {
            container["name"] = CONTAINER.into();
        }
        if index == 0 {
            fill_amounts(container);
        }
    }
    Ok(Value::Object(spec))
}

/// Fills in missing amounts from `inferenceService.resource` of KServe's ConfigMap.
fn fill_amounts(container: &mut Value) {
    for (resource, amount) in [("cpu", "1"), ("memory", "2Gi")] {
        let limit = container.pointer(&format!("/resources/limits/{resource}")).cloned();
        let is_limited = limit.is_some();
        if container.pointer(&format!("/resources/requests/{resource}")).is_none() {
            let requests = object_at(object_at(container, "resources"), "requests");
            requests[resource] = limit.unwrap_or_else(|| amount.into());
        }
        let has_request = container.pointer(&format!("/resources/requests/{resource}"));
        if !is_limited && has_request.is_some_and(|request| request == amount) {
            let limits = object_at(object_at(container, "resources"), "limits");
            limits[resource] = amount.into();
        }
    }
}

/// The serving runtime that a model names, or the first that supports its format by auto-selection.
fn runtime_of<'a>(given: &'a ExpansionInput<'_>, model: &Value) -> Option<&'a Value> {
    let runtimes = || {
        given.others.iter().filter(|one| {
            matches!(&*one.kind, "ClusterServingRuntime")
                || &*one.kind == "ServingRuntime"
                    && one.reference.id.namespace == given.manifest.reference.id.namespace
        })
    };
    if let Some(name) = model.get("runtime").and_then(Value::as_str) {
        return runtimes().find(|one| &*one.reference.id.name == name).map(|one| &one.value);
    }
    let format = model.pointer("/modelFormat/name");
    let serves = |runtime: &Value| {
        let formats = runtime.pointer("/spec/supportedModelFormats").and_then(Value::as_array);
        formats
            .into_iter()
            .flatten()
            .any(|one| one.get("name") == format && one["autoSelect"] == true)
    };
    runtimes().map(|one| &one.value).find(|runtime| serves(runtime))
}

/// Overrides the runtime's container with the model's settings: resources, image, variables; arguments are appended.
fn merge_model(container: &mut Value, model: &Value) {
    let Some(container) = container.as_object_mut() else { return };
    for field in [
        "image",
        "resources",
        "command",
        "ports",
        "readinessProbe",
        "livenessProbe",
        "startupProbe",
        "volumeMounts",
    ] {
        if let Some(value) = model.get(field).filter(|value| !value.is_null()) {
            container.insert(field.to_owned(), value.clone());
        }
    }
    for field in ["args", "env", "envFrom"] {
        let own = model.get(field).and_then(Value::as_array);
        for value in own.into_iter().flatten() {
            let list = container.entry(field).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.retain(|other| field != "env" || other.get("name") != value.get("name"));
                list.push(value.clone());
            }
        }
    }
}

/// The init container that downloads the model, unless it is in a claim or an image (`InjectStorageInitializer`).
fn add_storage_initializer(spec: &mut Map<String, Value>, model: &Value) {
    let place = model.get("storageUri").and_then(Value::as_str);
    let place = place.or_else(|| model.pointer("/storage/path").and_then(Value::as_str));
    let Some(place) = place else { return };
    if place.starts_with("pvc://") {
        let claim = place.trim_start_matches("pvc://").split('/').next().unwrap_or_default();
        let volume =
            json!({"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim}});
        let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
        if let Some(volumes) = volumes.as_array_mut() {
            volumes.push(volume);
        }
        return;
    }
    if place.starts_with("oci://") {
        return;
    }
    let container = json!({
        "name": "storage-initializer",
        "image": "kserve/storage-initializer",
        "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    });
    let containers = spec.entry("initContainers").or_insert_with(|| json!([]));
    if let Some(containers) = containers.as_array_mut() {
        containers.push(container);
    }
}

fn bounds(written: &Value) -> (i64, i64) {
    let least = written.get("minReplicas").and_then(Value::as_i64).unwrap_or(1).max(1);
    (least, written.get("maxReplicas").and_then(Value::as_i64).unwrap_or(0).max(least))
}

fn hpa(given: &ExpansionInput<'_>, name: &str, written: &Value) -> Value {
    let (least, most) = bounds(written);
    let asked = written.pointer("/autoScaling/metrics").and_then(Value::as_array);
    let metrics: Vec<Value> = if let Some(asked) = asked {
        asked.iter().filter_map(resource_metric).collect()
    } else {
        let resource = written.get("scaleMetric").and_then(Value::as_str).unwrap_or("cpu");
        let target = written.get("scaleTarget").cloned().filter(|one| !one.is_null());
        // There is no default for memory.
        let default = (resource == "cpu").then(|| Value::from(CPU_UTILIZATION));
        let is_resource = ["cpu", "memory"].contains(&resource);
        let target = target.or(default).filter(|_| is_resource);
        target.iter().map(|percent| utilization(resource, percent)).collect()
    };
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
    let mut spec = json!({"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most});
    if !metrics.is_empty() {
        spec["metrics"] = metrics.into();
    }
    let metadata = given.metadata(name, &Map::new());
    let (api_version, kind) = ("autoscaling/v2", "HorizontalPodAutoscaler");
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
}

fn utilization(resource: &str, percent: &Value) -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": percent});
    json!({"type": "Resource", "resource": {"name": resource, "target": target}})
}

/// A resource metric of `autoScaling` (`getHPAMetrics`).
fn resource_metric(metric: &Value) -> Option<Value> {
    let name = metric.pointer("/resource/name")?.as_str()?;
    let target = |field: &str| metric.pointer(&format!("/resource/target/{field}"));
    match (name, target("averageUtilization"), target("averageValue")) {
        ("cpu", percent, _) => Some(utilization("cpu", percent.unwrap_or(&CPU_UTILIZATION.into()))),
        ("memory", Some(percent), _) => Some(utilization("memory", percent)),
        ("memory", None, Some(amount)) => {
            let target = json!({"type": "AverageValue", "averageValue": amount});
            Some(json!({"type": "Resource", "resource": {"name": "memory", "target": target}}))
        }
        _ => None,
    }
}

fn scaled_object(given: &ExpansionInput<'_>, name: &str, written: &Value) -> Value {
    let (least, most) = bounds(written);
    let least =
        if written.get("minReplicas").and_then(Value::as_i64) == Some(0) { 0 } else { least };
    let asked = written.pointer("/autoScaling/metrics").and_then(Value::as_array);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let triggers: Vec<Value> =
        asked.into_iter().flatten().filter_map(|metric| trigger(metric, &text)).collect();
    let spec = json!({
        "scaleTargetRef": {"name": name},
        "minReplicaCount": least,
        "maxReplicaCount": most,
        "triggers": triggers,
    });
    let metadata = given.metadata(name, &Map::new());
    json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec})
}

/// A metric of `autoScaling` as a KEDA trigger.
fn trigger(metric: &Value, text: &impl Fn(&Value) -> String) -> Option<Value> {
    let of = |pointer: &str| metric.pointer(pointer).map(text);
    if let Some(resource) = metric.get("resource") {
        let percent = of("/resource/target/averageUtilization");
        let metadata = json!({"value": percent.unwrap_or_else(|| CPU_UTILIZATION.to_string())});
        let name = resource.get("name")?;
        return Some(json!({"type": name, "metricType": "Utilization", "metadata": metadata}));
    }
    let threshold = of("/external/target/value").or_else(|| of("/external/target/averageValue"))?;
    let metadata = json!({
        "serverAddress": of("/external/metric/serverAddress")?,
        "query": of("/external/metric/query")?,
        "threshold": threshold,
    });
    Some(json!({"type": of("/external/metric/backend")?, "metadata": metadata}))
}

pub(super) fn make_llm(given: &ExpansionInput<'_>) -> Expansion {
    let mut made = Vec::new();
    for (pointer, part) in [("/spec", ""), ("/spec/prefill", "-prefill")] {
        let Some(template) = given.value(&format!("{pointer}/template")) else { continue };
        let name = format!("{}-kserve{part}", given.name());
        let own = labels([
            ("app.kubernetes.io/name", given.name()),
            ("app.kubernetes.io/part-of", "llminferenceservice"),
            ("kserve.io/component", if part.is_empty() { "workload" } else { "workload-prefill" }),
        ]);
        let pods = marked(&json!({ "spec": template }), &own, &Map::new());
        let replicas = given.int(&format!("{pointer}/replicas")).unwrap_or(1);
        let spec =
            json!({"replicas": replicas, "selector": {"matchLabels": own}, "template": pods});
        let metadata = given.metadata(&name, &own);
        made.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}));
        if part.is_empty() {
            let ports = json!([{"name": "https", "port": 8000}]);
            let service = format!("{}-kserve-workload-svc", given.name());
            made.push(given.service(&service, &Value::Object(own), &ports, false));
        }
    }
    if made.is_empty() {
        return Err(Mistake {
            field: "spec.template",
            message: "Required value: the pod that serves the model".to_owned(),
            help: "base configurations (`baseRefs`) in the cluster are unknown: write the pod's containers",
        });
    }
    Ok(made)
}
