//! Loads texts as objects ready for the simulation, with all diagnostics.

use std::collections::BTreeMap;

use serde_json::Value;

use super::admission::{add_default_tolerations, resolve_priority, system_priority_classes};
use super::cross_check::{cross_check, pod_path};
use super::diagnostic::{Diagnostic, Diagnostics, Location, Severity};
use super::field::{FieldError, FieldErrors};
use super::hpa::to_v2;
use super::kinds::{ReadKind, Treatment, treatment};
use super::lower::{Lowered, check_unread, lower, unread};
use super::modelled;
use super::object::{Manifest, read_manifests};
use super::schema::{Findings, Mistake, check};
use super::yaml::Source;
use cluster::action::{Action, PodDraft, PodName, PodSource};
use cluster::priority_class::{PriorityClass, PriorityClassSpec};
use cluster::{AnySpec, Kind, NamespacedName, ObjectMeta};

/// An object that is ready for the simulation.
#[derive(Clone, Debug)]
pub struct Object {
    /// The object as written.
    pub manifest: Manifest,
    /// Its own name, labels and annotations.
    pub meta: ObjectMeta,
    /// Its spec, as used by the simulation.
    pub spec: AnySpec,
}

/// The result of loading.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The objects without errors, in the order of the input.
    pub objects: Vec<Object>,
    /// All diagnostics, by file and line.
    pub diagnostics: Diagnostics,
}

impl Object {
    /// The request of `kubectl apply` for it. An object with a generated name is created instead.
    pub fn into_action(self) -> Action {
        match self.spec {
            AnySpec::Pod(template) if self.manifest.has_generated_name => {
                let NamespacedName { namespace, name } = self.meta.id;
                let (name, template) = (PodName::Generate(name), PodSource::New(template));
                Action::CreatePod(Box::new(PodDraft { name, namespace, template, owner: None }))
            }
            spec if self.manifest.has_generated_name => Action::create(self.meta, spec),
            spec => Action::apply(self.meta, spec),
        }
    }
}

impl Object {
    /// The object as the API server would print it: in the current version, defaulted, with its namespace, including
    /// fields that are not simulated, without status.
    pub fn document(&self) -> &Value {
        self.meta.document.as_ref().map_or(&Value::Null, |document| &document.object)
    }
}

/// Parses, defaults, validates and lowers all objects of all texts.
pub fn load(sources: &[Source]) -> Loaded {
    let mut diagnostics = Diagnostics::default();
    let manifests = read_manifests(sources, &mut diagnostics);
    let mut loaded = admit(manifests);
    loaded.diagnostics.append(diagnostics);
    loaded.diagnostics.sort();
    loaded
}

/// Defaults, validates and lowers objects that were parsed before, for callers that change them in between.
pub fn admit(manifests: Vec<Manifest>) -> Loaded {
    admit_with(manifests, ControlPlane::default())
}

/// The same with these control plane settings.
pub fn admit_with(manifests: Vec<Manifest>, control_plane: ControlPlane) -> Loaded {
    let admission = Admission { control_plane, ..Admission::default() };
    let Admission { mut objects, others, mut diagnostics, asides, .. } =
        admission.taking(manifests);
    asides.report(&mut diagnostics);
    admit_pods(&mut objects, std::iter::empty(), &mut diagnostics);
    cross_check(&objects, &others, control_plane, &mut diagnostics);
    diagnostics.sort();
    Loaded { objects, diagnostics }
}

/// Defaults, validates and lowers objects written to a running cluster, which has these PriorityClasses; other
/// references are not checked.
pub fn admit_written(
    manifests: Vec<Manifest>,
    control_plane: ControlPlane,
    classes: impl Iterator<Item = PriorityClass>,
) -> Loaded {
    let admission = Admission { control_plane, ..Admission::default() };
    let Admission { mut objects, mut diagnostics, .. } = admission.taking(manifests);
    admit_pods(&mut objects, classes, &mut diagnostics);
    Loaded { objects, diagnostics }
}

