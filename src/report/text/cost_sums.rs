//! The sums behind the bill of the nodes, with their numbers filled in.

use capacity::cost::ByResource;
use serde_json::{Value, json};
use units::{Money, ResourceTime};

use super::layout::{Align, Table};
use crate::ledger::{Ledger, LedgerNode, LedgerShare};

/// Maximum number of nodes listed individually.
const NODES: usize = 20;

const HOUR_NANOS: f64 = 3.6e12;
const GIB: f64 = 1_073_741_824.0;

/// The sums of all nodes, or of one workload's shares of them; `None` if there is no such workload, or it has no shares.
pub fn cost_sums(ledger: &Ledger, workload: Option<&str>) -> Option<String> {
    let lines = match workload {
        None => of_nodes(ledger),
        Some(name) => of_workload(ledger, &shares_of(ledger, name)?),
    };
    Some(lines.into_iter().map(|line| line.trim_end().to_owned() + "\n").collect())
}

/// The same as JSON.
pub fn cost_sums_json(ledger: &Ledger, workload: Option<&str>) -> Option<Value> {
    let shares: Vec<&LedgerShare> = match workload {
        None => ledger.shares.iter().collect(),
        Some(name) => shares_of(ledger, name)?,
    };
    let shares = shares.into_iter().map(|share| {
        json!({
            "workload": ledger.workloads[share.workload].object.to_string(),
            "node": &*ledger.nodes[share.node].name,
            "pod_hours": share.bound.as_secs_f64() / 3600.0,
            "requested": amounts(share.requested),
            "used": amounts(share.used),
            "charged": amounts(share.charged),
            "usd": money(share.paid),
        })
    });
    let nodes = ledger.nodes.iter().map(|node| {
        json!({
            "node": &*node.name,
            "pool": &*node.pool,
            "hours": node.paid.as_secs_f64() / 3600.0,
            "shared_among": amounts(node.cost.shared_among),
            "usd": money(node.cost.parts),
        })
    });
    Some(json!({
        "nodes": nodes.collect::<Vec<_>>(),
        "shares": shares.collect::<Vec<_>>(),
        "idle_usd": money(ledger.idle()),
    }))
}

fn amounts(held: ResourceTime) -> Value {
    json!({
        "core_hours": held.cpu_milli_ns as f64 / 1e3 / HOUR_NANOS,
        "gib_hours": held.memory_byte_ns as f64 / GIB / HOUR_NANOS,
        "gpu_hours": held.gpu_ns as f64 / HOUR_NANOS,
    })
}

fn money(parts: ByResource) -> Value {
    json!({"cpu": parts.cpu, "memory": parts.memory, "gpus": parts.gpus, "total": parts.total()})
}

fn shares_of<'a>(ledger: &'a Ledger, name: &str) -> Option<Vec<&'a LedgerShare>> {
    let named = |share: &&LedgerShare| ledger.workloads[share.workload].is_called(name);
    let shares: Vec<&LedgerShare> = ledger.shares.iter().filter(named).collect();
    (!shares.is_empty()).then_some(shares)
}

fn of_nodes(ledger: &Ledger) -> Vec<String> {
    let mut lines = vec![
        "Each node's price is split in the ratio 0.031611 per core, 0.004237 per GiB, 0.95 per GPU:".to_owned(),
        String::new(),
    ];
    let paid: Vec<&LedgerNode> =
        ledger.nodes.iter().filter(|node| node.cost.parts.total() != Money::ZERO).collect();
    for node in paid.iter().take(NODES) {
        lines.extend(split(node));
    }
    if paid.len() > NODES {
        lines.push(format!("and {} more nodes (-o json has all)", paid.len() - NODES));
    }
    lines.push(String::new());
    lines.push("A workload pays the share of max(requested, used), node by node:".to_owned());
    lines.push(String::new());
    let mut table = Table::new(&[&[Align::Left][..], &[Align::Right; 4]].concat());
    table.row(["", "CPU", "memory", "GPUs", "together"].map(str::to_owned));
    let mut row = |name: String, parts: ByResource| {
        let cells = [parts.cpu, parts.memory, parts.gpus, parts.total()].map(exact);
        let [cpu, memory, gpus, total] = cells;
        table.row([name, cpu, memory, gpus, total]);
    };
    for (position, workload) in ledger.workloads.iter().enumerate() {
        let own = ledger.shares.iter().filter(|share| share.workload == position);
        let paid = crate::ledger::sum(own.map(|share| share.paid));
        if paid.total() != Money::ZERO {
            row(workload.object.to_string(), paid);
        }
    }
    row("idle = nodes - workloads".to_owned(), ledger.idle());
    row("nodes".to_owned(), ledger.nodes_cost());
    lines.extend(table.lines());
    lines
}

/// The split of a node's price over its resources.
fn split(node: &LedgerNode) -> Vec<String> {
    let (parts, has) = (node.cost.parts, node.capacity);
    let cores = has.cpu.as_cores();
    let gib = has.memory.0 as f64 / GIB;
    let weights = [cores * 0.031_611, gib * 0.004_237, has.gpus as f64 * 0.95];
    let all: f64 = weights.iter().sum();
    let hours = node.paid.as_secs_f64() / 3600.0;
    let mut lines = vec![format!(
        "{} of {}: {} for {hours:.4} h of {cores} cores, {gib:.2} GiB, {} GPUs",
        node.name,
        node.pool,
        exact(parts.total()),
        has.gpus
    )];
    let named = [
        ("CPU", parts.cpu, weights[0]),
        ("memory", parts.memory, weights[1]),
        ("GPUs", parts.gpus, weights[2]),
    ];
    for (name, usd, weight) in named.into_iter().filter(|(.., weight)| *weight > 0.0) {
        let price = exact(parts.total());
        lines.push(format!("  {name:<7}{} = {price} x {weight:.6} / {all:.6}", exact(usd)));
    }
    lines
}

