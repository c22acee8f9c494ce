//! What becomes of a request on its way: where it goes, why it fails, when that is known.

use serde_json::{Value, json};
use wavetank::engine::random::index_below;
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    BackendId, BackendState, Balancer, FailureCause, Outcomes, Recording, RequestModelId,
    RequestModelSpec, ServiceId, ServicePolicy, ServiceSpec, ServiceTraffic, Traffic, TrafficSpec,
};

const SERVICE: ServiceId = ServiceId(0);

/// Services named 0, 1, ... whose pods all behave as `model`.
fn traffic(services: &[Value], model: Value, warm_up_seconds: i64) -> Traffic {
    let streams = Streams::new(11);
    let services = services.iter().zip(0..).map(|(spec, number)| {
        let mut spec = spec.clone();
        spec["service"] = json!(number.to_string());
        let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
        let stream = streams.stream("arrivals", number);
        let arrivals = spec.arrivals("", None, stream).expect("right settings");
        ServiceTraffic::plain(spec.service.to_string(), arrivals, spec.balancer, spec.timeout)
    });
    let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
    let recording = Recording {
        interval: SimDuration::from_secs(1),
        warm_up: SimDuration::from_secs(warm_up_seconds),
        waits: false,
    };
    let models = vec![model.model("").expect("right settings")];
    Traffic::new(services.collect(), models, streams, recording)
}

/// Ten requests a second, at 0.05 s, 0.15 s, ...
fn ten_a_second() -> Value {
    json!({"load": {"pattern": "constant", "rps": 10}, "arrivals": "even"})
}

fn with(mut spec: Value, field: &str, value: Value) -> Value {
    spec[field] = value;
    spec
}

fn pods(traffic: &mut Traffic, count: usize, cores: f64) -> Vec<BackendId> {
    let pods: Vec<BackendId> =
        (0..count).map(|_| traffic.add_backend(SimTime::ZERO, RequestModelId(0), cores)).collect();
    traffic.set_endpoints(SimTime::ZERO, SERVICE, &pods);
    pods
}

fn at(seconds: f64) -> SimTime {
    SimTime::from_secs_f64(seconds)
}

fn outcomes(traffic: &mut Traffic, seconds: f64) -> Outcomes {
    traffic.figures(at(seconds), SERVICE).outcomes
}

#[test]
fn a_service_without_endpoints_fails_at_once() {
    let mut traffic = traffic(&[ten_a_second()], json!({"cpuTime": "1ms"}), 0);
    assert_eq!(outcomes(&mut traffic, 1.0).failed_by(FailureCause::NoEndpoint), 10);
}

#[test]
fn a_pod_that_does_not_listen_refuses_and_one_that_is_gone_answers_nothing() {
    let spec = with(ten_a_second(), "timeout", json!("5s"));
    let mut traffic = traffic(&[spec], json!({"cpuTime": "1ms"}), 0);
    let pod = pods(&mut traffic, 1, 1.0)[0];
    traffic.set_state(at(1.0), pod, BackendState::Refusing);
    traffic.remove_backend(at(2.0), pod, FailureCause::Killed);
    assert_eq!(outcomes(&mut traffic, 3.0).answered, 10);
    assert_eq!(outcomes(&mut traffic, 3.0).failed_by(FailureCause::Refused), 10);
    assert_eq!(outcomes(&mut traffic, 8.0).failed_by(FailureCause::Unreachable), 10);
}

#[test]
fn an_application_that_stops_listening_finishes_what_it_has() {
    let mut traffic = traffic(&[ten_a_second()], json!({"waitTime": "1s"}), 0);
    let pod = pods(&mut traffic, 1, 1.0)[0];
    traffic.set_state(at(0.5), pod, BackendState::Refusing);
    assert_eq!(traffic.in_flight(at(0.5), pod), 5);
    assert_eq!(traffic.drained_at(at(0.5), pod), at(1.45));
    assert_eq!(outcomes(&mut traffic, 2.0).answered, 5);
}

