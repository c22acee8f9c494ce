//! Requests that call other services, are tried again, wait in work queues: what becomes of them.

use proptest::prelude::*;
use serde_json::{Value, json};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    BackendId, BackendState, Causes, CpuClaim, FailureCause, NodeCpuId, Recording, RequestModelId,
    RequestModelSpec, Retries, RetrySpec, RoutePolicy, RouteTraffic, ServiceFigures, ServiceId,
    ServiceSpec, ServiceTraffic, Traffic, TrafficSpec,
};

/// A service `s/NAME` with one model, its pods, and how it is reached.
struct Service {
    name: &'static str,
    model: Value,
    pods: usize,
    policy: Value,
    /// Requests of clients; absent = only other services call it.
    clients: Option<Value>,
    /// Requests by routes, and how these treat them from certain times on.
    routes: Vec<(Value, Vec<(f64, RoutePolicy)>)>,
}

impl Service {
    fn new(name: &'static str, model: Value) -> Self {
        Self { name, model, pods: 1, policy: json!({}), clients: None, routes: Vec::new() }
    }

    fn pods(self, pods: usize) -> Self {
        Self { pods, ..self }
    }

    fn policy(self, policy: Value) -> Self {
        Self { policy, ..self }
    }

    fn clients(self, clients: Value) -> Self {
        Self { clients: Some(clients), ..self }
    }

    fn route(mut self, clients: Value, policies: Vec<(f64, RoutePolicy)>) -> Self {
        self.routes.push((clients, policies));
        self
    }

    fn route_traffic(&self, streams: Streams) -> Vec<RouteTraffic> {
        let routes = self.routes.iter().enumerate().map(|(number, (clients, policies))| {
            let name = format!("route {number} to {}", self.name);
            let mut spec = clients.clone();
            spec["service"] = json!(format!("s/{}", self.name));
            let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
            let arrivals = spec.arrivals("", None, streams.stream(&name, 0)).expect("right");
            let policies =
                policies.iter().map(|(since, policy)| (at(*since), policy.clone())).collect();
            RouteTraffic {
                name,
                arrivals,
                policies,
                has_port: true,
                canary_of: None,
                mirrors: Vec::new(),
            }
        });
        routes.collect()
    }
}

struct World {
    traffic: Traffic,
    pods: Vec<Vec<BackendId>>,
    /// The CPU that the pods of the services with the same number share.
    nodes: [Option<NodeCpuId>; 3],
}

/// Ten requests a second, at 0.05 s, 0.15 s, ...
fn ten_a_second() -> Value {
    json!({"load": {"pattern": "constant", "rps": 10}, "arrivals": "even"})
}

fn nothing() -> Value {
    json!({"load": {"pattern": "constant", "rps": 0}})
}

impl World {
    fn new(services: &[Service]) -> Self {
        let streams = Streams::new(5);
        let clients = services.iter().map(|service| {
            let name = format!("s/{}", service.name);
            let mut spec = service.clients.clone().unwrap_or_else(nothing);
            spec["service"] = json!(name);
            let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
            let mut policy = service.policy.clone();
            policy["service"] = json!(name);
            let policy: ServiceSpec = serde_json::from_value(policy).expect("settings");
            assert_eq!(policy.problems(""), []);
            let arrivals = spec.arrivals("", None, streams.stream(&name, 0)).expect("right");
            ServiceTraffic {
                name,
                arrivals,
                timeout: spec.timeout,
                retries: spec.retries,
                policy: policy.policy(),
                routes: service.route_traffic(streams),
                model: None,
            }
        });
        let models = services.iter().map(|service| {
            let model: RequestModelSpec =
                serde_json::from_value(service.model.clone()).expect("settings");
            model.model("").expect("right")
        });
        let recording = Recording {
            interval: SimDuration::from_secs(1),
            warm_up: SimDuration::ZERO,
            waits: false,
        };
        let mut traffic = Traffic::new(clients.collect(), models.collect(), streams, recording);
        let pods = (0..).zip(services).map(|(number, service)| {
            let pods: Vec<BackendId> = (0..service.pods)
                .map(|_| traffic.add_backend(SimTime::ZERO, RequestModelId(number), 4.0))
                .collect();
            traffic.set_endpoints(SimTime::ZERO, ServiceId(number), &pods);
            pods
        });
        let pods = pods.collect();
        Self { traffic, pods, nodes: [None; 3] }
    }

    fn figures(&mut self, seconds: f64, service: u32) -> ServiceFigures {
        self.traffic.figures(at(seconds), ServiceId(service))
    }

    fn mean_ms(&mut self, seconds: f64, service: u32) -> f64 {
        let latencies = self.figures(seconds, service).latencies.expect("requests were answered");
        latencies.mean.as_millis_f64()
    }
}

fn at(seconds: f64) -> SimTime {
    SimTime::from_secs_f64(seconds)
}

fn calls(list: &Value) -> Value {
    json!({"cpuTime": "10ms", "calls": list})
}

