//! `wavetank explain`: a controller's decision, with its time, reasons and numbers.

use std::fmt::Display;
use std::io::Write;

use serde_json::{Value, json};

use super::at::within_run;
use super::exit::{Exit, Failure};
use super::run::Form;
use super::scenario_arguments::{DEFAULT_SCENARIO, Settings, is_file, load, object_and_scenario};
use super::{explain_call, explain_cost, explain_pod};
use cluster::{Kind, ObjectReference, Verbs};
use engine::parse_duration;
use engine::{SimDuration, SimTime};
use sim::{Blueprint, Simulation, World};
use views;

/// Version of the JSON output of explanations.
pub(super) const FORMAT_VERSION: &str = "1.0";
/// Options of `wavetank explain`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The object: KIND/NAME or KIND/NAMESPACE/NAME; `cost` or `cost/WORKLOAD` for the sums behind the bill; or
    /// `call FROM TO`, where each end is such a name of a pod, workload or Service, an address, or `clients`
    #[arg(value_name = "OBJECT", required = true, num_args = 1..=4)]
    words: Vec<String>,

    /// The decision in force at this time of the run, such as 20m, including decisions within that second
    /// [default: the end of the run]
    #[arg(long, value_parser = parse_duration, value_name = "TIME", conflicts_with_all = ["from", "to"])]
    at: Option<SimDuration>,

    /// All decisions from this time on: a table, with those that changed something in full
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    from: Option<SimDuration>,

    /// End of the period given by --from [default: the end of the run]
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    to: Option<SimDuration>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,

    #[command(flatten)]
    settings: Settings,
}

/// The subject of the question, and the scenario.
enum Question<'a> {
    Object(ObjectReference, &'a str),
    Call { from: &'a str, to: &'a str, scenario: &'a str },
    Cost { workload: Option<&'a str>, scenario: &'a str },
}

impl<'a> Question<'a> {
    const fn scenario(&self) -> &'a str {
        let (Self::Object(_, scenario) | Self::Call { scenario, .. } | Self::Cost { scenario, .. }) =
            self;
        scenario
    }
}

/// Parses the positional arguments; the scenario file may come before or after the subject.
fn asked(words: &[String]) -> Result<Question<'_>, Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (scenario, words) = match words[..] {
        [file, ref rest @ ..]
            if rest.first().is_some_and(|word| *word == "call" || is_cost(word))
                && is_file(file) =>
        {
            (file, rest)
        }
        [word, file] if is_cost(word) => (file, &words[..1]),
        ["call", _, _, file] => (file, &words[..3]),
        _ => (DEFAULT_SCENARIO, &words[..]),
    };
    match *words {
        ["call", from, to] => Ok(Question::Call { from, to, scenario }),
        ["call", ..] => Err(Failure::Input(
            "a call has two ends: wavetank explain call FROM TO, such as call \
             Deployment/shop/web Service/shop/db"
                .to_owned(),
        )),
        [word] if is_cost(word) => {
            let workload = word.split_once('/').map(|(_, workload)| workload);
            Ok(Question::Cost { workload, scenario })
        }
        [object] => named(object, None),
        [object, scenario] => named(object, Some(scenario)),
        _ => Err(Failure::Input("name one object and one scenario".to_owned())),
    }
}

/// Whether a word names the bill: `cost`, or `cost/WORKLOAD`.
fn is_cost(word: &str) -> bool {
    word.split('/').next() == Some("cost")
}

fn named<'a>(object: &'a str, scenario: Option<&'a str>) -> Result<Question<'a>, Failure> {
    let (object, scenario) = object_and_scenario(object, scenario)?;
    Ok(Question::Object(object, scenario))
}

