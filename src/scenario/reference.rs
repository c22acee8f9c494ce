//! Generates the reference page of the scenario format from its JSON Schema, so that the two cannot
//! differ.

use std::collections::VecDeque;

use serde_json::{Map, Value};

/// The text before the settings.
const INTRODUCTION: &str = "\
# The scenario file

<!-- Made by `wavetank schema --markdown`; change the doc comments of the settings instead. -->

A scenario is a YAML file of `apiVersion: wavetank/v1` and `kind: Scenario`. `wavetank init MANIFESTS...` writes one to start from, the folders
under [scenarios](../scenarios) are examples, and with the schema that `init` puts beside it an editor completes every setting. Unknown settings
are errors. A path in a scenario is seen from the file's own folder. **Bold** settings must be there.

";

/// The settings of the schema in Markdown: first those of the file, then each type in the order of
/// first use.
pub fn markdown(schema: &Value) -> String {
    let none = Map::new();
    let definitions = schema.get("definitions").and_then(Value::as_object).unwrap_or(&none);
    let mut page = Page { text: INTRODUCTION.to_owned(), queue: VecDeque::new(), seen: Vec::new() };
    page.section("Scenario", schema);
    while let Some(name) = page.queue.pop_front() {
        if let Some(definition) = definitions.get(&name) {
            page.section(&name, definition);
        }
    }
    page.text.truncate(page.text.trim_end().len());
    page.text.push('\n');
    page.text
}

struct Page {
    text: String,
    queue: VecDeque<String>,
    /// Types that have a section, or are queued for one.
    seen: Vec<String>,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn section(&mut self, name: &str, schema: &Value) {
        self.line(&format!("## {name}\n"));
        if let Some(description) = description(schema) {
            self.line(&format!("{description}\n"));
        }
        if schema.get("properties").is_some() {
            self.properties(schema);
        } else if let Some(variants) = schema.get("oneOf").and_then(Value::as_array) {
            self.variants(variants);
        } else {
            let written = self.kind(schema);
            self.line(&format!("Written as {written}.\n"));
        }
    }

    fn properties(&mut self, schema: &Value) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let is_required = |name: &str| {
            let required = schema.get("required").and_then(Value::as_array);
            required.is_some_and(|names| names.iter().any(|one| one == name))
        };
        self.line("| setting | value | meaning |");
        self.line("|---|---|---|");
        for (name, property) in properties {
            let shown =
                if is_required(name) { format!("**`{name}`**") } else { format!("`{name}`") };
            let kind = match property.get("const") {
                Some(value) => format!("`{}`", text_of(value)),
                None => self.kind(property),
            };
            let meaning = cell(description(property).unwrap_or_default());
            let stated = meaning.to_lowercase().contains("default");
            let default = property.get("default").filter(|value| !stated && is_worth_saying(value));
            let default =
                default.map_or_else(String::new, |value| format!(" Default {}.", text_of(value)));
            self.line(&format!("| {shown} | {kind} | {meaning}{default} |"));
        }
        self.line("");
    }

    /// The alternatives of a choice: words, and groups of settings.
    fn variants(&mut self, variants: &[Value]) {
        let (words, groups): (Vec<&Value>, Vec<&Value>) =
            variants.iter().partition(|variant| variant.get("const").is_some());
        if !words.is_empty() {
            self.line("| value | meaning |");
            self.line("|---|---|");
        }
        for word in &words {
            let value = word.get("const").map(text_of).unwrap_or_default();
            let meaning = cell(description(word).unwrap_or_default());
            self.line(&format!("| `{value}` | {meaning} |"));
        }
        if !words.is_empty() {
            self.line("");
        }
        for group in groups {
            if let Some(description) = description(group) {
                self.line(&format!("{description}\n"));
            }
            self.properties(group);
        }
    }

    /// The type of a value in words, with a link to its section.
    fn kind(&mut self, schema: &Value) -> String {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.rsplit('/').next().unwrap_or(name).to_owned();
            let link = format!("[{name}](#{})", name.to_lowercase());
            if !self.seen.contains(&name) {
                self.seen.push(name.clone());
                self.queue.push_back(name);
            }
            return link;
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            if let Some(kinds) = schema.get(several).and_then(Value::as_array) {
                let is_null = |kind: &&Value| kind.get("type").is_some_and(|it| it == "null");
                let mut words: Vec<String> = Vec::new();
                for kind in kinds.iter().filter(|kind| !is_null(kind)) {
                    let word = self.kind(kind);
                    if !words.contains(&word) {
                        words.push(word);
                    }
                }
                return words.join(" or ");
            }
        }
        let names: Vec<&str> = match schema.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return "any".to_owned(),
        };
        match names.into_iter().find(|name| *name != "null") {
            Some("array") => {
                let each = schema.get("items").map_or_else(|| "any".to_owned(), |it| self.kind(it));
                format!("list of {each}")
            }
            Some("object") => match schema.get("additionalProperties") {
                Some(each @ Value::Object(_)) => format!("map to {}", self.kind(each)),
                _ => "map".to_owned(),
            },
            Some("string") => "text".to_owned(),
            Some("integer") => "whole number".to_owned(),
            Some("boolean") => "true or false".to_owned(),
            other => other.unwrap_or("any").to_owned(),
        }
    }
}

fn description(schema: &Value) -> Option<&str> {
    schema.get("description").and_then(Value::as_str)
}

/// Escapes a text for a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("\n\n", "<br>").replace('\n', " ")
}

/// False for defaults that carry no information: null, or a value that is omitted.
fn is_worth_saying(default: &Value) -> bool {
    match default {
        Value::Null | Value::Object(_) => false,
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::json_schema;
    use serde_json::json;

    #[test]
    fn every_kind_of_value_has_a_section_that_links_lead_to() {
        let schema = json_schema();
        let page = markdown(&schema);
        for name in schema["definitions"].as_object().expect("there are kinds").keys() {
            assert!(page.contains(&format!("\n## {name}\n")), "{name} is told");
            assert!(page.contains(&format!("(#{})", name.to_lowercase())), "{name} is linked");
        }
    }

    #[test]
    fn settings_tell_what_they_are() {
        let page = markdown(&json!({
            "description": "A file.",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "Its name: a|b."},
                "sizes": {"type": "array", "items": {"type": "integer"}, "description": "Sizes."},
                "fast": {"type": ["boolean", "null"], "default": true, "description": "Whether."},
            },
        }));
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(
            rows,
            [
                "| setting | value | meaning |",
                "| **`name`** | text | Its name: a\\|b. |",
                "| `sizes` | list of whole number | Sizes. |",
                "| `fast` | true or false | Whether. Default true. |",
            ]
        );
    }
}
