//! Computes the invoice items other than nodes for a run. Pure.

mod disks;

use std::collections::BTreeMap;

use self::disks::is_of_cloud;
use super::build::{ReportInput, ServiceFacts, counted_time};
use super::figures::{counted, listed};
use super::model::{ChargeLine, Provenance};
use capacity::charges::{Amount, Basis, Charges, Line};
use capacity::price_list::Charge;
use capacity::reserved::Provider;
use engine::{SimDuration, SimTime};
use record::Billed;
use scenario::bill::{Bill, BillPart};
use scenario::workloads::Workload;
use traffic::RequestModelSpec;

/// Inputs of the invoice.
#[derive(Clone, Copy, Debug)]
pub struct BillFacts<'a> {
    /// The items to bill, and their prices.
    pub settings: &'a Bill,
    /// The cloud whose prices apply; `None` if the nodes are not cloud machines.
    pub provider: Option<Provider>,
    /// The scenario's workloads with the services they call.
    pub workloads: &'a [Workload],
}

/// The invoice without nodes, as shown in the report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct BillReport {
    /// The total.
    pub total: Charge,
    pub lines: Vec<ChargeLine>,
    /// Items that are not billed, with the reasons.
    pub not_counted: Vec<String>,
}

/// Maximum number of instances for which a Cloud NAT gateway is charged.
const NAT_INSTANCES: u64 = 32;

const GIB: i128 = 1 << 30;

/// The invoice of a run.
pub(super) fn of(facts: ReportInput<'_>) -> BillReport {
    let mut tally = Tally { facts, amounts: Vec::new(), not_counted: Vec::new() };
    tally.count();
    let prices = facts.bill.settings.price_list(facts.bill.provider);
    let charges = Charges::of(&prices, tally.amounts, facts.duration);
    let mut not_counted = tally.not_counted;
    for amount in &charges.unpriced {
        not_counted.push(format!("{}: no price for {}", amount.what, amount.item));
    }
    let lines = charges.lines.iter().filter(|line| line.amount.smallest > 0);
    BillReport { total: charges.total(), lines: lines.map(charge_line).collect(), not_counted }
}

fn charge_line(line: &Line) -> ChargeLine {
    ChargeLine {
        item: line.amount.item.clone(),
        what: line.amount.what.clone(),
        known: match line.amount.basis {
            Basis::Measured => Provenance::Measured,
            Basis::Stated => Provenance::Stated,
            Basis::Assumed => Provenance::Assumed,
        },
        amount: line.units(),
        unit: line.unit().as_str(),
        unit_usd: line.unit_price(),
        usd: line.charge.usd,
        month_usd: line.charge.month_usd,
        source: line.price.source.clone(),
        date: line.price.date.clone(),
    }
}

struct Tally<'a> {
    facts: ReportInput<'a>,
    amounts: Vec<Amount>,
    not_counted: Vec<String>,
}

