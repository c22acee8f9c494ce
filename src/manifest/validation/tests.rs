//! A table of small manifests, most of which violate one rule: the error names the same field as the API server's, and
//! their valid variants pass.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Diagnostic, Severity, Source, load};

const TABLES: [(&str, &str); 8] = [
    ("pods", include_str!("cases/pods.txt")),
    ("placement", include_str!("cases/placement.txt")),
    ("workloads", include_str!("cases/workloads.txt")),
    ("services", include_str!("cases/services.txt")),
    ("storage", include_str!("cases/storage.txt")),
    ("policies", include_str!("cases/policies.txt")),
    ("rights", include_str!("cases/rights.txt")),
    ("custom", include_str!("cases/custom.txt")),
];

/// A valid object of each kind, from which cases differ.
#[expect(clippy::too_many_lines, reason = "a table, three lines for each kind")]
fn base(name: &str) -> &'static str {
    match name {
        "pod" => {
            r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}"#
        }
        "deploy" => {
            r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}}}"#
        }
        "rs" => {
            r#"{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}}}"#
        }
        "sts" => {
            r#"{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {"serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "postgres"}]}}}}"#
        }
        "ds" => {
            r#"{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "log"}, "spec": {"selector": {"matchLabels": {"app": "log"}}, "template": {"metadata": {"labels": {"app": "log"}}, "spec": {"containers": [{"name": "log", "image": "fluentd"}]}}}}"#
        }
        "job" => {
            r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "load"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "load", "image": "k6"}]}}}}"#
        }
        "cron" => {
            r#"{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "load"}, "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "load", "image": "k6"}]}}}}}}"#
        }
        "svc" => {
            r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}"#
        }
        "ing" => {
            r#"{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "front"}, "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}"#
        }
        "ingclass" => {
            r#"{"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}"#
        }
        "route" => {
            r#"{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "front"}, "spec": {"parentRefs": [{"name": "gate"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}}"#
        }
        "netpol" => {
            r#"{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"}, "spec": {"podSelector": {}}}"#
        }
        "pvc" => {
            r#"{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}"#
        }
        "pv" => {
            r#"{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"}, "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data"}}}"#
        }
        "sc" => {
            r#"{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"}, "provisioner": "ebs.csi.aws.com"}"#
        }
        "cm" => r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}"#,
        "secret" => r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}}"#,
        "pdb" => {
            r#"{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}"#
        }
        "hpa" => {
            r#"{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": {"maxReplicas": 10, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}"#
        }
        "limits" => {
            r#"{"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"}, "spec": {"limits": [{"type": "Container"}]}}"#
        }
        "quota" => {
            r#"{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {}}"#
        }
        "pc" => {
            r#"{"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000}"#
        }
        "node" => r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}, "spec": {}}"#,
        "ns" => r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}}"#,
        "sa" => r#"{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}"#,
        "so" => {
            r#"{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "web"}, "spec": {"scaleTargetRef": {"name": "web"}, "triggers": [{"type": "cron", "metadata": {"timezone": "UTC", "start": "0 8 * * *", "end": "0 18 * * *", "desiredReplicas": "3"}}]}}"#
        }
        "vpa" => {
            r#"{"apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler", "metadata": {"name": "web"}, "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}}"#
        }
        "role" => {
            r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}"#
        }
        "crole" => {
            r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}"#
        }
        "rb" => {
            r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "readers"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}, "subjects": [{"kind": "User", "name": "jane"}]}"#
        }
        "crb" => {
            r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "readers"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"}, "subjects": [{"kind": "User", "name": "jane"}]}"#
        }
        "sj" => {
            r#"{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "metadata": {"name": "mail"}, "spec": {"jobTargetRef": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "mail", "image": "mail"}]}}}, "triggers": [{"type": "rabbitmq", "metadata": {"queueName": "mail", "value": "1"}}]}}"#
        }
        "cq" => {
            r#"{"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "ClusterQueue", "metadata": {"name": "batch"}, "spec": {"namespaceSelector": {}, "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [{"name": "default", "resources": [{"name": "cpu", "nominalQuota": 9}]}]}]}}"#
        }
        "lq" => {
            r#"{"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "LocalQueue", "metadata": {"name": "batch"}, "spec": {"clusterQueue": "batch"}}"#
        }
        "flavor" => {
            r#"{"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "ResourceFlavor", "metadata": {"name": "default"}, "spec": {}}"#
        }
        "jobset" => {
            r#"{"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "train"}, "spec": {"replicatedJobs": [{"name": "worker", "replicas": 2, "template": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "train", "image": "train"}]}}}}}]}}"#
        }
        "lws" => {
            r#"{"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": {"name": "llm"}, "spec": {"replicas": 1, "leaderWorkerTemplate": {"size": 2, "workerTemplate": {"spec": {"containers": [{"name": "llm", "image": "vllm"}]}}}}}"#
        }
        other => panic!("no object is called {other}"),
    }
}