fn of_workload(ledger: &Ledger, shares: &[&LedgerShare]) -> Vec<String> {
    let name = |share: &LedgerShare| ledger.workloads[share.workload].object.to_string();
    let total = crate::ledger::sum(shares.iter().map(|share| share.paid));
    let names = shares.first().map_or_else(String::new, |share| name(share));
    let mut lines = vec![
        format!("{names} pays {} for its shares of the nodes:", exact(total.total())),
        "  share = node's part x max(requested, used) / capacity, in core-hours and GiB-hours"
            .to_owned(),
    ];
    for share in shares.iter().take(NODES) {
        lines.push(String::new());
        lines.extend(of_share(ledger, share));
    }
    if shares.len() > NODES {
        lines.push(format!("and on {} more nodes (-o json has all)", shares.len() - NODES));
    }
    lines
}

/// A resource in a share: its name, the amount paid, the node's part, and its amount in hours.
type Row = (&'static str, Money, Money, fn(ResourceTime) -> f64);

fn of_share(ledger: &Ledger, share: &LedgerShare) -> Vec<String> {
    let node = &ledger.nodes[share.node];
    let (parts, among) = (node.cost.parts, node.cost.shared_among);
    let mut lines = vec![format!("{}: {}", node.name, exact(share.paid.total()))];
    let cpu = |held: ResourceTime| held.cpu_milli_ns as f64 / 1e3 / HOUR_NANOS;
    let memory = |held: ResourceTime| held.memory_byte_ns as f64 / GIB / HOUR_NANOS;
    let gpus = |held: ResourceTime| held.gpu_ns as f64 / HOUR_NANOS;
    let rows: [Row; 3] = [
        ("CPU", share.paid.cpu, parts.cpu, cpu),
        ("memory", share.paid.memory, parts.memory, memory),
        ("GPUs", share.paid.gpus, parts.gpus, gpus),
    ];
    for (name, paid, part, of) in rows.into_iter().filter(|row| row.2 != Money::ZERO) {
        lines.push(format!(
            "  {name:<7}{} = {} x {:.6} / {:.6}   (requested {:.6}, used {:.6})",
            exact(paid),
            exact(part),
            of(share.charged),
            of(among),
            of(share.requested),
            of(share.used),
        ));
    }
    lines
}

/// Money with enough digits to follow a sum.
fn exact(usd: Money) -> String {
    format!("${:.6}", usd.as_usd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerWorkload;
    use capacity::cost::{Claim, NodeBill, allocate};
    use engine::SimDuration;
    use units::{Bytes, HourlyPrice, MilliCpu, Resources};

    /// The example of docs/cost.md: 4 cores and 16 GiB at $0.20 for an hour, a pod with 250m and 512Mi that uses 500m.
    fn example() -> Ledger {
        let hour = SimDuration::from_secs(3_600);
        let amounts =
            |cpu, mib: i64| Resources { cpu: MilliCpu(cpu), memory: Bytes(mib << 20), gpus: 0 };
        let capacity = amounts(4_000, 16_384);
        let cost = HourlyPrice::from_usd(0.20).over(hour);
        let nodes = [NodeBill { pool: "a".into(), cost, capacity, existed: hour }];
        let held = |one: Resources| ResourceTime::held(one, hour);
        let (requested, used) = (held(amounts(250, 512)), held(amounts(500, 256)));
        let bill = allocate(&nodes, &[Claim { workload: "web".into(), node: 0, requested, used }]);
        let charged = requested.max(used);
        let node = LedgerNode {
            name: "a-1".into(),
            pool: "a".into(),
            capacity,
            paid: hour,
            cost: bill.nodes[0],
        };
        let paid = bill.claims[0];
        let share =
            LedgerShare { workload: 0, node: 0, requested, used, charged, bound: hour, paid };
        let object = "Deployment/shop/web".parse().unwrap();
        Ledger {
            span: hour,
            start_seconds: 0,
            nodes: vec![node],
            workloads: vec![LedgerWorkload { object, labels: [].into() }],
            shares: vec![share],
            beside: Money::ZERO,
        }
    }

    #[test]
    fn the_sums_of_the_documented_example_have_its_numbers() {
        let all = cost_sums(&example(), None).unwrap();
        assert!(all.contains("CPU    $0.130196 = $0.200000 x 0.126444 / 0.194236"), "{all}");
        assert!(all.contains("memory $0.069804 = $0.200000 x 0.067792 / 0.194236"), "{all}");
        assert!(all.contains("$0.181544"), "{all}");
        let web = cost_sums(&example(), Some("web")).unwrap();
        let cpu =
            "$0.016275 = $0.130196 x 0.500000 / 4.000000   (requested 0.250000, used 0.500000)";
        assert!(web.contains(cpu), "{web}");
        let memory = "$0.002181 = $0.069804 x 0.500000 / 16.000000";
        assert!(web.contains(memory) && web.contains("pays $0.018456"), "{web}");
    }

    #[test]
    fn a_workload_is_found_by_each_of_its_names() {
        for name in
            ["web", "shop/web", "Deployment/shop/web", "deploy/shop/web", "Deployment shop/web"]
        {
            assert!(cost_sums(&example(), Some(name)).is_some(), "{name}");
        }
        assert_eq!(cost_sums(&example(), Some("db")), None);
    }
}
