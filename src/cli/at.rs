//! The options by which a command names objects at an instant of a run, as kubectl takes them, and the run up to
//! it.

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
use views::{OF_ALL, Scope, Sight};

/// A time of a run.
#[derive(Debug, clap::Args)]
pub struct TimeOfRun {
    /// The time of the run, such as 20m [default: its end]
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    at: Option<SimDuration>,

    #[command(flatten)]
    settings: Settings,
}

/// Namespace and labels of the objects that are meant.
#[derive(Debug, clap::Args)]
pub struct Choice {
    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// All namespaces, which is the default
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,

    /// Only objects whose labels match, such as app=web,tier!=cache
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
}

impl Choice {
    /// The objects that are meant, as far as these options say.
    pub fn scope(&self) -> Result<Scope, Failure> {
        let selector = self.selector.as_ref().map(|text| text.parse::<Selector>());
        let selector = selector.transpose().map_err(Failure::input)?;
        Ok(Scope { namespace: self.namespace.clone(), selector, ..Scope::default() })
    }
}

/// What the words of a command line name: the scenario file, and all else in its order.
pub struct Words<'a> {
    /// The scenario file.
    pub scenario: &'a str,
    /// The others.
    pub others: Vec<&'a str>,
}

impl<'a> Words<'a> {
    /// Tells the file from what else is named.
    pub fn new(words: &'a [String]) -> Self {
        let file = words.iter().position(|word| is_file(word));
        let scenario = file.map_or(DEFAULT_SCENARIO, |file| &words[file]);
        let others = words.iter().enumerate().filter(|(position, _)| Some(*position) != file);
        Self { scenario, others: others.map(|(_, word)| word.as_str()).collect() }
    }
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The objects of a kind.
    Kind(Kind),
    /// Events.
    Events,
}

/// Kinds, and the names of the objects that are meant: all of the kind if there are none.
#[derive(Clone, Debug)]
pub struct Target {
    /// What is listed.
    pub listed: Listed,
    /// Only in this namespace, where a word says so itself.
    pub namespace: Option<String>,
    /// The names.
    pub names: Vec<String>,
}

/// Reads `pods`, `deploy web`, `svc/web`, `deploy/shop/web`, `pods,deploy`, `all`. What kubectl would not know
/// is in its words.
pub fn targets(words: &[&str]) -> Result<Vec<Target>, String> {
    let mut targets: Vec<Target> = Vec::new();
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
            let names = vec![name.to_owned()];
            targets.push(Target { listed: listed(kind)?, namespace, names });
        }
        return Ok(targets);
    }
    let [kinds, names @ ..] = words else {
        return Err("You must specify the type of resource to get.".to_owned());
    };
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    for word in kinds.split(',') {
        let all = match word.to_ascii_lowercase().as_str() {
            "all" => OF_ALL.map(Listed::Kind).to_vec(),
            _ => vec![listed(word)?],
        };
        for listed in all {
            if !targets.iter().any(|target| target.listed == listed) {
                targets.push(Target { listed, namespace: None, names: names.clone() });
            }
        }
    }
    Ok(targets)
}

fn listed(word: &str) -> Result<Listed, String> {
    match word.to_ascii_lowercase().as_str() {
        "events" | "event" | "ev" => Ok(Listed::Events),
        _ => match Kind::named(word) {
            Some(kind) if kind.can(Verbs::GET) => Ok(Listed::Kind(kind)),
            Some(kind) => Err(not_held(kind)),
            None => Err(format!("the server doesn't have a resource type {word:?}")),
        },
    }
}

/// Why there is nothing to show of a kind that the API has.
fn not_held(kind: Kind) -> String {
    let resource = kind.resource();
    match kind.info().role {
        Role::LeftAside(why) | Role::PodsMissing(why) => {
            format!("a simulation has no {resource}: {why}")
        }
        Role::Simulated => format!("a simulation keeps no {resource}"),
    }
}

/// One object of a workload's kind, for the commands that are about one.
pub fn single(words: &[&str]) -> Result<Target, String> {
    match targets(words)?.as_slice() {
        [target] if target.names.len() == 1 => Ok(target.clone()),
        _ => Err("name one object, as KIND/NAME, KIND NAME or KIND/NAMESPACE/NAME".to_owned()),
    }
}

/// A simulation that has reached an instant.
pub struct Moment {
    simulation: Simulation,
}

impl TimeOfRun {
    /// The run of a scenario until this time is over.
    pub fn simulate(&self, scenario: &str, options: OutputOptions) -> Result<Moment, Failure> {
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
        Ok(Moment { simulation })
    }
}

/// Refuses a time after the end of a run, of which nothing is known.
pub fn within_run(
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

impl Moment {
    /// The cluster at that instant.
    pub fn sight(&self) -> Sight<'_> {
        Sight { view: self.simulation.view() }
    }

    /// What happened until then.
    pub fn log(&self) -> &[LogLine] {
        &self.simulation.recorder().log
    }

    /// The objects of a target; those that are named and are not there are told as the API server tells them.
    /// Objects are looked for in all namespaces if none is said.
    pub fn find(&self, kind: Kind, target: &Target, scope: &Scope) -> Found {
        let mut scope = scope.clone();
        scope.names.clone_from(&target.names);
        scope.namespace = target.namespace.clone().or(scope.namespace);
        let ids = views::names(self.sight(), kind, &scope);
        let is_there = |name: &&String| ids.iter().any(|id| *id.name == ***name);
        let missing: Vec<&String> = target.names.iter().filter(|name| !is_there(name)).collect();
        let missing = missing
            .into_iter()
            .map(|name| {
                format!("Error from server (NotFound): {} {name:?} not found", kind.resource())
            })
            .collect();
        // One that is named needs no column for its namespace.
        if let [only] = &ids[..]
            && !scope.names.is_empty()
        {
            scope.namespace = Some(only.namespace.to_string());
        }
        Found { scope, ids, missing }
    }
}

/// Objects that were found.
pub struct Found {
    /// Which are meant.
    pub scope: Scope,
    /// Those that are there.
    pub ids: Vec<NamespacedName>,
    /// What is said of those that are not.
    pub missing: Vec<String>,
}

/// Says what is missing; the exit code is kubectl's.
pub fn tell_missing(missing: &[String]) -> Exit {
    for message in missing {
        output::tell(message);
    }
    if missing.is_empty() { Exit::Fine } else { Exit::Missed }
}

/// What kubectl says where there is nothing to list.
pub fn tell_nothing(namespace: Option<&str>) {
    output::tell(&match namespace {
        Some(namespace) => format!("No resources found in {namespace} namespace."),
        None => "No resources found".to_owned(),
    });
}

/// An error in kubectl's words, with its exit code.
pub fn refuse(message: &str) -> Exit {
    output::complain(message);
    Exit::Missed
}
