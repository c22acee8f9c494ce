//! `wavetank get`, `describe`, `events`, `rollout`, `top`: the cluster at an instant of a run, as kubectl
//! prints it.

use std::collections::BTreeSet;
use std::io::Write;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::at::{Instant, ObjectAtInstant};
use super::exit::{Exit, Failure};
use super::output::{self, OutputOptions};
use cluster::selector::Selector;
use manifest::yaml::to_yaml;
use views::{self, Kind, Scope, Wide};

/// Options of `wavetank get`.
#[derive(Debug, clap::Args)]
pub struct GetArguments {
    /// What to list, as kubectl takes it: pods, po, nodes, deploy, rs, svc, hpa, pdb, events; several, as pods,deploy;
    /// all; or one, as pod/NAME
    #[arg(value_name = "KIND[/NAME]")]
    what: String,

    #[command(flatten)]
    instant: Instant,

    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// All namespaces, which is the default
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,

    /// Only objects whose labels match, such as app=web,tier!=cache
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// The form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: GetForm,
}

/// Forms of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum GetForm {
    /// A line for each
    #[default]
    Text,
    /// A line for each, with more columns
    Wide,
    /// A List of objects
    Yaml,
    /// The same as JSON
    Json,
}

/// Options of `wavetank describe`.
#[derive(Debug, clap::Args)]
pub struct DescribeArguments {
    #[command(flatten)]
    what: ObjectAtInstant,
}

/// Options of `wavetank events`.
#[derive(Debug, clap::Args)]
pub struct EventsArguments {
    #[command(flatten)]
    instant: Instant,

    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// Options of `wavetank rollout`.
#[derive(Debug, clap::Args)]
pub struct RolloutArguments {
    #[command(subcommand)]
    what: Rollout,
}

#[derive(Debug, Subcommand)]
enum Rollout {
    /// How far the rollout of a Deployment, StatefulSet or DaemonSet is
    Status(ObjectAtInstant),
    /// The revisions of a Deployment, StatefulSet or DaemonSet
    History(ObjectAtInstant),
}

/// Options of `wavetank top`.
#[derive(Debug, clap::Args)]
pub struct TopArguments {
    /// Whose use: of pods or of nodes
    #[arg(value_enum)]
    whose: Whose,

    #[command(flatten)]
    instant: Instant,

    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whose {
    /// Of each pod
    #[value(alias = "pod", alias = "po")]
    Pods,
    /// Of each node
    #[value(alias = "node", alias = "no")]
    Nodes,
}

/// Lists objects.
pub fn get(
    arguments: &GetArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let (kinds, name) = match arguments.what.split_once('/') {
        Some((kind, name)) => (kind, Some(name.to_owned())),
        None => (arguments.what.as_str(), None),
    };
    let kinds = kinds_of(kinds)?;
    let selector = arguments.selector.as_ref().map(|text| text.parse::<Selector>());
    let selector = selector.transpose().map_err(|error| Failure::Input(error.to_string()))?;
    let simulation = arguments.instant.simulate(options)?;
    let view = simulation.view();
    let log = &simulation.recorder().log;
    let mut found = Vec::new();
    for listed in &kinds {
        let among = match (&selector, listed) {
            (None, _) => None,
            // Events have no labels.
            (Some(_), Listed::Events) => Some(BTreeSet::new()),
            (Some(selector), Listed::Kind(kind)) => {
                Some(views::labelled(view, *kind, selector).ok_or_else(|| {
                    let message = "cannot be chosen by labels, which are not kept";
                    Failure::Input(format!("{kind}s {message}"))
                })?)
            }
        };
        let (namespace, name) = (arguments.namespace.clone(), name.clone());
        found.push((*listed, Scope { namespace, name, among, shows_kind: kinds.len() > 1 }));
    }
    let tables = |wide| {
        let tables = found.iter().map(|(listed, scope)| match listed {
            Listed::Kind(kind) => views::get(view, *kind, scope, Wide(wide)),
            Listed::Events => views::events(simulation.now(), log, scope),
        });
        tables.filter(|table| !table.is_empty()).collect::<Vec<_>>().join("\n")
    };
    let objects = || {
        let items = found.iter().flat_map(|(listed, scope)| match listed {
            Listed::Kind(kind) => views::objects(view, *kind, scope),
            Listed::Events => views::event_objects(log, scope),
        });
        let items: Vec<Value> = items.collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items})
    };
    let text = match arguments.output {
        GetForm::Text => tables(false),
        GetForm::Wide => tables(true),
        GetForm::Yaml => to_yaml(&objects()),
        GetForm::Json => format!("{:#}\n", objects()),
    };
    let what = match kinds[..] {
        [Listed::Kind(kind)] => format!("{kind}s"),
        [Listed::Events] => "events".to_owned(),
        _ => "resources".to_owned(),
    };
    write_found(&text, &what, out)
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    /// The objects of a kind.
    Kind(Kind),
    /// Events.
    Events,
}

