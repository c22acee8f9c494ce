//! Knative Services: their pods follow the requests, which the activator holds while there are none.

use serde_json::json;
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    ActivatorPolicy, BackendId, Balancer, FailureCause, Notices, Recording, RequestModelId,
    RequestModelSpec, ServiceId, ServicePolicy, ServiceTraffic, Traffic, TrafficSpec,
};

use crate::in_memory::{Run, resolved};

const KSVC: &str = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello}
spec:
  template:
    metadata: {annotations: {ANNOTATIONS}}
    spec:
      containerConcurrency: 10
      containers: [{image: 'hello:1', ports: [{containerPort: 8080}], resources: {requests: {cpu: 100m, memory: 64Mi}}}]
";

/// A Knative Service with these annotations and rates of requests of 100 ms, as (seconds, requests per second).
fn run(annotations: &str, phases: &[(i64, i64)]) -> Run {
    Run::new(&scenario(phases), &KSVC.replace("ANNOTATIONS", annotations))
}

fn scenario(phases: &[(i64, i64)]) -> String {
    let phases = phases.iter().map(|(seconds, rps)| {
        format!("{{for: {seconds}s, load: {{pattern: constant, rps: {rps}}}}}")
    });
    let phases: Vec<String> = phases.collect();
    format!(
        "apiVersion: wavetank/v1\nkind: Scenario\nname: knative\nduration: 20m\nmanifests: [manifests.yaml]\ncluster:\n  \
         nodePools: [{{name: general, count: 3, capacity: {{cpu: 16, memory: 64Gi}}}}]\nworkloads:\n- workload: \
         Deployment/default/hello-00001-deployment\n  app: {{warmUp: 2s}}\n  requests: {{waitTime: 100ms}}\ntraffic:\n- \
         service: default/hello\n  arrivals: even\n  load: {{pattern: phases, phases: [{}]}}\n",
        phases.join(", ")
    )
}

const DEPLOYMENT: &str = "hello-00001-deployment";
const SERVICE: ServiceId = ServiceId(0);

/// The seconds at which the Deployment was scaled, with the number of pods from then on.
fn scales(run: &Run) -> Vec<(i64, String)> {
    let events = run.events("ScalingReplicaSet").into_iter();
    let to = |message: String| {
        let from = message.find(" to ").map_or(0, |position| position + 4);
        message[from..].to_owned()
    };
    events.map(|(second, message)| (second, to(message))).collect()
}

#[test]
fn without_requests_the_pod_goes_after_the_stable_window_and_the_first_request_waits_for_another() {
    let mut run = run("", &[(300, 0), (60, 1)]);
    run.until(299);
    assert_eq!(run.replicas(DEPLOYMENT), 0);
    let (down, _) = scales(&run)[1];
    assert!((60..75).contains(&down), "at {down} s");
    run.until(302);
    // The request at second 300 asks for a pod at once, long before the next report or decision.
    let (up, to) = scales(&run)[2].clone();
    assert_eq!((up, &*to), (300, "1"));
    let now = run.until(360).0.now();
    let traffic = run.0.traffic_mut();
    let held = traffic.held_requests(SERVICE).expect("an activator");
    // One request a second, until an image is pulled and a pod is ready.
    assert!((3..20).contains(&held.count), "{held:?}");
    assert!(held.longest > SimDuration::from_secs(2), "{held:?}");
    assert_eq!(traffic.figures(now, SERVICE).outcomes.failed_in_all(), 0);
}

#[test]
fn concurrency_decides_on_the_pods_and_a_burst_begins_a_panic() {
    // 200 requests a second of 100 ms are 20 in progress, for which pods with a target of 7 have to be 3.
    let mut run = run("", &[(120, 20), (400, 200)]);
    run.until(110);
    assert_eq!(run.replicas(DEPLOYMENT), 1);
    run.until(140);
    // The one pod answers half of them; those that wait count, too.
    let told = run.explain("PodAutoscaler/default/hello-00001");
    assert!(told.contains("panic mode"), "{told}");
    assert!(run.replicas(DEPLOYMENT) > 3, "{told}");
    run.until(400);
    assert_eq!(run.replicas(DEPLOYMENT), 3);
    let told = run.explain("PodAutoscaler/default/hello-00001");
    assert!(told.contains("stable mode: 3"), "{told}");
    assert!(told.contains("/ 7 = 3 pods"), "{told}");
}

#[test]
fn bounds_of_the_scale_apply() {
    let bounds = "autoscaling.knative.dev/min-scale: '2', autoscaling.knative.dev/max-scale: '4'";
    let mut run = run(bounds, &[(300, 0), (300, 1000)]);
    run.until(290);
    assert_eq!(run.replicas(DEPLOYMENT), 2);
    run.until(500);
    assert_eq!(run.replicas(DEPLOYMENT), 4);
}

