//! `configurations`: additional fields that hold names and namespaces (kustomize's transformer configurations).

use serde_json::{Map, Value};

use super::fields::each_at;
use super::{Context, Resource, documents, join, problem_with_help};
use crate::diagnostic::Diagnostic;

/// A field that holds the name of another object.
#[derive(Clone, Debug)]
pub(super) struct NameReference {
    /// Kind of the named object.
    referred: String,
    fields: FieldSpec,
}

/// A field path, for one kind or for all.
#[derive(Clone, Debug)]
pub(super) struct FieldSpec {
    kind: Option<String>,
    path: Vec<String>,
    creates: bool,
}

/// The additional fields of a kustomization.
#[derive(Clone, Debug, Default)]
pub(super) struct Configurations {
    pub(super) names: Vec<NameReference>,
    namespaces: Vec<FieldSpec>,
}

impl FieldSpec {
    fn of(value: &Value) -> Self {
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        Self {
            kind: text("kind").map(str::to_owned),
            path: text("path").unwrap_or_default().split('/').map(str::to_owned).collect(),
            creates: value.get("create").and_then(Value::as_bool) == Some(true),
        }
    }

    fn each(&self, resource: &mut Resource, act: &mut dyn FnMut(&mut Value)) {
        if self.kind.as_deref().is_some_and(|kind| kind != resource.kind()) {
            return;
        }
        let path: Vec<&str> = self.path.iter().map(|step| step.trim_end_matches("[]")).collect();
        let Some((last, holders)) = path.split_last() else { return };
        each_at(&mut resource.value, holders, false, &mut |holder| {
            let holders = match holder {
                Value::Array(items) => items.as_mut_slice(),
                one => std::slice::from_mut(one),
            };
            for fields in holders.iter_mut().filter_map(Value::as_object_mut) {
                if self.creates && !fields.contains_key(*last) {
                    fields.insert((*last).to_owned(), Value::Null);
                }
                if let Some(field) = fields.get_mut(*last) {
                    act(field);
                }
            }
        });
    }
}

impl Configurations {
    /// Reads a kustomization's configuration files.
    pub(super) fn read(settings: &Value, context: &Context<'_>) -> Result<Self, Box<Diagnostic>> {
        let mut all = Self::default();
        let has_variables = settings.get("vars").is_some();
        for path in super::texts(settings, "configurations") {
            let whole = join(context.folder, &path);
            for document in documents(&whole, &context.read(&path)?)? {
                for (section, list) in document.as_object().unwrap_or(&Map::new()) {
                    let items = list.as_array().map_or(&[][..], Vec::as_slice);
                    match section.as_str() {
                        "nameReference" => all.names.extend(items.iter().flat_map(references)),
                        "namespace" => all.namespaces.extend(items.iter().map(FieldSpec::of)),
                        // No effect without `vars`.
                        "varReference" if !has_variables => {}
                        other => {
                            let message = format!("`{other}` in {path} is not supported");
                            let help = "render it with `kubectl kustomize` and use the output";
                            return Err(problem_with_help(context.file, message, help));
                        }
                    }
                }
            }
        }
        Ok(all)
    }

    /// Writes the kustomization's namespace into the configured fields.
    pub(super) fn set_namespace(&self, settings: &Value, resources: &mut [Resource]) {
        let Some(namespace) = settings.get("namespace").and_then(Value::as_str) else { return };
        for field in &self.namespaces {
            for resource in resources.iter_mut() {
                field.each(resource, &mut |value| *value = namespace.into());
            }
        }
    }
}

fn references(value: &Value) -> Vec<NameReference> {
    let referred = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let specs = value.get("fieldSpecs").and_then(Value::as_array).into_iter().flatten();
    let specs = specs
        .map(|spec| NameReference { referred: referred.to_owned(), fields: FieldSpec::of(spec) });
    specs.collect()
}

/// Updates configured name fields after objects were renamed.
pub(super) fn follow(names: &[NameReference], resources: &mut [Resource]) {
    for name in names {
        let renamed: Vec<(Vec<String>, String)> = resources
            .iter()
            .filter(|one| one.kind() == name.referred)
            .map(|one| (one.earlier_names.clone(), one.name().to_owned()))
            .collect();
        for resource in resources.iter_mut() {
            name.fields.each(resource, &mut |value| {
                let held = value.as_str().unwrap_or_default();
                let now = renamed.iter().find(|(earlier, _)| earlier.iter().any(|one| one == held));
                if let Some((_, now)) = now {
                    *value = now.as_str().into();
                }
            });
        }
    }
}
