//! A starter scenario for a person to read and change: guesses from the manifests, each
//! with a comment on its meaning and on measuring the right value.

mod apart;
mod backing;
mod calls;
mod guesses;
mod llm;
mod machines;
mod metrics;
mod month;
mod nodes;
mod objectives;
mod sizing;
mod traced;
mod warm_up;
mod workloads;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::helm_chart::HelmChart;
use super::inventory::{Inventory, PodShape};
use backing::{is_backing, write_backing};
use calls::Calls;
use cluster::{Kind, NamespacedName, ObjectReference};
use guesses::Guesses;
use llm::{Served, hinted_gpu};
use metrics::write_metrics;
pub use nodes::NodeGroup;
use nodes::write_cluster;
use objectives::write_objectives;
use sizing::{Pool, pools};
pub use traced::{Traced, TracedService};
use traffic::llm::catalog::{Gpu, gpus};
use units::MilliCpu;
use warm_up::{duration_hours, warm_up_minutes};
use workloads::guessed_cpu_time;
use yaml::{comment, joined, scalar};

/// Maximum number of skipped files listed in a scenario.
const MOST_NOT_TAKEN: usize = 12;
/// Maximum length of a reason in a scenario [characters]; `init` prints it in full.
const LONGEST_REASON: usize = 140;
/// Guessed CPU of a pod that requests none.
const UNSTATED_CPU: MilliCpu = MilliCpu(250);
/// Share of the requested CPU that the guessed traffic keeps busy.
const BUSY: f64 = 0.5;

/// An object that the API server would reject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OmittedObject {
    /// Kind, namespace and name, as in `leaveOut`.
    pub object: String,
    /// The first reason.
    pub why: String,
}

/// The inputs of a starter scenario.
#[derive(Clone, Debug)]
pub struct Starter<'a> {
    /// The scenario's name.
    pub name: &'a str,
    /// Paths of the manifests, as written in the scenario.
    pub manifests: &'a [String],
    /// Skipped files and folders, each with the reason.
    pub not_taken: &'a [(String, String)],
    /// Objects that the API server would reject.
    pub left_out: &'a [OmittedObject],
    /// Rendering options of charts.
    pub helm_charts: &'a [HelmChart],
    /// Location of the JSON Schema for editors.
    pub schema: &'a str,
    /// The contents of the manifests.
    pub inventory: &'a Inventory,
    /// Measurements of their workloads from traces.
    pub traced: &'a Traced,
    /// The node groups to create; if empty, node pools are sized for all pods.
    pub node_groups: &'a [NodeGroup],
}

