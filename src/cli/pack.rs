//! `wavetank pack`: compares placements of the same pods on the same nodes under several policies.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use super::exit::{Exit, Failure};
use super::output::OutputOptions;
use super::run::Form;
use cluster::node::Node;
use cluster::{Action, AnySpec, Name};
use files::{beside, read_manifests, read_source, read_unpacked, write_file};
use manifest::{Diagnostics, Object, Source, admit, read_manifests as read_objects};
use pack::growth::nodes_needed;
use pack::list::ListError;
use pack::{Outcome, PackReport, Plan, PodList, Policy, chart, node_list, policy, text};
use report::charts;
use report::text::Style;
use scenario::packing::{PackingText, PolicySpec, Ties};
use sim::scheduler_of;
use units::HourlyPrice;

/// Options of `wavetank pack`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The packing file, which names pods, nodes and policies; docs/pack.md describes it
    #[arg(value_name = "PACKING")]
    packing: String,

    /// Only this policy of the file, or a built-in policy by name; can be given several times
    #[arg(long, value_name = "NAME")]
    policy: Vec<String>,

    /// Seed that overrides the file's
    #[arg(long)]
    seed: Option<u64>,

    /// Format of the report
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,

    /// Write a chart as SVG and PNG to this folder
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,

    /// Write the node of each pod under each policy to this CSV file
    #[arg(long, value_name = "FILE")]
    placements: Option<PathBuf>,
}

/// Places the pods under each policy and writes the report.
pub fn run(
    arguments: &Arguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let path = &arguments.packing;
    let source =
        read_source(path).map_err(|message| Failure::Input(format!("{path}: {message}")))?;
    let packing = PackingText::parse(&source).map_err(Failure::Problems)?;
    let mut read = PackInput::default();
    let mut growing = read.plan(path, &packing);
    if read.problems.has_errors() {
        return Err(Failure::Problems(read.problems));
    }
    growing.seed = arguments.seed.unwrap_or(growing.seed);
    let policies = policies(arguments, &packing).map_err(Failure::Problems)?;
    let plan = growing.with_daemon_pods();
    let outcomes = outcomes(&plan, &policies, options)?;
    let mut report = PackReport::new(&packing.packing.name, &plan, &outcomes);
    grow(&packing, &growing, &policies, &mut report)?;
    let rendered = match arguments.output {
        Form::Text => text::render(&report, Style { color: options.color }),
        Form::Json => report.to_json(),
    };
    out.write_all(rendered.as_bytes())?;
    if let Some(folder) = &arguments.charts {
        for file in charts::files("packing", &chart::scene(&report)) {
            write_file(&folder.join(file.name), &file.bytes).map_err(Failure::Input)?;
        }
    }
    if let Some(file) = &arguments.placements {
        write_file(file, placements(&plan, &outcomes).as_bytes()).map_err(Failure::Input)?;
    }
    Ok(Exit::Fine)
}

