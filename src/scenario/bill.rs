//! The invoice items besides nodes, and their prices.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use capacity::discounts::{Discounts, Millionths, Reservation, SavingsPlan};
use capacity::machine_prices::without_cloud;
use capacity::price_list::{Price, PriceList};
use capacity::reserved::Provider;
use cluster::node::Serverless;
use cluster::{Name, ServiceReference};
use engine::SimDuration;
use units::{HourlyPrice, Money, Quantity};

const HOUR: SimDuration = SimDuration::from_secs(3_600);

/// Hours over which clouds amortize an upfront payment for a year.
const HOURS_OF_A_YEAR: i128 = 8_760;

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
    /// A CSV file of machine prices that replace the catalog's, relative to this file, with the columns type,region,price
    /// and optionally spot: US dollars an hour. A row without a region applies to all regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_list: Option<String>,
    /// Percent off everything that no reservation or savings plan covers: machines and all other invoice items. Default 0.
    #[schemars(range(min = 0, max = 100))]
    #[serde(skip_serializing_if = "is_zero")]
    pub percent_off: f64,
    /// Committed machines, paid for whether they run or not: Reserved Instances, Azure reservations, Google's resource-based
    /// commitments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reservations: Vec<MachineReservation>,
    /// Committed hourly spend, paid whether it is used or not: savings plans, Google's flexible commitments. Applied after
    /// the reservations, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub savings_plans: Vec<SpendCommitment>,
    /// Whether Google's sustained use discounts apply to machines of N1, N2, N2D, C2, M1 and M2. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sustained_use: Option<bool>,
    /// NAT gateways. Default: one on AWS, as eksctl makes it, and none on Azure and Google.
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

/// Committed machines of one type, paid for during the whole run whether they run or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MachineReservation {
    /// Instance type, such as aws/m5.large.
    pub instance_type: String,
    /// Number of machines.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u32,
    /// Price of one machine, US dollars an hour. Either this, `upfront` or `percentOff` must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<HourlyPrice>,
    /// Upfront payment for one machine, US dollars, spread over the hours of `years`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upfront: Option<f64>,
    /// Term of the upfront payment, years. Default 1.
    #[schemars(range(min = 1, max = 10))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub years: Option<u32>,
    /// Instead of both: percent off the on-demand price.
    #[schemars(range(min = 0, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_off: Option<f64>,
}

/// Committed hourly spend, paid whether it is used or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpendCommitment {
    /// Commitment, US dollars an hour: usage counts against it at the plan's rates.
    pub per_hour: HourlyPrice,
    /// Percent off the on-demand price of types that are not in `rates`. Default 0.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub percent_off: f64,
    /// The plan's rates, US dollars an hour, by type, such as {m5.large: 0.069}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<Name, HourlyPrice>,
    /// The only machine family that it covers, such as m5. Default: all families.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<Name>,
}

/// Sizes of the requests to one service.
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl MachineReservation {
    /// Price of one machine an hour, with its share of the upfront payment; `list` is the type's on-demand price. `None` if
    /// the price cannot be determined.
    pub fn hourly(&self, list: Option<HourlyPrice>) -> Option<Money> {
        if let Some(percent) = self.percent_off {
            let list = list?.over(HOUR);
            return Some(list - Millionths::from_percent(percent).of(list));
        }
        let hours = i128::from(self.years.unwrap_or(1).max(1)) * HOURS_OF_A_YEAR;
        let upfront = self.upfront.and_then(money).map(|usd| usd.share(1, hours));
        match (self.price_per_hour, upfront) {
            (None, None) => None,
            (price, upfront) => {
                Some(price.unwrap_or_default().over(HOUR) + upfront.unwrap_or_default())
            }
        }
    }
}

/// Dollars, exact up to 18 decimals and rounded beyond; `None` below zero.
fn money(usd: f64) -> Option<Money> {
    let exact = Money::from_decimal(&usd.to_string());
    exact.or_else(|| Money::from_decimal(&format!("{usd:.18}")))
}

