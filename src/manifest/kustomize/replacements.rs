//! `replacements`: copies values of one object into fields of others (kustomize's `ReplacementTransformer`).

use serde_json::{Map, Value};

use super::{Context, Resource, Target, documents, join, problem};
use crate::diagnostic::Diagnostic;

type Outcome<T> = Result<T, Box<Diagnostic>>;

/// Applies all replacements of a kustomization, in their order.
pub(super) fn replace_all(
    settings: &Value,
    context: &Context<'_>,
    resources: &mut [Resource],
) -> Outcome<()> {
    let list = settings.get("replacements").and_then(Value::as_array);
    for replacement in list.into_iter().flatten() {
        let Some(path) = replacement.get("path").and_then(Value::as_str) else {
            replace(replacement, context, resources)?;
            continue;
        };
        let whole = join(context.folder, path);
        for document in documents(&whole, &context.read(path)?)? {
            match document {
                Value::Array(items) => {
                    for item in &items {
                        replace(item, context, resources)?;
                    }
                }
                one => replace(&one, context, resources)?,
            }
        }
    }
    Ok(())
}

fn replace(replacement: &Value, context: &Context<'_>, resources: &mut [Resource]) -> Outcome<()> {
    let value = source_value(&replacement["source"], context, resources)?;
    for target in replacement["targets"].as_array().into_iter().flatten() {
        let select = Target::of(&target["select"]);
        let rejects: Vec<Target> =
            target["reject"].as_array().into_iter().flatten().map(Target::of).collect();
        let paths: Vec<&str> = target["fieldPaths"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let paths = if paths.is_empty() { vec!["metadata.name"] } else { paths };
        let is_meant = |one: &Resource| {
            select.is_meant(one) && !rejects.iter().any(|reject| reject.is_meant(one))
        };
        for resource in resources.iter_mut().filter(|one| is_meant(one)) {
            for path in &paths {
                let writes = Writes { value: &value, options: &target["options"] };
                let steps = steps(path);
                if !writes.at(&mut resource.value, &steps) && !writes.creates() {
                    let (kind, name) = (resource.kind(), resource.name());
                    let message = format!("{kind} {name} has no field {path:?} for a replacement");
                    return Err(problem(context.file, message));
                }
            }
        }
    }
    Ok(())
}

/// The value to copy: a field of the selected object, or a part of it.
fn source_value(source: &Value, context: &Context<'_>, resources: &[Resource]) -> Outcome<Value> {
    if let Some(value) = source.get("sourceValue").or(source.get("value")) {
        return Ok(value.clone());
    }
    let select = Target::of(source);
    let mut found = resources.iter().filter(|one| select.is_meant(one));
    let (Some(resource), None) = (found.next(), found.next()) else {
        let message = format!("the source of a replacement must be one object: {source}");
        return Err(problem(context.file, message));
    };
    let path = source["fieldPath"].as_str().unwrap_or("metadata.name");
    let mut value = resource.value.clone();
    let mut read = None;
    walk(&mut value, &steps(path), false, &mut |field| {
        read.get_or_insert_with(|| field.clone());
    });
    let Some(read) = read.filter(|value| !value.is_null()) else {
        let (kind, name) = (resource.kind(), resource.name());
        let message = format!("{kind} {name} has no field {path:?}, the source of a replacement");
        return Err(problem(context.file, message));
    };
    let options = &source["options"];
    let Some(delimiter) = options["delimiter"].as_str().filter(|text| !text.is_empty()) else {
        return Ok(read);
    };
    let index = options["index"].as_i64().unwrap_or(0);
    let whole = plain(&read);
    let part = usize::try_from(index).ok().and_then(|index| whole.split(delimiter).nth(index));
    part.map(Value::from).ok_or_else(|| {
        problem(context.file, format!("{whole:?} has no part {index} between {delimiter:?}"))
    })
}

/// A scalar as text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value and its target options.
struct Writes<'a> {
    value: &'a Value,
    options: &'a Value,
}

