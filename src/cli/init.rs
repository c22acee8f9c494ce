//! `wavetank init`: writes a commented starter scenario from manifests, and from traces if there are any.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Component, Path};

use super::exit::{Exit, Failure};
use super::init_traces::{TraceArguments, traced};
use super::output::warn;
use cluster::{NamespacedName, ObjectReference, Verbs};
use files::{SCHEMA_FILE, STANDARD_INPUT, load_scenario, read_manifests, write_file};
use manifest::{
    Diagnostic, Diagnostics, Manifest, Severity, Source, objects_of, read_documents,
    read_manifests as read_objects,
};
use scenario::inventory::Inventory;
use scenario::missing_services;
use scenario::schema::json_schema;
use scenario::starter::{NodeGroup, Starter};
use sim::Blueprint;

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

    #[command(flatten)]
    traces: TraceArguments,
}

/// Reads the manifests and writes the scenario, with the JSON Schema for editors beside it.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let (inventory, objects) = inventory(&arguments.manifests)?;
    if inventory.workloads.is_empty() {
        let what = arguments.manifests.join(", ");
        return Err(Failure::Input(format!(
            "{what}: nothing here runs pods; name the manifests of a Deployment, StatefulSet or the like"
        )));
    }
    let manifests: Vec<String> =
        arguments.manifests.iter().map(|path| seen_from(&arguments.output, path)).collect();
    let name = arguments.name.clone().unwrap_or_else(|| folder_name(&arguments.output));
    let traced = traced(&arguments.traces, &inventory)?;
    let starter = Starter {
        name: &name,
        manifests: &manifests,
        schema: SCHEMA_FILE,
        inventory: &inventory,
        traced: &traced,
        node_groups: &arguments.node_group,
    };
    let text = starter.text();
    let services = &inventory.services;
    let manifest = |object: &ObjectReference| objects.iter().find(|one| one.reference == *object);
    let is_there = |service: &NamespacedName| services.contains_key(service);
    for Diagnostic { object, field, message, .. } in
        missing_services(&inventory.routing, is_there, manifest)
    {
        warn(&format!("left out: {}: {field}: {message}", object.unwrap_or_default()));
    }
    if let Some(problems) = refused(&arguments.output, &text) {
        warn("no scenario is written: a run would refuse these manifests, as a cluster would");
        return Err(Failure::Problems(problems));
    }
    if arguments.output == STANDARD_INPUT {
        out.write_all(text.as_bytes())?;
        return Ok(Exit::Fine);
    }
    let path = Path::new(&arguments.output);
    if path.exists() && !arguments.force {
        let message = format!("{} exists; --force writes over it", path.display());
        return Err(Failure::Input(message));
    }
    let schema_path = path.with_file_name(SCHEMA_FILE);
    let schema = serde_json::to_string_pretty(&json_schema()).map_err(std::io::Error::from)?;
    write_file(path, text.as_bytes()).map_err(Failure::Input)?;
    write_file(&schema_path, format!("{schema}\n").as_bytes()).map_err(Failure::Input)?;
    writeln!(out, "wrote {} and {}", path.display(), schema_path.display())?;
    writeln!(
        out,
        "next: put your own figures where it says GUESS, then `wavetank run {}`",
        path.display()
    )?;
    Ok(Exit::Fine)
}

