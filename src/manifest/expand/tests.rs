//! Conversion of an object of each kind.

use serde_json::Value;

use crate::{Diagnostics, Manifest, Source, load, read_manifests};

fn made(text: &str) -> (Vec<Manifest>, String) {
    let mut problems = Diagnostics::default();
    let manifests = read_manifests(&[Source::new("a.yaml", text)], &mut problems);
    (manifests, problems.to_string())
}

fn labels(manifests: &[Manifest]) -> Vec<String> {
    manifests.iter().map(Manifest::label).collect()
}

fn at<'a>(manifests: &'a [Manifest], label: &str, pointer: &str) -> &'a Value {
    let found = manifests.iter().find(|one| one.label() == label);
    found.and_then(|one| one.value.pointer(pointer)).unwrap_or(&Value::Null)
}

fn assert_valid(text: &str) {
    let loaded = load(&[Source::new("a.yaml", text)]);
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics);
}

const JOB_SET: &str = "
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: train, namespace: ml}
spec:
  startupPolicy: {startupPolicyOrder: InOrder}
  replicatedJobs:
  - name: driver
    template: {spec: {template: {spec: {containers: [{name: a, image: a}]}}}}
  - name: workers
    replicas: 2
    template:
      metadata: {annotations: {alpha.jobset.sigs.k8s.io/exclusive-topology: rack}}
      spec: {parallelism: 3, completions: 3, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}
";

#[test]
fn a_job_set_makes_indexed_jobs_and_a_headless_service() {
    let (manifests, said) = made(JOB_SET);
    assert_eq!(
        labels(&manifests),
        [
            "Service ml/train",
            "Job ml/train-driver-0",
            "Job ml/train-workers-0",
            "Job ml/train-workers-1"
        ]
    );
    assert!(said.starts_with("warning: a.yaml:2: simplified: 1 object of kind JobSet"), "{said}");
    let of = |pointer| at(&manifests, "Job ml/train-workers-1", pointer);
    assert_eq!(of("/spec/completionMode"), "Indexed");
    assert_eq!(of("/spec/template/spec/subdomain"), "train");
    assert_eq!(of("/spec/template/metadata/labels/jobset.sigs.k8s.io~1job-global-index"), "2");
    let term = "/spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0";
    assert_eq!(of(&format!("{term}/topologyKey")), "rack");
    assert_eq!(
        at(&manifests, "Job ml/train-driver-0", "/spec/template/spec/restartPolicy"),
        "OnFailure"
    );
    assert_valid(JOB_SET);
}

#[test]
fn later_jobs_of_a_set_in_order_wait_for_all_earlier_ones() {
    let (manifests, _) = made(JOB_SET);
    assert_eq!(at(&manifests, "Job ml/train-driver-0", "/spec/suspend"), false);
    let of = |pointer| at(&manifests, "Job ml/train-workers-0", pointer);
    assert_eq!(of("/spec/suspend"), true);
    assert_eq!(
        of("/metadata/annotations/wavetank.dev~1starts-after"),
        "Job/ml/train-driver-0=Ready"
    );
    let ends =
        JOB_SET.replace("startupPolicy: {startupPolicyOrder: InOrder}", "suspend: false").replace(
            "    replicas: 2\n",
            "    replicas: 2\n    dependsOn: [{name: driver, status: Complete}]\n",
        );
    let (manifests, _) = made(&ends);
    let after = at(
        &manifests,
        "Job ml/train-workers-0",
        "/metadata/annotations/wavetank.dev~1starts-after",
    );
    assert_eq!(after, "Job/ml/train-driver-0=Complete");
}

#[test]
fn a_leader_worker_set_makes_a_set_of_leaders_and_one_of_workers_for_each() {
    let text = "
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: vllm, annotations: {leaderworkerset.sigs.k8s.io/exclusive-topology: rack}}
spec:
  replicas: 2
  startupPolicy: LeaderReady
  leaderWorkerTemplate:
    size: 4
    workerTemplate: {spec: {containers: [{name: a, image: a}]}}
";
    let (manifests, _) = made(text);
    let expected = [
        "Service default/vllm",
        "StatefulSet default/vllm",
        "StatefulSet default/vllm-0",
        "StatefulSet default/vllm-1",
    ];
    assert_eq!(labels(&manifests), expected);
    assert_eq!(at(&manifests, expected[1], "/spec/replicas"), 2);
    let of = |pointer| at(&manifests, expected[3], pointer);
    assert_eq!((of("/spec/replicas"), of("/spec/ordinals/start")), (&0.into(), &1.into()));
    assert_eq!(of("/metadata/annotations/wavetank.dev~1starts-with"), "3");
    assert_eq!(of("/metadata/annotations/wavetank.dev~1starts-after"), "Pod/default/vllm-1=Ready");
    assert_valid(text);
    let (manifests, _) = made(&text.replace("  startupPolicy: LeaderReady\n", ""));
    assert_eq!(at(&manifests, expected[2], "/spec/replicas"), 3);
}

