//! Selects the manifests for `wavetank init`: everything at the given paths, or one variant if a repository holds several.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::exit::Failure;
use cluster::{Kind, ObjectReference, Verbs};
use files::{HelmCharts, Unit, read_manifests_with, units};
use manifest::{
    Diagnostic, Diagnostics, Manifest, Severity, Source, objects_of, read_manifest_documents,
    unreadable, without,
};
use scenario::starter::OmittedObject;
use serde_json::Value;

/// Minimum number of files in a folder that are named by one pattern.
const MANY_FILES: usize = 4;

/// The selected manifests.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    /// Paths for the scenario.
    pub(super) paths: Vec<String>,
    /// Their contents.
    pub(super) sources: Vec<Source>,
    /// Skipped files and folders, each with the reason.
    pub(super) left: Vec<(String, String)>,
    /// Objects in documents that are not valid YAML; the other documents of their files are taken.
    pub(super) unreadable: Vec<OmittedObject>,
    /// The workloads that skipped files and folders define in another variant, as in `leaveOut`.
    pub(super) other_variants: BTreeSet<String>,
}

/// Selects everything at the paths if it forms one system, else one variant of it. Unusable files, including those in
/// `excluded`, are skipped; an unusable file that was given by its own path is an error.
pub(super) fn choose(
    paths: &[String],
    charts: &HelmCharts,
    excluded: &BTreeMap<String, String>,
) -> Result<Choice, Failure> {
    let mut choice = Choice::default();
    let mut problems = Diagnostics::default();
    for path in paths {
        let read = read_manifests_with(path, charts);
        let is_folder = Path::new(path).is_dir();
        // In a file given by its own path, what cannot be read is an error.
        let (readable, unreadable) = match &read {
            Ok(sources) if is_folder => split_off_unreadable(sources),
            Ok(sources) => (sources.clone(), Vec::new()),
            Err(_) => (Vec::new(), Vec::new()),
        };
        let whole = read.as_ref().ok().filter(|_| is_one_system(&readable, excluded));
        match (whole, is_folder) {
            (Some(sources), _) => {
                choice.paths.push(path.clone());
                choice.sources.extend(sources.iter().cloned());
                choice.unreadable.extend(unreadable);
            }
            (None, true) => match units(path, charts).map_err(Failure::Input)? {
                // A chart or a kustomization is taken as a whole.
                units if units.iter().all(|unit| unit.path == *path || unit.path == tidy(path)) => {
                    choice.take_or_report(path, read, &mut problems);
                }
                units => choice.take_some(units, excluded),
            },
            (None, false) => choice.take_or_report(path, read, &mut problems),
        }
    }
    if problems.has_errors() {
        return Err(Failure::Problems(problems));
    }
    Ok(choice)
}

fn tidy(path: &str) -> String {
    manifest::kustomize::join(path, ".")
}

impl Choice {
    /// Takes the path as it is and reports its mistakes.
    fn take_or_report(
        &mut self,
        path: &str,
        read: Result<Vec<Source>, String>,
        problems: &mut Diagnostics,
    ) {
        match read {
            Ok(sources) => {
                for source in &sources {
                    let mut all = Diagnostics::default();
                    read_manifest_documents(source, &mut all);
                    problems.append(all);
                }
                self.paths.push(path.to_owned());
                self.sources.extend(sources);
            }
            Err(message) => problems.push(Diagnostic::error("file", format!("{path}: {message}"))),
        }
    }

    fn take_some(&mut self, units: Vec<Unit>, excluded: &BTreeMap<String, String>) {
        let mut parts = Vec::new();
        for unit in units {
            match Part::of(unit, excluded) {
                Ok(Some(part)) => parts.push(part),
                Ok(None) => {}
                Err(left) => self.left.push(left),
            }
        }
        let (taken, variants) = pick(parts);
        for Variant { path, why, workload } in variants {
            self.left.push((path, why));
            self.other_variants.extend(workload.map(|one| one.to_string()));
        }
        self.paths.extend(named(&taken, &self.left));
        for part in taken {
            self.sources.extend(part.sources);
            self.unreadable.extend(part.unreadable);
        }
    }
}