#[test]
fn a_killed_container_fails_what_it_has_and_may_serve_again() {
    let mut traffic = traffic(&[ten_a_second()], json!({"waitTime": "1s"}), 0);
    let pod = pods(&mut traffic, 1, 1.0)[0];
    traffic.stop_backend(at(1.0), pod, FailureCause::Killed);
    traffic.set_state(at(2.0), pod, BackendState::Serving);
    let outcomes = outcomes(&mut traffic, 4.0);
    assert_eq!(outcomes.failed_by(FailureCause::Killed), 10);
    assert_eq!(outcomes.failed_by(FailureCause::Refused), 10);
    assert_eq!(outcomes.answered, 10);
}

#[test]
fn a_dead_node_swallows_requests_until_their_clients_give_up() {
    let spec = with(ten_a_second(), "timeout", json!("5s"));
    let mut traffic = traffic(&[spec], json!({"waitTime": "1s"}), 0);
    let pod = pods(&mut traffic, 1, 1.0)[0];
    // The ten of the first second are under way, ten more come in the second.
    traffic.set_state(at(1.0), pod, BackendState::Unreachable);
    assert_eq!(traffic.in_flight(at(2.0), pod), 20);
    traffic.set_endpoints(at(2.0), SERVICE, &[]);
    assert_eq!(outcomes(&mut traffic, 5.0).failed_by(FailureCause::Unreachable), 0);
    assert_eq!(outcomes(&mut traffic, 6.0).failed_by(FailureCause::Unreachable), 10);
    assert_eq!(outcomes(&mut traffic, 7.0).failed_by(FailureCause::Unreachable), 20);
    assert_eq!(outcomes(&mut traffic, 7.0).answered, 0);
}

#[test]
fn a_full_queue_fails_at_once() {
    let model = json!({"concurrency": 1, "queue": 2, "waitTime": "1h"});
    let mut traffic = traffic(&[with(ten_a_second(), "timeout", json!("2h"))], model, 0);
    pods(&mut traffic, 1, 1.0);
    let outcomes = outcomes(&mut traffic, 1.0);
    assert_eq!(outcomes.failed_by(FailureCause::QueueFull), 7);
}

#[test]
fn a_client_gives_up_but_the_pod_works_on() {
    let spec = with(ten_a_second(), "timeout", json!("300ms"));
    let model = json!({"concurrency": 1, "cpuTime": "200ms"});
    let mut traffic = traffic(&[spec], model, 0);
    let pod = pods(&mut traffic, 1, 1.0)[0];
    // Requests come at 50, 150, 250, ... ms and are done at 250, 450, 650, ... ms: after 200, 300,
    // 400, ... ms.
    assert_eq!(outcomes(&mut traffic, 0.5499).failed_by(FailureCause::Timeout), 0);
    assert_eq!(outcomes(&mut traffic, 0.55).failed_by(FailureCause::Timeout), 1);
    traffic.set_endpoints(at(1.0), SERVICE, &[]);
    let outcomes = traffic.figures(at(2.0), SERVICE).outcomes;
    assert_eq!((outcomes.answered, outcomes.failed_by(FailureCause::Timeout)), (2, 8));
    assert_eq!(traffic.cpu_time_used(at(2.5), pod), SimDuration::from_secs(2));
}

#[test]
fn requests_of_the_warm_up_are_in_the_series_but_not_in_the_totals() {
    let mut traffic = traffic(&[ten_a_second()], json!({"waitTime": "3s"}), 2);
    pods(&mut traffic, 1, 1.0);
    let figures = traffic.figures(at(4.0), SERVICE);
    assert_eq!(figures.outcomes, Outcomes { arrived: 20, ..Outcomes::default() });
    assert_eq!(figures.in_flight, 20);
    let answered: Vec<u64> =
        traffic.intervals(SERVICE).iter().map(|interval| interval.outcomes.answered).collect();
    assert_eq!(answered, [0, 0, 0, 10]);
    assert_eq!(outcomes(&mut traffic, 6.0).answered, 10);
}

