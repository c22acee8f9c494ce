//! The cost allocation in the format of OpenCost's allocation API (`AllocationJSON`), so that dashboards for that API can
//! read a simulation.

use std::collections::BTreeMap;

use capacity::cost::ByResource;
use engine::SimDuration;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use units::{Money, ResourceTime};

use super::ledger::{Ledger, LedgerWorkload};

/// OpenCost's name for idle cost.
pub(crate) const IDLE: &str = "__idle__";
/// OpenCost's name for the cost of workloads without the label that is aggregated by.
const UNALLOCATED: &str = "__unallocated__";

/// Property by which allocations are aggregated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// Each workload by itself: OpenCost's `controller`.
    #[default]
    Workload,
    /// By namespace.
    Namespace,
    /// By the value of a label of pods.
    Label(String),
}

/// Costs shared among all allocations, in proportion to the allocations' own costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Idle cost, instead of an allocation of its own.
    pub idle: bool,
    /// Invoice items other than nodes, which are in no allocation otherwise.
    pub overhead: bool,
    /// Namespaces, such as kube-system.
    pub namespaces: Vec<String>,
    /// Share in equal parts instead of in proportion.
    pub evenly: bool,
}

/// The cost aggregated under one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocation {
    /// Name of the workload or namespace, or the label's value.
    pub name: String,
    /// Properties common to everything in it.
    pub properties: BTreeMap<&'static str, Value>,
    /// Requests over time.
    pub requested: ResourceTime,
    /// Usage over time.
    pub used: ResourceTime,
    /// Billed amount over time.
    pub charged: ResourceTime,
    /// Its own cost.
    pub paid: ByResource,
    /// Its part of the shared costs.
    pub shared: Money,
}

impl Allocation {
    /// Own and shared costs.
    pub fn total(&self) -> Money {
        self.paid.total() + self.shared
    }
}

/// The allocations by name. Their sum is the cost of the nodes, with overhead the whole invoice, to the last digit.
/// Pods that never had a node cost nothing and have none.
pub fn allocations(ledger: &Ledger, by: &Aggregate, sharing: &Sharing) -> Vec<Allocation> {
    let mut own: BTreeMap<String, Allocation> = BTreeMap::new();
    let mut shared = if sharing.overhead { ledger.beside } else { Money::ZERO };
    for share in &ledger.shares {
        let workload = &ledger.workloads[share.workload];
        if sharing.namespaces.iter().any(|name| *name == *workload.object.id.namespace) {
            shared += share.paid.total();
            continue;
        }
        let name = name_of(workload, by);
        let one = own.entry(name.clone()).or_insert_with(|| Allocation {
            name,
            properties: properties(workload, by),
            ..Allocation::default()
        });
        one.requested += share.requested;
        one.used += share.used;
        one.charged += share.charged;
        one.paid += share.paid;
    }
    let mut all: Vec<Allocation> = own.into_values().collect();
    let idle = ledger.idle();
    // Without other allocations to share it, idle cost stays an allocation of its own.
    if sharing.idle && !all.is_empty() {
        shared += idle.total();
    } else {
        let mut properties = BTreeMap::new();
        properties.insert("cluster", json!(CLUSTER));
        all.push(Allocation {
            name: IDLE.to_owned(),
            properties,
            paid: idle,
            ..Allocation::default()
        });
    }
    share_out(&mut all, shared, sharing.evenly);
    all
}

const CLUSTER: &str = "wavetank";

/// Distributes the shared costs; the last allocation gets the rounding fractions.
fn share_out(all: &mut [Allocation], shared: Money, evenly: bool) {
    let is_only = all.len() == 1;
    let takes_part = |one: &Allocation| is_only || one.name != IDLE;
    let weight = |one: &Allocation| match one {
        one if !takes_part(one) => 0,
        _ if evenly => 1,
        one => one.paid.total().atto_usd() >> 20,
    };
    let mut weights: Vec<i128> = all.iter().map(weight).collect();
    if weights.iter().all(|weight| *weight == 0) {
        weights = all.iter().map(|one| i128::from(takes_part(one))).collect();
    }
    let mut among: i128 = weights.iter().sum();
    let mut left = shared;
    for (one, weight) in all.iter_mut().zip(weights) {
        if weight > 0 {
            one.shared = left.share(weight, among);
            left = left - one.shared;
            among -= weight;
        }
    }
}

