//! `wavetank get`, `describe`, `events`: the cluster at an instant of a run, in kubectl's format.

use std::io::Write;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};

use super::at::{
    Choice, Listed, Matches, PositionalArguments, StoppedRun, Target, Targets, TimeOfRun,
    print_missing, print_no_resources, refuse, targets,
};
use super::exit::{Exit, Failure};
use super::output::{OutputOptions, print_message};
use cluster::Kind;
use manifest::yaml::to_yaml;
use views::{
    self, CustomColumns, EventForm, FieldSelector, Form, JsonPath, Scope, Selection, go_json,
};

/// Options of `wavetank get`.
#[derive(Debug, clap::Args)]
pub struct GetArguments {
    /// Objects to list, with kubectl's syntax: pods, deploy web, svc/web, deploy/SHOP/web, pods,deploy, all,
    /// events; and the scenario file [default: scenario.yaml]
    #[arg(value_name = "KIND [NAME] [SCENARIO]", required = true)]
    words: Vec<String>,

    #[command(flatten)]
    time: TimeOfRun,

    #[command(flatten)]
    choice: Choice,

    /// Output format: wide, name, yaml, json, jsonpath=TEMPLATE, jsonpath-as-json=TEMPLATE, or
    /// custom-columns=TITLE:PATH,...
    #[arg(short, long, value_name = "FORM", value_parser = GetForm::new, default_value = "text")]
    #[arg(hide_default_value = true)]
    output: GetForm,

    /// Add a column with all labels
    #[arg(long)]
    show_labels: bool,

    /// Add columns with the values of these labels
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,

    /// Sort by this field, such as .metadata.creationTimestamp
    #[arg(long, value_name = "PATH")]
    sort_by: Option<String>,

    /// Only objects with these field values, such as status.phase=Running,spec.nodeName!=n1
    #[arg(long, value_name = "FIELD=VALUE")]
    field_selector: Option<String>,
}

/// Output formats of a list.
#[derive(Clone, Debug, PartialEq)]
enum GetForm {
    /// One line per object.
    Text,
    /// One line per object, with additional columns.
    Wide,
    /// Names only.
    Name,
    /// A List of objects as YAML.
    Yaml,
    /// A List of objects as JSON.
    Json,
    /// A JSONPath template.
    Template(JsonPath, String),
    /// A JSONPath template with JSON output.
    TemplateAsJson(JsonPath, String),
    /// A table with one JSONPath per column.
    Columns(CustomColumns),
}

impl GetForm {
    fn new(text: &str) -> Result<Self, String> {
        let (name, argument) = text.split_once('=').unwrap_or((text, ""));
        let template = || {
            let empty = "template format specified but no template given";
            let argument = Some(argument).filter(|one| !one.is_empty()).ok_or(empty)?;
            let path = JsonPath::template(argument);
            let path = path.map_err(|why| format!("error parsing jsonpath {argument}, {why}"));
            Ok::<_, String>((path?, argument.to_owned()))
        };
        match name {
            "jsonpath" => template().map(|(path, text)| Self::Template(path, text)),
            "jsonpath-as-json" => template().map(|(path, text)| Self::TemplateAsJson(path, text)),
            "custom-columns" => CustomColumns::new(argument).map(Self::Columns),
            "text" => Ok(Self::Text),
            "wide" => Ok(Self::Wide),
            "name" => Ok(Self::Name),
            "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            _ => Err("the formats are custom-columns, json, jsonpath, jsonpath-as-json, name, text, wide, yaml"
                .to_owned()),
        }
    }

    /// True if the format needs complete objects.
    const fn is_of_objects(&self) -> bool {
        !matches!(self, Self::Text | Self::Wide | Self::Name)
    }
}

/// Options of `wavetank describe`.
#[derive(Debug, clap::Args)]
pub struct DescribeArguments {
    /// Objects to describe, with kubectl's syntax: pod web-0, svc/web, deploy/SHOP/web, pods; and the scenario file
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

    /// Only events of this object
    #[arg(long = "for", value_name = "KIND/NAME")]
    of: Option<String>,

    /// Only events of these types: Normal, Warning
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
}