#[test]
fn cpu_time_is_exact_at_any_instant() {
    let model = json!({"concurrency": 10, "cpuTime": "100ms", "waitTime": "50ms"});
    for balancer in ["random", "leastConnections"] {
        let spec = with(ten_a_second(), "balancer", json!(balancer));
        let mut traffic = traffic(&[spec], model.clone(), 0);
        let pod = pods(&mut traffic, 1, 0.5)[0];
        // At half a core the first request has had 50 ms of CPU when the second comes; then each gets
        // a quarter of a core.
        assert_eq!(traffic.cpu_time_used(at(0.1), pod), SimDuration::from_millis(25));
        assert_eq!(traffic.cpu_time_used(at(0.15), pod), SimDuration::from_millis(50));
        assert_eq!(traffic.cpu_time_used(at(0.25), pod), SimDuration::from_millis(100));
        traffic.set_cpu(at(0.25), pod, 10.0);
        // From here on each has a core of its own: 3 x 25 ms until one is done.
        assert_eq!(traffic.cpu_time_used(at(0.26), pod), SimDuration::from_millis(130));
    }
}

#[test]
fn the_same_requests_come_whatever_the_replicas_and_the_balancer() {
    let model = json!({"concurrency": 1, "cpuTime": {"distribution": "lognormal", "mean": "20ms", "cv": 2}});
    let spec = json!({"load": {"pattern": "constant", "rps": 50}, "timeout": "1h"});
    let mut runs = Vec::new();
    for (replicas, balancer) in [(3, "random"), (7, "random"), (7, "leastRequest")] {
        let mut traffic =
            traffic(&[with(spec.clone(), "balancer", json!(balancer))], model.clone(), 0);
        let pods = pods(&mut traffic, replicas, 1.0);
        traffic.advance(at(100.0));
        traffic.set_endpoints(at(100.0), SERVICE, &[]);
        let cpu = pods.iter().map(|pod| traffic.cpu_time_used(at(1000.0), *pod));
        let cpu = cpu.fold(SimDuration::ZERO, |sum, cpu| sum + cpu);
        let arrived: Vec<u64> =
            traffic.intervals(SERVICE).iter().map(|interval| interval.outcomes.arrived).collect();
        runs.push((cpu, arrived));
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
}

#[test]
fn balancers_spread_requests_as_they_say() {
    // A request stays for 0.35 s, so three or four are in flight.
    let model = json!({"concurrency": 100, "waitTime": "350ms", "cpuTime": "1ms"});
    let shares = |balancer: &str| {
        let spec = with(ten_a_second(), "balancer", json!(balancer));
        let mut traffic = traffic(&[spec], model.clone(), 0);
        let pods = pods(&mut traffic, 4, 1.0);
        let counts = pods.iter().map(|pod| traffic.cpu_time_used(at(400.0), *pod).as_nanos());
        counts.map(|nanos| nanos / 1_000_000).collect::<Vec<_>>()
    };
    assert_eq!(shares("roundRobin"), [1000; 4]);
    assert_eq!(shares("leastConnections"), [1000; 4]);
    for balancer in ["random", "leastRequest"] {
        let shares = shares(balancer);
        assert!(shares.iter().all(|share| (900..1100).contains(share)), "{balancer}: {shares:?}");
    }
}

#[test]
fn idle_pods_take_their_turns_though_all_have_as_few_requests() {
    // Each request is answered before the next one comes.
    let spec = with(ten_a_second(), "balancer", json!("leastConnections"));
    let mut traffic = traffic(&[spec], json!({"cpuTime": "1ms"}), 0);
    let pods = pods(&mut traffic, 4, 1.0);
    for pod in pods {
        assert_eq!(traffic.cpu_time_used(at(400.0), pod), SimDuration::from_secs(1));
    }
}

/// A pod that fails at once looks idle, so a balancer that looks at the load prefers it.
#[test]
fn a_pod_that_refuses_draws_requests_from_least_connections() {
    let spec = with(ten_a_second(), "balancer", json!("leastConnections"));
    let mut traffic = traffic(&[spec], json!({"waitTime": "10s"}), 0);
    let pods = pods(&mut traffic, 4, 1.0);
    traffic.set_state(SimTime::ZERO, pods[2], BackendState::Refusing);
    let refused = outcomes(&mut traffic, 10.0).failed_by(FailureCause::Refused);
    assert!(refused > 90, "{refused} of 100");
}

#[test]
fn services_that_share_a_pod_queue_behind_each_other() {
    let other =
        json!({"load": {"pattern": "step", "steps": [{"at": "0s", "rps": 2}]}, "arrivals": "even"});
    let mut traffic =
        traffic(&[ten_a_second(), other], json!({"concurrency": 1, "cpuTime": "30ms"}), 0);
    let pod = pods(&mut traffic, 1, 1.0);
    traffic.set_endpoints(SimTime::ZERO, ServiceId(1), &pod);
    let one = traffic.figures(at(10.2), SERVICE).latencies.expect("answers");
    let other = traffic.figures(at(10.2), ServiceId(1)).latencies.expect("answers");
    // Those of the second service come at 0.25 s, 0.75 s, ..., together with one of the first, which
    // goes first.
    assert_eq!(
        (one.max, other.p50.max(other.mean)),
        (SimDuration::from_millis(30), SimDuration::from_millis(60),)
    );
}

/// `sessionAffinity: ClientIP`: with one client all requests meet one pod, until it has been silent for
/// longer than the timeout or its pod is no endpoint any more.
#[test]
fn a_client_with_affinity_keeps_its_pod_until_the_pod_goes_or_the_time_is_over() {
    let spec = json!({"load": {"pattern": "phases", "phases": [
        {"for": "1s", "load": {"pattern": "constant", "rps": 10}},
        {"for": "20s", "load": {"pattern": "constant", "rps": 0}},
        {"for": "1000s", "load": {"pattern": "constant", "rps": 10}}]}, "arrivals": "even"});
    let mut policy: ServiceSpec =
        serde_json::from_value(json!({"service": "s/0", "clients": 1})).expect("settings");
    policy.balancer = Some(Balancer::RoundRobin);
    let build = |affinity: Option<i64>| {
        let mut traffic = traffic_of(&spec, policy.policy());
        if let Some(seconds) = affinity {
            traffic.set_client_affinity(SERVICE, SimDuration::from_secs(seconds));
        }
        let pods = pods(&mut traffic, 4, 1.0);
        (traffic, pods)
    };
    let taken = |traffic: &mut Traffic, pods: &[BackendId], seconds: f64| -> Vec<u64> {
        pods.iter().map(|pod| traffic.taken(at(seconds), *pod)).collect()
    };
    let (mut without, pods) = build(None);
    assert_eq!(taken(&mut without, &pods, 1.0), [3, 3, 2, 2]);
    let (mut kept, pods) = build(Some(60));
    assert_eq!(taken(&mut kept, &pods, 22.0), [20, 0, 0, 0]);
    kept.set_endpoints(at(22.0), SERVICE, &pods[1..]);
    let moved = taken(&mut kept, &pods, 23.0);
    assert_eq!((moved[0], moved.iter().max()), (20, Some(&20)));
    assert_eq!(moved.iter().sum::<u64>(), 30);
    let (mut forgotten, pods) = build(Some(10));
    assert_eq!(taken(&mut forgotten, &pods, 22.0), [10, 10, 0, 0]);
}

fn traffic_of(spec: &Value, policy: ServicePolicy) -> Traffic {
    let streams = Streams::new(11);
    let spec: TrafficSpec =
        serde_json::from_value(with(spec.clone(), "service", json!("s/0"))).expect("settings");
    let arrivals = spec.arrivals("", None, streams.stream("arrivals", 0)).expect("right settings");
    let service = ServiceTraffic {
        name: "s/0".into(),
        arrivals,
        timeout: spec.timeout,
        retries: None,
        policy,
        routes: Vec::new(),
        model: None,
    };
    let model: RequestModelSpec =
        serde_json::from_value(json!({"cpuTime": "1ms"})).expect("settings");
    let recording =
        Recording { interval: SimDuration::from_secs(1), warm_up: SimDuration::ZERO, waits: false };
    Traffic::new(vec![service], vec![model.model("").expect("right")], streams, recording)
}

#[test]
fn requests_stay_in_their_zone_while_it_has_an_endpoint() {
    let spec = json!({"load": {"pattern": "constant", "rps": 3000}, "arrivals": "even"});
    let policy = ServicePolicy::balanced(Balancer::RoundRobin);
    let mut traffic = traffic_of(&spec, policy);
    traffic.prefer_same_zone(SERVICE);
    let ids: Vec<BackendId> = [0u16, 0, 0, 1, 2]
        .map(|zone| {
            let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), 8.0);
            traffic.set_zone(pod, zone);
            pod
        })
        .into();
    traffic.set_endpoints(SimTime::ZERO, SERVICE, &ids);
    // A third of the clients comes to each zone: the pod that is alone in its own gets all of them.
    let shares = |traffic: &mut Traffic, seconds: f64, before: &[u64]| -> Vec<f64> {
        let taken = ids.iter().map(|pod| traffic.taken(at(seconds), *pod));
        taken.zip(before).map(|(taken, before)| (taken - before) as f64 / 3000.0).collect()
    };
    let near = shares(&mut traffic, 1.0, &[0; 5]);
    for (share, expected) in
        near.iter().zip([1.0 / 9.0, 1.0 / 9.0, 1.0 / 9.0, 1.0 / 3.0, 1.0 / 3.0])
    {
        assert!((share - expected).abs() < 0.03, "{near:?}");
    }
    let before: Vec<u64> = ids.iter().map(|pod| traffic.taken(at(1.0), *pod)).collect();
    // Without the pod of the last zone its clients go to all others.
    traffic.set_endpoints(at(1.0), SERVICE, &ids[..4]);
    let far = shares(&mut traffic, 2.0, &before);
    let own = 1.0 / 9.0 + 1.0 / 12.0;
    for (share, expected) in far.iter().zip([own, own, own, 1.0 / 3.0 + 1.0 / 12.0, 0.0]) {
        assert!((share - expected).abs() < 0.03, "{far:?}");
    }
}