#[test]
fn a_request_takes_as_long_as_the_services_that_it_calls_one_after_the_other() {
    let mut world = World::new(&[
        Service::new("a", calls(&json!([{"service": "s/b"}, {"service": "s/c"}])))
            .clients(ten_a_second()),
        Service::new("b", json!({"cpuTime": "20ms"})),
        Service::new("c", json!({"waitTime": "30ms"})),
    ]);
    assert!((world.mean_ms(10.0, 0) - 60.0).abs() < 1e-3);
    assert!((world.mean_ms(10.0, 1) - 20.0).abs() < 1e-3);
    // The last one came at 9.95 s.
    assert_eq!(world.figures(10.0, 2).outcomes.answered, 99);
}

#[test]
fn calls_stay_on_their_node_and_else_in_their_zone() {
    let mut world = World::new(&[
        Service::new("a", calls(&json!([{"service": "s/b"}]))).pods(3).clients(ten_a_second()),
        Service::new("b", json!({"cpuTime": "1ms"})).pods(4),
    ]);
    // The first caller has a pod of b on its node, the second in its zone alone, the third in neither.
    let places = [[(0, 0), (1, 0), (2, 1), (9, 9)].as_slice(), &[(0, 0), (5, 0), (6, 0), (7, 2)]];
    world.traffic.prefer_same_node(ServiceId(1));
    for (service, places) in (0..).zip(places) {
        let pods = world.pods[service].clone();
        for (pod, (node, zone)) in pods.iter().zip(places) {
            world.traffic.set_node(*pod, *node);
            world.traffic.set_zone(*pod, *zone);
        }
    }
    let callers = world.pods[0].clone();
    let called = world.pods[1].clone();
    world.traffic.set_endpoints(SimTime::ZERO, ServiceId(1), &called);
    let mut taken = [0; 4];
    let mut shares = |world: &mut World, caller: usize| -> Vec<u64> {
        let begin = 100.0 * caller as f64;
        world.traffic.set_endpoints(at(begin), ServiceId(0), &callers[caller..=caller]);
        let now = [0, 1, 2, 3].map(|pod| world.traffic.taken(at(begin + 99.9), called[pod]));
        let new = now.iter().zip(taken).map(|(now, before)| now - before).collect();
        taken = now;
        new
    };
    let on_node = shares(&mut world, 0);
    assert_eq!(on_node[1..], [0, 0, 0]);
    assert!(on_node[0] > 990, "{on_node:?}");
    let in_zone = shares(&mut world, 1);
    assert_eq!(in_zone[3], 0);
    assert!(in_zone[..3].iter().all(|taken| *taken > 250), "{in_zone:?}");
    let anywhere = shares(&mut world, 2);
    assert!(anywhere.iter().all(|taken| *taken > 170), "{anywhere:?}");
}

#[test]
fn calls_made_together_take_as_long_as_the_longest() {
    let list = json!([{"service": "s/b"}, {"service": "s/c", "withPrevious": true, "times": 3}]);
    let mut world = World::new(&[
        Service::new("a", calls(&list)).clients(ten_a_second()),
        Service::new("b", json!({"cpuTime": "20ms"})),
        Service::new("c", json!({"waitTime": "30ms"})),
    ]);
    assert!((world.mean_ms(10.0, 0) - 40.0).abs() < 1e-3);
    assert_eq!(world.figures(10.0, 2).outcomes.arrived, 300);
}

#[test]
fn cache_hits_call_nobody() {
    let list = json!([{"service": "s/b", "cacheHitRate": 0.8}]);
    let mut world = World::new(&[
        Service::new("a", calls(&list)).clients(ten_a_second()),
        Service::new("b", json!({"cpuTime": "20ms"})),
    ]);
    let called = world.figures(1000.0, 1).outcomes.arrived;
    assert!((1850..2150).contains(&called), "{called} of 10,000");
}

#[test]
fn a_caller_holds_its_place_until_it_is_answered_so_that_the_bottleneck_travels() {
    let model = json!({"concurrency": 2, "cpuTime": "1ms",
                       "calls": [{"service": "s/b", "timeout": "1h"}]});
    let mut world = World::new(&[
        Service::new("a", model).clients(ten_a_second()),
        // Seven of ten can be served.
        Service::new("b", json!({"concurrency": 1, "cpuTime": "142ms"})),
    ]);
    let load = world.traffic.pod_load(at(20.0), world.pods[1][0]);
    assert_eq!(load.in_flight, 2, "b is full, but the queue is at a");
    let load = world.traffic.pod_load(at(20.0), world.pods[0][0]);
    assert!(load.queued > 40, "{load:?}");
}