impl Tally<'_> {
    fn count(&mut self) {
        let bill = self.facts.bill;
        let is_empty = bill.provider.is_none() && bill.settings.prices.is_empty();
        if is_empty {
            let parts: Vec<&str> = BillPart::NAMED.iter().map(|(words, _)| *words).collect();
            let parts = parts.join(", ");
            self.not_counted.push(format!("{parts}: the nodes are not in a cloud (`bill.cloud`)"));
            return;
        }
        for (words, part) in BillPart::NAMED {
            if bill.settings.counts(part) {
                self.part(part);
            } else {
                self.not_counted.push(format!("{words}: left out (`bill.leaveOut`)"));
            }
        }
    }

    fn part(&mut self, part: BillPart) {
        match part {
            BillPart::ControlPlane => {
                let hours = nanos(self.facts.duration);
                self.add("control-plane", "1 control plane", hours, Basis::Assumed);
            }
            BillPart::RootDisks => self.root_disks(),
            BillPart::PersistentDisks => self.persistent_disks(),
            BillPart::LoadBalancers => self.load_balancers(),
            BillPart::PublicAddresses => self.public_addresses(),
            BillPart::NatGateways => self.nat_gateways(),
            BillPart::InternetEgress => self.internet_egress(),
            BillPart::ZoneEgress => self.zone_egress(),
            BillPart::Logs => self.logs(),
        }
    }

    fn add(&mut self, item: &str, what: impl Into<String>, smallest: i128, basis: Basis) {
        let amount = Amount { item: item.to_owned(), what: what.into(), smallest, basis };
        self.amounts.push(amount);
    }

    fn end(&self) -> SimTime {
        SimTime::ZERO + self.facts.duration
    }

    /// Node time summed over all nodes, and the number of nodes.
    fn node_time(&self) -> (i128, u64) {
        let nodes = self.facts.recorder.nodes.iter();
        let own = nodes.filter(|node| node.machine.serverless.is_none());
        own.fold((0, 0), |(time, count), node| (time + nanos(node.paid(self.end())), count + 1))
    }

    fn zones(&self) -> i128 {
        let mut zones: Vec<_> = self.facts.recorder.nodes.iter().map(|node| &node.zone).collect();
        zones.sort_unstable();
        zones.dedup();
        i128::try_from(zones.len().max(1)).unwrap_or(1)
    }

    /// Load balancer time of Services, and of Ingresses by class.
    fn balancers(&self) -> Balancers {
        let mut balancers = Balancers::default();
        let end = self.end();
        let mut of_classes: BTreeMap<&str, i128> = BTreeMap::new();
        for track in &self.facts.recorder.billed.tracks {
            let time = nanos(track.existed(end));
            match &track.what {
                Billed::LoadBalancer => {
                    balancers.services += 1;
                    balancers.service_time += time;
                }
                Billed::Ingress { class } if is_of_cloud(self.facts.bill.provider, class) => {
                    balancers.ingresses += 1;
                    balancers.ingress_time += time;
                }
                Billed::Ingress { class } => {
                    let longest = of_classes.entry(class).or_default();
                    *longest = time.max(*longest);
                }
                Billed::Disk { .. } | Billed::Volume { .. } => {}
            }
        }
        // A controller such as ingress-nginx has one Service for its whole class, which may be among the manifests.
        if balancers.services == 0 {
            balancers.controllers = of_classes.len() as u64;
            balancers.service_time = of_classes.values().sum();
        }
        balancers
    }

    fn load_balancers(&mut self) {
        let own = self.balancers();
        if own.services > 0 {
            let what = format!("{} of type LoadBalancer", counted(own.services, "Service"));
            self.add("load-balancer", what, own.service_time, Basis::Measured);
        } else if own.controllers > 0 {
            let what =
                format!("{}, a Service each", counted(own.controllers, "ingress controller"));
            self.add("load-balancer", what, own.service_time, Basis::Assumed);
        }
        if own.ingresses > 0 {
            let what = counted(own.ingresses, "Ingress object");
            self.add("ingress", what, own.ingress_time, Basis::Measured);
        }
        if own.count() == 0 {
            return;
        }
        let passed: i128 = self.client_traffic().map(|one| one.request + one.response).sum();
        let item = if own.ingresses > 0 { "ingress-data" } else { "load-balancer-data" };
        if passed > 0 {
            self.add(item, "requests and responses", passed, Basis::Measured);
        }
    }

    fn public_addresses(&mut self) {
        let own = self.balancers();
        let (zones, time) = (self.zones(), own.service_time + own.ingress_time);
        let what = format!("of {}", counted(own.count(), "load balancer"));
        match self.facts.bill.provider {
            Some(Provider::Aws) if own.count() > 0 => {
                let what = format!("{what}, one in each zone");
                self.add("public-address", what, time * zones, Basis::Assumed);
            }
            Some(Provider::Azure) if own.count() > 0 => {
                self.add("public-address", what, time, Basis::Assumed);
            }
            // Google does not charge for addresses of forwarding rules.
            _ => {}
        }
        let gateways = self.gateways();
        if gateways > 0 {
            let time = nanos(self.facts.duration) * i128::from(gateways);
            let what = format!("of {}", counted(gateways.into(), "NAT gateway"));
            self.add("public-address", what, time, self.gateways_basis());
        }
    }

    fn gateways(&self) -> u32 {
        let usual = u32::from(self.facts.bill.provider == Some(Provider::Aws));
        self.facts.bill.settings.nat_gateways.unwrap_or(usual)
    }

    fn gateways_basis(&self) -> Basis {
        let is_stated = self.facts.bill.settings.nat_gateways.is_some();
        if is_stated { Basis::Stated } else { Basis::Assumed }
    }

    fn nat_gateways(&mut self) {
        let (gateways, basis) = (self.gateways(), self.gateways_basis());
        if gateways == 0 {
            self.not_counted.push("NAT gateways: not set (`bill.natGateways`)".to_owned());
            return;
        }
        let what = counted(gateways.into(), "NAT gateway");
        let (node_time, nodes) = self.node_time();
        let is_by_node = self.facts.bill.provider == Some(Provider::Gcp);
        if is_by_node && nodes <= NAT_INSTANCES {
            let what = format!("{what} for {}", counted(nodes, "node"));
            self.add("nat-gateway-node", what, node_time, basis);
        } else {
            let time = nanos(self.facts.duration) * i128::from(gateways);
            self.add("nat-gateway", what, time, basis);
        }
        let unknown = "traffic through NAT gateways: volume unknown";
        self.not_counted.push(unknown.to_owned());
    }

    /// Request and response bytes of services with clients outside the cloud.
    fn client_traffic(&self) -> impl Iterator<Item = Bytes> {
        let facts = self.facts;
        let settings = facts.bill.settings;
        let with_clients = facts.services.iter().filter(|one| one.has_clients);
        let outside = with_clients.filter(|one| !settings.is_internal(&one.service));
        outside.map(move |service| bytes_of(facts, service, Callers::Clients))
    }

    fn internet_egress(&mut self) {
        let settings = self.facts.bill.settings;
        let with_clients = self.facts.services.iter().filter(|one| one.has_clients);
        let outside = with_clients.filter(|one| !settings.is_internal(&one.service));
        let is_unknown = |service: &&ServiceFacts| {
            let mut kinds = service.kinds();
            kinds.any(|(class, _)| settings.sizes(&service.service, class).1.is_none())
        };
        let without_size = outside.filter(is_unknown);
        let without_size: Vec<&str> = without_size.map(|one| one.service.as_str()).collect();
        if !without_size.is_empty() {
            self.not_counted.push(format!(
                "internet egress of {}: response size unknown (`bill.responseSize`)",
                listed(&without_size)
            ));
        }
        let sent: i128 = self.client_traffic().map(|one| one.response).sum();
        if sent > 0 {
            self.add("internet-egress", "responses to clients", sent, Basis::Measured);
        }
    }

    /// Bills calls between services, by the share of pod-to-pod paths that cross zones.
    fn zone_egress(&mut self) {
        if self.zones() < 2 {
            return;
        }
        let mut crossing = 0;
        let mut unknown = Vec::new();
        for service in self.facts.services {
            let callers = self.callers(&service.service);
            if callers.is_empty() {
                continue;
            }
            let settings = self.facts.bill.settings;
            let is_known = |(class, _): (Option<&str>, _)| {
                let (request, response) = settings.sizes(&service.service, class);
                request.is_some() || response.is_some()
            };
            if !service.kinds().any(is_known) {
                unknown.push(service.service.as_str());
                continue;
            }
            let bytes = bytes_of(self.facts, service, Callers::Services);
            let (pod_pairs, all) = self.pod_pairs(&callers, &service.workloads);
            crossing += (bytes.request + bytes.response) * pod_pairs / all.max(1);
        }
        if !unknown.is_empty() {
            self.not_counted.push(format!(
                "traffic between zones to {}: request and response size unknown (`bill.requestSize`)",
                listed(&unknown)
            ));
        }
        // AWS charges both ends.
        let ends = if self.facts.bill.provider == Some(Provider::Aws) { 2 } else { 1 };
        if crossing > 0 {
            self.add("zone-egress", "calls between services", crossing * ends, Basis::Measured);
        }
    }

    /// Indexes of the workloads whose requests call a service.
    fn callers(&self, service: &str) -> Vec<usize> {
        let calls = |one: &&Workload| {
            let mut calls = one.models().flat_map(RequestModelSpec::all_calls);
            calls.any(|call| call.service.to_string() == service)
        };
        let callers = self.facts.bill.workloads.iter().filter(calls);
        let recorded = &self.facts.recorder.workloads;
        callers
            .filter_map(|caller| recorded.iter().position(|one| one.workload == caller.workload))
            .collect()
    }

    /// Number of pod pairs of the two sets of workloads that are in different zones, and of all pairs, weighted by
    /// their lifetimes (in thousandths of the total).
    fn pod_pairs(&self, from: &[usize], to: &[usize]) -> (i128, i128) {
        let shares = |workloads: &[usize]| {
            let mut zones: BTreeMap<&str, i128> = BTreeMap::new();
            for ((workload, node), held) in &self.facts.recorder.holdings {
                if workloads.contains(workload) {
                    let zone = &self.facts.recorder.nodes[*node].zone;
                    *zones.entry(zone).or_default() += nanos(held.bound);
                }
            }
            let all: i128 = zones.values().sum::<i128>().max(1);
            for time in zones.values_mut() {
                *time = *time * 1_000_000 / all;
            }
            zones
        };
        let (from, to) = (shares(from), shares(to));
        let all: i128 = from.values().sum::<i128>() * to.values().sum::<i128>();
        let same: i128 = from.iter().filter_map(|(zone, one)| Some(one * to.get(zone)?)).sum();
        (all - same, all)
    }

    fn logs(&mut self) {
        let Some(size) = self.facts.bill.settings.log_size else {
            let unknown = "logs: no size or price set (`bill.logSize`)";
            self.not_counted.push(unknown.to_owned());
            return;
        };
        let requests: u64 =
            self.facts.services.iter().map(|service| service.figures.outcomes.arrived).sum();
        let bytes = whole_run(self.facts, i128::from(requests) * i128::from(size.value()));
        self.add("logs", "lines of requests", bytes, Basis::Stated);
    }
}