#[test]
fn requests_per_second_are_a_metric_too() {
    let rps = "autoscaling.knative.dev/metric: rps, autoscaling.knative.dev/target: '50'";
    // 70 % of 50 is 35 a pod: 100 / 35 = 2.9.
    let mut run = run(rps, &[(600, 100)]);
    run.until(500);
    assert_eq!(run.replicas(DEPLOYMENT), 3);
}

#[test]
fn settings_of_the_cluster_apply_to_all_revisions() {
    let config = "
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config-autoscaler, namespace: knative-serving}
data: {enable-scale-to-zero: 'false'}
";
    let text = format!("{}{config}", KSVC.replace("ANNOTATIONS", ""));
    let mut run = Run::new(&scenario(&[(600, 0)]), &text);
    run.until(590);
    assert_eq!(run.replicas(DEPLOYMENT), 1);
}

#[test]
fn a_flow_cannot_wait_in_the_activator() {
    let flow = scenario(&[(600, 1)]).replace("arrivals: even", "arrivals: fluid");
    let resolved = resolved(&flow, &KSVC.replace("ANNOTATIONS", ""), &[]).expect("well-formed");
    let problems = wavetank::sim::Blueprint::new(&resolved).expect_err("it cannot");
    assert!(problems.to_string().contains("traffic[0].arrivals"), "{problems}");
}

/// A service behind an activator that lets so many requests into a pod, with 10 requests a second of 1 s each.
fn held(container_concurrency: u32) -> Traffic {
    let streams = Streams::new(3);
    let spec = json!({"service": "a/b", "load": {"pattern": "constant", "rps": 10}, "arrivals": "even",
                      "timeout": "20s"});
    let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    let arrivals = spec.arrivals("", None, streams.stream("arrivals", 0)).expect("right settings");
    let model: RequestModelSpec =
        serde_json::from_value(json!({"waitTime": "1s"})).expect("settings");
    let recording = Recording {
        interval: SimDuration::from_secs(10),
        warm_up: SimDuration::ZERO,
        waits: false,
    };
    let policy = ServicePolicy {
        activator: Some(ActivatorPolicy { container_concurrency }),
        ..ServicePolicy::balanced(Balancer::Random)
    };
    let plain = ServiceTraffic::plain("a/b".into(), arrivals, spec.balancer, spec.timeout);
    let models = vec![model.model("").expect("right settings")];
    Traffic::new(vec![ServiceTraffic { policy, ..plain }], models, streams, recording)
}

fn at(seconds: f64) -> SimTime {
    SimTime::from_secs_f64(seconds)
}

fn in_flight(traffic: &mut Traffic, seconds: f64, pod: BackendId) -> usize {
    traffic.in_flight(at(seconds), pod)
}

#[test]
fn a_limit_of_concurrency_keeps_requests_in_the_activator() {
    let mut traffic = held(3);
    let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), 1.0);
    traffic.set_endpoints(at(2.05), SERVICE, &[pod]);
    // Of the 20 requests that waited, three at a time are in the pod.
    assert_eq!(in_flight(&mut traffic, 2.5, pod), 3);
    let activity = traffic.take_activity(at(2.5), SERVICE).expect("an activator");
    assert!(activity.arrived >= 24, "{activity:?}");
    // One more every 100 ms: 25 * 26 / 2 of them for 100 ms each, about 2.5 s * 25 / 2.
    let mean = activity.in_progress.as_secs_f64() / 2.5;
    assert!((11.0..14.0).contains(&mean), "{mean}");
    // Out of the path, all go to the pod at once.
    traffic.set_activator(at(2.5), SERVICE, false, false);
    assert!(in_flight(&mut traffic, 3.0, pod) > 3);
}

#[test]
fn requests_wait_for_the_first_pod_and_give_up_after_their_time_out() {
    let mut traffic = held(0);
    let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), 1.0);
    traffic.advance(at(25.0));
    traffic.set_endpoints(at(25.0), SERVICE, &[pod]);
    let outcomes = traffic.figures(at(40.0), SERVICE).outcomes;
    let failed = outcomes.failed_by(FailureCause::Timeout);
    // Those of the first five seconds, and those of the sixth, whose answer takes another second.
    assert!((59..=61).contains(&failed), "{failed}");
    assert_eq!(outcomes.failed_in_all(), failed);
    // Those that waited are let in together.
    let held = traffic.held_requests(SERVICE).expect("an activator");
    assert!((199..=201).contains(&held.count), "{held:?}");
}

#[test]
fn the_first_request_of_a_dormant_revision_stops_the_clock() {
    let mut traffic = held(0);
    assert_eq!(traffic.advance_to_notice(at(3.25)), (at(3.25), Notices::default()));
    traffic.set_activator(at(3.25), SERVICE, true, true);
    let (reached, Notices { activated: services, .. }) = traffic.advance_to_notice(at(9.0));
    assert_eq!(services, [SERVICE]);
    assert!(reached > at(3.25) && reached <= at(3.36), "{reached}");
    // The next ones ask for nothing.
    assert_eq!(traffic.advance_to_notice(at(9.0)), (at(9.0), Notices::default()));
}