#[test]
fn a_failed_call_fails_the_request_unless_it_can_be_left_out() {
    for (is_optional, answered) in [(false, 0), (true, 100)] {
        let mut world = World::new(&[
            Service::new("a", calls(&json!([{"service": "s/b", "optional": is_optional}])))
                .clients(ten_a_second()),
            Service::new("b", json!({"cpuTime": "20ms"})).pods(0),
        ]);
        let outcomes = world.figures(10.0, 0).outcomes;
        assert_eq!(outcomes.answered, answered);
        assert_eq!(outcomes.failed_by(FailureCause::Dependency), 100 - answered);
        let called = world.figures(10.0, 1).outcomes;
        assert_eq!(called.failed_by(FailureCause::NoEndpoint), 100);
    }
}

#[test]
fn services_that_call_each_other_in_a_circle_come_to_an_end() {
    let mut world = World::new(&[
        Service::new("a", json!({"calls": [{"service": "s/b"}]})).clients(ten_a_second()),
        Service::new("b", json!({"calls": [{"service": "s/a"}]})),
    ]);
    assert_eq!(world.figures(1.0, 0).outcomes.answered, 0);
    assert!(world.figures(1.0, 0).outcomes.failed_by(FailureCause::Dependency) >= 10);
}

#[test]
fn a_call_to_a_service_that_does_not_exist_fails() {
    let mut world = World::new(&[
        Service::new("a", calls(&json!([{"service": "s/nowhere"}]))).clients(ten_a_second())
    ]);
    assert_eq!(world.figures(1.0, 0).outcomes.failed_by(FailureCause::Dependency), 10);
}

#[test]
fn a_client_that_tries_again_gets_past_a_pod_that_refuses() {
    let clients = |retries: Value| {
        let mut clients = ten_a_second();
        clients["retries"] = retries;
        clients
    };
    let mut world = World::new(&[Service::new("a", json!({"cpuTime": "10ms"}))
        .pods(2)
        .clients(clients(json!({"attempts": 30})))]);
    world.traffic.set_state(SimTime::ZERO, world.pods[0][1], BackendState::Refusing);
    let outcomes = world.figures(100.0, 0).outcomes;
    assert!(outcomes.answered >= 995, "{outcomes:?}");
    // One of two pods refuses: each attempt fails with a chance of one half.
    assert!((850..1150).contains(&outcomes.retried), "{outcomes:?}");
}

/// The pod can do 11 requests a second and gets 7: a pause of five seconds is enough for a queue in
/// which every attempt times out, and every time-out brings another attempt, for good. A budget ends it.
#[test]
fn retries_turn_a_short_pause_into_a_storm_and_a_budget_ends_it() {
    let answered_late = |retries: Value| {
        let mut clients = ten_a_second();
        clients["load"]["rps"] = json!(7);
        clients["timeout"] = json!("10s");
        clients["retries"] = retries;
        let mut world =
            World::new(&[
                Service::new("a", json!({"concurrency": 1, "cpuTime": "90ms"})).clients(clients)
            ]);
        let pod = world.pods[0][0];
        world.traffic.set_cpu(at(20.0), pod, 0.01);
        world.traffic.set_cpu(at(25.0), pod, 1.0);
        let before = world.figures(200.0, 0).outcomes.answered;
        (
            world.figures(300.0, 0).outcomes.answered - before,
            world.figures(300.0, 0).outcomes.retried,
        )
    };
    let storm = answered_late(json!({"attempts": 5, "perTryTimeout": "1s"}));
    let budgeted = answered_late(json!({"attempts": 5, "perTryTimeout": "1s", "budget": 0.05}));
    assert!(storm.0 < 150, "{storm:?} of 700 are answered long after the pause");
    assert!(budgeted.0 > storm.0 + 300, "{budgeted:?} against {storm:?}");
    assert!(budgeted.1 * 2 < storm.1, "{budgeted:?} against {storm:?}");
}

/// Three retries at a time are always within the budget; here there is seldom more than one.
#[test]
fn a_retry_that_has_ended_leaves_its_place_in_the_budget() {
    for (state, ended) in
        [(BackendState::Refusing, "answered"), (BackendState::Unreachable, "given up")]
    {
        let mut clients = ten_a_second();
        clients["timeout"] = json!("80ms");
        clients["retries"] = json!({"attempts": 30, "perTryTimeout": "30ms", "budget": 0.01});
        let model = json!({"cpuTime": "1ms"});
        let mut world = World::new(&[Service::new("a", model).pods(2).clients(clients)]);
        world.traffic.set_state(SimTime::ZERO, world.pods[0][1], state);
        let early = world.figures(100.0, 0).outcomes.retried;
        let late = world.figures(200.0, 0).outcomes.retried - early;
        assert!(early > 300 && late > 300, "{ended}: {early} retries, then {late}");
    }
}

