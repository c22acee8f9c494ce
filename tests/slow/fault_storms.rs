//! What holds in every world whatever befalls it: budgets are kept, pods are where they are once, and when
//! the faults end, everything is again as its owner wants it.

use crate::texts;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use wavetank::cluster::pod::Owner;
use wavetank::cluster::{Action, AnySpec, ClusterView, Name, NamespacedName, ObjectReference};
use wavetank::engine::{SimDuration, SimTime};
use wavetank::faults::{
    ContainerCrash, ImageChange, KubeletRestart, Outage, PodDeletion, ScaleChange, TimelineAction,
};
use wavetank::sim::world::Step;
use wavetank::sim::{Blueprint, Simulation, World};

/// The storm ends here.
const CALM: i64 = 600;
/// By then everything has come back: a crash loop waits for five minutes at most, and so does a pod on a
/// node that is lost.
const CONVERGED: i64 = CALM + 900;
/// And by then all pods are gone whose owners were deleted.
const GONE: i64 = CONVERGED + 180;

const WORKLOADS: [&str; 4] =
    ["Deployment/web", "StatefulSet/db", "DaemonSet/agent", "CronJob/tick"];

const MANIFESTS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: app, image: 'app:v1', resources: {requests: {cpu: 100m}},
        readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 2},
        livenessProbe: {tcpSocket: {port: 1}, periodSeconds: 5}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 10
      containers: [{name: app, image: 'app:v1', resources: {requests: {cpu: 100m}},
        readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 2}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: app, image: 'app:v1', resources: {requests: {cpu: 50m}}}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: '*/2 * * * *'
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app: tick}}
        spec:
          restartPolicy: OnFailure
          containers: [{name: app, image: 'app:v1', resources: {requests: {cpu: 50m}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 3, selector: {matchLabels: {app: web}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: db}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: db}}}
";

const SCENARIO: &str = "
duration: 1h
cluster: {nodePools: [{name: pool, instanceType: aws/m5.large, count: 4, zones: [a, b]}]}
workloads:
  - {workload: Deployment/web, app: {warmUp: 3s, shutDown: 2s}}
  - {workload: StatefulSet/db, app: {warmUp: 3s}}
  - {workload: DaemonSet/agent}
  - {workload: CronJob/tick, app: {runsFor: 40s, runsForCv: 0.3}}
";

fn calm_world() -> World {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(|| {
        let resolved = texts::resolved(SCENARIO, MANIFESTS, &[]);
        let blueprint = Blueprint::new(&resolved).expect("a scenario without mistakes");
        blueprint.world(1).expect("a world")
    });
    world.clone()
}

fn workload(text: &str) -> ObjectReference {
    text.parse().expect("a reference")
}

fn any_node() -> impl Strategy<Value = Name> {
    (1..5u32).prop_map(|number| Name::from(format!("pool-{number}")))
}

fn any_workload() -> impl Strategy<Value = ObjectReference> {
    (0..WORKLOADS.len()).prop_map(|position| workload(WORKLOADS[position]))
}

fn any_outage() -> impl Strategy<Value = Outage> {
    (any_workload(), prop::option::of(1..3u32), 5..200i64).prop_map(|(workload, count, seconds)| {
        Outage { workload, count, duration: SimDuration::from_secs(seconds) }
    })
}

fn any_fault() -> impl Strategy<Value = TimelineAction> {
    prop_oneof![
        any_node().prop_map(TimelineAction::KillNode),
        any_node().prop_map(TimelineAction::RecoverNode),
        any_node().prop_map(TimelineAction::DisconnectNode),
        any_node().prop_map(TimelineAction::NodeNotReady),
        any_node().prop_map(TimelineAction::Cordon),
        any_node().prop_map(TimelineAction::Uncordon),
        any_node().prop_map(TimelineAction::Drain),
        prop_oneof!["a", "b"].prop_map(|zone| TimelineAction::KillZone(zone.as_str().into())),
        (any_node(), 5..90i64).prop_map(|(node, seconds)| {
            let down_for = SimDuration::from_secs(seconds);
            TimelineAction::RestartKubelet(KubeletRestart { node, down_for })
        }),
        (any_workload(), 1..3u32, 1..3i32).prop_map(|(workload, count, exit_code)| {
            TimelineAction::CrashContainer(ContainerCrash { workload, count, exit_code })
        }),
        any_outage().prop_map(TimelineAction::Hang),
        any_outage().prop_map(TimelineAction::FailReadiness),
        (any_workload(), 1..3u32, any::<bool>()).prop_map(|(workload, count, force)| {
            TimelineAction::DeletePod(PodDeletion { workload, count, force })
        }),
        (any_workload(), 1..4u32).prop_map(|(workload, version)| {
            let image = Name::from(format!("app:v{version}"));
            TimelineAction::SetImage(ImageChange { workload, container: None, image })
        }),
        (0..2usize, 0..6u32).prop_map(|(which, replicas)| {
            let workload = workload(WORKLOADS[which]);
            TimelineAction::Scale(ScaleChange { workload, replicas })
        }),
        (0..3usize).prop_map(|which| TimelineAction::RestartRollout(workload(WORKLOADS[which]))),
    ]
}