fn name_of(workload: &LedgerWorkload, by: &Aggregate) -> String {
    let id = &workload.object.id;
    match by {
        // OpenCost's controllers are `kind:name` within a namespace.
        Aggregate::Workload => {
            format!("{}/{}:{}", id.namespace, kind_of(workload), id.name)
        }
        Aggregate::Namespace => id.namespace.to_string(),
        Aggregate::Label(label) => match workload.labels.get(label.as_str()) {
            Some(value) => value.to_string(),
            None => UNALLOCATED.to_owned(),
        },
    }
}

fn kind_of(workload: &LedgerWorkload) -> String {
    workload.object.kind.to_string().to_lowercase()
}

fn properties(workload: &LedgerWorkload, by: &Aggregate) -> BTreeMap<&'static str, Value> {
    let id = &workload.object.id;
    let mut properties = BTreeMap::from([("cluster", json!(CLUSTER))]);
    let labels: Map<String, Value> =
        workload.labels.iter().map(|(key, value)| (key.to_string(), json!(&**value))).collect();
    match by {
        Aggregate::Workload => {
            properties.insert("namespace", json!(&*id.namespace));
            properties.insert("controller", json!(&*id.name));
            properties.insert("controllerKind", json!(kind_of(workload)));
            properties.insert("labels", Value::Object(labels));
        }
        Aggregate::Namespace => drop(properties.insert("namespace", json!(&*id.namespace))),
        Aggregate::Label(label) => {
            let own = labels.get(label).map(|value| json!({ label.as_str(): value }));
            properties.extend(own.map(|own| ("labels", own)));
        }
    }
    properties
}

/// The answer of `/allocation` for a run.
pub fn render(ledger: &Ledger, by: &Aggregate, sharing: &Sharing) -> String {
    let start = Timestamp::from_second(ledger.start_seconds).unwrap_or_default();
    let nanos = i128::from(ledger.span.as_nanos());
    let end = Timestamp::from_nanosecond(start.as_nanosecond() + nanos).unwrap_or(start);
    let window = [start.to_string(), end.to_string()];
    let all = allocations(ledger, by, sharing);
    let set: Map<String, Value> =
        all.iter().map(|one| (one.name.clone(), written(one, ledger.span, &window))).collect();
    let answer = json!({"code": 200, "status": "success", "data": [set]});
    format!("{answer:#}\n")
}

const HOUR_NANOS: f64 = 3.6e12;