const RAY: &str = "
apiVersion: ray.io/v1
kind: RayService
metadata: {name: llm}
spec:
  rayClusterConfig:
    enableInTreeAutoscaling: true
    headGroupSpec: {template: {spec: {containers: [{name: head, image: ray:1}]}}}
    workerGroupSpecs:
    - groupName: gpu
      replicas: 2
      numOfHosts: 2
      minReplicas: 1
      maxReplicas: 5
      template: {spec: {containers: [{name: worker, image: ray:1}]}}
";

#[test]
fn a_ray_service_has_a_head_workers_and_a_service_of_those_that_serve() {
    let (manifests, _) = made(RAY);
    let expected = [
        "ReplicaSet default/llm-raycluster-head",
        "ReplicaSet default/llm-raycluster-gpu-worker",
        "Service default/llm-head-svc",
        "Service default/llm-serve-svc",
    ];
    assert_eq!(labels(&manifests), expected);
    assert_eq!(at(&manifests, expected[1], "/spec/replicas"), 4, "groups times hosts");
    let worker = |pointer| at(&manifests, expected[1], pointer);
    assert_eq!(worker("/spec/template/spec/initContainers/0/resources/requests/memory"), "256Mi");
    assert_eq!(worker("/spec/template/spec/containers/0/readinessProbe/failureThreshold"), 1);
    assert_eq!(at(&manifests, expected[0], "/spec/template/spec/containers/1/name"), "autoscaler");
    assert_eq!(
        at(&manifests, expected[0], "/spec/template/metadata/labels/ray.io~1serve"),
        "false"
    );
    assert_valid(RAY);
    let (alone, _) = made(
        &RAY.replace("replicas: 2", "replicas: 0").replace("minReplicas: 1", "minReplicas: 0"),
    );
    assert_eq!(at(&alone, expected[0], "/spec/template/metadata/labels/ray.io~1serve"), "true");
}

#[test]
fn a_ray_job_has_its_cluster_and_a_job_that_submits() {
    let text = RAY
        .replace("kind: RayService", "kind: RayJob")
        .replace("rayClusterConfig", "rayClusterSpec");
    let (manifests, _) = made(&text);
    assert_eq!(manifests.len(), 4);
    assert_eq!(at(&manifests, "Job default/llm", "/spec/backoffLimit"), 2);
    assert_eq!(
        at(&manifests, "Job default/llm", "/spec/template/spec/containers/0/image"),
        "ray:1"
    );
    assert_valid(&text);
}

const INFERENCE: &str = "
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: iris}
spec:
  predictor:
    minReplicas: 2
    maxReplicas: 6
    scaleTarget: 70
    model:
      modelFormat: {name: sklearn}
      storageUri: gs://models/iris
      args: [--fast]
";

#[test]
fn an_inference_service_has_a_deployment_a_service_and_an_autoscaler() {
    let (manifests, _) = made(INFERENCE);
    let expected = [
        "Deployment default/iris-predictor",
        "Service default/iris-predictor",
        "HorizontalPodAutoscaler default/iris-predictor",
    ];
    assert_eq!(labels(&manifests), expected);
    let of = |pointer| at(&manifests, expected[0], pointer);
    assert_eq!(of("/spec/template/spec/containers/0/resources/requests/cpu"), "1");
    assert_eq!(of("/spec/template/spec/initContainers/0/name"), "storage-initializer");
    assert_eq!(of("/spec/template/spec/containers/0/readinessProbe/tcpSocket/port"), 8080);
    let hpa = |pointer| at(&manifests, expected[2], pointer);
    assert_eq!((hpa("/spec/minReplicas"), hpa("/spec/maxReplicas")), (&2.into(), &6.into()));
    assert_eq!(hpa("/spec/metrics/0/resource/target/averageUtilization"), 70);
    assert_valid(INFERENCE);
    let fixed = INFERENCE.replace(
        "{name: iris}",
        "{name: iris, annotations: {serving.kserve.io/autoscalerClass: none}}",
    );
    let (fixed, _) = made(&fixed);
    assert_eq!(labels(&fixed), expected[..2]);
    assert_eq!(at(&fixed, expected[0], "/spec/replicas"), 2);
}

