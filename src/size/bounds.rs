//! What can be said without a run: the cost of nodes whose number is set, and the CPU time that requests need whatever
//! else is set. A queue whose servers are offered more than they can do grows without end, so that a setting with less
//! CPU than that cannot hold any limit of availability.

use serde_json::Value;

use super::knobs::SizeKnob;
use super::search::space::Point;
use report::Report;
use scenario::cluster::NodePool;
use scenario::objectives::Objective;
use scenario::resolved::ResolvedScenario;

/// Hours of a month, as bills have them.
const MONTH_HOURS: f64 = 730.0;

/// Things of a timeline that change how many nodes there are.
const CHANGES_NODES: [&str; 3] = ["delete", "reclaimSpot", "maintain"];

/// What is known without a run.
#[derive(Clone, Debug)]
pub struct Bounds {
    pools: Vec<NodePool>,
    /// Whether the number of nodes is that of the setting for the whole run.
    is_fixed: bool,
    /// Whether machines cost what the catalog or the pool says, with nothing off.
    is_list_price: bool,
    /// Cores that requests need on average, at least.
    pub offered_cores: f64,
}

impl Bounds {
    /// Those of a scenario of which a run is known.
    pub fn new(resolved: &ResolvedScenario, report: &Report) -> Self {
        let scenario = resolved.scenario();
        let value = serde_json::to_value(scenario).unwrap_or_default();
        let pools = value["cluster"]["nodePools"].as_array().into_iter().flatten();
        let has_numbers = pools.into_iter().all(|pool| pool["count"].is_u64());
        let is_changed =
            scenario.timeline.iter().any(|entry| CHANGES_NODES.contains(&entry.action.key()));
        let is_fixed = has_numbers && !is_changed && scenario.faults.is_empty();
        let pools = scenario.cluster.node_pools.clone();
        let is_list_price =
            !scenario.bill.changes_machine_prices() && report.cost.discounts.is_empty();
        Self {
            pools,
            is_fixed,
            is_list_price,
            offered_cores: offered_cores(resolved, &value, report),
        }
    }

    /// The pools at a point.
    fn pools_at(&self, knobs: &[SizeKnob], point: &Point) -> Vec<(NodePool, u32)> {
        let mut pools: Vec<(NodePool, u32)> =
            self.pools.iter().map(|pool| (pool.clone(), count_of(pool))).collect();
        for (knob, level) in knobs.iter().zip(point) {
            let Some(rest) = knob.path.strip_prefix("cluster.nodePools[") else { continue };
            let Some((name, field)) = rest.split_once("].") else { continue };
            let Some(value) = knob.values.get(*level) else { continue };
            let named = pools.iter_mut().filter(|(pool, _)| &*pool.name == name);
            for (pool, count) in named {
                match field {
                    "count" => *count = value.parse().unwrap_or(*count),
                    "instanceType" => pool.instance_type = Some(value.clone()),
                    _ => {}
                }
            }
        }
        pools
    }

    /// A cost of a month in US dollars below which a point cannot be; infinite if the CPU of all nodes is less than requests
    /// need, zero if nothing is known.
    pub fn floor(&self, knobs: &[SizeKnob], point: &Point) -> f64 {
        if !self.is_fixed {
            return 0.0;
        }
        let (mut usd, mut cores) = (0.0, 0.0);
        for (pool, count) in self.pools_at(knobs, point) {
            let Ok(resolved) = pool.resolve() else { continue };
            usd += f64::from(count) * resolved.price().as_usd() * MONTH_HOURS;
            cores += f64::from(count) * cores_of(&resolved);
        }
        match (cores < self.offered_cores, self.is_list_price) {
            (true, _) => f64::INFINITY,
            (false, true) => usd,
            (false, false) => 0.0,
        }
    }

    /// Cores and hourly price in US dollars of a node, if all are alike.
    pub fn node(&self, knobs: &[SizeKnob], point: &Point) -> Option<(f64, f64)> {
        if !self.is_list_price {
            return None;
        }
        let pools = self.pools_at(knobs, point);
        let [(pool, _)] = &pools[..] else { return None };
        let resolved = pool.resolve().ok()?;
        Some((cores_of(&resolved), resolved.price().as_usd()))
    }
}

fn count_of(pool: &NodePool) -> u32 {
    let value = serde_json::to_value(pool).unwrap_or_default();
    value["count"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or_default()
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

/// Mean CPU time of a request to a workload in seconds, where it is the same for all images.
fn cpu_seconds(scenario: &Value, workload: &str) -> Option<f64> {
    let mut all = scenario["workloads"].as_array().into_iter().flatten();
    let own = all.find(|one| one["workload"].as_str() == Some(workload))?;
    if own["images"].as_object().is_some_and(|images| !images.is_empty()) {
        return None;
    }
    let law = &own["requests"]["cpuTime"];
    let mean = law["mean"].as_str().or(law.as_str())?;
    engine::parse_duration(mean).ok().map(engine::SimDuration::as_secs_f64)
}