/// Lists objects.
pub fn get(
    arguments: &GetArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let words = PositionalArguments::new(&arguments.words);
    let Targets { held: targets, not_held } = match targets(&words.others) {
        Ok(targets) => targets,
        Err(message) => return Ok(refuse(&message)),
    };
    let scope = arguments.choice.scope()?;
    let form = Form {
        wide: arguments.output == GetForm::Wide,
        only_names: arguments.output == GetForm::Name,
        shows_labels: arguments.show_labels,
        label_columns: arguments.label_columns.clone(),
        shows_kind: targets.len() + not_held.len() > 1,
    };
    let selection = match arguments.selection() {
        Ok(selection) => selection,
        Err(message) => return Ok(refuse(&message)),
    };
    let moment = arguments.time.simulate(words.scenario, options)?;
    let found = match find(&moment, &targets, &scope, &selection, &arguments.output, &form) {
        Ok(found) => found,
        Err(message) => {
            print_message(&message);
            return Ok(Exit::Missed);
        }
    };
    let Listing { mut tables, items, mut missing } = found;
    missing.extend(not_held.iter().map(|why| format!("error: {why}")));
    // A single named object is printed without a List.
    let is_one = items.len() == 1 && targets.iter().all(|target| target.names.len() == 1);
    match &arguments.output {
        GetForm::Text | GetForm::Wide | GetForm::Name => {
            tables.retain(|table| !table.is_empty());
            let between = if form.only_names { "" } else { "\n" };
            out.write_all(tables.join(between).as_bytes())?;
            if tables.is_empty() && missing.is_empty() {
                let is_namespaced = |listed| match listed {
                    Listed::Kind(kind) => kind.is_namespaced(),
                    Listed::Events => true,
                };
                let any = targets.iter().any(|target| is_namespaced(target.listed));
                print_no_resources(scope.namespace.as_deref().filter(|_| any));
            }
        }
        // Nothing is printed if all named objects are missing.
        _ if items.is_empty() && !missing.is_empty() => {}
        GetForm::Yaml => out.write_all(to_yaml(&output_value(items, is_one)).as_bytes())?,
        GetForm::Json => out.write_all(go_json_lines(&output_value(items, is_one)).as_bytes())?,
        GetForm::Template(path, template) => match path.text(&output_value(items, is_one)) {
            Ok(text) => out.write_all(text.as_bytes())?,
            Err(why) => return Ok(refuse(&not_executed(template, &why))),
        },
        GetForm::TemplateAsJson(path, template) => match path.results(&output_value(items, is_one))
        {
            Ok(parts) => {
                for part in parts {
                    out.write_all(go_json_lines(&part).as_bytes())?;
                }
            }
            Err(why) => return Ok(refuse(&not_executed(template, &why))),
        },
        GetForm::Columns(columns) => match columns.table(&items) {
            Ok(text) => out.write_all(text.as_bytes())?,
            Err(why) => return Ok(refuse(&why)),
        },
    }
    Ok(print_missing(&missing))
}

impl GetArguments {
    /// The filter and sort order of the options.
    fn selection(&self) -> Result<Selection, String> {
        let fields = self.field_selector.as_deref().unwrap_or_default();
        let sort_text = self.sort_by.clone().unwrap_or_default();
        Ok(Selection {
            fields: FieldSelector::new(fields)?,
            sort_by: self.sort_by.as_deref().map(JsonPath::relaxed).transpose()?,
            sort_text,
        })
    }
}

/// The objects to list, as tables or as objects.
#[derive(Default)]
struct Listing {
    tables: Vec<String>,
    items: Vec<Value>,
    missing: Vec<String>,
}

