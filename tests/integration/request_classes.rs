//! Classes of requests at one service: each with its own cost, calls and patience, counted apart.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    FailureCause, Recording, RequestModelId, RequestModelSpec, ServiceFigures, ServiceId,
    ServiceTraffic, Trace, Traffic, TrafficSpec,
};

/// A service with its model, and what its clients send.
struct Service {
    name: &'static str,
    model: Value,
    clients: Value,
    trace: Option<Trace>,
}

impl Service {
    fn new(name: &'static str, model: Value, clients: Value) -> Self {
        Self { name, model, clients, trace: None }
    }
}

fn at(seconds: f64) -> SimTime {
    SimTime::from_secs_f64(seconds)
}

/// One pod of each service, on a core of its own.
fn traffic(services: &[Service], seed: u64) -> Traffic {
    let streams = Streams::new(seed);
    let rows = (0..).zip(services).map(|(number, service)| {
        let name = format!("s/{}", service.name);
        let mut spec = service.clients.clone();
        spec["service"] = json!(name);
        let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
        let stream = streams.stream(&name, 0);
        let arrivals = spec.arrivals("", service.trace.as_ref(), stream).expect("right");
        ServiceTraffic {
            timeout: spec.timeout,
            retries: spec.retries,
            model: Some(RequestModelId(number)),
            arrivals,
            ..ServiceTraffic::without_clients(name)
        }
    });
    let models = services.iter().map(|service| {
        let model: RequestModelSpec =
            serde_json::from_value(service.model.clone()).expect("settings");
        model.model("").expect("right")
    });
    let recording = Recording {
        interval: SimDuration::from_secs(60),
        warm_up: SimDuration::ZERO,
        waits: false,
    };
    let mut traffic = Traffic::new(rows.collect(), models.collect(), streams, recording);
    for number in (0..).take(services.len()) {
        let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(number), 1.0);
        traffic.set_endpoints(SimTime::ZERO, ServiceId(number), &[pod]);
    }
    traffic
}

fn by_class(traffic: &mut Traffic, seconds: f64, service: u32) -> BTreeMap<String, ServiceFigures> {
    let classes: Vec<_> =
        traffic.classes(ServiceId(service)).map(|(class, name)| (class, name.to_owned())).collect();
    let figures =
        classes.into_iter().map(|(class, name)| (name, traffic.class_figures(at(seconds), class)));
    figures.collect()
}

fn mean_ms(figures: &ServiceFigures) -> f64 {
    figures.latencies.expect("requests were answered").mean.as_millis_f64()
}

fn nothing() -> Value {
    json!({"load": {"pattern": "constant", "rps": 0}})
}

/// 9 of 10 requests take 5 ms (constant), the others 40 ms (exponential): one worker, in order of arrival.
fn two_classes() -> Value {
    json!({
        "concurrency": 1, "queue": 100_000,
        "classes": [
            {"name": "browse", "weight": 9, "cpuTime": "5ms"},
            {"name": "checkout", "weight": 1, "cpuTime": {"distribution": "exponential", "mean": "40ms"}},
        ]
    })
}

#[test]
fn the_wait_in_front_of_a_mixture_is_that_of_pollaczek_and_khinchine() {
    // E[S] = 0.9 * 5 + 0.1 * 40 = 8.5 ms, E[S^2] = 0.9 * 25 + 0.1 * 2 * 1600 = 342.5 ms^2; at 80 requests/s
    // rho = 0.68 and E[W] = 0.08 * 342.5 / (2 * 0.32) = 42.8125 ms, the same for both classes.
    let clients = json!({"load": {"pattern": "constant", "rps": 80}});
    let mut traffic = traffic(&[Service::new("web", two_classes(), clients)], 7);
    let seconds = 20_000.0;
    let all = traffic.figures(at(seconds), ServiceId(0));
    let classes = by_class(&mut traffic, seconds, 0);
    for (what, figures, exact) in [
        ("all", &all, 42.8125 + 8.5),
        ("browse", &classes["browse"], 42.8125 + 5.0),
        ("checkout", &classes["checkout"], 42.8125 + 40.0),
    ] {
        let mean = mean_ms(figures);
        assert!((mean / exact - 1.0).abs() < 0.02, "{what}: {mean} ms, exactly {exact}");
    }
    let share = classes["checkout"].outcomes.arrived as f64 / all.outcomes.arrived as f64;
    assert!((share - 0.1).abs() < 0.001, "{share}");
}

