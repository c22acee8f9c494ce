//! The sections `ingress` and `traffic` of a starter scenario, with guessed rates.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use super::calls::Calls;
use super::endpoints::{ServiceEndpoints, shares};
use super::traced::TracedService;
use super::workloads::guessed_cpu_time;
use super::yaml::{comment, scalar};
use super::{Models, Starter};
use crate::inventory::PodShape;
use cluster::{NamespacedName, ObjectReference};
use units::MilliCpu;

/// Guessed CPU of a pod that requests none.
const UNSTATED_CPU: MilliCpu = MilliCpu(250);
/// Share of the requested CPU that the guessed traffic keeps busy.
const BUSY: f64 = 0.5;
/// Minimum guess of a rate to pods that serve no language model [1/s].
const RPS_MIN: f64 = 1.0;
/// Maximum guess of a rate [1/s]: an hour of it is simulated in half a minute.
const RPS_MAX: f64 = 10_000.0;
/// A rate that exceeds the aim by more than rounding does.
const BEYOND_ROUNDING: f64 = 1.5;

/// A host and path with the Services that their requests go to.
pub(super) struct IngressRoute<'a> {
    host: String,
    path: &'a str,
    /// The Ingress or HTTPRoute.
    object: &'a ObjectReference,
    /// The Services with a weight above zero.
    pub(super) services: Vec<&'a NamespacedName>,
}

/// A guessed rate of requests.
#[derive(Clone, Copy, Debug, PartialEq)]
struct GuessedRate {
    /// Requests per second.
    rps: f64,
    /// The rate that keeps the share [`BUSY`] of the capacity busy.
    aim: f64,
}

impl GuessedRate {
    /// A comment if the rate is far from its aim.
    fn remark(self) -> String {
        if self.rps > self.aim * BEYOND_ROUNDING {
            return "     # the minimum of a guess: more than half of the requested CPU".to_owned();
        }
        if self.rps * BEYOND_ROUNDING < self.aim {
            return format!(
                "     # the maximum of a guess: half of the requested CPU would be {:.0}; `arrivals: fluid` simulates such rates",
                self.aim
            );
        }
        String::new()
    }
}

impl<'a> Starter<'a> {
    /// Rate of requests to a Service at which no workload that they reach is more than half busy.
    fn rate_of(
        &self,
        service: &NamespacedName,
        models: &Models<'_>,
        calls: &Calls<'_>,
    ) -> GuessedRate {
        let shares = shares(self.inventory, service);
        let visits = calls.visits(&shares);
        // Others that reach the same workload get as much of it.
        let reached = || visits.iter().filter(|(_, times)| **times > 0.0);
        let least = |rps: &dyn Fn(&ObjectReference) -> f64| {
            let bearable = reached()
                .map(|(workload, times)| rps(workload) / times / calls.entries_to(workload));
            bearable.fold(f64::INFINITY, f64::min)
        };
        let aim = least(&|workload| self.half_capacity(workload, models));
        let rps = least(&|workload| {
            let rps = self.half_capacity(workload, models);
            if models.contains_key(workload) { rps } else { libm::round(rps).max(RPS_MIN) }
        });
        let unit = if rps >= 10.0 { 1.0 } else { 10.0 };
        let rps = (libm::floor(rps.min(RPS_MAX) * unit) / unit).max(0.1);
        GuessedRate { rps, aim }
    }

    /// Rate of requests, per second, of about half the capacity of a workload's pods.
    fn half_capacity(&self, workload: &ObjectReference, models: &Models<'_>) -> f64 {
        let shape = self.inventory.workloads.get(workload);
        if let (Some((served, gpu)), Some(shape)) = (models.get(workload), shape) {
            return served.guessed_rps(gpu, shape.replicas);
        }
        let traced = self.traced.of(workload);
        let guess = || guessed_cpu_time(shape).as_secs_f64();
        half_of_cpu(shape, traced.map_or_else(guess, TracedService::cpu_seconds))
    }

    /// Hosts and paths that Ingresses and HTTPRoutes route to Services with pods and with the ports that they name.
    pub(super) fn ingress_routes(
        &self,
        services: &[ServiceEndpoints<'_>],
    ) -> Vec<IngressRoute<'a>> {
        let serving: BTreeSet<&ObjectReference> =
            services.iter().flat_map(ServiceEndpoints::workloads).collect();
        let inventory = self.inventory;
        let has_pods = |service: &NamespacedName| {
            inventory.workloads_behind(service).any(|workload| serving.contains(workload))
        };
        let routes = inventory.routing.ingress_routes().filter_map(|(host, path, rule)| {
            let rules = inventory.routing.candidates(&host, path).into_iter();
            let weighted = rules.flat_map(|rule| &rule.backends).filter(|one| one.weight > 0);
            let services: Vec<&NamespacedName> = weighted.map(|one| &one.service).collect();
            let mut parts = inventory.routing.destinations(rule).into_iter();
            let is_answered = !services.is_empty()
                && services.iter().all(|service| has_pods(service))
                && parts.all(|(part, weight)| part.has_port || weight == 0);
            is_answered.then_some(IngressRoute { host, path, object: &rule.object, services })
        });
        routes.collect()
    }