/// Defaults and lowers objects as the API server reads stored ones: admission plugins do not run, references may
/// dangle, and violations of write-only rules are warnings.
pub fn stored(manifests: Vec<Manifest>) -> Loaded {
    let stored = Admission { is_stored: true, ..Admission::default() };
    let Admission { objects, mut diagnostics, .. } = stored.taking(manifests);
    diagnostics.sort();
    Loaded { objects, diagnostics }
}

/// Control plane settings that affect the diagnostics of manifests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControlPlane {
    /// Feature gate: HPAs may have `minReplicas: 0` (alpha, off).
    pub hpa_scale_to_zero: bool,
    /// `--horizontal-pod-autoscaler-tolerance`: HPAs without their own tolerance do nothing while a metric deviates
    /// from its target by no more than this fraction.
    pub hpa_tolerance: f64,
}

impl Default for ControlPlane {
    fn default() -> Self {
        Self { hpa_scale_to_zero: false, hpa_tolerance: 0.1 }
    }
}

#[derive(Default)]
struct Admission {
    control_plane: ControlPlane,
    /// True if the objects are read from storage.
    is_stored: bool,
    objects: Vec<Object>,
    /// Objects with errors, and skipped ones.
    others: Vec<Manifest>,
    diagnostics: Diagnostics,
    asides: IgnoredParts,
}

impl Admission {
    fn taking(mut self, manifests: Vec<Manifest>) -> Self {
        for manifest in manifests {
            self.take(manifest);
        }
        self
    }

    fn take(&mut self, manifest: Manifest) {
        let Some(manifest) = self.current_version(manifest) else { return };
        let kind = &manifest.kind;
        let lowered = match treatment(&manifest.api_version, kind) {
            Treatment::Read(kind) => self.read(&manifest, kind),
            Treatment::LeftAside { meaning } => {
                self.asides.leave(&manifest, meaning);
                self.check_left_aside(&manifest).then(|| unread(&manifest)).flatten()
            }
            Treatment::Unknown { help } => {
                let version = &*manifest.api_version;
                let message = format!("no matches for kind \"{kind}\" in version \"{version}\"");
                let problem = Diagnostic::error("unknown-kind", message);
                self.report(problem.help(help), "apiVersion".to_owned(), &manifest);
                None
            }
        };
        match lowered {
            Some(Lowered { meta, spec }) => {
                self.objects.push(Object { manifest, meta, spec });
            }
            None => self.others.push(manifest),
        }
    }

    /// Converts HPAs of removed versions, as the API server did when it served them.
    fn current_version(&mut self, mut manifest: Manifest) -> Option<Manifest> {
        let old = manifest.api_version.clone();
        let is_old = matches!(&*old, "autoscaling/v2beta1" | "autoscaling/v2beta2");
        if manifest.reference.kind != Kind::HorizontalPodAutoscaler || !is_old {
            return Some(manifest);
        }
        if &*old == "autoscaling/v2beta1" {
            match to_v2(&old, &manifest.value) {
                Ok(spec) => manifest.value["spec"] = serde_json::to_value(spec).unwrap_or_default(),
                Err(errors) => {
                    for FieldError { path, problem, .. } in errors {
                        let problem = Diagnostic::error("invalid-value", problem);
                        self.report(problem, path, &manifest);
                    }
                    return None;
                }
            }
        }
        let problem = format!("Kubernetes no longer serves {old}; it is read as autoscaling/v2");
        let problem = Diagnostic::warning("dropped-version", problem)
            .help("current clusters reject it: `kubectl convert` writes the current version");
        self.report(problem, "apiVersion".to_owned(), &manifest);
        manifest.api_version = "autoscaling/v2".into();
        manifest.value["apiVersion"] = "autoscaling/v2".into();
        Some(manifest)
    }

    fn read(&mut self, manifest: &Manifest, kind: &'static ReadKind) -> Option<Lowered> {
        let mut value = manifest.value.clone();
        let findings = check(kind.type_name, &mut value);
        self.asides.ignore(manifest, &findings);
        let mut errors = FieldErrors::default();
        let lowered = lower(manifest, value, self.control_plane, &mut errors);
        let is_taken = if self.is_stored { errors.can_be_read() } else { errors.is_empty() };
        let is_valid = is_taken && findings.mistakes.is_empty();
        let can_be_decoded = findings.mistakes.is_empty();
        self.report_errors(errors, &findings.mistakes, manifest);
        for Mistake { code, path, message, help } in findings.mistakes {
            let problem = Diagnostic { help, ..Diagnostic::error(code, message) };
            self.report(problem, path, manifest);
        }
        match lowered {
            Ok(lowered) => lowered.filter(|_| is_valid),
            // Its mistakes are reported already.
            Err(_) if !can_be_decoded => None,
            Err(error) => {
                let problem =
                    Diagnostic::error("invalid-value", format!("cannot be read: {error}"));
                self.report(problem, String::new(), manifest);
                None
            }
        }
    }