impl Starter<'_> {
    /// The text of the scenario file.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a String takes whatever is written");
        text
    }

    /// Reasons why some pods of the scenario will stay pending.
    pub fn doubts(&self) -> Vec<String> {
        if self.has_pools() {
            pools(self.inventory).into_iter().flat_map(|pool| pool.unfit).collect()
        } else {
            Vec::new()
        }
    }

    /// Whether the scenario has node pools sized for all pods.
    fn has_pools(&self) -> bool {
        let Inventory { nodes, node_pools, .. } = self.inventory;
        self.node_groups.is_empty() && nodes.is_empty() && node_pools.is_empty()
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let services = self.services();
        let ingress_routes = self.ingress_routes();
        let sized = pools(self.inventory);
        let models = self.models(&sized);
        let serving: Vec<&ObjectReference> =
            services.iter().map(|(_, workload)| *workload).collect();
        let mut calls = Calls::of(self.inventory, &serving, self.traced);
        let routed: BTreeSet<&NamespacedName> = ingress_routes
            .iter()
            .flat_map(|ingress_route| ingress_route.services.iter().copied())
            .collect();
        let is_entered = |service: &NamespacedName| {
            routed.contains(service) || self.inventory.exposed.contains(service)
        };
        let mut asked: Vec<(&NamespacedName, &ObjectReference)> = services
            .iter()
            .filter(|(service, workload)| is_entered(service) || !calls.reaches(workload))
            .copied()
            .collect();
        let called_only = |(service, workload): &(&NamespacedName, &ObjectReference)| {
            !is_entered(service) && self.inventory.workloads.get(*workload).is_some_and(is_backing)
        };
        let backing: Vec<&NamespacedName> =
            asked.iter().filter(|one| called_only(one)).map(|(service, _)| *service).collect();
        let backing = if backing.len() < asked.len() { backing } else { Vec::new() };
        asked.retain(|(service, _)| !backing.contains(service));
        asked.sort_by_key(|(service, _)| !is_entered(service));
        calls.enter(asked.iter().map(|(_, workload)| *workload));
        let entered = asked.iter().filter(|(service, _)| is_entered(service)).count();
        // Objectives are set for the entry points if they are known, else for every Service with traffic.
        let promised = if entered > 0 { &asked[..entered] } else { &asked[..] };
        let is_grouped = !self.node_groups.is_empty();
        let pools: Vec<Pool> = if is_grouped {
            self.node_groups.iter().map(NodeGroup::pool).collect()
        } else if self.has_pools() {
            sized
        } else {
            Vec::new()
        };
        self.write_head(out, &models, &pools)?;
        write_cluster(out, &pools, self.inventory)?;
        write_metrics(out, self.inventory)?;
        self.write_workloads(out, &services, &models, &calls)?;
        self.write_ingress_routes(out, &ingress_routes, &models, &calls)?;
        write_backing(out, &backing)?;
        self.write_traffic(out, &asked, &ingress_routes, &models, &calls)?;
        write_timeline(out, &pools, self.inventory)?;
        write_objectives(out, promised, self.inventory, &pools, &models, &calls)?;
        let is_plain = |(_, workload): &&(_, &ObjectReference)| !models.contains_key(*workload);
        // A model that no Service leads to has no token lengths.
        let guesses = Guesses {
            has_pools: !pools.is_empty() && !is_grouped,
            has_taints: pools.iter().any(|pool| !pool.taints.is_empty()),
            has_gates: out.contains("readinessGates: "),
            has_metrics: out.contains("\nmetrics:\n"),
            has_spot_share: out.contains("\n      spotShare: "),
            has_applications: services.iter().any(|service| is_plain(&service)),
            has_untraced: services
                .iter()
                .any(|service| is_plain(&service) && self.traced.of(service.1).is_none()),
            has_models: out.contains("promptTokens:"),
            has_batch: self.inventory.workloads.keys().any(|workload| workload.kind.is_batch()),
            has_ingress: !ingress_routes.is_empty(),
            has_traffic: out.contains("\ntraffic:\n"),
            has_callers_unknown: entered < asked.len() && asked.len() > 1,
            has_calls: out.contains("# GUESS: a request calls each Service"),
        };
        guesses.write(out, &self.traced.settings(&serving))
    }

    /// The workloads that serve language models, with the GPUs of their nodes.
    fn models(&self, pools: &[Pool]) -> Models<'_> {
        let served = self.inventory.workloads.iter().filter_map(|(workload, shape)| {
            let served = Served::of(shape.server.as_ref()?);
            let pool = pools.iter().find(|pool| pool.workloads.contains(workload));
            let of_pool = pool.and_then(|pool| pool.gpu);
            let fitting = || gpus().iter().find(|gpu| served.fits(gpu));
            let gpu = of_pool.or_else(|| hinted_gpu(&shape.node_selector)).or_else(fitting);
            Some((workload, (served, gpu.or(gpus().first())?)))
        });
        served.collect()
    }

    /// Rate of requests to a workload, per second, at which neither it nor any workload that it calls is more than half busy.
    fn rps_of_entry<'a>(
        &self,
        first: &'a ObjectReference,
        models: &Models<'_>,
        calls: &Calls<'a>,
    ) -> f64 {
        let visits = calls.visits(first);
        // Others that reach the same workload get as much of it.
        let bearable = visits.iter().map(|(workload, times)| {
            self.guessed_rps(workload, models) / times / calls.entries_to(workload)
        });
        let least = bearable.fold(f64::INFINITY, f64::min);
        let unit = if least >= 10.0 { 1.0 } else { 10.0 };
        (libm::floor(least * unit) / unit).max(0.1)
    }

    /// Rate of requests, per second, of about half the capacity of a workload's pods.
    fn guessed_rps(&self, workload: &ObjectReference, models: &Models<'_>) -> f64 {
        let shape = self.inventory.workloads.get(workload);
        if let (Some((served, gpu)), Some(shape)) = (models.get(workload), shape) {
            return served.guessed_rps(gpu, shape.replicas);
        }
        let traced = self.traced.of(workload);
        let guess = || guessed_cpu_time(shape).as_secs_f64();
        guessed_rps(shape, traced.map_or_else(guess, TracedService::cpu_seconds))
    }

    /// Services with their first workload. Of several Services of the same workload only one is listed, preferably one
    /// that a route leads to: traffic to each would be several times the guess.
    fn services(&self) -> Vec<(&NamespacedName, &ObjectReference)> {
        let mut served = BTreeSet::new();
        let routed: BTreeSet<&NamespacedName> = self
            .ingress_routes()
            .into_iter()
            .flat_map(|ingress_route| ingress_route.services)
            .collect();
        let mut names: Vec<&NamespacedName> = self.inventory.services.keys().collect();
        names.sort_by_key(|service| !routed.contains(service));
        let mut services: Vec<_> = names
            .into_iter()
            .filter_map(|service| {
                // Pods of Jobs answer no requests; they are described as batch workloads.
                let mut behind = self.inventory.workloads_behind(service);
                Some((service, behind.find(|workload| !workload.kind.is_batch())?))
            })
            .filter(|(_, workload)| served.insert(*workload))
            .collect();
        services.sort_unstable();
        services
    }

    /// Hosts and paths that Ingresses and HTTPRoutes route to Services with workloads and with the ports that they name.
    fn ingress_routes(&self) -> Vec<IngressRoute<'_>> {
        let has_workload = |service: &NamespacedName| {
            self.inventory.workloads_behind(service).any(|workload| !workload.kind.is_batch())
        };
        let routes = self.inventory.routing.ingress_routes().filter_map(|(host, path, rule)| {
            let rules = self.inventory.routing.candidates(&host, path).into_iter();
            let weighted = rules.flat_map(|rule| &rule.backends).filter(|one| one.weight > 0);
            let services: Vec<&NamespacedName> = weighted.map(|one| &one.service).collect();
            let mut parts = self.inventory.routing.destinations(rule).into_iter();
            let is_answered = !services.is_empty()
                && services.iter().all(|service| has_workload(service))
                && parts.all(|(part, weight)| part.has_port || weight == 0);
            is_answered.then_some(IngressRoute { host, path, object: &rule.object, services })
        });
        routes.collect()
    }

    fn write_head(&self, out: &mut String, models: &Models<'_>, pools: &[Pool]) -> fmt::Result {
        let warm_up = warm_up_minutes(self.inventory, pools, models);
        let hours = duration_hours(warm_up);
        let warm_up = format!("{warm_up}m");
        write!(
            out,
            "\
# yaml-language-server: $schema={schema}
#
# A scenario to start from. Run it:  wavetank run THIS-FILE
# Values marked GUESS are not in the manifests: replace them with your own.
apiVersion: wavetank/v1
kind: Scenario
name: {name}
description: What latency, cost and availability does this system have under this traffic?
seed: 1            # the same seed reproduces the run to the last byte
duration: {hours}h
warmUp: {warm_up:<11}# pods start; these requests do not count

manifests:
",
            schema = self.schema,
            name = scalar(self.name),
        )?;
        for path in self.manifests {
            writeln!(out, "  - {}", scalar(path))?;
        }
        self.write_other_inputs(out)?;
        let elsewhere = self.inventory.undefined_objects();
        if !elsewhere.is_empty() {
            out.write_str(
                "
# GUESS: pods need these objects, and no manifest has them; a person, a vault or an operator is assumed to create them.
# Without its object a pod waits: remove the entry to see that.
assumePresent:
",
            )?;
        }
        for object in elsewhere.keys() {
            writeln!(out, "  - {}", scalar(&object.to_string()))?;
        }
        Ok(())
    }

    /// Writes the skipped files, the objects to leave out, and the rendering options of charts.
    fn write_other_inputs(&self, out: &mut String) -> fmt::Result {
        for (path, why) in self.not_taken.iter().take(MOST_NOT_TAKEN) {
            writeln!(out, "  # skipped: {}: {}", comment(path), shortened(why))?;
        }
        if let Some(more) =
            self.not_taken.len().checked_sub(MOST_NOT_TAKEN).filter(|more| *more > 0)
        {
            writeln!(out, "  # and {more} more")?;
        }
        if !self.left_out.is_empty() {
            out.write_str(
                "
# A run refuses these objects. Most of them the API server rejects, and `kubectl apply` goes on without them. Correct them,
# then remove them here.
leaveOut:
",
            )?;
        }
        for OmittedObject { object, why } in self.left_out {
            writeln!(out, "  - {}     # {}", scalar(object), shortened(why))?;
        }
        if !self.helm_charts.is_empty() {
            writeln!(out, "\nhelmCharts:")?;
        }
        for chart in self.helm_charts {
            let files: Vec<String> = chart.values_files.iter().map(|file| scalar(file)).collect();
            let path = scalar(&chart.path);
            writeln!(out, "  - {{path: {path}, valuesFiles: [{}]}}", joined(&files, ", "))?;
        }
        Ok(())
    }

    /// Writes requests by ingress routes: in total as many as their Services would get without routes.
    fn write_ingress_routes(
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
            let behind = |service: &&NamespacedName| {
                let workload = self.inventory.workloads_behind(service).next()?;
                Some((workload, self.rps_of_entry(workload, models, calls) / route_count(service)))
            };
            let guesses: Vec<(&ObjectReference, f64)> =
                services.iter().filter_map(behind).collect();
            let sum = guesses.iter().map(|(_, rps)| rps).sum::<f64>();
            let has_model =
                guesses.iter().any(|(workload, _)| calls.wait_for_models(workload, models));
            let rps = if has_model {
                (libm::round(sum * 10.0) / 10.0).max(0.1)
            } else {
                libm::round(sum).max(1.0)
            };
            let has_waves = guesses
                .iter()
                .any(|(workload, _)| self.inventory.max_replicas.contains_key(*workload));
            let object = comment(&object.to_string());
            writeln!(out, "  - host: {}     # {object}", scalar(host))?;
            if *path != "/" {
                writeln!(out, "    path: {}", scalar(path))?;
            }
            writeln!(out, "    load: {}", guessed_load(rps, has_waves))?;
            if has_model {
                writeln!(out, "    timeout: 2m")?;
            }
        }
        Ok(())
    }

    fn write_traffic(
        &self,
        out: &mut String,
        services: &[(&NamespacedName, &ObjectReference)],
        ingress_routes: &[IngressRoute<'_>],
        models: &Models<'_>,
        calls: &Calls<'_>,
    ) -> fmt::Result {
        let is_routed = |service: &NamespacedName| {
            ingress_routes.iter().any(|ingress_route| ingress_route.services.contains(&service))
        };
        let services: Vec<_> = services.iter().filter(|(service, _)| !is_routed(service)).collect();
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
        for (service, workload) in services {
            let rps = self.rps_of_entry(workload, models, calls);
            let waits = calls.wait_for_models(workload, models);
            let patience = if waits { "2m" } else { "10s" };
            let load = guessed_load(rps, self.inventory.max_replicas.contains_key(*workload));
            writeln!(out, "  - service: {service}\n    load: {load}\n    timeout: {patience}")?;
        }
        Ok(())
    }
}

