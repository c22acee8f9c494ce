//! Small worlds for tests, built without files.

use wavetank::cluster::deployment::{DeploymentSpec, DeploymentStrategy, IntOrPercent};
use wavetank::cluster::node::{HOSTNAME_LABEL, Node};
use wavetank::cluster::pod_template::{Container, PodSpec, PodTemplate, Probe, ResourceList};
use wavetank::cluster::selector::Selector;
use wavetank::cluster::service::ServiceSpec;
use wavetank::cluster::{Action, Kind, Labels, NamespacedName, ObjectMeta, ObjectReference};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::faults::TimelineAction;
use wavetank::kubelet::AppProfile;
use wavetank::sim::World;
use wavetank::sim::world::App;
use wavetank::traffic::{Balancer, RequestModelSpec, ServiceTraffic, TrafficSpec};
use wavetank::units::Quantity;

/// One Deployment with a Service, and requests to it.
#[derive(Clone, Debug)]
pub struct Workload {
    pub name: &'static str,
    pub replicas: i32,
    pub cpu_request_milli: i64,
    pub cpu_limit_milli: Option<i64>,
    pub rps: f64,
    pub concurrency: u32,
    pub cpu_ms: i64,
    pub timeout_ms: i64,
    pub has_readiness_probe: bool,
    pub warm_up_ms: i64,
    pub balancer: Balancer,
    /// The workload whose service each request calls, with one retry.
    pub calls: Option<&'static str>,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            name: "web",
            replicas: 2,
            cpu_request_milli: 250,
            cpu_limit_milli: Some(1_000),
            rps: 10.0,
            concurrency: 4,
            cpu_ms: 20,
            timeout_ms: 2_000,
            has_readiness_probe: true,
            warm_up_ms: 500,
            balancer: Balancer::Random,
            calls: None,
        }
    }
}

/// A cluster of identical nodes with these workloads and this timeline.
pub fn world(
    seed: u64,
    duration: SimDuration,
    nodes: u32,
    workloads: &[Workload],
    timeline: Vec<(SimTime, TimelineAction)>,
) -> World {
    let streams = Streams::new(seed);
    let mut world =
        World::new(seed, duration).with_nodes((1..=nodes).map(node)).with_timeline(timeline);
    world.interval = SimDuration::from_secs(15);
    for workload in workloads {
        add(&mut world, streams, workload);
    }
    world
}

pub fn reference(name: &str) -> ObjectReference {
    ObjectReference { kind: Kind::Deployment, id: NamespacedName::new("default", name) }
}

fn node(number: u32) -> Node {
    let name = format!("node-{number}");
    let amounts: ResourceList = [
        ("cpu", Quantity::from_units(4)),
        ("memory", Quantity::from_bytes(16 << 30)),
        ("pods", Quantity::from_units(110)),
    ]
    .into_iter()
    .collect();
    let labels = [(HOSTNAME_LABEL, name.as_str())].into_iter().collect();
    let meta = ObjectMeta { labels, ..ObjectMeta::new("", name.as_str()) };
    Node { pool: "pool".into(), ..Node::new(meta, amounts) }
}

#[expect(clippy::too_many_lines, reason = "one plain list of objects, from top to bottom")]
fn add(world: &mut World, streams: Streams, workload: &Workload) {
    let labels: Labels = [("app", workload.name)].into_iter().collect();
    let selector = Selector::from_labels(&labels);
    let cpu = |milli| [("cpu", Quantity::from_milli(milli))].into_iter().collect::<ResourceList>();
    let probe = Probe {
        initial_delay: SimDuration::from_secs(1),
        period: SimDuration::from_secs(2),
        timeout: SimDuration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
        termination_grace_period: None,
    };
    let container = Container {
        name: "app".into(),
        image: "app:v1".into(),
        requests: cpu(workload.cpu_request_milli),
        limits: workload.cpu_limit_milli.map(cpu).unwrap_or_default(),
        readiness_probe: workload.has_readiness_probe.then_some(probe),
        ..Container::default()
    };
    let spec = PodSpec {
        containers: vec![container],
        termination_grace_period: SimDuration::from_secs(30),
        scheduler_name: "default-scheduler".into(),
        ..PodSpec::default()
    };
    let template = PodTemplate { labels, spec, ..PodTemplate::default() };
    let deployment = DeploymentSpec {
        replicas: workload.replicas,
        selector: selector.clone(),
        template,
        strategy: DeploymentStrategy::RollingUpdate {
            max_surge: IntOrPercent::Percent(25),
            max_unavailable: IntOrPercent::Percent(25),
        },
        min_ready_seconds: 0,
        revision_history_limit: 10,
        paused: false,
        progress_deadline_seconds: 600,
    };
    let meta = ObjectMeta::new("default", workload.name);
    let service = ServiceSpec { selector: Some(selector), ..ServiceSpec::default() };
    world.objects.push(Action::apply(meta.clone(), service));
    world.objects.push(Action::apply(meta, deployment));

    let model = RequestModelSpec {
        concurrency: workload.concurrency,
        queue: 50,
        cpu_time: serde_json::from_value(serde_json::json!({
            "distribution": "exponential", "mean": format!("{}ms", workload.cpu_ms)
        }))
        .expect("a law of times"),
        calls: workload
            .calls
            .map(|called| {
                serde_json::from_value(serde_json::json!({
                    "service": format!("default/{called}"),
                    "timeout": "900ms",
                    "retries": { "attempts": 1, "perTryTimeout": "400ms" },
                }))
                .expect("a call")
            })
            .into_iter()
            .collect(),
        ..RequestModelSpec::default()
    };
    let id = world.add_request_model(model.model("requests").expect("a valid request model"));
    let profile = AppProfile {
        image_pull: SimDuration::from_secs(2),
        warm_up: SimDuration::from_millis(workload.warm_up_ms),
        ..AppProfile::default()
    };
    let app = App { profile, requests: Some(id), ..App::default() };
    world.apps.insert(reference(workload.name), app.into());

    let traffic: TrafficSpec = serde_json::from_value(serde_json::json!({
        "service": format!("default/{}", workload.name),
        "load": { "pattern": "constant", "rps": workload.rps },
    }))
    .expect("a traffic specification");
    let position = u64::try_from(world.traffic.len()).expect("few services");
    let arrivals = traffic
        .arrivals("traffic", None, streams.stream("arrivals", position))
        .expect("valid arrivals");
    world.traffic.push((
        NamespacedName::new("default", workload.name),
        ServiceTraffic::plain(
            format!("default/{}", workload.name),
            arrivals,
            workload.balancer,
            SimDuration::from_millis(workload.timeout_ms),
        ),
    ));
}