#[test]
fn a_model_has_the_container_of_its_runtime() {
    let runtime = "
---
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterServingRuntime
metadata: {name: skl}
spec:
  supportedModelFormats: [{name: sklearn, autoSelect: true}]
  nodeSelector: {pool: a}
  containers: [{name: kserve-container, image: 'skl:2', args: [--port=8080], resources: {requests: {cpu: 300m}, limits: {cpu: 300m}}}]
";
    let (manifests, _) = made(&format!("{INFERENCE}{runtime}"));
    let of = |pointer| at(&manifests, "Deployment default/iris-predictor", pointer);
    assert_eq!(of("/spec/template/spec/containers/0/image"), "skl:2");
    assert_eq!(of("/spec/template/spec/containers/0/args/1"), "--fast");
    assert_eq!(of("/spec/template/spec/containers/0/resources/requests/cpu"), "300m");
    assert_eq!(of("/spec/template/spec/nodeSelector/pool"), "a");
}

#[test]
fn in_knative_mode_an_inference_service_is_one() {
    let text = INFERENCE.replace(
        "{name: iris}",
        "{name: iris, annotations: {serving.kserve.io/deploymentMode: Serverless}}",
    );
    let (manifests, _) = made(&text);
    assert_eq!(
        labels(&manifests),
        [
            "Deployment default/iris-predictor-00001-deployment",
            "Service default/iris-predictor",
            "PodAutoscaler default/iris-predictor-00001"
        ]
    );
    let least = at(
        &manifests,
        "PodAutoscaler default/iris-predictor-00001",
        "/metadata/annotations/autoscaling.knative.dev~1min-scale",
    );
    assert_eq!(least, "2");
    assert_valid(&text);
}

#[test]
fn a_knative_service_has_its_first_revision_with_a_queue_proxy() {
    let text = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello}
spec:
  template:
    metadata: {annotations: {autoscaling.knative.dev/min-scale: '3'}}
    spec: {containerConcurrency: 10, containers: [{image: hello:1}]}
";
    let (manifests, _) = made(text);
    let of = |pointer| at(&manifests, "Deployment default/hello-00001-deployment", pointer);
    assert_eq!(of("/spec/replicas"), 3);
    assert_eq!(of("/spec/template/spec/containers/1/name"), "queue-proxy");
    let scaler = |pointer| at(&manifests, "PodAutoscaler default/hello-00001", pointer);
    assert_eq!(scaler("/spec/containerConcurrency"), 10);
    assert_eq!(scaler("/spec/scaleTargetRef/name"), "hello-00001-deployment");
    assert_valid(text);
}

#[test]
fn a_knative_service_of_class_hpa_has_an_hpa() {
    let text = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello}
spec:
  template:
    metadata:
      annotations:
        autoscaling.knative.dev/class: hpa.autoscaling.knative.dev
        autoscaling.knative.dev/metric: cpu
        autoscaling.knative.dev/target: '55'
        autoscaling.knative.dev/max-scale: '7'
    spec: {containers: [{image: hello:1, resources: {requests: {cpu: 1}}}]}
";
    let (manifests, _) = made(text);
    let of = |pointer| at(&manifests, "HorizontalPodAutoscaler default/hello-00001", pointer);
    assert_eq!(of("/spec/maxReplicas"), 7);
    assert_eq!(of("/spec/metrics/0/resource/target/averageUtilization"), 55);
    assert_valid(text);
}

#[test]
fn annotations_of_class_hpa_that_knatives_webhook_rejects_are_errors() {
    let service = |annotation: &str| {
        format!(
            "{{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {{name: hello}}, spec: {{template: {{metadata: \
             {{annotations: {{autoscaling.knative.dev/class: hpa.autoscaling.knative.dev, {annotation}}}}}, spec: \
             {{containers: [{{image: 'hello:1'}}]}}}}}}}}"
        )
    };
    for (name, bad, good) in [
        ("min-scale", "-1", "1"),
        ("max-scale", "many", "7"),
        ("minScale", "1.5", "0"),
        ("target", "0", "0.01"),
        ("target-utilization-percentage", "101", "100"),
        ("window", "5s", "6s"),
        ("window", "61m", "1h"),
        ("window", "6500ms", "7s"),
    ] {
        let (_, problems) = made(&service(&format!("autoscaling.knative.dev/{name}: '{bad}'")));
        assert!(problems.contains(bad) && problems.contains("is not"), "{name}: {problems}");
        let (_, problems) = made(&service(&format!("autoscaling.knative.dev/{name}: '{good}'")));
        assert!(!problems.contains("is not"), "{name}: {problems}");
    }
    let crossed = "autoscaling.knative.dev/min-scale: '3', autoscaling.knative.dev/max-scale: '2'";
    assert!(made(&service(crossed)).1.contains("is not at least min-scale=3"));
}

