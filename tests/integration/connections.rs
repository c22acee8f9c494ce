//! Where connections lead: kept ones, those of clients that keep their pod, and new ones to pods that are lost or gone.

use serde_json::{Value, json};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    BackendId, BackendState, Balancer, FailureCause, Outcomes, Recording, RequestModelId,
    RequestModelSpec, ServiceId, ServicePolicy, ServiceSpec, ServiceTraffic, Traffic, TrafficSpec,
};

const SERVICE: ServiceId = ServiceId(0);

fn at(seconds: f64) -> SimTime {
    SimTime::from_secs_f64(seconds)
}

/// A service whose clients send `rps` evenly and wait 5 s, with so many pods of one core each that answer after 1 ms.
fn service(policy: ServicePolicy, rps: f64, pods: usize) -> (Traffic, Vec<BackendId>) {
    let streams = Streams::new(3);
    let spec = json!({"service": "a/b", "load": {"pattern": "constant", "rps": rps}, "arrivals": "even",
                      "timeout": "5s"});
    let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
    let arrivals = spec.arrivals("", None, streams.stream("arrivals", 0)).expect("right settings");
    let plain = ServiceTraffic::plain("a/b".into(), arrivals, spec.balancer, spec.timeout);
    let model: RequestModelSpec =
        serde_json::from_value(json!({"cpuTime": "1ms"})).expect("settings");
    let recording = Recording {
        interval: SimDuration::from_secs(10),
        warm_up: SimDuration::ZERO,
        waits: false,
    };
    let models = vec![model.model("").expect("right settings")];
    let mut traffic =
        Traffic::new(vec![ServiceTraffic { policy, ..plain }], models, streams, recording);
    let add = |_| traffic.add_backend(SimTime::ZERO, RequestModelId(0), 1.0);
    let pods: Vec<BackendId> = (0..pods).map(add).collect();
    (traffic, pods)
}

fn policy(settings: Value) -> ServicePolicy {
    let mut settings = settings;
    settings["service"] = json!("a/b");
    serde_json::from_value::<ServiceSpec>(settings).expect("settings").policy()
}

fn outcomes(traffic: &mut Traffic, seconds: f64) -> Outcomes {
    traffic.figures(at(seconds), SERVICE).outcomes
}

#[test]
fn a_kept_connection_to_a_lost_pod_costs_one_request_and_is_made_anew() {
    let (mut traffic, pods) = service(policy(json!({"connections": {"count": 1}})), 10.0, 2);
    traffic.set_endpoints(SimTime::ZERO, SERVICE, &pods[..1]);
    traffic.set_endpoints(at(5.0), SERVICE, &pods[1..]);
    traffic.set_state(at(10.0), pods[0], BackendState::Unreachable);
    let outcomes = outcomes(&mut traffic, 30.0);
    assert_eq!(outcomes.failed_by(FailureCause::Unreachable), 1);
    assert_eq!(traffic.pod_load(at(30.0), pods[1]).taken, 199);
}

#[test]
fn a_connection_that_does_not_come_about_is_not_kept() {
    let (mut traffic, pods) = service(policy(json!({"connections": {"count": 4}})), 10.0, 2);
    traffic.set_endpoints(SimTime::ZERO, SERVICE, &pods);
    traffic.set_state(SimTime::ZERO, pods[0], BackendState::Refusing);
    let failed = outcomes(&mut traffic, 100.0).failed_by(FailureCause::Refused);
    assert!(
        (1..30).contains(&failed),
        "{failed} of 1000: each connection is tried until it stands"
    );
}

#[test]
fn a_client_with_affinity_keeps_its_pod_as_long_as_it_comes_back_in_time() {
    let shares = |rps: f64| {
        let (mut traffic, pods) = service(policy(json!({"clients": 1})), rps, 2);
        traffic.set_client_affinity(SERVICE, SimDuration::from_secs(10));
        traffic.set_endpoints(SimTime::ZERO, SERVICE, &pods);
        let mut taken = [0, 1].map(|pod| traffic.pod_load(at(1000.0), pods[pod]).taken);
        taken.sort_unstable();
        taken
    };
    // A request each 9 s renews it each time; one each 12.5 s never does.
    assert_eq!(shares(1.0 / 9.0)[0], 0);
    assert!(shares(0.08)[0] > 20);
}

