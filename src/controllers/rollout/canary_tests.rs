//! Tables of the pods of a canary: the cases of the controller's tests (`canary_test.go`), and others worked out by its arithmetic.

use super::*;
use cluster::deployment::IntOrPercent::{Int, Percent};

const fn set(replicas: i32, available: i32) -> SetSize {
    SetSize { replicas, available }
}

/// The pods of new and stable version, of `wanted`, at a weight, with new and stable pods that are all available.
fn counts(
    wanted: i32,
    weight: i32,
    (new, stable): (i32, i32),
    (surge, unavailable): (i32, i32),
) -> (i32, i32) {
    let stable = Some(set(stable, stable));
    let counts = basic(&BasicCanary {
        wanted,
        weight,
        max_weight: 100,
        fenceposts: Fenceposts { surge, unavailable },
        new: Some(set(new, new)),
        stable,
        stable_or_new: stable,
        others: 0,
    });
    (counts.new, counts.stable)
}

/// Wanted pods, weight, surge and unavailability, replicas and available pods of the stable and of the new version, pods of
/// others; and the pods of the stable and of the new version that follow.
type Case = (i32, i32, (i32, i32), (i32, i32), (i32, i32), i32, (i32, i32));

#[test]
fn the_cases_of_the_controllers_own_tests_have_their_counts() {
    let cases: [Case; 29] = [
        (10, 100, (3, 0), (7, 8), (6, 3), 0, (7, 6)),
        (10, 20, (2, 0), (10, 10), (0, 0), 0, (10, 2)),
        (10, 20, (2, 0), (10, 10), (2, 2), 0, (8, 2)),
        (10, 30, (2, 0), (10, 10), (0, 0), 0, (10, 2)),
        (10, 20, (0, 2), (10, 10), (0, 0), 0, (8, 0)),
        (10, 30, (0, 2), (10, 10), (0, 0), 0, (8, 0)),
        (10, 50, (2, 1), (10, 10), (0, 0), 0, (9, 2)),
        (10, 0, (1, 1), (10, 10), (1, 1), 0, (10, 0)),
        (10, 100, (1, 1), (1, 1), (10, 10), 0, (0, 10)),
        (1, 20, (1, 0), (1, 1), (0, 0), 0, (1, 1)),
        (1, 90, (1, 0), (1, 1), (0, 0), 0, (1, 1)),
        (1, 49, (0, 1), (1, 1), (0, 0), 0, (1, 0)),
        (1, 51, (0, 1), (1, 1), (0, 0), 0, (0, 0)),
        (1, 51, (0, 1), (0, 0), (0, 0), 0, (0, 1)),
        (10, 30, (1, 0), (1, 1), (0, 0), 3, (7, 1)),
        (10, 30, (0, 3), (8, 5), (4, 4), 0, (7, 3)),
        (10, 100, (1, 0), (10, 2), (10, 8), 0, (2, 9)),
        (10, 30, (0, 1), (8, 6), (4, 2), 3, (8, 4)),
        (10, 5, (0, 1), (10, 10), (0, 0), 0, (9, 0)),
        (10, 5, (0, 1), (9, 9), (0, 0), 0, (9, 1)),
        (4, 100, (1, 0), (4, 1), (0, 0), 0, (4, 1)),
        (3, 99, (0, 2), (3, 3), (0, 0), 0, (1, 0)),
        (3, 99, (0, 2), (1, 1), (0, 0), 0, (1, 2)),
        (4, 100, (1, 0), (4, 1), (1, 1), 0, (3, 1)),
        (4, 0, (1, 0), (0, 0), (4, 4), 0, (1, 4)),
        (4, 0, (1, 0), (1, 0), (4, 4), 0, (1, 4)),
        (4, 0, (1, 0), (1, 1), (4, 4), 0, (1, 3)),
        (4, 100, (4, 4), (4, 4), (0, 0), 0, (0, 4)),
        (4, 100, (3, 0), (4, 4), (0, 0), 0, (4, 3)),
    ];
    for (wanted, weight, (surge, unavailable), stable, new, others, expected) in cases {
        let counts = basic(&BasicCanary {
            wanted,
            weight,
            max_weight: 100,
            fenceposts: Fenceposts { surge, unavailable },
            new: Some(set(new.0, new.1)),
            stable: Some(set(stable.0, stable.1)),
            stable_or_new: Some(set(stable.0, stable.1)),
            others,
        });
        let found = (counts.stable, counts.new);
        assert_eq!(found, expected, "{weight} % of {wanted}, stable {stable:?}, new {new:?}");
    }
}

