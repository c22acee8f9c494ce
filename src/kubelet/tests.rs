//! One pod on one node, from its binding on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use cluster::action::{PodDeletion, PodDraft, PodName, PodSource};
use cluster::node::Node;
use cluster::pod::{Pod, PodPhase};
use cluster::pod_template::{Container, PodSpec, PodTemplate, Probe, ResourceList, RestartPolicy};
use cluster::printed_status::printed_status;
use cluster::{Change, ObjectMeta, PodChanges, Store, apply};
use engine::Streams;

/// A pod on a node, whose application has nothing in flight when it drains.
pub(super) struct OnePod {
    pub(super) store: Store,
    pub(super) kubelet: Kubelet,
    pub(super) pod: PodId,
    pub(super) node: NodeId,
    pub(super) now: SimTime,
    pub(super) apps: Vec<(SimTime, AppEffect)>,
    /// The changes made by each write.
    pub(super) writes: Vec<Vec<Change>>,
    pub(super) timers: Vec<(SimTime, PodId, u32)>,
    pub(super) steps: Vec<(SimTime, PodStep)>,
}

impl OnePod {
    pub(super) fn new(spec: PodSpec, profile: &PodProfile) -> Self {
        Self::timed(spec, profile, KubeletTiming::IDEAL, 1)
    }

    /// A pod with these kubelet timings; `seed` distinguishes pods.
    pub(super) fn timed(
        spec: PodSpec,
        profile: &PodProfile,
        timing: KubeletTiming,
        seed: u64,
    ) -> Self {
        Self::configured(spec, profile, KubeletSettings::default(), (timing, seed))
    }

    /// A pod whose kubelet has these settings.
    fn configured(
        spec: PodSpec,
        profile: &PodProfile,
        settings: KubeletSettings,
        (timing, seed): (KubeletTiming, u64),
    ) -> Self {
        let mut store = Store::new(Streams::new(seed));
        let mut changes = Vec::new();
        let mut act = |action| apply(&mut store, SimTime::ZERO, action, &mut changes).unwrap();
        act(Action::add_node(node()));
        act(Action::CreatePod(Box::new(PodDraft {
            name: PodName::Exact("web".into()),
            namespace: "shop".into(),
            template: PodSource::New(Box::new(PodTemplate { spec, ..PodTemplate::default() })),
            owner: None,
        })));
        let view = ClusterView::new(&store, SimTime::ZERO);
        let pod = view.pods().iter().next().unwrap().0;
        let node = view.nodes().iter().next().unwrap().0;
        apply(&mut store, SimTime::ZERO, Action::BindPod(pod, node), &mut changes).unwrap();
        let mut one = Self {
            store,
            kubelet: Kubelet::new(settings, timing),
            pod,
            node,
            now: SimTime::ZERO,
            apps: Vec::new(),
            writes: Vec::new(),
            timers: Vec::new(),
            steps: Vec::new(),
        };
        let uid = one.store.nodes().get(node).map_or(0, |node| node.meta.uid);
        one.kubelet.node_added(node, uid, std::iter::empty());
        one.step(|kubelet, view, out| kubelet.pod_bound(view, pod, profile, out));
        one
    }

