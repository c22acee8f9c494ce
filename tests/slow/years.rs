//! Composed years against straight ones, in which the failures come as they do. Years of 30 days and few of them: the
//! comparison with 200 whole years is in docs/objectives.md, with its command.

use crate::in_memory;
use wavetank::engine::SimDuration;
use wavetank::sweep::years::{Settings, Spread, Years, years};

const MANIFESTS: &str = include_str!("years/web.yaml");

fn composed(scenario: &str) -> Years {
    let resolved =
        in_memory::resolved(scenario, MANIFESTS, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let settings = Settings {
        years: 300,
        probes: 40,
        seed: 1,
        straight: 12,
        year: SimDuration::from_secs(30 * 86_400),
    };
    years(&resolved, settings, || ()).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn overlap(one: &Spread, other: &Spread) -> bool {
    one.interval[0] <= other.interval[1] && other.interval[0] <= one.interval[1]
}

/// Compares both figures of the only service.
fn assert_agrees(scenario: &str) -> Years {
    let years = composed(scenario);
    let service = &years.services[0];
    let straight = service.straight.as_ref().expect("there are straight ones");
    let (own, theirs) = (&service.availability_by_requests, &straight.availability_by_requests);
    assert!(overlap(own, theirs), "answered: {own:?}, straight: {theirs:?}");
    let (own, theirs) = (&service.down_minutes, &straight.down_minutes);
    assert!(overlap(own, theirs), "down: {own:?}, straight: {theirs:?}");
    years
}

#[test]
fn composed_months_agree_where_nodes_fail() {
    let years = assert_agrees(include_str!("years/kill-node.yaml"));
    // Three a month, and each makes a minute bad: what matters most is the node.
    assert!(years.services[0].down_minutes.mean > 1.0);
    assert!(years.services[0].failures[0].failure.starts_with("killNode"));
}

#[test]
fn composed_months_agree_where_nodes_and_probes_fail() {
    assert_agrees(include_str!("years/nodes-and-readiness.yaml"));
}

#[test]
fn composed_months_agree_where_applications_hang() {
    assert_agrees(include_str!("years/hang.yaml"));
}

#[test]
fn composed_months_agree_where_containers_crash() {
    assert_agrees(include_str!("years/crash.yaml"));
}

#[test]
fn composed_months_agree_where_spot_machines_are_reclaimed() {
    let years = assert_agrees(include_str!("years/reclaim-spot.yaml"));
    let meeting = years.services[0].failures.iter().find(|one| one.failure == "failures that meet");
    assert!(meeting.is_some_and(|meeting| meeting.per_year > 0.1));
}
