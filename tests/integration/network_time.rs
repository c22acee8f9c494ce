//! Network time: each hop adds its round trip to the latency, and nothing else changes.

use serde_json::{Value, json};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    BackendId, BackendState, FailureCause, NetworkSpec, Recording, RequestModelId,
    RequestModelSpec, RoutePolicy, RouteTraffic, ServiceFigures, ServiceId, ServiceSpec,
    ServiceTraffic, Traffic, TrafficSpec, Via,
};

/// Services `s/0`, `s/1`, ... with one pod each on the node and in the zone of their number; ten requests a second
/// arrive at the first.
struct World {
    traffic: Traffic,
    pods: Vec<BackendId>,
}

fn at(seconds: f64) -> SimTime {
    SimTime::from_secs_f64(seconds)
}

fn rps(rps: u32) -> Value {
    json!({"service": "s/0", "load": {"pattern": "constant", "rps": rps}, "arrivals": "even"})
}

impl World {
    fn new(models: &[Value], network: &Value) -> Self {
        Self::with(models, network, &rps(10), &json!({"service": "s/0"}), Via::KubeProxy)
    }

    fn with(models: &[Value], network: &Value, clients: &Value, policy: &Value, via: Via) -> Self {
        let streams = Streams::new(7);
        let services = (0..).zip(models).map(|(number, _)| {
            let name = format!("s/{number}");
            if number > 0 {
                return ServiceTraffic::without_clients(name);
            }
            let spec: TrafficSpec = serde_json::from_value(clients.clone()).expect("settings");
            let policy: ServiceSpec = serde_json::from_value(policy.clone()).expect("settings");
            let arrivals = spec.arrivals("", None, streams.stream(&name, 0)).expect("right");
            let mut policy = policy.policy();
            policy.via = via;
            ServiceTraffic {
                arrivals,
                timeout: spec.timeout,
                retries: spec.retries,
                policy,
                ..ServiceTraffic::without_clients(name)
            }
        });
        let settings = models.iter().map(|model| {
            let model: RequestModelSpec = serde_json::from_value(model.clone()).expect("settings");
            model.model("").expect("right")
        });
        let recording = Recording {
            interval: SimDuration::from_secs(1),
            warm_up: SimDuration::ZERO,
            waits: false,
        };
        let mut traffic = Traffic::new(services.collect(), settings.collect(), streams, recording);
        let network: NetworkSpec = serde_json::from_value(network.clone()).expect("settings");
        if let Some(times) = network.times() {
            traffic.use_network_times(times);
        }
        let pods = (0..).zip(models).map(|(number, _)| {
            let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(number), 4.0);
            traffic.set_node(pod, number);
            traffic.set_zone(pod, u16::try_from(number).expect("few"));
            traffic.set_endpoints(SimTime::ZERO, ServiceId(number), &[pod]);
            pod
        });
        let pods = pods.collect();
        Self { traffic, pods }
    }

    /// The pod of each service moves to this node and zone.
    fn placed(mut self, places: &[(u32, u16)]) -> Self {
        for (pod, (node, zone)) in self.pods.iter().zip(places) {
            self.traffic.set_node(*pod, *node);
            self.traffic.set_zone(*pod, *zone);
        }
        self
    }

    fn figures(&mut self, seconds: f64, service: u32) -> ServiceFigures {
        self.traffic.figures(at(seconds), ServiceId(service))
    }

    fn mean_ms(&mut self, service: u32) -> f64 {
        let latencies = self.figures(1000.0, service).latencies.expect("requests were answered");
        latencies.mean.as_millis_f64()
    }
}

/// A request to the first service calls the second.
fn chain() -> [Value; 2] {
    [json!({"cpuTime": "10ms", "calls": [{"service": "s/1"}]}), json!({"cpuTime": "20ms"})]
}

#[test]
fn each_hop_adds_the_round_trip_of_its_distance() {
    let network = json!({"sameNode": "1ms", "sameZone": "2ms", "betweenZones": "4ms",
                         "betweenRegions": "8ms", "clients": "16ms"});
    for (places, hop) in [([(0, 0), (0, 0)], 1.0), ([(0, 0), (1, 0)], 2.0), ([(0, 0), (1, 1)], 4.0)]
    {
        let mut world = World::new(&chain(), &network).placed(&places);
        assert!((world.mean_ms(0) - (30.0 + 16.0 + hop)).abs() < 1e-3, "{places:?}");
        assert!((world.mean_ms(1) - (20.0 + hop)).abs() < 1e-3, "{places:?}");
    }
    let mut world = World::new(&chain(), &network);
    world.traffic.set_region(0, 0);
    world.traffic.set_region(1, 1);
    assert!((world.mean_ms(0) - (30.0 + 16.0 + 8.0)).abs() < 1e-3, "between regions");
}