    /// Writes requests by ingress routes: in total as many as their Services would get without routes.
    pub(super) fn write_ingress_routes(
        &self,
        out: &mut String,
        ingress_routes: &[IngressRoute<'_>],
        models: &Models<'_>,
        calls: &Calls<'_>,
    ) -> fmt::Result {
        if ingress_routes.is_empty() {
            return Ok(());
        }
        out.write_str(
            "
# GUESS: requests per second to the hosts and paths of Ingresses and HTTPRoutes, which route them to Services by
# weight, with their timeouts and retries. In total they keep about half of the requested CPU busy, or language
# model servers at about half of their capacity. Better, replay a recorded trace: `load: {trace: requests.csv}`, a
# CSV file with a row for each request (column t_s) or for each interval (columns t_s, requests).
ingress:
",
        )?;
        for IngressRoute { host, path, object, services } in ingress_routes {
            let route_count = |service: &&NamespacedName| {
                let leads =
                    |ingress_route: &&IngressRoute<'_>| ingress_route.services.contains(service);
                ingress_routes.iter().filter(leads).count().max(1) as f64
            };
            let sum = |part: fn(GuessedRate) -> f64| {
                let of = |service: &&NamespacedName| {
                    part(self.rate_of(service, models, calls)) / route_count(service)
                };
                services.iter().map(of).sum::<f64>()
            };
            let rps = sum(|rate| rate.rps);
            let ends: Vec<_> =
                services.iter().map(|service| shares(self.inventory, service)).collect();
            let has_model = ends.iter().any(|ends| calls.wait_for_models(ends, models));
            let rps = if has_model {
                (libm::round(rps * 10.0) / 10.0).max(0.1)
            } else {
                libm::round(rps).max(RPS_MIN)
            };
            let has_waves = ends.iter().flatten().any(|(workload, _)| self.is_autoscaled(workload));
            let object = comment(&object.to_string());
            writeln!(out, "  - host: {}     # {object}", scalar(host))?;
            if *path != "/" {
                writeln!(out, "    path: {}", scalar(path))?;
            }
            let remark = GuessedRate { rps, aim: sum(|rate| rate.aim) }.remark();
            writeln!(out, "    load: {}{remark}", guessed_load(rps, has_waves))?;
            if has_model {
                writeln!(out, "    timeout: 2m")?;
            }
        }
        Ok(())
    }

    /// Writes requests to Services without routes.
    pub(super) fn write_traffic(
        &self,
        out: &mut String,
        services: &[&ServiceEndpoints<'_>],
        ingress_routes: &[IngressRoute<'_>],
        models: &Models<'_>,
        calls: &Calls<'_>,
    ) -> fmt::Result {
        let is_routed = |service: &NamespacedName| {
            ingress_routes.iter().any(|ingress_route| ingress_route.services.contains(&service))
        };
        let services: Vec<_> = services.iter().filter(|one| !is_routed(one.service)).collect();
        if services.is_empty() {
            return writeln!(out, "\ntraffic: []");
        }
        out.write_str(
            "
# GUESS: requests per second that keep about half of the requested CPU busy, or language model servers at about half
# of their capacity. Better, replay a recorded trace: `load: {trace: requests.csv}`, a CSV file with a row for each
# request (column t_s) or for each interval (columns t_s, requests).
",
        )?;
        if services.len() > 1 {
            out.write_str(
                "# GUESS: each of these Services has clients of its own, because the manifests name no callers. If only other services
# call one, add `calls` to them and remove it here; `wavetank init --traces FILE` learns both from recorded traces.
",
            )?;
        }
        out.write_str("traffic:\n")?;
        for ServiceEndpoints { service, shares } in services {
            let rate = self.rate_of(service, models, calls);
            let patience = if calls.wait_for_models(shares, models) { "2m" } else { "10s" };
            let has_waves = shares.iter().any(|(workload, _)| self.is_autoscaled(workload));
            let load = guessed_load(rate.rps, has_waves);
            let remark = rate.remark();
            writeln!(
                out,
                "  - service: {service}\n    load: {load}{remark}\n    timeout: {patience}"
            )?;
        }
        Ok(())
    }

    fn is_autoscaled(&self, workload: &ObjectReference) -> bool {
        self.inventory.max_replicas.contains_key(workload)
    }
}

/// A load of this mean rate; a wave makes autoscalers act.
fn guessed_load(rps: f64, has_waves: bool) -> String {
    if !has_waves {
        return format!("{{pattern: constant, rps: {rps}}}");
    }
    let unit = if rps < 10.0 { 10.0 } else { 1.0 };
    let amplitude = libm::floor(rps * 0.8 * unit) / unit;
    format!("{{pattern: sine, meanRps: {rps}, amplitudeRps: {amplitude}, period: 30m}}")
}

/// Requests per second that keep the share [`BUSY`] of the requested CPU, or of a lower CPU limit, busy.
fn half_of_cpu(shape: Option<&PodShape>, cpu_seconds: f64) -> f64 {
    let Some(shape) = shape else { return RPS_MIN };
    let requested = shape.requests.get("cpu").map(MilliCpu::from).filter(|cpu| cpu.0 > 0);
    let cpu = requested.unwrap_or(UNSTATED_CPU);
    let cpu = shape.cpu_limit.map_or(cpu, |limit| cpu.min(limit));
    let cores = cpu.as_cores() * shape.replicas.max(1) as f64;
    cores * BUSY / cpu_seconds
}
