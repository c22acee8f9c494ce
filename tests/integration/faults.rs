//! Faults of nodes and pods, on the timeline and by chance: each does what its name says, and is over when
//! it says.

use crate::texts::{resolved, simulation};
use wavetank::cluster::ClusterView;
use wavetank::cluster::node::ConditionStatus;
use wavetank::engine::SimTime;
use wavetank::record::LogLine;
use wavetank::sim::Simulation;

const MANIFESTS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 20
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
           labelSelector: {matchLabels: {app: web}}}
      containers: [{name: app, image: 'app:v1', resources: {requests: {cpu: 100m}},
        readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 2}}]
";

fn begin(duration: &str, rest: &str) -> Simulation {
    let scenario = format!(
        "duration: {duration}\ncluster: {{nodePools: [{{name: pool, instanceType: aws/m5.large, count: 3, \
         zones: [a, b, c]}}]}}\nworkloads: [{{workload: Deployment/web, app: {{warmUp: 2s}}}}]\n{rest}"
    );
    simulation(&resolved(&scenario, MANIFESTS, &[]), 1)
}

fn run_to(simulation: &mut Simulation, seconds: i64) {
    simulation.run_until(SimTime::from_secs(seconds));
}

fn is_ready(view: ClusterView<'_>, node: &str) -> bool {
    let node = view.node_named(node).and_then(|id| view.nodes().get(id));
    node.is_some_and(|node| node.ready.status == ConditionStatus::True)
}

fn ready_pods(view: ClusterView<'_>) -> usize {
    view.store().pods().values().filter(|pod| pod.is_ready() && !pod.is_terminating()).count()
}

fn pods_on(view: ClusterView<'_>, node: &str) -> usize {
    view.node_named(node).map_or(0, |id| view.pods_on(id).count())
}

fn told<'a>(simulation: &'a Simulation, reason: &'a str) -> impl Iterator<Item = &'a LogLine> {
    simulation.recorder().log.iter().filter(move |line| line.reason == reason)
}

fn restarts(simulation: &Simulation) -> u64 {
    simulation.recorder().workloads.iter().map(|one| one.restarts).sum()
}

#[test]
fn a_dead_node_is_noticed_by_its_silence_and_its_pods_are_replaced_after_five_minutes() {
    let mut simulation = begin("20m", "timeline: [{at: 2m, killNode: pool-1}]\n");
    run_to(&mut simulation, 130);
    assert!(is_ready(simulation.view(), "pool-1"), "nobody has noticed yet");
    run_to(&mut simulation, 180);
    assert!(!is_ready(simulation.view(), "pool-1"), "nodeMonitorGracePeriod has passed");
    assert_eq!(ready_pods(simulation.view()), 4);
    run_to(&mut simulation, 440);
    assert_eq!(ready_pods(simulation.view()), 4, "the pods tolerate it for 300 s");
    run_to(&mut simulation, 600);
    assert_eq!(ready_pods(simulation.view()), 6);
}

#[test]
fn a_node_that_comes_back_in_time_keeps_its_pods_and_starts_their_containers_anew() {
    let timeline = "timeline: [{at: 2m, killNode: pool-1}, {at: 4m, recoverNode: pool-1}]\n";
    let mut simulation = begin("20m", timeline);
    run_to(&mut simulation, 119);
    let names = |view: ClusterView<'_>| -> Vec<String> {
        view.store().pods().values().map(|pod| pod.id.to_string()).collect()
    };
    let before = names(simulation.view());
    run_to(&mut simulation, 330);
    assert_eq!(names(simulation.view()), before);
    assert_eq!((ready_pods(simulation.view()), restarts(&simulation)), (6, 2));
}

#[test]
fn a_disconnected_node_goes_on_and_needs_no_restart() {
    let timeline = "timeline: [{at: 2m, disconnectNode: pool-1}, {at: 4m, recoverNode: pool-1}]\n";
    let mut simulation = begin("20m", timeline);
    run_to(&mut simulation, 200);
    assert!(!is_ready(simulation.view(), "pool-1"));
    run_to(&mut simulation, 300);
    assert!(is_ready(simulation.view(), "pool-1"));
    assert_eq!((ready_pods(simulation.view()), restarts(&simulation)), (6, 0));
}

