//! Allocation of the cost of nodes to pools, workloads and idle capacity. Pure arithmetic over given amounts: node times,
//! requests and usage are measured elsewhere.
//!
//! The method is that of the OpenCost specification 0.1: a container pays for the larger of its request
//! and its usage, at its node's price, which is split over CPU, memory and GPUs in the
//! ratio of OpenCost's default prices. `docs/cost.md` has the formulas with an example.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use cluster::Name;
use engine::SimDuration;
use units::{Money, ResourceTime, Resources};

/// OpenCost's default prices (`configs/default.json`), in micro-dollars: one core for an hour, one GiB
/// of memory for an hour, one GPU for an hour. Only their ratio matters here.
const CORE_MICRO_USD: i128 = 31_611;
const GIB_MICRO_USD: i128 = 4_237;
const GPU_MICRO_USD: i128 = 950_000;

/// A month as clouds bill it.
const MONTH: SimDuration = SimDuration::from_secs(730 * 3_600);

/// The billing data of a node.
#[derive(Clone, Debug)]
pub struct NodeBill {
    /// The pool that it belongs to.
    pub pool: Name,
    /// Its cost over the run after discounts.
    pub cost: Money,
    /// `status.capacity`.
    pub capacity: Resources,
    /// Time for which its machine was paid.
    pub existed: SimDuration,
}

/// Requests and usage of one workload on one node; a workload may have several claims on the same node, one for
/// each container if requests and usage are to be compared for each.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The workload, as the report names it.
    pub workload: Name,
    /// Index of the node among those that are billed.
    pub node: usize,
    /// Requests of its pods times the time for which they were bound to the node.
    pub requested: ResourceTime,
    /// Usage of its pods over the same time.
    pub used: ResourceTime,
}

/// A bill that adds up to the last digit: `total` is the sum of the pools' totals, and the sum of the
/// workloads and of `idle`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostAllocation {
    /// Price of all nodes over the time that they existed.
    pub total: Money,
    /// Part of it that no workload pays for.
    pub idle: Money,
    /// By workload; only those that had a claim.
    pub workloads: BTreeMap<Name, Money>,
    /// By workload, *fully loaded*: including its share of the idle capacity of the nodes where it had claims, in the ratio
    /// of the claims' costs there. A workload alone on a node pays all of it.
    pub fully_loaded: BTreeMap<Name, Money>,
    /// By pool; only those that had a node.
    pub pools: BTreeMap<Name, PoolAllocation>,
    /// By node, in the order given: its cost by resource, and the amounts among which each is divided.
    pub nodes: Vec<NodeCost>,
    /// Cost of each claim, in the order given; zero for a claim on an unknown node.
    pub claims: Vec<ByResource>,
}

/// An amount of money by resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByResource {
    /// For CPU.
    pub cpu: Money,
    /// For memory.
    pub memory: Money,
    /// For GPUs.
    pub gpus: Money,
}

impl ByResource {
    /// All of it.
    pub fn total(&self) -> Money {
        self.cpu + self.memory + self.gpus
    }
}

impl AddAssign for ByResource {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.gpus += other.gpus;
    }
}

/// The bill of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolAllocation {
    /// Price of its nodes over the time that they existed.
    pub total: Money,
    /// Part of it that no workload pays for.
    pub idle: Money,
    /// Node hours: sum of the times for which its nodes existed.
    pub node_time: SimDuration,
}

