//! `wavetank init`: writes a commented starter scenario from manifests, and from traces if there are any.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Component, Path};

use super::exit::{Exit, Failure};
use super::init_choice::{Choice, choose};
use super::init_refusals::{refusals, refused};
use super::init_traces::{TraceArguments, traced};
use super::output::print_warning;
use cluster::kind::CUSTOM_RESOURCES;
use cluster::{Kind, NamespacedName, ObjectReference};
use files::{HelmCharts, SCHEMA_FILE, STANDARD_INPUT, create_folder_of, is_chart, write_file};
use manifest::{
    Diagnostic, Diagnostics, GENERATED_NAME, Manifest, Source, meaning_of_unknown,
    read_manifests as read_objects, without,
};
use scenario::inventory::Inventory;
use scenario::schema::json_schema;
use scenario::starter::{NodeGroup, OmittedObject, Starter};
use scenario::{HelmChart, missing_ports, missing_services};

/// Options of `wavetank init`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Manifests: files, folders, or patterns such as 'k8s/*.yaml'
    #[arg(value_name = "MANIFESTS", required = true)]
    manifests: Vec<String>,

    /// The file to write; - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "scenario.yaml")]
    output: String,

    /// Name of the scenario [default: the name of the folder it is written to]
    #[arg(long)]
    name: Option<String>,

    /// Overwrite existing files
    #[arg(long)]
    force: bool,

    /// A node group scaled by the Cluster Autoscaler, with instance type (listed by `wavetank catalog`), minimum and
    /// maximum size; can be given several times. NodePools in the manifests enable Karpenter
    #[arg(long, value_name = "NAME=TYPE:MIN:MAX")]
    node_group: Vec<NodeGroup>,

    /// A file of values for a Helm chart among the paths, as `helm template --values` takes it; can be given several times
    #[arg(long, value_name = "FILE")]
    values: Vec<String>,

    #[command(flatten)]
    traces: TraceArguments,
}

/// Reads the manifests and writes the scenario, with the JSON Schema for editors next to it.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    if arguments.manifests.iter().any(|path| path == STANDARD_INPUT) {
        let message = "a scenario refers to its manifests by path; save them to a file first";
        return Err(Failure::Input(message.to_owned()));
    }
    if Path::new(&arguments.output).is_dir() || arguments.output.ends_with('/') {
        let file = Path::new(&arguments.output).join("scenario.yaml");
        let message = format!(
            "{} is a folder, but a scenario is a file: write `-o {}`",
            arguments.output,
            file.display()
        );
        return Err(Failure::Input(message));
    }
    if arguments.output != STANDARD_INPUT {
        // Paths in the scenario begin at its folder.
        create_folder_of(Path::new(&arguments.output)).map_err(Failure::Input)?;
    }
    let started = started(arguments)?;
    for (path, why) in &started.choice.left {
        print_warning(&format!("skipped: {path}: {why}"));
    }
    for OmittedObject { object, why } in &started.left_out {
        print_warning(&format!("left out, because a run refuses it: {object}: {why}"));
    }
    for problem in &started.problems {
        print_warning(problem);
    }
    let text = started.text;
    if arguments.output == STANDARD_INPUT {
        out.write_all(text.as_bytes())?;
        return Ok(Exit::Fine);
    }
    let path = Path::new(&arguments.output);
    if path.exists() && !arguments.force {
        let message = format!("{} exists; use --force to overwrite it", path.display());
        return Err(Failure::Input(message));
    }
    let schema_path = path.with_file_name(SCHEMA_FILE);
    let schema = serde_json::to_string_pretty(&json_schema()).map_err(std::io::Error::from)?;
    // The scenario names the schema, so it comes last.
    write_file(&schema_path, format!("{schema}\n").as_bytes()).map_err(Failure::Input)?;
    write_file(path, text.as_bytes()).map_err(Failure::Input)?;
    writeln!(out, "wrote {} and {}", path.display(), schema_path.display())?;
    writeln!(
        out,
        "next: replace the values marked GUESS with your own, then `wavetank run {}`",
        path.display()
    )?;
    Ok(Exit::Fine)
}

/// A scenario that runs, and the manifests it leaves out.
struct Started {
    text: String,
    choice: Choice,
    left_out: Vec<OmittedObject>,
    /// Warnings about route backends without a Service or without its port, pods without a machine, and objects without a
    /// name.
    problems: Vec<String>,
}

