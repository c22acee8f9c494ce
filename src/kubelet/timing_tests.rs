//! Durations of a pod's steps, with measured and with zero timings.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::tests::{OnePod, app, container, pod, probe, profile, seconds};
use super::*;
use cluster::pod::Pod;
use cluster::pod_template::{Container, PodSpec, Probe};

const PODS: u64 = 200;

/// A web server that is ready at once.
fn quick() -> AppProfile {
    AppProfile {
        image_pull: SimDuration::ZERO,
        on_sigterm: OnSigterm::Exit,
        ..AppProfile::default()
    }
}

fn times(one: &OnePod, step: PodStep) -> Vec<f64> {
    one.steps.iter().filter(|(_, it)| *it == step).map(|(at, _)| at.as_secs_f64()).collect()
}

fn gaps(times: &[f64]) -> Vec<f64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Many pods with measured timings, run until this time (s).
fn measured(spec: &PodSpec, app: AppProfile, until: f64) -> Vec<OnePod> {
    let run = |seed| {
        let mut one = OnePod::timed(spec.clone(), &profile(app), KubeletTiming::MEASURED, seed);
        one.run_until(until);
        one
    };
    (1..=PODS).map(run).collect()
}

/// Times from the container's start to Ready (s).
fn ready_after(web: Container, app: AppProfile) -> Vec<f64> {
    let spec = pod(vec![web]);
    let run = |seed| {
        let mut one = OnePod::timed(spec.clone(), &profile(app), KubeletTiming::MEASURED, seed);
        while !one.get().is_some_and(Pod::is_ready) && one.now < SimTime::from_secs(60) {
            one.run_until(one.now.as_secs_f64() + 0.01);
        }
        one.now.as_secs_f64() - times(&one, PodStep::Started(0))[0]
    };
    (1..=PODS).map(run).collect()
}

fn share(values: &[f64], holds: impl Fn(f64) -> bool) -> f64 {
    values.iter().filter(|value| holds(**value)).count() as f64 / values.len() as f64
}

fn with_readiness(delay: i64, period: i64) -> Container {
    let readiness = Probe { initial_delay: seconds(delay), ..probe(period, 3) };
    Container { readiness_probe: Some(readiness), ..container("web") }
}

#[test]
fn most_pods_are_found_ready_at_once_and_one_in_eight_a_period_later() {
    let after = ready_after(with_readiness(0, 10), quick());
    let (at_once, late) = (share(&after, |it| it < 1.3), share(&after, |it| it > 10.0));
    assert!(at_once > 0.8, "{at_once}");
    assert!((0.06..0.2).contains(&late), "{late}");
    assert!(after.iter().all(|it| *it < 1.3 || (10.0..10.3).contains(it)), "{after:?}");
}

#[test]
fn a_probe_inside_its_initial_delay_is_skipped_and_the_next_is_a_whole_period_later() {
    let after = ready_after(with_readiness(5, 10), quick());
    assert!(after.iter().all(|it| (10.0..12.3).contains(it)), "{after:?}");
    let after = ready_after(with_readiness(5, 5), quick());
    assert!(after.iter().all(|it| (4.9..8.4).contains(it)), "{after:?}");
    let after = ready_after(with_readiness(10, 3), quick());
    assert!(after.iter().all(|it| (9.0..13.3).contains(it)), "{after:?}");
}

#[test]
fn the_initial_delay_counts_from_the_second_in_which_the_container_started() {
    let after = ready_after(with_readiness(5, 1), quick());
    let early = share(&after, |it| it < 5.0);
    assert!(early > 0.2, "{early}: {after:?}");
    assert!(after.iter().all(|it| *it > 4.0), "{after:?}");
}

#[test]
fn an_init_container_that_is_done_counts_as_ready_and_one_that_runs_does_not() {
    let spec = PodSpec { init_containers: vec![container("init")], ..pod(vec![container("web")]) };
    let mut one = OnePod::new(spec, &profile(AppProfile { init: seconds(20), ..app() }));
    let ready = |one: &OnePod| {
        one.get().unwrap().containers.all().iter().map(|one| one.is_ready).collect::<Vec<_>>()
    };
    one.run_until(10.0);
    assert_eq!(ready(&one), [false, false]);
    one.run_until(60.0);
    assert_eq!(ready(&one), [true, true]);
}

#[test]
fn the_others_are_probed_as_soon_as_the_startup_probe_has_succeeded() {
    let web = Container {
        startup_probe: Some(probe(7, 30)),
        readiness_probe: Some(probe(60, 3)),
        ..container("web")
    };
    let slow = AppProfile { warm_up: seconds(10), ..app() };
    let mut one = OnePod::new(pod(vec![web]), &profile(slow));
    assert_eq!(one.at(13.9), "0/1 Running 0");
    // The probe workers tick from the sandbox on, 0, 7, 14 s; the application answers from 13 s on.
    assert_eq!(one.at(14.0), "1/1 Running 0", "not at the readiness probe's own tick at 60 s");
}

#[test]
fn a_bad_image_is_asked_for_after_10_20_40_seconds_and_at_most_5_minutes() {
    let bad = AppProfile { pull_fails: true, ..app() };
    let mut one = OnePod::new(pod(vec![container("web")]), &profile(bad));
    one.run_until(1_300.0);
    let gaps = gaps(&times(&one, PodStep::PullCalled(0)));
    assert_eq!(gaps, [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]);
}

