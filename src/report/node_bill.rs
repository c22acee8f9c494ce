//! The cost of each machine after discounts, and its allocation to workloads.

use std::collections::BTreeMap;

use super::build::{ReportInput, end, pool_of};
use super::figures::counted;
use super::ledger::{Ledger, LedgerNode, LedgerShare, LedgerWorkload};
use super::model::{DiscountLine, DiscountOf, MachineCost};
use capacity::catalog;
use capacity::cost::{self, ByResource, Claim, CostAllocation, NodeBill};
use capacity::discounts::{self, Discounted, Discounts, Usage};
use capacity::machine_prices::without_cloud;
use capacity::price_list::Charge;
use capacity::reserved::Provider;
use capacity::serverless::{self, PodSize};
use cluster::Name;
use cluster::node::{CapacityType, Serverless};
use engine::SimDuration;
use record::{NodeTrack, NodeUsage, PodRun};
use units::{HourlyPrice, Money, ResourceTime, Resources};

const HOUR: SimDuration = SimDuration::from_secs(3_600);

/// The bill of a run's machines. The usages list the machines first, then CPU, memory and storage of the serverless pods,
/// so that savings plans cover these too.
pub(super) struct NodeCosts {
    usages: Vec<Usage>,
    pods: Vec<BilledPod>,
    discounts: Discounts,
    bill: Discounted,
}

impl NodeCosts {
    pub(super) fn of(facts: ReportInput<'_>) -> Self {
        let nodes = &facts.recorder.nodes;
        let pods = billed_pods(facts);
        let of_pods = pods.iter().flat_map(|pod| pod.usages.clone());
        let usages: Vec<Usage> =
            nodes.iter().map(|node| usage(facts, node)).chain(of_pods).collect();
        let discounts = facts.bill.settings.discounts(|kind| on_demand_price(facts, kind));
        let bill = discounts.bill(&usages, end(facts));
        Self { usages, pods, discounts, bill }
    }

    /// Cost of the machines without any discount.
    pub(super) fn list_price(&self) -> Money {
        self.usages.iter().map(Usage::cost).sum()
    }

    /// Allocates the machines' cost to workloads, in total and per node.
    pub(super) fn allocate(&self, facts: ReportInput<'_>) -> (CostAllocation, Ledger) {
        let nodes = facts.recorder.nodes.iter().zip(&self.bill.net);
        let mut nodes: Vec<NodeBill> =
            nodes.map(|(node, net)| node_bill(facts, node, *net)).collect();
        let mut names: Vec<Name> =
            facts.recorder.nodes.iter().map(|node| node.name.clone()).collect();
        let is_billed = |node: usize| facts.recorder.nodes[node].machine.serverless.is_none();
        let held = facts.recorder.holdings.iter().filter(|((_, node), _)| is_billed(*node));
        let share = |((workload, node), held): (&(usize, usize), &NodeUsage)| LedgerShare {
            workload: *workload,
            node: *node,
            requested: held.requested,
            used: held.used,
            charged: held.charged,
            bound: held.bound,
            paid: ByResource::default(),
        };
        let mut shares: Vec<LedgerShare> = held.map(share).collect();
        // A serverless pod is charged to its workload as a fully used node of its own.
        let net = self.bill.net.get(facts.recorder.nodes.len()..).unwrap_or_default();
        for (pod, net) in self.pods.iter().zip(net.chunks(PARTS)) {
            let (workload, node) = (pod.workload, nodes.len());
            let charged = ResourceTime::held(pod.size, pod.time);
            let (requested, used, paid) = (charged, ResourceTime::default(), ByResource::default());
            let bound = pod.time;
            shares.push(LedgerShare { workload, node, requested, used, charged, bound, paid });
            let under = &facts.recorder.nodes[pod.node];
            names.push(under.name.clone());
            nodes.push(NodeBill {
                pool: pool_of(under).clone(),
                cost: net.iter().copied().sum(),
                capacity: pod.size,
                existed: pod.time,
            });
        }
        let allocation = cost::allocate(&nodes, &claims(facts, &shares));
        let ledger = ledger(facts, &nodes, &names, shares, &allocation);
        (allocation, ledger)
    }