/// Writes the scenario, leaving out rejected objects until a run would accept it.
fn started(arguments: &Arguments) -> Result<Started, Failure> {
    let charts = charts(arguments)?;
    let with_values = HelmCharts::new(charts.iter().cloned());
    let mut excluded = BTreeMap::new();
    let mut left_out: Vec<OmittedObject> = Vec::new();
    let mut first: Option<Diagnostics> = None;
    loop {
        let choice = choose(&arguments.manifests, &with_values, &excluded)?;
        for one in &choice.unreadable {
            if left_out.iter().all(|known| known.object != one.object) {
                left_out.push(one.clone());
            }
        }
        let mut said = Diagnostics::default();
        let objects = objects(&choice.sources, &left_out, &mut said);
        let mut inventory = Inventory::default();
        inventory.add(&objects);
        if inventory.workloads.is_empty() {
            return Err(nothing_runs(arguments, &choice, &objects, first));
        }
        let (text, doubts) = text(arguments, &inventory, &choice, &left_out, &charts)?;
        let Some(refused) = refused(&arguments.output, &text) else {
            let mut problems = missing_backends(&inventory, &objects);
            problems.extend(doubts);
            problems.extend(generated_names(&said));
            return Ok(Started { text, choice, left_out, problems });
        };
        let mut refusals = refusals(&refused, &choice.sources);
        // The API server may accept another variant of a workload that it refuses.
        let (others, objects): (Vec<_>, Vec<_>) = refusals.objects.into_iter().partition(|one| {
            let file = refusals.places.get(&one.object);
            choice.other_variants.contains(&one.object)
                && file.is_some_and(|file| !arguments.manifests.contains(file))
        });
        refusals.objects = objects;
        for OmittedObject { object, why } in others {
            if let Some(file) = refusals.places.get(&object) {
                let why = format!("a run refuses {object}: {why}");
                refusals.files.entry(file.clone()).or_insert(why);
            }
        }
        let problems = refused;
        let first = first.get_or_insert(problems);
        let is_known =
            |one: &OmittedObject| left_out.iter().any(|known| known.object == one.object);
        if refusals.is_empty() || refusals.objects.iter().any(is_known) {
            print_warning(
                "no scenario written: a run would reject these manifests, as a cluster would",
            );
            return Err(Failure::Problems(std::mem::take(first)));
        }
        left_out.extend(refusals.objects);
        // A file given by its own path is not skipped.
        let is_named = |file: &String| arguments.manifests.contains(file);
        if refusals.files.keys().any(is_named) {
            return Err(Failure::Problems(std::mem::take(first)));
        }
        excluded.extend(refusals.files);
    }
}

/// The scenario, and the reasons why some pods in it stay pending.
fn text(
    arguments: &Arguments,
    inventory: &Inventory,
    choice: &Choice,
    left_out: &[OmittedObject],
    charts: &[HelmChart],
) -> Result<(String, Vec<String>), Failure> {
    let here = |path: &str| seen_from(&arguments.output, path);
    let manifests: Vec<String> = choice.paths.iter().map(|path| here(path)).collect();
    let not_taken: Vec<(String, String)> =
        choice.left.iter().map(|(path, why)| (here(path), why.clone())).collect();
    let charts: Vec<HelmChart> = charts
        .iter()
        .map(|chart| HelmChart {
            path: here(&chart.path),
            values_files: chart.values_files.iter().map(|file| here(file)).collect(),
            ..chart.clone()
        })
        .collect();
    let name = arguments.name.clone().unwrap_or_else(|| folder_name(&arguments.output));
    let traced = traced(&arguments.traces, inventory)?;
    let starter = Starter {
        name: &name,
        manifests: &manifests,
        not_taken: &not_taken,
        left_out,
        helm_charts: &charts,
        schema: SCHEMA_FILE,
        inventory,
        traced: &traced,
        node_groups: &arguments.node_group,
    };
    Ok((starter.text(), starter.doubts()))
}

/// The charts among the given paths, with their values files.
fn charts(arguments: &Arguments) -> Result<Vec<HelmChart>, Failure> {
    if arguments.values.is_empty() {
        return Ok(Vec::new());
    }
    let charts: Vec<HelmChart> = arguments
        .manifests
        .iter()
        .filter(|path| is_chart(Path::new(path)))
        .map(|path| HelmChart { values_files: arguments.values.clone(), ..HelmChart::of(path) })
        .collect();
    if charts.is_empty() {
        let message = "--values applies to Helm charts, but none of these paths is one";
        return Err(Failure::Input(message.to_owned()));
    }
    Ok(charts)
}

/// The objects in these sources, except those left out. Documents that are not objects, such as tool settings, are skipped.
fn objects(
    sources: &[Source],
    left_out: &[OmittedObject],
    said: &mut Diagnostics,
) -> Vec<Manifest> {
    let omitted: Vec<String> = left_out.iter().map(|one| one.object.clone()).collect();
    let mut met = BTreeSet::new();
    let sources: Vec<Source> =
        sources.iter().map(|source| without(source, &omitted, &mut met)).collect();
    read_objects(&sources, said)
}

/// The reason why there is nothing to simulate: rejected objects, else the objects that were found, and skipped files.
fn nothing_runs(
    arguments: &Arguments,
    choice: &Choice,
    objects: &[Manifest],
    refused: Option<Diagnostics>,
) -> Failure {
    if let Some(problems) = refused {
        print_warning(
            "no scenario written: a run would reject these manifests, as a cluster would",
        );
        return Failure::Problems(problems);
    }
    let what = arguments.manifests.join(", ");
    let message = format!(
        "{what}: no object here runs pods; name the manifests of a Deployment, StatefulSet or similar"
    );
    let message =
        found_kinds(objects).into_iter().fold(message, |message, found| message + "\n  " + &found);
    let not_taken = choice.left.iter().map(|(path, why)| format!("\n  skipped: {path}: {why}"));
    Failure::Input(not_taken.fold(message, |message, line| message + &line))
}