/// The sources without the documents that are not valid YAML, and the objects in those.
fn split_off_unreadable(sources: &[Source]) -> (Vec<Source>, Vec<OmittedObject>) {
    let mut omitted = Vec::new();
    let mut readable = Vec::new();
    for source in sources {
        let found = unreadable(source);
        let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
        readable.push(without(source, &names, &mut BTreeSet::new()));
        omitted.extend(found.into_iter().map(|(object, problem)| {
            let why = located(&problem);
            OmittedObject { object, why }
        }));
    }
    (readable, omitted)
}

/// A problem in a file, with its line and the correction.
fn located(problem: &Diagnostic) -> String {
    let line = problem.place.as_ref().map(|place| place.line).filter(|line| *line > 0);
    let line = line.map_or(String::new(), |line| format!("line {line}: "));
    let field = match problem.field.as_str() {
        "" => String::new(),
        field => format!("{field}: "),
    };
    let help = problem.help.as_ref().map_or(String::new(), |help| format!("; {help}"));
    format!("{line}{field}{}{help}", problem.message)
}

/// True if all sources parse and no two different workloads share a name.
fn is_one_system(sources: &[Source], excluded: &BTreeMap<String, String>) -> bool {
    if sources.iter().any(|source| excluded.contains_key(&*source.name)) {
        return false;
    }
    let mut seen = Workloads::new();
    sources.iter().filter(|source| !source.is_skipped()).all(|source| {
        let mut problems = Diagnostics::default();
        let objects = objects_of(read_manifest_documents(source, &mut problems), &mut problems);
        let own = workloads(&objects);
        let is_new = conflict(&own, &seen).is_none();
        seen.extend(own);
        is_new && !problems.has_errors()
    })
}

/// Workloads with their full manifests.
type Workloads = BTreeMap<ObjectReference, Value>;

fn workloads(objects: &[Manifest]) -> Workloads {
    let named =
        objects.iter().filter(|one| !one.has_generated_name && !one.reference.id.name.is_empty());
    // A ReplicationController is simulated as a ReplicaSet.
    let runs_pods = named.filter_map(|one| match one.reference.kind {
        Kind::ReplicationController => {
            let id = one.reference.id.clone();
            Some((ObjectReference { kind: Kind::ReplicaSet, id }, one.value.clone()))
        }
        kind => kind.can(Verbs::RUN_PODS).then(|| (one.reference.clone(), one.value.clone())),
    });
    runs_pods.collect()
}

/// A workload that both define differently. A Deployment and a ReplicaSet of the same name are one workload in two forms.
fn conflict<'a>(some: &'a Workloads, others: &Workloads) -> Option<&'a ObjectReference> {
    let differs = |(name, value): &(&ObjectReference, &Value)| {
        let other_form = match name.kind {
            Kind::Deployment => Some(Kind::ReplicaSet),
            Kind::ReplicaSet => Some(Kind::Deployment),
            _ => None,
        };
        let in_other_form = other_form.is_some_and(|kind| {
            others.contains_key(&ObjectReference { kind, id: name.id.clone() })
        });
        in_other_form || others.get(*name).is_some_and(|other| other != *value)
    };
    some.iter().find(differs).map(|(name, _)| name)
}

/// A file, kustomization or chart that can be selected by itself.
#[derive(Clone, Debug)]
struct Part {
    path: String,
    /// The folder of a file, else the path itself; files in one folder belong together.
    folder: String,
    is_file: bool,
    made_of: Vec<String>,
    workloads: Workloads,
    sources: Vec<Source>,
    unreadable: Vec<OmittedObject>,
}

/// A part that was not chosen.
#[derive(Clone, Debug)]
struct Variant {
    path: String,
    why: String,
    /// The workload that a chosen part defines otherwise.
    workload: Option<ObjectReference>,
}