#[test]
fn a_short_restart_of_a_kubelet_is_not_noticed_and_a_long_one_is() {
    let restart = |seconds: i64| {
        let timeline = format!(
            "timeline: [{{at: 2m, restartKubelet: {{node: pool-1, downFor: {seconds}s}}}}]\n"
        );
        let mut simulation = begin("20m", &timeline);
        run_to(&mut simulation, 119 + seconds);
        let was_ready = is_ready(simulation.view(), "pool-1");
        run_to(&mut simulation, 300 + seconds);
        assert_eq!((ready_pods(simulation.view()), restarts(&simulation)), (6, 0));
        assert!(is_ready(simulation.view(), "pool-1"));
        was_ready
    };
    assert!(restart(20));
    assert!(!restart(120));
}

#[test]
fn the_busiest_node_of_a_pool_is_the_one_with_most_pods_and_the_first_of_several() {
    let lost = |drained: &[&str]| -> Vec<String> {
        let entry = |node: &&str| {
            format!("  - {{at: 1m, drain: {node}}}\n  - {{at: 2m, uncordon: {node}}}\n")
        };
        let entries: String = drained.iter().map(entry).collect();
        let timeline = format!("timeline:\n{entries}  - {{at: 3m, killBusiestNode: pool}}\n");
        let mut simulation = begin("10m", &timeline);
        run_to(&mut simulation, 260);
        let nodes = ["pool-1", "pool-2", "pool-3"].into_iter();
        let lost = nodes.filter(|node| !is_ready(simulation.view(), node));
        lost.map(str::to_owned).collect()
    };
    assert_eq!(lost(&["pool-1", "pool-2"]), ["pool-3"]);
    assert_eq!(lost(&["pool-1"]), ["pool-2"]);
}

#[test]
fn a_node_that_is_down_is_not_the_busiest_though_its_pods_are_still_bound_to_it() {
    let timeline = "timeline: [{at: 3m, killBusiestNode: pool}, {at: 4m, killBusiestNode: pool}]\n";
    let mut simulation = begin("10m", timeline);
    run_to(&mut simulation, 320);
    let ready =
        ["pool-1", "pool-2", "pool-3"].iter().filter(|node| is_ready(simulation.view(), node));
    assert_eq!(ready.count(), 1);
}

#[test]
fn a_zone_falls_and_comes_back() {
    let timeline = "timeline: [{at: 2m, killZone: b}, {at: 4m, recoverZone: b}]\n";
    let mut simulation = begin("10m", timeline);
    run_to(&mut simulation, 200);
    let ready: Vec<bool> =
        ["pool-1", "pool-2", "pool-3"].map(|node| is_ready(simulation.view(), node)).into();
    assert_eq!(ready, [true, false, true]);
    run_to(&mut simulation, 600);
    assert_eq!(ready_pods(simulation.view()), 6);
}

#[test]
fn a_spot_machine_is_drained_at_its_notice_goes_and_is_replaced() {
    let timeline = "timeline: [{at: 2m, reclaimSpot: {pool: pool, replacedAfter: 3m}}]\n";
    let mut simulation = begin("20m", timeline);
    run_to(&mut simulation, 121);
    let line = told(&simulation, "SpotInterruption").next().expect("a notice");
    let node = line.object.name.to_string();
    run_to(&mut simulation, 200);
    assert_eq!(pods_on(simulation.view(), &node), 0, "it was drained");
    assert_eq!(ready_pods(simulation.view()), 6);
    assert!(simulation.view().node_named(&node).is_some(), "the machine has two minutes");
    run_to(&mut simulation, 241);
    assert!(simulation.view().node_named(&node).is_none());
    assert!(simulation.view().node_named("pool-4").is_none());
    run_to(&mut simulation, 421);
    assert!(is_ready(simulation.view(), "pool-4"));
}

#[test]
fn maintenance_goes_from_node_to_node_and_leaves_all_in_service() {
    let timeline = "timeline: [{at: 2m, maintain: {pool: pool, takes: 2m}}]\n";
    let mut simulation = begin("20m", timeline);
    let mut most = 0;
    for second in (120..1_200).step_by(5) {
        run_to(&mut simulation, second);
        let nodes = simulation.view().store().nodes().values();
        most = most.max(nodes.filter(|node| node.unschedulable).count());
    }
    assert_eq!((most, told(&simulation, "Maintenance").count()), (1, 3));
    assert_eq!(ready_pods(simulation.view()), 6);
}