#[test]
fn a_caller_gives_up_but_the_pod_works_on() {
    let list = json!([{"service": "s/b", "timeout": "50ms"}]);
    let mut world = World::new(&[
        Service::new("a", calls(&list)).clients(ten_a_second()),
        Service::new("b", json!({"cpuTime": "80ms"})),
    ]);
    // Calls are made at 0.06 s, 0.16 s, ..., given up after 50 ms, done after 80 ms.
    assert_eq!(world.figures(10.02, 0).outcomes.failed_by(FailureCause::Dependency), 100);
    assert_eq!(world.figures(10.02, 1).outcomes.failed_by(FailureCause::Timeout), 100);
    assert_eq!(world.traffic.cpu_time_used(at(10.05), world.pods[1][0]), SimDuration::from_secs(8));
}

/// Half of the requests to a language model that is overloaded are given up; it makes no difference whether
/// they go by events, and a server that works on for nobody answers fewer.
#[test]
fn an_inference_server_drops_what_its_clients_gave_up() {
    let run = |policy: Value, aborts: bool| {
        let model = json!({"llm": {"model": "Llama-3.1-8B", "gpu": "A100-80GB", "maxNumSeqs": 32,
            "sessions": 50, "requestOverhead": "0s", "abortOnDisconnect": aborts,
            "promptTokens": {"mean": 800, "cv": 1}, "outputTokens": {"mean": 300, "cv": 1}}});
        let clients = json!({"load": {"pattern": "constant", "rps": 12}, "timeout": "10s"});
        let mut world = World::new(&[Service::new("llm", model).policy(policy).clients(clients)]);
        let figures = world.figures(300.0, 0);
        let ended = figures.outcomes.answered + figures.outcomes.failed_in_all();
        assert_eq!(figures.outcomes.arrived, ended + figures.in_flight);
        (figures.outcomes, figures.llm.expect("it was asked"))
    };
    let by_events = json!({"maxRequests": 1_000_000});
    let dropped = run(json!({}), true);
    assert_eq!(run(by_events.clone(), true), dropped);
    let worked_on = run(json!({}), false);
    assert_eq!(run(by_events, false), worked_on);
    let answered = [&dropped, &worked_on].map(|(outcomes, _)| outcomes.answered);
    assert!(answered[0] > 10 * answered[1], "{answered:?}");
    assert!(dropped.0.failed_by(FailureCause::Timeout) > 300, "{:?}", dropped.0);
}

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

#[test]
fn a_request_that_waited_too_long_is_dropped_when_its_turn_comes() {
    let model = json!({"concurrency": 1, "cpuTime": "200ms", "shedAfter": "300ms"});
    let mut world = World::new(&[Service::new("a", model).clients(ten_a_second())]);
    let figures = world.figures(100.0, 0);
    assert!(figures.outcomes.failed_by(FailureCause::Shed) > 450, "{figures:?}");
    assert!(figures.latencies.expect("answers").max <= SimDuration::from_millis(500));
    assert!(figures.outcomes.answered > 490, "the pod is busy all the time: {figures:?}");
}

#[test]
fn a_young_pod_is_slower_and_grows_out_of_it() {
    let model = json!({"cpuTime": "10ms", "young": {"slowdown": 3, "over": "10s"}});
    let mut world = World::new(&[Service::new("a", model).clients(ten_a_second())]);
    // From three times down to once, in a straight line: 20 ms in the mean.
    assert!((world.mean_ms(10.0, 0) - 20.0).abs() < 0.1);
    world.figures(20.0, 0);
    let late = world.traffic.intervals(ServiceId(0))[19].latencies.expect("answers");
    assert_eq!(late.max, SimDuration::from_millis(10));
}

/// What counts is when a worker takes a request up, not when it came. Four come at once, each with a second of CPU
/// time: they take 3 s, 1 + 2 * 0.7 = 2.4 s (begun at 3 s), 1 + 2 * 0.46 = 1.92 s (at 5.4 s), and
/// 1 + 2 * 0.268 = 1.536 s (at 7.32 s), so that they are answered after 3, 5.4, 7.32 and 8.856 s.
#[test]
fn a_request_is_as_slow_as_its_pod_is_young_when_its_turn_comes() {
    let model = json!({"concurrency": 1, "cpuTime": "1s", "young": {"slowdown": 3, "over": "10s"}});
    let burst = || {
        let steps = json!([{"at": "0s", "rps": 4e6}, {"at": "1us", "rps": 0}]);
        json!({"load": {"pattern": "step", "steps": steps}, "arrivals": "even"})
    };
    let mut world = World::new(&[Service::new("a", model).clients(burst())]);
    assert_eq!(world.figures(20.0, 0).outcomes.answered, 4);
    let mean = world.mean_ms(20.0, 0);
    assert!((mean - (3000.0 + 5400.0 + 7320.0 + 8856.0) / 4.0).abs() < 0.01, "{mean}");
}

