//! Compares defaulting with objects from a real API server, which must also be read back unchanged.

use serde_json::{Value, json};

use crate::Severity;
use crate::load::{Object, load};
use crate::yaml::Source;
use cluster::AnySpec;
use cluster::job::JOB_LABELS;

const RECORDED: &str = include_str!("../../../tests/golden/kubectl-objects/recorded.jsonl");
const WRITTEN: &str = include_str!("../../../tests/golden/kubectl-objects/written.yaml");
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Fields of a pod spec set by admission plugins and the scheduler.
const ADDED_TO_PODS: [&str; 6] = [
    "nodeName",
    "priority",
    "preemptionPolicy",
    "serviceAccount",
    "serviceAccountName",
    "tolerations",
];
/// The service account token volume and its mounts (admission plugin `ServiceAccount`).
const TOKEN_VOLUME: &str = "kube-api-access-";
/// Fields allocated by the API server for a Service.
const ADDED_TO_SERVICES: [&str; 4] = ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"];
/// Fields that manifests often omit, and whose defaults every recorded object has.
const DEFAULTED: &str = "allocateLoadBalancerNodePorts backoffLimit completionMode defaultMode dnsPolicy \
    enableServiceLinks failureThreshold finalizers imagePullPolicy internalTrafficPolicy \
    kubernetes.io/metadata.name manualSelector parallelism podReplacementPolicy \
    preemptionPolicy progressDeadlineSeconds protocol revisionHistoryLimit schedulerName \
    scheme securityContext sessionAffinity strategy successThreshold suspend \
    terminationGracePeriodSeconds terminationMessagePath terminationMessagePolicy \
    timeoutSeconds";

struct Row {
    from: String,
    text: String,
}

fn recorded() -> Vec<Row> {
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| row[field].as_str().unwrap().to_owned();
        Row { from: text("from"), text: text("text") }
    };
    RECORDED.lines().map(row).collect()
}

/// The objects of a text, which must be free of problems.
fn read(name: &str, text: &str) -> Vec<Object> {
    let loaded = load(&[Source::new(name, text)]);
    let errors = loaded.diagnostics.iter().filter(|one| one.severity == Severity::Error);
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    assert_eq!(errors, [""; 0], "{name}");
    loaded.objects
}

/// All fields of an object except `metadata` and `status`.
fn fields(object: &Value) -> Value {
    let mut fields = object.clone();
    for field in ["metadata", "status"] {
        fields.as_object_mut().unwrap().remove(field);
    }
    fields
}

fn remove(object: &mut Value, pointer: &str, names: &[&str]) {
    if let Some(Value::Object(fields)) = object.pointer_mut(pointer) {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// Removes fields that only the server adds.
fn without_added(mut object: Value) -> Value {
    match object["kind"].as_str().unwrap() {
        "Pod" => {
            remove(&mut object, "/spec", &ADDED_TO_PODS);
            without_token_volume(&mut object["spec"]);
        }
        "Service" => remove(&mut object, "/spec", &ADDED_TO_SERVICES),
        "Job" => {
            remove(&mut object, "/spec", &["selector"]);
            remove(&mut object, "/spec/template/metadata/labels", &JOB_LABELS);
        }
        _ => {}
    }
    object
}

/// Removes the token volume and its mounts, and lists that become empty.
fn without_token_volume(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["volumes", "volumeMounts"] {
                let Some(Value::Array(items)) = fields.get_mut(name) else { continue };
                items.retain(|item| !item["name"].as_str().unwrap().starts_with(TOKEN_VOLUME));
                if items.is_empty() {
                    fields.remove(name);
                }
            }
            fields.values_mut().for_each(without_token_volume);
        }
        Value::Array(items) => items.iter_mut().for_each(without_token_volume),
        _ => {}
    }
}

/// The simulated parts of an object, without those that only the server adds.
fn lean(object: &Object) -> String {
    let mut spec = object.spec.clone();
    if let AnySpec::Pod(template) = &mut spec {
        let annotations = template.annotations.iter().filter(|(key, _)| &***key != LAST_APPLIED);
        template.annotations =
            annotations.map(|(key, value)| (key.clone(), value.clone())).collect();
        template.spec.node_name = None;
        template.spec.service_account_name = "".into();
    }
    format!("{spec:?}")
}

