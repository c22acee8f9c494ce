//! `wavetank get`, `describe`, `events`: the cluster at an instant of a run, as kubectl prints it.

use std::io::Write;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::at::{
    Choice, Found, Listed, Moment, TimeOfRun, Words, refuse, targets, tell_missing, tell_nothing,
};
use super::exit::{Exit, Failure};
use super::output::OutputOptions;
use cluster::Kind;
use manifest::yaml::to_yaml;
use views::{self, EventForm, Form, Order, Scope};

/// Options of `wavetank get`.
#[derive(Debug, clap::Args)]
pub struct GetArguments {
    /// What to list, as kubectl takes it: pods, deploy web, svc/web, deploy/SHOP/web, pods,deploy, all, events; and
    /// the scenario file [default: scenario.yaml]
    #[arg(value_name = "KIND [NAME] [SCENARIO]", required = true)]
    words: Vec<String>,

    #[command(flatten)]
    time: TimeOfRun,

    #[command(flatten)]
    choice: Choice,

    /// The form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: GetForm,

    /// A column with all labels
    #[arg(long)]
    show_labels: bool,

    /// Columns with the values of these labels
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,

    /// By what rows are sorted: .metadata.name, .metadata.creationTimestamp, and .lastTimestamp of events
    #[arg(long, value_name = "FIELD")]
    sort_by: Option<String>,
}

/// Forms of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum GetForm {
    /// A line for each
    #[default]
    Text,
    /// A line for each, with more columns
    Wide,
    /// The names
    Name,
    /// A List of objects
    Yaml,
    /// The same as JSON
    Json,
}

/// Options of `wavetank describe`.
#[derive(Debug, clap::Args)]
pub struct DescribeArguments {
    /// What to describe, as kubectl takes it: pod web-0, svc/web, deploy/SHOP/web, pods; and the scenario file
    /// [default: scenario.yaml]
    #[arg(value_name = "KIND [NAME] [SCENARIO]", required = true)]
    words: Vec<String>,

    #[command(flatten)]
    time: TimeOfRun,

    #[command(flatten)]
    choice: Choice,
}

/// Options of `wavetank events`.
#[derive(Debug, clap::Args)]
pub struct EventsArguments {
    /// The scenario file [default: scenario.yaml]
    #[arg(value_name = "SCENARIO")]
    words: Vec<String>,

    #[command(flatten)]
    time: TimeOfRun,

    #[command(flatten)]
    choice: Choice,

    /// Only those of this object
    #[arg(long = "for", value_name = "KIND/NAME")]
    of: Option<String>,

    /// Only those of these types: Normal, Warning
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
}

