//! The speed of a pod: load shedding, warm-up and CPU quota.

use serde_json::json;
use wavetank::engine::{SimDuration, SimTime};
use wavetank::traffic::{BackendState, FailureCause, ServiceId};

use super::{Service, World, at, ten_a_second};

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