/// Its process starts again after a minute: caches are cold once more.
#[test]
fn a_pod_that_serves_again_is_young_again() {
    let model = json!({"cpuTime": "10ms", "young": {"slowdown": 3, "over": "10s"}});
    let mut world = World::new(&[Service::new("a", model).clients(ten_a_second())]);
    let pod = world.pods[0][0];
    world.traffic.stop_backend(at(60.0), pod, FailureCause::Refused);
    world.traffic.set_state(at(61.0), pod, BackendState::Serving);
    world.figures(80.0, 0);
    let intervals = world.traffic.intervals(ServiceId(0));
    // In the first second the factor falls from 3 to 2.8, in the second one to 2.6.
    for (second, mean) in [(0, 29.0), (59, 10.0), (61, 29.0), (62, 27.0), (79, 10.0)] {
        let found = intervals[second].latencies.expect("answers").mean.as_millis_f64();
        assert!((found - mean).abs() < 0.15, "{second}: {found}");
    }
}

/// Half a core: a burst runs at full speed until 50 ms of CPU time are used up, and then stands still
/// until the period of 100 ms is over.
#[test]
fn a_quota_lets_bursts_run_and_then_stops_them() {
    let model = json!({"concurrency": 1, "cpuTime": "60ms"});
    let clients = json!({"load": {"pattern": "step", "steps": [{"at": "0s", "rps": 5}, {"at": "0.2s", "rps": 0}]},
                         "arrivals": "even"});
    let mut world = World::new(&[Service::new("a", model).clients(clients)]);
    world.traffic.set_quota(SimTime::ZERO, world.pods[0][0], Some(0.5));
    // It comes at 100 ms, the beginning of a period, uses 50 ms, stands for 50 ms, and needs 10 ms more.
    assert!((world.mean_ms(1.0, 0) - 110.0).abs() < 1e-3);
}

/// What befalls the pods of a graph.
#[derive(Clone, Copy, Debug)]
enum Fault {
    State(BackendState),
    Stop,
    Remove,
    Cpu(f64),
    Quota(Option<f64>),
    Endpoints(u8),
    /// Of all services the pods of this number share so many cores; absent = no more.
    Crowd(Option<f64>),
}

fn any_fault() -> impl Strategy<Value = (f64, usize, usize, Fault)> {
    let fault = prop_oneof![
        Just(Fault::State(BackendState::Serving)),
        Just(Fault::State(BackendState::Refusing)),
        Just(Fault::State(BackendState::Unreachable)),
        Just(Fault::Stop),
        Just(Fault::Remove),
        (0..40u8).prop_map(|tenths| Fault::Cpu(f64::from(tenths) / 10.0)),
        prop::option::of(0.0..2.0f64).prop_map(Fault::Quota),
        any::<u8>().prop_map(Fault::Endpoints),
        prop::option::weighted(0.7, 0.0..3.0f64).prop_map(Fault::Crowd),
    ];
    (0.0..20.0f64, 0..4usize, 0..3usize, fault)
}

/// What a gateway may do with its requests: any time-outs, retries for any causes, at once or later.
fn any_route_policy() -> impl Strategy<Value = RoutePolicy> {
    let times = || prop::option::of((1..800i64).prop_map(SimDuration::from_millis));
    let retries = (0..5u32, 0..60i64, any::<u16>(), times(), any::<bool>());
    let retries = retries.prop_map(|(attempts, backoff, causes, window, is_once_per_endpoint)| {
        let all = FailureCause::ALL.into_iter().enumerate();
        let causes = all.filter(|(bit, _)| causes >> bit & 1 == 1).map(|(_, cause)| cause);
        let backoff = SimDuration::from_millis(backoff);
        let attempts = if is_once_per_endpoint { u32::MAX } else { attempts };
        let spec =
            RetrySpec { attempts, backoff, max_backoff: backoff * 4, ..RetrySpec::default() };
        Retries { spec, causes: Causes::of(causes), window, is_once_per_endpoint }
    });
    (times(), times(), times(), prop::option::of(retries)).prop_map(
        |(timeout, try_timeout, connect_timeout, retries)| RoutePolicy {
            timeout,
            try_timeout,
            connect_timeout,
            retries,
            client_limits: None,
        },
    )
}