    /// Validates an object of a kind that is not lowered, as far as its fields are known; true if it has no errors.
    fn check_left_aside(&mut self, manifest: &Manifest) -> bool {
        let mut errors = FieldErrors::default();
        let Some(mistakes) = check_unread(manifest, &mut errors) else { return true };
        let findings = modelled::fields_of_route(manifest.reference.kind, &manifest.value);
        self.asides.ignore(manifest, &findings);
        let is_valid = mistakes.is_empty() && (self.is_stored || errors.is_empty());
        let known: Vec<Mistake> = mistakes
            .iter()
            .map(|one| Mistake {
                code: one.code,
                path: one.field.clone(),
                message: one.message.clone(),
                help: None,
            })
            .collect();
        self.report_errors(errors, &known, manifest);
        for mistake in mistakes {
            let field = mistake.field.clone();
            self.report(mistake, field, manifest);
        }
        is_valid
    }

    /// Reports each error once, except consequences of mistakes.
    fn report_errors(&mut self, errors: FieldErrors, mistakes: &[Mistake], manifest: &Manifest) {
        let mut reported: Vec<(String, String)> = Vec::new();
        for FieldError { path, problem, is_rule } in errors.into_vec() {
            let one = (path, problem);
            let is_reported =
                reported.iter().any(|(path, problem)| *path == one.0 && repeats(problem, &one.1));
            if is_reported || follows(&one.0, &one.1, mistakes) {
                continue;
            }
            let is_warning = self.is_stored && is_rule;
            let severity = if is_warning { Severity::Warning } else { Severity::Error };
            let problem = Diagnostic::new(severity, "invalid-value", one.1.clone());
            self.report(problem, one.0.clone(), manifest);
            reported.push(one);
        }
    }

    fn report(&mut self, problem: Diagnostic, field: String, manifest: &Manifest) {
        let place = manifest.origin.place_of(&field);
        self.diagnostics.push(Diagnostic { field, ..problem.at(place).of(manifest.label()) });
    }
}

/// True if a problem repeats one already reported in other words.
fn repeats(reported: &str, problem: &str) -> bool {
    let sort = |problem: &str| problem.split(':').next().map(str::to_owned);
    reported == problem || !problem.starts_with("Invalid value") && sort(reported) == sort(problem)
}

/// True if a mistake may be a consequence of others that were removed before: it is at the same field, a parent or a
/// child of it, or says that something does not match or is missing.
fn follows(path: &str, problem: &str, others: &[Mistake]) -> bool {
    let is_inside = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let refers = ["Not found", "does not match", "must match"];
    // An amount that was taken out is missing where all of them are looked for.
    let is_its_amount = |other: &Mistake| {
        let key = path.rfind('[').map(|at| &path[at..]);
        problem.starts_with("Required value") && key.is_some_and(|key| other.path.ends_with(key))
    };
    let is_near = |other: &Mistake| {
        is_inside(path, &other.path) || is_inside(&other.path, path) || is_its_amount(other)
    };
    let has_others = !others.is_empty();
    has_others && (refers.iter().any(|words| problem.contains(words)) || others.iter().any(is_near))
}

/// Ignored parts of the input, reported once per kind and field.
#[derive(Default)]
struct IgnoredParts {
    /// By kind, and by group unless the kind is known.
    kinds: BTreeMap<(String, Option<String>), IgnoredPart>,
    fields: BTreeMap<(String, &'static str, &'static str), IgnoredPart>,
}

/// First occurrence and number of occurrences.
struct IgnoredPart {
    place: Location,
    field: String,
    count: usize,
    meaning: &'static str,
}