/// Sets the value at a path such as `spec.rules[0].host`; `None` removes it.
fn set(object: &mut Value, path: &str, value: Option<Value>) {
    let mut steps: Vec<String> = Vec::new();
    for part in path.split('.') {
        let mut pieces = part.split('[');
        steps.extend(pieces.next().map(str::to_owned));
        steps.extend(pieces.map(|index| index.trim_end_matches(']').to_owned()));
    }
    let last = steps.pop().expect("a path has a step");
    let mut at = object;
    for step in &steps {
        at = match at {
            Value::Array(items) => &mut items[step.parse::<usize>().expect("an index")],
            other => &mut other[step.as_str()],
        };
    }
    match (at, value) {
        (Value::Array(items), Some(value)) => {
            let index: usize = last.parse().expect("an index");
            if index == items.len() {
                items.push(value);
            } else {
                items[index] = value;
            }
        }
        (other, Some(value)) => other[last.as_str()] = value,
        (other, None) => {
            let fields = other.as_object_mut().expect("a map");
            fields.remove(&last).expect("what is taken out is there");
        }
    }
}

/// `c.` stands for a pod's first container.
fn whole(path: &str) -> String {
    path.strip_prefix("c.").map_or(path.to_owned(), |rest| format!("spec.containers[0].{rest}"))
}

struct Case<'a> {
    line: &'a str,
    object: Value,
    fields: BTreeSet<String>,
    message: &'a str,
}

fn case(line: &str) -> Case<'_> {
    let mut parts = line.splitn(3, " | ");
    let (kind, changes) = (parts.next().unwrap(), parts.next().expect("changes"));
    let expected = parts.next().expect("what is expected");
    let mut object: Value = serde_json::from_str(base(kind)).unwrap();
    for change in changes.split(" ; ") {
        let (path, value) = change.split_once(" = ").expect("a path and a value");
        let value = match value.trim() {
            "-" => None,
            text => Some(serde_json::from_str(text).unwrap_or_else(|why| panic!("{line}: {why}"))),
        };
        set(&mut object, &whole(path.trim()), value);
    }
    let words = ["Invalid", "Required", "Forbidden", "Unsupported", "Duplicate", "Not found"];
    let begin = words.iter().filter_map(|word| expected.find(&format!(": {word}"))).min();
    let (fields, message) = match begin {
        Some(at) => (&expected[..at], &expected[at + 2..]),
        None => (expected, ""),
    };
    // A comma may stand inside braces.
    let fields = fields.replace(", whenUnsatisfiable", ",whenUnsatisfiable");
    let fields = fields.split(", ").filter(|field| *field != "ok");
    let fields = fields.map(|field| whole(&field.replace(",when", ", when"))).collect();
    Case { line, object, fields, message }
}

/// The place of an error, without the label's key, which is not a field of its own.
fn place(error: &Diagnostic, expected: &BTreeSet<String>) -> String {
    let field = error.field.as_str();
    let around = field.rsplit_once('[').map_or(field, |(around, _)| around);
    if expected.contains(field) || !expected.contains(around) { field } else { around }.to_owned()
}

#[test]
fn what_the_api_server_refuses_is_refused_with_the_field_that_it_names() {
    let (mut wrong, mut refused, mut taken) = (Vec::new(), 0, 0);
    for (table, text) in TABLES {
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let case = case(line);
            let text = case.object.to_string();
            let said = load(&[Source::new("case.yaml", &text)]).diagnostics;
            let is_error = |one: &&Diagnostic| one.severity == Severity::Error;
            // References to other objects are not part of this test.
            let errors: Vec<&Diagnostic> = said
                .iter()
                .filter(is_error)
                .filter(|one| one.code != "missing-reference")
                .collect();
            let fields: BTreeSet<String> =
                errors.iter().map(|one| place(one, &case.fields)).collect();
            let has_message = case.message.is_empty()
                || errors.iter().any(|one| one.message.starts_with(case.message));
            if fields != case.fields || !has_message {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                wrong.push(format!("{table}: {}\n    {}", case.line, errors.join("\n    ")));
            }
            if case.fields.is_empty() {
                taken += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), refused + taken, wrong.join("\n"));
    assert!(refused >= 700 && taken >= 180, "{refused} and {taken}");
}