    /// Hours and list price of the serverless pods, by service.
    pub(super) fn by_serverless(&self, facts: ReportInput<'_>) -> Vec<MachineCost> {
        [Serverless::Fargate, Serverless::Autopilot]
            .into_iter()
            .filter_map(|kind| {
                let is_of = |pod: &&BilledPod| {
                    facts.recorder.nodes[pod.node].machine.serverless == Some(kind)
                };
                let pods: Vec<&BilledPod> = self.pods.iter().filter(is_of).collect();
                let hours: f64 = pods.iter().map(|pod| pod.time.as_secs_f64() / 3600.0).sum();
                let usd = pods.iter().flat_map(|pod| &pod.usages).map(Usage::cost).sum();
                (!pods.is_empty()).then(|| MachineCost {
                    instance_type: format!("pods on {}", name_of(kind)),
                    capacity_type: "per pod",
                    node_hours: hours,
                    usd,
                })
            })
            .collect()
    }

    /// Serverless pods without a price, which no sum includes.
    pub(super) fn unpriced_pods(facts: ReportInput<'_>) -> Vec<String> {
        let mut left_out: BTreeMap<(usize, &str), u64> = BTreeMap::new();
        for run in &facts.recorder.pod_runs {
            let Some(kind) = facts.recorder.nodes[run.node].machine.serverless else { continue };
            if serverless::billed_size(kind, requested(run)).is_none() {
                *left_out.entry((run.workload, name_of(kind))).or_default() += 1;
            }
        }
        let report_lines = left_out.into_iter().map(|((workload, kind), pods)| {
            let workload = &facts.recorder.workloads[workload].workload;
            format!("{} of {workload}: larger than {kind} supports", counted(pods, "pod"))
        });
        report_lines.collect()
    }

    /// The discounts on nodes and `charges`, and the unused commitments.
    pub(super) fn lines(
        &self,
        facts: ReportInput<'_>,
        charges: Charge,
    ) -> (Vec<DiscountLine>, Vec<DiscountLine>) {
        let report_lines = |line: &discounts::DiscountLine| DiscountLine {
            what: line.what.clone(),
            of: DiscountOf::Nodes,
            usd: line.usd,
            month_usd: cost::per_month(line.usd, facts.duration).unwrap_or_default(),
        };
        let mut taken_off: Vec<DiscountLine> =
            self.bill.taken_off.iter().map(report_lines).collect();
        let off = |usd: Money| Money::ZERO - self.discounts.percent_off.of(usd);
        if off(charges.usd) != Money::ZERO {
            taken_off.push(DiscountLine {
                what: format!("{} % off items other than nodes", facts.bill.settings.percent_off),
                of: DiscountOf::Charges,
                usd: off(charges.usd),
                month_usd: off(charges.month_usd),
            });
        }
        (taken_off, self.bill.unused.iter().map(report_lines).collect())
    }
}

fn node_bill(facts: ReportInput<'_>, node: &NodeTrack, net: Money) -> NodeBill {
    // Serverless nodes are billed by their pods.
    let existed = match node.machine.serverless {
        None => node.paid(end(facts)),
        Some(_) => SimDuration::ZERO,
    };
    NodeBill { pool: pool_of(node).clone(), cost: net, capacity: node.capacity, existed }
}

fn claims(facts: ReportInput<'_>, shares: &[LedgerShare]) -> Vec<Claim> {
    let workload = |position: usize| facts.recorder.workloads[position].workload.to_string();
    let claim = |share: &LedgerShare| Claim {
        workload: workload(share.workload).into(),
        node: share.node,
        requested: share.charged,
        used: ResourceTime::default(),
    };
    shares.iter().map(claim).collect()
}

