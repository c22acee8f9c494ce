//! Splits documents into objects, each identified by kind, namespace and name. The contents of objects are not
//! checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::derived::add_derived;
use super::diagnostic::{Diagnostic, Diagnostics, Location};
use super::expand::expand;
use super::kinds::{Treatment, is_read, kind_of, treatment};
use super::path::FieldPath;
use super::schema::QUOTES_HELP;
use super::yaml::{Document, Positions, Source, read_manifest_documents};
use cluster::{Kind, Name, NamespacedName, ObjectReference, Verbs};

/// The rule about objects with `generateName`.
pub const GENERATED_NAME: &str = "generated-name";

/// An object as written by the user.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its `apiVersion`.
    pub api_version: Name,
    /// Its `kind` as written, for messages.
    pub kind: Name,
    /// Kind, namespace and name. For an object with `generateName`, the prefix serves as name.
    pub reference: ObjectReference,
    /// True if the API server generates its name.
    pub has_generated_name: bool,
    /// Kind and name of the object that a controller made it from, if it is not as written.
    pub made_from: Option<(Name, NamespacedName)>,
    /// Its content, without defaults.
    pub value: Value,
    /// Its position in the input.
    pub origin: Origin,
}

/// The position of an object in the input.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The name of the text.
    pub source: Arc<str>,
    /// Positions of its fields.
    pub positions: Positions,
}

impl Origin {
    /// The start of the object.
    pub fn place(&self) -> Location {
        self.positions.place(&self.source, &FieldPath::ROOT)
    }

    /// The position of a field, or of its nearest existing parent.
    pub fn place_of(&self, path: &str) -> Location {
        self.positions.place_of(&self.source, path)
    }
}

impl Manifest {
    /// The name of the object in messages: `Deployment shop/web`.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind, self.reference.id)
    }
}

/// The objects in documents, in order. Anything else is reported.
pub fn objects_of(documents: Vec<Document>, diagnostics: &mut Diagnostics) -> Vec<Manifest> {
    let mut manifests = Vec::new();
    for Document { source, value, positions } in documents {
        split(value, Origin { source, positions }, &mut manifests, diagnostics);
    }
    manifests
}

/// Reads all objects of all texts, in order. Anything else is reported, and so are duplicates.
pub fn read_manifests(sources: &[Source], diagnostics: &mut Diagnostics) -> Vec<Manifest> {
    let mut manifests = Vec::new();
    for source in sources {
        if source.is_skipped() {
            let message = "contains no Kubernetes object and is skipped";
            let note = Diagnostic::note("passed-over", message).at(Location::whole(&source.name));
            diagnostics.push(note.help("a manifest needs apiVersion, kind and metadata"));
            continue;
        }
        // Its objects were left out on purpose.
        if source.is_emptied && source.text.trim_matches(['-', '\n', '\r', ' ']).is_empty() {
            continue;
        }
        let problems_before = diagnostics.len();
        let documents = read_manifest_documents(source, diagnostics);
        if documents.is_empty() && diagnostics.len() == problems_before {
            diagnostics.push(
                Diagnostic::error("empty", "contains no object")
                    .at(Location::whole(&source.name))
                    .help("a manifest needs apiVersion, kind and metadata"),
            );
        }
        manifests.append(&mut objects_of(documents, diagnostics));
    }
    leave_out_copies(&mut manifests, diagnostics);
    settle_duplicates(&mut manifests, diagnostics);
    name_generated(&mut manifests, diagnostics);
    let mut manifests = expand(manifests, diagnostics);
    add_derived(&mut manifests, diagnostics);
    manifests
}

/// Completes generated names, so that reports can tell the objects apart and scenarios can refer to them. Pods get theirs
/// when they are created.
fn name_generated(manifests: &mut [Manifest], diagnostics: &mut Diagnostics) {
    let mut counts: BTreeMap<(Name, ObjectReference), usize> = BTreeMap::new();
    for manifest in manifests {
        if !manifest.has_generated_name || manifest.reference.kind == Kind::Pod {
            continue;
        }
        let count = counts.entry((manifest.kind.clone(), manifest.reference.clone())).or_default();
        // The API server generates five random characters; these are also from its alphabet.
        let drawn: String = format!("{count:05}").chars().map(letter).collect();
        *count += 1;
        let name = format!("{}{drawn}", manifest.reference.id.name);
        let message = format!("`kubectl apply` refuses a generated name; here it is {name}");
        let problem = Diagnostic::warning(GENERATED_NAME, message)
            .at(manifest.origin.place_of("metadata.generateName"))
            .of(manifest.label())
            .help("write `metadata.name`, or create it with `kubectl create`");
        diagnostics.push(Diagnostic { field: "metadata.generateName".to_owned(), ..problem });
        manifest.reference.id.name = name.into();
    }
}