/// The kinds that a list such as `pods,deploy` names; `all` stands for those of kubectl.
fn kinds_of(text: &str) -> Result<Vec<Listed>, Failure> {
    let mut kinds = Vec::new();
    for word in text.split(',') {
        let named = match word.to_ascii_lowercase().as_str() {
            "all" => Kind::OF_ALL.map(Listed::Kind).to_vec(),
            "events" | "event" | "ev" => vec![Listed::Events],
            _ => vec![Listed::Kind(word.parse().map_err(Failure::Input)?)],
        };
        for kind in named {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    Ok(kinds)
}

/// Shows one object in full.
pub fn describe(
    arguments: &DescribeArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let (object, simulation) = arguments.what.simulate(options)?;
    match views::describe(simulation.view(), &simulation.recorder().log, &object) {
        Some(text) => write_found(&text, "", out),
        None => Err(Failure::Input(format!(
            "{object} is not there at {}; `wavetank get {}` lists what is, and pods, nodes, workloads, \
             Services, HPAs, budgets, ConfigMaps, Secrets, claims and quotas can be described",
            simulation.now(),
            object.kind.to_lowercase()
        ))),
    }
}

/// Lists what happened.
pub fn events(
    arguments: &EventsArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let simulation = arguments.instant.simulate(options)?;
    let scope = Scope { namespace: arguments.namespace.clone(), ..Scope::default() };
    let text = views::events(simulation.now(), &simulation.recorder().log, &scope);
    write_found(&text, "events", out)
}

/// Says how far a rollout is, or which there were.
pub fn rollout(
    arguments: &RolloutArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let (Rollout::Status(of) | Rollout::History(of)) = &arguments.what;
    let (object, simulation) = of.simulate(options)?;
    let (view, object) = (simulation.view(), &object);
    let missing = || {
        Failure::Input(format!(
            "there is no {object} at {}, or it is not rolled out; Deployments, StatefulSets and DaemonSets are",
            simulation.now()
        ))
    };
    match &arguments.what {
        Rollout::Status(_) => {
            match views::status(view, object).ok_or_else(missing)? {
                Ok(status) => writeln!(out, "{status}")?,
                // As kubectl does, whose exit code it is as well.
                Err(error) => {
                    output::complain(&error);
                    return Ok(Exit::Missed);
                }
            }
        }
        Rollout::History(_) => {
            let history = views::history(view, object).ok_or_else(missing)?;
            writeln!(out, "{}.apps/{}", object.kind.to_lowercase(), object.id.name)?;
            out.write_all(history.as_bytes())?;
        }
    }
    Ok(Exit::Fine)
}

/// Lists what is used.
pub fn top(
    arguments: &TopArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let simulation = arguments.instant.simulate(options)?;
    let scope = Scope { namespace: arguments.namespace.clone(), ..Scope::default() };
    let text = match arguments.whose {
        Whose::Pods => views::top_pods(simulation.view(), &scope),
        Whose::Nodes => views::top_nodes(simulation.view()),
    };
    write_found(&text, "metrics", out)
}

/// What kubectl says where there is nothing to list.
fn write_found(text: &str, what: &str, out: &mut impl Write) -> Result<Exit, Failure> {
    if text.is_empty() {
        writeln!(out, "No {what} found.")?;
    }
    out.write_all(text.as_bytes())?;
    Ok(Exit::Fine)
}
