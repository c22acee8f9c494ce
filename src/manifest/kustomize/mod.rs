//! Renders kustomizations to the objects that `kubectl kustomize` prints (kustomize 5), as far as they need neither
//! plugins nor the network. Unsupported features are errors that name them.
//!
//! The order is kustomize's: resources, generators, components, then patches, namespace, names, labels, annotations,
//! JSON patches, replicas and images, each applied to all previous results. Hashes are added last.

mod configurations;
mod fields;
mod generator;
mod hash;
mod json_patch;
mod merge;
mod names;
mod replacements;

use serde_json::{Map, Value};

use configurations::{Configurations, NameReference};

use super::diagnostic::{Diagnostic, Diagnostics, Location};
use super::yaml::{Source, read_documents};
use cluster::Kind;

/// File names of a kustomization within a folder.
pub const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Maximum depth of nested kustomizations.
const DEPTH: usize = 32;

/// File access of a kustomization.
pub trait Files {
    /// The content of a file.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
    /// True if the path is a folder.
    fn is_folder(&self, path: &str) -> bool;
}

/// An object being rendered.
#[derive(Clone, Debug)]
struct Resource {
    value: Value,
    /// Previous names of the object, oldest first, without the current one.
    earlier_names: Vec<String>,
    /// True if its name ends in a content hash.
    has_hash: bool,
}

impl Resource {
    fn new(value: Value) -> Self {
        Self { value, earlier_names: Vec::new(), has_hash: false }
    }

    fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn kind(&self) -> &str {
        self.text("/kind")
    }

    fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    fn group(&self) -> &str {
        self.text("/apiVersion").split_once('/').map_or("", |(group, _)| group)
    }

    fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// True if this is its name or was an earlier one.
    fn is_called(&self, name: &str) -> bool {
        self.name() == name || self.earlier_names.iter().any(|earlier| earlier == name)
    }

    fn rename(&mut self, name: &str) {
        if self.name() != name {
            self.earlier_names.push(self.name().to_owned());
            self.value["metadata"]["name"] = name.into();
        }
    }
}

/// Renders the kustomization in a folder.
pub fn render(folder: &str, files: &dyn Files) -> Result<Vec<Value>, Box<Diagnostic>> {
    let mut resources = Vec::new();
    let mut references = Vec::new();
    accumulate(folder, files, 0, (&mut resources, &mut references))?;
    names::add_hashes(&mut resources);
    configurations::follow(&references, &mut resources);
    Ok(resources.into_iter().map(|one| one.value).collect())
}

/// Paths of all other folders that a kustomization includes, relative to the same base as its own.
pub fn included_folders(folder: &str, files: &dyn Files) -> Vec<String> {
    let Ok((_, settings)) = settings(folder, files) else { return Vec::new() };
    let lists = ["resources", "bases", "components"].map(|field| texts(&settings, field));
    let paths = lists.into_iter().flatten().map(|path| join(folder, &path));
    paths.filter(|path| files.is_folder(path)).collect()
}

/// True if the folder has a Component, which any number of kustomizations may include without being variants of each other.
pub fn is_component(folder: &str, files: &dyn Files) -> bool {
    let settings = settings(folder, files).ok();
    let kind = settings.as_ref().and_then(|(_, settings)| settings.get("kind"));
    kind.and_then(Value::as_str) == Some(Kind::Component.name())
}

fn problem(file: &str, message: impl Into<String>) -> Box<Diagnostic> {
    Diagnostic::error("kustomize", message).at(Location::whole(&file.into())).into()
}

/// The same, with advice.
fn problem_with_help(
    file: &str,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Box<Diagnostic> {
    Diagnostic::error("kustomize", message).at(Location::whole(&file.into())).help(help).into()
}

/// The kustomization of a folder, with its file name.
fn settings(folder: &str, files: &dyn Files) -> Result<(String, Value), Box<Diagnostic>> {
    for name in FILE_NAMES {
        let path = join(folder, name);
        if let Ok(bytes) = files.read(&path) {
            let mut documents = documents(&path, &bytes)?;
            let settings = if documents.is_empty() { Value::Null } else { documents.remove(0) };
            return Ok((path, settings));
        }
    }
    Err(problem(folder, "no kustomization.yaml in this folder"))
}

fn documents(path: &str, bytes: &[u8]) -> Result<Vec<Value>, Box<Diagnostic>> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| problem(path, "the file is not UTF-8 text"))?;
    let mut diagnostics = Diagnostics::default();
    let documents = read_documents(&Source::new(path, text), &mut diagnostics);
    match diagnostics.iter().next() {
        Some(first) => Err(first.clone().into()),
        None => Ok(documents.into_iter().map(|document| document.value).collect()),
    }
}