/// The workloads that serve language models, each with the GPU of its nodes.
type Models<'a> = BTreeMap<&'a ObjectReference, (Served<'a>, &'static Gpu)>;

/// A host and path with the Services that their requests go to.
struct IngressRoute<'a> {
    host: String,
    path: &'a str,
    /// The Ingress or HTTPRoute.
    object: &'a ObjectReference,
    /// The Services with a weight above zero.
    services: Vec<&'a NamespacedName>,
}

/// A reason as a one-line comment of limited length.
fn shortened(why: &str) -> String {
    let line = comment(why);
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
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
fn guessed_rps(shape: Option<&PodShape>, cpu_seconds: f64) -> f64 {
    let Some(shape) = shape else { return 1.0 };
    let requested = shape.requests.get("cpu").map(MilliCpu::from).filter(|cpu| cpu.0 > 0);
    let cpu = requested.unwrap_or(UNSTATED_CPU);
    let cpu = shape.cpu_limit.map_or(cpu, |limit| cpu.min(limit));
    let cores = cpu.as_cores() * shape.replicas.max(1) as f64;
    libm::round(cores * BUSY / cpu_seconds).max(1.0)
}

fn write_timeline(out: &mut String, pools: &[Pool], inventory: &Inventory) -> fmt::Result {
    let always_there = pools.iter().find(|pool| pool.bounds.is_none_or(|(min, _)| min > 0));
    let node = always_there.map(|pool| format!("{}-1", pool.name));
    let node = node.or_else(|| inventory.nodes.keys().next().map(ToString::to_string));
    let deployment = inventory.workloads.keys().find(|workload| workload.kind == Kind::Deployment);
    out.write_str("\n# Faults and changes. Remove the # to try them.\ntimeline:\n")?;
    if let Some(node) = node {
        writeln!(out, "#  - {{at: 30m, killNode: {node}}}")?;
        writeln!(out, "#  - {{at: 45m, recoverNode: {node}}}")?;
    }
    if let Some(deployment) = deployment {
        writeln!(out, "#  - {{at: 50m, restartRollout: {deployment}}}")?;
    }
    Ok(())
}