/// Load balancers and their total time [ns].
#[derive(Clone, Copy, Debug, Default)]
struct Balancers {
    services: u64,
    /// Ingress classes whose controllers need a load balancer.
    controllers: u64,
    service_time: i128,
    /// Ingresses for which the cloud creates a load balancer each.
    ingresses: u64,
    ingress_time: i128,
}

impl Balancers {
    const fn count(&self) -> u64 {
        self.services + self.controllers + self.ingresses
    }
}

/// Bytes of a service's requests and responses over the whole run.
struct Bytes {
    request: i128,
    response: i128,
}

/// Which requests to a service are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callers {
    /// Those of clients.
    Clients,
    /// Those that other services make.
    Services,
}

fn bytes_of(facts: ReportInput<'_>, service: &ServiceFacts, callers: Callers) -> Bytes {
    let of = |count: u64, size: Option<i64>| {
        whole_run(facts, i128::from(count) * i128::from(size.unwrap_or(0)))
    };
    let mut bytes = Bytes { request: 0, response: 0 };
    for (class, outcomes) in service.kinds() {
        let (request, response) = facts.bill.settings.sizes(&service.service, class);
        let (arrived, answered) = match callers {
            Callers::Clients => (outcomes.arrived_of_clients(), outcomes.answered_of_clients()),
            Callers::Services => (outcomes.arrived_calls, outcomes.answered_calls),
        };
        bytes.request += of(arrived, request);
        // Responses to failed requests are negligible.
        bytes.response += of(answered, response);
    }
    bytes
}

/// Extrapolates an amount counted after the warm-up to the whole run.
fn whole_run(facts: ReportInput<'_>, amount: i128) -> i128 {
    amount * nanos(facts.duration) / nanos(counted_time(facts)).max(1)
}

fn nanos(span: SimDuration) -> i128 {
    span.as_nanos().into()
}