/// Resolves a path relative to a folder and normalizes it.
pub fn join(folder: &str, path: &str) -> String {
    let is_absolute = path.starts_with('/') || folder.starts_with('/');
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut steps: Vec<&str> = Vec::new();
    for step in whole.split('/') {
        match step {
            "" | "." => {}
            ".." if steps.last().is_some_and(|last| *last != "..") => {
                steps.pop();
            }
            ".." if is_absolute => {}
            step => steps.push(step),
        }
    }
    let joined = steps.join("/");
    match (is_absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Supported fields, and fields that change no object.
const KNOWN: [&str; 26] = [
    "apiVersion",
    "kind",
    "metadata",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "resources",
    "bases",
    "components",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    "images",
    "replicas",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "buildMetadata",
    "sortOptions",
    "openapi",
    "crds",
    "configurations",
    "replacements",
];

fn texts(settings: &Value, field: &str) -> Vec<String> {
    let list = settings.get(field).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn maps<'a>(settings: &'a Value, field: &str) -> Vec<&'a Map<String, Value>> {
    let list = settings.get(field).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_object).collect()
}

fn accumulate(
    folder: &str,
    files: &dyn Files,
    depth: usize,
    (resources, references): (&mut Vec<Resource>, &mut Vec<NameReference>),
) -> Result<(), Box<Diagnostic>> {
    let (file, settings) = settings(folder, files)?;
    if depth > DEPTH {
        return Err(problem(&file, "kustomizations include each other in a cycle"));
    }
    let unknown = settings.as_object().into_iter().flatten().map(|(field, _)| field);
    if let Some(field) = unknown.into_iter().find(|field| !KNOWN.contains(&field.as_str())) {
        let message = format!("`{field}` is not supported");
        let help = "render it with `kubectl kustomize`, or kustomize itself, and use the output";
        return Err(problem_with_help(&file, message, help));
    }
    let context = Context { folder, file: &file, files };
    for field in ["resources", "bases"] {
        for path in texts(&settings, field) {
            context.add_resources(&path, depth, (resources, references))?;
        }
    }
    check_objects(&file, resources)?;
    generator::generate(&settings, &context, resources)?;
    for path in texts(&settings, "components") {
        let path = join(folder, &path);
        accumulate(&path, files, depth + 1, (resources, references))?;
    }
    let configurations = Configurations::read(&settings, &context)?;
    references.extend(configurations.names.iter().cloned());
    merge::patch_all(&settings, &context, resources)?;
    check_objects(&file, resources)?;
    fields::set_namespace(&settings, resources);
    configurations.set_namespace(&settings, resources);
    names::add_affixes(&settings, resources);
    configurations::follow(references, resources);
    fields::add_labels(&settings, resources);
    fields::add_annotations(&settings, resources);
    json_patch::patch_all(&settings, &context, resources)?;
    check_objects(&file, resources)?;
    fields::set_replicas(&settings, resources);
    fields::set_images(&settings, resources);
    replacements::replace_all(&settings, &context, resources)?;
    check_objects(&file, resources)
}

/// Fails if a manifest, or what a patch made of it, is no object with metadata.
fn check_objects(file: &str, resources: &[Resource]) -> Result<(), Box<Diagnostic>> {
    for Resource { value, .. } in resources {
        let metadata = value.get("metadata");
        let is_wrong = |metadata: &Value| !metadata.is_object() && !metadata.is_null();
        if !value.is_object() || metadata.is_some_and(is_wrong) {
            let shown: String = value.to_string().chars().take(60).collect();
            let message = format!("{shown} is no Kubernetes object");
            let help = "an object is a map with `apiVersion`, `kind` and `metadata: {name: ...}`";
            return Err(problem_with_help(file, message, help));
        }
    }
    Ok(())
}

/// The location of a kustomization.
struct Context<'a> {
    folder: &'a str,
    file: &'a str,
    files: &'a dyn Files,
}