impl Writes<'_> {
    fn creates(&self) -> bool {
        self.options["create"].as_bool() == Some(true)
    }

    /// Writes to all fields at a path; false if there are none.
    fn at(&self, object: &mut Value, path: &[Step]) -> bool {
        let mut is_there = false;
        walk(object, path, self.creates(), &mut |field| {
            is_there = true;
            self.into(field);
        });
        is_there
    }

    fn into(&self, field: &mut Value) {
        let Some(delimiter) = self.options["delimiter"].as_str().filter(|one| !one.is_empty())
        else {
            // A string field stays a string.
            *field = match (&*field, self.value) {
                (Value::String(_), value) if !value.is_object() && !value.is_array() => {
                    plain(value).into()
                }
                (_, value) => value.clone(),
            };
            return;
        };
        let whole = if field.is_null() { String::new() } else { plain(field) };
        let mut parts: Vec<String> = whole.split(delimiter).map(str::to_owned).collect();
        let index = self.options["index"].as_i64().unwrap_or(0);
        let value = plain(self.value);
        match usize::try_from(index) {
            Err(_) => parts.insert(0, value),
            Ok(index) if index >= parts.len() => parts.push(value),
            Ok(index) => parts[index] = value,
        }
        *field = parts.join(delimiter).into();
    }
}

/// One step of a field path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A field, or a number for an item of a list.
    Field(String),
    /// The items of a list with this field.
    Item(String, String),
    /// All items.
    All,
}

/// `spec.containers.[name=web].image`, with `\.` for a dot in a name.
fn steps(path: &str) -> Vec<Step> {
    let mut words = vec![String::new()];
    let (mut depth, mut is_escaped) = (0_u32, false);
    for letter in path.chars() {
        match letter {
            '\\' if !is_escaped => {
                is_escaped = true;
                continue;
            }
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '.' if depth == 0 && !is_escaped => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        is_escaped = false;
        if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    let step = |word: String| {
        if word == "*" {
            return Step::All;
        }
        let inner = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match inner.map(|inner| (inner, inner.split_once('='))) {
            Some((_, Some((key, value)))) => Step::Item(key.to_owned(), value.to_owned()),
            Some((inner, None)) => Step::Field(inner.to_owned()),
            None => Step::Field(word),
        }
    };
    words.into_iter().filter(|word| !word.is_empty()).map(step).collect()
}

/// Visits all values at a path; creates missing fields if `makes` is set.
fn walk(value: &mut Value, path: &[Step], makes: bool, act: &mut dyn FnMut(&mut Value)) {
    let Some((step, rest)) = path.split_first() else { return act(value) };
    match (step, value) {
        (Step::All, Value::Array(items)) => {
            for item in items {
                walk(item, rest, makes, act);
            }
        }
        (Step::Item(key, wanted), Value::Array(items)) => {
            let is_it = |item: &&mut Value| item.get(key).is_some_and(|one| plain(one) == *wanted);
            items.iter_mut().filter(is_it).for_each(|item| walk(item, rest, makes, act));
        }
        (Step::Field(name), Value::Array(items)) => {
            let index: Option<usize> = name.parse().ok();
            if let Some(item) = index.and_then(|index| items.get_mut(index)) {
                walk(item, rest, makes, act);
            }
        }
        (Step::Field(name), value @ (Value::Object(_) | Value::Null)) => {
            if value.is_null() {
                if !makes {
                    return;
                }
                *value = Value::Object(Map::new());
            }
            let Value::Object(fields) = value else { return };
            if makes && !fields.contains_key(name) {
                fields.insert(name.clone(), Value::Null);
            }
            if let Some(field) = fields.get_mut(name) {
                walk(field, rest, makes, act);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_fields_items_and_names_with_dots() {
        let field = |name: &str| Step::Field(name.to_owned());
        assert_eq!(
            steps(".metadata.annotations.[cert-manager.io/inject-ca-from]"),
            [field("metadata"), field("annotations"), field("cert-manager.io/inject-ca-from")]
        );
        let web = Step::Item("name".to_owned(), "web.1".to_owned());
        assert_eq!(
            steps("spec.[name=web.1].a\\.b.*.0"),
            [field("spec"), web, field("a.b"), Step::All, field("0"),]
        );
    }
}
