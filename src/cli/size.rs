//! `wavetank size`: searches for the cheapest configuration that meets the objectives.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure};
use super::memory;
use super::output::{OutputOptions, print_warning};
use super::run::Form;
use super::scenario_arguments::Settings;
use files::{Loader, beside, write_file};
use report::text::Style;
use scenario::Override;
use size::patch::kustomization;
use size::recommendation::{Question, Recommendation, SizeError, recommend};
use size::search::SearchSettings;
use size::survive::Survive;
use size::text;
use size::tune::{DEFAULT, TuneList};

/// Options of `wavetank size`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wavetank size scenario.yaml
  wavetank size scenario.yaml --tune hpa,nodes,requests --survive node,rollout,node+rollout --headroom
  wavetank size scenario.yaml --tune cluster.nodePools[general].count=2,3,4,5 --patch sized/")]
pub struct Arguments {
    /// The scenario file, whose objectives must be met
    #[arg(value_name = "SCENARIO")]
    scenario: String,

    /// Settings to tune: hpa, behavior, replicas, stateful, requests, limits, memory, nodes, node-types, separated by
    /// commas, or any setting as PATH=A,B,C with the leanest value first; can be given several times
    /// [default: hpa,replicas,nodes,node-types]
    #[arg(long, value_name = "WHAT")]
    tune: Vec<TuneList>,

    /// Failures to survive at peak traffic: node, zone, rollout, or several at once such as node+rollout, separated by
    /// commas
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    survive: Vec<Survive>,

    /// Report how much more traffic the result can handle, and how few replicas will do
    #[arg(long)]
    headroom: bool,

    /// Number of runs after which no further settings are tried; those that race and confirm the result come on top
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,

    #[command(flatten)]
    settings: Settings,

    /// Number of seeds with which the cheapest candidates race against each other
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u32).range(3..=1000))]
    seeds: u32,

    /// Number of fresh seeds with all of which the winner must meet the objectives: 72 mean that 95 % of runs meet
    /// them, with 95 % confidence
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    confirm: u32,

    /// Smallest saving that makes a configuration cheaper than another, as a percentage of the cost
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    indifference: f64,

    /// Write the patches and a kustomization to this folder
    #[arg(long, value_name = "DIR")]
    patch: Option<PathBuf>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Runs the search and writes the recommendation.
pub fn run(
    arguments: &Arguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    if !(0.0..=100.0).contains(&arguments.indifference) {
        return Err(Failure::Input(format!(
            "--indifference {}: write a percentage from 0 to 100",
            arguments.indifference
        )));
    }
    let mut loader = Loader::default();
    let mut load = |settings: &[Override]| loader.load(&arguments.scenario, settings);
    let resolved = load(&arguments.settings.settings).map_err(Failure::Problems)?;
    memory::watch(&resolved);
    let tuned = arguments.tune.iter().flat_map(|list| list.0.clone());
    let tuned: Vec<_> = if arguments.tune.is_empty() { DEFAULT.to_vec() } else { tuned.collect() };
    let mut survive = arguments.survive.clone();
    survive.sort_unstable();
    survive.dedup();
    let question = Question {
        settings: arguments.settings.settings.clone(),
        tuned,
        survive,
        headroom: arguments.headroom,
        search: SearchSettings {
            racing: arguments.seeds,
            fresh: arguments.confirm,
            indifference: arguments.indifference / 100.0,
            units: arguments.runs,
            ..SearchSettings::default()
        },
        seed: arguments.settings.first_seed(&resolved),
    };
    let bar = options.counter("sizing", arguments.runs);
    // A failure to survive makes a case of every pool or zone, which the search knows.
    let answer = recommend(&mut load, &question, &|cases| {
        bar.set_length(arguments.runs * cases as u64);
        bar.inc(1);
    });
    bar.finish_and_clear();
    let answer = answer.map_err(|error| match error {
        SizeError::Problems(problems) => Failure::Problems(problems),
        SizeError::Input(message) => Failure::Input(format!("{}: {message}", arguments.scenario)),
    })?;
    if let Some(folder) = &arguments.patch {
        if answer.found {
            write_patches(folder, &arguments.scenario, &resolved.scenario().manifests, &answer)?;
        } else {
            print_warning(&format!(
                "{}: nothing is written, as there is nothing to recommend",
                folder.display()
            ));
        }
    }
    match arguments.output {
        Form::Text => {
            let given = arguments.settings.settings.iter().map(ToString::to_string);
            let command = command(&arguments.scenario, given.chain(answer.set.clone()));
            out.write_all(
                text::render(&answer, &command, Style { color: options.color }).as_bytes(),
            )?;
        }
        Form::Json => out.write_all(answer.json().as_bytes())?,
    }
    Ok(if answer.found { Exit::Fine } else { Exit::Missed })
}

/// The shell command that runs the scenario with these settings.
fn command(scenario: &str, settings: impl Iterator<Item = String>) -> String {
    let settings: Vec<String> = settings.map(|one| format!(" --set '{one}'")).collect();
    format!("wavetank run {scenario}{}", settings.concat())
}

/// Writes each patch to its own file, with a kustomization that applies them to the scenario's manifests.
fn write_patches(
    folder: &Path,
    scenario: &str,
    manifests: &[String],
    answer: &Recommendation,
) -> Result<(), Failure> {
    for patch in &answer.patches {
        let text = manifest::yaml::to_yaml(&patch.value);
        write_file(&folder.join(&patch.file), text.as_bytes()).map_err(Failure::Input)?;
    }
    let mut resources = Vec::new();
    for path in manifests {
        let path = beside(scenario, path);
        let sources = files::read_manifests(&path).map_err(Failure::Input)?;
        resources.extend(sources.iter().map(|source| files::from_folder(folder, &source.name)));
    }
    let text = kustomization(&resources, &answer.patches);
    write_file(&folder.join("kustomization.yaml"), text.as_bytes()).map_err(Failure::Input)
}
