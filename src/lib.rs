//! Wavetank tests a Kubernetes system before it ships: it takes the real manifests, a model of the
//! cluster and a traffic trace, runs the whole system in a deterministic discrete-event engine, and
//! reports latency, cost and availability.
//!
//! This page is the guide to the library; the program is `wavetank --help`. Start with [`Scenario`] and [`Run`]. Each
//! folder of the source is a crate of the same name: [`sim`] connects the parts, [`controllers`], [`scheduler`] and
//! [`kubelet`] make the decisions, [`cluster`] holds the objects, and [`traffic`] simulates the requests.
//!
//! # Run a scenario
//!
//! ```
//! use wavetank::Scenario;
//!
//! # fn main() -> Result<(), wavetank::manifest::Diagnostics> {
//! let scenario = Scenario::load("scenarios/ai-agent/scenario.yaml")?;
//! let report = scenario.simulation(7)?.report()?;
//! let agent = &report.services[0];
//! println!("p99 {} ms", agent.latency.map_or(0.0, |latency| latency.p99_ms));
//! println!("answered {} of {}", agent.answered, agent.arrived);
//! println!("{} a month", report.cost.month_usd);
//! # assert_eq!(agent.service, "ai-agents/ai-agent");
//! # assert!(agent.answered > 18_000 && agent.answered < agent.arrived);
//! # Ok(())
//! # }
//! ```
//!
//! Invalid input never panics: [`Scenario::load`] returns every mistake in the scenario, its manifests and its traces
//! at once, each with file, line, field and correction. [`report::json`], [`report::text`] and [`report::charts`]
//! convert a [`report::Report`] to the output formats of `wavetank run`, and [`Scenario::load_with`] accepts the
//! overrides of its option `--set`. [`sweep::run_all`] runs many seeds or settings in parallel on all cores.
//!
//! # Add a controller
//!
//! A [`controllers::Controller`] reads the cluster and requests [`cluster::Action`]s; it runs alongside those in
//! [`controllers::all`], with the same work queues, delays and back-offs. This one scales on a schedule for the peak
//! load of `scenarios/no-autoscaling`, in which every fifth request fails:
//!
//! ```
//! use wavetank::Scenario;
//! use wavetank::cluster::scale::ScaleTarget;
//! use wavetank::cluster::{Action, Change, ClusterView, NamespacedName};
//! use wavetank::controllers::{Actions, Controller, Key, QueueSettings, Requeue, Watches};
//! use wavetank::engine::SimTime;
//!
//! /// Scales the Deployment shop/web to 8 replicas at 15 minutes.
//! #[derive(Clone, Debug)]
//! struct PeakHours;
//!
//! impl Controller for PeakHours {
//!     fn name(&self) -> &'static str {
//!         "peak-hours"
//!     }
//!
//!     fn watches(&self) -> Watches {
//!         Watches::NONE
//!     }
//!
//!     fn wakes_on(&mut self, _: ClusterView<'_>, _: &Change, _: &mut Vec<Key>) {}
//!
//!     fn queue(&self) -> QueueSettings {
//!         QueueSettings { starts_with: &[Key::Pass(0)], ..QueueSettings::default() }
//!     }
//!
//!     fn reconcile(&mut self, view: ClusterView<'_>, _: Key, actions: &mut Actions) -> Requeue {
//!         let opening = SimTime::from_secs(15 * 60);
//!         if view.now < opening {
//!             return Requeue::At(opening);
//!         }
//!         let web = NamespacedName::new("shop", "web");
//!         if let Some(id) = view.store().named(&web) {
//!             actions.push(Action::Scale(ScaleTarget::Deployment(id), 8));
//!         }
//!         Requeue::No
//!     }
//!
//!     fn boxed_clone(&self) -> Box<dyn Controller> {
//!         Box::new(self.clone())
//!     }
//! }
//!
//! # fn main() -> Result<(), wavetank::manifest::Diagnostics> {
//! let scenario = Scenario::load("scenarios/no-autoscaling/scenario.yaml")?;
//! let report = scenario.simulation_with(1, vec![Box::new(PeakHours)])?.report()?;
//! assert_eq!(report.services[0].failed_by_cause, []);
//! # Ok(())
//! # }
//! ```
//!
//! # Step and inspect
//!
//! [`Run::step`] processes one event and all its consequences at the same instant; between steps, the whole cluster
//! can be read. A clone is a snapshot: it continues independently, with the same requests and random numbers.
//! [`Run::report_so_far`] is the report at that instant.
//!
//! ```
//! use wavetank::Scenario;
//! use wavetank::engine::SimTime;
//!
//! # fn main() -> Result<(), wavetank::manifest::Diagnostics> {
//! let scenario = Scenario::load("scenarios/ai-agent/scenario.yaml")?;
//! let mut run = scenario.simulation(1)?;
//! let mut first_ready = None;
//! while run.simulation().now() < SimTime::from_secs(60) && run.step() {
//!     let view = run.simulation().view();
//!     let ready = view.pods().values().filter(|pod| pod.is_ready()).count();
//!     if ready > 0 {
//!         first_ready.get_or_insert(view.now);
//!     }
//! }
//! println!("the first pod was ready at {:?}", first_ready);
//! # assert!(first_ready > Some(SimTime::from_secs(10)));
//!
//! let mut snapshot = run.clone();
//! run.run_until(SimTime::from_secs(120));
//! snapshot.run_until(SimTime::from_secs(120));
//! assert_eq!(run.simulation_mut().digest(), snapshot.simulation_mut().digest());
//! # Ok(())
//! # }
//! ```
//!
//! # A cluster from manifests alone
//!
//! A [`sim::World`] needs no scenario file: it can be built from nodes, objects and a timeline, with the defaults of
//! Kubernetes for everything else. [`sim::World::with_app`] sets how the pods of a workload start and serve,
//! [`sim::World::with_traffic`] the requests to a Service, and [`sim::World::with_objects`] adds objects made in code.
//!
//! ```
//! use wavetank::engine::{SimDuration, SimTime};
//! use wavetank::faults::TimelineAction;
//! use wavetank::manifest::{Diagnostics, Source};
//! use wavetank::sim::{Simulation, World};
//!
//! # fn main() -> Result<(), Diagnostics> {
//! let manifests = "
//! {apiVersion: v1, kind: Node, metadata: {name: a}, status: {allocatable: {cpu: 4, memory: 8Gi, pods: 110}}}
//! ---
//! {apiVersion: v1, kind: Node, metadata: {name: b}, status: {allocatable: {cpu: 4, memory: 8Gi, pods: 110}}}
//! ---
//! apiVersion: apps/v1
//! kind: Deployment
//! metadata: {name: web}
//! spec:
//!   replicas: 4
//!   selector: {matchLabels: {app: web}}
//!   template:
//!     metadata: {labels: {app: web}}
//!     spec: {containers: [{name: web, image: nginx, resources: {requests: {cpu: 500m}}}]}
//! ";
//! let world = World::new(1, SimDuration::from_secs(900))
//!     .with_manifests(&[Source::new("web.yaml", manifests)])?
//!     .with_timeline([(SimTime::from_secs(60), TimelineAction::KillNode("a".into()))]);
//! let mut simulation = Simulation::new(world);
//! simulation.run_until(SimTime::from_secs(900));
//! let view = simulation.view();
//! let b = view.store().node_named("b");
//! assert_eq!(view.pods().values().filter(|pod| pod.node == b && pod.is_ready()).count(), 4);
//! # Ok(())
//! # }
//! ```
//!
//! # An arrival process alone
//!
//! [`traffic`] models services, the pods' request engines and time, and is independent of Kubernetes. One pod with one
//! worker under Poisson arrivals is an M/M/1 queue, with a mean response time of 1 / (service rate - arrival rate): 50
//! ms for 80 requests per second and a capacity of 100.
//!
//! ```
//! use serde_json::{from_value, json};
//! use wavetank::engine::{SimDuration, SimTime, Streams};
//! use wavetank::traffic::{
//!     Recording, RequestModelId, RequestModelSpec, ServiceId, ServiceTraffic, Traffic, TrafficSpec,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let spec: TrafficSpec = from_value(json!({
//!     "service": "default/queue",
//!     "load": {"pattern": "constant", "rps": 80},
//!     "arrivals": "poisson",
//! }))?;
//! let model: RequestModelSpec = from_value(json!({
//!     "concurrency": 1,
//!     "queue": 1_000_000,
//!     "cpuTime": {"distribution": "exponential", "mean": "10ms"},
//! }))?;
//! let streams = Streams::new(1);
//! let arrivals = spec.arrivals("traffic", None, streams.stream("arrivals", 0)).expect("sound settings");
//! let service = ServiceTraffic::plain("queue".into(), arrivals, spec.balancer, spec.timeout);
//! let model = model.model("requests").expect("sound settings");
//! let hour = SimDuration::from_secs(3600);
//! let recording = Recording { interval: hour, warm_up: SimDuration::from_secs(60), waits: false };
//!
//! let mut traffic = Traffic::new(vec![service], vec![model], streams, recording);
//! let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), 1.0);
//! traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &[pod]);
//! let figures = traffic.figures(SimTime::ZERO + hour, ServiceId(0));
//! let mean = figures.latencies.expect("requests were answered").mean.as_secs_f64();
//! assert!((mean - 0.050).abs() < 0.003, "{mean}");
//! # Ok(())
//! # }
//! ```
//!
//! `arrivals` can also be a gamma, Weibull or modulated process, a trace, or a closed loop of users who wait for
//! responses: see [`traffic::TrafficSpec`].
//!
//! # The scheduler alone
//!
//! [`pack::placer::Placer`] consists of an API server and kube-scheduler only; [`pack::Plan`] places lists of pods
//! under several policies for comparison.
//!
//! ```
//! use wavetank::manifest::Source;
//! use wavetank::pack::placer::Placer;
//! use wavetank::cluster::{Action, NamespacedName};
//! use wavetank::engine::SimDuration;
//! use wavetank::sim::World;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let manifests = "
//! {apiVersion: v1, kind: Node, metadata: {name: small}, status: {allocatable: {cpu: 1, memory: 4Gi, pods: 10}}}
//! ---
//! {apiVersion: v1, kind: Node, metadata: {name: large}, status: {allocatable: {cpu: 8, memory: 32Gi, pods: 10}}}
//! ---
//! apiVersion: v1
//! kind: Pod
//! metadata: {name: model, namespace: ml}
//! spec: {containers: [{name: model, image: model, resources: {requests: {cpu: 2}}}]}
//! ";
//! let world = World::new(1, SimDuration::ZERO).with_manifests(&[Source::new("pods.yaml", manifests)])?;
//! let mut placer = Placer::new(world.scheduler, 1);
//! for node in world.nodes {
//!     placer.act(Action::add_node(node))?;
//! }
//! for pod in world.objects {
//!     placer.act(pod)?;
//! }
//! while placer.place().is_some() {}
//! let store = placer.store();
//! let pod = store.pod_named(&NamespacedName::new("ml", "model")).expect("it was created");
//! assert_eq!(store.pods().get(pod).and_then(|pod| pod.node), store.node_named("large"));
//! # Ok(())
//! # }
//! ```

mod library;

pub use capacity;
pub use cli;
pub use cluster;
pub use cluster_autoscaler;
pub use conform;
pub use controllers;
pub use engine;
pub use faults;
pub use files;
pub use karpenter;
pub use kubelet;
pub use manifest;
pub use metrics;
pub use pack;
pub use record;
pub use report;
pub use scenario;
pub use scheduler;
pub use sim;
pub use size;
pub use sweep;
pub use traffic;
pub use units;
pub use views;

pub use library::Scenario;
pub use sweep::Run;