impl Part {
    /// `None` for a file without objects; an error with path and reason for an unusable one.
    fn of(
        unit: Unit,
        excluded: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, (String, String)> {
        let Unit { path, is_file, made_of, sources } = unit;
        if let Some(why) = excluded.get(&path) {
            return Err((path, why.clone()));
        }
        let sources = match sources {
            Ok(sources) => sources,
            Err(why) => return Err((path, why)),
        };
        if sources.iter().all(Source::is_skipped) {
            return Ok(None);
        }
        let mut problems = Diagnostics::default();
        let (readable, unreadable) = split_off_unreadable(&sources);
        let documents =
            readable.iter().flat_map(|source| read_manifest_documents(source, &mut problems));
        let documents: Vec<_> = documents.collect();
        if documents.is_empty() && problems.is_empty() {
            return Ok(None);
        }
        let objects = objects_of(documents, &mut problems);
        if let Some(error) = problems.iter().find(|one| one.severity == Severity::Error) {
            return Err((path, located(error)));
        }
        let folder = Path::new(&path).parent().map(|folder| folder.display().to_string());
        let folder = folder.filter(|_| is_file).unwrap_or_else(|| path.clone());
        let workloads = workloads(&objects);
        Ok(Some(Self { path, folder, is_file, made_of, workloads, sources, unreadable }))
    }
}

/// Splits parts into one consistent system and the variants it excludes. Folders with the most workloads win, then those
/// nearest to the root; within a folder, files with the most workloads, then the shortest name (`app.yaml` before
/// `app-canary.yaml`).
fn pick(parts: Vec<Part>) -> (Vec<Part>, Vec<Variant>) {
    let mut of_folder: BTreeMap<&str, BTreeSet<&ObjectReference>> = BTreeMap::new();
    for part in &parts {
        of_folder.entry(&part.folder).or_default().extend(part.workloads.keys());
    }
    let rank = |part: &Part| {
        let in_folder = of_folder.get(part.folder.as_str()).map_or(0, BTreeSet::len);
        let depth = part.folder.matches('/').count();
        let folder = (Reverse(in_folder), depth, part.folder.len(), part.folder.clone());
        (folder, Reverse(part.workloads.len()), part.path.len(), part.path.clone())
    };
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_cached_key(|at| rank(&parts[*at]));
    let mut seen = Workloads::new();
    let mut made_of: BTreeSet<&str> = BTreeSet::new();
    let mut with_workloads: BTreeSet<&str> = BTreeSet::new();
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let mut left: BTreeMap<usize, (String, Option<ObjectReference>)> = BTreeMap::new();
    for at in order {
        let part = &parts[at];
        let shared = part.made_of.iter().find(|one| made_of.contains(one.as_str()));
        let again = conflict(&part.workloads, &seen);
        let why = match (shared, again) {
            (Some(shared), _) => Some(format!("another variant of {shared}")),
            (None, Some(workload)) => {
                Some(format!("contains {workload} again, in another variant"))
            }
            (None, None) => None,
        };
        if let Some(why) = why {
            left.insert(at, (why, again.cloned()));
            continue;
        }
        seen.extend(part.workloads.clone());
        made_of.extend(part.made_of.iter().map(String::as_str));
        if !part.workloads.is_empty() {
            with_workloads.insert(&part.folder);
        }
        taken.insert(at);
    }
    // Files without workloads belong to the variant in their folder.
    let of_variants: BTreeSet<&str> = left.keys().map(|at| parts[*at].folder.as_str()).collect();
    taken.retain(|at| {
        let folder = parts[*at].folder.as_str();
        let belongs = with_workloads.contains(folder) || !of_variants.contains(folder);
        if !belongs {
            left.insert(*at, ("belongs to a variant that was not chosen".to_owned(), None));
        }
        belongs
    });
    let mut chosen = Vec::new();
    let mut variants = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        match left.remove(&at) {
            Some((why, workload)) => variants.push(Variant { path: part.path, why, workload }),
            None => chosen.push(part),
        }
    }
    (chosen, variants)
}

