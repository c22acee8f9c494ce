//! What an API server refuses of some manifests: `kubectl apply` goes on without it, and so does a first scenario.

use std::collections::BTreeMap;

use files::load_scenario;
use manifest::{
    Diagnostic, Diagnostics, Manifest, Severity, Source, kustomize, objects_of, omission,
    read_documents,
};
use scenario::starter::LeftOut;
use sim::Blueprint;

/// What is to be left of manifests for the rest to run.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Objects, each with the first reason.
    pub(super) objects: Vec<LeftOut>,
    /// Files of which no object can be named, with the reason.
    pub(super) files: BTreeMap<String, String>,
}

impl Refusals {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.files.is_empty()
    }
}

/// What a run of this scenario would refuse.
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

/// The objects and files in which these errors are. An error elsewhere is none of the manifests', and nothing of them mends it.
pub(super) fn refusals(problems: &Diagnostics, sources: &[Source]) -> Refusals {
    let mut refusals = Refusals::default();
    for problem in problems.iter() {
        let Some(source) = source_of(problem, sources) else { continue };
        let why = match problem.field.as_str() {
            "" => problem.message.clone(),
            field => format!("{field}: {}", problem.message),
        };
        match object_at(problem, source).filter(|_| problem.code != "duplicate-object") {
            Some(object) => {
                if refusals.objects.iter().all(|one| one.object != object) {
                    refusals.objects.push(LeftOut { object, why });
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

/// Whether two names, as seen from where the program runs, are of one file.
fn same_file(one: &str, other: &str) -> bool {
    let whole = |name: &str| {
        let path = std::path::absolute(name).unwrap_or_else(|_| name.into());
        kustomize::join(&path.to_string_lossy(), ".")
    };
    one == other || whole(one) == whole(other)
}

/// The object that stands at the line of an error.
fn object_at(problem: &Diagnostic, source: &Source) -> Option<String> {
    let line = problem.place.as_ref()?.line;
    let mut unread = Diagnostics::default();
    let objects = objects_of(read_documents(source, &mut unread), &mut unread);
    let mut before = objects.iter().filter(|one| one.origin.place().line <= line);
    let object: &Manifest = before.next_back()?;
    (!object.reference.id.name.is_empty() && !object.has_generated_name).then(|| omission(object))
}