#[test]
fn the_mean_rises_by_the_mean_of_the_distribution() {
    let network = json!({"betweenZones": {"distribution": "exponential", "mean": "5ms"}});
    let mut world = World::new(&chain(), &network);
    // 10,000 calls: the standard error is 0.05 ms.
    assert!((world.mean_ms(1) - 25.0).abs() < 0.2);
    assert!((world.mean_ms(0) - 35.0).abs() < 0.2);
}

#[test]
fn no_network_time_leaves_a_run_as_it_is() {
    let run = |network: &Value| {
        let model =
            json!({"concurrency": 1, "cpuTime": {"distribution": "exponential", "mean": "80ms"}});
        World::new(&[model], network).mean_ms(0)
    };
    let none = run(&json!({}));
    assert_eq!(none.to_bits(), run(&json!({"sameZone": "0s"})).to_bits());
    // The queue of one pod is shifted as a whole by a constant time.
    assert!((run(&json!({"clients": "6ms"})) - none - 6.0).abs() < 0.05);
}

#[test]
fn a_pod_is_free_while_its_answer_is_under_way() {
    // With the round trip of 150 ms in its slot a pod could answer four of ten requests a second.
    let model = json!({"concurrency": 1, "queue": 0, "cpuTime": "90ms"});
    let mut world = World::new(&[model], &json!({"clients": "150ms"}));
    let outcomes = world.figures(1000.0, 0).outcomes;
    assert_eq!(outcomes.failed_by(FailureCause::QueueFull), 0);
    assert_eq!(outcomes.answered, 9_998, "the last two are under way");
}

#[test]
fn a_caller_keeps_its_slot_until_the_answer_has_come_back() {
    let models = [
        json!({"concurrency": 1, "queue": 0, "cpuTime": "30ms", "calls": [{"service": "s/1"}]}),
        json!({"cpuTime": "20ms"}),
    ];
    let failed = |network: Value| {
        World::new(&models, &network).figures(100.0, 0).outcomes.failed_by(FailureCause::QueueFull)
    };
    assert_eq!(failed(json!({"betweenZones": "40ms"})), 0);
    assert_eq!(
        failed(json!({"betweenZones": "60ms"})),
        500,
        "every second one meets the one before"
    );
}

#[test]
fn a_client_that_waits_less_than_the_round_trip_gets_no_answer() {
    let clients = json!({"service": "s/0", "load": {"pattern": "constant", "rps": 10},
                         "arrivals": "even", "timeout": "40ms"});
    let policy = json!({"service": "s/0"});
    for via in [Via::KubeProxy, Via::IngressController] {
        let run = |trip: &str| {
            let network = json!({ "clients": trip });
            let models = [json!({"cpuTime": "10ms"})];
            let mut world = World::with(&models, &network, &clients, &policy, via);
            world.figures(100.0, 0).outcomes
        };
        assert_eq!(run("29ms").failed_by(FailureCause::Timeout), 0);
        let late = run("31ms");
        assert_eq!((late.answered, late.failed_by(FailureCause::Timeout)), (0, 1000), "{via:?}");
    }
}

#[test]
fn a_retry_of_a_client_pays_the_way_again_and_that_of_a_gateway_does_not() {
    // The first try at the pod fails after 50 ms, as it takes longer than the try's timeout.
    let retries =
        json!({"attempts": 1, "perTryTimeout": "50ms", "backoff": "0s", "maxBackoff": "0s"});
    let clients = json!({"service": "s/0", "load": {"pattern": "constant", "rps": 10},
                         "arrivals": "even", "retries": retries, "timeout": "1s"});
    let policy = json!({"service": "s/0"});
    let tries = |via| {
        let models = [json!({"cpuTime": "10ms"})];
        let network = json!({"clients": "45ms"});
        let mut world = World::with(&models, &network, &clients, &policy, via);
        world.figures(100.0, 0).outcomes
    };
    let direct = tries(Via::KubeProxy);
    assert_eq!(direct.answered, 0, "10 ms and 45 ms are more than 50 ms for every try");
    assert_eq!(direct.retried, 1000);
    let by_gateway = tries(Via::Gateway);
    assert_eq!((by_gateway.retried, by_gateway.answered), (0, 999));
}