/// Runs the scenario up to the time and writes the decision.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let asked = asked(&arguments.words)?;
    let scenario = asked.scenario();
    if let Question::Cost { workload, .. } = asked {
        return explain_cost::run(workload, scenario, &arguments.settings, arguments.output, out);
    }
    let resolved = load(scenario, &arguments.settings)?;
    let seed = arguments.settings.seed.unwrap_or(resolved.scenario().seed);
    let blueprint = Blueprint::new(&resolved).map_err(Failure::Problems)?;
    let mut world = blueprint.world(seed).map_err(Failure::Problems)?;
    let is_json = arguments.output == Form::Json;
    let is_span = arguments.from.is_some() || arguments.to.is_some();
    for (option, asked) in
        [("--at", arguments.at), ("--from", arguments.from), ("--to", arguments.to)]
    {
        within_run(option, asked, world.duration)?;
    }
    let end = SimTime::ZERO + world.duration;
    // A period shows every sync, so none may be skipped.
    world.controllers.hpa.repeats_quiet_syncs &= !is_span;
    let from_time = match (arguments.from, arguments.at) {
        (Some(from), _) => SimTime::ZERO + from,
        (None, Some(at)) => end_of_second(SimTime::ZERO + at),
        (None, None) if is_span => SimTime::ZERO,
        (None, None) => end,
    };
    let object = match asked {
        Question::Call { from, to, .. } => {
            return explain_call::run(world, (from, to), from_time, is_json, out);
        }
        Question::Object(object, _) => object,
        // Answered above: it needs the whole run.
        Question::Cost { .. } => return Ok(Exit::Fine),
    };
    let from = from_time;
    if object.kind == Kind::Pod {
        return explain_pod::run(&world, &object.id, from, is_json, out);
    }
    if object.kind == Kind::Node {
        return explain_node(world, &object, from, is_json, out);
    }
    if !object.kind.can(Verbs::EXPLAIN) {
        return Err(Failure::Input(format!(
            "a {} makes no decisions to explain; use hpa/NAME, so/NAME and sj/NAME for KEDA, kpa/NAME for Knative, cq/NAME for Kueue, \
             vpa/NAME, node/NAME or pod/NAME, or `wavetank describe` for other objects",
            object.kind
        )));
    }
    let to = match arguments.to {
        Some(to) => SimTime::ZERO + to,
        None if is_span => end,
        None => from,
    };
    if to < from {
        return Err(Failure::Input(format!("--to {to} is before --from {from}")));
    }
    let mut simulation = Simulation::new(world);
    simulation.run_until(from);
    let names_its_namespace =
        arguments.words.iter().any(|word| !is_file(word) && word.matches('/').count() == 2);
    let object = if names_its_namespace { object } else { in_its_namespace(&simulation, &object) };
    if is_json {
        return write_json(&mut simulation, &object, to, out);
    }
    if is_span {
        return write_span(&mut simulation, &object, to, out);
    }
    match simulation.explain(&object) {
        Some(text) => writeln!(out, "{}", text.trim_end())?,
        None => return Err(nothing_decided(&simulation, &object, to)),
    }
    Ok(Exit::Fine)
}

/// Why a node was added, kept or removed, as of this time.
fn explain_node(
    world: World,
    object: &ObjectReference,
    at: SimTime,
    as_json: bool,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let mut simulation = Simulation::new(world);
    simulation.run_until(at);
    let name = &object.id.name;
    let Some(history) = simulation.explain_node(name) else {
        return Err(Failure::Input(format!(
            "there was no node {name} up to {}; `wavetank get nodes --at TIME` lists them",
            at.floor_to_second()
        )));
    };
    let answer = as_json.then(|| {
        let mut answer = history.to_json();
        answer["formatVersion"] = json!(FORMAT_VERSION);
        answer["atSeconds"] = json!(at.floor_to_second().as_secs_f64());
        answer
    });
    write_history(at, answer.as_ref(), &history, out)
}

/// Writes an explanation as of this time, as JSON if it has that form, otherwise as text.
pub(super) fn write_history(
    at: SimTime,
    answer: Option<&Value>,
    history: &impl Display,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    if let Some(answer) = answer {
        serde_json::to_writer_pretty(&mut *out, answer).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "at {}", at.floor_to_second())?;
        write!(out, "{history}")?;
    }
    Ok(Exit::Fine)
}