#[test]
fn what_the_api_server_prints_is_read_and_comes_back_as_it_is() {
    let mut count = 0;
    for row in recorded() {
        for object in read(&row.from, &row.text) {
            if !row.from.contains("dry-run") {
                let printed = fields(&object.manifest.value);
                assert_eq!(
                    fields(object.document()),
                    printed,
                    "{}: {}",
                    row.from,
                    object.manifest.label()
                );
                count += 1;
            }
            assert_eq!(object.document()["metadata"]["name"], *object.meta.name().to_string());
        }
    }
    assert!(count >= 40, "{count} objects");
}

#[test]
fn what_was_written_is_completed_as_the_api_server_completed_it() {
    let others = read("written.yaml", WRITTEN);
    let mut count = 0;
    for row in recorded().iter().filter(|row| !row.from.contains("dry-run")) {
        for stored in read(&row.from, &row.text) {
            let written = if let Some(text) = stored.meta.annotations.get(LAST_APPLIED) {
                read("last applied", text).remove(0)
            } else {
                let is_same = |one: &&Object| one.manifest.reference == stored.manifest.reference;
                let Some(other) = others.iter().find(is_same) else { continue };
                other.clone()
            };
            let printed = without_added(fields(&stored.manifest.value));
            assert_eq!(without_added(fields(written.document())), printed, "{}", row.from);
            assert_eq!(lean(&written), lean(&stored), "{}", row.from);
            count += 1;
        }
    }
    assert_eq!(count, 8);
}

#[test]
fn what_is_taken_out_of_a_stored_object_is_filled_in_again() {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !DEFAULTED.split(' ').any(|one| one == name));
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    for row in recorded().iter().filter(|row| !row.from.contains("dry-run")) {
        for stored in read(&row.from, &row.text) {
            let mut written = without_added(stored.manifest.value.clone());
            strip(&mut written);
            let text = written.to_string();
            let [again] = &read(&row.from, &text)[..] else { panic!("one object") };
            let printed = without_added(fields(&stored.manifest.value));
            assert_eq!(without_added(fields(again.document())), printed, "{}: {text}", row.from);
            assert_eq!(lean(again), lean(&stored), "{}", row.from);
        }
    }
}

fn document(text: &str) -> Value {
    let [object] = &read("test.yaml", text)[..] else { panic!("one object") };
    object.document().clone()
}

#[test]
fn requests_follow_from_limits_in_pods_and_not_in_templates() {
    let spec = "{hostNetwork: true, containers: [{name: a, image: a, ports: [{containerPort: 80}], resources: {limits: {cpu: '0.5'}}}]}";
    let pod =
        document(&format!("{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {spec}}}"));
    let of_pod = &pod["spec"]["containers"][0];
    assert_eq!(
        of_pod["resources"],
        json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}})
    );
    assert_eq!(of_pod["ports"][0]["hostPort"], 80);
    assert_eq!(pod["spec"]["enableServiceLinks"], true);
    let job = document(&format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: a}}, spec: {{template: {{metadata: {{labels: {{a: b}}}},
           spec: {{restartPolicy: Never, {}}}}}}}}}",
        &spec[1..spec.len() - 1]
    ));
    let template = &job["spec"]["template"]["spec"];
    assert_eq!(template["containers"][0]["resources"], json!({"limits": {"cpu": "500m"}}));
    assert_eq!(
        template["containers"][0]["ports"],
        json!([{"containerPort": 80, "protocol": "TCP"}])
    );
    assert_eq!(template.get("enableServiceLinks"), None);
    assert_eq!(job["metadata"]["labels"], json!({"a": "b"}), "a Job has the labels of its pods");
    assert_eq!((&job["spec"]["completions"], &job["spec"]["parallelism"]), (&json!(1), &json!(1)));
}