fn graph(settings: &[(u32, bool, bool, bool)], policies: &[(f64, RoutePolicy)]) -> World {
    let [a, b, c, d] = [0, 1, 2, 3].map(|one| settings[one]);
    let retries =
        |has: bool| has.then(|| json!({"attempts": 2, "perTryTimeout": "150ms", "budget": 0.5}));
    let call = |service: &str, of: (u32, bool, bool, bool)| {
        let mut call = json!({"service": service, "timeout": "400ms", "optional": of.2});
        if let Some(retries) = retries(of.1) {
            call["retries"] = retries;
        }
        call
    };
    let policy = |of: (u32, bool, bool, bool)| match of.0 % 5 {
        0 => json!({"balancer": "leastRequest"}),
        1 => json!({"outlierDetection": {"consecutiveFailures": 2, "baseEjectionTime": "2s"}}),
        2 => json!({"maxRequests": 6, "connections": {"count": 5}}),
        3 => json!({"workQueue": true}),
        _ => json!({"balancer": "ringHash"}),
    };
    let mut second = call("s/c", c);
    second["withPrevious"] = json!(b.3);
    let law = json!({"distribution": "exponential", "mean": "25ms"});
    let model = |of: (u32, bool, bool, bool), calls: Value| {
        json!({"concurrency": 1 + of.0 % 4, "queue": 8, "cpuTime": law, "waitTime": "5ms", "calls": calls,
               "shedAfter": "200ms"})
    };
    let mut clients = json!({"load": {"pattern": "constant", "rps": 40}, "timeout": "700ms"});
    if let Some(retries) = retries(a.1) {
        clients["retries"] = retries;
    }
    let users = json!({"users": 12, "thinkTime": law, "rampUp": "3s"});
    if a.3 {
        clients["load"] = json!({"add": [clients["load"], users]});
        clients["arrivals"] = json!("mmpp");
        clients["states"] = json!([{"weight": 1, "mean": "2s"}, {"weight": 4, "mean": "1s"}]);
    }
    let of_d = if d.2 { json!({"load": users}) } else { ten_a_second() };
    World::new(&[
        Service::new("a", model(a, json!([call("s/b", b), second])))
            .pods(3)
            .policy(policy(a))
            .clients(clients)
            .route(ten_a_second(), policies.to_vec()),
        Service::new("b", model(b, json!([call("s/d", d)]))).pods(3).policy(policy(b)),
        Service::new("c", model(c, json!([])))
            .pods(3)
            .policy(policy(c))
            .route(ten_a_second(), policies.iter().take(1).cloned().collect()),
        Service::new("d", model(d, json!([]))).pods(3).policy(policy(d)).clients(of_d),
    ])
}