/// Lists objects.
pub fn get(
    arguments: &GetArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let words = Words::new(&arguments.words);
    let targets = match targets(&words.others) {
        Ok(targets) => targets,
        Err(message) => return Ok(refuse(&message)),
    };
    let scope = arguments.choice.scope()?;
    let mut form = Form {
        wide: arguments.output == GetForm::Wide,
        only_names: arguments.output == GetForm::Name,
        shows_labels: arguments.show_labels,
        label_columns: arguments.label_columns.clone(),
        shows_kind: targets.len() > 1,
        ..Form::default()
    };
    let mut by_time = false;
    if let Some(field) = &arguments.sort_by {
        match field.trim_matches(['{', '}']) {
            ".metadata.name" => {}
            ".metadata.creationTimestamp" => form.order = Order::Age,
            ".lastTimestamp" => by_time = true,
            _ => {
                let right = ".metadata.name, .metadata.creationTimestamp and .lastTimestamp";
                return Err(Failure::Input(format!(
                    "--sort-by {field}: rows are sorted by {right}"
                )));
            }
        }
    }
    let moment = arguments.time.simulate(words.scenario, options)?;
    let of_events =
        EventForm { as_objects: true, wide: form.wide, by_time, ..EventForm::default() };
    let (mut tables, mut items, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let is_as_objects = matches!(arguments.output, GetForm::Yaml | GetForm::Json);
    for target in &targets {
        let Listed::Kind(kind) = target.listed else {
            let scope = Scope { names: target.names.clone(), ..scope.clone() };
            if is_as_objects {
                items.extend(views::event_objects(moment.sight(), moment.log(), &scope));
            } else {
                tables.push(events_of(&moment, &scope, &of_events));
            }
            continue;
        };
        let found = moment.find(kind, target, &scope);
        missing.extend(found.missing);
        if found.ids.is_empty() {
            continue;
        }
        if is_as_objects {
            match views::objects(moment.sight().view, kind, &found.scope) {
                Some(objects) => items.extend(objects),
                None => return Ok(refuse(&no_form(kind))),
            }
        } else {
            tables.push(views::get(moment.sight(), kind, &found.scope, &form));
        }
    }
    // One object that is named comes by itself.
    let is_one = items.len() == 1 && targets.iter().all(|target| target.names.len() == 1);
    match arguments.output {
        GetForm::Yaml => out.write_all(to_yaml(&told(items, is_one)).as_bytes())?,
        GetForm::Json => writeln!(out, "{:#}", told(items, is_one))?,
        _ => {
            tables.retain(|table| !table.is_empty());
            let between = if form.only_names { "" } else { "\n" };
            out.write_all(tables.join(between).as_bytes())?;
            if tables.is_empty() && missing.is_empty() {
                let is_namespaced = |listed| match listed {
                    Listed::Kind(kind) => kind.is_namespaced(),
                    Listed::Events => true,
                };
                let any = targets.iter().any(|target| is_namespaced(target.listed));
                tell_nothing(scope.namespace.as_deref().filter(|_| any));
            }
        }
    }
    Ok(tell_missing(&missing))
}

fn no_form(kind: Kind) -> String {
    format!("error: a {kind} has no form as YAML or JSON here; ask for it without -o")
}

/// The only object, or a list.
fn told(mut items: Vec<Value>, is_one: bool) -> Value {
    match items.pop() {
        Some(only) if is_one => only,
        last => {
            items.extend(last);
            json!({ "apiVersion": "v1", "items": items, "kind": "List" })
        }
    }
}

fn events_of(moment: &Moment, scope: &Scope, form: &EventForm) -> String {
    views::events(moment.sight(), moment.log(), scope, form)
}

/// Shows objects in full.
pub fn describe(
    arguments: &DescribeArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let words = Words::new(&arguments.words);
    let targets = match targets(&words.others) {
        Ok(targets) => targets,
        Err(message) => return Ok(refuse(&message)),
    };
    let scope = arguments.choice.scope()?;
    let moment = arguments.time.simulate(words.scenario, options)?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for target in &targets {
        let Listed::Kind(kind) = target.listed else {
            return Err(Failure::Input(
                "events are listed, not described: `wavetank events`".to_owned(),
            ));
        };
        let Found { ids, missing: of_kind, .. } = moment.find(kind, target, &scope);
        missing.extend(of_kind);
        found.extend(ids.into_iter().map(|id| (kind, id)));
    }
    // As with kubectl, events are for one object.
    let is_one = found.len() == 1;
    let (sight, log) = (moment.sight(), moment.log());
    let pages =
        found.iter().filter_map(|(kind, id)| views::describe(sight, log, *kind, id, is_one));
    let pages: Vec<String> = pages.collect();
    out.write_all(pages.join("\n\n").as_bytes())?;
    if pages.is_empty() && missing.is_empty() {
        tell_nothing(scope.namespace.as_deref());
    }
    Ok(tell_missing(&missing))
}

/// Lists what happened.
pub fn events(
    arguments: &EventsArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let words = Words::new(&arguments.words);
    if let [extra, ..] = words.others[..] {
        return Err(Failure::Input(format!("{extra:?} is no scenario file")));
    }
    let mut scope = arguments.choice.scope()?;
    let mut form = EventForm { types: arguments.types.clone(), ..EventForm::default() };
    if let Some(object) = &arguments.of {
        let target = match super::at::single(&[object.as_str()]) {
            Ok(target) => target,
            Err(message) => return Ok(refuse(&message)),
        };
        if let Listed::Kind(kind) = target.listed {
            form.kind = Some(kind);
        }
        scope.names = target.names;
        scope.namespace = target.namespace.or(scope.namespace);
    }
    let moment = arguments.time.simulate(words.scenario, options)?;
    let text = events_of(&moment, &scope, &form);
    if text.is_empty() {
        super::output::tell(&match &scope.namespace {
            Some(namespace) => format!("No events found in {namespace} namespace."),
            None => "No events found.".to_owned(),
        });
    }
    out.write_all(text.as_bytes())?;
    Ok(Exit::Fine)
}