/// The paths of the parts, with one pattern for a folder whose files of an extension are all selected.
fn named(parts: &[Part], left: &[(String, String)]) -> Vec<String> {
    let pattern = |part: &Part| {
        let ending = Path::new(&part.path).extension()?.to_string_lossy();
        let is_plain = !part.folder.contains(['*', '?', '[']);
        (part.is_file && is_plain).then(|| format!("{}/*.{ending}", part.folder))
    };
    let is_of = |path: &str, pattern: &str| {
        let ending = pattern.rsplit_once("/*").map(|(folder, ending)| (folder.to_owned(), ending));
        ending.is_some_and(|(folder, ending)| {
            path.ends_with(ending) && Path::new(path).parent() == Some(Path::new(&folder))
        })
    };
    let mut paths: Vec<String> = Vec::new();
    for part in parts {
        let path = match pattern(part) {
            Some(pattern)
                if parts.iter().filter(|one| is_of(&one.path, &pattern)).count() >= MANY_FILES
                    && !left.iter().any(|(path, _)| is_of(path, &pattern)) =>
            {
                pattern
            }
            _ => part.path.clone(),
        };
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(path: &str, workloads: &[(&str, u32)]) -> Part {
        let is_file = Path::new(path).extension().is_some();
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        let reference = |name: &str| format!("Deployment/default/{name}").parse().expect("a name");
        Part {
            path: path.to_owned(),
            folder: if is_file { folder } else { path }.to_owned(),
            is_file,
            made_of: Vec::new(),
            workloads: workloads
                .iter()
                .map(|(name, form)| (reference(name), Value::from(*form)))
                .collect(),
            sources: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    fn picked(parts: &[Part]) -> Vec<String> {
        pick(parts.to_vec()).0.into_iter().map(|part| part.path).collect()
    }

    #[test]
    fn of_files_with_the_same_workloads_the_plain_one_is_taken_with_all_that_fits_to_it() {
        let parts = [
            part("k/app-dualstack.yaml", &[("a", 2), ("b", 2)]),
            part("k/app.yaml", &[("a", 1), ("b", 1)]),
            part("k/db.yaml", &[("db", 1)]),
            part("k/ns.yaml", &[]),
        ];
        assert_eq!(picked(&parts), ["k/app.yaml", "k/db.yaml", "k/ns.yaml"]);
    }

    #[test]
    fn of_folders_the_one_with_most_workloads_is_taken_and_nothing_of_its_variants() {
        let parts = [
            part("combined/one.yaml", &[("a", 1), ("b", 1), ("c", 1)]),
            part("each/a.yaml", &[("a", 2)]),
            part("each/b.yaml", &[("b", 2)]),
            part("each/service.yaml", &[]),
            part("more/d.yaml", &[("d", 1)]),
        ];
        assert_eq!(picked(&parts), ["combined/one.yaml", "more/d.yaml"]);
        let (_, left) = pick(parts.to_vec());
        let reasons: Vec<String> =
            left.iter().map(|one| format!("{} {}", one.path, one.why)).collect();
        assert_eq!(
            reasons,
            [
                "each/a.yaml contains Deployment/default/a again, in another variant",
                "each/b.yaml contains Deployment/default/b again, in another variant",
                "each/service.yaml belongs to a variant that was not chosen",
            ]
        );
    }

    #[test]
    fn a_workload_in_an_older_form_is_a_variant() {
        let old = |text: &str| {
            let source = Source::new("legacy/web.yaml", text);
            let mut problems = Diagnostics::default();
            workloads(&objects_of(read_manifest_documents(&source, &mut problems), &mut problems))
        };
        let controller =
            old("{apiVersion: v1, kind: ReplicationController, metadata: {name: web}}");
        let legacy = Part { workloads: controller, ..part("legacy/web.yaml", &[]) };
        let new = part("web.yaml", &[("web", 1)]);
        assert_eq!(picked(&[legacy.clone(), new]), ["web.yaml"]);
        assert_eq!(picked(&[legacy, part("app.yaml", &[("app", 1)])]).len(), 2);
    }

    #[test]
    fn of_overlays_of_one_base_one_is_taken_and_copies_are_no_variants() {
        let made_of = |path: &str, name: &str| Part {
            made_of: vec![path.to_owned(), "base".to_owned()],
            ..part(path, &[(name, 1)])
        };
        let parts = [made_of("o/dev", "dev-a"), made_of("o/prod", "prod-a")];
        assert_eq!(picked(&parts), ["o/dev"]);
        let copies = [part("x/a.yaml", &[("a", 1)]), part("y/a.yaml", &[("a", 1)])];
        assert_eq!(picked(&copies).len(), 2);
    }

    #[test]
    fn a_pattern_stands_for_many_files_if_none_of_them_is_left() {
        let parts: Vec<Part> =
            ["a", "b", "c", "d"].map(|name| part(&format!("k/{name}.yaml"), &[])).to_vec();
        assert_eq!(named(&parts, &[]), ["k/*.yaml"]);
        assert_eq!(named(&parts[1..], &[]).len(), 3);
        let left = [("k/e.yaml".to_owned(), String::new())];
        assert_eq!(named(&parts, &left).len(), 4);
        let left = [("k/in/e.yaml".to_owned(), String::new())];
        assert_eq!(named(&parts, &left), ["k/*.yaml"]);
    }
}