#[test]
fn the_job_of_a_cron_job_is_completed_when_it_is_made() {
    let cron = document(
        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: a}, spec: {schedule: '@daily', jobTemplate: {spec:
          {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}}}",
    );
    let job = &cron["spec"]["jobTemplate"]["spec"];
    assert_eq!(job.as_object().unwrap().keys().collect::<Vec<_>>(), ["template"]);
    assert_eq!(job["template"]["spec"]["dnsPolicy"], "ClusterFirst");
    assert_eq!(cron["spec"]["failedJobsHistoryLimit"], 1);
}

#[test]
fn volumes_and_claims_are_completed_and_what_is_not_simulated_comes_back() {
    let set = document(
        "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a}, spec: {serviceName: a, selector: {matchLabels: {a: b}},
          volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}}],
          template: {metadata: {labels: {a: b}}, spec: {dnsConfig: {nameservers: [1.1.1.1]}, containers: [{name: a, image: 'a:1',
            env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]}],
            volumes: [{name: tmp}, {name: conf, configMap: {name: a}}, {name: host, hostPath: {path: /tmp}}]}}}}",
    );
    let spec = &set["spec"];
    assert_eq!(
        spec["volumeClaimTemplates"],
        json!([{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem"},
            "status": {"phase": "Pending"}}])
    );
    let pod = &spec["template"]["spec"];
    assert_eq!(
        pod["volumes"],
        json!([{"name": "tmp", "emptyDir": {}}, {"name": "conf", "configMap": {"name": "a", "defaultMode": 420}},
            {"name": "host", "hostPath": {"path": "/tmp", "type": ""}}])
    );
    assert_eq!(pod["dnsConfig"], json!({"nameservers": ["1.1.1.1"]}));
    let env = &pod["containers"][0]["env"][0]["valueFrom"];
    assert_eq!(env["resourceFieldRef"], json!({"resource": "limits.cpu", "divisor": "0"}));
    assert_eq!(
        spec["updateStrategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    );
    let retain = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    assert_eq!(spec["persistentVolumeClaimRetentionPolicy"], retain);
}

#[test]
fn an_hpa_of_an_old_version_is_printed_in_the_current_one() {
    let hpa = document(
        "{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: a, creationTimestamp: null, annotations: {a: b,
            autoscaling.alpha.kubernetes.io/behavior: '{\"ScaleDown\":{\"SelectPolicy\":\"Min\"}}'}},
          spec: {maxReplicas: 3, targetCPUUtilizationPercentage: 60, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}}",
    );
    assert_eq!(hpa["apiVersion"], "autoscaling/v2");
    assert_eq!(
        hpa["metadata"],
        json!({"name": "a", "annotations": {"a": "b"}, "namespace": "default"})
    );
    assert_eq!(hpa["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 60);
    assert_eq!(hpa["spec"]["behavior"]["scaleDown"]["policies"][0]["value"], 100);
    assert_eq!(hpa["spec"].get("targetCPUUtilizationPercentage"), None);
}

#[test]
fn services_limits_and_namespaces_are_completed() {
    let service = document(
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, sessionAffinity: ClientIP, ports: [{port: 80}]}}",
    );
    assert_eq!(
        service["spec"],
        json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP", "allocateLoadBalancerNodePorts": true,
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}, "externalTrafficPolicy": "Cluster",
            "internalTrafficPolicy": "Cluster", "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]})
    );
    let range = document(
        "{apiVersion: v1, kind: LimitRange, metadata: {name: a}, spec: {limits: [{type: Container, max: {cpu: 1}, min: {memory: 1Mi}}]}}",
    );
    assert_eq!(
        range["spec"]["limits"][0],
        json!({"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1Mi"}, "default": {"cpu": "1"},
            "defaultRequest": {"cpu": "1", "memory": "1Mi"}})
    );
    let namespace = document("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}");
    assert_eq!(namespace["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "shop"}));
    assert_eq!(namespace["spec"], json!({"finalizers": ["kubernetes"]}));
    let secret =
        document("{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {b: c}}");
    assert_eq!(
        fields(&secret),
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"b": "Yw=="}, "type": "Opaque"})
    );
}
