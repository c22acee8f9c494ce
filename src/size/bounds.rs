//! What can be said without a run: the cost of nodes whose number is set, and the CPU time that requests need whatever
//! else is set. A queue whose servers are offered more than they can do grows without end, so that a setting with less
//! CPU than that cannot hold any limit of availability.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::knobs::SizeKnob;
use super::search::space::Point;
use cluster::Kind;
use faults::TimelineAction;
use manifest::{Diagnostics, Manifest, read_manifests};
use report::Report;
use scenario::cluster::{Cluster, NodePool};
use scenario::objectives::Objective;
use scenario::pool_size::PoolSize;
use scenario::resolved::ResolvedScenario;
use scenario::{Override, Scenario};
use sweep::current::objects;

/// Hours of a month, as bills have them.
const MONTH_HOURS: f64 = 730.0;

/// What is known without a run.
#[derive(Debug)]
pub struct Bounds {
    /// The scenario's `cluster`, alone in a document, so that settings can be made in it.
    document: Value,
    /// Whether machines cost what the catalog or the pool says, with nothing off.
    is_list_price: bool,
    /// Whether the nodes are those of the pools alone.
    is_of_pools: bool,
    /// Whether the timeline or faults take nodes away.
    is_disturbed: bool,
    /// What a month of the control plane costs, US dollars.
    control_plane_usd: f64,
    /// Cores that requests need on average, at least.
    pub offered_cores: f64,
    /// Nodes by what a point sets in the cluster: a search asks for those of each many times.
    known: RefCell<BTreeMap<Vec<String>, Nodes>>,
}

/// The nodes at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Nodes {
    /// An autoscaler decides, or the settings cannot be read without the rest of the scenario.
    Unknown,
    /// Their number is that of the settings for the whole run.
    Fixed { cores: f64, usd_per_hour: f64 },
}

impl Bounds {
    /// Those of a scenario of which a run is known.
    pub fn new(resolved: &ResolvedScenario, report: &Report) -> Self {
        let scenario = resolved.scenario();
        let value = serde_json::to_value(scenario).unwrap_or_default();
        let is_timed = scenario.timeline.iter().any(|entry| takes_nodes(&entry.action));
        let applied = resolved.files.applies.values().flatten().cloned().collect::<Vec<_>>();
        let applied = read_manifests(&applied, &mut Diagnostics::default());
        let planes = report.cost.charges.iter().filter(|line| line.item == "control-plane");
        let is_list_price =
            !scenario.bill.changes_machine_prices() && report.cost.discounts.is_empty();
        Self {
            document: json!({"cluster": &value["cluster"]}),
            is_list_price,
            is_of_pools: !objects(resolved).iter().chain(&applied).any(brings_nodes),
            is_disturbed: is_timed || !scenario.faults.is_empty(),
            control_plane_usd: planes.map(|line| line.month_usd.as_usd()).sum(),
            offered_cores: offered_cores(resolved, &value, report),
            known: RefCell::default(),
        }
    }

    /// The cluster at a point; nothing if the point sets something outside it and the manifests.
    fn cluster(&self, settings: &[String]) -> Option<Cluster> {
        let mut document = self.document.clone();
        for setting in settings {
            let setting: Override = setting.parse().ok()?;
            setting.apply(&mut document).ok()?;
        }
        serde_json::from_value(document["cluster"].take()).ok()
    }

    fn nodes(&self, knobs: &[SizeKnob], point: &Point) -> Nodes {
        let settings: Vec<String> = knobs
            .iter()
            .zip(point)
            .filter(|(knob, _)| !knob.path.starts_with("manifests."))
            .filter_map(|(knob, level)| Some(format!("{}={}", knob.path, knob.values.get(*level)?)))
            .collect();
        if let Some(known) = self.known.borrow().get(&settings) {
            return *known;
        }
        let is_of_cluster = settings.iter().all(|setting| setting.starts_with("cluster."));
        let cluster = if is_of_cluster { self.cluster(&settings) } else { None };
        let nodes = cluster.and_then(|cluster| fixed_nodes(&cluster)).unwrap_or(Nodes::Unknown);
        self.known.borrow_mut().insert(settings, nodes);
        nodes
    }

    /// A cost of a month in US dollars below which a point cannot be; infinite if the CPU of all nodes is less than requests
    /// need, zero if nothing is known.
    pub fn floor(&self, knobs: &[SizeKnob], point: &Point) -> f64 {
        if self.is_disturbed || !self.is_of_pools {
            return 0.0;
        }
        match self.nodes(knobs, point) {
            Nodes::Fixed { cores, .. } if cores < self.offered_cores => f64::INFINITY,
            Nodes::Fixed { usd_per_hour, .. } if self.is_list_price => {
                usd_per_hour * MONTH_HOURS + self.control_plane_usd(knobs)
            }
            Nodes::Fixed { .. } | Nodes::Unknown => 0.0,
        }
    }