fn outcomes(
    plan: &Plan,
    policies: &[Policy],
    options: OutputOptions,
) -> Result<Vec<Outcome>, Failure> {
    let bar = options.progress_bar(policies.len() as u64, "packing");
    let mut outcomes = Vec::with_capacity(policies.len());
    for policy in policies {
        let outcome = plan.run(policy);
        outcomes.push(outcome.map_err(|error| Failure::Input(error.to_string()))?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(outcomes)
}

/// Determines the number of nodes of the growing pool that each policy needs.
fn grow(
    text: &PackingText,
    plan: &Plan,
    policies: &[Policy],
    report: &mut PackReport,
) -> Result<(), Failure> {
    let pools = &text.packing.cluster.node_pools;
    let Some(pool) = pools.iter().find(|pool| Some(&pool.name) == text.packing.grow.as_ref())
    else {
        return Ok(());
    };
    let each = plan.prices.get(&pool.name).copied().unwrap_or_default().as_usd();
    let others = report.nodes_usd_per_hour - each * f64::from(pool.count.at_start());
    for (policy, row) in policies.iter().zip(&mut report.policies) {
        let needed = nodes_needed(plan, pool, policy);
        row.nodes_needed = needed.map_err(|error| Failure::Input(error.to_string()))?;
        row.nodes_needed_usd_per_hour =
            row.nodes_needed.map(|nodes| others + each * f64::from(nodes));
    }
    Ok(())
}

/// All problems of a packing and of the files it names, and the names of those files that are manifests.
pub(super) fn check(source: &Source) -> (Diagnostics, Vec<Name>) {
    let packing = match PackingText::parse(source) {
        Ok(packing) => packing,
        Err(problems) => return (problems, Vec::new()),
    };
    let mut read = PackInput::default();
    read.plan(&source.name, &packing);
    policies_of(&source.name, &packing, &mut read.problems);
    (read.problems, read.manifests)
}

/// State collected while the files of a packing are read.
#[derive(Default)]
struct PackInput {
    problems: Diagnostics,
    /// Names of the manifest files.
    manifests: Vec<Name>,
}

impl PackInput {
    fn plan(&mut self, path: &str, text: &PackingText) -> Plan {
        let packing = &text.packing;
        let (mut nodes, mut prices) = pools(text, &mut self.problems);
        for (position, list) in packing.node_lists.iter().enumerate() {
            let field = format!("nodeLists[{position}]");
            match read_list(path, list, node_list::nodes_from_csv) {
                Ok(listed) => nodes.extend(listed),
                Err(message) => self.problems.push(text.problem(&field, &message)),
            }
        }
        let mut pods = PodList::default();
        for (position, source) in packing.pods.iter().enumerate() {
            let field = format!("pods[{position}]");
            if let Some(trace) = &source.trace {
                match read_list(path, trace, PodList::from_csv) {
                    Ok(listed) => pods.append(listed),
                    Err(message) => self.problems.push(text.problem(&field, &message)),
                }
            }
            if let Some(manifests) = &source.manifests {
                match read_manifests(&beside(path, manifests)) {
                    Ok(sources) => {
                        let actions = self.actions(&sources, &mut nodes);
                        pods.add_manifests(actions, source.count);
                    }
                    Err(message) => self.problems.push(text.problem(&field, &message)),
                }
            }
        }
        prices.retain(|_, price| *price != HourlyPrice::default());
        Plan {
            nodes,
            prices,
            pods,
            seed: packing.seed,
            ties_by_name: packing.ties == Ties::ByName,
            typical_of: packing.typical_pods.of,
            typical_percent: packing.typical_pods.percent,
        }
    }

    /// The actions that apply the manifests; Node objects are collected separately.
    fn actions(&mut self, sources: &[Source], nodes: &mut Vec<Node>) -> Vec<Action> {
        self.manifests.extend(sources.iter().map(|source| source.name.clone()));
        let loaded = admit(read_objects(sources, &mut self.problems));
        self.problems.append(loaded.diagnostics);
        let mut actions = Vec::new();
        for action in loaded.objects.into_iter().map(Object::into_action) {
            match action {
                Action::Apply(meta, AnySpec::Node(node)) => {
                    nodes.push(Node { meta: *meta, ..*node });
                }
                action => actions.push(action),
            }
        }
        actions
    }
}

fn pools(
    text: &PackingText,
    problems: &mut Diagnostics,
) -> (Vec<Node>, BTreeMap<Name, HourlyPrice>) {
    let (mut nodes, mut prices) = (Vec::new(), BTreeMap::new());
    for (position, pool) in text.packing.cluster.node_pools.iter().enumerate() {
        match pool.resolve() {
            Ok(resolved) => {
                nodes.extend((1..=pool.count.at_start()).map(|number| resolved.node(number)));
                prices.insert(pool.name.clone(), resolved.price());
            }
            Err(error) => {
                let field = format!("cluster.nodePools[{position}].instanceType");
                problems.push(text.problem(&field, &error.to_string()));
            }
        }
    }
    (nodes, prices)
}

/// Reads a CSV file named by the packing.
fn read_list<T>(
    packing: &str,
    path: &str,
    parse: impl Fn(&[u8]) -> Result<T, ListError>,
) -> Result<T, String> {
    let path = beside(packing, path);
    let bytes = read_unpacked(&path)?;
    parse(&bytes).map_err(|error| format!("{path}: {error}"))
}

/// The policies of the file, or those selected on the command line.
fn policies(arguments: &Arguments, text: &PackingText) -> Result<Vec<Policy>, Diagnostics> {
    let mut problems = Diagnostics::default();
    let mut found = policies_of(&arguments.packing, text, &mut problems);
    if !arguments.policy.is_empty() {
        let mut asked = Vec::new();
        for name in &arguments.policy {
            let of_file = found.iter().find(|policy| policy.name == *name).cloned();
            let named = || policy::named(name);
            let by_name = || Some(Policy { name: name.clone(), configuration: named()? });
            match of_file.or_else(by_name) {
                Some(policy) => asked.push(policy),
                None => problems.push(text.problem("policies", &unknown_policy(name))),
            }
        }
        found = asked;
    }
    if problems.has_errors() { Err(problems) } else { Ok(found) }
}

fn policies_of(path: &str, text: &PackingText, problems: &mut Diagnostics) -> Vec<Policy> {
    let mut found = Vec::new();
    for (position, spec) in text.packing.policies.iter().enumerate() {
        let field = format!("policies[{position}]");
        match read_policy(path, spec, problems) {
            Ok(policy) => found.push(policy),
            Err(message) => problems.push(text.problem(&field, &message)),
        }
    }
    found
}

fn read_policy(
    packing: &str,
    spec: &PolicySpec,
    problems: &mut Diagnostics,
) -> Result<Policy, String> {
    let given = spec.policy.as_ref().or(spec.config.as_ref()).cloned().unwrap_or_default();
    let name = spec.name.clone().unwrap_or_else(|| given.clone());
    let configuration = match &spec.config {
        Some(config) => scheduler_of(&read_source(&beside(packing, config))?, problems),
        None => policy::named(&given).ok_or_else(|| unknown_policy(&given))?,
    };
    Ok(Policy { name, configuration })
}

fn unknown_policy(name: &str) -> String {
    let known: Vec<&str> = policy::NAMED.iter().map(|(name, _)| *name).collect();
    format!("unknown policy {name:?}; the policies are {}", known.join(", "))
}

/// A CSV row per policy and pod: the node, empty if unplaced, and the GPUs that it shares.
fn placements(plan: &Plan, outcomes: &[Outcome]) -> String {
    let mut csv = String::from("policy,pod,node,gpu_index\n");
    for outcome in outcomes {
        for (pod, place) in plan.pods.pods.iter().zip(&outcome.places) {
            let (node, devices) = match place {
                Some(place) => (&*place.node, place.devices.to_string()),
                None => ("", String::new()),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(csv, "{},{},{node},{devices}", outcome.policy, pod.name);
        }
    }
    csv
}