/// Searches for all targets; errors are worded as by the API server or kubectl.
fn find(
    moment: &StoppedRun,
    targets: &[Target],
    scope: &Scope,
    selection: &Selection,
    output: &GetForm,
    form: &Form,
) -> Result<Listing, String> {
    let mut listing = Listing::default();
    let snapshot = moment.snapshot();
    for target in targets {
        let Listed::Kind(kind) = target.listed else {
            let scope = Scope { names: target.names.clone(), ..scope.clone() };
            if output.is_of_objects() {
                let items = views::event_objects(snapshot, moment.log(), &scope, selection)?;
                listing.items.extend(items);
            } else {
                let form = EventForm {
                    as_objects: true,
                    wide: form.wide,
                    selection: selection.clone(),
                    ..EventForm::default()
                };
                listing.tables.push(views::events(snapshot, moment.log(), &scope, &form)?);
            }
            continue;
        };
        if kind == Kind::Endpoints {
            print_message(
                "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
            );
        }
        let found = moment.find(kind, target, scope);
        listing.missing.extend(found.missing);
        if found.ids.is_empty() {
            // An unsupported field selector is an error even for an empty list.
            selection.among(snapshot, kind, found.scope)?;
            continue;
        }
        let scope = selection.among(snapshot, kind, found.scope)?;
        if output.is_of_objects() {
            listing.items.extend(views::objects(snapshot.view, kind, &scope));
        } else {
            listing.tables.push(views::get(snapshot, kind, &scope, form));
        }
    }
    Ok(listing)
}

fn not_executed(template: &str, why: &str) -> String {
    format!("error executing jsonpath {template:?}: Error executing template: {why}")
}

/// JSON formatted as by kubectl.
fn go_json_lines(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let indent = PrettyFormatter::with_indent(b"    ");
    let mut serializer = Serializer::with_formatter(&mut bytes, indent);
    value.serialize(&mut serializer).expect("JSON values can be written");
    go_json(&String::from_utf8_lossy(&bytes)) + "\n"
}

/// The only object, or a List.
fn output_value(mut items: Vec<Value>, is_one: bool) -> Value {
    match items.pop() {
        Some(only) if is_one => only,
        last => {
            items.extend(last);
            json!({
                "apiVersion": "v1",
                "items": items,
                "kind": "List",
                "metadata": { "resourceVersion": "" },
            })
        }
    }
}

/// Shows objects in full.
pub fn describe(
    arguments: &DescribeArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let words = PositionalArguments::new(&arguments.words);
    let Targets { held: targets, not_held } = match targets(&words.others) {
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
        let Matches { ids, missing: of_kind, .. } = moment.find(kind, target, &scope);
        missing.extend(of_kind);
        found.extend(ids.into_iter().map(|id| (kind, id)));
    }
    // Like kubectl, show events for a single object only, or for those whose names begin with the given one.
    let mut has_events = found.len() == 1;
    if let ([_, prefix], [Target { listed: Listed::Kind(kind), .. }]) =
        (&words.others[..], &targets[..])
        && !missing.is_empty()
    {
        let all = Target { names: Vec::new(), ..targets[0].clone() };
        let ids = moment.find(*kind, &all, &scope).ids.into_iter();
        found = ids.filter(|id| id.name.starts_with(prefix)).map(|id| (*kind, id)).collect();
        if !found.is_empty() {
            missing.clear();
            has_events = true;
        }
    }
    let (snapshot, log) = (moment.snapshot(), moment.log());
    let pages =
        found.iter().filter_map(|(kind, id)| views::describe(snapshot, log, *kind, id, has_events));
    let pages: Vec<String> = pages.collect();
    out.write_all(pages.join("\n\n").as_bytes())?;
    if pages.is_empty() && missing.is_empty() {
        print_no_resources(scope.namespace.as_deref());
    }
    missing.extend(not_held.iter().map(|why| format!("error: {why}")));
    Ok(print_missing(&missing))
}

/// Lists events.
pub fn events(
    arguments: &EventsArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let words = PositionalArguments::new(&arguments.words);
    if let [extra, ..] = words.others[..] {
        return Err(Failure::Input(format!("{extra:?} is not a scenario file")));
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
    let text = views::events(moment.snapshot(), moment.log(), &scope, &form);
    let text = text.map_err(Failure::Input)?;
    if text.is_empty() {
        print_message(&match &scope.namespace {
            Some(namespace) => format!("No events found in {namespace} namespace."),
            None => "No events found.".to_owned(),
        });
    }
    out.write_all(text.as_bytes())?;
    Ok(Exit::Fine)
}
