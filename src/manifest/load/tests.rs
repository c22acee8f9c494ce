//! Loading as a whole: objects and diagnostics, and that no input makes it panic.

use super::*;
use crate::Severity;
use cluster::{Action, AnySpec};
use proptest::prelude::*;

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: 'web:1', ports: [{name: http, containerPort: 8080}]}
";

fn loaded(text: &str) -> Loaded {
    load(&[Source::new("test.yaml", text)])
}

/// All that is said about a text, notes apart.
fn said(text: &str) -> String {
    let loaded = loaded(text);
    let worse = loaded.diagnostics.iter().filter(|one| one.severity != Severity::Note);
    worse.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_stored_is_not_admitted_again_and_may_break_rules_for_writes() {
    let pod = |name: &str, cpu: &str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"priority": 7, "containers": [{"name": "a", "resources": {"requests": {"cpu": cpu}}}]},
        })
    };
    let read = |value| {
        let mut diagnostics = Diagnostics::default();
        let loaded = stored(crate::read_value(value, "recording", &mut diagnostics));
        assert!(diagnostics.is_empty());
        (loaded.objects, loaded.diagnostics.iter().map(ToString::to_string).collect::<String>())
    };
    let (objects, said) = read(pod("Odd", "1"));
    let spec = &objects[0].spec.pod_template().expect("a pod").spec;
    assert_eq!((spec.priority, spec.tolerations.len()), (Some(7), 0));
    assert_eq!(said.matches("warning: recording: Pod default/Odd: ").count(), 2, "{said}");
    let (objects, said) = read(pod("even", "much"));
    assert!(objects.is_empty() && said.contains("error: "), "{said}");
}

#[test]
fn a_deployment_arrives_defaulted_and_admitted() {
    let loaded = loaded(WEB);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
    let [Object { meta, spec: AnySpec::Deployment(spec), .. }] = &loaded.objects[..] else {
        panic!("one Deployment");
    };
    assert_eq!(meta.id.to_string(), "shop/web");
    assert_eq!((spec.replicas, spec.template.spec.priority), (1, Some(0)));
    assert_eq!(spec.template.spec.tolerations.len(), 2);
    let action = loaded.objects[0].clone().into_action();
    assert_eq!(action.verb(), "Apply");
}

#[test]
fn every_simulated_kind_becomes_an_action() {
    let text = format!(
        "{WEB}---
{{apiVersion: v1, kind: Pod, metadata: {{generateName: a-, labels: {{tier: web}}}}, spec: {{containers: [{{name: a, image: a}}]}}}}
---
{{apiVersion: apps/v1, kind: ReplicaSet, metadata: {{name: a}}, spec: {{selector: {{matchLabels: {{tier: web}}}},
  template: {{metadata: {{labels: {{tier: web}}}}, spec: {{containers: [{{name: a, image: a}}]}}}}}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: a}}, spec: {{selector: {{tier: web}}, ports: [{{port: 80}}]}}}}
---
{{apiVersion: v1, kind: Node, metadata: {{name: a}}, status: {{capacity: {{cpu: 4}}}}}}
---
{{apiVersion: v1, kind: Namespace, metadata: {{name: shop}}}}
---
{{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {{name: high}}, value: 10}}
---
{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: a}}, spec: {{hard: {{pods: 4}}}}}}
---
{{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {{name: a}}, spec: {{minAvailable: 1, selector: {{matchLabels: {{tier: web}}}}}}}}
---
{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}, data: {{key: value}}}}
---
{{apiVersion: v1, kind: Secret, metadata: {{name: a}}, stringData: {{key: value}}, data: {{other: YQ==}}}}
---
{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: a}}, spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}}}
"
    );
    let loaded = loaded(&text);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
    let actions = loaded.objects.into_iter().map(Object::into_action);
    let kinds = actions.map(|action| match action {
        Action::Apply(_, spec) => spec.kind().name(),
        other => other.verb(),
    });
    let kinds: Vec<&str> = kinds.collect();
    assert_eq!(
        kinds,
        [
            "Deployment",
            "CreatePod",
            "ReplicaSet",
            "Service",
            "Node",
            "Namespace",
            "PriorityClass",
            "ResourceQuota",
            "PodDisruptionBudget",
            "ConfigMap",
            "Secret",
            "PersistentVolumeClaim",
        ]
    );
}

#[test]
fn all_problems_of_a_file_are_told_at_once_with_their_lines() {
    insta::assert_snapshot!(said(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: Web
spec:
  replicas: -1
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: wbe}
    spec:
      containers:
      - name: web
        image: web:1
        resources:
          requests: {cpu: 2}
          limits: {cpu: 1}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec:
  selector: {app: webb}
  ports: [{port: 80}]
---
apiVersion: v1
kind: Pod
metadata: {name: misspelt}
spec:
  container: []
  restartPolicy: [Never]
---
apiVersion: v1
kind: Pod
metadata: {name: amounts}
spec:
  containers:
  - name: a
    image: a
    resources: {requests: {memory: 1.5.2Gi}}
---
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: old}
---
a: [broken
"
    ));
}