fn entry(seconds: i64, action: TimelineAction) -> (SimTime, Step) {
    (SimTime::from_secs(seconds), action.into())
}

/// A world in which all this happens, and then everything is put right.
fn stormy_world(seed: u64, mut storm: Vec<(i64, TimelineAction)>) -> World {
    storm.sort_by_key(|(at, _)| *at);
    let mut timeline: Vec<_> = storm.into_iter().map(|(at, action)| entry(at, action)).collect();
    for number in 1..5 {
        let node = Name::from(format!("pool-{number}"));
        timeline.push(entry(CALM, TimelineAction::RecoverNode(node.clone())));
        timeline.push(entry(CALM, TimelineAction::Uncordon(node)));
    }
    for object in WORKLOADS {
        timeline.push(entry(CONVERGED, TimelineAction::Delete(workload(object))));
    }
    World { seed, timeline, ..calm_world() }
}

/// How many pods of web and of db serve.
fn serving(view: ClusterView<'_>) -> [usize; 2] {
    let mut serving = [0, 0];
    for pod in view.store().pods().values().filter(|pod| pod.is_ready() && !pod.is_terminating()) {
        match pod.owner {
            Some(Owner::ReplicaSet(_)) => serving[0] += 1,
            Some(Owner::StatefulSet(_)) => serving[1] += 1,
            _ => {}
        }
    }
    serving
}

/// Whether the eviction of a pod that served left fewer than its budget asks for.
fn assert_budgets_are_kept(simulation: &Simulation, told: usize, before: [usize; 2]) {
    let view = simulation.view();
    let evicted = simulation.recorder().log[told..].iter().filter(|line| line.reason == "Evicted");
    let (mut web, mut db) = (0, 0);
    for line in evicted {
        web += usize::from(line.object.name.starts_with("web-"));
        db += usize::from(line.object.name.starts_with("db-"));
    }
    let [web_before, db_before] = before;
    let [web_now, db_now] = serving(view);
    let at = simulation.now();
    if web > 0 && web_now < web_before {
        assert!(web_now >= 3, "at {at}: {web} evictions took web from {web_before} to {web_now}");
    }
    // An eviction is granted by the budget's status, which counts the replicas as they were when a pod of the budget last
    // changed: the disruption controller watches pods and budgets, not StatefulSets.
    let enough = (db_replicas(view) - 1).min(db_desired_healthy(view));
    let enough = usize::try_from(enough).unwrap_or(0);
    if db > 0 && db_now < db_before {
        assert!(db_now >= enough, "at {at}: {db} evictions took db from {db_before} to {db_now}");
    }
}

fn assert_every_pod_is_in_one_place(view: ClusterView<'_>) {
    let mut seen = std::collections::BTreeSet::new();
    for (node, _) in view.nodes().iter() {
        for (pod, object) in view.pods_on(node) {
            assert_eq!(object.node, Some(node), "{}", object.id);
            assert!(seen.insert(pod), "{} is on two nodes", object.id);
        }
    }
    let bound = view.store().pods().iter().filter(|(_, pod)| pod.node.is_some());
    assert_eq!(bound.count(), seen.len());
}

fn assert_states_are_those_of_the_pods(view: ClusterView<'_>) {
    let owners: std::collections::BTreeSet<Owner> =
        view.store().pods().values().filter_map(|pod| pod.owner).collect();
    for owner in owners {
        let siblings = view.siblings(owner);
        let kept = siblings.ids().iter().copied().zip(siblings.states().iter().copied());
        let pods = view.store().pods().iter().filter(|(_, pod)| pod.owner == Some(owner));
        let mut pods: Vec<_> = pods.map(|(id, pod)| (id, pod.state())).collect();
        pods.sort_by_key(|(pod, _)| *pod);
        assert_eq!(kept.collect::<Vec<_>>(), pods, "{owner:?}");
    }
}

