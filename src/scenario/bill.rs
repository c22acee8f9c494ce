//! The invoice items besides nodes, and their prices.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use capacity::price_list::{Price, PriceList};
use capacity::reserved::Provider;
use cluster::{Name, ServiceReference};
use units::{Money, Quantity};

/// The items of the cloud's invoice besides nodes. If the nodes are cloud machines (`instanceType`), everything that
/// follows from nodes, manifests and traffic is billed by default at the cloud's list prices (`wavetank catalog
/// --prices`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Bill {
    /// The cloud whose list prices apply. Default: the cloud of the first pool with an instance type; without one, only
    /// nodes and the items named in `prices` are billed.
    pub cloud: Option<Cloud>,
    /// Items to leave off the bill, such as [controlPlane, natGateways]. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leave_out: Vec<BillPart>,
    /// Prices that replace the list prices, in US dollars per unit of the item, such as {internet-egress: 0.05};
    /// `wavetank catalog --prices` lists items and units. `logs` is priced per GiB.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<Name, f64>,
    /// Number of NAT gateways. Default: 1 on AWS, as created by eksctl; 0 on Azure and Google.
    #[schemars(range(max = 1000))]
    pub nat_gateways: Option<u32>,
    /// Size of each node's root disk. Default: 20Gi on AWS (managed node groups), 128Gi on Azure, 100Gi on Google.
    pub root_disk: Option<Quantity>,
    /// Type of the root disks, as the price list names it after `disk:`. Default: gp3 on AWS, premium on Azure,
    /// pd-balanced on Google.
    pub root_disk_type: Option<Name>,
    /// Size of a request in bytes, headers included. Default: unknown, and the traffic of requests is not billed.
    pub request_size: Option<Quantity>,
    /// Size of a response in bytes, headers included. Default: unknown, and the traffic of responses is not billed.
    pub response_size: Option<Quantity>,
    /// Bytes written to logs per request. Default: no logs are billed. If set, `prices` must give a price for `logs`.
    pub log_size: Option<Quantity>,
    /// Sizes that differ for individual services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSizes>,
}

/// Request and response sizes of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSizes {
    /// The service, as namespace/name.
    pub service: ServiceReference,
    /// Size of a request in bytes. Default: as for all services.
    pub request_size: Option<Quantity>,
    /// Size of a response in bytes. Default: as for all services.
    pub response_size: Option<Quantity>,
    /// Sizes that differ for individual request classes of the service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassSizes>,
    /// True if the clients of the service are inside the cloud's network, so that its responses are not internet
    /// egress. Default false.
    #[serde(default)]
    pub internal: bool,
}

/// Request and response sizes of one request class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClassSizes {
    /// Name of the class.
    pub class: String,
    /// Size of a request in bytes. Default: as for the service.
    pub request_size: Option<Quantity>,
    /// Size of a response in bytes. Default: as for the service.
    pub response_size: Option<Quantity>,
}

/// A cloud provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Cloud {
    /// Amazon EKS.
    Aws,
    /// Azure AKS.
    Azure,
    /// Google GKE.
    Gcp,
}

/// An item of the invoice besides nodes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum BillPart {
    /// The managed control plane.
    ControlPlane,
    /// Root disks of nodes.
    RootDisks,
    /// Disks of PersistentVolumeClaims.
    PersistentDisks,
    /// Load balancers of Services and Ingresses, and the traffic they process.
    LoadBalancers,
    /// Public IP addresses of load balancers and NAT gateways.
    PublicAddresses,
    /// NAT gateways.
    NatGateways,
    /// Traffic to clients on the internet.
    InternetEgress,
    /// Traffic between zones.
    ZoneEgress,
    /// Log ingestion.
    Logs,
}

impl BillPart {
    /// All items with their names in reports.
    pub const NAMED: [(&'static str, Self); 9] = [
        ("control plane", Self::ControlPlane),
        ("root disks", Self::RootDisks),
        ("persistent disks", Self::PersistentDisks),
        ("load balancers", Self::LoadBalancers),
        ("public addresses", Self::PublicAddresses),
        ("NAT gateways", Self::NatGateways),
        ("egress to the internet", Self::InternetEgress),
        ("traffic between zones", Self::ZoneEgress),
        ("logs", Self::Logs),
    ];
}

impl Bill {
    /// The cloud whose list prices apply.
    pub fn provider(&self, cluster: &Cluster) -> Option<Provider> {
        let named = self.cloud.map(|cloud| match cloud {
            Cloud::Aws => Provider::Aws,
            Cloud::Azure => Provider::Azure,
            Cloud::Gcp => Provider::Gcp,
        });
        named.or_else(|| {
            let types = cluster.node_pools.iter().filter_map(|pool| pool.instance_type.as_deref());
            let known = types.filter_map(|name| capacity::catalog::find(name).ok());
            known.map(|node_type| node_type.machine.provider).next()
        })
    }

    /// True if the item is billed.
    pub fn counts(&self, part: BillPart) -> bool {
        !self.leave_out.contains(&part)
    }

    /// The price list of a cloud with the scenario's own prices put in.
    pub fn price_list(&self, provider: Option<Provider>) -> PriceList {
        let mut list = provider.map_or_else(PriceList::default, |one| PriceList::of(one).clone());
        for (item, usd) in &self.prices {
            // Exact up to 18 decimals, rounded beyond.
            let exact = Money::from_decimal(&usd.to_string());
            let usd = exact.or_else(|| Money::from_decimal(&format!("{usd:.18}")));
            let Some(usd) = usd else { continue };
            let unit = unit_of(item).or_else(|| list.find(item).map(|known| known.unit));
            let Some(unit) = unit else { continue };
            list.set(Price {
                item: item.to_string(),
                unit,
                tiers: vec![(0, usd)],
                source: "the scenario".to_owned(),
                date: String::new(),
            });
        }
        list
    }

    /// Size of a request to a service (of the given class, if any) and of its response [bytes]; `None` where unknown.
    pub fn sizes(&self, service: &str, class: Option<&str>) -> (Option<i64>, Option<i64>) {
        let own = self.of_service(service);
        let of_class =
            own.and_then(|own| own.classes.iter().find(|one| Some(&*one.class) == class));
        let request = of_class.and_then(|of_class| of_class.request_size);
        let request = request.or(own.and_then(|own| own.request_size)).or(self.request_size);
        let response = of_class.and_then(|of_class| of_class.response_size);
        let response = response.or(own.and_then(|own| own.response_size)).or(self.response_size);
        (request.map(Quantity::value), response.map(Quantity::value))
    }

    /// True if the clients of a service are inside the cloud's network.
    pub fn is_internal(&self, service: &str) -> bool {
        self.of_service(service).is_some_and(|own| own.internal)
    }

    fn of_service(&self, service: &str) -> Option<&ServiceSizes> {
        self.services.iter().find(|own| own.service.to_string() == service)
    }
}

/// The unit of an item, taken from the first cloud that has it; no cloud lists a price for `logs`.
pub fn unit_of(item: &str) -> Option<capacity::price_list::Unit> {
    use capacity::price_list::Unit;
    let of_disk = item.starts_with("disk:").then_some(Unit::GibMonth);
    let known = Provider::ALL.into_iter().find_map(|one| PriceList::of(one).find(item));
    let of_logs = (item == "logs").then_some(Unit::Gib);
    known.map(|price| price.unit).or(of_disk).or(of_logs)
}
