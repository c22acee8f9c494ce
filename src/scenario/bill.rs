//! What the invoice counts beside the nodes, and at which prices.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use capacity::price_list::{Price, PriceList};
use capacity::reserved::Provider;
use cluster::{Name, ServiceReference};
use units::{Money, Quantity};

/// What the cloud's invoice has beside the nodes. Whatever follows from nodes, manifests and traffic is counted by default
/// if the nodes are of a cloud (`instanceType`), at its list prices (`wavetank catalog --prices`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Bill {
    /// The cloud whose prices hold. Default: that of the first pool with an instance type; without one nothing is counted
    /// but nodes, and what `prices` names.
    pub cloud: Option<Cloud>,
    /// Parts that are not counted, such as [controlPlane, natGateways].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leave_out: Vec<BillPart>,
    /// Prices in place of the list prices, in US dollars for one of the item's unit, such as {internet-egress: 0.05};
    /// `wavetank catalog --prices` lists items and units. `logs` is for a GiB.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<Name, f64>,
    /// NAT gateways. Default: one on AWS, as eksctl makes it, and none on Azure and Google.
    #[schemars(range(max = 1000))]
    pub nat_gateways: Option<u32>,
    /// Size of each node's root disk. Default: 20Gi on AWS (managed node groups), 128Gi on Azure, 100Gi on Google.
    pub root_disk: Option<Quantity>,
    /// Its type, as the list of prices has it after `disk:`. Default: gp3, premium, pd-balanced.
    pub root_disk_type: Option<Name>,
    /// Bytes of a request, headers included. Default: not known, and no traffic is counted that they make.
    pub request_size: Option<Quantity>,
    /// Bytes of an answer, headers included. Default: likewise.
    pub response_size: Option<Quantity>,
    /// Bytes that a request leaves in logs. Default: none are counted; `prices` must name `logs`.
    pub log_size: Option<Quantity>,
    /// Sizes that are different for a service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSizes>,
}

/// Sizes of the requests to one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSizes {
    /// The service, as namespace/name.
    pub service: ServiceReference,
    /// Bytes of a request.
    pub request_size: Option<Quantity>,
    /// Bytes of an answer.
    pub response_size: Option<Quantity>,
    /// Sizes that are different for a class of its requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassSizes>,
    /// Whether its clients are inside of the cloud's network: what they get is no egress to the internet. Default false.
    #[serde(default)]
    pub internal: bool,
}

/// Sizes of the requests of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClassSizes {
    /// The class, by its name.
    pub class: String,
    /// Bytes of a request.
    pub request_size: Option<Quantity>,
    /// Bytes of an answer.
    pub response_size: Option<Quantity>,
}

/// A cloud.
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

/// A part of the invoice.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum BillPart {
    /// The managed control plane.
    ControlPlane,
    /// The nodes' own disks.
    RootDisks,
    /// Disks of PersistentVolumeClaims.
    PersistentDisks,
    /// Load balancers of Services and Ingresses, and what they pass.
    LoadBalancers,
    /// Public addresses of load balancers and NAT gateways.
    PublicAddresses,
    /// NAT gateways.
    NatGateways,
    /// Traffic to clients on the internet.
    InternetEgress,
    /// Traffic between zones.
    ZoneEgress,
    /// Logs.
    Logs,
}

impl BillPart {
    /// All, with the words of reports.
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
    /// The cloud whose prices hold.
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

    /// Whether a part is counted.
    pub fn counts(&self, part: BillPart) -> bool {
        !self.leave_out.contains(&part)
    }

    /// The prices of a cloud with those of the scenario in their places.
    pub fn price_list(&self, provider: Option<Provider>) -> PriceList {
        let mut list = provider.map_or_else(PriceList::default, |one| PriceList::of(one).clone());
        for (item, usd) in &self.prices {
            // As it is written if it has 18 decimals at most, else rounded to so many.
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

    /// Bytes of a request to a service, of this class if it is of one, and of its answer, as far as they are known.
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

    /// Whether the clients of a service are inside of the cloud's network.
    pub fn is_internal(&self, service: &str) -> bool {
        self.of_service(service).is_some_and(|own| own.internal)
    }

    fn of_service(&self, service: &str) -> Option<&ServiceSizes> {
        self.services.iter().find(|own| own.service.to_string() == service)
    }
}

/// The unit of an item, by the first cloud that has it; `logs` has a price nowhere.
pub fn unit_of(item: &str) -> Option<capacity::price_list::Unit> {
    use capacity::price_list::Unit;
    let of_disk = item.starts_with("disk:").then_some(Unit::GibMonth);
    let known = Provider::ALL.into_iter().find_map(|one| PriceList::of(one).find(item));
    let of_logs = (item == "logs").then_some(Unit::Gib);
    known.map(|price| price.unit).or(of_disk).or(of_logs)
}