#[test]
fn requests_of_a_gateway_come_from_every_zone() {
    let network = json!({"sameZone": "3ms", "betweenZones": "9ms", "clients": "20ms"});
    let models = [json!({"cpuTime": "10ms"}), json!({}), json!({})];
    let policy = json!({"service": "s/0"});
    let mut world = World::with(&models, &network, &rps(10), &policy, Via::Gateway);
    // A third of them from the pod's own zone.
    assert!((world.mean_ms(0) - (10.0 + 20.0 + 7.0)).abs() < 0.2);
}

#[test]
fn a_refused_connection_takes_the_round_trip_too() {
    let retries = json!({"attempts": 100, "backoff": "0s", "maxBackoff": "0s"});
    let clients = json!({"service": "s/0", "load": {"pattern": "constant", "rps": 1},
                         "arrivals": "even", "retries": retries, "timeout": "105ms"});
    let models = [json!({"cpuTime": "10ms"})];
    let policy = json!({"service": "s/0"});
    let network = json!({"clients": "10ms"});
    let mut world = World::with(&models, &network, &clients, &policy, Via::KubeProxy);
    world.traffic.set_state(SimTime::ZERO, world.pods[0], BackendState::Refusing);
    let outcomes = world.figures(100.0, 0).outcomes;
    // Of each request ten tries fail within 105 ms, and the eleventh is under way.
    assert_eq!(outcomes.retried, 10 * 100);
}

#[test]
fn a_request_under_way_to_a_pod_that_stops_is_refused_there() {
    let models = [json!({"cpuTime": "10ms"})];
    let mut world = World::new(&models, &json!({"clients": "20ms"}));
    // One left at 0.05 s and arrives at 0.06 s.
    world.traffic.stop_backend(at(0.055), world.pods[0], FailureCause::Killed);
    let outcomes = world.figures(0.1, 0).outcomes;
    assert_eq!(outcomes.failed_by(FailureCause::Refused), 1);
}

#[test]
fn the_less_busy_pod_is_the_one_with_fewer_requests_under_way() {
    let models = [json!({"concurrency": 4, "cpuTime": "1ms"})];
    let policy = json!({"service": "s/0", "balancer": "leastConnections"});
    let network = json!({"clients": "100ms"});
    let mut world = World::with(&models, &network, &rps(1000), &policy, Via::KubeProxy);
    let other = world.traffic.add_backend(SimTime::ZERO, RequestModelId(0), 4.0);
    let both = [world.pods[0], other];
    world.traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &both);
    world.traffic.advance(at(10.0));
    let taken = both.map(|pod| world.traffic.taken(at(10.0), pod));
    assert!(taken[0].abs_diff(taken[1]) <= 1, "{taken:?}");
}

#[test]
fn a_route_counts_the_way_of_its_clients_once() {
    let streams = Streams::new(3);
    let spec: TrafficSpec = serde_json::from_value(rps(10)).expect("settings");
    let arrivals = spec.arrivals("", None, streams.stream("route", 0)).expect("right");
    let policy =
        RoutePolicy { connect_timeout: Some(SimDuration::from_secs(5)), ..Default::default() };
    let route = RouteTraffic {
        name: "shop".into(),
        arrivals,
        policies: vec![(SimTime::ZERO, policy)],
        has_port: true,
        canary_of: None,
        mirrors: Vec::new(),
    };
    let service = ServiceTraffic::without_clients("s/0".into());
    let mut policy = service.policy.clone();
    policy.via = Via::Gateway;
    let service = ServiceTraffic { policy, routes: vec![route], ..service };
    let model: RequestModelSpec =
        serde_json::from_value(json!({"cpuTime": "10ms"})).expect("settings");
    let recording =
        Recording { interval: SimDuration::from_secs(1), warm_up: SimDuration::ZERO, waits: false };
    let models = vec![model.model("").expect("right")];
    let mut traffic = Traffic::new(vec![service], models, streams, recording);
    let network: NetworkSpec =
        serde_json::from_value(json!({"clients": "30ms", "sameZone": "2ms"})).expect("settings");
    traffic.use_network_times(network.times().expect("not zero"));
    let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), 4.0);
    traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &[pod]);
    let latencies = traffic.figures(at(100.0), ServiceId(0)).latencies.expect("answers");
    assert!((latencies.mean.as_millis_f64() - 42.0).abs() < 1e-3, "{latencies:?}");
}