#[test]
fn references_that_lead_nowhere_are_told() {
    insta::assert_snapshot!(said(&format!(
        "{WEB}      - name: side
        image: side:1
        envFrom: [{{configMapRef: {{name: settings}}}}]
        env:
        - {{name: A, valueFrom: {{secretKeyRef: {{name: keys, key: a}}}}}}
        - {{name: B, valueFrom: {{secretKeyRef: {{name: keys, key: missing}}}}}}
        - {{name: C, valueFrom: {{configMapKeyRef: {{name: free, key: x, optional: true}}}}}}
      serviceAccountName: robot
      priorityClassName: high
---
{{apiVersion: v1, kind: Secret, metadata: {{name: keys, namespace: shop}}, stringData: {{a: b}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: a, namespace: shop}}, spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: htp}}]}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: b}}, spec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: c, namespace: shop}}, spec: {{selector: {{other: label}}, ports: [{{port: 80}}]}}}}
---
{{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {{name: d, namespace: shop}}, spec: {{minAvailable: 1, selector: {{matchLabels: {{app: we}}}}}}}}
"
    )));
}

#[test]
fn what_plays_no_part_is_said_once_for_each_kind_and_field() {
    let job = |name: &str| {
        format!(
            "---\n{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{template: {{spec: \
             {{restartPolicy: Never, containers: [{{name: a, image: a, tty: true}}]}}}}}}}}\n"
        )
    };
    let pod = |name: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: a, \
             image: a, securityContext: {{privileged: true}}}}], dnsPolicy: Default}}}}\n"
        )
    };
    let ingress = "---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: \
                   {defaultBackend: {service: {name: a, port: {number: 80}}}}}\n";
    let text = [job("one"), job("two"), pod("three"), pod("four"), ingress.to_owned()].concat();
    insta::assert_snapshot!(loaded(&text).diagnostics);
}

#[test]
fn what_kubectl_prints_is_read() {
    let text = r#"{"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [{
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "uid": "1", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
                     "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:metadata": {}}}]},
        "spec": {"containers": [{"name": "a", "image": "a", "resources": {}}], "nodeName": "n"},
        "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}}]}"#;
    let loaded = loaded(text);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
    assert_eq!(loaded.objects.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Goal: no manifest makes the loader panic. Method: a valid one with any value put anywhere.
    #[test]
    fn no_value_at_any_place_makes_the_loader_panic(
        line in 0usize..11,
        junk in r#"(null|-1|"x"|\[\]|\[null\]|\{\}|\{a: b\}|1e9|true|99999999999999999999|'\{\{ x \}\}'|!!str 1|\*a|&a)"#,
    ) {
        let lines: Vec<&str> = WEB.lines().collect();
        let broken: Vec<String> = lines.iter().enumerate().map(|(index, text)| {
            match text.split_once(": ") {
                Some((key, _)) if index == line => format!("{key}: {junk}"),
                _ => (*text).to_owned(),
            }
        }).collect();
        loaded(&broken.join("\n"));
    }
}

#[test]
fn a_queue_of_kueue_that_is_missing_is_told_of_everything_that_waits_in_queues() {
    let pods = "{containers: [{name: a, image: a}]}";
    let template = format!("{{metadata: {{labels: {{a: b}}}}, spec: {pods}}}");
    let owner = format!("{{selector: {{matchLabels: {{a: b}}}}, template: {template}}}");
    let job = "{template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}";
    let said = |of: (&str, &str, &str), queue: &str| {
        let (version, kind, spec) = of;
        let labels = "{kueue.x-k8s.io/queue-name: user}";
        let text = format!(
            "{{apiVersion: {version}, kind: {kind}, metadata: {{name: web, labels: {labels}}}, spec: {spec}}}\n{queue}"
        );
        load(&[Source::new("queue.yaml", &text)]).diagnostics.to_string()
    };
    let cluster_queue = "---\n{apiVersion: kueue.x-k8s.io/v1beta1, kind: ClusterQueue, metadata: {name: q}, spec: \
                         {namespaceSelector: {}}}\n";
    let local_queue = "---\n{apiVersion: kueue.x-k8s.io/v1beta1, kind: LocalQueue, metadata: {name: user, namespace: \
                       default}, spec: {clusterQueue: q}}\n";
    for of in [
        ("batch/v1", "Job", job),
        ("apps/v1", "Deployment", &*owner),
        ("apps/v1", "StatefulSet", &*owner),
        ("v1", "Pod", pods),
    ] {
        let missing = said(of, cluster_queue);
        let expected = "no LocalQueue user in the namespace default: its pods wait forever";
        assert!(missing.contains(expected) && !missing.contains("start at once"), "{missing}");
        let both = said(of, &format!("{cluster_queue}{local_queue}"));
        assert!(!both.contains("LocalQueue") && !both.contains("start at once"), "{both}");
        let without = said(of, "");
        assert!(without.contains("it starts without waiting in a queue"), "{without}");
    }
    let set = said(("apps/v1", "DaemonSet", &*owner), cluster_queue);
    assert!(set.contains("its pods start at once"), "{set}");
}
