//! Options by which a command selects objects at an instant of a run, with the syntax of kubectl, and the run up
//! to that instant.

use super::exit::{Exit, Failure};
use super::output::{self, OutputOptions};
use super::scenario_arguments::{DEFAULT_SCENARIO, Settings, is_file, load};
use cluster::NamespacedName;
use cluster::selector::Selector;
use cluster::{Kind, Role, Verbs};
use engine::parse_duration;
use engine::{SimDuration, SimTime};
use record::LogLine;
use report::figures::span;
use sim::{Blueprint, Simulation};
use views::{OF_ALL, Scope, Snapshot};

/// A time of a run.
#[derive(Debug, clap::Args)]
pub struct TimeOfRun {
    /// Time of the run, such as 20m [default: its end]
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    at: Option<SimDuration>,

    #[command(flatten)]
    settings: Settings,
}

/// Namespace and label selector.
#[derive(Debug, clap::Args)]
pub struct Choice {
    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// All namespaces (the default)
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,

    /// Only objects whose labels match, such as app=web,tier!=cache
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
}

impl Choice {
    /// The scope given by these options.
    pub fn scope(&self) -> Result<Scope, Failure> {
        let selector = self.selector.as_ref().map(|text| text.parse::<Selector>());
        let selector = selector.transpose().map_err(Failure::input)?;
        Ok(Scope { namespace: self.namespace.clone(), selector, ..Scope::default() })
    }
}

/// The positional arguments: the scenario file, and all others in order.
pub struct PositionalArguments<'a> {
    /// The scenario file.
    pub scenario: &'a str,
    /// The others.
    pub others: Vec<&'a str>,
}

impl<'a> PositionalArguments<'a> {
    /// Separates the scenario file from the other arguments.
    pub fn new(words: &'a [String]) -> Self {
        let file = words.iter().position(|word| is_file(word));
        let scenario = file.map_or(DEFAULT_SCENARIO, |file| &words[file]);
        let others = words.iter().enumerate().filter(|(position, _)| Some(*position) != file);
        Self { scenario, others: others.map(|(_, word)| word.as_str()).collect() }
    }
}

/// The kind of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The objects of a kind.
    Kind(Kind),
    /// Events.
    Events,
}

/// A kind with object names; without names, all objects of the kind.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind to list.
    pub listed: Listed,
    /// The namespace, if the argument itself gives one.
    pub namespace: Option<String>,
    /// Names of objects; empty for all.
    pub names: Vec<String>,
}

/// The targets of a command.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Those that a simulation holds.
    pub held: Vec<Target>,
    /// Messages about kinds of the API that it does not hold.
    pub not_held: Vec<String>,
}

impl Targets {
    /// Adds objects of a kind.
    fn add(
        &mut self,
        word: &str,
        namespace: Option<String>,
        names: &[String],
    ) -> Result<(), String> {
        let listed = match listed(word)? {
            Ok(listed) => listed,
            Err(why) => {
                self.not_held.push(why);
                return Ok(());
            }
        };
        self.held.push(Target { listed, namespace, names: names.to_vec() });
        Ok(())
    }

    fn checked(self) -> Result<Self, String> {
        match &self.not_held[..] {
            [first, ..] if self.held.is_empty() => Err(first.clone()),
            _ => Ok(self),
        }
    }
}

/// Parses `pods`, `deploy web`, `svc/web`, `deploy/shop/web`, `pods,deploy`, `all`. Errors are worded as by
/// kubectl. A kind that a simulation does not hold is an error if there is no other.
pub fn targets(words: &[&str]) -> Result<Targets, String> {
    let mut targets = Targets::default();
    if words.iter().any(|word| word.contains('/')) {
        for word in words {
            let parts: Vec<&str> = word.split('/').collect();
            let (kind, namespace, name) = match parts[..] {
                [kind, name] => (kind, None, name),
                [kind, namespace, name] => (kind, Some(namespace.to_owned()), name),
                _ => {
                    return Err("there is no need to specify a resource type as a separate argument when \
                                passing arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' \
                                instead of 'kubectl get resource resource/<resource_name>'"
                        .to_owned());
                }
            };
            targets.add(kind, namespace, &[name.to_owned()])?;
        }
        return targets.checked();
    }
    let [kinds, names @ ..] = words else {
        return Err("You must specify the type of resource to get.".to_owned());
    };
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    for word in kinds.split(',') {
        match word.to_ascii_lowercase().as_str() {
            "all" => {
                let of_kind = |kind| Target {
                    listed: Listed::Kind(kind),
                    namespace: None,
                    names: names.clone(),
                };
                targets.held.extend(OF_ALL.map(of_kind));
            }
            _ => targets.add(word, None, &names)?,
        }
    }
    let mut seen: Vec<Listed> = Vec::new();
    targets.held.retain(|target| {
        let is_new = !seen.contains(&target.listed);
        seen.push(target.listed);
        is_new
    });
    targets.checked()
}