#[test]
fn a_drain_leaves_the_pods_of_daemon_sets_where_they_are() {
    let agent = "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent}\nspec: {selector: {matchLabels: \
                 {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: a, image: 'a:1'}]}}}\n";
    let scenario = "duration: 10m\ncluster: {nodePools: [{name: pool, instanceType: aws/m5.large, count: 3}]}\n\
                    timeline: [{at: 2m, drain: pool-1}]\n";
    let manifests = format!("{MANIFESTS}{agent}");
    let mut simulation = simulation(&resolved(scenario, &manifests, &[]), 1);
    run_to(&mut simulation, 600);
    assert_eq!(pods_on(simulation.view(), "pool-1"), 1, "its own pod of the DaemonSet");
    let evicted = told(&simulation, "Evicted").filter(|line| line.object.name.starts_with("agent"));
    assert_eq!(evicted.count(), 0);
    assert_eq!(ready_pods(simulation.view()), 9);
}

#[test]
fn what_is_done_every_hour_is_done_at_every_hour() {
    let timeline = "timeline: [{at: 30m, every: 1h, maintain: {pool: pool, takes: 1m}}]\n";
    let mut simulation = begin("5h", timeline);
    run_to(&mut simulation, 18_000);
    let hours: Vec<i64> = told(&simulation, "Maintenance")
        .filter(|line| line.object.name.ends_with("-1"))
        .map(|line| (line.at - SimTime::ZERO).as_secs() / 3_600)
        .collect();
    assert_eq!(hours, [0, 1, 2, 3, 4]);
    assert_eq!(ready_pods(simulation.view()), 6);
}

#[test]
fn a_hanging_pod_is_unready_for_its_spell_and_a_crashed_one_is_restarted() {
    let timeline = "timeline:\n- {at: 2m, hang: {workload: Deployment/web, count: 2, for: 60s}}\n\
                    - {at: 6m, crashContainer: {workload: Deployment/web, count: 3, exitCode: 9}}\n";
    let mut simulation = begin("20m", timeline);
    run_to(&mut simulation, 150);
    assert_eq!(ready_pods(simulation.view()), 4);
    run_to(&mut simulation, 200);
    assert_eq!((ready_pods(simulation.view()), restarts(&simulation)), (6, 0));
    run_to(&mut simulation, 361);
    assert_eq!(ready_pods(simulation.view()), 3);
    run_to(&mut simulation, 400);
    assert_eq!((ready_pods(simulation.view()), restarts(&simulation)), (6, 3));
}

#[test]
fn faults_by_chance_come_as_often_as_their_mean_says() {
    let faults =
        "faults: [{fault: crashContainer, workload: Deployment/web, meanTimeBetween: 6h}]\n";
    let mut simulation = begin("100h", faults);
    run_to(&mut simulation, 360_000);
    // Six pods for 100 h, each every 6 h: 100, with a standard deviation of 10.
    let crashes = told(&simulation, "ContainerCrashed").count();
    assert!((70..130).contains(&crashes), "{crashes}");
    assert_eq!(restarts(&simulation), crashes as u64);
}

#[test]
fn a_node_that_falls_by_chance_is_repaired_after_its_mean_time() {
    let faults =
        "faults: [{fault: killNode, pool: pool, meanTimeBetween: 5h, meanTimeToRepair: 20m}]\n";
    let mut simulation = begin("200h", faults);
    run_to(&mut simulation, 720_000);
    let killed: Vec<&LogLine> = told(&simulation, "NodeKilled").collect();
    // Three nodes for 200 h, each every 5 h while it is up.
    assert!((80..160).contains(&killed.len()), "{}", killed.len());
    let spans = killed.iter().filter_map(|fall| {
        let mut back = told(&simulation, "NodeRecovered");
        let back = back.find(|line| line.object == fall.object && line.at > fall.at)?;
        Some((back.at - fall.at).as_secs_f64())
    });
    let spans: Vec<f64> = spans.collect();
    let mean = spans.iter().sum::<f64>() / spans.len() as f64;
    assert!((900.0..1_500.0).contains(&mean), "{mean}");
}

#[test]
fn the_same_seed_brings_the_same_faults() {
    let faults = "faults: [{fault: killPod, workload: Deployment/web, meanTimeBetween: 1h}]\n";
    let times = || {
        let mut simulation = begin("10h", faults);
        run_to(&mut simulation, 36_000);
        simulation.digest()
    };
    assert_eq!(times(), times());
}