/// Splits the bill of all nodes among the workloads that had claims on them.
///
/// Where the claims on a node exceed its capacity, because usage went beyond requests, they share the node's
/// cost in proportion: no workload pays for more than the node had, and idle cost is never negative. Claims on
/// nodes that are not among `nodes` are ignored.
///
/// ```
/// # use wavetank::capacity::cost::{Claim, NodeBill, allocate};
/// # use wavetank::engine::SimDuration;
/// # use wavetank::units::{Bytes, HourlyPrice, MilliCpu, ResourceTime, Resources};
/// let amounts = |cpu_milli, memory_mib: i64| Resources {
///     cpu: MilliCpu(cpu_milli),
///     memory: Bytes(memory_mib << 20),
///     gpus: 0,
/// };
/// let hour = SimDuration::from_secs(3_600);
/// let node = NodeBill {
///     pool: "web".into(),
///     cost: HourlyPrice::from_usd(0.20).over(hour),
///     capacity: amounts(4_000, 16_384),
///     existed: hour,
/// };
/// let claim = Claim {
///     workload: "shop".into(),
///     node: 0,
///     requested: ResourceTime::held(amounts(250, 512), hour),
///     used: ResourceTime::held(amounts(500, 256), hour),
/// };
/// // 4 x 0.031611 : 16 x 0.004237 splits $0.20 into $0.130196 for CPU and $0.069804 for memory;
/// // 500/4000 x 0.130196 + 512/16384 x 0.069804 = $0.018456.
/// let bill = allocate(&[node], &[claim]);
/// assert_eq!(bill.workloads["shop"].to_string(), "$0.0185");
/// assert_eq!(bill.total, bill.workloads["shop"] + bill.idle);
/// ```
pub fn allocate(nodes: &[NodeBill], claims: &[Claim]) -> CostAllocation {
    let mut claimed = vec![ResourceTime::default(); nodes.len()];
    for claim in claims {
        if let Some(sum) = claimed.get_mut(claim.node) {
            *sum += claim.requested.max(claim.used);
        }
    }
    let costs: Vec<NodeCost> = nodes.iter().zip(&claimed).map(NodeCost::of).collect();

    let mut allocation = CostAllocation::default();
    for (node, cost) in nodes.iter().zip(&costs) {
        let pool = allocation.pools.entry(node.pool.clone()).or_default();
        pool.total += cost.parts.total();
        pool.idle += cost.parts.total();
        pool.node_time += node.existed;
        allocation.total += cost.parts.total();
        allocation.idle += cost.parts.total();
    }
    for claim in claims {
        let paid = costs
            .get(claim.node)
            .map(|node_cost| node_cost.of_claim(claim.requested.max(claim.used)));
        allocation.claims.push(paid.unwrap_or_default());
        let Some(cost) = paid.map(|paid| paid.total()) else { continue };
        *allocation.workloads.entry(claim.workload.clone()).or_default() += cost;
        allocation.idle = allocation.idle - cost;
        if let Some(pool) = allocation.pools.get_mut(&nodes[claim.node].pool) {
            pool.idle = pool.idle - cost;
        }
    }
    allocation.fully_loaded = fully_loaded(claims, &costs);
    allocation.nodes = costs;
    allocation
}

/// Each node's whole cost by workload, in the ratio of the costs of their claims.
fn fully_loaded(claims: &[Claim], costs: &[NodeCost]) -> BTreeMap<Name, Money> {
    let cost = |claim: &Claim| {
        let node = costs.get(claim.node)?;
        Some((node, node.of_claim(claim.requested.max(claim.used)).total()))
    };
    let mut claimed = vec![Money::ZERO; costs.len()];
    for claim in claims {
        if let Some((_, cost)) = cost(claim) {
            claimed[claim.node] += cost;
        }
    }
    let mut loaded = BTreeMap::<Name, Money>::new();
    for claim in claims {
        if let Some((node, cost)) = cost(claim) {
            let all = claimed[claim.node].atto_usd().max(1);
            let own = node.parts.total().share(cost.atto_usd(), all);
            *loaded.entry(claim.workload.clone()).or_default() += own;
        }
    }
    loaded
}

/// `cost` over `span`, scaled to a month of 730 hours; `None` for no time at all.
pub fn per_month(cost: Money, span: SimDuration) -> Option<Money> {
    let (month, span) = (i128::from(MONTH.as_nanos()), i128::from(span.as_nanos()));
    (span > 0).then(|| cost.share(month, span))
}

/// Cost of a million requests or tokens if `count` of them cost `cost`; `None` for a count of zero.
pub fn per_million(cost: Money, count: u64) -> Option<Money> {
    (count > 0).then(|| cost.share(1_000_000, i128::from(count)))
}

/// Cost of a node by resource, and the amounts among which each is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCost {
    /// Its price by resource.
    pub parts: ByResource,
    /// Its capacity over its time, or the sum of the claims where that is larger.
    pub shared_among: ResourceTime,
}