fn assert_all_is_as_wanted(view: ClusterView<'_>) {
    let id = |name| NamespacedName::new("default", name);
    let web = view.named(&id("web")).and_then(|one| view.deployments().get(one));
    let web = web.expect("it is there");
    assert_eq!(web.status.ready_replicas, web.spec.replicas, "web");
    assert_eq!(web.status.updated_replicas, web.spec.replicas, "web");
    let db = view.named(&id("db")).and_then(|one| view.stateful_sets().get(one));
    let db = db.expect("it is there");
    assert_eq!(db.status.ready_replicas, db.spec.replicas, "db");
    let agent = view.named(&id("agent")).and_then(|one| view.daemon_sets().get(one));
    let agent = agent.expect("it is there");
    assert_eq!((agent.status.desired_number_scheduled, agent.status.number_ready), (4, 4));
    assert_eq!(agent.status.updated_number_scheduled, 4);
    let stuck = view.store().pods().values().filter(|pod| pod.is_terminating());
    assert_eq!(stuck.count(), 0, "pods that terminate");
}

fn db_replicas(view: ClusterView<'_>) -> i32 {
    let id = view.named(&NamespacedName::new("default", "db"));
    id.and_then(|id| view.stateful_sets().get(id)).map_or(0, |set| set.spec.replicas)
}

fn db_desired_healthy(view: ClusterView<'_>) -> i32 {
    let id = view.named(&NamespacedName::new("default", "db"));
    let budget = id.and_then(|id| view.disruption_budgets().get(id));
    budget.map_or(0, |budget| budget.status.desired_healthy)
}

/// The storm that showed that: a StatefulSet scaled from 1 to more as its node is drained.
#[test]
fn an_eviction_is_granted_by_what_the_budget_last_saw() {
    let scale = |replicas| {
        TimelineAction::Scale(ScaleChange { workload: workload("StatefulSet/db"), replicas })
    };
    let drains =
        (1..5).map(|number| (300, TimelineAction::Drain(format!("pool-{number}").as_str().into())));
    let mut storm = vec![(100, scale(1)), (300, scale(4))];
    storm.extend(drains);
    weather(1, storm);
}

fn weather(seed: u64, storm: Vec<(i64, TimelineAction)>) {
    let mut simulation = Simulation::new(stormy_world(seed, storm));
    let until = |simulation: &mut Simulation, seconds: i64| {
        let until = SimTime::from_secs(seconds);
        let mut steps = 0;
        while simulation.next_time().is_some_and(|at| at <= until) {
            let before = serving(simulation.view());
            let told = simulation.recorder().log.len();
            simulation.step();
            if simulation.recorder().log.len() > told {
                assert_budgets_are_kept(simulation, told, before);
            }
            steps += 1;
            assert!(steps < 200_000, "it goes on for ever at {}", simulation.now());
        }
        simulation.run_until(until);
        assert_every_pod_is_in_one_place(simulation.view());
        assert_states_are_those_of_the_pods(simulation.view());
    };
    for seconds in (60..CONVERGED).step_by(60) {
        until(&mut simulation, seconds);
    }
    until(&mut simulation, CONVERGED - 1);
    assert_all_is_as_wanted(simulation.view());
    until(&mut simulation, GONE);
    let left: Vec<String> =
        simulation.view().store().pods().values().map(|pod| pod.id.to_string()).collect();
    assert!(left.is_empty(), "their owners are gone: {left:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_few_faults_pass(
        seed in 0..1_000u64,
        storm in prop::collection::vec((0..CALM, any_fault()), 1..6),
    ) {
        weather(seed, storm);
    }

    #[test]
    fn a_heavy_storm_passes(
        seed in 0..1_000u64,
        storm in prop::collection::vec((0..CALM, any_fault()), 6..13),
    ) {
        weather(seed, storm);
    }
}

#[test]
fn a_calm_run_ends_as_every_storm_does() {
    weather(1, Vec::new());
}

/// The checks above would see a world in which they do not hold.
#[test]
#[should_panic(expected = "web")]
fn a_workload_that_does_not_come_back_is_seen() {
    let mut world = stormy_world(1, Vec::new());
    world.objects.retain(|action| !matches!(action, Action::Apply(_, AnySpec::StatefulSet(_))));
    let plan = world.apps.get_mut(&workload("Deployment/web")).expect("it is described");
    Arc::make_mut(&mut plan.default).profile.never_ready = true;
    let mut simulation = Simulation::new(world);
    simulation.run_until(SimTime::from_secs(CONVERGED - 1));
    assert_all_is_as_wanted(simulation.view());
}