#[test]
fn pods_come_nearest_to_the_weight_and_neither_version_gets_none() {
    for (wanted, weight, surge, expected) in [
        // One pod more makes 1 of 5, which is 20 %.
        (4, 20, 1, (1, 4)),
        (4, 20, 0, (1, 3)),
        // 25 % of 4 is whole, and needs no surge.
        (4, 25, 1, (1, 3)),
        // 1 and 2 of 3 are equally far from a half: the larger one.
        (3, 50, 0, (2, 1)),
        (3, 50, 1, (2, 2)),
        (2, 1, 0, (1, 1)),
        (2, 99, 1, (2, 1)),
        (10, 5, 0, (1, 9)),
        // Of two equally near numbers the larger one is all of them, which is not allowed: the controller stays as it is.
        (10, 95, 0, (0, 10)),
        (10, 95, 1, (10, 1)),
        (1, 50, 0, (1, 0)),
        (1, 49, 0, (0, 1)),
        (5, 0, 1, (0, 5)),
        (5, 100, 1, (5, 0)),
        (0, 50, 1, (0, 0)),
    ] {
        let found = nearest(wanted, (weight, 100), surge);
        assert_eq!(
            (found.new, found.stable),
            expected,
            "{weight} % of {wanted} with surge {surge}"
        );
    }
}

#[test]
fn a_step_moves_within_surge_and_unavailability() {
    // 50 % of 4 with surge 1 and nothing missing: one new pod, one old one goes once that is available, and so on.
    let step = |new: (i32, i32), stable: i32| {
        let stable = Some(set(stable, stable));
        let counts = basic(&BasicCanary {
            wanted: 4,
            weight: 50,
            max_weight: 100,
            fenceposts: Fenceposts { surge: 1, unavailable: 0 },
            new: Some(set(new.0, new.1)),
            stable,
            stable_or_new: stable,
            others: 0,
        });
        (counts.new, counts.stable)
    };
    assert_eq!(step((0, 0), 4), (1, 4));
    assert_eq!(step((1, 0), 4), (1, 4), "the new pod is not available");
    assert_eq!(step((1, 1), 4), (1, 3));
    assert_eq!(step((1, 1), 3), (2, 3));
    assert_eq!(step((2, 2), 3), (2, 2));
    assert_eq!(step((2, 2), 2), (2, 2));
}

#[test]
fn an_abort_brings_the_stable_version_back_before_the_new_one_goes() {
    assert_eq!(counts(4, 0, (2, 2), (1, 0)), (2, 3), "the surge goes to the stable version");
    assert_eq!(counts(4, 0, (2, 3), (1, 0)), (1, 3));
    assert_eq!(counts(4, 0, (1, 4), (1, 0)), (0, 4));
}

#[test]
fn without_a_stable_version_all_pods_are_new_and_others_go_first() {
    let first = BasicCanary {
        wanted: 5,
        weight: 20,
        max_weight: 100,
        fenceposts: Fenceposts { surge: 2, unavailable: 1 },
        new: Some(set(0, 0)),
        ..BasicCanary::default()
    };
    assert_eq!(basic(&first), Counts { new: 5, stable: 0 });
    let stable = Some(set(5, 5));
    let between =
        BasicCanary { new: Some(set(1, 1)), stable, stable_or_new: stable, others: 2, ..first };
    assert_eq!(
        basic(&between),
        Counts { new: 1, stable: 5 },
        "a version between the two goes first"
    );
}