#[test]
fn settings_of_knatives_autoscaler_reach_each_revision() {
    let text = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello}
spec: {template: {spec: {containers: [{image: hello:1}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config-autoscaler, namespace: knative-serving}
data: {_example: '# ...', initial-scale: '2', stable-window: 30s}
";
    let (manifests, _) = made(text);
    let of = |name, pointer| at(&manifests, name, pointer);
    assert_eq!(of("Deployment default/hello-00001-deployment", "/spec/replicas"), 2);
    let annotations = of("PodAutoscaler default/hello-00001", "/metadata/annotations");
    assert_eq!(annotations["config-autoscaler/stable-window"], "30s");
    assert_eq!(annotations.get("config-autoscaler/_example"), None);
    assert_valid(text);
}

#[test]
fn a_rollout_takes_the_template_of_the_workload_that_it_references() {
    let text = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  replicas: 4
  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web, scaleDown: onsuccess}
  strategy: {canary: {steps: [{setWeight: 20}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: a, resources: {requests: {cpu: 1}}}]}}
";
    let (manifests, _) = made(text);
    assert_eq!(at(&manifests, "Rollout default/web", "/spec/template/metadata/labels/app"), "web");
    assert_eq!(at(&manifests, "Rollout default/web", "/spec/selector/matchLabels/app"), "web");
    assert_valid(text);
}

#[test]
fn what_a_controller_could_not_make_pods_of_is_an_error_at_its_field() {
    for (text, problem) in [
        (
            "{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {name: a}, spec: {}}",
            "spec.replicatedJobs: Required",
        ),
        (
            "{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: a}, spec: {}}",
            "spec: Required value: headGroupSpec",
        ),
        (
            "{apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, metadata: {name: a}}",
            "spec.predictor: Required",
        ),
        (
            "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: a}, spec: {workloadRef: {name: b}}}",
            "the workload whose template it would have is not there",
        ),
    ] {
        let (manifests, said) = made(text);
        assert!(said.contains("error:") && said.contains(problem), "{said}");
        assert!(manifests.is_empty());
    }
}

#[test]
fn a_pool_without_labels_of_its_pods_is_refused_and_its_ports_are_those_of_its_service() {
    let pool = |spec: &str| {
        made(&format!(
            "{{apiVersion: inference.networking.k8s.io/v1, kind: InferencePool, metadata: {{name: a}}, spec: {spec}}}"
        ))
    };
    for spec in ["{}", "{selector: {}}", "{selector: {matchLabels: {}}}", "{selector: 5}"] {
        let (_, said) = pool(spec);
        assert!(said.contains("spec.selector: Required value"), "{spec}: {said}");
    }
    let (manifests, said) = pool(
        "{selector: {matchLabels: {app: vllm}}, targetPorts: [{number: 8000}, {number: 8001}]}",
    );
    assert!(said.contains("balanced as `services` of the scenario says"), "{said}");
    assert_eq!(at(&manifests, "Service default/a-ip", "/spec/ports/1/port"), 8001);
    assert_eq!(at(&manifests, "Service default/a-ip", "/spec/selector/app"), "vllm");
}

#[test]
fn a_written_object_stays_where_a_controller_would_make_one_of_its_name() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: iris-predictor}, spec: {ports: [{port: 1}]}}";
    let (manifests, _) = made(&format!("{INFERENCE}---\n{service}\n"));
    assert_eq!(manifests.len(), 3);
    assert_eq!(at(&manifests, "Service default/iris-predictor", "/spec/ports/0/port"), 1);
}

#[test]
fn a_template_with_fields_of_other_types_does_not_end_the_program() {
    for template in
        ["{metadata: 5}", "{metadata: {labels: 5}}", "{spec: 5}", "5", "{spec: {affinity: 5}}"]
    {
        let text = format!(
            "
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: train
  annotations: {{alpha.jobset.sigs.k8s.io/exclusive-topology: rack}}
spec:
  replicatedJobs: [{{name: workers, template: {{spec: {{template: {template}}}}}}}]
"
        );
        assert!(!made(&text).0.is_empty(), "{template}");
    }
}