impl NodeCost {
    fn of((node, claimed): (&NodeBill, &ResourceTime)) -> Self {
        let total = node.cost;
        // All three in micro-dollars times 1000 milli-CPU times 2^30 bytes, to stay with integers.
        let cpu_weight = i128::from(node.capacity.cpu.0) * CORE_MICRO_USD * (1 << 30);
        let memory_weight = i128::from(node.capacity.memory.0) * GIB_MICRO_USD * 1_000;
        let gpu_weight = i128::from(node.capacity.gpus) * GPU_MICRO_USD * 1_000 * (1 << 30);
        let weight = (cpu_weight + memory_weight + gpu_weight).max(1);
        let cpu = total.share(cpu_weight, weight);
        let gpus = total.share(gpu_weight, weight);
        Self {
            parts: ByResource { cpu, memory: total - cpu - gpus, gpus },
            shared_among: ResourceTime::held(node.capacity, node.existed).max(*claimed),
        }
    }

    /// Cost of a claim.
    fn of_claim(&self, claim: ResourceTime) -> ByResource {
        let among = &self.shared_among;
        let share = |cost: Money, claimed: i128, among: i128| {
            if claimed > 0 { cost.share(claimed, among) } else { Money::ZERO }
        };
        ByResource {
            cpu: share(self.parts.cpu, claim.cpu_milli_ns, among.cpu_milli_ns),
            memory: share(self.parts.memory, claim.memory_byte_ns, among.memory_byte_ns),
            gpus: share(self.parts.gpus, claim.gpu_ns, among.gpu_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use units::{Bytes, HourlyPrice, MilliCpu};

    const HOUR: SimDuration = SimDuration::from_secs(3_600);

    fn node(pool: &str, usd: f64, capacity: Resources) -> NodeBill {
        NodeBill {
            pool: pool.into(),
            cost: HourlyPrice::from_usd(usd).over(HOUR),
            capacity,
            existed: HOUR,
        }
    }

    fn resources(cores: i64, gib: i64, gpus: i64) -> Resources {
        Resources { cpu: MilliCpu(cores * 1_000), memory: Bytes(gib << 30), gpus }
    }

    fn claim(workload: &str, node: usize, requested: Resources, used: Resources) -> Claim {
        Claim {
            workload: workload.into(),
            node,
            requested: ResourceTime::held(requested, HOUR),
            used: ResourceTime::held(used, HOUR),
        }
    }

    fn assert_close(money: Money, usd: f64) {
        assert!((money.as_usd() - usd).abs() < 1e-9, "{money} is not {usd}");
    }

    #[test]
    fn a_gpu_carries_most_of_a_gpu_nodes_price() {
        // 8 x 0.031611 + 32 x 0.004237 + 1 x 0.95 = 1.338472; GPU part 0.95 / 1.338472 of $1.
        let nodes = [node("gpu", 1.0, resources(8, 32, 1))];
        let bill = allocate(&nodes, &[claim("llm", 0, resources(0, 0, 1), resources(0, 0, 0))]);
        assert_close(bill.workloads["llm"], 0.709_764_567_357_404_9);
    }

    #[test]
    fn who_has_all_gpus_of_a_node_pays_for_all_of_it_fully_loaded() {
        // p5.48xlarge: 8 GPUs, of whose node CPU and memory are mostly idle.
        let nodes =
            [node("gpu", 55.04, resources(192, 2_048, 8)), node("web", 1.0, resources(4, 16, 0))];
        let claims = [
            claim("llm", 0, resources(8, 64, 8), resources(0, 0, 0)),
            claim("web", 1, resources(1, 4, 0), resources(0, 0, 0)),
            claim("api", 1, resources(2, 8, 0), resources(0, 0, 0)),
        ];
        let bill = allocate(&nodes, &claims);
        assert_close(bill.fully_loaded["llm"], 55.04);
        assert!(bill.workloads["llm"].as_usd() < 55.04 / 2.0);
        assert_close(bill.fully_loaded["web"], 1.0 / 3.0);
        assert_close(bill.fully_loaded["api"], 2.0 / 3.0);
    }

    #[test]
    fn claims_beyond_the_node_share_its_price() {
        let nodes = [node("web", 1.0, resources(4, 16, 0))];
        let (none, full) = (resources(0, 0, 0), resources(4, 16, 0));
        let bill =
            allocate(&nodes, &[claim("quiet", 0, full, none), claim("bursting", 0, none, full)]);
        assert_close(bill.workloads["quiet"], 0.5);
        assert_close(bill.workloads["bursting"], 0.5);
        assert_close(bill.idle, 0.0);
    }

    #[test]
    fn of_each_resource_the_larger_of_request_and_use_is_paid() {
        // CPU part 4 x 0.031611 / 0.194236 of $1 = 0.650981, memory part 0.349019.
        let nodes = [node("web", 1.0, resources(4, 16, 0))];
        let claims = [
            claim("above", 0, resources(1, 2, 0), resources(2, 1, 0)),
            claim("below", 0, resources(1, 2, 0), resources(0, 0, 0)),
        ];
        let bill = allocate(&nodes, &claims);
        let (cpu, memory) = (0.650_981_280_504_13, 0.349_018_719_495_87);
        assert_close(bill.workloads["above"], cpu * 2.0 / 4.0 + memory * 2.0 / 16.0);
        assert_close(bill.workloads["below"], cpu * 1.0 / 4.0 + memory * 2.0 / 16.0);
    }

    #[test]
    fn a_node_without_claims_is_idle_and_one_without_size_too() {
        let bill = allocate(
            &[node("a", 1.0, resources(4, 16, 0)), node("b", 2.0, resources(0, 0, 0))],
            &[],
        );
        assert_eq!(bill.idle, bill.total);
        assert_close(bill.total, 3.0);
        assert_eq!(bill.pools["b"].node_time, HOUR);
    }

    #[test]
    fn a_month_has_730_hours_and_nothing_scales_from_nothing() {
        let cost = HourlyPrice::from_usd(0.1).over(HOUR);
        assert_eq!(per_month(cost, HOUR).map(|m| m.to_string()), Some("$73.00".to_owned()));
        assert_eq!(per_month(cost, SimDuration::ZERO), None);
        assert_eq!(per_million(cost, 0), None);
        assert_eq!(per_million(cost, 50_000).map(|m| m.to_string()), Some("$2.00".to_owned()));
    }

    fn any_amounts() -> impl Strategy<Value = Resources> {
        (0..200_000i64, 0..(1i64 << 43), 0..9i64).prop_map(|(cpu, memory, gpus)| Resources {
            cpu: MilliCpu(cpu),
            memory: Bytes(memory),
            gpus,
        })
    }

    prop_compose! {
        fn any_node()(pool in "[ab]", micro_usd in 0..200_000_000u32, capacity in any_amounts(), nanos in 0..30_000_000_000_000_000i64) -> NodeBill {
            let existed = SimDuration::from_nanos(nanos);
            let cost = HourlyPrice::from_usd(f64::from(micro_usd) / 1e6).over(existed);
            NodeBill { pool: pool.into(), cost, capacity, existed }
        }
    }

    prop_compose! {
        fn any_claim()(workload in "[xyz]", node in 0..5usize, requested in any_amounts(), used in any_amounts(), nanos in 0..30_000_000_000_000_000i64) -> Claim {
            let span = SimDuration::from_nanos(nanos);
            Claim {
                workload: workload.into(),
                node,
                requested: ResourceTime::held(requested, span),
                used: ResourceTime::held(used, span),
            }
        }
    }

    proptest! {
        #[test]
        fn every_bill_adds_up_to_the_last_digit(
            nodes in prop::collection::vec(any_node(), 0..5),
            claims in prop::collection::vec(any_claim(), 0..20),
        ) {
            let bill = allocate(&nodes, &claims);
            let of_nodes: Money = nodes.iter().map(|node| node.cost).sum();
            let of_workloads: Money = bill.workloads.values().copied().sum();
            prop_assert_eq!(bill.total, of_nodes);
            prop_assert_eq!(bill.total, of_workloads + bill.idle);
            prop_assert_eq!(bill.total, bill.pools.values().map(|pool| pool.total).sum());
            prop_assert_eq!(bill.idle, bill.pools.values().map(|pool| pool.idle).sum());
            prop_assert_eq!(of_workloads, bill.claims.iter().map(ByResource::total).sum());
            prop_assert_eq!(bill.total, bill.nodes.iter().map(|node| node.parts.total()).sum());
            let loaded: Money = bill.fully_loaded.values().copied().sum();
            prop_assert!(loaded.as_usd() <= bill.total.as_usd() * (1.0 + 1e-9));
            for pool in bill.pools.values() {
                prop_assert!(pool.idle >= Money::ZERO && pool.idle <= pool.total);
            }
        }
    }
}
