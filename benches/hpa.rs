//! The HPA: one sync over many pods, and a day of a thousand HPAs (workload HPA1000: pod groups whose load
//! follows a sine, on a thousand nodes). The benchmark's name tells what happened in it.
//!
//! `cargo bench --bench hpa`; once, for its CPU seconds: `cargo bench --bench hpa -- --once 1000`.

use std::f64::consts::TAU;
use std::io::Write as _;

use criterion::{BenchmarkId, Criterion};
use wavetank::cluster::hpa::{HpaSpec, MetricSource, MetricSpec, MetricTarget};
use wavetank::cluster::hpa_status::HpaStatus;
use wavetank::cluster::node::{ConditionStatus, Node};
use wavetank::cluster::pod::{PodCondition, PodPhase};
use wavetank::cluster::pod_template::{Container, PodSpec};
use wavetank::cluster::{Name, NamespacedName, ObjectReference};
use wavetank::controllers::ControllerSettings;
use wavetank::controllers::hpa::{
    HpaHistory, HpaInputs, HpaSettings, HpaView, MetricReading, ObservedPod, ObservedScale,
    PodMetric, PodMetrics, ScaleSelector, reconcile,
};
use wavetank::engine::{SimDuration, SimTime};
use wavetank::faults::TimelineAction;
use wavetank::manifest::Source;
use wavetank::metrics::MetricsSettings;
use wavetank::scenario::scheduler_configuration::scheduler_configuration;
use wavetank::scheduler::{Scheduler, TieBreaker};
use wavetank::sim::Simulation;
use wavetank::sim::world::{App, CpuLoadStep, Step, World};
use wavetank::units::LoopPhase;

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn one_sync(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one sync of an HPA");
    for pods in [10, 1_000] {
        group.bench_function(BenchmarkId::new("pods", pods), |bencher| {
            let sync = Sync::new(pods);
            bencher.iter(|| sync.decide());
        });
    }
    group.finish();
}

/// The inputs of a sync whose metrics call for a scale-up.
struct Sync {
    spec: HpaSpec,
    settings: HpaSettings,
    status: HpaStatus,
    template: PodSpec,
    pods: Vec<ObservedPod>,
    values: Vec<Option<PodMetric>>,
}

impl Sync {
    fn new(pods: usize) -> Self {
        let requests = [("cpu", "500m".parse().expect("a quantity"))].into_iter().collect();
        let container = Container { name: "app".into(), requests, ..Container::default() };
        let ready = PodCondition { status: ConditionStatus::True, since: SimTime::ZERO };
        let pod = ObservedPod {
            count: 1,
            template: 0,
            phase: PodPhase::Running,
            is_terminating: false,
            ready: Some(ready),
            start_time: Some(SimTime::ZERO),
        };
        let value_milli = |pod: usize| 350 + i64::try_from(pod % 100).expect("below 100");
        let value = |pod| PodMetric {
            value_milli: value_milli(pod),
            timestamp: SimTime::from_secs(3600),
            window: SimDuration::from_secs(15),
        };
        Self {
            spec: hpa_spec("web", 5_000),
            settings: HpaSettings::default(),
            status: HpaStatus::default(),
            template: PodSpec { containers: vec![container], ..PodSpec::default() },
            pods: vec![pod; pods],
            values: (0..pods).map(|pod| Some(value(pod))).collect(),
        }
    }

    fn decide(&self) -> i32 {
        let replicas = i32::try_from(self.pods.len()).expect("few pods");
        let inputs = HpaInputs {
            hpa: HpaView {
                namespace: "default",
                spec: &self.spec,
                status: &self.status,
                settings: &self.settings,
            },
            scale: Ok(ObservedScale {
                spec_replicas: replicas,
                status_replicas: replicas,
                selector: ScaleSelector::Unique,
            }),
            scale_write: Ok(()),
            pods: &self.pods,
            templates: &[&self.template],
            metrics: &[MetricReading::PerPod(PodMetrics {
                values: &self.values,
                ..PodMetrics::default()
            })],
            pod_name: &|_| Name::from("web"),
        };
        let decision = reconcile(&inputs, &mut HpaHistory::default(), SimTime::from_secs(3601));
        decision.replicas_after().expect("a readable scale")
    }
}

fn hpa_spec(target: &str, max_replicas: i32) -> HpaSpec {
    let cpu = MetricSource::Resource { resource: "cpu".into(), container: None };
    HpaSpec {
        scale_target: wavetank::cluster::hpa::ObjectReference {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: target.into(),
        },
        min_replicas: 1,
        max_replicas,
        metrics: vec![MetricSpec::new(cpu, MetricTarget::Utilization(60))],
        behavior: None,
    }
}

fn day_of_hpas(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a day of HPAs");
    group.sample_size(10);
    for groups in [100, 1_000] {
        let world = world(groups);
        let counts = count(&run(&world));
        group.bench_function(BenchmarkId::new(counts, groups), |bencher| {
            bencher.iter(|| run(&world));
        });
    }
    group.finish();
}