#[test]
fn the_classes_of_a_service_add_up_to_it_in_whatever_steps_one_looks() {
    let mut model = two_classes();
    model["queue"] = json!(20);
    model["classes"][1]["timeout"] = json!("120ms");
    let clients = json!({"load": {"pattern": "constant", "rps": 130}, "timeout": "200ms",
                         "retries": {"attempts": 2}});
    let mut traffic = traffic(&[Service::new("web", model, clients)], 3);
    for seconds in [1.0, 7.3, 60.0, 200.0] {
        let all = traffic.figures(at(seconds), ServiceId(0));
        let classes = by_class(&mut traffic, seconds, 0);
        let mut sum = wavetank::traffic::Outcomes::default();
        let mut in_flight = 0;
        for figures in classes.values() {
            let outcomes = figures.outcomes;
            let ended = outcomes.answered + outcomes.failed_in_all();
            assert_eq!(outcomes.arrived, ended + figures.in_flight, "what came in went out");
            in_flight += figures.in_flight;
            sum.arrived += outcomes.arrived;
            sum.answered += outcomes.answered;
            sum.retried += outcomes.retried;
            sum.failed.iter_mut().zip(outcomes.failed).for_each(|(sum, more)| *sum += more);
        }
        assert_eq!((sum, in_flight), (all.outcomes, all.in_flight));
    }
    let classes = by_class(&mut traffic, 200.0, 0);
    for name in ["browse", "checkout"] {
        let failed = classes[name].outcomes;
        assert!(failed.failed_by(FailureCause::Timeout) > 0, "{name}");
        assert!(failed.retried > 0, "{name}");
    }
    let longest = |name: &str| classes[name].latencies.expect("answered").max.as_millis_f64();
    assert!(longest("checkout") <= 120.0, "its own patience");
    assert!((120.0..=200.0).contains(&longest("browse")), "that of the traffic");
}

#[test]
fn clients_wait_longer_for_a_class_that_says_so() {
    let model = json!({"classes": [
        {"name": "page", "cpuTime": "300ms"},
        {"name": "export", "cpuTime": "300ms", "timeout": "1s"},
    ]});
    let clients =
        json!({"load": {"pattern": "constant", "rps": 1}, "arrivals": "even", "timeout": "200ms"});
    let mut traffic = traffic(&[Service::new("web", model, clients)], 2);
    let classes = by_class(&mut traffic, 100.0, 0);
    assert_eq!(classes["page"].outcomes.answered, 0);
    assert!(classes["page"].outcomes.failed_by(FailureCause::Timeout) > 30);
    let export = &classes["export"];
    assert_eq!(export.outcomes.failed_in_all(), 0);
    assert!((mean_ms(export) - 300.0).abs() < 1e-6, "{}", mean_ms(export));
}

#[test]
fn a_class_makes_its_own_calls_and_names_the_class_of_each() {
    let web = json!({
        "cpuTime": "1ms",
        "calls": [{"service": "s/catalog"}],
        "classes": [
            {"name": "product"},
            {"name": "checkout", "calls": [{"service": "s/db", "class": "write", "times": 2}]},
            {"name": "health", "weight": 0.5, "calls": []},
        ]
    });
    let db = json!({"classes": [
        {"name": "read", "cpuTime": "2ms"}, {"name": "write", "cpuTime": "6ms"}]});
    let catalog = json!({"cpuTime": "3ms"});
    let clients = json!({"load": {"pattern": "constant", "rps": 2}, "arrivals": "even"});
    let mut traffic = traffic(
        &[
            Service::new("web", web, clients),
            Service::new("catalog", catalog, nothing()),
            Service::new("db", db, nothing()),
        ],
        1,
    );
    let seconds = 2_000.0;
    let web = by_class(&mut traffic, seconds, 0);
    let count = |figures: &ServiceFigures| figures.outcomes.arrived;
    assert_eq!(count(&traffic.figures(at(seconds), ServiceId(1))), count(&web["product"]));
    let db = by_class(&mut traffic, seconds, 2);
    assert_eq!((count(&db["read"]), count(&db["write"])), (0, 2 * count(&web["checkout"])));
    // Two writes of 6 ms share the one core of the database.
    for (class, exact) in [("product", 4.0), ("checkout", 13.0), ("health", 1.0)] {
        assert!((mean_ms(&web[class]) - exact).abs() < 1e-6, "{class}: {}", mean_ms(&web[class]));
    }
    let share = count(&web["health"]) as f64 / 4_000.0;
    assert!((share - 0.2).abs() < 0.03, "{share}");
}

