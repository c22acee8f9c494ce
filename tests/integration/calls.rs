//! Requests that call other services, are retried, or come from users in a closed loop.

mod pod_speed;
mod random_faults;
mod route_policies;
mod service_policies;
mod work_queues;

use serde_json::{Value, json};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    BackendId, BackendState, FailureCause, NodeCpuId, Recording, RequestModelId, RequestModelSpec,
    RoutePolicy, RouteTraffic, ServiceFigures, ServiceId, ServiceSpec, ServiceTraffic, Traffic,
    TrafficSpec,
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