    /// Runs one step of the kubelet and applies its actions.
    pub(super) fn step(&mut self, step: impl FnOnce(&mut Kubelet, ClusterView<'_>, &mut Effects)) {
        let mut out = Effects::default();
        step(&mut self.kubelet, ClusterView::new(&self.store, self.now), &mut out);
        self.timers.extend(out.timers);
        self.steps.extend(out.steps.into_iter().map(|(_, step)| (self.now, step)));
        for action in out.actions {
            let mut changes = Vec::new();
            apply(&mut self.store, self.now, action, &mut changes).unwrap();
            self.writes.push(changes);
        }
        for effect in out.apps {
            self.apps.push((self.now, effect));
            if let AppEffect::Drains(pod, at) = effect {
                // A version that no worker has marks the end of the application's drain.
                self.timers.push((at, pod, u32::MAX));
            }
        }
    }

    /// Runs everything up to and including `seconds`.
    pub(super) fn run_until(&mut self, seconds: f64) {
        let until = SimTime::from_secs_f64(seconds);
        while let Some(next) =
            self.timers.iter().map(|(at, ..)| *at).min().filter(|at| *at <= until)
        {
            let position = self.timers.iter().position(|(at, ..)| *at == next).unwrap();
            let (at, pod, version) = self.timers.remove(position);
            self.now = at.max(self.now);
            self.step(|kubelet, view, out| match version {
                u32::MAX => kubelet.drained(view, pod, out),
                _ => kubelet.wake(view, pod, version, out),
            });
        }
        self.now = until;
    }

    pub(super) fn get(&self) -> Option<&Pod> {
        self.store.pods().get(self.pod)
    }

    /// READY STATUS RESTARTS as kubectl prints them at `seconds`; `gone` without the object.
    pub(super) fn at(&mut self, seconds: f64) -> String {
        self.run_until(seconds);
        let Some(pod) = self.get() else { return "gone".to_owned() };
        let printed = printed_status(pod, &self.store.template_of(pod).spec);
        format!("{}/{} {} {}", printed.ready, printed.containers, printed.status, printed.restarts)
    }

    pub(super) fn delete(&mut self) {
        let deletion = Action::DeletePod(self.pod, PodDeletion::default());
        apply(&mut self.store, self.now, deletion, &mut Vec::new()).unwrap();
        let pod = self.pod;
        self.step(|kubelet, view, out| kubelet.pod_deleting(view, pod, out));
    }
}

fn node() -> Node {
    Node::new(ObjectMeta::new("", "n1"), ResourceList::default())
}

pub(super) fn seconds(seconds: i64) -> SimDuration {
    SimDuration::from_secs(seconds)
}

pub(super) fn container(name: &str) -> Container {
    Container { name: name.into(), image: name.into(), ..Container::default() }
}

pub(super) fn pod(containers: Vec<Container>) -> PodSpec {
    PodSpec { containers, termination_grace_period: seconds(30), ..PodSpec::default() }
}

/// Pulled in 2 s, started in 1 s.
pub(super) fn app() -> AppProfile {
    AppProfile { image_pull: seconds(2), start: Some(seconds(1)), ..AppProfile::default() }
}

pub(super) fn profile(app: AppProfile) -> PodProfile {
    PodProfile { app, ..PodProfile::default() }
}

pub(super) fn probe(period: i64, failure_threshold: u32) -> Probe {
    Probe {
        initial_delay: SimDuration::ZERO,
        period: seconds(period),
        timeout: seconds(1),
        success_threshold: 1,
        failure_threshold,
        termination_grace_period: None,
    }
}

#[test]
fn a_container_is_pulled_made_and_ready_when_its_probe_finds_it() {
    let web = Container { readiness_probe: Some(probe(5, 3)), ..container("web") };
    let mut one =
        OnePod::new(pod(vec![web]), &profile(AppProfile { warm_up: seconds(7), ..app() }));
    assert_eq!(one.at(0.0), "0/1 ContainerCreating 0");
    assert_eq!(one.at(3.0), "0/1 Running 0");
    assert_eq!(one.at(12.9), "0/1 Running 0");
    assert_eq!(one.at(13.0), "1/1 Running 0", "probes at 3, 8, 13 s; it answers from 10 s on");
}

#[test]
fn what_is_new_is_written_in_one_go_and_what_is_not_is_not_written() {
    let web = Container { readiness_probe: Some(probe(1, 3)), ..container("web") };
    let mut one =
        OnePod::new(pod(vec![web]), &profile(AppProfile { warm_up: seconds(7), ..app() }));
    assert_eq!(one.at(60.0), "1/1 Running 0");
    let update = |what| vec![Change::PodUpdated(one.pod, what)];
    let containers = PodChanges::CONTAINERS;
    let expected = [
        PodChanges::PHASE,
        containers,
        containers.and(PodChanges::PHASE).and(PodChanges::ADDRESS),
        containers.and(PodChanges::READY),
    ];
    assert_eq!(one.writes, expected.map(update), "taken, waiting, running, ready");
}

#[test]
fn init_containers_run_one_by_one_and_sidecars_beside_what_follows() {
    let mut spec = pod(vec![container("web")]);
    let mesh = Container { is_sidecar: true, ..container("mesh") };
    spec.init_containers = vec![container("migrate"), mesh, container("warm")];
    let mut one = OnePod::new(spec, &profile(AppProfile { init: seconds(20), ..app() }));
    // Pull 2 s, sandbox 1 s, then ten seconds for each of the two containers that run to
    // completion.
    assert_eq!(one.at(1.0), "0/2 Init:0/3 0");
    assert_eq!(one.at(3.0), "0/2 Init:0/3 0");
    assert_eq!(one.at(13.0), "0/2 Init:1/3 0", "the sidecar is pulled");
    assert_eq!(one.at(16.9), "1/2 Init:2/3 0", "the sidecar runs");
    assert_eq!(one.at(17.0), "1/2 Init:2/3 0");
    assert!(!one.get().unwrap().conditions.initialized.unwrap().is_true());
    assert_eq!(one.at(27.0), "1/2 PodInitializing 0");
    assert_eq!(one.at(29.0), "2/2 Running 0");
    assert!(one.get().unwrap().conditions.initialized.unwrap().is_true());
}

#[test]
fn an_init_container_that_fails_is_tried_again_or_fails_its_pod() {
    let described = |policy| {
        let failing = AppProfile {
            runs_for: Some(seconds(1)),
            exit_code: 3,
            start: Some(seconds(0)),
            ..app()
        };
        let others = Arc::new(BTreeMap::from([(Name::from("migrate"), failing)]));
        let spec = PodSpec {
            init_containers: vec![container("migrate")],
            restart_policy: policy,
            ..pod(vec![container("web")])
        };
        OnePod::new(spec, &PodProfile { app: app(), others, ..PodProfile::default() })
    };
    let mut one = described(RestartPolicy::Always);
    assert_eq!(one.at(2.5), "0/1 Init:0/1 0");
    assert_eq!(one.at(5.0), "0/1 Init:CrashLoopBackOff 1", "the first restart comes at once");
    let mut one = described(RestartPolicy::Never);
    assert_eq!(one.at(5.0), "0/1 Init:Error 0");
    assert_eq!(one.get().unwrap().phase, PodPhase::Failed);
}

#[test]
fn a_crashing_container_backs_off_longer_and_longer() {
    let crashing = AppProfile { crashes_after: Some(seconds(1)), start: Some(seconds(0)), ..app() };
    let mut one = OnePod::new(pod(vec![container("web")]), &profile(crashing));
    assert_eq!(one.at(2.5), "1/1 Running 0");
    assert_eq!(one.at(3.5), "1/1 Running 1", "restarted at once");
    assert_eq!(one.at(4.0), "0/1 CrashLoopBackOff 1");
    assert_eq!(one.at(13.9), "0/1 CrashLoopBackOff 1");
    assert_eq!(one.at(14.0), "1/1 Running 2", "after 10 s");
    assert_eq!(one.at(34.9), "0/1 CrashLoopBackOff 2");
    assert_eq!(one.at(35.0), "1/1 Running 3", "after 20 s");
    let status = one.get().unwrap().containers.all()[0];
    assert_eq!(status.last_termination.map(|end| end.exit_code), Some(1));
}

#[test]
fn what_runs_to_its_end_succeeds_or_fails_as_the_restart_policy_has_it() {
    let batch = |policy, exit_code| {
        let spec = PodSpec { restart_policy: policy, ..pod(vec![container("work")]) };
        OnePod::new(spec, &profile(AppProfile { runs_for: Some(seconds(10)), exit_code, ..app() }))
    };
    let mut well = batch(RestartPolicy::Never, 0);
    assert_eq!(well.at(12.9), "1/1 Running 0");
    assert_eq!(well.at(13.0), "0/1 Completed 0");
    assert_eq!(well.get().unwrap().phase, PodPhase::Succeeded);
    let mut badly = batch(RestartPolicy::Never, 4);
    assert_eq!(badly.at(13.0), "0/1 Error 0");
    assert_eq!(badly.get().unwrap().phase, PodPhase::Failed);
    assert_eq!(batch(RestartPolicy::OnFailure, 4).at(14.5), "1/1 Running 1");
    assert_eq!(batch(RestartPolicy::OnFailure, 0).at(14.5), "0/1 Completed 0");
}

#[test]
fn a_sidecar_goes_when_the_work_is_done() {
    let mut spec = pod(vec![container("work")]);
    spec.init_containers = vec![Container { is_sidecar: true, ..container("mesh") }];
    spec.restart_policy = RestartPolicy::Never;
    let mut one = OnePod::new(spec, &profile(AppProfile { runs_for: Some(seconds(10)), ..app() }));
    assert_eq!(one.at(6.0), "2/2 Running 0");
    assert_eq!(one.at(15.0), "0/2 Completed 0");
    assert_eq!(one.get().unwrap().phase, PodPhase::Succeeded);
}

#[test]
fn a_bad_image_is_pulled_again_after_longer_and_longer() {
    let bad = AppProfile { pull_fails: true, ..app() };
    let mut one = OnePod::new(pod(vec![container("web")]), &profile(bad));
    assert_eq!(one.at(0.0), "0/1 ErrImagePull 0");
    assert_eq!(one.at(10.0), "0/1 ImagePullBackOff 0");
    assert_eq!(one.get().unwrap().phase, PodPhase::Pending);
}

#[test]
fn a_pull_beyond_the_rate_fails_and_is_tried_again_after_its_back_off() {
    let settings = KubeletSettings {
        serialize_image_pulls: false,
        registry_pull_qps: 1,
        registry_burst: 1,
        ..KubeletSettings::default()
    };
    let named = |name: &str| Container { image: name.into(), ..container(name) };
    let spec = pod(vec![named("web"), named("mesh")]);
    let instant = AppProfile { image_pull: SimDuration::ZERO, start: Some(seconds(0)), ..app() };
    let described = profile(instant);
    let mut one = OnePod::configured(spec, &described, settings, (KubeletTiming::IDEAL, 1));
    assert_eq!(one.at(0.0), "1/2 ErrImagePull 0", "the second comes in the same second");
    assert_eq!(one.at(9.9), "1/2 ErrImagePull 0");
    assert_eq!(one.at(10.0), "2/2 Running 0");
    let calls = one.steps.iter().filter(|(_, step)| matches!(step, PodStep::PullCalled(1)));
    assert_eq!(calls.count(), 1);
}

#[test]
fn a_deleted_pod_has_its_hook_then_its_grace_and_goes_when_it_has_drained() {
    let sleeping = Container { pre_stop_sleep: Some(seconds(5)), ..container("web") };
    let mut one = OnePod::new(pod(vec![sleeping]), &profile(app()));
    one.run_until(10.0);
    one.delete();
    assert_eq!(one.at(14.9), "1/1 Terminating 0");
    assert_eq!(one.at(15.0), "gone");
    let stubborn = AppProfile { on_sigterm: OnSigterm::Ignore, ..app() };
    let mut one = OnePod::new(pod(vec![container("web")]), &profile(stubborn));
    one.run_until(10.0);
    one.delete();
    assert_eq!(one.at(39.9), "1/1 Terminating 0");
    assert_eq!(one.at(40.0), "gone", "SIGKILL");
}

#[test]
fn a_hook_longer_than_the_grace_leaves_two_seconds_for_sigterm() {
    let long = Container { pre_stop_sleep: Some(seconds(60)), ..container("web") };
    let stubborn = AppProfile { on_sigterm: OnSigterm::Ignore, ..app() };
    let mut one = OnePod::new(pod(vec![long]), &profile(stubborn));
    one.run_until(10.0);
    one.delete();
    assert_eq!(one.at(41.9), "1/1 Terminating 0");
    assert_eq!(one.at(42.0), "gone");
}

#[test]
fn a_slow_start_is_killed_by_liveness_unless_a_startup_probe_holds_it_back() {
    let slow = AppProfile { warm_up: seconds(60), on_sigterm: OnSigterm::Exit, ..app() };
    let bare = Container { liveness_probe: Some(probe(10, 3)), ..container("web") };
    let mut one = OnePod::new(pod(vec![bare.clone()]), &profile(slow));
    assert_eq!(one.at(29.9), "1/1 Running 0");
    assert_eq!(
        one.at(31.0),
        "1/1 Running 1",
        "probes at 10, 20, 30 s failed: they tick from the sandbox on"
    );
    let guarded = Container { startup_probe: Some(probe(10, 30)), ..bare };
    let mut one = OnePod::new(pod(vec![guarded]), &profile(slow));
    assert_eq!(one.at(69.9), "0/1 Running 0");
    assert_eq!(one.at(70.0), "1/1 Running 0", "it answers from 63 s on, and is probed at 70 s");
    assert_eq!(one.at(600.0), "1/1 Running 0");
}

#[test]
fn an_application_that_hangs_loses_readiness_then_its_life() {
    let web = Container {
        readiness_probe: Some(probe(5, 2)),
        liveness_probe: Some(probe(10, 3)),
        ..container("web")
    };
    let mut one = OnePod::new(pod(vec![web]), &profile(app()));
    one.run_until(20.0);
    let (id, until) = (one.pod, SimTime::from_secs(1000));
    one.step(|kubelet, view, out| kubelet.hang(view, id, until, out));
    assert!(one.apps.contains(&(one.now, AppEffect::Hangs(id))));
    assert_eq!(one.at(28.0), "0/1 Running 0", "readiness probes at 23, 28 s");
    assert_eq!(one.at(69.9), "0/1 Running 0", "liveness at 20, 30, 40 s, then 30 s of grace");
    one.run_until(70.0);
    assert!(one.apps.contains(&(one.now, AppEffect::Stopped(id, Stop::KilledByProbe))));
}

#[test]
fn readiness_that_fails_takes_a_pod_out_and_lets_it_in_again() {
    let web = Container { readiness_probe: Some(probe(5, 3)), ..container("web") };
    let mut one = OnePod::new(pod(vec![web]), &profile(app()));
    one.run_until(10.0);
    let (id, until) = (one.pod, SimTime::from_secs(60));
    one.step(|kubelet, view, out| kubelet.fail_readiness(view, id, until, out));
    assert_eq!(one.at(22.9), "1/1 Running 0");
    assert_eq!(one.at(23.0), "0/1 Running 0", "probes at 13, 18, 23 s");
    assert_eq!(one.at(62.9), "0/1 Running 0");
    assert_eq!(one.at(63.0), "1/1 Running 0");
}

#[test]
fn memory_beyond_the_limit_ends_the_container_with_137() {
    let mut one = OnePod::new(pod(vec![container("web")]), &profile(app()));
    one.run_until(10.0);
    for _ in 0..2 {
        let id = one.pod;
        one.step(|kubelet, view, out| {
            kubelet.kill_container(view, id, ContainerKill::OutOfMemory, out);
        });
        one.run_until(11.5);
    }
    assert_eq!(one.at(11.5), "0/1 CrashLoopBackOff 1");
    let status = one.get().unwrap().containers.all()[0];
    let last = status.last_termination.unwrap();
    assert_eq!((last.exit_code, last.reason.as_str()), (137, "OOMKilled"));
}
