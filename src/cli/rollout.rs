//! `wavetank rollout` and `top`: progress of a rollout and resource usage at an instant of a run, in kubectl's
//! format.

use std::io::Write;

use clap::{Subcommand, ValueEnum};

use super::at::{
    Choice, Listed, PositionalArguments, Target, TimeOfRun, print_missing, print_no_resources,
    refuse, single,
};
use super::exit::{Exit, Failure};
use super::output::{self, OutputOptions};
use cluster::{Kind, ObjectReference};
use views::{self, TopOrder};

/// Options of `wavetank rollout`.
#[derive(Debug, clap::Args)]
pub struct RolloutArguments {
    #[command(subcommand)]
    what: Rollout,
}

#[derive(Debug, Subcommand)]
enum Rollout {
    /// Show the progress of a rollout of a Deployment, Rollout, StatefulSet or DaemonSet
    Status(WorkloadArguments),
    /// Show the revisions of a Deployment, Rollout, StatefulSet or DaemonSet
    History {
        #[command(flatten)]
        workload: WorkloadArguments,

        /// Show the pod template of this revision
        #[arg(long, value_name = "NUMBER")]
        revision: Option<i64>,
    },
}

/// A workload at an instant of a run.
#[derive(Debug, clap::Args)]
struct WorkloadArguments {
    /// The workload, with kubectl's syntax: deploy/web, sts db, deploy/SHOP/web; and the scenario file [default:
    /// scenario.yaml]
    #[arg(value_name = "KIND/NAME [SCENARIO]", required = true)]
    words: Vec<String>,

    #[command(flatten)]
    time: TimeOfRun,

    #[command(flatten)]
    choice: Choice,
}

/// Options of `wavetank top`.
#[derive(Debug, clap::Args)]
pub struct TopArguments {
    /// Usage of pods or of nodes
    #[arg(value_enum)]
    whose: SortKey,

    /// Names, and the scenario file [default: scenario.yaml]
    #[arg(value_name = "[NAME] [SCENARIO]")]
    words: Vec<String>,

    #[command(flatten)]
    time: TimeOfRun,

    #[command(flatten)]
    choice: Choice,

    /// Show the usage of each container
    #[arg(long)]
    containers: bool,

    /// Sort order of the rows
    #[arg(long, value_enum)]
    sort_by: Option<SortBy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SortKey {
    /// Usage of each pod
    #[value(alias = "pod", alias = "po")]
    Pods,
    /// Usage of each node
    #[value(alias = "node", alias = "no")]
    Nodes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SortBy {
    /// Most CPU first
    Cpu,
    /// Most memory first
    Memory,
}

/// Writes the progress or history of a rollout.
pub fn rollout(
    arguments: &RolloutArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let (Rollout::Status(of) | Rollout::History { workload: of, .. }) = &arguments.what;
    let words = PositionalArguments::new(&of.words);
    let target = match single(&words.others) {
        Ok(target) => target,
        Err(message) => return Ok(refuse(&message)),
    };
    let Listed::Kind(kind) = target.listed else {
        return Ok(refuse("no history viewer has been implemented for \"Event\""));
    };
    let scope = of.choice.scope()?;
    let moment = of.time.simulate(words.scenario, options)?;
    let found = moment.find(kind, &target, &scope);
    let Some(id) = found.ids.into_iter().next() else {
        return Ok(print_missing(&found.missing));
    };
    let object = ObjectReference { kind, id };
    let snapshot = moment.snapshot();
    let (what, outcome) = match &arguments.what {
        Rollout::Status(_) => {
            let outcome = views::status(snapshot.view, &object);
            ("status", outcome.map(|outcome| outcome.map(|line| line + "\n")))
        }
        Rollout::History { revision: Some(number), .. } => {
            ("history", views::revision(snapshot, &object, *number))
        }
        Rollout::History { revision: None, .. } => {
            ("history", views::history(snapshot, &object).map(Ok))
        }
    };
    match outcome {
        Some(Ok(text)) => out.write_all(text.as_bytes())?,
        // The same message and exit code as kubectl's.
        Some(Err(error)) => return Ok(refuse(&error)),
        None => {
            let message = format!("no {what} viewer has been implemented for {:?}", kind.name());
            return Ok(refuse(&message));
        }
    }
    Ok(Exit::Fine)
}

/// Lists resource usage.
pub fn top(
    arguments: &TopArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let words = PositionalArguments::new(&arguments.words);
    let kind = match arguments.whose {
        SortKey::Pods => Kind::Pod,
        SortKey::Nodes => Kind::Node,
    };
    let names = words.others.iter().map(|name| (*name).to_owned()).collect();
    let target = Target { listed: Listed::Kind(kind), namespace: None, names };
    let scope = arguments.choice.scope()?;
    let moment = arguments.time.simulate(words.scenario, options)?;
    let found = moment.find(kind, &target, &scope);
    if !found.missing.is_empty() {
        return Ok(print_missing(&found.missing));
    }
    let order = match arguments.sort_by {
        None => TopOrder::Name,
        Some(SortBy::Cpu) => TopOrder::Cpu,
        Some(SortBy::Memory) => TopOrder::Memory,
    };
    let view = moment.snapshot().view;
    let text = match arguments.whose {
        SortKey::Pods => views::top_pods(view, &found.scope, arguments.containers, order),
        SortKey::Nodes => views::top_nodes(view, &found.scope, order),
    };
    if text.is_empty() && found.ids.is_empty() {
        print_no_resources(found.scope.namespace.as_deref());
    } else if text.is_empty() {
        output::print_error("metrics not available yet");
        return Ok(Exit::Missed);
    }
    out.write_all(text.as_bytes())?;
    Ok(Exit::Fine)
}