/// The objects at all paths; YAML documents that are not objects, such as settings of other tools, are skipped.
fn inventory(paths: &[String]) -> Result<(Inventory, Vec<Manifest>), Failure> {
    let mut all = Vec::new();
    let mut files = BTreeMap::<ObjectReference, Written>::new();
    let mut problems = Diagnostics::default();
    for path in paths {
        if path == STANDARD_INPUT {
            return Err(Failure::Input(
                "a scenario names its manifests, so they must be in a file; write them to one first"
                    .to_owned(),
            ));
        }
        match read_manifests(path) {
            Ok(sources) => {
                for source in sources {
                    let documents = read_documents(&source, &mut problems);
                    let manifests = objects_of(documents, &mut Diagnostics::default());
                    for Manifest { reference, value, .. } in
                        manifests.into_iter().filter(|one| !one.has_generated_name)
                    {
                        let files = files.entry(reference).or_default();
                        if workload_differs(files, &value) {
                            files.push((source.name.to_string(), value));
                        }
                    }
                    all.push(source);
                }
            }
            Err(message) => problems.push(Diagnostic::error("file", format!("{path}: {message}"))),
        }
    }
    if problems.has_errors() {
        return Err(Failure::Problems(problems));
    }
    let objects = read_objects(&all, &mut Diagnostics::default());
    let mut inventory = Inventory::default();
    inventory.add(&objects);
    let files = files.into_iter().filter(|(object, files)| {
        object.kind.can(Verbs::RUN_PODS) && !object.id.name.is_empty() && files.len() > 1
    });
    let files =
        files.map(|(object, files)| (object, files.into_iter().map(|(file, _)| file).collect()));
    match several_installations(&files.collect()) {
        Some(message) => Err(Failure::Input(message)),
        None => Ok((inventory, objects)),
    }
}

/// Files that contain an object, with its content in each.
type Written = Vec<(String, serde_json::Value)>;

/// True if the content differs from that in all files: identical copies count as one.
fn workload_differs(files: &Written, value: &serde_json::Value) -> bool {
    files.iter().all(|(_, other)| other != value)
}

/// The errors that a run would report; such a scenario is not written.
fn refused(path: &str, text: &str) -> Option<Diagnostics> {
    let resolved = load_scenario(&Source::new(path, text), &[]);
    let problems = match &resolved {
        Ok(resolved) => match Blueprint::new(resolved) {
            Ok(blueprint) => blueprint.world(resolved.scenario().seed).err(),
            Err(problems) => Some(problems),
        },
        Err(problems) => Some(problems.clone()),
    };
    let mut errors = Diagnostics::default();
    for problem in problems.iter().flat_map(Diagnostics::iter) {
        if problem.severity == Severity::Error {
            errors.push(problem.clone());
        }
    }
    (!errors.is_empty()).then_some(errors)
}

/// A note about workloads defined in several files: a repository often contains the same installation for several
/// tools, and only its owner knows which one is meant.
fn several_installations(files: &BTreeMap<ObjectReference, Vec<String>>) -> Option<String> {
    let (workload, of_first) = files.first_key_value()?;
    let others = match files.len() {
        1 => String::new(),
        count => format!(", and so do {} more", count - 1),
    };
    let folder = |file: &String| {
        let folder = Path::new(file).parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.map_or_else(|| file.clone(), |folder| folder.display().to_string())
    };
    let folders: BTreeSet<String> = files.values().flatten().map(folder).collect();
    let folders = folders.into_iter().collect::<Vec<_>>().join("\n  ");
    Some(format!(
        "the same objects stand here several times: {workload} in {}{others}; name the files or the one \
         folder that you apply:\n  {folders}",
        of_first.join(" and in ")
    ))
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

    #[test]
    fn a_repository_with_one_system_for_several_tools_is_refused_with_its_folders() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let of = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let deployment = |name: &str, replicas: usize| {
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{replicas: {replicas}}}\n"
            )
        };
        for (file, names) in
            [("plain/web.yaml", &["web"][..]), ("release/all.yaml", &["web", "api"])]
        {
            let text: Vec<String> =
                names.iter().map(|name| deployment(name, names.len())).collect();
            write_file(Path::new(&of(file)), text.join("---\n").as_bytes()).expect("written");
        }
        let refused = inventory(&[of("")]).map_err(|failure| format!("{failure:?}"));
        let refused = refused.expect_err("the same Deployment stands there twice");
        for told in ["Deployment/default/web in", "plain", "release"] {
            assert!(refused.contains(told), "{told}: {refused}");
        }
        let accepted = inventory(&[of("release")]).expect("each of them stands there once");
        assert_eq!(accepted.0.workloads.len(), 2);
    }
}