fn ledger(
    facts: ReportInput<'_>,
    nodes: &[NodeBill],
    names: &[Name],
    mut shares: Vec<LedgerShare>,
    allocation: &CostAllocation,
) -> Ledger {
    for (share, paid) in shares.iter_mut().zip(&allocation.claims) {
        share.paid = *paid;
    }
    let nodes = nodes.iter().zip(names).zip(&allocation.nodes);
    let nodes = nodes.map(|((node, name), cost)| LedgerNode {
        name: name.clone(),
        pool: node.pool.clone(),
        capacity: node.capacity,
        paid: node.existed,
        cost: *cost,
    });
    let workloads = facts.recorder.workloads.iter().map(|track| LedgerWorkload {
        object: track.workload.clone(),
        labels: track.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    });
    Ledger {
        span: facts.duration,
        start_seconds: facts.start_seconds,
        nodes: nodes.collect(),
        workloads: workloads.collect(),
        shares,
        beside: Money::ZERO,
    }
}

/// A serverless pod, billed instead of its node.
struct BilledPod {
    workload: usize,
    node: usize,
    size: Resources,
    time: SimDuration,
    /// CPU, memory, storage.
    usages: [Usage; PARTS],
}

const PARTS: usize = 3;

fn billed_pods(facts: ReportInput<'_>) -> Vec<BilledPod> {
    let end = end(facts);
    let runs = facts.recorder.pod_runs.iter();
    let billed = runs.filter_map(|run| {
        let kind = facts.recorder.nodes[run.node].machine.serverless?;
        let size = serverless::billed_size(kind, requested(run))?;
        let time = serverless::billed_time(kind, run.lasted(end));
        let (provider, items) = items_of(kind);
        let prices = facts.bill.settings.price_list(Some(provider));
        let amounts = [size.cpu.0, size.memory.0, size.storage.0];
        let usages = std::array::from_fn(|part| {
            let price = prices.find(items[part]);
            let hour = i128::from(amounts[part]) * i128::from(HOUR.as_nanos());
            let per_hour =
                price.map_or(Money::ZERO, |price| price.first().share(hour, price.unit.smallest()));
            let is_eligible = kind == Serverless::Fargate;
            let until = run.from + time;
            Usage { kind: items[part].into(), per_hour, is_eligible, from: run.from, until }
        });
        let size = Resources { cpu: size.cpu, memory: size.memory, gpus: 0 };
        Some(BilledPod { workload: run.workload, node: run.node, size, time, usages })
    });
    billed.collect()
}

fn requested(run: &PodRun) -> PodSize {
    PodSize { cpu: run.cpu, memory: run.memory, storage: run.storage }
}

/// The price list's items for CPU, memory and storage of a serverless pod.
const fn items_of(kind: Serverless) -> (Provider, [&'static str; PARTS]) {
    match kind {
        Serverless::Fargate => {
            (Provider::Aws, ["fargate-cpu", "fargate-memory", "fargate-storage"])
        }
        Serverless::Autopilot => {
            (Provider::Gcp, ["autopilot-cpu", "autopilot-memory", "autopilot-storage"])
        }
    }
}

const fn name_of(kind: Serverless) -> &'static str {
    match kind {
        Serverless::Fargate => "AWS Fargate",
        Serverless::Autopilot => "GKE Autopilot",
    }
}

fn usage(facts: ReportInput<'_>, node: &NodeTrack) -> Usage {
    let machine = &node.machine;
    let from = machine.launched.unwrap_or(node.added);
    Usage {
        kind: without_cloud(&machine.instance_type).into(),
        per_hour: machine.price.unwrap_or_default().over(HOUR),
        is_eligible: machine.capacity_type == CapacityType::OnDemand,
        from,
        until: from + node.paid(end(facts)),
    }
}

/// The on-demand price of a type: that of the machines of this run, else the catalog's.
fn on_demand_price(facts: ReportInput<'_>, kind: &str) -> Option<HourlyPrice> {
    let kind = without_cloud(kind);
    let on_demand = facts.recorder.nodes.iter().map(|node| &node.machine);
    let mut on_demand = on_demand.filter(|one| one.capacity_type == CapacityType::OnDemand);
    let of_run = on_demand.find(|one| without_cloud(&one.instance_type) == kind);
    let of_run = of_run.and_then(|machine| machine.price);
    of_run.or_else(|| catalog::find(kind).ok().map(|node_type| node_type.on_demand))
}