impl Bill {
    /// The discounts agreed with the cloud; `list` returns the on-demand price of a type.
    pub fn discounts(&self, list: impl Fn(&str) -> Option<HourlyPrice>) -> Discounts {
        let reservations = self.reservations.iter().filter_map(|one| {
            let per_hour = one.hourly(list(&one.instance_type))?;
            let kind = without_cloud(&one.instance_type).into();
            Some(Reservation { kind, count: one.count, per_hour })
        });
        let plans = self.savings_plans.iter().map(|one| SavingsPlan {
            per_hour: one.per_hour.over(HOUR),
            family: one.family.clone(),
            rates: one
                .rates
                .iter()
                .map(|(kind, rate)| (without_cloud(kind).into(), rate.over(HOUR)))
                .collect(),
            percent_off: Millionths::from_percent(one.percent_off),
        });
        Discounts {
            reservations: reservations.collect(),
            savings_plans: plans.collect(),
            sustained_use: self.sustained_use.unwrap_or(true),
            percent_off: Millionths::from_percent(self.percent_off),
        }
    }

    /// Whether machines may have other prices than the catalog's.
    pub fn changes_machine_prices(&self) -> bool {
        self.price_list.is_some()
            || self.percent_off > 0.0
            || !self.reservations.is_empty()
            || !self.savings_plans.is_empty()
    }

    /// The cloud whose prices hold.
    pub fn provider(&self, cluster: &Cluster) -> Option<Provider> {
        let named = self.cloud.map(|cloud| match cloud {
            Cloud::Aws => Provider::Aws,
            Cloud::Azure => Provider::Azure,
            Cloud::Gcp => Provider::Gcp,
        });
        let serverless = cluster.node_pools.iter().find_map(|pool| pool.serverless);
        let of_pods = serverless.map(|kind| match kind {
            Serverless::Fargate => Provider::Aws,
            Serverless::Autopilot => Provider::Gcp,
        });
        named.or(of_pods).or_else(|| {
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
            let Some(usd) = money(*usd) else { continue };
            let unit = list.find(item).map(|known| known.unit).or_else(|| unit_of(item));
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

    /// Size of a request to a service (of the given class, if any) and of its response, in bytes; `None` where unknown.
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

/// The unit of an item that a scenario's own cloud does not list, taken from the first cloud that has it. No cloud lists a
/// price for `logs`, and Azure's Premium SSDs are billed by the disk, at every size.
pub fn unit_of(item: &str) -> Option<capacity::price_list::Unit> {
    use capacity::price_list::Unit;
    let of_tier = item.starts_with("disk:premium-").then_some(Unit::DiskMonth);
    let of_disk = item.starts_with("disk:").then_some(Unit::GibMonth);
    let known = Provider::ALL.into_iter().find_map(|one| PriceList::of(one).find(item));
    let of_logs = (item == "logs").then_some(Unit::Gib);
    known.map(|price| price.unit).or(of_tier).or(of_disk).or(of_logs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use capacity::price_list::Unit;

    #[test]
    fn a_stated_price_has_the_unit_of_the_scenarios_cloud() {
        let bill: Bill = serde_json::from_value(serde_json::json!({"prices": {
            "ingress-data": 0.0144, "disk:premium-8192": 800, "disk:fast": 0.2,
        }}))
        .expect("prices");
        let unit = |provider, item: &str| {
            let list = bill.price_list(Some(provider));
            list.find(item).map(|price| price.unit)
        };
        assert_eq!(unit(Provider::Azure, "ingress-data"), Some(Unit::CapacityUnitHour));
        assert_eq!(unit(Provider::Gcp, "ingress-data"), Some(Unit::Gib));
        assert_eq!(unit(Provider::Azure, "disk:premium-8192"), Some(Unit::DiskMonth));
        assert_eq!(unit(Provider::Azure, "disk:fast"), Some(Unit::GibMonth));
    }
}
