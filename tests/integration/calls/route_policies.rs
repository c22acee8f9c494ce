//! Policies of a route at its gateway: time-outs and retries.

use serde_json::json;
use wavetank::engine::SimDuration;
use wavetank::traffic::{
    BackendState, Causes, FailureCause, Retries, RetrySpec, RoutePolicy, ServiceFigures,
};

use super::{Service, World, at, ten_a_second};

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
