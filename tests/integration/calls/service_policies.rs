//! Policies of a service: circuit breakers, ejection of pods that fail, and open connections.

use serde_json::{Value, json};
use wavetank::engine::SimTime;
use wavetank::traffic::{BackendState, FailureCause, ServiceId};

use super::{Service, World, at, ten_a_second};

#[test]
fn a_circuit_breaker_lets_only_so_many_through() {
    let mut world = World::new(&[Service::new("a", json!({"waitTime": "1s"}))
        .policy(json!({"maxRequests": 4}))
        .clients(ten_a_second())]);
    let outcomes = world.figures(100.0, 0).outcomes;
    assert!((390..=400).contains(&outcomes.answered), "{outcomes:?}");
    assert!(outcomes.failed_by(FailureCause::CircuitOpen) >= 590);
}

#[test]
fn a_pod_that_fails_again_and_again_is_ejected_for_a_while() {
    let failed = |policy: Value| {
        let mut world = World::new(&[Service::new("a", json!({"cpuTime": "1ms"}))
            .pods(4)
            .policy(policy)
            .clients(ten_a_second())]);
        world.traffic.set_state(SimTime::ZERO, world.pods[0][2], BackendState::Refusing);
        world.figures(100.0, 0).outcomes.failed_in_all()
    };
    let without = failed(json!({}));
    assert!((200..300).contains(&without), "{without} of 1000");
    let with = failed(json!({"outlierDetection": {"baseEjectionTime": "1h"}}));
    assert_eq!(with, 5);
    // Out for 10, 20, 30 s, and then for the rest: each time for longer.
    let longer = failed(json!({"outlierDetection": {"baseEjectionTime": "10s"}}));
    assert_eq!(longer, 4 * 5);
}

#[test]
fn a_pod_that_answers_in_between_is_not_ejected() {
    // A pod refuses what comes while it works on another request: many in all, ten in a row never.
    let model = json!({"concurrency": 1, "queue": 0, "waitTime": "140ms"});
    let mut world = World::new(&[Service::new("a", model)
        .pods(2)
        .policy(json!({"outlierDetection": {"consecutiveFailures": 10, "baseEjectionTime": "1h"}}))
        .clients(ten_a_second())]);
    let outcomes = world.figures(100.0, 0).outcomes;
    assert!(outcomes.failed_in_all() > 100, "{outcomes:?}");
    let both = [0, 1].map(|pod| world.traffic.pod_load(at(100.0), world.pods[0][pod]).taken);
    assert!(both.iter().all(|taken| *taken > 200), "{both:?}");
}

#[test]
fn open_connections_keep_new_pods_idle_until_they_are_made_anew() {
    let share_of_new_pod = |policy: Value| {
        let mut world = World::new(&[Service::new("a", json!({"cpuTime": "1ms"}))
            .pods(2)
            .policy(policy)
            .clients(ten_a_second())]);
        let (old, new) = (world.pods[0][0], world.pods[0][1]);
        world.traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &[old]);
        world.traffic.set_endpoints(at(100.0), ServiceId(0), &[old, new]);
        world.traffic.pod_load(at(200.0), new).taken
    };
    let fresh = share_of_new_pod(json!({}));
    assert!((440..560).contains(&fresh), "{fresh} of 1000");
    assert_eq!(share_of_new_pod(json!({"connections": {"count": 20}})), 0);
    let aged = share_of_new_pod(json!({"connections": {"count": 20, "maxAge": "10s"}}));
    assert!((300..560).contains(&aged), "{aged} of 1000");
}

#[test]
fn a_connection_outlives_its_endpoint_and_ends_with_its_pod() {
    let mut world = World::new(&[Service::new("a", json!({"cpuTime": "1ms"}))
        .pods(2)
        .policy(json!({"connections": {"count": 1}}))
        .clients(ten_a_second())]);
    let (old, new) = (world.pods[0][0], world.pods[0][1]);
    world.traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &[old]);
    world.traffic.set_endpoints(at(10.0), ServiceId(0), &[new]);
    assert_eq!(world.traffic.pod_load(at(20.0), old).taken, 200);
    world.traffic.stop_backend(at(20.0), old, FailureCause::Killed);
    assert_eq!(world.traffic.pod_load(at(30.0), new).taken, 100);
    assert_eq!(world.figures(30.0, 0).outcomes.failed_in_all(), 0);
}
