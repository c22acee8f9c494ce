//! A starter scenario for a person to read and change: guesses from the manifests, each
//! with a comment on its meaning and on measuring the right value.

mod apart;
mod backing;
mod calls;
mod endpoints;
mod guesses;
mod llm;
mod machines;
mod metrics;
mod month;
mod nodes;
mod objectives;
mod sizing;
mod traced;
mod traffic;
mod warm_up;
mod workloads;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::helm_chart::HelmChart;
use super::inventory::Inventory;
use ::traffic::llm::catalog::{Gpu, gpus};
use backing::{is_backing, write_backing};
use calls::Calls;
use cluster::{Kind, NamespacedName, ObjectReference};
use endpoints::{ServiceEndpoints, write_pools};
use guesses::Guesses;
use llm::{Served, hinted_gpu};
use metrics::write_metrics;
pub use nodes::NodeGroup;
use nodes::write_cluster;
use objectives::write_objectives;
use sizing::{Pool, pools};
pub use traced::{Traced, TracedService};
use warm_up::{duration_hours, warm_up_minutes};
use yaml::{comment, joined, scalar};

/// Maximum number of skipped files listed in a scenario.
const MOST_NOT_TAKEN: usize = 12;
/// Maximum length of a reason in a scenario [characters]; `init` prints it in full.
const LONGEST_REASON: usize = 140;

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
        let sized = pools(self.inventory);
        let models = self.models(&sized);
        let unplaced = self.unplaced(&sized);
        let (services, unvisited) = self.services(&unplaced);
        let ingress_routes = self.ingress_routes(&services);
        let serving: BTreeSet<&ObjectReference> =
            services.iter().flat_map(ServiceEndpoints::workloads).collect();
        let mut calls = Calls::of(self.inventory, &serving, self.traced);
        let routed: BTreeSet<&NamespacedName> = ingress_routes
            .iter()
            .flat_map(|ingress_route| ingress_route.services.iter().copied())
            .collect();
        let is_entered = |one: &ServiceEndpoints<'_>| {
            routed.contains(one.service) || self.inventory.exposed.contains(one.service)
        };
        let mut asked: Vec<&ServiceEndpoints<'_>> = services
            .iter()
            .filter(|one| {
                is_entered(one) || !one.workloads().all(|workload| calls.reaches(workload))
            })
            .collect();
        let is_backing = |workload: &ObjectReference| {
            self.inventory.workloads.get(workload).is_some_and(is_backing)
        };
        let called_only =
            |one: &&&ServiceEndpoints<'_>| !is_entered(one) && one.workloads().all(is_backing);
        let backing: Vec<&NamespacedName> =
            asked.iter().filter(called_only).map(|one| one.service).collect();
        let backing = if backing.len() < asked.len() { backing } else { Vec::new() };
        asked.retain(|one| !backing.contains(&one.service));
        asked.sort_by_key(|one| !is_entered(one));
        calls.enter(asked.iter().copied());
        let entered = asked.iter().filter(|one| is_entered(one)).count();
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
        self.write_workloads(out, &serving, &models, &calls)?;
        self.write_ingress_routes(out, &ingress_routes, &models, &calls)?;
        write_backing(out, &backing)?;
        unvisited.write(out)?;
        write_pools(out, self.inventory)?;
        self.write_traffic(out, &asked, &ingress_routes, &models, &calls)?;
        write_timeline(out, &pools, self.inventory)?;
        write_objectives(out, promised, self.inventory, &pools, &models, &calls)?;
        let is_plain = |workload: &&&ObjectReference| !models.contains_key(**workload);
        // A model that no Service leads to has no token lengths.
        let guesses = Guesses {
            has_pools: !pools.is_empty() && !is_grouped,
            has_taints: pools.iter().any(|pool| !pool.taints.is_empty()),
            has_gates: out.contains("readinessGates: "),
            has_metrics: out.contains("\nmetrics:\n"),
            has_spot_share: out.contains("\n      spotShare: "),
            has_applications: serving.iter().any(|workload| is_plain(&workload)),
            has_untraced: serving
                .iter()
                .filter(is_plain)
                .any(|workload| self.traced.of(workload).is_none()),
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
}

/// The workloads that serve language models, each with the GPU of its nodes.
type Models<'a> = BTreeMap<&'a ObjectReference, (Served<'a>, &'static Gpu)>;

/// A reason as a one-line comment of limited length.
fn shortened(why: &str) -> String {
    let line = comment(why);
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
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
