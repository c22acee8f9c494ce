//! Requests that the application answers with an error, and users who see it.

use serde_json::{Value, json};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    BackendId, FailureCause, Recording, RequestModelId, RequestModelSpec, ServiceFigures,
    ServiceId, ServiceTraffic, Trace, Traffic, TrafficSpec,
};

/// A service `s/NAME`: its model, what its clients send, and a trace that they replay.
type Service<'a> = (&'a str, Value, Value, Option<&'a str>);

const fn at(seconds: i64) -> SimTime {
    SimTime::from_secs(seconds)
}

/// One pod of each service, on four cores of its own.
fn traffic(services: &[Service<'_>]) -> (Traffic, Vec<BackendId>) {
    let streams = Streams::new(3);
    let rows = (0..).zip(services).map(|(number, (name, _, clients, trace))| {
        let name = format!("s/{name}");
        let mut spec = clients.clone();
        spec["service"] = json!(name);
        let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
        let trace = trace.map(|text| Trace::read(text.as_bytes()).expect("a trace"));
        let stream = streams.stream(&name, 0);
        let arrivals = spec.arrivals("", trace.as_ref(), stream).expect("right");
        ServiceTraffic {
            timeout: spec.timeout,
            retries: spec.retries,
            model: Some(RequestModelId(number)),
            arrivals,
            ..ServiceTraffic::without_clients(name)
        }
    });
    let models = services.iter().map(|(_, model, ..)| {
        let model: RequestModelSpec = serde_json::from_value(model.clone()).expect("settings");
        model.model("").expect("right")
    });
    let recording = Recording {
        interval: SimDuration::from_secs(60),
        warm_up: SimDuration::ZERO,
        waits: false,
    };
    let mut traffic = Traffic::new(rows.collect(), models.collect(), streams, recording);
    let pods = (0..).take(services.len()).map(|number| {
        let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(number), 4.0);
        traffic.set_endpoints(SimTime::ZERO, ServiceId(number), &[pod]);
        pod
    });
    let pods = pods.collect();
    (traffic, pods)
}

fn figures(traffic: &mut Traffic, service: u32) -> ServiceFigures {
    traffic.figures(at(1_000), ServiceId(service))
}

/// 10,000 requests in a thousand seconds.
fn ten_a_second(arrivals: &str) -> Value {
    json!({"load": {"pattern": "constant", "rps": 10}, "arrivals": arrivals})
}

fn nobody() -> Value {
    json!({"load": {"pattern": "constant", "rps": 0}})
}

#[test]
fn errors_are_failures_that_took_their_work() {
    let model = |rate: f64| json!({"cpuTime": "10ms", "errorRate": rate});
    let [(mut none, without), (mut some, with)] =
        [0.0, 0.2].map(|rate| traffic(&[("a", model(rate), ten_a_second("poisson"), None)]));
    let outcomes = figures(&mut some, 0).outcomes;
    let errors = outcomes.failed_by(FailureCause::ApplicationError);
    assert!((1_880..2_120).contains(&errors), "{errors} of {}", outcomes.arrived);
    assert_eq!(errors, outcomes.failed_in_all());
    assert_eq!(outcomes.arrived, figures(&mut none, 0).outcomes.arrived);
    let used = |traffic: &mut Traffic, pod| traffic.cpu_time_used(at(1_000), pod).as_secs_f64();
    assert!((used(&mut none, without[0]) - used(&mut some, with[0])).abs() < 0.02);
}

#[test]
fn errors_have_a_stream_of_their_own() {
    let run = |rate: f64| {
        let exponential = json!({"distribution": "exponential", "mean": "20ms"});
        let a = json!({"cpuTime": exponential, "errorRate": rate});
        let b = json!({"cpuTime": exponential, "errorRate": 0.1});
        let (mut traffic, _) = traffic(&[
            ("a", a, ten_a_second("poisson"), None),
            ("b", b, ten_a_second("poisson"), None),
        ]);
        figures(&mut traffic, 1)
    };
    let (few, many) = (run(0.1), run(0.9));
    assert_eq!((few.outcomes, few.latencies), (many.outcomes, many.latencies));
}