#[test]
fn classes_leave_the_requests_of_others_and_the_instants_as_they_were() {
    let clients = json!({"load": {"pattern": "constant", "rps": 20}});
    let other = || {
        Service::new(
            "other",
            json!({"cpuTime": {"distribution": "exponential", "mean": "9ms"}}),
            clients.clone(),
        )
    };
    let run = |model: Value| {
        let mut traffic = traffic(&[Service::new("web", model, clients.clone()), other()], 5);
        let web = traffic.figures(at(500.0), ServiceId(0)).outcomes.arrived;
        (web, traffic.figures(at(500.0), ServiceId(1)))
    };
    let plain = run(json!({"cpuTime": "4ms"}));
    assert_eq!(run(two_classes()), plain);
}

#[test]
fn a_trace_tells_classes_by_name_or_by_path_and_chance_does_the_rest() {
    let rows = "t_s,class\n0,checkout\n1,GET /cart/7\n2,/cart?x=1\n3,POST /checkout/pay\n4,nobody\n5,\n6,/cartoon\n";
    let trace = Trace::read(rows.as_bytes()).expect("a trace");
    let model = json!({"cpuTime": "1ms", "classes": [
        {"name": "checkout", "path": "/checkout", "weight": 0},
        {"name": "cart", "path": "/cart", "weight": 0},
        {"name": "rest"},
    ]});
    let mut web = Service::new("web", model, json!({"load": {"trace": "rows.csv"}}));
    web.trace = Some(trace);
    let mut traffic = traffic(&[web], 1);
    let classes = by_class(&mut traffic, 10.0, 0);
    let arrived = ["checkout", "cart", "rest"].map(|name| classes[name].outcomes.arrived);
    assert_eq!(arrived, [2, 2, 3]);
}

#[test]
fn what_is_wrong_with_classes_is_said_where_it_stands() {
    for (classes, path, says) in [
        (json!([{"name": " "}]), "classes[0].name", "needs a name"),
        (json!([{"name": "a"}, {"name": "a"}]), "classes[1].name", "another class"),
        (json!([{"name": "a", "weight": 0}]), "classes", "all weights are 0"),
        (json!([{"name": "a", "weight": -1}]), "classes[0].weight", "at least 0"),
        (json!([{"name": "a", "path": "cart"}]), "classes[0].path", "begin with /"),
        (json!([{"name": "a", "timeout": "0s"}]), "classes[0].timeout", "longer than 0s"),
        (
            json!([{"name": "a", "calls": [{"service": "s/b", "times": 0}]}]),
            "classes[0].calls[0].times",
            "1 to 1000",
        ),
    ] {
        let model: RequestModelSpec =
            serde_json::from_value(json!({"classes": classes})).expect("settings");
        let problems = model.problems("");
        assert!(
            problems.iter().any(|one| one.path == path && one.message.contains(says)),
            "{problems:?}"
        );
    }
}

#[test]
fn a_flow_is_worked_off_by_the_mean_of_its_classes() {
    let busy = |model: Value, arrivals: &str| {
        let clients = json!({"load": {"pattern": "constant", "rps": 80}, "arrivals": arrivals});
        let mut traffic = traffic(&[Service::new("web", model, clients)], 1);
        let figures = traffic.figures(at(4_000.0), ServiceId(0));
        (figures.outcomes.answered, mean_ms(&figures))
    };
    let (answered, mean) = busy(two_classes(), "fluid");
    assert_eq!(answered, 320_000);
    // Pollaczek-Khinchine again, as above.
    assert!((mean / 51.3125 - 1.0).abs() < 0.05, "{mean}");
}
