//! Work queues: workers take requests in order, and those of a dead worker go back.

use serde_json::json;
use wavetank::engine::SimDuration;
use wavetank::traffic::{FailureCause, ServiceId};

use super::{Service, World, at, ten_a_second};

#[test]
fn what_a_worker_refuses_for_good_fails_at_once() {
    let model = json!({"llm": {"model": "Llama-3.1-8B", "gpu": "A100-80GB", "maxModelLen": 1000,
        "promptTokens": {"mean": 2000, "cv": 0}, "outputTokens": {"mean": 10, "cv": 0}}});
    let mut clients = ten_a_second();
    clients["timeout"] = json!("30s");
    let mut world = World::new(&[Service::new("chat", model)
        .policy(json!({"workQueue": true}))
        .clients(clients)]);
    let outcomes = world.figures(1.0, 0).outcomes;
    assert_eq!((outcomes.failed_by(FailureCause::TooLong), outcomes.failed_in_all()), (10, 10));
    assert_eq!(world.figures(1.0, 0).in_flight, 0);
}

#[test]
fn workers_take_from_the_queue_in_order_and_what_a_dead_one_had_goes_back() {
    let model = json!({"concurrency": 1, "cpuTime": "350ms"});
    let mut world = World::new(&[Service::new("jobs", model)
        .pods(3)
        .policy(json!({"workQueue": true}))
        .clients(ten_a_second())]);
    // Three workers do 8.6 of 10 a second.
    let waiting = world.traffic.service_load(at(10.0), ServiceId(0)).work_queue_length;
    assert!((10..16).contains(&waiting), "{waiting}");
    world.traffic.set_endpoints(at(10.0), ServiceId(0), &[]);
    world.traffic.stop_backend(at(10.0), world.pods[0][0], FailureCause::Killed);
    let now = world.traffic.service_load(at(10.0), ServiceId(0)).work_queue_length;
    assert_eq!(now, waiting + 1);
    let other = world.pods[0][1];
    world.traffic.set_endpoints(at(11.0), ServiceId(0), &[other]);
    let figures = world.figures(20.0, 0);
    assert_eq!(figures.outcomes.failed_in_all(), 0);
    assert_eq!(figures.outcomes.arrived, figures.outcomes.answered + figures.in_flight);
}

#[test]
fn idle_workers_take_their_turns() {
    let mut world = World::new(&[Service::new("jobs", json!({"cpuTime": "1ms"}))
        .pods(4)
        .policy(json!({"workQueue": true}))
        .clients(ten_a_second())]);
    for pod in world.pods[0].clone() {
        let used = world.traffic.cpu_time_used(at(40.0), pod);
        assert_eq!(used, SimDuration::from_millis(100));
    }
}

#[test]
fn what_a_dead_worker_had_is_the_next_to_be_done() {
    let steps = json!([{"at": "0s", "rps": 10}, {"at": "3s", "rps": 0}]);
    let mut clients = ten_a_second();
    clients["load"] = json!({"pattern": "step", "steps": steps});
    clients["timeout"] = json!("1m");
    let model = json!({"concurrency": 1, "cpuTime": "350ms"});
    let mut world = World::new(&[Service::new("jobs", model)
        .pods(2)
        .policy(json!({"workQueue": true}))
        .clients(clients)]);
    let (dies, lives) = (world.pods[0][0], world.pods[0][1]);
    world.traffic.set_endpoints(at(3.0), ServiceId(0), &[lives]);
    world.traffic.stop_backend(at(3.0), dies, FailureCause::Killed);
    // Twelve wait at 3 s, so that the last of them is done at 7.85 s. The 17th, which came at 1.65 s, was at the pod that dies.
    let latencies = world.figures(20.0, 0).latencies.expect("requests were answered");
    let longest = latencies.max.as_secs_f64();
    assert!((longest - 4.9).abs() < 0.01, "{longest} s");
}