    /// What the control plane costs a month at all points; zero if a setting may change it.
    fn control_plane_usd(&self, knobs: &[SizeKnob]) -> f64 {
        let leaves_it = |knob: &SizeKnob| {
            knob.path.starts_with("cluster.nodePools[") || knob.path.starts_with("manifests.")
        };
        if knobs.iter().all(leaves_it) { self.control_plane_usd } else { 0.0 }
    }

    /// The allocatable cores of a point if requests need more.
    pub(crate) fn too_few_cores(&self, knobs: &[SizeKnob], point: &Point) -> Option<f64> {
        match self.nodes(knobs, point) {
            Nodes::Fixed { cores, .. } if self.floor(knobs, point).is_infinite() => Some(cores),
            Nodes::Fixed { .. } | Nodes::Unknown => None,
        }
    }

    /// Cores and hourly price in US dollars of a node, if all are alike.
    pub fn node(&self, scenario: &Scenario) -> Option<(f64, f64)> {
        let [pool] = &scenario.cluster.node_pools[..] else { return None };
        if !self.is_list_price || !self.is_of_pools {
            return None;
        }
        let resolved = scenario.cluster.resolve(pool).ok()?;
        Some((cores_of(&resolved), resolved.price().as_usd()))
    }
}

/// Whether an object is a node, or has Karpenter create some.
pub(crate) fn brings_nodes(object: &Manifest) -> bool {
    matches!(object.reference.kind, Kind::Node | Kind::NodePool)
}

/// Whether an action removes nodes from the cluster, and so from the bill. A drained node, or one that fails, stays.
fn takes_nodes(action: &TimelineAction) -> bool {
    match action {
        TimelineAction::Delete(reference) => {
            matches!(reference.kind, Kind::Node | Kind::NodeClaim | Kind::NodePool)
        }
        TimelineAction::ReclaimSpot(_) => true,
        _ => false,
    }
}

/// Whether a cluster has the nodes that its pools say, and no autoscaler that adds or removes any.
pub(crate) fn is_fixed(cluster: &Cluster) -> bool {
    let is_number = |pool: &NodePool| matches!(pool.count, PoolSize::Fixed(_));
    cluster.autoscaler.is_none()
        && !cluster.node_pools.is_empty()
        && cluster.node_pools.iter().all(is_number)
}

fn fixed_nodes(cluster: &Cluster) -> Option<Nodes> {
    if !is_fixed(cluster) {
        return None;
    }
    let (mut cores, mut usd_per_hour) = (0.0, 0.0);
    for pool in &cluster.node_pools {
        let resolved = cluster.resolve(pool).ok()?;
        let count = f64::from(pool.count.at_start());
        cores += count * cores_of(&resolved);
        usd_per_hour += count * resolved.price().as_usd();
    }
    Some(Nodes::Fixed { cores, usd_per_hour })
}

fn cores_of(pool: &scenario::cluster::ResolvedPool<'_>) -> f64 {
    pool.allocatable().get("cpu").map_or(0.0, |cpu| cpu.milli_value() as f64 / 1000.0)
}

/// CPU time of the requests that must be answered, over the time in which they come: their number times the mean CPU
/// time of each.
fn offered_cores(resolved: &ResolvedScenario, scenario: &Value, report: &Report) -> f64 {
    let seconds = (report.run.duration_ms - report.run.warm_up_ms) as f64 / 1000.0;
    let mut cores = 0.0;
    for service in report.services.iter().filter(|service| service.has_clients) {
        let [workload] = &service.workloads[..] else { continue };
        let share = resolved.scenario().objectives.iter().find_map(|objective| match objective {
            Objective::Service(one) if one.service.to_string() == service.service => {
                one.availability
            }
            _ => None,
        });
        let (Some(percent), Some(mean)) = (share, cpu_seconds(scenario, workload)) else {
            continue;
        };
        cores += service.arrived as f64 * percent / 100.0 * mean;
    }
    // A tenth may be chance, as the work differs from request to request.
    0.9 * cores / seconds.max(f64::MIN_POSITIVE)
}

/// Mean CPU time of a request to a workload in seconds, where it is the same for all images and classes.
fn cpu_seconds(scenario: &Value, workload: &str) -> Option<f64> {
    let mut all = scenario["workloads"].as_array().into_iter().flatten();
    let own = all.find(|one| one["workload"].as_str() == Some(workload))?;
    if own["images"].as_object().is_some_and(|images| !images.is_empty()) {
        return None;
    }
    let mut classes = own["requests"]["classes"].as_array().into_iter().flatten();
    if classes.any(|class| !class["cpuTime"].is_null()) {
        return None;
    }
    let law = &own["requests"]["cpuTime"];
    let mean = law["mean"].as_str().or(law.as_str())?;
    engine::parse_duration(mean).ok().map(engine::SimDuration::as_secs_f64)
}