/// Maximum number of kinds that are named.
const FOUND_KINDS: usize = 8;

/// The most frequent kinds of these objects with their meaning for a simulation: first those whose controllers apply
/// manifests, last those that are simulated.
fn found_kinds(objects: &[Manifest]) -> Vec<String> {
    let mut kinds: BTreeMap<(bool, &str, &str), usize> = BTreeMap::new();
    for one in objects {
        let is_known = one.reference.kind != Kind::CustomResource;
        *kinds.entry((is_known, &one.kind, &one.api_version)).or_default() += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|((is_known, kind, api_version), count)| {
        let is_plain = meaning_of_unknown(api_version, kind) == CUSTOM_RESOURCES;
        (*is_known, is_plain, Reverse(*count))
    });
    let more = kinds.len().saturating_sub(FOUND_KINDS);
    let lines = kinds.into_iter().take(FOUND_KINDS);
    let lines = lines.map(|((is_known, kind, api_version), count)| {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let of_group = if is_known { String::new() } else { format!("{group} ") };
        let meaning = match meaning_of_unknown(api_version, kind) {
            _ if is_known => String::new(),
            meaning => format!(", not simulated: {meaning}"),
        };
        format!("found: {count} {of_group}{kind}{meaning}")
    });
    lines.chain((more > 0).then(|| format!("and {more} more kinds"))).collect()
}

/// Warnings about objects with `generateName`, which a scenario needs a name for.
fn generated_names(said: &Diagnostics) -> Vec<String> {
    let generated = said.iter().filter(|one| one.code == GENERATED_NAME);
    let line = |one: &Diagnostic| {
        let (object, help) = (one.object.clone().unwrap_or_default(), one.help.clone());
        format!("{object}: {}; {}", one.message, help.unwrap_or_default())
    };
    generated.map(line).collect()
}

fn missing_backends(inventory: &Inventory, objects: &[Manifest]) -> Vec<String> {
    let manifest = |object: &ObjectReference| objects.iter().find(|one| one.reference == *object);
    let is_there = |service: &NamespacedName| inventory.services.contains_key(service);
    let missing = missing_services(&inventory.routing, is_there, manifest).into_iter();
    let missing = missing.chain(missing_ports(&inventory.routing, manifest));
    let lines = missing.map(|Diagnostic { object, field, message, .. }| {
        let object = object.unwrap_or_default();
        format!("no traffic is written for this route: {object}: {field}: {message}")
    });
    lines.collect()
}

/// A path given relative to the working directory, as seen from the scenario file.
fn seen_from(scenario: &str, path: &str) -> String {
    let folder = Path::new(scenario).parent().unwrap_or(Path::new(""));
    if folder.as_os_str().is_empty() || scenario == STANDARD_INPUT {
        return path.to_owned();
    }
    let parts = |path| -> Vec<Component<'_>> {
        Path::components(path).filter(|part| *part != Component::CurDir).collect()
    };
    let (from, to) = (parts(folder), parts(Path::new(path)));
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let (up, down) = (&from[shared..], &to[shared..]);
    if Path::new(path).is_absolute() && !up.is_empty() {
        return path.to_owned();
    }
    if up.iter().all(|part| matches!(part, Component::Normal(_))) {
        let up = up.iter().map(|_| "..".to_owned());
        let down = down.iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let relative = up.chain(down).collect::<Vec<_>>().join("/");
        return if relative.is_empty() { ".".to_owned() } else { relative };
    }
    std::path::absolute(path).map_or(path.to_owned(), |path| path.to_string_lossy().into_owned())
}

fn folder_name(scenario: &str) -> String {
    let path = std::path::absolute(scenario).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
    folder.filter(|_| scenario != STANDARD_INPUT).map_or("starter".to_owned(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_named_from_the_scenarios_folder() {
        for (scenario, path, named) in [
            ("scenario.yaml", "k8s", "k8s"),
            ("a/b/scenario.yaml", "k8s/app.yaml", "../../k8s/app.yaml"),
            ("a/scenario.yaml", "/srv/k8s", "/srv/k8s"),
            ("a/scenario.yaml", "a/k8s/app.yaml", "k8s/app.yaml"),
            ("a/b/scenario.yaml", "./a/k8s", "../k8s"),
            ("../a/scenario.yaml", "../a/k8s", "k8s"),
            ("a/scenario.yaml", "a", "."),
            ("a/scenario.yaml", "../k8s", "../../k8s"),
            ("/srv/scenario.yaml", "/srv/k8s", "k8s"),
            ("/srv/scenarios/scenario.yaml", "/srv/k8s", "/srv/k8s"),
            ("-", "k8s", "k8s"),
        ] {
            assert_eq!(seen_from(scenario, path), named);
        }
    }
}