impl IgnoredPart {
    const fn new(place: Location, field: String, meaning: &'static str) -> Self {
        Self { place, field, count: 0, meaning }
    }
}

impl IgnoredParts {
    fn leave(&mut self, manifest: &Manifest, meaning: &'static str) {
        let first = || IgnoredPart::new(manifest.origin.place(), String::new(), meaning);
        // A kind of another project may have the name of a known one.
        let group = manifest.api_version.split_once('/').map(|(group, _)| group);
        let group = group.filter(|_| manifest.reference.kind == Kind::CustomResource);
        let kind = (manifest.kind.to_string(), group.map(str::to_owned));
        self.kinds.entry(kind).or_insert_with(first).count += 1;
    }

    fn ignore(&mut self, manifest: &Manifest, findings: &Findings) {
        for field in &findings.unmodelled {
            let first = || {
                let place = manifest.origin.place_of(&field.path);
                let meaning = modelled::meaning(field.type_name, field.field);
                IgnoredPart::new(place, field.path.clone(), meaning)
            };
            let key = (manifest.kind.to_string(), field.type_name, field.field);
            self.fields.entry(key).or_insert_with(first).count += 1;
        }
    }

    fn report(self, diagnostics: &mut Diagnostics) {
        for ((kind, group), IgnoredPart { place, count, meaning, .. }) in self.kinds {
            let objects = if count == 1 { "object" } else { "objects" };
            let of_group = group.as_ref().map_or(String::new(), |group| format!(" of {group}"));
            let message =
                format!("not simulated: {count} {objects} of kind {kind}{of_group}: {meaning}");
            let diagnostic = Diagnostic::note("not-simulated", message);
            diagnostics.push(diagnostic.at(place));
        }
        for ((kind, _, name), IgnoredPart { place, field, count, meaning }) in self.fields {
            let times = if count == 1 { String::new() } else { format!(" ({count} times)") };
            let message = format!("`{name}` is ignored{times}: {meaning}");
            let diagnostic = Diagnostic::note("ignored-field", message).at(place).of(kind);
            diagnostics.push(Diagnostic { field, ..diagnostic });
        }
    }
}

/// Runs the admission plugins on the pods of these objects.
fn admit_pods(
    objects: &mut [Object],
    known: impl Iterator<Item = PriorityClass>,
    diagnostics: &mut Diagnostics,
) {
    let mut classes: BTreeMap<_, _> = system_priority_classes()
        .into_iter()
        .chain(known)
        .map(|class| (class.meta.name().clone(), class))
        .collect();
    for object in &*objects {
        if let AnySpec::PriorityClass(spec) = &object.spec {
            let (meta, spec) = (object.meta.clone(), **spec);
            classes.insert(meta.name().clone(), PriorityClass { meta, spec });
        }
    }
    for Object { manifest, spec, .. } in objects {
        let Some(template) = spec.pod_template_mut() else { continue };
        add_default_tolerations(&mut template.spec);
        let named = &template.spec.priority_class_name;
        if !named.is_empty() && !classes.contains_key(named) {
            let message = format!(
                "no PriorityClass with name {named} was found: it is assumed to exist, with a value of 0"
            );
            let help = "add the PriorityClass: without it, a cluster does not create the pods";
            let problem = Diagnostic::warning("missing-reference", message).help(help);
            diagnostics.push(placed(problem, manifest));
            let meta = ObjectMeta::new("", named.clone());
            let spec = PriorityClassSpec { value: 0, global_default: false, never_preempts: false };
            classes.insert(named.clone(), PriorityClass { meta, spec });
        }
        if let Err(problem) = resolve_priority(&mut template.spec, &classes) {
            let problem = Diagnostic::error("missing-reference", problem)
                .help("remove the field: the PriorityClass sets it");
            diagnostics.push(placed(problem, manifest));
        }
    }
}

/// A problem with the priority of an object's pods, at its place.
fn placed(problem: Diagnostic, manifest: &Manifest) -> Diagnostic {
    let field = pod_path(manifest.reference.kind, "priorityClassName");
    let place = manifest.origin.place_of(&field);
    Diagnostic { field, ..problem.at(place).of(manifest.label()) }
}

#[cfg(test)]
mod tests;
