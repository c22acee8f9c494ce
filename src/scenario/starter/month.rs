//! The invoice of a starter scenario, for its cost objective.

use super::sizing::Pool;
use crate::inventory::Inventory;
use capacity::price_list::{PriceList, Unit};
use capacity::reserved::Provider;

const HOURS: f64 = 730.0;
/// The objective leaves room for a fifth more nodes, and a tenth more of the rest.
const SLACK: (f64, f64) = (1.2, 1.1);
/// Minimum for the rest [US dollars]: control plane, NAT gateway and the like.
const REST_MIN: f64 = 150.0;
/// Price of a disk of any class [US dollars per GiB and month]; it is not known which class a claim gets.
const DISK_MAX: f64 = 0.17;
const GIB: f64 = (1 << 30) as f64;

/// A limit for the monthly invoice of these pools in US dollars, in tens; `None` if the nodes cost nothing.
pub(super) fn limit(inventory: &Inventory, pools: &[Pool]) -> Option<f64> {
    let first = pools.first()?;
    let hourly: f64 =
        pools.iter().map(|pool| pool.node_type.on_demand.as_usd() * pool.count as f64).sum();
    if hourly <= 0.0 {
        return None;
    }
    let rest = rest(inventory, pools, first.node_type.machine.provider);
    let month = hourly * HOURS * SLACK.0 + (rest * SLACK.1).max(REST_MIN);
    Some(libm::ceil(month / 10.0) * 10.0)
}

/// The items besides nodes that a run bills without knowing sizes of requests and responses.
fn rest(inventory: &Inventory, pools: &[Pool], cloud: Provider) -> f64 {
    let list = PriceList::of(cloud);
    let hourly = |item: &str| list.find(item).map_or(0.0, |price| price.first().as_usd()) * HOURS;
    let (nodes, disks) = pools.iter().fold((0.0, 0.0), |(nodes, disks), pool| {
        let count = pool.count as f64;
        (nodes + count, disks + count * root_disk(list, pool))
    });
    let (services, ingresses) = balancers(inventory, cloud);
    let zones = pools.iter().map(|pool| pool.zones().len()).max().unwrap_or(1) as f64;
    let (addresses, gateways) = match cloud {
        Provider::Aws => ((services + ingresses) * zones, 1.0),
        Provider::Azure => (services + ingresses, 0.0),
        Provider::Gcp => (0.0, 0.0),
    };
    let zones_with_nodes = zones.min(nodes.max(1.0));
    let addresses = addresses / zones * zones_with_nodes;
    hourly("control-plane")
        + disks
        + services * hourly("load-balancer")
        + ingresses * hourly("ingress")
        + (addresses + gateways) * hourly("public-address")
        + gateways * hourly("nat-gateway")
        + inventory.claimed_bytes as f64 / GIB * DISK_MAX
}

/// A month of a node's root disk.
fn root_disk(list: &PriceList, pool: &Pool) -> f64 {
    let (kind, usual) = match pool.node_type.machine.provider {
        Provider::Aws => ("disk:gp3", 20),
        Provider::Azure => ("disk:premium-128", 128),
        Provider::Gcp => ("disk:pd-balanced", 100),
    };
    let Some(price) = list.find(kind) else { return 0.0 };
    // Disks with more room than usual are not in the bill unless the scenario's `bill.rootDisk` says so.
    match price.unit {
        Unit::DiskMonth => price.first().as_usd(),
        _ => price.first().as_usd() * f64::from(usual),
    }
}

/// The load balancers of Services and of Ingresses, as a run counts them.
fn balancers(inventory: &Inventory, cloud: Provider) -> (f64, f64) {
    let is_of_cloud = |class: &str| match cloud {
        Provider::Aws => class.contains("alb"),
        Provider::Azure => class.contains("azure"),
        Provider::Gcp => class.is_empty() || class.contains("gce"),
    };
    let (own, others): (Vec<&String>, Vec<&String>) =
        inventory.ingress_classes.values().partition(|class| is_of_cloud(class));
    // A controller such as ingress-nginx has one Service for its class, which may be among the manifests.
    let controllers = others.into_iter().collect::<std::collections::BTreeSet<_>>().len();
    let services =
        if inventory.load_balancers > 0 { inventory.load_balancers } else { controllers };
    (services as f64, own.len() as f64)
}