fn run(world: &World) -> Simulation {
    let mut simulation = Simulation::new(world.clone());
    simulation.run_until(SimTime::from_secs(86_400));
    simulation
}

fn count(simulation: &Simulation) -> String {
    let record = simulation.recorder();
    let rescales: u64 = record.workloads.iter().map(|workload| workload.rescales).sum();
    let created: u64 = record.workloads.iter().map(|workload| workload.pods_created).sum();
    let pods = simulation.view().pods().len();
    format!("{rescales} rescales, {created} pods created, {pods} at the end, HPAs")
}

/// Groups of initially ten and at most a hundred pods, on a thousand nodes of 64 cores.
fn world(groups: u32) -> World {
    let numbered = |(number, node): (u32, &Node)| {
        let name = format!("node-{number:04}");
        let mut node = node.clone();
        node.meta.id = NamespacedName::new("", name.as_str());
        node
    };
    let day = SimDuration::from_secs(86_400);
    let node = world_of(NODE_MANIFEST).nodes;
    let mut world = World {
        interval: SimDuration::from_secs(3600),
        metrics: MetricsSettings {
            resolution: SimDuration::from_secs(60),
            first_scrape: LoopPhase::After(SimDuration::from_secs(60)),
            ..MetricsSettings::default()
        },
        controllers: ControllerSettings {
            hpa: HpaSettings {
                sync_period: SimDuration::from_secs(60),
                downscale_stabilization: SimDuration::ZERO,
                ..HpaSettings::default()
            },
            ..ControllerSettings::default()
        },
        scheduler: scheduler(),
        ..World::new(1, day).with_nodes((0..1_000).zip(node.iter().cycle()).map(numbered))
    };
    for group in 0..groups {
        add_group(&mut world, group);
    }
    world.cpu_loads.sort_by_key(|step| step.at);
    world
}

fn add_group(world: &mut World, group: u32) {
    let name = format!("g{group:04}");
    let start = SimTime::from_secs_f64(1.0 + 0.01 * f64::from(group));
    let id = NamespacedName::new("default", name.as_str());
    let app = App { cpu_load: Some(group), ..App::default() };
    world
        .apps
        .insert(ObjectReference { kind: wavetank::cluster::Kind::Deployment, id }, app.into());
    let step = Step {
        action: TimelineAction::Apply(name.clone()),
        objects: world_of(&group_manifest(&name)).objects,
        forbidden: Vec::new(),
    };
    world.timeline.push((start, step));
    for hour in 0..24_u32 {
        let phase = TAU * f64::from(hour + group % 24) / 24.0;
        // In multiples of a pod's request, which is half a core.
        let pods = 20.0 + 15.0 * libm::sin(phase);
        world.cpu_loads.push(CpuLoadStep {
            at: start + SimDuration::from_secs(3600 * i64::from(hour)),
            load: group,
            demand_nano: SimDuration::from_secs_f64(pods * 0.5).as_nanos(),
        });
    }
}

/// The workload's scheduler checks whether a pod fits, and picks the node with most free resources among
/// the first hundred feasible ones, the minimum that kube-scheduler examines.
fn scheduler() -> Scheduler {
    let written = serde_json::json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "percentageOfNodesToScore": 1,
        "profiles": [{"plugins": {"multiPoint": {
            "disabled": [{"name": "*"}],
            "enabled": [
                {"name": "PrioritySort"}, {"name": "NodeResourcesFit"}, {"name": "DefaultBinder"},
            ],
        }}}],
    });
    let configuration = scheduler_configuration(&written).expect("a valid configuration");
    Scheduler::new(&configuration, TieBreaker::FirstByName).expect("a valid configuration")
}

/// The nodes and objects of a manifest.
fn world_of(manifest: &str) -> World {
    let sources = [Source::new("bench.yaml", manifest)];
    World::new(1, SimDuration::ZERO).with_manifests(&sources).expect("a sound manifest")
}

const NODE_MANIFEST: &str = "{apiVersion: v1, kind: Node, metadata: {name: node}, \
                             status: {allocatable: {cpu: 64, memory: 256Gi, pods: 110}}}";

fn group_manifest(name: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 10
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: app
        image: app
        resources: {{requests: {{cpu: 500m, memory: 1Gi}}, limits: {{cpu: 500m, memory: 1Gi}}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}
  minReplicas: 1
  maxReplicas: 100
  metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 60}}}}}}]
"
    )
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--once") {
        for groups in arguments[at + 1..].iter().filter_map(|argument| argument.parse().ok()) {
            let simulation = run(&world(groups));
            let (said, handled) = (count(&simulation), simulation.handled());
            // Standard output may be closed.
            let _ = writeln!(std::io::stdout(), "{said}: {groups}; {handled} events");
        }
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    one_sync(&mut criterion);
    day_of_hpas(&mut criterion);
    criterion.final_summary();
}