#[test]
fn bounds_default_to_a_quarter_and_let_an_update_move() {
    let of = |max_surge, max_unavailable, wanted| {
        let canary = CanaryStrategy { max_surge, max_unavailable, ..CanaryStrategy::default() };
        let found = fenceposts(&canary, wanted);
        (found.surge, found.unavailable)
    };
    assert_eq!(of(None, None, 10), (3, 2));
    assert_eq!(of(Some(Percent(0)), Some(Percent(10)), 5), (0, 1));
    assert_eq!(of(Some(Int(1)), Some(Int(0)), 5), (1, 0));
    assert_eq!(of(Some(Int(0)), Some(Int(9)), 3), (0, 3));
}

fn routed_counts<'a>(weight: i32, change: impl FnOnce(&mut RoutedCanary<'a>)) -> (i32, i32) {
    let mut canary = RoutedCanary {
        wanted: 10,
        set_replicas: None,
        weight,
        max_weight: 100,
        is_dynamic: false,
        min_pods: 0,
        weights: None,
        is_aborted: false,
    };
    change(&mut canary);
    let counts = routed(&canary);
    (counts.new, counts.stable)
}

#[test]
fn with_a_router_the_stable_version_keeps_all_pods_and_the_new_one_gets_its_share() {
    assert_eq!(routed_counts(5, |_| {}), (1, 10));
    assert_eq!(routed_counts(21, |_| {}), (3, 10), "shares round up");
    assert_eq!(routed_counts(5, |canary| canary.min_pods = 2), (2, 10));
    assert_eq!(routed_counts(0, |canary| canary.min_pods = 2), (0, 10));
    assert_eq!(routed_counts(5, |canary| canary.set_replicas = Some(4)), (4, 10));
}

#[test]
fn a_stable_version_that_shrinks_keeps_the_pods_for_the_requests_that_it_still_gets() {
    let weights = TrafficWeights {
        canary: 20,
        stable: 80,
        canary_hash: "new".into(),
        stable_hash: "old".into(),
    };
    let dynamic = |weight: i32, has_weights: bool, is_aborted| {
        routed_counts(weight, |canary| {
            canary.is_dynamic = true;
            canary.weights = has_weights.then_some(&weights);
            canary.is_aborted = is_aborted;
        })
    };
    assert_eq!(dynamic(40, false, false), (4, 6));
    assert_eq!(dynamic(40, true, false), (4, 8), "80 % still come to it");
    assert_eq!(dynamic(0, true, true), (2, 10), "20 % still come to the new one");
    assert_eq!(dynamic(0, true, false), (0, 10));
}

#[test]
fn a_threshold_lets_a_step_go_on_with_fewer_pods() {
    let half = Some(set(10, 7));
    assert!(!has_progressed(None, half, 10));
    assert!(has_progressed(None, Some(set(10, 10)), 10));
    assert!(!has_progressed(None, Some(set(9, 10)), 10), "the set is not yet that large");
    assert!(has_progressed(Some(Percent(70)), half, 10));
    assert!(!has_progressed(Some(Percent(71)), half, 10));
    assert!(has_progressed(Some(Int(7)), half, 10));
    assert!(!has_progressed(Some(Int(8)), half, 10));
    assert!(has_progressed(Some(Percent(70)), Some(set(0, 0)), 0));
    assert!(!has_progressed(Some(Int(0)), None, 0));
}

#[test]
fn weights_and_pods_of_a_million_do_not_overflow() {
    assert_eq!(proportion(1_000_000, 500_000, 1_000_000), 500_000);
    assert_eq!(proportion(7, 2, 4), 3, "rounded down");
    let half = nearest(1_000_000, (500_000, 1_000_000), 0);
    assert_eq!(half, Counts { new: 500_000, stable: 500_000 });
}