/// The kind of a listing, or the reason why a simulation has none of it.
fn listed(word: &str) -> Result<Result<Listed, String>, String> {
    match word.to_ascii_lowercase().as_str() {
        "events" | "event" | "ev" => Ok(Ok(Listed::Events)),
        _ => match Kind::named(word) {
            Some(kind) if kind.can(Verbs::GET) => Ok(Ok(Listed::Kind(kind))),
            Some(kind) => Ok(Err(not_held(kind))),
            None => Err(format!("the server doesn't have a resource type {word:?}")),
        },
    }
}

/// Message for a kind of the API that the simulation does not hold.
fn not_held(kind: Kind) -> String {
    let resource = kind.resource();
    match kind.info().role {
        Role::LeftAside(why) => {
            format!("a simulation has no {resource}: {why}")
        }
        Role::Simulated => format!("a simulation keeps no {resource}"),
    }
}

/// Parses exactly one workload, for commands that concern a single one.
pub fn single(words: &[&str]) -> Result<Target, String> {
    match &targets(words)?.held[..] {
        [target] if target.names.len() == 1 => Ok(target.clone()),
        _ => Err("name one object, as KIND/NAME, KIND NAME or KIND/NAMESPACE/NAME".to_owned()),
    }
}

/// A simulation stopped at an instant.
pub struct StoppedRun {
    simulation: Simulation,
}

impl TimeOfRun {
    /// Runs the scenario up to and including this time.
    pub fn simulate(&self, scenario: &str, options: OutputOptions) -> Result<StoppedRun, Failure> {
        let resolved = load(scenario, &self.settings)?;
        let blueprint = Blueprint::new(&resolved).map_err(Failure::Problems)?;
        let seed = self.settings.first_seed(&resolved);
        let world = blueprint.world(seed).map_err(Failure::Problems)?;
        let end = resolved.scenario().duration;
        let until = self.at.unwrap_or(end);
        within_run("--at", self.at, end)?;
        let mut simulation = Simulation::new(world);
        let bar = options.progress_bar(100, "simulating");
        for step in 1..=100 {
            simulation.run_until(SimTime::from_nanos(until.as_nanos() / 100 * step));
            bar.inc(1);
        }
        simulation.run_until(SimTime::ZERO + until);
        bar.finish_and_clear();
        resolved.files.failed_trace().map_err(Failure::Problems)?;
        Ok(StoppedRun { simulation })
    }
}

/// Refuses a time after the end of the run.
pub(crate) fn within_run(
    option: &str,
    asked: Option<SimDuration>,
    end: SimDuration,
) -> Result<(), Failure> {
    match asked.filter(|asked| *asked > end) {
        None => Ok(()),
        Some(asked) => {
            let [asked, end] = [asked, end].map(|time| span(time.as_secs_f64()));
            let message = format!("{option} {asked} is after the end of the run: {end}");
            Err(Failure::Input(message))
        }
    }
}

impl StoppedRun {
    /// The cluster at this instant.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { view: self.simulation.view() }
    }

    /// Everything logged up to this instant.
    pub fn log(&self) -> &[LogLine] {
        &self.simulation.recorder().log
    }

    /// The objects of a target; for named objects that do not exist, the API server's error message. Searches
    /// all namespaces if none is given.
    pub fn find(&self, kind: Kind, target: &Target, scope: &Scope) -> Matches {
        let mut scope = scope.clone();
        scope.names.clone_from(&target.names);
        scope.namespace = target.namespace.clone().or(scope.namespace);
        let ids = views::names(self.snapshot(), kind, &scope);
        let is_there = |name: &&String| ids.iter().any(|id| *id.name == ***name);
        let missing: Vec<&String> = target.names.iter().filter(|name| !is_there(name)).collect();
        let missing = missing
            .into_iter()
            .map(|name| {
                format!("Error from server (NotFound): {} {name:?} not found", kind.resource())
            })
            .collect();
        // No namespace column for an object that was named.
        if let [only] = &ids[..]
            && !scope.names.is_empty()
        {
            scope.namespace = Some(only.namespace.to_string());
        }
        Matches { scope, ids, missing }
    }
}

/// Result of a search for objects.
pub struct Matches {
    /// Scope of the search.
    pub scope: Scope,
    /// Objects that exist.
    pub ids: Vec<NamespacedName>,
    /// Error messages for those that do not exist.
    pub missing: Vec<String>,
}

/// Prints the messages about missing objects; the exit code is kubectl's.
pub(crate) fn print_missing(missing: &[String]) -> Exit {
    for message in missing {
        output::print_message(message);
    }
    if missing.is_empty() { Exit::Fine } else { Exit::Missed }
}

/// Prints kubectl's message for an empty list.
pub(crate) fn print_no_resources(namespace: Option<&str>) {
    output::print_message(&match namespace {
        Some(namespace) => format!("No resources found in {namespace} namespace."),
        None => "No resources found".to_owned(),
    });
}

/// Prints an error in kubectl's format and returns its exit code.
pub fn refuse(message: &str) -> Exit {
    output::print_error(message);
    Exit::Missed
}
