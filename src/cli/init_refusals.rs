//! Objects that the API server would reject: `wavetank init` leaves them out, as `kubectl apply` continues without them.

use std::collections::BTreeMap;

use files::load_scenario;
use manifest::{
    Diagnostic, Diagnostics, Manifest, Severity, Source, kustomize, objects_of, omission,
    read_manifest_documents,
};
use scenario::starter::OmittedObject;
use sim::Blueprint;

/// Objects and files to leave out so that the rest runs.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Rejected objects, each with the first reason.
    pub(super) objects: Vec<OmittedObject>,
    /// The files of these objects.
    pub(super) places: BTreeMap<String, String>,
    /// Files with an error outside of any named object, with the reason.
    pub(super) files: BTreeMap<String, String>,
}

impl Refusals {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.files.is_empty()
    }
}

/// The errors for which a run of this scenario would be refused.
pub(super) fn refused(path: &str, text: &str) -> Option<Diagnostics> {
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

/// Locates the errors in objects and files. Errors outside of the manifests are ignored.
pub(super) fn refusals(problems: &Diagnostics, sources: &[Source]) -> Refusals {
    let mut refusals = Refusals::default();
    for problem in problems {
        let Some(source) = source_of(problem, sources) else { continue };
        let why = match problem.field.as_str() {
            "" => problem.message.clone(),
            field => format!("{field}: {}", problem.message),
        };
        match object_at(problem, source).filter(|_| problem.code != "duplicate-object") {
            Some(object) => {
                if refusals.objects.iter().all(|one| one.object != object) {
                    refusals.places.insert(object.clone(), source.name.to_string());
                    refusals.objects.push(OmittedObject { object, why });
                }
            }
            None if problem.code == "duplicate-object" => {}
            None => drop(refusals.files.entry(source.name.to_string()).or_insert(why)),
        }
    }
    refusals
}

fn source_of<'a>(problem: &Diagnostic, sources: &'a [Source]) -> Option<&'a Source> {
    let place = problem.place.as_ref()?;
    sources.iter().find(|source| same_file(&source.name, &place.source))
}

/// True if two paths, relative to the working directory, denote the same file.
fn same_file(one: &str, other: &str) -> bool {
    let whole = |name: &str| {
        let path = std::path::absolute(name).unwrap_or_else(|_| name.into());
        kustomize::join(&path.to_string_lossy(), ".")
    };
    one == other || whole(one) == whole(other)
}

/// The object at the line of an error.
fn object_at(problem: &Diagnostic, source: &Source) -> Option<String> {
    let line = problem.place.as_ref()?.line;
    let mut unread = Diagnostics::default();
    let objects = objects_of(read_manifest_documents(source, &mut unread), &mut unread);
    let mut before = objects.iter().filter(|one| one.origin.place().line <= line);
    let object: &Manifest = before.next_back()?;
    (!object.reference.id.name.is_empty() && !object.has_generated_name).then(|| omission(object))
}