#[test]
fn an_error_fails_the_request_that_called_unless_a_retry_succeeds() {
    let call = |more: Value| {
        let mut call = json!({"service": "s/b"});
        call.as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        let (mut traffic, _) = traffic(&[
            ("a", json!({"cpuTime": "1ms", "calls": [call]}), ten_a_second("even"), None),
            ("b", json!({"cpuTime": "1ms", "errorRate": 0.2}), nobody(), None),
        ]);
        let outcomes = figures(&mut traffic, 0).outcomes;
        (outcomes.failed_by(FailureCause::Dependency), outcomes.failed_in_all())
    };
    let (plain, all) = call(json!({}));
    assert!((1_880..2_120).contains(&plain) && plain == all, "{plain} of {all}");
    assert_eq!(call(json!({"optional": true})), (0, 0));
    // 0.2 of the retries fail again.
    let (retried, _) = call(json!({"retries": {"attempts": 1}}));
    assert!((340..460).contains(&retried), "{retried}");
}

#[test]
fn a_class_has_its_own_rate_and_a_flow_their_mean() {
    let model = json!({"cpuTime": "1ms", "errorRate": 0.1, "classes": [
        {"name": "read", "weight": 3}, {"name": "write", "weight": 1, "errorRate": 0.5}]});
    let (mut single, _) = traffic(&[("a", model.clone(), ten_a_second("even"), None)]);
    let classes: Vec<_> = single.classes(ServiceId(0)).map(|(class, _)| class).collect();
    let share = |outcomes: wavetank::traffic::Outcomes| {
        outcomes.failed_by(FailureCause::ApplicationError) as f64 / outcomes.arrived as f64
    };
    let [read, write] =
        [0, 1].map(|class| share(single.class_figures(at(1_000), classes[class]).outcomes));
    assert!((read - 0.1).abs() < 0.015 && (write - 0.5).abs() < 0.04, "{read} {write}");
    let (mut flow, _) = traffic(&[("a", model, ten_a_second("fluid"), None)]);
    assert!((share(figures(&mut flow, 0).outcomes) - 0.2).abs() < 1e-3);
}

#[test]
fn users_of_a_trace_are_down_from_a_failure_to_their_next_request() {
    // One user asks each minute, the other one in the first and last; the pod is away for a minute in between.
    let trace = "t_s,user\n10,anna\n10,otto\n70,anna\n130,anna\n190,anna\n190,otto\n250,anna\n";
    let clients = json!({"load": {"trace": "users.csv"}});
    let (mut traffic, _) = traffic(&[("a", json!({"cpuTime": "1ms"}), clients, Some(trace))]);
    traffic.advance(at(100));
    let pod = traffic.add_backend(at(100), RequestModelId(0), 4.0);
    traffic.set_endpoints(at(100), ServiceId(0), &[]);
    traffic.advance(at(160));
    traffic.set_endpoints(at(160), ServiceId(0), &[pod]);
    traffic.advance(at(300));
    let uptime = traffic.user_uptime(at(300), ServiceId(0)).expect("users are known");
    assert_eq!(uptime.users, 2);
    // Anna: 120 s up, 60 s down, 110 s up; Otto: 180 s and 110 s up.
    assert_eq!(uptime.share(), Some(520.0 / 580.0));
    let minute = SimDuration::from_secs(60);
    // From 130 s to 180 s Anna is down and Otto up.
    assert_eq!(uptime.worst(minute), Some((70.0 / 120.0, at(120))));
    assert_eq!(traffic.user_uptime(at(300), ServiceId(1)), None);
}

#[test]
fn users_of_a_closed_loop_are_known() {
    let clients = json!({"load": {"users": 3, "thinkTime": "9s"}});
    let model = json!({"waitTime": "1s", "errorRate": 0.25});
    let (mut traffic, _) = traffic(&[("a", model, clients, None)]);
    traffic.advance(at(10_000));
    let uptime = traffic.user_uptime(at(10_000), ServiceId(0)).expect("users are known");
    assert_eq!(uptime.users, 3);
    let share = uptime.share().expect("they were there");
    assert!((share - 0.75).abs() < 0.03, "{share}");
}