/// Maps a digit to a letter.
fn letter(digit: char) -> char {
    const LETTERS: [char; 10] = ['b', 'c', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm'];
    digit.to_digit(10).and_then(|digit| LETTERS.get(digit as usize)).copied().unwrap_or('x')
}

/// Removes identical copies of an object, which are one object to `kubectl apply`.
fn leave_out_copies(manifests: &mut Vec<Manifest>, diagnostics: &mut Diagnostics) {
    let mut seen: BTreeMap<(Name, ObjectReference), Vec<usize>> = BTreeMap::new();
    let mut copies = Vec::new();
    for (place, manifest) in manifests.iter().enumerate() {
        if manifest.has_generated_name || manifest.reference.id.name.is_empty() {
            continue;
        }
        let earlier = seen.entry((manifest.kind.clone(), manifest.reference.clone())).or_default();
        let original = earlier.iter().find(|place| manifests[**place].value == manifest.value);
        match original {
            Some(original) => copies.push((place, *original)),
            None => earlier.push(place),
        }
    }
    for (copy, original) in &copies {
        let (copy, original) = (&manifests[*copy], &manifests[*original]);
        diagnostics.push(
            Diagnostic::note(
                "copied-object",
                "is defined twice with equal content: it counts once",
            )
            .at(copy.origin.place())
            .of(copy.label())
            .related(original.origin.place(), "first defined here"),
        );
    }
    let copies: BTreeSet<usize> = copies.into_iter().map(|(copy, _)| copy).collect();
    let mut place = 0;
    manifests.retain(|_| {
        place += 1;
        !copies.contains(&(place - 1))
    });
}

/// Reads an object, or a list of objects, embedded in another document with the name `source`; positions of fields
/// are unknown.
pub fn read_value(value: Value, source: &str, diagnostics: &mut Diagnostics) -> Vec<Manifest> {
    let mut manifests = Vec::new();
    let origin = Origin { source: source.into(), positions: Positions::unknown() };
    split(value, origin, &mut manifests, diagnostics);
    manifests
}

/// Splits a `List`, or a list of one kind such as `DeploymentList`.
fn split(
    mut value: Value,
    origin: Origin,
    manifests: &mut Vec<Manifest>,
    diagnostics: &mut Diagnostics,
) {
    let is_list =
        value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    let items = value.get_mut("items").filter(|_| is_list).map(Value::take);
    match items {
        Some(Value::Array(items)) => {
            let nested = origin.positions.into_field("items").into_items();
            for (mut item, positions) in items.into_iter().zip(nested) {
                identify_item(&value, &mut item);
                let origin = Origin { source: Arc::clone(&origin.source), positions };
                split(item, origin, manifests, diagnostics);
            }
        }
        Some(Value::Null) => {}
        Some(_) => diagnostics.push(
            Diagnostic::error("wrong-type", "must be a list of objects")
                .at(origin.place_of("items"))
                .field(&FieldPath::ROOT.field("items")),
        ),
        None => match identified(value, origin) {
            Ok(manifest) => manifests.push(manifest),
            Err(problem) => diagnostics.push(*problem),
        },
    }
}

/// Items of a typed list may omit kind and apiVersion (`UnstructuredList`).
fn identify_item(list: &Value, item: &mut Value) {
    let text = |field: &str| list.get(field).and_then(Value::as_str);
    let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else { return };
    let Some(kind) = kind.strip_suffix("List").filter(|kind| !kind.is_empty()) else { return };
    let Some(fields) = item.as_object_mut() else { return };
    for (field, text) in [("apiVersion", api_version), ("kind", kind)] {
        if fields.get(field).is_none_or(Value::is_null) {
            fields.insert(field.to_owned(), text.into());
        }
    }
}

fn identified(value: Value, origin: Origin) -> Result<Manifest, Box<Diagnostic>> {
    if !value.is_object() {
        let message = "is a list or plain text, not a Kubernetes object";
        return Err(Diagnostic::error("no-object", message)
            .at(origin.place())
            .help("an object needs apiVersion, kind and metadata, each on its own line")
            .into());
    }
    let api_version = text_at(&value, &origin, &["apiVersion"], "such as apps/v1")?;
    let kind = text_at(&value, &origin, &["kind"], "such as Deployment")?;
    let generated = value.pointer("/metadata/generateName").and_then(Value::as_str);
    let generated =
        generated.filter(|_| value.pointer("/metadata/name").is_none_or(Value::is_null));
    let name = match generated {
        Some(prefix) => prefix.to_owned(),
        None if is_read(&api_version, &kind) => {
            text_at(&value, &origin, &["metadata", "name"], "the name of the object")?
        }
        // Files of tools such as kustomize resemble objects but have no name.
        None => value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("").to_owned(),
    };
    let namespace = value.pointer("/metadata/namespace").and_then(Value::as_str);
    let namespace = namespace.filter(|namespace| !namespace.is_empty()).unwrap_or("default");
    let known = kind_of(&api_version, &kind);
    Ok(Manifest {
        reference: ObjectReference::new(known, namespace, name),
        api_version: api_version.into(),
        kind: kind.into(),
        has_generated_name: generated.is_some(),
        made_from: None,
        value,
        origin,
    })
}

fn text_at(
    value: &Value,
    origin: &Origin,
    path: &[&str],
    what: &str,
) -> Result<String, Box<Diagnostic>> {
    let found = path.iter().try_fold(value, |value, step| value.get(step));
    let path = path.join(".");
    let problem = |code, message: String| {
        let mut problem = Diagnostic::error(code, message).at(origin.place_of(&path));
        problem.field.clone_from(&path);
        problem
    };
    match found {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        None | Some(Value::Null | Value::String(_)) => {
            Err(problem("missing-field", format!("Required value: {what}")).into())
        }
        Some(other) => {
            let message = format!("Invalid value: {other}: must be text");
            Err(problem("wrong-type", message).help(QUOTES_HELP).into())
        }
    }
}

/// Resolves differing duplicates. `kubectl apply` applies them one after the other, the last one winning; but two
/// workloads with the same name are probably a mistake, and a claim is immutable.
fn settle_duplicates(manifests: &mut Vec<Manifest>, diagnostics: &mut Diagnostics) {
    let mut seen: BTreeMap<(Name, Name, ObjectReference), usize> = BTreeMap::new();
    let mut written_over = BTreeSet::new();
    for (place, manifest) in manifests.iter().enumerate() {
        if manifest.has_generated_name || manifest.reference.id.name.is_empty() {
            continue;
        }
        let group = manifest.api_version.split_once('/').map_or("", |(group, _)| group);
        let key = (Name::from(group), manifest.kind.clone(), manifest.reference.clone());
        let Some(earlier) = seen.insert(key.clone(), place) else { continue };
        let is_left_aside =
            matches!(treatment(&manifest.api_version, &manifest.kind), Treatment::LeftAside { .. });
        let kind = manifest.reference.kind;
        let problem = if kind.can(Verbs::RUN_PODS) {
            Diagnostic::error("duplicate-object", "is defined twice")
                .help("keep one, or change the other's name or namespace")
        } else if kind == Kind::PersistentVolumeClaim {
            seen.insert(key, earlier);
            written_over.insert(place);
            Diagnostic::warning(
                "duplicate-object",
                "is defined twice: the first one counts, because a claim is immutable",
            )
            .help("keep one of them")
        } else {
            written_over.insert(earlier);
            let message =
                "is defined twice: this one counts, because `kubectl apply` overwrites the first";
            let sort = if is_left_aside { Diagnostic::note } else { Diagnostic::warning };
            sort("duplicate-object", message).help("keep one of them")
        };
        let first = manifests[earlier].origin.place();
        let problem = problem.at(manifest.origin.place()).of(manifest.label());
        diagnostics.push(problem.related(first, "first defined here"));
    }
    let mut place = 0;
    manifests.retain(|_| {
        place += 1;
        !written_over.contains(&(place - 1))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Manifest>, String) {
        let mut diagnostics = Diagnostics::default();
        let manifests = read_manifests(&[Source::new("test.yaml", text)], &mut diagnostics);
        (manifests, diagnostics.to_string())
    }

    fn labels(text: &str) -> Vec<String> {
        let (manifests, problems) = read(text);
        assert_eq!(problems, "");
        manifests.iter().map(Manifest::label).collect()
    }

    #[test]
    fn lists_are_split_and_every_object_knows_its_line() {
        let text = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}}
- apiVersion: apps/v1
  kind: DeploymentList
  items:
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
- {apiVersion: v1, kind: List, items: null}
";
        assert_eq!(labels(text), ["Service shop/web", "Deployment default/web"]);
        let (manifests, _) = read(text);
        assert_eq!(manifests[1].origin.place().line, 9);
        assert_eq!(manifests[1].origin.place_of("metadata.name").line, 11);
    }

    #[test]
    fn cluster_scoped_kinds_have_no_namespace_and_generated_names_are_completed() {
        let text = "{apiVersion: v1, kind: Node, metadata: {name: a, namespace: x}}\n---\n\
                    {apiVersion: batch/v1, kind: Job, metadata: {generateName: load-}}\n---\n\
                    {apiVersion: batch/v1, kind: Job, metadata: {generateName: load-}}\n";
        let (manifests, problems) = read(text);
        let labels: Vec<String> = manifests.iter().map(Manifest::label).collect();
        assert_eq!(labels, ["Node a", "Job default/load-bbbbb", "Job default/load-bbbbc"]);
        let told = "warning: test.yaml:5: Job default/load-: metadata.generateName: `kubectl apply` refuses a generated name; \
                    here it is load-bbbbc\n  help: write `metadata.name`, or create it with `kubectl create`\n";
        assert!(problems.ends_with(told), "{problems}");
    }

    #[test]
    fn two_documents_with_one_name_are_told_with_both_places_and_kubectl_decides() {
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n";
        let (copies, problems) = read(&format!("{service}---\n{service}"));
        assert_eq!(copies.len(), 1);
        assert!(problems.starts_with(
            "note: test.yaml:5: Service default/web: is defined twice with equal content"
        ));
        let (services, problems) = read(&format!("{service}---\n{service}spec: {{}}\n"));
        assert_eq!(
            problems,
            "warning: test.yaml:5: Service default/web: is defined twice: this one counts, because `kubectl apply` \
             overwrites the first\n  test.yaml:1: first defined here\n  help: keep one of them\n"
        );
        assert_eq!((services.len(), services[0].origin.place().line), (1, 5));
        let claim = service.replace("Service", "PersistentVolumeClaim");
        let (claims, problems) = read(&format!("{claim}---\n{claim}spec: {{}}\n"));
        assert!(problems.starts_with("warning: test.yaml:5: "), "{problems}");
        assert_eq!((claims.len(), claims[0].origin.place().line), (1, 1));
        let pod = service.replace("Service", "Pod");
        let (_, problems) = read(&format!("{pod}---\n{pod}spec: {{}}\n"));
        assert!(problems.starts_with("error: test.yaml:5: Pod default/web: is defined twice\n"));
    }

    #[test]
    fn files_that_were_found_and_are_no_manifests_are_passed_over_with_a_note() {
        let found = |text: &str| {
            let mut diagnostics = Diagnostics::default();
            let source = Source { is_found: true, ..Source::new("a.json", text) };
            let count = read_manifests(&[source], &mut diagnostics).len();
            (count, diagnostics.to_string())
        };
        for text in ["", "# comment\n", "{\"rows\": []}", "{\"a\": 1}\n{\"a\": 2}\n"] {
            let (count, told) = found(text);
            assert_eq!(count, 0);
            assert!(told.starts_with("note: a.json: contains no Kubernetes object"), "{told}");
        }
        // One of which a part is missing is a manifest with a mistake.
        let (_, told) = found("apiVersion: v1\nkinds: Pod\nmetadata: {name: a}\n");
        assert!(told.starts_with("error: a.json:1: kind: Required value"), "{told}");
    }

    #[test]
    fn what_is_no_object_is_an_error_that_says_what_is_missing() {
        for (text, problem) in [
            ("", "error: test.yaml: contains no object"),
            ("# only a comment\n---\n", "error: test.yaml: contains no object"),
            ("just text\n", "error: test.yaml:1: is a list or plain text"),
            ("- a\n- b\n", "error: test.yaml:1: is a list or plain text"),
            ("kind: Pod\n", "error: test.yaml:1: apiVersion: Required value: such as apps/v1"),
            ("apiVersion: v1\n", "error: test.yaml:1: kind: Required value: such as Deployment"),
            (
                "apiVersion: 1\nkind: Pod\n",
                "error: test.yaml:1: apiVersion: Invalid value: 1: must be text",
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata:\n  nam: a\n",
                "error: test.yaml:3: metadata.name: Required value",
            ),
            (
                "apiVersion: v1\nkind: List\nitems: {}\n",
                "error: test.yaml:3: items: must be a list",
            ),
        ] {
            let (manifests, problems) = read(text);
            assert!(problems.starts_with(problem), "{problems}");
            assert!(manifests.is_empty());
        }
    }
}
