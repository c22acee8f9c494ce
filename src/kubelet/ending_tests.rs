//! Termination times of a pod's containers.

use std::sync::Arc;

use super::tests::{OnePod, app, container, pod, profile, seconds};
use super::*;
use cluster::action::PodDeletion;
use cluster::apply;
use cluster::pod_template::{Container, PodSpec, RestartPolicy};

/// `web` with these sidecars, all of which ignore SIGTERM.
fn with_sidecars(names: &[&str]) -> PodSpec {
    let sidecars = names.iter().map(|name| Container { is_sidecar: true, ..container(name) });
    PodSpec { init_containers: sidecars.collect(), ..pod(vec![container("web")]) }
}

/// A profile in which every container ignores SIGTERM.
fn stubborn(sidecars: &[&str]) -> PodProfile {
    let stubborn = AppProfile { on_sigterm: OnSigterm::Ignore, ..app() };
    let others = sidecars.iter().map(|name| (Name::from(*name), stubborn)).collect();
    PodProfile { app: stubborn, others: Arc::new(others), ..PodProfile::default() }
}

fn delete_within(one: &mut OnePod, grace: i64) {
    let deletion = PodDeletion { grace_period: Some(seconds(grace)), ..PodDeletion::default() };
    let deletion = Action::DeletePod(one.pod, deletion);
    apply(&mut one.store, one.now, deletion, &mut Vec::new()).unwrap();
    let pod = one.pod;
    one.step(|kubelet, view, out| kubelet.pod_deleting(view, pod, out));
}

#[test]
fn sidecars_are_told_to_end_after_the_others_the_last_one_first() {
    let mut one = OnePod::new(with_sidecars(&["mesh", "logs"]), &profile(app()));
    one.run_until(20.0);
    one.delete();
    one.run_until(100.0);
    let steps_reported = one.steps.iter().filter_map(|(_, step)| match step {
        PodStep::Sigterm(position) => Some(*position),
        _ => None,
    });
    assert_eq!(steps_reported.collect::<Vec<usize>>(), [2, 1, 0]);
}

#[test]
fn sidecars_have_what_is_left_of_the_grace_and_two_seconds_at_least() {
    let mut one = OnePod::new(with_sidecars(&["mesh"]), &stubborn(&["mesh"]));
    one.run_until(20.0);
    delete_within(&mut one, 10);
    assert_eq!(one.at(31.9), "1/2 Terminating 0", "web was killed after 10 s");
    assert_eq!(one.at(32.0), "gone");
}

#[test]
fn a_second_deletion_makes_the_grace_no_longer() {
    let mut one = OnePod::new(with_sidecars(&["mesh"]), &stubborn(&["mesh"]));
    one.run_until(20.0);
    delete_within(&mut one, 10);
    one.run_until(29.0);
    delete_within(&mut one, 30);
    assert_eq!(one.at(31.9), "1/2 Terminating 0");
    assert_eq!(one.at(32.0), "gone", "2 s after the end of the first grace");
}

#[test]
fn a_pod_that_is_never_restarted_has_no_restarts_when_its_machine_was() {
    let spec = PodSpec { restart_policy: RestartPolicy::Never, ..pod(vec![container("work")]) };
    let mut one = OnePod::new(spec, &profile(app()));
    one.run_until(20.0);
    let node = one.node;
    one.step(|kubelet, view, out| kubelet.node_down(view, node, out));
    one.step(|kubelet, view, out| kubelet.node_up(view, node, out));
    assert_eq!(one.at(60.0).rsplit(' ').next(), Some("0"), "its container ended");
}