/// The last instant of the second that begins at this time, if it is a whole second: reports print whole seconds, and a
/// control loop decides some milliseconds into one.
fn end_of_second(at: SimTime) -> SimTime {
    let second = SimDuration::from_secs(1).as_nanos();
    match at.as_nanos() % second {
        0 => SimTime::from_nanos(at.as_nanos() + second - 1),
        _ => at,
    }
}

/// Resolves a name without namespace to the only object of that name in any namespace.
fn in_its_namespace(simulation: &Simulation, object: &ObjectReference) -> ObjectReference {
    let all = simulation.autoscalers(object.kind);
    let mut others = all.iter().filter(|other| other.id.name == object.id.name);
    match (all.contains(object), others.next(), others.next()) {
        (false, Some(only), None) if *object.id.namespace == *"default" => only.clone(),
        _ => object.clone(),
    }
}

/// All decisions from now until `to`: a table, with those that changed something in full. Decisions without a table row
/// are always written in full.
fn write_span(
    simulation: &mut Simulation,
    object: &ObjectReference,
    to: SimTime,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let (mut rows, mut in_full, mut last) = (Vec::new(), Vec::new(), None);
    loop {
        let row = simulation.explain_as_row(object);
        let is_new = row.as_ref() != rows.last();
        match row {
            Some(row) if is_new => {
                in_full.extend(simulation.explain(object).filter(|_| row.is_change));
                rows.push(row);
            }
            Some(_) => {}
            None => {
                let explanation = simulation.explain(object);
                // Omit decisions identical to the previous one.
                let content =
                    explanation.as_ref().and_then(|text| Some(text.split_once(": ")?.1.to_owned()));
                if content != last {
                    in_full.extend(explanation);
                    last = content;
                }
            }
        }
        if simulation.next_time().is_none_or(|next| next > to) {
            break;
        }
        simulation.step();
    }
    if rows.is_empty() && in_full.is_empty() {
        return Err(nothing_decided(simulation, object, to));
    }
    write!(out, "{}", views::span(&rows))?;
    if !rows.is_empty() && !in_full.is_empty() {
        writeln!(out, "\nThe decisions that changed the number of replicas, in full:\n")?;
    }
    for (number, text) in in_full.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(Exit::Fine)
}

/// All decisions from now until `to`, with their times in seconds.
fn write_json(
    simulation: &mut Simulation,
    object: &ObjectReference,
    to: SimTime,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let mut decisions: Vec<_> = simulation.explain_as_json(object).into_iter().collect();
    while simulation.next_time().is_some_and(|next| next <= to) {
        simulation.step();
        let now = simulation.explain_as_json(object);
        if now.as_ref() != decisions.last() {
            decisions.extend(now);
        }
    }
    if decisions.is_empty() {
        return Err(nothing_decided(simulation, object, to));
    }
    let answer = json!({
        "format_version": FORMAT_VERSION,
        "object": object.to_string(),
        "decisions": decisions,
    });
    writeln!(out, "{answer:#}")?;
    Ok(Exit::Fine)
}

fn nothing_decided(simulation: &Simulation, object: &ObjectReference, by: SimTime) -> Failure {
    let all = simulation.autoscalers(object.kind);
    let short = |object: &ObjectReference| {
        let names = object.kind.info().short_names;
        format!("{}/{}", names.first().unwrap_or(&object.kind.name()), object.id)
    };
    let (named, by) = (short(object), by.floor_to_second());
    if all.contains(object) {
        return Failure::Input(format!(
            "no decision about {named} until {by}; an HPA decides for the first time one sync period after its creation"
        ));
    }
    let known: Vec<String> = all.iter().map(short).collect();
    let known = match known.as_slice() {
        [] => format!("there is no {}", object.kind),
        known => format!("there is {}", known.join(", ")),
    };
    Failure::Input(format!("{named} does not exist by {by}; {known}"))
}
