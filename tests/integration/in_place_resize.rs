//! Pods whose CPU and memory change where they run: what the kubelet grants and when, what it means for the
//! containers, the scheduler, autoscalers and the bill.

use crate::in_memory::{Run, resolved};
use wavetank::cluster::ClusterView;
use wavetank::cluster::Kind;
use wavetank::cluster::pod::Pod;
use wavetank::cluster::resize::PendingReason;
use wavetank::sim::Blueprint;
use wavetank::views::{self, Scope, Snapshot};

/// One node with 1930m of CPU for pods, and Deployments of one pod each.
fn scenario(timeline: &str, rest: &str) -> String {
    format!(
        "\
apiVersion: wavetank/v1
kind: Scenario
name: resize
duration: 40m
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: pool, instanceType: aws/m5.large, count: 1}}]}}
timeline: [{timeline}]
{rest}"
    )
}

fn deployment(name: &str, container: &str) -> String {
    format!(
        "\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: app, image: 'app:v1', {container}}}]}}
---
"
    )
}

fn cpu(request: &str) -> String {
    format!("resources: {{requests: {{cpu: {request}, memory: 256Mi}}}}")
}

fn resize(at: &str, name: &str, amounts: &str) -> String {
    format!("{{at: {at}, resize: {{workload: Deployment/default/{name}, {amounts}}}}}")
}

fn pod<'a>(view: ClusterView<'a>, app: &str) -> &'a Pod {
    let mut pods = view.store().pods().values();
    pods.find(|pod| view.labels_of(pod).get("app").is_some_and(|one| **one == *app))
        .unwrap_or_else(|| panic!("{app} has a pod"))
}

/// CPU request of the pod of an app: asked for, set aside, in force, reserved.
fn requests(run: &Run, app: &str) -> [String; 4] {
    let view = run.0.view();
    let pod = pod(view, app);
    [pod.template, pod.allocated(), pod.actual(), pod.reserved()].map(|template| {
        let container = &view.templates()[template].spec.containers[0];
        container.requests.get("cpu").expect("a request").to_string()
    })
}

#[test]
fn a_resize_that_fits_is_in_force_at_once_and_restarts_nothing() {
    let timeline = resize("5m", "web", "requests: {cpu: 800m}");
    let mut run = Run::new(&scenario(&timeline, ""), &deployment("web", &cpu("500m")));
    run.until(400);
    assert_eq!(requests(&run, "web"), ["800m"; 4]);
    let view = run.0.view();
    let pod = pod(view, "web");
    assert!(pod.resize.is_none() && pod.is_ready() && pod.restarts.containers_max == 0);
    assert_eq!(run.events("ResizeStarted").len(), 1);
    assert_eq!(run.events("ResizeCompleted")[0].0, 300);
    let scope = Scope::default();
    let objects = views::objects(view, Kind::Pod, &scope);
    let told = &objects[0]["status"]["containerStatuses"][0];
    assert_eq!(told["resources"]["requests"]["cpu"], "800m");
    assert_eq!(told["allocatedResources"]["cpu"], "800m");
}

#[test]
fn a_resize_waits_for_room_and_goes_on_when_another_pod_is_gone() {
    let timeline = format!(
        "{}, {{at: 10m, delete: Deployment/default/other}}",
        resize("5m", "web", "requests: {cpu: 1200m}")
    );
    let manifests = deployment("web", &cpu("900m")) + &deployment("other", &cpu("900m"));
    let mut run = Run::new(&scenario(&timeline, ""), &manifests);
    run.until(400);
    // The scheduler keeps free what the pod waits for, and the bill counts what it has.
    assert_eq!(requests(&run, "web"), ["1200m", "900m", "900m", "1200m"]);
    let view = run.0.view();
    let resize = pod(view, "web").resize.as_ref().expect("it is not through");
    let pending = resize.pending.as_ref().expect("it waits");
    assert_eq!(pending.reason, PendingReason::Deferred);
    let message =
        "Node didn't have enough resource: cpu, requested: 1200, used: 900, capacity: 1930";
    assert_eq!(pending.message, message);
    let snapshot = Snapshot { view };
    let id = &pod(view, "web").id;
    let log = &run.0.recorder().log;
    let told = views::describe(snapshot, log, Kind::Pod, id, true).expect("it is there");
    assert!(told.contains("\n  PodResizePending            True \n"), "{told}");
    assert_eq!(run.events("ResizeDeferred").len(), 1);
    run.until(700);
    assert_eq!(requests(&run, "web"), ["1200m"; 4]);
    assert_eq!(run.events("ResizeCompleted").len(), 1);
}

#[test]
fn a_resize_beyond_the_node_is_infeasible_and_takes_nothing_from_others() {
    let timeline = resize("5m", "web", "requests: {cpu: 3}");
    let mut run = Run::new(&scenario(&timeline, ""), &deployment("web", &cpu("500m")));
    run.until(400);
    assert_eq!(requests(&run, "web"), ["3", "500m", "500m", "500m"]);
    let told = run.events("ResizeInfeasible");
    assert!(told[0].1.contains("cpu, requested: 3000, capacity: 1930"), "{told:?}");
}

#[test]
fn a_container_whose_policy_asks_for_it_is_restarted_for_memory_and_not_for_cpu() {
    let policy = "resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]";
    let container = format!("{}, {policy}", cpu("500m"));
    let timeline = format!(
        "{}, {}",
        resize("5m", "web", "requests: {cpu: 600m}"),
        resize("10m", "web", "requests: {memory: 512Mi}")
    );
    let mut run = Run::new(&scenario(&timeline, ""), &deployment("web", &container));
    run.until(400);
    assert_eq!(pod(run.0.view(), "web").restarts.containers_max, 0);
    run.until(900);
    let view = run.0.view();
    let pod = pod(view, "web");
    assert_eq!(pod.restarts.containers_max, 1);
    assert!(pod.resize.is_none() && pod.is_ready());
    let told = run.events("Killing");
    assert_eq!(told[0].1, "Container app resize requires restart");
}