impl Context<'_> {
    fn add_resources(
        &self,
        path: &str,
        depth: usize,
        (resources, references): (&mut Vec<Resource>, &mut Vec<NameReference>),
    ) -> Result<(), Box<Diagnostic>> {
        let is_remote = path.contains("://") || path.contains("?ref=") || path.starts_with("git@");
        let whole = join(self.folder, path);
        if self.files.is_folder(&whole) {
            let mut inner = Vec::new();
            accumulate(&whole, self.files, depth + 1, (&mut inner, references))?;
            resources.append(&mut inner);
            return Ok(());
        }
        let bytes = match self.files.read(&whole) {
            Ok(bytes) => bytes,
            Err(_) if is_remote || path.starts_with("github.com/") => {
                let message = format!("{path} is remote, and remote files are not fetched");
                let help = "render it with `kubectl kustomize` and use the output";
                return Err(problem_with_help(self.file, message, help));
            }
            Err(why) => return Err(problem(self.file, format!("{path}: {why}"))),
        };
        for value in documents(&whole, &bytes)? {
            let is_list =
                value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind == "List");
            match value.get("items").and_then(Value::as_array).filter(|_| is_list) {
                Some(items) => resources.extend(items.iter().cloned().map(Resource::new)),
                None if value.is_null() => {}
                None => resources.push(Resource::new(value)),
            }
        }
        Ok(())
    }

    /// Reads a file relative to the kustomization.
    fn read(&self, path: &str) -> Result<Vec<u8>, Box<Diagnostic>> {
        let read = self.files.read(&join(self.folder, path));
        read.map_err(|why| problem(self.file, format!("{path}: {why}")))
    }
}

/// The target of a patch.
#[derive(Debug, Default)]
struct Target {
    group: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    labels: Option<String>,
    annotations: Option<String>,
}

impl Target {
    fn of(fields: &Value) -> Self {
        let text = |field: &str| fields.get(field).and_then(Value::as_str).map(str::to_owned);
        Self {
            group: text("group"),
            kind: text("kind"),
            name: text("name"),
            namespace: text("namespace"),
            labels: text("labelSelector"),
            annotations: text("annotationSelector"),
        }
    }

    fn is_meant(&self, resource: &Resource) -> bool {
        let has = |pattern: &Option<String>, text: &str| {
            pattern.as_deref().is_none_or(|pattern| matches(pattern, text))
        };
        let marks = |selector: &Option<String>, pointer: &str| {
            let marks = resource.value.pointer(pointer);
            selector
                .as_deref()
                .is_none_or(|selector| selector.split(',').all(|one| has_mark(marks, one.trim())))
        };
        has(&self.group, resource.group())
            && has(&self.kind, resource.kind())
            && self.name.as_deref().is_none_or(|pattern| {
                let mut names = resource.earlier_names.iter().map(String::as_str);
                matches(pattern, resource.name()) || names.any(|name| matches(pattern, name))
            })
            && has(&self.namespace, resource.namespace())
            && marks(&self.labels, "/metadata/labels")
            && marks(&self.annotations, "/metadata/annotations")
    }
}

fn has_mark(marks: Option<&Value>, wanted: &str) -> bool {
    let value = |key: &str| marks.and_then(|marks| marks.get(key.trim())).and_then(Value::as_str);
    if let Some((key, text)) = wanted.split_once("!=") {
        return value(key) != Some(text.trim());
    }
    match wanted.split_once('=') {
        Some((key, text)) => value(key) == Some(text.trim_start_matches('=').trim()),
        None => value(wanted.trim_start_matches('!')).is_some() != wanted.starts_with('!'),
    }
}

/// True if a pattern matches a whole text; of the regular expressions in targets, `.*`, `.+` and `|` are supported.
fn matches(pattern: &str, text: &str) -> bool {
    let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
    let pattern =
        pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(pattern);
    pattern.split('|').any(|one| {
        let parts: Vec<&str> = one.split(".*").collect();
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
        if parts.len() == 1 {
            return *first == text
                || first
                    .strip_suffix(".+")
                    .is_some_and(|begin| text.len() > begin.len() && text.starts_with(begin));
        }
        let Some(rest) = text.strip_prefix(first) else { return false };
        let Some(mut rest) = rest.strip_suffix(last) else { return false };
        parts[1..parts.len() - 1].iter().all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    })
}

#[cfg(test)]
mod tests;