fn befall(world: &mut World, seconds: f64, service: usize, pod: usize, fault: Fault) {
    let now = at(seconds);
    let id = world.pods[service][pod];
    let traffic = &mut world.traffic;
    match fault {
        Fault::State(state) => traffic.set_state(now, id, state),
        Fault::Stop => traffic.stop_backend(now, id, FailureCause::Killed),
        Fault::Remove => traffic.remove_backend(now, id, FailureCause::Killed),
        Fault::Cpu(cores) => traffic.set_cpu(now, id, cores),
        Fault::Quota(cores) => traffic.set_quota(now, id, cores),
        Fault::Endpoints(mask) => {
            let kept = (0..3).filter(|one| mask >> one & 1 == 1);
            let kept: Vec<BackendId> = kept.map(|one| world.pods[service][one]).collect();
            let service = u32::try_from(service).expect("few services");
            traffic.set_endpoints(now, ServiceId(service), &kept);
        }
        Fault::Crowd(Some(cores)) => {
            let weighted = world.pods.iter().zip([1.0, 2.0, 2.0, 5.0]);
            let claims = weighted.map(|(pods, weight)| CpuClaim {
                backend: Some(pods[pod]),
                limit: 4.0,
                burst: 4.0,
                weight,
                own: if weight > 4.0 { cores / 3.0 } else { 0.0 },
            });
            let claims: Vec<CpuClaim> = claims.collect();
            world.nodes[pod] = Some(traffic.share_cpu(now, world.nodes[pod], cores, &claims).id);
        }
        Fault::Crowd(None) => {
            if let Some(node) = world.nodes[pod].take() {
                traffic.end_cpu_sharing(now, node);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_are_answered_or_failed_or_under_way_whatever_befalls_the_pods(
        settings in prop::collection::vec(any::<(u32, bool, bool, bool)>(), 4),
        faults in prop::collection::vec(any_fault(), 0..12),
        policies in prop::collection::vec((0.0..15.0f64, any_route_policy()), 1..4),
    ) {
        let mut policies = policies;
        policies.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut faults = faults;
        faults.sort_by(|one, other| one.0.total_cmp(&other.0));
        let [mut watched, mut alone] = [(); 2].map(|()| graph(&settings, &policies));
        for (seconds, service, pod, fault) in &faults {
            // Asking in between must change nothing.
            for service in 0..4 {
                let ServiceFigures { outcomes, in_flight, .. } = watched.figures(*seconds, service);
                let ended = outcomes.answered + outcomes.failed_in_all();
                prop_assert_eq!(outcomes.arrived, ended + in_flight, "service {} at {}", service, seconds);
            }
            befall(&mut watched, *seconds, *service, *pod, *fault);
            befall(&mut alone, *seconds, *service, *pod, *fault);
        }
        for service in 0..4 {
            let [one, other] = [&mut watched, &mut alone].map(|world| world.figures(30.0, service));
            prop_assert_eq!(one, other);
            let ended = one.outcomes.answered + one.outcomes.failed_in_all();
            prop_assert_eq!(one.outcomes.arrived, ended + one.in_flight);
        }
    }
}

/// With think times of mean Z, one server of mean S and N users, machine repair gives the throughput:
/// mu (1 - p0), 1/p0 = sum over n of N!/(N-n)! (S/Z)^n.
#[test]
fn users_in_a_closed_loop_have_the_throughput_of_machine_repair() {
    let (users, think, service) = (20u32, 1.0, 0.08);
    let exponential = |mean: &str| json!({"distribution": "exponential", "mean": mean});
    let mut world =
        World::new(&[Service::new("a", json!({"concurrency": 1, "cpuTime": exponential("80ms")}))
            .clients(json!({"load": {"users": users, "thinkTime": exponential("1s")}}))]);
    let seconds = 6_000.0;
    let figures = world.figures(seconds, 0);
    let (mut term, mut sum) = (1.0, 1.0);
    for busy in 0..users {
        term *= f64::from(users - busy) * service / think;
        sum += term;
    }
    let throughput = (1.0 - 1.0 / sum) / service;
    let found = figures.outcomes.answered as f64 / seconds;
    assert!((found / throughput - 1.0).abs() < 0.02, "{found} {throughput}");
    // Little's law for the whole loop: N = X (R + Z).
    let response = f64::from(users) / throughput - think;
    let mean = figures.latencies.expect("answers").mean.as_secs_f64();
    assert!((mean / response - 1.0).abs() < 0.05, "{mean} {response}");
    assert!(figures.in_flight <= u64::from(users));
    assert_eq!(figures.outcomes.arrived, figures.outcomes.answered + figures.in_flight);
}

#[test]
fn users_who_are_refused_at_once_ask_again_after_thinking() {
    let mut world = World::new(&[Service::new("a", json!({"cpuTime": "1ms"}))
        .clients(json!({"load": {"users": 3, "thinkTime": "0s", "rampUp": "2s"}}))]);
    let pod = world.pods[0][0];
    world.traffic.set_state(at(0.0), pod, BackendState::Refusing);
    let figures = world.figures(1.0, 0);
    // The second user comes after two thirds of a second; none asks more often than once in 1 ms.
    let refused = figures.outcomes.failed_by(FailureCause::Refused);
    assert_eq!(figures.outcomes.arrived, refused);
    assert!((1_330..=1_340).contains(&refused), "{refused}");
}

fn route(timeout: Option<i64>, try_timeout: Option<i64>, retries: Option<Retries>) -> RoutePolicy {
    let [timeout, try_timeout] = [timeout, try_timeout].map(|ms| ms.map(SimDuration::from_millis));
    RoutePolicy { timeout, try_timeout, retries, ..RoutePolicy::default() }
}

fn at_once(attempts: u32, causes: &[FailureCause]) -> Retries {
    let none = SimDuration::ZERO;
    let spec = RetrySpec { attempts, backoff: none, max_backoff: none, ..RetrySpec::default() };
    Retries { causes: Causes::of(causes.iter().copied()), ..Retries::from(spec) }
}

/// Whether a share of so many requests is within four standard deviations of what theory says.
fn is_near(share: f64, exact: f64, requests: f64) -> bool {
    (share - exact).abs() < 4.0 * (exact * (1.0 - exact) / requests).sqrt()
}

/// With any number of places and exponential times of mean S a request takes longer than T with
/// p = exp(-T/S). How long a further try takes is drawn anew: with two of them p^3 of all fail, and p + p^2
/// further tries are made of each.
#[test]
fn a_route_gives_up_what_takes_too_long_as_often_as_the_exponential_law_says() {
    let law = json!({"distribution": "exponential", "mean": "100ms"});
    let model = json!({"concurrency": 100_000, "waitTime": law});
    let load = json!({"load": {"pattern": "constant", "rps": 400}});
    let retries = at_once(2, &[FailureCause::Timeout]);
    let policy = route(None, Some(120), Some(retries));
    let mut world = World::new(&[Service::new("a", model).route(load, vec![(0.0, policy)])]);
    let outcomes = world.figures(500.0, 0).outcomes;
    let arrived = outcomes.arrived as f64;
    let p = (-1.2f64).exp();
    let failed = outcomes.failed_by(FailureCause::Timeout) as f64 / arrived;
    let retried = outcomes.retried as f64 / arrived;
    assert!(is_near(failed, p.powi(3), arrived), "{failed} of {arrived}");
    assert!((retried - (p + p * p)).abs() < 0.01, "{retried}, not {}", p + p * p);
    assert_eq!(outcomes.failed_in_all(), outcomes.failed_by(FailureCause::Timeout));
}

/// One of three pods refuses, and each try finds its pod by chance: with n further tries 1/3^(n+1) of the
/// requests fail, and 1/3 + ... + 1/3^n further tries are made of each.
#[test]
fn a_route_tries_again_as_often_as_chance_has_tries_refused() {
    let load = json!({"load": {"pattern": "constant", "rps": 400}});
    let policy = route(None, None, Some(at_once(2, &[FailureCause::Refused])));
    let model = json!({"waitTime": "1ms"});
    let mut world =
        World::new(&[Service::new("a", model).pods(3).route(load, vec![(0.0, policy)])]);
    let pod = world.pods[0][0];
    world.traffic.set_state(at(0.0), pod, BackendState::Refusing);
    let outcomes = world.figures(250.0, 0).outcomes;
    let arrived = outcomes.arrived as f64;
    let failed = outcomes.failed_by(FailureCause::Refused) as f64 / arrived;
    assert!(is_near(failed, 1.0 / 27.0, arrived), "{failed}");
    let retried = outcomes.retried as f64 / arrived;
    assert!(is_near(retried, 1.0 / 3.0 + 1.0 / 9.0, arrived), "{retried}");
}

#[test]
fn the_time_of_the_request_ends_its_tries_and_waits() {
    let model = json!({"concurrency": 100_000, "waitTime": "10s"});
    let retries = at_once(9, &[FailureCause::Timeout]);
    let policy = route(Some(350), Some(100), Some(retries));
    let mut world =
        World::new(&[Service::new("a", model).route(ten_a_second(), vec![(0.0, policy)])]);
    // Each request: tries at 0, 100, 200 and 300 ms, the end at 350 ms.
    let ServiceFigures { outcomes, in_flight, .. } = world.figures(10.0, 0);
    assert_eq!((outcomes.arrived, in_flight), (100, 3));
    assert_eq!(outcomes.failed_by(FailureCause::Timeout), 97);
    assert_eq!(outcomes.retried, 97 * 3 + 2 + 1);
}

#[test]
fn a_route_tries_again_after_its_own_causes_and_no_others() {
    let policy = route(Some(1_000), None, Some(at_once(3, &[FailureCause::Killed])));
    let service = || {
        let policies = vec![(0.0, policy.clone())];
        Service::new("a", json!({"waitTime": "40ms"})).route(ten_a_second(), policies)
    };
    let mut world = World::new(&[service()]);
    let pod = world.pods[0][0];
    world.traffic.set_state(at(0.0), pod, BackendState::Refusing);
    let outcomes = world.figures(10.0, 0).outcomes;
    assert_eq!((outcomes.failed_by(FailureCause::Refused), outcomes.retried), (100, 0));
    // The request of 0.05 s is in the pod when it stops; what comes then is refused.
    let mut world = World::new(&[service()]);
    let pod = world.pods[0][0];
    world.traffic.stop_backend(at(0.06), pod, FailureCause::Killed);
    let outcomes = world.figures(0.1, 0).outcomes;
    assert_eq!((outcomes.failed_by(FailureCause::Refused), outcomes.retried), (1, 1));
}

#[test]
fn a_route_waits_for_a_silent_node_as_long_as_it_takes_to_connect() {
    let connect_timeout = Some(SimDuration::from_millis(200));
    let retries = Some(at_once(1, &[FailureCause::Unreachable]));
    let policy = RoutePolicy { connect_timeout, retries, ..route(None, Some(5_000), None) };
    let mut world = World::new(&[Service::new("a", json!({"waitTime": "1s"}))
        .pods(2)
        .policy(json!({"balancer": "roundRobin"}))
        .route(ten_a_second(), vec![(0.0, policy)])]);
    let silent = world.pods[0][0];
    world.traffic.set_state(at(0.0), silent, BackendState::Unreachable);
    // A request is in the other pod when that falls silent too: it was sent, so its caller waits on.
    let other = world.pods[0][1];
    world.traffic.set_state(at(0.2), other, BackendState::Unreachable);
    let ServiceFigures { outcomes, in_flight, .. } = world.figures(3.0, 0);
    // Two tries of 200 ms each: all that came by 2.55 s have failed, but for the one that was sent.
    assert_eq!(outcomes.failed_by(FailureCause::Unreachable), outcomes.arrived - in_flight);
    assert_eq!((outcomes.arrived, in_flight), (30, 5));
}

#[test]
fn a_route_without_a_limit_of_tries_makes_one_for_each_endpoint() {
    let retries = Retries { is_once_per_endpoint: true, ..at_once(u32::MAX, &FailureCause::ALL) };
    let policy = route(None, None, Some(retries));
    let mut world = World::new(&[Service::new("a", json!({}))
        .pods(4)
        .route(ten_a_second(), vec![(0.0, policy)])]);
    for pod in world.pods[0].clone() {
        world.traffic.set_state(at(0.0), pod, BackendState::Refusing);
    }
    let outcomes = world.figures(1.0, 0).outcomes;
    assert_eq!((outcomes.failed_by(FailureCause::Refused), outcomes.retried), (10, 30));
}

#[test]
fn a_route_treats_requests_as_it_does_when_they_come() {
    let model = json!({"concurrency": 100, "waitTime": "50ms"});
    let policies = vec![(0.0, route(Some(60), None, None)), (5.0, route(Some(40), None, None))];
    let mut world = World::new(&[Service::new("a", model).route(ten_a_second(), policies)]);
    let outcomes = world.figures(10.0, 0).outcomes;
    assert_eq!(outcomes.answered, 50);
    assert_eq!(outcomes.failed_by(FailureCause::Timeout), 50);
}
