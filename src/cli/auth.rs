//! `wavetank auth can-i`: access according to the Roles and bindings in manifests.

use std::io::Write;

use serde_json::json;

use super::exit::{Exit, Failure};
use super::explain::FORMAT_VERSION;
use super::run::Form;
use super::scenario_arguments::DEFAULT_SCENARIO;
use cluster::Kind;
use cluster::kind::Scope;
use files::{load_scenario, read_manifests};
use manifest::rights::{Request, Rights, Target, User};
use manifest::{Diagnostics, Source, read_documents, read_manifests as read_objects};
use scenario::read::is_scenario;

/// Options of `wavetank auth`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    question: Question,
}

/// Questions about access rights.
#[derive(Debug, clap::Subcommand)]
enum Question {
    /// Check whether a user may perform an action: yes (exit code 0) or no (1), and which binding
    /// allows it
    #[command(name = "can-i")]
    CanI(CanI),
}

/// Options of `wavetank auth can-i`.
#[derive(Debug, clap::Args)]
struct CanI {
    /// The verb: get, list, watch, create, update, patch, delete, ...
    verb: String,

    /// The resource: pods, deployments.apps, secrets/NAME, or a path such as /metrics
    what: String,

    /// Scenarios and manifests: files, folders, patterns [default: scenario.yaml]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,

    /// The user, such as system:serviceaccount:NAMESPACE:NAME
    #[arg(long = "as", value_name = "USER")]
    user: String,

    /// A group of the user, in addition to those implied by the user name; can be given several times
    #[arg(long = "as-group", value_name = "GROUP")]
    groups: Vec<String>,

    /// The namespace
    #[arg(short, long, default_value = "default", conflicts_with = "all_namespaces")]
    namespace: String,

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// The subresource, such as log or status
    #[arg(long, default_value = "")]
    subresource: String,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Evaluates the request and writes the answer.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let Question::CanI(asked) = &arguments.question;
    let rights = Rights::of(&manifests(&asked.paths)?).map_err(Failure::Problems)?;
    let request = Request { verb: asked.verb.to_lowercase(), target: target(asked) };
    let user = User::named(&asked.user, &asked.groups);
    let answer = rights.answer(&user, &request);
    if asked.output == Form::Json {
        let answer = json!({
            "format_version": FORMAT_VERSION,
            "user": user.name,
            "groups": user.groups,
            "verb": request.verb,
            "target": request.target.to_string(),
            "allowed": answer.is_allowed,
            "reason": answer.reason,
            "bindings_to_missing_roles": answer.dangling,
        });
        writeln!(out, "{answer:#}")?;
    } else if answer.is_allowed {
        writeln!(out, "yes - {}", answer.reason)?;
    } else {
        writeln!(out, "no - no rule lets {} {} {}", user.name, request.verb, request.target)?;
        for binding in &answer.dangling {
            writeln!(out, "     {binding} refers to a role that does not exist")?;
        }
    }
    Ok(if answer.is_allowed { Exit::Fine } else { Exit::Missed })
}

/// The requested resource: built-in kinds may be given by name or short name; other kinds need their
/// full name.
fn target(asked: &CanI) -> Target {
    if asked.what.starts_with('/') {
        return Target::Url(asked.what.clone());
    }
    let (what, name) = asked.what.split_once('/').unwrap_or((&asked.what, ""));
    let (resource, group) = match what.split_once('.') {
        Some((resource, group)) => (resource, Some(group)),
        None => (what, None),
    };
    let known = Kind::named(resource)
        .map(Kind::info)
        .filter(|row| group.is_none_or(|group| row.group == group) && !row.plural.is_empty());
    let is_cluster_wide = known.is_some_and(|row| row.scope == Scope::Cluster);
    let namespace = if asked.all_namespaces || is_cluster_wide { "" } else { &asked.namespace };
    Target::Resource {
        group: group.or(known.map(|row| row.group)).unwrap_or_default().to_owned(),
        resource: known.map_or(resource, |row| row.plural).to_lowercase(),
        subresource: asked.subresource.clone(),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
    }
}

/// The objects in the manifests, and in those that scenarios name.
fn manifests(paths: &[String]) -> Result<Vec<manifest::Manifest>, Failure> {
    let default = [DEFAULT_SCENARIO.to_owned()];
    let paths = if paths.is_empty() { &default[..] } else { paths };
    let mut sources: Vec<Source> = Vec::new();
    for path in paths {
        for source in read_manifests(path).map_err(Failure::Input)? {
            let documents = read_documents(&source, &mut Diagnostics::default());
            if documents.iter().any(is_scenario) {
                let resolved = load_scenario(&source, &[]).map_err(Failure::Problems)?;
                sources.extend(resolved.files.manifests.iter().cloned());
            } else {
                sources.push(source);
            }
        }
    }
    let mut problems = Diagnostics::default();
    let manifests = read_objects(&sources, &mut problems);
    if problems.has_errors() { Err(Failure::Problems(problems)) } else { Ok(manifests) }
}