fn written(one: &Allocation, span: SimDuration, [start, end]: &[String; 2]) -> Value {
    let nanos = span.as_nanos() as f64;
    let average = |amount: i128, unit: f64| amount as f64 / unit / nanos.max(1.0);
    let hours = |amount: i128, unit: f64| amount as f64 / unit / HOUR_NANOS;
    let (requested, used, charged) = (one.requested, one.used, one.charged);
    let efficiency = |used: i128, requested: i128| match (used, requested) {
        (_, 1..) => used as f64 / requested as f64,
        (1.., _) => 1.0,
        _ => 0.0,
    };
    let cpu_efficiency = efficiency(used.cpu_milli_ns, requested.cpu_milli_ns);
    let (cpu, ram) = (one.paid.cpu.as_usd(), one.paid.memory.as_usd());
    json!({
        "name": one.name,
        "properties": one.properties,
        "window": {"start": start, "end": end},
        "start": start,
        "end": end,
        "minutes": span.as_secs_f64() / 60.0,
        "cpuCores": average(charged.cpu_milli_ns, 1e3),
        "cpuCoreRequestAverage": average(requested.cpu_milli_ns, 1e3),
        "cpuCoreUsageAverage": average(used.cpu_milli_ns, 1e3),
        "cpuCoreHours": hours(charged.cpu_milli_ns, 1e3),
        "cpuCost": cpu,
        "cpuCostAdjustment": 0.0,
        "cpuEfficiency": cpu_efficiency,
        "gpuCount": average(charged.gpu_ns, 1.0),
        "gpuHours": hours(charged.gpu_ns, 1.0),
        "gpuCost": one.paid.gpus.as_usd(),
        "gpuCostAdjustment": 0.0,
        "networkTransferBytes": null,
        "networkReceiveBytes": null,
        "networkCost": 0.0,
        "networkCostAdjustment": 0.0,
        "loadBalancerCost": 0.0,
        "loadBalancerCostAdjustment": 0.0,
        "pvBytes": 0.0,
        "pvByteHours": 0.0,
        "pvCost": 0.0,
        "pvs": null,
        "pvCostAdjustment": 0.0,
        "ramBytes": average(charged.memory_byte_ns, 1.0),
        "ramByteRequestAverage": average(requested.memory_byte_ns, 1.0),
        // Memory usage of applications is not simulated.
        "ramByteUsageAverage": null,
        "ramByteHours": hours(charged.memory_byte_ns, 1.0),
        "ramCost": ram,
        "ramCostAdjustment": 0.0,
        "ramEfficiency": null,
        "externalCost": 0.0,
        "sharedCost": one.shared.as_usd(),
        "totalCost": one.total().as_usd(),
        "totalEfficiency": cpu_efficiency,
        "rawAllocationOnly": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{LedgerNode, LedgerShare};
    use capacity::cost::{Claim, NodeBill, allocate};
    use cluster::ObjectReference;
    use proptest::prelude::*;
    use units::{Bytes, HourlyPrice, MilliCpu, Resources};

    const HOUR: SimDuration = SimDuration::from_secs(3_600);

    /// Of a run of an hour: nodes by price in micro-dollars, and (workload, node, milli-CPU, MiB) that are held on them.
    fn ledger(prices: &[u32], held: &[(usize, usize, i64, i64)], beside: u32) -> Ledger {
        let amounts =
            |cpu, mib: i64| Resources { cpu: MilliCpu(cpu), memory: Bytes(mib << 20), gpus: 0 };
        let money = |micro: u32| HourlyPrice::from_usd(f64::from(micro) / 1e6).over(HOUR);
        let nodes: Vec<NodeBill> = prices
            .iter()
            .map(|price| NodeBill {
                pool: "a".into(),
                cost: money(*price),
                capacity: amounts(4_000, 16_384),
                existed: HOUR,
            })
            .collect();
        let claims: Vec<Claim> = held
            .iter()
            .map(|(workload, node, cpu, mib)| Claim {
                workload: workload.to_string().into(),
                node: *node,
                requested: ResourceTime::held(amounts(*cpu, *mib), HOUR),
                used: ResourceTime::default(),
            })
            .collect();
        let bill = allocate(&nodes, &claims);
        let names = ["Deployment/shop/web", "Deployment/shop/db", "DaemonSet/kube-system/agent"];
        let workloads = names.map(|name| LedgerWorkload {
            object: name.parse::<ObjectReference>().unwrap(),
            labels: [("team".into(), name.rsplit('/').next().unwrap().into())].into(),
        });
        let nodes = nodes.iter().zip(&bill.nodes).map(|(node, cost)| LedgerNode {
            name: "a-1".into(),
            pool: "a".into(),
            capacity: node.capacity,
            paid: HOUR,
            cost: *cost,
        });
        let shares = claims.iter().zip(&bill.claims).zip(held);
        let shares = shares.map(|((claim, paid), (workload, node, ..))| LedgerShare {
            workload: *workload,
            node: *node,
            requested: claim.requested,
            used: ResourceTime::default(),
            charged: claim.requested,
            bound: HOUR,
            paid: *paid,
        });
        let (nodes, shares) = (nodes.collect(), shares.collect());
        let start_seconds = 1_767_571_200;
        Ledger {
            span: HOUR,
            start_seconds,
            nodes,
            workloads: workloads.into(),
            shares,
            beside: money(beside),
        }
    }

    fn names(all: &[Allocation]) -> Vec<&str> {
        all.iter().map(|one| one.name.as_str()).collect()
    }

    /// The specification: "Total Cluster Costs = Workload Costs + Cluster Idle Costs + Cluster Overhead Costs", a workload
    /// costs amount x duration x hourly rate of the larger of request and usage.
    #[test]
    fn a_workload_costs_amount_times_duration_times_rate_and_the_rest_is_idle() {
        let ledger = ledger(&[194_236], &[(0, 0, 1_000, 4_096), (1, 0, 500, 0)], 0);
        let all = allocations(&ledger, &Aggregate::Workload, &Sharing::default());
        assert_eq!(names(&all), ["shop/deployment:db", "shop/deployment:web", IDLE]);
        let usd: Vec<f64> = all.iter().map(|one| one.total().as_usd()).collect();
        // $0.031611 a core-hour and $0.004237 a GiB-hour make up the price of 4 cores and 16 GiB.
        for (usd, expected) in usd.iter().zip([0.015_805_5, 0.048_559, 0.129_871_5]) {
            assert!((usd - expected).abs() < 1e-12, "{usd} is not {expected}");
        }
    }

    #[test]
    fn names_are_those_by_which_is_aggregated() {
        let ledger = ledger(&[1_000], &[(0, 0, 100, 0), (1, 0, 100, 0), (2, 0, 100, 0)], 0);
        let by = |by| names(&allocations(&ledger, &by, &Sharing::default())).join(" ");
        assert_eq!(by(Aggregate::Namespace), "kube-system shop __idle__");
        assert_eq!(by(Aggregate::Label("team".to_owned())), "agent db web __idle__");
        assert_eq!(by(Aggregate::Label("tier".to_owned())), "__unallocated__ __idle__");
    }

    #[test]
    fn what_is_shared_goes_by_cost_or_evenly() {
        let ledger =
            ledger(&[1_000_000], &[(0, 0, 3_000, 0), (1, 0, 1_000, 0), (2, 0, 0, 8_192)], 0);
        let shared = |evenly| {
            let namespaces = vec!["kube-system".to_owned()];
            let sharing = Sharing { namespaces, evenly, ..Sharing::default() };
            let all = allocations(&ledger, &Aggregate::Workload, &sharing);
            let usd: Vec<f64> = all.iter().map(|one| one.shared.as_usd()).collect();
            (usd[0] / (usd[0] + usd[1]), usd[2])
        };
        let (db, idle) = shared(false);
        assert!((db - 0.25).abs() < 1e-9 && idle == 0.0, "{db} {idle}");
        assert!((shared(true).0 - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_form_has_the_fields_of_the_api() {
        let ledger = ledger(&[194_236], &[(0, 0, 1_000, 4_096)], 0);
        let text = render(&ledger, &Aggregate::Workload, &Sharing::default());
        let answer: Value = serde_json::from_str(&text).unwrap();
        let web = &answer["data"][0]["shop/deployment:web"];
        assert_eq!(answer["code"], 200);
        assert_eq!(web["window"]["end"], "2026-01-05T01:00:00Z");
        assert_eq!(web["properties"]["controllerKind"], "deployment");
        assert_eq!(
            (&web["cpuCoreHours"], &web["cpuCoreRequestAverage"]),
            (&json!(1.0), &json!(1.0))
        );
        assert_eq!(web["ramByteHours"], json!(4.0 * 1_073_741_824.0));
        assert!((web["cpuCost"].as_f64().unwrap() - 0.031_611).abs() < 1e-12);
        assert!(answer["data"][0]["__idle__"]["totalCost"].as_f64().unwrap() > 0.0);
    }

    proptest! {
        #[test]
        fn allocations_come_to_the_whole_bill_to_the_last_digit(
            prices in prop::collection::vec(0..9_000_000u32, 0..4),
            held in prop::collection::vec((0..3usize, 0..4usize, 0..9_000i64, 0..40_000i64), 0..12),
            beside in 0..9_000_000u32,
            idle in any::<bool>(),
            evenly in any::<bool>(),
            by_namespace in any::<bool>(),
            shares_system in any::<bool>(),
        ) {
            let ledger = ledger(&prices, &held, beside);
            let namespaces = shares_system.then(|| "kube-system".to_owned()).into_iter().collect();
            let sharing = Sharing { idle, overhead: true, namespaces, evenly };
            let by = if by_namespace { Aggregate::Namespace } else { Aggregate::Workload };
            let all = allocations(&ledger, &by, &sharing);
            let sum: Money = all.iter().map(Allocation::total).sum();
            prop_assert_eq!(sum, ledger.nodes_cost().total() + ledger.beside);
        }
    }
}