#[test]
fn least_request_takes_the_pod_with_fewer_requests_of_two() {
    let (mut traffic, pods) = service(ServicePolicy::balanced(Balancer::LeastRequest), 100.0, 2);
    // Twenty times as slow: it can do 50 a second, and gets the 25 of which both picks are it, and few more.
    traffic.set_cpu(SimTime::ZERO, pods[0], 0.05);
    traffic.set_endpoints(SimTime::ZERO, SERVICE, &pods);
    let slow = traffic.pod_load(at(100.0), pods[0]).taken;
    assert!((2400..4500).contains(&slow), "{slow} of 10000");
    assert_eq!(outcomes(&mut traffic, 100.0).failed_in_all(), 0);
}

#[test]
fn connections_to_a_pod_that_is_gone_time_out_unless_they_are_to_be_kept_and_another_one_works() {
    let gone = |settings: Value| {
        let (mut traffic, pods) = service(policy(settings), 10.0, 2);
        traffic.set_endpoints(SimTime::ZERO, SERVICE, &pods[..1]);
        traffic.stop_backend(at(10.0), pods[0], FailureCause::Killed);
        traffic.set_state(at(10.3), pods[0], BackendState::Gone);
        traffic.remove_backend(at(10.8), pods[0], FailureCause::Killed);
        traffic.set_endpoints(at(11.0), SERVICE, &pods[1..]);
        outcomes(&mut traffic, 30.0)
    };
    // A limit of requests has them go event by event.
    let by_event = json!({"connections": {"count": 3}, "maxRequests": 1000});
    for (settings, unreachable) in
        [(json!({}), 7), (json!({"connections": {"count": 3}}), 0), (by_event, 0)]
    {
        let outcomes = gone(settings);
        assert_eq!(outcomes.failed_by(FailureCause::Refused), 3);
        assert_eq!(outcomes.failed_by(FailureCause::Unreachable), unreachable);
        assert_eq!(outcomes.answered, 297 - unreachable);
    }
}

#[test]
fn a_request_that_waits_for_its_connection_gives_up_after_its_timeout() {
    let (mut traffic, pods) = service(policy(json!({"connections": {"count": 3}})), 10.0, 2);
    traffic.set_endpoints(SimTime::ZERO, SERVICE, &pods[..1]);
    traffic.stop_backend(at(10.0), pods[0], FailureCause::Killed);
    traffic.set_state(at(10.0), pods[0], BackendState::Gone);
    traffic.set_endpoints(at(16.95), SERVICE, &pods[1..]);
    // The first connection after that is opened at 17.05 s: too late for those that came until 12.05 s.
    assert_eq!(outcomes(&mut traffic, 30.0).failed_by(FailureCause::Unreachable), 21);
}

#[test]
fn a_single_client_still_meets_a_lost_pod_from_old_source_ports_when_it_is_no_endpoint_any_more() {
    let after = |clients: u32| {
        let (mut traffic, pods) = service(policy(json!({"clients": clients})), 30.0, 3);
        traffic.track_connections(SERVICE);
        traffic.set_endpoints(SimTime::ZERO, SERVICE, &pods);
        traffic.set_state(at(10.0), pods[0], BackendState::Unreachable);
        traffic.set_endpoints(at(60.0), SERVICE, &pods[1..]);
        let before = outcomes(&mut traffic, 65.0).failed_in_all();
        // A third of those of 50 s.
        assert!((430..570).contains(&before), "{before}");
        let failed = outcomes(&mut traffic, 400.0).failed_in_all();
        assert_eq!(outcomes(&mut traffic, 900.0).failed_in_all(), failed);
        failed - before
    };
    let failed = after(1);
    assert!((20..200).contains(&failed), "{failed}");
    assert_eq!(after(1000), 0);
}

#[test]
fn requests_from_outside_that_stay_local_come_to_each_node_with_an_endpoint_alike() {
    let (mut traffic, pods) = service(policy(json!({})), 100.0, 3);
    for (pod, node) in pods.iter().zip([1, 1, 2]) {
        traffic.set_node(*pod, node);
    }
    traffic.stay_local(SERVICE, (false, true));
    traffic.set_endpoints(SimTime::ZERO, SERVICE, &pods);
    let alone = traffic.pod_load(at(100.0), pods[2]).taken;
    assert!((4700..5300).contains(&alone), "{alone} of 10000");
    traffic.set_endpoints(at(100.0), SERVICE, &pods[..2]);
    let both = pods[..2].iter().map(|pod| traffic.pod_load(at(200.0), *pod).taken).sum::<u64>();
    assert_eq!(both + alone, 20_000);
}