#[test]
fn what_the_api_server_refuses_changes_nothing() {
    // Guaranteed: the request alone would make it Burstable.
    let both = "{cpu: 500m, memory: 256Mi}";
    let container = format!("resources: {{requests: {both}, limits: {both}}}");
    let timeline = format!(
        "{}, {}",
        resize("5m", "web", "requests: {cpu: 400m}"),
        resize("6m", "web", "requests: {cpu: 600m}, limits: {cpu: 600m}")
    );
    let mut run = Run::new(&scenario(&timeline, ""), &deployment("web", &container));
    run.until(330);
    assert_eq!(requests(&run, "web"), ["500m"; 4]);
    run.until(400);
    assert_eq!(requests(&run, "web"), ["600m"; 4]);
}

#[test]
fn a_memory_limit_below_what_is_in_use_is_not_set() {
    let container = "resources: {requests: {cpu: 500m, memory: 256Mi}, limits: {memory: 1Gi}}";
    let app = "workloads: [{workload: Deployment/default/web, app: {start: 1s}, memory: 600Mi}]\n";
    let timeline = resize("5m", "web", "limits: {memory: 512Mi}");
    let mut run = Run::new(&scenario(&timeline, app), &deployment("web", container));
    run.until(400);
    let view = run.0.view();
    let resize = pod(view, "web").resize.as_ref().expect("it is not through");
    let error = resize.in_progress.as_ref().and_then(|one| one.error.clone());
    assert!(error.expect("an error").starts_with("cannot decrease memory limits"));
    assert_eq!(pod(view, "web").restarts.containers_max, 0, "nobody was killed");
    assert_eq!(run.events("ResizeError").len(), 1);
}

#[test]
fn a_larger_memory_limit_keeps_a_leaking_application_from_being_killed() {
    let container = "resources: {requests: {cpu: 500m, memory: 128Mi}, limits: {memory: 256Mi}}";
    let app = "workloads: [{workload: Deployment/default/web, app: {start: 1s}, memory: 100Mi, \
               memoryLeakPerHour: 300Mi}]\n";
    let restarts = |timeline: &str| {
        let mut run = Run::new(&scenario(timeline, app), &deployment("web", container));
        run.until(2_390);
        pod(run.0.view(), "web").restarts.containers_max
    };
    assert_eq!(restarts(""), 1, "256Mi are reached after half an hour");
    assert_eq!(restarts(&resize("20m", "web", "limits: {memory: 1Gi}")), 0);
}

#[test]
fn pods_wait_for_what_a_resize_gives_back() {
    let timeline = resize("10m", "web", "requests: {cpu: 500m}");
    let manifests = deployment("web", &cpu("1500m")) + &deployment("late", &cpu("1"));
    let mut run = Run::new(&scenario(&timeline, ""), &manifests);
    run.until(590);
    assert!(pod(run.0.view(), "late").node.is_none() || pod(run.0.view(), "web").node.is_none());
    run.until(660);
    assert!(pod(run.0.view(), "late").is_ready());
}

#[test]
fn a_vpa_resizes_pods_where_they_run() {
    let load = "{pattern: constant, rps: 60}";
    let rest = format!(
        "workloads: [{{workload: Deployment/default/web, app: {{start: 1s}}, \
         requests: {{concurrency: 4, queue: 50, cpuTime: {{distribution: exponential, mean: 10ms}}}}}}]\n\
         traffic: [{{service: default/web, timeout: 2s, load: {load}}}]\n"
    );
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, \
                   ports: [{port: 80, targetPort: 8080}]}\n---\n";
    let vpa = |mode: &str| {
        format!(
            "apiVersion: autoscaling.k8s.io/v1\nkind: VerticalPodAutoscaler\nmetadata: {{name: web}}\n\
             spec: {{targetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}, \
             updatePolicy: {{updateMode: {mode}, minReplicas: 1}}}}\n"
        )
    };
    for mode in ["InPlaceOrRecreate", "InPlace"] {
        let manifests = deployment("web", &cpu("100m")) + service + &vpa(mode);
        let mut run = Run::new(&scenario("", &rest), &manifests);
        run.until(2_390);
        let view = run.0.view();
        let pod = pod(view, "web");
        assert!(pod.created.as_nanos() < 60_000_000_000, "{mode}: it is the first pod still");
        let request = view.template_of(pod).spec.containers[0].requests.get("cpu");
        let milli = request.expect("a request").milli_value();
        // 60 x 10 ms = 600m, and 15 % more.
        assert!((600..900).contains(&milli), "{mode}: {milli}");
        assert!(!run.events("InPlaceResizedByVPA").is_empty());
    }
}

#[test]
fn what_cannot_be_resized_is_told_before_the_run() {
    for (amounts, expected) in [
        ("requests: {nvidia.com/gpu: 1}", "nvidia.com/gpu cannot be resized"),
        ("count: 1", "nothing is resized"),
        ("count: 0, requests: {cpu: 1}", "the number of pods is 0"),
        ("container: other, requests: {cpu: 1}", "has no container other"),
    ] {
        let text = scenario(&resize("5m", "web", amounts), "");
        let resolved = resolved(&text, &deployment("web", &cpu("500m")), &[]);
        let problems = resolved.map(|one| Blueprint::new(&one).err().map(|all| all.to_string()));
        let told = match problems {
            Ok(problems) => problems.unwrap_or_default(),
            Err(problems) => problems.to_string(),
        };
        assert!(told.contains(expected), "{amounts}: {told}");
    }
}