#[test]
fn language_models_are_found_by_what_they_had_before() {
    let run = |balancer: &str, sessions: u32| {
        let spec = json!({"service": "s/0", "balancer": balancer, "timeout": "1h",
                          "load": {"pattern": "constant", "rps": 4}});
        let streams = Streams::new(11);
        let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
        let arrivals = spec.arrivals("", None, streams.stream("a", 0)).expect("right settings");
        let service = ServiceTraffic::plain("s/0".into(), arrivals, spec.balancer, spec.timeout);
        let model = json!({"llm": {"model": "Llama-3.1-8B", "gpu": "A100-80GB", "sessions": sessions,
            "promptTokens": {"mean": 6000}, "outputTokens": {"mean": 150, "cv": 1}}});
        let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
        let recording = Recording {
            interval: SimDuration::from_secs(60),
            warm_up: SimDuration::ZERO,
            waits: false,
        };
        let models = vec![model.model("").expect("right settings")];
        let mut traffic = Traffic::new(vec![service], models, streams, recording);
        pods(&mut traffic, 6, 8.0);
        let figures = traffic.figures(at(600.0), SERVICE);
        let ended = figures.outcomes.answered + figures.outcomes.failed_in_all();
        assert_eq!(figures.outcomes.arrived, ended + figures.in_flight);
        let llm = figures.llm.expect("language models were asked");
        (llm.prefix_hit_ratio, llm.time_to_first_token.expect("answers").mean)
    };
    let (by_chance, slow) = run("random", 200);
    let (by_prefix, fast) = run("prefixCache", 200);
    assert!(by_prefix > by_chance + 0.1, "{by_prefix} {by_chance}");
    assert!(fast < slow, "{fast} {slow}");
    // Few sessions have many requests at once, which share a beginning on whatever server they meet.
    let (in_turn, _) = run("roundRobin", 20);
    let (by_prefix, _) = run("prefixCache", 20);
    assert!(by_prefix >= in_turn && in_turn > 0.9, "{by_prefix} {in_turn}");
    // All but the first prompt of each server, to their last full block.
    let (of_one, _) = run("random", 1);
    assert!(of_one > 0.99, "{of_one}");
}