#[test]
fn a_pod_whose_sidecar_is_not_ready_is_not() {
    let mesh =
        Container { is_sidecar: true, readiness_probe: Some(probe(5, 3)), ..container("mesh") };
    let spec = PodSpec { init_containers: vec![mesh], ..pod(vec![container("web")]) };
    let others = |never_ready| {
        let mesh = AppProfile { never_ready, ..app() };
        Arc::new(BTreeMap::from([(Name::from("mesh"), mesh)]))
    };
    for (never_ready, is_ready) in [(true, false), (false, true)] {
        let profile =
            PodProfile { app: app(), others: others(never_ready), ..PodProfile::default() };
        let mut one = OnePod::new(spec.clone(), &profile);
        one.run_until(60.0);
        assert_eq!(one.get().unwrap().is_ready(), is_ready);
    }
}

#[test]
fn a_liveness_probe_has_its_own_grace() {
    let liveness =
        |grace: Option<i64>| Probe { termination_grace_period: grace.map(seconds), ..probe(10, 3) };
    let hangs =
        AppProfile { hangs_after: Some(seconds(1)), on_sigterm: OnSigterm::Ignore, ..app() };
    let exit = |grace| {
        let web = Container { liveness_probe: Some(liveness(grace)), ..container("web") };
        let mut one = OnePod::new(pod(vec![web]), &profile(hangs));
        one.run_until(120.0);
        times(&one, PodStep::Exited(0))[0] - times(&one, PodStep::Sigterm(0))[0]
    };
    assert_eq!((exit(Some(5)), exit(None)), (5.0, 30.0));
}

#[test]
fn a_container_that_crashes_at_once_waits_from_its_exit_and_until_the_next_sync() {
    let crashing = AppProfile { crashes_after: Some(SimDuration::ZERO), ..quick() };
    let pods = measured(&pod(vec![container("web")]), crashing, 300.0);
    let bounds = [(1.0, 2.6), (10.0, 17.0), (20.0, 32.0), (40.0, 62.0), (80.0, 115.0)];
    for one in &pods {
        let gaps = gaps(&times(one, PodStep::Started(0)));
        for (gap, (least, most)) in gaps.iter().zip(bounds) {
            assert!((least..most).contains(gap), "{gaps:?}");
        }
    }
    let second: Vec<f64> =
        pods.iter().map(|one| gaps(&times(one, PodStep::Started(0)))[1]).collect();
    assert!(share(&second, |gap| gap < 13.5) > 0.3 && share(&second, |gap| gap > 13.5) > 0.2);
}

#[test]
fn a_liveness_kill_counts_its_back_off_from_the_end_before() {
    let web = Container { liveness_probe: Some(probe(10, 3)), ..container("web") };
    let hangs = AppProfile { hangs_after: Some(seconds(5)), ..quick() };
    for one in measured(&pod(vec![web]), hangs, 250.0) {
        let gaps = gaps(&times(&one, PodStep::Started(0)));
        // 30 s each: no wait while the back-off of 10, 20 s is shorter than that; then 40 s from the exit.
        assert!(gaps[1..4].iter().all(|gap| (29.0..31.5).contains(gap)), "{gaps:?}");
        assert!((69.0..95.0).contains(&gaps[4]), "{gaps:?}");
    }
}

#[test]
fn hooks_that_sleep_take_their_time() {
    let web = Container {
        post_start_sleep: Some(seconds(4)),
        pre_stop_sleep: Some(seconds(5)),
        ..container("web")
    };
    let mut one =
        OnePod::new(pod(vec![web]), &profile(AppProfile { shut_down: seconds(1), ..app() }));
    assert_eq!(one.at(6.9), "0/1 ContainerCreating 0", "it runs from 3 s on, its hook until 7 s");
    assert_eq!(one.at(7.0), "1/1 Running 0");
    one.run_until(10.0);
    one.delete();
    one.run_until(30.0);
    assert_eq!(times(&one, PodStep::Sigterm(0)), [15.0]);
}

#[test]
fn a_pod_is_gone_a_relist_after_its_exit() {
    let spec = pod(vec![container("web")]);
    for seed in 1..=PODS {
        let mut one = OnePod::timed(spec.clone(), &profile(quick()), KubeletTiming::MEASURED, seed);
        one.run_until(10.0);
        one.delete();
        one.run_until(10.02);
        assert_eq!(times(&one, PodStep::Sigterm(0)).len(), 0);
        one.run_until(10.03);
        assert_eq!(times(&one, PodStep::Sigterm(0)), [10.025]);
        one.run_until(10.1);
        assert!(one.get().is_some());
        one.run_until(12.0);
        assert!(one.get().is_none());
    }
}

#[test]
fn statuses_and_removals_wait_for_the_tokens_of_the_kubelets_client() {
    let timing = KubeletTiming { kube_api_qps: 1, kube_api_burst: 2, ..KubeletTiming::IDEAL };
    let mut one = OnePod::timed(pod(vec![container("web")]), &profile(quick()), timing, 1);
    // The burst went into the first status; of the two tokens for the next one the second is there at 2 s.
    assert_eq!(one.at(1.9), "0/1 ContainerCreating 0");
    assert_eq!(one.at(2.0), "1/1 Running 0");
    one.run_until(10.0);
    one.delete();
    // A status and the removal take three.
    assert_ne!(one.at(10.9), "gone");
    assert_eq!(one.at(11.0), "gone");
}

#[test]
fn the_first_hundred_requests_of_a_kubelet_wait_for_nothing() {
    let limited = KubeletTiming { kube_api_qps: 50, kube_api_burst: 100, ..KubeletTiming::IDEAL };
    let mut one = OnePod::timed(pod(vec![container("web")]), &profile(quick()), limited, 1);
    assert_eq!(one.at(1.0), "1/1 Running 0");
}
