//! Evictions, lost and restarted machines, and missing Secrets.

use super::tests::{OnePod, app, container, pod, profile, seconds};
use super::*;
use cluster::action::Action;
use cluster::config::SecretSpec;
use cluster::pod::PodPhase;
use cluster::pod_template::{Container, PodSpec, Reference};
use cluster::{Kind, ObjectMeta, apply};

#[test]
fn an_evicted_pod_stays_as_failed() {
    let mut one = OnePod::new(pod(vec![container("web")]), &profile(app()));
    one.run_until(10.0);
    let id = one.pod;
    one.step(|kubelet, view, out| kubelet.evict(view, id, "The node was low on memory.", out));
    assert_eq!(one.at(11.0), "0/1 Completed 0", "it had nothing in flight");
    let pod = one.get().unwrap();
    assert_eq!((pod.phase, pod.status_reason), (PodPhase::Failed, Some("Evicted")));
    assert_eq!(pod.disruption_target, Some("TerminationByKubelet"));
}

#[test]
fn a_pod_that_is_evicted_while_its_sidecar_is_pulled_starts_nothing_any_more() {
    let mut spec = pod(vec![container("web")]);
    spec.init_containers = vec![Container { is_sidecar: true, ..container("mesh") }];
    let mut one = OnePod::new(spec, &profile(app()));
    one.run_until(1.0);
    let id = one.pod;
    one.step(|kubelet, view, out| kubelet.evict(view, id, "The node was low on memory.", out));
    one.run_until(60.0);
    let pod = one.get().unwrap();
    assert_eq!((pod.phase, pod.status_reason), (PodPhase::Failed, Some("Evicted")));
    let runs = |status: &cluster::container_status::ContainerStatus| {
        matches!(status.state, cluster::container_status::ContainerState::Running { .. })
    };
    let (init, regular) = pod.containers.split(&one.store.template_of(pod).spec);
    assert!(!init.iter().chain(regular).any(runs));
    assert!(one.apps.is_empty(), "{:?}", one.apps);
}

#[test]
fn a_machine_that_was_restarted_makes_its_containers_anew_init_containers_first() {
    let mut spec = pod(vec![container("web")]);
    spec.init_containers = vec![container("migrate")];
    let mut one = OnePod::new(spec, &profile(AppProfile { init: seconds(10), ..app() }));
    assert_eq!(one.at(15.0), "1/1 Running 0");
    let node = one.node;
    one.step(|kubelet, view, out| kubelet.node_down(view, node, out));
    one.run_until(100.0);
    one.step(|kubelet, view, out| kubelet.node_up(view, node, out));
    assert_eq!(one.at(102.0), "0/1 Init:0/1 0", "the images are there, the sandbox takes 1 s");
    assert_eq!(one.at(111.0), "1/1 Running 1");
}

#[test]
fn a_node_that_was_only_cut_off_finds_its_containers_as_they_were() {
    let mut one = OnePod::new(pod(vec![container("web")]), &profile(app()));
    one.run_until(10.0);
    let (id, node) = (one.pod, one.node);
    one.step(|kubelet, view, out| kubelet.node_unreachable(view, node, out));
    one.run_until(100.0);
    one.step(|kubelet, view, out| kubelet.node_up(view, node, out));
    assert_eq!(one.at(100.0), "1/1 Running 0");
    assert!(one.apps.contains(&(one.now, AppEffect::Found(id, true))));
}

#[test]
fn a_pod_whose_volume_lacks_its_secret_stays_in_creation_and_says_so_again_and_again() {
    let reference = |volume: Option<&str>| Reference {
        kind: Kind::Secret,
        name: "tls".into(),
        key: None,
        volume: volume.map(Name::from),
    };
    for (volume, status) in
        [(Some("certs"), "ContainerCreating"), (None, "CreateContainerConfigError")]
    {
        let spec = PodSpec { references: vec![reference(volume)], ..pod(vec![container("web")]) };
        let mut one = OnePod::new(spec, &profile(app()));
        assert_eq!(one.at(60.0), format!("0/1 {status} 0"));
        let secret = Action::create(ObjectMeta::new("shop", "tls"), SecretSpec::default());
        apply(&mut one.store, one.now, secret, &mut Vec::new()).unwrap();
        assert_eq!(one.at(140.0), "1/1 Running 0");
    }
}