/// Three long answers fill the cache of one server before the other is there.
#[test]
fn language_models_are_found_by_the_room_in_their_cache() {
    let spec =
        json!({"load": {"pattern": "constant", "rps": 1}, "arrivals": "even", "timeout": "1h"});
    let model = json!({"llm": {"model": "Llama-3.1-8B", "gpu": "A100-80GB",
        "promptTokens": {"mean": 6000}, "outputTokens": {"mean": 2000}}});
    let mut traffic = traffic(&[with(spec, "balancer", json!("leastKvCache"))], model, 0);
    let ids: Vec<BackendId> =
        (0..2).map(|_| traffic.add_backend(SimTime::ZERO, RequestModelId(0), 8.0)).collect();
    traffic.set_endpoints(SimTime::ZERO, SERVICE, &ids[..1]);
    traffic.set_endpoints(at(3.0), SERVICE, &ids);
    let taken: Vec<u64> = ids.iter().map(|pod| traffic.taken(at(6.4), *pod)).collect();
    assert_eq!(taken, [3, 3]);
}

#[test]
fn a_service_that_turns_reachable_or_not_is_among_those_to_be_looked_at() {
    let services = [ten_a_second(), ten_a_second(), ten_a_second()];
    let mut traffic = traffic(&services, json!({"cpuTime": "1ms"}), 0);
    let mut draw = Streams::new(5).stream("steps", 0);
    let mut below = |n: usize| index_below(&mut draw, n);
    let mut pods: Vec<BackendId> = Vec::new();
    let mut known = [false; 3];
    let mut turns = 0;
    for step in 0..600 {
        let now = at(f64::from(step) * 0.01);
        match below(6) {
            0 => pods.push(traffic.add_backend(now, RequestModelId(0), 1.0)),
            1 if pods.len() > 3 => {
                let gone = pods.swap_remove(below(pods.len()));
                traffic.remove_backend(now, gone, FailureCause::Killed);
            }
            2 if !pods.is_empty() => {
                let pod = pods[below(pods.len())];
                traffic.stop_backend(now, pod, FailureCause::Killed);
            }
            3 | 4 if !pods.is_empty() => {
                let states =
                    [BackendState::Serving, BackendState::Refusing, BackendState::Unreachable];
                traffic.set_state(now, pods[below(pods.len())], states[below(3)]);
            }
            _ => {
                let endpoints: Vec<BackendId> =
                    pods.iter().copied().filter(|_| below(3) == 0).collect();
                let service = u32::try_from(below(3)).expect("one of three");
                traffic.set_endpoints(now, ServiceId(service), &endpoints);
            }
        }
        let touched = traffic.take_touched();
        for (number, known) in (0..).zip(&mut known) {
            let can_answer = traffic.can_answer(ServiceId(number));
            if can_answer != *known {
                assert!(touched.contains(&ServiceId(number)), "step {step}");
                *known = can_answer;
                turns += 1;
            }
        }
    }
    assert!(turns > 20, "{turns}");
}
